package eval

import (
	"context"
	"math"
	"slices"
	"strings"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/metric"
	"github.com/assay-ml/assay/stat"
)

// A rate is a proportion within a group: its value by package metric, its numerator and denominator, and how many rows of a group with
// so many positives and negatives it is a rate of.
type rate struct {
	name  string
	value metric.Rate
	of    func(c metric.Counts) (x, n float64)
	base  func(positives, negatives int64) int64 // nil: all of them, of which there are enough
}

func rates() [3]rate {
	return [3]rate{
		{"demographic_parity", metric.SelectionRate, func(c metric.Counts) (float64, float64) { return c.TP + c.FP, c.Total() }, nil},
		{"equal_opportunity", metric.TruePositiveRate, func(c metric.Counts) (float64, float64) { return c.TP, c.TP + c.FN }, func(p, _ int64) int64 { return p }},
		{"false_positive_rate", metric.FalsePositiveRate, func(c metric.Counts) (float64, float64) { return c.FP, c.FP + c.TN }, func(_, n int64) int64 { return n }},
	}
}

// fairness gives, for each sensitive column, fairlearn's differences and ratios between groups (demographic parity, equal opportunity,
// equalized odds), worst case. Each figure leaves out, and names, the groups that have too few of the rows that it is a rate of: of all rows
// for the selection rate, which needs no labels, of positives for the true and of negatives for the false positive rate. Equalized odds is
// the worse of the two rates, each over its own groups. Missing values are a group. The interval is that of the
// two extreme groups, Newcombe's for a difference and Miettinen and Nurminen's for a ratio: signed, so that it can hold equality. The
// extremes were chosen by looking, so with many groups the interval lies too far from equality. Of rows with weights it is resampled.
func fairness(ctx context.Context, t *Truth, p *prepared, o Options) ([]assay.Disparity, error) {
	out := []assay.Disparity{}
	var bad assay.Problems
	positive := int32(t.Positive)
	for _, name := range o.Sensitive {
		col := t.Columns.Column(name)
		if col == nil {
			bad.Add("sensitive column %q is not among the columns", name)
			continue
		}
		names, small := []string{}, []string{}
		var truth, pred, groups, rows []int32
		var of [][2]int64 // positives and negatives of each group
		for _, l := range levels(name, col) {
			group := strings.TrimPrefix(strings.TrimPrefix(l.name, name+" = "), name+" ")
			if newSample(t, l.rows).tooFew(o.MinRows) != "" {
				small = append(small, group)
				continue
			}
			var n [2]int64
			for _, i := range l.rows {
				truth, pred, groups = append(truth, t.Class[i]), append(pred, p.input.Labels[i]), append(groups, int32(len(names)))
				rows = append(rows, i)
				if t.Class[i] == positive {
					n[0]++
				} else {
					n[1]++
				}
			}
			names, of = append(names, group), append(of, n)
		}
		if len(names) < 2 {
			out = append(out, assay.Disparity{Column: name, Name: "demographic_parity_difference", Estimate: tooFewGroups(t), Left: small})
			continue
		}
		g, err := metric.ByGroup(metric.OneVsRest(truth, positive), metric.OneVsRest(pred, positive), groups, len(names), take(&sample{t: t, rows: rows, n: len(rows)}, t.Weight, 1))
		if err != nil {
			return nil, err
		}
		draws, err := drawGroups(ctx, t, p, rows, groups, len(names), o)
		if err != nil {
			return nil, err
		}
		var d [3][2]assay.Disparity
		for i, r := range rates() {
			kept, left := g, slices.Clone(small)
			kept.Rows = slices.Clone(g.Rows)
			for k, n := range of {
				if r.base != nil && r.base(n[0], n[1]) < o.MinPositives {
					kept.Rows[k], left = 0, append(left, names[k])
				}
			}
			d[i] = disparity(kept, r, names, o.Level, draws[i], t)
			for j := range d[i] {
				d[i][j].Column, d[i][j].Left = name, left
			}
		}
		worst, least := worse(d[1][0], d[2][0], 1), worse(d[1][1], d[2][1], -1)
		worst.Name, least.Name = "equalized_odds_difference", "equalized_odds_ratio"
		out = append(out, d[0][0], d[0][1], d[1][0], d[1][1], worst, least)
	}
	return out, bad.Err(assay.Invalid, "cannot evaluate fairness")
}

func tooFewGroups(t *Truth) assay.Estimate {
	return assay.Undefined("fewer than two groups with enough rows", int64(t.N()))
}

// worse is the figure of two rates that is further from equality: the greater one with sign 1, the smaller one with -1. An undefined one says
// nothing and does not hide a defined one. What either rate leaves out is named.
func worse(a, b assay.Disparity, sign float64) assay.Disparity {
	left := slices.Clone(a.Left)
	for _, g := range b.Left {
		if !slices.Contains(left, g) {
			left = append(left, g)
		}
	}
	x, y := a.Estimate.Value, b.Estimate.Value
	if !a.Estimate.Defined() || b.Estimate.Defined() && sign*y > sign*x {
		a = b
	}
	a.Left = left
	return a
}

// disparity gives the difference (greatest less smallest) and the ratio (smallest by greatest) of a rate between groups. draws holds the
// replicates of the rate of each group when they are resampled.
func disparity(g metric.Groups, r rate, names []string, level float64, draws [][]float64, t *Truth) [2]assay.Disparity {
	m := g.Disparity(r.value, metric.BetweenGroups)
	var rows int64
	with := 0
	for _, n := range g.Rows {
		if n > 0 {
			rows, with = rows+int64(n), with+1
		}
	}
	if with < 2 || m.Low < 0 {
		none := tooFewGroups(t)
		return [2]assay.Disparity{{Name: r.name + "_difference", Estimate: none}, {Name: r.name + "_ratio", Estimate: none}}
	}
	clustered := t.Entity != nil
	xh, nh := r.of(g.Group[m.High])
	xl, nl := r.of(g.Group[m.Low])
	diff, quot := stat.ProportionDifference(xh, nh, xl, nl, level, ""), stat.ProportionRatio(xl, nl, xh, nh, level, "")
	if draws != nil {
		less, by := make([]float64, len(draws[0])), make([]float64, len(draws[0]))
		for b := range less {
			high, low := draws[m.High][b], draws[m.Low][b]
			less[b], by[b] = high-low, math.NaN()
			if high > 0 {
				by[b] = low / high
			}
		}
		diff = resampledPair(m.Difference.Value, less, level, rows, clustered)
		quot = resampledPair(m.Ratio.Value, by, level, rows, clustered)
	}
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

// drawGroups resamples the three rates of each group of weighted rows: draws[rate][group] holds one value a replicate. Without weights
// it gives nothing, for the intervals have a closed form.
func drawGroups(ctx context.Context, t *Truth, p *prepared, rows, groups []int32, n int, o Options) (out [3][][]float64, err error) {
	if t.Weight == nil {
		return out, nil
	}
	positive := int32(t.Positive)
	draws, err := resampler(t, o).Run(ctx, t.N(), 3*n, func() stat.Evaluator {
		of := make([]metric.Counts, n)
		all := rates()
		return func(counts []uint8, out []float64) {
			clear(of)
			for j, i := range rows {
				w := float64(counts[i]) * t.Weight[i]
				c := &of[groups[j]]
				switch yes, said := t.Class[i] == positive, p.input.Labels[i] == positive; {
				case yes && said:
					c.TP += w
				case yes:
					c.FN += w
				case said:
					c.FP += w
				default:
					c.TN += w
				}
			}
			for r, rate := range all {
				for g, c := range of {
					x, total := rate.of(c)
					out[r*n+g] = math.NaN()
					if total > 0 {
						out[r*n+g] = x / total
					}
				}
			}
		}
	})
	if err != nil {
		return out, err
	}
	for r := range out {
		out[r] = draws[r*n : (r+1)*n]
	}
	return out, nil
}

// resampledPair is the percentile interval of a figure of two fixed groups.
func resampledPair(value float64, draws []float64, level float64, rows int64, clustered bool) assay.Estimate {
	if math.IsNaN(value) {
		return assay.Undefined("a rate of a group is undefined", rows)
	}
	e := stat.Resampled{Value: value, Replicates: draws, N: rows}.Estimate(level, stat.Percentile)
	if !e.HasInterval() {
		return e
	}
	if unmoved(draws) {
		return assay.Point(value, methodUnmoved, rows)
	}
	if clustered {
		e.Method = "cluster " + e.Method
	}
	e.Method = methodWeighted + e.Method
	return e
}
