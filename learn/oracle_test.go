package learn

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/assaytest"
)

type linearArgs struct {
	X            [][]float64     `json:"X"`
	Y            []any           `json:"y"`
	C            assaytest.Float `json:"C"`
	Alpha        *float64        `json:"alpha"`
	Weights      []float64       `json:"sample_weight"`
	ClassWeight  json.RawMessage `json:"class_weight"`
	FitIntercept *bool           `json:"fit_intercept"`
	Strategy     string          `json:"strategy"`
	Quantile     float64         `json:"quantile"`
}

func decode[T any](t *testing.T, raw json.RawMessage) T {
	t.Helper()
	var v T
	if err := json.Unmarshal(raw, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

func argsOf(t *testing.T, c assaytest.Case) linearArgs {
	b, err := json.Marshal(c.Args)
	if err != nil {
		t.Fatal(err)
	}
	return decode[linearArgs](t, b)
}

func columnsOf(x [][]float64) [][]float64 {
	out := make([][]float64, len(x[0]))
	for j := range out {
		out[j] = make([]float64, len(x))
		for i := range x {
			out[j][i] = x[i][j]
		}
	}
	return out
}

// classify codes labels in sorted order.
func classify(y []any, sorted []any) []int32 {
	out := make([]int32, len(y))
	for i, v := range y {
		for k, c := range sorted {
			if v == c {
				out[i] = int32(k)
			}
		}
	}
	return out
}

func TestLogisticOracle(t *testing.T) {
	cases, tol := assaytest.Oracle(t, "learn/linear.json")
	ran := 0
	for _, c := range cases {
		if c.Fn != "logistic" {
			continue
		}
		ran++
		t.Run(c.ID, func(t *testing.T) {
			a := argsOf(t, c)
			want := decode[struct {
				Classes   []any       `json:"classes"`
				Coef      [][]float64 `json:"coef"`
				Intercept []float64   `json:"intercept"`
				Proba     [][]float64 `json:"proba_first5"`
			}](t, c.Value)
			y := classify(a.Y, want.Classes)
			w := a.Weights
			if string(c.Args["class_weight"]) == `"balanced"` {
				j := job{spec: Spec{Task: assay.Binary, Target: Target{Classes: make([]string, len(want.Classes))}, ClassWeight: ClassWeight{Balanced: true}}}
				j.data = Data{Labels: y, Weights: w}
				w = j.rowWeights()
			}
			intercept := *a.FitIntercept
			p := &logisticProblem{x: newFeatures(len(y), columnsOf(a.X), nil, nil, intercept, 2), y: y, w: w, scores: len(want.Coef), lambda: 1 / float64(a.C), intercept: intercept}
			check := func(beta []float64, converged bool, err error, tol assaytest.Tolerance) {
				t.Helper()
				if err != nil || !converged {
					t.Fatal(converged, err)
				}
				for k, row := range want.Coef {
					for j, v := range row {
						if got := beta[k*p.x.size+j]; !tol.Near(got, v) {
							t.Errorf("coefficient %d,%d is %v, want %v", k, j, got, v)
						}
					}
					if intercept {
						if got := beta[k*p.x.size+len(row)]; !tol.Near(got, want.Intercept[k]) {
							t.Errorf("intercept %d is %v, want %v", k, got, want.Intercept[k])
						}
					}
				}
			}
			beta, converged, err := p.solve(context.Background(), 100)
			check(beta, converged, err, tol)
			prob := make([][]float64, p.scores)
			for k := range prob {
				prob[k] = make([]float64, len(y))
			}
			p.loss(beta, prob)
			for i, row := range want.Proba {
				for k, v := range row {
					got := 0.0
					if p.scores > 1 {
						got = prob[k][i]
					} else if got = prob[0][i]; k == 0 {
						got = 1 - got
					}
					if !tol.Near(got, v) {
						t.Errorf("probability of class %d in row %d is %v, want %v", k, i, got, v)
					}
				}
			}
		})
	}
	if ran != 15 {
		t.Errorf("ran %d cases", ran)
	}
}

func TestLinearOracle(t *testing.T) {
	cases, tol := assaytest.Oracle(t, "learn/linear.json")
	ran := 0
	for _, c := range cases {
		if c.Fn != "linear" && c.Fn != "ridge" {
			continue
		}
		ran++
		a := argsOf(t, c)
		want := decode[struct {
			Coef      []float64 `json:"coef"`
			Intercept float64   `json:"intercept"`
		}](t, c.Value)
		y := make([]float64, len(a.Y))
		for i, v := range a.Y {
			y[i] = v.(float64)
		}
		intercept := a.FitIntercept == nil || *a.FitIntercept
		p := newLinearProblem(newFeatures(len(y), columnsOf(a.X), nil, nil, intercept, 2), y, a.Weights, intercept)
		var beta []float64
		var err error
		if c.Fn == "ridge" {
			beta, err = p.ridge(context.Background(), *a.Alpha, 2)
		} else {
			beta, err = p.leastSquares(0)
		}
		if err != nil {
			t.Fatal(c.ID, err)
		}
		for j, v := range want.Coef {
			if !tol.Near(beta[j], v) {
				t.Errorf("%s: coefficient %d is %v, want %v", c.ID, j, beta[j], v)
			}
		}
		if intercept && !tol.Near(beta[len(want.Coef)], want.Intercept) {
			t.Errorf("%s: intercept is %v, want %v", c.ID, beta[len(want.Coef)], want.Intercept)
		}
	}
	if ran != 10 {
		t.Errorf("ran %d cases", ran)
	}
}

func TestBaselineOracle(t *testing.T) {
	cases, tol := assaytest.Oracle(t, "learn/linear.json")
	names := map[string]string{"prior": "prior", "most_frequent": "majority", "uniform": "uniform", "mean": "mean", "median": "median", "quantile": "quantile"}
	ran := 0
	for _, c := range cases {
		if !strings.HasPrefix(c.Fn, "dummy_") {
			continue
		}
		a := argsOf(t, c)
		spec := Spec{Learner: names[a.Strategy], Params: map[string]any{}}
		switch c.Fn {
		case "dummy_classifier":
			want := decode[struct {
				Proba   []float64 `json:"proba_row"`
				Predict *float64  `json:"predict"`
			}](t, c.Value)
			spec.Task, spec.Target.Classes = assay.Multiclass, []string{"0", "1", "2"}
			data := Data{}
			for _, v := range a.Y {
				data.Labels = append(data.Labels, int32(v.(float64)))
			}
			m, err := Fit(context.Background(), spec, data)
			if err != nil {
				t.Fatal(c.ID, err)
			}
			got, err := m.baseline.Predict(2)
			if err != nil {
				t.Fatal(c.ID, err)
			}
			for k, v := range want.Proba {
				if !tol.Near(got.Proba[3+k], v) {
					t.Errorf("%s: probability %v, want %v", c.ID, got.Proba[3:], want.Proba)
				}
			}
			if want.Predict != nil && float64(got.Labels[0]) != *want.Predict {
				t.Errorf("%s: label %d, want %v", c.ID, got.Labels[0], *want.Predict)
			}
		case "dummy_regressor":
			spec.Task = assay.Regression
			if a.Strategy == "quantile" {
				spec.Params["quantile"] = a.Quantile
			}
			data := Data{Weights: a.Weights}
			for _, v := range a.Y {
				data.Values = append(data.Values, v.(float64))
			}
			m, err := Fit(context.Background(), spec, data)
			if err != nil {
				t.Fatal(c.ID, err)
			}
			want := decode[struct{ Constant float64 }](t, c.Value).Constant
			if got := m.baseline.values[0]; !tol.Near(got, want) {
				t.Errorf("%s: %v, want %v", c.ID, got, want)
			}
		}
		ran++
	}
	if ran != 10 {
		t.Errorf("ran %d cases", ran)
	}
}

// mixed is a small table with every kind of column: numbers with gaps, large integers, codes with gaps, text with gaps and rare words.
func mixed(n int) (assay.Frame, []int32, []float64) {
	words := []string{"", "blue", "green", "red", "rust"}
	f := assay.Frame{
		{Name: "amount", Type: assay.TypeNumber, Floats: make([]float64, n)},
		{Name: "stamp", Type: assay.TypeTimestamp, Floats: make([]float64, n)},
		{Name: "code", Type: assay.TypeInteger, Floats: make([]float64, n)},
		{Name: "colour", Type: assay.TypeString, Codes: make([]int32, n), Levels: words},
		{Name: "label", Type: assay.TypeNumber, Floats: make([]float64, n)},
	}
	y, v := make([]int32, n), make([]float64, n)
	for i := range n {
		r := float64(i*7919%1000) / 1000
		f[0].Floats[i] = 10 * r
		f[1].Floats[i] = 1.7e9 + float64(i*104729%100000)
		f[2].Floats[i] = float64(i * 31 % 5)
		f[3].Codes[i] = int32(i*17%4) - 1
		f[4].Floats[i] = float64(i % 3)
		if i%11 == 0 {
			f[0].Floats[i] = math.NaN()
		}
		if i%13 == 0 {
			f[2].Floats[i] = math.NaN()
		}
		if i%101 == 0 {
			f[3].Codes[i] = 4
		}
		if r+0.1*float64(i%5) > 0.7 {
			y[i] = 1
		}
		v[i] = 3*r + float64(i%5)
	}
	return f, y, v
}

func TestLogisticModelAgreesWithItsFile(t *testing.T) {
	x, y, _ := mixed(2000)
	for _, prep := range []Prepare{{}, {Indicator: true, Impute: "mean", RareBelow: 50, Unknown: "rare"}, {MaxLevels: 2, Impute: "most_frequent"}, {Unknown: "error", Impute: "zero"}} {
		spec := Spec{Learner: "logistic_regression", Task: assay.Binary, Target: Target{Name: "y", Type: assay.TypeInteger, Classes: []string{"0", "1"}}, Categorical: []string{"code"}, Prepare: prep, Threads: 1}
		m, err := Fit(context.Background(), spec, Data{X: x, Labels: y})
		if err != nil {
			t.Fatal(err)
		}
		one, err := m.ONNX()
		if err != nil {
			t.Fatal(err)
		}
		for _, threads := range []int{2, 8} {
			spec.Threads = threads
			again, err := Fit(context.Background(), spec, Data{X: x, Labels: y})
			if err != nil {
				t.Fatal(err)
			}
			if many, _ := again.ONNX(); string(many) != string(one) {
				t.Errorf("%+v: the model differs at %d threads", prep, threads)
			}
		}
		j := &job{ctx: context.Background(), spec: spec, data: Data{X: x, Labels: y}, threads: 1, params: params{"standardize": true}}
		in, err := j.linearInput(true)
		if err != nil {
			t.Fatal(err)
		}
		p := &logisticProblem{x: in.x, y: y, scores: 1, lambda: 1, intercept: true}
		beta, _, err := p.solve(context.Background(), 100)
		if err != nil {
			t.Fatal(err)
		}
		prob := [][]float64{make([]float64, len(y))}
		p.loss(beta, prob)
		got, err := m.Predict(x)
		if err != nil {
			t.Fatal(err)
		}
		if fmt.Sprint(got.Classes) != "[0 1]" {
			t.Errorf("classes %q", got.Classes)
		}
		worst := 0.0
		for i, want := range prob[0] {
			worst = max(worst, math.Abs(got.Proba[2*i+1]-want))
		}
		if !(worst < 2e-6) {
			t.Errorf("%+v: the file's probabilities are off by %v", prep, worst)
		}
	}
}
