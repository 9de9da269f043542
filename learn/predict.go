package learn

import (
	"encoding/json"
	"math"
	"sort"
	"strconv"

	"github.com/assay-ml/assay"
)

// A Prediction is what a model says about n rows. A classifier fills Classes and Labels, and Proba where it gives probabilities; a
// regressor fills Values.
type Prediction struct {
	Classes []string  // in the order of Proba's columns; integer classes in decimal
	Labels  []int32   // the predicted class of each row, an index into Classes
	Proba   []float64 // row-major, n × len(Classes)
	Values  []float64
	Clipped int // how many probabilities of a float32 output lay outside 0 to 1 by rounding alone, and were put at the bound (Clip)
}

// Rows returns the number of rows that were predicted.
func (p Prediction) Rows() int {
	if len(p.Labels) == 0 && len(p.Classes) > 0 { // of several labels a row
		return len(p.Proba) / len(p.Classes)
	}
	return max(len(p.Labels), len(p.Values))
}

// about is what a model says of itself: from its metadata where Assay wrote it, otherwise from the shape of its graph.
type about struct {
	Learner  string     `json:"learner,omitempty"`
	Task     assay.Task `json:"task,omitempty"`
	Target   string     `json:"target,omitempty"`
	Classes  []string   `json:"classes,omitempty"`
	Positive string     `json:"positive,omitempty"`
}

const aboutKey = "assay"

// readAbout looks for the classes of a classifier: in the metadata, then in the node that names them.
func readAbout(m *onnxModel, nodes []*onnxNode) about {
	var a about
	for _, kv := range m.metadata {
		if kv.key == aboutKey && json.Unmarshal([]byte(kv.value), &a) == nil && a.Learner != "" {
			return a
		}
	}
	for _, n := range nodes {
		for _, at := range n.attrs {
			switch {
			case at.name == "classlabels_strings" && len(at.strings) > 0:
				a.Classes = at.strings
			case (at.name == "classlabels_int64s" || at.name == "classlabels_ints") && len(at.ints) > 0:
				a.Classes = nil
				for _, v := range at.ints {
					a.Classes = append(a.Classes, strconv.FormatInt(v, 10))
				}
			}
		}
	}
	return a
}

// Classes returns the class labels in the order of the probabilities, or nil for a regressor or where the model does not say.
func (p *Program) Classes() []string { return append([]string(nil), p.about.Classes...) }

// Task returns the task that the model says it was trained for, or "" for a model that Assay did not write.
func (p *Program) Task() assay.Task { return p.about.Task }

// Positive returns the class that a binary model counts as positive, or "" where the model does not say.
func (p *Program) Positive() string { return p.about.Positive }

// Metadata returns the model's own notes by key.
func (p *Program) Metadata() map[string]string {
	out := map[string]string{}
	for _, kv := range p.model.metadata {
		out[kv.key] = kv.value
	}
	return out
}

// Inputs returns the columns that the model takes, as Predictor.Fields does.
func (p *Program) Inputs() []assay.Field { return p.predictor.Fields() }

// Predict runs the model on the rows of a frame, as Predictor.Predict does.
func (p *Program) Predict(x assay.Frame) (Prediction, error) { return p.predictor.Predict(x) }

// Predictor returns the program as a model of any format.
func (p *Program) Predictor() *Predictor { return p.predictor }

// interpret finds the label, the probabilities and the values among the outputs.
func (p *Predictor) interpret(out []*Tensor, n int) (Prediction, error) {
	var label, scores *Tensor
	for i := range p.out {
		t := out[i]
		rows := 0
		if len(t.Shape) > 0 {
			rows = t.Shape[0]
		}
		if rows != n || len(t.Shape) > 2 || p.out[i].Role == RoleMargin {
			continue
		}
		floats := t.Type == Float32 || t.Type == Float64
		switch {
		case !floats && label == nil && t.Len() == n:
			label = t
		case floats && scores == nil:
			scores = t
		}
	}
	if label == nil && scores == nil {
		return Prediction{}, assay.Errorf(assay.Invalid, "%s model: no output has one row for each of the %d rows", p.format, n)
	}
	var values []float64
	if scores != nil {
		d, _ := scores.asDoubles(nil)
		values = append(values, d...)
	}
	classes := p.classes
	if scores != nil && scores.Keys != nil {
		classes = keyStrings(scores.Keys)
	}
	if label == nil && len(values) == n && len(classes) == 0 {
		return Prediction{Values: values}, nil
	}
	clipped := 0
	if scores != nil && scores.Type == Float32 {
		clipped = Clip(values)
	}
	pred, err := classified(classes, label, values, n)
	pred.Clipped = clipped
	return pred, err
}

func keyStrings(t *Tensor) []string {
	if t.Type == String {
		return t.Strings
	}
	out := make([]string, len(t.Ints))
	for i, v := range t.Ints {
		out[i] = strconv.FormatInt(v, 10)
	}
	return out
}

// Float32Tolerance is how far outside 0 to 1 a probability of a float32 output may lie: the sum of a forest's shares, or one less such a
// sum, ends there by rounding alone. A float64 output has no such excuse.
const Float32Tolerance = 1e-6

// Clip puts the probabilities of a float32 output that are outside 0 to 1 by at most Float32Tolerance at the bound, and returns how many
// it moved. What is further out, and NaN, stays as it is, for the caller to refuse.
func Clip(proba []float64) int {
	moved := 0
	for i, v := range proba {
		switch {
		case v < 0 && v >= -Float32Tolerance:
			proba[i] = 0
			moved++
		case v > 1 && v <= 1+Float32Tolerance:
			proba[i] = 1
			moved++
		}
	}
	return moved
}

// Normalise makes probabilities that were rounded to float32 sum to 1 in float64, which metrics insist on. A row that is not one of
// probabilities stays as it is.
func Normalise(row []float64) {
	sum := 0.0
	for _, v := range row {
		if !(v >= 0) {
			return
		}
		sum += v
	}
	if math.Abs(sum-1) > 1e-5 {
		return
	}
	for i := range row {
		row[i] /= sum
	}
}

// classified makes a classifier's prediction; classes that the model does not name are its labels sorted, or 0 to k-1.
func classified(classes []string, label *Tensor, proba []float64, n int) (Prediction, error) {
	pred := Prediction{Classes: append([]string(nil), classes...), Labels: make([]int32, n), Proba: proba}
	k := len(proba) / n
	if len(pred.Classes) == 0 && proba != nil {
		for i := range max(k, 2) {
			pred.Classes = append(pred.Classes, strconv.Itoa(i))
		}
	}
	if proba != nil && k != len(pred.Classes) {
		return pred, assay.Errorf(assay.Invalid, "%d scores a row for %d classes", k, len(pred.Classes))
	}
	for i := range n {
		Normalise(proba[i*k : (i+1)*k])
	}
	if label == nil {
		for i := range n {
			for j := 1; j < k; j++ {
				if proba[i*k+j] > proba[i*k+int(pred.Labels[i])] {
					pred.Labels[i] = int32(j)
				}
			}
		}
		return pred, nil
	}
	names := keyStrings(label)
	if len(pred.Classes) == 0 {
		seen := map[string]bool{}
		for _, s := range names {
			if !seen[s] {
				seen[s] = true
				pred.Classes = append(pred.Classes, s)
			}
		}
		sort.Strings(pred.Classes)
	}
	index := indexOf(pred.Classes)
	for i, s := range names {
		at, ok := index[s]
		if !ok {
			return pred, assay.Errorf(assay.Invalid, "label %q is none of the classes %q", s, pred.Classes)
		}
		pred.Labels[i] = int32(at)
	}
	return pred, nil
}
