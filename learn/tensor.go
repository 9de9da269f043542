package learn

import (
	"fmt"
	"math"
	"strings"

	"github.com/assay-ml/assay"
)

// An ElementType is the type of a tensor's elements, with the numbers of ONNX's TensorProto.DataType.
type ElementType int32

// Element types of ONNX that a Tensor can hold.
const (
	Float32 ElementType = 1
	Uint8   ElementType = 2
	Int8    ElementType = 3
	Uint16  ElementType = 4
	Int16   ElementType = 5
	Int32   ElementType = 6
	Int64   ElementType = 7
	String  ElementType = 8
	Bool    ElementType = 9
	Float64 ElementType = 11
	Uint32  ElementType = 12
	Uint64  ElementType = 13
)

func (t ElementType) String() string {
	switch t {
	case Float32:
		return "float"
	case Uint8:
		return "uint8"
	case Int8:
		return "int8"
	case Uint16:
		return "uint16"
	case Int16:
		return "int16"
	case Int32:
		return "int32"
	case Int64:
		return "int64"
	case String:
		return "string"
	case Bool:
		return "bool"
	case 10:
		return "float16"
	case Float64:
		return "double"
	case Uint32:
		return "uint32"
	case Uint64:
		return "uint64"
	}
	return fmt.Sprintf("type %d", int32(t))
}

// integral reports whether elements of the type are in Tensor.Ints.
func (t ElementType) integral() bool {
	switch t {
	case Uint8, Int8, Uint16, Int16, Int32, Int64, Bool, Uint32, Uint64:
		return true
	}
	return false
}

// Bounds returns the least and the most whole number that a Tensor of the type holds: those of a Bool are 0 and 1, and a Uint64 ends where
// int64 does, in which a Tensor has its elements. They are 0 and 0 for a type of something else.
func (t ElementType) Bounds() (least, most int64) {
	switch t {
	case Bool:
		return 0, 1
	case Int8:
		return math.MinInt8, math.MaxInt8
	case Int16:
		return math.MinInt16, math.MaxInt16
	case Int32:
		return math.MinInt32, math.MaxInt32
	case Int64:
		return math.MinInt64, math.MaxInt64
	case Uint8:
		return 0, math.MaxUint8
	case Uint16:
		return 0, math.MaxUint16
	case Uint32:
		return 0, math.MaxUint32
	case Uint64:
		return 0, math.MaxInt64
	}
	return 0, 0
}

// A Tensor is a dense array in row-major order. Exactly one of the slices holds the elements, by Type: Floats for Float32, Doubles
// for Float64, Strings for String, and Ints for every integer type and Bool (0 and 1). An empty Shape is a scalar.
//
// With Keys set it is what ONNX calls a sequence of maps: Shape is [n, k], Keys holds k strings or integers, and row i of the values
// is the i-th map.
type Tensor struct {
	Type    ElementType
	Shape   []int
	Floats  []float32
	Doubles []float64
	Ints    []int64
	Strings []string
	Keys    *Tensor
}

// Len returns the number of elements.
func (t *Tensor) Len() int {
	n := 1
	for _, d := range t.Shape {
		n *= d
	}
	return n
}

// held returns the number of elements in the slice that Type names.
func (t *Tensor) held() int {
	switch {
	case t.Type == Float32:
		return len(t.Floats)
	case t.Type == Float64:
		return len(t.Doubles)
	case t.Type == String:
		return len(t.Strings)
	case t.Type.integral():
		return len(t.Ints)
	}
	return -1
}

// check reports a shape with a negative or overflowing size, or one that does not match the elements.
func (t *Tensor) check() error {
	n := 1
	for _, d := range t.Shape {
		if d < 0 {
			return fmt.Errorf("shape %s has a negative size", shapeString(t.Shape))
		}
		if d > 0 && n > math.MaxInt32/d {
			return fmt.Errorf("shape %s has too many elements", shapeString(t.Shape))
		}
		n *= d
	}
	if h := t.held(); h != n {
		return fmt.Errorf("%s tensor of shape %s holds %d elements instead of %d", t.Type, shapeString(t.Shape), h, n)
	}
	return nil
}

// newTensor returns a zero tensor.
func newTensor(typ ElementType, shape ...int) *Tensor {
	t := &Tensor{Type: typ, Shape: append([]int(nil), shape...)}
	n := t.Len()
	switch {
	case typ == Float32:
		t.Floats = make([]float32, n)
	case typ == Float64:
		t.Doubles = make([]float64, n)
	case typ == String:
		t.Strings = make([]string, n)
	default:
		t.Ints = make([]int64, n)
	}
	return t
}

// matrix returns the number of rows and columns of a tensor seen as [n, k]: a vector is one column of n rows where column is true
// and one row otherwise; more than two dimensions are an error.
func (t *Tensor) matrix() (rows, cols int, err error) {
	switch len(t.Shape) {
	case 0:
		return 1, 1, nil
	case 1:
		return 1, t.Shape[0], nil
	case 2:
		return t.Shape[0], t.Shape[1], nil
	}
	return 0, 0, fmt.Errorf("shape %s is not a matrix", shapeString(t.Shape))
}

// float32s returns the elements of a numeric tensor as float32; the slice is shared when they are that already.
func (t *Tensor) float32s(m *memory) ([]float32, error) {
	if t.Type == Float32 {
		return t.Floats, nil
	}
	out, err := cast(m, t, Float32)
	if err != nil {
		return nil, err
	}
	return out.Floats, nil
}

func shapeString(shape []int) string {
	parts := make([]string, len(shape))
	for i, d := range shape {
		parts[i] = fmt.Sprint(d)
	}
	return "[" + strings.Join(parts, ",") + "]"
}

func floatTensor(shape []int, v []float32) *Tensor {
	return &Tensor{Type: Float32, Shape: shape, Floats: v}
}

func intTensor(shape []int, v []int64) *Tensor { return &Tensor{Type: Int64, Shape: shape, Ints: v} }

func stringTensor(shape []int, v []string) *Tensor {
	return &Tensor{Type: String, Shape: shape, Strings: v}
}

// refuse is the error of a model that this evaluator does not run.
func refuse(format string, args ...any) *assay.Error {
	return assay.Errorf(assay.Unimplemented, format, args...)
}
