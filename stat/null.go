package stat

import (
	"cmp"
	"context"
	"math"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/assay-ml/assay"
)

// DefaultNullDraws is the number of windows without drift that are drawn when nobody asks for another.
const DefaultNullDraws = 1000

// nullTail is the share of draws beyond which a p-value is read off a fitted tail.
const nullTail = 0.05

// A NullSpec says what a window without drift looks like.
//
// Rows are exchangeable: the true shares of the cells are uncertain as a Dirichlet distribution of the reference counts and a window is
// multinomial, which for Edges at order statistics of a continuous column is exact, noise of the reference included. A cell that the
// reference does not have counts Empty rows, so that a first value beyond the reference is as surprising as it should be and no more.
// With Window, the shares are those of these counts instead: a reference never holds a value that it never had, and windows do.
//
// With Stretches, rows that came together belong together: the shares also differ by what stretches of time add, a random mixture of
// those of the reference; the number of rows of a stretch does not matter.
type NullSpec struct {
	Reference []float64  // counts by cell
	Window    []float64  // counts by cell of what windows are drawn from; nil: the reference
	Stretches *Stretches // nil: rows are independent
	Parts     []float64  // of how many stretches a window is made, by their weights; nil: one
	Rows      int64      // rows of the window
	Edges     *Edges     // for the scores that need it
	Scores    []DriftScore
	Empty     float64 // rows that a cell without reference rows counts as; 0 means 1. Not with Window
	Seed      uint64
	Stream    []uint64 // names the column and the purpose, so that columns draw independently
	Draws     int      // 0 means DefaultNullDraws
	Threads   int      // 0 means one a processor; no effect on the result
}

// A Null is the distribution of one score over windows without drift. It is immutable and safe for concurrent use.
//
// Up to its upper twentieth it is the draws themselves. Beyond, the score (squared, for those that grow with the root of the evidence)
// is taken to fall off like the shifted chi-squared distribution with the mean, variance and skewness of all draws, joined at that
// point: Pearson's approximation (1959) to the quadratic forms that these scores tend to. Levels far below 1/Draws are therefore a
// model's; a simulation in the tests holds them against windows without drift.
type Null struct {
	Score     DriftScore
	Reference int64 // rows
	Rows      int64 // of the window
	Method    string
	draws     []float64 // ascending
	join      float64   // score from which the tail is fitted, and the p-value there
	joinP     float64
	df        float64 // of the fitted chi-squared; NaN without spread
	mean, sd  float64 // on the scale of the evidence
}

// NewNulls draws windows without drift and returns the null distribution of each score. The result is a function of the spec but for
// Threads. It refuses unusable counts, Rows below 1, scores that need other edges, fewer than 100 draws, stretches of other cells and
// weights that do not sum to 1. It stops when ctx is done.
func NewNulls(ctx context.Context, s NullSpec) ([]*Null, error) {
	if err := s.check(); err != nil {
		return nil, err
	}
	draws, threads := s.Draws, s.Threads
	if draws == 0 {
		draws = DefaultNullDraws
	}
	if threads <= 0 {
		threads = runtime.GOMAXPROCS(0)
	}
	flat := make([]float64, draws*len(s.Scores))
	var next atomic.Int64
	var wait sync.WaitGroup
	const batch = 32
	for range min(threads, (draws+batch-1)/batch) {
		wait.Go(func() {
			draw := s.drawer()
			for ctx.Err() == nil {
				from := int(next.Add(batch)) - batch
				if from >= draws {
					return
				}
				for b := from; b < min(from+batch, draws); b++ {
					r, w := draw(NewRand(s.Seed, append(slices.Clip(s.Stream), uint64(b))...))
					for i, score := range s.Scores {
						flat[i*draws+b] = score.Of(r, w, s.Edges)
					}
				}
			}
		})
	}
	wait.Wait()
	if err := ctx.Err(); err != nil {
		return nil, assay.Errorf(assay.Unavailable, "calibration stopped: %w", err)
	}
	n, _, _ := totals(s.Reference, s.Reference)
	out := make([]*Null, len(s.Scores))
	for i, score := range s.Scores {
		out[i] = &Null{Score: score, Reference: int64(n), Rows: s.Rows, Method: "dirichlet-multinomial", draws: flat[i*draws : (i+1)*draws : (i+1)*draws]}
		if s.Stretches != nil {
			out[i].Method = "stretches"
		}
		if hasNaN(out[i].draws) {
			return nil, assay.Errorf(assay.Invalid, "cannot calibrate %s: it is undefined on these cells", score)
		}
		out[i].fit()
	}
	return out, nil
}

func (s NullSpec) check() error {
	var p assay.Problems
	if _, _, ok := totals(s.Reference, s.Reference); !ok {
		p.Add("the reference is empty or has unusable counts")
	}
	if s.Window != nil {
		if _, _, ok := totals(s.Window, s.Reference); !ok {
			p.Add("what windows are drawn from is empty, of other cells, or has unusable counts")
		}
	}
	if s.Stretches != nil && len(s.Stretches.shares) != len(s.Reference) {
		p.Add("stretches of %d cells", len(s.Stretches.shares))
	}
	if sum := pairwiseSum(s.Parts); s.Parts != nil && !(math.Abs(sum-1) < 1e-9) {
		p.Add("a window of parts that sum to %v", sum)
	}
	if s.Rows < 1 || s.Rows > 1<<50 {
		p.Add("a window of %d rows", s.Rows)
	}
	if s.Draws != 0 && s.Draws < 100 {
		p.Add("%d draws; at least 100 are needed", s.Draws)
	}
	if !(s.Empty >= 0) || math.IsInf(s.Empty, 0) {
		p.Add("an empty cell counts %v rows", s.Empty)
	}
	for _, score := range s.Scores {
		if !slices.Contains(DriftScores(), score) {
			p.Add("unknown score %q", string(score))
		} else if score.Metric() && (s.Edges == nil || s.Edges.Cells() != len(s.Reference)) {
			p.Add("%s needs the edges of the %d cells", score, len(s.Reference))
		}
	}
	return p.Err(assay.Invalid, "cannot calibrate")
}

// drawer returns a function that draws a window without drift into memory of its own, and returns the reference with it.
func (s NullSpec) drawer() func(Rand) (r, w []float64) {
	shapes, parts := slices.Clone(s.Window), s.Parts
	if shapes == nil {
		shapes = slices.Clone(s.Reference)
		for i, c := range shapes {
			if c == 0 {
				shapes[i] = cmp.Or(s.Empty, 1)
			}
		}
	}
	if parts == nil {
		parts = []float64{1}
	}
	window, shares := make([]float64, len(shapes)), make([]float64, len(shapes))
	return func(g Rand) ([]float64, []float64) {
		var sum float64
		for i, c := range shapes {
			shares[i] = 0
			if c > 0 {
				shares[i] = g.Gamma(c)
			}
			sum += shares[i]
		}
		if s.Stretches != nil && s.Stretches.Vary() {
			for i := range shares {
				shares[i] /= sum
			}
			s.Stretches.draw(&g, parts, shares)
			for i, x := range shares {
				shares[i] = math.Max(0, x)
			}
		}
		g.Multinomial(s.Rows, shares, window)
		return s.Reference, window
	}
}

// evidence maps a score to the scale on which its tail is about exponential.
func (s DriftScore) evidence(v float64) float64 {
	switch s {
	case DriftJS, DriftHellinger, DriftTV, DriftLInfinity, DriftKS, DriftCliff, DriftW1, DriftEnergy, DriftMMD:
		return v * v
	}
	return v
}

func (n *Null) fit() {
	slices.Sort(n.draws)
	k := max(10, int(math.Ceil(nullTail*float64(len(n.draws)))))
	n.join = n.draws[len(n.draws)-k]
	n.joinP = n.share(n.join)
	e := make([]float64, len(n.draws))
	for i, v := range n.draws {
		e[i] = n.Score.evidence(v)
	}
	m, v := meanVariance(e)
	n.df = math.NaN()
	if !(m > 0 && v > 1e-18*m*m) {
		return
	}
	n.mean, n.sd = m, math.Sqrt(v)
	var cube float64
	for _, x := range e {
		z := (x - m) / n.sd
		cube += z * z * z / float64(len(e))
	}
	n.df = 8 / math.Pow(math.Max(cube, minTailSkew), 2)
}

// minTailSkew is the least skewness of a fitted tail, that of chi-squared with 800 degrees of freedom.
const minTailSkew = 0.1

// share is (1 + draws of at least v) / (1 + draws).
func (n *Null) share(v float64) float64 {
	i, _ := slices.BinarySearch(n.draws, v)
	return float64(1+len(n.draws)-i) / float64(1+len(n.draws))
}

func (n *Null) tail(v float64) float64 {
	return ChiSquaredSF(n.df+(n.Score.evidence(v)-n.mean)/n.sd*math.Sqrt(2*n.df), n.df)
}

// P returns the chance of a score of at least v in a window without drift; NaN for an undefined one. It is never 0, and never below
// 1/(1+Draws) for a score that does not vary without drift.
func (n *Null) P(v float64) float64 {
	switch {
	case math.IsNaN(v):
		return math.NaN()
	case v <= n.join || math.IsNaN(n.df):
		return n.share(v)
	}
	return math.Max(math.SmallestNonzeroFloat64, n.joinP*math.Min(1, n.tail(v)/n.tail(n.join)))
}

// Threshold returns the score from which P is at most alpha: alarm where the score is at least it. +Inf when no score is rare enough,
// NaN for alpha outside (0, 1).
func (n *Null) Threshold(alpha float64) float64 {
	if !(alpha > 0 && alpha < 1) {
		return math.NaN()
	}
	if alpha < n.joinP {
		if math.IsNaN(n.df) {
			top := math.Nextafter(n.draws[len(n.draws)-1], math.Inf(1))
			if n.P(top) > alpha {
				return math.Inf(1)
			}
			return top
		}
		lo, hi := n.join, 2*n.join+math.Sqrt(n.sd)+n.sd
		for n.P(hi) > alpha {
			hi *= 2
		}
		for range 200 {
			mid := lo + (hi-lo)/2
			if mid <= lo || mid >= hi {
				break
			}
			if n.P(mid) > alpha {
				lo = mid
			} else {
				hi = mid
			}
		}
		return hi
	}
	// The smallest distinct draw, or what lies just above one, that is rare enough.
	for i, v := range n.draws {
		if n.share(v) <= alpha {
			return v
		}
		if i+1 < len(n.draws) && n.draws[i+1] > v {
			if up := math.Nextafter(v, math.Inf(1)); n.P(up) <= alpha {
				return up
			}
		}
	}
	return math.Nextafter(n.join, math.Inf(1))
}

// Mean is the mean score of windows without drift: what a distance is when nothing has changed.
func (n *Null) Mean() float64 {
	m, _ := meanVariance(n.draws)
	return m
}

// Evidence returns mean and standard deviation, over windows without drift, of the score on the scale on which it grows with the
// evidence: its square for distances such as Jensen-Shannon's, itself for statistics such as G. That mean is what chance adds to the
// score of a change. Both are NaN for a score that does not vary.
func (n *Null) Evidence() (mean, sd float64) {
	if math.IsNaN(n.df) {
		return math.NaN(), math.NaN()
	}
	return n.mean, n.sd
}

// Quantile returns a quantile of the drawn scores.
func (n *Null) Quantile(p float64) float64 { return Quantile(n.draws, p) }

// Draws is the number of windows drawn.
func (n *Null) Draws() int { return len(n.draws) }

// Resolved reports whether a level is read off the draws rather than the fitted tail.
func (n *Null) Resolved(alpha float64) bool { return alpha >= n.joinP }
