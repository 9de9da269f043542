package eval

import (
	"context"
	"math"

	"github.com/assay-ml/assay"
)

// Realised scores a model alone, as labels show it that came after its predictions: metrics, business metric and slices with the intervals
// of Evaluate, without a baseline and without verdicts. Slices with too few rows have no metrics.
func Realised(ctx context.Context, t *Truth, model *Scores, o Options) (assay.Evaluation, error) {
	o = o.withDefaults()
	if err := check(t, o, model); err != nil {
		return assay.Evaluation{}, err
	}
	t = t.fold()
	defs, err := definitions(o.Metrics)
	if err != nil {
		return assay.Evaluation{}, err
	}
	e := assay.Evaluation{Count: int64(t.N()), Level: o.Level, Seed: o.Seed, Replicates: o.Replicates, Task: t.Task, Classes: t.Classes, Primary: o.Primary, Slices: []assay.Slice{}}
	p := prepare(t, model, o.Threshold)
	whole := newSample(t, nil)
	x, err := newScoring(whole, p, nil, "", defs, o)
	if err != nil {
		return e, err
	}
	if o.Business != nil {
		f, err := o.Business.compile(t.Task)
		if err != nil {
			return e, err
		}
		m, err := o.Business.measure(f, whole, p)
		if err != nil {
			return e, err
		}
		if err := x.add(m, nil); err != nil {
			return e, err
		}
	}
	cut, err := newSlices(t, p, nil, defs, o)
	if err != nil {
		return e, err
	}
	if err := bootstrap(ctx, t, o, append(cut.scorings(), x)...); err != nil {
		return e, err
	}
	for i, d := range defs {
		e.Metrics = append(e.Metrics, assay.Metric{Name: d.Name, Definition: d.ID, Higher: d.Higher, Estimate: x.estimate(x.first[i], false)})
	}
	if o.Business != nil {
		m := x.first[len(defs)]
		e.Business = &assay.Metric{Name: m.name, Definition: o.Business.definition(), Higher: m.higher, Estimate: x.estimate(m, false)}
	}
	for i, sl := range cut.out {
		if sx := cut.score[i]; sx != nil {
			for k, d := range defs {
				sl.Metrics = append(sl.Metrics, assay.SliceMetric{Name: d.Name, Estimate: sx.estimate(sx.first[k], false)})
			}
		}
		e.Slices = append(e.Slices, sl)
	}
	if t.Task == assay.Binary || t.Task == assay.Multiclass {
		e.Confusion = confusion(whole, p)
	}
	return e, nil
}

// OfCounts is the expression as a function of the counts of a binary task, which need not be whole; NaN where it has no finite value. It is nil for
// other tasks.
func (b *Business) OfCounts(task assay.Task) (func(tp, fp, fn, tn float64) float64, error) {
	if task != assay.Binary {
		return nil, nil
	}
	f, err := b.compile(task)
	if err != nil {
		return nil, err
	}
	return func(tp, fp, fn, tn float64) float64 {
		v, err := f(map[string]any{"n": tp + fp + fn + tn, "tp": tp, "fp": fp, "fn": fn, "tn": tn})
		if err != nil || math.IsInf(v, 0) {
			return math.NaN()
		}
		return v
	}, nil
}
