package mlmodel

import (
	"strings"

	"github.com/goccy/go-yaml"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/manifest"
)

// numpyKinds are the kinds of NumPy in which Python gets the types of columns.
var numpyKinds = map[string]string{
	"boolean": "bool", "integer": "int32", "long": "int64", "float": "float32", "double": "float64", "string": "string", "datetime": "datetime",
	"binary": "bytes", "array": "json", "object": "json", "map": "json", "any": "json",
	"int8": "int8", "int16": "int16", "uint8": "uint8", "uint16": "uint16", "uint32": "uint32",
}

// Kinds are the NumPy kinds (int64, string, datetime, …) of the given fields, in their order, as the signature or else the fields' own
// types say. Errors are Unimplemented and name every column that has none.
func (m *Model) Kinds(fields []assay.Field) ([]string, error) {
	var bad assay.Problems
	out := make([]string, len(fields))
	for i, f := range fields {
		kind, typ := "", string(f.Type)
		switch s := m.Signature; {
		case s != nil && s.Named():
			for _, spec := range s.Inputs {
				if spec.Name == f.Name {
					kind, typ = numpyKinds[spec.kind()], spec.Type
				}
			}
		case s != nil:
			spec := s.Inputs[min(i, len(s.Inputs)-1)]
			kind, typ = numpyKinds[spec.kind()], spec.Type+spec.DType
		default:
			kind = map[assay.Type]string{
				assay.TypeBoolean: "bool", assay.TypeInteger: "int64", assay.TypeNumber: "float64", assay.TypeString: "string",
				assay.TypeDate: "datetime", assay.TypeTimestamp: "datetime", assay.TypeBinary: "bytes", assay.TypeJSON: "json",
			}[f.Type]
		}
		if kind == "" {
			bad.Add("column %q is of type %s", f.Name, typ)
		}
		out[i] = kind
	}
	return out, bad.Err(assay.Unimplemented, "a request cannot hold what the model takes")
}

// Nested is the type of the values of a named column that hold others; nil where it has none of them, or nothing is said of them.
func (m *Model) Nested(name string) *Nested {
	if m.Signature == nil {
		return nil
	}
	for i := range m.Signature.Inputs {
		if s := &m.Signature.Inputs[i]; s.Name == name {
			return s.Nested
		}
	}
	return nil
}

// Requirements is the text of a requirements.txt with all that the model needs: its own, or the pip part of its conda.yaml.
func (m *Model) Requirements() (string, error) {
	if m.Python != nil && m.Python.Requirements != "" {
		return string(m.Files[m.Python.Requirements]), nil
	}
	src, ok := m.Files["conda.yaml"]
	if !ok {
		return "", assay.Errorf(assay.Invalid, "the model's directory has neither requirements.txt nor conda.yaml: nothing says what it needs").
			Try("name an interpreter that has the packages as serve.python.interpreter in assay.yaml")
	}
	if _, err := manifest.Parse("conda.yaml", src, manifest.Plain); err != nil {
		return "", err
	}
	var d struct {
		Dependencies []any `yaml:"dependencies"`
	}
	if err := yaml.Unmarshal(src, &d); err != nil {
		return "", assay.Errorf(assay.Invalid, "conda.yaml cannot be read: %s", manifest.Plain(err))
	}
	var lines, others []string
	for _, dep := range d.Dependencies {
		switch dep := dep.(type) {
		case string:
			name := strings.FieldsFunc(dep+" ", func(r rune) bool { return strings.ContainsRune("=<>! ", r) })
			if len(name) > 0 && name[0] != "python" && name[0] != "pip" {
				others = append(others, dep)
			}
		case map[string]any:
			pip, _ := dep["pip"].([]any)
			for _, p := range pip {
				if text, ok := p.(string); ok {
					lines = append(lines, text)
				}
			}
		}
	}
	if len(others) > 0 {
		return "", assay.Errorf(assay.Unimplemented, "conda.yaml lists %s, which pip does not install", strings.Join(others, ", ")).
			Try("name an interpreter that has the packages as serve.python.interpreter in assay.yaml")
	}
	return strings.Join(lines, "\n") + "\n", nil
}
