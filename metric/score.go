package metric

import (
	"strings"

	"github.com/assay-ml/assay"
)

// Input is what a metric may read: the truth, the predictions, the weights and the groups of n rows. Only what the metric needs must
// be set.
//
// Of a classification, Truth and Labels are indices into Classes, and Proba is row-major n×len(Classes); of two classes it may also be
// n numbers, the probability of the positive class. Of a multilabel task Truth, Labels and Proba are row-major n×len(Classes), the
// first two of 0 and 1. Of a regression Target is the truth and Values the prediction. Of a ranking Target is the relevance of each
// document, Values its score and Groups its query, from 0 without a gap; Weights has one for each query.
type Input struct {
	Task     assay.Task
	Classes  []string
	Positive int // index of the positive class of a binary task
	Truth    []int32
	Labels   []int32
	Proba    []float64
	Target   []float64
	Values   []float64
	Weights  []float64 // one a row, finite, at least 0; nil means 1 each
	Groups   []int32   // index of the group of each row, at least 0
}

// Score computes a metric of the registry by its name. It refuses an unknown name, a metric that is not defined for the task (and says
// which are), and an input that lacks what the metric reads.
func Score(name string, in Input) (Value, error) {
	d, err := Find(name)
	if err != nil {
		return Value{}, err
	}
	return d.Score(in)
}

// Score computes the metric.
func (d Definition) Score(in Input) (Value, error) {
	if d.compute.score == nil {
		return Value{}, invalid("a metric comes from Lookup, Find, For or All")
	}
	if !d.Fits(in.Task) {
		return Value{}, d.misfit(in.Task)
	}
	if err := d.check(&in); err != nil {
		return Value{}, err
	}
	v, err := d.compute.score(&in)
	if err != nil {
		return Value{}, assay.Errorf(assay.CodeOf(err), "%s: %w", d.Name, err)
	}
	return v, nil
}

// misfit names the metrics of the task: those of the same family, or else all that read the same.
func (d Definition) misfit(task assay.Task) error {
	var family, same, all []string
	root, _, _ := strings.Cut(d.Name, "_score")
	for _, o := range For(task) {
		all = append(all, o.Name)
		if strings.HasPrefix(o.Name, root) {
			family = append(family, o.Name)
		}
		if o.Input == d.Input {
			same = append(same, o.Name)
		}
	}
	if len(all) == 0 {
		return invalid("task %q is none of binary, multiclass, multilabel, regression and ranking", string(task))
	}
	for _, names := range [][]string{family, same, all} {
		if len(names) > 0 {
			return invalid("%s is not defined for a %s task; there are %s", d.Name, task, strings.Join(names, ", "))
		}
	}
	return nil
}

// check refuses an input that lacks what the metric reads.
func (d Definition) check(in *Input) error {
	var p assay.Problems
	k := len(in.Classes)
	switch in.Task {
	case assay.Binary:
		if k != 2 {
			p.Add("a binary task has 2 classes, not %d", k)
		}
		if in.Positive < 0 || in.Positive > 1 {
			p.Add("positive class %d of 2", in.Positive)
		}
	case assay.Multiclass:
		if k < 2 {
			p.Add("a multiclass task has at least 2 classes, not %d", k)
		}
	case assay.Multilabel:
		if k < 1 {
			p.Add("a multilabel task has at least 1 class")
		}
	}
	if k > maxClasses {
		p.Add("%d classes; at most %d are scored", k, maxClasses)
	}
	missing := func(what string, empty bool) {
		if empty {
			p.Add("%s is missing", what)
		}
	}
	if d.Input == NeedValues || in.Task == assay.Ranking {
		missing("the truth (Target)", len(in.Target) == 0)
		missing("the predicted values", len(in.Values) == 0)
	} else {
		missing("the truth", len(in.Truth) == 0)
	}
	if in.Task == assay.Ranking {
		missing("the query of each row", len(in.Groups) == 0)
		return p.Err(assay.Invalid, d.Name)
	}
	switch d.Input {
	case NeedLabels, NeedGroups:
		missing("the predicted labels", len(in.Labels) == 0)
	case NeedScores, NeedProbabilities:
		missing("the predicted probabilities", len(in.Proba) == 0)
	}
	if d.Input == NeedGroups {
		missing("the group of each row", len(in.Groups) == 0)
	}
	return p.Err(assay.Invalid, d.Name)
}

// labelOptions are the options of the label metrics; a binary average is of the positive class.
func (in *Input) labelOptions(a Average) LabelOptions {
	if a == Positive {
		a = Of(in.Positive)
	}
	return LabelOptions{Weights: in.Weights, Classes: len(in.Classes), Average: a, Multilabel: in.Task == assay.Multilabel}
}

// binary is the truth as 1 for the positive class, and the probability of that class.
func (in *Input) binary() (truth []int32, p []float64, err error) {
	var problems assay.Problems
	checkBinary(&problems, in.Truth)
	n := len(in.Truth)
	switch len(in.Proba) {
	case n:
		p = in.Proba
	case 2 * n:
		p = make([]float64, n)
		for i := range p {
			p[i] = in.Proba[2*i+in.Positive]
		}
	default:
		problems.Add("the truth holds %d rows and the probabilities %d cells", n, len(in.Proba))
	}
	truth = in.Truth
	if in.Positive == 0 {
		truth = OneVsRest(in.Truth, 0)
	}
	return truth, p, problems.Err(assay.Invalid, "two classes")
}

// proba is the truth and the probabilities for the metrics that take any number of classes.
func (in *Input) proba() (truth []int32, p []float64, o ProbaOptions, err error) {
	o = ProbaOptions{in.Weights, len(in.Classes)}
	if in.Task == assay.Binary && len(in.Proba) == len(in.Truth) {
		truth, p, err = in.binary()
		return truth, p, o, err
	}
	return in.Truth, in.Proba, o, nil
}

func (in *Input) rankOptions(a Average, m Multiclass) RankOptions {
	return RankOptions{Weights: in.Weights, Classes: len(in.Classes), Average: a, Multiclass: m, Multilabel: in.Task == assay.Multilabel}
}
