package ort

import (
	"encoding/binary"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/assay-ml/assay/learn"
)

// BenchmarkEvaluators runs the file model.onnx in the folder ASSAY_BENCH_MODELS on its rows.f32, as bench/predict.py makes them, in Go and with
// ONNX Runtime's shared library in this process. It reports the fastest run too, which says more on a busy machine.
func BenchmarkEvaluators(b *testing.B) {
	dir := os.Getenv("ASSAY_BENCH_MODELS")
	if dir == "" {
		b.Skip("bench/predict.py sets ASSAY_BENCH_MODELS")
	}
	l := library(b)
	file, err := os.ReadFile(filepath.Join(dir, "model.onnx"))
	if err != nil {
		b.Fatal(err)
	}
	raw, err := os.ReadFile(filepath.Join(dir, "rows.f32"))
	if err != nil {
		b.Fatal(err)
	}
	inGo, err := learn.Open(file, learn.Limits{})
	if err != nil {
		b.Fatal(err)
	}
	for _, e := range []struct {
		name string
		p    *learn.Predictor
	}{{"go", inGo}, {"library", open(b, l, file, learn.Limits{})}} {
		width := e.p.Inputs()[0].Shape[1]
		for _, rows := range []int{1, 1000} {
			b.Run(fmt.Sprintf("%s/rows=%d", e.name, rows), func(b *testing.B) {
				s := e.p.Session()
				defer s.Close()
				x := make([]float32, rows*width)
				for i := range x {
					x[i] = math.Float32frombits(binary.LittleEndian.Uint32(raw[4*i:]))
				}
				b.ReportAllocs()
				fastest := time.Duration(math.MaxInt64)
				for b.Loop() {
					start := time.Now()
					in, err := s.Input(0, rows, width)
					if err != nil {
						b.Fatal(err)
					}
					copy(in.Floats, x)
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
