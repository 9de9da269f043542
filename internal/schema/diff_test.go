package schema

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/assay-ml/assay/internal/assaytest"
)

func TestDiff(t *testing.T) {
	base := `{"schema": "assay.schema/1", "columns": [` +
		`{"name": "a", "type": "integer", "not_null": {}, "range": {"min": 0, "max": 10}}, ` +
		`{"name": "s", "type": "string", "optional": true, "set": {"values": ["x", "y"]}, "pattern": {"regexp": "^x"}, "length": {"min": 1, "max": 3}}, ` +
		`{"name": "f", "type": "number", "finite": {}}], ` +
		`"rows": {"min": 1}, "keys": [{"columns": ["a"]}], "conditions": [{"name": "c", "expression": "a > 1"}]}`
	for _, c := range []struct{ old, new, want string }{
		{`"a"`, `"a"`, ""},
		{`"max": 10}`, `"max": 9}`, "a range tighter producer"},
		{`"max": 10}`, `"max": 11}`, "a range looser consumer"},
		{`"max": 10}`, `"max": 10, "exclusive_max": true}`, "a range tighter producer"},
		{`"min": 0, "max": 10`, `"min": 1, "max": 11`, "a range changed producer consumer"},
		{`"min": 0, "max": 10`, `"max": 10`, "a range looser consumer"},
		{`, "range": {"min": 0, "max": 10}`, ``, "a range looser consumer"},
		{`"not_null": {}`, `"not_null": {"mostly": 0.9}`, "a not_null looser consumer"},
		{`"not_null": {}`, `"not_null": {"severity": "warning"}`, "a not_null looser consumer"},
		{`"not_null": {}`, `"not_null": {"support": 5}`, ""},
		{`"not_null": {}`, `"unique": {}, "not_null": {}`, "a unique tighter producer"},
		{`"not_null": {}`, `"unique": {"severity": "warning"}, "not_null": {}`, "a unique tighter"},
		{`"type": "integer"`, `"type": "number"`, "a type looser consumer"},
		{`"type": "number"`, `"type": "integer"`, "f type tighter producer"},
		{`["x", "y"]`, `["x"]`, "s set tighter producer"},
		{`["x", "y"]`, `["z", "x"]`, "s set changed producer consumer"},
		{`"^x"`, `"^y"`, "s pattern changed producer consumer"},
		{`"min": 1, "max": 3`, `"min": 1, "max": 4`, "s length looser consumer"},
		{`"optional": true, `, ``, "s required tighter producer"},
		{`"finite": {}`, `"finite": {"allow": ["nan"]}`, "f finite looser consumer"},
		{`, {"name": "f", "type": "number", "finite": {}}`, ``, "f column removed consumer"},
		{`, {"name": "f"`, `, {"name": "g"}, {"name": "f"`, "g column added producer"},
		{`"rows"`, `"closed": true, "rows"`, " unknown tighter producer"},
		{`"rows": {"min": 1}`, `"rows": {"min": 0}`, " rows looser consumer"},
		{`"keys": [{"columns": ["a"]}]`, `"keys": [{"columns": ["a", "s"]}]`, " key looser consumer,  key tighter producer"},
		{`"a > 1"`, `"a > 2"`, " condition changed producer consumer"},
	} {
		doc := strings.Replace(base, c.old, c.new, 1)
		if c.old == `"type": "number"` {
			doc = strings.Replace(doc, `, "finite": {}`, ``, 1)
		}
		var got []string
		changes := Diff(parse(t, base), parse(t, doc))
		for _, x := range changes {
			if x.Rule == RuleFinite && c.old == `"type": "number"` {
				continue
			}
			s := fmt.Sprintf("%s %s %s", x.Column, x.Rule, x.Direction)
			if x.Producer {
				s += " producer"
			}
			if x.Consumer {
				s += " consumer"
			}
			got = append(got, s)
		}
		if strings.Join(got, ", ") != c.want {
			t.Errorf("%s → %s: %q, want %q", c.old, c.new, strings.Join(got, ", "), c.want)
		}
		// The way back swaps the directions and who breaks.
		back := Diff(parse(t, doc), parse(t, base))
		p, q := Breaks(changes)
		if x, y := Breaks(back); len(back) != len(changes) || c.old != `, {"name": "f"` && !strings.HasPrefix(c.old, `, {"name"`) && (x != q || y != p) {
			t.Errorf("%s → %s: back %+v", c.old, c.new, back)
		}
	}
}

func TestDiffJSON(t *testing.T) {
	changes := Diff(parse(t, full), parse(t, peopleSchema))
	b, err := json.MarshalIndent(changes, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	assaytest.Golden(t, "full_people.diff.json", append(b, '\n'))
	if back, _ := json.Marshal(Diff(parse(t, full), parse(t, full))); string(back) != "[]" {
		t.Errorf("no changes are %s", back)
	}
}
