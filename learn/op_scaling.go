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
			row := x[i*cols : (i+1)*cols]
			size := 0.0
			for j, v := range row {
				switch norm {
				case "MAX":
					if j == 0 || float64(v) > size {
						size = float64(v)
					}
				case "L1":
					size += math.Abs(float64(v))
				case "L2":
					size += float64(v) * float64(v)
				}
			}
			if norm == "L2" {
				size = math.Sqrt(size)
			}
			for j, v := range row {
				if size != 0 {
					v = float32(float64(v) / size)
				}
				out.Floats[i*cols+j] = v
			}
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
