package serve

import "sync/atomic"

// A ring hands entries from many goroutines to one without a lock (a bounded queue of D. Vyukov's, with one consumer). A full ring takes
// nothing: it never waits.
type ring struct {
	mask uint64
	slot []slot
	_    [64]byte // head and tail are written by different processors
	head atomic.Uint64
	_    [64]byte
	tail uint64 // of the consumer
}

type slot struct {
	turn  atomic.Uint64
	entry *entry
}

// newRing makes a ring for at least n entries.
func newRing(n int) *ring {
	size := 1
	for size < n {
		size *= 2
	}
	r := &ring{mask: uint64(size - 1), slot: make([]slot, size)}
	for i := range r.slot {
		r.slot[i].turn.Store(uint64(i))
	}
	return r
}

// put adds an entry, or returns false when there is no room.
func (r *ring) put(e *entry) bool {
	at := r.head.Load()
	for {
		s := &r.slot[at&r.mask]
		switch turn := s.turn.Load(); {
		case turn == at:
			if r.head.CompareAndSwap(at, at+1) {
				s.entry = e
				s.turn.Store(at + 1)
				return true
			}
			at = r.head.Load()
		case turn < at:
			return false
		default:
			at = r.head.Load()
		}
	}
}

// take removes the oldest entry, or returns nil. One goroutine only may call it.
func (r *ring) take() *entry {
	s := &r.slot[r.tail&r.mask]
	if s.turn.Load() != r.tail+1 {
		return nil
	}
	e := s.entry
	s.entry = nil
	s.turn.Store(r.tail + r.mask + 1)
	r.tail++
	return e
}
