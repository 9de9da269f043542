package table

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/assay-ml/assay"
)

// A csvFile is one file after its first pass.
type csvFile struct {
	name    string
	path    string // what DuckDB reads: the file itself or a copy that says the same plainly
	d       dialect
	header  bool
	records int64 // data records, without header and empty lines
	longest int
	crlf    bool // lines end in \r\n
	own     bool // path is ours to remove
}

// A csvReader gathers what the first pass over all files of a source finds.
type csvReader struct {
	e       *Engine
	o       *ReadOptions
	null    *tokens
	names   []string
	tallies []tally
	reading assay.Reading
	files   []csvFile
	rows    int64
	exact   bool   // missing is plainNull, unquoted, and nothing else
	unit    string // what errors count: line or record
	notice  []Note // about records, not a column
}

// readCSV reads delimited text in two passes: the first looks at every record and decides the types, the second loads.
func (e *Engine) readCSV(ctx context.Context, sources []source, o *ReadOptions) (*Table, error) {
	c := &csvReader{e: e, o: o, unit: "line"}
	c.reading.Nulls = o.nulls()
	c.null = newTokens(c.reading.Nulls)
	defer c.clean()
	for i := range sources {
		if err := c.scan(ctx, &sources[i], i == 0); err != nil {
			return nil, err
		}
	}
	return c.load(ctx, sources)
}

func (c *csvReader) clean() {
	for _, f := range c.files {
		if f.own {
			os.Remove(f.path)
		}
	}
}

// scan is the first pass over one file.
func (c *csvReader) scan(ctx context.Context, src *source, first bool) error {
	t, err := openText(ctx, src, c.o.Encoding, c.o.Progress)
	if err != nil {
		return err
	}
	defer t.close()
	if len(t.head) == 0 {
		return assay.Errorf(assay.Rejected, "%s is empty: it has no rows and no columns", src.name).Try(emptyHint)
	}
	if sniff(t.head) == Parquet {
		return assay.Errorf(assay.Rejected, "%s is a Parquet file, not text", src.name).Try("give the file the extension .parquet")
	}
	d, err := c.dialect(t, src)
	if err != nil {
		return err
	}
	f := csvFile{name: src.name, path: src.path, d: d}
	var copied *bufio.Writer
	if t.compression != "" || t.encoding != "" {
		out, err := c.e.create("plain")
		if err != nil {
			return err
		}
		defer out.Close()
		f.path, f.own = out.Name(), true
		copied = bufio.NewWriterSize(out, 1<<20)
		t.r = io.TeeReader(t.r, copied)
	}
	s := newScanner(t.r, d)
	var u runes
	cells, err := c.records(s, &u, src.name, first)
	if err == nil && copied != nil {
		err = copied.Flush()
	}
	kept := false
	defer func() {
		if f.own && !kept {
			os.Remove(f.path)
		}
	}()
	if err != nil {
		var known *assay.Error
		if ctx.Err() != nil || errors.As(err, &known) {
			return err
		}
		return assay.Errorf(assay.Unavailable, "%s cannot be read: %w", src.name, err)
	}
	f.header, f.records, f.longest, f.crlf = c.reading.Header, cells, s.longest, s.crlf > 0
	encoding := t.encoding
	if encoding == "" || encoding == UTF8 {
		if encoding, err = u.decide(src.name, c.o.Encoding); err != nil {
			return err
		}
	}
	if first {
		c.reading.Encoding, c.reading.Compression = encoding, t.compression
	}
	c.files = append(c.files, f)
	kept = true
	c.rows += f.records
	if s.plain() && encoding != Latin1 || s.plain() && t.encoding == Latin1 {
		return nil
	}
	recode := ""
	if encoding == Latin1 && t.encoding != Latin1 {
		recode = Latin1
	}
	return c.rewrite(ctx, &c.files[len(c.files)-1], recode)
}

// dialect takes what the options say and detects the rest from the first file.
func (c *csvReader) dialect(t *text, src *source) (dialect, error) {
	d := dialect{quote: '"'}
	if q := c.o.Quote; q == "none" {
		d.quote = 0
	} else if len(q) == 1 && q[0] < 0x80 {
		d.quote = q[0]
	} else if q != "" {
		return d, assay.Errorf(assay.Invalid, "the quote %q is not one ASCII character or \"none\"", q)
	}
	switch {
	case len(c.files) > 0:
		d.delimiter = c.files[0].d.delimiter
	case c.o.Delimiter == `\t`:
		d.delimiter = '\t'
	case len(c.o.Delimiter) == 1 && c.o.Delimiter[0] < 0x80:
		d.delimiter = c.o.Delimiter[0]
	case c.o.Delimiter != "":
		return d, assay.Errorf(assay.Invalid, "the delimiter %q is not one ASCII character", c.o.Delimiter)
	default:
		name := strings.ToLower(src.name)
		d.delimiter = detect(t.head, d.quote, strings.Contains(name, ".tsv") || strings.Contains(name, ".tab"), t.complete)
	}
	if d.delimiter == d.quote || d.delimiter == '\n' || d.delimiter == '\r' || d.delimiter == 0 {
		return d, assay.Errorf(assay.Invalid, "%q cannot be the delimiter", string(d.delimiter))
	}
	c.reading.Delimiter, c.reading.Quote = string(d.delimiter), string(d.quote)
	if d.quote == 0 {
		c.reading.Quote = "none"
	}
	return d, nil
}

// records counts and classifies every record of one file, decides about its header and returns the number of data records.
func (c *csvReader) records(s *scanner, u *runes, name string, first bool) (int64, error) {
	var (
		head    []string // texts of the first record
		kinds   []kind
		tallies []tally
		held    []tally // of the first record
		n       int64
		ragged  places
		widths  []int  // of the first ragged records
		repeats places // records that say what the first does
	)
	for {
		ok, err := s.record()
		if err != nil {
			return 0, err
		}
		if !ok {
			break
		}
		if s.isBlank() && len(head) != 1 {
			continue
		}
		if head == nil {
			tallies, held = make([]tally, len(s.cells)), make([]tally, len(s.cells))
			for i, cell := range s.cells {
				b := s.text(cell)
				u.check(b, s.line)
				head = append(head, latin1IfNot(b))
				k, padded := classify(b, c.null)
				kinds = append(kinds, k)
				held[i].add(k, padded, s.line)
				if k == kindInt {
					held[i].far(b, s.line)
				}
			}
			continue
		}
		n++
		if len(s.cells) != len(head) {
			ragged.add(s.line)
			if len(widths) < firstPlaces {
				widths = append(widths, len(s.cells))
			}
			continue
		}
		again := len(head) > 1
		for i, cell := range s.cells {
			b := s.text(cell)
			u.check(b, s.line)
			k, padded := classify(b, c.null)
			tallies[i].add(k, padded, s.line)
			if k == kindInt {
				tallies[i].far(b, s.line)
			}
			again = again && string(b) == head[i]
		}
		if again {
			repeats.add(s.line)
		}
	}
	if s.nul.count == 0 && s.open == 0 && ragged.count > 0 {
		return 0, raggedError(name, &ragged, widths, len(head), s.d)
	}
	if err := s.fault(name); err != nil {
		return 0, err
	}
	if head == nil {
		return 0, assay.Errorf(assay.Rejected, "%s is empty: it holds nothing but line ends", name).Try(emptyHint)
	}
	header := c.reading.Header
	if first {
		switch c.o.Header {
		case "":
			header = hasHeader(head, kinds, tallies)
		case "yes":
			header = true
		case "no":
			header = false
		default:
			return 0, assay.Errorf(assay.Invalid, "header is %q: want yes, no or nothing for detection", c.o.Header)
		}
		c.reading.Header = header
	}
	names, err := columnNames(name, head, header)
	if err != nil {
		return 0, err
	}
	if header && repeats.count > 0 {
		c.notice = append(c.notice, Note{Message: fmt.Sprintf("%d records of %s repeat its header, the first on line %d: files seem to have been put one after the other", repeats.count, name, repeats.lines[0])})
	}
	if !header {
		n++
		for i := range tallies {
			held[i].merge(&tallies[i])
			tallies[i] = held[i]
		}
	}
	if first {
		c.names, c.tallies = names, tallies
		return n, nil
	}
	return n, c.merge(name, names, tallies)
}

func raggedError(name string, ragged *places, widths []int, want int, d dialect) error {
	var b strings.Builder
	for i, line := range ragged.lines {
		fmt.Fprintf(&b, "\n  - line %d has %d", line, widths[i])
	}
	if ragged.count > int64(len(ragged.lines)) {
		fmt.Fprintf(&b, "\n  - and %d more", ragged.count-int64(len(ragged.lines)))
	}
	return assay.Errorf(assay.Rejected, "%s is ragged or cut off: the first record has %d fields (delimiter %q), but %d records have another number%s",
		name, want, string(d.delimiter), ragged.count, b.String()).Try("repair these lines, or state data.delimiter in assay.yaml or --delimiter")
}

// hasHeader decides whether the first record names the columns. It does if some name stands over values that are not text. It does
// not if it holds a number, a date or a boolean itself, unless these are two or more consecutive years beside a text.
func hasHeader(head []string, first []kind, all []tally) bool {
	typed, words := false, false
	years := 0
	for i, k := range first {
		switch k {
		case kindText:
			words = true
			if rest, _ := all[i].infer(); rest != assay.TypeString {
				return true
			}
		case kindNull, kindBlank:
		default:
			typed = true
			if i > 0 && k == kindInt && first[i-1] == kindInt && len(head[i]) == 4 && len(head[i-1]) == 4 && next(head[i-1]) == head[i] {
				years++
			}
		}
	}
	return !typed || words && years > 0
}

// next counts a year up.
func next(year string) string {
	b := []byte(year)
	for i := len(b) - 1; i >= 0; i-- {
		if b[i]++; b[i] <= '9' {
			break
		}
		b[i] = '0'
	}
	return string(b)
}

// columnNames makes names from a header, without the spaces around them, or column_1, column_2, … without one and for empty names.
func columnNames(file string, head []string, header bool) ([]string, error) {
	names := make([]string, len(head))
	for i := range names {
		if header {
			names[i] = strings.Trim(head[i], " \t\r\n")
		}
		if names[i] == "" {
			names[i] = fmt.Sprintf("column_%d", i+1)
		}
	}
	return names, checkNames(file, names)
}

// checkNames refuses names that SQL cannot tell apart. Its identifiers ignore the case of ASCII letters.
func checkNames(file string, names []string) error {
	var bad assay.Problems
	seen := map[string]int{}
	for i, n := range names {
		key := strings.ToLower(n)
		switch j, dup := seen[key]; {
		case key == "_row":
			bad.Add("the name %q of column %d is reserved for the row number", n, i+1)
		case strings.Contains(n, "\x00"):
			bad.Add("the name of column %d holds a NUL byte", i+1)
		case dup && names[j] == n:
			bad.Add("the name %q is given to column %d and column %d", n, j+1, i+1)
		case dup:
			bad.Add("the names %q of column %d and %q of column %d differ only in case", names[j], j+1, n, i+1)
		default:
			seen[key] = i
		}
	}
	return bad.ErrTry(assay.Rejected, "the header of "+file+" does not name its columns", "give every column of the header a name of its own")
}

// merge adds a further file's tallies by name.
func (c *csvReader) merge(file string, names []string, tallies []tally) error {
	if err := sameNames(c.files[0].name, c.names, file, names); err != nil {
		return err
	}
	for i := range names {
		if names[i] != c.names[i] {
			return assay.Errorf(assay.Rejected, "%s and %s have the same columns in another order, first at column %d (%s and %s)",
				c.files[0].name, file, i+1, c.names[i], names[i]).Try("write the files with one column order")
		}
		c.tallies[i].merge(&tallies[i])
	}
	return nil
}

// sameNames refuses two files of one table with different columns, and names every difference.
func sameNames(a string, as []string, b string, bs []string) error {
	var bad assay.Problems
	inA, inB := map[string]bool{}, map[string]bool{}
	for _, n := range as {
		inA[n] = true
	}
	for _, n := range bs {
		inB[n] = true
		if !inA[n] {
			bad.Add("column %q is in %s and not in %s", n, b, a)
		}
	}
	for _, n := range as {
		if !inB[n] {
			bad.Add("column %q is in %s and not in %s", n, a, b)
		}
	}
	return bad.ErrTry(assay.Rejected, "the files do not make one table", "write the files with the same columns, or name fewer of them")
}

// create makes a file in the engine's directory.
func (e *Engine) create(stem string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(e.dir, e.name(stem)), os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if err != nil {
		return nil, assay.Errorf(assay.Unavailable, "a temporary file cannot be made: %w", err)
	}
	return f, nil
}

// rewrite makes a copy of f with one kind of newline, no empty lines and every field that needs it quoted.
func (c *csvReader) rewrite(ctx context.Context, f *csvFile, recode string) error {
	src, err := stat(f.path, f.name)
	if err != nil {
		return err
	}
	encoding := recode
	if f.own && recode == "" {
		encoding = UTF8 // our copy is decoded already
	}
	t, err := openText(ctx, &src, encoding, nil)
	if err != nil {
		return err
	}
	defer t.close()
	out, err := c.e.create("plain")
	if err != nil {
		return err
	}
	defer out.Close()
	w := newPlainWriter(out)
	s := newScanner(t.r, f.d)
	begun := false // empty lines before the first record are none
	for {
		ok, err := s.record()
		if err != nil {
			os.Remove(out.Name())
			return err
		}
		if !ok {
			break
		}
		if s.isBlank() && (len(c.names) > 1 || !begun) && !c.exact {
			continue
		}
		begun = true
		for i, cell := range s.cells {
			w.field(s.text(cell), i == 0, c.exact && cell.quoted || !c.exact && len(s.cells) == 1)
		}
		for i := len(s.cells); c.exact && i < len(c.names); i++ {
			w.field([]byte(plainNull), false, false)
		}
		w.end()
	}
	if err := w.flush(); err != nil {
		os.Remove(out.Name())
		return assay.Errorf(assay.Unavailable, "a temporary file cannot be written: %w", err)
	}
	if f.own {
		os.Remove(f.path)
	}
	f.path, f.own, f.crlf, f.d = out.Name(), true, false, dialect{',', '"'}
	f.longest = max(f.longest, w.longest)
	return nil
}

// A plainWriter writes CSV in its plainest form: commas, newlines, quotes where they are needed.
type plainWriter struct {
	w       *bufio.Writer
	n       int
	longest int
}

func newPlainWriter(w io.Writer) *plainWriter {
	return &plainWriter{w: bufio.NewWriterSize(w, 1<<20)}
}

// field writes one field; force quotes it whatever it holds.
func (w *plainWriter) field(b []byte, first, force bool) {
	if !first {
		w.w.WriteByte(',')
		w.n++
	}
	w.n += len(b)
	special := force
	for _, c := range b {
		if c == ',' || c == '"' || c == '\n' || c == '\r' {
			special = true
			break
		}
	}
	if !special {
		w.w.Write(b)
		return
	}
	w.n += 2
	w.w.WriteByte('"')
	for _, c := range b {
		if c == '"' {
			w.w.WriteByte('"')
			w.n++
		}
		w.w.WriteByte(c)
	}
	w.w.WriteByte('"')
}

func (w *plainWriter) end() {
	w.w.WriteByte('\n')
	w.longest = max(w.longest, w.n+1)
	w.n = 0
}

func (w *plainWriter) flush() error { return w.w.Flush() }
