package learn

import (
	"context"
	"math"
	"slices"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/metric"
	"github.com/assay-ml/assay/stat"
)

// A CrossValidation says how to cross-validate. Its zero value is five shuffled folds, stratified by class for a classifier, and 95 %
// intervals; only Metrics must be given.
type CrossValidation struct {
	Metrics []string    // names of the metric registry
	Splits  int         // number of folds; 0: stat.DefaultFolds
	Folds   []stat.Fold // the folds themselves, for groups or time; nil: made from Splits and the specification's seed
	Level   float64     // of the intervals; 0: 0.95
}

// A CrossScore is one metric over the folds.
type CrossScore struct {
	Metric   metric.Definition
	Folds    []float64      // one a fold; NaN where the metric is undefined
	Estimate assay.Estimate // mean over the folds, with the interval of Nadeau and Bengio, cut at the metric's range
}

// CrossValidated is the result of a cross-validation.
type CrossValidated struct {
	Scores      []CrossScore // in the order asked for
	Trains      int          // training rows of a fold, rounded mean
	Tests       int          // test rows of a fold, rounded mean
	Predictions []Prediction // of each fold's test rows
	Rows        []stat.Fold
	task        assay.Task
}

// Score returns the score of the metric of that name.
func (c CrossValidated) Score(name string) (CrossScore, bool) {
	for _, s := range c.Scores {
		if s.Metric.Name == name {
			return s, true
		}
	}
	return CrossScore{}, false
}

// CrossValidate fits the specification on the training side of each fold and scores it on the test side, with the test side's row
// weights. Preprocessing is fitted anew in each fold, on its training side only. Data.Valid serves every fold for early stopping; a
// fold's test side never does. The result does not depend on the number of threads.
func CrossValidate(ctx context.Context, spec Spec, data Data, o CrossValidation) (CrossValidated, error) {
	var problems assay.Problems
	defs := make([]metric.Definition, len(o.Metrics))
	for i, name := range o.Metrics {
		d, err := metric.Find(name)
		if err != nil {
			problems.Add("%v", err)
		} else if !d.Fits(spec.Task) {
			problems.Add("metric %s is not for task %s", name, spec.Task)
		}
		defs[i] = d
	}
	if len(o.Metrics) == 0 {
		problems.Add("no metric is named")
	}
	if o.Level == 0 {
		o.Level = 0.95
	}
	if err := problems.Err(assay.Invalid, "cannot cross-validate"); err != nil {
		return CrossValidated{}, err
	}
	folds, err := o.folds(spec, data)
	if err != nil {
		return CrossValidated{}, err
	}
	out := CrossValidated{Rows: folds, task: spec.Task}
	for _, d := range defs {
		out.Scores = append(out.Scores, CrossScore{Metric: d})
	}
	trains, tests := 0, 0
	for i, fold := range folds {
		p, scores, err := scoreFold(ctx, spec, data, fold, defs)
		if err != nil {
			return CrossValidated{}, assay.Errorf(assay.CodeOf(err), "fold %d of %d: %w", i+1, len(folds), err)
		}
		out.Predictions = append(out.Predictions, p)
		for k, v := range scores {
			out.Scores[k].Folds = append(out.Scores[k].Folds, v)
		}
		trains, tests = trains+len(fold.Train), tests+len(fold.Test)
	}
	out.Trains, out.Tests = int(math.Round(float64(trains)/float64(len(folds)))), int(math.Round(float64(tests)/float64(len(folds))))
	for k := range out.Scores {
		e, _ := stat.NadeauBengio(out.Scores[k].Folds, out.Trains, out.Tests, o.Level)
		out.Scores[k].Estimate = defs[k].Cut(spec.Task, e)
	}
	return out, nil
}

// Difference estimates by how much a is better than b on a metric, fold by fold; both must come from the same folds. Positive is
// better, whatever the metric's direction. The interval reaches no further than the range of the metric is wide.
func (c CrossValidated) Difference(other CrossValidated, name string, level float64) (assay.Estimate, stat.Test, error) {
	a, okA := c.Score(name)
	b, okB := other.Score(name)
	if !okA || !okB {
		return assay.Estimate{}, stat.Test{}, assay.Errorf(assay.NotFound, "metric %q was not scored on both sides", name)
	}
	if !slices.EqualFunc(c.Rows, other.Rows, func(x, y stat.Fold) bool { return slices.Equal(x.Test, y.Test) && slices.Equal(x.Train, y.Train) }) {
		return assay.Estimate{}, stat.Test{}, assay.Errorf(assay.Refused, "the two cross-validations used different folds")
	}
	d := make([]float64, len(a.Folds))
	for i := range d {
		if d[i] = a.Folds[i] - b.Folds[i]; !a.Metric.Higher {
			d[i] = -d[i]
		}
	}
	e, test := stat.NadeauBengio(d, c.Trains, c.Tests, level)
	return a.Metric.CutDifference(c.task, e), test, nil
}

func (o CrossValidation) folds(spec Spec, data Data) ([]stat.Fold, error) {
	n := data.X.Rows()
	if o.Folds == nil {
		k := stat.KFold{Splits: o.Splits, Shuffle: true, Seed: uint32(spec.Seed ^ spec.Seed>>32)}
		if !spec.Task.Classifies() {
			return k.Split(n)
		}
		y := make([]int, len(data.Labels))
		for i, v := range data.Labels {
			y[i] = int(v)
		}
		if len(y) == 0 {
			return nil, assay.Errorf(assay.Invalid, "cannot cross-validate: there are no labels")
		}
		return stat.StratifiedKFold(k).Split(y)
	}
	for i, f := range o.Folds {
		for _, r := range slices.Concat(f.Train, f.Test) {
			if r < 0 || r >= n {
				return nil, assay.Errorf(assay.Invalid, "fold %d names row %d of %d", i+1, r, n)
			}
		}
	}
	if len(o.Folds) == 0 {
		return nil, assay.Errorf(assay.Invalid, "cannot cross-validate: there are no folds")
	}
	return o.Folds, nil
}

// Take returns the given rows; Valid is shared.
func (d Data) Take(rows []int) Data {
	out := Data{X: d.X.Take(rows), Valid: d.Valid}
	for _, r := range rows {
		if d.Labels != nil {
			out.Labels = append(out.Labels, d.Labels[r])
		}
		if d.Values != nil {
			out.Values = append(out.Values, d.Values[r])
		}
		if d.Weights != nil {
			out.Weights = append(out.Weights, d.Weights[r])
		}
	}
	return out
}

func scoreFold(ctx context.Context, spec Spec, data Data, fold stat.Fold, defs []metric.Definition) (Prediction, []float64, error) {
	m, err := Fit(ctx, spec, data.Take(fold.Train))
	if err != nil {
		return Prediction{}, nil, err
	}
	test := data.Take(fold.Test)
	p, err := m.Predict(test.X)
	if err != nil {
		return Prediction{}, nil, err
	}
	in := metric.Input{
		Task: spec.Task, Classes: spec.Target.Classes, Positive: spec.Target.positive(), Truth: test.Labels, Labels: p.Labels, Proba: p.Proba,
		Target: test.Values, Values: p.Values, Weights: test.Weights,
	}
	scores := make([]float64, len(defs))
	for k, d := range defs {
		v, err := d.Score(in)
		if err != nil {
			return Prediction{}, nil, err
		}
		if scores[k] = v.Value; !v.Defined() {
			scores[k] = math.NaN()
		}
	}
	return p, scores, nil
}

// positive returns the index of the positive class of a binary task.
func (t Target) positive() int {
	if i := slices.Index(t.Classes, t.Positive); i >= 0 {
		return i
	}
	return 1
}
