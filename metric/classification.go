package metric

import (
	"math"
	"slices"
)

// AccuracyScore is the weighted share of rows whose label is right; of a multilabel matrix, of rows that are right in every label.
// In [0,1], higher is better. Average and Labels are not used.
func AccuracyScore(truth, pred []int32, o LabelOptions) (Value, error) {
	right, total, err := countRight(truth, pred, o)
	if err != nil {
		return Value{}, err
	}
	return defined(right / total), nil
}

// AccuracyCount is the weighted number of right rows: accuracy_score with normalize=False.
func AccuracyCount(truth, pred []int32, o LabelOptions) (Value, error) {
	right, _, err := countRight(truth, pred, o)
	return defined(right), err
}

// ZeroOneLoss is the weighted share of wrong rows, in [0,1]; lower is better.
func ZeroOneLoss(truth, pred []int32, o LabelOptions) (Value, error) {
	right, total, err := countRight(truth, pred, o)
	if err != nil {
		return Value{}, err
	}
	return defined(1 - right/total), nil
}

// ZeroOneCount is the weighted number of wrong rows: zero_one_loss with normalize=False.
func ZeroOneCount(truth, pred []int32, o LabelOptions) (Value, error) {
	right, total, err := countRight(truth, pred, o)
	return defined(total - right), err
}

func countRight(truth, pred []int32, o LabelOptions) (right, total float64, err error) {
	if o.Multilabel {
		rows, err := countSamples(truth, pred, o)
		if err != nil {
			return 0, 0, err
		}
		var r, t accumulator
		for i, n := range rows.counts {
			w := rows.weight(i)
			t.add(w)
			if n.FP+n.FN == 0 {
				r.add(w)
			}
		}
		return r.value(), t.value(), nil
	}
	o.Labels = nil
	c, err := countLabels(truth, pred, o)
	if err != nil {
		return 0, 0, err
	}
	return c.trace(), c.Total(), nil
}

// HammingLoss is the weighted share of wrong labels: of a multilabel matrix, over all its cells. In [0,1], lower is better.
func HammingLoss(truth, pred []int32, o LabelOptions) (Value, error) {
	if !o.Multilabel {
		return ZeroOneLoss(truth, pred, o)
	}
	rows, err := countSamples(truth, pred, o)
	if err != nil {
		return Value{}, err
	}
	var wrong, total accumulator
	for i, n := range rows.counts {
		w := rows.weight(i)
		wrong.add(w * (n.FP + n.FN))
		total.add(w * float64(o.Classes))
	}
	return defined(wrong.value() / total.value()), nil
}

// PrecisionScore is TP/(TP+FP) under the average of the options. In [0,1], higher is better.
func PrecisionScore(truth, pred []int32, o LabelOptions) (Value, error) {
	return setScore(truth, pred, o, Counts.Precision)
}

// RecallScore is TP/(TP+FN) under the average of the options. In [0,1], higher is better.
func RecallScore(truth, pred []int32, o LabelOptions) (Value, error) {
	return setScore(truth, pred, o, Counts.Recall)
}

// F1Score is the harmonic mean of precision and recall under the average of the options. In [0,1], higher is better.
func F1Score(truth, pred []int32, o LabelOptions) (Value, error) {
	return FbetaScore(truth, pred, 1, o)
}

// FbetaScore is the weighted harmonic mean of precision and recall; beta, at least 0, is how many times recall counts as much as
// precision. In [0,1], higher is better.
func FbetaScore(truth, pred []int32, beta float64, o LabelOptions) (Value, error) {
	if !(beta >= 0) {
		return Value{}, invalid("beta %v is less than 0", beta)
	}
	return setScore(truth, pred, o, func(n Counts, z ZeroDivision) Value { return n.Fbeta(beta, z) })
}

// JaccardScore is TP/(TP+FP+FN) under the average of the options. In [0,1], higher is better. Like scikit-learn's it has no NaN for
// 0/0.
func JaccardScore(truth, pred []int32, o LabelOptions) (Value, error) {
	if o.ZeroDivision == ZeroIsNaN {
		return Value{}, invalid("the Jaccard score has no NaN for 0/0")
	}
	return setScore(truth, pred, o, Counts.Jaccard)
}

type countScore func(Counts, ZeroDivision) Value

func setScore(truth, pred []int32, o LabelOptions, f countScore) (Value, error) {
	t, err := countOneVsRest(truth, pred, o)
	if err != nil {
		return Value{}, err
	}
	return t.average(o, f)
}

// oneVsRest is a list of two-by-two tables: of the classes that enter a score, or of the rows for the average Samples.
type oneVsRest struct {
	labels  []int
	counts  []Counts
	weights []float64 // of rows, for Samples; nil means 1 each
}

func (t oneVsRest) weight(i int) float64 {
	if t.weights == nil {
		return 1
	}
	return t.weights[i]
}

func countOneVsRest(truth, pred []int32, o LabelOptions) (oneVsRest, error) {
	switch {
	case o.Multilabel && o.Average == Samples:
		return countSamples(truth, pred, o)
	case o.Multilabel:
		return countColumns(truth, pred, o)
	case o.Average == Samples:
		return oneVsRest{}, invalid("the average over samples needs a multilabel matrix")
	}
	c, err := countLabels(truth, pred, o)
	if err != nil {
		return oneVsRest{}, err
	}
	return c.oneVsRest(o)
}

// oneVsRest picks the classes that enter a score under the options.
func (c Confusion) oneVsRest(o LabelOptions) (oneVsRest, error) {
	labels := o.Labels
	if class, one := o.Average.class(); one {
		if o.Average == Positive && len(c.present()) > 2 || o.Average == Positive && c.Classes != 2 {
			return oneVsRest{}, invalid("the score of the positive class is defined for two classes, not %d: choose the average macro, micro or weighted, or one class", c.Classes)
		}
		if class >= c.Classes {
			return oneVsRest{}, invalid("positive class %d of %d", class, c.Classes)
		}
		labels = []int{class}
	} else if labels == nil {
		labels = c.present()
	} else if err := c.checkLabels(labels); err != nil {
		return oneVsRest{}, err
	}
	if o.Average < Samples {
		return oneVsRest{}, invalid("average %d is unknown", int(o.Average))
	}
	t := oneVsRest{labels: labels, counts: make([]Counts, len(labels))}
	total := c.Total()
	for i, l := range labels {
		t.counts[i] = c.against(l, total)
	}
	return t, nil
}

// average makes one number of the scores of the tables.
func (t oneVsRest) average(o LabelOptions, f countScore) (Value, error) {
	if o.Average == Micro {
		var all Counts
		for _, n := range t.counts {
			all = all.plus(n)
		}
		return f(all, o.ZeroDivision), nil
	}
	if len(t.counts) == 1 {
		return f(t.counts[0], o.ZeroDivision), nil
	}
	weight := func(int) float64 { return 1 }
	switch o.Average {
	case Weighted:
		weight = func(i int) float64 { return t.counts[i].TP + t.counts[i].FN }
	case Samples:
		weight = t.weight
	}
	scores := make([]Value, len(t.counts))
	for i, n := range t.counts {
		scores[i] = f(n, o.ZeroDivision)
	}
	return averageOf(scores, weight, o.ZeroDivision == ZeroIsNaN), nil
}

// averageOf is the weighted mean of scores; with skipNaN those that are NaN are left out, and where no weight is left the plain mean
// is taken. The mean is marked when a score that enters it is.
func averageOf(scores []Value, weight func(int) float64, skipNaN bool) Value {
	var num, den, plain accumulator
	n, why := 0, ""
	for i, s := range scores {
		if skipNaN && math.IsNaN(s.Value) {
			continue
		}
		if !s.Defined() && why == "" {
			why = s.Undefined + " in at least one of the averaged scores"
		}
		n++
		plain.add(s.Value)
		num.add(weight(i) * s.Value)
		den.add(weight(i))
	}
	switch {
	case n == 0:
		return undefined("no score to average")
	case den.value() == 0:
		return Value{plain.value() / float64(n), why}
	}
	return Value{num.value() / den.value(), why}
}

// ClassScores are precision, recall, Fβ and support (the weighted number of true rows) of each class; entry i is class Labels[i].
// Undefined says which 0/0 was replaced.
type ClassScores struct {
	Labels                             []int
	Precision, Recall, Fscore, Support []float64
	Undefined                          string
}

// PrecisionRecallFscoreSupport scores each class against the rest. Average is not used.
func PrecisionRecallFscoreSupport(truth, pred []int32, beta float64, o LabelOptions) (ClassScores, error) {
	o.Average = Macro
	if !(beta >= 0) {
		return ClassScores{}, invalid("beta %v is less than 0", beta)
	}
	t, err := countOneVsRest(truth, pred, o)
	if err != nil {
		return ClassScores{}, err
	}
	return t.classScores(beta, o.ZeroDivision), nil
}

func (t oneVsRest) classScores(beta float64, z ZeroDivision) ClassScores {
	k := len(t.counts)
	s := ClassScores{Labels: slices.Clone(t.labels), Precision: make([]float64, k), Recall: make([]float64, k), Fscore: make([]float64, k), Support: make([]float64, k)}
	for i, n := range t.counts {
		p, r, f := n.Precision(z), n.Recall(z), n.Fbeta(beta, z)
		s.Precision[i], s.Recall[i], s.Fscore[i], s.Support[i] = p.Value, r.Value, f.Value, n.TP+n.FN
		for _, v := range []Value{p, r, f} {
			if s.Undefined == "" {
				s.Undefined = v.Undefined
			}
		}
	}
	return s
}

// Jaccards is the Jaccard score of each class that occurs, or of o.Labels, in their order.
func Jaccards(truth, pred []int32, o LabelOptions) ([]float64, error) {
	o.Average = Macro
	t, err := countOneVsRest(truth, pred, o)
	if err != nil {
		return nil, err
	}
	out := make([]float64, len(t.counts))
	for i, n := range t.counts {
		out[i] = n.Jaccard(o.ZeroDivision).Value
	}
	return out, nil
}

// MultilabelConfusionMatrix is the two-by-two table of each class that occurs, or of o.Labels, against the rest; of a multilabel
// matrix, of each column.
func MultilabelConfusionMatrix(truth, pred []int32, o LabelOptions) ([]Counts, error) {
	o.Average = Macro
	t, err := countOneVsRest(truth, pred, o)
	return t.counts, err
}

// BalancedAccuracyScore is the plain mean of the recalls of the classes of the truth, in [0,1]; higher is better. It is marked when
// the prediction holds a class that the truth does not.
func BalancedAccuracyScore(truth, pred []int32, o LabelOptions) (Value, error) {
	c, err := countLabels(truth, pred, o)
	if err != nil {
		return Value{}, err
	}
	v, _ := c.balancedAccuracy()
	return v, nil
}

// AdjustedBalancedAccuracyScore rescales the balanced accuracy so that chance is 0 and perfection stays 1.
func AdjustedBalancedAccuracyScore(truth, pred []int32, o LabelOptions) (Value, error) {
	c, err := countLabels(truth, pred, o)
	if err != nil {
		return Value{}, err
	}
	v, k := c.balancedAccuracy()
	if k < 2 {
		return undefined("only one class in the truth"), nil
	}
	chance := 1 / float64(k)
	v.Value = (v.Value - chance) / (1 - chance)
	return v, nil
}

func (c Confusion) balancedAccuracy() (Value, int) {
	var a accumulator
	k, why := 0, ""
	for i := range c.Classes {
		support := c.rowSum(i)
		if support == 0 {
			if c.inPrediction(i) || c.inTruth(i) {
				why = "the prediction holds a class that is not in the truth"
			}
			continue
		}
		a.add(c.At(i, i) / support)
		k++
	}
	return Value{a.value() / float64(k), why}, k
}

// MatthewsCorrcoef is the correlation of truth and prediction, in [−1,1]; higher is better. It is 0 where one of them is constant,
// and marked where both hold the same one class (Gorodkin, 2004, for more than two classes).
func MatthewsCorrcoef(truth, pred []int32, o LabelOptions) (Value, error) {
	c, err := countLabels(truth, pred, o)
	if err != nil {
		return Value{}, err
	}
	return c.matthews(), nil
}

func (c Confusion) matthews() Value {
	if why := c.Undefined(); why != "" {
		return convention(0, why)
	}
	n := c.Total()
	var tp, tt, pp accumulator
	rows, columns := 0, 0
	for i := range c.Classes {
		t, p := c.rowSum(i), c.columnSum(i)
		tp.add(t * p)
		tt.add(t * t)
		pp.add(p * p)
		if t > 0 {
			rows++
		}
		if p > 0 {
			columns++
		}
	}
	if rows < 2 || columns < 2 {
		return defined(0)
	}
	cov := c.trace()*n - tp.value()
	return defined(cov / math.Sqrt(n*n-pp.value()) / math.Sqrt(n*n-tt.value()))
}

func (c Confusion) trace() float64 {
	var a accumulator
	for i := range c.Classes {
		a.add(c.At(i, i))
	}
	return a.value()
}

// A KappaWeight says how much worse a distant class is.
type KappaWeight string

const (
	KappaUnweighted KappaWeight = ""          // every confusion counts 1
	KappaLinear     KappaWeight = "linear"    // the distance of the two classes in their order
	KappaQuadratic  KappaWeight = "quadratic" // the square of the distance
)

// CohenKappaScore is the agreement of two raters beyond chance, at most 1; higher is better (Cohen, 1960). Classes that occur in
// neither are left out before distances are taken. It is NaN where both raters give one same class.
func CohenKappaScore(a, b []int32, weight KappaWeight, o LabelOptions) (Value, error) {
	if weight != KappaUnweighted && weight != KappaLinear && weight != KappaQuadratic {
		return Value{}, invalid("kappa weight %q is neither linear nor quadratic", string(weight))
	}
	c, err := countLabels(a, b, o)
	if err != nil {
		return Value{}, err
	}
	if o.Labels != nil {
		if err := c.checkLabels(o.Labels); err != nil {
			return Value{}, err
		}
		return c.choose(o.Labels).kappa(weight), nil
	}
	return c.choose(c.present()).kappa(weight), nil
}

func (c Confusion) kappa(weight KappaWeight) Value {
	total := c.Total()
	if total == 0 {
		return undefined("no row of these classes")
	}
	var num, den accumulator
	for i := range c.Classes {
		for j := range c.Classes {
			d := math.Abs(float64(i - j))
			switch {
			case weight == KappaQuadratic:
				d *= d
			case weight == KappaUnweighted && d > 0:
				d = 1
			}
			num.add(d * c.At(i, j))
			den.add(d * c.rowSum(i) * c.columnSum(j) / total)
		}
	}
	if den.value() == 0 {
		return undefined("both raters give one same class")
	}
	return defined(1 - num.value()/den.value())
}

// ClassLikelihoodRatios are sensitivity/(1−specificity), at least 0 and higher is better, and (1−sensitivity)/specificity, lower is
// better, of class 1 of two. NaN where the denominator is 0.
func ClassLikelihoodRatios(truth, pred []int32, o LabelOptions) (positive, negative Value, err error) {
	c, err := countLabels(truth, pred, o)
	if err != nil {
		return Value{}, Value{}, err
	}
	if c.Classes != 2 {
		return Value{}, Value{}, invalid("likelihood ratios are defined for two classes, not %d", c.Classes)
	}
	positive, negative = c.likelihoodRatios()
	return positive, negative, nil
}

func (c Confusion) likelihoodRatios() (positive, negative Value) {
	// The cells as they were summed: the rest of a total that other cells are taken from is not exactly 0 with weights.
	n := Counts{TN: c.Counts[0], FP: c.Counts[1], FN: c.Counts[2], TP: c.Counts[3]}
	pos, neg := n.TP+n.FN, n.FP+n.TN
	if pos == 0 {
		v := undefined("no positive in the truth")
		return v, v
	}
	return ZeroIsNaN.ratio(n.TP*neg, n.FP*pos, "no false positive"), ZeroIsNaN.ratio(n.FN*neg, n.TN*pos, "no true negative")
}
