package learn

import (
	"fmt"
	"math"
)

func shapeOperators() []operator {
	return []operator{
		{name: "Identity", least: 1, most: 1, compile: func(*nodeContext) (kernel, error) {
			return unary(func(m *memory, t *Tensor) (*Tensor, error) { return t, nil }), nil
		}},
		{name: "Constant", least: 0, most: 0, compile: compileConstant},
		{name: "ConstantOfShape", least: 1, most: 1, compile: compileConstantOfShape},
		{name: "EyeLike", least: 1, most: 1, compile: compileEyeLike},
		{name: "Shape", least: 1, most: 1, compile: compileShape},
		{name: "Expand", least: 2, most: 2, compile: compileExpand},
		{name: "Concat", least: 1, most: anyNumber, compile: compileConcat},
		{name: "Reshape", least: 2, most: 2, compile: compileReshape},
		{name: "Flatten", least: 1, most: 1, compile: compileFlatten},
		{name: "Squeeze", least: 1, most: 2, compile: compileSqueeze},
		{name: "Unsqueeze", least: 1, most: 2, compile: compileUnsqueeze},
		{name: "Transpose", least: 1, most: 1, compile: compileTranspose},
		{name: "Gather", least: 2, most: 2, compile: compileGather},
		{name: "Slice", least: 1, most: 5, compile: compileSlice},
		{domain: domainML, name: "ArrayFeatureExtractor", least: 2, most: 2, compile: compileArrayFeatureExtractor},
	}
}

func compileConstant(c *nodeContext) (kernel, error) {
	t := c.tensor("value")
	switch {
	case t != nil:
	case c.attr("value_float", attrFloat) != nil:
		t = floatTensor(nil, []float32{c.float("value_float", 0)})
	case c.attr("value_int", attrInt) != nil:
		t = intTensor(nil, []int64{c.int("value_int", 0)})
	case c.attr("value_floats", attrFloats) != nil:
		v := c.floats("value_floats")
		t = floatTensor([]int{len(v)}, v)
	case c.attr("value_ints", attrInts) != nil:
		v := c.ints("value_ints")
		t = intTensor([]int{len(v)}, v)
	case c.attr("value_string", attrString) != nil:
		t = stringTensor(nil, []string{c.string("value_string", "")})
	case c.attr("value_strings", attrStrings) != nil:
		v := c.strings("value_strings")
		t = stringTensor([]int{len(v)}, v)
	default:
		return nil, fmt.Errorf("constant has no value")
	}
	return func(m *memory, _ []*Tensor) ([]*Tensor, error) { return m.list(t), nil }, nil
}

func compileConstantOfShape(c *nodeContext) (kernel, error) {
	value := c.tensor("value")
	if value == nil {
		value = floatTensor([]int{1}, []float32{0})
	}
	if value.Len() != 1 {
		return nil, fmt.Errorf("attribute \"value\" is not one element")
	}
	return unary(func(m *memory, t *Tensor) (*Tensor, error) {
		shape, err := shapeOf(m, t)
		if err != nil {
			return nil, err
		}
		out, err := m.tensor(value.Type, shape...)
		if err != nil {
			return nil, err
		}
		for i := range out.Len() {
			out.copyElement(i, value, 0)
		}
		return out, nil
	}), nil
}

// compileEyeLike puts ones on a diagonal of a matrix that has the input's shape.
func compileEyeLike(c *nodeContext) (kernel, error) {
	to, diagonal := ElementType(c.int("dtype", 0)), c.int("k", 0)
	if to != 0 && to != Float32 && to != Float64 && !to.integral() {
		return nil, fmt.Errorf("dtype %s is not supported", to)
	}
	return unary(func(m *memory, t *Tensor) (*Tensor, error) {
		typ := to
		if typ == 0 {
			typ = t.Type
		}
		if len(t.Shape) != 2 || t.Type == String {
			return nil, fmt.Errorf("%s tensor of shape %s is no matrix of numbers", t.Type, shapeString(t.Shape))
		}
		out, err := m.tensor(typ, t.Shape...)
		if err != nil {
			return nil, err
		}
		rows, cols := int64(t.Shape[0]), int64(t.Shape[1])
		if diagonal <= -rows || diagonal >= cols {
			return out, nil
		}
		for i := max(0, -diagonal); i < rows && i+diagonal < cols; i++ {
			out.setNumber(int(i*cols+i+diagonal), 1)
		}
		return out, nil
	}), nil
}

// shapeOf reads a shape from an integer vector and bounds the number of elements.
func shapeOf(m *memory, t *Tensor) ([]int, error) {
	if t.Type != Int64 || len(t.Shape) > 1 {
		return nil, fmt.Errorf("%s tensor of shape %s is not a shape", t.Type, shapeString(t.Shape))
	}
	n := 1
	shape := m.zeros(len(t.Ints))
	for i, d := range t.Ints {
		if d < 0 || d > math.MaxInt32 || d > 0 && n > math.MaxInt32/int(d) {
			return nil, fmt.Errorf("size %d is negative or too large", d)
		}
		shape[i] = int(d)
		n *= max(int(d), 1)
	}
	return shape, nil
}

func compileShape(c *nodeContext) (kernel, error) {
	start, end := c.int("start", 0), c.int("end", math.MaxInt64)
	return unary(func(m *memory, t *Tensor) (*Tensor, error) {
		rank := int64(len(t.Shape))
		bound := func(v int64) int64 {
			if v < 0 {
				v += rank
			}
			return min(max(v, 0), rank)
		}
		dims := []int64{}
		for i := bound(start); i < bound(end); i++ {
			dims = append(dims, int64(t.Shape[i]))
		}
		return intTensor([]int{len(dims)}, dims), nil
	}), nil
}

func compileExpand(*nodeContext) (kernel, error) {
	return func(m *memory, in []*Tensor) ([]*Tensor, error) {
		want, err := shapeOf(m, in[1])
		if err != nil {
			return nil, err
		}
		shape, err := broadcastShape(m, in[0].Shape, want)
		if err != nil {
			return nil, err
		}
		out, err := m.tensor(in[0].Type, shape...)
		if err != nil {
			return nil, err
		}
		strides := broadcastStrides(m, in[0].Shape, shape)
		for i := range out.Len() {
			out.copyElement(i, in[0], dot(shape, strides, i))
		}
		return m.list(out), nil
	}, nil
}

// axisOf brings a possibly negative axis into [0, rank).
func axisOf(axis int64, rank int) (int, error) {
	if axis < -int64(rank) || axis >= int64(rank) {
		return 0, fmt.Errorf("axis %d of a tensor with %d dimensions", axis, rank)
	}
	if axis < 0 {
		axis += int64(rank)
	}
	return int(axis), nil
}

// around returns the number of elements before and after an axis.
func around(shape []int, axis int) (outer, inner int) {
	outer, inner = 1, 1
	for i, d := range shape {
		if i < axis {
			outer *= d
		} else if i > axis {
			inner *= d
		}
	}
	return outer, inner
}

func compileConcat(c *nodeContext) (kernel, error) {
	axisAttr := c.int("axis", 0)
	return func(m *memory, in []*Tensor) ([]*Tensor, error) {
		axis, err := axisOf(axisAttr, len(in[0].Shape))
		if err != nil {
			return nil, err
		}
		shape := m.shape(in[0].Shape...)
		for _, t := range in[1:] {
			if t == nil || t.Type != in[0].Type || len(t.Shape) != len(shape) {
				return nil, fmt.Errorf("inputs differ in type or number of dimensions")
			}
			for d := range shape {
				if d == axis {
					shape[d] += t.Shape[d]
				} else if shape[d] != t.Shape[d] {
					return nil, fmt.Errorf("shapes %s and %s differ off axis %d", shapeString(in[0].Shape), shapeString(t.Shape), axis)
				}
			}
		}
		out, err := m.tensor(in[0].Type, shape...)
		if err != nil {
			return nil, err
		}
		outer, inner := around(shape, axis)
		width := shape[axis] * inner
		at := 0
		for _, t := range in {
			w := t.Shape[axis] * inner
			switch {
			case t.Type == Float32:
				copyBlocks(out.Floats, t.Floats, outer, width, w, at)
			case t.Type == Float64:
				copyBlocks(out.Doubles, t.Doubles, outer, width, w, at)
			case t.Type == String:
				copyBlocks(out.Strings, t.Strings, outer, width, w, at)
			default:
				copyBlocks(out.Ints, t.Ints, outer, width, w, at)
			}
			at += w
		}
		return m.list(out), nil
	}, nil
}

// copyBlocks copies rows of w elements into the columns from at on of rows of width elements.
func copyBlocks[T any](dst, src []T, rows, width, w, at int) {
	if w == 1 {
		for i := range rows {
			dst[i*width+at] = src[i]
		}
		return
	}
	for i := range rows {
		copy(dst[i*width+at:i*width+at+w], src[i*w:])
	}
}

func compileReshape(c *nodeContext) (kernel, error) {
	allowZero := c.int("allowzero", 0) != 0
	return func(m *memory, in []*Tensor) ([]*Tensor, error) {
		t := in[0]
		if in[1].Type != Int64 {
			return nil, fmt.Errorf("shape is a %s tensor", in[1].Type)
		}
		shape := m.zeros(len(in[1].Ints))
		rest, n := -1, 1
		for i, d := range in[1].Ints {
			switch {
			case d == -1 && rest < 0:
				rest = i
				continue
			case d == 0 && !allowZero:
				if i >= len(t.Shape) {
					return nil, fmt.Errorf("size %d is copied from an axis that does not exist", i)
				}
				d = int64(t.Shape[i])
			case d < 0 || d > math.MaxInt32:
				return nil, fmt.Errorf("size %d", d)
			}
			shape[i] = int(d)
			if d > 0 && n > math.MaxInt32/int(d) {
				return nil, fmt.Errorf("shape has too many elements")
			}
			n *= int(d)
		}
		if rest >= 0 {
			if n == 0 || t.Len()%n != 0 {
				return nil, fmt.Errorf("%d elements do not fill shape %v", t.Len(), in[1].Ints)
			}
			shape[rest] = t.Len() / n
			n *= shape[rest]
		}
		if n != t.Len() {
			return nil, fmt.Errorf("%d elements do not fill shape %v", t.Len(), in[1].Ints)
		}
		return m.list(m.reshaped(t, shape...)), nil
	}, nil
}

func compileFlatten(c *nodeContext) (kernel, error) {
	axis := c.int("axis", 1)
	return unary(func(m *memory, t *Tensor) (*Tensor, error) {
		at := axis
		if at < 0 {
			at += int64(len(t.Shape))
		}
		if at < 0 || at > int64(len(t.Shape)) {
			return nil, fmt.Errorf("axis %d of a tensor with %d dimensions", axis, len(t.Shape))
		}
		outer, inner := 1, 1
		for i, d := range t.Shape {
			if int64(i) < at {
				outer *= d
			} else {
				inner *= d
			}
		}
		return m.reshaped(t, outer, inner), nil
	}), nil
}

// axesOf reads axes from the attribute (older versions) or the second input.
func axesOf(attr []int64, in []*Tensor, rank int) (map[int]bool, error) {
	if len(in) > 1 && in[1] != nil {
		attr = in[1].Ints
	}
	axes := map[int]bool{}
	for _, a := range attr {
		axis, err := axisOf(a, rank)
		if err != nil {
			return nil, err
		}
		axes[axis] = true
	}
	return axes, nil
}

func compileSqueeze(c *nodeContext) (kernel, error) {
	attr := c.ints("axes")
	return func(m *memory, in []*Tensor) ([]*Tensor, error) {
		t := in[0]
		axes, err := axesOf(attr, in, len(t.Shape))
		if err != nil {
			return nil, err
		}
		shape := []int{}
		for i, d := range t.Shape {
			drop := axes[i] || len(axes) == 0 && d == 1
			if drop && d != 1 {
				return nil, fmt.Errorf("axis %d has size %d", i, d)
			}
			if !drop {
				shape = append(shape, d)
			}
		}
		return m.list(m.reshaped(t, shape...)), nil
	}, nil
}

func compileUnsqueeze(c *nodeContext) (kernel, error) {
	attr := c.ints("axes")
	return func(m *memory, in []*Tensor) ([]*Tensor, error) {
		t := in[0]
		n := len(attr)
		if len(in) > 1 && in[1] != nil {
			n = len(in[1].Ints)
		}
		rank := len(t.Shape) + n
		axes, err := axesOf(attr, in, rank)
		if err != nil {
			return nil, err
		}
		if len(axes) != n {
			return nil, fmt.Errorf("an axis is named twice")
		}
		shape := m.zeros(rank)
		at := 0
		for i := range shape {
			shape[i] = 1
			if !axes[i] {
				shape[i] = t.Shape[at]
				at++
			}
		}
		return m.list(m.reshaped(t, shape...)), nil
	}, nil
}

func compileTranspose(c *nodeContext) (kernel, error) {
	perm := c.ints("perm")
	return unary(func(m *memory, t *Tensor) (*Tensor, error) {
		rank := len(t.Shape)
		order := m.zeros(rank)
		seen := make([]bool, rank)
		for i := range order {
			order[i] = rank - 1 - i
			if len(perm) == rank && perm[i] >= 0 && perm[i] < int64(rank) {
				order[i] = int(perm[i])
			}
			seen[order[i]] = true
		}
		shape, strides := m.zeros(rank), m.zeros(rank)
		own := broadcastStrides(m, t.Shape, t.Shape)
		for i, o := range order {
			if !seen[i] || len(perm) != 0 && len(perm) != rank {
				return nil, fmt.Errorf("perm %v of a tensor with %d dimensions", perm, rank)
			}
			shape[i], strides[i] = t.Shape[o], own[o]
		}
		out, err := m.tensor(t.Type, shape...)
		if err != nil {
			return nil, err
		}
		for i := range out.Len() {
			out.copyElement(i, t, dot(shape, strides, i))
		}
		return out, nil
	}), nil
}

func compileGather(c *nodeContext) (kernel, error) {
	axisAttr := c.int("axis", 0)
	return func(m *memory, in []*Tensor) ([]*Tensor, error) {
		t, index := in[0], in[1]
		axis, err := axisOf(axisAttr, len(t.Shape))
		if err != nil {
			return nil, err
		}
		if !index.Type.integral() {
			return nil, fmt.Errorf("index is a %s tensor", index.Type)
		}
		shape := m.shape(t.Shape[:axis]...)
		shape = append(shape, index.Shape...)
		shape = append(shape, t.Shape[axis+1:]...)
		if err := sizeFits(shape); err != nil {
			return nil, err
		}
		out, err := m.tensor(t.Type, shape...)
		if err != nil {
			return nil, err
		}
		outer, inner := around(t.Shape, axis)
		size := int64(t.Shape[axis])
		to := 0
		for o := range outer {
			for _, i := range index.Ints {
				if i < 0 {
					i += size
				}
				if i < 0 || i >= size {
					return nil, fmt.Errorf("index %d of an axis of size %d", i, size)
				}
				for k := range inner {
					out.copyElement(to, t, (o*int(size)+int(i))*inner+k)
					to++
				}
			}
		}
		return m.list(out), nil
	}, nil
}

func sizeFits(shape []int) error {
	n := 1
	for _, d := range shape {
		if d > 0 && n > math.MaxInt32/d {
			return fmt.Errorf("shape %s has too many elements", shapeString(shape))
		}
		n *= max(d, 1)
	}
	return nil
}

func compileSlice(c *nodeContext) (kernel, error) {
	starts, ends, axes := c.ints("starts"), c.ints("ends"), c.ints("axes")
	return func(m *memory, in []*Tensor) ([]*Tensor, error) {
		starts, ends, axes := starts, ends, axes
		var steps []int64
		for i, t := range in[1:] {
			if t == nil {
				continue
			}
			*[]*[]int64{&starts, &ends, &axes, &steps}[i] = t.Ints
		}
		t := in[0]
		for i := range starts {
			a := int64(i)
			if i < len(axes) {
				a = axes[i]
			}
			axis, err := axisOf(a, len(t.Shape))
			if err != nil || i >= len(ends) {
				return nil, fmt.Errorf("slice %d has no valid axis or end", i)
			}
			step := int64(1)
			if i < len(steps) {
				step = steps[i]
			}
			if t, err = sliceAxis(m, t, axis, starts[i], ends[i], step); err != nil {
				return nil, err
			}
		}
		return m.list(t), nil
	}, nil
}

func sliceAxis(m *memory, t *Tensor, axis int, start, end, step int64) (*Tensor, error) {
	size := int64(t.Shape[axis])
	low, high := int64(0), size
	if step < 0 {
		low, high = -1, size-1
	}
	bound := func(v int64) int64 {
		if v < 0 && v >= -size {
			v += size
		} else if v < -size {
			v = low
		}
		return min(max(v, low), high)
	}
	var rows []int
	switch start, end = bound(start), bound(end); {
	case step > 0:
		for i := start; i < end; i += min(step, size+1) {
			rows = append(rows, int(i))
		}
	case step < 0:
		for i := start; i > end; i += max(step, -size-1) {
			rows = append(rows, int(i))
		}
	default:
		return nil, fmt.Errorf("slice with step 0")
	}
	shape := m.shape(t.Shape...)
	shape[axis] = len(rows)
	out, err := m.tensor(t.Type, shape...)
	if err != nil {
		return nil, err
	}
	outer, inner := around(t.Shape, axis)
	to := 0
	for o := range outer {
		for _, r := range rows {
			for k := range inner {
				out.copyElement(to, t, (o*int(size)+r)*inner+k)
				to++
			}
		}
	}
	return out, nil
}

// compileArrayFeatureExtractor picks columns of the last axis.
func compileArrayFeatureExtractor(*nodeContext) (kernel, error) {
	return func(m *memory, in []*Tensor) ([]*Tensor, error) {
		t, index := in[0], in[1]
		if !index.Type.integral() || len(t.Shape) == 0 {
			return nil, fmt.Errorf("input of shape %s with an index of %s", shapeString(t.Shape), index.Type)
		}
		width := t.Shape[len(t.Shape)-1]
		shape := m.shape(t.Shape...)
		if len(shape) == 1 {
			shape = []int{1, width}
		}
		shape[len(shape)-1] = len(index.Ints)
		if err := sizeFits(shape); err != nil {
			return nil, err
		}
		out, err := m.tensor(t.Type, shape...)
		if err != nil {
			return nil, err
		}
		for i := range out.Len() {
			col := index.Ints[i%len(index.Ints)]
			if col < 0 || col >= int64(width) {
				return nil, fmt.Errorf("column %d of %d", col, width)
			}
			out.copyElement(i, t, i/len(index.Ints)*width+int(col))
		}
		return m.list(out), nil
	}, nil
}
