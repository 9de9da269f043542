package serve

import (
	"context"
	"math"
	"slices"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/schema"
)

// warmRounds is how often a version evaluates before it takes traffic.
const warmRounds = 3

// typical fills a row with the median of each number and the most frequent of each text; other columns are left as they are.
func (x *supportScorer) typical(rows *schema.Batch, row int) {
	for i := range x.columns {
		c := &x.columns[i]
		switch f := rows.Validator().Field(c.field); {
		case c.categories != nil:
			rows.SetText(row, c.field, []byte(c.categories.Values[0]))
		case f.Type == assay.TypeBoolean:
			rows.SetBool(row, c.field, c.edges.Centre >= 0.5)
		case f.Type == assay.TypeInteger:
			rows.SetInt(row, c.field, int64(math.Round(c.edges.Centre)))
		default:
			rows.SetFloat(row, c.field, c.edges.Centre)
		}
	}
}

// WarmUp evaluates a typical row a few times before the version takes traffic, so that the first request finds it ready, and holds the
// answers against the output schema and against each other. Errors are Refused: a version that does not pass must not take traffic.
func (b *Bound) WarmUp(ctx context.Context) error {
	rows := b.in.NewBatch()
	defer rows.Release()
	rows.Add(1)
	if x, ok := b.Outliers.(*supportScorer); ok {
		x.typical(rows, 0)
	}
	if refuses(rows.Check(nil)) {
		return nil // no row is known that fits: its first request is its first
	}
	var first Output
	for round := range warmRounds {
		var out Output
		if err := b.evaluate(ctx, rows, nil, &out); err != nil {
			return assay.Errorf(assay.Refused, "%s does not answer a typical row: %w", b, err)
		}
		if wrong := b.wrong(&out, 1); wrong != "" {
			return assay.Errorf(assay.Refused, "%s does not answer a typical row as it must: it %s", b, wrong)
		}
		if round == 0 {
			first = out
		} else if !slices.Equal(out.Labels, first.Labels) || !slices.Equal(out.Proba, first.Proba) || !slices.Equal(out.Values, first.Values) {
			return assay.Errorf(assay.Refused, "%s answers the same row differently each time", b)
		}
	}
	return nil
}
