package eval

import (
	"math"
	"strings"

	"github.com/assay-ml/assay/metric"
	"github.com/assay-ml/assay/stat"
)

// isPooled reports whether a metric is of one ranking of all cells, rows by classes.
func isPooled(name string) bool {
	return name == "roc_auc_score_micro" || name == "average_precision_score_micro"
}

// maxExact is the number of steps up to which the values without a row are computed one by one; beyond it they are taken to first order,
// as the sum of what the row's cells do, which differs by the order of 1/n².
const maxExact = 1 << 24

// pooled is a metric of one ranking of all cells: what is drawn, and left out, is a row with all of its cells.
func (m *measure) pooled(d metric.Definition, p *prepared) (func() float64, error) {
	s, k := m.s, len(m.s.t.Classes)
	n := s.t.N()
	positive := make([]bool, n*k)
	for i := range positive {
		positive[i] = s.t.isClass(i/k, i%k)
	}
	r, err := stat.NewRanking(positive, p.input.Proba)
	if err != nil {
		return nil, err
	}
	if s.keep != nil {
		r = r.Subset(widen(s.keep, k, nil))
	}
	weight := widen(s.t.Weight, k, nil)
	one := func(counts []uint8) float64 {
		var auc, ap float64
		switch {
		case r.Len() == 0:
			return math.NaN()
		case weight != nil:
			auc, ap = r.WeightedAreas(counts, weight)
		default:
			auc, ap = r.Areas(counts)
		}
		if strings.HasPrefix(d.Name, "average_precision") {
			return ap
		}
		return auc
	}
	m.whole = true
	m.weigh = func() func(whole, local []uint8) float64 {
		cells := make([]uint8, n*k)
		return func(whole, _ []uint8) float64 { return one(widen(whole, k, cells)) }
	}
	m.leave = func() []float64 {
		if s.n*n*k <= maxExact {
			counts, out := make([]uint8, n*k), make([]float64, s.n)
			for i := range counts {
				counts[i] = 1
			}
			for j := range out {
				cells := counts[s.at(j)*k : (s.at(j)+1)*k]
				clear(cells)
				out[j] = one(counts)
				for c := range cells {
					cells[c] = 1
				}
			}
			return out
		}
		auc, ap := r.Jackknife()
		if weight != nil {
			auc, ap = r.WeightedJackknife(weight)
		}
		if strings.HasPrefix(d.Name, "average_precision") {
			auc = ap
		}
		row := make([]int, len(auc))
		for i := range row {
			row[i] = i / k
		}
		return stat.ClusterJackknife(one(nil), auc, row)
	}
	return func() float64 { return one(nil) }, nil
}

// widen repeats each value k times into out, or into a new slice; nil stays nil.
func widen[T any](values []T, k int, out []T) []T {
	if values == nil {
		return nil
	}
	if out == nil {
		out = make([]T, len(values)*k)
	}
	for i, v := range values {
		for c := range k {
			out[i*k+c] = v
		}
	}
	return out
}
