package schema

import (
	"bytes"
	"math"
	"strconv"
	"unicode"
)

// pythonInt reads a text as Python's int does, within 64 bits: white space around it, a sign, digits, and underscores between digits.
// Digits of other scripts than ASCII are not read.
func pythonInt(s []byte) (int64, bool) {
	s, ok := pythonDigits(bytes.TrimFunc(s, pythonSpace))
	if !ok || len(s) == 0 || len(bytes.Trim(s[1:], "0123456789")) > 0 {
		return 0, false
	}
	n, err := strconv.ParseInt(string(s), 10, 64)
	return n, err == nil
}

// pythonFloat reads a text as Python's float does: as pythonInt, with a point and an exponent, or inf, infinity or nan in any case.
// Beyond the largest float it is infinite.
func pythonFloat(s []byte) (float64, bool) {
	s, ok := pythonDigits(bytes.TrimFunc(s, pythonSpace))
	if !ok {
		return 0, false
	}
	word := s
	if len(word) > 0 && (word[0] == '+' || word[0] == '-') {
		word = word[1:]
	}
	switch string(bytes.ToLower(word)) {
	case "inf", "infinity", "nan":
	default:
		if len(bytes.Trim(word, "0123456789.eE+-")) > 0 { // hexadecimal floats are Go's alone
			return 0, false
		}
	}
	f, err := strconv.ParseFloat(string(s), 64)
	return f, err == nil || math.IsInf(f, 0)
}

// pythonDigits takes the underscores out that are between two digits; false where one is elsewhere.
func pythonDigits(s []byte) ([]byte, bool) {
	if bytes.IndexByte(s, '_') < 0 {
		return s, true
	}
	digit := func(i int) bool { return i >= 0 && i < len(s) && s[i]-'0' <= 9 }
	out := make([]byte, 0, len(s))
	for i, c := range s {
		if c != '_' {
			out = append(out, c)
		} else if !digit(i-1) || !digit(i+1) {
			return nil, false
		}
	}
	return out, true
}

// pythonSpace is what Python strips off a text: Unicode's white space and four separators of ASCII.
func pythonSpace(r rune) bool { return unicode.IsSpace(r) || r >= 0x1c && r <= 0x1f }

// pythonRepr is the text of a float that Python's repr gives: the shortest digits that read back, with an exponent below 1e-4 and from
// 1e16 on.
func pythonRepr(f float64) []byte {
	switch a := math.Abs(f); {
	case math.IsNaN(f):
		return []byte("nan")
	case math.IsInf(f, 1):
		return []byte("inf")
	case math.IsInf(f, -1):
		return []byte("-inf")
	case a != 0 && (a < 1e-4 || a >= 1e16):
		return strconv.AppendFloat(nil, f, 'e', -1, 64)
	}
	out := strconv.AppendFloat(nil, f, 'f', -1, 64)
	if bytes.IndexByte(out, '.') < 0 {
		out = append(out, ".0"...)
	}
	return out
}
