package learn

import (
	"encoding/json"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/assay-ml/assay/internal/assaytest"
)

// refusedExports are what skl2onnx exports and Assay refuses, by how the names of the cases begin, and why.
func refusedExports() map[string]string {
	return map[string]string{
		"multi_classifier.":               "(SequenceConstruct): operator is not supported",
		"trans_knn_imputer.":              "functions of its own",
		"pipe_knn_imputer.":               "functions of its own",
		"text_hasher.":                    "com.microsoft.MurmurHash3",
		"pipe_imputer_indicator.float32.": "24 coefficients and 3 intercepts for 3 scores of 4 features", // the exporter leaves the indicators out; ONNX Runtime reads beyond the row
	}
}

// A wrongness counts the elements of an output that are neither what ONNX Runtime answered nor nearer to what scikit-learn says in double
// precision.
type wrongness struct{ different, wrong int }

func (w *wrongness) floats(got, want, truth []float64, tol assaytest.Tolerance) {
	for i := range want {
		if tol.Near(got[i], want[i]) {
			continue
		}
		w.different++
		if truth == nil || !(math.Abs(got[i]-truth[i]) <= math.Abs(want[i]-truth[i]) || math.IsNaN(want[i]) && tol.Near(got[i], truth[i])) {
			w.wrong++
		}
	}
}

func labelsWrong[T comparable](w *wrongness, got, want, truth []T) {
	for i := range want {
		if got[i] != want[i] {
			w.different++
			if truth == nil || got[i] != truth[i] {
				w.wrong++
			}
		}
	}
}

// TestExports exports every estimator of scikit-learn that skl2onnx knows, alone and in pipelines, and holds the answers to a hundred rows of
// each against those of ONNX Runtime: labels equal, scores within the tolerance of the case. It needs a Python with skl2onnx and onnxruntime.
func TestExports(t *testing.T) {
	python := os.Getenv("ASSAY_PYTHON")
	if python == "" {
		t.Skip("set ASSAY_PYTHON to a Python that has skl2onnx and onnxruntime")
	}
	dir := t.TempDir()
	if out, err := exec.Command(python, filepath.Join(assaytest.Root(), "python", "onnx_exports.py"), dir).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	same, nearer, refused, kinds := 0, 0, 0, map[string]bool{}
	for _, c := range assaytest.Models(t, dir) {
		outputs, err := answers(t, c)
		if why := refusal(c.Name); why != "" {
			refused++
			if err == nil || !strings.Contains(err.Error(), why) {
				t.Errorf("%s: error %v does not say %q", c.Name, err, why)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", c.Name, err)
			continue
		}
		var file struct {
			Truth map[string]assaytest.Array `json:"scikit-learn"`
		}
		b, err := os.ReadFile(filepath.Join(dir, c.Name+".json"))
		if err == nil {
			err = json.Unmarshal(b, &file)
		}
		if err != nil {
			t.Fatal(c.Name, err)
		}
		w := wrongness{}
		for name, want := range c.Outputs {
			got, truth := arrayOf(outputs[name]), file.Truth[name]
			if len(got.Floats) != len(want.Floats) || len(got.Ints) != len(want.Ints) || len(got.Strings) != len(want.Strings) {
				t.Errorf("%s: output %q has the shape %v, want %v", c.Name, name, got.Shape, want.Shape)
				continue
			}
			w.floats(got.Floats, want.Floats, truth.Floats, c.Tolerance)
			labelsWrong(&w, got.Ints, want.Ints, truth.Ints)
			labelsWrong(&w, got.Strings, want.Strings, truth.Strings)
			if w.wrong > 0 {
				t.Errorf("%s: output %q: %d elements are wrong", c.Name, name, w.wrong)
				w.wrong = 0
			}
		}
		kinds[strings.Split(c.Name, ".")[0]] = true
		if same++; w.different > 0 {
			nearer++
			t.Logf("%s: %d elements are nearer to scikit-learn than ONNX Runtime's", c.Name, w.different)
		}
	}
	t.Logf("%d cases of %d estimators and pipelines are as ONNX Runtime answers, %d of them nearer to scikit-learn; %d are refused", same, len(kinds), nearer, refused)
	if same < 1000 || len(kinds) < 150 {
		t.Errorf("%d cases of %d estimators: most are missing", same, len(kinds))
	}
}

func refusal(name string) string {
	for prefix, why := range refusedExports() {
		if strings.HasPrefix(name, prefix) {
			return why
		}
	}
	return ""
}

// answers runs the model of a case. A classifier has to have a label among its outputs.
func answers(t *testing.T, c assaytest.ModelCase) (map[string]*Tensor, error) {
	p, err := LoadONNX(c.Model)
	if err != nil {
		return nil, err
	}
	inputs := map[string]*Tensor{}
	for k, v := range c.Inputs {
		inputs[k] = tensorOf(t, v)
	}
	if _, classifies := c.Outputs["label"]; classifies {
		found := false
		for _, port := range p.predictor.Outputs() {
			found = found || port.Role == RoleLabel && port.Name == "label"
		}
		if !found {
			t.Errorf("%s: the label is not taken for one", c.Name)
		}
	}
	return p.Run(inputs)
}
