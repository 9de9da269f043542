package monitor

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strconv"
	"time"

	"github.com/assay-ml/assay"
)

// What an alert may be about, beside the scopes of signals.
const (
	AboutPerformance = "performance"
	AboutBusiness    = "business"
	AboutLabels      = "labels"
)

// MostCauses is how many causes an incident names; the least ones beyond are counted.
const MostCauses = 20

// A Finding is the evidence about one window, as alerts see it: either drift or an outcome.
type Finding struct {
	Seq     int64 // of its journal entry: of two about one window the later one counts
	ID      assay.Digest
	Drift   *assay.Drift
	Outcome *assay.Outcome
}

func (f *Finding) window() assay.Window {
	if f.Drift != nil {
		return f.Drift.Window
	}
	return f.Outcome.Window
}

// A Condition is what the findings say of one alert now.
type Condition struct {
	Known    bool           // the newest windows decide; false: nothing was found, or too little
	Holds    bool           // it is so in the newest window that decides
	Streak   int            // windows in a row that it is so
	Since    assay.Window   // the first of them
	Last     assay.Window   // the newest window that decides
	Evidence []assay.Digest // the windows that it is so in, oldest first; else the window that ended it, and the newest finding by then
	Causes   []assay.Cause  // of the newest window, the most important first
	Total    int            // how many causes there are
	Newest   assay.Digest   // the newest finding, where it holds and that is none of evidence: what was found up to it is dealt with; else empty
}

// same reports whether an incident says already what a condition that holds says now. Its evidence ends with the newest finding of its time; evidence that does not hold
// any more is told from that by the newest window and by the number of causes, of which each has some.
func (c Condition) same(in assay.Incident) bool {
	n := len(c.Evidence)
	return slices.Equal(c.Evidence, in.Evidence) || len(in.Evidence) == n+1 && slices.Equal(c.Evidence, in.Evidence[:n]) && c.Last.Number == in.Last.Number && c.Total == in.CausesTotal
}

// Judge says whether an alert holds. Findings may come in any order; of two about one window the later one counts, so that a restated window
// is judged as it is known now. A window that cannot decide is passed over: it neither begins, nor continues, nor ends anything. Findings
// up to the journal entry after do not count towards a streak: they were dealt with when an incident was resolved.
func Judge(plan assay.Monitor, alert assay.AlertPlan, findings []Finding, after int64, now time.Time) Condition {
	c := weigh(plan, alert, findings, after, now)
	c.Total = len(c.Causes)
	c.Causes = ranked(c.Causes, 0) // only here, so that those of drift and of outcomes keep their sizes beside each other
	if !c.Holds {
		return c
	}
	if id := newestOf(findings); !slices.Contains(c.Evidence, id) {
		c.Newest = id
	}
	return c
}

// weigh is Judge, with the causes as large as they are.
func weigh(plan assay.Monitor, alert assay.AlertPlan, findings []Finding, after int64, now time.Time) Condition {
	drift, outcomes := map[int64]*Finding{}, map[int64]*Finding{}
	for i := range findings {
		f := &findings[i]
		by := drift
		if f.Drift == nil {
			by = outcomes
		}
		if old := by[f.window().Number]; old == nil || old.Seq < f.Seq {
			by[f.window().Number] = f
		}
	}
	a := judge(plan, alert, drift, after, now)
	b := judge(plan, alert, outcomes, after, now)
	switch {
	case a.Holds && b.Holds:
		longer, other := a, b
		if b.Streak > a.Streak {
			longer, other = b, a
		}
		longer.Evidence = append(longer.Evidence, other.Evidence...)
		longer.Causes = append(slices.Clone(a.Causes), b.Causes...)
		return longer
	case a.Holds || !b.Known:
		return a.upTo(findings)
	case b.Holds || !a.Known:
		return b.upTo(findings)
	}
	both := a
	if b.Last.Number > a.Last.Number {
		both = b
	}
	both.Evidence = append(slices.Clone(a.Evidence), b.Evidence...)
	return both.upTo(findings)
}

// upTo adds the newest finding to what says that an alert does not hold: what was found up to it is dealt with when that ends an incident.
func (c Condition) upTo(findings []Finding) Condition {
	if !c.Known || c.Holds || len(findings) == 0 {
		return c
	}
	if id := newestOf(findings); !slices.Contains(c.Evidence, id) {
		c.Evidence = append(slices.Clone(c.Evidence), id)
	}
	return c
}

// newestOf is the finding that was recorded last, of at least one.
func newestOf(findings []Finding) assay.Digest {
	return slices.MaxFunc(findings, func(a, b Finding) int { return cmp.Compare(a.Seq, b.Seq) }).ID
}

// judge looks at the windows of one kind of evidence, newest first.
func judge(plan assay.Monitor, alert assay.AlertPlan, by map[int64]*Finding, after int64, now time.Time) Condition {
	var c Condition
	numbers := make([]int64, 0, len(by))
	for n := range by {
		numbers = append(numbers, n)
	}
	slices.Sort(numbers)
	slices.Reverse(numbers)
	for _, n := range numbers {
		f := by[n]
		holds, known, causes := looks(plan, alert, f, now)
		if !known {
			continue
		}
		if !c.Known {
			c.Known, c.Last = true, f.window()
			if !holds || f.Seq <= after {
				c.Evidence = []assay.Digest{f.ID}
				return c
			}
			c.Causes = causes
		}
		if !holds || f.Seq <= after {
			break
		}
		c.Holds, c.Since = true, f.window()
		c.Streak++
		c.Evidence = append(c.Evidence, f.ID)
	}
	slices.Reverse(c.Evidence)
	return c
}

// looks says what one window says of an alert.
func looks(plan assay.Monitor, alert assay.AlertPlan, f *Finding, now time.Time) (holds, known bool, causes []assay.Cause) {
	about := func(scope string) bool { return slices.Contains(alert.When, scope) }
	note := func(v assay.Verdict, c assay.Cause) {
		switch v {
		case assay.Fail:
			holds, known = true, true
			causes = append(causes, c)
		case assay.Pass:
			known = true
		}
	}
	signal := func(s assay.Signal, c assay.Cause) {
		v := s.Verdict
		if v == assay.Fail && max(s.Streak, 1) < persist(plan, s) {
			v = assay.Pass // not for long enough yet: no alarm
		}
		note(v, c)
	}
	if f.Drift != nil {
		for _, s := range f.Drift.Signals {
			if !about(s.Scope) {
				continue
			}
			c := assay.Cause{Scope: s.Scope, Kind: s.Kind, Column: s.Column, Message: s.Message, Contribution: weight(plan, s)}
			for _, r := range f.Drift.Ranking {
				if r.Scope == s.Scope && r.Kind == s.Kind && r.Column == s.Column {
					c = r
				}
			}
			if !slices.ContainsFunc(causes, func(o assay.Cause) bool { return o.Scope == c.Scope && o.Kind == c.Kind && o.Column == c.Column }) || s.Verdict != assay.Fail {
				signal(s, c)
			}
		}
		return holds, known, causes
	}
	o := f.Outcome
	for _, s := range o.Drift {
		if about(s.Scope) {
			signal(s, assay.Cause{Scope: s.Scope, Kind: s.Kind, Column: s.Column, Message: s.Message, Contribution: square(s.Effect.Value)})
		}
	}
	if about(AboutPerformance) {
		for _, m := range o.Performance {
			note(m.Verdict, metricCause(AboutPerformance, "", m))
		}
		for _, sl := range o.Slices {
			for _, m := range sl.Performance {
				if m.Verdict == assay.Fail { // a slice that is too small says nothing of the window
					note(m.Verdict, metricCause(AboutPerformance, sl.Name, m))
				}
			}
		}
	}
	if about(AboutBusiness) && o.Business != nil {
		note(o.Business.Verdict, metricCause(AboutBusiness, "", *o.Business))
	}
	if about(AboutLabels) && plan.Labels != nil && o.Labels.Coverage.N > 0 { // without predictions there is nothing to label
		c := assay.Cause{Scope: AboutLabels, Kind: "coverage", Contribution: square(plan.Labels.MinCoverage - shareOf(o.Labels.Coverage)), Message: fmt.Sprintf("%s of the predictions have a label; the plan asks for %s", percent(float64(o.Labels.Coverage.Value)), percent(plan.Labels.MinCoverage))}
		switch {
		case !uncovered(o.Labels, plan.Labels):
			note(assay.Pass, c)
		case Overdue(o.Window, o.Labels, plan.Labels, now):
			note(assay.Fail, c)
		}
		if conflicting(o.Labels, plan.Labels) {
			note(assay.Fail, assay.Cause{Scope: AboutLabels, Kind: "conflicts", Contribution: square(float64(o.Labels.Conflicts)/float64(max(1, o.Labels.Labelled)) - plan.Labels.MaxConflicts), Message: fmt.Sprintf("labels disagree about %s predictions, of %s with a label; the plan allows %s", assay.FormatCount(o.Labels.Conflicts), assay.FormatCount(o.Labels.Labelled), percent(plan.Labels.MaxConflicts))})
		}
	}
	return holds, known, causes
}

// square is the size of a cause from its effect or from the share that is missing: like that of a column, whose effects are squared too.
func square(x float64) float64 {
	if math.IsNaN(x) {
		return leastCause
	}
	return math.Max(x*x, leastCause)
}

// leastCause is the size of the smallest cause.
const leastCause = 1e-6

// shareOf is an estimate of a share, 0 where it is not known.
func shareOf(e assay.Estimate) float64 {
	if !e.Defined() {
		return 0
	}
	return e.Value
}

// uncovered reports whether too few of the predictions of a window have a label. A window without predictions needs none.
func uncovered(l assay.LabelJoin, p *assay.LabelPlan) bool {
	return l.Coverage.N > 0 && !(float64(l.Coverage.Value) >= p.MinCoverage)
}

// LabelsMissing reports whether a window has too few labels although all of them should have come. That is a finding of a plan that has an alert on labels,
// and of one that says when they come, where it is known when the window ended.
func LabelsMissing(plan assay.Monitor, o assay.Outcome, now time.Time) bool {
	if plan.Labels == nil || !uncovered(o.Labels, plan.Labels) || !Overdue(o.Window, o.Labels, plan.Labels, now) {
		return false
	}
	return plan.Labels.WithinSeconds > 0 && o.Window.End != "" || slices.ContainsFunc(plan.Alerts, func(a assay.AlertPlan) bool { return slices.Contains(a.When, AboutLabels) })
}

// Overdue reports whether all labels of a window should have come by now, or by the moment up to which its labels are known: whether those that are left out
// came in time nobody asked.
func Overdue(w assay.Window, known assay.LabelJoin, labels *assay.LabelPlan, now time.Time) bool {
	if until, err := known.Until.Time(); err == nil && known.Until != "" && until.Before(now) {
		now = until
	}
	end, err := w.End.Time()
	return err != nil || !now.Before(end.Add(time.Duration(labels.WithinSeconds)*time.Second))
}

func percent(x float64) string {
	if math.IsNaN(x) {
		return "none"
	}
	return strconv.FormatFloat(100*x, 'f', 1, 64) + " %"
}

func metricCause(scope, slice string, m assay.RealisedMetric) assay.Cause {
	where := ""
	if slice != "" {
		where = " on " + slice
	}
	over := (-float64(m.Change.Value) - m.Margin) / max(math.Abs(float64(m.Reference.Value)), 1e-9)
	if !(over > 1e-6) {
		over = 1e-6
	}
	return assay.Cause{Scope: scope, Kind: m.Name, Column: slice, Contribution: over, Message: fmt.Sprintf("%s%s is %s, and was %s", m.Name, where, m.Realised, m.Reference)}
}

// persist is how many windows in a row a signal must be so to alarm.
func persist(plan assay.Monitor, s assay.Signal) int {
	for _, p := range plan.Signals {
		if p.Scope == s.Scope && p.Kind == s.Kind && p.Column == s.Column && p.Test == s.Test {
			return max(p.Persist, 1)
		}
	}
	return 1
}

func weight(plan assay.Monitor, s assay.Signal) float64 {
	for _, p := range plan.Signals {
		if p.Scope == s.Scope && p.Kind == s.Kind && p.Column == s.Column && p.Test == s.Test {
			return max(p.Weight, 1e-6)
		}
	}
	return 1e-6
}

// ranked sorts causes, the most important first, keeps the first MostCauses and makes contributions shares of whole, which is the sum of all where it is 0.
func ranked(causes []assay.Cause, whole float64) []assay.Cause {
	out := slices.Clone(causes)
	slices.SortStableFunc(out, func(a, b assay.Cause) int {
		return cmp.Or(cmp.Compare(b.Contribution, a.Contribution), cmp.Compare(a.Scope, b.Scope), cmp.Compare(a.Column, b.Column), cmp.Compare(a.Kind, b.Kind))
	})
	if whole == 0 {
		for _, c := range out {
			whole += c.Contribution
		}
	}
	for i := range out {
		if whole > 0 {
			out[i].Contribution /= whole
		} else {
			out[i].Contribution = 1 / float64(len(out))
		}
	}
	return out[:min(len(out), MostCauses)]
}

// A Case is an incident as it is on record.
type Case struct {
	ID       assay.Digest // of the evidence
	Seq      int64        // of its journal entry
	At       time.Time    // of its journal entry
	Fired    time.Time    // when it began to fire, or fired again after a mute; zero when it has not
	Incident assay.Incident
	stood    []assay.Digest // the findings that the states before stood on
}

// Open reports whether the incident is not resolved.
func (c *Case) Open() bool { return c != nil && c.Incident.State != assay.AlertResolved }

// A Change is one step in the life of an incident.
type Change struct {
	Before *assay.Incident // nil for the first
	Case
}

// Changes makes the lives of incidents of the alert evidence of a model, which comes in the order of the journal. Of two records that follow the same
// state, as two processes may write them at once, the first counts and the other is left out.
func Changes(records []assay.Record) ([]Change, error) {
	at := map[string]int{}
	var out []Change
	for _, r := range records {
		in, err := assay.Decode[assay.Incident](r.Evidence)
		if err != nil {
			return nil, err
		}
		c := Change{Case: Case{ID: r.ID, Seq: r.Entry.Seq, At: r.Entry.At, Incident: in}}
		if in.State == assay.AlertFiring {
			c.Fired = c.At
		}
		if i, ok := at[in.Key]; ok {
			if in.Previous != out[i].ID {
				continue
			}
			before := out[i].Incident
			c.Before, c.stood = &before, append(slices.Clone(out[i].stood), before.Evidence...)
			slices.Sort(c.stood)
			c.stood = slices.Compact(c.stood)
			if in.State != assay.AlertFiring || before.State == assay.AlertFiring {
				c.Fired = out[i].Fired
			}
		} else if in.Previous != "" {
			continue
		}
		at[in.Key] = len(out)
		out = append(out, c)
	}
	return out, nil
}

// Cases are the newest states of the incidents, oldest incident first.
func Cases(changes []Change) []Case {
	at := map[string]int{}
	var out []Case
	for _, c := range changes {
		i, ok := at[c.Incident.Key]
		if !ok {
			at[c.Incident.Key] = len(out)
			out = append(out, c.Case)
			continue
		}
		out[i] = c.Case
	}
	return out
}

// Newest returns the newest case of an alert under a plan, and the newest one that is resolved; nil without one.
func Newest(cases []Case, monitor assay.Digest, alert string) (newest, ended *Case) {
	for i := range cases {
		c := &cases[i]
		if c.Incident.Monitor != monitor || c.Incident.Alert != alert {
			continue
		}
		if newest = c; !c.Open() {
			ended = c
		}
	}
	return newest, ended
}

// Advance says what becomes of an alert whose newest case is last (nil for none) when c is what is found now. It returns false when nothing
// changes. The result names last as the state before.
func Advance(monitor assay.Digest, alert assay.AlertPlan, last *Case, c Condition, now time.Time) (assay.Incident, bool) {
	if !last.Open() {
		if !c.Holds {
			return assay.Incident{}, false
		}
		in := &change{assay.Incident{Monitor: monitor, Key: key(monitor, alert.Name, c), Alert: alert.Name, Severity: alert.Severity, State: assay.AlertPending, Since: c.Since, Deliveries: []assay.Delivery{}, Actions: []string{}}}
		in.take(c)
		if c.Streak >= alert.Persist {
			in.fire(alert, now, now)
		}
		return in.Incident, true
	}
	in := last.next()
	if c.Known && !c.Holds {
		in.move(assay.AlertResolved)
		in.Last, in.Evidence = c.Last, c.Evidence
		return in.Incident, true
	}
	changed := false
	if c.Holds && !c.same(in.Incident) {
		in.take(c)
		changed = true
	}
	streak := c.Streak
	if !c.Known {
		streak = 0
	}
	switch in.State {
	case assay.AlertPending:
		if streak >= alert.Persist {
			in.fire(alert, now, now)
			changed = true
		}
	case assay.AlertMuted:
		until, err := in.Until.Time()
		switch {
		case err == nil && now.Before(until):
		case !last.Fired.IsZero() || streak >= alert.Persist:
			in.fire(alert, now, now)
			changed = true
		default:
			in.move(assay.AlertPending)
			changed = true
		}
	case assay.AlertFiring:
		if due := dueStep(alert, last.Fired, now); due > in.Step {
			in.Step = due
			changed = true
		}
	}
	return in.Incident, changed
}

// key is the name of a new incident: short, and made of what began it.
func key(monitor assay.Digest, alert string, c Condition) string {
	var first assay.Digest
	if len(c.Evidence) > 0 {
		first = c.Evidence[0]
	}
	return fmt.Sprintf("%s-%s-%s", alert, keyTime(c.Since), assay.DigestOf([]byte(string(monitor) + "\n" + alert + "\n" + string(first))).Hex()[:8])
}
