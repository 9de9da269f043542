package table

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/assay-ml/assay"
)

// Write writes columns (nil: all) of the rows for which the SQL expression cond is true ("": all), in the order of _row, to a file whose
// extension says the format: .parquet, .csv, .tsv, .jsonl, and .csv.gz, .tsv.gz, .jsonl.gz. The file appears whole or not at all, and
// replaces an existing one. In CSV a missing value is an empty field and an empty text a quoted empty one, which
// Read takes for missing too. Nested values are the text of their JSON in CSV, and bytes the base64 of theirs in all formats but Parquet. JSON
// cannot hold NaN and infinities, so rows with them are rejected there. Integers are exact in every format, whatever their size.
func (t *Table) Write(ctx context.Context, path string, columns []string, cond string) error {
	return t.write(ctx, path, columns, cond, 0o644)
}

// WritePrivate is Write of a file that its owner alone may read.
func (t *Table) WritePrivate(ctx context.Context, path string) error {
	return t.write(ctx, path, nil, "", 0o600)
}

func (t *Table) write(ctx context.Context, path string, columns []string, cond string, mode fs.FileMode) error {
	fields, err := t.columns(columns)
	if err != nil {
		return err
	}
	if len(fields) == 0 {
		return assay.Errorf(assay.Invalid, "%s: a file needs at least one column", filepath.Base(path))
	}
	name := strings.ToLower(filepath.Base(path))
	plain, zipped := strings.CutSuffix(name, ".gz")
	format := ""
	switch filepath.Ext(plain) {
	case ".parquet":
		format = "FORMAT parquet, COMPRESSION zstd"
	case ".csv":
		format = "FORMAT csv, HEADER"
	case ".tsv":
		format = `FORMAT csv, HEADER, DELIMITER E'\t'`
	case ".jsonl", ".ndjson":
		format = "FORMAT json"
	}
	if format == "" || zipped && filepath.Ext(plain) == ".parquet" {
		return assay.Errorf(assay.Invalid, "%s: the extension names no format that can be written: want .parquet, .csv, .tsv or .jsonl, the last three also with .gz", filepath.Base(path))
	}
	if zipped {
		format += ", COMPRESSION gzip"
	}
	selects := make([]string, len(fields))
	for i, f := range fields {
		selects[i] = Ident(f.Name)
		switch {
		case f.Type == assay.TypeJSON && !strings.Contains(format, "csv"): // so that who reads the file finds nested values, and no text
			typ, _, err := t.engine.stated(ctx, t.read(fields[i:i+1], cond), selects[i], assay.TypeString, assay.TypeJSON)
			if err != nil {
				return err
			}
			if typ != assay.TypeJSON { // the database is stricter than others
				continue
			}
			selects[i] = fmt.Sprintf("CAST(%s AS JSON) AS %s", selects[i], selects[i])
		case f.Type == assay.TypeBinary && !strings.Contains(format, "parquet"):
			selects[i] = fmt.Sprintf("to_base64(%s) AS %s", selects[i], selects[i])
		}
	}
	if strings.Contains(format, "parquet") {
		var more string
		if more, err = t.parquetColumns(ctx, fields, selects); err != nil {
			return err
		}
		format += more
	}
	if strings.Contains(format, "json") {
		if err := t.finite(ctx, fields, cond); err != nil {
			return err
		}
	}
	made := filepath.Join(t.engine.dir, t.engine.name("out"))
	defer os.Remove(made)
	query := fmt.Sprintf("COPY (SELECT %s FROM %s%s%s) TO %s (%s)", strings.Join(selects, ", "), t.relation, where(cond), t.inOrder(cond), Literal(made), format)
	if err := t.engine.exec(ctx, query); err != nil {
		return err
	}
	return move(made, path, mode)
}

// finiteColumns is how many columns one statement of finite looks at: it is planned in time that grows with their square.
const finiteColumns = 128

// finite refuses numbers that JSON cannot hold.
func (t *Table) finite(ctx context.Context, fields []assay.Field, cond string) error {
	var bad assay.Problems
	numbers := slices.DeleteFunc(slices.Clone(fields), func(f assay.Field) bool { return f.Type != assay.TypeNumber })
	for part := range slices.Chunk(numbers, finiteColumns) {
		counts, n, dest := make([]string, len(part)), make([]int64, len(part)), make([]any, len(part))
		for i, f := range part {
			counts[i], dest[i] = "count(*) FILTER (NOT isfinite(CAST("+Ident(f.Name)+" AS DOUBLE)))", &n[i]
		}
		if err := t.engine.queryRow(ctx, "SELECT "+strings.Join(counts, ", ")+" FROM "+t.read(part, cond), dest...); err != nil {
			return err
		}
		for i, f := range part {
			if n[i] > 0 {
				bad.Add("column %q has %d values that are NaN or infinite", f.Name, n[i])
			}
		}
	}
	err := bad.Err(assay.Rejected, "JSON cannot hold the rows")
	if e := (&assay.Error{}); asError(err, &e) {
		return e.Try("write .parquet or .csv")
	}
	return err
}

// move puts a finished file in place: synced, then renamed within the target's directory. A file that holds the same bytes already stays
// as it is, so that who reads it while others write it again is not told that it changed.
func move(made, path string, mode fs.FileMode) (err error) {
	cannot := func(err error) error {
		if p := (*fs.PathError)(nil); errors.As(err, &p) {
			err = p.Err // the path is that of a temporary file
		}
		return assay.Errorf(assay.Unavailable, "%s cannot be written: %w", filepath.Base(path), err).Try("name a file in a folder that is there and can be written to")
	}
	in, err := os.Open(made)
	if err != nil {
		return cannot(err)
	}
	defer in.Close()
	out, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return cannot(err)
	}
	defer func() {
		if err != nil {
			os.Remove(out.Name())
		}
	}()
	if _, err = io.Copy(out, in); err != nil {
		out.Close()
		return cannot(err)
	}
	if err = out.Chmod(mode); err == nil {
		err = out.Sync()
	}
	if cerr := out.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return cannot(err)
	}
	if same(out.Name(), path) {
		os.Remove(out.Name())
		return nil
	}
	// Where nothing is, a link settles who of several comes first: it fails where a rename would replace what another just wrote.
	if os.Link(out.Name(), path) == nil || same(out.Name(), path) {
		os.Remove(out.Name())
		return nil
	}
	if err = os.Rename(out.Name(), path); err != nil {
		return cannot(err)
	}
	return nil
}

// same reports whether two regular files, neither of them reached through a link, hold the same bytes.
func same(a, b string) bool {
	var files [2]*os.File
	var sizes [2]int64
	for i, path := range []string{a, b} {
		info, err := os.Lstat(path)
		if err != nil || !info.Mode().IsRegular() {
			return false
		}
		f, err := os.Open(path)
		if err != nil {
			return false
		}
		defer f.Close()
		files[i], sizes[i] = f, info.Size()
	}
	if sizes[0] != sizes[1] {
		return false
	}
	x, y := make([]byte, 1<<16), make([]byte, 1<<16)
	for {
		n, err := io.ReadFull(files[0], x)
		m, other := io.ReadFull(files[1], y)
		if !bytes.Equal(x[:n], y[:m]) {
			return false
		}
		if err != nil || other != nil {
			ended := func(err error) bool { return err == io.EOF || err == io.ErrUnexpectedEOF }
			return ended(err) && ended(other)
		}
	}
}
