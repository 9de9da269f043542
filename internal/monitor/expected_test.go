package monitor

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/stat"
)

// TestExpectedTraffic: silence is an alarm only in windows in which the version should have got traffic; a canary's is one where chance does not explain
// it; of windows at the end in which nothing was expected only the first is judged, from the beginning as from the middle.
func TestExpectedTraffic(t *testing.T) {
	e := engine(t)
	g := stat.NewRand(3, 1)
	x := make([]float64, 200)
	for i := range x {
		x[i] = g.Normal()
	}
	d, _, err := Freeze(context.Background(), tableOf(t, e, assay.Frame{{Name: "x", Type: assay.TypeNumber, Floats: x}}), []string{"x"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	o := Settings{Windows: assay.WindowPlan{By: ByTime, LengthSeconds: yearly}, MinRows: 50, Persistence: 1}
	if err := o.check(); err != nil {
		t.Fatal(err)
	}
	p, err := PlanOf(d, o)
	if err != nil {
		t.Fatal(err)
	}
	m := p.Monitor
	m.Signals = append(m.Signals, o.Tolerated.signals()...)
	sortSignals(m.Signals)
	if err := o.budget(&m, 0); err != nil {
		t.Fatal(err)
	}
	watch, err := Open(m, func(assay.Digest) ([]byte, error) { return p.Documents[0], nil })
	if err != nil {
		t.Fatal(err)
	}
	rows := func(years ...int) assay.Frame {
		f := assay.Frame{{Name: "x", Type: assay.TypeNumber}, {Name: "_at", Type: assay.TypeTimestamp}, {Name: "_request", Type: assay.TypeNumber}, {Name: "_lost", Type: assay.TypeNumber}, {Name: "_sampled", Type: assay.TypeNumber}, {Name: "_outcome", Type: assay.TypeString, Levels: []string{"answered"}}}
		for _, y := range years {
			for i := range 100 {
				f[0].Floats, f[1].Floats, f[2].Floats, f[3].Floats, f[4].Floats = append(f[0].Floats, x[i]), append(f[1].Floats, float64(time.Date(y, 6, 1, 0, 0, 0, 0, time.UTC).Unix())), append(f[2].Floats, float64(100*y+i)), append(f[3].Floats, 0), append(f[4].Floats, 1)
				f[5].Codes = append(f[5].Codes, 0)
			}
		}
		return firstRows(f)
	}
	at := func(year int) time.Time { return time.Date(year, 1, 1, 0, 0, 0, 0, time.UTC) }
	mine := rows(2001, 2004)
	for _, c := range []struct {
		name     string
		expected *Expected
		want     string // by window: its year and the verdict on its silence
	}{
		{"always", nil, "2001 pass 2002 fail 2003 fail 2004 pass 2005 fail 2006 fail 2007 fail"},
		{"always, as a span", &Expected{Spans: []Span{{From: at(1990), Share: 1}}}, "2001 pass 2002 fail 2003 fail 2004 pass 2005 fail 2006 fail 2007 fail"},
		{"never", &Expected{}, "2001 pass 2002 pass 2003 pass 2004 pass 2005 pass"},
		{"replaced within a window", &Expected{Spans: []Span{{From: at(2000), To: at(2003).AddDate(0, 6, 0), Share: 1}}}, "2001 pass 2002 fail 2003 pass 2004 pass 2005 pass"},
		{"back again", &Expected{Spans: []Span{{From: at(2000), To: at(2002), Share: 1}, {From: at(2005).Add(-1), Share: 1}}}, "2001 pass 2002 pass 2003 pass 2004 pass 2005 fail 2006 fail 2007 fail"},
		{"a canary of one in ten", &Expected{Spans: []Span{{From: at(2000), Share: 0.1}}}, "2001 pass 2002 pass 2003 fail 2004 pass 2005 pass 2006 pass 2007 pass"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.expected != nil && len(c.expected.Spans) > 0 && c.expected.Spans[0].Share < 1 {
				all := rows(2002, 2003, 2003) // the hundred requests of 2002 say too little
				for i := range all[2].Floats {
					all[2].Floats[i] = float64(i)
				}
				c.expected.All = tableOf(t, e, all)
			}
			said := func(seen *Replay) (out []string) {
				for _, j := range seen.Windows {
					for _, s := range j.Drift.Signals {
						if s.Kind == KindVolume {
							out = append(out, fmt.Sprint(string(j.Drift.Window.Start)[:4], " ", s.Verdict))
						}
						if s.Kind == KindVolume && j.Drift.Window.Rows == 0 && s.Message == "" {
							t.Errorf("nothing is said of %s", j.Label)
						}
					}
				}
				return out
			}
			log := tableOf(t, e, mine)
			full, err := watch.Run(context.Background(), Traffic{Table: log, Log: log, By: "_at", Until: at(2008).Add(time.Hour), Expected: c.expected})
			if err != nil {
				t.Fatal(err)
			}
			all := said(full)
			if got := fmt.Sprint(all); got != "["+c.want+"]" {
				t.Errorf("%s, want %s", got, c.want)
			}
			for n := 1; n < len(full.Windows); n += 2 { // from each window on, with the rows after it
				var since []assay.Drift
				var years []int
				for i := n; i >= 0; i-- {
					since = append(since, full.Windows[i].Drift)
				}
				if full.Windows[n].Drift.Window.Start < "2004" {
					years = []int{2004}
				}
				rest := tableOf(t, e, rows(years...))
				part, err := watch.Run(context.Background(), Traffic{Table: rest, Log: rest, By: "_at", Until: at(2008).Add(time.Hour), Expected: c.expected, Since: since})
				if err != nil {
					t.Fatal(err)
				}
				if got, want := fmt.Sprint(said(part)), fmt.Sprint(all[n+1:]); got != want {
					t.Errorf("after %s: %s, want %s", full.Windows[n].Label, got, want)
				}
			}
		})
	}
	empty := tableOf(t, e, rows())
	for _, c := range []struct {
		expected *Expected
		windows  int
	}{{nil, 7}, {&Expected{}, 0}, {&Expected{Spans: []Span{{From: at(2004), Share: 1}}}, 3}} {
		seen, err := watch.Run(context.Background(), Traffic{Table: empty, Log: empty, By: "_at", From: at(2000).Add(time.Hour), Until: at(2008).Add(time.Hour), Expected: c.expected})
		if err != nil || len(seen.Windows) != c.windows {
			t.Errorf("nothing ever came: %d windows, %v; want %d", len(seen.Windows), err, c.windows)
		}
	}
}
