// Package learn fits baselines, linear models and gradient-boosted trees on columns in memory, writes them as ONNX with their whole
// preprocessing inside, and evaluates ONNX models in Go.
//
// A model is its ONNX file: what Fit returns predicts through the same evaluator that a server uses, so the numbers of an evaluation
// and of production come from one code. The same specification, data and seed give the same bytes at any thread count.
//
// The package reads no file, takes no clock and keeps no global state. Tables that do not fit in memory belong to the table engine.
package learn
