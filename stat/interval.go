package stat

import (
	"fmt"
	"math"
	"slices"

	"github.com/assay-ml/assay"
)

// Quantile returns the p-quantile of ascending values by linear interpolation between the order statistics around p(n-1), NumPy's
// default, rounded as NumPy rounds. It is NaN for no values or p outside [0, 1].
func Quantile(sorted []float64, p float64) float64 {
	n := len(sorted)
	if n == 0 || !(p >= 0 && p <= 1) {
		return math.NaN()
	}
	at := p * float64(n-1)
	floor := math.Floor(at)
	i, t := int(floor), at-floor
	if i >= n-1 {
		return sorted[n-1]
	}
	a, b := sorted[i], sorted[i+1]
	if t >= 0.5 {
		return b - (b-a)*(1-t)
	}
	return a + (b-a)*t
}

// A BootstrapMethod names how an interval is made from replicates (Efron and Tibshirani, 1993, chapters 13 and 14).
type BootstrapMethod string

const (
	BCa        BootstrapMethod = "bca"        // bias-corrected and accelerated; the default where a jackknife is given
	Percentile BootstrapMethod = "percentile" // the default without a jackknife
	Basic      BootstrapMethod = "basic"      // reflected percentile
)

// MaxUndefined is the largest share of undefined replicates with which a bootstrap interval is still given.
const MaxUndefined = 0.05

// A Resampled statistic is its value on the data and on bootstrap replicates.
type Resampled struct {
	Value      float64
	Replicates []float64   // NaN where the replicate left the statistic undefined
	Jackknife  [][]float64 // per independent sample, the values without each of its rows (or clusters); nil: no BCa
	N          int64       // rows (or clusters) behind the value
}

// defined returns the defined replicates in ascending order.
func (r Resampled) defined() []float64 {
	out := make([]float64, 0, len(r.Replicates))
	for _, v := range r.Replicates {
		if !math.IsNaN(v) {
			out = append(out, v)
		}
	}
	slices.Sort(out)
	return out
}

// StandardError is the standard deviation of the defined replicates.
func (r Resampled) StandardError() float64 {
	d := r.defined()
	_, v := meanVariance(d)
	return math.Sqrt(v)
}

// meanVariance returns the mean and the variance with n-1 below, in two passes.
func meanVariance(xs []float64) (mean, variance float64) {
	n := float64(len(xs))
	mean = pairwiseSum(xs) / n
	var sq, rest float64
	for _, x := range xs {
		d := x - mean
		sq += d * d
		rest += d
	}
	return mean, (sq - rest*rest/n) / (n - 1)
}

// Bias returns z0, the normal quantile of the share of replicates below the value, equal ones counted half.
func (r Resampled) Bias() float64 {
	var below, total float64
	for _, v := range r.Replicates {
		switch {
		case math.IsNaN(v):
			continue
		case v < r.Value:
			below++
		case v == r.Value:
			below += 0.5
		}
		total++
	}
	return NormalQuantile(below / total)
}

// Acceleration returns the skewness of the jackknife over 6, NaN when the jackknife is missing, constant or undefined.
func (r Resampled) Acceleration() float64 {
	var num, den float64
	for _, jack := range r.Jackknife {
		n := float64(len(jack))
		mean := pairwiseSum(jack) / n
		var cube, square float64
		for _, v := range jack {
			u := (n - 1) * (mean - v)
			square += u * u
			cube += u * u * u
		}
		num += cube / (n * n * n)
		den += square / (n * n)
	}
	if !(den > 0) {
		return math.NaN()
	}
	return num / (6 * math.Pow(den, 1.5))
}

// Estimate returns the value with its interval. Method "" is BCa with a jackknife and percentile without. BCa falls back to
// percentile, and says so in the estimate's method, when the jackknife is degenerate or all replicates lie on one side of the value.
// With more than MaxUndefined of the replicates undefined there is no interval. Checked against scipy.stats.bootstrap on the same
// resamples to 1e-9.
func (r Resampled) Estimate(level float64, method BootstrapMethod) assay.Estimate {
	switch {
	case math.IsNaN(r.Value):
		return assay.Undefined("the statistic has no value", r.N)
	case badLevel(level):
		return assay.Undefined("level outside 0 and 1", r.N)
	case len(r.Replicates) == 0:
		return assay.Point(r.Value, "no interval: no replicates", r.N)
	}
	d := r.defined()
	if missing := len(r.Replicates) - len(d); float64(missing) > MaxUndefined*float64(len(r.Replicates)) {
		return assay.Point(r.Value, fmt.Sprintf("no interval: %d of %d replicates undefined", missing, len(r.Replicates)), r.N)
	}
	if method == "" {
		method = Percentile
		if r.Jackknife != nil {
			method = BCa
		}
	}
	e := assay.Estimate{Value: r.Value, Level: level, N: r.N}
	lo, hi := (1-level)/2, 1-(1-level)/2
	switch method {
	case BCa:
		if l, h, ok := r.bcaTails(level); ok {
			lo, hi = l, h
		} else {
			method = Percentile
		}
		e.Lo, e.Hi = Quantile(d, lo), Quantile(d, hi)
	case Percentile:
		e.Lo, e.Hi = Quantile(d, lo), Quantile(d, hi)
	case Basic:
		e.Lo, e.Hi = 2*r.Value-Quantile(d, hi), 2*r.Value-Quantile(d, lo)
	default:
		return assay.Undefined("unknown method "+string(method), r.N)
	}
	e.Method = string(method)
	return e
}

// bcaTails returns the shares of the replicates at which a BCa interval is cut.
func (r Resampled) bcaTails(level float64) (lo, hi float64, ok bool) {
	z0, a := r.Bias(), r.Acceleration()
	tail := func(z float64) float64 { return NormalCDF(z0 + (z0+z)/(1-a*(z0+z))) }
	z := critical(level)
	lo, hi = tail(-z), tail(z)
	return lo, hi, !math.IsNaN(lo) && !math.IsNaN(hi) && !math.IsInf(z0, 0) && lo < hi
}

// ClusterJackknife turns the leave-one-row-out values of a statistic into leave-one-cluster-out values, to first order: a cluster
// moves the statistic by the sum of what its rows do. codes has one cluster code a row.
func ClusterJackknife(value float64, jackknife []float64, codes []int) []float64 {
	index, sizes := dense(codes)
	out := make([]float64, len(sizes))
	for g := range out {
		out[g] = value
	}
	for i, v := range jackknife {
		out[index[i]] += v - value
	}
	return out
}

// NadeauBengio estimates the mean of the differences of two learners over the J test sets of a cross-validation or of repeated
// random splits, with the variance factor 1/J + tests/trains for the overlap of training sets (Nadeau and Bengio, 2003) and J-1
// degrees of freedom. Differences without spread are no evidence of certainty: the estimate then has no interval and the test is
// undefined. It needs two differences and positive sizes.
func NadeauBengio(differences []float64, trains, tests int, level float64) (assay.Estimate, Test) {
	j := float64(len(differences))
	n := int64(len(differences))
	mean, v := meanVariance(differences)
	switch {
	case len(differences) < 2 || math.IsNaN(mean) || math.IsInf(mean, 0):
		return assay.Undefined("fewer than two defined differences", n), undefinedTest()
	case trains <= 0 || tests <= 0:
		return assay.Undefined("no training or test rows", n), undefinedTest()
	case badLevel(level):
		return assay.Undefined("level outside 0 and 1", n), undefinedTest()
	}
	v *= 1/j + float64(tests)/float64(trains)
	if slices.Max(differences) == slices.Min(differences) {
		return assay.Point(mean, "no interval: the differences do not vary", n), undefinedTest()
	}
	se := math.Sqrt(v)
	h := TQuantile((1+level)/2, j-1) * se
	t := mean / se
	e := assay.Estimate{Value: mean, Lo: mean - h, Hi: mean + h, Level: level, Method: "nadeau-bengio", N: n}
	return e, Test{Statistic: t, DF: j - 1, P: 2 * TCDF(-math.Abs(t), j-1)}
}
