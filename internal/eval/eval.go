// Package eval judges predictions: metrics with intervals beside a baseline, slices, group fairness, calibration, curves, and the paired
// comparison of two models on the same rows.
//
// It takes predictions, not models: whoever calls it has scored the rows, or joined a file of predictions to them. It reads no file,
// keeps no state and discloses nothing; the seal and its ledger belong to the store. Every value is that of package metric, every
// interval that of package stat; what is here decides which interval fits which metric. No bare number leaves it: whatever decides is
// an assay.Estimate.
package eval

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/metric"
	"github.com/assay-ml/assay/stat"
)

// Defaults of Options.
const (
	DefaultLevel        = stat.DefaultLevel
	DefaultReplicates   = stat.DefaultReplicates
	DefaultThreshold    = 0.5
	DefaultMinRows      = 30 // of a slice
	DefaultMinPositives = 5  // of a slice, and as many negatives
)

// Truth is what is known about the rows, in a fixed order.
type Truth struct {
	Task     assay.Task
	Classes  []string  // in the order of the probability columns; of a multilabel task its labels
	Positive int       // index of the positive class of a binary task
	Class    []int32   // classification: index into Classes, one a row; multilabel: row-major 0 or 1, one for each label
	Value    []float64 // regression: one a row; ranking: the relevance of each document
	Query    []int32   // ranking: the query of each document, codes from 0
	Queried  string    // the column of the queries
	Columns  assay.Frame
	Entity   []int32   // codes from 0; nil when rows are independent
	Name     string    // of the entity column
	Weight   []float64 // how many rows each stands for, finite and at least 0; nil: one each
	Weighted string    // the column of the weights

	folded *folded // of a ranking whose rows are queries
}

// wide is how many cells of Class a row has.
func (t *Truth) wide() int {
	if t.Task == assay.Multilabel {
		return len(t.Classes)
	}
	return 1
}

// N is the number of rows.
func (t *Truth) N() int {
	if t.Task == assay.Multilabel && len(t.Classes) > 0 {
		return len(t.Class) / len(t.Classes)
	}
	if t.folded != nil {
		return len(t.folded.lists)
	}
	return max(len(t.Class), len(t.Value))
}

// Scores are the predictions of one model or baseline for the rows of a Truth. A classification needs Proba, or Label alone when no
// metric reads probabilities.
type Scores struct {
	Name  string
	Proba []float64 // classification: row-major, one column for each class
	Label []int32   // classification: index into Classes (multilabel: 0 or 1); nil: by threshold (binary, multilabel) or the largest probability
	Value []float64 // regression, and the score of each document of a ranking

	Clipped int // of Proba: how many float32 rounding had put outside 0 to 1; an evaluation says so
}

// Options say what is computed and how sure it must be. The zero value is the default.
type Options struct {
	Metrics      []string
	Primary      string // "": the first of Metrics
	Business     *Business
	Slices       []string
	Sensitive    []string // columns whose groups must be treated fairly
	Threshold    float64  // of the positive probability; 0 means DefaultThreshold
	Level        float64
	Replicates   int
	Seed         uint64
	Threads      int // 0: one a processor
	MinRows      int64
	MinPositives int64
	SliceRule    SliceRule       // what a slice is judged by; "": AgainstReference
	SliceMargin  float64         // how much worse than that a slice may be, in the unit of the primary metric
	SliceLimit   *float64        // the worst value of the primary metric that a slice may have; nil: any
	Correction   stat.Correction // of the slices' p-values: Holm ("") or BH
	Sealed       bool            // the labels are those of a sealed part: nothing is told of fewer than MinSealedRows rows
	Key          []string        // the columns that identify a row
}

func (o Options) withDefaults() Options {
	if o.Level == 0 {
		o.Level = DefaultLevel
	}
	if o.Replicates == 0 {
		o.Replicates = DefaultReplicates
	}
	if o.Threshold == 0 {
		o.Threshold = DefaultThreshold
	}
	if o.MinRows == 0 {
		o.MinRows = DefaultMinRows
	}
	if o.Sealed && o.MinRows >= 0 {
		o.MinRows = max(o.MinRows, MinSealedRows)
	}
	if o.MinPositives == 0 {
		o.MinPositives = DefaultMinPositives
	}
	if o.Primary == "" && len(o.Metrics) > 0 {
		o.Primary = o.Metrics[0]
	}
	if o.Correction == "" {
		o.Correction = stat.Holm
	}
	if o.SliceRule == "" {
		o.SliceRule = AgainstReference
	}
	return o
}

// Metrics returns the names of the metrics that can be evaluated for a task: all of the registry that need no groups.
func Metrics(task assay.Task) []string {
	var out []string
	for _, d := range metric.For(task) {
		if d.Input != metric.NeedGroups {
			out = append(out, d.Name)
		}
	}
	return out
}

// check reports every problem of the input at once; it never names a row's content.
func check(t *Truth, o Options, scores ...*Scores) error {
	var bad assay.Problems
	if t.N() == 0 {
		return assay.Errorf(assay.Rejected, "cannot evaluate: no rows")
	}
	t.check(o, &bad)
	t.checkSealed(o, &bad)
	t.checkWeights(&bad)
	t.checkQueries(o, &bad)
	for _, s := range scores {
		s.check(t, &bad)
	}
	o.check(t, scores, &bad)
	return bad.Err(assay.Rejected, "cannot evaluate")
}

// Ready reports what would make an evaluation fail whatever the labels are: unknown metrics, slices and columns, a business expression
// that does not compile, predictions that do not fit. A caller asks before it spends a read of sealed labels. Of the truth it reads
// everything but the labels and values themselves.
func Ready(t *Truth, o Options, scores ...*Scores) error {
	o = o.withDefaults()
	var bad assay.Problems
	t.checkSealed(o, &bad)
	t.checkWeights(&bad)
	t.checkQueries(o, &bad)
	o.check(t, scores, &bad)
	if err := bad.Err(assay.Rejected, "cannot evaluate"); err != nil {
		return err
	}
	t = t.fold()
	if _, err := parseSlices(o.Slices, t.Columns); err != nil {
		return err
	}
	for _, name := range o.Sensitive {
		if t.Columns.Column(name) == nil {
			bad.Add("sensitive column %q is not among the columns", name)
		}
	}
	if err := bad.Err(assay.Invalid, "cannot evaluate fairness"); err != nil {
		return err
	}
	if o.Business != nil {
		if _, err := o.Business.compile(t.Task); err != nil {
			return err
		}
	}
	return nil
}

func (t *Truth) check(o Options, bad *assay.Problems) {
	n, k := t.N(), len(t.Classes)
	switch t.Task {
	case assay.Binary:
		if k != 2 || t.Positive < 0 || t.Positive > 1 {
			bad.Add("a binary task needs 2 classes and which is positive; got %d", k)
		}
	case assay.Multiclass:
		if k < 2 {
			bad.Add("a multiclass task needs at least 2 classes; got %d", k)
		}
	case assay.Multilabel:
		if k < 1 || len(t.Class) != n*k {
			bad.Add("%d cells of truth are no rows of %d labels", len(t.Class), k)
		}
		k = 2 // a cell is 0 or 1
	case assay.Regression:
		addPlaces(bad, "the target is no finite number", notFinite(t.Value))
	case assay.Ranking:
		t.checkRelevance(o, bad)
	default:
		bad.Add("task %q is none of binary, multiclass, multilabel, regression, ranking", string(t.Task))
	}
	if t.Task.Classifies() {
		var p place
		for i, c := range t.Class {
			if c < 0 || int(c) >= k {
				p.add(i)
			}
		}
		addPlaces(bad, fmt.Sprintf("the truth is none of the %d classes", k), p)
	}
	if t.Entity != nil {
		if len(t.Entity) != n {
			bad.Add("%d entity codes for %d rows", len(t.Entity), n)
		} else if slices.Min(t.Entity) < 0 {
			bad.Add("an entity code is below 0")
		}
	}
	if len(t.Columns) > 0 && t.Columns.Rows() != n {
		bad.Add("%d rows of columns for %d rows", t.Columns.Rows(), n)
	}
}

// metricsShown is how many metrics of a task an error names.
const metricsShown = 8

// CheckMetrics adds what is wrong with the names of metrics for a task, whatever the data are; weighted says that rows have weights.
func CheckMetrics(names []string, task assay.Task, weighted bool, bad *assay.Problems) {
	seen := map[string]bool{}
	for _, name := range names {
		if seen[name] {
			bad.Add("metric %q is asked for twice", name)
		}
		seen[name] = true
		d, err := metric.Find(name)
		switch {
		case err != nil:
			if near := metric.Nearest(name); len(near) > 0 {
				bad.Add("unknown metric %q; did you mean %s?", name, strings.Join(near, ", "))
			} else {
				bad.Add("unknown metric %q", name)
			}
		case d.Input == metric.NeedGroups:
			bad.Add("metric %q is of groups: name the column in data.sensitive", name)
		case !d.Fits(task):
			fit := Metrics(task)
			few := min(len(fit), metricsShown)
			bad.Add("metric %q does not fit a %s task; of the %d that do, the first are %s", name, task, len(fit), strings.Join(fit[:few], ", "))
		case weighted && unweightable(name):
			bad.Add("metric %q takes no weights", name)
		}
	}
}

func (o Options) check(t *Truth, scores []*Scores, bad *assay.Problems) {
	if len(o.Metrics) == 0 {
		bad.Add("no metric is asked for")
	}
	CheckMetrics(o.Metrics, t.Task, t.Weight != nil, bad)
	for _, name := range o.Metrics {
		d, ok := metric.Lookup(name)
		if ok && t.Task.Classifies() && d.Fits(t.Task) && (d.Input == metric.NeedScores || d.Input == metric.NeedProbabilities) {
			for _, s := range scores {
				if s.Proba == nil && s.Label != nil {
					bad.Add("metric %q needs probabilities; %s has labels only", name, s.Name)
				}
			}
		}
	}
	if o.Primary != "" && !slices.Contains(o.Metrics, o.Primary) {
		bad.Add("the primary metric %q is not among the metrics", o.Primary)
	}
	if o.MinRows < 0 {
		bad.Add("a slice of at least %d rows: want a number that is not negative", o.MinRows)
	}
	if !(o.Level > 0 && o.Level < 1) {
		bad.Add("level %v is not between 0 and 1", o.Level)
	}
	if o.Replicates < 1 {
		bad.Add("%d bootstrap replicates; want at least 1", o.Replicates)
	}
	if !(o.Threshold > 0 && o.Threshold < 1) && t.Task.Classifies() {
		bad.Add("threshold %v is not between 0 and 1", o.Threshold)
	}
	if !(o.SliceMargin >= 0) {
		bad.Add("the slices' margin %v is not at least 0", o.SliceMargin)
	}
	if o.SliceLimit != nil && !(math.Abs(*o.SliceLimit) < math.Inf(1)) {
		bad.Add("the slices' limit %v is no finite number", *o.SliceLimit)
	}
	switch o.SliceRule {
	case AgainstReference:
	case AgainstRest:
		if o.SliceMargin == 0 && len(o.Slices) > 0 {
			bad.Add("slices are held against the rest without a margin: half of them would have to be better")
		}
	default:
		bad.Add("the slices' rule %q is none of baseline, rest", string(o.SliceRule))
	}
	if o.Correction != stat.Holm && o.Correction != stat.BH {
		bad.Add("correction %q is none of holm, bh", string(o.Correction))
	}
}

func (s *Scores) check(t *Truth, bad *assay.Problems) {
	n, k := t.N(), len(t.Classes)
	if !t.Task.Classifies() {
		if n = len(t.Value); len(s.Value) != n {
			bad.Add("%s has %d predictions for %d rows", s.Name, len(s.Value), n)
			return
		}
		addPlaces(bad, s.Name+" predicts no finite number", notFinite(s.Value))
		return
	}
	if s.Label != nil {
		want, top := n, k
		if t.Task == assay.Multilabel {
			want, top = n*k, 2
		}
		if len(s.Label) != want {
			bad.Add("%s has %d labels for %d rows", s.Name, len(s.Label), n)
		} else {
			var p place
			for i, c := range s.Label {
				if c < 0 || int(c) >= top {
					p.add(i)
				}
			}
			addPlaces(bad, fmt.Sprintf("%s predicts none of the %d classes", s.Name, top), p)
		}
		if s.Proba == nil {
			return
		}
	}
	if len(s.Proba) != n*k {
		bad.Add("%s has %d probabilities for %d rows of %d classes", s.Name, len(s.Proba), n, k)
		return
	}
	var outside, unsummed place
	for i := range n {
		var sum float64
		ok := true
		for _, p := range s.Proba[i*k : i*k+k] {
			ok = ok && p >= 0 && p <= 1
			sum += p
		}
		switch {
		case !ok:
			outside.add(i)
		case t.Task != assay.Multilabel && math.Abs(sum-1) > sumTolerance:
			unsummed.add(i)
		}
	}
	addPlaces(bad, s.Name+" has a probability outside 0 to 1 or NaN", outside)
	addPlaces(bad, s.Name+" has probabilities that do not sum to 1", unsummed)
}

// sumTolerance is how far from 1 the probabilities of a row may sum: float32 models and rounded files stay within it.
const sumTolerance = 1e-3

// A place counts the rows with one problem and remembers the first of them.
type place struct{ count, first int }

func (p *place) add(row int) {
	if p.count++; p.count == 1 {
		p.first = row
	}
}

func addPlaces(bad *assay.Problems, what string, p place) {
	if p.count > 0 {
		bad.Add("%s in %d rows, the first is row %d", what, p.count, p.first+1)
	}
}

func notFinite(values []float64) (p place) {
	for i, v := range values {
		if math.IsNaN(v) || math.IsInf(v, 0) {
			p.add(i)
		}
	}
	return p
}
