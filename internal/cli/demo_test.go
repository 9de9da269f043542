package cli_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/assay-ml/assay/internal/cli"
)

// TestDemoAsJSON does the whole demo: one document on the standard output, nothing beside it, and the exit status that each step had.
func TestDemoAsJSON(t *testing.T) {
	if os.Getenv("ASSAY_TEST_FULL") != "1" {
		t.Skip("set ASSAY_TEST_FULL=1")
	}
	dir := t.TempDir()
	var out, errs strings.Builder
	status := cli.Main(t.Context(), []string{"demo", "--json"}, cli.World{Dir: dir, Stdin: strings.NewReader(""), Stdout: &out, Stderr: &errs, Env: os.Getenv, Now: time.Now})
	if status != 0 || errs.String() != "" {
		t.Fatalf("exit status %d, beside the document: %q", status, errs.String())
	}
	var got struct {
		Schema, Folder string
		Steps          []struct {
			Command, Why string
			Exit         int
		}
	}
	dec := json.NewDecoder(strings.NewReader(out.String()))
	if err := dec.Decode(&got); err != nil || dec.More() {
		t.Fatalf("not one JSON document: %v\n%.400s", err, out.String())
	}
	if got.Schema != "assay.demo/1" || got.Folder != "assay-demo" || len(got.Steps) < 20 {
		t.Fatalf("schema %s, folder %s, %d steps", got.Schema, got.Folder, len(got.Steps))
	}
	refused, canary, back := 0, 0, 0
	for _, s := range got.Steps {
		switch {
		case strings.HasPrefix(s.Command, "assay serve canary"):
			canary++
		case s.Command == "assay rollback --stage production" && s.Exit == 0:
			back++
		}
		if strings.HasPrefix(s.Command, "assay promote") && s.Exit == 3 {
			refused++
		}
	}
	if last := got.Steps[len(got.Steps)-1]; refused != 2 || last.Command != "assay fsck" || last.Exit != 0 {
		t.Errorf("%d promotions refused, the last step is %v", refused, last)
	}
	if canary != 1 || back != 1 {
		t.Errorf("%d canaries and %d roll-backs, want one of each", canary, back)
	}
	// The server's own end of the story is evidence.
	out.Reset()
	status = cli.Main(t.Context(), []string{"--json", "evidence", "list", "--kind", "rollout"}, cli.World{Dir: filepath.Join(dir, "assay-demo"), Stdin: strings.NewReader(""), Stdout: &out, Stderr: &errs, Env: os.Getenv, Now: time.Now})
	if status != 0 || strings.Count(out.String(), `"aborted"`) != 1 {
		t.Errorf("evidence of the canary: status %d\n%s", status, out.String())
	}
	for _, f := range []string{"profile.html", "schema.json", filepath.Join(".assay", "reports")} {
		if _, err := os.Stat(filepath.Join(dir, "assay-demo", f)); err != nil {
			t.Error(err)
		}
	}
}
