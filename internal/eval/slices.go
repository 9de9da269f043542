package eval

import (
	"context"
	"fmt"
	"math"
	"slices"

	"golang.org/x/sync/errgroup"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/metric"
	"github.com/assay-ml/assay/stat"
)

// A SliceRule says what the verdict on a slice is about.
type SliceRule string

// Rules of slices.
const (
	AgainstReference SliceRule = "baseline" // not worse than the baseline (of a comparison: the other model) on the same rows; the default
	AgainstRest      SliceRule = "rest"     // not worse than on all other rows
)

// cuts are the slices of one evaluation.
type cuts struct {
	t     *Truth
	p     *prepared
	o     Options
	defs  []metric.Definition
	out   []assay.Slice
	score []*scoring // nil where there are too few rows
}

// newSlices makes the slices and measures those with enough rows: the metrics of a model, the primary one of its reference too.
func newSlices(t *Truth, p, reference *prepared, defs []metric.Definition, o Options) (*cuts, error) {
	parsed, err := parseSlices(o.Slices, t.Columns)
	if err != nil {
		return nil, err
	}
	c := &cuts{t: t, p: p, o: o, defs: defs, out: make([]assay.Slice, len(parsed)), score: make([]*scoring, len(parsed))}
	samples := make([]*sample, len(parsed))
	g := errgroup.Group{}
	g.SetLimit(threads(o))
	for i, d := range parsed {
		g.Go(func() error {
			s := newSample(t, d.rows)
			positives := s.positives()
			sl := assay.Slice{Name: d.name, Count: int64(s.n), Positives: &positives, Metrics: []assay.SliceMetric{}, Verdict: assay.Undetermined}
			switch few := min(positives, sl.Count-positives); {
			case s.tooFew(o.MinRows) != "":
				sl.Reason = s.tooFew(o.MinRows)
			case t.Task == assay.Binary && few < o.MinPositives:
				sl.Reason = fmt.Sprintf("fewer than %d rows of a class", o.MinPositives)
			}
			if s.w != nil {
				sl.Effective = stat.EffectiveN(s.w)
			}
			c.out[i], samples[i] = sl, s
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	if o.Sealed {
		withhold(parsed, c.out, t.N())
	}
	for i, s := range samples {
		if c.out[i].Reason != "" {
			continue
		}
		g.Go(func() error {
			x, err := newScoring(s, p, reference, o.Primary, defs, o)
			c.score[i] = x
			return err
		})
	}
	return c, g.Wait()
}

func (c *cuts) scorings() []*scoring {
	var out []*scoring
	for _, x := range c.score {
		if x != nil {
			out = append(out, x)
		}
	}
	return out
}

// primary is the place of the primary metric among the definitions.
func (c *cuts) primary() int {
	return slices.IndexFunc(c.defs, func(d metric.Definition) bool { return d.Name == c.o.Primary })
}

// judge gives every slice its figures and its verdict. The gap to all other rows says how hard a slice is; its p-values are corrected
// for the number of slices. What is judged is the gain over the reference on the same rows (or, by the rule, the gap) in the primary
// metric, and the value itself when there is a limit.
func (c *cuts) judge(ctx context.Context) ([]assay.Slice, error) {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(threads(c.o))
	n, k := len(c.out), c.primary()
	gains, above := make([]assay.Estimate, n), make([]assay.Estimate, n)
	for i, x := range c.score {
		gains[i], above[i] = assay.Undefined("too few rows", 0), assay.Undefined("too few rows", 0)
		if x == nil {
			continue
		}
		g.Go(func() error {
			if err := ctx.Err(); err != nil {
				return assay.Errorf(assay.Unavailable, "evaluation stopped: %w", err)
			}
			if err := c.figures(i); err != nil {
				return err
			}
			sl := &c.out[i]
			gain, _, _ := x.gain(k)
			ref := x.estimate(x.second[k], true)
			sl.Reference, sl.Gain = &ref, &gain
			gains[i] = gain
			if c.o.SliceRule == AgainstRest {
				gains[i] = sl.Metrics[k].Gap
			}
			if c.o.SliceLimit != nil {
				above[i] = beyond(sl.Metrics[k].Estimate, *c.o.SliceLimit, c.defs[k].Higher)
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	for k := range c.defs {
		p := make([]float64, n)
		for i, s := range c.out {
			p[i] = math.NaN()
			if len(s.Metrics) > 0 {
				p[i] = float64(s.Metrics[k].PValue)
			}
		}
		for i, v := range stat.Adjust(p, c.o.Correction) {
			if len(c.out[i].Metrics) > 0 {
				c.out[i].Metrics[k].PValue = assay.Number(v)
			}
		}
	}
	than := "than the baseline on the same rows"
	if c.o.SliceRule == AgainstRest {
		than = "than on all other rows"
	}
	verdicts, ps := notWorseOf(gains, c.o.SliceMargin, c.o)
	limits, _ := notWorseOf(above, 0, c.o)
	for i := range c.out {
		sl := &c.out[i]
		if c.score[i] == nil {
			continue
		}
		p := assay.Number(ps[i])
		sl.PValue, sl.Verdict, sl.Reason = &p, verdicts[i], reasonOf(verdicts[i], gains[i], than)
		if why := c.score[i].caution(k, true); c.o.SliceRule == AgainstReference && why != "" && gains[i].HasInterval() && gains[i].Method != methodSame {
			verdicts[i], sl.Verdict, sl.Reason = assay.Undetermined, assay.Undetermined, why
		}
		if c.o.SliceLimit != nil {
			if sl.Verdict = sl.Verdict.And(limits[i]); sl.Reason == "" || sl.Verdict != verdicts[i] {
				sl.Reason = reasonOf(limits[i], above[i], "than the limit "+assay.FormatNumber(*c.o.SliceLimit, math.NaN()))
			}
		}
	}
	return c.out, nil
}

// figures fills in the metrics of a slice and their gaps to all other rows.
func (c *cuts) figures(i int) error {
	x := c.score[i]
	rest := newSample(c.t, x.s.others())
	for k, m := range x.first {
		sm := assay.SliceMetric{Name: m.name, Estimate: x.estimate(m, false), Gap: assay.Undefined("no other rows", 0), PValue: assay.Number(math.NaN())}
		if rest.n > 1 && rest.effective() > 1 {
			r, err := rest.measure(c.defs[k], c.p, true)
			if err != nil {
				return err
			}
			var test stat.Test
			sm.Gap, test = gap(m, r, c.o.Level)
			sm.PValue = assay.Number(test.P)
		}
		c.out[i].Metrics = append(c.out[i].Metrics, sm)
	}
	return nil
}

// beyond turns a value into how much better than a limit it is.
func beyond(e assay.Estimate, limit float64, higher bool) assay.Estimate {
	if higher {
		e.Value, e.Lo, e.Hi = e.Value-limit, e.Lo-limit, e.Hi-limit
	} else {
		e.Value, e.Lo, e.Hi = limit-e.Value, limit-e.Hi, limit-e.Lo
	}
	return e
}

// notWorseOf judges estimates that are positive where a slice is better: pass when the interval's lower end is at or above −margin, fail
// when the upper end is below it and the p-value, corrected over all of them, leaves no room for chance. Passing needs no correction:
// that all slices pass is claimed only when each does.
func notWorseOf(es []assay.Estimate, margin float64, o Options) ([]assay.Verdict, []float64) {
	p := make([]float64, len(es))
	for i, e := range es {
		p[i] = atLeast(e, -margin)
	}
	p = stat.Adjust(p, o.Correction)
	out := make([]assay.Verdict, len(es))
	for i, e := range es {
		if out[i] = notWorse(e, margin); out[i] == assay.Fail && !(p[i] < 1-o.Level) {
			out[i] = assay.Undetermined
		}
	}
	return out, p
}

// atLeast is the two-sided p-value of a limit by the interval, whose arm on the limit's side stands for the error: below 1 − level
// exactly when the interval leaves the limit out.
func atLeast(e assay.Estimate, limit float64) float64 {
	if !e.Defined() || !e.HasInterval() {
		return math.NaN()
	}
	arm := e.Hi - e.Value
	if limit < e.Value {
		arm = e.Value - e.Lo
	}
	if arm <= 0 {
		if e.Value == limit {
			return 1
		}
		return 0
	}
	z := math.Abs(e.Value-limit) / arm * stat.NormalQuantile((1+e.Level)/2)
	return 2 * stat.NormalSF(z)
}

func reasonOf(v assay.Verdict, e assay.Estimate, than string) string {
	switch {
	case v == assay.Pass:
		return ""
	case v == assay.Fail:
		return "worse " + than
	case !e.HasInterval():
		return "no interval"
	}
	return "not certain whether worse " + than
}

// gap is slice minus rest, positive when the slice is better, and the test that it is 0: two independent samples. A proportion
// has Newcombe's interval; the rest the jackknife's standard errors with Welch's degrees of freedom, which for a mean is Welch's test.
// An entity with rows on both sides makes the two agree, so that taking them as independent is on the safe side.
func gap(m, rest *measure, level float64) (assay.Estimate, stat.Test) {
	none := stat.Test{Statistic: math.NaN(), DF: math.NaN(), P: math.NaN()}
	n := m.s.units()
	if math.IsNaN(m.value) || math.IsNaN(rest.value) || m.why != "" || rest.why != "" {
		return assay.Undefined("the metric has no value on the slice or the rest", n), none
	}
	v := m.value - rest.value
	sign := 1.0
	if !m.higher {
		sign = -1
	}
	v *= sign
	sm, sr := m.deviation(), rest.deviation()
	se := math.Hypot(sm, sr)
	if !(se > 0) {
		return assay.Point(v, "no interval: no variation, or no standard error", n), none
	}
	nm, nr := m.s.effective(), rest.s.effective()
	df := math.Pow(se, 4) / (math.Pow(sm, 4)/(nm-1) + math.Pow(sr, 4)/(nr-1))
	t := stat.Test{Statistic: v / se, DF: df}
	t.P = 2 * stat.TSF(math.Abs(t.Statistic), df)
	if m.share != nil && m.s.entity == nil && m.s.w == nil {
		x1, n1 := m.share(m.count)
		x2, n2 := rest.share(rest.count)
		e := stat.ProportionDifference(x1, n1, x2, n2, level, "")
		if sign < 0 {
			e.Lo, e.Hi = -e.Hi, -e.Lo
		}
		e.Value, e.N = v, n
		if z := stat.ProportionZTest(x1, n1, x2, n2, ""); z.Defined() {
			t = z
		}
		return e, t
	}
	h := se * stat.TQuantile((1+level)/2, df)
	method := methodJackknife
	if m.s.entity != nil {
		method = "cluster " + method
	}
	if m.s.w != nil {
		method = methodWeighted + method
	} else if m.s.entity == nil && m.rows != nil {
		method = "welch"
	}
	e := assay.Estimate{Value: v, Lo: v - h, Hi: v + h, Level: level, Method: method, N: n}
	if m.of != nil {
		e = m.of.CutDifference(m.s.t.Task, e)
	}
	return e, t
}
