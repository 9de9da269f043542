package metric

import (
	"math"

	"github.com/assay-ml/assay"
)

// ProbaOptions are the options of the scores of probabilities.
//
// Probabilities are row-major n×Classes, or, for two classes, n numbers: the probability of class 1.
type ProbaOptions struct {
	Weights []float64 // one a row, finite, at least 0; nil means 1 each
	Classes int       // number of classes; 0 means those of the truth, which must then hold at least two
}

// proba is a checked column of probabilities or decision values.
type proba struct {
	p       []float64
	n, k    int
	single  bool // p holds class 1 only
	classes int  // classes that occur in the truth
}

// shape checks truth, columns and weights; the values themselves are left to the caller.
func (o ProbaOptions) shape(name string, truth []int32, p []float64) (proba, error) {
	var problems assay.Problems
	n := len(truth)
	m := proba{p: p, n: n, k: o.Classes}
	checkWeights(&problems, n, o.Weights)
	if n == 0 {
		problems.Add("the truth holds no row")
		return m, problems.Err(assay.Invalid, name)
	}
	switch {
	case len(p) == n:
		m.single = true
	case len(p)%n != 0 || len(p) == 0:
		problems.Add("the truth holds %d rows and the probabilities %d cells", n, len(p))
	}
	columns := max(2, len(p)/n)
	limit := max(columns, o.Classes)
	seen := make([]bool, min(limit, maxClasses))
	if limit > maxClasses {
		problems.Add("%d classes; at most %d are scored", limit, maxClasses)
		return m, problems.Err(assay.Invalid, name)
	}
	bad := false
	for _, t := range truth {
		if uint32(t) >= uint32(len(seen)) {
			bad = true
			break
		}
		seen[t] = true
	}
	if bad {
		checkClasses(&problems, "the truth of row", truth, limit)
	}
	for _, s := range seen {
		if s {
			m.classes++
		}
	}
	switch {
	case m.k == 0 && m.classes == 1 && !bad:
		problems.Add("the truth holds one class only: give the number of classes")
	case m.k == 0 && m.classes != columns && !bad:
		problems.Add("the truth holds %d classes and the probabilities %d columns: give the number of classes", m.classes, columns)
	case m.k == 1:
		problems.Add("one class only")
	case m.k > 0 && m.k != columns:
		problems.Add("%d classes and %d columns of probabilities", m.k, columns)
	}
	m.k = columns
	return m, problems.Err(assay.Invalid, name)
}

// at is the probability of class c in row i.
func (m proba) at(i, c int) float64 {
	if !m.single {
		return m.p[i*m.k+c]
	}
	if c == 1 {
		return m.p[i]
	}
	return 1 - m.p[i]
}

// check adds a problem for a value outside [0,1], and says whether some row does not sum to 1 within 1.5e-8.
func (m proba) check(p *assay.Problems) (unnormalized bool) {
	for i, v := range m.p {
		if !(v >= 0 && v <= 1) {
			p.Add("probability %d is %v, outside [0,1]", i, v)
			return false
		}
	}
	if m.single {
		return false
	}
	for i := range m.n {
		if s := sum(m.p[i*m.k : (i+1)*m.k]); math.Abs(s-1) > sumTolerance {
			unnormalized = true
		}
	}
	return unnormalized
}

const (
	epsilon      = 0x1p-52
	sumTolerance = 0x1p-26 // √ε, scikit-learn's
	notNormal    = "probabilities do not sum to one"
)

// newProba checks everything about a column of probabilities.
func (o ProbaOptions) newProba(name string, truth []int32, p []float64) (m proba, why string, err error) {
	m, err = o.shape(name, truth, p)
	if err != nil {
		return m, "", err
	}
	var problems assay.Problems
	if m.check(&problems) {
		why = notNormal
	}
	return m, why, problems.Err(assay.Invalid, name)
}

// LogLoss is the mean of −ln of the probability given to the true class, in nats, at least 0; lower is better. Probabilities are
// clipped to [ε, 1−ε] with ε = 2⁻⁵², so a certain wrong answer costs 36.04. The value is marked when rows do not sum to 1.
func LogLoss(truth []int32, p []float64, o ProbaOptions) (Value, error) {
	m, why, err := o.newProba("log loss", truth, p)
	if err != nil {
		return Value{}, err
	}
	return Value{m.logLoss(truth, o.Weights) / weightSum(m.n, o.Weights), why}, nil
}

// LogLossSum is the weighted sum whose mean is LogLoss: log_loss with normalize=False.
func LogLossSum(truth []int32, p []float64, o ProbaOptions) (Value, error) {
	m, why, err := o.newProba("log loss", truth, p)
	if err != nil {
		return Value{}, err
	}
	return Value{m.logLoss(truth, o.Weights), why}, nil
}

// LogLosses is the loss of each row, whose weighted mean is LogLoss.
func LogLosses(truth []int32, p []float64, o ProbaOptions) ([]float64, error) {
	m, _, err := o.newProba("log loss", truth, p)
	if err != nil {
		return nil, err
	}
	out := make([]float64, m.n)
	for i, t := range truth {
		out[i] = -clippedLog(m.at(i, int(t)))
	}
	return out, nil
}

func clippedLog(p float64) float64 { return math.Log(min(max(p, epsilon), 1-epsilon)) }

func (m proba) logLoss(truth []int32, w []float64) float64 {
	return -blockSum(m.n, func(from, to int) float64 {
		var s float64
		for i := from; i < to; i++ {
			l := clippedLog(m.at(i, int(truth[i])))
			if w != nil {
				l *= w[i]
			}
			s += l
		}
		return s
	})
}

// A BrierScale says whether the Brier score is halved. The zero value halves it for two classes only, so that it is in [0,1] there
// and in [0,2] for more.
type BrierScale uint8

const (
	BrierAuto BrierScale = iota
	BrierHalf
	BrierFull
)

// BrierScoreLoss is the mean squared distance of the probabilities from the one-hot truth; lower is better.
func BrierScoreLoss(truth []int32, p []float64, scale BrierScale, o ProbaOptions) (Value, error) {
	m, why, err := o.newProba("Brier score", truth, p)
	if err != nil {
		return Value{}, err
	}
	v := m.brier(truth, o.Weights) / weightSum(m.n, o.Weights)
	if scale == BrierHalf || scale == BrierAuto && m.k == 2 {
		v /= 2
	}
	return Value{v, why}, nil
}

// brier is the weighted sum over rows and classes.
func (m proba) brier(truth []int32, w []float64) float64 {
	return blockSum(m.n, func(from, to int) float64 {
		var s float64
		for i := from; i < to; i++ {
			var d float64
			if m.single {
				e := m.p[i] - float64(truth[i])
				d = 2 * e * e
			} else {
				for c, q := range m.p[i*m.k : (i+1)*m.k] {
					if int(truth[i]) == c {
						q = 1 - q
					}
					d += q * q
				}
			}
			if w != nil {
				d *= w[i]
			}
			s += d
		}
		return s
	})
}

// shares is the weighted share of each class in the truth.
func (m proba) shares(truth []int32, w []float64) []float64 {
	acc := make([]accumulator, m.k)
	for i, t := range truth {
		if w == nil {
			acc[t].s++
		} else {
			acc[t].add(w[i])
		}
	}
	total := weightSum(m.n, w)
	out := make([]float64, m.k)
	for c := range out {
		out[c] = acc[c].value() / total
	}
	return out
}

// D2LogLossScore is the share of the log loss of the class shares that the probabilities save: 1 is perfect, 0 is the class shares,
// worse is negative. Higher is better. NaN for fewer than two rows or one class.
func D2LogLossScore(truth []int32, p []float64, o ProbaOptions) (Value, error) {
	return d2(truth, p, o, proba.logLoss, func(shares, w []float64) float64 {
		var a accumulator
		for c, s := range shares {
			a.add(-w[c] * clippedLog(s))
		}
		return a.value()
	})
}

// D2BrierScore is the share of the Brier score of the class shares that the probabilities save: 1 is perfect, 0 is the class shares,
// worse is negative. Higher is better. NaN for fewer than two rows or one class.
func D2BrierScore(truth []int32, p []float64, o ProbaOptions) (Value, error) {
	return d2(truth, p, o, proba.brier, func(shares, w []float64) float64 {
		var squares, a accumulator
		for _, s := range shares {
			squares.add(s * s)
		}
		for c, s := range shares {
			a.add(w[c] * (squares.value() - s*s + (1-s)*(1-s)))
		}
		return a.value()
	})
}

// d2 is 1 − loss/null, where null is the loss of the class shares, given the shares and the weight of each class.
func d2(truth []int32, p []float64, o ProbaOptions, loss func(proba, []int32, []float64) float64, null func(shares, w []float64) float64) (Value, error) {
	m, why, err := o.newProba("D² score", truth, p)
	if err != nil {
		return Value{}, err
	}
	if m.n < 2 {
		return undefined("fewer than two rows"), nil
	}
	shares := m.shares(truth, o.Weights)
	total := weightSum(m.n, o.Weights)
	weights, positive := make([]float64, m.k), 0
	for c, s := range shares {
		weights[c] = s * total
		if s > 0 {
			positive++
		}
	}
	if positive < 2 {
		return undefined("only one class in the truth"), nil
	}
	return Value{1 - loss(m, truth, o.Weights)/null(shares, weights), why}, nil
}

// HingeLoss is the mean of max(0, 1 − margin), at least 0; lower is better. For two classes the margin is the decision value, negated
// where the truth is class 0; for more it is the decision value of the true class less the greatest other one (Crammer and Singer,
// 2001).
func HingeLoss(truth []int32, decision []float64, o ProbaOptions) (Value, error) {
	const name = "hinge loss"
	m, err := o.shape(name, truth, decision)
	if err != nil {
		return Value{}, err
	}
	var problems assay.Problems
	checkFinite(&problems, "decision value", decision)
	if m.k == 2 && !m.single {
		problems.Add("two classes have one decision value a row, not two")
	}
	if err := problems.Err(assay.Invalid, name); err != nil {
		return Value{}, err
	}
	losses := make([]float64, m.n)
	for i, t := range truth {
		var margin float64
		switch {
		case !m.single:
			margin = m.at(i, int(t)) - m.greatestOther(i, int(t))
		case t == 0:
			margin = -decision[i]
		default:
			margin = decision[i]
		}
		losses[i] = max(0, 1-margin)
	}
	return defined(mean(losses, o.Weights)), nil
}

func (m proba) greatestOther(i, class int) float64 {
	best := math.Inf(-1)
	for c := range m.k {
		if c != class {
			best = max(best, m.at(i, c))
		}
	}
	return best
}

// TopKAccuracyScore is the weighted share of rows whose true class has one of the k greatest scores, in [0,1]; higher is better. Of
// tied classes the later one goes first. For two classes with one column and k = 1 a row is positive above 0.5 when all scores lie in
// [0,1] and above 0 otherwise. The value is marked when k is not less than the number of classes.
func TopKAccuracyScore(truth []int32, scores []float64, k int, o ProbaOptions) (Value, error) {
	const name = "top-k accuracy"
	m, err := o.shape(name, truth, scores)
	if err != nil {
		return Value{}, err
	}
	var problems assay.Problems
	checkFinite(&problems, "score", scores)
	if k < 1 {
		problems.Add("k is %d; it is at least 1", k)
	}
	if err := problems.Err(assay.Invalid, name); err != nil {
		return Value{}, err
	}
	why := ""
	if k >= m.k {
		why = "k is not less than the number of classes"
	}
	threshold := 0.5
	if m.single {
		for _, s := range scores {
			if s < 0 || s > 1 {
				threshold = 0
			}
		}
	}
	hits := make([]float64, m.n)
	for i, t := range truth {
		hit := k >= m.k
		switch {
		case hit:
		case m.single:
			hit = (scores[i] > threshold) == (t == 1)
		default:
			mine, before := m.at(i, int(t)), 0
			for c := range m.k {
				if s := m.at(i, c); s > mine || s == mine && c > int(t) {
					before++
				}
			}
			hit = before < k
		}
		if hit {
			hits[i] = 1
		}
	}
	return Value{mean(hits, o.Weights), why}, nil
}
