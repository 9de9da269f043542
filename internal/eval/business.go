package eval

import (
	"math"
	"strings"
	"sync"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/ext"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/manifest"
	"github.com/assay-ml/assay/metric"
)

// A Business is a metric in the user's own terms: a CEL expression that gives a double. Its variables are doubles: of a binary task tp,
// fp, fn, tn and n; of a regression n and the means error (prediction less truth), absolute_error and squared_error. Of a multiclass
// task tp, fp, fn and tn are maps by class, fp["cat"], and confusion holds the counts, confusion["cat"]["dog"] being the rows of class
// cat that were taken for dog. Of a multilabel task the maps are by label. Of a ranking n is the number of queries, and every metric of a
// ranking that takes graded relevances is a variable by its name.
type Business struct {
	Name   string
	Expr   string
	Higher bool // greater is better
}

// maxBusinessCost bounds one evaluation of an expression, in steps of CEL.
const maxBusinessCost = 100_000

// businessPrefix begins the definition of a business metric, before its expression.
const businessPrefix = "business: "

func (b *Business) definition() string { return businessPrefix + b.Expr }

// BusinessOf is the business metric of a name and definition in evidence.
func BusinessOf(name, definition string, higher bool) *Business {
	return &Business{Name: name, Expr: strings.TrimPrefix(definition, businessPrefix), Higher: higher}
}

func businessVariables(task assay.Task) ([]string, *cel.Type) {
	byClass := cel.MapType(cel.StringType, cel.DoubleType)
	switch task {
	case assay.Binary:
		return []string{"tp", "fp", "fn", "tn"}, cel.DoubleType
	case assay.Multiclass:
		return []string{"tp", "fp", "fn", "tn", "confusion"}, byClass
	case assay.Multilabel:
		return []string{"tp", "fp", "fn", "tn"}, byClass
	case assay.Ranking:
		return gradedMetrics(), cel.DoubleType
	case assay.Regression:
		return []string{"error", "absolute_error", "squared_error"}, cel.DoubleType
	}
	return nil, nil
}

// Compiles reports what keeps the expression from being evaluated for a task, before there are any rows.
func (b *Business) Compiles(task assay.Task) error {
	_, err := b.compile(task)
	return err
}

// compile checks the expression and returns its value for given variables.
func (b *Business) compile(task assay.Task) (func(vars map[string]any) (float64, error), error) {
	names, typ := businessVariables(task)
	if names == nil {
		return nil, assay.Errorf(assay.Unimplemented, "a business metric is not defined for a %s task", task)
	}
	opts := append(manifest.ExpressionLimits(), ext.Math(), cel.Variable("n", cel.DoubleType))
	for _, v := range names {
		t := typ
		if v == "confusion" {
			t = cel.MapType(cel.StringType, typ)
		}
		opts = append(opts, cel.Variable(v, t))
	}
	env, err := cel.NewEnv(opts...)
	if err != nil {
		return nil, assay.Errorf(assay.Internal, "the expression language cannot start: %w", err)
	}
	tree, err := manifest.Compile(env, b.Expr)
	if err != nil {
		return nil, assay.Errorf(assay.Invalid, "business metric %s: %w", b.Name, err).
			Try("use doubles, such as 5.0, and the variables %s, n", strings.Join(names, ", "))
	}
	if !tree.OutputType().IsExactType(cel.DoubleType) {
		return nil, assay.Errorf(assay.Invalid, "business metric %s gives a %s, not a double", b.Name, tree.OutputType())
	}
	prog, err := env.Program(tree, cel.CostLimit(maxBusinessCost))
	if err != nil {
		return nil, assay.Errorf(assay.Invalid, "business metric %s: %w", b.Name, err)
	}
	return func(vars map[string]any) (float64, error) {
		out, _, err := prog.Eval(vars)
		if err != nil {
			return math.NaN(), assay.Errorf(assay.Invalid, "business metric %s: %w", b.Name, err)
		}
		f, ok := out.Value().(float64)
		if !ok {
			return math.NaN(), assay.Errorf(assay.Invalid, "business metric %s gives no number", b.Name)
		}
		return f, nil
	}, nil
}

// measures scores both models with the expression. It is evaluated once for each distinct set of counts; a division by zero or
// another failure on a replicate leaves that replicate undefined, on the rows themselves it is an error.
func (b *Business) measures(s *sample, first, second *prepared) (x, y *measure, err error) {
	f, err := b.compile(s.t.Task)
	if err != nil {
		return nil, nil, err
	}
	if x, err = b.measure(f, s, first); err != nil {
		return nil, nil, err
	}
	y, err = b.measure(f, s, second)
	return x, y, err
}

func (b *Business) measure(f func(map[string]any) (float64, error), s *sample, p *prepared) (*measure, error) {
	m := &measure{s: s, name: b.Name, higher: b.Higher}
	var failure error
	call := func(vars map[string]any) float64 {
		v, err := f(vars)
		if err != nil {
			failure = err
			return math.NaN()
		}
		if math.IsInf(v, 0) {
			return math.NaN()
		}
		return v
	}
	var own func() float64
	if columns, vars, err := businessSums(p); err != nil {
		return nil, err
	} else if vars != nil {
		var mu sync.Mutex
		value := func(w, v []float64) float64 {
			mu.Lock()
			defer mu.Unlock()
			return call(vars(w[0], v))
		}
		if own, err = m.bySums(&sums{nil, 1, columns, value}); err != nil {
			return nil, err
		}
		if s.t.N() > maxBusinessJackknife {
			m.leave = nil
		}
	} else {
		m.cell, m.count = s.cells(p)
		var mu sync.Mutex
		known := map[string]float64{}
		m.table = func(c metric.Confusion) float64 {
			key := countsKey(c)
			mu.Lock()
			defer mu.Unlock()
			v, ok := known[key]
			if !ok {
				v = call(businessCounts(s.t, c))
				known[key] = v
			}
			return v
		}
		own = m.byTable()
	}
	m.value = own()
	if failure != nil {
		return nil, failure
	}
	if math.IsNaN(m.value) {
		m.why = "the expression gives no finite number on these rows"
	}
	return m, nil
}

// businessSums gives the columns whose sums an expression reads, and its variables by their weight and their sums; nil for a task whose
// expression reads a confusion matrix.
func businessSums(p *prepared) (columns [][]float64, vars func(n float64, v []float64) map[string]any, err error) {
	switch p.t.Task {
	case assay.Regression:
		n := p.t.N()
		c := [][]float64{make([]float64, n), make([]float64, n), make([]float64, n)}
		for i, y := range p.t.Value {
			d := p.input.Values[i] - y
			c[0][i], c[1][i], c[2][i] = d, math.Abs(d), d*d
		}
		return c, func(n float64, v []float64) map[string]any {
			return map[string]any{"n": n, "error": v[0] / n, "absolute_error": v[1] / n, "squared_error": v[2] / n}
		}, nil
	case assay.Multilabel:
		return labelColumns(p), func(n float64, v []float64) map[string]any {
			tp, fp, fn, tn := map[string]float64{}, map[string]float64{}, map[string]float64{}, map[string]float64{}
			for i, c := range labelTables(n, v) {
				name := p.t.Classes[i]
				tp[name], fp[name], fn[name], tn[name] = c.TP, c.FP, c.FN, c.TN
			}
			return map[string]any{"n": n, "tp": tp, "fp": fp, "fn": fn, "tn": tn}
		}, nil
	case assay.Ranking:
		names := gradedMetrics()
		c := make([][]float64, len(names))
		for i, name := range names {
			if c[i], err = p.perRow(name); err != nil {
				return nil, nil, err
			}
		}
		return c, func(n float64, v []float64) map[string]any {
			vars := map[string]any{"n": n}
			for i, name := range names {
				vars[name] = v[i] / n
			}
			return vars
		}, nil
	}
	return nil, nil, nil
}

// maxBusinessJackknife is the number of rows up to which an expression over sums is evaluated without each row.
const maxBusinessJackknife = 20_000

func countsKey(c metric.Confusion) string {
	b := make([]byte, 0, 8*len(c.Counts))
	for _, n := range c.Counts {
		u := uint64(n)
		b = append(b, byte(u), byte(u>>8), byte(u>>16), byte(u>>24), byte(u>>32), byte(u>>40), byte(u>>48), byte(u>>56))
	}
	return string(b)
}

func businessCounts(t *Truth, c metric.Confusion) map[string]any {
	n := c.Total()
	if t.Task == assay.Binary {
		p := t.Positive
		return map[string]any{"n": n, "tp": c.At(p, p), "fp": c.At(1-p, p), "fn": c.At(p, 1-p), "tn": c.At(1-p, 1-p)}
	}
	tp, fp, fn, tn, all := map[string]float64{}, map[string]float64{}, map[string]float64{}, map[string]float64{}, map[string]map[string]float64{}
	for i, name := range t.Classes {
		all[name] = map[string]float64{}
		tp[name] = c.At(i, i)
		for j, other := range t.Classes {
			all[name][other] = c.At(i, j)
			if i != j {
				fn[name] += c.At(i, j)
				fp[name] += c.At(j, i)
			}
		}
		tn[name] = n - tp[name] - fp[name] - fn[name]
	}
	return map[string]any{"n": n, "tp": tp, "fp": fp, "fn": fn, "tn": tn, "confusion": all}
}
