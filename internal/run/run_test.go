package run

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/assaytest"
	"github.com/google/go-cmp/cmp"
)

// memory keeps blobs in a map.
type memory struct {
	mu    sync.Mutex
	bytes map[assay.Digest][]byte
}

func (m *memory) Put(_ context.Context, r io.Reader) (assay.Digest, int64, error) {
	b, err := io.ReadAll(r)
	if err != nil {
		return "", 0, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.bytes == nil {
		m.bytes = map[assay.Digest][]byte{}
	}
	d := assay.DigestOf(b)
	m.bytes[d] = b
	return d, int64(len(b)), nil
}

func python(t *testing.T) string {
	t.Helper()
	p, err := exec.LookPath("python3")
	if err != nil {
		t.Fatal("the tests of runs need python3 in the PATH")
	}
	return p
}

// venv returns the interpreter of the project's virtual environment. The tests that need it take a minute together, so they are for
// the full test command, which makes the environment first.
func venv(t *testing.T) string {
	t.Helper()
	if os.Getenv("ASSAY_TEST_FULL") != "1" {
		t.Skip("set ASSAY_TEST_FULL=1")
	}
	p := filepath.Join(assaytest.Root(), ".cache", "venv", "bin", "python")
	if _, err := os.Stat(p); err != nil {
		t.Fatal("no Python packages: run scripts/pyenv.sh")
	}
	return p
}

func write(t *testing.T, dir, name, text string) string {
	t.Helper()
	p := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(p, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return p
}

// script runs a Python program in a directory of its own and returns what it printed.
func script(t *testing.T, interpreter, program string, change func(*Spec)) (result, string) {
	t.Helper()
	dir := t.TempDir()
	write(t, dir, "train.py", program)
	var out bytes.Buffer
	s := Spec{Command: []string{interpreter, "train.py"}, Dir: dir, Seed: 7, Stdout: &out, Stderr: &out, Clock: assaytest.Clock()}
	if change != nil {
		change(&s)
	}
	res, err := execute(t.Context(), s, &memory{})
	if err != nil {
		t.Fatal(err)
	}
	return res, out.String()
}

func TestExecuteRecordsWhatWasRun(t *testing.T) {
	dir := t.TempDir()
	train := write(t, dir, "data/train.csv", "x,y\n1,0\n")
	write(t, dir, "train.py", `
import json, os
config = json.load(open(os.environ["ASSAY_CONFIG"]))
rate = config["params"]["learning_rate"]
assert os.environ["ASSAY_CONFIG_PARAMS_LEARNING_RATE"] == "0.1", os.environ["ASSAY_CONFIG_PARAMS_LEARNING_RATE"]
assert open(os.environ["ASSAY_TRAIN"]).read().startswith("x,y")
assert "ASSAY_VALIDATION" not in os.environ
out = os.environ["ASSAY_OUT"]
json.dump({"roc_auc_score": 0.75, "undefined": float("nan")}, open(out + "/metrics.json", "w"))
json.dump({"learning_rate": rate, "api_key": "abc"}, open(out + "/params.json", "w"))
with open(out + "/metrics.jsonl", "w") as f:
    for step in range(3):
        print(json.dumps({"step": step, "loss": 1.0 / (step + 1)}), file=f)
os.mkdir(out + "/deep")
open(out + "/deep/model.bin", "wb").write(b"\0\1")
open(out + "/model.onnx", "wb").write(b"model")
print("done")
`)
	digest := assay.DigestOf([]byte("rows"))
	store := &memory{}
	s := Spec{
		Command: []string{python(t), "train.py", "--data", train, "--token=hunter22"}, Dir: dir, Seed: 7,
		Config: []byte("params: {learning_rate: 0.1}\n"),
		Files:  map[string]string{"train": train}, Inputs: map[string]assay.Digest{"train": digest},
		Env: map[string]string{"MODE": "quick", "DB_PASSWORD": "correct horse"}, Clock: assaytest.Clock(),
	}
	res, err := execute(t.Context(), s, store)
	if err != nil {
		t.Fatal(err)
	}
	r := res.run
	if r.Status != Finished || r.Exit != 0 || len(r.Problems) != 0 {
		t.Fatalf("status %s, exit %d, problems %q; log:\n%s", r.Status, r.Exit, r.Problems, store.bytes[assay.Digest(res.context["log"])])
	}
	if want := []string{"python3", "train.py", "--data", "$ASSAY_TRAIN", "--token=" + redacted}; !slices.Equal(r.Spec.Command, want) {
		t.Errorf("command %q, want %q", r.Spec.Command, want)
	}
	if want := map[string]assay.Digest{"train": digest}; !cmp.Equal(r.Spec.Inputs, want) {
		t.Errorf("inputs %v", r.Spec.Inputs)
	}
	if want := assay.DigestOf([]byte(`{"params":{"learning_rate":0.1}}`)); r.Spec.Config != want {
		t.Errorf("config digest %s, want that of the canonical JSON", r.Spec.Config)
	}
	b, _ := json.Marshal(r.Metrics)
	if want := `{"loss":0.3333333333333333,"roc_auc_score":0.75,"undefined":null}`; string(b) != want {
		t.Errorf("metrics %s, want %s", b, want)
	}
	if want := map[string]string{"learning_rate": "0.1", "api_key": redacted}; !cmp.Equal(r.Params, want) {
		t.Errorf("params %v, want %v", r.Params, want)
	}
	var names []string
	for _, f := range r.Outputs {
		names = append(names, f.Name)
		if int64(len(store.bytes[f.Digest])) != f.Bytes {
			t.Errorf("%s: %d bytes kept, %d recorded", f.Name, len(store.bytes[f.Digest]), f.Bytes)
		}
	}
	if want := []string{"deep/model.bin", "metrics.json", "metrics.jsonl", "model.onnx", "params.json"}; !slices.Equal(names, want) {
		t.Errorf("outputs %q, want %q", names, want)
	}
	if r.Model != assay.DigestOf([]byte("model")) {
		t.Errorf("model %s", r.Model)
	}
	if r.Environment.Variables["MODE"] != "quick" || r.Environment.Variables["DB_PASSWORD"] != redacted || r.Environment.Variables["PYTHONHASHSEED"] != "7" {
		t.Errorf("variables %v", r.Environment.Variables)
	}
	if !strings.HasPrefix(r.Environment.Interpreter, "CPython 3.") || r.Environment.Packages["pip"] == "" || r.Environment.Lock == "" {
		t.Errorf("environment %+v", r.Environment)
	}
	if want := []string{"no_git"}; !slices.Equal(r.Missing, want) || r.Score != 0.85 {
		t.Errorf("missing %q, score %v", r.Missing, r.Score)
	}
	payload, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	host, _ := os.Hostname()
	for _, leak := range []string{dir, os.TempDir() + "/", "hunter22", "correct horse", host} {
		if leak != "" && bytes.Contains(payload, []byte(leak)) {
			t.Errorf("the payload holds %q", leak)
		}
	}
	if res.context["seconds"] != "1.000" || res.context["max_rss_bytes"] == "0" {
		t.Errorf("context %v", res.context)
	}

	again, err := execute(t.Context(), s, &memory{})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(payload, must(json.Marshal(again.run))); diff != "" || again.subject != res.subject {
		t.Errorf("a second execution gives another payload:\n%s", diff)
	}
	write(t, dir, "train.py", "pass")
	other, err := execute(t.Context(), s, &memory{})
	if err != nil {
		t.Fatal(err)
	}
	if other.subject == res.subject {
		t.Error("a changed script has the same subject")
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic("BUG: " + err.Error())
	}
	return v
}

func TestExecuteRefusesWhatCannotRun(t *testing.T) {
	full := t.TempDir()
	write(t, full, "old.txt", "")
	for name, c := range map[string]struct {
		change func(*Spec)
		code   assay.Code
		want   string
	}{
		"no command":     {func(s *Spec) { s.Command = nil }, assay.Invalid, "no command"},
		"not found":      {func(s *Spec) { s.Command = []string{"no-such-command-here"} }, assay.Invalid, `the command "no-such-command-here" was not found`},
		"not executable": {func(s *Spec) { s.Command = []string{filepath.Join(full, "old.txt")} }, assay.Invalid, `may not be executed`},
		"config a list":  {func(s *Spec) { s.Config = []byte("- 1\n") }, assay.Invalid, "the configuration of the run is not a YAML mapping"},
		"config broken":  {func(s *Spec) { s.Config = []byte("a: [\n") }, assay.Invalid, "the configuration of the run"},
		"full directory": {func(s *Spec) { s.Out = full }, assay.Exists, "holds 1 files of something else"},
		"input gone":     {func(s *Spec) { s.Files = map[string]string{"train": "nowhere.csv"} }, assay.Invalid, `the file of input "train" cannot be read`},
		"input's name":   {func(s *Spec) { s.Files = map[string]string{"seed": "x"} }, assay.Invalid, `"seed" is no name of an input`},
		"all of them": {func(s *Spec) {
			s.Command, s.Inputs, s.Env = nil, map[string]assay.Digest{"a": "x"}, map[string]string{"A=B": "", "ASSAY_HOOK_ROLE": "x"}
		}, assay.Invalid, "4 problems"},
		"no directory": {func(s *Spec) { s.Dir = filepath.Join(full, "absent") }, "", ""},
	} {
		s := Spec{Command: []string{"true"}, Dir: t.TempDir()}
		c.change(&s)
		_, err := execute(t.Context(), s, &memory{})
		if err == nil || c.code != "" && assay.CodeOf(err) != c.code || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v (%s), want %s with %q", name, err, assay.CodeOf(err), c.code, c.want)
		}
		if err != nil && strings.Contains(err.Error(), full) {
			t.Errorf("%s: the message holds a path: %v", name, err)
		}
	}
}

func TestAnUnwritableOutputDirectoryIsAClearError(t *testing.T) {
	file := write(t, t.TempDir(), "file", "")
	_, err := execute(t.Context(), Spec{Command: []string{"true"}, Dir: t.TempDir(), Out: filepath.Join(file, "out")}, &memory{})
	if assay.CodeOf(err) != assay.Unavailable || !strings.Contains(err.Error(), "the output directory cannot be used") {
		t.Errorf("got %v", err)
	}
}

func TestHowACommandEndsIsRecorded(t *testing.T) {
	for _, c := range []struct {
		program, status, signal string
		exit                    int
	}{
		{"exit 0", Finished, "", 0},
		{"exit 3", Failed, "", 3},
		{"kill -9 $$", Killed, "SIGKILL", 137},
		{"kill -TERM $$", Killed, "SIGTERM", 143},
		{"kill -SEGV $$", Killed, "SIGSEGV", 139},
	} {
		res, err := execute(t.Context(), Spec{Command: []string{"sh", "-c", c.program}, Dir: t.TempDir()}, &memory{})
		if err != nil {
			t.Fatal(err)
		}
		if r := res.run; r.Status != c.status || r.Exit != c.exit || r.Signal != c.signal {
			t.Errorf("%s: %s, exit %d, signal %q; want %+v", c.program, r.Status, r.Exit, r.Signal, c)
		}
		if outside := slices.Contains(res.run.Problems, "SIGKILL came from outside: the system may have run out of memory"); outside != (c.signal == "SIGKILL") {
			t.Errorf("%s: problems %q", c.program, res.run.Problems)
		}
	}
}

// running starts a command that prints "ready" and returns once it did.
func running(t *testing.T, ctx context.Context, program string, variables ...string) (signals chan os.Signal, done chan result) {
	t.Helper()
	r, w := io.Pipe()
	signals, done = make(chan os.Signal, 4), make(chan result, 1)
	env := map[string]string{}
	for _, v := range variables {
		name, value, _ := strings.Cut(v, "=")
		env[name] = value
	}
	dir := t.TempDir()
	go func() {
		res, err := execute(ctx, Spec{Command: []string{"sh", "-c", program}, Dir: dir, Env: env, Stdout: w, Signals: signals}, &memory{})
		if err != nil {
			t.Error(err)
		}
		w.Close()
		done <- res
	}()
	buf := make([]byte, 64)
	for seen := ""; !strings.Contains(seen, "ready"); {
		n, err := r.Read(buf)
		if err != nil {
			t.Fatalf("the command ended before it was ready: %v", err)
		}
		seen += string(buf[:n])
	}
	go func() { _, _ = io.Copy(io.Discard, r) }()
	return signals, done
}

func wait(t *testing.T, done chan result) assay.Run {
	t.Helper()
	select {
	case res := <-done:
		return res.run
	case <-time.After(30 * time.Second):
		t.Fatal("the command did not end")
	}
	panic("BUG: unreachable")
}

func TestSignalsPassThrough(t *testing.T) {
	const tidy = `trap 'echo tidy; exit 5' INT TERM; echo ready; while :; do sleep 0.05; done`
	const deaf = `trap '' INT TERM; echo ready; while :; do sleep 0.05; done`
	for _, s := range []os.Signal{os.Interrupt, syscall.SIGTERM} {
		signals, done := running(t, t.Context(), tidy)
		signals <- s
		if r := wait(t, done); r.Status != Failed || r.Exit != 5 {
			t.Errorf("%v once: %s, exit %d, want the command's own 5", s, r.Status, r.Exit)
		}
		signals, done = running(t, t.Context(), deaf)
		signals <- s
		signals <- s
		if r := wait(t, done); r.Status != Killed || r.Exit != 137 || len(r.Problems) != 0 {
			t.Errorf("%v twice: %s, exit %d, problems %q", s, r.Status, r.Exit, r.Problems)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	_, done := running(t, ctx, `echo ready; sleep 60`)
	cancel()
	if r := wait(t, done); r.Status != Killed || r.Signal != "SIGTERM" || r.Exit != 143 || len(r.Problems) != 0 {
		t.Errorf("a cancelled context: %s %s %d, problems %q", r.Status, r.Signal, r.Exit, r.Problems)
	}
}

// A stop goes to the whole group; what tidies up a moment longer than the command, or is just being killed, has not outlived it.
func TestAStoppedGroupMayTidyUp(t *testing.T) {
	for _, c := range []struct {
		name, child string
		orphans     bool
	}{
		{"tidies up", `trap 'sleep 0.3; exit 0' TERM; echo ready; while :; do sleep 0.05; done`, false},
		{"is deaf", `trap '' TERM; echo ready; while :; do sleep 0.05; done`, true},
	} {
		signals, done := running(t, t.Context(), `trap 'exit 5' TERM; sh -c "$CHILD" & while :; do sleep 0.05; done`, "CHILD="+c.child)
		signals <- syscall.SIGTERM
		r := wait(t, done)
		if reported := slices.Contains(r.Problems, "processes outlived the command and were ended"); r.Exit != 5 || reported != c.orphans {
			t.Errorf("a child that %s: exit %d, problems %q", c.name, r.Exit, r.Problems)
		}
	}
}

func TestAProcessThatOutlivesTheCommandIsEnded(t *testing.T) {
	dir := t.TempDir()
	start := time.Now()
	res, err := execute(t.Context(), Spec{Command: []string{"sh", "-c", `sleep 300 & echo $! > pid`}, Dir: dir}, &memory{})
	if err != nil {
		t.Fatal(err)
	}
	if took := time.Since(start); took > 20*time.Second {
		t.Errorf("it took %v", took)
	}
	if r := res.run; r.Status != Finished || !slices.Contains(r.Problems, "processes outlived the command and were ended") {
		t.Errorf("status %s, problems %q", r.Status, r.Problems)
	}
	var pid int
	fmt.Sscan(string(must(os.ReadFile(filepath.Join(dir, "pid")))), &pid)
	if b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid)); err == nil && !strings.Contains(string(b), ") Z ") {
		t.Errorf("process %d still runs", pid)
	}
}

func TestTheLogIsKeptWithoutSecrets(t *testing.T) {
	store := &memory{}
	res, err := execute(t.Context(), Spec{
		Command: []string{"sh", "-c", `echo out; echo "$MY_API_KEY" >&2; echo AKIAABCDEFGHIJKLMNOP; printf last`}, Dir: t.TempDir(),
		Env: map[string]string{"MY_API_KEY": "s3cr3t-value-x"},
	}, store)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(string(store.bytes[assay.Digest(res.context["log"])]), "\n")
	slices.Sort(lines)
	if want := []string{redacted, redacted, "last", "out"}; !slices.Equal(lines, want) {
		t.Errorf("log lines %q, want %q", lines, want)
	}
}

// TestTheStreamsDoNotMix writes half a secret on one stream, a line on the other, and then the other half.
func TestTheStreamsDoNotMix(t *testing.T) {
	l, err := openLog(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.close()
	out, errs := l.tee(nil), l.tee(nil)
	for _, x := range []struct {
		to   io.Writer
		text string
	}{{out, "the key is s3cr3t-"}, {errs, "a warning\nhalf a"}, {out, "value-x, see\nand "}, {errs, " line"}, {out, "the end"}} {
		if _, err := io.WriteString(x.to, x.text); err != nil {
			t.Fatal(err)
		}
	}
	store := &memory{}
	d, err := l.keep(t.Context(), store, []string{"s3cr3t-value-x"})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := string(store.bytes[d]), "a warning\nthe key is "+redacted+", see\nand the end\nhalf a line"; got != want {
		t.Errorf("the log is %q, want %q", got, want)
	}
}

func TestTooManyOutputsFailTheRun(t *testing.T) {
	res, err := execute(t.Context(), Spec{
		Command: []string{"sh", "-c", `cd "$ASSAY_OUT"; i=0; while [ $i -lt 5000 ]; do : > f$i; i=$((i+1)); done; echo '{"loss": 1}' > metrics.json`}, Dir: t.TempDir(),
	}, &memory{})
	if err != nil {
		t.Fatal(err)
	}
	r := res.run
	if r.Status != Failed || r.Exit != 0 || len(r.Outputs) != 1 || r.Metrics["loss"] != 1 {
		t.Errorf("%s, exit %d, %d outputs, metrics %v", r.Status, r.Exit, len(r.Outputs), r.Metrics)
	}
	if want := "5001 files are in the output directory, at most 4096 are kept: write them into one archive"; !slices.Contains(r.Problems, want) {
		t.Errorf("problems %q", r.Problems)
	}
}

func TestALinkInTheOutputIsNotFollowed(t *testing.T) {
	secret := write(t, t.TempDir(), "secret", "private")
	store := &memory{}
	res, err := execute(t.Context(), Spec{Command: []string{"sh", "-c", `ln -s "` + secret + `" "$ASSAY_OUT/metrics.json"`}, Dir: t.TempDir()}, store)
	if err != nil {
		t.Fatal(err)
	}
	if _, kept := store.bytes[assay.DigestOf([]byte("private"))]; kept || len(res.run.Outputs) != 0 || len(res.run.Problems) == 0 {
		t.Errorf("outputs %v, problems %q", res.run.Outputs, res.run.Problems)
	}
}

func TestAnInputThatChangesFailsTheRun(t *testing.T) {
	dir := t.TempDir()
	f := write(t, dir, "train.csv", "a")
	res, err := execute(t.Context(), Spec{Command: []string{"sh", "-c", `echo more >> "$ASSAY_TRAIN"`}, Dir: dir, Files: map[string]string{"train": f}}, &memory{})
	if err != nil {
		t.Fatal(err)
	}
	if r := res.run; r.Status != Failed || !slices.Contains(r.Problems, `the file of input "train" changed while the command ran`) || !slices.Contains(r.Missing, "unversioned_input: train") {
		t.Errorf("status %s, problems %q, missing %q", r.Status, r.Problems, r.Missing)
	}
}

func TestRequirementsSumToOne(t *testing.T) {
	sum := 0.0
	var all []string
	for _, r := range Requirements() {
		sum += r.Weight
		all = append(all, r.Code)
	}
	if sum < 0.999999 || sum > 1.000001 || score(nil) != 1 || score(all) != 0 || score([]string{"unpinned_package: x", "unpinned_package: y"}) != 0.85 {
		t.Errorf("weights sum to %v; scores %v, %v", sum, score(nil), score(all))
	}
}
