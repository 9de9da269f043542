package schema

import (
	"math"
	"strconv"

	"github.com/assay-ml/assay"
)

// MLflow's scoring server casts what a request holds to the types of a model's signature before anything is checked, with the rules of NumPy,
// pandas and Python: 3000000000 becomes -1294967296 in a column of 32 bits, any text but the empty one is true. A batch does the same, value
// for value, when it is told to (BeginCast, Cast), and notes each value that it changed. What the casts refuse stays refused.
//
// The rules are those of x86-64, NumPy 2 and pandas 3, as internal/mlflow/testdata/casts.json records them. How a column is cast depends on
// all of its values, because pandas finds a type for the column first; and on the form of the request, because only dataframe_split and
// dataframe_records go through pandas.

// What a cast did to a value.
const (
	CastOverflow  = "overflow"          // beyond the type: a whole number wrapped round, a float became infinite
	CastFraction  = "fraction"          // the fraction was dropped
	CastPrecision = "precision"         // digits were lost that the type has no room for
	CastText      = "text_to_number"    // a text was read as a number
	CastBoolean   = "boolean_to_number" // true became 1, false 0
	CastTruth     = "to_boolean"        // a number, text or list became whether it is neither zero nor empty
	CastString    = "to_text"           // a number or truth value became the text that Python writes for it
	CastTime      = "number_to_time"    // a number became the nanoseconds since 1970
	CastZone      = "zone_assumed"      // a time without a zone, or a date, was taken for one of UTC
	CastMissing   = "to_missing"        // a text that says so, or a time beyond all times, became a missing value
)

// CastRules are all that a cast may do to a value.
var CastRules = []string{CastOverflow, CastFraction, CastPrecision, CastText, CastBoolean, CastTruth, CastString, CastTime, CastZone, CastMissing}

// A Coercion is a value that a cast changed, or whose type it changed.
type Coercion struct {
	Row   int // from 0
	Field int
	Rule  string
}

// A Construction says what MLflow makes of the values of a column before it casts them.
type Construction uint8

// The constructions.
const (
	FromFrame  Construction = iota // a DataFrame: pandas finds a type for the column
	FromArrays                     // a NumPy array of the signature's type: each value is cast by itself
	FromCSV                        // pandas.read_csv, which is told the types; of its casts only that to floats of 32 bits is made
)

type castKind uint8

const (
	castNone castKind = iota // read as without casts
	castInt32
	castInt64
	castFloat32
	castFloat64
	castBool
	castString
	castTime
)

var castKinds = map[string]castKind{
	"int32": castInt32, "int64": castInt64, "float32": castFloat32, "float64": castFloat64, "bool": castBool, "string": castString, "datetime": castTime,
}

// Casts say to which NumPy type each field is cast.
type Casts struct{ kinds []castKind }

// Casts makes the casts of the fields to NumPy types: int32, int64, float32, float64, bool, string, datetime. Values of a field of any other,
// and of fields of another type in the schema than the NumPy type has, are read as without casts. nil stands for the widest type that each
// field's own has.
func (v *Validator) Casts(kinds []string) *Casts {
	c := &Casts{kinds: make([]castKind, len(v.fields))}
	for i := range v.fields {
		own := map[assay.Type]castKind{
			assay.TypeInteger: castInt64, assay.TypeNumber: castFloat64, assay.TypeBoolean: castBool, assay.TypeString: castString, assay.TypeTimestamp: castTime,
		}[v.fields[i].kind]
		if kinds == nil {
			c.kinds[i] = own
			continue
		}
		k := castKinds[kinds[i]]
		narrow := k == castInt32 && own == castInt64 || k == castFloat32 && own == castFloat64
		// A column of floats that the project calls whole numbers gets whole numbers.
		whole := own == castInt64 && (k == castFloat32 || k == castFloat64)
		switch {
		case k == own || narrow:
			c.kinds[i] = k
		case whole:
			c.kinds[i] = castInt64
		}
	}
	return c
}

// BeginCast makes the batch, which must be empty, keep the values that JSON reads as they are written, until Cast.
func (b *Batch) BeginCast(c *Casts) { b.casts = c }

// Casting reports whether BeginCast was called.
func (b *Batch) Casting() bool { return b.casts != nil }

// Coerced returns the values that Cast changed, by field and then by row; they stay valid until Release.
func (b *Batch) Coerced() []Coercion { return b.coerced }

// keep reads the next value as field i of a row and keeps it as it is written.
func (b *Batch) keep(r *Reader, row, i int) bool {
	c := b.at(row, i)
	switch r.Kind() {
	case JSONNull:
		c.kind = cellNull
		return r.Null()
	case JSONBool:
		x, ok := r.Bool()
		c.kind = cellBool
		if x {
			c.i = 1
		}
		return ok
	case JSONString:
		s, ok := r.Text()
		c.kind, c.s = rawText, s
		return ok
	case JSONArray, JSONObject:
		s, ok := r.Skip()
		c.kind, c.s = rawNested, s
		return ok
	}
	if r.t.nan && r.t.space() == 'N' {
		c.kind, c.f = rawFloat, math.NaN()
		return r.t.word("NaN")
	}
	s, whole, ok := r.t.num()
	if !ok {
		return false
	}
	c.s = s
	if whole {
		c.kind = rawInt
		return true
	}
	c.kind = rawFloat
	c.f, _ = strconv.ParseFloat(string(s), 64) // infinite where it is beyond, as Python reads it
	return true
}

// Cast casts all values that were read since BeginCast. What cannot be cast is a violation, appended to out, and Check says nothing more
// of it.
func (b *Batch) Cast(how Construction, out []RowViolation) []RowViolation {
	if b.casts == nil {
		return out
	}
	for i, k := range b.casts.kinds {
		if k == castNone {
			continue
		}
		if how == FromCSV {
			if k == castFloat32 || k == castFloat64 {
				b.round(i, k)
			}
			continue
		}
		x := caster{kind: k, how: how, dtype: objectType}
		if how == FromFrame {
			x.dtype = b.infer(i)
		}
		for row, at := 0, i; row < b.rows; row, at = row+1, at+len(b.v.fields) {
			if b.cells[at].kind == cellAbsent {
				continue
			}
			switch rule, why := x.cast(&b.cells[at]); {
			case why != "":
				out = b.Refuse(row, i, why, out)
			case rule != "":
				b.coerced = append(b.coerced, Coercion{row, i, rule})
			}
		}
	}
	return out
}

// round makes the numbers of field i those that its type holds.
func (b *Batch) round(i int, k castKind) {
	for row, at := 0, i; row < b.rows; row, at = row+1, at+len(b.v.fields) {
		c, rule := &b.cells[at], ""
		if c.kind == rawInt { // beyond what 64 bits hold exactly
			if *c, rule = (cell{kind: cellFloat, f: floatOf(c.s)}), CastPrecision; math.IsInf(c.f, 0) {
				*c = cell{kind: cellWrong}
				continue
			}
		}
		if k == castFloat32 && c.kind == cellFloat {
			if r := c.single(c.f); rule == "" || r == CastOverflow {
				rule = r
			}
		}
		if rule != "" {
			b.coerced = append(b.coerced, Coercion{row, i, rule})
		}
	}
}

// A dtype is the type that pandas finds for a column.
type dtype uint8

const (
	objectType dtype = iota // each value is by itself
	intType
	uintType
	floatType
	boolType
)

// infer finds the type of field i as pandas does for a list of Python's values. A missing value makes whole numbers floats; where the
// target has no missing values that is left to the schema.
func (b *Batch) infer(i int) dtype {
	var null, boolean, float, negative, large, other, integer bool
	for at := i; at < len(b.cells); at += len(b.v.fields) {
		c := &b.cells[at]
		switch c.kind {
		case cellAbsent, cellNull:
			null = true
		case cellBool:
			boolean = true
		case rawFloat:
			float = true
		case rawInt:
			integer = true
			_, size := wholeBits(c.s)
			switch {
			case size == beyond:
				other = true
			case size == unsigned:
				large = true
			case c.s[0] == '-':
				negative = true
			}
		default:
			other = true
		}
	}
	switch k := b.casts.kinds[i]; {
	case other, boolean && (integer || float || null), large && negative:
		return objectType
	case boolean:
		return boolType
	case float, integer && null && k != castInt32 && k != castInt64:
		return floatType
	case large:
		return uintType
	case integer:
		return intType
	}
	return objectType
}

// How large a whole number is.
type wholeSize uint8

const (
	signed   wholeSize = iota // within 64 bits with a sign
	unsigned                  // within 64 bits without one
	beyond
)

// wholeBits reads the digits of a whole number as 64 bits.
func wholeBits(s []byte) (uint64, wholeSize) {
	if n, err := strconv.ParseInt(string(s), 10, 64); err == nil {
		return uint64(n), signed
	}
	if n, err := strconv.ParseUint(string(s), 10, 64); err == nil {
		return n, unsigned
	}
	return 0, beyond
}
