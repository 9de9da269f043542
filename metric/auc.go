package metric

import (
	"math"

	"github.com/assay-ml/assay"
)

// A Multiclass says how a score of two classes is extended to more. There is no default: the two answer different questions.
type Multiclass string

const (
	OneVsRestMean Multiclass = "ovr" // each class against all others, then the average
	OneVsOneMean  Multiclass = "ovo" // each pair of classes both ways, then the average (Hand and Till, 2001)
)

// RankOptions are the options of the scores that use the order of the rows.
//
// For two classes scores are n numbers, higher for class 1. For more classes, and for Multilabel, they are row-major n×Classes.
type RankOptions struct {
	Weights    []float64 // one a row, finite, at least 0; nil means 1 each
	Classes    int       // as in ProbaOptions; of a multilabel matrix its columns, which must be given
	Average    Average   // over classes; the zero value means Macro where there are more than two
	Multiclass Multiclass
	Multilabel bool    // truth is a row-major n×Classes matrix of 0 and 1
	MaxFPR     float64 // in (0,1]: only the part of the ROC curve up to there, rescaled after McClish (1989); 0 means all; two classes or multilabel only
}

func (o RankOptions) average() Average {
	if o.Average == Positive {
		return Macro
	}
	return o.Average
}

// RocAucScore is the probability that a row of class 1 scores higher than a row of class 0, ties counting one half. In [0,1], higher
// is better, 0.5 is chance. NaN where a class is missing from the truth.
//
// With more than two classes Multiclass must be set and each row of scores must sum to 1; one against one takes no weights.
// Source: Hanley and McNeil (1982); checked against sklearn.metrics.roc_auc_score.
func RocAucScore(truth []int32, scores []float64, o RankOptions) (Value, error) {
	const name = "ROC AUC"
	if !(o.MaxFPR >= 0 && o.MaxFPR <= 1) {
		return Value{}, invalid("the greatest false positive rate is %v; it lies in (0,1]", o.MaxFPR)
	}
	binary := binaryAuc
	if o.MaxFPR > 0 && o.MaxFPR < 1 {
		binary = func(truth []int32, scores, w []float64) (Value, error) { return partialAuc(truth, scores, w, o.MaxFPR) }
	}
	if o.Multilabel {
		return averageColumns(name, truth, scores, o, binary)
	}
	if len(scores) == len(truth) && o.Classes <= 2 {
		return binary(truth, scores, o.Weights)
	}
	if o.MaxFPR > 0 && o.MaxFPR < 1 {
		return Value{}, invalid("a partial ROC AUC is defined for two classes only")
	}
	m, err := o.multiclass(name, truth, scores)
	if err != nil {
		return Value{}, err
	}
	for i := range m.n {
		if s := sum(scores[i*m.k : (i+1)*m.k]); !(math.Abs(1-s) <= 1e-8+1e-5*math.Abs(s)) {
			return Value{}, invalid("the scores of row %d sum to %v: the ROC AUC of more than two classes needs probabilities", i, s)
		}
	}
	switch o.Multiclass {
	case OneVsRestMean:
		return averageIndicators(m, truth, o, binary)
	case OneVsOneMean:
		return m.oneVsOne(truth, o)
	case "":
		return Value{}, invalid("the ROC AUC of %d classes is either one against the rest (ovr) or one against one (ovo): choose", m.k)
	}
	return Value{}, invalid("%q is neither ovr nor ovo", string(o.Multiclass))
}

// RocAucScores is the ROC AUC of each class against the rest, or of each column of a multilabel matrix.
func RocAucScores(truth []int32, scores []float64, o RankOptions) ([]Value, error) {
	return perClass("ROC AUC", truth, scores, o, binaryAuc)
}

// AveragePrecisionScore is the sum over thresholds of the gain in recall times the precision there: a step sum, not a trapezoid. In
// [0,1], higher is better; the share of positives is chance. 0 and marked where there is no positive.
//
// With more than two classes each class is scored against the rest and averaged.
func AveragePrecisionScore(truth []int32, scores []float64, o RankOptions) (Value, error) {
	const name = "average precision"
	if o.Multilabel {
		return averageColumns(name, truth, scores, o, binaryAP)
	}
	if len(scores) == len(truth) && o.Classes <= 2 {
		return binaryAP(truth, scores, o.Weights)
	}
	m, err := o.multiclass(name, truth, scores)
	if err != nil {
		return Value{}, err
	}
	return averageIndicators(m, truth, o, binaryAP)
}

// AveragePrecisionScores is the average precision of each class against the rest, or of each column of a multilabel matrix.
func AveragePrecisionScores(truth []int32, scores []float64, o RankOptions) ([]Value, error) {
	return perClass("average precision", truth, scores, o, binaryAP)
}

type binaryScore func(truth []int32, scores, weights []float64) (Value, error)

// multiclass checks an n×k matrix of scores.
func (o RankOptions) multiclass(name string, truth []int32, scores []float64) (proba, error) {
	m, err := ProbaOptions{o.Weights, o.Classes}.shape(name, truth, scores)
	if err != nil {
		return m, err
	}
	if m.single {
		return m, invalid("%s: %d classes need a matrix of scores, one column a class", name, o.Classes)
	}
	if m.k == 2 {
		return m, invalid("%s: two classes take one score a row, that of class 1, not two", name)
	}
	var p assay.Problems
	checkFinite(&p, "score", scores)
	return m, p.Err(assay.Invalid, name)
}

// indicator is the truth as a row-major matrix of 0 and 1.
func (m proba) indicator(truth []int32) []int32 {
	y := make([]int32, m.n*m.k)
	for i, t := range truth {
		y[i*m.k+int(t)] = 1
	}
	return y
}

func averageIndicators(m proba, truth []int32, o RankOptions, f binaryScore) (Value, error) {
	if o.average() == Samples {
		return Value{}, invalid("the average over samples needs a multilabel matrix")
	}
	o.Multilabel, o.Classes = true, m.k
	return averageColumns("", m.indicator(truth), m.p, o, f)
}

// matrix checks a multilabel truth and its scores.
func (o RankOptions) matrix(name string, truth []int32, scores []float64) (n int, err error) {
	n, err = checkMultilabel(truth, truth, LabelOptions{Classes: o.Classes, Weights: o.Weights})
	if err != nil {
		return 0, err
	}
	var p assay.Problems
	if len(scores) != len(truth) {
		p.Add("the truth holds %d cells and the scores %d", len(truth), len(scores))
	}
	checkFinite(&p, "score", scores)
	return n, p.Err(assay.Invalid, name)
}

func averageColumns(name string, truth []int32, scores []float64, o RankOptions, f binaryScore) (Value, error) {
	n, err := o.matrix(name, truth, scores)
	if err != nil {
		return Value{}, err
	}
	k := o.Classes
	switch a := o.average(); a {
	case Micro:
		var w []float64
		if o.Weights != nil {
			w = make([]float64, 0, n*k)
			for _, x := range o.Weights {
				for range k {
					w = append(w, x)
				}
			}
		}
		return f(truth, scores, w)
	case Samples:
		values := make([]Value, n)
		for i := range n {
			if values[i], err = f(truth[i*k:(i+1)*k], scores[i*k:(i+1)*k], nil); err != nil {
				return Value{}, err
			}
		}
		return averageOf(zeroed(values, o.Weights), rowWeight(o.Weights), false), nil
	case Macro, Weighted:
		values, support, err := scoreColumns(n, truth, scores, o, f)
		if err != nil {
			return Value{}, err
		}
		if a == Macro {
			return averageOf(values, func(int) float64 { return 1 }, false), nil
		}
		if sum(support) == 0 {
			return convention(0, "no positive in the truth"), nil
		}
		return averageOf(zeroed(values, support), func(c int) float64 { return support[c] }, false), nil
	default:
		if c, ok := a.class(); ok && c < k {
			y, s := column(n, k, truth, scores, c)
			return f(y, s, o.Weights)
		}
		return Value{}, invalid("average %v is not defined here", a)
	}
}

// zeroed drops what scores of weight 0 have to say: they do not enter the average, not even as NaN.
func zeroed(v []Value, w []float64) []Value {
	for i := range v {
		if w != nil && w[i] == 0 {
			v[i] = Value{}
		}
	}
	return v
}

func rowWeight(w []float64) func(int) float64 {
	return func(i int) float64 {
		if w == nil {
			return 1
		}
		return w[i]
	}
}

func column(n, k int, truth []int32, scores []float64, c int) ([]int32, []float64) {
	y, s := make([]int32, n), make([]float64, n)
	for i := range n {
		y[i], s[i] = truth[i*k+c], scores[i*k+c]
	}
	return y, s
}

// scoreColumns scores every column; support is the weight of its positives.
func scoreColumns(n int, truth []int32, scores []float64, o RankOptions, f binaryScore) (values []Value, support []float64, err error) {
	k := o.Classes
	values, support = make([]Value, k), make([]float64, k)
	for c := range k {
		y, s := column(n, k, truth, scores, c)
		if values[c], err = f(y, s, o.Weights); err != nil {
			return nil, nil, err
		}
		var a accumulator
		for i, t := range y {
			if t == 1 {
				a.add(rowWeight(o.Weights)(i))
			}
		}
		support[c] = a.value()
	}
	return values, support, nil
}

func perClass(name string, truth []int32, scores []float64, o RankOptions, f binaryScore) ([]Value, error) {
	if !o.Multilabel {
		m, err := o.multiclass(name, truth, scores)
		if err != nil {
			return nil, err
		}
		truth, o.Classes = m.indicator(truth), m.k
	}
	n, err := o.matrix(name, truth, scores)
	if err != nil {
		return nil, err
	}
	values, _, err := scoreColumns(n, truth, scores, o, f)
	return values, err
}

// oneVsOne averages over the pairs of classes of the truth.
func (m proba) oneVsOne(truth []int32, o RankOptions) (Value, error) {
	if o.Weights != nil {
		return Value{}, invalid("the ROC AUC of one class against one takes no weights")
	}
	if a := o.average(); a != Macro && a != Weighted {
		return Value{}, invalid("the ROC AUC of one class against one is averaged macro or weighted, not %v", a)
	}
	rows := make([][]int, m.k)
	for i, t := range truth {
		rows[t] = append(rows[t], i)
	}
	var values []Value
	var share []float64
	for a := range m.k {
		for b := a + 1; b < m.k; b++ {
			if len(rows[a]) == 0 || len(rows[b]) == 0 {
				continue
			}
			x, y := m.pairAuc(rows[a], rows[b], a), m.pairAuc(rows[b], rows[a], b)
			values = append(values, defined((x+y)/2))
			share = append(share, float64(len(rows[a])+len(rows[b]))/float64(m.n))
		}
	}
	if len(values) == 0 {
		return undefined("only one class in the truth"), nil
	}
	return averageOf(values, func(i int) float64 {
		if o.average() == Weighted {
			return share[i]
		}
		return 1
	}, false), nil
}

// pairAuc is the AUC of the column of class c, whose rows are pos, against the rows neg.
func (m proba) pairAuc(pos, neg []int, c int) float64 {
	keys := func(rows []int) []uint64 {
		out := make([]uint64, len(rows))
		for i, r := range rows {
			out[i] = sortKey(m.p[r*m.k+c])
		}
		return sortKeys(out)
	}
	return mergeAuc(keys(pos), keys(neg))
}
