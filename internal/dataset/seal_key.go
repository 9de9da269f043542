package dataset

import (
	"cmp"
	"context"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/assay-ml/assay"
)

// Bounds of the look at the key alone.
const (
	keyShare    = 0.05 // of the smaller of both sets of rows: so many keys must be equal
	serialRange = 4    // numbers in a range of less than this many times their count are consecutive
	keyShifts   = 400  // rows before and after that a row must agree less with, so that order or a period make no rows the same
)

// serial reports whether the values of a column are consecutive numbers, more or less, alone or after a text that they share: 1, 2, 3 or
// p0001, p0002. Such keys are equal in tables that have nothing to do with each other.
func serial(c *assay.Column) bool {
	low, high, n := math.Inf(1), math.Inf(-1), 0
	add := func(v float64) bool {
		low, high, n = min(low, v), max(high, v), n+1
		return v == math.Trunc(v) && !math.IsInf(v, 0)
	}
	if c.Codes == nil {
		for _, v := range c.Floats {
			if !math.IsNaN(v) && !add(v) {
				return false
			}
		}
	} else {
		for _, v := range numbered(c.Levels) {
			if math.IsNaN(v) || !add(v) {
				return false
			}
		}
	}
	return n > 0 && high-low < serialRange*float64(n)
}

// numbered are the numbers after the text that all levels share; NaN where there is none.
func numbered(levels []string) []float64 {
	if len(levels) == 0 {
		return nil
	}
	first, last := slices.Min(levels), slices.Max(levels)
	shared := 0
	for shared < min(len(first), len(last)) && first[shared] == last[shared] {
		shared++
	}
	head := len(strings.TrimRight(first[:shared], "0123456789"))
	out := make([]float64, len(levels))
	for i, l := range levels {
		v, err := strconv.ParseUint(l[head:], 10, 53)
		if out[i] = float64(v); err != nil {
			out[i] = math.NaN()
		}
	}
	return out
}

// rises reports whether a column of numbers or texts never falls, or never rises, from row to row.
func rises(c *assay.Column) bool {
	if c.Codes == nil {
		return grows(c)
	}
	if 2*len(c.Levels) < len(c.Codes) {
		return false
	}
	n := assay.Column{Floats: make([]float64, len(c.Codes))}
	for i, code := range c.Codes {
		n.Floats[i] = float64(code)
	}
	return grows(&n)
}

// seeKey looks for the keys of the sealed rows, and answers with nothing found where they prove nothing. Keys that are not consecutive
// numbers prove that a row is the same. Of consecutive numbers, one of the other recognised columns must agree with the sealed rows of the
// same key, far more often than chance gives and than the rows before and after; or a column with the label, which makes it probable.
func (l *Look) seeKey(ctx context.Context, s *Sketch, rows, mine, theirs []int) (Sighting, error) {
	var none Sighting
	var a, b []int // columns of the key here and in the sketch
	consecutive := true
	for t, is := range s.key {
		if !is {
			continue
		}
		m := -1
		if i := slices.Index(theirs, t); i >= 0 {
			m = mine[i]
		} else {
			m = slices.Index(l.cells.names, s.names[t])
		}
		if m < 0 || m >= len(l.serial) {
			return none, nil
		}
		a, b = append(a, m), append(b, t)
		consecutive = consecutive && l.serial[m]
	}
	if len(a) == 0 || len(rows) == 0 {
		return none, nil
	}
	at := make(map[uint64]int, len(rows))
	for _, r := range rows {
		var h uint64
		for c := range a {
			h += mix(l.cells.hash[a[c]][r]>>32 ^ mix(uint64(c)+1))
		}
		at[h] = r
	}
	out := Sighting{Looked: len(s.cells[0]), Chance: float64(len(rows)) / (1 << 32)} // a sketch keeps 32 bits of a cell
	var sealed, here []int
	for i := range out.Looked {
		var h uint64
		for c := range b {
			h += mix(uint64(s.cells[b[c]][i]) ^ mix(uint64(c)+1))
		}
		if r, ok := at[h]; ok {
			sealed, here = append(sealed, i), append(here, r)
		}
	}
	out.Found = len(sealed)
	if float64(out.Found) < max(3, keyShare*float64(min(out.Looked, len(rows)))) {
		return none, nil
	}
	if !consecutive {
		return out, nil
	}
	near, err := l.neighbours(ctx, a, here)
	if err != nil {
		return none, err
	}
	for i, t := range theirs {
		if !s.key[t] && l.agrees(mine[i], here, s.cells[t], sealed, near) {
			return out, nil
		}
	}
	if l.labelled(s, a, here, sealed, near) {
		out.Probable = true
		return out, nil
	}
	return none, nil
}

// labelled reports whether a column but some has the labels of the sealed rows.
func (l *Look) labelled(s *Sketch, but, here, sealed []int, near func(i, steps int) int) bool {
	for _, cells := range s.labels {
		for m := range l.cells.hash {
			if !slices.Contains(but, m) && l.agrees(m, here, cells, sealed, near) {
				return true
			}
		}
	}
	return false
}

// seeOrder looks for the sealed rows where they were: a table whose rows are in their order has their labels there, however few columns
// are left.
func (l *Look) seeOrder(s *Sketch, rows []int) Sighting {
	if len(s.at) == 0 || len(s.labels) == 0 {
		return Sighting{}
	}
	n := len(l.cells.hash[0])
	given := make([]bool, n)
	for _, r := range rows {
		given[r] = true
	}
	var here, sealed []int
	for i, r := range s.at {
		if int(r) < n && given[r] {
			here, sealed = append(here, int(r)), append(sealed, i)
		}
	}
	near := func(i, steps int) int {
		if p := here[i] + steps; p >= 0 && p < n {
			return p
		}
		return -1
	}
	if len(here) == 0 || !l.labelled(s, nil, here, sealed, near) {
		return Sighting{}
	}
	return Sighting{Looked: len(s.at), Found: len(here), Probable: true}
}

// neighbours gives, for some rows and a number of steps, the rows that come so many steps later in the order of the key; −1 is none.
func (l *Look) neighbours(ctx context.Context, key, of []int) (func(i, steps int) int, error) {
	names := make([]string, len(key))
	for i, k := range key {
		names[i] = l.cells.names[k]
	}
	f, err := l.table.Frame(ctx, names, "")
	if err != nil {
		return nil, err
	}
	values := make([][]float64, len(f))
	for i := range f {
		if values[i] = f[i].Floats; f[i].Codes != nil {
			levels := numbered(f[i].Levels)
			for _, code := range f[i].Codes {
				v := math.NaN()
				if code >= 0 {
					v = levels[code]
				}
				values[i] = append(values[i], v)
			}
		}
	}
	order := l.All()
	slices.SortStableFunc(order, func(a, b int) int {
		for _, v := range values {
			if c := cmp.Compare(v[a], v[b]); c != 0 {
				return c
			}
		}
		return 0
	})
	at := make([]int, len(order))
	for i, r := range order {
		at[r] = i
	}
	return func(i, steps int) int {
		p := at[of[i]] + steps
		if p < 0 || p >= len(order) {
			return -1
		}
		return order[p]
	}, nil
}

// keyNumbered reports whether a column of the key is recognised and holds consecutive numbers.
func (l *Look) keyNumbered(s *Sketch, mine, theirs []int) bool {
	for i, t := range theirs {
		if s.key[t] && mine[i] < len(l.serial) && l.serial[mine[i]] {
			return true
		}
	}
	return false
}

// agrees reports whether a column has, in rows that are paired by their keys, the values of the sealed rows: for more than half of those
// that chance does not give, and by more than four standard errors; and by as much more often than the rows near them have, so that
// neither rows that are sorted nor a period make other rows the same. A column that only grows proves nothing beside a number that does.
func (l *Look) agrees(column int, here []int, cells []uint32, sealed []int, near func(i, steps int) int) bool {
	if l.grows[column] {
		return false
	}
	hash := l.cells.hash[column]
	mine, theirs, equal := map[uint32]float64{}, map[uint32]float64{}, 0
	for i, r := range here {
		x, y := uint32(hash[r]>>32), cells[sealed[i]]
		mine[x]++
		theirs[y]++
		if x == y {
			equal++
		}
	}
	n := float64(len(here))
	chance := 0.0
	for v, k := range mine {
		chance += k / n * theirs[v] / n
	}
	share := float64(equal) / n
	if share-chance <= 0.5*(1-chance) || share-chance <= 4*math.Sqrt(chance*(1-chance)/n) {
		return false
	}
	for steps := -keyShifts; steps <= keyShifts; steps++ {
		if steps == 0 {
			continue
		}
		more, less, compared := 0.0, 0.0, 0
		for i, r := range here {
			o := near(i, steps)
			if o < 0 {
				continue
			}
			compared++
			there := cells[sealed[i]]
			is, was := uint32(hash[r]>>32) == there, uint32(hash[o]>>32) == there
			if is && !was {
				more++
			} else if was && !is {
				less++
			}
		}
		if 2*compared >= len(here) && more-less <= 4*math.Sqrt(more+less) {
			return false
		}
	}
	return true
}
