package pyfunc

import (
	"slices"
	"strconv"

	"github.com/assay-ml/assay"
)

// Interpret says what an answer means for a model with these classes, in their order; none is a regression. A value a row is a label, or
// the value of a regression; one number a class is its probability, by the name of its column where the names are those of the classes,
// and otherwise in their order. labels are indexes into classes, -1 for what is none of them. Errors are Internal.
func Interpret(a *Answer, classes []string) (labels []int32, proba, values []float64, err error) {
	if len(classes) == 0 {
		if a.Width > 1 {
			return nil, nil, nil, assay.Errorf(assay.Internal, "the model answered %d values a row where one is predicted", a.Width)
		}
		values, err = a.floats()
		return nil, nil, values, err
	}
	if a.Width == len(classes) {
		x, err := a.floats()
		if err != nil {
			return nil, nil, nil, err
		}
		order, err := orderOf(a.Names, classes)
		if err != nil {
			return nil, nil, nil, err
		}
		k := len(classes)
		proba = make([]float64, len(x))
		labels = make([]int32, a.Rows)
		for row := range a.Rows {
			best := 0
			for j := range k {
				proba[row*k+j] = x[row*k+order[j]]
				if proba[row*k+j] > proba[row*k+best] {
					best = j
				}
			}
			labels[row] = int32(best)
		}
		return labels, proba, nil, nil
	}
	if a.Width > 1 {
		return nil, nil, nil, assay.Errorf(assay.Internal, "the model answered %d values a row for %d classes", a.Width, len(classes))
	}
	labels = make([]int32, a.Rows)
	for row := range labels {
		labels[row] = int32(slices.Index(classes, a.text(row)))
	}
	return labels, nil, nil, nil
}

// orderOf is the column of each class.
func orderOf(names, classes []string) ([]int, error) {
	out := make([]int, len(classes))
	known := 0
	for i, c := range classes {
		out[i] = i
		for j, n := range names {
			if n == c || n == "probability_"+c {
				out[i] = j
				known++
			}
		}
	}
	if known != 0 && known != len(classes) {
		return nil, assay.Errorf(assay.Internal, "the columns of the model's answer name some of the classes, not all")
	}
	return out, nil
}

func (a *Answer) floats() ([]float64, error) {
	switch {
	case a.Ints != nil:
		out := make([]float64, len(a.Ints))
		for i, x := range a.Ints {
			out[i] = float64(x)
		}
		return out, nil
	case a.Floats != nil || a.Rows == 0:
		return a.Floats, nil
	}
	return nil, assay.Errorf(assay.Internal, "the model answered what is no number")
}

// text is a label as a class is written.
func (a *Answer) text(row int) string {
	switch {
	case a.Texts != nil:
		return a.Texts[row]
	case a.Ints != nil:
		return strconv.FormatInt(a.Ints[row], 10)
	case a.Bools != nil:
		return strconv.FormatBool(a.Bools[row])
	case a.Floats != nil:
		return strconv.FormatFloat(a.Floats[row], 'f', -1, 64)
	}
	return ""
}
