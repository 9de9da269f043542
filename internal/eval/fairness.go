package eval

import (
	"math"
	"strings"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/metric"
	"github.com/assay-ml/assay/stat"
)

// A rate is a proportion within a group: its value by package metric, its numerator and denominator.
type rate struct {
	name  string
	value metric.Rate
	of    func(c metric.Counts) (x, n float64)
}

func rates() [3]rate {
	return [3]rate{
		{"demographic_parity", metric.SelectionRate, func(c metric.Counts) (float64, float64) { return c.TP + c.FP, c.Total() }},
		{"equal_opportunity", metric.TruePositiveRate, func(c metric.Counts) (float64, float64) { return c.TP, c.TP + c.FN }},
		{"false_positive_rate", metric.FalsePositiveRate, func(c metric.Counts) (float64, float64) { return c.FP, c.FP + c.TN }},
	}
}

// fairness gives, for each sensitive column, fairlearn's differences and ratios between groups (demographic parity, equal opportunity,
// equalized odds), worst case. Groups with too few rows are left out and named; missing values are a group. The interval is that of the
// two extreme groups, Newcombe's for a difference and Miettinen and Nurminen's for a ratio: signed, so that it can hold equality. The
// extremes were chosen by looking, so with many groups the interval lies too far from equality.
func fairness(t *Truth, p *prepared, o Options) ([]assay.Disparity, error) {
	out := []assay.Disparity{}
	var bad assay.Problems
	positive := int32(t.Positive)
	for _, name := range o.Sensitive {
		col := t.Columns.Column(name)
		if col == nil {
			bad.Add("sensitive column %q is not among the columns", name)
			continue
		}
		names, left := []string{}, []string{}
		var truth, pred, groups []int32
		for _, l := range levels(name, col) {
			group := strings.TrimPrefix(strings.TrimPrefix(l.name, name+" = "), name+" ")
			var of int64
			for _, i := range l.rows {
				if t.Class[i] == positive {
					of++
				}
			}
			if int64(len(l.rows)) < o.MinRows || min(of, int64(len(l.rows))-of) < o.MinPositives {
				left = append(left, group)
				continue
			}
			for _, i := range l.rows {
				truth, pred, groups = append(truth, t.Class[i]), append(pred, p.input.Labels[i]), append(groups, int32(len(names)))
			}
			names = append(names, group)
		}
		if len(names) < 2 {
			why := assay.Undefined("fewer than two groups with enough rows", int64(t.N()))
			out = append(out, assay.Disparity{Column: name, Name: "demographic_parity_difference", Estimate: why, Left: left})
			continue
		}
		g, err := metric.ByGroup(metric.OneVsRest(truth, positive), metric.OneVsRest(pred, positive), groups, len(names), nil)
		if err != nil {
			return nil, err
		}
		var d [3][2]assay.Disparity
		for i, r := range rates() {
			d[i] = disparity(g, r, names, o.Level)
			for j := range d[i] {
				d[i][j].Column, d[i][j].Left = name, left
			}
		}
		worst, least := d[1][0], d[1][1]
		if d[2][0].Estimate.Value > worst.Estimate.Value {
			worst = d[2][0]
		}
		// An undefined ratio says nothing; it does not hide a defined one.
		if v := d[2][1].Estimate.Value; v < least.Estimate.Value || math.IsNaN(least.Estimate.Value) {
			least = d[2][1]
		}
		worst.Name, least.Name = "equalized_odds_difference", "equalized_odds_ratio"
		out = append(out, d[0][0], d[0][1], d[1][0], d[1][1], worst, least)
	}
	return out, bad.Err(assay.Invalid, "cannot evaluate fairness")
}

// disparity gives the difference (greatest less smallest) and the ratio (smallest by greatest) of a rate between groups.
func disparity(g metric.Groups, r rate, names []string, level float64) [2]assay.Disparity {
	m := g.Disparity(r.value, metric.BetweenGroups)
	xh, nh := r.of(g.Group[m.High])
	xl, nl := r.of(g.Group[m.Low])
	diff, quot := stat.ProportionDifference(xh, nh, xl, nl, level, ""), stat.ProportionRatio(xl, nl, xh, nh, level, "")
	if diff.Defined() {
		diff.Value = m.Difference.Value
	}
	if quot.Defined() {
		quot.Value = m.Ratio.Value
	} else {
		quot = assay.Undefined("the largest rate is 0", int64(nh+nl))
	}
	return [2]assay.Disparity{
		{Name: r.name + "_difference", Estimate: diff, Low: names[m.Low], High: names[m.High]},
		{Name: r.name + "_ratio", Estimate: quot, Low: names[m.Low], High: names[m.High]},
	}
}
