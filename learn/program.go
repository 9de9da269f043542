package learn

import (
	"fmt"
	"slices"
	"sort"
	"strings"

	"github.com/assay-ml/assay"
)

// A Program is an ONNX model ready to run. It is immutable and safe for use by several goroutines.
type Program struct {
	model   *onnxModel
	inputs  []valueInfo // without those that an initializer gives a value
	steps   []step
	names   []string  // of the slots
	preset  []*Tensor // initializers, by slot
	inSlot  []int     // by input
	outSlot []int     // by output of the graph
	about   about
	limits  Limits

	cautions  []string
	predictor *Predictor // around this program
}

// A step runs one node. A slot of -1 is an input or output left out.
type step struct {
	node *onnxNode
	in   []int
	out  []int
	free []int // slots that nothing reads later
	run  kernel
}

// A kernel computes a node's outputs, which live in m; an input left out is nil. It never changes its inputs.
type kernel func(m *memory, in []*Tensor) ([]*Tensor, error)

// LoadONNX reads a model and prepares it to run. It refuses, naming the node and the operator, what the evaluator does not know; it
// names the tensor that nothing produces, the nodes of a cycle, and the byte at which a damaged file ends making sense.
func LoadONNX(b []byte) (*Program, error) { return loadONNX(b, Limits{}.orDefault()) }

func loadONNX(b []byte, limits Limits) (*Program, error) {
	m, err := decodeModel(b, limits)
	if err != nil {
		return nil, err
	}
	return newProgram(m, limits)
}

func newProgram(m *onnxModel, limits Limits) (*Program, error) {
	p := &Program{model: m, limits: limits}
	slots := map[string]int{}
	slot := func(name string) int {
		if name == "" {
			return -1
		}
		s, ok := slots[name]
		if !ok {
			s = len(p.names)
			slots[name] = s
			p.names = append(p.names, name)
			p.preset = append(p.preset, nil)
		}
		return s
	}
	ready := map[string]bool{"": true}
	for _, t := range m.graph.initializers {
		if t.name == "" {
			return nil, assay.Errorf(assay.Invalid, "onnx model: an initializer has no name")
		}
		p.preset[slot(t.name)] = t.tensor
		ready[t.name] = true
	}
	for _, in := range m.graph.inputs {
		if in.name == "" {
			return nil, assay.Errorf(assay.Invalid, "onnx model: an input has no name")
		}
		if ready[in.name] {
			continue
		}
		ready[in.name] = true
		p.inputs = append(p.inputs, in)
		p.inSlot = append(p.inSlot, slot(in.name))
	}
	order, err := sortNodes(m.graph, ready)
	if err != nil {
		return nil, err
	}
	if len(m.graph.outputs) == 0 {
		return nil, assay.Errorf(assay.Invalid, "onnx model has no output")
	}
	var problems assay.Problems
	table := operatorTable()
	for _, n := range order {
		s := step{node: n}
		for _, name := range n.reads() {
			s.in = append(s.in, slot(name))
		}
		for _, name := range n.outputs {
			s.out = append(s.out, slot(name))
		}
		c := &nodeContext{table: table, node: n, opsets: m.opsets, limits: limits, used: map[string]bool{}}
		for _, in := range s.in {
			c.constants = append(c.constants, p.constant(in))
		}
		if err := c.compile(&s.run); err != nil {
			problems.Add("%s: %v", n.describe(), err)
		}
		for _, text := range c.cautions {
			p.cautions = append(p.cautions, n.describe()+": "+text)
		}
		p.steps = append(p.steps, s)
	}
	if err := problems.Err(assay.Unimplemented, "onnx model cannot run"); err != nil {
		return nil, err
	}
	for _, out := range m.graph.outputs {
		if !ready[out.name] || out.name == "" {
			return nil, assay.Errorf(assay.Invalid, "onnx model: nothing produces output %q", out.name)
		}
		p.outSlot = append(p.outSlot, slot(out.name))
	}
	p.planFrees()
	p.about = readAbout(m, order)
	p.predictor = newPredictor(FormatONNX, p, limits)
	p.predictor.rowwise = p.rowwise() && !p.predictor.labelsOnly()
	p.predictor.program, p.predictor.task, p.predictor.positive = p, p.about.Task, p.about.Positive
	return p, nil
}

// reads returns the inputs of a node and what the graphs inside it capture.
func (n *onnxNode) reads() []string {
	for _, a := range n.attrs {
		if a.graph != nil {
			return append(slices.Clone(n.inputs), n.captures()...)
		}
	}
	return n.inputs
}

// labelsOnly reports whether the classes are not known before all rows have been seen.
func (p *Predictor) labelsOnly() bool {
	for _, out := range p.out {
		if out.Role == RoleProbability {
			return len(out.Classes) == 0 && !out.Keys
		}
	}
	for _, out := range p.out {
		if out.Role == RoleLabel {
			return true
		}
	}
	return false
}

// describe names a node the way its errors do: one without a name by its first output.
func (n *onnxNode) describe() string {
	op := n.op
	if n.domain != "" {
		op = n.domain + "." + op
	}
	if n.name == "" && len(n.outputs) > 0 {
		return fmt.Sprintf("the node of %q (%s)", n.outputs[0], op)
	}
	return fmt.Sprintf("node %q (%s)", n.name, op)
}

func (p *Program) constant(slot int) *Tensor {
	if slot < 0 {
		return nil
	}
	return p.preset[slot]
}

// sortNodes orders the nodes so that each comes after those that produce its inputs, and adds their outputs to ready.
func sortNodes(g *onnxGraph, ready map[string]bool) ([]*onnxNode, error) {
	produced := map[string]bool{}
	consumers := map[string][]int{}
	missing := make([]int, len(g.nodes))
	for _, n := range g.nodes {
		for _, out := range n.outputs {
			if out == "" {
				continue
			}
			if produced[out] || ready[out] {
				return nil, assay.Errorf(assay.Invalid, "onnx model: tensor %q is produced twice, the second time by %s", out, n.describe())
			}
			produced[out] = true
		}
	}
	var queue []int
	for i, n := range g.nodes {
		for _, in := range n.reads() {
			if ready[in] {
				continue
			}
			if !produced[in] {
				return nil, assay.Errorf(assay.Invalid, "onnx model: nothing produces tensor %q, an input of %s", in, n.describe())
			}
			consumers[in] = append(consumers[in], i)
			missing[i]++
		}
		if missing[i] == 0 {
			queue = append(queue, i)
		}
	}
	var order []*onnxNode
	for len(queue) > 0 {
		n := g.nodes[queue[0]]
		queue = queue[1:]
		order = append(order, n)
		for _, out := range n.outputs {
			ready[out] = true
			for _, c := range consumers[out] {
				if missing[c]--; missing[c] == 0 {
					queue = append(queue, c)
				}
			}
		}
	}
	if len(order) < len(g.nodes) {
		var stuck []string
		for i, n := range g.nodes {
			if missing[i] > 0 && len(stuck) < 5 {
				stuck = append(stuck, n.describe())
			}
		}
		return nil, assay.Errorf(assay.Invalid, "onnx model: the graph has a cycle through %s", strings.Join(stuck, ", "))
	}
	return order, nil
}

// planFrees lets each step drop what no later step and no output of the graph reads.
func (p *Program) planFrees() {
	last := make([]int, len(p.names))
	for i := range last {
		last[i] = -1
	}
	for i, s := range p.steps {
		for _, in := range s.in {
			if in >= 0 {
				last[in] = i
			}
		}
	}
	for _, out := range p.outSlot {
		last[out] = -1
	}
	for v, i := range last {
		if i >= 0 && p.preset[v] == nil {
			p.steps[i].free = append(p.steps[i].free, v)
		}
	}
}

// Run computes the outputs of the graph, by name, from its inputs, by name. It refuses a missing or unknown input, and one whose
// type or shape is not the declared one. The tensors of inputs are not changed and may be shared with the outputs.
func (p *Program) Run(inputs map[string]*Tensor) (map[string]*Tensor, error) {
	if err := p.checkInputs(inputs); err != nil {
		return nil, err
	}
	in, out := make([]*Tensor, len(p.inputs)), make([]*Tensor, len(p.outSlot))
	for i, port := range p.inputs {
		in[i] = inputs[port.name]
	}
	if err := p.execute(&memory{limit: p.limits.RunBytes}, in, out); err != nil {
		return nil, err
	}
	named := make(map[string]*Tensor, len(out))
	for i, t := range out {
		named[p.model.graph.outputs[i].name] = t
	}
	return named, nil
}

// execute implements engine.
func (p *Program) execute(m *memory, in, out []*Tensor) error {
	values := m.list(p.preset...)
	for i, t := range in {
		values[p.inSlot[i]] = t
	}
	if err := p.run(m, values); err != nil {
		return err
	}
	for i, s := range p.outSlot {
		out[i] = values[s]
	}
	return nil
}

func (p *Program) run(m *memory, values []*Tensor) error {
	for i := range p.steps {
		s := &p.steps[i]
		in := m.lists.take(len(s.in))
		for j, v := range s.in {
			if v >= 0 {
				in[j] = values[v]
			}
		}
		out, err := s.run(m, in)
		if err != nil {
			return assay.Errorf(assay.Invalid, "onnx model: %s: %w", s.node.describe(), err)
		}
		for j, v := range s.out {
			if v >= 0 && j < len(out) {
				values[v] = out[j]
			} else if v >= 0 {
				return assay.Errorf(assay.Invalid, "onnx model: %s has no output %d", s.node.describe(), j)
			}
		}
		for _, v := range s.free {
			values[v] = nil
		}
	}
	return nil
}

// ports implements engine.
func (p *Program) ports() (in, out []Port) {
	return portsOf(p.inputs, p.model.graph.outputs, p.about.Classes)
}

// portsOf tells what inputs and outputs are for from their types: the first output that is not of floats is the label, the first of
// floats the probabilities where the model has classes or a label, and the value otherwise.
func portsOf(inputs, outputs []valueInfo, classes []string) (in, out []Port) {
	for _, v := range inputs {
		in = append(in, v.port())
	}
	labelled := false
	for _, v := range outputs {
		labelled = labelled || v.elem == String || v.elem.integral()
	}
	var seenLabel, seenScores bool
	for _, v := range outputs {
		port := v.port()
		floats := v.elem == Float32 || v.elem == Float64 || v.elem == 0 || port.Keys
		switch {
		case !floats && !seenLabel && len(v.dims) <= 2:
			port.Role, seenLabel = RoleLabel, true
		case floats && !seenScores && len(v.dims) <= 2:
			seenScores = true
			if port.Role = RoleValue; labelled || len(classes) > 0 {
				port.Role, port.Classes = RoleProbability, classes
			}
		default:
			port.Role = RoleOther
		}
		out = append(out, port)
	}
	return in, out
}

func (v *valueInfo) port() Port {
	p := Port{Name: v.name, Type: v.elem, Keys: v.keyType != 0}
	if v.hasShape && !p.Keys {
		p.Shape = make([]int, len(v.dims))
		for i, d := range v.dims {
			if p.Shape[i] = int(d.size); d.name != "" || d.size <= 0 {
				p.Shape[i] = -1
			}
		}
	}
	return p
}

func (p *Program) checkInputs(inputs map[string]*Tensor) error {
	var problems assay.Problems
	known := map[string]bool{}
	sizes := map[string]int{}
	for _, in := range p.inputs {
		known[in.name] = true
		t := inputs[in.name]
		if t == nil {
			problems.Add("input %q is missing", in.name)
			continue
		}
		if err := t.check(); err != nil {
			problems.Add("input %q: %v", in.name, err)
			continue
		}
		if in.elem != 0 && t.Type != in.elem {
			problems.Add("input %q is %s, the model takes %s", in.name, t.Type, in.elem)
		}
		if in.hasShape && !shapeFits(in.dims, t.Shape, sizes) {
			problems.Add("input %q has shape %s, the model takes %s", in.name, shapeString(t.Shape), dimsString(in.dims))
		}
	}
	names := make([]string, 0, len(inputs))
	for name := range inputs {
		names = append(names, name)
	}
	sort.Strings(names)
	for _, name := range names {
		if !known[name] {
			problems.Add("input %q is not one of the model's", name)
		}
	}
	return problems.Err(assay.Invalid, "onnx inputs")
}

// shapeFits compares a shape with a declaration; a named size must be the same wherever the name occurs.
func shapeFits(dims []dim, shape []int, sizes map[string]int) bool {
	if len(dims) != len(shape) {
		return false
	}
	for i, d := range dims {
		if d.name == "" {
			if d.size > 0 && int(d.size) != shape[i] {
				return false
			}
			continue
		}
		if n, ok := sizes[d.name]; ok && n != shape[i] {
			return false
		}
		sizes[d.name] = shape[i]
	}
	return true
}

func dimsString(dims []dim) string {
	parts := make([]string, len(dims))
	for i, d := range dims {
		parts[i] = d.name
		if d.name == "" {
			parts[i] = fmt.Sprint(d.size)
		}
		if d.name == "" && d.size <= 0 {
			parts[i] = "?"
		}
	}
	return "[" + strings.Join(parts, ",") + "]"
}
