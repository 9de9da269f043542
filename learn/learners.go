package learn

import (
	"math"

	"github.com/assay-ml/assay"
)

// Learners returns the table of what can be fitted, in the order of the documentation. The caller owns the slice.
func Learners() []Learner {
	classes := []assay.Task{assay.Binary, assay.Multiclass}
	values := []assay.Task{assay.Regression}
	standardize := Param{Name: "standardize", Type: "boolean", Default: true, Doc: "scale numeric columns to mean 0 and standard deviation 1"}
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
		{Name: "last_value", Tasks: values, Doc: "baseline: the value of the last training row; in a project the last in data.time"},
		{Name: "seasonal_naive", Tasks: values, Doc: "baseline: the last season of the training rows, repeated", Params: []Param{
			{Name: "period", Type: "integer", Default: 1, Min: 1, Max: 1 << 30, Doc: "rows in a season"},
		}},
		{Name: "logistic_regression", Tasks: classes, Doc: "linear log odds, with an L2 penalty", fit: fitLogistic, Params: []Param{
			{Name: "c", Type: "number", Default: 1.0, Min: 0, Max: 1e30, Open: true, Doc: "weight of the data against the penalty; large is a weak penalty"},
			standardize,
			{Name: "max_iterations", Type: "integer", Default: 100, Min: 1, Max: 1e6, Doc: "steps of the optimiser"},
		}},
		{Name: "linear_regression", Tasks: values, Doc: "least squares; of several solutions the one of smallest norm", fit: fitLinear, Params: []Param{standardize}},
		{Name: "ridge", Tasks: values, Doc: "least squares with an L2 penalty", fit: fitLinear, Params: []Param{
			{Name: "alpha", Type: "number", Default: 1.0, Min: 0, Max: 1e30, Open: true, Doc: "weight of the penalty against the sum of squared errors"},
			standardize,
		}},
		{Name: "elastic_net", Tasks: values, Doc: "least squares with an L1 and an L2 penalty", fit: fitLinear, Params: []Param{
			{Name: "alpha", Type: "number", Default: 1.0, Min: 0, Max: 1e30, Open: true, Doc: "weight of the penalties against half the mean squared error"},
			{Name: "l1_ratio", Type: "number", Default: 0.5, Min: 0, Max: 1, Doc: "share of the L1 penalty"},
			standardize,
			{Name: "max_iterations", Type: "integer", Default: 10000, Min: 1, Max: 1e9, Doc: "rounds over the coefficients"},
		}},
		{Name: "gradient_boosting", Tasks: append(append([]assay.Task(nil), classes...), values...), Doc: "gradient-boosted trees on histograms", fit: fitBoosted, Params: []Param{
			{Name: "trees", Type: "integer", Default: DefaultTrees, Min: 1, Max: 100_000, Doc: "iterations; one tree each, or one a class"},
			{Name: "learning_rate", Type: "number", Default: DefaultLearningRate, Min: 1e-9, Max: 1, Doc: "what a tree's answer is multiplied by"},
			{Name: "max_leaf_nodes", Type: "integer", Default: DefaultMaxLeafNodes, Min: 2, Max: 65536, Doc: "leaves of a tree"},
			{Name: "max_depth", Type: "integer", Default: 0, Min: 0, Max: 1 << 16, Doc: "splits from the root to a leaf; 0: no limit"},
			{Name: "min_samples_leaf", Type: "integer", Default: DefaultMinSamplesLeaf, Min: 1, Max: 1 << 30, Doc: "training rows in a leaf"},
			{Name: "min_child_hessian", Type: "number", Default: DefaultMinChildHessian, Min: 1e-300, Max: 1e300, Doc: "sum of second derivatives in a leaf"},
			{Name: "l2", Type: "number", Default: 0.0, Min: 0, Max: 1e300, Doc: "L2 penalty on leaf values"},
			{Name: "min_gain", Type: "number", Default: 0.0, Min: 0, Max: 1e300, Doc: "a split must gain more than this"},
			{Name: "max_bins", Type: "integer", Default: DefaultMaxBins, Min: 2, Max: 255, Doc: "histogram bins of a feature"},
			{Name: "row_fraction", Type: "number", Default: 1.0, Min: 1e-9, Max: 1, Doc: "rows drawn for each iteration"},
			{Name: "feature_fraction", Type: "number", Default: 1.0, Min: 1e-9, Max: 1, Doc: "features drawn for each tree"},
			{Name: "patience", Type: "integer", Default: 0, Min: 0, Max: 100_000, Doc: "stop after so many iterations without a better validation loss; 0: never"},
			{Name: "objective", Type: "string", Default: "", Choices: []string{"", ObjectiveSquared, ObjectiveAbsolute, ObjectiveQuantile, ObjectivePoisson}, Doc: "regression: the loss; empty: squared"},
			{Name: "quantile", Type: "number", Default: 0.5, Min: 0, Max: 1, Open: true, Doc: "which quantile, for that objective"},
			{Name: "increasing", Type: "string", Default: "", Doc: "numeric features, separated by commas, with which the answer never falls"},
			{Name: "decreasing", Type: "string", Default: "", Doc: "numeric features, separated by commas, with which the answer never rises"},
		}},
	}
}
