package eval

import (
	"fmt"
	"math"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/metric"
	"github.com/assay-ml/assay/stat"
)

// Rows with weights. A weight of 3 stands for three rows in every value and every replicate, but not in how much is known: n rows with
// weights know as much as Kish's effective number of rows without. The intervals in closed form (Wilson, DeLong, Tango, Student) count
// rows that are alike, so none of them holds; all are resampled, rows drawn with their weights. Values without each row, which BCa and
// the gaps of slices need, are exact for means, sums and areas, and to first order in the weight (the infinitesimal jackknife of Efron,
// 1982) for functions of the confusion matrix and for the average precision.

// methodWeighted goes before the name of a method that resamples rows with weights.
const methodWeighted = "weighted "

// methodKish goes behind the name of a method that takes the effective number of rows for their number.
const methodKish = ", effective n"

// checkWeights says what is wrong with the weights; values are not named, they are content.
func (t *Truth) checkWeights(bad *assay.Problems) {
	if t.Weight == nil {
		return
	}
	if len(t.Weight) != t.N() && t.N() > 0 {
		bad.Add("%d weights for %d rows", len(t.Weight), t.N())
		return
	}
	var absent, negative, endless place
	var sum float64
	for i, w := range t.Weight {
		switch {
		case math.IsNaN(w):
			absent.add(i)
		case w < 0:
			negative.add(i)
		case math.IsInf(w, 0):
			endless.add(i)
		}
		sum += w
	}
	addPlaces(bad, "the weight is missing or NaN", absent)
	addPlaces(bad, "the weight is negative", negative)
	addPlaces(bad, "the weight is infinite", endless)
	switch {
	case absent.count+negative.count+endless.count > 0:
	case sum == 0:
		bad.Add("the weights of all %d rows are 0", len(t.Weight))
	case math.IsInf(sum, 0):
		bad.Add("the weights of %d rows sum to more than a number holds", len(t.Weight))
	}
}

// unweightable reports whether the metric is not defined for weights: scikit-learn refuses them too.
func unweightable(name string) bool {
	return name == "roc_auc_score_ovo" || name == "roc_auc_score_ovo_weighted"
}

// weight of the row at position j of the sample; 1 without weights.
func (s *sample) weight(j int) float64 {
	if s.w == nil {
		return 1
	}
	return s.w[j]
}

// effective is how many independent units of equal weight know as much as the sample: Kish's number over rows, as a share of the units.
func (s *sample) effective() float64 {
	if s.w == nil || s.n == 0 {
		return float64(s.units())
	}
	return float64(s.units()) * (stat.EffectiveN(s.w) / float64(s.n))
}

// tooFew says that the sample is smaller than some number of units; empty when it is not.
func (s *sample) tooFew(least int64) string {
	switch {
	case s.units() < least:
		return fmt.Sprintf("fewer than %d %s", least, s.unitName())
	case s.effective() < float64(least):
		return fmt.Sprintf("an effective number of %s below %d", s.unitName(), least)
	}
	return ""
}

// leaveWeighted gives the values of a function of the confusion matrix without each row, to first order in its weight: the slope is
// taken at the mean weight of the cell, so that equal weights give what rows without weights do.
func (m *measure) leaveWeighted() []float64 {
	c := metric.Confusion{Classes: m.count.Classes, Counts: append([]float64(nil), m.count.Counts...)}
	rows := make([]float64, len(c.Counts))
	for _, i := range m.cell {
		rows[i]++
	}
	value := m.table(c)
	slope := make([]float64, len(c.Counts))
	for i, mass := range c.Counts {
		if mass > 0 {
			step := mass / rows[i]
			c.Counts[i] -= step
			slope[i] = (m.table(c) - value) / step
			c.Counts[i] = mass
		}
	}
	out := make([]float64, len(m.cell))
	for j, i := range m.cell {
		out[j] = value
		if w := m.s.w[j]; w > 0 {
			out[j] += slope[i] * w
		}
	}
	return out
}

// shareOfWeights estimates a proportion of weighted rows from its weight, the weight of all and the sum of their squares: Wilson's
// interval at the effective number of rows.
func shareOfWeights(x, of, squares, level float64) assay.Estimate {
	if !(of > 0) {
		return assay.Undefined("no rows", 0)
	}
	n := of / squares * of
	e := stat.Proportion(min(x/of, 1)*n, n, level, "")
	if e.HasInterval() {
		e.Method += methodKish
	}
	return e
}

// squares are the squared weights; nil without weights.
func squares(w []float64) []float64 {
	if w == nil {
		return nil
	}
	out := make([]float64, len(w))
	for i, v := range w {
		out[i] = v * v
	}
	return out
}
