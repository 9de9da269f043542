package stat_test

import (
	"math"
	"testing"

	"github.com/assay-ml/assay/stat"
	"pgregory.net/rapid"
)

// lchoose is log of n over k.
func lchoose(n, k int64) float64 {
	a, _ := math.Lgamma(float64(n) + 1)
	b, _ := math.Lgamma(float64(k) + 1)
	c, _ := math.Lgamma(float64(n-k) + 1)
	return a - b - c
}

func TestHypergeometricDraws(t *testing.T) {
	for _, c := range [][3]int64{{5, 7, 6}, {3, 90, 40}, {90, 3, 40}, {500, 600, 55}, {500, 600, 1050}, {20_000, 300_000, 5000}, {40, 41, 40}, {8, 0, 3}} {
		r := stat.NewRand(5, uint64(c[0]))
		const draws = 60_000
		seen := map[int64]float64{}
		for range draws {
			seen[r.Hypergeometric(c[0], c[1], c[2])]++
		}
		var chi2, df, covered float64
		for k := max(0, c[2]-c[1]); k <= min(c[0], c[2]); k++ {
			p := math.Exp(lchoose(c[0], k) + lchoose(c[1], c[2]-k) - lchoose(c[0]+c[1], c[2]))
			if want := draws * p; want >= 15 {
				chi2 += (seen[k] - want) * (seen[k] - want) / want
				df++
				covered += seen[k] / draws
			}
		}
		if p := stat.ChiSquaredSF(chi2, df); p < 1e-5 || covered < 0.98 {
			t.Errorf("%v: chi-squared %.1f on %.0f outcomes, p-value %.2g, %.3f of the draws", c, chi2, df, p, covered)
		}
	}
}

func TestGammaDraws(t *testing.T) {
	for _, shape := range []float64{0.3, 1, 2.5, 200} {
		r := stat.NewRand(6, uint64(shape*10))
		xs := make([]float64, 20_000)
		cells := make([]float64, 20)
		for i := range xs {
			xs[i] = r.Gamma(shape)
			cells[min(19, int(20*stat.ChiSquaredCDF(2*xs[i], 2*shape)))]++
		}
		if p, _ := stat.GoodnessOfFit(cells, nil); p.P < 1e-5 {
			t.Errorf("shape %v: p-value %v, %v", shape, p.P, cells)
		}
	}
}

func TestCountDraws(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		counts := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) float64 { return float64(rapid.IntRange(0, 3000).Draw(t, "")) }), 1, 9).Draw(rt, "counts")
		var whole float64
		for _, c := range counts {
			whole += c
		}
		r := stat.NewRand(rapid.Uint64().Draw(rt, "seed"))
		n := rapid.Int64Range(0, int64(whole)).Draw(rt, "n")
		out := make([]float64, len(counts))
		check := func(limit bool) {
			var sum float64
			for i, v := range out {
				sum += v
				if v < 0 || v != math.Trunc(v) || limit && v > counts[i] || counts[i] == 0 && v > 0 {
					rt.Fatalf("%v of %v", out, counts)
				}
			}
			if sum != float64(n) {
				rt.Fatalf("%v drawn, want %d", sum, n)
			}
		}
		r.Subsample(n, counts, out)
		check(true)
		if whole > 0 {
			r.Multinomial(n, counts, out)
			check(false)
		}
	})
}
