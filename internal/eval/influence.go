package eval

import (
	"math"
	"slices"
)

// An influence is a metric's value on some rows and the effect of each row on it: the derivative of the value by the row's weight.
// For a metric that does not change when all weights are scaled, the effects sum to zero, and the sum of their squares estimates the
// variance of the value (the infinitesimal jackknife, Efron 1982); with entities, effects are summed within each before squaring.
type influence struct {
	value  float64
	effect []float64 // parallel to the rows
}

// auc is the area under the ROC curve with ties counted half, and the effects of DeLong's structural components (DeLong, DeLong and
// Clarke-Pearson 1988). order sorts the rows by ascending score.
func aucInfluence(y []uint8, score []float64, order []int32) influence {
	var pos, neg float64
	for _, i := range order {
		if y[i] == 1 {
			pos++
		} else {
			neg++
		}
	}
	in := influence{value: math.NaN(), effect: make([]float64, len(y))}
	if pos == 0 || neg == 0 {
		return in
	}
	var below float64 // negatives with a smaller score
	var abovePos = pos
	var total float64
	for a := 0; a < len(order); {
		b := a
		var tp, tn float64
		for ; b < len(order) && score[order[b]] == score[order[a]]; b++ {
			if y[order[b]] == 1 {
				tp++
			} else {
				tn++
			}
		}
		abovePos -= tp
		for _, i := range order[a:b] {
			if y[i] == 1 {
				in.effect[i] = (below + tn/2) / neg
				total += in.effect[i]
			} else {
				in.effect[i] = (abovePos + tp/2) / pos
			}
		}
		below += tn
		a = b
	}
	in.value = total / pos
	for i := range in.effect {
		if y[i] == 1 {
			in.effect[i] = (in.effect[i] - in.value) / pos
		} else {
			in.effect[i] = (in.effect[i] - in.value) / neg
		}
	}
	return in
}

// averagePrecisionInfluence is the step sum Σ (Rₖ − Rₖ₋₁) Pₖ over descending distinct scores, with its derivative by each weight.
// With A the weight of positives up to a score and W the weight of all rows up to it, the value is Σ a·A/W over total positives T;
// a row's weight enters its own a, every later A and W, and T.
func averagePrecisionInfluence(y []uint8, score []float64, order []int32) influence {
	n := len(order)
	in := influence{value: math.NaN(), effect: make([]float64, len(y))}
	var total float64
	for _, i := range order {
		total += float64(y[i])
	}
	if total == 0 {
		return in
	}
	type group struct{ from, to int } // positions in order, descending scores
	var groups []group
	for b := n; b > 0; {
		a := b - 1
		for a > 0 && score[order[a-1]] == score[order[b-1]] {
			a--
		}
		groups = append(groups, group{a, b})
		b = a
	}
	a := make([]float64, len(groups))
	cumA := make([]float64, len(groups))
	cumW := make([]float64, len(groups))
	var sumA, sumW, value float64
	for k, g := range groups {
		for _, i := range order[g.from:g.to] {
			a[k] += float64(y[i])
		}
		sumA += a[k]
		sumW += float64(g.to - g.from)
		cumA[k], cumW[k] = sumA, sumW
		value += a[k] * sumA / sumW
	}
	value /= total
	in.value = value
	var laterA, laterW float64 // Σ over this and later groups of a/W and a·A/W²
	for k := len(groups) - 1; k >= 0; k-- {
		laterA += a[k] / cumW[k]
		laterW += a[k] * cumA[k] / (cumW[k] * cumW[k])
		for _, i := range order[groups[k].from:groups[k].to] {
			yi := float64(y[i])
			d := -laterW
			if yi == 1 {
				d += cumA[k]/cumW[k] + laterA - value
			}
			in.effect[i] = d / total
		}
	}
	return in
}

// meanInfluence is a mean of per-row losses.
func meanInfluence(loss []float64) influence {
	n := float64(len(loss))
	in := influence{effect: make([]float64, len(loss))}
	for _, v := range loss {
		in.value += v
	}
	in.value /= n
	for i, v := range loss {
		in.effect[i] = (v - in.value) / n
	}
	return in
}

// cellInfluence is a function of counts: row i adds one to count cell[i]. The derivatives are central differences of one row's
// size, exact to second order.
func cellInfluence(cell []int32, cells int, f func(n []float64) float64) influence {
	n := make([]float64, cells)
	for _, c := range cell {
		n[c]++
	}
	in := influence{value: f(n), effect: make([]float64, len(cell))}
	by := make([]float64, cells)
	for c := range n {
		if n[c] == 0 {
			continue
		}
		const h = 0.5
		n[c] += h
		up := f(n)
		n[c] -= 2 * h
		down := f(n)
		n[c] += h
		by[c] = (up - down) / (2 * h)
	}
	for i, c := range cell {
		in.effect[i] = by[c]
	}
	return in
}

// deviation is the standard error that the effects give: the root of the sum of squares, within entities when there are any, with the
// small-sample factor g/(g−1) for g entities or rows.
func deviation(effect []float64, entity []int32) float64 {
	sums := effect
	if entity != nil {
		sums = make([]float64, slices.Max(entity)+1)
		for i, e := range entity {
			sums[e] += effect[i]
		}
	}
	var ss, g float64
	for _, v := range sums {
		ss += v * v
		g++
	}
	if g < 2 {
		return math.NaN()
	}
	return math.Sqrt(ss * g / (g - 1))
}

// acceleration is BCa's third-moment constant from the effects (Efron and Tibshirani 1993, 14.15).
func acceleration(effect []float64) float64 {
	var s2, s3 float64
	for _, v := range effect {
		s2 += v * v
		s3 += v * v * v
	}
	if s2 == 0 {
		return math.NaN()
	}
	return s3 / (6 * math.Pow(s2, 1.5))
}

func subtract(a, b []float64) []float64 {
	out := make([]float64, len(a))
	for i := range a {
		out[i] = a[i] - b[i]
	}
	return out
}
