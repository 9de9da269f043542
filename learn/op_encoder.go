package learn

import (
	"fmt"
	"math"
)

func encoderOperators() []operator {
	return []operator{
		{domain: domainML, name: "LabelEncoder", least: 1, most: 1, compile: compileLabelEncoder},
		{domain: domainML, name: "OneHotEncoder", least: 1, most: 1, compile: compileOneHot},
		{domain: domainML, name: "ZipMap", least: 1, most: 1, compile: compileZipMap},
	}
}

// compileLabelEncoder maps keys to values element by element. Version 1 maps between the strings of one list and their positions.
func compileLabelEncoder(c *nodeContext) (kernel, error) {
	if classes := c.strings("classes_strings"); classes != nil {
		return firstLabelEncoder(classes, c.string("default_string", "_Unused"), c.int("default_int64", -1)), nil
	}
	keys, values, fallback, err := labelTable(c)
	if err != nil {
		return nil, err
	}
	if keys.Len() != values.Len() {
		return nil, fmt.Errorf("%d keys for %d values", keys.Len(), values.Len())
	}
	var find func(t *Tensor, i int) (int, bool)
	switch keys.Type {
	case String:
		table := indexOf(keys.Strings)
		find = func(t *Tensor, i int) (int, bool) { at, ok := table[t.Strings[i]]; return at, ok }
	case Float32:
		table := indexOf(keys.Floats)
		nan, hasNaN := 0, false
		for i, k := range keys.Floats {
			if k != k && c.version() >= 4 { // in older versions NaN is equal to nothing
				nan, hasNaN = i, true
			}
		}
		find = func(t *Tensor, i int) (int, bool) {
			if v := t.Floats[i]; v == v {
				at, ok := table[v]
				return at, ok
			}
			return nan, hasNaN
		}
	case Float64:
		table := indexOf(keys.Doubles)
		find = func(t *Tensor, i int) (int, bool) { at, ok := table[t.Doubles[i]]; return at, ok }
	default:
		if !keys.Type.integral() {
			return nil, fmt.Errorf("keys of %s are not supported", keys.Type)
		}
		table := indexOf(keys.Ints)
		find = func(t *Tensor, i int) (int, bool) { at, ok := table[t.Ints[i]]; return at, ok }
	}
	return unary(func(m *memory, t *Tensor) (*Tensor, error) {
		if t.Type != keys.Type {
			return nil, fmt.Errorf("input is %s, the keys are %s", t.Type, keys.Type)
		}
		out, err := m.tensor(values.Type, t.Shape...)
		if err != nil {
			return nil, err
		}
		for i := range out.Len() {
			if at, ok := find(t, i); ok {
				out.copyElement(i, values, at)
			} else {
				out.copyElement(i, fallback, 0)
			}
		}
		return out, nil
	}), nil
}

// firstLabelEncoder is version 1 of the operator: strings become their positions in a list, and positions strings.
func firstLabelEncoder(classes []string, noText string, noInt int64) kernel {
	table := indexOf(classes)
	return unary(func(m *memory, t *Tensor) (*Tensor, error) {
		if t.Type != String && t.Type != Int64 {
			return nil, fmt.Errorf("%s tensor where strings or int64 are needed", t.Type)
		}
		to := String
		if t.Type == String {
			to = Int64
		}
		out, err := m.tensor(to, t.Shape...)
		if err != nil {
			return nil, err
		}
		for i, s := range t.Strings {
			if out.Ints[i] = noInt; len(table) > 0 {
				if at, ok := table[s]; ok {
					out.Ints[i] = int64(at)
				}
			}
		}
		for i, v := range t.Ints {
			if out.Strings[i] = noText; v >= 0 && v < int64(len(classes)) {
				out.Strings[i] = classes[v]
			}
		}
		return out, nil
	})
}

func indexOf[K comparable](keys []K) map[K]int {
	m := make(map[K]int, len(keys))
	for i, k := range keys {
		if _, ok := m[k]; !ok {
			m[k] = i
		}
	}
	return m
}

func labelTable(c *nodeContext) (keys, values, fallback *Tensor, err error) {
	side := func(prefix string) *Tensor {
		if t := c.tensor(prefix + "_tensor"); t != nil {
			return t
		}
		if v := c.strings(prefix + "_strings"); v != nil {
			return stringTensor([]int{len(v)}, v)
		}
		if v := c.ints(prefix + "_int64s"); v != nil {
			return intTensor([]int{len(v)}, v)
		}
		v := c.floats(prefix + "_floats")
		return floatTensor([]int{len(v)}, v)
	}
	keys, values = side("keys"), side("values")
	fallback = c.tensor("default_tensor")
	text, whole, real := c.string("default_string", "_Unused"), c.int("default_int64", -1), c.float("default_float", float32(math.Copysign(0, -1)))
	switch {
	case fallback != nil && (fallback.Type != values.Type || fallback.Len() != 1):
		return nil, nil, nil, fmt.Errorf("default is not one element of %s", values.Type)
	case fallback != nil:
	case values.Type == String:
		fallback = stringTensor(nil, []string{text})
	case values.Type == Int64:
		fallback = intTensor(nil, []int64{whole})
	case values.Type == Float32:
		fallback = floatTensor(nil, []float32{real})
	default: // of another type, by tensor: 0 where the default is left out
		fallback = newTensor(values.Type, 1)
	}
	return keys, values, fallback, nil
}

// compileOneHot adds an axis with a 1 at the category's place. An unknown category is all zeros, or an error where "zeros" is 0.
func compileOneHot(c *nodeContext) (kernel, error) {
	text, whole := c.strings("cats_strings"), c.ints("cats_int64s")
	zeros := c.int("zeros", 1) != 0
	if (text == nil) == (whole == nil) {
		return nil, fmt.Errorf("exactly one of cats_strings and cats_int64s must be given")
	}
	byText, byInt := indexOf(text), indexOf(whole)
	k := len(text) + len(whole)
	return unary(func(m *memory, t *Tensor) (*Tensor, error) {
		out, err := m.tensor(Float32, append(m.shape(t.Shape...), k)...)
		if err != nil {
			return nil, err
		}
		for i := range t.Len() {
			at, ok := 0, false
			switch {
			case t.Type == String && text != nil:
				at, ok = byText[t.Strings[i]]
			case t.Type.integral() && whole != nil:
				at, ok = byInt[t.Ints[i]]
			case t.Type == Float32 && whole != nil:
				at, ok = byInt[truncate(float64(t.Floats[i]))]
			case t.Type == Float64 && whole != nil:
				at, ok = byInt[truncate(t.Doubles[i])]
			default:
				return nil, fmt.Errorf("%s tensor does not fit the kind of the categories", t.Type)
			}
			if ok {
				out.Floats[i*k+at] = 1
			} else if !zeros {
				return nil, fmt.Errorf("a category was not seen in training, and the model refuses those")
			}
		}
		return out, nil
	}), nil
}

func compileZipMap(c *nodeContext) (kernel, error) {
	text, whole := c.strings("classlabels_strings"), c.ints("classlabels_int64s")
	keys := stringTensor([]int{len(text)}, text)
	if text == nil {
		keys = intTensor([]int{len(whole)}, whole)
	}
	return unary(func(m *memory, t *Tensor) (*Tensor, error) {
		rows, cols, err := t.matrix()
		if err != nil {
			return nil, err
		}
		if t.Type != Float32 || cols != keys.Len() {
			return nil, fmt.Errorf("%s tensor of shape %s for %d class labels", t.Type, shapeString(t.Shape), keys.Len())
		}
		out := m.reshaped(t, rows, cols)
		out.Keys = keys
		return out, nil
	}), nil
}
