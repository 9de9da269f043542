package cli

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/assay-ml/assay"
)

// TestMonitorRun holds a prediction log against a plan: a day like the training data, a day without traffic, a day that changed, one before the
// clock's and not over.
func TestMonitorRun(t *testing.T) {
	t.Parallel()
	m, dir := monitored(t, "")
	if _, stderr, exit := command(m, dir, "monitor", "run"); exit != 1 || !strings.Contains(stderr, "no prediction of this model was logged") {
		t.Errorf("without a log: %d, %s", exit, stderr)
	}
	l := newPeopleLog(t)
	answer := func(row map[string]any, i int) {
		if l.people[1+i%600][7] == "yes" {
			row["prediction"], row["probability_no"], row["probability_yes"] = "yes", 0.05, 0.95
		}
	}
	for i := range 400 {
		l.line("2025-12-29", "answered", i, func(row map[string]any) { answer(row, i) })
		l.line("2025-12-31", "answered", i, func(row map[string]any) {
			answer(row, i)
			row["region"] = "south"
		})
	}
	for i := range 7 {
		l.line("2025-12-31", "refused", i, func(row map[string]any) {
			delete(row, "prediction")
			delete(row, "probability_yes")
			delete(row, "probability_no")
		})
	}
	fmt.Fprintln(&l.lines, `{"_at":"2025-12-31T13:00:00.000000","_index":-1,"_outcome":"lost","_lost":11}`)
	l.line("2026-01-02", "answered", 0, func(map[string]any) {})
	l.write(dir, "2025123112")
	run := func() (out struct {
		Windows []replayedWindow `json:"windows"`
		Verdict assay.Verdict    `json:"verdict"`
	},
	) {
		stdout, stderr, exit := command(m, dir, "--json", "monitor", "run")
		if exit != 3 {
			t.Fatalf("%d: %s%s", exit, stdout, stderr)
		}
		if err := json.Unmarshal([]byte(stdout), &out); err != nil {
			t.Fatal(err)
		}
		return out
	}
	out := run()
	var got []string
	for _, w := range out.Windows {
		d := w.Drift
		got = append(got, fmt.Sprintf("%s %s rows %d refused %d lost %d causes %d", w.Label, d.Verdict, d.Window.Rows, d.Window.Refused, d.Window.Lost, len(d.Ranking)))
	}
	moved := out.Windows[2].Drift
	if !slices.ContainsFunc(moved.Ranking, func(c assay.Cause) bool { return c.Scope == "input" && c.Column == "region" }) {
		t.Errorf("what moved: %+v", moved.Ranking)
	}
	// The answers are made up, so on the first day only inputs are as before.
	want := []string{
		"2025-12-29 .* rows 400 refused 0 lost 0 .*", "2025-12-30 fail rows 0 refused 0 lost 0 causes 1", "2025-12-31 fail rows 407 refused 7 lost 11 .*", "2026-01-01 fail rows 0 refused 0 lost 0 causes 1",
	}
	for i := range want {
		if i >= len(got) || !regexp.MustCompile("^"+want[i]+"$").MatchString(got[i]) {
			t.Fatalf("windows\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	}
	if len(got) != len(want) {
		t.Errorf("%d windows, want %d: the day of the clock is not over", len(got), len(want))
	}
	for _, c := range out.Windows[0].Drift.Ranking {
		if c.Scope == "input" {
			t.Errorf("an unchanged day: %+v", c)
		}
	}
	again := run()
	if !slices.EqualFunc(out.Windows, again.Windows, func(a, b replayedWindow) bool { return a.Evidence == b.Evidence }) {
		t.Error("the same windows are other evidence")
	}
	if stdout, _, _ := command(m, dir, "monitor", "run"); !strings.Contains(stdout, "2025-12-31: 407 rows, ") || !strings.Contains(stdout, "; 7 rows refused, 11 rows lost (2.6 %)\n") {
		t.Errorf("what was refused and lost is not said: %s", stdout)
	}
	if stdout, stderr, exit := command(m, dir, "monitor", "report", "-o", "page.html"); exit != 0 || stdout != "people:1: 4 windows in page.html\n" {
		t.Errorf("report: %d, %s%s", exit, stdout, stderr)
	}
}
