package cli

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/assaytest"
	"github.com/assay-ml/assay/internal/monitor"
)

// TestLabelsOfTheLog brings labels to the rows of requests that a log holds: what they say is judged window by window, and restated as more come.
func TestLabelsOfTheLog(t *testing.T) {
	t.Parallel()
	m, dir := monitored(t, ", labels: {join: [request_id, row], within: 2d}, margin: 0.01")
	logDays(t, dir, "2025123012", map[string]string{"2025-12-30": "", "2025-12-31": ""})
	people := people(t)
	add := func(day, came string, from, to int) {
		t.Helper()
		var b strings.Builder
		fmt.Fprintln(&b, "request_id,row,churned,came")
		for i := from; i < to; i++ {
			fmt.Fprintf(&b, "%s%d,0,%s,%s\n", day, i, people[1+i][7], came)
		}
		if err := os.WriteFile(filepath.Join(dir, "labels.csv"), []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
		if out, stderr, exit := command(m, dir, "labels", "add", "labels.csv", "--came", "came"); exit != 0 || !strings.Contains(out, fmt.Sprint(to-from)+" labels added") {
			t.Fatalf("%d %s%s", exit, out, stderr)
		}
	}
	run := func() []outcomeWindow {
		t.Helper()
		stdout, stderr, exit := command(m, dir, "--json", "monitor", "run", "--reason", "the people of the table as traffic")
		var doc struct{ Outcomes []outcomeWindow }
		if err := json.Unmarshal([]byte(stdout), &doc); exit != 3 || err != nil || len(doc.Outcomes) < 2 {
			t.Fatalf("%d %v: %s%s", exit, err, stdout, stderr)
		}
		return doc.Outcomes
	}
	add("2025-12-30", "2025-12-31T00:00:00Z", 0, 400)
	add("2025-12-31", "2026-01-01T12:00:00Z", 0, 100)
	first := run()
	a, b := first[0].Outcome, first[1].Outcome
	// The answers of that log are one and the same for everybody: they rank nobody.
	if l := a.Labels; l.Labelled != 400 || l.Coverage.Value != 1 || l.DelayP50 != 12*3600 || l.Overdue != 0 || a.Verdict != assay.Fail || a.Performance[0].Realised.Value != 0.5 || a.Performance[0].Verdict != assay.Fail {
		t.Errorf("all labels of a day: %+v, %s, %+v", l, a.Verdict, a.Performance)
	}
	if l := b.Labels; l.Labelled != 100 || l.Coverage.Value != 0.25 || b.Verdict != assay.Undetermined || b.Performance[0].Verdict != assay.Undetermined {
		t.Errorf("a quarter of the labels of a day: %+v, %s", l, b.Verdict)
	}
	add("2025-12-31", "2026-01-02T02:00:00Z", 100, 400)
	second := run()
	if second[0].Evidence != first[0].Evidence {
		t.Error("labels of another day restate a window")
	}
	if o := second[1].Outcome; o.Labels.Labelled != 400 || o.Restates != first[1].Evidence || o.Look != 2 || o.Verdict != assay.Fail || o.Labels.Overdue != 0 || o.Labels.DelayMax != 38*3600 {
		t.Errorf("all labels of the second day: %+v, look %d, %s", o.Labels, o.Look, o.Verdict)
	}
	if again := run(); again[0].Evidence != second[0].Evidence || again[1].Evidence != second[1].Evidence {
		t.Error("the same labels are another fact")
	}
}

// TestOutcomesAreOfThePlan: figures are computed as when the plan was made: another threshold, business metric or slicing in assay.yaml changes none.
func TestOutcomesAreOfThePlan(t *testing.T) {
	t.Parallel()
	m, dir := monitored(t, ", labels: {join: [request_id, row], within: 2d}, metrics: [f1_score], business: {margin: 10}")
	logDays(t, dir, "2025123012", map[string]string{"2025-12-30": ""})
	var b strings.Builder
	fmt.Fprintln(&b, "request_id,row,churned")
	for i := range 400 {
		fmt.Fprintf(&b, "2025-12-30%d,0,%s\n", i, people(t)[1+i][7])
	}
	if err := os.WriteFile(filepath.Join(dir, "labels.csv"), []byte(b.String()), 0o644); err != nil {
		t.Fatal(err)
	}
	do(t, m, dir, 0, "labels", "add", "labels.csv")
	run := func() outcomeWindow {
		t.Helper()
		stdout, stderr, exit := command(m, dir, "--json", "monitor", "run", "--reason", "the people of the table as traffic")
		var doc struct{ Outcomes []outcomeWindow }
		if err := json.Unmarshal([]byte(stdout), &doc); exit != 3 || err != nil || len(doc.Outcomes) == 0 {
			t.Fatalf("%d %v: %s%s", exit, err, stdout, stderr)
		}
		return doc.Outcomes[0]
	}
	before := run()
	if o := before.Outcome; len(o.Slices) < 5 || o.Business == nil || !o.Business.Realised.Defined() {
		t.Fatalf("%+v", o)
	}
	path := filepath.Join(dir, ProjectFile)
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for old, now := range map[string]string{"fn * 5.0": "fn * 50.0", `slices: [region, "age: 18-39, 40-59, 60+"]`: "slices: [sex]\n  threshold: 0.05"} {
		if !strings.Contains(string(text), old) {
			t.Fatal(old)
		}
		text = []byte(strings.Replace(string(text), old, now, 1))
	}
	if err := os.WriteFile(path, text, 0o644); err != nil {
		t.Fatal(err)
	}
	if after := run(); after.Evidence != before.Evidence {
		t.Errorf("after other settings the outcome is another: %d slices, %+v, %+v", len(after.Outcome.Slices), after.Outcome.Performance, after.Outcome.Business)
	}
}

// TestOverdueLabelsAreANo: labels that should all have come and did not are a no, as they are an incident; those that may still come are none.
func TestOverdueLabelsAreANo(t *testing.T) {
	now := assaytest.Clock()()
	p := assay.Monitor{Labels: &assay.LabelPlan{MinCoverage: 0.5, WithinSeconds: 86400}}
	few := func(end time.Time) []outcomeWindow {
		o := assay.Outcome{Window: assay.Window{End: assay.InstantOf(end)}, Verdict: assay.Undetermined, Labels: assay.LabelJoin{Coverage: assay.Estimate{Value: 0.289, N: 100}}}
		return []outcomeWindow{{Outcome: o, Overdue: monitor.LabelsOverdue(p, o, now)}}
	}
	if v := withOutcomes(assay.Pass, few(now.Add(-25*time.Hour))); v != assay.Fail {
		t.Errorf("overdue: %s", v)
	}
	if v := withOutcomes(assay.Pass, few(now.Add(-23*time.Hour))); v != assay.Pass {
		t.Errorf("not yet: %s", v)
	}
}
