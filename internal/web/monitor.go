package web

import (
	"cmp"
	"fmt"
	"html/template"
	"io"
	"math"
	"slices"
	"strings"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/monitor"
)

// A MonitorWindow is one window of a report of a monitor.
type MonitorWindow struct {
	Label  string
	Drift  assay.Drift
	Counts func() (*monitor.WindowDocument, error) // asked for the windows whose distributions are shown; nil where they are not known

	Outcome  *assay.Outcome  // what the labels say now; nil: nothing
	Overdue  string          // that all labels should have come, and too few did; empty where it is not so
	Restated []assay.Outcome // what was said with fewer labels, the oldest first
}

// monitorLimits bound what a page shows one by one. What is beyond them is drawn and counted in groups.
type monitorLimits struct {
	columns int // that are drawn, those that matter most first; more where more failed, up to failed
	failed  int
	listed  int // in the table of columns
	name    int // letters of a name in that table
	windows int // the newest, in tables of windows
	rows    int // of the tables of all columns together
	marks   int // windows times columns that are drawn one by one
}

// monitorDetail is how much a page shows, the most first: with names that are very long less of it fits.
var monitorDetail = []monitorLimits{{60, 75, 4000, 200, 120, 1200, 1500}, {60, 60, 4000, 80, 60, 400, 0}, {20, 20, 3000, 60, 30, 200, 0}, {5, 5, 1000, 40, 10, 20, 0}}

const (
	monitorCells   = 40 // of one column at most
	monitorPeriods = 50 // that windows are summed up in
	monitorSlices  = 60
)

// monitorPage is what the template sees.
type monitorPage struct {
	Title, Sentence string
	Crumbs          []SiteLink // on a server: where the page is
	Downloads       []SiteLink // on a server: its tables as CSV
	Losses          string     // what the windows do not hold, in words
	Windows         []monitorRow
	Left            int // windows that are not in tables one by one
	Earlier         []monitorPeriod
	Traffic         []monitorShare
	Ranking         template.HTML
	Ranked          []Bar
	Columns         []monitorColumn
	Listed          []columnRow
	Unlisted        string // what is not in that table, in words
	More            int    // columns that are not drawn
	Cut             int    // windows in the table of a column, where it has not all; else 0
	Budget          assay.AlarmBudget
	Plan            assay.WindowPlan
	Length          string
	Figures         []monitorFigure // of performance, the business metric last
	Labels          []monitorLabels
	Worse           []monitorSlice
	MoreWorse       int // such slices that are not shown
	Skews           []monitorSkew

	limits monitorLimits
}

// monitorSkew is the training rows that came back in one window.
type monitorSkew struct {
	Label string
	assay.Skew
}

// monitorRow is one window in the table.
type monitorRow struct {
	Label   string
	Window  assay.Window
	Verdict assay.Verdict
	Causes  []assay.Cause
	More    int
}

// monitorPeriod is windows in a row, summed up.
type monitorPeriod struct {
	First, Last                 string
	Windows, Moved, Open        int
	Rows, Refused, Failed, Lost int64
	Unclosed, Repeated          int64
	Sampled                     float64 // the least of them
	Cause                       string  // what contributed most
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
	Others          monitorShare // what else is watched of it
	Still           string       // of that, what never moved at all, in words
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

// MonitorReport writes the windows of a plan as one HTML file: what moved, when and by how much. Its size depends neither on the number of rows nor on that of
// windows: the newest are shown one by one, those before them in groups. Windows are in order; references are by scope, see monitor.Watch.
func MonitorReport(w io.Writer, name string, plan assay.Monitor, windows []MonitorWindow, references map[string]*monitor.Document, f Footer) error {
	seen := signalsOf(windows)
	for i, limits := range monitorDetail {
		p := monitorPage{Title: "Did something change for " + name + "?", Budget: plan.Budget, Plan: plan.Windows, Length: monitor.FormatWindow(plan.Windows), limits: limits}
		if err := p.fill(plan, windows, seen, references); err != nil {
			return err
		}
		if f.Here != "" {
			p.Crumbs = []SiteLink{{"Monitors", "/monitors"}, {Text: name}}
			for _, table := range MonitorTables() {
				p.Downloads = append(p.Downloads, SiteLink{table, "/monitors/" + strings.Replace(name, ":", "/", 1) + "/" + table + ".csv"})
			}
		}
		b, err := rendered("monitor.html", p.Title, f, p)
		if err != nil {
			return err
		}
		if len(b) > MaxReportBytes && i+1 < len(monitorDetail) {
			continue
		}
		return written(w, b)
	}
	return nil
}

func (p *monitorPage) fill(plan assay.Monitor, windows []MonitorWindow, seen map[signalKey][]seenSignal, references map[string]*monitor.Document) error {
	total := map[string]float64{}
	for _, x := range windows {
		for _, c := range x.Drift.Ranking {
			total[causeName(c)] += c.Contribution / float64(len(windows))
		}
	}
	p.summary(windows)
	for n, v := range total {
		p.Ranked = append(p.Ranked, Bar{n, v, percents(v)})
	}
	slices.SortFunc(p.Ranked, func(a, b Bar) int { return cmp.Or(cmp.Compare(b.Value, a.Value), strings.Compare(a.Label, b.Label)) })
	p.Ranked = p.Ranked[:min(len(p.Ranked), 20)]
	p.Ranking = Bars("what moved, by mean contribution to a window", p.Ranked)
	plans := p.shown(plan, windows, seen, total)
	few := max(8, p.limits.rows/max(len(plans), 1))
	if few < len(windows) {
		p.Cut = few
	}
	for i, s := range plans {
		c, err := p.columnOver(s, windows, seen, references[s.Scope], len(plans), few)
		if err != nil {
			return err
		}
		c.ID = columnID(i)
		p.Columns = append(p.Columns, c)
	}
	p.traffic(plan, windows, seen)
	p.outcomes(windows)
	return nil
}

// summary says of all windows what came of them, the newest one by one and those before them by periods.
func (p *monitorPage) summary(windows []MonitorWindow) {
	p.Left = max(0, len(windows)-p.limits.windows)
	all := period(windows)
	p.Sentence = fmt.Sprintf("Nothing moved in %d windows.", all.Windows-all.Open)
	if all.Moved > 0 {
		first := windows[slices.IndexFunc(windows, func(x MonitorWindow) bool { return x.Drift.Verdict == assay.Fail })].Label
		p.Sentence = fmt.Sprintf("%d of %d windows moved, the first of them %s.", all.Moved, all.Windows, first)
	}
	if all.Open > 0 {
		p.Sentence += fmt.Sprintf(" %d could not be judged.", all.Open)
	}
	overdue := 0
	for _, x := range windows {
		if x.Overdue != "" {
			overdue++
		}
	}
	if overdue > 0 {
		p.Sentence += fmt.Sprintf(" Labels of %d are overdue.", overdue)
	}
	p.Losses = monitor.Losses(assay.Window{Rows: all.Rows, Refused: all.Refused, Failed: all.Failed, Lost: all.Lost, Unclosed: all.Unclosed, Repeated: all.Repeated, Sampled: all.Sampled})
	n := min(p.Left, monitorPeriods)
	for i := range n {
		p.Earlier = append(p.Earlier, period(windows[i*p.Left/n:(i+1)*p.Left/n]))
	}
	for _, x := range windows[p.Left:] {
		r := monitorRow{Label: x.Label, Window: x.Drift.Window, Verdict: x.Drift.Verdict, Causes: x.Drift.Ranking}
		if len(r.Causes) > 3 {
			r.More, r.Causes = len(r.Causes)-3, r.Causes[:3]
		}
		p.Windows = append(p.Windows, r)
		if k := x.Drift.Skew; k != nil && k.Matched > 0 {
			p.Skews = append(p.Skews, monitorSkew{x.Label, *k})
		}
	}
}

// period sums windows up.
func period(windows []MonitorWindow) monitorPeriod {
	out := monitorPeriod{First: windows[0].Label, Last: windows[len(windows)-1].Label, Windows: len(windows), Sampled: 1}
	total := map[string]float64{}
	for _, x := range windows {
		d := x.Drift.Window
		switch x.Drift.Verdict {
		case assay.Fail:
			out.Moved++
		case assay.Undetermined:
			out.Open++
		}
		out.Rows, out.Refused, out.Failed, out.Lost = out.Rows+d.Rows, out.Refused+d.Refused, out.Failed+d.Failed, out.Lost+d.Lost
		out.Unclosed += d.Unclosed
		out.Repeated += d.Repeated
		if d.Sampled > 0 {
			out.Sampled = math.Min(out.Sampled, d.Sampled)
		}
		for _, c := range x.Drift.Ranking {
			n := causeName(c)
			if total[n] += c.Contribution; out.Cause == "" || total[n] > total[out.Cause] {
				out.Cause = n
			}
		}
	}
	return out
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

// columnOver draws one of so many columns over the windows, the newest few of which are in its table.
func (p *monitorPage) columnOver(s assay.SignalPlan, windows []MonitorWindow, seen map[signalKey][]seenSignal, reference *monitor.Document, columns, few int) (monitorColumn, error) {
	c := monitorColumn{Name: s.Column, Scope: s.Scope, Weight: s.Weight, Verdict: assay.Undetermined}
	if s.Scope == monitor.ScopeJoint {
		c.Name = allColumns + ": " + strings.ReplaceAll(s.Test, "_", " ")
	}
	points := make([]monitorPoint, len(windows))
	for i, x := range windows {
		points[i] = monitorPoint{Label: x.Label, Effect: assay.Undefined("not judged", 0), PValue: assay.Number(math.NaN()), Verdict: assay.Undetermined}
	}
	of := seen[keyOf(s.Scope, s.Column, s.Test)]
	for _, g := range of {
		if g.Kind != monitor.KindDistribution {
			continue
		}
		pt := &points[g.window]
		if math.IsNaN(float64(pt.PValue)) || g.PValue < pt.PValue {
			pt.Effect, pt.PValue = g.Effect, g.PValue
		}
		if g.Verdict == assay.Fail || pt.Verdict == assay.Undetermined {
			pt.Verdict = g.Verdict
		}
	}
	last := -1
	for i, pt := range points {
		if pt.Effect.Defined() {
			if last < 0 || pt.Verdict == assay.Fail || points[last].Verdict != assay.Fail {
				last = i
			}
			if c.Verdict == assay.Undetermined || pt.Verdict == assay.Fail {
				c.Verdict = pt.Verdict
			}
		}
	}
	c.Points = points[max(0, len(points)-few):]
	c.others(of, windows, float64(s.Floor), few)
	if last < 0 {
		return c, nil
	}
	c.TimelineTitle = "Effect in Cohen's w by window, with its interval; dashed the floor"
	if columns*len(windows) <= p.limits.marks {
		c.Timeline = timeline(cmp.Or(s.Column, allColumns)+": "+c.TimelineTitle, points, float64(s.Floor))
	} else {
		c.TimelineTitle = "Effect in Cohen's w" + grouped(len(windows)) + "; dashed the floor"
		c.Timeline = trend(cmp.Or(s.Column, allColumns)+": "+c.TimelineTitle, labelsOf(windows), []trendLine{effects(points)}, float64(s.Floor))
	}
	return c, c.distribution(s, windows[last], reference)
}

// distribution draws the cells of the reference beside those of a window.
func (c *monitorColumn) distribution(s assay.SignalPlan, w MonitorWindow, reference *monitor.Document) error {
	if reference == nil || w.Counts == nil {
		return nil
	}
	d, err := w.Counts()
	if err != nil {
		return err
	}
	counts := d.Features
	if s.Scope == monitor.ScopePrediction {
		counts = d.Predictions
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
	return nil
}
