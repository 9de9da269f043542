package table

import (
	"context"

	"github.com/assay-ml/assay"
)

// Select returns the view that query, a SELECT of our own over Relation, makes of t. The view has the given fields, and _row among its
// columns if Frame or the order of its rows is asked for; a query that joins says ORDER BY then. query must not hold text from a user
// unless Condition has accepted it.
func (t *Table) Select(ctx context.Context, query string, fields []assay.Field) (*Table, error) {
	v := *t
	v.relation, v.fields, v.base, v.kept = t.engine.name("v"), fields, "", ""
	v.joined = false // query orders its rows, where it joins
	v.index = make(map[string]int, len(fields))
	for i, f := range fields {
		v.index[f.Name] = i
	}
	if err := t.engine.exec(ctx, "CREATE VIEW "+v.relation+" AS "+query); err != nil {
		return nil, err
	}
	if err := t.engine.queryRow(ctx, "SELECT count(*) FROM "+v.relation, &v.rows); err != nil {
		return nil, err
	}
	return &v, nil
}
