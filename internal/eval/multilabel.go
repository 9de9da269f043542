package eval

import (
	"slices"
	"strconv"
	"strings"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/metric"
)

// LabelShares answers n rows of a multilabel task from what is true of the training rows: each label with its share (prior), or with 1
// where it is true more often than not and 0 otherwise (majority). The answer is row-major, n by labels.
func LabelShares(truth []int32, labels, n int, strategy string) ([]float64, error) {
	if strategy != "prior" && strategy != "majority" {
		return nil, assay.Errorf(assay.Invalid, "evaluate.baseline %q is no baseline of a multilabel task: prior, majority", strategy).Try("evaluate.baseline: prior")
	}
	share := make([]float64, labels)
	for i, y := range truth {
		share[i%labels] += float64(y) / (float64(len(truth)) / float64(labels))
	}
	if strategy == "majority" {
		for c, v := range share {
			share[c] = 0
			if v > 0.5 {
				share[c] = 1
			}
		}
	}
	out := make([]float64, 0, n*labels)
	for range n {
		out = append(out, share...)
	}
	return out, nil
}

// labelColumns are the true positives, the false positives and the false negatives of each label, one row each.
func labelColumns(p *prepared) [][]float64 {
	k, n := len(p.t.Classes), p.t.N()
	columns := make([][]float64, 3*k)
	for c := range columns {
		columns[c] = make([]float64, n)
	}
	for i, y := range p.t.Class {
		row, at := i/k, 3*(i%k)
		switch said := p.input.Labels[i]; {
		case y == 1 && said == 1:
			columns[at][row] = 1
		case said == 1:
			columns[at+1][row] = 1
		case y == 1:
			columns[at+2][row] = 1
		}
	}
	return columns
}

// labelTables are the two-by-two tables of the labels, of n rows and the sums of labelColumns.
func labelTables(n float64, v []float64) []metric.Counts {
	of := make([]metric.Counts, len(v)/3)
	for c := range of {
		tp, fp, fn := v[3*c], v[3*c+1], v[3*c+2]
		of[c] = metric.Counts{TP: tp, FP: fp, FN: fn, TN: n - tp - fp - fn}
	}
	return of
}

// tabled gives the columns and the function of a metric of the tables of the labels.
func tabled(d metric.Definition, p *prepared) *sums {
	return &sums{nil, 1, labelColumns(p), func(w, v []float64) float64 { return measured(d.FromTables(labelTables(w[0], v))) }}
}

// isClass reports whether a row is of a class, or a label true of it.
func (t *Truth) isClass(row, class int) bool {
	if t.Task == assay.Multilabel {
		return t.Class[row*len(t.Classes)+class] == 1
	}
	return int(t.Class[row]) == class
}

// labelMetrics are the metrics of each label of a multilabel task. Those that need probabilities are left out without them.
var labelMetrics = []string{"roc_auc_score", "average_precision_score", "f1_score", "precision_score", "recall_score"}

// perLabel scores each label of a multilabel task as a binary task of its own, on the same rows.
func perLabel(t *Truth, model, baseline *Scores, o Options) ([]*scoring, error) {
	if t.Task != assay.Multilabel {
		return nil, nil
	}
	names := labelMetrics
	if model.Proba == nil || baseline.Proba == nil {
		names = names[2:]
	}
	defs, err := definitions(names)
	if err != nil {
		return nil, err
	}
	k := len(t.Classes)
	out := make([]*scoring, k)
	for c := range k {
		one := &Truth{
			Task: assay.Binary, Classes: []string{"0", "1"}, Positive: 1, Class: every(t.Class, k, c), Columns: t.Columns,
			Entity: t.Entity, Name: t.Name, Weight: t.Weight, Weighted: t.Weighted,
		}
		m, b := prepare(one, model.label(k, c), o.Threshold), prepare(one, baseline.label(k, c), o.Threshold)
		if out[c], err = newScoring(newSample(one, nil), m, b, "", defs, o); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// label is the answer to one of k labels as that of a binary task.
func (s *Scores) label(k, c int) *Scores {
	out := &Scores{Name: s.Name}
	if s.Label != nil {
		out.Label = every(s.Label, k, c)
	}
	if s.Proba != nil {
		for _, p := range every(s.Proba, k, c) {
			out.Proba = append(out.Proba, 1-p, p)
		}
	}
	return out
}

// every is column c of a row-major matrix of k columns.
func every[T any](matrix []T, k, c int) []T {
	out := make([]T, 0, len(matrix)/k)
	for i := c; i < len(matrix); i += k {
		out = append(out, matrix[i])
	}
	return out
}

// labelScores makes the table of labels once the replicates are made.
func labelScores(t *Truth, of []*scoring) []assay.LabelScores {
	var out []assay.LabelScores
	for c, x := range of {
		l := assay.LabelScores{Name: t.Classes[c], Positives: x.s.positives(), Confusion: confusion(x.s, x.a), Metrics: []assay.Metric{}}
		for i, m := range x.first {
			row := x.metric(i)
			if d, ok := metric.Lookup(m.name); ok {
				row.Definition = d.ID
			}
			l.Metrics = append(l.Metrics, row)
		}
		out = append(out, l)
	}
	return out
}

// hardLabels reads the predicted labels of a multilabel task, prediction_<label> for each, in the order of the file.
func (p Predictions) hardLabels(t *Truth, s *Scores, bad *assay.Problems) {
	k := len(t.Classes)
	columns := make([]*assay.Column, k)
	found := 0
	for i := range p.Columns {
		c := &p.Columns[i]
		label, ok := strings.CutPrefix(c.Name, labelPrefix)
		if !ok {
			continue
		}
		at := slices.Index(t.Classes, label)
		if at < 0 {
			bad.Add("column %q is of no label; the labels are %s", c.Name, strings.Join(t.Classes, ", "))
			continue
		}
		columns[at] = c
		found++
	}
	if found == 0 {
		return
	}
	s.Label = make([]int32, k*len(p.Keys))
	for at, c := range columns {
		switch {
		case c == nil:
			bad.Add("no column %q", labelPrefix+t.Classes[at])
			continue
		case c.Floats == nil:
			bad.Add("column %q is text, not 0 or 1", c.Name)
			continue
		}
		var other place
		for i, v := range c.Floats {
			if v != 0 && v != 1 {
				other.add(i)
			}
			s.Label[i*k+at] = map[bool]int32{true: 1}[v == 1]
		}
		addPlaces(bad, "column "+strconv.Quote(c.Name)+" is neither 0 nor 1", other)
	}
}
