//go:build unix

package cli

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/schema"
	"github.com/assay-ml/assay/internal/serve"
)

// serving starts assay serve as a process of its own and returns its address.
func serving(t *testing.T, dir string, args ...string) (*exec.Cmd, string) {
	t.Helper()
	c, url, _ := servingBoth(t, dir, args...)
	return c, url
}

// servingBoth is serving with the address of gRPC too.
func servingBoth(t *testing.T, dir string, args ...string) (c *exec.Cmd, url, grpcAddress string) {
	t.Helper()
	c = process(t, dir, append([]string{"serve", "--listen", "127.0.0.1:0"}, args...)...)
	errs, err := c.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Process.Kill() })
	lines := bufio.NewScanner(errs)
	for lines.Scan() {
		if _, url, ok := strings.Cut(lines.Text(), " on http://"); ok {
			go func() { _, _ = io.Copy(io.Discard, errs) }()
			url, rest, _ := strings.Cut(url, " and grpc://")
			return c, "http://" + strings.TrimSpace(url), strings.TrimSpace(rest)
		}
	}
	t.Fatal("assay serve ended without an address")
	return nil, "", ""
}

// person is a row that fits the schema of testdata/people.
const person = `{"dataframe_records": [{"age": 72, "sex": "F", "region": "north", "income": 18276.74, "hours": 24, "tenure": 3.31}]}`

func invoke(url string) error {
	r, err := http.Post(url+"/invocations", "application/json", strings.NewReader(person))
	if err != nil {
		return err
	}
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	if err == nil && r.StatusCode != http.StatusOK {
		err = fmt.Errorf("status %d: %s", r.StatusCode, b)
	}
	return err
}

// TestServeProcess serves, is killed under load, serves again and is stopped: every answer that a client had is in the log.
func TestServeProcess(t *testing.T) {
	t.Parallel()
	m, dir := registered(t)
	if _, errs, exit := command(m, dir, "serve", "check", "people:1"); exit != 0 {
		t.Fatal(errs)
	}
	c, url := serving(t, dir, "--model", "people:1")
	if err := invoke(url); err != nil {
		t.Fatal(err)
	}
	for range 49 {
		if err := invoke(url); err != nil {
			t.Fatal(err)
		}
	}
	logged := func() (n int) {
		out, _, _ := command(m, dir, "--json", "log", "query", "SELECT count(*) FROM log WHERE _outcome = 'answered' AND prediction IS NOT NULL")
		var doc struct{ Rows [][]int }
		if json.Unmarshal([]byte(out), &doc) != nil || len(doc.Rows) != 1 {
			return 0
		}
		return doc.Rows[0][0]
	}
	until(t, "logged", func() bool { return logged() == 50 })
	var after atomic.Int64
	var clients sync.WaitGroup
	for range 4 {
		clients.Go(func() {
			for invoke(url) == nil {
				after.Add(1)
			}
		})
	}
	for after.Load() < 100 {
		time.Sleep(time.Millisecond)
	}
	if err := c.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = c.Wait()
	clients.Wait()
	// All that was answered is there, and at most what each client waited for besides; nothing says that more may be missing.
	if n := logged(); n < 50+int(after.Load()) || n > 54+int(after.Load()) {
		t.Errorf("%d predictions in the log, %d were answered", n, 50+after.Load())
	}
	if out, _, _ := command(m, dir, "log", "list"); strings.Contains(out, "killed") {
		t.Errorf("%s", out)
	}
	c, url = serving(t, dir, "--model", "people:1")
	for path, want := range map[string]int{"/healthz": 200, "/readyz": 200, "/ping": 200, "/version": 200, "/metrics": 200, "/nothing": 404} {
		r, err := http.Get(url + path)
		if err != nil {
			t.Fatal(err)
		}
		r.Body.Close()
		if r.StatusCode != want {
			t.Errorf("%s: %d", path, r.StatusCode)
		}
	}
	before := logged()
	if err := invoke(url); err != nil {
		t.Fatal(err)
	}
	if err := c.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	_ = c.Wait()
	if got := c.ProcessState.ExitCode(); got != 143 {
		t.Errorf("exit status %d after a signal to end", got)
	}
	if n := logged(); n != before+1 {
		t.Errorf("%d in the log after a clean stop, want %d", n, before+1)
	}
	if out, _, exit := command(m, dir, "fsck"); exit != 0 {
		t.Error(out)
	}
	closed, open, err := serve.Segments(serve.LogDir(filepath.Join(dir, ".assay", "log"), "people"))
	if err != nil || len(closed) < 2 || len(open) > 0 {
		t.Errorf("segments of the log: %v are Parquet, %v are not: %v", closed, open, err)
	}
}

// TestCompact: a segment becomes Parquet in a process of its own; what that process says of its failure is told; where it cannot be
// started the work is done here.
func TestCompact(t *testing.T) {
	dir := t.TempDir()
	log, err := serve.OpenLog(serve.LogOptions{Dir: dir, Clock: time.Now, Nonce: "n"})
	if err != nil {
		t.Fatal(err)
	}
	s := serve.New(serve.Options{Clock: time.Now, Nonce: "n", Log: log})
	in := schema.New("in")
	in.Columns = []schema.Column{{Name: "x", Type: assay.TypeNumber}}
	b, err := s.Bind(serve.Binding{Name: "m", Number: 1, Task: assay.Regression, Input: in, Output: serve.OutputSchema("out", nil, false), Engine: &constant{}})
	if err != nil {
		t.Fatal(err)
	}
	s.Set("m", b, b)
	for range 10 {
		c, err := s.Begin("test", "m", "", "")
		if err != nil {
			t.Fatal(err)
		}
		c.Rows.Add(1)
		c.Rows.SetFloat(0, 0, 1)
		if err := c.Predict(t.Context()); err != nil {
			t.Fatal(err)
		}
		c.End()
	}
	if err := log.Close(); err != nil {
		t.Fatal(err)
	}
	_, open, err := serve.Segments(serve.LogDir(dir, "m"))
	if err != nil || len(open) != 1 {
		t.Fatalf("%v: segments %v", err, open)
	}
	fields, err := serve.LogFieldsOf(filepath.Dir(open[0]))
	if err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv(asProcess, "1")
	parquet := serve.ParquetPath(open[0])
	for _, program := range []string{self, "", filepath.Join(dir, "nothing")} {
		a := &app{World: World{Dir: dir, Self: program}}
		if err := a.compact(t.Context(), open[0], parquet, fields); err != nil {
			t.Errorf("%q: %v", program, err)
		}
		if err := os.Remove(parquet); err != nil {
			t.Errorf("%q: %v", program, err)
		}
	}
	a := &app{World: World{Dir: dir, Self: self}}
	if err := os.WriteFile(open[0], []byte("no segment"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := a.compact(t.Context(), open[0], parquet, fields); assay.CodeOf(err) != assay.Unavailable || !strings.Contains(err.Error(), "is no segment of the prediction log") {
		t.Errorf("a damaged segment: %v", err)
	}
	if exists(parquet)() {
		t.Error("a damaged segment became Parquet")
	}
}

// constant is an engine that says 1.
type constant struct{}

func (constant) Predict(_ context.Context, rows *schema.Batch, out *serve.Output) error {
	for range rows.Rows() {
		out.Values = append(out.Values, 1)
	}
	return nil
}
func (constant) Close() error { return nil }
