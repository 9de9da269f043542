package monitor

import (
	"context"
	"fmt"
	"math"
	"time"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/table"
)

// Expected says when a version should have got traffic: only then is a window without rows an alarm.
type Expected struct {
	Spans []Span
	All   *table.Table // the log of all versions of the model, with the rows of which the version has a share; nil: of no span it has a part only
}

// A Span is a stretch of time in which a version should have got traffic.
type Span struct {
	From, To time.Time // To zero: it goes on
	Share    float64   // of the requests that name no version: 1 of the version that serves, that of a canary
}

// silentChance is how improbable it must be that none of the requests was drawn for a canary: its silence is an alarm in one of a million such windows
// without a fault.
const silentChance = 1e-6

// begins is when traffic is expected first; false: never.
func (x *Expected) begins() (at time.Time, ok bool) {
	for i, s := range x.Spans {
		if i == 0 || s.From.Before(at) {
			at, ok = s.From, true
		}
	}
	return at, ok
}

// expectedFrom is from when on predictions were expected even if none ever came; false: not.
func (x *Traffic) expectedFrom() (time.Time, bool) {
	if x.From.IsZero() || x.Expected == nil {
		return x.From, !x.From.IsZero()
	}
	at, ok := x.Expected.begins()
	if at.Before(x.From) {
		at = x.From
	}
	return at, ok
}

// trimmed leaves of the windows at the end in which nothing came, and nothing was expected, the first.
func (x *Traffic) trimmed(keys []int64, cut *cutter, empty func(key int64) bool) []int64 {
	if x.Expected == nil || !cut.timed {
		return keys
	}
	quiet := func(i int) bool {
		if i == 0 && len(x.Since) > 0 { // its rows are not in the table
			if w := x.Since[0].Window; w.Rows+w.Refused+w.Failed+w.Lost+w.Unclosed > 0 {
				return false
			}
		} else if !empty(keys[i]) {
			return false
		}
		var w assay.Window
		w.Start, w.End, _ = cut.bound(keys[i])
		_, expected := x.Expected.within(w)
		return !expected
	}
	for n := len(keys); n > 1 && quiet(n-1) && quiet(n-2); n-- {
		keys = keys[:n-1]
	}
	return keys
}

// within returns the span that a window lies in as a whole, the one with the largest share; false where none is expected in all of it.
func (x *Expected) within(w assay.Window) (out Span, ok bool) {
	start, err := w.Start.Time()
	end, err2 := w.End.Time()
	if err != nil || err2 != nil {
		return Span{Share: 1}, true
	}
	for _, s := range x.Spans {
		if !start.Before(s.From) && (s.To.IsZero() || !end.After(s.To)) && s.Share > out.Share {
			out, ok = s, true
		}
	}
	return out, ok
}

// requests counts those of all versions, by window, where a share of them is what is asked for.
func (x *Expected) requests(ctx context.Context, cut *cutter) (map[int64]int64, error) {
	if x == nil || x.All == nil {
		return nil, nil
	}
	return perWindow(ctx, x.All, cut.expr, "CASE WHEN _outcome <> 'lost' THEN _request END", "count(DISTINCT v)")
}

// A silence says whether a window without rows is an alarm, and why.
type silence struct {
	alarm bool
	why   string
}

// silent judges a window without rows, in which so many requests came to all versions of the model.
func (x *Expected) silent(w assay.Window, requests int64) silence {
	const none = "no traffic"
	if x == nil {
		return silence{true, none}
	}
	s, ok := x.within(w)
	switch {
	case !ok:
		return silence{false, "no traffic, and none was expected: the version did not serve in all of the window"}
	case s.Share >= 1:
		return silence{true, none}
	}
	chance := math.Pow(1-s.Share, float64(requests))
	told := fmt.Sprintf("%s, where %s requests came to the model and %s of them were to be answered by this canary", none, assay.FormatCount(requests), percent(s.Share))
	if chance > silentChance {
		return silence{false, told + "; that happens by chance"}
	}
	return silence{true, told}
}
