package stat_test

import (
	"math"
	"testing"

	"github.com/assay-ml/assay/internal/assaytest"
	"github.com/assay-ml/assay/stat"
	"pgregory.net/rapid"
)

func TestMonitorOracle(t *testing.T) {
	cases, tol := assaytest.Oracle(t, "stat/drift.json")
	seen := map[string]int{}
	for _, c := range cases {
		seen[c.Fn]++
		t.Run(c.ID, func(t *testing.T) {
			want := fields(t, c.Value)
			columns := 0
			if raw, ok := c.Args["columns"]; ok {
				into(t, raw, &columns)
			}
			switch c.Fn {
			case "delay":
				var arrived []bool
				into(t, c.Args["arrived"], &arrived)
				curve, err := stat.NewDelayCurve(assaytest.Floats(t, c.Args["age"]), arrived)
				if err != nil {
					t.Fatal(err)
				}
				coverage, lo, hi := want.floats("coverage"), want.floats("lo"), want.floats("hi")
				for i, at := range want.floats("at") {
					e := curve.Coverage(at, 0.95)
					if !tol.Near(e.Value, coverage[i]) || e.HasInterval() && (!tol.Near(e.Lo, lo[i]) || !tol.Near(e.Hi, hi[i])) || !e.HasInterval() && coverage[i] > 0 && coverage[i] < 1 {
						t.Errorf("at %v: %v [%v, %v], want %v [%v, %v]", at, e.Value, e.Lo, e.Hi, coverage[i], lo[i], hi[i])
					}
				}
			case "pca":
				ref := assaytest.Floats(t, c.Args["reference"])
				r, err := stat.NewReconstruction(ref, columns, 0)
				if err != nil {
					t.Fatal(err)
				}
				var k int
				into(t, want.get("components"), &k)
				own, err := r.Errors(ref)
				if err != nil {
					t.Fatal(err)
				}
				var mean float64
				for _, e := range own {
					mean += e / float64(len(own))
				}
				got, err := r.Errors(assaytest.Floats(t, c.Args["window"]))
				if err != nil {
					t.Fatal(err)
				}
				if r.Components() != k || !tol.Near(mean, want.floats("reference")[0]) {
					t.Errorf("%d components, mean error %v, want %d, %v", r.Components(), mean, k, want.floats("reference")[0])
				}
				for i, w := range want.floats("window") {
					if !tol.Near(got[i], w) {
						t.Errorf("row %d: %v, want %v", i, got[i], w)
					}
				}
			}
		})
	}
	for _, fn := range []string{"counts", "edges", "delay", "pca"} {
		if seen[fn] == 0 {
			t.Errorf("the table has no %s", fn)
		}
	}
}

// Correlations that flip while every column stays as it was are seen by the reconstruction.
func TestMultivariateSeesWhatColumnsDoNot(t *testing.T) {
	table := func(sign float64, n int, stream uint64) []float64 {
		r := stat.NewRand(31, stream)
		var out []float64
		for range n {
			a, b := r.Normal(), r.Normal()
			out = append(out, a, sign*0.9*a+math.Sqrt(1-0.81)*b, r.Normal())
		}
		return out
	}
	ref, same, flipped := table(1, 2000, 1), table(1, 500, 2), table(-1, 500, 3)
	r, err := stat.NewReconstruction(ref, 3, 0.6)
	if err != nil {
		t.Fatal(err)
	}
	mean := func(x []float64) stat.Test {
		e, err := r.Errors(x)
		if err != nil {
			t.Fatal(err)
		}
		own, err := r.Errors(ref)
		if err != nil {
			t.Fatal(err)
		}
		return stat.MannWhitney(own, e, stat.MannWhitneyOptions{})
	}
	if p := mean(same).P; p < 0.01 {
		t.Errorf("reconstruction alarms without drift: %v", p)
	}
	if p := mean(flipped).P; p > 1e-6 {
		t.Errorf("reconstruction does not see the flip: %v", p)
	}
	if a, b := stat.FrequencyCode([]float64{3, 1, 0}), []float64{0.75, 0.25, 0}; a[0] != b[0] || a[1] != b[1] || a[2] != 0 {
		t.Errorf("codes %v", a)
	}
	for name, err := range map[string]error{
		"one row": refused(stat.NewReconstruction([]float64{1, 2}, 2, 0)), "share": refused(stat.NewReconstruction(ref, 3, 1)), "infinite": refused(stat.NewReconstruction([]float64{1, math.Inf(1)}, 1, 0)),
		"undefined": refused(stat.NewReconstruction([]float64{math.NaN(), math.NaN()}, 1, 0)), "ragged": refused(r.Errors(ref[:4])),
	} {
		if err == nil {
			t.Errorf("%s: answered", name)
		}
	}
}

func refused[T any](_ T, err error) error { return err }

// What is censored at random does not bias the curve; the plain share of labels that are there does.
func TestDelayCurveIsUnbiased(t *testing.T) {
	r := stat.NewRand(41)
	const sets, n, at = 300, 200, 10.0
	truth := 0.8 * (1 - math.Exp(-at/8)) // a fifth of the labels never comes
	var mean, plain, covered float64
	for range sets {
		age, arrived := make([]float64, n), make([]bool, n)
		var there float64
		for i := range age {
			delay, now := 8*r.Exponential(), 30*r.Float64()
			if r.Float64() < 0.2 {
				delay = math.Inf(1)
			}
			age[i], arrived[i] = min(delay, now), delay <= now
			if delay <= min(now, at) {
				there++
			}
		}
		c, err := stat.NewDelayCurve(age, arrived)
		if err != nil {
			t.Fatal(err)
		}
		e := c.Coverage(at, 0.95)
		mean += e.Value / sets
		plain += there / n / sets
		if e.Lo <= truth && truth <= e.Hi {
			covered++
		}
	}
	if math.Abs(mean-truth) > 0.01 || math.Abs(plain-truth) < 0.03 {
		t.Errorf("curve %v, plain share %v, truth %v", mean, plain, truth)
	}
	if e := stat.Proportion(covered, sets, 0.999, stat.Wilson); e.Hi < 0.95 || e.Lo > 0.95 {
		t.Errorf("the interval covers %s", e)
	}
}

func TestDelayCurveProperties(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		n := rapid.IntRange(1, 40).Draw(rt, "n")
		age := rapid.SliceOfN(rapid.Float64Range(0, 9), n, n).Draw(rt, "age")
		arrived := rapid.SliceOfN(rapid.Bool(), n, n).Draw(rt, "arrived")
		c, err := stat.NewDelayCurve(age, arrived)
		if err != nil {
			rt.Fatal(err)
		}
		last := 0.0
		for x := 0.0; x <= c.Oldest(); x += 0.5 {
			e := c.Coverage(x, 0.9)
			if !(e.Value >= last && e.Value <= 1) || e.HasInterval() && !(e.Lo <= e.Value && e.Value <= e.Hi) {
				rt.Fatalf("coverage %v at %v after %v", e, x, last)
			}
			last = e.Value
			if last > 0 && !(c.Age(last) <= x) {
				rt.Fatalf("a share of %v by %v, but Age says %v", last, x, c.Age(last))
			}
		}
		if e := c.Coverage(c.Oldest()+1, 0.9); e.Defined() {
			rt.Fatalf("%v beyond the oldest", e)
		}
	})
	for name, err := range map[string]error{
		"none": refused(stat.NewDelayCurve(nil, nil)), "lengths": refused(stat.NewDelayCurve([]float64{1}, nil)), "negative": refused(stat.NewDelayCurve([]float64{-1}, []bool{true})),
	} {
		if err == nil {
			t.Errorf("%s: estimated", name)
		}
	}
}
