package stat

import (
	"cmp"
	"math"
	"slices"

	"github.com/assay-ml/assay"
)

// Pearson estimates the linear correlation of two columns with Fisher's interval and tests that it is zero with n-2 degrees of
// freedom. Undefined for unequal lengths, fewer than two rows, undefined values or a constant column; no interval below four rows.
// Checked against SciPy to 1e-9.
func Pearson(x, y []float64, level float64) (assay.Estimate, Test) {
	n := float64(len(x))
	r := pearson(x, y)
	if math.IsNaN(r) || badLevel(level) {
		return assay.Undefined("no correlation: too few rows or a constant column", int64(len(x))), undefinedTest()
	}
	e := assay.Point(r, "no interval: fewer than four rows", int64(len(x)))
	if len(x) > 3 {
		h := critical(level) / math.Sqrt(n-3)
		z := math.Atanh(r)
		e = assay.Estimate{Value: r, Lo: math.Tanh(z - h), Hi: math.Tanh(z + h), Level: level, Method: "fisher", N: int64(len(x))}
	}
	return e, correlationTest(r, n)
}

func correlationTest(r, n float64) Test {
	if n < 3 {
		return Test{r, math.NaN(), math.NaN()}
	}
	t := math.Abs(r) * math.Sqrt((n-2)/((1-r)*(1+r)))
	return Test{r, n - 2, 2 * TCDF(-t, n-2)}
}

func pearson(x, y []float64) float64 {
	if len(x) != len(y) || len(x) < 2 {
		return math.NaN()
	}
	mx, my := pairwiseSum(x)/float64(len(x)), pairwiseSum(y)/float64(len(y))
	var sx, sy float64
	for i := range x {
		sx, sy = math.Max(sx, math.Abs(x[i]-mx)), math.Max(sy, math.Abs(y[i]-my))
	}
	if !(sx > 0) || !(sy > 0) || math.IsInf(sx, 0) || math.IsInf(sy, 0) {
		return math.NaN()
	}
	var xx, yy, xy float64 // scaled, so that squares neither overflow nor vanish
	for i := range x {
		a, b := (x[i]-mx)/sx, (y[i]-my)/sy
		xx += a * a
		yy += b * b
		xy += a * b
	}
	return math.Max(-1, math.Min(1, xy/math.Sqrt(xx*yy)))
}

// Spearman is Pearson's correlation of midranks, tested with n-2 degrees of freedom. Undefined as for Pearson.
func Spearman(x, y []float64) Test {
	if len(x) != len(y) || hasNaN(x) || hasNaN(y) {
		return undefinedTest()
	}
	r := pearson(MidRanks(x), MidRanks(y))
	if math.IsNaN(r) {
		return undefinedTest()
	}
	return correlationTest(r, float64(len(x)))
}

// Kendall is Kendall's τ-b, in O(n log n) (Knight, 1966), tested against zero: by its normal limit with ties, or exactly,
// which needs a column pair without ties; method "" is exact up to 33 such rows. Undefined for unequal lengths, undefined values or a constant column. Checked against SciPy to 1e-9.
func Kendall(x, y []float64, method NullMethod) Test {
	n := len(x)
	if len(y) != n || n < 2 || hasNaN(x) || hasNaN(y) {
		return undefinedTest()
	}
	order := span(0, n)
	slices.SortFunc(order, func(a, b int) int { return cmp.Or(cmp.Compare(x[a], x[b]), cmp.Compare(y[a], y[b])) })
	type ties struct{ pairs, x0, x1 float64 }
	count := func(size float64, t *ties) {
		t.pairs += size * (size - 1) / 2
		t.x0 += size * (size - 1) * (size - 2)
		t.x1 += size * (size - 1) * (2*size + 5)
	}
	var tx, ty, both ties
	runs := func(equal func(a, b int) bool, order []int, t *ties) {
		size := 1.0
		for i := 1; i <= n; i++ {
			if i < n && equal(order[i-1], order[i]) {
				size++
				continue
			}
			count(size, t)
			size = 1
		}
	}
	runs(func(a, b int) bool { return x[a] == x[b] }, order, &tx)
	runs(func(a, b int) bool { return x[a] == x[b] && y[a] == y[b] }, order, &both)
	ys := make([]float64, n)
	for i, r := range order {
		ys[i] = y[r]
	}
	discordant := inversions(ys, make([]float64, n)) // sorts ys
	size := 1.0
	for i := 1; i <= n; i++ {
		if i < n && ys[i] == ys[i-1] {
			size++
			continue
		}
		count(size, &ty)
		size = 1
	}
	m := float64(n) * float64(n-1)
	total := m / 2
	if tx.pairs == total || ty.pairs == total {
		return undefinedTest()
	}
	surplus := total - tx.pairs - ty.pairs + both.pairs - 2*discordant
	t := Test{Statistic: surplus / math.Sqrt(total-tx.pairs) / math.Sqrt(total-ty.pairs), DF: math.NaN()}
	t.Statistic = math.Max(-1, math.Min(1, t.Statistic))
	distinct := tx.pairs == 0 && ty.pairs == 0
	if method == Exact || method == "" && distinct && n <= 33 {
		t.P = math.NaN()
		if distinct {
			t.P = kendallExact(n, int(math.Min(discordant, total-discordant)))
		}
		return t
	}
	v := (m*(2*float64(n)+5)-tx.x1-ty.x1)/18 + 2*tx.pairs*ty.pairs/m + tx.x0*ty.x0/(9*m*float64(n-2))
	t.P = 2 * NormalSF(math.Abs(surplus)/math.Sqrt(v))
	return t
}

// inversions sorts xs and returns the number of pairs that were out of order.
func inversions(xs, spare []float64) float64 {
	if len(xs) < 2 {
		return 0
	}
	half := len(xs) / 2
	a, b := xs[:half], xs[half:]
	sum := inversions(a, spare[:half]) + inversions(b, spare[half:])
	out := spare[:0]
	for len(a) > 0 || len(b) > 0 {
		if len(b) == 0 || len(a) > 0 && a[0] <= b[0] {
			out, a = append(out, a[0]), a[1:]
		} else {
			sum += float64(len(a))
			out, b = append(out, b[0]), b[1:]
		}
	}
	copy(xs, out)
	return sum
}

// kendallExact is twice the chance of at most c inversions in a random permutation of n, at most 1.
func kendallExact(n, c int) float64 {
	p := make([]float64, c+1) // shares of permutations of j with k inversions
	p[0] = 1
	for j := 2; j <= n; j++ {
		next := make([]float64, c+1)
		for k := range next {
			for i := max(0, k-j+1); i <= k; i++ {
				next[k] += p[i]
			}
			next[k] /= float64(j)
		}
		p = next
	}
	return math.Min(1, 2*pairwiseSum(p))
}
