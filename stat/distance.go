package stat

import (
	"math"
	"slices"

	"github.com/assay-ml/assay"
)

// PSIFloor is the share that stands for an empty bin in the population stability index.
const PSIFloor = 1e-4

// Distances are measures of how far one distribution over categories or bins is from another.
type Distances struct {
	PSI           float64 // population stability index; empty bins count as PSIFloor, without renormalising
	KL            float64 // Kullback–Leibler divergence of the reference from the current, in nats; +Inf when a category vanished
	JensenShannon float64 // distance (the root of the divergence) in base 2, within [0, 1]
	Hellinger     float64 // within [0, 1]
	TotalVariance float64 // total variation distance, within [0, 1]
	LInfinity     float64 // largest difference of a share
	Bhattacharyya float64 // coefficient, 1 when equal, 0 when disjoint
}

// NewDistances compares the counts or shares of the same categories in a reference and a current sample. It refuses unequal lengths,
// negative or undefined counts and an empty side. Checked against SciPy and the definitions to 1e-9.
func NewDistances(reference, current []float64) (Distances, error) {
	var p assay.Problems
	if len(reference) != len(current) {
		p.Add("%d reference and %d current categories", len(reference), len(current))
	}
	side := func(what string, xs []float64) float64 {
		var sum float64
		for i, x := range xs {
			if !(x >= 0) || math.IsInf(x, 0) {
				p.Add("%s count %v of category %d", what, x, i)
			}
			sum += x
		}
		if len(p) == 0 && sum == 0 {
			p.Add("%s is empty", what)
		}
		return sum
	}
	total1, total2 := side("reference", reference), side("current", current)
	if err := p.Err(assay.Invalid, "cannot compare distributions"); err != nil {
		return Distances{}, err
	}
	var d Distances
	var js, gap float64
	for i := range reference {
		r, c := reference[i]/total1, current[i]/total2
		d.KL += relativeEntropy(r, c)
		m := (r + c) / 2
		js += relativeEntropy(r, m) + relativeEntropy(c, m)
		root := math.Sqrt(r) - math.Sqrt(c)
		gap += root * root
		d.Bhattacharyya += math.Sqrt(r * c)
		d.TotalVariance += math.Abs(r-c) / 2
		d.LInfinity = math.Max(d.LInfinity, math.Abs(r-c))
		if r == 0 {
			r = PSIFloor
		}
		if c == 0 {
			c = PSIFloor
		}
		d.PSI += (c - r) * math.Log(c/r)
	}
	d.JensenShannon = math.Sqrt(math.Max(js, 0) / 2 / math.Ln2)
	d.Hellinger = math.Sqrt(gap / 2)
	d.KL = math.Max(d.KL, 0)
	return d, nil
}

// relativeEntropy is p log(p/q), 0 at p = 0.
func relativeEntropy(p, q float64) float64 {
	if p == 0 {
		return 0
	}
	return p * math.Log(p/q)
}

// DecileEdges returns the inner edges of bins that hold about a tenth of the reference each: its deciles, without repeats.
func DecileEdges(reference []float64) []float64 {
	s, ok := sorted(reference)
	if !ok {
		return nil
	}
	var edges []float64
	for k := 1; k < 10; k++ {
		edges = append(edges, Quantile(s, float64(k)/10))
	}
	return slices.Compact(edges)
}

// WidthEdges returns the inner edges of the given number of bins of equal width between the least and the greatest reference value.
func WidthEdges(reference []float64, bins int) []float64 {
	if len(reference) == 0 || hasNaN(reference) || bins < 2 {
		return nil
	}
	lo, hi := slices.Min(reference), slices.Max(reference)
	step := (hi - lo) / float64(bins)
	edges := make([]float64, bins-1)
	for k := range edges {
		edges[k] = float64(k+1)*step + lo
	}
	return slices.Compact(edges)
}

// BinCounts counts values into the len(edges)+1 bins between ascending edges; outer bins are open and a value on an edge belongs to
// the lower bin. Undefined values are in no bin.
func BinCounts(values, edges []float64) []float64 {
	counts := make([]float64, len(edges)+1)
	for _, v := range values {
		if v == v {
			i, _ := slices.BinarySearch(edges, v)
			counts[i]++
		}
	}
	return counts
}

// weightedSteps merges two samples with optional weights and calls f for each gap between pooled values, with the difference of the
// distribution functions on it. It returns false for unusable samples or weights.
func weightedSteps(x, y, wx, wy []float64, f func(difference, width float64)) bool {
	usable := func(v, w []float64) (order []int32, total float64, ok bool) {
		if len(v) == 0 || hasNaN(v) || w != nil && len(w) != len(v) {
			return nil, 0, false
		}
		if w == nil {
			return ascending(v), float64(len(v)), true
		}
		for _, x := range w {
			if !(x >= 0) || math.IsInf(x, 0) {
				return nil, 0, false
			}
			total += x
		}
		return ascending(v), total, total > 0
	}
	ox, tx, ok1 := usable(x, wx)
	oy, ty, ok2 := usable(y, wy)
	if !ok1 || !ok2 {
		return false
	}
	weight := func(w []float64, i int32) float64 {
		if w == nil {
			return 1
		}
		return w[i]
	}
	var cx, cy, last float64
	for i, j := 0, 0; i < len(ox) || j < len(oy); {
		v := math.Inf(1)
		if i < len(ox) {
			v = x[ox[i]]
		}
		if j < len(oy) {
			v = math.Min(v, y[oy[j]])
		}
		if i+j > 0 && v > last {
			f(cx/tx-cy/ty, v-last)
		}
		for ; i < len(ox) && x[ox[i]] == v; i++ {
			cx += weight(wx, ox[i])
		}
		for ; j < len(oy) && y[oy[j]] == v; j++ {
			cy += weight(wy, oy[j])
		}
		last = v
	}
	return true
}

// Wasserstein returns the first Wasserstein (earth mover's) distance of two samples, in the unit of the values; nil weights are
// equal. NaN for an empty sample, an undefined value or unusable weights. Checked against SciPy to 1e-9.
func Wasserstein(x, y, wx, wy []float64) float64 {
	var sum float64
	if !weightedSteps(x, y, wx, wy, func(d, w float64) { sum += math.Abs(d) * w }) {
		return math.NaN()
	}
	return sum
}

// Energy returns the energy distance of two samples, √(2∫(F-G)²); nil weights are equal. NaN as for Wasserstein.
func Energy(x, y, wx, wy []float64) float64 {
	var sum float64
	if !weightedSteps(x, y, wx, wy, func(d, w float64) { sum += d * d * w }) {
		return math.NaN()
	}
	return math.Sqrt(2 * sum)
}
