package oip

import (
	"encoding/json"
	"maps"
	"math"
	"slices"
	"strconv"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/oip/wire"
	"github.com/assay-ml/assay/internal/schema"
	"github.com/assay-ml/assay/internal/serve"
)

// readMessage reads a gRPC request into the rows of the call, which keep pointing into it.
func (q *request) readMessage(c *serve.Call, in *wire.ModelInferRequest) error {
	if err := setID(c, in.GetId()); err != nil {
		return err
	}
	content, err := codecOf(stringParam(in.GetParameters(), "content_type"))
	if err != nil {
		return err
	}
	if err := giveParameters(c, in.GetParameters()); err != nil {
		return err
	}
	raw := in.GetRawInputContents()
	if len(raw) > 0 && len(raw) != len(in.GetInputs()) {
		return assay.Errorf(assay.Invalid, "the request has %d inputs and %d raw_input_contents", len(in.GetInputs()), len(raw))
	}
	for i, x := range in.GetInputs() {
		t := q.next()
		t.name = []byte(x.GetName())
		if t.typ = datatypeOf([]byte(x.GetDatatype())); t.typ == noType {
			return assay.Errorf(assay.Invalid, "input %q: %q is no datatype", clip(t.name), clip([]byte(x.GetDatatype())))
		}
		for _, d := range x.GetShape() {
			if err := t.dim(d); err != nil {
				return err
			}
		}
		own, err := codecOf(stringParam(x.GetParameters(), "content_type"))
		if err != nil {
			return err
		}
		t.base64 = t.typ == typeBytes && (content == codecBase64 || own == codecBase64)
		if err := t.elements(); err != nil {
			return err
		}
		switch {
		case len(raw) == 0:
			err = t.typed(x.GetContents())
		case x.GetContents() != nil && contentFields(x.GetContents()) != 0:
			err = assay.Errorf(assay.Invalid, "input %q has contents, and the request has raw_input_contents", clip(t.name))
		default:
			t.raw = raw[i]
			err = t.bound()
		}
		if err != nil {
			return err
		}
	}
	for _, o := range in.GetOutputs() {
		if err := q.output(c, wanted{name: o.GetName()}); err != nil {
			return err
		}
	}
	if err := assign(c, q.inputs); err != nil {
		return err
	}
	for i := range q.inputs {
		if len(raw) > 0 {
			q.inputs[i].fillRaw(c)
		} else {
			q.inputs[i].fillTyped(c, in.GetInputs()[i].GetContents())
		}
	}
	return nil
}

// giveParameters gives the call those parameters of a request that are the model's, or keys of its rows. A list or an object, which the message
// has no type for, is a string that holds it as JSON.
func giveParameters(c *serve.Call, all map[string]*wire.InferParameter) error {
	var given *serve.Given
	for _, name := range slices.Sorted(maps.Keys(all)) {
		p := c.Version().Param([]byte(name))
		if p == nil && ofTheProtocol(name) {
			continue
		}
		if given == nil {
			given = c.Given(false)
		}
		var text []byte
		switch x := all[name].GetParameterChoice().(type) {
		case *wire.InferParameter_BoolParam:
			text = strconv.AppendBool(nil, x.BoolParam)
		case *wire.InferParameter_Int64Param:
			text = strconv.AppendInt(nil, x.Int64Param, 10)
		case *wire.InferParameter_Uint64Param:
			text = strconv.AppendUint(nil, x.Uint64Param, 10)
		case *wire.InferParameter_DoubleParam:
			if math.IsNaN(x.DoubleParam) || math.IsInf(x.DoubleParam, 0) {
				return assay.Errorf(assay.Invalid, "the parameter %q is no finite number", clip([]byte(name)))
			}
			text = serve.AppendNumber(nil, x.DoubleParam)
		case *wire.InferParameter_StringParam:
			text = schema.AppendJSONString(nil, []byte(x.StringParam))
			if p != nil && (p.List || p.Type == "object") && json.Valid([]byte(x.StringParam)) {
				text = []byte(x.StringParam)
			}
		default:
			text = []byte("null")
		}
		given.Take([]byte(name), text)
	}
	if given == nil {
		return nil
	}
	return given.End()
}

func stringParam(p map[string]*wire.InferParameter, name string) string {
	return p[name].GetStringParam()
}

// Fields of the contents, one bit each.
const (
	inBool = 1 << iota
	inInt
	inInt64
	inUint
	inUint64
	inFP32
	inFP64
	inBytes
)

// contentFields says which fields have elements.
func contentFields(c *wire.InferTensorContents) (set int) {
	for i, n := range []int{
		len(c.GetBoolContents()), len(c.GetIntContents()), len(c.GetInt64Contents()), len(c.GetUintContents()), len(c.GetUint64Contents()),
		len(c.GetFp32Contents()), len(c.GetFp64Contents()), len(c.GetBytesContents()),
	} {
		if n > 0 {
			set |= 1 << i
		}
	}
	return set
}

// typed checks that the contents hold the elements of the shape in the field of the datatype, and in no other.
func (t *tensor) typed(c *wire.InferTensorContents) error {
	var field, n int
	switch t.typ {
	case typeBool:
		field, n = inBool, len(c.GetBoolContents())
	case typeInt8, typeInt16, typeInt32:
		field, n = inInt, len(c.GetIntContents())
	case typeInt64:
		field, n = inInt64, len(c.GetInt64Contents())
	case typeUint8, typeUint16, typeUint32:
		field, n = inUint, len(c.GetUintContents())
	case typeUint64:
		field, n = inUint64, len(c.GetUint64Contents())
	case typeFP32:
		field, n = inFP32, len(c.GetFp32Contents())
	case typeFP64:
		field, n = inFP64, len(c.GetFp64Contents())
	case typeBytes:
		field, n = inBytes, len(c.GetBytesContents())
	default:
		return assay.Errorf(assay.Invalid, "input %q: %s has no contents; send it as raw_input_contents, or as FP32", clip(t.name), t.typ)
	}
	if set := contentFields(c); set&^field != 0 {
		return assay.Errorf(assay.Invalid, "input %q has contents of another type than %s", clip(t.name), t.typ)
	}
	if n != t.n {
		return assay.Errorf(assay.Invalid, "input %q has %d elements, its shape wants %d", clip(t.name), n, t.n)
	}
	return nil
}

// fillTyped puts the contents into the rows. typed has been asked before.
func (t *tensor) fillTyped(c *serve.Call, in *wire.InferTensorContents) {
	if t.key {
		t.keysTyped(c, in)
	}
	k := len(t.fields)
	if k == 0 {
		return
	}
	switch t.typ {
	case typeBool:
		for i, x := range in.GetBoolContents() {
			c.Rows.SetBool(i/k, t.fields[i%k], x)
		}
	case typeInt8, typeInt16, typeInt32:
		width, _ := t.typ.signed()
		limit := int64(1) << (width - 1)
		for i, x := range in.GetIntContents() {
			if int64(x) < -limit || int64(x) >= limit {
				c.Found = c.Rows.Refuse(i/k, t.fields[i%k], datatypes[t.typ].must, c.Found)
				continue
			}
			c.Rows.SetInt(i/k, t.fields[i%k], int64(x))
		}
	case typeInt64:
		for i, x := range in.GetInt64Contents() {
			c.Rows.SetInt(i/k, t.fields[i%k], x)
		}
	case typeUint8, typeUint16, typeUint32:
		width, _ := t.typ.unsigned()
		limit := int64(1) << width
		for i, x := range in.GetUintContents() {
			if int64(x) >= limit {
				c.Found = c.Rows.Refuse(i/k, t.fields[i%k], datatypes[t.typ].must, c.Found)
				continue
			}
			c.Rows.SetInt(i/k, t.fields[i%k], int64(x))
		}
	case typeUint64:
		for i, x := range in.GetUint64Contents() {
			c.Rows.SetUint(i/k, t.fields[i%k], x)
		}
	case typeFP32:
		for i, x := range in.GetFp32Contents() {
			c.Rows.SetFloat(i/k, t.fields[i%k], float64(x))
		}
	case typeFP64:
		for i, x := range in.GetFp64Contents() {
			c.Rows.SetFloat(i/k, t.fields[i%k], x)
		}
	case typeBytes:
		for i, x := range in.GetBytesContents() {
			t.text(c, i/k, t.fields[i%k], x)
		}
	}
}

// message is the answer as a gRPC message, raw when the request was.
func (q *request) message(c *serve.Call, raw bool) *wire.ModelInferResponse {
	b := c.Version()
	m := &wire.ModelInferResponse{ModelName: b.Name, ModelVersion: b.Header()[0], Id: c.ID}
	if c.Fallback || len(c.Unusual) > 0 {
		m.Parameters = map[string]*wire.InferParameter{}
		if c.Fallback {
			m.Parameters["fallback"] = &wire.InferParameter{ParameterChoice: &wire.InferParameter_BoolParam{BoolParam: true}}
		}
		if len(c.Unusual) > 0 {
			m.Parameters["out_of_distribution"] = text(c.UnusualRows())
		}
	}
	for _, w := range q.answered(c) {
		typ := typeFP64
		o := &wire.ModelInferResponse_InferOutputTensor{Name: w.name, Shape: []int64{int64(c.Rows.Rows())}, Parameters: map[string]*wire.InferParameter{}}
		if w.proba {
			o.Shape = append(o.Shape, int64(len(b.Classes)))
			o.Parameters["classes"] = text(classList(b))
		} else {
			typ = predictionType(b)
		}
		o.Datatype = datatypes[typ].name
		o.Parameters["content_type"] = text(contentType(typ))
		if raw {
			m.RawOutputContents = append(m.RawOutputContents, appendRaw(nil, c, w.proba))
		} else {
			o.Contents = contents(c, w.proba)
		}
		m.Outputs = append(m.Outputs, o)
	}
	return m
}

// contents are the elements of an output; copied, as the message outlives the call.
func contents(c *serve.Call, proba bool) *wire.InferTensorContents {
	b, out := c.Version(), &wire.InferTensorContents{}
	switch l := b.Labels(); {
	case proba:
		out.Fp64Contents = append(out.Fp64Contents, c.Output.Proba...)
	case len(b.Classes) == 0:
		out.Fp64Contents = append(out.Fp64Contents, c.Output.Values...)
	case l.Ints != nil:
		for _, label := range c.Output.Labels {
			out.Int64Contents = append(out.Int64Contents, l.Ints[label])
		}
	case l.Floats != nil:
		for _, label := range c.Output.Labels {
			out.Fp64Contents = append(out.Fp64Contents, l.Floats[label])
		}
	case l.Bools != nil:
		for _, label := range c.Output.Labels {
			out.BoolContents = append(out.BoolContents, l.Bools[label])
		}
	default:
		for _, label := range c.Output.Labels {
			out.BytesContents = append(out.BytesContents, b.Class(label))
		}
	}
	return out
}
