package stat

import (
	"math"

	"github.com/assay-ml/assay"
)

// BoundedMean estimates the mean of independent values that lie between least and greatest. The interval is that of Wilson for a
// proportion: all means from which the one seen is no further away than the quantile allows, when the variance of a value is that of a
// proportion times a constant, which is taken from the sample (Kott and Carr, Journal of Official Statistics
// 13, 1997; Franco, Little, Louis and Slud, Journal of Survey Statistics and Methodology 7, 2019, compare it with others). The quantile
// is Student's. So the interval is longer towards the middle of the range, stays within it, and covers more than Student's where most
// values lie at one end; with many values it is the same. It is undefined for values outside the range, and has no ends where all are equal.
func BoundedMean(values []float64, least, greatest, level float64) assay.Estimate {
	e := Mean(values, level)
	if !e.HasInterval() {
		return e
	}
	width := greatest - least
	if !(width > 0) || math.IsInf(width, 0) {
		return assay.Undefined("the range has no width", e.N)
	}
	for _, v := range values {
		if !(v >= least && v <= greatest) {
			return assay.Undefined("a value outside its range", e.N)
		}
	}
	_, variance := meanVariance(values)
	p := (e.Value - least) / width
	if !(variance > 0) || !(p > 0 && p < 1) {
		return assay.Point(e.Value, "no interval: the values do not vary", e.N)
	}
	n := float64(e.N)
	trials := n * p * (1 - p) * width * width / variance
	lo, hi := wilson(p, trials, TQuantile((1+level)/2, n-1))
	e.Lo, e.Hi, e.Method = least+width*lo, least+width*hi, "wilson mean"
	return e
}

// Participation is how many values of equal size would make up a sum as unevenly as these do: (Σ|v|)²/Σv², the inverse of Simpson's
// index of concentration; 0 when all are 0.
func Participation(values []float64) float64 {
	var top, sum, square float64
	for _, v := range values {
		top = math.Max(top, math.Abs(v))
	}
	if !(top > 0) || math.IsInf(top, 0) {
		return 0
	}
	for _, v := range values {
		v = math.Abs(v) / top
		sum += v
		square += v * v
	}
	return sum * sum / square
}
