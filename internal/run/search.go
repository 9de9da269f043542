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
	"github.com/assay-ml/assay/stat"
)

// How a search suggests the next trial, and how it gives up a bad one early.
const (
	SampleTPE    = "tpe"
	SampleRandom = "random"
	PruneNone    = "none"
	PruneMedian  = "median"
	PruneHalving = "halving"
)

// DefaultTrials is the number of trials of a search.
const DefaultTrials = 30

// A SearchSpec says what to search. Zero values are defaults.
type SearchSpec struct {
	Learn    learn.Spec // Params holds what is fixed
	Data     learn.Data // training rows; with Data.Valid and Folds 1 trials are scored on the validation rows
	Groups   []int      // of each row, when rows of one group must stay together; nil: none
	Space    map[string]Range
	Sampler  string // SampleTPE or SampleRandom
	Pruner   string // PruneNone, PruneMedian or PruneHalving
	Trials   int
	Folds    int    // of the cross-validation; 0: 5
	Metric   string // 0: roc_auc_score, log_loss or root_mean_squared_error, as the task asks for
	Seed     uint64
	Config   []byte
	Inputs   map[string]assay.Digest
	Split    assay.Digest // evidence id of the split
	Parents  []assay.Digest
	Version  string // of this build of Assay
	Clock    func() time.Time
	Progress func(assay.Trial) // called after each trial; nil: not
}

// Search looks for the parameters that score best in cross-validation on the training rows, and records each trial as a run and the
// search as evidence over them. It is given training and validation rows only, so it cannot see the test set.
//
// A suggestion depends on the seed, the trial's number and the results before it. A search that is started again with the same
// specification and data makes the same suggestions and takes over the trials that the store already holds. The score of the best trial
// has no interval: it is the best of many, so it is too good; evaluate the model that is trained with these parameters.
func Search(ctx context.Context, s SearchSpec, st store.Store) (assay.Record, error) {
	def, folds, err := s.resolve()
	if err != nil {
		return assay.Record{}, err
	}
	names := slices.Sorted(maps.Keys(s.Space))
	payload := assay.Search{Sampler: s.Sampler, Pruner: s.Pruner, Seed: s.Seed, Metric: def.ID, Direction: "lower", Trials: []assay.Trial{}, Best: map[string]string{}}
	sign := 1.0
	if def.Higher {
		payload.Direction, sign = "higher", -1
	}
	var history []tried
	var parents []assay.Digest
	best := -1
	for n := range s.Trials {
		at := point{}
		for _, name := range names {
			rng := draws(s.Seed, n, name)
			if s.Sampler == SampleRandom {
				at[name] = s.Space[name].uniform(&rng)
			} else {
				at[name] = tpe(s.Space[name], name, history, &rng)
			}
		}
		t, run, err := s.try(ctx, n, at, def, sign, folds, history, st)
		if err != nil {
			return assay.Record{}, err
		}
		history, parents = append(history, t), append(parents, run)
		trial := assay.Trial{Number: n, Params: s.texts(at), State: "complete", Value: assay.Number(sign * t.value())}
		switch {
		case t.failed:
			trial.State, trial.Value = "failed", assay.Number(math.NaN())
		case t.pruned:
			trial.State = "pruned"
		case !math.IsNaN(t.value()) && (best < 0 || t.value() < history[best].value()):
			best = n
		}
		payload.Trials = append(payload.Trials, trial)
		if s.Progress != nil {
			s.Progress(trial)
		}
	}
	rows := int64(s.Data.X.Rows())
	if best < 0 {
		payload.BestScore = assay.Undefined("no trial was completed", rows)
	} else {
		payload.Best = payload.Trials[best].Params
		payload.BestScore = assay.Point(float64(payload.Trials[best].Value), fmt.Sprintf("mean of %d folds, best of %d trials: too good", len(folds), s.Trials), rows)
	}
	subject, err := s.subject()
	if err != nil {
		return assay.Record{}, err
	}
	if s.Split != "" {
		parents = append(parents, s.Split)
	}
	ev, err := store.Evidence(assay.KindSearch, subject, append(parents, s.Parents...), payload)
	if err != nil {
		return assay.Record{}, err
	}
	records, err := st.Append(ctx, nil, ev)
	if err != nil {
		return assay.Record{}, err
	}
	return records[0], nil
}

// resolve checks the specification, fills in the defaults and divides the rows.
func (s *SearchSpec) resolve() (metric.Definition, []stat.Fold, error) {
	var p assay.Problems
	if s.Sampler == "" {
		s.Sampler = SampleTPE
	}
	if s.Pruner == "" {
		s.Pruner = PruneNone
	}
	if s.Trials == 0 {
		s.Trials = DefaultTrials
	}
	if s.Folds == 0 {
		s.Folds = stat.DefaultFolds
	}
	if s.Metric == "" {
		s.Metric = map[assay.Task]string{assay.Binary: "roc_auc_score", assay.Multiclass: "log_loss", assay.Regression: "root_mean_squared_error"}[s.Learn.Task]
	}
	if s.Sampler != SampleTPE && s.Sampler != SampleRandom {
		p.Add("sampler %q is neither %s nor %s", s.Sampler, SampleTPE, SampleRandom)
	}
	if s.Pruner != PruneNone && s.Pruner != PruneMedian && s.Pruner != PruneHalving {
		p.Add("pruner %q is none of %s, %s, %s", s.Pruner, PruneNone, PruneMedian, PruneHalving)
	}
	if s.Trials < 0 || s.Trials > 4000 {
		p.Add("%d trials; 1 to 4000 are possible", s.Trials)
	}
	if s.Seed > maxSeed || s.Learn.Seed > maxSeed {
		p.Add("a seed is larger than %d, the largest that JSON keeps exactly", uint64(maxSeed))
	}
	if len(s.Space) == 0 {
		p.Add("there is nothing to search: no parameter has a range")
	}
	known := map[string]learn.Param{}
	if l, ok := learn.LookupLearner(s.Learn.Learner); !ok {
		p.Add("learner %q does not exist", s.Learn.Learner)
	} else {
		for _, param := range l.Params {
			known[param.Name] = param
		}
	}
	for _, name := range slices.Sorted(maps.Keys(s.Space)) {
		r := s.Space[name]
		param, ok := known[name]
		switch {
		case !ok && len(known) > 0:
			p.Add("%s has no parameter %q", s.Learn.Learner, name)
		case r.Choices != nil && len(r.Choices) == 0:
			p.Add("%s has no choices", name)
		case r.Choices != nil:
		case !(r.Low <= r.High) || math.IsInf(r.Low, 0) || math.IsInf(r.High, 0):
			p.Add("%s has no range from %v to %v", name, r.Low, r.High)
		case r.Log && r.Low <= 0 || r.Log && r.Int && r.Low < 1:
			p.Add("%s is searched in the logarithm, so its low end must be positive, not %v", name, r.Low)
		case ok && param.Type == "integer":
			r.Int = true
			if r.Low != math.Trunc(r.Low) || r.High != math.Trunc(r.High) {
				p.Add("%s is a whole number, its range is %v to %v", name, r.Low, r.High)
			}
			s.Space[name] = r
		}
	}
	def, err := metric.Find(s.Metric)
	switch {
	case err != nil:
		p.Add("%v", err)
	case !def.Fits(s.Learn.Task):
		p.Add("metric %s is not defined for task %s", s.Metric, s.Learn.Task)
	}
	if err := p.Err(assay.Invalid, "cannot search"); err != nil {
		return def, nil, err
	}
	if s.Folds == 1 {
		if s.Data.Valid == nil {
			return def, nil, assay.Errorf(assay.Invalid, "one fold means the validation rows, and there are none")
		}
		return def, []stat.Fold{{}}, nil
	}
	k := stat.KFold{Splits: s.Folds, Shuffle: true, Seed: uint32(s.Seed)}
	rows, labels := s.Data.X.Rows(), make([]int, len(s.Data.Labels))
	for i, y := range s.Data.Labels {
		labels[i] = int(y)
	}
	var folds []stat.Fold
	switch {
	case s.Groups != nil && s.Learn.Task.Classifies():
		folds, err = stat.StratifiedGroupKFold(k).Split(labels, s.Groups)
	case s.Groups != nil:
		folds, err = stat.GroupKFold(k).Split(s.Groups)
	case s.Learn.Task.Classifies():
		folds, err = stat.StratifiedKFold(k).Split(labels)
	default:
		folds, err = k.Split(rows)
	}
	return def, folds, err
}

// value gives the parameter as the learner takes it.
func (r Range) value(v float64) any {
	switch {
	case r.Choices != nil:
		return r.Choices[int(v)]
	case r.Int:
		return int(v)
	}
	return v
}

func (s SearchSpec) texts(at point) map[string]string {
	out := map[string]string{}
	for name, v := range at {
		switch x := s.Space[name].value(v).(type) {
		case string:
			out[name] = x
		default:
			b, _ := json.Marshal(x)
			out[name] = string(b)
		}
	}
	return out
}

// subject is the digest of what is searched, results apart.
func (s SearchSpec) subject() (assay.Digest, error) {
	b, err := json.Marshal(map[string]any{
		"learner": s.Learn.Learner, "task": s.Learn.Task, "target": s.Learn.Target, "params": s.Learn.Params, "prepare": s.Learn.Prepare,
		"space": s.Space, "sampler": s.Sampler, "pruner": s.Pruner, "trials": s.Trials, "folds": s.Folds, "metric": s.Metric,
		"seed": s.Seed, "inputs": s.Inputs, "config": assay.DigestOf(s.Config),
	})
	if err != nil {
		return "", assay.Errorf(assay.Invalid, "the search cannot be written as JSON: %w", err)
	}
	return assay.DigestOf(b), nil
}

// try scores one point and records it as a run. A run of the same point that the store holds is taken over.
func (s SearchSpec) try(ctx context.Context, n int, at point, def metric.Definition, sign float64, folds []stat.Fold, history []tried, st store.Store) (tried, assay.Digest, error) {
	search, err := s.subject()
	if err != nil {
		return tried{}, "", err
	}
	config, err := json.Marshal(map[string]any{"search": search, "trial": n, "params": s.texts(at)})
	if err != nil {
		return tried{}, "", assay.Errorf(assay.Internal, "a trial cannot be written as JSON: %w", err)
	}
	spec := assay.RunSpec{
		Command: []string{"assay", "search", s.Learn.Learner}, Config: assay.DigestOf(config), Seed: s.Learn.Seed,
		Inputs: map[string]assay.Digest{}, Code: assay.Source{Commit: s.Version},
	}
	maps.Copy(spec.Inputs, s.Inputs)
	id, err := subject(spec)
	if err != nil {
		return tried{}, "", err
	}
	if held, err := st.Find(ctx, store.Query{Kind: assay.KindRun, Subject: id, Limit: 1}); err != nil {
		return tried{}, "", err
	} else if len(held) == 1 && len(s.Inputs) > 0 { // without digests of the inputs nothing says that the data are the same
		if t, ok := recalled(held[0], at, len(folds), sign); ok {
			return t, held[0].ID, nil
		}
	}
	fitted := s.Learn
	fitted.Params = maps.Clone(s.Learn.Params)
	if fitted.Params == nil {
		fitted.Params = map[string]any{}
	}
	for name, v := range at {
		fitted.Params[name] = s.Space[name].value(v)
	}
	began := time.Time{}
	if s.Clock != nil {
		began = s.Clock()
	}
	t := tried{at: at}
	machine := machine(ctx)
	r := assay.Run{
		Spec: spec, Status: Finished, Params: parameters(fitted), Metrics: map[string]assay.Number{}, Outputs: []assay.File{},
		Seeded: []string{"learner"}, Unseeded: []string{}, Missing: []string{},
		Environment: assay.Environment{Platform: machine.Platform, CPU: machine.CPU, Threads: machine.Threads, Interpreter: "assay " + s.Version},
	}
	sum := 0.0
	for i, fold := range folds {
		score, err := s.score(ctx, fitted, fold, def)
		if ctx.Err() != nil {
			return t, "", ctx.Err()
		}
		if err != nil {
			t.failed = true
			r.Status, r.Problems = Failed, []string{err.Error()}
			break
		}
		r.Metrics[foldName(i)] = assay.Number(score)
		sum += sign * score
		t.steps = append(t.steps, sum/float64(i+1))
		if i < len(folds)-1 && prune(s.Pruner, t.steps, history) {
			t.pruned = true
			break
		}
	}
	if !t.failed && !t.pruned {
		r.Metrics[s.Metric] = assay.Number(sign * t.value())
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
		return t, "", err
	}
	rec, err := (result{run: r, subject: id, context: circumstances}).record(ctx, st, s.Parents)
	return t, rec.ID, err
}

func foldName(i int) string { return "fold." + strconv.Itoa(i) }

// recalled reads a trial back from its run.
func recalled(rec assay.Record, at point, folds int, sign float64) (tried, bool) {
	r, err := assay.Decode[assay.Run](rec.Evidence)
	if err != nil || r.Status != Finished {
		return tried{}, false
	}
	sum := 0.0
	t := tried{at: at}
	for i := range folds {
		v, ok := r.Metrics[foldName(i)]
		if !ok {
			t.pruned = true
			break
		}
		sum += sign * float64(v)
		t.steps = append(t.steps, sum/float64(i+1))
	}
	return t, len(t.steps) > 0
}

// score fits on one part of the rows and scores on the other.
func (s SearchSpec) score(ctx context.Context, spec learn.Spec, fold stat.Fold, def metric.Definition) (float64, error) {
	train, test := s.Data, s.Data.Valid
	if fold.Train != nil {
		train, test = take(s.Data, fold.Train), new(learn.Data)
		*test = take(s.Data, fold.Test)
	}
	m, err := learn.Fit(ctx, spec, train)
	if err != nil {
		return 0, err
	}
	in, err := input(m, spec, *test)
	if err != nil {
		return 0, err
	}
	v, err := def.Score(in)
	if err != nil {
		return 0, err
	}
	if !v.Defined() {
		return math.NaN(), nil
	}
	return v.Value, nil
}

// take returns the given rows of the data, without validation rows: early stopping inside a fold would look at rows that other folds
// are scored on.
func take(d learn.Data, rows []int) learn.Data {
	out := learn.Data{X: d.X.Take(rows)}
	if d.Labels != nil {
		out.Labels = make([]int32, len(rows))
	}
	if d.Values != nil {
		out.Values = make([]float64, len(rows))
	}
	if d.Weights != nil {
		out.Weights = make([]float64, len(rows))
	}
	for i, r := range rows {
		if d.Labels != nil {
			out.Labels[i] = d.Labels[r]
		}
		if d.Values != nil {
			out.Values[i] = d.Values[r]
		}
		if d.Weights != nil {
			out.Weights[i] = d.Weights[r]
		}
	}
	return out
}
