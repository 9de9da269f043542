package metric

import (
	"math"
	"strconv"

	"github.com/assay-ml/assay"
)

// gainPlaces are how many of the first places the metrics with a k look at.
var gainPlaces = []int{1, 3, 5, 10, 20, 100}

// orderDefinitions are the metrics of an order: of the labels of a row (multilabel), or of the documents of a query (ranking). Each is
// the mean over rows, or queries, of one number.
func orderDefinitions() []Definition {
	both, rankings := []assay.Task{assay.Multilabel, assay.Ranking}, []assay.Task{assay.Ranking}
	const of = " of the documents of a query, or of the true labels of a row, in the order of the scores"
	gain := func(k int) listScore {
		return func(relevance, scores []float64) float64 {
			return newGains(len(scores), GainOptions{K: k}).dcg(relevance, scores, false)
		}
	}
	share := func(k int) listScore {
		return func(relevance, scores []float64) float64 {
			g := newGains(len(scores), GainOptions{K: k})
			ideal := g.dcg(relevance, relevance, true)
			if ideal == 0 {
				return 0
			}
			return g.dcg(relevance, scores, false) / ideal
		}
	}
	defs := []Definition{
		{
			"ndcg_score", sklearn("ndcg_score", "1.8"), true, both, NeedScores,
			"Discounted gain" + of + ", by that of the best order; the mean over tied orders. In [0,1]; 0 where nothing is relevant.", ordered(share(0), severalPlaces),
		},
		{
			"dcg_score", sklearn("dcg_score", "1.8"), true, both, NeedScores,
			"Sum of relevance/log2(1 + place)" + of + "; the mean over tied orders. At least 0.", ordered(gain(0), nil),
		},
	}
	for _, k := range gainPlaces {
		n := strconv.Itoa(k)
		defs = append(defs, Definition{
			"ndcg_score_k_" + n, sklearn("ndcg_score_k_"+n, "1.8"), true, both, NeedScores,
			"ndcg_score of the first " + n + " places (k=" + n + "). In [0,1].", ordered(share(k), severalPlaces),
		})
	}
	for _, k := range gainPlaces {
		n := strconv.Itoa(k)
		defs = append(defs, Definition{
			"dcg_score_k_" + n, sklearn("dcg_score_k_"+n, "1.8"), true, both, NeedScores,
			"dcg_score of the first " + n + " places (k=" + n + "). At least 0.", ordered(gain(k), nil),
		})
	}
	return append(defs,
		Definition{
			"label_ranking_average_precision_score", sklearn("label_ranking_average_precision_score", "1.8"), true, both, NeedScores,
			"Share of true labels among those that score at least as high, mean over true labels and rows; of a ranking, of relevant documents. In (0,1]; 1 where all or none are true.",
			ordered(labelRankingPrecision, zeroOrOne),
		},
		Definition{
			"coverage_error", sklearn("coverage_error", "1.8"), false, both, NeedScores,
			"How many labels must be taken, in order of score, to hold all true ones; of a ranking, how many documents. Mean over the rows.", ordered(coverage, zeroOrOne),
		},
		Definition{
			"label_ranking_loss", sklearn("label_ranking_loss", "1.8"), false, both, NeedScores,
			"Share of pairs of a true and a false label in the wrong order; of a ranking, of a relevant and another document. Mean over the rows. In [0,1].", ordered(labelRankingLoss, zeroOrOne),
		},
		Definition{
			"mean_average_precision", own("mean_average_precision"), true, rankings, NeedScores,
			"Mean over the queries of average_precision_score; a document of relevance above 0 is relevant. In [0,1]; 0 where nothing is relevant.", ordered(averagePrecision, nil),
		},
		Definition{
			"mean_reciprocal_rank", own("mean_reciprocal_rank"), true, rankings, NeedScores,
			"Mean over the queries of 1/place of the first document of relevance above 0; the mean over tied orders. In [0,1]; 0 where nothing is relevant.", ordered(reciprocalRank, nil),
		},
	)
}

// A listScore scores one list: relevances and scores, of the documents of a query or of the labels of a row.
type listScore func(relevance, scores []float64) float64

// ordered is the mean of a score over lists; check says what a list must not be.
func ordered(f listScore, check func(relevance []float64) string) computation {
	rows := func(in *Input) []float64 {
		var out []float64
		in.lists(func(relevance, scores []float64) { out = append(out, f(relevance, scores)) })
		return out
	}
	return by(func(in *Input) (Value, error) {
		if err := in.checkLists(check); err != nil {
			return Value{}, err
		}
		return defined(mean(rows(in), in.Weights)), nil
	}).rows(rows)
}

// lists calls f for each row of a multilabel input, or for each query of a ranking in the order of Groups.
func (in *Input) lists(f func(relevance, scores []float64)) {
	if in.Task == assay.Multilabel {
		k := len(in.Classes)
		relevance := make([]float64, k)
		for i := 0; i < len(in.Truth); i += k {
			for j, y := range in.Truth[i : i+k] {
				relevance[j] = float64(y)
			}
			f(relevance, in.Proba[i:i+k])
		}
		return
	}
	for _, l := range in.documents() {
		relevance, scores := make([]float64, len(l)), make([]float64, len(l))
		for j, i := range l {
			relevance[j], scores[j] = in.Target[i], in.Values[i]
		}
		f(relevance, scores)
	}
}

// documents are the rows of each query.
func (in *Input) documents() [][]int32 {
	most := int32(-1)
	for _, g := range in.Groups {
		most = max(most, g)
	}
	out := make([][]int32, most+1)
	for i, g := range in.Groups {
		out[g] = append(out[g], int32(i))
	}
	return out
}

func (in *Input) checkLists(check func(relevance []float64) string) error {
	var p assay.Problems
	if in.Task == assay.Multilabel {
		if _, err := in.rankOptions(Macro, "").matrix("label ranking", in.Truth, in.Proba); err != nil {
			return err
		}
	} else if in.checkQueries(&p); len(p) > 0 {
		return p.Err(assay.Invalid, "ranking")
	}
	if check == nil {
		return nil
	}
	i := 0
	in.lists(func(relevance, _ []float64) {
		if why := check(relevance); why != "" && len(p) == 0 {
			p.Add("list %d %s", i+1, why)
		}
		i++
	})
	return p.Err(assay.Invalid, "ranking")
}

func (in *Input) checkQueries(p *assay.Problems) {
	n := len(in.Target)
	checkRows(p, n, "scores", len(in.Values))
	checkRows(p, n, "queries", len(in.Groups))
	checkFinite(p, "relevance", in.Target)
	checkFinite(p, "score", in.Values)
	for i, g := range in.Groups {
		if g < 0 || int(g) >= n {
			p.Add("query %d of row %d is none of 0 to %d", g, i, n-1)
			return
		}
	}
	for i, r := range in.Target {
		if r < 0 {
			p.Add("relevance %d is less than 0", i)
			break
		}
	}
	lists := in.documents()
	for q, l := range lists {
		if len(l) == 0 {
			p.Add("query %d of %d has no document", q, len(lists))
			break
		}
	}
	checkWeights(p, len(lists), in.Weights)
}

func severalPlaces(relevance []float64) string {
	if len(relevance) < 2 {
		return "is of one document, which cannot be ranked"
	}
	return ""
}

func zeroOrOne(relevance []float64) string {
	for _, r := range relevance {
		if r != 0 && r != 1 {
			return "has a relevance other than 0 and 1"
		}
	}
	return ""
}

// averagePrecision is AveragePrecisionScore of one list: the mean over the relevant documents of the precision down to their score.
func averagePrecision(relevance, scores []float64) float64 {
	pos, neg := keysOf(relevance, scores)
	if len(pos) == 0 {
		return 0
	}
	return mergeAP(pos, neg)
}

// keysOf are the ordered scores of the relevant and of the other documents, sorted upwards.
func keysOf(relevance, scores []float64) (pos, neg []uint64) {
	for i, s := range scores {
		if relevance[i] > 0 {
			pos = append(pos, sortKey(s))
		} else {
			neg = append(neg, sortKey(s))
		}
	}
	return sortKeys(pos), sortKeys(neg)
}

// reciprocalRank is the mean, over the orders of tied documents, of 1/place of the first relevant one. Of t documents that tie for the
// places after a, r relevant, the first relevant one is at place a+p with probability C(t-p, r-1)/C(t, r).
func reciprocalRank(relevance, scores []float64) float64 {
	best := math.Inf(-1)
	for i, r := range relevance {
		if r > 0 {
			best = max(best, scores[i])
		}
	}
	above, tied, relevant := 0, 0, 0
	for i, s := range scores {
		switch {
		case s > best:
			above++
		case s == best:
			tied++
			if relevance[i] > 0 {
				relevant++
			}
		}
	}
	if relevant == 0 {
		return 0
	}
	var total accumulator
	later := 1.0 // the probability that no relevant document is at a place before p
	for p := 1; p <= tied-relevant+1; p++ {
		here := float64(relevant) / float64(tied-p+1) // that one is at p, given that
		total.add(later * here / float64(above+p))
		later *= 1 - here
	}
	return total.value()
}
