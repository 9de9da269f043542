package run

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/assay-ml/assay"
)

func gitIn(t testing.TB, dir string, args ...string) string {
	t.Helper()
	cmd := exec.Command("git", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a@example.org", "GIT_COMMITTER_NAME=a", "GIT_COMMITTER_EMAIL=a@example.org")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("git %q: %v\n%s", args, err, out)
	}
	return strings.TrimSpace(string(out))
}

func sourceOf(t *testing.T, dir string, skip ...string) (assay.Source, string) {
	t.Helper()
	m := &memory{}
	src, incomplete, err := readSource(t.Context(), dir, skip, m)
	if err != nil {
		t.Fatal(err)
	}
	if incomplete {
		t.Error("the source was not read completely")
	}
	return src, string(m.bytes[src.Dirty])
}

func TestTheDifferenceFromTheCommitIsListed(t *testing.T) {
	if _, err := exec.LookPath("git"); err != nil {
		t.Skip("no git to make a work tree with")
	}
	dir := t.TempDir()
	gitIn(t, dir, "init", "-q")
	write(t, dir, "sub/train.py", "one\n")
	write(t, dir, "data.csv", "x\n")
	write(t, dir, "gone.py", "x\n")
	write(t, dir, ".gitignore", "ignored.py\nbuild/\n!keep/\n")
	write(t, dir, "sub/.gitignore", "local_*.py\n")
	if src, lines := sourceOf(t, dir); src.Commit != "" || !strings.Contains(lines, "? "+string(assay.DigestOf([]byte("one\n")))+" sub/train.py\n") {
		t.Errorf("before the first commit: %+v\n%s", src, lines)
	}
	gitIn(t, dir, "add", ".")
	gitIn(t, dir, "commit", "-qm", "first")
	commit := gitIn(t, dir, "rev-parse", "HEAD")
	if src, lines := sourceOf(t, filepath.Join(dir, "sub")); src.Commit != commit || src.Dirty != "" {
		t.Errorf("a clean tree: %+v\n%s", src, lines)
	}
	for _, name := range []string{"ignored.py", "build/x.py", "sub/local_1.py", ".assay/x.py", "__pycache__/x.py", "out/o.py", "model.bin", "env/pyvenv.cfg", "env/lib/x.py"} {
		write(t, dir, name, "noise\n")
	}
	if src, lines := sourceOf(t, dir, filepath.Join(dir, "out")); src.Dirty != "" {
		t.Errorf("only ignored files, made files and outputs: %+v\n%s", src, lines)
	}
	write(t, dir, "sub/train.py", "two\n") // same size as before
	write(t, dir, "new.py", "new\n")
	write(t, dir, "staged.csv", "s\n")
	gitIn(t, dir, "add", "staged.csv")
	if err := os.Remove(filepath.Join(dir, "gone.py")); err != nil {
		t.Fatal(err)
	}
	src, lines := sourceOf(t, dir, filepath.Join(dir, "out"))
	want := fmt.Sprintf("D gone.py\n? %s new.py\nM %s staged.csv\nM %s sub/train.py\n",
		assay.DigestOf([]byte("new\n")), assay.DigestOf([]byte("s\n")), assay.DigestOf([]byte("two\n")))
	if src.Commit != commit || lines != want || src.Dirty != assay.DigestOf([]byte(want)) {
		t.Errorf("got\n%s, want\n%s", lines, want)
	}
	if status := gitIn(t, dir, "status", "--porcelain"); !strings.Contains(status, "D gone.py") {
		t.Errorf("git sees another tree:\n%s", status)
	}
	gitIn(t, dir, "add", "-A", "--", "sub", "gone.py")
	gitIn(t, dir, "rm", "-q", "--cached", "data.csv")
	if _, lines := sourceOf(t, dir, filepath.Join(dir, "out")); !strings.Contains(lines, "D gone.py\n") || !strings.Contains(lines, " sub/train.py\n") || !strings.Contains(lines, "D data.csv\n") {
		t.Errorf("staged changes: got\n%s", lines)
	}
}

func TestSourceOutsideGitIsListed(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "a.py", "a")
	write(t, dir, "b.csv", "b")
	src, lines := sourceOf(t, dir)
	if want := "? " + string(assay.DigestOf([]byte("a"))) + " a.py\n"; src.Commit != "" || lines != want {
		t.Errorf("got %+v\n%s, want\n%s", src, lines, want)
	}
	if src, _ := sourceOf(t, t.TempDir()); src != (assay.Source{}) {
		t.Errorf("an empty directory: %+v", src)
	}
}

// BenchmarkSource reads a work tree of 20,000 tracked files, with git's own status for comparison.
func BenchmarkSource(b *testing.B) {
	dir := b.TempDir()
	gitIn(b, dir, "init", "-q")
	for i := range 20000 {
		p := filepath.Join(dir, fmt.Sprintf("d%d/e%d", i%200, i%7), fmt.Sprintf("f%d.py", i))
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			b.Fatal(err)
		}
		if err := os.WriteFile(p, fmt.Appendf(nil, "x = %d\n", i), 0o644); err != nil {
			b.Fatal(err)
		}
	}
	gitIn(b, dir, "add", ".")
	gitIn(b, dir, "commit", "-qm", "first")
	gitIn(b, dir, "status", "--porcelain")
	b.Run("assay", func(b *testing.B) {
		for b.Loop() {
			if src, _, err := readSource(b.Context(), dir, nil, &memory{}); err != nil || src.Dirty != "" {
				b.Fatal(src, err)
			}
		}
	})
	b.Run("git", func(b *testing.B) {
		for b.Loop() {
			gitIn(b, dir, "status", "--porcelain")
		}
	})
}
