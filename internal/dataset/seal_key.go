package dataset

import (
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
	} else if len(c.Levels) > 0 {
		first, last := slices.Min(c.Levels), slices.Max(c.Levels)
		shared := 0
		for shared < min(len(first), len(last)) && first[shared] == last[shared] {
			shared++
		}
		head := strings.TrimRight(first[:shared], "0123456789")
		for _, l := range c.Levels {
			v, err := strconv.ParseUint(l[len(head):], 10, 53)
			if err != nil || !add(float64(v)) {
				return false
			}
		}
	}
	return n > 0 && high-low < serialRange*float64(n)
}

// seeKey looks for the keys of the sealed rows, and answers with nothing found where they prove nothing. Keys that are not consecutive
// numbers prove that a row is the same. Of consecutive numbers, one of the other recognised columns must agree with the sealed rows of the
// same key, far more often than chance gives.
func (l *Look) seeKey(s *Sketch, rows, mine, theirs []int) Sighting {
	var a, b []int // columns of the key here and in the sketch
	numbered := true
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
			return Sighting{}
		}
		a, b = append(a, m), append(b, t)
		numbered = numbered && l.serial[m]
	}
	if len(a) == 0 || len(rows) == 0 {
		return Sighting{}
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
		return Sighting{}
	}
	if !numbered {
		return out
	}
	for i, t := range theirs {
		if !s.key[t] && l.agrees(mine[i], here, s.cells[t], sealed) {
			return out
		}
	}
	return Sighting{}
}

// numbered reports whether a column of the key is recognised and holds consecutive numbers.
func (l *Look) numbered(s *Sketch, mine, theirs []int) bool {
	for i, t := range theirs {
		if s.key[t] && mine[i] < len(l.serial) && l.serial[mine[i]] {
			return true
		}
	}
	return false
}

// agrees reports whether a column has, in rows that are paired by their keys, the values of the sealed rows: for more than half of those
// that chance does not give, and by more than four standard errors.
func (l *Look) agrees(column int, here []int, cells []uint32, sealed []int) bool {
	mine, theirs, equal := map[uint32]float64{}, map[uint32]float64{}, 0
	for i, r := range here {
		x, y := uint32(l.cells.hash[column][r]>>32), cells[sealed[i]]
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
	return share-chance > 0.5*(1-chance) && share-chance > 4*math.Sqrt(chance*(1-chance)/n)
}
