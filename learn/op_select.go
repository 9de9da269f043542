package learn

import (
	"fmt"
	"math"
	"math/big"
)

func selectOperators() []operator {
	return []operator{
		{name: "Split", least: 1, most: 2, compile: compileSplit},
		{name: "Tile", least: 2, most: 2, compile: compileTile},
		{name: "GatherElements", least: 2, most: 2, compile: compileGatherElements},
		{name: "GatherND", least: 2, most: 2, compile: compileGatherND},
		{name: "OneHot", least: 3, most: 3, compile: compileOneHotIndex},
		{name: "CumSum", least: 2, most: 2, compile: compileCumSum},
		{name: "Range", least: 3, most: 3, compile: compileRange},
		{name: "NonZero", least: 1, most: 1, compile: compileNonZero},
		{name: "Size", least: 1, most: 1, compile: func(*nodeContext) (kernel, error) {
			return unary(func(m *memory, t *Tensor) (*Tensor, error) {
				out, err := m.tensor(Int64)
				if err == nil {
					out.Ints[0] = int64(t.Len())
				}
				return out, err
			}), nil
		}},
	}
}

// copyElements copies n elements within tensors of one type.
func copyElements(to *Tensor, at int, from *Tensor, start, n int) {
	switch to.Type {
	case Float32:
		copy(to.Floats[at:at+n], from.Floats[start:start+n])
	case Float64:
		copy(to.Doubles[at:at+n], from.Doubles[start:start+n])
	case String:
		copy(to.Strings[at:at+n], from.Strings[start:start+n])
	default:
		copy(to.Ints[at:at+n], from.Ints[start:start+n])
	}
}

func compileSplit(c *nodeContext) (kernel, error) {
	axisAttr, sizes := c.int("axis", 0), c.ints("split")
	parts := int64(len(c.node.outputs))
	if n := c.int("num_outputs", parts); n != parts {
		return nil, fmt.Errorf("num_outputs is %d for %d outputs", n, parts)
	}
	return func(m *memory, in []*Tensor) ([]*Tensor, error) {
		t, sizes := in[0], sizes
		axis, err := axisOf(axisAttr, len(t.Shape))
		if err != nil {
			return nil, err
		}
		if len(in) > 1 && in[1] != nil {
			sizes = in[1].Ints
		}
		outer, inner := around(t.Shape, axis)
		size := int64(t.Shape[axis])
		each := (size + parts - 1) / parts
		at := int64(0)
		out := m.lists.take(int(parts))
		for i := range out {
			n := min(each, size-at)
			if sizes != nil {
				if len(sizes) != len(out) {
					return nil, fmt.Errorf("%d sizes for %d outputs", len(sizes), len(out))
				}
				n = sizes[i]
			}
			if n < 0 || n > size-at {
				return nil, fmt.Errorf("part %d of an axis of %d has size %d", i, size, n)
			}
			shape := m.shape(t.Shape...)
			shape[axis] = int(n)
			if out[i], err = m.tensor(t.Type, shape...); err != nil {
				return nil, err
			}
			for o := range outer {
				copyElements(out[i], o*int(n)*inner, t, (o*int(size)+int(at))*inner, int(n)*inner)
			}
			at += n
		}
		if at != size {
			return nil, fmt.Errorf("the parts of an axis of %d add up to %d", size, at)
		}
		return out, nil
	}, nil
}

func compileTile(*nodeContext) (kernel, error) {
	return func(m *memory, in []*Tensor) ([]*Tensor, error) {
		t, repeats := in[0], in[1].Ints
		if len(repeats) != len(t.Shape) {
			return nil, fmt.Errorf("%d repeats of a tensor with %d dimensions", len(repeats), len(t.Shape))
		}
		shape := m.shape(t.Shape...)
		for i, r := range repeats {
			if r < 0 || r > math.MaxInt32 || shape[i] > 0 && r > int64(math.MaxInt32/shape[i]) {
				return nil, fmt.Errorf("repeat %d", r)
			}
			shape[i] *= int(r)
		}
		out, err := m.tensor(t.Type, shape...)
		if err != nil {
			return nil, err
		}
		own := broadcastStrides(m, t.Shape, t.Shape)
		for i := range out.Len() {
			rest, at := i, 0
			for d := len(shape) - 1; d >= 0; d-- {
				at += rest % shape[d] % t.Shape[d] * own[d]
				rest /= shape[d]
			}
			out.copyElement(i, t, at)
		}
		return m.list(out), nil
	}, nil
}

// indexIn brings a possibly negative index into [0, size).
func indexIn(i int64, size int) (int, error) {
	if i < 0 {
		i += int64(size)
	}
	if i < 0 || i >= int64(size) {
		return 0, fmt.Errorf("index %d of an axis of size %d", i, size)
	}
	return int(i), nil
}

// eachIndexed calls f with the position in index and the position in t that it names along the axis.
func eachIndexed(m *memory, t, index *Tensor, axis int, f func(i, at int)) error {
	if !index.Type.integral() || len(index.Shape) != len(t.Shape) {
		return fmt.Errorf("%s index of shape %s for a tensor of shape %s", index.Type, shapeString(index.Shape), shapeString(t.Shape))
	}
	for d := range t.Shape {
		if d != axis && index.Shape[d] > t.Shape[d] {
			return fmt.Errorf("index of shape %s for a tensor of shape %s", shapeString(index.Shape), shapeString(t.Shape))
		}
	}
	strides := contiguous(m, t.Shape)
	for i, v := range index.Ints {
		k, err := indexIn(v, t.Shape[axis])
		if err != nil {
			return err
		}
		rest, at := i, k*strides[axis]
		for d := len(t.Shape) - 1; d >= 0; d-- {
			if p := rest % index.Shape[d]; d != axis {
				at += p * strides[d]
			}
			rest /= index.Shape[d]
		}
		f(i, at)
	}
	return nil
}

// contiguous returns the step along each axis of a row-major shape.
func contiguous(m *memory, shape []int) []int {
	out := m.zeros(len(shape))
	step := 1
	for i := len(shape) - 1; i >= 0; i-- {
		out[i] = step
		step *= shape[i]
	}
	return out
}

func compileGatherElements(c *nodeContext) (kernel, error) {
	axisAttr := c.int("axis", 0)
	return func(m *memory, in []*Tensor) ([]*Tensor, error) {
		axis, err := axisOf(axisAttr, len(in[0].Shape))
		if err != nil {
			return nil, err
		}
		out, err := m.tensor(in[0].Type, in[1].Shape...)
		if err != nil {
			return nil, err
		}
		return m.list(out), eachIndexed(m, in[0], in[1], axis, func(i, at int) { out.copyElement(i, in[0], at) })
	}, nil
}

func compileGatherND(c *nodeContext) (kernel, error) {
	batch := int(c.int("batch_dims", 0))
	return func(m *memory, in []*Tensor) ([]*Tensor, error) {
		t, index := in[0], in[1]
		rank := len(index.Shape)
		if index.Type != Int64 || rank == 0 || batch < 0 || batch >= rank || batch > len(t.Shape) || !sameShape(t.Shape[:batch], index.Shape[:batch]) {
			return nil, fmt.Errorf("%s index of shape %s for a tensor of shape %s", index.Type, shapeString(index.Shape), shapeString(t.Shape))
		}
		depth := index.Shape[rank-1]
		if depth > len(t.Shape)-batch || depth == 0 {
			return nil, fmt.Errorf("index of %d axes for a tensor of shape %s", depth, shapeString(t.Shape))
		}
		shape := append(m.shape(index.Shape[:rank-1]...), t.Shape[batch+depth:]...)
		out, err := m.tensor(t.Type, shape...)
		if err != nil {
			return nil, err
		}
		strides := contiguous(m, t.Shape)
		size, perBatch, count := 1, 1, len(index.Ints)/depth
		for _, d := range t.Shape[batch+depth:] {
			size *= d
		}
		for _, d := range index.Shape[batch : rank-1] {
			perBatch *= d
		}
		whole := 1
		for _, d := range t.Shape[batch:] {
			whole *= d
		}
		for i := range count {
			at := i / perBatch * whole
			for k := range depth {
				p, err := indexIn(index.Ints[i*depth+k], t.Shape[batch+k])
				if err != nil {
					return nil, err
				}
				at += p * strides[batch+k]
			}
			copyElements(out, i*size, t, at, size)
		}
		return m.list(out), nil
	}, nil
}

func compileOneHotIndex(c *nodeContext) (kernel, error) {
	axisAttr := c.int("axis", -1)
	return func(m *memory, in []*Tensor) ([]*Tensor, error) {
		index, depthTensor, values := in[0], in[1], in[2]
		if depthTensor.Len() != 1 || depthTensor.Type == String || index.Type == String || values.Len() != 2 {
			return nil, fmt.Errorf("depth of shape %s and values of shape %s", shapeString(depthTensor.Shape), shapeString(values.Shape))
		}
		depth := math.Trunc(depthTensor.number(0))
		if depth < 1 || depth > math.MaxInt32 {
			return nil, fmt.Errorf("depth is %v", depth)
		}
		rank := len(index.Shape)
		axis, err := axisOf(axisAttr, rank+1)
		if err != nil {
			return nil, err
		}
		shape := append(m.shape(index.Shape[:axis]...), int(depth))
		out, err := m.tensor(values.Type, append(shape, index.Shape[axis:]...)...)
		if err != nil {
			return nil, err
		}
		_, inner := around(out.Shape, axis)
		for i := range out.Len() {
			out.copyElement(i, values, 0)
		}
		for i := range index.Len() {
			v := index.number(i)
			if v < 0 {
				v += depth
			}
			if v >= 0 && v < depth {
				out.copyElement((i/inner*int(depth)+int(v))*inner+i%inner, values, 1)
			}
		}
		return m.list(out), nil
	}, nil
}

func compileCumSum(c *nodeContext) (kernel, error) {
	exclusive, reverse := c.int("exclusive", 0) != 0, c.int("reverse", 0) != 0
	return func(m *memory, in []*Tensor) ([]*Tensor, error) {
		t := in[0]
		if t.Type == String || t.Type == Bool || in[1].Len() != 1 || !in[1].Type.integral() {
			return nil, fmt.Errorf("inputs are %s and %s", t.Type, in[1].Type)
		}
		axis, err := axisOf(in[1].Ints[0], len(t.Shape))
		if err != nil {
			return nil, err
		}
		out, err := m.tensor(t.Type, t.Shape...)
		if err != nil {
			return nil, err
		}
		outer, inner := around(t.Shape, axis)
		size := t.Shape[axis]
		for o := range outer * inner {
			sum, whole := 0.0, int64(0)
			for j := range size {
				if reverse {
					j = size - 1 - j
				}
				at := (o/inner*size+j)*inner + o%inner
				if exclusive {
					out.setSum(at, sum, whole)
				}
				if t.Type.integral() {
					whole += t.Ints[at]
				} else {
					sum += t.number(at)
				}
				if !exclusive {
					out.setSum(at, sum, whole)
				}
			}
		}
		return m.list(out), nil
	}, nil
}

func (t *Tensor) setSum(at int, sum float64, whole int64) {
	if t.Type.integral() {
		t.Ints[at] = wrap(t.Type, whole)
		return
	}
	t.setNumber(at, sum)
}

func compileRange(*nodeContext) (kernel, error) {
	return func(m *memory, in []*Tensor) ([]*Tensor, error) {
		for _, t := range in {
			if t.Type != in[0].Type || t.Len() != 1 || t.Type == String || t.Type == Bool {
				return nil, fmt.Errorf("bounds are not numbers of one type")
			}
		}
		if in[0].Type.integral() {
			return m.one(rangeWhole(m, in[0], in[1].Ints[0], in[2].Ints[0]))
		}
		start, limit, delta := in[0].number(0), in[1].number(0), in[2].number(0)
		n := math.Ceil((limit - start) / delta)
		if delta == 0 || n != n || n > math.MaxInt32 {
			return nil, fmt.Errorf("a range from %v to %v by %v", start, limit, delta)
		}
		out, err := m.tensor(in[0].Type, max(int(n), 0))
		if err != nil {
			return nil, err
		}
		for i := range out.Len() {
			out.setNumber(i, start+float64(i)*delta)
		}
		return m.list(out), nil
	}, nil
}

// rangeWhole counts from a whole number by delta, up to the limit, which is left out.
func rangeWhole(m *memory, start *Tensor, limit, delta int64) (*Tensor, error) {
	from, to := big.NewInt(start.Ints[0]), big.NewInt(limit)
	if start.Type == Uint64 {
		return nil, fmt.Errorf("%s bounds are not supported", start.Type)
	}
	if delta == 0 {
		return nil, fmt.Errorf("a range by 0")
	}
	n := new(big.Int).Sub(to, from) // which 64 bits may not hold
	if delta < 0 {
		n.Neg(n)
	}
	step := new(big.Int).Abs(big.NewInt(delta))
	n.Div(n.Add(n, step).Sub(n, big.NewInt(1)), step) // rounded up
	if !n.IsInt64() || n.Int64() > math.MaxInt32 {
		return nil, fmt.Errorf("a range of more than %d numbers", math.MaxInt32)
	}
	out, err := m.tensor(start.Type, max(int(n.Int64()), 0))
	if err != nil {
		return nil, err
	}
	for i := range out.Ints {
		out.Ints[i] = wrap(start.Type, start.Ints[0]+int64(i)*delta)
	}
	return out, nil
}

func compileNonZero(*nodeContext) (kernel, error) {
	return unary(func(m *memory, t *Tensor) (*Tensor, error) {
		if t.Type == String {
			return nil, fmt.Errorf("%s tensor where numbers are needed", t.Type)
		}
		count := 0
		for i := range t.Len() {
			if t.number(i) != 0 {
				count++
			}
		}
		rank := len(t.Shape)
		out, err := m.tensor(Int64, rank, count)
		if err != nil {
			return nil, err
		}
		to := 0
		for i := range t.Len() {
			if t.number(i) == 0 {
				continue
			}
			rest := i
			for d := rank - 1; d >= 0; d-- {
				out.Ints[d*count+to] = int64(rest % t.Shape[d])
				rest /= t.Shape[d]
			}
			to++
		}
		return out, nil
	}), nil
}
