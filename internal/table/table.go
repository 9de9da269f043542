package table

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/assay-ml/assay"
)

// A Table is a relation with typed columns. It does not change. Goroutines may share it.
type Table struct {
	engine   *Engine
	store    string // the stored rows; "" in a view
	base     string // what narrow statements read, with the columns c0, c1, … and rowid; "" where there is no such thing
	kept     string // the stored row numbers that a view of a wide table keeps; "" for all
	joined   bool   // a view whose rows come out of a join, in any order
	relation string
	fields   []assay.Field
	index    map[string]int // of fields
	rows     int64
	reading  assay.Reading
	format   string
	sources  []source
	notes    []Note
	inPlace  bool
}

// InPlace reports whether statements read the table's file, a Parquet file, instead of what was loaded of it: so it is with
// Options.InPlace, for one file with fewer columns than WideColumns. Only the columns that a statement names are read, and damage in them
// is found then. Whoever draws a conclusion hands what came of the statements, nil included, to ReadError first.
func (t *Table) InPlace() bool { return t.inPlace }

// A Note tells what a person should know about how a column was read, or the records when it names none. It holds no value of the data.
type Note struct {
	Column  string `json:"column,omitempty"`
	Message string `json:"message"`
}

// adopt makes t the relation over the stored table, whose columns are c0, c1, … in the order of fields. The stored names are ours, so
// that no name of a file can collide with rowid or be beyond quoting.
func (t *Table) adopt(ctx context.Context, store string, fields []assay.Field) error {
	var numbered int64
	if err := t.engine.queryRow(ctx, "SELECT count(*), coalesce(max(rowid) + 1, 0) FROM "+store, &t.rows, &numbered); err != nil {
		return err
	}
	if numbered != t.rows {
		return assay.Errorf(assay.Internal, "%d rows are numbered up to %d", t.rows, numbered)
	}
	columns := make([]string, 0, len(fields)+1)
	columns = append(columns, "rowid AS _row")
	for i, f := range fields {
		columns = append(columns, fmt.Sprintf("c%d AS %s", i, Ident(f.Name)))
	}
	t.relation = t.engine.name("v")
	t.fields = fields
	t.store, t.base = store, store
	t.index = make(map[string]int, len(fields))
	for i, f := range fields {
		t.index[f.Name] = i
	}
	return t.engine.exec(ctx, "CREATE VIEW "+t.relation+" AS SELECT "+strings.Join(columns, ", ")+" FROM "+store)
}

// Drop gives the table's space back before the engine is closed. Views of it are unusable afterwards, and so is it; a view itself has
// nothing to give back but the row numbers that a view of a wide table keeps.
func (t *Table) Drop(ctx context.Context) error {
	if t.store == "" {
		drop := "DROP VIEW IF EXISTS " + t.relation
		if t.kept != "" {
			drop += "; DROP TABLE IF EXISTS " + t.kept
		}
		return t.engine.exec(ctx, drop)
	}
	return t.engine.exec(ctx, "DROP VIEW IF EXISTS "+t.relation+"; DROP TABLE IF EXISTS "+t.store)
}

// Engine returns the engine that holds the table.
func (t *Table) Engine() *Engine { return t.engine }

// Fields returns the columns in the order of the source. The caller owns the slice.
func (t *Table) Fields() []assay.Field { return slices.Clone(t.fields) }

// Field returns the column of that name.
func (t *Table) Field(name string) (assay.Field, bool) {
	if i, ok := t.index[name]; ok {
		return t.fields[i], true
	}
	return assay.Field{}, false
}

// Rows returns the number of rows.
func (t *Table) Rows() int64 { return t.rows }

// Reading says how text was read; the zero value for Parquet and memory.
func (t *Table) Reading() assay.Reading {
	r := t.reading
	r.Nulls = slices.Clone(r.Nulls)
	return r
}

// Format returns csv, json, jsonl, parquet or memory.
func (t *Table) Format() string { return t.format }

// String is the note as a line.
func (n Note) String() string {
	if n.Column == "" {
		return n.Message
	}
	return n.Column + ": " + n.Message
}

// Notes returns what a person should know about how text was read: why columns that look typed are text, what was rounded.
func (t *Table) Notes() []Note { return slices.Clone(t.notes) }

// Files returns the names and sizes of the source files, sorted by name, without digests.
func (t *Table) Files() []assay.File {
	out := make([]assay.File, 0, len(t.sources))
	for _, s := range t.sources {
		out = append(out, assay.File{Name: s.name, Bytes: s.size})
	}
	return out
}

// Paths returns the absolute paths of the files, in the order of Files. Standard input is a path in the engine's directory.
func (t *Table) Paths() []string {
	out := make([]string, 0, len(t.sources))
	for _, s := range t.sources {
		out = append(out, s.path)
	}
	return out
}

// Unchanged returns an error if a source file is no longer what was read: by size, modification time and identity.
func (t *Table) Unchanged() error {
	for i := range t.sources {
		if err := t.sources[i].changed(); err != nil {
			return err
		}
	}
	return nil
}

// Relation returns what to put after FROM. It has the columns of Fields and the hidden _row, a BIGINT: the physical number of the row
// in its source, from 0, files in the order of their names. A view that Where made keeps the numbers of its rows.
func (t *Table) Relation() string { return t.relation }

// WideColumns is from how many columns on a statement should name those that it reads: the engine plans a statement over a view in time
// that grows with the view's columns, half a second of work for 10,000.
const WideColumns = 256

// From returns what to put after FROM in a statement that uses no columns but the given ones and _row. It is Relation, unless the table
// is wide.
func (t *Table) From(columns ...string) string {
	if t.base == "" || len(t.fields) < WideColumns || len(columns) > len(t.fields)/2 {
		return t.relation
	}
	selects := make([]string, 0, len(columns)+1)
	selects = append(selects, "rowid AS _row")
	for _, name := range columns {
		i, ok := t.index[name]
		if !ok {
			return t.relation
		}
		selects = append(selects, fmt.Sprintf("c%d AS %s", i, Ident(name)))
	}
	from := "(SELECT " + strings.Join(selects, ", ") + " FROM " + t.base
	if t.kept != "" {
		from += " WHERE rowid IN (SELECT r FROM " + t.kept + ")"
	}
	return from + ")"
}

// read is what a statement of this package reads that selects the given fields where the SQL expression cond holds.
func (t *Table) read(fields []assay.Field, cond string) string {
	if strings.TrimSpace(cond) != "" {
		return t.relation + where(cond)
	}
	names := make([]string, len(fields))
	for i, f := range fields {
		names[i] = f.Name
	}
	return t.From(names...)
}

// Query runs one SELECT. Parameters are ?; Rows.Scan says which types arguments may have (nil, bool, int, int32, int64, float64,
// string, []byte, time.Time). Text from users must never become part of sql unless Condition has accepted it: pass it as an argument.
func (t *Table) Query(ctx context.Context, sql string, args ...any) (*Rows, error) {
	return t.engine.query(ctx, sql, args...)
}

// Where returns the rows for which cond, an SQL expression over the columns and _row, is true. The view shares the source's data. cond
// must not hold text from a user unless Condition has accepted it.
func (t *Table) Where(ctx context.Context, cond string) (*Table, error) {
	v := *t
	v.store = ""
	v.relation = t.engine.name("v")
	v.joined = t.joined || joins(cond)
	if len(t.fields) >= WideColumns && t.base != "" {
		v.joined = true
		// The condition is evaluated once, so that no later statement has to plan it over all columns.
		v.kept = t.engine.name("k")
		if err := t.engine.exec(ctx, "CREATE TABLE "+v.kept+" AS SELECT _row AS r FROM "+t.relation+where(cond)); err != nil {
			return nil, err
		}
		if err := t.engine.exec(ctx, "CREATE VIEW "+v.relation+" AS SELECT * FROM "+t.relation+" WHERE _row IN (SELECT r FROM "+v.kept+")"); err != nil {
			return nil, err
		}
		return &v, t.engine.queryRow(ctx, "SELECT count(*) FROM "+v.kept, &v.rows)
	}
	if err := t.engine.exec(ctx, "CREATE VIEW "+v.relation+" AS SELECT * FROM "+t.relation+where(cond)); err != nil {
		return nil, err
	}
	if err := t.engine.queryRow(ctx, "SELECT count(*) FROM "+v.relation, &v.rows); err != nil {
		return nil, err
	}
	return &v, nil
}

// joins reports whether an SQL expression or query of our own joins relations: IN (SELECT …) does. The database may take either side of a
// join first, and then gives the rows back in another order.
func joins(sql string) bool {
	sql = strings.ToUpper(sql)
	return strings.Contains(sql, "(SELECT") || strings.Contains(sql, " JOIN ")
}

// inOrder is what follows cond in a statement that wants the rows in the order of _row.
func (t *Table) inOrder(cond string) string {
	if t.joined || joins(cond) {
		return " ORDER BY _row"
	}
	return "" // a scan of stored rows is in their order
}

func where(cond string) string {
	if strings.TrimSpace(cond) == "" {
		return ""
	}
	return " WHERE (" + cond + "\n)"
}

// columns resolves names to fields, all of them for nil, and reports every name that does not exist.
func (t *Table) columns(names []string) ([]assay.Field, error) {
	if names == nil {
		return t.Fields(), nil
	}
	var bad assay.Problems
	out := make([]assay.Field, 0, len(names))
	seen := map[string]bool{}
	for _, n := range names {
		f, ok := t.Field(n)
		switch {
		case !ok:
			bad.Add("%q", n)
		case seen[n]:
			bad.Add("%q is asked for twice", n)
		}
		seen[n] = true
		out = append(out, f)
	}
	return out, bad.Err(assay.NotFound, "the table has no such column")
}
