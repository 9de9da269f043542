package cli

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/monitor"
	"github.com/assay-ml/assay/internal/store"
	"github.com/assay-ml/assay/internal/web"
)

// traffic says what was asked of each version since the server began, and what became of it.
func (p *pages) traffic(_ context.Context, _ *http.Request) (web.SitePage, error) {
	x := web.SitePage{Title: "What is asked of the models, and what becomes of it?", Here: "Traffic"}
	t := web.SiteSection{
		ID: "versions", Title: "Since this server began", Text: "Requests by what became of them; rows that were answered, that were unlike the training data, and that the log lost.",
		Columns: []web.SiteColumn{
			{Name: "version"},
			{Name: "part"},
			{Name: "answered", Numbers: true},
			{Name: "refused", Numbers: true},
			{Name: "failed", Numbers: true},
			{Name: "shed", Numbers: true},
			{Name: "fallback", Numbers: true},
			{Name: "rows answered", Numbers: true},
			{Name: "rows out of distribution", Numbers: true},
			{Name: "rows lost by the log", Numbers: true},
		},
		Empty: "Nothing was asked yet.", Command: "curl -d @rows.json -H 'Content-Type: application/json' http://127.0.0.1:8400/invocations",
	}
	var requests, wrong, lost int64
	var bars []web.Bar
	for _, y := range p.server.Tallies() {
		part := "no longer"
		if versions, live := p.server.Versions(y.Name); live != nil {
			for _, b := range versions {
				if strconv.Itoa(b.Number) == y.Version {
					part = map[bool]string{true: "live", false: "canary or shadow"}[b == live]
				}
			}
		}
		r := y.Requests
		refused := r["refused"] + r["malformed"]
		var all int64
		for _, n := range r {
			all += n
		}
		requests, wrong, lost = requests+all, wrong+all-r["answered"], lost+y.Lost
		t.Rows = append(t.Rows, []web.SiteCell{
			{Text: y.Name + ":" + y.Version, Path: modelPath(y.Name)},
			{Text: part},
			number(r["answered"]), number(refused), number(r["failed"]), number(r["shed"]), number(y.Fallback),
			number(y.Rows["answered"]), number(y.Outliers), number(y.Lost),
		})
		bars = append(bars, web.Bar{Label: y.Name + ":" + y.Version, Value: float64(all)})
	}
	x.Lead = "Nothing was asked yet."
	if requests > 0 {
		x.Lead = fmt.Sprintf("%s requests; %s were not answered by the model (%.3g %%); %s log rows were lost.", assay.FormatCount(requests), assay.FormatCount(wrong), 100*float64(wrong)/float64(requests), assay.FormatCount(lost))
		t.Drawing, t.DrawingTitle = web.Bars("requests by version", bars), "Requests by version"
	}
	logged := "off: nothing can be monitored"
	if p.log != nil {
		rows, failures, problem := p.log.Written()
		logged = assay.FormatCount(rows) + " rows written"
		if failures > 0 {
			logged += fmt.Sprintf("; %s writes failed: %s", assay.FormatCount(failures), problem)
		}
	}
	x.Facts = []web.SiteFact{{Name: "waiting", Value: assay.FormatCount(p.server.Waiting())}, {Name: "models that answer", Value: assay.FormatCount(int64(len(p.server.Models())))}, {Name: "prediction log", Value: logged}}
	x.Sections = []web.SiteSection{t, {ID: "more", Title: "More", Empty: "Latencies and rates for Prometheus are under /metrics; what a canary or a shadow has seen under /models/NAME/split; the log itself answers SQL:", Command: "assay log query 'SELECT …'"}}
	return x, nil
}

// watchedNow is what is known of the newest window of a version.
type watchedNow struct {
	newest        *assay.Drift // nil: no window was judged
	label, why    string
	judged, moved int // of the newest windows
	coverage      string
	overdue       string   // that labels of the newest window whose labels should all have come did not; empty where they did
	open          []string // incidents
	plan          assay.Monitor
}

func (p *pages) watch(ctx context.Context, w *watchedVersion) (watchedNow, error) {
	out := watchedNow{plan: w.plans[w.planID], coverage: "no labels"}
	rs, err := p.s.st.Find(ctx, store.Query{Kind: assay.KindDrift, Subject: w.version.Model, Parent: w.planID, Windows: true, Limit: windowsBefore})
	if err != nil {
		return out, err
	}
	windows, err := monitor.NewestWindows(rs)
	if err != nil {
		return out, err
	}
	for _, d := range windows {
		out.judged++
		if d.Verdict == assay.Fail {
			out.moved++
		}
	}
	if len(windows) > 0 {
		d := windows[0]
		out.newest, out.label = &d, monitor.WindowLabel(out.plan.Windows, d.Window)
		switch {
		case len(d.Ranking) > 0:
			out.why = d.Ranking[0].Message
			if n := len(d.Ranking) - 1; n > 0 {
				out.why += fmt.Sprintf("; and %d more", n)
			}
		case d.Verdict == assay.Undetermined:
			out.why = "too few rows to judge"
		default:
			out.why = "nothing moved"
		}
	}
	o, err := newestWindow[assay.Outcome](ctx, p.s, assay.KindOutcome, w)
	if err != nil {
		return out, err
	}
	if o != nil {
		out.coverage = shareText(o.Labels.Coverage)
	}
	if l := out.plan.Labels; l != nil {
		if p.due == nil {
			p.due = map[assay.Digest]*dueScan{}
		}
		d, err := dueOf(p.due, w.planID).look(ctx, p.s, w, l)
		if err != nil {
			return out, err
		}
		if d != nil {
			if why := monitor.LabelsOverdue(out.plan, assay.Outcome{Window: d.window, Labels: d.labels}, p.s.Now()); why != "" {
				out.overdue = monitor.WindowLabel(out.plan.Windows, d.window) + ": " + why
			}
		}
	}
	for _, c := range w.cases {
		if c.Open() {
			out.open = append(out.open, c.Incident.Key)
		}
	}
	return out, nil
}

// monitors says of each version that is watched whether something changed.
func (p *pages) monitors(ctx context.Context, _ *http.Request) (web.SitePage, error) {
	x := web.SitePage{Title: "Did something change?", Here: "Monitors"}
	t := web.SiteSection{
		ID: "versions", Title: "Versions that are watched", Columns: []web.SiteColumn{{Name: "version"}, {Name: "newest window"}, {Name: "verdict"}, {Name: "what moved"}, {Name: "windows that moved"}, {Name: "windows of"}, {Name: "label coverage"}, {Name: "alerts"}},
		Empty: "No version is watched yet.", Command: "assay monitor plan",
	}
	all, err := p.s.watchedVersions(ctx)
	if err != nil {
		return x, err
	}
	moved, overdue := 0, 0
	for _, w := range all {
		m, err := p.watch(ctx, w)
		if err != nil {
			return x, err
		}
		row := []web.SiteCell{{Text: versionName(w.version), Path: monitorPath(w.version.Name, w.version.Number)}}
		if m.newest == nil {
			row[0].Path = ""
			row = append(row, web.SiteCell{Text: "none was judged yet"}, web.SiteCell{Verdict: assay.Undetermined}, web.SiteCell{Text: "assay monitor run", Code: true})
		} else {
			if m.newest.Verdict == assay.Fail {
				moved++
			}
			row = append(row, web.SiteCell{Text: m.label, More: []string{assay.FormatCount(m.newest.Window.Rows) + " rows"}}, web.SiteCell{Verdict: m.newest.Verdict}, web.SiteCell{Text: m.why})
		}
		alerts := web.SiteCell{Text: "none open"}
		if len(m.open) > 0 {
			alerts = web.SiteCell{Text: fmt.Sprintf("%d open", len(m.open)), Path: "/alerts", More: m.open}
		} else if len(m.plan.Alerts) == 0 {
			alerts = web.SiteCell{Text: "nobody is told"}
		}
		labels := web.SiteCell{Text: m.coverage}
		if m.overdue != "" {
			overdue++
			labels.More, row[2].Verdict = []string{m.overdue}, assay.Fail
		}
		t.Rows = append(t.Rows, append(row, web.SiteCell{Text: fmt.Sprintf("%d of the last %d", m.moved, m.judged)}, web.SiteCell{Text: monitor.FormatWindow(m.plan.Windows)}, labels, alerts))
	}
	x.Lead = fmt.Sprintf("In the newest window of %d of %d watched versions.", moved, len(all))
	if overdue > 0 {
		x.Lead += fmt.Sprintf(" Labels of %d are overdue.", overdue)
	}
	if len(all) == 0 {
		x.Lead = "Nothing is watched."
	}
	x.Sections = []web.SiteSection{t}
	return x, nil
}

// monitor is the report of a version.
func (p *pages) monitor(ctx context.Context, r *http.Request) ([]byte, error) {
	v, err := p.s.version(ctx, r.PathValue("name")+":"+r.PathValue("number"))
	if err != nil {
		return nil, err
	}
	b, _, _, err := p.s.monitorHTML(ctx, v, "Monitors")
	return b, err
}

// alerts says what happened and who knows.
func (p *pages) alerts(ctx context.Context, _ *http.Request) (web.SitePage, error) {
	x := web.SitePage{Title: "What happened, and who knows?", Here: "Alerts"}
	columns := []web.SiteColumn{{Name: "incident"}, {Name: "version"}, {Name: "severity"}, {Name: "state"}, {Name: "step", Numbers: true}, {Name: "newest window"}, {Name: "since"}, {Name: "first cause"}}
	open := web.SiteSection{ID: "open", Title: "Open", Columns: columns, Empty: "No incident is open."}
	ended := web.SiteSection{ID: "resolved", Title: "Resolved", Columns: columns, Empty: "None yet."}
	all, err := p.s.watchedVersions(ctx)
	if err != nil {
		return x, err
	}
	for _, w := range all {
		for i := len(w.cases) - 1; i >= 0; i-- {
			c := w.cases[i]
			in := c.Incident
			row := []web.SiteCell{{Text: in.Key, Path: "/alerts/" + in.Key}, {Text: versionName(w.version)}, {Text: in.Severity}, {Text: stateText(in)}, {Text: strconv.Itoa(in.Step)}, {Text: w.window(in, in.Last)}, p.when(w.began(in.Key)), {Text: firstCause(in)}}
			if c.Open() {
				open.Rows = append(open.Rows, row)
			} else {
				ended.Rows = append(ended.Rows, row)
			}
		}
	}
	d, err := p.s.desk(ctx)
	if err != nil {
		return x, err
	}
	tally, err := d.outbox.Tally()
	if err != nil {
		return x, err
	}
	x.Facts = []web.SiteFact{{Name: "messages waiting", Value: strconv.Itoa(tally.Waiting)}, {Name: "sent in 30 days", Value: strconv.Itoa(tally.Sent)}, {Name: "given up in 30 days", Value: strconv.Itoa(tally.Dead)}}
	x.Lead = fmt.Sprintf("Incidents: %d open, %d resolved.", len(open.Rows), len(ended.Rows))
	x.Sections = []web.SiteSection{open, ended}
	return x, nil
}

// alert is the life of one incident.
func (p *pages) alert(ctx context.Context, r *http.Request) (web.SitePage, error) {
	x := web.SitePage{Title: "What happened, who knows, what next?", Here: "Alerts", Crumbs: []web.SiteLink{{Text: "Alerts", Path: "/alerts"}, {Text: r.PathValue("key")}}}
	w, key, err := p.s.incident(ctx, r.PathValue("key"))
	if err != nil {
		return x, err
	}
	causes := web.SiteSection{ID: "causes", Title: "Causes", Columns: []web.SiteColumn{{Name: "cause"}, {Name: "contribution", Numbers: true}}, Empty: "None is on record."}
	states := web.SiteSection{ID: "states", Title: "States", Columns: []web.SiteColumn{{Name: "when"}, {Name: "state"}, {Name: "step", Numbers: true}, {Name: "window"}, {Name: "who said so, and why"}, {Name: "evidence"}}}
	told := web.SiteSection{ID: "told", Title: "Who was told", Columns: []web.SiteColumn{{Name: "channel"}, {Name: "verdict"}, {Name: "step", Numbers: true}, {Name: "what it answered"}, {Name: "attempts", Numbers: true}}, Empty: "Nobody has answered yet."}
	seen := map[assay.Digest]bool{}
	var last assay.Incident
	for _, c := range w.changes {
		if c.Incident.Key != key {
			continue
		}
		in := c.Incident
		last = in
		who := web.SiteCell{}
		if in.By != "" {
			who = web.SiteCell{Text: in.By, More: []string{in.Reason}}
		} else if n := len(states.Rows); n > 0 && len(in.Deliveries) > 0 {
			who = web.SiteCell{Text: "receivers answered"}
		}
		states.Rows = append(states.Rows, []web.SiteCell{p.when(c.At), {Text: stateText(in)}, {Text: strconv.Itoa(in.Step)}, {Text: w.window(in, in.Last)}, who, evidenceLink(c.ID)})
		for _, d := range in.Deliveries {
			if seen[d.Message] {
				continue
			}
			seen[d.Message] = true
			verdict := assay.Fail
			if d.Accepted {
				verdict = assay.Pass
			}
			told.Rows = append(told.Rows, []web.SiteCell{{Text: d.Channel + " (" + d.Type + ")"}, {Verdict: verdict}, {Text: strconv.Itoa(d.Step)}, {Text: receiverSaid(d)}, {Text: strconv.Itoa(d.Attempts)}})
		}
	}
	for _, c := range last.Causes {
		causes.Rows = append(causes.Rows, []web.SiteCell{{Text: c.Message}, {Text: fmt.Sprintf("%.0f %%", 100*c.Contribution)}})
	}
	if more := last.CausesTotal - len(last.Causes); more > 0 {
		causes.Rows = append(causes.Rows, []web.SiteCell{{Text: fmt.Sprintf("and %d more", more)}, {}})
	}
	x.Lead = fmt.Sprintf("Alert %s of %s, %s, is %s.", last.Alert, versionName(w.version), last.Severity, stateText(last))
	if len(last.Actions) > 0 {
		x.Lead += " Done: " + strings.ReplaceAll(strings.Join(last.Actions, ", "), "_", " ") + "."
	}
	for _, u := range last.Undone {
		x.Lead += fmt.Sprintf(" Not done: %s, for %s.", strings.ReplaceAll(u.Action, "_", " "), u.Why)
	}
	next := web.SiteSection{ID: "next", Title: "What next", Columns: []web.SiteColumn{{Name: "to"}, {Name: "command"}}, Empty: "Nothing: it is over."}
	if last.State != assay.AlertResolved {
		for _, y := range [][2]string{{"take it over", "ack " + key}, {"keep it quiet", "mute " + key + " --for 1d"}, {"end it", "resolve " + key}} {
			next.Rows = append(next.Rows, []web.SiteCell{{Text: y[0]}, {Text: "assay alert " + y[1] + " --by NAME --reason TEXT", Code: true}})
		}
	}
	x.Sections = []web.SiteSection{causes, next, told, states}
	return x, nil
}
