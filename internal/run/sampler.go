package run

import (
	"cmp"
	"hash/fnv"
	"math"
	"slices"

	"github.com/assay-ml/assay/stat"
)

// A Range is where a search looks for one parameter: numbers from Low to High, both included, or one of Choices.
type Range struct {
	Low, High float64
	Log       bool  // in the logarithm; Low must be positive
	Int       bool  // whole numbers only
	Choices   []any // text, numbers or booleans; when set, the fields above are not used
}

// A point is one value of each parameter. A categorical one is the index of its choice.
type point map[string]float64

// A tried point, with what is known of it.
type tried struct {
	at     point
	steps  []float64 // the score after each fold, lower is better
	pruned bool
	failed bool
}

func (t tried) value() float64 {
	if len(t.steps) == 0 {
		return math.NaN()
	}
	return t.steps[len(t.steps)-1]
}

// draws returns the generator of one parameter in one trial: a search that is started again suggests the same.
func draws(seed uint64, trial int, param string) stat.Rand {
	h := fnv.New64a()
	_, _ = h.Write([]byte(param))
	return stat.NewRand(seed, uint64(trial), h.Sum64())
}

// uniform draws a value of the range without looking at earlier trials.
func (r Range) uniform(rng *stat.Rand) float64 {
	if r.Choices != nil {
		return float64(rng.Intn(len(r.Choices)))
	}
	lo, hi := r.bounds()
	return r.outward(lo + (hi-lo)*rng.Float64())
}

// bounds is the interval that a sampler works in: in the logarithm where asked for, and half a step wider for whole numbers, so that
// every one of them has the same share.
func (r Range) bounds() (lo, hi float64) {
	lo, hi = r.Low, r.High
	if r.Int {
		lo, hi = lo-0.5, hi+0.5
	}
	if r.Log {
		lo, hi = math.Log(lo), math.Log(hi)
	}
	return lo, hi
}

func (r Range) inward(v float64) float64 {
	if r.Log {
		return math.Log(v)
	}
	return v
}

func (r Range) outward(v float64) float64 {
	if r.Log {
		v = math.Exp(v)
	}
	if r.Int {
		v = math.Round(v)
	}
	return min(max(v, r.Low), r.High)
}

const (
	tpeStartup    = 10 // trials that are drawn uniformly before the estimator looks at any
	tpeCandidates = 24
	tpeRecent     = 25 // trials that count fully; older ones count less and less
)

// tpe suggests a value by the tree-structured Parzen estimator (Bergstra, Bardenet, Bengio and Kégl, "Algorithms for Hyper-Parameter
// Optimization", NIPS 2011), one parameter at a time, with the choices of Optuna 4: the best tenth of the trials (at most 25) against
// the rest, a kernel a trial whose width is the distance to its neighbours, and a prior over the whole range.
func tpe(r Range, name string, history []tried, rng *stat.Rand) float64 {
	var done []int
	for i, t := range history {
		if !t.failed && len(t.steps) > 0 {
			done = append(done, i)
		}
	}
	if len(done) < tpeStartup || r.Choices == nil && r.Low == r.High {
		return r.uniform(rng)
	}
	ranked := slices.Clone(done)
	slices.SortStableFunc(ranked, func(a, b int) int { return better(history[a], history[b]) })
	below := min(int(math.Ceil(0.1*float64(len(done)))), 25)
	good, bad := slices.Clone(ranked[:below]), slices.Clone(ranked[below:])
	slices.Sort(good)
	slices.Sort(bad)
	values := func(of []int) []float64 {
		out := make([]float64, len(of))
		for i, j := range of {
			out[i] = history[j].at[name]
		}
		return out
	}
	if r.Choices != nil {
		return float64(bestChoice(len(r.Choices), values(good), values(bad), rng))
	}
	l, g := parzenOf(r, values(good)), parzenOf(r, values(bad))
	best, bestScore := 0.0, math.Inf(-1)
	for range tpeCandidates {
		v := r.outward(l.draw(rng))
		if score := l.logDensity(r, v) - g.logDensity(r, v); score > bestScore {
			best, bestScore = v, score
		}
	}
	return best
}

// better orders complete trials by value, then pruned ones: those that came further first, then by value. NaN is worst.
func better(a, b tried) int {
	if a.pruned != b.pruned {
		if a.pruned {
			return 1
		}
		return -1
	}
	if a.pruned && len(a.steps) != len(b.steps) {
		return cmp.Compare(len(b.steps), len(a.steps))
	}
	x, y := a.value(), b.value()
	switch {
	case math.IsNaN(x) && math.IsNaN(y):
		return 0
	case math.IsNaN(x):
		return 1
	case math.IsNaN(y):
		return -1
	}
	return cmp.Compare(x, y)
}

// kernelWeights are those of n trials in the order of time and of the prior, which comes last; they sum to 1.
func kernelWeights(n int) []float64 {
	w := make([]float64, n+1)
	old := max(n-tpeRecent, 0)
	for i := range n {
		w[i] = 1
		if i < old {
			from := 1 / float64(n)
			w[i] = from
			if old > 1 {
				w[i] += (1 - from) * float64(i) / float64(old-1)
			}
		}
	}
	w[n] = 1
	total := 0.0
	for _, v := range w {
		total += v
	}
	for i := range w {
		w[i] /= total
	}
	return w
}

// A parzen is a mixture of normal kernels cut off at the range.
type parzen struct {
	weights, means, widths []float64
	lo, hi                 float64
}

func parzenOf(r Range, values []float64) parzen {
	lo, hi := r.bounds()
	p := parzen{weights: kernelWeights(len(values)), lo: lo, hi: hi}
	for _, v := range values {
		p.means = append(p.means, r.inward(v))
	}
	p.means = append(p.means, (lo+hi)/2)
	order := make([]int, len(p.means))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(p.means[a], p.means[b]) })
	p.widths = make([]float64, len(p.means))
	narrowest := (hi - lo) / math.Min(100, float64(1+len(p.means)))
	for at, i := range order {
		left, right := p.means[i]-lo, hi-p.means[i]
		if at > 0 {
			left = p.means[i] - p.means[order[at-1]]
		}
		if at < len(order)-1 {
			right = p.means[order[at+1]] - p.means[i]
		}
		width := math.Max(left, right)
		if len(order) > 1 { // the ends of the range do not count as neighbours
			if at == 0 {
				width = right
			}
			if at == len(order)-1 {
				width = left
			}
		}
		p.widths[i] = min(max(width, narrowest), hi-lo)
	}
	p.widths[len(p.widths)-1] = hi - lo
	return p
}

func (p parzen) draw(rng *stat.Rand) float64 {
	u, k := rng.Float64(), 0
	for k < len(p.weights)-1 && u >= p.weights[k] {
		u -= p.weights[k]
		k++
	}
	from, to := stat.NormalCDF((p.lo-p.means[k])/p.widths[k]), stat.NormalCDF((p.hi-p.means[k])/p.widths[k])
	v := p.means[k] + p.widths[k]*stat.NormalQuantile(from+(to-from)*rng.Float64())
	return min(max(v, p.lo), p.hi)
}

// logDensity is the log of the mixture's density at v, or of its mass on the half steps around a whole number.
func (p parzen) logDensity(r Range, v float64) float64 {
	sum := 0.0
	for k := range p.weights {
		mass := stat.NormalCDF((p.hi-p.means[k])/p.widths[k]) - stat.NormalCDF((p.lo-p.means[k])/p.widths[k])
		var d float64
		if r.Int {
			a, b := r.inward(max(v-0.5, r.Low-0.5)), r.inward(v+0.5)
			d = stat.NormalCDF((b-p.means[k])/p.widths[k]) - stat.NormalCDF((a-p.means[k])/p.widths[k])
		} else {
			z := (r.inward(v) - p.means[k]) / p.widths[k]
			d = math.Exp(-z*z/2) / (p.widths[k] * math.Sqrt(2*math.Pi))
		}
		sum += p.weights[k] * d / mass
	}
	return math.Log(sum)
}

// bestChoice is the categorical estimator: each trial puts its weight on its own choice, over a floor that all share.
func bestChoice(n int, good, bad []float64, rng *stat.Rand) int {
	probabilities := func(values []float64) []float64 {
		p, w := make([]float64, n), kernelWeights(len(values))
		kernels := float64(len(values) + 1)
		for k := range w {
			total := float64(n) / kernels
			if k < len(values) {
				total++
			}
			for c := range p {
				mass := 1 / kernels
				if k < len(values) && int(values[k]) == c {
					mass++
				}
				p[c] += w[k] * mass / total
			}
		}
		return p
	}
	l, g := probabilities(good), probabilities(bad)
	best, bestScore := 0, math.Inf(-1)
	for range tpeCandidates {
		u, c := rng.Float64(), 0
		for c < n-1 && u >= l[c] {
			u -= l[c]
			c++
		}
		if score := math.Log(l[c]) - math.Log(g[c]); score > bestScore {
			best, bestScore = c, score
		}
	}
	return best
}

const (
	prunerStartup = 5 // complete trials before the median pruner judges any
	halvingFactor = 3
)

// prune decides after each step whether a trial goes on. steps are its scores so far, lower is better, a running mean each.
func prune(pruner string, steps []float64, history []tried) bool {
	at := len(steps)
	now := steps[at-1]
	if math.IsNaN(now) {
		return pruner != PruneNone
	}
	switch pruner {
	case PruneMedian:
		var others []float64
		for _, t := range history {
			if !t.pruned && !t.failed && len(t.steps) >= at && !math.IsNaN(t.steps[at-1]) {
				others = append(others, t.steps[at-1])
			}
		}
		if len(others) < prunerStartup {
			return false
		}
		slices.Sort(others)
		median := others[len(others)/2]
		if len(others)%2 == 0 {
			median = (others[len(others)/2-1] + median) / 2
		}
		return slices.Min(steps) > median
	case PruneHalving:
		// Asynchronous successive halving: after 1, 3, 9, … steps only the best third of those that came so far go on.
		rung := 1
		for rung < at {
			rung *= halvingFactor
		}
		if rung != at {
			return false
		}
		better, reached := 0, 1
		for _, t := range history {
			if !t.failed && len(t.steps) >= at {
				reached++
				if t.steps[at-1] < now {
					better++
				}
			}
		}
		return better >= max(1, reached/halvingFactor)
	}
	return false
}
