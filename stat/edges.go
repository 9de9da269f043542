package stat

import (
	"math"
	"slices"

	"github.com/assay-ml/assay"
)

// DefaultEdgeCells is the number of quantile cells of FreezeEdges when nobody asks for another.
const DefaultEdgeCells = 30

// MaxEdgeCells is the largest number of quantile cells that FreezeEdges makes.
const MaxEdgeCells = 4096

// EdgeOptions say how FreezeEdges divides a column; the zero value is its default.
type EdgeOptions struct {
	Cells int     // about how many cells of equal reference share; 0 means DefaultEdgeCells
	Atom  float64 // a value with at least this share has a cell of its own; 0 means 1/Cells; above 1: none
}

// Edges are the frozen division of a number line: cell i holds the finite values v with Upper[i-1] < v ≤ Upper[i], the first what lies
// below the reference, the last what lies above it. Cells is len(Upper)+1. Edges are immutable and safe for concurrent use.
type Edges struct {
	Upper  []float64 `json:"upper"`  // ascending, finite
	Atoms  []int     `json:"atoms"`  // cells that hold exactly one value, Upper[i], in ascending order
	Centre float64   `json:"centre"` // the reference's median
	Scale  float64   `json:"scale"`  // a robust standard deviation of the reference, positive
	Rows   int64     `json:"rows"`   // finite values of the reference
	start  []float64 // where each cell begins and ends for distances; derived
}

// FreezeEdges divides the number line at the quantiles of the finite reference values, which are edges that occur in the data, without
// repeats. Frequent values have a cell of their own, so a spike (zero, a sentinel, a default) is not blurred into its neighbours; up to
// Cells values are all of them frequent. Scale is the interquartile range over 1.349, else the range of the middle 80, 90 or 98 percent
// over its width under a normal distribution, else the standard deviation, else 1: an outlier cannot stretch it while a wider range
// stands. It refuses a reference without a finite value and unusable options.
func FreezeEdges(reference []float64, o EdgeOptions) (*Edges, error) {
	if o.Cells == 0 {
		o.Cells = DefaultEdgeCells
	}
	if o.Cells < 2 || o.Cells > MaxEdgeCells || !(o.Atom >= 0) {
		return nil, assay.Errorf(assay.Invalid, "cannot freeze edges: %d cells with atoms from a share of %v; from 2 to %d cells are made", o.Cells, o.Atom, MaxEdgeCells)
	}
	if o.Atom == 0 {
		o.Atom = 1 / float64(o.Cells)
	}
	s := make([]float64, 0, len(reference))
	for _, v := range reference {
		if !math.IsNaN(v) && !math.IsInf(v, 0) {
			s = append(s, v+0) // one zero
		}
	}
	if len(s) == 0 {
		return nil, assay.Errorf(assay.Invalid, "cannot freeze edges: the reference has no finite value")
	}
	slices.Sort(s)
	n := float64(len(s))
	distinct, few := 0, true
	for i := range s {
		if i == 0 || s[i] != s[i-1] {
			distinct++
		}
		if distinct > o.Cells {
			few = false
			break
		}
	}
	sum := EdgeSummary{Rows: int64(len(s)), Min: s[0], Max: s[len(s)-1], Median: Quantile(s, 0.5), Scale: robustScale(s)}
	for i := 0; i < len(s); {
		j := i
		for j < len(s) && s[j] == s[i] {
			j++
		}
		switch share := float64(j-i) / n; {
		case o.Atom <= 1 && (few || share >= o.Atom):
			sum.Atoms = append(sum.Atoms, s[i])
		case math.Floor(float64(j)*float64(o.Cells)/n) > math.Floor(float64(i)*float64(o.Cells)/n):
			sum.Cuts = append(sum.Cuts, s[i]) // the quantile of a whole number of cells lies at this value
		}
		i = j
	}
	return NewEdges(sum)
}

// An EdgeSummary is what edges are made of: what FreezeEdges finds in the rows of a reference, or a query over them.
type EdgeSummary struct {
	Rows          int64     // finite values
	Min, Max      float64   // of them
	Median, Scale float64   // Scale as RobustScale has it
	Cuts          []float64 // values of the reference at which a cell ends, in any order
	Atoms         []float64 // values of the reference with a cell of their own, in any order
}

// NewEdges makes the edges of a summary. It refuses one without rows, undefined and infinite numbers, and a scale that is not positive.
func NewEdges(s EdgeSummary) (*Edges, error) {
	for _, v := range slices.Concat([]float64{s.Min, s.Max, s.Scale}, s.Cuts, s.Atoms) {
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return nil, assay.Errorf(assay.Invalid, "cannot make edges of %v", v)
		}
	}
	if s.Rows < 1 || s.Max < s.Min || s.Scale <= 0 {
		return nil, assay.Errorf(assay.Invalid, "cannot make edges of %d rows from %v to %v with scale %v", s.Rows, s.Min, s.Max, s.Scale)
	}
	upper := append([]float64{math.Nextafter(s.Min, math.Inf(-1)), s.Max}, s.Cuts...)
	for _, a := range s.Atoms {
		upper = append(upper, math.Nextafter(a, math.Inf(-1)), a)
	}
	slices.Sort(upper)
	upper = slices.Compact(upper)
	upper = slices.DeleteFunc(upper, func(v float64) bool { return math.IsInf(v, 0) })
	e := &Edges{Upper: upper, Atoms: []int{}, Centre: s.Median, Scale: s.Scale, Rows: s.Rows}
	for _, a := range slices.Sorted(slices.Values(s.Atoms)) {
		i, _ := slices.BinarySearch(upper, a)
		e.Atoms = append(e.Atoms, i)
	}
	e.derive()
	return e, nil
}

// RobustScale is the scale of FreezeEdges from the quantiles of a column, by probability, and its standard deviation.
func RobustScale(quantile func(p float64) float64, std float64) float64 {
	for _, tail := range []float64{0.25, 0.1, 0.05, 0.01} {
		if w := quantile(1-tail) - quantile(tail); w > 0 && !math.IsInf(w, 0) {
			if scale := w / (2 * NormalQuantile(1-tail)); scale >= smallestNormal {
				return scale
			}
		}
	}
	if std >= smallestNormal && !math.IsInf(std, 0) {
		return std
	}
	return 1
}

// smallestNormal is the smallest number of full precision: a scale below it would be what rounding left of it.
const smallestNormal = 0x1p-1022

func robustScale(s []float64) float64 {
	_, v := meanVariance(s)
	return RobustScale(func(p float64) float64 { return Quantile(s, p) }, math.Sqrt(v))
}

// tailScales is how many scales the outermost cells reach beyond their inner edge at most, for distances.
const tailScales = 3

// derive computes the points between which distances are measured: the edges, with the outermost two pulled in.
func (e *Edges) derive() {
	e.start = slices.Clone(e.Upper)
	if k := len(e.start); k > 2 {
		e.start[0] = math.Max(e.start[0], e.start[1]-tailScales*e.Scale)
		e.start[k-1] = math.Min(e.start[k-1], e.start[k-2]+tailScales*e.Scale)
	}
}

// Check reports what makes edges that were read from somewhere unusable, all of it, or nil.
func (e *Edges) Check() error {
	var p assay.Problems
	if len(e.Upper) == 0 || len(e.Upper) > 3*MaxEdgeCells {
		p.Add("%d edges", len(e.Upper))
	}
	for i, v := range e.Upper {
		if math.IsNaN(v) || math.IsInf(v, 0) || i > 0 && !(v > e.Upper[i-1]) {
			p.Add("edge %d is not finite and above the one before", i)
		}
	}
	for i, a := range e.Atoms {
		if a < 0 || a >= len(e.Upper) || i > 0 && a <= e.Atoms[i-1] {
			p.Add("atom %d is cell %d", i, a)
		}
	}
	if !(e.Scale > 0) || math.IsInf(e.Scale, 0) {
		p.Add("scale %v", e.Scale)
	}
	return p.Err(assay.Invalid, "unusable edges")
}

// Cells is the number of cells.
func (e *Edges) Cells() int { return len(e.Upper) + 1 }

// Cell returns the cell of a value, -1 for one that is not finite. It takes O(log cells) and allocates nothing.
func (e *Edges) Cell(v float64) int {
	if v-v != 0 {
		return -1
	}
	u := e.Upper
	at := 0
	for n := len(u); n > 1; { // no branch depends on the value: where it lies is as good as random
		half := n >> 1
		next := at + half
		if u[next-1] < v {
			at = next
		}
		n -= half
	}
	if u[at] < v {
		at++
	}
	return at
}

// Count returns the counts of the finite values.
func (e *Edges) Count(values []float64) []float64 {
	counts := make([]float64, e.Cells())
	for _, v := range values {
		if i := e.Cell(v); i >= 0 {
			counts[i]++
		}
	}
	return counts
}

func (e *Edges) scale() float64 {
	if e == nil {
		return math.NaN()
	}
	return e.Scale
}

// integrate calls f for each cell between the outermost with the differences of the distribution functions at its ends and its width.
func (e *Edges) integrate(reference, window []float64, f func(a, b, width float64)) bool {
	n, m, ok := totals(reference, window)
	if !ok || e == nil || len(reference) != e.Cells() {
		return false
	}
	points := e.start
	var r, w, before float64
	for i := range points {
		r += reference[i]
		w += window[i]
		d := r/n - w/m
		if i > 0 {
			f(before, d, points[i]-points[i-1])
		}
		before = d
	}
	return true
}

// Wasserstein returns the first Wasserstein distance of two rows of counts over the edges, in the unit of the values: ∫|F - G| with
// both distribution functions straight within a cell. What lies outside the reference counts as lying at its end, and the outermost
// cells count as at most three scales wide, so that a value moves the distance by no more than its share times the reference's width,
// however far out it lies: it is the distance of what is left after winsorising. NaN as DriftW1.
func (e *Edges) Wasserstein(reference, window []float64) float64 {
	var sum float64
	if !e.integrate(reference, window, func(a, b, width float64) {
		if a*b >= 0 {
			sum += width * math.Abs(a+b) / 2
		} else {
			sum += width * (a*a + b*b) / (2 * (math.Abs(a) + math.Abs(b)))
		}
	}) {
		return math.NaN()
	}
	return sum
}

// Energy returns the energy distance √(2∫(F-G)²) of two rows of counts over the edges, winsorised as Wasserstein is.
func (e *Edges) Energy(reference, window []float64) float64 {
	var sum float64
	if !e.integrate(reference, window, func(a, b, width float64) { sum += width * (a*a + a*b + b*b) / 3 }) {
		return math.NaN()
	}
	return math.Sqrt(2 * sum)
}

// MMD returns the maximum mean discrepancy (Gretton et al., 2012) of two rows of counts over the edges, the root of
// Σ (pᵢ-qᵢ)(pⱼ-qⱼ)·exp(-|xᵢ-xⱼ|/Scale): Laplace's kernel, by which only equal distributions have a discrepancy of 0. The rows of a cell lie
// in its middle, those of a cell of one value at that value, and those outside the reference at its end, winsorised as for Wasserstein. It
// is in [0, √2]. The kernel's form lets one pass over the cells do, where others take all pairs of them. NaN as DriftW1.
func (e *Edges) MMD(reference, window []float64) float64 {
	n, m, ok := totals(reference, window)
	if !ok || e == nil || len(reference) != e.Cells() {
		return math.NaN()
	}
	var sum, before, last float64 // before: what lies below, each as far as the kernel sees it from the last point
	atoms := e.Atoms
	for i, r := range reference {
		x := e.start[min(i, len(e.start)-1)]
		atom := len(atoms) > 0 && atoms[0] == i
		if atom {
			atoms = atoms[1:]
		} else if i > 0 && i < len(e.start) {
			x = (x + e.start[i-1]) / 2
		}
		if i > 0 {
			before *= math.Exp((last - x) / e.Scale)
		}
		d := r/n - window[i]/m
		sum += d * (d + 2*before)
		before += d
		last = x
	}
	return math.Sqrt(math.Min(2, math.Max(0, sum)))
}
