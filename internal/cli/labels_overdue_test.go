package cli

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/assay-ml/assay/internal/serve"
	"github.com/assay-ml/assay/internal/web"
)

// TestOverdueLabelsAreSaid: wherever a verdict rests on labels that should have come, it says so: the line of the window, the last line, the report, the pages and
// the status of labels. Nothing does while they may still come.
func TestOverdueLabelsAreSaid(t *testing.T) {
	t.Parallel()
	p, _ := heldProject(t, `    - {name: moved, when: input, severity: error, to: ops}
  labels: {join: [request_id, row], within: 2d}
`)
	logDays(t, p.dir, "2026010512", map[string]string{"2026-01-03": "", "2026-01-04": ""})
	p.forward(3 * 24 * time.Hour)
	said := "labels overdue: 0 of 400 have come, 50.0 % are asked for; all should have come by 2026-01-0"
	everywhere := func(overdue bool, exit int) {
		t.Helper()
		seen := map[string]string{"run": p.run(exit, "monitor", "run"), "status": p.run(0, "labels", "status"), "report": ""}
		p.run(0, "monitor", "report", "--out", filepath.Join(p.dir, "m.html"))
		b, err := os.ReadFile(filepath.Join(p.dir, "m.html"))
		if err != nil {
			t.Fatal(err)
		}
		seen["report"] = string(b)
		s := p.session()
		defer s.Close()
		g := &pages{s: s, server: serve.New(serve.Options{Clock: s.Now, Nonce: "n"})}
		for name, page := range map[string]func(context.Context, *http.Request) (web.SitePage, error){"monitors": g.monitors, "home": g.home} {
			x, err := page(t.Context(), nil)
			if err != nil {
				t.Fatal(err)
			}
			var b strings.Builder
			if err := web.Site(&b, x, g.footer()); err != nil {
				t.Fatal(err)
			}
			seen[name] = b.String()
		}
		for name, text := range seen {
			if strings.Contains(text, said) != overdue {
				t.Errorf("%s: overdue %v, and it says\n%.2000s", name, overdue, text[max(0, strings.Index(text, "<h1")):])
			}
		}
		if run := seen["run"]; strings.Contains(run, "✕ 2026-01-03: labels overdue") != overdue || strings.Contains(run, "labels of 2 overdue\n") != overdue {
			t.Errorf("overdue %v: %s", overdue, run)
		}
		if report := seen["report"]; strings.Contains(report, "Labels of 2 are overdue.") != overdue {
			t.Errorf("overdue %v: %.500s", overdue, report[strings.Index(report, "<h1"):])
		}
	}
	everywhere(false, 3)
	p.forward(8 * 24 * time.Hour)
	everywhere(true, 3)
}

// TestLabelsAreOverdueAsOf: a replay that is asked for a moment of the past alarms of the labels that were overdue then. What came later it has left out, so no
// later clock makes them overdue; a replay of what is known now does.
func TestLabelsAreOverdueAsOf(t *testing.T) {
	t.Parallel()
	p, _ := heldProject(t, `    - {name: late, when: labels, severity: error, to: ops}
  labels: {join: id, within: 2d}
`)
	people, err := os.ReadFile(filepath.Join(p.dir, "people.csv"))
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for i, line := range strings.Split(strings.TrimSpace(string(people)), "\n") {
		switch {
		case i == 0:
			fmt.Fprintf(&b, "%s,day\n", line)
		default:
			fmt.Fprintf(&b, "%s,2025-12-%02d\n", line, 1+i%2)
		}
	}
	if err := os.WriteFile(filepath.Join(p.dir, "days.csv"), []byte(b.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	replay := func(exit int, args ...string) string {
		t.Helper()
		return p.run(exit, append([]string{"monitor", "replay", "days.csv", "--by", "day"}, args...)...)
	}
	if out := replay(0, "--as-of", "2025-12-02"); strings.Contains(out, "overdue") {
		t.Error(out)
	}
	for range 2 { // at once, and by whatever looks at the alerts later
		if got := p.states("late"); len(got) > 0 {
			t.Errorf("labels that could still come: %v", got)
		}
		p.forward(time.Hour)
		p.run(0, "alert", "list")
		if w := p.watcher(); w.tick(t.Context()) != nil {
			t.Fatal("the server's watch failed")
		}
	}
	if out := p.run(0, "labels", "status"); strings.Contains(out, "labels overdue") {
		t.Error(out)
	}
	if out := replay(3); !strings.Contains(out, "labels of 2 overdue") {
		t.Error(out)
	}
	if got := p.states("late"); !slices.Equal(got, []string{"firing 12-01"}) {
		t.Errorf("labels that are overdue now: %v", got)
	}
}
