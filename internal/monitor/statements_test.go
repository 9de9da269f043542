package monitor

import (
	"context"
	"fmt"
	"testing"

	"github.com/assay-ml/assay"
)

// What a replay costs is the statements that it runs: as many for thirty windows as for three, and with labels three more for each, which bring
// its rows into memory.
func TestStatementsOfWindows(t *testing.T) {
	e := engine(t)
	w := watched(t, e, assay.LabelPlan{Join: []string{"key"}, MinCoverage: 0.5, Conflicts: ConflictRefuse, MaxConflicts: 0.5})
	cost := func(days int) (run, outcomes int64) {
		x := predictedDays(t, e, days, 60)
		var all []came
		for d := range days {
			all = append(all, came{fmt.Sprintf("%d/1", d), "yes", float64(d)*aDay + 3600})
		}
		labels := labelTableOf(t, e, all)
		before := e.Statements()
		seen, err := w.Run(context.Background(), x)
		if err != nil || len(seen.Windows) != days {
			t.Fatal(seen, err)
		}
		between := e.Statements()
		got, err := w.Outcomes(context.Background(), x, seen, Outcomes{Labels: labels, Classes: []string{"no", "yes"}, Score: accuracy})
		if err != nil || len(got.Windows) != days || got.Windows[days-1].Outcome.Labels.Labelled != 1 {
			t.Fatal(got, err)
		}
		return between - before, e.Statements() - between
	}
	run, outcomes := cost(3)
	more, others := cost(30)
	if run > 4 || more != run {
		t.Errorf("%d statements for 3 windows, %d for 30", run, more)
	}
	if outcomes > 32 || others-outcomes != 27*3 {
		t.Errorf("%d statements for the labels of 3 windows, %d for 30", outcomes, others)
	}
}

// Columns are counted together, not one by one.
func TestStatementsOfColumns(t *testing.T) {
	e := engine(t)
	cost := func(columns int) int64 {
		var f assay.Frame
		var names []string
		for i := range columns {
			c := column(fmt.Sprintf("c%02d", i), "a", "b", "a", "c")
			if i%2 == 0 {
				c = assay.Column{Name: c.Name, Type: assay.TypeNumber, Floats: []float64{1, 2, 2, 3}}
			}
			f, names = append(f, c), append(names, c.Name)
		}
		x := tableOf(t, e, f)
		d, _, err := Freeze(context.Background(), x, names, nil)
		if err != nil {
			t.Fatal(err)
		}
		w := watchOfDocument(t, d)
		before := e.Statements()
		if _, err := w.Run(context.Background(), Traffic{Table: x, Whole: true}); err != nil {
			t.Fatal(err)
		}
		return e.Statements() - before
	}
	if two, forty := cost(2), cost(40); two > 4 || forty != two {
		t.Errorf("%d statements for 2 columns, %d for 40", two, forty)
	}
	if many, some := cost(4*numbersAtOnce), cost(2); many > some+2 {
		t.Errorf("%d statements for %d columns, %d for 2", many, 4*numbersAtOnce, some)
	}
}

// watchOfDocument watches the columns of a reference by days.
func watchOfDocument(t testing.TB, d *Document) *Watch {
	t.Helper()
	days, err := ParseWindow("1d")
	if err != nil {
		t.Fatal(err)
	}
	p, err := PlanOf(d, Settings{Windows: days})
	if err != nil {
		t.Fatal(err)
	}
	w, err := Open(p.Monitor, func(assay.Digest) ([]byte, error) { return p.Documents[0], nil })
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// Inputs alone are judged as they are with everything else, by the tests that are left, and nothing claims to know the rows.
func TestInputsOnly(t *testing.T) {
	e := engine(t)
	w := watched(t, e, assay.LabelPlan{Join: []string{"key"}, Conflicts: ConflictRefuse})
	x := predictedDays(t, e, 2, 60)
	all, err := w.Run(context.Background(), x)
	if err != nil {
		t.Fatal(err)
	}
	x.InputsOnly = true
	some, err := w.Run(context.Background(), x)
	if err != nil || len(some.Windows) != len(all.Windows) {
		t.Fatal(some, err)
	}
	for i, j := range some.Windows {
		d := j.Drift
		if d.Window.Content != "" || all.Windows[i].Drift.Window.Content == "" {
			t.Errorf("window %d: digests %q and %q", i, d.Window.Content, all.Windows[i].Drift.Window.Content)
		}
		for _, s := range d.Signals {
			if s.Scope != ScopeInput && s.Scope != ScopeTraffic {
				t.Errorf("window %d has a signal of scope %s", i, s.Scope)
			}
			for _, o := range all.Windows[i].Drift.Signals {
				if o.Scope == s.Scope && o.Kind == s.Kind && o.Column == s.Column && o.Test == s.Test && (o.Statistic != s.Statistic && s.Statistic == s.Statistic || o.PValue != s.PValue && s.PValue == s.PValue) {
					t.Errorf("window %d, %s of %s: %v (%v), with everything %v (%v)", i, s.Kind, s.Column, s.Statistic, s.PValue, o.Statistic, o.PValue)
				}
			}
		}
	}
}
