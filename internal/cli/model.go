package cli

import (
	"context"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"slices"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/dataset"
	"github.com/assay-ml/assay/internal/store"
	"github.com/assay-ml/assay/internal/table"
	"github.com/assay-ml/assay/learn"
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
	at      []float64 // data.time of each row; nil without one
}

// lesson reads features and labels of a part. classes fixes the order of the classes; nil takes them from the part.
func (s *session) lesson(ctx context.Context, t *table.Table, classes []string) (*lesson, error) {
	x, err := t.Frame(ctx, s.p.features(t.Fields()), "")
	if err != nil {
		return nil, err
	}
	y, err := t.Frame(ctx, s.p.Data.Target.names(), "")
	if err != nil {
		return nil, err
	}
	l := &lesson{x: x, target: y[0].Type, classes: classes}
	if l.at, err = s.times(ctx, t); err != nil {
		return nil, err
	}
	return l, s.label(l, y)
}

// times are the times of the rows of a table, in seconds; nil where the data have none.
func (s *session) times(ctx context.Context, t *table.Table) ([]float64, error) {
	if _, ok := t.Field(s.p.Data.Time); !ok || s.p.Data.Time == "" {
		return nil, nil
	}
	f, err := t.Frame(ctx, []string{s.p.Data.Time}, "")
	if err != nil {
		return nil, err
	}
	return f[0].Floats, nil
}

// label fills in the truth from the columns of the target.
func (s *session) label(l *lesson, columns assay.Frame) error {
	if s.p.Data.Target.Task == assay.Multilabel {
		return l.indicators(columns)
	}
	name, y := s.p.Data.Target.Column, &columns[0]
	if !s.p.Data.Target.Task.Classifies() {
		if y.Floats == nil {
			return assay.Errorf(assay.Rejected, "target %q is a %s; a %s task needs numbers", name, y.Type, s.p.Data.Target.Task).Try("data.target.task: multiclass, in assay.yaml")
		}
		l.value = y.Floats
		for i, v := range l.value {
			if math.IsNaN(v) || math.IsInf(v, 0) {
				return assay.Errorf(assay.Rejected, "target %q is not a finite number in row %d", name, i+1).Try("assay check")
			}
		}
		return nil
	}
	codes, labels := dataset.Classes(y)
	if l.classes == nil {
		l.classes = labels
	}
	if len(l.classes) < 2 {
		return assay.Errorf(assay.Rejected, "target %q has one class only: there is nothing to learn", name).Try("data.target.column in assay.yaml must name a column of two classes or more")
	}
	if s.p.Data.Target.Task == assay.Binary && len(l.classes) != 2 {
		return assay.Errorf(assay.Rejected, "target %q has %d classes; a binary task has 2", name, len(l.classes)).Try("data.target.task: multiclass")
	}
	to := make([]int32, len(labels))
	unseen := false
	for i, c := range labels {
		at := slices.Index(l.classes, c)
		if at < 0 {
			unseen = true
		}
		to[i] = int32(at)
	}
	if unseen {
		var count, first int
		for i, c := range codes {
			if c >= 0 && to[c] < 0 {
				if count == 0 {
					first = i + 1
				}
				count++
			}
		}
		return assay.Errorf(assay.Rejected, "target %q: %d of %d rows of this part are of a class that the training rows do not have, the first is row %d", name, count, len(codes), first).
			Try("split.by: stratified, or leave these rows out of data.uri")
	}
	l.label = make([]int32, len(codes))
	for i, c := range codes {
		if c < 0 {
			return assay.Errorf(assay.Rejected, "target %q has no value in row %d", name, i+1).Try("assay check")
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
	rec, m, err := s.candidate(ctx, ref)
	if err == nil {
		err = s.keep(ctx)
	}
	return rec, m, err
}

// candidate is model, but a file that is imported is written only when the caller keeps it: what is refused leaves no trace.
func (s *session) candidate(ctx context.Context, ref string) (assay.Record, assay.Model, error) {
	var rec *assay.Record
	switch {
	case ref != "" && s.importable(ref):
		return s.importFile(ctx, s.path(ref))
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
	if err := replaceFile(path, append(b, '\n')); err != nil {
		return assay.Errorf(assay.Unavailable, "the current model cannot be noted: %w", err)
	}
	return nil
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
