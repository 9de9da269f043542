package dataset

import (
	"cmp"
	"context"
	"encoding/binary"
	"math"
	"slices"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/table"
)

// Bounds of a shape.
const (
	shapeColumns = 10 // columns, those with the most different values that repeat
	finePlaces   = 64 // places of a column alone
	coarsePlaces = 16 // of a column beside another, where there are more than fewColumns
	fewColumns   = 3
	cutRows      = 1 << 16 // rows that the cuts are made from
)

// A shape is how many rows of a table lie where by one and by two of its columns and the target, in two classes: counts, apart for the
// sealed rows and the others. It outlives new keys, rounded numbers, and columns that are renamed, moved or dropped.
type shape struct {
	axes    []axis
	rows    [2]int     // sealed, others
	singles [2][][]int // by axis: 2·place + class
	pairs   [2][][]int // by pair of axes, as pairOf counts them
}

// An axis gives the values of a column places. Numbers lie between cuts; texts have a place each, the most frequent first.
type axis struct {
	name   string
	cuts   []float64 // ascending
	levels []uint64  // hashes; nil: numbers
}

// side is how many places a column has beside another.
func (s *shape) side() int {
	if len(s.axes) <= fewColumns {
		return finePlaces
	}
	return coarsePlaces
}

// pairOf is the number of the pair of axes i < j.
func pairOf(i, j int) int { return j*(j-1)/2 + i }

// newAxis makes an axis of a column; ok is false where it has a single place, or texts that hardly repeat.
func newAxis(c *assay.Column, hash []uint64) (a axis, ok bool) {
	a.name = c.Name
	if c.Codes != nil {
		times := map[uint64]int{}
		for _, h := range hash {
			if h != missingHash {
				times[h]++
			}
		}
		if 2*len(times) > len(hash) {
			return a, false
		}
		for h := range times {
			a.levels = append(a.levels, h)
		}
		slices.SortFunc(a.levels, func(x, y uint64) int { return cmp.Or(cmp.Compare(times[y], times[x]), cmp.Compare(x, y)) })
		a.levels = a.levels[:min(len(a.levels), finePlaces-2)]
		return a, len(times) > 1
	}
	values := make([]float64, 0, min(len(c.Floats), 2*cutRows))
	step := max(1, len(c.Floats)/cutRows)
	for i := 0; i < len(c.Floats); i += step {
		if v := c.Floats[i]; !math.IsNaN(v) {
			values = append(values, v)
		}
	}
	slices.Sort(values)
	distinct := slices.Compact(slices.Clone(values))
	if len(distinct) < 2 {
		return a, false
	}
	cut := func(at int) { // between a value and the one before, so that rounding moves few rows
		a.cuts = append(a.cuts, distinct[at-1]/2+distinct[at]/2)
	}
	if len(distinct) < finePlaces {
		for at := 1; at < len(distinct); at++ {
			cut(at)
		}
		return a, true
	}
	for k := 1; k < finePlaces-1; k++ {
		at, _ := slices.BinarySearch(distinct, values[k*len(values)/(finePlaces-1)])
		if at > 0 {
			cut(at)
		}
	}
	a.cuts = slices.Compact(a.cuts)
	return a, len(a.cuts) > 0
}

// numbers reports whether the axis is one of numbers.
func (a axis) numbers() bool { return a.levels == nil }

// places gives the place of each of some rows of a column.
func (a axis) places(c *assay.Column, hash []uint64, rows []int) []uint8 {
	out := make([]uint8, len(rows))
	if !a.numbers() {
		at := make(map[uint64]uint8, len(a.levels))
		for i, h := range a.levels {
			at[h] = uint8(i)
		}
		at[missingHash] = finePlaces - 1
		for i, r := range rows {
			p, ok := at[hash[r]]
			if !ok {
				p = finePlaces - 2
			}
			out[i] = p
		}
		return out
	}
	for i, r := range rows {
		v := c.Floats[r]
		if math.IsNaN(v) {
			out[i] = finePlaces - 1
			continue
		}
		at, _ := slices.BinarySearch(a.cuts, v)
		out[i] = uint8(at)
	}
	return out
}

// beside is the place beside another column of each place.
func (a axis) beside(side int) (to [finePlaces]uint8) {
	n := len(a.cuts) + 1
	for p := range finePlaces - 1 {
		if side == finePlaces {
			to[p] = uint8(p)
			continue
		}
		switch {
		case !a.numbers():
			to[p] = uint8(min(p, coarsePlaces-2))
		case n < coarsePlaces:
			to[p] = uint8(min(p, coarsePlaces-2))
		default:
			to[p] = uint8(min(p*(coarsePlaces-1)/n, coarsePlaces-2))
		}
	}
	to[finePlaces-1] = uint8(side - 1)
	return to
}

// halves divides the values of a target into two classes, as near to half and half as they allow; −1 is a row without one. Classes of
// equal shares are divided in the same way whatever they are called, or the other way round.
func halves(c *assay.Column) []int8 {
	out := make([]int8, c.Len())
	if c.Codes != nil {
		times := make([]int, len(c.Levels))
		for _, code := range c.Codes {
			if code >= 0 {
				times[code]++
			}
		}
		best, off := 0, math.Inf(1)
		for l, n := range times {
			if d := math.Abs(float64(n) - float64(len(c.Codes))/2); d < off {
				best, off = l, d
			}
		}
		for i, code := range c.Codes {
			switch {
			case code < 0:
				out[i] = -1
			case int(code) == best:
				out[i] = 1
			}
		}
		return out
	}
	values := slices.DeleteFunc(slices.Clone(c.Floats), math.IsNaN)
	slices.Sort(values)
	cut := math.Inf(1)
	if n := len(values); n > 0 {
		middle := values[n/2]
		low, _ := slices.BinarySearch(values, middle)
		high, _ := slices.BinarySearch(values, math.Nextafter(middle, math.Inf(1)))
		cut = middle // values from here on are the upper class
		if high < n && n-2*low > 2*high-n {
			cut = values[high]
		}
	}
	for i, v := range c.Floats {
		switch {
		case math.IsNaN(v):
			out[i] = -1
		case v >= cut:
			out[i] = 1
		}
	}
	return out
}

// tallied counts rows by their places, in one column or in two of so many places a side, and their class.
func tallied(side int, a, b []uint8, class []int8) []int {
	cells := side
	if b != nil {
		cells *= side
	}
	out := make([]int, 2*cells)
	for i, y := range class {
		if y < 0 {
			continue
		}
		at := int(a[i])
		if b != nil {
			at = at*side + int(b[i])
		}
		out[2*at+int(y)]++
	}
	return out
}

// shape counts the rows of a divided table; nil where it has no target or no column to count by. Sealed says which rows are.
func (l *Look) shape(ctx context.Context, t *table.Table, features []string, sealed, others []int) (*shape, error) {
	if len(l.target) == 0 {
		return nil, nil
	}
	f, err := t.Frame(ctx, l.target[:1], "")
	if err != nil {
		return nil, err
	}
	class := halves(&f[0])
	s := &shape{rows: [2]int{len(sealed), len(others)}}
	var fine [2][][]uint8
	sets := [2][]int{sealed, others}
	for _, name := range l.varied(features) {
		if len(s.axes) == shapeColumns {
			break
		}
		f, err := t.Frame(ctx, []string{name}, "")
		if err != nil {
			return nil, err
		}
		hash := l.cells.of(name)
		a, ok := newAxis(&f[0], hash)
		if !ok {
			continue
		}
		s.axes = append(s.axes, a)
		for set, rows := range sets {
			fine[set] = append(fine[set], a.places(&f[0], hash, rows))
		}
	}
	if len(s.axes) == 0 {
		return nil, nil
	}
	for set, rows := range sets {
		y := make([]int8, len(rows))
		for i, r := range rows {
			y[i] = class[r]
		}
		for j, a := range s.axes {
			s.singles[set] = append(s.singles[set], tallied(finePlaces, fine[set][j], nil, y))
			fine[set][j] = merged(fine[set][j], a.beside(s.side()))
			for i := range j {
				s.pairs[set] = append(s.pairs[set], tallied(s.side(), fine[set][i], fine[set][j], y))
			}
		}
	}
	return s, nil
}

func merged(places []uint8, to [finePlaces]uint8) []uint8 {
	out := make([]uint8, len(places))
	for i, p := range places {
		out[i] = to[p]
	}
	return out
}

// varied are the columns with the most different values first, counted in some of the rows; twice as many as a shape takes.
func (l *Look) varied(columns []string) []string {
	type column struct {
		name     string
		distinct int
	}
	var all []column
	for _, name := range columns {
		seen := map[uint64]bool{}
		hash := l.cells.of(name)
		for i := 0; i < len(hash); i += max(1, len(hash)/matchRows) {
			seen[hash[i]] = true
		}
		all = append(all, column{name, len(seen)})
	}
	slices.SortStableFunc(all, func(a, b column) int { return cmp.Or(cmp.Compare(b.distinct, a.distinct), cmp.Compare(a.name, b.name)) })
	var out []string
	for _, c := range all[:min(len(all), 2*shapeColumns)] {
		out = append(out, c.name)
	}
	return out
}

// of are the hashes of a column.
func (c *cells) of(name string) []uint64 { return c.hash[slices.Index(c.names, name)] }

// append writes the shape after what a sketch holds of rows.
func (s *shape) append(out []byte) []byte {
	if s == nil {
		return binary.AppendUvarint(out, 0)
	}
	out = binary.AppendUvarint(out, uint64(len(s.axes)))
	for _, a := range s.axes {
		out = binary.AppendUvarint(out, uint64(len(a.name)))
		out = append(out, a.name...)
		out = binary.AppendUvarint(out, uint64(len(a.cuts)))
		for _, c := range a.cuts {
			out = binary.BigEndian.AppendUint64(out, math.Float64bits(c))
		}
		out = binary.AppendUvarint(out, uint64(len(a.levels)))
		for _, l := range a.levels {
			out = binary.BigEndian.AppendUint64(out, l)
		}
	}
	for set := range s.rows {
		out = binary.AppendUvarint(out, uint64(s.rows[set]))
		for _, t := range slices.Concat(s.singles[set], s.pairs[set]) {
			for _, n := range t {
				out = binary.AppendUvarint(out, uint64(n))
			}
		}
	}
	return out
}

// parseShape reads what append wrote, to the end; ok is false where it is damaged.
func parseShape(b []byte) (s *shape, ok bool) {
	sound := true
	next := func(limit int) int {
		v, n := binary.Uvarint(b)
		if n <= 0 || v > uint64(limit) {
			sound = false
			return 0
		}
		b = b[n:]
		return int(v)
	}
	word := func() (v uint64) {
		if len(b) < 8 {
			sound = false
			return 0
		}
		v, b = binary.BigEndian.Uint64(b), b[8:]
		return v
	}
	axes := next(shapeColumns)
	if !sound || axes == 0 {
		return nil, sound && len(b) == 0
	}
	s = &shape{}
	for range axes {
		n := next(len(b))
		if !sound || n > len(b) {
			return nil, false
		}
		a := axis{name: string(b[:n])}
		b = b[n:]
		for range next(finePlaces - 2) {
			a.cuts = append(a.cuts, math.Float64frombits(word()))
		}
		for range next(finePlaces - 2) {
			a.levels = append(a.levels, word())
		}
		s.axes = append(s.axes, a)
	}
	tally := func(cells int) []int {
		out := make([]int, 2*cells)
		for i := range out {
			if out[i] = next(math.MaxInt32); !sound {
				break
			}
		}
		return out
	}
	for set := range s.rows {
		s.rows[set] = next(math.MaxInt32)
		for range axes {
			s.singles[set] = append(s.singles[set], tally(finePlaces))
		}
		for range axes * (axes - 1) / 2 {
			s.pairs[set] = append(s.pairs[set], tally(s.side()*s.side()))
		}
		if !sound {
			return nil, false
		}
	}
	return s, len(b) == 0
}
