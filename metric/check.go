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

// block is how many terms are added plainly before a compensated addition.
const block = 128

// sum adds blocks with Neumaier's compensation, so that the error stays that of one block.
func sum(v []float64) float64 {
	var a accumulator
	for len(v) > 0 {
		b := v[:min(block, len(v))]
		v = v[len(b):]
		var s [4]float64 // four chains, because one waits for itself
		i := 0
		for ; i+4 <= len(b); i += 4 {
			c := b[i : i+4 : i+4]
			s[0] += c[0]
			s[1] += c[1]
			s[2] += c[2]
			s[3] += c[3]
		}
		for ; i < len(b); i++ {
			s[0] += b[i]
		}
		a.add(s[0] + s[1] + (s[2] + s[3]))
	}
	return a.value()
}

// weightedSum is Σ f(v)·w, or Σ f(v) without weights, added like sum.
func weightedSum(v, w []float64, f func(float64) float64) float64 {
	return blockSum(len(v), func(from, to int) float64 {
		var s float64
		if w == nil {
			for _, x := range v[from:to] {
				s += f(x)
			}
			return s
		}
		for i, x := range v[from:to] {
			s += f(x) * w[from+i]
		}
		return s
	})
}

// blockSum adds the sums of blocks of rows, with compensation between the blocks.
func blockSum(n int, f func(from, to int) float64) float64 {
	var a accumulator
	for from := 0; from < n; from += block {
		a.add(f(from, min(n, from+block)))
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
	return weightedSum(v, w, func(x float64) float64 { return x }) / sum(w)
}
