package cli

import (
	"context"
	"io"
	"os"
	"os/signal"
	"sync/atomic"
	"syscall"
	"time"
)

// Process is a whole run of the binary: the command line of args in the world of the process. The first interrupt or termination asks
// for a clean stop, the second ends the process at once; either way the status is 128 and the number of the signal. exit is os.Exit.
func Process(args []string, exit func(int)) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var stopped, insisted atomic.Int32
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		for s := range signals {
			n := int32(s.(syscall.Signal))
			switch {
			case stopped.CompareAndSwap(0, n):
				cancel()
			case insisted.CompareAndSwap(0, n):
				// The group of a running command gets SIGKILL for the same signal: without the moment it could outlive us.
				time.AfterFunc(graceForGroups, func() { exit(128 + int(n)) })
			}
		}
	}()
	status := Main(ctx, args, System())
	if n := stopped.Load(); n != 0 && (status == interrupted || insisted.Load() != 0) {
		status = 128 + int(n)
	}
	exit(status)
}

// graceForGroups is how long after a second signal the process ends whatever it is doing.
const graceForGroups = 500 * time.Millisecond

// interrupted is the status of a command that was stopped before it was done.
const interrupted = 128 + int(syscall.SIGINT)

// breakable reads from r until ctx ends: a read from a terminal or a pipe would otherwise hold up a clean stop.
type breakable struct {
	ctx context.Context
	r   io.Reader
}

// Read implements io.Reader. A read that ctx broke off goes on in the background and what it gets is lost: the command is ending.
func (b breakable) Read(p []byte) (int, error) {
	type result struct {
		n   int
		err error
	}
	buf := make([]byte, len(p))
	done := make(chan result, 1)
	go func() {
		n, err := b.r.Read(buf)
		done <- result{n, err}
	}()
	select {
	case r := <-done:
		return copy(p, buf[:r.n]), r.err
	case <-b.ctx.Done():
		return 0, b.ctx.Err()
	}
}
