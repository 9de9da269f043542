package schema

import (
	"regexp"
	"strconv"
	"strings"
	"time"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/types"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/manifest"
)

// Limits of one condition. There are no loops in the subset that is kept, so that they bound its cost as well.
const (
	maxExpression = 8192 // bytes of source
	maxTerms      = 1000 // nodes of its tree
	maxNesting    = 64
	maxSQLTerms   = 4 * maxTerms // terms of the SQL that it becomes, where some operands are repeated
)

// RowVariable is the name under which a condition reaches columns whose names are no identifiers: row["capital gain"].
const RowVariable = "row"

// A condition is a Condition that was parsed and checked by CEL and cut to the subset that a table and a payload share.
type condition struct {
	root      *term
	violation FieldViolation
}

// A term is one node of a condition. Its value is unknown when an operand is missing, when integers overflow or are divided by
// zero, and when an operation on numbers gives NaN. CEL reports an error there; both are absorbed by && and || in the same way.
type term struct {
	op      string // an operator or function of CEL, or one of those below
	kind    termKind
	args    []*term
	column  int
	days    bool // the column holds dates, as days
	literal val
	re      *regexp.Regexp
}

const (
	opColumn  = "column"
	opLiteral = "literal"
)

type termKind uint8

const (
	termNull termKind = iota
	termBool
	termInt
	termFloat
	termText
	termTime
	termOpaque // a column that can only be asked whether it has a value
)

func (k termKind) String() string {
	return [...]string{"null", "bool", "int", "double", "string", "timestamp", "a column that conditions cannot read"}[k]
}

func (k termKind) numeric() bool { return k == termInt || k == termFloat }

// compileConditions compiles every condition, and reports every one that cannot be.
func (s *Schema) compileConditions() ([]condition, error) {
	if len(s.Conditions) == 0 {
		return nil, nil
	}
	env, err := s.environment()
	if err != nil {
		return nil, err
	}
	var out []condition
	var bad assay.Problems
	for i := range s.Conditions {
		c := &s.Conditions[i]
		root, err := s.compileCondition(env, c.Expression)
		if err != nil {
			bad.Add("condition %q: %s", c.Name, err)
			continue
		}
		k := constraint{column: -1, rule: RuleCondition, name: c.Name, detail: "must hold: " + c.Expression, terms: c.Terms}
		out = append(out, condition{root: root, violation: k.violation()})
	}
	return out, bad.Err(assay.Invalid, "the conditions")
}

// environment declares every column whose name is an identifier, and the row.
func (s *Schema) environment() (*cel.Env, error) {
	options := []cel.EnvOption{
		cel.CrossTypeNumericComparisons(true),
		cel.ParserExpressionSizeLimit(maxExpression),
		cel.ParserRecursionLimit(maxNesting),
		cel.Variable(RowVariable, cel.MapType(cel.StringType, cel.DynType)),
	}
	for i := range s.Columns {
		c := &s.Columns[i]
		if !Identifier(c.Name) {
			continue
		}
		t := cel.DynType
		switch kindOf(c.Type) {
		case termBool:
			t = cel.NullableType(cel.BoolType)
		case termInt:
			t = cel.NullableType(cel.IntType)
		case termFloat:
			t = cel.NullableType(cel.DoubleType)
		case termText:
			t = cel.NullableType(cel.StringType)
		case termTime:
			t = cel.NullableType(cel.TimestampType)
		}
		options = append(options, cel.Variable(c.Name, t))
	}
	env, err := cel.NewEnv(options...)
	if err != nil {
		return nil, assay.Errorf(assay.Internal, "no environment for conditions: %w", err)
	}
	return env, nil
}

// kindOf says how a condition sees a column.
func kindOf(t assay.Type) termKind {
	switch t {
	case assay.TypeBoolean:
		return termBool
	case assay.TypeInteger:
		return termInt
	case assay.TypeNumber:
		return termFloat
	case assay.TypeString:
		return termText
	case assay.TypeDate, assay.TypeTimestamp:
		return termTime
	}
	return termOpaque
}

// Identifier reports whether a column can be named in CEL as it is; where not, it is row["name"].
func Identifier(name string) bool {
	for i, c := range name {
		if !(c == '_' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || i > 0 && c >= '0' && c <= '9') {
			return false
		}
	}
	reserved := "true false null in as break const continue else for function if import let loop package namespace return var void while" +
		" bool int uint double string bytes list map type dyn null_type google has size row duration timestamp"
	return name != "" && !contains(strings.Fields(reserved), name)
}

func (s *Schema) compileCondition(env *cel.Env, source string) (*term, error) {
	if len(source) > maxExpression {
		return nil, assay.Errorf(assay.Invalid, "%d bytes, more than the %d that are allowed", len(source), maxExpression)
	}
	checked, issues := env.Compile(source)
	if issues.Err() != nil {
		var say []string
		for _, e := range issues.Errors() {
			m := manifest.ExpressionFault(source, e)
			if rest, ok := strings.CutPrefix(e.Message, "undeclared reference to '"); ok {
				name, _, _ := strings.Cut(rest, "'")
				m = "there is no column " + strconv.Quote(name) + did(nearest(name, s.names()))
			}
			say = append(say, m)
		}
		return nil, assay.Errorf(assay.Invalid, "%s", strings.Join(say, "; "))
	}
	b := &builder{schema: s}
	root, err := b.term(checked.NativeRep().Expr())
	if err != nil {
		return nil, err
	}
	if root.kind != termBool {
		return nil, assay.Errorf(assay.Invalid, "the expression is %s, want bool", root.kind)
	}
	if root.weight() > maxSQLTerms {
		return nil, refuse("the expression becomes more than %d terms of SQL; compare columns, not results of comparisons", maxSQLTerms)
	}
	return root, nil
}

// A builder turns the checked tree of CEL into terms, and refuses what a table and a payload could not both do.
type builder struct {
	schema *Schema
	terms  int
}

func refuse(format string, args ...any) error {
	return assay.Errorf(assay.Invalid, format, args...)
}

func (b *builder) term(e ast.Expr) (*term, error) {
	if b.terms++; b.terms > maxTerms {
		return nil, refuse("the expression has more than %d terms", maxTerms)
	}
	switch e.Kind() {
	case ast.LiteralKind:
		return b.literal(e)
	case ast.IdentKind:
		if e.AsIdent() == RowVariable {
			return nil, refuse("the row as a whole; name a column of it")
		}
		return b.column(e.AsIdent())
	case ast.SelectKind:
		sel := e.AsSelect()
		if o := sel.Operand(); o.Kind() != ast.IdentKind || o.AsIdent() != RowVariable {
			return nil, refuse("a field of something else than %s is not supported", RowVariable)
		}
		c, err := b.column(sel.FieldName())
		if err != nil || !sel.IsTestOnly() {
			return c, err
		}
		return &term{op: operators.NotEquals, kind: termBool, args: []*term{c, {op: opLiteral, literal: val{kind: valNull}}}}, nil
	case ast.CallKind:
		return b.call(e.AsCall())
	case ast.ComprehensionKind:
		return nil, refuse("macros that loop (all, exists, exists_one, map, filter) are not supported")
	case ast.MapKind:
		return nil, refuse("maps are not supported")
	case ast.ListKind:
		return nil, refuse("a list is supported to the right of in only")
	case ast.StructKind:
		return nil, refuse("messages are not supported")
	}
	return nil, refuse("an unknown construct")
}

func (b *builder) column(name string) (*term, error) {
	for i := range b.schema.Columns {
		if c := &b.schema.Columns[i]; c.Name == name {
			return &term{op: opColumn, kind: kindOf(c.Type), column: i, days: c.Type == assay.TypeDate}, nil
		}
	}
	return nil, refuse("there is no column %q%s", name, did(nearest(name, b.schema.names())))
}

func (b *builder) literal(e ast.Expr) (*term, error) {
	t := &term{op: opLiteral}
	switch v := e.AsLiteral().(type) {
	case types.Null:
		t.literal.kind = valNull
	case types.Bool:
		t.kind, t.literal.kind = termBool, valBool
		if v {
			t.literal.i = 1
		}
	case types.Int:
		t.kind, t.literal = termInt, val{kind: valInt, i: int64(v)}
	case types.Double:
		t.kind, t.literal = termFloat, val{kind: valFloat, f: float64(v)}
	case types.String:
		t.kind, t.literal = termText, val{kind: valText, s: []byte(v)}
	default:
		return nil, refuse("a literal of type %s is not supported", e.AsLiteral().Type().TypeName())
	}
	return t, nil
}

func (b *builder) call(c ast.CallExpr) (*term, error) {
	name, list := c.FunctionName(), c.Args()
	if name == operators.Index {
		if o, k := list[0], list[1]; o.Kind() == ast.IdentKind && o.AsIdent() == RowVariable && k.Kind() == ast.LiteralKind {
			if s, ok := k.AsLiteral().(types.String); ok {
				return b.column(string(s))
			}
		}
		return nil, refuse("an index is supported as %s[\"column\"] only", RowVariable)
	}
	if c.IsMemberFunction() {
		list = append([]ast.Expr{c.Target()}, list...)
	}
	if name == "timestamp" {
		return b.instant(list)
	}
	t := &term{op: name}
	for i, a := range list {
		if name == operators.In && i == 1 && a.Kind() == ast.ListKind {
			for _, m := range a.AsList().Elements() {
				arg, err := b.term(m)
				if err != nil {
					return nil, err
				}
				if arg.op != opLiteral || arg.kind == termNull {
					return nil, refuse("the list after in holds something else than literals")
				}
				t.args = append(t.args, arg)
			}
			continue
		}
		arg, err := b.term(a)
		if err != nil {
			return nil, err
		}
		t.args = append(t.args, arg)
	}
	return t, b.typed(t)
}

// instant reads timestamp("2015-01-01T00:00:00Z").
func (b *builder) instant(list []ast.Expr) (*term, error) {
	if len(list) == 1 && list[0].Kind() == ast.LiteralKind {
		if s, ok := list[0].AsLiteral().(types.String); ok {
			us, ok := parseTimestamp([]byte(s))
			if !ok {
				return nil, refuse("timestamp(%q): want %s", string(s), time.RFC3339)
			}
			return &term{op: opLiteral, kind: termTime, literal: val{kind: valTime, i: us}}, nil
		}
	}
	return nil, refuse("timestamp of something else than a literal is not supported")
}

// typed sets the kind of t, and refuses operations outside the subset. CEL has checked what is typed there, but not row["…"].
func (b *builder) typed(t *term) error {
	kinds := make([]termKind, len(t.args))
	for i, a := range t.args {
		kinds[i] = a.kind
	}
	all := func(k termKind) bool {
		for _, x := range kinds {
			if x != k {
				return false
			}
		}
		return true
	}
	bad := func() error {
		var names []string
		for _, k := range kinds {
			names = append(names, k.String())
		}
		return refuse("%s does not apply to (%s)", spoken(t.op), strings.Join(names, ", "))
	}
	switch t.op {
	case operators.LogicalAnd, operators.LogicalOr, operators.LogicalNot:
		t.kind = termBool
		if !all(termBool) {
			return bad()
		}
	case operators.Equals, operators.NotEquals:
		t.kind = termBool
		x, y := kinds[0], kinds[1]
		if x != y && x != termNull && y != termNull && !(x.numeric() && y.numeric()) || x == y && x == termOpaque {
			return bad()
		}
		return b.sure(t)
	case operators.In:
		t.kind = termBool
		for _, k := range kinds[1:] {
			if k != kinds[0] && !(k.numeric() && kinds[0].numeric()) || k == termOpaque {
				return bad()
			}
		}
		if len(kinds) == 1 {
			return refuse("in needs a list of literals that is not empty")
		}
		for _, a := range t.args[1:] {
			if a.op != opLiteral {
				return refuse("in needs a list of literals")
			}
		}
		return b.sure(t)
	case operators.Less, operators.LessEquals, operators.Greater, operators.GreaterEquals:
		t.kind = termBool
		if !(kinds[0].numeric() && kinds[1].numeric() || all(termText) || all(termTime)) {
			return bad()
		}
	case operators.Add, operators.Subtract, operators.Multiply, operators.Divide, operators.Modulo, operators.Negate:
		t.kind = kinds[0]
		if !(all(termInt) || all(termFloat) && t.op != operators.Modulo) {
			return bad()
		}
	case operators.Conditional:
		t.kind = kinds[1]
		if kinds[0] != termBool || kinds[1] != kinds[2] || kinds[1] == termNull || kinds[1] == termOpaque {
			return bad()
		}
	case "double":
		t.kind = termFloat
		if !all(termInt) && !all(termFloat) {
			return bad()
		}
	case "size":
		t.kind = termInt
		if !all(termText) {
			return bad()
		}
	case "startsWith", "endsWith", "contains", "matches":
		t.kind = termBool
		if !all(termText) {
			return bad()
		}
		if t.op == "matches" {
			if t.args[1].op != opLiteral {
				return refuse("matches needs a literal pattern")
			}
			re, err := compilePattern(string(t.args[1].literal.s))
			if err != nil {
				return err
			}
			t.re = re
		}
	default:
		return refuse("%s is not supported", spoken(t.op))
	}
	return nil
}

// sure refuses to compare a conditional that may be a missing value: whether null or unknown came out could not be told in SQL.
func (b *builder) sure(t *term) error {
	for _, a := range t.args {
		if a.op == operators.Conditional && a.nullable() {
			return refuse("%s of a conditional whose result is a column; compare inside its branches", spoken(t.op))
		}
	}
	return nil
}

// weight counts the terms of the SQL for t, up to a little more than maxSQLTerms.
func (t *term) weight() int {
	n := 1
	for _, a := range t.args {
		n += a.weight()
	}
	switch t.op {
	case operators.Equals, operators.NotEquals, operators.Modulo: // equals and sql may write their operands twice
		n *= 2
	}
	return min(n, maxSQLTerms+1)
}

// nullable reports whether the value of t may be null, rather than unknown.
func (t *term) nullable() bool {
	switch t.op {
	case opColumn:
		return true
	case opLiteral:
		return t.literal.kind == valNull
	case operators.Conditional:
		return t.args[1].nullable() || t.args[2].nullable()
	}
	return false
}

// spoken writes an operator as people do.
func spoken(op string) string {
	switch op {
	case operators.Conditional:
		return "?:"
	case operators.In:
		return "in"
	}
	return strings.Trim(op, "_")
}
