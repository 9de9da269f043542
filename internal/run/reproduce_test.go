package run

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/assay-ml/assay"
)

// reproduced runs a Python program and reproduces it, with a change in between.
func reproduced(t *testing.T, program string, o ReproduceOptions, between func(*Spec)) assay.Reproduction {
	t.Helper()
	st := openStore(t)
	dir := t.TempDir()
	write(t, dir, "train.py", "import json, os\nout = {}\n"+program+"\njson.dump(out, open(os.environ['ASSAY_OUT'] + '/metrics.json', 'w'))\n")
	first, err := Execute(t.Context(), Spec{Command: []string{python(t), "train.py"}, Dir: dir, Seed: 7, Config: []byte("a: 1")}, st)
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
	if rec.Subject != first.Subject || !slices.Contains(rec.Parents, first.ID) || rep.Run != first.ID {
		t.Errorf("the reproduction is not about the run: %+v", rec.Evidence)
	}
	return rep
}

func TestReproduceNamesTheCause(t *testing.T) {
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
		"unknown":        {"out['x'] = os.getpid()", nil, assay.Fail, CauseUnknown},
		"another config": {"out['x'] = 1", func(s *Spec) { s.Config = []byte("a: 2") }, assay.Undetermined, CauseInput},
		"another script": {"out['x'] = 1", func(s *Spec) { must(0, os.WriteFile(filepath.Join(s.Dir, "train.py"), nil, 0o644)) }, assay.Undetermined, CauseInput},
		"environment":    {"out['x'] = len(os.environ.get('TF_X', ''))", func(s *Spec) { s.Env = map[string]string{"TF_X": "1"} }, assay.Fail, CauseEnvironment},
	} {
		t.Run(name, func(t *testing.T) {
			rep := reproduced(t, c.program, ReproduceOptions{}, c.between)
			if rep.Verdict != c.verdict || rep.Cause != c.cause || rep.Identical != (c.verdict == assay.Pass) {
				t.Errorf("%s, cause %q, differences %+v; want %s, %q", rep.Verdict, rep.Cause, rep.Differences, c.verdict, c.cause)
			}
		})
	}
}

func TestReproduceWithinATolerance(t *testing.T) {
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
