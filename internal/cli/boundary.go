package cli

import (
	"context"
	"errors"
	"io/fs"
	"os"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/schema"
	"github.com/assay-ml/assay/internal/serve"
	"github.com/assay-ml/assay/learn"
)

// schemaEvidence stores a schema and records it.
func (s *session) schemaEvidence(ctx context.Context, sc *schema.Schema) (assay.Record, error) {
	doc, err := sc.JSON()
	if err != nil {
		return assay.Record{}, err
	}
	d, err := s.keepBytes(ctx, doc)
	if err != nil {
		return assay.Record{}, err
	}
	rec, err := sc.Record(d)
	if err != nil {
		return assay.Record{}, err
	}
	return s.write(ctx, assay.KindSchema, rec.Digest, nil, rec)
}

// checkParts holds the files of a split against the project's schema: what was written must still be what was checked. A project
// without a schema file has no boundary to check yet.
func (s *session) checkParts(ctx context.Context, splitRec assay.Record) error {
	if _, err := os.Stat(s.p.Path(s.p.Schema)); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	sc, err := s.readSchema(s.p.Path(s.p.Schema))
	if err != nil {
		return err
	}
	rec, err := s.schemaEvidence(ctx, sc)
	if err != nil {
		return err
	}
	for _, name := range []string{assay.Train, assay.Valid, assay.Test} {
		t, err := s.part(ctx, splitRec.ID, name)
		if err != nil {
			return err
		}
		v, err := sc.Check(ctx, t, schema.CheckOptions{Boundary: name})
		if err != nil {
			return err
		}
		if _, err := s.write(ctx, assay.KindValidation, splitRec.Subject, []assay.Digest{splitRec.ID, rec.ID}, v); err != nil {
			return err
		}
	}
	return nil
}

// predictionSchema says what a model may answer: a class that it knows and probabilities between 0 and 1, or a finite number.
func predictionSchema(m assay.Model) *schema.Schema {
	sc := serve.OutputSchema("predictions of "+m.Target, m.Classes, true)
	if m.Task == assay.Multilabel { // no one class is predicted
		sc.Columns = sc.Columns[1:]
	}
	return sc
}

// checkPredictions holds what a model answered against the schema of its predictions, and refuses to go on when it does not pass.
func (s *session) checkPredictions(ctx context.Context, splitRec assay.Record, m assay.Model, p learn.Prediction) error {
	e, err := s.tables(ctx)
	if err != nil {
		return err
	}
	t, err := e.FromFrame(ctx, predictionFrame(p))
	if err != nil {
		return err
	}
	sc := predictionSchema(m)
	v, err := sc.Check(ctx, t, schema.CheckOptions{Boundary: "predictions"})
	if err != nil {
		return err
	}
	rec, err := s.schemaEvidence(ctx, sc)
	if err != nil {
		return err
	}
	if _, err := s.write(ctx, assay.KindValidation, m.File.Digest, []assay.Digest{splitRec.ID, rec.ID}, v); err != nil {
		return err
	}
	if v.Verdict != assay.Pass {
		var bad assay.Problems
		for _, x := range v.Violations {
			bad.Add("%s %s: %s in %d rows", x.Column, x.Rule, x.Detail, x.Count)
		}
		return bad.Err(assay.Rejected, "the model's predictions do not pass their checks")
	}
	return nil
}

// predictionFrame is a prediction as a table: the class, where one is predicted, and the probability of each class, or the number.
func predictionFrame(p learn.Prediction) assay.Frame {
	if len(p.Values) > 0 {
		return assay.Frame{{Name: "prediction", Type: assay.TypeNumber, Floats: p.Values}}
	}
	var out assay.Frame
	if len(p.Labels) > 0 || len(p.Proba) == 0 {
		out = append(out, labelColumn(p.Labels, p.Classes))
	}
	k := len(p.Classes)
	for c, name := range p.Classes {
		if len(p.Proba) == 0 {
			break
		}
		col := assay.Column{Name: "probability_" + name, Type: assay.TypeNumber, Floats: make([]float64, len(p.Proba)/k)}
		for i := range col.Floats {
			col.Floats[i] = p.Proba[i*k+c]
		}
		out = append(out, col)
	}
	return out
}
