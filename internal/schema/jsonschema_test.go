package schema

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/assaytest"
	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"pgregory.net/rapid"
)

// peer compiles a JSON Schema with a validator that asserts formats.
func peer(t interface{ Fatal(...any) }, doc []byte) *jsonschema.Schema {
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(doc))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	if err := c.AddResource("schema.json", v); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("schema.json")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestJSONSchemaRefuses(t *testing.T) {
	s := parse(t, full)
	_, _, err := s.JSONSchema(false)
	want := []string{
		"id: unique", "age: not_null, because it is mostly", "income: range, because it is a warning", "born: range of a date",
		"seen: range of a timestamp", "photo: length in bytes", "zip, id: key", "adult income: condition", "gain: condition", "rows",
	}
	if assay.CodeOf(err) != assay.Rejected {
		t.Fatal(err)
	}
	for _, w := range want {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("%q is not in %v", w, err)
		}
	}
	doc, lost, err := s.JSONSchema(true)
	if err != nil || len(lost) < len(want) {
		t.Errorf("%d lost, %v", len(lost), err)
	}
	assaytest.Golden(t, "full.jsonschema.json", doc)
	if peer(t, doc).Validate(map[string]any{}) == nil {
		t.Error("an empty object passes")
	}
	for p, why := range map[string]string{"(?i)a": "a group", "[[:alpha:]]": "POSIX", `\pL`: `\p`, "a.b": "a dot", `\s`: `\s`, `\\.x`: "a dot", `^[0-9]{5}$`: "", `a\.b`: "", "(?:ab)+": "", `\Aa\z`: `\A`} {
		if got := foreign(p); why == "" && got != "" || !strings.Contains(got, why) {
			t.Errorf("%s: %q, want %q", p, got, why)
		}
	}
}

// TestJSONSchemaAgreement exports generated schemas and holds what another validator accepts against what a payload check accepts.
func TestJSONSchemaAgreement(t *testing.T) {
	odd := []string{"null", "true", "1", "1.0", "1e2", "-0", "0.5", `"a"`, `""`, `"2000-02-30"`, `"1970-01-01"`, `"1970-01-01T00:00:00+01:00"`, "{}", "[]", "9007199254740994"}
	accepted, refused := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		s := New("generated")
		s.Closed = rapid.Bool().Draw(t, "closed")
		for _, k := range kinds() {
			c := Column{Name: k.column, Type: k.kind, Optional: rapid.Bool().Draw(t, "optional")}
			drawRules(t, &c)
			s.Columns = append(s.Columns, c)
		}
		doc, lost, err := s.JSONSchema(true)
		if err != nil {
			t.Fatal(err)
		}
		for _, l := range lost { // what cannot be said is not compared
			name, _, _ := strings.Cut(l, ":")
			c := s.Column(name)
			switch {
			case strings.Contains(l, ": range"):
				c.Range = nil
			case strings.Contains(l, ": set"):
				c.Set = nil
			case strings.Contains(l, ": pattern"):
				c.Pattern = nil
			default:
				t.Fatalf("unexpected loss %s", l)
			}
		}
		again, err := FromJSONSchema(doc)
		if err != nil {
			t.Fatal(err)
		}
		if changes := Diff(again, mustCanonical(t, s)); len(changes) > 0 {
			t.Fatalf("what was written reads back differently: %+v\n%s", changes, doc)
		}
		v, err := s.Compile()
		if err != nil {
			t.Fatal(err)
		}
		other := peer(t, doc)
		for range 20 {
			var fields []string
			for _, k := range kinds() {
				text := rapid.SampledFrom(k.cells).Draw(t, k.column).json
				switch rapid.IntRange(0, 15).Draw(t, "odd") {
				case 0:
					continue
				case 1:
					text = rapid.SampledFrom(odd).Draw(t, "value")
				}
				fields = append(fields, fmt.Sprintf("%q: %s", k.column, text))
			}
			if rapid.IntRange(0, 9).Draw(t, "more") == 0 {
				fields = append(fields, `"more": 1`)
			}
			payload := "{" + strings.Join(fields, ", ") + "}"
			vs, err := v.Payload([]byte(payload))
			if err != nil {
				t.Fatal(err)
			}
			instance, err := jsonschema.UnmarshalJSON(strings.NewReader(payload))
			if err != nil {
				t.Fatal(err)
			}
			theirs := other.Validate(instance)
			if (theirs != nil) != Refuses(vs) {
				t.Fatalf("%s: the peer says %v, the payload check %v\n%s", payload, theirs, vs, doc)
			}
			if theirs != nil {
				refused++
			} else {
				accepted++
			}
		}
	})
	if accepted == 0 || refused == 0 {
		t.Errorf("%d accepted, %d refused: the test shows nothing", accepted, refused)
	}
}

func mustCanonical(t *rapid.T, s *Schema) *Schema {
	c, err := s.canonical()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestFromJSONSchema(t *testing.T) {
	s, err := FromJSONSchema([]byte(`{"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "people", "type": "object", "$id": "x",
	  "properties": {"age": {"type": "integer", "minimum": 0, "exclusiveMaximum": 150, "description": "years"},
	    "sex": {"type": ["string", "null"], "enum": ["m", "f", null]}, "code": {"const": "x", "type": "string"}, "any": {}},
	  "required": ["age", "there"], "additionalProperties": false}`))
	if err != nil {
		t.Fatal(err)
	}
	b, _ := s.JSON()
	assaytest.Golden(t, "from_jsonschema.schema.json", b)
	for _, c := range []struct{ doc, want string }{
		{`[]`, "/: want an object"},
		{`{}`, `/type: want "object"`},
		{`{"type": "object", "patternProperties": {}}`, "/patternProperties: the keyword patternProperties cannot be kept"},
		{`{"type": "object", "properties": {"a/b": {"type": "integer", "multipleOf": 2}}}`, "/properties/a~1b/multipleOf: the keyword multipleOf cannot be kept"},
		{`{"type": "object", "properties": {"a": {"$ref": "#/x"}}}`, "the keyword $ref cannot be kept"},
		{`{"type": "object", "properties": {"a": {"anyOf": []}}}`, "the keyword anyOf cannot be kept"},
		{`{"type": "object", "properties": {"a": {"type": ["string", "integer"]}}}`, "more than one type"},
		{`{"type": "object", "properties": {"a": {"type": "array"}}}`, `the type "array" cannot be kept`},
		{`{"type": "object", "properties": {"a": {"type": "string", "format": "email"}}}`, `the format "email" cannot be kept`},
		{`{"type": "object", "properties": {"a": {"type": "string", "pattern": "(?=x)"}}}`, "a group of the form"},
		{`{"type": "object", "properties": {"a": {"minLength": 2}}}`, "cannot be kept without the type string"},
		{`{"type": "object", "properties": {"a": {"type": "integer", "enum": ["1"]}}}`, "a string, which the type integer rules out"},
		{`{"type": "object", "properties": {"a": {"type": "integer", "minimum": 1, "exclusiveMinimum": 1}}}`, "beside the inclusive limit"},
		{`{"type": "object", "additionalProperties": {"type": "string"}}`, "only true and false can be kept"},
		{`{"$schema": "http://json-schema.org/draft-07/schema#", "type": "object"}`, "/$schema: want https"},
	} {
		if _, err := FromJSONSchema([]byte(c.doc)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %s", c.doc, err, c.want)
		}
	}
}

func FuzzFromJSONSchema(f *testing.F) {
	s := parse(f, full)
	doc, _, err := s.JSONSchema(true)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(doc)
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := FromJSONSchema(b)
		if err != nil {
			return
		}
		doc, _, err := s.JSONSchema(false)
		if err != nil {
			t.Fatalf("what was read cannot be written: %v", err)
		}
		again, err := FromJSONSchema(doc)
		if err != nil {
			t.Fatal(err)
		}
		if d := Diff(s, again); len(d) != 0 {
			t.Fatal(cmp.Diff(s, again, cmp.AllowUnexported(Value{})))
		}
	})
}

// TestFiniteThroughJSONSchema holds that the rule finite survives being written as JSON Schema and read again, that what a column allows does, and
// that other comments are none.
func TestFiniteThroughJSONSchema(t *testing.T) {
	s, err := Parse([]byte(`{"schema":"assay.schema/1","name":"x","columns":[{"name":"a","type":"number","finite":{}},
		{"name":"b","type":"number","finite":{"allow":["infinity","nan"]}},{"name":"c","type":"number"}]}`))
	if err != nil {
		t.Fatal(err)
	}
	doc, lost, err := s.JSONSchema(false)
	if err != nil || len(lost) > 0 {
		t.Fatal(lost, err)
	}
	back, err := Read(doc)
	if err != nil {
		t.Fatal(err)
	}
	want, err := s.Digest()
	if err != nil {
		t.Fatal(err)
	}
	if got, err := back.Digest(); err != nil || got != want {
		b, _ := back.JSON()
		t.Errorf("after a round trip it is %s: %v", b, err)
	}
	field := func(comment string) string {
		return `{"$schema":"` + Dialect + `","type":"object","properties":{"a":{"type":"number","$comment":"` + comment + `"}},"required":["a"]}`
	}
	if plain, err := Read([]byte(field("a finite number"))); err != nil || plain.Columns[0].Finite != nil {
		t.Errorf("%+v, %v", plain, err)
	}
	for _, bad := range []string{"assay.schema: finite or so", "assay.schema: finite but minus zero"} {
		if _, err := Read([]byte(field(bad))); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
}
