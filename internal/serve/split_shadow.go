package serve

import (
	"context"
	"sync"
	"sync/atomic"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/schema"
)

// Bounds of what waits to be evaluated for a comparison. What goes beyond is dropped and counted.
const (
	shadowQueue = 256
	shadowBytes = 64 << 20
)

// shadows evaluates finished calls once more with another version, one at a time and outside the path of requests.
type shadows struct {
	queue chan shadowed
	bytes atomic.Int64
	start sync.Once
	stop  chan struct{}
	done  chan struct{}
}

// A shadowed is a finished call that another version is to evaluate. Both are held until that is done.
type shadowed struct {
	call   *Call
	other  *Bound
	to     *Comparison
	split  *Split
	weight int64
}

func (s *shadows) init() {
	s.queue, s.stop, s.done = make(chan shadowed, shadowQueue), make(chan struct{}), make(chan struct{})
}

// counterpart is the version that a finished call is compared with, if any.
func (c *Call) counterpart() (*Bound, *Comparison) {
	s := c.split
	if s == nil || c.Outcome != Answered && c.Outcome != Failed || c.Rows.Rows() == 0 || refuses(c.Found) || c.Fallback && !c.failed {
		return nil, nil
	}
	switch {
	case c.bound == s.o.Canary:
		return s.o.Live, s.canary
	case c.bound == s.o.Live && s.shadow != nil:
		return s.o.Shadow, s.shadow
	}
	return nil, nil
}

// offerShadow hands a finished call to the comparison. It never waits: where requests wait for their turn or the queue is full, the
// evaluation is dropped and counted.
func (c *Call) offerShadow() {
	other, to := c.counterpart()
	if other == nil {
		return
	}
	s := &c.server.shadows
	x := shadowed{call: c, other: other, to: to, split: c.split, weight: int64(len(c.Body) + 64*c.Rows.Rows()*c.bound.in.Fields())}
	if c.server.Waiting() > 0 || s.bytes.Add(x.weight) > shadowBytes {
		s.bytes.Add(-x.weight)
		to.drop()
		return
	}
	if !other.hold() {
		s.bytes.Add(-x.weight)
		return
	}
	c.refs.Add(1)
	select {
	case s.queue <- x:
	default:
		s.bytes.Add(-x.weight)
		c.refs.Add(-1)
		other.release()
		to.drop()
	}
}

// runShadows is the goroutine that evaluates.
func (s *Server) runShadows() {
	defer close(s.shadows.done)
	for {
		select {
		case x := <-s.shadows.queue:
			s.shadow(x)
		case <-s.shadows.stop:
			for {
				select {
				case x := <-s.shadows.queue: // what waits is let go, so that its versions can close
					x.to.drop()
					s.settled(x)
				default:
					return
				}
			}
		}
	}
}

func (s *Server) settled(x shadowed) {
	s.shadows.bytes.Add(-x.weight)
	x.other.release()
	x.call.Release()
}

// shadow evaluates a call with the other version and notes both in the comparison.
func (s *Server) shadow(x shadowed) {
	defer s.settled(x)
	c := x.call
	rows, translated := c.Rows, false
	if !sameInputs(c.bound, x.other) {
		rows, translated = translate(c.Rows, x.other.in), true
		defer rows.Release()
	}
	n := rows.Rows()
	var out Output
	ctx, cancel := context.WithTimeout(context.Background(), s.o.Timeout)
	defer cancel()
	at := s.o.Clock()
	failed := translated && refuses(rows.Check(nil))
	if !failed {
		failed = x.other.evaluate(ctx, rows, c.Params, &out) != nil || x.other.check(&out, n) != ""
	}
	mine := side{out: &c.Output, failed: c.failed, spent: c.spent}
	its := side{out: &out, failed: failed, spent: s.o.Clock().Sub(at)}
	scores := !mine.failed && !its.failed && !c.Fallback
	if c.bound == x.to.candidate {
		x.to.pair(mine, its, n, scores)
	} else {
		x.to.pair(its, mine, n, scores)
	}
	if mine.failed || its.failed {
		x.split.judge()
	}
}

// translate gives rows that were read for one schema to another, by the names of the columns.
func translate(from *schema.Batch, to *schema.Validator) *schema.Batch {
	out := to.NewBatch()
	out.Add(from.Rows())
	was := from.Validator()
	for j := range to.Fields() {
		i, ok := was.Index([]byte(to.Field(j).Name))
		if !ok {
			continue
		}
		for row := range from.Rows() {
			if from.Missing(row, i) {
				out.SetNull(row, j)
				continue
			}
			switch was.Field(i).Type {
			case assay.TypeBoolean:
				x, _ := from.Int(row, i)
				out.SetBool(row, j, x != 0)
			case assay.TypeInteger:
				if x, ok := from.Int(row, i); ok {
					out.SetInt(row, j, x)
				} else {
					out.SetFloat(row, j, from.Float(row, i))
				}
			case assay.TypeNumber:
				out.SetFloat(row, j, from.Float(row, i))
			case assay.TypeString:
				text, _ := from.Text(row, i)
				out.SetText(row, j, text)
			default:
				if text := from.AppendJSON(nil, row, i); len(text) > 2 && text[0] == '"' {
					out.SetText(row, j, text[1:len(text)-1])
				}
			}
		}
	}
	return out
}
