package metric

import (
	"cmp"
	"math"

	"github.com/assay-ml/assay"
)

// A Rate is a number of a two-by-two table. Selection rate, true and false positive rate replace 0/0 by 0 as fairlearn does, and mark
// it.
type Rate func(Counts) Value

// SelectionRate is the share of rows predicted positive.
func SelectionRate(n Counts) Value { return n.SelectionRate() }

// TruePositiveRate is the share of the positives that are predicted positive: recall.
func TruePositiveRate(n Counts) Value { return n.Recall(ZeroMarked) }

// FalsePositiveRate is the share of the negatives that are predicted positive.
func FalsePositiveRate(n Counts) Value { return n.FalsePositiveRate(ZeroMarked) }

// Groups is the two-by-two table of a binary prediction, of all rows and of each group.
type Groups struct {
	Overall Counts
	Group   []Counts
	Rows    []int // of each group, whatever their weight; a group without rows has no rate
}

// ByGroup counts the groups of a binary prediction: truth and pred are 0 or 1, groups are indices from 0 to count−1. A row without a
// group (a negative index) is refused: make "missing" a group of its own. count 0 means one more than the greatest index.
func ByGroup(truth, pred, groups []int32, count int, weights []float64) (Groups, error) {
	var p assay.Problems
	checkRows(&p, len(truth), "predictions", len(pred))
	if len(groups) != len(truth) {
		p.Add("the truth holds %d rows and the groups %d", len(truth), len(groups))
	}
	checkBinary(&p, truth)
	checkClasses(&p, "the prediction of row", pred, 2)
	checkWeights(&p, len(truth), weights)
	if count <= 0 {
		count = 0
		for _, g := range groups {
			count = max(count, int(g)+1)
		}
	}
	if count > maxGroups {
		p.Add("%d groups; at most %d are compared", count, maxGroups)
	}
	for i, g := range groups {
		if g < 0 {
			p.Add("row %d has no group: make the missing ones a group of their own", i)
			break
		}
		if int(g) >= count {
			p.Add("row %d is of group %d of %d", i, g, count)
			break
		}
	}
	if err := p.Err(assay.Invalid, "groups"); err != nil {
		return Groups{}, err
	}
	sums := make([][4]accumulator, count)
	g := Groups{Group: make([]Counts, count), Rows: make([]int, count)}
	weight := rowWeight(weights)
	for i, k := range groups {
		g.Rows[k]++
		sums[k][2*truth[i]+pred[i]].add(weight(i))
	}
	for k := range sums {
		g.Group[k] = Counts{TN: sums[k][0].value(), FP: sums[k][1].value(), FN: sums[k][2].value(), TP: sums[k][3].value()}
		g.Overall = g.Overall.plus(g.Group[k])
	}
	return g, nil
}

// maxGroups bounds the memory of a comparison.
const maxGroups = 1 << 20

// Cross makes one group of several columns of groups: the full product of their levels, the last column fastest, so that group
// indices follow the order of the first column. A negative index, a missing value, stays one.
func Cross(columns [][]int32, levels []int) (groups []int32, count int, err error) {
	if len(columns) == 0 || len(columns) != len(levels) {
		return nil, 0, invalid("%d columns of groups and %d numbers of levels", len(columns), len(levels))
	}
	count = 1
	groups = make([]int32, len(columns[0]))
	var p assay.Problems
	for c, col := range columns {
		if levels[c] < 1 || count*levels[c] > maxGroups {
			p.Add("column %d has %d levels; the product of all is at most %d", c, levels[c], maxGroups)
			return nil, 0, p.Err(assay.Invalid, "groups")
		}
		if len(col) != len(groups) {
			p.Add("column 0 holds %d rows and column %d holds %d", len(groups), c, len(col))
			continue
		}
		count *= levels[c]
		for i, l := range col {
			switch {
			case int(l) >= levels[c]:
				p.Add("row %d of column %d is of level %d of %d", i, c, l, levels[c])
				return nil, 0, p.Err(assay.Invalid, "groups")
			case l < 0 || groups[i] < 0:
				groups[i] = -1
			default:
				groups[i] = groups[i]*int32(levels[c]) + l
			}
		}
	}
	return groups, count, p.Err(assay.Invalid, "groups")
}

// A Comparison says what the groups are held against.
type Comparison uint8

const (
	BetweenGroups Comparison = iota // the greatest against the smallest rate
	ToOverall                       // each rate against that of all rows
)

// A Disparity compares a rate over the groups. Low and High are the groups with the smallest and the greatest rate, −1 without any.
// Difference is at least 0, 0 is equal; Ratio is at most 1, 1 is equal. Both are marked when some rate is, and a ratio of 0/0 is NaN.
type Disparity struct {
	Overall           Value
	Rates             []Value // of each group; NaN without rows
	Low, High         int
	Difference, Ratio Value
}

// Disparity compares a rate. Groups without rows are left out.
func (g Groups) Disparity(rate Rate, against Comparison) Disparity {
	d := Disparity{Overall: rate(g.Overall), Rates: make([]Value, len(g.Group)), Low: -1, High: -1}
	why := ""
	mark := func(v Value) {
		if !v.Defined() {
			why = cmp.Or(why, v.Undefined+" in at least one group")
		}
	}
	difference, ratio := 0.0, math.NaN()
	if against == ToOverall && !d.Overall.Defined() {
		why = d.Overall.Undefined
	}
	for k, n := range g.Group {
		if g.Rows[k] == 0 {
			d.Rates[k] = undefined("no row")
			continue
		}
		v := rate(n)
		d.Rates[k] = v
		mark(v)
		if math.IsNaN(v.Value) {
			continue
		}
		if d.Low < 0 || v.Value < d.Rates[d.Low].Value {
			d.Low = k
		}
		if d.High < 0 || v.Value > d.Rates[d.High].Value {
			d.High = k
		}
		if against == ToOverall {
			difference = max(difference, math.Abs(v.Value-d.Overall.Value))
			r := v.Value / d.Overall.Value
			if r > 1 {
				r = 1 / r
			}
			if !(r >= ratio) && !math.IsNaN(r) {
				ratio = r
			}
		}
	}
	if d.Low < 0 {
		d.Difference, d.Ratio = undefined("no group has a rate"), undefined("no group has a rate")
		return d
	}
	if against == BetweenGroups {
		difference = d.Rates[d.High].Value - d.Rates[d.Low].Value
		ratio = d.Rates[d.Low].Value / d.Rates[d.High].Value
	}
	d.Difference = Value{difference, why}
	d.Ratio = Value{ratio, why}
	if math.IsNaN(difference) {
		d.Difference.Undefined = cmp.Or(why, "the rate of all rows is undefined")
	}
	if math.IsNaN(ratio) {
		d.Ratio.Undefined = cmp.Or(why, "every rate is 0")
	}
	return d
}

// FairnessOptions are the options of the group differences and ratios. The definitions are fairlearn's.
type FairnessOptions struct {
	Weights []float64 // one a row, finite, at least 0; nil means 1 each
	Groups  int       // how many groups; 0 means one more than the greatest index
	Against Comparison
	Mean    bool // equalized odds: the mean of the two rates, not the worse
}

// DemographicParityDifference compares the selection rates of groups, in [0,1]; 0 is equal. Truth is 0 or 1 and does not matter.
func DemographicParityDifference(truth, pred, groups []int32, o FairnessOptions) (Value, error) {
	return o.one(truth, pred, groups, SelectionRate, Disparity.difference)
}

// DemographicParityRatio compares the selection rates of groups, in [0,1]; 1 is equal.
func DemographicParityRatio(truth, pred, groups []int32, o FairnessOptions) (Value, error) {
	return o.one(truth, pred, groups, SelectionRate, Disparity.ratio)
}

// EqualOpportunityDifference compares the true positive rates of groups, in [0,1]; 0 is equal.
func EqualOpportunityDifference(truth, pred, groups []int32, o FairnessOptions) (Value, error) {
	return o.one(truth, pred, groups, TruePositiveRate, Disparity.difference)
}

// EqualOpportunityRatio compares the true positive rates of groups, in [0,1]; 1 is equal.
func EqualOpportunityRatio(truth, pred, groups []int32, o FairnessOptions) (Value, error) {
	return o.one(truth, pred, groups, TruePositiveRate, Disparity.ratio)
}

// EqualizedOddsDifference is the greater of the differences of true and of false positive rate, in [0,1]; 0 is equal.
func EqualizedOddsDifference(truth, pred, groups []int32, o FairnessOptions) (Value, error) {
	return o.odds(truth, pred, groups, Disparity.difference, func(a, b float64) float64 { return max(a, b) })
}

// EqualizedOddsRatio is the smaller of the ratios of true and of false positive rate, in [0,1]; 1 is equal.
func EqualizedOddsRatio(truth, pred, groups []int32, o FairnessOptions) (Value, error) {
	return o.odds(truth, pred, groups, Disparity.ratio, func(a, b float64) float64 { return min(a, b) })
}

func (d Disparity) difference() Value { return d.Difference }
func (d Disparity) ratio() Value      { return d.Ratio }

func (o FairnessOptions) one(truth, pred, groups []int32, rate Rate, pick func(Disparity) Value) (Value, error) {
	g, err := ByGroup(truth, pred, groups, o.Groups, o.Weights)
	if err != nil {
		return Value{}, err
	}
	return pick(g.Disparity(rate, o.Against)), nil
}

func (o FairnessOptions) odds(truth, pred, groups []int32, pick func(Disparity) Value, worse func(a, b float64) float64) (Value, error) {
	g, err := ByGroup(truth, pred, groups, o.Groups, o.Weights)
	if err != nil {
		return Value{}, err
	}
	t, f := pick(g.Disparity(TruePositiveRate, o.Against)), pick(g.Disparity(FalsePositiveRate, o.Against))
	v := Value{worse(t.Value, f.Value), cmp.Or(t.Undefined, f.Undefined)}
	if o.Mean {
		v.Value = (t.Value + f.Value) / 2
	}
	return v, nil
}
