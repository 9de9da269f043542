package cli

import (
	"context"
	"fmt"
	"math"
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

// The shares and the seed of the split that is written.
const (
	writtenSeed  = 7
	writtenShare = 0.2
)

// Whole numbers are taken for classes where there are at most fewCodes different ones and none of them is rare: in fewer than rareRows rows,
// and in fewer than a quarter of what each would have if all had as many; or in fewer than 3. Counts have a rare greatest value.
const (
	fewCodes = 20
	rareRows = 5
)

// learnable holds the values of a target against what a model needs of them.
func (g *guess) learnable(f assay.Field, rows int64, c glance) error {
	try := "leave those rows out, and say so in data.documentation.exclusions"
	switch missing := rows - c.present + c.nan; {
	case missing > 0:
		return assay.Errorf(assay.Rejected, "target %q has no value in %d of %d rows", f.Name, missing, rows).Try("%s", try)
	case c.infinite > 0:
		return assay.Errorf(assay.Rejected, "target %q is infinite in %d of %d rows", f.Name, c.infinite, rows).Try("%s", try)
	case c.beyond > 0:
		return assay.Errorf(assay.Rejected, "target %q has numbers beyond %s, the greatest that models compute with", f.Name, greatest).Try("%s", try)
	case c.distinct < 2:
		return assay.Errorf(assay.Rejected, "target %q has one value: there is nothing to learn", f.Name).Try("assay init DATA --target COLUMN, with a column of two values or more")
	case rows < leastRows:
		return assay.Errorf(assay.Rejected, "the data has %d rows: divided into train, validation and test, fewer than %d leave nothing to judge a model by", rows, leastRows).
			Try("assay init DATA --target COLUMN, with a table of some hundred rows")
	}
	return nil
}

// task decides what is predicted, and refuses a target on which the next command would fail.
func (g *guess) task(ctx context.Context, t *table.Table, f assay.Field, c glance) error {
	another := "assay init DATA --target COLUMN, with a column of few values or of numbers"
	if f.Type == assay.TypeString && (g.Task == "" && c.distinct > fewCodes || g.Task == assay.Regression || g.Task == assay.Ranking) {
		if dressed, err := dressedNumbers(ctx, t, f.Name); err != nil {
			return err
		} else if dressed {
			return assay.Errorf(assay.Rejected, "target %q holds numbers %s, which are read as text", f.Name, dressing).Try("write them as 1234.5; or --task multiclass, if each is a class")
		}
	}
	switch {
	case g.Task != "":
		if err := g.asked(ctx, t, f, c.distinct); err != nil {
			return err
		}
	case c.distinct == 2:
		g.Task = assay.Binary
	case f.Type == assay.TypeString && c.distinct*2 > t.Rows():
		return assay.Errorf(assay.Rejected, "target %q is text that hardly repeats (%d values in %d rows): there is nothing to learn from", f.Name, c.distinct, t.Rows()).Try("%s", another)
	case f.Type == assay.TypeString && c.distinct > 1000:
		return assay.Errorf(assay.Rejected, "target %q is text with %d values: neither classes nor a number", f.Name, c.distinct).Try("%s", another)
	case f.Type == assay.TypeString:
		g.Task = assay.Multiclass
	case f.Type.Numeric() && c.distinct <= fewCodes:
		if err := g.codesOrAmounts(ctx, t, f); err != nil {
			return err
		}
	case f.Type.Numeric():
		g.Task = assay.Regression
	default:
		return assay.Errorf(assay.Rejected, "target %q is a %s, which no task predicts", f.Name, f.Type).Try("%s", another)
	}
	switch g.Task {
	case assay.Binary, assay.Multiclass:
		return g.classes(ctx, t, f)
	case assay.Regression:
		return toldApart(ctx, t, f)
	}
	return nil
}

// codesOrAmounts decides whether a target of few numbers is one of classes.
func (g *guess) codesOrAmounts(ctx context.Context, t *table.Table, f assay.Field) error {
	q := table.Ident(f.Name)
	rows, err := t.Query(ctx, fmt.Sprintf("SELECT count(*), min(n), bool_and(v = trunc(v)) FROM (SELECT %s AS v, count(*) AS n FROM %s GROUP BY v)", q, t.From(f.Name)))
	if err != nil {
		return err
	}
	defer rows.Close()
	var values, rarest int64
	if rows.Next() {
		if err := rows.Scan(&values, &rarest, &g.Whole); err != nil {
			return err
		}
	}
	g.Task = assay.Regression
	switch {
	case !g.Whole:
	case rarest < 3 || rarest < rareRows && rarest*4 < t.Rows()/values:
		g.Notes = append(g.Notes, fmt.Sprintf("%s is %d whole numbers, the rarest in few rows, and is taken for an amount; --task multiclass if they are codes", f.Name, values))
	default:
		g.Task = assay.Multiclass
		g.Notes = append(g.Notes, fmt.Sprintf("%s is %d whole numbers and is taken for classes; --task regression if they are amounts", f.Name, values))
	}
	return rows.Err()
}

// classes names the positive one of two, and holds all against the split that is written.
func (g *guess) classes(ctx context.Context, t *table.Table, f assay.Field) error {
	frame, err := t.Frame(ctx, []string{f.Name}, "")
	if err != nil {
		return err
	}
	_, classes := dataset.Classes(&frame[0])
	if g.Task == assay.Binary {
		g.Positive = classes[1]
	}
	return dataset.Stratifies(&frame[0], writtenShare, writtenShare, writtenSeed)
}

// toldApart refuses numbers that differ by less than the float32 of models can tell at their size.
func toldApart(ctx context.Context, t *table.Table, f assay.Field) error {
	q := table.Ident(f.Name)
	rows, err := t.Query(ctx, fmt.Sprintf("SELECT min(%s)::DOUBLE, max(%[1]s)::DOUBLE FROM %[2]s", q, t.From(f.Name)))
	if err != nil {
		return err
	}
	defer rows.Close()
	var least, most float64
	if rows.Next() {
		if err := rows.Scan(&least, &most); err != nil {
			return err
		}
	}
	if far := max(math.Abs(least), math.Abs(most)); most-least < far*0x1p-18 {
		return assay.Errorf(assay.Rejected, "target %q spans %.3g around %.3g: models compute with about 7 digits and cannot tell its values apart", f.Name, most-least, far).
			Try("subtract an offset from it, such as its least value")
	}
	return rows.Err()
}

// dressing says in which forms numbers are read as text.
const dressing = "with a thousands separator, a decimal comma, a currency or a per-cent sign"

// greatest is the greatest number of float32 for a person.
const greatest = "3.4e38"

// exactInteger is up to where float64 holds every whole number.
const exactInteger = 1 << 53

// dressedNumbers reports whether every value of a text column is a number in a form that is read as text.
func dressedNumbers(ctx context.Context, t *table.Table, column string) (bool, error) {
	const number = `[-+]?[$€£¥]?\s?[-+]?(?:\d{1,3}(?:[,.'’ \x{00A0}\x{202F}]\d{3})+|\d+)(?:[.,]\d+)?\s?[%$€£¥]?`
	q := table.Ident(column)
	rows, err := t.Query(ctx, fmt.Sprintf("SELECT coalesce(bool_and(regexp_full_match(%s, %s)), false) AND coalesce(bool_or(regexp_matches(%[1]s, '[^-+.0-9]')), false) FROM %[3]s",
		q, table.Literal(number), t.From(column)))
	if err != nil {
		return false, err
	}
	defer rows.Close()
	var dressed bool
	if rows.Next() {
		if err := rows.Scan(&dressed); err != nil {
			return false, err
		}
	}
	return dressed, rows.Err()
}

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

// takeFiles is the shell command that hands over files, and says which of them is not there yet.
const takeFiles = `for f; do [ -f "$f" ] || { echo "$f is not there yet: leave the answers of your model in it, beside assay.yaml, which says how at train; then assay make" >&2; exit 1; }; done; cp "$@" "$ASSAY_OUT"`

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
	fmt.Fprintf(&b, "train:\n  command: [sh, -c, '%s', sh, %s]\n  seed: 7\n", takeFiles, strconv.Quote(predictionsFile))
	return b.String()
}
