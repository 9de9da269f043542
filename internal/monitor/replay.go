package monitor

import (
	"cmp"
	"context"
	"encoding/json"
	"math"
	"slices"
	"time"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/table"
	"github.com/assay-ml/assay/learn"
)

// A Traffic is a table whose rows are held against a plan.
type Traffic struct {
	Table *table.Table
	By    string       // column that says when a row came; "": windows by count, in the order of rows
	Timed bool         // By must say it; else each value of a column that does not is a window
	Model *Model       // predicts the rows; nil: the table has the columns of answers itself
	Train *table.Table // what the model learned from, for rows of it that come back; nil: they are not looked for
	Whole bool         // all rows are one window, whatever the plan says

	// InputsOnly is for a quick look: only columns of the input are judged, and that there was traffic. No model is asked, and windows have no digest
	// of their rows, so they cannot be evidence.
	InputsOnly bool

	Until time.Time     // windows that end later are not judged yet; those after the last row that have ended are windows without traffic. Zero: the rows say
	Since []assay.Drift // what was said of the windows before, the newest first: those are not judged again, the table has only rows after them, and signals go on from there. For windows by time
	From  time.Time     // a traffic without any row was expected from then on: the windows after it are windows without traffic, the newest maxSilent of them. Zero: not. For windows by time, with Until
	Begin *Anchor       // of windows by count: where they begin in a log that no longer has its first rows; nil: with its first row
	Log   *table.Table  // the prediction log that the rows come from, with its columns _outcome, _lost and _sampled; nil: there is none

	// Expected says when the version should have got traffic; another window without rows is no alarm, and of several of them at the end only the first
	// is judged. nil: always.
	Expected *Expected

	accepted *accepted // of Replay
	fine     bool      // By says it to the second or better
}

// A Judged is one window and what was said of it.
type Judged struct {
	Label    string      `json:"label"` // when it was, for people
	Drift    assay.Drift `json:"drift"` // Monitor is the caller's to fill in
	Document []byte      `json:"-"`     // that Drift.Report names
}

// A Replay is the windows of a traffic, in order.
type Replay struct {
	Windows []Judged
	Untimed int64    // rows without a time: in no window
	Strays  []Stray  // rows whose time is out of place: in no window
	Refused int64    // rows with a value that is none of its column's type: counted, and not predicted
	Absent  []string // watched columns that the table does not have
	Persist int      // windows in a row in which something must move to be an alarm

	cut      *cutter
	keys     []int64                     // of the windows
	accepted *accepted                   // the rows as the model takes them; nil: as they are
	answers  map[int64]*learn.Prediction // what the model said, by window, where labels ask for it and it is not too much to keep
	kept     int                         // numbers in answers
}

// Planned reports whether the windows are cut as the plan has them, and are not the values of a column.
func (r *Replay) Planned() bool { return r.cut == nil || len(r.cut.names) == 0 }

// Run cuts a traffic into windows and judges each. Features are counted in one aggregate over all windows; rows come into memory block by
// block only to be predicted.
func (w *Watch) Run(ctx context.Context, x Traffic) (*Replay, error) {
	var err error
	cut := wholeCutter()
	if !x.Whole {
		if cut, err = newCutter(ctx, x.Table, w.plan.Windows, x.By, x.Timed); err != nil {
			return nil, err
		}
		if x.Begin != nil && cut.counts {
			cut.from(*x.Begin)
		}
	} else {
		clock, err := x.Table.Clock(ctx, x.By)
		if err != nil {
			return nil, err
		}
		cut.moment, cut.fine = clock.SQL, clock.Fine
	}
	x.fine = cut.fine
	inputs, outputs := w.sides[ScopeInput].Features, []Feature(nil)
	if d := w.sides[ScopePrediction]; d != nil && !x.InputsOnly {
		outputs = d.Features
	}
	out := &Replay{Absent: []string{}, Strays: []Stray{}, Persist: w.persist()}
	for _, f := range inputs {
		if _, ok := x.Table.Field(f.Name); !ok {
			out.Absent = append(out.Absent, f.Name)
		}
	}
	if len(inputs) > 0 && len(out.Absent) == len(inputs) {
		return nil, assay.Errorf(assay.Rejected, "the data has none of the %d columns that are watched", len(inputs))
	}
	if !x.InputsOnly {
		if out.accepted, err = x.accept(ctx); err != nil {
			return nil, err
		}
		for _, name := range out.accepted.missing() {
			if !slices.Contains(out.Absent, name) {
				out.Absent = append(out.Absent, name)
			}
		}
	}
	seen, err := count(ctx, x.Table, inputs, cut.expr)
	if err != nil {
		return nil, err
	}
	events := w.eventTraffic(x, cut, seen)
	answers, err := w.answers(ctx, x, cut, outputs, out, events)
	if err != nil {
		return nil, err
	}
	out.Untimed = x.Table.Rows()
	if x.Begin != nil { // rows before the first window have had their own
		out.Untimed -= min(out.Untimed, x.Begin.Place)
	}
	var keys []int64
	for _, t := range seen {
		keys = append(keys, t.key)
		out.Untimed -= t.rows
	}
	if x.Log == nil { // a log has the times of a server
		var strays []Stray
		keys, strays = cut.strays(seen, w.plan.Windows.MinRows)
		out.Strays = append(out.Strays, strays...)
	}
	if len(x.Since) > 0 && !cut.counts {
		if !cut.timed {
			return nil, assay.Errorf(assay.Internal, "windows of %s cannot be judged from the middle", FormatWindow(cut.plan))
		}
		if last := x.Since[0].Window.Number - cut.first; len(keys) == 0 || keys[0] != last {
			keys = slices.Insert(keys, 0, last) // so that windows without traffic right after it count
		}
	}
	if from, ok := x.expectedFrom(); ok && len(keys) == 0 && len(x.Since) == 0 {
		keys = cut.silent(from, x.Until)
	}
	if keys, err = cut.fill(keys, x.Until); err != nil {
		return nil, err
	}
	refused, err := out.accepted.refusals(ctx, x.Table, cut.expr)
	if err != nil {
		return nil, err
	}
	for _, n := range refused {
		out.Refused += n
	}
	outcomes, err := outcomesOf(ctx, x.Log, cut)
	if err != nil {
		return nil, err
	}
	keys = x.trimmed(keys, cut, func(k int64) bool {
		_, logged := outcomes[k]
		return !logged && by(seen, k, nil).rows == 0
	})
	if len(x.Since) > 0 && len(keys) > 0 && !cut.counts {
		keys = keys[1:]
	}
	requests, err := x.Expected.requests(ctx, cut)
	if err != nil {
		return nil, err
	}
	if len(keys) == 0 && !x.Until.IsZero() {
		return out, nil
	}
	if len(keys) == 0 {
		return nil, assay.Errorf(assay.Rejected, "the data has no row that belongs to a window: there is nothing to judge")
	}
	contents := make([]assay.Digest, len(keys))
	if !x.InputsOnly {
		if contents, err = x.Table.ContentDigests(ctx, cut.expr, keys); err != nil {
			return nil, err
		}
	}
	out.cut, out.keys = cut, keys
	ends, err := x.ends(ctx, cut)
	if err != nil {
		return nil, err
	}
	skews, err := w.skews(ctx, x, cut.expr, keys)
	if err != nil {
		return nil, err
	}
	columns := w.jointTraffic(x.Table, cut.expr, seen)
	before, unjudged := w.streaksAfter(len(x.Since), func(i int) []assay.Signal { return x.Since[i].Signals })
	for i, n := range unjudged {
		if n > 1 {
			before[i] = 0
		}
	}
	for i, k := range keys {
		in, pred := by(seen, k, inputs), by(answers, k, outputs)
		j := Judged{}
		d := &j.Drift
		d.Window = assay.Window{Number: int64(i) + 1, Rows: in.rows, Sampled: 1}
		if cut.timed || cut.counts {
			d.Window.Number = k + cut.first
		}
		d.Window.First, d.Window.Last = ends[k].first, ends[k].last
		if o, ok := outcomes[k]; ok {
			d.Window.Refused, d.Window.Failed, d.Window.Lost, d.Window.Sampled, d.Window.Unclosed, d.Window.Repeated = o.refused, o.failed, o.lost, o.sampled, o.unclosed, o.repeated
		}
		d.Window.Refused += refused[k]
		d.Window.Start, d.Window.End, j.Label = cut.bound(k)
		if d.Window.Partial = cut.counts && in.rows < cut.plan.Rows; d.Window.Partial {
			j.Label = cut.rowsLabel(k, in.rows)
		}
		d.Window.Content = contents[i]
		d.Skew = skews[k]
		h := held{rows: in.rows, counts: map[string]Counts{}, joint: columns.test(k), events: events.test(k), skew: skews[k], inputsOnly: x.InputsOnly}
		h.silence = x.Expected.silent(d.Window, requests[k])
		if x.Log != nil {
			o := outcomes[k]
			h.log = &o
		}
		for c, f := range inputs {
			h.counts[ScopeInput+"/"+f.Name] = in.columns[c]
		}
		for c, f := range outputs {
			h.counts[ScopePrediction+"/"+f.Name] = pred.columns[c]
		}
		if d.Signals, d.Ranking, d.Verdict, err = w.judge(ctx, h, before, unjudged); err != nil {
			return nil, err
		}
		if j.Document, err = json.Marshal(WindowDocument{Format: windowFormat, Features: in.columns, Predictions: pred.columns}); err != nil {
			return nil, assay.Errorf(assay.Internal, "the counts of a window cannot be written: %w", err)
		}
		d.Report = assay.DigestOf(j.Document)
		out.Windows = append(out.Windows, j)
	}
	return out, nil
}

// NewestWindows are the windows of drift evidence that comes newest first, each as it was judged last, the newest window first.
func NewestWindows(records []assay.Record) ([]assay.Drift, error) {
	var out []assay.Drift
	seen := map[int64]bool{}
	for _, r := range records {
		d, err := assay.Decode[assay.Drift](r.Evidence)
		if err != nil {
			return nil, err
		}
		if !seen[d.Window.Number] {
			seen[d.Window.Number] = true
			out = append(out, d)
		}
	}
	slices.SortStableFunc(out, func(a, b assay.Drift) int { return cmp.Compare(b.Window.Number, a.Window.Number) })
	return out, nil
}

// persist is in how many windows in a row a column must have moved to be an alarm.
func (w *Watch) persist() int {
	most := 1
	for _, s := range w.plan.Signals {
		if s.Scope != ScopeTraffic {
			most = max(most, s.Persist)
		}
	}
	return most
}

// streaksAfter are the streaks of all signals after n windows, the newest first, with those signals: one that a window could not judge goes on from the window
// before, and how many such windows came last is counted.
func (w *Watch) streaksAfter(n int, of func(i int) []assay.Signal) (streaks, []int) {
	out, unjudged := make(streaks, len(w.plan.Signals)), make([]int, len(w.plan.Signals))
	type name struct{ scope, kind, column, test string }
	at := map[name]int{}
	for i, s := range w.plan.Signals {
		at[name{s.Scope, s.Kind, s.Column, s.Test}] = i
	}
	known := map[int]bool{}
	for k := range n {
		for _, x := range of(k) {
			i, ok := at[name{x.Scope, x.Kind, x.Column, x.Test}]
			switch {
			case !ok || known[i]:
			case x.Verdict == assay.Undetermined:
				unjudged[i]++
			default:
				known[i], out[i] = true, x.Streak
			}
		}
	}
	return out, unjudged
}

// outcomes are what became of the rows of a window beside those that were answered.
type outcomes struct {
	rows                                      int64 // that were looked at by the model, or refused
	refused, failed, lost                     int64 // rows
	requests, refusedRequests, failedRequests int64 // those that were answered as many as there were before the log took a sample
	sampled                                   float64
	unclosed                                  int64 // segments whose process was killed
	repeated                                  int64 // answered requests whose id another one had
}

// JudgedRows says which rows of a log are rows of a window: those that the model looked at, refused ones included. Where the log has a share of the
// answered requests and all others, it is the same share of both, chosen by the request's id.
const JudgedRows = "(_outcome = 'answered' OR _outcome IN ('refused', 'failed') AND (coalesce(_sampled, 1) >= 1 OR md5_number_lower(coalesce(CAST(_request AS VARCHAR), '')) < _sampled * 18446744073709551615.0))"

// outcomesOf counts a log by window.
func outcomesOf(ctx context.Context, log *table.Table, cut *cutter) (map[int64]outcomes, error) {
	out := map[int64]outcomes{}
	if log == nil {
		return out, nil
	}
	r, err := log.Query(ctx, "SELECT w, count(*) FILTER (_outcome IN ('refused', 'malformed')), count(*) FILTER (_outcome IN ('failed', 'shed')), coalesce(sum(_lost), 0)::BIGINT, coalesce(min(_sampled), 1)::DOUBLE,"+
		" count(DISTINCT _request) FILTER (_outcome = 'answered'), count(DISTINCT _request) FILTER (_outcome IN ('refused', 'malformed')), count(DISTINCT _request) FILTER (_outcome IN ('failed', 'shed')), count(*) FILTER (_outcome = 'lost' AND _lost = 0), count(*) FILTER ("+JudgedRows+"), count(*) FILTER (_outcome = 'answered' AND _index = 0)"+
		" FROM (SELECT _outcome, _lost, _sampled, _request, _index, "+cut.expr+" AS w FROM "+log.Relation()+") WHERE w IS NOT NULL GROUP BY w")
	if err != nil {
		return nil, err
	}
	defer r.Close()
	for r.Next() {
		var k int64
		var o outcomes
		var answered int64
		if err := r.Scan(&k, &o.refused, &o.failed, &o.lost, &o.sampled, &o.requests, &o.refusedRequests, &o.failedRequests, &o.unclosed, &o.rows, &answered); err != nil {
			return nil, err
		}
		o.repeated = max(0, answered-o.requests)
		if o.sampled > 0 && o.sampled < 1 {
			o.requests = int64(math.Round(float64(o.requests) / o.sampled))
		}
		o.requests += o.refusedRequests + o.failedRequests
		out[k] = o
	}
	return out, r.Close()
}

// keptAnswers bounds how many numbers of answers a replay keeps for the labels: 8 bytes each.
const keptAnswers = 16 << 20

// answers counts what the model said, window by window, and keeps it for the labels.
func (w *Watch) answers(ctx context.Context, x Traffic, cut *cutter, outputs []Feature, seen *Replay, events *eventTraffic) ([]tally, error) {
	if len(outputs) == 0 {
		return nil, nil
	}
	if x.Model == nil {
		return count(ctx, x.Table, outputs, cut.expr)
	}
	if w.plan.Labels != nil && x.Log == nil {
		seen.answers = map[int64]*learn.Prediction{}
	}
	var out []tally
	err := eachPrediction(ctx, x.Table, seen.accepted, *x.Model, cut.expr, events.carry(), func(t *table.Table, p learn.Prediction, windows []float64) error {
		defer t.Drop(context.WithoutCancel(ctx))
		if seen.answers != nil {
			seen.keep(p, windows)
		}
		part, err := count(ctx, t, outputs, windowColumn)
		if err == nil {
			out = merge(out, part)
			err = events.collect(ctx, t)
		}
		return err
	})
	return out, err
}

// keep adds the answers of a block of rows to their windows, NaN for none. It gives up where they become too many, and where only the
// labels of a block say which classes there are.
func (r *Replay) keep(p learn.Prediction, windows []float64) {
	k := len(p.Classes)
	if r.kept += len(p.Labels)/2 + len(p.Proba) + len(p.Values); r.kept > keptAnswers || p.Labels != nil && p.Proba == nil {
		r.answers = nil
		return
	}
	var to *learn.Prediction
	for i, w := range windows {
		if math.IsNaN(w) {
			continue
		}
		if i == 0 || to == nil || w != windows[i-1] {
			if to = r.answers[int64(w)]; to == nil {
				to = &learn.Prediction{Classes: p.Classes}
				r.answers[int64(w)] = to
			}
		}
		if p.Labels != nil {
			to.Labels = append(to.Labels, p.Labels[i])
		}
		if p.Proba != nil {
			to.Proba = append(to.Proba, p.Proba[i*k:(i+1)*k]...)
		}
		if p.Values != nil {
			to.Values = append(to.Values, p.Values[i])
		}
	}
}

// merge adds up the counts of two runs over different rows, both in the order of windows.
func merge(a, b []tally) []tally {
	var out []tally
	for len(a) > 0 || len(b) > 0 {
		switch {
		case len(b) == 0 || len(a) > 0 && a[0].key < b[0].key:
			out, a = append(out, a[0]), a[1:]
		case len(a) == 0 || b[0].key < a[0].key:
			out, b = append(out, b[0]), b[1:]
		default:
			x := a[0]
			x.rows += b[0].rows
			for i := range x.columns {
				x.columns[i].add(b[0].columns[i])
			}
			out, a, b = append(out, x), a[1:], b[1:]
		}
	}
	return out
}

func (c *Counts) add(o Counts) {
	for i, n := range o.Cells {
		c.Cells[i] += n
	}
	c.Missing += o.Missing
	c.NaN += o.NaN
	c.PosInf += o.PosInf
	c.NegInf += o.NegInf
	c.TypeErrors += o.TypeErrors
}
