package stat

import (
	"math"

	"github.com/assay-ml/assay"
)

// A Paired is a fourfold table of two yes/no answers on the same rows, for example whether each of two models was right.
type Paired struct {
	Both    int64
	First   int64 // only the first
	Second  int64 // only the second
	Neither int64
}

// PairedOf counts the table of two answers per row; the slices have the same length.
func PairedOf(first, second []bool) Paired {
	var p Paired
	for i, a := range first {
		switch b := second[i]; {
		case a && b:
			p.Both++
		case a:
			p.First++
		case b:
			p.Second++
		default:
			p.Neither++
		}
	}
	return p
}

// N is the number of rows.
func (p Paired) N() int64 { return p.Both + p.First + p.Second + p.Neither }

// A McNemarMethod names a version of McNemar's test of equal rates.
type McNemarMethod string

const (
	McNemarExact     McNemarMethod = "exact"     // binomial
	McNemarMidP      McNemarMethod = "mid-p"     // binomial, half the weight on the outcome seen (Fagerland, Lydersen and Laake, 2013); the default
	McNemarChi2      McNemarMethod = "chi2"      // asymptotic
	McNemarCorrected McNemarMethod = "corrected" // asymptotic with continuity correction
)

// McNemar tests whether the two rates are equal. The chi-squared versions are undefined without a discordant row. The statistic is
// the smaller discordant count, or chi-squared with one degree of freedom. Checked against statsmodels to 1e-9.
func (p Paired) McNemar(method McNemarMethod) Test {
	b, c := float64(p.First), float64(p.Second)
	n, m := p.First+p.Second, min(p.First, p.Second)
	var chi2 float64
	switch method {
	case McNemarExact:
		return Test{float64(m), math.NaN(), math.Min(1, 2*BinomialCDF(m, n, 0.5))}
	case McNemarChi2:
		chi2 = (b - c) * (b - c) / (b + c)
	case McNemarCorrected:
		d := math.Abs(b-c) - 1
		chi2 = d * d / (b + c)
	case McNemarMidP, "":
		return Test{float64(m), math.NaN(), math.Min(1, 2*BinomialCDF(m, n, 0.5)-BinomialPMF(m, n, 0.5))}
	default:
		return undefinedTest()
	}
	if n == 0 {
		return undefinedTest()
	}
	return Test{chi2, 1, ChiSquaredSF(chi2, 1)}
}

// A PairedMethod names how the interval of a paired difference of proportions is made.
type PairedMethod string

const (
	Tango          PairedMethod = "tango"           // score (Tango, 1998); the default
	NewcombePaired PairedMethod = "newcombe-paired" // square-and-add with correlation (Newcombe, 1998, paired method 10)
)

// Difference estimates the rate of the first less the rate of the second, (First - Second)/N. It is undefined without rows.
func (p Paired) Difference(level float64, method PairedMethod) assay.Estimate {
	n := float64(p.N())
	switch {
	case min(p.Both, p.First, p.Second, p.Neither) < 0:
		return assay.Undefined("negative count", 0)
	case n == 0:
		return assay.Undefined("no rows", 0)
	case badLevel(level):
		return assay.Undefined("level outside 0 and 1", p.N())
	}
	a, b, c, e := float64(p.Both), float64(p.First), float64(p.Second), float64(p.Neither)
	d, z := (b-c)/n, critical(level)
	var lo, hi float64
	switch method {
	case NewcombePaired:
		p1, p2 := (a+b)/n, (a+c)/n
		l1, u1 := wilson(p1, n, z)
		l2, u2 := wilson(p2, n, z)
		phi := 0.0
		if margins := (a + b) * (c + e) * (a + c) * (b + e); margins > 0 {
			num := a*e - b*c
			if num > 0 {
				num = math.Max(num-n/2, 0)
			}
			phi = num / math.Sqrt(margins)
		}
		add := func(x, y float64) float64 { return math.Sqrt(math.Max(x*x-2*phi*x*y+y*y, 0)) }
		lo, hi = d-add(p1-l1, u2-p2), d+add(u1-p1, p2-l2)
	case Tango, "":
		method = Tango
		score := func(delta float64) float64 {
			bb := -b - c + (2*n-b+c)*delta
			q := (math.Sqrt(math.Max(bb*bb+8*n*c*delta*(1-delta), 0)) - bb) / (4 * n)
			return (b - c - n*delta) / math.Sqrt(n*(2*q+delta*(1-delta)))
		}
		lo = crossing(-1, d, func(x float64) bool { return score(x) > z })
		hi = crossing(d, 1, func(x float64) bool { return !(score(x) < -z) })
	default:
		return assay.Undefined("unknown method "+string(method), p.N())
	}
	return assay.Estimate{Value: d, Lo: lo, Hi: hi, Level: level, Method: string(method), N: p.N()}
}
