package learn

import (
	"context"
	"math"
	"testing"

	"github.com/assay-ml/assay"
)

// TestBoostedFileAgreesWithTrees compares the graph with the trees it was written from, on rows with gaps and unknown categories.
func TestBoostedFileAgreesWithTrees(t *testing.T) {
	train, y, v := mixed(2000)
	for name, spec := range equalityCases() {
		if spec.Learner != "gradient_boosting" || spec.Calibrate != "" {
			continue
		}
		l, _ := LookupLearner(spec.Learner)
		var problems assay.Problems
		j := &job{ctx: context.Background(), spec: spec, data: Data{X: train, Labels: labelsFor(spec, y), Values: v}, threads: 2, params: l.resolve(spec.Params, &problems)}
		prep, err := fitPreparation(train, spec)
		if err != nil {
			t.Fatal(name, err)
		}
		data, err := j.boostData(prep, j.data, nil)
		if err != nil {
			t.Fatal(name, err)
		}
		params, err := j.boostParams(prep)
		if err != nil {
			t.Fatal(name, err)
		}
		e, _, err := FitBoosting(j.ctx, data, params)
		if err != nil {
			t.Fatal(name, err)
		}
		m, err := Fit(context.Background(), spec, j.data)
		if err != nil {
			t.Fatal(name, err)
		}
		x := unseen(500)
		got, err := m.Predict(x)
		if err != nil {
			t.Fatal(name, err)
		}
		d, err := prep.encode(x)
		if err != nil {
			t.Fatal(name, err)
		}
		row, score := make([]float64, e.Inputs), make([]float64, e.Outputs)
		for i := range x.Rows() {
			for k, col := range d.numeric {
				row[k] = col[i]
			}
			for k, col := range d.categorical {
				if row[len(d.numeric)+k] = float64(col[i]); col[i] < 0 {
					row[len(d.numeric)+k] = math.NaN()
				}
			}
			e.Score(row, score)
			for k, want := range linked(e.Link, score) {
				var p float64
				if len(got.Values) > 0 {
					p = got.Values[i]
				} else {
					p = got.Proba[i*len(got.Classes)+k]
				}
				if math.Abs(p-want) > 2e-6*max(1, math.Abs(want)) {
					t.Fatalf("%s: row %d, output %d is %v, the trees say %v", name, i, k, p, want)
				}
			}
		}
	}
}

// linked is what the raw scores of a row mean.
func linked(link string, score []float64) []float64 {
	switch link {
	case LinkLogit:
		p := logistic(score[0])
		return []float64{1 - p, p}
	case LinkSoftmax:
		out := append([]float64(nil), score...)
		norm := logSumExp(out)
		for k := range out {
			out[k] = math.Exp(out[k] - norm)
		}
		return out
	case LinkLog:
		return []float64{math.Exp(score[0])}
	}
	return score
}

func TestBoostedMonotoneNames(t *testing.T) {
	x, y, _ := mixed(200)
	spec := Spec{Learner: "gradient_boosting", Task: assay.Binary, Target: Target{Classes: []string{"0", "1"}}, Params: map[string]any{"trees": 2, "increasing": "amount, amuont", "decreasing": "amount,colour"}}
	_, err := Fit(context.Background(), spec, Data{X: x, Labels: y})
	mustSay(t, err, assay.Invalid, `increasing names "amuont"`, `did you mean "amount"`, `"amount" is named twice`, `decreasing names "colour"`)
}
