// Package schema says what must hold of a table, and of one row of it that arrives as JSON, and checks both with the same rules.
//
// A Schema is a small JSON document: columns with their types and constraints, and constraints on the table (keys, row count,
// conditions across columns). It is inferred from a table (Infer), written by hand (Parse), compared (Diff) and translated from and
// to JSON Schema. Check compiles it to aggregates over a relation: one scan when everything holds, a second one for the numbers of
// the rows that fail. Compile turns it into a Validator, which checks one JSON object in microseconds.
//
// It does not coerce, repair or drop data, and no message of it holds a value of the data.
package schema

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"github.com/assay-ml/assay"
	"github.com/gowebpki/jcs"
)

// Version is the value of the key "schema" of a document that this package reads and writes.
const Version = "assay.schema/1"

// A Severity says what the failure of a constraint means for the verdict.
type Severity string

const (
	Error   Severity = "error"   // the check fails
	Warning Severity = "warning" // the violation is reported, and the verdict stays
)

// Terms are what every constraint may carry besides its limit.
type Terms struct {
	// Mostly is the fraction of the checked rows, in (0,1], that must satisfy the constraint; 0 means all of them.
	Mostly float64 `json:"mostly,omitempty"`
	// Severity is Error when empty.
	Severity Severity `json:"severity,omitempty"`
	// Support is how many rows an inferred constraint was derived from; 0 for a constraint that somebody stated.
	Support int64 `json:"support,omitempty"`
}

// required returns the fraction of rows that must satisfy the constraint.
func (t Terms) required() float64 {
	if t.Mostly == 0 {
		return 1
	}
	return t.Mostly
}

// A Schema says what must hold. The zero Schema, with Version set, holds of every table.
type Schema struct {
	Version    string      `json:"schema"`
	Name       string      `json:"name,omitempty"`
	Columns    []Column    `json:"columns"`
	Closed     bool        `json:"closed,omitempty"`  // columns that the schema does not name are violations
	Ordered    bool        `json:"ordered,omitempty"` // the columns must come in the order of the schema; a payload has no order
	Rows       *RowCount   `json:"rows,omitempty"`
	Keys       []Key       `json:"keys,omitempty"`
	Conditions []Condition `json:"conditions,omitempty"`
}

// A Column says what must hold of one column. Every rule but NotNull and Finite speaks of present values only: a missing value, and
// a NaN, satisfies it.
type Column struct {
	Name     string     `json:"name"`
	Type     assay.Type `json:"type,omitempty"`     // empty: any; an integer is also a number, a number without fraction also an integer
	Optional bool       `json:"optional,omitempty"` // the column, or the field of a payload, may be absent
	Support  int64      `json:"support,omitempty"`  // rows with a value, when the type was inferred
	NotNull  *NotNull   `json:"not_null,omitempty"`
	Finite   *Finite    `json:"finite,omitempty"`
	Range    *Range     `json:"range,omitempty"`
	Set      *Set       `json:"set,omitempty"`
	Length   *Length    `json:"length,omitempty"`
	Pattern  *Pattern   `json:"pattern,omitempty"`
	Unique   *Unique    `json:"unique,omitempty"`
}

// NotNull forbids missing values; with Mostly it is the least fraction of rows that must have one.
type NotNull struct{ Terms }

// Finite forbids NaN and the infinities in a column of numbers, but for those it allows. JSON cannot hold any of them.
type Finite struct {
	Allow []string `json:"allow,omitempty"` // "nan", "infinity"
	Terms
}

// Range bounds integers, numbers, dates, times and timestamps. Integers are compared exactly, whatever their size.
type Range struct {
	Min          *Value `json:"min,omitempty"`
	Max          *Value `json:"max,omitempty"`
	ExclusiveMin bool   `json:"exclusive_min,omitempty"`
	ExclusiveMax bool   `json:"exclusive_max,omitempty"`
	Terms
}

// Set lists the values that may occur.
type Set struct {
	Values []Value `json:"values"`
	Terms
}

// Length bounds the number of characters (Unicode code points) of a string, or of bytes of a binary value.
type Length struct {
	Min *int64 `json:"min,omitempty"`
	Max *int64 `json:"max,omitempty"`
	Terms
}

// Pattern is a regular expression (RE2 syntax) that must match somewhere in a string; anchor it to match the whole.
type Pattern struct {
	Regexp string `json:"regexp"`
	Terms
}

// Unique forbids equal values in one column. Every row of a group of equal values fails. It speaks of tables only.
type Unique struct{ Terms }

// RowCount bounds the number of rows of a table.
type RowCount struct {
	Min      *int64   `json:"min,omitempty"`
	Max      *int64   `json:"max,omitempty"`
	Severity Severity `json:"severity,omitempty"`
}

// A Key names columns that together identify a row: none of them is missing and no two rows agree in all of them.
type Key struct {
	Columns []string `json:"columns"`
	Terms
}

// A Condition is a CEL expression over the columns of one row, which must not be false. Where a missing value, an overflow or a
// division by zero makes it neither true nor false, it does not apply to the row, as in a CHECK of SQL.
type Condition struct {
	Name       string `json:"name"`
	Expression string `json:"expression"`
	Terms
}

// New returns an open schema without columns.
func New(name string) *Schema { return &Schema{Version: Version, Name: name} }

// Column returns the column of that name, or nil.
func (s *Schema) Column(name string) *Column {
	for i := range s.Columns {
		if s.Columns[i].Name == name {
			return &s.Columns[i]
		}
	}
	return nil
}

// JSON returns the document, indented for people. Parse reads it back to an equal schema.
func (s *Schema) JSON() ([]byte, error) {
	b, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return nil, assay.Errorf(assay.Internal, "the schema cannot be written: %w", err)
	}
	return append(b, '\n'), nil
}

// Digest returns the SHA-256 of the document's canonical JSON (RFC 8785). Two documents that differ only in layout, in the order of
// keys, in the order of a set or in defaults that are spelt out have the same digest, provided that both went through Parse.
func (s *Schema) Digest() (assay.Digest, error) {
	b, err := json.Marshal(s)
	if err != nil {
		return "", assay.Errorf(assay.Internal, "the schema cannot be written: %w", err)
	}
	c, err := jcs.Transform(b)
	if err != nil {
		return "", assay.Errorf(assay.Internal, "the schema has no canonical form: %w", err)
	}
	return assay.DigestOf(c), nil
}

// Record returns the payload of the schema's evidence, for the document stored as the given blob.
func (s *Schema) Record(document assay.Digest) (assay.SchemaRecord, error) {
	d, err := s.Digest()
	if err != nil {
		return assay.SchemaRecord{}, err
	}
	return assay.SchemaRecord{Digest: d, Columns: len(s.Columns), Constraints: len(s.constraints()), Document: document}, nil
}

// Names of the rules, as violations carry them.
const (
	RuleRequired  = "required"  // the column or field is there
	RuleType      = "type"      // it is of the type
	RuleNotNull   = "not_null"  // Column.NotNull
	RuleFinite    = "finite"    // Column.Finite
	RuleRange     = "range"     // Column.Range
	RuleSet       = "set"       // Column.Set
	RuleLength    = "length"    // Column.Length
	RulePattern   = "pattern"   // Column.Pattern
	RuleUnique    = "unique"    // Column.Unique
	RuleUnknown   = "unknown"   // a column or field that a closed schema does not name
	RuleOrder     = "order"     // Schema.Ordered
	RuleRows      = "rows"      // Schema.Rows
	RuleKey       = "key"       // Schema.Keys
	RuleCondition = "condition" // Schema.Conditions
	RuleDuplicate = "duplicate" // a field that a payload holds twice
)

// A constraint is one requirement of a schema: what is counted, reported and compared.
type constraint struct {
	column int    // index into Schema.Columns, or -1
	index  int    // index into Keys or Conditions
	rule   string //
	name   string // the column, or the key's columns, or the condition's name
	detail string // the limit in words; it never holds a value of the data, though a limit may be one that was seen
	terms  Terms
}

// constraints lists every constraint of the schema in the order of the document.
func (s *Schema) constraints() []constraint {
	var out []constraint
	for i := range s.Columns {
		c := &s.Columns[i]
		add := func(rule, detail string, t Terms) {
			out = append(out, constraint{column: i, rule: rule, name: c.Name, detail: detail, terms: t})
		}
		if !c.Optional {
			add(RuleRequired, "must be present", Terms{})
		}
		if c.Type != "" {
			add(RuleType, "must be of type "+string(c.Type), Terms{Support: c.Support})
		}
		if c.NotNull != nil {
			add(RuleNotNull, "must have a value", c.NotNull.Terms)
		}
		if c.Finite != nil {
			add(RuleFinite, c.Finite.words(), c.Finite.Terms)
		}
		if c.Range != nil {
			add(RuleRange, c.Range.words(), c.Range.Terms)
		}
		if c.Set != nil {
			add(RuleSet, fmt.Sprintf("must be one of %d values", len(c.Set.Values)), c.Set.Terms)
		}
		if c.Length != nil {
			add(RuleLength, c.Length.words(c.Type), c.Length.Terms)
		}
		if c.Pattern != nil {
			add(RulePattern, "must match "+c.Pattern.Regexp, c.Pattern.Terms)
		}
		if c.Unique != nil {
			add(RuleUnique, "must not repeat", c.Unique.Terms)
		}
	}
	table := func(rule, name, detail string, index int, t Terms) {
		out = append(out, constraint{column: -1, index: index, rule: rule, name: name, detail: detail, terms: t})
	}
	if s.Closed {
		table(RuleUnknown, "", "no column besides those of the schema", 0, Terms{})
	}
	if s.Ordered {
		table(RuleOrder, "", "columns in the order of the schema", 0, Terms{})
	}
	if s.Rows != nil {
		table(RuleRows, "", s.Rows.words(), 0, Terms{Severity: s.Rows.Severity})
	}
	for i, k := range s.Keys {
		table(RuleKey, strings.Join(k.Columns, ", "), "must have a value and not repeat", i, k.Terms)
	}
	for i, c := range s.Conditions {
		table(RuleCondition, c.Name, "must hold: "+c.Expression, i, c.Terms)
	}
	return out
}

func (f *Finite) words() string {
	nan, inf := f.allows("nan"), f.allows("infinity")
	switch {
	case nan && inf:
		return "must be a number, NaN or infinite"
	case nan:
		return "must be finite or NaN"
	case inf:
		return "must not be NaN"
	}
	return "must be finite"
}

func (f *Finite) allows(what string) bool {
	for _, a := range f.Allow {
		if a == what {
			return true
		}
	}
	return false
}

func (r *Range) words() string {
	if r.Min != nil && r.Max != nil && !r.ExclusiveMin && !r.ExclusiveMax {
		return fmt.Sprintf("must be between %s and %s", r.Min.text, r.Max.text)
	}
	var parts []string
	if r.Min != nil {
		parts = append(parts, pick(r.ExclusiveMin, "above ", "at least ")+r.Min.text)
	}
	if r.Max != nil {
		parts = append(parts, pick(r.ExclusiveMax, "below ", "at most ")+r.Max.text)
	}
	return "must be " + strings.Join(parts, " and ")
}

func (l *Length) words(t assay.Type) string {
	return "must be " + bounds(l.Min, l.Max) + pick(t == assay.TypeBinary, " bytes long", " characters long")
}

func (r *RowCount) words() string { return "must have " + bounds(r.Min, r.Max) + " rows" }

// bounds says an interval of counts in words.
func bounds(lo, hi *int64) string {
	n := func(v *int64) string { return strconv.FormatInt(*v, 10) }
	switch {
	case lo != nil && hi != nil && *lo == *hi:
		return "exactly " + n(lo)
	case lo != nil && hi != nil:
		return n(lo) + " to " + n(hi)
	case lo != nil:
		return "at least " + n(lo)
	}
	return "at most " + n(hi)
}

func pick(c bool, yes, no string) string {
	if c {
		return yes
	}
	return no
}
