package serve

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/schema"
)

// An Outcome says how a call ended.
type Outcome uint8

// Outcomes of a call.
const (
	Answered  Outcome = iota
	Malformed         // the request was not what the wire format asks for
	Refused           // rows do not fit the input schema, or are too unusual
	Failed            // the model or its answer was wrong
	Shed              // there was no room, or no time
	Cancelled         // the client went away
)

var outcomeNames = [...]string{"answered", "malformed", "refused", "failed", "shed", "cancelled"}

func (o Outcome) String() string { return outcomeNames[o] }

// A Call is one request on its way through a version. An edge begins it, fills Rows, calls Predict, writes the answer and
// ends it. It belongs to one goroutine at a time. All of its buffers are kept for later calls, so that nothing of it may be used after
// End.
type Call struct {
	server *Server
	bound  *Bound

	Edge  string  // mlflow, oip, oip-grpc, kserve
	ID    string  // of the request: the caller's, or a new one
	Kept  float64 // of a call that another server answered: the share of such calls that it has kept; 0: all, or it does not say
	Trace string  // W3C trace id; empty without one

	Body   []byte // of the request; values of Rows point into it
	Reader schema.Reader
	Rows   *schema.Batch
	Found  []schema.RowViolation // what is wrong with the rows, in the order of rows
	Params []byte                // of the prediction, a JSON object; empty: none

	Output   Output
	Scores   []float64 // how unusual each row is, 0–1; empty where the version has no reference
	Unusual  []bool    // which rows count as out of distribution; empty where none do
	Fallback bool      // the answer is the declared one, not the model's
	Reply    []byte    // for the edge to write its answer into

	Outcome  Outcome
	Incident string // of a model that failed or answered what it must not: what the caller was told and the log says
	Status   int    // of a call that another server answered, its HTTP status; 0: it does not say
	Err      error
	At       time.Time // when it began
	Took     time.Duration

	keys     []givenKey    // of the rows, as parameters had them
	trace    trace         // of W3C; empty without one
	Limit    time.Duration // how long the caller waits for an answer; 0: as long as the server does
	split    *Split        // that chose the version; nil when the request named one
	draw     draw          // by which it did
	late     bool          // the first row chooses
	observed bool          // another server answered
	why      string        // it ended so, where the error does not say it
	fault    string        // of the model, for the log
	failed   bool          // the version was asked and had no answer, or none that may be passed on
	spent    time.Duration // in the model
	share    Share         // of the memory for bodies
	message  int64         // what the message of an edge without Body takes
	turn     bool          // admitted
	large    bool          // admitted as a large one
	refs     atomic.Int32  // who must release it: the log, the comparison
}

// Begin holds the version that a request asks for; an empty name is the only model, an empty version the one that answers by default.
// id is the caller's id of the request, or empty. Errors are NotFound and Unavailable. End must follow when it returns nil.
func (s *Server) Begin(edge, name, version, id string) (*Call, error) {
	return s.BeginWith(edge, name, version, id, nil)
}

// BeginWith is Begin for a request that has headers, by which a split may choose the version and the caller limit the time. header may
// be nil.
func (s *Server) BeginWith(edge, name, version, id string, header func(name string) string) (*Call, error) {
	at := s.o.Clock()
	if id == "" {
		id = s.id()
	}
	c := s.calls.Get().(*Call)
	if err := s.acquire(c, name, version, id, header); err != nil {
		s.calls.Put(c)
		s.counted.unrouted.Add(1)
		return nil, err
	}
	c.Edge, c.At, c.ID = edge, at, id
	if header != nil {
		c.Limit = TimeLimit(header(TimeoutHeader))
	}
	c.begin()
	return c, nil
}

// begin makes room for rows.
func (c *Call) begin() {
	c.Rows = c.bound.in.NewBatch()
	c.Rows.KeyedBy(c.bound.Key)
}

// Version returns the version that answers.
func (c *Call) Version() *Bound { return c.bound }

// Room adds n rows to be filled, unless these are more than the server takes. The error is Invalid.
func (c *Call) Room(n int) error {
	if n < 0 || n > c.server.o.MaxRows {
		return tooMany(n, c.server.o.MaxRows)
	}
	c.Rows.Add(n)
	return nil
}

func tooMany(n, most int) error {
	return assay.Errorf(assay.Invalid, "the request has %d rows, more than the %d that are allowed%w", n, most, error(errRows{}))
}

// NewRow adds a row to be filled, unless the request has as many as the server takes. The error is Invalid, and reading must end with it.
func (c *Call) NewRow() (row int, err error) {
	row = c.Rows.Rows()
	if err = c.Fits(row + 1); err == nil {
		c.Rows.Add(1)
	}
	return row, err
}

// Fits returns an error where a request that is read as far as rows is one of more than the server takes; what comes then is not read. The error is
// Invalid.
func (c *Call) Fits(rows int) error {
	if rows <= c.server.o.MaxRows {
		return nil
	}
	return assay.Errorf(assay.Invalid, "the request has more than the %d rows that are allowed%w", c.server.o.MaxRows, error(errRows{}))
}

// errRows marks an error as one of too many rows without adding to its text.
type errRows struct{}

func (errRows) Error() string { return "" }

// Malform notes that the request is not what the wire format asks for, and returns the error. Of a request with too many rows none is kept: the
// log and the counters have it as one.
func (c *Call) Malform(err error) error {
	if errors.As(err, &errRows{}) {
		c.Rows.Drop()
		c.Found = c.Found[:0]
	}
	c.Outcome, c.Err = Malformed, err
	c.leave()
	return err
}

// Predict checks the rows, evaluates the model and checks its answer. Errors are Rejected for rows that do not fit, with every
// violation up to a limit; Invalid for too many rows or none; Unavailable when there is no room or no time; Internal, with an incident
// id, for a model that failed or answered what it must not.
func (c *Call) Predict(ctx context.Context) error {
	err := c.predict(ctx)
	c.leave()
	c.Err = err
	if err == nil {
		return nil
	}
	switch assay.CodeOf(err) {
	case assay.Invalid:
		c.Outcome = Malformed
	case assay.Rejected:
		c.Outcome = Refused
	case assay.Unavailable:
		c.Outcome = Shed
		if errors.Is(ctx.Err(), context.Canceled) {
			c.Outcome, c.Err = Cancelled, errGone
			return errGone
		}
	default:
		c.Outcome = Failed
		if c.Incident == "" {
			c.noteFault(becauseEngine, err)
		}
		if g := answerStatus(0); errors.As(err, &g) {
			return BadGateway("the server that has the model gave no answer that may be passed on; incident %s", c.Incident)
		}
		return assay.Errorf(assay.Internal, "the model gave no answer that may be passed on; incident %s", c.Incident)
	}
	return err
}

func (c *Call) predict(caller context.Context) error {
	n := c.Rows.Rows()
	switch {
	case n == 0:
		return assay.Errorf(assay.Invalid, "the request has no rows%w", error(errRows{}))
	case n > c.server.o.MaxRows:
		return c.Malform(tooMany(n, c.server.o.MaxRows))
	}
	if err := c.giveKeys(); err != nil {
		return err
	}
	c.settle()
	b := c.bound
	c.Found = c.Rows.Check(c.Found)
	if refuses(c.Found) {
		if err := c.twice(); err != nil {
			return err
		}
		c.why = becauseInvalid
		if b.Policy.OnInvalid == "fallback" {
			return c.fallBack()
		}
		return rejection(c.Found)
	}
	if b.Outliers != nil {
		if err := c.lookForOutliers(); err != nil || c.Fallback {
			return err
		}
	}
	if c.trace.parent != "" {
		caller = context.WithValue(caller, traceKey{}, c.trace)
	}
	ctx := c.deadline(caller)
	defer ctx.end()
	if !c.turn {
		if err := c.server.gate.enter(ctx); err != nil {
			return err
		}
		c.turn = true
	}
	at := c.server.o.Clock()
	err := c.evaluate(ctx)
	now := c.server.o.Clock()
	c.spent = now.Sub(at)
	if ctx.over(now) {
		c.failed = caller.Err() != nil || c.spent > ctx.limit/2 // the model took the time, or the caller's patience, not the queue
		if g := answerStatus(0); errors.As(err, &g) {
			return err
		}
		return errLate
	}
	if err != nil {
		code := assay.CodeOf(err)
		c.failed = code != assay.Rejected && code != assay.Invalid
		if b.Policy.Fallback != nil && code == assay.Internal {
			c.noteFault(becauseEngine, err)
			b.counters.badOutput.Add(1)
			return c.fallBack()
		}
		return err
	}
	var wrong string
	if wrong, c.Found = b.check(&c.Output, n, c.Found); wrong != "" {
		c.failed = true
		err := assay.Errorf(assay.Internal, "%s %s", b, wrong)
		c.noteFault(becauseOutput, err)
		if b.Policy.Fallback != nil {
			b.counters.badOutput.Add(1)
			return c.fallBack()
		}
		return err
	}
	return nil
}

// deadline is the context of a caller with the time that the request has.
func (c *Call) deadline(caller context.Context) *deadline {
	return &deadline{caller: caller, clock: c.server.o.Clock, began: c.At, limit: c.limit()}
}

// limit is how long the request may take, left what is left of that.
func (c *Call) limit() time.Duration {
	if c.Limit > 0 {
		return min(c.server.o.Timeout, c.Limit)
	}
	return c.server.o.Timeout
}

func (c *Call) left() time.Duration { return c.limit() - c.server.o.Clock().Sub(c.At) }

// evaluate asks the engine and ends the turn, whatever the engine does.
func (c *Call) evaluate(ctx context.Context) error {
	defer c.leave()
	return c.bound.evaluate(ctx, c.Rows, c.Params, &c.Output)
}

// clipped are the probabilities of the caller's answer for which the bound stands, as Output.Clipped has them.
func (c *Call) clipped() []int {
	if c.Outcome != Answered || c.Fallback {
		return nil
	}
	return c.Output.Clipped
}

func refuses(found []schema.RowViolation) bool { return slices.ContainsFunc(found, refusing) }

func refusing(v schema.RowViolation) bool { return v.Severity == schema.Error && !v.Tolerated }

func notTwice(v schema.RowViolation) bool { return v.Rule != schema.RuleDuplicate }

// maxTold is how many violations an answer lists.
const maxTold = 20

// rejection is the error that names rows, fields and rules, and never a value.
func rejection(found []schema.RowViolation) error {
	return assay.Errorf(assay.Rejected, "the rows do not fit the input schema: %s", told(found))
}

// told lists violations, as far as an answer does.
func told(found []schema.RowViolation) string {
	var s strings.Builder
	told, all := 0, 0
	for _, v := range found {
		if !refusing(v) {
			continue
		}
		if all++; told < maxTold {
			told++
			if s.Len() > 0 {
				s.WriteString("; ")
			}
			fmt.Fprintf(&s, "row %d: %s %s", v.Row, v.Field, v.Detail)
		}
	}
	if all > told {
		fmt.Fprintf(&s, "; and %d more", all-told)
	}
	return s.String()
}

// lookForOutliers scores the rows and does what the policy says of unusual ones.
func (c *Call) lookForOutliers() error {
	b := c.bound
	c.Scores = b.Outliers.Score(c.Rows, c.Scores[:0])
	limit, first, count := b.Outliers.Threshold(), -1, 0
	for i, x := range c.Scores {
		if x > limit {
			if count++; first < 0 {
				first = i
			}
		}
	}
	if count == 0 {
		return nil
	}
	for _, x := range c.Scores {
		c.Unusual = append(c.Unusual, x > limit)
	}
	b.counters.outliers.Add(int64(count))
	switch b.Policy.OnOutlier {
	case "reject":
		c.why = becauseOutlier
		return assay.Errorf(assay.Rejected, "%d of %d rows are unlike what the model learned from, the first is row %d", count, len(c.Scores), first)
	case "fallback":
		c.why = becauseOutlier
		return c.fallBack()
	}
	return nil
}

// End notes how long the call took, counts it and hands it to the log. Nothing of it may be used afterwards.
func (c *Call) End() {
	c.leave()
	if !c.observed {
		c.Took = c.server.o.Clock().Sub(c.At)
	}
	c.count()
	if tell := c.server.o.OnIncident; c.Incident != "" && tell != nil {
		tell(c.incident())
	}
	c.refs.Store(1)
	if c.split != nil {
		c.observe()
		c.offerShadow()
	}
	if log := c.server.o.Log; log != nil {
		if log.Offer(c) {
			return
		}
		c.bound.counters.lost.Add(int64(max(1, c.Rows.Rows())))
	}
	c.Release()
}

// keptBytes is the largest buffer that is kept for later calls, and what a body is large from.
const keptBytes = 1 << 20

const keptFound = 4096

// Release gives back all that the call holds, when nobody else needs it. A Recorder calls it once for each call that it took.
func (c *Call) Release() {
	if c.refs.Add(-1) > 0 {
		return
	}
	c.Rows.Release()
	c.bound.release()
	s := c.server
	c.share.GiveBack()
	if cap(c.Body) > keptBytes || cap(c.Params) > keptBytes || cap(c.Found) > keptFound || cap(c.Reply) > keptBytes || cap(c.Output.Proba) > keptBytes/8 {
		return
	}
	c.Output.reset()
	*c = Call{
		server: s, Body: c.Body[:0], Found: c.Found[:0], Params: c.Params[:0], keys: c.keys[:0], Output: c.Output,
		Scores: c.Scores[:0], Unusual: c.Unusual[:0], Reply: c.Reply[:0],
	}
	s.calls.Put(c)
}
