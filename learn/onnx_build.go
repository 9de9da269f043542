package learn

import (
	"encoding/json"
	"fmt"
	"strconv"

	"github.com/assay-ml/assay"
)

// A graphBuilder assembles a graph node by node. Names of intermediate tensors never clash with columns of the table.
type graphBuilder struct {
	graph onnxGraph
	taken map[string]bool
	count map[string]int
}

func newGraphBuilder(name string) *graphBuilder {
	return &graphBuilder{graph: onnxGraph{name: name}, taken: map[string]bool{}, count: map[string]int{}}
}

// fresh returns an unused name that starts with stem.
func (b *graphBuilder) fresh(stem string) string {
	for {
		b.count[stem]++
		name := stem
		if n := b.count[stem]; n > 1 {
			name += "_" + strconv.Itoa(n)
		}
		if !b.taken[name] {
			b.taken[name] = true
			return name
		}
	}
}

// column declares one input column of shape [rows, 1].
func (b *graphBuilder) column(name string, elem ElementType) {
	b.taken[name] = true
	b.graph.inputs = append(b.graph.inputs, valueInfo{name: name, elem: elem, hasShape: true, dims: []dim{{name: "rows"}, {size: 1}}})
}

func (b *graphBuilder) constant(stem string, t *Tensor) string {
	name := b.fresh(stem)
	b.graph.initializers = append(b.graph.initializers, namedTensor{name, t})
	return name
}

// node adds a node with one output, named after stem, and returns that name.
func (b *graphBuilder) node(stem, domain, op string, inputs []string, attrs ...*attribute) string {
	out := b.fresh(stem)
	b.nodeTo(out, domain, op, inputs, attrs...)
	return out
}

func (b *graphBuilder) nodeTo(out, domain, op string, inputs []string, attrs ...*attribute) {
	b.graph.nodes = append(b.graph.nodes, &onnxNode{name: "make_" + out, op: op, domain: domain, inputs: inputs, outputs: []string{out}, attrs: attrs})
}

// output names an output of the graph: the wanted name unless a column has it.
func (b *graphBuilder) output(want, otherwise string, elem ElementType, dims ...dim) string {
	if b.taken[want] {
		want = b.fresh(otherwise)
	}
	b.taken[want] = true
	b.graph.outputs = append(b.graph.outputs, valueInfo{name: want, elem: elem, hasShape: true, dims: append([]dim{{name: "rows"}}, dims...)})
	return want
}

func intAttr(name string, v int64) *attribute { return &attribute{name: name, kind: attrInt, i: v} }
func floatAttr(name string, v float32) *attribute {
	return &attribute{name: name, kind: attrFloat, f: v}
}

func floatsAttr(name string, v []float32) *attribute {
	return &attribute{name: name, kind: attrFloats, floats: v}
}

func intsAttr(name string, v []int64) *attribute {
	return &attribute{name: name, kind: attrInts, ints: v}
}

func stringsAttr(name string, v []string) *attribute {
	return &attribute{name: name, kind: attrStrings, strings: v}
}
func stringAttr(name, v string) *attribute { return &attribute{name: name, kind: attrString, s: v} }

// integerClasses returns the class labels as integers when the target is one and every label reads back the same.
func (t Target) integerClasses() ([]int64, bool) {
	if t.Type != assay.TypeInteger {
		return nil, false
	}
	out := make([]int64, len(t.Classes))
	for i, c := range t.Classes {
		v, err := strconv.ParseInt(c, 10, 64)
		if err != nil || strconv.FormatInt(v, 10) != c {
			return nil, false
		}
		out[i] = v
	}
	return out, true
}

// classOutputs ends a classifier's graph: "probabilities" as given, and "label", the class of the largest of them.
func (b *graphBuilder) classOutputs(t Target, probabilities func(out string)) {
	whole, isInt := t.integerClasses()
	elem := String
	if isInt {
		elem = Int64
	}
	label := b.output("label", "output_label", elem)
	proba := b.output("probabilities", "output_probability", Float32, dim{size: int64(len(t.Classes))})
	probabilities(proba)
	best := b.node("best", "", "ArgMax", []string{proba}, intAttr("axis", 1), intAttr("keepdims", 0))
	keys := make([]int64, len(t.Classes))
	for i := range keys {
		keys[i] = int64(i)
	}
	if isInt {
		b.nodeTo(label, domainML, "LabelEncoder", []string{best}, intsAttr("keys_int64s", keys), intsAttr("values_int64s", whole))
		return
	}
	b.nodeTo(label, domainML, "LabelEncoder", []string{best}, intsAttr("keys_int64s", keys), stringsAttr("values_strings", t.Classes), stringAttr("default_string", ""))
}

// valueOutput declares the output of a regressor.
func (b *graphBuilder) valueOutput() string {
	return b.output("value", "output_value", Float32, dim{size: 1})
}

func (b *graphBuilder) model(spec Spec) (*onnxModel, error) {
	a := about{Learner: spec.Learner, Task: spec.Task, Target: spec.Target.Name}
	if spec.Task.Classifies() {
		a.Classes, a.Positive = spec.Target.Classes, spec.Target.Positive
	}
	if spec.Task == assay.Binary && a.Positive == "" {
		a.Positive = a.Classes[1]
	}
	meta, err := json.Marshal(a)
	if err != nil {
		return nil, fmt.Errorf("describe the model: %w", err)
	}
	return &onnxModel{
		ir: irVersion, producer: "assay", opsets: map[string]int64{"": opsetMain, domainML: opsetML},
		metadata: []keyValue{{aboutKey, string(meta)}}, graph: &b.graph,
	}, nil
}
