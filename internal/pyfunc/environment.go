package pyfunc

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	"github.com/assay-ml/assay"
)

// installTimeout is how long the installation of a model's requirements may take.
const installTimeout = 15 * time.Minute

// readyFile marks an environment that is complete.
const readyFile = "assay-ready"

// Environment returns the interpreter of a private virtual environment with the given requirements, which are the text of a requirements.txt,
// for the given version of Python (MAJOR.MINOR or longer; empty: any). Environments are kept in dir by the digest of what they were made
// of: one that is there is used without a network. Errors are Unavailable, with the last line of what pip said.
func Environment(ctx context.Context, dir, version, requirements string, say func(format string, args ...any)) (string, error) {
	base, err := interpreter(version)
	if err != nil {
		return "", err
	}
	out, err := exec.CommandContext(ctx, base, "-I", "-c", "import sys; print(sys.version)").Output()
	if err != nil {
		return "", assay.Errorf(assay.Unavailable, "%s cannot be run: %w", filepath.Base(base), err)
	}
	key := assay.DigestOf([]byte(strings.Join([]string{runtime.GOOS, runtime.GOARCH, string(out), requirements}, "\x00"))).Hex()[:32]
	venv := filepath.Join(dir, key)
	python := filepath.Join(venv, "bin", "python")
	ready := filepath.Join(venv, readyFile)
	if _, err := os.Stat(ready); err == nil {
		return python, nil
	}
	cannot := func(what string, err error) (string, error) {
		return "", assay.Errorf(assay.Unavailable, "the model's Python environment cannot be made: %s: %w", what, err).
			Try("name an interpreter that has the packages as serve.python.interpreter in assay.yaml")
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return cannot("folder", err)
	}
	lock, err := os.OpenFile(venv+".lock", os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return cannot("lock", err)
	}
	defer lock.Close() // which gives the lock back
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		return cannot("lock", err)
	}
	if _, err := os.Stat(ready); err == nil { // somebody else made it meanwhile
		return python, nil
	} else if !errors.Is(err, fs.ErrNotExist) {
		return cannot("folder", err)
	}
	if err := os.RemoveAll(venv); err != nil { // what an interrupted installation left
		return cannot("folder", err)
	}
	say("Installing the model's Python requirements; the next start finds them.")
	ctx, cancel := context.WithTimeout(ctx, installTimeout)
	defer cancel()
	list := venv + ".txt"
	if err := os.WriteFile(list, []byte(requirements), 0o644); err != nil {
		return cannot("requirements", err)
	}
	defer os.Remove(list)
	for _, command := range [][]string{
		{base, "-I", "-m", "venv", venv},
		{python, "-I", "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input", "-r", list},
	} {
		var said tail
		c := exec.CommandContext(ctx, command[0], command[1:]...)
		c.Stdout, c.Stderr, c.WaitDelay = &said, &said, time.Second
		if err := c.Run(); err != nil {
			_ = os.RemoveAll(venv)
			return cannot(said.last(), err)
		}
	}
	if err := os.WriteFile(ready, nil, 0o644); err != nil {
		return cannot("folder", err)
	}
	return python, nil
}

// interpreter finds a Python of a version on the path.
func interpreter(version string) (string, error) {
	parts := strings.Split(version, ".")
	if len(parts) < 2 {
		if at, err := exec.LookPath("python3"); err == nil {
			return at, nil
		}
		return "", assay.Errorf(assay.Unavailable, "there is no python3 on the path, which the model needs").Try("install Python 3, or name an interpreter as serve.python.interpreter in assay.yaml")
	}
	minor := parts[0] + "." + parts[1]
	for _, name := range []string{"python" + minor, "python3", "python"} {
		at, err := exec.LookPath(name)
		if err != nil {
			continue
		}
		out, err := exec.Command(at, "-I", "-c", "import sys; print('%d.%d' % sys.version_info[:2])").Output()
		if err == nil && strings.TrimSpace(string(out)) == minor {
			return at, nil
		}
	}
	return "", assay.Errorf(assay.Unavailable, "there is no Python %s on the path, which the model was saved with", minor).
		Try("install Python %s, or name an interpreter that has the model's packages as serve.python.interpreter in assay.yaml", minor)
}
