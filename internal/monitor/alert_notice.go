package monitor

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/assay-ml/assay"
)

// What a notice tells.
const (
	EventTrigger     = "trigger"
	EventAcknowledge = "acknowledge"
	EventResolve     = "resolve"
	EventTest        = "test"
)

// maxNoticeText is how many characters one text of a notice has at most.
const maxNoticeText = 4000

// NoticeSchema names the form of a notice, the body of a webhook.
const NoticeSchema = "assay.notice/1"

// A Notice is what one channel is told of one incident once. It holds no address, no secret and nothing of a row.
type Notice struct {
	Schema    string        `json:"schema"`
	ID        string        `json:"id"`    // the same for every attempt to deliver it, and for no other: receivers drop what they know
	Event     string        `json:"event"` // trigger, acknowledge, resolve, test
	At        assay.Instant `json:"at"`    // when the state changed
	Version   string        `json:"version"`
	Model     assay.Digest  `json:"model"`
	Monitor   assay.Digest  `json:"monitor"`  // the plan
	Evidence  assay.Digest  `json:"evidence"` // of the incident's state; for a test, of the plan
	Key       string        `json:"key"`      // of the incident
	Alert     string        `json:"alert"`
	Severity  string        `json:"severity"`
	State     string        `json:"state"`
	Step      int           `json:"step"` // of the escalation, from 1
	Channel   string        `json:"channel"`
	Fired     assay.Instant `json:"fired,omitempty"`
	Window    *assay.Window `json:"window,omitempty"` // the newest that it holds for, or that resolved it
	Summary   string        `json:"summary"`
	Causes    []assay.Cause `json:"causes"`                 // the greatest
	Total     int           `json:"causes_total,omitempty"` // how many there are
	By        string        `json:"by,omitempty"`
	Reason    string        `json:"reason,omitempty"`
	Actions   []Action      `json:"actions,omitempty"`   // what the alert asks for when it fires, and what came of it
	Past      int           `json:"past,omitempty"`      // so many incidents of the alert were over when they were found, of which this is the last
	Challenge string        `json:"challenge,omitempty"` // of a test
	Alerts    []Told        `json:"alerts,omitempty"`    // where one message tells of several alerts: each of them, the gravest first; the fields above are of that one
}

// Told is one alert of a message that tells of several.
type Told struct {
	ID       string       `json:"id"` // of its own notice: a receiver that knows it has heard of it
	Key      string       `json:"key"`
	Alert    string       `json:"alert"`
	Severity string       `json:"severity"`
	Step     int          `json:"step"`
	Evidence assay.Digest `json:"evidence"`
	Summary  string       `json:"summary"`
	Actions  []Action     `json:"actions,omitempty"`
}

// each are the alerts that a notice tells of.
func (n Notice) each() []Told {
	if len(n.Alerts) > 0 {
		return n.Alerts
	}
	return []Told{n.told()}
}

func (n Notice) told() Told {
	return Told{n.ID, n.Key, n.Alert, n.Severity, n.Step, n.Evidence, n.Summary, n.Actions}
}

// total is how many causes there are.
func (n Notice) total() int { return max(n.Total, len(n.Causes)) }

// actionLines say what came of the actions of the alerts that a notice tells of, with the alert's name where there are several.
func (n Notice) actionLines() []string {
	var out []string
	all := n.each()
	for _, x := range all {
		for _, line := range actionLines(x.Actions) {
			if len(all) > 1 {
				line = x.Alert + ": " + line
			}
			out = append(out, line)
		}
	}
	return out
}

// severities are those of alerts, the gravest first.
var severities = []string{"critical", "error", "warning", "info"}

// Merge makes one notice of several to one channel about one version, window and event: it is that of the gravest alert, with the causes of all, and
// names each. Its id is of all of theirs. A single one stays as it is.
func Merge(ns []Notice) Notice {
	if len(ns) == 1 {
		return ns[0]
	}
	ns = slices.Clone(ns)
	slices.SortStableFunc(ns, func(a, b Notice) int {
		return cmp.Or(cmp.Compare(slices.Index(severities, a.Severity), slices.Index(severities, b.Severity)), cmp.Compare(a.Alert, b.Alert))
	})
	out := ns[0]
	var ids, summaries []string
	var causes []assay.Cause
	var whole float64 // each of them with causes has a sum of 1, of those that it does not name too
	out.Total = 0
	for _, n := range ns {
		if out.Total += n.total(); len(n.Causes) > 0 {
			whole++
		}
		ids, summaries = append(ids, n.ID), append(summaries, n.Summary)
		out.Alerts = append(out.Alerts, n.told())
		for _, c := range n.Causes {
			if !slices.ContainsFunc(causes, func(o assay.Cause) bool { return o.Scope == c.Scope && o.Kind == c.Kind && o.Column == c.Column }) {
				causes = append(causes, c)
			} else {
				whole -= c.Contribution
				out.Total--
			}
		}
	}
	slices.Sort(ids)
	out.ID, out.Causes = noticeID(ids...), ranked(causes, whole)
	out.Summary = fmt.Sprintf("%d alerts: %s", len(ns), strings.Join(summaries, " | "))
	return out
}

// Together names the notices that go to a receiver as one message: those to one channel about one event in one window of one version, and those about incidents
// that were over when they were found, whatever their windows. Alertmanager and
// PagerDuty are told of each alert by itself, for there each has a life of its own; they group on their side.
func Together(plan assay.Monitor, n Notice) string {
	i := slices.IndexFunc(plan.Channels, func(c assay.Channel) bool { return c.Name == n.Channel })
	if i < 0 || n.Window == nil || n.Event == EventTest || remembers(plan, n.Channel) {
		return ""
	}
	if n.Past > 0 {
		return fmt.Sprintf("%s\n%s\n%s\n%s\npast", n.Monitor, n.Model, n.Channel, n.Event)
	}
	return fmt.Sprintf("%s\n%s\n%s\n%s\n%d", n.Monitor, n.Model, n.Channel, n.Event, n.Window.Number)
}

// remembers reports whether what a channel leads to keeps alerts, and goes on telling people of one until it hears of its end.
func remembers(plan assay.Monitor, channel string) bool {
	return slices.ContainsFunc(plan.Channels, func(c assay.Channel) bool {
		return c.Name == channel && (c.Type == TypeAlertmanager || c.Type == TypePagerDuty)
	})
}

// Digest is that of the notice as it is sent to a webhook.
func (n Notice) Digest() assay.Digest { return assay.DigestOf(n.JSON()) }

// JSON is the notice as a document.
func (n Notice) JSON() []byte {
	b, err := json.Marshal(n)
	if err != nil {
		panic("BUG: a notice cannot be written: " + err.Error())
	}
	return b
}

// lane names what must arrive in order: the messages about one alert of one version to one channel.
func (n Notice) lane() string {
	return string(n.Model) + "\n" + n.Alert + "\n" + n.Channel + "\n" + n.Challenge
}

// Notices are what must be told when an incident goes from the state before (nil for none) to that of c: a new firing to every channel of the steps
// that it reached, a further step to the channels of that step, an acknowledgement and a resolution to every channel that was told of the incident, and to
// them too what came of an action of which they heard that it is tried again. Of a mute only those hear that would go on telling people: for them the alert ends. A channel is told once of one change. version names the model's version, as people do.
func Notices(plan assay.Monitor, alert assay.AlertPlan, changes []Change, i int, model assay.Digest, version string) []Notice {
	c, before := changes[i].Case, changes[i].Before
	in, from, event := c.Incident, 0, EventTrigger
	actions, late := Actions(in), []Action(nil)
	was := ""
	if before != nil {
		was = before.State
	}
	switch {
	case in.State == assay.AlertFiring && was == assay.AlertFiring:
		if from = before.Step; from == in.Step {
			if late = settledAfter(*before, in); len(late) == 0 {
				return nil
			}
			from = 0
		}
	case in.State == assay.AlertFiring: // actions are done before anybody is told
		actions = Actions(acted(alert, changes, i))
	case in.State == assay.AlertAcknowledged && was != in.State:
		event = EventAcknowledge
	case in.State == assay.AlertResolved && was != in.State, in.State == assay.AlertMuted && was != in.State:
		event = EventResolve
	default:
		return nil
	}
	var out []Notice
	told := map[string]bool{}
	for i := from; i < min(in.Step, len(alert.Steps)); i++ {
		for _, to := range alert.Steps[i].To {
			if told[to] || in.State == assay.AlertMuted && !remembers(plan, to) || in.Past > 0 && remembers(plan, to) {
				continue // what keeps alerts need not hear of one that is over and that it never heard of
			}
			told[to] = true
			w := in.Last
			n := Notice{
				Schema: NoticeSchema, ID: noticeID(string(c.ID), to), Event: event, At: assay.InstantOf(c.At), Version: version, Model: model, Monitor: in.Monitor, Evidence: c.ID,
				Key: in.Key, Alert: in.Alert, Severity: in.Severity, State: in.State, Step: i + 1, Channel: to, Fired: assay.InstantOf(c.Fired), Window: &w,
				Causes: append([]assay.Cause{}, in.Causes...), Total: in.CausesTotal, Past: in.Past, By: in.By, Reason: in.Reason, Actions: actions,
			}
			if n.Summary = n.summary(); len(late) > 0 {
				n.Summary = fmt.Sprintf("[%s] %s: %s in %s: %s", n.Severity, n.Version, n.Alert, windowName(n.Window), strings.Join(actionLines(late), "; "))
			}
			if in.State == assay.AlertMuted {
				n.Summary = fmt.Sprintf("[muted until %s] %s: %s, by %s: %s", in.Until, n.Version, n.Alert, n.By, n.Reason)
			}
			out = append(out, n.shown())
		}
	}
	return out
}

// shown is the notice with what people wrote, and what columns are called, fit to be shown in every message: each text is one line, see assay.ShownLine.
func (n Notice) shown() Notice {
	n.Summary, n.By, n.Reason = assay.ShownLine(n.Summary, maxNoticeText), assay.ShownLine(n.By, maxNoticeText), assay.ShownLine(n.Reason, maxNoticeText)
	n.Causes, n.Actions = slices.Clone(n.Causes), slices.Clone(n.Actions)
	for i := range n.Causes {
		n.Causes[i].Message = assay.ShownLine(n.Causes[i].Message, maxNoticeText)
	}
	for i := range n.Actions {
		n.Actions[i].Why = assay.ShownLine(n.Actions[i].Why, maxNoticeText)
	}
	return n
}

// AliveNotices are what Alertmanagers must hear again and again of an incident that is neither resolved nor muted, so that they do not take it for ended: one for
// every such channel that was told of it.
func AliveNotices(plan assay.Monitor, alert assay.AlertPlan, c Case, model assay.Digest, version string) []Notice {
	if !c.Open() || c.Incident.Step == 0 || c.Incident.State == assay.AlertMuted {
		return nil
	}
	told := c
	told.Incident.State = assay.AlertFiring
	out := Notices(plan, alert, []Change{{Case: told}}, 0, model, version)
	for i := range out {
		out[i].State = c.Incident.State
	}
	return slices.DeleteFunc(out, func(n Notice) bool {
		return !slices.ContainsFunc(plan.Channels, func(ch assay.Channel) bool { return ch.Name == n.Channel && ch.Type == TypeAlertmanager })
	})
}

// TestNotices are the notices of a test of a plan: one for every channel of every step of every alert.
func TestNotices(plan assay.Monitor, monitor, model assay.Digest, version, challenge string, now time.Time) []Notice {
	var out []Notice
	for _, a := range plan.Alerts {
		for i, s := range a.Steps {
			for _, to := range s.To {
				n := Notice{
					Schema: NoticeSchema, ID: noticeID(challenge, a.Name, fmt.Sprint(i+1), to), Event: EventTest, At: assay.InstantOf(now), Version: version, Model: model, Monitor: monitor, Evidence: monitor,
					Key: "test-" + a.Name + "-" + challenge, Alert: a.Name, Severity: a.Severity, State: assay.AlertFiring, Step: i + 1, Channel: to, Fired: assay.InstantOf(now),
					Causes: []assay.Cause{}, Challenge: challenge,
				}
				n.Summary = n.summary()
				out = append(out, n)
			}
		}
	}
	return out
}

func noticeID(parts ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(parts, "\n")))
	return hex.EncodeToString(sum[:16])
}

// summary is the notice in one line.
func (n *Notice) summary() string {
	switch n.Event {
	case EventTest:
		return fmt.Sprintf("[test] %s: alert %s, step %d: this is a test, nothing is wrong", n.Version, n.Alert, n.Step)
	case EventAcknowledge:
		return fmt.Sprintf("[acknowledged] %s: %s, by %s: %s", n.Version, n.Alert, n.By, n.Reason)
	case EventResolve:
		if n.By != "" {
			return fmt.Sprintf("[resolved] %s: %s, by %s: %s", n.Version, n.Alert, n.By, n.Reason)
		}
		s := fmt.Sprintf("[resolved] %s: %s no longer holds in %s", n.Version, n.Alert, windowName(n.Window))
		if n.Past > 0 {
			s += "; it was over when it was found"
		}
		if n.Past > 1 {
			s += fmt.Sprintf(", as were %d before it: assay alert list --all", n.Past-1)
		}
		return s
	}
	s := fmt.Sprintf("[%s] %s: %s in %s", n.Severity, n.Version, n.Alert, windowName(n.Window))
	if n.Step > 1 {
		s += fmt.Sprintf(" (step %d: nobody acknowledged)", n.Step)
	}
	for i, c := range n.Causes {
		if i == 3 {
			s += fmt.Sprintf("; and %d more", n.total()-i)
			break
		}
		s += map[bool]string{true: ": ", false: "; "}[i == 0] + c.Message
	}
	for _, a := range n.Actions {
		if a.Name != "stale_card" { // what touches the traffic is news to everybody
			s += "; " + actionLines([]Action{a})[0]
		}
	}
	return s
}

func windowName(w *assay.Window) string {
	if w == nil {
		return "no window"
	}
	if w.Start != "" && w.End != "" {
		return fmt.Sprintf("the window %s to %s", w.Start, w.End)
	}
	return fmt.Sprintf("window %d", w.Number)
}

// cut shortens s to at most n bytes, between two characters, with a sign that something is missing.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	const more = "…"
	for n -= len(more); n > 0 && !utf8.RuneStart(s[n]); n-- {
	}
	return s[:max(n, 0)] + more
}

// oneText makes what somebody wrote fit to be shown: one line of at most n bytes, see assay.ShownLine.
func oneText(s string, n int) string {
	return cut(strings.TrimSpace(assay.ShownLine(s, max(n, 1))), n)
}

// Unproven names the steps that no receiver accepted a message of, in words.
func Unproven(plan assay.Monitor, deliveries []assay.Delivery) []string {
	out := []string{}
	for _, a := range plan.Alerts {
		for i := range a.Steps {
			if !slices.ContainsFunc(deliveries, func(d assay.Delivery) bool { return d.Alert == a.Name && d.Step == i+1 && d.Accepted }) {
				out = append(out, fmt.Sprintf("step %d of %s", i+1, a.Name))
			}
		}
	}
	return out
}
