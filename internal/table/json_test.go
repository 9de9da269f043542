package table

import (
	"context"
	"strings"
	"testing"

	"github.com/assay-ml/assay"
)

func TestReadJSON(t *testing.T) {
	e := open(t)
	for _, c := range []struct {
		name, in     string
		o            ReadOptions
		schema, rows string
	}{
		{
			"types", `{"b":true,"i":1,"f":1.5,"s":"x","d":"2020-01-31","t":"2020-01-31T10:20:30Z","n":{"k":[1, 2]}}
{"b":false,"i":-2,"f":1e3,"s":"","d":"2020-02-29","t":null,"n":[]}`,
			ReadOptions{},
			"b:boolean i:integer f:number s:string d:date t:timestamp n:json",
			"true|1|1.5|x|2020-01-31|2020-01-31 10:20:30|{\"k\":[1,2]}\nfalse|-2|1000.0||2020-02-29|~|[]",
		},
		{"absent keys", "{\"a\":1}\n{\"b\":\"x\"}\n{\"b\":\"y\",\"a\":2}\n{}\n", ReadOptions{}, "a:integer b:string", "1|~\n~|x\n2|y\n~|~"},
		{"one column with null and empty", "{\"a\":\"\"}\n{\"a\":null}\n{\"a\":\"x\"}\n{\"a\":\"\\\\N\"}\n", ReadOptions{}, "a:string", "\n~\nx\n\\N"},
		{"no keys at first", "{}{\"a\":\"\"}{}", ReadOptions{}, "a:string", "~\n\n~"},
		{"texts stay text", `[{"a":"1","b":"true","c":"NA"},{"a":"2","b":"false","c":"nan"}]`, ReadOptions{}, "a:string b:string c:string", "1|true|NA\n2|false|nan"},
		{"stated nulls", `[{"a":"NA"},{"a":"x"}]`, ReadOptions{Nulls: []string{"NA"}}, "a:string", "~\nx"},
		{"large integers", `[{"a":9223372036854775808,"b":170141183460469231731687303715884105728}]`, ReadOptions{}, "a:integer b:string", "9223372036854775808|170141183460469231731687303715884105728"},
		{"mixed types become text", `[{"a":1},{"a":"x"},{"a":[1]},{"a":true}]`, ReadOptions{}, "a:string", "1\nx\n[1]\ntrue"},
		{"quotes and newlines", `[{"a":"say \"hi\",\nthere","b":1}]`, ReadOptions{}, "a:string b:integer", "say \"hi\",\nthere|1"},
		{"indented", "[\n  {\n    \"a\": 1\n  },\n  {\n    \"a\": 2\n  }\n]\n", ReadOptions{}, "a:integer", "1\n2"},
		{"one object", "{\n \"a\": 1\n}", ReadOptions{}, "a:integer", "1"},
		{"gzip of utf-16", gzipped(utf16Text(`{"a":"é"}`, false, true)), ReadOptions{}, "a:string", "é"},
		{"stated types", `[{"a":"1"},{"a":2}]`, ReadOptions{Types: map[string]assay.Type{"a": assay.TypeString}}, "a:string", "1\n2"},
		{"a float beyond float64", `[{"a":1e999},{"a":1}]`, ReadOptions{}, "a:string", "1e999\n1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			tab := read(t, e, file(t, "a.json", c.in), c.o)
			if got := schema(tab); got != c.schema {
				t.Errorf("columns %s, want %s", got, c.schema)
			}
			if got := dump(t, tab); got != c.rows {
				t.Errorf("rows\n%s\nwant\n%s", got, c.rows)
			}
		})
	}
}

func TestReadJSONRefuses(t *testing.T) {
	e := open(t)
	for _, c := range []struct{ name, in, want string }{
		{"empty", "", "a.jsonl is empty"},
		{"no columns", "{}\n{}", "no columns"},
		{"an empty array", "[]", "no columns"},
		{"cut off", "{\"a\":1}\n{\"a\":", "record 2 is cut off"},
		{"a cut off array", `[{"a":1},`, "record 2 is cut off"},
		{"not JSON", "{\"a\":1}\n{a:2}", "record 2 is not JSON"},
		{"NaN", `{"a":NaN}`, "record 1 is not JSON"},
		{"not an object", "{\"a\":1}\n2", "record 2 is not an object"},
		{"nested arrays", "[[1]]", "record 1 is not an object"},
		{"the same key twice", `{"a":1,"a":2}`, `has the key "a" twice`},
		{"keys that differ in case", `{"a":1,"A":2}`, "differ only in case"},
		{"not UTF-8", "{\"a\":\"M\xfcller\"}", "not UTF-8"},
		{"a NUL character", `{"a":"\u0000"}`, "NUL"},
		{"half a character", `{"a":"\ud800"}`, `record 1 holds half of a character in "a"`},
		{"its other half alone", "{\"a\":1}\n{\"a\":\"x\\uDE00y\"}", `record 2 holds half of a character in "a"`},
		{"two first halves", `{"a":"\ud83d\ud83d\ude00"}`, "half of a character"},
		{"half a character inside", `{"a":{"b":["\ud800x"]}}`, "half of a character"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := e.Read(context.Background(), file(t, "a.jsonl", c.in), ReadOptions{})
			if assay.CodeOf(err) != assay.Rejected || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, want rejected with %q", err, c.want)
			}
		})
	}
}

// TestSurrogatePairs holds that whole characters beyond the first 65,536 are read as such, and that a backslash before a u is one.
func TestSurrogatePairs(t *testing.T) {
	e := open(t)
	tab := read(t, e, file(t, "a.jsonl", `{"a":"\ud83d\ude00 \\ud800 \u00e9","b":1}`+"\n"), ReadOptions{})
	f, err := tab.Frame(context.Background(), []string{"a"}, "")
	if err != nil || len(f[0].Levels) != 1 || f[0].Levels[0] != `😀 \ud800 é` {
		t.Errorf("%q, %v", f[0].Levels, err)
	}
}
