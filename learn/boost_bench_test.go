package learn

import (
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"os"
	"testing"

	"github.com/assay-ml/assay"
)

// benchFrame is the table of the file ASSAY_BENCH_BOOSTING names (rows and columns as little-endian uint64, then the columns as
// float64, target last; bench/boosting.py writes one), or the example's.
func benchFrame(b *testing.B) assay.Frame {
	path := os.Getenv("ASSAY_BENCH_BOOSTING")
	if path == "" {
		return employment()
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		b.Fatal(err)
	}
	rows, columns := int(binary.LittleEndian.Uint64(raw)), int(binary.LittleEndian.Uint64(raw[8:]))
	raw = raw[16:]
	f := make(assay.Frame, columns)
	for j := range f {
		f[j] = assay.Column{Name: fmt.Sprint(j), Type: assay.TypeNumber, Floats: make([]float64, rows)}
		for i := range f[j].Floats {
			f[j].Floats[i] = math.Float64frombits(binary.LittleEndian.Uint64(raw[8*(j*rows+i):]))
		}
	}
	return f
}

// BenchmarkFitBoosting is 100 trees of 31 leaves on 255 bins, binning included.
func BenchmarkFitBoosting(b *testing.B) {
	f := benchFrame(b)
	d := BoostData{Features: f[:len(f)-1], Target: f[len(f)-1].Floats}
	for _, threads := range []int{1, 2} {
		b.Run(fmt.Sprintf("threads=%d", threads), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, _, err := FitBoosting(context.Background(), d, BoostParams{Objective: ObjectiveBinary, Threads: threads}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
