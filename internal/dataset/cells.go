package dataset

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"math"
	"slices"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/table"
)

// cells hold a hash of every cell of some columns of a table, column by column: 8 bytes a cell. A hash follows from the value alone, so
// that equal values of two tables have equal hashes whatever their columns are called and however their files are written.
type cells struct {
	names []string
	hash  [][]uint64
}

// The hash of a missing value: any constant.
const missingHash = 0x9ae16a3b2f90404f

// maxBlocks bounds the passes over a wide table that look for rows which differ in one place: beyond it, columns share a place.
const maxBlocks = 32

// hashCells reads columns one at a time; each sees a column as it passes, and may be nil.
func hashCells(ctx context.Context, t *table.Table, columns []string, each func(*assay.Column)) (*cells, error) {
	c := &cells{names: columns, hash: make([][]uint64, len(columns))}
	for i, name := range columns {
		f, err := t.Frame(ctx, []string{name}, "")
		if err != nil {
			return nil, err
		}
		c.hash[i] = hashColumn(&f[0])
		if each != nil {
			each(&f[0])
		}
	}
	return c, nil
}

func hashColumn(c *assay.Column) []uint64 {
	out := make([]uint64, c.Len())
	if c.Codes == nil {
		for i, v := range c.Floats {
			out[i] = hashNumber(v)
		}
		return out
	}
	levels := make([]uint64, len(c.Levels))
	for i, l := range c.Levels {
		levels[i] = hashText(l)
	}
	for i, code := range c.Codes {
		out[i] = missingHash
		if code >= 0 {
			out[i] = levels[code]
		}
	}
	return out
}

func hashNumber(v float64) uint64 {
	if math.IsNaN(v) {
		return missingHash
	}
	return mix(math.Float64bits(v + 0)) // -0 + 0 is 0
}

func hashText(s string) uint64 {
	sum := sha256.Sum256([]byte(s))
	return binary.BigEndian.Uint64(sum[:])
}

// mix is the finalizer of SplitMix64: a bijection under which related inputs have unrelated outputs (Steele, Lea, Flood 2014).
func mix(z uint64) uint64 {
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// blocks returns one hash a row and block, where a block is a column, or some of a table that has more than maxBlocks. The hash of a
// row is the sum over its blocks, so that a block is left out by subtraction.
func (c *cells) blocks() [][]uint64 {
	out := make([][]uint64, min(len(c.hash), maxBlocks))
	for j, col := range c.hash {
		b := j % maxBlocks
		if out[b] == nil {
			out[b] = make([]uint64, len(col))
		}
		salt := mix(uint64(j) + 1)
		for i, h := range col {
			out[b][i] += mix(h ^ salt)
		}
	}
	return out
}

func whole(blocks [][]uint64) []uint64 {
	if len(blocks) == 0 {
		return nil
	}
	out := make([]uint64, len(blocks[0]))
	for _, b := range blocks {
		for i, h := range b {
			out[i] += h
		}
	}
	return out
}

func without(row []uint64, blocks ...[]uint64) []uint64 {
	out := slices.Clone(row)
	for _, b := range blocks {
		for i, h := range b {
			out[i] -= h
		}
	}
	return out
}

// pairs counts the pairs of equal hashes. It sorts row.
func pairs(row []uint64) float64 {
	slices.Sort(row)
	var n float64
	for i := 0; i < len(row); {
		j := i + 1
		for j < len(row) && row[j] == row[i] {
			j++
		}
		n += float64(j-i) * float64(j-i-1) / 2
		i = j
	}
	return n
}

// A coincidence tells how many pairs of rows are equal, and how many would be if only chance made rows equal.
type coincidence struct {
	row     []uint64 // the hash of each row
	pairs   float64  // pairs of equal rows
	natural float64  // pairs that chance gives
}

// coincide estimates how many pairs of rows are equal by nature. Two rows that are not copies agree in one column about as often
// whether or not they agree in another, given that they agree in all the rest. So with D(j) pairs that differ in column j alone, and
// D(j,k) that differ in j and k alone, about D(j)·D(k)/D(j,k) pairs differ in neither: these are natural, and copies come on top. The
// greatest estimate over the five columns with the most D counts. Where a column tells rows apart, no pair differs elsewhere alone, the
// estimate is 0, and equal rows are copies.
func coincide(c *cells) coincidence {
	blocks := c.blocks()
	out := coincidence{row: whole(blocks)}
	out.pairs = pairs(slices.Clone(out.row))
	if out.pairs == 0 || len(blocks) < 2 {
		return out
	}
	type left struct {
		block  int
		single float64 // pairs that differ in this block alone
	}
	alone := make([]left, len(blocks))
	for j, b := range blocks {
		alone[j] = left{j, pairs(without(out.row, b)) - out.pairs}
	}
	slices.SortStableFunc(alone, func(a, b left) int { return cmp.Compare(b.single, a.single) })
	alone = alone[:min(5, len(alone))]
	for i, a := range alone {
		for _, b := range alone[:i] {
			if a.single == 0 || b.single == 0 {
				continue
			}
			both := pairs(without(out.row, blocks[a.block], blocks[b.block])) - out.pairs - a.single - b.single
			out.natural = max(out.natural, a.single*b.single/(both+1))
		}
	}
	return out
}
