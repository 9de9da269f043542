package schema

import (
	"bytes"
	"math"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/assay-ml/assay"
)

// maxKey bounds each part of the key of a row in bytes.
const maxKey = 1024

// noPart is the part of a key that a row has as null. It is no text, so no key is like it.
const noPart = "\xff"

// KeySeparator stands between the parts of a key of several columns: the unit separator of ASCII, which no part holds.
const KeySeparator = 31

// KeyedBy says by which columns a row is told apart from all others. A value under a name of theirs that is no field is kept for Key: text,
// a number or a boolean; null is none, and any other value a violation. Without columns there is no such name. The slice is not to be changed.
func (b *Batch) KeyedBy(columns []string) { b.keyed = columns }

// Keyed reports whether any row may have a key.
func (b *Batch) Keyed() bool { return len(b.keys) > 0 }

// part returns which column of the key has that name and is no field; -1 where none does.
func (b *Batch) part(name []byte) int {
	for i, c := range b.keyed {
		if string(name) != c {
			continue
		}
		if _, field := b.v.index[c]; !field {
			return i
		}
	}
	return -1
}

// IsKey reports whether a name is that of a column of the key that is no field.
func (b *Batch) IsKey(name []byte) bool { return b.part(name) >= 0 }

// KeyColumns returns of how many columns the key is.
func (b *Batch) KeyColumns() int { return len(b.keyed) }

// HasKey reports whether a row was given what SetKey gives, null included.
func (b *Batch) HasKey(row int, name []byte) bool {
	i, part := row*len(b.keyed), b.part(name)
	return part >= 0 && i+part < len(b.keys) && b.keys[i+part] != nil
}

// ReadKey reads the next value of r as a row's part of the key under the name of a column, of which IsKey holds. What is neither text nor a
// number, a boolean or null is a violation, as is what SetKey does not take, and a part that the row has already; they are appended to out. False
// means that the text is not JSON.
func (b *Batch) ReadKey(r *Reader, row int, name []byte, out []RowViolation) ([]RowViolation, bool) {
	if b.HasKey(row, name) {
		_, ok := r.Skip()
		return b.beside(row, name, RuleDuplicate, "must not occur twice", out), ok
	}
	kind := r.Kind()
	if kind == JSONNull || r.t.nan && kind == JSONEnd {
		_, ok := r.Skip()
		return b.SetKey(row, name, nil, out), ok
	}
	key, ok := r.Scalar()
	if ok && key == nil {
		return b.RefuseKey(row, name, "must be text, a finite number or a boolean, because it is a key", out), true
	}
	return b.SetKey(row, name, key, out), ok
}

// RefuseKey notes that what a row has under the name of a column of the key is none, in words that follow the name.
func (b *Batch) RefuseKey(row int, name []byte, detail string, out []RowViolation) []RowViolation {
	return b.beside(row, name, RuleType, detail, out)
}

// SetKey gives a row its part of the key under the name of a column, of which IsKey holds; nil is none. The bytes are kept, not copied. What is
// no UTF-8, has more than 1,024 bytes or, in a key of several columns, holds KeySeparator is a violation, appended to out.
func (b *Batch) SetKey(row int, name, key []byte, out []RowViolation) []RowViolation {
	part := b.part(name)
	switch {
	case part < 0:
		return out
	case key == nil:
		key = []byte(noPart)
	case len(key) > maxKey:
		return b.beside(row, name, RuleLength, "must have at most 1024 bytes, because it is a key", out)
	case !utf8.Valid(key):
		return b.beside(row, name, RuleType, "must be text in UTF-8, because it is a key", out)
	case len(b.keyed) > 1 && bytes.IndexByte(key, KeySeparator) >= 0:
		return b.beside(row, name, RulePattern, "must not hold the character U+001F, because it is a part of a key", out)
	}
	if n := (row+1)*len(b.keyed) - len(b.keys); n > 0 {
		b.keys = append(b.keys, make([][]byte, n)...)
	}
	b.keys[row*len(b.keyed)+part] = key
	return out
}

// Key returns what tells a row apart, or nil: the parts of all columns of the key, those of fields included, with KeySeparator between
// them. It is nil where one of them is missing. It may be written into room, which is then not to be used for anything else.
func (b *Batch) Key(row int, room []byte) []byte {
	n := len(b.keyed)
	if (row+1)*n > len(b.keys) {
		return nil
	}
	parts := b.keys[row*n : (row+1)*n]
	if n == 1 {
		if string(parts[0]) == noPart {
			return nil
		}
		return parts[0]
	}
	key := room[:0]
	for i, part := range parts {
		if i > 0 {
			key = append(key, KeySeparator)
		}
		from, there := len(key), part != nil && string(part) != noPart
		if field, ok := b.v.index[b.keyed[i]]; ok {
			key, there = b.appendText(key, row, field)
		} else {
			key = append(key, part...)
		}
		if !there || bytes.IndexByte(key[from:], KeySeparator) >= 0 {
			return nil
		}
	}
	return key
}

// appendText appends a value as the text that labels know it by: whole numbers without a fraction, times as SQL writes them. False for what is
// missing, and for nested values and bytes.
func (b *Batch) appendText(dst []byte, row, i int) ([]byte, bool) {
	switch c := b.at(row, i); c.kind {
	case cellText:
		return append(dst, c.s...), true
	case cellFloat:
		return AppendKeyNumber(dst, c.f), true
	case cellTime:
		if b.v.fields[i].kind == assay.TypeTimestamp {
			return time.UnixMicro(c.i).UTC().AppendFormat(dst, "2006-01-02 15:04:05.999999"), true
		}
		from := len(dst)
		dst = b.AppendJSON(dst, row, i)
		return append(dst[:from], dst[from+1:len(dst)-1]...), true // without the quotes
	case cellBool, cellInt, cellBig:
		return b.AppendJSON(dst, row, i), true
	}
	return dst, false
}

// AppendKeyNumber appends a number as a part of a key: a whole one as its digits.
func AppendKeyNumber(dst []byte, x float64) []byte {
	if x == math.Trunc(x) && math.Abs(x) < 1e15 {
		return strconv.AppendInt(dst, int64(x), 10)
	}
	return strconv.AppendFloat(dst, x, 'g', -1, 64)
}
