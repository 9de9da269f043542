package eval

import (
	"math"
	"slices"
	"strings"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/stat"
)

// group is one group of a sensitive column: its counts.
type group struct {
	name           string
	tn, fp, fn, tp float64
}

func (g group) n() float64         { return g.tn + g.fp + g.fn + g.tp }
func (g group) selection() float64 { return ratio(g.tp+g.fp, g.n()) }
func (g group) tpr() float64       { return ratio(g.tp, g.tp+g.fn) }
func (g group) fpr() float64       { return ratio(g.fp, g.fp+g.tn) }

// A rate is a proportion within a group: value, numerator and denominator.
type rate struct {
	name  string
	value func(group) float64
	of    func(group) (x, n float64)
}

var (
	selectionRate = rate{"demographic_parity", group.selection, func(g group) (float64, float64) { return g.tp + g.fp, g.n() }}
	truePositive  = rate{"equal_opportunity", group.tpr, func(g group) (float64, float64) { return g.tp, g.tp + g.fn }}
	falsePositive = rate{"false_positive_rate", group.fpr, func(g group) (float64, float64) { return g.fp, g.fp + g.tn }}
)

// fairness gives, for each sensitive column, fairlearn's differences and ratios between groups (demographic parity, equal opportunity,
// equalized odds), worst case. Groups with too few rows are left out and named; missing values are a group. The interval of a
// difference is Newcombe's for the two extreme groups, signed, so that it can hold zero; choosing the extremes makes it optimistic
// about which groups they are, not about how far they are apart.
func fairness(s *sample, p *prepared, o Options) ([]assay.Disparity, error) {
	out := []assay.Disparity{}
	for _, name := range o.Sensitive {
		col := s.t.Columns.Column(name)
		if col == nil {
			return nil, assay.Errorf(assay.Invalid, "sensitive column %q is not among the columns", name)
		}
		var groups []group
		left := []string{}
		for _, l := range levels(name, col) {
			g := group{name: strings.TrimPrefix(strings.TrimPrefix(l.name, name+" = "), name+" ")}
			for _, i := range l.rows {
				truth, pred := int(s.t.Class[i]) == s.t.Positive, int(p.label[i]) == s.t.Positive
				switch {
				case truth && pred:
					g.tp++
				case truth:
					g.fn++
				case pred:
					g.fp++
				default:
					g.tn++
				}
			}
			if int64(g.n()) < o.MinRows || int64(g.tp+g.fn) < o.MinPositives || int64(g.fp+g.tn) < o.MinPositives {
				left = append(left, g.name)
				continue
			}
			groups = append(groups, g)
		}
		if len(groups) < 2 {
			out = append(out, assay.Disparity{Column: name, Name: "demographic_parity_difference", Estimate: assay.Undefined("fewer than two groups with enough rows", int64(len(s.rows))), Left: left})
			continue
		}
		dp, eo, fp := disparity(name, groups, left, selectionRate, o.Level), disparity(name, groups, left, truePositive, o.Level), disparity(name, groups, left, falsePositive, o.Level)
		out = append(out, dp[0], dp[1], eo[0])
		odds := eo
		if fp[0].Estimate.Value > eo[0].Estimate.Value {
			odds = fp
		}
		worst := odds[0]
		worst.Name = "equalized_odds_difference"
		least := eo[1]
		if fp[1].Estimate.Value < eo[1].Estimate.Value {
			least = fp[1]
		}
		least.Name = "equalized_odds_ratio"
		out = append(out, worst, least)
	}
	return out, nil
}

// disparity gives the difference (max − min) and the ratio (min / max) of a rate between groups.
func disparity(column string, groups []group, left []string, r rate, level float64) [2]assay.Disparity {
	byRate := slices.Clone(groups)
	slices.SortStableFunc(byRate, func(a, b group) int {
		switch x, y := r.value(a), r.value(b); {
		case x < y:
			return -1
		case x > y:
			return 1
		}
		return 0
	})
	lo, hi := byRate[0], byRate[len(byRate)-1]
	xh, nh := r.of(hi)
	xl, nl := r.of(lo)
	n := int64(nh + nl)
	diff := stat.ProportionDifference(xh, nh, xl, nl, level, "")
	quot := stat.ProportionRatio(xl, nl, xh, nh, level, "")
	if math.IsNaN(quot.Value) {
		quot = assay.Undefined("the largest rate is 0", n)
	}
	return [2]assay.Disparity{
		{Column: column, Name: r.name + "_difference", Estimate: diff, Low: lo.name, High: hi.name, Left: left},
		{Column: column, Name: r.name + "_ratio", Estimate: quot, Low: lo.name, High: hi.name, Left: left},
	}
}

// holm adjusts p-values for their number (Holm 1979), keeping their order; NaN stays NaN and counts as no test.
func holm(p []float64) []float64 {
	order := make([]int, 0, len(p))
	for i, v := range p {
		if !math.IsNaN(v) {
			order = append(order, i)
		}
	}
	slices.SortStableFunc(order, func(a, b int) int {
		if p[a] < p[b] {
			return -1
		}
		if p[a] > p[b] {
			return 1
		}
		return 0
	})
	out := slices.Clone(p)
	var running float64
	for rank, i := range order {
		running = max(running, min(1, p[i]*float64(len(order)-rank)))
		out[i] = running
	}
	return out
}
