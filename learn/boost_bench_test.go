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

// benchFrame is the table of the file that the variable names (rows and columns as little-endian uint64, then the columns as float64,
// target last; bench/boosting.py writes such files), or else the example's.
func benchFrame(b *testing.B, variable string) assay.Frame {
	path := os.Getenv(variable)
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
	f := benchFrame(b, "ASSAY_BENCH_BOOSTING")
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

// BenchmarkBoostingQuality reports the area under the curve and the log loss of one table scored by a fit on the other.
func BenchmarkBoostingQuality(b *testing.B) {
	train, test := benchFrame(b, "ASSAY_BENCH_BOOSTING_TRAIN"), benchFrame(b, "ASSAY_BENCH_BOOSTING_TEST")
	last := len(train) - 1
	for b.Loop() {
		e, _, err := FitBoosting(context.Background(), BoostData{Features: train[:last], Target: train[last].Floats}, BoostParams{Objective: ObjectiveBinary})
		if err != nil {
			b.Fatal(err)
		}
		scores := rawScores(e, test[:last])
		b.ReportMetric(areaUnderCurve(test[last].Floats, scores), "auc")
		b.ReportMetric(binaryLogLoss(test[last].Floats, scores), "log_loss")
	}
}
