package pyfunc

import (
	"context"
	"errors"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/assay-ml/assay"
)

// python is an interpreter for models of these tests: the system's, with stand-ins for the three modules that a worker imports, since only
// the full tests have the real ones (TestRealModel). The processes, their limits and the frames are real.
func python(t *testing.T) string {
	t.Helper()
	at, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("there is no python3")
	}
	return at
}

// modelDir is a directory with a model whose predict is the given body, for a list of columns x.
func modelDir(t *testing.T, load, body string) (dir, interpreter string) {
	t.Helper()
	dir = t.TempDir()
	write := func(name, text string) {
		t.Helper()
		to := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(to, []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	write("lib/numpy.py", `
import struct
class ndarray:
    def __init__(self, v, kind):
        self.v, self.ndim, self.shape = v, 1, (len(v),)
        self.dtype = type("D", (), {"kind": kind})()
    def astype(self, *a, **k): return self
    def tobytes(self): return struct.pack("<%dd" % len(self.v), *self.v)
    def tolist(self): return self.v
def frombuffer(b, kind):
    return list(struct.unpack("<%dd" % (len(b) // 8), bytes(b)))
def array(v, dtype=None):
    return v if dtype is object else ndarray(list(v), "f")
`)
	write("lib/pandas.py", "class DataFrame(dict):\n    def __init__(self, d, copy=None): super().__init__(d)\nclass Series: pass\n")
	write("lib/mlflow/__init__.py", "")
	write("lib/mlflow/pyfunc.py", `
import os, signal, subprocess, sys, time
def load_model(dir):
`+indent(load)+`
    return Model()
class Model:
    def predict(self, data, params=None):
        x = data["x"]
`+indent(indent(body)))
	real := python(t)
	write("python", "#!"+real+` -I
import sys
sys.path.insert(0, `+strconv.Quote(filepath.Join(dir, "lib"))+`)
exec(compile(sys.argv[sys.argv.index("-c") + 1], "worker.py", "exec"))
`)
	return dir, filepath.Join(dir, "python")
}

func indent(text string) string {
	lines := strings.Split(strings.Trim(text, "\n"), "\n")
	for i := range lines {
		lines[i] = "    " + lines[i]
	}
	return strings.Join(lines, "\n")
}

func start(t *testing.T, load, body string, change func(*Options)) (*Pool, error) {
	t.Helper()
	dir, interpreter := modelDir(t, load, body)
	o := Options{Python: interpreter, Dir: dir, Columns: []Column{{Name: "x", Kind: "float64"}}, Workers: 1, Clock: time.Now, Say: t.Logf}
	if change != nil {
		change(&o)
	}
	p, err := Start(context.Background(), o)
	if err == nil {
		t.Cleanup(func() { p.Close() })
	}
	return p, err
}

func mustStart(t *testing.T, body string, change func(*Options)) *Pool {
	t.Helper()
	p, err := start(t, "pass", body, change)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// eventually waits until the pool answers again.
func eventually(t *testing.T, p *Pool, x float64) {
	t.Helper()
	var err error
	for range 200 {
		var a *Answer
		if a, err = p.Predict(context.Background(), rows{{x}}, []int{0}, nil); err == nil {
			if len(a.Floats) != 1 {
				t.Fatalf("%+v", a)
			}
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Fatal("the pool does not answer again:", err)
}

func TestBatches(t *testing.T) {
	t.Parallel()
	p := mustStart(t, "time.sleep(0.02)\nif 13.0 in x: raise ValueError('13 is secret')\nreturn [2 * v + 1000 * len(x) * 0 for v in x]", nil)
	var wg sync.WaitGroup
	for i := range 40 {
		wg.Go(func() {
			a, err := p.Predict(context.Background(), rows{{float64(i)}, {float64(100 * i)}}, []int{0}, nil)
			if i == 13 {
				if assay.CodeOf(err) != assay.Internal || !strings.Contains(err.Error(), "ValueError at pyfunc.py:") || strings.Contains(err.Error(), "secret") {
					t.Errorf("13: %v", err)
				}
				return
			}
			if err != nil || len(a.Floats) != 2 || a.Floats[0] != float64(2*i) || a.Floats[1] != float64(200*i) {
				t.Errorf("%d: %+v %v", i, a, err)
			}
		})
	}
	wg.Wait()
	c := p.Counts()
	if c.Requests != 40 || c.Failed != 1 || c.Restarts != 0 || c.Lost != 0 || c.Up != 1 {
		t.Errorf("%+v", c)
	}
}

// The rows of requests that wait go together, up to the limit.
func TestRequestsThatWaitGoTogether(t *testing.T) {
	t.Parallel()
	p := mustStart(t, "time.sleep(0.1)\nreturn [float(len(x)) for v in x]", func(o *Options) { o.BatchRows = 8; o.BatchWait = 30 * time.Millisecond })
	var wg sync.WaitGroup
	for range 32 {
		wg.Go(func() {
			a, err := p.Predict(context.Background(), rows{{1.0}}, []int{0}, nil)
			if err != nil || a.Floats[0] > 8 {
				t.Errorf("%+v %v", a, err)
			}
		})
	}
	wg.Wait()
	if c := p.Counts(); c.Batches > 8 {
		t.Errorf("%d batches for 32 requests", c.Batches)
	}
}

func TestWorkersThatFail(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		body   string
		change func(*Options)
	}{
		"killed":      {"if x[0] < 0: os.kill(os.getpid(), signal.SIGKILL)\nreturn x", nil},
		"exit":        {"if x[0] < 0: os._exit(1)\nreturn x", nil},
		"hangs":       {"if x[0] < 0: time.sleep(1000)\nreturn x", func(o *Options) { o.Timeout = 300 * time.Millisecond }},
		"memory":      {"if x[0] < 0:\n    keep = []\n    while True: keep.append(bytearray(b'x') * (8 << 20)); time.sleep(0.005)\nreturn x", func(o *Options) { o.MemoryBytes = 200 << 20 }},
		"at once":     {"if x[0] < 0: bytearray(1 << 40)\nreturn x", nil},
		"garbage":     {"if x[0] < 0: os.write(3, b'\\xff' * 64)\nreturn x", nil},
		"other frame": {"if x[0] < 0: os.write(3, b'\\x03\\x00\\x00\\x00Axx')\nreturn x", nil},
		"closes":      {"if x[0] < 0: os.close(3)\nreturn x", nil},
	} {
		t.Run(name, func(t *testing.T) {
			p := mustStart(t, c.body, c.change)
			eventually(t, p, 1)
			_, err := p.Predict(context.Background(), rows{{-1.0}}, []int{0}, nil)
			if assay.CodeOf(err) != assay.Unavailable {
				t.Fatalf("the request that it had: %v", err)
			}
			eventually(t, p, 2)
			if c := p.Counts(); c.Restarts < 1 || c.Lost < 1 {
				t.Errorf("%+v", c)
			}
		})
	}
}

// Only the requests that a dying worker had fail: the other worker goes on.
func TestOtherWorkersGoOn(t *testing.T) {
	t.Parallel()
	p := mustStart(t, "time.sleep(0.005)\nif x[0] < 0: os.kill(os.getpid(), signal.SIGKILL)\nreturn x", func(o *Options) { o.Workers = 2; o.BatchRows = 1 })
	var wg sync.WaitGroup
	for i := range 60 {
		wg.Go(func() {
			x := float64(i)
			if i == 30 {
				x = -1
			}
			_, err := p.Predict(context.Background(), rows{{x}}, []int{0}, nil)
			if (err != nil) != (i == 30) {
				t.Errorf("%d: %v", i, err)
			}
		})
	}
	wg.Wait()
	if c := p.Counts(); c.Lost != 1 {
		t.Errorf("%+v", c)
	}
}

func TestModelsThatDoNotLoad(t *testing.T) {
	t.Parallel()
	for load, want := range map[string]string{
		"import nothing_of_that_name":                "ModuleNotFoundError: No module named 'nothing_of_that_name'",
		"os._exit(7)":                                "exit status 7",
		"print('no frame', flush=True); os._exit(0)": "exit status 0: no frame",
		"time.sleep(1000)":                           "it took too long",
	} {
		began := time.Now()
		limit := 10 * time.Minute // a worker that ends is noticed at once, whatever the limit is
		if strings.HasPrefix(load, "time.sleep") {
			limit = time.Second
		}
		_, err := start(t, load, "return x", func(o *Options) { o.Workers = 2; o.StartTimeout = limit })
		if assay.CodeOf(err) != assay.Unavailable || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", load, err)
		}
		if took := time.Since(began); took > time.Minute {
			t.Errorf("%s took %v", load, took)
		}
	}
}

// What a worker started ends with it, and a worker sees only the variables that were declared.
func TestNothingSurvives(t *testing.T) {
	t.Setenv("A_SECRET", "x")
	t.Setenv("DECLARED", "y")
	p, err := start(t, `
child = subprocess.Popen(["sleep", "1000"])
open("pid", "w").write(str(os.getpid()) + " " + str(child.pid))
open("env", "w").write("\n".join(sorted(os.environ)))
`, "return x", func(o *Options) { o.Env = []string{"DECLARED=y"} })
	if err != nil {
		t.Fatal(err)
	}
	pids := func() []int {
		b, err := os.ReadFile(filepath.Join(p.o.Dir, "pid"))
		if err != nil {
			t.Fatal(err)
		}
		var out []int
		for _, f := range strings.Fields(string(b)) {
			n, _ := strconv.Atoi(f)
			out = append(out, n)
		}
		return out
	}()
	env, err := os.ReadFile(filepath.Join(p.o.Dir, "env"))
	if err != nil || strings.Contains(string(env), "A_SECRET") || !strings.Contains(string(env), "DECLARED") {
		t.Errorf("%s %v", env, err)
	}
	p.Close()
	for _, pid := range pids {
		gone(t, pid)
	}
	if _, err := p.Predict(context.Background(), rows{{1.0}}, []int{0}, nil); assay.CodeOf(err) != assay.Unavailable {
		t.Error(err)
	}
}

// gone waits until a process does not run any more; one that nobody has waited for yet counts.
func gone(t *testing.T, pid int) {
	t.Helper()
	for range 100 {
		b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
		if errors.Is(err, os.ErrNotExist) && errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) || strings.Contains(string(b), ") Z ") {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Errorf("process %d goes on", pid)
}

// When the server is killed, the workers and what they started end, even while one is busy.
func TestServerIsKilled(t *testing.T) {
	if os.Getenv("ASSAY_TEST_POOL") != "" {
		p, err := start(t, `
child = subprocess.Popen(["sleep", "1000"])
open(os.environ["OUT"], "w").write(str(os.getpid()) + " " + str(child.pid))
`, "time.sleep(1000)", func(o *Options) { o.Env = []string{"OUT=" + os.Getenv("ASSAY_TEST_POOL")} })
		if err != nil {
			t.Fatal(err)
		}
		_, _ = p.Predict(context.Background(), rows{{1.0}}, []int{0}, nil)
		return
	}
	python(t)
	out := filepath.Join(t.TempDir(), "pids")
	c := exec.Command(os.Args[0], "-test.run=^TestServerIsKilled$")
	c.Env = append(os.Environ(), "ASSAY_TEST_POOL="+out)
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	var pids []string
	for range 200 {
		if b, _ := os.ReadFile(out); len(strings.Fields(string(b))) == 2 {
			pids = strings.Fields(string(b))
			break
		}
		time.Sleep(50 * time.Millisecond)
	}
	time.Sleep(100 * time.Millisecond) // it is in the middle of a request
	if err := c.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = c.Wait()
	if len(pids) != 2 {
		t.Fatal("the workers did not start")
	}
	for _, pid := range pids {
		n, _ := strconv.Atoi(pid)
		gone(t, n)
	}
}

func TestCallersThatDoNotWait(t *testing.T) {
	t.Parallel()
	p := mustStart(t, "time.sleep(0.2)\nreturn x", nil)
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	if _, err := p.Predict(ctx, rows{{1.0}}, []int{0}, nil); assay.CodeOf(err) != assay.Unavailable || !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
	eventually(t, p, 2)
	if c := p.Counts(); c.Restarts != 0 {
		t.Errorf("%+v", c)
	}
	if a, err := p.Predict(context.Background(), rows{{math.NaN()}}, []int{0}, nil); err != nil || !math.IsNaN(a.Floats[0]) {
		t.Error(a, err)
	}
}

// TestParameters holds that each request gets its own parameters, however they wait together.
func TestParameters(t *testing.T) {
	p := mustStart(t, `
import numpy
return numpy.array([v + (params or {"k": 0})["k"] for v in x])
`, func(o *Options) { o.BatchWait = 5 * time.Millisecond })
	var all sync.WaitGroup
	for i := range 60 {
		all.Go(func() {
			k := i % 3
			var params []byte
			if k > 0 {
				params = []byte(`{"k": ` + strconv.Itoa(1000*k) + `}`)
			}
			a, err := p.Predict(context.Background(), rows{{float64(i)}}, []int{0}, params)
			if err != nil || a.Floats[0] != float64(i+1000*k) {
				t.Errorf("%d: %v %v", i, a, err)
			}
		})
	}
	all.Wait()
	if c := p.Counts(); c.Requests != 60 || c.Batches > 60 {
		t.Errorf("%+v", c)
	}
}
