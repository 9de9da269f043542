package eval

import (
	"context"
	"math"
	"slices"
	"strings"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/metric"
	"github.com/assay-ml/assay/stat"
)

// A scoring is the metrics of one model, or of two side by side, on one sample.
type scoring struct {
	s      *sample
	o      Options
	a, b   *prepared
	first  []*measure
	second []*measure   // of b; nil where the metric is of a alone
	delong *stat.DeLong // of a, and of b when there is one
}

// newScoring measures the metrics of a and, unless it is nil, of b: all of them, or the one that only names.
func newScoring(s *sample, a, b *prepared, only string, defs []metric.Definition, o Options) (*scoring, error) {
	x := &scoring{s: s, o: o, a: a, b: b}
	for _, d := range defs {
		m, err := s.measure(d, a, false)
		if err != nil {
			return nil, err
		}
		var w *measure
		if b != nil && (only == "" || d.Name == only) {
			if w, err = s.measure(d, b, false); err != nil {
				return nil, err
			}
		}
		if err := x.add(m, w); err != nil {
			return nil, err
		}
	}
	return x, nil
}

// add appends a measure of the first model and, when there are two, that of the second.
func (x *scoring) add(m, w *measure) error {
	x.first, x.second = append(x.first, m), append(x.second, w)
	if !m.area || x.s.entity != nil || x.s.w != nil || x.delong != nil {
		return nil
	}
	scores := [][]float64{take(x.s, x.a.score(x.s.t.Positive), 1)}
	if w != nil {
		scores = append(scores, take(x.s, x.b.score(x.s.t.Positive), 1))
	}
	positive := make([]bool, x.s.n)
	for j := range positive {
		positive[j] = int(x.s.t.Class[x.s.at(j)]) == x.s.t.Positive
	}
	var err error
	x.delong, err = stat.NewDeLong(positive, scores...)
	return err
}

// closed reports whether the interval of measure i has a closed form on this sample, so that no replicate is needed.
func (x *scoring) closed(i int) bool {
	m := x.first[i]
	if m.still != "" {
		return true
	}
	if x.s.entity != nil || x.s.w != nil {
		return false
	}
	return m.area || m.rows != nil || m.share != nil && (x.second[i] == nil || m.paired())
}

// paired reports whether the measure is the share of rows that are right, of all or of a true class, so that the difference of two
// models is a fourfold table.
func (m *measure) paired() bool {
	if m.among != nil {
		return true
	}
	switch m.name {
	case "accuracy_score", "zero_one_loss", "hamming_loss", "precision_score_micro", "recall_score_micro", "f1_score_micro":
		return m.share != nil
	}
	return false
}

// estimate gives a measure the interval that fits it, which reaches no further than the metric's range.
func (x *scoring) estimate(m *measure, second bool) assay.Estimate {
	e := x.interval(m, second)
	if m.of == nil || !e.HasInterval() {
		return e
	}
	least, greatest := m.of.Range(x.s.t.Task)
	e.Lo, e.Hi = max(e.Lo, min(least, e.Value)), min(e.Hi, max(greatest, e.Value)) // rounding puts a value beyond its range by an ulp
	return e
}

// interval is estimate before its interval is cut.
func (x *scoring) interval(m *measure, second bool) assay.Estimate {
	n, level := x.s.units(), x.o.Level
	switch {
	case math.IsNaN(m.value):
		return assay.Undefined(m.why, n)
	case m.why != "":
		return assay.Point(m.value, "no interval: a convention, "+m.why, n)
	case m.still != "":
		return assay.Point(m.value, "no interval: "+m.still, n)
	case x.s.entity != nil || x.s.w != nil:
	case m.area:
		i := 0
		if second {
			i = 1
		}
		e := x.delong.Estimate(i, level, "")
		e.Value = m.value
		return e
	case m.hits:
		var hits float64
		for _, v := range m.rows {
			hits += v
		}
		e := stat.Proportion(hits, float64(len(m.rows)), level, "")
		e.Value = m.value
		return e
	case m.rows != nil:
		e := m.certain(m.rows, m.average(level))
		e.Value = m.value
		if e.Lo < 0 && slices.Min(m.rows) >= 0 {
			e.Lo = 0 // no loss of a row is below 0, so no mean is
		}
		return e
	case m.share != nil:
		k, of := m.share(m.count)
		e := stat.Proportion(k, of, level, "")
		e.Value = m.value
		return e
	}
	var jack []float64
	if m.leave != nil {
		jack = m.leave()
	}
	e := x.resampled(m, m.value, m.draws, jack, "")
	if m.likes == stat.Basic && e.HasInterval() {
		// A distance is not below 0, and its interval holds the value that is reported.
		e.Lo, e.Hi = math.Min(math.Max(e.Lo, 0), e.Value), math.Max(e.Hi, e.Value)
	}
	return e
}

// Methods of an estimate that are no method of package stat.
const (
	methodSame      = "identical predictions"
	methodUnmoved   = "no interval: every replicate is equal"
	methodTwoAreas  = "newcombe-area difference"
	methodPairedT   = "paired t"
	methodJackknife = "jackknife"
)

// resampled makes an interval of bootstrap replicates; jack holds the values without each row, and may be nil. What does not move
// under resampling is not certain: it has no interval.
func (x *scoring) resampled(m *measure, value float64, draws, jack []float64, prefix string) assay.Estimate {
	if x.s.w != nil {
		prefix += methodWeighted
	}
	if x.s.entity != nil {
		prefix += "cluster "
		if jack != nil {
			jack = stat.ClusterJackknife(value, jack, x.s.entity)
		}
	}
	r := stat.Resampled{Value: value, Replicates: draws, N: x.s.units()}
	if jack != nil {
		r.Jackknife = [][]float64{jack}
	}
	e := r.Estimate(x.o.Level, m.likes)
	if !e.HasInterval() {
		return e
	}
	if unmoved(draws) {
		return assay.Point(value, methodUnmoved, r.N)
	}
	e.Method = prefix + e.Method
	return e
}

// unmoved reports whether all defined replicates are equal.
func unmoved(draws []float64) bool {
	first := math.NaN()
	for _, v := range draws {
		if math.IsNaN(v) {
			continue
		}
		if math.IsNaN(first) {
			first = v
		}
		if v != first {
			return false
		}
	}
	return true
}

// gain is the paired difference in metric i, positive when the first model is better, with the p-value of no difference and the name
// of its test. Its interval reaches no further than two values of the metric can be apart, and no further than one can be from the 0.5
// that is the area of a model with one answer for all rows.
func (x *scoring) gain(i int) (assay.Estimate, float64, string) {
	e, p, test := x.difference(i)
	d := x.first[i].of
	if d == nil || !e.HasInterval() {
		return e, p, test
	}
	least, greatest := d.Range(x.s.t.Task)
	from := [2][2]float64{{least, greatest}, {least, greatest}}
	if strings.HasPrefix(d.Name, "roc_auc_score") && !strings.HasSuffix(d.Name, "_micro") { // which is of all labels together
		for side, m := range []*measure{x.first[i], x.second[i]} {
			if m.value == 0.5 && x.s.constant([]*prepared{x.a, x.b}[side]) {
				from[side] = [2]float64{0.5, 0.5}
			}
		}
	}
	lo, hi := from[0][0]-from[1][1], from[0][1]-from[1][0]
	if !d.Higher {
		lo, hi = -hi, -lo
	}
	e.Lo, e.Hi = max(e.Lo, lo), min(e.Hi, hi)
	return e, p, test
}

// difference is gain before its interval is cut.
func (x *scoring) difference(i int) (assay.Estimate, float64, string) {
	a, b := x.first[i], x.second[i]
	n, nan := x.s.units(), math.NaN()
	sign := 1.0
	if !a.higher {
		sign = -1
	}
	value := sign * (a.value - b.value)
	switch {
	case math.IsNaN(value):
		return assay.Undefined("one of the two has no value on these rows", n), nan, ""
	case a.why != "" || b.why != "":
		return assay.Point(value, "no interval: a convention, "+a.why+b.why, n), nan, ""
	case a.still != "":
		return assay.Point(value, "no interval: "+a.still, n), nan, ""
	case x.s.entity != nil || x.s.w != nil:
	case a.area:
		return x.areas(value)
	case a.rows != nil:
		diff := make([]float64, len(a.rows))
		same := true
		for j := range diff {
			diff[j] = sign * (a.rows[j] - b.rows[j])
			same = same && diff[j] == 0
		}
		switch {
		case same && (!x.s.isOfLists() || x.sameAnswers()):
			return assay.Estimate{Level: x.o.Level, Method: methodSame, N: n}, nan, methodPairedT
		case same && !a.hits:
			// Two orders of the documents may be worth the same in every query and not be one.
			return assay.Point(0, "no interval: the models answer differently, and score the same on all "+x.s.rowName(), n), nan, methodPairedT
		}
		if a.hits {
			first, second := make([]bool, len(diff)), make([]bool, len(diff))
			for j := range diff {
				first[j], second[j] = diff[j] > 0 || diff[j] == 0 && a.rows[j] > 0, diff[j] < 0 || diff[j] == 0 && a.rows[j] > 0
			}
			t := stat.PairedOf(first, second)
			return t.Difference(x.o.Level, ""), t.McNemar("").P, "mcnemar"
		}
		e := a.certain(diff, stat.Mean(diff, x.o.Level))
		if e.HasInterval() {
			e.Method = methodPairedT
		}
		return e, stat.PairedT(diff).P, methodPairedT
	case a.paired():
		t := x.fourfold(a.among)
		e := t.Difference(x.o.Level, "")
		return e, t.McNemar("").P, "mcnemar"
	}
	diff := make([]float64, len(a.draws))
	var sum, sq, of float64
	for j := range diff {
		diff[j] = sign * (a.draws[j] - b.draws[j])
		if !math.IsNaN(diff[j]) {
			sum += diff[j]
			of++
		}
	}
	for _, v := range diff {
		if !math.IsNaN(v) {
			sq += (v - sum/of) * (v - sum/of)
		}
	}
	if value == 0 && sq == 0 && of > 0 && sum == 0 {
		return assay.Estimate{Level: x.o.Level, Method: methodSame, N: n}, nan, "paired bootstrap"
	}
	var jack []float64
	if a.leave != nil && b.leave != nil {
		jack = slices.Clone(a.leave())
		for j, v := range b.leave() {
			jack[j] = sign * (jack[j] - v)
		}
	}
	e := x.resampled(a, value, diff, jack, "paired ")
	if !e.HasInterval() || !(sq > 0) {
		return e, nan, "paired bootstrap"
	}
	return e, 2 * stat.NormalSF(math.Abs(value)/math.Sqrt(sq/(of-1))), "paired bootstrap"
}

// constant reports whether a model gives every row of the sample the same probabilities.
func (s *sample) constant(p *prepared) bool {
	proba := s.input(p).Proba
	if len(proba) == 0 || len(proba)%s.n != 0 {
		return false
	}
	k := len(proba) / s.n
	for j := k; j < len(proba); j++ {
		if proba[j] != proba[j%k] {
			return false
		}
	}
	return true
}

// sameAnswers reports whether the two models say the same of every row.
func (x *scoring) sameAnswers() bool {
	a, b := x.s.input(x.a), x.s.input(x.b)
	return slices.Equal(a.Values, b.Values) && slices.Equal(a.Proba, b.Proba) && slices.Equal(a.Labels, b.Labels)
}

// areas is the difference of two areas by DeLong. Where its variance is not to be trusted (few rows of a class, a perfect ranking) the
// interval is squared and added from those of the two areas, which covers too much when the models agree.
func (x *scoring) areas(value float64) (assay.Estimate, float64, string) {
	e, t := x.delong.Difference(0, 1, x.o.Level)
	e.Value = value
	few := min(x.delong.Positives, x.delong.Negatives) < stat.FewOfClass
	if !e.HasInterval() || !few && (e.Lo < e.Hi || value == 0) {
		return e, t.P, "delong"
	}
	if e.Lo == e.Hi && value == 0 {
		e.Method = methodSame
		return e, t.P, "delong"
	}
	a, b := x.delong.Estimate(0, x.o.Level, ""), x.delong.Estimate(1, x.o.Level, "")
	if a.HasInterval() && b.HasInterval() {
		e.Lo = value - math.Hypot(a.Value-a.Lo, b.Hi-b.Value)
		e.Hi = value + math.Hypot(a.Hi-a.Value, b.Value-b.Lo)
		e.Method = methodTwoAreas
	}
	return e, t.P, "delong"
}

// fourfold counts the rows of some true classes (nil: all) that both, one or none of the models got right.
func (x *scoring) fourfold(among func(class int) bool) stat.Paired {
	var first, second []bool
	for j := range x.s.n {
		i := x.s.at(j)
		y := x.s.t.Class[i]
		if among == nil || among(int(y)) {
			first, second = append(first, x.a.input.Labels[i] == y), append(second, x.b.input.Labels[i] == y)
		}
	}
	return stat.PairedOf(first, second)
}

// metric is one row of the result.
func (x *scoring) metric(i int) assay.Metric {
	m := x.first[i]
	gain, _, _ := x.gain(i)
	out := assay.Metric{Name: m.name, Higher: m.higher, Estimate: x.estimate(m, false), Baseline: x.estimate(x.second[i], true), Gain: gain, Verdict: gain.Above(0)}
	if own := x.caution(i, false); own != "" && out.Estimate.HasInterval() {
		out.Caution = own
	}
	if of := x.caution(i, true); of != "" && gain.HasInterval() && gain.Method != methodSame {
		out.Verdict = assay.Undetermined
		out.Caution = strings.TrimPrefix(out.Caution+"; "+of, "; ")
	}
	return out
}

// bootstrap makes the replicates of all scorings that need some. Functions of confusion counts draw counts by cell, whose cost does
// not depend on the rows; everything else shares one draw of weights over all rows (or entities) a replicate. A replicate depends on
// the seed and its number only.
func bootstrap(ctx context.Context, t *Truth, o Options, all ...*scoring) error {
	type use struct {
		x *scoring
		m []*measure
	}
	var byRow []use
	for _, x := range all {
		var cells, rows []*measure
		for i, m := range x.first {
			if x.closed(i) {
				continue
			}
			both := []*measure{m}
			if x.second[i] != nil {
				both = append(both, x.second[i])
			}
			if m.table != nil && x.s.entity == nil && x.s.w == nil {
				cells = append(cells, both...)
			} else {
				rows = append(rows, both...)
			}
		}
		if len(cells) > 0 {
			if err := x.drawCells(ctx); err != nil {
				return err
			}
		}
		if len(rows) > 0 {
			byRow = append(byRow, use{x, rows})
		}
	}
	total := 0
	for _, u := range byRow {
		total += len(u.m)
	}
	if total == 0 {
		return nil
	}
	draws, err := resampler(t, o).Run(ctx, t.N(), total, func() stat.Evaluator {
		var fs []func(whole, local []uint8) float64
		locals := make([][]uint8, len(byRow))
		for i, u := range byRow {
			if u.x.s.rows != nil && slices.ContainsFunc(u.m, func(m *measure) bool { return !m.whole }) {
				locals[i] = make([]uint8, u.x.s.n)
			}
			for _, m := range u.m {
				fs = append(fs, m.weigh())
			}
		}
		return func(counts []uint8, out []float64) {
			at := 0
			for i, u := range byRow {
				local := counts
				if locals[i] != nil {
					local = locals[i]
					for j, row := range u.x.s.rows {
						local[j] = counts[row]
					}
				}
				for range u.m {
					out[at] = fs[at](counts, local)
					at++
				}
			}
		}
	})
	if err != nil {
		return err
	}
	at := 0
	for _, u := range byRow {
		for _, m := range u.m {
			m.draws = draws[at]
			at++
		}
	}
	return nil
}

// resampler draws rows, or entities when there are any.
func resampler(t *Truth, o Options) stat.Resampler {
	r := stat.Resampler{Seed: o.Seed, Replicates: o.Replicates, Threads: o.Threads}
	if t.Entity != nil {
		r.Clusters = make([]int, len(t.Entity))
		for i, e := range t.Entity {
			r.Clusters[i] = int(e)
		}
	}
	return r
}
