package metric

import (
	"math"

	"github.com/assay-ml/assay"
)

// checkRows adds a problem when n is 0 or another column is not as long.
func checkRows(p *assay.Problems, n int, name string, m int) {
	if n == 0 {
		p.Add("the truth holds no row")
	}
	if n != m {
		p.Add("the truth holds %d rows and the %s %d", n, name, m)
	}
}

// checkWeights adds a problem for weights that are not n finite numbers of at least 0 with a positive sum.
func checkWeights(p *assay.Problems, n int, w []float64) {
	if w == nil {
		return
	}
	if len(w) != n {
		p.Add("the truth holds %d rows and the weights %d", n, len(w))
		return
	}
	var sum float64
	for i, v := range w {
		if !(v >= 0) || math.IsInf(v, 0) {
			p.Add("the weight of row %d is %v; a weight is finite and at least 0", i, v)
			return
		}
		sum += v
	}
	if n > 0 && sum == 0 {
		p.Add("all weights are 0")
	}
	if math.IsInf(sum, 0) {
		p.Add("the weights sum to more than a float64 holds")
	}
}

// checkFinite adds a problem for the first value that is NaN or infinite.
func checkFinite(p *assay.Problems, name string, v []float64) {
	var poison float64
	for _, x := range v {
		poison += x - x
	}
	if poison == 0 {
		return
	}
	for i, x := range v {
		if x-x != 0 {
			p.Add("%s %d is %v", name, i, x)
			return
		}
	}
}

// checkClasses adds a problem for the first index outside [0,classes).
func checkClasses(p *assay.Problems, name string, v []int32, classes int) {
	for i, c := range v {
		if uint(c) >= uint(classes) || c < 0 {
			p.Add("%s %d is class %d of %d", name, i, c, classes)
			return
		}
	}
}

// checkBinary checks a truth of 0 and 1.
func checkBinary(p *assay.Problems, truth []int32) { checkClasses(p, "the truth of row", truth, 2) }

// maxClass is one more than the greatest index, at least 2; a negative index is left to checkClasses.
func maxClass(columns ...[]int32) int {
	k := int32(1)
	for _, col := range columns {
		for _, c := range col {
			k = max(k, c)
		}
	}
	return int(k) + 1
}

// weightSum is n without weights.
func weightSum(n int, w []float64) float64 {
	if w == nil {
		return float64(n)
	}
	return sum(w)
}

// sum adds with Neumaier's compensation, so that the error does not grow with the number of terms.
func sum(v []float64) float64 {
	var a accumulator
	for _, x := range v {
		a.add(x)
	}
	return a.value()
}

// An accumulator is a compensated sum.
type accumulator struct{ s, c float64 }

func (a *accumulator) add(x float64) {
	t := a.s + x
	if math.Abs(a.s) >= math.Abs(x) {
		a.c += (a.s - t) + x
	} else {
		a.c += (x - t) + a.s
	}
	a.s = t
}

func (a *accumulator) value() float64 {
	if c := a.s + a.c; c-c == 0 {
		return c
	}
	return a.s
}

// mean is the weighted mean; the caller has checked the weights.
func mean(v, w []float64) float64 {
	if w == nil {
		return sum(v) / float64(len(v))
	}
	var num, den accumulator
	for i, x := range v {
		num.add(x * w[i])
		den.add(w[i])
	}
	return num.value() / den.value()
}
