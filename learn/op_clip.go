package learn

import (
	"fmt"
	"math"
)

func compileClip(c *nodeContext) (kernel, error) {
	lo, hi := float64(c.float("min", -math.MaxFloat32)), float64(c.float("max", math.MaxFloat32))
	old := c.version() < 11
	return func(m *memory, in []*Tensor) ([]*Tensor, error) {
		lo, hi := lo, hi
		if !old {
			lo, hi = math.Inf(-1), math.Inf(1)
			for i, bound := range in[1:] {
				if bound == nil {
					continue
				}
				if bound.Len() != 1 || bound.Type != in[0].Type {
					return nil, fmt.Errorf("a bound is not one number of the input's type")
				}
				if i == 0 {
					lo = bound.number(0)
				} else {
					hi = bound.number(0)
				}
			}
		}
		t := in[0]
		if t.Type.integral() && !old {
			return m.one(clipWhole(m, t, optional(in, 1), optional(in, 2)))
		}
		out, err := m.tensor(t.Type, t.Shape...)
		if err != nil {
			return nil, err
		}
		for i := range out.Len() {
			if v := t.number(i); v > hi || lo > hi && v == v {
				out.setNumber(i, hi)
			} else if v < lo {
				out.setNumber(i, lo)
			} else {
				out.copyElement(i, t, i)
			}
		}
		return m.list(out), nil
	}, nil
}

// clipWhole brings whole numbers between bounds of their type, of which the upper one prevails; nil is none.
func clipWhole(m *memory, t, lower, upper *Tensor) (*Tensor, error) {
	out, err := m.tensor(t.Type, t.Shape...)
	if err != nil {
		return nil, err
	}
	lo, hi := int64(math.MinInt64), int64(math.MaxInt64)
	if lower != nil {
		lo = ordered(t.Type, lower.Ints[0])
	}
	if upper != nil {
		hi = ordered(t.Type, upper.Ints[0])
	}
	for i, v := range t.Ints {
		out.Ints[i] = ordered(t.Type, min(max(ordered(t.Type, v), lo), hi))
	}
	return out, nil
}

// number returns an element of a numeric tensor.
func (t *Tensor) number(i int) float64 {
	switch t.Type {
	case Float32:
		return float64(t.Floats[i])
	case Float64:
		return t.Doubles[i]
	}
	return asFloat(t.Type, t.Ints[i])
}

// setNumber rounds a number to the type of a numeric tensor.
func (t *Tensor) setNumber(i int, v float64) {
	switch t.Type {
	case Float32:
		t.Floats[i] = float32(v)
	case Float64:
		t.Doubles[i] = v
	default:
		t.Ints[i] = fromFloat(t.Type, v)
	}
}
