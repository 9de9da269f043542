package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/blob"
	"github.com/assay-ml/assay/internal/eval"
	"github.com/assay-ml/assay/internal/table"
	"github.com/assay-ml/assay/learn"
	"github.com/assay-ml/assay/stat"
)

// predictor opens the model file of a model. It is to be closed.
func (s *session) predictor(ctx context.Context, m assay.Model) (*learn.Predictor, error) {
	dir, err := s.directory(ctx, m.File)
	if err != nil {
		return nil, err
	}
	if dir != nil {
		if dir.Native == nil {
			return nil, assay.Errorf(assay.Internal, "a python_function was opened as a file of a model")
		}
		b, err := dir.NativeFile()
		if err != nil {
			return nil, err
		}
		return s.openNamed(m, b)
	}
	b, err := s.modelBytes(ctx, m.File)
	if err != nil {
		return nil, err
	}
	return s.openNamed(m, b)
}

// openNamed opens the file of a model. A classifier of ONNX that does not say its classes has those of the target, in their order.
func (s *session) openNamed(m assay.Model, b []byte) (*learn.Predictor, error) {
	p, err := s.openModel(b)
	if err == nil && p.Format() == learn.FormatONNX {
		p.SetClasses(m.Classes)
		for _, text := range p.Cautions() {
			s.say("%s", text)
		}
	}
	return p, err
}

// predictions are a model's answers to the rows of x. A file that knows its classes by number alone answers with the target's.
func (s *session) predictions(ctx context.Context, m assay.Model, x assay.Frame) (learn.Prediction, error) {
	if onlyPredictions(m) {
		return learn.Prediction{}, assay.Errorf(assay.Refused, "model %s is a file of predictions: it says nothing of other rows", m.File.Digest.Short()).Try("register the model itself, as ONNX")
	}
	if isPython(m) {
		p, err := s.pythonModel(ctx, m)
		if err != nil {
			return learn.Prediction{}, err
		}
		defer p.Close()
		return p.PredictParallel(ctx, x, s.workers())
	}
	p, err := s.predictor(ctx, m)
	if err != nil {
		return learn.Prediction{}, err
	}
	defer p.Close()
	// A signature's columns in its order are the matrix; without names for them an ONNX model says itself what it takes.
	if m.Format == "mlflow" && len(m.Inputs) > 0 && (m.Signed == "columns" || p.Format() != learn.FormatONNX) {
		if x, err = signed(x, m.Inputs); err != nil {
			return learn.Prediction{}, err
		}
	}
	x = s.matrix(p, x)
	if m.Task == assay.Multilabel {
		return p.PredictLabels(ctx, x, m.Classes, s.workers())
	}
	out, err := p.PredictParallel(ctx, x, s.workers())
	if err == nil && p.Format() != learn.FormatONNX && len(out.Classes) == len(m.Classes) {
		out.Classes = m.Classes
	}
	return out, err
}

// matrix leaves a model that takes one matrix, and does not name its columns, those of the project's features where they are as many.
func (s *session) matrix(p *learn.Predictor, x assay.Frame) assay.Frame {
	in := p.Inputs()
	if len(in) != 1 || len(in[0].Columns) > 0 || len(in[0].Shape) != 2 || in[0].Shape[1] < 2 || in[0].Shape[1] == len(x) {
		return x
	}
	fields := make([]assay.Field, len(x))
	for i := range x {
		fields[i].Name = x[i].Name
	}
	var out assay.Frame
	for _, name := range s.p.features(fields) {
		out = append(out, *x.Column(name))
	}
	if len(out) != in[0].Shape[1] {
		return x
	}
	return out
}

// signed are the columns of a table that a signature lists, in its order.
func signed(x assay.Frame, fields []assay.Field) (assay.Frame, error) {
	var out assay.Frame
	var lacks []string
	for _, f := range fields {
		if c := x.Column(f.Name); c != nil {
			out = append(out, *c)
		} else {
			lacks = append(lacks, fmt.Sprintf("%q", f.Name))
		}
	}
	if len(lacks) > 0 {
		return nil, assay.Errorf(assay.Rejected, "the data lacks %s, which the model's signature lists", some(lacks)).Try("assay schema show")
	}
	return out, nil
}

// answers are a model's scores for the rows of a part: what its file computes, or what its predictions file says. They are held
// against the schema of predictions before anything is made of them.
func (s *session) answers(ctx context.Context, name string, splitRec assay.Record, m assay.Model, part *table.Table, t *eval.Truth) (*eval.Scores, error) {
	if onlyPredictions(m) {
		predictions, err := s.blobTable(ctx, m.File)
		if err != nil {
			return nil, err
		}
		return eval.ReadPredictions(ctx, name, part, predictions, s.p.Data.Key, t)
	}
	p, err := s.predictions(ctx, m, t.Columns)
	if err != nil {
		return nil, err
	}
	return scoresOf(name, p), s.checkPredictions(ctx, splitRec, m, p)
}

// blobTable reads a stored file as a table; its name says the format.
func (s *session) blobTable(ctx context.Context, f assay.File) (*table.Table, error) {
	in, err := s.openFile(ctx, f)
	if err != nil {
		return nil, err
	}
	defer in.Close()
	return s.spooled(ctx, in, filepath.Base(f.Name), table.ReadOptions{As: s.reading().As})
}

// spooled reads a stream as a table through a private temporary file, which is gone afterwards: labels of the seal, among others.
func (s *session) spooled(ctx context.Context, in io.Reader, name string, o table.ReadOptions) (*table.Table, error) {
	e, err := s.tables(ctx)
	if err != nil {
		return nil, err
	}
	dir, err := e.Scratch()
	if err != nil {
		return nil, assay.Errorf(assay.Unavailable, "a temporary folder cannot be made: %w", err)
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, name)
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_EXCL, 0o600)
	if err != nil {
		return nil, assay.Errorf(assay.Unavailable, "a temporary file cannot be written: %w", err)
	}
	if _, err := f.ReadFrom(in); err != nil {
		f.Close()
		return nil, err
	}
	if err := f.Close(); err != nil {
		return nil, assay.Errorf(assay.Unavailable, "a temporary file cannot be written: %w", err)
	}
	return e.Read(ctx, path, o)
}

// truth is the part as the evaluation sees it.
func (s *session) truth(l *lesson, positive int, columns assay.Frame) *eval.Truth {
	return &eval.Truth{Task: s.p.Data.Target.Task, Classes: l.classes, Positive: positive, Class: l.label, Value: l.value, Columns: columns}
}

func scoresOf(name string, p learn.Prediction) *eval.Scores {
	return &eval.Scores{Name: name, Proba: p.Proba, Value: p.Values, Clipped: p.Clipped}
}

func (s *session) evalOptions() eval.Options {
	e := s.p.Evaluate
	o := eval.Options{
		Metrics: e.Metrics, Primary: e.Primary, Slices: e.Slices, Sensitive: s.p.Data.Sensitive, Threshold: *e.Threshold, Level: e.Level,
		Replicates: e.Replicates, Seed: e.Seed, Threads: s.threads, MinRows: e.MinRows,
		SliceRule: eval.SliceRule(e.Rule), SliceMargin: e.Margin, SliceLimit: e.Limit, Correction: stat.Correction(e.Correction), Key: s.p.Data.Key,
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

// scored is a model and its baseline on one part.
type scored struct {
	part     *table.Table
	truth    *eval.Truth
	model    *eval.Scores
	baseline *eval.Scores
	rows     assay.Digest
	key      []string // of the split, by which the sealed labels are held against the part
}

// score predicts a part of the split with a model and with the baseline. The truth of the sealed part is not among its columns; unseal
// adds it, after everything that can go wrong without it has gone right.
func (s *session) score(ctx context.Context, splitRec assay.Record, split assay.Split, part string, m assay.Model) (*scored, error) {
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
	if part == split.Sealed {
		l.x, err = t.Frame(ctx, s.p.features(t.Fields()), "")
	} else {
		l, err = s.lesson(ctx, t, m.Classes)
	}
	if err != nil {
		return nil, err
	}
	_, positive, err := s.positive(m.Classes)
	if err != nil {
		return nil, err
	}
	when, err := s.horizon(ctx, t, split, part)
	if err != nil {
		return nil, err
	}
	bp, err := s.baseline(ctx, train, l.x, when, positive)
	if err != nil {
		return nil, err
	}
	columns, err := t.Frame(ctx, fieldNames(t.Fields()), "")
	if err != nil {
		return nil, err
	}
	out := &scored{part: t, key: split.Key, truth: s.truth(l, positive, columns), baseline: scoresOf(s.p.Evaluate.Baseline.String(), bp)}
	if e := s.p.Data.Entity; e != "" {
		out.truth.Name, out.truth.Entity = e, unitsOf(columns.Column(e))
	}
	if q := s.p.Data.Target.Query; q != "" {
		out.truth.Queried, out.truth.Query = q, unitsOf(columns.Column(q))
	}
	if w := s.p.Evaluate.Weight; w != "" {
		out.truth.Weighted, out.truth.Weight = w, columns.Column(w).Floats
	}
	if out.model, err = s.answers(ctx, m.Learner, splitRec, m, t, out.truth); err != nil {
		return nil, err
	}
	for _, sp := range split.Parts {
		if sp.Name == part {
			out.rows = sp.IDs
		}
	}
	return out, nil
}

// unseal adds the sealed labels that a disclosure gives access to.
func (s *session) unseal(ctx context.Context, sc *scored, disclosure assay.Digest) error {
	labels, err := s.sealedLabels(ctx, disclosure)
	if err != nil {
		return err
	}
	y, err := labels.Frame(ctx, s.p.Data.Target.names(), "")
	if err != nil {
		return err
	}
	if int64(y.Rows()) != sc.part.Rows() {
		return assay.Errorf(assay.Internal, "%d sealed labels for %d test rows", y.Rows(), sc.part.Rows()).Try("assay fsck")
	}
	if len(sc.key) > 0 {
		if err := sameRows(ctx, labels, sc.part, sc.key); err != nil {
			return err
		}
	}
	l := &lesson{classes: sc.truth.Classes}
	if err := s.label(l, y); err != nil {
		return err
	}
	sc.truth.Class, sc.truth.Value = l.label, l.value
	return nil
}

// sameRows holds the keys of the sealed labels against those of the rows that were predicted, place by place.
func sameRows(ctx context.Context, labels, part *table.Table, key []string) error {
	a, err := labels.Fingerprints(ctx, key, "")
	if err != nil {
		return err
	}
	b, err := part.Fingerprints(ctx, key, "")
	if err != nil {
		return err
	}
	for i := range a {
		if i >= len(b) || a[i].Fingerprint != b[i].Fingerprint {
			return assay.Errorf(assay.Refused, "the sealed labels and the test rows do not have the same keys in the same order, from row %d on", i+1).Try("assay fsck, then assay split")
		}
	}
	return nil
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
	rec, m, err := s.candidate(ctx, ref)
	if err != nil {
		return rec, assay.Evaluation{}, err
	}
	splitRec, split, err := s.splitOf(ctx, m)
	if err != nil {
		return rec, assay.Evaluation{}, err
	}
	o := s.evalOptions()
	parents := []assay.Digest{rec.ID, splitRec.ID}
	part, read := assay.Valid, 0
	if final {
		part, o.Sealed = split.Sealed, true
		if o.MinRows > 0 && o.MinRows < eval.MinSealedRows {
			s.say("evaluate.min_rows is %d: of sealed rows a slice needs at least %d to be told of.", o.MinRows, eval.MinSealedRows)
		}
	}
	sc, err := s.score(ctx, splitRec, split, part, m)
	if err != nil {
		return rec, assay.Evaluation{}, err
	}
	if final {
		if err := eval.Ready(sc.truth, o, sc.model, sc.baseline); err != nil {
			return rec, assay.Evaluation{}, err
		}
		if err := s.keep(ctx); err != nil {
			return rec, assay.Evaluation{}, err
		}
		disclosure, dl, err := s.disclose(ctx, rec, splitRec, split, o, reason)
		if err != nil {
			return rec, assay.Evaluation{}, err
		}
		parents = append(parents, disclosure.ID)
		o.Level, read = dl.Level, dl.Read
		if err := s.unseal(ctx, sc, disclosure.ID); err != nil {
			return rec, assay.Evaluation{}, err
		}
	}
	e, err := eval.Evaluate(ctx, sc.truth, sc.model, sc.baseline, o)
	if err != nil {
		return rec, e, err
	}
	if e.Engine, err = s.besidesOwn(m); err != nil {
		return rec, e, err
	}
	curves, err := eval.Curves(sc.truth, sc.model, sc.baseline, o)
	if err != nil {
		return rec, e, err
	}
	if err := s.keep(ctx); err != nil {
		return rec, e, err
	}
	if curves != nil {
		b, err := json.Marshal(curves)
		if err != nil {
			return rec, e, assay.Errorf(assay.Internal, "the curves cannot be written as JSON: %w", err)
		}
		if e.Curves, err = blob.PutBytes(ctx, s.st.Blobs(), b); err != nil {
			return rec, e, err
		}
	}
	e.Data, e.Split, e.Part, e.Rows, e.Final, e.Read = splitRec.Subject, splitRec.ID, part, sc.rows, final, read
	e.Configuration = s.configuration(o)
	r, err := s.write(ctx, assay.KindEvaluation, rec.Subject, parents, e)
	if err != nil {
		return r, e, err
	}
	return r, e, s.adopt(ref, rec)
}

func (s *session) splitOf(ctx context.Context, m assay.Model) (assay.Record, assay.Split, error) {
	r, err := s.st.Get(ctx, m.Split)
	if err != nil {
		return r, assay.Split{}, err
	}
	split, err := assay.Decode[assay.Split](r.Evidence)
	return r, split, err
}
