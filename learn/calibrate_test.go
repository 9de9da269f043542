package learn

import (
	"context"
	"math"
	"testing"

	"pgregory.net/rapid"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/assaytest"
)

func TestCalibrationOracle(t *testing.T) {
	cases, tol := assaytest.Oracle(t, "learn/linear.json")
	ran := 0
	for _, c := range cases {
		if c.Fn != "isotonic" && c.Fn != "sigmoid_calibration" {
			continue
		}
		x, y := assaytest.Floats(t, c.Args["x"]), assaytest.Floats(t, c.Args["y"])
		switch c.Fn {
		case "isotonic":
			want := decode[struct {
				Values []float64 `json:"values"`
				X      []float64 `json:"x_thresholds"`
				Y      []float64 `json:"y_thresholds"`
			}](t, c.Value)
			f, err := FitIsotonic(x, y, nil)
			if err != nil {
				t.Fatal(err)
			}
			for i, at := range assaytest.Floats(t, c.Args["at"]) {
				if got := f.At(at); !tol.Near(got, want.Values[i]) {
					t.Errorf("at %v: %v, want %v", at, got, want.Values[i])
				}
			}
			if len(f.X) != len(want.X) {
				t.Fatalf("points %v, want %v", f.X, want.X)
			}
			for i := range want.X {
				if !tol.Near(f.X[i], want.X[i]) || !tol.Near(f.Y[i], want.Y[i]) {
					t.Errorf("point %d is (%v, %v), want (%v, %v)", i, f.X[i], f.Y[i], want.X[i], want.Y[i])
				}
			}
		case "sigmoid_calibration":
			want := decode[struct{ A, B float64 }](t, c.Value)
			s, err := FitSigmoid(x, y, nil)
			if err != nil {
				t.Fatal(err)
			}
			near := assaytest.Tolerance{Rel: 1e-4, Abs: 1e-4} // as the case states: the peer's optimiser stops there
			if !near.Near(s.A, want.A) || !near.Near(s.B, want.B) {
				t.Errorf("%+v, want %+v", s, want)
			}
		}
		ran++
	}
	if ran != 2 {
		t.Errorf("ran %d cases", ran)
	}
}

func TestIsotonicProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 40).Draw(t, "n")
		x, y, w := make([]float64, n), make([]float64, n), make([]float64, n)
		for i := range x {
			x[i] = float64(rapid.IntRange(-5, 5).Draw(t, "x"))
			y[i] = rapid.Float64Range(-10, 10).Draw(t, "y")
			w[i] = float64(rapid.IntRange(1, 3).Draw(t, "w"))
		}
		f, err := FitIsotonic(x, y, w)
		if err != nil {
			t.Fatal(err)
		}
		sum, fitted := 0.0, 0.0
		for i := range x {
			sum += w[i] * y[i]
			fitted += w[i] * f.At(x[i])
		}
		if math.Abs(sum-fitted) > 1e-9*(1+math.Abs(sum)) {
			t.Fatalf("the fit sums to %v, the outcomes to %v", fitted, sum)
		}
		for i := 1; i < len(f.X); i++ {
			if f.X[i] <= f.X[i-1] || f.Y[i] < f.Y[i-1]-1e-12 {
				t.Fatalf("not increasing: %v %v", f.X, f.Y)
			}
		}
	})
}

func TestCalibrationRefuses(t *testing.T) {
	_, err := FitIsotonic(nil, nil, nil)
	mustSay(t, err, assay.Invalid, "0 scores")
	_, err = FitSigmoid([]float64{1, math.NaN()}, []float64{0, 1}, nil)
	mustSay(t, err, assay.Invalid, "row 1")
	_, err = FitIsotonic([]float64{1, 2}, []float64{0, 1}, []float64{0, 0})
	mustSay(t, err, assay.Invalid, "weights are all 0")
	if s, err := FitSigmoid([]float64{1, 2}, []float64{1, 1}, nil); err != nil || !(s.At(1) > 0.5 && s.At(1) < 1) {
		t.Errorf("one outcome: %+v, %v", s, err)
	}
}

// TestCalibratedFile holds the graph's calibration against the function that was fitted.
func TestCalibratedFile(t *testing.T) {
	x, y, _ := mixed(2000)
	for _, how := range []string{"sigmoid", "isotonic"} {
		spec := Spec{Learner: "logistic_regression", Task: assay.Binary, Target: Target{Classes: []string{"a", "b"}}}
		plain, err := Fit(context.Background(), spec, Data{X: x, Labels: y})
		if err != nil {
			t.Fatal(err)
		}
		spec.Calibrate = how
		m, err := Fit(context.Background(), spec, Data{X: x, Labels: y})
		if err != nil {
			t.Fatal(err)
		}
		l, _ := LookupLearner(spec.Learner)
		j := &job{ctx: context.Background(), spec: spec, data: Data{X: x, Labels: y}, params: l.resolve(nil, nil)}
		c, err := j.fitCalibrator()
		if err != nil {
			t.Fatal(err)
		}
		raw, _ := plain.Predict(x)
		got, err := m.Predict(x)
		if err != nil {
			t.Fatal(err)
		}
		for i := range y {
			odds := logOdds(raw.Proba[2*i], raw.Proba[2*i+1])
			want := 0.0
			if how == "sigmoid" {
				want = c.sigmoid.At(odds)
			} else {
				want = c.isotonic.At(odds)
			}
			if math.Abs(got.Proba[2*i+1]-want) > 2e-5 {
				t.Fatalf("%s: row %d has %v, want %v", how, i, got.Proba[2*i+1], want)
			}
		}
	}
}
