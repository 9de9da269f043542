package learn

import "github.com/assay-ml/assay"

// Limits bound what opening a model file and running it may take. A zero field means the default of that name.
type Limits struct {
	FileBytes   int64 // of the model file
	TensorBytes int64 // of all constants of the model together, as they lie in memory
	StringBytes int   // of one string of the model
	Nodes       int   // of a graph, graphs inside it included; of all trees of an ensemble together
	Depth       int   // of graphs inside graphs, and of values inside values of a JSON file
	Fields      int   // numbers a row that a model may take or give
	RunBytes    int64 // of the tensors of one run, results in between included, whether or not they are still needed
}

// Defaults of Limits.
const (
	DefaultFileBytes   = 1 << 30
	DefaultTensorBytes = 2 << 30
	DefaultStringBytes = 1 << 20
	DefaultNodes       = 1 << 25
	DefaultDepth       = 8
	DefaultFields      = 1 << 20
	DefaultRunBytes    = 2 << 30
)

// orDefault fills in what is zero.
func (l Limits) orDefault() Limits {
	set := func(v *int64, def int64) {
		if *v <= 0 {
			*v = def
		}
	}
	set(&l.FileBytes, DefaultFileBytes)
	set(&l.TensorBytes, DefaultTensorBytes)
	set(&l.RunBytes, DefaultRunBytes)
	small := func(v *int, def int) {
		if *v <= 0 {
			*v = def
		}
	}
	small(&l.StringBytes, DefaultStringBytes)
	small(&l.Nodes, DefaultNodes)
	small(&l.Depth, DefaultDepth)
	small(&l.Fields, DefaultFields)
	return l
}

// checkFile refuses a file above the limit.
func (l Limits) checkFile(format Format, n int64) error {
	if n > l.FileBytes {
		return tooLarge("%s model has %d bytes, at most %d are read", format, n, l.FileBytes)
	}
	return nil
}

// tooLarge is the error of a model or a run that goes over a limit.
func tooLarge(format string, args ...any) *assay.Error {
	return assay.Errorf(assay.Invalid, format, args...)
}
