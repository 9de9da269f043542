package cli

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/table"
)

func (a *app) predictCommand() *cobra.Command {
	var ref, out string
	c := &cobra.Command{
		Use: "predict DATA", Short: "Score a table with a model",
		Args: cobra.ExactArgs(1),
		RunE: a.with("predict", func(ctx context.Context, s *session, args []string) error {
			return s.predict(ctx, args[0], ref, out)
		}),
	}
	c.Flags().StringVar(&ref, "model", "", "`model` to use; without it the version in production, else the one in staging, else the newest")
	c.Flags().StringVarP(&out, "out", "o", "predictions.csv", "write to this `file` (.csv, .jsonl, .parquet)")
	return c
}

// predict writes key, prediction and probabilities of each row of a table, in its order.
func (s *session) predict(ctx context.Context, data, ref, out string) error {
	file, err := s.output("--out", out, data, ref)
	if err != nil {
		return err
	}
	why := ""
	if ref == "" {
		if ref, why, err = s.standing(ctx); err != nil {
			return err
		}
	}
	rec, m, err := s.model(ctx, ref)
	if err != nil {
		return err
	}
	e, err := s.tables(ctx)
	if err != nil {
		return err
	}
	t, err := e.Read(ctx, s.path(data), s.reading())
	if err != nil {
		return err
	}
	var want []string
	var lacks []string
	fields, _, err := s.servedFields(ctx, m)
	if err != nil {
		return err
	}
	for _, f := range fields {
		if _, ok := t.Field(f.Name); !ok {
			lacks = append(lacks, fmt.Sprintf("%q", f.Name))
		}
		want = append(want, f.Name)
	}
	if len(lacks) > 0 {
		return assay.Errorf(assay.Rejected, "the data lacks %s, which the model needs", some(lacks)).Try("assay schema show")
	}
	x, err := t.Frame(ctx, want, "")
	if err != nil {
		return err
	}
	p, err := s.predictions(ctx, m, x)
	if err != nil {
		return err
	}
	d, err := s.watchedDecision(ctx, rec.Subject, m)
	if err != nil {
		return err
	}
	if err := d.apply(&p); err != nil {
		return err
	}
	var keys []string
	for _, k := range s.p.Data.Key {
		if _, ok := t.Field(k); ok {
			keys = append(keys, k)
		}
	}
	written, err := e.FromFrame(ctx, predictionFrame(p))
	if err != nil {
		return err
	}
	if written, err = besideKeys(ctx, t, keys, written); err != nil {
		return err
	}
	if err := written.Write(ctx, file, nil, ""); err != nil {
		return err
	}
	if why != "" {
		s.say("%s", why)
	}
	doc := map[string]any{"rows": p.Rows(), "model": m.File.Digest, "file": out}
	if p.Clipped > 0 {
		doc["clipped"] = p.Clipped
	}
	if d.threshold != 0 {
		doc["threshold"] = d.threshold
	}
	return s.print("assay.predict/1", doc, func(w io.Writer) {
		fmt.Fprintf(w, "%s predictions of model %s in %s\n", assay.FormatCount(int64(p.Rows())), m.File.Digest.Short(), out)
		if d.threshold != 0 {
			fmt.Fprintf(w, "a row is %s from a probability of %v on\n", m.Classes[d.positive], d.threshold)
		}
		if p.Clipped > 0 {
			fmt.Fprintln(w, assay.ClippedSentence(int64(p.Clipped)))
		}
	})
}

// besideKeys puts the keys of t before the columns of a table of as many rows. They are taken from t itself, not by way of a frame, whose
// numbers are float64: keys are exact.
func besideKeys(ctx context.Context, t *table.Table, keys []string, beside *table.Table) (*table.Table, error) {
	if len(keys) == 0 {
		return beside, nil
	}
	var fields []assay.Field
	var selects []string
	for _, k := range keys {
		f, _ := t.Field(k)
		if _, clash := beside.Field(k); clash {
			return nil, assay.Errorf(assay.Invalid, "the key column %q has the name of a column of predictions", k).Try("give the column another name")
		}
		fields, selects = append(fields, f), append(selects, "k."+table.Ident(k))
	}
	for _, f := range beside.Fields() {
		fields, selects = append(fields, f), append(selects, "p."+table.Ident(f.Name))
	}
	return beside.Select(ctx, "SELECT p._row, "+strings.Join(selects, ", ")+" FROM "+beside.Relation()+" p JOIN "+t.Relation()+" k ON p._row = k._row ORDER BY p._row", fields)
}

// standing is the version that a prediction is made with when nobody names one: that in production, else in staging, else none, which is
// the newest model, that no gate has let through; why says so.
func (s *session) standing(ctx context.Context) (ref, why string, err error) {
	for _, stage := range []assay.Stage{assay.StageProduction, assay.StageStaging} {
		held, err := s.held(ctx, s.p.Name, stage)
		if err != nil {
			return "", "", err
		}
		if held > 0 {
			ref := fmt.Sprintf("%s:%d", s.p.Name, held)
			return ref, fmt.Sprintf("predicted with %s, which is in %s", ref, stage), nil
		}
	}
	return "", fmt.Sprintf("predicted with the newest model: no version of %s is in production or staging", s.p.Name), nil
}

// labelColumn writes predicted classes as text, with the levels in the order of bytes that a column needs.
func labelColumn(labels []int32, classes []string) assay.Column {
	sorted := sortedUnique(classes)
	at := map[string]int32{}
	for i, l := range sorted {
		at[l] = int32(i)
	}
	codes := make([]int32, len(labels))
	for i, l := range labels {
		codes[i] = at[classes[l]]
	}
	return assay.Column{Name: "prediction", Type: assay.TypeString, Codes: codes, Levels: sorted}
}
