package dataset

import (
	"math"
	"slices"
)

// Chance is the share of other rows of the same population that are expected to equal one of these: one minus the share of rows that
// occur once. Source: Good, Biometrika 40 (1953), the estimate of Good and Turing.
func Chance[K comparable](rows []K) float64 {
	if len(rows) == 0 {
		return 0
	}
	times := make(map[K]int, len(rows))
	for _, r := range rows {
		times[r]++
	}
	once := 0
	for _, n := range times {
		if n == 1 {
			once++
		}
	}
	return 1 - float64(once)/float64(len(rows))
}

// accident bounds the share of the sealed rows that other rows of the same population are expected to equal: the number of different
// given rows times the probability that two rows are equal, as the sealed rows have it among themselves and two standard errors more. The
// given rows are not asked how often they repeat, for they repeat also where somebody drew them with replacement; sealed rows were not.
func accident[K comparable](given, sealed []K) float64 {
	times := make(map[K]int, len(sealed))
	for _, r := range sealed {
		times[r]++
	}
	equal := 0.0
	for _, k := range times {
		equal += float64(k) * float64(k-1) / 2
	}
	different := make(map[K]struct{}, len(given))
	for _, r := range given {
		different[r] = struct{}{}
	}
	n := float64(len(sealed))
	return float64(len(different)) * (equal + 2*math.Sqrt(equal) + 3) / max(1, n*(n-1)/2)
}

// ContentChance is the share of the rows of a sealed set that other rows of the same population are expected to equal in all values. Row
// numbers, which are equal in tables that have nothing to do with each other, make no row different: beside them it is how often two rows
// agree in all else, taken from all pairs and from rows that stand beside each other. The sketch may be nil.
func (l *Look) ContentChance(contents [][16]byte, s *Sketch) float64 {
	chance := Chance(contents)
	if s != nil {
		chance = min(chance, accident(hashed(contents), s.rows()))
	}
	numbered := -1
	for m := range l.cells.hash {
		if m < len(l.serial) && l.serial[m] && 2*len(l.counts(m)) > len(l.cells.hash[m]) {
			numbered = m
		}
	}
	if numbered < 0 {
		return chance
	}
	rest := make([]uint64, len(l.cells.hash[numbered]))
	for m, col := range l.cells.hash {
		if many := 2*len(l.counts(m)) > len(col); many && m < len(l.serial) && (l.serial[m] || l.grows[m]) {
			continue
		}
		salt := mix(uint64(m) + 1)
		for i, h := range col {
			rest[i] += mix(h ^ salt)
		}
	}
	beside := 0.0
	for i := 1; i < len(rest); i++ {
		if rest[i] == rest[i-1] {
			beside++
		}
	}
	slices.Sort(rest)
	pairs, run := 0.0, 1.0
	for i := 1; i <= len(rest); i++ {
		if i < len(rest) && rest[i] == rest[i-1] {
			run++
			continue
		}
		pairs += run * (run - 1)
		run = 1
	}
	n := float64(len(rest))
	return max(chance, pairs/max(1, n*(n-1)), beside/max(1, n-1))
}

// hashed keeps eight bytes of each content.
func hashed(contents [][16]byte) []uint64 {
	out := make([]uint64, len(contents))
	for i, c := range contents {
		for _, b := range c[:8] {
			out[i] = out[i]<<8 | uint64(b)
		}
	}
	return out
}

// rows are the rows of a sketch, a hash each over all its columns but the labels.
func (s *Sketch) rows() []uint64 {
	out := make([]uint64, len(s.cells[0]))
	for c, col := range s.cells {
		salt := mix(uint64(c) + 1)
		for i, h := range col {
			out[i] += mix(uint64(h) ^ salt)
		}
	}
	return out
}
