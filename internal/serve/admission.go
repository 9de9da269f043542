package serve

import (
	"context"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/assay-ml/assay"
)

// An admission lets so many requests be evaluated at once and so many wait, each for so long; what has no place, or waited that long, is
// turned away, because a queue that grows answers nobody in time. Who waits gets a turn in the order in which they came, before anybody
// who comes later.
type admission struct {
	slots    chan struct{} // a full channel hands the slot that leave gives back to whoever waits longest
	waiting  atomic.Int64
	queue    int64
	patience time.Duration
}

func (a *admission) init(concurrent, queue int, patience time.Duration) {
	if concurrent <= 0 {
		concurrent = 4 * runtime.GOMAXPROCS(0)
	}
	a.slots, a.queue, a.patience = make(chan struct{}, concurrent), int64(queue), patience
}

// try takes a turn where one is free; leave must follow when it did.
func (a *admission) try() bool {
	select {
	case a.slots <- struct{}{}:
		return true
	default:
		return false
	}
}

// enter waits for a turn; leave must follow when it returns nil.
func (a *admission) enter(ctx context.Context) error {
	if a.try() {
		return nil
	}
	if a.waiting.Add(1) > a.queue {
		a.waiting.Add(-1)
		return errBusy
	}
	defer a.waiting.Add(-1)
	patience := time.NewTimer(a.patience)
	defer patience.Stop()
	select {
	case a.slots <- struct{}{}:
		return nil
	case <-patience.C:
		return errBusy
	case <-ctx.Done():
		return errLate
	}
}

func (a *admission) leave() { <-a.slots }

var (
	errBusy = assay.Errorf(assay.Unavailable, "the server is busy: too many requests wait, or it waited too long").Try("send the request again after a second")
	errFull = assay.Errorf(assay.Unavailable, "the server is busy: the requests that it reads take all the memory that they may").Try("send the request again after a second, or fewer large ones at once")
	errGone = assay.Errorf(assay.Unavailable, "the client went away before it was answered")
	errLate = assay.Errorf(assay.Unavailable, "the request took longer than it may")
)

// Busy reports whether err turned a request away because too many waited, or took too much memory: the edge answers 429 with Retry-After.
func Busy(err error) bool { return err == error(errBusy) || err == error(errFull) }
