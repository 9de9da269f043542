package learn

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/assay-ml/assay/internal/assaytest"
)

// FuzzLoadONNX feeds damaged models: they are refused with an error or they run, and what loads is written again to the same model.
func FuzzLoadONNX(f *testing.F) {
	files, err := filepath.Glob(filepath.Join(assaytest.Root(), "testdata", "oracle", "onnx", "*.onnx"))
	if err != nil || len(files) == 0 {
		f.Fatal("no model", err)
	}
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		if len(b) < 5000 {
			f.Add(b)
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := decodeModel(b, Limits{}.orDefault())
		if err != nil {
			return
		}
		again, err := decodeModel(m.encode(), Limits{}.orDefault())
		if err != nil || !bytes.Equal(again.encode(), m.encode()) {
			t.Fatalf("what was read does not survive writing: %v", err)
		}
		p, err := LoadONNX(b)
		if err != nil {
			return
		}
		inputs := map[string]*Tensor{}
		for _, in := range p.inputs {
			shape := []int{}
			n := 1
			for _, d := range in.dims {
				size := int(d.size)
				if d.name != "" || size <= 0 {
					size = 3
				}
				shape = append(shape, size)
				if n *= min(size, 1<<20); n > 1<<16 {
					return
				}
			}
			if (&Tensor{Type: in.elem}).held() < 0 {
				return
			}
			inputs[in.name] = newTensor(in.elem, shape...)
		}
		p.Run(inputs)
	})
}
