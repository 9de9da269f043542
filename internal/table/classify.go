package table

import (
	"strconv"
	"strings"

	"github.com/assay-ml/assay"
)

// list writes the lines for an error: "3, 17, 20 …".
func (p *places) list() string {
	var b strings.Builder
	for i, l := range p.lines {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(strconv.FormatInt(l, 10))
	}
	if p.count > int64(len(p.lines)) {
		b.WriteString(" …")
	}
	return b.String()
}

// A kind is what one text could be read as. Kinds do not overlap; a column's type follows from the kinds of all of its texts.
type kind uint8

const (
	kindNull      kind = iota // a null token, exactly
	kindBlank                 // spaces around a null token: missing in a typed column, text in a column of text
	kindBool                  // true, false in lower, upper or title case
	kindInt                   // fits 64 bits
	kindHuge                  // fits 128 bits
	kindVast                  // an integer beyond
	kindCode                  // digits with leading zeros or a plus sign: a number to the machine, a code to people
	kindNumber                // decimal point or exponent
	kindNaN                   // nan
	kindInf                   // inf, infinity, signed
	kindDate                  // 2020-01-31
	kindTime                  // 13:45:00
	kindStamp                 // 2020-01-31 13:45:00, at most microseconds
	kindStampZone             // the same with Z or an offset
	kindText
	kindNested // a JSON object or array
	kinds
)

// trimSpaces removes spaces and tabs around b.
func trimSpaces(b []byte) []byte {
	for len(b) > 0 && (b[0] == ' ' || b[0] == '\t') {
		b = b[1:]
	}
	for len(b) > 0 && (b[len(b)-1] == ' ' || b[len(b)-1] == '\t') {
		b = b[:len(b)-1]
	}
	return b
}

// A tokens is the set of texts that are read as missing.
type tokens struct {
	set   map[string]bool
	first [256]bool
	empty bool
	max   int
}

func newTokens(list []string) *tokens {
	t := &tokens{set: map[string]bool{}}
	for _, s := range list {
		t.set[s] = true
		if s == "" {
			t.empty = true
		} else {
			t.first[s[0]] = true
		}
		t.max = max(t.max, len(s))
	}
	return t
}

func (t *tokens) has(b []byte) bool {
	if len(b) == 0 {
		return t.empty
	}
	return t.first[b[0]] && len(b) <= t.max && t.set[string(b)]
}

// classify says what kind of text b is; padded says that spaces had to be ignored for it.
func classify(b []byte, null *tokens) (k kind, padded bool) {
	if null.has(b) {
		return kindNull, false
	}
	if len(b) == 0 {
		return kindText, false
	}
	if c := b[0]; c == ' ' || c == '\t' || b[len(b)-1] == ' ' || b[len(b)-1] == '\t' {
		b = trimSpaces(b)
		padded = true
		if len(b) == 0 || null.has(b) {
			return kindBlank, true
		}
	}
	switch c := b[0]; {
	case c >= '0' && c <= '9':
		return classifyDigits(b, false), padded
	case c == '-' || c == '+':
		return classifySigned(b), padded
	case c == '.':
		return classifyNumber(b), padded
	case c == 't' || c == 'T' || c == 'f' || c == 'F':
		switch string(b) {
		case "true", "True", "TRUE", "false", "False", "FALSE":
			return kindBool, padded
		}
	case c == 'n' || c == 'N':
		switch string(b) {
		case "nan", "NaN", "NAN":
			return kindNaN, padded
		}
	case c == 'i' || c == 'I':
		if isInfinity(b) {
			return kindInf, padded
		}
	}
	return kindText, padded
}

func isInfinity(b []byte) bool {
	switch string(b) {
	case "inf", "Inf", "INF", "infinity", "Infinity", "INFINITY":
		return true
	}
	return false
}

func classifySigned(b []byte) kind {
	rest := b[1:]
	if len(rest) == 0 {
		return kindText
	}
	if isInfinity(rest) {
		return kindInf
	}
	if rest[0] == '.' {
		return classifyNumber(rest)
	}
	if rest[0] < '0' || rest[0] > '9' {
		return kindText
	}
	k := classifyDigits(rest, b[0] == '-')
	switch k {
	case kindInt, kindHuge, kindVast:
		if b[0] == '+' {
			return kindCode // "+49" is a telephone prefix more often than a number
		}
		return k
	case kindNumber, kindCode:
		if b[0] == '+' {
			return kindCode
		}
		return k
	}
	return kindText
}

// Bounds of the integers, as decimal digits.
const (
	maxInt64  = "9223372036854775807"
	minInt64  = "9223372036854775808"
	maxInt128 = "170141183460469231731687303715884105727"
)

// longestNumber is how many characters a number may have; a float64 holds none with more than 309 digits before the point.
const longestNumber = 300

// classifyDigits is for texts that begin with a digit.
func classifyDigits(b []byte, negative bool) kind {
	i := 1
	for i < len(b) && b[i] >= '0' && b[i] <= '9' {
		i++
	}
	if i == len(b) {
		if b[0] == '0' && len(b) > 1 {
			return kindCode
		}
		if len(b) < len(maxInt64) {
			return kindInt
		}
		limit := maxInt64
		if negative {
			limit = minInt64
		}
		switch {
		case len(b) == len(limit) && string(b) <= limit:
			return kindInt
		case len(b) < len(maxInt128) || len(b) == len(maxInt128) && string(b) <= maxInt128:
			return kindHuge
		}
		if len(b) > longestNumber {
			return kindText
		}
		return kindVast
	}
	switch b[i] {
	case '.', 'e', 'E':
		return classifyNumber(b)
	case '-':
		if !negative {
			return classifyDate(b)
		}
	case ':':
		if !negative && isClock(b, true) {
			return kindTime
		}
	}
	return kindText
}

// classifyNumber is for unsigned texts with a point or an exponent: 1.5, .5, 5., 1e3. A leading zero before another digit makes a code.
func classifyNumber(b []byte) kind {
	i, digits := 0, 0
	for i < len(b) && b[i] >= '0' && b[i] <= '9' {
		i++
		digits++
	}
	code := i > 1 && b[0] == '0'
	if i < len(b) && b[i] == '.' {
		i++
		for i < len(b) && b[i] >= '0' && b[i] <= '9' {
			i++
			digits++
		}
	}
	if digits == 0 {
		return kindText
	}
	if i < len(b) && (b[i] == 'e' || b[i] == 'E') {
		i++
		if i < len(b) && (b[i] == '-' || b[i] == '+') {
			i++
		}
		from := i
		for i < len(b) && b[i] >= '0' && b[i] <= '9' {
			i++
		}
		if i == from {
			return kindText
		}
		if i-from > 3 {
			return kindText // 5e12345 is not a number that anything can hold
		}
		if f, err := strconv.ParseFloat(string(b), 64); err != nil || f == 0 && strings.Trim(string(b[:from-1]), "0.eE+-") != "" {
			return kindText
		}
	}
	if i != len(b) || len(b) > longestNumber {
		return kindText
	}
	if code {
		return kindCode
	}
	return kindNumber
}

func digits2(b []byte) int {
	if b[0] < '0' || b[0] > '9' || b[1] < '0' || b[1] > '9' {
		return -1
	}
	return int(b[0]-'0')*10 + int(b[1]-'0')
}

// classifyDate accepts ISO 8601 dates and timestamps with four-digit years only: every other form is ambiguous somewhere.
func classifyDate(b []byte) kind {
	if len(b) < 10 || b[4] != '-' || b[7] != '-' {
		return kindText
	}
	century, years, month, day := digits2(b), digits2(b[2:]), digits2(b[5:]), digits2(b[8:])
	if century < 0 || years < 0 || month < 1 || month > 12 || day < 1 {
		return kindText
	}
	year := century*100 + years
	last := 31
	switch month {
	case 4, 6, 9, 11:
		last = 30
	case 2:
		last = 28
		if year%4 == 0 && (year%100 != 0 || year%400 == 0) {
			last = 29
		}
	}
	if day > last || year == 0 {
		return kindText
	}
	if len(b) == 10 {
		return kindDate
	}
	if b[10] != ' ' && b[10] != 'T' {
		return kindText
	}
	clock := b[11:]
	zone := false
	if n := len(clock); n > 0 && clock[n-1] == 'Z' {
		clock, zone = clock[:n-1], true
	} else if n >= 6 && (clock[n-6] == '+' || clock[n-6] == '-') && clock[n-3] == ':' {
		h, m := digits2(clock[n-5:]), digits2(clock[n-2:])
		if h < 0 || h > 15 || m < 0 || m > 59 {
			return kindText
		}
		clock, zone = clock[:n-6], true
	}
	if !isClock(clock, false) {
		return kindText
	}
	if zone {
		return kindStampZone
	}
	return kindStamp
}

// isClock accepts 13:45, 13:45:00 and 13:45:00.123456, and more decimals only if they are zeros. Seconds are required if strict.
func isClock(b []byte, strict bool) bool {
	if len(b) < 5 || b[2] != ':' {
		return false
	}
	if h, m := digits2(b), digits2(b[3:]); h < 0 || h > 23 || m < 0 || m > 59 {
		return false
	}
	if len(b) == 5 {
		return !strict
	}
	if len(b) < 8 || b[5] != ':' {
		return false
	}
	if s := digits2(b[6:]); s < 0 || s > 59 {
		return false
	}
	if len(b) == 8 {
		return true
	}
	if b[8] != '.' || len(b) == 9 || len(b) > 18 {
		return false
	}
	for i, c := range b[9:] {
		if c < '0' || c > '9' || i >= 6 && c != '0' {
			return false
		}
	}
	return true
}

// A tally is what all texts of one column are.
type tally struct {
	count    [kinds]int64
	first    [kinds]int64 // line of the first of its kind
	padded   int64
	beyond   int64 // 64-bit integers that a float64 does not hold
	firstFar int64 // line of the first of them
}

// far counts an integer of 64 bits that a column of numbers would round.
func (t *tally) far(b []byte, line int64) {
	if len(b) < len("9007199254740993") {
		return
	}
	n, err := strconv.ParseInt(string(trimSpaces(b)), 10, 64)
	if f := float64(n); err != nil || f < 1<<63 && int64(f) == n {
		return
	}
	if t.beyond == 0 {
		t.firstFar = line
	}
	t.beyond++
}

func (t *tally) add(k kind, padded bool, line int64) {
	if t.count[k] == 0 {
		t.first[k] = line
	}
	t.count[k]++
	if padded {
		t.padded++
	}
}

// merge adds the texts of u, which come after those of t.
func (t *tally) merge(u *tally) {
	for k := range kinds {
		if t.count[k] == 0 {
			t.first[k] = u.first[k]
		}
		t.count[k] += u.count[k]
	}
	t.padded += u.padded
	if t.beyond == 0 {
		t.firstFar = u.firstFar
	}
	t.beyond += u.beyond
}

// fits returns how many texts the type can hold, nulls included, and the line of the first that it cannot (0: none).
func (t *tally) fits(typ assay.Type) (ok, firstBad int64) {
	can := func(k kind) bool {
		switch k {
		case kindNull:
			return true
		case kindBlank:
			return true
		}
		switch typ {
		case assay.TypeString:
			return true
		case assay.TypeBoolean:
			return k == kindBool
		case assay.TypeInteger:
			return k == kindInt || k == kindHuge || k == kindCode
		case assay.TypeNumber:
			return k == kindInt || k == kindHuge || k == kindVast || k == kindCode || k == kindNumber || k == kindNaN || k == kindInf
		case assay.TypeDate:
			return k == kindDate
		case assay.TypeTime:
			return k == kindTime
		case assay.TypeTimestamp:
			return k == kindDate || k == kindStamp || k == kindStampZone
		}
		return false
	}
	for k := range kinds {
		if t.count[k] == 0 {
			continue
		}
		if can(k) {
			ok += t.count[k]
		} else if firstBad == 0 || t.first[k] < firstBad {
			firstBad = t.first[k]
		}
	}
	return ok, firstBad
}

// infer decides the type that holds every text without loss, and DuckDB's name for it.
func (t *tally) infer() (assay.Type, string) {
	var n int64
	for k := kindBool; k < kinds; k++ {
		n += t.count[k]
	}
	c := &t.count
	switch {
	case n == 0:
		return assay.TypeString, "VARCHAR"
	case c[kindBool] == n:
		return assay.TypeBoolean, "BOOLEAN"
	case c[kindInt] == n:
		return assay.TypeInteger, "BIGINT"
	case c[kindInt]+c[kindHuge] == n:
		return assay.TypeInteger, "HUGEINT"
	case c[kindInt]+c[kindHuge]+c[kindVast] == n:
		return assay.TypeString, "VARCHAR"
	case c[kindInt]+c[kindHuge]+c[kindVast]+c[kindNumber]+c[kindNaN]+c[kindInf] == n:
		return assay.TypeNumber, "DOUBLE"
	case c[kindDate] == n:
		return assay.TypeDate, "DATE"
	case c[kindTime] == n:
		return assay.TypeTime, "TIME"
	case c[kindDate]+c[kindStamp] == n:
		return assay.TypeTimestamp, "TIMESTAMP"
	case c[kindStampZone] == n:
		return assay.TypeTimestamp, "TIMESTAMPTZ"
	case c[kindNested] == n:
		return assay.TypeJSON, "VARCHAR"
	}
	return assay.TypeString, "VARCHAR"
}
