package schema

import (
	"bytes"
	"math"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/assay-ml/assay"
)

// maxKey bounds each part of the key of a row in bytes; a longer one is none.
const maxKey = 1024

// KeySeparator stands between the parts of a key of several columns: the unit separator of ASCII, which no part holds.
const KeySeparator = 31

// KeyedBy says by which columns a row is told apart from all others. A value under a name of theirs that is no field is kept for Key: text,
// a number or a boolean; any other value is none. Without columns there is no such name. The slice is not to be changed.
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

// HasKey reports whether a row was given what SetKey gives.
func (b *Batch) HasKey(row int, name []byte) bool {
	i, part := row*len(b.keyed), b.part(name)
	return part >= 0 && i+part < len(b.keys) && b.keys[i+part] != nil
}

// SetKey gives a row its part of the key under the name of a column, of which IsKey holds. The bytes are kept, not copied; nil is none.
func (b *Batch) SetKey(row int, name, key []byte) {
	part := b.part(name)
	if part < 0 || key == nil || len(key) > maxKey || !utf8.Valid(key) || len(b.keyed) > 1 && bytes.IndexByte(key, KeySeparator) >= 0 {
		return
	}
	if n := (row+1)*len(b.keyed) - len(b.keys); n > 0 {
		b.keys = append(b.keys, make([][]byte, n)...)
	}
	b.keys[row*len(b.keyed)+part] = key
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
		return parts[0]
	}
	key := room[:0]
	for i, part := range parts {
		if i > 0 {
			key = append(key, KeySeparator)
		}
		from, there := len(key), part != nil
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
