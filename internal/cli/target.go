package cli

import (
	"slices"
	"strings"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/dataset"
	"github.com/assay-ml/assay/internal/eval"
	"github.com/assay-ml/assay/learn"
)

// TargetConfig names the label.
type TargetConfig struct {
	Column   string     `yaml:"column,omitempty" jsonschema:"description=column to predict; of a ranking the relevance of a row"`
	Columns  Columns    `yaml:"columns,omitempty" jsonschema:"description=the labels of a multilabel task: columns of 0 and 1; or of true and false"`
	Task     assay.Task `yaml:"task" jsonschema:"description=kind of label,enum=binary,enum=multiclass,enum=multilabel,enum=regression,enum=ranking"`
	Positive Scalar     `yaml:"positive,omitempty" jsonschema:"description=the positive class of a binary target"`
	Query    string     `yaml:"query,omitempty" jsonschema:"description=of a ranking: the column of what rows are ranked for; a query is never on two sides of a split"`
}

// tasks are the kinds of label.
var tasks = []string{string(assay.Binary), string(assay.Multiclass), string(assay.Multilabel), string(assay.Regression), string(assay.Ranking)}

// names are the columns that a model predicts.
func (t TargetConfig) names() []string {
	if t.Column == "" {
		return t.Columns
	}
	return append([]string{t.Column}, t.Columns...)
}

// String lists the columns that a model predicts.
func (t TargetConfig) String() string { return strings.Join(t.names(), ", ") }

// profiled is the task that a profile relates columns to: the relevance of a ranking is a number, and of several labels there is no one
// target.
func (t TargetConfig) profiled() assay.Task {
	switch t.Task {
	case assay.Ranking:
		return assay.Regression
	case assay.Multilabel:
		return ""
	}
	return t.Task
}

// outside reports whether models of the task are made outside Assay only: no built-in learner makes one, none is served or watched.
func (t TargetConfig) outside() bool { return t.Task == assay.Multilabel || t.Task == assay.Ranking }

// refuseOutside refuses to do for a multilabel task or a ranking what is not done for them.
func (t TargetConfig) refuseOutside(what, try string) error {
	if !t.outside() {
		return nil
	}
	return assay.Errorf(assay.Unimplemented, "%s a %s task: Assay splits, evaluates, compares and documents its models, which are made elsewhere", what, t.Task).Try("%s", try)
}

func (t TargetConfig) check(p *Project, bad *assay.Problems) {
	switch {
	case t.Task == "":
		bad.Add("data.target.task is empty: one of %s", strings.Join(tasks, ", "))
	}
	switch {
	case t.Task == assay.Multilabel && t.Column != "":
		bad.Add("data.target.column is of one column; a multilabel task has data.target.columns")
	case t.Task == assay.Multilabel && len(t.Columns) < 2:
		bad.Add("data.target.columns names %d columns; a multilabel task has 2 or more", len(t.Columns))
	case t.Task != assay.Multilabel && len(t.Columns) > 0:
		bad.Add("data.target.columns is of a multilabel task; a %s task has data.target.column", t.Task)
	case t.Task != assay.Multilabel && t.Column == "":
		bad.Add("data.target.column is empty")
	}
	for i, c := range t.Columns {
		if slices.Contains(t.Columns[:i], c) {
			bad.Add("data.target.columns names %q twice", c)
		}
	}
	for _, c := range t.names() {
		for _, other := range []struct{ key, column string }{{"entity", p.Data.Entity}, {"time", p.Data.Time}, {"target.query", t.Query}} {
			if c == other.column {
				bad.Add("data.%s is the target %q", other.key, c)
			}
		}
	}
	if t.Positive != "" && t.outside() {
		bad.Add("data.target.positive is of a binary task, not of a %s one", t.Task)
	}
	if t.Query != "" && t.Task != assay.Ranking {
		bad.Add("data.target.query is of a ranking, not of a %s task", t.Task)
	}
	if t.Task == assay.Ranking {
		if t.Query == "" {
			bad.Add("data.target.query is empty: which column says what the rows are ranked for?")
		}
		if by := p.Split.By; by == "stratified" || by == "random" || by == "stratified_group" || by == "hash" {
			bad.Add("split.by %s would tear queries apart; a ranking is split by group, time or predefined", by)
		}
	}
	if t.Task == assay.Multilabel && strings.HasPrefix(p.Split.By, "stratified") {
		bad.Add("split.by %s needs one class a row; a multilabel task is split by random, group, time, hash or predefined", p.Split.By)
	}
	if t.outside() {
		if p.Train.Learner != "" {
			bad.Add("train.learner %q: no built-in learner is for a %s task; train with train.command, or give assay eval a file", p.Train.Learner, t.Task)
		}
		if p.Search != nil || len(p.Train.Compare) > 0 {
			bad.Add("search and train.candidates try built-in learners, and none is for a %s task", t.Task)
		}
	}
}

// splitBy is how rows are divided where split.by does not say it.
func (p *Project) splitBy() string {
	t := p.Data.Target.Task
	switch {
	case p.Data.Entity != "" && t.Classifies() && t != assay.Multilabel:
		return "stratified_group"
	case p.Data.Entity != "":
		return "group"
	case t.Classifies() && t != assay.Multilabel:
		return "stratified"
	}
	return "random"
}

// metricsOf are the metrics of a task where evaluate.metrics does not say them.
func metricsOf(t assay.Task) []string {
	switch t {
	case assay.Regression:
		return []string{"mean_absolute_error", "root_mean_squared_error", "r2_score"}
	case assay.Multiclass:
		return []string{"log_loss", "balanced_accuracy_score", "accuracy_score"}
	case assay.Multilabel:
		return []string{"roc_auc_score_macro", "average_precision_score_macro", "f1_score_macro", "f1_score_micro", "hamming_loss", "label_ranking_average_precision_score"}
	case assay.Ranking:
		return []string{"ndcg_score", "ndcg_score_k_10", "mean_average_precision", "mean_reciprocal_rank"}
	}
	return []string{"roc_auc_score", "average_precision_score", "log_loss", "brier_score_loss", "f1_score", "balanced_accuracy_score"}
}

// baselineOf is the baseline of a task where evaluate.baseline does not say it.
func baselineOf(t assay.Task) string {
	switch t {
	case assay.Regression:
		return "mean"
	case assay.Ranking:
		return "constant"
	}
	return "prior"
}

// indicators fills in the truth of a multilabel task, row by row.
func (l *lesson) indicators(y assay.Frame) error {
	if l.classes == nil {
		l.classes = fieldsOf(y)
	}
	k := len(l.classes)
	l.label = make([]int32, k*y.Rows())
	var bad assay.Problems
	for c, name := range l.classes {
		column := y.Column(name)
		if column == nil || k != len(y) {
			bad.Add("the model knows the labels %s, data.target.columns names %s", strings.Join(l.classes, ", "), strings.Join(fieldsOf(y), ", "))
			break
		}
		codes, err := dataset.Indicator(column)
		if err != nil {
			bad.Add("%s", err)
			continue
		}
		for i, v := range codes {
			l.label[i*k+c] = v
		}
	}
	if err := bad.Err(assay.Rejected, "the labels cannot be used"); err != nil {
		return assay.Errorf(assay.Rejected, "%w", err).Try("assay check")
	}
	return nil
}

// unitsOf are codes of the values of a column; a row without one is a unit of its own.
func unitsOf(c *assay.Column) []int32 {
	codes, names := dataset.Classes(c)
	out := make([]int32, len(codes))
	unnamed := len(names)
	for i, c := range codes {
		if c < 0 {
			c, unnamed = unnamed, unnamed+1
		}
		out[i] = int32(c)
	}
	return out
}

func fieldsOf(f assay.Frame) []string {
	out := make([]string, len(f))
	for i := range f {
		out[i] = f[i].Name
	}
	return out
}

// plainBaseline answers n rows of a multilabel task or a ranking without looking at them.
func (s *session) plainBaseline(train *lesson, n int) (learn.Prediction, error) {
	name := s.p.Evaluate.Baseline.Learner
	if s.p.Data.Target.Task == assay.Ranking {
		if name != "constant" {
			return learn.Prediction{}, assay.Errorf(assay.Invalid, "evaluate.baseline %q is no baseline of a ranking: constant, or rule: EXPRESSION", name).Try("evaluate.baseline: constant, in %s", ProjectFile)
		}
		return learn.Prediction{Values: make([]float64, n)}, nil
	}
	proba, err := eval.LabelShares(train.label, len(train.classes), n, name)
	return learn.Prediction{Classes: train.classes, Proba: proba}, err
}
