package metric

import (
	"cmp"
	"math"
	"slices"
	"sort"

	"github.com/assay-ml/assay"
)

// A BinStrategy says how probabilities are put into bins. The zero value is UniformBins.
type BinStrategy string

const (
	UniformBins    BinStrategy = "uniform"     // equal widths on [0,1]
	QuantileBins   BinStrategy = "quantile"    // edges at the quantiles of the probabilities; ties can leave fewer bins
	EqualCountBins BinStrategy = "equal_count" // runs of the rows in order of probability, as equal in length as can be; ties can be split
)

// maxBins bounds the work and the memory of a curve.
const maxBins = 1 << 20

// A Bin is one bin of a calibration curve: probabilities in (Lower, Upper], and Lower itself in the first bin.
type Bin struct {
	Lower, Upper float64
	Mean         float64 // mean probability of its rows
	Fraction     float64 // share of its rows that are positive
	Rows         int     // how many
	Weight       float64 // the sum of their weights; Rows without weights
}

// A CalibrationCurve is the bins that hold rows, in order of probability.
type CalibrationCurve []Bin

// NewCalibrationCurve compares the mean probability with the share of positives, bin by bin; truth is 0 or 1, p is the probability of
// 1. A value on an edge belongs to the lower bin; empty bins vanish. Uniform and quantile bins are those of
// sklearn.calibration.calibration_curve, which has no weights.
func NewCalibrationCurve(truth []int32, p, weights []float64, bins int, strategy BinStrategy) (CalibrationCurve, error) {
	var problems assay.Problems
	checkRows(&problems, len(truth), "probabilities", len(p))
	checkBinary(&problems, truth)
	checkWeights(&problems, len(truth), weights)
	for i, v := range p {
		if !(v >= 0 && v <= 1) {
			problems.Add("probability %d is %v, outside [0,1]", i, v)
			break
		}
	}
	if bins < 1 || bins > maxBins {
		problems.Add("%d bins; from 1 to %d are made", bins, maxBins)
	}
	switch strategy {
	case "", UniformBins, QuantileBins, EqualCountBins:
	default:
		problems.Add("strategy %q is none of uniform, quantile and equal_count", string(strategy))
	}
	if err := problems.Err(assay.Invalid, "calibration curve"); err != nil {
		return nil, err
	}
	if strategy == EqualCountBins {
		return equalCount(truth, p, weights, bins), nil
	}
	edges := fractions(bins)
	if strategy == QuantileBins {
		edges = quantiles(p, edges)
	}
	inner := edges[1:bins]
	sums := make([]binSum, bins)
	for i, v := range p {
		sums[sort.SearchFloat64s(inner, v)].add(truth[i], v, rowWeight(weights)(i))
	}
	var curve CalibrationCurve
	for b := range sums {
		if s := &sums[b]; s.weight.value() > 0 {
			curve = append(curve, s.bin(edges[b], edges[b+1]))
		}
	}
	return curve, nil
}

// fractions is 0, 1/n, …, 1, each i·(1/n) in float64: the edges are part of the definition.
func fractions(n int) []float64 {
	out := make([]float64, n+1)
	step := 1 / float64(n)
	for i := range out {
		out[i] = float64(i) * step
	}
	out[n] = 1
	return out
}

// quantiles interpolates linearly between the sorted values, as numpy.percentile does.
func quantiles(v, at []float64) []float64 {
	s := slices.Clone(v)
	slices.Sort(s)
	out := make([]float64, len(at))
	for i, q := range at {
		h := float64(len(s)-1) * (q * 100 / 100)
		lo := int(h)
		t := h - float64(lo)
		a, b := s[lo], s[min(lo+1, len(s)-1)]
		// The conversions keep each product rounded on its own, whatever the machine can fuse.
		if t < 0.5 {
			out[i] = a + float64((b-a)*t)
		} else {
			out[i] = b - float64((b-a)*(1-t))
		}
	}
	return out
}

type binSum struct {
	rows                int
	weight, p, positive accumulator
}

func (s *binSum) add(truth int32, p, w float64) {
	s.rows++
	s.weight.add(w)
	s.p.add(w * p)
	if truth == 1 {
		s.positive.add(w)
	}
}

func (s *binSum) bin(lower, upper float64) Bin {
	w := s.weight.value()
	return Bin{Lower: lower, Upper: upper, Mean: min(max(s.p.value()/w, lower), upper), Fraction: s.positive.value() / w, Rows: s.rows, Weight: w}
}

func equalCount(truth []int32, p, weights []float64, bins int) CalibrationCurve {
	n := len(p)
	order := make([]int, n)
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(p[a], p[b]) })
	var curve CalibrationCurve
	from := 0
	for b := range min(bins, n) {
		to := from + n/bins
		if b < n%bins {
			to++
		}
		if to > from {
			var s binSum
			for _, i := range order[from:to] {
				s.add(truth[i], p[i], rowWeight(weights)(i))
			}
			if s.weight.value() > 0 {
				curve = append(curve, s.bin(p[order[from]], p[order[to-1]]))
			}
		}
		from = to
	}
	return curve
}

// weight is the sum over the bins.
func (c CalibrationCurve) weight() float64 {
	var a accumulator
	for _, b := range c {
		a.add(b.Weight)
	}
	return a.value()
}

// average is the mean of f over the bins, weighted by their rows.
func (c CalibrationCurve) average(f func(Bin) float64) float64 {
	var a accumulator
	for _, b := range c {
		a.add(b.Weight * f(b))
	}
	return a.value() / c.weight()
}

func (b Bin) gap() float64 { return b.Mean - b.Fraction }

// ECE is the expected calibration error: the mean distance of probability and share of positives over the bins, in [0,1]; lower is
// better (Naeini, Cooper and Hauskrecht, 2015).
func (c CalibrationCurve) ECE() float64 {
	return c.average(func(b Bin) float64 { return math.Abs(b.gap()) })
}

// MCE is the greatest distance over the bins, in [0,1]; lower is better.
func (c CalibrationCurve) MCE() float64 {
	var worst float64
	for _, b := range c {
		worst = max(worst, math.Abs(b.gap()))
	}
	return worst
}

// RMSCE is the root of the mean squared distance over the bins, in [0,1]; lower is better.
func (c CalibrationCurve) RMSCE() float64 {
	return math.Sqrt(c.average(func(b Bin) float64 { return b.gap() * b.gap() }))
}

// BrierParts splits the Brier score (Murphy, 1973): Reliability − Resolution + Uncertainty, exactly so only when the probability is
// constant within each bin. Lower reliability and higher resolution are better; uncertainty is of the data.
type BrierParts struct{ Reliability, Resolution, Uncertainty float64 }

// Brier computes the parts on the bins.
func (c CalibrationCurve) Brier() BrierParts {
	base := c.average(func(b Bin) float64 { return b.Fraction })
	return BrierParts{
		Reliability: c.average(func(b Bin) float64 { return b.gap() * b.gap() }),
		Resolution:  c.average(func(b Bin) float64 { return (b.Fraction - base) * (b.Fraction - base) }),
		Uncertainty: base * (1 - base),
	}
}

// ExpectedCalibrationError is the ECE on bins of equal width; 0 bins means DefaultBins. Lower is better.
func ExpectedCalibrationError(truth []int32, p, weights []float64, bins int) (Value, error) {
	if bins == 0 {
		bins = DefaultBins
	}
	c, err := NewCalibrationCurve(truth, p, weights, bins, UniformBins)
	if err != nil {
		return Value{}, err
	}
	return defined(c.ECE()), nil
}

// DefaultBins is the number of bins of the calibration errors when none is given.
const DefaultBins = 10
