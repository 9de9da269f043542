package store

import (
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/invopop/jsonschema"
	validator "github.com/santhosh-tekuri/jsonschema/v6"
	"pgregory.net/rapid"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/assaytest"
)

// payloadSchema describes what the payload of a kind looks like in JSON.
func payloadSchema(k KindInfo) *jsonschema.Schema {
	null := func(s *jsonschema.Schema) *jsonschema.Schema {
		return &jsonschema.Schema{OneOf: []*jsonschema.Schema{s, {Type: "null"}}}
	}
	r := jsonschema.Reflector{
		ExpandedStruct: true,
		Anonymous:      true,
		Mapper: func(t reflect.Type) *jsonschema.Schema {
			switch t {
			case reflect.TypeFor[assay.Digest]():
				return &jsonschema.Schema{Type: "string", Pattern: "^(sha256:[0-9a-f]{64})?$"}
			case reflect.TypeFor[assay.Instant]():
				return &jsonschema.Schema{Type: "string", Format: "date-time"}
			case reflect.TypeFor[assay.Number]():
				return null(&jsonschema.Schema{Type: "number"})
			case reflect.TypeFor[assay.Estimate]():
				p := jsonschema.NewProperties()
				for _, name := range []string{"value", "lo", "hi"} {
					p.Set(name, null(&jsonschema.Schema{Type: "number"}))
				}
				p.Set("level", &jsonschema.Schema{Type: "number"})
				p.Set("method", &jsonschema.Schema{Type: "string"})
				p.Set("n", &jsonschema.Schema{Type: "integer"})
				return &jsonschema.Schema{
					Type: "object", Properties: p, Required: []string{"value", "lo", "hi", "level", "method", "n"},
					AdditionalProperties: jsonschema.FalseSchema,
				}
			}
			return nil
		},
	}
	s := r.ReflectFromType(k.Type)
	s.Title = fmt.Sprintf("payload of %s evidence, version %d", k.Kind, k.Version)
	return s
}

// TestKinds holds every kind against its golden schema: a difference there means that the version must go up, and that the old
// version must stay readable.
func TestKinds(t *testing.T) {
	seen := map[assay.Kind]int{}
	for _, k := range Kinds() {
		if k.Version != seen[k.Kind]+1 {
			t.Errorf("%s: version %d follows %d", k.Kind, k.Version, seen[k.Kind])
		}
		seen[k.Kind] = k.Version
		raw, err := json.MarshalIndent(payloadSchema(k), "", "  ")
		if err != nil {
			t.Fatal(err)
		}
		name := fmt.Sprintf("schema/%s.json", k.Kind)
		if k.Version > 1 {
			name = fmt.Sprintf("schema/%s.%d.json", k.Kind, k.Version)
		}
		assaytest.Golden(t, name, append(raw, '\n'))
	}
	for _, k := range assay.Kinds() {
		if seen[k] == 0 {
			t.Errorf("kind %s is not in the table", k)
		}
	}
}

// arbitrary fills a value with anything that its type can hold.
func arbitrary(t *rapid.T, v reflect.Value, depth int) {
	switch v.Interface().(type) {
	case assay.Estimate:
		num := rapid.OneOf(rapid.Float64(), rapid.Just(math.NaN()), rapid.Just(math.Inf(1)))
		v.Set(reflect.ValueOf(assay.Estimate{
			Value: num.Draw(t, "value"), Lo: num.Draw(t, "lo"), Hi: num.Draw(t, "hi"),
			Level: rapid.Float64Range(0, 1).Draw(t, "level"), Method: rapid.String().Draw(t, "method"), N: int64(rapid.Int32().Draw(t, "n")),
		}))
		return
	case assay.Instant:
		at := time.Time{}
		if rapid.Bool().Draw(t, "moment") {
			at = time.UnixMicro(rapid.Int64Range(-1e15, 1e16).Draw(t, "at"))
		}
		v.SetString(string(assay.InstantOf(at)))
		return
	case assay.Number:
		v.SetFloat(rapid.OneOf(rapid.Float64(), rapid.Just(math.NaN())).Draw(t, "number"))
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			arbitrary(t, v.Field(i), depth+1)
		}
	case reflect.Pointer:
		if rapid.Bool().Draw(t, "there") {
			v.Set(reflect.New(v.Type().Elem()))
			arbitrary(t, v.Elem(), depth+1)
		}
	case reflect.Slice:
		n := rapid.IntRange(0, 2).Draw(t, "len")
		if n > 0 || rapid.Bool().Draw(t, "empty") {
			v.Set(reflect.MakeSlice(v.Type(), n, n))
		}
		for i := range n {
			arbitrary(t, v.Index(i), depth+1)
		}
	case reflect.Map:
		for range rapid.IntRange(0, 2).Draw(t, "len") {
			if v.IsNil() {
				v.Set(reflect.MakeMap(v.Type()))
			}
			key, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
			arbitrary(t, key, depth+1)
			arbitrary(t, value, depth+1)
			v.SetMapIndex(key, value)
		}
	case reflect.String:
		v.SetString(rapid.String().Draw(t, "text"))
	case reflect.Bool:
		v.SetBool(rapid.Bool().Draw(t, "flag"))
	case reflect.Int, reflect.Int64, reflect.Int32:
		v.SetInt(rapid.Int64Range(-(1<<53), 1<<53).Draw(t, "int"))
	case reflect.Uint64:
		v.SetUint(rapid.Uint64Range(0, 1<<53).Draw(t, "uint"))
	case reflect.Float64:
		v.SetFloat(rapid.Float64().Draw(t, "float"))
	default:
		t.Fatalf("a payload holds a %s", v.Type())
	}
}

// TestPayloads: whatever a payload's type can hold is written, accepted, read back to the same form, and fits the kind's schema.
func TestPayloads(t *testing.T) {
	assaytest.Draws(t, 40)
	for _, k := range Kinds() {
		raw, err := json.Marshal(payloadSchema(k))
		if err != nil {
			t.Fatal(err)
		}
		doc, err := validator.UnmarshalJSON(strings.NewReader(string(raw)))
		if err != nil {
			t.Fatal(err)
		}
		c := validator.NewCompiler()
		if err := c.AddResource("schema.json", doc); err != nil {
			t.Fatal(err)
		}
		fits := must(c.Compile("schema.json"))(t)
		t.Run(string(k.Kind), rapid.MakeCheck(func(t *rapid.T) {
			p := reflect.New(k.Type)
			arbitrary(t, p.Elem(), 0)
			e, err := Evidence(k.Kind, digest("s"), nil, p.Interface())
			if err != nil {
				t.Fatal(err)
			}
			back, err := k.decode(e.Payload)
			if err != nil {
				t.Fatal(err)
			}
			again, err := Evidence(k.Kind, digest("s"), nil, back)
			if err != nil || string(again.Payload) != string(e.Payload) {
				t.Fatalf("%v\n%s\n%s", err, e.Payload, again.Payload)
			}
			doc, err := validator.UnmarshalJSON(strings.NewReader(string(e.Payload)))
			if err != nil {
				t.Fatal(err)
			}
			if err := fits.Validate(doc); err != nil && !strings.Contains(err.Error(), "does not match pattern") {
				t.Fatalf("%v\n%s", err, e.Payload)
			}
		}))
	}
}

// TestDigestsAreNamed: every digest that a payload can hold says what it names, so that the store asks for every blob that evidence
// stands on, of a kind that comes later too.
func TestDigestsAreNamed(t *testing.T) {
	for _, k := range Kinds() {
		p := reflect.New(k.Type)
		one(p.Elem())
		n := 0
		named(p, "", func(names, at string, _ reflect.Value) {
			n++
			if names != namesBlob && names != namesManifest && names != namesEvidence && names != namesContent {
				t.Errorf("%s%s: names:%q says not what it is the digest of: want blob, manifest, evidence or content", k.Type.Name(), at, names)
			}
		})
		if raw, _ := json.Marshal(payloadSchema(k)); n == 0 != !strings.Contains(string(raw), "sha256:") {
			t.Errorf("%s: %d digests found, and its schema says otherwise", k.Type.Name(), n)
		}
	}
	type later struct {
		Files []assay.File
		Seen  map[string]assay.Digest
	}
	var found []string
	v := reflect.New(reflect.TypeFor[later]())
	one(v.Elem())
	named(v, "", func(names, at string, _ reflect.Value) { found = append(found, at+" "+names) })
	if want := []string{".Files.Digest ", ".Seen "}; !slices.Equal(found, want) {
		t.Errorf("digests without a tag: %q, want %q", found, want)
	}
}

// one puts one element into every list, map and pointer below v, and makes every flag true.
func one(v reflect.Value) {
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			one(v.Field(i))
		}
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		one(v.Elem())
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		one(v.Index(0))
	case reflect.Map:
		e := reflect.New(v.Type().Elem()).Elem()
		one(e)
		v.Set(reflect.MakeMap(v.Type()))
		v.SetMapIndex(reflect.New(v.Type().Key()).Elem(), e)
	case reflect.Bool:
		v.SetBool(true)
	}
}

func TestPayloadType(t *testing.T) {
	_, err := Evidence(assay.KindCard, digest("m"), nil, assay.CI{})
	wants(t, err, assay.Invalid, "the payload of card evidence is a Card, not a assay.CI")
	_, err = Evidence(assay.KindCard, digest("m"), nil, (*assay.Card)(nil))
	wants(t, err, assay.Invalid)
	_, err = Evidence(assay.KindCard, digest("m"), nil, nil)
	wants(t, err, assay.Invalid)
	_, err = Evidence("hearsay", digest("m"), nil, assay.Card{})
	wants(t, err, assay.Invalid, `"hearsay" is not a kind of evidence`)
	_, err = Evidence(assay.KindEvaluation, digest("m"), nil, assay.Evaluation{Level: math.NaN()})
	wants(t, err, assay.Invalid, "cannot be written")
	_, err = Evidence(assay.KindRun, digest("m"), nil, assay.Run{Spec: assay.RunSpec{Seed: 1<<63 + 1}})
	wants(t, err, assay.Invalid, "9223372036854775809 would become")
}
