package monitor

import (
	"context"
	"encoding/json"
	"math"
	"testing"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/learn"
	"github.com/assay-ml/assay/stat"
)

// noisy are rows whose target is 2x with an error that grows with x; x is uniform from low to high.
func noisy(n int, low, high float64, seed uint64) (f assay.Frame, y []float64) {
	r := stat.NewRand(61, seed)
	x := make([]float64, n)
	y = make([]float64, n)
	for i := range x {
		x[i] = low + (high-low)*r.Float64()
		y[i] = 2*x[i] + (0.2+x[i])*r.Normal()
	}
	return assay.Frame{{Name: "x", Type: assay.TypeNumber, Floats: x}}, y
}

// The losses of a regression are estimated without labels: where rows become harder the estimate follows, and its interval holds what labels show.
func TestLossesAreEstimatedDirectly(t *testing.T) {
	ctx, e := context.Background(), engine(t)
	f, y := noisy(4000, 0, 2, 1)
	m, err := learn.Fit(ctx, learn.Spec{Learner: "linear_regression", Task: assay.Regression, Target: learn.Target{Name: "y", Type: assay.TypeNumber}}, learn.Data{X: f, Values: y})
	if err != nil {
		t.Fatal(err)
	}
	b, err := m.ONNX()
	if err != nil {
		t.Fatal(err)
	}
	p, err := learn.Open(b, learn.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	f, y = noisy(6000, 0, 2, 2)
	held := tableOf(t, e, append(f, assay.Column{Name: "y", Type: assay.TypeNumber, Floats: y}))
	doc, rows, err := freezeEstimator(ctx, Subject{Held: held, Target: "y", Model: Model{Predictor: p, Inputs: []string{"x"}, Task: assay.Regression}}, "", 3)
	if err != nil || rows != 6000 {
		t.Fatalf("%d rows, %v", rows, err)
	}
	est, err := readEstimator(doc)
	if err != nil {
		t.Fatal(err)
	}
	w := &Watch{estimator: est}
	for _, name := range []string{"mean_absolute_error", "mean_squared_error", "root_mean_squared_error", "r2_score"} {
		w.plan.Performance = append(w.plan.Performance, assay.MetricPlan{Name: name})
	}
	covered, n := 0.0, 0.0
	for set := range uint64(40) {
		low, high := 0.0, 2.0
		if set%2 == 1 {
			low = 1 // the harder half
		}
		f, y := noisy(1000, low, high, 100+set)
		a, err := p.PredictParallel(ctx, f, 1)
		if err != nil {
			t.Fatal(err)
		}
		got, err := w.proxies(ctx, &windowRows{n: 1000, answers: a, features: f}, Outcomes{})
		if err != nil {
			t.Fatal(err)
		}
		mae, mse := 0.0, 0.0
		for i, v := range a.Values {
			mae, mse = mae+math.Abs(v-y[i])/1000, mse+(v-y[i])*(v-y[i])/1000
		}
		for name, real := range map[string]float64{"mean_absolute_error": mae, "mean_squared_error": mse, "root_mean_squared_error": math.Sqrt(mse)} {
			x := got[name].value
			if math.Abs(x.Value-real) > 0.2*real || got[name].assumption != assumesDLE {
				t.Errorf("set %d: %s is %v, estimated %s", set, name, real, x)
			}
			if n++; x.Lo <= real && real <= x.Hi {
				covered++
			}
		}
		if _, ok := got["r2_score"]; ok {
			t.Error("a score that no loss gives is estimated")
		}
	}
	if c := stat.Proportion(covered, n, 0.999, stat.Wilson); c.Hi < 0.95 || c.Lo > 0.99 {
		t.Errorf("the intervals hold what labels show in %s", c)
	}
}

// Stretches of rows that lie off the calibration by chance alone show no shift; those that really do show it.
func TestShiftBetweenStretches(t *testing.T) {
	for _, c := range []struct{ shift, low, high float64 }{{0, 0, 0.12}, {0.4, 0.25, 0.6}} {
		r := stat.NewRand(62)
		e := Estimator{Versions: []learn.Isotonic{{X: []float64{0, 1}, Y: []float64{0, 1}}}}
		const rows = 40_000
		var score, right []float64
		d := 0.0
		for i := range rows {
			if i%(rows/stretches) == 0 {
				d = c.shift * r.Normal()
			}
			p := 0.05 + 0.9*r.Float64()
			y := 0.0
			if r.Float64() < moved(p, d) {
				y = 1
			}
			score, right = append(score, p), append(right, y)
		}
		if got := e.shift(score, right, consecutive(rows)); got < c.low || got > c.high {
			t.Errorf("a shift of %v is measured as %v", c.shift, got)
		}
	}
}

// A hostile estimator is refused, never run.
func FuzzEstimator(f *testing.F) {
	for _, s := range []string{
		`{"format":"assay.monitor.estimator/1","rows":2,"positive":"1","versions":[{"X":[0,1],"Y":[0,1]}]}`,
		`{"format":"assay.monitor.estimator/1","rows":2,"versions":[{"X":[1,0],"Y":[0,1]}]}`,
		`{"format":"assay.monitor.estimator/1","rows":2,"versions":[{"X":[0],"Y":[2]}]}`,
		`{"format":"assay.monitor.estimator/1","rows":2,"losses":[{"loss":"absolute","model":"AAAA","bias":0,"variance":1,"shift":0}]}`,
		`{}`, `null`, `[`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		e, err := readEstimator(b)
		if err != nil {
			return
		}
		if len(e.Versions)+len(e.Losses) == 0 {
			t.Fatal("an estimator of nothing")
		}
		for _, v := range e.Versions {
			for _, x := range []float64{-1, 0, 0.5, 2} {
				if y := v.At(x); !(y >= 0 && y <= 1) {
					t.Fatalf("probability %v", y)
				}
			}
		}
		if _, err := json.Marshal(e); err != nil {
			t.Fatal(err)
		}
	})
}
