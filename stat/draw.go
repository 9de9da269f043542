package stat

import "math"

// logFactorials holds log k! for small k.
var logFactorials = func() (table [1024]float64) {
	for k := 2; k < len(table); k++ {
		table[k], _ = math.Lgamma(float64(k) + 1)
	}
	return table
}()

// logFactorial is log k! of a whole k, by Stirling's series beyond the table.
func logFactorial(k float64) float64 {
	if k < 1024 {
		return logFactorials[int(k)]
	}
	return (k+0.5)*math.Log(k) - k + 0.918938533204672742 + (1-1/(30*k*k))/(12*k)
}

// Hypergeometric returns the next draw of how many good things are among sample things taken from good and bad ones without
// replacement: one by one for small samples, else by the ratio of uniforms (Stadlober, 1990). It panics for negative numbers or a
// sample larger than the whole.
func (r *Rand) Hypergeometric(good, bad, sample int64) int64 {
	whole := good + bad
	switch {
	case good < 0 || bad < 0 || sample < 0 || sample > whole:
		panic("BUG: Hypergeometric needs counts of at least 0 and a sample no larger than the whole")
	case sample > whole-sample: // what is left behind is a sample as well
		return good - r.Hypergeometric(good, bad, whole-sample)
	case good > bad:
		return sample - r.Hypergeometric(bad, good, sample)
	case good < sample: // the two play the same part
		return r.Hypergeometric(sample, whole-sample, good)
	}
	// Now sample ≤ good ≤ bad.
	if sample <= 10 {
		var k int64
		for i := range sample {
			if int64(r.Intn(int(whole-i))) < good-k {
				k++
			}
		}
		return k
	}
	g, b, n := float64(good), float64(bad), float64(sample)
	N := g + b
	mean := n * g / N
	spread := math.Sqrt(mean*(b/N)*(N-n)/(N-1) + 0.5)
	h := 1.7155277699214135*spread + 0.8989161620588988 // 2√(2/e) and 3-2√(3/e)
	mode := math.Floor((n + 1) * (g + 1) / (N + 2))
	logs := func(k float64) float64 {
		return logFactorial(k) + logFactorial(g-k) + logFactorial(n-k) + logFactorial(b-n+k)
	}
	top := logs(mode)
	for {
		u := 1 - r.Float64() // never 0
		k := math.Floor(mean + 0.5 + h*(r.Float64()-0.5)/u)
		if k < 0 || k > n {
			continue
		}
		t := top - logs(k)
		if u*(4-u)-3 <= t || u*(u-t) < 1 && 2*math.Log(u) <= t {
			return int64(k)
		}
	}
}

// Gamma returns the next draw from the gamma distribution of the given positive shape and scale 1 (Marsaglia and Tsang, 2000).
func (r *Rand) Gamma(shape float64) float64 {
	if !(shape > 0) {
		panic("BUG: Gamma needs a positive shape")
	}
	boost := 1.0
	if shape < 1 {
		boost = math.Pow(1-r.Float64(), 1/shape)
		shape++
	}
	d := shape - 1.0/3
	c := 1 / math.Sqrt(9*d)
	for {
		x := r.Normal()
		v := 1 + c*x
		if v <= 0 {
			continue
		}
		v = v * v * v
		u := 1 - r.Float64()
		if x2 := x * x; u < 1-0.0331*x2*x2 || math.Log(u) < 0.5*x2+d*(1-v+math.Log(v)) {
			return boost * d * v
		}
	}
}

// Multinomial draws n things into cells with probabilities in proportion to the weights, and writes the counts to out; the slices have
// one length. It takes O(cells), whatever n. It panics without a positive weight unless n is 0.
func (r *Rand) Multinomial(n int64, weights, out []float64) {
	var left float64
	last := -1
	for i, w := range weights {
		left += w
		if w > 0 {
			last = i
		}
	}
	if last < 0 && n > 0 {
		panic("BUG: Multinomial needs a positive weight")
	}
	for i, w := range weights {
		var k int64
		switch {
		case n == 0 || w == 0:
		case i == last:
			k = n
		default:
			k = r.Binomial(n, math.Min(1, w/left))
		}
		out[i] = float64(k)
		n -= k
		left = math.Max(left-w, 0)
	}
}

// Subsample draws n of the rows that whole counts stand for, without replacement, and writes their counts to out. It takes O(cells). It
// panics when there are fewer than n rows.
func (r *Rand) Subsample(n int64, counts, out []float64) {
	var left int64
	for _, c := range counts {
		left += int64(c)
	}
	for i, c := range counts {
		left -= int64(c)
		k := r.Hypergeometric(int64(c), left, n)
		out[i] = float64(k)
		n -= k
	}
}
