package schema

import (
	"encoding/base64"
	"math"
	"regexp"
	"sort"
	"strconv"
	"unicode/utf8"

	"github.com/assay-ml/assay"
)

// Limits of a payload, when PayloadOptions leaves them 0.
const (
	DefaultPayloadBytes = 1 << 20
	DefaultPayloadDepth = 32

	maxFieldName = 100 // bytes of an unknown field's name that a violation repeats
)

// PayloadOptions bound what a Validator reads.
type PayloadOptions struct {
	MaxBytes int // of the whole text; 0: DefaultPayloadBytes
	MaxDepth int // of nested values in columns of type json or without a type; 0: DefaultPayloadDepth
}

// A FieldViolation is one rule that one field of a payload breaks. It never holds the value.
type FieldViolation struct {
	Field    string   `json:"field,omitempty"` // or the name of the condition
	Rule     string   `json:"rule"`
	Detail   string   `json:"detail"`
	Severity Severity `json:"severity"`
	// Tolerated is set when the schema lets a fraction of rows break the rule, so that a single row cannot be refused for it.
	Tolerated bool `json:"tolerated,omitempty"`
}

// Refuses reports whether a payload with these violations must be refused: one of them is an error and not tolerated.
func Refuses(violations []FieldViolation) bool {
	for _, v := range violations {
		if v.Severity == Error && !v.Tolerated {
			return true
		}
	}
	return false
}

// A Validator checks single rows, as JSON objects, with the rules of a schema. It is safe for use by several goroutines and does not
// allocate for a payload without violations.
type Validator struct {
	fields     []field
	index      map[string]int
	closed     bool
	conditions []condition
	options    PayloadOptions
	tableOnly  []string
}

// A field is a column compiled for single values.
type field struct {
	column     *Column
	name       string
	quoted     string // the name as JSON has it
	kind       assay.Type
	number     bool // kind is TypeNumber
	nested     bool // kind is TypeJSON, or there is none: any value will do
	optional   bool
	lo, hi     cell
	plain      bool // nothing is asked of a number but that it lies from least to most
	least      float64
	most       float64
	text       map[string]struct{}
	cells      []cell // sorted
	pattern    *regexp.Regexp
	violations map[string]FieldViolation // by rule
}

// Compile makes a Validator with default limits. Rules that need a whole table (unique, keys, row count, column order) are left out;
// TableOnly names them.
func (s *Schema) Compile() (*Validator, error) { return s.CompileWith(PayloadOptions{}) }

// CompileWith makes a Validator with the given limits. It fails, with every reason, when the schema is not valid.
func (s *Schema) CompileWith(o PayloadOptions) (*Validator, error) {
	s, err := s.canonical()
	if err != nil {
		return nil, err
	}
	if o.MaxBytes <= 0 {
		o.MaxBytes = DefaultPayloadBytes
	}
	if o.MaxDepth <= 0 {
		o.MaxDepth = DefaultPayloadDepth
	}
	v := &Validator{index: map[string]int{}, closed: s.Closed, options: o}
	if v.conditions, err = s.compileConditions(); err != nil {
		return nil, err
	}
	for i := range s.Columns {
		v.index[s.Columns[i].Name] = i
		v.fields = append(v.fields, compileField(&s.Columns[i]))
	}
	for _, c := range s.constraints() {
		switch c.rule {
		case RuleUnique, RuleKey, RuleRows, RuleOrder:
			v.tableOnly = append(v.tableOnly, c.rule+pick(c.name == "", "", " "+c.name))
		case RuleUnknown, RuleCondition:
		default:
			v.fields[c.column].violations[c.rule] = c.violation()
		}
	}
	return v, nil
}

// canonical returns a copy of s as Parse would return it.
func (s *Schema) canonical() (*Schema, error) {
	b, err := s.JSON()
	if err != nil {
		return nil, err
	}
	return Parse(b)
}

func (c *constraint) violation() FieldViolation {
	return FieldViolation{Field: c.name, Rule: c.rule, Detail: c.detail, Severity: c.severity(), Tolerated: c.terms.required() < 1}
}

func (c *constraint) severity() Severity {
	if c.terms.Severity == Warning {
		return Warning
	}
	return Error
}

func compileField(c *Column) field {
	f := field{column: c, name: c.Name, quoted: string(AppendJSONString(nil, []byte(c.Name))), kind: c.Type, number: c.Type == assay.TypeNumber, nested: c.Type == assay.TypeJSON || c.Type == "", optional: c.Optional, violations: map[string]FieldViolation{}}
	if c.Range != nil && c.Range.Min != nil {
		f.lo = c.Range.Min.cell(c.Type)
	}
	if c.Range != nil && c.Range.Max != nil {
		f.hi = c.Range.Max.cell(c.Type)
	}
	if c.Set != nil {
		if c.Type == assay.TypeString {
			f.text = map[string]struct{}{}
		}
		for _, v := range c.Set.Values {
			if f.text != nil {
				f.text[v.text] = struct{}{}
			} else {
				f.cells = append(f.cells, v.cell(c.Type))
			}
		}
	}
	if c.Pattern != nil {
		f.pattern = regexp.MustCompile(c.Pattern.Regexp) // Parse compiled it before
	}
	f.span()
	return f
}

// TableOnly names the constraints that a payload cannot be checked for, because they speak of several rows.
func (v *Validator) TableOnly() []string { return append([]string(nil), v.tableOnly...) }

// Span returns the limits within which field i takes every number, where they are all that the schema asks of a number there; ok is false
// where there may be more to it.
func (v *Validator) Span(i int) (lo, hi float64, ok bool) {
	f := &v.fields[i]
	return f.least, f.most, f.plain && len(v.conditions) == 0
}

// span finds out whether nothing is asked of a number but that it lies within limits, and these.
func (f *field) span() {
	c := f.column
	f.least, f.most = -math.MaxFloat64, math.MaxFloat64
	f.plain = f.number && c.Set == nil && c.Length == nil && c.Pattern == nil
	if r := c.Range; f.plain && r != nil {
		f.plain = !r.ExclusiveMin && !r.ExclusiveMax
		if r.Min != nil {
			f.least = f.lo.f
		}
		if r.Max != nil {
			f.most = f.hi.f
		}
	}
}

// Payload checks one JSON object. It returns every violation, in the order of the schema, and nil when there is none. An error of
// code assay.Invalid means that the text is not a JSON object within the limits; it names the place and not the content.
func (v *Validator) Payload(b []byte) ([]FieldViolation, error) {
	if len(b) > v.options.MaxBytes {
		return nil, assay.Errorf(assay.Invalid, "the payload has %d bytes, more than the %d that are allowed", len(b), v.options.MaxBytes)
	}
	rows := v.NewBatch()
	defer rows.Release()
	var r Reader
	r.Reset(b, v.options.MaxDepth+1)
	found, ok := rows.Object(&r, nil)
	if !ok || !r.End() {
		return nil, r.Err()
	}
	var out []FieldViolation
	for _, f := range rows.Check(found) {
		out = append(out, f.FieldViolation)
	}
	return out, nil
}

// decode reads one value as the field's type; a value of another type becomes cellWrong.
func (f *field) decode(t *tokenizer, c *cell, depth int) bool {
	b := t.space()
	if f.number {
		if x, ok := t.float(); ok {
			c.kind, c.f = cellFloat, x
			return true
		}
	}
	c.kind = cellWrong
	if f.nested && b != 'n' {
		from := t.i
		ok := t.skip(depth)
		if ok {
			c.kind, c.s = cellOther, t.b[from:t.i:t.i]
		}
		return ok
	}
	switch b {
	case 'n':
		c.kind = cellNull
		return t.word("null")
	case 'N':
		if !t.nan {
			_, _, ok := t.num()
			return ok
		}
		if f.kind == assay.TypeNumber || f.kind == assay.TypeInteger {
			c.kind = cellNull
		}
		return t.word("NaN")
	case 't', 'f':
		if f.kind == assay.TypeBoolean {
			c.kind = cellBool
			if b == 't' {
				c.i = 1
			}
		}
		return t.word(pick(b == 't', "true", "false"))
	case '"':
		s, ok := t.str()
		if ok {
			f.decodeText(c, s)
		}
		return ok
	case '{', '[':
		return t.skip(depth)
	}
	s, whole, ok := t.num()
	if !ok {
		return false
	}
	switch f.kind {
	case assay.TypeInteger:
		if whole && len(s) <= 18 {
			c.kind, c.i = cellInt, small(s)
		} else if d, ok := decimal(s); ok {
			*c = wholeCell(d)
		}
	case assay.TypeNumber:
		if x, err := strconv.ParseFloat(string(s), 64); err == nil && (!whole || Exactly(s, x)) {
			c.kind, c.f = cellFloat, x
		}
	}
	return true
}

// small reads at most 18 digits.
func small(s []byte) int64 {
	neg := s[0] == '-'
	if neg {
		s = s[1:]
	}
	var n int64
	for _, c := range s {
		n = n*10 + int64(c-'0')
	}
	if neg {
		return -n
	}
	return n
}

// decodeText decodes a string.
func (f *field) decodeText(c *cell, s []byte) {
	if f.nested { // not from JSON, where decode keeps it
		c.kind, c.s = cellOther, AppendJSONString(nil, s)
		return
	}
	ok := false
	switch f.kind {
	case assay.TypeString:
		c.kind, c.s = cellText, s
	case assay.TypeDate:
		c.i, ok = parseDate(s)
	case assay.TypeTime:
		c.i, ok = parseTime(s)
	case assay.TypeTimestamp:
		c.i, ok = parseTimestamp(s)
	case assay.TypeBinary:
		if n, valid := base64Len(s); valid {
			c.kind, c.i, c.s = cellOther, n, s
		}
	}
	if ok {
		c.kind = cellTime
	}
}

// base64Len returns the number of bytes that s stands for in standard base64 with padding.
func base64Len(s []byte) (int64, bool) {
	n, pad := len(s), 0
	for pad < 2 && pad < n && s[n-1-pad] == '=' {
		pad++
	}
	for _, c := range s[:n-pad] {
		if !(c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '+' || c == '/') {
			return 0, false
		}
	}
	return int64(base64.StdEncoding.DecodedLen(n) - pad), n%4 == 0
}

// check appends what the cell violates.
func (f *field) check(c *cell, out []FieldViolation) []FieldViolation {
	col := f.column
	switch {
	case c.kind == cellAbsent:
		if !f.optional {
			out = append(out, f.violations[RuleRequired])
		}
		return out
	case c.kind == cellNull:
		if col.NotNull != nil {
			out = append(out, f.violations[RuleNotNull])
		}
		return out
	case c.kind == cellRefused:
		return out
	case c.kind == cellWrong:
		return append(out, f.violations[RuleType])
	}
	if col.Range != nil && !f.inRange(c) {
		out = append(out, f.violations[RuleRange])
	}
	if col.Set != nil && !f.inSet(c) {
		out = append(out, f.violations[RuleSet])
	}
	if col.Length != nil {
		n := c.i
		if c.kind == cellText {
			n = int64(utf8.RuneCount(c.s))
		}
		if col.Length.Min != nil && n < *col.Length.Min || col.Length.Max != nil && n > *col.Length.Max {
			out = append(out, f.violations[RuleLength])
		}
	}
	if f.pattern != nil && !f.pattern.Match(c.s) {
		out = append(out, f.violations[RulePattern])
	}
	return out
}

func (f *field) inRange(c *cell) bool {
	r := f.column.Range
	if r.Min != nil {
		if d := compare(c, &f.lo); d < 0 || d == 0 && r.ExclusiveMin {
			return false
		}
	}
	if r.Max != nil {
		if d := compare(c, &f.hi); d > 0 || d == 0 && r.ExclusiveMax {
			return false
		}
	}
	return true
}

func (f *field) inSet(c *cell) bool {
	if f.text != nil {
		_, ok := f.text[string(c.s)]
		return ok
	}
	i := sort.Search(len(f.cells), func(i int) bool { return compare(&f.cells[i], c) >= 0 })
	return i < len(f.cells) && compare(&f.cells[i], c) == 0
}
