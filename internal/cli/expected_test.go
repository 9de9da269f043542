package cli

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/monitor"
	"github.com/assay-ml/assay/internal/store"
)

// TestExpectedBy: which version should get traffic, and when, follows from what became of the versions of the model.
func TestExpectedBy(t *testing.T) {
	day := func(n int) time.Time { return time.Date(2026, 1, n, 0, 0, 0, 0, time.UTC) }
	at := func(n int, e store.Event) store.Event {
		e.Entry.At = day(n)
		return e
	}
	promote := func(n, version int) store.Event {
		return at(n, store.Event{Number: version, Action: "promote", Stage: assay.StageProduction})
	}
	alias := func(n, version int, name string) store.Event {
		return at(n, store.Event{Number: version, Action: "alias", Detail: name})
	}
	tag := func(n, version int) store.Event {
		return at(n, store.Event{Number: version, Action: "tag", Detail: canaryTag})
	}
	for _, x := range []struct {
		name   string
		events []store.Event
		canary string // settings of the version, which is number 1
		here   *role
		want   string // of each span the days and the share
	}{
		{"nobody said who serves", []store.Event{at(1, store.Event{Number: 1, Action: "register"})}, "", nil, "always"},
		{"it serves under --model", nil, "", &role{day(3)}, "always"},
		{"beside one that serves under --model", nil, "", &role{}, "never"},
		{"in production", []store.Event{promote(2, 1)}, "", nil, "2- 1"},
		{"replaced, and rolled back to", []store.Event{promote(2, 1), promote(4, 2), at(6, store.Event{Number: 1, Action: "rollback", Stage: assay.StageProduction})}, "", &role{day(7)}, "2-4 1, 6- 1, 7- 1"},
		{"replaced, and kept", []store.Event{promote(2, 1), promote(4, 2)}, "", &role{}, "2-4 1"},
		{"another one is in production", []store.Event{promote(4, 2)}, "", nil, "never"},
		{"in staging, where a server serves it", []store.Event{promote(1, 2), at(2, store.Event{Number: 1, Action: "promote", Stage: assay.StageStaging})}, "", &role{day(5)}, "2- 1, 5- 1"},
		{"in staging, and nobody asks", []store.Event{promote(1, 2), at(2, store.Event{Number: 1, Action: "promote", Stage: assay.StageStaging})}, "", nil, "never"},
		{"a canary", []store.Event{promote(1, 2), tag(3, 1), alias(3, 1, canaryAlias)}, `{"percent": 5}`, &role{}, "3- 0.05"},
		{"a canary that was stopped", []store.Event{promote(1, 2), tag(3, 1), alias(3, 1, canaryAlias), at(5, store.Event{Action: "unalias", Previous: 1, Detail: canaryAlias})}, `{"percent": 5}`, nil, "3-5 0.05"},
		{"a canary that another one followed", []store.Event{alias(3, 1, canaryAlias), alias(5, 3, canaryAlias)}, `{"percent": 5}`, nil, "3-5 0.05"},
		{"a canary whose share was changed", []store.Event{tag(2, 1), alias(2, 1, canaryAlias), alias(3, 3, canaryAlias), tag(4, 1), alias(4, 1, canaryAlias), tag(6, 1)}, `{"percent": 50}`, nil, "6- 0.5"},
		{"a canary by header alone", []store.Event{tag(3, 1), alias(3, 1, canaryAlias)}, `{"percent": 0, "header": "X"}`, nil, "never"},
		{"a sticky canary", []store.Event{tag(3, 1), alias(3, 1, canaryAlias)}, `{"percent": 50, "sticky": "region"}`, nil, "never"},
		{"a sticky canary that gets all", []store.Event{tag(3, 1), alias(3, 1, canaryAlias)}, `{"percent": 100, "sticky": "region"}`, nil, "3- 1"},
		{"a shadow", []store.Event{alias(3, 1, shadowAlias)}, "", nil, "never"},
	} {
		v := store.Version{Name: "m", Number: 1, Tags: map[string]string{}}
		if x.canary != "" {
			v.Tags[canaryTag] = x.canary
		}
		got := "always"
		if e := expectedBy(x.events, v, x.here); e != nil {
			var spans []string
			for _, s := range e.Spans {
				to := ""
				if !s.To.IsZero() {
					to = fmt.Sprint(s.To.Day())
				}
				spans = append(spans, fmt.Sprintf("%d-%s %v", s.From.Day(), to, s.Share))
			}
			if got = strings.Join(spans, ", "); got == "" {
				got = "never"
			}
		}
		if got != x.want {
			t.Errorf("%s: %s, want %s", x.name, got, x.want)
		}
	}
}

// TestWatcherOfKept: a version that only answers who asks for it is judged while requests come, and its silence is no alarm.
func TestWatcherOfKept(t *testing.T) {
	p, _ := heldProject(t, twoAlerts)
	logDays(t, p.dir, "2026010212", map[string]string{"2026-01-02": "", "2026-01-03": ""})
	w := p.watcher()
	w.live = func() []string { return nil }
	judged := func(want string) {
		t.Helper()
		if err := w.tick(t.Context()); err != nil {
			t.Fatal(err)
		}
		s := p.session()
		defer s.Close()
		rs, err := s.st.Find(t.Context(), store.Query{Kind: assay.KindDrift})
		if err != nil {
			t.Fatal(err)
		}
		var out []string
		for _, r := range rs {
			d, err := assay.Decode[assay.Drift](r.Evidence)
			if err != nil {
				t.Fatal(err)
			}
			for _, g := range d.Signals {
				if g.Kind == monitor.KindVolume {
					out = append(out, fmt.Sprint(string(d.Window.Start)[8:10], " ", d.Window.Rows, " ", g.Verdict))
				}
			}
		}
		if got := strings.Join(out, ", "); got != want {
			t.Errorf("judged %s, want %s", got, want)
		}
	}
	p.forward(4 * 24 * time.Hour)
	judged("04 0 pass, 03 400 pass, 02 400 pass")
	p.forward(3 * 24 * time.Hour)
	judged("04 0 pass, 03 400 pass, 02 400 pass")
}
