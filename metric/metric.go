// Package metric computes scores under the names and the definitions of scikit-learn 1.9: classification, probabilities, ranking,
// regression, calibration, and the group differences of fairlearn 0.15.
//
// Classes are indices: a truth or a prediction is an []int32 of indices into a list of classes that the caller keeps, probabilities
// are a row-major n×k matrix in the order of that list. Encode makes indices of labels of any ordered type. Names keep scikit-learn's
// direction: …_score is better when higher, …_loss and …_error when lower.
//
// A score that the data leaves undefined (one class, no positive, 0/0) comes back with the conventional number and the reason, so
// that a gate can tell a convention from a measurement. Bad input is an error, never a number: NaN or infinite scores, probabilities
// outside [0,1], unequal lengths, no rows, negative weights (which scikit-learn mostly lets pass).
//
// The package is pure: it makes no intervals (package stat does), keeps no state and starts goroutines only inside one call. Every
// function is checked against tables made by scikit-learn 1.9.1 and fairlearn 0.15.0 at a relative tolerance of 1e-12.
package metric

import (
	"math"
	"strconv"

	"github.com/assay-ml/assay"
)

// A Value is a score. Undefined says why Value is a convention and not a measurement ("only one class in the truth"); it is empty
// when the definition applies. Value may be NaN only when Undefined is not empty.
type Value struct {
	Value     float64
	Undefined string
}

// Defined reports whether the value is a measurement.
func (v Value) Defined() bool { return v.Undefined == "" }

// String reads "0.8712", or "0 (undefined: no predicted positive)".
func (v Value) String() string {
	s := strconv.FormatFloat(v.Value, 'g', 6, 64)
	if v.Undefined != "" {
		return s + " (undefined: " + v.Undefined + ")"
	}
	return s
}

func defined(v float64) Value              { return Value{Value: v} }
func convention(v float64, w string) Value { return Value{v, w} }
func undefined(why string) Value           { return Value{math.NaN(), why} }

// An Average says how the scores of several classes become one number. The zero value is Positive.
type Average int

const (
	Positive Average = 0  // the score of class 1 of two; more than two classes are refused
	Micro    Average = -1 // of the counts summed over the classes
	Macro    Average = -2 // the plain mean over the classes
	Weighted Average = -3 // the mean over the classes, weighted by how often each is true
	Samples  Average = -4 // the mean over the rows; multilabel only
)

// Of is the score of one class against all others.
func Of(class int) Average { return Average(class + 1) }

// class returns the class whose score is asked for, when the average is Positive or Of.
func (a Average) class() (int, bool) {
	if a == Positive {
		return 1, true
	}
	return int(a) - 1, a > 0
}

func (a Average) String() string {
	switch a {
	case Positive:
		return "positive"
	case Micro:
		return "micro"
	case Macro:
		return "macro"
	case Weighted:
		return "weighted"
	case Samples:
		return "samples"
	}
	return "class " + strconv.Itoa(int(a)-1)
}

// A ZeroDivision says what 0/0 is. The zero value is scikit-learn's "warn": 0, and the value is marked undefined.
type ZeroDivision uint8

const (
	ZeroMarked ZeroDivision = iota // 0, marked undefined
	ZeroIsZero                     // 0
	ZeroIsOne                      // 1
	ZeroIsNaN                      // NaN; such a class is left out of an average
)

// ratio divides, and answers 0/0 as asked.
func (z ZeroDivision) ratio(num, den float64, why string) Value {
	if den != 0 {
		return defined(num / den)
	}
	switch z {
	case ZeroIsZero:
		return defined(0)
	case ZeroIsOne:
		return defined(1)
	case ZeroIsNaN:
		return undefined(why)
	}
	return convention(0, why)
}

func invalid(format string, args ...any) error { return assay.Errorf(assay.Invalid, format, args...) }
