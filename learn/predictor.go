package learn

import (
	"bytes"
	"context"
	"io"
	"slices"
	"strconv"
	"sync"

	"github.com/assay-ml/assay"
)

// A Format is the kind of file that a model was read from.
type Format string

// Formats that Open reads.
const (
	FormatONNX     Format = "onnx"
	FormatXGBoost  Format = "xgboost"  // JSON or UBJSON, of 1.0 or later
	FormatLightGBM Format = "lightgbm" // text, version 2 to 4
)

// A Role says what an output of a model is for.
type Role string

// Roles of outputs.
const (
	RoleLabel       Role = "label"       // the predicted class
	RoleProbability Role = "probability" // one number a class: its probability, or its score where the model gives no probabilities
	RoleValue       Role = "value"       // what a regressor predicts
	RoleMargin      Role = "margin"      // the raw score before the link
	RoleOther       Role = "other"
)

// A Port is an input or an output of a model: a tensor whose first axis is mostly the row. The slices belong to the Predictor.
type Port struct {
	Name    string
	Type    ElementType
	Shape   []int     // -1 is a size that may vary; nil where the model does not say
	Role    Role      // of an output
	Classes []string  // of an output with one number a class: the classes in the order of the last axis
	Keys    bool      // the output is what ONNX calls a sequence of maps; its tensor has Keys
	Columns []Feature // of a matrix input: what its columns are, where the model says
}

// A Feature is one column of a matrix input.
type Feature struct {
	Name        string
	Categorical bool
	Categories  *Categories // where the model knows them; otherwise a categorical column holds the codes
}

// field is the port as a field of a table.
func (p *Port) field() assay.Field {
	typ := assay.TypeNumber
	switch {
	case p.Type == String:
		typ = assay.TypeString
	case p.Type == Bool:
		typ = assay.TypeBoolean
	case p.Type.integral():
		typ = assay.TypeInteger
	}
	return assay.Field{Name: p.Name, Type: typ}
}

// An engine computes the outputs of a model from its inputs, both in the order of its ports. It is immutable. Results live in m.
type engine interface {
	ports() (in, out []Port)
	execute(m *memory, in, out []*Tensor) error
}

// A Predictor is a model file ready to run, of whatever format. Once it is in use it is immutable and safe for use by several goroutines; each of them
// runs it through a Session of its own.
type Predictor struct {
	format   Format
	engine   engine
	limits   Limits
	in, out  []Port
	classes  []string
	rowwise  bool // a row of the outputs depends on that row of the inputs alone
	block    int  // rows that pass through the model together where rows do not depend on each other
	positive string
	task     assay.Task
	program  *Program // of an ONNX model that this package evaluates
	sessions sync.Pool
}

// Open reads a model file and prepares it to run. The format is found from the bytes. Errors are Invalid for a damaged file or one
// over a limit, and Unimplemented for a model that uses what the evaluator does not know; they name the place.
func Open(b []byte, limits Limits) (*Predictor, error) {
	limits = limits.orDefault()
	format := sniff(b)
	if err := limits.checkFile(format, int64(len(b))); err != nil {
		return nil, err
	}
	if bytes.HasPrefix(b, []byte("binf")) || bytes.HasPrefix(b, []byte("bs64")) {
		return nil, refuse("xgboost model is in the old binary format, which xgboost dropped in 3.1").Try(`load it with xgboost 3.0 and save it again: booster.save_model("model.ubj")`)
	}
	switch format {
	case FormatXGBoost:
		return loadXGBoost(b, limits)
	case FormatLightGBM:
		return loadLightGBM(b, limits)
	}
	p, err := loadONNX(b, limits)
	if err != nil {
		return nil, err
	}
	return p.predictor, nil
}

// sniff tells the format from the first bytes. What is neither JSON nor UBJSON nor LightGBM's text is taken for ONNX, which has no
// magic number: a file of ONNX starts with the tag of its version, 0x08.
func sniff(b []byte) Format {
	switch text := bytes.TrimLeft(b[:min(len(b), 64)], " \t\r\n"); {
	case bytes.HasPrefix(text, []byte("tree\n")), bytes.HasPrefix(text, []byte("tree\r\n")):
		return FormatLightGBM
	case len(text) > 0 && text[0] == '{':
		return FormatXGBoost
	}
	return FormatONNX
}

// isJSON tells JSON from UBJSON, which both start with a brace: in JSON a quote or the end follows.
func isJSON(b []byte) bool {
	i := bytes.IndexByte(b, '{')
	rest := bytes.TrimLeft(b[i+1:], " \t\r\n")
	return len(rest) > 0 && (rest[0] == '"' || rest[0] == '}')
}

func newPredictor(format Format, e engine, limits Limits) *Predictor {
	p := &Predictor{format: format, engine: e, limits: limits, block: blockRows}
	p.in, p.out = e.ports()
	for _, o := range p.out {
		if o.Role == RoleProbability {
			p.classes = o.Classes
		}
	}
	return p
}

// Format returns the kind of file that the model was read from.
func (p *Predictor) Format() Format { return p.format }

// Inputs returns the inputs in the order of Session.Input.
func (p *Predictor) Inputs() []Port { return slices.Clone(p.in) }

// Outputs returns the outputs in the order of Session.Output.
func (p *Predictor) Outputs() []Port { return slices.Clone(p.out) }

// Classes returns the classes of a classifier in the order of its probabilities, or nil for a regressor or where the model does not
// say.
func (p *Predictor) Classes() []string { return slices.Clone(p.classes) }

// SetClasses names the classes of a classifier, in the order of its probabilities, where the model does not say them; the only output of a
// network, with one number a class, is its probabilities. Nobody may be using the Predictor yet.
func (p *Predictor) SetClasses(classes []string) {
	if len(p.out) == 1 && p.out[0].Role == RoleValue && len(p.out[0].Shape) == 2 && p.out[0].Shape[1] == len(classes) && len(classes) > 1 {
		p.out[0].Role = RoleProbability
	}
	for i := range p.out {
		if p.out[i].Role == RoleProbability && !p.out[i].Keys && len(p.classes) == 0 {
			p.out[i].Classes, p.classes = slices.Clone(classes), slices.Clone(classes)
		}
	}
}

// Positive returns the class that a binary model counts as positive, or "" where the model does not say.
func (p *Predictor) Positive() string { return p.positive }

// Task returns the task that the model was trained for, or "" where it does not say.
func (p *Predictor) Task() assay.Task { return p.task }

// Fields returns what the model takes, in order, as fields of a table. An ONNX model with a single matrix input, as exporters write it,
// has one field for the whole matrix; a model of another format has those of its columns, where it names them.
func (p *Predictor) Fields() []assay.Field {
	out := []assay.Field{}
	for i := range p.in {
		if p.format == FormatONNX {
			out = append(out, p.in[i].field())
			continue
		}
		for _, c := range p.in[i].Columns {
			typ := assay.TypeNumber
			if c.Categories.Text() {
				typ = assay.TypeString
			}
			out = append(out, assay.Field{Name: c.Name, Type: typ})
		}
	}
	return out
}

// Cautions tells where the evaluator follows the specification of ONNX and ONNX Runtime does not, node by node.
func (p *Predictor) Cautions() []string {
	if p.program == nil {
		return nil
	}
	return slices.Clone(p.program.cautions)
}

// Close gives back what an Evaluator holds; no session may be in use. A model that this package evaluates holds nothing.
func (p *Predictor) Close() error {
	if c, ok := p.engine.(io.Closer); ok {
		return c.Close()
	}
	return nil
}

// Program returns the graph of an ONNX model that this package evaluates, and nil for any other.
func (p *Predictor) Program() *Program { return p.program }

// A Session runs a Predictor again and again without allocating, as long as the shapes of the inputs stay the same and the outputs
// are numbers. It belongs to one goroutine at a time.
type Session struct {
	p       *Predictor
	m       memory
	inputs  []Tensor
	in, out []*Tensor
}

// Session returns a session, used before where there is one. Close gives it back.
func (p *Predictor) Session() *Session {
	if s, ok := p.sessions.Get().(*Session); ok {
		return s
	}
	s := &Session{p: p, inputs: make([]Tensor, len(p.in)), in: make([]*Tensor, len(p.in)), out: make([]*Tensor, len(p.out))}
	s.m.limit = p.limits.RunBytes
	return s
}

// Close gives the session back to its Predictor. Its tensors must not be used any more.
func (s *Session) Close() {
	clear(s.in)
	clear(s.out)
	s.p.sessions.Put(s)
}

// Input returns the i-th input in the given shape, for the caller to fill before Run: every element of the slice that its type
// names, as its content is what an earlier run left there. Errors are Invalid: a shape that is not the declared one, or too large.
func (s *Session) Input(i int, shape ...int) (*Tensor, error) {
	port := &s.p.in[i]
	n := 1
	fits := port.Shape == nil || len(port.Shape) == len(shape)
	for j, d := range shape {
		fits = fits && d >= 0 && (port.Shape == nil || port.Shape[j] < 0 || port.Shape[j] == d)
		if d > 0 && n > int(s.p.limits.RunBytes)/d {
			return nil, assay.Errorf(assay.Invalid, "input %q: shape %s has too many elements", port.Name, shapeString(shape))
		}
		n *= max(d, 0)
	}
	if !fits {
		return nil, assay.Errorf(assay.Invalid, "input %q has shape %s, the model takes %s", port.Name, shapeString(shape), portShape(port.Shape))
	}
	if int64(n)*port.Type.elementBytes() > s.p.limits.RunBytes {
		return nil, assay.Errorf(assay.Invalid, "input %q: shape %s has too many elements", port.Name, shapeString(shape))
	}
	t := &s.inputs[i]
	t.Type, t.Shape = port.Type, append(t.Shape[:0], shape...)
	switch port.Type {
	case Float32:
		t.Floats = sized(t.Floats, n)
	case Float64:
		t.Doubles = sized(t.Doubles, n)
	case String:
		t.Strings = sized(t.Strings, n)
	default:
		t.Ints = sized(t.Ints, n)
	}
	s.in[i] = t
	return t, nil
}

func sized[T any](v []T, n int) []T {
	if cap(v) < n {
		return make([]T, n)
	}
	return v[:n]
}

func portShape(shape []int) string {
	dims := make([]dim, len(shape))
	for i, d := range shape {
		dims[i].size = int64(d)
	}
	return dimsString(dims)
}

// Run computes the outputs from the inputs, all of which must have been filled since the last Run. Errors are Invalid.
func (s *Session) Run() error { return s.RunContext(context.Background()) }

// RunContext is Run, which an Evaluator ends early when the context does. This package itself does not look: its runs are short.
func (s *Session) RunContext(ctx context.Context) error {
	for i, t := range s.in {
		if t == nil {
			return assay.Errorf(assay.Invalid, "input %q is missing", s.p.in[i].Name)
		}
	}
	s.m.reset()
	s.m.ctx = ctx
	err := s.p.engine.execute(&s.m, s.in, s.out)
	s.m.ctx = nil
	clear(s.in)
	return err
}

// Output returns the i-th output of the last Run. It is overwritten by the next one, and may share its elements with an input.
func (s *Session) Output(i int) *Tensor { return s.out[i] }

// blockRows is the usual Predictor.block.
const blockRows = 1024

// Predict runs the model on the rows of a frame. An input takes the column of its name, a matrix input the columns that the model
// names or else the frame's columns in their order; columns that the model does not know are ignored. A missing string is handed
// over as "", a missing number as NaN; an integer input refuses missing values. It refuses, naming all of them, columns that are
// absent or of another type.
func (p *Predictor) Predict(x assay.Frame) (Prediction, error) {
	return p.PredictParallel(context.Background(), x, 1)
}

// PredictParallel is Predict on up to that many goroutines, with the same result at any number of them. Cancelling the context stops
// it.
func (p *Predictor) PredictParallel(ctx context.Context, x assay.Frame, workers int) (Prediction, error) {
	n := x.Rows()
	if n == 0 {
		return Prediction{Classes: p.Classes()}, nil
	}
	parts := make([]Prediction, p.blocks(n))
	err := p.eachBlock(ctx, x, workers, func(i int, s *Session, lo, hi int) (err error) {
		parts[i], err = p.interpret(s.out, hi-lo)
		return err
	})
	if err != nil {
		return Prediction{}, err
	}
	return joinPredictions(parts, n), nil
}

// eachBlock calls f for every block on up to that many goroutines and returns the error of the first block that has one.
func eachBlock(ctx context.Context, blocks, workers int, f func(int) error) error {
	workers = min(max(workers, 1), blocks)
	if workers == 1 {
		for i := range blocks {
			if err := ctx.Err(); err != nil {
				return err
			}
			if err := f(i); err != nil {
				return err
			}
		}
		return nil
	}
	errs := make([]error, blocks)
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for i := w; i < blocks && ctx.Err() == nil; i += workers {
				errs[i] = f(i)
			}
		})
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return ctx.Err()
}

func joinPredictions(parts []Prediction, n int) Prediction {
	if len(parts) == 1 {
		return parts[0]
	}
	out := Prediction{Classes: parts[0].Classes}
	if parts[0].Labels != nil {
		out.Labels = make([]int32, 0, n)
	}
	for _, part := range parts {
		out.Labels = append(out.Labels, part.Labels...)
		out.Proba = append(out.Proba, part.Proba...)
		out.Values = append(out.Values, part.Values...)
		out.Clipped += part.Clipped
	}
	return out
}

// numbered returns the class names "0" to "k-1".
func numbered(k int) []string {
	out := make([]string, k)
	for i := range out {
		out[i] = strconv.Itoa(i)
	}
	return out
}

// blocks is in how many parts n rows are evaluated.
func (p *Predictor) blocks(n int) int {
	if !p.rowwise {
		return 1
	}
	return (n + p.block - 1) / p.block
}

// eachBlock evaluates the rows of x, of which there is at least one, in blocks, and calls fn with the number of each and the session that has
// evaluated its rows from lo to hi.
func (p *Predictor) eachBlock(ctx context.Context, x assay.Frame, workers int, fn func(i int, s *Session, lo, hi int) error) error {
	binding, err := p.bind(x)
	if err != nil {
		return err
	}
	n, size := x.Rows(), x.Rows()
	if p.rowwise {
		size = min(size, p.block)
	}
	return eachBlock(ctx, p.blocks(n), workers, func(i int) error {
		s := p.Session()
		defer s.Close()
		lo, hi := i*size, min((i+1)*size, n)
		if err := binding.fill(s, lo, hi); err != nil {
			return err
		}
		if err := s.RunContext(ctx); err != nil {
			return err
		}
		return fn(i, s, lo, hi)
	})
}
