package serve

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/mlmodel"
	"github.com/assay-ml/assay/internal/pyfunc"
	"github.com/assay-ml/assay/internal/schema"
)

// Real models of MLflow and scikit-learn answer through the workers what MLflow's own python_function answered.
func TestRealPythonModels(t *testing.T) {
	interpreter := os.Getenv("ASSAY_PYTHON")
	if os.Getenv("ASSAY_TEST_FULL") == "" || interpreter == "" {
		t.Skip("set ASSAY_TEST_FULL and ASSAY_PYTHON, a Python that has mlflow and scikit-learn")
	}
	for _, c := range []struct {
		name, file string
		classes    []string
		fields     []assay.Field // of a model whose signature has no names
	}{
		{"sklearn", "expected.json", []string{"no", "yes"}, nil},
		{"titanic", "expected_predictions.json", []string{"0", "1"}, nil},
		{"titanic_proba", "expected_predictions.json", []string{"0", "1"}, nil},
		{"iris_columns", "expected_predictions.json", []string{"setosa", "versicolor", "virginica"}, nil},
		{"iris_tensor", "expected_predictions.json", []string{"0", "1", "2"}, []assay.Field{{Name: "a", Type: assay.TypeNumber}, {Name: "b", Type: assay.TypeNumber}, {Name: "c", Type: assay.TypeNumber}, {Name: "d", Type: assay.TypeNumber}}},
	} {
		t.Run(c.name, func(t *testing.T) { realModel(t, interpreter, c.name, c.file, c.classes, c.fields) })
	}
}

func realModel(t *testing.T, interpreter, name, file string, classes []string, fields []assay.Field) {
	archive, err := mlmodel.Pack(filepath.Join("../../testdata/mlflow", name))
	if err != nil {
		t.Fatal(err)
	}
	m, err := mlmodel.Open(archive)
	if err != nil {
		t.Fatal(err)
	}
	in := schema.New(name)
	if fields == nil {
		fields = m.Signature.Fields()
		in = m.Signature.Schema(name)
	} else {
		for _, f := range fields {
			in.Columns = append(in.Columns, schema.Column{Name: f.Name, Type: f.Type})
		}
		if err := m.Signature.Narrow(in); err != nil {
			t.Fatal(err)
		}
	}
	kinds, err := m.Kinds(fields)
	if err != nil {
		t.Fatal(err)
	}
	o := pyfunc.Options{Python: interpreter, Dir: t.TempDir(), Tensor: m.Signature.Kind() == "tensors", Clock: time.Now, Say: t.Logf, Workers: 1, MemoryBytes: 4 << 30}
	for i, f := range fields {
		o.Columns = append(o.Columns, pyfunc.Column{Name: f.Name, Kind: kinds[i]})
	}
	if err := m.Extract(o.Dir); err != nil {
		t.Fatal(err)
	}
	pool, err := pyfunc.Start(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	engine, err := Python(pool, o.Columns, fields, classes)
	if err != nil {
		t.Fatal(err)
	}
	// The signature of titanic_proba says one whole number a row, and the model answers probabilities.
	if _, known := m.Signature.Probabilities(); known != (name == "sklearn") {
		t.Errorf("the signature says probabilities: %v", known)
	}
	several := name == "titanic_proba" || name == "sklearn"
	server := New(Options{Clock: time.Now, Nonce: "t"})
	bound, err := server.Bind(Binding{Name: name, Number: 1, Task: assay.Multiclass, Classes: classes, Input: in, Output: OutputSchema("out", classes, several), Engine: engine})
	if err != nil {
		t.Fatal(err)
	}
	server.Set(name, bound, bound)
	defer server.Close(context.Background())

	var want struct{ Input, Predictions []json.RawMessage }
	if err := json.Unmarshal([]byte(strings.ReplaceAll(string(m.Files[file]), "NaN", "null")), &want); err != nil {
		t.Fatal(err)
	}
	call, err := server.Begin("test", name, "", "")
	if err != nil {
		t.Fatal(err)
	}
	body, _ := json.Marshal(want.Input)
	call.Body = body
	call.Reader.Reset(call.Body, 0)
	if err := call.ReadInstances(&call.Reader); err != nil {
		t.Fatal(err)
	}
	if err := call.Predict(context.Background()); err != nil {
		t.Fatal(err, call.Err)
	}
	for i, raw := range want.Predictions {
		var proba []float64
		if json.Unmarshal(raw, &proba) == nil {
			for j, p := range proba {
				if math.Abs(p-call.Output.Proba[i*len(classes)+j]) > 1e-9 {
					t.Errorf("row %d: %v, expected %v", i, call.Output.Proba[i*len(classes):(i+1)*len(classes)], proba)
				}
			}
			continue
		}
		var label any
		if err := json.Unmarshal(raw, &label); err != nil || classes[call.Output.Labels[i]] != fmt.Sprint(label) {
			t.Errorf("row %d: %s, expected %v", i, classes[call.Output.Labels[i]], label)
		}
	}
	call.End()

	reg := prometheus.NewRegistry()
	reg.MustRegister(server)
	w := httptest.NewRecorder()
	promhttp.HandlerFor(reg, promhttp.HandlerOpts{}).ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	for _, line := range []string{`assay_python_workers{model="` + name + `",version="1"} 1`, `assay_python_requests_total{model="` + name + `",version="1"} 1`} {
		if !strings.Contains(w.Body.String(), line) {
			t.Errorf("%s is not among the metrics", line)
		}
	}
}

// A model with columns of bytes, lists, objects and maps, and with parameters, answers through the workers what MLflow's own python_function
// answered; a value that is not of its nested type is refused before it reaches Python.
func TestRealNestedModel(t *testing.T) {
	interpreter := os.Getenv("ASSAY_PYTHON")
	if os.Getenv("ASSAY_TEST_FULL") == "" || interpreter == "" {
		t.Skip("set ASSAY_TEST_FULL and ASSAY_PYTHON, a Python that has mlflow and scikit-learn")
	}
	archive, err := mlmodel.Pack("../../testdata/mlflow/nested")
	if err != nil {
		t.Fatal(err)
	}
	m, err := mlmodel.Open(archive)
	if err != nil {
		t.Fatal(err)
	}
	fields := m.Signature.Fields()
	kinds, err := m.Kinds(fields)
	if err != nil {
		t.Fatal(err)
	}
	o := pyfunc.Options{Python: interpreter, Dir: t.TempDir(), Clock: time.Now, Say: t.Logf, Workers: 1, MemoryBytes: 4 << 30}
	for i, f := range fields {
		c := pyfunc.Column{Name: f.Name, Kind: kinds[i]}
		if n := m.Nested(f.Name); n != nil {
			c.Typed = n.Typed
		}
		o.Columns = append(o.Columns, c)
	}
	if err := m.Extract(o.Dir); err != nil {
		t.Fatal(err)
	}
	pool, err := pyfunc.Start(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	engine, err := Python(pool, o.Columns, fields, nil)
	if err != nil {
		t.Fatal(err)
	}
	server := New(Options{Clock: time.Now, Nonce: "t"})
	bound, err := server.Bind(Binding{Name: "m", Number: 1, Task: assay.Regression, Input: m.Signature.Schema("m"), Output: OutputSchema("out", nil, false), Engine: engine})
	if err != nil {
		t.Fatal(err)
	}
	server.Set("m", bound, bound)
	defer server.Close(context.Background())
	predict := func(rows, params string) ([]float64, error) {
		c, err := server.Begin("test", "m", "", "")
		if err != nil {
			t.Fatal(err)
		}
		defer c.End()
		c.Reader.Reset([]byte(rows), 0)
		if err := c.ReadInstances(&c.Reader); err != nil {
			t.Fatal(err)
		}
		c.Params = append(c.Params, params...)
		err = c.Predict(context.Background())
		return slices.Clone(c.Output.Values), err
	}
	var want struct {
		Input   json.RawMessage
		Answers []struct {
			Params      json.RawMessage
			Predictions []float64
		}
	}
	if err := json.Unmarshal(m.Files["expected.json"], &want); err != nil || len(want.Answers) != 3 {
		t.Fatal(err)
	}
	for _, a := range want.Answers {
		params := string(a.Params)
		if params == "null" {
			params = ""
		}
		got, err := predict(string(want.Input), params)
		if err != nil || !slices.Equal(got, a.Predictions) {
			t.Errorf("%s: %v, expected %v: %v", params, got, a.Predictions, err)
		}
	}
	for row, says := range map[string]string{
		`{"a": [], "b": "", "o": {"n": 0}, "m": null}`:       "m must have a value",
		`{"a": [1, "x"], "b": "", "o": {"n": 0}, "m": {}}`:   "a must be a number at [1]",
		`{"a": [], "b": "@", "o": {"n": 0}, "m": {}}`:        "b must be of type binary",
		`{"a": [], "b": "", "o": {"n": 1.5}, "m": {}}`:       "o must be a whole number",
		`{"a": [], "b": "", "o": {"n": 1}, "m": {"k": "x"}}`: "m must be a number at {}",
		`{"a": 5, "b": "", "o": {"n": 1}, "m": {}}`:          "a must be a list",
		`{"a": [], "b": "", "o": {"n": 1, "z": 1}, "m": {}}`: "o must be an object of the properties of its type alone",
	} {
		if _, err := predict("["+row+"]", ""); assay.CodeOf(err) != assay.Rejected || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v", row, err)
		}
	}
}

// A canary whose real workers die of every request is aborted, and what it did is counted; its twin whose workers live is not.
func TestRealCanaryOfDyingWorkers(t *testing.T) {
	interpreter := os.Getenv("ASSAY_PYTHON")
	if os.Getenv("ASSAY_TEST_FULL") == "" || interpreter == "" {
		t.Skip("set ASSAY_TEST_FULL and ASSAY_PYTHON, a Python that has mlflow")
	}
	archive, err := mlmodel.Pack("../../testdata/mlflow/shift")
	if err != nil {
		t.Fatal(err)
	}
	m, err := mlmodel.Open(archive)
	if err != nil {
		t.Fatal(err)
	}
	server := New(Options{Clock: time.Now, Nonce: "t"})
	defer server.Close(context.Background())
	fields, classes := m.Signature.Fields(), []string{"no", "yes"}
	version := func(number int, dies bool) *Bound {
		kinds, err := m.Kinds(fields)
		if err != nil {
			t.Fatal(err)
		}
		o := pyfunc.Options{Python: interpreter, Dir: t.TempDir(), Clock: time.Now, Say: t.Logf, Workers: 1, MemoryBytes: 4 << 30}
		for i, f := range fields {
			o.Columns = append(o.Columns, pyfunc.Column{Name: f.Name, Kind: kinds[i]})
		}
		if err := m.Extract(o.Dir); err != nil {
			t.Fatal(err)
		}
		if dies {
			file := filepath.Join(o.Dir, "shift.py")
			code, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(file, []byte(strings.Replace(string(code), "        shift = ", "        import os\n        os._exit(1)\n        shift = ", 1)), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		pool, err := pyfunc.Start(context.Background(), o)
		if err != nil {
			t.Fatal(err)
		}
		engine, err := Python(pool, o.Columns, fields, classes)
		if err != nil {
			t.Fatal(err)
		}
		b, err := server.Bind(Binding{Name: "m", Number: number, Task: assay.Binary, Classes: classes, Input: m.Signature.Schema("m"), Output: OutputSchema("out", classes, true), Engine: engine})
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	live := version(1, false)
	for _, dies := range []bool{false, true} {
		canary := version(2, dies)
		split, err := NewSplit(SplitOptions{Live: live, Canary: canary, Percent: 50})
		if err != nil {
			t.Fatal(err)
		}
		server.Route("m", Route{Live: live, Versions: []*Bound{live, canary}, Split: split})
		for i := 0; i < 40 && split.Tripped() == ""; i++ {
			c, err := server.Begin("test", "m", "", fmt.Sprint("request ", i))
			if err != nil {
				t.Fatal(err)
			}
			c.Rows.Add(1)
			c.Rows.SetInt(0, 0, int64(i))
			c.Rows.SetInt(0, 1, 40)
			if err := c.Predict(context.Background()); err != nil && assay.CodeOf(err) != assay.Unavailable {
				t.Fatal(err)
			}
			c.End()
		}
		if got := split.Canary().Compared(); (split.Tripped() != "") != dies || (got.Failed > 5) != dies || got.Answered == 0 || got.LiveFailed > 0 {
			t.Errorf("dies: %v, aborted %q, %+v", dies, split.Tripped(), got)
		}
		server.Set("m", live, live)
	}
}
