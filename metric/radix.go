package metric

import (
	"cmp"
	"math"
	"slices"
)

// A keyed is a score as an ordered integer, with what belongs to it.
type keyed[T any] struct {
	key uint64
	val T
}

// sortKey maps a finite float64 to an integer of the same order; −0 and 0 are equal.
func sortKey(v float64) uint64 {
	b := math.Float64bits(v + 0)
	if b>>63 != 0 {
		return ^b
	}
	return b | 1<<63
}

// keyScore is the inverse of sortKey.
func keyScore(k uint64) float64 {
	if k>>63 != 0 {
		return math.Float64frombits(k &^ (1 << 63))
	}
	return math.Float64frombits(^k)
}

// Digits of the radix sort: six of 11 bits cover 64.
const (
	digitBits = 11
	digits    = 6
	buckets   = 1 << digitBits
)

// Below this length a comparison sort is faster than six passes over 2048 buckets.
const smallSort = 3000

// sortKeys sorts ascending; it may return its argument or another slice of the same length.
func sortKeys(a []uint64) []uint64 {
	if len(a) < smallSort {
		slices.Sort(a)
		return a
	}
	var counts [digits][buckets]uint32
	for _, k := range a {
		for d := range digits {
			counts[d][k>>(d*digitBits)&(buckets-1)]++
		}
	}
	b := make([]uint64, len(a))
	for d := range digits {
		if !offsets(&counts[d], len(a)) {
			continue
		}
		at, shift := &counts[d], d*digitBits
		for _, k := range a {
			i := k >> shift & (buckets - 1)
			b[at[i]] = k
			at[i]++
		}
		a, b = b, a
	}
	return a
}

// sortKeyed sorts ascending by key and keeps the order of equal keys; it may return its argument or another slice.
func sortKeyed[T any](a []keyed[T]) []keyed[T] {
	if len(a) < smallSort {
		slices.SortStableFunc(a, func(x, y keyed[T]) int { return cmp.Compare(x.key, y.key) })
		return a
	}
	var counts [digits][buckets]uint32
	for i := range a {
		k := a[i].key
		for d := range digits {
			counts[d][k>>(d*digitBits)&(buckets-1)]++
		}
	}
	b := make([]keyed[T], len(a))
	for d := range digits {
		if !offsets(&counts[d], len(a)) {
			continue
		}
		at, shift := &counts[d], d*digitBits
		for i := range a {
			j := a[i].key >> shift & (buckets - 1)
			b[at[j]] = a[i]
			at[j]++
		}
		a, b = b, a
	}
	return a
}

// offsets turns counts into start positions; it reports false when one bucket holds all n keys, so that the pass can be skipped.
func offsets(c *[buckets]uint32, n int) bool {
	var at uint32
	for i, m := range c {
		if int(m) == n {
			return false
		}
		c[i] = at
		at += m
	}
	return true
}
