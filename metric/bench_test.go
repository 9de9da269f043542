package metric

import (
	"math"
	"runtime"
	"testing"

	"github.com/assay-ml/assay"
)

// sample is n rows of a binary task, the same on every call: scores that say something about the truth, predictions above 0.5 and
// weights around 1. With few set, scores take 101 values.
func sample(n int, few bool) (truth, pred []int32, scores, weights []float64) {
	truth, pred = make([]int32, n), make([]int32, n)
	scores, weights = make([]float64, n), make([]float64, n)
	state := uint64(20261)
	uniform := func() float64 {
		state += 0x9e3779b97f4a7c15
		z := state
		z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
		z = (z ^ z>>27) * 0x94d049bb133111eb
		return float64((z^z>>31)>>11) / (1 << 53)
	}
	for i := range n {
		if uniform() < 0.3 {
			truth[i] = 1
		}
		scores[i] = 0.7*uniform() + 0.3*float64(truth[i])*uniform()
		if few {
			scores[i] = math.Round(scores[i]*100) / 100
		}
		if scores[i] > 0.5 {
			pred[i] = 1
		}
		weights[i] = 0.5 + uniform()
	}
	return truth, pred, scores, weights
}

func BenchmarkMillion(b *testing.B) {
	const n = 1_000_000
	truth, pred, scores, weights := sample(n, false)
	_, _, few, _ := sample(n, true)
	target := make([]float64, n)
	for i := range target {
		target[i] = scores[i] + weights[i]
	}
	ranking, err := Rank(truth, scores)
	if err != nil {
		b.Fatal(err)
	}
	ranked := make([]float64, n)
	ranking.Gather(ranked, weights)
	in := Input{Task: assay.Binary, Classes: []string{"no", "yes"}, Positive: 1, Truth: truth, Labels: pred, Proba: scores}
	for _, c := range []struct {
		name string
		f    func() (Value, error)
	}{
		{"roc_auc_score", func() (Value, error) { return RocAucScore(truth, scores, RankOptions{}) }},
		{"roc_auc_score/ties", func() (Value, error) { return RocAucScore(truth, few, RankOptions{}) }},
		{"roc_auc_score/weights", func() (Value, error) { return RocAucScore(truth, scores, RankOptions{Weights: weights}) }},
		{"average_precision_score", func() (Value, error) { return AveragePrecisionScore(truth, scores, RankOptions{}) }},
		{"log_loss", func() (Value, error) { return LogLoss(truth, scores, ProbaOptions{}) }},
		{"brier_score_loss", func() (Value, error) { return BrierScoreLoss(truth, scores, BrierAuto, ProbaOptions{}) }},
		{"f1_score", func() (Value, error) { return F1Score(truth, pred, LabelOptions{}) }},
		{"f1_score/weights", func() (Value, error) { return F1Score(truth, pred, LabelOptions{Weights: weights}) }},
		{"accuracy_score", func() (Value, error) { return AccuracyScore(truth, pred, LabelOptions{}) }},
		{"mean_squared_error", func() (Value, error) { return MeanSquaredError(target, scores, ValueOptions{}) }},
		{"r2_score", func() (Value, error) { return R2Score(target, scores, ValueOptions{}) }},
		{"median_absolute_error", func() (Value, error) { return MedianAbsoluteError(target, scores, ValueOptions{}) }},
		{"ranking", func() (Value, error) { _, err := Rank(truth, scores); return Value{}, err }},
		{"ranking/roc_auc_score", func() (Value, error) { return ranking.RocAucScore(ranked), nil }},
		{"ranking/average_precision_score", func() (Value, error) { return ranking.AveragePrecisionScore(ranked), nil }},
		{"score/f1_score", func() (Value, error) { return Score("f1_score", in) }},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := c.f(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	runtime.KeepAlive(target)
}

func BenchmarkFromConfusion(b *testing.B) {
	c := Confusion{Classes: 2, Counts: []float64{500, 40, 30, 200}}
	for _, name := range []string{"accuracy_score", "f1_score", "f1_score_macro", "matthews_corrcoef", "false_positive_rate"} {
		d, _ := Lookup(name)
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := d.FromConfusion(c, 1); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
