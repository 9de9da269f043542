package schema_test

import (
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/schema"
)

func batchSchema() *schema.Schema {
	lo, hi := schema.Int(0), schema.Int(120)
	s := schema.New("batch")
	s.Columns = []schema.Column{
		{Name: "age", Type: assay.TypeInteger, NotNull: &schema.NotNull{}, Range: &schema.Range{Min: &lo, Max: &hi}},
		{Name: "income", Type: assay.TypeNumber},
		{Name: "name", Type: assay.TypeString, Set: &schema.Set{Values: []schema.Value{schema.Text("a"), schema.Text("b")}}},
		{Name: "member", Type: assay.TypeBoolean},
		{Name: "day", Type: assay.TypeDate},
		{Name: "big", Type: assay.TypeInteger, Optional: true},
	}
	return s
}

func compiled(t testing.TB, s *schema.Schema) *schema.Validator {
	t.Helper()
	v, err := s.Compile()
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// TestBatchReadsBack puts one row in as JSON and reads it typed and as JSON again.
func TestBatchReadsBack(t *testing.T) {
	b := compiled(t, batchSchema()).NewBatch()
	defer b.Release()
	var r schema.Reader
	r.Reset([]byte(`{"age":30,"income":1e3,"name":"a\"","member":true,"day":"2020-02-29","big":170141183460469231731687303715884105727,"other":[1,{"x":2}]}`), 0)
	found, ok := b.Object(&r, nil)
	if !ok || !r.End() {
		t.Fatal(r.Err())
	}
	if b.Unknown != 1 {
		t.Errorf("%d unknown values, want 1", b.Unknown)
	}
	want := []schema.RowViolation{{Row: 0, FieldViolation: schema.FieldViolation{Field: "name", Rule: "set", Detail: "must be one of 2 values", Severity: schema.Error}}}
	if diff := cmp.Diff(want, b.Check(found)); diff != "" {
		t.Error(diff)
	}
	for i, want := range []string{"30", "1000", `"a\""`, "true", `"2020-02-29"`, "170141183460469231731687303715884105727"} {
		if got := string(b.AppendJSON(nil, 0, i)); got != want {
			t.Errorf("field %d is %s, want %s", i, got, want)
		}
	}
	if got := b.Float(0, 4); got != 18321*86400 {
		t.Errorf("the day is %v", got)
	}
	if x, ok := b.Int(0, 0); !ok || x != 30 {
		t.Errorf("the age is %v, %v", x, ok)
	}
}

// TestBatchSetters holds each way to give a value against what JSON of the same meaning does.
func TestBatchSetters(t *testing.T) {
	v := compiled(t, batchSchema())
	for _, c := range []struct {
		name  string
		field int
		json  string
		set   func(b *schema.Batch)
	}{
		{"int", 0, "30", func(b *schema.Batch) { b.SetInt(0, 0, 30) }},
		{"int from a whole float", 0, "30.0", func(b *schema.Batch) { b.SetFloat(0, 0, 30) }},
		{"int from a fraction", 0, "30.5", func(b *schema.Batch) { b.SetFloat(0, 0, 30.5) }},
		{"int from CSV", 0, "30", func(b *schema.Batch) { b.SetField(0, 0, []byte("30")) }},
		{"int from words in CSV", 0, `"x"`, func(b *schema.Batch) { b.SetField(0, 0, []byte("x")) }},
		{"missing int in CSV", 0, "null", func(b *schema.Batch) { b.SetField(0, 0, nil) }},
		{"int out of range", 0, "121", func(b *schema.Batch) { b.SetInt(0, 0, 121) }},
		{"number from an int", 1, "7", func(b *schema.Batch) { b.SetInt(0, 1, 7) }},
		{"number from text", 1, `"7"`, func(b *schema.Batch) { b.SetText(0, 1, []byte("7")) }},
		{"NaN", 1, "null", func(b *schema.Batch) { b.SetFloat(0, 1, math.NaN()) }},
		{"text", 2, `"b"`, func(b *schema.Batch) { b.SetText(0, 2, []byte("b")) }},
		{"empty text in CSV", 2, "null", func(b *schema.Batch) { b.SetField(0, 2, nil) }},
		{"text from an int", 2, "3", func(b *schema.Batch) { b.SetInt(0, 2, 3) }},
		{"truth", 3, "true", func(b *schema.Batch) { b.SetBool(0, 3, true) }},
		{"truth in CSV", 3, "true", func(b *schema.Batch) { b.SetField(0, 3, []byte("True")) }},
		{"truth from 1", 3, "1", func(b *schema.Batch) { b.SetInt(0, 3, 1) }},
		{"some arbitrary string as truth", 3, `"some arbitrary string"`, func(b *schema.Batch) { b.SetField(0, 3, []byte("some arbitrary string")) }},
		{"day", 4, `"2020-01-31"`, func(b *schema.Batch) { b.SetText(0, 4, []byte("2020-01-31")) }},
		{"null", 4, "null", func(b *schema.Batch) { b.SetNull(0, 4) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			read, set := v.NewBatch(), v.NewBatch()
			defer read.Release()
			defer set.Release()
			read.Add(1)
			set.Add(1)
			var r schema.Reader
			r.Reset([]byte(c.json), 0)
			if !read.JSON(&r, 0, c.field) {
				t.Fatal(r.Err())
			}
			c.set(set)
			if diff := cmp.Diff(read.Check(nil), set.Check(nil)); diff != "" {
				t.Errorf("violations: %s", diff)
			}
			if a, b := string(read.AppendJSON(nil, 0, c.field)), string(set.AppendJSON(nil, 0, c.field)); a != b {
				t.Errorf("%s as JSON, %s when set", a, b)
			}
		})
	}
	b := v.NewBatch()
	defer b.Release()
	b.Add(1)
	b.SetFloat(0, 1, math.Inf(1))
	b.SetInt(0, 1, 1<<53+1) // float64 would change it
	found := b.Check(nil)
	if len(found) == 0 || found[len(found)-1].Rule != "required" && found[1].Rule != "type" {
		t.Errorf("an integer that float64 cannot hold went into a number: %v", found)
	}
}

// TestBatchIsPayload checks that a row of a batch is judged as the same row alone is.
func TestBatchIsPayload(t *testing.T) {
	v := compiled(t, batchSchema())
	value := rapid.SampledFrom([]string{"1", "-1", "200", "1.5", "null", `"a"`, `"zz"`, "true", `"2020-01-01"`, "[1]", `{"x":1}`, "1e400", "9007199254740993"})
	rapid.Check(t, func(t *rapid.T) {
		var rows []string
		for range rapid.IntRange(1, 5).Draw(t, "rows") {
			var fields []string
			for _, name := range []string{"age", "income", "name", "member", "day", "big", "odd"} {
				if rapid.Bool().Draw(t, "there") {
					fields = append(fields, `"`+name+`": `+value.Draw(t, name))
				}
			}
			rows = append(rows, "{"+strings.Join(fields, ",")+"}")
		}
		b := v.NewBatch()
		defer b.Release()
		var r schema.Reader
		r.Reset([]byte("["+strings.Join(rows, ",")+"]"), 0)
		var found []schema.RowViolation
		for more := r.Enter(); more; more = r.More() {
			var ok bool
			if found, ok = b.Object(&r, found); !ok {
				t.Fatal(r.Err())
			}
		}
		if !r.End() {
			t.Fatal(r.Err())
		}
		got := make([][]schema.FieldViolation, len(rows))
		for _, f := range b.Check(found) {
			got[f.Row] = append(got[f.Row], f.FieldViolation)
		}
		for i, row := range rows {
			want, err := v.Payload([]byte(row))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got[i]); diff != "" {
				t.Errorf("row %d: %s", i, diff)
			}
		}
	})
}

// FuzzReader reads any text: it must end, and what it accepts must be what the strict tokenizer of a payload accepts.
func FuzzReader(f *testing.F) {
	for _, s := range []string{`{"a":[1,2,{"b":null}],"c":"x"}`, `[]`, `[1,]`, `{"a":1,"a":2}`, `"\ud800"`, `[[[[[]]]]]`, `{"a" 1}`, "\x00", `{`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var skip, walk schema.Reader
		skip.Reset(b, 8)
		_, ok := skip.Skip()
		ok = ok && skip.End()
		walk.Reset(b, 8)
		walkAll(&walk)
		if got := walk.End(); got != ok {
			t.Errorf("walked %v (%v), skipped %v (%v)", got, walk.Err(), ok, skip.Err())
		}
	})
}

func walkAll(r *schema.Reader) {
	switch r.Kind() {
	case schema.JSONObject:
		for more := r.Enter(); more; more = r.More() {
			if _, ok := r.Key(); !ok {
				return
			}
			walkAll(r)
		}
	case schema.JSONArray:
		for more := r.Enter(); more; more = r.More() {
			walkAll(r)
		}
	case schema.JSONString:
		r.Text()
	case schema.JSONBool:
		r.Bool()
	case schema.JSONNull:
		r.Null()
	default:
		r.Number()
	}
}

// FuzzReadColumn: no bytes make the reader of a column panic or read beyond them, and what it gives is JSON.
func FuzzReadColumn(f *testing.F) {
	b := compiled(f, batchSchema()).NewBatch()
	defer b.Release()
	var r schema.Reader
	r.Reset([]byte(`{"age":30,"income":1e3,"name":"a\"","member":true,"day":"2020-02-29","big":170141183460469231731687303715884105727}`), 0)
	if _, ok := b.Object(&r, nil); !ok {
		f.Fatal(r.Err())
	}
	b.Add(1)
	for i := range b.Validator().Fields() {
		f.Add(b.AppendColumn(nil, i), 2)
	}
	f.Add([]byte{5, 0, 0, 0, 0, 0, 0, 0xf8, 0x7f}, 1)
	f.Fuzz(func(t *testing.T, text []byte, rows int) {
		if rows > 1000 {
			return
		}
		for _, typ := range []assay.Type{assay.TypeDate, assay.TypeInteger, assay.TypeNumber, assay.TypeString} {
			c, rest, ok := schema.ReadColumn(text, rows, typ)
			if !ok {
				return
			}
			if len(rest) >= len(text) {
				t.Fatal("nothing was read")
			}
			for range rows + 1 {
				out, there, unheld := c.Next(nil)
				if there && (unheld || !json.Valid(out)) {
					t.Fatalf("%q %v", out, unheld)
				}
				if _, err := strconv.ParseInt(string(out), 10, 64); there && typ == assay.TypeInteger && err != nil {
					t.Fatalf("an integer is %q", out)
				}
			}
		}
	})
}

// TestWholeNumbersOfFloats: a column of numbers takes a whole number without fraction and exponent only where float64 holds it, in JSON, in CSV
// and typed; one with a fraction or exponent is rounded.
func TestWholeNumbersOfFloats(t *testing.T) {
	b := compiled(t, batchSchema()).NewBatch()
	defer b.Release()
	for i, c := range []struct {
		text string
		want string // null: refused
	}{
		{"9007199254740992", "9.007199254740992e+15"},
		{"9007199254740993", "null"},
		{"-9007199254740993", "null"},
		{"9007199254740994", "9.007199254740994e+15"},
		{"18446744073709551615", "null"},
		{"18446744073709551616", "1.8446744073709552e+19"},
		{"10000000000000000000000", "1e+22"},
		{"100000000000000000000000", "null"},
		{"9007199254740993.0", "9.007199254740992e+15"},
		{"9007199254740993e0", "9.007199254740992e+15"},
		{"1e23", "1e+23"},
		{"0.1", "0.1"},
		{"-0", "-0"},
	} {
		b.Add(2)
		var r schema.Reader
		r.Reset([]byte(c.text), 0)
		b.JSON(&r, 2*i, 1)
		b.SetField(2*i+1, 1, []byte(c.text))
		for row := 2 * i; row < 2*i+2; row++ {
			if got := string(b.AppendJSON(nil, row, 1)); got != c.want {
				t.Errorf("%s is %s, want %s", c.text, got, c.want)
			}
		}
	}
	for text, want := range map[string]string{"7": "7 false true", "-7.0": "7 true true", "7e1": "70 false true", "1e-400": "0 false false", "9007199254740993.0": "9007199254740993 false true", "-0": "0 false true", "18446744073709551616": "0 false false", "1.5": "0 false false"} {
		if x, negative, ok := schema.Whole([]byte(text)); ok && fmt.Sprint(x, negative, ok) != want || fmt.Sprint(ok) != want[strings.LastIndex(want, " ")+1:] {
			t.Errorf("%s: %v %v %v, want %s", text, x, negative, ok, want)
		}
	}
}
