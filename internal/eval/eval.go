// Package eval judges predictions: metrics with intervals beside a baseline, slices, group fairness, calibration, curves, and the paired
// comparison of two models on the same rows.
//
// It takes predictions, not models: whoever calls it has scored the rows. It reads no file, keeps no state and discloses nothing; the
// seal and its ledger belong to the store. No bare number leaves it: whatever decides is an assay.Estimate.
package eval

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/metric"
)

// Defaults of Options.
const (
	DefaultLevel        = 0.95
	DefaultReplicates   = 2000
	DefaultThreshold    = 0.5
	DefaultMinRows      = 30 // of a slice
	DefaultMinPositives = 5  // of a slice, and as many negatives
)

// Truth is what is known about the rows, in a fixed order.
type Truth struct {
	Task     assay.Task
	Classes  []string  // in the order of the probability columns
	Positive int       // index of the positive class of a binary task
	Class    []int32   // classification: index into Classes, one a row
	Value    []float64 // regression: one a row
	Columns  assay.Frame
	Entity   []int32 // codes from 0; nil when rows are independent
	Name     string  // of the entity column
}

// N is the number of rows.
func (t *Truth) N() int { return max(len(t.Class), len(t.Value)) }

// Scores are the predictions of one model or baseline for the rows of a Truth.
type Scores struct {
	Name  string
	Proba []float64 // classification: row-major, one column for each class
	Label []int32   // classification: index into Classes; nil: by threshold (binary) or the largest probability
	Value []float64 // regression
}

// Options say what is computed and how sure it must be. The zero value is the default.
type Options struct {
	Metrics      []string
	Primary      string
	Business     *Business
	Slices       []string
	Sensitive    []string // columns whose groups must be treated fairly
	Threshold    float64  // of the positive probability; 0 means DefaultThreshold
	Level        float64
	Replicates   int
	Seed         uint64
	Threads      int
	MinRows      int64
	MinPositives int64
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
	if o.MinPositives == 0 {
		o.MinPositives = DefaultMinPositives
	}
	return o
}

// check reports every problem of the input at once; it never names a row's content.
func check(t *Truth, o Options, scores ...*Scores) error {
	var bad assay.Problems
	n := t.N()
	if n == 0 {
		return assay.Errorf(assay.Rejected, "no rows to evaluate")
	}
	if t.Task.Classifies() {
		if len(t.Classes) < 2 {
			bad.Add("%d classes; want at least 2", len(t.Classes))
		}
		if t.Task == assay.Binary && (len(t.Classes) != 2 || t.Positive < 0 || t.Positive > 1) {
			bad.Add("a binary task needs 2 classes and which is positive; got %d", len(t.Classes))
		}
		for i, c := range t.Class {
			if c < 0 || int(c) >= len(t.Classes) {
				bad.Add("row %d has a class that is none of %s", i+1, strings.Join(t.Classes, ", "))
				break
			}
		}
	} else {
		for i, v := range t.Value {
			if math.IsNaN(v) || math.IsInf(v, 0) {
				bad.Add("the target of row %d is not a finite number", i+1)
				break
			}
		}
	}
	for _, s := range scores {
		s.check(t, &bad)
	}
	if t.Entity != nil && len(t.Entity) != n {
		bad.Add("%d entity codes for %d rows", len(t.Entity), n)
	}
	if len(t.Columns) > 0 && t.Columns.Rows() != n {
		bad.Add("%d rows of columns for %d rows", t.Columns.Rows(), n)
	}
	if len(o.Metrics) == 0 {
		bad.Add("no metric is asked for")
	}
	for _, m := range o.Metrics {
		if _, ok := metric.Lookup(m); !ok {
			bad.Add("unknown metric %q", m)
		} else if _, ok := families[m]; !ok {
			bad.Add("metric %q has no interval here; those that have one are %s", m, strings.Join(Metrics(t.Task), ", "))
		} else if !slices.Contains(Metrics(t.Task), m) {
			bad.Add("metric %q does not fit a %s task; those that do are %s", m, t.Task, strings.Join(Metrics(t.Task), ", "))
		}
	}
	if o.Primary != "" && !slices.Contains(o.Metrics, o.Primary) {
		bad.Add("the primary metric %q is not among the metrics", o.Primary)
	}
	return bad.Err(assay.Rejected, "cannot evaluate")
}

func (s *Scores) check(t *Truth, bad *assay.Problems) {
	n := t.N()
	if !t.Task.Classifies() {
		if len(s.Value) != n {
			bad.Add("%s has %d predictions for %d rows", s.Name, len(s.Value), n)
			return
		}
		wrong, first := 0, 0
		for i, v := range s.Value {
			if math.IsNaN(v) || math.IsInf(v, 0) {
				if wrong++; wrong == 1 {
					first = i + 1
				}
			}
		}
		if wrong > 0 {
			bad.Add("%s predicts no finite number in %d rows, the first is row %d", s.Name, wrong, first)
		}
		return
	}
	k := len(t.Classes)
	if len(s.Proba) != n*k {
		bad.Add("%s has %d probabilities for %d rows of %d classes", s.Name, len(s.Proba), n, k)
		return
	}
	outside, unsummed, firstOut, firstSum := 0, 0, 0, 0
	for i := range n {
		var sum float64
		ok := true
		for _, p := range s.Proba[i*k : i*k+k] {
			if !(p >= 0 && p <= 1) {
				ok = false
			}
			sum += p
		}
		switch {
		case !ok:
			if outside++; outside == 1 {
				firstOut = i + 1
			}
		case math.Abs(sum-1) > 1e-3:
			if unsummed++; unsummed == 1 {
				firstSum = i + 1
			}
		}
	}
	if outside > 0 {
		bad.Add("%s has probabilities outside 0 to 1 or NaN in %d rows, the first is row %d", s.Name, outside, firstOut)
	}
	if unsummed > 0 {
		bad.Add("%s has probabilities that do not sum to 1 in %d rows, the first is row %d", s.Name, unsummed, firstSum)
	}
	if s.Label != nil && len(s.Label) != n {
		bad.Add("%s has %d labels for %d rows", s.Name, len(s.Label), n)
	}
}

// prepared is one model's predictions in the forms that the metrics need.
type prepared struct {
	score []float64 // probability of the positive class (binary)
	proba []float64
	label []int32
	value []float64
	order []int32 // rows by ascending score; nil unless binary
}

func prepare(t *Truth, s *Scores, threshold float64) *prepared {
	p := &prepared{proba: s.Proba, label: s.Label, value: s.Value}
	if !t.Task.Classifies() {
		return p
	}
	n, k := t.N(), len(t.Classes)
	if t.Task == assay.Binary {
		p.score = make([]float64, n)
		for i := range n {
			p.score[i] = s.Proba[i*k+t.Positive]
		}
		p.order = ascending(p.score)
	}
	if p.label == nil {
		p.label = make([]int32, n)
		for i := range n {
			if t.Task == assay.Binary {
				p.label[i] = int32(1 - t.Positive)
				if p.score[i] >= threshold {
					p.label[i] = int32(t.Positive)
				}
				continue
			}
			row := s.Proba[i*k : i*k+k]
			for c, v := range row {
				if v > row[p.label[i]] {
					p.label[i] = int32(c)
				}
			}
		}
	}
	return p
}

// ascending sorts row numbers by score; equal scores keep their order.
func ascending(score []float64) []int32 {
	order := make([]int32, len(score))
	for i := range order {
		order[i] = int32(i)
	}
	slices.SortStableFunc(order, func(a, b int32) int {
		switch {
		case score[a] < score[b]:
			return -1
		case score[a] > score[b]:
			return 1
		}
		return 0
	})
	return order
}

// definition returns the id under which a metric is stored.
func definition(name string) (metric.Definition, error) {
	d, ok := metric.Lookup(name)
	if !ok {
		return d, fmt.Errorf("unknown metric %q", name)
	}
	return d, nil
}
