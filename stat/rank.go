package stat

import (
	"cmp"
	"math"
	"slices"
)

// ascending returns the rows in ascending order of xs, equal values in row order. xs holds no NaN and fewer than 2^31 values.
func ascending(xs []float64) []int32 {
	n := len(xs)
	rows := make([]int32, n)
	for i := range rows {
		rows[i] = int32(i)
	}
	if n < 512 {
		slices.SortStableFunc(rows, func(a, b int32) int { return cmp.Compare(xs[a], xs[b]) })
		return rows
	}
	keys := make([]uint64, n)
	for i, x := range xs {
		keys[i] = orderedBits(x)
	}
	// Least significant digit first, 11 bits a pass; a digit that is the same in all keys costs nothing.
	const digits, width = 6, 11
	var count [digits][1 << width]int32
	for _, k := range keys {
		for d := range digits {
			count[d][k>>(d*width)&(1<<width-1)]++
		}
	}
	spareKeys, spareRows := make([]uint64, n), make([]int32, n)
	for d := range digits {
		c := &count[d]
		shift := d * width
		if int(c[keys[0]>>shift&(1<<width-1)]) == n {
			continue
		}
		at := int32(0)
		for i, m := range c {
			c[i] = at
			at += m
		}
		for i, k := range keys {
			slot := &c[k>>shift&(1<<width-1)]
			spareKeys[*slot], spareRows[*slot] = k, rows[i]
			*slot++
		}
		keys, spareKeys, rows, spareRows = spareKeys, keys, spareRows, rows
	}
	return rows
}

// orderedBits maps floats to integers of the same order; both zeros to the same.
func orderedBits(x float64) uint64 {
	b := math.Float64bits(x + 0)
	return b ^ (uint64(int64(b)>>63) | 1<<63)
}

// MidRanks returns the rank of each value, from 1, equal values sharing the mean of their ranks. xs holds no NaN.
func MidRanks(xs []float64) []float64 {
	ranks := make([]float64, len(xs))
	tieGroups(xs, ascending(xs), func(rows []int32, before int) {
		mid := float64(before) + float64(len(rows)+1)/2
		for _, r := range rows {
			ranks[r] = mid
		}
	})
	return ranks
}

// tieGroups calls f for each run of equal values in the order, with the number of rows before it.
func tieGroups(xs []float64, order []int32, f func(rows []int32, before int)) {
	for i := 0; i < len(order); {
		j := i + 1
		for j < len(order) && xs[order[j]] == xs[order[i]] {
			j++
		}
		f(order[i:j], i)
		i = j
	}
}

// hasNaN reports whether a value is undefined.
func hasNaN(xs []float64) bool {
	for _, x := range xs {
		if x != x {
			return true
		}
	}
	return false
}
