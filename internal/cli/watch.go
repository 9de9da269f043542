package cli

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/blob"
	"github.com/assay-ml/assay/internal/monitor"
	"github.com/assay-ml/assay/internal/serve"
	"github.com/assay-ml/assay/internal/store"
	"github.com/assay-ml/assay/internal/table"
	"github.com/assay-ml/assay/internal/web"
)

// A loggedRun is what came of the windows of a prediction log.
type loggedRun struct {
	plan    assay.Digest
	seen    *monitor.Replay
	windows []replayedWindow
	beyond  []replayedWindow // that were judged and stay so, because the log no longer has all of their rows
	left    map[int64]int64  // of those by number: how many rows it has
	verdict assay.Verdict

	outcomes []outcomeWindow // what the labels say of the windows
	orphans  int64           // labels of no prediction
	labels   *assay.LabelPlan
}

// monitorRun judges the windows of the prediction log.
func (s *session) monitorRun(ctx context.Context, ref, reason string) error {
	v, err := s.version(ctx, ref)
	if err != nil {
		return err
	}
	x, err := s.runLog(ctx, v, logRun{reason: reason})
	if err != nil {
		return err
	}
	s.tellOf(ctx)
	out := map[string]any{"monitor": x.plan, "windows": x.windows, "beyond_retention": x.beyond, "outcomes": x.outcomes, "orphans": x.orphans, "untimed": x.seen.Untimed, "absent": x.seen.Absent, "verdict": x.verdict}
	if err := s.print("assay.monitor.run/1", out, func(w io.Writer) {
		for _, b := range x.beyond {
			fmt.Fprintf(w, "◐ %s: beyond retention, the log has %s of %s rows; it stays as it was judged (%s)\n",
				b.Label, assay.FormatCount(x.left[b.Drift.Window.Number]), assay.FormatCount(b.Drift.Window.Rows), b.Drift.Verdict)
		}
		if len(x.windows) == 0 && len(x.beyond) > 0 {
			fmt.Fprintf(w, "◐ %s: no window has ended that is not beyond retention\n", versionName(v))
			return
		}
		if len(x.windows) == 0 {
			fmt.Fprintf(w, "◐ %s: no window has ended yet\n", versionName(v))
			return
		}
		printReplay(w, v, x.seen, x.windows, x.outcomes, "", x.verdict)
		printOutcomes(w, x.labels, x.outcomes, x.orphans)
	}); err != nil {
		return err
	}
	return answer(x.verdict)
}

// A logRun says which windows of a log are judged.
type logRun struct {
	since  []assay.Drift // that were judged before, the newest first: only those after them
	labels bool          // labels may have come since then: windows of which they say something else than before are judged again
	from   time.Time     // predictions are expected from then on, even if none ever came; not before there was a plan
	reason string        // why labels of sealed rows are read
	here   *role         // what the server knows of the version that asks; nil: none asks
}

// runLog judges the windows of a version's log that have ended, and what labels say of them, and records them.
func (s *session) runLog(ctx context.Context, v store.Version, r logRun) (*loggedRun, error) {
	_, m, err := s.modelOf(ctx, v)
	if err != nil {
		return nil, err
	}
	id, p, err := s.monitorOf(ctx, v, m)
	if err != nil {
		return nil, err
	}
	w, err := s.watch(ctx, p)
	if err != nil {
		return nil, err
	}
	l := &versionLog{s: s, v: v, m: m, plan: p}
	defer l.drop(context.WithoutCancel(ctx))
	plan, err := s.st.Get(ctx, id)
	if err != nil {
		return nil, err
	}
	x := monitor.Traffic{From: later(r.from, plan.Entry.At)}
	if x.Expected, err = s.expected(ctx, v, r.here); err != nil {
		return nil, err
	}
	if p.Windows.By != monitor.ByCount {
		x.By, x.Until = "_at", s.Now().Add(-time.Duration(p.Windows.GraceSeconds)*time.Second)
	}
	var o monitor.Outcomes
	if p.Labels != nil {
		if o.Labels, err = s.knownLabels(ctx, v.Name); err != nil {
			return nil, err
		}
	}
	out := &loggedRun{plan: id, beyond: []replayedWindow{}, labels: p.Labels}
	whole := len(r.since) == 0
	var known *table.Table // all rows: of a look that goes on from the middle only what tells which labels are theirs
	if whole {
		known, err = l.read(ctx, nil, "")
	} else if r.labels && o.Labels != nil {
		known, err = l.read(ctx, l.keyColumns(), "")
	}
	if err != nil {
		return nil, err
	}
	if known != nil && !whole {
		again, err := monitor.Repeats(ctx, known, p.Labels.Join)
		if err != nil {
			return nil, err
		}
		if again { // their inputs say which of them are one request that was made again
			columns := l.keyColumns()
			for _, f := range w.Reference(monitor.ScopeInput).Features {
				columns = append(columns, f.Name)
			}
			if known, err = l.read(ctx, columns, ""); err != nil {
				return nil, err
			}
		}
	}
	if known != nil {
		kept, err := s.beyondRetention(ctx, v, id, p, w, known, x, plan.Entry.At, out)
		if err != nil {
			return nil, err
		}
		if o.Partial = len(out.left) > 0; whole {
			r.since = kept
		}
	}
	if known != nil && o.Labels != nil {
		if o.Beside, err = l.beside(ctx); err != nil {
			return nil, err
		}
	}
	if r.labels && known != nil && o.Labels != nil && len(r.since) > 0 {
		x.Log, x.Table = known, known
		if r.since, err = s.unlabelled(ctx, v, id, w, x, o, r.since); err != nil {
			return nil, err
		}
	}
	part, from := known, ""
	if len(r.since) > 0 {
		end, err := r.since[0].Window.End.Time()
		if err != nil {
			return nil, err
		}
		from = "_at >= '" + end.UTC().Format("2006-01-02 15:04:05.999999") + "'::TIMESTAMP"
	}
	switch {
	case !whole:
		part, err = l.read(ctx, nil, from)
	case from != "":
		part, err = known.Where(ctx, from)
	}
	if err != nil {
		return nil, err
	}
	l.tables = append(l.tables, part)
	drawnFrom(x.Expected, l.all)
	if from != "" && o.Labels != nil {
		if err := l.before(ctx, &o, known, part, from); err != nil {
			return nil, err
		}
	}
	if x.Table, err = loggedAnswers(ctx, part, m); err != nil {
		return nil, err
	}
	x.Log, x.Since = part, r.since
	if p.Windows.By == monitor.ByCount {
		if err := s.anchor(ctx, v, id, p, w, &x, out); err != nil {
			return nil, err
		}
		o.Partial = o.Partial || len(out.left) > 0
	}
	if p.Skew != nil {
		if x.Train, err = s.part(ctx, m.Split, assay.Train); err != nil {
			return nil, err
		}
	}
	engine, err := s.engines(ctx, v.Model)
	if err != nil {
		return nil, err
	}
	if out.seen, err = w.Run(ctx, x); err != nil {
		return nil, err
	}
	if l.nothing != nil && len(out.seen.Windows) == 0 && len(out.beyond) == 0 {
		return nil, l.nothing
	}
	if out.windows, out.verdict, err = s.recordWindows(ctx, v, id, out.seen, engine, true); err != nil {
		return nil, err
	}
	if len(out.windows) == 0 {
		out.verdict = assay.Undetermined
	}
	out.outcomes = []outcomeWindow{}
	if p.Labels != nil && len(out.windows) > 0 {
		if o.Labels != nil {
			if err := s.enterSealedRows(ctx, v, id, p, part, r.reason, true); err != nil {
				return nil, err
			}
		}
		if out.outcomes, out.orphans, err = s.outcomes(ctx, v, m, id, w, x, out.seen, o, true); err != nil {
			return nil, err
		}
		out.verdict = withOutcomes(out.verdict, out.outcomes)
	}
	return out, nil
}

// A versionLog reads the log of one version.
type versionLog struct {
	s       *session
	v       store.Version
	m       assay.Model
	plan    assay.Monitor
	nothing error        // NotFound: nothing was ever logged
	all     *table.Table // what was read last, with the rows of other versions
	tables  []*table.Table
}

// read reads the rows of the version, and those that say what is missing, as loggedWhere does.
func (l *versionLog) read(ctx context.Context, columns []string, where string) (*table.Table, error) {
	log, err := l.s.loggedWhere(ctx, l.v.Name, columns, where)
	if l.nothing = err; assay.CodeOf(err) == assay.NotFound && l.plan.Windows.By == monitor.ByTime {
		log, err = l.s.emptyLog(ctx, l.m)
	}
	if err != nil {
		return nil, err
	}
	l.all, l.tables = log, append(l.tables, log)
	mine, err := log.Where(ctx, fmt.Sprintf("(_version = %d OR _outcome = 'lost')", l.v.Number))
	if err == nil {
		l.tables = append(l.tables, mine)
	}
	return mine, err
}

// beside are the rows of other versions of what was read last.
func (l *versionLog) beside(ctx context.Context) (*table.Table, error) {
	others, err := l.all.Where(ctx, fmt.Sprintf("_version <> %d", l.v.Number))
	if err == nil {
		l.tables = append(l.tables, others)
	}
	return others, err
}

// before tells of the predictions that lie before the part of the log that is judged, and of those of other versions: labels that came meanwhile may be of the
// former, and labels of the part have to be of no other prediction. Where no label came and none is of the part nothing is read.
func (l *versionLog) before(ctx context.Context, o *monitor.Outcomes, known, part *table.Table, from string) (err error) {
	if known == nil {
		came, err := o.Labels.Where(ctx, strings.Replace(from, "_at", "_came", 1))
		if err != nil {
			return err
		}
		if came.Rows() == 0 {
			_, labelled, _, err := monitor.Labelled(ctx, part, o.Labels, l.plan.Labels.Join)
			if err != nil || labelled == 0 {
				return err
			}
		}
		if known, err = l.read(ctx, l.keyColumns(), ""); err != nil {
			return err
		}
		if o.Beside, err = l.beside(ctx); err != nil {
			return err
		}
	}
	if o.Others, err = known.Where(ctx, "NOT ("+from+")"); err == nil {
		l.tables = append(l.tables, o.Others)
	}
	return err
}

// keyColumns are the columns of a log that say when a prediction was made, what became of it, and which labels are its own.
func (l *versionLog) keyColumns() []string {
	out := []string{"_at", "_request", "_index", "_key", "_version", "_outcome", "_sampled", "_lost"}
	if l.plan.Labels != nil {
		out = append(out, l.plan.Labels.Join...)
	}
	return out
}

func (l *versionLog) drop(ctx context.Context) {
	for _, t := range slices.Backward(l.tables) {
		_ = t.Drop(ctx) // what was dropped before, with what it is a part of, is gone
	}
}

// beyondRetention notes the windows on record of which the log no longer has all rows, and returns those that cannot be judged again, the newest first, for
// the run to go on from.
func (s *session) beyondRetention(ctx context.Context, v store.Version, plan assay.Digest, p assay.Monitor, w *monitor.Watch, log *table.Table, x monitor.Traffic, planned time.Time, out *loggedRun) ([]assay.Drift, error) {
	judged, ids, err := s.judgedOfLog(ctx, v, plan)
	if err != nil {
		return nil, err
	}
	var windows []assay.Window
	for _, d := range judged {
		windows = append(windows, d.Window)
	}
	left, err := w.Remaining(ctx, log, x.By, windows, planned)
	if err != nil || len(left.Gone) == 0 {
		return nil, err
	}
	out.left = left.Gone
	var since []assay.Drift
	for _, d := range judged {
		if _, gone := left.Gone[d.Window.Number]; gone {
			out.beyond = append(out.beyond, replayedWindow{Label: monitor.WindowLabel(p.Windows, d.Window), Evidence: ids[d.Window.Number], Drift: d})
		}
		if d.Window.Number <= left.Last {
			since = append(since, d)
		}
	}
	slices.Reverse(out.beyond)
	return since, nil
}

// judgedOfLog are the windows of a version's log on record, as they were judged last, the newest first, and the evidence of each by its number.
func (s *session) judgedOfLog(ctx context.Context, v store.Version, plan assay.Digest) ([]assay.Drift, map[int64]assay.Digest, error) {
	rs, err := s.st.Find(ctx, store.Query{Kind: assay.KindDrift, Subject: v.Model, Parent: plan})
	if err != nil {
		return nil, nil, err
	}
	rs = slices.DeleteFunc(rs, func(r assay.Record) bool { return strings.HasPrefix(r.Entry.Producer, "assay monitor replay ") }) // of a table, which has its own rows
	judged, err := monitor.NewestWindows(rs)
	if err != nil {
		return nil, nil, err
	}
	ids := map[int64]assay.Digest{}
	for _, r := range slices.Backward(rs) { // the newest counts
		d, err := assay.Decode[assay.Drift](r.Evidence)
		if err != nil {
			return nil, nil, err
		}
		ids[d.Window.Number] = r.ID
	}
	return judged, ids, nil
}

// anchor finds where windows by count begin in a log that may no longer have the first rows that were judged, and notes the windows that it has not all rows of.
func (s *session) anchor(ctx context.Context, v store.Version, plan assay.Digest, p assay.Monitor, w *monitor.Watch, x *monitor.Traffic, out *loggedRun) error {
	judged, ids, err := s.judgedOfLog(ctx, v, plan)
	if err != nil {
		return err
	}
	if x.Begin, err = w.Anchored(ctx, *x, judged); err != nil || x.Begin == nil {
		return err
	}
	out.left = map[int64]int64{}
	for _, d := range judged {
		if d.Window.Number < x.Begin.Number {
			x.Since = append(x.Since, d)
			out.beyond = append(out.beyond, replayedWindow{Label: monitor.WindowLabel(p.Windows, d.Window), Evidence: ids[d.Window.Number], Drift: d})
			out.left[d.Window.Number] = 0
		}
	}
	if n := x.Begin.Number - 1; n > 0 {
		out.left[n] = min(x.Begin.Place, p.Windows.Rows)
	}
	slices.Reverse(out.beyond)
	return nil
}

// emptyLog is the log of a model before its first prediction.
func (s *session) emptyLog(ctx context.Context, m assay.Model) (*table.Table, error) {
	e, err := s.tables(ctx)
	if err != nil {
		return nil, err
	}
	inputs, _, err := s.servedFields(ctx, m)
	if err != nil {
		return nil, err
	}
	fields := append(serve.LogFields(), assay.Field{Name: monitor.PredictionColumn, Type: assay.TypeNumber})
	if len(m.Classes) > 0 {
		fields[len(fields)-1].Type = assay.TypeString
	}
	for _, c := range m.Classes {
		fields = append(fields, assay.Field{Name: "probability_" + c, Type: assay.TypeNumber})
	}
	return e.ReadSegments(ctx, nil, nil, append(fields, inputs...))
}

// unlabelled are the windows, the newest first, before the first of which labels say something else than is on record.
func (s *session) unlabelled(ctx context.Context, v store.Version, plan assay.Digest, w *monitor.Watch, x monitor.Traffic, o monitor.Outcomes, since []assay.Drift) ([]assay.Drift, error) {
	known, err := s.outcomesOf(ctx, v, plan)
	if err != nil {
		return nil, err
	}
	var windows []assay.Window
	for _, d := range since {
		if known[d.Window.Number] == nil {
			windows = append(windows, d.Window)
		}
	}
	for _, n := range sortedNumbers(known) {
		if win := known[n].newest.Value.Window; win.Start != "" && n <= since[0].Window.Number {
			windows = append(windows, win)
		}
	}
	at, ok, err := w.Restated(ctx, x, o, windows, func(win assay.Window) *assay.Outcome {
		if k := known[win.Number]; k != nil {
			return &k.newest.Value
		}
		return nil
	})
	if err != nil || !ok {
		return since, err
	}
	over := func(d assay.Drift) bool {
		end, err := d.Window.End.Time()
		return err == nil && end.After(at)
	}
	if over(since[len(since)-1]) { // it is longer ago than what was read to go on from
		rs, err := s.st.Find(ctx, store.Query{Kind: assay.KindDrift, Subject: v.Model, Parent: plan})
		if err != nil {
			return nil, err
		}
		if since, err = monitor.NewestWindows(rs); err != nil {
			return nil, err
		}
	}
	return slices.DeleteFunc(slices.Clone(since), over), nil
}

// engines returns what answered for a model in a window, as drift evidence names it: the engine of the newest check that passed before the window
// ended, or of the first one.
func (s *session) engines(ctx context.Context, model assay.Digest) (func(assay.Window) string, error) {
	all, err := s.st.Find(ctx, store.Query{Kind: assay.KindServing, Subject: model}) // the newest first
	if err != nil {
		return nil, err
	}
	type checked struct {
		at     time.Time
		engine string
	}
	var checks []checked
	for i := range all {
		p, err := assay.Decode[assay.Serving](all[i].Evidence)
		if err != nil {
			return nil, err
		}
		if p.Engine == ownEngine {
			p.Engine = ""
		}
		if p.Verdict == assay.Pass {
			checks = append(checks, checked{all[i].Entry.At, p.Engine})
		}
	}
	return func(w assay.Window) string {
		name := ""
		end, err := w.End.Time()
		for _, c := range checks {
			if name = c.engine; err != nil || end.IsZero() || c.at.Before(end) {
				break
			}
		}
		return name
	}, nil
}

// loggedAnswers are the rows of a log that were looked at by the model, refused ones included, with the model's answers under the names of a reference.
func loggedAnswers(ctx context.Context, log *table.Table, m assay.Model) (*table.Table, error) {
	var proba []string
	for _, f := range log.Fields() {
		if strings.HasPrefix(f.Name, "probability_") {
			proba = append(proba, table.Ident(f.Name))
		}
	}
	fields := log.Fields()
	probability := "NULL::DOUBLE"
	switch one := "probability_" + m.Positive; {
	case m.Positive != "" && len(m.Classes) == 2 && slices.Contains(proba, table.Ident(one)):
		probability = table.Ident(one)
	case len(proba) > 0:
		probability = "greatest(" + strings.Join(proba, ", ") + ")"
	}
	return log.Select(ctx, "SELECT *, "+probability+" AS "+monitor.ProbabilityColumn+" FROM "+log.Relation()+" WHERE "+monitor.JudgedRows,
		append(fields, assay.Field{Name: monitor.ProbabilityColumn, Type: assay.TypeNumber}))
}

// monitorReport writes the page of the windows that were judged by the version's plan.
func (s *session) monitorReport(ctx context.Context, v store.Version, out string) (string, int, error) {
	page, id, n, err := s.monitorHTML(ctx, v, "")
	if err != nil {
		return "", 0, err
	}
	path := out
	if out == "" {
		dir, err := s.reports()
		if err != nil {
			return "", 0, err
		}
		path = filepath.Join(dir, "monitor-"+id.Short()+".html")
	}
	if err := os.WriteFile(path, page, 0o644); err != nil {
		return "", 0, unwritable(filepath.Base(path), err)
	}
	return s.shown(path), n, nil
}

// monitorHTML makes that page, for the plan of that id, with so many windows on it; here is its place among the pages of a server.
func (s *session) monitorHTML(ctx context.Context, v store.Version, here string) (page []byte, id assay.Digest, n int, err error) {
	m, id, p, windows, err := s.monitorWindows(ctx, v)
	if err != nil {
		return nil, "", 0, err
	}
	w, err := s.watch(ctx, p)
	if err != nil {
		return nil, "", 0, err
	}
	page, err = s.monitorPage(v, m, id, w, windows, here)
	return page, id, len(windows), err
}

// monitorWindows are the windows that were judged by the newest plan of a version, in their order, with what the labels say of each now.
func (s *session) monitorWindows(ctx context.Context, v store.Version) (m assay.Model, id assay.Digest, p assay.Monitor, windows []web.MonitorWindow, err error) {
	if _, m, err = s.modelOf(ctx, v); err != nil {
		return m, "", p, nil, err
	}
	if id, p, err = s.monitorOf(ctx, v, m); err != nil {
		return m, "", p, nil, err
	}
	all, err := s.st.Find(ctx, store.Query{Kind: assay.KindDrift, Subject: v.Model, Parent: id})
	if err != nil {
		return m, "", p, nil, err
	}
	seen := map[string]bool{}
	for i := range all { // the newest first
		d, err := assay.Decode[assay.Drift](all[i].Evidence)
		if err != nil {
			return m, "", p, nil, err
		}
		key := cmp.Or(string(d.Window.Start), fmt.Sprint(d.Window.Number))
		if d.Monitor != id || seen[key] {
			continue
		}
		seen[key] = true
		counts := sync.OnceValues(func() (*monitor.WindowDocument, error) {
			b, err := blob.ReadAll(ctx, s.st.Blobs(), d.Report, maxReferenceBytes)
			if err != nil {
				return nil, err
			}
			return monitor.ReadWindow(b)
		})
		windows = append(windows, web.MonitorWindow{Label: monitor.WindowLabel(p.Windows, d.Window), Drift: d, Counts: counts})
	}
	outcomes, err := s.outcomesOf(ctx, v, id)
	if err != nil {
		return m, "", p, nil, err
	}
	for i := range windows {
		if k := outcomes[windows[i].Drift.Window.Number]; k != nil && k.newest.Value.Window.Content == windows[i].Drift.Window.Content {
			windows[i].Outcome, windows[i].Restated = &k.newest.Value, k.history
			windows[i].Overdue = monitor.LabelsOverdue(p, k.newest.Value, s.Now())
		}
	}
	if len(windows) == 0 {
		return m, "", p, nil, assay.Errorf(assay.NotFound, "no window was judged by the plan of %s yet", versionName(v)).Try("assay monitor run, or assay monitor replay DATA")
	}
	slices.SortStableFunc(windows, func(a, b web.MonitorWindow) int { return int(a.Drift.Window.Number - b.Drift.Window.Number) })
	return m, id, p, windows, nil
}

// monitorPage renders windows of a plan.
func (s *session) monitorPage(v store.Version, m assay.Model, id assay.Digest, w *monitor.Watch, windows []web.MonitorWindow, here string) ([]byte, error) {
	references := map[string]*monitor.Document{monitor.ScopeInput: w.Reference(monitor.ScopeInput), monitor.ScopePrediction: w.Reference(monitor.ScopePrediction)}
	var b bytes.Buffer
	err := web.MonitorReport(&b, versionName(v), w.Plan(), windows, references, web.Footer{Version: Version, Evidence: id, Data: m.Data, At: s.Now().UTC().Format(time.RFC3339), Here: here})
	return b.Bytes(), err
}
