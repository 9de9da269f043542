package table

import (
	"context"
	"strings"
)

// Explain has every statement that reads rows explained before it runs, from now on: told gets its SQL and how DuckDB will run it, as the JSON of its EXPLAIN. Tests
// look there for joins whose work grows with the square of the rows, which shows in no answer. It doubles what planning takes.
func (e *Engine) Explain(told func(sql, plan string)) { e.explain.Store(&told) }

// explained tells how a statement will run, if somebody asked.
func (e *Engine) explained(ctx context.Context, sql string, args ...any) error {
	told := e.explain.Load()
	if told == nil {
		return nil
	}
	begins := strings.ToUpper(strings.TrimLeft(sql, " \n\t("))
	if !strings.HasPrefix(begins, "SELECT") && !strings.HasPrefix(begins, "WITH") && !strings.HasPrefix(begins, "CREATE TABLE") && !strings.HasPrefix(begins, "INSERT") || strings.HasPrefix(begins, "CREATE TABLE") && !strings.Contains(begins, " AS ") {
		return nil
	}
	r, err := e.run(ctx, "EXPLAIN (FORMAT JSON) "+sql, args...)
	if err != nil {
		return nil //nolint:nilerr // the statement itself will say what is wrong with it
	}
	defer r.Close()
	for r.Next() {
		var key, plan string
		if err := r.Scan(&key, &plan); err != nil {
			return err
		}
		(*told)(sql, plan)
	}
	return r.Close()
}
