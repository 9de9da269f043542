package metric

import (
	"cmp"
	"math"
	"slices"

	"github.com/assay-ml/assay"
)

// Encode turns labels into indices of classes, the sorted union of both columns: scikit-learn's order. Floating-point labels must be
// whole numbers, because a fraction is a score and not a class.
func Encode[T cmp.Ordered](truth, pred []T) (classes []T, y, p []int32, err error) {
	for i, col := range [][]T{truth, pred} {
		if err := wholeNumbers(col, []string{"truth", "prediction"}[i]); err != nil {
			return nil, nil, nil, err
		}
	}
	classes = slices.Concat(truth, pred)
	slices.Sort(classes)
	classes = slices.Clip(slices.Compact(classes))
	if y, err = EncodeAs(classes, truth); err != nil {
		return nil, nil, nil, err
	}
	p, err = EncodeAs(classes, pred)
	return classes, y, p, err
}

// EncodeAs turns labels into indices of the given classes, in the order given. A label outside them, or a class listed twice, is
// refused.
func EncodeAs[T cmp.Ordered](classes, labels []T) ([]int32, error) {
	index := make(map[T]int32, len(classes))
	for i, c := range classes {
		if _, twice := index[c]; twice {
			return nil, invalid("class %v is listed twice", c)
		}
		index[c] = int32(i)
	}
	out := make([]int32, len(labels))
	for i, l := range labels {
		c, ok := index[l]
		if !ok {
			return nil, invalid("label %v of row %d is none of the %d classes", l, i, len(classes))
		}
		out[i] = c
	}
	return out, nil
}

// Number is a type whose values are numbers.
type Number interface {
	~int | ~int8 | ~int16 | ~int32 | ~int64 | ~float32 | ~float64
}

// ZeroOne turns labels of {0,1} or {−1,1} into 0 and 1. Any other label is refused, because nothing says which of the two is the
// positive one: name it, with OneVsRest.
func ZeroOne[T Number](labels []T) ([]int32, error) {
	var zero, minus bool
	out := make([]int32, len(labels))
	for i, l := range labels {
		switch l {
		case 1:
			out[i] = 1
		case 0:
			zero = true
		case -1:
			minus = true
		default:
			return nil, invalid("label %v of row %d is neither of {0, 1} nor of {-1, 1}: name the positive class", l, i)
		}
	}
	if zero && minus {
		return nil, invalid("the labels are -1, 0 and 1: name the positive class")
	}
	return out, nil
}

// OneVsRest is 1 where the label is the positive one and 0 elsewhere.
func OneVsRest[T comparable](labels []T, positive T) []int32 {
	out := make([]int32, len(labels))
	for i, l := range labels {
		if l == positive {
			out[i] = 1
		}
	}
	return out
}

func wholeNumbers[T cmp.Ordered](labels []T, name string) error {
	for i, l := range labels {
		var f float64
		switch v := any(l).(type) {
		case float64:
			f = v
		case float32:
			f = float64(v)
		default:
			return nil
		}
		if math.IsNaN(f) || math.IsInf(f, 0) {
			return invalid("the %s of row %d is %v, not a class", name, i, f)
		}
		if f != math.Trunc(f) {
			return invalid("the %s of row %d is %v: a score, not a class", name, i, f).(*assay.Error).Try("choose a threshold first")
		}
	}
	return nil
}

// Decide appends to labels the class of each row of a binary task, 0 or 1: positive where its probability, of two a row in proba, is at
// least the threshold, and the other one below it. It is what an evaluation at that threshold counts and what a server then answers.
func Decide(labels []int32, proba []float64, positive int, threshold float64) []int32 {
	for row := 0; row+1 < len(proba); row += 2 {
		label := int32(1 - positive)
		if proba[row+positive] >= threshold {
			label = int32(positive)
		}
		labels = append(labels, label)
	}
	return labels
}
