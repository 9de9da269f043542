package mlmodel

import (
	"bytes"
	"strings"
	"testing"
)

// nestedModel has one column of each type that holds others, and parameters.
const nestedModel = `flavors: {python_function: {loader_module: x}}
signature:
  inputs: '[{"type": "array", "items": {"type": "double"}, "name": "a", "required": true},
    {"type": "object", "properties": {"n": {"type": "integer", "required": true}, "s": {"type": "string", "required": false}, "l": {"type": "array", "items": {"type": "array", "items": {"type": "boolean"}}, "required": false}}, "name": "o", "required": true},
    {"type": "map", "values": {"type": "float"}, "name": "m", "required": true}, {"type": "any", "name": "y", "required": true}, {"type": "binary", "name": "b", "required": true}]'
  params: '[{"name": "k", "type": "long", "default": 1, "shape": null}, {"name": "seeds", "type": "integer", "default": [1, 2], "shape": [-1]},
    {"name": "t", "type": "double", "default": 0.5}, {"name": "f", "type": "boolean", "default": false}, {"name": "s", "type": "string", "default": null}, {"name": "at", "type": "datetime", "default": "2026-01-02"}]'
`

func TestNested(t *testing.T) {
	m, err := Read(map[string][]byte{FileName: []byte(nestedModel)})
	if err != nil {
		t.Fatal(err)
	}
	kinds, err := m.Kinds(m.Signature.Fields())
	if err != nil || strings.Join(kinds, " ") != "json json json json bytes" || m.Nested("b") != nil {
		t.Error(kinds, err)
	}
	for _, c := range []struct{ column, value, why string }{
		{"a", `[1, 2.5, -3e2]`, ""},
		{"a", `[]`, ""},
		{"a", `{"0": 1}`, "must be a list"},
		{"a", `[1, "x"]`, "must be a number at [1]"},
		{"a", `[1, null]`, "must be a number at [1]"},
		{"a", `[1e999]`, "must be a number of its type at [0]"},
		{"o", `{"n": 3, "s": "x", "l": [[true], []]}`, ""},
		{"o", `{"n": 3, "s": null}`, ""},
		{"o", `{"n": 2147483648}`, "must be a whole number of its type at .n"},
		{"o", `{"n": 1.5}`, "must be a whole number of its type at .n"},
		{"o", `{"s": "x"}`, `must be an object with the property "n"`},
		{"o", `{"n": 1, "secret": 1}`, "must be an object of the properties of its type alone"},
		{"o", `{"n": 1, "n": 2}`, "must be an object without a key twice"},
		{"o", `{"n": 1, "l": [[1]]}`, "must be a truth value at .l[0][0]"},
		{"m", `{"secret": 1.5}`, ""},
		{"m", `{"secret": "x"}`, "must be a number at {}"},
		{"m", `{"a": 1e39}`, "must be a number of its type at {}"},
		{"m", `[1]`, "must be an object"},
		{"y", `[{"a": [null]}]`, ""},
	} {
		if why := m.Nested(c.column).Fits([]byte(c.value)); why != c.why {
			t.Errorf("%s %s: %q", c.column, c.value, why)
		}
	}
	// JSON has one kind of numbers, and Python two: a whole number is written as what the signature says.
	for _, c := range []struct{ column, value, typed string }{
		{"a", `[1, 2.5,-0 ,3e2]`, `[1.0, 2.5,-0.0 ,3e2]`},
		{"m", `{"1": 1, "b": 2}`, `{"1": 1.0, "b": 2.0}`},
		{"o", `{"n": 1, "s": "1"}`, `{"n": 1, "s": "1"}`},
		{"y", `[1, {"a": 2}]`, `[1, {"a": 2}]`},
	} {
		if got, why := m.Nested(c.column).Typed([]byte("x"), []byte(c.value)); string(got) != "x"+c.typed || why != "" {
			t.Errorf("%s %s: %s %q", c.column, c.value, got, why)
		}
	}
	params := map[string]*Param{}
	for i := range m.Signature.Params {
		params[m.Signature.Params[i].Name] = &m.Signature.Params[i]
	}
	for _, c := range []struct {
		name, value string
		fits        bool
	}{
		{"k", "3", true},
		{"k", "1.5", false},
		{"k", `"3"`, false},
		{"k", "true", false},
		{"k", "null", false},
		{"k", "9223372036854775808", false},
		{"t", "1", true},
		{"t", "0.25", true},
		{"t", `"x"`, false},
		{"f", "true", true},
		{"f", "1", false},
		{"s", `"x"`, true},
		{"s", "null", true},
		{"s", "1", false},
		{"at", `"2026-03-04"`, true},
		{"at", "5", false},
		{"seeds", "[4, 5]", true},
		{"seeds", "[]", true},
		{"seeds", "4", false},
		{"seeds", "[4, 2147483648]", false},
		{"seeds", `[4, "x"]`, false},
	} {
		if got, why := params[c.name].Typed([]byte("x"), []byte(c.value)); why == "" && c.name == "t" && !strings.ContainsAny(string(got), ".eENn") {
			t.Errorf("a double given as a whole number is handed over as %s", got)
		} else if (why == "") != c.fits {
			t.Errorf("%s %s: %q", c.name, c.value, why)
		}
	}
}

func TestNestedRefused(t *testing.T) {
	for inputs, want := range map[string]string{
		`[{"type":"array","name":"a"}]`:                                       "an array has no items",
		`[{"type":"map","name":"a"}]`:                                         "a map has no values",
		`[{"type":"array","name":"a","items":{"type":"complex"}}]`:            "none of MLflow's types",
		`[{"type":"object","name":"a","properties":{"x":{"type":"tensor"}}}]`: "none of MLflow's types",
		`[{"type":"array","name":"a","items":` + strings.Repeat(`{"type":"array","items":`, 40) + `{"type":"long"}` + strings.Repeat("}", 40) + `}]`: "nested more than",
	} {
		_, err := Read(map[string][]byte{FileName: []byte("flavors: {python_function: {loader_module: x}}\nsignature: {inputs: '" + inputs + "'}")})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
	for params, want := range map[string]string{
		`[{"name":"a","type":"complex"}]`:                             "none that a parameter has",
		`[{"type":"long"}]`:                                           "has no name",
		`[{"name":"a","type":"long"},{"name":"a","type":"long"}]`:     "is there twice",
		`[{"name":"a","type":"long","default":[[1]],"shape":[-1,2]}]`: "has a shape other",
	} {
		_, err := Read(map[string][]byte{FileName: []byte("flavors: {python_function: {loader_module: x}}\nsignature: {inputs: '[{\"type\":\"long\",\"name\":\"c\"}]', params: '" + params + "'}")})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
}

func FuzzNested(f *testing.F) {
	m, err := Read(map[string][]byte{FileName: []byte(nestedModel)})
	if err != nil {
		f.Fatal(err)
	}
	for _, s := range []string{`[1, 2.5]`, `{"n": 3, "l": [[true]]}`, `{"a": NaN}`, `[[[`, `null`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, name := range []string{"a", "o", "m", "y"} {
			typed, why := m.Nested(name).Typed(nil, b)
			if again, now := m.Nested(name).Typed(nil, typed); why == "" && (now != "" || !bytes.Equal(again, typed)) {
				t.Errorf("%s: %s became %s, and that %s: %q", name, b, typed, again, now)
			}
		}
		for i := range m.Signature.Params {
			_ = m.Signature.Params[i].Fits(b)
		}
	})
}
