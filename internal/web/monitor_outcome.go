package web

import (
	"fmt"
	"html/template"
	"math"
	"strconv"
	"strings"

	"github.com/assay-ml/assay"
)

// restatedLooks is how many of the earlier looks at one window are shown, the newest.
const restatedLooks = 12

// monitorFigure is one figure of performance over all windows.
type monitorFigure struct {
	ID, Name, Definition string
	Verdict              assay.Verdict
	Reference            assay.Estimate
	Margin               float64
	Higher               bool // is better
	Left                 int  // windows that are not in the table
	Chart                template.HTML
	ChartTitle           string
	Change               template.HTML // drawn against the margin, which is what decides
	ChangeTitle          string
	Points               []figurePoint
	Assumption           string
}

type figurePoint struct {
	Label                   string
	Realised, Proxy, Change assay.Estimate
	PValue                  assay.Number
	Verdict                 assay.Verdict
}

// monitorLabels is how far the labels of one window have come.
type monitorLabels struct {
	Label   string
	Rows    int64
	Labels  assay.LabelJoin
	Half    string // how long half of them took
	Verdict assay.Verdict
	Overdue string
	Earlier []earlierOutcome // that were restated, the oldest first
}

type earlierOutcome struct {
	Look     int
	Labelled int64
	Figures  string
}

// monitorSlice is a slice that is certainly worse in some window.
type monitorSlice struct {
	Window, Slice, Metric string
	Realised, Reference   assay.Estimate
}

// outcomes gathers what the labels say of the windows.
func (p *monitorPage) outcomes(windows []MonitorWindow) {
	at := map[string]int{}
	for i, w := range windows {
		o := w.Outcome
		if o == nil {
			continue
		}
		l := monitorLabels{Label: w.Label, Rows: o.Labels.Coverage.N, Labels: o.Labels, Half: spell(float64(o.Labels.DelayP50)), Verdict: o.Verdict, Overdue: w.Overdue}
		if l.Overdue != "" {
			l.Verdict = assay.Fail
		}
		for _, e := range w.Restated[max(0, len(w.Restated)-restatedLooks):] {
			l.Earlier = append(l.Earlier, earlierOutcome{e.Look, e.Labels.Labelled, figures(e)})
		}
		if i >= p.Left {
			p.Labels = append(p.Labels, l)
		}
		for _, m := range outcomeMetrics(*o) {
			i, ok := at[m.Name]
			if !ok {
				i = len(p.Figures)
				at[m.Name] = i
				p.Figures = append(p.Figures, monitorFigure{ID: "figure-" + strconv.Itoa(i+1), Name: m.Name, Definition: m.Definition, Verdict: assay.Undetermined, Reference: m.Reference, Margin: m.Margin, Higher: m.Higher})
			}
			f := &p.Figures[i]
			f.Points = append(f.Points, figurePoint{Label: w.Label, Realised: m.Realised, Proxy: m.Proxy, Change: m.Change, PValue: m.PValue, Verdict: m.Verdict})
			if m.Assumption != "" {
				f.Assumption = m.Assumption
			}
			if m.Verdict == assay.Fail || f.Verdict == assay.Undetermined {
				f.Verdict = m.Verdict
			}
		}
		for _, s := range o.Slices {
			for _, m := range s.Performance {
				if m.Verdict == assay.Fail {
					p.Worse = append(p.Worse, monitorSlice{w.Label, s.Name, m.Name, m.Realised, m.Reference})
				}
			}
		}
	}
	p.MoreWorse = max(0, len(p.Worse)-monitorSlices) // the newest are shown
	p.Worse = p.Worse[p.MoreWorse:]
	for i := range p.Figures {
		f := &p.Figures[i]
		changes := make([]figurePoint, len(f.Points))
		for k, x := range f.Points {
			changes[k] = figurePoint{Label: x.Label, Realised: x.Change, Proxy: assay.Undefined("", 0), Verdict: x.Verdict}
		}
		f.ChartTitle = "Realised with its interval (filled), estimated without labels (outline); dashed: on held-out rows, shaded its interval"
		f.ChangeTitle = "Change from held-out rows with its interval, worse below 0; dashed in red the margin. An alarm is a change that is certainly beyond it, by p in the table"
		draw := figureChart
		if len(p.Figures)*len(f.Points) > p.limits.marks/2 {
			draw = figureTrend
			f.ChartTitle = "Realised (blue) and estimated without labels (orange)" + grouped(len(f.Points)) + "; dashed" + strings.SplitN(f.ChartTitle, "dashed", 2)[1]
			f.ChangeTitle = "Change from held-out rows" + grouped(len(f.Points)) + strings.TrimPrefix(f.ChangeTitle, "Change from held-out rows with its interval")
		}
		f.Chart = draw(f.Name+": "+f.ChartTitle, f.Points, figureLines{reference: f.Reference, worst: math.NaN(), names: [2]string{"realised", "estimated"}})
		f.Change = draw(f.Name+": "+f.ChangeTitle, changes, figureLines{worst: -f.Margin, names: [2]string{"change"}})
		few := min(p.limits.windows, max(8, p.limits.rows/2/len(p.Figures)))
		f.Left = max(0, len(f.Points)-few)
		f.Points = f.Points[f.Left:]
	}
}

// figureLines are the lines that a chart of a figure has: a reference, with its interval where it has one, and a margin where there is one; and what is drawn.
type figureLines struct {
	reference assay.Estimate
	worst     float64
	names     [2]string
}

func outcomeMetrics(o assay.Outcome) []assay.RealisedMetric {
	out := append([]assay.RealisedMetric{}, o.Performance...)
	if o.Business != nil {
		out = append(out, *o.Business)
	}
	return out
}

func figures(o assay.Outcome) string {
	var parts []string
	for _, m := range outcomeMetrics(o) {
		if m.Realised.Defined() {
			parts = append(parts, m.Name+" "+m.Realised.String())
		}
	}
	if len(parts) == 0 {
		return "not known"
	}
	return strings.Join(parts, "; ")
}

// spell writes a length of time in the largest unit that it reaches.
func spell(seconds float64) string {
	for _, u := range []struct {
		name string
		of   float64
	}{{"d", 86400}, {"h", 3600}, {"min", 60}} {
		if seconds >= u.of {
			return fmt.Sprintf("%.3g %s", seconds/u.of, u.name)
		}
	}
	if seconds >= 0 {
		return fmt.Sprintf("%.3g s", seconds)
	}
	return ""
}

// figureFrame is the axes of a chart of a figure, with the line of the reference and that of the margin.
func figureFrame(label string, points []figurePoint, l figureLines) (s *svg, x, y scale, ok bool) {
	const w, h, left, right, top, bottom = 340, 170, 56, 12, 8, 22
	lo, hi := math.Inf(1), math.Inf(-1)
	see := func(v float64) {
		if !math.IsNaN(v) && !math.IsInf(v, 0) {
			lo, hi = math.Min(lo, v), math.Max(hi, v)
		}
	}
	see(l.reference.Value)
	see(l.worst)
	if l.reference.HasInterval() {
		see(l.reference.Lo)
		see(l.reference.Hi)
	}
	for _, p := range points {
		for _, e := range []assay.Estimate{p.Realised, p.Proxy} {
			if e.Defined() {
				see(e.Value)
				see(e.Lo)
				see(e.Hi)
			}
		}
	}
	if !(lo <= hi) {
		return nil, x, y, false
	}
	if pad := 0.08 * (hi - lo); pad > 0 {
		lo, hi = lo-pad, hi+pad
	} else {
		lo, hi = lo-0.5, hi+0.5
	}
	s = newSVG(w, h, label)
	x, y = scale{0, math.Max(float64(len(points)-1), 1), left + 10, w - right - 10}, scale{lo, hi, h - bottom, top}
	for _, t := range ticks(lo, hi, 4) {
		s.line(left, y.at(t), w-right, y.at(t), "axis", "")
		s.text(left-5, y.at(t)+4, "end", "", short(t))
	}
	if r := l.reference; r.HasInterval() {
		s.f(`<rect x="%s" y="%s" width="%s" height="%s" style="fill:var(--ref);fill-opacity:.15"/>`, px(left), px(y.at(r.Hi)), px(w-right-left), px(y.at(r.Lo)-y.at(r.Hi)))
	}
	for _, x := range []struct {
		at     float64
		colour string
	}{{l.reference.Value, "ref"}, {l.worst, "fail"}} {
		if !math.IsNaN(x.at) {
			s.line(left, y.at(x.at), w-right, y.at(x.at), "", "stroke:var(--"+x.colour+");stroke-dasharray:4 3")
		}
	}
	labels := make([]string, len(points))
	for i, p := range points {
		labels[i] = p.Label
	}
	s.ends(labels, left, w-right, h-6)
	return s, x, y, true
}

// figureTrend draws realised and estimated values where there are too many to draw one by one.
func figureTrend(label string, points []figurePoint, l figureLines) template.HTML {
	s, x, y, ok := figureFrame(label, points, l)
	if !ok {
		return ""
	}
	var lines [2][]trendPoint
	for _, p := range points {
		lines[0] = append(lines[0], trendPoint{p.Realised.Value, p.Realised.Defined(), p.Verdict == assay.Fail})
		lines[1] = append(lines[1], trendPoint{p.Proxy.Value, p.Proxy.Defined(), false})
	}
	s.bands(bands(lines[1], trendGroups), x, y, "var(--s2)")
	s.bands(bands(lines[0], trendGroups), x, y, "var(--s1)")
	return s.done()
}

// figureChart draws realised and estimated values by window over the lines of the reference and of the margin.
func figureChart(label string, points []figurePoint, l figureLines) template.HTML {
	s, x, y, ok := figureFrame(label, points, l)
	if !ok {
		return ""
	}
	for i, p := range points {
		for k, e := range []assay.Estimate{p.Realised, p.Proxy} {
			if !e.Defined() {
				continue
			}
			px0, py, color := x.at(float64(i))-3+6*float64(k), y.at(e.Value), "var(--s1)"
			if k == 1 {
				color = "var(--s2)"
			}
			s.f(`<g><title>%s: %s %s</title>`, template.HTMLEscapeString(p.Label), l.names[k], e)
			if e.HasInterval() {
				s.line(px0, y.at(e.Lo), px0, y.at(e.Hi), "", "stroke:"+color)
			}
			switch {
			case k == 0 && p.Verdict == assay.Fail:
				s.f(`<path d="M%s %sl8 8m0-8l-8 8" style="stroke:var(--fail);stroke-width:2"/>`, px(px0-4), px(py-4))
			case k == 0:
				s.f(`<circle cx="%s" cy="%s" r="3" style="fill:%s"/>`, px(px0), px(py), color)
			default:
				s.f(`<circle cx="%s" cy="%s" r="3" style="fill:none;stroke:%s"/>`, px(px0), px(py), color)
			}
			s.WriteString("</g>")
		}
	}
	return s.done()
}
