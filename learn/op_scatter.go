package learn

import "fmt"

func scatterOperators() []operator {
	return []operator{
		{name: "ScatterND", least: 3, most: 3, compile: compileScatterND},
		{name: "Compress", least: 2, most: 2, compile: compileCompress},
	}
}

// reducers combine an element of ScatterND with an update of it, by the name of the reduction. With NaN they do as ONNX Runtime does: an
// update that cannot be compared stays.
func reducers() map[string]func(a, b float64) float64 {
	return map[string]func(a, b float64) float64{
		"add": func(a, b float64) float64 { return a + b },
		"mul": func(a, b float64) float64 { return a * b },
		"max": func(a, b float64) float64 {
			if a > b {
				return a
			}
			return b
		},
		"min": func(a, b float64) float64 {
			if a < b {
				return a
			}
			return b
		},
	}
}

// reduceInts is the same for integers, exact at 64 bits.
func reduceInts(reduction string, a, b int64) int64 {
	switch reduction {
	case "add":
		return a + b
	case "mul":
		return a * b
	case "max":
		return max(a, b)
	}
	return min(a, b)
}

// compileScatterND puts slices of updates where an index of the leading axes says, the later ones over the earlier.
func compileScatterND(c *nodeContext) (kernel, error) {
	reduction := c.string("reduction", "none")
	reduce := reducers()[reduction]
	if reduce == nil && reduction != "none" {
		return nil, fmt.Errorf("reduction %q is not supported", reduction)
	}
	return func(m *memory, in []*Tensor) ([]*Tensor, error) {
		t, index, updates := in[0], in[1], in[2]
		rank := len(index.Shape)
		if index.Type != Int64 || rank == 0 || index.Shape[rank-1] == 0 || index.Shape[rank-1] > len(t.Shape) {
			return nil, fmt.Errorf("%s index of shape %s for a tensor of shape %s", index.Type, shapeString(index.Shape), shapeString(t.Shape))
		}
		depth := index.Shape[rank-1]
		shape := append(m.shape(index.Shape[:rank-1]...), t.Shape[depth:]...)
		if updates.Type != t.Type || !sameShape(updates.Shape, shape) || reduce != nil && (t.Type == String || t.Type == Bool || t.Type == Uint64) {
			return nil, fmt.Errorf("%s updates of shape %s for an index of shape %s", updates.Type, shapeString(updates.Shape), shapeString(index.Shape))
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
			if reduce == nil {
				copyElements(out, at, updates, i*size, size)
				continue
			}
			for k := range size {
				if t.Type.integral() {
					out.Ints[at+k] = wrap(t.Type, reduceInts(reduction, out.Ints[at+k], updates.Ints[i*size+k]))
				} else {
					out.setNumber(at+k, reduce(out.number(at+k), updates.number(i*size+k)))
				}
			}
		}
		return m.list(out), nil
	}, nil
}

// compileCompress keeps what a condition says: along an axis, or of all elements in their order. Conditions without an element, and elements
// without a condition, are left out.
func compileCompress(c *nodeContext) (kernel, error) {
	flat := true
	for _, a := range c.node.attrs {
		flat = flat && a.name != "axis"
	}
	axisAttr := c.int("axis", 0)
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
