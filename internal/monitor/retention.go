package monitor

import (
	"context"
	"time"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/table"
)

// A Remainder is what a log still has of windows that were judged.
type Remainder struct {
	Gone  map[int64]int64 // by number, of windows of which it has fewer rows than were judged: how many it has
	Until time.Time       // windows that end by then cannot be judged again; zero: all can
	Last  int64           // number of the last of them
}

// Remaining holds a log against the windows that were judged of it. What retention has removed cannot be judged again: a window of fewer rows would
// be another fact in the place of the one that was found, and what goes on from window to window goes on from there. Windows before planned of which the
// log has nothing, and that nothing joins with it, are of a table of the past. Windows by count have no place of their own: nothing is said of them.
func (w *Watch) Remaining(ctx context.Context, log *table.Table, by string, windows []assay.Window, planned time.Time) (Remainder, error) {
	out := Remainder{Gone: map[int64]int64{}}
	if len(windows) == 0 || w.plan.Windows.By == ByCount {
		return out, nil
	}
	cut, err := newCutter(ctx, log, w.plan.Windows, by, true)
	if err != nil || !cut.timed {
		return out, err
	}
	now, err := outcomesOf(ctx, log, cut)
	if err != nil {
		return out, err
	}
	var first int64
	for k := range now {
		if n := k + cut.first; first == 0 || n < first {
			first = n
		}
	}
	judged := map[int64]bool{}
	for _, x := range windows {
		judged[x.Number] = true
	}
	joins := func(n int64) bool { // with the first window that the log has something of
		for n++; n < first; n++ {
			if !judged[n] {
				return false
			}
		}
		return n == first && cut.plan.By == ByTime
	}
	for _, x := range windows {
		o, some := now[x.Number-cut.first]
		if o.rows >= x.Rows && o.refused >= x.Refused && o.failed >= x.Failed && o.lost >= x.Lost {
			continue
		}
		end, err := x.End.Time()
		if err != nil {
			return out, err
		}
		if !some && !end.After(planned) && !joins(x.Number) {
			continue
		}
		out.Gone[x.Number] = o.rows
		if end.After(out.Until) {
			out.Until = end
		}
	}
	for _, x := range windows {
		if end, err := x.End.Time(); err == nil && !end.After(out.Until) {
			out.Last = max(out.Last, x.Number)
		}
	}
	return out, nil
}
