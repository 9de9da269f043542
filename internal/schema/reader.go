package schema

import (
	"math"
	"strconv"
)

// A JSONKind says what a JSON value is, from its first byte.
type JSONKind uint8

// The kinds of a JSON value.
const (
	JSONEnd JSONKind = iota // the end of the text, or nothing that begins a value
	JSONNull
	JSONBool
	JSONNumber
	JSONString
	JSONArray
	JSONObject
)

// A Reader reads one JSON text (RFC 8259) strictly and in order: no NaN, no comments, no trailing commas, valid UTF-8, no lone
// surrogates. It is how the edges of the prediction path read a request without allocating for each value. Its methods return false
// once something is wrong, and Err then says what and where; a caller may read on without looking and ask at the end. Not safe for
// use by several goroutines. The zero Reader reads an empty text.
type Reader struct {
	t     tokenizer
	depth int
}

// Reset begins with a new text, whose values may be nested at most depth levels deep; 0: DefaultPayloadDepth. Strings that the Reader
// has returned stay valid as long as the text they came from is not changed.
func (r *Reader) Reset(b []byte, depth int) {
	if depth <= 0 {
		depth = DefaultPayloadDepth
	}
	r.t = tokenizer{b: b}
	r.depth = depth
}

// AllowNaN makes the word NaN, which is not JSON but which Python's json module writes, a missing value of a column of numbers, until
// the next Reset. Infinity stays a fault.
func (r *Reader) AllowNaN() { r.t.nan = true }

// Err returns what is wrong with the text as an error of code assay.Invalid that names the place and no content, or nil.
func (r *Reader) Err() error {
	if r.t.fault == "" {
		return nil
	}
	return r.t.err()
}

// Mismatched reports whether the text is JSON as far as it was read, and what is wrong is that a value is of another kind than was asked for.
func (r *Reader) Mismatched() bool { return r.t.other }

// Kind returns what the next value is, without reading it.
func (r *Reader) Kind() JSONKind {
	switch c := r.t.space(); {
	case c == '"':
		return JSONString
	case c == '{':
		return JSONObject
	case c == '[':
		return JSONArray
	case c == 'n':
		return JSONNull
	case c == 't', c == 'f':
		return JSONBool
	case c == '-', c >= '0' && c <= '9':
		return JSONNumber
	}
	return JSONEnd
}

// Enter reads the beginning of an array or object and reports whether it has a first element. A nesting deeper than the limit is a
// fault.
func (r *Reader) Enter() bool {
	c := r.t.space()
	if c != '{' && c != '[' {
		return r.t.fail("neither an array nor an object")
	}
	if r.depth == 0 {
		return r.t.fail("nested too deep")
	}
	r.depth--
	r.t.i++
	if r.t.space() == c+2 {
		r.t.i++
		r.depth++
		return false
	}
	return true
}

// Key reads the key of an object's next element.
func (r *Reader) Key() ([]byte, bool) {
	if r.t.space() != '"' {
		return nil, r.t.fail("no key")
	}
	k, ok := r.t.str()
	return k, ok && r.t.expect(':', "no colon after a key")
}

// More reports whether another element follows in the array or object that was entered last, and leaves it when none does.
func (r *Reader) More() bool {
	switch r.t.space() {
	case ',':
		r.t.i++
		return true
	case '}', ']':
		r.t.i++
		r.depth++
		return false
	}
	return r.t.fail("neither a comma nor an end")
}

// Text reads a string. The bytes are not to be changed.
func (r *Reader) Text() ([]byte, bool) {
	if r.t.space() != '"' {
		return nil, r.t.mismatch("not a string")
	}
	return r.t.str()
}

// Number reads a number and returns its text.
func (r *Reader) Number() ([]byte, bool) {
	r.t.space()
	s, _, ok := r.t.num()
	return s, ok
}

// Simple reads the next value if it is a number of few digits without an exponent, which float64 holds as it stands; otherwise nothing is
// read.
func (r *Reader) Simple() (x float64, ok bool) {
	r.t.space()
	return r.t.float()
}

// Numbers appends a flat array of numbers, each as Simple reads it, to dst. It reads nothing, and ok is false, where the next value is another,
// or has more than most of them.
func (r *Reader) Numbers(dst []float64, most int) (out []float64, ok bool) {
	t, from := &r.t, r.t.i
	if t.space() != '[' || r.depth == 0 {
		return dst, false
	}
	t.i++
	for n := 0; n < most; n++ {
		t.space()
		x, ok := t.float()
		if !ok {
			break
		}
		dst = append(dst, x)
		switch t.space() {
		case ',':
			t.i++
			continue
		case ']':
			t.i++
			return dst, true
		}
		break
	}
	t.i = from
	return dst, false
}

// Int reads a number without a fraction that fits 64 bits.
func (r *Reader) Int() (int64, bool) {
	s, ok := r.Number()
	if !ok {
		return 0, false
	}
	n, err := strconv.ParseInt(string(s), 10, 64)
	if err != nil {
		return 0, r.t.mismatch("not a whole number of 64 bits")
	}
	return n, true
}

// Bool reads true or false.
func (r *Reader) Bool() (value, ok bool) {
	if c := r.t.space(); c == 't' {
		return true, r.t.word("true")
	} else if c != 'f' {
		return false, r.t.mismatch("neither true nor false")
	}
	return false, r.t.word("false")
}

// Scalar reads text, a number or a boolean as text, one number having one spelling: that of the table engine, which of a whole number, however
// large, is its digits. Any other value is skipped and gives nil, as does a number beyond float64 that is not written as digits; false means
// that the text is not JSON. The bytes are not to be changed.
func (r *Reader) Scalar() ([]byte, bool) {
	switch r.Kind() {
	case JSONString:
		return r.Text()
	case JSONNumber:
		s, whole, ok := r.t.num()
		if !ok || whole && string(s) != "-0" {
			return s, ok
		}
		v, err := strconv.ParseFloat(string(s), 64)
		if err != nil || math.IsInf(v, 0) {
			return nil, ok
		}
		if v == math.Trunc(v) && math.Abs(v) < 1e15 {
			return strconv.AppendInt(nil, int64(v), 10), ok
		}
		return strconv.AppendFloat(nil, v, 'g', -1, 64), ok
	case JSONBool:
		v, ok := r.Bool()
		return strconv.AppendBool(nil, v), ok
	}
	_, ok := r.Skip()
	return nil, ok
}

// Null reads null.
func (r *Reader) Null() bool { r.t.space(); return r.t.word("null") }

// Skip reads one value of any kind and returns its text.
func (r *Reader) Skip() ([]byte, bool) {
	r.t.space()
	from := r.t.i
	ok := r.t.skip(r.depth)
	return r.t.b[from:r.t.i:r.t.i], ok
}

// End reports whether nothing but white space is left.
func (r *Reader) End() bool {
	if r.t.fault != "" {
		return false
	}
	if r.t.space(); r.t.i < len(r.t.b) {
		return r.t.fail("more after the end")
	}
	return true
}

// Fail notes a fault of the caller's, unless there is one already, and returns false: "not an array of rows".
func (r *Reader) Fail(what string) bool { return r.t.fail(what) }

// Pos returns the place of the next byte, for Seek.
func (r *Reader) Pos() int { return r.t.i }

// Seek goes back to a place that Pos returned in an element of the same array or object, or forth.
func (r *Reader) Seek(pos int) { r.t.i = pos }

// AppendJSONString appends s as a JSON string. Bytes that are not UTF-8 become U+FFFD.
func AppendJSONString(dst, s []byte) []byte {
	const hex = "0123456789abcdef"
	dst = append(dst, '"')
	from := 0
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c >= ' ' && c != '"' && c != '\\' && c < 0x80 {
			continue
		}
		if c >= 0x80 {
			n := runeLen(s[i:])
			if n > 0 {
				i += n - 1
				continue
			}
			dst = append(append(dst, s[from:i]...), "\uFFFD"...)
			from = i + 1
			continue
		}
		dst = append(dst, s[from:i]...)
		switch c {
		case '"', '\\':
			dst = append(dst, '\\', c)
		case '\n':
			dst = append(dst, '\\', 'n')
		case '\r':
			dst = append(dst, '\\', 'r')
		case '\t':
			dst = append(dst, '\\', 't')
		default:
			dst = append(dst, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		}
		from = i + 1
	}
	return append(append(dst, s[from:]...), '"')
}
