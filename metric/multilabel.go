package metric

import "github.com/assay-ml/assay"

func checkMultilabel(truth, pred []int32, o LabelOptions) (n int, err error) {
	var p assay.Problems
	k := o.Classes
	if k <= 0 {
		return 0, invalid("multilabel matrices: the number of classes is not given")
	}
	if len(truth)%k != 0 {
		p.Add("the truth holds %d cells, no multiple of %d classes", len(truth), k)
	}
	n = len(truth) / k
	if n == 0 {
		p.Add("the truth holds no row")
	}
	if len(truth) != len(pred) {
		p.Add("the truth holds %d cells and the prediction %d", len(truth), len(pred))
	}
	checkClasses(&p, "cell", truth, 2)
	checkClasses(&p, "predicted cell", pred, 2)
	checkWeights(&p, n, o.Weights)
	return n, p.Err(assay.Invalid, "multilabel matrices")
}

// cell is the two-by-two table of one cell of weight w.
func (n *Counts) cell(truth, pred int32, w float64) {
	switch {
	case truth == 1 && pred == 1:
		n.TP += w
	case truth == 1:
		n.FN += w
	case pred == 1:
		n.FP += w
	default:
		n.TN += w
	}
}

// countSamples makes one unweighted table a row, over its columns.
func countSamples(truth, pred []int32, o LabelOptions) (oneVsRest, error) {
	n, err := checkMultilabel(truth, pred, o)
	if err != nil {
		return oneVsRest{}, err
	}
	t := oneVsRest{counts: make([]Counts, n), weights: o.Weights}
	for i := range n {
		for j := range o.Classes {
			c := i*o.Classes + j
			t.counts[i].cell(truth[c], pred[c], 1)
		}
	}
	return t, nil
}

// countColumns makes one table a column, over its rows.
func countColumns(truth, pred []int32, o LabelOptions) (oneVsRest, error) {
	n, err := checkMultilabel(truth, pred, o)
	if err != nil {
		return oneVsRest{}, err
	}
	labels := o.Labels
	if class, one := o.Average.class(); one {
		if o.Average == Positive {
			return oneVsRest{}, invalid("the score of the positive class is defined for two classes, not for a multilabel matrix: choose the average macro, micro, weighted or samples")
		}
		labels = []int{class}
	}
	if labels == nil {
		for j := range o.Classes {
			labels = append(labels, j)
		}
	}
	if err := (Confusion{Classes: o.Classes}).checkLabels(labels); err != nil {
		return oneVsRest{}, err
	}
	t := oneVsRest{labels: labels, counts: make([]Counts, len(labels))}
	for i := range n {
		w := 1.0
		if o.Weights != nil {
			w = o.Weights[i]
		}
		for j, l := range labels {
			c := i*o.Classes + l
			t.counts[j].cell(truth[c], pred[c], w)
		}
	}
	return t, nil
}
