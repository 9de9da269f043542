package stat

import (
	"math"

	"github.com/assay-ml/assay"
)

// A DifferenceMethod names how the interval of a difference or ratio of two independent proportions is made.
type DifferenceMethod string

const (
	Newcombe          DifferenceMethod = "newcombe"           // square-and-add of Wilson intervals (Newcombe, 1998, method 10); the default
	MiettinenNurminen DifferenceMethod = "miettinen-nurminen" // score, with the factor N/(N-1) (Miettinen and Nurminen, 1985)
	WaldDifference    DifferenceMethod = "wald"               // for comparison only
	AgrestiCaffo      DifferenceMethod = "agresti-caffo"      // Wald after one success and one failure more on each side; may leave [-1, 1]
	LogRatio          DifferenceMethod = "log"                // of a ratio: normal on the log scale (Katz, 1978)
	ScoreRatio        DifferenceMethod = "score"              // of a ratio: Miettinen and Nurminen; the default
)

// ProportionDifference estimates p1 - p2 from x1 of n1 and x2 of n2 in independent samples. It is undefined when a sample is empty
// or a count is out of range. Checked against statsmodels and published tables to 1e-9.
func ProportionDifference(x1, n1, x2, n2, level float64, method DifferenceMethod) assay.Estimate {
	if why := badCounts(x1, n1, x2, n2, level); why != "" {
		return assay.Undefined(why, int64(math.Max(n1, 0)+math.Max(n2, 0)))
	}
	p1, p2 := x1/n1, x2/n2
	d, z := p1-p2, critical(level)
	var lo, hi float64
	switch method {
	case Newcombe, "":
		method = Newcombe
		l1, u1 := wilson(p1, n1, z)
		l2, u2 := wilson(p2, n2, z)
		lo, hi = d-math.Hypot(p1-l1, u2-p2), d+math.Hypot(u1-p1, p2-l2)
	case MiettinenNurminen:
		score := func(delta float64) float64 {
			return (d - delta) / math.Sqrt(differenceVariance(x1, n1, x2, n2, delta))
		}
		lo = crossing(-1, d, func(x float64) bool { return score(x) > z })
		hi = crossing(d, 1, func(x float64) bool { return !(score(x) < -z) })
	case WaldDifference:
		h := z * math.Sqrt(p1*(1-p1)/n1+p2*(1-p2)/n2)
		lo, hi = math.Max(d-h, -1), math.Min(d+h, 1)
	case AgrestiCaffo:
		a, b := (x1+1)/(n1+2), (x2+1)/(n2+2)
		h := z * math.Sqrt(a*(1-a)/(n1+2)+b*(1-b)/(n2+2))
		lo, hi = a-b-h, a-b+h
	default:
		return assay.Undefined("unknown method "+string(method), int64(n1+n2))
	}
	return assay.Estimate{Value: d, Lo: lo, Hi: hi, Level: level, Method: string(method), N: int64(math.Round(n1 + n2))}
}

func badCounts(x1, n1, x2, n2, level float64) string {
	switch {
	case !(n1 > 0) || !(n2 > 0) || math.IsInf(n1, 0) || math.IsInf(n2, 0):
		return "no rows"
	case !(x1 >= 0 && x1 <= n1) || !(x2 >= 0 && x2 <= n2):
		return "count outside 0 and n"
	case badLevel(level):
		return "level outside 0 and 1"
	}
	return ""
}

// crossing returns where holds turns from true to false on [lo, hi], to the last bit; hi when it never does, lo when it never held.
// Score statistics are 0/0 at the estimate when every row is alike: each caller states which side that is.
func crossing(lo, hi float64, holds func(float64) bool) float64 {
	if !holds(lo) {
		return lo
	}
	if holds(hi) {
		return hi
	}
	for {
		mid := lo + (hi-lo)/2
		if mid <= lo || mid >= hi {
			return mid
		}
		if holds(mid) {
			lo = mid
		} else {
			hi = mid
		}
	}
}

// differenceVariance is the variance of p1 - p2 under p1 - p2 = delta at the constrained maximum of the likelihood, times N/(N-1).
// The maximum is the zero of the falling derivative: the closed form as the root of a cubic loses half the digits where roots meet.
func differenceVariance(x1, n1, x2, n2, delta float64) float64 {
	share := func(x, p float64) float64 {
		if x == 0 {
			return 0
		}
		return x / p
	}
	q := crossing(math.Max(0, -delta), math.Min(1, 1-delta), func(q float64) bool {
		p := q + delta
		return share(x1, p)-share(n1-x1, 1-p)+share(x2, q)-share(n2-x2, 1-q) > 0
	})
	p := math.Max(0, math.Min(1, q+delta))
	n := n1 + n2
	return (p*(1-p)/n1 + q*(1-q)/n2) * n / (n - 1)
}

// ProportionRatio estimates p1/p2. With a zero count the log method has no variance and the estimate has no interval.
func ProportionRatio(x1, n1, x2, n2, level float64, method DifferenceMethod) assay.Estimate {
	rows := int64(math.Max(n1, 0) + math.Max(n2, 0))
	if why := badCounts(x1, n1, x2, n2, level); why != "" {
		return assay.Undefined(why, rows)
	}
	if x2 == 0 {
		return assay.Undefined("ratio to a rate of zero", rows)
	}
	p1, p2 := x1/n1, x2/n2
	r, z := p1/p2, critical(level)
	var lo, hi float64
	switch method {
	case LogRatio:
		if x1 == 0 {
			return assay.Point(r, "no interval: ratio of a rate of zero", rows)
		}
		h := z * math.Sqrt(1/x1-1/n1+1/x2-1/n2)
		lo, hi = r*math.Exp(-h), r*math.Exp(h)
	case ScoreRatio, "":
		method = ScoreRatio
		n := n1 + n2
		score := func(theta float64) float64 {
			b := n1*theta + x1 + n2 + x2*theta
			q := (b - math.Sqrt(math.Max(b*b-4*n*theta*(x1+x2), 0))) / (2 * n * theta)
			p := q * theta
			v := (p*(1-p)/n1 + theta*theta*q*(1-q)/n2) * n / (n - 1)
			return (p1 - theta*p2) / math.Sqrt(v)
		}
		if x1 > 0 {
			lo = math.Exp(crossing(math.Log(r)-50, math.Log(r), func(x float64) bool { return score(math.Exp(x)) > z }))
		}
		start := math.Log(math.Max(r, 0.5/n1))
		hi = math.Exp(crossing(start, start+50, func(x float64) bool { return !(score(math.Exp(x)) < -z) }))
	default:
		return assay.Undefined("unknown method "+string(method), rows)
	}
	return assay.Estimate{Value: r, Lo: lo, Hi: hi, Level: level, Method: string(method), N: rows}
}

// ProportionZTest compares two independent proportions by the pooled z statistic. It is undefined when all rows are alike.
func ProportionZTest(x1, n1, x2, n2 float64, alt Alternative) Test {
	p := (x1 + x2) / (n1 + n2)
	z := (x1/n1 - x2/n2) / math.Sqrt(p*(1-p)*(1/n1+1/n2))
	if math.IsNaN(z) || math.IsInf(z, 0) {
		return undefinedTest()
	}
	return Test{Statistic: z, DF: math.NaN(), P: tailProbability(z, alt)}
}
