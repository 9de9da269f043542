package eval

import (
	"context"
	"math"
	"runtime"
	"slices"

	"golang.org/x/sync/errgroup"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/stat"
)

// A sample is some of the rows of a truth, as a metric sees them.
type sample struct {
	t      *Truth
	rows   []int32 // ascending
	y      []uint8 // 1 for the positive class of a binary task
	entity []int32 // codes from 0 without gaps; nil when rows are independent
	groups int
}

func newSample(t *Truth, rows []int32) *sample {
	s := &sample{t: t, rows: rows}
	if t.Task == assay.Binary {
		s.y = make([]uint8, len(rows))
		for j, i := range rows {
			if int(t.Class[i]) == t.Positive {
				s.y[j] = 1
			}
		}
	}
	if t.Entity != nil {
		seen := map[int32]int32{}
		s.entity = make([]int32, len(rows))
		for j, i := range rows {
			e := t.Entity[i]
			code, ok := seen[e]
			if !ok {
				code = int32(len(seen))
				seen[e] = code
			}
			s.entity[j] = code
		}
		s.groups = len(seen)
	}
	return s
}

func allRows(n int) []int32 {
	rows := make([]int32, n)
	for i := range rows {
		rows[i] = int32(i)
	}
	return rows
}

func (s *sample) positives() (n int64) {
	for _, v := range s.y {
		n += int64(v)
	}
	return n
}

// A measure is one metric of one model on one sample, ready to be weighted.
type measure struct {
	family family
	influence
	s     *sample
	k     int
	score []float64 // rank: by position in the sample
	order []int32   // rank: positions by ascending score
	flat  bool      // rank: every score is equal
	cell  []int32   // cells
	loss  []float64 // loss
	p     *prepared // r2
}

// orders remembers the sample's positions by ascending score of one model, so that several metrics share one sort.
type orders map[*prepared][]int32

func (s *sample) order(p *prepared, memo orders) []int32 {
	if o, ok := memo[p]; ok {
		return o
	}
	var out []int32
	if len(s.rows) == len(p.order) {
		out = p.order
	} else {
		at := make([]int32, len(p.order))
		for i := range at {
			at[i] = -1
		}
		for j, i := range s.rows {
			at[i] = int32(j)
		}
		out = make([]int32, 0, len(s.rows))
		for _, i := range p.order {
			if at[i] >= 0 {
				out = append(out, at[i])
			}
		}
	}
	memo[p] = out
	return out
}

func (s *sample) measure(f family, p *prepared, memo orders) *measure {
	m := &measure{family: f, s: s, k: len(s.t.Classes), p: p}
	switch {
	case f.rank != nil:
		m.score = make([]float64, len(s.rows))
		for j, i := range s.rows {
			m.score[j] = p.score[i]
		}
		m.order = s.order(p, memo)
		m.flat = len(m.order) == 0 || m.score[m.order[0]] == m.score[m.order[len(m.order)-1]]
		m.influence = f.rank(s.y, m.score, m.order)
	case f.cells != nil:
		m.cell = s.cells(p)
		m.influence = cellInfluence(m.cell, m.k*m.k, func(n []float64) float64 { return f.cells(n, m.k) })
	case f.loss != nil:
		m.loss = make([]float64, len(s.rows))
		for j, i := range s.rows {
			m.loss[j] = f.loss(s.t, p, int(i))
		}
		m.influence = meanInfluence(m.loss)
		if f.finish != nil {
			v, slope := f.finish(m.value)
			m.value = v
			for j := range m.effect {
				m.effect[j] *= slope
			}
		}
	default:
		m.influence = r2Influence(s.t, p, s.rows)
	}
	return m
}

// cells are the confusion cells of the rows, true × predicted; in a binary task the positive class comes last.
func (s *sample) cells(p *prepared) []int32 {
	k := int32(len(s.t.Classes))
	out := make([]int32, len(s.rows))
	flip := s.t.Task == assay.Binary && s.t.Positive == 0
	for j, i := range s.rows {
		a, b := s.t.Class[i], p.label[i]
		if flip {
			a, b = 1-a, 1-b
		}
		out[j] = a*k + b
	}
	return out
}

// counts are the confusion counts of a cells measure.
func (m *measure) counts() []float64 {
	n := make([]float64, m.k*m.k)
	for _, c := range m.cell {
		n[c]++
	}
	return n
}

// weighted is the metric with weight w[j] on the row at position j.
func (m *measure) weighted(w []uint8) float64 {
	switch {
	case m.family.delong:
		return weightedAUC(m.s.y, m.score, m.order, w)
	case m.family.rank != nil:
		if m.flat {
			var pos, all float64
			for j, v := range w {
				pos += float64(v) * float64(m.s.y[j])
				all += float64(v)
			}
			if pos == 0 {
				return math.NaN()
			}
			return pos / all
		}
		return weightedAP(m.s.y, m.score, m.order, w)
	case m.family.cells != nil:
		n := make([]float64, m.k*m.k)
		for j, v := range w {
			n[m.cell[j]] += float64(v)
		}
		return m.family.cells(n, m.k)
	case m.family.loss != nil:
		var sum, of float64
		for j, v := range w {
			sum += float64(v) * m.loss[j]
			of += float64(v)
		}
		if m.family.finish != nil {
			v, _ := m.family.finish(sum / of)
			return v
		}
		return sum / of
	}
	var of, mean, res, tot float64
	for j, i := range m.s.rows {
		of += float64(w[j])
		mean += float64(w[j]) * m.s.t.Value[i]
	}
	mean /= of
	for j, i := range m.s.rows {
		d := m.s.t.Value[i] - mean
		res += float64(w[j]) * squaredRow(m.s.t, m.p, int(i))
		tot += float64(w[j]) * d * d
	}
	if tot == 0 {
		return math.NaN()
	}
	return 1 - res/tot
}

func weightedAUC(y []uint8, score []float64, order []int32, w []uint8) float64 {
	var below, pos, area float64
	for a := 0; a < len(order); {
		var tp, tn float64
		b := a
		for v := score[order[a]]; b < len(order) && score[order[b]] == v; b++ {
			j := order[b]
			if y[j] == 1 {
				tp += float64(w[j])
			} else {
				tn += float64(w[j])
			}
		}
		area += tp * (below + tn/2)
		below += tn
		pos += tp
		a = b
	}
	if pos == 0 || below == 0 {
		return math.NaN()
	}
	return area / (pos * below)
}

func weightedAP(y []uint8, score []float64, order []int32, w []uint8) float64 {
	var cumA, cumW, sum float64
	for b := len(order) - 1; b >= 0; {
		var tp, all float64
		for v := score[order[b]]; b >= 0 && score[order[b]] == v; b-- {
			j := order[b]
			all += float64(w[j])
			tp += float64(w[j]) * float64(y[j])
		}
		if all == 0 {
			continue
		}
		cumA += tp
		cumW += all
		sum += tp * cumA / cumW
	}
	if cumA == 0 {
		return math.NaN()
	}
	return sum / cumA
}

// bootstrap returns, for each replicate, the values of the measures under Poisson(1) weights of rows, or of whole entities. The
// weights of a replicate depend on the seed, the replicate and the row only, so that the result is the same at any thread count.
func (s *sample) bootstrap(ctx context.Context, o Options, measures []*measure) ([][]float64, error) {
	out := make([][]float64, len(measures))
	for i := range out {
		out[i] = make([]float64, o.Replicates)
	}
	threads := o.Threads
	if threads <= 0 {
		threads = runtime.GOMAXPROCS(0)
	}
	g, ctx := errgroup.WithContext(ctx)
	for worker := range threads {
		g.Go(func() error {
			w := make([]uint8, len(s.rows))
			groups := make([]uint8, s.groups)
			for r := worker; r < o.Replicates; r += threads {
				if err := ctx.Err(); err != nil {
					return err
				}
				rnd := stat.NewRand(o.Seed, 0x626f6f74, uint64(r))
				if s.entity != nil {
					rnd.PoissonFill(0, groups)
					for j, e := range s.entity {
						w[j] = groups[e]
					}
				} else {
					rnd.PoissonFill(0, w)
				}
				for i, m := range measures {
					out[i][r] = m.weighted(w)
				}
			}
			return nil
		})
	}
	return out, g.Wait()
}

// interval makes the interval of a value from its replicates: BCa with the acceleration of its effects (DiCiccio and Efron 1996),
// the percentile interval where the effects are degenerate, undefined where over 1 % of the replicates are.
func interval(value float64, replicates, effect []float64, entity []int32, level float64, n int64) assay.Estimate {
	sorted := make([]float64, 0, len(replicates))
	for _, v := range replicates {
		if !math.IsNaN(v) {
			sorted = append(sorted, v)
		}
	}
	if math.IsNaN(value) {
		return assay.Undefined("the metric has no value on these rows", n)
	}
	if len(sorted)*100 < len(replicates)*99 {
		return assay.Point(value, "no interval: undefined in over 1 % of the bootstrap replicates", n)
	}
	slices.Sort(sorted)
	if sorted[0] == sorted[len(sorted)-1] {
		return assay.Point(value, "no interval: every bootstrap replicate is equal", n)
	}
	var below float64
	for _, v := range sorted {
		switch {
		case v < value:
			below++
		case v == value:
			below += 0.5
		}
	}
	method := "bca"
	if entity != nil {
		method = "cluster bca"
		sums := make([]float64, slices.Max(entity)+1)
		for j, e := range entity {
			sums[e] += effect[j]
		}
		effect = sums
	}
	z0 := stat.NormalQuantile(below / float64(len(sorted)))
	a := acceleration(effect)
	if math.IsNaN(a) || math.IsInf(z0, 0) {
		a, z0 = 0, 0
		method = map[bool]string{true: "cluster percentile", false: "percentile"}[entity != nil]
	}
	end := func(p float64) float64 {
		z := z0 + stat.NormalQuantile(p)
		return percentile(sorted, stat.NormalCDF(z0+z/(1-a*z)))
	}
	tail := (1 - level) / 2
	return assay.Estimate{Value: value, Lo: end(tail), Hi: end(1 - tail), Level: level, Method: method, N: n}
}

// percentile interpolates linearly between order statistics.
func percentile(sorted []float64, p float64) float64 {
	at := p * float64(len(sorted)-1)
	i := int(at)
	if i >= len(sorted)-1 {
		return sorted[len(sorted)-1]
	}
	return sorted[i] + (at-float64(i))*(sorted[i+1]-sorted[i])
}

// mean is Student's interval of a mean of per-row losses.
func (m *measure) mean(level float64) assay.Estimate {
	n := int64(len(m.loss))
	if n < 2 {
		return assay.Point(m.value, "no interval: one row", n)
	}
	h := deviation(m.effect, nil) * stat.TQuantile((1+level)/2, float64(n-1))
	if m.family.finish != nil { // the interval of the mean, carried through the root
		var sum float64
		for _, v := range m.loss {
			sum += v
		}
		mean := sum / float64(n)
		plain := meanInfluence(m.loss)
		h = deviation(plain.effect, nil) * stat.TQuantile((1+level)/2, float64(n-1))
		lo, _ := m.family.finish(max(mean-h, 0))
		hi, _ := m.family.finish(mean + h)
		return assay.Estimate{Value: m.value, Lo: lo, Hi: hi, Level: level, Method: "t, transformed", N: n}
	}
	return assay.Estimate{Value: m.value, Lo: m.value - h, Hi: m.value + h, Level: level, Method: "t", N: n}
}

// wald is the normal interval with the deviation of the effects.
func wald(value float64, effect []float64, entity []int32, level float64) assay.Estimate {
	n := int64(len(effect))
	if math.IsNaN(value) {
		return assay.Undefined("the metric has no value on these rows", n)
	}
	sd := deviation(effect, entity)
	if math.IsNaN(sd) {
		return assay.Point(value, "no interval: one row or entity", n)
	}
	h := sd * stat.NormalQuantile((1+level)/2)
	method := "infinitesimal jackknife"
	if entity != nil {
		method += " by entity"
	}
	return assay.Estimate{Value: value, Lo: value - h, Hi: value + h, Level: level, Method: method, N: n}
}
