package eval

import (
	"context"
	"fmt"
	"math"
	"strings"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/ext"

	"github.com/assay-ml/assay"
)

// A Business is a metric in the user's own terms: a CEL expression over counts (tp, fp, fn, tn, n) or, for a regression, over the
// means error, absolute_error and squared_error and n; all are doubles.
type Business struct {
	Name   string
	Expr   string
	Higher bool // greater is better
}

var businessVariables = map[assay.Task][]string{
	assay.Binary:     {"tn", "fp", "fn", "tp"},
	assay.Regression: {"error", "absolute_error", "squared_error"},
}

func (b *Business) compile(task assay.Task) (func(v []float64, n float64) (float64, error), error) {
	names := businessVariables[task]
	if names == nil {
		return nil, assay.Errorf(assay.Unimplemented, "a business metric is for binary and regression tasks; this one is %s", task)
	}
	opts := []cel.EnvOption{ext.Math(), cel.Variable("n", cel.DoubleType)}
	for _, v := range names {
		opts = append(opts, cel.Variable(v, cel.DoubleType))
	}
	env, err := cel.NewEnv(opts...)
	if err != nil {
		return nil, assay.Errorf(assay.Internal, "the expression language cannot start: %w", err)
	}
	tree, iss := env.Compile(b.Expr)
	if iss.Err() != nil {
		return nil, assay.Errorf(assay.Invalid, "business metric %s: %s", b.Name, strings.ReplaceAll(iss.Err().Error(), "\n", " ")).
			Try("use doubles, such as 5.0, and the variables %s, n", strings.Join(names, ", "))
	}
	if !tree.OutputType().IsExactType(cel.DoubleType) {
		return nil, assay.Errorf(assay.Invalid, "business metric %s gives a %s, not a double", b.Name, tree.OutputType())
	}
	prog, err := env.Program(tree, cel.CostLimit(10_000))
	if err != nil {
		return nil, assay.Errorf(assay.Invalid, "business metric %s: %w", b.Name, err)
	}
	return func(v []float64, n float64) (float64, error) {
		vars := map[string]any{"n": n}
		for i, name := range names {
			vars[name] = v[i]
		}
		out, _, err := prog.Eval(vars)
		if err != nil {
			return math.NaN(), fmt.Errorf("business metric %s: %w", b.Name, err)
		}
		f, ok := out.Value().(float64)
		if !ok {
			return math.NaN(), fmt.Errorf("business metric %s gives no number", b.Name)
		}
		return f, nil
	}, nil
}

// business scores both models with the user's expression. Its interval is BCa on the same resampled rows as the other metrics.
func (p *pair) business(ctx context.Context, b *Business) (assay.Metric, error) {
	out := assay.Metric{Name: b.Name, Definition: "business: " + b.Expr, Higher: b.Higher}
	f, err := b.compile(p.s.t.Task)
	if err != nil {
		return out, err
	}
	call := func(v []float64, n float64) float64 {
		x, err := f(v, n)
		if err != nil {
			return math.NaN()
		}
		return x
	}
	if p.s.t.Task != assay.Binary {
		return out, assay.Errorf(assay.Unimplemented, "a business metric of a %s task has no interval yet", p.s.t.Task)
	}
	fam := family{cells: func(n []float64, _ int) float64 { return call(n, total(n)) }}
	x, y := p.s.measure(fam, p.a, nil), p.s.measure(fam, p.b, nil)
	if _, err := f(x.counts(), float64(len(x.cell))); err != nil {
		return out, assay.Errorf(assay.Invalid, "%w", err)
	}
	reps, err := p.s.bootstrap(ctx, p.o, []*measure{x, y})
	if err != nil {
		return out, err
	}
	n := int64(len(p.s.rows))
	sign := 1.0
	if !b.Higher {
		sign = -1
	}
	diff := make([]float64, len(reps[0]))
	effect := subtract(x.effect, y.effect)
	for i := range effect {
		effect[i] *= sign
	}
	for i := range diff {
		diff[i] = sign * (reps[0][i] - reps[1][i])
	}
	out.Estimate = interval(x.value, reps[0], x.effect, p.s.entity, p.o.Level, n)
	out.Baseline = interval(y.value, reps[1], y.effect, p.s.entity, p.o.Level, n)
	out.Gain = interval(sign*(x.value-y.value), diff, effect, p.s.entity, p.o.Level, n)
	out.Verdict = out.Gain.Above(0)
	return out, nil
}
