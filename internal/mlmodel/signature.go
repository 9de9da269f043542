package mlmodel

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"math"
	"strconv"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/schema"
)

// A Signature is what a model says that it takes and gives.
type Signature struct {
	Inputs  []Spec
	Outputs []Spec
	Params  []Param
}

// A Spec is one column, or one tensor where DType is not empty.
type Spec struct {
	Name     string // "" for one without a name
	Type     string // of a column: boolean, integer (32 bits), long, float, double, string, binary, datetime, array, object, map, any
	Optional bool
	Nested   *Nested // of an array, object, map or any; nil otherwise
	DType    string  // of a tensor: a NumPy type
	Shape    []int   // of a tensor; -1 is a size that may vary
}

// Tensor reports whether the spec is of a tensor.
func (s *Spec) Tensor() bool { return s.DType != "" }

const maxSpecs = 20_000

// columnTypes are the types of MLflow's column specs, and what each is to a schema. Nested types have no scalar and are JSON.
var columnTypes = map[string]assay.Type{
	"boolean": assay.TypeBoolean, "integer": assay.TypeInteger, "long": assay.TypeInteger, "float": assay.TypeNumber, "double": assay.TypeNumber,
	"string": assay.TypeString, "binary": assay.TypeBinary, "datetime": assay.TypeTimestamp,
	"array": assay.TypeJSON, "object": assay.TypeJSON, "map": assay.TypeJSON, "any": assay.TypeJSON, "sparkml_vector": assay.TypeJSON,
}

// readSignature reads the three JSON texts of a signature; one that is empty, or null, says nothing of its side. A signature that says
// nothing of the inputs counts as none.
func readSignature(inputs, outputs, params string) (*Signature, error) {
	s := &Signature{}
	var err error
	if s.Inputs, err = readSpecs("inputs", inputs); err != nil {
		return nil, err
	}
	if s.Outputs, err = readSpecs("outputs", outputs); err != nil {
		return nil, err
	}
	if s.Params, err = readParams(params); err != nil {
		return nil, err
	}
	if len(s.Inputs) == 0 {
		return nil, nil
	}
	return s, nil
}

func decode(side, text string, v any) error {
	d := json.NewDecoder(bytes.NewReader([]byte(text)))
	err := d.Decode(v)
	if err == nil {
		if _, more := d.Token(); !errors.Is(more, io.EOF) {
			err = errors.New("text after its end")
		}
	}
	if err != nil {
		return assay.Errorf(assay.Invalid, "%s: signature.%s is not the JSON of a signature: %w", FileName, side, err)
	}
	return nil
}

func readSpecs(side, text string) ([]Spec, error) {
	if text == "" {
		return nil, nil
	}
	var raw []struct {
		Name string `json:"name"`
		rawNested
		Optional *bool `json:"optional"` // before MLflow 2.6
		Tensor   *struct {
			DType string `json:"dtype"`
			Shape []int  `json:"shape"`
		} `json:"tensor-spec"`
	}
	if err := decode(side, text, &raw); err != nil {
		return nil, err
	}
	if len(raw) > maxSpecs {
		return nil, assay.Errorf(assay.Invalid, "%s: signature.%s has %d columns; the limit is %d", FileName, side, len(raw), maxSpecs)
	}
	var bad assay.Problems
	seen := map[string]bool{}
	out := make([]Spec, 0, len(raw))
	for i, r := range raw {
		at := r.Name
		if at == "" {
			at = strconv.Itoa(i)
		}
		s := Spec{Name: r.Name, Type: r.Type, Optional: r.Required != nil && !*r.Required || r.Optional != nil && *r.Optional}
		switch {
		case r.Type == "tensor" && (r.Tensor == nil || r.Tensor.DType == ""):
			bad.Add("signature.%s: tensor %s has no tensor-spec with a dtype", side, at)
		case r.Type == "tensor":
			s.DType, s.Shape = r.Tensor.DType, r.Tensor.Shape
			for _, n := range s.Shape {
				if n < -1 {
					bad.Add("signature.%s: tensor %s has a size of %d", side, at, n)
				}
			}
		case columnTypes[r.Type] == "":
			bad.Add("signature.%s: column %s is of type %q, which is none of MLflow's", side, at, r.Type)
		case columnTypes[r.Type] == assay.TypeJSON:
			var err error
			if s.Nested, err = r.nested(maxNesting); err != nil {
				bad.Add("signature.%s: column %s: %v", side, at, err)
			}
		}
		if r.Name != "" && seen[r.Name] {
			bad.Add("signature.%s: %q is there twice", side, r.Name)
		}
		seen[r.Name] = true
		out = append(out, s)
	}
	return out, bad.Err(assay.Invalid, FileName+" cannot be used")
}

// Kind says in a word what the inputs are: columns, tensors, or none where there is no signature.
func (s *Signature) Kind() string {
	switch {
	case s == nil:
		return "none"
	case s.Inputs[0].Tensor():
		return "tensors"
	}
	return "columns"
}

// Probabilities reports whether the model answers with more than a value a row. Known is false where the signature does not say so: one
// value a row is no proof, for nothing in MLflow holds an answer against its signature, and models that were saved with predict_fn contradict it.
func (s *Signature) Probabilities() (several, known bool) {
	if s == nil || len(s.Outputs) == 0 {
		return false, false
	}
	o := s.Outputs[0]
	several = len(s.Outputs) > 1 || len(o.Shape) > 1 && o.Shape[len(o.Shape)-1] != 1
	return several, several
}

// Named reports whether the inputs are columns with names.
func (s *Signature) Named() bool {
	for i := range s.Inputs {
		if s.Inputs[i].Tensor() || s.Inputs[i].Name == "" {
			return false
		}
	}
	return len(s.Inputs) > 0
}

// Width returns how many values a row has where the inputs have no names: the number of columns, or the last size of the only tensor. It
// is -1 where the signature does not say.
func (s *Signature) Width() int {
	if len(s.Inputs) == 1 && s.Inputs[0].Tensor() {
		if n := len(s.Inputs[0].Shape); n > 1 {
			return s.Inputs[0].Shape[n-1]
		}
		return 1
	}
	return len(s.Inputs)
}

// Fields are the named columns as fields, in the order of the signature; nil where they have no names.
func (s *Signature) Fields() []assay.Field {
	if !s.Named() {
		return nil
	}
	out := make([]assay.Field, len(s.Inputs))
	for i, c := range s.Inputs {
		out[i] = assay.Field{Name: c.Name, Type: columnTypes[c.Type]}
	}
	return out
}

// Schema is what the named inputs must fit when nothing else is known of them.
func (s *Signature) Schema(name string) *schema.Schema {
	out := schema.New(name)
	for _, f := range s.Fields() {
		out.Columns = append(out.Columns, schema.Column{Name: f.Name, Optional: true})
	}
	_ = s.Narrow(out) // columns without a type contradict nothing
	return out
}

// Narrow adds to the columns of an input schema what the signature says of them: type, width and presence. It is Invalid, naming all of
// them, when the schema lacks a column that the model requires, or has it with a type that the model does not take.
func (s *Signature) Narrow(in *schema.Schema) error {
	return s.hold(in, (*Spec).kind)
}

// NarrowCast is Narrow for a version whose values are cast: a float of 32 bits may be infinite there, which is what a cast makes of a larger
// number.
func (s *Signature) NarrowCast(in *schema.Schema) error {
	return s.hold(in, func(c *Spec) string {
		if c.kind() == "float" {
			return "double"
		}
		return c.kind()
	})
}

func (s *Signature) hold(in *schema.Schema, kind func(*Spec) string) error {
	var bad assay.Problems
	if !s.Named() {
		if w := s.Width(); w >= 0 && w != len(in.Columns) {
			bad.Add("the model takes %d values a row, the schema has %d columns", w, len(in.Columns))
		}
		for i := range in.Columns {
			narrow(&in.Columns[i], kind(&s.Inputs[min(i, len(s.Inputs)-1)]), &bad)
		}
		return bad.Err(assay.Invalid, "the model's signature does not fit the input schema")
	}
	for _, spec := range s.Inputs {
		c := in.Column(spec.Name)
		if c == nil {
			if !spec.Optional {
				bad.Add("column %q, which the model requires, is not in the schema", spec.Name)
			}
			continue
		}
		narrow(c, kind(&spec), &bad)
		c.Optional = c.Optional && spec.Optional
		if spec.Nested != nil && !spec.Optional && !spec.Nested.open() && c.NotNull == nil { // as MLflow has it: null is no list and no object
			c.NotNull = &schema.NotNull{}
		}
	}
	return bad.Err(assay.Invalid, "the model's signature does not fit the input schema")
}

// kind is the type of a column, or that of a tensor's elements in the words of columns; "" where any number will do.
func (s *Spec) kind() string {
	switch s.DType {
	case "":
		return s.Type
	case "bool":
		return "boolean"
	case "int32":
		return "integer"
	case "int64":
		return "long"
	case "float32":
		return "float"
	case "float64":
		return "double"
	case "object", "str":
		return "string"
	case "int8", "int16", "uint8", "uint16", "uint32":
		return s.DType
	}
	return ""
}

// integers are the bounds of the types of whole numbers.
var integers = map[string][2]int64{
	"integer": {math.MinInt32, math.MaxInt32}, "long": {math.MinInt64, math.MaxInt64},
	"int8": {math.MinInt8, math.MaxInt8}, "int16": {math.MinInt16, math.MaxInt16},
	"uint8": {0, math.MaxUint8}, "uint16": {0, math.MaxUint16}, "uint32": {0, math.MaxUint32},
}

func narrow(c *schema.Column, kind string, bad *assay.Problems) {
	if b, ok := integers[kind]; ok {
		if c.Type != "" && c.Type != assay.TypeInteger && c.Type != assay.TypeNumber {
			bad.Add("column %q is of type %s, the model takes %s", c.Name, c.Type, kind)
			return
		}
		c.Type = assay.TypeInteger
		within(c, schema.Int(b[0]), schema.Int(b[1]))
		if c.NotNull == nil { // NumPy's integers have no missing value
			c.NotNull = &schema.NotNull{}
		}
		return
	}
	want := columnTypes[kind]
	switch {
	case want == "":
		return
	case c.Type == "":
		c.Type = want
	case c.Type == want, want == assay.TypeNumber && c.Type == assay.TypeInteger, want == assay.TypeTimestamp && c.Type == assay.TypeDate:
	default:
		bad.Add("column %q is of type %s, the model takes %s", c.Name, c.Type, kind)
		return
	}
	if kind == "float" && c.Type == assay.TypeNumber {
		within(c, schema.Number(-math.MaxFloat32), schema.Number(math.MaxFloat32))
	}
	if kind == "boolean" && c.NotNull == nil {
		c.NotNull = &schema.NotNull{}
	}
}

// within bounds a column, unless it is bounded already: what people stated is narrower than what a type can hold.
func within(c *schema.Column, lo, hi schema.Value) {
	if c.Range == nil {
		c.Range = &schema.Range{}
	}
	r := *c.Range
	if r.Min == nil {
		r.Min = &lo
	}
	if r.Max == nil {
		r.Max = &hi
	}
	c.Range = &r
}
