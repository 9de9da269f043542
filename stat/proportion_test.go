package stat_test

import (
	"fmt"
	"math"
	"testing"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/assaytest"
	"github.com/assay-ml/assay/stat"
	"pgregory.net/rapid"
)

// args decodes the numeric arguments of a case.
func args(t *testing.T, c assaytest.Case) map[string]float64 {
	t.Helper()
	out := map[string]float64{}
	for name, raw := range c.Args {
		var f assaytest.Float
		into(t, raw, &f)
		out[name] = float64(f)
	}
	return out
}

func nearInterval(t *testing.T, what string, tol assaytest.Tolerance, e assay.Estimate, want []float64) {
	t.Helper()
	if want == nil {
		if e.HasInterval() {
			t.Errorf("%s: %+v, want no interval", what, e)
		}
		return
	}
	if !tol.Near(e.Lo, want[0]) || !tol.Near(e.Hi, want[1]) {
		t.Errorf("%s: [%v, %v], want %v", what, e.Lo, e.Hi, want)
	}
}

func nearTest(t *testing.T, what string, tol assaytest.Tolerance, got stat.Test, want []float64) {
	t.Helper()
	if want == nil {
		if got.Defined() {
			t.Errorf("%s: %+v, want undefined", what, got)
		}
		return
	}
	if !tol.Near(got.Statistic, want[0]) || !tol.Near(got.P, want[1]) {
		t.Errorf("%s: %+v, want %v", what, got, want)
	}
	if len(want) > 2 && !tol.Near(got.DF, want[2]) {
		t.Errorf("%s: %v degrees of freedom, want %v", what, got.DF, want[2])
	}
}

func TestProportionOracle(t *testing.T) {
	cases, tol := assaytest.Oracle(t, "stat/proportion.json")
	for _, c := range cases {
		t.Run(c.ID, func(t *testing.T) {
			a := args(t, c)
			want := fields(t, c.Value)
			switch c.Fn {
			case "proportion_interval":
				for name, m := range map[string]stat.ProportionMethod{
					"wilson": stat.Wilson, "wilson_continuity": stat.WilsonContinuity, "clopper_pearson": stat.ClopperPearson,
					"wald": stat.Wald, "agresti_coull": stat.AgrestiCoull, "jeffreys": stat.Jeffreys,
				} {
					nearInterval(t, name, tol, stat.Proportion(a["k"], a["n"], a["level"], m), want.floats(name))
				}
			case "binomial_test":
				for _, alt := range []stat.Alternative{stat.TwoSided, stat.Less, stat.Greater} {
					if got := stat.BinomialTest(int64(a["k"]), int64(a["n"]), a["p"], alt).P; !tol.Near(got, want.float(string(alt))) {
						t.Errorf("%s: %v, want %v", alt, got, want.float(string(alt)))
					}
				}
			case "difference_of_proportions":
				for name, m := range map[string]stat.DifferenceMethod{
					"newcombe": stat.Newcombe, "wald": stat.WaldDifference, "agresti_caffo": stat.AgrestiCaffo, "miettinen_nurminen": stat.MiettinenNurminen,
				} {
					nearInterval(t, name, tol, stat.ProportionDifference(a["x1"], a["n1"], a["x2"], a["n2"], a["level"], m), want.floats(name))
				}
				nearInterval(t, "ratio_log", tol, stat.ProportionRatio(a["x1"], a["n1"], a["x2"], a["n2"], a["level"], stat.LogRatio), want.floats("ratio_log"))
				nearInterval(t, "ratio_score", tol, stat.ProportionRatio(a["x1"], a["n1"], a["x2"], a["n2"], a["level"], stat.ScoreRatio), want.floats("ratio_score"))
				nearTest(t, "pooled_z", tol, stat.ProportionZTest(a["x1"], a["n1"], a["x2"], a["n2"], stat.TwoSided), want.floats("pooled_z"))
			case "mcnemar":
				p := stat.Paired{Both: int64(a["a"]), First: int64(a["b"]), Second: int64(a["c"]), Neither: int64(a["d"])}
				if got := p.McNemar(stat.McNemarExact).P; !tol.Near(got, want.float("exact_p")) {
					t.Errorf("exact: %v, want %v", got, want.float("exact_p"))
				}
				if got := p.McNemar(stat.McNemarMidP).P; !tol.Near(got, want.float("mid_p")) {
					t.Errorf("mid-p: %v, want %v", got, want.float("mid_p"))
				}
				nearTest(t, "chi2", tol, p.McNemar(stat.McNemarChi2), want.floats("chi2"))
				nearTest(t, "chi2_corrected", tol, p.McNemar(stat.McNemarCorrected), want.floats("chi2_corrected"))
				if got := p.Difference(a["level"], stat.Tango); !tol.Near(got.Value, want.float("difference")) {
					t.Errorf("difference %v, want %v", got.Value, want.float("difference"))
				}
				nearInterval(t, "newcombe_paired", tol, p.Difference(a["level"], stat.NewcombePaired), want.floats("newcombe_paired"))
				nearInterval(t, "tango", tol, p.Difference(a["level"], stat.Tango), want.floats("tango"))
			default:
				t.Fatalf("no test for %s", c.Fn)
			}
		})
	}
}

func TestProportionBounds(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		n := rapid.IntRange(1, 5000).Draw(rt, "n")
		k := rapid.IntRange(0, n).Draw(rt, "k")
		level := rapid.Float64Range(0.5, 0.999).Draw(rt, "level")
		for _, m := range []stat.ProportionMethod{stat.Wilson, stat.WilsonContinuity, stat.ClopperPearson, stat.Wald, stat.AgrestiCoull, stat.Jeffreys} {
			e := stat.Proportion(float64(k), float64(n), level, m)
			if !(e.Lo >= 0 && e.Lo <= e.Hi && e.Hi <= 1) {
				rt.Fatalf("%s: %+v", m, e)
			}
			if m == stat.Jeffreys {
				continue // leaves out the point estimate at 0 and n
			}
			if e.Value < e.Lo-1e-12 || e.Value > e.Hi+1e-12 {
				rt.Fatalf("%s leaves its estimate out: %+v", m, e)
			}
			f := stat.Proportion(float64(n-k), float64(n), level, m)
			if math.Abs(f.Lo-(1-e.Hi)) > 1e-9 || math.Abs(f.Hi-(1-e.Lo)) > 1e-9 {
				rt.Fatalf("%s is not symmetric: %+v and %+v", m, e, f)
			}
		}
		n2 := rapid.IntRange(1, 500).Draw(rt, "n2")
		k2 := rapid.IntRange(0, n2).Draw(rt, "k2")
		for _, m := range []stat.DifferenceMethod{stat.Newcombe, stat.MiettinenNurminen} {
			e := stat.ProportionDifference(float64(k), float64(n), float64(k2), float64(n2), level, m)
			f := stat.ProportionDifference(float64(k2), float64(n2), float64(k), float64(n), level, m)
			if !(e.Lo >= -1-1e-12 && e.Lo <= e.Value+1e-9 && e.Value <= e.Hi+1e-9 && e.Hi <= 1+1e-12) || math.Abs(e.Lo+f.Hi) > 1e-9 {
				rt.Fatalf("%s: %v [%v, %v], swapped %v [%v, %v]", m, e.Value, e.Lo, e.Hi, f.Value, f.Lo, f.Hi)
			}
		}
	})
}

func TestProportionUndefined(t *testing.T) {
	nan := math.NaN()
	for what, e := range map[string]assay.Estimate{
		"no rows":      stat.Proportion(0, 0, 0.95, stat.Wilson),
		"k over n":     stat.Proportion(3, 2, 0.95, stat.Wilson),
		"k undefined":  stat.Proportion(nan, 2, 0.95, stat.Wilson),
		"level 1":      stat.Proportion(1, 2, 1, stat.Wilson),
		"level NaN":    stat.Proportion(1, 2, nan, stat.Wilson),
		"method":       stat.Proportion(1, 2, 0.95, "guess"),
		"empty sample": stat.ProportionDifference(0, 0, 1, 2, 0.95, ""),
		"diff method":  stat.ProportionDifference(0, 1, 1, 2, 0.95, "guess"),
		"ratio to 0":   stat.ProportionRatio(1, 2, 0, 2, 0.95, ""),
		"no pairs":     stat.Paired{}.Difference(0.95, ""),
		"minus pairs":  stat.Paired{Both: -1, First: 5}.Difference(0.95, ""),
	} {
		if e.Defined() || e.HasInterval() {
			t.Errorf("%s: %+v, want undefined", what, e)
		}
	}
	if got := stat.EffectiveN([]float64{1, -1}); !math.IsNaN(got) {
		t.Errorf("effective n with a negative weight: %v", got)
	}
	if got := stat.EffectiveN([]float64{2, 2, 0, 2}); math.Abs(got-3) > 1e-12 {
		t.Errorf("effective n of three equal weights: %v", got)
	}
	if got := stat.EffectiveN([]float64{1e300, 1e300}); math.Abs(got-2) > 1e-12 {
		t.Errorf("effective n of huge weights: %v", got)
	}
}

func ExampleProportion() {
	fmt.Println(stat.Proportion(81, 263, 0.95, stat.Wilson))
	fmt.Println(stat.Proportion(0, 20, 0.95, stat.ClopperPearson))
	// Output:
	// 0.31 [0.26, 0.37]
	// 0.00 [0.00, 0.17]
}
