// Package monitor watches a version: it makes the plan by which traffic is held against frozen references, cuts traffic into windows,
// and judges each window.
//
// A reference is counts on fixed cells: the training part for features, held-out rows for predictions and labels. Beside it a bounded sample of training rows
// is kept for the tests of all columns together, as the numbers of the cells that their values lie in. A window
// is one grouped aggregate over a relation on the same cells. A signal moved when three things hold: chance alone would rarely do as
// much, given the number of rows and of signals (the level follows from the false alarms a year that the plan allows); the change is at
// least as large as the plan's floor; and there were enough rows. An alarm also asks that it holds for as many windows in a row as the plan says.
// Too few rows make a window undetermined, never unchanged, and no rows at all are an alarm.
//
// The package reads tables and computes; it writes no evidence and knows no store. Documents (blobs) are JSON: "assay.monitor.reference/1" holds a
// reference, "assay.monitor.window/1" the counts of a window in the same order.
package monitor

import (
	"bytes"
	"encoding/json"
	"math"
	"slices"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/stat"
)

// Scopes of signals.
const (
	ScopeInput      = "input"
	ScopePrediction = "prediction"
	ScopeLabel      = "label"
	ScopeJoint      = "joint"
	ScopeTraffic    = "traffic"
)

// Kinds of signals.
const (
	KindDistribution = "distribution" // how often each value comes
	KindMissing      = "missing"      // rows without a value, NaN included
	KindType         = "type"         // values that are not of the column's type
	KindUnseen       = "unseen"       // categories that the reference does not have
	KindRange        = "range"        // numbers below or above all of the reference, infinite ones included
	KindVolume       = "volume"       // rows
	KindRefused      = "refused"      // requests that the input schema refused, or that could not be read
	KindFailed       = "failed"       // requests without an answer, or with one that was not passed on
	KindLost         = "lost"         // rows that were answered and are not in the log
)

// Names of the references of a plan, in their order.
const (
	ReferenceFeatures    = "features"
	ReferencePredictions = "predictions"
	ReferenceLabels      = "labels"
	ReferenceEstimator   = "estimator" // what performance is estimated by before labels come
	ReferenceSample      = "sample"    // rows that windows are told from where all columns are looked at together
)

// EffectCohen names the effect size of all signals: √(8 ln 2) times the Jensen-Shannon distance in base 2, less what chance adds to it. For small
// changes it is Cohen's w (1988), of which 0.1 counts as small, 0.3 as medium and 0.5 as large; unlike w it is bounded, by 2.36, whatever an empty cell
// does.
const EffectCohen = "cohen_w"

// A Feature is one column of a reference or of a window: its cells, and how many rows fell into each.
type Feature struct {
	Name       string           `json:"name"`
	Type       assay.Type       `json:"type"`                 // of the column in the reference
	Edges      *stat.Edges      `json:"edges,omitempty"`      // of a numeric column
	Categories *stat.Categories `json:"categories,omitempty"` // of any other
	Counts     Counts           `json:"counts"`
	Stretches  [][]int64        `json:"stretches,omitempty"` // in each unit of time: counts by cell, then missing, NaN, positive and negative infinities, of another type; what came in one stretch alone counts as unseen
	Blocks     [][]int64        `json:"blocks,omitempty"`    // of a plan that was made before there were those: counts by cell
}

// presences is how many counts follow the cells in a unit of time.
const presences = 5

// Counts are the rows of a column by what they held.
type Counts struct {
	Cells      []int64 `json:"cells"`
	Missing    int64   `json:"missing"` // no value
	NaN        int64   `json:"nan"`
	PosInf     int64   `json:"positive_infinities"`
	NegInf     int64   `json:"negative_infinities"`
	TypeErrors int64   `json:"type_errors"` // values of another type
}

// Values is the number of rows with an ordinary value.
func (c Counts) Values() (n int64) {
	for _, x := range c.Cells {
		n += x
	}
	return n
}

// Rows is the number of all rows.
func (c Counts) Rows() int64 {
	return c.Values() + c.Missing + c.NaN + c.PosInf + c.NegInf + c.TypeErrors
}

// A Document is a frozen reference.
type Document struct {
	Format      string    `json:"format"`
	Rows        int64     `json:"rows"`
	UnitSeconds int64     `json:"unit_seconds,omitempty"` // of time, by which stretches are counted; 0: there are none
	Units       []int64   `json:"units,omitempty"`        // their numbers, from Monday, 1970-01-05 on, ascending
	Features    []Feature `json:"features"`
}

// A WindowDocument is what a window held, in the order of the references' features.
type WindowDocument struct {
	Format      string   `json:"format"`
	Features    []Counts `json:"features"`
	Predictions []Counts `json:"predictions"`
}

const (
	referenceFormat = "assay.monitor.reference/1"
	windowFormat    = "assay.monitor.window/1"
)

// ReadDocument reads a reference. It refuses unknown fields, another format, and features whose counts do not fit their cells.
func ReadDocument(b []byte) (*Document, error) {
	var d Document
	if err := strict(b, &d); err != nil {
		return nil, assay.Errorf(assay.Invalid, "the reference cannot be read: %w", err)
	}
	var bad assay.Problems
	if d.Format != referenceFormat {
		bad.Add("the format is %q, not %q", d.Format, referenceFormat)
	}
	for _, f := range d.Features {
		if (f.Edges == nil) == (f.Categories == nil) {
			bad.Add("feature %q has edges and categories, or neither", f.Name)
			continue
		}
		if !f.fits(f.Counts) {
			bad.Add("feature %q has counts that do not fit its %d cells", f.Name, f.Cells())
		}
		if n := len(f.Stretches); n > 0 && n != len(d.Units) {
			bad.Add("feature %q has counts of %d units of time, not %d", f.Name, n, len(d.Units))
		}
		for _, b := range slices.Concat(f.Stretches, f.Blocks) {
			if n := len(b) - f.Cells(); n != 0 && n != presences || slices.Min(b) < 0 {
				bad.Add("feature %q has counts of a unit of time that do not fit its %d cells", f.Name, f.Cells())
				break
			}
		}
	}
	for i, u := range d.Units {
		if i > 0 && u <= d.Units[i-1] {
			bad.Add("its units of time do not ascend")
			break
		}
	}
	return &d, bad.Err(assay.Invalid, "the reference cannot be used")
}

// before reads the stretches of a plan that was made when only their cells were counted, one after the other.
func (d *Document) before(seconds int64) {
	most := 0
	for _, f := range d.Features {
		most = max(most, len(f.Blocks))
	}
	if most == 0 || len(d.Units) > 0 {
		return
	}
	d.UnitSeconds, d.Units = seconds, make([]int64, most)
	for i := range d.Units {
		d.Units[i] = int64(i)
	}
	for i := range d.Features {
		f := &d.Features[i]
		for k := range most {
			unit := make([]int64, f.Cells()+presences)
			if k < len(f.Blocks) {
				copy(unit, f.Blocks[k])
			}
			f.Stretches = append(f.Stretches, unit)
		}
		f.Blocks = nil
	}
}

// ReadWindow reads the counts of a window. Whether they fit a reference is for the one who compares them.
func ReadWindow(b []byte) (*WindowDocument, error) {
	var d WindowDocument
	if err := strict(b, &d); err != nil {
		return nil, assay.Errorf(assay.Invalid, "the counts of the window cannot be read: %w", err)
	}
	if d.Format != windowFormat {
		return nil, assay.Errorf(assay.Invalid, "the counts of the window have format %q, not %q", d.Format, windowFormat)
	}
	return &d, nil
}

func strict(b []byte, v any) error {
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.DisallowUnknownFields()
	if err := dec.Decode(v); err != nil {
		return err
	}
	if dec.More() {
		return assay.Errorf(assay.Invalid, "more than one document")
	}
	return nil
}

// Cells is the number of cells of a feature.
func (f *Feature) Cells() int {
	if f.Edges != nil {
		return f.Edges.Cells()
	}
	return f.Categories.Cells()
}

func (f *Feature) fits(c Counts) bool {
	least := int64(0)
	for _, n := range append([]int64{c.Missing, c.NaN, c.PosInf, c.NegInf, c.TypeErrors}, c.Cells...) {
		least = min(least, n)
	}
	return least == 0 && len(c.Cells) == f.Cells()
}

func floats(n []int64) []float64 {
	out := make([]float64, len(n))
	for i, v := range n {
		out[i] = float64(v)
	}
	return out
}

// jsScale brings the squared Jensen-Shannon distance in base 2 to the square of Cohen's w.
const jsScale = 8 * math.Ln2

// effect estimates how far a window lies from the reference, in Cohen's w, from shares by cell, less what chance adds: mean and sd are those of
// the squared distance without drift. The interval is by the delta method; the variance without drift is added, for near no change the
// delta method alone would give none.
func effect(reference, window []float64, mean, sd float64) assay.Estimate {
	var n, m float64
	for i := range reference {
		n += reference[i]
		m += window[i]
	}
	js := stat.DriftJS.Of(reference, window, nil)
	if math.IsNaN(js) || math.IsNaN(mean) {
		return assay.Undefined("nothing to compare", int64(m))
	}
	var sum, square [2]float64
	for i := range reference {
		p := [2]float64{reference[i] / n, window[i] / m}
		mid := (p[0] + p[1]) / 2
		for s, x := range p {
			if x > 0 {
				g := math.Log2(x/mid) / 2
				sum[s] += x * g
				square[s] += x * g * g
			}
		}
	}
	v := sd*sd + math.Max(0, square[0]-sum[0]*sum[0])/n + math.Max(0, square[1]-sum[1]*sum[1])/m
	half := 1.959963984540054 * math.Sqrt(v)
	at := func(x float64) float64 { return math.Sqrt(jsScale * math.Max(0, x)) }
	d := js*js - mean
	return assay.Estimate{Value: at(d), Lo: at(d - half), Hi: at(d + half), Level: 0.95, Method: "delta", N: int64(m)}
}

// chance is the mean and the standard deviation of the squared distance of two samples from one distribution over so many cells.
func chance(cells int, n, m float64) (mean, sd float64) {
	k := float64(cells - 1)
	mean = k / jsScale * (1/n + 1/m)
	return mean, mean * math.Sqrt(2/math.Max(k, 1))
}

// sortSignals puts signals into the order of a plan: by scope, column, kind and test.
func sortSignals(s []assay.SignalPlan) {
	slices.SortStableFunc(s, func(a, b assay.SignalPlan) int {
		for _, pair := range [][2]string{{a.Scope, b.Scope}, {a.Column, b.Column}, {a.Kind, b.Kind}, {a.Test, b.Test}} {
			if pair[0] < pair[1] {
				return -1
			} else if pair[0] > pair[1] {
				return 1
			}
		}
		return 0
	})
}
