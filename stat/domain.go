package stat

import (
	"math"

	"github.com/assay-ml/assay"
)

// DomainOptions say how DomainAUC tests; the zero value is its default.
type DomainOptions struct {
	Level        float64 // 0 means DefaultLevel
	Permutations int     // 0 means 999
	Tail         bool    // drawing stops as soon as tailEnough assignments have reached the area (Besag and Clifford, 1991); where fewer than tailReached assignments reach the area, the p-value is that of a normal distribution with the mean and variance of all
	Seed         uint64
}

// tailReached is how many assignments of a permutation test must reach the statistic before their share is a p-value to rely on.
const (
	tailReached = 10
	tailEnough  = 50 // the p-value is their share then, and no further draw would say more of a window that is like all others
)

// DomainAUC judges a classifier that was trained to tell the rows of a window from those of a reference, by its scores on rows that it
// was not trained on (cross-fitted): an area of 0.5 says that it cannot, whatever the columns have to do with each other. The estimate
// has DeLong's interval, for independent rows. The test's statistic is the area, its p-value the share of random assignments of blocks
// to the two sides, this one included, with at least that area. blocks has one code a row; all rows of a block (a day, a session) are of
// one side and change sides together; nil makes every row a block. Without Tail the p-value is never below one over the number of assignments.
//
// It refuses unequal lengths, undefined scores, a side without rows, a block on both sides, and unusable options. A function of the
// seed; O(rows log rows + blocks × permutations).
func DomainAUC(window []bool, score []float64, blocks []int, o DomainOptions) (assay.Estimate, Test, error) {
	if o.Level == 0 {
		o.Level = DefaultLevel
	}
	if o.Permutations == 0 {
		o.Permutations = 999
	}
	d, err := NewDeLong(window, score)
	if err != nil {
		return assay.Estimate{}, Test{}, err
	}
	var p assay.Problems
	if d.Positives == 0 || d.Negatives == 0 {
		p.Add("%d rows of the window and %d of the reference", d.Positives, d.Negatives)
	}
	if blocks != nil && len(blocks) != len(score) {
		p.Add("%d block codes for %d rows", len(blocks), len(score))
	}
	if badLevel(o.Level) || o.Permutations < 1 {
		p.Add("level %v, %d permutations", o.Level, o.Permutations)
	}
	if err := p.Err(assay.Invalid, "cannot judge a domain classifier"); err != nil {
		return assay.Estimate{}, Test{}, err
	}
	// The area is a function of the rank sum and the number of rows of the window, and both are sums over blocks.
	type unit struct {
		ranks, rows float64
		window      bool
	}
	var units []unit
	ranks := MidRanks(score)
	index := map[int]int{}
	for i, r := range ranks {
		u := len(units)
		if blocks != nil {
			if at, ok := index[blocks[i]]; ok {
				u = at
			}
			index[blocks[i]] = u
		}
		if u == len(units) {
			units = append(units, unit{window: window[i]})
		}
		if units[u].window != window[i] {
			return assay.Estimate{}, Test{}, assay.Errorf(assay.Invalid, "cannot judge a domain classifier: block %d has rows of both sides", blocks[i])
		}
		units[u].ranks += r
		units[u].rows++
	}
	taken := 0
	for _, u := range units { // the window's units first
		if u.window {
			taken++
		}
	}
	order := make([]int, 0, len(units))
	for _, side := range []bool{true, false} {
		for i, u := range units {
			if u.window == side {
				order = append(order, i)
			}
		}
	}
	area := func() float64 {
		var sum, n float64
		for _, i := range order[:taken] {
			sum += units[i].ranks
			n += units[i].rows
		}
		return (sum - n*(n+1)/2) / (n * (float64(len(score)) - n))
	}
	t := Test{Statistic: area(), DF: math.NaN()}
	reached := 1
	areas := make([]float64, 0, o.Permutations)
	for b := range o.Permutations {
		r := NewRand(o.Seed, uint64(b))
		for i := range taken {
			j := i + r.Intn(len(order)-i)
			order[i], order[j] = order[j], order[i]
		}
		areas = append(areas, area())
		if areas[b] >= t.Statistic-1e-12 {
			reached++
		}
		if o.Tail && reached > tailEnough {
			t.P = float64(tailEnough) / float64(b+1)
			return d.Estimate(0, o.Level, ""), t, nil
		}
	}
	t.P = float64(reached) / float64(o.Permutations+1)
	if mean, variance := meanVariance(areas); o.Tail && reached <= tailReached && variance > 0 {
		t.P = math.Min(float64(tailReached+1)/float64(o.Permutations+1), NormalSF((t.Statistic-mean)/math.Sqrt(variance)))
	}
	return d.Estimate(0, o.Level, ""), t, nil
}
