package learn

import (
	"context"
	"errors"
	"math"
	"reflect"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/assay-ml/assay"
)

func bowl() Search {
	return Search{Seed: 7, Space: []Dimension{
		{Name: "x", Type: "number", Low: -5, High: 5},
		{Name: "rate", Type: "number", Low: 1e-5, High: 1, Log: true},
		{Name: "n", Type: "integer", Low: 1, High: 100, Log: true},
		{Name: "even", Type: "integer", Low: 0, High: 10, Step: 2},
		{Name: "grid", Type: "number", Low: 0, High: 1, Step: 0.25},
		{Name: "kind", Type: "choice", Choices: []string{"a", "b", "c"}},
	}}
}

func bowlValue(p map[string]any) float64 {
	x, rate := p["x"].(float64), math.Log10(p["rate"].(float64))
	v := (x-2)*(x-2) + (rate+2)*(rate+2) + math.Abs(math.Log(float64(p["n"].(int)))-2)
	if p["kind"] != "b" {
		v += 3
	}
	return v
}

func bowlObjective(_ context.Context, t Trial, report func(int, float64) bool) (float64, error) {
	v := bowlValue(t.Params)
	for step := 1; step <= 16; step++ {
		if report(step, v+5/float64(step)) {
			return 0, nil
		}
	}
	return v, nil
}

// TestSearchSurvivesRestarts carries a search on from every prefix of its history and from the history in another order.
func TestSearchSurvivesRestarts(t *testing.T) {
	for _, sampler := range []string{"tpe", "random"} {
		for _, pruner := range []string{"none", "median", "halving"} {
			s := bowl()
			s.Sampler, s.Pruner = sampler, pruner
			whole, err := s.Run(context.Background(), 40, nil, bowlObjective)
			if err != nil {
				t.Fatal(err)
			}
			for _, stop := range []int{0, 3, 17, 39} {
				history := slices.Clone(whole[:stop])
				slices.Reverse(history)
				again, err := s.Run(context.Background(), 40, history, bowlObjective)
				if err != nil {
					t.Fatal(err)
				}
				if !reflect.DeepEqual(again[stop:], whole[stop:]) {
					t.Errorf("%s, %s: a restart after %d trials went another way", sampler, pruner, stop)
				}
			}
			pruned := 0
			for _, trial := range whole {
				if trial.State == TrialPruned {
					pruned++
				}
			}
			if (pruned > 0) != (pruner != "none") {
				t.Errorf("%s, %s: %d trials pruned", sampler, pruner, pruned)
			}
		}
	}
}

func TestSearchProposesDistinctPointsOfTheSpace(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := bowl()
		s.Seed = rapid.Uint64().Draw(t, "seed")
		s.Maximize = rapid.Bool().Draw(t, "maximize")
		var history []Trial
		seen := map[float64]bool{}
		for k := range 30 {
			p, err := s.Suggest(k, history)
			if err != nil {
				t.Fatal(err)
			}
			for _, d := range s.Space {
				if _, ok := d.position(p[d.Name]); !ok {
					t.Fatalf("%s is %v", d.Name, p[d.Name])
				}
			}
			if p["even"].(int)%2 != 0 || math.Mod(p["grid"].(float64), 0.25) != 0 {
				t.Fatalf("off the grid: %v", p)
			}
			if x := p["x"].(float64); seen[x] {
				t.Fatalf("trial %d repeats x = %v", k, x)
			} else {
				seen[x] = true
			}
			trial := Trial{Number: k, Params: p, State: TrialComplete, Value: bowlValue(p)}
			if k%7 == 3 {
				trial.Value = math.NaN()
			}
			history = append(history, trial)
		}
	})
}

// TestTPEFindsMore compares the best of 60 points over 20 seeds.
func TestTPEFindsMore(t *testing.T) {
	wins := 0
	for seed := range uint64(20) {
		var best [2]float64
		for i, sampler := range []string{"random", "tpe"} {
			s := bowl()
			s.Seed, s.Sampler = seed, sampler
			h, err := s.Run(context.Background(), 60, nil, bowlObjective)
			if err != nil {
				t.Fatal(err)
			}
			b, _ := s.Best(h)
			best[i] = b.Value
		}
		if best[1] < best[0] {
			wins++
		}
	}
	if wins < 15 { // 15 or more of 20 has a chance of 2 % between equals
		t.Errorf("TPE found a better point than random in %d of 20 searches", wins)
	}
}

func TestPruners(t *testing.T) {
	trial := func(number int, state string, values ...float64) Trial {
		out := Trial{Number: number, State: state}
		for i, v := range values {
			out.Reports = append(out.Reports, Report{i + 1, v})
		}
		return out
	}
	var history []Trial
	for i := range 5 {
		history = append(history, trial(i, TrialComplete, float64(i), float64(i), float64(i), float64(i)))
	}
	median, halving := Search{Pruner: "median"}, Search{Pruner: "halving", Reduction: 2}
	for _, c := range []struct {
		s      Search
		values []float64
		want   bool
	}{
		{median, []float64{2}, false},
		{median, []float64{2.1}, true},
		{median, []float64{1, 9}, false},
		{median, []float64{math.NaN()}, true},
		{halving, []float64{1.5}, false},
		{halving, []float64{2.5}, true},
		{halving, []float64{0, 0, 99}, false},
		{halving, []float64{0, 0, 0, 99}, true},
		{Search{}, []float64{99}, false},
		{Search{Pruner: "median", Maximize: true}, []float64{1.9}, true},
		{Search{Pruner: "median", Maximize: true}, []float64{2}, false},
	} {
		if got := c.s.Prune(trial(9, TrialRunning, c.values...), history); got != c.want {
			t.Errorf("%s (maximize %v) after %v: prune %v, want %v", c.s.Pruner, c.s.Maximize, c.values, got, c.want)
		}
	}
	if median.Prune(trial(9, TrialRunning, 99), history[:4]) {
		t.Error("the median of four trials prunes")
	}
}

func TestSearchRefuses(t *testing.T) {
	s := Search{Sampler: "tp", Pruner: "x", Reduction: 1, Space: []Dimension{
		{Name: "a", Type: "number", Low: 2, High: 1},
		{Name: "a", Type: "float"},
		{Name: "l", Type: "number", Low: 0, High: 1, Log: true},
		{Name: "i", Type: "integer", Low: 0.5, High: 3},
		{Name: "s", Type: "number", High: 1, Step: 0.3},
		{Name: "c", Type: "choice"},
	}}
	_, err := s.Suggest(0, nil)
	mustSay(t, err, assay.Invalid, `sampler "tp"`, `did you mean "tpe"`, `pruner "x"`, "reduction 1", "a goes from 2 to 1", `"a" is empty or occurs twice`, `type "float"`, "positive low end", "integer dimension", "step 0.3", "c has no choices")
	mustSay(t, Search{}.Check(), assay.Invalid, "no dimension")
}

func TestSearchGoesOnAfterFailures(t *testing.T) {
	s := bowl()
	h, err := s.Run(context.Background(), 5, nil, func(_ context.Context, t Trial, _ func(int, float64) bool) (float64, error) {
		if t.Number%2 == 0 {
			return 0, errors.New("out of luck")
		}
		return math.NaN(), nil
	})
	if err != nil || len(h) != 5 || h[0].State != TrialFailed || h[0].Error != "out of luck" || h[1].State != TrialComplete {
		t.Errorf("%v %+v", err, h)
	}
	if _, ok := s.Best(h); ok {
		t.Error("a search without a defined value has a best trial")
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if h, err := s.Run(ctx, 5, nil, bowlObjective); !errors.Is(err, context.Canceled) || len(h) != 0 {
		t.Errorf("cancelled: %v, %d trials", err, len(h))
	}
}

func TestCrossObjective(t *testing.T) {
	x, y, _ := mixed(300)
	spec := Spec{Learner: "logistic_regression", Task: assay.Binary, Target: Target{Classes: []string{"a", "b"}}}
	s := Search{Seed: 1, Pruner: "median", Maximize: true, Startup: 3, Space: []Dimension{{Name: "c", Type: "number", Low: 1e-4, High: 100, Log: true}}}
	h, err := s.Run(context.Background(), 8, nil, CrossObjective(spec, Data{X: x, Labels: y}, "roc_auc_score", CrossValidation{Splits: 3}))
	if err != nil {
		t.Fatal(err)
	}
	best, ok := s.Best(h)
	if !ok || best.Value < 0.9 {
		t.Errorf("best %+v of %+v", best, h)
	}
}
