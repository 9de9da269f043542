package cli

import (
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/serve"
	"github.com/assay-ml/assay/internal/store"
)

// TestGapsAreShown: what the log lacks is told by log list and labels status with the names of the segments, and stands in the evidence of the window that
// it is in and of no other; labels of no class are named when they are added.
func TestGapsAreShown(t *testing.T) {
	t.Parallel()
	m, dir := monitored(t, ", labels: {within: 30d}")
	l := newPeopleLog(t)
	for _, day := range []string{"2025-12-29", "2025-12-30"} {
		for i := range 100 {
			l.line(day, "answered", i, func(map[string]any) {})
		}
	}
	killed := func(rows int, m serve.Missing) {
		l.line("2025-12-30", "lost", 0, func(row map[string]any) {
			clear(row)
			row["_at"], row["_index"], row["_outcome"], row["_lost"], row["_violations"] = "2025-12-30T13:00:00.000000", -1, "lost", rows, m.String()
		})
	}
	killed(2, serve.Missing{Segment: "2025123012-a-0", What: serve.Damaged, Bytes: 1234})
	killed(0, serve.Missing{Segment: "2025123012-a-0", What: serve.Unclosed})
	killed(0, serve.Missing{Segment: "2025123012-b-0", What: serve.Unclosed, Bytes: 7})
	l.line("2025-12-29", "answered", 0, func(row map[string]any) { row["_micros"] = "soon" }) // no engine reads that as a number
	l.write(dir, "2025123112")
	if err := os.WriteFile(filepath.Join(dir, "odd.csv"), []byte("id,churned\np1,yes\np2,maybe\np3,maybe\np4,7\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	out, errs, exit := command(m, dir, "labels", "add", "odd.csv")
	if exit != 0 || !strings.Contains(out, "people: 4 labels added\n") || !strings.Contains(out, `3 labels are no class of any version of the model, or no number, and will count as missing: "maybe" (2), "7" (1)`) {
		t.Errorf("labels add: %d %s%s", exit, out, errs)
	}
	want := []string{
		"2 of the segments ended without being closed", "2025123012-a-0 is damaged: 1,234 bytes of it are no records, and count as 2 lost rows", "2025123012-a-0 was not closed\n",
		"2025123012-b-0 was not closed; 7 bytes of its end were torn", "2025123112-x-0 has lines that cannot be read: 1, of ",
	}
	for _, args := range [][]string{{"log", "list"}, {"labels", "status"}} {
		out, errs, exit := command(m, dir, args...)
		for _, w := range want {
			if exit != 0 || !strings.Contains(out, w) {
				t.Errorf("%v: %d, not %q:\n%s%s", args, exit, w, out, errs)
			}
		}
	}
	out, errs, _ = command(m, dir, "log", "list", "--json")
	var doc struct {
		Logs []logSummary `json:"logs"`
	}
	if err := json.Unmarshal([]byte(out), &doc); err != nil || len(doc.Logs) != 1 {
		t.Fatal(err, out, errs)
	}
	if g := doc.Logs[0]; g.Lost != 3 || g.Unclosed != 2 || len(g.Missing) != 4 || g.Missing[0].Rows != 2 || g.Missing[3].Bytes < 100 {
		t.Errorf("%+v", g)
	}
	if out, errs, _ = command(m, dir, "monitor", "run"); strings.Count(out, "2 segments of the log ended without being closed") != 1 {
		t.Errorf("monitor run: %s%s", out, errs)
	}
	a := &app{World: m.world(dir, func(string) string { return "" }, strings.NewReader(""), io.Discard, io.Discard)}
	s, err := a.open(t.Context(), "test")
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	rs, err := s.st.Find(t.Context(), store.Query{Kind: assay.KindDrift})
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range rs {
		d, err := assay.Decode[assay.Drift](r.Evidence)
		if err != nil {
			t.Fatal(err)
		}
		want := [2]int64{0, 1}
		if strings.HasPrefix(string(d.Window.Start), "2025-12-30") {
			want = [2]int64{2, 2}
		}
		if got := [2]int64{d.Window.Unclosed, d.Window.Lost}; d.Window.Rows > 0 && got != want {
			t.Errorf("window of %s: unclosed and lost %v, want %v", d.Window.Start, got, want)
		}
	}
}
