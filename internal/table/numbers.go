package table

import (
	"math"
	"slices"

	"github.com/assay-ml/assay"
)

// describe sorts the keys and derives everything from the runs of equal ones.
func (c *column) describe(s *Summary, o *SummaryOptions, edges []float64) {
	sortKeys(c.keys)
	n := &Numbers{Increasing: c.increase && len(c.keys) > 0, Decreasing: c.decrease && len(c.keys) > 0}
	s.Numbers = n
	c.runs(c.keys, func(key uint64, count int64) {
		s.Distinct++
		if count == 1 {
			s.Unique++
		}
		s.Top = pushTop(s.Top, o.Top, count, func() string { return c.text(key) })
	})
	finite := c.keys
	if c.floats {
		from, _ := slices.BinarySearch(finite, sortable(-math.MaxFloat64))
		to, _ := slices.BinarySearch(finite, sortable(math.Inf(1)))
		n.NegInf, n.PosInf = int64(from), int64(len(finite)-to)
		finite = finite[from:to]
	}
	n.Count = int64(len(finite))
	c.moments(n, finite)
	at := func(i int) float64 { return c.value(finite[i]) }
	for _, p := range o.Quantiles {
		n.Quantiles = append(n.Quantiles, QuantileValue{p, assay.Number(quantile(len(finite), at, p))})
	}
	n.MAD = assay.Number(medianDeviation(len(finite), at))
	c.histogram(n, finite, o.Bins, edges)
}

// runs calls f for every distinct key of a sorted slice.
func (c *column) runs(keys []uint64, f func(key uint64, count int64)) {
	for i := 0; i < len(keys); {
		j := i + 1
		for j < len(keys) && keys[j] == keys[i] {
			j++
		}
		f(keys[i], int64(j-i))
		i = j
	}
}

// pushTop keeps the k most frequent; values come in ascending order, so that of equals the first stays.
func pushTop(top []Frequency, k int, count int64, text func() string) []Frequency {
	if k == 0 || len(top) == k && top[k-1].Count >= count {
		return top
	}
	if len(top) == k {
		top = top[:k-1]
	}
	i := len(top)
	for i > 0 && top[i-1].Count < count {
		i--
	}
	return slices.Insert(top, i, Frequency{text(), count})
}

// A sum adds floats with Neumaier's compensation, so that the result is exact to the last few bits whatever the order.
type sum struct{ total, rest float64 }

func (s *sum) add(x float64) {
	t := s.total + x
	if math.Abs(s.total) >= math.Abs(x) {
		s.rest += (s.total - t) + x
	} else {
		s.rest += (x - t) + s.total
	}
	s.total = t
}

func (s *sum) value() float64 {
	if math.IsInf(s.total, 0) {
		return s.total
	}
	return s.total + s.rest
}

// moments takes the moments in two passes over the runs.
func (c *column) moments(n *Numbers, finite []uint64) {
	nan := assay.Number(math.NaN())
	n.Min, n.Max, n.Mean, n.Variance, n.Std, n.Skewness, n.Kurtosis = nan, nan, nan, nan, nan, nan, nan
	if len(finite) == 0 {
		return
	}
	n.Min, n.Max = assay.Number(c.value(finite[0])), assay.Number(c.value(finite[len(finite)-1]))
	var total sum
	c.runs(finite, func(key uint64, count int64) {
		x := c.value(key)
		switch {
		case x == 0:
			n.Zeros += count
		case x < 0:
			n.Negatives += count
		}
		total.add(x * float64(count))
	})
	N := float64(len(finite))
	mean := total.value() / N
	n.Sum, n.Mean = assay.Number(total.value()), assay.Number(mean)
	var s2, s3, s4 sum
	c.runs(finite, func(key uint64, count int64) {
		d := c.value(key) - mean
		w := float64(count)
		s2.add(w * d * d)
		s3.add(w * d * d * d)
		s4.add(w * d * d * d * d)
	})
	m2, m3, m4 := s2.value(), s3.value(), s4.value()
	if N > 1 {
		n.Variance = assay.Number(m2 / (N - 1))
		n.Std = assay.Number(math.Sqrt(m2 / (N - 1)))
	}
	constant := finite[0] == finite[len(finite)-1]
	if N > 2 {
		n.Skewness = 0
		if !constant {
			n.Skewness = assay.Number(N * math.Sqrt(N-1) / (N - 2) * m3 / math.Pow(m2, 1.5))
		}
	}
	if N > 3 {
		n.Kurtosis = 0
		if !constant {
			n.Kurtosis = assay.Number(N*(N+1)*(N-1)/(N-2)/(N-3)*m4/(m2*m2) - 3*(N-1)*(N-1)/(N-2)/(N-3))
		}
	}
}

// quantile interpolates between the order statistics around p (n − 1).
func quantile(n int, at func(int) float64, p float64) float64 {
	if n == 0 {
		return math.NaN()
	}
	h := p * float64(n-1)
	i := int(h)
	if i >= n-1 {
		return at(n - 1)
	}
	a, b, f := at(i), at(i+1), h-float64(i)
	if a == b {
		return a
	}
	if f >= 0.5 {
		return b - (b-a)*(1-f)
	}
	return a + (b-a)*f
}

// medianDeviation walks outwards from the median, so that the deviations come in ascending order.
func medianDeviation(n int, at func(int) float64) float64 {
	if n == 0 {
		return math.NaN()
	}
	median := quantile(n, at, 0.5)
	right := n / 2
	left := right - 1
	var below, above float64
	for k := 0; k <= n/2; k++ {
		below = above
		if left < 0 || right < n && at(right)-median <= median-at(left) {
			above = at(right) - median
			right++
		} else {
			above = median - at(left)
			left--
		}
	}
	above = math.Abs(above)
	if n%2 == 1 {
		return above
	}
	return (math.Abs(below) + above) / 2
}

// histogram counts into equal-width bins or those of the edges; a constant gets the bins that NumPy gives it, half a unit to each side.
func (c *column) histogram(n *Numbers, finite []uint64, bins int, edges []float64) {
	if edges == nil {
		if len(finite) == 0 {
			return
		}
		lo, hi := float64(n.Min), float64(n.Max)
		if lo == hi {
			lo, hi = lo-0.5, hi+0.5
		}
		step := hi/float64(bins) - lo/float64(bins)
		edges = make([]float64, bins+1)
		for i := range edges {
			edges[i] = lo + float64(i)*step
		}
		edges[bins] = hi
	}
	n.Edges, n.Counts = slices.Clone(edges), make([]int64, len(edges)-1)
	last := len(edges) - 1
	bin := 0
	c.runs(finite, func(key uint64, count int64) {
		x := c.value(key)
		if x < edges[0] || x > edges[last] {
			n.Outside += count
			return
		}
		for bin < last-1 && x >= edges[bin+1] {
			bin++
		}
		n.Counts[bin] += count
	})
}

// sortKeys sorts by bytes from the least significant, leaving out bytes that all keys share.
func sortKeys(keys []uint64) {
	if len(keys) < 1<<12 {
		slices.Sort(keys)
		return
	}
	var counts [8][256]int
	for _, k := range keys {
		for b := range 8 {
			counts[b][byte(k>>(8*b))]++
		}
	}
	from, to := keys, make([]uint64, len(keys))
	for b := range 8 {
		if counts[b][byte(from[0]>>(8*b))] == len(keys) {
			continue
		}
		next := 0
		var at [256]int
		for v, n := range counts[b] {
			at[v] = next
			next += n
		}
		for _, k := range from {
			v := byte(k >> (8 * b))
			to[at[v]] = k
			at[v]++
		}
		from, to = to, from
	}
	if &from[0] != &keys[0] {
		copy(keys, from)
	}
}
