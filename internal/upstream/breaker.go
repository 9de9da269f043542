package upstream

import (
	"sync"
	"time"

	"github.com/assay-ml/assay"
)

// Limits of a breaker.
const (
	breakAfter = 5 // failures in a row
	firstBreak = time.Second
	longBreak  = 30 * time.Second
)

// A breaker spares a server that fails: after some failures in a row requests are turned away at once for a while, then one of them is
// let through to find out; each time that it fails, the while is twice as long.
type breaker struct {
	clock    func() time.Time
	lock     sync.Mutex
	failures int
	pause    time.Duration // 0: closed
	until    time.Time
	probing  bool
}

var errBroken = assay.Errorf(assay.Unavailable, "the upstream failed several times in a row and is left alone for a moment")

// enter lets a request through, or not; leave must follow when it returns no error. probe says that the request is to find out.
func (b *breaker) enter() (probe bool, err error) {
	b.lock.Lock()
	defer b.lock.Unlock()
	if b.pause == 0 {
		return false, nil
	}
	if b.probing || b.clock().Before(b.until) {
		return false, errBroken
	}
	b.probing = true
	return true, nil
}

func (b *breaker) leave(probe bool, f fault) {
	b.lock.Lock()
	defer b.lock.Unlock()
	if probe {
		b.probing = false
	}
	switch f {
	case works:
		b.failures, b.pause = 0, 0
	case broken:
		b.failures++
		if probe || b.pause == 0 && b.failures >= breakAfter {
			b.pause = min(max(firstBreak, 2*b.pause), longBreak)
			b.until = b.clock().Add(b.pause)
		}
	case unknown:
	}
}

func (b *breaker) open() bool {
	b.lock.Lock()
	defer b.lock.Unlock()
	return b.pause > 0
}
