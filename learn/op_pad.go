package learn

import (
	"fmt"
	"math"
)

func padOperators() []operator {
	return []operator{{name: "Pad", least: 1, most: 4, compile: compilePad}}
}

// A padding is what Pad does to one axis: it leaves size elements from start on, and puts before of them in front and after behind.
type padding struct {
	start, size   int
	before, after int
}

// paddingOf reads the two pads of an axis of n elements. One below 0 takes away, before any is added, as in ONNX Runtime.
func paddingOf(mode string, n int, before, after int64) (padding, error) {
	size := int64(n)
	if min(before, after) >= -size {
		size += min(before, 0) + min(after, 0)
	} else {
		size = -1
	}
	added := max(before, after)
	switch {
	case size < 0 || added > math.MaxInt32,
		mode == "reflect" && added > max(size-1, 0),
		mode != "constant" && size == 0 && (n > 0 || added > 0):
		return padding{}, fmt.Errorf("pads %d and %d of an axis of %d in mode %s", before, after, n, mode)
	}
	return padding{start: int(max(-before, 0)), size: int(size), before: int(max(before, 0)), after: int(max(after, 0))}, nil
}

// source is the element of the axis at position p of the padded one, or -1 for the value.
func (a padding) source(mode string, p int) int {
	p -= a.before
	if p < 0 || p >= a.size {
		switch mode {
		case "edge":
			p = min(max(p, 0), a.size-1)
		case "reflect":
			if p = max(p, -p); p >= a.size {
				p = 2*(a.size-1) - p
			}
		case "wrap":
			if p %= a.size; p < 0 {
				p += a.size
			}
		default:
			return -1
		}
	}
	return a.start + p
}

// compilePad puts elements around those of a tensor, or takes some away. Texts are padded as ONNX specifies, with an empty one where no value
// is given; ONNX Runtime has no Pad of texts.
func compilePad(c *nodeContext) (kernel, error) {
	mode, attr, value := c.string("mode", "constant"), c.ints("pads"), c.float("value", 0)
	if mode != "constant" && mode != "edge" && mode != "reflect" && mode != "wrap" {
		return nil, fmt.Errorf("mode %q is not supported", mode)
	}
	return func(m *memory, in []*Tensor) ([]*Tensor, error) {
		t, pads := in[0], attr
		if p := optional(in, 1); p != nil {
			pads = p.Ints
		}
		axes, err := padAxes(m, optional(in, 3), len(t.Shape))
		if err != nil {
			return nil, err
		}
		if len(pads) != 2*len(axes) {
			return nil, fmt.Errorf("%d pads for %d axes", len(pads), len(axes))
		}
		fill := optional(in, 2)
		if fill != nil && (fill.Type != t.Type || fill.Len() != 1) {
			return nil, fmt.Errorf("the value is not one element of %s", t.Type)
		}
		shape, how := m.shape(t.Shape...), make([]padding, len(t.Shape))
		for d, n := range t.Shape {
			how[d].size = n
		}
		for i, axis := range axes {
			if how[axis], err = paddingOf(mode, t.Shape[axis], pads[i], pads[i+len(axes)]); err != nil {
				return nil, err
			}
			shape[axis] = how[axis].before + how[axis].size + how[axis].after
		}
		out, err := m.tensor(t.Type, shape...)
		if err != nil {
			return nil, err
		}
		own := contiguous(m, t.Shape)
		for i := range out.Len() {
			rest, at := i, 0
			for d := len(shape) - 1; d >= 0 && at >= 0; d-- {
				if p := how[d].source(mode, rest%shape[d]); p < 0 {
					at = -1
				} else {
					at += p * own[d]
				}
				rest /= shape[d]
			}
			switch {
			case at >= 0:
				out.copyElement(i, t, at)
			case fill != nil:
				out.copyElement(i, fill, 0)
			case t.Type == Float32:
				out.Floats[i] = value
			case t.Type == Float64:
				out.Doubles[i] = float64(value)
			}
		}
		return m.list(out), nil
	}, nil
}

// padAxes returns the axes that the pads are for: all where none are given. One that is named twice is refused.
func padAxes(m *memory, given *Tensor, rank int) ([]int, error) {
	axes := m.zeros(rank)
	if given == nil {
		for i := range axes {
			axes[i] = i
		}
		return axes, nil
	}
	if !given.Type.integral() || len(given.Ints) > rank {
		return nil, fmt.Errorf("%d axes of type %s of a tensor with %d dimensions", given.Len(), given.Type, rank)
	}
	for i, v := range given.Ints {
		axis, err := axisOf(v, rank)
		if err != nil {
			return nil, err
		}
		for _, other := range axes[:i] {
			if other == axis {
				return nil, fmt.Errorf("axis %d is named twice", axis)
			}
		}
		axes[i] = axis
	}
	return axes[:len(given.Ints)], nil
}
