package assay_test

import (
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// TestDependencies holds the third-party modules in the binary against deps.txt, so that growth shows in review.
func TestDependencies(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", "-f", "{{with .Module}}{{.Path}}{{end}}", "./cmd/assay").Output()
	if err != nil {
		t.Fatal(err)
	}
	var modules []string
	for _, m := range strings.Fields(string(out)) {
		if m != module {
			modules = append(modules, m)
		}
	}
	slices.Sort(modules)
	modules = slices.Compact(modules)
	want, err := os.ReadFile("deps.txt")
	if err != nil {
		t.Fatal(err)
	}
	if have := strings.Join(modules, "\n") + "\n"; have != string(want) {
		t.Errorf("deps.txt differs from what the binary is built of; if that is meant, write\n%s", have)
	}
}
