package table

import (
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/assay-ml/assay"
)

// readParquet loads Parquet files. Their columns must have the same names; types that differ in width are widened.
func (e *Engine) readParquet(ctx context.Context, sources []source, o *ReadOptions) (*Table, error) {
	if len(o.Types) > 0 {
		return nil, assay.Errorf(assay.Invalid, "the columns of a Parquet file have types of their own: none can be stated")
	}
	links := make([]string, len(sources))
	defer func() {
		for _, l := range links {
			if l != "" {
				os.Remove(l)
			}
		}
	}()
	var names, selects []string
	var fields []assay.Field
	var err error
	for i := range sources {
		if err := wholeParquet(&sources[i]); err != nil {
			return nil, err
		}
		link, err := e.link(ctx, sources[i].path)
		if err != nil {
			return nil, err
		}
		links[i] = link
		if fields, selects, err = e.describe(ctx, parquetFiles(link)); err != nil {
			return nil, parquetError(ctx, sources[i].name, err)
		}
		columns, err := e.parquetNames(ctx, link)
		if err != nil {
			return nil, parquetError(ctx, sources[i].name, err)
		}
		if len(columns) != len(fields) { // the engine understands the file otherwise
			columns = columns[:0]
			for _, f := range fields {
				columns = append(columns, f.Name)
			}
		}
		if i == 0 {
			names = columns
			if err := checkNames(sources[i].name, names); err != nil {
				return nil, err
			}
		} else if err := sameNames(sources[0].name, names, sources[i].name, columns); err != nil {
			return nil, err
		}
	}
	from := parquetFiles(links...)
	if len(links) > 1 { // what they are together
		if fields, selects, err = e.describe(ctx, from); err != nil {
			return nil, parquetError(ctx, sources[0].name, err)
		}
	}
	for i, f := range fields {
		column := Ident(f.Name)
		typ, value, err := e.stated(ctx, from, column, f.Type, o.As[f.Name])
		if err != nil {
			return nil, parquetError(ctx, sources[0].name, err)
		}
		if value != column {
			selects[i] = fmt.Sprintf("%s AS c%d", value, i)
		}
		fields[i].Type = typ
	}
	whole, err := e.textIntegers(ctx, links)
	if err != nil {
		return nil, parquetError(ctx, sources[0].name, err)
	}
	for i := range fields {
		if whole[fields[i].Name] && fields[i].Type == assay.TypeString {
			fields[i].Type, selects[i] = assay.TypeInteger, fmt.Sprintf("CAST(%s AS HUGEINT) AS c%d", Ident(fields[i].Name), i)
		}
	}
	promise := "SELECT coalesce(sum(num_rows), 0)::BIGINT FROM parquet_file_metadata(" + literals(links) + ")"
	if e.inPlace && len(links) == 1 && len(fields) < WideColumns && !slices.ContainsFunc(names, numbersRows) {
		t := &Table{engine: e, format: Parquet, sources: sources, inPlace: true}
		if err := t.view(ctx, links[0], fields, selects, promise); err != nil {
			return nil, err
		}
		links[0] = "" // stays until the engine is closed
		return t, nil
	}
	var promised int64
	if err := e.queryRow(ctx, promise, &promised); err != nil {
		return nil, parquetError(ctx, sources[0].name, err)
	}
	if len(links) == 1 {
		from = besides(from, fields, promised, besideColumns)
	}
	store := e.name("t")
	if err := e.exec(ctx, "CREATE TABLE "+store+" AS SELECT "+strings.Join(selects, ", ")+" FROM "+from); err != nil {
		return nil, parquetError(ctx, sources[0].name, err)
	}
	for i := range sources {
		if err := sources[i].changed(); err != nil {
			e.drop(store)
			return nil, err
		}
	}
	t := &Table{engine: e, format: Parquet, sources: sources}
	if err := t.adopt(ctx, store, fields); err != nil {
		return nil, err
	}
	if promised != t.rows {
		e.drop(store)
		return nil, brokenPromise(&sources[0], promised, t.rows)
	}
	return t, nil
}

// parquetFiles is what reads files as one relation.
func parquetFiles(links ...string) string {
	return fmt.Sprintf("read_parquet(%s, union_by_name=%t, hive_partitioning=false)", literals(links), len(links) > 1)
}

// literals is a list of texts as SQL.
func literals(texts []string) string {
	quoted := make([]string, len(texts))
	for i, t := range texts {
		quoted[i] = Literal(t)
	}
	return "[" + strings.Join(quoted, ", ") + "]"
}

// A file of more columns than besideColumns is read that many at a time, unless it holds more than besideValues values: the engine keeps those of
// all groups but the first in memory until their rows are put together.
const (
	besideColumns = 2500
	besideValues  = 16_000_000
)

// besides is what reads one file of very many columns as groups of columns beside each other, in the order of the file's rows. The engine looks
// through all columns of a statement for each of them, and its threads wait for each other meanwhile: 10,000 columns of 200 rows take a
// third of the time in groups.
func besides(from string, fields []assay.Field, rows int64, atOnce int) string {
	if len(fields) <= atOnce || rows*int64(len(fields)) > besideValues {
		return from
	}
	var groups []string
	for part := range slices.Chunk(fields, atOnce) {
		names := make([]string, len(part))
		for i, f := range part {
			names[i] = Ident(f.Name)
		}
		groups = append(groups, "(SELECT "+strings.Join(names, ", ")+" FROM "+from+")")
	}
	return strings.Join(groups, " POSITIONAL JOIN ")
}

func brokenPromise(s *source, promised, rows int64) error {
	return assay.Errorf(assay.Rejected, "%s says that it holds %d rows but %d can be read", s.name, promised, rows)
}

// rowNumber is the column that the engine adds to a Parquet file when it is asked to number the rows.
const rowNumber = "file_row_number"

func numbersRows(column string) bool { return strings.EqualFold(column, rowNumber) }

// view makes t the relation over one file that is not loaded. selects are expressions over the file, named c0, c1, … in the order of fields.
func (t *Table) view(ctx context.Context, link string, fields []assay.Field, selects []string, promise string) error {
	from := "read_parquet(" + Literal(link) + ", " + rowNumber + "=true, hive_partitioning=false)"
	s := &t.sources[0]
	columns := make([]string, 0, len(fields)+1)
	columns = append(columns, rowNumber+" AS _row")
	t.relation, t.fields, t.index = t.engine.name("v"), fields, make(map[string]int, len(fields))
	for i, f := range fields {
		t.index[f.Name] = i
		columns = append(columns, strings.TrimSuffix(selects[i], fmt.Sprintf(" AS c%d", i))+" AS "+Ident(f.Name))
	}
	if err := t.engine.exec(ctx, "CREATE VIEW "+t.relation+" AS SELECT "+strings.Join(columns, ", ")+" FROM "+from); err != nil {
		return parquetError(ctx, s.name, err)
	}
	var promised int64
	if err := t.engine.queryRow(ctx, promise, &promised); err != nil {
		return parquetError(ctx, s.name, err)
	}
	if err := t.engine.queryRow(ctx, "SELECT count(*) FROM "+t.relation, &t.rows); err != nil {
		return parquetError(ctx, s.name, err)
	}
	if promised != t.rows {
		return brokenPromise(s, promised, t.rows)
	}
	return s.changed()
}

// ReadError says of an error of statements over t what it means. Of a table that is read in place, it is rejected when the file changed
// since it was opened, whatever err is, and when the file cannot be read as a whole. Everything else is returned as it is, nil included.
func (t *Table) ReadError(ctx context.Context, err error) error {
	if !t.inPlace || ctx.Err() != nil {
		return err
	}
	if changed := t.Unchanged(); changed != nil || err == nil {
		return changed
	}
	counts := make([]string, len(t.fields))
	for i, f := range t.fields {
		counts[i] = "count(" + Ident(f.Name) + ")"
	}
	r, bad := t.Query(ctx, "SELECT "+strings.Join(counts, ", ")+" FROM "+t.relation)
	if bad == nil {
		for r.Next() {
		}
		bad = r.Err()
		r.Close()
	}
	if bad != nil {
		return parquetError(ctx, t.sources[0].name, bad)
	}
	return err
}

// parquetNames are the names of a file's columns as the file has them: the engine renames those that equal another.
func (e *Engine) parquetNames(ctx context.Context, link string) ([]string, error) {
	r, err := e.query(ctx, "SELECT name, coalesce(num_children, 0)::BIGINT FROM parquet_schema("+Literal(link)+")")
	if err != nil {
		return nil, err
	}
	defer r.Close()
	var names []string
	inner := int64(-1) // elements below the current column that are still to come; −1: the root is
	for r.Next() {
		var name string
		var children int64
		if err := r.Scan(&name, &children); err != nil {
			return nil, err
		}
		switch {
		case inner < 0:
			inner = 0
		case inner == 0:
			names, inner = append(names, name), children
		default:
			inner += children - 1
		}
	}
	return names, r.Err()
}

// wholeParquet looks for the magic bytes at both ends of the file.
func wholeParquet(s *source) error {
	f, err := os.Open(s.path)
	if err != nil {
		return assay.Errorf(assay.Forbidden, "%s may not be read", s.name)
	}
	defer f.Close()
	if s.size == 0 {
		return assay.Errorf(assay.Rejected, "%s is empty: it has no rows and no columns", s.name).Try(emptyHint)
	}
	var head, tail [4]byte
	if _, err := f.ReadAt(head[:], 0); err != nil && err != io.EOF {
		return assay.Errorf(assay.Unavailable, "%s cannot be read: %w", s.name, err)
	}
	if string(head[:]) == "PARE" {
		return assay.Errorf(assay.Unimplemented, "%s is encrypted, which is not supported", s.name)
	}
	if string(head[:]) != "PAR1" {
		return assay.Errorf(assay.Rejected, "%s is not a Parquet file: it does not begin with PAR1", s.name).Try("give the file the extension of what it is")
	}
	if s.size < 12 {
		return assay.Errorf(assay.Rejected, "%s is cut off: %d bytes are too few for a Parquet file", s.name, s.size).Try("copy the file again")
	}
	if _, err := f.ReadAt(tail[:], s.size-4); err != nil && err != io.EOF {
		return assay.Errorf(assay.Unavailable, "%s cannot be read: %w", s.name, err)
	}
	if string(tail[:]) != "PAR1" {
		return assay.Errorf(assay.Rejected, "%s is cut off: a Parquet file ends with PAR1 and this one, after %d bytes, does not", s.name, s.size).
			Try("copy the file again")
	}
	return nil
}

// parquetError says that the content is at fault, unless memory, disk or the context was.
func parquetError(ctx context.Context, name string, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if e := (&assay.Error{}); asError(err, &e) && e.Hint != "" {
		return err
	}
	return assay.Errorf(assay.Rejected, "%s is damaged or not a Parquet file that can be read: %w", name, err).Try("copy the file again")
}

// describe lists the columns of a relation, and the expressions that bring each to a type of ours, named c0, c1, ….
func (e *Engine) describe(ctx context.Context, from string) ([]assay.Field, []string, error) {
	r, err := e.query(ctx, "SELECT column_name, column_type FROM (DESCRIBE SELECT * FROM "+from+")")
	if err != nil {
		return nil, nil, err
	}
	defer r.Close()
	var fields []assay.Field
	var selects []string
	for r.Next() {
		var name, typ string
		if err := r.Scan(&name, &typ); err != nil {
			return nil, nil, err
		}
		t, expression := logical(typ, Ident(name))
		selects = append(selects, fmt.Sprintf("%s AS c%d", expression, len(fields)))
		fields = append(fields, assay.Field{Name: name, Type: t})
	}
	return fields, selects, r.Err()
}

// logical maps a type of DuckDB to one of ours, and the expression that stores it: timestamps in UTC with microseconds, nested values as
// JSON, float32 widened. A decimal without a place after the point is an integer.
func logical(typ, column string) (assay.Type, string) {
	base, _, _ := strings.Cut(typ, "(")
	if strings.HasSuffix(typ, "]") {
		return assay.TypeJSON, "CAST(to_json(" + column + ") AS VARCHAR)"
	}
	switch base {
	case "BOOLEAN":
		return assay.TypeBoolean, column
	case "TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT", "UINTEGER", "HUGEINT":
		return assay.TypeInteger, column
	case "UBIGINT", "UHUGEINT":
		return assay.TypeInteger, "CAST(" + column + " AS HUGEINT)"
	case "DECIMAL":
		if strings.HasSuffix(typ, ",0)") {
			return assay.TypeInteger, "CAST(" + column + " AS HUGEINT)"
		}
		return assay.TypeNumber, column
	case "FLOAT":
		return assay.TypeNumber, "CAST(" + column + " AS DOUBLE)"
	case "DOUBLE":
		return assay.TypeNumber, column
	case "VARCHAR":
		return assay.TypeString, column
	case "DATE":
		return assay.TypeDate, column
	case "TIME":
		return assay.TypeTime, column
	case "TIME WITH TIME ZONE", "TIME_NS":
		return assay.TypeTime, "CAST(" + column + " AS TIME)"
	case "TIMESTAMP":
		return assay.TypeTimestamp, column
	case "TIMESTAMP_S", "TIMESTAMP_MS", "TIMESTAMP_NS":
		return assay.TypeTimestamp, "CAST(" + column + " AS TIMESTAMP)"
	case "TIMESTAMP WITH TIME ZONE":
		return assay.TypeTimestamp, "CAST(" + column + " AT TIME ZONE 'UTC' AS TIMESTAMP)"
	case "BLOB":
		return assay.TypeBinary, column
	case "JSON":
		return assay.TypeJSON, "CAST(" + column + " AS VARCHAR)"
	case "STRUCT", "MAP", "UNION", "VARIANT":
		return assay.TypeJSON, "CAST(to_json(" + column + ") AS VARCHAR)"
	}
	return assay.TypeString, "CAST(" + column + " AS VARCHAR)"
}
