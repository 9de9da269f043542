package table

import (
	"math/big"
	"strings"
	"time"
	"unsafe"

	duckdb "github.com/duckdb/duckdb-go-bindings"

	"github.com/assay-ml/assay"
)

// A vector is one column of a batch, read in place. It is valid until the batch is destroyed.
type vector struct {
	raw     duckdb.Vector
	kind    duckdb.Type // the physical type for enums and decimals is in inner
	inner   duckdb.Type
	scale   int
	levels  []string // of an enum
	known   bool
	data    unsafe.Pointer
	mask    unsafe.Pointer
	element *vector // of a list
}

// reset points v at a new batch's vector. The type is looked up once.
func (v *vector) reset(raw duckdb.Vector) {
	v.raw = raw
	if !v.known {
		v.known = true
		t := duckdb.VectorGetColumnType(raw)
		v.kind = duckdb.GetTypeId(t)
		switch v.kind {
		case duckdb.TypeDecimal:
			v.scale, v.inner = int(duckdb.DecimalScale(t)), duckdb.DecimalInternalType(t)
		case duckdb.TypeEnum:
			v.inner = duckdb.EnumInternalType(t)
			v.levels = make([]string, duckdb.EnumDictionarySize(t))
			for i := range v.levels {
				v.levels[i] = duckdb.EnumDictionaryValue(t, duckdb.IdxT(i))
			}
		}
		duckdb.DestroyLogicalType(&t)
	}
	v.data = duckdb.VectorGetData(raw)
	v.mask = duckdb.VectorGetValidity(raw)
	if v.kind == duckdb.TypeList {
		if v.element == nil {
			v.element = &vector{}
		}
		v.element.reset(duckdb.ListVectorGetChild(raw))
	}
}

// null reports whether row i is missing: one bit a row, set when there is a value.
func (v *vector) null(i int) bool {
	if v.mask == nil {
		return false
	}
	word := *(*uint64)(unsafe.Add(v.mask, i/64*8))
	return word&(1<<(uint(i)%64)) == 0
}

func at[T any](v *vector, i int) T {
	var zero T
	return *(*T)(unsafe.Add(v.data, uintptr(i)*unsafe.Sizeof(zero)))
}

// slice views the vector's values as n values of T.
func slice[T any](v *vector, n int) []T { return unsafe.Slice((*T)(v.data), n) }

// text returns the bytes of row i of a text or blob, borrowed from the batch. The layout is DuckDB's string_t: a length, then either
// twelve bytes in place or four bytes of prefix and a pointer.
func (v *vector) text(i int) string {
	p := unsafe.Add(v.data, uintptr(i)*16)
	n := *(*uint32)(p)
	if n <= 12 {
		return unsafe.String((*byte)(unsafe.Add(p, 4)), int(n))
	}
	return unsafe.String(*(**byte)(unsafe.Add(p, 8)), int(n))
}

// A hugeint is DuckDB's 128-bit integer in memory.
type hugeint struct {
	lower uint64
	upper int64
}

func (h hugeint) big() *big.Int {
	b := new(big.Int).Lsh(big.NewInt(h.upper), 64)
	return b.Add(b, new(big.Int).SetUint64(h.lower))
}

// value returns row i: nil, bool, int64, *big.Int (128-bit integers and unsigned ones beyond int64), float64, decimal, string, []byte,
// time.Time (dates and timestamps) or []any.
func (v *vector) value(i int) (any, error) {
	if v.null(i) {
		return nil, nil
	}
	switch v.kind {
	case duckdb.TypeBoolean:
		return at[bool](v, i), nil
	case duckdb.TypeTinyInt, duckdb.TypeSmallInt, duckdb.TypeInteger, duckdb.TypeBigInt,
		duckdb.TypeUTinyInt, duckdb.TypeUSmallInt, duckdb.TypeUInteger:
		return v.int(v.kind, i), nil
	case duckdb.TypeUBigInt:
		u := at[uint64](v, i)
		if u>>63 == 0 {
			return int64(u), nil
		}
		return new(big.Int).SetUint64(u), nil
	case duckdb.TypeHugeInt:
		return at[hugeint](v, i).big(), nil
	case duckdb.TypeFloat:
		return float64(at[float32](v, i)), nil
	case duckdb.TypeDouble:
		return at[float64](v, i), nil
	case duckdb.TypeDecimal:
		return v.decimal(i), nil
	case duckdb.TypeVarchar:
		return strings.Clone(v.text(i)), nil
	case duckdb.TypeBlob:
		return []byte(v.text(i)), nil
	case duckdb.TypeEnum:
		return v.levels[v.int(v.inner, i)], nil
	case duckdb.TypeDate:
		return time.Unix(int64(at[int32](v, i))*86400, 0).UTC(), nil
	case duckdb.TypeTime:
		return time.UnixMicro(at[int64](v, i)).UTC().Format("15:04:05.999999"), nil
	case duckdb.TypeTimestamp, duckdb.TypeTimestampTZ:
		return time.UnixMicro(at[int64](v, i)).UTC(), nil
	case duckdb.TypeTimestampS:
		return time.Unix(at[int64](v, i), 0).UTC(), nil
	case duckdb.TypeTimestampMS:
		return time.UnixMilli(at[int64](v, i)).UTC(), nil
	case duckdb.TypeTimestampNS:
		return time.Unix(0, at[int64](v, i)).UTC(), nil
	case duckdb.TypeList:
		entry := at[[2]uint64](v, i)
		out := make([]any, entry[1])
		for k := range out {
			x, err := v.element.value(int(entry[0]) + k)
			if err != nil {
				return nil, err
			}
			out[k] = x
		}
		return out, nil
	}
	return nil, assay.Errorf(assay.Internal, "a query answers a type that is not read: cast it to text")
}

func (v *vector) int(kind duckdb.Type, i int) int64 {
	switch kind {
	case duckdb.TypeTinyInt:
		return int64(at[int8](v, i))
	case duckdb.TypeSmallInt:
		return int64(at[int16](v, i))
	case duckdb.TypeInteger:
		return int64(at[int32](v, i))
	case duckdb.TypeUTinyInt:
		return int64(at[uint8](v, i))
	case duckdb.TypeUSmallInt:
		return int64(at[uint16](v, i))
	case duckdb.TypeUInteger:
		return int64(at[uint32](v, i))
	}
	return at[int64](v, i)
}

func (v *vector) decimal(i int) decimal {
	d := decimal{scale: v.scale}
	if v.inner == duckdb.TypeHugeInt {
		d.unscaled = at[hugeint](v, i).big()
	} else {
		d.unscaled = big.NewInt(v.int(v.inner, i))
	}
	return d
}
