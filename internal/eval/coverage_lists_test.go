package eval

import (
	"fmt"
	"math"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/stat"
)

// labelRarity is how often each label of the simulated multilabel tasks is true, as a multiple of the population's share.
var labelRarity = []float64{1.5, 1.2, 1, 0.8, 0.5}

// drawLabels draws rows of five labels that come together, and two models whose errors do so too. The model is as the one of two
// classes, with a separation greater by better.
func (p population) drawLabels(n int, r *stat.Rand) (*Truth, *Scores, *Scores) {
	k := len(labelRarity)
	t := &Truth{Task: assay.Multilabel, Class: make([]int32, 0, n*k)}
	a, b := &Scores{Name: "a", Proba: make([]float64, 0, n*k)}, &Scores{Name: "b", Proba: make([]float64, 0, n*k)}
	cut, prior := make([]float64, k), make([]float64, k)
	for c, m := range labelRarity {
		t.Classes = append(t.Classes, fmt.Sprintf("label%d", c))
		s := m * p.share
		cut[c], prior[c] = -stat.NormalQuantile(s), math.Log(s/(1-s))
	}
	for range n {
		topic, difficulty := r.Normal(), r.Normal()
		for c := range k {
			var y float64
			if 0.5*topic+math.Sqrt(0.75)*r.Normal() > cut[c] {
				y = 1
			}
			common := 0.5*difficulty + math.Sqrt(0.75)*r.Normal()
			for m, s := range []*Scores{a, b} {
				d := 1.6 + p.better - 0.4*float64(m)
				x := d*y + 0.8*common + 0.6*r.Normal()
				s.Proba = append(s.Proba, 1/(1+math.Exp(-1.2*(d*x-d*d/2+prior[c]))))
			}
			t.Class = append(t.Class, int32(y))
		}
	}
	return t, a, b
}

// drawQueries draws n queries of 5 to 15 documents. Queries differ in how many of their documents are relevant and in how hard they are;
// relevances are 0 and 1, or grades up to 4 that halve in number.
func (p population) drawQueries(n int, r *stat.Rand) (*Truth, *Scores, *Scores) {
	t := &Truth{Task: assay.Ranking, Queried: "query"}
	a, b := &Scores{Name: "a"}, &Scores{Name: "b"}
	top := 1
	if p.graded {
		top = 4
	}
	cut := make([]float64, top)
	for g := range cut {
		cut[g] = -stat.NormalQuantile(p.share / float64(int(1)<<g))
	}
	for q := range n {
		topic, difficulty := r.Normal(), r.Normal()
		for range 5 + r.Intn(11) {
			z := 0.5*topic + math.Sqrt(0.75)*r.Normal()
			var y float64
			for _, c := range cut {
				if z > c {
					y++
				}
			}
			common := r.Normal()
			for m, s := range []*Scores{a, b} {
				d := 1.6 + p.better - 0.4*float64(m) + 0.6*difficulty
				s.Value = append(s.Value, d*min(y, 1)+0.4*max(y-1, 0)+0.8*common+0.6*r.Normal())
			}
			t.Value, t.Query = append(t.Value, y), append(t.Query, int32(q))
		}
	}
	return t, a, b
}
