package learn

import (
	"encoding/json"
	"fmt"
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
}

// Rows returns the number of rows that were predicted.
func (p Prediction) Rows() int { return max(len(p.Labels), len(p.Values)) }

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

// Inputs returns the columns that the model takes, in order, as fields of a table. A model with a single matrix input, as exporters
// write it, has one field for the whole matrix.
func (p *Program) Inputs() []assay.Field {
	out := make([]assay.Field, len(p.inputs))
	for i, in := range p.inputs {
		typ := assay.TypeNumber
		switch {
		case in.elem == String:
			typ = assay.TypeString
		case in.elem == Bool:
			typ = assay.TypeBoolean
		case in.elem.integral():
			typ = assay.TypeInteger
		}
		out[i] = assay.Field{Name: in.name, Type: typ}
	}
	return out
}

// Predict runs the model on the rows of a frame. Each input takes the column of its name; columns that the model does not know are
// ignored. A model with one matrix input takes the frame's columns in their order. A missing string is handed over as "", a missing
// number as NaN; an integer input refuses missing values. It refuses, naming all of them, columns that are absent or of another type.
func (p *Program) Predict(x assay.Frame) (Prediction, error) {
	if x.Rows() == 0 {
		return Prediction{Classes: p.Classes()}, nil
	}
	inputs, err := p.tensors(x)
	if err != nil {
		return Prediction{}, err
	}
	out, err := p.Run(inputs)
	if err != nil {
		return Prediction{}, err
	}
	return p.interpret(out, x.Rows())
}

func (p *Program) tensors(x assay.Frame) (map[string]*Tensor, error) {
	if len(p.inputs) == 1 && len(p.inputs[0].dims) == 2 && (p.inputs[0].dims[1].size > 1 || x.Column(p.inputs[0].name) == nil) {
		return p.matrixInput(x)
	}
	inputs := map[string]*Tensor{}
	var problems assay.Problems
	for _, in := range p.inputs {
		c := x.Column(in.name)
		if c == nil {
			names := make([]string, len(x))
			for i := range x {
				names[i] = x[i].Name
			}
			problems.Add("column %q is missing%s", in.name, didYouMean(in.name, names))
			continue
		}
		t, err := columnTensor(c, in.elem)
		if err != nil {
			problems.Add("column %q %v", in.name, err)
			continue
		}
		if len(in.dims) == 2 {
			t.Shape = []int{c.Len(), 1}
		}
		inputs[in.name] = t
	}
	return inputs, problems.Err(assay.Invalid, "the table does not fit the model")
}

// matrixInput puts the frame's columns side by side.
func (p *Program) matrixInput(x assay.Frame) (map[string]*Tensor, error) {
	in := p.inputs[0]
	if n := in.dims[1].size; n > 0 && int(n) != len(x) {
		return nil, assay.Errorf(assay.Invalid, "the table does not fit the model: input %q takes %d columns, the table has %d", in.name, n, len(x))
	}
	out := newTensor(in.elem, x.Rows(), len(x))
	var problems assay.Problems
	for j := range x {
		t, err := columnTensor(&x[j], in.elem)
		if err != nil {
			problems.Add("column %q %v", x[j].Name, err)
			continue
		}
		for i := range t.Len() {
			out.copyElement(i*len(x)+j, t, i)
		}
	}
	return map[string]*Tensor{in.name: out}, problems.Err(assay.Invalid, "the table does not fit the model")
}

// columnTensor converts a column to a vector of the wanted type.
func columnTensor(c *assay.Column, typ ElementType) (*Tensor, error) {
	out := newTensor(typ, c.Len())
	if (c.Codes != nil) != (typ == String) {
		kind := "numbers"
		if c.Codes != nil {
			kind = "strings"
		}
		return nil, fmt.Errorf("holds %s, the model takes %s", kind, typ)
	}
	switch {
	case typ == String:
		for i, code := range c.Codes {
			if code >= 0 {
				out.Strings[i] = c.Levels[code]
			}
		}
	case typ == Float32:
		for i, v := range c.Floats {
			out.Floats[i] = float32(v)
		}
	case typ == Float64:
		copy(out.Doubles, c.Floats)
	case typ.integral():
		bad := 0
		for i, v := range c.Floats {
			if v != math.Trunc(v) || math.Abs(v) >= 1<<63 {
				bad++
				continue
			}
			out.Ints[i] = int64(v)
		}
		if bad > 0 {
			return nil, fmt.Errorf("has %d values that are missing or not whole, the model takes %s", bad, typ)
		}
	default:
		return nil, fmt.Errorf("cannot be given as %s", typ)
	}
	return out, nil
}

// interpret finds the label, the probabilities and the values among the outputs of a graph.
func (p *Program) interpret(out map[string]*Tensor, n int) (Prediction, error) {
	var label, scores *Tensor
	for _, o := range p.model.graph.outputs {
		t := out[o.name]
		rows := 0
		if len(t.Shape) > 0 {
			rows = t.Shape[0]
		}
		if rows != n || len(t.Shape) > 2 {
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
		return Prediction{}, assay.Errorf(assay.Invalid, "onnx model: no output has one row for each of the %d rows", n)
	}
	var values []float64
	if scores != nil {
		values, _ = scores.toDoubles()
	}
	classes := p.about.Classes
	if scores != nil && scores.Keys != nil {
		classes = keyStrings(scores.Keys)
	}
	if label == nil && len(values) == n && len(classes) == 0 {
		return Prediction{Values: values}, nil
	}
	return classified(classes, label, values, n)
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

// normalise makes probabilities that were rounded to float32 sum to 1 in float64, which metrics insist on. A row that is not one of
// probabilities stays as it is.
func normalise(row []float64) {
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
		return pred, assay.Errorf(assay.Invalid, "onnx model: %d scores a row for %d classes", k, len(pred.Classes))
	}
	for i := range n {
		normalise(proba[i*k : (i+1)*k])
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
			return pred, assay.Errorf(assay.Invalid, "onnx model: label %q is none of the classes %q", s, pred.Classes)
		}
		pred.Labels[i] = int32(at)
	}
	return pred, nil
}
