package learn

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"strconv"

	"github.com/assay-ml/assay"
)

// A document is a value of JSON or UBJSON, as XGBoost writes its models. Arrays of numbers are kept as such.
type document struct {
	kind    byte // 'o' object, 'a' array, 'n' numbers, 's' string, 'v' number, 'b' boolean, 'z' null
	number  float64
	text    string
	numbers []float64
	items   []document
	keys    []string // of an object, by item
}

// field returns the value of a key, or nil.
func (d *document) field(key string) *document {
	if d == nil || d.kind != 'o' {
		return nil
	}
	for i, k := range d.keys {
		if k == key {
			return &d.items[i]
		}
	}
	return nil
}

// at follows keys.
func (d *document) at(path ...string) *document {
	for _, key := range path {
		d = d.field(key)
	}
	return d
}

// floats returns an array of numbers, nil where there is none.
func (d *document) floats() []float64 {
	if d == nil || d.kind != 'n' {
		return nil
	}
	return d.numbers
}

// strings returns an array of strings.
func (d *document) strings() []string {
	if d == nil || d.kind != 'a' {
		return nil
	}
	out := make([]string, 0, len(d.items))
	for i := range d.items {
		out = append(out, d.items[i].text)
	}
	return out
}

// integer reads a number, which XGBoost mostly writes as a string.
func (d *document) integer(def int) (int, error) {
	switch {
	case d == nil || d.kind == 'z':
		return def, nil
	case d.kind == 'v' && d.number == math.Trunc(d.number) && math.Abs(d.number) < 1<<31:
		return int(d.number), nil
	case d.kind == 's':
		if v, err := strconv.ParseInt(d.text, 10, 32); err == nil {
			return int(v), nil
		}
	}
	return 0, fmt.Errorf("a number is not whole or out of range")
}

// A documentReader reads one document and counts what it takes.
type documentReader struct {
	b      []byte
	at     int
	depth  int
	bytes  int64
	limits Limits
}

func (r *documentReader) fail(format string, args ...any) error {
	return assay.Errorf(assay.Invalid, "xgboost model cannot be read at byte %d: %s", r.at, fmt.Sprintf(format, args...))
}

func (r *documentReader) charge(bytes int64) error {
	if r.bytes += bytes; r.bytes > r.limits.TensorBytes {
		return tooLarge("xgboost model: its numbers need more than %d bytes", r.limits.TensorBytes)
	}
	return nil
}

// enter counts one level of nesting.
func (r *documentReader) enter() error {
	if r.depth++; r.depth > r.limits.Depth+16 {
		return r.fail("values are nested more than %d deep", r.limits.Depth+16)
	}
	return r.charge(96)
}

// add appends a value to an array, whose numbers are kept together as long as there is nothing else.
func (d *document) add(v document) {
	if v.kind == 'v' && len(d.items) == 0 {
		d.kind = 'n'
		d.numbers = append(d.numbers, v.number)
		return
	}
	if d.kind == 'n' {
		for _, x := range d.numbers {
			d.items = append(d.items, document{kind: 'v', number: x})
		}
		d.kind, d.numbers = 'a', nil
	}
	d.items = append(d.items, v)
}

// readJSON reads JSON text. It takes NaN and the infinities, which XGBoost writes.
func readJSON(b []byte, limits Limits) (document, error) {
	r := &documentReader{b: b, limits: limits}
	d, err := r.json()
	if err != nil {
		return d, err
	}
	if r.space(); r.at < len(r.b) {
		return d, r.fail("more after the end of the document")
	}
	return d, nil
}

func (r *documentReader) space() {
	for r.at < len(r.b) && (r.b[r.at] == ' ' || r.b[r.at] == '\n' || r.b[r.at] == '\t' || r.b[r.at] == '\r') {
		r.at++
	}
}

// next skips space and reports whether c comes next, and takes it.
func (r *documentReader) next(c byte) bool {
	if r.space(); r.at < len(r.b) && r.b[r.at] == c {
		r.at++
		return true
	}
	return false
}

func (r *documentReader) json() (d document, err error) {
	if r.space(); r.at >= len(r.b) {
		return d, r.fail("the document ends here")
	}
	switch c := r.b[r.at]; c {
	case '{', '[':
		r.at++
		if err = r.enter(); err != nil {
			return d, err
		}
		d, err = r.jsonItems(c)
		r.depth--
		return d, err
	case '"':
		d.kind = 's'
		d.text, err = r.jsonString()
		return d, err
	}
	start := r.at
	for r.at < len(r.b) && !bytes.ContainsRune([]byte(",]} \n\t\r:\"[{"), rune(r.b[r.at])) {
		r.at++
	}
	return r.scalar(start)
}

func (r *documentReader) jsonItems(open byte) (d document, err error) {
	end := byte(']')
	if d.kind = 'a'; open == '{' {
		d.kind, end = 'o', '}'
	}
	for first := true; ; first = false {
		if r.next(end) {
			return d, nil
		}
		if !first && !r.next(',') {
			return d, r.fail("a comma is missing")
		}
		if open == '{' {
			r.space()
			key, err := r.jsonString()
			if err != nil {
				return d, err
			}
			if !r.next(':') {
				return d, r.fail("a colon is missing")
			}
			d.keys = append(d.keys, key)
		}
		v, err := r.json()
		if err != nil {
			return d, err
		}
		if err := r.charge(v.bytes()); err != nil {
			return d, err
		}
		if open == '{' {
			d.items = append(d.items, v)
		} else {
			d.add(v)
		}
	}
}

// bytes is what a value takes in the array around it.
func (d *document) bytes() int64 {
	if d.kind == 'v' {
		return 8
	}
	return 120
}

func (r *documentReader) jsonString() (string, error) {
	if r.at >= len(r.b) || r.b[r.at] != '"' {
		return "", r.fail("a string is missing")
	}
	start := r.at
	for r.at++; r.at < len(r.b) && r.b[r.at] != '"'; r.at++ {
		if r.b[r.at] == '\\' {
			r.at++
		}
	}
	if r.at >= len(r.b) {
		return "", r.fail("a string does not end")
	}
	r.at++
	raw := r.b[start:r.at]
	if len(raw) > r.limits.StringBytes {
		return "", r.fail("a string has %d bytes, at most %d are read", len(raw), r.limits.StringBytes)
	}
	if err := r.charge(int64(len(raw)) + 16); err != nil {
		return "", err
	}
	if bytes.IndexByte(raw, '\\') < 0 {
		return string(raw[1 : len(raw)-1]), nil
	}
	var s string
	if err := json.Unmarshal(raw, &s); err != nil {
		return "", r.fail("a string is not valid")
	}
	return s, nil
}

// scalar reads the word since start. Numbers with a fraction are rounded to float32 at once, as they were written from.
func (r *documentReader) scalar(start int) (document, error) {
	word := string(r.b[start:min(r.at, start+64)])
	switch word {
	case "true", "false":
		d := document{kind: 'b'}
		if word == "true" {
			d.number = 1
		}
		return d, nil
	case "null":
		return document{kind: 'z'}, nil
	}
	if v, err := strconv.ParseInt(word, 10, 64); err == nil {
		return document{kind: 'v', number: float64(v)}, nil
	}
	v, err := strconv.ParseFloat(word, 32)
	if err != nil && !(math.IsInf(v, 0) && word != "") {
		r.at = start
		return document{}, r.fail("%q is not a value", word)
	}
	return document{kind: 'v', number: v}, nil
}

// readUBJSON reads Universal Binary JSON (ubjson.org, draft 12), numbers in big-endian order.
func readUBJSON(b []byte, limits Limits) (document, error) {
	r := &documentReader{b: b, limits: limits}
	marker, err := r.marker()
	if err != nil {
		return document{}, err
	}
	d, err := r.ubjson(marker)
	if err == nil && r.at < len(r.b) {
		err = r.fail("more after the end of the document")
	}
	return d, err
}

// marker returns the next byte that is not a no-op.
func (r *documentReader) marker() (byte, error) {
	for r.at < len(r.b) {
		c := r.b[r.at]
		r.at++
		if c != 'N' {
			return c, nil
		}
	}
	return 0, r.fail("the document ends here")
}

// take returns the next n bytes.
func (r *documentReader) take(n int) ([]byte, error) {
	if n < 0 || n > len(r.b)-r.at {
		return nil, r.fail("%d bytes are needed, %d are left", n, len(r.b)-r.at)
	}
	b := r.b[r.at : r.at+n]
	r.at += n
	return b, nil
}

// numberBytes is the size of a number with that marker, or 0.
func numberBytes(marker byte) int {
	switch marker {
	case 'i', 'U':
		return 1
	case 'I':
		return 2
	case 'l', 'd':
		return 4
	case 'L', 'D':
		return 8
	}
	return 0
}

func ubjsonNumber(marker byte, b []byte) float64 {
	switch marker {
	case 'i':
		return float64(int8(b[0]))
	case 'U':
		return float64(b[0])
	case 'I':
		return float64(int16(binary.BigEndian.Uint16(b)))
	case 'l':
		return float64(int32(binary.BigEndian.Uint32(b)))
	case 'L':
		return float64(int64(binary.BigEndian.Uint64(b)))
	case 'd':
		return float64(math.Float32frombits(binary.BigEndian.Uint32(b)))
	}
	return math.Float64frombits(binary.BigEndian.Uint64(b))
}

// length reads a marker and a count.
func (r *documentReader) length() (int, error) {
	marker, err := r.marker()
	if err != nil {
		return 0, err
	}
	size := numberBytes(marker)
	if size == 0 || marker == 'd' || marker == 'D' {
		return 0, r.fail("a length has the marker %q", marker)
	}
	b, err := r.take(size)
	if err != nil {
		return 0, err
	}
	n := ubjsonNumber(marker, b)
	if n < 0 || n > float64(len(r.b)) {
		return 0, r.fail("a length is %v in a file of %d bytes", n, len(r.b))
	}
	return int(n), nil
}

func (r *documentReader) ubjsonString() (string, error) {
	n, err := r.length()
	if err != nil {
		return "", err
	}
	if n > r.limits.StringBytes {
		return "", r.fail("a string has %d bytes, at most %d are read", n, r.limits.StringBytes)
	}
	b, err := r.take(n)
	if err != nil {
		return "", err
	}
	return string(b), r.charge(int64(n) + 16)
}

func (r *documentReader) ubjson(marker byte) (d document, err error) {
	switch marker {
	case 'Z':
		return document{kind: 'z'}, nil
	case 'T':
		return document{kind: 'b', number: 1}, nil
	case 'F':
		return document{kind: 'b'}, nil
	case 'S', 'H':
		d.kind = 's'
		d.text, err = r.ubjsonString()
		return d, err
	case 'C':
		b, err := r.take(1)
		return document{kind: 's', text: string(b)}, err
	case '[', '{':
		if err = r.enter(); err != nil {
			return d, err
		}
		d, err = r.ubjsonItems(marker)
		r.depth--
		return d, err
	}
	size := numberBytes(marker)
	if size == 0 {
		return d, r.fail("the marker %q is not known", marker)
	}
	b, err := r.take(size)
	if err != nil {
		return d, err
	}
	return document{kind: 'v', number: ubjsonNumber(marker, b)}, nil
}

// ubjsonItems reads an array or an object, which may say beforehand how many items it has and of what type.
func (r *documentReader) ubjsonItems(open byte) (d document, err error) {
	end := byte(']')
	if d.kind = 'a'; open == '{' {
		d.kind, end = 'o', '}'
	}
	var typ byte
	count := -1
	if r.at < len(r.b) && r.b[r.at] == '$' {
		r.at++
		if typ, err = r.marker(); err != nil {
			return d, err
		}
		if r.at >= len(r.b) || r.b[r.at] != '#' {
			return d, r.fail("a typed array has no count")
		}
	}
	if r.at < len(r.b) && r.b[r.at] == '#' {
		r.at++
		if count, err = r.length(); err != nil {
			return d, err
		}
	}
	if size := numberBytes(typ); size > 0 && open == '[' {
		return r.ubjsonNumbers(typ, size, count)
	}
	for i := 0; count < 0 || i < count; i++ {
		if count < 0 && r.at < len(r.b) && r.b[r.at] == end {
			r.at++
			return d, nil
		}
		if open == '{' {
			key, err := r.ubjsonString()
			if err != nil {
				return d, err
			}
			d.keys = append(d.keys, key)
		}
		marker := typ
		if marker == 0 {
			if marker, err = r.marker(); err != nil {
				return d, err
			}
		}
		v, err := r.ubjson(marker)
		if err != nil {
			return d, err
		}
		if err := r.charge(v.bytes()); err != nil {
			return d, err
		}
		if open == '{' {
			d.items = append(d.items, v)
		} else {
			d.add(v)
		}
	}
	return d, nil
}

func (r *documentReader) ubjsonNumbers(typ byte, size, count int) (document, error) {
	d := document{kind: 'n'}
	if count > (len(r.b)-r.at)/size {
		return d, r.fail("%d numbers are needed, %d bytes are left", count, len(r.b)-r.at)
	}
	b, err := r.take(count * size)
	if err != nil {
		return d, err
	}
	if err := r.charge(8 * int64(count)); err != nil {
		return d, err
	}
	d.numbers = make([]float64, count)
	for i := range d.numbers {
		d.numbers[i] = ubjsonNumber(typ, b[i*size:])
	}
	return d, nil
}
