package serve

import "math"

// guideBuckets is how many equal buckets a range is cut into, so that a value's place is found among few.
const guideBuckets = 256

// A guide finds the place of a value among ascending ones.
type guide struct {
	low, scale float64                  // buckets for each unit
	before     [guideBuckets + 1]uint32 // how many values lie in buckets before each, and all of them
}

// newGuide makes the guide of ascending values, most of them from low to high.
func newGuide(values []float64, low, high float64) *guide {
	g := &guide{low: low, scale: guideBuckets / (high - low)}
	if !(g.scale > 0) || math.IsInf(g.scale, 1) {
		g.scale = 0
	}
	for _, u := range values {
		g.before[g.bucket(u)+1]++
	}
	for b := range guideBuckets {
		g.before[b+1] += g.before[b]
	}
	return g
}

// bucket never falls as values rise, which is all that find needs.
func (g *guide) bucket(v float64) int {
	x := (v - g.low) * g.scale
	if !(x > 0) {
		return 0
	}
	if x >= guideBuckets-1 {
		return guideBuckets - 1
	}
	return int(x)
}

// find returns how many of the values, of which the guide was made, are below v; 0 for NaN.
func (g *guide) find(values []float64, v float64) int {
	b := g.bucket(v)
	at, end := int(g.before[b]), int(g.before[b+1])
	for end-at > 4 {
		mid := int(uint(at+end) >> 1)
		if values[mid] < v {
			at = mid + 1
		} else {
			end = mid
		}
	}
	for at < end && values[at] < v {
		at++
	}
	return at
}
