package eval

import (
	"context"
	"fmt"
	"strings"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/table"
)

// ReadPredictions takes the scores of the rows of a part from a table of predictions, joined by key. Without a key the rows must come
// in the order of the part. The table may hold further rows, such as those of another part. Join says what the columns are and what is
// refused.
func ReadPredictions(ctx context.Context, name string, part, predictions *table.Table, key []string, t *Truth) (*Scores, error) {
	var bad assay.Problems
	for _, k := range key {
		if _, ok := predictions.Field(k); !ok {
			bad.Add("no key column %q", k)
		}
	}
	if len(key) == 0 && predictions.Rows() != part.Rows() {
		bad.Add("%d predictions for %d rows, and no key to join them by", predictions.Rows(), part.Rows())
	}
	if err := bad.Err(assay.Rejected, predictionsFile); err != nil {
		return nil, assay.Errorf(assay.Rejected, "%w", err).Try("add the columns of data.key (%s) to the file", strings.Join(key, ", "))
	}
	p := Predictions{Name: predictionsFile, Others: true}
	want, err := keys(ctx, part, key)
	if err != nil {
		return nil, err
	}
	if p.Keys, err = keys(ctx, predictions, key); err != nil {
		return nil, err
	}
	var columns []string
	for _, f := range predictions.Fields() {
		if strings.HasPrefix(f.Name, probabilityPrefix) || f.Name == probabilityColumn || f.Name == predictionColumn || t.Task == assay.Multilabel && strings.HasPrefix(f.Name, labelPrefix) {
			columns = append(columns, f.Name)
		}
	}
	if len(columns) > 0 {
		if p.Columns, err = predictions.Frame(ctx, columns, ""); err != nil {
			return nil, err
		}
	}
	s, err := Join(t, want, p)
	if err != nil {
		if assay.HintOf(err) != "" || assay.CodeOf(err) != assay.Rejected {
			return nil, err
		}
		return nil, assay.Errorf(assay.Rejected, "%w", err).Try("mend the file, then assay eval FILE; assay split says where the rows of each part are")
	}
	s.Name = name
	return s, nil
}

// predictionsFile is what messages call the table; its rows are counted from 1 without the header.
const predictionsFile = "the file of predictions"

// keys writes the key of each row as one text, the same for a whole number whatever the file's type for it. Big integers stay exact.
// Without a key it is the number of the row.
func keys(ctx context.Context, t *table.Table, key []string) ([]string, error) {
	parts := make([]string, len(key))
	for i, k := range key {
		text := "CAST(" + table.Ident(k) + " AS VARCHAR)"
		if f, _ := t.Field(k); f.Type == assay.TypeNumber {
			text = "regexp_replace(" + text + `, '\.0+$', '')`
		}
		// The length of each part keeps ("a", "bc") and ("ab", "c") apart.
		parts[i] = "coalesce(length(" + text + ") || ':' || " + text + ", 'missing')"
	}
	if len(key) == 0 {
		parts = []string{"CAST(_row AS VARCHAR)"}
	}
	rows, err := t.Query(ctx, fmt.Sprintf("SELECT %s FROM %s ORDER BY _row", strings.Join(parts, " || ' ' || "), t.Relation()))
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
