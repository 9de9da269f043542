package learn

import (
	"context"
	"fmt"
	"slices"

	"github.com/assay-ml/assay"
)

// An Evaluator computes the outputs of an ONNX model in place of this package, as ONNX Runtime does. It is safe for use by several
// goroutines.
type Evaluator interface {
	// Evaluate computes the outputs from the inputs, both in the order of the ports that it was made for. It neither changes the inputs
	// nor keeps them. Errors are Invalid, or that of the context when it ends first.
	Evaluate(ctx context.Context, in []*Tensor) ([]*Tensor, error)
	Close() error
}

// OpenWith is Open for an ONNX model that something else evaluates: start gets what the model takes and gives, and prepares it. The
// operators are its concern, so the model may use any that it knows. The shapes and types of ports are those of the file; an output
// that says nothing of its type has Type 0, and one that a Tensor cannot hold is left out. A file of another format is opened as by
// Open. The Predictor is to be closed.
func OpenWith(b []byte, limits Limits, start func(in, out []Port) (Evaluator, error)) (*Predictor, error) {
	limits = limits.orDefault()
	if sniff(b) != FormatONNX {
		return Open(b, limits)
	}
	if _, err := Inline(b, limits, nil); err != nil { // else the evaluator would look for the file
		return nil, err
	}
	m, err := outlineModel(b, limits)
	if err != nil {
		return nil, err
	}
	constant := map[string]bool{}
	for _, t := range m.graph.initializers {
		constant[t.name] = true
	}
	var inputs, outputs []valueInfo
	var problems assay.Problems
	for _, v := range m.graph.inputs {
		switch {
		case constant[v.name]:
		case v.sequence || v.keyType != 0 || v.elem == 0:
			problems.Add("input %q is no tensor", v.name)
		case !v.elem.known():
			problems.Add("input %q takes %s", v.name, v.elem)
		default:
			inputs = append(inputs, v)
		}
	}
	if err := problems.Err(assay.Unimplemented, "onnx model cannot be given its inputs"); err != nil {
		return nil, err
	}
	for _, v := range m.graph.outputs {
		if v.elem == 0 && !v.sequence || v.elem.known() && v.sequence == (v.keyType != 0) {
			outputs = append(outputs, v)
		}
	}
	if len(inputs) == 0 || len(outputs) == 0 {
		return nil, assay.Errorf(assay.Invalid, "onnx model has %d inputs and %d outputs that are tensors", len(inputs), len(outputs))
	}
	about := readAbout(m, m.graph.nodes)
	e := &external{}
	e.in, e.out = portsOf(inputs, outputs, about.Classes)
	if e.Evaluator, err = start(e.in, e.out); err != nil {
		return nil, err
	}
	p := newPredictor(FormatONNX, e, limits)
	p.task, p.positive = about.Task, about.Positive
	// Whether rows depend on each other is known of a model that this package could evaluate; any other gets all rows at once.
	if own, err := loadONNX(b, limits); err == nil {
		p.rowwise = own.predictor.rowwise
	}
	return p, nil
}

// known reports whether a Tensor can hold elements of the type.
func (t ElementType) known() bool {
	return t == Float32 || t == Float64 || t == String || t.integral()
}

// external is an engine outside of this package.
type external struct {
	Evaluator
	in, out []Port
}

// ports implements engine.
func (e *external) ports() (in, out []Port) { return e.in, e.out }

// execute implements engine. What comes from outside is held against the ports before anybody reads it.
func (e *external) execute(m *memory, in, out []*Tensor) error {
	got, err := e.Evaluate(m.ctx, in)
	if err != nil {
		return err
	}
	if len(got) != len(e.out) {
		return assay.Errorf(assay.Internal, "the evaluator gave %d outputs of %d", len(got), len(e.out))
	}
	for i, t := range got {
		if err := e.out[i].fits(t); err != nil {
			return assay.Errorf(assay.Invalid, "output %q: %w", e.out[i].Name, err)
		}
		if err := m.spend(int64(t.Len()) * t.Type.elementBytes()); err != nil {
			return assay.Errorf(assay.Invalid, "output %q: %w", e.out[i].Name, err)
		}
		out[i] = t
	}
	return nil
}

// fits checks a tensor that came from outside, and brings the keys of maps into the order of the classes.
func (p *Port) fits(t *Tensor) error {
	if err := t.check(); err != nil {
		return err
	}
	switch {
	case (t.Keys != nil) != p.Keys:
		return fmt.Errorf("it is a sequence of maps: %v, as the model says: %v", t.Keys != nil, p.Keys)
	case p.Type != 0 && t.Type != p.Type:
		return fmt.Errorf("it holds %s, the model says %s", t.Type, p.Type)
	case t.Keys == nil || len(p.Classes) == 0:
		return nil
	}
	return t.arrange(p.Classes)
}

// arrange brings the columns of a sequence of maps into the order of the given keys, which must be all of them.
func (t *Tensor) arrange(keys []string) error {
	if len(t.Shape) != 2 || t.Keys.Len() != t.Shape[1] {
		return fmt.Errorf("%d keys for shape %s", t.Keys.Len(), shapeString(t.Shape))
	}
	if t.Shape[0] == 0 {
		return nil
	}
	have := keyStrings(t.Keys)
	if slices.Equal(have, keys) {
		return nil
	}
	from := make([]int, len(keys))
	for i, k := range keys {
		if from[i] = slices.Index(have, k); from[i] < 0 {
			return fmt.Errorf("the maps lack a class of the model")
		}
	}
	if len(have) != len(keys) {
		return fmt.Errorf("the maps have %d keys for %d classes", len(have), len(keys))
	}
	switch t.Keys.Type {
	case String:
		t.Keys.Strings = permuted(t.Keys.Strings, from)
	default:
		t.Keys.Ints = permuted(t.Keys.Ints, from)
	}
	t.Floats, t.Doubles = permuted(t.Floats, from), permuted(t.Doubles, from)
	return nil
}

// permuted puts column from[j] of each row into column j.
func permuted[T any](v []T, from []int) []T {
	out := make([]T, len(v))
	for i := 0; i < len(v); i += len(from) {
		for j, k := range from {
			out[i+j] = v[i+k]
		}
	}
	return out
}
