package learn

import (
	"fmt"
	"math"
)

// Whole numbers of every type are in Tensor.Ints, two's complement: those of a Uint64 beyond int64 are there as the negative number with the
// same bits. What arithmetic makes of them wraps to the type, as in ONNX Runtime.

// wrap brings an integer into the range of its type the way two's complement does.
func wrap(typ ElementType, v int64) int64 {
	switch typ {
	case Int8:
		return int64(int8(v))
	case Uint8:
		return int64(uint8(v))
	case Int16:
		return int64(int16(v))
	case Uint16:
		return int64(uint16(v))
	case Int32:
		return int64(int32(v))
	case Uint32:
		return int64(uint32(v))
	}
	return v
}

// wrapAll is wrap of all elements in place.
func wrapAll(typ ElementType, v []int64) {
	if typ == Int64 || typ == Uint64 {
		return
	}
	for i, x := range v {
		v[i] = wrap(typ, x)
	}
}

// truncate gives the smallest integer for NaN and for what does not fit, as x86 does.
func truncate(v float64) int64 {
	if !(v >= -(1<<63) && v < 1<<63) {
		return math.MinInt64
	}
	return int64(v)
}

// fromFloat is the whole number of a float, which C++ leaves undefined where it does not fit: it is what ONNX Runtime 1.32 answers on x86, which
// takes types of up to 32 bits but uint32 by way of int32. Of a uint32 ONNX Runtime answers one of two numbers, by the position in the tensor; this
// is the one of a single element.
func fromFloat(typ ElementType, v float64) int64 {
	switch typ {
	case Bool:
		if v != 0 {
			return 1
		}
		return 0
	case Int8, Uint8, Int16, Uint16, Int32:
		if !(v > math.MinInt32-1 && v < math.MaxInt32+1) {
			return wrap(typ, math.MinInt32)
		}
	case Uint64:
		if v >= 1<<63 {
			return truncate(v-1<<63) ^ math.MinInt64
		}
	}
	return wrap(typ, truncate(v))
}

// saturated is the whole number of a float, the least or the most of the type for what lies beyond, and the least for NaN.
func saturated(typ ElementType, v float64) int64 {
	least, most := typ.Bounds()
	switch {
	case !(v > float64(least)):
		return least
	case v >= float64(most):
		return most
	}
	return int64(v)
}

// asFloat is an element of a tensor of whole numbers as a float.
func asFloat(typ ElementType, v int64) float64 {
	if typ == Uint64 {
		return float64(uint64(v))
	}
	return float64(v)
}

// ordered is a number that compares as the element does.
func ordered(typ ElementType, v int64) int64 {
	if typ == Uint64 {
		return v ^ math.MinInt64
	}
	return v
}

// unsigned makes of a function of two int64 that compares them one of two uint64.
func unsigned[R any](f func(a, b int64) R) func(a, b int64) R {
	return func(a, b int64) R { return f(a^math.MinInt64, b^math.MinInt64) }
}

// unsignedPick is unsigned for a function that answers one of the two.
func unsignedPick(f func(a, b int64) int64) func(a, b int64) int64 {
	return func(a, b int64) int64 { return f(a^math.MinInt64, b^math.MinInt64) ^ math.MinInt64 }
}

// mapWhole applies f to each whole number, or fails where only floats are taken.
func mapWhole(m *memory, t *Tensor, f func(typ ElementType, v int64) int64) (*Tensor, error) {
	if f == nil {
		return nil, fmt.Errorf("%s tensor where floats are needed", t.Type)
	}
	out, err := m.tensor(t.Type, t.Shape...)
	if err != nil {
		return nil, err
	}
	for i, v := range t.Ints {
		out.Ints[i] = wrap(t.Type, f(t.Type, v))
	}
	return out, nil
}

func (t ElementType) signless() bool { return t == Uint8 || t == Uint16 || t == Uint32 || t == Uint64 }

func absWhole(typ ElementType, v int64) int64 {
	if v < 0 && !typ.signless() {
		return -v
	}
	return v
}

func reluWhole(typ ElementType, v int64) int64 {
	if v < 0 && !typ.signless() {
		return 0
	}
	return v
}

func signWhole(typ ElementType, v int64) int64 {
	switch {
	case v == 0:
		return 0
	case v < 0 && !typ.signless():
		return -1
	}
	return 1
}

// checkDivisors refuses what has no quotient: a divisor of 0, and the least int32 or int64 by -1. ONNX Runtime refuses the one and is killed by the
// other.
func checkDivisors(m *memory, a, b *Tensor) error {
	if !a.Type.integral() || a.Type != b.Type {
		return nil
	}
	minus := false
	for _, v := range b.Ints {
		if v == 0 {
			return fmt.Errorf("a whole number is divided by 0")
		}
		minus = minus || v == -1
	}
	if least, _ := a.Type.Bounds(); minus && (a.Type == Int32 || a.Type == Int64) {
		beyond := false
		_, err := combine(m, a, b, &arithmetic{i64: func(x, y int64) int64 {
			beyond = beyond || x == least && y == -1
			return 0
		}})
		if err == nil && beyond {
			return fmt.Errorf("the least %s is divided by -1, and %s does not hold the quotient", a.Type, a.Type)
		}
	}
	return nil
}

func compileDiv(*nodeContext) (kernel, error) {
	f := &arithmetic{
		f32: div[float32], f64: div[float64],
		i64: func(a, b int64) int64 { return a / b }, u64: func(a, b int64) int64 { return int64(uint64(a) / uint64(b)) },
	}
	return func(m *memory, in []*Tensor) ([]*Tensor, error) {
		if err := checkDivisors(m, in[0], in[1]); err != nil {
			return nil, err
		}
		return m.one(combine(m, in[0], in[1], f))
	}, nil
}

// compileMod gives a remainder with the sign of the divisor, or with fmod that of the dividend.
func compileMod(c *nodeContext) (kernel, error) {
	fmod := c.int("fmod", 0) != 0
	f := &arithmetic{
		f32: func(a, b float32) float32 { return float32(math.Mod(float64(a), float64(b))) }, f64: math.Mod,
		i64: func(a, b int64) int64 {
			if b == -1 { // of which the least number has no quotient
				return 0
			}
			r := a % b
			if !fmod && r != 0 && (r < 0) != (b < 0) {
				r += b
			}
			return r
		},
		u64: func(a, b int64) int64 { return int64(uint64(a) % uint64(b)) },
	}
	return func(m *memory, in []*Tensor) ([]*Tensor, error) {
		if !fmod && !in[0].Type.integral() {
			return nil, fmt.Errorf("%s tensors need fmod", in[0].Type)
		}
		if in[1].Type.integral() && in[0].Type == in[1].Type {
			for _, v := range in[1].Ints {
				if v == 0 {
					return nil, fmt.Errorf("a whole number is divided by 0")
				}
			}
		}
		return m.one(combine(m, in[0], in[1], f))
	}, nil
}

// compilePow raises to powers of the same type or another one; the result has the type of the base. A power of a whole number is computed in
// float64.
func compilePow(*nodeContext) (kernel, error) {
	same := &arithmetic{f32: pow[float32], f64: pow[float64]}
	return func(m *memory, in []*Tensor) ([]*Tensor, error) {
		a, b := in[0], in[1]
		if a.Type == b.Type && !a.Type.integral() {
			return m.one(combine(m, a, b, same))
		}
		for _, t := range in {
			if t.Type != Float32 && t.Type != Float64 && t.Type != Int32 && t.Type != Int64 {
				return nil, fmt.Errorf("inputs are %s and %s", a.Type, b.Type)
			}
		}
		x, err := cast(m, a, Float64)
		if err != nil {
			return nil, err
		}
		y, err := cast(m, b, Float64)
		if err != nil {
			return nil, err
		}
		out, err := combine(m, x, y, same)
		if err != nil {
			return nil, err
		}
		return m.one(cast(m, out, a.Type))
	}, nil
}
