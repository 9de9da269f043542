package cli

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/binary"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	_ "github.com/mattn/go-sqlite3"
	"github.com/rogpeppe/go-internal/testscript"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/assaytest"
	"github.com/assay-ml/assay/internal/table"
)

// A stage manager holds what the commands of one script share: the clock goes on from command to command.
type stageManager struct {
	clock    func() time.Time
	env      map[string]string
	receiver *httptest.Server // of what a page's alerts tell; nil: none was named
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
//	generate KIND FILE             writes a file that is too large or too broken for a script
//	damage FOLDER                  changes one byte of the first file below it
//	nobody N assay …               the same by somebody who is not root, in a process of its own
//	smalldisk FOLDER SIZE          mounts a small disk, where the condition [mount] holds
//	fill FILE                      takes all the room that is left on a disk
//	database FILE SQL              changes a database behind Assay's back
//	table FROM TO                  writes a table of one format as another; FROM and TO may be patterns that one file matches
//	project NAME                   copies testdata/NAME, a data set with its assay.yaml, into the working directory
//	project NAME ARGS              the same after that command line, which is run once for all scripts; the clock goes on from there
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
		Condition: func(cond string) (bool, error) {
			switch cond {
			case "mount":
				return mayMount()
			case "full":
				return os.Getenv("ASSAY_TEST_FULL") == "1", nil
			}
			return false, fmt.Errorf("no condition %q", cond)
		},
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
			"generate": func(ts *testscript.TestScript, _ bool, args []string) {
				if len(args) != 2 || generated[args[0]] == nil {
					ts.Fatalf("usage: generate KIND FILE")
				}
				ts.Check(os.WriteFile(ts.MkAbs(args[1]), generated[args[0]](), 0o644))
			},
			"nobody":    nobody,
			"smalldisk": smallDisk,
			"fill":      fill,
			"damage": func(ts *testscript.TestScript, _ bool, args []string) {
				if len(args) != 1 {
					ts.Fatalf("usage: damage FOLDER")
				}
				ts.Check(damage(ts.MkAbs(args[0])))
			},
			"database": func(ts *testscript.TestScript, _ bool, args []string) {
				if len(args) != 2 {
					ts.Fatalf("usage: database FILE SQL")
				}
				db, err := sql.Open("sqlite3", ts.MkAbs(args[0]))
				ts.Check(err)
				_, err = db.Exec(args[1])
				ts.Check(err)
				ts.Check(db.Close())
			},
			"table": func(ts *testscript.TestScript, _ bool, args []string) {
				if len(args) != 2 {
					ts.Fatalf("usage: table FROM TO")
				}
				for i, a := range args {
					args[i] = ts.MkAbs(a)
					if found, err := filepath.Glob(args[i]); err == nil && len(found) == 1 {
						args[i] = found[0]
					}
				}
				e, err := table.Open(context.Background(), table.Options{})
				ts.Check(err)
				defer e.Close()
				t, err := e.Read(context.Background(), args[0], table.ReadOptions{})
				ts.Check(err)
				ts.Check(t.Write(context.Background(), args[1], nil, ""))
			},
			"project": func(ts *testscript.TestScript, _ bool, args []string) {
				switch len(args) {
				case 0:
					ts.Fatalf("usage: project NAME [ARGS]")
				case 1:
					ts.Check(copyFolder(filepath.Join(testdata, args[0]), ts.MkAbs(".")))
				default:
					k, err := madeBy(args[0], args[1:]...)
					ts.Check(err)
					m, err := k.copy(ts.MkAbs("."))
					ts.Check(err)
					ts.Value("manager").(*stageManager).clock = m.clock
				}
			},
		},
	})
}

// damage changes one byte of the first file of a folder, in the order of names.
func damage(folder string) error {
	return filepath.WalkDir(folder, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		b, err := os.ReadFile(path)
		if err != nil || len(b) == 0 {
			return err
		}
		b[0] ^= 1
		if err := os.Chmod(path, 0o644); err != nil {
			return err
		}
		if err := os.WriteFile(path, b, 0o644); err != nil {
			return err
		}
		return fs.SkipAll
	})
}

// generated are files that are too large or too broken to be written in a script.
var generated = map[string]func() []byte{
	"wide": func() []byte { // 10,000 columns and the target
		var b bytes.Buffer
		for i := range 10_000 {
			fmt.Fprintf(&b, "c%d,", i)
		}
		b.WriteString("y\n")
		for i := range 40 {
			for j := range 10_000 {
				fmt.Fprintf(&b, "%d,", i*j%7)
			}
			fmt.Fprintf(&b, "%d\n", i%2)
		}
		return b.Bytes()
	},
	"field": func() []byte { // one field of 50 MB
		return append([]byte("a,b,y\n1,"+strings.Repeat("x", 50_000_000)+",1\n"), rowsOf(100)...)
	},
	"noise": func() []byte { // 600 rows whose columns say nothing about the target
		var b bytes.Buffer
		b.WriteString("id,a,b,c,y\n")
		for i := range 600 {
			h := sha256.Sum256([]byte(strconv.Itoa(i)))
			fmt.Fprintf(&b, "r%03d,%d,%d,%d,%d\n", i, binary.BigEndian.Uint16(h[0:]), binary.BigEndian.Uint16(h[2:]), binary.BigEndian.Uint16(h[4:]), h[6]&1)
		}
		return b.Bytes()
	},
	"gzip": func() []byte { // the first half of a file
		var b bytes.Buffer
		z := gzip.NewWriter(&b)
		if _, err := z.Write(append([]byte("a,b,y\n"), rowsOf(10_000)...)); err != nil {
			panic("BUG: " + err.Error())
		}
		if err := z.Close(); err != nil {
			panic("BUG: " + err.Error())
		}
		return b.Bytes()[:b.Len()/2]
	},
	"parquet": func() []byte { // the first half of a file
		b, err := os.ReadFile(filepath.Join(assaytest.Root(), "examples", "employment", "train_2015.parquet"))
		if err != nil {
			panic("BUG: " + err.Error())
		}
		return b[:len(b)/2]
	},
	"nul": func() []byte { return append([]byte("a,b,y\n1,x\x00y,1\n"), rowsOf(100)...) },
	"mixed": func() []byte { // UTF-8, then not
		return append([]byte("a,b,y\n1,\xc3\xa9,1\n2,\xe9\xff,0\n"), rowsOf(100)...)
	},
}

// rowsOf is n rows of two columns and a target.
func rowsOf(n int) []byte {
	var b bytes.Buffer
	for i := range n {
		fmt.Fprintf(&b, "%d,%d,%d\n", i, i%3, i%2)
	}
	return b.Bytes()
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
	exit = Main(context.Background(), args, m.world(dir, func(k string) string { return m.env[k] }, strings.NewReader(""), &out, &errs))
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
