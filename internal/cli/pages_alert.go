package cli

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/monitor"
	"github.com/assay-ml/assay/internal/web"
)

// stateMarks are the shape and the tone of each state of an alert: no two have one shape, so that none is told by its colour alone.
var stateMarks = map[string][2]string{
	assay.AlertPending:      {"◔", "undetermined"},
	assay.AlertFiring:       {"✕", "fail"},
	assay.AlertAcknowledged: {"◐", "undetermined"},
	assay.AlertMuted:        {"○", "soft"},
	assay.AlertResolved:     {"●", "pass"},
}

func stateCell(in assay.Incident) web.SiteCell {
	m := stateMarks[in.State]
	c := web.SiteCell{Text: in.State, Mark: m[0], Tone: m[1]}
	if in.State == assay.AlertMuted {
		c.More = []string{"until " + string(in.Until)}
	}
	return c
}

// alert is the life of one incident.
func (p *pages) alert(ctx context.Context, r *http.Request) (web.SitePage, error) {
	x := web.SitePage{Title: "What happened, who knows, what next?", Here: "Alerts", Crumbs: []web.SiteLink{{Text: "Alerts", Path: "/alerts"}, {Text: r.PathValue("key")}}}
	w, key, err := p.s.incident(ctx, r.PathValue("key"))
	if err != nil {
		return x, err
	}
	states := web.SiteSection{ID: "states", Title: "States", Columns: []web.SiteColumn{{Name: "when"}, {Name: "state"}, {Name: "step", Numbers: true}, {Name: "window"}, {Name: "who said so, and why"}, {Name: "evidence"}}}
	told := web.SiteSection{ID: "told", Title: "Who was told", Columns: []web.SiteColumn{{Name: "channel"}, {Name: "accepted"}, {Name: "step", Numbers: true}, {Name: "answered"}, {Name: "what it answered"}, {Name: "attempts", Numbers: true}}, Empty: "Nobody has answered yet."}
	seen := map[assay.Digest]bool{}
	var life []monitor.Change
	for _, c := range w.changes {
		if c.Incident.Key != key {
			continue
		}
		in := c.Incident
		life = append(life, c)
		who := web.SiteCell{}
		if in.By != "" {
			who = web.SiteCell{Text: in.By, More: []string{in.Reason}}
		} else if n := len(states.Rows); n > 0 && len(in.Deliveries) > 0 {
			who = web.SiteCell{Text: "receivers answered"}
		}
		states.Rows = append(states.Rows, []web.SiteCell{p.when(c.At), stateCell(in), {Text: strconv.Itoa(in.Step)}, {Text: w.window(in, in.Last)}, who, evidenceLink(c.ID)})
		for _, d := range in.Deliveries {
			if seen[d.Message] {
				continue
			}
			seen[d.Message] = true
			verdict := assay.Fail
			if d.Accepted {
				verdict = assay.Pass
			}
			told.Rows = append(told.Rows, []web.SiteCell{{Text: d.Channel + " (" + d.Type + ")"}, {Verdict: verdict}, {Text: strconv.Itoa(d.Step)}, p.when(c.At), {Text: receiverSaid(d)}, {Text: strconv.Itoa(d.Attempts)}})
		}
	}
	last := life[len(life)-1].Incident
	causes, err := p.causes(ctx, w, last)
	if err != nil {
		return x, err
	}
	x.Lead = fmt.Sprintf("Alert %s of %s, %s, is %s.", last.Alert, versionName(w.version), last.Severity, stateText(last))
	next := web.SiteSection{ID: "next", Title: "What next", Columns: []web.SiteColumn{{Name: "to"}, {Name: "command"}}, Empty: "Nothing: it is over."}
	if last.State != assay.AlertResolved {
		for _, y := range [][2]string{{"take it over", "ack " + key}, {"keep it quiet", "mute " + key + " --for 1d"}, {"end it", "resolve " + key}} {
			next.Rows = append(next.Rows, []web.SiteCell{{Text: y[0]}, {Text: "assay alert " + y[1] + " --by NAME --reason TEXT", Code: true}})
		}
	}
	x.Sections = []web.SiteSection{causes}
	if did := p.actions(life); len(did.Rows) > 0 {
		x.Sections = append(x.Sections, did)
	}
	x.Sections = append(x.Sections, next, told, states)
	return x, nil
}

// causes are all that an incident holds for in its newest window: those that it names, then the lesser ones, which the evidence that it stands on has.
func (p *pages) causes(ctx context.Context, w *watchedVersion, in assay.Incident) (web.SiteSection, error) {
	t := web.SiteSection{ID: "causes", Title: "Causes", Columns: []web.SiteColumn{{Name: "cause"}, {Name: "contribution", Numbers: true}}, Empty: "None is on record."}
	named := map[string]bool{}
	name := func(c assay.Cause) string { return c.Scope + "\n" + c.Kind + "\n" + c.Column }
	for _, c := range in.Causes {
		named[name(c)] = true
		t.Rows = append(t.Rows, []web.SiteCell{{Text: c.Message}, {Text: fmt.Sprintf("%.0f %%", 100*c.Contribution)}})
	}
	left := in.CausesTotal - len(in.Causes)
	if left <= 0 {
		return t, nil
	}
	c := monitor.Case{Incident: in}
	_, alert := w.alert(&c)
	least := in.Causes[len(in.Causes)-1].Contribution
	for _, id := range in.Evidence {
		r, err := p.s.st.Get(ctx, id)
		if err != nil {
			return t, err
		}
		if r.Kind != assay.KindDrift {
			continue
		}
		d, err := assay.Decode[assay.Drift](r.Evidence)
		if err != nil {
			return t, err
		}
		if d.Window.Number != in.Last.Number {
			continue
		}
		for _, c := range d.Ranking {
			if !named[name(c)] && slices.Contains(alert.When, c.Scope) {
				named[name(c)] = true
				left--
				t.Rows = append(t.Rows, []web.SiteCell{{Text: c.Message}, {Text: fmt.Sprintf("≤ %.2g %%", 100*least)}})
			}
		}
	}
	if left > 0 {
		t.Rows = append(t.Rows, []web.SiteCell{{Text: fmt.Sprintf("and %d more, in the report of the version", left), Path: monitorPath(w.version.Name, w.version.Number) + "#columns"}, {}})
	}
	return t, nil
}

// actions are what the alert asks for when it fires: what came of each, since when that is on record, and why where it was not done.
func (p *pages) actions(life []monitor.Change) web.SiteSection {
	t := web.SiteSection{ID: "actions", Title: "What Assay did", Columns: []web.SiteColumn{{Name: "action"}, {Name: "verdict"}, {Name: "when"}, {Name: "why"}}}
	type known struct {
		at time.Time
		a  monitor.Action
	}
	var all []known
	for _, c := range life {
		for _, a := range monitor.Actions(c.Incident) {
			i := slices.IndexFunc(all, func(k known) bool { return k.a.Name == a.Name })
			switch {
			case i < 0:
				all = append(all, known{c.At, a})
			case all[i].a != a:
				all[i] = known{c.At, a}
			}
		}
	}
	for _, k := range all {
		v, why := assay.Fail, cmp.Or(k.a.Why, "it is not known why")
		switch {
		case k.a.Done:
			v, why = assay.Pass, "it was done"
		case k.a.Until != "":
			v, why = assay.Undetermined, "not done yet, and tried again until "+string(k.a.Until)+": "+why
		default:
			why = "it was not done: " + why
		}
		t.Rows = append(t.Rows, []web.SiteCell{{Text: strings.ReplaceAll(k.a.Name, "_", " ")}, {Verdict: v}, p.when(k.at), {Text: why}})
	}
	return t
}
