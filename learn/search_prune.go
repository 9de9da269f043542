package learn

import (
	"math"
	"slices"
)

// Prune reports whether a running trial should stop after its last report, given the other trials. An undefined value always stops it.
func (s Search) Prune(t Trial, history []Trial) bool {
	if len(t.Reports) == 0 || s.Pruner == "" || s.Pruner == "none" {
		return false
	}
	if math.IsNaN(t.last().Value) {
		return true
	}
	if s.Pruner == "median" {
		return s.worseThanMedian(t, history)
	}
	return s.outOfRung(t, history)
}

// worseThanMedian compares the trial's best value so far with the median of the complete trials' values at the same step.
func (s Search) worseThanMedian(t Trial, history []Trial) bool {
	step := t.last().Step
	var others []float64
	complete := 0
	for _, o := range history {
		if o.State != TrialComplete || o.Number == t.Number {
			continue
		}
		complete++
		if v, ok := o.at(step); ok && !math.IsNaN(v) {
			others = append(others, s.cost(v))
		}
	}
	if complete < DefaultPruneAfter || len(others) == 0 {
		return false
	}
	best := math.Inf(1)
	for _, r := range t.Reports {
		best = min(best, s.cost(r.Value))
	}
	return best > quantile(others, nil, 0.5)
}

// at returns the value reported at a step.
func (t Trial) at(step int) (float64, bool) {
	for _, r := range t.Reports {
		if r.Step == step {
			return r.Value, true
		}
	}
	return 0, false
}

// outOfRung is asynchronous successive halving (Li et al. 2020): at the steps resource·reduction^k a trial goes on when it is among the
// best 1 in reduction of all that have reached that step so far.
func (s Search) outOfRung(t Trial, history []Trial) bool {
	reduction, rung := max(s.Reduction, 0), max(s.Resource, 1)
	if reduction == 0 {
		reduction = DefaultReduction
	}
	last := t.last()
	for rung < last.Step && rung <= math.MaxInt/reduction {
		rung *= reduction
	}
	if rung != last.Step {
		return false
	}
	values := []float64{s.cost(last.Value)}
	for _, o := range history {
		if v, ok := o.at(rung); ok && o.Number != t.Number && !math.IsNaN(v) {
			values = append(values, s.cost(v))
		}
	}
	slices.Sort(values)
	return s.cost(last.Value) > values[max(len(values)/reduction-1, 0)]
}
