package stat_test

import (
	"context"
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/assaytest"
	"github.com/assay-ml/assay/stat"
	"pgregory.net/rapid"
)

func mean(xs []float64) float64 {
	var sum float64
	for _, x := range xs {
		sum += x
	}
	return sum / float64(len(xs))
}

// pick returns the values at the indices.
func pick(xs []float64, at []int) []float64 {
	out := make([]float64, len(at))
	for i, j := range at {
		out[i] = xs[j]
	}
	return out
}

func TestBootstrapOracle(t *testing.T) {
	statistics := map[string]func(data [][]float64) float64{
		"bootstrap_mean": func(d [][]float64) float64 { return mean(d[0]) },
		"bootstrap_std": func(d [][]float64) float64 {
			m := mean(d[0])
			var sq float64
			for _, x := range d[0] {
				sq += (x - m) * (x - m)
			}
			return math.Sqrt(sq / float64(len(d[0])-1))
		},
		"bootstrap_trimmed_ratio":              func(d [][]float64) float64 { return mean(d[0]) / mean(d[1]) },
		"bootstrap_auc":                        func(d [][]float64) float64 { return byPairs(positives(d[0]), d[1]) },
		"bootstrap_difference_of_means_paired": func(d [][]float64) float64 { return mean(d[0]) - mean(d[1]) },
	}
	cases, tol := assaytest.Oracle(t, "stat/bootstrap.json")
	for _, c := range cases {
		t.Run(c.ID, func(t *testing.T) {
			statistic, ok := statistics[c.Fn]
			if !ok {
				t.Fatalf("no test for %s", c.Fn)
			}
			var data [][]float64
			var indices [][]int
			var level float64
			into(t, c.Args["data"], &data)
			into(t, c.Args["indices"], &indices)
			into(t, c.Args["level"], &level)
			on := func(at []int) float64 {
				sample := make([][]float64, len(data))
				for k := range data {
					sample[k] = pick(data[k], at)
				}
				return statistic(sample)
			}
			n := len(data[0])
			s := stat.Resampled{Value: statistic(data), N: int64(n), Jackknife: [][]float64{make([]float64, n)}}
			for _, at := range indices {
				s.Replicates = append(s.Replicates, on(at))
			}
			all := make([]int, n)
			for i := range all {
				all[i] = i
			}
			for i := range n {
				s.Jackknife[0][i] = on(slices.Delete(slices.Clone(all), i, i+1))
			}
			want := fields(t, c.Value)
			for name, got := range map[string]float64{
				"estimate": s.Value, "standard_error": s.StandardError(), "z0": s.Bias(), "acceleration": s.Acceleration(),
			} {
				if !tol.Near(got, want.float(name)) {
					t.Errorf("%s %v, want %v", name, got, want.float(name))
				}
			}
			for i, w := range want.floats("jackknife") {
				if !tol.Near(s.Jackknife[0][i], w) {
					t.Errorf("jackknife %d: %v, want %v", i, s.Jackknife[0][i], w)
				}
			}
			for _, m := range []stat.BootstrapMethod{stat.Percentile, stat.Basic, stat.BCa} {
				nearInterval(t, string(m), tol, s.Estimate(level, m), want.floats(string(m)))
			}
			if c.Fn != "bootstrap_auc" {
				return
			}
			// The weighted pass and the closed-form jackknife are the same statistic.
			r, err := stat.NewRanking(positives(data[0]), data[1])
			if err != nil {
				t.Fatal(err)
			}
			for b, at := range indices {
				counts := make([]uint8, n)
				for _, i := range at {
					counts[i]++
				}
				if got := r.AUC(counts); !tol.Near(got, s.Replicates[b]) {
					t.Errorf("replicate %d: %v by weights, %v by rows", b, got, s.Replicates[b])
				}
			}
			jack, _ := r.Jackknife()
			for i, w := range want.floats("jackknife") {
				if !tol.Near(jack[i], w) {
					t.Errorf("closed-form jackknife %d: %v, want %v", i, jack[i], w)
				}
			}
		})
	}
}

func TestNadeauBengioOracle(t *testing.T) {
	cases, tol := assaytest.Oracle(t, "stat/crossval.json")
	for _, c := range cases {
		t.Run(c.ID, func(t *testing.T) {
			if c.Fn != "nadeau_bengio" {
				t.Fatalf("no test for %s", c.Fn)
			}
			var trains, tests int
			var level float64
			into(t, c.Args["n_train"], &trains)
			into(t, c.Args["n_test"], &tests)
			into(t, c.Args["level"], &level)
			e, test := stat.NadeauBengio(assaytest.Floats(t, c.Args["differences"]), trains, tests, level)
			want := fields(t, c.Value)
			if !tol.Near(e.Value, want.float("mean")) {
				t.Errorf("mean %v, want %v", e.Value, want.float("mean"))
			}
			if want.float("variance_of_mean") == 0 { // the table asks for undetermined here, against the formula
				if e.HasInterval() || test.Defined() {
					t.Errorf("no spread: %+v %+v, want neither interval nor test", e, test)
				}
				return
			}
			nearInterval(t, "interval", tol, e, want.floats("ci"))
			nearTest(t, "test", tol, test, []float64{want.float("t"), want.float("p"), want.float("df")})
			if got := math.Pow(e.Value/test.Statistic, 2); !tol.Near(got, want.float("variance_of_mean")) {
				t.Errorf("variance %v, want %v", got, want.float("variance_of_mean"))
			}
		})
	}
}

// TestBootstrapPublished compares with intervals that R's boot computed from a million replicates, and with a published acceleration.
func TestBootstrapPublished(t *testing.T) {
	x := []float64{10, 12, 12.5, 12.5, 13.9, 15, 21, 22, 23, 34, 50, 81, 89, 121, 134, 213}
	tally, err := stat.NewTally(make([]int32, len(x)), 1, x)
	if err != nil {
		t.Fatal(err)
	}
	reps, err := stat.Resampler{Seed: 5, Replicates: 400_000}.Run(t.Context(), len(x), 1, func() stat.Evaluator {
		w, s := make([]float64, 1), make([]float64, 1)
		return func(counts []uint8, out []float64) {
			tally.Sum(counts, w, s)
			out[0] = s[0] / w[0]
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	r := stat.Resampled{Value: mean(x), Replicates: reps[0], Jackknife: [][]float64{leaveOneOut(x)}}
	tol := assaytest.Tolerance{Rel: 0.006}
	nearInterval(t, "basic", tol, r.Estimate(0.95, stat.Basic), []float64{23.77, 79.12})
	nearInterval(t, "percentile", tol, r.Estimate(0.95, stat.Percentile), []float64{28.86, 84.21})
	nearInterval(t, "bca", tol, r.Estimate(0.95, stat.BCa), []float64{32.31, 91.43})

	z := []float64{16, 23, 38, 94, 99, 141, 197}
	y := []float64{10, 27, 31, 40, 46, 50, 52, 104, 146}
	jz, jy := leaveOneOut(z), leaveOneOut(y)
	for i := range jz {
		jz[i] -= mean(y)
	}
	for i := range jy {
		jy[i] = mean(z) - jy[i]
	}
	two := stat.Resampled{Jackknife: [][]float64{jz, jy}}
	if a := two.Acceleration(); math.Abs(a-0.011008228344026734) > 1e-12 {
		t.Errorf("acceleration of two samples %v, want 0.011008228344026734", a)
	}
}

// leaveOneOut returns the means without each value.
func leaveOneOut(xs []float64) []float64 {
	out := make([]float64, len(xs))
	for i := range xs {
		out[i] = mean(slices.Delete(slices.Clone(xs), i, i+1))
	}
	return out
}

// averagePrecision by its definition: rows expanded by weight, thresholds at the distinct scores.
func averagePrecision(positive []bool, score []float64, counts []uint8) float64 {
	levels := slices.Clone(score)
	slices.Sort(levels)
	levels = slices.Compact(levels)
	slices.Reverse(levels)
	var total, ap, recall float64
	for i, y := range positive {
		if y {
			total += float64(counts[i])
		}
	}
	for _, level := range levels {
		var tp, all float64
		for i, s := range score {
			if s >= level {
				all += float64(counts[i])
				if positive[i] {
					tp += float64(counts[i])
				}
			}
		}
		if all > 0 {
			ap += (tp/total - recall) * tp / all
		}
		recall = tp / total
	}
	return ap
}

func same(a, b float64) bool {
	return math.IsNaN(a) && math.IsNaN(b) || math.Abs(a-b) <= 1e-10
}

func TestRankingProperties(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		n := rapid.IntRange(1, 60).Draw(rt, "n")
		r := stat.NewRand(rapid.Uint64().Draw(rt, "seed"))
		levels := rapid.SampledFrom([]int{1, 3, 10, 1000}).Draw(rt, "levels")
		positive, score, keep := make([]bool, n), make([]float64, n), make([]bool, n)
		for i := range n {
			positive[i], score[i], keep[i] = r.Intn(3) == 0, float64(r.Intn(levels)), r.Intn(2) == 0
		}
		ranking, err := stat.NewRanking(positive, score)
		if err != nil {
			rt.Fatal(err)
		}
		ones := make([]uint8, n)
		for i := range ones {
			ones[i] = 1
		}
		auc, ap := ranking.Areas(nil)
		if a := byPairs(positive, score); !same(auc, a) || !same(ranking.AUC(ones), a) {
			rt.Fatalf("area %v and %v, by pairs %v", auc, ranking.AUC(ones), a)
		}
		if a := averagePrecision(positive, score, ones); !same(ap, a) {
			rt.Fatalf("average precision %v, by definition %v", ap, a)
		}
		counts, err := stat.Resampler{Seed: 3}.Counts(n, 1)
		if err != nil {
			rt.Fatal(err)
		}
		var yx []bool
		var sx []float64
		for i, c := range counts {
			for range c {
				yx, sx = append(yx, positive[i]), append(sx, score[i])
			}
		}
		auc, ap = ranking.Areas(counts)
		if a := byPairs(yx, sx); !same(auc, a) || !same(ranking.AUC(counts), a) {
			rt.Fatalf("weighted area %v, of repeated rows %v", auc, a)
		}
		if a := averagePrecision(positive, score, counts); !same(ap, a) {
			rt.Fatalf("weighted average precision %v, by definition %v", ap, a)
		}
		// A subset is the ranking of the rows that it keeps, or of zero weights elsewhere.
		masked := make([]uint8, n)
		for i, k := range keep {
			if k {
				masked[i] = counts[i]
			}
		}
		sub := ranking.Subset(keep)
		a1, p1 := sub.Areas(counts)
		a2, p2 := ranking.Areas(masked)
		if !same(a1, a2) || !same(p1, p2) {
			rt.Fatalf("subset %v %v, masked %v %v", a1, p1, a2, p2)
		}
		jackAUC, jackAP := sub.Jackknife()
		j := 0
		for i, k := range keep {
			if !k {
				continue
			}
			for m := range masked {
				masked[m] = 0
				if keep[m] && m != i {
					masked[m] = 1
				}
			}
			a, p := ranking.Areas(masked)
			if !same(jackAUC[j], a) || !same(jackAP[j], p) {
				rt.Fatalf("without row %d: %v %v, by deleting it %v %v", i, jackAUC[j], jackAP[j], a, p)
			}
			j++
		}
		if j != len(jackAUC) {
			rt.Fatalf("%d jackknife values for %d rows", len(jackAUC), j)
		}
	})
}

func TestTallyProperties(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		n, cells, columns := rapid.IntRange(1, 200).Draw(rt, "n"), rapid.IntRange(1, 9).Draw(rt, "cells"), rapid.IntRange(0, 9).Draw(rt, "columns")
		r := stat.NewRand(rapid.Uint64().Draw(rt, "seed"))
		codes := make([]int32, n)
		values := make([][]float64, columns)
		for k := range values {
			values[k] = make([]float64, n)
		}
		for i := range codes {
			codes[i] = int32(r.Intn(cells))
			for k := range values {
				values[k][i] = r.Normal()
			}
		}
		tally, err := stat.NewTally(codes, cells, values...)
		if err != nil {
			rt.Fatal(err)
		}
		counts, err := stat.Resampler{Seed: 1}.Counts(n, 0)
		if err != nil {
			rt.Fatal(err)
		}
		ones := make([]uint8, n)
		for i := range ones {
			ones[i] = 1
		}
		for _, given := range [][]uint8{counts, nil} {
			w := given
			if w == nil {
				w = ones
			}
			weights, sums := make([]float64, cells), make([]float64, cells*columns)
			tally.Sum(given, weights, sums)
			for i, c := range codes {
				weights[c] -= float64(w[i])
				for k := range values {
					sums[int(c)*columns+k] -= float64(w[i]) * values[k][i]
				}
			}
			for _, v := range append(weights, sums...) {
				if math.Abs(v) > 1e-9 {
					rt.Fatalf("sums are off by %v", v)
				}
			}
		}
	})
}

func TestResamplerIsDeterministic(t *testing.T) {
	const n = 5000
	clusters, strata := make([]int, n), make([]int, n)
	for i := range n {
		clusters[i], strata[i] = i/7, i*i%3
	}
	for _, r := range []stat.Resampler{
		{Seed: 1}, {Seed: 1, Scheme: stat.Poisson}, {Seed: 1, Clusters: clusters}, {Seed: 1, Strata: strata}, {Seed: 1, Scheme: stat.Poisson, Clusters: clusters},
	} {
		r.Replicates = 50
		var first [][]float64
		for _, threads := range []int{1, 2, 7} {
			r.Threads = threads
			got, err := r.Run(t.Context(), n, 2, func() stat.Evaluator {
				return func(counts []uint8, out []float64) {
					for i, c := range counts {
						out[0] += float64(c)
						out[1] += float64(c) * float64(i%100)
					}
				}
			})
			if err != nil {
				t.Fatal(err)
			}
			if first == nil {
				first = got
			}
			for s := range got {
				if !slices.Equal(got[s], first[s]) {
					t.Errorf("%d threads change the replicates", threads)
				}
			}
		}
		if m := mean(first[0]) / n; math.Abs(m-1) > 0.02 {
			t.Errorf("%q: mean weight %v, want 1", r.Scheme, m)
		}
		if r.Scheme != stat.Poisson && r.Clusters == nil && (slices.Max(first[0]) != n || slices.Min(first[0]) != n) {
			t.Errorf("multinomial weights add up to %v … %v, want %d", slices.Min(first[0]), slices.Max(first[0]), n)
		}
		counts, err := r.Counts(n, 3)
		if err != nil {
			t.Fatal(err)
		}
		drawn := map[int]int{}
		for i, c := range counts {
			if r.Clusters != nil && c != counts[i-i%7] {
				t.Fatalf("row %d has weight %d, its cluster %d", i, c, counts[i-i%7])
			}
			drawn[strata[i]] += int(c)
		}
		if r.Strata != nil {
			for s, m := range drawn {
				size := 0
				for _, v := range strata {
					if v == s {
						size++
					}
				}
				if m != size {
					t.Errorf("stratum %d has weight %d of %d rows", s, m, size)
				}
			}
		}
	}
}

func TestResamplerRefuses(t *testing.T) {
	none := func() stat.Evaluator { return func([]uint8, []float64) {} }
	for what, r := range map[string]stat.Resampler{
		"clusters":    {Clusters: []int{1}},
		"strata":      {Strata: []int{1}},
		"both":        {Strata: []int{1, 2, 3}, Clusters: []int{1, 2, 3}},
		"poisson":     {Strata: []int{1, 2, 3}, Scheme: stat.Poisson},
		"scheme":      {Scheme: "guess"},
		"replicates":  {Replicates: -1},
		"no clusters": {Clusters: []int{}},
	} {
		if _, err := r.Run(t.Context(), 3, 1, none); assay.CodeOf(err) != assay.Invalid {
			t.Errorf("%s: %v", what, err)
		}
	}
	if _, err := (stat.Resampler{}).Run(t.Context(), 0, 1, none); assay.CodeOf(err) != assay.Invalid {
		t.Errorf("no rows: %v", err)
	}
	stopped, stop := context.WithCancel(t.Context())
	stop()
	if _, err := (stat.Resampler{}).Run(stopped, 10, 1, none); assay.CodeOf(err) != assay.Unavailable {
		t.Errorf("a stopped run: %v", err)
	}
	if _, err := stat.NewTally([]int32{0, 5}, 2, []float64{1, math.Inf(1)}, []float64{1}); assay.CodeOf(err) != assay.Invalid {
		t.Errorf("bad tally: %v", err)
	}
	if _, err := stat.NewRanking([]bool{true}, []float64{math.NaN()}); assay.CodeOf(err) != assay.Invalid {
		t.Errorf("undefined score: %v", err)
	}
}

func TestResampledEdges(t *testing.T) {
	nan := math.NaN()
	flat := stat.Resampled{Value: 1, Replicates: []float64{1, 1, 1}, Jackknife: [][]float64{{1, 1, 1}}}
	if e := flat.Estimate(0.95, ""); e.Method != string(stat.Percentile) || e.Lo != 1 || e.Hi != 1 {
		t.Errorf("a degenerate jackknife: %+v, want the percentile interval", e)
	}
	beyond := stat.Resampled{Value: 9, Replicates: []float64{1, 2, 3}, Jackknife: [][]float64{{1, 2, 4}}}
	if e := beyond.Estimate(0.95, stat.BCa); e.Method != string(stat.Percentile) || !e.HasInterval() {
		t.Errorf("replicates on one side: %+v, want the percentile interval", e)
	}
	holes := stat.Resampled{Value: 1, Replicates: []float64{1, 2, nan, 3}}
	if e := holes.Estimate(0.95, ""); e.HasInterval() || !e.Defined() {
		t.Errorf("a quarter of the replicates undefined: %+v, want no interval", e)
	}
	for what, e := range map[string]assay.Estimate{
		"value": stat.Resampled{Value: nan, Replicates: []float64{1, 2}}.Estimate(0.95, ""),
		"level": stat.Resampled{Value: 1, Replicates: []float64{1, 2}}.Estimate(0, ""),
	} {
		if e.Defined() {
			t.Errorf("%s: %+v", what, e)
		}
	}
	if q := stat.Quantile(nil, 0.5); !math.IsNaN(q) {
		t.Errorf("quantile of nothing: %v", q)
	}
}

// TestClusterJackknife checks the first-order values against deleting whole clusters.
func TestClusterJackknife(t *testing.T) {
	r := stat.NewRand(9)
	const n = 600
	x, codes := make([]float64, n), make([]int, n)
	for i := range x {
		codes[i] = i / 6
		x[i] = r.Normal() + 0.1*float64(codes[i]%5)
	}
	got := stat.ClusterJackknife(mean(x), leaveOneOut(x), codes)
	if len(got) != 100 {
		t.Fatalf("%d values for 100 clusters", len(got))
	}
	for g, v := range got {
		rest := slices.Concat(x[:6*g], x[6*g+6:])
		if change, want := v-mean(x), mean(rest)-mean(x); math.Abs(change-want) > 0.02*math.Abs(want)+1e-12 {
			t.Errorf("cluster %d moves the mean by %v, deleting it by %v", g, change, want)
		}
	}
}

func ExampleResampler() {
	loss := []float64{0.2, 0.9, 0.1, 0.4, 0.3, 1.7, 0.2, 0.6}
	tally, err := stat.NewTally(make([]int32, len(loss)), 1, loss)
	if err != nil {
		panic(err)
	}
	reps, err := stat.Resampler{Seed: 42}.Run(context.Background(), len(loss), 1, func() stat.Evaluator {
		weight, sum := make([]float64, 1), make([]float64, 1)
		return func(counts []uint8, out []float64) {
			tally.Sum(counts, weight, sum)
			out[0] = sum[0] / weight[0]
		}
	})
	if err != nil {
		panic(err)
	}
	fmt.Println(stat.Resampled{Value: 0.55, Replicates: reps[0]}.Estimate(0.95, stat.Percentile))
	// Output: 0.55 [0.26, 0.93]
}
