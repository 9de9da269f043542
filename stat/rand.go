package stat

import (
	"math"
	"math/bits"
)

// Rand is a counter-based generator: its i-th number is a hash of (seed, stream, i), so any number can be had without the ones
// before it. A copy continues on its own from where the original stood. The hash is the output function of SplitMix64 (Steele, Lea
// and Flood, 2014, variant 13 of Stafford) over a Weyl sequence, with a second key word mixed in halfway so that two streams are not
// shifts of each other. It is for statistics, not for secrets.
//
// The methods with At are safe for concurrent use; the others move the counter on and are not.
type Rand struct {
	key, twist uint64
	next       uint64
}

const (
	weyl   = 0x9e3779b97f4a7c15
	mixOne = 0xbf58476d1ce4e5b9
	mixTwo = 0x94d049bb133111eb
)

func mix64(z uint64) uint64 {
	z = (z ^ z>>30) * mixOne
	z = (z ^ z>>27) * mixTwo
	return z ^ z>>31
}

// NewRand returns the generator of the given seed and stream. A stream is named by any number of integers, for example a purpose
// and a replicate; different names give independent generators, and the order of the integers matters.
func NewRand(seed uint64, stream ...uint64) Rand {
	k, t := mix64(seed+weyl), mix64(seed^0x6a09e667f3bcc909)
	for _, s := range stream {
		k = mix64(k ^ mix64(s+weyl))
		t = mix64(t + mix64(s^0xbb67ae8584caa73b) + k)
	}
	return Rand{key: k, twist: t}
}

// Uint64At returns the i-th number of the generator, whatever was drawn before.
func (r Rand) Uint64At(i uint64) uint64 {
	z := r.key + i*weyl
	z = (z ^ z>>30) * mixOne
	z = (z ^ z>>27 ^ r.twist) * mixTwo
	return z ^ z>>31
}

// Float64At returns the i-th number as a float64 in [0, 1).
func (r Rand) Float64At(i uint64) float64 { return float64(r.Uint64At(i)>>11) * 0x1p-53 }

// Uint64 returns the next number.
func (r *Rand) Uint64() uint64 {
	v := r.Uint64At(r.next)
	r.next++
	return v
}

// Float64 returns the next number as a float64 in [0, 1).
func (r *Rand) Float64() float64 { return float64(r.Uint64()>>11) * 0x1p-53 }

// Normal returns the next draw from the standard normal distribution, by inversion of one number.
func (r *Rand) Normal() float64 {
	return NormalQuantile((float64(r.Uint64()>>11) + 0.5) * 0x1p-53)
}

// Exponential returns the next draw from the exponential distribution of rate 1.
func (r *Rand) Exponential() float64 { return -math.Log1p(-r.Float64()) }

// Intn returns the next draw from 0 … n-1, without bias (Lemire, 2019). It panics unless n is positive.
func (r *Rand) Intn(n int) int {
	if n <= 0 {
		panic("BUG: Intn needs a positive bound")
	}
	bound := uint64(n)
	hi, lo := bits.Mul64(r.Uint64(), bound)
	if lo < bound {
		for floor := -bound % bound; lo < floor; {
			hi, lo = bits.Mul64(r.Uint64(), bound)
		}
	}
	return int(hi)
}

// Perm returns a random permutation of 0 … n-1.
func (r *Rand) Perm(n int) []int {
	p := make([]int, n)
	for i := range p {
		p[i] = i
	}
	r.Shuffle(n, func(i, j int) { p[i], p[j] = p[j], p[i] })
	return p
}

// Shuffle permutes n things through swap, by Fisher and Yates from the last down.
func (r *Rand) Shuffle(n int, swap func(i, j int)) {
	for i := n - 1; i > 0; i-- {
		swap(i, r.Intn(i+1))
	}
}

// PoissonAt returns the i-th draw of a Poisson variable of mean 1: the weight of row i in the bootstrap replicate that the
// generator's stream names. Four draws share one hash, 16 bits each; the few values of those bits that straddle a step of the
// distribution function take 64 further bits, so the probabilities are exact to 2^-64.
func (r Rand) PoissonAt(i uint64) int {
	w := r.Uint64At(i >> 2)
	return int(r.poisson(uint16(w>>(i&3*16)), i))
}

// PoissonFill writes the draws from, from+1, … into counts: counts[j] = PoissonAt(from+j).
func (r Rand) PoissonFill(from uint64, counts []uint8) {
	j := 0
	for ; j < len(counts) && (from+uint64(j))&3 != 0; j++ {
		counts[j] = uint8(r.PoissonAt(from + uint64(j)))
	}
	i := from + uint64(j)
	for ; j+4 <= len(counts); j, i = j+4, i+4 {
		w := r.Uint64At(i >> 2)
		c := counts[j : j+4 : j+4]
		a, b, d, e := poissonTable[w>>4&0xfff], poissonTable[w>>20&0xfff], poissonTable[w>>36&0xfff], poissonTable[w>>52]
		if (a|b|d|e)&straddles != 0 {
			a, b = r.poisson(uint16(w), i), r.poisson(uint16(w>>16), i+1)
			d, e = r.poisson(uint16(w>>32), i+2), r.poisson(uint16(w>>48), i+3)
		}
		c[0], c[1], c[2], c[3] = a, b, d, e
	}
	for ; j < len(counts); j, i = j+1, i+1 {
		counts[j] = uint8(r.PoissonAt(i))
	}
}

// straddles marks the cells of poissonTable that hold a step of the distribution function.
const straddles = 0x80

// poissonTable maps the upper 12 of 16 random bits to a Poisson(1) draw, or to straddles.
var poissonTable = func() (table [4096]uint8) {
	for cell := range table {
		lo, hi := poissonInverse(float64(cell)/4096), poissonInverse(math.Nextafter(float64(cell+1)/4096, 0))
		table[cell] = lo
		if lo != hi {
			table[cell] = straddles
		}
	}
	return table
}()

func (r Rand) poisson(u uint16, i uint64) uint8 {
	k := poissonTable[u>>4]
	if k != straddles {
		return k
	}
	fine := Rand{key: r.twist, twist: r.key}.Float64At(i)
	return poissonInverse((float64(u>>4) + fine) / 4096)
}

// poissonInverse is the inverse of the Poisson(1) distribution function.
func poissonInverse(u float64) uint8 {
	p := math.Exp(-1)
	cdf := p
	k := 0
	for u >= cdf && k < 20 {
		k++
		p /= float64(k)
		cdf += p
	}
	return uint8(k)
}
