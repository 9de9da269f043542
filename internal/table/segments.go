package table

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/assay-ml/assay"
)

// A Piece is a part of a log that is not Parquet: WriteLines writes its rows as JSON Lines, whole lines only.
type Piece struct {
	Name       string // for messages
	WriteLines func(w io.Writer) error
}

// ReadSegments reads a log that is kept in pieces as one table with the given fields: closed pieces are Parquet files, open ones JSON
// Lines. Rows come in the order of the pieces, closed ones first. A field that a piece does not have is missing in its rows, and a
// piece's column that is none of the fields is left out. Without any piece the table has no rows.
func (e *Engine) ReadSegments(ctx context.Context, closed []string, open []Piece, fields []assay.Field) (*Table, error) {
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
	for _, p := range open {
		if err := e.appendOpen(ctx, store, p, fields); err != nil {
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

// appendOpen adds the lines of a piece, by way of a file in the private directory.
func (e *Engine) appendOpen(ctx context.Context, store string, p Piece, fields []assay.Field) error {
	lines, err := e.create("lines")
	if err != nil {
		return err
	}
	defer os.Remove(lines.Name())
	defer lines.Close()
	if err := p.WriteLines(&contextWriter{ctx: ctx, w: lines}); err != nil {
		return cmp.Or(ctx.Err(), err)
	}
	if st, err := lines.Stat(); err != nil || st.Size() == 0 {
		return err
	}
	columns := make([]string, len(fields))
	selects := make([]string, len(fields))
	for i, f := range fields {
		columns[i] = Literal(f.Name) + ": " + Literal(duckType(f.Type))
		selects[i] = Ident(f.Name)
	}
	err = e.exec(ctx, fmt.Sprintf("INSERT INTO %s SELECT %s FROM read_json(%s, format='newline_delimited', columns={%s})",
		store, strings.Join(selects, ", "), Literal(lines.Name()), strings.Join(columns, ", ")))
	if err != nil && ctx.Err() == nil {
		return assay.Errorf(assay.Rejected, "%s holds a line that is no record of the log: %w", p.Name, err)
	}
	return err
}

// A contextWriter fails once its context is done.
type contextWriter struct {
	ctx context.Context
	w   io.Writer
}

func (c *contextWriter) Write(b []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.w.Write(b)
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
