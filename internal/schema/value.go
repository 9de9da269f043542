package schema

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/assay-ml/assay"
)

// A Value is a limit of a constraint: a number, a text, a truth value. Integers are exact, whatever their size. Values of equal
// meaning are equal (==) once Parse has brought them into the form of their column's type.
type Value struct {
	kind valueKind
	text string
}

type valueKind uint8

const (
	valueNumber valueKind = iota
	valueText
	valueBool
)

// maxSafe is the largest integer below which every integer is a float64: beyond it, documents spell integers as strings.
const maxSafe = 1 << 53

// Int returns the value of an integer.
func Int(v int64) Value { return Value{valueNumber, strconv.FormatInt(v, 10)} }

// Number returns the value of a finite number.
func Number(v float64) Value { return Value{valueNumber, formatFloat(v)} }

// Text returns the value of a string, or of a date, time or timestamp in ISO 8601.
func Text(s string) Value { return Value{valueText, s} }

// Bool returns a truth value.
func Bool(b bool) Value { return Value{valueBool, strconv.FormatBool(b)} }

// String returns the value as text, without quotes.
func (v Value) String() string { return v.text }

// MarshalJSON writes integers beyond 2^53 as strings, because readers of JSON and RFC 8785 hold numbers as float64.
func (v Value) MarshalJSON() ([]byte, error) {
	switch v.kind {
	case valueText:
		return json.Marshal(v.text)
	case valueNumber:
		if digits := strings.TrimLeft(v.text, "-"); len(digits) >= 16 && strings.Trim(digits, "0123456789") == "" {
			if n, err := strconv.ParseInt(v.text, 10, 64); err != nil || n > maxSafe || n < -maxSafe {
				return json.Marshal(v.text)
			}
		}
	}
	return []byte(v.text), nil
}

// formatFloat writes the shortest text that reads back as v, without an exponent where that is short.
func formatFloat(v float64) string {
	if a := math.Abs(v); a == 0 {
		return "0"
	} else if a >= 1e-6 && a < 1e15 {
		return strconv.FormatFloat(v, 'f', -1, 64)
	}
	return strconv.FormatFloat(v, 'e', -1, 64)
}

// as returns v in the canonical form of a column type, and what is wrong with it otherwise.
func (v Value) as(t assay.Type) (Value, string) {
	switch t {
	case assay.TypeInteger:
		if v.kind == valueBool {
			break
		}
		if d, ok := decimal([]byte(v.text)); ok {
			return Value{valueNumber, string(d)}, ""
		}
		return v, "is not an integer of at most 128 bits"
	case assay.TypeNumber:
		if v.kind == valueBool {
			break
		}
		f, err := strconv.ParseFloat(v.text, 64)
		if err != nil || math.IsNaN(f) || math.IsInf(f, 0) || v.kind == valueText && !numberToken(v.text) {
			return v, "is not a finite number"
		}
		return Number(f), ""
	case assay.TypeBoolean:
		if v.kind == valueBool {
			return v, ""
		}
	case assay.TypeString:
		if v.kind == valueText {
			return v, ""
		}
	case assay.TypeDate:
		if d, ok := parseDate([]byte(v.text)); ok && v.kind == valueText {
			return Text(time.Unix(d*86400, 0).UTC().Format("2006-01-02")), ""
		}
	case assay.TypeTime:
		if us, ok := parseTime([]byte(v.text)); ok && v.kind == valueText {
			return Text(time.UnixMicro(us).UTC().Format("15:04:05.999999")), ""
		}
	case assay.TypeTimestamp:
		if us, ok := parseTimestamp([]byte(v.text)); ok && v.kind == valueText {
			return Text(time.UnixMicro(us).UTC().Format("2006-01-02T15:04:05.999999Z")), ""
		}
	case assay.TypeBinary:
		if _, err := base64.StdEncoding.DecodeString(v.text); err == nil && v.kind == valueText {
			return v, ""
		}
	}
	return v, "is not a value of type " + string(t)
}

// A cell is one value of a row, decoded for the type of its column.
type cell struct {
	kind cellKind
	i    int64 // cellInt, cellTime (days, or microseconds), cellBool (0 or 1)
	f    float64
	s    []byte // cellText; cellBig: canonical decimal digits; cellOther: its JSON, or base64
}

type cellKind uint8

const (
	cellAbsent cellKind = iota
	cellNull
	cellBool
	cellInt
	cellBig // an integer beyond 64 bits
	cellFloat
	cellText
	cellTime
	cellOther   // a nested value, or any value of a column without a type
	cellWrong   // not of the column's type
	cellRefused // the same, for a reason that the caller has noted

	// What is kept as it was written, until it is cast. A truth value is cellBool already.
	rawInt    // s: its digits
	rawFloat  // f
	rawText   // s
	rawNested // s: its JSON
)

// cell decodes a canonical value of a column of type t.
func (v Value) cell(t assay.Type) cell {
	c := cell{s: []byte(v.text)}
	switch t {
	case assay.TypeInteger:
		return wholeCell(c.s)
	case assay.TypeNumber:
		c.kind = cellFloat
		c.f, _ = strconv.ParseFloat(v.text, 64)
	case assay.TypeBoolean:
		c.kind = cellBool
		if v.text == "true" {
			c.i = 1
		}
	case assay.TypeDate:
		c.kind = cellTime
		c.i, _ = parseDate(c.s)
	case assay.TypeTime:
		c.kind = cellTime
		c.i, _ = parseTime(c.s)
	case assay.TypeTimestamp:
		c.kind = cellTime
		c.i, _ = parseTimestamp(c.s)
	default:
		c.kind = cellText
	}
	return c
}

// wholeCell makes the cell of canonical decimal digits.
func wholeCell(d []byte) cell {
	if n, err := strconv.ParseInt(string(d), 10, 64); err == nil {
		return cell{kind: cellInt, i: n}
	}
	return cell{kind: cellBig, s: d}
}

// compare orders two cells of the same column: -1, 0 or 1.
func compare(a, b *cell) int {
	switch {
	case a.kind == cellFloat:
		switch {
		case a.f < b.f:
			return -1
		case a.f > b.f:
			return 1
		}
		return 0
	case a.kind == cellText:
		return bytes.Compare(a.s, b.s)
	case a.kind == cellBig || b.kind == cellBig:
		return compareBig(a, b)
	case a.i < b.i:
		return -1
	case a.i > b.i:
		return 1
	}
	return 0
}

// compareBig orders two integers of which at least one is beyond 64 bits, which decides unless both are.
func compareBig(a, b *cell) int {
	sign := func(c *cell) int {
		if c.kind != cellBig {
			return 0
		}
		if c.s[0] == '-' {
			return -1
		}
		return 1
	}
	sa, sb := sign(a), sign(b)
	if sa != sb {
		if sa < sb {
			return -1
		}
		return 1
	}
	if len(a.s) != len(b.s) {
		if len(a.s) < len(b.s) {
			return -sa
		}
		return sa
	}
	return sa * bytes.Compare(bytes.TrimPrefix(a.s, []byte("-")), bytes.TrimPrefix(b.s, []byte("-")))
}

// Limits of a 128-bit integer, as digits.
const (
	maxHuge = "170141183460469231731687303715884105727"
	minHuge = "170141183460469231731687303715884105728" // without its sign
)

// decimal reads a JSON number exactly. It returns the canonical digits of an integer of at most 128 bits, and false for anything
// else; 5.0 and 5e0 are the integer 5, as in JSON Schema.
func decimal(b []byte) ([]byte, bool) {
	if !numberToken(string(b)) {
		return nil, false
	}
	neg := b[0] == '-'
	if neg {
		b = b[1:]
	}
	var digits []byte
	shift, i := 0, 0
	for ; i < len(b) && b[i] != 'e' && b[i] != 'E'; i++ {
		if b[i] == '.' {
			shift = -(len(b) - i - 1)
			for j := i + 1; j < len(b); j++ {
				if b[j] == 'e' || b[j] == 'E' {
					shift = -(j - i - 1)
					break
				}
			}
			continue
		}
		digits = append(digits, b[i])
	}
	if i < len(b) {
		e, err := strconv.Atoi(string(b[i+1:]))
		if err != nil || e > 1<<20 || e < -(1<<20) {
			if strings.Trim(string(digits), "0") == "" {
				return []byte("0"), true
			}
			return nil, false
		}
		shift += e
	}
	d := strings.TrimLeft(string(digits), "0")
	for len(d) > 0 && d[len(d)-1] == '0' {
		d, shift = d[:len(d)-1], shift+1
	}
	switch {
	case d == "":
		return []byte("0"), true
	case shift < 0 || len(d)+shift > len(maxHuge):
		return nil, false
	}
	d += strings.Repeat("0", shift)
	if limit := pick(neg, minHuge, maxHuge); len(d) == len(limit) && d > limit {
		return nil, false
	}
	if neg {
		d = "-" + d
	}
	return []byte(d), true
}

// Exactly reports whether a float is the whole number that the digits of a JSON number without fraction and exponent say.
func Exactly(digits []byte, f float64) bool {
	if math.Abs(f) < maxSafe {
		return true
	}
	var room [400]byte
	return string(digits) == string(strconv.AppendFloat(room[:0], f, 'f', 0, 64))
}

// Whole returns the integer that a JSON number is, as its size and sign; 7.0 and 7e1 are integers. ok is false where it is none, or one of
// more than 64 bits.
func Whole(s []byte) (x uint64, negative, ok bool) {
	if len(s) > 0 && s[0] == '-' {
		s, negative = s[1:], true
	}
	x, err := strconv.ParseUint(string(s), 10, 64)
	if err != nil {
		d, whole := decimal(s)
		if x, err = strconv.ParseUint(string(d), 10, 64); !whole {
			return 0, false, false
		}
	}
	return x, negative && x > 0, err == nil
}
