package stat

import (
	"math"

	"gonum.org/v1/gonum/mat"

	"github.com/assay-ml/assay"
)

// Stretches say by how much stretches of time of a reference (days, weeks) differ in their shares of the cells beyond what the number of their rows explains:
// rows that came together are alike, and a window is such a stretch. They are immutable and safe for concurrent use.
//
// Chance is taken out by components of variance. With the deviation of a share over the root of its mean, rows add the same variance to every direction of the
// cells, and what stretches vary by more is theirs (analysis of variance, weighted by rows). Single directions may come out below zero: the nearest covariance
// with the same sum of variances is taken, and the deviation of each stretch is shrunk, direction by direction, to it. Where cells have an order that is done
// for Legendre's polynomials of their ranks (the components of Anderson and Darling's statistic), the first, the second, the third and fourth, the next four and
// so on by themselves: what moves along is found among much chance of the rest. So what stretches have in common beyond chance (a weekend, a warm week) keeps its form, and their number of rows does not matter.
type Stretches struct {
	deviations [][]float64 // of the shares of each stretch
	shares     []float64   // of all stretches together
	effective  float64
	variance   float64 // of the direction that varies most, and how it goes along with the next stretch
	next       float64
}

// NewStretches takes the counts by cell of stretches, which may overlap; effective is how many there are that do not, and ordered says that cells ascend.
// following are pairs of stretches of which the second begins where the first ends. Stretches without rows are left out. It refuses unusable counts, fewer than two stretches with rows and an
// effective number below 2.
func NewStretches(counts [][]float64, effective float64, ordered bool, following [][2]int) (*Stretches, error) {
	var p assay.Problems
	if !(effective >= 2) {
		p.Add("%v stretches that do not overlap", effective)
	}
	var sum []float64
	rows := make([]float64, len(counts))
	used := 0
	for b, c := range counts {
		if sum == nil {
			sum = make([]float64, len(c))
		}
		if len(c) != len(sum) {
			p.Add("stretch %d has %d cells, not %d", b, len(c), len(sum))
			break
		}
		for i, v := range c {
			if !(v >= 0) || math.IsInf(v, 0) {
				p.Add("stretch %d counts %v rows in a cell", b, v)
			}
			rows[b] += v
			sum[i] += v
		}
		if rows[b] > 0 {
			used++
		}
	}
	if used < 2 {
		p.Add("%d stretches have rows; 2 are needed", used)
	}
	if err := p.Err(assay.Invalid, "stretches of time cannot be compared"); err != nil {
		return nil, err
	}
	total := pairwiseSum(rows)
	s := &Stretches{deviations: make([][]float64, len(counts)), shares: make([]float64, len(sum)), effective: effective}
	var cells []int // that have rows
	root := make([]float64, len(sum))
	for i, c := range sum {
		s.shares[i] = c / total
		if root[i] = math.Sqrt(s.shares[i]); c > 0 {
			cells = append(cells, i)
		}
	}
	k := len(cells)
	z := mat.NewDense(len(counts), k, nil)
	scaled := mat.NewDense(len(counts), k, nil)
	for b, c := range counts {
		s.deviations[b] = make([]float64, len(sum))
		for j, i := range cells {
			if rows[b] > 0 {
				v := (c[i]/rows[b] - s.shares[i]) / root[i]
				z.Set(b, j, v)
				scaled.Set(b, j, v*math.Sqrt(rows[b]))
			}
		}
	}
	if k < 2 {
		return s, nil
	}
	own := 1 - 1/effective // what is left of a variance where the mean is that of the stretches themselves
	within := mat.NewSymDense(k, nil)
	within.SymOuterK(1, scaled.T())
	basis := directions(s.shares, cells, ordered)
	for from, wide := 0, 1; from < k-1; from += wide {
		if wide = min(max(1, from), k-1-from); !ordered {
			wide = k - 1
		}
		part := basis.Slice(0, k, from, from+wide)
		var half, square, scores, kept, vectors mat.Dense
		half.Mul(within, part)
		square.Mul(part.T(), &half)
		sym := mat.NewSymDense(wide, nil)
		for i := range wide {
			for j := i; j < wide; j++ {
				sym.SetSym(i, j, square.At(i, j))
			}
		}
		var eigen mat.EigenSym
		if !eigen.Factorize(sym, true) {
			return nil, assay.Errorf(assay.Internal, "stretches of time cannot be compared: the decomposition did not converge")
		}
		excess := eigen.Values(nil) // ascending
		for j, v := range excess {
			excess[j] = (v - float64(used)*own) / (total * own)
		}
		variances := nearestCovariance(excess)
		eigen.VectorsTo(&vectors)
		var axes mat.Dense
		axes.Mul(part, &vectors)
		scores.Mul(z, &axes)
		if top := variances[wide-1]; top > s.variance {
			s.variance, s.next = top, 0
			pairs := 0.0
			for _, f := range following {
				if rows[f[0]] > 0 && rows[f[1]] > 0 {
					s.next += scores.At(f[0], wide-1) * scores.At(f[1], wide-1)
					pairs++
				}
			}
			s.next /= math.Max(1, pairs)
		}
		for b := range counts {
			for j, v := range variances {
				x := 0.0
				if v > 0 && rows[b] > 0 {
					x = scores.At(b, j) * math.Sqrt(v/((v+1/rows[b])*own))
				}
				scores.Set(b, j, x)
			}
		}
		kept.Mul(&scores, axes.T())
		for b := range counts {
			for j, i := range cells {
				s.deviations[b][i] += kept.At(b, j) * root[i]
			}
		}
	}
	return s, nil
}

// directions are orthonormal ones in which shares over the roots of their means can deviate, one a column: Legendre's polynomials of the ranks of the cells, by
// their degree, or for cells without an order any.
func directions(shares []float64, cells []int, ordered bool) *mat.Dense {
	k := len(cells)
	all := [][]float64{make([]float64, k)}
	for j, i := range cells {
		all[0][j] = math.Sqrt(shares[i]) // shares sum to 1, whatever deviates
	}
	out := mat.NewDense(k, k-1, nil)
	for n := 1; n < k; n++ {
		v := make([]float64, k)
		below := 0.0
		for j, i := range cells {
			if ordered {
				v[j] = legendre(n, 2*below+shares[i]-1) * math.Sqrt(shares[i])
				below += shares[i]
			} else if j == n {
				v[j] = 1
			}
		}
		v = orthonormal(v, all)
		for j := 0; v == nil; j++ { // a polynomial that the ones before it already make
			v = make([]float64, k)
			v[j] = 1
			v = orthonormal(v, all)
		}
		all = append(all, v)
		out.SetCol(n-1, v)
	}
	return out
}

// legendre is Legendre's polynomial of degree n at least 1, by its recurrence.
func legendre(n int, x float64) float64 {
	before, p := 1.0, x
	for m := 1; m < n; m++ {
		before, p = p, (float64(2*m+1)*x*p-float64(m)*before)/float64(m+1)
	}
	return p
}

// orthonormal is what a vector has beside orthonormal others, with length 1; nil for next to nothing.
func orthonormal(v []float64, others [][]float64) []float64 {
	length := func() float64 {
		var square float64
		for _, x := range v {
			square += x * x
		}
		return math.Sqrt(square)
	}
	before := length()
	for range 2 {
		for _, o := range others {
			var along float64
			for i, x := range o {
				along += x * v[i]
			}
			for i, x := range o {
				v[i] -= along * x
			}
		}
	}
	after := length()
	if !(after > 1e-6*before) {
		return nil
	}
	for i := range v {
		v[i] /= after
	}
	return v
}

// nearestCovariance takes the eigenvalues of a symmetric matrix, ascending, to those of the nearest positive semidefinite one with the same trace, 0 for a
// negative trace.
func nearestCovariance(values []float64) []float64 {
	out := make([]float64, len(values))
	trace := pairwiseSum(values)
	if !(trace > 0) {
		return out
	}
	var sum float64
	for n := 1; n <= len(values); n++ {
		i := len(values) - n
		sum += values[i]
		less := (sum - trace) / float64(n)
		if i > 0 && values[i-1] > less {
			continue
		}
		for j := i; j < len(values); j++ {
			out[j] = math.Max(0, values[j]-less)
		}
		break
	}
	return out
}

// Vary reports whether stretches differ beyond chance.
func (s *Stretches) Vary() bool { return s.variance > 0 }

// Dependence is the correlation of windows of so many rows with the window that follows, along the direction in which stretches differ most; 0 to 1.
func (s *Stretches) Dependence(rows float64) float64 {
	if !(s.variance > 0) || !(rows > 0) {
		return 0
	}
	return math.Min(math.Max(0, s.next/(s.variance+1/rows)), 1)
}

// mixed is of how many stretches what one adds is mixed. Of few its tails are longer than those of a normal distribution, of four with a kurtosis of 4.5 where
// the stretches are normal: that makes up for what of the tails so many stretches do not show. By simulation (TestNullOfStretches).
const mixed = 4

// draw adds to out what stretches of time add to the shares of a window that is made of parts of such weights: random ones of those that there were, mixed with
// normal weights, which has their covariance, and goes beyond the furthest of them (drawing them themselves would not: of n stretches the furthest is about the
// 1/n-th one, and what is rarer would never come); and more of it as the reference itself is no more than so many stretches, and as their variance is known from
// no more (Student's distribution).
func (s *Stretches) draw(g *Rand, parts, out []float64) {
	square := 0.0
	for _, w := range parts {
		square += w * w
	}
	free := s.effective - 1
	wide := math.Sqrt((1 + 1/(s.effective*square)) * free / (2 * g.Gamma(free/2)))
	for _, w := range parts {
		for range mixed {
			by := wide * w * g.Normal() / math.Sqrt(mixed)
			for i, d := range s.deviations[g.Intn(len(s.deviations))] {
				out[i] += by * d
			}
		}
	}
}
