package monitor

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/table"
	"github.com/assay-ml/assay/stat"
)

// KindChange is a change within a window, of the mean or of how values are distributed, in the order in which its events came.
const KindChange = "change"

// Tests of the order of events.
const (
	TestADWIN       = "adwin"
	TestPageHinkley = "page_hinkley"
	TestKSWIN       = "kswin"
)

// EventTests are the detectors that settings may choose.
func EventTests() []string { return []string{TestADWIN, TestPageHinkley, TestKSWIN} }

// lossColumn is what a signal of a classifier's errors is named by: 1 for a row whose label is another class than was predicted, else 0.
const lossColumn = "loss"

// Bounds of what a detector is given in one window.
const (
	maxSteps     = 2000    // events; of more, means of as many in a row
	minSteps     = 100     // fewer events have no course
	maxEventRows = 1 << 20 // rows that come into memory; of more every second, third …
	adwinDraws   = 299     // random orders of a window
	hinkleyDraws = 999
	kswinDraws   = 299
	carriedAt    = "_at_carried"
)

// events adds the detectors to a plan: of the score, of chosen columns, and of the 0/1 loss where labels come.
func (o *Settings) events(m *assay.Monitor, features, outputs *Document, task assay.Task) error {
	var bad assay.Problems
	add := func(scope, column string) {
		for _, t := range o.Events {
			m.Signals = append(m.Signals, assay.SignalPlan{Scope: scope, Kind: KindChange, Column: column, Test: t, Threshold: assay.Number(math.NaN()), Effect: EffectCohen, Floor: assay.Number(*o.EffectFloor), Weight: 1})
		}
	}
	for _, c := range o.EventColumns {
		i := slices.IndexFunc(features.Features, func(f Feature) bool { return f.Name == c })
		switch {
		case slices.Contains(o.Redacted, c):
			bad.Add("serve.log.redact keeps column %q out of the log, which has no events of it: take it out of one of the two", c)
		case i < 0:
			bad.Add("column %q is not watched", c)
		case features.Features[i].empty():
			bad.Add("column %q has no value in training, and so no mean", c)
		case features.Features[i].Edges == nil:
			bad.Add("column %q is of categories, which have no mean", c)
		case features.Features[i].Cells() > maxSampleCell:
			bad.Add("column %q has more than %d cells", c, maxSampleCell)
		default:
			add(ScopeInput, c)
		}
	}
	for _, f := range outputs.Features {
		if f.Edges != nil && f.Cells() <= maxSampleCell {
			add(ScopePrediction, f.Name)
		}
	}
	if o.Labels && task.Classifies() {
		add(ScopeLabel, lossColumn)
	}
	return bad.Err(assay.Invalid, "detectors of changes cannot be planned")
}

// An event is one row: when it came, and a value in [0, 1].
type event struct{ at, value float64 }

// An eventTraffic brings what detectors need of windows into memory, one window at a time.
type eventTraffic struct {
	w       *Watch
	table   *table.Table
	window  string // SQL for a row's window
	at      string // SQL for when a row came, in seconds; "" where the order of rows is that of events
	ordered bool
	request bool // rows of one request are one event
	scores  map[int64][]event
	sizes   map[int64]int64

	key    int64
	frame  assay.Frame
	loaded bool
}

// eventTraffic is the events of a traffic; nil where the plan has no detector.
func (w *Watch) eventTraffic(x Traffic, cut *cutter, seen []tally) *eventTraffic {
	if !slices.ContainsFunc(w.plan.Signals, func(s assay.SignalPlan) bool { return s.Kind == KindChange && s.Scope != ScopeLabel }) {
		return nil
	}
	e := &eventTraffic{w: w, table: x.Table, window: cut.expr, scores: map[int64][]event{}, sizes: map[int64]int64{}, ordered: x.ordered()}
	if e.ordered && x.By != "" {
		e.at = "epoch(" + cut.moment + ")"
	}
	_, e.request = x.Table.Field("_request")
	for _, t := range seen {
		e.sizes[t.key] = t.rows
	}
	return e
}

// ordered reports whether rows came in an order that is known: by a time to the second or better, or where nothing else is said in that of the table.
func (x Traffic) ordered() bool { return x.By == "" || x.fine }

// carry is SQL for when a row came, which goes with its answer; "" where it need not.
func (e *eventTraffic) carry() string {
	if e == nil {
		return ""
	}
	return e.at
}

// collect keeps the scores of a block of answers.
func (e *eventTraffic) collect(ctx context.Context, t *table.Table) error {
	if e == nil || !e.ordered {
		return nil
	}
	f := e.score()
	if f == nil {
		return nil
	}
	names := []string{windowColumn, f.Name}
	if e.at != "" {
		names = append(names, carriedAt)
	}
	got, err := t.Frame(ctx, names, windowColumn+" IS NOT NULL")
	if err != nil {
		return err
	}
	ranks := f.ranks(&got[1])
	for i, k := range got[0].Floats {
		v := event{value: ranks[i]}
		if e.at != "" {
			v.at = got[2].Floats[i]
		}
		e.scores[int64(k)] = append(e.scores[int64(k)], v)
	}
	return nil
}

// score is the feature of the prediction that detectors watch.
func (e *eventTraffic) score() *Feature {
	for _, s := range e.w.plan.Signals {
		if s.Kind == KindChange && s.Scope == ScopePrediction {
			return e.w.features[s.Scope+"/"+s.Column]
		}
	}
	return nil
}

// ranks are where the values of a column lie in the reference, from 0 to 1: the middle of the ranks of their cell, NaN where there is none. No value is far from the
// others however far out it lies.
func (f *Feature) ranks(c *assay.Column) []float64 {
	of := make([]float64, noCell+1)
	below, n := int64(0), float64(max(1, f.Counts.Values()))
	for i, k := range f.Counts.Cells {
		of[i] = (float64(below) + float64(k)/2) / n
		below += k
	}
	of[noCell] = math.NaN()
	out := make([]float64, c.Len())
	for i, cell := range f.cells(c) {
		out[i] = of[cell]
	}
	return out
}

// load brings the columns of a window into memory.
func (e *eventTraffic) load(ctx context.Context, key int64) error {
	if e.loaded && e.key == key {
		return nil
	}
	var names, selects []string
	var fields []assay.Field
	add := func(name, sql string, t assay.Type) {
		names, selects, fields = append(names, name), append(selects, sql+" AS "+table.Ident(name)), append(fields, assay.Field{Name: name, Type: t})
	}
	add(carriedAt, cmp.Or(e.at, "0::DOUBLE"), assay.TypeNumber)
	if e.request {
		add("_request", "CAST(_request AS VARCHAR)", assay.TypeString)
	}
	for _, s := range e.w.plan.Signals {
		name := s.Scope + "/" + s.Column
		f := e.w.features[name]
		live, ok := e.table.Field(s.Column)
		if s.Kind == KindChange && s.Scope != ScopeLabel && f != nil && ok && !slices.Contains(names, name) {
			v, _ := numeric(f, live)
			add(name, v, assay.TypeNumber)
		}
	}
	cond := fmt.Sprintf("%s = %d", windowColumn, key)
	if step := (e.sizes[key] + maxEventRows - 1) / maxEventRows; step > 1 {
		cond += fmt.Sprintf(" AND _row %% %d = 0", step)
	}
	v, err := e.table.Select(ctx, "SELECT "+strings.Join(selects, ", ")+", _row FROM (SELECT *, "+e.window+" AS "+windowColumn+" FROM "+e.table.Relation()+") WHERE "+cond+" ORDER BY _row", fields)
	if err != nil {
		return err
	}
	f, err := v.Frame(ctx, names, "")
	if err != nil {
		return err
	}
	e.key, e.frame, e.loaded = key, f, true
	return nil
}

// test is what a window's judgement calls for a detector.
func (e *eventTraffic) test(key int64) func(context.Context, assay.SignalPlan, assay.Signal) (assay.Signal, error) {
	if e == nil {
		return nil
	}
	return func(ctx context.Context, s assay.SignalPlan, x assay.Signal) (assay.Signal, error) {
		if !e.ordered {
			x.Verdict, x.Message = assay.Undetermined, "the rows of the window have no order in time"
			return x, nil
		}
		var all []event
		var request []int32
		if got, ok := e.scores[key]; ok && s.Scope == ScopePrediction {
			all = slices.Clone(got)
		} else {
			if err := e.load(ctx, key); err != nil {
				return x, err
			}
			c := e.frame.Column(s.Scope + "/" + s.Column)
			if c == nil {
				x.Verdict, x.Message = assay.Undetermined, "the data has no such column"
				return x, nil
			}
			for i, v := range e.w.features[s.Scope+"/"+s.Column].ranks(c) {
				all = append(all, event{e.frame[0].Floats[i], v})
			}
			if r := e.frame.Column("_request"); r != nil {
				request = r.Codes
			}
		}
		return e.w.change(s, sequenceOf(all, request, s.Test == TestKSWIN), e.at != "", x)
	}
}

// A sequence is events in their order, or means of several in a row.
type sequence struct {
	values []float64
	at     []float64 // when the first event of each came
	rows   []int64   // rows up to and with each
	sd     float64   // of single rows
}

// sequenceOf puts rows into the order in which they came. Rows of one request came together and may be alike: they are one event. An event of several rows is
// their mean; or, where it is about more than the mean, the first of them alone.
func sequenceOf(all []event, request []int32, alone bool) sequence {
	order := upTo(len(all))
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(all[a].at, all[b].at) })
	var s sequence
	var sum, mean, square, n float64
	var rows int64
	var with int64 // rows with a value in the event
	last := int32(-1)
	end := func() {
		if with > 0 {
			s.values, s.rows = append(s.values, sum/float64(with)), append(s.rows, rows)
		}
		sum, with = 0, 0
	}
	for _, i := range order {
		if request == nil || request[i] != last || request[i] < 0 {
			end()
		}
		if request != nil {
			last = request[i]
		}
		rows++
		v := all[i].value
		if math.IsNaN(v) {
			continue
		}
		if with == 0 {
			s.at = append(s.at, all[i].at)
		}
		if n++; !alone || with == 0 {
			sum += v
			with++
		}
		d := v - mean
		mean += d / n
		square += d * (v - mean)
	}
	end()
	s.sd = math.Sqrt(square / math.Max(n, 1))
	if len(s.values) <= maxSteps {
		return s
	}
	all2 := s
	s.values, s.at, s.rows = nil, nil, nil
	for k := range maxSteps {
		lo, hi := k*len(all2.values)/maxSteps, (k+1)*len(all2.values)/maxSteps
		sum := 0.0
		for _, v := range all2.values[lo:hi] {
			sum += v
		}
		value := sum / float64(hi-lo)
		if alone {
			value = all2.values[lo]
		}
		s.values, s.at, s.rows = append(s.values, value), append(s.at, all2.at[lo]), append(s.rows, all2.rows[hi-1])
	}
	return s
}

// change runs one detector over a sequence. What it is set to follows from the level of a test: from random orders of the same events, in which nothing changes.
func (w *Watch) change(s assay.SignalPlan, q sequence, timed bool, x assay.Signal) (assay.Signal, error) {
	n := len(q.values)
	if n < minSteps {
		x.Verdict, x.Message = assay.Undetermined, fmt.Sprintf("%s events; at least %d are needed", assay.FormatCount(int64(n)), minSteps)
		return x, nil
	}
	mean, sd := 0.0, 0.0
	for _, v := range q.values {
		mean += v / float64(n)
	}
	for _, v := range q.values {
		sd += (v - mean) * (v - mean) / float64(n)
	}
	if sd = math.Sqrt(sd); !(sd > 1e-12) || !(q.sd > 0) {
		x.PValue, x.Effect, x.Message = 1, assay.Undefined("every event is the same", x.N), ""
		return x, nil
	}
	// ADWIN's bound is the tail of a normal distribution, of which the evidence is the exponent: its rate is one.
	values, draws, rate := q.values, adwinDraws, 1.0
	detect := func(v []float64) (stat.Change, error) { return stat.ADWINChange(v, stat.ADWINOptions{}) }
	switch s.Test {
	case TestKSWIN:
		values, draws = inOrder(q.values), kswinDraws
		recent := max(30, n/6) // river's least, and its proportions
		o := stat.KSWINOptions{Window: max(100, n/2), Recent: recent, Clock: max(1, recent/20), Seed: w.plan.Budget.Seed}
		detect = func(v []float64) (stat.Change, error) { return stat.KSWINChange(v, o) }
	case TestPageHinkley:
		tolerated := float64(s.Floor) / 2 * q.sd / sd // half of the change that matters, in the unit of an event
		if !(tolerated > 0) {
			tolerated = -1
		}
		values, draws, rate = make([]float64, n), hinkleyDraws, 0
		for i, v := range q.values {
			values[i] = (v - mean) / sd
		}
		detect = func(v []float64) (stat.Change, error) {
			return stat.PageHinkleyChange(v, stat.PageHinkleyOptions{Delta: tolerated})
		}
	}
	got, err := detect(values)
	if err != nil {
		return x, err
	}
	null, err := stat.NewChangeNull(values, draws, rate, w.plan.Budget.Seed, detect)
	if err != nil {
		return x, err
	}
	x.Statistic, x.PValue, x.Threshold = assay.Number(got.Evidence), assay.Number(null.P(got.Evidence)), assay.Number(null.Threshold(w.levels.Test))
	x.Effect = assay.Undefined("no change", x.N)
	if got.At < 1 || got.At >= n {
		return x, nil
	}
	if s.Test == TestKSWIN {
		x.Effect = q.apart(values, got.At, x.N)
		x.Message = "its values change"
		q.say(&x, got.At, timed)
		return x, nil
	}
	var before, after float64
	for i, v := range q.values {
		if i < got.At {
			before += v / float64(got.At)
		} else {
			after += v / float64(n-got.At)
		}
	}
	d := math.Abs(after-before) / q.sd
	half := 1.959963984540054 * sd / q.sd * math.Sqrt(1/float64(got.At)+1/float64(n-got.At))
	x.Effect = assay.Estimate{Value: d, Lo: math.Max(0, d-half), Hi: d + half, Level: 0.95, Method: "normal", N: x.N}
	way := "rises"
	if after < before {
		way = "falls"
	}
	x.Message = "it " + way
	q.say(&x, got.At, timed)
	return x, nil
}

// say adds to a message where a change was.
func (q sequence) say(x *assay.Signal, at int, timed bool) {
	x.Message += fmt.Sprintf(" after %s of %s rows", assay.FormatCount(q.rows[at-1]), assay.FormatCount(q.rows[len(q.rows)-1]))
	if timed {
		sec, frac := math.Modf(q.at[at])
		x.Message += ", at " + time.Unix(int64(sec), int64(frac*1e9)).UTC().Format("2006-01-02 15:04:05")
	}
}

// inOrder gives each value its place among the distinct ones, from 0.
func inOrder(values []float64) []float64 {
	distinct := slices.Compact(slices.Sorted(slices.Values(values)))
	out := make([]float64, len(values))
	for i, v := range values {
		at, _ := slices.BinarySearch(distinct, v)
		out[i] = float64(at)
	}
	return out
}

// apartCells are the cells, of about as many events each, in which the events before and after a change are compared.
const apartCells = 10

// apart is how far events before and after a place lie from each other, in Cohen's w, less what chance adds; order is their values' places among the distinct ones.
func (q sequence) apart(order []float64, at int, rows int64) assay.Estimate {
	sorted := slices.Sorted(slices.Values(order))
	var upper []float64 // of each cell but the last
	for c := 1; c < apartCells; c++ {
		if v := sorted[c*len(sorted)/apartCells]; v > sorted[0] && (len(upper) == 0 || v > upper[len(upper)-1]) {
			upper = append(upper, v)
		}
	}
	before, after := make([]float64, len(upper)+1), make([]float64, len(upper)+1)
	for i, v := range order {
		c, found := slices.BinarySearch(upper, v)
		if found {
			c++
		}
		if i < at {
			before[c]++
		} else {
			after[c]++
		}
	}
	mean, sd := chance(len(before), float64(at), float64(len(order)-at))
	e := effect(before, after, mean, sd)
	e.N = rows
	return e
}

// lossChange runs the detectors over the 0/1 loss of the labelled rows of a window.
func (w *Watch) lossChange(x Traffic, r *windowRows, out *assay.Outcome) error {
	for _, s := range w.plan.Signals {
		if s.Kind != KindChange || s.Scope != ScopeLabel {
			continue
		}
		nan := assay.Number(math.NaN())
		one := assay.Signal{
			Scope: s.Scope, Kind: s.Kind, Column: s.Column, Test: s.Test, Statistic: nan, PValue: nan, Adjusted: nan, Threshold: nan, N: int64(len(r.at)), Floor: s.Floor,
			Effect: assay.Undefined("the rows of the window have no order in time", int64(len(r.at))),
		}
		if x.ordered() && r.answers.Labels != nil {
			all := make([]event, len(r.at))
			for i, k := range r.at {
				if all[i].at = r.asked[k]; math.IsNaN(all[i].at) {
					all[i].at = 0
				}
				if r.answers.Labels[k] != r.label[i] {
					all[i].value = 1
				}
			}
			var err error
			if one, err = w.change(s, sequenceOf(all, nil, s.Test == TestKSWIN), x.By != "", one); err != nil {
				return err
			}
		}
		out.Drift = append(out.Drift, one)
	}
	return nil
}
