package cli

import (
	"context"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"time"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/mlmodel"
	"github.com/assay-ml/assay/internal/pyfunc"
	"github.com/assay-ml/assay/internal/schema"
	"github.com/assay-ml/assay/learn"
)

// PythonConfig says how models run that only Python can load.
type PythonConfig struct {
	Interpreter string   `yaml:"interpreter,omitempty" json:"interpreter,omitempty" jsonschema:"description=a Python that has the model's packages; absent: an environment is made from the model's requirements and kept"`
	Workers     int      `yaml:"workers,omitempty" json:"workers,omitempty" jsonschema:"description=processes a version,default=2,minimum=1,maximum=64"`
	Memory      string   `yaml:"memory,omitempty" json:"memory,omitempty" jsonschema:"description=a worker that holds more is killed; such as 2GiB,default=2GiB"`
	Timeout     string   `yaml:"timeout,omitempty" json:"timeout,omitempty" jsonschema:"description=a worker that takes longer is killed; such as 30s,default=30s"`
	BatchRows   int      `yaml:"batch_rows,omitempty" json:"batch_rows,omitempty" jsonschema:"description=rows of waiting requests that go to a worker together,default=1024,minimum=1,maximum=1048576"`
	BatchWait   string   `yaml:"batch_wait,omitempty" json:"batch_wait,omitempty" jsonschema:"description=how long a request waits for others to go with; such as 2ms; absent: it does not"`
	Env         []string `yaml:"env,omitempty" json:"env,omitempty" jsonschema:"description=environment variables that workers get; no others are passed but those that Python itself needs"`
}

// limits reads the settings, all of them.
func (c *PythonConfig) limits() (o pyfunc.Options, err error) {
	if c == nil {
		return o, nil
	}
	var bad assay.Problems
	o.Workers, o.BatchRows = c.Workers, c.BatchRows
	if o.MemoryBytes, err = bytesFlag("serve.python.memory", c.Memory); err != nil {
		bad.Add("%v", err)
	}
	for _, d := range []struct {
		key, text string
		to        *time.Duration
	}{{"serve.python.timeout", c.Timeout, &o.Timeout}, {"serve.python.batch_wait", c.BatchWait, &o.BatchWait}} {
		s, err := seconds(d.key, d.text)
		if err != nil {
			bad.Add("%v", err)
		}
		*d.to = time.Duration(s * float64(time.Second))
	}
	return o, bad.Err(assay.Invalid, "serve.python cannot be used")
}

// directory reads the MLflow directory of a model; nil for any other.
func (s *session) directory(ctx context.Context, f assay.File) (*mlmodel.Model, error) {
	if f.Name != mlmodel.ArchiveName {
		return nil, nil
	}
	b, err := s.modelBytes(ctx, f)
	if err != nil {
		return nil, err
	}
	return mlmodel.Open(b)
}

// isPython reports whether only Python can evaluate a model.
func isPython(m assay.Model) bool { return m.Flavour == "python_function" }

// workersOf starts the workers of a model for rows of the given fields. The pool is to be closed.
func (s *session) workersOf(ctx context.Context, m assay.Model, fields []assay.Field) (*pyfunc.Pool, []pyfunc.Column, error) {
	dir, err := s.directory(ctx, m.File)
	if err != nil {
		return nil, nil, err
	}
	kinds, err := dir.Kinds(fields)
	if err != nil {
		return nil, nil, err
	}
	o, err := s.p.Serve.Python.limits()
	if err != nil {
		return nil, nil, err
	}
	o.Clock, o.Say = s.Now, s.say
	o.Tensor = dir.Signature.Kind() == "tensors"
	for i, f := range fields {
		c := pyfunc.Column{Name: f.Name, Kind: kinds[i]}
		if n := dir.Nested(f.Name); n != nil {
			c.Typed = n.Typed
		}
		o.Columns = append(o.Columns, c)
	}
	if c := s.p.Serve.Python; c != nil {
		for _, name := range c.Env {
			o.Env = append(o.Env, name+"="+s.Env(name))
		}
		if c.Interpreter != "" {
			o.Python = s.path(c.Interpreter)
		}
	}
	if o.Python == "" {
		requirements, err := dir.Requirements()
		if err != nil {
			return nil, nil, err
		}
		cache, err := filepath.Abs(filepath.Join(s.p.Path(s.p.Store), "cache", "python"))
		if err != nil {
			return nil, nil, assay.Errorf(assay.Unavailable, "the folder of environments is not known: %w", err)
		}
		if o.Python, err = pyfunc.Environment(ctx, cache, dir.Python.Version, requirements, s.say); err != nil {
			return nil, nil, err
		}
	}
	// A fresh copy each time: what runs is what has the digest, whatever happened to an earlier copy.
	if o.Dir, err = os.MkdirTemp("", "assay-model-"); err != nil {
		return nil, nil, assay.Errorf(assay.Unavailable, "a temporary folder cannot be made: %w", err)
	}
	o.Own = true
	if err := dir.Extract(o.Dir); err != nil {
		_ = os.RemoveAll(o.Dir)
		return nil, nil, err
	}
	pool, err := pyfunc.Start(ctx, o)
	return pool, o.Columns, err
}

// validationRows are the rows of the validation part of the model's split, in the columns by which it is served.
func (s *session) validationRows(ctx context.Context, m assay.Model) (assay.Frame, error) {
	part, err := s.part(ctx, m.Split, assay.Valid)
	if err != nil {
		return nil, err
	}
	fields, _, err := s.servedFields(ctx, m)
	if err != nil {
		return nil, err
	}
	return part.Frame(ctx, fieldNames(fields), "")
}

// givesProbabilities reports whether a classifier answers a number a class: as its signature says, or else as it answers a few rows.
func (s *session) givesProbabilities(ctx context.Context, m assay.Model, dir *mlmodel.Model) (bool, error) {
	if several, known := dir.Signature.Probabilities(); known {
		return several, nil
	}
	x, err := s.validationRows(ctx, m)
	if err != nil {
		return false, err
	}
	rows := make([]int, min(x.Rows(), 3))
	for i := range rows {
		rows[i] = i
	}
	p, err := s.predictions(ctx, m, x.Take(rows))
	return len(p.Proba) > 0, err
}

// offlineRows is how many rows of a table a worker gets at once.
const offlineRows = 4096

// A pythonModel answers the rows of tables by Python workers.
type pythonModel struct {
	pool    *pyfunc.Pool
	fields  []assay.Field
	columns []pyfunc.Column
	classes []string
}

// pythonModel starts the workers of a model. It is to be closed.
func (s *session) pythonModel(ctx context.Context, m assay.Model) (*pythonModel, error) {
	fields, _, err := s.servedFields(ctx, m)
	if err != nil {
		return nil, err
	}
	pool, columns, err := s.workersOf(ctx, m, fields)
	if err != nil {
		return nil, err
	}
	return &pythonModel{pool, fields, columns, m.Classes}, nil
}

func (p *pythonModel) Close() error { return p.pool.Close() }

// PredictParallel answers the rows of x, which has the model's columns among others, one batch after the other.
func (p *pythonModel) PredictParallel(ctx context.Context, x assay.Frame, _ int) (learn.Prediction, error) {
	out := learn.Prediction{Classes: p.classes}
	x, err := signed(x, p.fields)
	if err != nil {
		return out, err
	}
	at, raw := make([]int, len(p.fields)), make([]bool, len(p.fields))
	for i := range at {
		at[i], raw[i] = i, p.columns[i].Kind == "bytes"
	}
	for lo, n := 0, x.Rows(); lo < n; lo += offlineRows {
		rows := frameRows{x, raw, lo, min(n, lo+offlineRows)}
		a, err := p.pool.Predict(ctx, rows, at, nil)
		if err != nil {
			return out, err
		}
		if a.Rows != rows.Rows() {
			return out, assay.Errorf(assay.Rejected, "the model answered %d rows for %d", a.Rows, rows.Rows())
		}
		labels, proba, values, err := pyfunc.Interpret(a, p.classes)
		if err != nil {
			return out, err
		}
		for i, l := range labels {
			if l < 0 {
				return out, assay.Errorf(assay.Rejected, "the model answered a class in row %d that is none of the target's", lo+i+1)
			}
		}
		for k, row := len(p.classes), 0; row < len(proba); row += k {
			learn.Normalise(proba[row : row+k])
		}
		out.Labels, out.Proba, out.Values = append(out.Labels, labels...), append(out.Proba, proba...), append(out.Values, values...)
	}
	return out, nil
}

// frameRows are rows lo to hi of a table, as a request has them; bytes says which columns the model takes as such.
type frameRows struct {
	x      assay.Frame
	bytes  []bool
	lo, hi int
}

func (f frameRows) Rows() int { return f.hi - f.lo }

func (f frameRows) Missing(row, i int) bool { return f.x[i].Missing(f.lo + row) }

func (f frameRows) Float(row, i int) float64 {
	if f.x[i].Floats == nil {
		return math.NaN()
	}
	return f.x[i].Floats[f.lo+row]
}

func (f frameRows) Int(row, i int) (int64, bool) {
	if f.x[i].Ints != nil && !f.x[i].Missing(f.lo+row) {
		return f.x[i].Ints[f.lo+row], true
	}
	v := f.Float(row, i)
	if !(v == math.Trunc(v) && v >= -(1<<63) && v < 1<<63) {
		return 0, false
	}
	return int64(v), f.x[i].Type == assay.TypeInteger || f.x[i].Type == assay.TypeBoolean
}

func (f frameRows) Text(row, i int) ([]byte, bool) {
	c := &f.x[i]
	if c.Codes == nil || c.Missing(f.lo+row) {
		return nil, false
	}
	return []byte(c.Levels[c.Codes[f.lo+row]]), true
}

// Raw is the JSON of a nested value, or the base64 of bytes: what a request would hold.
func (f frameRows) Raw(row, i int) ([]byte, bool) {
	if f.Missing(row, i) {
		return nil, false
	}
	switch v := value(&f.x[i], f.lo+row).(type) {
	case json.RawMessage:
		return v, true
	case string:
		if f.bytes[i] {
			return []byte(v), true
		}
		return schema.AppendJSONString(nil, []byte(v)), true
	default:
		text, err := json.Marshal(v)
		return text, err == nil
	}
}
