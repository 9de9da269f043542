package schema

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/assaytest"
	"github.com/google/go-cmp/cmp"
)

// full is a document that uses every construct.
const full = `{
  "schema": "assay.schema/1", "name": "people", "closed": true, "ordered": false,
  "rows": {"min": 1, "max": 1000000},
  "columns": [
    {"name": "id", "type": "integer", "not_null": {}, "unique": {"severity": "error", "mostly": 1}},
    {"name": "account", "type": "integer", "range": {"min": 0, "max": "9007199254740993"}},
    {"name": "age", "type": "integer", "support": 68785, "not_null": {"mostly": 0.95}, "range": {"min": 0, "max": 120, "support": 68785}},
    {"name": "income", "type": "number", "optional": true, "finite": {"allow": ["nan"]}, "range": {"min": 0, "exclusive_min": true, "severity": "warning"}},
    {"name": "sex", "type": "string", "set": {"values": ["m", "f", "f"]}},
    {"name": "zip", "type": "string", "length": {"min": 5, "max": 5}, "pattern": {"regexp": "^[0-9]{5}$"}},
    {"name": "born", "type": "date", "range": {"min": "1900-01-01"}},
    {"name": "seen", "type": "timestamp", "range": {"max": "2030-01-01T00:00:00+01:00"}},
    {"name": "wakes", "type": "time"},
    {"name": "alive", "type": "boolean"},
    {"name": "photo", "type": "binary", "length": {"max": 4}},
    {"name": "notes", "type": "json"},
    {"name": "capital gain", "type": "number"}
  ],
  "keys": [{"columns": ["zip", "id"]}],
  "conditions": [
    {"name": "adult income", "expression": "income == null || age >= 16"},
    {"name": "gain", "expression": "!has(row.income) || row[\"capital gain\"] <= income * 2.0", "mostly": 0.99}
  ]
}`

func parse(t testing.TB, doc string) *Schema {
	t.Helper()
	s, err := Parse([]byte(doc))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestParseCanonical(t *testing.T) {
	s := parse(t, full)
	b, err := s.JSON()
	if err != nil {
		t.Fatal(err)
	}
	assaytest.Golden(t, "full.schema.json", b)
	again := parse(t, string(b))
	if d := cmp.Diff(s, again, cmp.AllowUnexported(Value{})); d != "" {
		t.Errorf("a document does not read back as it was written:\n%s", d)
	}
	// The digest is of the meaning: not of layout, order of keys or set, or defaults spelt out.
	x, _ := s.Digest()
	y, _ := again.Digest()
	z, _ := parse(t, strings.Replace(full, `["m", "f", "f"]`, `["f", "m"]`, 1)).Digest()
	if x != y || x != z {
		t.Errorf("digests %s, %s, %s of the same schema", x, y, z)
	}
	w, _ := parse(t, strings.Replace(full, "9007199254740993", "9007199254740992", 1)).Digest()
	if w == x {
		t.Error("a limit beyond 2^53 that differs by one has the same digest")
	}
	r, err := s.Record(assay.DigestOf(b))
	if err != nil || r.Columns != 13 || r.Constraints != 43 {
		t.Errorf("record %+v, %v", r, err)
	}
}

func TestParseRefuses(t *testing.T) {
	for _, c := range []struct{ name, doc, want string }{
		{"empty", ``, "not JSON: neither a value nor a number on line 1"},
		{"not an object", `[]`, "the document: want an object, not an array"},
		{"no version", `{"columns": []}`, `schema: want "assay.schema/1", the version that this build reads, not ""`},
		{"newer version", `{"schema": "assay.schema/2"}`, `not "assay.schema/2"`},
		{"unknown key", `{"schema": "assay.schema/1", "colums": []}`, "colums: unknown key, did you mean columns?"},
		{"nested unknown key", `{"schema": "assay.schema/1", "columns": [{"name": "a", "type": "integer", "range": {"mni": 1}}]}`, "columns[0].range.mni: unknown key, did you mean min?"},
		{"repeated key", `{"schema": "assay.schema/1", "name": "a", "name": "b"}`, "name: the key repeats"},
		{"unknown type", `{"schema": "assay.schema/1", "columns": [{"name": "a", "type": "int"}]}`, `"int" is not a type, did you mean integer?`},
		{"repeated column", `{"schema": "assay.schema/1", "columns": [{"name": "a"}, {"name": "a"}]}`, `the column "a" repeats`},
		{"no name", `{"schema": "assay.schema/1", "columns": [{}]}`, "columns[0]: a column needs a name"},
		{"taken name", `{"schema": "assay.schema/1", "columns": [{"name": "_row"}]}`, "the name _row is taken"},
		{"rule for another type", `{"schema": "assay.schema/1", "columns": [{"name": "a", "type": "string", "range": {"min": 1}}]}`, "columns[0].range: does not apply to type string"},
		{"limit of another type", `{"schema": "assay.schema/1", "columns": [{"name": "a", "type": "integer", "range": {"min": 1.5}}]}`, `"1.5" is not an integer of at most 128 bits`},
		{"empty range", `{"schema": "assay.schema/1", "columns": [{"name": "a", "type": "integer", "range": {"min": 2, "max": 1}}]}`, "no value lies between 2 and 1"},
		{"range without limits", `{"schema": "assay.schema/1", "columns": [{"name": "a", "type": "integer", "range": {}}]}`, "columns[0].range: needs min or max"},
		{"empty set", `{"schema": "assay.schema/1", "columns": [{"name": "a", "type": "integer", "set": {"values": []}}]}`, "columns[0].set: needs values"},
		{"set with null", `{"schema": "assay.schema/1", "columns": [{"name": "a", "type": "integer", "set": {"values": [null]}}]}`, "want a number, a string or a truth value, not null"},
		{"lookahead", `{"schema": "assay.schema/1", "columns": [{"name": "a", "type": "string", "pattern": {"regexp": "^(?!x)"}}]}`, "has a lookaround ((?!), which RE2 does not have"},
		{"backreference", `{"schema": "assay.schema/1", "columns": [{"name": "a", "type": "string", "pattern": {"regexp": "(a)\\1"}}]}`, "has a backreference"},
		{"mostly", `{"schema": "assay.schema/1", "columns": [{"name": "a", "not_null": {"mostly": 0}}]}`, "columns[0].not_null.mostly: want a fraction above 0 and at most 1"},
		{"severity", `{"schema": "assay.schema/1", "columns": [{"name": "a", "not_null": {"severity": "bad"}}]}`, `want error or warning, not "bad"`},
		{"key of no column", `{"schema": "assay.schema/1", "columns": [{"name": "id"}], "keys": [{"columns": ["idd"]}]}`, `keys[0]: there is no column "idd", did you mean id?`},
		{"several faults", `{"schema": "assay.schema/1", "x": 1, "y": 2}`, "2 problems\n  - x: unknown key\n  - y: unknown key"},
		{"faults on lines", "{\n  \"schema\": \"assay.schema/1\",\n  \"columns\": [\n    {\"name\": \"a\", \"type\": \"nmber\"},\n    {\"name\": \"b\", \"type\": \"number\",\n     \"ranges\": {}}\n  ]\n}", "line 4: columns[0].type: \"nmber\" is not a type, did you mean number?\n  - line 6: columns[1].ranges: unknown key"},
		{"a range on its line", "{\n  \"schema\": \"assay.schema/1\",\n  \"columns\": [\n    {\"name\": \"b\", \"type\": \"number\",\n     \"range\": {\"min\": 2, \"max\": 1}}\n  ]\n}", "line 5: columns[0].range: no value lies between 2 and 1"},
		{"trailing text", `{"schema": "assay.schema/1", "columns": []} x`, "more after the end"},
		{"NaN", `{"schema": "assay.schema/1", "columns": NaN}`, "not JSON"},
		{"deep", strings.Repeat("[", 1000), "nested too deep"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := Parse([]byte(c.doc))
			if assay.CodeOf(err) != assay.Invalid || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v (%s)\nwant %s", err, assay.CodeOf(err), c.want)
			}
		})
	}
}

// The example of the documentation is a schema, and it means what the page says.
func TestDocumentation(t *testing.T) {
	page, err := os.ReadFile(filepath.Join(assaytest.Root(), "docs", "schema.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(page), "```json\n")
	doc, _, ok := strings.Cut(rest, "```")
	if !ok {
		t.Fatal("the page has no example")
	}
	v := compile(t, doc)
	for payload, want := range map[string]string{
		`{"age": 30, "income": 5, "sex": "f", "zip": "01234"}`:        "",
		`{"age": 3, "sex": null, "zip": null}`:                        "",
		`{"age": 3, "income": -1, "sex": "x", "zip": "1", "more": 0}`: "more unknown, income range, sex set, zip pattern, adults earn condition",
	} {
		if vs, err := v.Payload([]byte(payload)); err != nil || said(vs) != want {
			t.Errorf("%s: %q, %v; want %q", payload, said(vs), err, want)
		}
	}
	for _, c := range v.TableOnly() {
		if c != "key zip, age" {
			t.Error(c)
		}
	}
	rules, _, _ := strings.Cut(string(page), "## Conditions")
	for _, name := range []string{
		RuleRequired, RuleType, RuleNotNull, RuleFinite, RuleRange, RuleSet, RuleLength, RulePattern, RuleUnique, RuleUnknown,
		RuleOrder, RuleRows, RuleKey, RuleCondition, RuleDuplicate,
	} {
		if !strings.Contains(rules, "| `"+name+"` |") {
			t.Errorf("the page does not explain the rule %s", name)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(full))
	f.Add([]byte(`{"schema":"assay.schema/1","columns":[{"name":"a","type":"number","range":{"min":-1e300,"max":1e-300}}]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := Parse(b)
		if err != nil {
			if assay.CodeOf(err) != assay.Invalid {
				t.Fatalf("code %s", assay.CodeOf(err))
			}
			return
		}
		out, err := s.JSON()
		if err != nil {
			t.Fatal(err)
		}
		again, err := Parse(out)
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		if d := cmp.Diff(s, again, cmp.AllowUnexported(Value{})); d != "" {
			t.Fatal(d)
		}
		if len(Diff(s, again)) != 0 {
			t.Fatal("a schema differs from itself")
		}
		if _, err := s.Compile(); err != nil {
			t.Fatal(err)
		}
	})
}
