package eval

import (
	"context"
	"math"

	"golang.org/x/sync/errgroup"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/metric"
	"github.com/assay-ml/assay/stat"
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

// newSlices makes the slices and measures those with enough rows.
func newSlices(t *Truth, p *prepared, defs []metric.Definition, o Options) (*cuts, error) {
	parsed, err := parseSlices(o.Slices, t.Columns)
	if err != nil {
		return nil, err
	}
	c := &cuts{t: t, p: p, o: o, defs: defs, out: make([]assay.Slice, len(parsed)), score: make([]*scoring, len(parsed))}
	g := errgroup.Group{}
	g.SetLimit(threads(o))
	for i, d := range parsed {
		g.Go(func() error {
			s := newSample(t, d.rows)
			sl := assay.Slice{Name: d.name, Count: int64(s.n), Positives: s.positives(), Metrics: []assay.SliceMetric{}, Verdict: assay.Undetermined}
			c.out[i] = sl
			few := t.Task == assay.Binary && min(sl.Positives, sl.Count-sl.Positives) < o.MinPositives
			if s.units() < o.MinRows || few {
				return nil
			}
			x, err := newScoring(s, p, nil, defs, o)
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

// judge holds every slice against all other rows, and corrects the p-values of each metric for the number of slices. A slice fails
// when the primary metric is worse than on the rest beyond the margin and that is not chance.
func (c *cuts) judge(ctx context.Context) ([]assay.Slice, error) {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(threads(c.o))
	worse := make([]float64, len(c.out)) // p-value of the primary metric beyond the margin
	for i, x := range c.score {
		worse[i] = math.NaN()
		if x == nil {
			continue
		}
		g.Go(func() error {
			if err := ctx.Err(); err != nil {
				return assay.Errorf(assay.Unavailable, "evaluation stopped: %w", err)
			}
			rest := newSample(c.t, x.s.others())
			for k, m := range x.first {
				sm := assay.SliceMetric{Name: m.name, Estimate: x.estimate(m, false), Gap: assay.Undefined("no other rows", 0), PValue: assay.Number(math.NaN())}
				if rest.n > 1 {
					r, err := rest.measure(c.defs[k], c.p, true)
					if err != nil {
						return err
					}
					var test stat.Test
					sm.Gap, test = gap(m, r, 0, c.o.Level)
					sm.PValue = assay.Number(test.P)
					if m.name == c.o.Primary {
						_, test = gap(m, r, c.o.SliceMargin, c.o.Level)
						worse[i] = test.P
					}
				}
				c.out[i].Metrics = append(c.out[i].Metrics, sm)
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	for k := range c.defs {
		p := make([]float64, len(c.out))
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
	for i, p := range stat.Adjust(worse, c.o.Correction) {
		if math.IsNaN(p) {
			continue
		}
		c.out[i].Verdict = assay.Pass
		for _, m := range c.out[i].Metrics {
			if m.Name == c.o.Primary && m.Gap.Value < -c.o.SliceMargin && p < 1-c.o.Level {
				c.out[i].Verdict = assay.Fail
			}
		}
	}
	return c.out, nil
}

// gap is slice minus rest, positive when the slice is better, and the test that it is −margin: two independent samples. A proportion
// has Newcombe's interval; the rest the jackknife's standard errors with Welch's degrees of freedom, which for a mean is Welch's test.
// An entity with rows on both sides makes the two agree, so that taking them as independent is on the safe side.
func gap(m, rest *measure, margin, level float64) (assay.Estimate, stat.Test) {
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
	nm, nr := float64(n), float64(rest.s.units())
	df := math.Pow(se, 4) / (math.Pow(sm, 4)/(nm-1) + math.Pow(sr, 4)/(nr-1))
	t := stat.Test{Statistic: (v + margin) / se, DF: df}
	t.P = 2 * stat.TSF(math.Abs(t.Statistic), df)
	if m.share != nil && m.s.entity == nil {
		x1, n1 := m.share(m.count)
		x2, n2 := rest.share(rest.count)
		e := stat.ProportionDifference(x1, n1, x2, n2, level, "")
		if sign < 0 {
			e.Lo, e.Hi = -e.Hi, -e.Lo
		}
		e.Value, e.N = v, n
		if z := stat.ProportionZTest(x1, n1, x2, n2, ""); margin == 0 && z.Defined() {
			t = z
		}
		return e, t
	}
	h := se * stat.TQuantile((1+level)/2, df)
	method := methodJackknife
	if m.s.entity != nil {
		method = "cluster " + method
	} else if m.rows != nil {
		method = "welch"
	}
	return assay.Estimate{Value: v, Lo: v - h, Hi: v + h, Level: level, Method: method, N: n}, t
}
