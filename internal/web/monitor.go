package web

import (
	"cmp"
	"fmt"
	"html/template"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/monitor"
)

// A MonitorWindow is one window of a report of a monitor.
type MonitorWindow struct {
	Label  string
	Drift  assay.Drift
	Counts *monitor.WindowDocument // nil where they are not known

	Outcome  *assay.Outcome  // what the labels say now; nil: nothing
	Restated []assay.Outcome // what was said with fewer labels, the oldest first
}

// monitorColumns is how many columns a report shows at most, those that matter most first; monitorCells how many cells of one.
const (
	monitorColumns = 60
	monitorCells   = 40
	monitorPoints  = 366
)

// monitorPage is what the template sees.
type monitorPage struct {
	Title, Sentence string
	Windows         []monitorRow
	Left            int // windows that are not shown
	Ranking         template.HTML
	Ranked          []Bar
	Columns         []monitorColumn
	More            int // columns that are not shown
	Budget          assay.AlarmBudget
	Plan            assay.WindowPlan
	Length          string
	Figures         []monitorFigure // of performance, the business metric last
	Labels          []monitorLabels
	Worse           []monitorSlice
	Skews           []monitorSkew
}

// monitorSkew is the training rows that came back in one window.
type monitorSkew struct {
	Label string
	assay.Skew
}

// monitorRow is one window in the table.
type monitorRow struct {
	Label   string
	Rows    int64
	Verdict assay.Verdict
	Causes  []assay.Cause
	Moved   int
	More    int
}

// monitorColumn is one column over all windows.
type monitorColumn struct {
	ID, Name, Scope string
	Verdict         assay.Verdict
	Weight          float64
	Timeline        template.HTML
	TimelineTitle   string
	Points          []monitorPoint
	Cells           template.HTML
	CellsTitle      string
	Shares          []cellShare
	Others          []string // what else moved, in words
	sort            float64
}

type monitorPoint struct {
	Label   string
	Effect  assay.Estimate
	PValue  assay.Number
	Verdict assay.Verdict
}

type cellShare struct {
	Label             string
	Reference, Window float64
}

// MonitorReport writes the windows of a plan as one HTML file: what moved, when and by how much. Its size does not depend on the number of rows. Windows
// are in order; references are by scope, see monitor.Watch.
func MonitorReport(w io.Writer, name string, plan assay.Monitor, windows []MonitorWindow, references map[string]*monitor.Document, f Footer) error {
	p := monitorPage{Title: "Did something change for " + name + "?", Budget: plan.Budget, Plan: plan.Windows, Length: monitor.FormatWindow(plan.Windows)}
	moved, open, first := 0, 0, ""
	total := map[string]float64{}
	for _, x := range windows {
		switch x.Drift.Verdict {
		case assay.Fail:
			moved++
			first = cmp.Or(first, x.Label)
		case assay.Undetermined:
			open++
		}
		for _, c := range x.Drift.Ranking {
			total[causeName(c)] += c.Contribution / float64(len(windows))
		}
		r := monitorRow{Label: x.Label, Rows: x.Drift.Window.Rows, Verdict: x.Drift.Verdict, Causes: x.Drift.Ranking, Moved: len(x.Drift.Ranking)}
		if len(r.Causes) > 3 {
			r.More, r.Causes = len(r.Causes)-3, r.Causes[:3]
		}
		p.Windows = append(p.Windows, r)
		if k := x.Drift.Skew; k != nil && k.Matched > 0 {
			p.Skews = append(p.Skews, monitorSkew{x.Label, *k})
		}
	}
	if p.Left = len(p.Windows) - monitorPoints; p.Left > 0 {
		p.Windows, windows = p.Windows[p.Left:], windows[p.Left:]
	}
	p.Left = max(p.Left, 0)
	p.Sentence = fmt.Sprintf("Nothing moved in %d windows.", len(windows)-open)
	if moved > 0 {
		p.Sentence = fmt.Sprintf("%d of %d windows moved, the first of them %s.", moved, len(windows), first)
	}
	if open > 0 {
		p.Sentence += fmt.Sprintf(" %d could not be judged.", open)
	}
	for n, v := range total {
		p.Ranked = append(p.Ranked, Bar{n, v})
	}
	slices.SortFunc(p.Ranked, func(a, b Bar) int { return cmp.Or(cmp.Compare(b.Value, a.Value), strings.Compare(a.Label, b.Label)) })
	p.Ranked = p.Ranked[:min(len(p.Ranked), 20)]
	p.Ranking = Bars("what moved, by mean contribution to a window", p.Ranked)
	for _, s := range plan.Signals {
		if s.Kind == monitor.KindDistribution && (s.Scope == monitor.ScopeInput || s.Scope == monitor.ScopePrediction) {
			if n := len(p.Columns); n > 0 && p.Columns[n-1].Name == s.Column && p.Columns[n-1].Scope == s.Scope {
				continue // a second test of the same column
			}
			p.Columns = append(p.Columns, columnOver(s, windows, references[s.Scope], total[s.Column]))
		}
		if s.Scope == monitor.ScopeJoint {
			c := columnOver(s, windows, nil, total[allColumns])
			c.Name = allColumns + ": " + strings.ReplaceAll(s.Test, "_", " ")
			p.Columns = append(p.Columns, c)
		}
	}
	slices.SortStableFunc(p.Columns, func(a, b monitorColumn) int { return cmp.Compare(b.sort, a.sort) })
	if p.More = len(p.Columns) - monitorColumns; p.More > 0 {
		p.Columns = p.Columns[:monitorColumns]
	}
	p.More = max(p.More, 0)
	for i := range p.Columns {
		p.Columns[i].ID = "column-" + strconv.Itoa(i+1)
	}
	p.outcomes(windows)
	return render(w, "monitor.html", p.Title, f, p)
}

// allColumns names what the tests of all columns together found.
const allColumns = "all columns together"

// causeName is what a cause is shown under.
func causeName(c assay.Cause) string {
	if c.Scope == monitor.ScopeJoint {
		return allColumns
	}
	return cmp.Or(c.Column, c.Kind)
}

// columnOver draws one column over the windows.
func columnOver(s assay.SignalPlan, windows []MonitorWindow, reference *monitor.Document, contribution float64) monitorColumn {
	c := monitorColumn{Name: s.Column, Scope: s.Scope, Weight: s.Weight, Verdict: assay.Undetermined}
	last := -1
	others := map[string]bool{}
	for i, x := range windows {
		pt := monitorPoint{Label: x.Label, Effect: assay.Undefined("not judged", 0), PValue: assay.Number(math.NaN()), Verdict: assay.Undetermined}
		for _, g := range x.Drift.Signals {
			if g.Scope != s.Scope || g.Column != s.Column || s.Scope == monitor.ScopeJoint && g.Test != s.Test {
				continue
			}
			if g.Kind != monitor.KindDistribution {
				if g.Verdict == assay.Fail {
					others[x.Label+": "+g.Kind] = true
				}
				continue
			}
			if math.IsNaN(float64(pt.PValue)) || g.PValue < pt.PValue {
				pt.Effect, pt.PValue = g.Effect, g.PValue
			}
			if g.Verdict == assay.Fail || pt.Verdict == assay.Undetermined {
				pt.Verdict = g.Verdict
			}
		}
		c.Points = append(c.Points, pt)
		if pt.Effect.Defined() {
			if last < 0 || pt.Verdict == assay.Fail || c.Points[last].Verdict != assay.Fail {
				last = i
			}
			if c.Verdict == assay.Undetermined || pt.Verdict == assay.Fail {
				c.Verdict = pt.Verdict
			}
			c.sort = math.Max(c.sort, pt.Effect.Value)
		}
	}
	c.Others = slices.Sorted(func(yield func(string) bool) {
		for k := range others {
			if !yield(k) {
				return
			}
		}
	})
	c.sort += 100 * contribution
	if last >= 0 {
		c.TimelineTitle = "Effect in Cohen's w by window, with its interval; dashed the floor"
		c.Timeline = timeline(cmp.Or(s.Column, allColumns)+": "+c.TimelineTitle, c.Points, float64(s.Floor))
		c.distribution(s, windows[last], reference)
	}
	return c
}

// distribution draws the cells of the reference beside those of a window.
func (c *monitorColumn) distribution(s assay.SignalPlan, w MonitorWindow, reference *monitor.Document) {
	if reference == nil || w.Counts == nil {
		return
	}
	counts := w.Counts.Features
	if s.Scope == monitor.ScopePrediction {
		counts = w.Counts.Predictions
	}
	for i, f := range reference.Features {
		if f.Name != s.Column || i >= len(counts) || len(counts[i].Cells) != len(f.Counts.Cells) {
			continue
		}
		n, m := float64(max(1, f.Counts.Values())), float64(max(1, counts[i].Values()))
		for k, label := range f.Labels() {
			if r, x := f.Counts.Cells[k], counts[i].Cells[k]; r+x > 0 {
				c.Shares = append(c.Shares, cellShare{label, float64(r) / n, float64(x) / m})
			}
		}
		for len(c.Shares) > monitorCells { // the rarest categories are one
			z := len(c.Shares)
			a, b := c.Shares[z-2], c.Shares[z-1]
			c.Shares = append(c.Shares[:z-2], cellShare{"all others", a.Reference + b.Reference, a.Window + b.Window})
		}
		c.CellsTitle = fmt.Sprintf("Share of rows by value: reference (outline) and %s (filled)", w.Label)
		c.Cells = pairedBars(s.Column+": "+c.CellsTitle, c.Shares)
	}
}

// timeline draws the effect of each window with its interval, and marks those that moved.
func timeline(label string, points []monitorPoint, floor float64) template.HTML {
	const w, h, left, right, top, bottom = 340, 160, 46, 12, 8, 22
	s := newSVG(w, h, label)
	most := 1.5 * floor
	for _, p := range points {
		if p.Effect.Defined() {
			most = math.Max(most, 1.05*math.Max(p.Effect.Value, p.Effect.Hi))
		}
	}
	x, y := scale{0, float64(len(points) - 1), left + 8, w - right - 8}, scale{0, math.Max(most, 1e-9), h - bottom, top}
	for _, t := range ticks(0, y.hi, 4) {
		s.line(left, y.at(t), w-right, y.at(t), "axis", "")
		s.text(left-5, y.at(t)+4, "end", "", short(t))
	}
	s.line(left, y.at(floor), w-right, y.at(floor), "", "stroke:var(--ref);stroke-dasharray:4 3")
	before := -1
	for i, p := range points {
		if !p.Effect.Defined() {
			continue
		}
		px0, py := x.at(float64(i)), y.at(p.Effect.Value)
		if before == i-1 && i > 0 {
			s.line(x.at(float64(before)), y.at(points[before].Effect.Value), px0, py, "", "stroke:var(--s1);stroke-width:1.5")
		}
		before = i
		s.f(`<g><title>%s: %s, %s</title>`, template.HTMLEscapeString(p.Label), p.Effect, p.Verdict)
		if p.Effect.HasInterval() {
			s.line(px0, y.at(p.Effect.Lo), px0, y.at(p.Effect.Hi), "", "stroke:var(--s1)")
		}
		if p.Verdict == assay.Fail {
			s.f(`<path d="M%s %sl8 8m0-8l-8 8" style="stroke:var(--fail);stroke-width:2"/>`, px(px0-4), px(py-4))
		} else {
			s.f(`<circle cx="%s" cy="%s" r="2.5" style="fill:var(--s1)"/>`, px(px0), px(py))
		}
		s.WriteString("</g>")
	}
	s.text(left, h-6, "start", "", clip(points[0].Label, 20))
	if len(points) > 1 {
		s.text(w-right, h-6, "end", "", clip(points[len(points)-1].Label, 20))
	}
	return s.done()
}

// pairedBars draws the shares of a window as bars and those of the reference as outlines over them.
func pairedBars(label string, cells []cellShare) template.HTML {
	if len(cells) == 0 {
		return ""
	}
	const w, h, left, bottom = 340, 140, 8, 20
	s := newSVG(w, h, label)
	most := 0.0
	for _, c := range cells {
		most = math.Max(most, math.Max(c.Reference, c.Window))
	}
	y := scale{0, most, h - bottom, 6}
	step := float64(w-2*left) / float64(len(cells))
	for i, c := range cells {
		x := left + float64(i)*step
		t := template.HTMLEscapeString(fmt.Sprintf("%s: reference %.2f %%, window %.2f %%", c.Label, 100*c.Reference, 100*c.Window))
		s.f(`<g><title>%s</title><rect x="%s" y="%s" width="%s" height="%s" fill="var(--bar)"/>`, t, px(x+1), px(y.at(c.Window)), px(math.Max(step-2, 1)), px(h-bottom-y.at(c.Window)))
		s.f(`<rect x="%s" y="%s" width="%s" height="%s" style="fill:none;stroke:var(--ink);stroke-width:1.2"/></g>`, px(x+1), px(y.at(c.Reference)), px(math.Max(step-2, 1)), px(h-bottom-y.at(c.Reference)))
	}
	s.line(left, h-bottom, w-left, h-bottom, "axis", "")
	s.text(left, h-5, "start", "", clip(cells[0].Label, 24))
	if len(cells) > 1 {
		s.text(w-left, h-5, "end", "", clip(cells[len(cells)-1].Label, 24))
	}
	return s.done()
}
