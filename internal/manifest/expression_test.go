package manifest_test

import (
	"strings"
	"testing"

	"cel.dev/cel-go/cel"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/manifest"
)

func expressionEnvironment(t testing.TB) *cel.Env {
	t.Helper()
	env, err := cel.NewEnv(append(manifest.ExpressionLimits(), cel.Variable("tp", cel.DoubleType), cel.Variable("n", cel.DoubleType))...)
	if err != nil {
		t.Fatal(err)
	}
	return env
}

func TestExpressionFaults(t *testing.T) {
	env := expressionEnvironment(t)
	for _, c := range []struct{ source, want string }{
		{"tp / n", ""},
		{" ", "the expression is empty"},
		{"1.0 * (tp +", "syntax error at character 12: it ends too early"},
		{"tp + n)", "syntax error at character 7: unexpected )"},
		{"tp +* 2.0", "syntax error at character 5: unexpected *"},
		{"tp + 2.0 @", "syntax error at character 10: unexpected @"},
		{"tp 2.0", "syntax error at character 4: unexpected 2.0"},
		{"(tp", "syntax error at character 4: missing ')' at its end"},
		{"tpp * 1.0", `there is no "tpp" at character 1 (did you mean 'tp'?)`},
		{"sqrt(tp)", `there is no "sqrt" at character 5`},
		{"5 * tp", "* at character 3 does not take (int, double)"},
		{"!tp", "! at character 1 does not take (double)"},
		{"n\n  + 1", "+ at character 3 of line 2 does not take (double, int)"},
		{"xx + yy", `there is no "xx" at character 1; there is no "yy" at character 6`},
		{strings.Repeat(" ", manifest.MaxExpression) + "n", "the expression is 8,193 bytes long, more than the 8,192 that are allowed"},
		{strings.Repeat("(", 100) + "n" + strings.Repeat(")", 100), "expression recursion limit exceeded: 64"},
	} {
		_, err := manifest.Compile(env, c.source)
		if c.want == "" && err != nil || c.want != "" && (err == nil || err.Error() != c.want || assay.CodeOf(err) != assay.Invalid) {
			t.Errorf("%.40q: %v, want %s", c.source, err, c.want)
		}
	}
}

// FuzzExpression holds that any text is answered: compiled, or refused on one line that says something.
func FuzzExpression(f *testing.F) {
	for _, s := range []string{"tp / n", "(", "a.b[", "'x", "!_", "tp @in n", "1 in [", "b'\\x", "{", "tp\n+", "?:", "\xff"} {
		f.Add(s)
	}
	env := expressionEnvironment(f)
	f.Fuzz(func(t *testing.T, s string) {
		_, err := manifest.Compile(env, s)
		if err != nil && (strings.TrimSpace(err.Error()) == "" || strings.ContainsRune(err.Error(), '\n') || assay.CodeOf(err) != assay.Invalid) {
			t.Errorf("%q: %v", s, err)
		}
	})
}
