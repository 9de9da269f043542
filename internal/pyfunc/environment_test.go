package pyfunc

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/assay-ml/assay"
)

func TestEnvironment(t *testing.T) {
	python(t)
	dir := t.TempDir()
	if _, err := Environment(context.Background(), dir, "2.1", "", t.Logf); assay.CodeOf(err) != assay.Unavailable || !strings.Contains(err.Error(), "no Python 2.1") {
		t.Error(err)
	}
	if os.Getenv("ASSAY_TEST_FULL") == "" {
		t.Skip("ASSAY_TEST_FULL makes virtual environments")
	}
	requirements := "--no-index\n" // nothing is asked of a network
	said := 0
	say := func(string, ...any) { said++ }
	first, err := Environment(context.Background(), dir, "", requirements, say)
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(first, "-c", "import sys; print(sys.prefix != sys.base_prefix)").Output()
	if err != nil || strings.TrimSpace(string(out)) != "True" {
		t.Errorf("%s %v", out, err)
	}
	if again, err := Environment(context.Background(), dir, "", requirements, say); err != nil || again != first || said != 1 {
		t.Error(again, err, said)
	}
	// What was interrupted is made again.
	if err := os.Remove(filepath.Join(filepath.Dir(filepath.Dir(first)), readyFile)); err != nil {
		t.Fatal(err)
	}
	if again, err := Environment(context.Background(), dir, "", requirements, say); err != nil || again != first || said != 2 {
		t.Error(again, err, said)
	}
	_, err = Environment(context.Background(), dir, "", "--no-index\nassay-no-such-package==1.0\n", say)
	if assay.CodeOf(err) != assay.Unavailable || !strings.Contains(err.Error(), "assay-no-such-package") {
		t.Error(err)
	}
	left, err := filepath.Glob(filepath.Join(dir, "*", "bin"))
	if err != nil || len(left) != 1 {
		t.Errorf("%v: what could not be made is still there", left)
	}
}
