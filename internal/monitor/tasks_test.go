package monitor_test

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/assaytest"
	"github.com/assay-ml/assay/internal/monitor"
	"github.com/assay-ml/assay/internal/table"
	"github.com/assay-ml/assay/learn"
	"github.com/assay-ml/assay/stat"
)

// traffic makes rows of two numbers, a day over so many days, and a target: a number, or one of three classes. The first number is moved by shift from
// day changed on.
func traffic(task assay.Task, days, each, changed int, shift float64, stream uint64) assay.Frame {
	g := stat.NewRand(21, stream)
	begin := time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)
	a, b, at := assay.Column{Name: "a", Type: assay.TypeNumber}, assay.Column{Name: "b", Type: assay.TypeNumber}, assay.Column{Name: "day", Type: assay.TypeString}
	y := assay.Column{Name: "y", Type: assay.TypeNumber}
	if task == assay.Multiclass {
		y.Type, y.Levels = assay.TypeString, []string{"high", "low", "middle"}
	}
	for d := range days {
		at.Levels = append(at.Levels, begin.AddDate(0, 0, d).Format("2006-01-02"))
		for range each {
			u, v := g.Normal(), g.Normal()
			if d >= changed {
				u += shift
			}
			a.Floats, b.Floats, at.Codes = append(a.Floats, u), append(b.Floats, v), append(at.Codes, int32(d))
			switch out := u + 0.5*v + 0.2*g.Normal(); {
			case task != assay.Multiclass:
				y.Floats = append(y.Floats, out)
			case out > 0.6:
				y.Codes = append(y.Codes, 0)
			case out < -0.6:
				y.Codes = append(y.Codes, 1)
			default:
				y.Codes = append(y.Codes, 2)
			}
		}
	}
	return assay.Frame{a, b, at, y}
}

// TestMonitorTasks watches a regression and a model of three classes by calendar months, with chance drawn from whole days of the training data: months like it
// are quiet, and after a change both the column and the answers have moved.
func TestMonitorTasks(t *testing.T) {
	e, err := table.Open(context.Background(), table.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	assaytest.NoSlowJoins(t, e.Explain)
	ctx := context.Background()
	dated := func(f assay.Frame) *table.Table {
		x := tableOf(t, e, f)
		fields := x.Fields()
		for i := range fields {
			if fields[i].Name == "day" {
				fields[i].Type = assay.TypeDate
			}
		}
		y, err := x.Select(ctx, "SELECT * REPLACE (CAST(day AS DATE) AS day) FROM "+x.Relation(), fields)
		if err != nil {
			t.Fatal(err)
		}
		return y
	}
	for _, c := range []struct {
		task    assay.Task
		learner string
		answers []string
	}{{assay.Regression, "ridge", []string{"prediction"}}, {assay.Multiclass, "logistic_regression", []string{"prediction", "probability"}}} {
		train := traffic(c.task, 91, 60, 91, 0, 1)
		spec := learn.Spec{Learner: c.learner, Task: c.task, Target: learn.Target{Name: "y", Type: train[3].Type}}
		data := learn.Data{X: train[:2], Values: train[3].Floats}
		if c.task == assay.Multiclass {
			spec.Target.Classes = train[3].Levels
			data.Labels = train[3].Codes
		}
		m, err := learn.Fit(ctx, spec, data)
		if err != nil {
			t.Fatal(err)
		}
		b, err := m.ONNX()
		if err != nil {
			t.Fatal(err)
		}
		predictor, err := learn.Open(b, learn.Limits{})
		if err != nil {
			t.Fatal(err)
		}
		model := monitor.Model{Predictor: predictor, Inputs: []string{"a", "b"}, Task: c.task, Threads: 2}
		ref := dated(train)
		p, err := monitor.NewPlan(ctx, monitor.Subject{Train: ref, Held: ref, Columns: model.Inputs, Target: "y", Time: "day", Model: model}, monitor.Settings{Windows: window(t, "1mo"), MinRows: 200, Seed: 4})
		if err != nil {
			t.Fatal(err)
		}
		if p.Monitor.Budget.Null != "stretches_of_time" || p.Monitor.Budget.BlockSeconds != 4*86400 {
			t.Errorf("%s: chance is by %s in blocks of %d s", c.task, p.Monitor.Budget.Null, p.Monitor.Budget.BlockSeconds)
		}
		w, err := monitor.Open(p.Monitor, func(d assay.Digest) ([]byte, error) {
			for i, r := range p.Monitor.References {
				if r.Document == d {
					return p.Documents[i], nil
				}
			}
			return nil, assay.Errorf(assay.NotFound, "no document %s", d)
		})
		if err != nil {
			t.Fatal(err)
		}
		seen, err := w.Run(ctx, monitor.Traffic{Table: dated(traffic(c.task, 121, 60, 60, 0.8, 2)), By: "day", Model: &model})
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, j := range seen.Windows {
			got = append(got, fmt.Sprintf("%s %d %s", j.Label, j.Drift.Window.Rows, j.Drift.Verdict))
			moved := map[string]bool{}
			for _, s := range j.Drift.Signals {
				if s.Verdict == assay.Fail {
					moved[s.Column] = true
				}
			}
			if j.Drift.Verdict == assay.Fail {
				for _, name := range append([]string{"a"}, c.answers...) {
					if !moved[name] {
						t.Errorf("%s, %s: %s did not move: %v", c.task, j.Label, name, moved)
					}
				}
				if moved["b"] {
					t.Errorf("%s, %s: b moved", c.task, j.Label)
				}
			}
		}
		if want := "[2024-01 1860 pass 2024-02 1740 pass 2024-03 1860 fail 2024-04 1800 fail]"; fmt.Sprint(got) != want {
			t.Errorf("%s: %v, want %s", c.task, got, want)
		}
	}
}

// TestAnswersOnly: a model that cannot be asked, but whose answers to the held-out rows are at hand, has the same references, rows without a label included.
func TestAnswersOnly(t *testing.T) {
	e, err := table.Open(context.Background(), table.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	assaytest.NoSlowJoins(t, e.Explain)
	ctx := context.Background()
	f := traffic(assay.Multiclass, 20, 60, 20, 0, 1)
	m, err := learn.Fit(ctx, learn.Spec{Learner: "logistic_regression", Task: assay.Multiclass, Target: learn.Target{Name: "y", Type: f[3].Type, Classes: f[3].Levels}}, learn.Data{X: f[:2], Labels: f[3].Codes})
	if err != nil {
		t.Fatal(err)
	}
	b, err := m.ONNX()
	if err != nil {
		t.Fatal(err)
	}
	predictor, err := learn.Open(b, learn.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	answers, err := predictor.PredictParallel(ctx, f[:2], 1)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 100 {
		f[3].Codes[i*7] = -1
	}
	held := tableOf(t, e, f)
	x := monitor.Subject{Train: held, Held: held, Columns: []string{"a", "b"}, Target: "y", Model: monitor.Model{Predictor: predictor, Inputs: []string{"a", "b"}, Task: assay.Multiclass, Threads: 2}}
	settings := monitor.Settings{Windows: window(t, "500 rows"), MinRows: 200, Seed: 4, Labels: true, RowsPerDay: 500}
	asked, err := monitor.NewPlan(ctx, x, settings)
	if err != nil {
		t.Fatal(err)
	}
	x.Model.Predictor, x.Answers = nil, &answers
	known, err := monitor.NewPlan(ctx, x, settings)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.EqualFunc(asked.Documents, known.Documents, bytes.Equal) || len(known.Documents) != 5 {
		t.Errorf("%d and %d documents, which differ", len(asked.Documents), len(known.Documents))
	}
	for _, s := range known.Monitor.Signals {
		if s.Scope == monitor.ScopeInput && s.Weight != 1 {
			t.Errorf("%s of %q has the weight %v: nobody knows what it is to the model", s.Kind, s.Column, s.Weight)
		}
	}
	answers.Labels = answers.Labels[1:]
	if _, err := monitor.NewPlan(ctx, x, settings); assay.CodeOf(err) != assay.Internal {
		t.Errorf("an answer is missing: %v", err)
	}
}
