package stat_test

import (
	"math"
	"slices"
	"testing"

	"github.com/assay-ml/assay/internal/assaytest"
	"github.com/assay-ml/assay/stat"
	"pgregory.net/rapid"
)

func TestDriftOracle(t *testing.T) {
	cases, tol := assaytest.Oracle(t, "stat/drift.json")
	for _, c := range cases {
		if c.Fn != "counts" && c.Fn != "edges" {
			continue
		}
		t.Run(c.ID, func(t *testing.T) {
			r, w := assaytest.Floats(t, c.Args["reference"]), assaytest.Floats(t, c.Args["window"])
			var e *stat.Edges
			if c.Fn == "edges" {
				e = &stat.Edges{}
				raw := `{"upper":` + string(c.Args["upper"]) + `,"atoms":[],"centre":0,"rows":1,"scale":` + string(c.Args["scale"]) + `}`
				if err := e.UnmarshalJSON([]byte(raw)); err != nil {
					t.Fatal(err)
				}
			}
			tests := map[string]stat.Test{
				"psi": stat.PSITest(r, w), "ks": stat.KolmogorovSmirnovCounts(r, w), "cramer-von-mises": stat.CramerVonMisesCounts(r, w),
				"mann-whitney": stat.MannWhitneyCounts(r, w), "anderson-darling": stat.AndersonDarlingCounts(r, w),
			}
			h, err := stat.NewHomogeneity(r, w, 0)
			if err != nil {
				t.Fatal(err)
			}
			tests["chi-squared"], tests["g"] = h.ChiSquared, h.G
			want := fields(t, c.Value)
			for name := range want.raw {
				v := want.floats(name)
				score := stat.DriftScore(name)
				got := score.Of(r, w, e)
				if name != "mann-whitney" && name != "anderson-darling" && !tol.Near(got, v[0]) {
					t.Errorf("%s %v, want %v", name, got, v[0])
				}
				if len(v) == 2 {
					nearTest(t, name, tol, tests[name], v)
				}
			}
		})
	}
}

// Scores on counts are the tests on the rows that the counts stand for.
func TestCountTestsAreRowTests(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		k := rapid.IntRange(2, 8).Draw(rt, "cells")
		side := rapid.SliceOfN(rapid.IntRange(0, 9), k, k)
		r, w := side.Draw(rt, "reference"), side.Draw(rt, "window")
		r[0]++
		w[k-1]++
		expand := func(counts []int) (rows, floats []float64) {
			for i, c := range counts {
				floats = append(floats, float64(c))
				for range c {
					rows = append(rows, float64(i))
				}
			}
			return rows, floats
		}
		x, rc := expand(r)
		y, wc := expand(w)
		tol := assaytest.Tolerance{Rel: 1e-9, Abs: 1e-11}
		for name, pair := range map[string][2]stat.Test{
			"ks":  {stat.KolmogorovSmirnovCounts(rc, wc), stat.KolmogorovSmirnov(x, y, stat.TwoSided, stat.Asymptotic)},
			"cvm": {stat.CramerVonMisesCounts(rc, wc), stat.CramerVonMises(x, y, stat.Asymptotic)},
			"ad":  {stat.AndersonDarlingCounts(rc, wc), stat.AndersonDarling(true, x, y)},
			"ad3": {stat.AndersonDarlingCounts(rc, wc, rc), stat.AndersonDarling(true, x, y, x)},
			"mw":  {stat.MannWhitneyCounts(rc, wc), stat.MannWhitney(x, y, stat.MannWhitneyOptions{})},
		} {
			if !tol.Near(pair[0].Statistic, pair[1].Statistic) || !tol.Near(pair[0].P, pair[1].P) {
				rt.Fatalf("%s: %v on counts, %v on rows", name, pair[0], pair[1])
			}
		}
	})
}

func TestDriftScoreProperties(t *testing.T) {
	bounded := map[stat.DriftScore]bool{
		stat.DriftJS: true, stat.DriftHellinger: true, stat.DriftTV: true, stat.DriftLInfinity: true, stat.DriftKS: true, stat.DriftCliff: true,
	}
	rapid.Check(t, func(rt *rapid.T) {
		x := rapid.SliceOfN(rapid.Float64Range(-1e3, 1e3), 1, 60).Draw(rt, "x")
		e, err := stat.FreezeEdges(x, stat.EdgeOptions{Cells: rapid.IntRange(2, 12).Draw(rt, "cells")})
		if err != nil {
			rt.Fatal(err)
		}
		y := rapid.SliceOfN(rapid.Float64Range(-1e5, 1e5), 1, 60).Draw(rt, "y")
		r, w := e.Count(x), e.Count(y)
		for _, s := range stat.DriftScores() {
			v := s.Of(r, w, e)
			if !(v >= -1e-12) && s != stat.DriftCvM || math.IsNaN(v) || bounded[s] && v > 1+1e-12 {
				rt.Errorf("%s is %v", s, v)
			}
			if s != stat.DriftCvM && s != stat.DriftAD && !(math.Abs(s.Of(r, r, e)) < 1e-9) {
				rt.Errorf("%s of equal counts is %v", s, s.Of(r, r, e))
			}
			if s != stat.DriftKL && math.Abs(s.Of(w, r, e)-v) > 1e-9*(1+math.Abs(v)) {
				rt.Errorf("%s is %v one way and %v the other", s, v, s.Of(w, r, e))
			}
		}
	})
	for _, s := range stat.DriftScores() {
		for name, c := range map[string][2][]float64{
			"lengths": {{1, 2}, {1}}, "empty": {{1, 2}, {0, 0}}, "none": {nil, nil}, "negative": {{1, 2}, {3, -1}},
			"NaN": {{1, math.NaN()}, {1, 1}}, "infinite": {{1, math.Inf(1)}, {1, 1}},
		} {
			if v := s.Of(c[0], c[1], nil); !math.IsNaN(v) {
				t.Errorf("%s, %s: %v", s, name, v)
			}
		}
	}
	if v := stat.DriftScore("no").Of([]float64{1}, []float64{1}, nil); !math.IsNaN(v) {
		t.Error("an unknown score is", v)
	}
}

func TestHomogeneityPoolsRareCategories(t *testing.T) {
	r, w := []float64{1000, 500, 3, 2, 0, 0}, []float64{100, 50, 0, 1, 2, 0}
	h, err := stat.NewHomogeneity(r, w, 1)
	if err != nil {
		t.Fatal(err)
	}
	pooled, err := stat.NewContingency([][]float64{{1000, 500, 5}, {100, 50, 3}})
	if err != nil {
		t.Fatal(err)
	}
	if h.Cells != 3 || h.Pooled != 3 || math.Abs(h.ChiSquared.P-pooled.ChiSquared.P) > 1e-12 || math.Abs(h.G.P-pooled.G.P) > 1e-12 {
		t.Errorf("%+v, want %+v", h, pooled)
	}
	h, err = stat.NewHomogeneity([]float64{7, 0}, []float64{9, 0}, 5)
	if err != nil || h.ChiSquared.P != 1 || h.Cells != 1 {
		t.Errorf("one category on both sides: %+v, %v", h, err)
	}
	h, err = stat.NewHomogeneity([]float64{1, 2, 3}, []float64{3, 2, 1}, 50)
	if err != nil || h.ChiSquared.Defined() || h.Pooled != 3 {
		t.Errorf("all pooled: %+v, %v", h, err)
	}
	if _, err := stat.NewHomogeneity([]float64{1}, []float64{0}, 0); err == nil {
		t.Error("an empty window was compared")
	}
}

// The chi-squared line of the population stability index has the level that it states.
func TestPSICritical(t *testing.T) {
	if v := stat.PSINull(10, 100, 100); math.Abs(v-0.18) > 1e-12 {
		t.Errorf("10 cells, 100 rows a side: %v", v)
	}
	const cells, n, m, sets = 10, 4000, 1500, 4000
	line := stat.PSICritical(cells, n, m, 0.05)
	shares := make([]float64, cells)
	for i := range shares {
		shares[i] = 1
	}
	r, w := make([]float64, cells), make([]float64, cells)
	g := stat.NewRand(11)
	var over, mean float64
	for range sets {
		g.Multinomial(n, shares, r)
		g.Multinomial(m, shares, w)
		v := stat.DriftPSI.Of(r, w, nil)
		mean += v / sets
		if v > line {
			over++
		}
	}
	if e := stat.Proportion(over, sets, 0.999, stat.Wilson); e.Lo > 0.05 || e.Hi < 0.05 {
		t.Errorf("level 0.05 is %s", e)
	}
	if want := stat.PSINull(cells, n, m); math.Abs(mean/want-1) > 0.05 {
		t.Errorf("mean %v, want about %v", mean, want)
	}
}

// The discrepancy over edges is that of the rows themselves, all pairs of them, where every value has a cell of its own; and 0 only for equal shares.
func TestMMDOverEdges(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		values := rapid.SliceOfNDistinct(rapid.IntRange(-50, 50), 3, 8, rapid.ID).Draw(rt, "values")
		var x []float64
		for _, v := range values {
			x = append(x, float64(v)/4)
		}
		e, err := stat.FreezeEdges(x, stat.EdgeOptions{Cells: len(x)})
		if err != nil || len(e.Atoms) != len(x) {
			rt.Fatal(e, err)
		}
		slices.Sort(x)
		if n := len(x); x[0] < x[1]-3*e.Scale || x[n-1] > x[n-2]+3*e.Scale {
			rt.Skip("the ends are pulled in")
		}
		side := rapid.SliceOfN(rapid.SampledFrom(x), 1, 30)
		a, b := side.Draw(rt, "a"), side.Draw(rt, "b")
		mean := func(a, b []float64) (sum float64) {
			for _, v := range a {
				for _, w := range b {
					sum += math.Exp(-math.Abs(v-w) / e.Scale)
				}
			}
			return sum / float64(len(a)*len(b))
		}
		square := mean(a, a) + mean(b, b) - 2*mean(a, b)
		got := e.MMD(e.Count(a), e.Count(b))
		if math.Abs(got*got-square) > 1e-12 || got > math.Sqrt2 {
			rt.Fatalf("%v squared, want %v", got, square)
		}
	})
	e, err := stat.FreezeEdges([]float64{1, 2, 3, 4, 5, 6, 7, 8}, stat.EdgeOptions{Cells: 4})
	if err != nil {
		t.Fatal(err)
	}
	// One row far out moves it by its share at most, however far.
	near := e.MMD(e.Count([]float64{1, 3, 5, 7}), e.Count([]float64{1, 3, 5, 9}))
	if far := e.MMD(e.Count([]float64{1, 3, 5, 7}), e.Count([]float64{1, 3, 5, 1e9})); far != near || far > math.Sqrt2/4 {
		t.Errorf("a row at 1e9 makes %v, one at 9 %v", far, near)
	}
}
