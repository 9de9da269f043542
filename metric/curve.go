package metric

import (
	"math"
	"slices"
	"sort"
)

// Thresholds is the two-by-two table at each distinct score, from the highest down: rows that score at least Threshold[i] count as
// positive.
type Thresholds struct {
	TN, FP, FN, TP []float64
	Threshold      []float64
}

// ConfusionMatrixAtThresholds counts at each distinct score; rows of weight 0 are left out. Truth is 0 or 1, scores are finite.
func ConfusionMatrixAtThresholds(truth []int32, scores, weights []float64) (Thresholds, error) {
	if err := checkRanked("thresholds", truth, scores, weights); err != nil {
		return Thresholds{}, err
	}
	r, err := Rank(truth, scores)
	if err != nil {
		return Thresholds{}, err
	}
	var t Thresholds
	var tp, fp accumulator
	any := false
	for i, f := range r.flags {
		w := rowWeight(weights)(int(r.rows[i]))
		any = any || w != 0
		if f&isPositive != 0 {
			tp.add(w)
		} else {
			fp.add(w)
		}
		if f&endsTie != 0 {
			if any {
				t.TP, t.FP = append(t.TP, tp.value()), append(t.FP, fp.value())
				t.Threshold = append(t.Threshold, r.score[i])
			}
			any = false
		}
	}
	last := len(t.TP) - 1
	t.TN, t.FN = make([]float64, last+1), make([]float64, last+1)
	for i := range t.TP {
		t.TN[i], t.FN[i] = t.FP[last]-t.FP[i], t.TP[last]-t.TP[i]
	}
	return t, nil
}

// positives and negatives of the truth.
func (t Thresholds) totals() (pos, neg float64) {
	last := len(t.TP) - 1
	return t.TP[last], t.FP[last]
}

// keep drops the points for which f is false.
func (t Thresholds) keep(f func(i int) bool) Thresholds {
	var k Thresholds
	for i := range t.TP {
		if f(i) {
			k.TN, k.FP, k.FN, k.TP = append(k.TN, t.TN[i]), append(k.FP, t.FP[i]), append(k.FN, t.FN[i]), append(k.TP, t.TP[i])
			k.Threshold = append(k.Threshold, t.Threshold[i])
		}
	}
	return k
}

// prepend puts a threshold of +∞ in front, at which no row is positive.
func (t Thresholds) prepend() Thresholds {
	pos, neg := t.totals()
	return Thresholds{
		slices.Concat([]float64{neg}, t.TN), slices.Concat([]float64{0}, t.FP),
		slices.Concat([]float64{pos}, t.FN), slices.Concat([]float64{0}, t.TP),
		slices.Concat([]float64{math.Inf(1)}, t.Threshold),
	}
}

// A Curve is a list of points. Undefined says why a rate is NaN or a convention.
type Curve struct {
	X, Y, Threshold []float64
	Undefined       string
}

// Count is the number of thresholds.
func (t Thresholds) Count() int { return len(t.Threshold) }

// Counts is the two-by-two table at threshold i.
func (t Thresholds) Counts(i int) Counts {
	return Counts{TP: t.TP[i], FP: t.FP[i], FN: t.FN[i], TN: t.TN[i]}
}

// At is the two-by-two table of the rule "positive when the score is at least threshold".
func (t Thresholds) At(threshold float64) Counts {
	i := sort.Search(len(t.Threshold), func(i int) bool { return t.Threshold[i] < threshold }) - 1
	if i < 0 {
		pos, neg := t.totals()
		return Counts{FN: pos, TN: neg}
	}
	return t.Counts(i)
}

// Thin keeps at most the given number of thresholds (at least 2), evenly spread over their order, the first and the last among them,
// so that a table of many rows can be shown or stored.
func (t Thresholds) Thin(most int) Thresholds {
	n, most := len(t.Threshold), max(2, most)
	if n <= most {
		return t
	}
	chosen := make([]bool, n)
	for j := range most {
		chosen[j*(n-1)/(most-1)] = true
	}
	return t.keep(func(i int) bool { return chosen[i] })
}

// Thin keeps at most the given number of points (at least 2), evenly spread over their order, the first and the last among them. A
// precision-recall curve keeps its end point without a threshold.
func (c Curve) Thin(most int) Curve {
	n, most := len(c.X), max(2, most)
	if n <= most {
		return c
	}
	thin := Curve{Undefined: c.Undefined}
	for j := range most {
		i := j * (n - 1) / (most - 1)
		thin.X, thin.Y = append(thin.X, c.X[i]), append(thin.Y, c.Y[i])
		if i < len(c.Threshold) {
			thin.Threshold = append(thin.Threshold, c.Threshold[i])
		}
	}
	return thin
}

// RocCurve is the false positive rate (X) and the true positive rate (Y) from (0,0), at threshold +∞, to (1,1). Unless all is set,
// points on a straight line between their neighbours are dropped. A rate without rows to count is NaN.
func RocCurve(truth []int32, scores, weights []float64, all bool) (Curve, error) {
	t, err := ConfusionMatrixAtThresholds(truth, scores, weights)
	if err != nil {
		return Curve{}, err
	}
	if last := len(t.TP) - 1; !all && last >= 2 {
		bend := func(v []float64, i int) bool { return v[i+1]-v[i] != v[i]-v[i-1] }
		full := t
		t = full.keep(func(i int) bool { return i == 0 || i == last || bend(full.FP, i) || bend(full.TP, i) })
	}
	pos, neg := t.totals()
	t = t.prepend()
	c := Curve{X: divided(t.FP, neg), Y: divided(t.TP, pos), Threshold: t.Threshold}
	switch {
	case neg == 0:
		c.Undefined = "no negative in the truth"
	case pos == 0:
		c.Undefined = "no positive in the truth"
	}
	return c, nil
}

func divided(v []float64, by float64) []float64 {
	out := make([]float64, len(v))
	for i, x := range v {
		out[i] = x / by
		if by == 0 {
			out[i] = math.NaN()
		}
	}
	return out
}

// PrecisionRecallCurve is the recall (X) and the precision (Y) at each distinct score, from the lowest up; X and Y end in one more
// point, recall 0 and precision 1, that has no threshold. With corners, only thresholds at which the recall is about to change or has
// just changed are kept. Without a positive the recall is 1 throughout.
func PrecisionRecallCurve(truth []int32, scores, weights []float64, corners bool) (Curve, error) {
	t, err := ConfusionMatrixAtThresholds(truth, scores, weights)
	if err != nil {
		return Curve{}, err
	}
	if corners {
		t = t.corners()
	}
	pos, _ := t.totals()
	n := len(t.TP)
	c := Curve{X: make([]float64, n+1), Y: make([]float64, n+1), Threshold: make([]float64, n)}
	for i := range n {
		j := n - 1 - i
		c.Threshold[i] = t.Threshold[j]
		c.Y[i] = ZeroIsZero.ratio(t.TP[j], t.TP[j]+t.FP[j], "").Value
		c.X[i] = 1
		if pos > 0 {
			c.X[i] = t.TP[j] / pos
		}
	}
	c.Y[n] = 1
	if pos == 0 {
		c.Undefined = "no positive in the truth"
	}
	return c, nil
}

// corners keeps the points at which the true positives differ from the point before or after.
func (t Thresholds) corners() Thresholds {
	last := len(t.TP) - 1
	if last < 2 {
		return t
	}
	return t.keep(func(i int) bool { return i == 0 || i == last || t.TP[i] != t.TP[i-1] || t.TP[i] != t.TP[i+1] })
}

// DetCurve is the false positive rate (X) and the false negative rate (Y), X falling, from the first threshold without a false
// negative to the last without a false positive. Both classes must occur.
func DetCurve(truth []int32, scores, weights []float64, corners bool) (Curve, error) {
	t, err := ConfusionMatrixAtThresholds(truth, scores, weights)
	if err != nil {
		return Curve{}, err
	}
	pos, neg := t.totals()
	if pos == 0 || neg == 0 {
		return Curve{}, invalid("detection error trade-off curve: %s", oneClass)
	}
	t = t.prepend()
	if corners {
		t = t.corners()
	}
	from, to := 0, len(t.TP)-1
	for from+1 < len(t.FP) && t.FP[from+1] == t.FP[0] {
		from++
	}
	for to > 0 && t.TP[to-1] == pos {
		to--
	}
	c := Curve{X: divided(t.FP[from:to+1], neg), Y: divided(t.FN[from:to+1], pos), Threshold: slices.Clone(t.Threshold[from : to+1])}
	slices.Reverse(c.X)
	slices.Reverse(c.Y)
	slices.Reverse(c.Threshold)
	return c, nil
}

// LiftCurve is the share of rows that score highest (X, in (0,1]) and how many times as many positives they hold as rows drawn at
// random (Y). NaN without a positive.
func LiftCurve(truth []int32, scores, weights []float64) (Curve, error) {
	t, err := ConfusionMatrixAtThresholds(truth, scores, weights)
	if err != nil {
		return Curve{}, err
	}
	pos, neg := t.totals()
	n := len(t.TP)
	c := Curve{X: make([]float64, n), Y: make([]float64, n), Threshold: slices.Clone(t.Threshold)}
	for i := range n {
		chosen := t.TP[i] + t.FP[i]
		c.X[i] = chosen / (pos + neg)
		c.Y[i] = t.TP[i] / chosen / (pos / (pos + neg))
	}
	if pos == 0 {
		c.Undefined = "no positive in the truth"
	}
	return c, nil
}

// partialAuc is the area under the ROC curve up to a false positive rate, rescaled so that chance is 0.5 and perfection 1.
func partialAuc(truth []int32, scores, w []float64, limit float64) (Value, error) {
	c, err := RocCurve(truth, scores, w, true)
	if err != nil {
		return Value{}, err
	}
	if c.Undefined != "" {
		return undefined(oneClass), nil
	}
	var area accumulator
	for i := 1; i < len(c.X); i++ {
		x0, y0, x1, y1 := c.X[i-1], c.Y[i-1], c.X[i], c.Y[i]
		if x1 > limit {
			y1 = y0 + (limit-x0)/(x1-x0)*(y1-y0)
			x1 = limit
		}
		area.add((x1 - x0) * (y0 + y1) / 2)
		if c.X[i] > limit {
			break
		}
	}
	low, high := limit*limit/2, limit
	return defined((1 + (area.value()-low)/(high-low)) / 2), nil
}

// Auc is the area under a curve by the trapezoidal rule; x is monotone and holds at least two points.
func Auc(x, y []float64) (float64, error) {
	if len(x) != len(y) || len(x) < 2 {
		return 0, invalid("a curve of %d and %d coordinates; both are as long, and at least 2", len(x), len(y))
	}
	up, down := true, true
	var area accumulator
	for i := 1; i < len(x); i++ {
		up, down = up && x[i] >= x[i-1], down && x[i] <= x[i-1]
		area.add((x[i] - x[i-1]) * (y[i] + y[i-1]) / 2)
	}
	switch {
	case up:
		return area.value(), nil
	case down:
		return -area.value(), nil
	}
	return 0, invalid("the x coordinates of a curve neither rise nor fall throughout")
}
