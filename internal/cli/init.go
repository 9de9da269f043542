package cli

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/dataset"
	"github.com/assay-ml/assay/internal/schema"
	"github.com/assay-ml/assay/internal/table"
)

func (a *app) initCommand() *cobra.Command {
	var wanted aim
	var name string
	var force bool
	var reading textReading
	c := &cobra.Command{
		Use: "init DATA --target COLUMN", Short: "Write a commented assay.yaml and a schema for a data set, by looking at it",
		Example: "  assay init people.csv --target churned\n  assay init articles.csv --target news,sport,arts --task multilabel\n  assay init searches.csv --target relevance --task ranking --query query_id",
		Args:    cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			return a.initProject(c.Context(), args[0], wanted, name, force, reading)
		},
	}
	c.Flags().StringVar(&wanted.target, "target", "", "the `column` to predict; of a multilabel task all labels, as A,B,C")
	c.Flags().StringVar((*string)(&wanted.task), "task", "", "the `task`: binary, multiclass, multilabel, regression, ranking; seen from the target without it, but for multilabel and ranking")
	c.Flags().StringVar(&wanted.query, "query", "", "of a ranking, the `column` that says what a row is ranked for")
	c.Flags().StringVar(&name, "name", "", "`name` of the project; the data file's without it")
	c.Flags().BoolVar(&force, "force", false, "write over an assay.yaml and a schema that are there")
	reading.flags(c)
	return c
}

func (a *app) initProject(ctx context.Context, data string, wanted aim, name string, force bool, reading textReading) error {
	file := filepath.Join(a.Dir, ProjectFile)
	if _, err := os.Stat(file); err == nil && !force {
		return assay.Errorf(assay.Exists, "%s is there already", ProjectFile).Try("assay init %s --target %s --force", data, cmp.Or(wanted.target, "COLUMN"))
	}
	if err := wanted.check(); err != nil {
		return err
	}
	e, err := a.tableEngine(ctx)
	if err != nil {
		return err
	}
	defer e.Close()
	t, err := e.Read(ctx, a.path(data), reading.over(table.ReadOptions{Stdin: a.Stdin}))
	if err != nil {
		return err
	}
	cols := fieldNames(t.Fields())
	if wanted.target == "" {
		return assay.Errorf(assay.Invalid, "--target is missing: which column is to be predicted? The data has %s", some(cols)).Try("assay init %s --target %s", data, cols[len(cols)-1])
	}
	for _, column := range wanted.columns(cols) {
		if !slices.Contains(cols, column) {
			return assay.Errorf(assay.Invalid, "the data has no column %q%s", column, didYouMean(column, cols)).Try("assay init DATA --target COLUMN")
		}
	}
	if name == "" {
		name = projectName(data)
	}
	g, err := a.look(ctx, t, wanted)
	if err != nil {
		return err
	}
	g.Name, g.Data = name, filepath.ToSlash(a.relative(data))
	g.Reading = reading.yaml()
	text := g.yaml()
	p, err := ParseProject([]byte(text))
	if err != nil {
		return assay.Errorf(assay.Internal, "the %s that was written cannot be read back: %w", ProjectFile, err)
	}
	p.dir = a.Dir
	schemaFile := p.Path(p.Schema)
	wrote := fmt.Sprintf("wrote %s and %s", ProjectFile, a.shown(schemaFile))
	if _, err := os.Stat(schemaFile); err == nil && !force {
		wrote = fmt.Sprintf("wrote %s; %s was there and is kept, --force writes it anew", ProjectFile, a.shown(schemaFile))
	} else {
		if a.reads(schemaFile, a.path(data)) {
			return assay.Errorf(assay.Invalid, "%s is the data, and the schema would be written over it", a.shown(schemaFile)).Try("give the data another name")
		}
		if err := writeSchema(ctx, t, p.inferOptions(), schemaFile); err != nil {
			return err
		}
	}
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		return unwritable(ProjectFile, err)
	}
	a.sayNotes(t)
	return a.print("assay.init/1", map[string]any{"file": ProjectFile, "project": name, "task": g.Task, "key": g.Key, "excluded": g.Exclude, "notes": g.Notes}, func(w io.Writer) {
		fmt.Fprintf(w, "%s rows, %s columns; %s is %s", assay.FormatCount(t.Rows()), assay.FormatCount(int64(len(cols))), one(g.aim()), g.Task)
		if g.Positive != "" {
			fmt.Fprintf(w, ", %q counts as positive", g.Positive)
		}
		fmt.Fprintf(w, "\n")
		if how := detected(t.Reading()); how != "" {
			fmt.Fprintf(w, "  %s\n", how)
		}
		const show = 20
		for _, n := range g.Notes[:min(show, len(g.Notes))] {
			fmt.Fprintf(w, "  %s\n", one(n))
		}
		if more := len(g.Notes) - show; more > 0 {
			fmt.Fprintf(w, "  and %s more: see data.exclude in %s\n", assay.FormatCount(int64(more)), ProjectFile)
		}
		fmt.Fprintf(w, "%s\nTry: %s\n", wrote, g.next())
	})
}

func writeSchema(ctx context.Context, t *table.Table, o schema.InferOptions, path string) error {
	sc, err := schema.Infer(ctx, t, o)
	if err != nil {
		return err
	}
	b, err := sc.JSON()
	if err != nil {
		return err
	}
	if err := os.WriteFile(path, b, 0o644); err != nil {
		return unwritable(filepath.Base(path), err)
	}
	return nil
}

// writeInferred writes the project's schema as its data shows it, for a project that has none yet.
func (s *session) writeInferred(ctx context.Context) error {
	t, err := s.table(ctx)
	if err != nil {
		return err
	}
	s.say("No %s yet: it is inferred from the data. Read it before you rely on it.", s.p.Schema)
	return writeSchema(ctx, t, s.p.inferOptions(), s.p.Path(s.p.Schema))
}

func projectName(data string) string {
	base := filepath.Base(data)
	base, _, _ = strings.Cut(base, ".")
	out := strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9', r == '-', r == '_':
			return r
		case r >= 'A' && r <= 'Z':
			return r + 'a' - 'A'
		}
		return '-'
	}, base)
	if out = strings.Trim(out, "-"); out == "" {
		return "project"
	}
	return out
}

func (a *app) relative(data string) string {
	if !filepath.IsAbs(data) {
		return data
	}
	if rel, err := filepath.Rel(a.Dir, data); err == nil && filepath.IsLocal(rel) {
		return rel
	}
	return data
}

// A guess is what looking at the data suggests for assay.yaml.
type guess struct {
	Name, Data        string
	Target            []string
	Query             string // of a ranking
	Task              assay.Task
	Whole             bool // the target is few whole numbers, which could be classes or amounts
	Positive          string
	Key               string
	Exclude, Category []string
	Notes             []string
	Times             []string // columns that say when, named beside data.time
	Reading           string   // lines of data that say how the file is read
}

// look decides task, key and the columns to leave out.
func (a *app) look(ctx context.Context, t *table.Table, wanted aim) (*guess, error) {
	fields, n := t.Fields(), t.Rows()
	g := &guess{Exclude: []string{}, Notes: []string{}, Task: wanted.task, Query: wanted.query, Target: wanted.targets(fieldNames(fields))}
	if n == 0 {
		return nil, assay.Errorf(assay.Rejected, "the data has a header and no rows").Try("assay init DATA --target COLUMN, with a table of some hundred rows")
	}
	left := 0
	atOnce := looksAtOnce
	if len(fields) >= table.WideColumns {
		atOnce = len(fields)
	}
	for from := 0; from < len(fields); from += atOnce {
		part := fields[from:min(from+atOnce, len(fields))]
		seen, err := lookAt(ctx, t, part)
		if err != nil {
			return nil, err
		}
		for i, f := range part {
			if f.Name == g.Query {
				if err := g.queries(n, seen[i]); err != nil {
					return nil, err
				}
			} else if slices.Contains(g.Target, f.Name) {
				if err := g.learnable(f, n, seen[i]); err != nil {
					return nil, err
				}
				if err := g.task(ctx, t, f, seen[i]); err != nil {
					return nil, err
				}
			} else if texty, err := g.dates(ctx, t, f, seen[i]); err != nil {
				return nil, err
			} else if texty {
				continue
			} else if drops, err := g.drops(ctx, t, f, seen[i]); err != nil {
				return nil, err
			} else if !drops {
				left++
			}
		}
	}
	if left == 0 {
		return nil, assay.Errorf(assay.Rejected, "no column is left to learn from beside target %q: %s", g.aim(), some(g.Notes)).Try("assay init DATA --target COLUMN, with a table of more columns")
	}
	if n < smallTable {
		g.Notes = slices.Insert(g.Notes, 0, fmt.Sprintf("with %d rows, the validation and the test part have about %d each: most figures will be undetermined", n, n/5))
	}
	return g, nil
}

// The least rows that a project is written for: at shares of a fifth, two each for validation and test. Below smallTable it is said that
// little can be shown.
const (
	leastRows  = 10
	smallTable = 100
)

// looksAtOnce is how many columns one statement looks at; the engine plans a statement in time that grows with the square of them.
const looksAtOnce = 128

// A glance is what one column shows.
type glance struct {
	distinct, present int64
	sequence          bool   // whole numbers without a gap
	nan, infinite     int64  // numbers that are none, and those that are infinite
	beyond            int64  // finite numbers beyond the float32 that models compute with
	inexact           int64  // whole numbers beyond 2^53, of which float64 holds the nearest only
	least             string // of text, the first in order
}

// lookAt counts the values of some columns in one scan.
func lookAt(ctx context.Context, t *table.Table, fields []assay.Field) ([]glance, error) {
	if len(fields) >= table.WideColumns {
		return lookAtMany(ctx, t)
	}
	var exprs []string
	out := make([]glance, len(fields))
	span := make([]*float64, len(fields))
	var dest []any
	for i, f := range fields {
		q := table.Ident(f.Name)
		width := "NULL::DOUBLE"
		if f.Type == assay.TypeInteger {
			width = fmt.Sprintf("max(%s)::DOUBLE - min(%s)::DOUBLE", q, q)
		}
		nan, infinite, beyond, inexact := "0", "0", "0", "0"
		switch f.Type {
		case assay.TypeNumber:
			nan = fmt.Sprintf("count(*) FILTER (WHERE isnan(%s))", q)
			infinite = fmt.Sprintf("count(*) FILTER (WHERE isinf(%s))", q)
			beyond = fmt.Sprintf("count(*) FILTER (WHERE abs(%s) > %g AND isfinite(%s))", q, math.MaxFloat32, q)
		case assay.TypeInteger:
			inexact = fmt.Sprintf("count(*) FILTER (WHERE %s NOT BETWEEN -%d AND %[2]d)", q, exactInteger)
		}
		least := "''"
		if f.Type == assay.TypeString {
			least = fmt.Sprintf("coalesce(min(%s), '')", q)
		}
		exprs = append(exprs, fmt.Sprintf("count(DISTINCT %s), count(%s), %s", q, q, width), nan, infinite, beyond, inexact, least)
		dest = append(dest, &out[i].distinct, &out[i].present, &span[i], &out[i].nan, &out[i].infinite, &out[i].beyond, &out[i].inexact, &out[i].least)
	}
	rows, err := t.Query(ctx, "SELECT "+strings.Join(exprs, ", ")+" FROM "+t.From(fieldNames(fields)...))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	if rows.Next() {
		if err := rows.Scan(dest...); err != nil {
			return nil, err
		}
	}
	for i, w := range span {
		out[i].sequence = w != nil && *w == float64(out[i].distinct-1)
	}
	return out, rows.Err()
}

// lookAtMany counts the values of all columns of a wide table; many aggregates take longer to plan than to count.
func lookAtMany(ctx context.Context, t *table.Table) ([]glance, error) {
	fields := t.Fields()
	out, at := make([]glance, len(fields)), make(map[string]int, len(fields))
	for i, f := range fields {
		at[f.Name] = i
	}
	return out, t.Examine(ctx, nil, table.ExamineOptions{SummaryOptions: table.SummaryOptions{Top: -1, Bins: 1, Quantiles: []float64{}}, Each: func(e *table.Examined) error {
		g := &out[at[e.Name]]
		g.distinct, g.present = e.Distinct, e.Rows-e.Nulls
		if n := e.Numbers; n != nil {
			g.nan, g.infinite = e.NaNs, n.PosInf+n.NegInf
			switch most := math.Max(float64(n.Max), -float64(n.Min)); { // one at least
			case e.Type == assay.TypeNumber && most > math.MaxFloat32 && !math.IsInf(most, 0):
				g.beyond = 1
			case e.Type == assay.TypeInteger && most > exactInteger:
				g.inexact = 1
			}
		}
		if len(e.Texts) > 0 {
			g.least = e.Texts[0]
		}
		if e.NaNs > 0 {
			g.distinct++ // the engine counts NaN as a value
		}
		g.sequence = e.Type == assay.TypeInteger && e.Numbers.Count > 0 && float64(e.Numbers.Max-e.Numbers.Min) == float64(g.distinct-1)
		return nil
	}})
}

// dates notes a column that says when its rows happened, and reports whether it is left out: dates that are read as text have no order.
func (g *guess) dates(ctx context.Context, t *table.Table, f assay.Field, c glance) (texty bool, err error) {
	switch {
	case f.Type == assay.TypeDate || f.Type == assay.TypeTimestamp:
		g.Times = append(g.Times, f.Name)
		return false, nil
	case f.Type != assay.TypeString || c.distinct < 2 || !dataset.IsDateText(c.least):
		return false, nil
	}
	q := table.Ident(f.Name)
	part := func(i int) string {
		return fmt.Sprintf("coalesce(max(TRY_CAST(regexp_extract(%s, %s, %d) AS INTEGER)), 0)", q, table.Literal(dataset.DatePattern), i)
	}
	rows, err := t.Query(ctx, fmt.Sprintf("SELECT %s, %s FROM %s HAVING coalesce(bool_and(regexp_full_match(%s, %s)), false)",
		part(1), part(2), t.From(f.Name), q, table.Literal(dataset.DatePattern)))
	if err != nil {
		return false, err
	}
	defer rows.Close()
	var first, second int
	if !rows.Next() {
		return false, rows.Err()
	}
	if err := rows.Scan(&first, &second); err != nil {
		return false, err
	}
	order := dataset.DateOrder(first, second)
	if order == "" {
		return false, rows.Err()
	}
	g.Times = append(g.Times, f.Name)
	g.Exclude = append(g.Exclude, f.Name)
	g.Notes = append(g.Notes, fmt.Sprintf("%s holds dates written %s, which are read as text, and is left out; written as 2022-05-08 it can be data.time", f.Name, order))
	return true, rows.Err()
}

// drops decides whether a column is no feature, and says why; what stays may have a note as well.
func (g *guess) drops(ctx context.Context, t *table.Table, f assay.Field, c glance) (bool, error) {
	n := t.Rows()
	note := func(why string, args ...any) { g.Notes = append(g.Notes, f.Name+" "+fmt.Sprintf(why, args...)) }
	drop := func(why string, args ...any) (bool, error) {
		g.Exclude = append(g.Exclude, f.Name)
		note(why+" and is left out", args...)
		return true, nil
	}
	every := c.distinct == n && c.present == n && n > 20
	hardly := f.Type == assay.TypeString && c.distinct > 50 && c.distinct*2 > c.present
	if f.Type == assay.TypeString && c.distinct > 2 {
		dressed, err := dressedNumbers(ctx, t, f.Name)
		switch {
		case err != nil:
			return false, err
		case dressed && (every || hardly):
			return drop("holds numbers %s, which are read as text,", dressing)
		case dressed:
			note("holds numbers %s, which are read as text; written as 1234.5 they have an order", dressing)
		}
	}
	switch {
	case every && f.Type != assay.TypeNumber && identifier(f.Name) && g.Key == "":
		g.Key = f.Name
		note("is different in every row and becomes the key")
		return true, nil
	case every && (f.Type == assay.TypeString || f.Type == assay.TypeInteger && (c.sequence || identifier(f.Name))):
		return drop("is different in every row")
	case c.present == 0:
		return drop("has no value")
	case c.distinct <= 1:
		return drop("has one value")
	case c.infinite > 0:
		return drop("has infinite numbers")
	case c.beyond > 0:
		return drop("has numbers beyond %s, the greatest that models compute with,", greatest)
	case hardly:
		return drop("is text that hardly repeats (%s values)", assay.FormatCount(c.distinct))
	case f.Type == assay.TypeJSON || f.Type == assay.TypeBinary || f.Type == assay.TypeTime:
		return drop("is of type %s", f.Type)
	case c.inexact > 0:
		note("has whole numbers beyond 2^53, which a model takes as the nearest floating-point number, so that some become equal; leave it out, or write it as text, if they are codes")
	}
	return false, nil
}

// identifier reports whether a name is one that keys have.
func identifier(name string) bool {
	l := strings.ToLower(name)
	return l == "id" || l == "key" || l == "uuid" || strings.HasSuffix(l, "_id") || strings.HasSuffix(l, "id") || strings.HasPrefix(l, "id_")
}

// yaml writes the commented file.
func (g *guess) yaml() string {
	var b strings.Builder
	q := strconv.Quote
	list := func(xs []string) string {
		out := make([]string, len(xs))
		for i, x := range xs {
			out[i] = q(x)
		}
		return "[" + strings.Join(out, ", ") + "]"
	}
	fmt.Fprintf(&b, "# Every parameter of the experiment is in this file. Written by assay init; read it and change what is wrong.\nproject: %s\ndata:\n  uri: %s\n", q(g.Name), q(g.Data))
	b.WriteString(g.Reading)
	if g.Key != "" {
		fmt.Fprintf(&b, "  key: %s                  # what identifies a row\n", q(g.Key))
	} else {
		fmt.Fprintf(&b, "  # key: ID                 # what identifies a row; without it, its content\n")
	}
	fmt.Fprintf(&b, "  # entity: PERSON          # what may not straddle the split: a person, a session, a patient\n")
	when := "DATE              # when a row happened; then split.by: time"
	if len(g.Times) > 0 {
		when = q(g.Times[0]) + "  # it seems to say when a row happened; then split.by: time"
	}
	fmt.Fprintf(&b, "  # time: %s\n", when)
	if g.Task == assay.Multilabel {
		fmt.Fprintf(&b, "  target: {columns: %s, task: %s", list(g.Target), g.Task)
	} else {
		fmt.Fprintf(&b, "  target: {column: %s, task: %s", q(g.Target[0]), g.Task)
	}
	if g.Query != "" {
		fmt.Fprintf(&b, ", query: %s", q(g.Query))
	}
	if g.Positive != "" {
		fmt.Fprintf(&b, ", positive: %s", q(g.Positive))
	}
	b.WriteString("}")
	if g.Whole {
		b.WriteString("  # whole numbers: regression takes them as amounts, multiclass as codes")
	}
	fmt.Fprintf(&b, "\n  exclude: %s               # columns that are never features\n", list(g.Exclude))
	if !g.outside() {
		fmt.Fprintf(&b, "  # categorical: [CODE]     # numeric columns whose numbers are codes\n  # sensitive: [SEX]        # groups that must be treated fairly\n")
	}
	fmt.Fprintf(&b, "  documentation:            # the datasheet; the gate asks for all of it\n")
	for _, qu := range dataset.Questions {
		fmt.Fprintf(&b, "    %s: \"\"  # %s\n", qu.Field, qu.Asks)
	}
	by := "stratified"
	metrics, baseline := "", "prior"
	switch g.Task {
	case assay.Regression:
		by, baseline = "random", "mean"
		metrics = "[mean_absolute_error, root_mean_squared_error, r2_score]"
	case assay.Multiclass:
		metrics = "[log_loss, accuracy_score, balanced_accuracy_score]"
	case assay.Multilabel, assay.Ranking:
		by, baseline = "random", baselineOf(g.Task)
		if g.Task == assay.Ranking {
			by = "group"
		}
		metrics = "[" + strings.Join(metricsOf(g.Task), ", ") + "]"
	default:
		metrics = "[roc_auc_score, average_precision_score, log_loss, brier_score_loss, f1_score]"
	}
	fmt.Fprintf(&b, "schema: schema.json         # inferred from the data; edit it, then assay check\nsplit: {by: %s, validation: %v, test: %[2]v, seed: %d}\n", by, writtenShare, writtenSeed)
	b.WriteString(g.training())
	fmt.Fprintf(&b, "evaluate:\n  metrics: %s\n  baseline: %s\n  slices: []                # a column, \"AGE: 0-17, 18+\", or \"SEX & AGE: 0-17, 18+\"\n  seed: 7\n", metrics, baseline)
	switch g.Task {
	case assay.Multilabel:
		label := strings.ReplaceAll(q(g.Target[0]), "'", "''")
		fmt.Fprintf(&b, "  # what a mistake costs, label by label; the gate asks for it\n  business: {name: cost_per_1000, expr: '1000.0 * (fp[%[1]s] * 1.0 + fn[%[1]s] * 1.0) / n', direction: lower}\n", label)
	case assay.Ranking:
		fmt.Fprintf(&b, "  # what a good order is worth; the gate asks for it\n  business: {name: value_per_1000, expr: \"1000.0 * 1.0 * ndcg_score_k_10\", direction: higher}\n")
	case assay.Regression:
		fmt.Fprintf(&b, "  # what an error costs a row; the gate asks for it\n  business: {name: cost_per_row, expr: \"1.0 * absolute_error\", direction: lower}\n")
	case assay.Binary:
		fmt.Fprintf(&b, "  # what a mistake costs; the gate asks for it\n  business: {name: cost_per_1000, expr: \"1000.0 * (fp * 1.0 + fn * 1.0) / n\", direction: lower}\n")
	}
	fmt.Fprintf(&b, "gate: {policy: default, margin: 0.0}\ncard:                       # what only people can say; the gate asks for it\n  description: \"\"\n  licence: \"\"\n  intended_use: \"\"\n  limitations: \"\"\n  out_of_distribution: \"\"\n  ethical_considerations: \"\"\n")
	return b.String()
}
