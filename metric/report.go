package metric

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/assay-ml/assay"
)

// A ClassificationReport is precision, recall and F1 of each class, with their averages.
type ClassificationReport struct {
	Classes                         []ReportLine
	Accuracy                        float64 // the micro average when Micro is set
	Macro, Weighted, Micro, Samples ReportLine
	IsMicro                         bool   // some class is left out, so the micro average is not the accuracy
	Multilabel                      bool   // Samples is set
	Undefined                       string // which 0/0 was replaced
}

// A ReportLine is one row of the report; Support is the weighted number of true rows.
type ReportLine struct {
	Class                          int // index of the class; 0 in an average
	Precision, Recall, F1, Support float64
}

// NewClassificationReport scores each class that occurs, or of o.Labels. Average is not used.
func NewClassificationReport(truth, pred []int32, o LabelOptions) (ClassificationReport, error) {
	o.Average = Macro
	t, err := countOneVsRest(truth, pred, o)
	if err != nil {
		return ClassificationReport{}, err
	}
	s := t.classScores(1, o.ZeroDivision)
	r := ClassificationReport{Undefined: s.Undefined, Multilabel: o.Multilabel, IsMicro: o.Multilabel}
	for i, l := range t.labels {
		r.Classes = append(r.Classes, ReportLine{l, s.Precision[i], s.Recall[i], s.Fscore[i], s.Support[i]})
	}
	if o.Labels != nil && !o.Multilabel {
		c, err := countLabels(truth, pred, o)
		if err != nil {
			return r, err
		}
		r.IsMicro = !covers(t.labels, c.present())
	}
	support := sum(s.Support)
	line := func(a Average) (ReportLine, error) {
		o.Average = a
		u := t
		if a == Samples {
			if u, err = countSamples(truth, pred, o); err != nil {
				return ReportLine{}, err
			}
		}
		out := ReportLine{Support: support}
		for _, f := range []struct {
			to    *float64
			score countScore
		}{{&out.Precision, Counts.Precision}, {&out.Recall, Counts.Recall}, {&out.F1, func(n Counts, z ZeroDivision) Value { return n.Fbeta(1, z) }}} {
			v, err := u.average(o, f.score)
			if err != nil {
				return out, err
			}
			*f.to = v.Value
		}
		return out, nil
	}
	var p assay.Problems
	for _, a := range []struct {
		average Average
		to      *ReportLine
	}{{Micro, &r.Micro}, {Macro, &r.Macro}, {Weighted, &r.Weighted}, {Samples, &r.Samples}} {
		if a.average == Samples && !o.Multilabel {
			continue
		}
		if *a.to, err = line(a.average); err != nil {
			p.Add("%v", err)
		}
	}
	r.Accuracy = r.Micro.Precision
	return r, p.Err(assay.Invalid, "classification report")
}

func covers(labels, present []int) bool {
	in := map[int]bool{}
	for _, l := range labels {
		in[l] = true
	}
	for _, c := range present {
		if !in[c] {
			return false
		}
	}
	return true
}

// Text lays the report out like scikit-learn's, with the given number of decimals. Class i is called names[i], or its index when
// names is shorter.
func (r ClassificationReport) Text(names []string, decimals int) string {
	name := func(c int) string {
		if c < len(names) {
			return names[c]
		}
		return strconv.Itoa(c)
	}
	width := max(len("weighted avg"), decimals)
	for _, l := range r.Classes {
		width = max(width, len([]rune(name(l.Class))))
	}
	var b strings.Builder
	line := func(name string, l ReportLine) {
		fmt.Fprintf(&b, "%*s  %9.*f %9.*f %9.*f %9s\n", width, name, decimals, l.Precision, decimals, l.Recall, decimals, l.F1, support(l.Support))
	}
	fmt.Fprintf(&b, "%*s  %9s %9s %9s %9s\n\n", width, "", "precision", "recall", "f1-score", "support")
	for _, l := range r.Classes {
		line(name(l.Class), l)
	}
	b.WriteByte('\n')
	if r.IsMicro {
		line("micro avg", r.Micro)
	} else {
		fmt.Fprintf(&b, "%*s  %9s %9s %9.*f %9s\n", width, "accuracy", "", "", decimals, r.Accuracy, support(r.Micro.Support))
	}
	line("macro avg", r.Macro)
	line("weighted avg", r.Weighted)
	if r.Multilabel {
		line("samples avg", r.Samples)
	}
	return b.String()
}

func support(v float64) string { return strconv.FormatFloat(v, 'f', -1, 64) }
