package learn

import (
	"math"
	"slices"

	"github.com/assay-ml/assay"
)

// checkBoosting reports everything that is wrong with the data and the parameters (defaults filled in).
func checkBoosting(d *BoostData, p *BoostParams) error {
	var bad assay.Problems
	p.check(len(d.Features), &bad)
	d.check("", p, &bad)
	if v := d.Validation; v != nil {
		v.check("validation ", p, &bad)
		checkSameColumns(d.Features, v.Features, &bad)
	}
	return bad.Err(assay.Invalid, "gradient boosting")
}

func (p *BoostParams) check(features int, bad *assay.Problems) {
	switch p.Objective {
	case ObjectiveBinary:
		if p.Classes != 2 {
			bad.Add("classes is %d for objective binary, it must be 2", p.Classes)
		}
	case ObjectiveMulticlass:
		if p.Classes < 2 || p.Classes > 10_000 {
			bad.Add("classes is %d for objective multiclass, it must be 2 to 10,000", p.Classes)
		}
	case ObjectiveSquared, ObjectiveAbsolute, ObjectiveQuantile, ObjectivePoisson:
		if p.Classes != 0 {
			bad.Add("classes is %d for objective %s, which has none", p.Classes, p.Objective)
		}
		if p.ClassWeights != nil {
			bad.Add("class weights are set for objective %s, which has no classes", p.Objective)
		}
	default:
		bad.Add("objective %q is not one of binary, multiclass, squared, absolute, quantile, poisson", p.Objective)
	}
	if p.Objective == ObjectiveQuantile && !(p.Quantile > 0 && p.Quantile < 1) {
		bad.Add("quantile is %v, it must be above 0 and below 1", p.Quantile)
	}
	if p.Objective != ObjectiveQuantile && p.Quantile != 0 {
		bad.Add("quantile is %v for objective %s, it must not be set", p.Quantile, p.Objective)
	}
	within := func(name string, v, lo, hi int) {
		if v < lo || v > hi {
			bad.Add("%s is %d, it must be %d to %d", name, v, lo, hi)
		}
	}
	within("trees", p.Trees, 1, 100_000)
	within("max_leaf_nodes", p.MaxLeafNodes, 2, maxBoostLeafNodes)
	within("max_depth", p.MaxDepth, 0, 1000)
	within("min_samples_leaf", p.MinSamplesLeaf, 1, maxBoostRows)
	within("max_bins", p.MaxBins, 2, DefaultMaxBins)
	within("patience", p.Patience, 0, 100_000)
	within("threads", p.Threads, 1, 4096)
	fraction := func(name string, v float64) {
		if !(v > 0 && v <= 1) {
			bad.Add("%s is %v, it must be above 0 and at most 1", name, v)
		}
	}
	fraction("learning_rate", p.LearningRate)
	fraction("row_fraction", p.RowFraction)
	fraction("feature_fraction", p.FeatureFraction)
	notNegative := func(name string, v float64) {
		if !(v >= 0) || math.IsInf(v, 1) {
			bad.Add("%s is %v, it must be finite and not negative", name, v)
		}
	}
	notNegative("l2", p.L2)
	notNegative("min_child_hessian", p.MinChildHessian)
	notNegative("min_gain", p.MinGain)
	if p.ClassWeights != nil && p.Classes > 0 {
		if len(p.ClassWeights) != p.Classes {
			bad.Add("%d class weights for %d classes", len(p.ClassWeights), p.Classes)
		}
		for c, w := range p.ClassWeights {
			if !(w > 0) || math.IsInf(w, 1) {
				bad.Add("the weight of class %d is %v, it must be finite and above 0", c, w)
			}
		}
	}
	if p.Monotone != nil && len(p.Monotone) != features {
		bad.Add("%d monotone constraints for %d features", len(p.Monotone), features)
	}
	for j, m := range p.Monotone {
		if m < -1 || m > 1 {
			bad.Add("the monotone constraint of feature %d is %d, it must be -1, 0 or 1", j, m)
		}
		if m != 0 && p.Objective == ObjectiveMulticlass {
			bad.Add("monotone constraints do not apply to objective multiclass")
			break
		}
	}
}

func (d *BoostData) check(which string, p *BoostParams, bad *assay.Problems) {
	n := d.Features.Rows()
	if len(d.Features) == 0 {
		bad.Add("%sdata has no feature", which)
	} else if n == 0 {
		bad.Add("%sdata has no row", which)
	}
	if n > maxBoostRows {
		bad.Add("%sdata has %d rows, at most %d fit", which, n, maxBoostRows)
	}
	if len(d.Target) != n {
		bad.Add("%starget has %d rows, the features have %d", which, len(d.Target), n)
		return
	}
	if d.Weights != nil && len(d.Weights) != n {
		bad.Add("%sweights has %d rows, the features have %d", which, len(d.Weights), n)
		return
	}
	for j := range d.Features {
		if which == "" {
			p.checkColumn(j, &d.Features[j], n, bad)
		} else {
			p.checkColumn(-1, &d.Features[j], n, bad)
		}
	}
	d.checkWeights(which, bad)
	if n > 0 {
		d.checkTarget(which, p, bad)
	}
	if p.Patience > 0 && which == "" && d.Validation == nil {
		bad.Add("patience is %d but there is no validation data", p.Patience)
	}
}

func (p *BoostParams) checkColumn(j int, c *assay.Column, n int, bad *assay.Problems) {
	if c.Len() != n {
		bad.Add("column %q has %d rows, the first has %d", c.Name, c.Len(), n)
		return
	}
	if c.Codes != nil {
		if c.Floats != nil {
			bad.Add("column %q has both numbers and codes", c.Name)
		}
		limit := int32(maxCategoryCode)
		if c.Levels != nil {
			limit = min(limit, int32(len(c.Levels)))
		}
		out := 0
		for _, v := range c.Codes {
			if v < -1 || v >= limit {
				out++
			}
		}
		if out > 0 {
			bad.Add("column %q: %d codes outside -1 to %d", c.Name, out, limit-1)
		}
		if j >= 0 && j < len(p.Monotone) && p.Monotone[j] != 0 {
			bad.Add("column %q is categorical and cannot have a monotone constraint", c.Name)
		}
		return
	}
	infinite := 0
	for _, x := range c.Floats {
		if x > math.MaxFloat32 || x < -math.MaxFloat32 {
			infinite++
		}
	}
	if infinite > 0 {
		bad.Add("column %q: %d values are infinite or beyond float32 (%.4g)", c.Name, infinite, math.MaxFloat32)
	}
}

func (d *BoostData) checkWeights(which string, bad *assay.Problems) {
	if d.Weights == nil {
		return
	}
	wrong, sum := 0, 0.0
	for _, w := range d.Weights {
		if !(w >= 0) || math.IsInf(w, 1) {
			wrong++
			continue
		}
		sum += w
	}
	if wrong > 0 {
		bad.Add("%sweights: %d are negative or not finite", which, wrong)
	} else if len(d.Weights) > 0 && !(sum > 0 && sum <= math.MaxFloat64) {
		bad.Add("%sweights sum to %v, it must be finite and above 0", which, sum)
	}
}

func (d *BoostData) checkTarget(which string, p *BoostParams, bad *assay.Problems) {
	wrong := 0
	switch p.Objective {
	case ObjectiveBinary, ObjectiveMulticlass:
		if p.Classes < 2 {
			return
		}
		seen := make([]bool, p.Classes)
		for i, y := range d.Target {
			if !(y >= 0 && y < float64(p.Classes)) || y != math.Trunc(y) {
				wrong++
			} else if d.Weights == nil || d.Weights[i] > 0 {
				seen[int(y)] = true
			}
		}
		if wrong > 0 {
			bad.Add("%starget: %d rows are not a class index 0 to %d", which, wrong, p.Classes-1)
		} else if c := slices.Index(seen, false); c >= 0 && which == "" {
			bad.Add("target: class %d of %d has no row of positive weight", c, p.Classes)
		}
	case ObjectivePoisson:
		sum := 0.0
		for i, y := range d.Target {
			if !(y >= 0) || math.IsInf(y, 1) {
				wrong++
			} else if d.Weights == nil || d.Weights[i] > 0 {
				sum += y
			}
		}
		if wrong > 0 {
			bad.Add("%starget: %d rows are negative or not finite, objective poisson takes counts", which, wrong)
		} else if !(sum > 0) && which == "" {
			bad.Add("target: every row is 0, objective poisson needs a positive mean")
		}
	default:
		for _, y := range d.Target {
			if !(math.Abs(y) <= 1e150) {
				wrong++
			}
		}
		if wrong > 0 {
			bad.Add("%starget: %d rows are not a number within ±1e150", which, wrong)
		}
	}
}

func checkSameColumns(train, valid assay.Frame, bad *assay.Problems) {
	if len(train) != len(valid) {
		bad.Add("validation data has %d features, the training data %d", len(valid), len(train))
		return
	}
	for j := range train {
		a, b := &train[j], &valid[j]
		switch {
		case a.Name != b.Name:
			bad.Add("feature %d is %q in the training data and %q in the validation data", j, a.Name, b.Name)
		case (a.Codes == nil) != (b.Codes == nil):
			bad.Add("column %q is categorical in one of training and validation data", a.Name)
		case !slices.Equal(a.Levels, b.Levels):
			bad.Add("column %q has other levels in the validation data", a.Name)
		}
	}
}
