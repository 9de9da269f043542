package ort

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	onnxruntime "github.com/yalue/onnxruntime_go"

	"github.com/assay-ml/assay/learn"
)

// valueOf makes a value of ONNX Runtime. Numbers of 32 and 64 bits are shared with the tensor, all else is copied.
func valueOf(t *learn.Tensor) (onnxruntime.Value, error) {
	switch t.Type {
	case learn.Float32:
		return dense(t.Shape, t.Floats)
	case learn.Float64:
		return dense(t.Shape, t.Doubles)
	case learn.Int64:
		return dense(t.Shape, t.Ints)
	case learn.Int32:
		return narrow[int32](t)
	case learn.Int16:
		return narrow[int16](t)
	case learn.Int8:
		return narrow[int8](t)
	case learn.Uint8:
		return narrow[uint8](t)
	case learn.Uint16:
		return narrow[uint16](t)
	case learn.Uint32:
		return narrow[uint32](t)
	case learn.Uint64:
		return narrow[uint64](t)
	case learn.Bool:
		v := make([]bool, len(t.Ints))
		for i, x := range t.Ints {
			v[i] = x != 0
		}
		return dense(t.Shape, v)
	case learn.String:
		return text(t)
	}
	return nil, fmt.Errorf("holds %s, which cannot be handed over", t.Type)
}

func dense[T onnxruntime.TensorData](shape []int, v []T) (onnxruntime.Value, error) {
	if len(shape) == 0 {
		return onnxruntime.NewScalar(v[0])
	}
	return onnxruntime.NewTensor(dims(shape), v)
}

func dims(shape []int) onnxruntime.Shape {
	out := make(onnxruntime.Shape, len(shape))
	for i, d := range shape {
		out[i] = int64(d)
	}
	return out
}

// narrow refuses what the type cannot hold, in place of keeping its last bits.
func narrow[T int32 | int16 | int8 | uint8 | uint16 | uint32 | uint64](t *learn.Tensor) (onnxruntime.Value, error) {
	v := make([]T, len(t.Ints))
	for i, x := range t.Ints {
		if v[i] = T(x); int64(v[i]) != x || (v[i] < 0) != (x < 0) {
			return nil, fmt.Errorf("has a number that %s cannot hold", t.Type)
		}
	}
	return dense(t.Shape, v)
}

// text makes a tensor of strings, which in ONNX Runtime's interface end at the first NUL.
func text(t *learn.Tensor) (onnxruntime.Value, error) {
	if slices.ContainsFunc(t.Strings, func(s string) bool { return strings.IndexByte(s, 0) >= 0 }) {
		return nil, fmt.Errorf("has a text with a NUL byte, which ONNX Runtime cannot be given")
	}
	if len(t.Shape) == 0 {
		return nil, fmt.Errorf("is a single text, which ONNX Runtime cannot be given")
	}
	v, err := onnxruntime.NewStringTensor(dims(t.Shape))
	if err != nil {
		return nil, err
	}
	if err := v.SetContents(t.Strings); err != nil {
		_ = v.Destroy()
		return nil, err
	}
	return v, nil
}

// emptyScalar makes room for a single number.
func emptyScalar(t learn.ElementType) (onnxruntime.Value, error) {
	switch t {
	case learn.Float32:
		return onnxruntime.NewEmptyScalar[float32]()
	case learn.Float64:
		return onnxruntime.NewEmptyScalar[float64]()
	case learn.Int64:
		return onnxruntime.NewEmptyScalar[int64]()
	case learn.Int32:
		return onnxruntime.NewEmptyScalar[int32]()
	case learn.Bool:
		return onnxruntime.NewEmptyScalar[bool]()
	}
	if t == 0 {
		return nil, errors.New("is a single number of which the model does not say the type, which ONNX Runtime cannot be asked for")
	}
	return nil, fmt.Errorf("is a single %s, which ONNX Runtime cannot be asked for", t)
}

// tensorOf copies a value of ONNX Runtime, or takes the copy that the library in between has made.
func tensorOf(v onnxruntime.Value) (*learn.Tensor, error) {
	switch x := v.(type) {
	case *onnxruntime.Tensor[float32]:
		return &learn.Tensor{Type: learn.Float32, Shape: shapeOf(v), Floats: x.GetData()}, nil
	case *onnxruntime.Tensor[float64]:
		return &learn.Tensor{Type: learn.Float64, Shape: shapeOf(v), Doubles: x.GetData()}, nil
	case *onnxruntime.Tensor[int64]:
		return &learn.Tensor{Type: learn.Int64, Shape: shapeOf(v), Ints: x.GetData()}, nil
	case *onnxruntime.Tensor[int32]:
		return wide(learn.Int32, v, x.GetData()), nil
	case *onnxruntime.Tensor[int16]:
		return wide(learn.Int16, v, x.GetData()), nil
	case *onnxruntime.Tensor[int8]:
		return wide(learn.Int8, v, x.GetData()), nil
	case *onnxruntime.Tensor[uint8]:
		return wide(learn.Uint8, v, x.GetData()), nil
	case *onnxruntime.Tensor[uint16]:
		return wide(learn.Uint16, v, x.GetData()), nil
	case *onnxruntime.Tensor[uint32]:
		return wide(learn.Uint32, v, x.GetData()), nil
	case *onnxruntime.Tensor[uint64]:
		return wide(learn.Uint64, v, x.GetData()), nil
	case *onnxruntime.Tensor[bool]:
		return &learn.Tensor{Type: learn.Bool, Shape: shapeOf(v), Ints: bits(x.GetData()...)}, nil
	case *onnxruntime.Scalar[float32]:
		return &learn.Tensor{Type: learn.Float32, Floats: []float32{x.GetData()}}, nil
	case *onnxruntime.Scalar[float64]:
		return &learn.Tensor{Type: learn.Float64, Doubles: []float64{x.GetData()}}, nil
	case *onnxruntime.Scalar[int64]:
		return &learn.Tensor{Type: learn.Int64, Ints: []int64{x.GetData()}}, nil
	case *onnxruntime.Scalar[int32]:
		return &learn.Tensor{Type: learn.Int32, Ints: []int64{int64(x.GetData())}}, nil
	case *onnxruntime.Scalar[bool]:
		return &learn.Tensor{Type: learn.Bool, Ints: bits(x.GetData())}, nil
	case *onnxruntime.StringTensor:
		s, err := x.GetContents()
		return &learn.Tensor{Type: learn.String, Shape: shapeOf(v), Strings: s}, err
	case *onnxruntime.Sequence:
		return mapsOf(x)
	}
	return nil, fmt.Errorf("is of a kind that has no place in a table")
}

func shapeOf(v onnxruntime.Value) []int {
	shape := v.GetShape()
	out := make([]int, len(shape))
	for i, d := range shape {
		out[i] = int(d)
	}
	return out
}

func wide[T int32 | int16 | int8 | uint8 | uint16 | uint32 | uint64](typ learn.ElementType, v onnxruntime.Value, data []T) *learn.Tensor {
	ints := make([]int64, len(data))
	for i, x := range data {
		ints[i] = int64(x)
	}
	return &learn.Tensor{Type: typ, Shape: shapeOf(v), Ints: ints}
}

func bits(v ...bool) []int64 {
	out := make([]int64, len(v))
	for i, x := range v {
		if x {
			out[i] = 1
		}
	}
	return out
}

// mapsOf reads a sequence of maps, one a row, with the keys of the first in every one.
func mapsOf(s *onnxruntime.Sequence) (*learn.Tensor, error) {
	maps, err := s.GetValues()
	if err != nil {
		return nil, err
	}
	out := &learn.Tensor{Type: learn.Float32, Shape: []int{len(maps), 0}, Keys: &learn.Tensor{Type: learn.Int64, Shape: []int{0}}}
	for row, v := range maps {
		m, ok := v.(*onnxruntime.Map)
		if !ok {
			return nil, fmt.Errorf("is a sequence of something else than maps")
		}
		k, x, err := m.GetKeysAndValues()
		if err != nil {
			return nil, err
		}
		keys, err := tensorOf(k)
		if err != nil {
			return nil, err
		}
		values, err := tensorOf(x)
		if err != nil {
			return nil, err
		}
		if row == 0 {
			out.Type, out.Keys, out.Shape[1] = values.Type, keys, keys.Len()
		}
		if keys.Type != out.Keys.Type || !slices.Equal(keys.Ints, out.Keys.Ints) || !slices.Equal(keys.Strings, out.Keys.Strings) || values.Len() != out.Shape[1] || values.Type != out.Type {
			return nil, fmt.Errorf("has maps with different keys")
		}
		out.Floats, out.Doubles = append(out.Floats, values.Floats...), append(out.Doubles, values.Doubles...)
		out.Ints, out.Strings = append(out.Ints, values.Ints...), append(out.Strings, values.Strings...)
	}
	return out, nil
}
