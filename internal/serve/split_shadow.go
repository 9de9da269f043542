package serve

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"

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

	running context.Context // of evaluations: over when the server stops
	end     context.CancelFunc
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
	s.running, s.end = context.WithCancel(context.Background())
}

// counterpart is the version that a finished call is compared with, if any.
func (c *Call) counterpart() (*Bound, *Comparison) {
	s := c.split
	if s == nil || c.Rows.Rows() == 0 {
		return nil, nil
	}
	failed, refused, asked := c.unanswered()
	if !asked || c.Outcome == Malformed || c.Fallback && !failed || refused && (c.bound != s.o.Canary || unread(c.Found)) {
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

// unread reports whether rows are refused for values that were not read, so that another version cannot be given them.
func unread(found []schema.RowViolation) bool {
	return slices.ContainsFunc(found, func(v schema.RowViolation) bool {
		return v.Severity == schema.Error && !v.Tolerated && slices.Contains([]string{schema.RuleType, schema.RuleUnknown, schema.RuleDuplicate}, v.Rule)
	})
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

// shadow evaluates a call with the other version and notes both in the comparison. Where one of them alone has no answer, it asks both again.
func (s *Server) shadow(x shadowed) {
	defer s.settled(x)
	c := x.call
	rows := c.Rows
	translated := !sameInputs(c.bound, x.other)
	if translated {
		rows = translate(c.Rows, x.other.in)
		defer rows.Release()
	}
	limit := s.o.Timeout
	if c.Limit > 0 {
		limit = min(limit, c.Limit)
	}
	var out Output
	its := s.attempt(x.other, rows, c.Params, limit, translated, &out)
	if s.shadows.running.Err() != nil {
		x.to.drop()
		return
	}
	failed, refused, _ := c.unanswered()
	mine := side{out: &c.Output, failed: failed || refused, spent: c.spent}
	theirs := side{out: &out, failed: its.ended != Answered, spent: its.took}
	scores := !mine.failed && !theirs.failed && !c.Fallback && !its.stand
	// Rows that the other version refuses for want of columns that it alone reads say nothing.
	if mine.failed != theirs.failed && !(its.ended == Refused && translated && lacks(c.bound.in, x.other.in)) {
		s.again(x, rows, refused, limit, translated)
	}
	if c.bound == x.to.candidate {
		x.to.pair(mine, theirs, rows.Rows(), scores)
	} else {
		x.to.pair(theirs, mine, rows.Rows(), scores)
	}
	x.split.Judge()
}

// again asks both versions once more for rows that one of them alone did not answer, one after the other. Who comes first is chosen by a
// hash of the rows: whatever failed at the time of the request, and whatever fails now for reasons that have nothing to do with a version,
// is each version's with probability ½. Rows that both evaluated with the same inputs and the same answer count as one however often they
// are sent.
func (s *Server) again(x shadowed, rows *schema.Batch, refused bool, limit time.Duration, translated bool) {
	c := x.call
	key := hashed(contents(c.Rows))
	mine := func() Outcome {
		if refused && c.Outcome == Refused && refuses(c.Found) {
			return Refused // as the same rows always are
		}
		return s.attempt(c.bound, c.Rows, c.Params, limit, false, new(Output)).ended
	}
	theirs := func() Outcome {
		return s.attempt(x.other, rows, c.Params, limit, translated, new(Output)).ended
	}
	var a, b Outcome
	if scatter(key)>>63 == 0 {
		a = mine()
		b = theirs()
	} else {
		b = theirs()
		a = mine()
	}
	if (a == Answered) == (b == Answered) || s.shadows.running.Err() != nil {
		return
	}
	x.to.trial.count(testPairs, key, 0.5, (a != Answered) == (c.bound == x.to.candidate))
}

// contents is the rows' values as JSON.
func contents(rows *schema.Batch) []byte {
	var out []byte
	for row := range rows.Rows() {
		for i := range rows.Validator().Fields() {
			if raw, ok := rows.Raw(row, i); ok {
				out = append(out, raw...)
			} else {
				out = rows.AppendJSON(out, row, i)
			}
			out = append(out, ',')
		}
	}
	return out
}

// An attempt is what a version made of rows for which nobody waits.
type attempt struct {
	ended Outcome       // Answered, Refused or Failed
	stand bool          // what stands in for the model answered, so that there is nothing to compare
	took  time.Duration // in the model
}

// attempt lets a version evaluate rows as in the path of a request. check: they were not held against its input schema yet.
func (s *Server) attempt(b *Bound, rows *schema.Batch, params []byte, limit time.Duration, check bool, out *Output) attempt {
	if check && refuses(rows.Check(nil)) {
		if b.Policy.OnInvalid == "fallback" {
			return attempt{ended: Answered, stand: true}
		}
		return attempt{ended: Refused}
	}
	if policy := b.Policy.OnOutlier; b.Outliers != nil && (policy == "reject" || policy == "fallback") {
		limit := b.Outliers.Threshold()
		if slices.ContainsFunc(b.Outliers.Score(rows, nil), func(score float64) bool { return score > limit }) {
			if policy == "fallback" {
				return attempt{ended: Answered, stand: true}
			}
			return attempt{ended: Refused}
		}
	}
	ctx, cancel := context.WithTimeout(s.shadows.running, limit)
	defer cancel()
	at := s.o.Clock()
	err := b.evaluate(ctx, rows, params, out)
	a := attempt{ended: Answered, took: s.o.Clock().Sub(at)}
	switch code := assay.CodeOf(err); {
	case err == nil && ctx.Err() == nil && b.wrong(out, rows.Rows()) == "":
	case err != nil && (code == assay.Rejected || code == assay.Invalid):
		a.ended = Refused
	default:
		a.ended = Failed
	}
	return a
}

// lacks reports whether the rows of one version have no values for columns of another.
func lacks(from, to *schema.Validator) bool {
	for j := range to.Fields() {
		if _, ok := from.Index([]byte(to.Field(j).Name)); !ok {
			return true
		}
	}
	return false
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
