package table

import (
	"context"
	"math"
	"slices"
	"strings"
	"time"

	duckdb "github.com/duckdb/duckdb-go-bindings"

	"github.com/assay-ml/assay"
)

// Frame brings columns into memory, in the order of _row: all columns for nil, and the rows for which the SQL expression where is true,
// all of them for "". Numbers, booleans (0, 1), dates, times (seconds) and timestamps (seconds since 1970 UTC) become Floats, where a
// missing value is NaN. A column of integers that has one beyond 2^53, which Floats rounds, has all of them in Ints too, unless 64 bits do not
// hold one. Text, JSON and binary become Codes.
func (t *Table) Frame(ctx context.Context, columns []string, cond string) (assay.Frame, error) {
	fields, err := t.columns(columns)
	if err != nil {
		return nil, err
	}
	frame := make(assay.Frame, len(fields))
	if len(fields) == 0 {
		return frame, nil
	}
	selects := make([]string, len(fields))
	for i, f := range fields {
		frame[i] = assay.Column{Name: f.Name, Type: f.Type}
		selects[i] = Ident(f.Name)
		if f.Type == assay.TypeNumber {
			selects[i] = "CAST(" + Ident(f.Name) + " AS DOUBLE)"
		}
	}
	// A scan of a stored table in one stream is in the order of rowid already; the engine preserves insertion order, but not through a join.
	r, err := t.engine.query(ctx, "SELECT "+strings.Join(selects, ", ")+" FROM "+t.read(fields, cond)+t.inOrder(cond))
	if err != nil {
		return nil, err
	}
	defer r.Close()
	n := t.rows
	if cond != "" {
		n = 0
	}
	dictionaries := make([]map[string]int32, len(fields))
	wide := make([]bool, len(fields)) // an integer of the column does not fit 64 bits
	for i := range frame {
		if textual(fields[i].Type) {
			frame[i].Codes = make([]int32, 0, n)
			dictionaries[i] = map[string]int32{}
		} else {
			frame[i].Floats = make([]float64, 0, n)
		}
	}
	for r.nextChunk() {
		for i := range frame {
			c := &frame[i]
			if dictionaries[i] != nil {
				c.Codes = appendCodes(c.Codes, &r.vectors[i], r.size, dictionaries[i], &c.Levels)
			} else if c.Floats, err = appendFloats(c.Floats, &r.vectors[i], r.size); err != nil {
				return nil, err
			} else if fields[i].Type == assay.TypeInteger && !wide[i] {
				wide[i] = !appendInts(c, &r.vectors[i], r.size)
			}
		}
	}
	if r.err != nil {
		return nil, r.err
	}
	for i := range frame {
		if dictionaries[i] != nil {
			sortLevels(&frame[i])
		}
		if wide[i] {
			frame[i].Ints = nil
		}
	}
	return frame, nil
}

// EachColumn calls f for one column after the other, as Frame has them, without holding all of them at once: of a wide table it reads
// groups of them, of at most groupValues values.
func (t *Table) EachColumn(ctx context.Context, columns []string, f func(c *assay.Column) error) error {
	for part := range slices.Chunk(columns, t.groupSize()) {
		frame, err := t.Frame(ctx, part, "")
		if err != nil {
			return err
		}
		for i := range frame {
			if err := f(&frame[i]); err != nil {
				return err
			}
		}
	}
	return nil
}

func textual(t assay.Type) bool {
	return t == assay.TypeString || t == assay.TypeJSON || t == assay.TypeBinary
}

// sortLevels sorts the dictionary by bytes and renumbers the codes.
func sortLevels(c *assay.Column) {
	order := make([]int32, len(c.Levels))
	for i := range order {
		order[i] = int32(i)
	}
	slices.SortFunc(order, func(a, b int32) int { return strings.Compare(c.Levels[a], c.Levels[b]) })
	levels, to := make([]string, len(order)), make([]int32, len(order))
	for i, o := range order {
		levels[i], to[o] = c.Levels[o], int32(i)
	}
	c.Levels = levels
	for i, code := range c.Codes {
		if code >= 0 {
			c.Codes[i] = to[code]
		}
	}
}

func appendCodes(out []int32, v *vector, n int, dictionary map[string]int32, levels *[]string) []int32 {
	last, lastCode := "", int32(-1)
	for i := range n {
		if v.null(i) {
			out = append(out, -1)
			continue
		}
		s := v.text(i)
		if lastCode >= 0 && s == last {
			out = append(out, lastCode)
			continue
		}
		code, ok := dictionary[s]
		if !ok {
			s = strings.Clone(s)
			code = int32(len(*levels))
			dictionary[s] = code
			*levels = append(*levels, s)
		}
		last, lastCode = s, code
		out = append(out, code)
	}
	return out
}

func appendNumbers[T int8 | int16 | int32 | int64 | uint8 | uint16 | uint32 | float32 | float64](out []float64, v *vector, n int, scale float64) []float64 {
	values := slice[T](v, n)
	from := len(out)
	for _, x := range values {
		out = append(out, float64(x)*scale)
	}
	if v.mask != nil {
		for i := range n {
			if v.null(i) {
				out[from+i] = math.NaN()
			}
		}
	}
	return out
}

func appendFloats(out []float64, v *vector, n int) ([]float64, error) {
	switch v.kind {
	case duckdb.TypeDouble:
		return appendNumbers[float64](out, v, n, 1), nil
	case duckdb.TypeTinyInt:
		return appendNumbers[int8](out, v, n, 1), nil
	case duckdb.TypeSmallInt:
		return appendNumbers[int16](out, v, n, 1), nil
	case duckdb.TypeInteger:
		return appendNumbers[int32](out, v, n, 1), nil
	case duckdb.TypeBigInt:
		return appendNumbers[int64](out, v, n, 1), nil
	case duckdb.TypeUTinyInt, duckdb.TypeBoolean:
		return appendNumbers[uint8](out, v, n, 1), nil
	case duckdb.TypeUSmallInt:
		return appendNumbers[uint16](out, v, n, 1), nil
	case duckdb.TypeUInteger:
		return appendNumbers[uint32](out, v, n, 1), nil
	case duckdb.TypeDate:
		return appendNumbers[int32](out, v, n, 86400), nil
	case duckdb.TypeTime:
		return appendMicros(out, v, n), nil
	case duckdb.TypeTimestamp, duckdb.TypeTimestampTZ:
		return appendMicros(out, v, n), nil
	}
	for i := range n {
		x, err := v.value(i)
		if err != nil {
			return nil, err
		}
		f, ok := toFloat(x)
		if at, isTime := x.(time.Time); isTime {
			f, ok = float64(at.UnixMicro())/1e6, true
		}
		if x == nil || !ok {
			f = math.NaN()
		}
		out = append(out, f)
	}
	return out, nil
}

// exactFloat is up to where float64 holds every integer.
const exactFloat = 1 << 53

// appendInts adds the integers of a batch, which Floats has already, to the column's Ints where it has some, or where one of them is beyond
// what a float holds: then those before it are added, too. False means that 64 bits do not hold one of them.
func appendInts(c *assay.Column, v *vector, n int) bool {
	rounded := c.Ints != nil
	floats := c.Floats[len(c.Floats)-n:]
	switch v.kind {
	case duckdb.TypeBigInt:
		for i, x := range slice[int64](v, n) {
			rounded = rounded || (x > exactFloat || x < -exactFloat) && !v.null(i)
		}
	case duckdb.TypeUBigInt, duckdb.TypeHugeInt:
		for _, x := range floats {
			rounded = rounded || x >= exactFloat || x <= -exactFloat
		}
	}
	if !rounded {
		return true
	}
	if c.Ints == nil {
		c.Ints = make([]int64, len(c.Floats)-n, cap(c.Floats))
		for i := range c.Ints {
			if x := c.Floats[i]; x == x {
				c.Ints[i] = int64(x)
			}
		}
	}
	for i := range n {
		switch x := floats[i]; {
		case x != x:
			c.Ints = append(c.Ints, 0)
		case v.kind == duckdb.TypeBigInt:
			c.Ints = append(c.Ints, at[int64](v, i))
		case v.kind == duckdb.TypeUBigInt && at[uint64](v, i)>>63 == 0:
			c.Ints = append(c.Ints, int64(at[uint64](v, i)))
		case v.kind == duckdb.TypeHugeInt && at[hugeint](v, i).upper == int64(at[hugeint](v, i).lower)>>63:
			c.Ints = append(c.Ints, int64(at[hugeint](v, i).lower))
		default:
			return false
		}
	}
	return true
}

func appendMicros(out []float64, v *vector, n int) []float64 {
	for i, x := range slice[int64](v, n) {
		if v.null(i) {
			out = append(out, math.NaN())
		} else {
			out = append(out, float64(x)/1e6)
		}
	}
	return out
}
