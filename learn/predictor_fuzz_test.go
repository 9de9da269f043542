package learn

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/assay-ml/assay/internal/assaytest"
)

// hostile are the limits that fuzzing runs under: small, so that a file that gets around one of them is noticed.
var hostile = Limits{FileBytes: 1 << 20, TensorBytes: 1 << 22, StringBytes: 1 << 12, Nodes: 1 << 12, Fields: 1 << 12, RunBytes: 1 << 22}

// FuzzOpen feeds damaged models of every format: they are refused with an error, or they run, on numbers and on what is missing.
func FuzzOpen(f *testing.F) {
	for _, pattern := range []string{"booster/*_binary.*", "booster/*_categories*.*", "booster/*linear*.*", "booster/*vector.*", "booster/*dart.*", "booster/*forest_classes.txt", "onnx/*.onnx"} {
		files, err := filepath.Glob(filepath.Join(assaytest.Root(), "testdata", "oracle", filepath.FromSlash(pattern)))
		if err != nil || len(files) == 0 {
			f.Fatal("no model", pattern, err)
		}
		for _, file := range files {
			b, err := os.ReadFile(file)
			if err != nil {
				f.Fatal(err)
			}
			if len(b) < 20000 && filepath.Ext(file) != ".expected" {
				f.Add(b)
			}
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) { runHostile(t, b) })
}

// runHostile opens a model under small limits and runs it if it opens.
func runHostile(t *testing.T, b []byte) {
	p, err := Open(b, hostile)
	if err != nil {
		return
	}
	s := p.Session()
	defer s.Close()
	for round := range 2 {
		for i, in := range p.in {
			shape := make([]int, len(in.Shape))
			for j, d := range in.Shape {
				if shape[j] = d; d < 0 {
					shape[j] = 1 + 2*round
				}
			}
			x, err := s.Input(i, shape...)
			if err != nil {
				return
			}
			for j := range x.Floats {
				x.Floats[j] = oddNumber[float32](j)
			}
			for j := range x.Doubles {
				x.Doubles[j] = oddNumber[float64](j)
			}
			for j := range x.Ints {
				x.Ints[j] = int64(j%5 - 1)
			}
		}
		if s.Run() != nil {
			return
		}
		if s.m.used > hostile.RunBytes {
			t.Fatalf("a run took %d bytes", s.m.used)
		}
	}
}

func oddNumber[T float32 | float64](i int) T {
	zero := T(0)
	return []T{0, 1, -1, zero / zero, 1 / zero, -1 / zero, 2.5, 1e30, -0.5, 70}[i%10]
}
