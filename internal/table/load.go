package table

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/assay-ml/assay"
)

// load is the second pass: DuckDB reads the files with the types that the first pass has proved.
func (c *csvReader) load(ctx context.Context, sources []source) (*Table, error) {
	types, err := c.types()
	if err != nil {
		return nil, err
	}
	fields := make([]assay.Field, len(c.names))
	columns := make([]string, len(c.names))
	selects := make([]string, len(c.names))
	for i, n := range c.names {
		fields[i] = assay.Field{Name: n, Type: types[i].typ}
		columns[i] = fmt.Sprintf("'c%d': '%s'", i, types[i].read)
		selects[i] = types[i].expression(fmt.Sprintf("c%d", i), c.reading.Nulls) + fmt.Sprintf(" AS c%d", i)
	}
	store := c.e.name("t")
	for i, f := range c.files {
		link, err := c.e.link(ctx, f.path)
		if err != nil {
			return nil, err
		}
		query := fmt.Sprintf("SELECT %s FROM read_csv(%s, %s, columns={%s})",
			strings.Join(selects, ", "), Literal(link), c.options(&f), strings.Join(columns, ", "))
		if i == 0 {
			query = "CREATE TABLE " + store + " AS " + query
		} else {
			query = "INSERT INTO " + store + " " + query
		}
		err = c.e.exec(ctx, query)
		os.Remove(link)
		if err == nil {
			err = sources[i].changed()
		}
		if err != nil {
			c.e.drop(store)
			return nil, loadError(f.name, err)
		}
	}
	for i := range fields {
		column := fmt.Sprintf("c%d", i)
		typ, value, err := c.e.stated(ctx, store, column, fields[i].Type, c.o.As[c.names[i]])
		if err == nil && value != column {
			err = c.e.exec(ctx, fmt.Sprintf("ALTER TABLE %s ALTER %s SET DATA TYPE BLOB USING %s", store, column, value))
		}
		if err != nil {
			c.e.drop(store)
			return nil, err
		}
		fields[i].Type = typ
	}
	t := &Table{engine: c.e, format: CSV, reading: c.reading, sources: sources}
	if err := t.adopt(ctx, store, fields); err != nil {
		return nil, err
	}
	if t.rows != c.rows {
		c.e.drop(store)
		return nil, assay.Errorf(assay.Internal, "%s holds %d records but %d rows were loaded", c.files[0].name, c.rows, t.rows)
	}
	t.notes = c.notes(types)
	return t, nil
}

// loadError keeps what is wrong in general and adds which file it was.
func loadError(name string, err error) error {
	switch assay.CodeOf(err) {
	case assay.Unavailable, assay.Rejected:
		return err
	}
	return assay.Errorf(assay.Internal, "%s cannot be loaded: %w", name, err)
}

// drop removes a relation that failed half-way. Its failure changes nothing: the whole database goes with the engine.
func (e *Engine) drop(store string) {
	_ = e.exec(context.Background(), "DROP TABLE IF EXISTS "+store)
}

// link gives a file a name in the engine's directory, the only one that the database may read: a hard link, or a copy where the file
// system has none to give. The database resolves symbolic links before it decides, so those would not do.
func (e *Engine) link(ctx context.Context, path string) (string, error) {
	link := filepath.Join(e.dir, e.name("link"))
	// A link to a symbolic link would be another symbolic link.
	if target, err := filepath.EvalSymlinks(path); err == nil && os.Link(target, link) == nil {
		return link, nil
	}
	in, err := os.Open(path)
	if err != nil {
		return "", assay.Errorf(assay.Forbidden, "%s may not be read", filepath.Base(path))
	}
	defer in.Close()
	out, err := os.OpenFile(link, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return "", assay.Errorf(assay.Unavailable, "a temporary file cannot be made: %w", err)
	}
	_, err = io.Copy(out, &contextReader{ctx: ctx, r: in})
	if cerr := out.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		os.Remove(link)
		if ctx.Err() != nil {
			return "", ctx.Err()
		}
		return "", assay.Errorf(assay.Unavailable, "%s cannot be copied to the temporary directory: %w", filepath.Base(path), err)
	}
	return link, nil
}

// options are read_csv's, all of them stated so that nothing is guessed.
func (c *csvReader) options(f *csvFile) string {
	quote := ""
	if f.d.quote != 0 {
		quote = string(f.d.quote)
	}
	nulls := make([]string, len(c.reading.Nulls))
	for i, n := range c.reading.Nulls {
		nulls[i] = Literal(n)
	}
	switch {
	case c.exact:
		nulls = []string{Literal(plainNull)}
	case len(nulls) == 0:
		nulls = []string{Literal("\x01\x01")} // the list may not be empty
	}
	newline := `, new_line='\n'`
	if f.crlf {
		newline = "" // DuckDB loads nothing when it is told; without being told it finds out
	}
	// DuckDB wants room for at least one record in a buffer.
	line := max(f.longest+64, 2<<20)
	o := fmt.Sprintf("auto_detect=false, header=%t, delim=%s, quote=%s, escape=%s%s, nullstr=[%s], max_line_size=%d, buffer_size=%d, strict_mode=true, null_padding=false, ignore_errors=false",
		f.header, Literal(string(f.d.delimiter)), Literal(quote), Literal(quote), newline, strings.Join(nulls, ", "), line, max(2*line, 32<<20))
	if c.exact {
		o += ", allow_quoted_nulls=false"
	}
	return o
}

// A columnType is the decision about one column.
type columnType struct {
	typ    assay.Type
	read   string // what read_csv makes of it
	store  string // what is kept
	padded bool
	zoned  bool
}

// types decides every column, or reports every stated type that does not fit.
func (c *csvReader) types() ([]columnType, error) {
	out := make([]columnType, len(c.names))
	var bad assay.Problems
	for name := range c.o.Types {
		if !slices.Contains(c.names, name) {
			bad.Add("there is no column %q", name)
		}
	}
	slices.Sort(bad)
	for i, name := range c.names {
		t := &c.tallies[i]
		typ, store := t.infer()
		if c.keepsText(name) {
			typ, store = assay.TypeString, "VARCHAR"
		}
		if stated, ok := c.o.Types[name]; ok {
			fit, line := t.fits(stated)
			var total int64
			for _, n := range t.count {
				total += n
			}
			switch {
			case duckType(stated) == "":
				bad.Add("column %q: %q is not a type that text can be read as", name, stated)
				continue
			case fit < total:
				bad.Add("column %q cannot be read as %s: %d of %d values are not, the first on %s %d", name, stated, total-fit, total, c.unit, line)
				continue
			}
			typ, store = stated, duckType(stated)
			switch {
			case typ == assay.TypeInteger && t.count[kindHuge]+t.count[kindCode] > 0:
				store = "HUGEINT"
			case typ == assay.TypeTimestamp && t.count[kindStampZone] > 0:
				store = "TIMESTAMPTZ"
			}
		}
		ct := columnType{typ: typ, read: store, store: store, zoned: store == "TIMESTAMPTZ"}
		if ct.zoned {
			ct.store = "TIMESTAMP"
		}
		if typ != assay.TypeString && (t.padded > 0 || typ == assay.TypeTimestamp || typ == assay.TypeTime || t.count[kindVast] > 0 || t.count[kindCode] > 0) {
			ct.read, ct.padded = "VARCHAR", true
		}
		out[i] = ct
	}
	return out, bad.Err(assay.Rejected, "the stated types do not fit "+c.files[0].name)
}

// keepsText reports whether a column is text whatever its values look like. JSON says itself what is text.
func (c *csvReader) keepsText(name string) bool {
	return c.unit == "line" && c.o.As[name] != ""
}

// duckType names the type of DuckDB that holds t, or "".
func duckType(t assay.Type) string {
	switch t {
	case assay.TypeBoolean:
		return "BOOLEAN"
	case assay.TypeInteger:
		return "BIGINT"
	case assay.TypeNumber:
		return "DOUBLE"
	case assay.TypeString:
		return "VARCHAR"
	case assay.TypeDate:
		return "DATE"
	case assay.TypeTime:
		return "TIME"
	case assay.TypeTimestamp:
		return "TIMESTAMP"
	}
	return ""
}

// expression turns what read_csv gives into what is kept.
func (t *columnType) expression(column string, nulls []string) string {
	if !t.padded {
		return column
	}
	list := []string{"''"}
	for _, n := range nulls {
		list = append(list, Literal(n))
	}
	trimmed := "trim(" + column + ", ' ' || chr(9))"
	cast := "CAST(" + trimmed + " AS " + t.store + ")"
	if t.zoned {
		cast = "CAST(CAST(" + trimmed + " AS TIMESTAMPTZ) AT TIME ZONE 'UTC' AS TIMESTAMP)"
	}
	return fmt.Sprintf("CASE WHEN %s IN (%s) THEN NULL ELSE %s END", trimmed, strings.Join(list, ", "), cast)
}

// notes says why columns that look typed are text, and what else a reader should know.
func (c *csvReader) notes(types []columnType) []Note {
	out := c.notice
	for i := range c.names {
		t := &c.tallies[i]
		if _, stated := c.o.Types[c.names[i]]; stated {
			continue
		}
		var n int64
		for k := kindBool; k < kinds; k++ {
			n += t.count[k]
		}
		add := func(format string, args ...any) {
			out = append(out, Note{Column: c.names[i], Message: fmt.Sprintf(format, args...)})
		}
		numeric := t.count[kindInt] + t.count[kindHuge] + t.count[kindNumber] + t.count[kindNaN] + t.count[kindInf]
		dates := t.count[kindDate] + t.count[kindStamp] + t.count[kindStampZone]
		switch {
		case types[i].typ == assay.TypeString && t.count[kindVast] > 0 && t.count[kindVast]+numeric == n:
			add("kept as text: %d integers are beyond 128 bits, the first on %s %d", t.count[kindVast], c.unit, t.first[kindVast])
		case types[i].typ == assay.TypeString && t.count[kindCode] > 0 && t.count[kindCode]+numeric == n:
			add("kept as text: %d values have leading zeros or a plus sign, the first on %s %d", t.count[kindCode], c.unit, t.first[kindCode])
		case types[i].typ == assay.TypeString && numeric*10 >= n*9 && numeric > 0 && numeric < n:
			_, line := t.fits(assay.TypeNumber)
			add("kept as text: %d of %d values are not numbers, the first on %s %d", n-numeric, n, c.unit, line)
		case types[i].typ == assay.TypeString && dates*10 >= n*9 && dates > 0:
			if dates == n {
				add("kept as text: some timestamps have an offset from UTC and some have none")
			} else {
				_, line := t.fits(assay.TypeTimestamp)
				add("kept as text: %d of %d values are not ISO 8601 dates, the first on %s %d", n-dates, n, c.unit, line)
			}
		case types[i].typ == assay.TypeNumber && t.count[kindHuge]+t.count[kindVast] > 0:
			add("%d integers beyond 64 bits are rounded to float64, because other values have decimals", t.count[kindHuge]+t.count[kindVast])
		}
		if types[i].typ == assay.TypeNumber && t.beyond > 0 {
			add("%d integers beyond 2^53 are rounded to float64, because other values have decimals, the first on %s %d", t.beyond, c.unit, t.firstFar)
		}
	}
	return out
}
