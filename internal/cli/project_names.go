package cli

import (
	"context"
	"maps"
	"slices"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/eval"
	"github.com/assay-ml/assay/learn"
)

// checkNames adds the names in the file that Assay does not know, whatever the data are: metrics, learners and their parameters, bands of
// slices.
func (p *Project) checkNames(bad *assay.Problems) {
	say := func(key string, check func(*assay.Problems)) {
		var own assay.Problems
		check(&own)
		for _, x := range own {
			bad.Add("%s: %s", key, x)
		}
	}
	task := p.Data.Target.Task
	say("evaluate.slices", func(own *assay.Problems) { eval.SliceColumns(p.Evaluate.Slices, own) })
	if !slices.Contains(tasks, string(task)) {
		return // and that has been said
	}
	say("evaluate.metrics", func(own *assay.Problems) {
		eval.CheckMetrics(p.Evaluate.Metrics, task, p.Evaluate.Weight != "", own)
	})
	if p.Data.Target.outside() {
		return // no learner is for it, and its baselines are not learners
	}
	fits := func(key, learner string, params map[string]any) {
		say(key, func(own *assay.Problems) { learn.Spec{Learner: learner, Task: task, Params: params}.Check(own) })
	}
	if t := p.Train; t.Learner != "" {
		fits("train", t.Learner, t.Params)
	}
	for _, c := range p.Train.Compare {
		if c != p.Train.Learner {
			fits("train.candidates", c, nil)
		}
	}
	if _, rule := p.Evaluate.Baseline.rule(); !rule {
		fits("evaluate.baseline", p.Evaluate.Baseline.Learner, p.Evaluate.Baseline.arguments())
	}
	if p.Search == nil {
		return
	}
	p.Search.dimensions(bad)
	if l, ok := learn.LookupLearner(p.Train.Learner); ok {
		var names []string
		for _, x := range l.Params {
			names = append(names, x.Name)
		}
		for _, name := range slices.Sorted(maps.Keys(p.Search.Space)) {
			if !slices.Contains(names, name) {
				bad.Add("search.space: %s has no parameter %q%s", l.Name, name, didYouMean(name, names))
			}
		}
	}
}

// checkRules compiles the rules that the file has over the features.
func (p *Project) checkRules(fields []assay.Field, bad *assay.Problems) {
	var x []assay.Field
	features := p.features(fields)
	for _, f := range fields {
		if !slices.Contains(features, f.Name) {
			continue
		}
		switch f.Type {
		case assay.TypeString, assay.TypeJSON, assay.TypeBinary:
			f.Type = assay.TypeString
		default:
			f.Type = assay.TypeNumber
		}
		x = append(x, f)
	}
	if expr, ok := p.Evaluate.Baseline.rule(); ok {
		if _, err := compileRule("evaluate.baseline", expr, p.Data.Target.Task, x); err != nil {
			say := err.Error()
			if hint := assay.HintOf(err); hint != "" {
				say += "; " + hint
			}
			bad.Add("%s", say)
		}
	}
}

// loosely is what is wrong with a project that can be read but not used: what assay.yaml says of itself and, where the data can be read, of
// their columns.
func (a *app) loosely(ctx context.Context, broken error) error {
	p, bad, err := loadProject(a.Dir, a.config)
	if err != nil || len(bad) == 0 || p.Data.URI == "" {
		return broken
	}
	e, err := a.tableEngine(ctx)
	if err != nil {
		return broken
	}
	defer e.Close()
	t, err := e.Read(ctx, p.Path(p.Data.URI), p.readOptions(a))
	if err != nil {
		return broken
	}
	p.columnProblems(t.Fields(), &bad)
	return bad.Err(assay.Invalid, ProjectFile)
}
