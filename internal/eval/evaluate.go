package eval

import (
	"context"
	"math"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/stat"
)

// Evaluate scores a model beside a baseline on the same rows. The caller fills in what only it knows: data, split, part, rows, read.
func Evaluate(ctx context.Context, t *Truth, model, baseline *Scores, o Options) (assay.Evaluation, error) {
	o = o.withDefaults()
	if err := check(t, o, model, baseline); err != nil {
		return assay.Evaluation{}, err
	}
	if o.Primary == "" {
		o.Primary = o.Metrics[0]
	}
	e := assay.Evaluation{
		Count: int64(t.N()), Level: o.Level, Seed: o.Seed, Replicates: o.Replicates, Task: t.Task, Classes: t.Classes, Entity: t.Name,
		Primary: o.Primary, Baseline: baseline.Name, Slices: []assay.Slice{}, Fairness: []assay.Disparity{}, Threshold: assay.Number(math.NaN()),
	}
	m, b := prepare(t, model, o.Threshold), prepare(t, baseline, o.Threshold)
	s := newSample(t, allRows(t.N()))
	pair, err := newPair(ctx, s, m, b, o)
	if err != nil {
		return e, err
	}
	for _, name := range o.Metrics {
		met, err := pair.metric(name)
		if err != nil {
			return e, err
		}
		e.Metrics = append(e.Metrics, met)
	}
	if o.Business != nil {
		met, err := pair.business(ctx, o.Business)
		if err != nil {
			return e, err
		}
		e.Business = &met
	}
	if t.Task.Classifies() {
		e.Confusion = confusion(t, m)
	}
	if t.Task == assay.Binary {
		e.Positive = t.Classes[t.Positive]
		e.Threshold = assay.Number(o.Threshold)
		e.Calibration = calibration(s, m, o.Level)
		if e.Fairness, err = fairness(s, m, o); err != nil {
			return e, err
		}
	}
	e.Slices, err = slicesOf(ctx, t, m, b, o)
	return e, err
}

// A pair is two models on one sample, with the replicates that their metrics share.
type pair struct {
	s      *sample
	o      Options
	a, b   *prepared
	first  map[string]*measure
	second map[string]*measure
	reps   map[*measure][]float64
	delong *stat.DeLong
}

// newPair measures both models with every metric, and runs the bootstrap for the metrics whose interval needs it.
func newPair(ctx context.Context, s *sample, a, b *prepared, o Options) (*pair, error) {
	p := &pair{s: s, o: o, a: a, b: b, first: map[string]*measure{}, second: map[string]*measure{}, reps: map[*measure][]float64{}}
	memo := orders{}
	var need []*measure
	for _, name := range o.Metrics {
		f := families[name]
		x, y := s.measure(f, a, memo), s.measure(f, b, memo)
		p.first[name], p.second[name] = x, y
		if f.bootstrapped() || s.entity != nil {
			need = append(need, x, y)
		}
		if f.delong && s.entity == nil && p.delong == nil {
			positive := make([]bool, len(s.y))
			for i, v := range s.y {
				positive[i] = v == 1
			}
			d, err := stat.NewDeLong(positive, x.score, y.score)
			if err != nil {
				return nil, err
			}
			p.delong = d
		}
	}
	if len(need) > 0 {
		reps, err := s.bootstrap(ctx, o, need)
		if err != nil {
			return nil, err
		}
		for i, m := range need {
			p.reps[m] = reps[i]
		}
	}
	return p, nil
}

// bootstrapped reports whether the family has no interval in closed form.
func (f family) bootstrapped() bool {
	return !f.delong && f.loss == nil
}

// estimate gives the interval that fits the metric.
func (p *pair) estimate(m *measure, second bool) assay.Estimate {
	n := int64(len(p.s.rows))
	level := p.o.Level
	switch {
	case math.IsNaN(m.value):
		return assay.Undefined("the metric has no value on these rows", n)
	case p.s.entity != nil:
		return interval(m.value, p.reps[m], m.effect, p.s.entity, level, int64(p.s.groups))
	case m.family.delong:
		i := 0
		if second {
			i = 1
		}
		return p.delong.Estimate(i, level, "")
	case m.family.share != nil:
		x, of := m.family.share(m.counts(), m.k)
		return stat.Proportion(x, of, level, "")
	case m.family.loss != nil:
		return m.mean(level)
	}
	return interval(m.value, p.reps[m], m.effect, nil, level, n)
}

// gain is the paired difference, positive when the first model is better.
func (p *pair) gain(name string, higher bool) (assay.Estimate, float64, string) {
	a, b := p.first[name], p.second[name]
	sign := 1.0
	if !higher {
		sign = -1
	}
	n := int64(len(p.s.rows))
	value := sign * (a.value - b.value)
	if math.IsNaN(value) {
		return assay.Undefined("one of the two has no value on these rows", n), math.NaN(), ""
	}
	effect := subtract(a.effect, b.effect)
	for i := range effect {
		effect[i] *= sign
	}
	if a.family.delong && p.s.entity == nil {
		est, test := p.delong.Difference(0, 1, p.o.Level)
		return est, test.P, "delong"
	}
	sd := deviation(effect, p.s.entity)
	pvalue := 2 * stat.NormalSF(math.Abs(value)/sd)
	if sd == 0 {
		pvalue = math.NaN()
	}
	if a.family.loss != nil && p.s.entity == nil {
		h := sd * stat.TQuantile((1+p.o.Level)/2, float64(n-1))
		return assay.Estimate{Value: value, Lo: value - h, Hi: value + h, Level: p.o.Level, Method: "paired t", N: n}, 2 * stat.TSF(math.Abs(value)/sd, float64(n-1)), "paired t"
	}
	ra, rb := p.reps[a], p.reps[b]
	diff := make([]float64, len(ra))
	for i := range ra {
		diff[i] = sign * (ra[i] - rb[i])
	}
	est := interval(value, diff, effect, p.s.entity, p.o.Level, n)
	if est.HasInterval() {
		est.Method = "paired " + est.Method
	}
	return est, pvalue, "paired bootstrap"
}

// metric is one row of the result.
func (p *pair) metric(name string) (assay.Metric, error) {
	def, err := definition(name)
	if err != nil {
		return assay.Metric{}, err
	}
	gain, _, _ := p.gain(name, def.Higher)
	return assay.Metric{
		Name: name, Definition: def.ID, Higher: def.Higher, Estimate: p.estimate(p.first[name], false), Baseline: p.estimate(p.second[name], true),
		Gain: gain, Verdict: gain.Above(0),
	}, nil
}

// confusion counts true × predicted, in the order of the classes.
func confusion(t *Truth, p *prepared) [][]int64 {
	k := len(t.Classes)
	out := make([][]int64, k)
	for i := range out {
		out[i] = make([]int64, k)
	}
	for i, c := range t.Class {
		out[c][p.label[i]]++
	}
	return out
}

// calibrationBins is the number of equal-width bins of the reliability curve.
const calibrationBins = 10

// calibration is the reliability curve over equal-width bins, right-closed as in scikit-learn's calibration_curve; empty bins are
// left out; the intervals are Wilson's.
func calibration(s *sample, p *prepared, level float64) []assay.CalibrationBin {
	var n, pos, sum [calibrationBins]float64
	for j, i := range s.rows {
		b := int(math.Ceil(p.score[i]*calibrationBins)) - 1
		b = min(max(b, 0), calibrationBins-1)
		n[b]++
		pos[b] += float64(s.y[j])
		sum[b] += p.score[i]
	}
	var out []assay.CalibrationBin
	for b := range n {
		if n[b] > 0 {
			out = append(out, assay.CalibrationBin{Lower: float64(b) / calibrationBins, Upper: float64(b+1) / calibrationBins, Mean: sum[b] / n[b],
				Fraction: stat.Proportion(pos[b], n[b], level, "")})
		}
	}
	return out
}

// slicesOf scores every slice with every metric, holds each against all other rows, and judges the primary metric's gap after Holm's
// correction over the slices that have enough rows.
func slicesOf(ctx context.Context, t *Truth, m, b *prepared, o Options) ([]assay.Slice, error) {
	defs, err := parseSlices(o.Slices, t.Columns)
	if err != nil {
		return nil, err
	}
	out := make([]assay.Slice, 0, len(defs))
	var judged []int
	var pvalues []float64
	inSlice := make([]bool, t.N())
	for _, d := range defs {
		clear(inSlice)
		for _, i := range d.rows {
			inSlice[i] = true
		}
		rest := make([]int32, 0, t.N()-len(d.rows))
		for i, in := range inSlice {
			if !in {
				rest = append(rest, int32(i))
			}
		}
		s, r := newSample(t, d.rows), newSample(t, rest)
		sl := assay.Slice{Name: d.name, Count: int64(len(d.rows)), Positives: s.positives(), Metrics: []assay.SliceMetric{}, Verdict: assay.Undetermined}
		enough := sl.Count >= o.MinRows && (t.Task != assay.Binary || sl.Positives >= o.MinPositives && sl.Count-sl.Positives >= o.MinPositives)
		if enough {
			p, err := newPair(ctx, s, m, b, o)
			if err != nil {
				return nil, err
			}
			memo := orders{}
			for _, name := range o.Metrics {
				def, err := definition(name)
				if err != nil {
					return nil, err
				}
				x := p.first[name]
				sm := assay.SliceMetric{Name: name, Estimate: p.estimate(x, false), Gap: assay.Undefined("no other rows", 0), PValue: assay.Number(math.NaN())}
				if len(rest) > 1 {
					y := r.measure(families[name], m, memo)
					sm.Gap, sm.PValue = gap(x, y, def.Higher, o.Level)
				}
				sl.Metrics = append(sl.Metrics, sm)
				if name == o.Primary && !math.IsNaN(float64(sm.PValue)) {
					judged = append(judged, len(out))
					pvalues = append(pvalues, float64(sm.PValue))
				}
			}
		}
		out = append(out, sl)
	}
	adjusted := holm(pvalues)
	for j, i := range judged {
		for k := range out[i].Metrics {
			sm := &out[i].Metrics[k]
			if sm.Name != o.Primary {
				continue
			}
			sm.PValue = assay.Number(adjusted[j])
			out[i].Verdict = assay.Pass
			if adjusted[j] < 1-o.Level && sm.Gap.Value < 0 {
				out[i].Verdict = assay.Fail
			}
		}
	}
	return out, nil
}

// gap is slice minus rest, positive when the slice is better: two independent samples, normal with the deviations of the effects.
// With entities on both sides the samples are taken as independent too, which is conservative when an entity's rows agree.
func gap(x, y *measure, higher bool, level float64) (assay.Estimate, assay.Number) {
	n := int64(len(x.s.rows))
	if math.IsNaN(x.value) || math.IsNaN(y.value) {
		return assay.Undefined("the metric has no value on the slice or the rest", n), assay.Number(math.NaN())
	}
	v := x.value - y.value
	if !higher {
		v = -v
	}
	sx, sy := deviation(x.effect, x.s.entity), deviation(y.effect, y.s.entity)
	sd := math.Hypot(sx, sy)
	if !(sd > 0) {
		return assay.Point(v, "no interval: no variation", n), assay.Number(math.NaN())
	}
	h := sd * stat.NormalQuantile((1+level)/2)
	return assay.Estimate{Value: v, Lo: v - h, Hi: v + h, Level: level, Method: "infinitesimal jackknife", N: n}, assay.Number(2 * stat.NormalSF(math.Abs(v)/sd))
}
