package monitor

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/table"
	"github.com/assay-ml/assay/learn"
	"github.com/assay-ml/assay/stat"
)

// A Scorer computes the figures of a plan on rows whose labels are known: metrics, business metric and slices with intervals. label is the class of
// each row as an index into the classes of the answers, of a regression value is its number. columns are the rows' own.
type Scorer func(ctx context.Context, answers learn.Prediction, label []int32, value []float64, columns assay.Frame) (assay.Evaluation, error)

// Outcomes say how the labels of a traffic are judged.
type Outcomes struct {
	Labels     *table.Table                         // with the columns of LabelFields; nil: none has come
	Until      time.Time                            // labels that came later are not known yet; zero: all are
	Delay      time.Duration                        // each label came so long after its prediction, whatever the table says; 0: as the table says
	Threshold  float64                              // of the positive class; 0: 0.5
	Classes    []string                             // of the model, in the order of its probabilities
	Columns    []string                             // that slices are made of
	References map[string]map[string]assay.Estimate // of slices: by name of the slice and of the metric, on held-out rows
	Score      Scorer
	Counts     func(tp, fp, fn, tn float64) float64 // the business metric of expected counts; nil without one

	// A traffic that begins in the middle: the predictions before it, so that labels of those are not taken for labels of none, and the outcomes of the
	// windows before, the newest window first, so that drift of the labels goes on from there.
	Others *table.Table
	Since  []assay.Outcome

	// The predictions of other versions of the model, of a log: a label of a key that they have too is ambiguous. nil: there are none.
	Beside *table.Table

	// Partial says that retention has removed predictions: a label without one may be of one of those, and what is on record of such labels stays.
	Partial bool

	// Before is the newest outcome of a window and its id, or nil: what the labels say now restates it, unless they say the same.
	Before func(assay.Window) (assay.Digest, *assay.Outcome)
}

// A JudgedOutcome is what the labels say of one window.
type JudgedOutcome struct {
	Label    string
	Outcome  assay.Outcome // Monitor is the caller's to fill in
	Document []byte        // that Outcome.Report names
	Same     assay.Digest  // the outcome that was judged before and says the same; empty: this one is new
	Passing  bool          // fewer labels of these rows were asked for or known by then than are on record: the answer to a question, which restates nothing
}

// An Answered is the outcomes of a traffic, in the order of its windows.
type Answered struct {
	Windows []JudgedOutcome
	Orphans int64 // labels that found no prediction in the traffic, whenever they came
}

// manyLooks is π²/6: what the shares 1/k² of the looks at one window sum to, so that a window that is judged again and again as its labels come is an
// error with no more than the probability that the budget gives it.
const manyLooks = math.Pi * math.Pi / 6

// OutcomeLevel is the error probability of the look-th judgement of a window, over all figures that need labels.
func OutcomeLevel(p assay.Monitor, look int) float64 {
	share := math.Min(p.Budget.FalseAlarmsPerYear/2/math.Max(p.Budget.WindowsPerYear, 1e-9), maxLevel)
	return share / manyLooks / float64(look*look)
}

// minSliceRows is the fewest labelled rows of a slice that is judged.
const minSliceRows = 100

// precisionMetric is judged from so many rows of each class on: its interval is too short on the side of the reference with fewer positives. Simulated without
// any change, 6, 12, 30 and 60 of them gave 27, 16, 4 and 1.3 times the false alarms of a level of 0.0005; F1, recall, precision, accuracy and the area under
// the ROC curve gave at most 2.3 times with 6 to 150.
const (
	precisionMetric    = "average_precision_score"
	minPrecisionLabels = 60
)

// Outcomes joins labels to the predictions that Run has cut into windows, and judges each window by the figures of the plan. A figure fails when it is
// certainly worse than on held-out rows by more than the margin, after the correction over all figures, slices and labels of the window. With too
// few labels nothing is judged: those that come first need not be like the rest.
func (w *Watch) Outcomes(ctx context.Context, x Traffic, seen *Replay, o Outcomes) (*Answered, error) {
	if w.plan.Labels == nil {
		return nil, assay.Errorf(assay.Refused, "the plan does not say how labels find their predictions").Try("set monitor.labels in assay.yaml, then assay monitor plan")
	}
	absent := o.Labels == nil && o.Until.IsZero()
	if o.Labels == nil {
		none, err := x.Table.Engine().FromFrame(ctx, assay.Frame{
			{Name: labelCame, Type: assay.TypeTimestamp, Floats: []float64{}},
			{Name: labelKey, Type: assay.TypeString, Codes: []int32{}},
			{Name: labelRequest, Type: assay.TypeString, Codes: []int32{}},
			{Name: labelIndex, Type: assay.TypeInteger, Floats: []float64{}},
			{Name: labelValue, Type: assay.TypeString, Codes: []int32{}},
		})
		if err != nil {
			return nil, err
		}
		o.Labels = none
	}
	x.accepted, x.fine = seen.accepted, seen.cut.fine
	j, err := w.join(ctx, x, seen.cut, seen.keys, o)
	if err != nil {
		return nil, err
	}
	out := &Answered{Orphans: j.all}
	before, _ := w.streaksAfter(len(o.Since), func(i int) []assay.Signal { return o.Since[i].Drift })
	for i, k := range seen.keys {
		one := JudgedOutcome{Label: seen.Windows[i].Label, Outcome: assay.Outcome{Window: seen.Windows[i].Drift.Window, Look: 1}}
		if err := w.outcome(ctx, x, j, k, seen.answers[k], o, absent, before, &one); err != nil {
			return nil, err
		}
		out.Windows = append(out.Windows, one)
	}
	return out, nil
}

// outcome judges one window; answers are those of its rows, nil where they are not at hand. absent says that no labels are at hand: then what is on record
// of the same rows is what is known of them.
func (w *Watch) outcome(ctx context.Context, x Traffic, j *joined, k int64, answers *learn.Prediction, o Outcomes, absent bool, before streaks, one *JudgedOutcome) error {
	out := &one.Outcome
	var err error
	if out.Labels, err = j.labelJoin(k); err != nil {
		return err
	}
	rows, err := w.windowRows(ctx, x, j, k, answers, o)
	if err != nil {
		return err
	}
	if out.Labels.Unknown = rows.unknown; !o.Until.IsZero() {
		out.Labels.Until = assay.InstantOf(o.Until)
	}
	if rows.unknown > 0 {
		out.Labels.Labelled -= rows.unknown
		out.Labels.Coverage = stat.Proportion(float64(out.Labels.Labelled), float64(rows.n), stat.DefaultLevel, stat.Wilson)
	}
	var e assay.Evaluation
	if len(rows.at) > 0 && len(w.plan.Performance) > 0 {
		if e, err = o.Score(ctx, rows.labelled(), rows.label, rows.value, rows.columns.Take(rows.at)); err != nil {
			return err
		}
	}
	proxies, err := w.proxies(ctx, rows, o)
	if err != nil {
		return err
	}
	out.Performance, out.Slices, out.Drift = []assay.RealisedMetric{}, []assay.RealisedSlice{}, []assay.Signal{}
	for _, p := range w.plan.Performance {
		out.Performance = append(out.Performance, realised(p, find(e.Metrics, p.Name), proxies[p.Name], rows.rarer(), spread(p.Between)))
	}
	if p := w.plan.Business; p != nil {
		var all []assay.Metric
		if e.Business != nil {
			all = append(all, *e.Business)
		}
		m := realised(*p, find(all, p.Name), proxies[p.Name], rows.rarer(), spread(p.Between))
		out.Business = &m
	}
	for _, s := range e.Slices {
		if !slices.Contains(w.plan.Slices, s.Name) {
			continue
		}
		r := assay.RealisedSlice{Name: s.Name, Labelled: s.Count, Performance: []assay.RealisedMetric{}}
		for _, p := range w.plan.Performance {
			at := slices.IndexFunc(s.Metrics, func(m assay.SliceMetric) bool { return m.Name == p.Name })
			ref, ok := o.References[s.Name][p.Name]
			if at < 0 || !ok {
				continue
			}
			p.Reference, p.Proxy = ref, ""
			r.Performance = append(r.Performance, realised(p, s.Metrics[at].Estimate, proxy{}, fewOf(s), spreadOfSlice(&w.plan, s.Name, p)))
		}
		out.Slices = append(out.Slices, r)
	}
	counts, err := w.labelDrift(ctx, j, k, out)
	if err != nil {
		return err
	}
	if err := w.lossChange(x, rows, out); err != nil {
		return err
	}
	document, err := json.Marshal(OutcomeDocument{Format: outcomeFormat, Rows: rows.n, Labels: counts, Confusion: e.Confusion})
	if err != nil {
		return assay.Errorf(assay.Internal, "the outcome of a window cannot be written: %w", err)
	}
	one.Document, out.Report = document, assay.DigestOf(document)
	verdicts := func() {
		out.Level = OutcomeLevel(w.plan, out.Look)
		w.decide(out, before)
	}
	verdicts()
	if o.Before != nil {
		if id, old := o.Before(out.Window); old != nil {
			if sameRows := old.Window.Content == out.Window.Content; sameRows && (out.Labels.Labelled == 0 && old.Labels.Labelled > 0 || earlier(out.Labels, old.Labels, o.Until)) {
				if one.Passing = !absent; absent {
					*out, one.Same = *old, id
				}
				return nil
			}
			if o.Partial {
				out.Labels.Unmatched = old.Labels.Unmatched
			}
			out.Restates, out.Look, out.Monitor = old.Restates, old.Look, old.Monitor
			verdicts()
			switch again := same(*out, *old); {
			case again && knownLonger(out.Labels, old.Labels): // that no more have come is new; the figures are not judged again
				out.Restates = id
			case again:
				one.Same = id
			default:
				out.Restates, out.Look = id, old.Look+1
				verdicts()
			}
		}
	}
	for _, s := range out.Drift {
		switch at := w.signalAt(s); {
		case at < 0:
		case s.Verdict == assay.Fail:
			before[at]++
		case s.Verdict == assay.Pass:
			before[at] = 0
		}
	}
	return nil
}

// An OutcomeDocument is what the labels of a window were.
type OutcomeDocument struct {
	Format    string    `json:"format"`
	Rows      int64     `json:"rows"`                // that were answered
	Labels    []Counts  `json:"labels"`              // in the order of the features of the reference of labels
	Confusion [][]int64 `json:"confusion,omitempty"` // rows true, columns predicted
}

const outcomeFormat = "assay.monitor.outcome/1"

// signalAt is the place of a signal in the plan, or -1.
func (w *Watch) signalAt(s assay.Signal) int {
	return slices.IndexFunc(w.plan.Signals, func(p assay.SignalPlan) bool {
		return p.Scope == s.Scope && p.Kind == s.Kind && p.Column == s.Column && p.Test == s.Test
	})
}

// windowRows are the answered rows of a window.
type windowRows struct {
	n        int64
	answers  learn.Prediction
	columns  assay.Frame // Outcomes.Columns, of all rows
	inputs   assay.Frame // the model's, or its answers
	asked    []float64   // when the predictions were made, in seconds; NaN without times
	features assay.Frame // those of the estimator; nil without
	at       []int       // rows with a label that counts
	label    []int32     // of those
	value    []float64   // of those, of a regression
	unknown  int64       // labels that are no class of the model, or no number
}

// rarer is how many labelled rows the rarer of two classes has; of other tasks, how many there are.
func (r *windowRows) rarer() int64 {
	n := len(r.at)
	if len(r.answers.Classes) != 2 {
		return int64(n)
	}
	first := 0
	for _, c := range r.label {
		if c == 0 {
			first++
		}
	}
	return int64(min(first, n-first))
}

func (r *windowRows) labelled() learn.Prediction {
	out := learn.Prediction{Classes: r.answers.Classes}
	k := len(r.answers.Classes)
	for _, i := range r.at {
		if r.answers.Labels != nil {
			out.Labels = append(out.Labels, r.answers.Labels[i])
		}
		if r.answers.Proba != nil {
			out.Proba = append(out.Proba, r.answers.Proba[i*k:(i+1)*k]...)
		}
		if r.answers.Values != nil {
			out.Values = append(out.Values, r.answers.Values[i])
		}
	}
	return out
}

// windowRows brings the rows of a window into memory, with the model's answers: those that are given, or it is asked again.
func (w *Watch) windowRows(ctx context.Context, x Traffic, j *joined, k int64, answers *learn.Prediction, o Outcomes) (*windowRows, error) {
	if x.accepted != nil {
		x.Table = x.accepted.table
	}
	columns := slices.DeleteFunc(slices.Clone(o.Columns), func(c string) bool { _, ok := x.Table.Field(c); return !ok })
	names := slices.Clone(columns)
	var inputs []string
	switch {
	case answers != nil:
	case x.Model != nil:
		inputs = x.Model.Inputs
	default:
		inputs = append(inputs, PredictionColumn)
		for _, c := range o.Classes {
			if _, ok := x.Table.Field(probabilityOf + c); ok {
				inputs = append(inputs, probabilityOf+c)
			}
		}
	}
	features := w.estimator.featuresOf(x.Table)
	for _, c := range append(append(slices.Clone(inputs), features...), joinedLabel, joinedAsked) {
		if !slices.Contains(names, c) {
			names = append(names, c)
		}
	}
	idents, fields := []string{}, []assay.Field{}
	for _, c := range names {
		f, ok := x.Table.Field(c)
		of := "r."
		if !ok {
			f, _ = j.rows.Field(c)
			of = "j."
		}
		idents, fields = append(idents, of+table.Ident(c)), append(fields, f)
	}
	// A join keeps no order, and sums depend on it.
	v, err := j.rows.Select(ctx, fmt.Sprintf("SELECT %s, r._row FROM %s r JOIN %s j ON r._row = j.%s WHERE j.%s = %d ORDER BY r._row", strings.Join(idents, ", "), x.Table.Relation(), j.rows.Relation(), joinedRow, windowColumn, k), fields)
	if err != nil {
		return nil, err
	}
	f, err := v.Frame(ctx, names, "")
	if err != nil {
		return nil, err
	}
	r := &windowRows{n: int64(f.Rows()), columns: f[:len(columns)], asked: f.Column(joinedAsked).Floats}
	if r.n == 0 {
		return r, nil
	}
	for _, c := range inputs {
		r.inputs = append(r.inputs, *f.Column(c))
	}
	for _, c := range features {
		r.features = append(r.features, *f.Column(c))
	}
	if answers != nil {
		if r.answers = *answers; int64(r.answers.Rows()) != r.n {
			return nil, assay.Errorf(assay.Internal, "a window has %d rows and %d answers", r.n, r.answers.Rows())
		}
	} else if x.Model != nil {
		if r.answers, err = x.Model.Predictor.PredictParallel(ctx, r.inputs, max(1, x.Model.Threads)); err != nil {
			return nil, err
		}
	} else if err := r.logged(r.inputs, o.Classes); err != nil {
		return nil, err
	}
	l := f.Column(joinedLabel)
	class := make([]int32, len(l.Levels))
	number := make([]float64, len(l.Levels))
	for i, s := range l.Levels {
		class[i] = int32(slices.Index(o.Classes, s))
		if number[i], err = strconv.ParseFloat(s, 64); err != nil || math.IsInf(number[i], 0) {
			number[i] = math.NaN()
		}
	}
	classifies := len(o.Classes) > 0
	for i, c := range l.Codes {
		switch {
		case c < 0:
		case classifies && class[c] < 0 || !classifies && math.IsNaN(number[c]):
			r.unknown++
		case classifies:
			r.at, r.label = append(r.at, i), append(r.label, class[c])
		default:
			r.at, r.value = append(r.at, i), append(r.value, number[c])
		}
	}
	return r, nil
}

// probabilityOf begins the columns of a log that hold the probability of each class.
const probabilityOf = "probability_"

// logged takes the answers from the columns of a log.
func (r *windowRows) logged(f assay.Frame, classes []string) error {
	if len(classes) == 0 {
		r.answers.Values = f[0].Floats
		return nil
	}
	to := make([]int32, len(f[0].Levels))
	for i, s := range f[0].Levels {
		to[i] = int32(slices.Index(classes, s))
	}
	r.answers.Classes, r.answers.Labels = classes, make([]int32, r.n)
	for i, c := range f[0].Codes {
		if c < 0 || to[c] < 0 {
			return assay.Errorf(assay.Rejected, "row %d of a window has an answer that is no class of the model", i+1)
		}
		r.answers.Labels[i] = to[c]
	}
	if len(f) != 1+len(classes) {
		return nil
	}
	k := len(classes)
	r.answers.Proba = make([]float64, int(r.n)*k)
	for c := range classes {
		col := f.Column(probabilityOf + classes[c])
		for i, v := range col.Floats {
			if math.IsNaN(v) {
				r.answers.Proba = nil
				return nil
			}
			r.answers.Proba[i*k+c] = v
		}
	}
	return nil
}

func find(metrics []assay.Metric, name string) assay.Estimate {
	for _, m := range metrics {
		if m.Name == name {
			return m.Estimate
		}
	}
	return assay.Undefined("no labels", 0)
}

// realised is one figure of a plan as labels show it. Its change to the reference has the interval of a difference of two independent figures from
// theirs (MOVER; Zou and Donner, 2008), widened by differ, the variance of what windows differ by of themselves, and the p-value is that of no more than the margin. rarer is how many rows the rarer of two classes has.
func realised(p assay.MetricPlan, e assay.Estimate, estimated proxy, rarer int64, differ float64) assay.RealisedMetric {
	m := assay.RealisedMetric{
		Name: p.Name, Definition: p.Definition, Higher: p.Higher, Realised: e, Proxy: estimated.value, Assumption: estimated.assumption, Reference: p.Reference, Margin: p.Margin,
		Change: assay.Undefined("nothing to compare", e.N), PValue: assay.Number(math.NaN()), Verdict: assay.Undetermined,
	}
	if estimated.value == (assay.Estimate{}) {
		m.Proxy = assay.Undefined("not estimated", 0)
	}
	if !e.HasInterval() || !p.Reference.HasInterval() {
		return m
	}
	if p.Name == precisionMetric && rarer < minPrecisionLabels {
		m.Change = assay.Undefined(fmt.Sprintf("fewer than %d rows of a class", minPrecisionLabels), e.N)
		return m
	}
	a, b := e, p.Reference
	if !p.Higher {
		a, b = b, a
	}
	d, own := a.Value-b.Value, stat.NormalQuantile((1+e.Level)/2)*math.Sqrt(differ)
	m.Change = assay.Estimate{Value: d, Lo: d - math.Hypot(math.Hypot(a.Value-a.Lo, b.Hi-b.Value), own), Hi: d + math.Hypot(math.Hypot(a.Hi-a.Value, b.Value-b.Lo), own), Level: e.Level, Method: "mover", N: e.N}
	return m
}

// notWorse is the p-value of a change that is no worse than the margin, by the upper half of its interval.
func notWorse(m *assay.RealisedMetric) assay.Number {
	c := m.Change
	se := (c.Hi - c.Value) / -stat.NormalQuantile((1-c.Level)/2)
	if !(se > 0) {
		return assay.Number(math.NaN())
	}
	return assay.Number(stat.NormalCDF((c.Value + m.Margin) / se))
}

// labelDrift holds the labels of a window against those of the reference, and returns their counts.
func (w *Watch) labelDrift(ctx context.Context, j *joined, k int64, out *assay.Outcome) ([]Counts, error) {
	d := w.sides[ScopeLabel]
	if d == nil || len(d.Features) != 1 {
		return []Counts{}, nil
	}
	f, c := d.Features[0], j.known[k].counts
	h := held{rows: c.rows, counts: map[string]Counts{ScopeLabel + "/" + f.Name: c.columns[0]}}
	for i, s := range w.plan.Signals {
		if s.Scope != ScopeLabel || s.Kind == KindChange {
			continue
		}
		x, err := w.signal(ctx, i, h)
		if err != nil {
			return nil, err
		}
		out.Drift = append(out.Drift, x)
	}
	return c.columns, nil
}

// decide gives the verdicts of an outcome at its level. Where too few predictions have a label nothing is decided.
func (w *Watch) decide(out *assay.Outcome, before streaks) {
	p := w.plan.Labels
	covered := out.Labels.Coverage.Value >= p.MinCoverage && !Foreknown(out.Labels)
	var metrics []*assay.RealisedMetric
	add := func(m *assay.RealisedMetric, least int64) {
		m.Verdict = assay.Undetermined
		if m.PValue = assay.Number(math.NaN()); covered && m.Realised.N >= least {
			m.PValue = notWorse(m)
			metrics = append(metrics, m)
		}
	}
	for i := range out.Performance {
		add(&out.Performance[i], w.plan.Windows.MinRows)
	}
	if out.Business != nil {
		add(out.Business, w.plan.Windows.MinRows)
	}
	for i := range out.Slices {
		for k := range out.Slices[i].Performance {
			add(&out.Slices[i].Performance[k], minSliceRows)
		}
	}
	ps := make([]float64, 0, len(metrics)+len(out.Drift))
	for _, m := range metrics {
		ps = append(ps, float64(m.PValue))
	}
	for _, s := range out.Drift {
		v := math.NaN()
		if covered && s.N >= w.plan.Windows.MinRows {
			v = float64(s.PValue)
		}
		ps = append(ps, v)
	}
	adjusted := stat.Adjust(ps, stat.Correction(corrections[w.plan.Budget.Correction]))
	for i, m := range metrics {
		switch m.PValue = assay.Number(adjusted[i]); {
		case math.IsNaN(adjusted[i]):
		case adjusted[i] <= out.Level:
			m.Verdict = assay.Fail
		default:
			m.Verdict = assay.Pass
		}
	}
	for i := range out.Drift {
		s := &out.Drift[i]
		a := adjusted[len(metrics)+i]
		s.Adjusted, s.Streak, s.Verdict, s.Message = assay.Number(a), 0, assay.Pass, ""
		switch {
		case math.IsNaN(a):
			s.Verdict, s.Message = assay.Undetermined, "too few labels"
		case a > out.Level:
		case !(s.Effect.Value >= float64(s.Floor)) && !math.IsNaN(float64(s.Floor)):
			s.Message = "certain, and smaller than the floor"
		default:
			s.Verdict, s.Message = assay.Fail, say(*s)
			if at := w.signalAt(*s); at >= 0 {
				s.Streak = before[at] + 1
			}
		}
	}
	out.Verdict = assay.Undetermined
	worst := func(v assay.Verdict) {
		if v == assay.Fail || v == assay.Pass && out.Verdict == assay.Undetermined {
			out.Verdict = v
		}
	}
	for _, m := range metrics {
		worst(m.Verdict)
	}
	for _, s := range out.Drift {
		if at := w.signalAt(s); s.Verdict == assay.Fail && at >= 0 && s.Streak >= w.plan.Signals[at].Persist {
			worst(assay.Fail)
		}
	}
	if conflicting(out.Labels, p) {
		worst(assay.Fail)
	}
	for i := range out.Slices {
		s := &out.Slices[i]
		s.Verdict = assay.Undetermined
		for _, m := range s.Performance {
			if m.Verdict == assay.Fail || s.Verdict == assay.Undetermined {
				s.Verdict = m.Verdict
			}
		}
	}
}

// Foreknown reports whether most labels of a window came before their predictions: what they say of the model nobody can tell then.
func Foreknown(l assay.LabelJoin) bool { return 2*l.Early > l.Labelled && l.Labelled > 0 }

// conflicting reports whether more labels disagree than the plan allows.
func conflicting(l assay.LabelJoin, p *assay.LabelPlan) bool {
	return float64(l.Conflicts) > p.MaxConflicts*float64(max(l.Labelled, l.Conflicts))
}

// fewOf counts the rows of a slice that are of its rarer class.
func fewOf(s assay.Slice) int64 {
	if s.Positives == nil {
		return 0
	}
	return min(*s.Positives, s.Count-*s.Positives)
}
