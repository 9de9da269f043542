package eval

import (
	"context"
	"slices"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/metric"
	"github.com/assay-ml/assay/stat"
)

// Compare holds a candidate against a reference on the same rows. The verdict is on the primary metric: the candidate is not worse by
// more than the margin (the lower bound of the paired difference lies at or above −margin); Better asks the same above 0. The caller
// fills in candidate, reference, split and rows.
func Compare(ctx context.Context, t *Truth, candidate, reference *Scores, margin float64, o Options) (assay.Comparison, error) {
	o = o.withDefaults()
	if !(margin >= 0) {
		return assay.Comparison{}, assay.Errorf(assay.Invalid, "margin %v is not at least 0", margin)
	}
	if err := check(t, o, candidate, reference); err != nil {
		return assay.Comparison{}, err
	}
	defs, err := definitions(o.Metrics)
	if err != nil {
		return assay.Comparison{}, err
	}
	t = t.fold()
	out := assay.Comparison{Name: reference.Name, Count: int64(t.N()), Queries: t.queries(), Clipped: int64(candidate.Clipped) + int64(reference.Clipped), Margin: margin, Primary: o.Primary, Metrics: []assay.MetricDifference{}}
	if t.Weight != nil {
		out.Weight, out.Effective = t.Weighted, stat.EffectiveN(t.Weight)
	}
	a, b := prepare(t, candidate, o.Threshold), prepare(t, reference, o.Threshold)
	x, err := newScoring(newSample(t, nil), a, b, "", defs, o)
	if err != nil {
		return out, err
	}
	at := slices.IndexFunc(defs, func(d metric.Definition) bool { return d.Name == o.Primary })
	cut, err := newSlices(t, a, b, defs[at:at+1], o)
	if err != nil {
		return out, err
	}
	if err := bootstrap(ctx, t, o, append(cut.scorings(), x)...); err != nil {
		return out, err
	}
	out.Slices = cut.differences()
	for i, d := range defs {
		diff, pvalue, test := x.gain(i)
		caution := ""
		if diff.HasInterval() && diff.Method != methodSame {
			caution = x.caution(i, true)
		}
		m := assay.MetricDifference{
			Name: d.Name, Definition: d.ID, Candidate: x.estimate(x.first[i], false), Reference: x.estimate(x.second[i], true),
			Difference: diff, PValue: assay.Number(pvalue), Test: test, Verdict: trusted(notWorse(diff, margin), caution), Caution: caution,
		}
		out.Metrics = append(out.Metrics, m)
		if d.Name == o.Primary {
			out.Verdict, out.Better = m.Verdict, trusted(diff.Above(0), caution)
		}
	}
	return out, nil
}

// differences holds the primary metric of two models against each other slice by slice. The cuts have that metric alone.
func (c *cuts) differences() []assay.SliceDifference {
	gains := make([]assay.Estimate, len(c.out))
	for i, x := range c.score {
		gains[i] = assay.Undefined("too few rows", c.out[i].Count)
		if x != nil {
			gains[i], _, _ = x.gain(0)
		}
	}
	verdicts, p := notWorseOf(gains, c.o.SliceMargin, c.o)
	var out []assay.SliceDifference
	for i, sl := range c.out {
		d := assay.SliceDifference{
			Name: sl.Name, Count: sl.Count, Positives: sl.Positives, Candidate: gains[i], Reference: gains[i], Difference: gains[i],
			PValue: assay.Number(p[i]), Verdict: verdicts[i], Reason: sl.Reason,
		}
		if x := c.score[i]; x != nil {
			d.Candidate, d.Reference = x.estimate(x.first[0], false), x.estimate(x.second[0], true)
			d.Reason = reasonOf(verdicts[i], gains[i], "than the other model on the same rows")
			if why := x.caution(0, true); why != "" && gains[i].HasInterval() && gains[i].Method != methodSame {
				d.Verdict, d.Reason = assay.Undetermined, why
			}
		}
		out = append(out, d)
	}
	return out
}

// notWorse judges non-inferiority on the interval of the difference. Models that answer alike on every row have the interval [0, 0]:
// not worse.
func notWorse(diff assay.Estimate, margin float64) assay.Verdict {
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

// Comparable refuses two evaluations that may not be held against each other: other rows, another task or positive class, other
// definitions of the same metric. It lists every difference.
func Comparable(a, b assay.Evaluation) error {
	var bad assay.Problems
	if a.Rows != b.Rows || a.Count != b.Count {
		bad.Add("they are of different rows: %s (%d) and %s (%d)", a.Rows.Short(), a.Count, b.Rows.Short(), b.Count)
	}
	if a.Task != b.Task {
		bad.Add("one is of a %s task, the other of a %s task", a.Task, b.Task)
	}
	if a.Positive != b.Positive {
		bad.Add("the positive class is %q in one and %q in the other", a.Positive, b.Positive)
	}
	if a.Weight != b.Weight {
		bad.Add("one weighs rows by %s, the other by %s", weighing(a), weighing(b))
	}
	ids := map[string]string{}
	for _, m := range a.Metrics {
		ids[m.Name] = m.Definition
	}
	for _, m := range b.Metrics {
		if id, ok := ids[m.Name]; ok && id != m.Definition {
			bad.Add("%s is %s in one and %s in the other", m.Name, id, m.Definition)
		}
	}
	return bad.Err(assay.Refused, "the evaluations cannot be compared")
}

func weighing(e assay.Evaluation) string {
	if e.Weight == "" {
		return "nothing"
	}
	return e.Weight
}
