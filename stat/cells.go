package stat

import "math"

// Binomial returns the next draw of the number of successes in n trials of probability p: by inversion where few successes are
// expected, else by transformed rejection (Hörmann, 1993, algorithm BTRS). It panics for a negative n or p outside [0, 1].
func (r *Rand) Binomial(n int64, p float64) int64 {
	switch {
	case n < 0 || !(p >= 0 && p <= 1):
		panic("BUG: Binomial needs n >= 0 and p in [0, 1]")
	case p > 0.5:
		return n - r.Binomial(n, 1-p)
	case n == 0 || p == 0:
		return 0
	case float64(n)*p < 10:
		return r.binomialInverse(n, p)
	}
	m, q := float64(n), 1-p
	spread := math.Sqrt(m * p * q)
	b := 1.15 + 2.53*spread
	a := -0.0873 + 0.0248*b + 0.01*p
	c := m*p + 0.5
	factorials := func(k float64) float64 {
		x, _ := math.Lgamma(k + 1)
		y, _ := math.Lgamma(m - k + 1)
		return x + y
	}
	var alpha, odds, mode, top float64 // six draws of seven need none of them
	for {
		u, v := r.Float64()-0.5, r.Float64()
		us := 0.5 - math.Abs(u)
		k := math.Floor((2*a/us+b)*u + c)
		if us >= 0.07 && v <= 0.92-4.2/b {
			return int64(k)
		}
		if k < 0 || k > m {
			continue
		}
		if alpha == 0 {
			alpha, odds, mode = (2.83+5.1/b)*spread, math.Log(p/q), math.Floor((m+1)*p)
			top = factorials(mode)
		}
		if math.Log(v*alpha/(a/(us*us)+b)) <= top-factorials(k)+(k-mode)*odds {
			return int64(k)
		}
	}
}

func (r *Rand) binomialInverse(n int64, p float64) int64 {
	odds := p / (1 - p)
	for {
		u, f := r.Float64(), math.Exp(float64(n)*math.Log1p(-p))
		for k := int64(0); k <= n && k < 200; k++ {
			if u < f {
				return k
			}
			u -= f
			f *= odds * float64(n-k) / float64(k+1)
		}
		// Rounding left a sliver above the last term: draw again.
	}
}

// ResampleCells draws a bootstrap replicate of rows that are known only by the number of them in each cell: as many rows again, with
// replacement, counted into out (of the length of counts). Its cost does not depend on the number of rows, so that counts and
// whatever is computed from them (a confusion matrix, rates by slice) take thousands of replicates in milliseconds. It panics for a
// negative count.
func (r *Rand) ResampleCells(counts, out []int64) {
	var rows int64
	for _, c := range counts {
		rows += c
	}
	left := rows
	for i, c := range counts {
		switch {
		case left == 0 || c == 0:
			out[i] = 0
		case c == rows:
			out[i] = left
		default:
			out[i] = r.Binomial(left, float64(c)/float64(rows))
		}
		rows -= c
		left -= out[i]
	}
}
