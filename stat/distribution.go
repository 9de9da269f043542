package stat

import (
	"math"

	"gonum.org/v1/gonum/mathext"
)

// NormalCDF returns P(Z ≤ x) for a standard normal Z, accurate to a few units in the last place in both tails.
func NormalCDF(x float64) float64 { return 0.5 * math.Erfc(-x/math.Sqrt2) }

// NormalSF returns P(Z > x).
func NormalSF(x float64) float64 { return 0.5 * math.Erfc(x/math.Sqrt2) }

// NormalQuantile is the inverse of NormalCDF: -Inf at 0, +Inf at 1, NaN outside [0, 1].
func NormalQuantile(p float64) float64 {
	switch {
	case math.IsNaN(p) || p < 0 || p > 1:
		return math.NaN()
	case p == 0:
		return math.Inf(-1)
	case p == 1:
		return math.Inf(1)
	}
	return mathext.NormalQuantile(p)
}

// BetaCDF returns P(X ≤ x) for X ~ Beta(a, b), a and b positive.
func BetaCDF(x, a, b float64) float64 {
	switch {
	case math.IsNaN(x) || !(a > 0) || !(b > 0):
		return math.NaN()
	case x <= 0:
		return 0
	case x >= 1:
		return 1
	}
	return mathext.RegIncBeta(a, b, x)
}

// BetaQuantile is the inverse of BetaCDF.
func BetaQuantile(p, a, b float64) float64 {
	switch {
	case math.IsNaN(p) || p < 0 || p > 1 || !(a > 0) || !(b > 0):
		return math.NaN()
	case p == 0:
		return 0
	case p == 1:
		return 1
	}
	la, _ := math.Lgamma(a)
	lb, _ := math.Lgamma(b)
	lab, _ := math.Lgamma(a + b)
	start := math.Exp((math.Log(p) + math.Log(a) + la + lb - lab) / a) // the first term of the series: exact as p goes to 0
	if start > 1e-4 {
		start = a / (a + b)
	}
	return solve(p, start, 1, func(x float64) float64 { return BetaCDF(x, a, b) }, func(x float64) float64 {
		return math.Exp(lab - la - lb + (a-1)*math.Log(x) + (b-1)*math.Log1p(-x))
	})
}

// TCDF returns P(T ≤ x) for Student's t with df > 0 degrees of freedom, not necessarily whole.
func TCDF(x, df float64) float64 {
	switch {
	case math.IsNaN(x) || !(df > 0):
		return math.NaN()
	case math.IsInf(df, 1):
		return NormalCDF(x)
	}
	tail := 0.0
	if s := x * x; !math.IsInf(s, 1) {
		// Either of the two forms keeps its argument away from 1, where the complement would lose digits.
		if s < df {
			tail = 0.5 - 0.5*BetaCDF(s/(df+s), 0.5, df/2)
		}
		if s >= df || s > 1 && tail < 1e-3 { // of a small tail the complement would leave no digits, however many degrees of freedom
			tail = 0.5 * BetaCDF(df/(df+s), df/2, 0.5)
		}
	}
	if x <= 0 {
		return tail
	}
	return 1 - tail
}

// TSF returns P(T > x).
func TSF(x, df float64) float64 { return TCDF(-x, df) }

// TQuantile is the inverse of TCDF.
func TQuantile(p, df float64) float64 {
	switch {
	case math.IsNaN(p) || p < 0 || p > 1 || !(df > 0):
		return math.NaN()
	case p == 0.5:
		return 0
	case p > 0.5:
		return -TQuantile(1-p, df)
	case p == 0:
		return math.Inf(-1)
	case math.IsInf(df, 1):
		return NormalQuantile(p)
	}
	// In the lower half the tail beyond -x is what is known to full relative accuracy: solve for it, downwards.
	z := -NormalQuantile(p)
	start := z * (1 + (z*z+1)/(4*df))
	return -solve(-p, start, math.Inf(1), func(x float64) float64 { return -TCDF(-x, df) }, func(x float64) float64 { return tDensity(x, df) })
}

func tDensity(x, df float64) float64 {
	a, _ := math.Lgamma((df + 1) / 2)
	b, _ := math.Lgamma(df / 2)
	return math.Exp(a-b-(df+1)/2*math.Log1p(x*x/df)) / math.Sqrt(df*math.Pi)
}

// solve returns x ≥ 0 with cdf(x) = p, by Newton's steps from start inside a bracket that only shrinks; hi may be +Inf.
func solve(p, start, hi float64, cdf, density func(float64) float64) float64 {
	lo, x := 0.0, start
	if !(x > 0 && x < hi) {
		x = math.Min(1, hi/2)
	}
	for range 300 {
		f := cdf(x) - p
		if f == 0 {
			return x
		}
		if f > 0 {
			hi = x
		} else {
			lo = x
		}
		next := x - f/density(x)
		switch {
		case next > lo && next < hi:
		case math.IsInf(hi, 1):
			next = 2 * x
		case hi > 16*lo:
			next = math.Max(math.Sqrt(lo*hi), hi/16)
		default:
			next = lo + (hi-lo)/2
		}
		if math.Abs(next-x) <= 2e-16*x || next == lo || next == hi {
			return next
		}
		x = next
	}
	return x
}

// ChiSquaredSF returns P(X > x) for chi-squared with df > 0 degrees of freedom.
func ChiSquaredSF(x, df float64) float64 {
	switch {
	case math.IsNaN(x) || !(df > 0):
		return math.NaN()
	case x <= 0:
		return 1
	case math.IsInf(x, 1):
		return 0
	}
	return mathext.GammaIncRegComp(df/2, x/2)
}

// ChiSquaredCDF returns P(X ≤ x).
func ChiSquaredCDF(x, df float64) float64 {
	switch {
	case math.IsNaN(x) || !(df > 0):
		return math.NaN()
	case x <= 0:
		return 0
	case math.IsInf(x, 1):
		return 1
	}
	return mathext.GammaIncReg(df/2, x/2)
}

// ChiSquaredQuantile is the inverse of ChiSquaredCDF.
func ChiSquaredQuantile(p, df float64) float64 {
	switch {
	case math.IsNaN(p) || p < 0 || p > 1 || !(df > 0):
		return math.NaN()
	case p == 0:
		return 0
	case p == 1:
		return math.Inf(1)
	}
	lg, _ := math.Lgamma(df / 2)
	start := math.Exp((math.Log(p) + math.Log(df/2) + lg) / (df / 2)) // the first term of the series: exact as p goes to 0
	if start > 1e-4 {
		start = df / 2
	}
	return 2 * solve(p, start, math.Inf(1), func(x float64) float64 { return mathext.GammaIncReg(df/2, x) }, func(x float64) float64 {
		return math.Exp((df/2-1)*math.Log(x) - x - lg)
	})
}

// FSF returns P(X > x) for the F distribution with d1 and d2 degrees of freedom, both positive.
func FSF(x, d1, d2 float64) float64 {
	switch {
	case math.IsNaN(x) || !(d1 > 0) || !(d2 > 0):
		return math.NaN()
	case x <= 0:
		return 1
	case math.IsInf(x, 1):
		return 0
	}
	return BetaCDF(d2/(d2+d1*x), d2/2, d1/2)
}
