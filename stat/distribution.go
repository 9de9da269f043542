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
	return mathext.InvRegIncBeta(a, b, p)
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
		} else {
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
	var x float64
	if v := BetaQuantile(2*p, df/2, 0.5); v < 0.5 {
		x = -math.Sqrt(df * (1 - v) / v)
	} else {
		v = BetaQuantile(1-2*p, 0.5, df/2)
		x = -math.Sqrt(df * v / (1 - v))
	}
	return refine(x, p, func(x float64) float64 { return TCDF(x, df) }, func(x float64) float64 { return tDensity(x, df) })
}

func tDensity(x, df float64) float64 {
	a, _ := math.Lgamma((df + 1) / 2)
	b, _ := math.Lgamma(df / 2)
	return math.Exp(a-b-(df+1)/2*math.Log1p(x*x/df)) / math.Sqrt(df*math.Pi)
}

// refine takes Newton steps towards cdf(x) = p while they help.
func refine(x, p float64, cdf, density func(float64) float64) float64 {
	last := math.Inf(1)
	for range 8 {
		d := density(x)
		step := (cdf(x) - p) / d
		if d == 0 || math.IsNaN(step) || math.Abs(step) >= last {
			break
		}
		x -= step
		if last = math.Abs(step); last <= 1e-15*math.Abs(x) {
			break
		}
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
	return 2 * mathext.GammaIncRegInv(df/2, p)
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
