package mlflow_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/mlflow"
	"github.com/assay-ml/assay/internal/mlmodel"
	"github.com/assay-ml/assay/internal/schema"
	"github.com/assay-ml/assay/internal/serve"
)

// recorded serves an echo under the signature of a model of testdata/mlflow, or under four numbers where it names no columns.
func recorded(t *testing.T, name, coerce string) http.Handler {
	t.Helper()
	archive, err := mlmodel.Pack("../../testdata/mlflow/" + name)
	if err != nil {
		t.Fatal(err)
	}
	m, err := mlmodel.Open(archive)
	if err != nil {
		t.Fatal(err)
	}
	in := schema.New(name)
	b := serve.Binding{Name: "m", Number: 1, Task: assay.Regression, Output: serve.OutputSchema("out", nil, false), Engine: &parametric{}, Coerce: coerce}
	if m.Signature.Kind() == "columns" {
		for _, f := range m.Signature.Fields() {
			in.Columns = append(in.Columns, schema.Column{Name: f.Name, Optional: true})
		}
		narrow := m.Signature.Narrow
		if coerce != "" {
			narrow = m.Signature.NarrowCast
		}
		if err := narrow(in); err != nil {
			t.Fatal(err)
		}
		if b.Kinds, err = m.Kinds(m.Signature.Fields()); err != nil {
			t.Fatal(err)
		}
		for i := range m.Signature.Params {
			p := &m.Signature.Params[i]
			b.Params = append(b.Params, serve.Param{Name: p.Name, Typed: p.Typed})
		}
	} else {
		for _, n := range []string{"a", "b", "c", "d"} {
			in.Columns = append(in.Columns, schema.Column{Name: n, Type: assay.TypeNumber})
		}
	}
	b.Input = in
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	s := serve.New(serve.Options{Clock: func() time.Time { return at }, Nonce: "n"})
	v, err := s.Bind(b)
	if err != nil {
		t.Fatal(err)
	}
	s.Set("m", v, v)
	s.SetReady(true)
	mux := http.NewServeMux()
	(&mlflow.Scoring{Server: s, Version: "3.18.0"}).Routes(mux)
	return mux
}

// differing are recorded exchanges that end in another way here, whether casts are made or not, each with the reason.
var differing = map[string]string{
	"instances, rows without names": "the columns are in the order of the schema",
	"split without columns":         "the columns are in the order of the schema",
	"unnamed rows":                  "the columns are in the order of the schema",
	"instances without names":       "the columns are in the order of the schema",
	"missing optional column":       "the signature says that it may be missing; the recorded model fails at that",
	"null in boolean":               "a truth value is not missing",
	"boolean from null":             "a truth value is not missing",
	"duplicate JSON key":            "nobody knows which of the two is meant",
	"BOM before JSON":               "it is not JSON",
	"binary not base64":             "what is not base64 is not skipped",
	"string from object":            "an object is no text",
	"params null value":             "null is none of the parameter's type",
	"CSV for a tensor model":        "its columns are those of the schema",
	"null cell":                     "a missing number is given to the model; the recorded model fails at that",
}

// casting and strict alone end otherwise here.
var (
	differingCasts  = map[string]string{"1e999": "infinity is given to the model, as there; the recorded model fails at that"}
	differingStrict = map[string]string{"datetime with zone": "a time has a zone"}
)

// TestRecorded sends the 140 requests that were sent to `mlflow models serve` 3.18.0. A version that casts answers what MLflow answers, with
// as many rows, and refuses what it refuses, but for what is listed; a version that does not cast refuses more, and nothing that fits.
func TestRecorded(t *testing.T) {
	b, err := os.ReadFile("testdata/invocations.json")
	if err != nil {
		t.Fatal(err)
	}
	var table struct {
		Cases []struct {
			ID, Model, What string
			Request         struct {
				Method, Path string
				ContentType  *string `json:"content_type"`
				Body         *string
			}
			Status int
			Rows   *int
		}
	}
	if err := json.Unmarshal(b, &table); err != nil || len(table.Cases) != 140 {
		t.Fatalf("%d cases: %v", len(table.Cases), err)
	}
	for _, coerce := range []string{"mlflow", ""} {
		mode := differingCasts
		if coerce == "" {
			mode = differingStrict
		}
		same, stricter := 0, 0
		handlers := map[string]http.Handler{}
		for _, c := range table.Cases {
			if handlers[c.Model] == nil {
				handlers[c.Model] = recorded(t, c.Model, coerce)
			}
			body := ""
			if c.Request.Body != nil {
				body = *c.Request.Body
			}
			r := httptest.NewRequest(c.Request.Method, c.Request.Path, strings.NewReader(body))
			if c.Request.ContentType != nil {
				r.Header.Set("Content-Type", *c.Request.ContentType)
			}
			w := httptest.NewRecorder()
			handlers[c.Model].ServeHTTP(w, r)
			ok := c.Status == http.StatusOK
			what := fmt.Sprintf("%s %s %s, casts %q: %d %.200s; MLflow %d", c.ID, c.Model, c.What, coerce, w.Code, w.Body, c.Status)
			if differing[c.What]+mode[c.What] != "" {
				if ok == (w.Code == http.StatusOK) && (coerce != "" || ok) {
					t.Errorf("listed as differing: %s", what)
				}
				continue
			}
			switch {
			case ok && w.Code == http.StatusOK:
				same++
				var reply struct{ Predictions []json.RawMessage }
				if c.Rows != nil && (json.Unmarshal(w.Body.Bytes(), &reply) != nil || len(reply.Predictions) != *c.Rows) {
					t.Errorf("of %d rows: %s", *c.Rows, what)
				}
			case ok && coerce == "" && w.Code == http.StatusBadRequest:
				stricter++
			case ok, w.Code < 400 || w.Code > 499:
				t.Error(what)
			default:
				same++
			}
		}
		t.Logf("casts %q: %d end as with MLflow, %d are refused here alone", coerce, same, stricter)
		if same < 80 {
			t.Error("too few end as with MLflow")
		}
	}
}
