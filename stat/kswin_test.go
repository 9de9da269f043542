package stat_test

import (
	"math"
	"testing"

	"github.com/assay-ml/assay/stat"
	"pgregory.net/rapid"
)

// TestKSWINTail: the p-value is that of the exact test of as many newest values as drawn ones.
func TestKSWINTail(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		r := rapid.IntRange(1, 40).Draw(rt, "recent")
		values := rapid.SliceOfN(rapid.Float64Range(-3, 3), 2*r, 2*r).Draw(rt, "values")
		k, err := stat.NewKSWIN(stat.KSWINOptions{Window: 2 * r, Recent: r}) // what is drawn is all that is older
		if err != nil {
			rt.Fatal(err)
		}
		for _, v := range values {
			k.Add(v)
		}
		want := stat.KolmogorovSmirnov(values[:r], values[r:], stat.TwoSided, stat.Exact).P
		if got := k.P(); math.Abs(got-want) > 1e-9*want {
			rt.Fatalf("p is %v, want %v", got, want)
		}
	})
}

// TestKSWINDraws: older values are drawn each as often, each once, and the same seed draws the same; a value that is none changes nothing.
func TestKSWINDraws(t *testing.T) {
	x := sequence(3000, 3000, 0, 3)
	var p [2][]float64
	for i := range p {
		k, err := stat.NewKSWIN(stat.KSWINOptions{Seed: 8, Alpha: 1e-9})
		if err != nil {
			t.Fatal(err)
		}
		for j, v := range x {
			if i == 1 && j%7 == 0 {
				k.Add(math.NaN())
				k.Add(math.Inf(1))
			}
			k.Add(v)
			p[i] = append(p[i], k.P())
		}
	}
	small := 0.0
	for j := range p[0] {
		if a, b := p[0][j], p[1][j]; a != b && !(math.IsNaN(a) && math.IsNaN(b)) {
			t.Fatalf("value %d: p is %v, and %v beside values that are none", j, a, b)
		}
		if p[0][j] <= 0.05 {
			small++
		}
	}
	if share := small / float64(len(x)); share > 0.08 {
		t.Errorf("p is at most 0.05 in %v of the tests of values without change", share)
	}
	for _, o := range []stat.KSWINOptions{{Alpha: 1}, {Alpha: -0.1}, {Window: 50, Recent: 30}, {Recent: -1}, {Clock: -1}} {
		if _, err := stat.NewKSWIN(o); err == nil {
			t.Errorf("%+v is taken", o)
		}
	}
}

// TestKSWINCells: small whole numbers are counted and others sorted, with the same result.
func TestKSWINCells(t *testing.T) {
	for i := range uint64(20) {
		x := sequence(800, 400, float64(i%3), 4, i)
		for j := range x {
			x[j] = math.Round(20 * x[j] * float64(1+i%7))
		}
		y := make([]float64, len(x))
		for j, v := range x {
			y[j] = v / 8192
		}
		o := stat.KSWINOptions{Seed: i}
		a, err := stat.KSWINChange(x, o)
		if err != nil {
			t.Fatal(err)
		}
		if b, err := stat.KSWINChange(y, o); err != nil || a != b {
			t.Errorf("sequence %d: %+v as ranks, %+v as they are (%v)", i, a, b, err)
		}
	}
}

// TestKSWINSpread: a change of the spread alone is found, which a detector of the mean cannot see.
func TestKSWINSpread(t *testing.T) {
	g := stat.NewRand(5)
	k, err := stat.NewKSWIN(stat.KSWINOptions{Seed: 1, Alpha: 1e-4, Window: 300, Recent: 100})
	if err != nil {
		t.Fatal(err)
	}
	at := -1
	for i := range 1500 {
		v := g.Normal()
		if i >= 1000 {
			v *= 4
		}
		if k.Add(v) && at < 0 {
			at = i
		}
	}
	if at < 1000 || at > 1150 {
		t.Errorf("a spread that is four times as large after 1000 values is seen at %d", at)
	}
}

// TestKSWINAlarmsWithoutChange: at river's settings, which test at every value, hardly a sequence of 2,000 values is without an alarm. That is why monitoring takes
// no alpha by hand.
func TestKSWINAlarmsWithoutChange(t *testing.T) {
	const sets = 100
	alarmed := 0.0
	for set := range uint64(sets) {
		c, err := stat.KSWINChange(sequence(2000, 2000, 0, 6, set), stat.KSWINOptions{Seed: set})
		if err != nil {
			t.Fatal(err)
		}
		if c.Evidence >= -math.Log(0.005) {
			alarmed++
		}
	}
	share := stat.Proportion(alarmed, sets, 0.95, stat.ClopperPearson)
	t.Logf("%s of sequences without change", share)
	if share.Lo < 0.8 {
		t.Errorf("alarms in %s of sequences without change", share)
	}
}

func BenchmarkKSWIN(b *testing.B) {
	k, err := stat.NewKSWIN(stat.KSWINOptions{})
	if err != nil {
		b.Fatal(err)
	}
	x := sequence(1000, 1000, 0)
	b.ReportAllocs()
	for i := range b.N {
		k.Add(x[i%1000])
	}
}
