package assay

import "math"

// A Type is the logical type of a column, whatever the file called it.
type Type string

const (
	TypeBoolean   Type = "boolean"
	TypeInteger   Type = "integer" // exact, of any size up to 128 bits
	TypeNumber    Type = "number"  // float64 or decimal
	TypeString    Type = "string"
	TypeDate      Type = "date"
	TypeTime      Type = "time"
	TypeTimestamp Type = "timestamp" // UTC, microseconds
	TypeBinary    Type = "binary"
	TypeJSON      Type = "json" // nested: lists, structs, maps
)

// Numeric reports whether arithmetic on the column means something to the machine; whether it does to a person is for the schema.
func (t Type) Numeric() bool { return t == TypeInteger || t == TypeNumber }

// A Field names a column and its type.
type Field struct {
	Name string `json:"name"`
	Type Type   `json:"type"`
}

// A Column is one column of a Frame in memory. Exactly one of Floats and Codes is set. In Floats a missing value is NaN. In Codes
// it is -1, and any other code is an index into Levels.
type Column struct {
	Name   string
	Type   Type
	Floats []float64 // numbers, booleans as 0 and 1, dates and timestamps as seconds since 1970 UTC
	Ints   []int64   // the integers themselves, 0 for a missing one, where Floats has rounded one of them; else nil
	Codes  []int32   // strings, by dictionary
	Levels []string  // sorted by bytes, unique
}

// Len returns the number of rows.
func (c *Column) Len() int {
	if c.Codes != nil {
		return len(c.Codes)
	}
	return len(c.Floats)
}

// Missing reports whether row i has no value.
func (c *Column) Missing(i int) bool {
	if c.Codes != nil {
		return c.Codes[i] < 0
	}
	return math.IsNaN(c.Floats[i])
}

// A Frame is columns of equal length in memory: what a learner trains on and a metric scores. Tables of any size stay in the table
// engine; a frame is the part of one that fits and is needed row by row.
type Frame []Column

// Rows returns the number of rows: 0 for a frame without columns.
func (f Frame) Rows() int {
	if len(f) == 0 {
		return 0
	}
	return f[0].Len()
}

// Column returns the column of that name, or nil.
func (f Frame) Column(name string) *Column {
	for i := range f {
		if f[i].Name == name {
			return &f[i]
		}
	}
	return nil
}

// Take returns a new frame of the given rows, in the given order. Levels are shared with f.
func (f Frame) Take(rows []int) Frame {
	out := make(Frame, len(f))
	for i := range f {
		c := Column{Name: f[i].Name, Type: f[i].Type, Levels: f[i].Levels}
		if f[i].Codes != nil {
			c.Codes = make([]int32, len(rows))
			for j, r := range rows {
				c.Codes[j] = f[i].Codes[r]
			}
		} else {
			c.Floats = make([]float64, len(rows))
			for j, r := range rows {
				c.Floats[j] = f[i].Floats[r]
			}
		}
		if f[i].Ints != nil {
			c.Ints = make([]int64, len(rows))
			for j, r := range rows {
				c.Ints[j] = f[i].Ints[r]
			}
		}
		out[i] = c
	}
	return out
}
