package stat

import (
	"math"

	"github.com/assay-ml/assay"
)

// A Tally adds up rows per cell: the weight of the rows and the weighted sums of values that every row has, for any weights, in one
// pass over memory that is laid out by cell. Cells are the finest division that a report needs, for example (slice intersection,
// label, predicted label); slices and confusion counts are sums over cells, and every mean of per-row losses is a quotient of sums.
// It is immutable.
type Tally struct {
	rows    []int32 // sorted by cell
	starts  []int32 // first row of each cell in rows, and the end
	blocks  [][]float64
	columns int
}

// block is how many value columns are summed at once, in registers.
const block = 4

// NewTally lays the rows out by cell, one code in 0 … cells-1 a row, each with one number of every column of values. It refuses
// codes out of range, unequal lengths and values that are not finite.
func NewTally(codes []int32, cells int, values ...[]float64) (*Tally, error) {
	var p assay.Problems
	bad := 0
	for _, c := range codes {
		if c < 0 || int(c) >= cells {
			bad++
		}
	}
	if bad > 0 {
		p.Add("%d rows have a cell outside 0 … %d", bad, cells-1)
	}
	for k, column := range values {
		if len(column) != len(codes) {
			p.Add("value column %d has %d numbers for %d rows", k, len(column), len(codes))
			continue
		}
		bad = 0
		for _, v := range column {
			if math.IsNaN(v) || math.IsInf(v, 0) {
				bad++
			}
		}
		if bad > 0 {
			p.Add("value column %d has %d numbers that are not finite", k, bad)
		}
	}
	if err := p.Err(assay.Invalid, "cannot tally"); err != nil {
		return nil, err
	}
	t := &Tally{rows: make([]int32, len(codes)), starts: make([]int32, cells+1), columns: len(values)}
	for _, c := range codes {
		t.starts[c+1]++
	}
	for c := range cells {
		t.starts[c+1] += t.starts[c]
	}
	at := append([]int32(nil), t.starts...)
	for i, c := range codes {
		t.rows[at[c]] = int32(i)
		at[c]++
	}
	for k := 0; k < len(values); k += block {
		b := make([]float64, block*len(codes))
		for j, column := range values[k:min(k+block, len(values))] {
			for i, row := range t.rows {
				b[i*block+j] = column[row]
			}
		}
		t.blocks = append(t.blocks, b)
	}
	return t, nil
}

// Cells is the number of cells, Columns that of value columns.
func (t *Tally) Cells() int   { return len(t.starts) - 1 }
func (t *Tally) Columns() int { return t.columns }

// Sum writes the total weight of each cell to weights (length Cells) and the weighted sum of column k in cell c to
// sums[c*Columns+k] (length Cells*Columns). counts has one weight a row; nil weighs every row 1.
func (t *Tally) Sum(counts []uint8, weights, sums []float64) {
	for c := range t.Cells() {
		rows := t.rows[t.starts[c]:t.starts[c+1]]
		if counts == nil {
			weights[c] = float64(len(rows))
		} else {
			var w uint64
			for _, row := range rows {
				w += uint64(counts[row])
			}
			weights[c] = float64(w)
		}
	}
	for k, b := range t.blocks {
		wide := min(block, t.columns-k*block)
		for c := range t.Cells() {
			from, to := int(t.starts[c]), int(t.starts[c+1])
			var s [block]float64
			v := b[from*block : to*block]
			if counts == nil {
				for ; len(v) >= block; v = v[block:] {
					s[0] += v[0]
					s[1] += v[1]
					s[2] += v[2]
					s[3] += v[3]
				}
			} else {
				var s0, s1, s2, s3 float64
				for _, row := range t.rows[from:to] {
					w := float64(counts[row])
					s0 += w * v[0]
					s1 += w * v[1]
					s2 += w * v[2]
					s3 += w * v[3]
					v = v[block:]
				}
				s = [block]float64{s0, s1, s2, s3}
			}
			copy(sums[c*t.columns+k*block:], s[:wide])
		}
	}
}
