package metric

import (
	"math"
	"slices"

	"github.com/assay-ml/assay"
)

// LabelOptions are the options of the scores that compare labels.
type LabelOptions struct {
	Weights      []float64 // one a row, finite, at least 0; nil means 1 each
	Classes      int       // number of classes; 0 means one more than the greatest index, at least 2
	Average      Average
	Labels       []int // the classes that enter, in this order; nil means those that occur in the truth or the prediction
	ZeroDivision ZeroDivision
	Multilabel   bool // truth and prediction are row-major n×Classes matrices of 0 and 1; Classes must be given
}

// A Confusion is the table of true against predicted classes.
type Confusion struct {
	Classes int
	Counts  []float64 // Classes×Classes, row-major: rows are the truth, columns the prediction; weights are summed
	Rows    []bool    // whether the class occurs in the truth, whatever its weight; nil means where its row is not all 0
	Columns []bool    // the same of the prediction
}

// ConfusionMatrix counts each pair of a true and a predicted class. Weights, classes and labels of the options are used; with
// Labels, the table is of these classes only and in their order, and at least one of them must occur in the truth.
func ConfusionMatrix(truth, pred []int32, o LabelOptions) (Confusion, error) {
	c, err := countLabels(truth, pred, o)
	if err != nil || o.Labels == nil {
		return c, err
	}
	if err := c.checkLabels(o.Labels); err != nil {
		return Confusion{}, err
	}
	if !slices.ContainsFunc(o.Labels, func(l int) bool { return c.Rows[l] }) {
		return Confusion{}, invalid("none of the %d labels occurs in the truth", len(o.Labels))
	}
	return c.choose(o.Labels), nil
}

// countLabels makes the table of all classes.
func countLabels(truth, pred []int32, o LabelOptions) (Confusion, error) {
	var p assay.Problems
	checkRows(&p, len(truth), "prediction", len(pred))
	k := o.Classes
	if k <= 0 {
		k = maxClass(truth, pred)
	}
	if k > maxClasses {
		p.Add("%d classes; a confusion matrix holds at most %d", k, maxClasses)
	}
	checkWeights(&p, len(truth), o.Weights)
	if o.Multilabel {
		p.Add("one label a row is expected here, not a multilabel matrix")
	}
	const heading = "confusion matrix"
	if err := p.Err(assay.Invalid, heading); err != nil {
		return Confusion{}, err
	}
	c := Confusion{k, make([]float64, k*k), make([]bool, k), make([]bool, k)}
	ok := true
	if o.Weights == nil {
		counts := make([]int64, k*k)
		pred := pred[:len(truth)]
		for i, t := range truth {
			if uint32(t) >= uint32(k) || uint32(pred[i]) >= uint32(k) {
				ok = false
				break
			}
			counts[int(t)*k+int(pred[i])]++
		}
		for i, n := range counts {
			c.Counts[i] = float64(n)
			if n > 0 {
				c.Rows[i/k], c.Columns[i%k] = true, true
			}
		}
	} else {
		sums := make([]accumulator, k*k)
		for i, t := range truth {
			if uint32(t) >= uint32(k) || uint32(pred[i]) >= uint32(k) {
				ok = false
				break
			}
			sums[int(t)*k+int(pred[i])].add(o.Weights[i])
			c.Rows[t], c.Columns[pred[i]] = true, true
		}
		for i := range sums {
			c.Counts[i] = sums[i].value()
		}
	}
	if !ok {
		checkClasses(&p, "the truth of row", truth, k)
		checkClasses(&p, "the prediction of row", pred, k)
		return Confusion{}, p.Err(assay.Invalid, heading)
	}
	return c, nil
}

// maxClasses bounds a confusion matrix to 32 MB.
const maxClasses = 2048

// At is the count of rows of class truth that were predicted to be of class pred.
func (c Confusion) At(truth, pred int) float64 { return c.Counts[truth*c.Classes+pred] }

// Total is the sum of all counts.
func (c Confusion) Total() float64 { return sum(c.Counts) }

// Undefined says why the table is not what it seems; it is empty when nothing is the matter.
func (c Confusion) Undefined() string {
	if len(c.present()) < 2 {
		return "only one class in truth and prediction"
	}
	return ""
}

// Select is the table of the given classes, in that order; rows of other classes are left out.
func (c Confusion) Select(labels []int) (Confusion, error) {
	if err := c.checkLabels(labels); err != nil {
		return Confusion{}, err
	}
	return c.choose(labels), nil
}

func (c Confusion) choose(labels []int) Confusion {
	k := len(labels)
	s := Confusion{k, make([]float64, k*k), make([]bool, k), make([]bool, k)}
	for i, t := range labels {
		s.Rows[i], s.Columns[i] = c.inTruth(t), c.inPrediction(t)
		for j, p := range labels {
			s.Counts[i*k+j] = c.At(t, p)
		}
	}
	return s
}

// A Normalization divides a confusion matrix.
type Normalization string

const (
	ByTruth      Normalization = "true" // each row sums to 1
	ByPrediction Normalization = "pred" // each column sums to 1
	ByTotal      Normalization = "all"  // the table sums to 1
)

// Normalize divides the table by its row sums, its column sums or its total; 0/0 is 0, as in scikit-learn.
func (c Confusion) Normalize(by Normalization) (Confusion, error) {
	if by != ByTruth && by != ByPrediction && by != ByTotal {
		return Confusion{}, invalid("normalization %q is none of true, pred and all", string(by))
	}
	n := c
	n.Counts = make([]float64, len(c.Counts))
	total := c.Total()
	for t := range c.Classes {
		for p := range c.Classes {
			den := total
			switch by {
			case ByTruth:
				den = c.rowSum(t)
			case ByPrediction:
				den = c.columnSum(p)
			}
			n.Counts[t*c.Classes+p] = ZeroIsZero.ratio(c.At(t, p), den, "").Value
		}
	}
	return n, nil
}

// Class is the two-by-two table of one class against the rest.
func (c Confusion) Class(class int) (Counts, error) {
	if class < 0 || class >= c.Classes {
		return Counts{}, invalid("class %d of %d", class, c.Classes)
	}
	return c.against(class, c.Total()), nil
}

func (c Confusion) against(class int, total float64) Counts {
	tp, fn, fp := c.At(class, class), c.off(class, true), c.off(class, false)
	return Counts{TP: tp, FN: fn, FP: fp, TN: max(0, total-tp-fn-fp)}
}

// off sums the row (or the column) of a class but for its diagonal.
func (c Confusion) off(class int, row bool) float64 {
	var a accumulator
	for j := range c.Classes {
		switch {
		case j == class:
		case row:
			a.add(c.At(class, j))
		default:
			a.add(c.At(j, class))
		}
	}
	return a.value()
}

func (c Confusion) rowSum(t int) float64    { return c.At(t, t) + c.off(t, true) }
func (c Confusion) columnSum(p int) float64 { return c.At(p, p) + c.off(p, false) }

func (c Confusion) inTruth(class int) bool {
	if c.Rows != nil {
		return c.Rows[class]
	}
	return c.rowSum(class) != 0
}

func (c Confusion) inPrediction(class int) bool {
	if c.Columns != nil {
		return c.Columns[class]
	}
	return c.columnSum(class) != 0
}

// present lists the classes of the truth or the prediction.
func (c Confusion) present() []int {
	var out []int
	for i := range c.Classes {
		if c.inTruth(i) || c.inPrediction(i) {
			out = append(out, i)
		}
	}
	return out
}

func (c Confusion) checkLabels(labels []int) error {
	var p assay.Problems
	if len(labels) == 0 {
		p.Add("no label is listed")
	}
	for i, l := range labels {
		if l < 0 || l >= c.Classes {
			p.Add("label %d is class %d of %d", i, l, c.Classes)
		} else if slices.Contains(labels[:i], l) {
			p.Add("class %d is listed twice", l)
		}
	}
	return p.Err(assay.Invalid, "labels")
}

// Counts is a two-by-two table: weighted counts of true and false positives and negatives.
type Counts struct{ TP, FP, FN, TN float64 }

// Total is the number of rows, or the sum of their weights.
func (n Counts) Total() float64 { return n.TP + n.FP + n.FN + n.TN }

// SelectionRate is the share of rows that are predicted positive, in [0,1].
func (n Counts) SelectionRate() Value {
	return ZeroIsNaN.ratio(n.TP+n.FP, n.Total(), "no row")
}

// Precision is TP/(TP+FP), in [0,1].
func (n Counts) Precision(z ZeroDivision) Value {
	return z.ratio(n.TP, n.TP+n.FP, "no predicted positive")
}

// Recall is TP/(TP+FN), the true positive rate, in [0,1].
func (n Counts) Recall(z ZeroDivision) Value {
	return z.ratio(n.TP, n.TP+n.FN, "no positive in the truth")
}

// FalsePositiveRate is FP/(FP+TN), in [0,1].
func (n Counts) FalsePositiveRate(z ZeroDivision) Value {
	return z.ratio(n.FP, n.FP+n.TN, "no negative in the truth")
}

// FalseNegativeRate is FN/(TP+FN), in [0,1].
func (n Counts) FalseNegativeRate(z ZeroDivision) Value {
	return z.ratio(n.FN, n.TP+n.FN, "no positive in the truth")
}

// TrueNegativeRate is TN/(FP+TN), the specificity, in [0,1].
func (n Counts) TrueNegativeRate(z ZeroDivision) Value {
	return z.ratio(n.TN, n.FP+n.TN, "no negative in the truth")
}

// Fbeta is (1+β²)TP/((1+β²)TP+β²FN+FP), in [0,1]; β above 1 favours recall. An infinite β is recall and 0 is precision.
func (n Counts) Fbeta(beta float64, z ZeroDivision) Value {
	switch {
	case math.IsInf(beta, 1):
		return n.Recall(z)
	case beta == 0:
		return n.Precision(z)
	}
	b := beta * beta
	return z.ratio((1+b)*n.TP, b*(n.TP+n.FN)+(n.TP+n.FP), "no true nor predicted positive")
}

// Jaccard is TP/(TP+FP+FN), in [0,1].
func (n Counts) Jaccard(z ZeroDivision) Value {
	return z.ratio(n.TP, n.TP+n.FP+n.FN, "no true nor predicted positive")
}

func (n Counts) plus(m Counts) Counts {
	return Counts{n.TP + m.TP, n.FP + m.FP, n.FN + m.FN, n.TN + m.TN}
}
