package serve

import (
	"context"
	"runtime"
	"sync/atomic"

	"github.com/assay-ml/assay"
)

// An admission lets so many requests be evaluated at once and so many wait; the next one is turned away at once, because a queue that
// grows answers nobody in time.
type admission struct {
	slots   chan struct{}
	waiting atomic.Int64
	queue   int64
}

func (a *admission) init(concurrent, queue int) {
	if concurrent <= 0 {
		concurrent = 4 * runtime.GOMAXPROCS(0)
	}
	a.slots, a.queue = make(chan struct{}, concurrent), int64(queue)
}

// enter waits for a turn; leave must follow when it returns nil.
func (a *admission) enter(ctx context.Context) error {
	select {
	case a.slots <- struct{}{}:
		return nil
	default:
	}
	if a.waiting.Add(1) > a.queue {
		a.waiting.Add(-1)
		return errBusy
	}
	defer a.waiting.Add(-1)
	select {
	case a.slots <- struct{}{}:
		return nil
	case <-ctx.Done():
		return errLate
	}
}

func (a *admission) leave() { <-a.slots }

var (
	errBusy = assay.Errorf(assay.Unavailable, "the server is busy: too many requests wait").Try("send the request again after a second")
	errLate = assay.Errorf(assay.Unavailable, "the request took longer than it may")
)

// Busy reports whether err turned a request away because too many waited: the edge answers 429 or 503 with Retry-After.
func Busy(err error) bool { return err == error(errBusy) }
