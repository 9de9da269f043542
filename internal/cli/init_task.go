package cli

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/dataset"
	"github.com/assay-ml/assay/internal/eval"
	"github.com/assay-ml/assay/internal/table"
)

// An aim is what assay init was told about the target.
type aim struct {
	target string
	task   assay.Task // "": seen from the target
	query  string
}

func (w aim) check() error {
	tasks := []string{string(assay.Binary), string(assay.Multiclass), string(assay.Multilabel), string(assay.Regression), string(assay.Ranking)}
	switch {
	case w.task != "" && !slices.Contains(tasks, string(w.task)):
		return assay.Errorf(assay.Invalid, "--task %q is none of %s%s", w.task, strings.Join(tasks, ", "), didYouMean(string(w.task), tasks)).Try("assay init DATA --target A,B,C --task multilabel")
	case w.query != "" && w.task != assay.Ranking:
		return assay.Errorf(assay.Invalid, "--query is of a ranking").Try("assay init DATA --target COLUMN --task ranking --query COLUMN")
	case w.query == "" && w.task == assay.Ranking:
		return assay.Errorf(assay.Invalid, "--query is missing: which column says what the rows are ranked for?").Try("assay init DATA --target COLUMN --task ranking --query COLUMN")
	case w.query != "" && w.query == w.target:
		return assay.Errorf(assay.Invalid, "--query and --target are both %q", w.target).Try("assay init DATA --target COLUMN --task ranking --query COLUMN")
	}
	return nil
}

// targets are the columns to predict: of a multilabel task those between commas, unless there is a column of that name.
func (w aim) targets(columns []string) []string {
	if w.task != assay.Multilabel || slices.Contains(columns, w.target) {
		return []string{w.target}
	}
	var out []string
	for _, name := range strings.Split(w.target, ",") {
		out = append(out, strings.TrimSpace(name))
	}
	return out
}

// columns are all columns that the aim names.
func (w aim) columns(of []string) []string {
	out := w.targets(of)
	if w.query != "" {
		out = append(out, w.query)
	}
	return out
}

// aim names the target for a person.
func (g *guess) aim() string { return strings.Join(g.Target, ", ") }

// asked holds a target against the task that was asked for.
func (g *guess) asked(ctx context.Context, t *table.Table, f assay.Field, distinct int64) error {
	switch g.Task {
	case assay.Binary:
		if distinct != 2 {
			return assay.Errorf(assay.Rejected, "target %q has %d values; a binary task has 2", f.Name, distinct).Try("--task multiclass")
		}
	case assay.Multiclass:
		if distinct > 1000 {
			return assay.Errorf(assay.Rejected, "target %q has %d values; that is too many for classes", f.Name, distinct).Try("--task regression")
		}
	case assay.Regression, assay.Ranking:
		if !f.Type.Numeric() {
			return assay.Errorf(assay.Rejected, "target %q is a %s; a %s has numbers", f.Name, f.Type, g.Task).Try("assay init DATA --target COLUMN --task %s, with a column of numbers", g.Task)
		}
	case assay.Multilabel:
		if len(g.Target) < 2 || len(slices.Compact(slices.Sorted(slices.Values(g.Target)))) < len(g.Target) {
			return assay.Errorf(assay.Invalid, "--target %s: a multilabel task has 2 labels or more, each once", g.aim()).Try("assay init DATA --target A,B,C --task multilabel")
		}
		frame, err := t.Frame(ctx, []string{f.Name}, "")
		if err != nil {
			return err
		}
		if _, err := dataset.Indicator(&frame[0]); err != nil {
			return assay.Errorf(assay.Rejected, "%w", err).Try("assay init DATA --target A,B,C --task multilabel, with columns of 0 and 1, or of true and false")
		}
	}
	return nil
}

// queries holds the column of queries against what a ranking needs.
func (g *guess) queries(rows int64, c glance) error {
	switch {
	case c.present < rows:
		return assay.Errorf(assay.Rejected, "query %q has no value in %d of %d rows", g.Query, rows-c.present, rows).Try("leave those rows out, and say so in data.documentation.exclusions")
	case c.distinct == rows:
		return assay.Errorf(assay.Rejected, "query %q is different in every row: there is nothing to rank", g.Query).Try("assay init DATA --target COLUMN --task ranking --query COLUMN, with a column that rows share")
	}
	return nil
}

// predictionsFile is where the written assay.yaml expects the predictions of a task that no built-in learner is for.
const predictionsFile = "predictions.csv"

func (g *guess) outside() bool { return TargetConfig{Task: g.Task}.outside() }

// next is what to do after assay init.
func (g *guess) next() string {
	if !g.outside() {
		return "assay make"
	}
	return "assay make split, then leave your model's answers in " + predictionsFile + " (assay.yaml says how, at train), then assay make"
}

// training is the part of the file that says where models come from.
func (g *guess) training() string {
	if !g.outside() {
		return "train:\n  learner: gradient_boosting  # or: command: [python, train.py]\n  params: {}\n  seed: 7\n"
	}
	key := g.Key
	if key == "" {
		key = "KEY"
	}
	header := strings.Join(append([]string{key}, eval.PredictionColumns(g.Task, g.Target)...), ",")
	var b strings.Builder
	fmt.Fprintf(&b, "# No built-in learner is for %s: the model is made elsewhere, and its answers are judged. They come as %s beside this file:\n",
		map[assay.Task]string{assay.Multilabel: "several labels a row", assay.Ranking: "a ranking"}[g.Task], predictionsFile)
	fmt.Fprintf(&b, "#   %s\n", header)
	b.WriteString("# with one row for every row of the validation and the test part (assay make split writes the parts, the test part without its labels);\n" +
		"# rows of the training part may be in it. Each time that the file changes, assay make evaluates it.\n")
	if g.Key == "" {
		b.WriteString("# data.key must name the column that both files share.\n")
	}
	b.WriteString("# A script of yours does as well: command: [python, train.py]. It finds the parts in $ASSAY_TRAIN, $ASSAY_VALIDATION and\n" +
		"# $ASSAY_TEST_FEATURES, this file in $ASSAY_CONFIG, and leaves " + predictionsFile + ", or model.onnx, in $ASSAY_OUT.\n")
	b.WriteString("# How the model was made can be said in a params.json, {\"name\": value}, named behind the predictions; the gate asks for it.\n")
	fmt.Fprintf(&b, "train:\n  command: [sh, -c, 'cp \"$@\" \"$ASSAY_OUT\"', sh, %s]\n  seed: 7\n", strconv.Quote(predictionsFile))
	return b.String()
}
