package schema

import (
	"bytes"
	"math"
	"slices"
	"strconv"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/assay-ml/assay"
)

// A RowViolation is one rule that one row of a batch breaks. It never holds the value.
type RowViolation struct {
	Row int `json:"row"` // from 0
	FieldViolation
}

// A Batch is rows that are given value by value, checked by the rules of a schema and then read back typed: what a prediction request
// is turned into, whatever its wire format. A value that the schema does not know is never put into it. Texts are kept as slices of
// what the caller handed over, which must stay unchanged until Release. A Batch comes from Validator.NewBatch and is not safe for use
// by several goroutines; it does not allocate once it has been used for as many rows.
type Batch struct {
	v     *Validator
	rows  int
	cells []cell // row-major; those beyond them are zero
	// Unknown counts values under names that an open schema does not have, which were left out.
	Unknown int64

	casts   *Casts // nil: values are read as the types of their fields
	coerced []Coercion
	keyed   []string // columns that tell rows apart; those that are no fields are given apart
	keys    [][]byte // of rows, as far as they have some: one a column
	extra   int      // violations that are of no field, or that a field has beside its own
}

// maxExtra bounds the violations that no number of rows and fields bounds.
const maxExtra = 10_000

// batches are kept between requests, for all schemas: a large one is not kept.
var batches = sync.Pool{New: func() any { return new(Batch) }}

const keptCells = 1 << 17

// NewBatch returns an empty batch.
func (v *Validator) NewBatch() *Batch {
	b := batches.Get().(*Batch)
	b.v, b.rows, b.Unknown = v, 0, 0
	b.casts, b.coerced = nil, b.coerced[:0]
	b.keyed, b.keys, b.extra = nil, b.keys[:0], 0
	return b
}

// Release gives the batch back; it must not be used afterwards.
func (b *Batch) Release() {
	b.v = nil
	if cap(b.cells) <= keptCells && cap(b.coerced) <= keptCells && cap(b.keys) <= keptCells {
		clear(b.cells)
		b.cells = b.cells[:0]
		clear(b.keys)
		batches.Put(b)
	}
}

// Fields returns the number of fields of a row; they are numbered as the columns of the schema.
func (v *Validator) Fields() int { return len(v.fields) }

// Field returns the name and type of field i.
func (v *Validator) Field(i int) assay.Field {
	return assay.Field{Name: v.fields[i].name, Type: v.fields[i].kind}
}

// Nested reports whether field i takes any value: its type is json, or it has none.
func (v *Validator) Nested(i int) bool { return v.fields[i].nested }

// Index returns the number of the field of that name.
func (v *Validator) Index(name []byte) (int, bool) {
	i, ok := v.index[string(name)]
	return i, ok
}

// Closed reports whether a name that the schema does not have is a violation.
func (v *Validator) Closed() bool { return v.closed }

// Validator returns whose rules the batch is checked by.
func (b *Batch) Validator() *Validator { return b.v }

// Drop takes all rows away.
func (b *Batch) Drop() {
	clear(b.cells)
	clear(b.keys)
	b.rows, b.cells, b.keys, b.coerced, b.extra = 0, b.cells[:0], b.keys[:0], b.coerced[:0], 0
}

// Rows returns the number of rows.
func (b *Batch) Rows() int { return b.rows }

// Add adds n rows without values.
func (b *Batch) Add(n int) {
	have, want := len(b.cells), (b.rows+n)*len(b.v.fields)
	b.cells = slices.Grow(b.cells, want-have)[:want]
	b.rows += n
}

// Object reads a JSON object as a new row. Fields of an open schema that it does not know are skipped and counted; those of a closed
// one, and a key that comes twice, are violations, appended to out. It returns false when the text is not such an object.
func (b *Batch) Object(r *Reader, out []RowViolation) ([]RowViolation, bool) {
	row, fields := b.rows, b.v.fields
	b.Add(1)
	if r.Kind() != JSONObject {
		return out, r.Fail("not an object")
	}
	cells := b.cells[row*len(fields):]
	next := 0
	for more := r.Enter(); more; more = r.More() {
		// Fields mostly come in the order of the schema, and their names as a program writes them.
		if next < len(fields) && cells[next].kind == cellAbsent && r.t.space() == '"' && r.t.key(fields[next].quoted) {
			if b.casts != nil {
				if !b.JSON(r, row, next) {
					return out, false
				}
			} else if !fields[next].decode(&r.t, &cells[next], r.depth) {
				return out, false
			}
			next++
			continue
		}
		key, ok := r.Key()
		if !ok {
			return out, false
		}
		at, known := b.v.index[string(key)]
		switch {
		case !known:
			out, ok = b.Extra(r, row, key, out)
		case cells[at].kind != cellAbsent:
			out = b.beside(row, key, RuleDuplicate, "must not occur twice", out)
			_, ok = r.Skip()
		default:
			next = at + 1
			ok = b.JSON(r, row, at)
		}
		if !ok {
			return out, false
		}
	}
	return out, r.t.fault == ""
}

// Extra reads the next value of r, which has a name that is no field's: the key of the row, or what Missed notes. False means that the text
// is not JSON.
func (b *Batch) Extra(r *Reader, row int, name []byte, out []RowViolation) ([]RowViolation, bool) {
	if b.IsKey(name) {
		return b.ReadKey(r, row, name, out)
	}
	out = b.unknown(row, name, out)
	_, ok := r.Skip()
	return out, ok
}

// Missed notes a value under a name that the schema does not have: a violation where it is closed, counted otherwise.
func (b *Batch) Missed(row int, name []byte, out []RowViolation) []RowViolation {
	return b.unknown(row, name, out)
}

func (b *Batch) unknown(row int, key []byte, out []RowViolation) []RowViolation {
	if !b.v.closed {
		b.Unknown++
		return out
	}
	return b.beside(row, key, RuleUnknown, "is not a field of the schema", out)
}

// beside appends a violation that a row may have any number of. Of more than maxExtra the rest is left out: a few bytes of a request are one.
func (b *Batch) beside(row int, name []byte, rule, detail string, out []RowViolation) []RowViolation {
	if b.extra++; b.extra > maxExtra {
		return out
	}
	return append(out, RowViolation{row, FieldViolation{Field: string(name[:min(len(name), maxFieldName)]), Rule: rule, Detail: detail, Severity: Error}})
}

func (b *Batch) violation(row, i int, rule, detail string) RowViolation {
	return RowViolation{row, FieldViolation{Field: b.v.fields[i].name, Rule: rule, Detail: detail, Severity: Error}}
}

func (b *Batch) at(row, i int) *cell { return &b.cells[row*len(b.v.fields)+i] }

// JSON reads the next value of r as field i of a row. A value of another type is a violation, found by Check; false means that the
// text is not JSON.
func (b *Batch) JSON(r *Reader, row, i int) bool {
	if b.casts != nil && b.casts.kinds[i] != castNone {
		return b.keep(r, row, i)
	}
	return b.v.fields[i].decode(&r.t, b.at(row, i), r.depth)
}

// SetNull says that the value is missing.
func (b *Batch) SetNull(row, i int) { b.at(row, i).kind = cellNull }

// SetBool gives a truth value; a field of another type is violated by it.
func (b *Batch) SetBool(row, i int, x bool) {
	c := b.at(row, i)
	c.kind = cellWrong
	if b.v.fields[i].kind == assay.TypeBoolean {
		c.kind = cellBool
		if x {
			c.i = 1
		}
	}
	if b.v.fields[i].nested {
		c.kind, c.s = cellOther, strconv.AppendBool(nil, x)
	}
}

// SetInt gives an integer; a field of numbers takes it when float64 holds it exactly.
func (b *Batch) SetInt(row, i int, x int64) {
	c := b.at(row, i)
	c.kind = cellWrong
	switch b.v.fields[i].kind {
	case assay.TypeInteger:
		c.kind, c.i = cellInt, x
	case assay.TypeNumber:
		if f := float64(x); x >= -maxSafe && x <= maxSafe || f < 1<<63 && int64(f) == x {
			c.kind, c.f = cellFloat, f
		}
	}
	if b.v.fields[i].nested {
		c.kind, c.s = cellOther, strconv.AppendInt(nil, x, 10)
	}
}

// SetUint gives an integer without a sign, as SetInt.
func (b *Batch) SetUint(row, i int, x uint64) {
	if x <= math.MaxInt64 {
		b.SetInt(row, i, int64(x))
		return
	}
	c := b.at(row, i)
	c.kind = cellWrong
	switch b.v.fields[i].kind {
	case assay.TypeInteger:
		c.kind, c.s = cellBig, strconv.AppendUint(nil, x, 10)
	case assay.TypeNumber:
		if f := float64(x); f < 1<<64 && uint64(f) == x {
			c.kind, c.f = cellFloat, f
		}
	}
	if b.v.fields[i].nested {
		c.kind, c.s = cellOther, strconv.AppendUint(nil, x, 10)
	}
}

// Refuse notes that a value is not what its field takes, for a reason that the caller knows better than the schema, in words that
// follow the field's name and do not repeat the value. Check says nothing more of it.
func (b *Batch) Refuse(row, i int, detail string, out []RowViolation) []RowViolation {
	b.at(row, i).kind = cellRefused
	return append(out, b.violation(row, i, RuleType, detail))
}

// SetFloat gives a number; a field of integers takes it when it is whole and fits 64 bits. NaN counts as missing, and so that it can
// be told apart, the infinities violate the type.
func (b *Batch) SetFloat(row, i int, x float64) {
	c := b.at(row, i)
	c.kind = cellWrong
	switch f := &b.v.fields[i]; {
	case math.IsNaN(x):
		c.kind = cellNull
	case math.IsInf(x, 0):
	case f.kind == assay.TypeNumber:
		c.kind, c.f = cellFloat, x
	case f.kind == assay.TypeInteger && x == math.Trunc(x) && x >= -(1<<63) && x < 1<<63:
		c.kind, c.i = cellInt, int64(x)
	case f.nested: // a float to whoever reads the JSON, a whole one too
		c.kind, c.s = cellOther, strconv.AppendFloat(nil, x, 'g', -1, 64)
		if !bytes.ContainsAny(c.s, ".e") {
			c.s = append(c.s, ".0"...)
		}
	}
}

// SetFloats gives the fields of the rows, row after row, their numbers as SetFloat does. There must be rows for all of them.
func (b *Batch) SetFloats(fields []int, xs []float64) {
	for row := 0; len(xs) >= len(fields) && len(xs) > 0; row++ {
		cells := b.cells[row*len(b.v.fields) : (row+1)*len(b.v.fields)]
		for j, i := range fields {
			if x := xs[j]; b.v.fields[i].number && x-x == 0 {
				cells[i].kind, cells[i].f = cellFloat, x
			} else {
				b.SetFloat(row, i, x)
			}
		}
		xs = xs[len(fields):]
	}
}

// SetText gives a string, as JSON would: a date or time in ISO 8601, bytes in base64. The bytes are kept, not copied.
func (b *Batch) SetText(row, i int, s []byte) {
	c := b.at(row, i)
	c.kind = cellWrong
	if !utf8.Valid(s) {
		return
	}
	b.v.fields[i].decodeText(c, s)
}

// SetJSON gives a value as the text of its JSON, which is kept, not copied. What is no JSON violates the type.
func (b *Batch) SetJSON(row, i int, s []byte) {
	var r Reader
	r.Reset(s, 0)
	if !b.JSON(&r, row, i) || !r.End() {
		*b.at(row, i) = cell{kind: cellWrong}
	}
}

// SetField gives the text of a field of a CSV file, read as the field's type; the empty text is missing. Nested values are the text
// of their JSON there; what is none is a string.
func (b *Batch) SetField(row, i int, s []byte) {
	f := &b.v.fields[i]
	c := b.at(row, i)
	c.kind = cellWrong
	switch {
	case len(s) == 0:
		c.kind = cellNull
	case !utf8.Valid(s):
	case f.nested:
		if b.SetJSON(row, i, s); c.kind == cellWrong {
			f.decodeText(c, s)
		}
	case f.kind == assay.TypeInteger, f.kind == assay.TypeNumber:
		t := tokenizer{b: s}
		if n, whole := numberLen(s); n == len(s) {
			if f.decode(&t, c, 0); c.kind == cellWrong && whole && f.number && b.casts != nil && b.casts.kinds[i] != castNone {
				c.kind, c.s = rawInt, s
			}
		} else if f.kind == assay.TypeNumber && (string(s) == "NaN" || string(s) == "nan") {
			c.kind = cellNull
		}
	case f.kind == assay.TypeBoolean:
		switch string(s) {
		case "true", "True", "TRUE":
			c.kind, c.i = cellBool, 1
		case "false", "False", "FALSE":
			c.kind = cellBool
		}
	default:
		f.decodeText(c, s)
	}
}

// Check appends to out every violation of every row, rows in order and fields in the order of the schema.
func (b *Batch) Check(out []RowViolation) []RowViolation {
	n := len(b.v.fields)
	var found []FieldViolation
	for row := range b.rows {
		cells := b.cells[row*n : (row+1)*n]
		found = found[:0]
		for i := range b.v.fields {
			f, c := &b.v.fields[i], &cells[i]
			if !f.plain || c.kind != cellFloat || !(c.f >= f.least && c.f <= f.most) {
				found = f.check(c, found)
			}
		}
		for i := range b.v.conditions {
			c := &b.v.conditions[i]
			if r := c.root.eval(cells); r.kind == valBool && r.i == 0 {
				found = append(found, c.violation)
			}
		}
		for _, f := range found {
			out = append(out, RowViolation{row, f})
		}
	}
	return out
}

// Missing reports whether a value is absent, null or NaN.
func (b *Batch) Missing(row, i int) bool {
	k := b.cells[row*len(b.v.fields)+i].kind
	return k == cellAbsent || k == cellNull
}

// Float returns a value as learners take it: a number, a truth value as 0 or 1, a date or timestamp as seconds since 1970 UTC, a time
// as seconds of the day; NaN for what is missing or is none of these.
func (b *Batch) Float(row, i int) float64 {
	c := &b.cells[row*len(b.v.fields)+i]
	switch c.kind {
	case cellFloat:
		return c.f
	case cellInt, cellBool:
		return float64(c.i)
	case cellBig:
		x, _ := strconv.ParseFloat(string(c.s), 64)
		return x
	case cellTime:
		if b.v.fields[i].kind == assay.TypeDate {
			return float64(c.i) * 86400
		}
		return float64(c.i) / 1e6
	}
	return math.NaN()
}

// Floats reads field i of as many rows as out holds, from the given row on, each as Float does.
func (b *Batch) Floats(from, i int, out []float64) {
	at := from*len(b.v.fields) + i
	for j := range out {
		if c := &b.cells[at]; c.kind == cellFloat {
			out[j] = c.f
		} else {
			out[j] = b.Float(from+j, i)
		}
		at += len(b.v.fields)
	}
}

// Int returns a value as a 64-bit integer, and whether it is one: an integer or a truth value.
func (b *Batch) Int(row, i int) (int64, bool) {
	c := &b.cells[row*len(b.v.fields)+i]
	return c.i, c.kind == cellInt || c.kind == cellBool
}

// Text returns a string, and whether it is one. The bytes are not to be changed.
func (b *Batch) Text(row, i int) ([]byte, bool) {
	c := &b.cells[row*len(b.v.fields)+i]
	return c.s, c.kind == cellText
}

// Raw returns the JSON of a value of a column of type json or without a type, or the base64 of bytes, as JSON had it; false where it was
// not read from JSON. The bytes are not to be changed.
func (b *Batch) Raw(row, i int) ([]byte, bool) {
	c := &b.cells[row*len(b.v.fields)+i]
	return c.s, c.kind == cellOther && c.s != nil
}

// AppendJSON appends a value as JSON: null for what is missing or was of another type, integers exactly, and dates and times in ISO
// 8601. Nested values and bytes are null as well: Raw has them.
func (b *Batch) AppendJSON(dst []byte, row, i int) []byte {
	c := &b.cells[row*len(b.v.fields)+i]
	switch c.kind {
	case cellBool:
		return strconv.AppendBool(dst, c.i != 0)
	case cellInt:
		return strconv.AppendInt(dst, c.i, 10)
	case cellBig:
		return append(dst, c.s...)
	case cellFloat:
		return strconv.AppendFloat(dst, c.f, 'g', -1, 64)
	case cellText:
		return AppendJSONString(dst, c.s)
	case cellTime:
		return appendTime(dst, c.i, b.v.fields[i].kind)
	}
	return append(dst, "null"...)
}

// appendTime appends days of a date, or microseconds of a time or timestamp, as a JSON string in ISO 8601.
func appendTime(dst []byte, x int64, t assay.Type) []byte {
	dst = append(dst, '"')
	switch t {
	case assay.TypeDate:
		dst = time.Unix(x*86400, 0).UTC().AppendFormat(dst, "2006-01-02")
	case assay.TypeTime:
		dst = time.UnixMicro(x).UTC().AppendFormat(dst, "15:04:05.999999")
	default:
		dst = time.UnixMicro(x).UTC().AppendFormat(dst, "2006-01-02T15:04:05.999999Z")
	}
	return append(dst, '"')
}

// runeLen returns the length of the valid UTF-8 sequence of several bytes that s begins with, 0 when it is not valid.
func runeLen(s []byte) int {
	r, n := utf8.DecodeRune(s)
	if r == utf8.RuneError && n <= 1 {
		return 0
	}
	return n
}
