package mlflow_test

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/mlflow"
	"github.com/assay-ml/assay/internal/mlmodel"
	"github.com/assay-ml/assay/internal/schema"
	"github.com/assay-ml/assay/internal/serve"
	"github.com/assay-ml/assay/learn"
)

// A parametric echo keeps the parameters that it was given.
type parametric struct {
	echo
	params string
}

func (p *parametric) PredictWith(ctx context.Context, rows *schema.Batch, params []byte, out *serve.Output) error {
	p.params = string(params)
	return p.Predict(ctx, rows, out)
}

// parameters serves an echo with the parameters of testdata/mlflow/echo.
func parameters(t *testing.T, e serve.Engine, coerce string) http.Handler {
	t.Helper()
	archive, err := mlmodel.Pack("../../testdata/mlflow/echo")
	if err != nil {
		t.Fatal(err)
	}
	m, err := mlmodel.Open(archive)
	if err != nil {
		t.Fatal(err)
	}
	var params []serve.Param
	for i := range m.Signature.Params {
		p := &m.Signature.Params[i]
		params = append(params, serve.Param{Name: p.Name, Typed: p.Typed})
	}
	in := schema.New("in")
	in.Columns = []schema.Column{{Name: "c", Type: assay.TypeNumber}}
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	s := serve.New(serve.Options{Clock: func() time.Time { return at }, Nonce: "n"})
	b, err := s.Bind(serve.Binding{
		Name: "m", Number: 1, Task: assay.Regression, Input: in, Output: serve.OutputSchema("out", nil, false), Engine: e, Params: params, Coerce: coerce,
	})
	if err != nil {
		t.Fatal(err)
	}
	s.Set("m", b, b)
	s.SetReady(true)
	mux := http.NewServeMux()
	(&mlflow.Scoring{Server: s}).Routes(mux)
	return mux
}

// TestParams sends what was sent to MLflow with the same signature (mlflow-126 to mlflow-135 of the recordings that docs/serving.md speaks of).
// MLflow drops an unknown parameter and takes null for any; here both are refused, unless values are cast as MLflow does.
func TestParams(t *testing.T) {
	for _, c := range []struct{ params, given, says string }{
		{`{}`, "", ""},
		{`null`, "", ""},
		{`{"threshold": 0.9, "k": 3, "flag": true, "name": "q", "seeds": [4, 5]}`, `{"threshold":0.9,"k":3,"flag":true,"name":"q","seeds":[4, 5]}`, ""},
		{`{"threshold": 1}`, `{"threshold":1.0}`, ""},
		{`{"nope": 1}`, "", `\"nope\" is none of the model's`},
		{`{"k": 1.5}`, "", `\"k\" must be a whole number of its type`},
		{`{"k": "3"}`, "", `\"k\" must be a whole number`},
		{`{"seeds": 4}`, "", `\"seeds\" must be a list`},
		{`[1]`, "", "params must be a dictionary"},
		{`{"k": null}`, "", `\"k\" must not be null`},
		{`{"k": true}`, "", `\"k\" must be a whole number`},
		{`{"k": 1, "k": 2}`, "", `\"k\" is there twice`},
		{`{"k": "secret", "flag": "secret", "nope": "secret"}`, "", "3 problems"},
	} {
		e := &parametric{}
		h := parameters(t, e, "")
		for _, body := range []string{`{"instances": [1.5], "params": ` + c.params + `}`, `{"params": ` + c.params + `, "instances": [1.5]}`} {
			status, answer, _ := post(t, h, "/invocations", "application/json", body)
			if (status == 200) != (c.says == "") || status != 200 && status != 400 || !strings.Contains(answer, c.says) || e.params != c.given || strings.Contains(answer, "secret") {
				t.Errorf("%s: %d %s %q", body, status, answer, e.params)
			}
		}
	}
	e := &parametric{}
	if status, answer, _ := post(t, parameters(t, e, "mlflow"), "/invocations", "application/json", `{"instances": [1.5], "params": {"nope": 1, "k": 2}}`); status != 200 || e.params != `{"k":2}` {
		t.Errorf("%d %s %q", status, answer, e.params)
	}
	if status, answer, _ := post(t, parameters(t, &echo{}, ""), "/invocations", "application/json", `{"instances": [1.5], "params": {"k": 2}}`); status != 400 || !strings.Contains(answer, "is evaluated by what takes none") {
		t.Errorf("%d %s", status, answer)
	}
	if status, answer, _ := post(t, parameters(t, &echo{}, ""), "/invocations", "application/json", `{"params": {"k": 2}, "instances": [1.5], "params": {"k": 3}}`); status != 400 || !strings.Contains(answer, "params is there twice") {
		t.Errorf("%d %s", status, answer)
	}
}

// TestNativeTakesNoNested holds that a model that is evaluated without Python is not given a column of nested values or bytes, of which it
// would see nothing.
func TestNativeTakesNoNested(t *testing.T) {
	x := assay.Frame{{Name: "c", Type: assay.TypeNumber, Floats: []float64{1, 2, 3, 4}}}
	m, err := learn.Fit(t.Context(), learn.Spec{Learner: "linear_regression", Task: assay.Regression, Target: learn.Target{Name: "y", Type: assay.TypeNumber}}, learn.Data{X: x, Values: []float64{1, 2, 3, 5}})
	if err != nil {
		t.Fatal(err)
	}
	p := predictor(t, m)
	for _, typ := range []assay.Type{assay.TypeJSON, assay.TypeBinary} {
		if _, err := serve.Native(p, []assay.Field{{Name: "c", Type: typ}}, nil); assay.CodeOf(err) != assay.Invalid || !strings.Contains(err.Error(), `column "c" is of type `+string(typ)) {
			t.Errorf("%s: %v", typ, err)
		}
	}
	if _, err := serve.Native(p, []assay.Field{{Name: "c", Type: assay.TypeNumber}}, nil); err != nil {
		t.Error(err)
	}
}

// TestUndeclaredParams: where the signature declares none they are ignored, but none may come twice.
func TestUndeclaredParams(t *testing.T) {
	_, address, _ := listening(t, serve.Options{})
	for params, want := range map[string]int{`{"a": 1, "b": 2}`: 200, `{"a": 1, "b": 2, "a": 3}`: 400, `{"a": 1, "\u0061": 1}`: 400} {
		a, err := http.Post("http://"+address+"/invocations", "application/json", strings.NewReader(`{"dataframe_records": [{"x": 1}], "params": `+params+`}`))
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(a.Body)
		a.Body.Close()
		if a.StatusCode != want || want == 400 && !strings.Contains(string(body), `\"a\" is there twice`) {
			t.Errorf("%s: %s %s", params, a.Status, body)
		}
	}
}
