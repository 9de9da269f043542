package eval

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/table"
)

// Columns of a predictions file besides the key. The class order is explicit: it is in the names.
const (
	ProbabilityPrefix = "probability_" // probability_CLASS, one for each class
	ProbabilityColumn = "probability"  // of the positive class, for a binary task
	PredictionColumn  = "prediction"   // a number, for a regression
)

// maxRowsNamed is how many row numbers an error lists.
const maxRowsNamed = 5

// ReadPredictions takes the scores of the rows of a part from a table of predictions, joined by key. Without a key the rows must
// come in the order of the part. The table may hold further rows, such as those of another part. What is wrong is reported at once
// and never names a value: missing columns, classes that are unknown, keys that repeat, rows of the part without a prediction.
func ReadPredictions(ctx context.Context, name string, part, predictions *table.Table, key []string, t *Truth) (*Scores, error) {
	var bad assay.Problems
	columns, err := predictionColumns(predictions, key, t, &bad)
	if err != nil {
		return nil, err
	}
	if len(key) == 0 && predictions.Rows() != part.Rows() {
		bad.Add("%d predictions for %d rows, and no key to join them by", predictions.Rows(), part.Rows())
	}
	if err := bad.Err(assay.Rejected, "the predictions cannot be used"); err != nil {
		return nil, err
	}
	on := []string{`p."_row" = q."_row"`}
	if len(key) > 0 {
		on = nil
		for _, k := range key {
			on = append(on, sameKey(part, predictions, k))
		}
		if err := joins(ctx, part, predictions, key, on, &bad); err != nil {
			return nil, err
		}
		if err := bad.Err(assay.Rejected, "the predictions cannot be used"); err != nil {
			return nil, err
		}
	}
	var exprs []string
	for _, c := range columns {
		exprs = append(exprs, "CAST(q."+table.Ident(c)+" AS DOUBLE)")
	}
	rows, err := part.Query(ctx, fmt.Sprintf(`SELECT %s FROM %s AS p JOIN %s AS q ON %s ORDER BY p."_row"`, strings.Join(exprs, ", "), part.Relation(), predictions.Relation(), strings.Join(on, " AND ")))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	s := &Scores{Name: name}
	k := len(columns)
	got := make([]*float64, k)
	dest := make([]any, k)
	for i := range got {
		dest[i] = &got[i]
	}
	for rows.Next() {
		if err := rows.Scan(dest...); err != nil {
			return nil, err
		}
		for _, v := range got {
			x := math.NaN()
			if v != nil {
				x = *v
			}
			switch {
			case !t.Task.Classifies():
				s.Value = append(s.Value, x)
			case k == 1:
				two := [2]float64{1 - x, x}
				if t.Positive == 0 {
					two[0], two[1] = two[1], two[0]
				}
				s.Proba = append(s.Proba, two[:]...)
			default:
				s.Proba = append(s.Proba, x)
			}
		}
	}
	return s, rows.Err()
}

// predictionColumns names the columns that hold the scores, in the order of the classes.
func predictionColumns(predictions *table.Table, key []string, t *Truth, bad *assay.Problems) ([]string, error) {
	var have []string
	for _, f := range predictions.Fields() {
		have = append(have, f.Name)
	}
	for _, k := range key {
		if !slices.Contains(have, k) {
			bad.Add("no key column %q", k)
		}
	}
	var columns []string
	switch {
	case !t.Task.Classifies():
		columns = []string{PredictionColumn}
	case t.Task == assay.Binary && slices.Contains(have, ProbabilityColumn):
		columns = []string{ProbabilityColumn}
	default:
		for _, c := range t.Classes {
			columns = append(columns, ProbabilityPrefix+c)
		}
		for _, h := range have {
			if strings.HasPrefix(h, ProbabilityPrefix) && !slices.Contains(columns, h) {
				bad.Add("column %q names a class that is none of %s", h, strings.Join(t.Classes, ", "))
			}
		}
	}
	for _, c := range columns {
		f, ok := predictions.Field(c)
		switch {
		case !ok:
			bad.Add("no column %q", c)
		case !f.Type.Numeric():
			bad.Add("column %q is a %s, not a number", c, f.Type)
		}
	}
	return columns, nil
}

// sameKey is the condition that a key column agrees; where the types differ, as text.
func sameKey(part, predictions *table.Table, k string) string {
	a, _ := part.Field(k)
	b, _ := predictions.Field(k)
	q := table.Ident(k)
	if a.Type == b.Type {
		return "p." + q + " = q." + q
	}
	return "CAST(p." + q + " AS VARCHAR) = CAST(q." + q + " AS VARCHAR)"
}

// joins reports keys that repeat in the predictions and rows of the part that have none.
func joins(ctx context.Context, part, predictions *table.Table, key, on []string, bad *assay.Problems) error {
	var idents []string
	for _, k := range key {
		idents = append(idents, table.Ident(k))
	}
	cols := strings.Join(idents, ", ")
	if n, first, err := countRows(ctx, predictions, fmt.Sprintf(`SELECT "_row" FROM %s QUALIFY count(*) OVER (PARTITION BY %s) > 1`, predictions.Relation(), cols)); err != nil {
		return err
	} else if n > 0 {
		bad.Add("%d predictions share their key with another, the first are in rows %v", n, first)
	}
	n, first, err := countRows(ctx, part, fmt.Sprintf(`SELECT p."_row" FROM %s AS p ANTI JOIN %s AS q ON %s`, part.Relation(), predictions.Relation(), strings.Join(on, " AND ")))
	if err != nil {
		return err
	}
	if n > 0 {
		bad.Add("%d of %d rows have no prediction, the first are rows %v of the part", n, part.Rows(), first)
	}
	return nil
}

// countRows counts the row numbers that a query gives, and returns the first few, counted from 1.
func countRows(ctx context.Context, t *table.Table, query string) (int64, []int64, error) {
	rows, err := t.Query(ctx, fmt.Sprintf(`SELECT count(*) OVER (), "_row" + 1 FROM (%s) ORDER BY 2 LIMIT %d`, query, maxRowsNamed))
	if err != nil {
		return 0, nil, err
	}
	defer rows.Close()
	var n int64
	var first []int64
	for rows.Next() {
		var r int64
		if err := rows.Scan(&n, &r); err != nil {
			return 0, nil, err
		}
		first = append(first, r)
	}
	return n, first, rows.Err()
}
