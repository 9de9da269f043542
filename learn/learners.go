package learn

import (
	"math"

	"github.com/assay-ml/assay"
)

// Learners returns the table of what can be fitted, in the order of the documentation. The caller owns the slice.
func Learners() []Learner {
	classes := []assay.Task{assay.Binary, assay.Multiclass}
	values := []assay.Task{assay.Regression}
	return []Learner{
		{Name: "prior", Tasks: classes, Doc: "baseline: each class with its share of the training rows"},
		{Name: "majority", Tasks: classes, Doc: "baseline: the most frequent class with probability 1; the first of equals"},
		{Name: "stratified", Tasks: classes, Doc: "baseline: a class drawn with its share of the training rows"},
		{Name: "uniform", Tasks: classes, Doc: "baseline: every class equally likely", Params: []Param{
			{Name: "draw", Type: "boolean", Default: false, Doc: "draw one class a row instead of answering the equal shares"},
		}},
		{Name: "constant", Tasks: append(append([]assay.Task(nil), classes...), values...), Doc: "baseline: always the same answer", Params: []Param{
			{Name: "class", Type: "string", Default: "", Doc: "the class to answer"},
			{Name: "value", Type: "number", Default: 0.0, Min: -math.MaxFloat32, Max: math.MaxFloat32, Doc: "the value to answer"},
		}},
		{Name: "mean", Tasks: values, Doc: "baseline: the weighted mean of the training values"},
		{Name: "median", Tasks: values, Doc: "baseline: the median of the training values; with weights the lower one"},
		{Name: "quantile", Tasks: values, Doc: "baseline: a quantile of the training values", Params: []Param{
			{Name: "quantile", Type: "number", Default: 0.5, Min: 0, Max: 1, Doc: "which quantile"},
		}},
		{Name: "last_value", Tasks: values, Doc: "baseline: the value of the last training row, for rows in the order of time"},
		{Name: "seasonal_naive", Tasks: values, Doc: "baseline: the last season of the training rows, repeated", Params: []Param{
			{Name: "period", Type: "integer", Default: 1, Min: 1, Max: 1 << 30, Doc: "rows in a season"},
		}},
		{Name: "logistic_regression", Tasks: classes, Doc: "linear log odds, with an L2 penalty", fit: fitLogistic, Params: []Param{
			{Name: "c", Type: "number", Default: 1.0, Min: 0, Max: 1e30, Open: true, Doc: "weight of the data against the penalty; large is a weak penalty"},
			{Name: "standardize", Type: "boolean", Default: true, Doc: "scale numeric columns to mean 0 and standard deviation 1"},
			{Name: "max_iterations", Type: "integer", Default: 100, Min: 1, Max: 1e6, Doc: "steps of the optimiser"},
		}},
	}
}
