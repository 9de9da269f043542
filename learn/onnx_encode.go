package learn

import (
	"encoding/binary"
	"math"
	"sort"

	"google.golang.org/protobuf/encoding/protowire"
)

// encode writes the model as a protobuf ModelProto; the same model gives the same bytes.
func (m *onnxModel) encode() []byte {
	var b []byte
	b = appendInt(b, 1, m.ir)
	b = appendString(b, 2, m.producer)
	b = appendString(b, 3, m.version)
	b = appendMessage(b, 7, m.graph.encode())
	domains := make([]string, 0, len(m.opsets))
	for d := range m.opsets {
		domains = append(domains, d)
	}
	sort.Strings(domains)
	for _, d := range domains {
		b = appendMessage(b, 8, appendInt(appendString(nil, 1, d), 2, m.opsets[d]))
	}
	for _, kv := range m.metadata {
		b = appendMessage(b, 14, appendString(appendString(nil, 1, kv.key), 2, kv.value))
	}
	return b
}

func (g *onnxGraph) encode() []byte {
	var b []byte
	for _, n := range g.nodes {
		b = appendMessage(b, 1, n.encode())
	}
	b = appendString(b, 2, g.name)
	for _, t := range g.initializers {
		b = appendMessage(b, 5, encodeTensor(t.name, t.tensor))
	}
	for _, v := range g.inputs {
		b = appendMessage(b, 11, v.encode())
	}
	for _, v := range g.outputs {
		b = appendMessage(b, 12, v.encode())
	}
	return b
}

func (n *onnxNode) encode() []byte {
	var b []byte
	for _, s := range n.inputs {
		b = appendBytes(b, 1, s) // an empty name is an input left out, so it is written
	}
	for _, s := range n.outputs {
		b = appendBytes(b, 2, s)
	}
	b = appendString(b, 3, n.name)
	b = appendString(b, 4, n.op)
	for _, a := range n.attrs {
		b = appendMessage(b, 5, a.encode())
	}
	return appendString(b, 7, n.domain)
}

func (a *attribute) encode() []byte {
	b := appendString(nil, 1, a.name)
	switch a.kind {
	case attrFloat:
		b = protowire.AppendTag(b, 2, protowire.Fixed32Type)
		b = protowire.AppendFixed32(b, math.Float32bits(a.f))
	case attrInt:
		b = protowire.AppendTag(b, 3, protowire.VarintType)
		b = protowire.AppendVarint(b, uint64(a.i))
	case attrString:
		b = appendBytes(b, 4, a.s)
	case attrTensor:
		b = appendMessage(b, 5, encodeTensor("", a.tensor))
	case attrGraph:
		b = appendMessage(b, 6, a.graph.encode())
	case attrFloats:
		for _, v := range a.floats {
			b = protowire.AppendTag(b, 7, protowire.Fixed32Type)
			b = protowire.AppendFixed32(b, math.Float32bits(v))
		}
	case attrInts:
		for _, v := range a.ints {
			b = protowire.AppendTag(b, 8, protowire.VarintType)
			b = protowire.AppendVarint(b, uint64(v))
		}
	case attrStrings:
		for _, v := range a.strings {
			b = appendBytes(b, 9, v)
		}
	}
	return appendInt(b, 20, int64(a.kind))
}

func encodeTensor(name string, t *Tensor) []byte {
	var b []byte
	for _, d := range t.Shape {
		b = protowire.AppendTag(b, 1, protowire.VarintType)
		b = protowire.AppendVarint(b, uint64(d))
	}
	b = appendInt(b, 2, int64(t.Type))
	switch t.Type {
	case String:
		for _, s := range t.Strings {
			b = appendBytes(b, 6, s)
		}
	case Float32:
		raw := make([]byte, 0, 4*len(t.Floats))
		for _, v := range t.Floats {
			raw = binary.LittleEndian.AppendUint32(raw, math.Float32bits(v))
		}
		b = appendMessage(b, 9, raw)
	case Float64:
		raw := make([]byte, 0, 8*len(t.Doubles))
		for _, v := range t.Doubles {
			raw = binary.LittleEndian.AppendUint64(raw, math.Float64bits(v))
		}
		b = appendMessage(b, 9, raw)
	default:
		raw := make([]byte, 0, 8*len(t.Ints))
		for _, v := range t.Ints {
			switch t.Type.size() {
			case 1:
				raw = append(raw, byte(v))
			case 2:
				raw = binary.LittleEndian.AppendUint16(raw, uint16(v))
			case 4:
				raw = binary.LittleEndian.AppendUint32(raw, uint32(v))
			default:
				raw = binary.LittleEndian.AppendUint64(raw, uint64(v))
			}
		}
		b = appendMessage(b, 9, raw)
	}
	return appendString(b, 8, name)
}

// size returns the number of bytes of an element in raw data, 0 for strings.
func (t ElementType) size() int {
	switch t {
	case Uint8, Int8, Bool:
		return 1
	case Uint16, Int16:
		return 2
	case Float32, Int32, Uint32:
		return 4
	case Float64, Int64, Uint64:
		return 8
	}
	return 0
}

func (v *valueInfo) encode() []byte {
	var shape []byte
	for _, d := range v.dims {
		if d.name != "" {
			shape = appendMessage(shape, 1, appendString(nil, 2, d.name))
		} else {
			size := protowire.AppendTag(nil, 1, protowire.VarintType)
			shape = appendMessage(shape, 1, protowire.AppendVarint(size, uint64(d.size)))
		}
	}
	tensor := appendInt(nil, 1, int64(v.elem))
	if v.hasShape {
		tensor = appendMessage(tensor, 2, shape)
	}
	typ := appendMessage(nil, 1, tensor)
	if v.keyType != 0 {
		typ = appendMessage(nil, 5, appendMessage(appendInt(nil, 1, int64(v.keyType)), 2, typ))
	}
	if v.sequence {
		typ = appendMessage(nil, 4, appendMessage(nil, 1, typ))
	}
	return appendMessage(appendString(nil, 1, v.name), 2, typ)
}

func appendMessage(b []byte, field protowire.Number, m []byte) []byte {
	b = protowire.AppendTag(b, field, protowire.BytesType)
	return protowire.AppendBytes(b, m)
}

func appendBytes(b []byte, field protowire.Number, s string) []byte {
	b = protowire.AppendTag(b, field, protowire.BytesType)
	return protowire.AppendString(b, s)
}

// appendString leaves out an empty string, which is the default.
func appendString(b []byte, field protowire.Number, s string) []byte {
	if s == "" {
		return b
	}
	return appendBytes(b, field, s)
}

// appendInt leaves out a zero, which is the default.
func appendInt(b []byte, field protowire.Number, v int64) []byte {
	if v == 0 {
		return b
	}
	b = protowire.AppendTag(b, field, protowire.VarintType)
	return protowire.AppendVarint(b, uint64(v))
}
