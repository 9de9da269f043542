package stat

import (
	"math"
	"slices"

	"github.com/assay-ml/assay"
)

// Welch tests that two samples have one mean, without assuming one variance, with Welch's degrees of freedom. Undefined for fewer
// than two values on a side or no spread on both; its degrees of freedom are then 1, as SciPy says.
func Welch(x, y []float64) Test {
	m1, v1 := meanVariance(x)
	m2, v2 := meanVariance(y)
	n1, n2 := float64(len(x)), float64(len(y))
	a, b := v1/n1, v2/n2
	df := (a + b) * (a + b) / (a*a/(n1-1) + b*b/(n2-1))
	t := (m1 - m2) / math.Sqrt(a+b)
	if math.IsNaN(df) {
		df = 1
	}
	if math.IsInf(t, 0) {
		return Test{math.NaN(), df, math.NaN()}
	}
	return Test{t, df, 2 * TCDF(-math.Abs(t), df)}
}

// Mean estimates the mean of independent values with Student's interval. Undefined without a defined value, no interval below two.
// For per-row losses of two models, take the mean of the differences.
func Mean(values []float64, level float64) assay.Estimate {
	n := int64(len(values))
	m, v := meanVariance(values)
	switch {
	case math.IsNaN(m) || math.IsInf(m, 0):
		return assay.Undefined("no mean: no values or undefined ones", n)
	case badLevel(level):
		return assay.Undefined("level outside 0 and 1", n)
	case n < 2:
		return assay.Point(m, "no interval: one value", n)
	}
	h := TQuantile((1+level)/2, float64(n-1)) * math.Sqrt(v/float64(n))
	return assay.Estimate{Value: m, Lo: m - h, Hi: m + h, Level: level, Method: "t", N: n}
}

// PairedT tests that paired differences have mean zero.
func PairedT(differences []float64) Test {
	n := float64(len(differences))
	m, v := meanVariance(differences)
	if !(v > 0) {
		return undefinedTest()
	}
	t := m / math.Sqrt(v/n)
	return Test{t, n - 1, 2 * TCDF(-math.Abs(t), n-1)}
}

// pooledRanks returns the midranks of all samples together and Σ(t³-t) over ties.
func pooledRanks(samples ...[]float64) (ranks []float64, ties float64, ok bool) {
	pool := slices.Concat(samples...)
	if hasNaN(pool) {
		return nil, 0, false
	}
	ranks = make([]float64, len(pool))
	tieGroups(pool, ascending(pool), func(rows []int32, before int) {
		t := float64(len(rows))
		ties += t*t*t - t
		for _, r := range rows {
			ranks[r] = float64(before) + (t+1)/2
		}
	})
	return ranks, ties, true
}

// MannWhitneyOptions say how MannWhitney gets its p-value; the zero value is two-sided, asymptotic, with continuity correction.
type MannWhitneyOptions struct {
	Alternative  Alternative
	Method       NullMethod // Exact needs no ties and fewer than 2^53 orders; otherwise the test is undefined
	NoCorrection bool
}

// MannWhitney tests that neither of two samples tends to be larger. The statistic is U of the first. Undefined for an empty sample
// or an undefined value. Checked against SciPy's mannwhitneyu to 1e-9.
func MannWhitney(x, y []float64, o MannWhitneyOptions) Test {
	ranks, ties, ok := pooledRanks(x, y)
	if !ok || len(x) == 0 || len(y) == 0 {
		return undefinedTest()
	}
	n1, n2 := float64(len(x)), float64(len(y))
	u1 := pairwiseSum(ranks[:len(x)]) - n1*(n1+1)/2
	u, sides := math.Max(u1, n1*n2-u1), 2.0
	switch o.Alternative {
	case Greater:
		u, sides = u1, 1
	case Less:
		u, sides = n1*n2-u1, 1
	}
	t := Test{Statistic: u1, DF: math.NaN()}
	if o.Method == Exact {
		t.P = math.NaN()
		if ties == 0 {
			t.P = math.Min(1, sides*mannWhitneySF(int(u), len(x), len(y)))
		}
		return t
	}
	n := n1 + n2
	s := math.Sqrt(n1 * n2 / 12 * (n + 1 - ties/(n*(n-1))))
	d := u - n1*n2/2
	if !o.NoCorrection {
		d -= 0.5
	}
	t.P = math.Min(1, sides*NormalSF(d/s))
	return t
}

// mannWhitneySF is P(U ≥ u), from the coefficients of the Gaussian binomial; NaN when they exceed whole floats.
func mannWhitneySF(u, n1, n2 int) float64 {
	total := 1.0
	for i := 1; i <= min(n1, n2); i++ {
		total = total * float64(max(n1, n2)+i) / float64(i)
	}
	if total >= 1<<53 {
		return math.NaN()
	}
	c := make([]float64, n1*n2+1)
	c[0] = 1
	for i := 1; i <= min(n1, n2); i++ {
		k := max(n1, n2) + i
		for j := len(c) - 1; j >= k; j-- {
			c[j] -= c[j-k]
		}
		for j := i; j < len(c); j++ {
			c[j] += c[j-i]
		}
	}
	var sum float64
	for _, v := range c[max(u, 0):] {
		sum += v
	}
	return sum / total
}

// Wilcoxon tests that paired differences are symmetric about zero by the signed ranks of those that are not zero, asymptotically and
// without continuity correction. The statistic is the smaller rank sum. Undefined without a difference.
func Wilcoxon(differences []float64) Test {
	var size []float64
	var positive []bool
	for _, d := range differences {
		if d != 0 {
			size, positive = append(size, math.Abs(d)), append(positive, d > 0)
		}
	}
	ranks, ties, ok := pooledRanks(size)
	if !ok || len(size) == 0 {
		return undefinedTest()
	}
	n := float64(len(size))
	var plus float64
	for i, r := range ranks {
		if positive[i] {
			plus += r
		}
	}
	z := (plus - n*(n+1)/4) / math.Sqrt((n*(n+1)*(2*n+1)-ties/2)/24)
	return Test{math.Min(plus, n*(n+1)/2-plus), math.NaN(), 2 * NormalSF(math.Abs(z))}
}

// KruskalWallis tests that no sample tends to be larger, by ranks. Undefined for fewer than two samples, an empty one, or all values
// equal.
func KruskalWallis(samples ...[]float64) Test {
	ranks, ties, ok := pooledRanks(samples...)
	n := float64(len(ranks))
	if !ok || len(samples) < 2 || ties == n*n*n-n {
		return undefinedTest()
	}
	var h float64
	for _, s := range samples {
		if len(s) == 0 {
			return undefinedTest()
		}
		sum := pairwiseSum(ranks[:len(s)])
		h += sum * sum / float64(len(s))
		ranks = ranks[len(s):]
	}
	h = (12/(n*(n+1))*h - 3*(n+1)) / (1 - ties/(n*n*n-n))
	df := float64(len(samples) - 1)
	return Test{h, df, ChiSquaredSF(h, df)}
}

// ANOVA tests that all samples have one mean, assuming one variance. DF is that between samples. Undefined without spread within.
func ANOVA(samples ...[]float64) Test {
	pool := slices.Concat(samples...)
	grand, _ := meanVariance(pool)
	var between, within float64
	for _, s := range samples {
		m, _ := meanVariance(s)
		between += float64(len(s)) * (m - grand) * (m - grand)
		for _, v := range s {
			within += (v - m) * (v - m)
		}
	}
	d1, d2 := float64(len(samples)-1), float64(len(pool)-len(samples))
	f := between / d1 / (within / d2)
	if math.IsNaN(f) || math.IsInf(f, 0) || d1 < 1 || d2 < 1 {
		return undefinedTest()
	}
	return Test{f, d1, FSF(f, d1, d2)}
}
