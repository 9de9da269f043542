package cli

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/serve"
	"github.com/assay-ml/assay/internal/store"
)

// TestBeyondRetention: a window whose rows retention has removed, all or some, keeps its evidence and is said to be beyond retention. What goes on from
// window to window goes on from it, and labels of predictions that are gone are not taken for labels of none.
func TestBeyondRetention(t *testing.T) {
	m, dir := monitored(t, ", labels: {join: [request_id, row], within: 2d}, margin: 0.01")
	days := []string{"2025-12-28", "2025-12-29", "2025-12-30", "2025-12-31", "2026-01-01"}
	for d, day := range days {
		for half := range 2 {
			l := newPeopleLog(t)
			for i := 200 * half; i < 200*half+200; i++ {
				l.line(day, "answered", i, func(row map[string]any) {
					if d >= 1 {
						row["region"] = "south"
					}
				})
			}
			l.write(dir, fmt.Sprintf("%sT1%d", day, half))
		}
	}
	var b strings.Builder
	fmt.Fprintln(&b, "request_id,row,churned,came")
	all := people(t)
	for i := range 400 { // labels of the first day come on the fourth
		fmt.Fprintf(&b, "%s%d,0,%s,2025-12-31T13:00:00Z\n", days[0], i, all[1+i][7])
		fmt.Fprintf(&b, "%s%d,0,%s,2025-12-31T13:00:00Z\n", days[3], i, all[1+i][7])
	}
	if err := os.WriteFile(filepath.Join(dir, "labels.csv"), []byte(b.String()), 0o644); err != nil {
		t.Fatal(err)
	}
	do(t, m, dir, 0, "labels", "add", "labels.csv", "--came", "came")
	type document struct {
		Windows, Beyond_retention []replayedWindow //nolint:revive // the name in the document
		Outcomes                  []outcomeWindow
	}
	run := func() (doc document) {
		t.Helper()
		stdout, stderr, exit := command(m, dir, "--json", "monitor", "run", "--reason", "the people of the table as traffic")
		if err := json.Unmarshal([]byte(stdout), &doc); exit != 3 || err != nil {
			t.Fatalf("%d %v: %s%s", exit, err, stdout, stderr)
		}
		return doc
	}
	record := func() (ids []assay.Digest) {
		t.Helper()
		s, err := (&app{World: World{Dir: dir, Env: func(string) string { return "" }, Now: m.clock}}).open(t.Context(), "test")
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		for _, kind := range []assay.Kind{assay.KindDrift, assay.KindOutcome} {
			rs, err := s.st.Find(t.Context(), store.Query{Kind: kind})
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range rs {
				ids = append(ids, r.ID)
			}
		}
		return ids
	}
	first := run()
	if len(first.Windows) != 5 || len(first.Beyond_retention) != 0 || first.Windows[4].Drift.Window.Rows != 400 {
		t.Fatalf("%d windows, %d beyond retention", len(first.Windows), len(first.Beyond_retention))
	}
	before := record()
	log := serve.LogDir(filepath.Join(dir, ".assay", "log"), "people")
	for i, segment := range []string{days[0] + "T10", days[0] + "T11", days[1] + "T10", days[1] + "T11", days[2] + "T10"} {
		if err := os.Remove(filepath.Join(log, segment+"-x-0.jsonl")); err != nil {
			t.Fatal(err)
		}
		doc := run()
		gone := i/2 + 1
		if len(doc.Beyond_retention) != gone || len(doc.Windows) != 5-gone {
			t.Fatalf("without %d segments: %d windows are judged, %d are beyond retention", i+1, len(doc.Windows), len(doc.Beyond_retention))
		}
		for k, x := range append(doc.Beyond_retention, doc.Windows...) {
			if x.Evidence != first.Windows[k].Evidence || x.Label != days[k] {
				t.Errorf("without %d segments: the window of %s is another fact: %s", i+1, days[k], x.Label)
			}
		}
		for k, x := range doc.Outcomes {
			if x.Evidence != first.Outcomes[gone+k].Evidence {
				t.Errorf("without %d segments: the outcome of %s is another fact: %+v", i+1, x.Label, x.Outcome.Labels)
			}
		}
		if after := record(); !slices.Equal(after, before) {
			t.Fatalf("without %d segments %d things are on record, not %d", i+1, len(after), len(before))
		}
	}
	out, _, _ := command(m, dir, "monitor", "run", "--reason", "the people of the table as traffic")
	for _, says := range []string{"◐ 2025-12-28: beyond retention, the log has 0 of 400 rows; it stays as it was judged", "◐ 2025-12-30: beyond retention, the log has 200 of 400 rows"} {
		if !strings.Contains(out, says) {
			t.Errorf("%s is not said:\n%s", says, out)
		}
	}
}

// TestWindowsOfRowsAfterRetention: windows by count stay where they were judged when the first segments of the log are gone: what was judged keeps its number and its
// evidence, and rows of a version are counted whatever rows of other versions lie between them.
func TestWindowsOfRowsAfterRetention(t *testing.T) {
	m, dir := monitored(t, "")
	path := filepath.Join(dir, ProjectFile)
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(strings.Replace(string(text), "window: 1d,", "window: 300 rows, rows_per_day: 400,", 1)), 0o644); err != nil {
		t.Fatal(err)
	}
	do(t, m, dir, 0, "monitor", "plan")
	day := func(name string) {
		t.Helper()
		l := newPeopleLog(t)
		for i := range 400 {
			l.line(name, "answered", i, func(map[string]any) {})
			if i%2 == 0 { // of another version
				l.line(name+"other", "answered", i, func(row map[string]any) { row["_at"], row["_version"] = name+"T12:00:00.000000", 2 })
			}
		}
		l.write(dir, name+"12")
	}
	type document struct {
		Windows, Beyond_retention []replayedWindow //nolint:revive // the name in the document
	}
	run := func() (doc document) {
		t.Helper()
		stdout, stderr, _ := command(m, dir, "--json", "monitor", "run", "--model", "people:1")
		if err := json.Unmarshal([]byte(stdout), &doc); err != nil {
			t.Fatalf("%v: %s%s", err, stdout, stderr)
		}
		return doc
	}
	said := func(windows []replayedWindow) (out []string) {
		for _, x := range windows {
			out = append(out, fmt.Sprintf("%d: %d", x.Drift.Window.Number, x.Drift.Window.Rows))
		}
		return out
	}
	day("2025-12-28")
	day("2025-12-29")
	first := run()
	if got := said(first.Windows); !slices.Equal(got, []string{"1: 300", "2: 300", "3: 200"}) || first.Windows[1].Drift.Window.Partial || !first.Windows[2].Drift.Window.Partial {
		t.Fatalf("windows of %v rows", got)
	}
	gone := func(segment string) {
		t.Helper()
		if err := os.Remove(filepath.Join(serve.LogDir(filepath.Join(dir, ".assay", "log"), "people"), segment+"12-x-0.jsonl")); err != nil {
			t.Fatal(err)
		}
	}
	gone("2025-12-28")
	second := run()
	if got := said(second.Windows); !slices.Equal(got, []string{"3: 200"}) || second.Windows[0].Evidence != first.Windows[2].Evidence {
		t.Errorf("after retention: windows of %v rows, evidence %s, want %s", got, second.Windows[0].Evidence, first.Windows[2].Evidence)
	}
	if got := said(second.Beyond_retention); !slices.Equal(got, []string{"1: 300", "2: 300"}) {
		t.Errorf("beyond retention: %v", got)
	}
	day("2025-12-30")
	third := run()
	if got := said(third.Windows); !slices.Equal(got, []string{"3: 300", "4: 300"}) {
		t.Errorf("with another day: windows of %v rows", got)
	}
	gone("2025-12-29")
	gone("2025-12-30")
	day("2025-12-31")
	if got := said(run().Windows); !slices.Equal(got, []string{"5: 300", "6: 100"}) {
		t.Errorf("of rows that are all new: windows of %v rows", got)
	}
}
