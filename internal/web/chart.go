package web

import (
	"fmt"
	"html/template"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/assay-ml/assay"
)

// A chart is drawn as SVG on the server, so that a page needs no script. Every chart comes in a figure with a title that says what it
// shows and a table of its numbers, which is its accessible form. No chart draws more than maxMarks marks.
const maxMarks = 5000

// svg gathers the elements of one drawing.
type svg struct {
	strings.Builder
	w, h int
}

func newSVG(w, h int, label string) *svg {
	s := &svg{w: w, h: h}
	s.f(`<svg viewBox="0 0 %d %d" width="%d" height="%d" role="img" aria-label="%s">`, w, h, w, h, template.HTMLEscapeString(label))
	return s
}

func (s *svg) f(format string, args ...any) { fmt.Fprintf(s, format, args...) }

func (s *svg) done() template.HTML {
	s.WriteString("</svg>")
	return template.HTML(s.String())
}

func (s *svg) text(x, y float64, anchor, class, t string) {
	s.f(`<text x="%s" y="%s" text-anchor="%s"%s>%s</text>`, px(x), px(y), anchor, attr("class", class), template.HTMLEscapeString(t))
}

func (s *svg) line(x1, y1, x2, y2 float64, class, style string) {
	s.f(`<line x1="%s" y1="%s" x2="%s" y2="%s"%s%s/>`, px(x1), px(y1), px(x2), px(y2), attr("class", class), attr("style", style))
}

func attr(name, v string) string {
	if v == "" {
		return ""
	}
	return " " + name + `="` + v + `"`
}

func px(v float64) string { return strconv.FormatFloat(math.Round(v*10)/10, 'f', -1, 64) }

// scale maps data to pixels.
type scale struct{ lo, hi, from, to float64 }

func (s scale) at(v float64) float64 {
	if s.hi == s.lo {
		return (s.from + s.to) / 2
	}
	return s.from + (v-s.lo)/(s.hi-s.lo)*(s.to-s.from)
}

// ticks returns about n round numbers from lo to hi.
func ticks(lo, hi float64, n int) []float64 {
	if !(hi > lo) || math.IsInf(hi-lo, 0) {
		return []float64{lo}
	}
	step := math.Pow(10, math.Floor(math.Log10((hi-lo)/float64(n))))
	for _, m := range []float64{1, 2, 5, 10} {
		if (hi-lo)/(step*m) <= float64(n) {
			step *= m
			break
		}
	}
	var out []float64
	for v := math.Ceil(lo/step) * step; v <= hi+step*1e-9; v += step {
		out = append(out, math.Round(v/step)*step)
	}
	return out
}

// short writes an axis label.
func short(v float64) string {
	a := math.Abs(v)
	switch {
	case v == 0:
		return "0"
	case a >= 10_000 && a < 1e7:
		return assay.FormatCount(int64(math.Round(v)))
	case a >= 1e7 || a < 1e-3:
		return strconv.FormatFloat(v, 'g', 3, 64)
	}
	return strconv.FormatFloat(v, 'g', 5, 64)
}

// A Bar is one bar of a histogram or of ranked bars.
type Bar struct {
	Label string
	Value float64
	Text  string // what stands after it; empty: the value
}

func (b Bar) text() string {
	if b.Text != "" {
		return b.Text
	}
	return short(b.Value)
}

// Histogram draws counts over edges (one more than counts).
func Histogram(label string, edges []float64, counts []int64) template.HTML {
	if len(counts) == 0 || len(edges) != len(counts)+1 || len(counts) > maxMarks {
		return ""
	}
	const w, h, left, bottom = 340, 120, 8, 18
	s := newSVG(w, h, label)
	var most int64 = 1
	for _, c := range counts {
		most = max(most, c)
	}
	x := scale{edges[0], edges[len(edges)-1], left, w - left}
	y := scale{0, float64(most), h - bottom, 4}
	for i, c := range counts {
		if c == 0 {
			continue
		}
		x0, x1 := x.at(edges[i]), x.at(edges[i+1])
		top := y.at(float64(c))
		s.f(`<rect x="%s" y="%s" width="%s" height="%s" fill="var(--bar)"><title>%s to %s: %d</title></rect>`, px(x0+0.25), px(top), px(math.Max(x1-x0-0.5, 0.6)), px(h-bottom-top), short(edges[i]), short(edges[i+1]), c)
	}
	s.line(left, h-bottom, w-left, h-bottom, "axis", "")
	s.text(left, h-4, "start", "", short(edges[0]))
	s.text(w-left, h-4, "end", "", short(edges[len(edges)-1]))
	return s.done()
}

// Bars draws ranked bars, the longest label cut.
func Bars(label string, bars []Bar) template.HTML {
	if len(bars) == 0 || len(bars) > maxMarks {
		return ""
	}
	const w, row, left = 340, 18, 120
	s := newSVG(w, row*len(bars)+4, label)
	most := 0.0
	for _, b := range bars {
		most = math.Max(most, b.Value)
	}
	beside := 48.0 // what stands after a bar, about 7 a letter
	for _, b := range bars {
		beside = math.Max(beside, 6.6*float64(len([]rune(b.text())))+4)
	}
	x := scale{0, math.Max(most, 1e-300), left, w - 4 - beside}
	for i, b := range bars {
		y := float64(i*row) + 2
		s.text(left-6, y+13, "end", "t", clip(b.Label, 18))
		s.f(`<rect x="%d" y="%s" width="%s" height="%d" fill="var(--bar)"/>`, left, px(y+2), px(math.Max(x.at(b.Value)-left, 0.5)), row-5)
		s.text(x.at(b.Value)+4, y+13, "start", "", b.text())
	}
	return s.done()
}

func clip(s string, n int) string {
	r := []rune(s)
	if len(r) <= n {
		return s
	}
	return string(r[:n-1]) + "…"
}

// A ForestRow is one interval of a forest plot.
type ForestRow struct {
	Label    string
	Estimate assay.Estimate
	Verdict  assay.Verdict
}

// Forest draws intervals under each other on one scale, with reference lines (the whole, the baseline).
func Forest(label string, rows []ForestRow, refs []Bar) template.HTML {
	lo, hi := math.Inf(1), math.Inf(-1)
	reach := func(v float64) {
		if !math.IsNaN(v) && !math.IsInf(v, 0) {
			lo, hi = math.Min(lo, v), math.Max(hi, v)
		}
	}
	for _, r := range rows {
		reach(r.Estimate.Value)
		reach(r.Estimate.Lo)
		reach(r.Estimate.Hi)
	}
	for _, r := range refs {
		reach(r.Value)
	}
	if !(hi >= lo) || len(rows) > maxMarks {
		return ""
	}
	pad := (hi - lo) * 0.06
	if pad == 0 {
		pad = math.Max(math.Abs(hi)*0.05, 1e-6)
	}
	const w, row, left, right, top = 840, 20, 270, 180, 18
	h := top + row*len(rows) + 22
	s := newSVG(w, h, label)
	x := scale{lo - pad, hi + pad, left, w - right}
	bottom := float64(h - 20)
	for _, t := range ticks(x.lo, x.hi, 6) {
		s.line(x.at(t), top, x.at(t), bottom, "axis", "")
		s.text(x.at(t), bottom+14, "middle", "", short(t))
	}
	for _, r := range refs {
		s.line(x.at(r.Value), top-4, x.at(r.Value), bottom, "", "stroke:var(--ref);stroke-dasharray:4 3")
		s.text(x.at(r.Value), top-7, "middle", "", clip(r.Label, 24))
	}
	for i, r := range rows {
		y := float64(top + i*row + row/2)
		s.text(left-8, y+4, "end", "t", clip(r.Label, 44))
		colour := "var(--s1)"
		switch r.Verdict {
		case assay.Fail:
			colour = "var(--fail)"
		case assay.Undetermined:
			colour = "var(--doubt)"
		}
		if r.Estimate.HasInterval() {
			s.line(x.at(r.Estimate.Lo), y, x.at(r.Estimate.Hi), y, "", "stroke:"+colour+";stroke-width:2")
		}
		if r.Estimate.Defined() {
			v := x.at(r.Estimate.Value)
			switch r.Verdict {
			case assay.Fail:
				s.f(`<path d="M%s %sl8 8m0-8l-8 8" style="stroke:%s;stroke-width:2"/>`, px(v-4), px(y-4), colour)
			case assay.Undetermined:
				s.f(`<circle cx="%s" cy="%s" r="4" style="fill:var(--bg);stroke:%s;stroke-width:2"/>`, px(v), px(y), colour)
			default:
				s.f(`<circle cx="%s" cy="%s" r="4" style="fill:%s"/>`, px(v), px(y), colour)
			}
		}
		said := r.Estimate.String()
		if !r.Estimate.Defined() {
			said = clip(strings.TrimPrefix(r.Estimate.Method, "undefined: "), 28)
		}
		s.text(w-right+10, y+4, "start", "", said)
	}
	return s.done()
}

// A Series is a line of a Plot.
type Series struct {
	Name string
	X, Y []float64
	Lo   []float64 // with Hi: an interval for each point, drawn as a whisker
	Hi   []float64
	Dots bool
}

// The name of a line is cut so that it fits into a Plot, at no more than markWidth a character in the type of charts.
const (
	nameMarks = 40
	markWidth = 7.0
)

// Plot draws lines on linear axes from (x0,y0) to (x1,y1).
func Plot(label, xTitle, yTitle string, x0, x1, y0, y1 float64, diagonal bool, series ...Series) template.HTML {
	const w, h, left, bottom, top, right = 340, 300, 46, 36, 8, 10
	s := newSVG(w, h, label)
	x, y := scale{x0, x1, left, w - right}, scale{y0, y1, h - bottom, top}
	for _, t := range ticks(x0, x1, 5) {
		s.line(x.at(t), top, x.at(t), h-bottom, "axis", "")
		s.text(x.at(t), h-bottom+14, "middle", "", short(t))
	}
	for _, t := range ticks(y0, y1, 5) {
		s.line(left, y.at(t), w-right, y.at(t), "axis", "")
		s.text(left-5, y.at(t)+4, "end", "", short(t))
	}
	s.text((left+w-right)/2, h-4, "middle", "", xTitle)
	s.f(`<text transform="translate(11 %d) rotate(-90)" text-anchor="middle">%s</text>`, (h-bottom)/2, template.HTMLEscapeString(yTitle))
	if diagonal {
		s.line(x.at(x0), y.at(y0), x.at(x1), y.at(y1), "", "stroke:var(--ref);stroke-dasharray:4 3")
	}
	marks := 0
	for i, l := range series {
		colour := fmt.Sprintf("var(--s%d)", i%4+1)
		var path strings.Builder
		for j := range l.X {
			if marks++; marks > maxMarks {
				break
			}
			if l.Lo != nil && !math.IsNaN(l.Lo[j]) && !math.IsNaN(l.Hi[j]) {
				s.line(x.at(l.X[j]), y.at(l.Lo[j]), x.at(l.X[j]), y.at(l.Hi[j]), "", "stroke:"+colour)
			}
			if l.Dots {
				s.f(`<circle cx="%s" cy="%s" r="3" style="fill:%s"/>`, px(x.at(l.X[j])), px(y.at(l.Y[j])), colour)
			}
			cmd := "L"
			if j == 0 {
				cmd = "M"
			}
			path.WriteString(cmd + px(x.at(l.X[j])) + " " + px(y.at(l.Y[j])))
		}
		s.f(`<path d="%s" style="fill:none;stroke:%s;stroke-width:1.8%s"/>`, path.String(), colour, map[bool]string{true: ";stroke-dasharray:5 3", false: ""}[i%2 == 1])
		if len(series) > 1 && len(l.X) > 0 {
			mid, name := len(l.X)/2, clip(l.Name, nameMarks)
			room := float64(w-4) - markWidth*float64(utf8.RuneCountInString(name))
			s.f(`<text x="%s" y="%s" style="fill:%s">%s</text>`, px(math.Max(left+2, math.Min(x.at(l.X[mid])+6, room))), px(math.Min(y.at(l.Y[mid])+14, h-bottom-4)), colour, template.HTMLEscapeString(name))
		}
	}
	return s.done()
}

// Heatmap draws a square matrix of values from -1 to 1, zero as background; NaN is left empty.
func Heatmap(label string, names []string, values [][]float64) template.HTML {
	n := len(names)
	if n == 0 || n*n > maxMarks {
		return ""
	}
	cell := max(10, min(28, 560/n))
	const left, top, right = 110, 100, 48 // the last name above leans beyond its column
	s := newSVG(left+n*cell+right, top+n*cell+8, label)
	for i, name := range names {
		s.text(left-6, float64(top+i*cell)+float64(cell)/2+4, "end", "t", clip(name, 16))
		s.f(`<text class="t" transform="translate(%s %d) rotate(-60)" text-anchor="start">%s</text>`, px(float64(left+i*cell)+float64(cell)/2+4), top-6, template.HTMLEscapeString(clip(name, 16)))
		for j := range names {
			v := values[i][j]
			if math.IsNaN(v) {
				continue
			}
			colour := "var(--cool)"
			if v < 0 {
				colour = "var(--warm)"
			}
			s.f(`<rect x="%d" y="%d" width="%d" height="%d" style="fill:%s;fill-opacity:%.2f"><title>%s, %s: %.3f</title></rect>`, left+j*cell, top+i*cell, cell-1, cell-1, colour, math.Min(math.Abs(v), 1),
				template.HTMLEscapeString(name), template.HTMLEscapeString(names[j]), v)
		}
	}
	return s.done()
}
