package monitor

import (
	"cmp"
	"slices"
	"time"

	"github.com/assay-ml/assay"
)

// Chronicle sorts findings as they were recorded. The alerts are brought up to them in that order, so that of several windows which were judged at once
// each has its say: what fired and was over again within them is on record as that.
func Chronicle(findings []Finding) {
	slices.SortStableFunc(findings, func(a, b Finding) int { return cmp.Compare(a.Seq, b.Seq) })
}

// Dealt is the journal entry up to which findings were dealt with when an alert was resolved: those that a person could see, or those up to the
// window that ended it. It is 0 where none was.
func Dealt(ended *Case, findings []Finding) int64 {
	switch {
	case ended == nil:
		return 0
	case ended.Incident.By != "":
		return ended.Seq
	}
	return standsOn(ended, findings)
}

// standsOn is the newest journal entry of the findings that a case stands on, or stood on in a state before.
func standsOn(c *Case, findings []Finding) (seq int64) {
	if c == nil {
		return 0
	}
	for i := range findings {
		if slices.Contains(c.Incident.Evidence, findings[i].ID) || slices.Contains(c.stood, findings[i].ID) {
			seq = max(seq, findings[i].Seq)
		}
	}
	return seq
}

// Moments says after which findings an alert must be judged whose newest case is last: the numbers of findings, in the order of Chronicle, that were known then.
// They are those at which its state may change, and the last window before each end, so that it is on record how long it held. The last
// moment is always that of all findings.
func Moments(plan assay.Monitor, alert assay.AlertPlan, findings []Finding, last *Case, now time.Time) []int {
	var out []int
	since := standsOn(last, findings)
	if last != nil && last.Incident.State == assay.AlertResolved && last.Incident.By != "" {
		since = max(since, last.Seq)
	}
	type series struct {
		newest int64 // number of the newest window that decided
		holds  bool
		streak int
		at     int // the moment of it
	}
	var two [2]series
	for i := range findings {
		f := &findings[i]
		s := &two[0]
		if f.Drift == nil {
			s = &two[1]
		}
		holds, known, _ := looks(plan, alert, f, now)
		n := f.window().Number
		restated := n <= s.newest
		if !known && !restated {
			continue
		}
		if f.Seq > since {
			if s.holds && !holds && !restated && findings[s.at-1].Seq > since {
				out = append(out, s.at)
			}
			if holds != s.holds || restated || holds && s.streak < alert.Persist {
				out = append(out, i+1)
			}
		}
		s.at = i + 1
		if restated {
			continue
		}
		s.newest = n
		if s.streak++; holds != s.holds {
			s.streak = 1
		}
		s.holds = holds
	}
	out = append(out, len(findings))
	slices.Sort(out)
	return slices.Compact(out)
}
