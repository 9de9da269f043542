package run

import (
	"context"
	"math"
	"strings"
	"testing"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/store"
	"github.com/assay-ml/assay/learn"
	"pgregory.net/rapid"
)

func searchSpec() SearchSpec {
	return SearchSpec{
		Learn: learn.Spec{Learner: "logistic_regression", Task: assay.Binary, Target: learn.Target{Name: "y", Classes: []string{"no", "yes"}, Positive: "yes"}, Seed: 7},
		Data:  table(1, 200), Space: map[string]Range{"c": {Low: 1e-4, High: 100, Log: true}, "standardize": {Choices: []any{true, false}}, "max_iterations": {Low: 5, High: 50}},
		Trials: 14, Folds: 3, Seed: 3, Metric: "log_loss", Config: []byte("x: 1"), Inputs: map[string]assay.Digest{"data": assay.DigestOf([]byte("rows"))}, Version: "1.0.0",
	}
}

func TestSearchIsRepeatableAndTakesOverItsTrials(t *testing.T) {
	first, err := Search(t.Context(), searchSpec(), openStore(t))
	if err != nil {
		t.Fatal(err)
	}
	s, err := assay.Decode[assay.Search](first.Evidence)
	if err != nil {
		t.Fatal(err)
	}
	if len(s.Trials) != 14 || !strings.HasPrefix(s.Metric, "log_loss@") || s.Direction != "lower" || len(s.Best) != 3 || len(first.Parents) != 14 {
		t.Errorf("search %+v with %d parents", s, len(first.Parents))
	}
	least := math.Inf(1)
	for _, trial := range s.Trials {
		if trial.State != "complete" {
			t.Errorf("trial %+v", trial)
		}
		least = math.Min(least, float64(trial.Value))
	}
	if s.BestScore.Value != least || s.BestScore.HasInterval() {
		t.Errorf("best %v, the least of the trials is %v", s.BestScore, least)
	}

	// Interrupted after five trials and started again: the same search, with those five taken over.
	st := openStore(t)
	ctx, cancel := context.WithCancel(t.Context())
	part := searchSpec()
	part.Progress = func(trial assay.Trial) {
		if trial.Number == 4 {
			cancel()
		}
	}
	if _, err := Search(ctx, part, st); assay.CodeOf(err) != assay.Unavailable {
		t.Fatalf("a cancelled search: %v", err)
	}
	runs, err := st.Find(t.Context(), store.Query{Kind: assay.KindRun})
	if err != nil || len(runs) != 5 {
		t.Fatalf("%d runs, %v", len(runs), err)
	}
	again, err := Search(t.Context(), searchSpec(), st)
	if err != nil || again.ID != first.ID {
		t.Errorf("started again: %s, want %s (%v)", again.ID, first.ID, err)
	}
	for _, r := range runs {
		held, err := st.Get(t.Context(), r.ID)
		if err != nil || held.Entry.Seq != r.Entry.Seq {
			t.Errorf("run %s was written again: %v", r.ID, err)
		}
	}
}

func TestSearchPrunes(t *testing.T) {
	for _, pruner := range []string{PruneMedian, PruneHalving} {
		s := searchSpec()
		s.Pruner, s.Sampler, s.Folds, s.Metric, s.Trials = pruner, SampleRandom, 4, "d2_log_loss_score", 20
		s.Space = map[string]Range{"c": {Low: 1e-6, High: 1, Log: true}}
		rec, err := Search(t.Context(), s, openStore(t))
		if err != nil {
			t.Fatal(err)
		}
		payload, _ := assay.Decode[assay.Search](rec.Evidence)
		states := map[string]int{}
		best := math.Inf(-1)
		for _, trial := range payload.Trials {
			states[trial.State]++
			if trial.State == "complete" {
				best = math.Max(best, float64(trial.Value))
			}
		}
		if states["pruned"] == 0 || states["complete"] == 0 || payload.Direction != "higher" || payload.BestScore.Value != best {
			t.Errorf("%s: %v, best %v of %v", pruner, states, payload.BestScore, best)
		}
	}
}

func TestSearchRefuses(t *testing.T) {
	s := searchSpec()
	s.Sampler, s.Pruner, s.Trials, s.Metric, s.Seed = "grid", "never", -1, "r2_score", 1<<60
	s.Space = map[string]Range{"c": {Low: 0, High: 1, Log: true}, "depth": {High: 1}, "max_iterations": {Low: 5, High: 1}, "standardize": {Choices: []any{}}}
	_, err := Search(t.Context(), s, openStore(t))
	if assay.CodeOf(err) != assay.Invalid || !strings.Contains(err.Error(), "9 problems") {
		t.Errorf("got %v", err)
	}
	s = searchSpec()
	s.Folds = 1
	if _, err := Search(t.Context(), s, openStore(t)); assay.CodeOf(err) != assay.Invalid {
		t.Errorf("one fold without validation rows: %v", err)
	}
	s = searchSpec()
	s.Space = map[string]Range{"c": {Choices: []any{-1.0}}}
	rec, err := Search(t.Context(), s, openStore(t))
	if err != nil {
		t.Fatal(err)
	}
	if p, _ := assay.Decode[assay.Search](rec.Evidence); p.Trials[0].State != "failed" || p.BestScore.Defined() {
		t.Errorf("a search whose every trial fails: %+v", p)
	}
}

func TestSuggestionsStayInTheirRange(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := Range{Int: rapid.Bool().Draw(t, "int"), Log: rapid.Bool().Draw(t, "log")}
		r.Low = float64(rapid.IntRange(1, 50).Draw(t, "low"))
		r.High = r.Low + float64(rapid.IntRange(0, 1000).Draw(t, "span"))
		if rapid.Bool().Draw(t, "choices") {
			r.Choices = make([]any, rapid.IntRange(1, 5).Draw(t, "n"))
		}
		rng := draws(rapid.Uint64().Draw(t, "seed"), 0, "p")
		var history []tried
		for range rapid.IntRange(0, 40).Draw(t, "trials") {
			h := tried{at: point{"p": r.uniform(&rng)}, steps: []float64{rng.Float64()}, pruned: rng.Float64() < 0.2, failed: rng.Float64() < 0.1}
			if rng.Float64() < 0.1 {
				h.steps[0] = math.NaN()
			}
			history = append(history, h)
		}
		v := tpe(r, "p", history, &rng)
		switch {
		case r.Choices != nil && (v != math.Trunc(v) || v < 0 || int(v) >= len(r.Choices)):
			t.Fatalf("choice %v of %d", v, len(r.Choices))
		case r.Choices == nil && !(v >= r.Low && v <= r.High):
			t.Fatalf("%v is outside of %+v", v, r)
		case r.Choices == nil && r.Int && v != math.Trunc(v):
			t.Fatalf("%v is not whole", v)
		}
	})
}

// The mixture is a density over the range: it integrates to 1, and over whole numbers its masses sum to 1.
func TestTheEstimatorIsADensity(t *testing.T) {
	for _, r := range []Range{{Low: 1, High: 9}, {Low: 0.01, High: 100, Log: true}, {Low: 1, High: 12, Int: true}, {Low: 1, High: 12, Int: true, Log: true}} {
		p := parzenOf(r, []float64{2, 2, 3, 7})
		total := 0.0
		if r.Int {
			for v := r.Low; v <= r.High; v++ {
				total += math.Exp(p.logDensity(r, v))
			}
		} else {
			lo, hi := r.bounds()
			const n = 20000
			for i := range n {
				total += math.Exp(p.logDensity(r, r.outward(lo+(hi-lo)*(float64(i)+0.5)/n))) * (hi - lo) / n
			}
		}
		if math.Abs(total-1) > 1e-6 {
			t.Errorf("%+v: the density sums to %v", r, total)
		}
	}
	for _, n := range []int{0, 1, 25, 26, 27, 100} {
		total := 0.0
		for _, w := range kernelWeights(n) {
			total += w
		}
		if math.Abs(total-1) > 1e-12 {
			t.Errorf("%d kernels weigh %v", n, total)
		}
	}
}

// On a smooth function the estimator must do clearly better than chance with as many trials.
func TestTPEFindsTheMinimumSoonerThanChance(t *testing.T) {
	space := map[string]Range{"x": {Low: -5, High: 5}, "y": {Low: 1e-3, High: 1e3, Log: true}, "k": {Choices: []any{"a", "b", "c"}}}
	loss := func(p point) float64 {
		return math.Pow(p["x"]-2, 2) + math.Pow(math.Log10(p["y"])+1, 2) + 2*math.Abs(p["k"]-1)
	}
	wins := 0
	for seed := range uint64(20) {
		best := map[bool]float64{}
		for _, clever := range []bool{false, true} {
			var history []tried
			best[clever] = math.Inf(1)
			for n := range 60 {
				at := point{}
				for name, r := range space {
					rng := draws(seed, n, name)
					if clever {
						at[name] = tpe(r, name, history, &rng)
					} else {
						at[name] = r.uniform(&rng)
					}
				}
				v := loss(at)
				history = append(history, tried{at: at, steps: []float64{v}})
				best[clever] = math.Min(best[clever], v)
			}
		}
		if best[true] < best[false] {
			wins++
		}
	}
	if wins < 17 {
		t.Errorf("better in %d of 20 searches", wins)
	}
}

func TestPruners(t *testing.T) {
	var history []tried
	for i := range 6 {
		history = append(history, tried{steps: []float64{float64(i), float64(i), float64(i)}})
	}
	for _, c := range []struct {
		pruner string
		steps  []float64
		want   bool
	}{
		{PruneNone, []float64{99}, false},
		{PruneNone, []float64{math.NaN()}, false},
		{PruneMedian, []float64{math.NaN()}, true},
		{PruneMedian, []float64{2.4}, false},
		{PruneMedian, []float64{2.6}, true},
		{PruneMedian, []float64{1, 9}, false}, // its best step counts
		{PruneHalving, []float64{1.5}, true},
		{PruneHalving, []float64{0.5}, false},
		{PruneHalving, []float64{0.5, 99}, false}, // 2 is no rung
		{PruneHalving, []float64{0.5, 99, 99}, true},
	} {
		if got := prune(c.pruner, c.steps, history); got != c.want {
			t.Errorf("%s after %v: %v", c.pruner, c.steps, got)
		}
	}
	if prune(PruneMedian, []float64{99}, history[:4]) {
		t.Error("the median pruner judged with four trials")
	}
}
