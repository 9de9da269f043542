package web

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/monitor"
)

// A columnRow is all that is watched of one column, in a line: every column has one, whether it is drawn or not.
type columnRow struct {
	ID, Name, Scope string // ID is empty for one that is not drawn
	Verdict         assay.Verdict
	Moved           int // windows in which something of it failed
	What, Window    string
	Effect          assay.Estimate // the largest, of what failed if something did

	size float64 // by which it matters
	plan assay.SignalPlan
}

// shown lists every column, those that failed first and then those that moved most, and returns the first signals of those that are drawn.
func (p *monitorPage) shown(plan assay.Monitor, windows []MonitorWindow, seen map[signalKey][]seenSignal, total map[string]float64) []assay.SignalPlan {
	at := map[signalKey]int{}
	var rows []columnRow
	for _, s := range plan.Signals {
		k := keyOf(s.Scope, s.Column, s.Test)
		if s.Scope == monitor.ScopeTraffic || s.Kind == monitor.KindSkew || s.Scope == monitor.ScopeLabel && len(seen[k]) == 0 {
			continue // traffic has its own drawings, and of labels that never came there is nothing to show
		}
		i, again := at[k]
		switch {
		case !again:
			at[k] = len(rows)
			rows = append(rows, rowOf(s, seen[k], windows, total))
		case s.Kind == monitor.KindDistribution && rows[i].plan.Kind != monitor.KindDistribution:
			rows[i].plan = s
		}
	}
	slices.SortStableFunc(rows, func(a, b columnRow) int {
		return cmp.Or(cmp.Compare(min(b.Moved, 1), min(a.Moved, 1)), cmp.Compare(b.size, a.size))
	})
	failed := 0
	for _, r := range rows {
		failed += min(r.Moved, 1)
	}
	drawn := min(len(rows), max(p.limits.columns, min(failed, p.limits.failed)))
	var out []assay.SignalPlan
	for i := range rows[:drawn] {
		rows[i].ID = columnID(i)
		out = append(out, rows[i].plan)
	}
	p.More = len(rows) - drawn
	p.Listed = rows[:min(len(rows), p.limits.listed)]
	if n := len(rows) - len(p.Listed); n > 0 {
		p.Unlisted = fmt.Sprintf("%d more columns are not in the table, %d of them failed.", n, max(0, failed-len(p.Listed)))
	}
	for i := range p.Listed {
		p.Listed[i].Name = clip(p.Listed[i].Name, p.limits.name)
	}
	return out
}

func columnID(i int) string { return "column-" + strconv.Itoa(i+1) }

// rowOf sums up what was seen of a column.
func rowOf(s assay.SignalPlan, of []seenSignal, windows []MonitorWindow, total map[string]float64) columnRow {
	r := columnRow{Name: cmp.Or(s.Column, s.Kind), Scope: s.Scope, Verdict: assay.Undetermined, Effect: assay.Undefined("not judged", 0), plan: s}
	share := total[s.Column]
	if s.Scope == monitor.ScopeJoint {
		r.Name, share = allColumns+": "+strings.ReplaceAll(s.Test, "_", " "), total[allColumns]
	}
	moved, most := -1, 0.0
	for _, g := range of {
		if g.Verdict == assay.Fail && g.window != moved {
			moved = g.window
			r.Moved++
		}
		worse := g.Verdict == assay.Fail && r.Verdict != assay.Fail
		if worse || r.Verdict == assay.Undetermined {
			r.Verdict = g.Verdict
		}
		if g.Effect.Defined() && (worse || (g.Verdict == assay.Fail || r.Verdict != assay.Fail) && (!r.Effect.Defined() || g.Effect.Value > r.Effect.Value)) || worse {
			r.Effect, r.What, r.Window = g.Effect, kindName(g.Signal), windows[g.window].Label
		}
		if g.Effect.Defined() {
			most = max(most, g.Effect.Value)
		}
	}
	r.size = 100*share + most
	return r
}
