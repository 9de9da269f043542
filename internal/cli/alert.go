package cli

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/assay-ml/assay"
)

// ChannelConfig is one way to reach somebody. Where it leads is a secret as much as its key: both come from the environment or a file.
type ChannelConfig struct {
	Type    string `yaml:"type" jsonschema:"description=what receives,enum=webhook,enum=alertmanager,enum=pagerduty,enum=slack,enum=email"`
	Address string `yaml:"address,omitempty" jsonschema:"description=where it leads: env:NAME or file:PATH that holds a URL; for pagerduty its own address without one"`
	Secret  string `yaml:"secret,omitempty" jsonschema:"description=env:NAME or file:PATH that holds the key of a webhook; the routing key of pagerduty; or user:password of alertmanager or email"`
}

// AlertConfig says who is told about what, and who is next when nobody answers.
type AlertConfig struct {
	Name     string           `yaml:"name,omitempty" jsonschema:"description=of the alert; without it made of when and severity"`
	When     Columns          `yaml:"when" jsonschema:"description=what it is about; one or several of input; prediction; label; joint; traffic; performance; business; labels"`
	Severity string           `yaml:"severity,omitempty" jsonschema:"description=how bad it is; a step without a time of its own waits a day; 4 hours; an hour or 15 minutes,enum=info,enum=warning,enum=error,enum=critical,default=error"`
	Persist  int              `yaml:"persist,omitempty" jsonschema:"description=how many windows in a row it must hold,default=1,minimum=1"`
	To       Columns          `yaml:"to" jsonschema:"description=names of channels that are told at once"`
	Escalate *EscalateConfig  `yaml:"escalate,omitempty" jsonschema:"description=who is told when nobody acknowledges"`
	Then     []EscalateConfig `yaml:"then,omitempty" jsonschema:"description=further steps after that one"`
	Actions  []string         `yaml:"actions,omitempty" jsonschema:"description=what is done when it fires: abort_canary; rollback; stale_card"`
}

// EscalateConfig is a later step of an alert.
type EscalateConfig struct {
	After string  `yaml:"after,omitempty" jsonschema:"description=time since the alert fired; such as 30m or 1d; without it the severity's"`
	To    Columns `yaml:"to" jsonschema:"description=names of channels"`
}

// name is what an alert is called.
func (a AlertConfig) name() string {
	return cmp.Or(a.Name, strings.Join(a.When, "_")+"_"+a.severity())
}

func (a AlertConfig) severity() string { return cmp.Or(a.Severity, "error") }

// steps are the alert's steps, the first at once.
func (a AlertConfig) steps() []EscalateConfig {
	out := []EscalateConfig{{To: a.To}}
	if a.Escalate != nil {
		out = append(out, *a.Escalate)
	}
	return append(out, a.Then...)
}

var (
	channelTypes  = []string{"webhook", "alertmanager", "pagerduty", "slack", "email"}
	alertSubjects = []string{"input", "prediction", "label", "joint", "traffic", "performance", "business", "labels"}
	alertActions  = []string{"abort_canary", "rollback", "stale_card"}
	// stepSeconds is how long each step waits for an acknowledgement, by severity.
	stepSeconds = map[string]int64{"info": 24 * 3600, "warning": 4 * 3600, "error": 3600, "critical": 15 * 60}
)

// checkAlerts reports what cannot be: key is monitor.
func checkAlerts(key string, channels map[string]ChannelConfig, alerts []AlertConfig, bad *assay.Problems) {
	for _, name := range slices.Sorted(maps.Keys(channels)) {
		c, at := channels[name], key+".channels."+name
		checkLabel(at, name, bad)
		if !slices.Contains(channelTypes, c.Type) {
			if c.Type == "" {
				bad.Add("%s.type is empty: one of %s", at, strings.Join(channelTypes, ", "))
			}
			continue
		}
		if c.Address == "" && c.Type != "pagerduty" {
			bad.Add("%s.address is empty; want env:NAME or file:PATH that holds it", at)
		}
		if c.Secret == "" && (c.Type == "pagerduty" || c.Type == "webhook") {
			bad.Add("%s.secret is empty; want env:NAME or file:PATH that holds it", at)
		}
		for _, x := range [][2]string{{"address", c.Address}, {"secret", c.Secret}} {
			if kind, what, _ := strings.Cut(x[1], ":"); x[1] != "" && (kind != "env" && kind != "file" || what == "") {
				bad.Add("%s.%s is not env:NAME or file:PATH: a place that holds it, never the %s itself", at, x[0], x[0])
			}
		}
	}
	names := map[string]bool{}
	for i, a := range alerts {
		at := fmt.Sprintf("%s.alerts[%d]", key, i)
		if len(a.When) == 0 {
			bad.Add("%s.when is empty: what is it about? %s", at, strings.Join(alertSubjects, ", "))
			continue
		}
		checkLabel(at, a.name(), bad)
		if names[a.name()] {
			bad.Add("%s is the second alert named %s; want a name", at, a.name())
		}
		names[a.name()] = true
		for _, w := range a.When {
			if !slices.Contains(alertSubjects, w) {
				bad.Add("%s.when %q is none of %s", at, w, strings.Join(alertSubjects, ", "))
			}
		}
		for _, x := range a.Actions {
			if !slices.Contains(alertActions, x) {
				bad.Add("%s.actions %q is none of %s", at, x, strings.Join(alertActions, ", "))
			}
		}
		plan := alertPlans([]AlertConfig{a})[0]
		for j, st := range a.steps() {
			if len(st.To) == 0 {
				bad.Add("%s, step %d: to is empty, nobody is told", at, j+1)
			}
			for _, to := range st.To {
				if _, ok := channels[to]; !ok {
					bad.Add("%s, step %d: %q is no channel%s", at, j+1, to, didYouMean(to, slices.Collect(maps.Keys(channels))))
				}
			}
			if _, err := seconds(fmt.Sprintf("%s, step %d", at, j+1), st.After); err != nil {
				bad.Add("%s", err)
			} else if j > 0 && plan.Steps[j].AfterSeconds <= plan.Steps[j-1].AfterSeconds {
				bad.Add("%s, step %d: after is %s, not later than the step before", at, j+1, cmp.Or(st.After, "absent"))
			}
		}
	}
}

// checkLabel refuses a name that could not be a part of a key, a file name or a label.
func checkLabel(at, name string, bad *assay.Problems) {
	if name == "" || len(name) > 64 || strings.Trim(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-") != "" {
		bad.Add("%s: a name has at most 64 letters, digits, _ and -", at)
	}
}

// alertPlans are the alerts of the project as a plan states them.
func alertPlans(alerts []AlertConfig) []assay.AlertPlan {
	out := []assay.AlertPlan{}
	for _, a := range alerts {
		p := assay.AlertPlan{Name: a.name(), When: sortedUnique(a.When), Severity: a.severity(), Persist: max(1, a.Persist), Steps: []assay.Escalation{}, Actions: append([]string{}, a.Actions...)}
		var after int64
		for i, st := range a.steps() {
			if t, err := seconds("after", st.After); st.After != "" && err == nil {
				after = int64(t)
			} else if i > 0 {
				after += stepSeconds[p.Severity]
			}
			p.Steps = append(p.Steps, assay.Escalation{AfterSeconds: after, To: sortedUnique(st.To)})
		}
		out = append(out, p)
	}
	return out
}
