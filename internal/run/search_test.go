package run

import (
	"context"
	"math"
	"strings"
	"testing"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/store"
	"github.com/assay-ml/assay/learn"
)

func searchSpec() SearchSpec {
	return SearchSpec{
		Learn: learn.Spec{Learner: "logistic_regression", Task: assay.Binary, Target: learn.Target{Name: "y", Classes: []string{"no", "yes"}, Positive: "yes"}, Seed: 7},
		Data:  table(1, 200),
		Search: learn.Search{Seed: 3, Space: []learn.Dimension{
			{Name: "c", Type: "number", Low: 1e-4, High: 100, Log: true},
			{Name: "standardize", Type: "choice", Choices: []string{"true", "false"}},
			{Name: "max_iterations", Type: "integer", Low: 5, High: 50},
		}},
		Cross: learn.CrossValidation{Splits: 3}, Trials: 14, Metric: "roc_auc_score", Config: []byte("x: 1"),
		Inputs: map[string]assay.Digest{"data": assay.DigestOf([]byte("rows"))}, Version: "1.0.0",
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
	if len(s.Trials) != 14 || !strings.HasPrefix(s.Metric, "roc_auc_score@") || s.Direction != "higher" || s.Sampler != "tpe" || s.Pruner != "none" || len(s.Best) != 3 || len(first.Parents) != 14 {
		t.Errorf("search %+v with %d parents", s, len(first.Parents))
	}
	most := math.Inf(-1)
	for _, trial := range s.Trials {
		if trial.State != learn.TrialComplete {
			t.Errorf("trial %+v", trial)
		}
		most = math.Max(most, float64(trial.Value))
	}
	if s.BestScore.Value != most || s.BestScore.HasInterval() {
		t.Errorf("best %v, the most of the trials is %v", s.BestScore, most)
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
	for _, pruner := range []string{"median", "halving"} {
		s := searchSpec()
		s.Search.Pruner, s.Search.Sampler, s.Cross.Splits, s.Metric, s.Trials = pruner, "random", 4, "d2_log_loss_score", 20
		s.Search.Space = s.Search.Space[:1]
		rec, err := Search(t.Context(), s, openStore(t))
		if err != nil {
			t.Fatal(err)
		}
		payload, _ := assay.Decode[assay.Search](rec.Evidence)
		states := map[string]int{}
		for _, trial := range payload.Trials {
			states[trial.State]++
		}
		if states[learn.TrialPruned] == 0 || states[learn.TrialComplete] == 0 {
			t.Errorf("%s: %v", pruner, states)
		}
		// Started again in the same store, everything is taken over.
		st := openStore(t)
		one, err1 := Search(t.Context(), s, st)
		before, _ := st.Journal(t.Context(), 0, 0)
		two, err2 := Search(t.Context(), s, st)
		after, _ := st.Journal(t.Context(), 0, 0)
		if err1 != nil || err2 != nil || one.ID != two.ID || one.ID != rec.ID || len(before) != len(after) {
			t.Errorf("%s: started again %s, %s with %d new entries (%v, %v)", pruner, one.ID, two.ID, len(after)-len(before), err1, err2)
		}
	}
}

func TestSearchRefuses(t *testing.T) {
	s := searchSpec()
	s.Trials, s.Metric, s.Learn.Seed = -1, "r2_score", 1<<60
	s.Search.Space = append(s.Search.Space, learn.Dimension{Name: "depth", Type: "number", Low: 2, High: 1})
	_, err := Search(t.Context(), s, openStore(t))
	if assay.CodeOf(err) != assay.Invalid || !strings.Contains(err.Error(), "5 problems") {
		t.Errorf("got %v", err)
	}
	s = searchSpec()
	s.Search.Space = []learn.Dimension{{Name: "c", Type: "number", Low: -2, High: -1}}
	rec, err := Search(t.Context(), s, openStore(t))
	if err != nil {
		t.Fatal(err)
	}
	if p, _ := assay.Decode[assay.Search](rec.Evidence); p.Trials[0].State != learn.TrialFailed || p.BestScore.Defined() {
		t.Errorf("a search whose every trial fails: %+v", p)
	}
}
