package serve

import (
	"context"
	"sync"
	"time"
)

// A deadline is the context of an evaluation: the caller's, with a limit of time. Its timer is made when somebody asks for it: an engine
// that answers within microseconds never does, and a timer with all that belongs to it costs as much as such an answer.
type deadline struct {
	caller context.Context
	clock  func() time.Time
	began  time.Time
	limit  time.Duration

	lock   sync.Mutex
	timed  context.Context // nil before somebody asks
	cancel context.CancelFunc
}

func (d *deadline) context() context.Context {
	d.lock.Lock()
	defer d.lock.Unlock()
	if d.timed == nil {
		d.timed, d.cancel = context.WithTimeout(d.caller, d.limit-d.clock().Sub(d.began))
	}
	return d.timed
}

// Deadline implements context.Context.
func (d *deadline) Deadline() (time.Time, bool) { return d.context().Deadline() }

// Done implements context.Context.
func (d *deadline) Done() <-chan struct{} { return d.context().Done() }

// Err implements context.Context.
func (d *deadline) Err() error { return d.context().Err() }

// Value implements context.Context.
func (d *deadline) Value(key any) any {
	d.lock.Lock()
	defer d.lock.Unlock()
	if d.timed != nil {
		return d.timed.Value(key)
	}
	return d.caller.Value(key)
}

// over reports whether the caller has gone or the time is over at now.
func (d *deadline) over(now time.Time) bool {
	d.lock.Lock()
	defer d.lock.Unlock()
	return now.Sub(d.began) >= d.limit || d.caller.Err() != nil || d.timed != nil && d.timed.Err() != nil
}

// end lets go of the timer.
func (d *deadline) end() {
	d.lock.Lock()
	defer d.lock.Unlock()
	if d.cancel != nil {
		d.cancel()
	}
}
