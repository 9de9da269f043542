package metric

import (
	"math"
	"testing"

	"github.com/assay-ml/assay/stat"
)

func (r row) average() Average {
	switch r.text("average") {
	case "micro":
		return Micro
	case "weighted":
		return Weighted
	case "samples":
		return Samples
	}
	return Macro
}

// binary encodes a truth of two classes as the peer does: {0,1} and {−1,1} need no positive class, all else does.
func (r row) binary() ([]int32, error) {
	f, _ := r.floats("y_true")
	if r.has("pos_label") {
		return OneVsRest(f, r.float("pos_label", 1)), nil
	}
	return ZeroOne(f)
}

func curve(c Curve, err error) (any, string, error) {
	return [][]float64{c.X, c.Y, c.Threshold}, c.Undefined, err
}

func TestRankingOracle(t *testing.T) {
	oracle(t, "metric/ranking.json", 62, func(r row) (any, string, error) {
		one := func(v Value, err error) (any, string, error) { return v.Value, v.Undefined, err }
		truth, width := r.floats("y_true")
		scores, k := r.floats("y_score")
		w := r.weights()
		switch r.Fn {
		case "roc_auc_score", "average_precision_score":
			o := RankOptions{Weights: w, Average: r.average(), Multiclass: Multiclass(r.text("multi_class")), MaxFPR: r.float("max_fpr", 0)}
			f, each := RocAucScore, RocAucScores
			if r.Fn == "average_precision_score" {
				f, each = AveragePrecisionScore, AveragePrecisionScores
			}
			if width > 0 {
				y, err := ZeroOne(truth)
				if err != nil {
					return nil, "", err
				}
				o.Multilabel, o.Classes = true, width
				return one(f(y, scores, o))
			}
			classes, y, _, err := r.labels("y_true", "")
			if err != nil {
				return nil, "", err
			}
			if r.has("labels") {
				o.Classes = len(classes)
			}
			if k == 0 {
				if y, err = r.binary(); err != nil {
					return nil, "", err
				}
			}
			if raw, ok := r.Args["average"]; ok && string(raw) == "null" {
				vs, err := each(y, scores, o)
				var out []float64
				for _, v := range vs {
					out = append(out, v.Value)
				}
				return out, "", err
			}
			return one(f(y, scores, o))
		case "ndcg_score", "dcg_score":
			o := GainOptions{Weights: w, K: int(r.float("k", 0)), IgnoreTies: r.flag("ignore_ties", false)}
			f := DcgScore
			if r.Fn == "ndcg_score" {
				f = NdcgScore
			}
			v, err := f(truth, scores, k, o)
			if want, ok := portableTies(r.ID); ok && err == nil && r.tol.Near(v.Value, want) {
				return decode(t, r.Value), "", nil
			}
			return one(v, err)
		case "label_ranking_average_precision_score", "coverage_error", "label_ranking_loss":
			y, err := ZeroOne(truth)
			if err != nil {
				return nil, "", err
			}
			f := map[string]func([]int32, []float64, int, []float64) (Value, error){
				"label_ranking_average_precision_score": LabelRankingAveragePrecisionScore, "coverage_error": CoverageError, "label_ranking_loss": LabelRankingLoss,
			}
			return one(f[r.Fn](y, scores, k, w))
		}
		y, err := r.binary()
		if err != nil {
			return nil, "", err
		}
		switch r.Fn {
		case "roc_curve":
			return curve(RocCurve(y, scores, w, !r.flag("drop_intermediate", true)))
		case "precision_recall_curve":
			c, err := PrecisionRecallCurve(y, scores, w, r.flag("drop_intermediate", false))
			return [][]float64{c.Y, c.X, c.Threshold}, c.Undefined, err
		case "det_curve":
			return curve(DetCurve(y, scores, w, r.flag("drop_intermediate", false)))
		case "confusion_matrix_at_thresholds":
			c, err := ConfusionMatrixAtThresholds(y, scores, w)
			return [][]float64{c.TN, c.FP, c.FN, c.TP, c.Threshold}, "", err
		}
		t.Fatalf("no function for %s", r.Fn)
		return nil, "", nil
	})
}

// portableTies are the peer's values where scores are tied and ignore_ties is set, from a run with
// NPY_DISABLE_CPU_FEATURES="X86_V4 X86_V3". The tables were made with AVX-512, where NumPy's argsort leaves tied scores in another
// order, so that the peer's answer depends on the processor.
func portableTies(id string) (float64, bool) {
	v, ok := map[string]float64{"dcg_score-02": 8.525273377875214, "ndcg_score-02": 0.8195901342045548}[id]
	return v, ok
}

func TestThresholds(t *testing.T) {
	truth, _, scores, weights := sample(5000, true)
	table, err := ConfusionMatrixAtThresholds(truth, scores, weights)
	if err != nil {
		t.Fatal(err)
	}
	for _, at := range []float64{-1, 0.25, 0.255, 0.5, 2} {
		pred := make([]int32, len(scores))
		for i, s := range scores {
			if s >= at {
				pred[i] = 1
			}
		}
		c, err := ConfusionMatrix(truth, pred, LabelOptions{Weights: weights})
		if err != nil {
			t.Fatal(err)
		}
		want, _ := c.Class(1)
		if got := table.At(at); !near(got.TP, want.TP) || !near(got.FP, want.FP) || !near(got.FN, want.FN) || !near(got.TN, want.TN) {
			t.Errorf("at %v: %+v, want %+v", at, got, want)
		}
	}
	thin := table.Thin(10)
	if n := table.Count(); thin.Count() != 10 || thin.Threshold[0] != table.Threshold[0] || thin.Counts(9) != table.Counts(n-1) {
		t.Errorf("%d of %d thresholds are kept: %v", thin.Count(), n, thin.Threshold)
	}
	pr, err := PrecisionRecallCurve(truth, scores, nil, false)
	if err != nil {
		t.Fatal(err)
	}
	if c := pr.Thin(7); len(c.X) != 7 || len(c.Threshold) != 6 || c.Y[6] != 1 || c.X[0] != pr.X[0] {
		t.Errorf("thinned to %+v", c)
	}
	lift, err := LiftCurve([]int32{1, 0, 1, 0}, []float64{0.9, 0.8, 0.7, 0.6}, nil)
	if err != nil || lift.Y[0] != 2 || lift.Y[3] != 1 || lift.X[1] != 0.5 {
		t.Errorf("lift %+v, %v", lift, err)
	}
	if none, err := LiftCurve([]int32{0}, []float64{1}, nil); err != nil || none.Undefined == "" || !math.IsNaN(none.Y[0]) {
		t.Errorf("lift without a positive: %+v, %v", none, err)
	}
}

// TestAucIsDeLongs holds the value against the one that package stat puts its intervals around.
func TestAucIsDeLongs(t *testing.T) {
	for _, ties := range []bool{false, true} {
		truth, _, scores, _ := sample(20_000, ties)
		positive := make([]bool, len(truth))
		for i, y := range truth {
			positive[i] = y == 1
		}
		d, err := stat.NewDeLong(positive, scores)
		v, errV := RocAucScore(truth, scores, RankOptions{})
		if err != nil || errV != nil || math.Abs(d.AUC(0)-v.Value) > 1e-14 {
			t.Errorf("AUC %v, %v and DeLong's %v, %v", v, errV, d.AUC(0), err)
		}
	}
}
