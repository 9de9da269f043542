package stat

import (
	"math"
	"slices"

	"github.com/assay-ml/assay"
)

// A DelayCurve is the share of predictions whose label has arrived by each age, estimated from predictions of different ages: those that
// still wait are censored at their age and not counted as never labelled, which would make every recent window look worse than it is.
// It is Kaplan and Meier's estimate (1958) of the distribution of the delay; where all labels of an age have had time to arrive it is
// the plain share. It assumes that how long a label takes does not depend on when the prediction was made. It is immutable.
type DelayCurve struct {
	at       []float64 // ages at which labels arrived, ascending
	coverage []float64
	variance []float64 // Greenwood's sum Σ d/(n(n-d))
	risk     []int64   // predictions at least so old and without label before
	oldest   float64
	n        int64
}

// NewDelayCurve estimates the curve. For each prediction, age is the time from prediction to label where arrived is true, else the time
// from prediction to now; any unit, at least 0. It refuses unequal lengths, no predictions, and negative or undefined ages. Checked
// against scipy.stats.ecdf with censored data to 1e-9.
func NewDelayCurve(age []float64, arrived []bool) (*DelayCurve, error) {
	var p assay.Problems
	if len(age) != len(arrived) {
		p.Add("%d ages for %d predictions", len(age), len(arrived))
	}
	if len(age) == 0 {
		p.Add("no predictions")
	}
	for i, a := range age {
		if !(a >= 0) || math.IsInf(a, 0) {
			p.Add("age %v of prediction %d", a, i)
			break
		}
	}
	if err := p.Err(assay.Invalid, "cannot estimate the delay of labels"); err != nil {
		return nil, err
	}
	order := ascending(age)
	c := &DelayCurve{n: int64(len(age)), oldest: slices.Max(age)}
	waiting, left, greenwood := 1.0, len(age), 0.0
	tieGroups(age, order, func(rows []int32, _ int) {
		d := 0
		for _, r := range rows {
			if arrived[r] {
				d++
			}
		}
		if d > 0 {
			n := float64(left)
			waiting *= 1 - float64(d)/n
			greenwood += float64(d) / (n * (n - float64(d)))
			c.at = append(c.at, age[rows[0]])
			c.coverage = append(c.coverage, 1-waiting)
			c.variance = append(c.variance, greenwood)
			c.risk = append(c.risk, int64(left))
		}
		left -= len(rows)
	})
	return c, nil
}

// Ages returns the ages at which labels arrived, ascending, and the coverage from each on.
func (c *DelayCurve) Ages() (at, coverage []float64) {
	return slices.Clone(c.at), slices.Clone(c.coverage)
}

// Coverage estimates the share of predictions that have a label by the given age, with the interval on the log-log scale. N is the number
// of predictions that were still waiting at the last arrival by then. It is undefined beyond the oldest prediction, and has no
// interval before the first arrival or once all have arrived.
func (c *DelayCurve) Coverage(age, level float64) assay.Estimate {
	if math.IsNaN(age) || age > c.oldest {
		return assay.Undefined("no prediction is so old", c.n)
	}
	if badLevel(level) {
		return assay.Undefined("level outside 0 and 1", c.n)
	}
	i, found := slices.BinarySearch(c.at, age)
	if !found {
		i--
	}
	if i < 0 {
		return assay.Point(0, "no interval: no label had arrived", c.n)
	}
	e := assay.Estimate{Value: c.coverage[i], Level: level, Method: "kaplan-meier", N: c.risk[i]}
	s := 1 - e.Value
	if s <= 0 || s >= 1 {
		return assay.Point(e.Value, "no interval: all labels had arrived", c.risk[i])
	}
	h := critical(level) * math.Sqrt(c.variance[i]) / math.Abs(math.Log(s))
	e.Lo, e.Hi = 1-math.Pow(s, math.Exp(-h)), 1-math.Pow(s, math.Exp(h))
	return e
}

// Age returns the youngest age by which the given share of predictions has a label: the p-quantile of the delay. It is +Inf when so many
// never had, within the oldest age, and NaN for p outside (0, 1].
func (c *DelayCurve) Age(p float64) float64 {
	if !(p > 0 && p <= 1) {
		return math.NaN()
	}
	for i, v := range c.coverage {
		if v >= p-1e-12 {
			return c.at[i]
		}
	}
	return math.Inf(1)
}

// Oldest is the largest age of a prediction: what the curve knows about ends there.
func (c *DelayCurve) Oldest() float64 { return c.oldest }

// N is the number of predictions.
func (c *DelayCurve) N() int64 { return c.n }
