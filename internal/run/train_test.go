package run

import (
	"context"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/assaytest"
	"github.com/assay-ml/assay/internal/blob"
	"github.com/assay-ml/assay/learn"
	"github.com/assay-ml/assay/stat"
)

// table makes n rows whose label depends on the first column, with noise.
func table(seed uint64, n int) learn.Data {
	r := stat.NewRand(seed)
	x, noise, y := make([]float64, n), make([]float64, n), make([]int32, n)
	for i := range n {
		x[i], noise[i] = r.Normal(), r.Normal()
		if x[i]+r.Normal() > 0 {
			y[i] = 1
		}
	}
	return learn.Data{X: assay.Frame{{Name: "x", Type: assay.TypeNumber, Floats: x}, {Name: "noise", Type: assay.TypeNumber, Floats: noise}}, Labels: y}
}

func trainSpec(learner string) TrainSpec {
	data, valid := table(1, 500), table(2, 300)
	data.Valid = &valid
	return TrainSpec{
		Learn:  learn.Spec{Learner: learner, Task: assay.Binary, Target: learn.Target{Name: "y", Classes: []string{"no", "yes"}, Positive: "yes"}, Seed: 7},
		Data:   data,
		Config: []byte("learner: " + learner), Inputs: map[string]assay.Digest{"data": assay.DigestOf([]byte("rows"))},
		Dataset: assay.DigestOf([]byte("rows")), Version: "1.0.0", Clock: assaytest.Clock(),
	}
}

func TestTrainRecordsRunAndModel(t *testing.T) {
	st := openStore(t)
	got, err := Train(t.Context(), trainSpec("logistic_regression"), st)
	if err != nil {
		t.Fatal(err)
	}
	r, err := assay.Decode[assay.Run](got.Run.Evidence)
	if err != nil {
		t.Fatal(err)
	}
	if r.Status != Finished || r.Score != 1 || len(r.Missing) != 0 || r.Params["c"] != "1" || r.Params["learner"] != "logistic_regression" {
		t.Errorf("run %+v", r)
	}
	if auc := float64(r.Metrics["validation.roc_auc_score"]); !(auc > 0.7 && auc < 0.9) || len(r.Metrics) != 4 {
		t.Errorf("metrics %v", r.Metrics)
	}
	m, err := assay.Decode[assay.Model](got.Model.Evidence)
	if err != nil {
		t.Fatal(err)
	}
	if got.Model.Subject != r.Model || m.Run != got.Run.ID || m.Format != "onnx" || !slices.Equal(m.Classes, []string{"no", "yes"}) || len(m.Inputs) != 2 || !slices.Equal(got.Model.Parents, []assay.Digest{got.Run.ID}) {
		t.Errorf("model %+v of %s", m, got.Model.Subject)
	}
	onnx, err := blob.ReadAll(t.Context(), st.Blobs(), m.File.Digest, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	program, err := learn.LoadONNX(onnx)
	if err != nil {
		t.Fatal(err)
	}
	x := table(3, 50).X
	a, err1 := program.Predict(x)
	b, err2 := got.Fitted.Predict(x)
	if err1 != nil || err2 != nil || !slices.Equal(a.Proba, b.Proba) {
		t.Errorf("the stored model predicts otherwise: %v, %v", err1, err2)
	}

	one := trainSpec("logistic_regression")
	one.Learn.Threads = 1
	again, err := Train(t.Context(), one, st)
	if err != nil || again.Run.ID != got.Run.ID || again.Model.ID != got.Model.ID {
		t.Errorf("with one thread the ids are %s, %s; they were %s, %s (%v)", again.Run.ID, again.Model.ID, got.Run.ID, got.Model.ID, err)
	}
}

func TestTrainRecordsABaselineWithoutAFile(t *testing.T) {
	got, err := Train(t.Context(), trainSpec("stratified"), openStore(t))
	if err != nil {
		t.Fatal(err)
	}
	if got.Run.ID == "" || got.Model.ID != "" {
		t.Errorf("run %q, model %q", got.Run.ID, got.Model.ID)
	}
	if p, err := got.Fitted.Predict(table(3, 5).X); err != nil || p.Rows() != 5 {
		t.Errorf("predictions %+v, %v", p, err)
	}
}

func TestTrainRefusesBeforeItRecords(t *testing.T) {
	st := openStore(t)
	s := trainSpec("logistic_regression")
	s.Learn.Params = map[string]any{"c": -1.0, "depth": 3}
	if _, err := Train(t.Context(), s, st); assay.CodeOf(err) != assay.Invalid {
		t.Errorf("got %v", err)
	}
	s = trainSpec("prior")
	s.Metrics = []string{"r2_score"}
	if _, err := Train(t.Context(), s, st); err == nil {
		t.Error("a metric of another task is accepted")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Train(ctx, trainSpec("logistic_regression"), st); assay.CodeOf(err) != assay.Unavailable {
		t.Errorf("a cancelled context: %v", err)
	}
	if entries, err := st.Journal(t.Context(), 0, 0); err != nil || len(entries) != 0 {
		t.Errorf("%d journal entries, %v", len(entries), err)
	}
}

// A command's model is recorded like a built-in learner's.
func TestRecordModelOfACommand(t *testing.T) {
	st := openStore(t)
	trained, err := Train(t.Context(), trainSpec("logistic_regression"), st)
	if err != nil {
		t.Fatal(err)
	}
	onnx, _ := trained.Fitted.ONNX()
	dir := t.TempDir()
	write(t, dir, "made.onnx", string(onnx))
	run := func(program string) assay.Record {
		rec, err := Execute(t.Context(), Spec{Command: []string{"sh", "-c", program}, Dir: dir}, st)
		if err != nil {
			t.Fatal(err)
		}
		return rec
	}
	s := ModelSpec{Learner: "command", Task: assay.Binary, Target: "y", Positive: "yes"}
	rec, err := RecordModel(t.Context(), run(`cp made.onnx "$ASSAY_OUT/model.onnx"`), s, st)
	if err != nil {
		t.Fatal(err)
	}
	if m, _ := assay.Decode[assay.Model](rec.Evidence); rec.Subject != trained.Model.Subject || !slices.Equal(m.Classes, []string{"no", "yes"}) || len(m.Inputs) != 2 {
		t.Errorf("model %+v", m)
	}
	rec, err = RecordModel(t.Context(), run(`echo id,yes > "$ASSAY_OUT/predictions.csv"`), s, st)
	if err != nil {
		t.Fatal(err)
	}
	if m, _ := assay.Decode[assay.Model](rec.Evidence); m.Format != "predictions" || m.File.Name != "predictions.csv" {
		t.Errorf("predictions %+v", m)
	}
	for program, want := range map[string]assay.Code{
		`true`:                                  assay.NotFound,
		`exit 1`:                                assay.Refused,
		`echo broken > "$ASSAY_OUT/model.onnx"`: assay.Invalid,
		`echo a > "$ASSAY_OUT/predictions.csv"; echo b > "$ASSAY_OUT/predictions.parquet"`: assay.Invalid,
	} {
		if _, err := RecordModel(t.Context(), run(program), s, st); assay.CodeOf(err) != want {
			t.Errorf("%s: %v (%s), want %s", program, err, assay.CodeOf(err), want)
		}
	}
	if _, err := RecordModel(t.Context(), run(`echo 0.5 > "$ASSAY_OUT/model.txt"`), s, st); assay.CodeOf(err) != assay.Invalid || !strings.Contains(err.Error(), "left model.txt, which is no model") {
		t.Errorf("a text called model.txt: %v", err)
	}
	s.Classes = []string{"yes", "no"}
	if _, err := RecordModel(t.Context(), run(`cp made.onnx "$ASSAY_OUT/model.onnx"`), s, st); assay.CodeOf(err) != assay.Invalid {
		t.Errorf("classes in another order: %v", err)
	}
}

// TestRecordModelOfBoosters takes the files that XGBoost and LightGBM write: their inputs are the names that the file has, their classes
// the target's in their order.
func TestRecordModelOfBoosters(t *testing.T) {
	st := openStore(t)
	for from, to := range map[string]string{"lgbm_4.7.0_binary.txt": "model.txt", "xgb_3.2.0_binary.json": "model.json", "xgb_3.2.0_binary_base.ubj": "model.ubj"} {
		path := filepath.Join(assaytest.Root(), "testdata", "oracle", "booster", from)
		if _, err := os.Stat(path); err != nil {
			t.Fatal(err)
		}
		rec, err := Execute(t.Context(), Spec{Command: []string{"sh", "-c", `cp "$0" "$ASSAY_OUT/` + to + `"`, path}, Dir: t.TempDir()}, st)
		if err != nil {
			t.Fatal(err)
		}
		s := ModelSpec{Learner: "command", Task: assay.Binary, Target: "y", Classes: []string{"no", "yes"}, Positive: "yes"}
		made, err := RecordModel(t.Context(), rec, s, st)
		if err != nil {
			t.Fatalf("%s: %v", from, err)
		}
		m, err := assay.Decode[assay.Model](made.Evidence)
		if err != nil {
			t.Fatal(err)
		}
		want := map[string]string{"model.txt": "lightgbm", "model.json": "xgboost", "model.ubj": "xgboost"}[to]
		if m.Format != want || m.File.Name != to || m.Inputs == nil || !slices.Equal(m.Classes, s.Classes) {
			t.Errorf("%s: %+v", from, m)
		}
		if r, err := assay.Decode[assay.Run](rec.Evidence); err != nil || r.Model != m.File.Digest {
			t.Errorf("%s: the run does not name its model: %v", from, err)
		}
		s.Classes = []string{"a", "b", "c"}
		if _, err := RecordModel(t.Context(), rec, s, st); assay.CodeOf(err) != assay.Invalid {
			t.Errorf("%s: a model of two classes for a target of three: %v", from, err)
		}
	}
}

// The same life for a scikit-learn script: predictions as a file, and the model as ONNX that Go evaluates to the same probabilities.
func TestScikitLearnHandsOverItsModel(t *testing.T) {
	dir := t.TempDir()
	rows := table(1, 200)
	var train strings.Builder
	train.WriteString("id,x,noise,y\n")
	for i, y := range rows.Labels {
		fmt.Fprintf(&train, "%d,%v,%v,%d\n", i, rows.X[0].Floats[i], rows.X[1].Floats[i], y)
	}
	file := write(t, dir, "train.csv", train.String())
	write(t, dir, "train.py", `
import json, os
import pandas as pd
from skl2onnx import to_onnx
from sklearn.ensemble import RandomForestClassifier
import numpy as np
out = os.environ["ASSAY_OUT"]
data = pd.read_csv(os.environ["ASSAY_TRAIN"])
X, y = data[["x", "noise"]].to_numpy(np.float32), data["y"]
model = RandomForestClassifier(n_estimators=10, max_depth=4).fit(X, y)
p = model.predict_proba(X)
pd.DataFrame({"id": data["id"], "0": p[:, 0], "1": p[:, 1]}).to_csv(out + "/predictions.csv", index=False)
onnx = to_onnx(model, X[:1], options={"zipmap": False})
onnx.graph.name = "model"
open(out + "/model.onnx", "wb").write(onnx.SerializeToString(deterministic=True))
json.dump({"accuracy_score": model.score(X, y)}, open(out + "/metrics.json", "w"))
`)
	st := openStore(t)
	s := Spec{Command: []string{venv(t), "train.py"}, Dir: dir, Seed: 7, Config: []byte("a: 1"), Files: map[string]string{"train": file}}
	rec, err := Execute(t.Context(), s, st)
	if err != nil {
		t.Fatal(err)
	}
	r, err := assay.Decode[assay.Run](rec.Evidence)
	if err != nil || r.Status != Finished || len(r.Unseeded) != 0 {
		log, _ := blob.ReadAll(t.Context(), st.Blobs(), assay.Digest(rec.Entry.Context["log"]), 1<<20)
		t.Fatalf("%s, problems %q, unseeded %q, %v\n%s", r.Status, r.Problems, r.Unseeded, err, log)
	}
	made, err := RecordModel(t.Context(), rec, ModelSpec{Learner: "command", Task: assay.Binary, Target: "y", Positive: "1"}, st)
	if err != nil {
		t.Fatal(err)
	}
	m, _ := assay.Decode[assay.Model](made.Evidence)
	onnx, err := blob.ReadAll(t.Context(), st.Blobs(), m.File.Digest, 1<<24)
	if err != nil {
		t.Fatal(err)
	}
	program, err := learn.LoadONNX(onnx)
	if err != nil {
		t.Fatal(err)
	}
	got, err := program.Predict(rows.X)
	if err != nil {
		t.Fatal(err)
	}
	var predictions []byte
	for _, f := range r.Outputs {
		if f.Name == "predictions.csv" {
			predictions, err = blob.ReadAll(t.Context(), st.Blobs(), f.Digest, 1<<24)
		}
	}
	lines := strings.Fields(string(predictions))
	if err != nil || len(lines) != 201 || !slices.Equal(m.Classes, []string{"0", "1"}) {
		t.Fatalf("%d lines of predictions, classes %q, %v", len(lines), m.Classes, err)
	}
	for i, line := range lines[1:] {
		var id int
		var p0, p1 float64
		if _, err := fmt.Sscanf(line, "%d,%g,%g", &id, &p0, &p1); err != nil {
			t.Fatal(err)
		}
		if math.Abs(got.Proba[2*i+1]-p1) > 1e-6 {
			t.Fatalf("row %d: %v in Go, %v in scikit-learn", i, got.Proba[2*i+1], p1)
		}
	}
	rep, err := Reproduce(t.Context(), rec, s, ReproduceOptions{}, st)
	if err != nil {
		t.Fatal(err)
	}
	if v, _ := assay.Decode[assay.Reproduction](rep.Evidence); !v.Identical {
		t.Errorf("%s, cause %q: %+v", v.Verdict, v.Cause, v.Differences)
	}
}
