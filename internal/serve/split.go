package serve

import (
	"strings"
	"sync/atomic"

	"github.com/assay-ml/assay"
)

// DefaultFalseAbort bounds the probability that a canary which fails no more often than the live version is ever aborted.
const DefaultFalseAbort = 0.01

// SplitOptions say which other versions see the traffic of a live version.
type SplitOptions struct {
	Live    *Bound
	Canary  *Bound  // answers a share of the requests that name no version; nil: none does
	Shadow  *Bound  // is evaluated on the requests that the live version answered, and answers nobody; nil: none is
	Percent float64 // of the requests that the canary answers, 0–100
	// Header is a request header that decides itself: true sends a request to the canary, false to the live version.
	Header string
	// Sticky is a request header whose value decides which version answers: the same value, the same version.
	Sticky string
	// StickyColumn is an input column whose value in the first row decides, for versions with equal input schemas.
	StickyColumn string
	FalseAbort   float64 // of all servers that judge together; see DefaultFalseAbort; 0 means that
	Trial        *Trial  // the evidence against the canary so far, to go on with; nil: there is none
}

// A Split divides the traffic of one model between its live version and a canary, and compares what they and a shadow say. Its counts
// begin when it is made: a change of a version or of the shares is a new Split, which goes on with the Trial. It is safe for concurrent use.
type Split struct {
	o       SplitOptions
	share   float64
	column  int // of StickyColumn; -1 without one
	canary  *Comparison
	shadow  *Comparison
	trial   *Trial
	tripped atomic.Pointer[string] // why the canary gets no more requests
}

// NewSplit makes a Split of versions that were bound. Errors are Invalid and name everything that is wrong.
func NewSplit(o SplitOptions) (*Split, error) {
	var p assay.Problems
	s := &Split{o: o, share: o.Percent / 100, column: -1}
	if s.o.FalseAbort == 0 {
		s.o.FalseAbort = DefaultFalseAbort
	}
	if o.Live == nil {
		p.Add("no version is live")
	}
	if !(o.Percent >= 0 && o.Percent <= 100) {
		p.Add("%v percent of the requests", o.Percent)
	}
	if !(s.o.FalseAbort > 0 && s.o.FalseAbort < 1) {
		p.Add("a probability of %v to abort a canary that is no worse", o.FalseAbort)
	}
	if o.Sticky != "" && o.StickyColumn != "" {
		p.Add("a header and a column to stick to; want one")
	}
	if o.Live != nil {
		for _, other := range []*Bound{o.Canary, o.Shadow} {
			if other == nil {
				continue
			}
			if other.Number == o.Live.Number {
				p.Add("%s is live itself", other)
			}
			if (len(other.Classes) > 0) != (len(o.Live.Classes) > 0) {
				p.Add("%s and %s have different tasks", other, o.Live)
			}
		}
		if o.Canary != nil && o.Shadow != nil && o.Canary.Number == o.Shadow.Number {
			p.Add("%s is both the canary and the shadow", o.Canary)
		}
		if o.StickyColumn != "" && o.Canary != nil {
			i, ok := o.Live.in.Index([]byte(o.StickyColumn))
			switch {
			case !ok:
				p.Add("%q is not a column of the input schema", o.StickyColumn)
			case !sameInputs(o.Live, o.Canary):
				p.Add("the input schemas of %s and %s differ: only a header can be stuck to", o.Live, o.Canary)
			}
			s.column = i
		}
	}
	if err := p.Err(assay.Invalid, "the traffic cannot be split"); err != nil {
		return nil, err
	}
	if o.Canary != nil {
		if s.trial = o.Trial; s.trial == nil {
			s.trial = NewTrial(0)
		}
		s.canary = newComparison(o.Canary, o.Live, s.trial)
		s.Judge() // what was counted before may say it already
	}
	if o.Shadow != nil {
		s.shadow = newComparison(o.Shadow, o.Live, NewTrial(0))
		s.shadow.shadow = true
	}
	return s, nil
}

// sameInputs reports whether rows that were read for one version are rows of the other.
func sameInputs(a, b *Bound) bool { return a.inputs == b.inputs }

// Canary compares the canary with the live version; nil without one.
func (s *Split) Canary() *Comparison { return s.canary }

// Shadow compares the shadow with the live version; nil without one.
func (s *Split) Shadow() *Comparison { return s.shadow }

// Tripped says why the canary gets no more requests, or "".
func (s *Split) Tripped() string {
	if why := s.tripped.Load(); why != nil {
		return *why
	}
	return ""
}

// Trip takes the canary's share away at once, for a reason of the caller's; the first reason stays.
func (s *Split) Trip(why string) { s.tripped.CompareAndSwap(nil, &why) }

// A draw is how the version of a request was chosen: drawn by a key, which a caller that sends the request again repeats, or not at all.
type draw struct {
	key   uint64
	drawn bool
}

// choose says which version answers a request, and how that was drawn. late: the first row decides.
func (s *Split) choose(id string, header func(string) string) (b *Bound, by draw, late bool) {
	o := &s.o
	if o.Canary == nil || s.tripped.Load() != nil {
		return o.Live, draw{}, false
	}
	if o.Header != "" && header != nil {
		switch strings.ToLower(header(o.Header)) {
		case "true", "1", "always", "canary":
			return o.Canary, draw{}, false
		case "false", "0", "never", "live":
			return o.Live, draw{}, false
		}
	}
	if s.column >= 0 {
		return o.Live, draw{}, true
	}
	key := id
	if o.Sticky != "" && header != nil {
		if v := header(o.Sticky); v != "" {
			key = v
		}
	}
	b, by = s.of([]byte(key))
	return b, by, false
}

// of is the version for a key: the same on every server, and a larger share only adds keys to the canary.
func (s *Split) of(key []byte) (*Bound, draw) {
	by := draw{hashed([]byte(s.o.Canary.Name), s.o.Canary.header0, key), s.share > 0 && s.share < 1}
	h := by.key
	h ^= h >> 31
	h *= 0x9e3779b97f4a7c15
	h ^= h >> 29
	h *= 0xbf58476d1ce4e5b9
	h ^= h >> 32
	if float64(h>>11)/(1<<53) < s.share {
		return s.o.Canary, by
	}
	return s.o.Live, by
}

// settle lets the first row decide, before it is checked.
func (c *Call) settle() {
	if !c.late || c.Rows.Rows() == 0 {
		return
	}
	c.late = false
	c.Reply = c.Rows.AppendJSON(c.Reply[:0], 0, c.split.column)
	b, by := c.split.of(c.Reply)
	c.Reply = c.Reply[:0]
	if b != c.bound {
		if !b.hold() {
			return
		}
		c.bound.release()
		c.bound = b
	}
	c.draw = by
}

// unanswered says how a version that was asked gave no answer: failed, by what it or what it runs on did, or refused, by what it said of the
// request. asked is false where it was never asked: the server had no room or no time before, or the caller went away.
func (c *Call) unanswered() (failed, refused, asked bool) {
	failed = c.failed || c.Outcome == Failed
	refused = !failed && (c.Outcome == Refused || c.Outcome == Malformed)
	return failed, refused, failed || refused || c.Outcome == Answered
}

// observe counts how a request ended for the rule that aborts a canary, and trips it.
func (c *Call) observe() {
	s := c.split
	if s == nil || s.canary == nil {
		return
	}
	isCanary := c.bound == s.o.Canary
	failed, refused, asked := c.unanswered()
	if !asked || !isCanary && c.bound != s.o.Live {
		return
	}
	s.canary.arm(isCanary, failed, refused, c.Took)
	if !failed && !refused {
		return
	}
	if c.draw.drawn {
		test := testFailed
		if refused {
			test = testRefused
		}
		s.trial.count(test, c.draw.key, s.share, isCanary)
	}
	s.Judge()
}

// Judge trips the canary when it answers less often than chance explains; whoever brings its Trial to the store asks for it.
func (s *Split) Judge() {
	if s.canary == nil || s.tripped.Load() != nil {
		return
	}
	if why := s.canary.worse(s.o.FalseAbort); why != "" {
		s.Trip(why)
	}
}

// Split returns how the traffic of a model is divided; nil when it is not.
func (s *Server) Split(name string) *Split {
	if e := s.routes.Load().models[name]; e != nil {
		return e.split
	}
	return nil
}
