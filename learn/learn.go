// Package learn fits baselines, linear models and gradient-boosted trees on columns in memory, writes them as ONNX with their whole
// preprocessing inside, and evaluates ONNX models in Go.
//
// A model is its ONNX file: what Fit returns predicts through the same evaluator that a server uses, so the numbers of an evaluation
// and of production come from one code. The same specification, data and seed give the same bytes at any thread count.
//
// Open reads the models of others (ONNX, XGBoost, LightGBM) into a Predictor, which runs in this process without Python: the numbers
// are those of ONNX Runtime and of the libraries, in their precision. Such files are not trusted: Limits bound what reading and
// running one may take, and what the evaluator does not know is refused by name when the model is opened.
//
// The package reads no file, takes no clock and keeps no global state. Tables that do not fit in memory belong to the table engine.
package learn
