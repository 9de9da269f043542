package run

import (
	"context"
	"slices"
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
	s.Classes = []string{"yes", "no"}
	if _, err := RecordModel(t.Context(), run(`cp made.onnx "$ASSAY_OUT/model.onnx"`), s, st); assay.CodeOf(err) != assay.Invalid {
		t.Errorf("classes in another order: %v", err)
	}
}
