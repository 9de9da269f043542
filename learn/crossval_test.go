package learn

import (
	"context"
	"math"
	"testing"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/metric"
	"github.com/assay-ml/assay/stat"
)

func TestCrossValidate(t *testing.T) {
	x, y, v := mixed(600)
	spec := Spec{Learner: "logistic_regression", Task: assay.Binary, Target: Target{Name: "y", Classes: []string{"a", "b"}}, Categorical: []string{"code"}, Seed: 4}
	data := Data{X: x, Labels: y, Values: v}
	o := CrossValidation{Metrics: []string{"roc_auc_score", "log_loss"}, Splits: 4}
	model, err := CrossValidate(context.Background(), spec, data, o)
	if err != nil {
		t.Fatal(err)
	}
	spec.Learner, spec.Threads = "prior", 1
	prior, err := CrossValidate(context.Background(), spec, data, o)
	if err != nil {
		t.Fatal(err)
	}
	auc, _ := model.Score("roc_auc_score")
	if len(auc.Folds) != 4 || !(auc.Estimate.Lo > 0.9 && auc.Estimate.Hi <= 1) {
		t.Errorf("area under the curve %v of folds %v", auc.Estimate, auc.Folds)
	}
	seen := make([]int, len(y))
	for _, f := range model.Rows {
		for _, r := range f.Test {
			seen[r]++
		}
	}
	for r, n := range seen {
		if n != 1 {
			t.Fatalf("row %d was tested %d times", r, n)
		}
	}
	gain, _, err := model.Difference(prior, "log_loss", 0.95)
	if err != nil || gain.Above(0) != assay.Pass {
		t.Errorf("gain over the prior %v, %v", gain, err)
	}
	o.Folds = []stat.Fold{{Train: []int{0, 1, 2, 3}, Test: []int{700}}}
	_, err = CrossValidate(context.Background(), spec, data, o)
	mustSay(t, err, assay.Invalid, "row 700 of 600")
	_, err = CrossValidate(context.Background(), spec, data, CrossValidation{Metrics: []string{"roc_auc", "r2_score"}})
	mustSay(t, err, assay.Invalid, `no metric "roc_auc"`, "r2_score is not for task binary")
	other := spec
	other.Seed = 5
	moved, err := CrossValidate(context.Background(), other, data, CrossValidation{Metrics: []string{"log_loss"}, Splits: 4})
	if err != nil {
		t.Fatal(err)
	}
	_, _, err = model.Difference(moved, "log_loss", 0.95)
	mustSay(t, err, assay.Refused, "different folds")
}

// Few folds of few rows make Student's interval wide: it still ends where the metric does.
func TestCrossValidateRange(t *testing.T) {
	x, y, _ := mixed(60)
	spec := Spec{Learner: "logistic_regression", Task: assay.Binary, Target: Target{Name: "y", Classes: []string{"a", "b"}}, Categorical: []string{"code"}, Seed: 4}
	o := CrossValidation{Metrics: []string{"roc_auc_score", "accuracy_score", "log_loss", "matthews_corrcoef"}, Splits: 3}
	c, err := CrossValidate(context.Background(), spec, Data{X: x, Labels: y}, o)
	if err != nil {
		t.Fatal(err)
	}
	cut := 0
	for _, s := range c.Scores {
		lo, hi := s.Metric.Range(spec.Task)
		if !s.Estimate.HasInterval() || s.Estimate.Lo < lo || s.Estimate.Hi > hi {
			t.Errorf("%s %v lies outside %v to %v", s.Metric.Name, s.Estimate, lo, hi)
		}
		whole, _ := stat.NadeauBengio(s.Folds, c.Trains, c.Tests, 0.95)
		if whole.Lo < lo || whole.Hi > hi {
			cut++
		}
		if got := s.Estimate; got.Lo != max(whole.Lo, lo) || got.Hi != min(whole.Hi, hi) || got.Value != whole.Value {
			t.Errorf("%s %v of %v", s.Metric.Name, got, whole)
		}
	}
	if cut == 0 {
		t.Error("no interval was cut: the test shows nothing")
	}
}

func TestCrossValidateRegression(t *testing.T) {
	x, _, v := mixed(300)
	spec := Spec{Learner: "ridge", Task: assay.Regression, Target: Target{Name: "y"}}
	c, err := CrossValidate(context.Background(), spec, Data{X: x, Values: v}, CrossValidation{Metrics: []string{"r2_score"}})
	if err != nil {
		t.Fatal(err)
	}
	if e := c.Scores[0].Estimate; math.IsNaN(e.Value) || !e.HasInterval() {
		t.Errorf("%v", e)
	}
}

// Two folds of few rows: Student's interval of a difference in AUC would reach beyond 1, which no difference does.
func TestCrossValidatedDifferenceEndsWhereTheMetricDoes(t *testing.T) {
	d, err := metric.Find("roc_auc_score")
	if err != nil {
		t.Fatal(err)
	}
	of := func(folds ...float64) CrossValidated {
		return CrossValidated{Scores: []CrossScore{{Metric: d, Folds: folds}}, Trains: 20, Tests: 20, task: assay.Binary}
	}
	e, _, err := of(0.9, 0.5).Difference(of(0.4, 0.6), "roc_auc_score", 0.95)
	if err != nil || e.Lo != -1 || e.Hi != 1 {
		t.Errorf("difference %v [%v, %v], %v", e.Value, e.Lo, e.Hi, err)
	}
}
