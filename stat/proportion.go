package stat

import (
	"math"

	"github.com/assay-ml/assay"
)

// A ProportionMethod names how the interval of a proportion is made. See Brown, Cai and DasGupta (2001).
type ProportionMethod string

const (
	Wilson           ProportionMethod = "wilson"            // score; the default of Assay
	WilsonContinuity ProportionMethod = "wilson-continuity" // score with continuity correction
	ClopperPearson   ProportionMethod = "clopper-pearson"   // never covers less than its level
	Wald             ProportionMethod = "wald"              // for comparison only: covers too little on small n
	AgrestiCoull     ProportionMethod = "agresti-coull"
	Jeffreys         ProportionMethod = "jeffreys"
)

// DefaultLevel is the coverage of an interval when nobody asks for another.
const DefaultLevel = 0.95

// critical is the normal quantile that bounds a central interval of the level.
func critical(level float64) float64 { return -NormalQuantile((1 - level) / 2) }

func badLevel(level float64) bool { return !(level > 0 && level < 1) }

// Proportion estimates a probability from k successes in n trials. k and n need not be whole: pass an effective n (see EffectiveN)
// for weighted rows. The estimate is undefined for n ≤ 0, k outside [0, n] or a level outside (0, 1). Checked against SciPy and
// statsmodels to 1e-9.
func Proportion(k, n, level float64, method ProportionMethod) assay.Estimate {
	switch {
	case !(n > 0) || math.IsInf(n, 0):
		return assay.Undefined("no rows", 0)
	case !(k >= 0 && k <= n):
		return assay.Undefined("count outside 0 and n", int64(n))
	case badLevel(level):
		return assay.Undefined("level outside 0 and 1", int64(n))
	}
	p, q := k/n, (n-k)/n
	z := critical(level)
	alpha := 1 - level
	var lo, hi float64
	switch method {
	case WilsonContinuity:
		lo = (2*k + z*z - 1 - z*math.Sqrt(z*z-2-1/n+4*p*(n*q+1))) / (2 * (n + z*z))
		hi = (2*k + z*z + 1 + z*math.Sqrt(z*z+2-1/n+4*p*(n*q-1))) / (2 * (n + z*z))
	case ClopperPearson:
		lo, hi = 0, 1
		if k > 0 {
			lo = BetaQuantile(alpha/2, k, n-k+1)
		}
		if k < n {
			hi = BetaQuantile(1-alpha/2, k+1, n-k)
		}
	case Wald:
		h := z * math.Sqrt(p*q/n)
		lo, hi = p-h, p+h
	case AgrestiCoull:
		m := n + z*z
		c := (k + z*z/2) / m
		h := z * math.Sqrt(c*(1-c)/m)
		lo, hi = c-h, c+h
	case Jeffreys:
		lo, hi = BetaQuantile(alpha/2, k+0.5, n-k+0.5), BetaQuantile(1-alpha/2, k+0.5, n-k+0.5)
	case Wilson, "":
		method = Wilson
		lo, hi = wilson(p, n, z)
	default:
		return assay.Undefined("unknown method "+string(method), int64(n))
	}
	if method != Jeffreys && k == 0 || !(lo > 0) {
		lo = 0
	}
	if method != Jeffreys && k == n || !(hi < 1) {
		hi = 1
	}
	return assay.Estimate{Value: p, Lo: lo, Hi: hi, Level: level, Method: string(method), N: int64(math.Round(n))}
}

func wilson(p, n, z float64) (lo, hi float64) {
	c := p + z*z/(2*n)
	h := z * math.Sqrt(p*(1-p)/n+z*z/(4*n*n))
	d := 1 + z*z/n
	lo, hi = math.Max((c-h)/d, 0), math.Min((c+h)/d, 1)
	if p == 0 {
		lo = 0
	}
	if p == 1 {
		hi = 1
	}
	return lo, hi
}

// EffectiveN is Kish's effective number of rows, (Σw)²/Σw² (Survey Sampling, 1965): the n of the unweighted sample with the same
// variance of a mean. It is 0 without a positive weight, and NaN with a negative or undefined one.
func EffectiveN(weights []float64) float64 {
	// Dividing by the largest keeps the squares finite.
	var top, sum, sq float64
	for _, w := range weights {
		if !(w >= 0) || math.IsInf(w, 0) {
			return math.NaN()
		}
		top = math.Max(top, w)
	}
	if top == 0 {
		return 0
	}
	for _, w := range weights {
		w /= top
		sum += w
		sq += w * w
	}
	return sum / sq * sum
}
