package eval

import (
	"context"
	"slices"
	"testing"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/metric"
)

// grouped is a truth of groups, each with counts of true positives, false negatives, false positives and true negatives.
func grouped(counts ...[4]int) (*Truth, *Scores) {
	t := &Truth{Task: assay.Binary, Classes: []string{"no", "yes"}, Positive: 1}
	s := &Scores{Name: "m"}
	col := assay.Column{Name: "group", Type: assay.TypeString}
	for g, c := range counts {
		col.Levels = append(col.Levels, string(rune('a'+g)))
		for cell, n := range c {
			for range n {
				t.Class = append(t.Class, []int32{1, 1, 0, 0}[cell])
				p := []float64{0.75, 0.25, 0.75, 0.25}[cell]
				s.Proba = append(s.Proba, 1-p, p)
				col.Codes = append(col.Codes, int32(g))
			}
		}
	}
	t.Columns = assay.Frame{col}
	return t, s
}

// TestGroupWithoutPositives: a group without a positive has a selection rate and a false positive rate, and is left out of no figure but that of
// the true positive rate. The values are those of fairlearn's definitions over the groups that each figure has.
func TestGroupWithoutPositives(t *testing.T) {
	a, b := [4]int{60, 40, 17, 183}, [4]int{58, 42, 16, 184}
	none, few, all := [4]int{0, 0, 40, 75}, [4]int{5, 5, 5, 5}, [4]int{30, 40, 0, 0}
	for _, c := range []struct {
		name   string
		groups [][4]int
		left   map[string][]string // by figure, where any is left out
		rates  map[string][2]int   // by figure: the groups with the smallest and the greatest rate
	}{
		{
			"no positives",
			[][4]int{a, b, none},
			map[string][]string{"equal_opportunity": {"c"}, "equalized_odds": {"c"}},
			map[string][2]int{"demographic_parity": {1, 2}, "equal_opportunity": {1, 0}, "equalized_odds": {1, 2}},
		},
		{
			"no negatives",
			[][4]int{a, b, all},
			map[string][]string{"equalized_odds": {"c"}},
			map[string][2]int{"demographic_parity": {1, 2}, "equal_opportunity": {2, 0}, "equalized_odds": {2, 0}},
		},
		{
			"too few rows",
			[][4]int{a, b, few, none},
			map[string][]string{"demographic_parity": {"c"}, "equal_opportunity": {"c", "d"}, "equalized_odds": {"c", "d"}},
			map[string][2]int{"demographic_parity": {1, 3}, "equal_opportunity": {1, 0}, "equalized_odds": {1, 3}},
		},
		{
			"two groups, one without positives",
			[][4]int{a, none},
			map[string][]string{"equal_opportunity": {"b"}, "equalized_odds": {"b"}},
			map[string][2]int{"demographic_parity": {0, 1}, "equalized_odds": {0, 1}},
		},
	} {
		for _, weighted := range []bool{false, true} {
			truth, s := grouped(c.groups...)
			if weighted {
				truth.Weighted, truth.Weight = "w", slices.Repeat([]float64{1}, truth.N())
			}
			e, err := Evaluate(context.Background(), truth, s, s, Options{Metrics: []string{"accuracy_score"}, Sensitive: []string{"group"}, Replicates: 50})
			if err != nil {
				t.Fatal(err)
			}
			if len(e.Fairness) != 6 {
				t.Fatalf("%s: %d figures", c.name, len(e.Fairness))
			}
			for _, d := range e.Fairness {
				figure, difference := d.Name[:len(d.Name)-len("_ratio")], false
				if n := len(d.Name) - len("_difference"); n > 0 && d.Name[n:] == "_difference" {
					figure, difference = d.Name[:n], true
				}
				if !slices.Equal(d.Left, c.left[figure]) {
					t.Errorf("%s: %s leaves out %q, want %q", c.name, d.Name, d.Left, c.left[figure])
				}
				at, defined := c.rates[figure]
				if !defined {
					if d.Estimate.Defined() {
						t.Errorf("%s: %s is %v of one group", c.name, d.Name, d.Estimate)
					}
					continue
				}
				if figure == "equalized_odds" && !difference {
					continue // the ratio may be that of the other rate
				}
				want := oracle(t, figure, c.groups[at[0]], c.groups[at[1]], difference)
				near(t, c.name+" "+d.Name, d.Estimate.Value, want, 1e-12)
				if d.Low != string(rune('a'+at[0])) || d.High != string(rune('a'+at[1])) {
					t.Errorf("%s: %s is between %s and %s", c.name, d.Name, d.Low, d.High)
				}
			}
		}
	}
}

// oracle is a figure of two groups by package metric, which agrees with fairlearn. Of equalized odds it is that of the rate that both have.
func oracle(t *testing.T, figure string, low, high [4]int, difference bool) float64 {
	t.Helper()
	truth, s := grouped(low, high)
	in := prepare(truth, s, DefaultThreshold).input
	in.Groups = truth.Columns[0].Codes
	name := figure + "_ratio"
	if difference {
		name = figure + "_difference"
	}
	if figure == "equalized_odds" {
		counts := func(c [4]int) metric.Counts {
			return metric.Counts{TP: float64(c[0]), FN: float64(c[1]), FP: float64(c[2]), TN: float64(c[3])}
		}
		rate := metric.FalsePositiveRate
		if low[2]+low[3] == 0 || high[2]+high[3] == 0 {
			rate = metric.TruePositiveRate
		}
		return rate(counts(high)).Value - rate(counts(low)).Value
	}
	v, err := metric.Score(name, in)
	if err != nil {
		t.Fatal(err)
	}
	return v.Value
}
