package learn

import (
	"fmt"
)

func controlOperators() []operator {
	return []operator{
		{name: "If", least: 1, most: 1, compile: compileIf},
		{name: "Scan", least: 1, most: anyNumber, compile: compileScan},
	}
}

// A subgraph is a graph inside a node. It reads its own inputs and what it captures from the graph around it.
type subgraph struct {
	program  *Program
	captures []int // of the node's captured tensors, those of this subgraph
}

// free returns the names that a graph reads from outside, in the order in which they first occur.
func (g *onnxGraph) free() []string {
	known := map[string]bool{"": true}
	for _, t := range g.initializers {
		known[t.name] = true
	}
	for _, in := range g.inputs {
		known[in.name] = true
	}
	for _, n := range g.nodes {
		for _, out := range n.outputs {
			known[out] = true
		}
	}
	var names []string
	add := func(name string) {
		if !known[name] {
			known[name] = true
			names = append(names, name)
		}
	}
	for _, n := range g.nodes {
		for _, name := range n.inputs {
			add(name)
		}
		for _, name := range n.captures() {
			add(name)
		}
	}
	for _, out := range g.outputs {
		add(out.name)
	}
	return names
}

// captures returns the names that the graphs inside a node read from around it.
func (n *onnxNode) captures() []string {
	var names []string
	seen := map[string]bool{}
	for _, a := range n.attrs {
		if a.graph == nil {
			continue
		}
		for _, name := range a.graph.free() {
			if !seen[name] {
				seen[name] = true
				names = append(names, name)
			}
		}
	}
	return names
}

// graph prepares the graph of an attribute. Its inputs are those that it declares, then what it captures.
func (c *nodeContext) graph(name string) (*subgraph, error) {
	a := c.attr(name, attrGraph)
	if a == nil {
		return nil, fmt.Errorf("attribute %q is missing", name)
	}
	index := indexOf(c.node.captures())
	g := *a.graph
	g.inputs = append([]valueInfo(nil), g.inputs...)
	s := &subgraph{}
	for _, captured := range a.graph.free() {
		g.inputs = append(g.inputs, valueInfo{name: captured})
		s.captures = append(s.captures, index[captured])
	}
	var err error
	s.program, err = newProgram(&onnxModel{opsets: c.opsets, graph: &g}, c.limits)
	return s, err
}

// run executes the graph on its own inputs and the node's captured tensors.
func (s *subgraph) run(m *memory, own, captured []*Tensor) ([]*Tensor, error) {
	in := m.lists.take(len(own) + len(s.captures))
	copy(in, own)
	for i, at := range s.captures {
		in[len(own)+i] = captured[at]
	}
	if len(in) != len(s.program.inputs) {
		return nil, fmt.Errorf("the graph inside takes %d inputs, it is given %d", len(s.program.inputs), len(in))
	}
	out := m.lists.take(len(s.program.outSlot))
	return out, s.program.execute(m, in, out)
}

func compileIf(c *nodeContext) (kernel, error) {
	yes, err := c.graph("then_branch")
	if err != nil {
		return nil, err
	}
	no, err := c.graph("else_branch")
	if err != nil {
		return nil, err
	}
	return func(m *memory, in []*Tensor) ([]*Tensor, error) {
		if in[0].Type != Bool || len(in[0].Ints) != 1 {
			return nil, fmt.Errorf("the condition is a %s tensor of shape %s", in[0].Type, shapeString(in[0].Shape))
		}
		if in[0].Ints[0] != 0 {
			return yes.run(m, nil, in[1:])
		}
		return no.run(m, nil, in[1:])
	}, nil
}

// compileScan runs a graph once for each element along an axis of the scanned inputs, and stacks what it gives.
func compileScan(c *nodeContext) (kernel, error) {
	if c.version() < 9 {
		return nil, fmt.Errorf("version 8 of the operator is not supported")
	}
	body, err := c.graph("body")
	if err != nil {
		return nil, err
	}
	scanned := int(c.int("num_scan_inputs", 0))
	own := len(c.node.inputs)
	states := own - scanned
	if scanned < 1 || states < 0 || len(body.program.inputs) != own+len(body.captures) {
		return nil, fmt.Errorf("%d scanned inputs of %d, the graph inside takes %d", scanned, own, len(body.program.inputs)-len(body.captures))
	}
	outputs := len(body.program.outSlot) - states
	if outputs < 0 {
		return nil, fmt.Errorf("the graph inside gives %d outputs for %d states", len(body.program.outSlot), states)
	}
	inAxes, outAxes := c.ints("scan_input_axes"), c.ints("scan_output_axes")
	inBack, outBack := c.ints("scan_input_directions"), c.ints("scan_output_directions")
	for _, list := range [][]int64{inAxes, inBack} {
		if len(list) != 0 && len(list) != scanned {
			return nil, fmt.Errorf("the attributes of %d scanned inputs differ in length", scanned)
		}
	}
	for _, list := range [][]int64{outAxes, outBack} {
		if len(list) != 0 && len(list) != outputs {
			return nil, fmt.Errorf("the attributes of %d scanned outputs differ in length", outputs)
		}
		for _, v := range list {
			if v != 0 {
				return nil, fmt.Errorf("scanned outputs are supported along axis 0 and forwards only")
			}
		}
	}
	return func(m *memory, in []*Tensor) ([]*Tensor, error) {
		steps := -1
		axes := m.zeros(scanned)
		for i := range scanned {
			t := in[states+i]
			axis := int64(0)
			if len(inAxes) > 0 {
				axis = inAxes[i]
			}
			var err error
			if axes[i], err = axisOf(axis, len(t.Shape)); err != nil {
				return nil, err
			}
			if n := t.Shape[axes[i]]; steps >= 0 && n != steps {
				return nil, fmt.Errorf("scanned inputs have %d and %d steps", steps, n)
			}
			steps = t.Shape[axes[i]]
		}
		if steps == 0 {
			return nil, fmt.Errorf("scanned inputs have no steps")
		}
		args := m.lists.take(own)
		copy(args, in[:states])
		result := m.lists.take(states + outputs)
		for step := range steps {
			for i := range scanned {
				at := int64(step)
				if len(inBack) > 0 && inBack[i] != 0 {
					at = int64(steps - 1 - step)
				}
				t, err := sliceAxis(m, in[states+i], axes[i], at, at+1, 1)
				if err != nil {
					return nil, err
				}
				shape := m.shape(t.Shape[:axes[i]]...)
				args[states+i] = m.reshaped(t, append(shape, t.Shape[axes[i]+1:]...)...)
			}
			out, err := body.run(m, args, in[own:])
			if err != nil {
				return nil, err
			}
			copy(args, out[:states])
			for i, t := range out[states:] {
				if err := stack(m, &result[states+i], t, step, steps); err != nil {
					return nil, err
				}
			}
		}
		copy(result, args[:states])
		return result, nil
	}, nil
}

// stack puts a tensor at its place among those of all steps.
func stack(m *memory, all **Tensor, t *Tensor, step, steps int) error {
	if step == 0 {
		var err error
		if *all, err = m.tensor(t.Type, append(m.shape(steps), t.Shape...)...); err != nil {
			return err
		}
	}
	a := *all
	if a.Type != t.Type || !sameShape(a.Shape[1:], t.Shape) {
		return fmt.Errorf("step %d gives shape %s, an earlier one gave %s", step, shapeString(t.Shape), shapeString(a.Shape[1:]))
	}
	n := t.Len()
	switch {
	case t.Type == Float32:
		copy(a.Floats[step*n:], t.Floats)
	case t.Type == Float64:
		copy(a.Doubles[step*n:], t.Doubles)
	case t.Type == String:
		copy(a.Strings[step*n:], t.Strings)
	default:
		copy(a.Ints[step*n:], t.Ints)
	}
	return nil
}
