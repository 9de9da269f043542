package schema

import (
	"unicode/utf16"
	"unicode/utf8"

	"github.com/assay-ml/assay"
)

// A tokenizer reads one JSON text (RFC 8259), strictly: no NaN, no comments, no trailing commas, valid UTF-8, no lone surrogates.
// encoding/json would let duplicate keys pass, replace invalid UTF-8 silently and allocate for every value.
type tokenizer struct {
	b       []byte
	i       int
	scratch []byte // strings with escapes are unescaped into it
	nan     bool   // the word NaN is a missing number
	fault   string // what is wrong, once something is
	other   bool   // that is a value of another kind than was asked for, not the text
}

// ends are the bytes that may come after a number or a word.
var ends = [256]bool{',': true, ']': true, '}': true, ' ': true, '\t': true, '\n': true, '\r': true}

// ended reports whether a number or a word may end before byte i.
func (t *tokenizer) ended(i int) bool { return i >= len(t.b) || ends[t.b[i]] }

// mismatch is fail for a value of another kind than was asked for.
func (t *tokenizer) mismatch(what string) bool {
	t.other = t.other || t.fault == ""
	return t.fail(what)
}

// fail notes the first fault.
func (t *tokenizer) fail(what string) bool {
	if t.fault == "" {
		t.fault = what
	}
	return false
}

// err returns the fault as an error that names the place and no content.
func (t *tokenizer) err() *assay.Error {
	if t.other {
		return assay.Errorf(assay.Invalid, "%s at byte %d", t.fault, t.i+1)
	}
	return assay.Errorf(assay.Invalid, "not JSON: %s at byte %d", t.fault, t.i+1)
}

// space skips white space and returns the next byte, or 0 at the end.
func (t *tokenizer) space() byte {
	if t.i < len(t.b) && t.b[t.i] > ' ' {
		return t.b[t.i]
	}
	return t.blank()
}

// blank is space where there may be some.
func (t *tokenizer) blank() byte {
	for t.i < len(t.b) {
		switch c := t.b[t.i]; c {
		case ' ', '\t', '\n', '\r':
			t.i++
		default:
			return c
		}
	}
	return 0
}

// expect skips white space and the byte c.
func (t *tokenizer) expect(c byte, what string) bool {
	if t.space() != c || t.i >= len(t.b) {
		return t.fail(what)
	}
	t.i++
	return true
}

// word skips the literal w, which the next byte begins.
func (t *tokenizer) word(w string) bool {
	if len(t.b)-t.i < len(w) || string(t.b[t.i:t.i+len(w)]) != w || !t.ended(t.i+len(w)) {
		return t.fail("an unknown word")
	}
	t.i += len(w)
	return true
}

// str reads a string, whose opening quote is the next byte. The result points into the text, or into scratch.
func (t *tokenizer) str() ([]byte, bool) {
	t.i++
	start, high := t.i, byte(0)
	for i := start; i < len(t.b); i++ {
		switch c := t.b[i]; {
		case c == '"':
			if high >= utf8.RuneSelf && !utf8.Valid(t.b[start:i]) {
				return nil, t.fail("a string that is not UTF-8")
			}
			t.i = i + 1
			return t.b[start:i:i], true
		case c == '\\':
			t.i = start
			return t.escaped(i)
		case c < ' ':
			t.i = i
			return nil, t.fail("a control character in a string")
		default:
			high |= c
		}
	}
	return nil, t.fail("a string without end")
}

// escaped reads a string that holds an escape at b[esc].
func (t *tokenizer) escaped(esc int) ([]byte, bool) {
	from := len(t.scratch)
	t.scratch = append(t.scratch, t.b[t.i:esc]...)
	t.i = esc
	for t.i < len(t.b) {
		c := t.b[t.i]
		switch {
		case c == '"':
			t.i++
			s := t.scratch[from:len(t.scratch):len(t.scratch)]
			if !utf8.Valid(s) {
				return nil, t.fail("a string that is not UTF-8")
			}
			return s, true
		case c < ' ':
			return nil, t.fail("a control character in a string")
		case c != '\\':
			t.scratch = append(t.scratch, c)
			t.i++
			continue
		}
		if t.i+1 >= len(t.b) {
			break
		}
		t.i += 2
		switch e := t.b[t.i-1]; e {
		case '"', '\\', '/':
			t.scratch = append(t.scratch, e)
		case 'b':
			t.scratch = append(t.scratch, '\b')
		case 'f':
			t.scratch = append(t.scratch, '\f')
		case 'n':
			t.scratch = append(t.scratch, '\n')
		case 'r':
			t.scratch = append(t.scratch, '\r')
		case 't':
			t.scratch = append(t.scratch, '\t')
		case 'u':
			r, ok := t.hex4()
			if !ok {
				return nil, false
			}
			if utf16.IsSurrogate(r) {
				if t.i+2 > len(t.b) || t.b[t.i] != '\\' || t.b[t.i+1] != 'u' {
					return nil, t.fail("half a surrogate pair")
				}
				t.i += 2
				low, ok := t.hex4()
				if !ok {
					return nil, false
				}
				if r = utf16.DecodeRune(r, low); r == utf8.RuneError {
					return nil, t.fail("half a surrogate pair")
				}
			}
			t.scratch = utf8.AppendRune(t.scratch, r)
		default:
			return nil, t.fail("an unknown escape")
		}
	}
	return nil, t.fail("a string without end")
}

func (t *tokenizer) hex4() (rune, bool) {
	if t.i+4 > len(t.b) {
		return 0, t.fail("a string without end")
	}
	var r rune
	for _, c := range t.b[t.i : t.i+4] {
		switch {
		case c >= '0' && c <= '9':
			c -= '0'
		case c >= 'a' && c <= 'f':
			c -= 'a' - 10
		case c >= 'A' && c <= 'F':
			c -= 'A' - 10
		default:
			return 0, t.fail("an unknown escape")
		}
		r = r<<4 | rune(c)
	}
	t.i += 4
	return r, true
}

// num reads a number and reports whether it has neither a fraction nor an exponent.
func (t *tokenizer) num() (text []byte, whole, ok bool) {
	n, whole := numberLen(t.b[t.i:])
	if n == 0 || !t.ended(t.i+n) {
		return nil, false, t.fail("neither a value nor a number")
	}
	text = t.b[t.i : t.i+n : t.i+n]
	t.i += n
	return text, whole, true
}

// powersOfTen are those that float64 holds exactly.
var powersOfTen = [...]float64{1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22}

// float reads the number that the next byte begins, where that is simple: its digits are an integer that float64 holds exactly, and so is
// the power of ten that divides it, so that one division rounds as it should. ok is false, and nothing is read, for any other text.
func (t *tokenizer) float() (x float64, ok bool) {
	b, i := t.b, t.i
	neg := i < len(b) && b[i] == '-'
	if neg {
		i++
	}
	start, m := i, uint64(0)
	for i < len(b) && b[i]-'0' <= 9 {
		m = m*10 + uint64(b[i]-'0')
		i++
	}
	digits, places := i-start, 0
	if digits == 0 || digits > 1 && b[start] == '0' {
		return 0, false
	}
	if i < len(b) && b[i] == '.' {
		i++
		point := i
		for i < len(b) && b[i]-'0' <= 9 {
			m = m*10 + uint64(b[i]-'0')
			i++
		}
		if places = i - point; places == 0 {
			return 0, false
		}
	}
	if digits+places > 18 || m > maxSafe || !t.ended(i) { // an exponent, or no number
		return 0, false
	}
	t.i = i
	x = float64(m) / powersOfTen[places]
	if neg {
		x = -x
	}
	return x, true
}

// key skips the given quoted text and the colon after it, where these come next without anything between them.
func (t *tokenizer) key(quoted string) bool {
	end := t.i + len(quoted)
	if end >= len(t.b) || t.b[end] != ':' || string(t.b[t.i:end]) != quoted {
		return false
	}
	t.i = end + 1
	return true
}

// numberLen returns the length of the JSON number at the beginning of b, 0 when there is none.
func numberLen(b []byte) (n int, whole bool) {
	run := func(i int) int {
		for i < len(b) && b[i]-'0' <= 9 {
			i++
		}
		return i
	}
	i := 0
	if i < len(b) && b[i] == '-' {
		i++
	}
	switch j := run(i); {
	case j == i:
		return 0, false
	case b[i] == '0':
		i++
	default:
		i = j
	}
	whole = true
	if i < len(b) && b[i] == '.' {
		j := run(i + 1)
		if j == i+1 {
			return 0, false
		}
		i, whole = j, false
	}
	if i < len(b) && (b[i] == 'e' || b[i] == 'E') {
		k := i + 1
		if k < len(b) && (b[k] == '+' || b[k] == '-') {
			k++
		}
		j := run(k)
		if j == k {
			return 0, false
		}
		i, whole = j, false
	}
	return i, whole
}

// numberToken reports whether s is a JSON number and nothing else.
func numberToken(s string) bool {
	n, _ := numberLen([]byte(s))
	return n > 0 && n == len(s)
}

// skip reads any value, nested at most depth levels deep.
func (t *tokenizer) skip(depth int) bool {
	switch c := t.space(); c {
	case '{', '[':
		if depth == 0 {
			return t.fail("nested too deep")
		}
		closing := c + 2 // } follows { and ] follows [ at this distance in ASCII
		t.i++
		if t.space() == closing {
			t.i++
			return true
		}
		for {
			if c == '{' {
				if t.space() != '"' {
					return t.fail("no key")
				}
				if _, ok := t.str(); !ok || !t.expect(':', "no colon after a key") {
					return false
				}
			}
			if !t.skip(depth - 1) {
				return false
			}
			switch t.space() {
			case ',':
				t.i++
			case closing:
				t.i++
				return true
			default:
				return t.fail("neither a comma nor an end")
			}
		}
	case '"':
		_, ok := t.str()
		return ok
	case 't':
		return t.word("true")
	case 'f':
		return t.word("false")
	case 'n':
		return t.word("null")
	case 'N':
		if t.nan {
			return t.word("NaN")
		}
	}
	if _, ok := t.float(); ok {
		return true
	}
	_, _, ok := t.num()
	return ok
}
