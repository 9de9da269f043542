package table

import (
	"context"
	"fmt"
	"math"
	"strings"

	duckdb "github.com/duckdb/duckdb-go-bindings"

	"github.com/assay-ml/assay"
)

// FromFrame makes a table of columns in memory. Types are the columns' own: an integer column becomes 64-bit integers and must hold
// whole numbers below 2^63 in size; booleans must be 0 or 1; dates whole days; a NaN is a missing value, except in a number column, where
// it is too, as a frame cannot tell the two apart. Columns of unequal length, bad codes and such values are invalid.
func (e *Engine) FromFrame(ctx context.Context, f assay.Frame) (*Table, error) {
	if len(f) == 0 {
		return nil, assay.Errorf(assay.Invalid, "a frame without columns makes no table")
	}
	names := make([]string, len(f))
	fields := make([]assay.Field, len(f))
	defs := make([]string, len(f))
	types := make([]duckdb.LogicalType, len(f))
	defer func() {
		for i := range types {
			if types[i].Ptr != nil {
				duckdb.DestroyLogicalType(&types[i])
			}
		}
	}()
	var bad assay.Problems
	for i := range f {
		c := &f[i]
		names[i] = c.Name
		typ := c.Type
		if typ == "" {
			typ = assay.TypeNumber
			if c.Codes != nil {
				typ = assay.TypeString
			}
		}
		fields[i] = assay.Field{Name: c.Name, Type: typ}
		checkColumn(&bad, c, typ, f.Rows())
		sql := duckType(typ)
		if c.Codes != nil {
			sql = "VARCHAR"
		}
		defs[i] = fmt.Sprintf("c%d %s", i, sql)
		types[i] = duckdb.CreateLogicalType(physical(sql))
	}
	if err := bad.Err(assay.Invalid, "the frame is not a table"); err != nil {
		return nil, err
	}
	if err := checkNames("the frame", names); err != nil {
		return nil, err
	}
	store := e.name("t")
	if err := e.exec(ctx, "CREATE TABLE "+store+" ("+strings.Join(defs, ", ")+")"); err != nil {
		return nil, err
	}
	if err := e.appendFrame(ctx, store, f, fields, types); err != nil {
		e.drop(store)
		return nil, err
	}
	t := &Table{engine: e, format: Memory}
	return t, t.adopt(ctx, store, fields)
}

func physical(sql string) duckdb.Type {
	switch sql {
	case "BOOLEAN":
		return duckdb.TypeBoolean
	case "BIGINT":
		return duckdb.TypeBigInt
	case "DATE":
		return duckdb.TypeDate
	case "TIME":
		return duckdb.TypeTime
	case "TIMESTAMP":
		return duckdb.TypeTimestamp
	case "VARCHAR":
		return duckdb.TypeVarchar
	}
	return duckdb.TypeDouble
}

// checkColumn reports what keeps a column from being stored without loss.
func checkColumn(bad *assay.Problems, c *assay.Column, typ assay.Type, rows int) {
	if c.Len() != rows {
		bad.Add("column %q has %d rows and the first column %d", c.Name, c.Len(), rows)
		return
	}
	if c.Codes != nil {
		if !textual(typ) {
			bad.Add("column %q has codes but is %s", c.Name, typ)
		}
		for _, code := range c.Codes {
			if int(code) >= len(c.Levels) {
				bad.Add("column %q has the code %d but %d levels", c.Name, code, len(c.Levels))
				return
			}
		}
		return
	}
	if textual(typ) && rows > 0 {
		bad.Add("column %q is %s but has numbers", c.Name, typ)
		return
	}
	if c.Ints != nil && (len(c.Ints) != rows || typ != assay.TypeInteger) {
		bad.Add("column %q is %s and has %d integers beside %d numbers", c.Name, typ, len(c.Ints), rows)
		return
	}
	n := 0
	for _, x := range c.Floats {
		ok := true
		switch {
		case math.IsNaN(x):
		case c.Ints != nil:
		case typ == assay.TypeInteger:
			ok = x == math.Trunc(x) && x >= -1<<63 && x < 1<<63
		case typ == assay.TypeBoolean:
			ok = x == 0 || x == 1
		case typ == assay.TypeDate:
			ok = math.Mod(x, 86400) == 0 && math.Abs(x) < 86400*(1<<31-2)
		case typ == assay.TypeTime:
			ok = x >= 0 && x < 86400
		case typ == assay.TypeTimestamp:
			ok = math.Abs(x) < 9e12
		}
		if !ok {
			n++
		}
	}
	if n > 0 {
		bad.Add("column %q has %d values that are not of the type %s", c.Name, n, typ)
	}
}

func (e *Engine) appendFrame(ctx context.Context, store string, f assay.Frame, fields []assay.Field, types []duckdb.LogicalType) error {
	c, err := e.conn()
	if err != nil {
		return err
	}
	defer e.release(c)
	var a duckdb.Appender
	if duckdb.AppenderCreate(c.c, "main", store, &a) == duckdb.StateError {
		return translate(ctx, duckdb.AppenderError(a))
	}
	defer duckdb.AppenderDestroy(&a)
	chunk := duckdb.CreateDataChunk(types)
	defer duckdb.DestroyDataChunk(&chunk)
	size := int(duckdb.VectorSize())
	for from := 0; from < f.Rows(); from += size {
		if err := ctx.Err(); err != nil {
			return err
		}
		n := min(size, f.Rows()-from)
		duckdb.DataChunkReset(chunk)
		for i := range f {
			fill(duckdb.DataChunkGetVector(chunk, duckdb.IdxT(i)), &f[i], fields[i].Type, from, n)
		}
		duckdb.DataChunkSetSize(chunk, duckdb.IdxT(n))
		if duckdb.AppendDataChunk(a, chunk) == duckdb.StateError {
			return translate(ctx, duckdb.AppenderError(a))
		}
	}
	if duckdb.AppenderClose(a) == duckdb.StateError {
		return translate(ctx, duckdb.AppenderError(a))
	}
	return nil
}

// fill writes rows from … from+n of a column into a vector.
func fill(raw duckdb.Vector, c *assay.Column, typ assay.Type, from, n int) {
	v := vector{data: duckdb.VectorGetData(raw)}
	missing := func(i int) {
		duckdb.VectorEnsureValidityWritable(raw)
		duckdb.ValiditySetRowInvalid(duckdb.VectorGetValidity(raw), duckdb.IdxT(i))
	}
	if c.Codes != nil {
		for i, code := range c.Codes[from : from+n] {
			if code < 0 {
				missing(i)
			} else {
				duckdb.VectorAssignStringElementLen(raw, duckdb.IdxT(i), []byte(c.Levels[code]))
			}
		}
		return
	}
	for i, x := range c.Floats[from : from+n] {
		if math.IsNaN(x) {
			missing(i)
			continue
		}
		switch typ {
		case assay.TypeBoolean:
			slice[uint8](&v, n)[i] = uint8(x)
		case assay.TypeInteger:
			if slice[int64](&v, n)[i] = int64(x); c.Ints != nil {
				slice[int64](&v, n)[i] = c.Ints[from+i]
			}
		case assay.TypeDate:
			slice[int32](&v, n)[i] = int32(x / 86400)
		case assay.TypeTime, assay.TypeTimestamp:
			slice[int64](&v, n)[i] = micros(x)
		default:
			slice[float64](&v, n)[i] = x
		}
	}
}

// micros is the microsecond that seconds were read from. Far from 1970 the product alone may be one off; of the microseconds beside it the one counts that
// gives the seconds back.
func micros(seconds float64) int64 {
	at := math.Round(seconds * 1e6)
	for _, us := range [...]float64{at, at - 1, at + 1} {
		if us/1e6 == seconds {
			return int64(us)
		}
	}
	return int64(at)
}
