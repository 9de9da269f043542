package monitor

import (
	"context"
	"strings"
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
// log has nothing, and that nothing joins with it, are of a table of the past. Windows by count have no time: Anchored says what is left of them.
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

// An Anchor is where windows by count begin in a log: the window of a number at a place among the rows that they are made of, from 0.
type Anchor struct{ Number, Place int64 }

// rowName is SQL for what a row of a log is found again by.
const rowName = "sha256(coalesce(CAST(_request AS VARCHAR), '') || '/' || coalesce(CAST(_index AS VARCHAR), ''))"

// named reports whether rows of a traffic are found again.
func (x Traffic) named() bool {
	_, request := x.Table.Field("_request")
	_, index := x.Table.Field("_index")
	return x.Log != nil && request && index
}

// ends name the first and the last row of each window by count of a log.
func (x Traffic) ends(ctx context.Context, cut *cutter) (map[int64]struct{ first, last string }, error) {
	if !cut.counts || !x.named() {
		return nil, nil
	}
	r, err := x.Table.Query(ctx, "SELECT w, arg_min(v, r), arg_max(v, r) FROM (SELECT "+cut.expr+" AS w, "+rowName+" AS v, _row AS r FROM "+x.Table.Relation()+") WHERE w IS NOT NULL GROUP BY w")
	if err != nil {
		return nil, err
	}
	defer r.Close()
	out := map[int64]struct{ first, last string }{}
	for r.Next() {
		var k int64
		var e struct{ first, last string }
		if err := r.Scan(&k, &e.first, &e.last); err != nil {
			return nil, err
		}
		out[k] = e
	}
	return out, r.Close()
}

// Anchored finds out where the windows by count of a log begin that were judged, the newest first, for retention may have removed rows before them: with the first
// window that it has all rows of; where there is none, after the last row that was judged, or where that is gone too with the first row that it has. nil where they
// begin with its first row, and where nothing says which rows were judged.
func (w *Watch) Anchored(ctx context.Context, x Traffic, judged []assay.Drift) (*Anchor, error) {
	if w.plan.Windows.By != ByCount || len(judged) == 0 || judged[0].Window.Last == "" || !x.named() {
		return nil, nil
	}
	cut, err := newCutter(ctx, x.Table, w.plan.Windows, x.By, true)
	if err != nil {
		return nil, err
	}
	names := []string{}
	for _, d := range judged {
		names = append(names, table.Literal(d.Window.First), table.Literal(d.Window.Last))
	}
	r, err := x.Table.Query(ctx, "SELECT v, min(p) FROM (SELECT "+rowName+" AS v, "+cut.place+" AS p FROM "+x.Table.Relation()+") WHERE v IN ("+strings.Join(names, ", ")+") GROUP BY v")
	if err != nil {
		return nil, err
	}
	defer r.Close()
	at := map[string]int64{}
	for r.Next() {
		var name string
		var place int64
		if err := r.Scan(&name, &place); err != nil {
			return nil, err
		}
		at[name] = place
	}
	if err := r.Close(); err != nil {
		return nil, err
	}
	out := &Anchor{Number: judged[0].Window.Number + 1}
	if place, ok := at[judged[0].Window.Last]; ok {
		out.Place = place + 1
	}
	for _, d := range judged { // the oldest counts
		if place, ok := at[d.Window.First]; ok {
			*out = Anchor{d.Window.Number, place}
		}
	}
	if out.Place == (out.Number-1)*w.plan.Windows.Rows {
		return nil, nil
	}
	return out, nil
}
