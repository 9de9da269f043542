package oip_test

import (
	"encoding/json"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/oip"
	"github.com/assay-ml/assay/internal/schema"
	"github.com/assay-ml/assay/internal/serve"
	"github.com/assay-ml/assay/learn"
)

// stricter are exchanges that MLServer answers and Assay refuses, each with the reason.
var stricter = map[string]string{
	"datatype FP16":                  "FP16 has no form in JSON",
	"datatype BOOL":                  "a truth value is not a number",
	"negative dimension":             "a shape is not negative",
	"unknown content_type parameter": "an unknown codec could change what the bytes mean",
}

// laxer are exchanges that MLServer refuses and Assay answers.
var laxer = map[string]string{
	"null in data":            "null is a missing value, which the schema of this model allows",
	"content type text/plain": "the body is JSON, whatever it is called",
	"missing optional column": "the signature says that it may be missing; MLServer's model fails at that",
	"int64 for int32 column":  "the values are within 32 bits",
	"INT64 for FP64 column":   "the values are numbers that a float holds",
}

// likeMLServer serves models that take what those of the recordings take, and answer the same types.
func likeMLServer(t testing.TB) *serve.Server {
	t.Helper()
	s := serve.New(serve.Options{Clock: func() time.Time { return time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC) }, Nonce: "n"})
	var numbers []schema.Column
	for _, n := range []string{"a", "b", "c", "d"} {
		numbers = append(numbers, schema.Column{Name: n, Type: assay.TypeNumber})
	}
	lo, hi := schema.Int(math.MinInt32), schema.Int(math.MaxInt32)
	people := []schema.Column{ // as the signature of testdata/mlflow/titanic has them
		{Name: "age", Type: assay.TypeNumber, Optional: true},
		{Name: "fare", Type: assay.TypeNumber},
		{Name: "sibsp", Type: assay.TypeInteger, NotNull: &schema.NotNull{}},
		{Name: "parch", Type: assay.TypeInteger, NotNull: &schema.NotNull{}, Range: &schema.Range{Min: &lo, Max: &hi}},
		{Name: "sex", Type: assay.TypeString},
		{Name: "embarked", Type: assay.TypeString},
		{Name: "alone", Type: assay.TypeBoolean, NotNull: &schema.NotNull{}},
	}
	three, two := []string{"0", "1", "2"}, []string{"0", "1"}
	for _, m := range []model{
		{"clf", learn.Spec{Learner: "logistic_regression", Task: assay.Multiclass, Target: learn.Target{Name: "y", Type: assay.TypeInteger, Classes: three}}, numbers, three},
		{"reg", learn.Spec{Learner: "linear_regression", Task: assay.Regression, Target: learn.Target{Name: "y", Type: assay.TypeNumber}}, numbers, nil},
		{"titanic", learn.Spec{Learner: "logistic_regression", Task: assay.Binary, Target: learn.Target{Name: "y", Type: assay.TypeInteger, Classes: two, Positive: "1"}}, people, two},
	} {
		v := bind(t, s, m, 1)
		s.Set(m.name, v, v)
	}
	s.SetReady(true)
	return s
}

// TestMLServer sends the recorded requests: what MLServer answers, Assay answers in the same form, and what MLServer refuses, or fails
// at with a status of 500, Assay refuses with a status of 400 to 499 and the protocol's error document. Differences are listed above.
func TestMLServer(t *testing.T) {
	b, err := os.ReadFile("testdata/mlserver.json")
	if err != nil {
		t.Fatal(err)
	}
	var table struct {
		Cases []struct {
			ID, What string
			Request  struct {
				Method, Path string
				ContentType  *string `json:"content_type"`
				Body         *string
			}
			Response struct {
				Status int
				Body   string
			}
		}
	}
	if err := json.Unmarshal(b, &table); err != nil || len(table.Cases) < 40 {
		t.Fatalf("%d cases: %v", len(table.Cases), err)
	}
	s := likeMLServer(t)
	mux := http.NewServeMux()
	(&oip.Inference{Server: s, Version: "test"}).Routes(mux)
	answered, refused := 0, 0
	for _, c := range table.Cases {
		t.Run(c.ID, func(t *testing.T) {
			body := ""
			if c.Request.Body != nil {
				body = *c.Request.Body
			}
			path := c.Request.Path
			for from, to := range map[string]string{"/versions/v1": "/versions/1", "/versions/v7": "/versions/7", "/versions/v9": "/versions/9"} {
				path = strings.Replace(path, from, to, 1) // versions of Assay are numbers
			}
			r := httptest.NewRequest(c.Request.Method, path, strings.NewReader(body))
			if c.Request.ContentType != nil {
				r.Header.Set("Content-Type", *c.Request.ContentType)
			}
			w := httptest.NewRecorder()
			mux.ServeHTTP(w, r)
			ok := c.Response.Status == http.StatusOK
			if stricter[c.What] != "" || laxer[c.What] != "" {
				ok = !ok
			}
			if !ok {
				refused++
				var doc struct{ Error string }
				if w.Code < 400 || w.Code > 499 || json.Unmarshal(w.Body.Bytes(), &doc) != nil || doc.Error == "" {
					t.Errorf("%s: %d %s; MLServer %d %s", c.What, w.Code, w.Body, c.Response.Status, c.Response.Body)
				}
				if c.Response.Status == http.StatusNotFound && w.Code != http.StatusNotFound {
					t.Errorf("%s: %d; MLServer 404", c.What, w.Code)
				}
				return
			}
			answered++
			if w.Code != http.StatusOK {
				t.Fatalf("%s: %d %s", c.What, w.Code, w.Body)
			}
			if !strings.HasSuffix(path, "/infer") || laxer[c.What] != "" {
				return
			}
			sameForm(t, c.What, body, c.Response.Body, w.Body.Bytes())
		})
	}
	if answered < 15 || refused < 20 {
		t.Errorf("%d were answered, %d refused", answered, refused)
	}
}

type inferReply struct {
	Name    string `json:"model_name"`
	ID      string `json:"id"`
	Outputs []outputReply
}

type outputReply struct {
	Name, Datatype string
	Shape          []int64
	Parameters     struct {
		ContentType string `json:"content_type"`
	}
	Data []json.RawMessage
}

// sameForm compares answers in all but the values, which are another model's: the name, the id where one was sent, and of each of
// MLServer's outputs the name where it was asked for, the datatype, the codec and the number of rows and elements.
func sameForm(t *testing.T, what, request, theirs string, ours []byte) {
	t.Helper()
	var want, got inferReply
	if err := json.Unmarshal([]byte(theirs), &want); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(ours, &got); err != nil {
		t.Fatalf("%s: %s: %v", what, ours, err)
	}
	if got.Name != want.Name || got.ID == "" || strings.Contains(request, `"id"`) && got.ID != want.ID {
		t.Errorf("%s: answered %s as %s", what, got.ID, got.Name)
	}
	named := strings.Contains(request, `"outputs"`)
	for i, w := range want.Outputs {
		at := i
		if named {
			at = slices.IndexFunc(got.Outputs, func(o outputReply) bool {
				return o.Name == w.Name
			})
		}
		if at < 0 || at >= len(got.Outputs) {
			t.Errorf("%s: the output %s is missing: %s", what, w.Name, ours)
			continue
		}
		g := got.Outputs[at]
		if g.Datatype != w.Datatype || g.Parameters.ContentType != w.Parameters.ContentType || len(g.Data) != len(w.Data) || g.Shape[0] != w.Shape[0] {
			t.Errorf("%s: output %s is %s %s %v with %d elements; MLServer's %s %s %v with %d", what, w.Name, g.Datatype, g.Parameters.ContentType, g.Shape, len(g.Data), w.Datatype, w.Parameters.ContentType, w.Shape, len(w.Data))
		}
	}
}
