package run

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"time"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/blob"
	"github.com/assay-ml/assay/internal/store"
	"github.com/assay-ml/assay/learn"
	"github.com/assay-ml/assay/metric"
)

// DefaultTrials is the number of trials of a search.
const DefaultTrials = 30

// maxTrials keeps the evidence of a search within the number of parents that evidence may have.
const maxTrials = 4000

// A SearchSpec says what to search. Zero values are defaults.
type SearchSpec struct {
	Learn    learn.Spec            // Params holds what is fixed
	Data     learn.Data            // training rows, with validation rows as Data.Valid for early stopping
	Search   learn.Search          // the space, sampler, pruner and seed; Maximize follows from the metric
	Cross    learn.CrossValidation // its folds; Metrics is not used
	Trials   int
	Metric   string // empty: roc_auc_score, log_loss or root_mean_squared_error, as the task asks for
	Config   []byte
	Inputs   map[string]assay.Digest
	Split    assay.Digest // evidence id of the split
	Parents  []assay.Digest
	Version  string // of this build of Assay
	Clock    func() time.Time
	Machine  *assay.Environment // platform, processor and threads to state; nil asks the machine
	Progress func(assay.Trial)  // called after each trial; nil: not
}

// Search looks for the parameters that score best in cross-validation on the training rows, and records each trial as a run and the
// search as evidence over them. It is given training and validation rows only, so it cannot see the test set.
//
// A suggestion depends on the seed, the trial's number and the results before it. A search that is started again with the same
// specification and inputs makes the same suggestions and takes over the trials that the store already holds. The score of the best
// trial has no interval: it is the best of many, so it is too good; evaluate the model that is trained with these parameters.
func Search(ctx context.Context, s SearchSpec, st store.Store) (assay.Record, error) {
	def, err := s.resolve()
	if err != nil {
		return assay.Record{}, err
	}
	subject, err := s.subject()
	if err != nil {
		return assay.Record{}, err
	}
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	var runs []assay.Digest
	objective := func(ctx context.Context, t learn.Trial, report func(int, float64) bool) (float64, error) {
		value, id, failure, err := s.try(ctx, subject, t, report, st)
		if err != nil {
			stop(err) // the store failed, not the trial
			return 0, err
		}
		runs = append(runs, id)
		return value, failure
	}
	payload := assay.Search{
		Sampler: or(s.Search.Sampler, "tpe"), Pruner: or(s.Search.Pruner, "none"), Seed: s.Search.Seed, Metric: def.ID, Direction: "lower",
		Trials: []assay.Trial{}, Best: map[string]string{},
	}
	if def.Higher {
		payload.Direction = "higher"
	}
	var history []learn.Trial
	for n := range s.Trials {
		history, err = s.Search.Run(ctx, n+1, history, objective)
		if err != nil {
			if cause := context.Cause(ctx); cause != nil {
				err = cause
			}
			return assay.Record{}, err
		}
		trial := described(history[n])
		payload.Trials = append(payload.Trials, trial)
		if s.Progress != nil {
			s.Progress(trial)
		}
	}
	rows := int64(s.Data.X.Rows())
	if best, ok := s.Search.Best(history); ok {
		payload.Best = texts(best.Params)
		payload.BestScore = assay.Point(best.Value, fmt.Sprintf("cross-validated, the best of %d trials: too good", s.Trials), rows)
	} else {
		payload.BestScore = assay.Undefined("no trial was completed", rows)
	}
	parents := append(slices.Clone(s.Parents), runs...)
	if s.Split != "" {
		parents = append(parents, s.Split)
	}
	ev, err := store.Evidence(assay.KindSearch, subject, parents, payload)
	if err != nil {
		return assay.Record{}, err
	}
	records, err := st.Append(ctx, nil, ev)
	if err != nil {
		return assay.Record{}, err
	}
	return records[0], nil
}

func or(s, byDefault string) string {
	if s == "" {
		return byDefault
	}
	return s
}

// resolve checks the specification and fills in the defaults.
func (s *SearchSpec) resolve() (metric.Definition, error) {
	var p assay.Problems
	if s.Trials == 0 {
		s.Trials = DefaultTrials
	}
	if s.Trials < 0 || s.Trials > maxTrials {
		p.Add("%d trials; 1 to %d are possible", s.Trials, maxTrials)
	}
	if s.Search.Seed > maxSeed || s.Learn.Seed > maxSeed {
		p.Add("a seed is larger than %d, the largest that JSON keeps exactly", uint64(maxSeed))
	}
	if s.Metric == "" {
		s.Metric = map[assay.Task]string{assay.Binary: "roc_auc_score", assay.Multiclass: "log_loss", assay.Regression: "root_mean_squared_error"}[s.Learn.Task]
	}
	def, err := metric.Find(s.Metric)
	switch {
	case err != nil:
		p.Add("%v", err)
	case !def.Fits(s.Learn.Task):
		p.Add("metric %s is not defined for task %s", s.Metric, s.Learn.Task)
	}
	s.Search.Maximize = def.Higher
	if err := s.Search.Check(); err != nil {
		p.Add("%v", err)
	}
	if l, ok := learn.LookupLearner(s.Learn.Learner); !ok {
		p.Add("learner %q does not exist", s.Learn.Learner)
	} else {
		for _, d := range s.Search.Space {
			if !slices.ContainsFunc(l.Params, func(q learn.Param) bool { return q.Name == d.Name }) {
				p.Add("%s has no parameter %q", l.Name, d.Name)
			}
		}
	}
	return def, p.Err(assay.Invalid, "cannot search")
}

// subject is the digest of what is searched, results apart.
func (s SearchSpec) subject() (assay.Digest, error) {
	b, err := json.Marshal(map[string]any{
		"learner": s.Learn.Learner, "task": s.Learn.Task, "target": s.Learn.Target, "categorical": s.Learn.Categorical, "params": s.Learn.Params,
		"prepare": s.Learn.Prepare, "class_weight": s.Learn.ClassWeight, "learner_seed": s.Learn.Seed, "search": s.Search, "trials": s.Trials,
		"splits": s.Cross.Splits, "folds": s.Cross.Folds, "metric": s.Metric, "inputs": s.Inputs, "config": assay.DigestOf(s.Config),
	})
	if err != nil {
		return "", assay.Errorf(assay.Invalid, "the search cannot be written as JSON: %w", err)
	}
	return assay.DigestOf(b), nil
}

// typed gives the choices of a trial the type that the learner's parameter has: a choice is text, a parameter may be a number.
func (s SearchSpec) typed(params map[string]any) map[string]any {
	l, _ := learn.LookupLearner(s.Learn.Learner)
	out := maps.Clone(params)
	for _, p := range l.Params {
		text, ok := out[p.Name].(string)
		if !ok || p.Type == "string" {
			continue
		}
		if v, err := strconv.ParseBool(text); err == nil && p.Type == "boolean" {
			out[p.Name] = v
		} else if f, err := strconv.ParseFloat(text, 64); err == nil && p.Type != "boolean" {
			out[p.Name] = f
		}
	}
	return out
}

// try measures one trial and records it as a run. A run of the same trial that the store holds is taken over. failure is the trial's, err
// the store's.
func (s SearchSpec) try(ctx context.Context, search assay.Digest, t learn.Trial, report func(int, float64) bool, st store.Store) (value float64, id assay.Digest, failure, err error) {
	config, err := json.Marshal(map[string]any{"search": search, "trial": t.Number, "params": t.Params})
	if err != nil {
		return 0, "", nil, assay.Errorf(assay.Internal, "a trial cannot be written as JSON: %w", err)
	}
	spec := assay.RunSpec{
		Command: []string{"assay", "search", s.Learn.Learner}, Config: assay.DigestOf(config), Seed: s.Learn.Seed,
		Inputs: map[string]assay.Digest{}, Code: assay.Source{Commit: s.Version},
	}
	maps.Copy(spec.Inputs, s.Inputs)
	about, err := subject(spec)
	if err != nil {
		return 0, "", nil, err
	}
	if len(s.Inputs) > 0 { // without digests of the inputs nothing says that the data are the same
		held, err := st.Find(ctx, store.Query{Kind: assay.KindRun, Subject: about, Limit: 1})
		if err != nil {
			return 0, "", nil, err
		}
		if len(held) == 1 {
			value, failure, err = s.replay(held[0], report)
			return value, held[0].ID, failure, err
		}
	}
	var began time.Time
	if s.Clock != nil {
		began = s.Clock()
	}
	machine := machine(ctx)
	if s.Machine != nil {
		machine = *s.Machine
	}
	r := assay.Run{
		Spec: spec, Status: Finished, Metrics: map[string]assay.Number{}, Outputs: []assay.File{},
		Seeded: []string{"learner"}, Unseeded: []string{}, Missing: []string{},
		Environment: assay.Environment{Platform: machine.Platform, CPU: machine.CPU, Threads: machine.Threads, Interpreter: "assay " + s.Version},
	}
	fitted := s.Learn
	fitted.Params = maps.Clone(s.Learn.Params)
	if fitted.Params == nil {
		fitted.Params = map[string]any{}
	}
	t.Params = s.typed(t.Params)
	maps.Copy(fitted.Params, t.Params)
	r.Params = parameters(fitted)
	pruned := false
	value, failure = learn.CrossObjective(s.Learn, s.Data, s.Metric, s.Cross)(ctx, t, func(step int, v float64) bool {
		r.Metrics[s.after(step)] = assay.Number(v)
		pruned = report(step, v)
		return pruned
	})
	if ctx.Err() != nil {
		return 0, "", nil, ctx.Err()
	}
	switch {
	case failure != nil:
		r.Status, r.Problems = Failed, []string{failure.Error()}
	case !pruned:
		r.Metrics[s.Metric] = assay.Number(value)
	}
	if len(s.Inputs) == 0 {
		r.Missing = append(r.Missing, "unversioned_input")
	}
	if len(bytes.TrimSpace(s.Config)) == 0 {
		r.Missing = append(r.Missing, "no_config")
	}
	r.Score = score(r.Missing)
	circumstances := map[string]string{}
	if s.Clock != nil {
		circumstances["seconds"] = strconv.FormatFloat(s.Clock().Sub(began).Seconds(), 'f', 3, 64)
	}
	if _, err := blob.PutBytes(ctx, st.Blobs(), config); err != nil {
		return 0, "", nil, err
	}
	rec, err := (result{run: r, subject: about, context: circumstances}).record(ctx, st, s.Parents)
	return value, rec.ID, failure, err
}

// after names the mean score over the first folds.
func (s SearchSpec) after(folds int) string { return fmt.Sprintf("%s.after_%d_folds", s.Metric, folds) }

// replay reports again what a recorded trial reported.
func (s SearchSpec) replay(rec assay.Record, report func(int, float64) bool) (value float64, failure, err error) {
	r, err := assay.Decode[assay.Run](rec.Evidence)
	if err != nil {
		return 0, nil, err
	}
	for step := 1; ; step++ {
		v, ok := r.Metrics[s.after(step)]
		if !ok {
			break
		}
		if report(step, float64(v)) {
			return float64(v), nil, nil
		}
	}
	if r.Status != Finished {
		return 0, assay.Errorf(assay.Invalid, "the trial failed before: %s", rec.ID.Short()), nil
	}
	return float64(r.Metrics[s.Metric]), nil, nil
}

func described(t learn.Trial) assay.Trial {
	out := assay.Trial{Number: t.Number, Params: texts(t.Params), State: t.State, Value: assay.Number(t.Value)}
	switch {
	case t.State == learn.TrialFailed:
		out.Value = assay.Number(math.NaN())
	case t.State == learn.TrialPruned && len(t.Reports) > 0:
		out.Value = assay.Number(t.Reports[len(t.Reports)-1].Value)
	}
	return out
}

func texts(params map[string]any) map[string]string {
	out := map[string]string{}
	for name, v := range params {
		if text, ok := v.(string); ok {
			out[name] = text
		} else if b, err := json.Marshal(v); err == nil {
			out[name] = string(b)
		}
	}
	return out
}
