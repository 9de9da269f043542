package learn

import (
	"context"
	"hash/fnv"
	"math"
	"slices"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/stat"
)

// A Dimension is one parameter of a search: Low to High of a number or an integer, or a choice of strings.
type Dimension struct {
	Name    string   `json:"name"`
	Type    string   `json:"type"` // number, integer, choice
	Low     float64  `json:"low,omitempty"`
	High    float64  `json:"high,omitempty"`
	Step    float64  `json:"step,omitempty"` // number: 0 is continuous; integer: 0 means 1
	Log     bool     `json:"log,omitempty"`  // equal ratios are equally likely
	Choices []string `json:"choices,omitempty"`
}

// A Report is an intermediate result of a trial.
type Report struct {
	Step  int     `json:"step"`
	Value float64 `json:"value"`
}

// States of a trial.
const (
	TrialRunning  = "running"
	TrialComplete = "complete"
	TrialPruned   = "pruned"
	TrialFailed   = "failed"
)

// A Trial is one point that was or is being tried.
type Trial struct {
	Number  int            `json:"number"` // from 0
	Params  map[string]any `json:"params"` // float64, int or string
	State   string         `json:"state"`
	Value   float64        `json:"value"` // of a complete trial
	Reports []Report       `json:"reports,omitempty"`
	Error   string         `json:"error,omitempty"` // of a failed trial
}

// Defaults of Search.
const (
	DefaultStartup    = 10 // random trials before TPE begins
	DefaultCandidates = 24 // points drawn for each choice of TPE
	DefaultReduction  = 4  // of successive halving
	DefaultPruneAfter = 5  // complete trials before the median prunes
)

// A Search proposes points of a space. It keeps no state: what it proposes for trial k follows from the seed, k and the history that it
// is given, so a search that was stopped goes on as if it had not been, and two workers never get the same point for different k.
type Search struct {
	Space     []Dimension `json:"space"`
	Sampler   string      `json:"sampler,omitempty"`  // tpe (default) or random
	Pruner    string      `json:"pruner,omitempty"`   // none (default), median or halving
	Maximize  bool        `json:"maximize,omitempty"` // larger values are better
	Seed      uint64      `json:"seed"`
	Startup   int         `json:"startup,omitempty"`   // 0: DefaultStartup
	Resource  int         `json:"resource,omitempty"`  // halving: step of the first rung; 0: 1
	Reduction int         `json:"reduction,omitempty"` // halving: 1 in so many goes on; 0: DefaultReduction
}

// Check reports every problem of the search: an empty or repeated name, bounds the wrong way round, a log scale at or below 0, a step
// that does not divide the range.
func (s Search) Check() error {
	var p assay.Problems
	seen := map[string]bool{}
	for _, d := range s.Space {
		if d.Name == "" || seen[d.Name] {
			p.Add("dimension name %q is empty or occurs twice", d.Name)
		}
		seen[d.Name] = true
		d.check(&p)
	}
	if len(s.Space) == 0 {
		p.Add("the space has no dimension")
	}
	for _, o := range []struct {
		what, value string
		choices     []string
	}{{"sampler", s.Sampler, []string{"", "tpe", "random"}}, {"pruner", s.Pruner, []string{"", "none", "median", "halving"}}} {
		if !contains(o.choices, o.value) {
			p.Add("%s %q is none of %q%s", o.what, o.value, o.choices[1:], didYouMean(o.value, o.choices[1:]))
		}
	}
	if s.Startup < 0 || s.Resource < 0 || s.Reduction < 0 || s.Reduction == 1 {
		p.Add("startup %d, resource %d, reduction %d: none may be negative, and reduction 1 never ends", s.Startup, s.Resource, s.Reduction)
	}
	return p.Err(assay.Invalid, "cannot search")
}

func (d Dimension) check(p *assay.Problems) {
	if d.Type == "choice" {
		if len(d.Choices) == 0 {
			p.Add("%s has no choices", d.Name)
		}
		return
	}
	if d.Type != "number" && d.Type != "integer" {
		p.Add("%s has type %q, it must be number, integer or choice%s", d.Name, d.Type, didYouMean(d.Type, []string{"number", "integer", "choice"}))
		return
	}
	width := d.High - d.Low
	if !(width >= 0) || math.IsInf(width, 0) {
		p.Add("%s goes from %v to %v", d.Name, d.Low, d.High)
	}
	if d.Log && (!(d.Low > 0) || d.Step != 0 && !(d.Type == "integer" && d.Step == 1)) {
		p.Add("%s has a log scale, which needs a positive low end (%v) and no step (%v)", d.Name, d.Low, d.Step)
	}
	if d.Type == "integer" && (d.Low != math.Trunc(d.Low) || d.High != math.Trunc(d.High) || d.Step != math.Trunc(d.Step)) || math.Abs(d.Low) > 1<<53 || d.Type == "integer" && math.Abs(d.High) > 1<<53 {
		p.Add("%s is an integer dimension with %v, %v, %v", d.Name, d.Low, d.High, d.Step)
	}
	if k := width / d.Step; d.Step < 0 || d.Step > 0 && math.Abs(k-math.Round(k)) > 1e-9*max(1, k) {
		p.Add("%s: step %v does not divide the range from %v to %v", d.Name, d.Step, d.Low, d.High)
	}
}

// step returns the grid of a discrete dimension, 0 for a continuous one.
func (d Dimension) step() float64 {
	if d.Type == "integer" && d.Step == 0 {
		return 1
	}
	return d.Step
}

// bounds returns the range on the scale on which a dimension is searched; half a step wider at each end where it is discrete.
func (d Dimension) bounds() (lo, hi float64) {
	half := d.step() / 2
	lo, hi = d.Low-half, d.High+half
	if d.Log {
		lo, hi = math.Log(lo), math.Log(hi)
	}
	return lo, hi
}

// place brings a point of the searched scale back to a value of the dimension.
func (d Dimension) place(x float64) any {
	if d.Log {
		x = math.Exp(x)
	}
	if step := d.step(); step > 0 {
		x = d.Low + math.Round((x-d.Low)/step)*step
	}
	x = min(max(x, d.Low), d.High)
	if d.Type == "integer" {
		return int(x)
	}
	return x
}

// position is the searched scale's point of a value, or false for one that does not belong to the dimension.
func (d Dimension) position(v any) (float64, bool) {
	var x float64
	switch n := v.(type) {
	case float64:
		x = n
	case int:
		x = float64(n)
	case string:
		i := slices.Index(d.Choices, n)
		return float64(i), d.Type == "choice" && i >= 0
	default:
		return 0, false
	}
	if d.Type == "choice" || !(x >= d.Low && x <= d.High) {
		return 0, false
	}
	if d.Log {
		x = math.Log(x)
	}
	return x, true
}

// random returns the generator of one dimension of one trial.
func (s Search) random(number int, d Dimension) stat.Rand {
	h := fnv.New64a()
	h.Write([]byte(d.Name))
	return stat.NewRand(s.Seed, uint64(number), h.Sum64())
}

// Suggest proposes the point of the trial of that number, given the trials known so far, in any order; the trial itself and later ones
// are ignored.
func (s Search) Suggest(number int, history []Trial) (map[string]any, error) {
	if err := s.Check(); err != nil {
		return nil, err
	}
	var known []Trial
	for _, t := range history {
		if t.Number < number && (t.State == TrialComplete || t.State == TrialPruned) {
			known = append(known, t)
		}
	}
	startup := s.Startup
	if startup == 0 {
		startup = DefaultStartup
	}
	out := map[string]any{}
	for _, d := range s.Space {
		r := s.random(number, d)
		if s.Sampler == "random" || len(known) < startup {
			out[d.Name] = d.sample(&r)
		} else {
			out[d.Name] = s.tpe(d, known, &r)
		}
	}
	return out, nil
}

// sample draws uniformly on the searched scale.
func (d Dimension) sample(r *stat.Rand) any {
	if d.Type == "choice" {
		return d.Choices[r.Intn(len(d.Choices))]
	}
	lo, hi := d.bounds()
	return d.place(lo + r.Float64()*(hi-lo))
}

// Best returns the complete trial with the best value; NaN is worse than anything. The first of equals wins.
func (s Search) Best(history []Trial) (Trial, bool) {
	var best Trial
	found := false
	for _, t := range history {
		if t.State == TrialComplete && !math.IsNaN(t.Value) && (!found || s.cost(t.Value) < s.cost(best.Value) || t.Value == best.Value && t.Number < best.Number) {
			best, found = t, true
		}
	}
	return best, found
}

// cost turns a value into one of which less is better.
func (s Search) cost(v float64) float64 {
	if math.IsNaN(v) {
		return math.Inf(1)
	}
	if s.Maximize {
		return -v
	}
	return v
}

// An Objective measures a trial. It may call report after each step of its work; when that returns true it should stop, and its result
// is not used.
type Objective func(ctx context.Context, t Trial, report func(step int, value float64) bool) (float64, error)

// Run carries a search on from its history to the given number of trials, one after the other, and returns the history with the new
// trials. An objective that fails makes the trial failed and the search goes on; a cancelled context ends it with what there is.
func (s Search) Run(ctx context.Context, trials int, history []Trial, objective Objective) ([]Trial, error) {
	out := slices.Clone(history)
	next := 0
	for _, t := range out {
		next = max(next, t.Number+1)
	}
	for ; next < trials; next++ {
		if err := ctx.Err(); err != nil {
			return out, err
		}
		params, err := s.Suggest(next, out)
		if err != nil {
			return out, err
		}
		t := Trial{Number: next, Params: params, State: TrialRunning}
		value, err := objective(ctx, t, func(step int, value float64) bool {
			t.Reports = append(t.Reports, Report{step, value})
			if s.Prune(t, out) {
				t.State = TrialPruned
			}
			return t.State == TrialPruned
		})
		switch {
		case ctx.Err() != nil:
			return out, ctx.Err()
		case t.State == TrialPruned:
		case err != nil:
			t.State, t.Error = TrialFailed, err.Error()
		default:
			t.State, t.Value = TrialComplete, value
		}
		out = append(out, t)
	}
	return out, nil
}

// CrossObjective is the objective that fits spec with a trial's parameters on each fold and returns the mean score; it reports the mean
// so far after every fold, so that a poor point costs few of them. Folds must come from train and validation rows only.
func CrossObjective(spec Spec, data Data, name string, o CrossValidation) Objective {
	return func(ctx context.Context, t Trial, report func(int, float64) bool) (float64, error) {
		s := spec
		s.Params = map[string]any{}
		for k, v := range spec.Params {
			s.Params[k] = v
		}
		for k, v := range t.Params {
			s.Params[k] = v
		}
		folds, err := o.folds(s, data)
		if err != nil {
			return 0, err
		}
		sum := 0.0
		for i := range folds {
			c, err := CrossValidate(ctx, s, data, CrossValidation{Metrics: []string{name}, Folds: folds[i : i+1]})
			if err != nil {
				return 0, err
			}
			sum += c.Scores[0].Folds[0]
			if mean := sum / float64(i+1); report(i+1, mean) {
				return mean, nil
			}
		}
		return sum / float64(len(folds)), nil
	}
}
