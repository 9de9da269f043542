package stat_test

import (
	"math"
	"testing"

	"pgregory.net/rapid"

	"github.com/assay-ml/assay/stat"
)

// Both ends are means at which the score statistic is Student's quantile, the interval is mirrored with the values, moves with the
// range, and stays within it.
func TestBoundedMean(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		n := rapid.IntRange(3, 60).Draw(rt, "n")
		v := rapid.SliceOfN(rapid.Float64Range(0, 1), n, n).Draw(rt, "v")
		v[0], v[1] = 0.25, 0.75
		const level = 0.9
		e := stat.BoundedMean(v, 0, 1, level)
		if !e.HasInterval() || !(0 <= e.Lo && e.Lo < e.Value && e.Value < e.Hi && e.Hi <= 1) {
			rt.Fatalf("%v of %v", e, v)
		}
		var variance float64
		for _, x := range v {
			variance += (x - e.Value) * (x - e.Value) / float64(n-1)
		}
		q := stat.TQuantile((1+level)/2, float64(n-1))
		for _, mu := range []float64{e.Lo, e.Hi} {
			// The variance of a value at mean mu is that of a proportion times what the sample has.
			at := mu * (1 - mu) * variance / (e.Value * (1 - e.Value))
			if got := math.Abs(e.Value-mu) / math.Sqrt(at/float64(n)); math.Abs(got-q) > 1e-9*q {
				rt.Fatalf("statistic %v at %v, want %v", got, mu, q)
			}
		}
		mirrored, moved := make([]float64, n), make([]float64, n)
		for i, x := range v {
			mirrored[i], moved[i] = 1-x, 3*x-2
		}
		m, w := stat.BoundedMean(mirrored, 0, 1, level), stat.BoundedMean(moved, -2, 1, level)
		if math.Abs(1-m.Hi-e.Lo) > 1e-12 || math.Abs(1-m.Lo-e.Hi) > 1e-12 {
			rt.Fatalf("%v mirrored is %v", e, m)
		}
		if math.Abs(3*e.Lo-2-w.Lo) > 1e-12 || math.Abs(3*e.Hi-2-w.Hi) > 1e-12 {
			rt.Fatalf("%v moved is %v", e, w)
		}
	})
}

// Many values give Student's interval; of zeros and ones it is about Wilson's.
func TestBoundedMeanAgrees(t *testing.T) {
	r := stat.NewRand(4)
	many, hits := make([]float64, 100_000), make([]float64, 400)
	for i := range many {
		many[i] = 0.2 + 0.6*r.Float64()
	}
	for i := range 30 {
		hits[i] = 1
	}
	a, b := stat.BoundedMean(many, 0, 1, 0.95), stat.Mean(many, 0.95)
	if math.Abs(a.Lo-b.Lo) > 1e-6 || math.Abs(a.Hi-b.Hi) > 1e-6 {
		t.Errorf("%v, Student %v", a, b)
	}
	a, b = stat.BoundedMean(hits, 0, 1, 0.95), stat.Proportion(30, 400, 0.95, stat.Wilson)
	if math.Abs(a.Lo-b.Lo) > 3e-4 || math.Abs(a.Hi-b.Hi) > 3e-4 {
		t.Errorf("%v, Wilson %v", a, b)
	}
}

func TestBoundedMeanRefuses(t *testing.T) {
	for _, v := range [][]float64{{0.5, 0.5, 0.5}, {1, 1, 1}, {0, 0}, {0.4}, {0.1, 1.1}, {-0.1, 0.5}, {0.1, math.NaN()}, nil} {
		if e := stat.BoundedMean(v, 0, 1, 0.95); e.HasInterval() {
			t.Errorf("%v has %v", v, e)
		}
	}
	if e := stat.BoundedMean([]float64{0.1, 0.5}, 0, math.Inf(1), 0.95); e.Defined() {
		t.Errorf("%v", e)
	}
}

func TestParticipation(t *testing.T) {
	for _, x := range []struct {
		v    []float64
		want float64
	}{
		{[]float64{0, 0, 2, 2, -2}, 3},
		{[]float64{1, 0, 0}, 1},
		{[]float64{3, 1}, 1.6},
		{[]float64{1e300, 1e300}, 2},
		{[]float64{0, 0}, 0},
		{nil, 0},
	} {
		if got := stat.Participation(x.v); math.Abs(got-x.want) > 1e-12 {
			t.Errorf("%v: %v, want %v", x.v, got, x.want)
		}
	}
}
