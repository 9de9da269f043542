package metric

import (
	"math"
	"testing"
)

func TestRegressionOracle(t *testing.T) {
	type score = func(truth, pred []float64, o ValueOptions) (Value, error)
	oracle(t, "metric/regression.json", 66, func(r row) (any, string, error) {
		y, width := r.floats("y_true")
		p, _ := r.floats("y_pred")
		o := ValueOptions{Weights: r.weights(), Outputs: width, Unforced: !r.flag("force_finite", true)}
		if r.text("multioutput") == "variance_weighted" {
			o.Average = VarianceWeighted
		}
		with := func(f func(y, p []float64, x float64, o ValueOptions) (Value, error), name string, otherwise float64) score {
			return func(y, p []float64, o ValueOptions) (Value, error) { return f(y, p, r.float(name, otherwise), o) }
		}
		f, ok := map[string]score{
			"mean_squared_error": MeanSquaredError, "root_mean_squared_error": RootMeanSquaredError, "mean_absolute_error": MeanAbsoluteError,
			"median_absolute_error": MedianAbsoluteError, "mean_absolute_percentage_error": MeanAbsolutePercentageError,
			"mean_squared_log_error": MeanSquaredLogError, "root_mean_squared_log_error": RootMeanSquaredLogError, "max_error": MaxError,
			"r2_score": R2Score, "explained_variance_score": ExplainedVarianceScore, "d2_absolute_error_score": D2AbsoluteErrorScore,
			"mean_poisson_deviance": MeanPoissonDeviance, "mean_gamma_deviance": MeanGammaDeviance,
			"mean_tweedie_deviance": with(MeanTweedieDeviance, "power", 0), "d2_tweedie_score": with(D2TweedieScore, "power", 0),
			"mean_pinball_loss": with(MeanPinballLoss, "alpha", 0.5), "d2_pinball_score": with(D2PinballScore, "alpha", 0.5),
		}[r.Fn]
		if !ok {
			t.Fatalf("no function for %s", r.Fn)
		}
		if r.text("multioutput") == "raw_values" {
			vs, err := PerOutput(f, y, p, o)
			var out []float64
			for _, v := range vs {
				out = append(out, v.Value)
			}
			return out, "", err
		}
		v, err := f(y, p, o)
		return v.Value, v.Undefined, err
	})
}

func TestConstantTruthIsConstantWhateverTheRounding(t *testing.T) {
	y := make([]float64, 7)
	w := make([]float64, 7)
	for i := range y {
		y[i], w[i] = 0.1, 0.3
	}
	p := append([]float64{0.2}, y[1:]...)
	if v, err := R2Score(y, p, ValueOptions{Weights: w}); err != nil || v.Value != 0 {
		t.Errorf("a constant truth scores %v, %v", v, err)
	}
	if v, err := D2TweedieScore(y, p, 0, ValueOptions{}); err != nil || v.Defined() || !math.IsNaN(v.Value) {
		t.Errorf("a constant truth scores %v, %v", v, err)
	}
}

func TestOverflowIsMarked(t *testing.T) {
	y, p := []float64{math.MaxFloat64, 1}, []float64{-math.MaxFloat64, 1}
	for name, f := range map[string]func([]float64, []float64, ValueOptions) (Value, error){"mse": MeanSquaredError, "mae": MeanAbsoluteError, "r2": R2Score, "max": MaxError, "ev": ExplainedVarianceScore} {
		if v, err := f(y, p, ValueOptions{}); err != nil || v.Defined() {
			t.Errorf("%s of an overflow is %v, %v", name, v, err)
		}
	}
}
