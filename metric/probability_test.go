package metric

import (
	"slices"
	"testing"
)

func TestProbabilityOracle(t *testing.T) {
	oracle(t, "metric/probability.json", 36, func(r row) (any, string, error) {
		classes, y, _, err := r.labels("y_true", "")
		if err != nil {
			return nil, "", err
		}
		o := ProbaOptions{Weights: r.weights()}
		if r.has("labels") {
			o.Classes = len(r.indices(classes))
		}
		column := "y_pred"
		for _, c := range []string{"y_proba", "y_prob", "y_score", "pred_decision"} {
			if r.has(c) {
				column = c
			}
		}
		p, _ := r.floats(column)
		if r.has("pos_label") && r.text2("pos_label") != classes[len(classes)-1] {
			for i := range y {
				y[i] = 1 - y[i]
			}
		}
		one := func(v Value, err error) (any, string, error) { return v.Value, v.Undefined, err }
		switch r.Fn {
		case "log_loss":
			if !r.flag("normalize", true) {
				return one(LogLossSum(y, p, o))
			}
			return one(LogLoss(y, p, o))
		case "brier_score_loss":
			scale := BrierAuto
			if r.has("scale_by_half") && r.text2("scale_by_half") != "auto" {
				scale = BrierFull
				if r.flag("scale_by_half", false) {
					scale = BrierHalf
				}
			}
			return one(BrierScoreLoss(y, p, scale, o))
		case "d2_log_loss_score":
			return one(D2LogLossScore(y, p, o))
		case "d2_brier_score":
			return one(D2BrierScore(y, p, o))
		case "hinge_loss":
			return one(HingeLoss(y, p, o))
		case "top_k_accuracy_score":
			return one(TopKAccuracyScore(y, p, int(r.float("k", 2)), o))
		case "calibration_curve":
			c, err := NewCalibrationCurve(y, p, nil, int(r.float("n_bins", 5)), BinStrategy(r.text("strategy")))
			var fraction, predicted []float64
			for _, b := range c {
				fraction, predicted = append(fraction, b.Fraction), append(predicted, b.Mean)
			}
			return [][]float64{fraction, predicted}, "", err
		}
		t.Fatalf("no function for %s", r.Fn)
		return nil, "", nil
	})
}

// text2 is the argument as it stands, without quotes.
func (r row) text2(name string) string {
	s := string(r.Args[name])
	if len(s) > 1 && s[0] == '"' {
		return s[1 : len(s)-1]
	}
	return s
}

func TestCalibrationErrorOracle(t *testing.T) {
	oracle(t, "metric/calibration_error.json", 5, func(r row) (any, string, error) {
		f, _ := r.floats("y_true")
		y, err := ZeroOne(f)
		if err != nil {
			return nil, "", err
		}
		p, _ := r.floats("y_prob")
		bins := int(r.float("n_bins", 10))
		uniform, err := NewCalibrationCurve(y, p, nil, bins, UniformBins)
		if err != nil {
			return nil, "", err
		}
		equal, err := NewCalibrationCurve(y, p, nil, bins, EqualCountBins)
		if err != nil {
			return nil, "", err
		}
		brier, err := BrierScoreLoss(y, p, BrierAuto, ProbaOptions{Classes: 2})
		parts := uniform.Brier()
		return map[string]any{
			"ece_uniform": uniform.ECE(), "mce_uniform": uniform.MCE(), "rmsce_uniform": uniform.RMSCE(), "ece_equal_count": equal.ECE(),
			"brier": brier.Value, "brier_reliability": parts.Reliability, "brier_resolution": parts.Resolution, "brier_uncertainty": parts.Uncertainty,
		}, "", err
	})
}

func TestCalibrationBinsCoverTheRows(t *testing.T) {
	y := []int32{0, 1, 1, 0, 1}
	p := []float64{0, 0.2, 0.2, 0.9, 1}
	for _, s := range []BinStrategy{UniformBins, QuantileBins, EqualCountBins} {
		c, err := NewCalibrationCurve(y, p, nil, 3, s)
		if err != nil {
			t.Fatal(err)
		}
		var n float64
		for _, b := range c {
			n += b.Weight
			if b.Weight == 0 || b.Mean < b.Lower || b.Mean > b.Upper {
				t.Errorf("%s: bin %+v", s, b)
			}
		}
		if n != 5 {
			t.Errorf("%s: the bins hold %v rows", s, n)
		}
		if !slices.IsSortedFunc(c, func(a, b Bin) int { return int(a.Lower*1e6) - int(b.Lower*1e6) }) {
			t.Errorf("%s: bins out of order: %v", s, c)
		}
	}
}
