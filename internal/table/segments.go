package table

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/assay-ml/assay"
)

// ReadSegments reads a log that is kept in pieces as one table with the given fields: closed pieces are Parquet files, open ones JSON
// Lines to which a writer may be appending. Rows come in the order of the pieces, closed ones first. A field that a piece does not have
// is missing in its rows, and a piece's column that is none of the fields is left out. The last line of an open piece is left out while
// it is not complete. Without any piece the table has no rows.
func (e *Engine) ReadSegments(ctx context.Context, closed, open []string, fields []assay.Field) (*Table, error) {
	if len(fields) == 0 {
		return nil, assay.Errorf(assay.Invalid, "a log has at least one field")
	}
	store := e.name("t")
	defs, names := make([]string, len(fields)), make([]string, len(fields))
	for i, f := range fields {
		names[i] = f.Name
		defs[i] = fmt.Sprintf("c%d %s", i, duckType(f.Type))
	}
	if err := checkNames("the log", names); err != nil {
		return nil, err
	}
	if err := e.exec(ctx, "CREATE TABLE "+store+" ("+strings.Join(defs, ", ")+")"); err != nil {
		return nil, err
	}
	for _, path := range closed {
		link, err := e.link(ctx, path)
		if err != nil {
			return nil, err
		}
		err = e.appendClosed(ctx, store, link, fields)
		os.Remove(link)
		if err != nil {
			return nil, parquetError(ctx, filepath.Base(path), err)
		}
	}
	for _, path := range open {
		if err := e.appendOpen(ctx, store, path, fields); err != nil {
			return nil, err
		}
	}
	t := &Table{engine: e, format: Parquet}
	return t, t.adopt(ctx, store, fields)
}

// appendClosed adds the rows of one Parquet file.
func (e *Engine) appendClosed(ctx context.Context, store, link string, fields []assay.Field) error {
	from := "read_parquet(" + Literal(link) + ", hive_partitioning=false)"
	r, err := e.query(ctx, "SELECT * FROM "+from+" LIMIT 0")
	if err != nil {
		return err
	}
	have := map[string]bool{}
	for _, c := range r.Columns() {
		have[c] = true
	}
	r.Close()
	selects := make([]string, len(fields))
	for i, f := range fields {
		selects[i] = "NULL"
		if have[f.Name] {
			selects[i] = fmt.Sprintf("CAST(%s AS %s)", Ident(f.Name), duckType(f.Type))
		}
	}
	return e.exec(ctx, "INSERT INTO "+store+" SELECT "+strings.Join(selects, ", ")+" FROM "+from)
}

// appendOpen adds the complete lines of a file that may grow meanwhile.
func (e *Engine) appendOpen(ctx context.Context, store, path string, fields []assay.Field) error {
	whole, err := e.completeLines(ctx, path)
	if err != nil || whole == "" {
		return err
	}
	defer os.Remove(whole)
	columns := make([]string, len(fields))
	selects := make([]string, len(fields))
	for i, f := range fields {
		columns[i] = Literal(f.Name) + ": " + Literal(duckType(f.Type))
		selects[i] = Ident(f.Name)
	}
	err = e.exec(ctx, fmt.Sprintf("INSERT INTO %s SELECT %s FROM read_json(%s, format='newline_delimited', columns={%s})",
		store, strings.Join(selects, ", "), Literal(whole), strings.Join(columns, ", ")))
	if err != nil && ctx.Err() == nil {
		return assay.Errorf(assay.Rejected, "%s holds a line that is no record of the log: %w", filepath.Base(path), err)
	}
	return err
}

// completeLines copies a file up to its last line feed into the private directory; "" when there is no complete line.
func (e *Engine) completeLines(ctx context.Context, path string) (string, error) {
	in, err := os.Open(path)
	if err != nil {
		return "", assay.Errorf(assay.Unavailable, "%s cannot be read: %w", filepath.Base(path), err)
	}
	defer in.Close()
	out, err := e.create("lines")
	if err != nil {
		return "", err
	}
	defer out.Close()
	n, err := io.Copy(out, &contextReader{ctx: ctx, r: in})
	if err != nil {
		os.Remove(out.Name())
		return "", assay.Errorf(assay.Unavailable, "%s cannot be copied: %w", filepath.Base(path), err)
	}
	end := int64(0)
	for buf := make([]byte, 64<<10); n > 0 && end == 0; {
		k := min(n, int64(len(buf)))
		if _, err := out.ReadAt(buf[:k], n-k); err != nil {
			return "", assay.Errorf(assay.Unavailable, "a temporary file cannot be read: %w", err)
		}
		if i := bytes.LastIndexByte(buf[:k], '\n'); i >= 0 {
			end = n - k + int64(i) + 1
		}
		n -= k
	}
	if end == 0 {
		os.Remove(out.Name())
		return "", nil
	}
	if err := out.Truncate(end); err != nil {
		return "", assay.Errorf(assay.Unavailable, "a temporary file cannot be cut: %w", err)
	}
	return out.Name(), nil
}

// Named makes the table known to Query under a name of the caller's, which must be a plain identifier.
func (t *Table) Named(ctx context.Context, name string) error {
	return t.engine.exec(ctx, "CREATE OR REPLACE VIEW "+Ident(name)+" AS SELECT * EXCLUDE (_row) FROM "+t.relation)
}

// Answer makes a table of what a query of the user's gives, who may name this table as Named said. The engine is locked: a query reads
// what the engine holds and nothing else.
func (t *Table) Answer(ctx context.Context, query string) (*Table, error) {
	from := "(" + strings.TrimRight(strings.TrimSpace(query), "; \n") + ")"
	fields, selects, err := t.engine.describe(ctx, from)
	if err != nil {
		return nil, assay.Errorf(assay.Invalid, "the query: %w", err)
	}
	if err := checkNames("the query", fieldNames(fields)); err != nil {
		return nil, err
	}
	store := t.engine.name("t")
	if err := t.engine.exec(ctx, "CREATE TABLE "+store+" AS SELECT "+strings.Join(selects, ", ")+" FROM "+from); err != nil {
		return nil, err
	}
	a := &Table{engine: t.engine, format: Parquet}
	return a, a.adopt(ctx, store, fields)
}

func fieldNames(fields []assay.Field) []string {
	out := make([]string, len(fields))
	for i, f := range fields {
		out[i] = f.Name
	}
	return out
}
