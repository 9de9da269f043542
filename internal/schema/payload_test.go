package schema

import (
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/assay-ml/assay"
	"github.com/google/go-cmp/cmp"
)

const good = `{"id": 1, "account": 9007199254740993, "age": 30, "income": 1.5, "sex": "f", "zip": "01234", "born": "1990-02-28",
 "seen": "2020-01-01T00:00:00Z", "wakes": "07:30:00", "alive": true, "photo": "AAECAw==", "notes": {"a": [1, {"b": null}]}, "capital gain": 2}`

func compile(t testing.TB, doc string) *Validator {
	t.Helper()
	v, err := parse(t, doc).Compile()
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// said gives the violations as "field rule" lines.
func said(vs []FieldViolation) string {
	var out []string
	for _, v := range vs {
		out = append(out, v.Field+" "+v.Rule)
	}
	return strings.Join(out, ", ")
}

func TestPayload(t *testing.T) {
	v := compile(t, full)
	with := func(old, new string) string {
		if !strings.Contains(good, old) {
			t.Fatalf("no %s", old)
		}
		return strings.Replace(good, old, new, 1)
	}
	for _, c := range []struct{ name, doc, want string }{
		{"good", good, ""},
		{"fields in another order", `{"notes": 1, "capital gain": null, "photo": "", "alive": false, "wakes": null, "seen": null, "born": null, "zip": null, "sex": null, "age": 1, "account": null, "id": -3}`, ""},
		{"nothing", `{}`, "id required, account required, age required, sex required, zip required, born required, seen required, wakes required, alive required, photo required, notes required, capital gain required"},
		{"null", with(`"id": 1`, `"id": null`), "id not_null"},
		{"integral numbers are integers", with(`"age": 30`, `"age": 3.0e1`), ""},
		{"a fraction is not", with(`"age": 30`, `"age": 30.5`), "age type"},
		{"text for a number", with(`"age": 30`, `"age": "30"`), "age type"},
		{"a number for a text", with(`"sex": "f"`, `"sex": 1`), "sex type"},
		{"one above a limit beyond 2^53", with(`9007199254740993`, `9007199254740994`), "account range"},
		{"128 bits", with(`9007199254740993`, `170141183460469231731687303715884105727`), "account range"},
		{"more than 128 bits", with(`9007199254740993`, `170141183460469231731687303715884105728`), "account type"},
		{"below", with(`"age": 30`, `"age": -1`), "age range, adult income condition"},
		{"exclusive", with(`"income": 1.5`, `"income": 0`), "income range, gain condition"},
		{"set", with(`"f"`, `"x"`), "sex set"},
		{"escaped text", with(`"f"`, `"\u0066"`), ""},
		{"length and pattern", with(`"01234"`, `"0123"`), "zip length, zip pattern"},
		{"length is in characters", with(`"01234"`, `"ééééé"`), "zip pattern"},
		{"date", with(`1990-02-28`, `1990-02-29`), "born type"},
		{"early date", with(`1990-02-28`, `1800-02-28`), "born range"},
		{"offset", with(`2020-01-01T00:00:00Z`, `2029-12-31T23:00:00.000001Z`), "seen range"},
		{"binary", with(`AAECAw==`, `AAECAwQ=`), "photo length"},
		{"not base64", with(`AAECAw==`, `AA*=`), "photo type"},
		{"condition", with(`"age": 30`, `"age": 3`), "adult income condition"},
		{"unknown condition does not apply", with(`"age": 30`, `"age": null`), "age not_null"},
		{"duplicate", with(`"id": 1`, `"id": 1, "id": 2`), "id duplicate"},
		{"unknown field", with(`"id": 1`, `"idd": 1, "id": 2`), "idd unknown"},
	} {
		t.Run(c.name, func(t *testing.T) {
			vs, err := v.Payload([]byte(c.doc))
			if err != nil || said(vs) != c.want {
				t.Errorf("got %q, %v; want %q", said(vs), err, c.want)
			}
		})
	}
	want := []string{"unique id", "rows", "key zip, id"}
	if d := cmp.Diff(want, v.TableOnly()); d != "" {
		t.Error(d)
	}
}

func TestPayloadSyntax(t *testing.T) {
	v := compile(t, full)
	for _, c := range []struct{ name, doc, want string }{
		{"empty", "", "not an object at byte 1"},
		{"array", "[]", "not an object"},
		{"text", `"x"`, "not an object"},
		{"NaN", `{"income": NaN}`, "neither a value nor a number at byte 12"},
		{"Infinity", `{"income": Infinity}`, "neither a value nor a number"},
		{"minus infinity", `{"income": -Infinity}`, "neither a value nor a number"},
		{"leading zero", `{"age": 01}`, "neither a value nor a number"},
		{"plus", `{"age": +1}`, "neither a value nor a number"},
		{"no digits after the point", `{"age": 1.}`, "neither a value nor a number"},
		{"trailing comma", `{"age": 1,}`, "no key"},
		{"no colon", `{"age" 1}`, "no colon"},
		{"no end", `{"age": 1`, "neither a comma nor an end"},
		{"more", `{} {}`, "more after the end"},
		{"NUL", "{}\x00", "more after the end"},
		{"comment", `{/*x*/}`, "no key"},
		{"control character", "{\"sex\": \"\n\"}", "a control character in a string"},
		{"not UTF-8", "{\"sex\": \"\xff\"}", "not UTF-8"},
		{"lone surrogate", `{"sex": "\ud800"}`, "half a surrogate pair"},
		{"bad escape", `{"sex": "\x"}`, "an unknown escape"},
		{"open string", `{"sex": "x`, "a string without end"},
		{"deep", `{"notes": ` + strings.Repeat("[", 100), "nested too deep"},
		{"large", `{"notes": "` + strings.Repeat("x", DefaultPayloadBytes) + `"}`, "bytes, more than the"},
	} {
		t.Run(c.name, func(t *testing.T) {
			vs, err := v.Payload([]byte(c.doc))
			if vs != nil || assay.CodeOf(err) != assay.Invalid || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, %v; want %s", vs, err, c.want)
			}
		})
	}
}

func TestRefuses(t *testing.T) {
	v := compile(t, `{"schema": "assay.schema/1", "columns": [
	  {"name": "a", "type": "integer", "range": {"min": 0, "severity": "warning"}},
	  {"name": "b", "type": "integer", "range": {"min": 0, "mostly": 0.5}},
	  {"name": "c", "type": "integer", "range": {"min": 0}}]}`)
	for doc, want := range map[string]bool{
		`{"a": 1, "b": 1, "c": 1}`: false, `{"a": -1, "b": 1, "c": 1}`: false, `{"a": 1, "b": -1, "c": 1}`: false, `{"a": 1, "b": 1, "c": -1}`: true,
	} {
		vs, err := v.Payload([]byte(doc))
		if err != nil || Refuses(vs) != want {
			t.Errorf("%s: %v %v", doc, vs, err)
		}
	}
}

// A Validator is shared; what one goroutine decodes must not show in another's answer.
func TestPayloadConcurrently(t *testing.T) {
	v := compile(t, full)
	var wait sync.WaitGroup
	for i := range 8 {
		wait.Go(func() {
			doc, want := good, ""
			if i%2 == 1 {
				doc, want = strings.Replace(good, `"f"`, `"\u0078"`, 1), "sex set"
			}
			for range 500 {
				if vs, err := v.Payload([]byte(doc)); err != nil || said(vs) != want {
					t.Errorf("got %q, %v; want %q", said(vs), err, want)
					return
				}
			}
		})
	}
	wait.Wait()
}

// No message about a payload may hold what was in it.
func TestPayloadKeepsValuesSecret(t *testing.T) {
	v := compile(t, full)
	for _, f := range []string{"id", "age", "income", "sex", "zip", "born", "seen", "wakes", "alive", "photo"} {
		vs, err := v.Payload([]byte(fmt.Sprintf(`{%q: "s3cr3t"}`, f)))
		b, _ := json.Marshal(vs)
		if err != nil || strings.Contains(string(b), "s3cr3t") || len(vs) == 0 {
			t.Errorf("%s: %s %v", f, b, err)
		}
	}
	_, err := v.Payload([]byte(`{"age": s3cr3t}`))
	if err == nil || strings.Contains(err.Error(), "s3cr3t") {
		t.Error(err)
	}
}

// twenty is a schema of 20 fields with every kind of rule, and a payload that passes it.
func twenty() (schema, payload string) {
	var cols, fields []string
	for i := range 20 {
		name := fmt.Sprintf("feature_%02d", i)
		switch i % 5 {
		case 0:
			cols = append(cols, fmt.Sprintf(`{"name": %q, "type": "integer", "not_null": {}, "range": {"min": 0, "max": 120}}`, name))
			fields = append(fields, fmt.Sprintf(`%q: %d`, name, 40+i))
		case 1:
			cols = append(cols, fmt.Sprintf(`{"name": %q, "type": "number", "not_null": {}, "finite": {}, "range": {"min": 0, "max": 1}}`, name))
			fields = append(fields, fmt.Sprintf(`%q: 0.7312%d`, name, i))
		case 2:
			cols = append(cols, fmt.Sprintf(`{"name": %q, "type": "string", "set": {"values": ["single", "married", "divorced", "widowed"]}}`, name))
			fields = append(fields, fmt.Sprintf(`%q: "married"`, name))
		case 3:
			cols = append(cols, fmt.Sprintf(`{"name": %q, "type": "integer", "set": {"values": [1, 2, 3, 4, 5, 6, 7, 8, 9]}}`, name))
			fields = append(fields, fmt.Sprintf(`%q: %d`, name, 1+i%9))
		case 4:
			cols = append(cols, fmt.Sprintf(`{"name": %q, "type": "string", "length": {"min": 5, "max": 5}, "pattern": {"regexp": "^[0-9]{5}$"}}`, name))
			fields = append(fields, fmt.Sprintf(`%q: "021%02d"`, name, i))
		}
	}
	return `{"schema": "assay.schema/1", "closed": true, "columns": [` + strings.Join(cols, ",") + `],
	  "conditions": [{"name": "order", "expression": "feature_00 <= feature_05 && feature_02 != 'x'"}]}`,
		"{" + strings.Join(fields, ", ") + "}"
}

// TestPayloadAllocations guards the goal of two allocations for a row of 20 fields: a valid one needs none.
func TestPayloadAllocations(t *testing.T) {
	doc, payload := twenty()
	v, b := compile(t, doc), []byte(payload)
	got := testing.AllocsPerRun(1000, func() {
		if vs, err := v.Payload(b); vs != nil || err != nil {
			t.Fatal(vs, err)
		}
	})
	if got > 2 {
		t.Errorf("%v allocations for a valid row of 20 fields, want at most 2", got)
	}
}

func BenchmarkPayload(b *testing.B) {
	doc, payload := twenty()
	v, text := compile(b, doc), []byte(payload)
	b.ReportAllocs()
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		if vs, err := v.Payload(text); vs != nil || err != nil {
			b.Fatal(vs, err)
		}
	}
}

// FuzzPayload holds the tokenizer against encoding/json: what Payload takes for an object, encoding/json does too, and the other way
// round but for what is stricter here (UTF-8, surrogates, depth).
func FuzzPayload(f *testing.F) {
	v := compile(f, full)
	f.Add([]byte(good))
	f.Add([]byte(`{"notes": [1e5, -0.0, "\ud83d\ude00", {"": {}}], "age": 1E+2}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		_, err := v.Payload(b)
		var m map[string]any
		theirs := json.Unmarshal(b, &m)
		if err == nil && (theirs != nil || m == nil) {
			if strings.Contains(fmt.Sprint(theirs), "cannot unmarshal number") { // beyond float64
				return
			}
			t.Fatalf("taken, and encoding/json says %v", theirs)
		}
		if err != nil && theirs == nil && m != nil {
			for _, stricter := range []string{"not UTF-8", "surrogate", "too deep"} {
				if strings.Contains(err.Error(), stricter) {
					return
				}
			}
			t.Fatalf("refused: %v", err)
		}
	})
}
