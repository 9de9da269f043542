package metric

import (
	"math"

	"github.com/assay-ml/assay"
)

// FromConfusion computes a label metric of a binary or multiclass task from a confusion matrix alone, so that a resample of rows is a
// draw of counts. It gives what Score gives for the rows behind the matrix; positive matters for two classes only. It refuses other
// metrics, negative counts and an empty matrix.
func (d Definition) FromConfusion(c Confusion, positive int) (Value, error) {
	if d.compute.counts == nil {
		return Value{}, invalid("%s is not a function of the confusion matrix", d.Name)
	}
	var p assay.Problems
	if c.Classes < 1 || len(c.Counts) != c.Classes*c.Classes {
		p.Add("%d counts are no matrix of %d classes", len(c.Counts), c.Classes)
	}
	if c.Rows != nil && len(c.Rows) != c.Classes || c.Columns != nil && len(c.Columns) != c.Classes {
		p.Add("%d and %d marks are not of %d classes", len(c.Rows), len(c.Columns), c.Classes)
	}
	if d.Fits(assay.Binary) && !d.Fits(assay.Multiclass) && c.Classes != 2 {
		p.Add("it is defined for two classes, not %d", c.Classes)
	}
	if positive < 0 || positive >= c.Classes {
		p.Add("positive class %d of %d", positive, c.Classes)
	}
	for i, n := range c.Counts {
		if !(n >= 0) || math.IsInf(n, 0) {
			p.Add("count %d is %v; a count is finite and at least 0", i, n)
			break
		}
	}
	if len(p) == 0 && c.Total() == 0 {
		p.Add("the matrix holds no row")
	}
	if err := p.Err(assay.Invalid, d.Name); err != nil {
		return Value{}, err
	}
	return d.compute.counts(c, positive)
}

// confusionScore computes a metric from a checked matrix.
type confusionScore func(c Confusion, positive int) (Value, error)

func plainly(f func(Confusion) Value) confusionScore {
	return func(c Confusion, _ int) (Value, error) { return f(c), nil }
}

func averaged(f countScore, a Average) confusionScore {
	return func(c Confusion, positive int) (Value, error) {
		o := LabelOptions{Average: a}
		if a == Positive {
			o.Average = Of(positive)
		}
		t, err := c.oneVsRest(o)
		if err != nil {
			return Value{}, err
		}
		return t.average(o, f)
	}
}

func (c Confusion) accuracy() Value    { return defined(c.trace() / c.Total()) }
func (c Confusion) zeroOneLoss() Value { return defined(1 - c.trace()/c.Total()) }

func (c Confusion) balanced() Value {
	v, _ := c.balancedAccuracy()
	return v
}

func likelihoodOf(negative bool) confusionScore {
	return func(c Confusion, positive int) (Value, error) {
		pos, neg := c.choose([]int{1 - positive, positive}).likelihoodRatios()
		if negative {
			return neg, nil
		}
		return pos, nil
	}
}

// PerRow gives, for a metric that is the weighted mean of one number a row (of a ranking, one a query), those numbers: a resample of rows is then a mean, and the
// difference of two models a paired one. It refuses other metrics. The numbers do not depend on the weights.
func (d Definition) PerRow(in Input) ([]float64, error) {
	if d.compute.perRow == nil {
		return nil, invalid("%s is not a mean over the rows", d.Name)
	}
	// Score checks everything that could be wrong with the rows.
	if _, err := d.Score(in); err != nil {
		return nil, err
	}
	return d.compute.perRow(&in), nil
}

// FromTables computes a label metric of a multilabel task from the two-by-two tables of its labels. It gives what Score gives for the
// rows behind the tables, and refuses other metrics.
func (d Definition) FromTables(labels []Counts) (Value, error) {
	if d.compute.tables == nil || len(labels) == 0 {
		return Value{}, invalid("%s is not a function of the tables of %d labels", d.Name, len(labels))
	}
	return d.compute.tables(labels), nil
}

// IsTabled reports whether FromTables is defined.
func (d Definition) IsTabled() bool { return d.compute.tables != nil && d.Fits(assay.Multilabel) }

// IsMean reports whether PerRow is defined.
func (d Definition) IsMean() bool { return d.compute.perRow != nil }

// IsCounted reports whether FromConfusion is defined.
func (d Definition) IsCounted() bool { return d.compute.counts != nil }

// hits is 1 (or with wrong, 0) for each row whose labels are all right.
func hits(wrong bool) func(*Input) []float64 {
	return func(in *Input) []float64 {
		k := 1
		if in.Task == assay.Multilabel {
			k = len(in.Classes)
		}
		out := make([]float64, len(in.Truth)/k)
		for i := range out {
			right := true
			for c := i * k; c < (i+1)*k; c++ {
				right = right && in.Truth[c] == in.Labels[c]
			}
			if right != wrong {
				out[i] = 1
			}
		}
		return out
	}
}

// wrongShare is the share of labels of each row that are wrong.
func wrongShare(in *Input) []float64 {
	if in.Task != assay.Multilabel {
		return hits(true)(in)
	}
	k := len(in.Classes)
	out := make([]float64, len(in.Truth)/k)
	for c, t := range in.Truth {
		if t != in.Labels[c] {
			out[c/k] += 1 / float64(k)
		}
	}
	return out
}

// rowLosses applies a loss to each row of probabilities.
func rowLosses(loss func(m proba, truth []int32, i int) float64) func(*Input) []float64 {
	return func(in *Input) []float64 {
		truth, p, o, err := in.proba()
		if err != nil {
			return nil
		}
		m, err := o.shape("", truth, p)
		if err != nil {
			return nil
		}
		out := make([]float64, m.n)
		for i := range out {
			out[i] = loss(m, truth, i)
		}
		return out
	}
}

func (m proba) rowLogLoss(truth []int32, i int) float64 { return -clippedLog(m.at(i, int(truth[i]))) }

func (m proba) rowBrier(truth []int32, i int) float64 {
	row := proba{p: m.p[i:], n: 1, k: m.k, single: m.single}
	if !m.single {
		row.p = m.p[i*m.k : (i+1)*m.k]
	}
	b := row.brier(truth[i:i+1], nil)
	if m.k == 2 {
		return b / 2
	}
	return b
}

func rowErrors(loss func(y, p float64) float64) func(*Input) []float64 {
	return func(in *Input) []float64 {
		out := make([]float64, len(in.Target))
		for i, y := range in.Target {
			out[i] = loss(y, in.Values[i])
		}
		return out
	}
}
