package monitor

import (
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/assay-ml/assay"
)

func id(parts ...any) assay.Digest { return assay.DigestOf([]byte(fmt.Sprintln(parts...))) }

func driftOf(number, seq int64, v assay.Verdict) Finding {
	return Finding{Seq: seq, ID: id("drift", number, seq), Drift: &assay.Drift{
		Window: assay.Window{Number: number, Rows: 100},
		Signals: []assay.Signal{
			{Scope: "input", Kind: "distribution", Column: "age", Test: "ks", Verdict: v, Streak: map[bool]int{true: 1}[v == assay.Fail], Message: "age moved"},
			{Scope: "input", Kind: "missing", Column: "age", Test: "share", Verdict: v, Streak: map[bool]int{true: 1}[v == assay.Fail], Message: "age is missing"},
		},
		Ranking: []assay.Cause{{Scope: "input", Kind: "missing", Column: "age", Contribution: 0.6, Message: "age is missing"}, {Scope: "input", Kind: "distribution", Column: "age", Contribution: 0.2, Message: "age moved"}},
		Verdict: v,
	}}
}

func outcomeOf(number, seq int64, v assay.Verdict) Finding {
	return Finding{Seq: seq, ID: id("outcome", number, seq), Outcome: &assay.Outcome{
		Window: assay.Window{Number: number, Rows: 100, End: "2026-01-02T00:00:00Z"}, Verdict: v,
		Performance: []assay.RealisedMetric{{Name: "roc_auc_score", Change: assay.Estimate{Value: -0.1, Lo: -0.2, Hi: -0.05}, Reference: assay.Estimate{Value: 0.8}, Realised: assay.Estimate{Value: 0.7}, Verdict: v}},
		Labels:      assay.LabelJoin{Coverage: assay.Estimate{Value: 0.3, N: 100}},
	}}
}

var (
	driftAlert = assay.AlertPlan{Name: "drift", When: []string{"input"}, Severity: "warning", Persist: 2, Steps: []assay.Escalation{{To: []string{"log", "team"}}, {AfterSeconds: 600, To: []string{"lead"}}, {AfterSeconds: 3600, To: []string{"duty", "team"}}}}
	start      = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	plan       = id("plan")
)

// TestJudge: what the newest window that decides says, over restated and undetermined windows.
func TestJudge(t *testing.T) {
	const p, f, u = assay.Pass, assay.Fail, assay.Undetermined
	for _, x := range []struct {
		name         string
		findings     []Finding
		after        int64
		known, holds bool
		streak       int
		since, last  int64
	}{
		{name: "nothing"},
		{name: "quiet", findings: []Finding{driftOf(1, 1, p)}, known: true, last: 1},
		{name: "two in a row", findings: []Finding{driftOf(1, 1, p), driftOf(2, 2, f), driftOf(3, 3, f)}, known: true, holds: true, streak: 2, since: 2, last: 3},
		{name: "an undetermined window neither ends nor counts", findings: []Finding{driftOf(2, 2, f), driftOf(3, 3, u), driftOf(4, 4, f), driftOf(5, 5, u)}, known: true, holds: true, streak: 2, since: 2, last: 4},
		{name: "only undetermined ones", findings: []Finding{driftOf(1, 1, u)}},
		{name: "restated to nothing", findings: []Finding{driftOf(1, 1, f), driftOf(1, 2, p)}, known: true, last: 1},
		{name: "restated in the middle", findings: []Finding{driftOf(1, 1, f), driftOf(2, 2, f), driftOf(3, 3, f), driftOf(2, 4, p)}, known: true, holds: true, streak: 1, since: 3, last: 3},
		{name: "dealt with", findings: []Finding{driftOf(1, 1, f), driftOf(2, 2, f)}, after: 2, known: true, last: 2},
		{name: "again after it was dealt with", findings: []Finding{driftOf(1, 1, f), driftOf(2, 2, f), driftOf(3, 3, f)}, after: 2, known: true, holds: true, streak: 1, since: 3, last: 3},
		{name: "another subject", findings: []Finding{outcomeOf(1, 1, f)}},
	} {
		c := Judge(assay.Monitor{}, driftAlert, x.findings, x.after, start)
		if c.Known != x.known || c.Holds != x.holds || c.Streak != x.streak || c.Since.Number != x.since || c.Last.Number != x.last {
			t.Errorf("%s: got known %v, holds %v, streak %d, since %d, last %d; want %v, %v, %d, %d, %d", x.name, c.Known, c.Holds, c.Streak, c.Since.Number, c.Last.Number, x.known, x.holds, x.streak, x.since, x.last)
		}
		if x.holds && (len(c.Evidence) != x.streak || len(c.Causes) != 2 || c.Causes[0].Kind != "missing") {
			t.Errorf("%s: evidence %v, causes %v", x.name, c.Evidence, c.Causes)
		}
		if x.holds && math.Abs(c.Causes[0].Contribution-0.75) > 1e-12 {
			t.Errorf("%s: the contributions are %v, and must sum to 1 in the proportion 3 to 1", x.name, c.Causes)
		}
	}
}

// TestManyCauses: an incident of more causes than it names says how many there are, and its shares are of all, in a message of its own and in one of two alerts.
func TestManyCauses(t *testing.T) {
	const moved = 184
	f := driftOf(1, 1, assay.Fail)
	f.Drift.Signals, f.Drift.Ranking = nil, nil
	sum := 0.0
	for i := range moved {
		f.Drift.Signals = append(f.Drift.Signals, assay.Signal{Scope: "input", Kind: "distribution", Column: fmt.Sprintf("c%03d", i), Verdict: assay.Fail, Streak: 1, Message: fmt.Sprintf("c%03d moved", i)})
		c := assay.Cause{Scope: "input", Kind: "distribution", Column: fmt.Sprintf("c%03d", i), Message: fmt.Sprintf("c%03d moved", i), Contribution: 1 / float64(i+3)}
		f.Drift.Ranking = append(f.Drift.Ranking, c)
		sum += c.Contribution
	}
	alert := driftAlert
	alert.Persist = 1
	s := &story{alert: alert, now: start}
	s.advance(t, []Finding{f})
	in := s.newest(t).Incident
	if len(in.Causes) != MostCauses || in.CausesTotal != moved || math.Abs(in.Causes[0].Contribution-1/(3*sum)) > 1e-12 {
		t.Errorf("%d causes of %d, the first %v, want %v", len(in.Causes), in.CausesTotal, in.Causes[0].Contribution, 1/(3*sum))
	}
	n := s.notices[0]
	if !strings.HasSuffix(n.Summary, "c002 moved; and 181 more") {
		t.Errorf("%s", n.Summary)
	}
	lines := causeList(n)
	if len(lines) != shownCauses+1 || lines[shownCauses] != "and 176 more" {
		t.Errorf("%q", lines)
	}
	few := n
	few.ID, few.Alert, few.Causes, few.Total = noticeID("few"), "few", []assay.Cause{{Scope: "performance", Kind: "log_loss", Contribution: 0.75, Message: "worse"}, {Scope: "performance", Kind: "accuracy", Contribution: 0.25, Message: "worse too"}}, 2
	both := Merge([]Notice{n, few})
	if both.Total != moved+2 || len(both.Causes) != MostCauses || both.Causes[0].Contribution != 0.375 || both.Causes[1].Contribution != 0.125 || math.Abs(both.Causes[2].Contribution-n.Causes[0].Contribution/2) > 1e-12 {
		t.Errorf("%d causes of %d: %+v", len(both.Causes), both.Total, both.Causes[:3])
	}
	same := Merge([]Notice{n, func() Notice { x := n; x.ID, x.Alert = noticeID("same"), "same"; return x }()})
	named := 0.0
	for _, c := range n.Causes {
		named += c.Contribution
	}
	if same.Total != 2*moved-MostCauses || math.Abs(same.Causes[0].Contribution-n.Causes[0].Contribution/(2-named)) > 1e-12 {
		t.Errorf("%d, %v", same.Total, same.Causes[0])
	}
}

// TestJudgeOutcome: performance, business figures and labels that do not come.
func TestJudgeOutcome(t *testing.T) {
	labels := assay.Monitor{Labels: &assay.LabelPlan{MinCoverage: 0.5, WithinSeconds: 86400}}
	about := func(when ...string) assay.AlertPlan { return assay.AlertPlan{Name: "a", When: when, Persist: 1} }
	o := []Finding{outcomeOf(1, 1, assay.Fail)}
	if c := Judge(labels, about(AboutPerformance), o, 0, start); !c.Holds || c.Causes[0].Message != "roc_auc_score is 0.7 [0, 0], and was 0.8 [0, 0]" {
		t.Errorf("performance: %+v", c)
	}
	mixed := Judge(labels, about("input", AboutLabels), []Finding{driftOf(1, 1, assay.Fail), outcomeOf(1, 2, assay.Fail)}, 0, start.Add(1000*24*time.Hour))
	if n := len(mixed.Causes); n < 2 || mixed.Causes[0].Scope != "input" || mixed.Causes[n-1].Kind != "coverage" && mixed.Causes[n-2].Kind != "coverage" {
		t.Errorf("a column that moved comes before labels of which a few are missing: %+v", mixed.Causes)
	}
	early := time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)
	if c := Judge(labels, about(AboutLabels), o, 0, early); c.Known {
		t.Errorf("labels that may still come: %+v", c)
	}
	if c := Judge(labels, about(AboutLabels), o, 0, early.Add(24*time.Hour)); !c.Holds || c.Causes[0].Message != "30.0 % of the predictions have a label; the plan asks for 50.0 %" {
		t.Errorf("labels that are overdue: %+v", c)
	}
	then := outcomeOf(1, 1, assay.Fail) // what came after the moment was left out, so that nobody knows whether it came in time
	if then.Outcome.Labels.Until = assay.InstantOf(early); LabelsMissing(labels, *then.Outcome, early.Add(1000*24*time.Hour)) || Judge(labels, about(AboutLabels), []Finding{then}, 0, early.Add(1000*24*time.Hour)).Known {
		t.Error("labels are overdue that could still come at the moment up to which they are known")
	}
	if then.Outcome.Labels.Until = assay.InstantOf(early.Add(24 * time.Hour)); !Judge(labels, about(AboutLabels), []Finding{then}, 0, early.Add(1000*24*time.Hour)).Holds {
		t.Error("labels that were overdue then are not")
	}
	none := outcomeOf(1, 1, assay.Undetermined)
	none.Outcome.Labels.Coverage = assay.Undefined("no predictions", 0)
	if c := Judge(labels, about(AboutLabels), []Finding{none}, 0, early.Add(24*time.Hour)); c.Known || LabelsMissing(labels, *none.Outcome, early.Add(24*time.Hour)) {
		t.Errorf("a window without predictions needs no labels: %+v", c)
	}
	if late := *o[0].Outcome; LabelsMissing(labels, late, early) || !LabelsMissing(labels, late, early.Add(24*time.Hour)) {
		t.Error("30 % of the labels are missing when they are overdue, and not before")
	}
	if c := Judge(assay.Monitor{Signals: []assay.SignalPlan{{Scope: "input", Kind: "distribution", Column: "age", Test: "ks", Persist: 3}, {Scope: "input", Kind: "missing", Column: "age", Test: "share", Persist: 3}}}, about("input"), []Finding{driftOf(1, 1, assay.Fail)}, 0, start); c.Holds || !c.Known {
		t.Errorf("a signal that must persist for 3 windows alarmed after one: %+v", c)
	}
	both := Judge(labels, about("input", AboutPerformance), []Finding{driftOf(7, 1, assay.Pass), outcomeOf(3, 2, assay.Fail)}, 0, start)
	if !both.Holds || both.Last.Number != 3 {
		t.Errorf("an outcome of an older window: %+v", both)
	}
}

// A story is an alert of one version with its journal, as the command line keeps it.
type story struct {
	alert   assay.AlertPlan
	records []assay.Record
	now     time.Time
	notices []Notice
}

func (s *story) cases(t rapid.TB) []Case {
	cs, err := Changes(s.records)
	if err != nil {
		t.Fatal(err)
	}
	return Cases(cs)
}

func (s *story) put(t rapid.TB, in assay.Incident) {
	cs := s.cases(t)
	if last, _ := Newest(cs, plan, s.alert.Name); last != nil && last.Incident.Key == in.Key {
		if in.Previous != last.ID {
			t.Fatalf("the state before is %s, not %s", last.ID.Short(), in.Previous.Short())
		}
	} else if in.Previous != "" {
		t.Fatalf("a new incident names a state before")
	}
	payload, err := json.Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	r := assay.Record{ID: id("alert", len(s.records), string(payload)), Evidence: assay.Evidence{Kind: assay.KindAlert, Payload: payload}, Entry: assay.Entry{Seq: int64(1000 * (len(s.records) + 1)), At: s.now}}
	s.records = append(s.records, r)
	changes, err := Changes(s.records)
	if err != nil {
		t.Fatal(err)
	}
	s.notices = append(s.notices, Notices(assay.Monitor{}, s.alert, changes, len(changes)-1, id("model"), "people:1")...)
}

func (s *story) advance(t rapid.TB, findings []Finding) {
	Chronicle(findings)
	last, _ := Newest(s.cases(t), plan, s.alert.Name)
	for _, n := range Moments(assay.Monitor{}, s.alert, findings, last, s.now) {
		s.upTo(t, findings[:n])
	}
}

func (s *story) upTo(t rapid.TB, findings []Finding) {
	for range 4 { // until nothing changes: it must settle
		last, ended := Newest(s.cases(t), plan, s.alert.Name)
		in, changed := Advance(plan, s.alert, last, Judge(assay.Monitor{}, s.alert, findings, Dealt(ended, findings), s.now), s.now)
		if !changed {
			return
		}
		s.put(t, in)
	}
	t.Fatalf("the state does not settle")
}

func (s *story) newest(t rapid.TB) *Case {
	c, _ := Newest(s.cases(t), plan, s.alert.Name)
	return c
}

// TestLife: an alert from its first window to its end, step by step.
func TestLife(t *testing.T) {
	s := &story{alert: driftAlert, now: start}
	var f []Finding
	tell := func(want ...string) {
		t.Helper()
		var got []string
		for _, n := range s.notices {
			got = append(got, fmt.Sprintf("%s %d %s", n.Event, n.Step, n.Channel))
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Error(d)
		}
		s.notices = nil
	}
	state := func(want string, step int) {
		t.Helper()
		if c := s.newest(t); c.Incident.State != want || c.Incident.Step != step {
			t.Errorf("state %s, step %d; want %s, %d", c.Incident.State, c.Incident.Step, want, step)
		}
	}
	f = append(f, driftOf(1, 1, assay.Fail))
	s.advance(t, f)
	state(assay.AlertPending, 0)
	tell()
	f = append(f, driftOf(2, 2, assay.Fail))
	s.advance(t, f)
	state(assay.AlertFiring, 1)
	tell("trigger 1 log", "trigger 1 team")
	s.advance(t, f)
	tell()
	s.now = s.now.Add(10 * time.Minute)
	s.advance(t, f)
	state(assay.AlertFiring, 2)
	tell("trigger 2 lead")
	if in, err := Mute(s.newest(t), Note{"Ada", "a release is going on"}, s.now.Add(time.Hour), s.now); err != nil {
		t.Fatal(err)
	} else {
		s.put(t, in)
	}
	f = append(f, driftOf(3, 3, assay.Fail))
	s.now = s.now.Add(59 * time.Minute)
	s.advance(t, f)
	state(assay.AlertMuted, 2)
	tell()
	s.now = s.now.Add(time.Minute)
	s.advance(t, f)
	state(assay.AlertFiring, 2)
	tell("trigger 1 log", "trigger 1 team", "trigger 2 lead")
	if in, err := Acknowledge(s.newest(t), Note{"Ada", "looking into it"}); err != nil {
		t.Fatal(err)
	} else {
		s.put(t, in)
	}
	tell("acknowledge 1 log", "acknowledge 1 team", "acknowledge 2 lead")
	s.now = s.now.Add(48 * time.Hour)
	f = append(f, driftOf(4, 4, assay.Undetermined))
	s.advance(t, f)
	state(assay.AlertAcknowledged, 2)
	tell()
	f = append(f, driftOf(5, 5, assay.Pass))
	s.advance(t, f)
	state(assay.AlertResolved, 2)
	tell("resolve 1 log", "resolve 1 team", "resolve 2 lead")
	key := s.newest(t).Incident.Key
	f = append(f, driftOf(6, int64(1000*len(s.records)+1), assay.Fail), driftOf(7, int64(1000*len(s.records)+2), assay.Fail))
	s.advance(t, f)
	state(assay.AlertFiring, 1)
	if s.newest(t).Incident.Key == key || !strings.HasPrefix(key, "drift-1-") {
		t.Errorf("keys %s and %s", key, s.newest(t).Incident.Key)
	}
	s.notices = nil
	if in, err := Resolve(s.newest(t), Note{"Ada", "it is the new season"}); err != nil {
		t.Fatal(err)
	} else {
		s.put(t, in)
	}
	tell("resolve 1 log", "resolve 1 team")
	s.advance(t, f)
	state(assay.AlertResolved, 1) // the windows that it was resolved with do not raise it again
	for _, err := range []error{
		second(Acknowledge(s.newest(t), Note{"Ada", "looking into it"})), second(Resolve(s.newest(t), Note{"", "short"})),
		second(Mute(&Case{Incident: assay.Incident{State: assay.AlertFiring}}, Note{"Ada", "a long reason"}, start.Add(-1), start)),
	} {
		if err == nil {
			t.Error("what cannot be was done")
		}
	}
}

// TestChangesForked: of two records that follow the same state the first counts.
func TestChangesForked(t *testing.T) {
	s := &story{alert: driftAlert, now: start}
	f := []Finding{driftOf(1, 1, assay.Fail), driftOf(2, 2, assay.Fail)}
	s.advance(t, f)
	c := s.newest(t)
	ack, err := Acknowledge(c, Note{"Ada", "looking into it"})
	if err != nil {
		t.Fatal(err)
	}
	s.put(t, ack)
	late, changed := Advance(plan, s.alert, c, Condition{}, s.now.Add(time.Hour)) // by a process that has not seen it
	if !changed || late.Step != 3 {
		t.Fatalf("%v %+v", changed, late)
	}
	payload, err := json.Marshal(late)
	if err != nil {
		t.Fatal(err)
	}
	s.records = append(s.records, assay.Record{ID: id("late"), Evidence: assay.Evidence{Kind: assay.KindAlert, Payload: payload}, Entry: assay.Entry{Seq: 1e6, At: s.now}})
	if got := s.newest(t); got.Incident.State != assay.AlertAcknowledged {
		t.Errorf("the state is %s", got.Incident.State)
	}
}

func second[T any](_ T, err error) error { return err }

// TestAlertProperties drives an alert through arbitrary windows, restatements, times and people, and holds what was told against what
// must be: every change is told once to everybody who must know, nobody is told while it is muted or acknowledged, a mute ends, and an alert that ends is
// resolved for everybody who was told of it.
func TestAlertProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := &story{alert: driftAlert, now: start}
		s.alert.Persist = rapid.IntRange(1, 3).Draw(t, "persist")
		var f []Finding
		seq := int64(0)
		told := map[string]map[string]bool{} // by incident, channel: told of it and not of its end
		ids := map[string]bool{}
		for range rapid.IntRange(1, 30).Draw(t, "steps") {
			before := s.newest(t)
			quiet := false
			switch rapid.IntRange(0, 5).Draw(t, "what") {
			case 0, 1:
				seq = max(seq+1, int64(1000*len(s.records))+1)
				last := int64(len(f) + 1)
				if len(f) > 0 && rapid.IntRange(0, 3).Draw(t, "restated") == 0 {
					last = int64(rapid.IntRange(1, len(f)).Draw(t, "window"))
				}
				f = append(f, driftOf(last, seq, rapid.SampledFrom([]assay.Verdict{assay.Pass, assay.Fail, assay.Fail, assay.Undetermined}).Draw(t, "verdict")))
			case 2:
				s.now = s.now.Add(time.Duration(rapid.IntRange(1, 7200).Draw(t, "seconds")) * time.Second)
			default:
				if !before.Open() {
					continue
				}
				n := Note{"Ada", "for a good reason"}
				var in assay.Incident
				var err error
				switch rapid.IntRange(0, 2).Draw(t, "who") {
				case 0:
					in, err = Acknowledge(before, n)
				case 1:
					in, err = Mute(before, n, s.now.Add(time.Hour), s.now)
					quiet = true
				default:
					in, err = Resolve(before, n)
				}
				if err != nil {
					continue
				}
				s.put(t, in)
			}
			if !quiet {
				s.advance(t, f)
			}
			if c := s.newest(t); c != nil {
				in := c.Incident
				if in.State == assay.AlertMuted {
					if until, err := in.Until.Time(); err != nil || !until.After(s.now) && !quiet {
						t.Fatalf("muted until %s, and it is %s", in.Until, s.now)
					}
				}
				if in.State == assay.AlertFiring && !quiet {
					if due := dueStep(s.alert, c.Fired, s.now); in.Step < due {
						t.Fatalf("step %d, and %d is due", in.Step, due)
					}
				}
				if before.Open() && before.Incident.State == assay.AlertAcknowledged && in.Key == before.Incident.Key && in.State == assay.AlertAcknowledged && in.Step != before.Incident.Step {
					t.Fatal("an acknowledged incident escalated")
				}
			}
		}
		states := map[string]string{}
		cs := s.cases(t)
		for _, c := range cs {
			states[c.Incident.Key] = c.Incident.State
		}
		for _, n := range s.notices {
			if ids[n.ID] {
				t.Fatalf("notice %s was made twice", n.ID)
			}
			ids[n.ID] = true
			if told[n.Key] == nil {
				told[n.Key] = map[string]bool{}
			}
			switch n.Event {
			case EventTrigger:
				told[n.Key][n.Channel] = true
			case EventResolve:
				if !told[n.Key][n.Channel] {
					t.Fatalf("%s was told of the end of %s, and not of its beginning", n.Channel, n.Key)
				}
				delete(told[n.Key], n.Channel)
			}
		}
		for key, channels := range told {
			if states[key] == assay.AlertResolved && len(channels) > 0 {
				t.Fatalf("%v were not told that %s is over", channels, key)
			}
		}
		for _, c := range cs {
			if c.Incident.State == assay.AlertFiring {
				for i := range c.Incident.Step {
					for _, to := range s.alert.Steps[i].To {
						if !told[c.Incident.Key][to] {
							t.Fatalf("step %d of %s did not reach %s", i+1, c.Incident.Key, to)
						}
					}
				}
			}
		}
	})
}

// TestBatchHasEveryState: windows that are judged at once leave the states on record that they leave one by one, of drift and of outcomes that come after
// all of it; and coming again changes nothing.
func TestBatchHasEveryState(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		alert := driftAlert
		alert.When, alert.Persist = []string{"input", AboutPerformance}, rapid.IntRange(1, 3).Draw(t, "persist")
		verdict := rapid.SampledFrom([]assay.Verdict{assay.Pass, assay.Fail, assay.Fail, assay.Undetermined})
		var f []Finding
		seq := int64(0)
		for range rapid.IntRange(1, 3).Draw(t, "batches") {
			first := len(f) + 1
			n := rapid.IntRange(1, 8).Draw(t, "windows")
			for i := range n {
				seq++
				f = append(f, driftOf(int64(first+i), seq, verdict.Draw(t, "drift")))
			}
			for i := range rapid.IntRange(0, n).Draw(t, "outcomes") {
				seq++
				f = append(f, outcomeOf(int64(first+i), seq, verdict.Draw(t, "outcome")))
			}
		}
		states := func(s *story) (out []string) {
			cs, err := Changes(s.records)
			if err != nil {
				t.Fatal(err)
			}
			for _, c := range cs {
				if c.Before == nil || c.Before.State != c.Incident.State {
					out = append(out, fmt.Sprintf("%s %s in window %d, since %d", c.Incident.Key, c.Incident.State, c.Incident.Last.Number, c.Incident.Since.Number))
				}
			}
			return out
		}
		single, batch := &story{alert: alert, now: start}, &story{alert: alert, now: start}
		for i := range f {
			single.upTo(t, f[:i+1])
		}
		batch.advance(t, f)
		if d := cmp.Diff(states(single), states(batch)); d != "" {
			t.Fatalf("one by one (-), at once (+):\n%s", d)
		}
		n := len(batch.records)
		if batch.advance(t, f); len(batch.records) != n {
			t.Fatalf("coming again made %d records: %v", len(batch.records)-n, states(batch))
		}
	})
}

// TestRestatedIsDealtWith: outcomes that are restated and hold no longer, while the alert goes on for another reason, change it once and not at every look.
func TestRestatedIsDealtWith(t *testing.T) {
	alert := driftAlert
	alert.When, alert.Persist = []string{"input", AboutPerformance}, 1
	f := []Finding{
		driftOf(1, 1, assay.Fail), driftOf(2, 2, assay.Fail), driftOf(3, 3, assay.Fail), outcomeOf(1, 4, assay.Fail), outcomeOf(2, 5, assay.Fail), outcomeOf(3, 6, assay.Fail),
		outcomeOf(1, 7, assay.Pass), outcomeOf(2, 8, assay.Pass), outcomeOf(3, 9, assay.Pass), driftOf(3, 10, assay.Undetermined),
	}
	for _, looks := range [][]int{{9}, {6, 9}, {3, 6, 7, 8, 9}, {2, 5, 9, 10}} {
		s := &story{alert: alert, now: start}
		for _, n := range looks {
			s.advance(t, f[:n])
			was := len(s.records)
			for range 3 {
				if s.advance(t, f[:n]); len(s.records) != was {
					t.Fatalf("looks at %v: coming again after %d findings made %d records", looks, n, len(s.records)-was)
				}
			}
		}
		in := s.newest(t).Incident
		if want := int64(min(looks[len(looks)-1], 9)-6) - int64(looks[len(looks)-1]/10); in.State != assay.AlertFiring || in.Last.Number != want || in.CausesTotal != 2 {
			t.Errorf("looks at %v: %s, window %d, %d causes", looks, in.State, in.Last.Number, in.CausesTotal)
		}
	}
}

// TestSummary: a notice in one line, and what is too long is cut between characters.
func TestSummary(t *testing.T) {
	n := Notice{Event: EventTrigger, Severity: "error", Version: "people:3", Alert: "drift", Step: 2, Window: &assay.Window{Number: 4, Start: "2026-01-01T00:00:00Z", End: "2026-01-02T00:00:00Z"}, Causes: []assay.Cause{{Message: "a"}, {Message: "b"}, {Message: "c"}, {Message: "d"}, {Message: "e"}}}
	if got, want := n.summary(), "[error] people:3: drift in the window 2026-01-01T00:00:00Z to 2026-01-02T00:00:00Z (step 2: nobody acknowledged): a; b; c; and 2 more"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	for _, x := range []string{"", "short", strings.Repeat("é", 600)} {
		for _, limit := range []int{3, 4, 150, 1024} {
			if got := cut(x, limit); len(got) > limit || strings.ToValidUTF8(got, "?") != got {
				t.Errorf("cut(%d bytes, %d) is %q", len(x), limit, got)
			}
		}
	}
}

// TestIncidentNames: an incident is named by when its window began, as a person would, and by a number only where there is no time.
func TestIncidentNames(t *testing.T) {
	for _, x := range []struct{ start, end, want string }{
		{"2026-11-29T16:35:00Z", "2026-11-29T16:36:00Z", "2026-11-29T1635"},
		{"2026-11-29T00:00:00Z", "2026-11-30T00:00:00Z", "2026-11-29"},
		{"2026-11-01T00:00:00Z", "2026-12-01T00:00:00Z", "2026-11"},
		{"2026-01-01T00:00:00Z", "2027-01-01T00:00:00Z", "2026"},
		{"", "", "29927083"},
	} {
		if got := keyTime(assay.Window{Number: 29927083, Start: assay.Instant(x.start), End: assay.Instant(x.end)}); got != x.want {
			t.Errorf("%s: %s, want %s", x.start, got, x.want)
		}
	}
}
