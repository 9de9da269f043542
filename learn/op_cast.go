package learn

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

func compileCast(c *nodeContext) (kernel, error) {
	to := ElementType(c.int("to", 0))
	c.int("saturate", 1) // means something for 8-bit floats only
	if to != Float32 && to != Float64 && to != String && !to.integral() {
		return nil, fmt.Errorf("cast to %s is not supported", to)
	}
	return unary(func(m *memory, t *Tensor) (*Tensor, error) { return cast(m, t, to) }), nil
}

func cast(m *memory, t *Tensor, to ElementType) (*Tensor, error) {
	if t.Type == to {
		return t, nil
	}
	if to == String {
		return castToText(m, t)
	}
	if to != Float32 && to != Float64 && !to.integral() {
		return nil, fmt.Errorf("cast from %s to %s is not supported", t.Type, to)
	}
	out, err := m.tensor(to, t.Shape...)
	if err != nil {
		return nil, err
	}
	set := func(i int, v float64) {
		switch {
		case to == Float32:
			out.Floats[i] = float32(v)
		case to == Float64:
			out.Doubles[i] = v
		default:
			out.Ints[i] = fromFloat(to, v)
		}
	}
	switch {
	case t.Type == Float32:
		for i, v := range t.Floats {
			set(i, float64(v))
		}
	case t.Type == Float64:
		for i, v := range t.Doubles {
			set(i, v)
		}
	case t.Type == String:
		for i, s := range t.Strings {
			if to.integral() {
				v, err := strconv.ParseInt(s, 10, 64)
				if err != nil {
					return nil, fmt.Errorf("a string is not a whole number")
				}
				if out.Ints[i] = wrap(to, v); to == Bool && v != 0 {
					out.Ints[i] = 1
				}
				continue
			}
			v, err := strconv.ParseFloat(s, 64)
			if err != nil || strings.Contains(s, "_") {
				return nil, fmt.Errorf("a string is not a number that a float holds")
			}
			set(i, v)
		}
	case t.Type.integral() && to.integral():
		for i, v := range t.Ints {
			if out.Ints[i] = wrap(to, v); to == Bool && v != 0 {
				out.Ints[i] = 1
			}
		}
	case t.Type.integral():
		for i, v := range t.Ints {
			switch {
			case t.Type == Uint64:
				set(i, asFloat(Uint64, v))
			case to == Float32:
				out.Floats[i] = float32(v)
			default:
				out.Doubles[i] = float64(v)
			}
		}
	default:
		return nil, fmt.Errorf("cast from %s to %s is not supported", t.Type, to)
	}
	return out, nil
}

// castToText writes floats and doubles with eight significant digits, as ONNX Runtime does.
func castToText(m *memory, t *Tensor) (*Tensor, error) {
	out, err := m.tensor(String, t.Shape...)
	if err != nil {
		return nil, err
	}
	for i := range out.Strings {
		switch {
		case t.Type == Uint64:
			out.Strings[i] = strconv.FormatUint(uint64(t.Ints[i]), 10)
			continue
		case t.Type.integral():
			out.Strings[i] = strconv.FormatInt(t.Ints[i], 10)
			continue
		}
		switch v := t.number(i); {
		case v != v:
			out.Strings[i] = "NaN"
		case math.IsInf(v, 1):
			out.Strings[i] = "INF"
		case math.IsInf(v, -1):
			out.Strings[i] = "-INF"
		default:
			out.Strings[i] = strconv.FormatFloat(v, 'g', 8, 64)
		}
	}
	return out, m.spend(32 * int64(len(out.Strings)))
}
