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
	FalseAbort   float64 // see DefaultFalseAbort; 0 means that
}

// A Split divides the traffic of one model between its live version and a canary, and compares what they and a shadow say. Its counts
// begin when it is made: a change of a version or of the shares is a new Split. It is safe for concurrent use.
type Split struct {
	o       SplitOptions
	share   float64
	column  int // of StickyColumn; -1 without one
	canary  *Comparison
	shadow  *Comparison
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
		s.canary = newComparison(o.Canary, o.Live)
	}
	if o.Shadow != nil {
		s.shadow = newComparison(o.Shadow, o.Live)
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

// choose says which version answers a request. forced: the caller asked for one of them. late: the first row decides.
func (s *Split) choose(id string, header func(string) string) (b *Bound, forced, late bool) {
	o := &s.o
	if o.Canary == nil || s.tripped.Load() != nil {
		return o.Live, true, false
	}
	if o.Header != "" && header != nil {
		switch strings.ToLower(header(o.Header)) {
		case "true", "1", "always", "canary":
			return o.Canary, true, false
		case "false", "0", "never", "live":
			return o.Live, true, false
		}
	}
	if s.column >= 0 {
		return o.Live, false, true
	}
	key := id
	if o.Sticky != "" && header != nil {
		if v := header(o.Sticky); v != "" {
			key = v
		}
	}
	return s.of([]byte(key)), false, false
}

// of is the version for a key: the same on every server, and a larger share only adds keys to the canary.
func (s *Split) of(key []byte) *Bound {
	h := uint64(14695981039346656037)
	for _, part := range [][]byte{[]byte(s.o.Canary.Name), s.o.Canary.header0, key} {
		for _, c := range part {
			h = (h ^ uint64(c)) * 1099511628211
		}
		h = (h ^ 0xff) * 1099511628211
	}
	h ^= h >> 31
	h *= 0x9e3779b97f4a7c15
	h ^= h >> 29
	h *= 0xbf58476d1ce4e5b9
	h ^= h >> 32
	if float64(h>>11)/(1<<53) < s.share {
		return s.o.Canary
	}
	return s.o.Live
}

// settle lets the first row decide, before it is checked.
func (c *Call) settle() {
	if !c.late || c.Rows.Rows() == 0 {
		return
	}
	c.late = false
	c.Reply = c.Rows.AppendJSON(c.Reply[:0], 0, c.split.column)
	b := c.split.of(c.Reply)
	c.Reply = c.Reply[:0]
	if b != c.bound && b.hold() {
		c.bound.release()
		c.bound = b
	}
}

// observe counts how a request ended for the rule that aborts a canary, and trips it.
func (c *Call) observe() {
	s := c.split
	if s == nil || s.canary == nil {
		return
	}
	isCanary := c.bound == s.o.Canary
	if !isCanary && c.bound != s.o.Live || c.Outcome != Answered && c.Outcome != Failed && !c.failed {
		return
	}
	s.canary.arm(isCanary, c.failed, c.Took)
	if !c.failed {
		return
	}
	if !c.forced && s.o.Sticky == "" && s.column < 0 && s.share > 0 && s.share < 1 {
		s.canary.chance(isCanary, s.share)
	}
	s.judge()
}

// judge trips the canary when it fails more often than chance explains.
func (s *Split) judge() {
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
