package stat_test

import (
	"math"
	"testing"

	"github.com/assay-ml/assay/stat"
)

// binormal returns n rows of which a fifth are positive, with a score that separates them by one standard deviation.
func binormal(n int) ([]bool, []float64) {
	r := stat.NewRand(12)
	y, s := make([]bool, n), make([]float64, n)
	for i := range y {
		y[i], s[i] = r.Intn(5) == 0, r.Normal()
		if y[i] {
			s[i]++
		}
	}
	return y, s
}

func BenchmarkBootstrapAUC(b *testing.B) {
	y, s := binormal(10_000)
	for _, m := range []stat.BootstrapMethod{stat.Percentile, stat.BCa} {
		b.Run(string(m), func(b *testing.B) {
			for b.Loop() {
				if _, err := stat.BootstrapAUC(b.Context(), y, s, stat.Resampler{Seed: 1, Replicates: 1000}, 0.95, m); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkEvaluation is what an evaluation does: 277,677 rows; two models with area, average precision, log loss, Brier score, and the
// confusion counts behind accuracy, precision, recall and F1; over all rows and 20 slices of 5 columns; 2,000 replicates.
func BenchmarkEvaluation(b *testing.B) {
	const n, columns, levels = 277_677, 5, 4
	y, s := binormal(n)
	r := stat.NewRand(3)
	s2 := make([]float64, n)
	loss := [4][]float64{make([]float64, n), make([]float64, n), make([]float64, n), make([]float64, n)}
	cell := make([]int32, n)
	keep := make([][]bool, columns*levels)
	for k := range keep {
		keep[k] = make([]bool, n)
	}
	for i := range n {
		s2[i] = s[i] + 0.5*r.Normal()
		p := 1 / (1 + math.Exp(1-s[i]))
		loss[0][i], loss[1][i], loss[2][i], loss[3][i] = -math.Log(p), p*p, -math.Log(1-p), (1-p)*(1-p)
		for c := range columns {
			v := r.Intn(levels)
			cell[i] = cell[i]*levels + int32(v)
			keep[c*levels+v][i] = true
		}
		for _, bit := range []bool{y[i], s[i] > 0.5, s2[i] > 0.5} {
			cell[i] *= 2
			if bit {
				cell[i]++
			}
		}
	}
	cells := 8 << (2 * columns)
	for b.Loop() {
		tally, err := stat.NewTally(cell, cells, loss[:]...)
		if err != nil {
			b.Fatal(err)
		}
		var rankings []*stat.Ranking
		for _, score := range [][]float64{s, s2} {
			all, err := stat.NewRanking(y, score)
			if err != nil {
				b.Fatal(err)
			}
			rankings = append(rankings, all)
			for _, k := range keep {
				rankings = append(rankings, all.Subset(k))
			}
		}
		_, err = stat.Resampler{Seed: 1}.Run(b.Context(), n, 2*len(rankings)+cells, func() stat.Evaluator {
			weights, sums := make([]float64, cells), make([]float64, cells*len(loss))
			return func(counts []uint8, out []float64) {
				for i, r := range rankings {
					out[2*i], out[2*i+1] = r.Areas(counts)
				}
				tally.Sum(counts, weights, sums)
				copy(out[2*len(rankings):], weights)
			}
		})
		if err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkPasses(b *testing.B) {
	const n = 277_677
	y, s := binormal(n)
	ranking, err := stat.NewRanking(y, s)
	if err != nil {
		b.Fatal(err)
	}
	tally, err := stat.NewTally(make([]int32, n), 1, s, s, s, s)
	if err != nil {
		b.Fatal(err)
	}
	counts, err := stat.Resampler{}.Counts(n, 0)
	if err != nil {
		b.Fatal(err)
	}
	for name, pass := range map[string]func(){
		"AUC":       func() { ranking.AUC(counts) },
		"Areas":     func() { ranking.Areas(counts) },
		"Tally":     func() { var w [1]float64; var s [4]float64; tally.Sum(counts, w[:], s[:]) },
		"Jackknife": func() { ranking.Jackknife() },
		"Poisson":   func() { stat.NewRand(1).PoissonFill(0, counts) },
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				pass()
			}
		})
	}
}
