package learn

import (
	"context"
	"fmt"
	"math"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/assaytest"
)

// readOracleONNX returns a model of the oracle with its inputs and the outputs that ONNX Runtime gave.
func readOracleONNX(t testing.TB, name string) (b []byte, o assaytest.ModelCase) {
	t.Helper()
	o = assaytest.Model(t, "oracle/onnx", name)
	return o.Model, o
}

// fill puts a tensor into the i-th input of a session.
func fill(t testing.TB, s *Session, i int, from *Tensor) {
	t.Helper()
	in, err := s.Input(i, from.Shape...)
	if err != nil {
		t.Fatal(err)
	}
	copy(in.Floats, from.Floats)
	copy(in.Doubles, from.Doubles)
	copy(in.Ints, from.Ints)
	copy(in.Strings, from.Strings)
}

// TestSessionGivesWhatRunGives runs each model twice through one session, the second time after other rows.
func TestSessionGivesWhatRunGives(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(assaytest.Root(), "testdata", "oracle", "onnx", "*.json"))
	if err != nil || len(files) == 0 {
		t.Fatal("no model", err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".json")
		b, o := readOracleONNX(t, name)
		p, err := Open(b, Limits{})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		inputs := map[string]*Tensor{}
		for k, v := range o.Inputs {
			inputs[k] = tensorOf(t, v)
		}
		want, err := p.Program().Run(inputs)
		if err != nil {
			t.Fatal(name, err)
		}
		s := p.Session()
		for round := range 3 {
			for i, in := range p.Inputs() {
				fill(t, s, i, inputs[in.Name])
			}
			if err := s.Run(); err != nil {
				t.Fatal(name, err)
			}
			for i, out := range p.Outputs() {
				got, w := s.Output(i), want[out.Name]
				if !sameShape(got.Shape, w.Shape) || !reflect.DeepEqual(exact(got), exact(w)) || !reflect.DeepEqual(got.Keys, w.Keys) {
					t.Errorf("%s, round %d: output %s differs from that of Run", name, round, out.Name)
				}
			}
		}
		s.Close()
	}
}

// exact makes elements comparable, NaN included.
func exact(t *Tensor) []any {
	var out []any
	for _, v := range t.Strings {
		out = append(out, v)
	}
	for _, v := range t.Ints {
		out = append(out, v)
	}
	for _, v := range t.Floats {
		out = append(out, math.Float32bits(v))
	}
	for _, v := range t.Doubles {
		out = append(out, math.Float64bits(v))
	}
	return out
}

// TestSessionAllocatesNothing guards the serving path: one row through a session takes no memory.
func TestSessionAllocatesNothing(t *testing.T) {
	for _, name := range []string{
		"logreg_binary", "logreg_binary_zipmap", "forest_binary", "xgb_multiclass", "lgbm_binary", "linear_regression", "gbr",
		"titanic_mixed_logreg", "titanic_mixed_forest_zipmap", "impute_robust_pca_logreg", "mlp_multiclass", "kbins_logreg", "ordinal_strings_tree",
	} {
		b, o := readOracleONNX(t, name)
		p, err := Open(b, Limits{})
		if err != nil {
			t.Fatal(name, err)
		}
		rows := make([]*Tensor, len(p.in))
		for i, in := range p.in {
			all := tensorOf(t, o.Inputs[in.Name])
			if rows[i], err = sliceAxis(nil, all, 0, 0, 1, 1); err != nil {
				t.Fatal(err)
			}
		}
		s := p.Session()
		run := func() {
			for i, row := range rows {
				fill(t, s, i, row)
			}
			if err := s.Run(); err != nil {
				t.Fatal(err)
			}
		}
		run()
		if n := testing.AllocsPerRun(100, run); n != 0 {
			t.Errorf("%s: %v allocations a row", name, n)
		}
	}
}

// TestSessionRefuses checks what is not the declared input.
func TestSessionRefuses(t *testing.T) {
	b, _ := readOracleONNX(t, "logreg_binary")
	p, err := Open(b, Limits{})
	if err != nil {
		t.Fatal(err)
	}
	s := p.Session()
	defer s.Close()
	if _, err := s.Input(0, 3, 2); err == nil || !strings.Contains(err.Error(), `input "X" has shape [3,2], the model takes [?,`) {
		t.Errorf("wrong width: %v", err)
	}
	if _, err := s.Input(0, 1<<40, 10); err == nil || !strings.Contains(err.Error(), "too many elements") {
		t.Errorf("too large: %v", err)
	}
	if err := s.Run(); err == nil || !strings.Contains(err.Error(), `input "X" is missing`) {
		t.Errorf("missing input: %v", err)
	}
}

// TestBlocksGiveWhatAllRowsGive predicts in blocks of five rows on several goroutines.
func TestBlocksGiveWhatAllRowsGive(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(assaytest.Root(), "testdata", "oracle", "onnx", "*.json"))
	if err != nil || len(files) == 0 {
		t.Fatal("no model", err)
	}
	blocked := 0
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".json")
		b, o := readOracleONNX(t, name)
		p, err := Open(b, Limits{})
		if err != nil {
			t.Fatal(name, err)
		}
		if !p.rowwise {
			continue
		}
		frame, ok := frameOf(t, p, o)
		if !ok {
			continue
		}
		blocked++
		p.rowwise = false
		want, err := p.Predict(frame)
		if err != nil {
			t.Fatal(name, err)
		}
		p.rowwise, p.block = true, 5
		for _, workers := range []int{1, 3} {
			got, err := p.PredictParallel(context.Background(), frame, workers)
			if err != nil {
				t.Fatal(name, err)
			}
			if fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("%s: blocks on %d goroutines give another answer", name, workers)
			}
		}
	}
	if blocked < 25 {
		t.Errorf("only %d models run in blocks", blocked)
	}
}

// frameOf makes a table of the inputs of a model that are matrices of numbers or strings.
func frameOf(t *testing.T, p *Predictor, o assaytest.ModelCase) (assay.Frame, bool) {
	var frame assay.Frame
	for _, in := range p.in {
		x := tensorOf(t, o.Inputs[in.Name])
		if len(x.Shape) != 2 || x.Type == Bool || len(p.in) > 1 && x.Shape[1] != 1 {
			return nil, false
		}
		for j := range x.Shape[1] {
			name := in.Name
			if x.Shape[1] > 1 {
				name += strconv.Itoa(j)
			}
			if x.Type == String {
				values := make([]*string, x.Shape[0])
				for i := range values {
					values[i] = &x.Strings[i*x.Shape[1]+j]
				}
				frame = append(frame, textColumn(name, values))
				continue
			}
			c := assay.Column{Name: name, Type: assay.TypeNumber}
			for i := range x.Shape[0] {
				c.Floats = append(c.Floats, x.number(i*x.Shape[1]+j))
			}
			frame = append(frame, c)
		}
	}
	return frame, len(frame) > 0
}

// TestWholeNumbersOfAFrame: an input of whole numbers has those of the frame exactly, or the column is refused with how many values and why.
func TestWholeNumbersOfAFrame(t *testing.T) {
	const wide = 1<<53 + 1
	open := func(typ ElementType) *Predictor {
		b := newGraphBuilder("whole")
		b.graph.inputs = []valueInfo{{name: "id", elem: typ, hasShape: true, dims: []dim{{name: "rows"}, {size: 1}}}}
		ten := b.constant("ten", &Tensor{Type: typ, Shape: []int{1}, Ints: []int64{10}})
		rest := b.node("rest", "", "Mod", []string{"id", ten})
		b.nodeTo("y", "", "Cast", []string{rest}, intAttr("to", int64(Float32)))
		b.output("y", "y", Float32, dim{name: "rows"}, dim{size: 1})
		p, err := Open((&onnxModel{ir: irVersion, opsets: map[string]int64{"": opsetMain}, graph: &b.graph}).encode(), Limits{})
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	column := func(ints []int64, floats ...float64) assay.Frame {
		return assay.Frame{{Name: "id", Type: assay.TypeInteger, Floats: floats, Ints: ints}}
	}
	p := open(Int64)
	got, err := p.Predict(column([]int64{wide, -wide, math.MaxInt64}, wide-1, 1-wide, 1<<63))
	if err != nil || !slices.Equal(got.Values, []float64{3, 7, 7}) {
		t.Errorf("%v, %v", got.Values, err)
	}
	got, err = p.Predict(column(nil, 1<<53, 17))
	if err != nil || !slices.Equal(got.Values, []float64{2, 7}) {
		t.Errorf("%v, %v", got.Values, err)
	}
	for _, c := range []struct {
		typ  ElementType
		x    assay.Frame
		want string
	}{
		{Int64, column(nil, 1<<60, 17, 1<<61), "2 that are beyond 2^53 and there as rounded numbers alone"},
		{Int64, column(nil, math.NaN(), 0.5, 1<<63), "1 that are missing, 1 that are not whole, 1 that are beyond what it can hold"},
		{Int32, column(nil, 1<<31, -1<<31, 5), "which takes int32, cannot be given: 1 that are beyond what it can hold"},
		{Uint8, column(nil, 256, -1, 255), "2 that are beyond what it can hold"},
		{Int32, column([]int64{wide, 1}, wide-1, 1), "1 that are beyond what it can hold"},
	} {
		if _, err := open(c.typ).Predict(c.x); err == nil || !strings.Contains(err.Error(), `column "id"`) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v does not say %q", c.typ, err, c.want)
		}
	}
}
