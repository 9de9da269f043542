package table

import (
	"math"
	"slices"
	"sort"

	"github.com/assay-ml/assay"
)

// A runs holds the distinct keys of a column in ascending order, and how often each occurs. All that a summary says of numbers follows.
type runs struct {
	keys   []uint64
	counts []uint32 // as many; zero where a key does not occur in a group
}

// describe derives a summary from the runs.
func (c *column) describe(s *Summary, o *SummaryOptions, edges []float64, r runs) {
	for i, key := range r.keys {
		s.Distinct++
		if r.counts[i] == 1 {
			s.Unique++
		}
		s.Top = pushTop(s.Top, o.Top, int64(r.counts[i]), func() string { return c.text(key) })
	}
	s.Numbers = c.numbers(o, edges, r)
	s.Numbers.Increasing, s.Numbers.Decreasing = c.increase && len(r.keys) > 0, c.decrease && len(r.keys) > 0
}

// numbers describes the finite values of the runs.
func (c *column) numbers(o *SummaryOptions, edges []float64, r runs) *Numbers {
	n := &Numbers{}
	if c.floats {
		from, _ := slices.BinarySearch(r.keys, sortable(-math.MaxFloat64))
		to, _ := slices.BinarySearch(r.keys, sortable(math.Inf(1)))
		for i, k := range r.counts {
			if i < from {
				n.NegInf += int64(k)
			} else if i >= to {
				n.PosInf += int64(k)
			}
		}
		r = runs{r.keys[from:to], r.counts[from:to]}
	}
	for _, k := range r.counts {
		n.Count += int64(k)
	}
	c.moments(n, r)
	c.orders(n, o.Quantiles, r)
	c.histogram(n, r, o.Bins, edges)
	return n
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
func (c *column) moments(n *Numbers, r runs) {
	nan := assay.Number(math.NaN())
	n.Min, n.Max, n.Mean, n.Variance, n.Std, n.Skewness, n.Kurtosis = nan, nan, nan, nan, nan, nan, nan
	if n.Count == 0 {
		return
	}
	first, last := 0, len(r.keys)-1
	for r.counts[first] == 0 {
		first++
	}
	for r.counts[last] == 0 {
		last--
	}
	n.Min, n.Max = assay.Number(c.value(r.keys[first])), assay.Number(c.value(r.keys[last]))
	if !c.floats && c.scale == 1 {
		n.exact(c.text(r.keys[first]), c.text(r.keys[last]))
	}
	var total sum
	for i := first; i <= last; i++ {
		x, count := c.value(r.keys[i]), int64(r.counts[i])
		switch {
		case x == 0:
			n.Zeros += count
		case x < 0:
			n.Negatives += count
		}
		total.add(x * float64(count))
	}
	N := float64(n.Count)
	mean := total.value() / N
	n.Sum, n.Mean = assay.Number(total.value()), assay.Number(mean)
	var s2, s3, s4 sum
	for i := first; i <= last; i++ {
		if r.counts[i] == 0 {
			continue
		}
		d, w := c.value(r.keys[i])-mean, float64(r.counts[i])
		s2.add(w * d * d)
		s3.add(w * d * d * d)
		s4.add(w * d * d * d * d)
	}
	m2, m3, m4 := s2.value(), s3.value(), s4.value()
	if N > 1 {
		n.Variance = assay.Number(m2 / (N - 1))
		n.Std = assay.Number(math.Sqrt(m2 / (N - 1)))
	}
	constant := first == last
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

// exactInteger is below which float64 holds every integer, and no other is taken for one of them.
const exactInteger = 1 << 53

// exact keeps the least and the greatest of whole numbers where float64 may miss them.
func (n *Numbers) exact(least, greatest string) {
	if math.Abs(float64(n.Min)) >= exactInteger {
		n.ExactMin = least
	}
	if math.Abs(float64(n.Max)) >= exactInteger {
		n.ExactMax = greatest
	}
}

// orders takes the quantiles and the median deviation.
func (c *column) orders(n *Numbers, probabilities []float64, r runs) {
	n.MAD = assay.Number(math.NaN())
	if n.Count == 0 {
		for _, p := range probabilities {
			n.Quantiles = append(n.Quantiles, QuantileValue{p, assay.Number(math.NaN())})
		}
		return
	}
	// One walk over the runs finds every order statistic that a quantile needs.
	var wanted []int
	need := func(p float64) {
		i := int(p * float64(n.Count-1))
		wanted = append(wanted, i, min(i+1, int(n.Count)-1))
	}
	need(0.5)
	for _, p := range probabilities {
		need(p)
	}
	slices.Sort(wanted)
	found := make(map[int]float64, len(wanted))
	next, seen := 0, 0
	for i, k := range r.counts {
		for seen += int(k); next < len(wanted) && wanted[next] < seen; next++ {
			found[wanted[next]] = c.value(r.keys[i])
		}
	}
	at := func(i int) float64 { return found[i] }
	for _, p := range probabilities {
		n.Quantiles = append(n.Quantiles, QuantileValue{p, assay.Number(quantile(int(n.Count), at, p))})
	}
	n.MAD = assay.Number(c.medianDeviation(n.Count, quantile(int(n.Count), at, 0.5), r))
}

// quantile interpolates between the order statistics around p (n − 1).
func quantile(n int, at func(int) float64, p float64) float64 {
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
func (c *column) medianDeviation(n int64, median float64, r runs) float64 {
	right := sort.Search(len(r.keys), func(i int) bool { return c.value(r.keys[i]) >= median })
	left := right - 1
	var seen int64
	lower := math.NaN()
	for {
		var d float64
		var k int64
		if left < 0 || right < len(r.keys) && c.value(r.keys[right])-median <= median-c.value(r.keys[left]) {
			d, k = c.value(r.keys[right])-median, int64(r.counts[right])
			right++
		} else {
			d, k = median-c.value(r.keys[left]), int64(r.counts[left])
			left--
		}
		seen += k
		if math.IsNaN(lower) && seen > (n-1)/2 {
			lower = d
		}
		if seen > n/2 {
			return (lower + d) / 2
		}
	}
}

// histogram counts into equal-width bins or those of the edges; a constant gets the bins that NumPy gives it, half a unit to each side.
func (c *column) histogram(n *Numbers, r runs, bins int, edges []float64) {
	if edges == nil {
		if n.Count == 0 {
			return
		}
		lo, hi := float64(n.Min), float64(n.Max)
		if lo == hi {
			lo, hi = lo-0.5, hi+0.5
		}
		step := hi/float64(bins) - lo/float64(bins)
		edges = make([]float64, bins+1)
		for i := range edges {
			if edges[i] = lo + float64(i)*step; math.IsInf(edges[i], 0) {
				f := float64(i) / float64(bins)
				edges[i] = lo*(1-f) + hi*f
			}
		}
		edges[bins] = hi
	}
	n.Edges, n.Counts = slices.Clone(edges), make([]int64, len(edges)-1)
	last := len(edges) - 1
	bin := 0
	for i, key := range r.keys {
		x := c.value(key)
		if x < edges[0] || x > edges[last] {
			n.Outside += int64(r.counts[i])
			continue
		}
		for bin < last-1 && x >= edges[bin+1] {
			bin++
		}
		n.Counts[bin] += int64(r.counts[i])
	}
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
