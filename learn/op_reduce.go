package learn

import (
	"fmt"
	"math"
	"sort"
)

func reduceOperators() []operator {
	ops := []operator{
		{name: "ArgMax", least: 1, most: 1, compile: func(c *nodeContext) (kernel, error) { return compileArg(c, 1) }},
		{name: "ArgMin", least: 1, most: 1, compile: func(c *nodeContext) (kernel, error) { return compileArg(c, -1) }},
		{name: "Softmax", least: 1, most: 1, compile: func(c *nodeContext) (kernel, error) { return compileSoftmax(c, false) }},
		{name: "LogSoftmax", least: 1, most: 1, compile: func(c *nodeContext) (kernel, error) { return compileSoftmax(c, true) }},
		{name: "Hardmax", least: 1, most: 1, compile: compileHardmax},
		{name: "TopK", least: 1, most: 2, compile: compileTopK},
	}
	for _, r := range []struct {
		name string
		f    func([]float64) float64
		pick func(a, b int64) int64 // of whole numbers; nil: f of them as floats
	}{
		{"ReduceSum", sumOf, nil},
		{"ReduceMean", func(x []float64) float64 { return sumOf(x) / float64(max(len(x), 1)) }, nil},
		{"ReduceProd", func(x []float64) float64 {
			p := 1.0
			for _, v := range x {
				p *= v
			}
			return p
		}, nil},
		{"ReduceMax", func(x []float64) float64 { return extreme(x, 1) }, most[int64]},
		{"ReduceMin", func(x []float64) float64 { return extreme(x, -1) }, least[int64]},
		{"ReduceSumSquare", sumSquares, nil},
		{"ReduceL2", func(x []float64) float64 { return math.Sqrt(sumSquares(x)) }, nil},
		{"ReduceL1", func(x []float64) float64 {
			s := 0.0
			for _, v := range x {
				s += math.Abs(v)
			}
			return s
		}, nil},
		{"ReduceLogSum", func(x []float64) float64 { return math.Log(sumOf(x)) }, nil},
		{"ReduceLogSumExp", logSumExp, nil},
	} {
		ops = append(ops, operator{name: r.name, least: 1, most: 2, compile: func(c *nodeContext) (kernel, error) { return compileReduce(c, r.f, r.pick) }})
	}
	return ops
}

func sumOf(x []float64) float64 {
	s := 0.0
	for _, v := range x {
		s += v
	}
	return s
}

func sumSquares(x []float64) float64 {
	s := 0.0
	for _, v := range x {
		s += v * v
	}
	return s
}

// extreme returns the largest (sign 1) or smallest (sign -1) value; NaN wins over everything.
func extreme(x []float64, sign float64) float64 {
	m := math.Inf(-int(sign))
	for _, v := range x {
		if v != v {
			return v
		}
		if v*sign > m*sign {
			m = v
		}
	}
	return m
}

// logSumExp is log(sum(exp(x))) without overflow.
func logSumExp(x []float64) float64 {
	m := extreme(x, 1)
	if math.IsInf(m, 0) || m != m {
		return m
	}
	s := 0.0
	for _, v := range x {
		s += math.Exp(v - m)
	}
	return m + math.Log(s)
}

// asDoubles returns the numbers of any numeric tensor.
func (t *Tensor) asDoubles(m *memory) ([]float64, error) {
	d, err := cast(m, t, Float64)
	if err != nil {
		return nil, err
	}
	return d.Doubles, nil
}

// compileReduce folds the named axes (all of them when none is named) in float64 and rounds once. So it does with whole numbers, of which the result is
// the least or the most of their type where that does not hold it, as with ONNX Runtime; where pick chooses among them, it is one of them.
func compileReduce(c *nodeContext, f func([]float64) float64, pick func(a, b int64) int64) (kernel, error) {
	attr := c.ints("axes")
	keep := c.int("keepdims", 1) != 0
	idle := c.int("noop_with_empty_axes", 0) != 0
	return func(m *memory, in []*Tensor) ([]*Tensor, error) {
		t := in[0]
		axes, err := axesOf(attr, in, len(t.Shape))
		if err != nil {
			return nil, err
		}
		if len(axes) == 0 && !idle { // else each element is folded alone
			for i := range t.Shape {
				axes[i] = true
			}
		}
		if !reduces(c.node.op, t.Type) {
			return nil, fmt.Errorf("%s tensors are not supported", t.Type)
		}
		full, shape := m.shape(t.Shape...), []int{}
		for i, d := range t.Shape {
			if axes[i] {
				full[i] = 1
				d = 1
			}
			if !axes[i] || keep {
				shape = append(shape, d)
			}
		}
		n := (&Tensor{Shape: full}).Len()
		strides := broadcastStrides(m, full, t.Shape)
		out, err := m.tensor(t.Type, shape...)
		if err != nil {
			return nil, err
		}
		if pick != nil && t.Type.integral() {
			pickWhole(out.Ints, t, strides, pick)
			return m.list(out), nil
		}
		x, err := t.asDoubles(m)
		if err != nil {
			return nil, err
		}
		groups := make([][]float64, n)
		for i, v := range x {
			g := dot(t.Shape, strides, i)
			groups[g] = append(groups[g], v)
		}
		for i, g := range groups {
			if v := f(g); t.Type.integral() {
				out.Ints[i] = saturated(t.Type, v)
			} else {
				out.setNumber(i, v)
			}
		}
		return m.list(out), nil
	}, nil
}

// reduces says which types of tensors a reduction is evaluated for. The logarithm of exponentials of whole numbers is to ONNX Runtime another number
// than that of floats.
func reduces(op string, t ElementType) bool {
	switch t {
	case Float32, Float64:
		return true
	case Int32, Int64:
		return op != "ReduceLogSumExp"
	case Int8, Uint8, Int16, Uint16, Uint32, Bool:
		return op == "ReduceMax" || op == "ReduceMin"
	}
	return false
}

// pickWhole folds whole numbers into out, where the element i of t belongs to the place that its strides lead to. Of none of them the greatest is the
// least number of the type, and the least the most.
func pickWhole(out []int64, t *Tensor, strides []int, pick func(a, b int64) int64) {
	least, most := t.Type.Bounds()
	for i := range out {
		if out[i] = least; pick(least, most) == least {
			out[i] = most
		}
	}
	for i, v := range t.Ints {
		g := dot(t.Shape, strides, i)
		out[g] = pick(out[g], v)
	}
}

// compileArg finds the position of the greatest (sign 1) or the least along an axis. A NaN counts as that where it comes first, and is passed over
// elsewhere, as ONNX Runtime does with few numbers; with more of them its answer depends on where the NaN is, and on the type.
func compileArg(c *nodeContext, sign int) (kernel, error) {
	axisAttr := c.int("axis", 0)
	keep := c.int("keepdims", 1) != 0
	last := c.int("select_last_index", 0) != 0
	return unary(func(m *memory, t *Tensor) (*Tensor, error) {
		axis, err := axisOf(axisAttr, len(t.Shape))
		if err != nil {
			return nil, err
		}
		if t.Type == String || t.Type == Bool || t.Type == Uint64 {
			return nil, fmt.Errorf("%s tensors are not supported", t.Type)
		}
		size := t.Shape[axis]
		if size == 0 {
			return nil, fmt.Errorf("axis %d is empty", axis)
		}
		outer, inner := around(t.Shape, axis)
		shape := m.shape(t.Shape[:axis]...)
		if keep {
			shape = append(shape, 1)
		}
		out, err := m.tensor(Int64, append(shape, t.Shape[axis+1:]...)...)
		if err != nil {
			return nil, err
		}
		for o := range outer {
			for k := range inner {
				at := o*size*inner + k
				best := 0
				switch t.Type {
				case Float32:
					best = bestOf(t.Floats[at:], size, inner, sign > 0, last)
				case Float64:
					best = bestOf(t.Doubles[at:], size, inner, sign > 0, last)
				default:
					best = bestOf(t.Ints[at:], size, inner, sign > 0, last)
				}
				out.Ints[o*inner+k] = int64(best)
			}
		}
		return out, nil
	}), nil
}

// bestOf is which of n numbers, step elements apart, is the greatest or the least: of equal ones the first or the last.
func bestOf[T number](x []T, n, step int, greatest, last bool) int {
	best := 0
	for j := 1; j < n; j++ {
		v, b := x[j*step], x[best*step]
		if greatest && v > b || !greatest && v < b || last && v == b {
			best = j
		}
	}
	return best
}

// alongAxis gives a kernel the outer, the size and the inner extent of the axis that it works along, of floats; before version 13 it works
// along all axes from that one on, as one.
func alongAxis(c *nodeContext, f func(m *memory, t *Tensor, outer, size, inner int) (*Tensor, error)) kernel {
	axisAttr, coerced := c.int("axis", -1), false
	if c.version() < 13 {
		axisAttr, coerced = c.int("axis", 1), true
	}
	return unary(func(m *memory, t *Tensor) (*Tensor, error) {
		if t.Type != Float32 && t.Type != Float64 {
			return nil, fmt.Errorf("%s tensor where floats are needed", t.Type)
		}
		axis, err := axisOf(axisAttr, len(t.Shape))
		if err != nil {
			return nil, err
		}
		outer, inner := around(t.Shape, axis)
		if coerced {
			return f(m, t, outer, t.Shape[axis]*inner, 1)
		}
		return f(m, t, outer, t.Shape[axis], inner)
	})
}

func compileSoftmax(c *nodeContext, logarithm bool) (kernel, error) {
	return alongAxis(c, func(m *memory, t *Tensor, outer, size, inner int) (*Tensor, error) {
		x, _ := t.asDoubles(m)
		out, err := m.tensor(Float64, t.Shape...)
		if err != nil {
			return nil, err
		}
		row := make([]float64, size)
		for o := range outer {
			for k := range inner {
				at := o*size*inner + k
				for j := range row {
					row[j] = x[at+j*inner]
				}
				norm := logSumExp(row)
				if math.IsInf(norm, 1) {
					norm = math.NaN() // nothing is told by the ratio of infinities
				}
				for j, v := range row {
					if v -= norm; logarithm {
						out.Doubles[at+j*inner] = v
					} else {
						out.Doubles[at+j*inner] = math.Exp(v)
					}
				}
			}
		}
		return cast(m, out, t.Type)
	}), nil
}

// compileHardmax marks the first of the greatest along an axis. As with ONNX Runtime, a NaN counts as the greatest where it comes first, so that
// nothing is marked, and is passed over elsewhere.
func compileHardmax(c *nodeContext) (kernel, error) {
	return alongAxis(c, func(m *memory, t *Tensor, outer, size, inner int) (*Tensor, error) {
		out, err := m.tensor(t.Type, t.Shape...)
		if err != nil || out.Len() == 0 {
			return out, err
		}
		for o := range outer {
			for k := range inner {
				first := o*size*inner + k
				best := first
				for j := 1; j < size; j++ {
					if at := first + j*inner; t.number(at) > t.number(best) {
						best = at
					}
				}
				if v := t.number(best); v == v {
					out.setNumber(best, 1)
				}
			}
		}
		return out, nil
	}), nil
}

// greater says which of two elements is the greater number; NaN is greater than all others, as to ONNX Runtime's TopK.
func (t *Tensor) greater() func(i, j int) bool {
	switch t.Type {
	case Float32:
		return func(i, j int) bool {
			return t.Floats[i] > t.Floats[j] || t.Floats[i] != t.Floats[i] && t.Floats[j] == t.Floats[j]
		}
	case Float64:
		return func(i, j int) bool {
			return t.Doubles[i] > t.Doubles[j] || t.Doubles[i] != t.Doubles[i] && t.Doubles[j] == t.Doubles[j]
		}
	}
	return func(i, j int) bool { return ordered(t.Type, t.Ints[i]) > ordered(t.Type, t.Ints[j]) }
}

func compileTopK(c *nodeContext) (kernel, error) {
	axisAttr := c.int("axis", -1)
	largest := c.int("largest", 1) != 0
	c.int("sorted", 1) // sorted output is a valid answer to an unsorted request
	kAttr := c.int("k", -1)
	return func(m *memory, in []*Tensor) ([]*Tensor, error) {
		t, k := in[0], kAttr
		if len(in) > 1 && in[1] != nil && len(in[1].Ints) == 1 {
			k = in[1].Ints[0]
		}
		axis, err := axisOf(axisAttr, len(t.Shape))
		if err != nil {
			return nil, err
		}
		size := t.Shape[axis]
		if k < 0 || k > int64(size) {
			return nil, fmt.Errorf("k is %d on an axis of size %d", k, size)
		}
		if t.Type == String || t.Type == Bool {
			return nil, fmt.Errorf("%s tensor where numbers are needed", t.Type)
		}
		greater := t.greater()
		shape := m.shape(t.Shape...)
		shape[axis] = int(k)
		values, index := newTensor(t.Type, shape...), newTensor(Int64, shape...)
		outer, inner := around(t.Shape, axis)
		order := make([]int, size)
		for o := range outer {
			for i := range inner {
				at := o*size*inner + i
				for j := range order {
					order[j] = j
				}
				sort.SliceStable(order, func(a, b int) bool {
					i, j := at+order[a]*inner, at+order[b]*inner
					if largest {
						return greater(i, j)
					}
					return greater(j, i)
				})
				for j := range int(k) {
					to := (o*int(k)+j)*inner + i
					values.copyElement(to, t, at+order[j]*inner)
					index.Ints[to] = int64(order[j])
				}
			}
		}
		return m.list(values, index), nil
	}, nil
}
