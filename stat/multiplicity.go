package stat

import (
	"cmp"
	"math"
	"slices"
)

// A Correction says how p-values of several tests are adjusted.
type Correction string

const (
	Bonferroni Correction = "bonferroni" // family-wise error, any dependence
	Holm       Correction = "holm"       // family-wise error, any dependence; never worse than Bonferroni (Holm, 1979)
	HolmSidak  Correction = "holm-sidak" // family-wise error, independent tests
	Hommel     Correction = "hommel"     // family-wise error, independent or positively dependent tests (Hommel, 1988)
	BH         Correction = "bh"         // false discovery rate, independent or positively dependent tests (Benjamini and Hochberg, 1995)
	BY         Correction = "by"         // false discovery rate, any dependence (Benjamini and Yekutieli, 2001)
)

// Adjust returns the adjusted p-values, in the order given: rejecting where they are at most α keeps the correction's error rate at
// α. Undefined p-values stay undefined and do not count as tests; values outside [0, 1] become undefined. An unknown correction
// makes all undefined. Checked against statsmodels to 1e-9.
func Adjust(p []float64, method Correction) []float64 {
	out := make([]float64, len(p))
	var order []int
	for i, v := range p {
		out[i] = math.NaN()
		if v >= 0 && v <= 1 {
			order = append(order, i)
		}
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(p[a], p[b]) })
	m := float64(len(order))
	switch method {
	case Bonferroni:
		for _, i := range order {
			out[i] = math.Min(1, m*p[i])
		}
	case Holm, HolmSidak:
		top := 0.0
		for k, i := range order {
			left := m - float64(k)
			v := left * p[i]
			if method == HolmSidak {
				v = -math.Expm1(left * math.Log1p(-p[i]))
			}
			top = math.Max(top, math.Min(1, v))
			out[i] = top
		}
	case BH, BY:
		c := 1.0
		if method == BY {
			c = 0
			for k := 1.0; k <= m; k++ {
				c += 1 / k
			}
		}
		low := 1.0
		for k := len(order) - 1; k >= 0; k-- {
			i := order[k]
			low = math.Min(low, c*m/float64(k+1)*p[i])
			out[i] = low
		}
	case Hommel:
		hommel(p, order, out)
	}
	return out
}

// hommel follows the quadratic algorithm of Wright (1992).
func hommel(p []float64, order []int, out []float64) {
	n := len(order)
	s := make([]float64, n)
	for k, i := range order {
		s[k] = p[i]
	}
	a := slices.Clone(s)
	for m := n; m > 1; m-- {
		low := math.Inf(1)
		for i := n - m + 1; i < n; i++ {
			low = math.Min(low, float64(m)*s[i]/float64(m+i-n+1))
		}
		for i := range n {
			c := low
			if i < n-m+1 {
				c = math.Min(low, float64(m)*s[i])
			}
			a[i] = math.Max(a[i], c)
		}
	}
	for k, i := range order {
		out[i] = math.Min(1, a[k])
	}
}
