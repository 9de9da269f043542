package stat

import "math"

// A DriftScore names a measure of how far the counts of a window lie from those of a reference over the same cells. Larger is
// further; a score has no unit. Cells are categories, or the intervals of Edges in ascending order.
//
// The bounded scores (all but PSI, KL, chi-squared, G, Cramér–von Mises and Anderson–Darling) are effect sizes: they do not grow with
// the number of rows, and a row moves them by no more than the order of its share, however far out its value lies. The others say how
// sure a difference is, and grow with the number of rows.
type DriftScore string

const (
	DriftPSI        DriftScore = "psi"              // population stability index; empty cells count as PSIFloor
	DriftKL         DriftScore = "kl"               // divergence of the reference from the window in nats, half a row added to every cell
	DriftJS         DriftScore = "jensen-shannon"   // distance in base 2, in [0, 1]
	DriftHellinger  DriftScore = "hellinger"        // in [0, 1]
	DriftTV         DriftScore = "total-variation"  // in [0, 1]
	DriftLInfinity  DriftScore = "l-infinity"       // largest difference of a share, in [0, 1]
	DriftChiSquared DriftScore = "chi-squared"      // Pearson's statistic of the two rows of counts
	DriftG          DriftScore = "g"                // likelihood-ratio statistic of the two rows of counts
	DriftKS         DriftScore = "ks"               // Kolmogorov–Smirnov's D at the upper ends of the cells, in [0, 1]
	DriftCliff      DriftScore = "cliff"            // |P(window > reference) - P(window < reference)|, Mann-Whitney's effect size, in [0, 1]
	DriftCvM        DriftScore = "cramer-von-mises" // statistic on midranks
	DriftAD         DriftScore = "anderson-darling" // statistic on midranks, not standardised
	DriftW1         DriftScore = "wasserstein"      // first Wasserstein distance over Edges in units of their Scale; see Edges.Wasserstein
	DriftEnergy     DriftScore = "energy"           // energy distance over Edges in units of the root of their Scale
	DriftMMD        DriftScore = "mmd"              // maximum mean discrepancy over Edges, in [0, √2]; see Edges.MMD
)

// DriftScores lists every score, those that need no order first.
func DriftScores() []DriftScore {
	return []DriftScore{
		DriftPSI, DriftKL, DriftJS, DriftHellinger, DriftTV, DriftLInfinity, DriftChiSquared, DriftG,
		DriftKS, DriftCliff, DriftCvM, DriftAD, DriftW1, DriftEnergy, DriftMMD,
	}
}

// Ordered reports whether the score needs cells in ascending order.
func (s DriftScore) Ordered() bool {
	switch s {
	case DriftKS, DriftCliff, DriftCvM, DriftAD, DriftW1, DriftEnergy, DriftMMD:
		return true
	}
	return false
}

// Metric reports whether the score needs Edges, that is the widths of the cells.
func (s DriftScore) Metric() bool { return s == DriftW1 || s == DriftEnergy || s == DriftMMD }

// Of returns the score of window counts against reference counts; edges may be nil where the score is no Metric. It is NaN for
// unequal lengths, an empty side, negative or undefined counts, missing or other edges, and an unknown score. It takes O(cells) time
// and allocates nothing.
func (s DriftScore) Of(reference, window []float64, edges *Edges) float64 {
	n, m, ok := totals(reference, window)
	if !ok {
		return math.NaN()
	}
	switch s {
	case DriftPSI:
		return psi(reference, window, n, m)
	case DriftKL:
		return smoothedKL(reference, window, n, m)
	case DriftJS, DriftHellinger, DriftTV, DriftLInfinity:
		return s.share(reference, window, n, m)
	case DriftChiSquared, DriftG:
		chi2, g, _ := homogeneity(reference, window, n, m)
		if s == DriftG {
			return g
		}
		return chi2
	case DriftKS:
		return countKS(reference, window, n, m)
	case DriftCliff:
		return math.Abs(2*countU(reference, window)/(n*m) - 1)
	case DriftCvM:
		return countCvM(reference, window, n, m)
	case DriftAD:
		return countAD(reference, window, n, m)
	case DriftW1:
		return edges.Wasserstein(reference, window) / edges.scale()
	case DriftEnergy:
		return edges.Energy(reference, window) / math.Sqrt(edges.scale())
	case DriftMMD:
		return edges.MMD(reference, window)
	}
	return math.NaN()
}

// totals sums both sides, and is false when they cannot be compared.
func totals(reference, window []float64) (n, m float64, ok bool) {
	if len(reference) != len(window) {
		return 0, 0, false
	}
	low := 0.0
	for i, r := range reference {
		w := window[i]
		n += r
		m += w
		low = min(low, r, w) // NaN stays
	}
	return n, m, low == 0 && n > 0 && m > 0 && !math.IsInf(n, 0) && !math.IsInf(m, 0)
}

func psi(reference, window []float64, n, m float64) (sum float64) {
	for i, r := range reference {
		r /= n
		w := window[i] / m
		if r == w {
			continue
		}
		if r == 0 {
			r = PSIFloor
		}
		if w == 0 {
			w = PSIFloor
		}
		sum += (w - r) * math.Log(w/r)
	}
	return sum
}

func smoothedKL(reference, window []float64, n, m float64) (sum float64) {
	k := float64(len(reference)) / 2
	for i, r := range reference {
		p, q := (r+0.5)/(n+k), (window[i]+0.5)/(m+k)
		sum += p * math.Log(p/q)
	}
	return math.Max(0, sum)
}

// share computes the scores of differences of shares.
func (s DriftScore) share(reference, window []float64, n, m float64) float64 {
	var sum float64
	for i, r := range reference {
		r /= n
		w := window[i] / m
		switch s {
		case DriftJS:
			mid := (r + w) / 2
			sum += relativeEntropy(r, mid) + relativeEntropy(w, mid)
		case DriftHellinger:
			d := math.Sqrt(r) - math.Sqrt(w)
			sum += d * d
		case DriftTV:
			sum += math.Abs(r-w) / 2
		case DriftLInfinity:
			sum = max(sum, math.Abs(r-w))
		}
	}
	switch s {
	case DriftJS:
		return math.Min(1, math.Sqrt(math.Max(sum, 0)/(2*math.Ln2)))
	case DriftHellinger:
		return math.Min(1, math.Sqrt(sum/2))
	}
	return math.Min(1, sum)
}

// homogeneity returns Pearson's and the likelihood-ratio statistic of two rows of counts, and how many cells are not empty.
func homogeneity(reference, window []float64, n, m float64) (chi2, g float64, cells int) {
	total := n + m
	for i, r := range reference {
		w := window[i]
		both := r + w
		if both == 0 {
			continue
		}
		cells++
		er, ew := both*n/total, both*m/total
		chi2 += (r-er)*(r-er)/er + (w-ew)*(w-ew)/ew
		if r > 0 {
			g += 2 * r * math.Log(r/er)
		}
		if w > 0 {
			g += 2 * w * math.Log(w/ew)
		}
	}
	return chi2, math.Max(0, g), cells
}

func countKS(reference, window []float64, n, m float64) (d float64) {
	var r, w float64
	for i := range reference {
		r += reference[i]
		w += window[i]
		d = max(d, math.Abs(r/n-w/m))
	}
	return d
}

// countU is Mann-Whitney's U of the window: pairs in which it is larger, ties counted half.
func countU(reference, window []float64) (u float64) {
	var below float64
	for i, r := range reference {
		u += window[i] * (below + r/2)
		below += r
	}
	return u
}

// countCvM is the two-sample statistic on midranks: a cell's rows all have its mean rank.
func countCvM(reference, window []float64, n, m float64) float64 {
	// Σ (R - (A+i))² for i = 1 … a, R the midrank of the cell and A the rows of the sample below it.
	square := func(a, below, rank float64) float64 {
		mean := rank - below - (a+1)/2
		return a*mean*mean + a*(a*a-1)/12
	}
	var u, r, w float64
	for i, a := range reference {
		b := window[i]
		rank := r + w + (a+b+1)/2
		u += n*square(a, r, rank) + m*square(b, w, rank)
		r += a
		w += b
	}
	return u/(n*m*(n+m)) - (4*n*m-1)/(6*(n+m))
}

// countAD is the midrank statistic of Scholz and Stephens for two samples.
func countAD(reference, window []float64, n, m float64) float64 {
	total := n + m
	var sum, r, w float64
	for i, a := range reference {
		b := window[i]
		l := a + b
		if l > 0 && l < total {
			below := r + w + l/2
			d := total*(r+a/2) - below*n // the window's is the same but for its sign
			sum += l / total * d * d / (below*(total-below) - total*l/4) * (1/n + 1/m)
		}
		r += a
		w += b
	}
	return sum * (total - 1) / total
}
