package schema

import (
	"bytes"
	"encoding/binary"
	"math"
	"strconv"

	"github.com/assay-ml/assay"
)

// Kinds of a value in the binary form of a column. They are part of a file format: their numbers never change.
const (
	wireMissing byte = iota // absent, null, of another type, or of a kind that a batch does not keep
	wireFalse
	wireTrue
	wireInt   // zigzag varint
	wireBig   // length and decimal digits
	wireFloat // IEEE 754 binary64, little endian
	wireText  // length and UTF-8
	wireTime  // zigzag varint: days of a date, microseconds otherwise
	wireJSON  // length and JSON, of a nested value

	wireMixed byte = 0xff // a kind for each row follows, and then the values
)

// wireKinds says how a cell is written. A truth value is wireFalse plus its value.
var wireKinds = [...]byte{
	cellAbsent: wireMissing, cellNull: wireMissing, cellBool: wireFalse, cellInt: wireInt, cellBig: wireBig, cellFloat: wireFloat,
	cellText: wireText, cellTime: wireTime, cellOther: wireMissing, cellWrong: wireMissing, cellRefused: wireMissing,
	rawInt: wireMissing, rawFloat: wireMissing, rawText: wireMissing, rawNested: wireMissing,
}

func (c *cell) wire() byte {
	k := wireKinds[c.kind]
	switch {
	case k == wireFalse:
		k += byte(c.i)
	case c.kind == cellOther && c.s != nil:
		k = wireJSON
	}
	return k
}

// AppendColumn appends the values of field i of all rows in a binary form, which ReadColumn reads: one kind for all rows, or a kind a
// row, and then the values that are not missing.
func (b *Batch) AppendColumn(dst []byte, i int) []byte {
	n := len(b.v.fields)
	if b.rows == 0 {
		return append(dst, wireMissing)
	}
	kind := b.cells[i].wire()
	same := true
	for at := i + n; at < len(b.cells); at += n {
		if b.cells[at].wire() != kind {
			same = false
			break
		}
	}
	if !same {
		dst = append(dst, wireMixed)
		for at := i; at < len(b.cells); at += n {
			dst = append(dst, b.cells[at].wire())
		}
	} else {
		dst = append(dst, kind)
		if kind <= wireTrue {
			return dst
		}
		if kind == wireFloat {
			for at := i; at < len(b.cells); at += n {
				dst = binary.LittleEndian.AppendUint64(dst, math.Float64bits(b.cells[at].f))
			}
			return dst
		}
	}
	for at := i; at < len(b.cells); at += n {
		switch c := &b.cells[at]; c.wire() {
		case wireInt, wireTime:
			dst = binary.AppendVarint(dst, c.i)
		case wireFloat:
			dst = binary.LittleEndian.AppendUint64(dst, math.Float64bits(c.f))
		case wireBig, wireText, wireJSON:
			dst = binary.AppendUvarint(dst, uint64(len(c.s)))
			dst = append(dst, c.s...)
		}
	}
	return dst
}

// A ColumnReader gives the values of a column that AppendColumn wrote, row after row.
type ColumnReader struct {
	kind  byte
	kinds []byte // one a row, when they differ
	rest  []byte
	row   int
	rows  int
	typ   assay.Type
}

// ReadColumn begins with the column of that many rows that b begins with, and returns what follows it. ok is false when b does not begin
// with one; values are then never read beyond b.
func ReadColumn(b []byte, rows int, t assay.Type) (r ColumnReader, rest []byte, ok bool) {
	if len(b) == 0 || rows < 0 {
		return r, nil, false
	}
	r = ColumnReader{kind: b[0], rows: rows, typ: t}
	b = b[1:]
	if r.kind == wireMixed {
		if len(b) < rows {
			return r, nil, false
		}
		r.kinds, b = b[:rows], b[rows:]
	} else if r.kind > wireJSON {
		return r, nil, false
	}
	r.rest = b
	if r.kinds == nil && r.kind <= wireTrue {
		return r, b, true
	}
	if r.kinds == nil && r.kind == wireFloat {
		if len(b)/8 < rows {
			return r, nil, false
		}
		return r, b[8*rows:], true
	}
	for row := range rows {
		_, n := value(r.at(row), b)
		if n < 0 {
			return r, nil, false
		}
		b = b[n:]
	}
	return r, b, true
}

func (r *ColumnReader) at(row int) byte {
	if r.kinds != nil {
		return r.kinds[row]
	}
	return r.kind
}

// value returns the bytes of the value that b begins with, without its length, and how many bytes it takes in all; -1 when it is torn.
func value(kind byte, b []byte) ([]byte, int) {
	switch kind {
	case wireMissing, wireFalse, wireTrue:
		return nil, 0
	case wireInt, wireTime:
		if _, n := binary.Varint(b); n > 0 {
			return b[:n], n
		}
	case wireFloat:
		if len(b) >= 8 {
			return b[:8], 8
		}
	case wireBig, wireText, wireJSON:
		if k, n := binary.Uvarint(b); n > 0 && k <= uint64(len(b)-n) {
			return b[n : n+int(k)], n + int(k)
		}
	}
	return nil, -1
}

// Next appends the next row's value as JSON, as AppendJSON would, a nested value as the text of its JSON; there is false for one that is
// missing, and what was appended then is to be dropped. So it is for a value that a column of its type in a table cannot hold, such as an integer beyond 64 bits: unheld is true then.
func (r *ColumnReader) Next(dst []byte) (out []byte, there, unheld bool) {
	if r.row >= r.rows {
		return dst, false, false
	}
	kind := r.at(r.row)
	r.row++
	s, n := value(kind, r.rest)
	r.rest = r.rest[max(n, 0):]
	if kind == wireMissing || n < 0 || kind == wireFloat && !finite(s) {
		return dst, false, false
	}
	out, ok := r.append(dst, kind, s)
	return out, ok, !ok
}

// finite reports whether eight bytes are a number: what a cast made infinite is noted as such.
func finite(s []byte) bool {
	x := math.Float64frombits(binary.LittleEndian.Uint64(s))
	return x-x == 0
}

// append appends a value of that kind as JSON that a column of the type takes; false where it takes none such.
func (r *ColumnReader) append(dst []byte, kind byte, s []byte) ([]byte, bool) {
	number := r.typ == assay.TypeInteger || r.typ == assay.TypeNumber
	switch kind {
	case wireFalse, wireTrue:
		return strconv.AppendBool(dst, kind == wireTrue), r.typ == assay.TypeBoolean
	case wireInt:
		x, _ := binary.Varint(s)
		return strconv.AppendInt(dst, x, 10), number
	case wireBig:
		if r.typ == assay.TypeInteger {
			x, err := strconv.ParseInt(string(s), 10, 64)
			return strconv.AppendInt(dst, x, 10), err == nil
		}
		x, err := strconv.ParseFloat(string(s), 64)
		return strconv.AppendFloat(dst, x, 'g', -1, 64), err == nil && number && x-x == 0
	case wireFloat:
		x := math.Float64frombits(binary.LittleEndian.Uint64(s))
		if r.typ == assay.TypeInteger {
			if x != math.Trunc(x) || x < -(1<<63) || x >= 1<<63 {
				return dst, false
			}
			return strconv.AppendInt(dst, int64(x), 10), true
		}
		return strconv.AppendFloat(dst, x, 'g', -1, 64), number
	case wireText:
		return AppendJSONString(dst, s), r.typ == assay.TypeString
	case wireJSON:
		return AppendJSONString(dst, withoutNaN(s)), r.typ == assay.TypeJSON
	case wireTime:
		x, _ := binary.Varint(s)
		return appendTime(dst, x, r.typ), timeHeld(x, r.typ)
	}
	return dst, false
}

// The first and the last day that ISO 8601 writes with four digits of the year, in days since 1970.
const (
	firstDay = -719162
	lastDay  = 2932896
)

// timeHeld reports whether days of a date, microseconds of a time or timestamp, can be written in ISO 8601.
func timeHeld(x int64, t assay.Type) bool {
	const day = 86400 * 1e6
	switch t {
	case assay.TypeDate:
		return x >= firstDay && x <= lastDay
	case assay.TypeTime:
		return x >= 0 && x < day
	case assay.TypeTimestamp:
		return x >= firstDay*day && x < (lastDay+1)*day
	}
	return false
}

// withoutNaN returns JSON in which the word NaN, which a Reader may allow for a missing number, is null.
func withoutNaN(s []byte) []byte {
	if !bytes.Contains(s, []byte("NaN")) {
		return s
	}
	out := make([]byte, 0, len(s)+8)
	text := false
	for i := 0; i < len(s); i++ {
		switch {
		case text && s[i] == '\\' && i+1 < len(s):
			out = append(out, s[i])
			i++
		case s[i] == '"':
			text = !text
		case !text && s[i] == 'N':
			out = append(out, "null"...)
			i += len("NaN") - 1
			continue
		}
		out = append(out, s[i])
	}
	return out
}
