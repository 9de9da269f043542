package dataset

import (
	"math"
	"slices"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/table"
)

// Limits of the matrix of missing values.
const (
	NullityColumns = 40
	NullityBlocks  = 60
)

// nullity counts the missing values of the columns that miss most by blocks of rows.
func (p *profiler) nullity(masks []holeMask) {
	rows := int(p.report.Rows)
	if len(masks) == 0 {
		return
	}
	masks = slices.Clone(masks)
	slices.SortStableFunc(masks, func(a, b holeMask) int { return int(b.n - a.n) })
	masks = masks[:min(len(masks), NullityColumns)]
	slices.SortFunc(masks, func(a, b holeMask) int { return a.column - b.column })
	m := &Nullity{Blocks: min(rows, NullityBlocks)}
	for _, mask := range masks {
		counts := make([]int64, m.Blocks)
		for b := range counts {
			for r := b * rows / m.Blocks; r < (b+1)*rows/m.Blocks; r++ {
				counts[b] += int64(mask.bits[r/64] >> (r % 64) & 1)
			}
		}
		m.Columns, m.Counts = append(m.Columns, p.columns[mask.column].Name), append(m.Counts, counts)
	}
	p.report.Nullity = m
}

// bandEdges are the quantiles between which a numeric target is described. They are among table.DefaultQuantiles.
var bandEdges = []float64{0, 0.1, 0.25, 0.5, 0.75, 0.9, 1}

// bandValues is how many distinct values a quantity needs for bands; with fewer its values say it all.
const bandValues = 10

// bandsOf describes a numeric target along the values of a quantity.
func (p *profiler) bandsOf(e *table.Examined) []Band {
	if e.Numbers == nil || !e.Type.Numeric() || e.Distinct <= bandValues {
		return nil
	}
	present := float64(e.Rows - missing(e))
	band := func(rank2 float64) int { // of twice the midrank
		for b := len(bandEdges) - 2; b > 0; b-- {
			if rank2 > 2*present*bandEdges[b] {
				return b
			}
		}
		return 0
	}
	var of []int
	if !e.Ranked {
		of = make([]int, len(e.Counts)+1)
		before := int64(0)
		for k, n := range e.Counts {
			of[k+1] = band(float64(2*before + n + 1))
			before += n
		}
	}
	bands := len(bandEdges) - 1
	n, total, square := make([]float64, bands), make([]float64, bands), make([]float64, bands)
	centre := float64(p.columns[p.target].Numbers.Mean)
	for row, y := range p.y {
		code := e.Codes.At(row)
		if code == 0 || math.IsNaN(y) || math.IsInf(y, 0) {
			continue
		}
		b := 0
		if e.Ranked {
			b = band(float64(code))
		} else {
			b = of[code]
		}
		n[b]++
		total[b] += y - centre
		square[b] += (y - centre) * (y - centre)
	}
	at := func(q float64) assay.Number {
		switch q {
		case 0:
			return e.Numbers.Min
		case 1:
			return e.Numbers.Max
		}
		for _, x := range e.Numbers.Quantiles {
			if x.P == q {
				return x.Value
			}
		}
		return assay.Number(math.NaN())
	}
	var out []Band
	for b := range bands {
		x := Band{From: bandEdges[b], To: bandEdges[b+1], Low: at(bandEdges[b]), High: at(bandEdges[b+1]), Count: int64(n[b]), Mean: assay.Number(math.NaN()), Std: assay.Number(math.NaN())}
		if n[b] > 0 {
			x.Mean = assay.Number(centre + total[b]/n[b])
		}
		if n[b] > 1 {
			x.Std = assay.Number(math.Sqrt(math.Max(0, square[b]-total[b]*total[b]/n[b]) / (n[b] - 1)))
		}
		out = append(out, x)
	}
	return out
}
