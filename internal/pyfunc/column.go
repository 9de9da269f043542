package pyfunc

import (
	"encoding/base64"
	"encoding/binary"
	"math"

	"github.com/assay-ml/assay"
)

// A Column is a column that the model takes.
type Column struct {
	Name string `json:"name"`
	Kind string `json:"kind"` // float64, float32, int64, int32, int16, int8, uint8, uint16, uint32, bool, string, datetime, bytes, json
	// Typed appends the JSON of a value of the kind json as that of the column's type, or says why it is none, in words that follow its name
	// and never repeat the value; nil: any JSON will do, as it stands.
	Typed func(dst, text []byte) (out []byte, why string) `json:"-"`
}

// Rows are typed rows: those of a request (schema.Batch), or of a table.
type Rows interface {
	Rows() int
	Missing(row, i int) bool
	Float(row, i int) float64
	Int(row, i int) (int64, bool)
	Text(row, i int) ([]byte, bool)
	Raw(row, i int) ([]byte, bool) // the JSON of a nested value, or the base64 of bytes
}

// whole are the bounds and sizes of the kinds of whole numbers.
var whole = map[string]struct {
	lo, hi int64
	size   int
}{
	"int64": {math.MinInt64, math.MaxInt64, 8}, "int32": {math.MinInt32, math.MaxInt32, 4}, "int16": {math.MinInt16, math.MaxInt16, 2}, "int8": {math.MinInt8, math.MaxInt8, 1},
	"uint8": {0, math.MaxUint8, 1}, "uint16": {0, math.MaxUint16, 2}, "uint32": {0, math.MaxUint32, 4},
}

const noText = math.MaxUint32

// encode is column i of all rows as the worker reads it: values one after another, so that those of two requests follow each other. A
// value that the kind cannot hold exactly is Rejected, by row and column and without the value.
func encode(dst []byte, c Column, x Rows, i int) ([]byte, error) {
	no := func(row int, why string) ([]byte, error) {
		return nil, assay.Errorf(assay.Rejected, "row %d: %s %s", row, c.Name, why)
	}
	le := binary.LittleEndian
	for row := range x.Rows() {
		switch c.Kind {
		case "float64":
			v := x.Float(row, i)
			if n, ok := x.Int(row, i); ok && (v >= 1<<63 || int64(v) != n) {
				return no(row, "is a whole number that 64-bit floats do not hold")
			}
			dst = le.AppendUint64(dst, math.Float64bits(v))
		case "float32":
			v := x.Float(row, i)
			f := float32(v)
			if math.IsInf(float64(f), 0) && !math.IsInf(v, 0) {
				return no(row, "is beyond what the model can hold (32-bit floats)")
			}
			dst = le.AppendUint32(dst, math.Float32bits(f))
		case "string":
			b, ok := x.Text(row, i)
			switch {
			case ok:
				dst = append(le.AppendUint32(dst, uint32(len(b))), b...)
			case x.Missing(row, i):
				dst = le.AppendUint32(dst, noText)
			default:
				return no(row, "is no text")
			}
		case "bytes", "json":
			b, ok := x.Raw(row, i)
			if !ok {
				if !x.Missing(row, i) {
					return no(row, "is neither bytes nor a nested value")
				}
				dst = le.AppendUint32(dst, noText)
				continue
			}
			if c.Kind == "bytes" {
				from := len(dst)
				var err error
				if dst, err = base64.StdEncoding.AppendDecode(append(dst, 0, 0, 0, 0), b); err != nil {
					return no(row, "is not base64")
				}
				le.PutUint32(dst[from:], uint32(len(dst)-from-4))
				continue
			}
			if c.Typed == nil {
				dst = append(le.AppendUint32(dst, uint32(len(b))), b...)
				continue
			}
			from, why := len(dst), ""
			if dst, why = c.Typed(append(dst, 0, 0, 0, 0), b); why != "" {
				return no(row, why)
			}
			le.PutUint32(dst[from:], uint32(len(dst)-from-4))
		case "datetime":
			at := int64(math.MinInt64) // NumPy's NaT
			if !x.Missing(row, i) {
				at = int64(math.Round(x.Float(row, i) * 1e6))
			}
			dst = le.AppendUint64(dst, uint64(at))
		case "bool":
			v, ok := x.Int(row, i)
			if !ok || v != 0 && v != 1 {
				return no(row, "is missing or no truth value")
			}
			dst = append(dst, byte(v))
		default:
			k := whole[c.Kind]
			v, ok := x.Int(row, i)
			if !ok || v < k.lo || v > k.hi {
				return no(row, "is missing, or no "+c.Kind)
			}
			switch k.size {
			case 8:
				dst = le.AppendUint64(dst, uint64(v))
			case 4:
				dst = le.AppendUint32(dst, uint32(v))
			case 2:
				dst = le.AppendUint16(dst, uint16(v))
			default:
				dst = append(dst, byte(v))
			}
		}
	}
	return dst, nil
}
