package learn

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/assaytest"
)

// scripted is an Evaluator that gives what a test says.
type scripted struct {
	answer func(in []*Tensor) ([]*Tensor, error)
	closed int
}

func (s *scripted) Evaluate(_ context.Context, in []*Tensor) ([]*Tensor, error) { return s.answer(in) }

func (s *scripted) Close() error { s.closed++; return nil }

// TestOpenWith: the ports of a model are those that this package finds, whoever evaluates it, and what does not fit them is refused.
func TestOpenWith(t *testing.T) {
	c := assaytest.Model(t, "oracle/onnx", "logreg_binary_zipmap")
	e := &scripted{}
	p, err := OpenWith(c.Model, Limits{}, func(in, out []Port) (Evaluator, error) {
		if len(in) != 1 || len(out) != 2 || !out[1].Keys {
			t.Errorf("ports %v %v", in, out)
		}
		return e, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	own, err := Open(c.Model, Limits{})
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(p.Classes(), own.Classes()) || p.rowwise != own.rowwise || p.Program() != nil {
		t.Errorf("classes %v of %v, rows alone: %v of %v", p.Classes(), own.Classes(), p.rowwise, own.rowwise)
	}
	s := p.Session()
	defer s.Close()
	in, err := s.Input(0, 2, p.in[0].Shape[1])
	if err != nil {
		t.Fatal(err)
	}
	clear(in.Floats)
	label := &Tensor{Type: Int64, Shape: []int{2}, Ints: []int64{0, 1}}
	scores := func(keys ...int64) *Tensor {
		return &Tensor{Type: Float32, Shape: []int{2, len(keys)}, Floats: []float32{1, 2, 3, 4, 5, 6}[:2*len(keys)], Keys: &Tensor{Type: Int64, Shape: []int{len(keys)}, Ints: keys}}
	}
	for _, x := range []struct {
		says string
		out  []*Tensor
		err  error
	}{
		{"", []*Tensor{label, scores(0, 1)}, nil},
		{"", []*Tensor{label, scores(1, 0)}, nil},
		{"1 outputs of 2", []*Tensor{label}, nil},
		{"lack a class", []*Tensor{label, scores(0, 2)}, nil},
		{"3 keys for 2 classes", []*Tensor{label, scores(0, 1, 2)}, nil},
		{"it holds float", []*Tensor{{Type: Float32, Shape: []int{2}, Floats: []float32{0, 1}}, scores(0, 1)}, nil},
		{"holds 1 elements", []*Tensor{{Type: Int64, Shape: []int{2}, Ints: []int64{0}}, scores(0, 1)}, nil},
		{"a sequence of maps", []*Tensor{label, {Type: Float32, Shape: []int{2, 2}, Floats: []float32{1, 2, 3, 4}}}, nil},
		{"it broke", nil, errors.New("it broke")},
	} {
		e.answer = func([]*Tensor) ([]*Tensor, error) { return x.out, x.err }
		if _, err := s.Input(0, 2, p.in[0].Shape[1]); err != nil {
			t.Fatal(err)
		}
		err := s.Run()
		if x.says == "" {
			if err != nil {
				t.Error(err)
				continue
			}
			if got := s.Output(1); !slices.Equal(got.Keys.Ints, []int64{0, 1}) || len(got.Floats) != 4 {
				t.Errorf("keys %v, scores %v", got.Keys.Ints, got.Floats)
			}
			continue
		}
		if err == nil || !strings.Contains(err.Error(), x.says) {
			t.Errorf("%v does not say %q", err, x.says)
		}
	}
	// The columns follow their keys.
	swapped := scores(1, 0)
	if err := swapped.arrange([]string{"0", "1"}); err != nil || !slices.Equal(swapped.Floats, []float32{2, 1, 4, 3}) {
		t.Errorf("%v %v", swapped.Floats, err)
	}
	if err := p.Close(); err != nil || e.closed != 1 {
		t.Errorf("closed %d times: %v", e.closed, err)
	}
	if err := own.Close(); err != nil {
		t.Error(err)
	}
	if _, err := OpenWith(c.Model, Limits{RunBytes: 8}, func(_, _ []Port) (Evaluator, error) { return nil, errors.New("not loaded") }); err == nil || err.Error() != "not loaded" {
		t.Error(err)
	}
}

// FuzzOpenWith feeds damaged models to the reader of outlines; what evaluates them answers with tensors of the declared kinds and others.
func FuzzOpenWith(f *testing.F) {
	for _, folder := range []string{"oracle/onnx", "onnxruntime"} {
		files, err := filepath.Glob(filepath.Join(assaytest.Root(), "testdata", folder, "*.onnx"))
		if err != nil || len(files) == 0 {
			f.Fatal("no model", err)
		}
		for _, file := range files {
			b, err := os.ReadFile(file)
			if err != nil {
				f.Fatal(err)
			}
			if len(b) < 3000 {
				f.Add(b, byte(len(b)))
			}
		}
	}
	f.Fuzz(func(t *testing.T, b []byte, kind byte) {
		e := &scripted{}
		p, err := OpenWith(b, Limits{FileBytes: 1 << 20, TensorBytes: 1 << 22, RunBytes: 1 << 20}, func(_, _ []Port) (Evaluator, error) { return e, nil })
		if err != nil || p.Program() != nil || sniff(b) != FormatONNX {
			return
		}
		const rows = 3
		e.answer = func([]*Tensor) ([]*Tensor, error) {
			var out []*Tensor
			for i, port := range p.out {
				typ := port.Type
				if !typ.known() || kind>>(i%8)&1 == 1 {
					typ = Float32
				}
				x := newTensor(typ, rows, 2)
				if port.Keys {
					x.Keys = newTensor([]ElementType{Int64, String}[kind%2], 2)
				}
				out = append(out, x)
			}
			return out, nil
		}
		s := p.Session()
		defer s.Close()
		for i, in := range p.in {
			shape := make([]int, len(in.Shape))
			for j, d := range in.Shape {
				if shape[j] = d; d < 0 {
					shape[j] = rows
				}
			}
			if _, err := s.Input(i, shape...); err != nil {
				return
			}
		}
		if s.Run() == nil {
			_, err := p.interpret(s.out, rows)
			if code := assay.CodeOf(err); err != nil && code != assay.Invalid {
				t.Fatalf("%s: %v", code, err)
			}
		}
	})
}
