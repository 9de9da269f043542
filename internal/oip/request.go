package oip

import (
	"bytes"
	"slices"
	"strconv"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/schema"
	"github.com/assay-ml/assay/internal/serve"
)

// A request is an inference request, of either transport, once its rows are read.
type request struct {
	inputs  []tensor
	outputs []wanted  // what was asked for; empty: everything
	numbers []float64 // elements of inputs that were read on the way
	binary  bool      // binary_data_output: outputs are answered in the binary extension where they do not say otherwise
}

// A wanted output.
type wanted struct {
	name   string // as it was asked for, and is answered
	proba  bool   // the probabilities, not the prediction
	binary bool
	said   bool // binary was said of this output
}

// reset keeps the memory of the tensors.
func (q *request) reset() {
	inputs := q.inputs
	for i := range inputs {
		inputs[i] = tensor{fields: inputs[i].fields[:0]}
	}
	*q = request{inputs: inputs[:0], outputs: q.outputs[:0], numbers: q.numbers[:0]}
}

// next returns a tensor to be filled.
func (q *request) next() *tensor {
	if len(q.inputs) < cap(q.inputs) {
		q.inputs = q.inputs[:len(q.inputs)+1]
	} else {
		q.inputs = append(q.inputs, tensor{})
	}
	t := &q.inputs[len(q.inputs)-1]
	*t = tensor{fields: t.fields[:0], size: -1}
	return t
}

// output notes that an output is asked for.
func (q *request) output(c *serve.Call, w wanted) error {
	switch w.name {
	case serve.PredictionField, "predict": // the second is MLServer's name
	case probabilitiesName, "predict_proba":
		w.proba = true
	default:
		return assay.Errorf(assay.Invalid, "output %q is none of the model's", clip([]byte(w.name)))
	}
	if w.proba && !hasProbabilities(c.Version()) {
		return assay.Errorf(assay.Invalid, "the model gives no probabilities")
	}
	for i := range q.outputs {
		if q.outputs[i].name == w.name {
			return assay.Errorf(assay.Invalid, "output %q is asked for twice", w.name)
		}
	}
	q.outputs = append(q.outputs, w)
	return nil
}

const probabilitiesName = "probabilities"

func hasProbabilities(b *serve.Bound) bool { return len(b.Classes) > 0 && b.Outputs().Fields() > 1 }

// maxID is how long a request's own id may be.
const maxID = 256

func setID(c *serve.Call, id string) error {
	if len(id) > maxID {
		return assay.Errorf(assay.Invalid, "the id has more than %d bytes", maxID)
	}
	for i := range len(id) {
		if id[i] < ' ' || id[i] > '~' { // it goes out in a header
			return assay.Errorf(assay.Invalid, "the id has a character that is not printable ASCII")
		}
	}
	if id != "" {
		c.ID = id
	}
	return nil
}

// Read reads the body of a request that another server answered, which is JSON, into the rows of the call. It keeps the call's id.
func Read(c *serve.Call) error {
	q, id := &request{}, c.ID
	err := q.readJSON(c, len(c.Body))
	c.ID = id
	return err
}

// readJSON reads a request whose JSON are the first head bytes of the body; the bytes of the binary extension follow.
func (q *request) readJSON(c *serve.Call, head int) error {
	r := &c.Reader
	r.Reset(c.Body[:head], 0)
	if err := q.describe(c, r); err != nil && r.Err() == nil {
		return err
	}
	if !r.End() {
		return r.Err()
	}
	for i := range q.inputs {
		t := &q.inputs[i]
		if t.size < 0 && t.data == 0 {
			return assay.Errorf(assay.Invalid, "input %q has neither data nor binary_data_size", clip(t.name))
		}
		if t.size >= 0 && t.data != 0 {
			return assay.Errorf(assay.Invalid, "input %q has both data and binary_data_size", clip(t.name))
		}
		if t.size < 0 && (t.typ == typeFP16 || t.typ == typeBF16) {
			return assay.Errorf(assay.Invalid, "input %q: %s has no form in JSON; send it in the binary extension, or as FP32", clip(t.name), t.typ)
		}
		if err := t.elements(); err != nil {
			return err
		}
	}
	if err := q.slice(c.Body[head:]); err != nil {
		return err
	}
	if err := assign(c, q.inputs); err != nil {
		return err
	}
	for i := range q.inputs {
		t := &q.inputs[i]
		if t.size >= 0 {
			t.fillRaw(c)
			continue
		}
		if t.simple && !t.key && !slices.ContainsFunc(t.fields, c.Rows.Validator().Nested) {
			if err := t.fillNumbers(c, q.numbers[t.from:t.to]); err != nil {
				return err
			}
			continue
		}
		if err := t.fillJSON(c, r); err != nil && r.Err() == nil {
			return err
		}
		if r.Err() != nil {
			return r.Err()
		}
	}
	return nil
}

// slice gives each tensor of the binary extension its bytes: in the order of the inputs, without gaps, all of them.
func (q *request) slice(rest []byte) error {
	for i := range q.inputs {
		t := &q.inputs[i]
		if t.size < 0 {
			continue
		}
		if t.size > len(rest) {
			return assay.Errorf(assay.Invalid, "input %q: binary_data_size is %d, the body has %d bytes left", clip(t.name), t.size, len(rest))
		}
		t.raw, rest = rest[:t.size:t.size], rest[t.size:]
		if err := t.bound(); err != nil {
			return err
		}
	}
	if len(rest) > 0 {
		return assay.Errorf(assay.Invalid, "the body has %d bytes after the last tensor", len(rest))
	}
	return nil
}

// describe reads the document but for the data, whose places it notes: parameters that say how to read them may come after.
func (q *request) describe(c *serve.Call, r *schema.Reader) error {
	if r.Kind() != schema.JSONObject {
		if _, ok := r.Skip(); !ok {
			return r.Err()
		}
		return assay.Errorf(assay.Invalid, "the request must be an object")
	}
	content := codecNone
	named, inputs, outputs, params := false, false, false, false
	for more := r.Enter(); more; more = r.More() {
		key, ok := r.Key()
		if !ok {
			return r.Err()
		}
		var err error
		switch string(key) {
		case "id":
			if named {
				return twice("", "id")
			}
			named = true
			id, ok := r.Text()
			if !ok {
				return r.Err()
			}
			err = setID(c, string(id))
		case "parameters":
			if params {
				return assay.Errorf(assay.Invalid, "parameters is there twice")
			}
			params = true
			p := parameters{size: -1, call: c}
			if err = p.read(r); err == nil && r.Err() == nil && p.given != nil {
				err = p.given.End()
			}
			content, q.binary = p.content, p.binaryAll
		case "inputs":
			if inputs {
				return assay.Errorf(assay.Invalid, "inputs is there twice")
			}
			inputs = true
			err = eachObject(r, "inputs", func() error { return q.readInput(r) })
		case "outputs":
			if outputs {
				return assay.Errorf(assay.Invalid, "outputs is there twice")
			}
			outputs = true
			err = eachObject(r, "outputs", func() error { return q.readOutput(c, r) })
		default:
			r.Skip()
		}
		if err != nil {
			return err
		}
		if r.Err() != nil {
			return r.Err()
		}
	}
	if content == codecBase64 {
		for i := range q.inputs {
			q.inputs[i].base64 = q.inputs[i].typ == typeBytes
		}
	}
	return nil
}

// eachObject reads a list of objects.
func eachObject(r *schema.Reader, what string, read func() error) error {
	if r.Kind() == schema.JSONNull {
		r.Null()
		return nil
	}
	if r.Kind() != schema.JSONArray {
		r.Skip()
		return assay.Errorf(assay.Invalid, "%s must be a list", what)
	}
	for more := r.Enter(); more; more = r.More() {
		if r.Kind() != schema.JSONObject {
			r.Skip()
			return assay.Errorf(assay.Invalid, "%s must be a list of objects", what)
		}
		if err := read(); err != nil {
			return err
		}
		if r.Err() != nil {
			return r.Err()
		}
	}
	return r.Err()
}

// maxSimple is of how many elements of a request the numbers are kept as they are first read, rather than read a second time.
const maxSimple = 1 << 16

// inputKeys are the keys of an input that may be there once; data is looked at apart.
var inputKeys = [4]string{"name", "datatype", "shape", "parameters"}

func twice(of, key string) error { return assay.Errorf(assay.Invalid, "%s%s is there twice", of, key) }

func (q *request) readInput(r *schema.Reader) error {
	t := q.next()
	var typ []byte
	var seen [4]bool
	for more := r.Enter(); more; more = r.More() {
		key, ok := r.Key()
		if !ok {
			return r.Err()
		}
		if i := slices.Index(inputKeys[:], string(key)); i >= 0 {
			if seen[i] {
				return twice("input "+strconv.Quote(string(clip(t.name)))+": ", inputKeys[i])
			}
			seen[i] = true
		}
		switch string(key) {
		case "name":
			t.name, _ = r.Text()
		case "datatype":
			if typ, ok = r.Text(); ok {
				t.typ = datatypeOf(typ)
			}
		case "shape":
			if err := t.readShape(r); err != nil {
				return err
			}
		case "parameters":
			p := parameters{size: -1}
			if err := p.read(r); err != nil {
				return err
			}
			t.size, t.base64 = p.size, p.content == codecBase64
		case "data":
			if t.data != 0 {
				return assay.Errorf(assay.Invalid, "input %q: data is there twice", clip(t.name))
			}
			if r.Kind() == schema.JSONNull { // as clients have it that send the bytes after the document
				r.Null()
				continue
			}
			t.data = r.Pos()
			from := len(q.numbers)
			if t.typ == typeFP64 || t.typ == typeFP32 {
				at := r.Pos()
				if q.numbers, t.simple = r.Numbers(q.numbers, maxSimple-from); t.simple && t.round(q.numbers[from:]) {
					t.from, t.to = from, len(q.numbers)
					break
				}
				t.simple = false
				r.Seek(at)
			}
			q.numbers = q.numbers[:from]
			r.Skip()
		default:
			r.Skip()
		}
		if r.Err() != nil {
			return r.Err()
		}
	}
	if r.Err() == nil && t.typ == noType {
		if typ == nil {
			return assay.Errorf(assay.Invalid, "input %q has no datatype", clip(t.name))
		}
		return assay.Errorf(assay.Invalid, "input %q: %q is no datatype", clip(t.name), clip(typ))
	}
	return r.Err()
}

func (t *tensor) readShape(r *schema.Reader) error {
	if r.Kind() != schema.JSONArray {
		r.Skip()
		return assay.Errorf(assay.Invalid, "input %q: shape must be a list", clip(t.name))
	}
	t.dims = 0
	for more := r.Enter(); more; more = r.More() {
		text, ok := r.Skip()
		if !ok {
			return r.Err()
		}
		n, err := strconv.ParseInt(string(text), 10, 64)
		if err != nil {
			return assay.Errorf(assay.Invalid, "input %q: a dimension of its shape is not a whole number", clip(t.name))
		}
		if err := t.dim(n); err != nil {
			return err
		}
	}
	return r.Err()
}

// dim adds a dimension.
func (t *tensor) dim(n int64) error {
	if t.dims == maxDims {
		return assay.Errorf(assay.Invalid, "input %q has more than %d dimensions", clip(t.name), maxDims)
	}
	t.shape[t.dims] = int(max(min(n, 1<<40), -1))
	t.dims++
	return nil
}

func (q *request) readOutput(c *serve.Call, r *schema.Reader) error {
	var w wanted
	named, params := false, false
	for more := r.Enter(); more; more = r.More() {
		key, ok := r.Key()
		if !ok {
			return r.Err()
		}
		switch string(key) {
		case "name":
			if named {
				return twice("an output: ", "name")
			}
			named = true
			name, _ := r.Text()
			w.name = string(name)
		case "parameters":
			if params {
				return twice("an output: ", "parameters")
			}
			params = true
			p := parameters{size: -1}
			if err := p.read(r); err != nil {
				return err
			}
			w.binary, w.said = p.binary, p.binarySaid
		default:
			r.Skip()
		}
		if r.Err() != nil {
			return r.Err()
		}
	}
	if r.Err() != nil {
		return r.Err()
	}
	return q.output(c, w)
}

// A codec is how MLServer's clients say that elements of a tensor are to be read.
type codec uint8

const (
	codecNone codec = iota // also np, pd, str and datetime: the datatype and the column's type say it all
	codecBase64
)

func codecOf(name string) (codec, error) {
	switch name {
	case "", "np", "pd", "str", "datetime":
		return codecNone, nil
	case "base64":
		return codecBase64, nil
	}
	return codecNone, assay.Errorf(assay.Invalid, "content_type %q is none of np, pd, str, base64, datetime", clip([]byte(name)))
}

// parameters are those of a request, input or output that mean something here; others are ignored, but that those of a request may be the
// model's.
type parameters struct {
	call       *serve.Call  // of the request's own; nil: not the request's
	given      *serve.Given // the model's; nil: none
	content    codec
	size       int // binary_data_size; -1: not there
	binary     bool
	binarySaid bool
	binaryAll  bool
	seen       [maxParameters][]byte // their names
	count      int
}

// maxParameters is how many parameters one object may have.
const maxParameters = 64

func (p *parameters) read(r *schema.Reader) error {
	if r.Kind() == schema.JSONNull {
		r.Null()
		return nil
	}
	if r.Kind() != schema.JSONObject {
		r.Skip()
		return assay.Errorf(assay.Invalid, "parameters must be an object")
	}
	for more := r.Enter(); more; more = r.More() {
		key, ok := r.Key()
		if !ok {
			return r.Err()
		}
		for _, before := range p.seen[:p.count] {
			if bytes.Equal(before, key) {
				return twice("parameters: ", strconv.Quote(string(clip(key))))
			}
		}
		if p.count == len(p.seen) {
			return assay.Errorf(assay.Invalid, "there are more than %d parameters", len(p.seen))
		}
		p.seen[p.count] = key
		p.count++
		kind := r.Kind()
		switch {
		case string(key) == "content_type" && kind == schema.JSONString:
			s, _ := r.Text()
			var err error
			if p.content, err = codecOf(string(s)); err != nil {
				return err
			}
		case string(key) == "binary_data_size":
			text, ok := r.Skip()
			if !ok {
				return r.Err()
			}
			n, err := strconv.ParseInt(string(text), 10, 64)
			if err != nil || n < 0 || n > 1<<40 {
				return assay.Errorf(assay.Invalid, "binary_data_size is no size")
			}
			p.size = int(n)
		case string(key) == "binary_data" && kind == schema.JSONBool:
			p.binary, ok = r.Bool()
			p.binarySaid = ok
		case string(key) == "binary_data_output" && kind == schema.JSONBool:
			p.binaryAll, _ = r.Bool()
		case string(key) == "binary_data", string(key) == "binary_data_output":
			return assay.Errorf(assay.Invalid, "the parameter %s is neither true nor false", key)
		case p.call != nil && (p.call.Version().Param(key) != nil || !ofTheProtocol(string(key))):
			if p.given == nil {
				p.given = p.call.Given(false)
			}
			p.given.Read(r, key)
		default:
			r.Skip()
		}
		if r.Err() != nil {
			return r.Err()
		}
	}
	return r.Err()
}

// ofTheProtocol reports whether a parameter of a request says something to the server and nothing to the model: those of the extensions,
// MLServer's and Triton's.
func ofTheProtocol(name string) bool {
	switch name {
	case "content_type", "headers", "binary_data", "binary_data_size", "binary_data_output",
		"sequence_id", "sequence_start", "sequence_end", "priority", "timeout", "triton_enable_empty_final_response":
		return true
	}
	return false
}
