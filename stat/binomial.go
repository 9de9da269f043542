package stat

import "math"

// BinomialPMF returns P(X = k) for X ~ Binomial(n, p), by the saddle-point expansion of Loader (2000), accurate to about 1e-14
// relative at any n.
func BinomialPMF(k, n int64, p float64) float64 {
	switch {
	case k < 0 || k > n:
		return 0
	case p <= 0:
		return indicator(k == 0)
	case p >= 1:
		return indicator(k == n)
	case k == 0:
		return math.Exp(float64(n) * math.Log1p(-p))
	case k == n:
		return math.Exp(float64(n) * math.Log(p))
	}
	x, m := float64(k), float64(n)
	lc := stirlingError(m) - stirlingError(x) - stirlingError(m-x) - deviance(x, m*p) - deviance(m-x, m*(1-p))
	return math.Exp(lc) * math.Sqrt(m/(2*math.Pi*x*(m-x)))
}

func indicator(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// stirlingError is log n! less its Stirling approximation.
func stirlingError(n float64) float64 {
	if n < 16 {
		lg, _ := math.Lgamma(n + 1)
		return lg - (n+0.5)*math.Log(n) + n - 0.5*math.Log(2*math.Pi)
	}
	s := n * n
	return (1./12 - (1./360-(1./1260-(1./1680-1./1188/s)/s)/s)/s) / n
}

// deviance is x log(x/m) + m - x, without cancellation near x = m.
func deviance(x, m float64) float64 {
	if d := x - m; math.Abs(d) < 0.1*(x+m) {
		v := d / (x + m)
		sum, term := d*v, 2*x*v
		for j := 3.0; ; j += 2 {
			term *= v * v
			next := sum + term/j
			if next == sum {
				return next
			}
			sum = next
		}
	}
	return x*math.Log(x/m) + m - x
}

// BinomialCDF returns P(X ≤ k) for X ~ Binomial(n, p).
func BinomialCDF(k, n int64, p float64) float64 {
	switch {
	case k < 0:
		return 0
	case k >= n:
		return 1
	}
	return BetaCDF(1-p, float64(n-k), float64(k)+1)
}

// BinomialSF returns P(X > k).
func BinomialSF(k, n int64, p float64) float64 {
	switch {
	case k < 0:
		return 1
	case k >= n:
		return 0
	}
	return BetaCDF(p, float64(k)+1, float64(n-k))
}

// An Alternative says which departures from the null hypothesis a test looks for.
type Alternative string

const (
	TwoSided Alternative = "two-sided"
	Less     Alternative = "less"
	Greater  Alternative = "greater"
)

// A Test is what a significance test found: its statistic, degrees of freedom (NaN where it has none) and p-value. NaN means that
// the data do not determine it.
type Test struct {
	Statistic float64
	DF        float64
	P         float64
}

// Defined reports whether the p-value is a number.
func (t Test) Defined() bool { return !math.IsNaN(t.P) }

func undefinedTest() Test { return Test{math.NaN(), math.NaN(), math.NaN()} }

// tailProbability turns a standard normal statistic into a p-value.
func tailProbability(z float64, alt Alternative) float64 {
	switch alt {
	case Less:
		return NormalCDF(z)
	case Greater:
		return NormalSF(z)
	}
	return 2 * NormalSF(math.Abs(z))
}

// BinomialTest returns the exact p-value of k successes in n trials of probability p. The two-sided value adds up the outcomes that
// are no likelier than k (within 1e-7 relative), as SciPy's binomtest does; checked to 1e-9.
func BinomialTest(k, n int64, p float64, alt Alternative) Test {
	if n < 0 || k < 0 || k > n || !(p >= 0 && p <= 1) {
		return undefinedTest()
	}
	t := Test{Statistic: float64(k) / float64(n), DF: math.NaN()}
	switch alt {
	case Less:
		t.P = BinomialCDF(k, n, p)
		return t
	case Greater:
		t.P = BinomialSF(k-1, n, p)
		return t
	}
	limit := BinomialPMF(k, n, p) * (1 + 1e-7)
	mode := p * float64(n)
	switch x := float64(k); {
	case x == mode:
		t.P = 1
	case x < mode:
		// The far tail starts at the smallest outcome above the mode that is no likelier than k.
		lo, hi := int64(math.Ceil(mode)), n+1
		for lo < hi {
			if mid := lo + (hi-lo)/2; BinomialPMF(mid, n, p) <= limit {
				hi = mid
			} else {
				lo = mid + 1
			}
		}
		t.P = BinomialCDF(k, n, p) + BinomialSF(lo-1, n, p)
	default:
		lo, hi := int64(-1), int64(math.Floor(mode))
		for lo < hi {
			if mid := lo + (hi-lo+1)/2; BinomialPMF(mid, n, p) <= limit {
				lo = mid
			} else {
				hi = mid - 1
			}
		}
		t.P = BinomialCDF(lo, n, p) + BinomialSF(k-1, n, p)
	}
	t.P = math.Min(t.P, 1)
	return t
}
