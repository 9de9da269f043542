package learn

import (
	"math"
	"slices"
	"sort"

	"github.com/assay-ml/assay/stat"
)

// tpe draws one dimension by the tree-structured Parzen estimator (Bergstra et al. 2011; the settings are those of Optuna 4's
// independent sampler): the better tenth of the trials, at most 25, and the rest each give a density; of points drawn from the first,
// the one with the largest ratio of the two is taken.
func (s Search) tpe(d Dimension, known []Trial, r *stat.Rand) any {
	good, bad := s.halves(d, known)
	candidates := DefaultCandidates
	if d.Type == "choice" {
		l, g := choiceWeights(good, len(d.Choices)), choiceWeights(bad, len(d.Choices))
		best, bestScore := 0, math.Inf(-1)
		for range candidates {
			c := pick(l, r.Float64())
			if score := math.Log(l[c]) - math.Log(g[c]); score > bestScore {
				best, bestScore = c, score
			}
		}
		return d.Choices[best]
	}
	lo, hi := d.bounds()
	if !(hi > lo) {
		return d.place(lo)
	}
	l, g := newParzen(good, lo, hi), newParzen(bad, lo, hi)
	var best any
	bestScore := math.Inf(-1)
	for range candidates {
		v := d.place(l.draw(r))
		x, _ := d.position(v)
		half := 0.0
		if !d.Log {
			half = d.step() / 2
		}
		if score := l.logDensity(x, half) - g.logDensity(x, half); score > bestScore || best == nil {
			best, bestScore = v, score
		}
	}
	return best
}

// halves returns the positions in the dimension of the better and of the other trials, each in the order of their numbers.
func (s Search) halves(d Dimension, known []Trial) (good, bad []float64) {
	ranked := slices.Clone(known)
	sort.SliceStable(ranked, func(a, b int) bool { return s.better(ranked[a], ranked[b]) })
	n := min(int(math.Ceil(0.1*float64(len(ranked)))), 25)
	for i, side := range []*[]float64{&good, &bad} {
		part := ranked[:n]
		if i == 1 {
			part = ranked[n:]
		}
		part = slices.Clone(part)
		sort.Slice(part, func(a, b int) bool { return part[a].Number < part[b].Number })
		for _, t := range part {
			if x, ok := d.position(t.Params[d.Name]); ok {
				*side = append(*side, x)
			}
		}
	}
	return good, bad
}

// better orders complete trials by value and pruned ones after them: those that got further first, then by their last value.
func (s Search) better(a, b Trial) bool {
	if (a.State == TrialComplete) != (b.State == TrialComplete) {
		return a.State == TrialComplete
	}
	if a.State == TrialComplete {
		if x, y := s.cost(a.Value), s.cost(b.Value); x != y {
			return x < y
		}
		return a.Number < b.Number
	}
	x, y := a.last(), b.last()
	if x.Step != y.Step {
		return x.Step > y.Step
	}
	if p, q := s.cost(x.Value), s.cost(y.Value); p != q {
		return p < q
	}
	return a.Number < b.Number
}

func (t Trial) last() Report {
	if len(t.Reports) == 0 {
		return Report{Step: -1, Value: math.NaN()}
	}
	return t.Reports[len(t.Reports)-1]
}

// ages returns the weights of n observations, oldest first: 1 for the last 25 and a ramp from 1/n before.
func ages(n int) []float64 {
	w := make([]float64, n)
	for i := range w {
		w[i] = 1
		if ramp, lo := n-25, 1/float64(n); i < ramp {
			w[i] = lo + (1-lo)*float64(i)/float64(max(ramp-1, 1))
		}
	}
	return w
}

// choiceWeights is the density over k choices: each observation is a kernel with most of its mass on its choice and a little on all,
// and the prior is a kernel that is the same for all.
func choiceWeights(seen []float64, k int) []float64 {
	w := append(ages(len(seen)), 1)
	total, little := sumOf(w), 1/float64(len(w))
	out := make([]float64, k)
	for c := range out {
		out[c] = 1 / (total * float64(k))
		for i, at := range seen {
			mass := little
			if int(at) == c {
				mass++
			}
			out[c] += w[i] / total * mass / (1 + little*float64(k))
		}
	}
	return out
}

// A parzen is a mixture of normal densities cut off at the ends of a range.
type parzen struct {
	mean, width, weight []float64
	mass                []float64 // share of each normal that lies within the range
	lo, hi              float64
}

// newParzen puts a normal on each observation, as wide as the distance to its farther neighbour within limits, and one over the whole
// range as the prior.
func newParzen(seen []float64, lo, hi float64) parzen {
	n := len(seen) + 1
	p := parzen{mean: append(slices.Clone(seen), (lo+hi)/2), width: make([]float64, n), weight: append(ages(len(seen)), 1), lo: lo, hi: hi}
	order := make([]int, n)
	for i := range order {
		order[i] = i
	}
	sort.SliceStable(order, func(a, b int) bool { return p.mean[order[a]] < p.mean[order[b]] })
	for k, i := range order {
		left, right := p.mean[i]-lo, hi-p.mean[i]
		if k > 0 {
			left = p.mean[i] - p.mean[order[k-1]]
		} else if n > 1 {
			left = 0
		}
		if k < n-1 {
			right = p.mean[order[k+1]] - p.mean[i]
		} else if n > 1 {
			right = 0
		}
		narrow := (hi - lo) / min(100, 1+float64(n))
		p.width[i] = min(max(left, right, narrow), hi-lo)
	}
	p.width[n-1] = hi - lo
	total := sumOf(p.weight)
	for i := range p.weight {
		p.weight[i] /= total
		p.mass = append(p.mass, p.inside(i, lo, hi))
	}
	return p
}

// inside is the share of kernel i's normal between a and b.
func (p parzen) inside(i int, a, b float64) float64 {
	return stat.NormalCDF((b-p.mean[i])/p.width[i]) - stat.NormalCDF((a-p.mean[i])/p.width[i])
}

func (p parzen) draw(r *stat.Rand) float64 {
	i := pick(p.weight, r.Float64())
	from := stat.NormalCDF((p.lo - p.mean[i]) / p.width[i])
	x := p.mean[i] + p.width[i]*stat.NormalQuantile(from+r.Float64()*p.mass[i])
	return min(max(x, p.lo), p.hi)
}

// logDensity is the logarithm of the density at x, or of the probability of the cell of that half width around it.
func (p parzen) logDensity(x, half float64) float64 {
	sum := 0.0
	for i, w := range p.weight {
		v := 0.0
		if half > 0 {
			v = p.inside(i, x-half, x+half)
		} else {
			z := (x - p.mean[i]) / p.width[i]
			v = math.Exp(-z*z/2) / (p.width[i] * math.Sqrt(2*math.Pi))
		}
		sum += w * v / p.mass[i]
	}
	return math.Log(sum)
}
