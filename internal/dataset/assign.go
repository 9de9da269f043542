package dataset

import (
	"cmp"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"math"
	"slices"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/stat"
)

// Parts of an assignment, one byte a row.
const (
	inTrain uint8 = iota
	inValidation
	inTest
	dropped // purged rows of a split by time
)

var partNames = []string{assay.Train, assay.Valid, assay.Test}

// shares are the parts of a split as fractions of the rows.
type shares struct{ validation, test float64 }

// twice divides rows with a splitter that divides in two: test first, and then validation from what is left. The first division
// is that of scikit-learn for the same seed, and so is the second on the remaining rows in their order.
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
		return 0, assay.Errorf(assay.Invalid, "split seed %d is above 4294967295, which this split cannot take", seed)
	}
	return uint32(seed), nil
}

// assignRandom divides rows at random; with strata, class by class.
func assignRandom(n int, strata []int, s shares, seed uint64) ([]uint8, error) {
	seed32, err := seed32(seed)
	if err != nil {
		return nil, err
	}
	return twice(n, s, func(rows []int, test float64) (stat.Fold, error) {
		o := stat.TrainTestOptions{Sizes: stat.Sizes{Test: test}, Seed: seed32}
		if strata != nil {
			o.Stratify = take(strata, rows)
		}
		return stat.TrainTestSplit(len(rows), o)
	})
}

// assignGroups keeps every group on one side. With strata the groups are dealt so that the class shares stay close: greedily, the
// largest groups first, each to the part that its classes suit best.
func assignGroups(groups, strata []int, s shares, seed uint64) ([]uint8, error) {
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

// dealGroups gives each group to the part whose class counts it brings closest to their targets. Ties go to the part that is
// furthest from its size. Groups are visited from large to small, equals in an order drawn from the seed.
func dealGroups(groups, strata []int, s shares, seed uint64) []uint8 {
	g, _ := stat.Encode(groups)
	c, classes := stat.Encode(strata)
	k := len(classes)
	count := map[int][]float64{}
	total := make([]float64, k)
	for i := range g {
		if count[g[i]] == nil {
			count[g[i]] = make([]float64, k)
		}
		count[g[i]][c[i]]++
		total[c[i]]++
	}
	size := func(g int) float64 {
		var n float64
		for _, v := range count[g] {
			n += v
		}
		return n
	}
	rnd := stat.NewRand(seed, 0x67726f7570)
	order := rnd.Perm(len(count))
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(size(b), size(a)) })
	want := []float64{1 - s.validation - s.test, s.validation, s.test}
	have := [3][]float64{make([]float64, k), make([]float64, k), make([]float64, k)}
	part := make([]uint8, len(count))
	for _, group := range order {
		best, bestCost := 0, math.Inf(1)
		for p := range 3 {
			var cost float64
			for class, n := range count[group] {
				if total[class] == 0 {
					continue
				}
				before := have[p][class]/total[class] - want[p]
				after := (have[p][class]+n)/total[class] - want[p]
				cost += after*after - before*before
			}
			if cost < bestCost-1e-15 {
				best, bestCost = p, cost
			}
		}
		part[group] = uint8(best)
		for class, n := range count[group] {
			have[best][class] += n
		}
	}
	out := make([]uint8, len(g))
	for i := range g {
		out[i] = part[g[i]]
	}
	return out
}

// assignTime puts the latest rows into test and those before them into validation. Equal times stay together, on the earlier side
// of a cut; with purge, rows closer than purge (in seconds) before a cut are dropped, so that what was still developing at the cut
// trains nothing.
func assignTime(times []float64, s shares, purge float64) ([]uint8, error) {
	n := len(times)
	order := make([]int, n)
	for i := range order {
		order[i] = i
	}
	var bad int
	for _, t := range times {
		if math.IsNaN(t) {
			bad++
		}
	}
	if bad > 0 {
		return nil, assay.Errorf(assay.Rejected, "%d rows have no time; a split by time needs one for each", bad)
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(times[a], times[b]) })
	cut := func(share float64) int {
		at := n - int(math.Ceil(share*float64(n)))
		for at > 0 && at < n && times[order[at]] == times[order[at-1]] {
			at++
		}
		return at
	}
	v, t := cut(s.validation+s.test), cut(s.test)
	if v == 0 || v >= t || t >= n {
		return nil, assay.Errorf(assay.Rejected, "the times have too few distinct values to divide %d rows into three parts", n)
	}
	out := make([]uint8, n)
	vStart, tStart := times[order[v]], times[order[t]]
	for rank, i := range order {
		switch {
		case rank >= t:
			out[i] = inTest
		case rank >= v:
			out[i] = inValidation
			if tStart-times[i] < purge {
				out[i] = dropped
			}
		default:
			if vStart-times[i] < purge {
				out[i] = dropped
			}
		}
	}
	return out, nil
}

// assignHash places each row by a keyed hash of its fingerprint, so that a table that grows keeps its old assignments.
func assignHash(prints [][16]byte, s shares, seed uint64) []uint8 {
	var key [8]byte
	binary.BigEndian.PutUint64(key[:], seed)
	out := make([]uint8, len(prints))
	for i, p := range prints {
		h := hmac.New(sha256.New, key[:])
		h.Write(p[:])
		u := float64(binary.BigEndian.Uint64(h.Sum(nil))>>11) * 0x1p-53
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
