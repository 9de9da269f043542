package table

import (
	"bytes"
	"cmp"
	"context"
	"errors"
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
	// Lost returns the line that stands for one that cannot be read, so that the others are and it is counted; nil: such a line is an error.
	Lost func(line []byte) []byte
}

// ReadSegments reads a log that is kept in pieces as one table with the given fields: closed pieces are Parquet files, open ones JSON
// Lines. Rows come in the order of the pieces, closed ones first. A field that a piece does not have is missing in its rows, and a
// piece's column that is none of the fields is left out. Without any piece the table has no rows.
func (e *Engine) ReadSegments(ctx context.Context, closed []string, open []Piece, fields []assay.Field) (*Table, error) {
	return e.ReadSegmentsWhere(ctx, closed, open, fields, "")
}

// ReadSegmentsWhere is ReadSegments for the rows of which where, a condition on columns that every piece has, is true; all rows where it is empty. Of a
// closed piece whose own bounds say that it has no such row, and of columns that are not asked for, nothing is read.
func (e *Engine) ReadSegmentsWhere(ctx context.Context, closed []string, open []Piece, fields []assay.Field, where string) (*Table, error) {
	if where != "" {
		where = " WHERE " + where
	}
	if len(fields) == 0 {
		return nil, assay.Errorf(assay.Invalid, "a log has at least one field")
	}
	store := e.name("t")
	defs, names := make([]string, len(fields)), make([]string, len(fields))
	for i, f := range fields {
		names[i] = f.Name
		defs[i] = fmt.Sprintf("c%d %s", i, loggedType(f.Type))
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
		err = e.appendClosed(ctx, store, link, fields, where)
		os.Remove(link)
		if err != nil {
			return nil, parquetError(ctx, filepath.Base(path), err)
		}
	}
	for _, p := range open {
		if err := e.appendOpen(ctx, store, p, fields, where); err != nil {
			return nil, err
		}
	}
	t := &Table{engine: e, format: Parquet}
	return t, t.adopt(ctx, store, fields)
}

// loggedType is the type of a column of a log: nested values are the text of their JSON. Bytes are not in a log, but a field may be there.
func loggedType(t assay.Type) string {
	switch t {
	case assay.TypeJSON, "":
		return "VARCHAR"
	case assay.TypeBinary:
		return "BLOB"
	}
	return duckType(t)
}

// appendClosed adds the rows of one Parquet file.
func (e *Engine) appendClosed(ctx context.Context, store, link string, fields []assay.Field, where string) error {
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
			selects[i] = fmt.Sprintf("CAST(%s AS %s)", Ident(f.Name), loggedType(f.Type))
		}
	}
	return e.exec(ctx, "INSERT INTO "+store+" SELECT "+strings.Join(selects, ", ")+" FROM "+from+where)
}

// appendOpen adds the lines of a piece, by way of a file in the private directory.
func (e *Engine) appendOpen(ctx context.Context, store string, p Piece, fields []assay.Field, where string) error {
	lines, err := e.create("lines")
	if err != nil {
		return err
	}
	defer os.Remove(lines.Name())
	defer lines.Close()
	to := &contextWriter{ctx: ctx, w: lines}
	if err := p.WriteLines(to); err != nil {
		return cmp.Or(ctx.Err(), err)
	}
	if st, err := lines.Stat(); err != nil || st.Size() == 0 {
		return err
	}
	columns := make([]string, len(fields))
	selects := make([]string, len(fields))
	for i, f := range fields {
		columns[i] = Literal(f.Name) + ": " + Literal(loggedType(f.Type))
		selects[i] = Ident(f.Name)
	}
	insert := func(path string) string {
		return fmt.Sprintf("INSERT INTO %s SELECT %s FROM read_json(%s, format='newline_delimited', maximum_object_size=%d, columns={%s})%s",
			store, strings.Join(selects, ", "), Literal(path), max(longLine, to.longest), strings.Join(columns, ", "), where)
	}
	err = e.exec(ctx, insert(lines.Name()))
	// What fails without a row being read is no fault of a line.
	if assay.CodeOf(err) != assay.Invalid || ctx.Err() != nil || e.exec(ctx, "EXPLAIN "+insert(lines.Name())) != nil {
		return err
	}
	if p.Lost == nil {
		return assay.Errorf(assay.Rejected, "%s holds a line that is no record of the log: %w", p.Name, err)
	}
	ends, err := lineEnds(lines)
	if err != nil {
		return err
	}
	return e.appendReadable(ctx, lines, ends, insert, p.Lost)
}

// longLine is how many bytes of a line the engine reads without being told.
const longLine = 16 << 20

// appendReadable adds the lines of a file of which some cannot be read, in their order: halves are tried until it is one line, for which
// what lost returns is added. ends are where the file begins and where its lines end.
func (e *Engine) appendReadable(ctx context.Context, from io.ReaderAt, ends []int64, insert func(path string) string, lost func([]byte) []byte) error {
	n := len(ends) - 1
	for half := range 2 {
		part := ends[:n/2+1]
		if half == 1 {
			part = ends[n/2:]
		}
		if len(part) < 2 {
			continue
		}
		err := e.appendLines(ctx, io.NewSectionReader(from, part[0], part[len(part)-1]-part[0]), insert)
		switch {
		case assay.CodeOf(err) != assay.Invalid || ctx.Err() != nil:
		case len(part) > 2:
			err = e.appendReadable(ctx, from, part, insert, lost)
		default:
			line := make([]byte, part[1]-part[0])
			if _, err := from.ReadAt(line, part[0]); err != nil {
				return assay.Errorf(assay.Unavailable, "a temporary file cannot be read: %w", err)
			}
			err = e.appendLines(ctx, bytes.NewReader(lost(line)), insert)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// appendLines adds lines by way of a file of their own.
func (e *Engine) appendLines(ctx context.Context, r io.Reader, insert func(path string) string) error {
	f, err := e.create("lines")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	defer f.Close()
	if _, err := io.Copy(f, r); err != nil {
		return assay.Errorf(assay.Unavailable, "a temporary file cannot be written: %w", err)
	}
	return e.exec(ctx, insert(f.Name()))
}

// lineEnds returns 0 and the byte after each line of a file.
func lineEnds(f io.ReaderAt) ([]int64, error) {
	ends, at := []int64{0}, int64(0)
	for b := make([]byte, 64<<10); ; {
		n, err := f.ReadAt(b, at)
		for i, c := range b[:n] {
			if c == '\n' {
				ends = append(ends, at+int64(i)+1)
			}
		}
		at += int64(n)
		if errors.Is(err, io.EOF) {
			return ends, nil
		}
		if err != nil {
			return nil, assay.Errorf(assay.Unavailable, "a temporary file cannot be read: %w", err)
		}
	}
}

// A contextWriter fails once its context is done. It measures the lines that it passes on.
type contextWriter struct {
	ctx     context.Context
	w       io.Writer
	line    int // bytes of the line that has begun
	longest int
}

func (c *contextWriter) Write(b []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	for rest := b; len(rest) > 0; {
		n := bytes.IndexByte(rest, '\n') + 1
		if n == 0 {
			c.line += len(rest)
			break
		}
		c.longest = max(c.longest, c.line+n)
		c.line, rest = 0, rest[n:]
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
