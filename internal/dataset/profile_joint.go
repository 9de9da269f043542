package dataset

import (
	"math"

	"github.com/assay-ml/assay/internal/table"
)

// countJoint adds each row to the cell of its two codes; joint has width cells a code of a.
func countJoint(a, b *table.Codes, width int, joint []uint32) {
	switch {
	case a.U8 != nil && b.U8 != nil:
		countCodes(a.U8, b.U8, width, joint)
	case a.U8 != nil && b.U16 != nil:
		countCodes(a.U8, b.U16, width, joint)
	case a.U16 != nil && b.U8 != nil:
		countCodes(a.U16, b.U8, width, joint)
	case a.U16 != nil && b.U16 != nil:
		countCodes(a.U16, b.U16, width, joint)
	default:
		for i, n := 0, a.Len(); i < n; i++ {
			joint[int(a.At(i))*width+int(b.At(i))]++
		}
	}
}

func countCodes[A, B uint8 | uint16](a []A, b []B, width int, joint []uint32) {
	b = b[:len(a)]
	for i, x := range a {
		joint[int(x)*width+int(b[i])]++
	}
}

// cramer is Cramér's V with the bias correction of Bergsma (2013) of a joint count whose first row and column are missing values; rows
// and columns without a count are left out. NaN where it is not defined.
func cramer(joint []uint32, rows, columns, width int) float64 {
	r, c := make([]float64, rows+1), make([]float64, columns+1)
	n := 0.0
	for i := 1; i <= rows; i++ {
		for j := 1; j <= columns; j++ {
			v := float64(joint[i*width+j])
			r[i] += v
			c[j] += v
			n += v
		}
	}
	chi2 := 0.0
	for i := 1; i <= rows; i++ {
		for j := 1; j <= columns; j++ {
			if e := r[i] * c[j] / n; e > 0 {
				d := float64(joint[i*width+j]) - e
				chi2 += d * d / e
			}
		}
	}
	used := func(xs []float64) float64 {
		k := 0.0
		for _, x := range xs[1:] {
			if x > 0 {
				k++
			}
		}
		return k
	}
	kr, kc := used(r), used(c)
	if kr < 2 || kc < 2 || n < 2 {
		return math.NaN()
	}
	phi := math.Max(0, chi2/n-(kr-1)*(kc-1)/(n-1))
	least := math.Min(kr-(kr-1)*(kr-1)/(n-1), kc-(kc-1)*(kc-1)/(n-1))
	if least <= 1 {
		return math.NaN()
	}
	return math.Sqrt(phi / (least - 1))
}

// jointMoments is what correlations need of a joint count.
func jointCorrelation(joint []uint32, width int, x, y []float64) (n int64, pearson, spearman float64) {
	rows, columns := make([]float64, len(x)), make([]float64, len(y))
	for i := range x {
		if math.IsInf(x[i], 0) {
			continue
		}
		cells := joint[(i+1)*width+1 : (i+2)*width]
		for j, v := range cells[:len(y)] {
			if v > 0 && !math.IsInf(y[j], 0) {
				rows[i] += float64(v)
				columns[j] += float64(v)
				n += int64(v)
			}
		}
	}
	if n < 2 {
		return n, math.NaN(), math.NaN()
	}
	corr := func(x, y []float64) float64 {
		x, y = standardize(x, rows), standardize(y, columns)
		if x == nil || y == nil {
			return math.NaN()
		}
		sum := 0.0
		for i, a := range x {
			if rows[i] == 0 {
				continue
			}
			part := 0.0
			for j, v := range joint[(i+1)*width+1 : (i+2)*width][:len(y)] {
				if v > 0 && columns[j] > 0 {
					part += float64(v) * y[j]
				}
			}
			sum += a * part
		}
		return math.Max(-1, math.Min(1, sum))
	}
	return n, corr(x, y), corr(midranks(rows), midranks(columns))
}

// standardize shifts and scales values with weights so that their weighted sum is 0 and that of their squares 1; nil when they are all
// the same. Values without weight may be anything.
func standardize(x, weight []float64) []float64 {
	out := make([]float64, len(x))
	n, most := 0.0, 0.0
	for i, w := range weight {
		if w > 0 {
			n += w
			most = math.Max(most, math.Abs(x[i]))
		}
	}
	if !(most > 0) || math.IsInf(most, 0) {
		return nil
	}
	mean := 0.0
	for i, w := range weight {
		if w > 0 {
			mean += w / n * (x[i] / most)
		}
	}
	square := 0.0
	for i, w := range weight {
		if w > 0 {
			out[i] = x[i]/most - mean
			square += w * out[i] * out[i]
		}
	}
	if !(square > n*1e-30) {
		return nil
	}
	for i := range out {
		out[i] /= math.Sqrt(square)
	}
	return out
}

// midranks ranks values that occur with the given counts, in ascending order.
func midranks(counts []float64) []float64 {
	out := make([]float64, len(counts))
	before := 0.0
	for i, n := range counts {
		out[i] = before + (n+1)/2
		before += n
	}
	return out
}

// determined reports whether each column of a joint count without missing values leads to one row.
func determined(joint []uint32, rows, columns, width int) bool {
	for j := 1; j <= columns; j++ {
		seen := false
		for i := 1; i <= rows; i++ {
			if joint[i*width+j] > 0 {
				if seen {
					return false
				}
				seen = true
			}
		}
	}
	return true
}
