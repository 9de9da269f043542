package table

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"io"
	"os"
	"unicode/utf8"

	"github.com/klauspost/compress/zstd"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/unicode"

	"github.com/assay-ml/assay"
)

// Encodings of text.
const (
	UTF8    = "utf-8"
	UTF16LE = "utf-16le"
	UTF16BE = "utf-16be"
	Latin1  = "latin-1" // ISO 8859-1
)

// headBytes is how much of a file decides its compression, its encoding by the first bytes and its delimiter.
const headBytes = 256 << 10

// A text is an open source of text: decompressed, and as UTF-8 unless it may be Latin-1, which only the end of the file decides.
type text struct {
	r           io.Reader
	compression string
	encoding    string // "" until known: UTF-8 or Latin-1
	head        []byte
	complete    bool // head is everything
	close       func()
}

// openText opens s. encoding overrides what the first bytes say.
func openText(ctx context.Context, s *source, encoding string, progress func(done, total int64)) (*text, error) {
	f, err := os.Open(s.path)
	if err != nil {
		return nil, assay.Errorf(assay.Forbidden, "%s may not be read", s.name)
	}
	t := &text{close: func() { f.Close() }}
	var r io.Reader = &contextReader{ctx: ctx, r: f, total: s.size, progress: progress}
	magic := make([]byte, 4)
	n, err := io.ReadFull(f, magic)
	if err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
		t.close()
		return nil, assay.Errorf(assay.Unavailable, "%s cannot be read: %w", s.name, err)
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		t.close()
		return nil, assay.Errorf(assay.Unavailable, "%s cannot be read: %w", s.name, err)
	}
	magic = magic[:n]
	switch {
	case bytes.HasPrefix(magic, []byte{0x1f, 0x8b}):
		t.compression = "gzip"
		z, err := gzip.NewReader(bufio.NewReaderSize(r, 1<<18))
		if err != nil {
			t.close()
			return nil, assay.Errorf(assay.Rejected, "%s is not a whole gzip file", s.name).Try("copy the file again")
		}
		r = z
	case bytes.HasPrefix(magic, []byte{0x28, 0xb5, 0x2f, 0xfd}):
		t.compression = "zstd"
		z, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(1<<30))
		if err != nil {
			t.close()
			return nil, assay.Errorf(assay.Rejected, "%s is not a whole zstd file", s.name).Try("copy the file again")
		}
		r = z
		t.close = func() { z.Close(); f.Close() }
	}
	if t.compression != "" {
		r = &truncation{r: r, ctx: ctx, name: s.name, compression: t.compression}
	}
	b := bufio.NewReaderSize(r, headBytes)
	head, err := b.Peek(headBytes)
	if err != nil && err != io.EOF {
		t.close()
		return nil, err
	}
	t.head, t.complete, t.r = head, err == io.EOF, b
	if err := foreign(s.name, head); err != nil {
		t.close()
		return nil, err
	}
	if err := t.decode(s.name, b, encoding); err != nil {
		t.close()
		return nil, err
	}
	return t, nil
}

// decode looks for a byte order mark, then for the NUL bytes that UTF-16 puts beside ASCII, and turns UTF-16 and, when it is asked for,
// Latin-1 into UTF-8.
func (t *text) decode(name string, b *bufio.Reader, encoding string) error {
	mark := ""
	switch {
	case bytes.HasPrefix(t.head, []byte{0xef, 0xbb, 0xbf}):
		mark = UTF8
	case bytes.HasPrefix(t.head, []byte{0xff, 0xfe}):
		mark = UTF16LE
	case bytes.HasPrefix(t.head, []byte{0xfe, 0xff}):
		mark = UTF16BE
	}
	t.encoding = encoding
	if encoding == "" {
		t.encoding = mark
		if mark == "" {
			t.encoding = utf16ByZeros(t.head)
		}
	} else if mark != "" && mark != encoding {
		return assay.Errorf(assay.Invalid, "%s begins with the mark of %s but is said to be %s", name, mark, encoding)
	}
	var decoded io.Reader
	switch t.encoding {
	case UTF8:
		if mark == UTF8 {
			if _, err := b.Discard(3); err != nil {
				return assay.Errorf(assay.Unavailable, "%s cannot be read: %w", name, err)
			}
			t.head = t.head[3:]
		}
		return nil
	case UTF16LE:
		decoded = unicode.UTF16(unicode.LittleEndian, unicode.UseBOM).NewDecoder().Reader(b)
	case UTF16BE:
		decoded = unicode.UTF16(unicode.BigEndian, unicode.UseBOM).NewDecoder().Reader(b)
	case Latin1:
		decoded = charmap.ISO8859_1.NewDecoder().Reader(b)
	case "":
		return nil
	default:
		return assay.Errorf(assay.Invalid, "the encoding %q is not known: want utf-8, utf-16le, utf-16be or latin-1", encoding)
	}
	again := bufio.NewReaderSize(decoded, headBytes)
	head, err := again.Peek(headBytes)
	if err != nil && err != io.EOF {
		return err
	}
	t.head, t.complete, t.r = head, err == io.EOF, again
	return nil
}

// utf16ByZeros recognises UTF-16 without a mark: most bytes on one side of each pair are zero and hardly any on the other.
func utf16ByZeros(head []byte) string {
	n := min(len(head), 4096) / 2 * 2
	if n < 4 {
		return ""
	}
	var zeros [2]int
	for i, b := range head[:n] {
		if b == 0 {
			zeros[i%2]++
		}
	}
	switch half := n / 2; {
	case zeros[1]*10 > half*7 && zeros[0]*10 < half:
		return UTF16LE
	case zeros[0]*10 > half*7 && zeros[1]*10 < half:
		return UTF16BE
	}
	return ""
}

// A truncation turns what a decompressor says about a cut or damaged file into an error for people.
type truncation struct {
	r                 io.Reader
	ctx               context.Context
	name, compression string
}

func (t *truncation) Read(p []byte) (int, error) {
	n, err := t.r.Read(p)
	if err != nil && err != io.EOF {
		if t.ctx.Err() != nil {
			return n, t.ctx.Err()
		}
		return n, assay.Errorf(assay.Rejected, "%s is cut off or damaged: its %s stream does not end as it should", t.name, t.compression).
			Try("copy the file again")
	}
	return n, err
}

// A runes watches what encoding the bytes of a text can have.
type runes struct {
	wide    bool  // there is a valid multi-byte sequence
	wideAt  int64 // line of the first
	invalid places
}

// check looks at one field of the given line.
func (u *runes) check(b []byte, line int64) {
	if ascii(b) {
		return
	}
	if utf8.Valid(b) {
		if !u.wide {
			u.wide, u.wideAt = true, line
		}
		return
	}
	u.invalid.add(line)
}

// emptyHint is what to do about a file that holds nothing.
const emptyHint = "write the file again: a table has a header and rows"

// latin1IfNot reads the name of a column, which is needed before the encoding of its file is decided: as UTF-8, or as Latin-1 where it is
// not. A name of more bytes that is UTF-8 rules Latin-1 out for the whole file.
func latin1IfNot(b []byte) string {
	if utf8.Valid(b) {
		return string(b)
	}
	s, _ := charmap.ISO8859_1.NewDecoder().String(string(b)) // every byte is a character of Latin-1
	return s
}

func ascii(b []byte) bool {
	for _, c := range b {
		if c >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// decide names the encoding of a text that no mark declared.
func (u *runes) decide(name, stated string) (string, error) {
	if u.invalid.count == 0 {
		return UTF8, nil
	}
	if stated == UTF8 {
		return "", assay.Errorf(assay.Rejected, "%s is not UTF-8 throughout: %d fields are not, on lines %s", name, u.invalid.count, u.invalid.list()).
			Try("data.encoding: latin-1 in assay.yaml, or --encoding latin-1, if that is what it is")
	}
	if u.wide {
		return "", assay.Errorf(assay.Rejected, "%s mixes encodings: line %d is UTF-8 but %d fields are not, on lines %s", name, u.wideAt, u.invalid.count, u.invalid.list()).
			Try("convert the file to UTF-8, or state data.encoding in assay.yaml or --encoding, if it is latin-1")
	}
	return Latin1, nil
}
