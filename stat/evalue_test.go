package stat_test

import (
	"math"
	"testing"

	"pgregory.net/rapid"

	"github.com/assay-ml/assay/stat"
)

// TestDrawnEValueIsFair holds the expectation after one more trial, whatever was before and whatever the share of each trial: it is what
// it was where the probability is the share, and no more where it is less.
func TestDrawnEValueIsFair(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var before []stat.Drawn
		for range rapid.IntRange(0, 3).Draw(t, "shares") {
			n := rapid.Int64Range(0, 60).Draw(t, "n")
			before = append(before, stat.Drawn{Share: rapid.Float64Range(0.001, 0.999).Draw(t, "share"), N: n, Hits: rapid.Int64Range(0, n).Draw(t, "hits")})
		}
		share := rapid.Float64Range(0.001, 0.999).Draw(t, "the next share")
		now := stat.DrawnEValue(before...)
		hit := stat.DrawnEValue(append(before[:len(before):len(before)], stat.Drawn{Share: share, N: 1, Hits: 1})...)
		miss := stat.DrawnEValue(append(before[:len(before):len(before)], stat.Drawn{Share: share, N: 1})...)
		if got := share*hit + (1-share)*miss; math.Abs(got-now) > 1e-9*now {
			t.Errorf("%v, then %v on average", now, got)
		}
		if p := share * rapid.Float64Range(0, 1).Draw(t, "less"); p*hit+(1-p)*miss > now*(1+1e-9) {
			t.Errorf("%v, then %v on average with the probability %v, less than %v", now, p*hit+(1-p)*miss, p, share)
		}
	})
	if got := stat.DrawnEValue(); got != 1 {
		t.Errorf("%v without trials", got)
	}
	// Three hits of three with the share 0.05: the mean over the grid, by hand.
	want := 0.0
	for theta := math.Sqrt2; theta < 1025; theta *= math.Sqrt2 {
		want += math.Pow(theta/(0.05*theta+0.95), 3) / 20
	}
	if got := stat.DrawnEValue(stat.Drawn{Share: 0.05, Hits: 3, N: 3}); math.Abs(got-want) > 1e-9*want {
		t.Errorf("%v, want %v", got, want)
	}
	for _, bad := range []stat.Drawn{{Share: 0.5, Hits: -1, N: 2}, {Share: 0.5, Hits: 3, N: 2}, {Share: 0, Hits: 1, N: 2}, {Share: 1, Hits: 1, N: 2}} {
		if got := stat.DrawnEValue(bad); !math.IsNaN(got) {
			t.Errorf("%+v: %v, want NaN", bad, got)
		}
	}
}

// TestDrawnEValueWhenever looks after every trial: without an effect it reaches 1/α in at most a share α of the runs, also where the share
// is changed on the way; with one in nearly all, and soon.
func TestDrawnEValueWhenever(t *testing.T) {
	const runs, length, alpha = 1000, 250, 0.05
	r := stat.NewRand(11)
	reached := func(p float64, shares ...float64) (share, mean float64) {
		for range runs {
			trials := make([]stat.Drawn, len(shares))
			for i, s := range shares {
				trials[i].Share = s
			}
			for n := range length {
				d := &trials[n*len(shares)/length]
				if d.N++; r.Float64() < p || p == 0 && r.Float64() < d.Share {
					d.Hits++
				}
				if stat.DrawnEValue(trials...) >= 1/alpha {
					share++
					mean += float64(n + 1)
					break
				}
			}
		}
		return share / runs, mean / share
	}
	for _, shares := range [][]float64{{0.05}, {0.5}, {0.05, 0.2, 0.5}} {
		share, _ := reached(0, shares...)
		t.Logf("no effect at %v: %.4f", shares, share)
		if limit := alpha + 3*math.Sqrt(alpha*(1-alpha)/runs); share > limit {
			t.Errorf("no effect at %v: %.4f of the runs reach it, at most %.2f may", shares, share, alpha)
		}
	}
	for _, x := range []struct{ p, share, most float64 }{{0.95, 0.5, 12}, {0.9, 0.05, 4}, {0.2, 0.05, 100}} {
		share, mean := reached(x.p, x.share)
		t.Logf("%v for %v: %.3f of the runs, after %.1f trials", x.p, x.share, share, mean)
		if share < 0.99 || mean > x.most {
			t.Errorf("%v for %v: %.3f of the runs, after %.1f trials", x.p, x.share, share, mean)
		}
	}
}
