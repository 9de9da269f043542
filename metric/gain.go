package metric

import (
	"cmp"
	"math"
	"slices"

	"github.com/assay-ml/assay"
)

// GainOptions are the options of the discounted cumulative gain.
type GainOptions struct {
	Weights    []float64 // one a row (query), finite, at least 0; nil means 1 each
	K          int       // only the first K places count; 0 means all
	IgnoreTies bool      // of tied scores the later column goes first, instead of the mean over their orders
}

// DcgScore is the mean over rows (queries) of Σ gain/log₂(place+1), places from 1 in the order of the scores. Relevance and scores
// are row-major n×documents. At least 0 for relevances of at least 0; higher is better (Järvelin and Kekäläinen, 2002; ties after
// McSherry and Najork, 2008).
func DcgScore(relevance, scores []float64, documents int, o GainOptions) (Value, error) {
	n, err := o.check("DCG", relevance, scores, documents)
	if err != nil {
		return Value{}, err
	}
	g := newGains(documents, o)
	out := make([]float64, n)
	for i := range out {
		out[i] = g.dcg(relevance[i*documents:(i+1)*documents], scores[i*documents:(i+1)*documents], o.IgnoreTies)
	}
	return defined(mean(out, o.Weights)), nil
}

// NdcgScore is the mean over rows (queries) of the DCG divided by that of the ideal order, in [0,1]; higher is better. Relevances are
// at least 0 and there are at least two documents a row; a row without a relevant document counts 0.
func NdcgScore(relevance, scores []float64, documents int, o GainOptions) (Value, error) {
	const name = "NDCG"
	n, err := o.check(name, relevance, scores, documents)
	if err != nil {
		return Value{}, err
	}
	var p assay.Problems
	if documents < 2 {
		p.Add("one document cannot be ranked")
	}
	for i, r := range relevance {
		if r < 0 {
			p.Add("relevance %d is %v, less than 0", i, r)
			break
		}
	}
	if err := p.Err(assay.Invalid, name); err != nil {
		return Value{}, err
	}
	g := newGains(documents, o)
	out := make([]float64, n)
	for i := range out {
		rel := relevance[i*documents : (i+1)*documents]
		if ideal := g.dcg(rel, rel, true); ideal != 0 {
			out[i] = g.dcg(rel, scores[i*documents:(i+1)*documents], o.IgnoreTies) / ideal
		}
	}
	return defined(mean(out, o.Weights)), nil
}

func (o GainOptions) check(name string, relevance, scores []float64, documents int) (n int, err error) {
	var p assay.Problems
	if documents < 1 {
		return 0, invalid("%s: %d documents a row", name, documents)
	}
	n = len(relevance) / documents
	if n == 0 || len(relevance)%documents != 0 {
		p.Add("%d relevances are no rows of %d documents", len(relevance), documents)
	}
	if len(scores) != len(relevance) {
		p.Add("%d relevances and %d scores", len(relevance), len(scores))
	}
	if o.K < 0 {
		p.Add("k is %d; it is at least 1, or 0 for all", o.K)
	}
	checkFinite(&p, "relevance", relevance)
	checkFinite(&p, "score", scores)
	checkWeights(&p, n, o.Weights)
	return n, p.Err(assay.Invalid, name)
}

// gains holds the discounts of the places and a scratch order.
type gains struct {
	discount []float64
	order    []int
}

func newGains(documents int, o GainOptions) *gains {
	g := &gains{make([]float64, documents), make([]int, documents)}
	for i := range g.discount {
		if o.K == 0 || i < o.K {
			g.discount[i] = 1 / math.Log2(float64(i+2))
		}
	}
	return g
}

func (g *gains) dcg(relevance, scores []float64, ignoreTies bool) float64 {
	for i := range g.order {
		g.order[i] = i
	}
	slices.SortFunc(g.order, func(a, b int) int { return cmp.Or(cmp.Compare(scores[b], scores[a]), b-a) })
	var total accumulator
	for i := 0; i < len(g.order); {
		from := i
		var gain, discount float64
		for ; i < len(g.order) && (i == from || !ignoreTies && scores[g.order[i]] == scores[g.order[from]]); i++ {
			gain += relevance[g.order[i]]
			discount += g.discount[i]
		}
		total.add(gain / float64(i-from) * discount)
	}
	return total.value()
}

// LabelRankingAveragePrecisionScore is the mean over rows of the mean over true labels of the share of true labels among those that
// score at least as high. In (0,1], higher is better; a row whose labels are all true or all false counts 1. Truth and scores are
// row-major n×labels.
func LabelRankingAveragePrecisionScore(truth []int32, scores []float64, labels int, weights []float64) (Value, error) {
	return meanOfRows(truth, scores, labels, weights, labelRankingPrecision)
}

func labelRankingPrecision(relevance, scores []float64) float64 {
	pos, neg := keysOf(relevance, scores)
	if len(pos) == 0 || len(neg) == 0 {
		return 1
	}
	return mergeAP(pos, neg)
}

// CoverageError is the mean over rows of how many labels must be taken, in the order of the scores, to hold all true ones. At least
// the mean number of true labels; lower is better. A row without a true label counts 0.
func CoverageError(truth []int32, scores []float64, labels int, weights []float64) (Value, error) {
	return meanOfRows(truth, scores, labels, weights, coverage)
}

func coverage(relevance, scores []float64) float64 {
	least := math.Inf(1)
	for i, r := range relevance {
		if r > 0 {
			least = min(least, scores[i])
		}
	}
	covered := 0
	for _, v := range scores {
		if v >= least {
			covered++
		}
	}
	return float64(covered)
}

// LabelRankingLoss is the mean over rows of the share of pairs of a true and a false label that are in the wrong order or tied. In
// [0,1], lower is better; a row whose labels are all true or all false counts 0.
func LabelRankingLoss(truth []int32, scores []float64, labels int, weights []float64) (Value, error) {
	return meanOfRows(truth, scores, labels, weights, labelRankingLoss)
}

func labelRankingLoss(relevance, scores []float64) float64 {
	pos, neg := keysOf(relevance, scores)
	if len(pos) == 0 || len(neg) == 0 {
		return 0
	}
	wrong, below := 0, 0
	for _, key := range pos {
		for below < len(neg) && neg[below] < key {
			below++
		}
		wrong += len(neg) - below
	}
	return float64(wrong) / float64(len(pos)*len(neg))
}

func meanOfRows(truth []int32, scores []float64, labels int, weights []float64, f listScore) (Value, error) {
	in := &Input{Task: assay.Multilabel, Classes: make([]string, max(labels, 0)), Truth: truth, Proba: scores, Weights: weights}
	return ordered(f, nil).score(in)
}
