package serve

import (
	"context"
	"encoding/json"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/assaytest"
	"github.com/assay-ml/assay/internal/schema"
	"github.com/assay-ml/assay/learn"
)

// TestForestIsServed: the probabilities of a scikit-learn forest, which float32 takes a little beyond 0 and 1, are answered as the bounds, as
// evaluations count them.
func TestForestIsServed(t *testing.T) {
	c := assaytest.Model(t, "oracle/onnx", "skl_forest_rounded")
	p, err := learn.Open(c.Model, learn.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	classes := []string{"no", "yes"}
	fields := []assay.Field{{Name: "a", Type: assay.TypeNumber}, {Name: "b", Type: assay.TypeNumber}}
	e, err := Native(p, fields, classes)
	if err != nil {
		t.Fatal(err)
	}
	in := schema.New("in")
	for _, f := range fields {
		in.Columns = append(in.Columns, schema.Column{Name: f.Name, Type: f.Type})
	}
	log, err := OpenLog(LogOptions{Dir: t.TempDir(), Clock: time.Now, Nonce: "t"})
	if err != nil {
		t.Fatal(err)
	}
	server := New(Options{Clock: time.Now, Nonce: "t", Log: log})
	b, err := server.Bind(Binding{Name: "m", Number: 1, Task: assay.Binary, Classes: classes, Input: in, Output: OutputSchema("out", classes, true), Engine: e})
	if err != nil {
		t.Fatal(err)
	}
	server.Set("m", b, b)
	call, err := server.Begin("test", "m", "", "")
	if err != nil {
		t.Fatal(err)
	}
	x := c.Inputs["X"]
	call.Rows.Add(x.Shape[0])
	for i, v := range x.Floats {
		call.Rows.SetFloat(i/2, i%2, v)
	}
	if err := call.Predict(context.Background()); err != nil {
		t.Fatal(err)
	}
	bounds, noted := 0, map[int]string{}
	for i, v := range c.Outputs["probabilities"].Floats {
		got := call.Output.Proba[i]
		if v < 0 || v > 1 {
			bounds++
			if noted[i/2] != "" {
				noted[i/2] += "; "
			}
			noted[i/2] += "probability_" + classes[i%2] + " clipped"
		}
		if v < 0 && got != 0 || v > 1 && got != 1 {
			t.Errorf("probability %d is answered as %v, the file says %v", i, got, v)
		}
	}
	if bounds == 0 {
		t.Error("no probability of the file is outside 0 to 1: it shows nothing")
	}

	// They are counted, and the log says which.
	call.End()
	if tally := server.Tallies()[0]; tally.Clipped != int64(bounds) {
		t.Errorf("%d probabilities are counted of %d", tally.Clipped, bounds)
	}
	registry := prometheus.NewRegistry()
	registry.MustRegister(server)
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	counted := -1.0
	for _, f := range families {
		if f.GetName() == "assay_clipped_probabilities_total" {
			counted = f.GetMetric()[0].GetCounter().GetValue()
		}
	}
	if counted != float64(bounds) {
		t.Errorf("/metrics has %v of %d", counted, bounds)
	}
	text := closedLines(t, log)
	for row := range x.Shape[0] {
		line, err := text.ReadBytes('\n')
		var got struct {
			Coerced string `json:"_coerced"`
		}
		if err != nil || json.Unmarshal(line, &got) != nil || got.Coerced != noted[row] {
			t.Errorf("row %d: the log says %q, want %q (%v)", row, got.Coerced, noted[row], err)
		}
	}
}
