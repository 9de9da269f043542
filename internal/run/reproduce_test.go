package run

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/assaytest"
	"github.com/assay-ml/assay/internal/store"
)

// reproduced runs a Python program and reproduces it, with a change in between.
func reproduced(t *testing.T, program string, o ReproduceOptions, between func(*Spec)) assay.Reproduction {
	t.Helper()
	return reproducedBy(t, python(t), program, o, between)
}

func reproducedBy(t *testing.T, interpreter, program string, o ReproduceOptions, between func(*Spec)) assay.Reproduction {
	t.Helper()
	st := openStore(t)
	dir := t.TempDir()
	write(t, dir, "train.py", "import json, os\nout = {}\n"+program+"\njson.dump(out, open(os.environ['ASSAY_OUT'] + '/metrics.json', 'w'))\n")
	first, err := Execute(t.Context(), Spec{Command: []string{interpreter, "train.py"}, Dir: dir, Seed: 7, Config: []byte("a: 1"), Files: map[string]string{"train": write(t, t.TempDir(), "train.csv", "a\n")}}, st)
	if err != nil {
		t.Fatal(err)
	}
	s, err := Recall(t.Context(), first, st)
	if err != nil {
		t.Fatal(err)
	}
	if between != nil {
		between(&s)
	}
	rec, err := Reproduce(t.Context(), first, s, o, st)
	if err != nil {
		t.Fatal(err)
	}
	rep, err := assay.Decode[assay.Reproduction](rec.Evidence)
	if err != nil {
		t.Fatal(err)
	}
	if report, err := st.(*store.SQLite).Fsck(t.Context()); err != nil || len(report.Problems)+len(report.Orphans) > 0 {
		t.Errorf("what the probes left is in the store: %+v, %v", report, err)
	}
	if rec.Subject != first.Subject || !slices.Contains(rec.Parents, first.ID) || rep.Run != first.ID {
		t.Errorf("the reproduction is not about the run: %+v", rec.Evidence)
	}
	return rep
}

func TestReproduceNamesTheCause(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		program string
		between func(*Spec)
		verdict assay.Verdict
		cause   string
	}{
		"the same":       {"import random; out['x'] = random.random()", nil, assay.Pass, ""},
		"entropy":        {"out['x'] = int.from_bytes(os.urandom(6), 'big')", nil, assay.Fail, CauseGenerator},
		"uuid":           {"import uuid; out['x'] = uuid.uuid4().int % 10**15", nil, assay.Fail, CauseGenerator},
		"clock":          {"import time; out['seconds'] = time.perf_counter()", nil, assay.Fail, CauseTime},
		"date":           {"import datetime; out['x'] = datetime.datetime.now().timestamp()", nil, assay.Fail, CauseTime},
		"threads":        {"out['x'] = 1.0 if os.environ.get('OMP_NUM_THREADS') == '1' else os.getpid()", nil, assay.Fail, CauseThreads},
		"two at once":    {"import time; out['x'] = int.from_bytes(os.urandom(6), 'big'); out['seconds'] = time.time()", nil, assay.Fail, CauseGenerator + ", " + CauseTime},
		"unknown":        {"out['x'] = os.getpid()", nil, assay.Fail, CauseUnknown},
		"changed input":  {"out['x'] = len(open(os.environ['ASSAY_TRAIN']).read())", func(s *Spec) { must(0, os.WriteFile(s.Files["train"], []byte("a,b\n"), 0o644)) }, assay.Undetermined, CauseInput},
		"entropy beside": {"os.urandom(1); out['x'] = os.getpid()", nil, assay.Fail, CauseUnknown},
		"another config": {"out['x'] = 1", func(s *Spec) { s.Config = []byte("a: 2") }, assay.Undetermined, CauseInput},
		"another script": {"out['x'] = 1", func(s *Spec) { must(0, os.WriteFile(filepath.Join(s.Dir, "train.py"), nil, 0o644)) }, assay.Undetermined, CauseInput},
		"environment":    {"out['x'] = len(os.environ.get('TF_X', ''))", func(s *Spec) { s.Env = map[string]string{"TF_X": "1"} }, assay.Fail, CauseEnvironment},
	} {
		if !assaytest.Full() && slices.Contains([]string{"entropy", "date", "two at once", "unknown", "entropy beside", "another config"}, name) {
			continue // its neighbour stands for it in the inner loop
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rep := reproduced(t, c.program, ReproduceOptions{}, c.between)
			if rep.Verdict != c.verdict || rep.Cause != c.cause || rep.Identical != (c.verdict == assay.Pass) {
				t.Errorf("%s, cause %q, differences %+v; want %s, %q", rep.Verdict, rep.Cause, rep.Differences, c.verdict, c.cause)
			}
		})
	}
}

func TestReproduceWithinATolerance(t *testing.T) {
	t.Parallel()
	const program = "out['x'] = 1 + os.getpid() % 1000000 * 1e-12; out['y'] = float('nan')"
	if rep := reproduced(t, program, ReproduceOptions{Tolerance: 1e-3, NoProbes: true}, nil); rep.Verdict != assay.Pass || rep.Identical {
		t.Errorf("within: %s, %+v", rep.Verdict, rep.Differences)
	}
	if rep := reproduced(t, "out['x'] = os.getpid()", ReproduceOptions{Tolerance: 1e-12, NoProbes: true}, nil); rep.Verdict != assay.Fail {
		t.Errorf("beyond: %s, %+v", rep.Verdict, rep.Differences)
	}
}

func TestRecallRefusesWhatItCannotGiveBack(t *testing.T) {
	st := openStore(t)
	rec, err := Execute(t.Context(), Spec{Command: []string{"true", "--password", "x"}, Dir: t.TempDir()}, st)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Recall(t.Context(), rec, st); assay.CodeOf(err) != assay.Refused || !strings.Contains(err.Error(), "secret") {
		t.Errorf("a secret in the command: %v", err)
	}
	rec.Entry.Context = nil
	if _, err := Recall(t.Context(), rec, st); assay.CodeOf(err) != assay.Unavailable {
		t.Errorf("no journal: %v", err)
	}
}

// A script that reads from a server whose answer changes. The network is held still for connections beyond this machine only, so the
// server listens on an address of this machine that is none of the loopback's.
func TestReproduceNamesTheNetwork(t *testing.T) {
	address := outward(t)
	l, err := net.Listen("tcp", net.JoinHostPort(address, "0"))
	if err != nil {
		t.Skipf("no server on %s: %v", address, err)
	}
	var calls atomic.Int64
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, calls.Add(1)) })}
	go func() { _ = server.Serve(l) }()
	t.Cleanup(func() { server.Close() })
	fetch := "import urllib.request\nurl = 'http://" + l.Addr().String() + "'\nfetch = lambda: float(urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url, timeout=10).read())\n"
	for name, c := range map[string]struct{ program, cause string }{
		"it falls back without":       {fetch + "try: out['x'] = fetch()\nexcept OSError: out['x'] = -1.0", CauseNetwork},
		"it needs the network":        {fetch + "out['x'] = fetch()", CauseNetwork},
		"the clock is the cause":      {fetch + "import time; fetch(); out['x'] = time.time()", CauseTime},
		"entropy is the cause":        {fetch + "fetch(); out['x'] = int.from_bytes(os.urandom(6), 'big')", CauseGenerator},
		"neither":                     {fetch + "try: fetch()\nexcept OSError: pass\nos.urandom(1); out['x'] = os.getpid()", CauseUnknown},
		"the network is harmless":     {fetch + "fetch(); out['x'] = 1", ""},
		"this machine does not count": {strings.ReplaceAll(fetch, address, "127.0.0.1") + "try: fetch()\nexcept OSError: pass\nout['x'] = os.getpid()", CauseUnknown},
	} {
		t.Run(name, func(t *testing.T) {
			if name != "it falls back without" && os.Getenv("ASSAY_TEST_FULL") != "1" {
				t.Skip("set ASSAY_TEST_FULL=1")
			}
			rep := reproduced(t, c.program, ReproduceOptions{}, nil)
			if rep.Cause != c.cause {
				t.Errorf("cause %q, differences %+v; want %q", rep.Cause, rep.Differences, c.cause)
			}
		})
	}
}

// Sums of real threads: LightGBM adds up in the order in which they finish when its deterministic form is off.
func TestReproduceNamesTheThreads(t *testing.T) {
	interpreter := venv(t)
	t.Setenv("ASSAY_LIGHTGBM_DETERMINISTIC", "off")
	rep := reproducedBy(t, interpreter, `
os.environ.setdefault("OMP_NUM_THREADS", "8")
import lightgbm as lgb, numpy as np
rng = np.random.default_rng(1)
X = rng.normal(size=(60000, 20)) * 10.0 ** rng.integers(-3, 3, 20); y = (rng.normal(size=60000) + X[:, 0] > 0).astype(int); w = rng.random(60000) * 1000
import hashlib
out["x"] = int(hashlib.sha256(lgb.train(dict(verbose=-1, num_leaves=127, objective="binary"), lgb.Dataset(X, y, weight=w), 20).predict(X).tobytes()).hexdigest()[:12], 16)
`, ReproduceOptions{}, nil)
	if rep.Verdict == assay.Pass {
		t.Skip("the threads finished in the same order twice")
	}
	if rep.Verdict != assay.Fail || rep.Cause != CauseThreads {
		t.Errorf("%s, cause %q, differences %+v", rep.Verdict, rep.Cause, rep.Differences)
	}
}

// outward is an address of this machine other than the loopback's.
func outward(t *testing.T) string {
	t.Helper()
	addresses, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range addresses {
		if n, ok := a.(*net.IPNet); ok && !n.IP.IsLoopback() && n.IP.To4() != nil {
			return n.IP.String()
		}
	}
	t.Skip("this machine has no address beyond the loopback")
	return ""
}
