package cli

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/table"
	"github.com/assay-ml/assay/learn"
)

// BaselineConfig is what a model is held against: the name of a learner that ignores the features, or "rule: EXPRESSION" over them, as plain text;
// or a learner with parameters.
type BaselineConfig struct {
	Learner string         `yaml:"learner" jsonschema:"description=the name of a baseline"`
	Params  map[string]any `yaml:"params,omitempty" jsonschema:"description=its parameters; see learners.md"`
}

// UnmarshalYAML reads plain text, or learner and params.
func (c *BaselineConfig) UnmarshalYAML(b []byte) error {
	var s Scalar
	if err := yaml.Unmarshal(b, &s); err == nil {
		*c = BaselineConfig{Learner: string(s)}
		return nil
	}
	type plain BaselineConfig
	var p plain
	if err := yaml.NewDecoder(bytes.NewReader(b), yaml.Strict()).Decode(&p); err != nil {
		return err
	}
	if p.Learner == "" {
		return fmt.Errorf("evaluate.baseline names no learner")
	}
	*c = BaselineConfig(p)
	return nil
}

// MarshalJSON writes a baseline without parameters as its name, so that what was made with the plain form stays up to date.
func (c BaselineConfig) MarshalJSON() ([]byte, error) {
	if len(c.Params) == 0 {
		return json.Marshal(c.Learner)
	}
	return json.Marshal(map[string]any{"learner": c.Learner, "params": c.Params})
}

// String is what the baseline is called beside a model: its name with its parameters.
func (c BaselineConfig) String() string {
	var params []string
	for _, k := range slices.Sorted(maps.Keys(c.Params)) {
		params = append(params, fmt.Sprintf("%s %v", k, c.Params[k]))
	}
	if params == nil {
		return c.Learner
	}
	return c.Learner + " (" + strings.Join(params, ", ") + ")"
}

// rule is the expression of a rule, and whether the baseline is one.
func (c BaselineConfig) rule() (string, bool) {
	expr, ok := strings.CutPrefix(c.Learner, rulePrefix)
	return strings.TrimSpace(expr), ok
}

// check refuses parameters where the baseline has none.
func (c BaselineConfig) check(t TargetConfig, bad *assay.Problems) {
	if _, rule := c.rule(); len(c.Params) > 0 && (rule || t.outside()) {
		bad.Add("evaluate.baseline: %s takes no params here", c.Learner)
	}
	for _, k := range slices.Sorted(maps.Keys(c.Params)) {
		if v, ok := c.Params[k].(float64); ok && v-v != 0 {
			bad.Add("evaluate.baseline.params.%s is %v; want a finite number", k, v)
		}
	}
}

// arguments are the parameters as the learner wants them: one that is text may be written as a number, as the name of a class often is.
func (c BaselineConfig) arguments() map[string]any {
	l, _ := learn.LookupLearner(c.Learner)
	out := maps.Clone(c.Params)
	for _, p := range l.Params {
		if v, ok := out[p.Name]; ok && p.Type == "string" && v != nil {
			out[p.Name] = fmt.Sprint(v)
		}
	}
	return out
}

// ordered reports whether a learner answers by the order of the training rows.
func ordered(learner string) bool { return learner == "last_value" || learner == "seasonal_naive" }

// inTime are the rows in the order of time, those without a time first and rows of one time in the order of the file; nil without times.
func inTime(at []float64) []int {
	if at == nil {
		return nil
	}
	rows := make([]int, len(at))
	for i := range rows {
		rows[i] = i
	}
	slices.SortStableFunc(rows, func(a, b int) int {
		if math.IsNaN(at[a]) != math.IsNaN(at[b]) {
			if math.IsNaN(at[a]) {
				return -1
			}
			return 1
		}
		return cmp.Compare(at[a], at[b])
	})
	return rows
}

// lessonOf is what a learner is fitted on: of one that answers by the order of the rows, in the order of data.time.
func (l *lesson) lessonOf(learner string) learn.Data {
	data := l.data()
	rows := inTime(l.at)
	if !ordered(learner) || rows == nil || l.value == nil {
		return data
	}
	data.X = data.X.Take(rows)
	data.Values = make([]float64, len(rows))
	for to, from := range rows {
		data.Values[to] = l.value[from]
	}
	return data
}

// A horizon is when the rows of a part happened: their times, where the data have any, and how many rows lie between the training rows and the
// first of them.
type horizon struct {
	at    []float64
	ahead int
}

// horizon is that of the rows of a part. Between training and test rows of a split by time lie those of the validation part.
func (s *session) horizon(ctx context.Context, t *table.Table, split assay.Split, part string) (m horizon, err error) {
	if m.at, err = s.times(ctx, t); err != nil || split.By != "time" || part != assay.Test {
		return m, err
	}
	for _, p := range split.Parts {
		if p.Name == assay.Valid {
			m.ahead = int(p.Rows)
		}
	}
	return m, nil
}

// goOn are the values that follow a training series, for rows that may stand in any order: n answers are asked for in the order of time.
func (m horizon) goOn(x assay.Frame, predict func(assay.Frame) (learn.Prediction, error)) (learn.Prediction, error) {
	n := x.Rows()
	p, err := predict(x.Take(make([]int, n+m.ahead))) // the features do not matter
	if err != nil {
		return p, err
	}
	next := p.Values[m.ahead:]
	rows := inTime(m.at)
	if rows == nil {
		return learn.Prediction{Values: next}, nil
	}
	values := make([]float64, n)
	for rank, row := range rows {
		values[row] = next[rank]
	}
	return learn.Prediction{Values: values}, nil
}

// baseline answers the rows of x as the baseline does that was fitted on the training part.
func (s *session) baseline(ctx context.Context, train *lesson, x assay.Frame, when horizon, positive int) (learn.Prediction, error) {
	b := s.p.Evaluate.Baseline
	if expr, ok := b.rule(); ok {
		return s.ruleBaseline(expr, train, x, train.classes, positive)
	}
	if s.p.Data.Target.outside() {
		return s.plainBaseline(train, x.Rows())
	}
	spec, err := s.spec(b.Learner, b.arguments(), train)
	if err != nil {
		return learn.Prediction{}, err
	}
	spec.ClassWeight = learn.ClassWeight{}
	m, err := learn.Fit(ctx, spec, train.lessonOf(b.Learner))
	if err != nil {
		if assay.CodeOf(err) == assay.Invalid {
			return learn.Prediction{}, assay.Errorf(assay.Invalid, "evaluate.baseline: %w", err).Try("assay train --help lists the baselines and their parameters")
		}
		return learn.Prediction{}, err
	}
	if ordered(b.Learner) { // a season goes on in time, whatever the order of the file
		return when.goOn(x, m.Predict)
	}
	return m.Predict(x)
}
