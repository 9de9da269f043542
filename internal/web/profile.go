package web

import (
	"cmp"
	"fmt"
	"html/template"
	"io"
	"math"
	"slices"
	"sort"
	"strings"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/dataset"
	"github.com/assay-ml/assay/internal/table"
)

// Limits of the page of a profile, which keep its size in bounds; the JSON has everything.
const (
	profileCards   = 150 // columns with a card of their own
	profileHeat    = 40  // columns of the heatmaps
	profilePairs   = 60  // rows of the table of pairs
	profileClasses = 12
)

// ProfileReport writes a profile as one HTML file. Its size does not depend on the number of rows.
func ProfileReport(w io.Writer, name string, r *dataset.ProfileReport, f Footer) error {
	p := profilePage{Title: "Can " + name + " be trusted?", R: r, Nulls: r.Missing - r.NaNs(), Sentence: profileSentence(r)}
	order := make([]int, len(r.Variables))
	for i := range order {
		order[i] = i
	}
	if len(order) > profileCards {
		// The columns that tell most of the target, and those that alerts name, come first.
		named := map[string]bool{}
		for _, a := range r.Alerts {
			for _, c := range a.Columns {
				named[c] = true
			}
		}
		rank := func(i int) float64 {
			v, s := r.Variables[i], 0.0
			if v.Relation != nil && !math.IsNaN(float64(v.Relation.Strength)) {
				s = float64(v.Relation.Strength)
			}
			if named[v.Name] {
				s += 0.5
			}
			return s
		}
		sort.SliceStable(order, func(a, b int) bool { return rank(order[a]) > rank(order[b]) })
		p.More = len(order) - profileCards
		order = order[:profileCards]
		sort.Ints(order)
	}
	for n, i := range order {
		p.Cards = append(p.Cards, profileCardOf(r, &r.Variables[i], n))
	}
	if r.Target != nil {
		p.Related = relationBars(r)
		p.Classes = r.Target.Classes
		if len(p.Classes) > profileClasses {
			p.Classes = p.Classes[:profileClasses]
		}
	}
	p.heatmaps(r)
	if m := r.Nullity; m != nil {
		p.Nullity = nullityMatrix(r.Rows, m)
	}
	p.HoleHeat = holeHeat(r)
	p.Holes = slices.Clone(r.Holes)
	sort.SliceStable(p.Holes, func(i, j int) bool { return math.Abs(orZero(p.Holes[i].Phi)) > math.Abs(orZero(p.Holes[j].Phi)) })
	if len(p.Holes) > profilePairs {
		p.Holes = p.Holes[:profilePairs]
	}
	for _, v := range r.Variables {
		if v.Missing > 0 {
			p.Missing = append(p.Missing, v)
		}
	}
	sort.SliceStable(p.Missing, func(i, j int) bool { return p.Missing[i].Missing > p.Missing[j].Missing })
	if len(p.Missing) > profilePairs {
		p.Missing = p.Missing[:profilePairs]
	}
	return render(w, "profile.html", p.Title, f, p)
}

// profilePage is what the template sees.
type profilePage struct {
	Title, Sentence string
	R               *dataset.ProfileReport
	Nulls           int64 // missing cells that are not NaN
	Cards           []profileCard
	More            int // columns without a card
	Related         template.HTML
	Classes         []dataset.Class
	Heats           []profileHeatmap
	Pairs           []dataset.Pair
	Nullity         template.HTML
	HoleHeat        template.HTML
	Holes           []dataset.HolePair
	Missing         []dataset.Variable
}

type profileHeatmap struct {
	Title string
	Chart template.HTML
}

// profileCard is one column.
type profileCard struct {
	dataset.Variable
	ID       string
	Target   string
	Share    float64 // missing
	Chart    template.HTML
	Facts    []profileFact
	Groups   []profileGroup
	Relation string
}

type profileFact struct{ Name, Value string }

type profileGroup struct {
	Class                        string
	Count                        int64
	Mean, Std, Low, Median, High string
	Chart                        template.HTML
}

func profileSentence(r *dataset.ProfileReport) string {
	s := fmt.Sprintf("%s rows and %s columns: %s. Every number is exact.", assay.FormatCount(r.Rows), assay.FormatCount(int64(r.Columns)), r.Scope)
	switch n := len(r.Alerts); n {
	case 0:
		return s + " Nothing calls for attention."
	case 1:
		return s + " One finding calls for attention."
	default:
		return s + fmt.Sprintf(" %d findings call for attention; the first weighs most.", n)
	}
}

func orZero(n assay.Number) float64 {
	if math.IsNaN(float64(n)) {
		return 0
	}
	return float64(n)
}

// significant writes a number with at most five significant digits.
func significant(v assay.Number) string {
	x := float64(v)
	switch {
	case math.IsNaN(x):
		return "–"
	case math.IsInf(x, 0):
		return fmt.Sprintf("%+g", x)
	case x == math.Trunc(x) && math.Abs(x) < 10_000: // a year takes no separator
		return fmt.Sprintf("%.0f", x+0)
	case x == math.Trunc(x) && math.Abs(x) < 1e15:
		return assay.FormatCount(int64(x))
	}
	if a := math.Abs(x); a >= 10_000 && a < 1e15 { // five digits and more are whole
		return assay.FormatCount(int64(math.Round(x)))
	}
	return fmt.Sprintf("%.5g", x)
}

func profileCardOf(r *dataset.ProfileReport, v *dataset.Variable, n int) profileCard {
	c := profileCard{Variable: *v, ID: fmt.Sprintf("c%d", n)}
	if r.Rows > 0 {
		c.Share = float64(v.Missing-v.NaNs) / float64(r.Rows)
	}
	fact := func(name, value string) { c.Facts = append(c.Facts, profileFact{name, value}) }
	fact("distinct", assay.FormatCount(v.Distinct))
	fact("unique", assay.FormatCount(v.Unique))
	fact("missing", fmt.Sprintf("%s (%.1f %%)", assay.FormatCount(v.Missing-v.NaNs), 100*c.Share))
	if v.NaNs > 0 {
		fact("NaN", assay.FormatCount(v.NaNs))
	}
	if r.Target != nil {
		c.Target = r.Target.Column
	}
	if x := v.Relation; x != nil && !math.IsNaN(float64(x.Strength)) {
		value := x.Strength
		if x.Measure == "auc" {
			value = x.AUC
		}
		c.Relation = fmt.Sprintf("%s with %s: %s", strings.Replace(strings.ReplaceAll(x.Measure, "_", " "), "auc", "AUC", 1), c.Target, assay.FormatFixed(float64(value), 3))
	}
	if v.Hidden {
		return c
	}
	names := v.Kind == dataset.KindCode || v.Kind == dataset.KindBoolean || v.Kind == dataset.KindCategory || v.Kind == dataset.KindText
	if n := v.Numbers; n != nil && v.Kind == dataset.KindDate {
		fact("first", v.First)
		fact("last", v.Last)
	} else if n != nil && !names && v.Kind != dataset.KindIdentifier && v.Kind != dataset.KindConstant && v.Kind != dataset.KindEmpty {
		quantiles := map[float64]assay.Number{}
		for _, q := range n.Quantiles {
			quantiles[q.P] = q.Value
		}
		for _, f := range []struct {
			name string
			v    string
		}{
			{"mean", significant(n.Mean)},
			{"std", significant(n.Std)},
			{"min", cmp.Or(n.ExactMin, significant(n.Min))},
			{"5 %", significant(quantiles[0.05])},
			{"25 %", significant(quantiles[0.25])},
			{"median", significant(quantiles[0.5])},
			{"75 %", significant(quantiles[0.75])},
			{"95 %", significant(quantiles[0.95])},
			{"max", cmp.Or(n.ExactMax, significant(n.Max))},
			{"MAD", significant(n.MAD)},
			{"skewness", significant(n.Skewness)},
			{"kurtosis", significant(n.Kurtosis)},
			{"sum", significant(n.Sum)},
		} {
			fact(f.name, f.v)
		}
		fact("zeros", assay.FormatCount(n.Zeros))
		fact("negative", assay.FormatCount(n.Negatives))
		if n.PosInf+n.NegInf > 0 {
			fact("infinite", assay.FormatCount(n.PosInf+n.NegInf))
		}
	}
	if l := v.Lengths; l != nil {
		fact("characters", fmt.Sprintf("%s–%s, mean %s", assay.FormatCount(l.Min), assay.FormatCount(l.Max), significant(l.Mean)))
	}
	if k := v.Characters; k != nil {
		total := k.Letters + k.Digits + k.Spaces + k.Punctuation + k.Symbols + k.Others
		for _, f := range []struct {
			name string
			n    int64
		}{{"letters", k.Letters}, {"digits", k.Digits}, {"spaces", k.Spaces}, {"punctuation", k.Punctuation}, {"symbols", k.Symbols}, {"other characters", k.Others}} {
			if f.n > 0 {
				fact(f.name, fmt.Sprintf("%.1f %%", 100*float64(f.n)/float64(total)))
			}
		}
		for _, f := range []struct {
			name string
			n    int64
		}{{"rows beyond ASCII", k.NonASCII}, {"rows of digits", k.DigitsOnly}, {"padded rows", k.Padded}, {"blank rows", k.Blank}} {
			if f.n > 0 {
				fact(f.name, assay.FormatCount(f.n))
			}
		}
	}
	c.Chart = profileChart(v, names)
	if c.Chart != "" && v.Numbers != nil && !names {
		for _, g := range v.Groups {
			if len(c.Groups) == profileClasses {
				break
			}
			c.Groups = append(c.Groups, profileGroupOf(g))
		}
	}
	return c
}

// profileChart draws what the values are: bars of the frequent ones where they are names, a histogram where they are amounts.
func profileChart(v *dataset.Variable, names bool) template.HTML {
	if v.Kind == dataset.KindConstant || v.Kind == dataset.KindIdentifier || v.Kind == dataset.KindEmpty {
		return ""
	}
	if v.Numbers != nil && !names && len(v.Numbers.Counts) > 0 {
		if v.Kind == dataset.KindDate {
			return Histogram(v.Name+" over time, "+v.First+" to "+v.Last, unlabelled(v.Numbers), v.Numbers.Counts)
		}
		return Histogram("distribution of "+v.Name, v.Numbers.Edges, v.Numbers.Counts)
	}
	return Bars("most frequent values of "+v.Name, topBars(v.Top))
}

// unlabelled spreads a date's bins over 0 to 1: the first and last date stand in the facts.
func unlabelled(n *table.Numbers) []float64 {
	out := make([]float64, len(n.Edges))
	for i := range out {
		out[i] = float64(i) / float64(len(out)-1)
	}
	return out
}

func topBars(top []table.Frequency) []Bar {
	var bars []Bar
	for _, f := range top {
		label := f.Value
		if label == "" {
			label = "(empty)"
		}
		bars = append(bars, Bar{Label: label, Value: float64(f.Count)})
	}
	return bars
}

func profileGroupOf(g dataset.Group) profileGroup {
	out := profileGroup{Class: g.Class, Count: g.Count, Mean: significant(g.Mean), Std: significant(g.Std)}
	for _, q := range g.Quantiles {
		switch q.P {
		case 0.25:
			out.Low = significant(q.Value)
		case 0.5:
			out.Median = significant(q.Value)
		case 0.75:
			out.High = significant(q.Value)
		}
	}
	out.Chart = Sparkline("within class "+g.Class, g.Counts)
	return out
}

// relationBars ranks the columns by what each tells of the target alone.
func relationBars(r *dataset.ProfileReport) template.HTML {
	var bars []Bar
	for _, v := range r.Variables {
		if v.Relation != nil && !math.IsNaN(float64(v.Relation.Strength)) {
			bars = append(bars, Bar{Label: v.Name, Value: float64(v.Relation.Strength)})
		}
	}
	sort.SliceStable(bars, func(i, j int) bool { return bars[i].Value > bars[j].Value })
	if len(bars) > 25 {
		bars = bars[:25]
	}
	for i := range bars {
		bars[i].Value = math.Round(bars[i].Value*1000) / 1000
	}
	return Bars("strength of each column's relation to "+r.Target.Column, bars)
}

// heatmaps draws the matrices of associations, of the columns that are most associated with any other.
func (p *profilePage) heatmaps(r *dataset.ProfileReport) {
	for _, m := range []struct {
		title string
		of    func(dataset.Pair) assay.Number
	}{
		{"Spearman's rank correlation", func(q dataset.Pair) assay.Number { return q.Spearman }},
		{"Pearson's correlation", func(q dataset.Pair) assay.Number { return q.Pearson }},
		{"Cramér's V, bias-corrected", func(q dataset.Pair) assay.Number { return q.CramersV }},
	} {
		names, values := matrix(r, m.of)
		if len(names) > 1 {
			p.Heats = append(p.Heats, profileHeatmap{m.title, Heatmap(m.title, names, values)})
		}
	}
	p.Pairs = append(p.Pairs, r.Pairs...)
	strength := func(q dataset.Pair) float64 {
		return math.Max(math.Max(math.Abs(orZero(q.Pearson)), math.Abs(orZero(q.Spearman))), orZero(q.CramersV))
	}
	sort.SliceStable(p.Pairs, func(i, j int) bool { return strength(p.Pairs[i]) > strength(p.Pairs[j]) })
	if len(p.Pairs) > profilePairs {
		p.Pairs = p.Pairs[:profilePairs]
	}
}

func matrix(r *dataset.ProfileReport, of func(dataset.Pair) assay.Number) ([]string, [][]float64) {
	most := map[string]float64{}
	for _, q := range r.Pairs {
		if v := float64(of(q)); !math.IsNaN(v) {
			most[q.A], most[q.B] = math.Max(most[q.A], math.Abs(v)), math.Max(most[q.B], math.Abs(v))
		}
	}
	var names []string
	for _, v := range r.Variables {
		if _, ok := most[v.Name]; ok {
			names = append(names, v.Name)
		}
	}
	if len(names) > profileHeat {
		sort.SliceStable(names, func(i, j int) bool { return most[names[i]] > most[names[j]] })
		names = names[:profileHeat]
	}
	at := map[string]int{}
	values := make([][]float64, len(names))
	for i, n := range names {
		at[n] = i
		values[i] = make([]float64, len(names))
		for j := range values[i] {
			values[i][j] = math.NaN()
		}
		values[i][i] = 1
	}
	for _, q := range r.Pairs {
		i, okA := at[q.A]
		j, okB := at[q.B]
		if okA && okB {
			values[i][j], values[j][i] = float64(of(q)), float64(of(q))
		}
	}
	return names, values
}

// nullityMatrix draws where values are missing: a row for each column, a cell for each block of rows, the darker the more is missing.
func nullityMatrix(rows int64, m *dataset.Nullity) template.HTML {
	if len(m.Columns)*m.Blocks > maxMarks || m.Blocks == 0 {
		return ""
	}
	const left, high, levels = 110, 12, 10
	wide := max(4, 560/m.Blocks)
	s := newSVG(left+m.Blocks*wide+8, len(m.Columns)*(high+2)+30, "where values are missing, from the first row on the left to the last on the right")
	var paths [levels + 1]strings.Builder
	for i, name := range m.Columns {
		y := i * (high + 2)
		s.text(left-6, float64(y+high-2), "end", "t", clip(name, 16))
		for b, n := range m.Counts[i] {
			of := (int64(b)+1)*rows/int64(m.Blocks) - int64(b)*rows/int64(m.Blocks)
			if n > 0 && of > 0 {
				level := int(max(1, n*levels/of))
				fmt.Fprintf(&paths[level], "M%d %dh%dv%dh-%dz", left+b*wide, y, wide, high, wide)
			}
		}
		s.f(`<rect x="%d" y="%d" width="%d" height="%d" style="fill:none;stroke:var(--line)"/>`, left, y, m.Blocks*wide, high)
	}
	for level := range paths {
		if paths[level].Len() > 0 {
			s.f(`<path d="%s" style="fill:var(--warm);fill-opacity:%.1f"/>`, paths[level].String(), float64(level)/levels)
		}
	}
	y := float64(len(m.Columns)*(high+2) + 16)
	s.text(left, y, "start", "t", "row 1")
	s.text(float64(left+m.Blocks*wide), y, "end", "t", assay.FormatCount(rows))
	return s.done()
}

// holeHeatColumns is how many columns the drawing of missing pairs holds.
const holeHeatColumns = 20

// holeHeat draws the correlation of being missing, of the columns that are most associated so.
func holeHeat(r *dataset.ProfileReport) template.HTML {
	most := map[string]float64{}
	for _, h := range r.Holes {
		v := math.Abs(orZero(h.Phi))
		most[h.A], most[h.B] = math.Max(most[h.A], v), math.Max(most[h.B], v)
	}
	var names []string
	for _, v := range r.Variables {
		if _, ok := most[v.Name]; ok {
			names = append(names, v.Name)
		}
	}
	if len(names) > holeHeatColumns {
		sort.SliceStable(names, func(i, j int) bool { return most[names[i]] > most[names[j]] })
		names = names[:holeHeatColumns]
	}
	if len(names) < 2 {
		return ""
	}
	at, values := map[string]int{}, make([][]float64, len(names))
	for i, n := range names {
		at[n], values[i] = i, make([]float64, len(names))
		values[i][i] = 1
	}
	for _, h := range r.Holes {
		i, okA := at[h.A]
		j, okB := at[h.B]
		if okA && okB {
			values[i][j], values[j][i] = float64(h.Phi), float64(h.Phi)
		}
	}
	return Heatmap("correlation of being missing", names, values)
}

// Sparkline draws counts as small bars without axes; the numbers stand beside it.
func Sparkline(label string, counts []int64) template.HTML {
	var most int64
	for _, c := range counts {
		most = max(most, c)
	}
	if most == 0 || len(counts) > maxMarks {
		return ""
	}
	const w, h = 120, 22
	s := newSVG(w, h, label)
	step := float64(w) / float64(len(counts))
	var path strings.Builder
	for i, c := range counts {
		if c > 0 {
			top := float64(c) / float64(most) * h
			fmt.Fprintf(&path, "M%s %dv-%sh%sv%sz", px(float64(i)*step), h, px(top), px(step-0.5), px(top))
		}
	}
	s.f(`<path d="%s" fill="var(--bar)"/>`, path.String())
	return s.done()
}
