package cli

import (
	"bytes"
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
		x.Lead = fmt.Sprintf("Requests: %s, of which %s were not answered by the model (%.3g %%). Log rows that were lost: %s.", assay.FormatCount(requests), assay.FormatCount(wrong), 100*float64(wrong)/float64(requests), assay.FormatCount(lost))
		t.Drawing, t.DrawingTitle = web.Bars("requests by version", bars), "Requests by version"
	}
	logged := "off: nothing can be monitored"
	if p.log != nil {
		rows, failures, problem := p.log.Written()
		logged = "rows written: " + assay.FormatCount(rows)
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

// monitorFile is a table of the report of a version as CSV.
func (p *pages) monitorFile(ctx context.Context, r *http.Request) ([]byte, error) {
	v, err := p.s.version(ctx, r.PathValue("name")+":"+r.PathValue("number"))
	if err != nil {
		return nil, err
	}
	_, _, _, windows, err := p.s.monitorWindows(ctx, v)
	if err != nil {
		return nil, err
	}
	table, ok := strings.CutSuffix(r.PathValue("file"), ".csv")
	if !ok {
		return nil, assay.Errorf(assay.NotFound, "there is no page %s", r.URL.Path).Try("leave the last part of the address out")
	}
	var b bytes.Buffer
	err = web.MonitorCSV(&b, table, windows)
	return b.Bytes(), err
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
			row := []web.SiteCell{{Text: in.Key, Path: "/alerts/" + in.Key}, {Text: versionName(w.version)}, {Text: in.Severity}, stateCell(in), {Text: strconv.Itoa(in.Step)}, {Text: w.window(in, in.Last)}, p.when(w.began(in.Key)), {Text: firstCause(in)}}
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
