package metric

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"testing"
)

// labelOptions reads the options of a classification case; a positive class that is none of the classes is given as one too many.
func (r row) labelOptions(classes []string) LabelOptions {
	o := LabelOptions{Weights: r.weights(), Classes: max(2, len(classes)), Labels: r.indices(classes)}
	switch r.text("average") {
	case "micro":
		o.Average = Micro
	case "macro":
		o.Average = Macro
	case "weighted":
		o.Average = Weighted
	}
	if r.has("pos_label") {
		var p any
		_ = json.Unmarshal(r.Args["pos_label"], &p)
		i := slices.Index(classes, fmt.Sprint(p))
		if i < 0 {
			i = len(classes)
		}
		o.Average = Of(i)
	}
	if r.has("zero_division") {
		switch z := r.float("zero_division", 0); {
		case math.IsNaN(z):
			o.ZeroDivision = ZeroIsNaN
		case z == 1:
			o.ZeroDivision = ZeroIsOne
		default:
			o.ZeroDivision = ZeroIsZero
		}
	}
	return o
}

func TestClassificationOracle(t *testing.T) {
	oracle(t, "metric/classification.json", 102, func(r row) (any, string, error) {
		truth, pred := "y_true", "y_pred"
		if r.Fn == "cohen_kappa_score" {
			truth, pred = "y1", "y2"
		}
		classes, y, p, err := r.labels(truth, pred)
		if err != nil {
			return nil, "", err
		}
		o := r.labelOptions(classes)
		perClass := r.Args["average"] != nil && string(r.Args["average"]) == "null"
		one := func(v Value, err error) (any, string, error) { return v.Value, v.Undefined, err }
		switch r.Fn {
		case "accuracy_score":
			if !r.flag("normalize", true) {
				return one(AccuracyCount(y, p, o))
			}
			return one(AccuracyScore(y, p, o))
		case "zero_one_loss":
			if !r.flag("normalize", true) {
				return one(ZeroOneCount(y, p, o))
			}
			return one(ZeroOneLoss(y, p, o))
		case "hamming_loss":
			return one(HammingLoss(y, p, o))
		case "precision_score", "recall_score", "f1_score":
			if perClass {
				s, err := PrecisionRecallFscoreSupport(y, p, 1, o)
				return map[string][]float64{"precision_score": s.Precision, "recall_score": s.Recall, "f1_score": s.Fscore}[r.Fn], s.Undefined, err
			}
			f := map[string]func([]int32, []int32, LabelOptions) (Value, error){"precision_score": PrecisionScore, "recall_score": RecallScore, "f1_score": F1Score}
			return one(f[r.Fn](y, p, o))
		case "fbeta_score":
			return one(FbetaScore(y, p, r.float("beta", 1), o))
		case "jaccard_score":
			if perClass {
				s, err := Jaccards(y, p, o)
				return s, "", err
			}
			return one(JaccardScore(y, p, o))
		case "balanced_accuracy_score":
			if r.flag("adjusted", false) {
				return one(AdjustedBalancedAccuracyScore(y, p, o))
			}
			return one(BalancedAccuracyScore(y, p, o))
		case "matthews_corrcoef":
			return one(MatthewsCorrcoef(y, p, o))
		case "cohen_kappa_score":
			return one(CohenKappaScore(y, p, KappaWeight(r.text("weights")), o))
		case "confusion_matrix":
			o.Classes = len(classes)
			if err != nil {
				return nil, "", err
			}
			c, err := ConfusionMatrix(y, p, o)
			if err == nil && r.has("normalize") {
				c, err = c.Normalize(Normalization(r.text("normalize")))
			}
			if err != nil {
				return nil, "", err
			}
			return slices.Collect(slices.Chunk(c.Counts, c.Classes)), c.Undefined(), nil
		case "multilabel_confusion_matrix":
			cs, err := MultilabelConfusionMatrix(y, p, o)
			var out []any
			for _, n := range cs {
				out = append(out, [][]float64{{n.TN, n.FP}, {n.FN, n.TP}})
			}
			return out, "", err
		case "precision_recall_fscore_support":
			beta := r.float("beta", 1)
			if o.Average == Macro {
				var out []any
				for _, f := range []func() (Value, error){
					func() (Value, error) { return PrecisionScore(y, p, o) },
					func() (Value, error) { return RecallScore(y, p, o) },
					func() (Value, error) { return FbetaScore(y, p, beta, o) },
				} {
					v, err := f()
					if err != nil {
						return nil, "", err
					}
					out = append(out, v.Value)
				}
				return append(out, nil), "", nil
			}
			s, err := PrecisionRecallFscoreSupport(y, p, beta, o)
			return [][]float64{s.Precision, s.Recall, s.Fscore, s.Support}, s.Undefined, err
		case "classification_report":
			report, err := NewClassificationReport(y, p, o)
			if err != nil {
				return nil, "", err
			}
			if !r.flag("output_dict", false) {
				return report.Text(classes, int(r.float("digits", 2))), report.Undefined, nil
			}
			out := map[string]any{"accuracy": report.Accuracy}
			line := func(l ReportLine) any {
				return map[string]any{"precision": l.Precision, "recall": l.Recall, "f1-score": l.F1, "support": l.Support}
			}
			for _, l := range report.Classes {
				out[classes[l.Class]] = line(l)
			}
			out["macro avg"], out["weighted avg"] = line(report.Macro), line(report.Weighted)
			return out, report.Undefined, nil
		case "class_likelihood_ratios":
			pos, neg, err := ClassLikelihoodRatios(y, p, o)
			return []float64{pos.Value, neg.Value}, pos.Undefined + neg.Undefined, err
		}
		t.Fatalf("no function for %s", r.Fn)
		return nil, "", nil
	})
}

func TestSelect(t *testing.T) {
	c, err := ConfusionMatrix([]int32{0, 1, 2, 2}, []int32{0, 2, 2, 1}, LabelOptions{})
	if err != nil {
		t.Fatal(err)
	}
	s, err := c.Select([]int{2, 1})
	if err != nil || !slices.Equal(s.Counts, []float64{1, 1, 1, 0}) {
		t.Errorf("got %v, %v", s.Counts, err)
	}
	for _, bad := range [][]int{{}, {3}, {-1}, {1, 1}} {
		if _, err := c.Select(bad); err == nil {
			t.Errorf("labels %v are taken", bad)
		}
	}
	if _, err := ConfusionMatrix([]int32{maxClasses}, []int32{0}, LabelOptions{}); err == nil {
		t.Error("a table of any size is made")
	}
}

// TestLikelihoodRatioOfAllPositive: with weights that do not sum exactly, no true negative is still none, and the ratio has no value, as in
// scikit-learn.
func TestLikelihoodRatioOfAllPositive(t *testing.T) {
	truth, all := []int32{1, 0, 1, 0, 1, 0, 0}, []int32{1, 1, 1, 1, 1, 1, 1}
	weights := []float64{0.1, 0.7, 0.2, 0.3, 0.3, 1.1, 0.6}
	for shift := range 50 {
		w := slices.Clone(weights)
		for i := range w {
			w[i] *= 1 + float64(shift*(i+1))/37
		}
		pos, neg, err := ClassLikelihoodRatios(truth, all, LabelOptions{Weights: w})
		if err != nil {
			t.Fatal(err)
		}
		if !math.IsNaN(neg.Value) || math.Abs(pos.Value-1) > 1e-12 {
			t.Fatalf("weights %v: ratios %v and %v; want 1 and NaN", w, pos.Value, neg.Value)
		}
	}
}
