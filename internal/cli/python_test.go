//go:build unix

package cli

import (
	"io"
	"math"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/assay-ml/assay/internal/assaytest"
)

// TestServePython takes a real python_function of MLflow through registration, evaluation, check and serving, kills its workers under
// load and then the server itself.
func TestServePython(t *testing.T) {
	interpreter := os.Getenv("ASSAY_PYTHON")
	if os.Getenv("ASSAY_TEST_FULL") == "" || interpreter == "" {
		t.Skip("set ASSAY_TEST_FULL and ASSAY_PYTHON, a Python that has mlflow and scikit-learn")
	}
	t.Parallel()
	m, dir := registered(t)
	yaml, err := os.ReadFile(filepath.Join(dir, ProjectFile))
	if err != nil {
		t.Fatal(err)
	}
	yaml = append(yaml, "serve: {python: {interpreter: "+interpreter+", workers: 2, timeout: 20s}}\n"...)
	if err := os.WriteFile(filepath.Join(dir, ProjectFile), yaml, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{
		{"register", filepath.Join(assaytest.Root(), "testdata", "mlflow", "sklearn")},
		{"eval", "people:2"},
		{"serve", "check", "people:2"},
		{"predict", "--model", "people:2", "-o", "out.csv", "people.csv"},
	} {
		if out, errs, exit := command(m, dir, args...); exit != 0 {
			t.Fatalf("%v: %d\n%s%s", args, exit, out, errs)
		}
	}
	c, url := serving(t, dir, "--model", "people:2")
	row := func(age string) (status int, body string) {
		r, err := http.Post(url+"/invocations", "application/json", strings.NewReader(strings.Replace(person, "72", age, 1)))
		if err != nil {
			return 0, err.Error()
		}
		defer r.Body.Close()
		b, _ := io.ReadAll(r.Body)
		return r.StatusCode, string(b)
	}
	if status, body := row("72"); status != 200 || !strings.Contains(body, `"probability_yes"`) {
		t.Fatal(status, body)
	}
	for _, bad := range []string{"7.5", "null", `"72"`, "9223372036854775808", "1e400"} {
		if status, body := row(bad); status != 400 {
			t.Errorf("age %s: %d %s", bad, status, body)
		}
	}
	workers := children(t, c.Process.Pid)
	if len(workers) != 2 {
		t.Fatalf("%d workers", len(workers))
	}
	var good, lost, other atomic.Int64
	stop, done := make(chan bool), make(chan bool)
	for range 4 {
		go func() {
			for {
				select {
				case <-stop:
					done <- true
					return
				default:
				}
				switch status, _ := row("50"); status {
				case 200:
					good.Add(1)
				case 503:
					lost.Add(1)
				default:
					other.Add(1)
				}
			}
		}()
	}
	until(t, "answered", func() bool { return good.Load() > 50 })
	if err := syscall.Kill(workers[0], syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	until(t, "started again", func() bool {
		r, err := http.Get(url + "/metrics")
		if err != nil {
			return false
		}
		defer r.Body.Close()
		b, _ := io.ReadAll(r.Body)
		return strings.Contains(string(b), `assay_python_restarts_total{model="people",version="2"} 1`) && strings.Contains(string(b), `assay_python_workers{model="people",version="2"} 2`)
	})
	close(stop)
	for range 4 {
		<-done
	}
	// A batch has at most the requests of the four clients.
	if lost.Load() > 4 || other.Load() > 0 {
		t.Errorf("%d requests were lost with a worker, %d failed otherwise; %d were answered", lost.Load(), other.Load(), good.Load())
	}
	workers = children(t, c.Process.Pid)
	if err := c.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = c.Wait()
	for _, pid := range workers {
		until(t, "ended with the server", func() bool {
			b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
			return err != nil || strings.Contains(string(b), ") Z ")
		})
	}
}

// TestWatchPython makes the plan of a version that Python workers evaluate and replays a table: the workers answer both as the model's
// formula has it, and none of them is left.
func TestWatchPython(t *testing.T) {
	interpreter := os.Getenv("ASSAY_PYTHON")
	if os.Getenv("ASSAY_TEST_FULL") == "" || interpreter == "" {
		t.Skip("set ASSAY_TEST_FULL and ASSAY_PYTHON, a Python that has mlflow and pandas")
	}
	t.Parallel()
	m, dir := registered(t)
	yaml, err := os.ReadFile(filepath.Join(dir, ProjectFile))
	if err != nil {
		t.Fatal(err)
	}
	yaml = append(yaml, "serve: {python: {interpreter: "+interpreter+", workers: 1}}\nmonitor: {labels: {join: [id]}}\n"...)
	if err := os.WriteFile(filepath.Join(dir, ProjectFile), yaml, 0o644); err != nil {
		t.Fatal(err)
	}
	run := func(want int, args ...string) string {
		t.Helper()
		out, errs, exit := command(m, dir, args...)
		if exit != want {
			t.Fatalf("%v: exit status %d, want %d\n%s%s", args, exit, want, out, errs)
		}
		return out
	}
	run(0, "register", filepath.Join(assaytest.Root(), "testdata", "mlflow", "rule"))
	run(0, "eval", "people:2")
	run(0, "serve", "check", "people:2")
	if out := run(0, "monitor", "plan", "people:2"); !strings.Contains(out, "reference of the predictions: 121 rows") {
		t.Error(out)
	}
	// A region has too few rows to judge, which is no yes.
	out := run(3, "monitor", "replay", "--model", "people:2", "--by", "region", "--labels", "people.csv", "--reason", "the table of the past", "people.csv")
	if !strings.Contains(out, "0 of 4 windows moved") || !strings.Contains(out, "● north: 157 labels, 100.0 % of the predictions") {
		t.Error(out)
	}
	if out, errs, _ := command(m, dir, "--json", "monitor", "replay", "--model", "people:2", "--by", "region", "people.csv"); !strings.Contains(out, `"engine": "python_function"`) {
		t.Error(out, errs)
	}
	run(0, "predict", "--model", "people:2", "-o", "out.csv", "people.csv")
	scores := readScores(t, filepath.Join(dir, "out.csv"))
	// p0001 is 72 years old and works 24 hours.
	if want := 1 / (1 + math.Exp(-(0.03*72 - 0.05*24 + 0.2))); len(scores) != 600 || math.Abs(scores[0]-want) > 1e-12 {
		t.Errorf("%d scores, the first %v, want %v", len(scores), scores[0], want)
	}
	if left := children(t, os.Getpid()); len(left) > 0 {
		for _, pid := range left {
			if b, _ := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/cmdline"); strings.Contains(string(b), interpreter) {
				until(t, "ended", func() bool { _, err := os.Stat("/proc/" + strconv.Itoa(pid)); return err != nil })
			}
		}
	}
}

// children are the processes that a process started.
func children(t *testing.T, pid int) []int {
	t.Helper()
	all, err := filepath.Glob("/proc/" + strconv.Itoa(pid) + "/task/*/children")
	if err != nil {
		t.Fatal(err)
	}
	var out []int
	for _, f := range all {
		b, _ := os.ReadFile(f)
		for _, text := range strings.Fields(string(b)) {
			n, err := strconv.Atoi(text)
			if err != nil {
				t.Fatal(err)
			}
			out = append(out, n)
		}
	}
	return out
}
