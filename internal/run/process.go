//go:build unix

package run

import (
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/assay-ml/assay"
)

const (
	// graceAfterCancel is how long a command may tidy up between SIGTERM and SIGKILL when the context ends.
	graceAfterCancel = 10 * time.Second
	// graceAfterExit is how long processes that outlive the command may tidy up after SIGTERM.
	graceAfterExit = 2 * time.Second
	// graceForOutput is how long output that a process outside the group holds open is waited for.
	graceForOutput = time.Second
)

// An ended process: how it ended and what it used.
type ended struct {
	exit      int    // the status, or 128 + signal
	signal    string // "SIGKILL"; empty after a normal exit
	outside   bool   // a SIGKILL that Assay did not send: out of memory, most often
	orphans   bool   // processes of the group outlived the command and were ended
	detached  bool   // a process outside the group held the output open and was left alone
	user, sys time.Duration
	maxRSS    int64 // bytes
}

// start runs the command in its own process group until it and its group have ended. The standard input is empty, so that nothing
// typed becomes part of a result.
//
// Signals that arrive on the channel go to the whole group; a second SIGINT or SIGTERM becomes SIGKILL. When ctx ends the group gets
// SIGTERM, and SIGKILL after a grace time.
func start(ctx context.Context, command []string, dir string, stdin *os.File, env []string, stdout, stderr io.Writer, signals <-chan os.Signal) (ended, error) {
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Dir, cmd.Env = dir, env
	if stdin != nil {
		cmd.Stdin = stdin
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if cmd.Err == nil && !strings.ContainsRune(command[0], filepath.Separator) {
		// The command is looked up in the PATH that it will run with.
		if p, err := lookPath(command[0], env); err == nil {
			cmd.Path, cmd.Err = p, nil
		}
	}
	var pipes []*os.File
	closeAll := func() {
		for _, p := range pipes {
			p.Close()
		}
	}
	var copies sync.WaitGroup
	var children []*os.File
	for i, w := range []io.Writer{stdout, stderr} {
		r, child, err := os.Pipe()
		if err != nil {
			closeAll()
			return ended{}, assay.Errorf(assay.Unavailable, "no pipe for the command's output: %w", err)
		}
		pipes, children = append(pipes, r, child), append(children, child)
		if i == 0 {
			cmd.Stdout = child
		} else {
			cmd.Stderr = child
		}
		copies.Add(1)
		go func() {
			defer copies.Done()
			_, _ = io.Copy(w, r)
		}()
	}
	if err := cmd.Start(); err != nil {
		closeAll()
		copies.Wait()
		return ended{}, startError(command[0], err)
	}
	for _, c := range children {
		c.Close()
	}
	group := cmd.Process.Pid
	done := make(chan struct{})
	told := make(chan sent, 1)
	go func() { told <- watch(ctx, group, done, signals) }()
	err := cmd.Wait()
	close(done)
	out := outcome(cmd.ProcessState)
	ours := <-told
	if !ours.kill && out.signal == "SIGKILL" {
		out.outside = true
	}
	if err != nil {
		var exit *exec.ExitError
		if !errors.As(err, &exit) {
			closeAll()
			return out, assay.Errorf(assay.Unavailable, "the command cannot be waited for: %w", err)
		}
	}
	// A signal that ended the command most often went to its whole group. Its processes die one after the other, when the system gets
	// to them, so one that is still there just now has not outlived the command.
	switch {
	case ours.kill:
		settle(group, graceAfterCancel) // nothing stops SIGKILL: whatever is left then is about to end
	case ours.stop:
		if out.orphans = !settle(group, graceAfterExit); out.orphans {
			_ = syscall.Kill(-group, syscall.SIGKILL)
		}
	case out.signal != "" && settle(group, graceAfterExit):
	default:
		out.orphans = endGroup(group)
	}
	drained := make(chan struct{})
	go func() { copies.Wait(); close(drained) }()
	select {
	case <-drained:
	case <-time.After(graceForOutput):
		out.detached = true
	}
	closeAll()
	<-drained
	return out, nil
}

// What the group was sent while its command ran.
type sent struct {
	stop bool // SIGINT or SIGTERM
	kill bool // SIGKILL
}

// watch passes signals on to the group until done, and says what it sent.
func watch(ctx context.Context, group int, done <-chan struct{}, signals <-chan os.Signal) (out sent) {
	asked := false
	cancelled := ctx.Done()
	var last <-chan time.Time
	for {
		select {
		case <-done:
			return out
		case <-cancelled:
			cancelled, last, out.stop = nil, time.After(graceAfterCancel), true
			_ = syscall.Kill(-group, syscall.SIGTERM)
		case <-last:
			out.kill = true
			_ = syscall.Kill(-group, syscall.SIGKILL)
		case s, ok := <-signals:
			if !ok {
				signals = nil
				continue
			}
			number, ok := s.(syscall.Signal)
			if !ok {
				continue
			}
			if s == os.Interrupt || s == syscall.SIGTERM {
				if asked {
					number, out.kill = syscall.SIGKILL, true
				}
				asked, out.stop = true, true
			}
			_ = syscall.Kill(-group, number)
		}
	}
}

// endGroup ends what is left of a process group whose leader is gone, and reports whether anything was.
func endGroup(group int) bool {
	if !alive(group) {
		return false
	}
	_ = syscall.Kill(-group, syscall.SIGTERM)
	if !settle(group, graceAfterExit) {
		_ = syscall.Kill(-group, syscall.SIGKILL)
	}
	return true
}

// settle waits until nothing of the group runs, for as long as the grace time, and reports whether that came.
func settle(group int, grace time.Duration) bool {
	const step = 10 * time.Millisecond
	for range int(grace / step) {
		if !alive(group) {
			return true
		}
		time.Sleep(step)
	}
	return !alive(group)
}

// alive reports whether the group holds a process that still runs. Where /proc tells, a zombie that nobody reaps does not count.
func alive(group int) bool {
	if syscall.Kill(-group, 0) != nil {
		return false
	}
	entries, err := os.ReadDir("/proc")
	if err != nil || len(entries) == 0 {
		return true
	}
	known := false
	for _, e := range entries {
		if _, err := strconv.Atoi(e.Name()); err != nil {
			continue
		}
		b, err := os.ReadFile("/proc/" + e.Name() + "/stat")
		if err != nil {
			continue
		}
		known = true
		// The name stands in parentheses and may hold any byte; state, parent and group follow the last one.
		_, rest, ok := strings.Cut(string(b[strings.LastIndexByte(string(b), ')')+1:]), " ")
		f := strings.Fields(rest)
		if ok && len(f) > 2 && f[2] == strconv.Itoa(group) && f[0] != "Z" && f[0] != "X" {
			return true
		}
	}
	return !known
}

func outcome(state *os.ProcessState) ended {
	out := ended{exit: state.ExitCode(), user: state.UserTime(), sys: state.SystemTime()}
	if w, ok := state.Sys().(syscall.WaitStatus); ok && w.Signaled() {
		out.exit, out.signal = 128+int(w.Signal()), signalName(w.Signal())
	}
	if u, ok := state.SysUsage().(*syscall.Rusage); ok {
		out.maxRSS = residentBytes(u)
	}
	return out
}

func signalName(s syscall.Signal) string {
	names := map[syscall.Signal]string{
		syscall.SIGHUP: "SIGHUP", syscall.SIGINT: "SIGINT", syscall.SIGQUIT: "SIGQUIT", syscall.SIGILL: "SIGILL",
		syscall.SIGABRT: "SIGABRT", syscall.SIGBUS: "SIGBUS", syscall.SIGFPE: "SIGFPE", syscall.SIGKILL: "SIGKILL",
		syscall.SIGSEGV: "SIGSEGV", syscall.SIGPIPE: "SIGPIPE", syscall.SIGALRM: "SIGALRM", syscall.SIGTERM: "SIGTERM",
		syscall.SIGXCPU: "SIGXCPU", syscall.SIGXFSZ: "SIGXFSZ", syscall.SIGUSR1: "SIGUSR1", syscall.SIGUSR2: "SIGUSR2",
	}
	if n, ok := names[s]; ok {
		return n
	}
	return "signal " + strconv.Itoa(int(s))
}

func lookPath(name string, env []string) (string, error) {
	for _, dir := range filepath.SplitList(lookup(env, "PATH")) {
		if dir == "" {
			continue // the current directory is never searched
		}
		p := filepath.Join(dir, name)
		if info, err := os.Stat(p); err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0 {
			return p, nil
		}
	}
	return "", exec.ErrNotFound
}

func startError(name string, err error) error {
	base := filepath.Base(name)
	switch {
	case errors.Is(err, exec.ErrNotFound), errors.Is(err, os.ErrNotExist):
		return assay.Errorf(assay.Invalid, "the command %q was not found", base).Try("command -v %s", base)
	case errors.Is(err, os.ErrPermission):
		return assay.Errorf(assay.Invalid, "the command %q may not be executed", base).Try("chmod +x %s", base)
	case errors.Is(err, syscall.ENOEXEC):
		return assay.Errorf(assay.Invalid, "the command %q is no program: name its interpreter first", base).Try("assay run -- sh %s", base)
	}
	return assay.Errorf(assay.Unavailable, "the command %q cannot be started: %w", base, reason(err))
}
