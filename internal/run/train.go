package run

import (
	"bytes"
	"context"
	"encoding/json"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/blob"
	"github.com/assay-ml/assay/internal/mlmodel"
	"github.com/assay-ml/assay/internal/store"
	"github.com/assay-ml/assay/learn"
	"github.com/assay-ml/assay/metric"
)

// A TrainSpec says which built-in learner to fit on what.
type TrainSpec struct {
	Learn      learn.Spec
	Data       learn.Data              // training rows, with validation rows as Data.Valid
	Config     []byte                  // the experiment's part of assay.yaml as YAML or JSON
	Inputs     map[string]assay.Digest // content of each input by name
	Metrics    []string                // to compute on the validation rows; nil: those of the task's probabilities or values
	Dataset    assay.Digest            // content of the data set
	Split      assay.Digest            // evidence id of the split
	Parents    []assay.Digest          // evidence that the run builds on: snapshot, split
	Version    string                  // of this build of Assay, which is the code that runs
	SealedRows int64                   // of the training rows, how many an earlier split had sealed
	Clock      func() time.Time        // nil: the journal says nothing of the duration
	Machine    *assay.Environment      // platform, processor and threads to state; nil asks the machine
}

// Trained is what training gave. Model is the zero Record for a baseline that has no ONNX form.
type Trained struct {
	Run    assay.Record
	Model  assay.Record
	Fitted *learn.Model
}

// Train fits a built-in learner and records the run, and the model when it has a file: its ONNX bytes go to the blobs. The same
// specification and data give the same evidence at any thread count.
func Train(ctx context.Context, s TrainSpec, st store.Store) (Trained, error) {
	var out Trained
	var began time.Time
	if s.Clock != nil {
		began = s.Clock()
	}
	if s.Learn.Seed > maxSeed {
		return out, assay.Errorf(assay.Invalid, "seed %d is larger than %d, the largest that JSON keeps exactly", s.Learn.Seed, uint64(maxSeed))
	}
	config, _, err := canonical(s.Config)
	if err != nil {
		return out, err
	}
	m, err := learn.Fit(ctx, s.Learn, s.Data)
	if err != nil {
		return out, err
	}
	out.Fitted = m
	if _, err := blob.PutBytes(ctx, st.Blobs(), config); err != nil {
		return out, err
	}
	spec := assay.RunSpec{
		Command: []string{"assay", "train", s.Learn.Learner}, Config: assay.DigestOf(config), Seed: s.Learn.Seed, Inputs: map[string]assay.Digest{},
		Code: assay.Source{Commit: s.Version},
	}
	maps.Copy(spec.Inputs, s.Inputs)
	machine := machine(ctx)
	if s.Machine != nil {
		machine = *s.Machine
	}
	r := assay.Run{
		Spec: spec, Status: Finished, Params: parameters(m.Spec()), Outputs: []assay.File{}, Seeded: []string{"learner"}, Unseeded: []string{},
		Environment: assay.Environment{Platform: machine.Platform, CPU: machine.CPU, Threads: machine.Threads, Interpreter: "assay " + s.Version},
		Missing:     []string{}, SealedRows: s.SealedRows,
	}
	if r.Metrics, err = validate(m, s); err != nil {
		return out, err
	}
	if len(s.Inputs) == 0 {
		r.Missing = append(r.Missing, "unversioned_input")
	}
	if len(bytes.TrimSpace(s.Config)) == 0 {
		r.Missing = append(r.Missing, "no_config")
	}
	r.Score = score(r.Missing)
	onnx, err := m.ONNX()
	switch {
	case err == nil:
		d, err := blob.PutBytes(ctx, st.Blobs(), onnx)
		if err != nil {
			return out, err
		}
		r.Outputs, r.Model = []assay.File{{Name: modelFile, Bytes: int64(len(onnx)), Digest: d}}, d
	case assay.CodeOf(err) != assay.Unimplemented:
		return out, err
	}
	subject, err := subject(spec)
	if err != nil {
		return out, err
	}
	circumstances := map[string]string{}
	if s.Clock != nil {
		circumstances["seconds"] = strconv.FormatFloat(s.Clock().Sub(began).Seconds(), 'f', 3, 64)
	}
	if out.Run, err = (result{run: r, subject: subject, context: circumstances}).record(ctx, st, s.Parents); err != nil || r.Model == "" {
		return out, err
	}
	out.Model, err = RecordModel(ctx, out.Run, ModelSpec{
		Learner: s.Learn.Learner, Task: s.Learn.Task, Target: s.Learn.Target.Name, Classes: s.Learn.Target.Classes,
		Positive: s.Learn.Target.Positive, Dataset: s.Dataset, Split: s.Split,
	}, st)
	return out, err
}

// A ModelSpec says what a run's model is for.
type ModelSpec struct {
	File     string // the output that holds it; empty: model.onnx, or else the one predictions file
	Learner  string // what made it, in words: a built-in learner, "command"
	Task     assay.Task
	Target   string
	Classes  []string      // in the order of the probabilities; empty: as the ONNX file says
	Positive string        // binary: the class that counts as positive
	Inputs   []assay.Field // empty: as the ONNX file says
	Dataset  assay.Digest  // content of the data set
	Split    assay.Digest  // evidence id of the split

	Open func([]byte) (*learn.Predictor, error) // opens a model file; nil: learn.Open
}

func (s *ModelSpec) open() func([]byte) (*learn.Predictor, error) {
	if s.Open != nil {
		return s.Open
	}
	return func(b []byte) (*learn.Predictor, error) { return learn.Open(b, learn.Limits{}) }
}

// maxModelBytes is the largest ONNX file that is opened to see what it takes.
const maxModelBytes = 2 << 30

// RecordModel records the model that a finished run left, as evidence about its file. An ONNX file is loaded, so that one that cannot be
// evaluated is refused here and not in production; a predictions file stands for a model that nobody can call.
func RecordModel(ctx context.Context, run assay.Record, s ModelSpec, st store.Store) (assay.Record, error) {
	ev, err := ModelOf(run, s, func(f assay.File) ([]byte, error) { return blob.ReadAll(ctx, st.Blobs(), f.Digest, maxModelBytes) })
	if err != nil {
		return assay.Record{}, err
	}
	records, err := st.Append(ctx, nil, ev)
	if err != nil {
		return assay.Record{}, err
	}
	return records[0], nil
}

// ModelOf is the evidence that RecordModel stores. read gives the bytes of an output of the run, which need not be in a store yet.
func ModelOf(run assay.Record, s ModelSpec, read func(assay.File) ([]byte, error)) (assay.Evidence, error) {
	var none assay.Evidence
	r, err := assay.Decode[assay.Run](run.Evidence)
	if err != nil {
		return none, err
	}
	if r.Status != Finished {
		return none, assay.Errorf(assay.Refused, "run %s is %s, so what it left is no model", run.ID.Short(), r.Status).Try("assay run -- COMMAND")
	}
	file, err := modelOutput(r.Outputs, s.File)
	if err != nil {
		return none, err
	}
	m := assay.Model{
		Format: "predictions", Learner: s.Learner, Task: s.Task, Target: s.Target, Inputs: s.Inputs, Classes: s.Classes, Positive: s.Positive,
		Run: run.ID, Data: s.Dataset, Split: s.Split, File: file,
	}
	if IsModel(file.Name) {
		b, err := read(file)
		if err != nil {
			return none, err
		}
		if err := describeModel(&m, b, s.open()); err != nil {
			return none, assay.Errorf(assay.CodeOf(err), "run %s left %s, which is no model that can be used: %w", run.ID.Short(), file.Name, err).
				Try("leave a model of that form, or give the file another name; the run is recorded")
		}
	}
	if m.Inputs == nil {
		m.Inputs = []assay.Field{}
	}
	parents := []assay.Digest{run.ID}
	if s.Split != "" {
		parents = append(parents, s.Split)
	}
	return store.Evidence(assay.KindModel, file.Digest, parents, m)
}

// describeModel opens a model file and fills in what it says of itself. A file of XGBoost or LightGBM knows its classes by number alone:
// they are the target's in their order, as the libraries' label encoding has them.
func describeModel(m *assay.Model, b []byte, open func([]byte) (*learn.Predictor, error)) error {
	var dir *mlmodel.Model
	if m.File.Name == mlmodel.ArchiveName {
		if m.Task == assay.Multilabel {
			return assay.Errorf(assay.Unimplemented, "a directory of MLflow says nothing of several labels")
		}
		var err error
		if dir, err = mlmodel.Open(b); err != nil {
			return err
		}
		m.Format, m.Flavour, m.Signed = "mlflow", "python_function", dir.Signature.Kind()
		if len(m.Inputs) == 0 && dir.Signature != nil {
			m.Inputs = dir.Signature.Fields()
		}
		if dir.Native == nil {
			return nil
		}
		m.Flavour = dir.Native.Flavour
		if b, err = dir.NativeFile(); err != nil {
			return err
		}
	}
	p, err := open(b)
	if err != nil {
		return err
	}
	defer p.Close()
	if dir == nil {
		m.Format = string(p.Format())
	}
	classes := p.Classes()
	switch {
	case m.Task == assay.Multilabel:
		if _, err := p.LabelOutputs(m.Classes); err != nil {
			return err
		}
	case len(m.Classes) == 0:
		m.Classes = classes
	case p.Format() != learn.FormatONNX && len(classes) != len(m.Classes):
		return assay.Errorf(assay.Invalid, "the model has %d classes, the target has %d", len(classes), len(m.Classes))
	case p.Format() == learn.FormatONNX && len(classes) > 0 && !slices.Equal(classes, m.Classes):
		return assay.Errorf(assay.Invalid, "the model's classes are %q, the target's are %q", classes, m.Classes)
	}
	if len(m.Inputs) > 0 {
		return nil
	}
	m.Inputs = p.Fields()
	return nil
}

// modelFiles are the names of a model file that a run may leave: ONNX, XGBoost's JSON and UBJSON, LightGBM's text, the archive of an
// MLflow directory.
var modelFiles = []string{modelFile, "model.json", "model.ubj", "model.txt", mlmodel.ArchiveName}

// IsModel reports whether a file of that name holds a model that can be evaluated.
func IsModel(name string) bool { return slices.Contains(modelFiles, name) }

// modelOutput finds the file that is the model.
func modelOutput(outputs []assay.File, name string) (assay.File, error) {
	var models, predictions []assay.File
	for _, f := range outputs {
		switch {
		case f.Name == name:
			return f, nil
		case IsModel(f.Name):
			models = append(models, f)
		case strings.HasPrefix(f.Name, "predictions."):
			predictions = append(predictions, f)
		}
	}
	named := func(files []assay.File) string {
		names := make([]string, len(files))
		for i := range files {
			names[i] = files[i].Name
		}
		return strings.Join(names, ", ")
	}
	switch {
	case name != "":
		return assay.File{}, assay.Errorf(assay.NotFound, "the run left no output %q", name)
	case len(models) == 1:
		return models[0], nil
	case len(models) > 1:
		return assay.File{}, assay.Errorf(assay.Invalid, "the run left %d models, %s: leave one", len(models), named(models))
	case len(predictions) == 1:
		return predictions[0], nil
	case len(predictions) > 1:
		return assay.File{}, assay.Errorf(assay.Invalid, "the run left %d files of predictions, %s, and no model: leave one", len(predictions), named(predictions))
	}
	return assay.File{}, assay.Errorf(assay.NotFound, "the run left neither a model (%s) nor predictions.csv or predictions.parquet", strings.Join(modelFiles, ", ")).
		Try("write the model to $ASSAY_OUT/%s", modelFile)
}

// parameters is every parameter of the learner with its value, the defaults included.
func parameters(s learn.Spec) map[string]string {
	out := map[string]string{}
	set := func(name string, v any) {
		if text, ok := v.(string); ok {
			out[name] = text
		} else if b, err := json.Marshal(v); err == nil {
			out[name] = string(b)
		}
	}
	if l, ok := learn.LookupLearner(s.Learner); ok {
		for _, p := range l.Params {
			set(p.Name, p.Default)
		}
	}
	for name, v := range s.Params {
		if v != nil {
			set(name, v)
		}
	}
	out["learner"] = s.Learner
	if s.ClassWeight.Balanced {
		out["class_weight"] = "balanced"
	} else if len(s.ClassWeight.By) > 0 {
		set("class_weight", s.ClassWeight.By)
	}
	if s.Prepare != (learn.Prepare{}) {
		set("prepare", s.Prepare)
	}
	return out
}

// validate scores the model on the validation rows. Without any there is nothing to say; the names carry the part that they are of.
func validate(m *learn.Model, s TrainSpec) (map[string]assay.Number, error) {
	out := map[string]assay.Number{}
	valid := s.Data.Valid
	if valid == nil {
		return out, nil
	}
	names := s.Metrics
	if names == nil {
		names = defaultMetrics(s.Learn.Task)
	}
	in, err := input(m, s.Learn, *valid)
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		v, err := metric.Score(name, in)
		if err != nil {
			return nil, err
		}
		n := assay.Number(v.Value)
		if !v.Defined() {
			n = assay.Number(math.NaN())
		}
		out["validation."+name] = n
	}
	return out, nil
}

func defaultMetrics(t assay.Task) []string {
	switch t {
	case assay.Regression:
		return []string{"root_mean_squared_error", "mean_absolute_error", "r2_score"}
	case assay.Multiclass:
		return []string{"log_loss", "accuracy_score"}
	}
	return []string{"roc_auc_score", "average_precision_score", "log_loss", "brier_score_loss"}
}

// input puts a model's predictions on the rows beside their truth.
func input(m *learn.Model, s learn.Spec, d learn.Data) (metric.Input, error) {
	p, err := m.Predict(d.X)
	if err != nil {
		return metric.Input{}, err
	}
	positive := len(s.Target.Classes) - 1
	if s.Target.Positive != "" {
		positive = slices.Index(s.Target.Classes, s.Target.Positive)
	}
	p.Proba = slices.Clone(p.Proba) // a baseline shares its own
	normalize(p.Proba, len(p.Classes))
	return metric.Input{
		Task: s.Task, Classes: s.Target.Classes, Positive: positive, Truth: d.Labels, Labels: p.Labels, Proba: p.Proba,
		Target: d.Values, Values: p.Values, Weights: d.Weights,
	}, nil
}

// normalize makes rows of probabilities that sum to 1 in float32, as a model file computes them, sum to 1 in float64. The bound is the one
// that scikit-learn has for float32; rows beyond it are left for the metric to judge.
func normalize(proba []float64, classes int) {
	const float32Root = 3.4526698300124393e-4 // square root of the machine epsilon of float32
	for i := 0; classes > 0 && i+classes <= len(proba); i += classes {
		sum := 0.0
		for _, p := range proba[i : i+classes] {
			sum += p
		}
		if math.Abs(sum-1) <= float32Root {
			for j := range classes {
				proba[i+j] /= sum
			}
		}
	}
}
