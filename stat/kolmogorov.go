package stat

import "math"

// KolmogorovSF returns P(K > x) of the limit distribution of √n D of Kolmogorov.
func KolmogorovSF(x float64) float64 {
	switch {
	case math.IsNaN(x):
		return math.NaN()
	case x <= 0:
		return 1
	case x < 0.9: // the dual series of theta functions converges fast here
		var sum float64
		for k := 1.0; k < 40; k += 2 {
			term := math.Exp(-k * k * math.Pi * math.Pi / (8 * x * x))
			sum += term
			if term < 1e-20*sum {
				break
			}
		}
		return 1 - math.Sqrt(2*math.Pi)/x*sum
	}
	var sum float64
	for k, sign := 1.0, 1.0; k < 40; k, sign = k+1, -sign {
		term := math.Exp(-2 * k * k * x * x)
		sum += sign * term
		if term < 1e-20*sum {
			break
		}
	}
	return 2 * sum
}

// KolmogorovSmirnovSF returns P(D > d) of the one-sample two-sided Kolmogorov–Smirnov statistic of n values, by the methods and in
// the ranges of Simard and L'Ecuyer (2011), as SciPy's kstwo does; checked to 1e-9. Up to 140 values it is exact but for rounding;
// above, the expansion of Pelz and Good (1976) and twice the one-sided tail are within 1e-6 relative of the truth.
func KolmogorovSmirnovSF(d float64, n int) float64 {
	switch {
	case math.IsNaN(d) || n < 1:
		return math.NaN()
	case d <= 0.5/float64(n):
		return 1
	case d >= 1:
		return 0
	}
	m := float64(n)
	square := m * d * d
	switch {
	case d >= 0.5 || n <= 140 && square > 4 || n > 140 && square >= 2.2:
		if n > 100_000 { // the sum has a term a value; its limit is within O(1/n)
			return math.Min(1, 2*math.Exp(-(6*m*d+1)*(6*m*d+1)/(18*m)))
		}
		return math.Min(1, 2*smirnovSF(d, n))
	case n <= 140 || n <= 100_000 && m*math.Pow(d, 1.5) <= 1.4:
		return 1 - marsaglia(d, n)
	}
	return 1 - pelzGood(math.Sqrt(square), m)
}

// pelzGood is P(√n D ≤ z) to the third order in 1/√n.
func pelzGood(z, n float64) float64 {
	const pi2 = math.Pi * math.Pi
	z2 := z * z
	z4, z6 := z2*z2, z2*z2*z2
	var k0, k1, k2, k3, w2, w3 float64
	for k := 0.0; k < 60; k++ {
		h := pi2 * (k + 0.5) * (k + 0.5)
		e := math.Exp(-h / (2 * z2))
		k0 += e
		k1 += (h - z2) * e
		k2 += (6*z6 + 2*z4 + h*(2*z4-5*z2) + h*h*(1-2*z2)) * e
		k3 += (h*h*h*(5-30*z2) + h*h*(212*z4-60*z2) + h*(135*z4-96*z6) - 30*z6 - 90*z4*z4) * e
		whole := pi2 * (k + 1) * (k + 1)
		f := math.Exp(-whole / (2 * z2))
		w2 += whole * f
		w3 += (3*whole*z2 - whole*whole) * f
	}
	c := math.Sqrt(2 * math.Pi) // twice √(π/2): the sums run over both signs
	root := math.Sqrt(n)
	return c * (k0/z + k1/(6*z4*root) + (k2/(72*z6*z)-w2/(36*z2*z))/n + (k3/(6480*z6*z4)+w3/(216*z6))/(n*root))
}

// smirnovSF is P(D⁺ > d) for n values, by the sum of Birnbaum and Tingey (1951).
func smirnovSF(d float64, n int) float64 {
	m := float64(n)
	lgn, _ := math.Lgamma(m + 1)
	var sum float64
	for j := 0; j <= int(m*(1-d)); j++ {
		x := d + float64(j)/m
		if x >= 1 {
			if n == j {
				continue
			}
			break
		}
		a, _ := math.Lgamma(float64(j) + 1)
		b, _ := math.Lgamma(m - float64(j) + 1)
		sum += math.Exp(lgn - a - b + (m-float64(j))*math.Log1p(-x) + (float64(j)-1)*math.Log(x))
	}
	return d * sum
}

// marsaglia is P(D < d) for n values.
func marsaglia(d float64, n int) float64 {
	k := int(float64(n)*d) + 1
	m := 2*k - 1
	h := float64(k) - float64(n)*d
	H := make([]float64, m*m)
	for i := range m {
		for j := range m {
			if i-j+1 >= 0 {
				H[i*m+j] = 1
			}
		}
	}
	for i := range m {
		H[i*m] -= math.Pow(h, float64(i+1))
		H[(m-1)*m+i] -= math.Pow(h, float64(m-i))
	}
	if 2*h-1 > 0 {
		H[(m-1)*m] += math.Pow(2*h-1, float64(m))
	}
	for i := range m {
		for j := range m {
			for g := 1; g <= i-j+1; g++ {
				H[i*m+j] /= float64(g)
			}
		}
	}
	Q, exponent := power(H, m, n)
	s := Q[(k-1)*m+k-1]
	for i := 1; i <= n; i++ {
		s *= float64(i) / float64(n)
		if s < 1e-140 {
			s *= 1e140
			exponent -= 140
		}
	}
	return s * math.Pow(10, float64(exponent))
}

// power is A to the n-th, with a decimal exponent taken out to stay in range.
func power(A []float64, m, n int) ([]float64, int) {
	if n == 1 {
		return A, 0
	}
	V, e := power(A, m, n/2)
	V, e = multiply(V, V, m), 2*e
	if n%2 == 1 {
		V = multiply(A, V, m)
	}
	if V[m/2*m+m/2] > 1e140 {
		for i := range V {
			V[i] *= 1e-140
		}
		e += 140
	}
	return V, e
}

func multiply(A, B []float64, m int) []float64 {
	C := make([]float64, m*m)
	for i := range m {
		for k := range m {
			if a := A[i*m+k]; a != 0 {
				for j, b := range B[k*m : k*m+m] {
					C[i*m+j] += a * b
				}
			}
		}
	}
	return C
}
