package schema

import (
	"fmt"
	"strings"

	"github.com/assay-ml/assay"
)

// A Direction says how a constraint changed.
type Direction string

const (
	Added   Direction = "added"   // a column that was not there
	Removed Direction = "removed" // a column that is gone
	Tighter Direction = "tighter" // less data passes
	Looser  Direction = "looser"  // more data passes
	Changed Direction = "changed" // some data that passed fails now, and the other way round; or which it is cannot be told
)

// A Change is one difference between two schemas.
//
// Producer is set when data that was written for the old schema may fail the new one: whoever writes the data must change. Consumer is
// set when data that passes the new schema may be something that the old one ruled out: whoever reads the data must change.
type Change struct {
	Column    string    `json:"column,omitempty"`
	Rule      string    `json:"rule"`
	Direction Direction `json:"direction"`
	Detail    string    `json:"detail"`
	Producer  bool      `json:"breaks_producer"`
	Consumer  bool      `json:"breaks_consumer"`
}

// Breaks reports whether any change breaks a producer, and whether any breaks a consumer.
func Breaks(changes []Change) (producer, consumer bool) {
	for _, c := range changes {
		producer = producer || c.Producer
		consumer = consumer || c.Consumer
	}
	return producer, consumer
}

// Diff lists what changed from a to b, in the order of a and then of b. A change of support alone is no change. A change to a warning
// breaks nobody.
func Diff(a, b *Schema) []Change {
	d := &differ{changes: []Change{}}
	for i := range a.Columns {
		x := &a.Columns[i]
		y := b.Column(x.Name)
		if y == nil {
			d.add(Change{Column: x.Name, Rule: "column", Direction: Removed, Detail: "the column is gone", Producer: b.Closed, Consumer: !x.Optional})
			continue
		}
		d.column(x, y)
	}
	for i := range b.Columns {
		y := &b.Columns[i]
		if a.Column(y.Name) == nil {
			// In an open schema the column may have been there with anything in it, so that what is said of it now may fail.
			d.add(Change{
				Column: y.Name, Rule: "column", Direction: Added, Detail: pick(y.Optional, "a new column, which may be absent", "a new column"),
				Producer: !y.Optional || !a.Closed, Consumer: a.Closed,
			})
		}
	}
	d.flag(RuleUnknown, a.Closed, b.Closed, "columns that are not named are violations", "columns that are not named are allowed")
	d.flag(RuleOrder, a.Ordered, b.Ordered, "the order of columns is fixed", "the order of columns is free")
	if a.Ordered && b.Ordered && reordered(a, b) {
		d.add(Change{Rule: RuleOrder, Direction: Changed, Detail: "the order of columns is another", Producer: true, Consumer: true})
	}
	d.rows(a.Rows, b.Rows)
	d.keys(a, b)
	d.conditions(a, b)
	return d.changes
}

// reordered reports whether the columns that both have come in different orders.
func reordered(a, b *Schema) bool {
	var x, y []string
	for _, n := range a.names() {
		if b.Column(n) != nil {
			x = append(x, n)
		}
	}
	for _, n := range b.names() {
		if a.Column(n) != nil {
			y = append(y, n)
		}
	}
	return strings.Join(x, "\x00") != strings.Join(y, "\x00")
}

type differ struct{ changes []Change }

func (d *differ) add(c Change) { d.changes = append(d.changes, c) }

// step records that a constraint became tighter or looser, or both.
func (d *differ) step(column, rule, detail string, tighter, looser bool, warning bool) {
	if !tighter && !looser {
		return
	}
	way := Changed
	switch {
	case !looser:
		way = Tighter
	case !tighter:
		way = Looser
	}
	d.add(Change{Column: column, Rule: rule, Direction: way, Detail: detail, Producer: tighter && !warning, Consumer: looser && !warning})
}

func (d *differ) flag(rule string, before, after bool, on, off string) {
	d.step("", rule, pick(after, on, off), after && !before, before && !after, false)
}

// A limit is one constraint of either schema: whether it is there, its words and its terms.
type limit struct {
	there bool
	words string
	terms Terms
}

// rule compares the presence and the terms of a constraint; where both have it, tighter and looser compare the limits.
func (d *differ) rule(column, rule string, x, y limit, compare func() (tighter, looser bool)) {
	weak := func(l limit) bool { return l.terms.Severity == Warning }
	switch {
	case !x.there && !y.there:
	case !y.there:
		d.step(column, rule, "no longer: "+x.words, false, true, weak(x))
	case !x.there:
		d.step(column, rule, "now: "+y.words, true, false, weak(y))
	default:
		tighter, looser := compare()
		detail := "was: " + x.words + "; now: " + y.words
		if p, q := x.terms.required(), y.terms.required(); p != q {
			tighter, looser = tighter || q > p, looser || q < p
			detail += fmt.Sprintf("; in %v of the rows instead of %v", q, p)
		}
		if weak(x) != weak(y) {
			tighter, looser = tighter || weak(x), looser || weak(y)
			detail += pick(weak(y), "; a warning now", "; an error now")
		}
		d.step(column, rule, detail, tighter, looser, weak(x) && weak(y))
	}
}

func (d *differ) column(x, y *Column) {
	d.step(x.Name, RuleRequired, pick(y.Optional, "may be absent", "must be present"), x.Optional && !y.Optional, y.Optional && !x.Optional, false)
	if x.Type != y.Type {
		wider := y.Type == "" || x.Type == assay.TypeInteger && y.Type == assay.TypeNumber
		narrower := x.Type == "" || x.Type == assay.TypeNumber && y.Type == assay.TypeInteger
		d.step(x.Name, RuleType, fmt.Sprintf("was: %s; now: %s", kindWords(x.Type), kindWords(y.Type)), !wider, !narrower, false)
	}
	same := func() (bool, bool) { return false, false }
	null := func(c *Column) limit {
		if c.NotNull == nil {
			return limit{}
		}
		return limit{true, "must have a value", c.NotNull.Terms}
	}
	d.rule(x.Name, RuleNotNull, null(x), null(y), same)
	finite := func(c *Column) limit {
		if c.Finite == nil {
			return limit{}
		}
		return limit{true, c.Finite.words(), c.Finite.Terms}
	}
	d.rule(x.Name, RuleFinite, finite(x), finite(y), func() (tighter, looser bool) {
		for _, w := range []string{"nan", "infinity"} {
			tighter = tighter || x.Finite.allows(w) && !y.Finite.allows(w)
			looser = looser || !x.Finite.allows(w) && y.Finite.allows(w)
		}
		return tighter, looser
	})
	span := func(c *Column) limit {
		if c.Range == nil {
			return limit{}
		}
		return limit{true, c.Range.words(), c.Range.Terms}
	}
	d.rule(x.Name, RuleRange, span(x), span(y), func() (bool, bool) { return spans(x, y) })
	set := func(c *Column) limit {
		if c.Set == nil {
			return limit{}
		}
		return limit{true, fmt.Sprintf("must be one of %d values", len(c.Set.Values)), c.Set.Terms}
	}
	d.rule(x.Name, RuleSet, set(x), set(y), func() (bool, bool) {
		return !subset(x.Set.Values, y.Set.Values), !subset(y.Set.Values, x.Set.Values)
	})
	length := func(c *Column) limit {
		if c.Length == nil {
			return limit{}
		}
		return limit{true, c.Length.words(c.Type), c.Length.Terms}
	}
	d.rule(x.Name, RuleLength, length(x), length(y), func() (bool, bool) {
		return counts(x.Length.Min, x.Length.Max, y.Length.Min, y.Length.Max)
	})
	pattern := func(c *Column) limit {
		if c.Pattern == nil {
			return limit{}
		}
		return limit{true, "must match " + c.Pattern.Regexp, c.Pattern.Terms}
	}
	d.rule(x.Name, RulePattern, pattern(x), pattern(y), func() (bool, bool) {
		other := x.Pattern.Regexp != y.Pattern.Regexp
		return other, other
	})
	unique := func(c *Column) limit {
		if c.Unique == nil {
			return limit{}
		}
		return limit{true, "must not repeat", c.Unique.Terms}
	}
	d.rule(x.Name, RuleUnique, unique(x), unique(y), same)
}

func kindWords(t assay.Type) string { return pick(t == "", "any type", string(t)) }

// spans compares two ranges. Ranges of different types cannot be compared; the change of type says enough.
func spans(x, y *Column) (tighter, looser bool) {
	if x.Type != y.Type && !(x.Type.Numeric() && y.Type.Numeric()) {
		return false, false
	}
	t := x.Type
	if x.Type != y.Type {
		t = assay.TypeNumber
	}
	edge := func(p, q *Value, px, qx bool, up int) {
		switch {
		case p == nil && q == nil:
		case p == nil:
			tighter = true
		case q == nil:
			looser = true
		default:
			a, b := p.cell(t), q.cell(t)
			c := compare(&b, &a) * up // above 0: the limit moved inwards
			tighter = tighter || c > 0 || c == 0 && qx && !px
			looser = looser || c < 0 || c == 0 && px && !qx
		}
	}
	edge(x.Range.Min, y.Range.Min, x.Range.ExclusiveMin, y.Range.ExclusiveMin, 1)
	edge(x.Range.Max, y.Range.Max, x.Range.ExclusiveMax, y.Range.ExclusiveMax, -1)
	return tighter, looser
}

// subset reports whether every value of a is in b.
func subset(a, b []Value) bool {
	in := map[Value]bool{}
	for _, v := range b {
		in[v] = true
	}
	for _, v := range a {
		if !in[v] {
			return false
		}
	}
	return true
}

// counts compares two intervals of counts.
func counts(lo1, hi1, lo2, hi2 *int64) (tighter, looser bool) {
	const most = 1<<63 - 1
	at := func(p *int64, absent int64) int64 {
		if p == nil {
			return absent
		}
		return *p
	}
	a, b := at(lo1, 0), at(lo2, 0)
	c, d := at(hi1, most), at(hi2, most)
	return b > a || d < c, b < a || d > c
}

func (d *differ) rows(x, y *RowCount) {
	at := func(r *RowCount) limit {
		if r == nil {
			return limit{}
		}
		return limit{true, r.words(), Terms{Severity: r.Severity}}
	}
	d.rule("", RuleRows, at(x), at(y), func() (bool, bool) { return counts(x.Min, x.Max, y.Min, y.Max) })
}

func (d *differ) keys(a, b *Schema) {
	same := func() (bool, bool) { return false, false }
	find := func(s *Schema, name string) limit {
		for _, k := range s.Keys {
			if n := strings.Join(k.Columns, ", "); n == name {
				return limit{true, "the key " + n, k.Terms}
			}
		}
		return limit{}
	}
	for _, k := range a.Keys {
		n := strings.Join(k.Columns, ", ")
		d.rule("", RuleKey, find(a, n), find(b, n), same)
	}
	for _, k := range b.Keys {
		if n := strings.Join(k.Columns, ", "); !find(a, n).there {
			d.rule("", RuleKey, limit{}, find(b, n), same)
		}
	}
}

func (d *differ) conditions(a, b *Schema) {
	find := func(s *Schema, name string) (limit, string) {
		for _, c := range s.Conditions {
			if c.Name == name {
				return limit{true, c.Name + ": " + c.Expression, c.Terms}, c.Expression
			}
		}
		return limit{}, ""
	}
	for _, c := range a.Conditions {
		x, e := find(a, c.Name)
		y, f := find(b, c.Name)
		d.rule("", RuleCondition, x, y, func() (bool, bool) { return e != f, e != f })
	}
	for _, c := range b.Conditions {
		if x, _ := find(a, c.Name); !x.there {
			y, _ := find(b, c.Name)
			d.rule("", RuleCondition, x, y, nil)
		}
	}
}
