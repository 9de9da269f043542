package stat

import (
	"cmp"
	"math"
	"slices"
	"sort"

	"github.com/assay-ml/assay"
)

// GroupKFold keeps the rows of a group on one side: scikit-learn's GroupKFold. Without Shuffle groups go, largest first, to the
// lightest fold; with it a permutation of the groups is cut into runs of about equal number. Repeats is refused.
type GroupKFold KFold

// Split returns the folds of the rows whose group codes are given. It refuses more folds than groups.
func (k GroupKFold) Split(groups []int) ([]Fold, error) {
	group, sizes, splits, err := groupFolds(KFold(k), groups)
	if err != nil {
		return nil, err
	}
	of := make([]int32, len(sizes))
	if k.Shuffle {
		perm := NewRandomState(k.Seed).Permutation(len(sizes))
		at := 0
		for f := range splits {
			size := len(perm) / splits
			if f < len(perm)%splits {
				size++
			}
			for range size {
				of[perm[at]] = int32(f)
				at++
			}
		}
	} else {
		order := span(0, len(sizes))
		sort.SliceStable(order, func(i, j int) bool { return sizes[order[i]] < sizes[order[j]] })
		slices.Reverse(order)
		load := make([]int, splits)
		for _, g := range order {
			lightest := 0
			for f, l := range load {
				if l < load[lightest] {
					lightest = f
				}
			}
			load[lightest] += sizes[g]
			of[g] = int32(lightest)
		}
	}
	return foldsOfGroups(group, of, splits), nil
}

func groupFolds(k KFold, groups []int) (group []int32, sizes []int, splits int, err error) {
	if k.Repeats > 1 {
		return nil, nil, 0, assay.Errorf(assay.Unimplemented, "group folds are not repeated: split with several seeds instead")
	}
	if splits, _, err = k.check(len(groups)); err != nil {
		return nil, nil, 0, err
	}
	group, sizes = dense(groups)
	if splits > len(sizes) {
		return nil, nil, 0, assay.Errorf(assay.Invalid, "%d folds of %d groups", splits, len(sizes))
	}
	return group, sizes, splits, nil
}

func foldsOfGroups(group, of []int32, splits int) []Fold {
	fold := make([]int32, len(group))
	for i, g := range group {
		fold[i] = of[g]
	}
	return folds(fold, splits)
}

// StratifiedGroupKFold keeps groups whole and class shares as even as it can: scikit-learn's StratifiedGroupKFold (1.8 and later;
// earlier ones stratified wrongly when shuffling). Repeats is refused.
type StratifiedGroupKFold KFold

// Split returns the folds of the rows whose class and group codes are given. Groups go, most uneven class counts first, to the fold
// that keeps the spread of the class shares over folds lowest, and among equals to the one with fewer rows.
func (k StratifiedGroupKFold) Split(y, groups []int) ([]Fold, error) {
	if len(y) != len(groups) {
		return nil, assay.Errorf(assay.Invalid, "%d class codes for %d group codes", len(y), len(groups))
	}
	group, sizes, splits, err := groupFolds(KFold(k), groups)
	if err != nil {
		return nil, err
	}
	class, totals := dense(y)
	if slices.Max(totals) < splits {
		return nil, assay.Errorf(assay.Invalid, "%d folds, but no class has that many rows (the largest has %d)", splits, slices.Max(totals))
	}
	classes := len(totals)
	counts := make([]float64, len(sizes)*classes)
	for i, g := range group {
		counts[int(g)*classes+int(class[i])]++
	}
	row := func(g int) []float64 { return counts[g*classes : (g+1)*classes] }
	order := span(0, len(sizes))
	if k.Shuffle {
		NewRandomState(k.Seed).Shuffle(order)
	}
	uneven := make([]float64, len(sizes))
	for g := range uneven {
		uneven[g] = std(row(g))
	}
	sort.SliceStable(order, func(i, j int) bool { return uneven[order[i]] > uneven[order[j]] })

	load := make([]float64, splits*classes)
	shares := make([]float64, splits)
	spread := make([]float64, classes)
	of := make([]int32, len(sizes))
	for _, g := range order {
		best, least, fewest := -1, math.Inf(1), math.Inf(1)
		for f := range splits {
			for c := range classes {
				for h := range splits {
					v := load[h*classes+c]
					if h == f {
						v += row(g)[c]
					}
					shares[h] = v / float64(totals[c])
				}
				spread[c] = stdSequential(shares)
			}
			eval := pairwiseSum(spread) / float64(classes)
			rows := pairwiseSum(load[f*classes : (f+1)*classes])
			if eval < least || math.Abs(eval-least) <= 1e-8+1e-5*math.Abs(least) && rows < fewest {
				best, least, fewest = f, eval, rows
			}
		}
		for c, v := range row(g) {
			load[best*classes+c] += v
		}
		of[g] = int32(best)
	}
	return foldsOfGroups(group, of, splits), nil
}

// std is the population standard deviation, summed as NumPy sums a contiguous row so that ties fall alike.
func std(xs []float64) float64 {
	mean := pairwiseSum(xs) / float64(len(xs))
	sq := make([]float64, len(xs))
	for i, x := range xs {
		sq[i] = (x - mean) * (x - mean)
	}
	return math.Sqrt(pairwiseSum(sq) / float64(len(xs)))
}

// stdSequential is the same, summed in order, as NumPy sums down a column.
func stdSequential(xs []float64) float64 {
	var sum, sq float64
	for _, x := range xs {
		sum += x
	}
	mean := sum / float64(len(xs))
	for _, x := range xs {
		sq += (x - mean) * (x - mean)
	}
	return math.Sqrt(sq / float64(len(xs)))
}

// pairwiseSum adds as NumPy does: in order below 8 terms, by 8 accumulators up to 128, halves beyond.
func pairwiseSum(xs []float64) float64 {
	n := len(xs)
	switch {
	case n < 8:
		var sum float64
		for _, x := range xs {
			sum += x
		}
		return sum
	case n <= 128:
		var r [8]float64
		copy(r[:], xs)
		i := 8
		for ; i+8 <= n; i += 8 {
			for j := range r {
				r[j] += xs[i+j]
			}
		}
		sum := ((r[0] + r[1]) + (r[2] + r[3])) + ((r[4] + r[5]) + (r[6] + r[7]))
		for ; i < n; i++ {
			sum += xs[i]
		}
		return sum
	}
	half := n / 2
	half -= half % 8
	return pairwiseSum(xs[:half]) + pairwiseSum(xs[half:])
}

// GroupShuffleSplit draws independent divisions of the groups: scikit-learn's GroupShuffleSplit. Sizes count groups, not rows; rows
// are ascending.
type GroupShuffleSplit struct {
	Splits int // number of divisions; 0 means 5
	Sizes      // default: a fifth of the groups for test
	Seed   uint32
}

// Split returns the divisions of the rows whose group codes are given.
func (s GroupShuffleSplit) Split(groups []int) ([]Fold, error) {
	group, sizes := dense(groups)
	divisions, err := ShuffleSplit{Splits: cmp.Or(s.Splits, 5), Sizes: s.Sizes, Seed: s.Seed}.split(len(sizes), 0.2)
	if err != nil {
		return nil, err
	}
	out := make([]Fold, len(divisions))
	for i, d := range divisions {
		side := make([]int8, len(sizes))
		for _, g := range d.Train {
			side[g] = 1
		}
		for _, g := range d.Test {
			side[g] = 2
		}
		for r, g := range group {
			switch side[g] {
			case 1:
				out[i].Train = append(out[i].Train, r)
			case 2:
				out[i].Test = append(out[i].Test, r)
			}
		}
	}
	return out, nil
}

// LeaveOneGroupOut tests on each group in turn, in ascending order of the codes. It refuses fewer than two groups.
func LeaveOneGroupOut(groups []int) ([]Fold, error) {
	group, sizes := dense(groups)
	if len(sizes) < 2 {
		return nil, assay.Errorf(assay.Invalid, "leaving one group out needs at least 2 groups, not %d", len(sizes))
	}
	return folds(group, len(sizes)), nil
}
