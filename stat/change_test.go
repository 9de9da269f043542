package stat_test

import (
	"math"
	"slices"
	"testing"

	"github.com/assay-ml/assay/internal/assaytest"
	"github.com/assay-ml/assay/stat"
)

// sequence is normal values around one half that rise by so much after a place.
func sequence(n, at int, by float64, stream ...uint64) []float64 {
	g := stat.NewRand(41, stream...)
	out := make([]float64, n)
	for i := range out {
		out[i] = 0.5 + 0.1*g.Normal()
		if i >= at {
			out[i] += 0.1 * by
		}
	}
	return out
}

// The evidence is what decides whether a detector reports: one that is set a little below it does, one a little above it does not.
func TestChangeIsWhereADetectorReports(t *testing.T) {
	for i := range uint64(40) {
		x := sequence(700, 400, float64(i%4)/2, i)
		x[17] = math.NaN()
		c, err := stat.ADWINChange(x, stat.ADWINOptions{})
		if err != nil {
			t.Fatal(err)
		}
		for _, side := range []float64{-1e-9, 1e-9} {
			delta := math.Exp(-c.Evidence - side)
			if delta >= 1 {
				continue
			}
			a, err := stat.NewADWIN(stat.ADWINOptions{Delta: delta})
			if err != nil {
				t.Fatal(err)
			}
			reports := false
			for _, v := range x {
				reports = reports || a.Add(v)
			}
			if reports != (side < 0) {
				t.Errorf("sequence %d: evidence %v, with delta %v an ADWIN reports: %v", i, c.Evidence, delta, reports)
			}
		}
		k, err := stat.KSWINChange(x, stat.KSWINOptions{Seed: i})
		if err != nil {
			t.Fatal(err)
		}
		for _, side := range []float64{-1e-9, 1e-9} {
			alpha := math.Exp(-k.Evidence - side)
			if alpha >= 1 {
				continue
			}
			d, err := stat.NewKSWIN(stat.KSWINOptions{Alpha: alpha, Seed: i})
			if err != nil {
				t.Fatal(err)
			}
			reports := false
			for _, v := range x {
				reports = reports || d.Add(v)
			}
			if reports != (side < 0) {
				t.Errorf("sequence %d: evidence %v, with alpha %v a KSWIN reports: %v", i, k.Evidence, alpha, reports)
			}
		}
		for _, alternative := range []stat.Alternative{stat.TwoSided, stat.Greater, stat.Less} {
			o := stat.PageHinkleyOptions{Alternative: alternative}
			c, err := stat.PageHinkleyChange(x, o)
			if err != nil {
				t.Fatal(err)
			}
			for _, side := range []float64{0.999999, 1.000001} {
				o.Threshold = c.Evidence * side
				p, err := stat.NewPageHinkley(o)
				if err != nil {
					t.Fatal(err)
				}
				reports := false
				for _, v := range x {
					reports = reports || p.Add(v)
				}
				if reports != (side < 1) {
					t.Errorf("sequence %d, %s: evidence %v, with threshold %v a PageHinkley reports: %v", i, alternative, c.Evidence, o.Threshold, reports)
				}
			}
		}
	}
}

// Where nothing changes the p-values are those of chance, far into the tail too; a change is found, and where it was.
func TestChangeNull(t *testing.T) {
	detectors := map[string]struct {
		rate  float64
		steps bool // its evidence has few values, so that p is above chance
		of    func([]float64) (stat.Change, error)
	}{
		"adwin": {1, false, func(x []float64) (stat.Change, error) { return stat.ADWINChange(x, stat.ADWINOptions{}) }},
		"page_hinkley": {0, false, func(x []float64) (stat.Change, error) {
			return stat.PageHinkleyChange(x, stat.PageHinkleyOptions{Delta: 0.005})
		}},
		"kswin": {1, true, func(x []float64) (stat.Change, error) {
			x = slices.Clone(x)
			for i := range x {
				x[i] = math.Round(1000 * x[i])
			}
			return stat.KSWINChange(x, stat.KSWINOptions{Window: 240, Recent: 80, Clock: 20})
		}},
	}
	sets := assaytest.Size(150, 500)
	for name, d := range detectors {
		rejected := map[float64]float64{}
		var null *stat.ChangeNull
		for set := range uint64(sets) {
			x := sequence(600, 600, 0, 2, set)
			c, err := d.of(x)
			if err != nil {
				t.Fatal(err)
			}
			if null, err = stat.NewChangeNull(x, 99, d.rate, set, d.of); err != nil {
				t.Fatal(err)
			}
			p := null.P(c.Evidence)
			for _, alpha := range []float64{0.2, 0.05, 0.005} {
				if p <= alpha {
					rejected[alpha]++
				}
				if above := c.Evidence > null.Threshold(alpha); !d.steps && above != (p <= alpha) && math.Abs(p-alpha) > 0.011 {
					t.Errorf("%s: p is %v, and the evidence above the threshold of %v: %v", name, p, alpha, above)
				}
			}
		}
		for alpha, n := range rejected {
			share := stat.Proportion(n, float64(sets), 0.9999, stat.ClopperPearson)
			t.Logf("%s: p ≤ %v in %s of sequences without change", name, alpha, share)
			if share.Lo > alpha || alpha > 0.1 && share.Hi < alpha && !d.steps {
				t.Errorf("%s: p ≤ %v in %s of sequences without change", name, alpha, share)
			}
		}
		c, err := d.of(sequence(600, 300, 1, 5))
		if err != nil {
			t.Fatal(err)
		}
		if p := null.P(c.Evidence); p > 1e-3 || c.At < 200 || c.At > 400 {
			t.Errorf("%s: a change after 300 values has p %v, and is seen after %d", name, p, c.At)
		}
	}
	if _, err := stat.NewChangeNull([]float64{1}, 10, 0, 1, detectors["adwin"].of); err == nil {
		t.Error("ten draws are taken")
	}
}
