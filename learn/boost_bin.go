package learn

import (
	"cmp"
	"math"
	"slices"
	"sync"

	"github.com/assay-ml/assay"
)

// A binnedFeature maps a feature's values to bins 0..bins-1: present values in ascending order (numeric) or kept categories in
// ascending order of code, then one bin for the categories too rare for one of their own, then one for missing values.
type binnedFeature struct {
	bins    int
	missing int // the bin of missing values, -1 where training has none
	rare    int // the bin of rare categories, -1 without

	thresholds []float64 // numeric: values <= thresholds[b] are in bin b or before; one fewer than value bins
	codes      []int32   // categorical: the code of each kept category's bin; nil for numeric

	group  int // position in binnedFrame.groups; -1 for a feature of a single bin, which cannot be split
	stride int // its place value in the group's code
	offset int // of its first bin in a leaf's histogram
}

// valueBins returns the number of bins of present values that have a bin of their own.
func (f *binnedFeature) valueBins() int {
	if f.rare >= 0 {
		return f.rare
	}
	if f.missing >= 0 {
		return f.missing
	}
	return f.bins
}

// A binGroup is features whose bins are counted together: the product of their bins fits a byte, so that one table look-up of the
// histogram pass serves them all, and their own histograms are sums over it. Integer sums make that exact.
type binGroup struct {
	features []int
	codes    int // product of the bins
}

// binnedFrame holds the training rows as group codes, twice: by row for counting, by group for dividing a leaf.
type binnedFrame struct {
	features []binnedFeature
	groups   []binGroup
	codes    [][]uint8     // by group, then by row
	blocks   [][]binnedRow // by eight groups, then by row
	bins     int           // of all features together: the length of a leaf's histogram
}

// A binnedRow is all that the histogram pass needs of a row for eight groups, in a quarter of a cache line: rows of a leaf are far
// apart, and each costs one fetch.
type binnedRow struct {
	codes         uint64 // codes >> (8*i) & 255 is the code of the block's group i
	first, second int32  // the row's derivatives, rounded
}

const groupsPerBlock = 8

func binFrame(frame assay.Frame, maxBins, threads int) *binnedFrame {
	n := frame.Rows()
	f := &binnedFrame{features: make([]binnedFeature, len(frame))}
	columns := make([][]uint8, len(frame))
	inParts(threads, len(frame), 1, func(_, lo, hi int) {
		var s binScratch
		for j := lo; j < hi; j++ {
			columns[j] = make([]uint8, n)
			if frame[j].Codes != nil {
				f.features[j] = binCategories(frame[j].Codes, maxBins, columns[j])
			} else {
				f.features[j] = s.binNumbers(frame[j].Floats, maxBins, columns[j])
			}
		}
	})
	f.formGroups()
	f.codes = make([][]uint8, len(f.groups))
	f.blocks = make([][]binnedRow, (len(f.groups)+groupsPerBlock-1)/groupsPerBlock)
	for k := range f.blocks {
		f.blocks[k] = make([]binnedRow, n)
	}
	for g := range f.groups {
		f.codes[g] = columns[f.groups[g].features[0]]
	}
	inParts(threads, n, 16384, func(_, lo, hi int) {
		for g := range f.groups {
			codes := f.codes[g][lo:hi]
			for _, j := range f.groups[g].features[1:] {
				stride := uint8(f.features[j].stride)
				for i, c := range columns[j][lo:hi] {
					codes[i] += c * stride
				}
			}
			rows, shift := f.blocks[g/groupsPerBlock][lo:hi], uint(g%groupsPerBlock*8)
			for i, c := range codes {
				rows[i].codes |= uint64(c) << shift
			}
		}
	})
	return f
}

// formGroups puts every feature of more than one bin into the first group that has room, largest first.
func (f *binnedFrame) formGroups() {
	order := make([]int, 0, len(f.features))
	for j := range f.features {
		f.features[j].group = -1
		if f.features[j].bins > 1 {
			order = append(order, j)
		}
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(f.features[b].bins, f.features[a].bins) })
	open := 0 // groups before it are full
	for _, j := range order {
		bins := f.features[j].bins
		g := open
		for g < len(f.groups) && f.groups[g].codes*bins > 256 {
			g++
		}
		if g == len(f.groups) {
			f.groups = append(f.groups, binGroup{codes: 1})
		}
		f.features[j].group, f.features[j].stride = g, f.groups[g].codes
		f.groups[g].features = append(f.groups[g].features, j)
		f.groups[g].codes *= bins
		for open < len(f.groups) && f.groups[open].codes > 128 {
			open++
		}
	}
	for j := range f.features {
		if f.features[j].group >= 0 {
			f.features[j].offset = f.bins
			f.bins += f.features[j].bins
		}
	}
}

// binCategories gives every category a bin or, if there are more than maxBins, the maxBins-1 most frequent.
func binCategories(codes []int32, maxBins int, out []uint8) binnedFeature {
	top := int32(-1)
	for _, c := range codes {
		top = max(top, c)
	}
	counts := make([]int32, top+2) // code -1 at 0
	for _, c := range codes {
		counts[c+1]++
	}
	var present []int32
	for c := int32(0); c <= top; c++ {
		if counts[c+1] > 0 {
			present = append(present, c)
		}
	}
	f := binnedFeature{missing: -1, rare: -1}
	if len(present) > maxBins {
		slices.SortStableFunc(present, func(a, b int32) int { return cmp.Compare(counts[b+1], counts[a+1]) })
		present = present[:maxBins-1]
		slices.Sort(present)
		f.rare = len(present)
	}
	f.codes = present
	f.bins = len(present)
	if f.rare >= 0 {
		f.bins++
	}
	if counts[0] > 0 {
		f.missing = f.bins
		f.bins++
	}
	bin := make([]uint8, top+2)
	for c := range bin {
		bin[c] = uint8(max(f.rare, 0))
	}
	bin[0] = uint8(max(f.missing, 0))
	for b, c := range present {
		bin[c+1] = uint8(b)
	}
	for i, c := range codes {
		out[i] = bin[c+1]
	}
	if f.codes == nil {
		f.codes = []int32{}
	}
	return f
}

// A distinctValue is a value at float32 precision and how many rows hold it.
type distinctValue struct {
	value float32
	count int
}

// binScratch is buffers shared by the columns that one goroutine bins.
type binScratch struct {
	keys, swap []uint32
	counts     []int32
	distinct   []distinctValue
}

const smallIntegers = 1 << 14 // span of values that are counted by table instead of sorted

func (s *binScratch) binNumbers(x []float64, maxBins int, out []uint8) binnedFeature {
	lo, hi, missing, whole := math.Inf(1), math.Inf(-1), 0, true
	for _, v := range x {
		if v != v {
			missing++
			continue
		}
		lo, hi = min(lo, v), max(hi, v)
	}
	if whole = hi-lo < smallIntegers && math.Abs(lo) < 1<<23; whole {
		for _, v := range x {
			if v == v && v != float64(int64(v)) {
				whole = false
				break
			}
		}
	}
	if whole {
		s.countIntegers(x, lo, hi)
	} else {
		s.sortNumbers(x)
	}
	f := binnedFeature{missing: -1, rare: -1, thresholds: cutPoints(s.distinct, maxBins)}
	if missing < len(x) {
		f.bins = len(f.thresholds) + 1
	}
	if missing > 0 {
		f.missing = f.bins
		f.bins++
	}
	if f.bins < 2 {
		return f
	}
	if whole {
		bin := make([]uint8, int(hi-lo)+1)
		b := 0
		for i := range bin {
			for b < len(f.thresholds) && lo+float64(i) > f.thresholds[b] {
				b++
			}
			bin[i] = uint8(b)
		}
		for i, v := range x {
			if v == v {
				out[i] = bin[int(v-lo)]
			} else {
				out[i] = uint8(f.missing)
			}
		}
		return f
	}
	var grid [256]float64 // padded with +Inf, so that eight halvings find a bin without branches
	for i := range grid {
		grid[i] = math.Inf(1)
	}
	copy(grid[:], f.thresholds)
	for i, v := range x {
		if v != v {
			out[i] = uint8(f.missing)
			continue
		}
		b := 0
		for step := 128; step > 0; step >>= 1 {
			if v > grid[(b+step-1)&255] {
				b += step
			}
		}
		out[i] = uint8(b)
	}
	return f
}

// countIntegers lists the distinct values of integers that span less than smallIntegers.
func (s *binScratch) countIntegers(x []float64, lo, hi float64) {
	s.distinct = s.distinct[:0]
	if hi < lo {
		return
	}
	if s.counts == nil {
		s.counts = make([]int32, smallIntegers)
	}
	clear(s.counts)
	for _, v := range x {
		if v == v {
			s.counts[int(v-lo)&(smallIntegers-1)]++
		}
	}
	for i, c := range s.counts {
		if c > 0 {
			s.distinct = append(s.distinct, distinctValue{float32(lo + float64(i)), int(c)})
		}
	}
}

// sortNumbers lists the distinct values at float32 precision, by a radix sort of keys that order like the numbers.
func (s *binScratch) sortNumbers(x []float64) {
	if cap(s.keys) < len(x) {
		s.keys, s.swap = make([]uint32, len(x)), make([]uint32, len(x))
	}
	keys := s.keys[:0]
	for _, v := range x {
		if v == v {
			u := math.Float32bits(float32(v) + 0) // + 0 turns -0 into 0
			keys = append(keys, u^(uint32(int32(u)>>31)|1<<31))
		}
	}
	other := s.swap[:len(keys)]
	for shift := 0; shift < 33; shift += 11 {
		var start [2048]int32
		for _, k := range keys {
			start[k>>shift&2047]++
		}
		sum := int32(0)
		for d, c := range start {
			start[d] = sum
			sum += c
		}
		for _, k := range keys {
			d := k >> shift & 2047
			other[start[d]] = k
			start[d]++
		}
		keys, other = other, keys
	}
	s.distinct = s.distinct[:0]
	for i := 0; i < len(keys); {
		j := i + 1
		for j < len(keys) && keys[j] == keys[i] {
			j++
		}
		u := keys[i]
		if u>>31 == 1 {
			u ^= 1 << 31
		} else {
			u = ^u
		}
		s.distinct = append(s.distinct, distinctValue{math.Float32frombits(u), j - i})
		i = j
	}
}

// cutPoints returns at most maxBins-1 ascending thresholds between the distinct values: between any two if they are few, otherwise
// so that bins hold about equally many rows, where a value that fills a bin alone gets one.
func cutPoints(d []distinctValue, maxBins int) []float64 {
	if len(d) == 0 {
		return nil
	}
	cuts := make([]float64, 0, min(len(d), maxBins)-1)
	rows := 0
	for _, v := range d {
		rows += v.count
	}
	filled, left := 0, maxBins // rows of the open bin; bins still to be closed, the open one included
	for i := 0; i < len(d)-1 && left > 1; i++ {
		filled += d[i].count
		rest := len(d) - 1 - i // values after this one
		if rest > left-1 {
			target := float64(rows) / float64(left)
			next := float64(d[i+1].count)
			// Closing here or one value later, whichever is nearer to an even share.
			if float64(filled) < target && math.Abs(float64(filled)+next-target) <= target-float64(filled) {
				continue
			}
		}
		cuts = append(cuts, threshold(d[i].value, d[i+1].value))
		rows -= filled
		filled = 0
		left--
	}
	return cuts
}

// threshold returns t with a <= t < b for neighbouring values a < b, such that x <= t is the same question in float64 as at float32
// precision (x and t both rounded) for every x that rounds to a or below, or to b or above.
func threshold(a, b float32) float64 {
	mid := float32(float64(a)/2 + float64(b)/2)
	if mid >= b {
		mid = a
	}
	if mid > a {
		return float64(mid)
	}
	// No float32 lies between them: the threshold is the last float64 that rounds to a.
	t := float64(a)/2 + float64(b)/2
	if float32(t) != a {
		t = math.Nextafter(t, math.Inf(-1))
	}
	return t
}

// inParts calls do with consecutive parts of 0..n-1, each of at least grain but for the last, on up to threads goroutines, and
// waits. The first argument numbers the parts.
func inParts(threads, n, grain int, do func(part, lo, hi int)) {
	parts := min(threads, (n+grain-1)/grain)
	if parts <= 1 {
		if n > 0 {
			do(0, 0, n)
		}
		return
	}
	var wait sync.WaitGroup
	for k := 1; k < parts; k++ {
		wait.Go(func() { do(k, n*k/parts, n*(k+1)/parts) })
	}
	do(0, 0, n/parts)
	wait.Wait()
}
