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
	r := typed{text: text}
	r.Reset(text, 0)
	if r.Kind() == schema.JSONNull {
		if string(p.Default) == "null" {
			return ""
		}
		return "must not be null"
	}
	one := Nested{Type: p.Type}
	if p.Type == "object" {
		if r.Kind() != schema.JSONObject {
			return "must be an object"
		}
		return ""
	}
	if !p.List {
		return one.Fits(text)
	}
	if r.Kind() != schema.JSONArray {
		return "must be a list"
	}
	n := 0
	for more := r.Enter(); more; more = r.More() {
		if why := one.fits(&r, "["+strconv.Itoa(n)+"]"); why != "" {
			return why
		}
		if n++; n > maxParamItems {
			return "has more than " + assay.FormatCount(maxParamItems) + " values"
		}
	}
	return ""
}
