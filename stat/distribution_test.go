package stat_test

import (
	"math"
	"testing"

	"github.com/assay-ml/assay/internal/assaytest"
	"github.com/assay-ml/assay/stat"
	"pgregory.net/rapid"
)

func TestDistributionOracle(t *testing.T) {
	cases, tol := assaytest.Oracle(t, "stat/distribution.json")
	for _, c := range cases {
		a := assaytest.Floats(t, c.Args["args"])
		var want assaytest.Float
		into(t, c.Value, &want)
		var got float64
		switch c.Fn {
		case "norm_cdf":
			got = stat.NormalCDF(a[0])
		case "norm_sf":
			got = stat.NormalSF(a[0])
		case "norm_ppf":
			got = stat.NormalQuantile(a[0])
		case "t_cdf":
			got = stat.TCDF(a[0], a[1])
		case "t_ppf":
			got = stat.TQuantile(a[0], a[1])
		case "chi2_sf":
			got = stat.ChiSquaredSF(a[0], a[1])
		case "chi2_ppf":
			got = stat.ChiSquaredQuantile(a[0], a[1])
		case "beta_cdf":
			got = stat.BetaCDF(a[0], a[1], a[2])
		case "beta_ppf":
			got = stat.BetaQuantile(a[0], a[1], a[2])
		case "f_sf":
			got = stat.FSF(a[0], a[1], a[2])
		case "kolmogorov_sf":
			got = stat.KolmogorovSF(a[0])
		case "kstwo_sf":
			got = stat.KolmogorovSmirnovSF(a[0], int(a[1]))
		default:
			t.Errorf("%s: no test for %s", c.ID, c.Fn)
			continue
		}
		rel := tol
		if float64(want) < 1e-9 { // the table's absolute term would let a tail pass as zero
			rel.Abs = 0
		}
		if float64(want) == 0 || float64(want) == 1 {
			rel = tol
		}
		if !rel.Near(got, float64(want)) {
			t.Errorf("%s%v = %v, want %v", c.ID, a, got, float64(want))
		}
	}
}

// TestQuantilesInvert checks that each quantile function inverts its distribution function, in the tails too.
func TestQuantilesInvert(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		p := math.Pow(10, rapid.Float64Range(-9, -0.0001).Draw(rt, "log p"))
		if rapid.Bool().Draw(rt, "upper") {
			p = 1 - p
		}
		df := rapid.Float64Range(0.5, 5000).Draw(rt, "df")
		b := rapid.Float64Range(0.3, 3000).Draw(rt, "b")
		for what, f := range map[string]struct {
			x   float64
			cdf func(float64) float64
		}{
			"normal":      {stat.NormalQuantile(p), stat.NormalCDF},
			"t":           {stat.TQuantile(p, df), func(x float64) float64 { return stat.TCDF(x, df) }},
			"chi-squared": {stat.ChiSquaredQuantile(p, df), func(x float64) float64 { return stat.ChiSquaredCDF(x, df) }},
			"beta":        {stat.BetaQuantile(p, df, b), func(x float64) float64 { return stat.BetaCDF(x, df, b) }},
		} {
			// Where the distribution is steep, neighbours of x are further apart than the tolerance.
			slack := 1e-8*math.Min(p, 1-p) + 1e-11
			e := 4e-16 * math.Abs(f.x)
			if lo, hi := f.cdf(f.x-e), f.cdf(f.x+e); p < lo-slack || p > hi+slack {
				rt.Fatalf("%s: df %v, b %v: p %v comes back as %v", what, df, b, p, f.cdf(f.x))
			}
		}
	})
}

func TestDistributionsRefuse(t *testing.T) {
	nan := math.NaN()
	for what, v := range map[string]float64{
		"normal quantile of NaN": stat.NormalQuantile(nan), "normal quantile of 2": stat.NormalQuantile(2),
		"t of no df": stat.TCDF(1, 0), "t quantile": stat.TQuantile(-1, 3), "t quantile of NaN df": stat.TQuantile(0.2, nan),
		"chi-squared": stat.ChiSquaredSF(nan, 1), "beta": stat.BetaCDF(0.5, 0, 1), "beta quantile": stat.BetaQuantile(0.5, 1, nan), "f": stat.FSF(1, 0, 1),
	} {
		if !math.IsNaN(v) {
			t.Errorf("%s is %v, want NaN", what, v)
		}
	}
	for what, pair := range map[string][2]float64{
		"normal at 0": {stat.NormalQuantile(0), math.Inf(-1)}, "normal at 1": {stat.NormalQuantile(1), math.Inf(1)},
		"t at 1": {stat.TQuantile(1, 3), math.Inf(1)}, "t at infinity": {stat.TCDF(math.Inf(1), 3), 1}, "t at minus infinity": {stat.TCDF(math.Inf(-1), 3), 0},
		"t of infinite df":        {stat.TQuantile(0.025, math.Inf(1)), stat.NormalQuantile(0.025)},
		"chi-squared at infinity": {stat.ChiSquaredSF(math.Inf(1), 3), 0}, "chi-squared below 0": {stat.ChiSquaredSF(-1, 3), 1},
		"f at infinity": {stat.FSF(math.Inf(1), 3, 3), 0},
	} {
		if pair[0] != pair[1] {
			t.Errorf("%s is %v, want %v", what, pair[0], pair[1])
		}
	}
}

// TestTFarOut: tails of many degrees of freedom keep their digits; the values are SciPy 1.17.1's scipy.stats.t.sf.
func TestTFarOut(t *testing.T) {
	for _, c := range []struct{ x, df, want float64 }{
		{4, 100, 6.0761822150380886e-05},
		{9, 1000, 5.564538585935727e-19},
		{9, 5000, 1.5738215986324778e-19},
		{10, 1e5, 7.816507650103626e-24},
		{20, 1e6, 2.866543523695134e-89},
		{37, 1e5, 5.987314121711992e-298},
		{8.5, 123.4, 2.5989794516630533e-14},
		{3.5, 2e5, 0.00023267967086046629},
	} {
		if got := stat.TSF(c.x, c.df); math.Abs(got/c.want-1) > 1e-8 {
			t.Errorf("P(T > %v) of %v degrees of freedom is %v, want %v", c.x, c.df, got, c.want)
		}
	}
}
