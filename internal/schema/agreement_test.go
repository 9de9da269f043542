package schema

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/table"
	"pgregory.net/rapid"
)

// A cellCase is one value of a column, in the three languages that must agree on it.
type cellCase struct {
	json, sql string
	cel       any
}

var missing = cellCase{"null", "NULL", types.NullValue}

// kinds are the columns of generated tables, with the values that their cells take.
func kinds() []struct {
	column, sql string
	kind        assay.Type
	cells       []cellCase
} {
	integer := func(vs ...int64) []cellCase {
		out := []cellCase{missing}
		for _, v := range vs {
			out = append(out, cellCase{fmt.Sprint(v), fmt.Sprintf("CAST('%d' AS BIGINT)", v), v})
		}
		return out
	}
	number := func(vs ...float64) []cellCase {
		out := []cellCase{missing}
		for _, v := range vs {
			out = append(out, cellCase{formatFloat(v), floatLiteral(v), v})
		}
		return out
	}
	text := func(vs ...string) []cellCase {
		out := []cellCase{missing}
		for _, v := range vs {
			out = append(out, cellCase{fmt.Sprintf("%q", v), quote(v), v})
		}
		return out
	}
	instant := func(layout, sql string, vs ...string) []cellCase {
		out := []cellCase{missing}
		for _, v := range vs {
			at, err := time.Parse(layout, v)
			if err != nil {
				panic("BUG: " + v)
			}
			out = append(out, cellCase{fmt.Sprintf("%q", v), "CAST(" + quote(strings.TrimSuffix(strings.Replace(v, "T", " ", 1), "Z")) + " AS " + sql + ")", at})
		}
		return out
	}
	return []struct {
		column, sql string
		kind        assay.Type
		cells       []cellCase
	}{
		{"i", "BIGINT", assay.TypeInteger, integer(-3, -1, 0, 1, 2, 7, 1<<53+1, 1<<63-1, -1<<63)},
		{"j", "BIGINT", assay.TypeInteger, integer(-2, 0, 1, 2, 3)},
		{"x", "DOUBLE", assay.TypeNumber, number(-1.5, 0, 0.1, 1, 2.5, 1e300)},
		{"y", "DOUBLE", assay.TypeNumber, number(-1, 0, 0.5, 3)},
		{"s", "VARCHAR", assay.TypeString, text("", "a", "ab", "b'", "é\nb", "%", "A\tb", "日本")},
		{"b", "BOOLEAN", assay.TypeBoolean, []cellCase{missing, {"true", "true", true}, {"false", "false", false}}},
		{"d", "DATE", assay.TypeDate, instant("2006-01-02", "DATE", "1969-12-31", "1970-01-01", "2000-02-29", "2024-03-01")},
		{"w", "TIMESTAMP", assay.TypeTimestamp, instant(time.RFC3339Nano, "TIMESTAMP", "1969-12-31T23:59:59.999999Z", "1970-01-01T00:00:00Z", "2024-03-01T12:00:00.5Z")},
	}
}

// drawRules draws constraints for a column.
func drawRules(t *rapid.T, c *Column) {
	maybe := func(what string) bool { return rapid.IntRange(0, 2).Draw(t, what+" "+c.Name) == 0 }
	if maybe("not null") {
		c.NotNull = &NotNull{}
	}
	value := func(what string) *Value {
		var v Value
		switch c.Type {
		case assay.TypeInteger:
			v = Int(rapid.SampledFrom([]int64{-3, -1, 0, 1, 2, 1 << 53, 1<<63 - 1, -1 << 63}).Draw(t, what))
		case assay.TypeNumber:
			v = Number(rapid.SampledFrom([]float64{-1.5, 0, 0.1, 1, 1e300}).Draw(t, what))
		case assay.TypeString:
			v = Text(rapid.SampledFrom([]string{"", "a", "b'", "日本"}).Draw(t, what))
		case assay.TypeBoolean:
			v = Bool(rapid.Bool().Draw(t, what))
		case assay.TypeDate:
			v = Text(rapid.SampledFrom([]string{"1969-12-31", "1970-01-01", "2000-02-29"}).Draw(t, what))
		case assay.TypeTimestamp:
			v = Text(rapid.SampledFrom([]string{"1969-12-31T23:59:59.999999Z", "1970-01-01T00:00:00Z"}).Draw(t, what))
		}
		return &v
	}
	if maybe("set") {
		c.Set = &Set{}
		for range rapid.IntRange(1, 4).Draw(t, "set size") {
			c.Set.Values = append(c.Set.Values, *value("member"))
		}
	}
	switch c.Type {
	case assay.TypeString:
		if maybe("length") {
			n := rapid.Int64Range(0, 3).Draw(t, "length")
			c.Length = &Length{Min: &n}
		}
		if maybe("pattern") {
			c.Pattern = &Pattern{Regexp: rapid.SampledFrom([]string{"^a", "b$", "a.*b", "(?i)A", "^.b$", "^\\w*$", "[^a]", "(?s)é.b", "(?m)^b", "\\pL{2}", "'"}).Draw(t, "pattern")}
		}
	case assay.TypeBoolean:
	default:
		if maybe("range") {
			c.Range = &Range{Min: value("min"), ExclusiveMin: rapid.Bool().Draw(t, "exclusive")}
		}
		if maybe("range to") {
			c.Range = &Range{Max: value("max"), ExclusiveMax: rapid.Bool().Draw(t, "exclusive")}
		}
	}
}

// An expression draws conditions. With division of numbers NaN can occur, on which CEL and SQL differ: see term.
type expression struct {
	t      *rapid.T
	divide bool
}

func (e expression) pick(options ...func(int) string) func(int) string {
	return options[rapid.IntRange(0, len(options)-1).Draw(e.t, "choice")]
}

func (e expression) word(words ...string) string { return rapid.SampledFrom(words).Draw(e.t, "word") }

func (e expression) truth(depth int) string {
	leaf := []func(int) string{
		func(int) string { return e.word("b", "true", "false") },
		func(int) string {
			return e.word("i", "j", "x", "s", "b", "d", "w") + e.word(" == ", " != ") + "null"
		},
		func(int) string { return e.word("", "!") + "has(row." + e.word("i", "x", "s", "d") + ")" },
		func(int) string { return "i in [1, -1, 9223372036854775807]" },
		func(int) string { return "s in ['a', 'é\\nb', '']" },
		func(int) string { return "x in [0.0, 0.1]" },
		func(int) string {
			return e.word("d", "w") + e.word(" < ", " >= ", " == ", " != ") + e.word("d", "w", "timestamp('1970-01-01T00:00:00Z')")
		},
		func(int) string { return "b" + e.word(" == ", " != ") + e.word("b", "true", "false") },
	}
	if depth == 0 {
		return e.pick(leaf...)(0)
	}
	deep := []func(int) string{
		func(d int) string { return "(" + e.truth(d) + e.word(" && ", " || ") + e.truth(d) + ")" },
		func(d int) string { return "!(" + e.truth(d) + ")" },
		func(d int) string { return "(" + e.truth(d) + " ? " + e.truth(d) + " : " + e.truth(d) + ")" },
		func(d int) string {
			return e.integer(d) + e.word(" < ", " <= ", " > ", " >= ", " == ", " != ") + e.integer(d)
		},
		func(d int) string {
			return e.number(d) + e.word(" < ", " <= ", " > ", " >= ", " == ", " != ") + e.number(d)
		},
		func(d int) string { return e.integer(d) + e.word(" < ", " >= ") + e.number(d) },
		func(d int) string {
			return e.text(d) + e.word(" < ", " <= ", " > ", " >= ", " == ", " != ") + e.text(d)
		},
		func(d int) string {
			return e.text(d) + e.word(".startsWith(", ".endsWith(", ".contains(") + e.text(d) + ")"
		},
		func(d int) string { return e.text(d) + ".matches(" + e.word("'^a'", "'b.?$'", "'.'", "'(?i)A'") + ")" },
		func(d int) string { return "(" + e.integer(d) + ") in [0, 1, 2]" },
	}
	return e.pick(append(deep, leaf...)...)(depth - 1)
}

func (e expression) integer(depth int) string {
	leaf := func(int) string { return e.word("i", "j", "0", "1", "-1", "2", "9223372036854775807") }
	if depth == 0 {
		return leaf(0)
	}
	return e.pick(leaf,
		func(d int) string {
			return "(" + e.integer(d) + e.word(" + ", " - ", " * ", " / ", " % ") + e.integer(d) + ")"
		},
		func(d int) string { return "(-" + e.integer(d) + ")" },
		func(d int) string { return "size(" + e.text(d) + ")" },
		func(d int) string { return "(" + e.truth(d) + " ? i + 0 : " + e.integer(d) + " - 1)" },
	)(depth - 1)
}

func (e expression) number(depth int) string {
	leaf := func(int) string { return e.word("x", "y", "0.0", "1.5", "-2.0") }
	if depth == 0 {
		return leaf(0)
	}
	operators := []string{" + ", " - ", " * "}
	if e.divide {
		operators = append(operators, " / ")
	}
	return e.pick(leaf,
		func(d int) string { return "(" + e.number(d) + e.word(operators...) + e.number(d) + ")" },
		func(d int) string { return "(-" + e.number(d) + ")" },
		func(d int) string { return "double(" + e.integer(d) + ")" },
	)(depth - 1)
}

func (e expression) text(int) string { return e.word("s", "'a'", "'é'", "''", "'b'") }

// TestAgreement generates schemas and tables, and holds the rows that a table check finds failing against what a payload check says of
// each row.
func TestAgreement(t *testing.T) {
	t.Parallel()
	e := engine(t)
	base := csv(t, e, "a\n1\n")
	failed, passed := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		s := New("generated")
		var fields []assay.Field
		for _, k := range kinds() {
			c := Column{Name: k.column, Type: k.kind}
			if rapid.Bool().Draw(t, "ruled") { // with rules for every column hardly a row would pass
				drawRules(t, &c)
			}
			s.Columns = append(s.Columns, c)
			fields = append(fields, assay.Field{Name: k.column, Type: k.kind})
		}
		for i := range rapid.IntRange(0, 3).Draw(t, "conditions") {
			s.Conditions = append(s.Conditions, Condition{Name: fmt.Sprint(i), Expression: expression{t, true}.truth(3)})
		}
		v, err := s.Compile()
		if err != nil {
			if strings.Contains(err.Error(), "of a conditional") || strings.Contains(err.Error(), "terms of SQL") {
				t.Skip()
			}
			t.Fatal(err)
		}
		var rows []string
		var want []int64
		n := rapid.IntRange(1, 20).Draw(t, "rows")
		for r := range n {
			payload, values := []string{}, []string{fmt.Sprint(r)}
			for _, k := range kinds() {
				c := rapid.SampledFrom(k.cells).Draw(t, k.column)
				payload = append(payload, fmt.Sprintf("%q: %s", k.column, c.json))
				values = append(values, "CAST("+c.sql+" AS "+k.sql+")")
			}
			vs, err := v.Payload([]byte("{" + strings.Join(payload, ", ") + "}"))
			if err != nil {
				t.Fatal(err)
			}
			if Refuses(vs) {
				want = append(want, int64(r)+1)
			}
			rows = append(rows, "("+strings.Join(values, ", ")+")")
		}
		tab, err := base.Select(context.Background(), "SELECT * FROM (VALUES "+strings.Join(rows, ", ")+") AS v(_row, i, j, x, y, s, b, d, w)", fields)
		if err != nil {
			t.Fatal(err)
		}
		got := failing(t, s, tab, n)
		if fmt.Sprint(got) != fmt.Sprint(want) {
			b, _ := s.JSON()
			t.Fatalf("the table check fails rows %v, the payload check %v\n%s\n%s", got, want, rows, b)
		}
		failed, passed = failed+len(want), passed+n-len(want)
	})
	if failed == 0 || passed == 0 {
		t.Errorf("%d rows failed and %d passed: the test shows nothing", failed, passed)
	}
}

// failing returns the numbers of the failing rows, in order.
func failing(t *rapid.T, s *Schema, tab *table.Table, n int) []int64 {
	v, err := s.Check(context.Background(), tab, CheckOptions{FirstRows: n})
	if err != nil {
		t.Fatal(err)
	}
	is := make([]bool, n+1)
	for _, x := range v.Violations {
		for _, r := range x.Rows {
			is[r] = true
		}
	}
	var out []int64
	for r := range is {
		if is[r] {
			out = append(out, int64(r))
		}
	}
	if int64(len(out)) != v.Failing {
		t.Fatalf("%d rows are listed and %d counted as failing", len(out), v.Failing)
	}
	return out
}

// TestConditionsAsCEL holds the evaluation of conditions against that of cel-go, row by row. Where an operation on numbers gives NaN, as zero
// times an infinite product, a condition is unknown and CEL goes on with it: such rows are left out.
func TestConditionsAsCEL(t *testing.T) {
	s := New("generated")
	for _, k := range kinds() {
		s.Columns = append(s.Columns, Column{Name: k.column, Type: k.kind})
	}
	env, err := s.environment()
	if err != nil {
		t.Fatal(err)
	}
	violated, held := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		source := expression{t, false}.truth(4)
		s.Conditions = []Condition{{Name: "c", Expression: source}}
		v, err := s.Compile()
		if err != nil {
			if strings.Contains(err.Error(), "of a conditional") || strings.Contains(err.Error(), "terms of SQL") {
				t.Skip()
			}
			t.Fatal(err)
		}
		tree, issues := env.Compile(source)
		if issues.Err() != nil {
			t.Fatal(issues.Err())
		}
		program, err := env.Program(tree, cel.CostLimit(1<<20), cel.EvalOptions(cel.OptTrackState))
		if err != nil {
			t.Fatal(err)
		}
		for range 20 {
			var payload []string
			vars, row := map[string]any{}, map[string]any{}
			for _, k := range kinds() {
				c := rapid.SampledFrom(k.cells).Draw(t, k.column)
				payload = append(payload, fmt.Sprintf("%q: %s", k.column, c.json))
				vars[k.column] = c.cel
				if c != missing {
					row[k.column] = c.cel
				}
			}
			vars[RowVariable] = row
			vs, err := v.Payload([]byte("{" + strings.Join(payload, ", ") + "}"))
			if err != nil {
				t.Fatal(err)
			}
			answer, details, err := program.Eval(vars)
			if slices.ContainsFunc(details.State().IDs(), func(id int64) bool {
				x, _ := details.State().Value(id)
				d, ok := x.(types.Double)
				return ok && math.IsNaN(float64(d))
			}) {
				continue
			}
			want := err == nil && answer == types.False
			if got := len(vs) == 1; got != want {
				t.Fatalf("%s on %s: violated is %v, and CEL says %v (%v)", source, payload, got, answer, err)
			}
			if want {
				violated++
			} else {
				held++
			}
		}
	})
	if violated == 0 || held == 0 {
		t.Errorf("%d violated, %d held: the test shows nothing", violated, held)
	}
}

func TestConditionsRefused(t *testing.T) {
	for _, c := range []struct{ expression, want string }{
		{"", "syntax error: it ends too early"},
		{"i", "the expression is int, want bool"},
		{"ii > 1", `there is no column "ii", did you mean i?`},
		{`row["nope"] == 1`, `there is no column "nope"`},
		{"[1, 2].all(v, v > i)", "macros that loop"},
		{"i in [j]", "something else than literals"},
		{"{'a': 1}['a'] == i", "an index is supported as"},
		{"string(i) == 'a'", "string is not supported"},
		{"i + x > 1.0", "+ at character 3 does not take (int, double)"},
		{"s.matches(s)", "matches needs a literal pattern"},
		{"s.matches('(?=a)')", "lookaround"},
		{"w.getFullYear() > 2000", "getFullYear is not supported"},
		{"w - w > duration('1s')", "- does not apply to (timestamp, timestamp)"},
		{"(b ? i : j) == 1", "== of a conditional whose result is a column"},
		{"size([1]) > i", "a list is supported to the right of in only"},
		{"1u == 1u", "a literal of type uint is not supported"},
		{"b'x' == b'x'", "a literal of type bytes is not supported"},
		{"n == n", "== does not apply to (a column that conditions cannot read"},
		{"row == row", "the row as a whole"},
		{strings.Repeat("b == (", 15) + "b" + strings.Repeat(")", 15), "terms of SQL"},
		{strings.Repeat("(", 5000), ""},
		{strings.Repeat("b && ", 3000) + "b", "are allowed"},
	} {
		s := New("x")
		for _, k := range kinds() {
			s.Columns = append(s.Columns, Column{Name: k.column, Type: k.kind})
		}
		s.Columns = append(s.Columns, Column{Name: "n", Type: assay.TypeJSON})
		s.Conditions = []Condition{{Name: "c", Expression: c.expression}}
		_, err := s.Compile()
		if assay.CodeOf(err) != assay.Invalid || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%.60s: got %v; want %s", c.expression, err, c.want)
		}
	}
}

// FuzzCondition: whatever the text, it is refused or it becomes SQL that runs and agrees with the evaluation on a row.
func FuzzCondition(f *testing.F) {
	e := engine(f)
	base := csv(f, e, "a\n1\n")
	var fields []assay.Field
	s := New("fuzzed")
	for _, k := range kinds() {
		s.Columns = append(s.Columns, Column{Name: k.column, Type: k.kind})
		fields = append(fields, assay.Field{Name: k.column, Type: k.kind})
	}
	tab, err := base.Select(context.Background(), "SELECT 0 AS _row, CAST(1 AS BIGINT) AS i, CAST(NULL AS BIGINT) AS j, CAST(0.5 AS DOUBLE) AS x, CAST(0 AS DOUBLE) AS y, 'ab' AS s, true AS b, DATE '2000-02-29' AS d, CAST(NULL AS TIMESTAMP) AS w", fields)
	if err != nil {
		f.Fatal(err)
	}
	payload := []byte(`{"i": 1, "j": null, "x": 0.5, "y": 0, "s": "ab", "b": true, "d": "2000-02-29", "w": null}`)
	for _, seed := range []string{"i > 1 && s.matches('^a')", "x / y == 1.0 || j == null", "(b ? i : 2) < 3", "row['s'].size() == 2", "d < timestamp('2001-01-01T00:00:00Z')", "i % 0 == 1", "-i in [1,2]"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, source string) {
		s := *s
		s.Conditions = []Condition{{Name: "c", Expression: source}}
		v, err := s.Compile()
		if err != nil {
			if assay.CodeOf(err) != assay.Invalid {
				t.Fatal(err)
			}
			return
		}
		vs, err := v.Payload(payload)
		if err != nil {
			t.Fatal(err)
		}
		got, err := s.Check(context.Background(), tab, CheckOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if len(got.Violations) != len(vs) {
			t.Fatalf("table %v, payload %v", got.Violations, vs)
		}
	})
}
