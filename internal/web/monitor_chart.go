package web

import (
	"fmt"
	"html/template"
	"math"
	"slices"
	"strings"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/monitor"
)

// A signalKey names what belongs to one column; the tests of all columns together are told from each other by their test.
type signalKey struct{ scope, column, test string }

func keyOf(scope, column, test string) signalKey {
	if scope != monitor.ScopeJoint {
		test = ""
	}
	return signalKey{scope, column, test}
}

// A seenSignal is a signal of the window of that place.
type seenSignal struct {
	window int
	*assay.Signal
}

// signalsOf sorts the signals of all windows by what they are of, those of labels from the outcomes.
func signalsOf(windows []MonitorWindow) map[signalKey][]seenSignal {
	out := map[signalKey][]seenSignal{}
	note := func(i int, signals []assay.Signal) {
		for j := range signals {
			g := &signals[j]
			k := keyOf(g.Scope, g.Column, g.Test)
			out[k] = append(out[k], seenSignal{i, g})
		}
	}
	for i := range windows {
		note(i, windows[i].Drift.Signals)
		if o := windows[i].Outcome; o != nil {
			note(i, o.Drift)
		}
	}
	return out
}

// monitorShare is something of the rows or requests over the windows: a chart, and the newest values as a table.
type monitorShare struct {
	Name, Title string
	Chart       template.HTML
	Heads       []string
	Rows        []shareRow
}

type shareRow struct {
	Label string
	Cells []string
}

// others draws what else than its distribution is watched of a column.
func (c *monitorColumn) others(of []seenSignal, windows []MonitorWindow, floor float64, few int) {
	var kinds, still []string
	for _, g := range of {
		if k := kindName(g.Signal); g.Kind != monitor.KindDistribution && !slices.Contains(kinds, k) {
			kinds = append(kinds, k)
		}
	}
	var lines []trendLine
	values := map[string][]string{}
	for _, k := range kinds {
		l := trendLine{name: k, points: make([]trendPoint, len(windows))}
		texts := make([]string, len(windows))
		moves := false
		for _, g := range of {
			if kindName(g.Signal) != k {
				continue
			}
			if g.Verdict == assay.Undetermined {
				continue
			}
			v := 0.0
			if g.Effect.Defined() {
				v = g.Effect.Value
			}
			l.points[g.window] = trendPoint{v, true, g.Verdict == assay.Fail}
			moves = moves || v > 0 || g.Verdict == assay.Fail
			texts[g.window] = significant(assay.Number(v))
			if g.Kind != monitor.KindChange {
				texts[g.window] = percents(float64(g.Statistic))
			}
			if g.Verdict == assay.Fail {
				texts[g.window] += " " + g.Verdict.Glyph()
				c.Verdict = assay.Fail
			}
		}
		if !moves {
			still = append(still, k)
			continue
		}
		lines, values[k] = append(lines, l), texts
	}
	c.Still = strings.Join(still, ", ")
	if len(lines) == 0 {
		return
	}
	c.Others = monitorShare{Title: "Other effects in Cohen's w" + grouped(len(windows)) + "; dashed the floor"}
	c.Others.Chart = trend(c.Name+": "+c.Others.Title, labelsOf(windows), lines, floor)
	for _, l := range lines {
		c.Others.Heads = append(c.Others.Heads, l.name)
	}
	for i := max(0, len(windows)-few); i < len(windows); i++ {
		r := shareRow{Label: windows[i].Label}
		for _, l := range lines {
			r.Cells = append(r.Cells, values[l.name][i])
		}
		c.Others.Rows = append(c.Others.Rows, r)
	}
}

func kindName(g *assay.Signal) string {
	if g.Kind == monitor.KindChange {
		return "change (" + strings.ReplaceAll(g.Test, "_", " ") + ")"
	}
	return g.Kind
}

// traffic draws the rows of the windows, and what share of the requests and rows was refused, failed or lost, or of training rows differed, with what is tolerated.
func (p *monitorPage) traffic(plan assay.Monitor, windows []MonitorWindow, seen map[signalKey][]seenSignal) {
	rows := trendLine{points: make([]trendPoint, len(windows))}
	for i, x := range windows {
		rows.points[i] = trendPoint{float64(x.Drift.Window.Rows), true, slices.ContainsFunc(x.Drift.Signals, func(g assay.Signal) bool { return g.Kind == monitor.KindVolume && g.Verdict == assay.Fail })}
	}
	title := "Rows" + grouped(len(windows))
	p.Traffic = append(p.Traffic, monitorShare{Name: "rows", Title: title, Chart: trend(title, labelsOf(windows), []trendLine{rows}, math.NaN())})
	for _, s := range plan.Signals {
		if s.Scope != monitor.ScopeTraffic && s.Kind != monitor.KindSkew || s.Kind == monitor.KindVolume {
			continue
		}
		l := trendLine{points: make([]trendPoint, len(windows))}
		texts, any := make([]string, len(windows)), false
		for _, g := range seen[keyOf(s.Scope, s.Column, s.Test)] {
			if g.Kind != s.Kind || g.Verdict == assay.Undetermined {
				continue
			}
			any = true
			l.points[g.window] = trendPoint{float64(g.Statistic), true, g.Verdict == assay.Fail}
			texts[g.window] = percents(float64(g.Statistic))
			if g.Verdict == assay.Fail {
				texts[g.window] += " " + g.Verdict.Glyph()
			}
		}
		if !any {
			continue
		}
		of := "requests"
		switch s.Kind {
		case monitor.KindLost:
			of = "rows"
		case monitor.KindSkew:
			of = "training rows that came back and differ"
		}
		x := monitorShare{Name: s.Kind, Title: fmt.Sprintf("%s: share of %s%s; dashed what is tolerated, %s", s.Kind, of, grouped(len(windows)), percents(float64(s.Threshold))), Heads: []string{s.Kind}}
		x.Chart = trend(x.Title, labelsOf(windows), []trendLine{l}, float64(s.Threshold))
		for i := max(0, len(windows)-p.limits.windows); i < len(windows); i++ {
			x.Rows = append(x.Rows, shareRow{windows[i].Label, []string{texts[i]}})
		}
		p.Traffic = append(p.Traffic, x)
	}
}

func percents(v float64) string {
	if math.IsNaN(v) {
		return ""
	}
	return fmt.Sprintf("%.3g %%", 100*v)
}

func labelsOf(windows []MonitorWindow) []string {
	out := make([]string, len(windows))
	for i, x := range windows {
		out[i] = x.Label
	}
	return out
}

// trendGroups is how many places a trend has across: with more windows each place is several of them.
const trendGroups = 80

// grouped says in a title how many windows one place of a trend stands for.
func grouped(windows int) string {
	if windows <= trendGroups {
		return " by window"
	}
	return fmt.Sprintf(", the least and the greatest of every %d windows", (windows+trendGroups-1)/trendGroups)
}

// A trendLine is a value by window.
type trendLine struct {
	name   string
	points []trendPoint
}

type trendPoint struct {
	value       float64
	known, fail bool
}

// A band is neighbouring points of a line: the least and the greatest of those that are known.
type band struct {
	at          float64 // the middle of their places
	lo, hi      float64
	known, fail bool
}

// bands joins neighbouring points so that no more than so many remain. What failed stays visible whatever is joined with it.
func bands(points []trendPoint, most int) []band {
	each := (len(points) + most - 1) / most
	var out []band
	for i := 0; i < len(points); i += each {
		group := points[i:min(i+each, len(points))]
		b := band{at: float64(i) + float64(len(group)-1)/2, lo: math.Inf(1), hi: math.Inf(-1)}
		for _, x := range group {
			if x.known && !math.IsNaN(x.value) {
				b.lo, b.hi, b.known = math.Min(b.lo, x.value), math.Max(b.hi, x.value), true
				b.fail = b.fail || x.fail
			}
		}
		out = append(out, b)
	}
	return out
}

// effects is the line of the effects of points.
func effects(points []monitorPoint) trendLine {
	l := trendLine{points: make([]trendPoint, len(points))}
	for i, p := range points {
		l.points[i] = trendPoint{p.Effect.Value, p.Effect.Defined(), p.Verdict == assay.Fail}
	}
	return l
}

// trend draws lines over the windows from zero up, with a dashed threshold: a line as a band from its least to its greatest value where windows are joined, with
// a cross where it failed. The drawing has a size of its own, whatever the windows.
func trend(label string, labels []string, lines []trendLine, threshold float64) template.HTML {
	const w, h, left, right, top, bottom = 340, 160, 68, 12, 20, 22
	s := newSVG(w, h, label)
	most := 0.0
	if !math.IsNaN(threshold) {
		most = 1.5 * threshold
	}
	drawn := make([][]band, len(lines))
	for i, l := range lines {
		drawn[i] = bands(l.points, trendGroups)
		for _, b := range drawn[i] {
			if b.known {
				most = math.Max(most, 1.05*b.hi)
			}
		}
	}
	x, y := scale{0, math.Max(float64(len(labels)-1), 1), left + 8, w - right - 8}, scale{0, math.Max(most, 1e-9), h - bottom, top}
	for _, t := range ticks(0, y.hi, 4) {
		s.line(left, y.at(t), w-right, y.at(t), "axis", "")
		s.text(left-5, y.at(t)+4, "end", "", short(t))
	}
	if !math.IsNaN(threshold) {
		s.line(left, y.at(threshold), w-right, y.at(threshold), "", "stroke:var(--ref);stroke-dasharray:4 3")
	}
	next := float64(left)
	for i, l := range lines {
		colour := fmt.Sprintf("var(--s%d)", i%4+1)
		s.bands(drawn[i], x, y, colour)
		if l.name != "" && len(lines) > 0 {
			s.f(`<text x="%s" y="12" style="fill:%s">%s</text>`, px(next), colour, template.HTMLEscapeString(l.name))
			next += 7*float64(len(l.name)) + 10
		}
	}
	s.ends(labels, left, w-right, h-6)
	return s.done()
}

// bands draws one line of bands, and crosses where it failed.
func (s *svg) bands(line []band, x, y scale, colour string) {
	var area, crosses strings.Builder
	for i := 0; i < len(line); {
		if !line[i].known {
			i++
			continue
		}
		j := i
		for j < len(line) && line[j].known {
			j++
		}
		for k := i; k < j; k++ {
			area.WriteString(map[bool]string{true: "M", false: "L"}[k == i] + px(x.at(line[k].at)) + " " + px(y.at(line[k].hi)))
		}
		for k := j - 1; k >= i; k-- {
			area.WriteString("L" + px(x.at(line[k].at)) + " " + px(y.at(line[k].lo)))
		}
		area.WriteString("Z")
		for _, b := range line[i:j] {
			if b.fail {
				crosses.WriteString("M" + px(x.at(b.at)-3) + " " + px(y.at(b.hi)-3) + "l6 6m0-6l-6 6")
			}
		}
		i = j
	}
	if area.Len() > 0 {
		s.f(`<path d="%s" style="fill:%s;fill-opacity:.35;stroke:%s;stroke-width:1.5;stroke-linecap:round;stroke-linejoin:round"/>`, area.String(), colour, colour)
	}
	if crosses.Len() > 0 {
		s.f(`<path d="%s" style="stroke:var(--fail);stroke-width:2"/>`, crosses.String())
	}
}

// ends writes the first and the last label under an axis.
func (s *svg) ends(labels []string, from, to, y float64) {
	s.text(from, y, "start", "", clip(labels[0], 20))
	if n := len(labels); n > 1 {
		s.text(to, y, "end", "", clip(labels[n-1], 20))
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
	var path strings.Builder
	for i, p := range points {
		if p.Effect.Defined() {
			path.WriteString(map[bool]string{true: "L", false: "M"}[i > 0 && points[i-1].Effect.Defined()] + px(x.at(float64(i))) + " " + px(y.at(p.Effect.Value)))
		}
	}
	s.f(`<g style="stroke:var(--s1);fill:var(--s1)"><path d="%s" style="fill:none;stroke-width:1.5"/>`, path.String())
	for i, p := range points {
		if !p.Effect.Defined() {
			continue
		}
		px0, py := x.at(float64(i)), y.at(p.Effect.Value)
		s.f(`<g><title>%s: %s, %s</title>`, template.HTMLEscapeString(p.Label), p.Effect, p.Verdict)
		if p.Effect.HasInterval() {
			s.line(px0, y.at(p.Effect.Lo), px0, y.at(p.Effect.Hi), "", "")
		}
		if p.Verdict == assay.Fail {
			s.f(`<path d="M%s %sl8 8m0-8l-8 8" style="stroke:var(--fail);stroke-width:2"/>`, px(px0-4), px(py-4))
		} else {
			s.f(`<circle cx="%s" cy="%s" r="2"/>`, px(px0), px(py))
		}
		s.WriteString("</g>")
	}
	s.WriteString("</g>")
	s.ends([]string{points[0].Label, points[len(points)-1].Label}[:min(len(points), 2)], left, w-right, h-6)
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
