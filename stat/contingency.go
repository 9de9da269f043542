package stat

import (
	"math"

	"github.com/assay-ml/assay"
)

// A Contingency is what the tests of independence found in a table of counts.
type Contingency struct {
	ChiSquared Test    // Pearson
	Yates      Test    // Pearson with continuity correction; equal to ChiSquared beyond two by two
	G          Test    // likelihood ratio
	CramersV   float64 // √(χ²/n / min(rows-1, columns-1))
	Corrected  float64 // Cramér's V with the bias correction of Bergsma (2013)
}

// NewContingency tests a table of counts for independence of rows and columns. It refuses a table that is not rectangular, has
// fewer than two rows or columns, a negative or undefined count, or an empty row or column. Checked against SciPy to 1e-9.
func NewContingency(table [][]float64) (Contingency, error) {
	var p assay.Problems
	if len(table) < 2 || len(table[0]) < 2 {
		return Contingency{}, assay.Errorf(assay.Invalid, "cannot test a table for independence: it needs two rows and two columns")
	}
	rows, columns := make([]float64, len(table)), make([]float64, len(table[0]))
	var n float64
	for i, r := range table {
		if len(r) != len(columns) {
			p.Add("row %d has %d columns, the first %d", i, len(r), len(columns))
			continue
		}
		for j, v := range r {
			if !(v >= 0) || math.IsInf(v, 0) {
				p.Add("count %v at row %d, column %d", v, i, j)
			}
			rows[i] += v
			columns[j] += v
			n += v
		}
	}
	if len(p) == 0 {
		for i, v := range rows {
			if v == 0 {
				p.Add("row %d is empty", i)
			}
		}
		for j, v := range columns {
			if v == 0 {
				p.Add("column %d is empty", j)
			}
		}
	}
	if err := p.Err(assay.Invalid, "cannot test a table for independence"); err != nil {
		return Contingency{}, err
	}
	small := len(rows) == 2 && len(columns) == 2
	var chi2, yates, g float64
	for i, r := range table {
		for j, v := range r {
			e := rows[i] * columns[j] / n
			d := math.Abs(v - e)
			chi2 += d * d / e
			c := d
			if small {
				c -= math.Min(0.5, d)
			}
			yates += c * c / e
			if v > 0 {
				g += 2 * v * math.Log(v/e)
			}
		}
	}
	r, c := float64(len(rows)), float64(len(columns))
	df := (r - 1) * (c - 1)
	test := func(x float64) Test { return Test{x, df, ChiSquaredSF(x, df)} }
	phi := math.Max(0, chi2/n-df/(n-1))
	rr, cc := r-(r-1)*(r-1)/(n-1), c-(c-1)*(c-1)/(n-1)
	out := Contingency{ChiSquared: test(chi2), Yates: test(yates), G: test(g), CramersV: math.Sqrt(chi2 / n / (math.Min(r, c) - 1))}
	out.Corrected = math.Sqrt(phi / (math.Min(rr, cc) - 1))
	if n <= 1 || math.Min(rr, cc) <= 1 {
		out.Corrected = math.NaN()
	}
	return out, nil
}

// Fisher tests a two by two table of counts for independence, exactly. The statistic is the odds ratio of the sample, ad/bc. The
// two-sided p-value adds up the tables that are no likelier (within 1e-14 relative). Undefined for a negative count or an empty table.
func Fisher(a, b, c, d int64, alt Alternative) Test {
	if min(a, b, c, d) < 0 || a+b+c+d == 0 {
		return undefinedTest()
	}
	t := Test{Statistic: float64(a) * float64(d) / (float64(b) * float64(c)), DF: math.NaN()}
	// Given the margins, a is hypergeometric; its probabilities are products of binomial ones, which keeps their digits.
	rows, columns, n := a+b, a+c, a+b+c+d
	lo, hi := max(0, rows+columns-n), min(rows, columns)
	share := float64(rows) / float64(n)
	pmf := func(k int64) float64 {
		if rows == 0 || rows == n {
			return indicator(k == a)
		}
		return BinomialPMF(k, columns, share) * BinomialPMF(rows-k, n-columns, share) / BinomialPMF(rows, n, share)
	}
	seen := pmf(a)
	for k := lo; k <= hi; k++ {
		switch p := pmf(k); {
		case alt == Less && k <= a, alt == Greater && k >= a, alt != Less && alt != Greater && p <= seen*(1+1e-13):
			t.P += p
		}
	}
	t.P = math.Min(1, t.P)
	return t
}

// GoodnessOfFit tests counts against expected ones; nil means all alike. It returns Pearson's and the likelihood-ratio test, both
// undefined unless lengths and totals agree (1e-8 relative), counts are not negative and expected ones are positive.
func GoodnessOfFit(observed, expected []float64) (pearson, g Test) {
	total, sum := pairwiseSum(observed), 0.0
	if expected == nil {
		expected = make([]float64, len(observed))
		for i := range expected {
			expected[i] = total / float64(len(observed))
		}
	}
	if len(expected) != len(observed) || len(observed) < 2 {
		return undefinedTest(), undefinedTest()
	}
	var chi2, lr float64
	for i, o := range observed {
		e := expected[i]
		if !(o >= 0) || !(e > 0) || math.IsInf(o, 0) || math.IsInf(e, 0) {
			return undefinedTest(), undefinedTest()
		}
		sum += e
		chi2 += (o - e) * (o - e) / e
		if o > 0 {
			lr += 2 * o * math.Log(o/e)
		}
	}
	if math.Abs(sum-total) > 1e-8*total {
		return undefinedTest(), undefinedTest()
	}
	df := float64(len(observed) - 1)
	return Test{chi2, df, ChiSquaredSF(chi2, df)}, Test{lr, df, ChiSquaredSF(lr, df)}
}
