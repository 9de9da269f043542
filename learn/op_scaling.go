package learn

import (
	"fmt"
	"math"
)

func scalingOperators() []operator {
	return []operator{
		{domain: domainML, name: "Scaler", least: 1, most: 1, compile: compileScaler},
		{domain: domainML, name: "Imputer", least: 1, most: 1, compile: compileImputer},
		{domain: domainML, name: "Normalizer", least: 1, most: 1, compile: compileNormalizer},
		{name: "LpNormalization", least: 1, most: 1, compile: compileLpNormalization},
		{domain: domainML, name: "Binarizer", least: 1, most: 1, compile: compileBinarizer},
	}
}

// compileScaler is (x - offset) * scale with one of each, or one a column.
func compileScaler(c *nodeContext) (kernel, error) {
	offset, scale := c.floats("offset"), c.floats("scale")
	if len(offset) == 0 || len(offset) != len(scale) {
		return nil, fmt.Errorf("%d offsets and %d scales", len(offset), len(scale))
	}
	return unary(func(m *memory, t *Tensor) (*Tensor, error) {
		x, err := t.float32s(m)
		if err != nil {
			return nil, err
		}
		if len(t.Shape) == 0 || len(offset) > 1 && t.Shape[len(t.Shape)-1] != len(offset) {
			return nil, fmt.Errorf("%d offsets for a tensor of shape %s", len(offset), shapeString(t.Shape))
		}
		out, err := m.tensor(Float32, t.Shape...)
		if err != nil {
			return nil, err
		}
		for i, v := range x {
			j := i % len(offset)
			out.Floats[i] = float32(v-offset[j]) * scale[j]
		}
		return out, nil
	}), nil
}

func compileImputer(c *nodeContext) (kernel, error) {
	floats, ints := c.floats("imputed_value_floats"), c.ints("imputed_value_int64s")
	missing, missingInt := c.float("replaced_value_float", 0), c.int("replaced_value_int64", 0)
	if (floats == nil) == (ints == nil) {
		return nil, fmt.Errorf("exactly one of imputed_value_floats and imputed_value_int64s must be given")
	}
	return unary(func(m *memory, t *Tensor) (*Tensor, error) {
		k := len(floats) + len(ints)
		if len(t.Shape) == 0 || k > 1 && t.Shape[len(t.Shape)-1] != k {
			return nil, fmt.Errorf("%d imputed values for a tensor of shape %s", k, shapeString(t.Shape))
		}
		out, err := m.tensor(t.Type, t.Shape...)
		if err != nil {
			return nil, err
		}
		switch {
		case t.Type == Float32 && floats != nil:
			nan := missing != missing
			for i, v := range t.Floats {
				if v == missing || nan && v != v {
					v = floats[i%k]
				}
				out.Floats[i] = v
			}
		case t.Type == Int64 && ints != nil:
			for i, v := range t.Ints {
				if v == missingInt {
					v = ints[i%k]
				}
				out.Ints[i] = v
			}
		default:
			return nil, fmt.Errorf("%s tensor does not fit the kind of the imputed values", t.Type)
		}
		return out, nil
	}), nil
}

// compileNormalizer scales each row by its largest absolute value, its sum of absolute values or its Euclidean length.
func compileNormalizer(c *nodeContext) (kernel, error) {
	norm := c.string("norm", "MAX")
	if norm != "MAX" && norm != "L1" && norm != "L2" {
		return nil, fmt.Errorf("norm %q is not known", norm)
	}
	return unary(func(m *memory, t *Tensor) (*Tensor, error) {
		x, err := t.float32s(m)
		if err != nil {
			return nil, err
		}
		rows, cols, err := t.matrix()
		if err != nil {
			return nil, err
		}
		out, err := m.tensor(Float32, t.Shape...)
		if err != nil {
			return nil, err
		}
		for i := range rows {
			normalize(norm, x[i*cols:(i+1)*cols], out.Floats[i*cols:])
		}
		return out, nil
	}), nil
}

func compileBinarizer(c *nodeContext) (kernel, error) {
	threshold := float64(c.float("threshold", 0))
	return mapFloats(func(x float64) float64 {
		if x > threshold {
			return 1
		}
		return 0
	}), nil
}

// normalize divides a row by its norm, in float32 throughout as ONNX Runtime does, so that squares vanish and overflow as there. A row whose
// norm is 0 stays as it is; the greatest element is one of those that are numbers.
func normalize(norm string, row, out []float32) {
	size := float32(0)
	if norm == "MAX" {
		size = -math.MaxFloat32
	}
	for _, v := range row {
		switch {
		case norm == "L1":
			size += float32(math.Abs(float64(v)))
		case norm == "L2":
			size += float32(v * v)
		case v > size:
			size = v
		}
	}
	for j, v := range row {
		switch {
		case size == 0:
		case norm == "L2":
			v = float32(math.Copysign(math.Sqrt(float64(float32(v*v)/size)), float64(v)))
		default:
			v /= size
		}
		out[j] = v
	}
}

// compileLpNormalization divides by the norm along an axis; where that is 0, the result is too.
func compileLpNormalization(c *nodeContext) (kernel, error) {
	axisAttr, p := c.int("axis", -1), c.int("p", 2)
	if p != 1 && p != 2 {
		return nil, fmt.Errorf("p is %d, it can be 1 or 2", p)
	}
	return unary(func(m *memory, t *Tensor) (*Tensor, error) {
		axis, err := axisOf(axisAttr, len(t.Shape))
		if err != nil {
			return nil, err
		}
		if t.Type != Float32 && t.Type != Float64 {
			return nil, fmt.Errorf("%s tensor where floats are needed", t.Type)
		}
		out, err := m.tensor(t.Type, t.Shape...)
		if err != nil {
			return nil, err
		}
		outer, inner := around(t.Shape, axis)
		n := t.Shape[axis]
		for o := range outer {
			for i := range inner {
				if at := o*n*inner + i; t.Type == Float32 {
					lpNormalize(p, t.Floats, out.Floats, at, inner, n)
				} else {
					lpNormalize(p, t.Doubles, out.Doubles, at, inner, n)
				}
			}
		}
		return out, nil
	}), nil
}

// lpNormalize does it for n elements from at on, each a step from the one before, in the precision of their type.
func lpNormalize[T float32 | float64](p int64, x, out []T, at, step, n int) {
	var size T
	for k := range n {
		if v := x[at+k*step]; p == 1 {
			size += T(math.Abs(float64(v)))
		} else {
			size += T(v * v)
		}
	}
	if size == 0 {
		return
	}
	if p == 2 {
		size = T(math.Sqrt(float64(size)))
	}
	for k := range n {
		out[at+k*step] = x[at+k*step] / size
	}
}
