package cli

import (
	"context"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/monitor"
	"github.com/assay-ml/assay/internal/store"
)

// How many records of outcomes are read at once, and how many of the past at most in one look.
const (
	duePage = 512
	dueLook = 8 * duePage
)

// A dueScan finds the newest window of a plan with predictions whose labels should all have come, as it was restated last. While labels come, the windows after it are restated
// again and again, so that its own record may lie far behind. The scan goes back through the journal once, in several looks where it is long, as far as to records
// that are older than the end of the window that it has found: no later window can be there. Each look after that reads what is new.
type dueScan struct {
	top     int64               // the newest record that was read
	low     int64               // the oldest one that was read
	done    bool                // what is before low need not be read
	windows map[int64]dueWindow // by number: the newest one that is due, and those after it
}

// A dueWindow is what is known of a window.
type dueWindow struct {
	window assay.Window
	labels assay.LabelJoin
	seq    int64
}

// dueOf is the scan of a plan among those of all.
func dueOf(all map[assay.Digest]*dueScan, plan assay.Digest) *dueScan {
	if all[plan] == nil {
		all[plan] = &dueScan{windows: map[int64]dueWindow{}}
	}
	return all[plan]
}

// look returns the window; nil where none is due, or while it is not known yet.
func (d *dueScan) look(ctx context.Context, s *session, w *watchedVersion, l *assay.LabelPlan) (*dueWindow, error) {
	page := func(before int64) ([]assay.Record, error) {
		return s.st.Find(ctx, store.Query{Kind: assay.KindOutcome, Subject: w.version.Model, Parent: w.planID, Before: before, Limit: duePage})
	}
	var before, top int64
	for news := d.top > 0; news; { // from the newest down to those that were read
		rs, err := page(before)
		if err != nil {
			return nil, err
		}
		news = len(rs) == duePage
		for _, r := range rs {
			if news = news && r.Entry.Seq > d.top; r.Entry.Seq <= d.top {
				break
			}
			if err := d.note(r); err != nil {
				return nil, err
			}
			top, before = max(top, r.Entry.Seq), r.Entry.Seq
		}
	}
	d.top = max(d.top, top)
	due := d.newest(l, s)
	for left := dueLook; !d.done && left > 0; left -= duePage {
		rs, err := page(d.low)
		if err != nil {
			return nil, err
		}
		for _, r := range rs {
			if err := d.note(r); err != nil {
				return nil, err
			}
			d.top, d.low = max(d.top, r.Entry.Seq), r.Entry.Seq
		}
		due = d.newest(l, s)
		d.done = len(rs) < duePage
		if due != nil && len(rs) > 0 {
			end, err := due.window.End.Time()
			d.done = d.done || err == nil && rs[len(rs)-1].Entry.At.Before(end)
		}
	}
	if !d.done {
		return nil, nil
	}
	return due, nil
}

// note takes a record in, unless a later one of its window was.
func (d *dueScan) note(r assay.Record) error {
	o, err := assay.Decode[assay.Outcome](r.Evidence)
	if err != nil {
		return err
	}
	if n := o.Window.Number; d.windows[n].seq < r.Entry.Seq {
		d.windows[n] = dueWindow{o.Window, o.Labels, r.Entry.Seq}
	}
	return nil
}

// newest is the newest window with predictions that is due now; those before it are forgotten.
func (d *dueScan) newest(l *assay.LabelPlan, s *session) *dueWindow {
	var out *dueWindow
	now := s.Now()
	for _, x := range d.windows {
		if x.labels.Coverage.N > 0 && monitor.Overdue(x.window, x.labels, l, now) && (out == nil || x.window.Number > out.window.Number) {
			out = &x
		}
	}
	for n := range d.windows {
		if out != nil && n < out.window.Number {
			delete(d.windows, n)
		}
	}
	return out
}
