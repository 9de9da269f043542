package stat

import (
	"math"
	"math/bits"
)

// RandomState draws what numpy.random.RandomState(seed) draws: the Mersenne Twister MT19937 (Matsumoto and Nishimura, 1998) with
// the one-word seeding of 2002, bounded integers by mask and rejection, shuffles from the last element down, normal deviates by the
// polar method. It exists to repeat splits made with scikit-learn; new work takes Rand. Equal to NumPy 2.4 to the last bit for
// integers, 1e-15 for floats. Not safe for concurrent use.
type RandomState struct {
	key   [624]uint32
	pos   int
	gauss float64
	saved bool
}

// NewRandomState returns the state of RandomState(seed).
func NewRandomState(seed uint32) *RandomState {
	s := &RandomState{pos: 624}
	for i := range s.key {
		s.key[i] = seed
		seed = 1812433253*(seed^seed>>30) + uint32(i) + 1
	}
	return s
}

func (s *RandomState) refill() {
	const upper, lower, matrix = 0x80000000, 0x7fffffff, 0x9908b0df
	k := &s.key
	for i := range 624 {
		next, far := i+1, i+397
		if next >= 624 {
			next -= 624
		}
		if far >= 624 {
			far -= 624
		}
		y := k[i]&upper | k[next]&lower
		k[i] = k[far] ^ y>>1 ^ -(y&1)&matrix
	}
	s.pos = 0
}

// Uint32 returns the next 32 bits.
func (s *RandomState) Uint32() uint32 {
	if s.pos == 624 {
		s.refill()
	}
	y := s.key[s.pos]
	s.pos++
	y ^= y >> 11
	y ^= y << 7 & 0x9d2c5680
	y ^= y << 15 & 0xefc60000
	return y ^ y>>18
}

// RandomSample returns the next float64 in [0, 1), of 53 bits.
func (s *RandomState) RandomSample() float64 {
	a, b := s.Uint32()>>5, s.Uint32()>>6
	return (float64(a)*67108864 + float64(b)) / 9007199254740992
}

// upTo draws from 0 … limit.
func (s *RandomState) upTo(limit uint64) uint64 {
	if limit == 0 {
		return 0
	}
	mask := uint64(1)<<bits.Len64(limit) - 1
	for {
		var v uint64
		if limit <= math.MaxUint32 {
			v = uint64(s.Uint32()) & mask
		} else {
			v = uint64(s.Uint32()) << 32
			v = (v | uint64(s.Uint32())) & mask
		}
		if v <= limit {
			return v
		}
	}
}

// RandInt returns the next integer in low … high-1, as randint(low, high) does. It panics unless low < high.
func (s *RandomState) RandInt(low, high int) int {
	if low >= high {
		panic("BUG: RandInt needs low < high")
	}
	return low + int(s.upTo(uint64(high-low-1)))
}

// Shuffle permutes xs in place.
func (s *RandomState) Shuffle(xs []int) { shuffle(s, xs) }

func shuffle[T any](s *RandomState, xs []T) {
	for i := len(xs) - 1; i > 0; i-- {
		j := s.upTo(uint64(i))
		xs[i], xs[j] = xs[j], xs[i]
	}
}

// Permutation returns a permutation of 0 … n-1.
func (s *RandomState) Permutation(n int) []int {
	p := make([]int, n)
	for i := range p {
		p[i] = i
	}
	s.Shuffle(p)
	return p
}

// Choice returns size numbers of 0 … n-1, as choice(n, size, replace) does. It panics for size > n without replacement.
func (s *RandomState) Choice(n, size int, replace bool) []int {
	if !replace {
		if size > n {
			panic("BUG: Choice cannot draw more than it has without replacement")
		}
		return s.Permutation(n)[:size]
	}
	out := make([]int, size)
	for i := range out {
		out[i] = s.RandInt(0, n)
	}
	return out
}

// StandardNormal returns the next standard normal deviate.
func (s *RandomState) StandardNormal() float64 {
	if s.saved {
		s.saved = false
		return s.gauss
	}
	for {
		x := 2*s.RandomSample() - 1
		y := 2*s.RandomSample() - 1
		r := x*x + y*y
		if r < 1 && r != 0 {
			f := math.Sqrt(-2 * math.Log(r) / r)
			s.gauss, s.saved = f*x, true
			return f * y
		}
	}
}
