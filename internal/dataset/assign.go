package dataset

import (
	"cmp"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"math"
	"slices"
	"strings"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/stat"
)

// Parts of an assignment, one byte a row.
const (
	inTrain uint8 = iota
	inValidation
	inTest
	dropped // rows that a split by time leaves out near a cut
)

var partNames = []string{assay.Train, assay.Valid, assay.Test}

// shares are the parts of a split as fractions of the rows.
type shares struct{ validation, test float64 }

// twice divides rows with a splitter that divides in two: test first, and then validation from what is left, in the order in which the
// first division returned it. This is what calling scikit-learn's train_test_split twice with the same random_state does, the second
// time with test_size = validation/(1 − test).
func twice(n int, s shares, split func(rows []int, test float64) (stat.Fold, error)) ([]uint8, error) {
	out := make([]uint8, n)
	all := make([]int, n)
	for i := range all {
		all[i] = i
	}
	first, err := split(all, s.test)
	if err != nil {
		return nil, err
	}
	for _, i := range first.Test {
		out[i] = inTest
	}
	rest := first.Train
	second, err := split(rest, s.validation/(1-s.test))
	if err != nil {
		return nil, err
	}
	for _, i := range second.Test {
		out[rest[i]] = inValidation
	}
	return out, nil
}

func seed32(seed uint64) (uint32, error) {
	if seed > math.MaxUint32 {
		return 0, assay.Errorf(assay.Invalid, "split seed %d is above 4294967295, the greatest random_state", seed).Try("a smaller split.seed in assay.yaml")
	}
	return uint32(seed), nil
}

// assignRandom divides rows at random; with strata, class by class.
func assignRandom(n int, strata []int, s shares, seed uint64) ([]uint8, error) {
	seed32, err := seed32(seed)
	if err != nil {
		return nil, err
	}
	out, err := twice(n, s, func(rows []int, test float64) (stat.Fold, error) {
		o := stat.TrainTestOptions{Sizes: stat.Sizes{Test: test}, Seed: seed32}
		if strata != nil {
			o.Stratify = take(strata, rows)
		}
		return stat.TrainTestSplit(len(rows), o)
	})
	if err != nil && strata != nil {
		return nil, assay.Errorf(assay.Rejected, "%w; every part needs rows of every class", err).Try("split.by: random in assay.yaml, or merge rare classes")
	}
	return out, err
}

// Stratifies reports why the classes of a target, a value for every row, cannot be divided as Divide does it by stratum; nil when they can.
// Errors are Rejected.
func Stratifies(target *assay.Column, validation, test float64, seed uint64) error {
	strata, labels := Classes(target)
	if err := apart(target.Name, labels); err != nil {
		return err
	}
	if _, err := assignRandom(len(strata), strata, shares{validation, test}, seed); err != nil {
		return assay.Errorf(assay.Rejected, "target %q: %w", target.Name, err).Try("merge rare classes or leave their rows out, and say so in data.documentation.exclusions")
	}
	return nil
}

// apart refuses classes whose names differ only in case: each is the name of a column of probabilities.
func apart(target string, labels []string) error {
	seen, alike := map[string]bool{}, 0
	for _, l := range labels {
		low := strings.ToLower(l)
		if seen[low] {
			alike++
		}
		seen[low] = true
	}
	if alike == 0 {
		return nil
	}
	return assay.Errorf(assay.Rejected, "target %q has %d classes, and %d of them differ from another only in case", target, len(labels), alike).Try("write each class in one way in the data")
}

// assignGroups keeps every group on one side. Without strata the shares are shares of the groups, as in scikit-learn's
// GroupShuffleSplit; with strata they are shares of the rows.
func assignGroups(groups, strata []int, s shares, seed uint64) ([]uint8, error) {
	if n := len(slices.Compact(slices.Sorted(slices.Values(groups)))); n < 3 {
		return nil, assay.Errorf(assay.Rejected, "%d entities cannot be divided into three parts", n).Try("split.by: stratified in assay.yaml")
	}
	if strata != nil {
		return dealGroups(groups, strata, s, seed), nil
	}
	seed32, err := seed32(seed)
	if err != nil {
		return nil, err
	}
	return twice(len(groups), s, func(rows []int, test float64) (stat.Fold, error) {
		folds, err := stat.GroupShuffleSplit{Splits: 1, Sizes: stat.Sizes{Test: test}, Seed: seed32}.Split(take(groups, rows))
		if err != nil {
			return stat.Fold{}, err
		}
		return folds[0], nil
	})
}

// dealGroups gives each group to the part whose class counts it brings closest to their targets, the largest groups first and equals in
// an order drawn from the seed. When as many groups are left as parts are empty, these get one each.
func dealGroups(groups, strata []int, s shares, seed uint64) []uint8 {
	g, distinct := stat.Encode(groups)
	c, classes := stat.Encode(strata)
	type count struct {
		class int
		rows  float64
	}
	size := make([]int, len(distinct))
	total := make([]float64, len(classes))
	rows := make([]int, len(g)) // by group, and within it by class
	for i := range g {
		rows[i] = i
		size[g[i]]++
		total[c[i]]++
	}
	slices.SortFunc(rows, func(a, b int) int { return cmp.Or(cmp.Compare(g[a], g[b]), cmp.Compare(c[a], c[b])) })
	counts := make([][]count, len(distinct))
	for _, r := range rows {
		of := &counts[g[r]]
		if n := len(*of); n > 0 && (*of)[n-1].class == c[r] {
			(*of)[n-1].rows++
		} else {
			*of = append(*of, count{c[r], 1})
		}
	}
	rnd := stat.NewRand(seed, 0x67726f7570)
	order := rnd.Perm(len(distinct))
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(size[b], size[a]) })
	want := [3]float64{1 - s.validation - s.test, s.validation, s.test}
	have := [3][]float64{make([]float64, len(classes)), make([]float64, len(classes)), make([]float64, len(classes))}
	var filled [3]int
	part := make([]uint8, len(distinct))
	for at, group := range order {
		empty := 0
		for _, n := range filled {
			if n == 0 {
				empty++
			}
		}
		best, bestCost := -1, math.Inf(1)
		for p := range 3 {
			if filled[p] > 0 && len(order)-at <= empty {
				continue
			}
			var cost float64
			for _, n := range counts[group] {
				share := n.rows / total[n.class]
				cost += share * (2*(have[p][n.class]/total[n.class]-want[p]) + share)
			}
			if best < 0 || cost < bestCost-1e-12 {
				best, bestCost = p, cost
			}
		}
		part[group] = uint8(best)
		filled[best]++
		for _, n := range counts[group] {
			have[best][n.class] += n.rows
		}
	}
	out := make([]uint8, len(g))
	for i := range g {
		out[i] = part[g[i]]
	}
	return out
}

// assignTime puts the latest rows into test and those before them into validation. Rows of one time stay together: a cut is moved to the
// nearest change of time. Rows less than purge seconds before a cut are left out, so that what was still developing at the cut trains
// nothing, and rows less than embargo seconds after it, so that what follows at once does not test it.
func assignTime(times []float64, s shares, purge, embargo float64) ([]uint8, error) {
	n := len(times)
	bad := 0
	for _, t := range times {
		if math.IsNaN(t) || math.IsInf(t, 0) {
			bad++
		}
	}
	if bad > 0 {
		return nil, assay.Errorf(assay.Rejected, "%d of %d rows have no time; a split by time needs one for each", bad, n).Try("leave those rows out of the data, or split.by: stratified in assay.yaml")
	}
	order := make([]int, n)
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(times[a], times[b]) })
	at := func(rank int) float64 { return times[order[rank]] }
	cut := func(share float64) int {
		ideal := n - int(math.Ceil(share*float64(n)))
		if ideal <= 0 || ideal >= n {
			return ideal
		}
		down, up := ideal, ideal
		for down > 0 && at(down) == at(down-1) {
			down--
		}
		for up < n && at(up) == at(up-1) {
			up++
		}
		if up == n || down > 0 && ideal-down <= up-ideal {
			return down
		}
		return up
	}
	v, t := cut(s.validation+s.test), cut(s.test)
	if v <= 0 || v >= t || t >= n {
		return nil, assay.Errorf(assay.Rejected, "the times of %d rows have too few different values to be cut into three parts at these shares", n).
			Try("other shares in assay.yaml, or split.by: stratified")
	}
	out := make([]uint8, n)
	vStart, tStart := at(v), at(t)
	for rank, i := range order {
		now := times[i]
		switch {
		case rank >= t:
			out[i] = inTest
		case rank >= v:
			out[i] = inValidation
		}
		if near(vStart, now, purge, embargo) || near(tStart, now, purge, embargo) {
			out[i] = dropped
		}
	}
	return out, nil
}

func near(cut, now, purge, embargo float64) bool {
	return now < cut && cut-now < purge || now >= cut && now-cut < embargo
}

// assignHash places each row by a keyed hash of its fingerprint, so that a table that grows keeps its old assignments.
func assignHash(prints [][16]byte, s shares, seed uint64) []uint8 {
	var key [8]byte
	binary.BigEndian.PutUint64(key[:], seed)
	h := hmac.New(sha256.New, key[:])
	out := make([]uint8, len(prints))
	var sum [sha256.Size]byte
	for i, p := range prints {
		h.Reset()
		h.Write(p[:])
		u := float64(binary.BigEndian.Uint64(h.Sum(sum[:0]))>>11) * 0x1p-53
		switch {
		case u < s.test:
			out[i] = inTest
		case u < s.test+s.validation:
			out[i] = inValidation
		}
	}
	return out
}

func take[T any](xs []T, rows []int) []T {
	out := make([]T, len(rows))
	for i, r := range rows {
		out[i] = xs[r]
	}
	return out
}
