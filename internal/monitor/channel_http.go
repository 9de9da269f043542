package monitor

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/assay-ml/assay"
)

// Limits of the receivers.
const (
	maxDedupKey    = 255  // PagerDuty
	maxSummary     = 1024 // PagerDuty
	maxSlackHeader = 150  // characters of a header block
	maxSlackText   = 3000 // characters of a section
	shownCauses    = 8
)

// message writes a notice in the form of an endpoint's type.
func (c *Courier) message(e Endpoint, n Notice) ([]byte, http.Header) {
	h := http.Header{"Content-Type": {"application/json"}, "User-Agent": {"assay"}}
	var v any
	switch e.Type {
	case TypeAlertmanager:
		v = []amAlert{c.alertmanager(n)}
	case TypePagerDuty:
		v = pagerDuty(e.Secret, n)
	case TypeSlack:
		v = slack(n)
	default:
		body := n.JSON()
		h.Set(SignatureHeader, Sign(e.Secret, body, c.Clock()))
		h.Set("Idempotency-Key", n.ID)
		return body, h
	}
	b, err := json.Marshal(v)
	if err != nil {
		panic("BUG: a message cannot be written: " + err.Error())
	}
	return b, h
}

type amAlert struct {
	Labels      map[string]string `json:"labels"`
	Annotations map[string]string `json:"annotations"`
	StartsAt    assay.Instant     `json:"startsAt,omitempty"`
	EndsAt      assay.Instant     `json:"endsAt"`
}

// alertName is what an alert of a plan is called in Alertmanager, whether Assay sends it or a rule of Prometheus does: with the same labels beside it
// the two are one alert there. Two alerts of a plan never have one name.
func alertName(alert string) string { return "assay_" + alert }

// alertmanager makes an alert whose labels are the same from its beginning to its end: nothing in them changes with a value, a window or a step.
func (c *Courier) alertmanager(n Notice) amAlert {
	model, number, _ := strings.Cut(n.Version, ":")
	a := amAlert{
		Labels:      map[string]string{"alertname": alertName(n.Alert), "model": model, "version": number, "severity": n.Severity},
		Annotations: map[string]string{"summary": cut(n.Summary, maxSummary), "incident": n.Key, "state": n.State, "causes": causeLines(n, "\n")},
		StartsAt:    n.Fired,
	}
	if lines := n.actionLines(); len(lines) > 0 {
		a.Annotations["actions"] = strings.Join(lines, "\n")
	}
	if n.By != "" {
		a.Annotations["by"], a.Annotations["reason"] = n.By, n.Reason
	}
	alive := Alive
	if n.Challenge != "" {
		// Every test is an alert of its own, so that Alertmanager tells of it even while an earlier one lasts. It ends by itself: one that were
		// resolved at once would be over before the first message of its group, and nobody would hear of it.
		a.Labels["alertname"], a.Labels["alert"], a.Labels["step"], a.Labels["challenge"] = "assay_test", n.Alert, strconv.Itoa(n.Step), n.Challenge
		a.Annotations["challenge"] = n.Challenge
		alive = testAlive
	}
	if a.EndsAt = n.At; n.Event != EventResolve {
		a.EndsAt = assay.InstantOf(c.Clock().Add(alive))
	}
	return a
}

type pdEvent struct {
	RoutingKey string     `json:"routing_key"`
	Action     string     `json:"event_action"`
	DedupKey   string     `json:"dedup_key"`
	Payload    *pdPayload `json:"payload,omitempty"`
	Client     string     `json:"client"`
}

type pdPayload struct {
	Summary   string         `json:"summary"`
	Source    string         `json:"source"`
	Severity  string         `json:"severity"`
	Timestamp assay.Instant  `json:"timestamp"`
	Component string         `json:"component"`
	Group     string         `json:"group"`
	Class     string         `json:"class"`
	Details   map[string]any `json:"custom_details"`
}

func pagerDuty(routing string, n Notice) pdEvent {
	ev := pdEvent{RoutingKey: routing, Action: n.Event, DedupKey: "assay/" + n.Version + "/" + n.Key, Client: "Assay"}
	if len(ev.DedupKey) > maxDedupKey {
		ev.DedupKey = "assay/" + assay.DigestOf([]byte(ev.DedupKey)).Hex()
	}
	if n.Event == EventTest {
		ev.Action = EventTrigger
	}
	if ev.Action != EventTrigger {
		return ev
	}
	severity := n.Severity
	if n.Event == EventTest {
		severity = "info"
	}
	ev.Payload = &pdPayload{
		Summary: cut(n.Summary, maxSummary), Source: n.Version, Severity: severity, Timestamp: n.At, Component: n.Alert, Group: n.Version,
		Details: map[string]any{"incident": n.Key, "step": n.Step, "evidence": n.Evidence, "notice": n.ID},
	}
	if len(n.Causes) > 0 {
		ev.Payload.Class = n.Causes[0].Scope
		ev.Payload.Details["causes"] = causeList(n)
	}
	if lines := n.actionLines(); len(lines) > 0 {
		ev.Payload.Details["actions"] = lines
	}
	if n.Challenge != "" {
		ev.Payload.Details["challenge"] = n.Challenge
	}
	return ev
}

type slackMessage struct {
	Text   string       `json:"text"`
	Blocks []slackBlock `json:"blocks"`
}

type slackBlock struct {
	Type     string      `json:"type"`
	Text     *slackText  `json:"text,omitempty"`
	Elements []slackText `json:"elements,omitempty"`
}

type slackText struct {
	Type string `json:"type"`
	Text string `json:"text"`
}

func slack(n Notice) slackMessage {
	plain := strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;")
	head := fmt.Sprintf("%s: %s %s", n.Version, n.Alert, n.State)
	if n.Event == EventTest {
		head = "[test] " + n.Version + ": " + n.Alert
	}
	m := slackMessage{Text: cut(plain.Replace(n.Summary), maxSlackText), Blocks: []slackBlock{
		{Type: "header", Text: &slackText{"plain_text", cut(head, maxSlackHeader)}},
		{Type: "section", Text: &slackText{"mrkdwn", cut(plain.Replace(n.Summary), maxSlackText)}},
	}}
	if len(n.Causes) > 0 {
		m.Blocks = append(m.Blocks, slackBlock{Type: "section", Text: &slackText{"mrkdwn", cut(plain.Replace("• "+causeLines(n, "\n• ")), maxSlackText)}})
	}
	if lines := n.actionLines(); len(lines) > 0 {
		m.Blocks = append(m.Blocks, slackBlock{Type: "section", Text: &slackText{"mrkdwn", cut(plain.Replace(strings.Join(lines, "\n")), maxSlackText)}})
	}
	var foots []string
	for _, x := range n.each() {
		foots = append(foots, fmt.Sprintf("%s, step %d, incident %s", x.Severity, x.Step, x.Key))
	}
	foot := strings.Join(foots, "; ")
	if n.Challenge != "" {
		foot += ", challenge " + n.Challenge
	}
	m.Blocks = append(m.Blocks, slackBlock{Type: "context", Elements: []slackText{{"mrkdwn", cut(plain.Replace(foot), maxSlackText)}}})
	return m
}

// causeList are the causes of a notice, in words.
func causeList(n Notice) []string {
	var out []string
	for i, c := range n.Causes {
		if i == shownCauses {
			break
		}
		out = append(out, fmt.Sprintf("%.0f %% %s", 100*c.Contribution, c.Message))
	}
	if more := n.total() - len(out); more > 0 {
		out = append(out, fmt.Sprintf("and %d more", more))
	}
	return out
}

func causeLines(n Notice, between string) string { return strings.Join(causeList(n), between) }

// readAnswer says whether a receiver of that type accepted, by its status and its answer.
func readAnswer(kind string, status int, retryAfter string, body []byte) Answer {
	a := Answer{Status: status, Text: string(body), Accepted: status >= 200 && status < 300}
	switch kind {
	case TypePagerDuty:
		var r struct {
			Status  string `json:"status"`
			Message string `json:"message"`
		}
		if err := json.Unmarshal(body, &r); err != nil || r.Status != "success" {
			a.Accepted = false
		}
	case TypeSlack:
		a.Accepted = a.Accepted && strings.TrimSpace(string(body)) == "ok"
	}
	if !a.Accepted {
		a.Permanent = status == http.StatusBadRequest || status == http.StatusRequestEntityTooLarge || status == http.StatusUnprocessableEntity
		if s, err := strconv.Atoi(strings.TrimSpace(retryAfter)); err == nil && s > 0 {
			a.After = min(time.Duration(min(s, 86400))*time.Second, MaxBackoff)
		}
	}
	return a
}
