package stat

import "math"

// ShareEValue is the evidence of k successes in n trials against a success probability of at most p0, where each trial's probability may
// depend on all trials before it: the likelihood ratio of Bernoulli(q) to Bernoulli(p0) with q mixed uniformly over (p0, 1) (Robbins,
// 1970; Ramdas et al., 2023, "Game-theoretic statistics and safe anytime-valid inference"). While the probability is at most p0 it is a
// test supermartingale: the chance that it ever reaches 1/α, however often and whenever anybody looks, is at most α (Ville, 1939). Below
// 1 there is none. NaN for counts or p0 out of range.
func ShareEValue(k, n int64, p0 float64) float64 {
	if k < 0 || k > n || !(p0 > 0 && p0 < 1) {
		return math.NaN()
	}
	b, c := float64(k), float64(n-k)
	lb, _ := math.Lgamma(b + 1)
	lc, _ := math.Lgamma(c + 1)
	ln, _ := math.Lgamma(b + c + 2)
	above := BinomialCDF(k, n+1, p0) // of a Beta(k+1, n-k+1) variable above p0
	if above <= 0 {
		return 0
	}
	return math.Exp(lb + lc - ln + math.Log(above) - b*math.Log(p0) - (c+1)*math.Log1p(-p0))
}
