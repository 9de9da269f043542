package learn

import (
	"fmt"
	"slices"

	"github.com/assay-ml/assay"
)

// fitBoosted prepares the columns, fits the trees and writes both as one graph. Numbers reach the trees as they are, missing ones
// included; categories as codes, and one that training did not see as missing.
func fitBoosted(j *job) (*Model, error) {
	if j.spec.Prepare.Unknown == "error" {
		return nil, assay.Errorf(assay.Invalid, "cannot fit gradient_boosting: trees have no way to refuse an unknown category").Try(`unknown: ignore, and the schema check of inputs`)
	}
	prep, err := fitPreparation(j.data.X, j.spec)
	if err != nil {
		return nil, err
	}
	data, err := j.boostData(prep, j.data, j.weights)
	if err != nil {
		return nil, err
	}
	params, err := j.boostParams(prep)
	if err != nil {
		return nil, err
	}
	if v := j.data.Valid; v != nil {
		valid, err := j.boostData(prep, *v, v.Weights)
		if err != nil {
			return nil, err
		}
		data.Validation = &valid
	}
	e, report, err := FitBoosting(j.ctx, data, params)
	if err != nil {
		return nil, err
	}
	j.notes = append(j.notes, fmt.Sprintf("%d of %d trees kept, stopped by %s", report.Iterations, report.Grown, report.Stopped))
	b := newGraphBuilder("gradient_boosting")
	c, err := j.fitCalibrator()
	if err != nil {
		return nil, err
	}
	e.write(b, prep, j.spec.Target, c)
	return j.finish(b)
}

// boostData encodes a table: numeric columns first, then categorical ones.
func (j *job) boostData(prep *preparation, from Data, weights []float64) (BoostData, error) {
	d, err := prep.encode(from.X)
	if err != nil {
		return BoostData{}, err
	}
	out := BoostData{Weights: weights}
	for i, col := range d.numeric {
		out.Features = append(out.Features, assay.Column{Name: prep.numeric[i].name, Type: assay.TypeNumber, Floats: col})
	}
	for i, col := range d.categorical {
		levels := make([]string, max(d.levels[i], 1))
		for k := range levels {
			levels[k] = fmt.Sprintf("%05d", k)
		}
		out.Features = append(out.Features, assay.Column{Name: prep.categorical[i].name, Type: assay.TypeString, Codes: col, Levels: levels})
	}
	out.Target = from.Values
	if j.spec.Task.Classifies() {
		out.Target = make([]float64, len(from.Labels))
		for i, y := range from.Labels {
			out.Target[i] = float64(y)
		}
	}
	return out, nil
}

func (j *job) boostParams(prep *preparation) (BoostParams, error) {
	p := j.params
	out := BoostParams{
		Trees: p.int("trees"), LearningRate: p.float("learning_rate"), MaxLeafNodes: p.int("max_leaf_nodes"), MaxDepth: p.int("max_depth"),
		MinSamplesLeaf: p.int("min_samples_leaf"), MinChildHessian: p.float("min_child_hessian"), L2: p.float("l2"), MinGain: p.float("min_gain"),
		MaxBins: p.int("max_bins"), RowFraction: p.float("row_fraction"), FeatureFraction: p.float("feature_fraction"), Patience: p.int("patience"),
		Seed: j.spec.Seed, Threads: j.threads,
	}
	objective := p.string("objective")
	switch {
	case j.spec.Task == assay.Binary:
		out.Objective, out.Classes = ObjectiveBinary, 2
	case j.spec.Task == assay.Multiclass:
		out.Objective, out.Classes = ObjectiveMulticlass, len(j.spec.Target.Classes)
	case objective == "":
		out.Objective = ObjectiveSquared
	default:
		out.Objective = objective
	}
	if j.spec.Task.Classifies() && objective != "" && objective != out.Objective {
		return out, assay.Errorf(assay.Invalid, "cannot fit gradient_boosting: objective %q is not for task %s", objective, j.spec.Task)
	}
	if out.Objective == ObjectiveQuantile {
		out.Quantile = p.float("quantile")
	}
	return out, j.monotone(prep, &out)
}

// monotone places the constraints, which name columns, on the features.
func (j *job) monotone(prep *preparation, out *BoostParams) error {
	var problems assay.Problems
	var numeric []string
	for _, c := range prep.numeric {
		numeric = append(numeric, c.name)
	}
	out.Monotone = make([]int, len(prep.numeric)+len(prep.categorical))
	used := false
	for _, side := range []struct {
		param string
		sign  int
	}{{"increasing", 1}, {"decreasing", -1}} {
		for _, name := range splitNames(j.params.string(side.param)) {
			at := slices.Index(numeric, name)
			switch {
			case at < 0:
				problems.Add("%s names %q, which is not a numeric feature%s", side.param, name, didYouMean(name, numeric))
			case out.Monotone[at] != 0:
				problems.Add("feature %q is named twice in increasing and decreasing", name)
			default:
				out.Monotone[at], used = side.sign, true
			}
		}
	}
	if !used {
		out.Monotone = nil
	}
	return problems.Err(assay.Invalid, "cannot fit gradient_boosting")
}

// write ends the graph of an ensemble: preprocessing, trees, link.
func (e *Ensemble) write(b *graphBuilder, prep *preparation, target Target, c *calibrator) {
	prep.declare(b)
	var parts []string
	if numbers := prep.emitNumeric(b); numbers != "" {
		parts = append(parts, numbers)
	}
	for i := range prep.categorical {
		parts = append(parts, prep.emitCodes(b, i))
	}
	scores := e.emit(b, b.concat("features", parts))
	switch e.Link {
	case LinkLogit:
		// Scores of 0 and s give softmax the probabilities without loss in the tails.
		both := b.node("both", "", "Mul", []string{scores, b.constant("sides", floatTensor([]int{1, 2}, []float32{0, 1}))})
		b.classOutputs(target, func(out string) { c.emit(b, both, out) })
	case LinkSoftmax:
		b.classOutputs(target, func(out string) { b.nodeTo(out, "", "Softmax", []string{scores}, intAttr("axis", 1)) })
	case LinkLog:
		b.nodeTo(b.valueOutput(), "", "Exp", []string{scores})
	default:
		b.nodeTo(b.valueOutput(), "", "Identity", []string{scores})
	}
}
