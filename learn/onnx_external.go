package learn

import (
	"io/fs"
	"path"
	"strconv"
	"strings"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/assay-ml/assay"
)

// Messages of ONNX in which a tensor may be.
type onnxMessage uint8

const (
	messageTensor onnxMessage = iota
	messageModel
	messageGraph
	messageNode
	messageAttribute
	messageSparse
	messageFunction
	messageTraining
)

// messagesWithin returns which fields of a message are messages in which a tensor may be (onnx.proto).
func messagesWithin(of onnxMessage) map[protowire.Number]onnxMessage {
	switch of {
	case messageModel:
		return map[protowire.Number]onnxMessage{7: messageGraph, 20: messageTraining, 25: messageFunction}
	case messageGraph:
		return map[protowire.Number]onnxMessage{1: messageNode, 5: messageTensor, 15: messageSparse}
	case messageNode:
		return map[protowire.Number]onnxMessage{5: messageAttribute}
	case messageAttribute:
		return map[protowire.Number]onnxMessage{5: messageTensor, 6: messageGraph, 10: messageTensor, 11: messageGraph, 22: messageSparse, 23: messageSparse}
	case messageSparse:
		return map[protowire.Number]onnxMessage{1: messageTensor, 2: messageTensor}
	case messageFunction:
		return map[protowire.Number]onnxMessage{7: messageNode, 11: messageAttribute}
	case messageTraining:
		return map[protowire.Number]onnxMessage{1: messageGraph, 2: messageGraph}
	}
	return nil
}

// Inline returns an ONNX model all of whose tensors hold their data themselves: what a tensor keeps in another file is looked up by file,
// which gets the path within the folder of the model, clean and with slashes. Without a file func no tensor may keep its data in one.
// The bytes are the same where no tensor does, or the model is of another format. Errors are Unimplemented without a file func, and
// Invalid for a path outside of the folder, a file that is not there, a range outside of it or of another size than the tensor, and a
// model beyond the limits.
func Inline(b []byte, limits Limits, file func(name string) ([]byte, bool)) ([]byte, error) {
	if sniff(b) != FormatONNX {
		return b, nil
	}
	limits = limits.orDefault()
	in := &inliner{file: file, left: limits.FileBytes - int64(len(b)), limits: limits}
	out, err := in.message(&wireReader{b: b, spent: &spent{limits: limits}}, messageModel)
	if err != nil {
		return nil, modelError(err)
	}
	if out == nil {
		return b, nil
	}
	return out, nil
}

type inliner struct {
	file   func(string) ([]byte, bool)
	left   int64 // how many bytes the model may grow by
	limits Limits
}

// message rewrites a message, or returns nil where nothing is to be changed.
func (in *inliner) message(r *wireReader, of onnxMessage) ([]byte, error) {
	if of == messageTensor {
		return in.tensor(r)
	}
	if r.depth++; r.depth > 4*in.limits.Depth { // a graph in a graph is three messages deeper
		return nil, r.fail("graphs are nested more than %d deep", in.limits.Depth)
	}
	within := messagesWithin(of)
	b, first, from := r.b, r.at, r.at
	var out []byte
	copied := 0 // bytes of b that are in out
	err := r.each(func(f wireField) error {
		start, end := from-first, r.at-first
		from = r.at
		kind, ok := within[f.num]
		if !ok || f.typ != protowire.BytesType {
			return nil
		}
		s, err := r.sub(f)
		if err != nil {
			return err
		}
		changed, err := in.message(s, kind)
		if err != nil || changed == nil {
			return err
		}
		out = append(out, b[copied:start]...)
		out = protowire.AppendTag(out, f.num, protowire.BytesType)
		out = protowire.AppendBytes(out, changed)
		copied = end
		return nil
	})
	if err != nil || out == nil {
		return nil, err
	}
	return append(out, b[copied:]...), nil
}

// tensor rewrites a tensor that keeps its data in a file.
func (in *inliner) tensor(r *wireReader) ([]byte, error) {
	var kept []byte
	var name string
	var where externalData
	elements, typ, outside := int64(1), ElementType(0), false
	err := r.each(func(f wireField) error {
		switch f.num {
		case 13:
			outside = true
			return where.add(r, f)
		case 14:
			outside = outside || f.value != 0
			return nil
		case 9: // whatever is there besides counts for nothing
			return nil
		case 1:
			if err := r.repeated(f, protowire.VarintType, func(v uint64) {
				if d := int64(v); d < 0 || d > 0 && elements > in.limits.FileBytes/d {
					elements = -1
				} else if elements >= 0 {
					elements *= d
				}
			}); err != nil {
				return err
			}
		case 2:
			typ = ElementType(f.value)
		case 8:
			name = string(f.bytes)
		}
		kept = protowire.AppendTag(kept, f.num, f.typ)
		switch f.typ {
		case protowire.VarintType:
			kept = protowire.AppendVarint(kept, f.value)
		case protowire.Fixed32Type:
			kept = protowire.AppendFixed32(kept, uint32(f.value))
		case protowire.Fixed64Type:
			kept = protowire.AppendFixed64(kept, f.value)
		default:
			kept = protowire.AppendBytes(kept, f.bytes)
		}
		return nil
	})
	if err != nil || !outside {
		return nil, err
	}
	if in.file == nil {
		return nil, elsewhere(name)
	}
	data, err := where.read(in.file)
	if err != nil {
		return nil, assay.Errorf(assay.Invalid, "onnx model: tensor %q: %w", name, err)
	}
	if size := int64(typ.size()); size > 0 && (elements < 0 || int64(len(data)) != elements*size) {
		return nil, assay.Errorf(assay.Invalid, "onnx model: tensor %q: %d bytes of %q are no %s tensor of its shape", name, len(data), where.location, typ)
	}
	if in.left -= int64(len(data)); in.left < 0 {
		return nil, tooLarge("onnx model with the data beside it has more than %d bytes", in.limits.FileBytes)
	}
	kept = protowire.AppendTag(kept, 9, protowire.BytesType)
	return protowire.AppendBytes(kept, data), nil
}

// elsewhere refuses a tensor whose data is in a file that is not at hand.
func elsewhere(tensor string) *assay.Error {
	return refuse("tensor %s keeps its data in another file, which is not supported of a model that is a single file", tensor).
		Try("register the directory of MLflow that has both, or save the model with its data inside: save_as_external_data=False")
}

// externalData says where the data of a tensor is.
type externalData struct{ location, offset, length string }

func (d *externalData) add(r *wireReader, f wireField) error {
	kv, err := r.keyValue(f)
	switch kv.key {
	case "location":
		d.location = kv.value
	case "offset":
		d.offset = kv.value
	case "length":
		d.length = kv.value
	}
	return err
}

func (d *externalData) read(file func(string) ([]byte, bool)) ([]byte, error) {
	name := path.Clean(d.location)
	if d.location == "" || name == "." || !fs.ValidPath(name) || strings.ContainsAny(name, "\\:\x00") {
		return nil, assay.Errorf(assay.Invalid, "its data is in %q, which is no file within the folder of the model", d.location)
	}
	b, ok := file(name)
	if !ok {
		return nil, assay.Errorf(assay.Invalid, "its data is in %q, which is not in the folder of the model", d.location)
	}
	number := func(text string, def int64) int64 {
		if text == "" {
			return def
		}
		v, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return -1
		}
		return v
	}
	size := int64(len(b))
	offset := number(d.offset, 0)
	if offset < 0 || offset > size {
		return nil, assay.Errorf(assay.Invalid, "offset %q of %q, which has %d bytes", d.offset, d.location, size)
	}
	length := number(d.length, size-offset)
	if length < 0 || length > size-offset {
		return nil, assay.Errorf(assay.Invalid, "%q bytes from %d of %q, which has %d", d.length, offset, d.location, size)
	}
	return b[offset : offset+length], nil
}
