package stat

import (
	"math"
	"slices"
)

// A NullMethod says how a test gets its p-value.
type NullMethod string

const (
	Exact      NullMethod = "exact"
	Asymptotic NullMethod = "asymptotic"
)

// exactPaths is the largest n1·n2 for which KolmogorovSmirnov counts paths unless told otherwise: some milliseconds.
const exactPaths = 4_000_000

// sorted returns a sorted copy, and false when there is no value or an undefined one.
func sorted(xs []float64) ([]float64, bool) {
	if len(xs) == 0 || hasNaN(xs) {
		return nil, false
	}
	s := slices.Clone(xs)
	slices.Sort(s)
	return s, true
}

// KolmogorovSmirnov tests that two samples come from one distribution, by the largest distance D of their empirical distribution
// functions F and G. Greater looks at F - G, Less at G - F, TwoSided at both. The exact p-value is the share of all orders of the
// pooled rows (as lattice paths) that reach D, ties ignored; method "" takes it while n1·n2 is at most four million. Undefined for an
// empty sample or an undefined value. Checked against SciPy's ks_2samp to 1e-9.
func KolmogorovSmirnov(x, y []float64, alt Alternative, method NullMethod) Test {
	xs, ok1 := sorted(x)
	ys, ok2 := sorted(y)
	if !ok1 || !ok2 {
		return undefinedTest()
	}
	n, m := len(xs), len(ys)
	g := gcd(n, m)
	// Distances are whole multiples of 1/lcm(n, m).
	a, b := int64(m/g), int64(n/g)
	var up, down int64
	for i, j := 0, 0; i < n && j < m; {
		v := math.Min(xs[i], ys[j])
		for i < n && xs[i] == v {
			i++
		}
		for j < m && ys[j] == v {
			j++
		}
		d := int64(i)*a - int64(j)*b
		up, down = max(up, d), max(down, -d)
	}
	h := max(up, down)
	switch alt {
	case Greater:
		h = up
	case Less:
		h = down
	}
	lcm := float64(n) * float64(a)
	d := float64(h) / lcm
	t := Test{Statistic: d, DF: math.NaN()}
	if method == "" {
		method = Asymptotic
		if int64(n)*int64(m) <= exactPaths {
			method = Exact
		}
	}
	two := alt != Greater && alt != Less
	switch {
	case h == 0:
		t.P = 1
	case method == Exact:
		t.P = pathsReaching(n, m, a, b, h, two)
	case two:
		t.P = KolmogorovSmirnovSF(d, max(1, int(math.RoundToEven(float64(n)*float64(m)/float64(n+m)))))
	default:
		big, small := float64(max(n, m)), float64(min(n, m))
		z := math.Sqrt(big*small/(big+small)) * d
		t.P = math.Exp(-2*z*z - 2*z*(big+2*small)/math.Sqrt(big*small*(big+small))/3) // Hodges (1958), eq. 5.3
	}
	return t
}

func gcd(a, b int) int {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}

// pathsReaching is the chance that a random path of n steps right and m steps up, all orders alike, reaches the distance h from the
// diagonal. It adds up shares of paths that have reached it, so that small chances keep their digits.
func pathsReaching(n, m int, a, b, h int64, two bool) float64 {
	row := make([]float64, m+1)
	for i := range n + 1 {
		for j := range m + 1 {
			d := int64(i)*a - int64(j)*b
			switch {
			case d >= h || two && -d >= h:
				row[j] = 1
			case i == 0 && j == 0:
				row[j] = 0
			case j == 0:
			case i == 0:
				row[j] = row[j-1]
			default:
				s := float64(i + j)
				row[j] = row[j]*(float64(i)/s) + row[j-1]*(float64(j)/s)
			}
		}
	}
	return math.Min(1, row[m])
}
