package mlflow_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/assaytest"
	"github.com/assay-ml/assay/internal/mlflow"
	"github.com/assay-ml/assay/internal/schema"
	"github.com/assay-ml/assay/internal/serve"
	"github.com/assay-ml/assay/learn"
	"github.com/assay-ml/assay/stat"
)

// sixteen serves a logistic regression over 16 numbers with a reference for unusual rows and a log, and returns a body of that many rows.
func sixteen(t testing.TB) (h http.Handler, body func(rows int) []byte) {
	t.Helper()
	const n, k = 4000, 16
	g := stat.NewRand(1)
	var x assay.Frame
	var fields []assay.Field
	in := schema.New("in")
	labels := make([]int32, n)
	for j := range k {
		c := assay.Column{Name: fmt.Sprintf("x%02d", j), Type: assay.TypeNumber, Floats: make([]float64, n)}
		for i := range n {
			c.Floats[i] = float64(int(10000*(g.Float64()+g.Float64()+g.Float64()-1.5))) / 10000
			if c.Floats[i] > 0.3 {
				labels[i] ^= 1
			}
		}
		x = append(x, c)
		fields = append(fields, assay.Field{Name: c.Name, Type: c.Type})
		in.Columns = append(in.Columns, schema.Column{Name: c.Name, Type: c.Type, NotNull: &schema.NotNull{}})
	}
	m, err := learn.Fit(t.Context(), learn.Spec{
		Learner: "logistic_regression", Task: assay.Binary, Target: learn.Target{Name: "y", Type: assay.TypeInteger, Classes: []string{"0", "1"}, Positive: "1"},
	}, learn.Data{X: x, Labels: labels})
	if err != nil {
		t.Fatal(err)
	}
	p := predictor(t, m)
	classes := []string{"0", "1"}
	e, err := serve.Native(p, fields, classes)
	if err != nil {
		t.Fatal(err)
	}
	support, err := serve.LearnSupport(x, x, nil)
	if err != nil {
		t.Fatal(err)
	}
	outliers, err := support.Outliers(in, serve.DefaultOutlierShare)
	if err != nil {
		t.Fatal(err)
	}
	l, err := serve.OpenLog(serve.LogOptions{Dir: t.TempDir(), Clock: time.Now, Nonce: "n"})
	if err != nil {
		t.Fatal(err)
	}
	s := serve.New(serve.Options{Clock: time.Now, Nonce: "n", Log: l})
	b, err := s.Bind(serve.Binding{
		Name: "m", Number: 2, Task: assay.Binary, Classes: classes, LabelType: assay.TypeInteger, Input: in,
		Output: serve.OutputSchema("out", classes, true), Engine: e, Outliers: outliers,
	})
	if err != nil {
		t.Fatal(err)
	}
	s.Set("m", b, b)
	s.SetReady(true)
	t.Cleanup(func() {
		if err := s.Close(t.Context()); err != nil {
			t.Error(err)
		}
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	mux := http.NewServeMux()
	(&mlflow.Scoring{Server: s, Version: "0.1.0"}).Routes(mux)
	return mux, func(rows int) []byte {
		records := make([]map[string]float64, rows)
		for i := range records {
			records[i] = map[string]float64{}
			for _, c := range x {
				records[i][c.Name] = c.Floats[i]
			}
		}
		doc, err := json.Marshal(map[string]any{"dataframe_records": records})
		if err != nil {
			t.Fatal(err)
		}
		return doc
	}
}

// answered takes an answer and keeps its status alone.
type answered struct {
	header http.Header
	status int
}

func (a *answered) Header() http.Header         { return a.header }
func (a *answered) WriteHeader(status int)      { a.status = status }
func (a *answered) Write(b []byte) (int, error) { return len(b), nil }

// asking returns what sends one request to the handler, over and over.
func asking(t testing.TB, h http.Handler, body []byte) func() {
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/invocations", http.NoBody)
	r.Header.Set("Content-Type", "application/json")
	r.ContentLength = int64(len(body))
	src := bytes.NewReader(body)
	r.Body = io.NopCloser(src)
	w := &answered{header: http.Header{}}
	return func() {
		src.Reset(body)
		w.status = http.StatusOK
		clear(w.header)
		h.ServeHTTP(w, r)
		if w.status != http.StatusOK {
			t.Fatal(w.status)
		}
	}
}

// BenchmarkInvocations is the whole path of a request but for the network: reading, validation, the score of unusual rows, evaluation,
// the checks of the answer, its text, and the log.
func BenchmarkInvocations(b *testing.B) {
	h, body := sixteen(b)
	for _, rows := range []int{1, 100} {
		b.Run(fmt.Sprint(rows), func(b *testing.B) {
			one := asking(b, h, body(rows))
			b.ReportAllocs()
			for b.Loop() {
				one()
			}
		})
	}
}

// TestInvocationsAllocate: a request allocates a few times, whatever the number of its rows, also with all that the network needs: garbage
// is what makes the slowest requests slow.
func TestInvocationsAllocate(t *testing.T) {
	if assaytest.Race {
		t.Skip("the race detector allocates")
	}
	h, body := sixteen(t)
	address := on(t, h)
	for _, rows := range []int{1, 100} {
		if n := testing.AllocsPerRun(1000, asking(t, h, body(rows))); n > 10 {
			t.Errorf("%d rows: %v allocations", rows, n)
		}
		a := dial(t, address, "/invocations", body(rows))
		n := testing.AllocsPerRun(1000, func() {
			if status, _, err := a.ask(); err != nil || status != http.StatusOK {
				t.Fatal(status, err)
			}
		})
		if n > 40 {
			t.Errorf("%d rows over a connection: %v allocations", rows, n)
		}
	}
}
