package cli

import (
	"context"
	"slices"
	"time"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/monitor"
	"github.com/assay-ml/assay/internal/store"
	"github.com/assay-ml/assay/internal/table"
)

// A role is what a running server knows of a version that it watches.
type role struct {
	Since time.Time `json:"since"` // it answers the requests that name no version since then; zero: it does not
}

// A tenure is when a version held something.
type tenure []monitor.Span

// note says that at a time it is held, or not.
func (t *tenure) note(held bool, at time.Time, share float64) {
	open := len(*t) > 0 && (*t)[len(*t)-1].To.IsZero()
	switch {
	case held && !open:
		*t = append(*t, monitor.Span{From: at, Share: share})
	case !held && open:
		(*t)[len(*t)-1].To = at
	}
}

// expected says when a version should get traffic: while it is in production, and while it is a canary that draws requests one by one. Nothing is expected of a
// version that was replaced or rolled back and only answers who asks for it, of a canary whose callers stick to a version, for they may all stick to the other one,
// and of a shadow, whose evaluations are not in the log. A server that asks knows which version serves, in whatever stage; here is nil where none does. nil
// means always: the version serves there, or nobody asks who serves, and the registry says nothing of it, for no version of the model was ever in production.
func (s *session) expected(ctx context.Context, v store.Version, here *role) (*monitor.Expected, error) {
	events, err := s.st.History(ctx, v.Name, 0)
	if err != nil {
		return nil, err
	}
	slices.Reverse(events)
	return expectedBy(events, v, here), nil
}

// expectedBy is expected, of a history whose oldest event is the first.
func expectedBy(events []store.Event, v store.Version, here *role) *monitor.Expected {
	settings, err := canaryOf(v)
	drawn := err == nil && settings.Percent > 0 && (settings.Sticky == "" || settings.Percent >= 100)
	var production, staging, canary tenure
	var set time.Time // when the settings of the canary became those that the tag has
	told := false
	for _, e := range events {
		is, at := e.Number == v.Number, e.Entry.At
		switch {
		case e.Stage == assay.StageProduction:
			told = true
			production.note(is, at, 1)
		case e.Stage == assay.StageStaging:
			staging.note(is, at, 1)
		case e.Detail == canaryTag && is:
			set = at
		case e.Detail == canaryAlias:
			told = told || is
			canary.note(is, at, settings.Percent/100)
		case e.Detail == shadowAlias:
			told = told || is
		}
	}
	live := here != nil && !here.Since.IsZero()
	if !told && (here == nil || live) {
		return nil
	}
	out := &monitor.Expected{Spans: production}
	if live {
		out.Spans = append(append(out.Spans, staging...), monitor.Span{From: here.Since, Share: 1})
	}
	for _, x := range canary {
		if x.From = later(x.From, set); drawn && (x.To.IsZero() || x.From.Before(x.To)) {
			out.Spans = append(out.Spans, x)
		}
	}
	return out
}

// drawnFrom tells what is expected of a canary which requests it is drawn from: those in the log of the model.
func drawnFrom(x *monitor.Expected, log *table.Table) {
	if x != nil && slices.ContainsFunc(x.Spans, func(s monitor.Span) bool { return s.Share < 1 }) {
		x.All = log
	}
}
