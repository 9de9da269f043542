package schema

import (
	"encoding/json"
	"math"
	"strconv"
	"strings"

	"github.com/assay-ml/assay"
)

// Example makes up a row that fits the schema, one JSON value a column, from the limits that it states: the first value of a set, the
// middle of a range. It reports false when it finds none, as for most patterns and many conditions. No value of any data is in it but
// what the schema itself spells out.
func (s *Schema) Example() (row []json.RawMessage, ok bool) {
	v, err := s.Compile()
	if err != nil {
		return nil, false
	}
	b := v.NewBatch()
	defer b.Release()
	b.Add(1)
	var r Reader
	for i := range s.Columns {
		x := s.Columns[i].example()
		row = append(row, x)
		r.Reset(x, 0)
		b.JSON(&r, 0, i)
	}
	for _, f := range b.Check(nil) {
		if f.Severity == Error {
			return nil, false
		}
	}
	return row, true
}

func (c *Column) example() json.RawMessage {
	if c.Set != nil && len(c.Set.Values) > 0 {
		return c.Set.Values[0].literal(c.Type)
	}
	switch c.Type {
	case assay.TypeBoolean:
		return json.RawMessage("true")
	case assay.TypeInteger:
		return json.RawMessage(strconv.FormatFloat(c.middle(math.Floor), 'f', 0, 64))
	case assay.TypeNumber:
		x := c.middle(func(x float64) float64 { return x })
		if short := math.Round(x*100) / 100; c.within(short) {
			x = short
		}
		return json.RawMessage(strconv.FormatFloat(x, 'g', -1, 64))
	case assay.TypeDate, assay.TypeTime, assay.TypeTimestamp:
		if c.Range != nil {
			for _, limit := range []*Value{c.Range.Min, c.Range.Max} {
				if limit != nil {
					return limit.literal(c.Type)
				}
			}
		}
		return json.RawMessage(map[assay.Type]string{assay.TypeDate: `"2026-01-31"`, assay.TypeTime: `"12:30:00"`, assay.TypeTimestamp: `"2026-01-31T12:30:00Z"`}[c.Type])
	case assay.TypeBinary:
		return json.RawMessage(`"AAAA"`)
	}
	text := "text"
	if l := c.Length; l != nil {
		if l.Max != nil && *l.Max < int64(len(text)) {
			text = text[:max(*l.Max, 0)]
		}
		if l.Min != nil && *l.Min > int64(len(text)) && *l.Min < 1<<12 {
			text += strings.Repeat("a", int(*l.Min)-len(text))
		}
	}
	return json.RawMessage(AppendJSONString(nil, []byte(text)))
}

// literal is a value as JSON.
func (v Value) literal(t assay.Type) json.RawMessage {
	switch t {
	case assay.TypeInteger, assay.TypeNumber, assay.TypeBoolean:
		return json.RawMessage(v.text)
	}
	return json.RawMessage(AppendJSONString(nil, []byte(v.text)))
}

// middle is a number inside the range, rounded where that leaves it inside.
func (c *Column) middle(round func(float64) float64) float64 {
	lo, hi := math.NaN(), math.NaN()
	if c.Range != nil && c.Range.Min != nil {
		lo, _ = strconv.ParseFloat(c.Range.Min.text, 64)
	}
	if c.Range != nil && c.Range.Max != nil {
		hi, _ = strconv.ParseFloat(c.Range.Max.text, 64)
	}
	x := 1.0
	switch {
	case lo == lo && hi == hi:
		x = lo + (hi-lo)/2
	case lo == lo && lo >= 1:
		x = lo + 1
	case hi == hi && hi <= 1:
		x = hi - 1
	}
	if y := round(x); c.within(y) {
		return y
	}
	return math.Ceil(x)
}

// within reports whether x lies strictly inside the range.
func (c *Column) within(x float64) bool {
	if c.Range == nil {
		return true
	}
	for i, limit := range []*Value{c.Range.Min, c.Range.Max} {
		if limit == nil {
			continue
		}
		y, err := strconv.ParseFloat(limit.text, 64)
		if err != nil || i == 0 && x <= y || i == 1 && x >= y {
			return false
		}
	}
	return true
}
