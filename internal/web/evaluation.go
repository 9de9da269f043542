package web

import (
	"fmt"
	"html/template"
	"io"
	"math"
	"slices"
	"strings"

	"github.com/assay-ml/assay"
)

// evaluationPage is what the template sees.
type evaluationPage struct {
	Title, Sentence, ForestTitle string
	E                            assay.Evaluation
	Metrics                      []assay.Metric
	Primary                      assay.Metric
	Failing                      []string
	FailingSaid                  string // the first of them
	Forest                       template.HTML
	Calibration, Scores          template.HTML
	CalibrationTitle             string
	Curves                       []figure
	Thresholds                   []assay.ThresholdRow
	Confusion                    [][]share
	Groups                       []groupFigures
}

// A figure is a chart with its title and, for people who do not see it, its numbers.
type figure struct {
	Title string
	Chart template.HTML
	X, Y  string
	Rows  [][]string
}

// A share is a count with its part of a row.
type share struct {
	Count int64
	Part  float64
}

// groupFigures are the fairness figures of one column.
type groupFigures struct {
	Column string
	Left   []string
	Rows   []assay.Disparity
}

// EvaluationReport writes an evaluation as one HTML file. curves may be nil. Its size does not depend on the number of rows.
func EvaluationReport(w io.Writer, name string, e assay.Evaluation, curves *assay.Curves, f Footer) error {
	p := evaluationPage{Title: "How good is " + name + ", and for whom not?", E: e, Metrics: e.Metrics}
	if e.Business != nil {
		p.Metrics = append(append([]assay.Metric{}, e.Metrics...), *e.Business)
	}
	for _, m := range e.Metrics {
		if m.Name == e.Primary {
			p.Primary = m
		}
	}
	p.Sentence = sentence(e, p.Primary)
	p.slices()
	p.groups()
	p.calibration(curves)
	for i, row := range e.Confusion {
		var of int64
		for _, n := range row {
			of += n
		}
		p.Confusion = append(p.Confusion, nil)
		for _, n := range row {
			s := share{Count: n}
			if of > 0 {
				s.Part = float64(n) / float64(of)
			}
			p.Confusion[i] = append(p.Confusion[i], s)
		}
	}
	if curves != nil && len(curves.Models) > 0 {
		p.Curves = curveFigures(curves, p.E)
		p.Thresholds = curves.Thresholds
	}
	return render(w, "evaluation.html", p.Title, f, p)
}

// sentence says in words what the primary metric says.
func sentence(e assay.Evaluation, m assay.Metric) string {
	if m.Name == "" {
		return ""
	}
	judged := map[assay.Verdict]string{
		assay.Pass:         "above zero beyond doubt: the model beats its baseline",
		assay.Fail:         "not above zero: the model does not beat its baseline",
		assay.Undetermined: "not certainly above zero: whether the model beats its baseline is open",
	}[m.Verdict]
	return fmt.Sprintf("%s is %s; the baseline, %s, has %s. The gain of %s is %s.", m.Name, m.Estimate, e.Baseline, m.Baseline, m.Gain, judged)
}

// slices draws the primary metric slice by slice.
func (p *evaluationPage) slices() {
	if len(p.E.Slices) == 0 {
		return
	}
	rows := []ForestRow{{fmt.Sprintf("all rows (%s)", assay.FormatCount(p.E.Count)), p.Primary.Estimate, assay.Pass}}
	judged := 0
	for _, s := range p.E.Slices {
		row := ForestRow{Label: fmt.Sprintf("%s (%s)", s.Name, assay.FormatCount(s.Count)), Estimate: assay.Undefined("too few rows", s.Count), Verdict: s.Verdict}
		if s.Reason != "" && len(s.Metrics) == 0 {
			row.Estimate = assay.Undefined(s.Reason, s.Count)
		}
		for _, m := range s.Metrics {
			if m.Name == p.E.Primary {
				row.Estimate = m.Estimate
			}
		}
		if s.Verdict != assay.Undetermined {
			judged++
		}
		if s.Verdict == assay.Fail {
			p.Failing = append(p.Failing, s.Name)
		}
		rows = append(rows, row)
	}
	switch {
	case judged == 0:
		p.ForestTitle = fmt.Sprintf("%s by slice: none can be judged", p.E.Primary)
	case len(p.Failing) == 0:
		p.ForestTitle = fmt.Sprintf("%s by slice: none of %d is shown to be worse", p.E.Primary, judged)
	default:
		p.ForestTitle = fmt.Sprintf("%s by slice: %d of %d fail", p.E.Primary, len(p.Failing), judged)
	}
	const show = 5
	if p.FailingSaid = strings.Join(p.Failing[:min(show, len(p.Failing))], "; "); len(p.Failing) > show {
		p.FailingSaid += fmt.Sprintf("; and %d more", len(p.Failing)-show)
	}
	var refs []Bar
	if p.Primary.Estimate.Defined() {
		refs = append(refs, Bar{Label: "all rows", Value: p.Primary.Estimate.Value})
	}
	p.Forest = Forest(p.ForestTitle, rows, refs)
}

func (p *evaluationPage) groups() {
	for _, d := range p.E.Fairness {
		if n := len(p.Groups); n == 0 || p.Groups[n-1].Column != d.Column {
			p.Groups = append(p.Groups, groupFigures{Column: d.Column, Left: d.Left}) // the first figure is of all rows of a group: all others lack them, too
		}
		g := &p.Groups[len(p.Groups)-1]
		d.Left = slices.DeleteFunc(slices.Clone(d.Left), func(name string) bool { return slices.Contains(g.Left, name) })
		d.Name = strings.ReplaceAll(d.Name, "_", " ")
		g.Rows = append(g.Rows, d)
	}
}

func (p *evaluationPage) calibration(curves *assay.Curves) {
	if len(p.E.Calibration) == 0 {
		return
	}
	s := Series{Name: "model", Dots: true}
	off, judged := 0, 0
	for _, b := range p.E.Calibration {
		if !b.Fraction.Defined() { // of sealed rows, bins of too few are not told
			continue
		}
		s.X, s.Y = append(s.X, b.Mean), append(s.Y, b.Fraction.Value)
		s.Lo, s.Hi = append(s.Lo, b.Fraction.Lo), append(s.Hi, b.Fraction.Hi)
		if b.Fraction.HasInterval() {
			judged++
			if b.Mean < b.Fraction.Lo || b.Mean > b.Fraction.Hi {
				off++
			}
		}
	}
	if len(s.X) == 0 {
		return
	}
	p.CalibrationTitle = fmt.Sprintf("In %d of %d bins the mean prediction lies outside the interval of what was observed", off, judged)
	if off == 0 {
		p.CalibrationTitle = "In every bin the mean prediction agrees with what was observed"
	}
	p.Calibration = Plot("calibration curve: "+p.CalibrationTitle, "mean predicted probability", "share of positives", 0, 1, 0, 1, true, s)
	if curves == nil {
		return
	}
	if n := len(curves.Scores.Positive); n > 0 && n == len(curves.Scores.Negative) {
		edges := make([]float64, n+1)
		all := make([]int64, n)
		for i := range edges {
			edges[i] = float64(i) / float64(n)
		}
		for i := range all {
			all[i] = curves.Scores.Positive[i] + curves.Scores.Negative[i]
		}
		p.Scores = Histogram("how often each probability is predicted", edges, all)
	}
}

// curveFigures draws ROC, precision and recall, and lift, the model before its baseline.
func curveFigures(c *assay.Curves, e assay.Evaluation) []figure {
	series := func(points func(assay.ModelCurves) [][2]float64) []Series {
		var out []Series
		for _, m := range c.Models {
			s := Series{Name: m.Name}
			for _, p := range points(m) {
				s.X, s.Y = append(s.X, p[0]), append(s.Y, p[1])
			}
			if len(s.X) == 1 { // a score without a choice of rows: the same all along
				s.X, s.Y = []float64{0, s.X[0]}, []float64{s.Y[0], s.Y[0]}
			}
			if len(s.X) > 0 {
				out = append(out, s)
			}
		}
		return out
	}
	figureOf := func(title, x, y string, top float64, diagonal bool, s []Series) figure {
		f := figure{Title: title, X: x, Y: y, Chart: Plot(title, x, y, 0, 1, 0, top, diagonal, s...)}
		if len(s) > 0 {
			const most = 21
			n := len(s[0].X)
			for i := range min(n, most) {
				at := i
				if n > most {
					at = i * (n - 1) / (most - 1)
				}
				f.Rows = append(f.Rows, []string{short(round(s[0].X[at])), short(round(s[0].Y[at]))})
			}
		}
		return f
	}
	named := func(title, metric string) string {
		for _, m := range e.Metrics {
			if m.Name == metric {
				return title + ": " + metric + " " + m.Estimate.String()
			}
		}
		return title
	}
	roc := series(func(m assay.ModelCurves) [][2]float64 { return m.ROC })
	pr := series(func(m assay.ModelCurves) [][2]float64 { return steps(m.PrecisionRecall) })
	lift := series(func(m assay.ModelCurves) [][2]float64 { return m.Lift })
	top := 1.0
	for _, s := range lift {
		for _, y := range s.Y {
			top = math.Max(top, y)
		}
	}
	return []figure{
		figureOf(named("ROC", "roc_auc_score"), "false positive rate", "true positive rate", 1, true, roc),
		figureOf(named("Precision and recall", "average_precision_score"), "recall", "precision", 1, false, pr),
		figureOf("Lift: times as many positives as at random", "share of rows selected", "lift", top*1.05, false, lift),
	}
}

// steps holds the precision of each threshold until the recall of the next, as average precision sums it; a straight line between two
// thresholds would promise what no threshold gives. The closing point at recall 0 has no threshold and is left out.
func steps(points [][2]float64) [][2]float64 {
	var out [][2]float64
	for i := 0; i+1 < len(points); i++ {
		out = append(out, points[i], [2]float64{points[i+1][0], points[i][1]})
	}
	return out
}

func round(v float64) float64 { return math.Round(v*1e4) / 1e4 }
