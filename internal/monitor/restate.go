package monitor

import (
	"context"
	"encoding/json"
	"slices"
	"time"

	"github.com/assay-ml/assay"
)

// Restated is when the first window begins of which the labels that have come say something else than is on record; false where none does. It joins and counts
// them, and judges nothing. x is a log from its beginning, windows are those that were judged, and known is the newest outcome of one of them, nil without.
// A window of which the log has fewer predictions than were judged is left out: what it was cannot be said again.
func (w *Watch) Restated(ctx context.Context, x Traffic, o Outcomes, windows []assay.Window, known func(assay.Window) *assay.Outcome) (time.Time, bool, error) {
	cut, err := newCutter(ctx, x.Table, w.plan.Windows, x.By, true)
	if err != nil {
		return time.Time{}, false, err
	}
	windows = slices.Clone(windows)
	slices.SortFunc(windows, func(a, b assay.Window) int { return int(a.Number - b.Number) })
	keys := make([]int64, len(windows))
	for i, win := range windows {
		keys[i] = win.Number - cut.first
	}
	j, err := w.join(ctx, x, cut, keys, o)
	if err != nil {
		return time.Time{}, false, err
	}
	for i, win := range windows {
		if !j.differs(keys[i], known(win), o.Partial) {
			continue
		}
		at, err := win.Start.Time()
		return at, err == nil, err
	}
	return time.Time{}, false, nil
}

// differs reports whether the labels of a window are not those of its outcome; of a partial log nothing is said of labels without a prediction.
func (j *joined) differs(k int64, old *assay.Outcome, partial bool) bool {
	now := j.known[k]
	if old == nil {
		return now.rows > 0
	}
	a, b := now.join, old.Labels
	return now.rows >= b.Coverage.N && (a.Content != b.Content || a.Labelled != b.Labelled+b.Unknown || a.Duplicates != b.Duplicates || a.Conflicts != b.Conflicts || a.Ambiguous != b.Ambiguous ||
		a.Early != b.Early || a.Overdue != b.Overdue || !partial && j.orphan[k] != b.Unmatched)
}

// earlier reports whether labels, asked for as they were at some time, are fewer than those on record, or are only those that had come before
// the newest of them.
func earlier(l, old assay.LabelJoin, until time.Time) bool {
	if until.IsZero() {
		return false
	}
	if newest, err := old.AsOf.Time(); err == nil && old.AsOf != "" && newest.After(until) {
		return true
	}
	return l.Labelled+l.Unknown < old.Labelled+old.Unknown
}

// knownLonger reports whether labels are known up to a later moment than others.
func knownLonger(a, b assay.LabelJoin) bool {
	if a.Until == "" || b.Until == "" {
		return a.Until == "" && b.Until != ""
	}
	x, err := a.Until.Time()
	y, err2 := b.Until.Time()
	return err == nil && err2 == nil && x.After(y)
}

// same reports whether two outcomes of one window say the same, whenever that was known.
func same(a, b assay.Outcome) bool {
	a.Labels.Until, b.Labels.Until = "", ""
	x, err := json.Marshal(a)
	y, err2 := json.Marshal(b)
	return err == nil && err2 == nil && string(x) == string(y)
}
