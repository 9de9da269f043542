//go:build unix

package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/assay-ml/assay/internal/assaytest"
)

// childUser asks the test binary to be Assay, run by somebody who is not root.
const childUser = "ASSAY_TEST_NOBODY"

func TestMain(m *testing.M) {
	if os.Getenv(asProcess) == "1" {
		Process(os.Args[1:], os.Exit)
	}
	if os.Getenv(childUser) == "" {
		var err error
		if fixtures, err = os.MkdirTemp("", "assay-cli-test"); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(125)
		}
		assaytest.CollectSeldom()
		status := m.Run()
		_ = os.RemoveAll(fixtures)
		os.Exit(status)
	}
	if os.Geteuid() == 0 {
		const nobody = 65534
		if err := errors.Join(syscall.Setgroups(nil), syscall.Setgid(nobody), syscall.Setuid(nobody)); err != nil {
			fmt.Fprintln(os.Stderr, "the test cannot give up root:", err)
			os.Exit(125)
		}
	}
	dir, err := os.Getwd()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(125)
	}
	s := &stageManager{clock: assaytest.Clock()}
	os.Exit(Main(context.Background(), os.Args[1:], s.world(dir, os.Getenv, os.Stdin, os.Stdout, os.Stderr)))
}

// nobody is the command "nobody N assay …": like status, in a process of its own that may write only where everybody may.
func nobody(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) < 3 || args[1] != "assay" {
		ts.Fatalf("usage: nobody N assay …")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	for p := ts.MkAbs("."); len(p) > 1; p = filepath.Dir(p) { // nobody has to get here
		fi, err := os.Stat(p)
		ts.Check(err)
		if p != ts.MkAbs(".") && fi.Mode().Perm()&0o001 == 0 {
			ts.Check(os.Chmod(p, fi.Mode().Perm()|0o055))
			ts.Defer(func() { _ = os.Chmod(p, fi.Mode().Perm()) })
		}
	}
	exe, err := os.Executable()
	ts.Check(err)
	c := exec.Command(exe, args[2:]...)
	c.Dir = ts.MkAbs(".")
	c.Env = append(os.Environ(), childUser+"=1", "HOME=/nonexistent")
	c.Stdout, c.Stderr = ts.Stdout(), ts.Stderr()
	err = c.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		ts.Check(err)
	}
	if got := c.ProcessState.ExitCode(); got != want {
		ts.Fatalf("exit status %d, want %d", got, want)
	}
}

// smallDisk is the command "smalldisk FOLDER SIZE": a disk of that size in memory.
func smallDisk(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: smalldisk FOLDER SIZE")
	}
	dir := ts.MkAbs(args[0])
	ts.Check(os.MkdirAll(dir, 0o755))
	ts.Check(mountSmall(dir, args[1]))
	ts.Defer(func() { _ = unmount(dir) })
}

// mayMount reports whether the test may mount a disk. The full test, run as root on Linux, must: there it would be skipped unnoticed.
func mayMount() (bool, error) {
	dir, err := os.MkdirTemp("", "assay-mount-")
	if err != nil {
		return false, err
	}
	defer os.Remove(dir)
	if err := mountSmall(dir, "64k"); err != nil {
		if runtime.GOOS == "linux" && os.Geteuid() == 0 && os.Getenv("ASSAY_TEST_FULL") != "" {
			return false, fmt.Errorf("the full test needs a disk that can be filled: %w", err)
		}
		return false, nil
	}
	return true, unmount(dir)
}

// fill is the command "fill FILE": it takes all the room that the disk still has.
func fill(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 1 {
		ts.Fatalf("usage: fill FILE")
	}
	f, err := os.Create(ts.MkAbs(args[0]))
	ts.Check(err)
	for _, n := range []int64{1 << 16, 1 << 12} {
		for err == nil {
			_, err = io.Copy(f, strings.NewReader(strings.Repeat("x", int(n))))
		}
		if !errors.Is(err, syscall.ENOSPC) {
			ts.Fatalf("the disk is not full: %v", err)
		}
		err = nil
	}
	ts.Check(f.Close())
}
