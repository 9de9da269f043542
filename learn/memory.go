package learn

import (
	"context"
	"fmt"
	"math"
)

// A memory hands out the tensors of one run and counts their bytes. After reset it hands out the same ones again, so that a run of
// the same shape as the one before allocates nothing. It belongs to one goroutine. A nil memory allocates and does not count.
type memory struct {
	ctx         context.Context // of the run; an Evaluator heeds it
	limit, used int64
	floats      slab[float32]
	doubles     slab[float64]
	ints        slab[int64]
	keys        slab[int32]
	strings     slab[string]
	shapes      slab[int]
	lists       slab[*Tensor]
	headers     slab[Tensor]
}

// keepElements bounds what each slab of a memory keeps between runs; a larger run takes the rest from the heap and gives it back.
const keepElements = 1 << 17

// A slab is one array that is handed out piece by piece.
type slab[T any] struct {
	buf   []T
	at    int
	spill int // elements that did not fit since the last reset
}

// take returns n zero elements.
func (s *slab[T]) take(n int) []T {
	if n > len(s.buf)-s.at {
		s.spill += n
		return make([]T, n)
	}
	out := s.buf[s.at : s.at+n : s.at+n]
	s.at += n
	clear(out)
	return out
}

func (s *slab[T]) reset() {
	if want := s.at + s.spill; s.spill > 0 && len(s.buf) < keepElements {
		s.buf = make([]T, min(want+want/4, keepElements))
	}
	s.at, s.spill = 0, 0
}

// reset takes back everything that was handed out.
func (m *memory) reset() {
	m.used = 0
	m.floats.reset()
	m.doubles.reset()
	m.ints.reset()
	m.keys.reset()
	m.strings.reset()
	m.shapes.reset()
	m.lists.reset()
	m.headers.reset()
}

// spend counts bytes against the limit.
func (m *memory) spend(bytes int64) error {
	if m == nil {
		return nil
	}
	if bytes > m.limit-m.used {
		return fmt.Errorf("the tensors of the run need more than %d bytes", m.limit)
	}
	m.used += bytes
	return nil
}

// elementBytes is the size of an element in a Tensor.
func (t ElementType) elementBytes() int64 {
	switch t {
	case Float32:
		return 4
	case String:
		return 16
	}
	return 8
}

// tensor returns a zero tensor, or an error where it would go over the limit.
func (m *memory) tensor(typ ElementType, shape ...int) (*Tensor, error) {
	n := 1
	for _, d := range shape {
		if d < 0 || d > 0 && n > math.MaxInt32/d {
			return nil, fmt.Errorf("shape %s has too many elements", shapeString(shape))
		}
		n *= d
	}
	if m == nil {
		return newTensor(typ, shape...), nil
	}
	if err := m.spend(int64(n)*typ.elementBytes() + 64); err != nil {
		return nil, err
	}
	t := m.header()
	t.Type, t.Shape = typ, m.shape(shape...)
	switch typ {
	case Float32:
		t.Floats = m.floats.take(n)
	case Float64:
		t.Doubles = m.doubles.take(n)
	case String:
		t.Strings = m.strings.take(n)
	default:
		t.Ints = m.ints.take(n)
	}
	return t, nil
}

func (m *memory) header() *Tensor {
	if m == nil {
		return &Tensor{}
	}
	return &m.headers.take(1)[0]
}

// shape returns a copy with room for a few more dimensions.
func (m *memory) shape(dims ...int) []int {
	const room = 4
	if m == nil {
		return append(make([]int, 0, len(dims)+room), dims...)
	}
	out := m.shapes.take(len(dims) + room)
	copy(out, dims)
	return out[:len(dims)]
}

// zeros returns n zero integers for the inside of a kernel.
func (m *memory) zeros(n int) []int {
	if m == nil {
		return make([]int, n)
	}
	return m.shapes.take(n)
}

// reshaped returns the same elements under another shape.
func (m *memory) reshaped(t *Tensor, shape ...int) *Tensor {
	c := m.header()
	*c = *t
	c.Shape = m.shape(shape...)
	return c
}

// floatTensor returns a tensor of these elements.
func (m *memory) floatTensor(v []float32, shape ...int) *Tensor {
	t := m.header()
	t.Type, t.Floats, t.Shape = Float32, v, m.shape(shape...)
	return t
}

// list returns the outputs of a kernel.
func (m *memory) list(t ...*Tensor) []*Tensor {
	if m == nil {
		return append([]*Tensor(nil), t...)
	}
	out := m.lists.take(len(t))
	copy(out, t)
	return out
}

func (m *memory) one(t *Tensor, err error) ([]*Tensor, error) {
	if err != nil {
		return nil, err
	}
	return m.list(t), nil
}

// scratch returns n zero numbers for the inside of a kernel.
func (m *memory) scratch(n int) ([]float64, error) {
	t, err := m.tensor(Float64, n)
	if err != nil {
		return nil, err
	}
	return t.Doubles, nil
}
