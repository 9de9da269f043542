package serve

import (
	"time"

	"github.com/assay-ml/assay"
)

// Observe begins a call about a request that another server answered, so that it is counted and logged as one of a version's own. An
// empty name is the only model, an empty version the one that answers by default; no split chooses, and nothing is compared. The edge
// fills Rows and, of an answered request, Output, calls Observed and ends it. Errors are NotFound and Unavailable.
func (s *Server) Observe(edge, name, version, id string, at time.Time) (*Call, error) {
	c := s.calls.Get().(*Call)
	if err := s.acquire(c, name, version, id, nil); err != nil {
		s.calls.Put(c)
		s.counted.unrouted.Add(1)
		return nil, err
	}
	if c.split != nil { // what it chose did not answer
		_, live := s.Versions(c.bound.Name)
		c.bound.release()
		c.bound, c.split, c.draw, c.late = live, nil, draw{}, false
		if live == nil || !live.hold() {
			s.calls.Put(c)
			return nil, assay.Errorf(assay.Unavailable, "the versions of model %q are changing", clip(name))
		}
	}
	c.Edge, c.ID, c.At, c.observed, c.Kept = edge, id, at, true, 0
	c.begin()
	return c, nil
}

// Observed checks the rows and the answer, which were passed on already: what does not fit is noted, and an answer that must not have been
// passed on makes the call a failed one. took is 0 where nobody knows it.
func (c *Call) Observed(outcome Outcome, took time.Duration) {
	c.Outcome, c.Took = outcome, took
	_ = c.giveKeys() // rows without a key are logged without one
	c.Found = c.Rows.Check(c.Found)
	n := c.Rows.Rows()
	if outcome != Answered || n == 0 {
		return
	}
	if c.bound.Outliers != nil && !refuses(c.Found) {
		c.Scores = c.bound.Outliers.Score(c.Rows, c.Scores[:0])
		for _, x := range c.Scores {
			if x > c.bound.Outliers.Threshold() {
				c.bound.counters.outliers.Add(1)
			}
		}
	}
	// Another server may say the class alone, where this one would say probabilities, too.
	if len(c.bound.Classes) > 0 && len(c.Output.Proba) == 0 && len(c.Output.Labels) == n {
		return
	}
	var wrong string
	if wrong, c.Found = c.bound.check(&c.Output, n, c.Found); wrong != "" {
		c.Outcome, c.Err = Failed, assay.Errorf(assay.Internal, "%s %s", c.bound, wrong)
		c.noteFault(becauseOutput, c.Err)
		c.Output.reset()
	}
}

// Missed counts rows of a model that another server answered and that cannot be logged. Errors are those of Observe.
func (s *Server) Missed(name, version string, rows int) error {
	c := &Call{server: s}
	if err := s.acquire(c, name, version, "", nil); err != nil {
		return err
	}
	defer c.bound.release()
	c.bound.counters.lost.Add(int64(rows))
	if l, ok := s.o.Log.(interface{ Lose(model string, rows int) }); ok {
		l.Lose(c.bound.Name, rows)
	}
	return nil
}

// Lose notes that rows of a model are missing in the log.
func (l *Log) Lose(model string, rows int) { l.lose(model, rows) }

// Waiting returns how many bytes were taken and are not written yet.
func (l *Log) Waiting() int64 { return l.waiting.Load() }
