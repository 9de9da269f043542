package stat

import (
	"math"
	"slices"
)

// CramerVonMises tests that two samples come from one distribution by the squared distance of their distribution functions (Anderson,
// 1962). The exact p-value counts all orders of the pooled rows (Xiao, Gordon and Yakovlev, 2006) and is meant for up to about 20 rows
// a side; method "" takes it there. Undefined for an empty sample or an undefined value. Checked against SciPy to 1e-9.
func CramerVonMises(x, y []float64, method NullMethod) Test {
	xs, ok1 := sorted(x)
	ys, ok2 := sorted(y)
	if !ok1 || !ok2 {
		return undefinedTest()
	}
	ranks, _, _ := pooledRanks(xs, ys)
	n, m := float64(len(xs)), float64(len(ys))
	square := func(ranks []float64) (sum float64) {
		for i, r := range ranks {
			sum += (r - float64(i+1)) * (r - float64(i+1))
		}
		return sum
	}
	u := n*square(ranks[:len(xs)]) + m*square(ranks[len(xs):])
	k, total := n*m, n+m
	t := u/(k*total) - (4*k-1)/(6*total)
	out := Test{Statistic: t, DF: math.NaN()}
	if method == "" {
		method = Asymptotic
		if max(len(xs), len(ys)) <= 20 {
			method = Exact
		}
	}
	if method == Exact {
		out.P = cramerPaths(u, len(xs), len(ys))
		return out
	}
	out.P = cramerSF(t, n, m)
	return out
}

// cramerSF is the asymptotic p-value of the two-sample statistic t of n and m rows.
func cramerSF(t, n, m float64) float64 {
	k, total := n*m, n+m
	et := (1 + 1/total) / 6
	vt := (total + 1) * (4*k*total - 3*(n*n+m*m) - 2*k) / (45 * total * total * 4 * k)
	if z := 1.0/6 + (t-et)/math.Sqrt(45*vt); z >= 0.003 {
		return math.Max(0, 1-cramerLimit(z))
	}
	return 1
}

// cramerLimit is the limit distribution function of the one-sample statistic (Csörgő and Faraway, 1996), summed as far as SciPy sums
// it: to the first term below 1e-7.
func cramerLimit(x float64) float64 {
	var sum float64
	for k := 0.0; k < 100; k++ {
		a, _ := math.Lgamma(k + 0.5)
		b, _ := math.Lgamma(k + 1)
		y := 4*k + 1
		q := y * y / (16 * x)
		term := math.Exp(a-b) / (math.Pow(math.Pi, 1.5) * math.Sqrt(x)) * math.Sqrt(y) * math.Exp(-q) * besselQuarter(q)
		sum += term
		if math.Abs(term) < 1e-7 {
			break
		}
	}
	return sum
}

// besselQuarter is the modified Bessel function K of order 1/4, by the trapezoidal rule on ∫ exp(-q cosh t) cosh(t/4) dt, which
// converges faster than any power of the step.
func besselQuarter(q float64) float64 {
	const step = 1. / 16
	sum := 0.5 * math.Exp(-q)
	for t := step; ; t += step {
		c := q * math.Cosh(t)
		if c > 745 {
			break
		}
		sum += math.Exp(-c) * math.Cosh(t/4)
	}
	return sum * step
}

// cramerPaths is the share of paths whose sum of squared distances from the diagonal reaches that of u.
func cramerPaths(u float64, n, m int) float64 {
	lcm := n / gcd(n, m) * m
	a, b := lcm/n, lcm/m
	nm := float64(n * m)
	zeta := math.Floor(float64(lcm*lcm) * float64(n+m) * (6*u - nm*(4*nm-1)) / (6 * nm * nm))
	// Shares, not counts: of the paths to a point, i/(i+j) come from the left.
	column := make([]map[int]float64, n+1)
	for j := range m + 1 {
		for i := range n + 1 {
			here := map[int]float64{}
			d := (a*i - b*j) * (a*i - b*j)
			if i+j == 0 {
				here[0] = 1
			}
			if i > 0 {
				for v, p := range column[i-1] {
					here[v+d] += p * float64(i) / float64(i+j)
				}
			}
			if j > 0 {
				for v, p := range column[i] {
					here[v+d] += p * float64(j) / float64(i+j)
				}
			}
			column[i] = here
		}
	}
	values := make([]int, 0, len(column[n]))
	for v := range column[n] {
		if float64(v) >= zeta {
			values = append(values, v)
		}
	}
	slices.Sort(values) // so that the sum does not depend on the order of a map
	var sum float64
	for _, v := range values {
		sum += column[n][v]
	}
	return math.Min(1, sum)
}

// AndersonDarling tests that k samples come from one distribution by the statistic of Scholz and Stephens (1987), standardised, in
// its midrank version for data with ties or the right-continuous one. The p-value is interpolated in their table and cut to
// [0.001, 0.25]. Undefined for fewer than two samples, an empty one, fewer than four rows or all values equal. Checked against SciPy
// to 1e-9.
func AndersonDarling(midrank bool, samples ...[]float64) Test {
	pool, ok := sorted(slices.Concat(samples...))
	if !ok || len(samples) < 2 || len(pool) < 4 || pool[0] == pool[len(pool)-1] {
		return undefinedTest()
	}
	N, k := float64(len(pool)), float64(len(samples))
	distinct := slices.Compact(slices.Clone(pool))
	var a2, inverse float64
	for _, s := range samples {
		own, ok := sorted(s)
		if !ok {
			return undefinedTest()
		}
		n := float64(len(own))
		inverse += 1 / n
		var sum float64
		at, before := 0, 0 // in the sample and in the pool
		for z, v := range distinct {
			f, l := 0, 0
			for at+f < len(own) && own[at+f] == v {
				f++
			}
			for before+l < len(pool) && pool[before+l] == v {
				l++
			}
			if lj := float64(l); midrank {
				M, B := float64(at)+float64(f)/2, float64(before)+lj/2
				sum += lj / N * (N*M - B*n) * (N*M - B*n) / (B*(N-B) - N*lj/4)
			} else if z < len(distinct)-1 {
				M, B := float64(at+f), float64(before+l)
				sum += lj / N * (N*M - B*n) * (N*M - B*n) / (B * (N - B))
			}
			at, before = at+f, before+l
		}
		a2 += sum / n
	}
	if midrank {
		a2 *= (N - 1) / N
	}
	return andersonTest(a2, N, k, inverse)
}

// andersonTest standardises the statistic of k samples of N rows together, whose sizes have the given sum of inverses.
func andersonTest(a2, N, k, inverse float64) Test {
	var h, g float64
	for i := 1.0; i < N-1; i++ {
		h += 1 / (N - i) // so far Σ 1/(N-1) … 1/(N-i)
		g += h / (i + 1)
	}
	h++
	H := inverse
	a := (4*g-6)*(k-1) + (10-6*g)*H
	b := (2*g-4)*k*k + 8*h*k + (2*g-14*h-4)*H - 8*h + 4*g - 6
	c := (6*h+2*g-2)*k*k + (4*h-4*g+6)*k + (2*h-6)*H + 4*h
	d := (2*h+6)*k*k - 4*h*k
	variance := (((a*N+b)*N+c)*N + d) / ((N - 1) * (N - 2) * (N - 3))
	t := (a2 - (k - 1)) / math.Sqrt(variance)
	return Test{t, math.NaN(), andersonP(t, k-1)}
}

func andersonP(t, m float64) float64 {
	table := [7][4]float64{ // level and the coefficients of its critical value in 1, 1/√m and 1/m
		{0.25, 0.675, -0.245, -0.105},
		{0.1, 1.281, 0.25, -0.305},
		{0.05, 1.645, 0.678, -0.362},
		{0.025, 1.96, 1.149, -0.391},
		{0.01, 2.326, 1.822, -0.396},
		{0.005, 2.573, 2.364, -0.345},
		{0.001, 3.085, 3.615, -0.154},
	}
	var x, y [7]float64
	for i, r := range table {
		x[i], y[i] = r[1]+r[2]/math.Sqrt(m)+r[3]/m, math.Log(r[0])
	}
	switch {
	case t < slices.Min(x[:]):
		return 0.25
	case t > slices.Max(x[:]):
		return 0.001
	}
	// A parabola through log level by least squares, on centred polynomials that are orthogonal over x.
	mx := pairwiseSum(x[:]) / 7
	var s2, s3 float64
	for _, v := range x {
		s2 += (v - mx) * (v - mx)
		s3 += (v - mx) * (v - mx) * (v - mx)
	}
	second := func(v float64) float64 { return (v-mx)*(v-mx) - s3/s2*(v-mx) - s2/7 }
	var c0, c1, c2, n2 float64
	for i, v := range x {
		q := second(v)
		c0 += y[i] / 7
		c1 += y[i] * (v - mx) / s2
		c2 += y[i] * q
		n2 += q * q
	}
	return math.Exp(c0 + c1*(t-mx) + c2/n2*second(t))
}
