package learn

import (
	"encoding/binary"
	"fmt"
	"math"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/assay-ml/assay"
)

// nodeBytes is what a node, an attribute or a tensor takes in memory besides its numbers and strings, about.
const nodeBytes = 256

// A decodeError says where in the file reading stopped.
type decodeError struct {
	offset int
	what   string
}

func (e *decodeError) Error() string { return fmt.Sprintf("at byte %d: %s", e.offset, e.what) }

// A wireReader walks the fields of one protobuf message.
type wireReader struct {
	b     []byte
	at    int // offset of b in the file
	depth int
	spent *spent
}

// spent is what a file has taken of its limits so far.
type spent struct {
	limits  Limits
	bytes   int64 // in memory, of the numbers and strings read
	nodes   int
	outline bool // what only an evaluation needs is skipped: constants, functions, graphs inside nodes
}

// charge counts bytes that a field takes in memory.
func (r *wireReader) charge(bytes int64) error {
	if r.spent.bytes += bytes; r.spent.bytes > r.spent.limits.TensorBytes {
		return tooLarge("onnx model: its constants need more than %d bytes", r.spent.limits.TensorBytes)
	}
	return nil
}

// text returns a field as a string.
func (r *wireReader) text(f wireField) (string, error) {
	if len(f.bytes) > r.spent.limits.StringBytes {
		return "", tooLarge("onnx model: the string at byte %d has %d bytes, at most %d are read", f.at, len(f.bytes), r.spent.limits.StringBytes)
	}
	return string(f.bytes), r.charge(int64(len(f.bytes)) + 16)
}

// set stores a field in a string.
func (r *wireReader) set(s *string, f wireField) (err error) {
	*s, err = r.text(f)
	return err
}

// add appends a field to strings.
func (r *wireReader) add(list *[]string, f wireField) error {
	s, err := r.text(f)
	*list = append(*list, s)
	return err
}

type wireField struct {
	num   protowire.Number
	typ   protowire.Type
	value uint64 // varint, fixed32, fixed64
	bytes []byte
	at    int // offset of the value in the file
}

func (r *wireReader) fail(what string, args ...any) error {
	return &decodeError{r.at, fmt.Sprintf(what, args...)}
}

// each calls f for every field. Groups do not occur in ONNX and are refused.
func (r *wireReader) each(f func(wireField) error) error {
	for len(r.b) > 0 {
		num, typ, n := protowire.ConsumeTag(r.b)
		if n < 0 {
			return r.fail("not a protobuf field")
		}
		r.skip(n)
		field := wireField{num: num, typ: typ, at: r.at}
		switch typ {
		case protowire.VarintType:
			field.value, n = protowire.ConsumeVarint(r.b)
		case protowire.Fixed32Type:
			var v uint32
			v, n = protowire.ConsumeFixed32(r.b)
			field.value = uint64(v)
		case protowire.Fixed64Type:
			field.value, n = protowire.ConsumeFixed64(r.b)
		case protowire.BytesType:
			field.bytes, n = protowire.ConsumeBytes(r.b)
			field.at = r.at + max(n, 0) - len(field.bytes)
		default:
			return r.fail("field %d has wire type %d, which ONNX does not use", num, typ)
		}
		if n < 0 {
			return r.fail("field %d is cut short", num)
		}
		r.skip(n)
		if err := f(field); err != nil {
			return err
		}
	}
	return nil
}

func (r *wireReader) skip(n int) { r.b, r.at = r.b[n:], r.at+n }

// sub returns a reader of the message inside a field.
func (r *wireReader) sub(f wireField) (*wireReader, error) {
	if f.typ != protowire.BytesType {
		return nil, r.fail("field %d is not a message", f.num)
	}
	return &wireReader{b: f.bytes, at: f.at, depth: r.depth, spent: r.spent}, nil
}

func decodeModel(b []byte, limits Limits) (*onnxModel, error) {
	return readModel(b, &spent{limits: limits})
}

// outlineModel reads what a model takes and gives, and what its nodes say of classes. What it skips may be of a kind that decodeModel
// refuses.
func outlineModel(b []byte, limits Limits) (*onnxModel, error) {
	return readModel(b, &spent{limits: limits, outline: true})
}

func readModel(b []byte, spent *spent) (*onnxModel, error) {
	if len(b) == 0 {
		return nil, assay.Errorf(assay.Invalid, "onnx model is empty")
	}
	if err := spent.limits.checkFile(FormatONNX, int64(len(b))); err != nil {
		return nil, err
	}
	m := &onnxModel{opsets: map[string]int64{}}
	r := &wireReader{b: b, spent: spent}
	err := r.each(func(f wireField) error {
		switch f.num {
		case 1:
			m.ir = int64(f.value)
		case 2:
			return r.set(&m.producer, f)
		case 3:
			return r.set(&m.version, f)
		case 7:
			s, err := r.sub(f)
			if err != nil {
				return err
			}
			m.graph, err = s.graph()
			return err
		case 8:
			return m.opset(r, f)
		case 14:
			kv, err := r.keyValue(f)
			m.metadata = append(m.metadata, kv)
			return err
		case 25:
			if spent.outline {
				return nil
			}
			return refuse("onnx model defines functions of its own, which are not supported")
		}
		return nil
	})
	if err != nil {
		return nil, modelError(err)
	}
	if m.graph == nil {
		return nil, assay.Errorf(assay.Invalid, "onnx model has no graph")
	}
	return m, nil
}

// modelError gives an error of reading its code.
func modelError(err error) error {
	if d, ok := err.(*decodeError); ok {
		return assay.Errorf(assay.Invalid, "onnx model cannot be read %s", d.Error())
	}
	return err
}

func (m *onnxModel) opset(r *wireReader, f wireField) error {
	s, err := r.sub(f)
	if err != nil {
		return err
	}
	var domain string
	var version int64
	if err := s.each(func(f wireField) error {
		switch f.num {
		case 1:
			return r.set(&domain, f)
		case 2:
			version = int64(f.value)
		}
		return nil
	}); err != nil {
		return err
	}
	if domain == "ai.onnx" {
		domain = ""
	}
	m.opsets[domain] = version
	return nil
}

func (r *wireReader) keyValue(f wireField) (kv keyValue, err error) {
	s, err := r.sub(f)
	if err != nil {
		return kv, err
	}
	return kv, s.each(func(f wireField) error {
		switch f.num {
		case 1:
			return r.set(&kv.key, f)
		case 2:
			return r.set(&kv.value, f)
		}
		return nil
	})
}

func (r *wireReader) graph() (*onnxGraph, error) {
	if r.depth++; r.depth > r.spent.limits.Depth {
		return nil, r.fail("graphs are nested more than %d deep", r.spent.limits.Depth)
	}
	g := &onnxGraph{}
	return g, r.each(func(f wireField) error {
		s, err := r.sub(f)
		if err != nil {
			return err
		}
		switch f.num {
		case 1:
			n, err := s.node()
			g.nodes = append(g.nodes, n)
			return err
		case 2:
			return r.set(&g.name, f)
		case 5:
			var t namedTensor
			if r.spent.outline {
				t.name, err = s.tensorName()
			} else {
				t, err = s.tensor()
			}
			g.initializers = append(g.initializers, t)
			return err
		case 11, 12:
			v, err := s.valueInfo()
			if f.num == 11 {
				g.inputs = append(g.inputs, v)
			} else {
				g.outputs = append(g.outputs, v)
			}
			return err
		case 15:
			if r.spent.outline {
				return nil
			}
			return refuse("onnx model has sparse initializers, which are not supported")
		}
		return nil
	})
}

func (r *wireReader) node() (*onnxNode, error) {
	n := &onnxNode{}
	if r.spent.nodes++; r.spent.nodes > r.spent.limits.Nodes {
		return nil, tooLarge("onnx model has more than %d nodes", r.spent.limits.Nodes)
	}
	if err := r.charge(nodeBytes); err != nil {
		return nil, err
	}
	return n, r.each(func(f wireField) error {
		switch f.num {
		case 1:
			return r.add(&n.inputs, f)
		case 2:
			return r.add(&n.outputs, f)
		case 3:
			return r.set(&n.name, f)
		case 4:
			return r.set(&n.op, f)
		case 5:
			s, err := r.sub(f)
			if err != nil {
				return err
			}
			a, err := s.attribute()
			n.attrs = append(n.attrs, a)
			return err
		case 7:
			if n.domain = string(f.bytes); n.domain == "ai.onnx" {
				n.domain = ""
			}
		}
		return nil
	})
}

func (r *wireReader) attribute() (*attribute, error) {
	a := &attribute{}
	if err := r.charge(nodeBytes); err != nil {
		return nil, err
	}
	err := r.each(func(f wireField) error {
		switch f.num {
		case 1:
			return r.set(&a.name, f)
		case 2:
			a.f = math.Float32frombits(uint32(f.value))
		case 3:
			a.i = int64(f.value)
		case 4:
			return r.set(&a.s, f)
		case 5, 6:
			s, err := r.sub(f)
			if err != nil || r.spent.outline {
				return err
			}
			if f.num == 6 {
				a.graph, err = s.graph()
				return err
			}
			t, err := s.tensor()
			a.tensor = t.tensor
			return err
		case 7:
			return r.repeated(f, protowire.Fixed32Type, func(v uint64) {
				a.floats = append(a.floats, math.Float32frombits(uint32(v)))
			})
		case 8:
			return r.repeated(f, protowire.VarintType, func(v uint64) { a.ints = append(a.ints, int64(v)) })
		case 9:
			return r.add(&a.strings, f)
		case 20:
			a.kind = int32(f.value)
		case 21:
			if r.spent.outline {
				return nil
			}
			return refuse("attribute %s refers to one of a function, which is not supported", a.name)
		}
		return nil
	})
	if err == nil && !r.spent.outline && (a.kind == attrTensor && a.tensor == nil || a.kind == attrGraph && a.graph == nil) {
		err = r.fail("attribute %s has no value", a.name)
	}
	return a, err
}

// repeated calls add for each number of a repeated field, packed or not.
func (r *wireReader) repeated(f wireField, typ protowire.Type, add func(uint64)) error {
	if f.typ == typ {
		add(f.value)
		return r.charge(8)
	}
	if f.typ != protowire.BytesType {
		return r.fail("field %d has wire type %d", f.num, f.typ)
	}
	for b := f.bytes; len(b) > 0; {
		var v uint64
		n := -1
		switch typ {
		case protowire.VarintType:
			v, n = protowire.ConsumeVarint(b)
		case protowire.Fixed32Type:
			var w uint32
			w, n = protowire.ConsumeFixed32(b)
			v = uint64(w)
		case protowire.Fixed64Type:
			v, n = protowire.ConsumeFixed64(b)
		}
		if n < 0 {
			return r.fail("field %d is cut short", f.num)
		}
		if err := r.charge(8); err != nil {
			return err
		}
		add(v)
		b = b[n:]
	}
	return nil
}

// tensorName reads the name of a tensor and nothing else of it.
func (r *wireReader) tensorName() (name string, err error) {
	return name, r.each(func(f wireField) error {
		if f.num == 8 {
			return r.set(&name, f)
		}
		return nil
	})
}

func (r *wireReader) tensor() (namedTensor, error) {
	start := r.at
	out := namedTensor{tensor: &Tensor{}}
	t := out.tensor
	if err := r.charge(nodeBytes); err != nil {
		return out, err
	}
	var raw []byte
	var hasRaw bool
	err := r.each(func(f wireField) error {
		switch f.num {
		case 1:
			return r.repeated(f, protowire.VarintType, func(v uint64) { t.Shape = append(t.Shape, int(v)) })
		case 2:
			t.Type = ElementType(f.value)
		case 3:
			return refuse("tensor %s is stored in segments, which are not supported", out.name)
		case 4:
			return r.repeated(f, protowire.Fixed32Type, func(v uint64) {
				t.Floats = append(t.Floats, math.Float32frombits(uint32(v)))
			})
		case 5:
			return r.repeated(f, protowire.VarintType, func(v uint64) { t.Ints = append(t.Ints, int64(int32(v))) })
		case 6:
			return r.add(&t.Strings, f)
		case 7, 11:
			return r.repeated(f, protowire.VarintType, func(v uint64) { t.Ints = append(t.Ints, int64(v)) })
		case 8:
			return r.set(&out.name, f)
		case 9:
			raw, hasRaw = f.bytes, true
		case 10:
			return r.repeated(f, protowire.Fixed64Type, func(v uint64) {
				t.Doubles = append(t.Doubles, math.Float64frombits(v))
			})
		case 13, 14:
			if f.num == 13 || f.value != 0 {
				return elsewhere(out.name)
			}
		}
		return nil
	})
	if err != nil {
		return out, err
	}
	if t.held() < 0 {
		return out, refuse("tensor %s holds elements of %s, which is not supported", out.name, t.Type)
	}
	if hasRaw && len(raw) > 0 {
		if err := r.charge(int64(len(raw)) / int64(max(t.Type.size(), 1)) * t.Type.elementBytes()); err != nil {
			return out, err
		}
		if err := t.setRaw(raw); err != nil {
			return out, &decodeError{start, fmt.Sprintf("tensor %s: %v", out.name, err)}
		}
	}
	if err := t.check(); err != nil {
		return out, &decodeError{start, fmt.Sprintf("tensor %s: %v", out.name, err)}
	}
	return out, nil
}

func (t *Tensor) setRaw(raw []byte) error {
	size := t.Type.size()
	if size == 0 || len(raw)%size != 0 {
		return fmt.Errorf("%d bytes of raw data for elements of %s", len(raw), t.Type)
	}
	n := len(raw) / size
	switch t.Type {
	case Float32:
		t.Floats = make([]float32, n)
		for i := range t.Floats {
			t.Floats[i] = math.Float32frombits(binary.LittleEndian.Uint32(raw[4*i:]))
		}
	case Float64:
		t.Doubles = make([]float64, n)
		for i := range t.Doubles {
			t.Doubles[i] = math.Float64frombits(binary.LittleEndian.Uint64(raw[8*i:]))
		}
	default:
		t.Ints = make([]int64, n)
		for i := range t.Ints {
			t.Ints[i] = rawInt(t.Type, raw[i*size:])
		}
	}
	return nil
}

func rawInt(typ ElementType, b []byte) int64 {
	switch typ {
	case Int8:
		return int64(int8(b[0]))
	case Uint8:
		return int64(b[0])
	case Bool:
		if b[0] != 0 {
			return 1
		}
		return 0
	case Int16:
		return int64(int16(binary.LittleEndian.Uint16(b)))
	case Uint16:
		return int64(binary.LittleEndian.Uint16(b))
	case Int32:
		return int64(int32(binary.LittleEndian.Uint32(b)))
	case Uint32:
		return int64(binary.LittleEndian.Uint32(b))
	}
	return int64(binary.LittleEndian.Uint64(b))
}

func (r *wireReader) valueInfo() (v valueInfo, err error) {
	return v, r.each(func(f wireField) error {
		switch f.num {
		case 1:
			return r.set(&v.name, f)
		case 2:
			s, err := r.sub(f)
			if err != nil {
				return err
			}
			return s.valueType(&v)
		}
		return nil
	})
}

// valueType reads a TypeProto: a tensor, or a sequence or a map around another type.
func (r *wireReader) valueType(v *valueInfo) error {
	if r.depth++; r.depth > r.spent.limits.Depth {
		return r.fail("types are nested more than %d deep", r.spent.limits.Depth)
	}
	return r.each(func(f wireField) error {
		if f.num != 1 && f.num != 4 && f.num != 5 {
			return nil
		}
		s, err := r.sub(f)
		if err != nil {
			return err
		}
		switch f.num {
		case 1:
			return s.tensorType(v)
		case 4:
			v.sequence = true
		}
		return s.each(func(g wireField) error {
			if f.num == 5 && g.num == 1 {
				v.keyType = ElementType(g.value)
				return nil
			}
			inner, err := s.sub(g)
			if err != nil {
				return err
			}
			return inner.valueType(v)
		})
	})
}

func (r *wireReader) tensorType(v *valueInfo) error {
	return r.each(func(f wireField) error {
		switch f.num {
		case 1:
			v.elem = ElementType(f.value)
		case 2:
			s, err := r.sub(f)
			if err != nil {
				return err
			}
			v.hasShape = true
			return s.each(func(g wireField) error {
				d, err := s.sub(g)
				if err != nil {
					return err
				}
				var axis dim
				err = d.each(func(h wireField) error {
					switch h.num {
					case 1:
						axis.size = int64(h.value)
					case 2:
						return r.set(&axis.name, h)
					}
					return nil
				})
				v.dims = append(v.dims, axis)
				return err
			})
		}
		return nil
	})
}
