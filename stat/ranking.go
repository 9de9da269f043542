package stat

import (
	"context"
	"math"

	"github.com/assay-ml/assay"
)

// A Ranking is the rows of one score in descending order, sorted once, so that the area under the ROC curve and the average
// precision of any weights of the rows are one pass without a sort. It is immutable.
type Ranking struct {
	rows    []uint32  // row<<2 | positive<<1 | last of its ties
	inverse []float64 // 1/k, for a division takes as long as the rest of a pass; 0 at 0, where nothing is divided
}

// MaxRankingRows is the number of rows that a Ranking can hold.
const MaxRankingRows = 1 << 30

// NewRanking sorts the rows by score; higher means more likely positive. It refuses an undefined score and unequal lengths.
func NewRanking(positive []bool, score []float64) (*Ranking, error) {
	switch {
	case len(positive) != len(score):
		return nil, assay.Errorf(assay.Invalid, "cannot rank: %d scores for %d rows", len(score), len(positive))
	case len(score) >= MaxRankingRows:
		return nil, assay.Errorf(assay.Unimplemented, "cannot rank: %d rows are more than %d", len(score), MaxRankingRows)
	case hasNaN(score):
		return nil, assay.Errorf(assay.Invalid, "cannot rank: the score has undefined values")
	}
	r := &Ranking{rows: make([]uint32, len(score)), inverse: make([]float64, len(score)+len(score)/8+64)}
	for k := 1; k < len(r.inverse); k++ {
		r.inverse[k] = 1 / float64(k)
	}
	order := ascending(score)
	for i := range order {
		j := len(order) - 1 - i
		row := order[j]
		e := uint32(row) << 2
		if positive[row] {
			e |= 2
		}
		if j == 0 || score[order[j-1]] != score[row] {
			e |= 1
		}
		r.rows[i] = e
	}
	return r, nil
}

// Subset returns the ranking of the rows that keep holds; it has one value a row of the whole.
func (r *Ranking) Subset(keep []bool) *Ranking {
	s := &Ranking{inverse: r.inverse}
	tied := false
	for _, e := range r.rows {
		if keep[e>>2] {
			s.rows = append(s.rows, e&^1)
			tied = true
		}
		if e&1 == 1 && tied {
			s.rows[len(s.rows)-1] |= 1
			tied = false
		}
	}
	return s
}

// Len is the number of rows.
func (r *Ranking) Len() int { return len(r.rows) }

// AUC returns the area under the ROC curve of the weighted rows, ties counted half; NaN when a class has no weight. counts has one
// weight a row of the whole data; nil weighs every row 1.
func (r *Ranking) AUC(counts []uint8) float64 {
	if counts == nil {
		auc, _ := r.unweighted()
		return auc
	}
	var tp, all, tp0, all0, twice uint64
	for _, e := range r.rows {
		w := uint64(counts[e>>2])
		all += w
		tp += w & -uint64(e>>1&1)
		if e&1 != 0 {
			twice += (all - tp - (all0 - tp0)) * (tp + tp0)
			tp0, all0 = tp, all
		}
	}
	return area(twice, tp, all)
}

func area(twice, tp, all uint64) float64 {
	if tp == 0 || tp == all {
		return math.NaN()
	}
	return float64(twice) / (2 * float64(tp) * float64(all-tp))
}

// Areas returns the area under the ROC curve and the average precision, Σ (Rₖ - Rₖ₋₁) Pₖ over the distinct scores, of the weighted
// rows in one pass. The average precision is NaN without positive weight.
func (r *Ranking) Areas(counts []uint8) (auc, averagePrecision float64) {
	if counts == nil {
		return r.unweighted()
	}
	// Signed, for the processor converts signed integers to floats in one instruction.
	var tp, all, tp0, all0, twice int64
	var ap float64
	for _, e := range r.rows {
		w := int64(counts[e>>2])
		all += w
		tp += w & -int64(e>>1&1)
		if e&1 != 0 {
			twice += (all - tp - (all0 - tp0)) * (tp + tp0)
			if uint64(all) < uint64(len(r.inverse)) {
				ap += float64((tp-tp0)*tp) * r.inverse[all]
			} else {
				ap += float64((tp-tp0)*tp) / float64(all)
			}
			tp0, all0 = tp, all
		}
	}
	return area(uint64(twice), uint64(tp), uint64(all)), ap / float64(tp)
}

func (r *Ranking) unweighted() (auc, averagePrecision float64) {
	var tp, all, tp0, all0, twice uint64
	var ap float64
	for _, e := range r.rows {
		all++
		tp += uint64(e >> 1 & 1)
		if e&1 != 0 {
			twice += (all - tp - (all0 - tp0)) * (tp + tp0)
			ap += float64(tp-tp0) * float64(tp) / float64(all)
			tp0, all0 = tp, all
		}
	}
	return area(twice, tp, all), ap / float64(tp)
}

// Jackknife returns, for each row of the ranking in ascending row order, the area and the average precision without it, in O(n): a
// row changes the sums by what it contributes, and the precisions below it by sums that are known from one backward pass. NaN where
// what remains has no row of a class.
func (r *Ranking) Jackknife() (auc, averagePrecision []float64) {
	type group struct{ p, n, tp, all float64 } // of the ties, and cumulated up to and with them
	distinct := 0
	for _, e := range r.rows {
		distinct += int(e & 1)
	}
	groups := make([]group, 0, distinct)
	var g, total group
	for _, e := range r.rows {
		y := float64(e >> 1 & 1)
		g.p += y
		g.n += 1 - y
		if e&1 != 0 {
			g.tp, g.all = total.tp+g.p, total.all+g.p+g.n
			groups = append(groups, g)
			total, g = g, group{}
		}
	}
	P := total.tp
	N := total.all - P
	// Sums of p·tp/all over the groups after k, with the counts lowered by a positive or by a negative row above them.
	lessPositive, lessNegative := make([]float64, len(groups)+1), make([]float64, len(groups)+1)
	for k := len(groups) - 1; k >= 0; k-- {
		g := groups[k]
		lessPositive[k], lessNegative[k] = lessPositive[k+1], lessNegative[k+1]
		if g.p > 0 {
			if g.all > 1 {
				lessPositive[k] += g.p * (g.tp - 1) / (g.all - 1)
				lessNegative[k] += g.p * g.tp / (g.all - 1)
			}
		}
	}
	var pairs float64
	for _, g := range groups {
		pairs += g.n * (g.tp - g.p/2)
	}
	last := uint32(0)
	for _, e := range r.rows {
		last = max(last, e>>2)
	}
	aucs, aps := make([]float64, last+1), make([]float64, last+1)
	seen := make([]bool, last+1)
	k, before := 0, 0.0
	for _, e := range r.rows {
		g := groups[k]
		row := e >> 2
		seen[row] = true
		if e>>1&1 == 1 {
			beaten := N - (g.all - g.tp) + g.n/2
			aucs[row] = quotient(pairs-beaten, (P-1)*N)
			own := 0.0
			if g.p > 1 {
				own = (g.p - 1) * (g.tp - 1) / (g.all - 1)
			}
			aps[row] = quotient(before+own+lessPositive[k+1], P-1)
		} else {
			aucs[row] = quotient(pairs-(g.tp-g.p/2), P*(N-1))
			own := 0.0
			if g.p > 0 {
				own = g.p * g.tp / (g.all - 1)
			}
			aps[row] = quotient(before+own+lessNegative[k+1], P)
		}
		if e&1 != 0 {
			before += g.p * g.tp / g.all
			k++
		}
	}
	auc, averagePrecision = make([]float64, 0, len(r.rows)), make([]float64, 0, len(r.rows))
	for row, ok := range seen {
		if ok {
			auc, averagePrecision = append(auc, aucs[row]), append(averagePrecision, aps[row])
		}
	}
	return auc, averagePrecision
}

// WeightedAreas is Areas of rows that have a weight of their own, one a row of the whole data and at least 0, beside that of the
// replicate; nil counts weigh every row 1.
func (r *Ranking) WeightedAreas(counts []uint8, weights []float64) (auc, averagePrecision float64) {
	var tp, fp, tp0, fp0, pairs, ap float64
	for _, e := range r.rows {
		w := weights[e>>2]
		if counts != nil {
			w *= float64(counts[e>>2])
		}
		if e&2 != 0 {
			tp += w
		} else {
			fp += w
		}
		if e&1 != 0 {
			pairs += (fp - fp0) * (tp + tp0) / 2
			if tp > tp0 {
				ap += (tp - tp0) * tp / (tp + fp)
			}
			tp0, fp0 = tp, fp
		}
	}
	return quotient(pairs, tp*fp), quotient(ap, tp)
}

// WeightedJackknife is Jackknife of rows with weights: the area without each row, exactly, and the average precision to first order in
// the row's weight (the infinitesimal jackknife), for how far it moves the precisions below it depends on the weight.
func (r *Ranking) WeightedJackknife(weights []float64) (auc, averagePrecision []float64) {
	type group struct{ p, n, tp, fp float64 } // weights of the ties, and cumulated up to and with them
	var groups []group
	var g, total group
	for _, e := range r.rows {
		if w := weights[e>>2]; e&2 != 0 {
			g.p += w
		} else {
			g.n += w
		}
		if e&1 != 0 {
			g.tp, g.fp = total.tp+g.p, total.fp+g.n
			groups = append(groups, g)
			total, g = g, group{}
		}
	}
	P, N := total.tp, total.fp
	// The slope of a group's term p·tp/all in the weight of a positive or a negative row above it, summed over the groups from k on.
	ofPositive, ofNegative := make([]float64, len(groups)+1), make([]float64, len(groups)+1)
	var pairs, ap float64
	for k := len(groups) - 1; k >= 0; k-- {
		g := groups[k]
		ofPositive[k], ofNegative[k] = ofPositive[k+1], ofNegative[k+1]
		if all := g.tp + g.fp; g.p > 0 {
			less := g.p * g.tp / (all * all)
			ofPositive[k] += g.p/all - less
			ofNegative[k] -= less
			ap += g.p * g.tp / all
		}
		pairs += g.n * (g.tp - g.p/2)
	}
	last := uint32(0)
	for _, e := range r.rows {
		last = max(last, e>>2)
	}
	aucs, aps := make([]float64, last+1), make([]float64, last+1)
	seen := make([]bool, last+1)
	k := 0
	for _, e := range r.rows {
		g, row := groups[k], e>>2
		w := weights[row]
		seen[row] = true
		if e&2 != 0 {
			beaten := N - g.fp + g.n/2
			aucs[row] = quotient(pairs-w*beaten, (P-w)*N)
			own := 0.0
			if all := g.tp + g.fp; all > 0 {
				own = g.tp / all
			}
			aps[row] = quotient(ap, P) - w*quotient(own+ofPositive[k]-quotient(ap, P), P)
		} else {
			aucs[row] = quotient(pairs-w*(g.tp-g.p/2), P*(N-w))
			aps[row] = quotient(ap-w*ofNegative[k], P)
		}
		if e&1 != 0 {
			k++
		}
	}
	auc, averagePrecision = make([]float64, 0, len(r.rows)), make([]float64, 0, len(r.rows))
	for row, ok := range seen {
		if ok {
			auc, averagePrecision = append(auc, aucs[row]), append(averagePrecision, aps[row])
		}
	}
	return auc, averagePrecision
}

func quotient(a, b float64) float64 {
	if b == 0 {
		return math.NaN()
	}
	return a / b
}

// BootstrapAUC estimates the area under the ROC curve with a bootstrap interval; method "" is BCa. With Clusters the acceleration is
// of clusters, to first order. Prefer NewDeLong where its assumptions hold: it needs no resampling.
func BootstrapAUC(ctx context.Context, positive []bool, score []float64, r Resampler, level float64, method BootstrapMethod) (assay.Estimate, error) {
	ranking, err := NewRanking(positive, score)
	if err != nil {
		return assay.Estimate{}, err
	}
	replicates, err := r.Run(ctx, len(score), 1, func() Evaluator {
		return func(counts []uint8, out []float64) { out[0] = ranking.AUC(counts) }
	})
	if err != nil {
		return assay.Estimate{}, err
	}
	s := Resampled{Value: ranking.AUC(nil), Replicates: replicates[0], N: int64(len(score))}
	if method != Percentile && method != Basic {
		jack, _ := ranking.Jackknife()
		if r.Clusters != nil {
			jack = ClusterJackknife(s.Value, jack, r.Clusters)
			s.N = int64(len(jack))
		}
		s.Jackknife = [][]float64{jack}
	}
	return s.Estimate(level, method), nil
}
