package cli

import (
	"math"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/ext"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/manifest"
	"github.com/assay-ml/assay/internal/schema"
	"github.com/assay-ml/assay/learn"
)

// rulePrefix marks a baseline that is an expression over the features: "rule: AGEP >= 18 && AGEP < 65".
const rulePrefix = "rule:"

// maxRuleCost bounds the evaluation of a rule on one row.
const maxRuleCost = 100_000

// ruleBaseline answers each row by a CEL expression over its columns: a bool (the positive class or not) or a double (its probability)
// for a binary task, a double for a regression, a double by which documents are ordered for a ranking. A row on which the expression has no value, because one is missing, gets the answer
// that knows nothing: the share of positives, or the mean, of the training part.
func (s *session) ruleBaseline(expr string, train *lesson, x assay.Frame, classes []string, positive int) (learn.Prediction, error) {
	var none learn.Prediction
	fields := make([]assay.Field, len(x))
	for i := range x {
		fields[i] = assay.Field{Name: x[i].Name, Type: assay.TypeNumber}
		if x[i].Codes != nil {
			fields[i].Type = assay.TypeString
		}
	}
	task := s.p.Data.Target.Task
	prog, err := compileRule("evaluate.baseline", expr, task, fields)
	if err != nil {
		return none, err
	}
	ignorant := mean(train, positive)
	n := x.Rows()
	answers := make([]float64, n)
	row := newRuleRow(len(x))
	outside := 0
	for i := range n {
		row.empty()
		for c := range x {
			if !x[c].Missing(i) {
				if x[c].Codes != nil {
					row.set(x[c].Name, x[c].Levels[x[c].Codes[i]])
				} else {
					row.set(x[c].Name, x[c].Floats[i])
				}
			}
		}
		answers[i] = ignorant
		out, _, err := prog.Eval(row.vars)
		if err != nil {
			continue
		}
		switch v := out.Value().(type) {
		case bool:
			answers[i] = map[bool]float64{true: 1}[v]
		case float64:
			answers[i] = v
		}
		if task == assay.Binary && !(answers[i] >= 0 && answers[i] <= 1) {
			outside++
		}
	}
	if outside > 0 {
		return none, assay.Errorf(assay.Rejected, "evaluate.baseline: the rule gives no probability between 0 and 1 in %d rows", outside)
	}
	if !task.Classifies() {
		return learn.Prediction{Values: answers}, nil
	}
	p := learn.Prediction{Classes: classes, Labels: make([]int32, n), Proba: make([]float64, 2*n)}
	for i, v := range answers {
		p.Proba[2*i+positive], p.Proba[2*i+1-positive] = v, 1-v
		p.Labels[i] = int32(1 - positive)
		if v >= 0.5 {
			p.Labels[i] = int32(positive)
		}
	}
	return p, nil
}

// A ruleRow is the columns of a row as a rule sees them: by their names where these are identifiers, and all by row["name"].
type ruleRow struct{ vars, row map[string]any }

func newRuleRow(columns int) *ruleRow {
	r := &ruleRow{make(map[string]any, columns+1), make(map[string]any, columns)}
	r.vars[schema.RowVariable] = r.row
	return r
}

func (r *ruleRow) set(column string, value any) {
	if r.row[column] = value; schema.Identifier(column) {
		r.vars[column] = value
	}
}

func (r *ruleRow) empty() {
	clear(r.vars)
	clear(r.row)
	r.vars[schema.RowVariable] = r.row
}

// compileRule compiles a CEL expression over columns, texts as strings and all else as doubles; key is where it was written.
func compileRule(key, expr string, task assay.Task, fields []assay.Field) (cel.Program, error) {
	if task != assay.Binary && task != assay.Regression && task != assay.Ranking {
		return nil, assay.Errorf(assay.Unimplemented, "%s: a rule is for binary, regression and ranking tasks; this one is %s", key, task)
	}
	opts := append(manifest.ExpressionLimits(), ext.Math(), ext.Strings(), cel.Variable(schema.RowVariable, cel.MapType(cel.StringType, cel.DynType)))
	for _, f := range fields {
		if !schema.Identifier(f.Name) {
			continue
		}
		t := cel.DoubleType
		if f.Type == assay.TypeString {
			t = cel.StringType
		}
		opts = append(opts, cel.Variable(f.Name, t))
	}
	env, err := cel.NewEnv(opts...)
	if err != nil {
		return nil, assay.Errorf(assay.Invalid, "%s: a column name does not fit an expression: %w", key, err)
	}
	tree, err := manifest.Compile(env, expr)
	if err != nil {
		return nil, assay.Errorf(assay.Invalid, "%s: %w", key, err).Try("numbers are doubles: write 18.0, or AGEP >= 18.0")
	}
	t := tree.OutputType()
	if !t.IsExactType(cel.DoubleType) && (!t.IsExactType(cel.BoolType) || task != assay.Binary) {
		return nil, assay.Errorf(assay.Invalid, "%s: the rule gives a %s; want a double%s", key, t, map[bool]string{true: " or a bool"}[task == assay.Binary]).
			Try(`double(row["a column"]) is a double`)
	}
	prog, err := env.Program(tree, cel.CostLimit(maxRuleCost))
	if err != nil {
		return nil, assay.Errorf(assay.Invalid, "%s: %w", key, err)
	}
	return prog, nil
}

// mean is the share of the positive class, or the mean target, of a part.
func mean(l *lesson, positive int) float64 {
	var sum, n float64
	for _, c := range l.label {
		if int(c) == positive {
			sum++
		}
		n++
	}
	for _, v := range l.value {
		sum += v
		n++
	}
	if n == 0 {
		return math.NaN()
	}
	return sum / n
}
