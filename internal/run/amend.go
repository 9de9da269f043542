package run

import (
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/store"
)

// An Addition is what is written to a run after it finished.
type Addition struct {
	Params  map[string]string
	Metrics map[string]assay.Number
	Outputs []assay.File // whose bytes are in the store's blobs
}

// Amend adds to a finished run. The run itself is frozen: the addition becomes a record of its own, with the same subject, the run as
// parent and Run.Amends set, that holds everything the run held and what came later. A value that the run has already may not change.
func Amend(ctx context.Context, run assay.Record, a Addition, st store.Store) (assay.Record, error) {
	r, err := assay.Decode[assay.Run](run.Evidence)
	if err != nil {
		return assay.Record{}, err
	}
	var p assay.Problems
	if run.Kind != assay.KindRun {
		p.Add("%s is %s evidence, not a run", run.ID.Short(), run.Kind)
	}
	params, metrics := maps.Clone(r.Params), maps.Clone(r.Metrics)
	for _, k := range slices.Sorted(maps.Keys(a.Params)) {
		v := redact(k, a.Params[k])
		if old, ok := params[k]; ok && old != v {
			p.Add("param %q is %q already", k, old)
		}
		params[k] = v
	}
	for _, k := range slices.Sorted(maps.Keys(a.Metrics)) {
		if old, ok := metrics[k]; ok && !same(old, a.Metrics[k]) {
			p.Add("metric %q is %v already", k, float64(old))
		}
		metrics[k] = a.Metrics[k]
	}
	outputs := slices.Clone(r.Outputs)
	for _, f := range a.Outputs {
		i := slices.IndexFunc(outputs, func(o assay.File) bool { return o.Name == f.Name })
		switch {
		case i < 0:
			outputs = append(outputs, f)
		case outputs[i] != f:
			p.Add("output %q is there already and differs", f.Name)
		}
		if IsModel(f.Name) && r.Model == "" {
			r.Model = f.Digest
		}
		if _, err := st.Blobs().Stat(ctx, f.Digest); err != nil {
			return assay.Record{}, err
		}
	}
	if len(params) > MaxParams || len(metrics) > MaxMetrics || len(outputs) > MaxOutputs {
		p.Add("more than %d params, %d metrics or %d outputs", MaxParams, MaxMetrics, MaxOutputs)
	}
	if err := p.Err(assay.Refused, "run "+run.ID.Short()+" is finished and cannot take this"); err != nil {
		return assay.Record{}, err
	}
	slices.SortFunc(outputs, func(x, y assay.File) int { return strings.Compare(x.Name, y.Name) })
	r.Params, r.Metrics, r.Outputs, r.Amends = params, metrics, outputs, run.ID
	ev, err := store.Evidence(assay.KindRun, run.Subject, append(slices.Clone(run.Parents), run.ID), r)
	if err != nil {
		return assay.Record{}, err
	}
	records, err := st.Append(ctx, nil, ev)
	if err != nil {
		return assay.Record{}, err
	}
	return records[0], nil
}

// same reports whether two metrics are the same number, or both undefined.
func same(a, b assay.Number) bool { return a == b || a != a && b != b }
