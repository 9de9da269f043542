package schema

import (
	"bytes"
	"math"
	"unicode/utf8"

	"cel.dev/cel-go/common/operators"
)

// A val is the value of a term on one row. It is a plain struct so that evaluation does not allocate.
type val struct {
	kind valKind
	i    int64 // valInt; valBool: 0 or 1; valTime: microseconds since 1970 UTC
	f    float64
	s    []byte
}

type valKind uint8

const (
	valUnknown valKind = iota
	valNull
	valBool
	valInt
	valFloat
	valText
	valTime
)

func truth(b bool) val {
	if b {
		return val{kind: valBool, i: 1}
	}
	return val{kind: valBool}
}

// dayMicros is a day in microseconds: columns of dates hold days.
const dayMicros = 86400 * 1000000

// eval computes t on the cells of one row.
func (t *term) eval(cells []cell) val {
	switch t.op {
	case opLiteral:
		return t.literal
	case opColumn:
		return t.read(&cells[t.column])
	case operators.LogicalAnd, operators.LogicalOr:
		decides := int64(0) // false decides a conjunction, true a disjunction
		if t.op == operators.LogicalOr {
			decides = 1
		}
		known := true
		for _, a := range t.args {
			v := a.eval(cells)
			if v.kind != valBool {
				known = false
			} else if v.i == decides {
				return v
			}
		}
		if !known {
			return val{}
		}
		return val{kind: valBool, i: 1 - decides}
	case operators.Conditional:
		c := t.args[0].eval(cells)
		switch {
		case c.kind != valBool:
			return val{}
		case c.i == 1:
			return t.args[1].eval(cells)
		}
		return t.args[2].eval(cells)
	case operators.Equals, operators.NotEquals, operators.In:
		return t.equality(cells)
	}
	a := t.args[0].eval(cells)
	if a.kind == valUnknown || a.kind == valNull {
		return val{}
	}
	if len(t.args) == 1 {
		return t.unary(a)
	}
	b := t.args[1].eval(cells)
	if b.kind == valUnknown || b.kind == valNull {
		return val{}
	}
	switch t.op {
	case operators.Less:
		return truth(order(a, b) < 0)
	case operators.LessEquals:
		return truth(order(a, b) <= 0)
	case operators.Greater:
		return truth(order(a, b) > 0)
	case operators.GreaterEquals:
		return truth(order(a, b) >= 0)
	case "startsWith":
		return truth(bytes.HasPrefix(a.s, b.s))
	case "endsWith":
		return truth(bytes.HasSuffix(a.s, b.s))
	case "contains":
		return truth(bytes.Contains(a.s, b.s))
	case "matches":
		return truth(t.re.Match(a.s))
	}
	if a.kind == valFloat {
		return floats(t.op, a.f, b.f)
	}
	return integers(t.op, a.i, b.i)
}

// read turns the cell of a column into a value. What a condition cannot hold (an integer beyond 64 bits, a value of another type)
// counts as missing; a table check does the same.
func (t *term) read(c *cell) val {
	switch c.kind {
	case cellBool:
		return val{kind: valBool, i: c.i}
	case cellInt:
		return val{kind: valInt, i: c.i}
	case cellFloat:
		return val{kind: valFloat, f: c.f}
	case cellText:
		return val{kind: valText, s: c.s}
	case cellTime:
		if t.days {
			return val{kind: valTime, i: c.i * dayMicros}
		}
		if t.kind == termTime {
			return val{kind: valTime, i: c.i}
		}
		return val{kind: valTime} // of a time of day only its presence is asked
	case cellOther:
		return val{kind: valTime}
	}
	return val{kind: valNull}
}

// equality evaluates ==, != and in, for which null is a value like any other.
func (t *term) equality(cells []cell) val {
	a := t.args[0].eval(cells)
	if a.kind == valUnknown {
		return val{}
	}
	for _, arg := range t.args[1:] {
		b := arg.eval(cells)
		if b.kind == valUnknown {
			return val{}
		}
		same := a.kind == b.kind
		if a.kind != valNull && b.kind != valNull {
			same = order(a, b) == 0
		}
		if t.op == operators.NotEquals {
			return truth(!same)
		}
		if same {
			return truth(true)
		}
	}
	return truth(false)
}

// order compares two values of the same kind, or two numbers.
func order(a, b val) int {
	if a.kind == valText {
		return bytes.Compare(a.s, b.s)
	}
	if a.kind == valFloat || b.kind == valFloat {
		x, y := a.f, b.f
		if a.kind == valInt {
			x = float64(a.i)
		}
		if b.kind == valInt {
			y = float64(b.i)
		}
		switch {
		case x < y:
			return -1
		case x > y:
			return 1
		}
		return 0
	}
	switch {
	case a.i < b.i:
		return -1
	case a.i > b.i:
		return 1
	}
	return 0
}

func (t *term) unary(a val) val {
	switch t.op {
	case operators.LogicalNot:
		return truth(a.i == 0)
	case operators.Negate:
		if a.kind == valFloat {
			return val{kind: valFloat, f: -a.f}
		}
		return integers(operators.Subtract, 0, a.i)
	case "double":
		if a.kind == valInt {
			return val{kind: valFloat, f: float64(a.i)}
		}
		return a
	case "size":
		return val{kind: valInt, i: int64(utf8.RuneCount(a.s))}
	}
	panic("BUG: no term " + t.op)
}

func floats(op string, a, b float64) val {
	var f float64
	switch op {
	case operators.Add:
		f = a + b
	case operators.Subtract:
		f = a - b
	case operators.Multiply:
		f = a * b
	case operators.Divide:
		f = a / b
	}
	if math.IsNaN(f) {
		return val{}
	}
	return val{kind: valFloat, f: f}
}

// integers computes with 64 bits; an overflow or a division by zero is unknown.
func integers(op string, a, b int64) val {
	var n int64
	ok := true
	switch op {
	case operators.Add:
		n = a + b
		ok = (n > a) == (b > 0)
	case operators.Subtract:
		n = a - b
		ok = (n < a) == (b > 0)
	case operators.Multiply:
		n = a * b
		ok = a == 0 || b == 0 || n/b == a && !(a == -1 && b == math.MinInt64) && !(b == -1 && a == math.MinInt64)
	case operators.Divide, operators.Modulo:
		if b == 0 || a == math.MinInt64 && b == -1 {
			return val{}
		}
		n = a / b
		if op == operators.Modulo {
			n = a % b
		}
	}
	if !ok {
		return val{}
	}
	return val{kind: valInt, i: n}
}
