package stat

import "math"

// BetaBinomialTail returns P(X ≥ x) of a beta-binomial variable: the number of n rows that have a property whose share is Beta(a, b). With a
// and b the rows of a reference with and without it, that is how often a window has as many by chance. NaN outside 0 ≤ x ≤ n and a, b > 0.
// O(|x - mean| + √n); checked against 60 digits of mpmath to 1e-8.
func BetaBinomialTail(x, n int64, a, b float64) float64 {
	if x < 0 || x > n || !(a > 0) || !(b > 0) || math.IsInf(a+b, 0) {
		return math.NaN()
	}
	if x == 0 {
		return 1
	}
	if float64(x) > float64(n)*a/(a+b) {
		return math.Min(1, betaBinomialSum(x, n, a, b))
	}
	// P(X < x) is the upper tail of what lacks the property.
	return math.Max(0, 1-betaBinomialSum(n-x+1, n, b, a))
}

// betaBinomialSum adds up the probabilities from x on, which fall from there.
func betaBinomialSum(x, n int64, a, b float64) float64 {
	lg := func(v float64) float64 { l, _ := math.Lgamma(v); return l }
	k, m := float64(x), float64(n)
	p := math.Exp(lg(m+1) - lg(k+1) - lg(m-k+1) + lg(k+a) + lg(m-k+b) - lg(m+a+b) - lg(a) - lg(b) + lg(a+b))
	sum := 0.0
	for ; k <= m; k++ {
		sum += p
		if p < sum*1e-17 {
			break
		}
		if k < m {
			p *= (m - k) / (k + 1) * (k + a) / (m - k - 1 + b)
		}
	}
	return sum
}
