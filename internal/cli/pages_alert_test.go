package cli

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/serve"
)

// look is a page of a server on the project.
func (p *watchedProject) look(path string) string {
	p.t.Helper()
	s := p.session()
	defer s.Close()
	pages := &pages{s: s, server: serve.New(serve.Options{Clock: s.Now, Nonce: "n"})}
	mux := http.NewServeMux()
	pages.routes(mux)
	w := httptest.NewRecorder()
	mux.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "http://127.0.0.1"+path, nil))
	if w.Code != http.StatusOK {
		p.t.Fatalf("%s: status %d\n%s", path, w.Code, w.Body.String())
	}
	_, main, _ := strings.Cut(w.Body.String(), "</style>")
	return main
}

// TestAlertPage: an alert's page has every cause, also those that the incident only counts; what was done and what was not, with the reason and the time; and a shape
// for each state.
func TestAlertPage(t *testing.T) {
	t.Parallel()
	ops, duty := newHook(t, 200, ""), newHook(t, 200, "")
	p := watchProject(t, twoChannels, map[string]string{"OPS": ops.URL, "OPS_KEY": "key", "DUTY": duty.URL, "DUTY_KEY": "routing-key-0001"}, escalating)
	d := assay.Drift{Monitor: p.plan, Window: assay.Window{Number: 1, Rows: 500, Start: "2026-01-02T00:00:00Z", End: "2026-01-03T00:00:00Z", Content: assay.DigestOf([]byte("1"))}, Report: p.blob("{}"), Verdict: assay.Fail}
	for i := range 25 {
		column := fmt.Sprintf("column-%02d", i)
		d.Signals = append(d.Signals, assay.Signal{Scope: "input", Kind: "distribution", Column: column, Test: "jensen_shannon", Verdict: assay.Fail, Streak: 1, Message: column + " moved"})
		d.Ranking = append(d.Ranking, assay.Cause{Scope: "input", Kind: "distribution", Column: column, Contribution: 0.04, Message: column + " moved"})
	}
	p.put(assay.KindDrift, d, p.plan)
	p.run(0, "alert", "send")
	s := p.session()
	vs, err := s.watchedVersions(t.Context())
	if s.Close(); err != nil {
		t.Fatal(err)
	}
	key := vs[0].cases[0].Incident.Key
	page := p.look("/alerts/" + key)
	for i := range 25 {
		if want := fmt.Sprintf("column-%02d moved", i); strings.Count(page, want) != 1 {
			t.Errorf("%q is there %d times", want, strings.Count(page, want))
		}
	}
	for _, want := range []string{"≤ 4 %", "What Assay did", "stale card", "it was done", "rollback", "it was not done: people:1 does not hold production", `<span class="state fail">✕ firing</span>`} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %q:\n%s", want, page)
		}
	}
	if _, row, _ := strings.Cut(page, "rollback</th>"); !strings.Contains(row[:min(len(row), 300)], "2026-01-03 ") || !strings.Contains(row[:min(len(row), 300)], "✕ fail") {
		t.Errorf("what was not done has no time: %s", row[:min(len(row), 300)])
	}
	for _, x := range [][]string{{"ack", "◐ acknowledged"}, {"mute", "○ muted"}, {"resolve", "● resolved"}} {
		args := []string{"alert", x[0], key, "--by", "Ada", "--reason", "it is the new season"}
		if x[0] == "mute" {
			args = append(args, "--for", "1h")
		}
		p.run(0, args...)
		for _, path := range []string{"/alerts", "/alerts/" + key} {
			if page := p.look(path); !strings.Contains(page, x[1]) {
				t.Errorf("%s lacks %q", path, x[1])
			}
		}
	}
	shapes := map[string]string{}
	for state, m := range stateMarks {
		if other, twice := shapes[m[0]]; twice {
			t.Errorf("%s and %s have one shape", state, other)
		}
		shapes[m[0]] = state
	}
	if len(shapes) != 5 {
		t.Errorf("%d shapes", len(shapes))
	}
}

// TestHomeFailedRuns: the first page lists the last runs that failed, each with why and what next; the newest of all needs somebody.
func TestHomeFailedRuns(t *testing.T) {
	t.Parallel()
	p := watchProject(t, twoChannels, map[string]string{"OPS": "http://127.0.0.1:1", "OPS_KEY": "key", "DUTY": "http://127.0.0.1:1", "DUTY_KEY": "routing-key-0001"}, escalating)
	if page := p.look("/"); strings.Contains(page, "Runs that failed") || strings.Contains(page, ">run ") {
		t.Errorf("no run failed:\n%s", page)
	}
	run := assay.Run{Spec: assay.RunSpec{Command: []string{"python", "train.py"}}, Status: "failed", Exit: 7, Problems: []string{"metrics.json is not JSON"}}
	p.put(assay.KindRun, run)
	page := p.look("/")
	for _, want := range []string{"Runs that failed", "python train.py", "failed with exit status 7: metrics.json is not JSON", "<code>assay run</code>", ">run "} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	run = assay.Run{Spec: assay.RunSpec{Command: []string{"assay", "train", "logistic"}}, Status: "finished"}
	p.put(assay.KindRun, run)
	if page := p.look("/"); !strings.Contains(page, "exit status 7") || strings.Contains(page, ">run ") {
		t.Errorf("a run that succeeded came after it:\n%s", page)
	}
}

// TestMisspelt: a name that is none is told from a model that has nothing yet, and a mute without an end says what it lacks.
func TestMisspelt(t *testing.T) {
	t.Parallel()
	ops := newHook(t, 200, "")
	p := watchProject(t, twoChannels, map[string]string{"OPS": ops.URL, "OPS_KEY": "key", "DUTY": ops.URL, "DUTY_KEY": "routing-key-0001"}, escalating)
	for _, args := range [][]string{{"monitor", "report", "peple"}, {"serve", "check", "peple:1"}, {"serve", "--model", "peple"}} {
		if got := p.run(1, args...); !strings.Contains(got, `no model is registered as "peple"; did you mean "people"?`) || !strings.Contains(got, "Try: assay model list") {
			t.Errorf("assay %v: %s", args, got)
		}
	}
	if got := p.run(1, "monitor", "report", "people:9"); !strings.Contains(got, `model "people" has no version 9`) {
		t.Errorf("%s", got)
	}
	p.window(1, assay.Fail)
	p.run(0, "alert", "send")
	if got := p.run(2, "alert", "mute", "drift", "--by", "Ada", "--reason", "it is known"); !strings.Contains(got, "--for is missing: for how long?") || !strings.Contains(got, "Try: assay alert mute drift-") {
		t.Errorf("%s", got)
	}
}
