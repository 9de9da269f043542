package cli

import (
	"context"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/monitor"
	"github.com/assay-ml/assay/internal/registry"
	"github.com/assay-ml/assay/internal/store"
	"github.com/assay-ml/assay/internal/table"
	"github.com/assay-ml/assay/learn"
)

func (a *app) monitorCommand() *cobra.Command {
	c := &cobra.Command{Use: "monitor", Short: "Watch a version: plan, run, replay past traffic, report, test-fire its alerts, export"}
	plan := &cobra.Command{
		Use: "plan [VERSION]", Short: "Freeze the references of a version and derive the thresholds from the false alarms a year that are tolerated",
		Long: `Write the plan of a version: what its traffic is held against, and how. Features are held against the training part, predictions and
labels against the validation part; both are frozen as counts on fixed cells. The level of every test follows from
monitor.drift.false_alarms_per_year, the fewest rows from the effect floor. The same data, settings and model give the same plan.

An incident belongs to the plan that opened it. Those of the plan before that are still open, acknowledged and muted ones too, end with
it: they are listed, and everybody who was told of them hears that they are resolved when alerts are looked at next.`,
		Args: cobra.MaximumNArgs(1),
		RunE: a.with("monitor plan", func(ctx context.Context, s *session, args []string) error {
			v, err := s.version(ctx, first(args))
			if err != nil {
				return err
			}
			r, p, left, err := s.monitorPlan(ctx, v)
			if err != nil {
				return err
			}
			ends, err := s.endedBy(ctx, v, r.ID)
			if err != nil {
				return err
			}
			return s.print("assay.monitor.plan/1", map[string]any{"evidence": r.ID, "plan": p, "excluded": left.excluded, "nested": left.nested, "empty": left.empty, "redacted": left.redacted, "ends": ends}, func(w io.Writer) { printPlan(w, v, r, p, left, ends) })
		}),
	}
	var q replayRequest
	replay := &cobra.Command{
		Use: "replay DATA", Short: "Hold a table against the plan of a version, window by window",
		Long: `Cut a table into windows by its time, predict it with the version's model, and hold every window against the plan. Each window becomes
evidence. --by names the column that says when a row came: a date or a timestamp is cut by the plan's windows, a column of years too, and
of any other column each value is a window. Nothing is recorded of such values, and of other windows, which --window tries. DATA may be several files of one kind as
a pattern in quotes, such as 'live_*.parquet': together they are the table.

With monitor.labels the labels that have come are joined to the predictions: how many, how late, and what they say of the model. --labels
names a file of them, and --delay or --came says when they came. What they say is evidence of its own, which later labels restate.

A model that Assay does not run, known by a file of predictions, is not asked: the table has its predictions in columns as assay eval reads
them (probability_CLASS, probability, prediction), or --predictions names a file of them, joined by data.key.

With --inputs-only no model is asked and only the columns are held against the plan, which is quick: nothing is recorded, and no digest of the
rows is made. --out writes the windows as a page, whether they are recorded or not.

The exit status is 3 when something moved in as many windows in a row as the plan asks for, when a figure is certainly worse than on held-out
rows, when a window could not be judged, or when all labels of a window should have come and too few did. What moved in fewer windows is shown
and is no alarm yet: the exit status is 0. Where a tenth of the predictions, or of the sealed rows, are sealed test rows, their labels are a
read that the ledger enters; it needs --reason where they were read before.`,
		Args: cobra.ExactArgs(1),
		RunE: a.with("monitor replay", func(ctx context.Context, s *session, args []string) error {
			q.data = args[0]
			if q.came != "" && q.delay != "" {
				return assay.Errorf(assay.Invalid, "--came and --delay cannot both say when labels came").Try("assay monitor replay %s, without one of the two", q.data)
			}
			if q.asOf != "" && q.labels != "" && q.came == "" && q.delay == "" {
				return assay.Errorf(assay.Invalid, "--as-of asks what was known then, and nothing says when the labels of %s came", filepath.Base(q.labels)).Try("--came COLUMN of that file, or --delay TIME after each prediction")
			}
			if q.inputsOnly && q.predictions != "" {
				return assay.Errorf(assay.Invalid, "--inputs-only looks at no predictions").Try("assay monitor replay %s, without one of the two", q.data)
			}
			if q.inputsOnly && (q.labels != "" || q.label != "" || q.came != "" || q.delay != "" || q.asOf != "") {
				return assay.Errorf(assay.Invalid, "--inputs-only joins no labels").Try("assay monitor replay %s, without one of the two", q.data)
			}
			var err error
			if q.out, err = s.output("--out", q.out, q.data, q.predictions, q.labels); err != nil {
				return err
			}
			return s.replay(ctx, q)
		}),
	}
	f := replay.Flags()
	f.StringVar(&q.model, "model", "", "`version` to use (NAME:NUMBER); the newest without it")
	f.StringVar(&q.by, "by", "", "`column` that says when a row came; monitor.time or data.time without it")
	f.StringVar(&q.predictions, "predictions", "", "`file` of the predictions for these rows, of a model that Assay does not run; columns of the table without it")
	f.StringVar(&q.labels, "labels", "", "`file` of labels; those that have come for the model without it")
	f.StringVar(&q.label, "label", "", "`column` of the labels; the target's name without it")
	f.StringVar(&q.came, "came", "", "`column` that says when a label came")
	f.StringVar(&q.delay, "delay", "", "every label came this `time` after its prediction, such as 30d or 1y")
	f.StringVar(&q.reason, "reason", "", "why sealed test rows among these are read; required where they were read before")
	f.StringVar(&q.asOf, "as-of", "", "labels that came after this `time` are not known yet")
	f.BoolVar(&q.inputsOnly, "inputs-only", false, "hold the columns alone against the plan, without the model and labels; nothing is recorded")
	f.StringVarP(&q.out, "out", "o", "", "write the windows as a page to this `file`")
	f.StringVar(&q.window, "window", "", "try windows of this `length` instead of those of the plan; nothing is recorded")
	var model, why string
	run := &cobra.Command{
		Use: "run", Short: "Hold the prediction log against the plan, every window that has ended",
		Long: `Hold the log of a version's predictions against its plan, window by window, up to the last one that has ended. Each window becomes evidence; a
window that was judged before and has not changed is the same evidence. Run it as often as windows end. A window in which nothing was logged
is an alarm; where nothing was ever logged, every whole window by time since the plan was made is one (the newest 64).

The exit status is 3 when something moved in as many windows in a row as the plan asks for, when a figure is certainly worse than on held-out
rows, when a window could not be judged, or when all labels of a window should have come and too few did. What moved in fewer windows is shown
and is no alarm yet: the exit status is 0.`,
		Args: cobra.NoArgs,
		RunE: a.with("monitor run", func(ctx context.Context, s *session, _ []string) error { return s.monitorRun(ctx, model, why) }),
	}
	run.Flags().StringVar(&model, "model", "", "`version` to use (NAME:NUMBER); the newest without it")
	run.Flags().StringVar(&why, "reason", "", "why labels of sealed test rows are read; required where they were read before")
	var out string
	report := &cobra.Command{
		Use: "report [VERSION]", Short: "Write the windows that were judged as a page: what moved, when and by how much",
		Args: cobra.MaximumNArgs(1),
		RunE: a.with("monitor report", func(ctx context.Context, s *session, args []string) error {
			path, err := s.output("--out", out)
			if err != nil {
				return err
			}
			v, err := s.version(ctx, first(args))
			if err != nil {
				return err
			}
			file, n, err := s.monitorReport(ctx, v, path)
			if err != nil {
				return err
			}
			return s.print("assay.monitor.report/1", map[string]any{"file": file, "windows": n}, func(w io.Writer) {
				fmt.Fprintf(w, "%s: %d windows in %s\n", versionName(v), n, file)
			})
		}),
	}
	report.Flags().StringVarP(&out, "out", "o", "", "write the page to this `file`; to the store's reports without it")
	c.AddCommand(plan, run, replay, report, a.monitorTestFireCommand(), a.monitorExportCommand(), a.lookCommand())
	return c
}

// unwatched are the columns that a plan does not watch, those of nested values, inside which it does not look, and those without a value in training.
type unwatched struct{ excluded, nested, empty, redacted, cautions []string }

// monitorPlan writes the plan of a version.
func (s *session) monitorPlan(ctx context.Context, v store.Version) (assay.Record, assay.Monitor, unwatched, error) {
	var none assay.Monitor
	left := unwatched{excluded: []string{}, nested: []string{}, empty: []string{}, redacted: []string{}}
	if err := s.p.Data.Target.refuseOutside("no monitor is for", "assay done, for what is proven of the version without one"); err != nil {
		return assay.Record{}, none, left, err
	}
	rec, m, err := s.modelOf(ctx, v)
	if err != nil {
		return rec, none, left, err
	}
	o, err := s.p.Monitor.settings()
	if err != nil {
		return rec, none, left, err
	}
	if err := s.p.Data.Target.refuseOutside("no monitor is for", "assay eval on newer data, as a project of its own"); err != nil {
		return rec, none, left, err
	}
	o.Redacted = s.p.Serve.Log.Redact
	if k := s.p.Monitor.Skew; k != nil {
		if o.SkewKey, o.ToleratedSkew = k.Join, k.Tolerated; len(o.SkewKey) == 0 {
			o.SkewKey = s.p.Data.Key
		}
	}
	if s.p.Monitor.Labels != nil {
		for _, c := range s.labelTable("", "").Join {
			if slices.Contains(o.Redacted, c) {
				return rec, none, left, assay.Errorf(assay.Refused, "labels find their predictions by %q, which serve.log.redact keeps out of the log: none would be found", c).
					Try("monitor.labels.join: [request_id, row] in assay.yaml, or take %s out of serve.log.redact", c)
			}
		}
	}
	x := monitor.Subject{Categorical: s.p.Data.Category, Target: m.Target, Time: s.p.Data.Time}
	var done func()
	if x.Model, done, err = s.watchedModel(ctx, v, m); err != nil {
		return rec, none, left, err
	}
	defer done()
	if x.Columns = s.p.Monitor.Columns; len(x.Columns) == 0 {
		x.Columns = x.Model.Inputs
	}
	hidden := func(c string) bool { return slices.Contains(o.Redacted, c) } // the log lacks it, and what a window lacks counts as missing
	left.redacted = append(left.redacted, slices.DeleteFunc(slices.Clone(x.Columns), func(c string) bool { return !hidden(c) })...)
	x.Columns = slices.DeleteFunc(slices.Clone(x.Columns), hidden)
	if x.Rows, err = s.splitRows(ctx, m.Split); err != nil {
		return rec, none, left, err
	}
	if x.Train, err = s.part(ctx, m.Split, assay.Train); err != nil {
		return rec, none, left, err
	}
	if x.Held, err = s.part(ctx, m.Split, assay.Valid); err != nil {
		return rec, none, left, err
	}
	if x.Columns, left.excluded, err = s.watchable(ctx, m, x.Train, x.Columns); err != nil {
		return rec, none, left, err
	}
	if onlyPredictions(m) {
		if x.Answers, err = s.heldAnswers(ctx, v, m, x.Held); err != nil {
			return rec, none, left, err
		}
	}
	made, err := monitor.NewPlan(ctx, x, o)
	if err != nil {
		return rec, none, left, err
	}
	p := made.Monitor
	p.Data, p.Split, p.Settings = m.Data, m.Split, section(s.p.Monitor)
	parents := []assay.Digest{v.Evidence, m.Split}
	serving, _, err := s.servingOf(ctx, v.Model)
	if err != nil {
		return rec, none, left, err
	}
	if serving != nil {
		p.Serving = serving.ID
		parents = append(parents, serving.ID)
	}
	split, err := at[assay.Split](ctx, s, m.Split)
	if err != nil {
		return rec, none, left, err
	}
	for i := range p.References {
		for _, part := range split.Value.Parts {
			if part.Name == p.References[i].Part {
				p.References[i].IDs = part.IDs
			}
		}
	}
	evaluation, err := s.watchedMetrics(ctx, v, m, &p)
	if err != nil {
		return rec, none, left, err
	}
	if evaluation != nil {
		parents = append(parents, evaluation.ID)
	}
	if err := s.p.Monitor.people(s.p, &p); err != nil {
		return rec, none, left, err
	}
	if p.Labels != nil {
		o := monitor.Outcomes{Classes: m.Classes, Columns: slicingColumns(x.Held, s.plannedOptions(p).Slices), References: map[string]map[string]assay.Estimate{}, Score: s.labelScorerOf(p, m, 1)}
		if evaluation != nil {
			addSliceReferences(o.References, evaluation.Value)
		}
		if err := monitor.Between(ctx, x, &p, o); err != nil {
			return rec, none, left, err
		}
	}
	if p.Channels, err = s.planChannels(ctx); err != nil {
		return rec, none, left, err
	}
	for _, b := range made.Documents {
		if _, err := s.keepBytes(ctx, b); err != nil {
			return rec, none, left, err
		}
	}
	slices.Sort(parents)
	r, err := s.write(ctx, assay.KindMonitor, v.Model, slices.Compact(parents), p)
	return r, p, unwatched{append(left.excluded, made.Excluded...), append(left.nested, made.Nested...), append(left.empty, made.Empty...), left.redacted, made.Cautions}, err
}

// watchable leaves out of columns those of which the log has no value that could be held against a table's: bytes, and nested values that the table has
// as text.
func (s *session) watchable(ctx context.Context, m assay.Model, t *table.Table, columns []string) (in, out []string, err error) {
	out = []string{}
	dir, err := s.directory(ctx, m.File)
	if err != nil || dir == nil || dir.Signature == nil {
		return columns, out, err
	}
	for _, name := range columns {
		at := slices.IndexFunc(dir.Signature.Fields(), func(f assay.Field) bool { return f.Name == name })
		if f, ok := t.Field(name); ok && at >= 0 {
			if takes := dir.Signature.Fields()[at].Type; takes == assay.TypeBinary || takes == assay.TypeJSON && f.Type != takes {
				out = append(out, name)
				continue
			}
		}
		in = append(in, name)
	}
	return in, out, nil
}

// watchedModel opens the model of a version for rows of a table; done closes it. One that is known by its predictions only cannot be asked.
func (s *session) watchedModel(ctx context.Context, v store.Version, m assay.Model) (out monitor.Model, done func(), err error) {
	fields, _, err := s.servedFields(ctx, m)
	if err != nil {
		return out, nil, err
	}
	d, err := s.watchedDecision(ctx, v.Model, m)
	if err != nil {
		return out, nil, err
	}
	out = monitor.Model{Inputs: fieldNames(fields), Fields: fields, Task: m.Task, Positive: m.Positive, Threads: s.workers()}
	if onlyPredictions(m) {
		return out, func() {}, nil
	}
	if isPython(m) {
		p, err := s.pythonModel(ctx, m)
		if err != nil {
			return out, nil, err
		}
		out.Predictor, done = decider{p, d}, func() { _ = p.Close() } // it has answered all that it was asked
		return out, done, nil
	}
	p, err := s.predictor(ctx, m)
	if err != nil {
		return out, nil, err
	}
	for _, f := range p.Fields() {
		if f.Type == assay.TypeInteger && p.Format() == learn.FormatONNX && len(p.Fields()) == len(fields) {
			out.Whole = append(out.Whole, f.Name)
		}
	}
	out.Predictor, done = decider{p, d}, func() { _ = p.Close() }
	return out, done, nil
}

// watchedMetrics takes the figures to watch from the newest evaluation on held-out rows that are not sealed.
func (s *session) watchedMetrics(ctx context.Context, v store.Version, m assay.Model, p *assay.Monitor) (*registry.Fact[assay.Evaluation], error) {
	p.Performance, p.Slices = []assay.MetricPlan{}, []string{}
	d, err := s.watchedDecision(ctx, v.Model, m)
	if err != nil {
		return nil, err
	}
	decides := func(x assay.Evaluation) bool { return m.Task != assay.Binary || float64(x.Threshold) == d.counts() }
	e, err := pick(ctx, s, assay.KindEvaluation, v.Model, func(x assay.Evaluation) bool { return x.Split == m.Split && x.Part == assay.Valid }, decides)
	if err != nil || e == nil {
		return nil, err
	}
	if !decides(e.Value) && !onlyPredictions(m) {
		return nil, assay.Errorf(assay.Refused, "%s answers by a threshold of %v, and the figures on validation rows are those of %v", versionName(v), d.counts(), float64(e.Value.Threshold)).
			Try("evaluate.threshold: %v and assay eval; or assay serve check, for the other one", d.counts())
	}
	names := s.p.Monitor.Metrics
	if len(names) == 0 {
		names = []string{e.Value.Primary}
	}
	labels := s.p.Monitor.Labels != nil
	watch := func(x assay.Metric, margin float64) assay.MetricPlan {
		p := assay.MetricPlan{Name: x.Name, Definition: x.Definition, Higher: x.Higher, Reference: x.Estimate, Margin: margin}
		if labels {
			p.Proxy = monitor.ProxyOf(m.Task, x.Name)
		}
		return p
	}
	for _, x := range e.Value.Metrics {
		if slices.Contains(names, x.Name) {
			p.Performance = append(p.Performance, watch(x, s.p.Monitor.Margin))
		}
	}
	if b := s.p.Monitor.Business; b != nil && e.Value.Business != nil {
		x := watch(*e.Value.Business, b.Margin)
		if labels && m.Task == assay.Binary {
			x.Proxy = monitor.ProxyCBPE
		}
		p.Business = &x
	}
	for _, x := range e.Value.Slices {
		p.Slices = append(p.Slices, x.Name)
	}
	if p.Slicing = s.evalOptions().Slices; len(p.Slices) == 0 {
		p.Slicing = nil
	}
	if cut := float64(e.Value.Threshold); cut > 0 {
		p.Threshold = e.Value.Threshold
	}
	return e, nil
}

// people fills in labels and alerts.
func (c *MonitorConfig) people(p *Project, m *assay.Monitor) error {
	if l := c.Labels; l != nil {
		m.Labels = &assay.LabelPlan{Join: l.Join, MinCoverage: l.MinCoverage, Conflicts: l.Conflicts, MaxConflicts: l.MaxConflict, Repeats: l.Repeats}
		if len(l.Join) == 0 {
			m.Labels.Join = p.Data.Key
		}
		if l.MinCoverage == 0 {
			m.Labels.MinCoverage = 0.5
		}
		if len(m.Labels.Join) == 0 {
			m.Labels.Join = monitor.JoinRequest
		}
		if l.Conflicts == "" {
			m.Labels.Conflicts = monitor.ConflictRefuse
		}
		if l.Repeats == monitor.RepeatsRefuse { // as without the setting
			m.Labels.Repeats = ""
		}
		if l.MaxConflict == 0 {
			m.Labels.MaxConflicts = 0.01
		}
		if l.Within != "" {
			n, err := monitor.ParseSpan(l.Within)
			if err != nil {
				return err
			}
			m.Labels.WithinSeconds = n
		}
	}
	m.Alerts = alertPlans(c.Alerts)
	return nil
}

func printPlan(w io.Writer, v store.Version, r assay.Record, p assay.Monitor, left unwatched, ends []string) {
	b := p.Budget
	fmt.Fprintf(w, "%s: windows of %s, %s a year; %s false alarms a year allowed\n", versionName(v), monitor.FormatWindow(p.Windows), plainNumber(b.WindowsPerYear), plainNumber(b.FalseAlarmsPerYear))
	fmt.Fprintf(w, "  a window is an error with probability at most %.2g (%s over %d signals, null by %s of %d windows)\n", b.Level, strings.ReplaceAll(b.Correction, "_", " "), len(p.Signals), strings.ReplaceAll(b.Null, "_", " "), b.Replicates)
	floor, persist := 0.0, 1
	for _, x := range p.Signals {
		if x.Scope == monitor.ScopeInput || x.Scope == monitor.ScopePrediction {
			floor, persist = float64(x.Floor), x.Persist
		}
	}
	fmt.Fprintf(w, "  an alarm needs an effect of at least %v (Cohen's w), %s rows, and %d windows in a row\n", floor, assay.FormatCount(p.Windows.MinRows), persist)
	for _, c := range left.cautions {
		fmt.Fprintf(w, "  ◐ %s\n", c)
	}
	for _, x := range p.References {
		fmt.Fprintf(w, "  reference of the %s: %s rows of the %s part\n", x.Name, assay.FormatCount(x.Rows), x.Part)
	}
	for _, x := range p.Performance {
		fmt.Fprintf(w, "  performance: %s, %s on held-out rows\n", x.Name, x.Reference)
	}
	if p.Business != nil {
		fmt.Fprintf(w, "  business: %s, %s on held-out rows\n", p.Business.Name, p.Business.Reference)
	}
	if len(p.Performance) > 0 && p.Labels != nil && !slices.ContainsFunc(p.Performance, func(m assay.MetricPlan) bool { return m.Between != nil }) {
		fmt.Fprintln(w, "  ◐ how windows differ of themselves is not known: held-out rows have no time, or too little of it. Where days differ, figures fail more often than planned")
	}
	for _, x := range p.Alerts {
		var steps []string
		for _, e := range x.Steps {
			to := strings.Join(e.To, ", ")
			if e.AfterSeconds > 0 {
				to += " after " + monitor.FormatSpan(e.AfterSeconds)
			}
			steps = append(steps, to)
		}
		fmt.Fprintf(w, "  alert %s (%s) on %s: %s\n", x.Name, x.Severity, strings.Join(x.When, ", "), strings.Join(steps, "; "))
	}
	if len(p.Alerts) == 0 {
		fmt.Fprintln(w, "  ◐ no alerts: nobody is told. Set monitor.alerts in assay.yaml")
	}
	if len(left.nested) > 0 {
		fmt.Fprintf(w, "  ◐ of nested columns only missing values and their kind are watched, nothing inside: %s. Make a column of its own of what should be\n", some(left.nested))
	}
	if len(left.empty) > 0 {
		fmt.Fprintf(w, "  ◐ of columns without a value in training only is watched whether that stays so: %s\n", some(left.empty))
	}
	if len(left.redacted) > 0 {
		fmt.Fprintf(w, "  ◐ not watched, as serve.log.redact keeps them out of the log: %s\n", some(left.redacted))
	}
	if len(left.excluded) > 0 {
		fmt.Fprintf(w, "  ◐ not watched, as they hold bytes, which the log leaves out, or nested values that the data has as text: %s\n", some(left.excluded))
	}
	if len(ends) > 0 {
		fmt.Fprintf(w, "  ◐ open incidents that end with the plan before: %s\n", strings.Join(ends, ", "))
	}
	fmt.Fprintf(w, "evidence %s\n", r.ID.Short())
}

// endedBy are the open incidents of a version, whatever their state, that another plan than this one opened.
func (s *session) endedBy(ctx context.Context, v store.Version, plan assay.Digest) ([]string, error) {
	w, err := s.onWatch(ctx, v)
	if err != nil {
		return nil, err
	}
	out := []string{}
	for _, c := range w.cases {
		if c.Open() && c.Incident.Monitor != plan {
			out = append(out, c.Incident.Key+" ("+c.Incident.State+")")
		}
	}
	return out, nil
}

func plainNumber(v float64) string {
	if v >= 10 {
		return assay.FormatCount(int64(v + 0.5))
	}
	return fmt.Sprintf("%.3g", v)
}
