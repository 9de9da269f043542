package pyfunc

import (
	_ "embed"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/assay-ml/assay"
)

//go:embed worker.py
var program []byte

// A worker is one Python process and all that it starts, which are a process group.
type worker struct {
	cmd   *exec.Cmd
	conn  net.Conn
	life  *os.File // its end closes when this process ends, however it does
	gone  chan struct{}
	over  atomic.Bool // it was killed for its memory
	tail  tail
	frame []byte
	limit int64
}

// tail keeps the end of what a worker says.
type tail struct {
	lock sync.Mutex
	b    []byte
}

const tailBytes = 4 << 10

func (t *tail) Write(p []byte) (int, error) {
	t.lock.Lock()
	defer t.lock.Unlock()
	t.b = append(t.b, p...)
	if len(t.b) > tailBytes {
		t.b = append(t.b[:0], t.b[len(t.b)-tailBytes:]...)
	}
	return len(p), nil
}

// last is the last line.
func (t *tail) last() string {
	t.lock.Lock()
	defer t.lock.Unlock()
	lines := strings.Split(strings.TrimSpace(string(t.b)), "\n")
	return printable([]byte(lines[len(lines)-1]))
}

// addressSpace bounds what a worker may map, well beyond what it may hold: it stops what takes memory faster than it can be watched.
func addressSpace(memory int64) int64 { return 4*memory + 8<<30 }

// launch starts a worker and waits until it has loaded the model.
func (p *Pool) launch() (*worker, error) {
	cannot := func(what string, err error) (*worker, error) {
		return nil, assay.Errorf(assay.Unavailable, "a Python worker cannot be started: %s: %w", what, err)
	}
	syscall.ForkLock.RLock()
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err == nil {
		syscall.CloseOnExec(fds[0])
		syscall.CloseOnExec(fds[1])
	}
	syscall.ForkLock.RUnlock()
	if err != nil {
		return cannot("socket", err)
	}
	ours, theirs := os.NewFile(uintptr(fds[0]), "worker"), os.NewFile(uintptr(fds[1]), "worker")
	defer ours.Close() // FileConn has a copy
	defer theirs.Close()
	conn, err := net.FileConn(ours)
	if err != nil {
		return cannot("socket", err)
	}
	stdin, life, err := os.Pipe()
	if err != nil {
		conn.Close()
		return cannot("pipe", err)
	}
	defer stdin.Close()
	w := &worker{conn: conn, life: life, gone: make(chan struct{}), limit: p.o.MemoryBytes}
	w.cmd = exec.Command(p.o.Python, "-I", "-B", "-u", "-c", string(program))
	w.cmd.Dir = p.o.Dir
	w.cmd.Env = p.o.environment()
	w.cmd.Stdin, w.cmd.Stderr = stdin, &w.tail
	w.cmd.WaitDelay = time.Second
	w.cmd.ExtraFiles = []*os.File{theirs}
	w.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := w.cmd.Start(); err != nil {
		conn.Close()
		life.Close()
		return cannot(filepath.Base(p.o.Python), err)
	}
	_ = theirs.Close() // the worker has it: its end is the end of the connection
	go func() {
		_ = w.cmd.Wait() // how it ended is told by why
		close(w.gone)
	}()
	go w.watch()
	config, err := json.Marshal(map[string]any{
		"dir": p.o.Dir, "columns": p.o.Columns, "tensor": p.o.Tensor, "matrix": p.o.Tensor && len(p.o.Columns) > 1, "address_bytes": addressSpace(p.o.MemoryBytes),
	})
	if err != nil {
		w.end()
		return cannot("settings", err)
	}
	stopped := make(chan struct{})
	defer close(stopped)
	go func() { // the end of the pool does not wait for a model to be loaded
		select {
		case <-p.stop:
			_ = conn.SetDeadline(time.Unix(1, 0))
		case <-stopped:
		}
	}()
	reply, err := w.exchange(append(binary.LittleEndian.AppendUint32(nil, uint32(len(config))), config...), p.o.StartTimeout)
	switch {
	case err != nil:
	case string(reply) == "R":
		return w, nil
	case len(reply) > 0 && reply[0] == 'E':
		err = errors.New(printable(reply[1:]))
	default:
		err = errFrame
	}
	w.end()
	return nil, assay.Errorf(assay.Unavailable, "Python cannot load the model: %w", err).Try("look at the model's requirements, and at serve.python in assay.yaml")
}

// environment is what a worker gets of this process's variables: the path, the language, and what was declared. Threads are shared out
// among the workers.
func (o *Options) environment() []string {
	out := []string{"HOME=" + o.Dir, "MLFLOW_ENABLE_ASYNC_LOGGING=false"}
	for _, name := range []string{"PATH", "LANG", "LC_ALL", "TMPDIR", "TZ"} {
		if v, ok := os.LookupEnv(name); ok {
			out = append(out, name+"="+v)
		}
	}
	for _, name := range []string{"OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"} {
		out = append(out, name+"=1")
	}
	return append(out, o.Env...)
}

// exchange sends a frame and reads one. After an error the worker is of no use.
func (w *worker) exchange(frame []byte, limit time.Duration) ([]byte, error) {
	// A deadline of the connection is the kernel's business, not a reading of the clock that results depend on.
	timer := time.AfterFunc(limit, func() { _ = w.conn.SetDeadline(time.Unix(1, 0)) })
	defer timer.Stop()
	if _, err := w.conn.Write(frame); err != nil {
		return nil, w.why(err)
	}
	b, err := readFrame(w.conn, maxFrame)
	if err != nil {
		return nil, w.why(err)
	}
	if !timer.Stop() {
		return nil, w.why(os.ErrDeadlineExceeded)
	}
	return b, nil
}

// why says how a worker was lost.
func (w *worker) why(err error) error {
	if errors.Is(err, os.ErrDeadlineExceeded) && !w.over.Load() {
		return errors.New("it took too long")
	}
	if errors.Is(err, errFrame) {
		return err
	}
	select {
	case <-w.gone:
	case <-time.After(time.Second):
		return err
	}
	if w.over.Load() {
		return fmt.Errorf("it held more than %d MB of memory", w.limit>>20)
	}
	how := w.cmd.ProcessState.String()
	if w.cmd.ProcessState.ExitCode() == 4 {
		return errors.New("it ran out of memory")
	}
	if last := w.tail.last(); last != "" {
		how += ": " + last
	}
	return errors.New(how)
}

// end kills the worker and all that it started, and waits for it.
func (w *worker) end() {
	_ = syscall.Kill(-w.cmd.Process.Pid, syscall.SIGKILL) // of a group that is gone
	w.life.Close()
	w.conn.Close()
	<-w.gone
}

// watchEvery is how often the memory of a worker is looked at.
const watchEvery = 100 * time.Millisecond

// watch kills a worker that holds too much memory. Where there is no /proc, the limit of its address space is all there is.
func (w *worker) watch() {
	t := time.NewTicker(watchEvery)
	defer t.Stop()
	page := int64(os.Getpagesize())
	for {
		select {
		case <-w.gone:
			return
		case <-t.C:
		}
		b, err := os.ReadFile("/proc/" + strconv.Itoa(w.cmd.Process.Pid) + "/statm")
		if err != nil {
			continue
		}
		fields := strings.Fields(string(b))
		if len(fields) < 2 {
			continue
		}
		if held, err := strconv.ParseInt(fields[1], 10, 64); err == nil && held*page > w.limit {
			w.over.Store(true)
			_ = syscall.Kill(-w.cmd.Process.Pid, syscall.SIGKILL)
			return
		}
	}
}
