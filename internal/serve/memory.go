package serve

import (
	"context"
	"errors"
	"io"
	"os"
	"sync/atomic"
	"time"

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

// A Share is what one body has of the memory for all bodies. It is not safe for use by several goroutines.
type Share struct {
	of    *budget
	taken int64
}

// NewShare returns a share that has nothing yet.
func (s *Server) NewShare() Share { return Share{of: &s.bodies} }

// room is how many bytes the body may have.
func (s *Share) room() int64 { return freeBytes + s.taken }

// Grow makes room for n bytes in all. The error is one that Busy knows, or, where n is more than all bodies may have, Rejected.
func (s *Share) Grow(n int64) error {
	more := n - s.room()
	if more <= 0 {
		return nil
	}
	if s.taken+more > s.of.most {
		return assay.Errorf(assay.Rejected, "the request takes %d bytes when it is decoded, more than the %d that all requests may take", n, s.of.most)
	}
	if !s.of.take(more) {
		return errFull
	}
	s.taken += more
	return nil
}

// Fits returns an error that Busy knows where n bytes would find no room now, and takes nothing.
func (s *Share) Fits(n int64) error {
	if more := n - s.room(); more > 0 && s.of.used.Load()+more > s.of.most {
		return errFull
	}
	return nil
}

// Shrink gives back what is beyond n bytes.
func (s *Share) Shrink(n int64) {
	if less := min(s.taken, s.room()-n); less > 0 {
		s.of.used.Add(-less)
		s.taken -= less
	}
}

// GiveBack gives all of it back.
func (s *Share) GiveBack() {
	if s.taken > 0 {
		s.of.used.Add(-s.taken)
		s.taken = 0
	}
}

// errSize is the error of a body beyond the limit.
var errSize = errors.New("too large")

// Oversize reports whether an error of ReadAll is that the bytes are more than the limit.
func Oversize(err error) bool { return errors.Is(err, errSize) }

// ReadAll reads src to its end into body. It takes memory as bytes come, not as they are announced: who announces much and sends little holds
// little. expected is how many bytes there will be, or below 0. Errors are those that Busy and Oversize know, and those of src.
func (s *Share) ReadAll(src io.Reader, body []byte, expected, limit int64) ([]byte, error) {
	body = body[:0]
	most := limit + 1 // one more than may be, and one more than is expected, are how an end is seen
	if expected >= 0 {
		most = min(most, expected+1)
		if err := s.Fits(expected); err != nil {
			return body, err // before it is sent in vain
		}
	}
	for {
		n := int64(len(body))
		if n > limit {
			return body, errSize
		}
		if n >= s.room() {
			if err := s.Grow(max(min(2*n, most), n+1)); err != nil {
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
			if int64(len(body)) > limit { // the last byte came with the end
				return body, errSize
			}
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
	part := s.NewShare()
	body, err = part.ReadAll(src, nil, expected, limit)
	switch {
	case err == nil, Busy(err):
	case Oversize(err):
		err = assay.Errorf(assay.Invalid, "the body has more than the %d bytes that are allowed%w", limit, error(errEmpty{}))
	case errors.Is(err, os.ErrDeadlineExceeded):
		err = errLate
	default:
		err = assay.Errorf(assay.Invalid, "the body ends before it should: %w", bareNet(err))
	}
	return body, part.GiveBack, err
}

// Timeout is how long a request may take when its caller does not say less.
func (s *Server) Timeout() time.Duration { return s.o.Timeout }

// Keep makes the call give the memory of its message back: that of an edge which must read one to know the version. size is what the message
// takes, as len(Body) is where there is a body.
func (c *Call) Keep(part *Share, size int64) {
	c.share, c.message = *part, size
	part.taken = 0
}

// TurnAway counts a request that was refused before it was known which version it is for.
func (s *Server) TurnAway() { s.counted.unread.Add(1) }

// Enter waits for the turn of a request whose bytes are there: rows are made of them only then, because a few bytes can be many rows. The
// turn ends with the evaluation, or with the call. Of large bodies only half as many have one, so that small requests find room beside
// them. Errors are Unavailable.
func (c *Call) Enter(caller context.Context) error {
	s := c.server
	if c.turn {
		return nil
	}
	size := max(int64(len(c.Body)), c.message)
	if size <= keptBytes && s.gate.try() {
		c.turn = true
		return nil
	}
	ctx := c.deadline(caller)
	defer ctx.end()
	err := error(nil)
	if size > keptBytes {
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
		c.Outcome, c.Err = Cancelled, errGone
	}
	return c.Err
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
