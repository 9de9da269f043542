package stat_test

import (
	"math"
	"testing"

	"pgregory.net/rapid"

	"github.com/assay-ml/assay/internal/assaytest"
	"github.com/assay-ml/assay/stat"
)

func TestBetaBinomialTail(t *testing.T) {
	cases, tol := assaytest.Oracle(t, "stat/betabinomial.json")
	for _, c := range cases {
		var x, n int64
		var a, b, want float64
		into(t, c.Args["x"], &x)
		into(t, c.Args["n"], &n)
		into(t, c.Args["a"], &a)
		into(t, c.Args["b"], &b)
		into(t, c.Value, &want)
		if got := stat.BetaBinomialTail(x, n, a, b); !tol.Near(got, want) {
			t.Errorf("%s: %v, want %v", c.ID, got, want)
		}
	}
	if len(cases) < 100 {
		t.Errorf("%d cases", len(cases))
	}
	for _, bad := range []float64{stat.BetaBinomialTail(-1, 3, 1, 1), stat.BetaBinomialTail(4, 3, 1, 1), stat.BetaBinomialTail(1, 3, 0, 1), stat.BetaBinomialTail(1, 3, 1, math.NaN())} {
		if !math.IsNaN(bad) {
			t.Errorf("undefined arguments give %v", bad)
		}
	}
}

func TestBetaBinomialTailFalls(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		n := rapid.Int64Range(1, 300).Draw(rt, "n")
		a, b := rapid.Float64Range(0.5, 1e5).Draw(rt, "a"), rapid.Float64Range(0.5, 1e5).Draw(rt, "b")
		before := 1.0
		for x := range n + 1 {
			p := stat.BetaBinomialTail(x, n, a, b)
			if !(p >= 0 && p <= before+1e-9) {
				rt.Fatalf("P(X ≥ %d) = %v after %v", x, p, before)
			}
			before = p
		}
	})
}
