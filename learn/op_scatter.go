package learn

import "fmt"

func scatterOperators() []operator {
	return []operator{
		{name: "Scatter", least: 3, most: 3, compile: compileScatterElements},
		{name: "ScatterElements", least: 3, most: 3, compile: compileScatterElements},
		{name: "ScatterND", least: 3, most: 3, compile: compileScatterND},
		{name: "Compress", least: 2, most: 2, compile: compileCompress},
	}
}

// A reduction is how an update of ScatterElements or ScatterND changes an element. With NaN they do as ONNX Runtime does: an update that
// cannot be compared stays.
type reduction string

// reductionOf reads the attribute, which came with version 16. What ONNX does not name is refused; ONNX Runtime would replace.
func reductionOf(c *nodeContext) (reduction, error) {
	switch r := c.string("reduction", "none"); {
	case r != "none" && c.version() < 16:
		return "", fmt.Errorf("reduction %q came with version 16, the model is of version %d", r, c.version())
	case r != "none" && r != "add" && r != "mul" && r != "max" && r != "min":
		return "", fmt.Errorf("reduction %q is not supported", r)
	default:
		return reduction(r), nil
	}
}

// takes reports whether elements of the type can be reduced: texts are added end to end, truth values are or-ed and and-ed.
func (r reduction) takes(typ ElementType) bool {
	switch typ {
	case String:
		return r == "none" || r == "add"
	case Bool:
		return r != "max" && r != "min"
	}
	return true
}

// put changes element at of out by element i of updates.
func (r reduction) put(m *memory, out *Tensor, at int, updates *Tensor, i int) error {
	switch {
	case r == "none":
		out.copyElement(at, updates, i)
	case out.Type == Float32:
		out.Floats[at] = reduced(r, out.Floats[at], updates.Floats[i])
	case out.Type == Float64:
		out.Doubles[at] = reduced(r, out.Doubles[at], updates.Doubles[i])
	case out.Type == String:
		if err := m.spend(int64(len(out.Strings[at]) + len(updates.Strings[i]))); err != nil {
			return err
		}
		out.Strings[at] += updates.Strings[i]
	case out.Type == Bool && r == "add":
		out.Ints[at] |= updates.Ints[i]
	case out.Type == Uint64:
		out.Ints[at] = int64(reduced(r, uint64(out.Ints[at]), uint64(updates.Ints[i])))
	default:
		out.Ints[at] = wrap(out.Type, reduced(r, out.Ints[at], updates.Ints[i]))
	}
	return nil
}

func reduced[T float32 | float64 | int64 | uint64](r reduction, a, b T) T {
	switch {
	case r == "add":
		return a + b
	case r == "mul":
		return a * b
	case r == "max" && a > b, r == "min" && a < b:
		return a
	}
	return b
}

// compileScatterElements puts each update where its index says along the axis, the later ones over the earlier. Scatter is its name before
// version 11.
func compileScatterElements(c *nodeContext) (kernel, error) {
	if c.node.op == "Scatter" && c.version() >= 11 {
		return nil, fmt.Errorf("operator is called ScatterElements from version 11, the model is of version %d", c.version())
	}
	axisAttr := c.int("axis", 0)
	reduction, err := reductionOf(c)
	if err != nil {
		return nil, err
	}
	return func(m *memory, in []*Tensor) ([]*Tensor, error) {
		t, updates := in[0], in[2]
		axis, err := axisOf(axisAttr, len(t.Shape))
		if err != nil {
			return nil, err
		}
		if updates.Type != t.Type || !sameShape(updates.Shape, in[1].Shape) || !reduction.takes(t.Type) {
			return nil, fmt.Errorf("%s updates of shape %s for indices of shape %s of a %s tensor", updates.Type, shapeString(updates.Shape), shapeString(in[1].Shape), t.Type)
		}
		out, err := m.tensor(t.Type, t.Shape...)
		if err != nil {
			return nil, err
		}
		copyElements(out, 0, t, 0, out.Len())
		var failed error
		if err := eachIndexed(m, t, in[1], axis, func(i, at int) {
			if failed == nil {
				failed = reduction.put(m, out, at, updates, i)
			}
		}); err != nil {
			return nil, err
		}
		return m.list(out), failed
	}, nil
}

// compileScatterND puts slices of updates where an index of the leading axes says, the later ones over the earlier.
func compileScatterND(c *nodeContext) (kernel, error) {
	reduction, err := reductionOf(c)
	if err != nil {
		return nil, err
	}
	return func(m *memory, in []*Tensor) ([]*Tensor, error) {
		t, index, updates := in[0], in[1], in[2]
		rank := len(index.Shape)
		if index.Type != Int64 || rank == 0 || index.Shape[rank-1] == 0 || index.Shape[rank-1] > len(t.Shape) {
			return nil, fmt.Errorf("%s index of shape %s for a tensor of shape %s", index.Type, shapeString(index.Shape), shapeString(t.Shape))
		}
		depth := index.Shape[rank-1]
		shape := append(m.shape(index.Shape[:rank-1]...), t.Shape[depth:]...)
		if updates.Type != t.Type || !sameShape(updates.Shape, shape) || !reduction.takes(t.Type) {
			return nil, fmt.Errorf("%s updates of shape %s for an index of shape %s of a %s tensor", updates.Type, shapeString(updates.Shape), shapeString(index.Shape), t.Type)
		}
		out, err := m.tensor(t.Type, t.Shape...)
		if err != nil {
			return nil, err
		}
		copyElements(out, 0, t, 0, out.Len())
		strides, size := contiguous(m, t.Shape), 1
		for _, d := range t.Shape[depth:] {
			size *= d
		}
		for i := range len(index.Ints) / depth {
			at := 0
			for k := range depth {
				p, err := indexIn(index.Ints[i*depth+k], t.Shape[k])
				if err != nil {
					return nil, err
				}
				at += p * strides[k]
			}
			if reduction == "none" {
				copyElements(out, at, updates, i*size, size)
				continue
			}
			for k := range size {
				if err := reduction.put(m, out, at+k, updates, i*size+k); err != nil {
					return nil, err
				}
			}
		}
		return m.list(out), nil
	}, nil
}

// compileCompress keeps what a condition says: along an axis, or of all elements in their order. Conditions without an element, and elements
// without a condition, are left out.
func compileCompress(c *nodeContext) (kernel, error) {
	flat, axisAttr := !c.given("axis"), c.int("axis", 0)
	return func(m *memory, in []*Tensor) ([]*Tensor, error) {
		t, condition := in[0], in[1]
		if condition.Type != Bool {
			return nil, fmt.Errorf("the condition is a %s tensor", condition.Type)
		}
		if flat {
			t = m.reshaped(t, t.Len())
		}
		axis, err := axisOf(axisAttr, len(t.Shape))
		if err != nil {
			return nil, err
		}
		outer, inner := around(t.Shape, axis)
		size := t.Shape[axis]
		kept := condition.Ints[:min(len(condition.Ints), size)]
		shape := m.shape(t.Shape...)
		shape[axis] = 0
		for _, v := range kept {
			if v != 0 {
				shape[axis]++
			}
		}
		out, err := m.tensor(t.Type, shape...)
		if err != nil {
			return nil, err
		}
		to := 0
		for o := range outer {
			for j, v := range kept {
				if v != 0 {
					copyElements(out, to, t, (o*size+j)*inner, inner)
					to += inner
				}
			}
		}
		return m.list(out), nil
	}, nil
}
