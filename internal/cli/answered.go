package cli

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/eval"
	"github.com/assay-ml/assay/internal/monitor"
	"github.com/assay-ml/assay/internal/schema"
	"github.com/assay-ml/assay/internal/serve"
	"github.com/assay-ml/assay/internal/store"
	"github.com/assay-ml/assay/internal/table"
	"github.com/assay-ml/assay/learn"
	"github.com/assay-ml/assay/metric"
)

// onlyPredictions reports whether a model is known by a file of its predictions only: it runs elsewhere, and Assay cannot ask it.
func onlyPredictions(m assay.Model) bool { return m.Format == "predictions" }

// truthOf is what a model's predictions are joined for, without labels.
func (s *session) truthOf(m assay.Model) (*eval.Truth, error) {
	_, positive, err := s.positive(m.Classes)
	return &eval.Truth{Task: m.Task, Classes: m.Classes, Positive: positive}, err
}

// answersOf are scores as a model gives them: where the file has no classes, they are those of the threshold that was evaluated, or the most
// probable.
func (s *session) answersOf(ctx context.Context, v store.Version, m assay.Model, sc *eval.Scores, t *eval.Truth) (learn.Prediction, error) {
	out := learn.Prediction{Classes: t.Classes, Labels: sc.Label, Proba: sc.Proba, Values: sc.Value}
	k := len(t.Classes)
	switch {
	case k == 0 || out.Labels != nil:
	case t.Task == assay.Binary:
		d, err := s.evaluatedDecision(ctx, v.Model, m)
		if err != nil {
			return out, err
		}
		out.Labels = metric.Decide(nil, sc.Proba, t.Positive, d.threshold)
	default:
		for i := 0; i < len(sc.Proba); i += k {
			row := sc.Proba[i : i+k]
			out.Labels = append(out.Labels, int32(slices.Index(row, slices.Max(row))))
		}
	}
	return out, nil
}

// heldAnswers are the predictions for held-out rows of a version that Assay does not run: those that its evaluation read.
func (s *session) heldAnswers(ctx context.Context, v store.Version, m assay.Model, held *table.Table) (*learn.Prediction, error) {
	t, err := s.truthOf(m)
	if err != nil {
		return nil, err
	}
	predictions, err := s.blobTable(ctx, m.File)
	if err != nil {
		return nil, err
	}
	sc, err := eval.ReadPredictions(ctx, m.Learner, held, predictions, s.p.Data.Key, t)
	if err != nil {
		return nil, assay.Errorf(assay.CodeOf(err), "%s: %w", versionName(v), err).Try("assay eval FILE, with predictions of all validation rows; then assay register")
	}
	out, err := s.answersOf(ctx, v, m, sc, t)
	return &out, err
}

// isAnswer reports whether a column of that name is one of predictions.
func isAnswer(name string) bool {
	return name == monitor.PredictionColumn || name == monitor.ProbabilityColumn || strings.HasPrefix(name, monitor.ProbabilityColumn+"_")
}

// answeredTable is a table with the predictions of a version that Assay does not run, under the names of a log: from its own columns, or from
// the file of predictions that a replay is told of.
func (s *session) answeredTable(ctx context.Context, v store.Version, m assay.Model, t *table.Table, q replayRequest) (*table.Table, error) {
	inputs, _, err := s.servedFields(ctx, m)
	if err != nil {
		return nil, err
	}
	for _, f := range inputs {
		if isAnswer(f.Name) {
			return nil, assay.Errorf(assay.Unimplemented, "the input column %q has the name of a prediction: the rows cannot be held beside their predictions", f.Name).Try("give the column another name")
		}
	}
	truth, err := s.truthOf(m)
	if err != nil {
		return nil, err
	}
	from, key, file := t, []string(nil), filepath.Base(q.data) // its own columns need no key
	if q.predictions != "" {
		file, key = filepath.Base(q.predictions), s.p.Data.Key
		e, err := s.tables(ctx)
		if err != nil {
			return nil, err
		}
		if from, err = e.Read(ctx, s.path(q.predictions), s.reading()); err != nil {
			return nil, err
		}
	} else if !slices.ContainsFunc(t.Fields(), func(f assay.Field) bool { return isAnswer(f.Name) }) {
		return nil, assay.Errorf(assay.Rejected, "%s has no predictions, and Assay does not run %s", file, versionName(v)).Try("assay monitor replay %s --predictions FILE", q.data)
	}
	sc, err := eval.ReadPredictions(ctx, m.Learner, t, from, key, truth)
	if err != nil {
		return nil, assay.Errorf(assay.CodeOf(err), "%w", err).Try("mend %s, then assay monitor replay again", file)
	}
	p, err := s.answersOf(ctx, v, m, sc, truth)
	if err != nil {
		return nil, err
	}
	answers := append(monitor.Model{Task: m.Task, Positive: m.Positive}.Frame(p), predictionFrame(p)[1:]...) // both begin with the prediction
	beside, err := t.Engine().FromFrame(ctx, answers)
	if err != nil {
		return nil, err
	}
	fields, selects := []assay.Field{}, []string{"t._row AS _row"}
	for _, side := range []struct {
		table *table.Table
		as    string
	}{{t, "t."}, {beside, "p."}} {
		for _, f := range side.table.Fields() {
			if side.table == t && isAnswer(f.Name) {
				continue
			}
			fields, selects = append(fields, f), append(selects, side.as+table.Ident(f.Name))
		}
	}
	return t.Select(ctx, fmt.Sprintf("SELECT %s FROM %s t JOIN %s p ON t._row = p._row ORDER BY t._row", strings.Join(selects, ", "), t.Relation(), beside.Relation()), fields)
}

// loggedOnly binds a version that Assay does not run to the schemas of its project, so that the log can take in what answered elsewhere.
func (s *session) loggedOnly(ctx context.Context, server *serve.Server, v store.Version, m assay.Model) (*serve.Bound, error) {
	if err := s.p.Data.Target.refuseOutside("no log is for", "assay eval FILE, with the predictions"); err != nil {
		return nil, err
	}
	in, out, label, err := s.contracts(ctx, m)
	if err != nil {
		return nil, err
	}
	d, err := s.answeredDecision(ctx, v.Model, m)
	if err != nil {
		return nil, err
	}
	return server.Bind(serve.Binding{
		Threshold: d.threshold,
		Name:      v.Name, Number: v.Number, Model: v.Model, Platform: "assay_" + m.Format, Task: m.Task, Classes: m.Classes, Positive: m.Positive,
		LabelType: label, Input: in, Output: out, Engine: elsewhere{}, Key: s.keyColumns(in),
	})
}

// elsewhere is the engine of a model that runs where Assay cannot ask it.
type elsewhere struct{}

func (elsewhere) Predict(context.Context, *schema.Batch, *serve.Output) error {
	return assay.Errorf(assay.Refused, "the model is known by a file of predictions: nothing here evaluates it")
}

func (elsewhere) Close() error { return nil }
