package stat

import (
	"math"
	"testing"

	"pgregory.net/rapid"
)

// A drawn label set is counted in whole numbers to what the sums over the same labels as probabilities of 0 and 1 are, to the bit.
func TestDrawsAreExpectationsOfTheirLabels(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 80).Draw(t, "rows")
		share := rapid.OneOf(rapid.Float64Range(0, 1), rapid.SampledFrom([]float64{0, 1, 0.5, 0x1p-53, 1 - 0x1p-53, 5e-324}))
		p := rapid.SliceOfN(share, n, n).Draw(t, "p")
		predicted := rapid.SliceOfN(rapid.Bool(), n, n).Draw(t, "predicted")
		var score []float64
		if rapid.Bool().Draw(t, "ranked") {
			score = rapid.SliceOfN(rapid.SampledFrom([]float64{0.1, 0.2, 0.3, 0.9}), n, n).Draw(t, "score")
		}
		r := NewRand(rapid.Uint64().Draw(t, "seed"), 1)
		label := make([]float64, n)
		for i := range label {
			if r.Float64At(uint64(i)) < p[i] {
				label[i] = 1
			}
		}
		x := rankRows(predicted, score)
		bounds := make([]uint64, n)
		x.bounds(p, bounds)
		c, auc := x.draw(r, bounds)
		want, wantAUC := x.expect(label)
		if c != want || auc != wantAUC && !(math.IsNaN(auc) && math.IsNaN(wantAUC)) {
			t.Fatalf("%v, %v; want %v, %v", c, auc, want, wantAUC)
		}
	})
}
