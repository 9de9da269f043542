package schema

import (
	"slices"
	"strconv"
	"strings"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/table"
)

// A tableRule is one constraint compiled for a relation, whose alias is t.
type tableRule struct {
	constraint
	bad      string // SQL that is true for a row that fails; "" when the rule speaks of the table as a whole
	suspect  string // SQL that is true at least where bad is, which rules of one column share; "" for bad itself
	checked  string // SQL of the rows that the rule speaks of; "" for all of them
	holds    bool   // of a rule about the table: whether it holds
	keys     []string
	integers bool     // keys is one column of integers
	columns  []string // that the rule reads
	// A rule on strings that repeat can be counted on the different strings: grouped is what to group by, groupBad is true for a group x
	// that breaks the rule, and gain says when that is faster than the rows.
	grouped, groupBad string
	gain              gain
}

// gain says when a rule is better counted on different strings than on rows.
type gain uint8

const (
	gainAlways  gain = iota // looking into a long list takes as long as grouping
	gainRepeats             // a regular expression, of strings that repeat
	gainBeside              // cheap by itself, and free where the strings are grouped for another rule
)

// A compiler turns a schema into rules over the columns of one table.
type compiler struct {
	schema *Schema
	fields map[string]assay.Field
	order  []string
	values []string // SQL of each column in the form that rules see, NULL for what is missing or of another type
	wide   bool     // no rule is to take a statement of its own that can do without
}

// rules compiles every constraint that speaks of something the table has.
func (s *Schema) rules(t *table.Table) ([]tableRule, error) {
	k := &compiler{schema: s, fields: map[string]assay.Field{}}
	fields := t.Fields()
	k.wide = len(fields) >= table.WideColumns
	for _, f := range fields {
		k.fields[f.Name] = f
		k.order = append(k.order, f.Name)
	}
	for i := range s.Columns {
		k.values = append(k.values, k.value(&s.Columns[i]))
	}
	conditions, err := s.compileConditions()
	if err != nil {
		return nil, err
	}
	var out []tableRule
	for _, c := range s.constraints() {
		switch {
		case c.column >= 0:
			out = append(out, k.column(c)...)
		case c.rule == RuleUnknown:
			for _, name := range k.order {
				if s.Column(name) == nil {
					r := tableRule{constraint: c, bad: "true"}
					r.name = name
					out = append(out, r)
				}
			}
		case c.rule == RuleOrder:
			out = append(out, tableRule{constraint: c, holds: k.inOrder()})
		case c.rule == RuleRows:
			n := t.Rows()
			out = append(out, tableRule{constraint: c, holds: (s.Rows.Min == nil || n >= *s.Rows.Min) && (s.Rows.Max == nil || n <= *s.Rows.Max)})
		case c.rule == RuleKey:
			out = append(out, k.key(c)...)
		case c.rule == RuleCondition:
			var read []string
			e := conditions[c.index].root.sql(func(i int) string {
				if k.values[i] != "NULL" {
					read = append(read, s.Columns[i].Name)
				}
				return k.operand(i)
			})
			slices.Sort(read)
			out = append(out, tableRule{constraint: c, bad: "NOT " + e, checked: e + " IS NOT NULL", columns: slices.Compact(read)})
		}
	}
	return out, nil
}

// inOrder reports whether the columns of the schema that the table has come in the order of the schema.
func (k *compiler) inOrder() bool {
	at := 0
	for _, name := range k.order {
		for i := range k.schema.Columns {
			if k.schema.Columns[i].Name == name {
				if i < at {
					return false
				}
				at = i
			}
		}
	}
	return true
}

func ident(name string) string { return "t." + table.Ident(name) }

// fit says how the values of a table's column stand to the type that the schema wants.
type fit uint8

const (
	fitAbsent fit = iota
	fitNone       // of another type altogether
	fitSame       // or any type is wanted
	fitWiden      // integers where numbers are wanted
	fitWhole      // numbers where integers are wanted: those without a fraction will do
)

func (k *compiler) fit(c *Column) fit {
	f, ok := k.fields[c.Name]
	switch {
	case !ok:
		return fitAbsent
	case c.Type == "" || c.Type == assay.TypeJSON || c.Type == f.Type:
		return fitSame
	case c.Type == assay.TypeNumber && f.Type == assay.TypeInteger:
		return fitWiden
	case c.Type == assay.TypeInteger && f.Type == assay.TypeNumber:
		return fitWhole
	}
	return fitNone
}

// value returns the SQL of a column as rules see it.
func (k *compiler) value(c *Column) string {
	id := ident(c.Name)
	switch k.fit(c) {
	case fitSame:
		if c.Type == assay.TypeNumber {
			return "CAST(" + id + " AS DOUBLE)"
		}
		return id
	case fitWiden:
		return "CAST(" + id + " AS DOUBLE)"
	case fitWhole:
		x := "CAST(" + id + " AS DOUBLE)"
		return "(CASE WHEN isfinite(" + x + ") AND " + x + " = trunc(" + x + ") THEN TRY_CAST(" + x + " AS HUGEINT) END)"
	}
	return "NULL"
}

// operand returns the SQL of a column as conditions see it; see term.sql.
func (k *compiler) operand(i int) string {
	v, c := k.values[i], &k.schema.Columns[i]
	kind := kindOf(c.Type)
	if v == "NULL" {
		return "CAST(NULL AS " + [...]string{"BOOLEAN", "BOOLEAN", "BIGINT", "DOUBLE", "VARCHAR", "TIMESTAMP", "BOOLEAN"}[kind] + ")"
	}
	switch kind {
	case termInt:
		return "TRY_CAST(" + v + " AS BIGINT)"
	case termFloat:
		return notNaN(v)
	case termTime:
		return "CAST(" + v + " AS TIMESTAMP)"
	}
	return v
}

// column compiles one constraint on one column.
func (k *compiler) column(c constraint) []tableRule {
	col := &k.schema.Columns[c.column]
	fit, v := k.fit(col), k.values[c.column]
	if c.rule == RuleRequired {
		if fit == fitAbsent {
			return []tableRule{{constraint: c, bad: "true"}}
		}
		return nil
	}
	if fit == fitAbsent {
		return nil
	}
	id := ident(col.Name)
	rule := tableRule{constraint: c, checked: id + " IS NOT NULL", columns: []string{col.Name}}
	switch c.rule {
	case RuleNotNull, RuleFinite, RuleRange:
		rule.suspect = k.suspect(col, fit, v)
	}
	if c.rule == RuleNotNull {
		rule.bad, rule.checked = id+" IS NULL", ""
		return []tableRule{rule}
	}
	if c.rule == RuleType {
		switch fit {
		case fitNone:
			rule.bad = id + " IS NOT NULL"
			rule.detail += ", not " + string(k.fields[col.Name].Type)
		case fitWhole:
			rule.bad = id + " IS NOT NULL AND " + v + " IS NULL"
		default:
			return nil
		}
		return []tableRule{rule}
	}
	if fit == fitNone {
		return nil // the violated type says it all
	}
	rule.checked = v + " IS NOT NULL"
	switch c.rule {
	case RuleFinite:
		if fit != fitSame {
			return nil
		}
		nan, inf := "isnan("+v+")", "isinf("+v+")"
		switch {
		case col.Finite.allows("nan") && col.Finite.allows("infinity"):
			return nil
		case col.Finite.allows("nan"):
			rule.bad = inf
		case col.Finite.allows("infinity"):
			rule.bad = nan
		default:
			rule.bad = "NOT isfinite(" + v + ")"
		}
	case RuleRange:
		rule.bad = outside(col, v)
	case RuleSet:
		rule.bad = notIn(col, v)
		if col.Type == assay.TypeString && !k.wide {
			rule.grouped, rule.groupBad, rule.gain = v, notIn(col, "x"), gainAlways
		}
	case RuleLength:
		rule.bad = mismeasured(col, v)
		if col.Type == assay.TypeString && !k.wide {
			rule.grouped, rule.groupBad, rule.gain = v, mismeasured(col, "x"), gainBeside
		}
	case RulePattern:
		rule.bad = "NOT " + matches(v, col.Pattern.Regexp)
		if col.Type == assay.TypeString && !k.wide {
			rule.grouped, rule.groupBad, rule.gain = v, "NOT "+matches("x", col.Pattern.Regexp), gainRepeats
			if literal(col.Pattern.Regexp) {
				rule.gain = gainBeside
			}
		}
	case RuleUnique:
		rule.keys = []string{v}
		rule.integers = col.Type == assay.TypeInteger && fit == fitSame
		if col.Type == assay.TypeNumber {
			rule.keys[0] = notNaN(v)
		}
	default:
		panic("BUG: no SQL for the rule " + c.rule)
	}
	return []tableRule{rule}
}

// suspect writes, for a column of numbers of a wide table, one expression in the place of up to three: what is not between the limits of the
// range, and a missing value where there must be one. NaN and infinities are not between any limits.
func (k *compiler) suspect(c *Column, fit fit, v string) string {
	r := c.Range
	if !k.wide || fit != fitSame && fit != fitWiden || !c.Type.Numeric() || r == nil || r.Min == nil || r.Max == nil || r.ExclusiveMin || r.ExclusiveMax {
		return ""
	}
	within := "(" + v + " BETWEEN " + limitLiteral(*r.Min, c.Type) + " AND " + limitLiteral(*r.Max, c.Type) + ")"
	return pick(c.NotNull != nil, within+" IS NOT TRUE", "NOT "+within)
}

// limitLiteral writes a limit as a literal of the column's type.
func limitLiteral(v Value, t assay.Type) string {
	switch t {
	case assay.TypeInteger:
		if len(v.text) > 18 {
			return "CAST(" + quote(v.text) + " AS HUGEINT)"
		}
		return v.text
	case assay.TypeNumber:
		c := v.cell(t)
		return floatLiteral(c.f)
	case assay.TypeBoolean:
		return v.text
	case assay.TypeDate:
		return "CAST(" + quote(v.text) + " AS DATE)"
	case assay.TypeTime:
		return "CAST(" + quote(v.text) + " AS TIME)"
	case assay.TypeTimestamp:
		c := v.cell(t)
		return timestampLiteral(c.i)
	}
	return quote(v.text)
}

// outside writes what is true for a value outside the range, and not for NaN, which the engine puts above every number.
func outside(c *Column, v string) string {
	r := c.Range
	var or []string
	if r.Min != nil {
		or = append(or, v+pick(r.ExclusiveMin, " <= ", " < ")+limitLiteral(*r.Min, c.Type))
	}
	if r.Max != nil {
		or = append(or, v+pick(r.ExclusiveMax, " >= ", " > ")+limitLiteral(*r.Max, c.Type))
	}
	bad := strings.Join(or, " OR ")
	if c.Type == assay.TypeNumber && r.Max != nil {
		return "(" + bad + ") AND NOT isnan(" + v + ")"
	}
	return bad
}

// mismeasured writes what is true for a text of a length that is not wanted.
func mismeasured(c *Column, v string) string {
	n := pick(c.Type == assay.TypeBinary, "octet_length("+v+")", "length("+v+")")
	number := func(v *int64) string { return strconv.FormatInt(*v, 10) }
	switch lo, hi := c.Length.Min, c.Length.Max; {
	case lo == nil:
		return n + " > " + number(hi)
	case hi == nil:
		return n + " < " + number(lo)
	default:
		return n + " NOT BETWEEN " + number(lo) + " AND " + number(hi)
	}
}

// notIn writes what is true for a value outside the set. Integers without a gap are a range, which is cheaper.
func notIn(c *Column, v string) string {
	values := c.Set.Values
	if c.Type == assay.TypeInteger {
		lo, hi := values[0].cell(c.Type), values[len(values)-1].cell(c.Type)
		if lo.kind == cellInt && hi.kind == cellInt && uint64(hi.i)-uint64(lo.i) == uint64(len(values)-1) {
			return v + " NOT BETWEEN " + values[0].text + " AND " + values[len(values)-1].text
		}
	}
	list := make([]string, len(values))
	for i, x := range values {
		list[i] = limitLiteral(x, c.Type)
	}
	bad := v + " NOT IN (" + strings.Join(list, ", ") + ")"
	if c.Type == assay.TypeNumber {
		return bad + " AND NOT isnan(" + v + ")"
	}
	return bad
}

// key compiles a key. A column that the table does not have is reported as such.
func (k *compiler) key(c constraint) []tableRule {
	r := tableRule{constraint: c}
	for _, name := range k.schema.Keys[c.index].Columns {
		for i := range k.schema.Columns {
			col := &k.schema.Columns[i]
			if col.Name != name {
				continue
			}
			if f := k.fit(col); f == fitAbsent || f == fitNone {
				return nil
			}
			v := k.values[i]
			if col.Type == assay.TypeNumber {
				v = notNaN(v)
			}
			r.keys, r.columns = append(r.keys, v), append(r.columns, name)
			r.integers = len(r.keys) == 1 && col.Type == assay.TypeInteger && k.fit(col) == fitSame
		}
	}
	return []tableRule{r}
}
