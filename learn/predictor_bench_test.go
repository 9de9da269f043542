package learn

import (
	"encoding/binary"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// BenchmarkModelFile runs the models in the folder ASSAY_BENCH_MODELS on its rows.f32, as bench/predict.py makes them. It reports the
// fastest run too, which says more on a busy machine.
func BenchmarkModelFile(b *testing.B) {
	dir := os.Getenv("ASSAY_BENCH_MODELS")
	if dir == "" {
		b.Skip("bench/predict.py sets ASSAY_BENCH_MODELS")
	}
	raw, err := os.ReadFile(filepath.Join(dir, "rows.f32"))
	if err != nil {
		b.Fatal(err)
	}
	for _, name := range []string{"model.onnx", "model.txt", "model.json"} {
		file, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			b.Fatal(err)
		}
		p, err := Open(file, Limits{})
		if err != nil {
			b.Fatal(err)
		}
		width := p.in[0].Shape[1]
		for _, rows := range []int{1, 1000} {
			b.Run(fmt.Sprintf("%s/rows=%d", p.Format(), rows), func(b *testing.B) {
				s := p.Session()
				defer s.Close()
				x := make([]float64, rows*width)
				single := make([]float32, rows*width)
				for i := range x {
					single[i] = math.Float32frombits(binary.LittleEndian.Uint32(raw[4*i:]))
					x[i] = float64(single[i])
				}
				b.ReportAllocs()
				fastest := time.Duration(math.MaxInt64)
				for b.Loop() {
					start := time.Now()
					in, err := s.Input(0, rows, width)
					if err != nil {
						b.Fatal(err)
					}
					copy(in.Floats, single)
					copy(in.Doubles, x)
					if err := s.Run(); err != nil {
						b.Fatal(err)
					}
					fastest = min(fastest, time.Since(start))
				}
				b.ReportMetric(float64(fastest.Nanoseconds()), "fastest-ns")
			})
		}
	}
}
