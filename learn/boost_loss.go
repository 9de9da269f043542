package learn

import (
	"cmp"
	"math"
	"slices"
)

// boostLoss is the objective on one set of rows.
type boostLoss struct {
	objective string
	classes   int
	quantile  float64 // of ObjectiveQuantile; 0.5 for ObjectiveAbsolute
	y         []float64
	w         []float64 // nil for all 1; class weights are in it
	maxWeight float64
	sumWeight float64

	exp   expTable
	proba [][]float64 // multiclass: of this iteration
	bound float64     // largest absolute first derivative this iteration can have
	curve float64     // largest second derivative
}

func newBoostLoss(p *BoostParams, y, w []float64) *boostLoss {
	l := &boostLoss{objective: p.Objective, classes: p.Classes, quantile: p.Quantile, y: y, w: w, maxWeight: 1, sumWeight: float64(len(y)), exp: newExpTable()}
	if p.Objective == ObjectiveAbsolute {
		l.quantile = 0.5
	}
	if p.ClassWeights != nil {
		l.w = make([]float64, len(y))
		for i := range y {
			l.w[i] = p.ClassWeights[int(y[i])]
			if w != nil {
				l.w[i] *= w[i]
			}
		}
	}
	if l.w != nil {
		l.maxWeight, l.sumWeight = 0, 0
		for _, v := range l.w {
			l.maxWeight = max(l.maxWeight, v)
			l.sumWeight += v
		}
	}
	return l
}

func (l *boostLoss) weight(i int) float64 {
	if l.w == nil {
		return 1
	}
	return l.w[i]
}

// base returns the raw scores of the best constant prediction.
func (l *boostLoss) base() []float64 {
	switch l.objective {
	case ObjectiveAbsolute, ObjectiveQuantile:
		return []float64{l.quantileOf(slices.Clone(l.y), l.w)}
	case ObjectiveMulticlass:
		counts := make([]float64, l.classes)
		for i, y := range l.y {
			counts[int(y)] += l.weight(i)
		}
		mean := 0.0
		for k := range counts {
			counts[k] = math.Log(counts[k] / l.sumWeight)
			mean += counts[k] / float64(l.classes)
		}
		for k := range counts {
			counts[k] -= mean
		}
		return counts
	}
	// The shift keeps the mean of large, close values exact.
	shift := l.y[0]
	sum := 0.0
	for i, y := range l.y {
		sum += l.weight(i) * (y - shift)
	}
	mean := shift + sum/l.sumWeight
	switch l.objective {
	case ObjectiveBinary:
		return []float64{math.Log(mean / (1 - mean))}
	case ObjectivePoisson:
		return []float64{math.Log(mean)}
	}
	return []float64{mean}
}

// renews reports whether a leaf's value is a quantile of its residuals instead of a Newton step.
func (l *boostLoss) renews() bool {
	return l.objective == ObjectiveAbsolute || l.objective == ObjectiveQuantile
}

// prepare sets the bounds of this iteration's derivatives, and the class probabilities.
func (l *boostLoss) prepare(scores [][]float64, threads int) {
	switch l.objective {
	case ObjectiveBinary, ObjectiveMulticlass:
		l.bound, l.curve = l.maxWeight, l.maxWeight/4
	case ObjectiveAbsolute, ObjectiveQuantile:
		l.bound, l.curve = l.maxWeight*max(l.quantile, 1-l.quantile), l.maxWeight
	case ObjectiveSquared:
		l.bound, l.curve = 0, l.maxWeight
		for i, s := range scores[0] {
			l.bound = max(l.bound, l.weight(i)*math.Abs(s-l.y[i]))
		}
	case ObjectivePoisson:
		l.bound, l.curve = 0, 0
		for i, s := range scores[0] {
			e := math.Exp(s)
			l.bound = max(l.bound, l.weight(i)*math.Abs(e-l.y[i]))
			l.curve = max(l.curve, l.weight(i)*e)
		}
	}
	if l.objective == ObjectiveMulticlass {
		if l.proba == nil {
			l.proba = make([][]float64, l.classes)
			for k := range l.proba {
				l.proba[k] = make([]float64, len(l.y))
			}
		}
		inParts(threads, len(l.y), 2048, func(_, lo, hi int) { l.softmax(scores, lo, hi) })
	}
}

// softmax sets the class probabilities of rows lo to hi, by class.
func (l *boostLoss) softmax(scores [][]float64, lo, hi int) {
	proba := l.proba
	for i := lo; i < hi; i++ {
		top := math.Inf(-1)
		for k := range scores {
			top = max(top, scores[k][i])
		}
		sum := 0.0
		for k := range scores {
			e := l.exp.of(scores[k][i] - top)
			proba[k][i] = e
			sum += e
		}
		for k := range scores {
			proba[k][i] /= sum
		}
	}
}

// expTable holds 2^(i/64): the exponential function of gradients, which are rounded to 30 bits, without a call.
type expTable [64]float64

func newExpTable() (t expTable) {
	for i := range t {
		t[i] = math.Exp2(float64(i) / 64)
	}
	return t
}

// of returns e^x to 5e-11, relative; beyond ±690 what it is there. It must stay small enough to be inlined.
func (t *expTable) of(x float64) float64 {
	const (
		magic = 3 << 51 // adding it leaves the nearest integer in the low bits
		step  = math.Ln2 / 64
	)
	x = min(max(x, -690), 690)
	n := x*(1/step) + magic
	r := x - (n-magic)*step
	k := math.Float64bits(n)
	p := 1 + r*(1+r*(0.5+r*(1.0/6)))
	return math.Float64frombits(math.Float64bits(t[k&63]*p) + k>>6<<52)
}

// fill gives the grower the rounded derivatives of output k in every row.
func (l *boostLoss) fill(g *grower, scores [][]float64, k, threads int) {
	g.scale(l.bound, l.curve)
	inParts(threads, len(l.y), 2048, func(_, lo, hi int) {
		const block = 512
		var first, second [block]float64
		for ; lo < hi; lo += block {
			m := min(block, hi-lo)
			l.derivatives(scores, k, lo, first[:m], second[:m])
			if l.w != nil {
				for i, w := range l.w[lo : lo+m] {
					first[i] *= w
					second[i] *= w
				}
			}
			g.round(lo, first[:m], second[:m])
		}
	})
}

// derivatives sets the derivatives of the unweighted loss in the rows from lo.
func (l *boostLoss) derivatives(scores [][]float64, k, lo int, first, second []float64) {
	y := l.y[lo : lo+len(first)]
	s := scores[k][lo : lo+len(first)]
	second = second[:len(first)]
	switch l.objective {
	case ObjectiveBinary:
		for i := range first {
			p := 1 / (1 + l.exp.of(-s[i]))
			first[i], second[i] = p-y[i], p*(1-p)
		}
	case ObjectiveMulticlass:
		p := l.proba[k][lo : lo+len(first)]
		for i := range first {
			first[i], second[i] = p[i], p[i]*(1-p[i])
			if int(y[i]) == k {
				first[i]--
			}
		}
	case ObjectiveSquared:
		for i := range first {
			first[i], second[i] = s[i]-y[i], 1
		}
	case ObjectiveAbsolute, ObjectiveQuantile:
		for i := range first {
			first[i], second[i] = -l.quantile, 1
			if y[i] <= s[i] {
				first[i] = 1 - l.quantile
			}
		}
	case ObjectivePoisson:
		for i := range first {
			e := math.Exp(s[i])
			first[i], second[i] = e-y[i], e
		}
	}
}

// mean returns the mean weighted loss: log loss, half squared error, pinball loss (half the absolute error at the median) or half
// the Poisson deviance.
func (l *boostLoss) mean(scores [][]float64) float64 {
	sum := 0.0
	for i, y := range l.y {
		s := scores[0][i]
		var v float64
		switch l.objective {
		case ObjectiveBinary:
			if y > 0 {
				s = -s
			}
			v = math.Max(s, 0) + math.Log1p(math.Exp(-math.Abs(s)))
		case ObjectiveMulticlass:
			v = rowLogSumExp(scores, i) - scores[int(y)][i]
		case ObjectiveSquared:
			v = (y - s) * (y - s) / 2
		case ObjectiveAbsolute, ObjectiveQuantile:
			v = l.quantile * (y - s)
			if y < s {
				v = (l.quantile - 1) * (y - s)
			}
		case ObjectivePoisson:
			v = math.Exp(s) - y*s
			if y > 0 {
				v += y*math.Log(y) - y
			}
		}
		sum += l.weight(i) * v
	}
	return sum / l.sumWeight
}

func rowLogSumExp(scores [][]float64, i int) float64 {
	top := math.Inf(-1)
	for k := range scores {
		top = max(top, scores[k][i])
	}
	sum := 0.0
	for k := range scores {
		sum += math.Exp(scores[k][i] - top)
	}
	return top + math.Log(sum)
}

// quantileOf returns the weighted quantile of values: the smallest whose cumulative weight passes the share l.quantile, or the mean
// of it and the next where one meets the share exactly (Hyndman and Fan's definition 2). It reorders values without weights.
func (l *boostLoss) quantileOf(values, weights []float64) float64 {
	if weights == nil {
		slices.Sort(values)
		at := l.quantile * float64(len(values))
		i := min(int(at), len(values)-1)
		if at == math.Trunc(at) && i > 0 {
			return values[i-1]/2 + values[i]/2
		}
		return values[i]
	}
	order := make([]int, len(values))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int {
		return cmp.Or(cmp.Compare(values[a], values[b]), cmp.Compare(a, b))
	})
	total := 0.0
	for _, i := range order {
		total += weights[i]
	}
	cumulative := 0.0
	for k, i := range order {
		cumulative += weights[i]
		if cumulative > l.quantile*total {
			return values[i]
		}
		if cumulative == l.quantile*total && k+1 < len(order) {
			return values[i]/2 + values[order[k+1]]/2
		}
	}
	return values[order[len(order)-1]]
}
