package metric_test

import (
	"fmt"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/metric"
)

func ExampleScore() {
	in := metric.Input{
		Task:     assay.Binary,
		Classes:  []string{"stays", "leaves"},
		Positive: 1,
		Truth:    []int32{0, 0, 1, 1},
		Labels:   []int32{0, 1, 1, 1},
		Proba:    []float64{0.1, 0.6, 0.55, 0.9},
	}
	for _, name := range []string{"roc_auc_score", "f1_score", "log_loss", "f1_scroe"} {
		v, err := metric.Score(name, in)
		if err != nil {
			fmt.Println(err, "-", assay.HintOf(err))
			continue
		}
		fmt.Println(name, v)
	}
	// Output:
	// roc_auc_score 0.75
	// f1_score 0.8
	// log_loss 0.431212
	// there is no metric "f1_scroe" - did you mean f1_score?
}

// A score that the data leaves undefined keeps scikit-learn's conventional number and says why it is one.
func ExampleValue() {
	v, err := metric.RocAucScore([]int32{1, 1}, []float64{0.2, 0.9}, metric.RankOptions{})
	fmt.Println(v, v.Defined(), err)
	// Output: NaN (undefined: only one class in the truth) false <nil>
}

func ExampleEncode() {
	classes, truth, pred, err := metric.Encode([]string{"ham", "spam", "ham"}, []string{"ham", "eggs", "ham"})
	fmt.Println(classes, truth, pred, err)
	v, _ := metric.F1Score(truth, pred, metric.LabelOptions{Average: metric.Macro})
	fmt.Println(v)
	// Output:
	// [eggs ham spam] [1 2 1] [1 0 1] <nil>
	// 0.333333
}

func ExampleConfusionMatrix() {
	c, _ := metric.ConfusionMatrix([]int32{0, 0, 1, 1, 1}, []int32{0, 1, 1, 1, 0}, metric.LabelOptions{})
	fmt.Println(c.Counts)
	n, _ := c.Class(1)
	fmt.Println(n.Precision(metric.ZeroMarked), n.Recall(metric.ZeroMarked))
	// Output:
	// [1 1 1 2]
	// 0.666667 0.666667
}

// Rows are sorted once; each reweighting of them, such as a bootstrap replicate, is then one pass.
func ExampleRank() {
	r, _ := metric.Rank([]int32{0, 1, 0, 1}, []float64{0.1, 0.4, 0.35, 0.8})
	fmt.Println(r.RocAucScore(nil), r.AveragePrecisionScore(nil))
	replicate := make([]float64, r.Len())
	r.Gather(replicate, []float64{2, 0, 1, 1})
	fmt.Println(r.RocAucScore(replicate))
	// Output:
	// 1 1
	// 1
}

func ExampleGroups_Disparity() {
	g, _ := metric.ByGroup([]int32{0, 1, 0, 1}, []int32{1, 1, 0, 1}, []int32{0, 0, 1, 1}, 2, nil)
	d := g.Disparity(metric.SelectionRate, metric.BetweenGroups)
	fmt.Println(d.Rates, d.Difference, d.Ratio)
	// Output: [1 0.5] 0.5 0.5
}

func ExampleNewCalibrationCurve() {
	c, _ := metric.NewCalibrationCurve([]int32{0, 0, 1, 1}, []float64{0.1, 0.3, 0.7, 0.8}, nil, 2, metric.UniformBins)
	for _, b := range c {
		fmt.Printf("(%g, %g] predicted %.2f, seen %.2f\n", b.Lower, b.Upper, b.Mean, b.Fraction)
	}
	fmt.Printf("%.3f\n", c.ECE())
	// Output:
	// (0, 0.5] predicted 0.20, seen 0.00
	// (0.5, 1] predicted 0.75, seen 1.00
	// 0.225
}

func ExampleR2Score() {
	v, _ := metric.R2Score([]float64{3, -0.5, 2, 7}, []float64{2.5, 0, 2, 8}, metric.ValueOptions{})
	fmt.Println(v)
	// Output: 0.948608
}

func ExampleDecide() {
	fmt.Println(metric.Decide(nil, []float64{0.85, 0.15, 0.8, 0.2, 0.4, 0.6}, 1, 0.2))
	// Output: [0 1 1]
}
