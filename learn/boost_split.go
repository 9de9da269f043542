package learn

import (
	"cmp"
	"math"
	"slices"
)

// A binSet is a set of bins of one feature.
type binSet [4]uint64

func (s *binSet) add(b int)      { s[b>>6] |= 1 << (b & 63) }
func (s *binSet) has(b int) bool { return s[b>>6]>>(b&63)&1 == 1 }

// A split is the best way found to divide a leaf.
type split struct {
	gain        float64 // reduction of the loss, twice over; 0 without a split
	feature     int
	last        int    // numeric: the last bin that goes left
	categories  binSet // categorical: the bins that go left
	missingLeft bool
	left        cell // sum over the rows that go left
}

// Constants of the search over sets of categories. The ordering divides by the second derivative plus a smoothing and the gain by it
// plus a penalty, since a set found by looking at the target fits noise more easily than a threshold does.
const (
	categorySmoothing = 10
	categoryL2        = 10
	categoryRows      = 10 // a category with fewer rows in the leaf is not sorted and goes right
)

// sums is a cell in the loss's own units.
type sums struct{ first, second float64 }

func (g *grower) sums(c cell) sums {
	return sums{float64(c.first) * g.firstUnit, float64(c.second>>g.countBits) * g.secondUnit}
}

func (g *grower) rowsOf(c cell) int { return int(c.second & (1<<g.countBits - 1)) }

// step returns the Newton step of a leaf within its bounds.
func (s sums) step(l2, lo, hi float64) float64 {
	if s.second+l2 <= 0 {
		return min(max(0, lo), hi)
	}
	return min(max(-s.first/(s.second+l2), lo), hi)
}

// drop returns twice the loss that the value takes off.
func (s sums) drop(l2, value float64) float64 {
	return -value * (2*s.first + (s.second+l2)*value)
}

// findSplit returns the best split of the leaf, by gain, then by feature, then by bin.
func (g *grower) findSplit(l *leaf) split {
	if g.p.Threads == 1 || g.bins.bins < 2048 {
		var best split
		for _, j := range g.drawn {
			if s := g.findIn(l, j); s.gain > best.gain {
				best = s
			}
		}
		return best
	}
	inParts(g.p.Threads, len(g.drawn), 4, func(_, lo, hi int) {
		for i := lo; i < hi; i++ {
			g.candidates[i] = g.findIn(l, g.drawn[i])
		}
	})
	var best split
	for _, s := range g.candidates[:len(g.drawn)] {
		if s.gain > best.gain {
			best = s
		}
	}
	return best
}

func (g *grower) findIn(l *leaf, j int) split {
	f := &g.bins.features[j]
	hist := l.hist[f.offset : f.offset+f.bins]
	s := scan{g: g, l: l, l2: g.p.L2, total: g.sums(l.sum), rows: g.rowsOf(l.sum)}
	s.best.feature = j
	if f.codes != nil {
		s.categories(f, hist)
		return s.best
	}
	s.monotone = g.monotone[j]
	s.parent = s.total.drop(s.l2, s.total.step(s.l2, l.lo, l.hi))
	s.least = g.p.MinGain + 1e-12*math.Abs(s.parent)
	s.numbers(f, hist)
	return s.best
}

// A scan looks for the best split of a leaf on one feature.
type scan struct {
	g        *grower
	l        *leaf
	l2       float64
	monotone int
	total    sums
	rows     int
	parent   float64 // drop of the undivided leaf
	least    float64 // gain to exceed
	best     split
}

// numbers tries every threshold between bins, with missing values to the right and, where the leaf has any, to the left.
func (s *scan) numbers(f *binnedFeature, hist []cell) {
	values := hist[:f.valueBins()]
	if f.missing < 0 || s.g.rowsOf(hist[f.missing]) == 0 {
		s.thresholds(values[:max(len(values)-1, 0)], cell{}, false)
		if s.best.gain > 0 {
			s.best.missingLeft = 2*s.g.rowsOf(s.best.left) >= s.rows
		}
		return
	}
	s.thresholds(values, cell{}, false)
	s.thresholds(values[:max(len(values)-1, 0)], hist[f.missing], true)
}

func (s *scan) thresholds(values []cell, start cell, missingLeft bool) {
	g := s.g
	mask, firstUnit, secondUnit := int64(1)<<g.countBits-1, g.firstUnit, g.secondUnit
	minRows, minSecond := int64(g.p.MinSamplesLeaf), g.p.MinChildHessian
	rows, l2 := int64(s.rows), s.l2
	sum := start
	for b := range values {
		if values[b].second == 0 {
			continue
		}
		sum.first += values[b].first
		sum.second += values[b].second
		n := sum.second & mask
		if n < minRows {
			continue
		}
		if rows-n < minRows {
			break
		}
		left := sums{float64(sum.first) * firstUnit, float64(sum.second>>g.countBits) * secondUnit}
		right := sums{s.total.first - left.first, s.total.second - left.second}
		if left.second < minSecond || right.second < minSecond || left.second+l2 <= 0 || right.second+l2 <= 0 {
			continue
		}
		var gain float64
		if g.bounded {
			gain = s.boundedGain(left, right)
		} else {
			gain = left.first*left.first/(left.second+l2) + right.first*right.first/(right.second+l2) - s.parent
		}
		if gain > s.least && gain > s.best.gain {
			s.best.gain, s.best.last, s.best.missingLeft, s.best.left = gain, b, missingLeft, sum
		}
	}
}

// boundedGain is the gain where values must stay within the leaf's bounds, 0 where the feature's constraint is violated.
func (s *scan) boundedGain(left, right sums) float64 {
	a, b := left.step(s.l2, s.l.lo, s.l.hi), right.step(s.l2, s.l.lo, s.l.hi)
	if s.monotone > 0 && a > b || s.monotone < 0 && a < b {
		return 0
	}
	return left.drop(s.l2, a) + right.drop(s.l2, b) - s.parent
}

// categories sorts the categories by the Newton step each would take, and tries every prefix and every suffix as the left set.
// Rare categories, and those with few rows in the leaf, are always right, as is a category that training has not seen.
func (s *scan) categories(f *binnedFeature, hist []cell) {
	g := s.g
	s.parent = s.total.drop(s.l2, s.total.step(s.l2, s.l.lo, s.l.hi))
	s.least = g.p.MinGain + 1e-12*math.Abs(s.parent)
	s.l2 += categoryL2
	var order [256]uint8
	var key [256]float64
	n, rest := 0, f.rare >= 0
	for b := range hist {
		rows := g.rowsOf(hist[b])
		if rows == 0 || b == f.rare {
			continue
		}
		if rows < min(categoryRows, g.p.MinSamplesLeaf) {
			rest = true
			continue
		}
		c := g.sums(hist[b])
		key[b] = c.first / (c.second + categorySmoothing)
		order[n] = uint8(b)
		n++
	}
	sorted := order[:n]
	slices.SortFunc(sorted, func(a, b uint8) int { return cmp.Or(cmp.Compare(key[a], key[b]), cmp.Compare(a, b)) })
	size, backwards := s.prefixes(hist, sorted), false
	slices.Reverse(sorted)
	if k := s.prefixes(hist, sorted); k > 0 {
		size, backwards = k, true
	}
	if s.best.gain <= 0 {
		return
	}
	if !backwards {
		slices.Reverse(sorted)
	}
	if !rest && 2*g.rowsOf(s.best.left) > s.rows {
		// Either side may be the set: the smaller one, so that unseen categories go with the majority.
		s.best.left = cell{s.l.sum.first - s.best.left.first, s.l.sum.second - s.best.left.second}
		sorted, size = sorted[size:], n-size
	}
	for _, b := range sorted[:size] {
		if int(b) == f.missing {
			s.best.missingLeft = true
			continue
		}
		s.best.categories.add(int(b))
	}
}

// prefixes returns the length of the best prefix if it beats the best so far, else 0.
func (s *scan) prefixes(hist []cell, sorted []uint8) int {
	g, at := s.g, 0
	var sum cell
	for i, b := range sorted {
		sum.first += hist[b].first
		sum.second += hist[b].second
		n := g.rowsOf(sum)
		if n < g.p.MinSamplesLeaf {
			continue
		}
		if s.rows-n < g.p.MinSamplesLeaf {
			break
		}
		left := g.sums(sum)
		right := sums{s.total.first - left.first, s.total.second - left.second}
		if left.second < g.p.MinChildHessian || right.second < g.p.MinChildHessian {
			continue
		}
		if gain := s.boundedGain(left, right); gain > s.least && gain > s.best.gain {
			s.best.gain, s.best.left = gain, sum
			at = i + 1
		}
	}
	return at
}
