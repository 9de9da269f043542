package stat

import (
	"math"

	"github.com/assay-ml/assay"
)

// A Homogeneity is what the tests say that ask whether two rows of counts come from one distribution over the categories.
type Homogeneity struct {
	ChiSquared  Test    // Pearson; the asymptotic p-value is to be trusted from a MinExpected of about 5
	G           Test    // likelihood ratio
	CramersV    float64 // √(χ²/n), in [0, 1]
	Cells       int     // compared, after empty ones were dropped and rare ones pooled
	Pooled      int     // how many went into the pool
	MinExpected float64 // smallest expected count of a compared cell
}

// NewHomogeneity tests reference against window counts of the same categories as the two rows of a contingency table, so that a
// category that only one side has is evidence of finite weight and not a division by zero. Categories that neither side has are
// dropped. With minExpected above 0, those whose smaller expected count is below it are pooled into one cell first. One and the same
// category on both sides is no difference (p-value 1); where pooling leaves a single cell the tests are undefined. It refuses unequal
// lengths, negative or undefined counts and an empty side. Without pooling equal to scipy.stats.chi2_contingency without correction on
// the categories that occur, to 1e-9.
func NewHomogeneity(reference, window []float64, minExpected float64) (Homogeneity, error) {
	n, m, ok := totals(reference, window)
	if !ok {
		_, err := NewDistances(reference, window) // names what is wrong
		if err == nil {
			err = assay.Errorf(assay.Invalid, "cannot compare distributions: the counts have no finite sum")
		}
		return Homogeneity{}, err
	}
	out := Homogeneity{MinExpected: math.Inf(1), CramersV: math.NaN(), ChiSquared: undefinedTest(), G: undefinedTest()}
	smaller := math.Min(n, m) / (n + m)
	var r, w []float64
	var poolR, poolW float64
	for i := range reference {
		both := reference[i] + window[i]
		switch {
		case both == 0:
			continue
		case both*smaller < minExpected:
			poolR += reference[i]
			poolW += window[i]
			out.Pooled++
			continue
		}
		r, w = append(r, reference[i]), append(w, window[i])
		out.MinExpected = math.Min(out.MinExpected, both*smaller)
	}
	if out.Pooled > 0 {
		r, w = append(r, poolR), append(w, poolW)
		out.MinExpected = math.Min(out.MinExpected, (poolR+poolW)*smaller)
	}
	chi2, g, cells := homogeneity(r, w, n, m)
	out.Cells = cells
	if cells == 1 {
		if out.Pooled <= 1 {
			out.ChiSquared, out.G, out.CramersV = Test{0, 0, 1}, Test{0, 0, 1}, 0
		}
		return out, nil
	}
	df := float64(cells - 1)
	out.ChiSquared = Test{chi2, df, ChiSquaredSF(chi2, df)}
	out.G = Test{g, df, ChiSquaredSF(g, df)}
	out.CramersV = math.Min(1, math.Sqrt(chi2/(n+m)))
	return out, nil
}

// PSINull returns the mean of the population stability index of two samples of n and m rows from one distribution over so many cells:
// (cells-1)(1/n + 1/m). With 10 cells and 100 rows a side it is 0.18, above the line of 0.1 that is commonly drawn.
func PSINull(cells int, n, m float64) float64 {
	if cells < 1 || !(n > 0) || !(m > 0) {
		return math.NaN()
	}
	return float64(cells-1) * (1/n + 1/m)
}

// PSICritical returns the value that the population stability index of two samples from one distribution exceeds with probability
// alpha: to first order the index is (1/n + 1/m) times chi-squared with cells-1 degrees of freedom (Yurdakul and Naranjo, 2020). It
// holds while no cell is expected to be nearly empty; a Null holds at any size.
func PSICritical(cells int, n, m, alpha float64) float64 {
	if cells < 2 || !(n > 0) || !(m > 0) || !(alpha > 0 && alpha < 1) {
		return math.NaN()
	}
	return (1/n + 1/m) * ChiSquaredQuantile(1-alpha, float64(cells-1))
}

// PSITest tests the population stability index by its chi-squared limit: DF is the cells that occur less one. NaN as for DriftPSI.
func PSITest(reference, window []float64) Test {
	n, m, ok := totals(reference, window)
	if !ok {
		return undefinedTest()
	}
	_, _, cells := homogeneity(reference, window, n, m)
	v, df := psi(reference, window, n, m), float64(cells-1)
	if cells == 1 {
		return Test{0, 0, 1}
	}
	return Test{v, df, ChiSquaredSF(v/(1/n+1/m), df)}
}

// KolmogorovSmirnovCounts is the two-sided KolmogorovSmirnov on counts over cells in ascending order. D is the largest distance at the
// ends of the cells: at most that of the rows themselves, and equal to it where a cell holds one value only. The asymptotic p-value
// is therefore too large rather than too small. Undefined as DriftKS.
func KolmogorovSmirnovCounts(reference, window []float64) Test {
	n, m, ok := totals(reference, window)
	if !ok {
		return undefinedTest()
	}
	d := countKS(reference, window, n, m)
	if d == 0 {
		return Test{0, math.NaN(), 1}
	}
	return Test{d, math.NaN(), KolmogorovSmirnovSF(d, max(1, int(math.RoundToEven(n*m/(n+m)))))}
}

// CramerVonMisesCounts is the asymptotic CramerVonMises on counts over cells in ascending order: that of rows which share their cell's
// midrank. The p-value does not know the ties, and with few cells is too large. Undefined as DriftCvM.
func CramerVonMisesCounts(reference, window []float64) Test {
	n, m, ok := totals(reference, window)
	if !ok {
		return undefinedTest()
	}
	t := countCvM(reference, window, n, m)
	return Test{t, math.NaN(), cramerSF(t, n, m)}
}

// AndersonDarlingCounts is AndersonDarling in its midrank version on counts over cells in ascending order, one slice a sample. It takes
// O(cells) and, for the standardisation, O(rows) additions. Undefined as AndersonDarling, and for unequal lengths or unusable counts.
func AndersonDarlingCounts(samples ...[]float64) Test {
	if len(samples) < 2 {
		return undefinedTest()
	}
	pool := make([]float64, len(samples[0]))
	sizes := make([]float64, len(samples))
	var total, inverse float64
	for s, counts := range samples {
		if len(counts) != len(pool) {
			return undefinedTest()
		}
		for i, c := range counts {
			if !(c >= 0) || math.IsInf(c, 0) {
				return undefinedTest()
			}
			pool[i] += c
			sizes[s] += c
		}
		if sizes[s] == 0 {
			return undefinedTest()
		}
		total += sizes[s]
		inverse += 1 / sizes[s]
	}
	if total < 4 {
		return undefinedTest()
	}
	var a2 float64
	for s, counts := range samples {
		var sum, own, below float64
		for i, c := range counts {
			l := pool[i]
			if l == total {
				return undefinedTest()
			}
			if l > 0 {
				b := below + l/2
				d := total*(own+c/2) - b*sizes[s]
				sum += l / total * d * d / (b*(total-b) - total*l/4)
			}
			own += c
			below += l
		}
		a2 += sum / sizes[s]
	}
	return andersonTest(a2*(total-1)/total, total, float64(len(samples)), inverse)
}

// MannWhitneyCounts is the two-sided MannWhitney on counts over cells in ascending order, corrected for ties and continuity; the
// statistic is U of the reference. Undefined as DriftCliff, and where all rows are in one cell.
func MannWhitneyCounts(reference, window []float64) Test {
	n, m, ok := totals(reference, window)
	if !ok {
		return undefinedTest()
	}
	total := n + m
	var ties float64
	for i, r := range reference {
		l := r + window[i]
		ties += l*l*l - l
	}
	u := n*m - countU(reference, window)
	s := math.Sqrt(n * m / 12 * (total + 1 - ties/(total*(total-1))))
	return Test{u, math.NaN(), math.Min(1, 2*NormalSF((math.Max(u, n*m-u)-n*m/2-0.5)/s))}
}
