package schema_test

import (
	"testing"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/schema"
)

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
