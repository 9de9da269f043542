package schema

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/table"
)

// Defaults of InferOptions.
const (
	DefaultMinSupport = 30
	DefaultMaxSet     = 50
)

// What a table must show before Infer believes it.
const (
	rowsPerValue    = 20    // a set needs this many rows per value
	unseenChance    = 0.001 // and an estimated chance below this that the next row brings a new value (Good–Turing: singletons / rows)
	codeSupport     = 100   // a pattern and uniqueness need this many rows
	codeDistinct    = 50    // and a pattern this many different values
	maxShapes       = 64    // a pattern comes from at most this many shapes
	maxRuns         = 8     // and has at most this many parts
	lettersOfShapes = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
)

// InferOptions say how much Infer may conclude.
type InferOptions struct {
	Name       string
	Key        []string // columns that are known to identify a row; they become a key
	Optional   []string // columns that may be absent later, for example the target
	Closed     bool     // forbid columns that the table does not have
	MinSupport int64    // rows with a value below which nothing but the type is inferred; 0: DefaultMinSupport
	MaxSet     int      // most values of a set; 0: DefaultMaxSet, below 0: no sets
}

// Infer proposes a schema for tables like t. What it proposes is what was seen, without slack: a range is from the least to the greatest
// value, and every constraint says how many rows support it. It prefers no constraint to one that chance may have made:
//
//   - below MinSupport rows with a value, only the type;
//   - not null where no value is missing; finite where no number is NaN or infinite;
//   - a set for strings and integers with at most MaxSet values, at least 20 rows per value, and an estimated chance below 1/1000 that
//     the next row brings another value;
//   - otherwise a range for integers and numbers, unless integers never repeat (a running number has no range), and the earliest value
//     for dates and timestamps, because time goes on;
//   - neither a set nor a range for a column of one value, which does not show what may vary;
//   - otherwise for strings the range of lengths, and a pattern for codes: at least 100 rows and 50 values, all of one sequence of digit
//     runs, letter runs of fixed length and punctuation;
//   - unique for integers and strings that never repeat in at least 100 rows.
//
// It does not infer conditions, row counts or keys other than the one it is given.
func Infer(ctx context.Context, t *table.Table, o InferOptions) (*Schema, error) {
	if o.MinSupport <= 0 {
		o.MinSupport = DefaultMinSupport
	}
	if o.MaxSet == 0 {
		o.MaxSet = DefaultMaxSet
	}
	s := New(o.Name)
	s.Closed, s.Columns = o.Closed, []Column{}
	in := &inferring{checking: checking{table: t}, options: o, schema: s}
	if err := in.exist(); err != nil {
		return nil, err
	}
	fields := t.Fields()
	if len(fields) >= table.WideColumns {
		if err := in.read(ctx, fields); err != nil {
			return nil, err
		}
	}
	for at := 0; at < len(fields); at += maxSums / 8 {
		if err := in.batch(ctx, fields[at:min(at+maxSums/8, len(fields))]); err != nil {
			return nil, err
		}
	}
	if len(o.Key) > 0 {
		s.Keys = []Key{{Columns: o.Key, Terms: Terms{Support: t.Rows()}}}
	}
	if bad := s.normalize(); len(bad) > 0 {
		return nil, bad.Err(assay.Invalid, "no schema can be inferred")
	}
	return s, nil
}

// inferring is one inference.
type inferring struct {
	checking
	options InferOptions
	schema  *Schema
	known   map[string]*seen // columns of a wide table that need no statement of their own
}

// exist checks that the named columns do.
func (in *inferring) exist() error {
	var bad assay.Problems
	var names []string
	for _, f := range in.table.Fields() {
		names = append(names, f.Name)
	}
	for _, n := range append(append([]string{}, in.options.Key...), in.options.Optional...) {
		if !contains(names, n) {
			bad.Add("%q%s", n, did(nearest(n, names)))
		}
	}
	return bad.Err(assay.NotFound, "the table has no such column")
}

func fieldNames(fields []assay.Field) []string {
	names := make([]string, len(fields))
	for i, f := range fields {
		names[i] = f.Name
	}
	return names
}

// seen is what one column shows.
type seen struct {
	values, distinct, nan, inf int64
	least, greatest            string
	shortest, longest          int64
	counts                     *tree // of each value, where a set is possible
}

// exactInteger is up to where float64 holds every integer.
const exactInteger = 1 << 53

// read looks at the columns of numbers and of text of a wide table without aggregates: planning these takes longer than counting.
func (in *inferring) read(ctx context.Context, fields []assay.Field) error {
	var names []string
	for _, f := range fields {
		if f.Type == assay.TypeInteger || f.Type == assay.TypeNumber || f.Type == assay.TypeString {
			names = append(names, f.Name)
		}
	}
	in.known = make(map[string]*seen, len(names))
	return in.table.Examine(ctx, names, table.ExamineOptions{SummaryOptions: table.SummaryOptions{Top: -1, Bins: 1, Quantiles: []float64{}}, Each: func(e *table.Examined) error {
		a := &seen{values: e.Rows - e.Nulls, distinct: e.Distinct, nan: e.NaNs}
		if n := e.Numbers; n != nil && n.Count > 0 {
			if e.Type == assay.TypeInteger && !(float64(n.Min) > -exactInteger && float64(n.Max) < exactInteger) {
				return nil
			}
			a.inf = n.PosInf + n.NegInf
			a.least, a.greatest = strconv.FormatFloat(float64(n.Min), 'g', -1, 64), strconv.FormatFloat(float64(n.Max), 'g', -1, 64)
			if e.Type == assay.TypeInteger {
				a.least, a.greatest = strconv.FormatInt(int64(n.Min), 10), strconv.FormatInt(int64(n.Max), 10)
			}
		} else if n != nil {
			a.inf = n.PosInf + n.NegInf
		}
		if e.Type == assay.TypeNumber {
			a.distinct = 0
		}
		if e.Lengths != nil {
			a.shortest, a.longest = e.Lengths.Min, e.Lengths.Max
		}
		if in.countable(e.Type, a) && !e.Ranked && len(e.Counts) > 0 {
			a.counts = &tree{kind: '{'}
			for i, n := range e.Counts {
				name := ""
				if e.Texts != nil {
					name = e.Texts[i]
				} else {
					name = strconv.FormatInt(int64(e.Values[i]), 10)
				}
				a.counts.names = append(a.counts.names, name)
				a.counts.members = append(a.counts.members, &tree{kind: '0', text: strconv.FormatInt(n, 10)})
			}
		}
		in.known[e.Name] = a
		return nil
	}})
}

// countable reports whether a column may be a set.
func (in *inferring) countable(t assay.Type, a *seen) bool {
	return (t == assay.TypeInteger || t == assay.TypeString) && a.values >= in.options.MinSupport &&
		a.distinct >= 2 && a.distinct <= int64(in.options.MaxSet) && a.values >= a.distinct*rowsPerValue && a.longest <= longestOfSet
}

// batch looks at some columns in one scan, and at those that deserve it once more.
func (in *inferring) batch(ctx context.Context, fields []assay.Field) error {
	all := make([]*seen, len(fields))
	var rest []assay.Field
	var restSeen []*seen
	for i, f := range fields {
		if all[i] = in.known[f.Name]; all[i] == nil {
			all[i] = &seen{}
			rest, restSeen = append(rest, f), append(restSeen, all[i])
		}
	}
	if len(rest) > 0 {
		if err := in.aggregate(ctx, rest, restSeen); err != nil {
			return err
		}
	}
	for i, f := range fields {
		c, err := in.column(ctx, f, all[i])
		if err != nil {
			return err
		}
		in.schema.Columns = append(in.schema.Columns, c)
	}
	return nil
}

// aggregate looks at columns in one statement, and in another at the values of those that may be sets.
func (in *inferring) aggregate(ctx context.Context, fields []assay.Field, all []*seen) error {
	var selects []string
	var dest []any
	least, greatest := make([]*string, len(fields)), make([]*string, len(fields))
	for i, f := range fields {
		id := ident(f.Name)
		value, distinct, nan, inf := id, id, "0", "0"
		shortest := "0"
		switch f.Type {
		case assay.TypeNumber:
			x := "CAST(" + id + " AS DOUBLE)"
			value, distinct = "CASE WHEN isfinite("+x+") THEN "+x+" END", "0"
			nan, inf = "coalesce(count_if(isnan("+x+")), 0)", "coalesce(count_if(isinf("+x+")), 0)"
		case assay.TypeString:
			value, shortest = "NULL", "length("+id+")"
		case assay.TypeBoolean, assay.TypeBinary, assay.TypeJSON:
			value, distinct = "NULL", "0"
		}
		selects = append(selects, "count("+id+")", "count(DISTINCT "+distinct+")", "CAST("+nan+" AS BIGINT)", "CAST("+inf+" AS BIGINT)",
			"CAST(min("+value+") AS VARCHAR)", "CAST(max("+value+") AS VARCHAR)",
			"coalesce(min("+shortest+"), 0)", "coalesce(max("+shortest+"), 0)")
		a := all[i]
		dest = append(dest, &a.values, &a.distinct, &a.nan, &a.inf, &least[i], &greatest[i], &a.shortest, &a.longest)
	}
	rows, err := in.table.Query(ctx, "SELECT "+strings.Join(selects, ", ")+" FROM "+in.table.From(fieldNames(fields)...)+" AS t")
	if err != nil {
		return err
	}
	defer rows.Close()
	if rows.Next() {
		if err := rows.Scan(dest...); err != nil {
			return err
		}
	}
	if err := rows.Close(); err != nil {
		return err
	}
	for i := range fields {
		if least[i] != nil {
			all[i].least, all[i].greatest = *least[i], *greatest[i]
		}
	}
	return in.histograms(ctx, fields, all)
}

// column concludes.
func (in *inferring) column(ctx context.Context, f assay.Field, a *seen) (Column, error) {
	c := Column{Name: f.Name, Optional: contains(in.options.Optional, f.Name)}
	if a.values == 0 {
		return c, nil // a column without a value shows no type either
	}
	c.Type, c.Support = f.Type, a.values
	if a.values < in.options.MinSupport {
		return c, nil
	}
	if n := in.table.Rows(); a.values == n {
		c.NotNull = &NotNull{Terms{Support: n}}
	}
	support := Terms{Support: a.values}
	if f.Type == assay.TypeNumber {
		c.Finite = &Finite{Terms: support}
		if a.nan > 0 {
			c.Finite.Allow = append(c.Finite.Allow, "nan")
		}
		if a.inf > 0 {
			c.Finite.Allow = append(c.Finite.Allow, "infinity")
		}
		if len(c.Finite.Allow) == 2 {
			c.Finite = nil
		}
	}
	never := a.distinct == a.values
	switch f.Type {
	case assay.TypeInteger, assay.TypeString:
		if never && a.values >= codeSupport {
			c.Unique = &Unique{support}
		}
		if c.Set = a.set(f.Type); c.Set != nil {
			return c, nil
		}
		if f.Type == assay.TypeString {
			lo, hi := a.shortest, a.longest
			c.Length = &Length{Min: &lo, Max: &hi, Terms: support}
			var err error
			c.Pattern, err = in.pattern(ctx, f, a)
			return c, err
		}
		if !never && a.distinct > 1 {
			c.Range = span(a.least, a.greatest, f.Type, support)
		}
	case assay.TypeNumber:
		if a.inf == 0 && a.least != a.greatest {
			support.Support -= a.nan
			c.Range = span(a.least, a.greatest, f.Type, support)
		}
	case assay.TypeDate:
		c.Range = span(a.least, "", f.Type, support)
	case assay.TypeTimestamp:
		c.Range = span(strings.Replace(strings.TrimSuffix(a.least, "+00"), " ", "T", 1)+"Z", "", f.Type, support)
	}
	return c, nil
}

// span makes a range; nil when a limit cannot be said in the type, like a date before year 0.
func span(least, greatest string, t assay.Type, terms Terms) *Range {
	r := &Range{Terms: terms}
	kind := valueText
	if t.Numeric() {
		kind = valueNumber
	}
	for i, text := range []string{least, greatest} {
		if text == "" {
			continue
		}
		v, wrong := Value{kind, text}.as(t)
		switch {
		case wrong != "":
			return nil
		case i == 0:
			r.Min = &v
		default:
			r.Max = &v
		}
	}
	if r.Min == nil && r.Max == nil {
		return nil
	}
	return r
}

// longestOfSet is the length of text beyond which a column is prose and no set of codes.
const longestOfSet = 1000

// histograms counts the values of the columns for which a set is possible, in one scan.
func (in *inferring) histograms(ctx context.Context, fields []assay.Field, all []*seen) error {
	var selects []string
	var texts []*string
	var dest []any
	for i, f := range fields {
		a := all[i]
		if !in.countable(f.Type, a) {
			continue
		}
		a.counts = &tree{}
		selects = append(selects, "CAST(to_json(histogram("+ident(f.Name)+")) AS VARCHAR)")
		texts = append(texts, nil)
	}
	if len(selects) == 0 {
		return nil
	}
	for i := range texts {
		dest = append(dest, &texts[i])
	}
	rows, err := in.table.Query(ctx, "SELECT "+strings.Join(selects, ", ")+" FROM "+in.table.From(fieldNames(fields)...)+" AS t")
	if err != nil {
		return err
	}
	defer rows.Close()
	if rows.Next() {
		if err := rows.Scan(dest...); err != nil {
			return err
		}
	}
	at := 0
	for i := range all {
		if all[i].counts == nil {
			continue
		}
		if all[i].counts, err = readTree([]byte(*texts[at])); err != nil {
			return assay.Errorf(assay.Internal, "the values of column %s cannot be counted: %w", fields[i].Name, err)
		}
		at++
	}
	return rows.Close()
}

// set proposes the values that occur, if they are few and well supported.
func (a *seen) set(t assay.Type) *Set {
	if a.counts == nil {
		return nil
	}
	out, once := &Set{Terms: Terms{Support: a.values}}, int64(0)
	kind := valueText
	if t == assay.TypeInteger {
		kind = valueNumber
	}
	for i, v := range a.counts.names {
		out.Values = append(out.Values, Value{kind, v})
		if a.counts.members[i].text == "1" {
			once++
		}
	}
	if float64(once)/float64(a.values) > unseenChance {
		return nil
	}
	return out
}

// pairs runs a query that answers a text and a count per row.
func (in *inferring) pairs(ctx context.Context, query string, each func(string, int64)) error {
	rows, err := in.table.Query(ctx, query)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var v string
		var n int64
		if err := rows.Scan(&v, &n); err != nil {
			return err
		}
		each(v, n)
	}
	return rows.Close()
}

// pattern proposes the pattern of a column of codes: letters and digits are reduced to their classes, and the runs of one class that
// all values share become the pattern.
func (in *inferring) pattern(ctx context.Context, f assay.Field, a *seen) (*Pattern, error) {
	if a.values < codeSupport || a.distinct < codeDistinct || a.shortest == 0 || a.longest > 64 {
		return nil, nil
	}
	id := ident(f.Name)
	classes := strings.Repeat("A", 26) + strings.Repeat("a", 26) + strings.Repeat("9", 10)
	shape := "translate(" + id + ", " + quote(lettersOfShapes+"0123456789") + ", " + quote(classes) + ")"
	var shapes []string
	err := in.pairs(ctx, fmt.Sprintf("SELECT %s, count(*) FROM %s AS t WHERE %s IS NOT NULL GROUP BY 1 LIMIT %d", shape, in.table.From(f.Name), id, maxShapes+1),
		func(v string, _ int64) { shapes = append(shapes, v) })
	if err != nil || len(shapes) > maxShapes {
		return nil, err
	}
	re, ok := shapesToPattern(shapes)
	if !ok {
		return nil, nil
	}
	return &Pattern{Regexp: re, Terms: Terms{Support: a.values}}, nil
}

// A run is one part of a code: a class of characters and how often it repeats.
type run struct {
	class             byte
	shortest, longest int
}

// shapesToPattern returns the anchored pattern of shapes that all are the same sequence of runs, at least one of them digits.
func shapesToPattern(shapes []string) (string, bool) {
	var all []run
	digits := false
	for i, s := range shapes {
		var runs []run
		for j := 0; j < len(s); j++ {
			c := s[j]
			if c < ' ' || c > '~' {
				return "", false
			}
			if n := len(runs); n > 0 && runs[n-1].class == c {
				runs[n-1].longest++
			} else {
				runs = append(runs, run{class: c, longest: 1})
			}
		}
		if len(runs) > maxRuns || i > 0 && len(runs) != len(all) {
			return "", false
		}
		if i == 0 {
			all = runs
			for k := range all {
				all[k].shortest = all[k].longest
			}
			continue
		}
		for k := range runs {
			if runs[k].class != all[k].class {
				return "", false
			}
			all[k].shortest = min(all[k].shortest, runs[k].longest)
			all[k].longest = max(all[k].longest, runs[k].longest)
		}
	}
	var b strings.Builder
	b.WriteByte('^')
	for _, r := range all {
		switch r.class {
		case '9':
			digits = true
			b.WriteString("[0-9]")
		case 'A', 'a':
			if r.shortest != r.longest {
				return "", false // words, not codes
			}
			b.WriteString(pick(r.class == 'A', "[A-Z]", "[a-z]"))
		default:
			if strings.IndexByte(`\.+*?()|[]{}^$`, r.class) >= 0 {
				b.WriteByte('\\')
			}
			b.WriteByte(r.class)
		}
		switch {
		case r.shortest != r.longest:
			fmt.Fprintf(&b, "{%d,%d}", r.shortest, r.longest)
		case r.longest > 1:
			fmt.Fprintf(&b, "{%d}", r.longest)
		}
	}
	b.WriteByte('$')
	return b.String(), digits
}

// TextColumns returns the types with which to read a file so that its codes stay text, even where all of them look like numbers.
func (s *Schema) TextColumns() map[string]assay.Type {
	out := map[string]assay.Type{}
	for i := range s.Columns {
		if c := &s.Columns[i]; c.Type == assay.TypeString {
			out[c.Name] = c.Type
		}
	}
	return out
}
