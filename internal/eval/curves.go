package eval

import (
	"math"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/metric"
	"github.com/assay-ml/assay/stat"
)

// Sizes of the document of curves.
const (
	maxCurvePoints = 300
	scoreBins      = 50
)

// selectedShares are the rows of the threshold table: it goes by how many rows are selected, for where a class is rare all of them
// may lie between two round thresholds.
var selectedShares = [...]float64{0.005, 0.01, 0.02, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1}

// Curves gives what a report draws of a binary task: ROC, precision and recall, lift, a table of thresholds, the scores by class. It is
// nil for another task, without probabilities, and with one class only. The points do not depend on the order of the rows. Of
// sealed rows a step of a curve is of MinSealedRows rows at least: a point for each row would tell each label.
func Curves(t *Truth, model, baseline *Scores, o Options) (*assay.Curves, error) {
	o = o.withDefaults()
	if t.Task != assay.Binary || model.Proba == nil || baseline.Proba == nil {
		return nil, nil
	}
	truth := metric.OneVsRest(t.Class, int32(t.Positive))
	var positives int
	for _, y := range truth {
		positives += int(y)
	}
	if positives == 0 || positives == len(truth) {
		return nil, nil
	}
	out := &assay.Curves{Thresholds: []assay.ThresholdRow{}}
	scores := func(s *Scores) []float64 {
		score := prepare(t, s, o.Threshold).score(t.Positive)
		if o.Sealed {
			score = coarse(score, o.Threshold, MinSealedRows)
		}
		return score
	}
	for _, s := range []*Scores{model, baseline} {
		m, err := curvesOf(s.Name, truth, scores(s), t.Weight)
		if err != nil {
			return nil, err
		}
		out.Models = append(out.Models, m)
	}
	score := scores(model)
	table, err := newThresholds(truth, score, t.Weight)
	if err != nil {
		return nil, err
	}
	all := table.counts(table.Count() - 1).sum.Total()
	at, own := 0, false
	for _, share := range selectedShares {
		for at < table.Count()-1 && (table.TP[at]+table.FP[at])/all < share {
			at++
		}
		threshold := table.Threshold[at]
		if !own && threshold <= o.Threshold {
			own = true
			out.Thresholds = append(out.Thresholds, thresholdRow(o.Threshold, table.at(o.Threshold), o.Level))
			if threshold == o.Threshold {
				continue
			}
		}
		if last := len(out.Thresholds) - 1; last >= 0 && out.Thresholds[last].Threshold == threshold {
			continue
		}
		out.Thresholds = append(out.Thresholds, thresholdRow(threshold, table.counts(at), o.Level))
	}
	out.Scores = assay.ScoreHistograms{Positive: make([]int64, scoreBins), Negative: make([]int64, scoreBins)}
	for i, v := range score {
		b := min(int(v*scoreBins), scoreBins-1)
		if truth[i] == 1 {
			out.Scores.Positive[b]++
		} else {
			out.Scores.Negative[b]++
		}
	}
	return out, nil
}

func curvesOf(name string, truth []int32, score, weight []float64) (assay.ModelCurves, error) {
	m := assay.ModelCurves{Name: name}
	roc, err := metric.RocCurve(truth, score, weight, false)
	if err != nil {
		return m, err
	}
	pr, err := metric.PrecisionRecallCurve(truth, score, weight, true)
	if err != nil {
		return m, err
	}
	lift, err := metric.LiftCurve(truth, score, weight)
	if err != nil {
		return m, err
	}
	m.ROC, m.PrecisionRecall, m.Lift = points(roc), points(pr), points(lift)
	return m, nil
}

// points thins a curve and rounds it to what a chart and a reader can tell apart.
func points(c metric.Curve) [][2]float64 {
	c = c.Thin(maxCurvePoints)
	round := func(v float64) float64 { return math.Round(v*1e5) / 1e5 }
	out := make([][2]float64, 0, len(c.X))
	for i, x := range c.X {
		if !math.IsNaN(x) && !math.IsNaN(c.Y[i]) {
			out = append(out, [2]float64{round(x), round(c.Y[i])})
		}
	}
	return out
}

// thresholds are the counts at each distinct score, of weighted rows the weights and their squares, which say how much is known.
type thresholds struct {
	metric.Thresholds
	square *metric.Thresholds // nil without weights
}

func newThresholds(truth []int32, score, weight []float64) (thresholds, error) {
	t, err := metric.ConfusionMatrixAtThresholds(truth, score, weight)
	if err != nil || weight == nil {
		return thresholds{t, nil}, err
	}
	q, err := metric.ConfusionMatrixAtThresholds(truth, score, squares(weight))
	return thresholds{t, &q}, err
}

// selected are the counts at one threshold; square is nil without weights.
type selected struct {
	sum    metric.Counts
	square *metric.Counts
}

func (t thresholds) counts(i int) selected {
	s := selected{sum: t.Counts(i)}
	if t.square != nil {
		q := t.square.Counts(i)
		s.square = &q
	}
	return s
}

func (t thresholds) at(threshold float64) selected {
	s := selected{sum: t.At(threshold)}
	if t.square != nil {
		q := t.square.At(threshold)
		s.square = &q
	}
	return s
}

// share estimates the share that x of two counts has.
func (s selected) share(level float64, of func(c metric.Counts) (x, other float64)) assay.Estimate {
	x, other := of(s.sum)
	if s.square == nil {
		return stat.Proportion(x, x+other, level, "")
	}
	qx, qo := of(*s.square)
	return shareOfWeights(x, x+other, qx+qo, level)
}

func thresholdRow(threshold float64, s selected, level float64) assay.ThresholdRow {
	c := s.sum
	return assay.ThresholdRow{
		Threshold: threshold, Selected: (c.TP + c.FP) / c.Total(),
		Precision: s.share(level, func(c metric.Counts) (float64, float64) { return c.TP, c.FP }),
		Recall:    s.share(level, func(c metric.Counts) (float64, float64) { return c.TP, c.FN }),
		FalseRate: s.share(level, func(c metric.Counts) (float64, float64) { return c.FP, c.TN }),
		F1:        assay.Number(c.Fbeta(1, metric.ZeroIsNaN).Value),
	}
}
