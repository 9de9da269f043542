package mlmodel

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"strconv"

	"github.com/assay-ml/assay/internal/schema"
)

// Nested is the type of a value that holds others: MLflow's array, object, map and any; or, within one of these, a scalar.
type Nested struct {
	Type       string // array, object, map, any, sparkml_vector, or a scalar of a column
	Items      *Nested
	Values     *Nested // of a map
	Properties map[string]Property
}

// A Property is one key of an object.
type Property struct {
	*Nested
	Optional bool
}

// maxNesting is how deep the type of a column may be nested.
const maxNesting = 32

// rawNested is a type as the JSON of a signature has it.
type rawNested struct {
	Type       string               `json:"type"`
	Required   *bool                `json:"required"`
	Items      *rawNested           `json:"items"`
	Values     *rawNested           `json:"values"`
	Properties map[string]rawNested `json:"properties"`
}

func (r *rawNested) nested(depth int) (*Nested, error) {
	if depth == 0 {
		return nil, fmt.Errorf("its type is nested more than %d levels deep", maxNesting)
	}
	if columnTypes[r.Type] == "" {
		return nil, fmt.Errorf("%q is none of MLflow's types", r.Type)
	}
	n := &Nested{Type: r.Type}
	var err error
	switch r.Type {
	case "array":
		if r.Items == nil {
			return nil, errors.New("an array has no items")
		}
		n.Items, err = r.Items.nested(depth - 1)
	case "map":
		if r.Values == nil {
			return nil, errors.New("a map has no values")
		}
		n.Values, err = r.Values.nested(depth - 1)
	case "object":
		n.Properties = map[string]Property{}
		for name, p := range r.Properties {
			x, bad := p.nested(depth - 1)
			if bad != nil {
				return nil, bad
			}
			n.Properties[name] = Property{x, p.Required != nil && !*p.Required}
		}
	}
	return n, err
}

// open reports whether the type says nothing of the values inside, so that null is one as well.
func (n *Nested) open() bool {
	return n.Type == "any" || n.Type == "sparkml_vector" || n.Items != nil && n.Items.Type == "any" || n.Values != nil && n.Values.Type == "any"
}

// Fits says why a JSON value is not of the type, in words that follow the column's name and never repeat a value; "" where it is. A null
// inside is of no type but any.
func (n *Nested) Fits(text []byte) string {
	_, why := n.Typed(nil, text)
	return why
}

// Typed appends a JSON value that fits, or says what Fits does. A whole number where the type says float or double gets a point, because JSON
// has one kind of numbers and Python makes an int of what has none.
func (n *Nested) Typed(dst, text []byte) (out []byte, why string) {
	r := typed{text: text, out: dst}
	r.Reset(text, 0)
	r.AllowNaN()
	if why = n.fits(&r, ""); why == "" && !r.End() {
		why = "is no JSON"
	}
	return append(r.out, text[r.copied:]...), why
}

// typed reads a nested value and copies it where it has to be written in another way.
type typed struct {
	schema.Reader
	text, out []byte
	copied    int
}

// point writes what is between the copied text and the place of the reader, where a number ends, and a point and a zero.
func (r *typed) point() {
	r.out = append(append(r.out, r.text[r.copied:r.Pos()]...), ".0"...)
	r.copied = r.Pos()
}

func (n *Nested) fits(r *typed, at string) string {
	wrong := func(want string) string {
		if at == "" {
			return "must be " + want
		}
		return "must be " + want + " at " + at
	}
	kind := r.Kind()
	switch n.Type {
	case "any":
		r.Skip()
		return ""
	case "array":
		if kind != schema.JSONArray {
			return wrong("a list")
		}
		i := 0
		for more := r.Enter(); more; more = r.More() {
			if why := n.Items.fits(r, at+"["+strconv.Itoa(i)+"]"); why != "" {
				return why
			}
			i++
		}
	case "map":
		if kind != schema.JSONObject {
			return wrong("an object")
		}
		seen := map[string]bool{}
		for more := r.Enter(); more; more = r.More() {
			key, _ := r.Key()
			if seen[string(key)] {
				return wrong("an object without a key twice")
			}
			seen[string(key)] = true
			if why := n.Values.fits(r, at+"{}"); why != "" { // the keys of a map are data
				return why
			}
		}
	case "object":
		if kind != schema.JSONObject {
			return wrong("an object")
		}
		seen := map[string]bool{}
		for more := r.Enter(); more; more = r.More() {
			key, _ := r.Key()
			p, known := n.Properties[string(key)]
			if !known {
				return wrong("an object of the properties of its type alone")
			}
			name := string(key)
			if seen[name] {
				return wrong("an object without a key twice")
			}
			seen[name] = true
			if p.Optional && r.Kind() == schema.JSONNull {
				r.Null()
				continue
			}
			if why := p.fits(r, at+"."+name); why != "" {
				return why
			}
		}
		for name, p := range n.Properties {
			if !p.Optional && !seen[name] {
				return wrong("an object with the property " + strconv.Quote(name))
			}
		}
	default:
		return scalarFits(n.Type, r, kind, wrong)
	}
	if r.Err() != nil {
		return "is no JSON"
	}
	return ""
}

// scalarFits holds a scalar inside a nested value against its type.
func scalarFits(typ string, r *typed, kind schema.JSONKind, wrong func(string) string) string {
	switch typ {
	case "boolean":
		if kind != schema.JSONBool {
			return wrong("a truth value")
		}
		r.Bool()
	case "string", "datetime", "binary":
		if kind != schema.JSONString {
			return wrong("a string")
		}
		r.Text()
	case "integer", "long":
		if kind != schema.JSONNumber {
			return wrong("a whole number")
		}
		n, ok := r.Int()
		if !ok || typ == "integer" && n != int64(int32(n)) {
			return wrong("a whole number of its type")
		}
	case "float", "double", "sparkml_vector":
		if typ == "sparkml_vector" {
			r.Skip()
			return ""
		}
		if kind != schema.JSONNumber {
			return wrong("a number")
		}
		s, _ := r.Number()
		bits := 64
		if typ == "float" {
			bits = 32
		}
		if x, err := strconv.ParseFloat(string(s), bits); err != nil || math.IsInf(x, 0) {
			return wrong("a number of its type")
		}
		if !bytes.ContainsAny(s, ".eE") {
			r.point()
		}
	}
	if r.Err() != nil {
		return "is no JSON"
	}
	return ""
}
