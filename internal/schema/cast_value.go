package schema

import (
	"bytes"
	"math"
	"strconv"
)

// A caster casts the values of one column.
type caster struct {
	kind  castKind
	how   Construction
	dtype dtype
}

// cast replaces a value that is kept as it was written by what it becomes, and says what was done to it. why says that it cannot be cast,
// in words that follow the field's name.
func (x *caster) cast(c *cell) (rule, why string) {
	if c.kind == cellNull {
		if x.kind == castString && x.how == FromArrays {
			c.kind, c.s = cellText, []byte("None")
			return CastString, ""
		}
		return "", "" // the schema says whether it may be missing
	}
	switch x.kind {
	case castInt32, castInt64:
		return x.toInt(c)
	case castFloat32, castFloat64:
		return x.toFloat(c)
	case castBool:
		return x.toBool(c)
	case castString:
		return x.toText(c)
	}
	return x.toTime(c)
}

const (
	notWhole  = "cannot be cast to a whole number"
	notNumber = "cannot be cast to a number"
	notTime   = "cannot be cast to a time"
	tooLarge  = "is beyond the whole numbers of its type"
)

func (x *caster) toInt(c *cell) (rule, why string) {
	raw := *c
	*c = cell{kind: cellInt}
	if x.dtype == floatType && (raw.kind == rawInt || raw.kind == rawFloat) {
		return x.truncated(c, &raw)
	}
	switch raw.kind {
	case cellBool:
		c.i = raw.i
		return CastBoolean, ""
	case rawInt:
		bits, size := wholeBits(raw.s)
		if size == beyond || x.dtype == objectType && size == unsigned {
			return "", tooLarge
		}
		rule, why = x.whole(c, int64(bits))
		if size == unsigned {
			rule = CastOverflow
		}
		return rule, why
	case rawFloat:
		if math.IsNaN(raw.f) {
			c.kind = cellNull
			return "", ""
		}
		if !(raw.f >= -(1<<63) && raw.f < 1<<63) {
			return "", tooLarge
		}
		if rule, why = x.whole(c, int64(raw.f)); rule == "" {
			rule = changed(&raw)
		}
		return rule, why
	case rawText:
		n, ok := pythonInt(raw.s)
		if !ok {
			return "", notWhole
		}
		_, why = x.whole(c, n)
		return CastText, why
	}
	return "", notWhole
}

// truncated is a number of a column that pandas made one of floats.
func (x *caster) truncated(c, raw *cell) (rule, why string) {
	f := raw.f
	if raw.kind == rawInt {
		if f = floatOf(raw.s); !Exactly(raw.s, f) {
			rule = CastPrecision
		}
	}
	lo, hi := -float64(1<<63), float64(1<<63)
	if x.kind == castInt32 {
		lo, hi = -1<<31, 1<<31
	}
	switch t := math.Trunc(f); {
	case math.IsNaN(f):
		c.kind = cellNull
		return "", ""
	case math.IsInf(f, 0):
		return "", notWhole
	case t < lo || t >= hi: // what x86-64 answers for a float beyond a whole number
		c.i = int64(lo)
		return CastOverflow, ""
	default:
		if c.i = int64(t); raw.kind == rawFloat {
			rule = changed(raw)
		}
	}
	return rule, ""
}

// changed says what is lost of a number with a fraction or exponent when it becomes the whole number that its float is.
func changed(raw *cell) string {
	switch {
	case raw.f != math.Trunc(raw.f):
		return CastFraction
	case math.Abs(raw.f) < maxSafe:
		return ""
	}
	switch d, whole := decimal(raw.s); {
	case !whole:
		return CastFraction
	case !Exactly(d, raw.f):
		return CastPrecision
	}
	return ""
}

// lost reports whether the text of a number is a whole one with zeros for a fraction, and not the float that it was read as.
func lost(raw *cell) bool {
	if math.Abs(raw.f) < maxSafe {
		return false
	}
	digits, zeros, ok := bytes.Cut(raw.s, []byte("."))
	return ok && len(bytes.Trim(zeros, "0")) == 0 && !Exactly(digits, raw.f)
}

// whole makes the cell the integer n as it is in the bits of the type: wrapped round where pandas found the type of the column, and refused
// where each value is by itself.
func (x *caster) whole(c *cell, n int64) (rule, why string) {
	c.i = n
	if x.kind != castInt32 || n == int64(int32(n)) {
		return "", ""
	}
	if x.dtype == objectType {
		return "", tooLarge
	}
	c.i = int64(int32(n))
	return CastOverflow, ""
}

func (x *caster) toFloat(c *cell) (rule, why string) {
	raw := *c
	*c = cell{kind: cellFloat}
	var f float64
	switch raw.kind {
	case cellBool:
		c.f = float64(raw.i)
		return CastBoolean, ""
	case rawInt:
		if f = floatOf(raw.s); math.IsInf(f, 0) {
			return "", notNumber // Python's integers are not made infinite
		}
		if !Exactly(raw.s, f) {
			rule = CastPrecision
		}
		if x.kind == castFloat32 && (x.dtype == intType || x.dtype == uintType) {
			single, _ := strconv.ParseFloat(string(raw.s), 32) // rounded once, and not to 64 bits before
			c.f = single
			if single != f {
				rule = CastPrecision
			}
			return rule, ""
		}
	case rawFloat:
		if f = raw.f; math.IsNaN(f) {
			c.kind = cellNull
			return "", ""
		}
		switch {
		case math.IsInf(f, 0):
			rule = CastOverflow
		case lost(&raw):
			rule = CastPrecision
		}
	case rawText:
		ok := false
		if f, ok = pythonFloat(raw.s); !ok {
			return "", notNumber
		}
		rule = CastText
		if math.IsNaN(f) {
			c.kind = cellNull
			return CastMissing, ""
		}
	default:
		return "", notNumber
	}
	c.f = f
	if x.kind == castFloat32 {
		if r := c.single(f); rule == "" || r == CastOverflow {
			rule = r
		}
	}
	return rule, ""
}

// single makes the cell the float of 32 bits that is nearest to f.
func (c *cell) single(f float64) (rule string) {
	c.f = float64(float32(f))
	switch {
	case c.f == f:
		return ""
	case math.IsInf(c.f, 0):
		return CastOverflow
	}
	return CastPrecision
}

func (x *caster) toBool(c *cell) (rule, why string) {
	raw := *c
	*c = cell{kind: cellBool}
	truth := false
	switch raw.kind {
	case cellBool:
		c.i = raw.i
		return "", ""
	case rawInt:
		truth = floatOf(raw.s) != 0
	case rawFloat:
		truth = raw.f != 0 // NaN is true
	case rawText:
		truth = len(raw.s) > 0
	case rawNested:
		if x.how == FromArrays && raw.s[0] == '[' {
			return "", "is a list" // of which NumPy makes a dimension
		}
		truth = !emptyJSON(raw.s)
	default:
		return "", "cannot be cast to a truth value"
	}
	if truth {
		c.i = 1
	}
	return CastTruth, ""
}

// toText makes a number or truth value the text that Python's str gives. MLflow leaves it what it is in a DataFrame; a column of a batch
// has one type.
func (x *caster) toText(c *cell) (rule, why string) {
	raw := *c
	*c = cell{kind: cellText}
	switch raw.kind {
	case rawText:
		c.s = raw.s
		return "", ""
	case cellBool:
		c.s = []byte("False")
		if raw.i != 0 {
			c.s = []byte("True")
		}
	case rawInt:
		if x.dtype == floatType {
			c.s = pythonRepr(floatOf(raw.s))
		} else if c.s = raw.s; string(c.s) == "-0" {
			c.s = []byte("0")
		}
	case rawFloat:
		if math.IsNaN(raw.f) && x.how == FromFrame {
			c.kind = cellNull
			return CastMissing, ""
		}
		c.s = pythonRepr(raw.f)
	default:
		return "", "cannot be cast to a text"
	}
	return CastString, ""
}

func (x *caster) toTime(c *cell) (rule, why string) {
	raw := *c
	*c = cell{kind: cellTime}
	switch raw.kind {
	case rawText:
		if len(raw.s) == 0 {
			c.kind = cellNull
			return CastMissing, ""
		}
		ok := false
		if c.i, ok = parseTimestamp(raw.s); ok {
			if x.how == FromFrame {
				return "", "has a time zone"
			}
			return "", ""
		}
		if c.i, ok = parseNaive(raw.s); !ok {
			return "", "is no time of ISO 8601"
		}
		return CastZone, ""
	case cellBool:
		if x.how == FromArrays {
			return x.nanoseconds(c, raw.i)
		}
	case rawInt:
		if x.dtype == floatType {
			return x.floatTime(c, floatOf(raw.s))
		}
		if bits, size := wholeBits(raw.s); size == signed && (x.dtype == intType || x.how == FromArrays) {
			return x.nanoseconds(c, int64(bits))
		}
	case rawFloat:
		if x.dtype == floatType {
			return x.floatTime(c, raw.f)
		}
	}
	return "", notTime
}

// floatTime is a time of a column that pandas made one of floats: the fraction of a nanosecond is dropped, and what is beyond is missing.
func (x *caster) floatTime(c *cell, f float64) (rule, why string) {
	if !(f >= -(1<<63) && f < 1<<63) { // NaN, too
		c.kind = cellNull
		return CastMissing, ""
	}
	return x.nanoseconds(c, int64(f))
}

// nanoseconds makes the cell the microsecond in which n is; the smallest integer is NumPy's missing time.
func (x *caster) nanoseconds(c *cell, n int64) (rule, why string) {
	if n == math.MinInt64 {
		c.kind = cellNull
		return CastMissing, ""
	}
	if c.i = n / 1000; c.i*1000 > n {
		c.i--
	}
	return CastTime, ""
}

// parseNaive reads a date, or a date and a time without a zone, joined by T or a space, as microseconds since 1970 UTC.
func parseNaive(s []byte) (int64, bool) {
	day, ok := parseDate(s[:min(len(s), 10)])
	if !ok || len(s) == 10 {
		return day * 86400e6, ok
	}
	if s[10] != 'T' && s[10] != ' ' {
		return 0, false
	}
	us, ok := parseTime(s[11:])
	return day*86400e6 + us, ok
}

// floatOf is the float nearest to the digits of a number; infinite where they are beyond.
func floatOf(s []byte) float64 {
	f, _ := strconv.ParseFloat(string(s), 64)
	return f
}

// emptyJSON reports whether a list or object holds nothing.
func emptyJSON(s []byte) bool {
	for _, c := range s[1 : len(s)-1] {
		if c != ' ' && c != '\t' && c != '\n' && c != '\r' {
			return false
		}
	}
	return true
}
