package eval

import "testing"

// TestLossIntervalsStartAtZero: one bad row among good ones, where Student's interval alone would reach below 0.
func TestLossIntervalsStartAtZero(t *testing.T) {
	tr := binaryTruth()
	tr.Class = []int32{0, 1, 0, 1, 0, 1}
	model := &Scores{Name: "m", Proba: []float64{1, 0, 0, 1, 1, 0, 0, 1, 1, 0, 0.9, 0.1}}
	base := &Scores{Name: "b", Proba: []float64{.5, .5, .5, .5, .5, .5, .5, .5, .5, .5, .5, .5}}
	e, err := Evaluate(t.Context(), tr, model, base, Options{Metrics: []string{"log_loss", "brier_score_loss"}, Primary: "log_loss"})
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range e.Metrics {
		if m.Estimate.Lo != 0 || !(m.Estimate.Hi > m.Estimate.Value) {
			t.Errorf("%s is %s; want a lower end of 0", m.Name, m.Estimate)
		}
	}
}
