package serve

import (
	"context"
	"errors"
	"io"
	"sync/atomic"

	"github.com/assay-ml/assay"
)

const (
	// freeBytes of every body take no part in the budget, so that a small request never waits for a large one, nor is turned away for it.
	freeBytes = 32 << 10
	// bodiesAtOnce is how many bodies of the largest size the budget has room for.
	bodiesAtOnce = 4
)

// A budget is how many bytes the bodies of all requests may take at once, beyond those that are free.
type budget struct {
	used atomic.Int64
	most int64
}

func (b *budget) take(n int64) bool {
	if b.used.Add(n) > b.most {
		b.used.Add(-n)
		return false
	}
	return true
}

// A share is what one body has of a budget.
type share struct {
	of    *budget
	taken int64
}

// room is how many bytes the body may have.
func (s *share) room() int64 { return freeBytes + s.taken }

// grow makes room for n bytes.
func (s *share) grow(n int64) error {
	more := n - s.room()
	if more <= 0 {
		return nil
	}
	if !s.of.take(more) {
		return errFull
	}
	s.taken += more
	return nil
}

func (s *share) giveBack() {
	s.of.used.Add(-s.taken)
	s.taken = 0
}

// errSize is the error of a body beyond the limit.
var errSize = errors.New("too large")

// read reads src to its end into body. It takes memory as bytes come, not as they are announced: who announces much and sends little holds
// little. expected is how many bytes there will be, or below 0. Errors are errFull, errSize, and those of src.
func (s *share) read(src io.Reader, body []byte, expected, limit int64) ([]byte, error) {
	body = body[:0]
	most := limit + 1 // one more than may be, and one more than is expected, are how an end is seen
	if expected >= 0 {
		most = min(most, expected+1)
		if expected > s.room() && s.of.used.Load()+expected-s.room() > s.of.most {
			return body, errFull // before it is sent in vain
		}
	}
	for {
		n := int64(len(body))
		if n > limit {
			return body, errSize
		}
		if n >= s.room() {
			if err := s.grow(max(min(2*n, most), n+1)); err != nil {
				return body, err
			}
		}
		if len(body) == cap(body) {
			grown := make([]byte, n, max(min(s.room(), most, max(2*n, 512)), n+1))
			if expected >= 0 && n == 0 {
				grown = make([]byte, 0, min(s.room(), most))
			}
			copy(grown, body)
			body = grown
		}
		got, err := src.Read(body[n:min(int64(cap(body)), s.room(), limit+1)])
		body = body[:n+int64(got)]
		if errors.Is(err, io.EOF) {
			return body, nil
		}
		if err != nil {
			return body, err
		}
	}
}

// ReadAll reads what is no prediction, at most limit bytes, within the memory for all bodies. done gives the memory back and must be called
// when the bytes are no longer needed, also after an error. Errors are Unavailable (Busy) and Invalid.
func (s *Server) ReadAll(src io.Reader, expected, limit int64) (body []byte, done func(), err error) {
	part := &share{of: &s.bodies}
	body, err = part.read(src, nil, expected, limit)
	switch {
	case err == nil, Busy(err):
	case errors.Is(err, errSize):
		err = assay.Errorf(assay.Invalid, "the body has more than the %d bytes that are allowed%w", limit, error(errEmpty{}))
	default:
		err = assay.Errorf(assay.Invalid, "the body ends before it should: %w", err)
	}
	return body, part.giveBack, err
}

// Enter waits for the turn of a request whose bytes are there: rows are made of them only then, because a few bytes can be many rows. The
// turn ends with the evaluation, or with the call. Of large bodies only half as many have one, so that small requests find room beside
// them. Errors are Unavailable.
func (c *Call) Enter(caller context.Context) error {
	s := c.server
	if c.turn {
		return nil
	}
	if len(c.Body) <= keptBytes && s.gate.try() {
		c.turn = true
		return nil
	}
	ctx := c.deadline(caller)
	defer ctx.end()
	err := error(nil)
	if len(c.Body) > keptBytes {
		if err = s.large.enter(ctx); err == nil {
			c.large = true
		}
	}
	if err == nil {
		err = s.gate.enter(ctx)
	}
	if err == nil {
		c.turn = true
		return nil
	}
	c.leave()
	return c.shed(caller, err)
}

// shed notes that there was no room or no time for the call.
func (c *Call) shed(caller context.Context, err error) error {
	c.Outcome, c.Err = Shed, err
	if errors.Is(caller.Err(), context.Canceled) {
		c.Outcome = Cancelled
	}
	return err
}

// leave ends the turn of the call, if it has one.
func (c *Call) leave() {
	if c.turn {
		c.turn = false
		c.server.gate.leave()
	}
	if c.large {
		c.large = false
		c.server.large.leave()
	}
}
