package stat

import "math"

// Drawn counts trials that share a bound: in each, what is suspected had at most the probability Share while nothing is the matter.
type Drawn struct {
	Share float64 `json:"share"`
	Hits  int64   `json:"hits"` // trials in which it came
	N     int64   `json:"n"`    // trials
}

// oddsGrid is how many odds ratios DrawnEValue mixes, from √2 upwards, each √2 of the one before.
const oddsGrid = 20

// DrawnEValue is the evidence that trials hit more often than their shares allow, where each trial's probability and share may depend on
// all trials before it: the likelihood ratio of odds that are θ times those of the share to the share itself, averaged over θ from √2 to
// 1024 (Robbins, 1970; Ramdas et al., 2023, "Game-theoretic statistics and safe anytime-valid inference"). While no trial's probability is
// above its share it is a test supermartingale: the chance that it ever reaches 1/α, however often and whenever anybody looks, is at most α
// (Ville, 1939). It is 1 without trials. NaN for counts or shares out of range.
func DrawnEValue(trials ...Drawn) float64 {
	sum := 0.0
	for j := 1; j <= oddsGrid; j++ {
		theta := math.Exp2(float64(j) / 2)
		ratio := 0.0
		for _, t := range trials {
			if t.Hits < 0 || t.Hits > t.N || !(t.Share > 0 && t.Share < 1) {
				return math.NaN()
			}
			ratio += float64(t.Hits)*math.Log(theta) - float64(t.N)*math.Log(t.Share*theta+1-t.Share)
		}
		sum += math.Exp(ratio)
	}
	return sum / oddsGrid
}
