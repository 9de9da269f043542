package oip_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

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
	for _, wrong := range []string{`"{secret"`, `"[1] 2"`, `""`} {
		w := send(t, h, http.MethodPost, "/v2/models/m/infer", []byte(`{"inputs": [{"name": "o", "shape": [1], "datatype": "BYTES", "data": [`+wrong+`]}]}`))
		if w.Code != 400 || !strings.Contains(w.Body.String(), "o must be of type json") || strings.Contains(w.Body.String(), "secret") {
			t.Errorf("%s: %d %s", wrong, w.Code, w.Body)
		}
	}
}
