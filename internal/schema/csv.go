package schema

import (
	"bytes"
	stdcsv "encoding/csv"
	"io"

	"github.com/assay-ml/assay"
)

// A CSVReader reads one CSV text (RFC 4180) as encoding/csv does, but that it keeps the line ends within a quoted field as they are and does not
// copy fields without quotes. The zero CSVReader reads an empty text. Not safe for use by several goroutines.
type CSVReader struct {
	b       []byte
	i       int
	line    int
	most    int    // fields that a row may have
	width   int    // fields of a row; 0 before the first
	scratch []byte // fields with escaped quotes are put together in it
}

// Reset begins with a new text, which must not be changed as long as fields of it are used, and of which a row has at most so many fields; 0: any
// number.
func (r *CSVReader) Reset(b []byte, most int) { *r = CSVReader{b: b, line: 1, most: most} }

// Read returns the fields of the next row in the memory of row; empty lines are skipped. It returns io.EOF at the end, and Invalid, which names the
// line and no content, for quotes where none may be, and for a row of another length than the first.
func (r *CSVReader) Read(row [][]byte) ([][]byte, error) {
	for r.i < len(r.b) {
		n := lineEnd(r.b[r.i:])
		if n == 0 {
			break
		}
		r.i, r.line = r.i+n, r.line+1
	}
	if r.i == len(r.b) {
		return nil, io.EOF
	}
	row, first := row[:0], r.line
	for more := true; more; {
		var field []byte
		var err error
		if field, more, err = r.field(); err != nil {
			return nil, r.fault(r.line, err)
		}
		switch row = append(row, field); {
		case r.width > 0 && len(row) > r.width:
			return nil, r.fault(first, stdcsv.ErrFieldCount)
		case r.most > 0 && len(row) > r.most:
			return nil, assay.Errorf(assay.Invalid, "line %d of the CSV has more than %d fields", first, r.most)
		}
	}
	if r.width == 0 {
		r.width = len(row)
	}
	if len(row) != r.width {
		return nil, r.fault(first, stdcsv.ErrFieldCount)
	}
	return row, nil
}

func (r *CSVReader) fault(line int, err error) error {
	r.i = len(r.b)
	return assay.Errorf(assay.Invalid, "not CSV: line %d: %w", line, err)
}

// field reads the next field and the comma or line end behind it; more says that it was a comma.
func (r *CSVReader) field() (field []byte, more bool, err error) {
	b := r.b[r.i:]
	if len(b) > 0 && b[0] == '"' {
		return r.quoted()
	}
	n := bytes.IndexAny(b, ",\n")
	if n < 0 {
		n = len(b)
	}
	field, more = b[:n:n], n < len(b) && b[n] == ','
	r.i += n
	if more {
		r.i++
	} else if r.endLine(); n > 0 && field[n-1] == '\r' {
		field = field[: n-1 : n-1]
	}
	if bytes.IndexByte(field, '"') >= 0 {
		return nil, false, stdcsv.ErrBareQuote
	}
	return field, more, nil
}

func (r *CSVReader) quoted() (field []byte, more bool, err error) {
	r.i++
	from := len(r.scratch)
	for escaped := false; ; escaped = true {
		n := bytes.IndexByte(r.b[r.i:], '"')
		if n < 0 {
			return nil, false, stdcsv.ErrQuote
		}
		part := r.b[r.i : r.i+n : r.i+n]
		r.line += bytes.Count(part, []byte("\n"))
		r.i += n + 1
		rest := r.b[r.i:]
		if len(rest) > 0 && rest[0] == '"' {
			r.scratch = append(append(r.scratch, part...), '"')
			r.i++
			continue
		}
		if escaped {
			r.scratch = append(r.scratch, part...)
			part = r.scratch[from:len(r.scratch):len(r.scratch)]
		}
		switch end := lineEnd(rest); {
		case len(rest) > 0 && rest[0] == ',':
			r.i++
			return part, true, nil
		case end > 0 || len(rest) == 0:
			if r.i += end; end > 0 {
				r.line++
			}
			return part, false, nil
		}
		return nil, false, stdcsv.ErrQuote
	}
}

// endLine skips the line feed that comes next, if one does.
func (r *CSVReader) endLine() {
	if r.i < len(r.b) {
		r.i++
		r.line++
	}
}

// lineEnd is the length of the line end that b begins with, 0 without one. A carriage return alone is one at the end of the text.
func lineEnd(b []byte) int {
	switch {
	case len(b) > 0 && b[0] == '\n', len(b) == 1 && b[0] == '\r':
		return 1
	case len(b) > 1 && b[0] == '\r' && b[1] == '\n':
		return 2
	}
	return 0
}
