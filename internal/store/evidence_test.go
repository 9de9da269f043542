package store

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/gowebpki/jcs"
	"pgregory.net/rapid"

	"github.com/assay-ml/assay"
)

func TestIDIsTheCanonicalForm(t *testing.T) {
	e := assay.Evidence{
		Kind: assay.KindCI, Version: 1, Subject: digest("s"), Parents: unique([]assay.Digest{digest("b"), digest("a"), digest("b")}),
		Payload: json.RawMessage(`{"b":1.50, "a":"é\u00e9\u000f","c":[1e2,-0]}`),
	}
	raw := must(json.Marshal(e))(t)
	want := must(jcs.Transform(raw))(t)
	if got := must(ID(e))(t); got != assay.DigestOf(want) {
		t.Errorf("id %s is not of %s", got, want)
	}
	if len(e.Parents) != 2 {
		t.Errorf("parents %v", e.Parents)
	}
}

func TestMalformedEvidence(t *testing.T) {
	good := assay.Evidence{Kind: assay.KindCI, Version: 1, Subject: digest("s"), Payload: json.RawMessage(`{}`)}
	must(ID(good))(t)
	with := func(change func(*assay.Evidence)) assay.Evidence {
		e := good
		change(&e)
		return e
	}
	payload := func(p string) assay.Evidence {
		return with(func(e *assay.Evidence) { e.Payload = json.RawMessage(p) })
	}
	for text, e := range map[string]assay.Evidence{
		`kind ""`:      with(func(e *assay.Evidence) { e.Kind = "" }),
		`kind "A\"B"`:  with(func(e *assay.Evidence) { e.Kind = `A"B` }),
		"version 0":    with(func(e *assay.Evidence) { e.Version = 0 }),
		"subject":      with(func(e *assay.Evidence) { e.Subject = "sha256:xyz" }),
		"out of order": with(func(e *assay.Evidence) { e.Parents = []assay.Digest{digest("a"), digest("a")} }),
		"parent":       with(func(e *assay.Evidence) { e.Parents = []assay.Digest{"../../x"} }),
		"more than the limit of 4096": with(func(e *assay.Evidence) {
			for i := range MaxParents + 1 {
				e.Parents = append(e.Parents, digest(fmt.Sprint(i)))
			}
			e.Parents = unique(e.Parents)
		}),
		"not JSON":                        payload(``),
		"not a JSON object":               payload(`[1]`),
		"not JSON:":                       payload(`{"a":NaN}`),
		"something follows":               payload(`{} {}`),
		"not canonical JSON":              payload(`{"a":1,"a":2}`),
		"surrogate":                       payload(`{"a":"\ud800"}`),
		"not UTF-8":                       payload("{\"a\":\"\xff\"}"),
		"9007199254740993 would become":   payload(`{"a":9007199254740993}`),
		"0.10000000000000000001 would":    payload(`{"a":0.10000000000000000001}`),
		"beyond the range":                payload(`{"a":1e999}`),
		"1e-999 would become 0":           payload(`{"a":1e-999}`),
		"nested deeper than 64":           payload(`{"a":` + strings.Repeat("[", 64) + strings.Repeat("]", 64) + `}`),
		"more than the limit of 16777216": payload(`{"a":"` + strings.Repeat("x", MaxPayloadBytes) + `"}`),
	} {
		_, err := ID(e)
		wants(t, err, assay.Invalid, text)
	}
	bad := with(func(e *assay.Evidence) { e.Kind, e.Version, e.Subject = "", 0, "x" })
	_, err := ID(bad)
	wants(t, err, assay.Invalid, "3 problems")
}

func TestExactNumbers(t *testing.T) {
	for _, s := range []string{"0", "-0", "0.1", "1e2", "100", "1.50", "9007199254740992", "1e21", "123456789012345680000", "5e-324", "1.7976931348623157e308", "0e999999"} {
		if err := exactNumber(s); err != nil {
			t.Errorf("%s: %v", s, err)
		}
	}
	for _, s := range []string{"9007199254740993", "1152921504606846976", "0.30000000000000004000001", "1e-324", "4e-324", "1e999999999999999999999", "12345678901234567"} {
		if err := exactNumber(s); err == nil {
			t.Errorf("%s is accepted", s)
		}
	}
}

// tree draws any JSON value; write spells it in any of the ways that mean the same.
func tree(t *rapid.T, depth int) any {
	n := rapid.IntRange(0, 6).Draw(t, "what")
	if depth > 3 {
		n %= 5
	}
	switch n {
	case 0:
		return nil
	case 1:
		return rapid.Bool().Draw(t, "bool")
	case 2:
		return rapid.Float64().Draw(t, "number")
	case 3:
		return float64(rapid.IntRange(-(1<<53), 1<<53).Draw(t, "integer"))
	case 4:
		return rapid.String().Draw(t, "text")
	case 5:
		out := []any{}
		for range rapid.IntRange(0, 4).Draw(t, "len") {
			out = append(out, tree(t, depth+1))
		}
		return out
	}
	return object(t, depth)
}

func object(t *rapid.T, depth int) map[string]any {
	out := map[string]any{}
	for range rapid.IntRange(0, 4).Draw(t, "len") {
		out[rapid.String().Draw(t, "key")] = tree(t, depth+1)
	}
	return out
}

func write(t *rapid.T, b *bytes.Buffer, v any) {
	space := func() { b.WriteString(rapid.SampledFrom([]string{"", " ", "\n\t", "\r\n  "}).Draw(t, "space")) }
	space()
	defer space()
	switch v := v.(type) {
	case []any:
		b.WriteByte('[')
		for i, x := range v {
			if i > 0 {
				b.WriteByte(',')
			}
			write(t, b, x)
		}
		space()
		b.WriteByte(']')
	case map[string]any:
		keys := []string{}
		for k := range v {
			keys = append(keys, k)
		}
		if len(keys) > 0 {
			keys = rapid.Permutation(keys).Draw(t, "order")
		}
		b.WriteByte('{')
		for i, k := range keys {
			if i > 0 {
				b.WriteByte(',')
			}
			write(t, b, k)
			b.WriteByte(':')
			write(t, b, v[k])
		}
		space()
		b.WriteByte('}')
	case string:
		b.WriteByte('"')
		for _, r := range v {
			switch {
			case r < 0x10000 && rapid.Bool().Draw(t, "escaped"):
				fmt.Fprintf(b, `\u%04x`, r)
			case r == '"' || r == '\\':
				fmt.Fprintf(b, `\%c`, r)
			case r < ' ':
				fmt.Fprintf(b, `\u%04X`, r)
			default:
				b.WriteRune(r)
			}
		}
		b.WriteByte('"')
	case float64:
		spell := rapid.SampledFrom([]string{"%v", "%.17g"}).Draw(t, "spelling")
		if s := fmt.Sprintf(spell, v); exactNumber(s) == nil {
			b.WriteString(s)
		} else {
			fmt.Fprintf(b, "%v", v)
		}
	default:
		raw, _ := json.Marshal(v)
		b.Write(raw)
	}
}

// TestIDIgnoresSpelling: the order of keys, white space, escapes and the spelling of numbers do not change an id; content does.
func TestIDIgnoresSpelling(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v := object(t, 0)
		var a, b bytes.Buffer
		write(t, &a, v)
		write(t, &b, v)
		e := assay.Evidence{Kind: assay.KindCI, Version: 1, Subject: digest("s"), Payload: a.Bytes()}
		first, err := ID(e)
		if err != nil {
			t.Fatalf("%v\n%s", err, a.Bytes())
		}
		e.Payload = b.Bytes()
		second, err := ID(e)
		if err != nil || first != second {
			t.Fatalf("%v: %s and %s\n%s\n%s", err, first, second, a.Bytes(), b.Bytes())
		}
		v["something else"] = true
		b.Reset()
		write(t, &b, v)
		e.Payload = b.Bytes()
		if third, err := ID(e); err != nil || third == first {
			t.Fatalf("%v: another payload has the same id", err)
		}
	})
}

func FuzzParse(f *testing.F) {
	e, err := Evidence(assay.KindCI, digest("s"), []assay.Digest{digest("p")}, assay.CI{Checks: []assay.CICheck{{Name: "a", Verdict: assay.Pass}}})
	if err != nil {
		f.Fatal(err)
	}
	raw, err := json.Marshal(e)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(raw)
	f.Add([]byte(`{"kind":"ci","version":1,"subject":"","parents":null,"payload":{}}`))
	f.Add([]byte(`{"KIND":"ci"}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		e, err := Parse(raw)
		if err != nil {
			if assay.CodeOf(err) == assay.Internal {
				t.Fatal(err)
			}
			return
		}
		id, err := ID(e)
		if err != nil {
			t.Fatal(err)
		}
		again, err := json.Marshal(e)
		if err != nil {
			t.Fatal(err)
		}
		f, err := Parse(again)
		if err != nil {
			t.Fatal(err)
		}
		if second, err := ID(f); err != nil || second != id {
			t.Fatalf("%v: %s and %s", err, id, second)
		}
	})
}

func TestParse(t *testing.T) {
	e := evidence(t, assay.KindCI, digest("s"), nil, assay.CI{Verdict: assay.Pass})
	id := must(ID(e))(t)
	record := must(json.Marshal(assay.Record{ID: id, Evidence: e}))(t)
	if got := must(Parse(record))(t); must(ID(got))(t) != id {
		t.Error("a record is read as other evidence")
	}
	wrong := must(json.Marshal(assay.Record{ID: digest("x"), Evidence: e}))(t)
	_, err := Parse(wrong)
	wants(t, err, assay.Rejected, "its content has the id")
	for text, raw := range map[string]string{
		"not a JSON object":      `[]`,
		"unknown field \"by\"":   `{"kind":"ci","version":1,"by":"me"}`,
		"unknown field \"Kind\"": `{"Kind":"ci"}`,
		"not canonical JSON":     `{"kind":"ci","kind":"card"}`,
		"is not a kind":          strings.Replace(string(record), `"kind":"ci"`, `"kind":"hearsay"`, 1),
	} {
		_, err := Parse([]byte(raw))
		if assay.CodeOf(err) != assay.Invalid && assay.CodeOf(err) != assay.Rejected || !strings.Contains(err.Error(), text) {
			t.Errorf("%s: %v", raw, err)
		}
	}
}
