package cli

import (
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/assay-ml/assay"
)

// FuzzParseProject: any text is a project or an error with the code invalid; a project keeps its bounds.
func FuzzParseProject(f *testing.F) {
	src, err := os.ReadFile(filepath.Join("testdata", "people", ProjectFile))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(src)
	for _, s := range []string{"", "a: b: c", "project: x\nproject: y", "data: {key: [a, b]}", "- x", "project: &a x\nstore: *a", "split: {seed: -1}", "{}", "? [a]\n: b", "serve: {a: {b: 1}}", "---\n---\n", "!!binary x", "<<: 1", "1: 2", "data: {target: {positive: 2026-01-01}}"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, src []byte) {
		p, err := ParseProject(src)
		if err != nil {
			if c := assay.CodeOf(err); c != assay.Invalid {
				t.Errorf("code %s: %v", c, err)
			}
			if strings.Contains(err.Error(), "interface {}") || strings.Contains(err.Error(), "Go struct") {
				t.Errorf("an error in the words of Go: %v", err)
			}
			return
		}
		if p.Name == "" || p.Data.URI == "" || !(p.Split.Validation > 0 && p.Split.Validation+p.Split.Test < 1) || math.IsNaN(p.Evaluate.Level) {
			t.Errorf("a project out of bounds: %+v", p)
		}
	})
}

// TestCompletion: the shells complete commands, stages and flags.
func TestCompletion(t *testing.T) {
	for _, shell := range []string{"bash", "zsh", "fish", "powershell"} {
		stdout, stderr, exit := command(&stageManager{}, t.TempDir(), "completion", shell)
		if exit != 0 || stderr != "" || !strings.Contains(stdout, "assay") {
			t.Errorf("completion %s: exit status %d, %s", shell, exit, stderr)
		}
	}
	for args, want := range map[string]string{"make ": "snapshot", "ev": "evidence", "promote --to ": "staging", "eval --fi": "--final"} {
		words := append([]string{"__complete"}, strings.Split(args, " ")...)
		if stdout, _, exit := command(&stageManager{}, t.TempDir(), words...); exit != 0 || !strings.Contains(stdout, want) {
			t.Errorf("%q is not completed to %s: %s", args, want, stdout)
		}
	}
}
