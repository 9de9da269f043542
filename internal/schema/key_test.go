package schema_test

import (
	"strings"
	"testing"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/schema"
)

// TestKey: a key of several columns has the values of fields as SQL writes them, and is none where a part is missing, is nested, or holds what
// separates the parts.
func TestKey(t *testing.T) {
	s := schema.New("k")
	for _, typ := range []assay.Type{assay.TypeString, assay.TypeInteger, assay.TypeNumber, assay.TypeBoolean, assay.TypeDate, assay.TypeTime, assay.TypeTimestamp, assay.TypeJSON} {
		s.Columns = append(s.Columns, schema.Column{Name: string(typ), Type: typ, Optional: true})
	}
	v := compiled(t, s)
	for _, c := range []struct{ columns, row, want string }{
		{"id", `{"id":17}`, "17"},
		{"id", `{"id":"a/b"}`, "a/b"},
		{"id", `{}`, "none"},
		{"id integer", `{"id":"a","integer":170141183460469231731687303715884105727}`, "a/170141183460469231731687303715884105727"},
		{"number id string", `{"number":2e3,"id":true,"string":""}`, "2000/true/"},
		{"number id", `{"number":0.1,"id":1.0}`, "0.1/1"},
		{"boolean id", `{"boolean":false,"id":"x"}`, "false/x"},
		{"date id", `{"date":"2026-02-01","id":"x"}`, "2026-02-01/x"},
		{"time id", `{"time":"10:00:00","id":"x"}`, "10:00:00/x"},
		{"timestamp id", `{"timestamp":"2026-02-01T10:00:00.5Z","id":"x"}`, "2026-02-01 10:00:00.5/x"},
		{"id date", `{"id":"x","date":null}`, "none"},
		{"id json", `{"id":"x","json":[1]}`, "none"},
		{"id string", `{"id":"x","string":"a\u001fb"}`, "none"},
		{"id other", `{"id":"x\u001fy","other":"z"}`, "none"},
		{"id other", `{"other":"z"}`, "none"},
		{"id other", `{"other":"` + strings.Repeat("z", 1025) + `","id":1}`, "none"},
		{"integer", `{"integer":1}`, "none"}, // of fields alone there is nothing to keep
	} {
		b := v.NewBatch()
		b.KeyedBy(strings.Fields(c.columns))
		var r schema.Reader
		r.Reset([]byte(c.row), 0)
		if _, ok := b.Object(&r, nil); !ok {
			t.Fatal(r.Err())
		}
		got := "none"
		if key := b.Key(0, nil); key != nil {
			got = strings.ReplaceAll(string(key), string(rune(schema.KeySeparator)), "/")
		}
		if got != c.want {
			t.Errorf("%s of %s: %q, want %q", c.columns, c.row, got, c.want)
		}
		b.Release()
	}
}
