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

func positives(y []float64) []bool {
	out := make([]bool, len(y))
	for i, v := range y {
		out[i] = v == 1
	}
	return out
}

func TestDeLongOracle(t *testing.T) {
	cases, tol := assaytest.Oracle(t, "stat/auc.json")
	for _, c := range cases {
		t.Run(c.ID, func(t *testing.T) {
			if c.Fn != "delong" {
				t.Fatalf("no test for %s", c.Fn)
			}
			level := 0.0
			into(t, c.Args["level"], &level)
			d, err := stat.NewDeLong(positives(assaytest.Floats(t, c.Args["y"])), assaytest.Floats(t, c.Args["s1"]), assaytest.Floats(t, c.Args["s2"]))
			if err != nil {
				t.Fatal(err)
			}
			var want struct {
				AUC      [2]float64  `json:"auc"`
				Variance [2]float64  `json:"variance"`
				Cov      float64     `json:"covariance"`
				Wald     [][]float64 `json:"ci_wald"`
				Logit    [][]float64 `json:"ci_logit"`
				Paired   struct {
					Difference float64   `json:"difference"`
					Variance   float64   `json:"variance"`
					CI         []float64 `json:"ci"`
					Z          float64   `json:"z"`
					P          float64   `json:"p"`
				} `json:"paired"`
			}
			into(t, c.Value, &want)
			for i := range 2 {
				if !tol.Near(d.AUC(i), want.AUC[i]) || !tol.Near(d.Variance(i), want.Variance[i]) {
					t.Errorf("score %d: area %v variance %v, want %v and %v", i, d.AUC(i), d.Variance(i), want.AUC[i], want.Variance[i])
				}
				nearInterval(t, "wald", tol, d.Estimate(i, level, stat.AUCWald), want.Wald[i])
				nearInterval(t, "logit", tol, d.Estimate(i, level, stat.AUCLogit), want.Logit[i])
			}
			if !tol.Near(d.Covariance(0, 1), want.Cov) {
				t.Errorf("covariance %v, want %v", d.Covariance(0, 1), want.Cov)
			}
			e, test := d.Difference(0, 1, level)
			if !tol.Near(e.Value, want.Paired.Difference) {
				t.Errorf("difference %v, want %v", e.Value, want.Paired.Difference)
			}
			nearInterval(t, "difference", tol, e, want.Paired.CI)
			nearTest(t, "difference", tol, test, []float64{want.Paired.Z, want.Paired.P})
		})
	}
}

// TestDeLongUnpaired compares with the formula written out on the tables' rows: an unpaired test has no case of its own.
func TestDeLongUnpaired(t *testing.T) {
	y := []bool{false, true, false, true, true, false, false, true}
	a, _ := stat.NewDeLong(y, []float64{1, 2, 3, 4, 5, 2.5, 0, 2.2})
	b, _ := stat.NewDeLong(y[:7], []float64{3, 2, 1, 4, 2.5, 2, 0})
	e, test := a.UnpairedDifference(0, b, 0, 0.95)
	v, w := a.Variance(0), b.Variance(0)
	df := (v + w) * (v + w) / (v*v/7 + w*w/6)
	tol := assaytest.Tolerance{Rel: 1e-9}
	z := (a.AUC(0) - b.AUC(0)) / math.Sqrt(v+w)
	nearTest(t, "unpaired", tol, test, []float64{z, 2 * stat.TCDF(-math.Abs(z), df), df})
	h := stat.TQuantile(0.975, df) * math.Sqrt(v+w)
	nearInterval(t, "unpaired", tol, e, []float64{a.AUC(0) - b.AUC(0) - h, a.AUC(0) - b.AUC(0) + h})
}

// byPairs is the area by its definition.
func byPairs(positive []bool, s []float64) float64 {
	var sum, n float64
	for i, y := range positive {
		for j, z := range positive {
			if !y || z {
				continue
			}
			n++
			if s[i] > s[j] {
				sum++
			} else if s[i] == s[j] {
				sum += 0.5
			}
		}
	}
	return sum / n
}

func TestDeLongProperties(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		n := rapid.IntRange(4, 700).Draw(rt, "n") // both below and above where the sort changes its method
		r := stat.NewRand(rapid.Uint64().Draw(rt, "seed"))
		levels := rapid.SampledFrom([]int{3, 20, 1 << 30}).Draw(rt, "levels")
		y, s, mono, neg := make([]bool, n), make([]float64, n), make([]float64, n), make([]float64, n)
		for i := range y {
			y[i] = r.Intn(3) == 0
			s[i] = float64(r.Intn(levels)-levels/2) / 8
			mono[i] = math.Atan(s[i]/float64(levels)) * 5
			neg[i] = -s[i]
		}
		y[0], y[1], y[2], y[3] = true, true, false, false
		d, err := stat.NewDeLong(y, s, mono, neg)
		if err != nil {
			rt.Fatal(err)
		}
		if a := byPairs(y, s); math.Abs(d.AUC(0)-a) > 1e-12 {
			rt.Fatalf("area %v, by all pairs %v", d.AUC(0), a)
		}
		if math.Abs(d.AUC(0)+d.AUC(2)-1) > 1e-12 || math.Abs(d.Variance(0)-d.Variance(2)) > 1e-12 {
			rt.Fatalf("reversing the score: areas %v and %v, variances %v and %v", d.AUC(0), d.AUC(2), d.Variance(0), d.Variance(2))
		}
		if levels < 1<<30 && (d.AUC(0) != d.AUC(1) || d.Variance(0) != d.Variance(1)) {
			rt.Fatalf("a monotone map of the score changed area %v to %v", d.AUC(0), d.AUC(1))
		}
		perm := r.Perm(n)
		yp, sp := make([]bool, n), make([]float64, n)
		for i, j := range perm {
			yp[i], sp[i] = y[j], s[j]
		}
		p, _ := stat.NewDeLong(yp, sp)
		if p.AUC(0) != d.AUC(0) || math.Abs(p.Variance(0)-d.Variance(0)) > 1e-12 {
			rt.Fatalf("the order of rows matters: %v and %v", p, d)
		}
		for _, m := range []stat.AUCMethod{"", stat.AUCWald, stat.AUCNewcombe} {
			if e := d.Estimate(0, 0.9, m); !(e.Lo >= 0 && e.Lo <= e.Value && e.Value <= e.Hi && e.Hi <= 1) {
				rt.Fatalf("method %q: %+v", m, e)
			}
		}
	})
}

func TestDeLongUndefined(t *testing.T) {
	one, err := stat.NewDeLong([]bool{true, true}, []float64{1, 2})
	if err != nil {
		t.Fatal(err)
	}
	if e := one.Estimate(0, 0.95, ""); e.Defined() {
		t.Errorf("one class: %+v", e)
	}
	few, _ := stat.NewDeLong([]bool{true, false, false}, []float64{1, 2, 0}, []float64{1, 2, 3})
	if e := few.Estimate(0, 0.95, ""); e.Value != 0.5 || e.HasInterval() {
		t.Errorf("one positive: %+v", e)
	}
	if e, test := few.Difference(0, 1, 0.95); e.HasInterval() || test.Defined() {
		t.Errorf("difference with one positive: %+v %+v", e, test)
	}
	perfect, _ := stat.NewDeLong([]bool{true, true, false, false, false}, []float64{5, 4, 3, 2, 1})
	if e := perfect.Estimate(0, 0.95, ""); e.Value != 1 || e.Hi != 1 || !(e.Lo > 0.3 && e.Lo < 0.9) {
		t.Errorf("perfect separation of five rows: %+v, want a wide interval", e)
	}
	same, _ := stat.NewDeLong([]bool{true, true, false, false}, []float64{5, 1, 3, 2}, []float64{5, 1, 3, 2})
	if e, test := same.Difference(0, 1, 0.95); e.Lo != 0 || e.Hi != 0 || test.Defined() {
		t.Errorf("a score and itself: %+v %+v", e, test)
	}
	for what, scores := range map[string][]float64{"length": {1}, "undefined": {1, math.NaN()}} {
		if _, err := stat.NewDeLong([]bool{true, false}, scores); assay.CodeOf(err) != assay.Invalid {
			t.Errorf("%s: %v", what, err)
		}
	}
	inf, err := stat.NewDeLong([]bool{true, false, true, false}, []float64{math.Inf(1), math.Inf(-1), 0, math.Copysign(0, -1)})
	if err != nil || inf.AUC(0) != 0.875 {
		t.Errorf("infinite scores and two zeros: %v %v, want 0.875", inf.AUC(0), err)
	}
}

func ExampleNewDeLong() {
	positive := []bool{false, false, true, false, true, true, false, true}
	a := []float64{0.1, 0.4, 0.35, 0.2, 0.8, 0.7, 0.3, 0.9}
	b := []float64{0.5, 0.4, 0.35, 0.6, 0.8, 0.3, 0.2, 0.9}
	d, err := stat.NewDeLong(positive, a, b)
	if err != nil {
		panic(err)
	}
	diff, test := d.Difference(0, 1, 0.95)
	fmt.Println(d.Estimate(0, 0.95, ""))
	fmt.Printf("%v, p = %.2f\n", diff, test.P)
	// Output:
	// 0.94 [0.51, 0.99]
	// 0.31 [-0.12, 0.75], p = 0.16
}

func BenchmarkDeLong(b *testing.B) {
	const n = 1_000_000
	r := stat.NewRand(1)
	y, s, u := make([]bool, n), make([]float64, n), make([]float64, n)
	for i := range y {
		y[i] = r.Intn(5) == 0
		s[i] = r.Normal()
		if y[i] {
			s[i]++
		}
		u[i] = float64(float32(1 / (1 + math.Exp(-s[i]-0.5*r.Normal()))))
	}
	b.Run("float64", func(b *testing.B) {
		for b.Loop() {
			stat.NewDeLong(y, s)
		}
	})
	b.Run("float32", func(b *testing.B) {
		for b.Loop() {
			stat.NewDeLong(y, u)
		}
	})
	b.Run("paired", func(b *testing.B) {
		for b.Loop() {
			stat.NewDeLong(y, s, u)
		}
	})
}
