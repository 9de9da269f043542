package mlmodel

import (
	"encoding/json"
	"strconv"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/schema"
)

// A Param is a parameter of a prediction with its default, as JSON.
type Param struct {
	Name    string
	Type    string // boolean, integer, long, float, double, string, datetime, object
	Default json.RawMessage
	List    bool // the value is a list of values of the type
}

// Limits of parameters.
const (
	maxParams     = 1000
	maxParamItems = 100_000
)

func readParams(text string) ([]Param, error) {
	if text == "" {
		return nil, nil
	}
	var raw []struct {
		Name    string          `json:"name"`
		Type    string          `json:"type"`
		DType   string          `json:"dtype"` // before MLflow 2.7
		Default json.RawMessage `json:"default"`
		Shape   []int           `json:"shape"`
	}
	if err := decode("params", text, &raw); err != nil {
		return nil, err
	}
	var bad assay.Problems
	if len(raw) > maxParams {
		bad.Add("signature.params has %d parameters; the limit is %d", len(raw), maxParams)
		raw = nil
	}
	seen := map[string]bool{}
	out := make([]Param, 0, len(raw))
	for _, r := range raw {
		if r.Type == "" {
			r.Type = r.DType
		}
		p := Param{Name: r.Name, Type: r.Type, Default: r.Default, List: r.Shape != nil}
		switch {
		case p.Name == "":
			bad.Add("signature.params: a parameter has no name")
		case seen[p.Name]:
			bad.Add("signature.params: %q is there twice", p.Name)
		}
		switch p.Type {
		case "boolean", "integer", "long", "float", "double", "string", "datetime", "object":
		default:
			bad.Add("signature.params: %q is of type %q, which is none that a parameter has", p.Name, p.Type)
		}
		if len(r.Shape) > 1 || len(r.Shape) == 1 && r.Shape[0] != -1 {
			bad.Add("signature.params: %q has a shape other than that of a list", p.Name)
		}
		seen[p.Name] = true
		out = append(out, p)
	}
	return out, bad.Err(assay.Invalid, FileName+" cannot be used")
}

// Fits says why a JSON value is none of the parameter, in words that follow its name and never repeat the value; "" where it is one. Whole
// numbers are floats as well, and no other type is any but its own; null is a value where it is the default.
func (p *Param) Fits(text []byte) string {
	_, why := p.Typed(nil, text)
	return why
}

// Typed appends a JSON value that fits, or says what Fits does. A whole number of a float or double gets a point, as Nested.Typed has it: MLflow
// makes a float of it as well.
func (p *Param) Typed(dst, text []byte) (out []byte, why string) {
	r := typed{text: text, out: dst}
	r.Reset(text, 0)
	if r.Kind() == schema.JSONNull {
		if string(p.Default) == "null" {
			return append(dst, text...), ""
		}
		return dst, "must not be null"
	}
	one := Nested{Type: p.Type}
	if p.Type == "object" {
		if r.Kind() != schema.JSONObject {
			return dst, "must be an object"
		}
		return append(dst, text...), ""
	}
	if !p.List {
		return one.Typed(dst, text)
	}
	if r.Kind() != schema.JSONArray {
		return dst, "must be a list"
	}
	n := 0
	for more := r.Enter(); more; more = r.More() {
		if why := one.fits(&r, "["+strconv.Itoa(n)+"]"); why != "" {
			return dst, why
		}
		if n++; n > maxParamItems {
			return dst, "has more than " + assay.FormatCount(maxParamItems) + " values"
		}
	}
	return append(r.out, text[r.copied:]...), ""
}
