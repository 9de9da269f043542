package run

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/assay-ml/assay/internal/assaytest"
)

// These tests run against the real libraries, which scripts/frameworks.sh installs: PyTorch with Debian's own Python, TensorFlow in
// a virtual environment. They are for the full test command.

func torch(t *testing.T) string {
	t.Helper()
	if os.Getenv("ASSAY_TEST_FULL") != "1" {
		t.Skip("set ASSAY_TEST_FULL=1")
	}
	const p = "/usr/bin/python3"
	if err := exec.Command(p, "-c", "import importlib.util as u, sys; sys.exit(u.find_spec('torch') is None)").Run(); err != nil {
		t.Fatal("no PyTorch: run scripts/frameworks.sh")
	}
	return p
}

func tensorflow(t *testing.T) string {
	t.Helper()
	if os.Getenv("ASSAY_TEST_FULL") != "1" {
		t.Skip("set ASSAY_TEST_FULL=1")
	}
	p := filepath.Join(assaytest.Root(), ".cache", "venv-tensorflow", "bin", "python")
	if _, err := os.Stat(p); err != nil {
		t.Fatal("no TensorFlow: run scripts/frameworks.sh")
	}
	return p
}

func wantSeeded(t *testing.T, res result, generators ...string) {
	t.Helper()
	for _, g := range generators {
		if !slices.Contains(res.run.Seeded, g) {
			t.Errorf("seeded %q, without %s", res.run.Seeded, g)
		}
	}
	if len(res.run.Unseeded) != 0 {
		t.Errorf("unseeded %q", res.run.Unseeded)
	}
}

func TestRealPyTorchIsReproducible(t *testing.T) {
	interpreter := torch(t)
	t.Run("training", func(t *testing.T) {
		res, _ := repeats(t, interpreter, `
import random, sys
import numpy as np, torch
assert torch.are_deterministic_algorithms_enabled() and torch.backends.cudnn.deterministic and not torch.backends.cudnn.benchmark
print(torch.rand(3), torch.randperm(9), np.random.rand(), np.random.default_rng().random(), random.random(), hash("a"))
X = torch.randn(256, 8); y = (X[:, 0] + torch.randn(256) > 0).float()
model = torch.nn.Sequential(torch.nn.Linear(8, 32), torch.nn.ReLU(), torch.nn.Dropout(0.3), torch.nn.Linear(32, 1))
opt = torch.optim.Adam(model.parameters())
for epoch in range(3):
    for a, b in torch.utils.data.DataLoader(torch.utils.data.TensorDataset(X, y), 32, shuffle=True):
        opt.zero_grad(); torch.nn.functional.binary_cross_entropy_with_logits(model(a)[:, 0], b).backward(); opt.step()
for p in model.parameters(): print(p.detach().numpy().tobytes().hex()[:200])
`)
		wantSeeded(t, res, "torch", "numpy.random", "numpy.random.default_rng", "random", "hash order")
	})
	// Each worker of each epoch draws its own numbers from every generator, and the same ones in each run.
	t.Run("DataLoader workers", func(t *testing.T) {
		for _, method := range []string{"fork", "spawn"} {
			_, out := repeats(t, interpreter, `
import random
import numpy as np, torch
class Noise(torch.utils.data.Dataset):
    def __len__(self): return 4
    def __getitem__(self, i):
        return [torch.rand(1).item(), random.random(), np.random.rand(), np.random.default_rng().random(), random.Random().random()]
if __name__ == "__main__":
    for epoch in range(2 if "`+method+`" == "fork" else 1):
        for row in torch.utils.data.DataLoader(Noise(), batch_size=None, num_workers=2, multiprocessing_context="`+method+`"):
            print(*row)
`)
			distinct(t, out, 4*5*map[string]int{"fork": 2, "spawn": 1}[method])
		}
	})
	t.Run("DataLoader workers are as PyTorch derives them", func(t *testing.T) {
		_, out := script(t, interpreter, `
import random
import torch
class Noise(torch.utils.data.Dataset):
    def __len__(self): return 2
    def __getitem__(self, i): return [torch.rand(1).item(), random.random(), torch.utils.data.get_worker_info().seed]
torch.manual_seed(5)
for row in torch.utils.data.DataLoader(Noise(), batch_size=None, num_workers=2): print(*row)
`, nil)
		plain := exec.Command(interpreter, "-c", `
import random
import torch
class Noise(torch.utils.data.Dataset):
    def __len__(self): return 2
    def __getitem__(self, i): return [torch.rand(1).item(), random.random(), torch.utils.data.get_worker_info().seed]
torch.manual_seed(5)
for row in torch.utils.data.DataLoader(Noise(), batch_size=None, num_workers=2): print(*row)
`)
		want, err := plain.Output()
		if err != nil || out != string(want) {
			t.Errorf("under the hook\n%s, without it\n%s (%v)", out, want, err)
		}
	})
	t.Run("pool workers", func(t *testing.T) {
		for _, method := range []string{"fork", "spawn"} {
			_, out := repeats(t, interpreter, `
import torch
import torch.multiprocessing as mp
def draw(queue, i): queue.put((i, torch.rand(1).item()))
if __name__ == "__main__":
    m = mp.get_context("`+method+`")
    queue = m.SimpleQueue()
    workers = [m.Process(target=draw, args=(queue, i)) for i in range(3)]
    for w in workers: w.start()
    for w in workers: w.join()
    print(*[x for i, x in sorted(queue.get() for w in workers)], torch.rand(1).item())
`)
			distinct(t, out, 4)
		}
	})
	t.Run("an operation without a deterministic form is an error", func(t *testing.T) {
		const program = `
import torch
x = torch.zeros(4, requires_grad=True)
torch.nn.functional.max_unpool1d(torch.ones(1, 1, 2), torch.tensor([[[0, 2]]]), 2)
print("done")
`
		if res, out := script(t, interpreter, program, nil); res.run.Exit != 1 || !strings.Contains(out, "deterministic") {
			t.Errorf("exit %d:\n%s", res.run.Exit, out)
		}
		for mode, reported := range map[string]bool{"warn": false, "off": true} {
			res, out := script(t, interpreter, program, func(s *Spec) { s.Env = map[string]string{"ASSAY_TORCH_DETERMINISTIC": mode} })
			if res.run.Exit != 0 || slices.Contains(res.run.Unseeded, "torch.use_deterministic_algorithms") != reported {
				t.Errorf("%s: exit %d, unseeded %q:\n%s", mode, res.run.Exit, res.run.Unseeded, out)
			}
		}
	})
}

// Debian's Python brings a sitecustomize of its own, which must run as it does without the hook.
func TestDebiansSitecustomizeRuns(t *testing.T) {
	interpreter := torch(t)
	const program = "import sys; m = sys.modules['sitecustomize']; print(m.__name__, m.__file__, sorted(k for k in vars(m) if k[0] != '_'))"
	_, out := script(t, interpreter, program, nil)
	want, err := exec.Command(interpreter, "-c", program).Output()
	if err != nil || out != string(want) || !strings.Contains(out, "/usr/lib/python3") {
		t.Errorf("got %q, want %q (%v)", out, want, err)
	}
}

func TestRealTensorFlowIsReproducible(t *testing.T) {
	interpreter := tensorflow(t)
	res, _ := repeats(t, interpreter, `
import os, random
log = os.dup(2); os.dup2(os.open(os.devnull, os.O_WRONLY), 2) # what it logs while it starts has times in it
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
import numpy as np, tensorflow as tf, keras
tf.zeros(1); os.dup2(log, 2)
print(tf.random.uniform([3]).numpy(), np.random.rand(), np.random.default_rng().random(), random.random(), hash("a"))
print(list(tf.data.Dataset.range(20).shuffle(20).as_numpy_iterator()))
X = tf.random.normal([256, 8]).numpy(); y = (X[:, 0] > 0).astype("float32")
model = keras.Sequential([keras.layers.Input((8,)), keras.layers.Dense(16, "relu"), keras.layers.Dropout(0.3), keras.layers.Dense(1, "sigmoid")])
model.compile("adam", "binary_crossentropy")
model.fit(X, y, epochs=2, batch_size=32, shuffle=True, verbose=0)
for w in model.get_weights(): print(w.tobytes().hex()[:200])
`)
	wantSeeded(t, res, "tensorflow", "numpy.random", "numpy.random.default_rng", "random", "hash order")
}

// LightGBM adds up in the order in which threads finish unless it is told not to; more threads than processors show it.
func TestRealLightGBMIsDeterministic(t *testing.T) {
	interpreter := venv(t)
	const program = `
import hashlib
import lightgbm as lgb, numpy as np
rng = np.random.default_rng(1)
X = rng.normal(size=(60000, 20)) * 10.0 ** rng.integers(-3, 3, 20); y = (rng.normal(size=60000) + X[:, 0] > 0).astype(int); w = rng.random(60000) * 1000
def fit(**more): return lgb.train(dict(verbose=-1, num_leaves=31, objective="binary", **more), lgb.Dataset(X, y, weight=w), 5)
`
	for _, c := range []struct{ name, rest, want string }{
		{"threads do not matter", `print(len({hashlib.sha256(fit(num_threads=n).predict(X).tobytes()).hexdigest() for n in (1, 2, 4, 4)}))`, "1\n"},
		{"what the program sets is kept", `p = fit(num_threads=1, force_row_wise=True).params; print(p["force_row_wise"], p.get("force_col_wise"), p["deterministic"])`, "True None True\n"},
	} {
		res, out := script(t, interpreter, program+c.rest, nil)
		if out != c.want || !slices.Contains(res.run.Seeded, "lightgbm.deterministic") || len(res.run.Unseeded) != 0 {
			t.Errorf("%s: %q, want %q; seeded %q, unseeded %q", c.name, out, c.want, res.run.Seeded, res.run.Unseeded)
		}
	}
	for name, change := range map[string]func(*Spec){
		"by the program":  nil,
		"by the variable": func(s *Spec) { s.Env = map[string]string{"ASSAY_LIGHTGBM_DETERMINISTIC": "off"} },
	} {
		res, out := script(t, interpreter, program+`fit(num_threads=1, deterministic=False)`, change)
		if res.run.Exit != 0 || !slices.Contains(res.run.Unseeded, "lightgbm.deterministic") {
			t.Errorf("off %s: unseeded %q\n%s", name, res.run.Unseeded, out)
		}
	}
}

func TestRealXGBoostRepeatsWithFixedThreads(t *testing.T) {
	_, out := script(t, venv(t), `
import hashlib
import numpy as np, xgboost as xgb
rng = np.random.default_rng(1)
X = rng.normal(size=(30000, 10)); y = (rng.normal(size=30000) + X[:, 0] > 0).astype(int)
def fit(): return xgb.train(dict(nthread=2, max_depth=6, subsample=0.5, colsample_bytree=0.5, objective="binary:logistic"), xgb.DMatrix(X, y), 10)
print(len({hashlib.sha256(fit().predict(xgb.DMatrix(X)).tobytes()).hexdigest() for _ in range(3)}))
`, nil)
	if out != "1\n" {
		t.Errorf("different models from equal fits: %s", out)
	}
}
