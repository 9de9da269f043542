package cli

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/store"
)

// counted are how many windows and outcomes are on record.
func (p *watchedProject) counted() [2]int {
	p.t.Helper()
	s := p.session()
	defer s.Close()
	var out [2]int
	for i, kind := range []assay.Kind{assay.KindDrift, assay.KindOutcome} {
		rs, err := s.st.Find(p.t.Context(), store.Query{Kind: kind})
		if err != nil {
			p.t.Fatal(err)
		}
		out[i] = len(rs)
	}
	return out
}

// onRecord are the ids of the windows and outcomes that are on record, sorted.
func (p *watchedProject) onRecord() (ids []string) {
	p.t.Helper()
	s := p.session()
	defer s.Close()
	for _, kind := range []assay.Kind{assay.KindDrift, assay.KindOutcome} {
		rs, err := s.st.Find(p.t.Context(), store.Query{Kind: kind})
		if err != nil {
			p.t.Fatal(err)
		}
		for _, r := range rs {
			ids = append(ids, string(r.ID))
		}
	}
	slices.Sort(ids)
	return ids
}

// labelled brings the labels of rows of logDays.
func (p *watchedProject) labelled(from, to int, days ...string) {
	p.t.Helper()
	all := people(p.t)
	var b strings.Builder
	fmt.Fprintln(&b, "request_id,row,churned")
	for _, day := range days {
		for i := from; i < to; i++ {
			fmt.Fprintf(&b, "%s%d,0,%s\n", day, i, all[1+i][7])
		}
	}
	if err := os.WriteFile(filepath.Join(p.dir, "labels.csv"), []byte(b.String()), 0o644); err != nil {
		p.t.Fatal(err)
	}
	p.run(0, "labels", "add", "labels.csv")
}

// entered enters a read of the labels of the table's rows for the plan.
func (p *watchedProject) entered(reason string) {
	p.t.Helper()
	s, ctx := p.session(), p.t.Context()
	defer s.Close()
	v, err := s.version(ctx, "people:1")
	if err != nil {
		p.t.Fatal(err)
	}
	_, m, err := s.modelOf(ctx, v)
	if err != nil {
		p.t.Fatal(err)
	}
	id, plan, err := s.monitorOf(ctx, v, m)
	if err != nil {
		p.t.Fatal(err)
	}
	all, err := s.table(ctx)
	if err != nil {
		p.t.Fatal(err)
	}
	if err := s.enterSealedRows(ctx, v, id, plan, all, reason, false); err != nil {
		p.t.Fatal(err)
	}
}

// TestWatcherLabels: a running server joins labels that come later: the windows that they are of are restated, and incidents follow. Windows that end meanwhile
// have their outcome too. All of it is the very evidence that judging the log from its beginning makes, and nothing is read while nothing is new.
func TestWatcherLabels(t *testing.T) {
	t.Parallel()
	p, ops := heldProject(t, `    - {name: worse, when: performance, severity: critical, to: ops}
  labels: {join: [request_id, row], within: 2d}
  margin: 0.01
`)
	// The people of the log are those of the table, the sealed ones among them: their labels are a read, which is entered once for a plan.
	p.entered("the people of the table as traffic")
	logDays(t, p.dir, "2026010512", map[string]string{"2026-01-03": "", "2026-01-04": "", "2026-01-05": "", "2026-01-06": ""})
	p.forward(5 * 24 * time.Hour) // the days are after the plan
	w := p.watcher()
	want := func(what string, windows, outcomes int) {
		t.Helper()
		if err := w.tick(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := p.counted(); got != [2]int{windows, outcomes} {
			t.Errorf("%s: %v windows and outcomes, want %d and %d", what, got, windows, outcomes)
		}
	}
	want("before labels came", 4, 4)
	p.labelled(0, 100, "2026-01-05")
	p.forward(2 * time.Minute)
	want("a quarter of the labels of a day", 4, 5)
	p.labelled(0, 400, "2026-01-04")
	p.labelled(100, 400, "2026-01-05")
	want("labels that came right after a look", 4, 5)
	p.forward(2 * time.Minute)
	want("all labels of two days", 4, 7)
	// The answers of that log are one and the same for everybody: they rank nobody.
	if got := p.states("worse"); !slices.Equal(got, []string{"firing 01-04"}) && !slices.Equal(got, []string{"firing 01-05"}) {
		t.Errorf("the incident is %v", got)
	}
	if got := ops.told(t); len(got) != 1 || got[0] != "trigger firing 1" {
		t.Errorf("the receiver got %v", got)
	}
	log := filepath.Join(p.dir, ".assay", "log")
	if err := os.Rename(log, log+".away"); err != nil {
		t.Fatal(err)
	}
	p.forward(2 * time.Minute)
	want("the log is gone, and nobody has looked", 4, 7)
	if err := os.Rename(log+".away", log); err != nil {
		t.Fatal(err)
	}
	p.run(3, "monitor", "run")
	want("judged from the beginning", 4, 7)

	logDays(t, p.dir, "2026010712", map[string]string{"2026-01-07": ""})
	p.labelled(0, 400, "2026-01-07")
	p.forward(24 * time.Hour)
	want("a day that ended with its labels", 5, 8)
	p.run(3, "monitor", "run")
	want("judged from the beginning again", 5, 8)

	again := p.watcher() // another server
	if err := again.tick(t.Context()); err != nil || p.counted() != [2]int{5, 8} {
		t.Errorf("another server found something else: %v, %v", p.counted(), err)
	}
}

// TestSilence: a version that never gets a request is an alarm as soon as a whole window without one is over, for a server and for monitor run, and is told; the
// first day with traffic ends it.
func TestSilence(t *testing.T) {
	t.Parallel()
	p, ops := heldProject(t, "    - {name: silent, when: traffic, severity: critical, to: ops}\n")
	w := p.watcher()
	tick := func(after time.Duration, windows int) {
		t.Helper()
		p.forward(after)
		if err := w.tick(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := p.counted(); got[0] != windows {
			t.Errorf("%d windows, want %d", got[0], windows)
		}
	}
	tick(0, 0)
	tick(48*time.Hour, 1)
	if got := ops.told(t); len(got) != 1 || got[0] != "trigger firing 1" {
		t.Errorf("the receiver got %v", got)
	}
	if out := p.run(3, "monitor", "run"); !strings.Contains(out, "2026-01-03: 0 rows") {
		t.Errorf("%s", out)
	}
	tick(24*time.Hour, 2)
	logDays(t, p.dir, "2026010512", map[string]string{"2026-01-05": ""})
	tick(24*time.Hour, 3)
	if got := p.states("silent"); !slices.Equal(got, []string{"firing 01-03", "resolved 01-05"}) {
		t.Errorf("%v", got)
	}
}
