package monitor

import (
	"context"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/table"
)

// maxBlocks is how many blocks of time a reference keeps.
const maxBlocks = 400

// blocksOf counts the training rows by stretches of time, where they have one: rows that came together are more alike than others, and a window
// without drift is made of whole stretches. It returns the rows a day of the training data, 0 without a time.
func blocksOf(ctx context.Context, x Subject, o *Settings, d *Document) (rowsPerDay float64, err error) {
	f, ok := x.Train.Field(x.Time)
	if x.Time == "" || !ok || f.Type != assay.TypeDate && f.Type != assay.TypeTimestamp {
		return 0, nil
	}
	id := table.Ident(x.Time)
	r, err := x.Train.Query(ctx, "SELECT epoch(max("+id+"::TIMESTAMP)) - epoch(min("+id+"::TIMESTAMP)), count("+id+") FROM "+x.Train.Relation())
	if err != nil {
		return 0, err
	}
	defer r.Close()
	var span float64
	var rows int64
	if r.Next() {
		if err := r.Scan(&span, &rows); err != nil {
			return 0, err
		}
	}
	if err := r.Close(); err != nil || !(span > 0) {
		return 0, err
	}
	rowsPerDay = float64(rows) / (span/day + 1)
	length := int64(day)
	for span/float64(length) > maxBlocks {
		length += day
	}
	if span/float64(length) < minBlocks {
		return rowsPerDay, nil
	}
	c := &cutter{plan: assay.WindowPlan{By: ByTime, LengthSeconds: length}}
	c.byTime("CAST(" + id + " AS TIMESTAMP)")
	blocks, err := count(ctx, x.Train, d.Features, c.expr)
	if err != nil || len(blocks) < minBlocks {
		return rowsPerDay, err
	}
	for i := range d.Features {
		for _, b := range blocks {
			if c := b.columns[i]; c.Values() > 0 {
				d.Features[i].Blocks = append(d.Features[i].Blocks, c.Cells)
			}
		}
	}
	o.blockSeconds = length
	return rowsPerDay, nil
}
