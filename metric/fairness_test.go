package metric

import (
	"slices"
	"strings"
	"testing"
)

// groupIndex makes indices of a column of names, in sorted order; null is −1.
func groupIndex(t *testing.T, column any) (names []string, index []int32) {
	t.Helper()
	for _, v := range column.([]any) {
		if s, ok := v.(string); ok && !slices.Contains(names, s) {
			names = append(names, s)
		}
	}
	slices.Sort(names)
	for _, v := range column.([]any) {
		s, _ := v.(string)
		index = append(index, int32(slices.Index(names, s)))
	}
	return names, index
}

func TestFairnessOracle(t *testing.T) {
	type fair = func(truth, pred, groups []int32, o FairnessOptions) (Value, error)
	oracle(t, "metric/fairness.json", 43, func(r row) (any, string, error) {
		truth, _ := r.floats("y_true")
		pred, _ := r.floats("y_pred")
		if r.Fn == "MetricFrame" {
			frame, err := metricFrame(t, r, truth, pred)
			return frame, "", err
		}
		y, err := ZeroOne(truth)
		p, errP := ZeroOne(pred)
		if strings.HasPrefix(r.Fn, "demographic_parity") && err != nil {
			// The truth does not enter, and fairlearn's selection rate takes 1 for the positive label whatever the other is.
			y, p, err, errP = OneVsRest(truth, 1), OneVsRest(pred, 1), nil, nil
		}
		if err != nil || errP != nil {
			return nil, "", invalid("%v %v", err, errP)
		}
		_, groups := groupIndex(t, decode(t, r.Args["sensitive_features"]))
		o := FairnessOptions{Weights: r.weights(), Mean: r.text("agg") == "mean"}
		if r.text("method") == "to_overall" {
			o.Against = ToOverall
		}
		f := map[string]fair{
			"demographic_parity_difference": DemographicParityDifference, "demographic_parity_ratio": DemographicParityRatio,
			"equalized_odds_difference": EqualizedOddsDifference, "equalized_odds_ratio": EqualizedOddsRatio,
			"equal_opportunity_difference": EqualOpportunityDifference, "equal_opportunity_ratio": EqualOpportunityRatio,
		}[r.Fn]
		v, err := f(y, p, groups, o)
		// Assay marks a group without positives, fairlearn passes its 0 for a measurement.
		if marked := strings.Contains(r.What, "group without positives") && !strings.HasPrefix(r.Fn, "demographic"); err == nil && marked == v.Defined() {
			t.Errorf("%s: %s is marked %q", r.ID, r.Fn, v.Undefined)
		}
		return v.Value, "", err
	})
}

// metricFrame answers as fairlearn's MetricFrame does, for the metrics of the tables.
func metricFrame(t *testing.T, r row, truth, pred []float64) (map[string]any, error) {
	y, err := ZeroOne(truth)
	if err != nil {
		return nil, err
	}
	p, err := ZeroOne(pred)
	if err != nil {
		return nil, err
	}
	rates := map[string]Rate{
		"selection_rate": SelectionRate, "true_positive_rate": TruePositiveRate, "false_positive_rate": FalsePositiveRate,
		"false_negative_rate": func(n Counts) Value { return n.FalseNegativeRate(ZeroMarked) },
		"accuracy_score":      func(n Counts) Value { return ZeroMarked.ratio(n.TP+n.TN, n.Total(), "no row") },
		"precision_score":     func(n Counts) Value { return n.Precision(ZeroMarked) },
		"count":               func(n Counts) Value { return defined(n.Total()) },
	}
	features := decode(t, r.Args["sensitive_features"]).(map[string]any)
	var names [][]string
	var columns [][]int32
	var levels []int
	for _, key := range []string{"g", "h"} {
		if features[key] != nil {
			n, c := groupIndex(t, features[key])
			names, columns, levels = append(names, n), append(columns, c), append(levels, len(n))
		}
	}
	groups, count, err := Cross(columns, levels)
	if err != nil {
		return nil, err
	}
	name := func(g int) string {
		if len(names) == 1 {
			return names[0][g]
		}
		return names[0][g/levels[1]] + "/" + names[1][g%levels[1]]
	}
	frame := func(rows []int) (map[string]any, error) {
		pick := func(v []int32) (out []int32) {
			for _, i := range rows {
				out = append(out, v[i])
			}
			return out
		}
		g, err := ByGroup(pick(y), pick(p), pick(groups), count, nil)
		if err != nil {
			return nil, err
		}
		out := map[string]any{}
		set := func(part, metric string, v float64) {
			if out[part] == nil {
				out[part] = map[string]any{}
			}
			out[part].(map[string]any)[metric] = v
		}
		byGroup := map[string]any{}
		for metric, rate := range rates {
			between, overall := g.Disparity(rate, BetweenGroups), g.Disparity(rate, ToOverall)
			set("overall", metric, between.Overall.Value)
			set("group_min", metric, between.Rates[between.Low].Value)
			set("group_max", metric, between.Rates[between.High].Value)
			set("difference_between_groups", metric, between.Difference.Value)
			set("difference_to_overall", metric, overall.Difference.Value)
			set("ratio_between_groups", metric, between.Ratio.Value)
			set("ratio_to_overall", metric, overall.Ratio.Value)
			for k, v := range between.Rates {
				if byGroup[name(k)] == nil {
					byGroup[name(k)] = map[string]any{}
				}
				byGroup[name(k)].(map[string]any)[metric] = v.Value
			}
		}
		out["by_group"] = byGroup
		return out, nil
	}
	if !r.has("control_features") {
		rows := make([]int, len(y))
		for i := range rows {
			rows[i] = i
		}
		return frame(rows)
	}
	controls, control := groupIndex(t, decode(t, r.Args["control_features"]).(map[string]any)["cf"])
	all := map[string]any{}
	for c, level := range controls {
		var rows []int
		for i, l := range control {
			if int(l) == c {
				rows = append(rows, i)
			}
		}
		f, err := frame(rows)
		if err != nil {
			return nil, err
		}
		for part, v := range f {
			if all[part] == nil {
				all[part] = map[string]any{}
			}
			if part == "by_group" {
				for group, w := range v.(map[string]any) {
					all[part].(map[string]any)[level+"/"+group] = w
				}
				continue
			}
			all[part].(map[string]any)[level] = v
		}
	}
	return all, nil
}

func TestDisparityNamesTheGroups(t *testing.T) {
	g, err := ByGroup([]int32{0, 1, 0, 1}, []int32{0, 0, 1, 1}, []int32{2, 2, 0, 0}, 4, nil)
	if err != nil {
		t.Fatal(err)
	}
	d := g.Disparity(SelectionRate, BetweenGroups)
	if d.Low != 2 || d.High != 0 || d.Difference.Value != 1 || d.Ratio.Value != 0 || d.Rates[1].Defined() {
		t.Errorf("%+v", d)
	}
	if _, err := ByGroup([]int32{0}, []int32{0}, []int32{-1}, 0, nil); err == nil {
		t.Error("a row without a group is counted")
	}
}
