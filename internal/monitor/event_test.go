package monitor

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/stat"
)

// changing is rows that come a second apart and rise by so much after a place; in the order of the table where shuffled is false.
func changing(n, at int, by float64, shuffled bool, stream ...uint64) assay.Frame {
	g := stat.NewRand(31, stream...)
	f := assay.Frame{{Name: "x", Type: assay.TypeNumber}, {Name: "y", Type: assay.TypeNumber}, {Name: "at", Type: assay.TypeTimestamp}, {Name: "_request", Type: assay.TypeString}}
	order := upTo(n)
	if shuffled {
		order = g.Perm(n)
	}
	for _, i := range order {
		x := g.Normal()
		if i >= at {
			x += by
		}
		f[0].Floats = append(f[0].Floats, x)
		f[1].Floats = append(f[1].Floats, g.Normal())
		f[2].Floats = append(f[2].Floats, 1e9+float64(i))
	}
	for i := range (n + 1) / 2 { // two rows a request
		f[3].Levels = append(f[3].Levels, fmt.Sprintf("%06d", i))
	}
	for _, i := range order {
		f[3].Codes = append(f[3].Codes, int32(i/2))
	}
	return f
}

// eventWatch watches x and y by detectors and nothing else.
func eventWatch(t testing.TB, reference assay.Frame) *Watch {
	t.Helper()
	e := engine(t)
	d, _, err := Freeze(context.Background(), tableOf(t, e, reference), []string{"x", "y"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	w, err := ParseWindow("1y")
	if err != nil {
		t.Fatal(err)
	}
	o := Settings{Windows: w, Persistence: 1, MinRows: 100, Events: EventTests(), EventColumns: []string{"x", "y"}}
	p, err := PlanOf(d, o)
	if err != nil {
		t.Fatal(err)
	}
	if err := o.check(); err != nil {
		t.Fatal(err)
	}
	p.Monitor.Signals = nil
	if err := o.events(&p.Monitor, d, &Document{}, assay.Binary); err != nil {
		t.Fatal(err)
	}
	if err := o.budget(&p.Monitor, 0); err != nil {
		t.Fatal(err)
	}
	watch, err := Open(p.Monitor, func(assay.Digest) ([]byte, error) { return p.Documents[0], nil })
	if err != nil {
		t.Fatal(err)
	}
	return watch
}

// TestEventDetectors: all detectors find a change within a window and say where it was, in the order of time and not of the table; a window in which nothing
// changes, one that is another from its first row on, and one without an order are none.
func TestEventDetectors(t *testing.T) {
	e := engine(t)
	w := eventWatch(t, changing(4000, 0, 0, false, 1))
	for name, c := range map[string]struct {
		rows assay.Frame
		by   string
		x, y assay.Verdict
	}{
		"no change":              {changing(2000, 0, 0, false, 2), "at", assay.Pass, assay.Pass},
		"another from the start": {changing(2000, 0, 2, false, 3), "at", assay.Pass, assay.Pass},
		"a change":               {changing(2000, 1200, 0.6, false, 4), "at", assay.Fail, assay.Pass},
		"a change, in time":      {changing(2000, 1200, 0.6, true, 5), "at", assay.Fail, assay.Pass},
		"in the table's order":   {changing(2000, 1200, 0.6, false, 6), "", assay.Fail, assay.Pass},
		"a trifle":               {changing(2000, 1200, 0.01, false, 7), "at", assay.Pass, assay.Pass},
		"too few":                {changing(99, 50, 3, false, 8), "at", assay.Undetermined, assay.Undetermined},
	} {
		x := tableOf(t, e, c.rows)
		seen, err := w.Run(context.Background(), Traffic{Table: x, By: c.by, Whole: true})
		if err != nil {
			t.Fatal(err)
		}
		d := seen.Windows[0].Drift
		if len(d.Signals) != 6 {
			t.Fatalf("%s: %d signals", name, len(d.Signals))
		}
		for _, s := range d.Signals {
			want := map[string]assay.Verdict{"x": c.x, "y": c.y}[s.Column]
			if s.Verdict != want {
				t.Errorf("%s: %s of %s is %s, want %s: %+v", name, s.Test, s.Column, s.Verdict, want, s)
			}
			if s.Verdict == assay.Fail {
				t.Logf("%s: %s", name, say(s))
				var after, of int
				text := strings.NewReplacer(",", "", "its values change", "it rises").Replace(s.Message)
				if _, err := fmt.Sscanf(text, "it rises after %d of %d rows", &after, &of); err != nil || of != 2000 || after < 900 || after > 1400 {
					t.Errorf("%s: %s says %q", name, s.Test, s.Message)
				}
			}
		}
	}
}

// TestSpreadChanges: values that spread wider from some moment on, with the same mean, are seen by KSWIN, and by the detectors of a mean they are not.
func TestSpreadChanges(t *testing.T) {
	e := engine(t)
	w := eventWatch(t, changing(4000, 0, 0, false, 1))
	f := changing(4000, 0, 0, false, 12)
	for i := 2500; i < len(f[0].Floats); i++ {
		f[0].Floats[i] *= 3
	}
	seen, err := w.Run(context.Background(), Traffic{Table: tableOf(t, e, f), By: "at", Whole: true})
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range seen.Windows[0].Drift.Signals {
		want := assay.Pass
		if s.Column == "x" && s.Test == TestKSWIN {
			want = assay.Fail
			t.Log(say(s))
		}
		if s.Verdict != want {
			t.Errorf("%s of %s is %s, want %s: %+v", s.Test, s.Column, s.Verdict, want, s)
		}
	}
}

// TestEventsWithoutChange: the detectors' false alarms are those of the level, with independent rows and with rows of a request that are alike.
func TestEventsWithoutChange(t *testing.T) {
	reps := full(6, 300)
	e := engine(t)
	w := eventWatch(t, changing(4000, 0, 0, false, 1))
	for _, alike := range []float64{0, 2} {
		rejected := map[string]float64{}
		for rep := range uint64(reps) {
			f := changing(1000, 0, 0, false, 9, rep)
			g := stat.NewRand(32, rep)
			for i := 0; i < len(f[0].Floats); i += 2 {
				shared := alike * g.Normal()
				f[0].Floats[i] += shared
				f[0].Floats[i+1] += shared
			}
			x := tableOf(t, e, f)
			seen, err := w.Run(context.Background(), Traffic{Table: x, By: "at", Whole: true})
			if err != nil {
				t.Fatal(err)
			}
			for _, s := range seen.Windows[0].Drift.Signals {
				if s.PValue <= 0.1 && s.Column == "x" {
					rejected[s.Test]++
				}
			}
			x.Drop(context.Background())
		}
		for _, test := range EventTests() {
			share := stat.Proportion(rejected[test], float64(reps), 0.999, stat.ClopperPearson)
			t.Logf("rows of a request alike by %v, %s: %s of windows without change have p ≤ 0.1", alike, test, share)
			if share.Lo > 0.1 {
				t.Errorf("rows of a request alike by %v, %s: %s of windows without change have p ≤ 0.1", alike, test, share)
			}
		}
	}
}

// TestLossChanges: once labels are there, a model that becomes wrong in the middle of a day is told by its 0/1 loss, and one that is as wrong all day is not.
func TestLossChanges(t *testing.T) {
	e := engine(t)
	const rows = 1000
	g := stat.NewRand(51)
	var labels []came
	for d := range 2 {
		for i := range rows {
			wrong := 0.1
			if d == 0 && i >= 600 {
				wrong = 0.5
			}
			label := "yes"
			if g.Float64() < wrong {
				label = "no"
			}
			labels = append(labels, came{fmt.Sprintf("%d/%d", d, i), label, float64(d)*aDay + float64(i) + 60})
		}
	}
	w := watched(t, e, assay.LabelPlan{Join: []string{"key"}, MinCoverage: 0.5, Conflicts: ConflictRefuse})
	floor := DefaultEffectFloor
	o := Settings{Events: EventTests(), Labels: true, EffectFloor: &floor}
	if err := o.events(&w.plan, w.sides[ScopeInput], &Document{}, assay.Binary); err != nil {
		t.Fatal(err)
	}
	for i := range w.plan.Signals {
		w.plan.Signals[i].MinRows, w.plan.Signals[i].Persist = 50, 1
	}
	x := predicted(t, e, rows)
	got := outcomesOfDays(t, w, x, Outcomes{Labels: labelTableOf(t, e, labels)})
	for i, want := range []assay.Verdict{assay.Fail, assay.Pass} {
		found := 0
		for _, s := range got[i].Outcome.Drift {
			if s.Kind != KindChange {
				continue
			}
			found++
			if s.Verdict != want || s.Column != lossColumn || s.Scope != ScopeLabel {
				t.Errorf("day %d: %+v", i, s)
			}
			if want == assay.Fail {
				t.Log(s.Message)
			}
		}
		if found != 3 {
			t.Errorf("day %d: %d detectors of the loss", i, found)
		}
	}
	if got[0].Outcome.Verdict != assay.Fail {
		t.Errorf("the day on which the model became wrong is %s", got[0].Outcome.Verdict)
	}
}
