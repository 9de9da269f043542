package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	validator "github.com/santhosh-tekuri/jsonschema/v6"
)

// projectValidator holds a YAML text against the JSON Schema of assay.yaml.
func projectValidator(t *testing.T) func(src []byte) error {
	t.Helper()
	b, err := json.Marshal(projectSchema())
	if err != nil {
		t.Fatal(err)
	}
	doc, err := validator.UnmarshalJSON(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	c := validator.NewCompiler()
	if err := c.AddResource("assay.schema.json", doc); err != nil {
		t.Fatal(err)
	}
	sch, err := c.Compile("assay.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	return func(src []byte) error {
		j, err := yaml.YAMLToJSON(src)
		if err != nil {
			return err
		}
		v, err := validator.UnmarshalJSON(bytes.NewReader(j))
		if err != nil {
			return err
		}
		return sch.Validate(v)
	}
}

// TestSchemaAgreesWithTheParser gives every key values of every kind. What the parser refuses of one key alone, its type, its bounds, its
// enum, the JSON Schema refuses, so that an editor says it first. And the other way round, but for a number where text is wanted, which
// the parser takes as it is written.
func TestSchemaAgreesWithTheParser(t *testing.T) {
	t.Parallel()
	valid := projectValidator(t)
	values := []any{"some text", "", 5, -3, 1.5, 0, true, []any{"a"}, []any{5}, []any{true}, []any{map[string]any{"a": 1}}, map[string]any{"a": 1}, map[string]any{"a": "b"}, []any{[]any{"a"}}}
	projectKeys(reflect.TypeFor[Project](), nil, func(path []string, f reflect.StructField) {
		key := strings.ReplaceAll(strings.Join(path, "."), ".0", "[0]")
		at := "at '/" + strings.Join(path, "/")
		for _, v := range values {
			src := with(path, v)
			said := fmt.Sprintf("%s: %v (%T)", key, v, v)
			_, err := ParseProject(src)
			refused := err != nil && refusedAlone(err.Error(), key)
			says := valid(src)
			if refused && says == nil {
				t.Errorf("%s: the parser refuses it, the schema does not: %v", said, err)
			}
			if number := isNumber(reflect.TypeOf(v)) || reflect.DeepEqual(v, []any{5}); err == nil && says != nil && !number && strings.Contains(says.Error(), at) {
				t.Errorf("%s: the schema refuses it, the parser does not: %v", said, says)
			}
		}
	})
}

// refusedAlone reports whether an error refuses a key for its own value, whatever else the file has.
func refusedAlone(err, key string) bool {
	for line := range strings.Lines(err) {
		if strings.Contains(line, "unknown key") || !strings.Contains(line, "line ") && !strings.Contains(line, " is none of ") {
			continue
		}
		if strings.Contains(line, " "+key+" ") || strings.Contains(line, " "+key+"[") {
			return true
		}
	}
	return false
}
