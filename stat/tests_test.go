package stat_test

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/assaytest"
	"github.com/assay-ml/assay/stat"
	"pgregory.net/rapid"
)

func TestTwoSampleOracle(t *testing.T) {
	cases, tol := assaytest.Oracle(t, "stat/two_sample.json")
	for _, c := range cases {
		t.Run(c.ID, func(t *testing.T) {
			x, y := assaytest.Floats(t, c.Args["x"]), assaytest.Floats(t, c.Args["y"])
			want := fields(t, c.Value)
			switch c.Fn {
			case "ks_2samp":
				for _, alt := range []stat.Alternative{stat.TwoSided, stat.Less, stat.Greater} {
					for name, m := range map[string]stat.NullMethod{"exact": stat.Exact, "asymp": stat.Asymptotic} {
						name = fmt.Sprintf("ks_%s_%s", alt, name)
						nearTest(t, name, tol, stat.KolmogorovSmirnov(x, y, alt, m), want.floats(name))
					}
				}
			case "two_sample":
				got := map[string]stat.Test{
					"mannwhitney_asymptotic":               stat.MannWhitney(x, y, stat.MannWhitneyOptions{}),
					"mannwhitney_asymptotic_no_continuity": stat.MannWhitney(x, y, stat.MannWhitneyOptions{NoCorrection: true}),
					"mannwhitney_exact":                    stat.MannWhitney(x, y, stat.MannWhitneyOptions{Method: stat.Exact}),
					"cramervonmises_asymptotic":            stat.CramerVonMises(x, y, stat.Asymptotic),
					"anderson_midrank":                     stat.AndersonDarling(true, x, y),
					"anderson_right":                       stat.AndersonDarling(false, x, y),
					"welch_t":                              stat.Welch(x, y),
				}
				if len(x) <= 20 {
					got["cramervonmises_exact"] = stat.CramerVonMises(x, y, stat.Exact)
				}
				for name := range want.raw {
					switch name {
					case "wasserstein":
						if d := stat.Wasserstein(x, y, nil, nil); !tol.Near(d, want.float(name)) {
							t.Errorf("%s %v, want %v", name, d, want.float(name))
						}
					case "energy":
						if d := stat.Energy(x, y, nil, nil); !tol.Near(d, want.float(name)) {
							t.Errorf("%s %v, want %v", name, d, want.float(name))
						}
					default:
						g, ok := got[name]
						if !ok {
							t.Fatalf("no test for %s", name)
						}
						nearTest(t, name, tol, g, want.floats(name))
						delete(got, name)
					}
				}
				for name, g := range got { // what the peer refuses
					if g.Defined() {
						t.Errorf("%s: %+v, want undefined", name, g)
					}
				}
			case "k_sample":
				var samples [][]float64
				into(t, c.Args["samples"], &samples)
				nearTest(t, "anderson", tol, stat.AndersonDarling(true, samples...), want.floats("anderson_midrank"))
				nearTest(t, "kruskal", tol, stat.KruskalWallis(samples...), want.floats("kruskal"))
				nearTest(t, "anova", tol, stat.ANOVA(samples...), want.floats("anova"))
			case "weighted_distance":
				wx, wy := assaytest.Floats(t, c.Args["wx"]), assaytest.Floats(t, c.Args["wy"])
				if d := stat.Wasserstein(x, y, wx, wy); !tol.Near(d, want.float("wasserstein")) {
					t.Errorf("wasserstein %v, want %v", d, want.float("wasserstein"))
				}
				if d := stat.Energy(x, y, wx, wy); !tol.Near(d, want.float("energy")) {
					t.Errorf("energy %v, want %v", d, want.float("energy"))
				}
			default:
				t.Fatalf("no test for %s", c.Fn)
			}
		})
	}
}

func TestContingencyOracle(t *testing.T) {
	cases, tol := assaytest.Oracle(t, "stat/contingency.json")
	for _, c := range cases {
		t.Run(c.ID, func(t *testing.T) {
			switch c.Fn {
			case "contingency":
				var table [][]float64
				into(t, c.Args["table"], &table)
				got, err := stat.NewContingency(table)
				if c.Error != nil {
					if assay.CodeOf(err) != assay.Invalid {
						t.Fatalf("must be refused as invalid, got %v", err)
					}
					return
				}
				if err != nil {
					t.Fatal(err)
				}
				want := fields(t, c.Value)
				nearTest(t, "chi2", tol, got.ChiSquared, want.floats("chi2"))
				nearTest(t, "yates", tol, got.Yates, want.floats("chi2_yates"))
				nearTest(t, "g", tol, got.G, want.floats("g_test"))
				if !tol.Near(got.CramersV, want.float("cramers_v")) {
					t.Errorf("V %v, want %v", got.CramersV, want.float("cramers_v"))
				}
				if raw, ok := want.raw["fisher"]; ok {
					fisher := fields(t, raw)
					for _, alt := range []stat.Alternative{stat.TwoSided, stat.Less, stat.Greater} {
						f := stat.Fisher(int64(table[0][0]), int64(table[0][1]), int64(table[1][0]), int64(table[1][1]), alt)
						nearTest(t, "fisher "+string(alt), tol, f, fisher.floats(string(alt)))
					}
				}
			case "goodness_of_fit":
				chi2, g := stat.GoodnessOfFit(assaytest.Floats(t, c.Args["observed"]), assaytest.Floats(t, c.Args["expected"]))
				want := fields(t, c.Value)
				nearTest(t, "chi2", tol, chi2, want.floats("chi2"))
				nearTest(t, "g", tol, g, want.floats("g"))
			default:
				t.Fatalf("no test for %s", c.Fn)
			}
		})
	}
}

func TestDistanceOracle(t *testing.T) {
	cases, tol := assaytest.Oracle(t, "stat/distance.json")
	for _, c := range cases {
		t.Run(c.ID, func(t *testing.T) {
			ref, cur := assaytest.Floats(t, c.Args["ref"]), assaytest.Floats(t, c.Args["cur"])
			want := fields(t, c.Value)
			switch c.Fn {
			case "distance":
				d, err := stat.NewDistances(ref, cur)
				if err != nil {
					t.Fatal(err)
				}
				for name, got := range map[string]float64{
					"psi_floor_1e-4": d.PSI, "kl_ref_cur": d.KL, "js_distance_base2": d.JensenShannon, "js_distance_nat": d.JensenShannon * math.Sqrt(math.Ln2),
					"hellinger": d.Hellinger, "tvd": d.TotalVariance, "linf": d.LInfinity, "bhattacharyya": d.Bhattacharyya,
				} {
					if !tol.Near(got, want.float(name)) {
						t.Errorf("%s %v, want %v", name, got, want.float(name))
					}
				}
			case "psi_binned":
				for name, edges := range map[string][]float64{"decile": stat.DecileEdges(ref), "width10": stat.WidthEdges(ref, 10)} {
					want := fields(t, want.get(name))
					inner := want.floats("inner_edges")
					if len(edges) != len(inner) {
						t.Fatalf("%s: edges %v, want %v", name, edges, inner)
					}
					for i := range edges {
						if !tol.Near(edges[i], inner[i]) {
							t.Errorf("%s: edge %v, want %v", name, edges[i], inner[i])
						}
					}
					r, c := stat.BinCounts(ref, edges), stat.BinCounts(cur, edges)
					if !slices.Equal(r, want.floats("ref_counts")) || !slices.Equal(c, want.floats("cur_counts")) {
						t.Errorf("%s: counts %v and %v, want %v and %v", name, r, c, want.floats("ref_counts"), want.floats("cur_counts"))
					}
					if d, err := stat.NewDistances(r, c); err != nil || !tol.Near(d.PSI, want.float("psi")) {
						t.Errorf("%s: psi %v, want %v", name, d.PSI, want.float("psi"))
					}
				}
			default:
				t.Fatalf("no test for %s", c.Fn)
			}
		})
	}
}

func TestAdjustOracle(t *testing.T) {
	cases, tol := assaytest.Oracle(t, "stat/multiplicity.json")
	names := map[string]stat.Correction{
		"bonferroni": stat.Bonferroni, "holm": stat.Holm, "holm-sidak": stat.HolmSidak, "hommel": stat.Hommel, "fdr_bh": stat.BH, "fdr_by": stat.BY,
	}
	for _, c := range cases {
		t.Run(c.ID, func(t *testing.T) {
			if c.Fn != "adjust" {
				t.Fatalf("no test for %s", c.Fn)
			}
			all := fields(t, c.Value)
			for name := range all.raw {
				want := fields(t, all.get(name))
				got := stat.Adjust(assaytest.Floats(t, c.Args["p"]), names[name])
				var reject []bool
				into(t, want.get("reject_0.05"), &reject)
				for i, w := range want.floats("adjusted") {
					if !tol.Near(got[i], w) || (got[i] <= 0.05) != reject[i] {
						t.Errorf("%s %d: %v, want %v, rejected: %v", name, i, got[i], w, reject[i])
					}
				}
			}
		})
	}
}

func TestCorrelationOracle(t *testing.T) {
	cases, tol := assaytest.Oracle(t, "stat/correlation.json")
	for _, c := range cases {
		t.Run(c.ID, func(t *testing.T) {
			if c.Fn != "correlation" {
				t.Fatalf("no test for %s", c.Fn)
			}
			x, y := assaytest.Floats(t, c.Args["x"]), assaytest.Floats(t, c.Args["y"])
			d := make([]float64, len(x))
			for i := range x {
				d[i] = x[i] - y[i]
			}
			want := fields(t, c.Value)
			e, test := stat.Pearson(x, y, 0.95)
			nearTest(t, "pearson", tol, test, want.floats("pearson"))
			nearInterval(t, "pearson", tol, e, want.floats("pearson_ci"))
			nearTest(t, "spearman", tol, stat.Spearman(x, y), want.floats("spearman"))
			nearTest(t, "kendall", tol, stat.Kendall(x, y, stat.Asymptotic), want.floats("kendall_b"))
			nearTest(t, "wilcoxon", tol, stat.Wilcoxon(d), want.floats("wilcoxon_asymptotic"))
			nearTest(t, "paired t", tol, stat.PairedT(d), want.floats("paired_t"))
		})
	}
}

// TestTestsProperties checks what holds of every two-sample test: p-values within bounds, independence of the order of rows, symmetry.
func TestTestsProperties(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		values := rapid.SliceOfN(rapid.Float64Range(-3, 3), 2, 25)
		if rapid.Bool().Draw(rt, "ties") {
			values = rapid.SliceOfN(rapid.Map(rapid.IntRange(-2, 2), func(i int) float64 { return float64(i) }), 2, 25)
		}
		x, y := values.Draw(rt, "x"), values.Draw(rt, "y")
		back := slices.Clone(x)
		slices.Reverse(back)
		for name, test := range map[string]func(x, y []float64) stat.Test{
			"ks exact":      func(x, y []float64) stat.Test { return stat.KolmogorovSmirnov(x, y, stat.TwoSided, stat.Exact) },
			"ks asymptotic": func(x, y []float64) stat.Test { return stat.KolmogorovSmirnov(x, y, stat.TwoSided, stat.Asymptotic) },
			"mann-whitney":  func(x, y []float64) stat.Test { return stat.MannWhitney(x, y, stat.MannWhitneyOptions{}) },
			"cramér":        func(x, y []float64) stat.Test { return stat.CramerVonMises(x, y, stat.Asymptotic) },
			"anderson":      func(x, y []float64) stat.Test { return stat.AndersonDarling(true, x, y) },
			"welch":         stat.Welch,
			"kruskal":       func(x, y []float64) stat.Test { return stat.KruskalWallis(x, y) },
			"anova":         func(x, y []float64) stat.Test { return stat.ANOVA(x, y) },
		} {
			a, b, c := test(x, y), test(y, x), test(back, y)
			if a.Defined() && !(a.P >= 0 && a.P <= 1) {
				rt.Fatalf("%s: p-value %v", name, a.P)
			}
			near := func(p, q float64) bool { return math.IsNaN(p) == math.IsNaN(q) && !(math.Abs(p-q) > 1e-9) }
			if !near(a.P, b.P) || !near(a.P, c.P) {
				rt.Fatalf("%s: p %v, samples exchanged %v, rows reversed %v", name, a.P, b.P, c.P)
			}
		}
		if w := stat.Wasserstein(x, y, nil, nil); !(w >= 0) || w != stat.Wasserstein(y, x, nil, nil) || stat.Wasserstein(x, x, nil, nil) != 0 {
			rt.Fatalf("wasserstein %v", w)
		}
	})
}

// kendallByPairs is τ-b by its definition.
func kendallByPairs(x, y []float64) float64 {
	var sum, nx, ny float64
	sign := func(v float64) float64 {
		switch {
		case v > 0:
			return 1
		case v < 0:
			return -1
		}
		return 0
	}
	for i := range x {
		for j := range i {
			a, b := sign(x[i]-x[j]), sign(y[i]-y[j])
			sum += a * b
			nx += a * a
			ny += b * b
		}
	}
	return sum / math.Sqrt(nx*ny)
}

func TestCorrelationProperties(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		n := rapid.IntRange(3, 60).Draw(rt, "n")
		small := rapid.Map(rapid.IntRange(-4, 4), func(i int) float64 { return float64(i) })
		x, y := rapid.SliceOfN(small, n, n).Draw(rt, "x"), rapid.SliceOfN(small, n, n).Draw(rt, "y")
		k := stat.Kendall(x, y, "")
		if want := kendallByPairs(x, y); math.IsNaN(want) != math.IsNaN(k.Statistic) || math.Abs(k.Statistic-want) > 1e-12 {
			rt.Fatalf("τ-b %v, by pairs %v", k.Statistic, want)
		}
		e, p := stat.Pearson(x, y, 0.95)
		f, _ := stat.Pearson(y, x, 0.95)
		if e.Defined() && (math.Abs(e.Value) > 1 || math.Abs(e.Value-f.Value) > 1e-12 || p.P < 0 || p.P > 1) {
			rt.Fatalf("%+v %+v", e, p)
		}
		if s := stat.Spearman(x, y); s.Defined() && math.Abs(s.Statistic) > 1 {
			rt.Fatalf("spearman %+v", s)
		}
	})
}

// TestKendallExact counts the permutations of five that are at least as far from zero.
func TestKendallExact(t *testing.T) {
	x := []float64{1, 2, 3, 4, 5}
	var all [][]float64
	var permute func(ys []float64, k int)
	permute = func(ys []float64, k int) {
		if k == len(ys) {
			all = append(all, slices.Clone(ys))
			return
		}
		for i := k; i < len(ys); i++ {
			ys[k], ys[i] = ys[i], ys[k]
			permute(ys, k+1)
			ys[k], ys[i] = ys[i], ys[k]
		}
	}
	permute(slices.Clone(x), 0)
	for _, y := range all {
		got := stat.Kendall(x, y, stat.Exact)
		far := 0.0
		for _, z := range all {
			if math.Abs(kendallByPairs(x, z)) >= math.Abs(got.Statistic)-1e-9 {
				far++
			}
		}
		if want := far / 120; math.Abs(got.P-want) > 1e-12 {
			t.Fatalf("%v: p %v, by counting %v", y, got.P, want)
		}
	}
}

func TestAdjustProperties(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		p := rapid.SliceOfN(rapid.Float64Range(0, 1), 1, 30).Draw(rt, "p")
		bonferroni, holm, hommel := stat.Adjust(p, stat.Bonferroni), stat.Adjust(p, stat.Holm), stat.Adjust(p, stat.Hommel)
		bh, by := stat.Adjust(p, stat.BH), stat.Adjust(p, stat.BY)
		for i := range p {
			chain := []float64{p[i], bh[i], hommel[i], holm[i], bonferroni[i], 1}
			for k := 1; k < len(chain); k++ {
				if chain[k] < chain[k-1]-1e-12 {
					rt.Fatalf("p %v: bh, hommel, holm, bonferroni are %v: out of order", p[i], chain[1:5])
				}
			}
			if by[i] < bh[i]-1e-12 || by[i] > 1 {
				rt.Fatalf("by %v, bh %v", by[i], bh[i])
			}
		}
	})
}

func TestTestsUndefined(t *testing.T) {
	nan := math.NaN()
	one, bad := []float64{1, 2, 3}, []float64{1, nan, 3}
	for name, got := range map[string]stat.Test{
		"ks of nothing":           stat.KolmogorovSmirnov(nil, one, stat.TwoSided, ""),
		"ks of NaN":               stat.KolmogorovSmirnov(bad, one, stat.TwoSided, ""),
		"mann-whitney of nothing": stat.MannWhitney(one, nil, stat.MannWhitneyOptions{}),
		"mann-whitney of NaN":     stat.MannWhitney(one, bad, stat.MannWhitneyOptions{}),
		"exact with ties":         stat.MannWhitney(one, one, stat.MannWhitneyOptions{Method: stat.Exact}),
		"cramér of NaN":           stat.CramerVonMises(bad, one, ""),
		"anderson of one":         stat.AndersonDarling(true, one),
		"anderson of NaN":         stat.AndersonDarling(true, bad, one),
		"welch of one row":        stat.Welch(one[:1], one[:1]),
		"kruskal of one":          stat.KruskalWallis(one),
		"kruskal of an empty one": stat.KruskalWallis(one, nil),
		"anova without spread":    stat.ANOVA([]float64{1, 1}, []float64{2, 2}),
		"wilcoxon of zeros":       stat.Wilcoxon([]float64{0, 0}),
		"paired t of nothing":     stat.PairedT(nil),
		"spearman of a constant":  stat.Spearman(one, []float64{1, 1, 1}),
		"spearman of NaN":         stat.Spearman(one, bad),
		"kendall of a constant":   stat.Kendall(one, []float64{1, 1, 1}, ""),
		"kendall of two lengths":  stat.Kendall(one, one[:2], ""),
		"fisher of nothing":       stat.Fisher(0, 0, 0, 0, stat.TwoSided),
		"mcnemar of no discord":   stat.Paired{Both: 3}.McNemar(stat.McNemarChi2),
	} {
		if got.Defined() {
			t.Errorf("%s: %+v, want undefined", name, got)
		}
	}
	for name, err := range map[string]error{
		"ragged":      second(stat.NewContingency([][]float64{{1, 2}, {1}})),
		"one row":     second(stat.NewContingency([][]float64{{1, 2}})),
		"minus":       second(stat.NewContingency([][]float64{{1, 2}, {3, -1}})),
		"NaN":         second(stat.NewContingency([][]float64{{1, 2}, {3, nan}})),
		"lengths":     second(stat.NewDistances([]float64{1}, []float64{1, 2})),
		"empty side":  second(stat.NewDistances([]float64{1, 2}, []float64{0, 0})),
		"minus share": second(stat.NewDistances([]float64{1, -2}, []float64{0, 1})),
	} {
		if assay.CodeOf(err) != assay.Invalid {
			t.Errorf("%s: %v, want an error with code invalid", name, err)
		}
	}
	if g := stat.Adjust([]float64{0.01, nan, 2, 0.04}, stat.Bonferroni); g[0] != 0.02 || !math.IsNaN(g[1]) || !math.IsNaN(g[2]) || g[3] != 0.08 {
		t.Errorf("undefined p-values count as tests: %v", g)
	}
	if d := stat.Wasserstein(one, one, []float64{1, -1, 1}, nil); !math.IsNaN(d) {
		t.Errorf("a negative weight gives %v", d)
	}
	if e, _ := stat.Pearson(one, []float64{1, 1, 1}, 0.95); e.Defined() {
		t.Errorf("correlation with a constant: %+v", e)
	}
	big, _ := stat.Pearson([]float64{1e300, 2e300, 3e300, 4e300}, []float64{1e-300, 2e-300, 3e-300, 5e-300}, 0.95)
	if !(big.Value > 0.9) {
		t.Errorf("correlation of huge and tiny values: %+v", big)
	}
}

func TestCorrectedCramersV(t *testing.T) {
	// By the definition: φ² = χ²/n = 0.16, less 1/(n-1); both margins 2 - 1/(n-1).
	c, err := stat.NewContingency([][]float64{{35, 15}, {15, 35}})
	if err != nil {
		t.Fatal(err)
	}
	want := math.Sqrt((0.16 - 1./99) / (1 - 1./99))
	if math.Abs(c.Corrected-want) > 1e-12 || math.Abs(c.CramersV-0.4) > 1e-12 {
		t.Errorf("V %v corrected %v, want 0.4 and %v", c.CramersV, c.Corrected, want)
	}
	if c, _ := stat.NewContingency([][]float64{{25, 25}, {25, 25}}); c.Corrected != 0 {
		t.Errorf("independent columns: %v", c.Corrected)
	}
}

func ExampleAdjust() {
	fmt.Printf("%.3f\n", stat.Adjust([]float64{0.01, 0.04, 0.03, 0.005, 0.2}, stat.Holm))
	// Output: [0.040 0.090 0.090 0.025 0.200]
}

func ExampleKolmogorovSmirnov() {
	t := stat.KolmogorovSmirnov([]float64{1, 2, 3, 4, 5, 6}, []float64{4, 5, 6, 7, 8, 9}, stat.TwoSided, "")
	fmt.Printf("D = %.2f, p = %.3f\n", t.Statistic, t.P)
	// Output: D = 0.50, p = 0.474
}
