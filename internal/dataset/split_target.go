package dataset

import (
	"context"
	"fmt"
	"math"
	"slices"

	"github.com/assay-ml/assay"
)

// targets are the columns that the seal withholds: the target, or the labels of a multilabel task.
func (o SplitOptions) targets() []string {
	if o.Target == "" {
		return o.Labels
	}
	return append([]string{o.Target}, o.Labels...)
}

// labels reads the columns of a multilabel target as the two classes 0 and 1 of each.
func (d *Division) labels(ctx context.Context) ([]splitColumns, error) {
	f, err := d.table.Frame(ctx, d.options.Labels, "")
	if err != nil {
		return nil, err
	}
	var bad assay.Problems
	out := make([]splitColumns, len(f))
	for i := range f {
		out[i] = splitColumns{name: f[i].Name, labels: []string{"0", "1"}, strata: make([]int, f[i].Len())}
		codes, err := Indicator(&f[i])
		if err != nil {
			bad.Add("%s", err)
			continue
		}
		ones := 0
		for j, c := range codes {
			out[i].strata[j] = int(c)
			ones += int(c)
		}
		if ones == 0 || ones == len(codes) {
			bad.Add("label %q is %d in every row: there is nothing to learn", f[i].Name, min(ones, 1))
		}
	}
	if err := bad.Err(assay.Rejected, "the labels cannot be used"); err != nil {
		return nil, assay.Errorf(assay.Rejected, "%w", err).Try("data.target.columns in assay.yaml must name columns of 0 and 1, or of true and false, without gaps")
	}
	return out, nil
}

// Indicator reads a column of 0 and 1, or of true and false. The error says how many rows hold anything else, and where the first is.
func Indicator(c *assay.Column) ([]int32, error) {
	if c.Floats == nil {
		return nil, assay.Errorf(assay.Rejected, "label %q is a %s, not 0 or 1", c.Name, c.Type)
	}
	out := make([]int32, len(c.Floats))
	missing, other, first := 0, 0, -1
	for i, v := range c.Floats {
		switch {
		case v == 0 || v == 1:
			out[i] = int32(v)
			continue
		case math.IsNaN(v):
			missing++
		default:
			other++
		}
		if first < 0 {
			first = i
		}
	}
	if first >= 0 {
		what := fmt.Sprintf("has no value in %d", missing)
		if missing == 0 {
			what = fmt.Sprintf("is neither 0 nor 1 in %d", other)
		} else if other > 0 {
			what += fmt.Sprintf(" and is neither 0 nor 1 in %d", other)
		}
		return nil, assay.Errorf(assay.Rejected, "label %q %s of %d rows, the first is row %d", c.Name, what, len(out), first+1)
	}
	return out, nil
}

// checkQueries refuses a ranking whose queries cannot be judged: without a value, torn apart by the parts, with one document, or with a
// relevance below 0.
func (d *Division) checkQueries(ctx context.Context) error {
	o := d.options
	if o.Query == "" {
		return nil
	}
	f, err := d.table.Frame(ctx, []string{o.Query}, "")
	if err != nil {
		return err
	}
	codes, levels := Classes(&f[0])
	var bad assay.Problems
	if i := slices.Index(codes, -1); i >= 0 {
		bad.Add("query column %q has no value in row %d", o.Query, i+1)
	}
	negative := 0
	for _, v := range d.known.values {
		if v < 0 {
			negative++
		}
	}
	if negative > 0 {
		bad.Add("the relevance %q is below 0 in %d of %d rows", o.Target, negative, len(codes))
	}
	size, parts := make([]int, len(levels)), make([]uint8, len(levels))
	for i, c := range codes {
		if c >= 0 {
			size[c]++
			parts[c] |= 1 << d.Part[i]
		}
	}
	single, torn := 0, 0
	for q, n := range size {
		if n == 1 {
			single++
		}
		if parts[q]&(parts[q]-1) != 0 {
			torn++
		}
	}
	if single > 0 {
		bad.Add("%d of %d queries have one document: their order says nothing", single, len(levels))
	}
	if torn > 0 {
		bad.Add("%d of %d queries have rows in more than one part of a split by %s", torn, len(levels), o.By)
	}
	if err := bad.Err(assay.Rejected, "the ranking cannot be split"); err != nil {
		return assay.Errorf(assay.Rejected, "%w", err).Try("split.by: group keeps a query on one side; leave queries of one document out of the data, and say so under exclusions in data.documentation")
	}
	return nil
}
