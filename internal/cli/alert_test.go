package cli

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/assay-ml/assay"
)

func TestAlertPlans(t *testing.T) {
	got := alertPlans([]AlertConfig{
		{When: Columns{"prediction", "input"}, Severity: "warning", To: Columns{"team"}, Escalate: &EscalateConfig{To: Columns{"lead", "duty"}}, Then: []EscalateConfig{{To: Columns{"duty"}}}},
		{Name: "decay", When: Columns{"performance"}, Severity: "critical", Persist: 2, To: Columns{"duty"}, Escalate: &EscalateConfig{To: Columns{"lead"}}, Then: []EscalateConfig{{After: "1d", To: Columns{"lead"}}}, Actions: []string{"rollback"}},
	})
	want := []assay.AlertPlan{
		{Name: "prediction_input_warning", When: []string{"input", "prediction"}, Severity: "warning", Persist: 1, Actions: []string{}, Steps: []assay.Escalation{
			{AfterSeconds: 0, To: []string{"team"}}, {AfterSeconds: 4 * 3600, To: []string{"duty", "lead"}}, {AfterSeconds: 8 * 3600, To: []string{"duty"}},
		}},
		{Name: "decay", When: []string{"performance"}, Severity: "critical", Persist: 2, Actions: []string{"rollback"}, Steps: []assay.Escalation{
			{AfterSeconds: 0, To: []string{"duty"}}, {AfterSeconds: 900, To: []string{"lead"}}, {AfterSeconds: 86400, To: []string{"lead"}},
		}},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestCheckAlerts(t *testing.T) {
	var bad assay.Problems
	checkAlerts("monitor", map[string]ChannelConfig{
		"ops":      {Type: "webhook", Address: "https://example.test/hook", Secret: "env:KEY"},
		"pager":    {Type: "pagerduty", Secret: "file:"},
		"a b":      {Type: "slack", Address: "env:SLACK"},
		"carrier":  {},
		"unkeyed":  {Type: "webhook", Address: "env:HOOK"},
		"nowhere":  {Type: "slack"},
		"good":     {Type: "email", Address: "file:mail.txt", Secret: "env:MAIL"},
		"goodpage": {Type: "pagerduty", Secret: "env:PAGE"},
	}, []AlertConfig{
		{},
		{Name: "wrong", When: Columns{"weather"}, Actions: []string{"explode"}, To: Columns{"oops"}, Escalate: &EscalateConfig{After: "2h"}, Then: []EscalateConfig{{After: "1h", To: Columns{"ops"}}, {After: "soon", To: Columns{"ops"}}}},
		{When: Columns{"input"}, To: Columns{"ops"}, Escalate: &EscalateConfig{After: "1h", To: Columns{"good"}}},
		{When: Columns{"input"}, To: Columns{"ops"}},
	}, &bad)
	got := strings.Join(bad, "\n")
	want := `monitor.channels.a b: a name has at most 64 letters, digits, _ and -
monitor.channels.carrier.type is empty: one of webhook, alertmanager, pagerduty, slack, email
monitor.channels.nowhere.address is empty; want env:NAME or file:PATH that holds it
monitor.channels.ops.address is not env:NAME or file:PATH: a place that holds it, never the address itself
monitor.channels.pager.secret is not env:NAME or file:PATH: a place that holds it, never the secret itself
monitor.channels.unkeyed.secret is empty; want env:NAME or file:PATH that holds it
monitor.alerts[0].when is empty: what is it about? input, prediction, label, joint, traffic, performance, business, labels
monitor.alerts[1].when "weather" is none of input, prediction, label, joint, traffic, performance, business, labels
monitor.alerts[1].actions "explode" is none of abort_canary, rollback, stale_card
monitor.alerts[1], step 1: "oops" is no channel; did you mean "ops"?
monitor.alerts[1], step 2: to is empty, nobody is told
monitor.alerts[1], step 3: after is 1h, not later than the step before
monitor.alerts[1], step 4: "soon" is no duration; want a number and h, m, s or d
monitor.alerts[3] is the second alert named input_error; want a name
`
	if got+"\n" != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
}
