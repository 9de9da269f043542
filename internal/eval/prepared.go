package eval

import (
	"sync"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/metric"
	"github.com/assay-ml/assay/stat"
)

// prepared is one model's predictions for all rows, in the forms that the metrics read. It is safe for concurrent use.
type prepared struct {
	t     *Truth
	input metric.Input
	given bool      // the labels were given and not made by threshold
	order []float64 // of a ranking, the score of each document in the order of the rows

	once     sync.Once
	rankings []*stat.Ranking // one for each class (binary: the positive one only), sorted once
	failure  error

	mu   sync.Mutex
	rows map[string][]float64 // of mean metrics: one number a row
}

func prepare(t *Truth, s *Scores, threshold float64) *prepared {
	p := &prepared{t: t, rows: map[string][]float64{}, given: s.Label != nil}
	p.input = metric.Input{Task: t.Task, Classes: t.Classes, Positive: t.Positive, Truth: t.Class, Labels: s.Label, Proba: s.Proba, Target: t.Value, Values: s.Value, Weights: t.Weight}
	if t.folded != nil {
		p.order = s.Value
		p.input = newSample(t, nil).lists(p)
	}
	if t.Task.Classifies() && s.Label == nil {
		p.input.Labels = labels(t, s.Proba, threshold)
	}
	return p
}

// labels decides by threshold (binary, multilabel) or for the most probable class, the first of equals.
func labels(t *Truth, proba []float64, threshold float64) []int32 {
	k := len(t.Classes)
	out := make([]int32, len(t.Class))
	switch t.Task {
	case assay.Binary:
		return metric.Decide(out[:0], proba, t.Positive, threshold)
	case assay.Multilabel:
		for c, v := range proba {
			if v >= threshold {
				out[c] = 1
			}
		}
	default:
		for i := range out {
			row := proba[i*k : i*k+k]
			for c, v := range row {
				if v > row[out[i]] {
					out[i] = int32(c)
				}
			}
		}
	}
	return out
}

// score is the column of probabilities of a class.
func (p *prepared) score(class int) []float64 {
	k := len(p.t.Classes)
	out := make([]float64, p.t.N())
	for i := range out {
		out[i] = p.input.Proba[i*k+class]
	}
	return out
}

// ranked returns the rankings of all rows: of a binary task that of the positive class, else one for each class against the rest.
func (p *prepared) ranked() ([]*stat.Ranking, error) {
	p.once.Do(func() {
		classes := []int{p.t.Positive}
		if p.t.Task != assay.Binary {
			classes = classes[:0]
			for c := range p.t.Classes {
				classes = append(classes, c)
			}
		}
		for _, c := range classes {
			positive := make([]bool, p.t.N())
			for i := range positive {
				positive[i] = p.t.isClass(i, c)
			}
			r, err := stat.NewRanking(positive, p.score(c))
			if err != nil {
				p.failure = err
				return
			}
			p.rankings = append(p.rankings, r)
		}
	})
	return p.rankings, p.failure
}

// perRow returns the numbers whose mean is the metric, for all rows.
func (p *prepared) perRow(name string) ([]float64, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if v, ok := p.rows[name]; ok {
		return v, nil
	}
	d, err := metric.Find(name)
	if err != nil {
		return nil, err
	}
	v, err := d.PerRow(p.input)
	if err != nil {
		return nil, err
	}
	p.rows[name] = v
	return v, nil
}
