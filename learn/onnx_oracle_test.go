package learn

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/assay-ml/assay/internal/assaytest"
)

type oracleTensor struct {
	DType string          `json:"dtype"`
	Type  string          `json:"type"`
	Shape []int           `json:"shape"`
	Data  json.RawMessage `json:"data"`
	Keys  []any           `json:"keys"`
	Name  string          `json:"name"` // where outputs are a list
}

type oracleModel struct {
	Header struct {
		Tolerance assaytest.Tolerance `json:"tolerance"`
	} `json:"header"`
	Inputs  map[string]oracleTensor `json:"inputs"`
	Outputs oracleOutputs           `json:"outputs"`
}

// oracleOutputs reads outputs from a list with names or from an object.
type oracleOutputs map[string]oracleTensor

func (o *oracleOutputs) UnmarshalJSON(b []byte) error {
	*o = oracleOutputs{}
	if b[0] == '{' {
		return json.Unmarshal(b, (*map[string]oracleTensor)(o))
	}
	var list []oracleTensor
	err := json.Unmarshal(b, &list)
	for _, t := range list {
		(*o)[t.Name] = t
	}
	return err
}

func (o oracleTensor) tensor(t *testing.T) *Tensor {
	t.Helper()
	types := map[string]ElementType{"float32": Float32, "float64": Float64, "int64": Int64, "string": String, "bool": Bool, "int32": Int32}
	typ, ok := types[o.DType]
	if !ok {
		t.Fatalf("element type %q", o.DType)
	}
	out := newTensor(typ, o.Shape...)
	switch {
	case typ == String:
		out.Strings = decode[[]string](t, o.Data)
	case typ.integral():
		out.Ints = decode[[]int64](t, o.Data)
	default:
		for i, v := range assaytest.Floats(t, o.Data) {
			if typ == Float32 {
				out.Floats[i] = float32(v)
			} else {
				out.Doubles[i] = v
			}
		}
	}
	return out
}

// TestONNXOracle compares models of other exporters with what ONNX Runtime answered.
func TestONNXOracle(t *testing.T) {
	dir := filepath.Join(assaytest.Root(), "testdata", "oracle", "onnx")
	files, err := filepath.Glob(filepath.Join(dir, "*.onnx"))
	if err != nil || len(files) == 0 {
		t.Fatal("no model", err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".onnx")
		if strings.HasPrefix(name, "refuse_") {
			continue
		}
		t.Run(name, func(t *testing.T) {
			var o oracleModel
			b, err := os.ReadFile(strings.TrimSuffix(file, ".onnx") + ".json")
			if err != nil {
				t.Fatal(err)
			}
			if err := json.Unmarshal(b, &o); err != nil {
				t.Fatal(err)
			}
			if b, err = os.ReadFile(file); err != nil {
				t.Fatal(err)
			}
			p, err := LoadONNX(b)
			if err != nil {
				t.Fatal(err)
			}
			inputs := map[string]*Tensor{}
			for k, v := range o.Inputs {
				inputs[k] = v.tensor(t)
			}
			got, err := p.Run(inputs)
			if err != nil {
				t.Fatal(err)
			}
			for k, want := range o.Outputs {
				compareTensor(t, k, got[k], want, o.Header.Tolerance)
			}
		})
	}
}

func compareTensor(t *testing.T, name string, got *Tensor, want oracleTensor, tol assaytest.Tolerance) {
	t.Helper()
	if want.Keys != nil {
		if got.Keys == nil {
			t.Fatalf("output %s is not a sequence of maps", name)
		}
		want.DType = "float32"
	}
	if want.DType == "string" || want.DType == "int64" {
		w := want.tensor(t)
		if !sameShape(w.Shape, got.Shape) {
			t.Errorf("output %s has shape %v, want %v", name, got.Shape, w.Shape)
		}
		for i, v := range keyStrings(w) {
			if keyStrings(got)[i] != v {
				t.Errorf("output %s[%d] is %v, want %v", name, i, keyStrings(got)[i], v)
				return
			}
		}
		return
	}
	x, err := got.toDoubles(nil)
	if err != nil {
		t.Fatal(err)
	}
	var w []float64
	if want.Keys != nil {
		for i, k := range want.Keys {
			if s := keyStrings(got.Keys)[i]; s != strings.Trim(string(mustJSON(t, k)), `"`) {
				t.Errorf("key %d is %v, want %v", i, s, k)
			}
		}
		for _, row := range decode[[]json.RawMessage](t, want.Data) {
			w = append(w, assaytest.Floats(t, row)...)
		}
	} else {
		w = assaytest.Floats(t, want.Data)
		if !sameShape(want.Shape, got.Shape) {
			t.Errorf("output %s has shape %v, want %v", name, got.Shape, want.Shape)
		}
	}
	if len(w) != len(x) {
		t.Fatalf("output %s has %d elements, want %d", name, len(x), len(w))
	}
	for i := range w {
		if !tol.Near(x[i], w[i]) {
			t.Errorf("output %s[%d] is %v, want %v", name, i, x[i], w[i])
			return
		}
	}
}

func mustJSON(t *testing.T, v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestONNXRefusals(t *testing.T) {
	for name, want := range map[string]string{
		"refuse_cycle": "cycle", "refuse_missing_input": "nothing produces", "refuse_truncated": "at byte", "refuse_unknown_domain_op": "domain",
	} {
		b, err := os.ReadFile(filepath.Join(assaytest.Root(), "testdata", "oracle", "onnx", name+".onnx"))
		if err != nil {
			t.Fatal(err)
		}
		_, err = LoadONNX(b)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v does not say %q", name, err, want)
		}
		t.Log(err)
	}
}
