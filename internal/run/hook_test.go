package run

import (
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/assaytest"
)

// repeats runs the program twice with one seed and once with another, wants equal and different output, and returns the first.
func repeats(t *testing.T, interpreter, program string) (result, string) {
	t.Helper()
	res, first := script(t, interpreter, program, nil)
	if res.run.Exit != 0 {
		t.Fatalf("exit %d:\n%s", res.run.Exit, first)
	}
	if _, second := script(t, interpreter, program, nil); second != first {
		t.Errorf("the same seed gives\n%s\nand then\n%s", first, second)
	}
	if _, other := script(t, interpreter, program, func(s *Spec) { s.Seed = 8 }); other == first {
		t.Errorf("another seed gives the same:\n%s", first)
	}
	return res, first
}

func distinct(t *testing.T, out string, n int) {
	t.Helper()
	f := strings.Fields(out)
	slices.Sort(f)
	if u := slices.Compact(slices.Clone(f)); len(f) != n || len(u) != n {
		t.Errorf("want %d different numbers, got %q", n, f)
	}
}

func TestPlainPythonIsSeeded(t *testing.T) {
	t.Parallel()
	res, out := repeats(t, python(t), `
import random
print(random.random())
print(random.Random().random())
random.seed()
print(random.random())
print(hash("a string"))
`)
	distinct(t, out, 4)
	if want := []string{"hash order", "random"}; !slices.Equal(res.run.Seeded, want) || len(res.run.Unseeded) != 0 {
		t.Errorf("seeded %q, unseeded %q", res.run.Seeded, res.run.Unseeded)
	}
}

// Generators that threads make at the same instant draw different numbers: which thread gets which is the scheduler's, the numbers are the
// seed's. The lock of builds without a global lock is held to the same, and a child forked while it is taken draws all the same.
func TestThreadsDrawDifferentNumbers(t *testing.T) {
	t.Parallel()
	for name, before := range map[string]string{
		"as built":      "",
		"with the lock": "sys._is_gil_enabled = lambda: False\n_assay_hook._recount()\nassert _assay_hook._s.lock is not None\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, out := repeats(t, python(t), `
import _assay_hook, os, random, sys, threading, time
`+before+`def slow(frame, event, arg):
    # Another thread gets its turn at each line of the hook.
    if frame.f_globals is not vars(_assay_hook): return None
    if frame.f_code.co_name in ("entropy", "step"): time.sleep(1e-5)
    return slow
threading.settrace(slow)
drawn = [[] for _ in range(8)]
def draw(into):
    for _ in range(40): into.append(random.Random().getrandbits(64))
threads = [threading.Thread(target=draw, args=(into,)) for into in drawn]
for x in threads: x.start()
for x in threads: x.join()
threading.settrace(None)
if _assay_hook._s.lock: _assay_hook._s.lock.acquire()
pid = os.fork()
if pid == 0:
    other = threading.Thread(target=random.Random)
    other.start(); other.join(20)
    os._exit(other.is_alive())
print(*sorted(n for into in drawn for n in into))
print(1 + os.waitpid(pid, 0)[1])
`)
			numbers, child, _ := strings.Cut(out, "\n")
			distinct(t, numbers, 8*40)
			if child != "1\n" {
				t.Errorf("the child that was forked with the lock taken: %s", child)
			}
		})
	}
}

func TestASeedOfTheProgramIsLeftAlone(t *testing.T) {
	t.Parallel()
	const program = "import random\nprint(random.Random(1).random()); random.seed(2); print(random.random())"
	_, out := script(t, python(t), program, nil)
	plain, err := exec.Command(python(t), "-c", program).Output()
	if err != nil || out != string(plain) {
		t.Errorf("got %q, want %q (%v)", out, plain, err)
	}
}

func TestEntropyOfTheProgramIsReported(t *testing.T) {
	t.Parallel()
	for program, want := range map[string][]string{
		"import uuid; uuid.uuid4()":                     {"uuid.uuid4"},
		"import secrets; secrets.token_bytes()":         {"secrets"},
		"import random; random.SystemRandom().random()": {"random.SystemRandom"},
		"import os; os.urandom(4)":                      {"os.urandom"},
		"import tempfile; tempfile.mkdtemp()":           {},
		"import multiprocessing.process":                {},
	} {
		res, out := script(t, python(t), program, func(s *Spec) { s.Env = map[string]string{"TMPDIR": t.TempDir()} })
		if !slices.Equal(res.run.Unseeded, want) {
			t.Errorf("%s: unseeded %q, want %q\n%s", program, res.run.Unseeded, want, out)
		}
	}
}

func TestNamesOfTemporaryFilesStayRandom(t *testing.T) {
	t.Parallel()
	const program = "import tempfile, os; print(os.path.basename(tempfile.mktemp()))"
	_, a := script(t, python(t), program, nil)
	_, b := script(t, python(t), program, nil)
	if a == b {
		t.Errorf("both runs would write %s", a)
	}
}

// Three workers must draw different numbers, and the same three each time, however they were started.
func TestWorkersDrawTheirOwnNumbers(t *testing.T) {
	t.Parallel()
	for _, method := range []string{"fork", "spawn", "forkserver"} {
		t.Run(method, func(t *testing.T) {
			t.Parallel()
			_, out := repeats(t, python(t), `
import multiprocessing, random
def draw(barrier, queue, i):
    queue.put((i, random.random()))
    barrier.wait()
if __name__ == "__main__":
    m = multiprocessing.get_context("`+method+`")
    queue, barrier = m.SimpleQueue(), m.Barrier(3)
    workers = [m.Process(target=draw, args=(barrier, queue, i)) for i in range(3)]
    for w in workers: w.start()
    for w in workers: w.join()
    print(*[x for i, x in sorted(queue.get() for w in workers)], random.random())
`)
			distinct(t, out, 4)
		})
	}
}

func TestForkedAndStartedProcessesDrawTheirOwnNumbers(t *testing.T) {
	t.Parallel()
	_, out := repeats(t, python(t), `
import os, random, subprocess, sys
for i in range(2):
    r, w = os.pipe()
    if os.fork() == 0:
        os.write(w, str(random.random()).encode())
        os._exit(0)
    print(os.read(r, 100).decode())
    os.wait()
for i in range(2):
    print(subprocess.check_output([sys.executable, "-c", "import random; print(random.random())"], text=True).strip())
print(random.random(), flush=True)
`)
	distinct(t, out, 5)
}

func TestAnIsolatedPythonIsReported(t *testing.T) {
	t.Parallel()
	for _, opt := range []string{"-I", "-E", "-S", "-sE", "-uI"} {
		res, out := script(t, python(t), "print(1)", func(s *Spec) { s.Command = []string{s.Command[0], opt, "train.py"} })
		if len(res.run.Unseeded) != 1 || !strings.HasPrefix(res.run.Unseeded[0], "everything: python -") || !slices.Contains(res.run.Missing, "unseeded_generator") || out != "1\n" {
			t.Errorf("%s: unseeded %q, missing %q, output %q", opt, res.run.Unseeded, res.run.Missing, out)
		}
	}
	res, _ := script(t, python(t), "import subprocess, sys; subprocess.run([sys.executable, '-I', '-c', '1']); subprocess.run([sys.executable, '-c', '1'], env={})", nil)
	if want := []string{"python -I", "python without PYTHONPATH"}; !slices.Equal(res.run.Unseeded, want) {
		t.Errorf("children: unseeded %q, want %q", res.run.Unseeded, want)
	}
	res, _ = script(t, python(t), "", func(s *Spec) { s.Command = []string{"true"} })
	if want := []string{"everything: no Python with the start-up hook ran"}; !slices.Equal(res.run.Unseeded, want) {
		t.Errorf("another program: unseeded %q, want %q", res.run.Unseeded, want)
	}
}

func TestBypassReadsTheCommandLine(t *testing.T) {
	for command, want := range map[string]string{
		"python3 train.py -I":         "",
		"python3 -I train.py":         "-I",
		"python3.12 -W ignore -S x":   "-S",
		"python -X dev x.py":          "",
		"python -Xdev -E x":           "-E",
		"python -c I":                 "",
		"python -m IES":               "",
		"python -mIES":                "",
		"/opt/venv/bin/python3 -uE x": "-E",
		"bash -I":                     "",
		"":                            "",
	} {
		if got := bypass(strings.Fields(command)); got != want {
			t.Errorf("%q: %q, want %q", command, got, want)
		}
	}
}

func TestAnExistingSitecustomizeRuns(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ site, want string }{
		"runs under its own name": {"import sys, random\nprint('site', __name__, sys.modules['sitecustomize'].mark)\n", "site sitecustomize"},
		"may fail":                {"raise RuntimeError('site')\n", "main"},
		"may be absent":           {"", "main"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if c.site != "" {
				write(t, dir, "sitecustomize.py", "mark = 1\n"+c.site)
			}
			res, out := script(t, python(t), "import sys, random\nprint('main', [p for p in sys.path if 'assay-run' in p])\n", func(s *Spec) {
				s.Env = map[string]string{"PYTHONPATH": dir}
			})
			if !strings.Contains(out, c.want) || !strings.Contains(out, "main []") || res.run.Exit != 0 {
				t.Errorf("output %q, want %q; the hook's directory must not stay on sys.path", out, c.want)
			}
			if want := []string{"hash order", "random"}; !slices.Equal(res.run.Seeded, want) {
				t.Errorf("seeded %q, want %q", res.run.Seeded, want)
			}
		})
	}
}

func TestAUsercustomizeRuns(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, dir, "usercustomize.py", "print('user')\n")
	_, out := script(t, python(t), "print('main')", func(s *Spec) { s.Env = map[string]string{"PYTHONPATH": dir} })
	// A virtual environment without user packages does not look for it, with or without the hook.
	cmd := exec.Command(python(t), "-c", "print('main')")
	cmd.Env = append(os.Environ(), "PYTHONPATH="+dir)
	want, err := cmd.Output()
	if err != nil || out != string(want) {
		t.Errorf("got %q, want %q (%v)", out, want, err)
	}
}

func TestAModuleThatOnlyLooksLikeAGeneratorIsNotBroken(t *testing.T) {
	// A package that shadows torch and has none of its functions: seeding fails, the import does not.
	res, out := script(t, python(t), "import torch, xgboost; print(torch.here)", func(s *Spec) {
		write(t, s.Dir, "torch/__init__.py", "here = 'ours'\n")
		write(t, s.Dir, "xgboost.py", "")
	})
	if out != "ours\n" || !slices.Equal(res.run.Unseeded, []string{"torch"}) || !slices.Contains(res.run.Seeded, "xgboost") {
		t.Errorf("output %q, seeded %q, unseeded %q", out, res.run.Seeded, res.run.Unseeded)
	}
}

func TestTorchIsSeededAndToldToBeDeterministic(t *testing.T) {
	// A stand-in with the functions that the hook calls; the real library is tested where it is installed.
	const stub = `
import os
class _Cudnn: deterministic = False; benchmark = True
class backends: cudnn = _Cudnn
seeds, modes = [], []
def manual_seed(s): seeds.append(s)
def use_deterministic_algorithms(on, warn_only=False): modes.append((on, warn_only))
`
	const program = "import os, torch; print(len(torch.seeds), torch.seeds[0] > 0, torch.modes, torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark, os.environ['CUBLAS_WORKSPACE_CONFIG'])"
	for mode, want := range map[string]string{
		"":     "1 True [(True, False)] True False :4096:8\n",
		"warn": "1 True [(True, True)] True False :4096:8\n",
		"off":  "1 True [] False True :4096:8\n",
	} {
		res, out := script(t, python(t), program, func(s *Spec) {
			write(t, s.Dir, "torch/__init__.py", stub)
			if mode != "" {
				s.Env = map[string]string{"ASSAY_TORCH_DETERMINISTIC": mode}
			}
		})
		if out != want || !slices.Contains(res.run.Seeded, "torch") || (mode == "off") != (len(res.run.Unseeded) > 0) {
			t.Errorf("mode %q: %q, want %q; unseeded %q", mode, out, want, res.run.Unseeded)
		}
	}
}

func TestDataLoaderWorkersAreLeftAlone(t *testing.T) {
	// The loop of a DataLoader worker seeds random itself, from a number that the main process drew.
	const program = `
import multiprocessing, sys
if __name__ == "__main__":
    from torch.utils.data._utils import worker
    import random
    m = multiprocessing.get_context("fork")
    q = m.SimpleQueue()
    p = m.Process(target=worker._worker_loop, args=(q,)); p.start(); print(*q.get()); p.join()
`
	_, out := script(t, python(t), program, func(s *Spec) {
		for _, d := range []string{"torch", "torch/utils", "torch/utils/data", "torch/utils/data/_utils"} {
			write(t, s.Dir, d+"/__init__.py", "def manual_seed(s): pass\n")
		}
		write(t, s.Dir, "torch/utils/data/_utils/worker.py", "import random\nseeded = []\n_old = random._inst.seed\ndef _worker_loop(q):\n    random.seed(5)\n    q.put((random.random(),))\n")
	})
	want, err := exec.Command(python(t), "-c", "import random; random.seed(5); print(random.random())").Output()
	if err != nil || out != string(want) {
		t.Errorf("got %q, want %q", out, want)
	}
}

func TestNumPyIsSeeded(t *testing.T) {
	res, out := repeats(t, venv(t), `
import numpy as np
print(np.random.rand())
print(np.random.default_rng().random())
print(np.random.default_rng().random())
print(np.random.RandomState().rand())
print(np.random.Generator(np.random.PCG64()).random())
`)
	distinct(t, out, 5)
	for _, want := range []string{"numpy.random", "numpy.random.default_rng"} {
		if !slices.Contains(res.run.Seeded, want) {
			t.Errorf("seeded %q, without %s", res.run.Seeded, want)
		}
	}
	if len(res.run.Unseeded) != 0 || res.run.Environment.Packages["numpy"] == "" {
		t.Errorf("unseeded %q, packages %v", res.run.Unseeded, res.run.Environment.Packages)
	}
}

func TestNumPyWorkersDrawTheirOwnNumbers(t *testing.T) {
	for _, method := range []string{"fork", "spawn"} {
		_, out := repeats(t, venv(t), `
import multiprocessing
import numpy as np
def draw(barrier, queue, i):
    queue.put((i, np.random.rand(), np.random.default_rng().random()))
    barrier.wait()
if __name__ == "__main__":
    m = multiprocessing.get_context("`+method+`")
    queue, barrier = m.SimpleQueue(), m.Barrier(3)
    workers = [m.Process(target=draw, args=(barrier, queue, i)) for i in range(3)]
    for w in workers: w.start()
    for w in workers: w.join()
    for i, a, b in sorted(queue.get() for w in workers): print(a, b)
`)
		distinct(t, out, 6)
	}
}

func TestScikitLearnIsReproducible(t *testing.T) {
	res, _ := repeats(t, venv(t), `
import json, os
import numpy as np
from sklearn.ensemble import RandomForestClassifier
from sklearn.model_selection import train_test_split, cross_val_score
rng = np.random.default_rng()
X = rng.normal(size=(200, 5)); y = (X[:, 0] + rng.normal(size=200) > 0).astype(int)
a, b, ya, yb = train_test_split(X, y)
m = RandomForestClassifier(n_estimators=20, n_jobs=2).fit(a, ya)
print(m.predict_proba(b).tobytes().hex()[:400])
json.dump({"accuracy_score": m.score(b, yb)}, open(os.path.join(os.environ["ASSAY_OUT"], "metrics.json"), "w"))
`)
	if len(res.run.Unseeded) != 0 || len(res.run.Metrics) != 1 {
		t.Errorf("unseeded %q, metrics %v, problems %q", res.run.Unseeded, res.run.Metrics, res.run.Problems)
	}
}

// scikit-learn gives each fit of some estimators an id of its own; that is derived from the seed. What the program asks for is not.
func TestIdsOfFitsAreSeeded(t *testing.T) {
	const program = `
import pickle, uuid
import numpy as np
from sklearn.callback import ScoringMonitor
from sklearn.linear_model import LogisticRegression
X = np.random.rand(60, 3); y = (X[:, 0] > 0.5).astype(int)
print(hash(pickle.dumps(LogisticRegression().fit(X, y))))
monitor = ScoringMonitor(scoring="accuracy")
model = LogisticRegression().set_callbacks(monitor)
model.fit(X, y); model.fit(X, y)
ids = [log.run_id for log in monitor.get_logs(select="all")]
print(*ids)
assert len(set(ids)) == 2 and ids[0].version == 4
`
	res, _ := repeats(t, venv(t), program)
	if len(res.run.Unseeded) != 0 || !slices.Contains(res.run.Seeded, "uuid.uuid4 of sklearn") {
		t.Errorf("seeded %q, unseeded %q", res.run.Seeded, res.run.Unseeded)
	}
	if res, _ := script(t, venv(t), program+"uuid.uuid4()", nil); !slices.Equal(res.run.Unseeded, []string{"uuid.uuid4"}) {
		t.Errorf("with one of the program's own: unseeded %q", res.run.Unseeded)
	}
}

func TestPackagesAreReadFromTheirMetadata(t *testing.T) {
	first, second := t.TempDir(), t.TempDir()
	write(t, first, "Foo_Bar-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: Foo-Bar\nVersion: 1.0\n\nVersion: 9\n")
	write(t, second, "foo.bar-2.0.dist-info/METADATA", "Name: foo.bar\nVersion: 2.0\n")
	write(t, second, "mine-0.1.dist-info/METADATA", "Name: mine\nVersion: 0.1\n")
	write(t, second, "mine-0.1.dist-info/direct_url.json", `{"url":"file:///home/someone/mine","dir_info":{"editable":true}}`)
	write(t, second, "vcs-3.dist-info/METADATA", "Name: vcs\nVersion: 3\n")
	write(t, second, "vcs-3.dist-info/direct_url.json", `{"url":"https://example.org/vcs.git","vcs_info":{"vcs":"git","commit_id":"abc"}}`)
	write(t, second, "old.egg-info/PKG-INFO", "Name: old\nVersion: 4\n")
	write(t, second, "broken-1.dist-info/METADATA", "nothing\n")
	ds := distributions([]string{first, filepath.Join(first, "absent"), second})
	const want = "Foo-Bar==1.0\n# not pinned: mine==0.1\nold==4\nvcs @ git+https://example.org/vcs.git@abc\n"
	if got := string(lockFile(ds)); got != want {
		t.Errorf("lock file\n%s, want\n%s", got, want)
	}
	if got := unpinned(ds); !slices.Equal(got, []string{"mine"}) {
		t.Errorf("unpinned %q", got)
	}
}

func TestGradientBoostingIsReproducible(t *testing.T) {
	for _, library := range []string{"xgboost", "lightgbm"} {
		t.Run(library, func(t *testing.T) {
			res, _ := repeats(t, venv(t), `
import numpy as np
`+map[string]string{
				"xgboost":  "from xgboost import XGBClassifier\nm = XGBClassifier(n_estimators=5, subsample=0.5)",
				"lightgbm": "from lightgbm import LGBMClassifier\nm = LGBMClassifier(n_estimators=5, subsample=0.5, subsample_freq=1, verbose=-1)",
			}[library]+`
rng = np.random.default_rng()
X = rng.normal(size=(300, 5)); y = (X[:, 0] + rng.normal(size=300) > 0).astype(int)
print(m.fit(X, y).predict_proba(X).tobytes().hex()[:400])
`)
			if !slices.Contains(res.run.Seeded, library) || len(res.run.Unseeded) != 0 {
				t.Errorf("seeded %q, unseeded %q", res.run.Seeded, res.run.Unseeded)
			}
		})
	}
}

// BenchmarkStart measures what the start-up hook adds to the start of an interpreter that does nothing.
func BenchmarkStart(b *testing.B) {
	python, err := exec.LookPath("python3")
	if err != nil {
		b.Skip("no python3")
	}
	if out, err := exec.Command(python, "-c", "import sys; print(sys.executable)").Output(); err == nil {
		python = strings.TrimSpace(string(out)) // not the script of a version manager
	}
	hook := b.TempDir()
	if err := writeHook(hook); err != nil {
		b.Fatal(err)
	}
	for name, env := range map[string][]string{
		"plain": nil,
		"hook":  {"PYTHONPATH=" + hook, "ASSAY_SEED=7", "PYTHONHASHSEED=7", "ASSAY_HOOK_REPORT=" + filepath.Join(b.TempDir(), "report")},
	} {
		for module, program := range map[string]string{"nothing": "pass", "random": "import random"} {
			b.Run(name+"/"+module, func(b *testing.B) {
				least := 0.0
				for b.Loop() {
					cmd := exec.Command(python, "-c", program)
					cmd.Env = append(os.Environ(), env...)
					began := b.Elapsed()
					if err := cmd.Run(); err != nil {
						b.Fatal(err)
					}
					if took := float64(b.Elapsed()-began) / 1e6; least == 0 || took < least {
						least = took
					}
				}
				b.ReportMetric(least, "min-ms/op")
			})
		}
	}
}

// The numbers do not depend on the version of Python, so a newer one does not change a run by itself.
func TestEveryPythonInThePathDrawsTheSame(t *testing.T) {
	t.Parallel()
	const program = "import random; print(random.random(), random.Random().random(), random.getrandbits(64))"
	_, want := script(t, python(t), program, nil)
	for _, version := range []string{"3.8", "3.9", "3.10", "3.11", "3.12", "3.13"} {
		p, err := exec.LookPath("python" + version)
		if err != nil || exec.Command(p, "--version").Run() != nil {
			continue // the versions that a machine has are enough
		}
		if res, got := script(t, p, program, nil); got != want || len(res.run.Unseeded) != 0 {
			t.Errorf("python %s draws %q, want %q; unseeded %q", version, got, want, res.run.Unseeded)
		}
	}
}

// What a command imports of its own directory is told with the digest of what was read, whoever imports it, from source or from
// Python's cache; a file that was altered after it was read has none.
func TestImportedModulesAreTold(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, dir, "train.py", `
import subprocess, sys
import plain, inner.deep, altered
open("altered.py", "a").write("y = 2\n")
open("written.py", "w").write("x = 1\n")
import written
open("kept.txt", "w").write("no module")
exec(open("read.py").read())
subprocess.run([sys.executable, "-c", "import child"], check=True)
`)
	for _, name := range []string{"plain.py", "inner/__init__.py", "inner/deep.py", "altered.py", "read.py", "child.py", "unused.py", ".venv/lib/python3/site-packages/other.py"} {
		write(t, dir, name, "x = 1\n")
	}
	one := assay.DigestOf([]byte("x = 1\n"))
	want := map[string]assay.Digest{"plain.py": one, "inner/__init__.py": one, "inner/deep.py": one, "altered.py": "", "written.py": one, "read.py": one, "child.py": one}
	for _, from := range []string{"source", "cache"} {
		var got map[string]assay.Digest
		s := Spec{
			Command: []string{python(t), "train.py"}, Dir: dir, Seed: 7, Clock: assaytest.Clock(), Imported: func(m map[string]assay.Digest) { got = m },
			Env: map[string]string{"PYTHONPATH": filepath.Join(dir, ".venv/lib/python3/site-packages")},
		}
		res, err := execute(t.Context(), s, &memory{})
		if err != nil || res.run.Exit != 0 {
			t.Fatal(res.run.Exit, err)
		}
		delete(got, "train.py") // some Pythons tell of the program itself
		if !maps.Equal(got, want) {
			t.Errorf("from %s: %v, want %v", from, got, want)
		}
	}
}
