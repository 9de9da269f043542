package monitor

import (
	"bytes"
	"encoding/json"
	"io"
	"mime"
	"mime/quotedprintable"
	"net/mail"
	"strings"
	"testing"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/assaytest"
)

// texts are all texts of a document of JSON.
func texts(v any) (out []string) {
	switch v := v.(type) {
	case string:
		out = append(out, v)
	case []any:
		for _, x := range v {
			out = append(out, texts(x)...)
		}
	case map[string]any:
		for _, x := range v {
			out = append(out, texts(x)...)
		}
	}
	return out
}

// TestHostileTextsInMessages: what people call columns, and what they write as reasons, does nothing in any message; each is one line of what is shown.
func TestHostileTextsInMessages(t *testing.T) {
	alert := assay.AlertPlan{Name: "drift", Severity: "error", Steps: []assay.Escalation{{To: []string{"ops"}}}}
	for name, text := range assaytest.HostileTexts() {
		in := assay.Incident{
			Monitor: plan, Key: "drift-1-0", Alert: "drift", Severity: "error", State: assay.AlertFiring, Step: 1, Last: assay.Window{Number: 1}, Actions: []string{},
			Causes: []assay.Cause{{Scope: "input", Kind: "missing", Column: text, Contribution: 1, Message: text + " is missing"}}, Undone: []assay.Undone{{Action: "rollback", Why: text}},
		}
		fires := Change{Case: Case{ID: id("a"), At: start, Fired: start, Incident: in}}
		taken := fires
		taken.Before = &in
		taken.Incident.State, taken.Incident.By, taken.Incident.Reason = assay.AlertAcknowledged, text, text
		for _, changes := range [][]Change{{fires}, {fires, taken}} {
			ns := Notices(assay.Monitor{}, alert, changes, len(changes)-1, id("model"), "people:1")
			if len(ns) != 1 {
				t.Fatalf("%s: %d notices", name, len(ns))
			}
			for _, n := range []Notice{ns[0], Merge([]Notice{ns[0], ns[0]})} {
				for _, kind := range []string{TypeWebhook, TypeAlertmanager, TypePagerDuty, TypeSlack} {
					body, _ := courier().message(Endpoint{Type: kind, Secret: "k"}, n)
					var doc any
					if err := json.Unmarshal(body, &doc); err != nil {
						t.Fatalf("%s, %s: %v", name, kind, err)
					}
					if kind == TypeWebhook { // a column's name is data there; what is shown is the rest
						for _, c := range doc.(map[string]any)["causes"].([]any) {
							delete(c.(map[string]any), "column")
						}
					}
					for _, x := range texts(doc) {
						assaytest.Harmless(t, name+" in a message to "+kind, x)
						if kind == TypeSlack && strings.Contains(x, "<") {
							t.Errorf("%s: Slack would read a command in %q", name, x[:min(len(x), 80)])
						}
					}
				}
				m, err := mail.ReadMessage(bytes.NewReader(letter(mailbox{from: &mail.Address{Address: "a@b.test"}}, n, start)))
				if err != nil {
					t.Fatalf("%s: %v", name, err)
				}
				subject, err := new(mime.WordDecoder).DecodeHeader(m.Header.Get("Subject"))
				if err != nil {
					t.Fatalf("%s: %v", name, err)
				}
				b, err := io.ReadAll(quotedprintable.NewReader(m.Body))
				if err != nil {
					t.Fatalf("%s: %v", name, err)
				}
				assaytest.Harmless(t, name+" in the subject of a mail", subject)
				assaytest.Harmless(t, name+" in a mail", string(b))
			}
		}
	}
}
