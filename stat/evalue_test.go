package stat_test

import (
	"math"
	"testing"

	"github.com/assay-ml/assay/stat"
)

// TestShareEValue holds the closed form against the integral by Simpson's rule.
func TestShareEValue(t *testing.T) {
	for _, x := range []struct {
		k, n int64
		p0   float64
	}{{0, 0, 0.5}, {3, 3, 0.5}, {0, 5, 0.5}, {12, 15, 0.5}, {5, 40, 0.05}, {60, 100, 0.3}, {1, 1, 0.01}} {
		f := func(q float64) float64 {
			return math.Pow(q/x.p0, float64(x.k)) * math.Pow((1-q)/(1-x.p0), float64(x.n-x.k)) / (1 - x.p0)
		}
		const steps = 20_000
		h := (1 - x.p0) / steps
		sum := f(x.p0) + f(1)
		for i := 1; i < steps; i++ {
			sum += map[bool]float64{true: 4, false: 2}[i%2 == 1] * f(x.p0+float64(i)*h)
		}
		want := sum * h / 3
		if got := stat.ShareEValue(x.k, x.n, x.p0); math.Abs(got-want) > 1e-9*want {
			t.Errorf("%d of %d against %v: %v, want %v", x.k, x.n, x.p0, got, want)
		}
	}
	for _, bad := range []float64{stat.ShareEValue(-1, 2, 0.5), stat.ShareEValue(3, 2, 0.5), stat.ShareEValue(1, 2, 0), stat.ShareEValue(1, 2, 1)} {
		if !math.IsNaN(bad) {
			t.Errorf("%v, want NaN", bad)
		}
	}
}

// TestShareEValueWhenever looks after every trial: without an effect it reaches 1/α in at most a share α of the runs, with one in nearly
// all, and soon.
func TestShareEValueWhenever(t *testing.T) {
	const runs, length, alpha = 1000, 250, 0.05
	r := stat.NewRand(11)
	reached := func(p, p0 float64) (share, mean float64) {
		for range runs {
			var k, n int64
			for n < length {
				if r.Float64() < p {
					k++
				}
				if n++; stat.ShareEValue(k, n, p0) >= 1/alpha {
					share++
					mean += float64(n)
					break
				}
			}
		}
		return share / runs, mean / share
	}
	for _, p0 := range []float64{0.05, 0.5} {
		share, _ := reached(p0, p0)
		t.Logf("no effect at %v: %.4f", p0, share)
		if limit := alpha + 3*math.Sqrt(alpha*(1-alpha)/runs); share > limit {
			t.Errorf("no effect at %v: %.4f of the runs reach it, at most %.2f may", p0, share, alpha)
		}
	}
	if share, mean := reached(0.95, 0.5); share < 0.999 || mean > 12 {
		t.Errorf("nineteen of twenty: %.3f of the runs, after %.1f trials", share, mean)
	}
}
