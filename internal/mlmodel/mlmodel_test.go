package mlmodel

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/schema"
	"github.com/assay-ml/assay/learn"
)

const data = "../../testdata/mlflow"

func open(t testing.TB, name string) *Model {
	t.Helper()
	b, err := Pack(filepath.Join(data, name))
	if err != nil {
		t.Fatal(err)
	}
	m, err := Open(b)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// The file that a flavour names answers, evaluated here, as the library that MLflow calls.
func TestNativeFlavours(t *testing.T) {
	for _, c := range []struct {
		name  string
		proba bool
		tol   float64
	}{{"onnx", true, 1e-6}, {"xgboost", false, 0}, {"lightgbm", true, 1e-12}} {
		m := open(t, c.name)
		if m.Native == nil || m.Native.Flavour != c.name || m.Python == nil || m.Python.Requirements == "" {
			t.Fatalf("%s: %+v %+v", c.name, m.Native, m.Python)
		}
		file, err := m.NativeFile()
		if err != nil {
			t.Fatal(err)
		}
		p, err := learn.Open(file, learn.Limits{})
		if err != nil {
			t.Fatal(err)
		}
		var want struct {
			Input       []map[string]*float64
			Predictions []json.RawMessage
		}
		if err := json.Unmarshal(m.Files["expected.json"], &want); err != nil {
			t.Fatal(err)
		}
		var x assay.Frame
		for _, f := range m.Signature.Fields() {
			col := assay.Column{Name: f.Name, Type: f.Type}
			for _, r := range want.Input {
				v := math.NaN()
				if r[f.Name] != nil {
					v = *r[f.Name]
				}
				col.Floats = append(col.Floats, v)
			}
			x = append(x, col)
		}
		got, err := p.Predict(x)
		if err != nil {
			t.Fatal(err)
		}
		if len(want.Predictions) != 20 || len(got.Proba) != 40 {
			t.Fatalf("%s: %d predictions, %d probabilities", c.name, len(want.Predictions), len(got.Proba))
		}
		for i, raw := range want.Predictions {
			var many []float64
			var one float64
			switch {
			case json.Unmarshal(raw, &many) == nil: // of each class
			case json.Unmarshal(raw, &one) == nil && c.proba:
				many = []float64{1 - one, one}
			case got.Labels[i] != int32(one):
				t.Errorf("%s: row %d is of class %d, expected %v", c.name, i, got.Labels[i], one)
			}
			for j := range many {
				if d := math.Abs(got.Proba[2*i+j] - many[j]); d > c.tol {
					t.Errorf("%s: row %d class %d: %v, expected %v", c.name, i, j, got.Proba[2*i+j], many[j])
				}
			}
		}
	}
}

func TestSignatures(t *testing.T) {
	m := open(t, "titanic")
	if m.Native != nil || m.Python.Loader != "mlflow.sklearn" || m.MLflow != "3.18.0" {
		t.Errorf("%+v", m)
	}
	s := m.Signature.Schema("titanic")
	v, err := s.Compile()
	if err != nil {
		t.Fatal(err)
	}
	good := `{"age": null, "fare": 7.5, "sibsp": 9007199254740993, "parch": 2147483647, "sex": "male", "embarked": "S", "alone": true}`
	if found, err := v.Payload([]byte(good)); err != nil || len(found) > 0 {
		t.Errorf("a row that fits: %v %v", found, err)
	}
	for _, bad := range []string{
		`"parch": 2147483648`, `"parch": -2147483649`, `"sibsp": 9223372036854775808`, `"sibsp": 1.5`, `"sibsp": null`,
		`"alone": "true"`, `"alone": 1`, `"sex": 3`, `"fare": "7.5"`,
	} {
		key, _, _ := strings.Cut(bad, ":")
		row := strings.Replace(good, good[strings.Index(good, key):][:strings.IndexAny(good[strings.Index(good, key):], ",}")], bad, 1)
		if found, err := v.Payload([]byte(row)); err != nil || len(found) != 1 {
			t.Errorf("%s: %v %v", row, found, err)
		}
	}
	if found, _ := v.Payload([]byte(`{"age": 3}`)); len(found) != 6 {
		t.Errorf("missing columns: %v", found)
	}
	if m := open(t, "iris_nosig"); m.Signature != nil {
		t.Error("a signature where there is none")
	}
	tensor := open(t, "iris_tensor").Signature
	if tensor.Named() || tensor.Width() != 4 || tensor.Inputs[0].DType != "float64" || tensor.Outputs[0].DType != "int64" {
		t.Errorf("%+v", tensor)
	}
	four := schema.New("four")
	for _, name := range []string{"a", "b", "c", "d"} {
		four.Columns = append(four.Columns, schema.Column{Name: name, Type: assay.TypeInteger})
	}
	if err := tensor.Narrow(four); err != nil {
		t.Error(err)
	}
	four.Columns = append(four.Columns[:2], schema.Column{Name: "e", Type: assay.TypeString})
	if err := tensor.Narrow(four); assay.CodeOf(err) != assay.Invalid || !strings.Contains(err.Error(), "takes 4 values") || !strings.Contains(err.Error(), `"e" is of type string`) {
		t.Error(err)
	}
	echo := open(t, "echo")
	if len(echo.Signature.Params) != 5 || echo.Signature.Params[4].Name != "seeds" || string(echo.Signature.Params[4].Default) != "[1, 2]" {
		t.Errorf("%+v", echo.Signature.Params)
	}
}

// What a project states stays, the signature's types are added, and every contradiction is named.
func TestNarrow(t *testing.T) {
	sig := open(t, "titanic").Signature
	hi := schema.Int(8)
	in := schema.New("project")
	in.Columns = []schema.Column{
		{Name: "age", Type: assay.TypeNumber, NotNull: &schema.NotNull{}},
		{Name: "fare", Type: assay.TypeInteger},
		{Name: "sibsp", Type: assay.TypeNumber},
		{Name: "parch", Type: assay.TypeInteger, Range: &schema.Range{Max: &hi}},
		{Name: "sex", Type: assay.TypeString},
		{Name: "embarked", Type: assay.TypeString, Optional: true},
		{Name: "alone", Type: assay.TypeBoolean},
	}
	if err := sig.Narrow(in); err != nil {
		t.Fatal(err)
	}
	parch := in.Column("parch")
	if parch.Range.Max.String() != hi.String() || parch.Range.Min == nil || parch.NotNull == nil {
		t.Errorf("parch: %+v %+v", parch, parch.Range)
	}
	if in.Column("sibsp").Type != assay.TypeInteger || in.Column("fare").Type != assay.TypeInteger || in.Column("age").Optional || in.Column("embarked").Optional {
		t.Errorf("%+v", in.Columns)
	}
	in.Columns[4].Type = assay.TypeNumber
	in.Columns[6].Type = assay.TypeString
	in.Columns = in.Columns[1:]
	in.Columns = append(in.Columns[:1], in.Columns[2:]...)
	err := sig.Narrow(in)
	for _, part := range []string{`"sibsp", which the model requires`, `"sex" is of type number, the model takes string`, `"alone" is of type string`} {
		if err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("%q is not in %v", part, err)
		}
	}
}

func TestPackIsTheSameEverywhere(t *testing.T) {
	dir := t.TempDir()
	files := map[string]string{"MLmodel": "flavors:\n  onnx: {data: data/model.onnx}\n", "data/model.onnx": "x", "code/__pycache__/a.pyc": "no", "code/a.py": "pass\n"}
	for name, text := range files {
		to := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(to, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	a, err := Pack(dir)
	if err != nil {
		t.Fatal(err)
	}
	m, err := Open(a)
	if err != nil || len(m.Files) != 3 || string(m.Files["data/model.onnx"]) != "x" {
		t.Fatal(err, m)
	}
	copied := t.TempDir()
	if err := m.Extract(copied); err != nil {
		t.Fatal(err)
	}
	if b, err := Pack(copied); err != nil || !bytes.Equal(a, b) {
		t.Error("a copy makes another archive", err)
	}
	if err := os.Symlink("/etc/hostname", filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	if _, err := Pack(dir); assay.CodeOf(err) != assay.Invalid || !strings.Contains(err.Error(), `"link"`) {
		t.Error(err)
	}
}

func TestRefused(t *testing.T) {
	for src, want := range map[string]string{
		"":                                       "names no flavour",
		"flavors: {}":                            "names no flavour",
		"flavors: [":                             "not valid YAML",
		"flavors: {spark: {data: x}}":            "none of the flavours spark",
		"flavors: {onnx: {data: ../model.onnx}}": "not in the directory",
		"flavors: {onnx: {}}":                    "has no data",
		"flavors: {python_function: {}}":         "no loader_module",
		"flavors: {onnx: {data: m}}\nsignature: {inputs: '{'}":             "signature.inputs",
		"flavors: {onnx: {data: m}}\nsignature: {inputs: '[] x'}":          "text after its end",
		"flavors: {onnx: {data: m}}\nsignature: {inputs: '[{}]'}":          `type ""`,
		"flavors: {onnx: {data: m}}\nsignature: {params: '[', inputs: ''}": "signature.params",
		`flavors: {onnx: {data: m}}
signature: {inputs: '[{"type":"long","name":"a"},{"type":"long","name":"a"},{"type":"tensor","name":"b"},{"type":"complex","name":"c"}]'}`: "3 problems",
	} {
		_, err := Read(map[string][]byte{FileName: []byte(src), "m": nil})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, expected %q", src, err, want)
		}
	}
	if _, err := Read(nil); assay.CodeOf(err) != assay.Invalid {
		t.Error(err)
	}
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, name := range []string{"../up"} {
		if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name}); err != nil {
			t.Fatal(err)
		}
	}
	w.Close()
	if _, err := Open(b.Bytes()); assay.CodeOf(err) != assay.Invalid {
		t.Error(err)
	}
}

func FuzzOpen(f *testing.F) {
	for _, name := range []string{"onnx", "iris_tensor", "echo"} {
		b, err := Pack(filepath.Join(data, name))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := Open(b)
		if err != nil {
			return
		}
		total := 0
		for _, x := range m.Files {
			total += len(x)
		}
		if total > len(b) {
			t.Errorf("%d bytes of files out of %d", total, len(b))
		}
	})
}

func FuzzRead(f *testing.F) {
	for _, name := range []string{"onnx", "iris_tensor", "echo", "titanic"} {
		b, err := os.ReadFile(filepath.Join(data, name, FileName))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := Read(map[string][]byte{FileName: b, "model.onnx": nil})
		if err != nil || m.Signature == nil {
			return
		}
		if _, err := m.Signature.Schema("x").JSON(); err != nil {
			t.Error(err)
		}
	})
}
