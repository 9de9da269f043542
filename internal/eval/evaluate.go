package eval

import (
	"context"
	"fmt"
	"math"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/metric"
	"github.com/assay-ml/assay/stat"
)

// Evaluate scores a model beside a baseline on the same rows. The caller fills in what only it knows: data, split, part, rows, read.
// The lower end of an interval of a mean of losses that are never negative (log_loss, brier_score_loss, mean errors) is not below 0.
// The result depends on the order of the rows only where a bootstrap does, and not at all on Threads.
func Evaluate(ctx context.Context, t *Truth, model, baseline *Scores, o Options) (assay.Evaluation, error) {
	o = o.withDefaults()
	if err := check(t, o, model, baseline); err != nil {
		return assay.Evaluation{}, err
	}
	defs, err := definitions(o.Metrics)
	if err != nil {
		return assay.Evaluation{}, err
	}
	t = t.fold()
	e := assay.Evaluation{
		Count: int64(t.N()), Level: o.Level, Seed: o.Seed, Replicates: o.Replicates, Task: t.Task, Classes: t.Classes, Entity: t.Name,
		Primary: o.Primary, Baseline: baseline.Name, Slices: []assay.Slice{}, Fairness: []assay.Disparity{}, Threshold: assay.Number(math.NaN()), Queries: t.queries(), Clipped: int64(model.Clipped),
	}
	if t.Weight != nil {
		e.Weight, e.Effective = t.Weighted, stat.EffectiveN(t.Weight)
	}
	m, b := prepare(t, model, o.Threshold), prepare(t, baseline, o.Threshold)
	whole := newSample(t, nil)
	x, err := newScoring(whole, m, b, "", defs, o)
	if err != nil {
		return e, err
	}
	if o.Business != nil {
		first, second, err := o.Business.measures(whole, m, b)
		if err != nil {
			return e, err
		}
		if err := x.add(first, second); err != nil {
			return e, err
		}
	}
	cut, err := newSlices(t, m, b, defs, o)
	if err != nil {
		return e, err
	}
	labels, err := perLabel(t, model, baseline, o)
	if err != nil {
		return e, err
	}
	if err := bootstrap(ctx, t, o, append(append(cut.scorings(), x), labels...)...); err != nil {
		return e, err
	}
	e.Labels = labelScores(t, labels)
	for i, d := range defs {
		row := x.metric(i)
		row.Definition = d.ID
		e.Metrics = append(e.Metrics, row)
	}
	if o.Business != nil {
		row := x.metric(len(defs))
		row.Definition = o.Business.definition()
		e.Business = &row
	}
	if e.Slices, err = cut.judge(ctx); err != nil {
		return e, err
	}
	if len(e.Slices) > 0 {
		e.SliceRule, e.SliceMargin, e.SliceLimit = string(o.SliceRule), o.SliceMargin, o.SliceLimit
	}
	if t.Task == assay.Binary || t.Task == assay.Multiclass {
		e.Confusion = confusion(whole, m)
	}
	if (t.Task == assay.Binary || t.Task == assay.Multilabel) && !m.given {
		e.Threshold = assay.Number(o.Threshold)
	}
	if t.Task == assay.Binary {
		e.Positive = t.Classes[t.Positive]
		if m.input.Proba != nil {
			if e.Calibration, err = calibration(m, o); err != nil {
				return e, err
			}
		}
		if e.Fairness, err = fairness(ctx, t, m, o); err != nil {
			return e, err
		}
	}
	return e, nil
}

func definitions(names []string) ([]metric.Definition, error) {
	out := make([]metric.Definition, len(names))
	for i, name := range names {
		var err error
		if out[i], err = metric.Find(name); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// confusion counts rows true × predicted, in the order of the classes, whatever their weights.
func confusion(s *sample, p *prepared) [][]int64 {
	k := len(s.t.Classes)
	cell, _ := s.cells(p)
	out := make([][]int64, k)
	for i := range out {
		out[i] = make([]int64, k)
	}
	for _, c := range cell {
		out[int(c)/k][int(c)%k]++
	}
	return out
}

// calibration is the reliability curve over the bins of metric.NewCalibrationCurve; the intervals are Wilson's, at the effective number
// of rows where rows have weights.
func calibration(p *prepared, o Options) ([]assay.CalibrationBin, error) {
	bins := func(weight []float64) (metric.CalibrationCurve, error) {
		return metric.NewCalibrationCurve(metric.OneVsRest(p.t.Class, int32(p.t.Positive)), p.score(p.t.Positive), weight, metric.DefaultBins, metric.UniformBins)
	}
	curve, err := bins(p.t.Weight)
	if err != nil {
		return nil, err
	}
	square := curve
	if p.t.Weight != nil {
		if square, err = bins(squares(p.t.Weight)); err != nil {
			return nil, err
		}
	}
	hidden := map[int]bool{}
	if o.Sealed {
		sizes, open := make([]int, len(curve)), make([]bool, len(curve))
		for i, b := range curve {
			sizes[i], open[i] = int(b.Rows), int(b.Rows) >= MinSealedRows
		}
		shade(sizes, open, p.t.N())
		for i := range curve {
			hidden[i] = !open[i]
		}
	}
	out := make([]assay.CalibrationBin, 0, len(curve))
	for i, b := range curve {
		bin := assay.CalibrationBin{Lower: b.Lower, Upper: b.Upper, Mean: b.Mean}
		if p.t.Weight != nil {
			if !(b.Weight > 0) {
				continue
			}
			bin.Fraction = shareOfWeights(b.Fraction*b.Weight, b.Weight, square[i].Weight, o.Level)
		} else {
			of := float64(b.Rows)
			bin.Fraction = stat.Proportion(math.Round(b.Fraction*of), of, o.Level, "")
		}
		if hidden[i] {
			bin.Fraction = assay.Undefined(fmt.Sprintf("too few of the sealed rows to be told: fewer than %d, or beside such", MinSealedRows), int64(b.Rows))
		}
		out = append(out, bin)
	}
	return out, nil
}
