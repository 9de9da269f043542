package manifest

import (
	"regexp"
	"strconv"
	"strings"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common"

	"github.com/assay-ml/assay"
)

// Limits of one expression that a person writes into a file; CEL's own cost limit bounds what it does when it runs.
const (
	MaxExpression        = 8192 // bytes of source
	maxExpressionNesting = 64
)

// ExpressionLimits bounds the parser of an environment in which expressions of files are compiled.
func ExpressionLimits() []cel.EnvOption {
	return []cel.EnvOption{cel.ParserExpressionSizeLimit(MaxExpression), cel.ParserRecursionLimit(maxExpressionNesting)}
}

// Compile parses and checks an expression. Its error names every fault on one line, each with the character at which it stands,
// counted from 1, and has code Invalid. It is safe for concurrent use.
func Compile(env *cel.Env, source string) (*cel.Ast, error) {
	if strings.TrimSpace(source) == "" {
		return nil, assay.Errorf(assay.Invalid, "the expression is empty")
	}
	if len(source) > MaxExpression {
		return nil, assay.Errorf(assay.Invalid, "the expression is %s bytes long, more than the %s that are allowed",
			assay.FormatCount(int64(len(source))), assay.FormatCount(MaxExpression))
	}
	tree, issues := env.Compile(source)
	if issues.Err() == nil {
		return tree, nil
	}
	var say []string
	for _, e := range issues.Errors() {
		say = append(say, ExpressionFault(source, e))
	}
	return nil, assay.Errorf(assay.Invalid, "%s", strings.Join(say, "; "))
}

// ExpressionFault says what CEL found wrong in a source: without the list of all tokens that it would have taken instead, and without
// the names that operators have inside CEL.
func ExpressionFault(source string, e *common.Error) string {
	m := strings.Join(strings.Fields(e.Message), " ")
	at := place(source, e)
	if syntax, ok := strings.CutPrefix(m, "Syntax error: "); ok {
		if say, known := syntaxFault(syntax); known {
			return "syntax error" + at + ": " + say
		}
		return "syntax error" + at + ": " + syntax
	}
	if rest, ok := strings.CutPrefix(m, "undeclared reference to '"); ok {
		name, rest, _ := strings.Cut(rest, "'")
		_, did, _ := strings.Cut(rest, "(did you mean ")
		if did != "" {
			did = " (did you mean " + did
		}
		return "there is no " + strconv.Quote(name) + at + did
	}
	if rest, ok := strings.CutPrefix(m, "found no matching overload for '"); ok {
		name, args, _ := strings.Cut(rest, "' applied to '")
		args, _, _ = strings.Cut(args, "'")
		return operator(name) + at + " does not take " + nullable.ReplaceAllString(args, "$1")
	}
	return m + at
}

// nullable is how CEL writes the type of a number, text or bool that may be missing.
var nullable = regexp.MustCompile(`wrapper\((\w+)\)`)

// operator is an operator as it is written; a function keeps its name.
func operator(name string) string {
	if strings.HasPrefix(name, "_") || strings.HasSuffix(name, "_") {
		return strings.ReplaceAll(name, "_", "")
	}
	return strings.TrimPrefix(name, "@")
}

// syntaxFault says what the parser met; known is whether its message was understood.
func syntaxFault(m string) (say string, known bool) {
	met := func(token string) (string, bool) {
		if token == "<EOF>" || token == "" {
			return "it ends too early", true
		}
		return "unexpected " + token, true
	}
	if rest, ok := strings.CutPrefix(m, "token recognition error at: '"); ok {
		return met(strings.TrimSuffix(rest, "'"))
	}
	for _, p := range []string{"mismatched input '", "extraneous input '"} {
		if rest, ok := strings.CutPrefix(m, p); ok {
			token, _, _ := strings.Cut(rest, "' expecting ")
			return met(token)
		}
	}
	if rest, ok := strings.CutPrefix(m, "no viable alternative at input '"); ok {
		return met(strings.TrimSuffix(strings.TrimSuffix(rest, "'"), "<EOF>"))
	}
	if rest, ok := strings.CutPrefix(m, "missing "); ok {
		token, at, found := strings.Cut(rest, " at '")
		if !found {
			return "", false
		}
		if at == "<EOF>'" {
			return "missing " + token + " at its end", true
		}
		return "missing " + token + " before " + strings.TrimSuffix(at, "'"), true
	}
	return "", false
}

// place says where a fault is: its character, and its line when the source has more than one.
func place(source string, e *common.Error) string {
	line, column := e.Location.Line(), e.Location.Column()
	if line < 1 || column < 0 {
		return ""
	}
	at := " at character " + strconv.Itoa(column+1)
	if strings.Contains(strings.TrimSpace(source), "\n") {
		at += " of line " + strconv.Itoa(line)
	}
	return at
}
