package learn

import (
	"fmt"
	"math"
)

type number interface{ float32 | float64 | int64 }

func arithmeticOperators() []operator {
	ops := []operator{
		{name: "Cast", least: 1, most: 1, compile: compileCast},
		{name: "IsNaN", least: 1, most: 1, compile: compileIsNaN},
		{name: "Where", least: 3, most: 3, compile: compileWhere},
		{name: "Clip", least: 1, most: 3, compile: compileClip},
		{name: "LeakyRelu", least: 1, most: 1, compile: func(c *nodeContext) (kernel, error) {
			alpha := float64(c.float("alpha", 0.01))
			return mapFloats(func(x float64) float64 {
				if x < 0 {
					return alpha * x
				}
				return x
			}), nil
		}},
		shaped("Elu", 1, 0, func(x, alpha, _ float64) float64 {
			if x < 0 {
				return alpha * math.Expm1(x)
			}
			return x
		}),
		shaped("Celu", 1, 0, func(x, alpha, _ float64) float64 { return max(0, x) + min(0, alpha*math.Expm1(x/alpha)) }),
		shaped("Selu", 1.67326319217681884765625, 1.05070102214813232421875, func(x, alpha, gamma float64) float64 {
			if x <= 0 {
				return gamma * alpha * math.Expm1(x)
			}
			return gamma * x
		}),
		shaped("HardSigmoid", 0.2, 0.5, func(x, alpha, beta float64) float64 { return min(max(alpha*x+beta, 0), 1) }),
		shaped("ThresholdedRelu", 1, 0, func(x, alpha, _ float64) float64 {
			if x > alpha {
				return x
			}
			return 0
		}),
		{name: "Gelu", least: 1, most: 1, compile: func(c *nodeContext) (kernel, error) {
			switch how := c.string("approximate", "none"); how {
			case "none":
				return mapFloats(func(x float64) float64 { return 0.5 * x * (1 + math.Erf(x/math.Sqrt2)) }), nil
			case "tanh":
				return mapFloats(func(x float64) float64 {
					return 0.5 * x * (1 + math.Tanh(math.Sqrt(2/math.Pi)*(x+0.044715*x*x*x)))
				}), nil
			default:
				return nil, fmt.Errorf("approximate %q is not known", how)
			}
		}},
		{name: "IsInf", least: 1, most: 1, compile: func(c *nodeContext) (kernel, error) {
			down, up := c.int("detect_negative", 1) != 0, c.int("detect_positive", 1) != 0
			return test(func(v float64) bool { return down && math.IsInf(v, -1) || up && math.IsInf(v, 1) }), nil
		}},
		{name: "Mean", least: 1, most: anyNumber, compile: compileMean},
		{name: "Mod", least: 2, most: 2, compile: compileMod},
		{name: "CastLike", least: 2, most: 2, compile: func(c *nodeContext) (kernel, error) {
			c.int("saturate", 1)
			return func(m *memory, in []*Tensor) ([]*Tensor, error) { return m.one(cast(m, in[0], in[1].Type)) }, nil
		}},
		{name: "Not", least: 1, most: 1, compile: func(*nodeContext) (kernel, error) {
			return unary(func(m *memory, t *Tensor) (*Tensor, error) {
				if t.Type != Bool {
					return nil, fmt.Errorf("%s tensor where bool is needed", t.Type)
				}
				out, err := m.tensor(Bool, t.Shape...)
				if err != nil {
					return nil, err
				}
				for i, v := range t.Ints {
					out.Ints[i] = 1 - v
				}
				return out, nil
			}), nil
		}},
	}
	for _, u := range []struct {
		name string
		f    func(float64) float64
	}{
		{"Exp", math.Exp},
		{"Log", math.Log},
		{"Sqrt", math.Sqrt},
		{"Tanh", math.Tanh},
		{"Erf", math.Erf},
		{"Floor", math.Floor},
		{"Ceil", math.Ceil},
		{"Round", math.RoundToEven},
		{"Sigmoid", logistic},
		{"Reciprocal", func(x float64) float64 { return 1 / x }},
		{"Softplus", func(x float64) float64 { return max(x, 0) + math.Log1p(math.Exp(-math.Abs(x))) }},
		{"Softsign", func(x float64) float64 { return x / (1 + math.Abs(x)) }},
		{"Mish", func(x float64) float64 { return x * math.Tanh(max(x, 0)+math.Log1p(math.Exp(-math.Abs(x)))) }},
		{"HardSwish", func(x float64) float64 { return x * min(max(x/6+0.5, 0), 1) }},
		{"Sin", math.Sin},
		{"Cos", math.Cos},
		{"Tan", math.Tan},
		{"Asin", math.Asin},
		{"Acos", math.Acos},
		{"Atan", math.Atan},
		{"Sinh", math.Sinh},
		{"Cosh", math.Cosh},
		{"Asinh", math.Asinh},
		{"Acosh", math.Acosh},
		{"Atanh", math.Atanh},
	} {
		f := u.f
		ops = append(ops, operator{name: u.name, least: 1, most: 1, compile: func(*nodeContext) (kernel, error) {
			return mapFloats(f), nil
		}})
	}
	for _, u := range []struct {
		name  string
		f     func(float64) float64
		whole func(typ ElementType, v int64) int64
	}{
		{"Abs", math.Abs, absWhole},
		{"Neg", func(x float64) float64 { return -x }, func(_ ElementType, v int64) int64 { return -v }},
		{"Sign", func(x float64) float64 {
			switch {
			case x > 0:
				return 1
			case x < 0:
				return -1
			case x == 0:
				return 0
			}
			return x
		}, signWhole},
		{"Relu", func(x float64) float64 {
			if x < 0 {
				return 0
			}
			return x
		}, reluWhole},
	} {
		ops = append(ops, operator{name: u.name, least: 1, most: 1, compile: func(*nodeContext) (kernel, error) {
			return mapNumbers(u.f, u.whole), nil
		}})
	}
	ops = append(ops,
		elementwise("Add", arithmetic{f32: add[float32], f64: add[float64], i64: add[int64]}),
		elementwise("Sub", arithmetic{f32: sub[float32], f64: sub[float64], i64: sub[int64]}),
		elementwise("Mul", arithmetic{f32: mul[float32], f64: mul[float64], i64: mul[int64]}),
		operator{name: "Div", least: 2, most: 2, compile: compileDiv}, operator{name: "Pow", least: 2, most: 2, compile: compilePow},
		elementwise("PRelu", arithmetic{f32: prelu[float32], f64: prelu[float64], i64: prelu[int64], u64: func(x, _ int64) int64 { return x }}),
		compare("Equal", equal[float32], equal[float64], equal[int64]), compare("Less", less[float32], less[float64], less[int64]),
		compare("LessOrEqual", atMost[float32], atMost[float64], atMost[int64]),
		compare("Greater", flip(less[float32]), flip(less[float64]), flip(less[int64])),
		compare("GreaterOrEqual", flip(atMost[float32]), flip(atMost[float64]), flip(atMost[int64])),
		compare("And", nil, nil, func(a, b int64) bool { return a&b != 0 }), compare("Or", nil, nil, func(a, b int64) bool { return a|b != 0 }),
		compare("Xor", nil, nil, func(a, b int64) bool { return a != b }),
		variadic("Sum", arithmetic{f32: add[float32], f64: add[float64], i64: add[int64]}),
		variadic("Min", arithmetic{f32: least[float32], f64: least[float64], i64: least[int64], u64: unsignedPick(least[int64])}),
		variadic("Max", arithmetic{f32: most[float32], f64: most[float64], i64: most[int64], u64: unsignedPick(most[int64])}),
	)
	return ops
}

func add[T number](a, b T) T       { return a + b }
func sub[T number](a, b T) T       { return a - b }
func mul[T number](a, b T) T       { return a * b }
func div[T number](a, b T) T       { return a / b }
func pow[T number](a, b T) T       { return T(math.Pow(float64(a), float64(b))) }
func equal[T number](a, b T) bool  { return a == b }
func less[T number](a, b T) bool   { return a < b }
func atMost[T number](a, b T) bool { return a <= b }
func flip[T number](f func(a, b T) bool) func(a, b T) bool {
	return func(a, b T) bool { return f(b, a) }
}

func prelu[T number](x, slope T) T {
	if x < 0 {
		return x * slope
	}
	return x
}

// least and most hand on NaN from either side.
func least[T number](a, b T) T {
	if a != a || b != b {
		return a + b
	}
	return min(a, b)
}

func most[T number](a, b T) T {
	if a != a || b != b {
		return a + b
	}
	return max(a, b)
}

// logistic is 1/(1+exp(-x)) without overflow and without loss of relative precision in the lower tail.
func logistic(x float64) float64 {
	if x >= 0 {
		return 1 / (1 + math.Exp(-x))
	}
	e := math.Exp(x)
	return e / (1 + e)
}

// mapFloats applies f to each element of a tensor of floats in float64 and rounds once to its type.
func mapFloats(f func(float64) float64) kernel { return mapNumbers(f, nil) }

// mapNumbers is mapFloats that takes whole numbers, too, where whole is not nil.
func mapNumbers(f func(float64) float64, whole func(typ ElementType, v int64) int64) kernel {
	return unary(func(m *memory, t *Tensor) (*Tensor, error) {
		if t.Type.integral() && t.Type != Bool {
			return mapWhole(m, t, whole)
		}
		out, err := m.tensor(t.Type, t.Shape...)
		if err != nil {
			return nil, err
		}
		switch {
		case t.Type == Float32:
			for i, v := range t.Floats {
				out.Floats[i] = float32(f(float64(v)))
			}
		case t.Type == Float64:
			for i, v := range t.Doubles {
				out.Doubles[i] = f(v)
			}
		default:
			return nil, fmt.Errorf("%s tensor where numbers are needed", t.Type)
		}
		return out, nil
	})
}

// An arithmetic is an operation on two numbers of one type, for each kind of numbers; u64 is nil where i64 does for Uint64, too.
type arithmetic struct {
	f32      func(a, b float32) float32
	f64      func(a, b float64) float64
	i64, u64 func(a, b int64) int64
}

func elementwise(name string, f arithmetic) operator {
	return operator{name: name, least: 2, most: 2, compile: func(*nodeContext) (kernel, error) {
		return func(m *memory, in []*Tensor) ([]*Tensor, error) { return m.one(combine(m, in[0], in[1], &f)) }, nil
	}}
}

func variadic(name string, f arithmetic) operator {
	return operator{name: name, least: 1, most: anyNumber, compile: func(*nodeContext) (kernel, error) {
		return func(m *memory, in []*Tensor) ([]*Tensor, error) {
			out := in[0]
			for _, t := range in[1:] {
				var err error
				if out, err = combine(m, out, t, &f); err != nil {
					return nil, err
				}
			}
			return m.list(out), nil
		}, nil
	}}
}

// combine applies an operation to two tensors of one type, broadcasting their shapes.
func combine(m *memory, a, b *Tensor, f *arithmetic) (*Tensor, error) {
	if a.Type != b.Type {
		return nil, fmt.Errorf("inputs are %s and %s", a.Type, b.Type)
	}
	shape, err := broadcastShape(m, a.Shape, b.Shape)
	if err != nil {
		return nil, err
	}
	out, err := m.tensor(a.Type, shape...)
	if err != nil {
		return nil, err
	}
	switch {
	case a.Type == Float32:
		broadcast(m, out.Floats, shape, a.Floats, a.Shape, b.Floats, b.Shape, f.f32)
	case a.Type == Float64:
		broadcast(m, out.Doubles, shape, a.Doubles, a.Shape, b.Doubles, b.Shape, f.f64)
	case a.Type == Bool:
		return nil, fmt.Errorf("%s tensors where numbers are needed", a.Type)
	case a.Type == Uint64 && f.u64 != nil:
		broadcast(m, out.Ints, shape, a.Ints, a.Shape, b.Ints, b.Shape, f.u64)
	case a.Type.integral():
		broadcast(m, out.Ints, shape, a.Ints, a.Shape, b.Ints, b.Shape, f.i64)
		wrapAll(a.Type, out.Ints)
	default:
		return nil, fmt.Errorf("%s tensors where numbers are needed", a.Type)
	}
	return out, nil
}

func compare(name string, f32 func(a, b float32) bool, f64 func(a, b float64) bool, i64 func(a, b int64) bool) operator {
	t32, t64, tInt, text := truth(f32), truth(f64), truth(i64), truth(func(x, y string) bool { return x == y })
	tUint := tInt
	if f32 != nil {
		tUint = unsigned(tInt)
	}
	return operator{name: name, least: 2, most: 2, compile: func(c *nodeContext) (kernel, error) {
		if c.version() < 7 {
			c.int("broadcast", 0)
		}
		return func(m *memory, in []*Tensor) ([]*Tensor, error) {
			a, b := in[0], in[1]
			if a.Type != b.Type {
				return nil, fmt.Errorf("inputs are %s and %s", a.Type, b.Type)
			}
			shape, err := broadcastShape(m, a.Shape, b.Shape)
			if err != nil {
				return nil, err
			}
			out, err := m.tensor(Bool, shape...)
			if err != nil {
				return nil, err
			}
			switch {
			case a.Type == Float32 && f32 != nil:
				broadcast(m, out.Ints, shape, a.Floats, a.Shape, b.Floats, b.Shape, t32)
			case a.Type == Float64 && f64 != nil:
				broadcast(m, out.Ints, shape, a.Doubles, a.Shape, b.Doubles, b.Shape, t64)
			case a.Type == Uint64:
				broadcast(m, out.Ints, shape, a.Ints, a.Shape, b.Ints, b.Shape, tUint)
			case a.Type.integral():
				broadcast(m, out.Ints, shape, a.Ints, a.Shape, b.Ints, b.Shape, tInt)
			case a.Type == String && name == "Equal":
				broadcast(m, out.Ints, shape, a.Strings, a.Shape, b.Strings, b.Shape, text)
			default:
				return nil, fmt.Errorf("%s tensors cannot be compared so", a.Type)
			}
			return m.list(out), nil
		}, nil
	}}
}

func truth[T any](f func(a, b T) bool) func(a, b T) int64 {
	return func(a, b T) int64 {
		if f(a, b) {
			return 1
		}
		return 0
	}
}

// broadcastShape is the common shape of two under NumPy's rule.
func broadcastShape(m *memory, a, b []int) ([]int, error) {
	out := m.zeros(max(len(a), len(b)))
	n := 1
	for i := range out {
		x, y := 1, 1
		if j := i - len(out) + len(a); j >= 0 {
			x = a[j]
		}
		if j := i - len(out) + len(b); j >= 0 {
			y = b[j]
		}
		switch {
		case x == y || y == 1:
			out[i] = x
		case x == 1:
			out[i] = y
		default:
			return nil, fmt.Errorf("shapes %s and %s do not fit each other", shapeString(a), shapeString(b))
		}
		if out[i] > 0 && n > math.MaxInt32/out[i] {
			return nil, fmt.Errorf("shapes %s and %s give too many elements", shapeString(a), shapeString(b))
		}
		n *= max(out[i], 1)
	}
	return out, nil
}

func broadcast[T, R any](m *memory, out []R, shape []int, a []T, aShape []int, b []T, bShape []int, f func(a, b T) R) {
	switch {
	case len(out) == 0:
		return
	case len(a) == len(out) && len(b) == len(out):
		for i := range out {
			out[i] = f(a[i], b[i])
		}
		return
	case len(a) == len(out) && len(b) == 1:
		for i := range out {
			out[i] = f(a[i], b[0])
		}
		return
	}
	as, bs := broadcastStrides(m, aShape, shape), broadcastStrides(m, bShape, shape)
	at := m.zeros(len(shape))
	ai, bi := 0, 0
	for i := range out {
		out[i] = f(a[ai], b[bi])
		for d := len(shape) - 1; d >= 0; d-- {
			at[d]++
			ai += as[d]
			bi += bs[d]
			if at[d] < shape[d] {
				break
			}
			ai -= as[d] * shape[d]
			bi -= bs[d] * shape[d]
			at[d] = 0
		}
	}
}

// broadcastStrides returns the step along each axis of shape through a tensor of the given own shape: 0 where it is repeated.
func broadcastStrides(m *memory, own, shape []int) []int {
	out := m.zeros(len(shape))
	step := 1
	for i := len(own) - 1; i >= 0; i-- {
		if own[i] != 1 {
			out[i+len(shape)-len(own)] = step
		}
		step *= own[i]
	}
	return out
}

func compileIsNaN(*nodeContext) (kernel, error) {
	return test(math.IsNaN), nil
}

// test adapts a question about a float.
func test(f func(float64) bool) kernel {
	return unary(func(m *memory, t *Tensor) (*Tensor, error) {
		if t.Type != Float32 && t.Type != Float64 {
			return nil, fmt.Errorf("%s tensor where floats are needed", t.Type)
		}
		out, err := m.tensor(Bool, t.Shape...)
		if err != nil {
			return nil, err
		}
		for i := range out.Ints {
			if f(t.number(i)) {
				out.Ints[i] = 1
			}
		}
		return out, nil
	})
}

// shaped is an element-wise function with two parameters, alpha and the one that its name goes with, and their defaults.
func shaped(name string, alpha, other float32, f func(x, alpha, other float64) float64) operator {
	return operator{name: name, least: 1, most: 1, compile: func(c *nodeContext) (kernel, error) {
		a, b := float64(c.float("alpha", alpha)), 0.0
		if other != 0 {
			second := "beta"
			if name == "Selu" {
				second = "gamma"
			}
			b = float64(c.float(second, other))
		}
		return mapFloats(func(x float64) float64 { return f(x, a, b) }), nil
	}}
}

func compileMean(*nodeContext) (kernel, error) {
	plus, over := &arithmetic{f32: add[float32], f64: add[float64], i64: add[int64]}, &arithmetic{f32: div[float32], f64: div[float64]}
	return func(m *memory, in []*Tensor) ([]*Tensor, error) {
		out := in[0]
		for _, t := range in[1:] {
			var err error
			if out, err = combine(m, out, t, plus); err != nil {
				return nil, err
			}
		}
		share, err := m.tensor(out.Type)
		if err != nil || out.Type != Float32 && out.Type != Float64 {
			return nil, fmt.Errorf("%s tensor where floats are needed", out.Type)
		}
		share.setNumber(0, float64(len(in)))
		return m.one(combine(m, out, share, over))
	}, nil
}

func compileWhere(*nodeContext) (kernel, error) {
	return func(m *memory, in []*Tensor) ([]*Tensor, error) {
		cond, a, b := in[0], in[1], in[2]
		if cond.Type != Bool || a.Type != b.Type {
			return nil, fmt.Errorf("inputs are %s, %s and %s", cond.Type, a.Type, b.Type)
		}
		shape, err := broadcastShape(m, a.Shape, b.Shape)
		if err == nil {
			shape, err = broadcastShape(m, cond.Shape, shape)
		}
		if err != nil {
			return nil, err
		}
		out, err := m.tensor(a.Type, shape...)
		if err != nil {
			return nil, err
		}
		cs, as, bs := broadcastStrides(m, cond.Shape, shape), broadcastStrides(m, a.Shape, shape), broadcastStrides(m, b.Shape, shape)
		for i := range out.Len() {
			if cond.Ints[dot(shape, cs, i)] != 0 {
				out.copyElement(i, a, dot(shape, as, i))
			} else {
				out.copyElement(i, b, dot(shape, bs, i))
			}
		}
		return m.list(out), nil
	}, nil
}

// dot returns the position in a tensor with the given strides of the flat position i in shape.
func dot(shape, strides []int, i int) int {
	at := 0
	for d := len(shape) - 1; d >= 0; d-- {
		at += i % shape[d] * strides[d]
		i /= shape[d]
	}
	return at
}

func (t *Tensor) copyElement(i int, from *Tensor, j int) {
	switch {
	case t.Type == Float32:
		t.Floats[i] = from.Floats[j]
	case t.Type == Float64:
		t.Doubles[i] = from.Doubles[j]
	case t.Type == String:
		t.Strings[i] = from.Strings[j]
	default:
		t.Ints[i] = from.Ints[j]
	}
}
