package learn

import (
	"context"
	"encoding/csv"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/assaytest"
)

// equalityCases are specifications whose models together use every node that Fit writes.
func equalityCases() map[string]Spec {
	binary := Target{Name: "y", Type: assay.TypeInteger, Classes: []string{"0", "1"}}
	text := Target{Name: "y", Type: assay.TypeString, Classes: []string{"no", "yes"}}
	value := Target{Name: "y", Type: assay.TypeNumber}
	coded := []string{"code"}
	three := Target{Name: "y", Type: assay.TypeString, Classes: []string{"a", "b", "c"}}
	small := func(extra ...any) map[string]any {
		p := map[string]any{"trees": 20, "max_leaf_nodes": 8}
		for i := 0; i < len(extra); i += 2 {
			p[extra[i].(string)] = extra[i+1]
		}
		return p
	}
	return map[string]Spec{
		"prior":              {Learner: "prior", Task: assay.Binary, Target: binary},
		"majority_text":      {Learner: "majority", Task: assay.Binary, Target: text},
		"mean":               {Learner: "mean", Task: assay.Regression, Target: value},
		"logistic":           {Learner: "logistic_regression", Task: assay.Binary, Target: binary, Categorical: coded},
		"logistic_text":      {Learner: "logistic_regression", Task: assay.Binary, Target: text},
		"logistic_indicator": {Learner: "logistic_regression", Task: assay.Binary, Target: binary, Categorical: coded, Prepare: Prepare{Indicator: true, RareBelow: 50, Unknown: "rare"}},
		"logistic_classes":   {Learner: "logistic_regression", Task: assay.Multiclass, Target: three, Categorical: coded},
		"linear":             {Learner: "linear_regression", Task: assay.Regression, Target: value, Categorical: coded},
		"ridge":              {Learner: "ridge", Task: assay.Regression, Target: value},
		"elastic_net":        {Learner: "elastic_net", Task: assay.Regression, Target: value, Params: map[string]any{"alpha": 0.01}},
		"boosting":           {Learner: "gradient_boosting", Task: assay.Binary, Target: binary, Categorical: coded, Params: small()},
		"logistic_sigmoid":   {Learner: "logistic_regression", Task: assay.Binary, Target: binary, Calibrate: "sigmoid"},
		"boosting_isotonic":  {Learner: "gradient_boosting", Task: assay.Binary, Target: binary, Params: small(), Calibrate: "isotonic"},
		"boosting_rare":      {Learner: "gradient_boosting", Task: assay.Binary, Target: text, Categorical: coded, Params: small(), Prepare: Prepare{RareBelow: 50, Unknown: "rare"}},
		"boosting_classes":   {Learner: "gradient_boosting", Task: assay.Multiclass, Target: three, Params: small()},
		"boosting_value":     {Learner: "gradient_boosting", Task: assay.Regression, Target: value, Categorical: coded, Params: small()},
		"boosting_poisson":   {Learner: "gradient_boosting", Task: assay.Regression, Target: value, Categorical: coded, Params: small("objective", "poisson")},
	}
}

// TestONNXRuntimeGivesTheSame runs every kind of model in ONNX Runtime. It needs a Python with onnxruntime and numpy.
func TestONNXRuntimeGivesTheSame(t *testing.T) {
	python := os.Getenv("ASSAY_PYTHON")
	if python == "" {
		t.Skip("set ASSAY_PYTHON to a Python that has onnxruntime")
	}
	dir := t.TempDir()
	train, y, v := mixed(2000)
	score := unseen(300)
	for name, spec := range equalityCases() {
		m, err := Fit(context.Background(), spec, Data{X: train, Labels: labelsFor(spec, y), Values: v})
		if err != nil {
			t.Fatal(name, err)
		}
		writeEqualityCase(t, filepath.Join(dir, name), m, score)
	}
	out, err := exec.Command(python, filepath.Join(assaytest.Root(), "python", "onnx_equality.py"), dir).CombinedOutput()
	t.Logf("%s", out)
	if err != nil {
		t.Error(err)
	}
}

// labelsFor spreads two classes over as many as the specification has.
func labelsFor(spec Spec, y []int32) []int32 {
	out := make([]int32, len(y))
	for i, v := range y {
		if out[i] = v; len(spec.Target.Classes) > 2 && i%5 == 0 {
			out[i] = 2
		}
	}
	return out
}

// unseen is the mixed table with categories that training did not have.
func unseen(n int) assay.Frame {
	x, _, _ := mixed(n)
	x.Column("colour").Levels = []string{"", "blue", "grey", "red", "rust"}
	for i := 0; i < n; i += 7 {
		x.Column("code").Floats[i] = 99
	}
	return x
}

func writeEqualityCase(t *testing.T, path string, m *Model, x assay.Frame) {
	t.Helper()
	b, err := m.ONNX()
	if err != nil {
		t.Fatal(err)
	}
	program, err := LoadONNX(b)
	if err != nil {
		t.Fatal(err)
	}
	p, err := program.Predict(x)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path+".onnx", b, 0o644); err != nil {
		t.Fatal(err)
	}
	f, err := os.Create(path + ".csv")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	w := csv.NewWriter(f)
	header := []string{}
	for _, c := range x {
		header = append(header, c.Name)
	}
	k := len(p.Classes)
	if k > 0 {
		header = append(header, "expected:label")
		for c := range k {
			header = append(header, fmt.Sprintf("expected:probability:%d", c))
		}
	} else {
		header = append(header, "expected:value")
	}
	w.Write(header)
	for i := range x.Rows() {
		row := []string{}
		for _, c := range x {
			switch {
			case c.Missing(i):
				row = append(row, "")
			case c.Codes != nil:
				row = append(row, c.Levels[c.Codes[i]])
			default:
				row = append(row, strconv.FormatFloat(c.Floats[i], 'g', -1, 64))
			}
		}
		if k > 0 {
			row = append(row, p.Classes[p.Labels[i]])
			for c := range k {
				row = append(row, strconv.FormatFloat(p.Proba[i*k+c], 'g', -1, 64))
			}
		} else {
			row = append(row, strconv.FormatFloat(p.Values[i], 'g', -1, 64))
		}
		w.Write(row)
	}
	if w.Flush(); w.Error() != nil {
		t.Fatal(w.Error())
	}
}
