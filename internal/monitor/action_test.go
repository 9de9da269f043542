package monitor

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/assay-ml/assay"
)

// actingAlert asks for two actions, and it fires in the story.
func actingAlert(t *testing.T) *story {
	t.Helper()
	alert := driftAlert
	alert.Persist, alert.Actions = 1, []string{"stale_card", "rollback"}
	s := &story{alert: alert, now: start}
	s.advance(t, []Finding{driftOf(1, 1, assay.Fail)})
	s.notices = nil
	return s
}

// TestActAgain: what is not done for a reason that passes is tried again for a while, on record once; it is told of twice: that it is tried, and what came of it.
func TestActAgain(t *testing.T) {
	for _, x := range []struct {
		name    string
		attempt int // that succeeds
		want    []assay.Undone
		told    string
	}{
		{name: "done at last", attempt: 4, told: "[warning] people:1: drift in window 1: rollback: done"},
		{name: "given up", want: []assay.Undone{{Action: "rollback", Why: "not within 15 minutes of its firing: the store is down"}}, told: "[warning] people:1: drift in window 1: rollback: not done: not within 15 minutes of its firing: the store is down"},
	} {
		s := actingAlert(t)
		attempts, records := 0, 0
		for range 40 {
			in, changed := Act(s.alert, s.newest(t), s.now, func(action string) Try {
				if action == "stale_card" {
					return Try{Done: true}
				}
				if attempts++; attempts == x.attempt {
					return Try{Done: true}
				}
				return Try{Why: "the store is down", Again: true}
			})
			if changed {
				records++
				s.put(t, in)
			}
			s.now = s.now.Add(time.Minute)
		}
		in := s.newest(t).Incident
		if d := cmp.Diff(x.want, in.Undone); d != "" && len(x.want)+len(in.Undone) > 0 {
			t.Errorf("%s: %s", x.name, d)
		}
		if done := slices.Contains(in.Actions, "rollback"); records != 2 || done != (x.attempt > 0) || !done && attempts != 16 {
			t.Errorf("%s: %d records, %d attempts, done %v", x.name, records, attempts, in.Actions)
		}
		var told []string
		for _, n := range s.notices {
			told = append(told, n.Channel+" "+n.Summary)
		}
		if want := []string{"log " + x.told, "team " + x.told}; !slices.Equal(told, want) {
			t.Errorf("%s: told %q", x.name, told)
		}
		changes, err := Changes(s.records)
		if err != nil {
			t.Fatal(err)
		}
		first := Notices(assay.Monitor{}, s.alert, changes, 0, id("model"), "people:1")
		if lines := strings.Join(first[0].actionLines(), "\n"); lines != "stale_card: done\nrollback: not done yet, and tried again until 2026-03-01T12:15:00Z: the store is down" {
			t.Errorf("%s: the first message says %s", x.name, lines)
		}
	}
}

// TestActOnlyWhileFiring: an answer of a person, and the end of an incident, end what was still to be done; and what was never tried is not done late.
func TestActOnlyWhileFiring(t *testing.T) {
	note := Note{"Ada", "it is the new season"}
	fails := func(string) Try { return Try{Why: "the store is down", Again: true} }
	for what, change := range map[string]func(*Case) (assay.Incident, error){
		"acknowledged": func(c *Case) (assay.Incident, error) { return Acknowledge(c, note) },
		"muted":        func(c *Case) (assay.Incident, error) { return Mute(c, note, start.Add(time.Hour), start) },
		"resolved":     func(c *Case) (assay.Incident, error) { return Resolve(c, note) },
	} {
		s := actingAlert(t)
		in, _ := Act(s.alert, s.newest(t), s.now, fails)
		s.put(t, in)
		in, err := change(s.newest(t))
		if err != nil {
			t.Fatal(err)
		}
		s.put(t, EndActions(s.alert, assay.AlertFiring, in))
		for range 3 {
			if in, changed := Act(s.alert, s.newest(t), s.now, func(string) Try { return Try{Done: true} }); changed {
				t.Errorf("%s: %+v", what, in)
			}
			s.now = s.now.Add(2 * time.Hour)
			s.advance(t, []Finding{driftOf(1, 1, assay.Fail)}) // a mute ends, and it fires again
		}
		want := []assay.Undone{{Action: "stale_card", Why: "the incident was " + what + " first; the store is down"}, {Action: "rollback", Why: "the incident was " + what + " first; the store is down"}}
		if d := cmp.Diff(want, s.newest(t).Incident.Undone); d != "" {
			t.Errorf("%s: %s", what, d)
		}
	}
	s := actingAlert(t)
	in, changed := Act(s.alert, s.newest(t), s.now.Add(ActWithin+time.Second), func(string) Try { t.Error("it was done late"); return Try{Done: true} })
	if want := "nothing looked at it within 15 minutes of its firing"; !changed || len(in.Actions) != 0 || len(in.Undone) != 2 || in.Undone[0].Why != want || in.Undone[1].Until != "" {
		t.Errorf("%v %+v", changed, in)
	}
}

// TestActionsAreTold: every kind of receiver hears what was done and what was not.
func TestActionsAreTold(t *testing.T) {
	n := alarming()
	n.Actions = []Action{{Name: "rollback", Done: true}, {Name: "abort_canary", Why: "people has no canary"}}
	n.Summary = n.summary()
	other := n
	other.ID, other.Alert, other.Key, other.Severity, other.Actions = noticeID("other"), "decay", "decay-1", "info", []Action{{Name: "stale_card", Done: true}}
	two := Merge([]Notice{n, other})
	m, err := Endpoint{Type: TypeEmail, Address: "smtp://mail.example.test?from=a@example.test&to=b@example.test"}.mailbox()
	if err != nil {
		t.Fatal(err)
	}
	for _, kind := range []string{TypeWebhook, TypeAlertmanager, TypePagerDuty, TypeSlack, TypeEmail} {
		text := func(n Notice) string {
			body, _ := courier().message(Endpoint{Type: kind, Secret: "key"}, n)
			if kind == TypeEmail {
				body = letter(m, n, start)
			}
			return string(body)
		}
		want := []string{"rollback: done", "abort_canary: not done: people has no canary"}
		if kind == TypeWebhook {
			want = []string{`"actions":[{"name":"rollback","done":true},{"name":"abort_canary","done":false,"why":"people has no canary"}]`}
		}
		for _, w := range want {
			if got := text(n); !strings.Contains(got, w) {
				t.Errorf("%s: %q is not in\n%s", kind, w, got)
			}
		}
		for _, w := range []string{"drift: rollback: done", "decay: stale_card: done"} {
			if got := text(two); kind != TypeWebhook && kind != TypeAlertmanager && kind != TypePagerDuty && !strings.Contains(got, w) {
				t.Errorf("%s: %q is not in\n%s", kind, w, got)
			}
		}
	}
	if want := "[error] people:1: drift in window 7: age moved by 0.31 <b>; rollback: done; abort_canary: not done: people has no canary"; n.Summary != want {
		t.Errorf("%s", n.Summary)
	}
}
