package serve

import (
	"context"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/pyfunc"
	"github.com/assay-ml/assay/internal/schema"
)

// python evaluates a model in Python workers.
type python struct {
	pool    *pyfunc.Pool
	fields  []int
	classes []string
}

// Python makes an engine of a pool, for rows that have the given fields in this order; columns are those of the pool. The pool is closed
// with the engine. Errors are Invalid and name every column that no field fits.
func Python(pool *pyfunc.Pool, columns []pyfunc.Column, fields []assay.Field, classes []string) (Engine, error) {
	e := &python{pool: pool, classes: classes}
	var bad assay.Problems
	for i, c := range columns {
		at := -1
		for j, f := range fields {
			if f.Name == c.Name {
				at = j
			}
		}
		if at < 0 {
			bad.Add("column %q is not a field of the schema", columns[i].Name)
		}
		e.fields = append(e.fields, at)
	}
	return e, bad.Err(assay.Invalid, "the model cannot be served")
}

func (e *python) Close() error { return e.pool.Close() }

func (e *python) Predict(ctx context.Context, rows *schema.Batch, out *Output) error {
	return e.PredictWith(ctx, rows, nil, out)
}

// PredictWith implements Parametric.
func (e *python) PredictWith(ctx context.Context, rows *schema.Batch, params []byte, out *Output) error {
	out.reset()
	a, err := e.pool.Predict(ctx, rows, e.fields, params)
	if err != nil {
		return err
	}
	labels, proba, values, err := pyfunc.Interpret(a, e.classes)
	out.Labels, out.Proba, out.Values = append(out.Labels, labels...), append(out.Proba, proba...), append(out.Values, values...)
	return err
}

// Workers returns the counts of the Python workers of a version, and whether it has any.
func (b *Bound) Workers() (pyfunc.Counts, bool) {
	e, ok := b.Engine.(*python)
	if !ok {
		return pyfunc.Counts{}, false
	}
	return e.pool.Counts(), true
}

// Healthy reports whether any worker is up.
func (e *python) Healthy() bool { return e.pool.Counts().Up > 0 }
