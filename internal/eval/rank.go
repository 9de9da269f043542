package eval

import (
	"math"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/metric"
	"github.com/assay-ml/assay/stat"
)

// A rank says how a metric of the order of the rows is put together from rankings of one class against others.
type rank struct {
	precision bool // average precision; else the area under the ROC curve
	pairs     bool // each pair of classes; else each class against the rest
	weighted  bool // by how often the class, or the pair, is true; else the plain mean
}

// maxPairClasses bounds the number of classes up to which pairs are resampled.
const maxPairClasses = 10

func rankOf(name string) *rank {
	switch name {
	case "roc_auc_score", "roc_auc_score_ovr", "roc_auc_score_macro":
		return &rank{}
	case "roc_auc_score_ovr_weighted", "roc_auc_score_weighted":
		return &rank{weighted: true}
	case "roc_auc_score_ovo":
		return &rank{pairs: true}
	case "roc_auc_score_ovo_weighted":
		return &rank{pairs: true, weighted: true}
	case "average_precision_score", "average_precision_score_macro":
		return &rank{precision: true}
	case "average_precision_score_weighted":
		return &rank{precision: true, weighted: true}
	}
	return nil
}

// A term is one ranking of a rank metric: of one class against the rest, or against one other class.
type term struct {
	r     *stat.Ranking
	class int
	other int // −1: the rest
}

// ranked is a metric of the order of the rows.
func (m *measure) ranked(d metric.Definition, p *prepared) (func() float64, error) {
	f, s := rankOf(d.Name), m.s
	k := len(s.t.Classes)
	if f.pairs && k > maxPairClasses {
		m.generic(d, p)
		return nil, nil
	}
	m.area = s.t.Task == assay.Binary && !f.precision
	w := s.t.Weight
	all, err := p.ranked()
	if err != nil {
		return nil, err
	}
	var terms []term
	switch {
	case s.t.Task == assay.Binary:
		terms = []term{{s.ranked(all[0]), s.t.Positive, -1}}
	case f.pairs:
		for a := range k {
			for b := a + 1; b < k; b++ {
				keep := make([]bool, s.t.N())
				for i, y := range s.t.Class {
					keep[i] = (s.keep == nil || s.keep[i]) && (int(y) == a || int(y) == b)
				}
				terms = append(terms, term{all[a].Subset(keep), a, b}, term{all[b].Subset(keep), b, a})
			}
		}
	default:
		for c, r := range all {
			terms = append(terms, term{s.ranked(r), c, -1})
		}
	}
	single := len(terms) == 1
	mean := func(values, classes []float64) float64 {
		if single {
			return values[0]
		}
		var sum, of float64
		for i, t := range terms {
			w := 1.0
			if f.weighted {
				w = classes[t.class]
				if t.other >= 0 {
					w += classes[t.other]
				}
			}
			sum += w * values[i]
			of += w
		}
		return sum / of
	}
	one := func(r *stat.Ranking, counts []uint8) float64 {
		if r.Len() == 0 {
			return math.NaN()
		}
		if w != nil {
			auc, ap := r.WeightedAreas(counts, w)
			if f.precision {
				return ap
			}
			return auc
		}
		if f.precision {
			_, v := r.Areas(counts)
			return v
		}
		return r.AUC(counts)
	}
	// change adds to the weights of the classes that the row at position j is of.
	change := func(weights []float64, j int, by float64) {
		i := s.at(j)
		if s.t.Task != assay.Multilabel {
			weights[s.t.Class[i]] += by
			return
		}
		for c, y := range s.t.Class[i*k : i*k+k] {
			weights[c] += float64(y) * by
		}
	}
	classes := make([]float64, k)
	for j := range s.n {
		change(classes, j, s.weight(j))
	}
	m.whole = !f.weighted
	m.weigh = func() func(whole, local []uint8) float64 {
		values, weights := make([]float64, len(terms)), make([]float64, k)
		return func(whole, local []uint8) float64 {
			for i, t := range terms {
				values[i] = one(t.r, whole)
			}
			if f.weighted {
				clear(weights)
				for j, n := range local {
					change(weights, j, float64(n)*s.weight(j))
				}
			}
			return mean(values, weights)
		}
	}
	values := make([]float64, len(terms))
	own := func() float64 {
		for i, t := range terms {
			values[i] = one(t.r, nil)
		}
		return mean(values, classes)
	}
	m.leave = func() []float64 {
		own()
		jack := func(t term) []float64 {
			auc, ap := t.r.Jackknife()
			if w != nil {
				auc, ap = t.r.WeightedJackknife(w)
			}
			if f.precision {
				return ap
			}
			return auc
		}
		if single {
			return jack(terms[0])
		}
		// Row by row: the terms without the row, those that it is not part of unchanged.
		without := make([][]float64, len(terms))
		for i, t := range terms {
			without[i] = make([]float64, s.n)
			left, at := jack(t), 0
			for j := range s.n {
				without[i][j] = values[i]
				if of := s.at(j); t.other < 0 || s.t.isClass(of, t.class) || s.t.isClass(of, t.other) {
					without[i][j] = left[at]
					at++
				}
			}
		}
		out, row, less := make([]float64, s.n), make([]float64, len(terms)), append([]float64(nil), classes...)
		for j := range out {
			for i := range terms {
				row[i] = without[i][j]
			}
			change(less, j, -s.weight(j))
			out[j] = mean(row, less)
			change(less, j, s.weight(j))
		}
		return out
	}
	return own, nil
}
