package monitor

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/stat"
)

// TestTrafficSignals: requests that are refused or fail, and rows that the log lost, are an alarm beyond what is tolerated, in as many windows in a row as the
// plan wants, and not before; a sample of the answered requests is counted as what it stands for.
func TestTrafficSignals(t *testing.T) {
	e := engine(t)
	g := stat.NewRand(3, 1)
	x := make([]float64, 1000)
	for i := range x {
		x[i] = g.Normal()
	}
	d, _, err := Freeze(context.Background(), tableOf(t, e, assay.Frame{{Name: "x", Type: assay.TypeNumber, Floats: x}}), []string{"x"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	w, err := ParseWindow("1d")
	if err != nil {
		t.Fatal(err)
	}
	o := Settings{Windows: w, MinRows: 100, Persistence: 2}
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
	// A log of two days: of each as many requests of each outcome, rows lost, and the share of answered requests that is logged.
	type asked struct {
		answered, refused, failed int
		lost                      float64
		sampled                   float64
		again                     int // answered requests of 2001 under the id of the first
	}
	for _, c := range []struct {
		name string
		asked
		want string // kinds of traffic that alarm on the second day
	}{
		{"all answered", asked{answered: 400, sampled: 1}, "[]"},
		{"what is tolerated", asked{answered: 376, refused: 20, failed: 4, lost: 2, sampled: 1}, "[]"},
		{"refused", asked{answered: 300, refused: 60, sampled: 1}, "[refused]"},
		{"refused, beside a tenth of what was answered", asked{answered: 300, refused: 60, sampled: 0.1}, "[]"},
		{"failed", asked{answered: 380, failed: 20, sampled: 1}, "[failed]"},
		{"lost", asked{answered: 400, lost: 20, sampled: 1}, "[lost]"},
		{"all at once", asked{answered: 200, refused: 100, failed: 50, lost: 200, sampled: 1}, "[failed lost refused]"},
		{"ids that come again", asked{answered: 376, refused: 20, failed: 4, lost: 2, sampled: 1, again: 7}, "[]"},
		{"too few requests", asked{answered: 5, refused: 9, sampled: 1}, "[]"},
	} {
		f := assay.Frame{
			{Name: "x", Type: assay.TypeNumber},
			{Name: "_at", Type: assay.TypeInteger},
			{Name: "_request", Type: assay.TypeNumber},
			{Name: "_lost", Type: assay.TypeNumber},
			{Name: "_sampled", Type: assay.TypeNumber},
			{Name: "_outcome", Type: assay.TypeString, Levels: []string{"answered", "refused", "failed", "lost"}},
		}
		row := func(year, outcome int, lost float64) {
			n := float64(len(f[0].Floats))
			f[0].Floats, f[1].Floats, f[2].Floats, f[3].Floats, f[4].Floats = append(f[0].Floats, x[int(n)%len(x)]), append(f[1].Floats, float64(year)), append(f[2].Floats, n), append(f[3].Floats, lost), append(f[4].Floats, c.sampled)
			f[5].Codes = append(f[5].Codes, int32(outcome))
		}
		for year := 2001; year <= 2002; year++ {
			for outcome, n := range []int{c.answered, c.refused, c.failed} {
				for range n {
					row(year, outcome, 0)
				}
			}
			row(year, 3, c.lost)
		}
		for i := range c.again { // of 2001: the same id as the first
			f[2].Floats[1+i] = f[2].Floats[0]
		}
		log := tableOf(t, e, firstRows(f))
		asYears := w
		asYears.LengthSeconds = yearly
		watch.plan.Windows = asYears
		seen, err := watch.Run(context.Background(), Traffic{Table: log, Log: log, By: "_at"})
		if err != nil {
			t.Fatal(err)
		}
		for day, j := range seen.Windows {
			if want := int64(c.again * (1 - day)); j.Drift.Window.Repeated != want {
				t.Errorf("%s, day %d: %d requests of an id that came before, want %d", c.name, day+1, j.Drift.Window.Repeated, want)
			}
			alarmed := []string{}
			for _, s := range j.Drift.Signals {
				if s.Scope != ScopeTraffic || s.Verdict != assay.Fail {
					continue
				}
				if s.Streak != day+1 {
					t.Errorf("%s: %s, day %d: streak %d", c.name, s.Kind, day+1, s.Streak)
				}
				alarmed = append(alarmed, s.Kind)
			}
			if got := fmt.Sprint(alarmed); got != c.want {
				t.Errorf("%s, day %d: %s, want %s", c.name, day+1, got, c.want)
			}
			if alarm := j.Drift.Verdict == assay.Fail; day == 0 && alarm != (len(alarmed) > 0 && c.lost > 10) {
				t.Errorf("%s: the first day alarms: %v, of %v", c.name, alarm, alarmed)
			}
		}
	}
}

// TestLosses: what a window does not hold is said, and nothing where there is nothing to say.
func TestLosses(t *testing.T) {
	for _, x := range []struct {
		w    assay.Window
		want string
	}{
		{assay.Window{Rows: 100, Sampled: 1}, ""},
		{assay.Window{Rows: 95, Refused: 1200, Lost: 5, Sampled: 1}, "1,200 rows refused, 5 rows lost (5.0 %)"},
		{assay.Window{Rows: 95, Lost: 5, Unclosed: 1, Sampled: 1}, "5 rows lost (5.0 %), a segment of the log ended without being closed"},
		{assay.Window{Rows: 95, Repeated: 2}, "2 requests of an id that came before"},
		{assay.Window{Rows: 95, Unclosed: 2}, "2 segments of the log ended without being closed"},
		{assay.Window{Rows: 95, Failed: 2, Late: 3, Sampled: 0.1}, "2 rows failed, 3 rows late, 10.0 % of the answered rows were to be logged"},
	} {
		if got := Losses(x.w); got != x.want {
			t.Errorf("%q, want %q", got, x.want)
		}
	}
}

// TestRulesFollowThePlan: the shares that the plan tolerates are those of the rules, and no rule looks back further than Prometheus keeps.
func TestRulesFollowThePlan(t *testing.T) {
	refused, failed, lost := 0.2, 0.1, 0.25
	p := assay.Monitor{Windows: assay.WindowPlan{By: ByTime, LengthSeconds: yearly}, Signals: Tolerated{&refused, &failed, &lost}.signals(), Labels: &assay.LabelPlan{MinCoverage: 0.5, WithinSeconds: 30 * day}}
	rules := string(Rules("people:1", p))
	for _, want := range []string{"[15m])) > 0.2'", "[5m])) > 0.1'", "/ sum by (model, version) (increase(assay_rows_total{model=\"people\"}[10m])) > 0.25'", "assay_requests_total{model=\"people\"}[7d])) == 0", "assay_label_coverage_due{model=\"people\"}) < 0.5", "for: 7d"} {
		if !strings.Contains(rules, want) {
			t.Errorf("the rules do not say %s:\n%s", want, rules)
		}
	}
	p.Signals = nil
	if usual := string(Rules("people:1", p)); !strings.Contains(usual, "[15m])) > 0.05'") || !strings.Contains(usual, "[5m])) > 0.01'") {
		t.Errorf("a plan that says nothing of the traffic:\n%s", usual)
	}
}

// TestJudgedRows: of a log with a share of what was answered and all that was refused, a window has the same share of both.
func TestJudgedRows(t *testing.T) {
	e := engine(t)
	f := assay.Frame{{Name: "_request", Type: assay.TypeNumber}, {Name: "_sampled", Type: assay.TypeNumber}, {Name: "_outcome", Type: assay.TypeString, Levels: []string{"answered", "refused", "failed", "malformed", "lost"}}}
	const n = 20_000
	for i := range 5 * n {
		f[0].Floats, f[1].Floats, f[2].Codes = append(f[0].Floats, float64(i)), append(f[1].Floats, 0.05), append(f[2].Codes, int32(i%5))
	}
	r, err := tableOf(t, e, f).Query(t.Context(), "SELECT count(*) FILTER (_outcome = 'answered'), count(*) FILTER (_outcome = 'refused'), count(*) FILTER (_outcome = 'failed'), count(*) FROM (SELECT * FROM ("+
		"SELECT * FROM "+tableOf(t, e, f).Relation()+") WHERE "+JudgedRows+")")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	var answered, refused, failed, all int64
	if !r.Next() {
		t.Fatal("no row")
	}
	if err := r.Scan(&answered, &refused, &failed, &all); err != nil {
		t.Fatal(err)
	}
	// A share of 0.05 of 20,000 is 1,000, with a standard deviation of 31.
	if answered != n || refused < 850 || refused > 1150 || failed < 850 || failed > 1150 || all != answered+refused+failed {
		t.Errorf("%d answered, %d refused, %d failed of %d", answered, refused, failed, all)
	}
}

// A window in which nothing could be lost or failed says that it takes one row or request, and a feature may have any name.
func TestTrafficOfAWindow(t *testing.T) {
	for kind, want := range map[string]string{KindLost: "0 rows; at least 1 are needed", KindFailed: "0 rows; at least 20 are needed"} {
		i := slices.IndexFunc(tolerated(t), func(s assay.SignalPlan) bool { return s.Kind == kind })
		if x := unanswered(assay.Signal{}, tolerated(t)[i], held{log: &outcomes{}}); x.Verdict != assay.Undetermined || x.Message != want {
			t.Errorf("%s: %+v", kind, x)
		}
	}
	log := tableOf(t, engine(t), assay.Frame{
		{Name: "_at", Type: assay.TypeTimestamp, Floats: []float64{day, day + 1, 2 * day}},
		{Name: "_request", Type: assay.TypeString, Codes: []int32{0, 1, 2}, Levels: []string{"a", "b", "c"}},
		{Name: "_outcome", Type: assay.TypeString, Codes: []int32{0, 1, 0}, Levels: []string{"answered", "refused"}},
		{Name: "_lost", Type: assay.TypeInteger, Floats: []float64{0, 0, 0}},
		{Name: "_sampled", Type: assay.TypeNumber, Floats: []float64{1, 1, 1}},
		{Name: "_index", Type: assay.TypeInteger, Floats: []float64{0, 0, 0}},
		{Name: "w", Type: assay.TypeInteger, Floats: []float64{7, 8, 9}},
		{Name: "v", Type: assay.TypeInteger, Floats: []float64{7, 8, 9}},
	})
	cut, err := newCutter(context.Background(), log, assay.WindowPlan{By: ByTime, LengthSeconds: day}, "_at", true)
	if err != nil {
		t.Fatal(err)
	}
	seen, err := outcomesOf(context.Background(), log, cut)
	if err != nil || len(seen) != 2 {
		t.Fatalf("%v %v", seen, err)
	}
	first := int64(1 - 4) // of the Monday, four days after the first of January
	if o := seen[first]; o.requests != 2 || o.refusedRequests != 1 || seen[first+1].requests != 1 {
		t.Errorf("%+v", seen)
	}
	requests, err := (&Expected{All: log}).requests(context.Background(), cut)
	if err != nil || requests[first] != 2 || requests[first+1] != 1 {
		t.Errorf("%v %v", requests, err)
	}
}

func tolerated(t *testing.T) []assay.SignalPlan {
	t.Helper()
	var x Tolerated
	var bad assay.Problems
	x.check(&bad)
	if err := bad.Err(assay.Invalid, "shares"); err != nil {
		t.Fatal(err)
	}
	return x.signals()
}
