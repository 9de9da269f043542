package dataset

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"math"
	"slices"
	"strings"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/table"
)

// Bounds of a sketch.
const (
	SketchRows    = 16384 // rows that a sketch keeps of a larger test set
	sketchColumns = 64    // columns, those with the most different values
	matchRows     = 2048  // rows that are used to recognise columns
)

// Sketches begin with their version. The first had neither the labels of the rows nor a shape.
const (
	sketchFirst = "assay.sketch/1\n"
	sketchMagic = "assay.sketch/2\n"
)

// What a column of a sketch is.
const (
	sketchKey   = 1
	sketchLabel = 2
)

// A Look is a table as the seal compares it: by the values of its cells, whatever its columns are called.
type Look struct {
	table  *table.Table
	cells  *cells
	key    []string
	target []string
	tally  []map[uint32]int // by column, made when first asked for: how often a hash occurs
	serial []bool           // by column: consecutive numbers, which tables that have nothing to do with each other share
	grows  []bool           // by column: it never falls or never rises from row to row, as a date beside consecutive numbers
}

// NewLook hashes every cell of a table: 8 bytes a cell are held.
func NewLook(ctx context.Context, t *table.Table, key []string, target ...string) (*Look, error) {
	l := &Look{table: t, key: key, target: target}
	var err error
	if l.cells, err = hashCells(ctx, t, names(t.Fields()), func(c *assay.Column) {
		l.serial, l.grows = append(l.serial, serial(c)), append(l.grows, rises(c))
	}); err != nil {
		return nil, err
	}
	l.tally = make([]map[uint32]int, len(l.cells.hash))
	return l, nil
}

func (c *cells) only(columns []string) *cells {
	out := &cells{}
	for i, n := range c.names {
		if slices.Contains(columns, n) {
			out.names, out.hash = append(out.names, n), append(out.hash, c.hash[i])
		}
	}
	return out
}

// Contents returns the content of rows as the seal keeps it: a fingerprint over the values of all columns that depends neither on the
// names nor on the order of columns. It is the sum over the cells of two mixes of the cell's hash.
func (l *Look) Contents(rows []int) [][16]byte {
	out := make([][16]byte, len(rows))
	for i, r := range rows {
		var a, b uint64
		for _, col := range l.cells.hash {
			a += mix(col[r] ^ 0x243f6a8885a308d3)
			b += mix(col[r] ^ 0x13198a2e03707344)
		}
		binary.BigEndian.PutUint64(out[i][:8], a)
		binary.BigEndian.PutUint64(out[i][8:], b)
	}
	return out
}

// All returns the numbers of all rows.
func (l *Look) All() []int {
	n := 0
	if len(l.cells.hash) > 0 {
		n = len(l.cells.hash[0])
	}
	out := make([]int, n)
	for i := range out {
		out[i] = i
	}
	return out
}

// sketch keeps 4 bytes of the hash of every cell of some rows, so that these rows can be recognised later in a table with other names,
// fewer columns or another key, and the shape of the table. Of many rows it keeps those of the smallest content, which is a random choice.
// The labels are kept too, hashed like other cells, for rows that only their key and label identify: the blob lies in the store, beside
// the sealed labels themselves.
// ordered says that the split follows the order of the rows, so that the sketch may.
func (l *Look) sketch(rows []int, of *shape, ordered bool) []byte {
	contents := l.Contents(rows)
	order := make([]int, len(rows))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return bytes.Compare(contents[a][:], contents[b][:]) })
	order = order[:min(len(order), SketchRows)]
	type column struct{ index, distinct int }
	var columns []column
	for j, name := range l.cells.names {
		if slices.Contains(l.target, name) {
			continue
		}
		seen := map[uint64]bool{}
		for _, o := range order {
			seen[l.cells.hash[j][rows[o]]] = true
		}
		columns = append(columns, column{j, len(seen)})
	}
	slices.SortStableFunc(columns, func(a, b column) int {
		return cmp.Or(cmp.Compare(b.distinct, a.distinct), strings.Compare(l.cells.names[a.index], l.cells.names[b.index]))
	})
	columns = columns[:min(len(columns), sketchColumns)]
	for j, name := range l.cells.names {
		if slices.Contains(l.target, name) && len(columns) < 2*sketchColumns {
			columns = append(columns, column{index: j})
		}
	}
	out := []byte(sketchMagic)
	out = binary.AppendUvarint(out, uint64(len(columns)))
	out = binary.AppendUvarint(out, uint64(len(order)))
	for _, c := range columns {
		name := l.cells.names[c.index]
		out = binary.AppendUvarint(out, uint64(len(name)))
		out = append(out, name...)
		out = append(out, map[bool]byte{true: sketchKey}[slices.Contains(l.key, name)]|map[bool]byte{true: sketchLabel}[slices.Contains(l.target, name)])
	}
	for _, c := range columns {
		for _, o := range order {
			out = binary.BigEndian.AppendUint32(out, uint32(l.cells.hash[c.index][rows[o]]>>32))
		}
	}
	if !ordered {
		order = nil
	}
	out = binary.AppendUvarint(out, uint64(len(order)))
	for _, o := range order {
		out = binary.BigEndian.AppendUint32(out, uint32(rows[o]))
	}
	return of.append(out)
}

// A Sketch is some rows of a sealed set, as cells, and the shape of the table.
type Sketch struct {
	names  []string
	key    []bool
	cells  [][]uint32 // by column
	labels [][]uint32 // by target; none in a sketch of the first version
	at     []uint32   // the number of each row in its table; none in a sketch of the first version and of a split that does not follow the order
	shape  *shape     // nil in a sketch of the first version and of a split without a target
}

// ParseSketch reads what a split stored.
func ParseSketch(b []byte) (*Sketch, error) {
	bad := assay.Errorf(assay.Internal, "the sketch of a sealed set is damaged").Try("assay fsck")
	b, second := bytes.CutPrefix(b, []byte(sketchMagic))
	if !second {
		var first bool
		if b, first = bytes.CutPrefix(b, []byte(sketchFirst)); !first {
			return nil, bad
		}
	}
	next := func(limit uint64) (int, bool) {
		v, n := binary.Uvarint(b)
		if n <= 0 || v > limit {
			return 0, false
		}
		b = b[n:]
		return int(v), true
	}
	columns, ok1 := next(2 * sketchColumns)
	rows, ok2 := next(SketchRows)
	if !ok1 || !ok2 {
		return nil, bad
	}
	s := &Sketch{}
	label := make([]bool, columns)
	for c := range columns {
		n, ok := next(uint64(len(b)))
		if !ok || len(b) < n+1 {
			return nil, bad
		}
		label[c] = b[n]&sketchLabel != 0
		if !label[c] {
			s.names, s.key = append(s.names, string(b[:n])), append(s.key, b[n]&sketchKey != 0)
		}
		b = b[n+1:]
	}
	if len(b) < 4*columns*rows {
		return nil, bad
	}
	for c := range columns {
		col := make([]uint32, rows)
		for i := range col {
			col[i] = binary.BigEndian.Uint32(b[4*i:])
		}
		if label[c] {
			s.labels = append(s.labels, col)
		} else {
			s.cells = append(s.cells, col)
		}
		b = b[4*rows:]
	}
	if len(s.cells) == 0 {
		return nil, bad
	}
	if second {
		n, ok := next(uint64(rows))
		if !ok || n != 0 && n != rows || len(b) < 4*n {
			return nil, bad
		}
		for i := range n {
			s.at = append(s.at, binary.BigEndian.Uint32(b[4*i:]))
		}
		b = b[4*n:]
		if s.shape, ok = parseShape(b); !ok {
			return nil, bad
		}
	} else if len(b) > 0 {
		return nil, bad
	}
	return s, nil
}

// A Sighting tells how many rows of a sealed set are among the rows of another table.
type Sighting struct {
	Looked   int     // rows of the sealed set that were looked for
	Found    int     // of these, how many are among the given
	Chance   float64 // the share that would be found if the given rows were other rows of the same population
	Probable bool    // by how many rows of each class lie where, and not row by row: see Alike
}

// Seen reports whether more sealed rows were found than chance gives: any at all where rows are distinctive. Where they are not, the excess
// must be four standard errors and a tenth of the rows that chance does not give, for two populations are never quite the same.
func (s Sighting) Seen() bool {
	expected := s.Chance * float64(s.Looked)
	margin := 4 * math.Sqrt(expected*(1-s.Chance))
	if s.Chance > 0.01 {
		margin += 0.1 * (float64(s.Looked) - expected)
	}
	return s.Found > 0 && float64(s.Found) > expected+margin
}

// Excess is the share of the sealed rows that is found beyond chance, 0 to 1.
func (s Sighting) Excess() float64 {
	if s.Looked == 0 || s.Chance >= 1 {
		return 0
	}
	return max(0, (float64(s.Found)/float64(s.Looked)-s.Chance)/(1-s.Chance))
}

// See looks for the rows of a sketch among rows of the table. Columns are recognised by their values; those that the table no longer has
// are left out, and so are, in a second look, the columns that identified rows when the sketch was made. These looks need half of the
// columns, the label counted as one that is there. A third look is at the key alone. Where none of them
// finds anything, columns are recognised by few of their values. See answers with the look that found more beyond chance.
func (l *Look) See(ctx context.Context, s *Sketch, rows []int) (Sighting, error) {
	mine, theirs := l.match(s, mostRows)
	best, err := l.seeKey(ctx, s, rows, mine, theirs)
	if err != nil {
		return best, err
	}
	if got := l.seeRows(s, rows, mine, theirs); got.Looked > 0 && (!best.Seen() || got.Seen() && got.Excess() > best.Excess()) {
		best = got
	}
	if best.Seen() {
		return best, nil
	}
	// A table that has few of the sealed rows has few of their values in a column.
	few, of := l.match(s, someRows)
	if slices.Equal(few, mine) && slices.Equal(of, theirs) {
		return best, nil
	}
	if got := l.seeRows(s, rows, few, of); got.Seen() {
		return got, nil
	}
	return best, nil
}

// seeRows looks for rows in columns that were recognised.
func (l *Look) seeRows(s *Sketch, rows, mine, theirs []int) (best Sighting) {
	labels := max(1, len(l.target))
	enough := func(columns int) bool { return columns > 0 && 2*(columns+labels) >= len(s.names)+labels }
	if !enough(len(theirs)) {
		return best
	}
	for _, withKey := range []bool{true, false} {
		var a, b []int
		for i, t := range theirs {
			if withKey || !s.key[t] {
				a, b = append(a, mine[i]), append(b, t)
			}
		}
		if !enough(len(a)) || !withKey && len(a) == len(mine) {
			continue
		}
		if withKey && l.keyNumbered(s, mine, theirs) { // the key alone makes rows look distinctive: only seeKey weighs it
			continue
		}
		given := make([]uint64, len(rows))
		sealed := make([]uint64, len(s.cells[0]))
		for c := range a {
			salt := mix(uint64(c) + 1)
			for i, r := range rows {
				given[i] += mix(l.cells.hash[a[c]][r]>>32 ^ salt)
			}
			for i, h := range s.cells[b[c]] {
				sealed[i] += mix(uint64(h) ^ salt)
			}
		}
		has := make(map[uint64]bool, len(given))
		for _, h := range given {
			has[h] = true
		}
		got := Sighting{Looked: len(sealed), Chance: min(Chance(given), accident(given, sealed))}
		for _, h := range sealed {
			if has[h] {
				got.Found++
			}
		}
		if !best.Seen() || got.Seen() && got.Excess() > best.Excess() {
			best = got
		}
	}
	return best
}

// What share of a sketch's values must be in a column of the same name, and in one of another name.
type likeness struct{ same, other, otherDistinct float64 }

var (
	mostRows = likeness{0.5, 0.9, 0.9}
	someRows = likeness{0.02, 0.9, 0.05} // a twentieth of values that hardly repeat is no chance
)

// match recognises the columns of a sketch in the table: pairs of column numbers. A pair needs a share of the sketch's values in the
// table's column and, where values repeat, shares that are not far apart; the best pairs go first.
func (l *Look) match(s *Sketch, least likeness) (mine, theirs []int) {
	type pair struct {
		mine, theirs int
		score        float64
	}
	var all []pair
	for t, sealed := range s.cells {
		sealed = sealed[:min(len(sealed), matchRows)]
		times := make(map[uint32]int, len(sealed))
		for _, h := range sealed {
			times[h]++
		}
		for m, name := range l.cells.names {
			tally := l.counts(m)
			n := float64(len(l.cells.hash[m]))
			contained, distance, covered := 0, 0.0, 0.0
			for h, k := range times {
				of := tally[h]
				if of > 0 {
					contained += k
				}
				distance += math.Abs(float64(k)/float64(len(sealed)) - float64(of)/n)
				covered += float64(of) / n
			}
			share := float64(contained) / float64(len(sealed))
			distance = (distance + 1 - covered) / 2
			other := least.other
			if 2*len(times) > len(sealed) { // values hardly repeat: a sample cannot have the shares of the whole
				distance, other = 0, least.otherDistinct
			}
			same := name == s.names[t]
			if share < least.same || share < other && !same || distance > 0.5 {
				continue
			}
			score := share - distance
			if same {
				score += 0.02
			}
			all = append(all, pair{m, t, score})
		}
	}
	slices.SortStableFunc(all, func(a, b pair) int {
		return cmp.Or(cmp.Compare(b.score, a.score), cmp.Compare(a.theirs, b.theirs), cmp.Compare(a.mine, b.mine))
	})
	for _, p := range all {
		if !slices.Contains(mine, p.mine) && !slices.Contains(theirs, p.theirs) {
			mine, theirs = append(mine, p.mine), append(theirs, p.theirs)
		}
	}
	return mine, theirs
}

func (l *Look) counts(column int) map[uint32]int {
	if l.tally[column] == nil {
		out := map[uint32]int{}
		for _, h := range l.cells.hash[column] {
			out[uint32(h>>32)]++
		}
		l.tally[column] = out
	}
	return l.tally[column]
}

// Sketch returns what the split keeps of its test rows: what ParseSketch reads.
func (d *Division) Sketch() []byte { return d.sketch }

// SealedPrints returns the sorted contents of the test rows, 16 bytes each: what the seal keeps.
func (d *Division) SealedPrints() []byte {
	contents := d.Look.Contents(d.Rows(assay.Test))
	slices.SortFunc(contents, func(a, b [16]byte) int { return bytes.Compare(a[:], b[:]) })
	out := make([]byte, 0, 16*len(contents))
	for _, p := range contents {
		out = append(out, p[:]...)
	}
	return out
}
