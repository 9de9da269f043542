package schema_test

import (
	"testing"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/schema"
)

// TestNestedField: a field of a CSV file spells a nested value as its JSON; what is none is a string, and what is empty is missing.
func TestNestedField(t *testing.T) {
	s := schema.New("n")
	s.Columns = []schema.Column{{Name: "x", Type: assay.TypeJSON}}
	b := compiled(t, s).NewBatch()
	defer b.Release()
	for i, c := range []struct{ field, want string }{{`[1, 2.0]`, `[1, 2.0]`}, {`{"a": null}`, `{"a": null}`}, {`5`, `5`}, {`x "y"`, `"x \"y\""`}, {`[1`, `"[1"`}, {`null`, ""}, {``, ""}} {
		b.Add(1)
		b.SetField(i, 0, []byte(c.field))
		got, ok := b.Raw(i, 0)
		if string(got) != c.want || ok != (c.want != "") || !ok && !b.Missing(i, 0) {
			t.Errorf("%s: %s, %v, want %s", c.field, got, ok, c.want)
		}
	}
}

// TestNestedColumn: nested values come back from their binary form as the text of their JSON, which always is JSON; what was no JSON is none.
func TestNestedColumn(t *testing.T) {
	s := schema.New("n")
	s.Columns = []schema.Column{{Name: "x", Type: assay.TypeJSON}}
	b := compiled(t, s).NewBatch()
	defer b.Release()
	var r schema.Reader
	texts := []string{`{"a": [1, NaN], "NaN": "NaN \" NaN"}`, `null`, `[]`, `"text"`, `["\ud800"]`}
	for i, text := range texts {
		b.Add(1)
		r.Reset([]byte(text), 0)
		r.AllowNaN()
		b.JSON(&r, i, 0)
	}
	for i, text := range []string{`{"b":1}`, `[1`, `[1] 2`, ``, `[NaN]`} {
		b.Add(1)
		b.SetJSON(len(texts)+i, 0, []byte(text))
	}
	c, rest, ok := schema.ReadColumn(b.AppendColumn(nil, 0), b.Rows(), assay.TypeJSON)
	if !ok || len(rest) > 0 {
		t.Fatal(ok, rest)
	}
	for i, want := range []string{`"{\"a\": [1, null], \"NaN\": \"NaN \\\" NaN\"}"`, "", `"[]"`, `"\"text\""`, "", `"{\"b\":1}"`, "", "", "", ""} {
		got, there, unheld := c.Next(nil)
		if unheld || there != (want != "") || there && string(got) != want {
			t.Errorf("row %d: %s, %v, %v, want %s", i, got, there, unheld, want)
		}
	}
}
