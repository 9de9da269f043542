package stat

import (
	"cmp"
	"math"
	"slices"

	"github.com/assay-ml/assay"
)

// StratifiedKFold cuts the rows into folds of about equal class shares: scikit-learn's StratifiedKFold, and with Repeats its
// RepeatedStratifiedKFold. Classes are dealt out in the order in which they appear; test rows are ascending.
type StratifiedKFold KFold

// Split returns the folds of the rows whose class codes are y. It refuses when every class has fewer rows than there are folds; a
// class with fewer rows than folds is missing from some of them.
func (k StratifiedKFold) Split(y []int) ([]Fold, error) {
	splits, repeats, err := KFold(k).check(len(y))
	if err != nil {
		return nil, err
	}
	sorted, counts := dense(y)
	if slices.Max(counts) < splits {
		return nil, assay.Errorf(assay.Invalid, "%d folds, but no class has that many rows (the largest has %d)", splits, slices.Max(counts))
	}
	appearance := make([]int32, len(counts))
	for i := range appearance {
		appearance[i] = -1
	}
	ranks := make([]int32, len(y))
	sizes := make([]int, 0, len(counts))
	for i, c := range sorted {
		if appearance[c] < 0 {
			appearance[c] = int32(len(sizes))
			sizes = append(sizes, counts[c])
		}
		ranks[i] = appearance[c]
	}
	// Rows sorted by class are dealt round robin; what matters is how many of each class every fold gets.
	deal := make([][]int, len(sizes))
	at := 0
	for c, size := range sizes {
		deal[c] = make([]int, splits)
		for range size {
			deal[c][at%splits]++
			at++
		}
	}
	rng := NewRandomState(k.Seed)
	rows := make([][]int32, len(sizes))
	for c, size := range sizes {
		rows[c] = make([]int32, 0, size)
	}
	for i, c := range ranks {
		rows[c] = append(rows[c], int32(i))
	}
	fold := make([]int32, len(y))
	var out []Fold
	for range repeats {
		for c, size := range sizes {
			labels := make([]int32, 0, size)
			for f, m := range deal[c] {
				for range m {
					labels = append(labels, int32(f))
				}
			}
			if k.Shuffle {
				shuffle(rng, labels)
			}
			for j, row := range rows[c] {
				fold[row] = labels[j]
			}
		}
		out = append(out, folds(fold, splits)...)
	}
	return out, nil
}

// StratifiedShuffleSplit draws independent divisions that keep the class shares: scikit-learn's StratifiedShuffleSplit, rows in
// its order.
type StratifiedShuffleSplit struct {
	Splits int // number of divisions; 0 means 10
	Sizes      // default: a tenth for test
	Seed   uint32
}

// Split returns the divisions of the rows whose class codes are y. Every class needs two rows, and both sides need as many rows as
// there are classes.
func (s StratifiedShuffleSplit) Split(y []int) ([]Fold, error) {
	splits := cmp.Or(s.Splits, 10)
	if splits < 1 {
		return nil, assay.Errorf(assay.Invalid, "%d divisions", splits)
	}
	train, test, err := s.Of(len(y), 0.1)
	if err != nil {
		return nil, err
	}
	class, counts := dense(y)
	var p assay.Problems
	single := 0
	for _, c := range counts {
		if c < 2 {
			single++
		}
	}
	if single > 0 {
		p.Add("%d of %d classes have a single row", single, len(counts))
	}
	if train < len(counts) {
		p.Add("%d training rows for %d classes", train, len(counts))
	}
	if test < len(counts) {
		p.Add("%d test rows for %d classes", test, len(counts))
	}
	if err := p.Err(assay.Invalid, "cannot stratify"); err != nil {
		return nil, err
	}
	rows := make([][]int, len(counts))
	for c, m := range counts {
		rows[c] = make([]int, 0, m)
	}
	for i, c := range class {
		rows[c] = append(rows[c], i)
	}
	rng := NewRandomState(s.Seed)
	out := make([]Fold, splits)
	rest := make([]int, len(counts))
	for i := range out {
		take := apportion(counts, train, rng)
		for c := range rest {
			rest[c] = counts[c] - take[c]
		}
		hold := apportion(rest, test, rng)
		f := Fold{Train: make([]int, 0, train), Test: make([]int, 0, test)}
		for c, m := range counts {
			perm := rng.Permutation(m)
			for _, j := range perm[:take[c]] {
				f.Train = append(f.Train, rows[c][j])
			}
			for _, j := range perm[take[c] : take[c]+hold[c]] {
				f.Test = append(f.Test, rows[c][j])
			}
		}
		rng.Shuffle(f.Train)
		rng.Shuffle(f.Test)
		out[i] = f
	}
	return out, nil
}

// apportion divides draws among classes in proportion to counts by the largest remainder, ties at random.
func apportion(counts []int, draws int, rng *RandomState) []int {
	total := 0
	for _, c := range counts {
		total += c
	}
	out, left := make([]int, len(counts)), draws
	remainder := make([]float64, len(counts))
	for i, c := range counts {
		exact := float64(c) / float64(total) * float64(draws)
		floor := math.Floor(exact)
		out[i], remainder[i] = int(floor), exact-floor
		left -= out[i]
	}
	levels := slices.Clone(remainder)
	slices.Sort(levels)
	levels = slices.Compact(levels)
	for i := len(levels) - 1; i >= 0 && left > 0; i-- {
		var tied []int
		for c, r := range remainder {
			if r == levels[i] {
				tied = append(tied, c)
			}
		}
		add := min(len(tied), left)
		for _, j := range rng.Choice(len(tied), add, false) {
			out[tied[j]]++
		}
		left -= add
	}
	return out
}
