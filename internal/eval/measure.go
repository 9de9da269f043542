package eval

import (
	"math"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/metric"
	"github.com/assay-ml/assay/stat"
)

// A measure is one metric of one model on one sample: its value, and what its interval is made of.
type measure struct {
	s      *sample
	name   string
	of     *metric.Definition // nil of a business metric
	higher bool
	value  float64
	why    string // why the value is a convention or missing; empty when it is a measurement
	still  string // why the metric has no interval; empty when it has

	area   bool                                      // area under the ROC curve of two classes: DeLong
	rows   []float64                                 // a mean of these: Student
	hits   bool                                      // with rows: they are 0 or 1, and the mean a proportion: Wilson
	table  func(c metric.Confusion) float64          // a function of the confusion matrix: resampled by cell
	share  func(c metric.Confusion) (x, of float64)  // a proportion of the confusion matrix: Wilson
	tabled bool                                      // a function of the tables of the labels of a multilabel task
	cell   []int32                                   // with table: the cell of each row
	count  metric.Confusion                          // with table
	weigh  func() func(whole, local []uint8) float64 // the value under weights of all rows, or of the sample's
	whole  bool                                      // weigh reads the weights of all rows only
	leave  func() []float64                          // the value without each row of the sample; nil when that costs too much
	among  func(class int) bool                      // with share: the true classes whose rows it is about; nil: all, or not known from the truth
	likes  stat.BootstrapMethod                      // "": BCa where there are values without each row, else percentile
	draws  []float64                                 // bootstrap replicates, once they are made
}

// measure scores a model on the sample. The value is that of the metric's definition; fast takes it from the same numbers that the
// interval is made of, which differs from it by rounding only.
func (s *sample) measure(d metric.Definition, p *prepared, fast bool) (*measure, error) {
	m := &measure{s: s, name: d.Name, of: &d, higher: d.Higher, value: math.NaN()}
	var err error
	var own func() float64 // the value by the fast way
	switch {
	case d.IsCounted() && s.t.Task != assay.Multilabel:
		own = m.counted(d, p)
	case d.IsTabled() && s.t.Task == assay.Multilabel:
		m.tabled = true
		own, err = m.bySums(tabled(d, p))
	case d.IsMean():
		m.hits = d.Name == "accuracy_score" || d.Name == "zero_one_loss"
		own, err = m.mean(d, p)
	case rankOf(d.Name) != nil:
		own, err = m.ranked(d, p)
	case isPooled(d.Name):
		own, err = m.pooled(d, p)
	case sumsOf(d.Name) != nil:
		own, err = m.summed(d, p)
	default:
		m.generic(d, p)
	}
	if err != nil {
		return nil, err
	}
	if fast && own != nil && s.w == nil {
		m.value = own()
		if math.IsNaN(m.value) {
			m.why = "the metric has no value on these rows"
		}
		return m, nil
	}
	v, err := d.Score(s.input(p))
	if err != nil {
		return nil, assay.Errorf(assay.Rejected, "%w", err)
	}
	m.value, m.why = v.Value, v.Undefined
	return m, nil
}

// measured is NaN for a value that is a convention.
func measured(v metric.Value, err error) float64 {
	if err != nil || !v.Defined() {
		return math.NaN()
	}
	return v.Value
}

// counted is a metric of the confusion matrix.
func (m *measure) counted(d metric.Definition, p *prepared) func() float64 {
	m.cell, m.count = m.s.cells(p)
	positive := m.s.t.Positive
	m.table = func(c metric.Confusion) float64 {
		if c.Total() == 0 {
			return math.NaN()
		}
		return measured(d.FromConfusion(c, positive))
	}
	if f := shareOf(d.Name, m.s.t.Task); f != nil {
		m.share = func(c metric.Confusion) (float64, float64) { return f(c, positive) }
		switch d.Name {
		case "recall_score", "false_negative_rate":
			m.among = func(class int) bool { return class == positive }
		case "true_negative_rate", "false_positive_rate":
			m.among = func(class int) bool { return class != positive }
		}
	}
	return m.byTable()
}

// byTable gives a measure with cells its weights, its values without a row and its value.
func (m *measure) byTable() func() float64 {
	m.weigh = func() func(_, local []uint8) float64 {
		c := metric.Confusion{Classes: m.count.Classes, Counts: make([]float64, len(m.count.Counts))}
		return func(_, local []uint8) float64 {
			clear(c.Counts)
			if m.s.w != nil {
				for j, w := range local {
					c.Counts[m.cell[j]] += float64(w) * m.s.w[j]
				}
				return m.table(c)
			}
			for j, w := range local {
				c.Counts[m.cell[j]] += float64(w)
			}
			return m.table(c)
		}
	}
	m.leave = func() []float64 {
		if m.s.w != nil {
			return m.leaveWeighted()
		}
		c := metric.Confusion{Classes: m.count.Classes, Counts: append([]float64(nil), m.count.Counts...)}
		without := make([]float64, len(c.Counts))
		for i, n := range c.Counts {
			if n > 0 {
				c.Counts[i]--
				without[i] = m.table(c)
				c.Counts[i]++
			}
		}
		out := make([]float64, len(m.cell))
		for j, i := range m.cell {
			out[j] = without[i]
		}
		return out
	}
	return func() float64 { return m.table(m.count) }
}

// shareOf gives numerator and denominator of the metrics that are proportions; nil for others.
func shareOf(name string, task assay.Task) func(c metric.Confusion, positive int) (x, of float64) {
	right := func(c metric.Confusion) (n float64) {
		for i := range c.Classes {
			n += c.At(i, i)
		}
		return n
	}
	switch name {
	case "accuracy_score", "precision_score_micro", "recall_score_micro", "f1_score_micro":
		return func(c metric.Confusion, _ int) (float64, float64) { return right(c), c.Total() }
	case "zero_one_loss", "hamming_loss":
		return func(c metric.Confusion, _ int) (float64, float64) { return c.Total() - right(c), c.Total() }
	}
	if task != assay.Binary {
		return nil
	}
	switch name {
	case "precision_score":
		return func(c metric.Confusion, p int) (float64, float64) { return c.At(p, p), c.At(p, p) + c.At(1-p, p) }
	case "recall_score":
		return func(c metric.Confusion, p int) (float64, float64) { return c.At(p, p), c.At(p, p) + c.At(p, 1-p) }
	case "false_negative_rate":
		return func(c metric.Confusion, p int) (float64, float64) { return c.At(p, 1-p), c.At(p, p) + c.At(p, 1-p) }
	case "true_negative_rate":
		return func(c metric.Confusion, p int) (float64, float64) {
			return c.At(1-p, 1-p), c.At(1-p, 1-p) + c.At(1-p, p)
		}
	case "false_positive_rate":
		return func(c metric.Confusion, p int) (float64, float64) { return c.At(1-p, p), c.At(1-p, 1-p) + c.At(1-p, p) }
	}
	return nil
}

// mean is a metric that is the mean of one number a row.
func (m *measure) mean(d metric.Definition, p *prepared) (func() float64, error) {
	all, err := p.perRow(d.Name)
	if err != nil {
		return nil, err
	}
	m.rows = take(m.s, all, 1)
	if m.s.w != nil {
		// A mean of weighted rows is a quotient of two sums.
		return m.bySums(&sums{nil, 1, [][]float64{all}, func(w, v []float64) float64 { return v[0] / w[0] }})
	}
	m.weigh = func() func(_, local []uint8) float64 {
		return func(_, local []uint8) float64 {
			var sum, of float64
			for j, w := range local {
				sum += float64(w) * m.rows[j]
				of += float64(w)
			}
			return sum / of
		}
	}
	average := func() float64 {
		var sum float64
		for _, v := range m.rows {
			sum += v
		}
		return sum / float64(len(m.rows))
	}
	m.leave = func() []float64 {
		n, mean := float64(len(m.rows)), average()
		out := make([]float64, len(m.rows))
		for j, v := range m.rows {
			out[j] = mean + (mean-v)/(n-1)
		}
		return out
	}
	return average, nil
}

// generic is any other metric: its replicates are scores of weighted rows. It has no values without each row, which would cost n
// scores.
func (m *measure) generic(d metric.Definition, p *prepared) {
	switch d.Name {
	case "max_error", "maximum_calibration_error":
		m.still = "the bootstrap does not hold for a maximum"
		return
	case "roc_auc_score_ovo", "roc_auc_score_ovo_weighted":
		m.still = "too many pairs of classes to resample"
		return
	}
	m.weigh = func() func(_, local []uint8) float64 {
		in := m.s.input(p)
		in.Weights = make([]float64, m.s.n)
		return func(_, local []uint8) float64 {
			for j, w := range local {
				in.Weights[j] = float64(w) * m.s.weight(j)
			}
			return measured(d.Score(in))
		}
	}
}

// deviation is the jackknife's standard error of the value, by entity when there are any; NaN when it has none.
func (m *measure) deviation() float64 {
	if m.leave == nil || m.still != "" {
		return math.NaN()
	}
	jack := m.leave()
	if m.s.entity != nil {
		jack = stat.ClusterJackknife(m.value, jack, m.s.entity)
	}
	n := float64(len(jack))
	if n < 2 {
		return math.NaN()
	}
	var mean, sq float64
	for _, v := range jack {
		mean += v
	}
	mean /= n
	for _, v := range jack {
		sq += (v - mean) * (v - mean)
	}
	return math.Sqrt(sq * (n - 1) / n)
}
