package stat

import (
	"math"
	"slices"

	"github.com/assay-ml/assay"
)

// A Change is what a detector of changes makes of a whole sequence: how strong the evidence of one change of the mean is, and where.
type Change struct {
	Evidence float64 // the larger, the stronger; see ADWINChange and PageHinkleyChange. -Inf for a sequence that is too short
	At       int     // values before the change, by the detector's own estimate
}

// ADWINChange returns the strongest evidence that an ADWIN meets in a sequence while it cuts nothing: -ln of the largest delta at which it would have made
// its first cut. So an ADWIN of a given delta reports a change in the sequence if and only if the evidence is larger than -ln(delta). Values should lie in
// [0, 1]; those that are not finite count as absent. Delta and Keep of the options have no effect. O(n log n / Clock).
func ADWINChange(values []float64, o ADWINOptions) (Change, error) {
	o.Delta, o.Keep = 0, false
	a, err := NewADWIN(o)
	c := Change{Evidence: math.Inf(-1)}
	if err != nil {
		return c, err
	}
	for _, v := range values {
		if v-v != 0 {
			continue
		}
		a.insert(v)
		if a.ticks%a.o.Clock != 0 || a.width <= float64(a.o.Grace) {
			continue
		}
		if e, at := a.evidence(); e > c.Evidence {
			c = Change{e, at}
		}
	}
	return c, nil
}

// evidence is -ln of the largest delta at which cut would cut, and how many values are before that cut.
func (a *ADWIN) evidence() (strongest float64, at int) {
	strongest = math.Inf(-1)
	var n0, u0 float64
	n1, u1 := a.width, a.total
	least, v := float64(a.o.MinWindow), a.variance/a.width
	for i := len(a.rows) - 1; i >= 0; i-- {
		n := math.Ldexp(1, i)
		for _, b := range a.rows[i] {
			n0, n1 = n0+n, n1-n
			u0, u1 = u0+b.total, u1-b.total
			if n0 < least || n1 < least {
				continue
			}
			// The bound of cut is √(2mv·c) + ⅔m·c with c = ln(2 ln(width)/delta): solve for the c at which it is the difference of the means.
			m, d := 1/(n0-least+1)+1/(n1-least+1), math.Abs(u0/n0-u1/n1)
			root := 2 * d / (math.Sqrt(2*m*v) + math.Sqrt(2*m*v+8.0/3*m*d))
			if d == 0 {
				root = 0
			}
			if c := root * root; c > strongest {
				strongest, at = c, int(n0)
			}
		}
	}
	return strongest - math.Log(2*math.Log(a.width)), at
}

// PageHinkleyChange returns the largest cumulative deviation that a PageHinkley meets in a sequence before it reports anything: it would report a change if and only if
// its threshold is smaller. Threshold of the options has no effect. O(n).
func PageHinkleyChange(values []float64, o PageHinkleyOptions) (Change, error) {
	o.Threshold = math.MaxFloat64
	p, err := NewPageHinkley(o)
	c := Change{Evidence: math.Inf(-1)}
	if err != nil {
		return c, err
	}
	var low, high int // where the deviations were at their least, and at their most
	seen := 0
	for _, v := range values {
		if v-v != 0 {
			continue
		}
		seen++
		least, most := p.least, p.most
		if p.fired {
			least, most = math.Inf(1), -1
		}
		p.Add(v)
		if p.least < least {
			low = seen
		}
		if p.most > most {
			high = seen
		}
		if p.n < float64(p.o.Min) {
			continue
		}
		if d := p.up - p.least; p.o.Alternative != Less && d > c.Evidence {
			c = Change{d, low}
		}
		if d := p.most - p.down; p.o.Alternative != Greater && d > c.Evidence {
			c = Change{d, high}
		}
	}
	return c, nil
}

// A ChangeNull is the evidence of sequences in which nothing changes: those that have the same values in random order.
type ChangeNull struct {
	draws []float64 // ascending
	join  float64
	rate  float64 // of the exponential tail beyond join
}

// changeTail is the share of draws beyond which a p-value is read off the tail.
const changeTail = 0.1

// NewChangeNull draws random orders of the values and takes the evidence of each. Beyond the upper tenth of it the tail is exponential: of the given rate, or
// with rate 0 of the one that fits the draws. It refuses fewer than 50 draws.
func NewChangeNull(values []float64, draws int, rate float64, seed uint64, evidence func([]float64) (Change, error)) (*ChangeNull, error) {
	if draws < 50 {
		return nil, assay.Errorf(assay.Invalid, "%d random orders; at least 50 are needed", draws)
	}
	n := &ChangeNull{rate: rate, draws: make([]float64, draws)}
	order := slices.Clone(values)
	for i := range draws {
		g := NewRand(seed, uint64(i))
		g.Shuffle(len(order), func(a, b int) { order[a], order[b] = order[b], order[a] })
		c, err := evidence(order)
		if err != nil {
			return nil, err
		}
		n.draws[i] = c.Evidence
	}
	slices.Sort(n.draws)
	k := int(math.Ceil(changeTail * float64(draws)))
	n.join = n.draws[draws-k]
	if rate == 0 {
		excess := 0.0
		for _, d := range n.draws[draws-k:] {
			excess += (d - n.join) / float64(k)
		}
		n.rate = 1 / math.Max(excess, 1e-300)
	}
	return n, nil
}

// share is (1 + draws of at least v) / (1 + draws).
func (n *ChangeNull) share(v float64) float64 {
	i, _ := slices.BinarySearch(n.draws, v)
	return float64(1+len(n.draws)-i) / float64(1+len(n.draws))
}

// P returns the chance of evidence of at least v where nothing changes; NaN where no evidence is possible.
func (n *ChangeNull) P(v float64) float64 {
	switch {
	case math.IsNaN(v) || math.IsInf(n.join, -1):
		return math.NaN()
	case v <= n.join:
		return n.share(v)
	}
	return math.Max(math.SmallestNonzeroFloat64, n.share(n.join)*math.Exp(-n.rate*(v-n.join)))
}

// Threshold returns the evidence beyond which P is below alpha: what a detector is set to so that it reports in so many sequences without a change.
func (n *ChangeNull) Threshold(alpha float64) float64 {
	if !(alpha > 0 && alpha < 1) || math.IsInf(n.join, -1) {
		return math.NaN()
	}
	if p := n.share(n.join); alpha < p {
		return n.join + math.Log(p/alpha)/n.rate
	}
	return Quantile(n.draws, 1-alpha)
}
