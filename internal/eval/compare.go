package eval

import (
	"context"

	"github.com/assay-ml/assay"
)

// Compare holds a candidate against a reference on the same rows. The verdict is on the primary metric: the candidate is not worse by
// more than the margin (the lower bound of the paired difference lies above −margin); Better asks the same above 0. The caller fills
// in candidate, reference, split and rows.
func Compare(ctx context.Context, t *Truth, candidate, reference *Scores, margin float64, o Options) (assay.Comparison, error) {
	o = o.withDefaults()
	if margin < 0 {
		return assay.Comparison{}, assay.Errorf(assay.Invalid, "margin %v is below 0", margin)
	}
	if err := check(t, o, candidate, reference); err != nil {
		return assay.Comparison{}, err
	}
	if o.Primary == "" {
		o.Primary = o.Metrics[0]
	}
	out := assay.Comparison{Name: reference.Name, Count: int64(t.N()), Margin: margin, Primary: o.Primary, Metrics: []assay.MetricDifference{}}
	s := newSample(t, allRows(t.N()))
	p, err := newPair(ctx, s, prepare(t, candidate, o.Threshold), prepare(t, reference, o.Threshold), o)
	if err != nil {
		return out, err
	}
	for _, name := range o.Metrics {
		def, err := definition(name)
		if err != nil {
			return out, err
		}
		diff, pvalue, test := p.gain(name, def.Higher)
		m := assay.MetricDifference{
			Name: name, Definition: def.ID, Candidate: p.estimate(p.first[name], false), Reference: p.estimate(p.second[name], true),
			Difference: diff, PValue: assay.Number(pvalue), Test: test, Verdict: notWorse(diff, margin),
		}
		out.Metrics = append(out.Metrics, m)
		if name == o.Primary {
			out.Verdict, out.Better = m.Verdict, diff.Above(0)
		}
	}
	return out, nil
}

// notWorse judges non-inferiority. Two models that answer alike have a difference of exactly 0 without an interval: not worse.
func notWorse(diff assay.Estimate, margin float64) assay.Verdict {
	if diff.Value == 0 && (!diff.HasInterval() || diff.Lo == 0 && diff.Hi == 0) {
		return assay.Pass
	}
	switch {
	case !diff.Defined() || !diff.HasInterval():
		return assay.Undetermined
	case diff.Lo >= -margin:
		return assay.Pass
	case diff.Hi < -margin:
		return assay.Fail
	}
	return assay.Undetermined
}
