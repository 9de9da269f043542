package kserve_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/kserve"
	"github.com/assay-ml/assay/internal/schema"
	"github.com/assay-ml/assay/internal/serve"
	"github.com/assay-ml/assay/learn"
)

// v1 serves a classifier that says whether a is above 10.
func v1(t testing.TB) http.Handler {
	t.Helper()
	x := assay.Frame{{Name: "a", Type: assay.TypeInteger}, {Name: "b", Type: assay.TypeNumber}}
	var labels []int32
	for i := range 100 {
		x[0].Floats, x[1].Floats = append(x[0].Floats, float64(i%21)), append(x[1].Floats, float64(i%3))
		labels = append(labels, map[bool]int32{true: 1}[i%21 > 10])
	}
	m, err := learn.Fit(t.Context(), learn.Spec{Learner: "logistic_regression", Task: assay.Binary, Target: learn.Target{Name: "y", Type: assay.TypeString, Classes: []string{"no", "yes"}, Positive: "yes"}}, learn.Data{X: x, Labels: labels})
	if err != nil {
		t.Fatal(err)
	}
	file, err := m.ONNX()
	if err != nil {
		t.Fatal(err)
	}
	p, err := learn.Open(file, learn.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	in := schema.New("in")
	in.Columns = []schema.Column{{Name: "a", Type: assay.TypeInteger, NotNull: &schema.NotNull{}}, {Name: "b", Type: assay.TypeNumber}}
	e, err := serve.Native(p, []assay.Field{{Name: "a", Type: assay.TypeInteger}, {Name: "b", Type: assay.TypeNumber}}, []string{"no", "yes"})
	if err != nil {
		t.Fatal(err)
	}
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	s := serve.New(serve.Options{Clock: func() time.Time { return at }, Nonce: "n", MaxBodyBytes: 4096})
	b, err := s.Bind(serve.Binding{Name: "m", Number: 1, Task: assay.Binary, Classes: []string{"no", "yes"}, LabelType: assay.TypeString, Input: in, Output: serve.OutputSchema("out", []string{"no", "yes"}, true), Engine: e})
	if err != nil {
		t.Fatal(err)
	}
	s.Set("m", b, b)
	s.SetReady(true)
	mux := http.NewServeMux()
	(&kserve.V1{Server: s}).Routes(mux)
	return mux
}

func ask(t testing.TB, h http.Handler, method, path, body string) (int, string) {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), method, path, strings.NewReader(body)))
	return w.Code, w.Body.String()
}

func TestV1(t *testing.T) {
	h := v1(t)
	for _, c := range []struct {
		method, path, body string
		status             int
		want               string
	}{
		{"GET", "/v1/models", "", 200, `{"models":["m"]}`},
		{"GET", "/v1/models/m", "", 200, `{"name":"m","ready":true}`},
		{"GET", "/v1/models/n", "", 404, `{"error":"model \"n\" is not served"}`},
		{"POST", "/v1/models/m:predict", `{"instances":[[1,0],[20,1]]}`, 200, `{"predictions":["no","yes"]}`},
		{"POST", "/v1/models/m:predict", `{"signature_name":"x","instances":[{"b":1,"a":20},{"a":1,"b":null}]}`, 200, `{"predictions":["yes","no"]}`},
		{"POST", "/v1/models/m:predict", `{"instances":[[1,0],[1.5,1]]}`, 400, `{"error":"the rows do not fit the input schema: row 1: a must be of type integer"}`},
		{"POST", "/v1/models/m:predict", `{"instances":[[1]]}`, 400, `{"error":"row 0 has 1 values for 2 columns"}`},
		{"POST", "/v1/models/m:predict", `{"instances":[]}`, 400, `{"error":"the request has no rows"}`},
		{"POST", "/v1/models/m:predict", `{"inputs":[]}`, 400, `{"error":"the request has no \"instances\""}`},
		{"POST", "/v1/models/m:predict", `{"instances":[],"instances":[]}`, 400, `{"error":"instances is there twice"}`},
		{"POST", "/v1/models/m:predict", `[]`, 400, `{"error":"the request must be an object with \"instances\""}`},
		{"POST", "/v1/models/m:predict", ``, 400, `{"error":"not JSON: neither a value nor a number at byte 1"}`},
		{"POST", "/v1/models/m:predict", strings.Repeat(" ", 5000), 413, `{"error":"the body has more than the 4096 bytes that are allowed"}`},
		{"POST", "/v1/models/n:predict", `{}`, 404, `{"error":"model \"n\" is not served"}`},
		{"POST", "/v1/models/m:explain", `{}`, 404, `{"error":"the path must be /v1/models/NAME:predict"}`},
	} {
		status, body := ask(t, h, c.method, c.path, c.body)
		if status != c.status || body != c.want {
			t.Errorf("%s %s %s: %d %s", c.method, c.path, c.body[:min(len(c.body), 60)], status, body)
		}
	}
}

func FuzzPredict(f *testing.F) {
	h := v1(f)
	f.Add(`{"instances":[[1,0],{"a":1}]}`)
	f.Fuzz(func(t *testing.T, body string) {
		status, answer := ask(t, h, "POST", "/v1/models/m:predict", body)
		if status != 200 && status != 400 && status != 413 || !json.Valid([]byte(answer)) {
			t.Errorf("%d %s", status, answer)
		}
	})
}

// labelled answers class row%k for every row.
type labelled int32

func (k labelled) Predict(_ context.Context, rows *schema.Batch, out *serve.Output) error {
	for row := range rows.Rows() {
		out.Labels = append(out.Labels, int32(row)%int32(k))
	}
	return nil
}
func (labelled) Close() error { return nil }

// TestV1Labels: a class is answered as a value of the target column's type, whatever their number.
func TestV1Labels(t *testing.T) {
	for _, c := range []struct {
		typ     assay.Type
		classes []string
		want    string
	}{
		{assay.TypeString, []string{"setosa", "versi\"color", "virginica"}, `{"predictions":["setosa","versi\"color","virginica","setosa"]}`},
		{assay.TypeInteger, []string{"1", "2", "-10"}, `{"predictions":[1,2,-10,1]}`},
		{assay.TypeNumber, []string{"0.5", "1", "2.5"}, `{"predictions":[0.5,1,2.5,0.5]}`},
		{assay.TypeBoolean, []string{"false", "true"}, `{"predictions":[false,true,false,true]}`},
		{assay.TypeInteger, []string{"1", "two", "3"}, `{"predictions":["1","two","3","1"]}`}, // not all are integers: as they are written
	} {
		in := schema.New("in")
		in.Columns = []schema.Column{{Name: "a", Type: assay.TypeInteger}}
		s := serve.New(serve.Options{Clock: func() time.Time { return time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC) }, Nonce: "n"})
		b, err := s.Bind(serve.Binding{Name: "m", Number: 1, Task: assay.Multiclass, Classes: c.classes, LabelType: c.typ, Input: in, Output: serve.OutputSchema("out", c.classes, false), Engine: labelled(len(c.classes))})
		if err != nil {
			t.Fatal(err)
		}
		s.Set("m", b, b)
		s.SetReady(true)
		mux := http.NewServeMux()
		(&kserve.V1{Server: s}).Routes(mux)
		if status, got := ask(t, mux, http.MethodPost, "/v1/models/m:predict", `{"instances":[{"a":1},{"a":2},[3],4]}`); status != 200 || got != c.want {
			t.Errorf("%s %v: %d %s, want %s", c.typ, c.classes, status, got, c.want)
		}
	}
}

// parametric keeps the parameters that it was given.
type parametric struct {
	labelled
	params string
}

func (p *parametric) PredictWith(ctx context.Context, rows *schema.Batch, params []byte, out *serve.Output) error {
	p.params = string(params)
	return p.Predict(ctx, rows, out)
}

// keysSeen notes the keys of the rows of finished calls.
type keysSeen struct{ keys []string }

func (k *keysSeen) Offer(c *serve.Call) bool {
	k.keys = nil
	for row := range c.Rows.Rows() {
		k.keys = append(k.keys, string(c.Rows.Key(row, nil)))
	}
	return false
}

// TestV1Parameters: the parameters of a request are the model's, or the keys of its rows.
func TestV1Parameters(t *testing.T) {
	whole := func(text []byte) string {
		if _, err := strconv.Atoi(string(text)); err != nil {
			return "must be a whole number"
		}
		return ""
	}
	asked := func(e serve.Engine, log serve.Recorder) http.Handler {
		in := schema.New("in")
		in.Closed = true
		in.Columns = []schema.Column{{Name: "a", Type: assay.TypeInteger}}
		classes := []string{"no", "yes"}
		s := serve.New(serve.Options{Clock: func() time.Time { return time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC) }, Nonce: "n", Log: log})
		b, err := s.Bind(serve.Binding{
			Name: "m", Number: 1, Task: assay.Binary, Classes: classes, Input: in, Output: serve.OutputSchema("out", classes, false), Engine: e,
			Params: []serve.Param{{Name: "k", Type: "long", Typed: func(dst, text []byte) ([]byte, string) { return append(dst, text...), whole(text) }}}, Key: []string{"id"},
		})
		if err != nil {
			t.Fatal(err)
		}
		s.Set("m", b, b)
		s.SetReady(true)
		mux := http.NewServeMux()
		(&kserve.V1{Server: s}).Routes(mux)
		return mux
	}
	var log keysSeen
	e := &parametric{labelled: 2}
	h := asked(e, &log)
	for _, c := range []struct{ body, params, keys, says string }{
		{`{"instances": [[1], [2]], "parameters": {"k": 3}}`, `{"k":3}`, ",", ""},
		{`{"params": {"k": 3, "id": ["p", 7]}, "instances": [[1], [2]]}`, `{"k":3}`, "p,7", ""},
		{`{"instances": [1], "parameters": {"id": "p"}}`, "", "p", ""},
		{`{"instances": [{"a": 1, "id": "p"}, {"id": 8, "a": 2}], "parameters": null}`, "", "p,8", ""},
		{`{"instances": [{"a": 1, "id": "p"}], "parameters": {"id": "q"}}`, "", "", "nothing else of that name"},
		{`{"instances": [[1], [2]], "parameters": {"id": "p"}}`, "", "", "one for each of the 2 rows"},
		{`{"instances": [[1]], "parameters": {"k": "secret"}}`, "", "", `\"k\" must be a whole number`},
		{`{"instances": [[1]], "parameters": {"nope": 1}}`, "", "", `\"nope\" is none of the model's`},
		{`{"instances": [[1]], "parameters": [1]}`, "", "", "the parameters must be an object"},
		{`{"instances": [[1]], "parameters": {}, "params": {}}`, "", "", "parameters is there twice"},
		{`{"instances": [[1]], "parameters": {"k": 1}`, "", "", "not JSON"},
	} {
		e.params = ""
		status, answer := ask(t, h, http.MethodPost, "/v1/models/m:predict", c.body)
		if (status == 200) != (c.says == "") || status != 200 && status != 400 || !strings.Contains(answer, c.says) || e.params != c.params || strings.Contains(answer, "secret") {
			t.Errorf("%s: %d %s %s", c.body, status, answer, e.params)
		}
		if status == 200 && strings.Join(log.keys, ",") != c.keys {
			t.Errorf("%s: keys %q", c.body, log.keys)
		}
	}
	if status, answer := ask(t, asked(labelled(2), nil), http.MethodPost, "/v1/models/m:predict", `{"instances": [[1]], "parameters": {"k": 1}}`); status != 400 || !strings.Contains(answer, "is evaluated by what takes none") {
		t.Errorf("%d %s", status, answer)
	}
}
