package schema

import (
	"strconv"
	"strings"
	"time"

	"cel.dev/cel-go/common/operators"
)

// sql writes t as an expression of DuckDB that is NULL where the value is unknown or null. column returns the SQL of a column in the
// form that conditions see: BIGINT, DOUBLE without NaN, VARCHAR, BOOLEAN or TIMESTAMP.
//
// Integers are computed with 128 bits and cut to 64, so that an overflow is NULL and does not stop the query.
func (t *term) sql(column func(int) string) string {
	switch t.op {
	case opColumn:
		return column(t.column)
	case opLiteral:
		return t.literal.sql()
	case operators.Equals:
		return equals(t.args[0], t.args[1], column)
	case operators.NotEquals:
		return "(NOT " + equals(t.args[0], t.args[1], column) + ")"
	case operators.In:
		a := t.args[0].sql(column)
		var list []string
		for _, m := range t.args[1:] {
			list = append(list, m.sql(column))
		}
		in := "(" + a + " IN (" + strings.Join(list, ", ") + "))"
		if t.args[0].nullable() {
			return "coalesce(" + in + ", false)"
		}
		return in
	}
	args := make([]string, len(t.args))
	for i, a := range t.args {
		args[i] = a.sql(column)
	}
	infix := func(op string) string { return "(" + strings.Join(args, " "+op+" ") + ")" }
	switch t.op {
	case operators.LogicalAnd:
		return infix("AND")
	case operators.LogicalOr:
		return infix("OR")
	case operators.LogicalNot:
		return "(NOT " + args[0] + ")"
	case operators.Less:
		return infix("<")
	case operators.LessEquals:
		return infix("<=")
	case operators.Greater:
		return infix(">")
	case operators.GreaterEquals:
		return infix(">=")
	case operators.Conditional:
		return "(CASE " + args[0] + " WHEN true THEN " + args[1] + " WHEN false THEN " + args[2] + " END)"
	case "double":
		return "CAST(" + args[0] + " AS DOUBLE)"
	case "size":
		return "length(" + args[0] + ")"
	case "startsWith":
		return "starts_with(" + args[0] + ", " + args[1] + ")"
	case "endsWith":
		return "suffix(" + args[0] + ", " + args[1] + ")"
	case "contains":
		return "contains(" + args[0] + ", " + args[1] + ")"
	case "matches":
		return matches(args[0], string(t.args[1].literal.s))
	}
	if t.kind == termFloat {
		switch t.op {
		case operators.Negate:
			return "(-" + args[0] + ")"
		case operators.Add:
			return notNaN(infix("+"))
		case operators.Subtract:
			return notNaN(infix("-"))
		case operators.Multiply:
			return notNaN(infix("*"))
		case operators.Divide:
			return notNaN(infix("/"))
		}
	}
	for i := range args {
		args[i] = "CAST(" + args[i] + " AS HUGEINT)"
	}
	switch t.op {
	case operators.Negate:
		return narrow("(-" + args[0] + ")")
	case operators.Add:
		return narrow(infix("+"))
	case operators.Subtract:
		return narrow(infix("-"))
	case operators.Multiply:
		return narrow(infix("*"))
	case operators.Divide:
		return narrow(infix("//"))
	case operators.Modulo:
		// The one remainder that CEL cannot compute is that of an overflowing division.
		return "(CASE WHEN " + narrow(infix("//")) + " IS NOT NULL THEN " + narrow(infix("%")) + " END)"
	}
	panic("BUG: no SQL for " + t.op)
}

func notNaN(s string) string { return "nullif(" + s + ", 'NaN'::DOUBLE)" }
func narrow(s string) string { return "TRY_CAST(" + s + " AS BIGINT)" }

// matches searches for a pattern. That a dot does not match the end of a line unless the pattern says so is stated, because the engine's
// default is another.
func matches(text, pattern string) string {
	return "regexp_matches(" + text + ", " + quote("(?-s:"+pattern+")") + ")"
}

// equals writes a = b as CEL means it: a missing value equals a missing value and nothing else, while an unknown operand makes the
// result unknown. SQL has one NULL for both, so what a side can be decides the form.
func equals(a, b *term, column func(int) string) string {
	if b.nullable() && !a.nullable() {
		a, b = b, a
	}
	x, y := a.sql(column), b.sql(column)
	isNull := func(t *term) bool { return t.op == opLiteral && t.literal.kind == valNull }
	switch {
	case isNull(a) && isNull(b):
		return "true"
	case isNull(a) && b.nullable():
		return "(" + y + " IS NULL)"
	case isNull(b) && a.nullable():
		return "(" + x + " IS NULL)"
	case isNull(a):
		return "(CASE WHEN " + y + " IS NOT NULL THEN false END)"
	case a.nullable() && b.nullable():
		return "(" + x + " IS NOT DISTINCT FROM " + y + ")"
	case a.nullable() && b.op == opLiteral:
		return "coalesce(" + x + " = " + y + ", false)"
	case a.nullable():
		return "coalesce(" + x + " = " + y + ", CASE WHEN " + y + " IS NOT NULL THEN false END)"
	}
	return "(" + x + " = " + y + ")"
}

func (v val) sql() string {
	switch v.kind {
	case valBool:
		return strconv.FormatBool(v.i == 1)
	case valInt:
		return "CAST(" + strconv.FormatInt(v.i, 10) + " AS BIGINT)"
	case valFloat:
		return floatLiteral(v.f)
	case valText:
		return quote(string(v.s))
	case valTime:
		return timestampLiteral(v.i)
	}
	return "NULL"
}

// floatLiteral writes a number with an exponent, without which SQL reads a decimal.
func floatLiteral(f float64) string {
	return "CAST(" + quote(strconv.FormatFloat(f, 'e', -1, 64)) + " AS DOUBLE)"
}

func timestampLiteral(us int64) string {
	return "CAST(" + quote(time.UnixMicro(us).UTC().Format("2006-01-02 15:04:05.999999")) + " AS TIMESTAMP)"
}

// quote writes a text as a literal of SQL.
func quote(s string) string {
	q := "'" + strings.ReplaceAll(s, "'", "''") + "'"
	if strings.Contains(s, "\x00") {
		q = "(" + strings.ReplaceAll(q, "\x00", "' || chr(0) || '") + ")"
	}
	return q
}
