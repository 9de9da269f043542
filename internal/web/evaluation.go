package web

import (
	"fmt"
	"html/template"
	"io"

	"github.com/assay-ml/assay"
)

// Curves are the lines that an evaluation report draws; X and Y of each have the same length.
type Curves struct {
	ROC       []Series
	Precision []Series // precision by recall
}

// evaluationPage is what the template sees.
type evaluationPage struct {
	Title, Sentence, ForestTitle string
	E                            assay.Evaluation
	Metrics                      []assay.Metric
	Forest, Calibration, ROC, PR template.HTML
}

// EvaluationReport writes an evaluation as one HTML file. Its size does not depend on the number of rows.
func EvaluationReport(w io.Writer, name string, e assay.Evaluation, curves *Curves, f Footer) error {
	p := evaluationPage{Title: "How good is " + name + ", and for whom not?", E: e, Metrics: e.Metrics}
	if e.Business != nil {
		p.Metrics = append(append([]assay.Metric{}, e.Metrics...), *e.Business)
	}
	var rows []ForestRow
	var refs []Bar
	for _, m := range e.Metrics {
		if m.Name == e.Primary {
			p.Sentence = fmt.Sprintf("%s is %s; the baseline, %s, has %s. The gain of %s is %s.", m.Name, m.Estimate, e.Baseline, m.Baseline, m.Gain,
				map[assay.Verdict]string{assay.Pass: "above zero beyond doubt", assay.Fail: "not above zero", assay.Undetermined: "not certainly above zero"}[m.Verdict])
			refs = append(refs, Bar{"all rows", m.Estimate.Value})
			rows = append(rows, ForestRow{"all rows", m.Estimate, assay.Pass})
		}
	}
	worse := 0
	for _, s := range e.Slices {
		row := ForestRow{Label: fmt.Sprintf("%s (%s)", s.Name, thousands(s.Count)), Estimate: assay.Undefined("too few rows", s.Count), Verdict: s.Verdict}
		for _, m := range s.Metrics {
			if m.Name == e.Primary {
				row.Estimate = m.Estimate
			}
		}
		if s.Verdict == assay.Fail {
			worse++
		}
		rows = append(rows, row)
	}
	p.ForestTitle = fmt.Sprintf("%s by slice: %d of %d are worse than the rest", e.Primary, worse, len(e.Slices))
	p.Forest = Forest(p.ForestTitle, rows, refs)
	if len(e.Calibration) > 0 {
		s := Series{Name: "model", Dots: true}
		for _, b := range e.Calibration {
			s.X, s.Y = append(s.X, b.Mean), append(s.Y, b.Fraction.Value)
			s.Lo, s.Hi = append(s.Lo, b.Fraction.Lo), append(s.Hi, b.Fraction.Hi)
		}
		p.Calibration = Plot("calibration curve", "mean predicted probability", "share of positives", 0, 1, 0, 1, true, s)
	}
	if curves != nil && len(curves.ROC) > 0 {
		p.ROC = Plot("ROC curve", "false positive rate", "true positive rate", 0, 1, 0, 1, true, curves.ROC...)
		p.PR = Plot("precision-recall curve", "recall", "precision", 0, 1, 0, 1, false, curves.Precision...)
	}
	return render(w, "evaluation.html", p.Title, f, p)
}
