package stat_test

import (
	"math"
	"testing"

	"pgregory.net/rapid"

	"github.com/assay-ml/assay/stat"
)

// Whole weights are repeated rows; the values without a row are those of the ranking without it, the average precision to first order.
func TestWeightedRanking(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		n := rapid.IntRange(2, 40).Draw(r, "rows")
		positive, score, weights, counts := make([]bool, n), make([]float64, n), make([]float64, n), make([]uint8, n)
		var rp []bool
		var rs []float64
		for i := range n {
			positive[i] = rapid.Bool().Draw(r, "positive")
			score[i] = float64(rapid.IntRange(0, 12).Draw(r, "score"))
			weights[i] = float64(rapid.IntRange(0, 3).Draw(r, "weight"))
			counts[i] = uint8(rapid.IntRange(0, 3).Draw(r, "count"))
			for range int(weights[i]) * int(counts[i]) {
				rp, rs = append(rp, positive[i]), append(rs, score[i])
			}
		}
		ranking, err := stat.NewRanking(positive, score)
		if err != nil {
			r.Fatal(err)
		}
		auc, ap := ranking.WeightedAreas(counts, weights)
		if len(rp) > 0 {
			written, err := stat.NewRanking(rp, rs)
			if err != nil {
				r.Fatal(err)
			}
			wantAUC, wantAP := written.Areas(make1(len(rp)))
			if !alike(auc, wantAUC, 1e-12) || !alike(ap, wantAP, 1e-12) {
				r.Fatalf("weighted %v, %v; repeated %v, %v", auc, ap, wantAUC, wantAP)
			}
		}
		// Any weights: without a row is a weight of 0. The slope is that of a weight a little smaller.
		for i := range weights {
			weights[i] *= 0.37
		}
		withoutAUC, withoutAP := ranking.WeightedJackknife(weights)
		_, whole := ranking.WeightedAreas(nil, weights)
		for i, w := range weights {
			const step = 1e-6
			weights[i] = 0
			want, _ := ranking.WeightedAreas(nil, weights)
			weights[i] = w * (1 - step)
			_, less := ranking.WeightedAreas(nil, weights)
			weights[i] = w
			if !alike(withoutAUC[i], want, 1e-9) {
				r.Fatalf("the area without row %d is %v; want %v", i, withoutAUC[i], want)
			}
			if first := whole + (less-whole)/step; !alike(withoutAP[i], first, 1e-4) {
				r.Fatalf("the average precision without row %d is %v; to first order %v", i, withoutAP[i], first)
			}
		}
	})
}

func make1(n int) []uint8 {
	out := make([]uint8, n)
	for i := range out {
		out[i] = 1
	}
	return out
}

func alike(a, b, tolerance float64) bool {
	return math.IsNaN(a) && math.IsNaN(b) || math.Abs(a-b) <= tolerance
}
