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
	c := &cells{names: columns, hash: make([][]uint64, 0, len(columns))}
	err := t.EachColumn(ctx, columns, func(x *assay.Column) error {
		c.hash = append(c.hash, hashColumn(x))
		if each != nil {
			each(x)
		}
		return nil
	})
	if err != nil {
		return nil, err
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

// rows returns one hash a row: the sum over its cells, so that a column is left out by subtraction.
func (c *cells) rows() []uint64 {
	if len(c.hash) == 0 {
		return nil
	}
	out := make([]uint64, len(c.hash[0]))
	for j, col := range c.hash {
		salt := mix(uint64(j) + 1)
		for i, h := range col {
			out[i] += mix(h ^ salt)
		}
	}
	return out
}

// leave takes a column out of the hashes of the rows.
func (c *cells) leave(row []uint64, column int) {
	salt := mix(uint64(column) + 1)
	for i, h := range c.hash[column] {
		row[i] -= mix(h ^ salt)
	}
}

// blocks is into how many blocks the columns fall: one each, or some each in a table that has more than maxBlocks.
func (c *cells) blocks() int { return min(len(c.hash), maxBlocks) }

// A pairCounter counts the pairs of equal hashes of rows when some columns or blocks are left out. It owns two slices of the rows' length.
type pairCounter struct {
	cells   *cells
	row     []uint64 // the hash of each row over all columns
	buffers [2][]uint64
}

func newPairCounter(c *cells, row []uint64) *pairCounter {
	return &pairCounter{c, row, [2][]uint64{make([]uint64, len(row)), make([]uint64, len(row))}}
}

// without counts when blocks are left out.
func (p *pairCounter) without(blocks ...int) float64 {
	copy(p.buffers[0], p.row)
	for _, b := range blocks {
		for j := b; j < len(p.cells.hash); j += maxBlocks {
			p.cells.leave(p.buffers[0], j)
		}
	}
	return p.count()
}

// withoutColumn counts when one column is left out.
func (p *pairCounter) withoutColumn(j int) float64 {
	copy(p.buffers[0], p.row)
	p.cells.leave(p.buffers[0], j)
	return p.count()
}

func (p *pairCounter) count() float64 {
	row := sortUints(p.buffers[0], p.buffers[1])
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
	out := coincidence{row: c.rows()}
	count := newPairCounter(c, out.row)
	out.pairs = count.without()
	if out.pairs == 0 || c.blocks() < 2 {
		return out
	}
	type left struct {
		block  int
		single float64 // pairs that differ in this block alone
	}
	alone := make([]left, c.blocks())
	for b := range alone {
		alone[b] = left{b, count.without(b) - out.pairs}
	}
	slices.SortStableFunc(alone, func(a, b left) int { return cmp.Compare(b.single, a.single) })
	alone = alone[:min(5, len(alone))]
	for i, a := range alone {
		for _, b := range alone[:i] {
			if a.single == 0 || b.single == 0 {
				continue
			}
			both := count.without(a.block, b.block) - out.pairs - a.single - b.single
			out.natural = max(out.natural, a.single*b.single/(both+1))
		}
	}
	return out
}
