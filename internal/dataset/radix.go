package dataset

import (
	"math"
	"slices"
)

// Digits of the radix sort: six of 11 bits cover 64. Below radixLeast numbers a comparison sort is faster.
const (
	radixBits   = 11
	radixDigits = 6
	radixLeast  = 3000
)

// sortUints sorts ascending with a scratch slice of the same length; it returns either of the two, and leaves the other one undefined.
func sortUints(a, scratch []uint64) []uint64 {
	if len(a) < radixLeast {
		slices.Sort(a)
		return a
	}
	const mask = 1<<radixBits - 1
	var counts [radixDigits][mask + 1]int
	for _, k := range a {
		for d := range radixDigits {
			counts[d][k>>(d*radixBits)&mask]++
		}
	}
	b := scratch[:len(a)]
	for d := range radixDigits {
		next, shift := &counts[d], d*radixBits
		if next[a[0]>>shift&mask] == len(a) {
			continue
		}
		at := 0
		for i, n := range next {
			next[i] = at
			at += n
		}
		for _, k := range a {
			i := k >> shift & mask
			b[next[i]] = k
			next[i]++
		}
		a, b = b, a
	}
	return a
}

// orderedBits maps a number to an integer of the same order; −0 and 0 are equal.
func orderedBits(v float64) uint64 {
	b := math.Float64bits(v + 0)
	if b>>63 != 0 {
		return ^b
	}
	return b | 1<<63
}
