package stat

import (
	"math"

	"github.com/assay-ml/assay"
)

// An Ordering is the rows of one column in ascending order, sorted once, so that quantiles of any weights of the rows are a pass
// without a sort. It is immutable.
type Ordering struct {
	rows   []int32
	values []float64
}

// NewOrdering sorts the rows by value. It refuses undefined values.
func NewOrdering(values []float64) (*Ordering, error) {
	if hasNaN(values) {
		return nil, assay.Errorf(assay.Invalid, "cannot order rows: the column has undefined values")
	}
	o := &Ordering{rows: ascending(values), values: make([]float64, len(values))}
	for i, r := range o.rows {
		o.values[i] = values[r]
	}
	return o, nil
}

// Quantile returns the p-quantile of the rows, each repeated as often as its weight, interpolated as by the function Quantile; nil
// weighs every row 1. NaN without weight or for p outside [0, 1].
func (o *Ordering) Quantile(counts []uint8, p float64) float64 {
	if counts == nil {
		return Quantile(o.values, p)
	}
	var total int64
	for _, c := range counts {
		total += int64(c)
	}
	if total == 0 || !(p >= 0 && p <= 1) {
		return math.NaN()
	}
	at := p * float64(total-1)
	floor := math.Floor(at)
	first, t := int64(floor), at-floor
	var seen int64
	pair := make([]float64, 0, 2)
	for i, r := range o.rows {
		seen += int64(counts[r])
		for len(pair) < 2 && seen > first+int64(len(pair)) {
			pair = append(pair, o.values[i])
		}
		if len(pair) == 2 {
			break
		}
	}
	if len(pair) == 1 {
		return pair[0]
	}
	return Quantile(pair, t)
}
