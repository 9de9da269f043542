package cli

import (
	"context"
	"os"
	"path/filepath"
	"strings"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/eval"
	"github.com/assay-ml/assay/internal/table"
)

// predictionsStage evaluates a file of predictions: those of any model, made anywhere. The subject of the evidence is the digest of
// the file, which is kept in the blob store.
func (s *session) predictionsStage(ctx context.Context, path string, final bool, reason string) (assay.Record, assay.Evaluation, error) {
	splitRec, split, err := s.splitEvidence(ctx)
	if err != nil {
		return assay.Record{}, assay.Evaluation{}, err
	}
	e, err := s.tables(ctx)
	if err != nil {
		return assay.Record{}, assay.Evaluation{}, err
	}
	file, err := e.Read(ctx, s.path(path), table.ReadOptions{})
	if err != nil {
		return assay.Record{}, assay.Evaluation{}, err
	}
	f, err := os.Open(s.path(path))
	if err != nil {
		return assay.Record{}, assay.Evaluation{}, assay.Errorf(assay.Unavailable, "the predictions cannot be read: %w", err)
	}
	defer f.Close()
	digest, _, err := s.st.Blobs().Put(ctx, f)
	if err != nil {
		return assay.Record{}, assay.Evaluation{}, err
	}
	if err := file.Unchanged(); err != nil {
		return assay.Record{}, assay.Evaluation{}, err
	}
	predict := func(ctx context.Context, part *table.Table, _ assay.Frame, t *eval.Truth) (*eval.Scores, error) {
		return s.join(ctx, filepath.Base(path), file, part, t)
	}
	return s.evaluate(ctx, exam{subject: digest, parents: []assay.Digest{splitRec.ID}, split: splitRec, payload: split, predict: predict, final: final, reason: reason})
}

// join brings a file of predictions into the order of a part's rows.
func (s *session) join(ctx context.Context, name string, file, part *table.Table, t *eval.Truth) (*eval.Scores, error) {
	key := s.p.Data.Key
	if len(key) == 0 {
		return nil, assay.Errorf(assay.Invalid, "data.key is not set: predictions are joined to rows by their key").Try("data.key: the column that identifies a row")
	}
	var bad assay.Problems
	for _, k := range key {
		if _, ok := file.Field(k); !ok {
			bad.Add("no key column %q", k)
		}
	}
	if err := bad.Err(assay.Rejected, name); err != nil {
		return nil, err
	}
	want, err := keyTexts(ctx, part, key)
	if err != nil {
		return nil, err
	}
	p := eval.Predictions{Name: name}
	if p.Keys, err = keyTexts(ctx, file, key); err != nil {
		return nil, err
	}
	var columns []string
	for _, f := range file.Fields() {
		if strings.HasPrefix(f.Name, eval.ProbabilityPrefix) || f.Name == eval.Probability || f.Name == eval.Prediction {
			columns = append(columns, f.Name)
		}
	}
	if len(columns) > 0 {
		if p.Columns, err = file.Frame(ctx, columns, ""); err != nil {
			return nil, err
		}
	}
	return eval.Join(t, want, p)
}

// keyTexts writes the key of each row as one text, the same for an integer whatever the file's type for it. Big integers stay exact.
func keyTexts(ctx context.Context, t *table.Table, key []string) ([]string, error) {
	parts := make([]string, len(key))
	for i, k := range key {
		text := "CAST(" + table.Ident(k) + " AS VARCHAR)"
		if f, _ := t.Field(k); f.Type == assay.TypeNumber {
			text = "regexp_replace(" + text + `, '\.0+$', '')`
		}
		// The length of each part keeps ("a", "bc") and ("ab", "c") apart.
		parts[i] = "coalesce(length(" + text + ") || ':' || " + text + ", 'missing')"
	}
	rows, err := t.Query(ctx, "SELECT "+strings.Join(parts, " || ' ' || ")+" FROM "+t.Relation()+" ORDER BY _row")
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	out := make([]string, 0, t.Rows())
	for rows.Next() {
		var k string
		if err := rows.Scan(&k); err != nil {
			return nil, err
		}
		out = append(out, k)
	}
	return out, rows.Err()
}

// ready asks, before sealed labels are read, whether the evaluation can be made: the predictions of the test rows exist and fit, and
// so do metrics, slices and the business expression.
func (s *session) ready(ctx context.Context, x exam, o eval.Options) error {
	t, err := s.part(ctx, x.split.ID, assay.Test)
	if err != nil {
		return err
	}
	columns, err := t.Frame(ctx, fieldNames(t.Fields()), "")
	if err != nil {
		return err
	}
	if x.classes == nil {
		tt, err := s.part(ctx, x.split.ID, assay.Train)
		if err != nil {
			return err
		}
		y, err := tt.Frame(ctx, []string{s.p.Data.Target.Column}, "")
		if err != nil {
			return err
		}
		l := &lesson{}
		if err := s.label(l, &y[0]); err != nil {
			return err
		}
		x.classes = l.classes
	}
	_, positive, err := s.positive(x.classes)
	if err != nil {
		return err
	}
	truth := &eval.Truth{Task: s.p.Data.Target.Task, Classes: x.classes, Positive: positive, Columns: columns}
	features, err := t.Frame(ctx, s.p.features(t.Fields()), "")
	if err != nil {
		return err
	}
	scores, err := x.predict(ctx, t, features, truth)
	if err != nil {
		return err
	}
	return eval.Ready(truth, o, scores)
}
