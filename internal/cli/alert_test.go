package cli

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/assay-ml/assay"
)

func TestAlertPlans(t *testing.T) {
	got := alertPlans(map[string]AlertConfig{
		"drift": {When: []string{"prediction", "input"}, Steps: []StepConfig{{To: []string{"team"}}, {To: []string{"lead", "duty"}}, {To: []string{"duty"}}}},
		"decay": {When: []string{"performance"}, Severity: "critical", Persist: 2, Steps: []StepConfig{{To: []string{"duty"}}, {To: []string{"lead"}}, {After: "1d", To: []string{"lead"}}}, Actions: []string{"rollback"}},
	})
	want := []assay.AlertPlan{
		{Name: "decay", When: []string{"performance"}, Severity: "critical", Persist: 2, Actions: []string{"rollback"}, Steps: []assay.Escalation{
			{AfterSeconds: 0, To: []string{"duty"}}, {AfterSeconds: 900, To: []string{"lead"}}, {AfterSeconds: 86400, To: []string{"lead"}},
		}},
		{Name: "drift", When: []string{"input", "prediction"}, Severity: "warning", Persist: 1, Actions: []string{}, Steps: []assay.Escalation{
			{AfterSeconds: 0, To: []string{"team"}}, {AfterSeconds: 4 * 3600, To: []string{"duty", "lead"}}, {AfterSeconds: 8 * 3600, To: []string{"duty"}},
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
		"carrier":  {Type: "pigeon"},
		"unkeyed":  {Type: "webhook", Address: "env:HOOK"},
		"nowhere":  {Type: "slack"},
		"good":     {Type: "email", Address: "file:mail.txt", Secret: "env:MAIL"},
		"goodpage": {Type: "pagerduty", Secret: "env:PAGE"},
	}, map[string]AlertConfig{
		"empty": {},
		"wrong": {When: []string{"weather"}, Severity: "panic", Persist: -1, Actions: []string{"explode"}, Steps: []StepConfig{{After: "1h", To: []string{"oops"}}, {After: "2h"}, {After: "1h", To: []string{"ops"}}, {After: "soon", To: []string{"ops"}}}},
		"right": {When: []string{"input"}, Steps: []StepConfig{{To: []string{"ops"}}, {After: "1h", To: []string{"good"}}}},
	}, &bad)
	got := strings.Join(bad, "\n")
	want := `monitor.channels.a b: a name has at most 64 letters, digits, _ and -
monitor.channels.carrier.type "pigeon" is none of webhook, alertmanager, pagerduty, slack, email
monitor.channels.nowhere.address is empty; want env:NAME or file:PATH that holds it
monitor.channels.ops.address is not env:NAME or file:PATH: a place that holds it, never the address itself
monitor.channels.pager.secret is not env:NAME or file:PATH: a place that holds it, never the secret itself
monitor.channels.unkeyed.secret is empty; want env:NAME or file:PATH that holds it
monitor.alerts.empty.when is empty: what is it about? input, prediction, label, joint, traffic, performance, business, labels
monitor.alerts.empty.steps is empty: nobody is told
monitor.alerts.wrong.when "weather" is none of input, prediction, label, joint, traffic, performance, business, labels
monitor.alerts.wrong.severity "panic" is none of info, warning, error, critical
monitor.alerts.wrong.persist is -1; want 1 or more
monitor.alerts.wrong.actions "explode" is none of abort_canary, rollback, stale_card
monitor.alerts.wrong.steps[0].to names channel "oops"; did you mean "ops"?
monitor.alerts.wrong.steps[0].after is 1h; the first step is taken at once
monitor.alerts.wrong.steps[1].to is empty: nobody is told
monitor.alerts.wrong.steps[2].after is 1h, before the step above it
`
	if !strings.HasPrefix(got+"\n", want) {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
	if !strings.Contains(got, "soon") {
		t.Errorf("the time that is none is not reported:\n%s", got)
	}
}
