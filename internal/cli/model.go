package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/blob"
	"github.com/assay-ml/assay/internal/dataset"
	"github.com/assay-ml/assay/internal/eval"
	"github.com/assay-ml/assay/internal/run"
	"github.com/assay-ml/assay/internal/store"
	"github.com/assay-ml/assay/internal/table"
	"github.com/assay-ml/assay/learn"
	"github.com/assay-ml/assay/metric"
)

// maxModelBytes bounds a model file.
const maxModelBytes = 1 << 30

// A lesson is a part of a split in memory: what a learner trains on or a metric scores.
type lesson struct {
	x       assay.Frame
	target  assay.Type
	classes []string // of a classification
	label   []int32
	value   []float64
}

// lesson reads features and labels of a part. classes fixes the order of the classes; nil takes them from the part.
func (s *session) lesson(ctx context.Context, t *table.Table, classes []string) (*lesson, error) {
	x, err := t.Frame(ctx, s.p.features(t.Fields()), "")
	if err != nil {
		return nil, err
	}
	y, err := t.Frame(ctx, []string{s.p.Data.Target.Column}, "")
	if err != nil {
		return nil, err
	}
	l := &lesson{x: x, target: y[0].Type, classes: classes}
	return l, s.label(l, &y[0])
}

// label fills in the truth from the target column.
func (s *session) label(l *lesson, y *assay.Column) error {
	name := s.p.Data.Target.Column
	if !s.p.Data.Target.Task.Classifies() {
		if y.Floats == nil {
			return assay.Errorf(assay.Rejected, "target %q is a %s; a regression needs numbers", name, y.Type)
		}
		l.value = y.Floats
		for i, v := range l.value {
			if math.IsNaN(v) || math.IsInf(v, 0) {
				return assay.Errorf(assay.Rejected, "target %q is not a finite number in row %d", name, i+1)
			}
		}
		return nil
	}
	codes, labels := dataset.Classes(y)
	if l.classes == nil {
		l.classes = labels
	}
	if len(l.classes) < 2 {
		return assay.Errorf(assay.Rejected, "target %q has one class only: there is nothing to learn", name)
	}
	if s.p.Data.Target.Task == assay.Binary && len(l.classes) != 2 {
		return assay.Errorf(assay.Rejected, "target %q has %d classes; a binary task has 2", name, len(l.classes)).Try("data.target.task: multiclass")
	}
	to := make([]int32, len(labels))
	for i, c := range labels {
		at := slices.Index(l.classes, c)
		if at < 0 {
			return assay.Errorf(assay.Rejected, "target %q has a class that training did not", name)
		}
		to[i] = int32(at)
	}
	l.label = make([]int32, len(codes))
	for i, c := range codes {
		if c < 0 {
			return assay.Errorf(assay.Rejected, "target %q has no value in row %d", name, i+1)
		}
		l.label[i] = to[c]
	}
	return nil
}

func (l *lesson) data() learn.Data {
	return learn.Data{X: l.x, Labels: l.label, Values: l.value}
}

// positive is the positive class of a binary task: as stated, or the last one.
func (s *session) positive(classes []string) (string, int, error) {
	if s.p.Data.Target.Task != assay.Binary {
		return "", 0, nil
	}
	want := string(s.p.Data.Target.Positive)
	if want == "" {
		return classes[len(classes)-1], len(classes) - 1, nil
	}
	at := slices.Index(classes, want)
	if at < 0 {
		return "", 0, assay.Errorf(assay.Invalid, "data.target.positive %q is not a class of %q; the classes are %v", want, s.p.Data.Target.Column, classes)
	}
	return want, at, nil
}

// spec is what a built-in learner is told.
func (s *session) spec(learner string, params map[string]any, l *lesson) (learn.Spec, error) {
	positive, _, err := s.positive(l.classes)
	return learn.Spec{
		Learner: learner, Task: s.p.Data.Target.Task, Params: params, Seed: s.p.Train.Seed, Threads: s.threads,
		Target:      learn.Target{Name: s.p.Data.Target.Column, Type: l.target, Classes: l.classes, Positive: positive},
		Categorical: slices.DeleteFunc(slices.Clone(s.p.Data.Category), func(c string) bool { return l.x.Column(c) == nil }),
		ClassWeight: learn.ClassWeight{Balanced: s.p.Train.Weight == "balanced"},
	}, err
}

// baseline answers the rows of x as the baseline does that was fitted on the training part.
func (s *session) baseline(ctx context.Context, train *lesson, x assay.Frame, positive int) (learn.Prediction, error) {
	if expr, ok := strings.CutPrefix(s.p.Evaluate.Baseline, rulePrefix); ok {
		return s.ruleBaseline(strings.TrimSpace(expr), train, x, train.classes, positive)
	}
	spec, err := s.spec(s.p.Evaluate.Baseline, nil, train)
	if err != nil {
		return learn.Prediction{}, err
	}
	spec.ClassWeight = learn.ClassWeight{}
	m, err := learn.Fit(ctx, spec, train.data())
	if err != nil {
		return learn.Prediction{}, err
	}
	return m.Predict(x)
}

// trainStage trains a built-in learner on the training part, or on another file of the same columns, and records run and model.
func (s *session) trainStage(ctx context.Context, learner string, params map[string]any, file string, parents ...assay.Digest) (assay.Record, assay.Model, error) {
	splitRec, _, err := s.splitEvidence(ctx)
	if err != nil {
		return assay.Record{}, assay.Model{}, err
	}
	var t *table.Table
	if file == "" {
		t, err = s.part(ctx, splitRec.ID, assay.Train)
	} else {
		var e *table.Engine
		if e, err = s.tables(ctx); err == nil {
			t, err = e.Read(ctx, s.p.Path(file), s.p.readOptions(s.app))
		}
	}
	if err != nil {
		return assay.Record{}, assay.Model{}, err
	}
	train, err := s.lesson(ctx, t, nil)
	if err != nil {
		return assay.Record{}, assay.Model{}, err
	}
	vt, err := s.part(ctx, splitRec.ID, assay.Valid)
	if err != nil {
		return assay.Record{}, assay.Model{}, err
	}
	valid, err := s.lesson(ctx, vt, train.classes)
	if err != nil {
		return assay.Record{}, assay.Model{}, err
	}
	sealed, err := s.sealedRows(ctx, t, func(r store.SealRecord) bool { return file == "" && r.Split == splitRec.ID })
	if err != nil {
		return assay.Record{}, assay.Model{}, err
	}
	spec, err := s.spec(learner, params, train)
	if err != nil {
		return assay.Record{}, assay.Model{}, err
	}
	data := train.data()
	held := valid.data()
	data.Valid = &held
	trained, err := t.ContentDigest(ctx)
	if err != nil {
		return assay.Record{}, assay.Model{}, err
	}
	config, err := json.Marshal(map[string]any{"learner": learner, "params": params, "seed": s.p.Train.Seed, "class_weight": s.p.Train.Weight, "categorical": s.p.Data.Category, "exclude": s.p.Data.Exclude})
	if err != nil {
		return assay.Record{}, assay.Model{}, assay.Errorf(assay.Invalid, "train.params cannot be written as JSON: %w", err)
	}
	made, err := run.Train(ctx, run.TrainSpec{
		Learn: spec, Data: data, Config: config, Metrics: s.p.Evaluate.Metrics, Dataset: splitRec.Subject, Split: splitRec.ID, SealedRows: sealed,
		Inputs:  map[string]assay.Digest{"data": splitRec.Subject, "split": splitRec.ID, "train": trained},
		Parents: append(parents, splitRec.ID), Version: Version, Clock: s.Now, Machine: s.Machine,
	}, s.st)
	if err != nil {
		return assay.Record{}, assay.Model{}, err
	}
	if made.Model.ID == "" {
		return assay.Record{}, assay.Model{}, assay.Errorf(assay.Unimplemented, "%s has no ONNX form and cannot be a model to register", learner)
	}
	m, err := assay.Decode[assay.Model](made.Model.Evidence)
	if err != nil {
		return made.Model, m, err
	}
	return made.Model, m, s.setCurrent(made.Model.ID)
}

// sealedRows counts the rows of a training table that are sealed, however they are written. Sets that skip names are left out: the training
// part of a split is held against its own test part by the leakage checks.
func (s *session) sealedRows(ctx context.Context, t *table.Table, skip func(store.SealRecord) bool) (int64, error) {
	l, err := dataset.NewLook(ctx, t, s.p.Data.Key, s.p.Data.Target.Column)
	if err != nil {
		return 0, err
	}
	over, err := s.sightings(ctx, l, l.All(), skip)
	if err != nil {
		return 0, err
	}
	var most int64
	for _, o := range over {
		most = max(most, o.rows)
	}
	return most, nil
}

// truth is the part as the evaluation sees it.
func (s *session) truth(l *lesson, positive int, columns assay.Frame) *eval.Truth {
	return &eval.Truth{Task: s.p.Data.Target.Task, Classes: l.classes, Positive: positive, Class: l.label, Value: l.value, Columns: columns}
}

func scoresOf(name string, p learn.Prediction) *eval.Scores {
	return &eval.Scores{Name: name, Proba: p.Proba, Value: p.Values}
}

func (s *session) evalOptions() eval.Options {
	e := s.p.Evaluate
	o := eval.Options{
		Metrics: e.Metrics, Primary: e.Primary, Slices: e.Slices, Sensitive: s.p.Data.Sensitive, Threshold: *e.Threshold, Level: e.Level,
		Replicates: e.Replicates, Seed: e.Seed, Threads: s.threads, MinRows: e.MinRows,
	}
	if b := e.Business; b != nil {
		o.Business = &eval.Business{Name: b.Name, Expr: b.Expr, Higher: b.Direction == "higher"}
	}
	for _, c := range s.p.Data.Sensitive {
		if !slices.Contains(o.Slices, c) {
			o.Slices = append(slices.Clone(o.Slices), c)
		}
	}
	return o
}

// splitEvidence returns the newest split of the data as it is now.
func (s *session) splitEvidence(ctx context.Context) (assay.Record, assay.Split, error) {
	_, snap, err := s.snapshot(ctx)
	if err != nil {
		return assay.Record{}, assay.Split{}, err
	}
	r, err := s.need(ctx, assay.KindSplit, snap.Content, "assay split")
	if err != nil {
		return assay.Record{}, assay.Split{}, err
	}
	split, err := assay.Decode[assay.Split](r.Evidence)
	return *r, split, err
}

// model finds a model by what a person types: nothing (the newest of this data), a digest or its beginning, NAME, NAME@STAGE or
// NAME:VERSION.
func (s *session) model(ctx context.Context, ref string) (assay.Record, assay.Model, error) {
	var rec *assay.Record
	switch {
	case ref == "":
		splitRec, _, err := s.splitEvidence(ctx)
		if err != nil {
			return assay.Record{}, assay.Model{}, err
		}
		if rec, err = s.currentModel(ctx, splitRec.ID); err != nil {
			return assay.Record{}, assay.Model{}, err
		}
		if rec == nil {
			return assay.Record{}, assay.Model{}, assay.Errorf(assay.NotFound, "no model of split %s yet", splitRec.ID.Short()).Try("assay train")
		}
	default:
		if v, err := s.version(ctx, ref); err == nil {
			r, err := s.st.Get(ctx, v.Evidence)
			if err != nil {
				return assay.Record{}, assay.Model{}, err
			}
			rec = &r
			break
		} else if assay.CodeOf(err) != assay.NotFound {
			return assay.Record{}, assay.Model{}, err
		}
		all, err := s.st.Find(ctx, store.Query{Kind: assay.KindModel})
		if err != nil {
			return assay.Record{}, assay.Model{}, err
		}
		for i := range all {
			if matches(all[i].ID, ref) || matches(all[i].Subject, ref) {
				if rec != nil && rec.Subject != all[i].Subject {
					return assay.Record{}, assay.Model{}, assay.Errorf(assay.Invalid, "%q is the beginning of several models", ref).Try("assay model list")
				}
				rec = &all[i]
			}
		}
		if rec == nil {
			return assay.Record{}, assay.Model{}, assay.Errorf(assay.NotFound, "no model %q: neither a version, a digest nor the beginning of one", ref).Try("assay model list")
		}
	}
	m, err := assay.Decode[assay.Model](rec.Evidence)
	return *rec, m, err
}

// currentFile remembers, in the store's directory, the model that was trained last: evidence of a repeated training is old, and the
// newest evidence may be about another model.
const currentFile = "current.json"

type current struct {
	Model assay.Digest `json:"model"` // evidence id
}

func (s *session) setCurrent(id assay.Digest) error {
	b, err := json.Marshal(current{id})
	if err != nil {
		return assay.Errorf(assay.Internal, "the current model cannot be noted: %w", err)
	}
	path := filepath.Join(s.p.Path(s.p.Store), currentFile)
	if err := os.WriteFile(path+".new", append(b, '\n'), 0o644); err != nil {
		return assay.Errorf(assay.Unavailable, "the current model cannot be noted: %w", err)
	}
	return os.Rename(path+".new", path)
}

// currentModel is the model that was trained last, when it belongs to the split, else the newest model of the split, or nil.
func (s *session) currentModel(ctx context.Context, split assay.Digest) (*assay.Record, error) {
	if b, err := os.ReadFile(filepath.Join(s.p.Path(s.p.Store), currentFile)); err == nil {
		var c current
		if json.Unmarshal(b, &c) == nil {
			if r, err := s.st.Get(ctx, c.Model); err == nil {
				if m, err := assay.Decode[assay.Model](r.Evidence); err == nil && m.Split == split {
					return &r, nil
				}
			}
		}
	}
	all, err := s.st.Find(ctx, store.Query{Kind: assay.KindModel})
	if err != nil {
		return nil, err
	}
	for i := range all {
		m, err := assay.Decode[assay.Model](all[i].Evidence)
		if err != nil {
			return nil, err
		}
		if m.Split == split {
			return &all[i], nil
		}
	}
	return nil, nil
}

func matches(d assay.Digest, prefix string) bool {
	h := d.Hex()
	p := assay.Digest(prefix).Hex()
	return len(p) >= 4 && len(p) <= len(h) && h[:len(p)] == p
}

// program loads the model file.
func (s *session) program(ctx context.Context, m assay.Model) (*learn.Program, error) {
	b, err := blob.ReadAll(ctx, s.st.Blobs(), m.File.Digest, maxModelBytes)
	if err != nil {
		return nil, err
	}
	return learn.LoadONNX(b)
}

// scored is a model and its baseline on one part.
type scored struct {
	truth    *eval.Truth
	model    *eval.Scores
	baseline *eval.Scores
	rows     assay.Digest
}

// score predicts a part of the split with a model and with the baseline. labels holds the truth of the sealed part; for the other
// parts it is nil and the truth is in the part.
func (s *session) score(ctx context.Context, splitRec assay.Record, split assay.Split, part string, m assay.Model, labels *table.Table) (*scored, error) {
	tt, err := s.part(ctx, splitRec.ID, assay.Train)
	if err != nil {
		return nil, err
	}
	train, err := s.lesson(ctx, tt, m.Classes)
	if err != nil {
		return nil, err
	}
	t, err := s.part(ctx, splitRec.ID, part)
	if err != nil {
		return nil, err
	}
	l := &lesson{classes: m.Classes}
	if labels == nil {
		if l, err = s.lesson(ctx, t, m.Classes); err != nil {
			return nil, err
		}
	} else {
		if l.x, err = t.Frame(ctx, s.p.features(t.Fields()), ""); err != nil {
			return nil, err
		}
		y, err := labels.Frame(ctx, []string{s.p.Data.Target.Column}, "")
		if err != nil {
			return nil, err
		}
		if y.Rows() != l.x.Rows() {
			return nil, assay.Errorf(assay.Internal, "%d sealed labels for %d test rows", y.Rows(), l.x.Rows()).Try("assay fsck")
		}
		if err := s.label(l, &y[0]); err != nil {
			return nil, err
		}
	}
	prog, err := s.program(ctx, m)
	if err != nil {
		return nil, err
	}
	p, err := prog.Predict(l.x)
	if err != nil {
		return nil, err
	}
	if err := s.checkPredictions(ctx, splitRec, m, p); err != nil {
		return nil, err
	}
	_, positive, err := s.positive(m.Classes)
	if err != nil {
		return nil, err
	}
	bp, err := s.baseline(ctx, train, l.x, positive)
	if err != nil {
		return nil, err
	}
	columns, err := t.Frame(ctx, fieldNames(t.Fields()), "")
	if err != nil {
		return nil, err
	}
	out := &scored{truth: s.truth(l, positive, columns), model: scoresOf(m.Learner, p), baseline: scoresOf(s.p.Evaluate.Baseline, bp)}
	if e := s.p.Data.Entity; e != "" {
		codes, _ := dataset.Classes(columns.Column(e))
		out.truth.Name = e
		out.truth.Entity = make([]int32, len(codes))
		for i, c := range codes {
			out.truth.Entity[i] = int32(c)
		}
	}
	for _, sp := range split.Parts {
		if sp.Name == part {
			out.rows = sp.IDs
		}
	}
	return out, nil
}

func fieldNames(fields []assay.Field) []string {
	out := make([]string, len(fields))
	for i, f := range fields {
		out[i] = f.Name
	}
	return out
}

// evalStage evaluates a model on the validation part, or, when final, on the sealed test part.
func (s *session) evalStage(ctx context.Context, ref string, final bool, reason string) (assay.Record, assay.Evaluation, error) {
	rec, m, err := s.model(ctx, ref)
	if err != nil {
		return rec, assay.Evaluation{}, err
	}
	splitRec, split, err := s.splitOf(ctx, m)
	if err != nil {
		return rec, assay.Evaluation{}, err
	}
	o := s.evalOptions()
	parents := []assay.Digest{rec.ID, splitRec.ID}
	part := assay.Valid
	read := 0
	var labels *table.Table
	if final {
		part = assay.Test
		disclosure, dl, err := s.disclose(ctx, rec, splitRec, split, o, reason)
		if err != nil {
			return rec, assay.Evaluation{}, err
		}
		parents = append(parents, disclosure.ID)
		o.Level, read = dl.Level, dl.Read
		if labels, err = s.sealedLabels(ctx, disclosure.ID); err != nil {
			return rec, assay.Evaluation{}, err
		}
	}
	sc, err := s.score(ctx, splitRec, split, part, m, labels)
	if err != nil {
		return rec, assay.Evaluation{}, err
	}
	e, err := eval.Evaluate(ctx, sc.truth, sc.model, sc.baseline, o)
	if err != nil {
		return rec, e, err
	}
	e.Data, e.Split, e.Part, e.Rows, e.Final, e.Read = splitRec.Subject, splitRec.ID, part, sc.rows, final, read
	r, err := s.write(ctx, assay.KindEvaluation, rec.Subject, parents, e)
	return r, e, err
}

func (s *session) splitOf(ctx context.Context, m assay.Model) (assay.Record, assay.Split, error) {
	r, err := s.st.Get(ctx, m.Split)
	if err != nil {
		return r, assay.Split{}, err
	}
	split, err := assay.Decode[assay.Split](r.Evidence)
	return r, split, err
}

// disclose spends a read of the sealed labels, or finds that this read was made before.
func (s *session) disclose(ctx context.Context, rec, splitRec assay.Record, split assay.Split, o eval.Options, reason string) (assay.Record, assay.Disclosure, error) {
	var rows assay.Digest
	for _, p := range split.Parts {
		if p.Name == assay.Test {
			rows = p.IDs
		}
	}
	metrics := slices.Clone(o.Metrics)
	if o.Business != nil {
		metrics = append(metrics, o.Business.Name)
	}
	r, again, err := s.st.Disclose(ctx, store.DisclosureRequest{Model: rec.Subject, Split: splitRec.ID, Rows: rows, Metrics: metrics, Reason: reason, Alpha: 1 - s.p.Evaluate.Level, Context: s.circumstances()})
	if err != nil {
		return r, assay.Disclosure{}, err
	}
	d, err := assay.Decode[assay.Disclosure](r.Evidence)
	if err == nil && again {
		s.say("These test labels were read for this model before; nothing is spent.")
	}
	return r, d, err
}

// sealedLabels reads the labels that a disclosure gives access to.
func (s *session) sealedLabels(ctx context.Context, disclosure assay.Digest) (*table.Table, error) {
	in, err := s.st.SealedLabels(ctx, disclosure)
	if err != nil {
		return nil, err
	}
	defer in.Close()
	dir, err := os.MkdirTemp("", "assay-labels-")
	if err != nil {
		return nil, assay.Errorf(assay.Unavailable, "a temporary folder cannot be made: %w", err)
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "labels.parquet")
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_EXCL, 0o600)
	if err != nil {
		return nil, assay.Errorf(assay.Unavailable, "a temporary file cannot be written: %w", err)
	}
	if _, err := f.ReadFrom(in); err != nil {
		f.Close()
		return nil, assay.Errorf(assay.Unavailable, "the sealed labels cannot be read: %w", err)
	}
	if err := f.Close(); err != nil {
		return nil, assay.Errorf(assay.Unavailable, "a temporary file cannot be written: %w", err)
	}
	e, err := s.tables(ctx)
	if err != nil {
		return nil, err
	}
	return e.Read(ctx, path, table.ReadOptions{})
}

// compareStage holds a model against the version in production on the sealed rows, or against the baseline when none is there. It
// uses the disclosure of the model's final evaluation, so that it spends no read of its own.
func (s *session) compareStage(ctx context.Context, ref, other string) (assay.Record, assay.Comparison, error) {
	rec, m, err := s.model(ctx, ref)
	if err != nil {
		return rec, assay.Comparison{}, err
	}
	splitRec, split, err := s.splitOf(ctx, m)
	if err != nil {
		return rec, assay.Comparison{}, err
	}
	finals, err := s.finalOf(ctx, rec.Subject, splitRec.ID)
	if err != nil {
		return rec, assay.Comparison{}, err
	}
	o := s.evalOptions()
	var labels *table.Table
	part := assay.Valid
	parents := []assay.Digest{rec.ID, splitRec.ID}
	if finals != nil {
		part = assay.Test
		e, err := assay.Decode[assay.Evaluation](finals.Evidence)
		if err != nil {
			return rec, assay.Comparison{}, err
		}
		o.Level = e.Level
		parents = append(parents, finals.ID)
		disclosure, err := s.need(ctx, assay.KindDisclosure, rec.Subject, "assay eval --final")
		if err != nil {
			return rec, assay.Comparison{}, err
		}
		if labels, err = s.sealedLabels(ctx, disclosure.ID); err != nil {
			return rec, assay.Comparison{}, err
		}
	}
	sc, err := s.score(ctx, splitRec, split, part, m, labels)
	if err != nil {
		return rec, assay.Comparison{}, err
	}
	reference, digest, err := s.reference(ctx, rec, other, sc)
	if err != nil {
		return rec, assay.Comparison{}, err
	}
	if reference == nil {
		reference = sc.baseline
	} else {
		parents = append(parents, digest.id)
	}
	c, err := eval.Compare(ctx, sc.truth, sc.model, reference, s.p.Gate.Margin, o)
	if err != nil {
		return rec, c, err
	}
	c.Candidate, c.Reference, c.Split, c.Rows = rec.Subject, digest.model, splitRec.ID, sc.rows
	r, err := s.write(ctx, assay.KindComparison, rec.Subject, parents, c)
	return r, c, err
}

type other struct{ model, id assay.Digest }

// reference scores the model that the candidate is held against: the one named, else the one in production; nil for the baseline.
func (s *session) reference(ctx context.Context, rec assay.Record, name string, sc *scored) (*eval.Scores, other, error) {
	if name == "" {
		incumbent, err := s.incumbent(ctx, s.p.Name, rec.Subject)
		if err != nil || incumbent == "" {
			return nil, other{}, err
		}
		all, err := s.st.VersionsOf(ctx, incumbent)
		if err != nil {
			return nil, other{}, err
		}
		at := slices.IndexFunc(all, func(v store.Version) bool { return v.Name == s.p.Name })
		if at < 0 {
			return nil, other{}, assay.Errorf(assay.Unavailable, "model %s lost its version while it was compared with", incumbent.Short()).Try("assay compare")
		}
		v := all[at]
		name = fmt.Sprintf("%s:%d", v.Name, v.Number)
	}
	orec, om, err := s.model(ctx, name)
	if err != nil {
		return nil, other{}, err
	}
	prog, err := s.program(ctx, om)
	if err != nil {
		return nil, other{}, err
	}
	p, err := prog.Predict(sc.truth.Columns)
	if err != nil {
		return nil, other{}, err
	}
	return scoresOf(name, p), other{orec.Subject, orec.ID}, nil
}

// finalOf returns the newest evaluation of a model on the sealed part of a split, or nil.
func (s *session) finalOf(ctx context.Context, model, split assay.Digest) (*assay.Record, error) {
	all, err := s.st.Find(ctx, store.Query{Kind: assay.KindEvaluation, Subject: model})
	if err != nil {
		return nil, err
	}
	for i := range all {
		e, err := assay.Decode[assay.Evaluation](all[i].Evidence)
		if err != nil {
			return nil, err
		}
		if e.Final && e.Split == split {
			return &all[i], nil
		}
	}
	return nil, nil
}

// trainProject trains what assay.yaml asks for: the learner, or the best of the candidates by cross-validation on the training part.
func (s *session) trainProject(ctx context.Context) (assay.Record, assay.Model, error) {
	t := s.p.Train
	if len(t.Compare) == 0 {
		return s.trainStage(ctx, t.Learner, t.Params, "")
	}
	r, best, err := s.choose(ctx)
	if err != nil {
		return assay.Record{}, assay.Model{}, err
	}
	var params map[string]any
	if best == t.Learner {
		params = t.Params
	}
	return s.trainStage(ctx, best, params, "", r.ID)
}

// choose cross-validates the candidates on the training part and records the comparison.
func (s *session) choose(ctx context.Context) (assay.Record, string, error) {
	splitRec, _, err := s.splitEvidence(ctx)
	if err != nil {
		return assay.Record{}, "", err
	}
	tt, err := s.part(ctx, splitRec.ID, assay.Train)
	if err != nil {
		return assay.Record{}, "", err
	}
	train, err := s.lesson(ctx, tt, nil)
	if err != nil {
		return assay.Record{}, "", err
	}
	def, err := metric.Find(s.p.Evaluate.Primary)
	if err != nil {
		return assay.Record{}, "", err
	}
	out := assay.Search{Sampler: "candidates", Pruner: "none", Seed: s.p.Train.Seed, Metric: def.Name, Direction: "lower", Trials: []assay.Trial{}}
	if def.Higher {
		out.Direction = "higher"
	}
	best := ""
	for i, learner := range s.p.Train.Compare {
		var params map[string]any
		if learner == s.p.Train.Learner {
			params = s.p.Train.Params
		}
		spec, err := s.spec(learner, params, train)
		if err != nil {
			return assay.Record{}, "", err
		}
		cv, err := learn.CrossValidate(ctx, spec, train.data(), learn.CrossValidation{Metrics: []string{def.Name}, Splits: s.p.Train.Folds, Level: s.p.Evaluate.Level})
		if err != nil {
			return assay.Record{}, "", err
		}
		score := cv.Scores[0].Estimate
		out.Trials = append(out.Trials, assay.Trial{Number: i, Params: map[string]string{"learner": learner}, State: "complete", Value: assay.Number(score.Value)})
		s.say("  %d-fold cross-validation of %s: %s %s", s.p.Train.Folds, learner, def.Name, score)
		better := best == "" || (score.Value > out.BestScore.Value) == def.Higher && score.Value != out.BestScore.Value
		if score.Defined() && better {
			best, out.BestScore = learner, score
			out.Best = map[string]string{"learner": learner}
		}
	}
	if best == "" {
		return assay.Record{}, "", assay.Errorf(assay.Rejected, "%s is undefined for every candidate", def.Name)
	}
	subject := section([]any{splitRec.ID, s.p.Train, s.p.Data.Category, s.p.Data.Exclude, s.p.Evaluate.Primary})
	r, err := s.write(ctx, assay.KindSearch, subject, []assay.Digest{splitRec.ID}, out)
	return r, best, err
}
