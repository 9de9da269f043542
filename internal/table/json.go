package table

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"unicode/utf8"

	"github.com/assay-ml/assay"
)

// plainNull is how a missing value is written, unquoted, where a plain copy must tell it from an empty text.
const plainNull = `\N`

// readJSON reads objects, one a line or in one array, and takes their keys as columns in the order in which they first appear. An absent
// key and null are missing values. A JSON string stays text, unless all of a column's strings are ISO 8601 dates; numbers stay exact;
// objects and arrays become columns of the type json, and so does every value of a column that ReadOptions.As calls so.
func (e *Engine) readJSON(ctx context.Context, sources []source, o *ReadOptions, format string) (*Table, error) {
	c := &csvReader{e: e, o: o, exact: true, unit: "record"}
	c.reading.Nulls = o.Nulls
	c.null = newTokens(o.Nulls)
	defer c.clean()
	j := &jsonReader{c: c, index: map[string]int{}}
	for i := range sources {
		if err := j.scan(ctx, &sources[i], i == 0); err != nil {
			return nil, err
		}
	}
	if len(c.names) == 0 {
		return nil, assay.Errorf(assay.Rejected, "%s holds no object with a key: it has no columns", sources[0].name)
	}
	if err := checkNames(sources[0].name, c.names); err != nil {
		return nil, err
	}
	for i := range c.tallies {
		// A key that is absent from a record is missing there.
		t := &c.tallies[i]
		var n int64
		for _, k := range t.count {
			n += k
		}
		t.count[kindNull] += c.rows - n
	}
	for i := range c.files {
		if j.widths[i] != len(c.names) {
			if err := c.rewrite(ctx, &c.files[i], ""); err != nil {
				return nil, err
			}
		}
	}
	t, err := c.load(ctx, sources)
	if err != nil {
		return nil, err
	}
	t.format = format
	return t, nil
}

// A jsonReader turns JSON into plain copies that the second pass loads.
type jsonReader struct {
	c      *csvReader
	index  map[string]int
	widths []int // columns that every record of a file has; -1 if they differ
}

func (j *jsonReader) scan(ctx context.Context, src *source, first bool) error {
	t, err := openText(ctx, src, j.c.o.Encoding, j.c.o.Progress)
	if err != nil {
		return err
	}
	defer t.close()
	if len(t.head) == 0 {
		return assay.Errorf(assay.Rejected, "%s is empty: it has no rows and no columns", src.name).Try(emptyHint)
	}
	if first {
		j.c.reading.Encoding, j.c.reading.Compression = t.encoding, t.compression
		if t.encoding == "" {
			j.c.reading.Encoding = UTF8
		}
	}
	out, err := j.c.e.create("plain")
	if err != nil {
		return err
	}
	defer out.Close()
	j.c.files = append(j.c.files, csvFile{name: src.name, path: out.Name(), own: true, d: dialect{',', '"'}})
	f := &j.c.files[len(j.c.files)-1]
	w := newPlainWriter(out)
	j.widths = append(j.widths, 0)
	if err := j.records(bufio.NewReaderSize(t.r, 1<<20), src.name, f, w); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return err
	}
	if err := w.flush(); err != nil {
		return assay.Errorf(assay.Unavailable, "a temporary file cannot be written: %w", err)
	}
	f.longest = w.longest
	j.c.rows += f.records
	return src.changed()
}

func (j *jsonReader) records(r io.Reader, name string, f *csvFile, w *plainWriter) error {
	dec := json.NewDecoder(r)
	var values []jsonValue
	array, begun := false, false
	for {
		if array && !dec.More() {
			if _, err := dec.Token(); err != nil {
				return j.syntax(name, f.records, err)
			}
			array = false
		}
		token, err := dec.Token()
		if err == io.EOF && !array {
			return nil
		}
		if err != nil {
			return j.syntax(name, f.records, err)
		}
		switch token {
		case json.Delim('['):
			if begun {
				return assay.Errorf(assay.Rejected, "%s: record %d is an array, not an object", name, f.records+1)
			}
			array, begun = true, true
			if !dec.More() {
				continue
			}
			if token, err = dec.Token(); err != nil {
				return j.syntax(name, f.records, err)
			}
		}
		begun = true
		if token != json.Delim('{') {
			return assay.Errorf(assay.Rejected, "%s: record %d is not an object", name, f.records+1)
		}
		values = values[:0]
		for range j.c.names {
			values = append(values, jsonValue{})
		}
		if values, err = j.object(dec, name, f.records+1, values); err != nil {
			return err
		}
		f.records++
		for i, v := range values {
			if v.raw == nil {
				w.field([]byte(plainNull), i == 0, false)
			} else {
				w.field(v.raw, i == 0, v.quoted)
			}
		}
		if len(values) == 0 {
			w.field([]byte(plainNull), true, false)
		}
		w.end()
		switch n := len(values); {
		case f.records == 1:
			j.widths[len(j.widths)-1] = n
		case j.widths[len(j.widths)-1] != n:
			j.widths[len(j.widths)-1] = -1
		}
	}
}

// A jsonValue is one member of an object as text; raw is nil for a missing value.
type jsonValue struct {
	raw    []byte
	quoted bool
	seen   bool
}

// object reads the members of one object. The opening brace is read already.
func (j *jsonReader) object(dec *json.Decoder, name string, record int64, values []jsonValue) ([]jsonValue, error) {
	c := j.c
	for dec.More() {
		token, err := dec.Token()
		if err != nil {
			return nil, j.syntax(name, record-1, err)
		}
		key, ok := token.(string)
		if !ok {
			return nil, assay.Errorf(assay.Internal, "a JSON key is not a text")
		}
		var raw json.RawMessage
		if err := dec.Decode(&raw); err != nil {
			return nil, j.syntax(name, record-1, err)
		}
		i, known := j.index[key]
		if !known {
			i = len(c.names)
			j.index[key] = i
			c.names = append(c.names, key)
			c.tallies = append(c.tallies, tally{})
			values = append(values, jsonValue{})
		}
		if values[i].seen {
			return nil, assay.Errorf(assay.Rejected, "%s: record %d has the key %q twice", name, record, key)
		}
		if !utf8.Valid(raw) {
			return nil, assay.Errorf(assay.Rejected, "%s: record %d is not UTF-8 in %q", name, record, key).Try("data.encoding: latin-1 in assay.yaml, or --encoding latin-1, if that is what it is")
		}
		if loneSurrogate(raw) {
			return nil, assay.Errorf(assay.Rejected, "%s: record %d holds half of a character in %q: a surrogate (\\ud800 to \\udfff) without its other half", name, record, key).
				Try("mend the text where it was cut, or write the whole character")
		}
		v, k := jsonText(raw, c.null, c.o.As[key] == assay.TypeJSON)
		v.seen = true
		if bytes.IndexByte(v.raw, 0) >= 0 {
			return nil, assay.Errorf(assay.Rejected, "%s: record %d holds a NUL character in %q", name, record, key)
		}
		values[i] = v
		c.tallies[i].add(k, false, record)
		if k == kindInt {
			c.tallies[i].far(raw, record)
		}
	}
	_, err := dec.Token()
	if err != nil {
		return nil, j.syntax(name, record-1, err)
	}
	return values, nil
}

// loneSurrogate reports whether a JSON value holds an escape of one half of a pair of surrogates (RFC 8259, section 8.2), which is no character.
func loneSurrogate(raw []byte) bool {
	unit := func(b []byte) (uint64, bool) { // the code unit of an escape at the start of b
		if len(b) < 6 || b[0] != '\\' || b[1] != 'u' {
			return 0, false
		}
		u, err := strconv.ParseUint(string(b[2:6]), 16, 16)
		return u, err == nil
	}
	for i := bytes.IndexByte(raw, '\\'); i >= 0 && i < len(raw); {
		if raw[i] != '\\' {
			next := bytes.IndexByte(raw[i:], '\\')
			if next < 0 {
				return false
			}
			i += next
			continue
		}
		u, ok := unit(raw[i:])
		switch {
		case !ok:
			i += 2
		case u >= 0xd800 && u < 0xdc00:
			if low, ok := unit(raw[min(i+6, len(raw)):]); !ok || low < 0xdc00 || low > 0xdfff {
				return true
			}
			i += 12
		case u >= 0xdc00 && u <= 0xdfff:
			return true
		default:
			i += 6
		}
	}
	return false
}

// jsonText makes the text and the kind of a JSON value, which is that of its JSON where the column is a nested one.
func jsonText(raw json.RawMessage, null *tokens, nested bool) (jsonValue, kind) {
	first := raw[0]
	if nested && first != 'n' {
		first = '{'
	}
	switch first {
	case 'n':
		return jsonValue{}, kindNull
	case 't', 'f':
		return jsonValue{raw: raw}, kindBool
	case '"':
		var s string
		if err := json.Unmarshal(raw, &s); err != nil {
			return jsonValue{raw: raw, quoted: true}, kindText
		}
		b := []byte(s)
		if len(null.set) > 0 && null.has(b) {
			return jsonValue{}, kindNull
		}
		k, padded := classify(b, null)
		switch k {
		case kindDate, kindTime, kindStamp, kindStampZone:
			if padded {
				k = kindText
			}
		default:
			k = kindText
		}
		return jsonValue{raw: b, quoted: true}, k
	case '{', '[':
		var b bytes.Buffer
		if err := json.Compact(&b, raw); err != nil {
			return jsonValue{raw: raw, quoted: true}, kindNested
		}
		return jsonValue{raw: b.Bytes(), quoted: true}, kindNested
	}
	k, _ := classify(raw, null)
	return jsonValue{raw: raw}, k
}

// syntax says where JSON ends to be JSON.
func (j *jsonReader) syntax(name string, records int64, err error) error {
	var known *assay.Error
	if errors.As(err, &known) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	where := fmt.Sprintf("%s: record %d", name, records+1)
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		return assay.Errorf(assay.Rejected, "%s is cut off", where).Try("copy the file again")
	}
	var pathError *os.PathError
	if errors.As(err, &pathError) {
		return assay.Errorf(assay.Unavailable, "%s cannot be read", name)
	}
	return assay.Errorf(assay.Rejected, "%s is not JSON", where).Try("mend the file at this record")
}
