package cli

import (
	"bytes"
	"context"
	"flag"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/assaytest"
)

// A stage manager holds what the commands of one script share: the clock goes on from command to command.
type stageManager struct {
	clock func() time.Time
}

// world is one in which everything is the same on every machine and at any time.
func (m *stageManager) world(dir string, env func(string) string, stdin io.Reader, stdout, stderr io.Writer) World {
	return World{
		Dir: dir, Stdin: stdin, Stdout: stdout, Stderr: stderr, Env: env, Now: m.clock, Host: "test",
		Machine: &assay.Environment{Platform: "test/test", CPU: "test", Threads: 2},
	}
}

// TestScript runs testdata/script/*.txtar. A script has these commands beside those of testscript:
//
//	assay ARGS [<FILE]             runs a command line, which must exit 0
//	status N assay ARGS [<FILE]    runs a command line, which must exit N
//	project NAME                   copies testdata/NAME, a data set with its assay.yaml, into the working directory
//
// $ORACLE is the folder of the oracle tables. With -update, differing files of a script's cmp are written anew.
func TestScript(t *testing.T) {
	testdata, err := filepath.Abs("testdata")
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		UpdateScripts:       updating(),
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(e *testscript.Env) error {
			e.Values["manager"] = &stageManager{clock: assaytest.Clock()}
			e.Setenv("ORACLE", filepath.Join(assaytest.Root(), "testdata", "oracle"))
			e.Setenv("TESTDATA", testdata)
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"assay": func(ts *testscript.TestScript, neg bool, args []string) {
				if neg {
					ts.Fatalf("say which exit status: status N assay …")
				}
				status(ts, 0, args)
			},
			"status": func(ts *testscript.TestScript, neg bool, args []string) {
				if neg || len(args) < 2 || args[1] != "assay" {
					ts.Fatalf("usage: status N assay ARGS")
				}
				want, err := strconv.Atoi(args[0])
				ts.Check(err)
				status(ts, want, args[2:])
			},
			"project": func(ts *testscript.TestScript, _ bool, args []string) {
				if len(args) != 1 {
					ts.Fatalf("usage: project NAME")
				}
				ts.Check(copyFolder(filepath.Join(testdata, args[0]), ts.MkAbs(".")))
			},
		},
	})
}

// status runs one command line of a script.
func status(ts *testscript.TestScript, want int, args []string) {
	m := ts.Value("manager").(*stageManager)
	var in io.Reader = strings.NewReader("")
	if n := len(args); n > 0 && strings.HasPrefix(args[n-1], "<") {
		in = strings.NewReader(ts.ReadFile(args[n-1][1:]))
		args = args[:n-1]
	}
	w := m.world(ts.MkAbs("."), ts.Getenv, in, ts.Stdout(), ts.Stderr())
	if got := Main(context.Background(), args, w); got != want {
		ts.Fatalf("exit status %d, want %d", got, want)
	}
}

// command runs one command line in dir and returns what it wrote and its exit status.
func command(m *stageManager, dir string, args ...string) (stdout, stderr string, exit int) {
	var out, errs bytes.Buffer
	exit = Main(context.Background(), args, m.world(dir, func(string) string { return "" }, strings.NewReader(""), &out, &errs))
	return out.String(), errs.String(), exit
}

func copyFolder(from, to string) error {
	entries, err := os.ReadDir(from)
	if err != nil {
		return err
	}
	for _, e := range entries {
		b, err := os.ReadFile(filepath.Join(from, e.Name()))
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(to, e.Name()), b, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// updating reports whether the test runs with -update.
func updating() bool {
	f := flag.Lookup("update")
	return f != nil && f.Value.String() == "true"
}
