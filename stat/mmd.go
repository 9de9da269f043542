package stat

import (
	"math"
	"slices"

	"github.com/assay-ml/assay"
)

// An MMDOptions says how MMD compares two tables; the zero value is its default.
type MMDOptions struct {
	Bandwidth    float64 // of the kernel exp(-|x-y|²/(2·Bandwidth²)); 0 means the median distance of the pooled rows
	MaxRows      int     // rows a side, drawn at random when there are more; 0 means 500
	Permutations int     // 0 means 999
	Seed         uint64
}

// MMD tests that the rows of two row-major tables come from one distribution by the unbiased estimate of their squared maximum mean
// discrepancy (Gretton et al., 2012, equation 3), which can be negative. The p-value is the share of random divisions of the pooled
// rows, this one included, with at least its value. Columns should be of comparable scale. It refuses infinite or undefined values, no
// columns and fewer than two rows a side. A function of the seed; O(MaxRows²) in time and memory.
func MMD(x, y []float64, columns int, o MMDOptions) (Test, error) {
	var p assay.Problems
	if o.MaxRows == 0 {
		o.MaxRows = 500
	}
	if o.Permutations == 0 {
		o.Permutations = 999
	}
	if columns < 1 {
		p.Add("%d columns", columns)
	}
	if o.MaxRows < 2 || o.MaxRows > 20_000 || o.Permutations < 1 || !(o.Bandwidth >= 0) || math.IsInf(o.Bandwidth, 0) {
		p.Add("%d rows, %d permutations, bandwidth %v", o.MaxRows, o.Permutations, o.Bandwidth)
	}
	for name, v := range map[string][]float64{"first": x, "second": y} {
		if columns > 0 && (len(v)%columns != 0 || len(v) < 2*columns) {
			p.Add("the %s table has %d values, not two rows or more of %d columns", name, len(v), columns)
		}
		if slices.ContainsFunc(v, func(v float64) bool { return v-v != 0 }) {
			p.Add("the %s table has values that are not finite", name)
		}
	}
	if err := p.Err(assay.Invalid, "cannot compare tables"); err != nil {
		return Test{}, err
	}
	pool := append(someRows(x, columns, o.MaxRows, NewRand(o.Seed, 0)), someRows(y, columns, o.MaxRows, NewRand(o.Seed, 1))...)
	n := min(len(x)/columns, o.MaxRows)
	rows := len(pool) / columns
	k := make([]float64, rows*rows)
	var distances []float64
	for i := range rows {
		for j := range i {
			var square float64
			for c := range columns {
				d := pool[i*columns+c] - pool[j*columns+c]
				square += d * d
			}
			k[i*rows+j], k[j*rows+i] = square, square
			if o.Bandwidth == 0 {
				distances = append(distances, square)
			}
		}
	}
	width := 2 * o.Bandwidth * o.Bandwidth
	if o.Bandwidth == 0 {
		slices.Sort(distances)
		width = 2 * Quantile(distances, 0.5)
	}
	if !(width > 0) || math.IsInf(width, 0) {
		return undefinedTest(), nil // most rows are one and the same
	}
	var all float64
	for i, v := range k {
		k[i] = 0
		if i/rows != i%rows {
			k[i] = math.Exp(-v / width)
		}
		all += k[i]
	}
	m := rows - n
	inside := make([]bool, rows)
	value := func(order []int) float64 {
		clear(inside)
		for _, i := range order[:n] {
			inside[i] = true
		}
		var own, cross float64
		for _, i := range order[:n] {
			row := k[i*rows : (i+1)*rows]
			for j, v := range row {
				if inside[j] {
					own += v
				} else {
					cross += v
				}
			}
		}
		return own/float64(n*(n-1)) + (all-own-2*cross)/float64(m*(m-1)) - 2*cross/float64(n*m)
	}
	order := make([]int, rows)
	for i := range order {
		order[i] = i
	}
	t := Test{Statistic: value(order), DF: math.NaN()}
	least := t.Statistic - 1e-12
	reached := 1
	for b := range o.Permutations {
		r := NewRand(o.Seed, 2, uint64(b))
		for i := range n { // the first n of a random order
			j := i + r.Intn(rows-i)
			order[i], order[j] = order[j], order[i]
		}
		if value(order) >= least {
			reached++
		}
	}
	t.P = float64(reached) / float64(o.Permutations+1)
	return t, nil
}

// someRows returns up to most rows, drawn without replacement, in their order.
func someRows(values []float64, columns, most int, r Rand) []float64 {
	n := len(values) / columns
	if n <= most {
		return slices.Clone(values)
	}
	out := make([]float64, 0, most*columns)
	need := most
	for i := range n {
		if r.Intn(n-i) < need {
			out = append(out, values[i*columns:(i+1)*columns]...)
			need--
		}
	}
	return out
}

// LinearMMD is the estimate of the squared maximum mean discrepancy from disjoint pairs of rows in their order (Gretton et al., 2012,
// section 6), with its normal p-value against a value of 0 or less: linear in the rows, and a fraction of the power of MMD. Rows beyond
// the shorter table and an odd last one are left out. It refuses what MMD refuses, a bandwidth that is not positive, and fewer than
// four rows a side.
func LinearMMD(x, y []float64, columns int, bandwidth float64) (Test, error) {
	if columns < 1 || min(len(x), len(y)) < 4*columns || len(x)%columns != 0 || len(y)%columns != 0 || !(bandwidth > 0) || math.IsInf(bandwidth, 0) {
		return Test{}, assay.Errorf(assay.Invalid, "cannot compare tables of %d and %d values in %d columns with bandwidth %v", len(x), len(y), columns, bandwidth)
	}
	kernel := func(a, b []float64, i, j int) float64 {
		var square float64
		for c := range columns {
			d := a[i*columns+c] - b[j*columns+c]
			square += d * d
		}
		return math.Exp(-square / (2 * bandwidth * bandwidth))
	}
	pairs := min(len(x), len(y)) / columns / 2
	h := make([]float64, pairs)
	for i := range h {
		a, b := 2*i, 2*i+1
		h[i] = kernel(x, x, a, b) + kernel(y, y, a, b) - kernel(x, y, a, b) - kernel(x, y, b, a)
		if h[i] != h[i] {
			return Test{}, assay.Errorf(assay.Invalid, "cannot compare tables: values are not finite")
		}
	}
	m, v := meanVariance(h)
	if !(v > 0) {
		return undefinedTest(), nil
	}
	return Test{m, math.NaN(), NormalSF(m / math.Sqrt(v/float64(pairs)))}, nil
}
