//go:build unix

package cli

import (
	"bytes"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// asProcess is a variable of the environment with which the test binary is Assay: a real process for tests of signals, pipes and
// terminals.
const asProcess = "ASSAY_TEST_PROCESS"

// process is a command line of Assay as a real process in dir.
func process(t *testing.T, dir string, args ...string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c := exec.Command(self, args...)
	c.Dir = dir
	c.Env = append(os.Environ(), asProcess+"=1", "NO_COLOR=")
	return c
}

// until waits for a condition of a process that is about to run.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for range 600 {
		if ok() {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Fatalf("after 30 seconds: not %s", what)
}

func exists(path string) func() bool {
	return func() bool { _, err := os.Stat(path); return err == nil }
}

// TestSignals: one interrupt stops cleanly, the second at once; the status says which signal it was, and the store is whole.
func TestSignals(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := copyFolder("testdata/people", dir); err != nil {
		t.Fatal(err)
	}
	if out, err := process(t, dir, "make").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, x := range []struct {
		name    string
		script  string
		signals []syscall.Signal
		exit    int
		says    string
	}{
		{"interrupt", "touch $MARK; sleep 60", []syscall.Signal{syscall.SIGINT}, 130, "assay: stopped\n"},
		{"terminate", "touch $MARK; sleep 60", []syscall.Signal{syscall.SIGTERM}, 143, "assay: stopped\n"},
		{"twice", "trap '' INT TERM; echo $$ >$MARK.pid; touch $MARK; while :; do sleep 1; done", []syscall.Signal{syscall.SIGINT, syscall.SIGINT}, 130, ""},
	} {
		t.Run(x.name, func(t *testing.T) {
			mark := filepath.Join(t.TempDir(), "started")
			c := process(t, dir, "run", "--", "sh", "-c", x.script)
			c.Env = append(c.Env, "MARK="+mark)
			var errs bytes.Buffer
			c.Stderr = &errs
			if err := c.Start(); err != nil {
				t.Fatal(err)
			}
			until(t, "started", exists(mark))
			began := time.Now()
			for i, s := range x.signals {
				if i > 0 {
					time.Sleep(200 * time.Millisecond)
				}
				if err := c.Process.Signal(s); err != nil {
					t.Fatal(err)
				}
			}
			_ = c.Wait()
			if got := c.ProcessState.ExitCode(); got != x.exit {
				t.Errorf("exit status %d, want %d\n%s", got, x.exit, errs.String())
			}
			if took := time.Since(began); took > 20*time.Second {
				t.Errorf("it took %v to stop", took)
			}
			if !strings.HasSuffix(errs.String(), x.says) {
				t.Errorf("standard error is %q", errs.String())
			}
			if raw, err := os.ReadFile(mark + ".pid"); err == nil {
				pid, err := strconv.Atoi(strings.TrimSpace(string(raw)))
				if err != nil {
					t.Fatal(err)
				}
				until(t, "gone", func() bool { return syscall.Kill(-pid, 0) != nil })
			}
		})
	}
	if out, err := process(t, dir, "fsck").CombinedOutput(); err != nil {
		t.Errorf("after the signals: %v\n%s", err, out)
	}
}

// TestStopWhileReading: a command that waits for its standard input stops cleanly too.
func TestStopWhileReading(t *testing.T) {
	t.Parallel()
	c := process(t, t.TempDir(), "profile", "-")
	in, err := c.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	var errs bytes.Buffer
	c.Stderr = &errs
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(in, "a,b\n1,2\n"); err != nil {
		t.Fatal(err)
	}
	time.Sleep(500 * time.Millisecond)
	if err := c.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- c.Wait() }()
	select {
	case <-done:
	case <-time.After(20 * time.Second):
		_ = c.Process.Kill()
		t.Fatal("it still waits for its standard input")
	}
	if c.ProcessState.ExitCode() != 130 || errs.String() != "assay: stopped\n" {
		t.Errorf("exit status %d, %q", c.ProcessState.ExitCode(), errs.String())
	}
}

// TestPipe: what goes into a pipe holds no control characters and no progress.
func TestPipe(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := copyFolder("testdata/people", dir); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"profile"}, {"--help"}, {"make", "split"}} {
		c := process(t, dir, args...)
		var out, errs bytes.Buffer
		c.Stdout, c.Stderr = &out, &errs
		if err := c.Run(); err != nil {
			t.Errorf("assay %v: %v\n%s", args, err, errs.String())
		}
		if s := out.String() + errs.String(); strings.ContainsAny(s, "\x1b\r\b") || strings.Contains(s, "columns [") {
			t.Errorf("assay %v writes for a terminal into a pipe: %q", args, s)
		}
	}
}

// TestBashCompletion: bash itself completes commands, stages and flags with the script that Assay prints.
func TestBashCompletion(t *testing.T) {
	t.Parallel()
	bash, err := exec.LookPath("bash")
	if err != nil {
		t.Skip("no bash")
	}
	dir := t.TempDir()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(self, filepath.Join(dir, "assay")); err != nil {
		t.Fatal(err)
	}
	// what bash-completion's _get_comp_words_by_ref and __ltrim_colon_completions do, for words without colons
	const harness = `
_get_comp_words_by_ref() { words=("${COMP_WORDS[@]}"); cword=$COMP_CWORD; cur=${COMP_WORDS[COMP_CWORD]}; prev=${COMP_WORDS[COMP_CWORD-1]}; }
__ltrim_colon_completions() { :; }
_init_completion() { _get_comp_words_by_ref; }
source <(assay completion bash)
for line in "assay ev" "assay make sn" "assay promote --to st" "assay eval --fi"; do
	COMP_LINE=$line COMP_POINT=${#line}; read -ra COMP_WORDS <<<"$line"; COMP_CWORD=$((${#COMP_WORDS[@]}-1)); COMPREPLY=()
	__start_assay; echo "$line: ${COMPREPLY[*]}"
done`
	c := exec.Command(bash, "--noprofile", "--norc", "-c", harness)
	c.Dir = dir
	c.Env = append(os.Environ(), asProcess+"=1", "PATH="+dir+":"+os.Getenv("PATH"))
	out, err := c.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, want := range []string{"assay ev: ev", "assay make sn: snapshot", "assay promote --to st: staging", "assay eval --fi: --final"} {
		if !strings.Contains(string(out), want) {
			t.Errorf("bash does not complete %q:\n%s", want, out)
		}
	}
}
