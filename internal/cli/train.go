package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/dataset"
	"github.com/assay-ml/assay/internal/mlmodel"
	"github.com/assay-ml/assay/internal/run"
	"github.com/assay-ml/assay/internal/store"
	"github.com/assay-ml/assay/internal/table"
	"github.com/assay-ml/assay/learn"
	"github.com/assay-ml/assay/metric"
)

// trainStage trains a built-in learner on the training part, or on another file of the same columns, and records run and model.
func (s *session) trainStage(ctx context.Context, learner string, params map[string]any, file string, parents ...assay.Digest) (assay.Record, assay.Model, error) {
	if err := s.p.Data.Target.refuseOutside("no built-in learner is for", "train.command in assay.yaml, or assay eval FILE with predictions"); err != nil {
		return assay.Record{}, assay.Model{}, err
	}
	splitRec, split, err := s.splitEvidence(ctx)
	if err != nil {
		return assay.Record{}, assay.Model{}, err
	}
	var t *table.Table
	if file == "" {
		t, err = s.part(ctx, splitRec.ID, assay.Train)
	} else {
		var e *table.Engine
		if e, err = s.tables(ctx); err == nil {
			t, err = e.Read(ctx, s.p.Path(file), s.reading())
		}
	}
	if err != nil {
		return assay.Record{}, assay.Model{}, err
	}
	train, err := s.lesson(ctx, t, nil)
	if err != nil {
		return assay.Record{}, assay.Model{}, err
	}
	s.sayInexact(train.x)
	vt, err := s.part(ctx, splitRec.ID, assay.Valid)
	if err != nil {
		return assay.Record{}, assay.Model{}, err
	}
	valid, err := s.lesson(ctx, vt, train.classes)
	if err != nil {
		return assay.Record{}, assay.Model{}, err
	}
	sealed, err := s.sealedRows(ctx, t, func(r store.SealRecord) bool {
		return file == "" && (r.Split == splitRec.ID || slices.ContainsFunc(split.Alike, func(a assay.Alike) bool { return a.Split == r.Split }))
	})
	if err != nil {
		return assay.Record{}, assay.Model{}, err
	}
	spec, err := s.spec(learner, params, train)
	if err != nil {
		return assay.Record{}, assay.Model{}, err
	}
	data := train.lessonOf(learner)
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
		return assay.Record{}, assay.Model{}, assay.Errorf(assay.Unimplemented, "%s has no ONNX form and cannot be a model to register", learner).Try("evaluate.baseline in %s, which a model is held against without a file", ProjectFile)
	}
	m, err := assay.Decode[assay.Model](made.Model.Evidence)
	if err != nil {
		return made.Model, m, err
	}
	return made.Model, m, s.setCurrent(made.Model.ID)
}

// sayInexact says which features lose digits: whole numbers that float64, in which models read numbers, has no place for.
func (s *session) sayInexact(x assay.Frame) {
	var notes []table.Note
	for i := range x {
		if x[i].Type != assay.TypeInteger {
			continue
		}
		n := 0
		for _, v := range x[i].Floats {
			if math.Abs(v) >= exactInteger {
				n++
			}
		}
		if n > 0 {
			notes = append(notes, table.Note{Column: x[i].Name, Message: fmt.Sprintf("%s of %s whole numbers are beyond 2^53; a model takes them as the nearest floating-point number, so that some become equal. "+
				"Where they are codes, leave the column out (data.exclude) or write them as text.", assay.FormatCount(int64(n)), assay.FormatCount(int64(len(x[i].Floats))))})
		}
	}
	for _, n := range fewNotes(notes, "assay profile") {
		s.say("note: %s", n)
	}
}

// sealedRows counts the rows of a training table that are sealed, however they are written. Sets that skip names are left out: the training
// part of a split is held against its own test part by the leakage checks.
func (s *session) sealedRows(ctx context.Context, t *table.Table, skip func(store.SealRecord) bool) (int64, error) {
	l, err := dataset.NewLook(ctx, t, s.p.Data.Key, s.p.Data.Target.names()...)
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
	subject := section([]any{splitRec.ID, s.p.Train, s.p.Data.Category, s.p.unlearned(), s.p.Evaluate.Primary})
	r, err := s.write(ctx, assay.KindSearch, subject, []assay.Digest{splitRec.ID}, out)
	return r, best, err
}

// importedName is what a file that was made elsewhere is called as the output of its run: a model, or predictions in any of the formats
// that are read. A JSON file is XGBoost's when it begins as one.
func importedName(path string) (string, error) {
	base := filepath.Base(path)
	ext := strings.TrimPrefix(base, strings.SplitN(base, ".", 2)[0])
	switch ext {
	case ".onnx", ".ubj", ".txt":
		return "model" + ext, nil
	case ".json":
		f, err := os.Open(path)
		if err != nil {
			return "", assay.Errorf(assay.Unavailable, "%s cannot be read: %w", base, bare(err))
		}
		defer f.Close()
		head := make([]byte, 4096)
		n, err := io.ReadFull(f, head)
		if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF) {
			return "", assay.Errorf(assay.Unavailable, "%s cannot be read: %w", base, bare(err))
		}
		if strings.HasPrefix(strings.TrimSpace(string(head[:n])), "{") && strings.Contains(string(head[:n]), `"learner"`) {
			return "model.json", nil
		}
	}
	return "predictions" + ext, nil
}

// offerModel holds what is to be imported: a file, or the archive of an MLflow directory, under the name of the output of a run.
func (s *session) offerModel(path string) (d assay.Digest, bytes int64, name string, err error) {
	if isMLflow(path) {
		b, err := mlmodel.Pack(path)
		if err != nil {
			return "", 0, "", err
		}
		return s.offerBytes(b), int64(len(b)), mlmodel.ArchiveName, nil
	}
	if name, err = importedName(path); err != nil {
		return "", 0, "", err
	}
	d, bytes, err = s.offer(path)
	return d, bytes, name, err
}

// usable tries to open a model file. What only Python can load is tried when it is used.
func (s *session) usable(ctx context.Context, f assay.File) error {
	dir, err := s.directory(ctx, f)
	if err != nil || dir != nil && dir.Native == nil {
		return err
	}
	p, err := s.predictor(ctx, assay.Model{File: f})
	if err != nil {
		return err
	}
	return p.Close()
}

// isMLflow reports whether a path is a directory of MLflow.
func isMLflow(path string) bool {
	st, err := os.Stat(filepath.Join(path, mlmodel.FileName))
	return err == nil && st.Mode().IsRegular()
}

// importFile makes a model of a file that was made elsewhere: a model of ONNX, XGBoost or LightGBM, a directory of MLflow,
// or predictions with the key. Nothing is known of the run that made it, and its evidence says so, so that the gate does not take it for a logged experiment.
func (s *session) importFile(ctx context.Context, path string) (assay.Record, assay.Model, error) {
	splitRec, _, err := s.splitEvidence(ctx)
	if err != nil {
		return assay.Record{}, assay.Model{}, err
	}
	d, n, name, err := s.offerModel(path)
	if err != nil {
		return assay.Record{}, assay.Model{}, err
	}
	if run.IsModel(name) {
		if err := s.usable(ctx, assay.File{Name: name, Bytes: n, Digest: d}); err != nil {
			hint := "export the model as ONNX again, or give its predictions as .csv or .parquet"
			if assay.CodeOf(err) == assay.Unimplemented && assay.HintOf(err) != "" {
				hint = assay.HintOf(err)
			}
			return assay.Record{}, assay.Model{}, assay.Errorf(assay.CodeOf(err), "%s is no model that can be used: %w", filepath.Base(path), err).Try("%s", hint)
		}
	}
	config, err := s.keepBytes(ctx, []byte("{}")) // nothing was configured
	if err != nil {
		return assay.Record{}, assay.Model{}, err
	}
	spec := assay.RunSpec{Command: []string{"assay", "import"}, Config: config, Inputs: map[string]assay.Digest{"data": splitRec.Subject, "split": splitRec.ID, "file": d}}
	r, err := s.write(ctx, assay.KindRun, section(spec), []assay.Digest{splitRec.ID}, assay.Run{
		Spec: spec, Status: run.Finished, Params: map[string]string{}, Metrics: map[string]assay.Number{}, Outputs: []assay.File{{Name: name, Bytes: n, Digest: d}}, Model: d,
		Seeded: []string{}, Unseeded: []string{}, Missing: []string{"no_run"},
	})
	if err != nil {
		return r, assay.Model{}, err
	}
	tt, err := s.part(ctx, splitRec.ID, assay.Train)
	if err != nil {
		return r, assay.Model{}, err
	}
	train, err := s.lesson(ctx, tt, nil)
	if err != nil {
		return r, assay.Model{}, err
	}
	positive, _, err := s.positive(train.classes)
	if err != nil {
		return r, assay.Model{}, err
	}
	ev, err := run.ModelOf(r, run.ModelSpec{
		Learner: "imported", Task: s.p.Data.Target.Task, Target: s.p.Data.Target.String(), Classes: train.classes, Positive: positive,
		Dataset: splitRec.Subject, Split: splitRec.ID, File: name, Open: s.openModel,
	}, func(f assay.File) ([]byte, error) { return s.modelBytes(ctx, f) })
	if err != nil {
		return r, assay.Model{}, err
	}
	rec, err := s.append(ctx, ev)
	if err != nil {
		return rec, assay.Model{}, err
	}
	m, err := assay.Decode[assay.Model](rec.Evidence)
	return rec, m, err
}

// adopt makes a model that was imported the current one, once its answers have been used without an error.
func (s *session) adopt(ref string, rec assay.Record) error {
	if ref == "" || !s.importable(ref) {
		return nil
	}
	return s.setCurrent(rec.ID)
}

// importable reports whether a reference to a model is a file to import.
func (s *session) importable(ref string) bool {
	base := filepath.Base(ref)
	known := slices.ContainsFunc([]string{".onnx", ".ubj", ".txt", ".parquet", ".csv", ".csv.gz", ".jsonl", ".json"}, func(ext string) bool { return strings.HasSuffix(base, ext) })
	st, err := os.Stat(s.path(ref))
	return known && err == nil && st.Mode().IsRegular() || isMLflow(s.path(ref))
}
