package serve

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/schema"
	"github.com/assay-ml/assay/metric"
)

// An Engine evaluates a model. It is safe for use by several goroutines.
type Engine interface {
	// Predict evaluates the rows, which fit the input schema, and fills out. It must end soon after ctx does. Errors are Unavailable
	// when the engine cannot answer now, Invalid when the rows cannot be given to the model, Internal otherwise.
	Predict(ctx context.Context, rows *schema.Batch, out *Output) error
	Close() error
}

// serials counts the versions that this process has bound.
var serials atomic.Uint64

// A Binding is a version with all that stands before and behind it.
type Binding struct {
	Name     string
	Number   int
	Model    assay.Digest // of the model file
	Evidence assay.Digest // id of the serving evidence; empty for a version that is tried out
	Platform string       // "assay_onnx", as the Open Inference Protocol names it
	Task     assay.Task
	Classes  []string
	Positive string
	// Threshold is the probability of the positive class from which a row is of it, as the version was evaluated, whatever class the model itself
	// names; 0: the model's own class is answered.
	Threshold float64
	// LabelType is the type of the target column, which says how a class is written: the class 1 of integers is 1 and not "1".
	LabelType assay.Type
	Input     *schema.Schema
	Output    *schema.Schema
	Engine    Engine
	Outliers  Outliers // nil: no row counts as out of distribution
	Key       []string // columns that tell a row apart: those that are no inputs a row may have beside them, and the log has all of them as one; empty: none
	Policy    Policy
	// Coerce is "mlflow" where /invocations makes the casts of MLflow's scoring server, and counts them; empty: what does not fit is refused.
	Coerce string
	Params []Param // that a request may name; nil: there are none, and what a request says is not looked at
	// Kinds are the NumPy types to which the columns are then cast; nil: the widest of each column's type.
	Kinds []string
}

// A Policy says what becomes of rows that should not be answered as they are.
type Policy struct {
	OnInvalid string // reject (default), fallback
	OnOutlier string // flag (default), reject, fallback
	Fallback  *Fallback
}

// Outliers tells how far rows are from what the model learned from. It is safe for use by several goroutines.
type Outliers interface {
	// Score appends one score a row to out, 0–1: the share of reference rows that are less unusual.
	Score(rows *schema.Batch, out []float64) []float64
	// Threshold is the score above which a row counts as out of distribution.
	Threshold() float64
}

// Bound is a Binding that is ready to answer. Its fields are not to be changed.
type Bound struct {
	Binding
	in         *schema.Validator
	out        *schema.Validator
	casts      *schema.Casts // nil: none are made
	users      atomic.Int64  // held by the routes (1) and by each request
	header     []string      // its number, as a header has it
	header0    []byte        // the same
	inputs     assay.Digest  // of the input schema and the casts: rows read for one are rows of all that have the same
	keys       []string      // "probability_…" of each class as a JSON string
	positive   int           // class, where a threshold decides
	closed     chan struct{}
	retired    sync.Once
	counters   *versionCounters
	classBytes [][]byte
	labels     Labels
	server     *Server
	serial     uint64 // tells versions of one process apart, also when a number is bound again
	logged     atomic.Pointer[logPlan]
	journaled  atomic.Bool // the journal has its layout
	plain      *plainOutput
}

// Bind compiles a Binding. It fails, naming everything, when a schema does not compile.
func (s *Server) Bind(b Binding) (*Bound, error) {
	in, err := b.Input.CompileWith(schema.PayloadOptions{MaxBytes: int(s.o.MaxBodyBytes)})
	if err != nil {
		return nil, fmt.Errorf("input schema of %s:%d: %w", b.Name, b.Number, err)
	}
	out, err := b.Output.Compile()
	if err != nil {
		return nil, fmt.Errorf("output schema of %s:%d: %w", b.Name, b.Number, err)
	}
	want := OutputSchema("", b.Classes, len(b.Output.Columns) > 1)
	for i := range want.Columns {
		if i >= len(b.Output.Columns) || b.Output.Columns[i].Name != want.Columns[i].Name || len(b.Output.Columns) != len(want.Columns) {
			return nil, assay.Errorf(assay.Invalid, "output schema of %s:%d: its columns are not %s in this order", b.Name, b.Number, columnNames(want))
		}
	}
	v := &Bound{Binding: b, in: in, out: out, closed: make(chan struct{}), server: s, labels: labelsOf(b.Classes, b.LabelType), serial: serials.Add(1)}
	if v.positive = slices.Index(b.Classes, b.Positive); b.Threshold != 0 && (len(b.Classes) != 2 || v.positive < 0) {
		return nil, assay.Errorf(assay.Invalid, "%s:%d: a threshold of %v decides between two classes of which one is positive", b.Name, b.Number, b.Threshold)
	}
	v.header = []string{strconv.Itoa(b.Number)}
	v.header0 = []byte(v.header[0])
	if v.inputs, err = b.Input.Digest(); err != nil {
		return nil, fmt.Errorf("input schema of %s:%d: %w", b.Name, b.Number, err)
	}
	if b.Coerce != "" {
		v.casts = in.Casts(b.Kinds)
		v.inputs = assay.DigestOf([]byte(strings.Join(append([]string{string(v.inputs), b.Coerce}, b.Kinds...), " ")))
	}
	for _, c := range b.Classes {
		v.keys = append(v.keys, string(schema.AppendJSONString(nil, []byte(ProbabilityField(c)))))
		v.classBytes = append(v.classBytes, []byte(c))
	}
	v.plain = v.plainly()
	if err := v.checkPolicy(); err != nil {
		return nil, err
	}
	v.users.Store(1)
	v.counters = s.counted.version(b.Name, b.Number)
	return v, nil
}

func columnNames(s *schema.Schema) string {
	names := make([]string, len(s.Columns))
	for i := range s.Columns {
		names[i] = s.Columns[i].Name
	}
	return strings.Join(names, ", ")
}

func (b *Bound) String() string { return fmt.Sprintf("%s:%d", b.Name, b.Number) }

// Header returns the version's number as the values of a header. The slice is not to be changed.
func (b *Bound) Header() []string { return b.header }

// ProbabilityKey returns the name of the output field with the probability of a class, as a JSON string.
func (b *Bound) ProbabilityKey(class int) string { return b.keys[class] }

// Healthy reports whether the version's engine works, as far as the last requests tell. An engine that has no Healthy method does.
func (b *Bound) Healthy() bool {
	e, ok := b.Engine.(interface{ Healthy() bool })
	return !ok || e.Healthy()
}

// Casts returns the casts that /invocations makes of what a request holds; nil: none.
func (b *Bound) Casts() *schema.Casts { return b.casts }

// Inputs returns the validator of the input schema.
func (b *Bound) Inputs() *schema.Validator { return b.in }

// Outputs returns the validator of the output schema.
func (b *Bound) Outputs() *schema.Validator { return b.out }

// evaluate asks the engine, with parameters where there are any, and decides the classes.
func (b *Bound) evaluate(ctx context.Context, rows *schema.Batch, params []byte, out *Output) error {
	err := b.ask(ctx, rows, params, out)
	if err == nil && b.Threshold != 0 {
		err = b.decide(out)
	}
	return err
}

func (b *Bound) ask(ctx context.Context, rows *schema.Batch, params []byte, out *Output) error {
	if len(params) == 0 {
		return b.Engine.Predict(ctx, rows, out)
	}
	e, ok := b.Engine.(Parametric)
	if !ok {
		return assay.Errorf(assay.Rejected, "the request has parameters, and the model is evaluated by what takes none")
	}
	return e.PredictWith(ctx, rows, params, out)
}

// decide puts the class that the threshold makes of each row's probabilities in place of the model's own. An answer of classes alone is an
// error: which of them the threshold would have made is not known. What the output check refuses stays as it is.
func (b *Bound) decide(o *Output) error {
	if len(o.Proba) == 0 {
		return assay.Errorf(assay.Internal, "%s answers classes without probabilities, and a row is %s from a probability of %v on", b, b.Positive, b.Threshold)
	}
	if slices.ContainsFunc(o.Labels, func(l int32) bool { return l < 0 || l > 1 }) {
		return nil
	}
	o.Labels = metric.Decide(o.Labels[:0], o.Proba, b.positive, b.Threshold)
	return nil
}

// hold takes the version for one request, unless it has been closed.
func (b *Bound) hold() bool {
	for {
		n := b.users.Load()
		if n == 0 {
			return false
		}
		if b.users.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

// release gives back what hold took.
func (b *Bound) release() {
	if b.users.Add(-1) == 0 {
		_ = b.Engine.Close() // the last user is gone; there is nobody to tell
		close(b.closed)
	}
}

// retire gives back what the routes hold.
func (b *Bound) retire() { b.retired.Do(b.release) }
