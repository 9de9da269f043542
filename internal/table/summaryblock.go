package table

import (
	"context"
	"strings"
)

// Blocks calls f for one batch of rows after the other, in the order of rows, with the values of the columns as Frame has them: a
// slice a column, NaN for a missing value. The columns must not be text. The slices are used again for the next batch.
func (t *Table) Blocks(ctx context.Context, columns []string, cond string, f func(block [][]float64) error) error {
	fields, err := t.columns(columns)
	if err != nil {
		return err
	}
	selects := make([]string, len(fields))
	for i, f := range fields {
		selects[i] = "CAST(" + Ident(f.Name) + " AS DOUBLE)"
		if !f.Type.Numeric() {
			selects[i] = Ident(f.Name)
		}
	}
	r, err := t.engine.query(ctx, "SELECT "+strings.Join(selects, ", ")+" FROM "+t.read(fields, cond))
	if err != nil {
		return err
	}
	defer r.Close()
	block := make([][]float64, len(fields))
	for r.nextChunk() {
		for i := range block {
			if block[i], err = appendFloats(block[i][:0], &r.vectors[i], r.size); err != nil {
				return err
			}
		}
		if err := f(block); err != nil {
			return err
		}
	}
	return r.Close()
}
