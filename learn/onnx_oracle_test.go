package learn

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/assay-ml/assay/internal/assaytest"
)

// elementTypes are the types of elements by the names of oracle files.
func elementTypes() map[string]ElementType {
	return map[string]ElementType{
		"float32": Float32, "float64": Float64, "string": String, "bool": Bool, "int64": Int64, "int32": Int32, "int16": Int16, "int8": Int8,
		"uint32": Uint32, "uint16": Uint16, "uint8": Uint8,
	}
}

// tensorOf makes a tensor of an array of an oracle file.
func tensorOf(t testing.TB, a assaytest.Array) *Tensor {
	t.Helper()
	typ, ok := elementTypes()[a.DType]
	if !ok {
		t.Fatalf("element type %q", a.DType)
	}
	out := &Tensor{Type: typ, Shape: a.Shape, Ints: a.Ints, Strings: a.Strings}
	if typ == Float64 {
		out.Doubles = a.Floats
	}
	if typ == Float32 {
		out.Floats = make([]float32, len(a.Floats))
		for i, v := range a.Floats {
			out.Floats[i] = float32(v)
		}
	}
	return out
}

// arrayOf is the other direction.
func arrayOf(t *Tensor) assaytest.Array {
	out := assaytest.Array{Shape: t.Shape, Ints: t.Ints, Strings: t.Strings, Floats: t.Doubles}
	for _, v := range t.Floats {
		out.Floats = append(out.Floats, float64(v))
	}
	if t.Keys != nil {
		out.Keys = keyStrings(t.Keys)
	}
	return out
}

// TestONNXOracle compares models of other exporters with what ONNX Runtime answered.
func TestONNXOracle(t *testing.T) {
	for _, c := range assaytest.Models(t, "oracle/onnx") {
		t.Run(c.Name, func(t *testing.T) {
			p, err := LoadONNX(c.Model)
			if err != nil {
				t.Fatal(err)
			}
			inputs := map[string]*Tensor{}
			for k, v := range c.Inputs {
				inputs[k] = tensorOf(t, v)
			}
			got, err := p.Run(inputs)
			if err != nil {
				t.Fatal(err)
			}
			for k, want := range c.Outputs {
				if diff := want.Differs(arrayOf(got[k]), c.Tolerance); diff != "" {
					t.Errorf("output %s: %s", k, diff)
				}
			}
		})
	}
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
