package stat_test

import (
	"fmt"
	"math"
	"testing"

	"github.com/assay-ml/assay/stat"
	"pgregory.net/rapid"
)

func TestBinomialDraws(t *testing.T) {
	for _, c := range []struct {
		n int64
		p float64
	}{{1, 0.5}, {5, 0.1}, {40, 0.3}, {40, 0.8}, {300, 0.02}, {1000, 0.5}, {100_000, 0.001}, {1_000_000, 0.4}} {
		r := stat.NewRand(4, uint64(c.n))
		const draws = 100_000
		seen := map[int64]float64{}
		for range draws {
			seen[r.Binomial(c.n, c.p)]++
		}
		// Chi-squared over the outcomes that are expected at least 20 times.
		m, sd := float64(c.n)*c.p, math.Sqrt(float64(c.n)*c.p*(1-c.p))
		var chi2, df float64
		for k := int64(math.Max(0, m-6*sd)); k <= min(c.n, int64(m+6*sd)+1); k++ {
			if want := draws * stat.BinomialPMF(k, c.n, c.p); want >= 20 {
				chi2 += (seen[k] - want) * (seen[k] - want) / want
				df++
			}
		}
		if p := stat.ChiSquaredSF(chi2, df); p < 1e-5 {
			t.Errorf("n %d, p %v: chi-squared %.1f on %.0f outcomes, p-value %.2g", c.n, c.p, chi2, df, p)
		}
	}
}

func TestResampleCells(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		counts := rapid.SliceOfN(rapid.Int64Range(0, 5000), 1, 12).Draw(rt, "counts")
		out := make([]int64, len(counts))
		r := stat.NewRand(rapid.Uint64().Draw(rt, "seed"))
		r.ResampleCells(counts, out)
		var before, after int64
		for i, c := range counts {
			before, after = before+c, after+out[i]
			if out[i] < 0 || c == 0 && out[i] != 0 {
				rt.Fatalf("cell %d of %d rows drew %d", i, c, out[i])
			}
		}
		if before != after {
			rt.Fatalf("%d rows drew %d", before, after)
		}
	})
	counts, out := []int64{70, 20, 10}, make([]int64, 3)
	var sum, sq [3]float64
	r := stat.NewRand(8)
	const draws = 50_000
	for range draws {
		r.ResampleCells(counts, out)
		for i, v := range out {
			sum[i] += float64(v)
			sq[i] += float64(v * v)
		}
	}
	for i, c := range counts {
		m := sum[i] / draws
		v, want := sq[i]/draws-m*m, float64(c)*float64(100-c)/100
		if math.Abs(m-float64(c)) > 0.1 || math.Abs(v-want) > 0.04*want {
			t.Errorf("cell %d: mean %v variance %v, want %d and %v", i, m, v, c, want)
		}
	}
}

func ExampleRand_ResampleCells() {
	confusion := []int64{880, 20, 40, 60} // true negative, false positive, false negative, true positive
	draw := make([]int64, 4)
	f1 := func(c []int64) float64 { return 2 * float64(c[3]) / float64(2*c[3]+c[1]+c[2]) }
	s := stat.Resampled{Value: f1(confusion), N: 1000}
	for b := range uint64(2000) {
		r := stat.NewRand(42, b)
		r.ResampleCells(confusion, draw)
		s.Replicates = append(s.Replicates, f1(draw))
	}
	fmt.Println(s.Estimate(0.95, stat.Percentile))
	// Output: 0.67 [0.58, 0.74]
}

func BenchmarkResampleCells(b *testing.B) {
	counts, out := make([]int64, 84), make([]int64, 84) // 21 row sets of 4 confusion cells
	for i := range counts {
		counts[i] = int64(1000 + 100*i)
	}
	b.ReportAllocs()
	for b.Loop() {
		r := stat.NewRand(1)
		r.ResampleCells(counts, out)
	}
}
