package ort

import (
	"context"
	"errors"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	onnxruntime "github.com/yalue/onnxruntime_go"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/learn"
)

// A model is a session of ONNX Runtime. It implements learn.Evaluator.
type model struct {
	library *Library
	session *onnxruntime.DynamicAdvancedSession
	in, out []learn.Port
	once    sync.Once
	numbers []atomic.Bool // which outputs are single numbers, although the model does not say so; found when one came
}

// start makes a session that answers the given outputs.
func (l *Library) start(b []byte, in, out []learn.Port) (learn.Evaluator, error) {
	o, err := options()
	if err != nil {
		return nil, assay.Errorf(assay.Unavailable, "ONNX Runtime %s does not take its settings: %w", l.version, err)
	}
	defer func() { _ = o.Destroy() }() // it was made, so it can be given back
	s, err := onnxruntime.NewDynamicAdvancedSessionWithONNXData(b, names(in), names(out), o)
	if err != nil {
		return nil, l.refused(err)
	}
	l.open.Add(1)
	return &model{library: l, session: s, in: in, out: out, numbers: make([]atomic.Bool, len(out))}, nil
}

// options are those of every session: one thread that nobody waits for in a loop, and no log of its own, which could hold values.
func options() (*onnxruntime.SessionOptions, error) {
	o, err := onnxruntime.NewSessionOptions()
	if err != nil {
		return nil, err
	}
	err = errors.Join(
		o.SetIntraOpNumThreads(1), o.SetInterOpNumThreads(1), o.SetExecutionMode(onnxruntime.ExecutionModeSequential),
		o.SetLogSeverityLevel(onnxruntime.LoggingLevelFatal), o.AddSessionConfigEntry("session.intra_op.allow_spinning", "0"),
	)
	if err != nil {
		_ = o.Destroy()
		return nil, err
	}
	return o, nil
}

func names(ports []learn.Port) []string {
	out := make([]string, len(ports))
	for i := range ports {
		out[i] = ports[i].Name
	}
	return out
}

// refused is the error of a model that cannot be loaded. Its text speaks of the model alone.
func (l *Library) refused(err error) error {
	text := strings.TrimPrefix(err.Error(), "Error creating C session: ")
	code := assay.Invalid
	for _, unknown := range []string{"is not a registered function/op", "No Op registered", "Could not find an implementation", "NOT_IMPLEMENTED", "No opset import for domain", "Unsupported model IR version", "is till opset"} {
		if strings.Contains(text, unknown) {
			code = assay.Unimplemented
		}
	}
	const most = 500
	if len(text) > most {
		text = text[:most] + "…"
	}
	return assay.Errorf(code, "ONNX Runtime %s does not take the model: %s", l.version, strings.TrimSpace(text))
}

// Close gives back what the session holds. No Evaluate may be running.
func (m *model) Close() error {
	var err error
	m.once.Do(func() {
		err = m.session.Destroy()
		m.library.open.Add(-1)
	})
	return err
}

// Evaluate implements learn.Evaluator. A run ends at its next node when the context does.
func (m *model) Evaluate(ctx context.Context, in []*learn.Tensor) ([]*learn.Tensor, error) {
	given := make([]onnxruntime.Value, 0, len(in))
	defer func() { destroy(given) }()
	for i, t := range in {
		v, err := valueOf(t)
		if err != nil {
			return nil, assay.Errorf(assay.Invalid, "input %q %w", m.in[i].Name, err)
		}
		given = append(given, v)
	}
	answers := make([]onnxruntime.Value, len(m.out))
	defer func() { destroy(answers) }()
	for i := range m.out {
		// The library that is used in between makes room for any output but a single number.
		if m.out[i].Shape != nil && len(m.out[i].Shape) == 0 && !m.out[i].Keys || m.numbers[i].Load() {
			v, err := emptyScalar(m.out[i].Type)
			if err != nil {
				return nil, assay.Errorf(assay.Invalid, "output %q %w", m.out[i].Name, err)
			}
			answers[i] = v
		}
	}
	err := m.run(ctx, given, answers)
	for range answers { // each run can come upon one more
		i := slices.IndexFunc(answers, func(v onnxruntime.Value) bool { return v != nil && none(v) })
		if err == nil || i < 0 {
			break
		}
		v, no := emptyScalar(m.out[i].Type)
		if no != nil {
			return nil, assay.Errorf(assay.Invalid, "output %q %w", m.out[i].Name, no)
		}
		answers[i] = v
		if err = m.run(ctx, given, answers); err == nil {
			m.numbers[i].Store(true)
		}
	}
	if err != nil {
		return nil, err
	}
	out := make([]*learn.Tensor, len(answers))
	for i, v := range answers {
		t, err := tensorOf(v)
		if err != nil {
			return nil, assay.Errorf(assay.Invalid, "output %q %w", m.out[i].Name, err)
		}
		out[i] = t
	}
	return out, nil
}

// run evaluates, and stops when the context ends.
func (m *model) run(ctx context.Context, given, answers []onnxruntime.Value) error {
	if ctx.Done() == nil {
		return m.failed(m.session.Run(given, answers))
	}
	o, err := onnxruntime.NewRunOptions()
	if err != nil {
		return m.failed(err)
	}
	told := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		_ = o.Terminate() // a run that does not hear it ends by itself
		close(told)
	})
	err = m.session.RunWithOptions(given, answers, o)
	if !stop() {
		<-told // the options are in use until then
	}
	_ = o.Destroy()
	if err != nil && ctx.Err() != nil {
		return ctx.Err()
	}
	return m.failed(err)
}

// failed is the error of a run: which node failed, and not why, because that may name a value of the rows.
func (m *model) failed(err error) error {
	if err == nil {
		return nil
	}
	text := strings.TrimPrefix(err.Error(), "Error running network: ")
	if at, _, found := strings.Cut(text, "Status Message:"); found {
		return assay.Errorf(assay.Invalid, "ONNX Runtime %s: %s", m.library.version, strings.TrimSpace(at))
	}
	return assay.Errorf(assay.Invalid, "ONNX Runtime %s did not evaluate the rows", m.library.version)
}

// destroy gives values back to the library. There is nothing to do about one that cannot be.
func destroy(values []onnxruntime.Value) {
	for _, v := range values {
		if v != nil && !none(v) {
			_ = v.Destroy()
		}
	}
}

// none reports whether a value is a nil pointer: what the library in between leaves of an output that it cannot make room for.
func none(v onnxruntime.Value) bool { return reflect.ValueOf(v).IsNil() }
