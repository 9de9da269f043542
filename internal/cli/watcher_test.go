package cli

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/assaytest"
	"github.com/assay-ml/assay/internal/monitor"
	"github.com/assay-ml/assay/internal/store"
)

// heldProject is a project whose plan was made by the command, told over a webhook, with a clock that moves.
func heldProject(t *testing.T, alerts string) (*watchedProject, *hook) {
	t.Helper()
	k, err := madeBy("people", "make", "register")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if _, err := k.copy(dir); err != nil {
		t.Fatal(err)
	}
	ops := newHook(t, 200, "")
	p := &watchedProject{t: t, dir: dir, env: map[string]string{"OPS": ops.URL, "OPS_KEY": "key"}, now: assaytest.Clock()()}
	addSettings(t, dir, `monitor:
  window: 1d
  min_rows: 50
  persistence: 1
  drift: {effect_floor: 0.3}
  channels: {ops: {type: webhook, address: "env:OPS", secret: "env:OPS_KEY"}}
  alerts:
`+alerts)
	p.run(0, "monitor", "plan")
	return p, ops
}

func (p *watchedProject) watcher() *watcher {
	return &watcher{app: &app{World: p.world(os.Stderr, os.Stderr)}, served: func() []string { return []string{"people:1"} }, say: func(format string, args ...any) { p.t.Logf(format, args...) }, looks: map[assay.Digest]*looked{}}
}

// states are the changes of state of the incidents of an alert, in their order.
func (p *watchedProject) states(alert string) (out []string) {
	p.t.Helper()
	s := p.session()
	defer s.Close()
	v, err := s.version(p.t.Context(), "people:1")
	if err != nil {
		p.t.Fatal(err)
	}
	w, err := s.onWatch(p.t.Context(), v)
	if err != nil {
		p.t.Fatal(err)
	}
	for _, c := range w.changes {
		if c.Incident.Alert == alert && (c.Before == nil || c.Before.State != c.Incident.State) {
			last, err := c.Incident.Last.Start.Time()
			if err != nil {
				p.t.Fatal(err)
			}
			out = append(out, c.Incident.State+" "+last.Format("01-02"))
		}
	}
	return out
}

const twoAlerts = `    - {name: drift, when: input, severity: error, persist: 2, to: ops}
    - {name: shift, when: [input, label], severity: critical, persist: 2, to: ops}
`

// TestWatcher: what a server does while it runs judges several days at once and leaves each day's state on record in order; two alerts about one window are
// one message; a look later goes on from there, with the very evidence that all days from the beginning make.
func TestWatcher(t *testing.T) {
	t.Parallel()
	p, ops := heldProject(t, twoAlerts)
	logDays(t, p.dir, "2025123112", map[string]string{"2025-12-28": "", "2025-12-29": "south", "2025-12-30": "south", "2025-12-31": "south", "2026-01-01": ""})
	w := p.watcher()
	if err := w.tick(t.Context()); err != nil {
		t.Fatal(err)
	}
	want := []string{"pending 12-29", "firing 12-30", "resolved 01-01"}
	for _, alert := range []string{"drift", "shift"} {
		if got := p.states(alert); !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", alert, got, want)
		}
	}
	var events []string
	for _, b := range ops.bodies {
		var n monitor.Notice
		if err := json.Unmarshal(b, &n); err != nil {
			t.Fatal(err)
		}
		events = append(events, fmt.Sprintf("%s %s of %d", n.Event, n.Severity, len(n.Alerts)))
		if len(n.Alerts) == 2 && (n.Alerts[0].Alert != "shift" || n.Alerts[1].Alert != "drift" || n.Alert != "shift" || n.Causes[0].Column != "region") {
			t.Errorf("%s", b)
		}
	}
	if got := strings.Join(events, ", "); got != "resolve critical of 2" { // it was over when it was found
		t.Errorf("the receiver got %s", got)
	}
	ops.bodies = nil
	count := func() int {
		s := p.session()
		defer s.Close()
		rs, err := s.st.Find(t.Context(), store.Query{Kind: assay.KindDrift})
		if err != nil {
			t.Fatal(err)
		}
		return len(rs)
	}
	logDays(t, p.dir, "2026010212", map[string]string{"2026-01-02": "north", "2026-01-04": "north"})
	if err := w.tick(t.Context()); err != nil || count() != 5 {
		t.Errorf("a day that is not over was judged: %d, %v", count(), err)
	}
	p.forward(3 * 24 * time.Hour) // 01-02 moved, nothing came on 01-03, 01-04 moved
	if err := w.tick(t.Context()); err != nil || count() != 8 {
		t.Errorf("%d windows, %v; want 8", count(), err)
	}
	p.run(3, "monitor", "run")
	if n := count(); n != 8 {
		t.Errorf("judged from the beginning the days are other evidence: %d", n)
	}
	// A day without traffic says nothing of the columns: the streak goes on over it.
	want = append(want, "pending 01-02", "firing 01-04")
	if got := p.states("drift"); !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	if got := ops.told(t); len(got) != 1 || got[0] != "trigger firing 1" {
		t.Errorf("the receiver got %v", got)
	}
}

// TestWatcherAfterReplay: a window of a table of the past, which was judged before the server ran, is not the beginning of years without traffic.
func TestWatcherAfterReplay(t *testing.T) {
	t.Parallel()
	p, _ := heldProject(t, twoAlerts)
	s := p.session()
	rs, err := s.st.Find(t.Context(), store.Query{Kind: assay.KindMonitor})
	if err != nil || len(rs) != 1 {
		t.Fatal(len(rs), err)
	}
	s.Close()
	p.plan, p.version.Model = rs[0].ID, rs[0].Subject
	p.window(-2000, assay.Fail) // of the year 2020
	logDays(t, p.dir, "2026010112", map[string]string{"2026-01-01": ""})
	if err := p.watcher().tick(t.Context()); err != nil {
		t.Fatal(err)
	}
	s = p.session()
	defer s.Close()
	if rs, err = s.st.Find(t.Context(), store.Query{Kind: assay.KindDrift}); err != nil {
		t.Fatal(err)
	}
	var days []string
	for _, r := range rs {
		d, err := assay.Decode[assay.Drift](r.Evidence)
		if err != nil {
			t.Fatal(err)
		}
		days = append(days, string(d.Window.Start)[:10])
	}
	if !slices.Equal(days, []string{"2026-01-01", "2020-07-11"}) {
		t.Errorf("judged %v", days)
	}
}

// TestMonitorRunTells: monitor run brings the alerts up to what it judged, and tells.
func TestMonitorRunTells(t *testing.T) {
	t.Parallel()
	p, ops := heldProject(t, twoAlerts)
	logDays(t, p.dir, "2025123112", map[string]string{"2025-12-29": "", "2025-12-30": "south", "2025-12-31": "south", "2026-01-01": "south"})
	if out := p.run(3, "monitor", "run"); !strings.Contains(out, "Try: assay alert show drift-") {
		t.Errorf("%s", out)
	}
	if got := p.states("drift"); !slices.Equal(got, []string{"pending 12-30", "firing 12-31"}) {
		t.Errorf("%v", got)
	}
	if got := ops.told(t); len(got) != 1 {
		t.Errorf("the receiver got %v", got)
	}
	p.run(3, "monitor", "run")
	p.run(0, "alert", "send")
	if got := ops.told(t); len(got) != 0 {
		t.Errorf("the receiver got %v again", got)
	}
	path := filepath.Join(p.dir, ProjectFile)
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(strings.Replace(string(text), "min_rows: 50", "min_rows: 60", 1)), 0o644); err != nil {
		t.Fatal(err)
	}
	if out := p.run(0, "monitor", "plan"); !strings.Contains(out, "open incidents that end with the plan before: drift-") || !strings.Contains(out, "(firing)") {
		t.Errorf("a plan that ends incidents says nothing of them: %s", out)
	}
}

// TestEscalationBySeverity: the second step of each severity is taken when its time has come and not before, while the server runs and its clock goes on. The
// receiver of the second step is down for the hour in which the first two fall due: both arrive, once, in their order.
func TestEscalationBySeverity(t *testing.T) {
	t.Parallel()
	ops, lead := newHook(t, 200, ""), newHook(t, 503, "down")
	var configs []AlertConfig
	for _, severity := range []string{"info", "warning", "error", "critical"} {
		configs = append(configs, AlertConfig{Name: severity, When: Columns{"input"}, Severity: severity, To: Columns{"ops"}, Escalate: &EscalateConfig{To: Columns{"lead"}}})
	}
	p := watchProject(t, `    ops: {type: webhook, address: "env:OPS", secret: "env:KEY"}
    lead: {type: webhook, address: "env:LEAD", secret: "env:KEY"}
`, map[string]string{"OPS": ops.URL, "LEAD": lead.URL, "KEY": "key"}, alertPlans(configs)...)
	p.window(1, assay.Fail)
	w := p.watcher()
	w.served = func() []string { return nil }
	tick := func(d time.Duration) {
		t.Helper()
		p.forward(d)
		if err := w.tick(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	tick(0)
	if got := ops.told(t); len(got) != 1 || got[0] != "trigger firing 1" {
		t.Errorf("four alerts in one window: %v", got)
	}
	waiting := func() int {
		s := p.session()
		defer s.Close()
		d, err := s.desk(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		n, err := d.outbox.Tally()
		if err != nil || n.Dead > 0 {
			t.Fatal(n, err)
		}
		return n.Waiting
	}
	tick(14 * time.Minute)
	if n := waiting(); n != 0 {
		t.Errorf("a second step before its time: %d messages wait", n)
	}
	for range 62 { // down for an hour from the first message
		tick(time.Minute)
	}
	if n := waiting(); n != 2 {
		t.Errorf("%d messages wait for the receiver; want those of critical and error", n)
	}
	lead.set(200, "")
	tick(monitor.MaxBackoff)
	second := func(want ...string) {
		t.Helper()
		var got []string
		for _, b := range lead.bodies {
			var n monitor.Notice
			if err := json.Unmarshal(b, &n); err != nil {
				t.Fatal(err)
			}
			if n.Step != 2 || n.State != assay.AlertFiring {
				t.Errorf("%s", b)
			}
			for _, x := range n.Alerts {
				got = append(got, x.Alert)
			}
			if len(n.Alerts) == 0 {
				got = append(got, n.Alert)
			}
		}
		if lead.bodies = nil; !slices.Equal(got, want) {
			t.Errorf("the second receiver was told of %v, want %v", got, want)
		}
	}
	second("critical", "error")
	tick(4*time.Hour - 88*time.Minute)
	second()
	tick(2 * time.Minute)
	second("warning")
	tick(20*time.Hour - 2*time.Minute)
	second()
	tick(2 * time.Minute)
	second("info")
	tick(48 * time.Hour)
	if len(ops.told(t)) != 0 || len(lead.told(t)) != 0 || waiting() != 0 {
		t.Error("somebody was told again")
	}
}
