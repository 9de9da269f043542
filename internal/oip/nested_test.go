package oip_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/oip"
	"github.com/assay-ml/assay/internal/schema"
	"github.com/assay-ml/assay/internal/serve"
)

// nestedSeen keeps the JSON of the nested values that it was asked about.
type nestedSeen struct {
	plain
	rows []string
}

func (n *nestedSeen) Predict(ctx context.Context, rows *schema.Batch, out *serve.Output) error {
	n.rows = nil
	for row := range rows.Rows() {
		raw, ok := rows.Raw(row, 0)
		n.rows = append(n.rows, fmt.Sprintf("%s %v", raw, ok))
	}
	return n.plain.Predict(ctx, rows, out)
}

// TestNestedElements: a nested column is a tensor of BYTES whose elements are the JSON of its values, over REST, gRPC and as binary data.
func TestNestedElements(t *testing.T) {
	e := &nestedSeen{}
	in := schema.New("in")
	in.Columns = []schema.Column{{Name: "o", Type: assay.TypeJSON, Optional: true}}
	s := serve.New(serve.Options{Clock: func() time.Time { return time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC) }, Nonce: "n"})
	b, err := s.Bind(serve.Binding{Name: "m", Number: 1, Task: assay.Regression, Input: in, Output: serve.OutputSchema("out", nil, false), Engine: e})
	if err != nil {
		t.Fatal(err)
	}
	s.Set("m", b, b)
	s.SetReady(true)
	o := &oip.Inference{Server: s}
	h, cl := routes(o), connect(t, o)
	const two = `"{\"n\": [1, 2.0]}", "[]"`
	want := `{"n": [1, 2.0]} true, [] true`
	w := send(t, h, http.MethodPost, "/v2/models/m/infer", []byte(`{"inputs": [{"name": "o", "shape": [2], "datatype": "BYTES", "data": [`+two+`]}]}`))
	if got := strings.Join(e.rows, ", "); w.Code != 200 || got != want {
		t.Errorf("%d %s: %s", w.Code, w.Body, got)
	}
	e.rows = nil
	// eyJuIjogWzEsIDIuMF19 and W10= are the same in base64, which is how protobuf's JSON has bytes.
	_, err = cl.ModelInfer(t.Context(), message(t, `{"modelName":"m","inputs":[{"name":"o","shape":[2],"datatype":"BYTES","contents":{"bytesContents":["eyJuIjogWzEsIDIuMF19","W10="]}}]}`))
	if got := strings.Join(e.rows, ", "); err != nil || got != want {
		t.Errorf("%v: %s", err, got)
	}
	w = send(t, h, http.MethodPost, "/v2/models/m/infer", []byte(`{"inputs": [{"name": "o", "shape": [2], "datatype": "BYTES", "parameters": {"content_type": "base64"}, "data": ["eyJuIjogWzEsIDIuMF19","W10="]}]}`))
	if got := strings.Join(e.rows, ", "); w.Code != 200 || got != want {
		t.Errorf("%d %s: %s", w.Code, w.Body, got)
	}
	// A number or a truth value is itself: as JSON what the request says, in bytes what the datatype holds. None of it is a missing value.
	for typ, x := range map[string]struct{ data, contents, raw, want, bytes string }{
		"FP64":   {`[1.5, 2]`, `"fp64Contents":[1.5,2]`, "AAAAAAAA+D8AAAAAAAAAQA==", "1.5 true, 2 true", "1.5 true, 2.0 true"},
		"FP32":   {`[1.5, 2]`, `"fp32Contents":[1.5,2]`, "AADAPwAAAEA=", "1.5 true, 2 true", "1.5 true, 2.0 true"},
		"INT64":  {`[7, 9007199254740993]`, `"int64Contents":[7,"9007199254740993"]`, "BwAAAAAAAAABAAAAAAAgAA==", "7 true, 9007199254740993 true", ""},
		"UINT64": {`[7, 18446744073709551615]`, `"uint64Contents":[7,"18446744073709551615"]`, "BwAAAAAAAAD//////////w==", "7 true, 18446744073709551615 true", ""},
		"BOOL":   {`[true, false]`, `"boolContents":[true,false]`, "AQA=", "true true, false true", ""},
	} {
		head := `"name": "o", "shape": [2], "datatype": "` + typ + `"`
		e.rows = nil
		w := send(t, h, http.MethodPost, "/v2/models/m/infer", []byte(`{"inputs": [{`+head+`, "data": `+x.data+`}]}`))
		if got := strings.Join(e.rows, ", "); w.Code != 200 || got != x.want {
			t.Errorf("%s: %d %s: %s, want %s", typ, w.Code, w.Body, got, x.want)
		}
		if x.bytes == "" {
			x.bytes = x.want
		}
		for _, m := range []string{`{"modelName":"m","inputs":[{` + head + `,"contents":{` + x.contents + `}}]}`, `{"modelName":"m","inputs":[{` + head + `}],"rawInputContents":["` + x.raw + `"]}`} {
			e.rows = nil
			_, err := cl.ModelInfer(t.Context(), message(t, m))
			if got := strings.Join(e.rows, ", "); err != nil || got != x.bytes {
				t.Errorf("%s: %v: %s, want %s", m, err, got, x.bytes)
			}
		}
	}
	for _, wrong := range []string{`"{secret"`, `"[1] 2"`, `""`} {
		w := send(t, h, http.MethodPost, "/v2/models/m/infer", []byte(`{"inputs": [{"name": "o", "shape": [1], "datatype": "BYTES", "data": [`+wrong+`]}]}`))
		if w.Code != 400 || !strings.Contains(w.Body.String(), "o must be of type json") || strings.Contains(w.Body.String(), "secret") {
			t.Errorf("%s: %d %s", wrong, w.Code, w.Body)
		}
	}
}

// TestNumbersOnTheWay: numbers that are read as the document comes give what they give when the datatype comes after them, which is read twice.
func TestNumbersOnTheWay(t *testing.T) {
	h := handler(t)
	ask := func(members ...string) string {
		body := `{"id":"r","inputs":[{` + strings.Join(members, ",") + `}]}`
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/v2/models/flowers/infer", strings.NewReader(body)))
		return fmt.Sprint(w.Code, " ", w.Body.String())
	}
	rapid.Check(t, func(t *rapid.T) {
		number := rapid.OneOf(rapid.StringMatching(`-?(0|[1-9][0-9]{0,2})(\.[0-9]{1,4})?`), rapid.SampledFrom([]string{"null", "1e2", "0.30000000000000004", "-0", "12345678901234567890", `"x"`, "[1]", "1e999", "NaN", "01", "1.", ""}))
		xs := rapid.SliceOfN(rapid.StringMatching(`-?(0|[1-9][0-9]{0,2})(\.[0-9]{1,4})?`), 0, 13).Draw(t, "xs")
		if rapid.Bool().Draw(t, "another") {
			xs = append(xs, number.Draw(t, "x"))
		}
		name, typ := `"name":"x"`, `"datatype":"`+rapid.SampledFrom([]string{"FP32", "FP64"}).Draw(t, "type")+`"`
		shape := fmt.Sprintf(`"shape":[%d,4]`, rapid.IntRange(0, 3).Draw(t, "rows"))
		data := `"data":[` + strings.Join(xs, rapid.SampledFrom([]string{",", " , ", ",\n"}).Draw(t, "comma")) + "]"
		if once, twice := ask(name, shape, typ, data), ask(name, shape, data, typ); once != twice && !strings.Contains(once, "not JSON") {
			t.Fatalf("%s: %s\nand %s", data, once, twice)
		} else if strings.Contains(once, "not JSON") != strings.Contains(twice, "not JSON") {
			t.Fatalf("%s: %s\nand %s", data, once, twice)
		}
	})
}
