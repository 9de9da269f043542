package assay_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/assay-ml/assay"

// block returns the lines of the fenced block of that name in ARCHITECTURE.md.
func block(t *testing.T, name string) []string {
	t.Helper()
	doc, err := os.ReadFile("ARCHITECTURE.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, ok := strings.Cut(string(doc), "```"+name+"\n")
	body, _, closed := strings.Cut(rest, "\n```")
	if !ok || !closed {
		t.Fatalf("ARCHITECTURE.md has no closed block %q", name)
	}
	return strings.Split(body, "\n")
}

type source struct {
	dir, file string
	test      bool
	ast       *ast.File
}

// sources parses every Go file of the module that is built, tests included.
func sources(t *testing.T, fset *token.FileSet) []source {
	t.Helper()
	var out []source
	err := filepath.WalkDir(".", func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		base := d.Name()
		if d.IsDir() {
			if p != "." && (base == "testdata" || base == "tools" || strings.HasPrefix(base, ".")) {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(base, ".go") {
			return nil
		}
		f, err := parser.ParseFile(fset, p, nil, parser.SkipObjectResolution|parser.ParseComments)
		if err != nil {
			return err
		}
		out = append(out, source{filepath.ToSlash(filepath.Dir(p)), p, strings.HasSuffix(base, "_test.go"), f})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// TestFloors holds every import against the floors block: strictly downwards, tests of a package included, but that a test in an
// external package may also import its own package and what the package under test may import.
func TestFloors(t *testing.T) {
	floor := map[string]int{}
	for i, line := range block(t, "floors") {
		for _, p := range strings.Fields(line) {
			floor[p] = i
		}
	}
	seen := map[string]bool{}
	for _, s := range sources(t, token.NewFileSet()) {
		mine, ok := floor[s.dir]
		if !ok {
			t.Errorf("%s: package %s stands on no floor of ARCHITECTURE.md", s.file, s.dir)
			continue
		}
		seen[s.dir] = true
		for _, imp := range s.ast.Imports {
			p, _ := strconv.Unquote(imp.Path.Value)
			var dep string
			switch {
			case p == module:
				dep = "."
			case strings.HasPrefix(p, module+"/"):
				dep = strings.TrimPrefix(p, module+"/")
			default:
				if s.dir == "." && !s.test && strings.Contains(strings.SplitN(p, "/", 2)[0], ".") {
					t.Errorf("%s imports %s: the root package uses the standard library only", s.file, p)
				}
				continue
			}
			if dep == s.dir && s.test {
				continue
			}
			if theirs, ok := floor[dep]; !ok {
				t.Errorf("%s imports %s, which stands on no floor", s.file, dep)
			} else if theirs <= mine {
				t.Errorf("%s imports %s: only floors below its own are allowed", s.file, dep)
			}
			if dep == "internal/assaytest" && !s.test {
				t.Errorf("%s imports internal/assaytest outside a test", s.file)
			}
		}
	}
	for p := range floor {
		if !seen[p] {
			t.Logf("floor %s holds no package yet", p)
		}
	}
}

// TestOnly holds imports and a few calls against the only block, and forbids init, unmarked panics and package-level randomness.
func TestOnly(t *testing.T) {
	type rule struct {
		what    string
		allowed map[string]bool
	}
	var imports, calls []rule
	for _, line := range block(t, "only") {
		what, who, ok := strings.Cut(line, ":")
		if !ok {
			t.Fatalf("only: line %q has no colon", line)
		}
		r := rule{what, map[string]bool{}}
		for _, p := range strings.Fields(who) {
			r.allowed[p] = true
		}
		if i := strings.LastIndex(what, "."); i >= 0 && !strings.Contains(what, "/") {
			calls = append(calls, r)
		} else {
			imports = append(imports, r)
		}
	}
	fset := token.NewFileSet()
	for _, s := range sources(t, fset) {
		if s.test {
			continue
		}
		for _, imp := range s.ast.Imports {
			p, _ := strconv.Unquote(imp.Path.Value)
			for _, r := range imports {
				match := p == r.what || strings.HasSuffix(r.what, "/") && strings.HasPrefix(p, r.what) || strings.HasPrefix(p, r.what+"/") && path.Base(r.what) != "rand"
				if match && !r.allowed[s.dir] {
					t.Errorf("%s imports %s, which is for %v only", s.file, p, keys(r.allowed))
				}
			}
		}
		ast.Inspect(s.ast, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.FuncDecl:
				if n.Recv == nil && n.Name.Name == "init" && !ast.IsGenerated(s.ast) {
					t.Errorf("%s: init functions are used nowhere", fset.Position(n.Pos()))
				}
			case *ast.SelectorExpr:
				x, ok := n.X.(*ast.Ident)
				if !ok {
					break
				}
				for _, r := range calls {
					if x.Name+"."+n.Sel.Name == r.what && !r.allowed[s.dir] {
						t.Errorf("%s uses %s, which is for %v only", fset.Position(n.Pos()), r.what, keys(r.allowed))
					}
				}
			case *ast.CallExpr:
				if id, ok := n.Fun.(*ast.Ident); ok && id.Name == "panic" && !strings.Contains(text(n.Args), "BUG:") {
					t.Errorf("%s: a panic is for bugs and its message starts with BUG:", fset.Position(n.Pos()))
				}
			}
			return true
		})
	}
}

// text gathers the string literals below the expressions.
func text(args []ast.Expr) string {
	var b strings.Builder
	for _, a := range args {
		ast.Inspect(a, func(n ast.Node) bool {
			if lit, ok := n.(*ast.BasicLit); ok && lit.Kind == token.STRING {
				b.WriteString(lit.Value)
			}
			return true
		})
	}
	return b.String()
}

func keys(m map[string]bool) []string {
	out := []string{}
	for k := range m {
		out = append(out, k)
	}
	return out
}
