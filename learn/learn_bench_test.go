package learn

import (
	"context"
	"fmt"
	"testing"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/stat"
)

// survey is a table like a census extract: two quantities and 14 coded columns, about 100 categories in all.
func survey(n int) (assay.Frame, []int32) {
	r := stat.NewRand(5)
	levels := []int{5, 18, 2, 9, 5, 4, 5, 4, 2, 2, 2, 3, 2, 9}
	x := assay.Frame{numeric("age", make([]float64, n)...), numeric("school", make([]float64, n)...)}
	for j := range levels {
		x = append(x, numeric(fmt.Sprintf("code%d", j), make([]float64, n)...))
	}
	y := make([]int32, n)
	for i := range n {
		x[0].Floats[i], x[1].Floats[i] = float64(r.Intn(95)), float64(r.Intn(25))
		z := 0.05*x[1].Floats[i] - 0.02*x[0].Floats[i]
		for j, k := range levels {
			c := r.Intn(k)
			x[2+j].Floats[i] = float64(c)
			z += 0.3 * float64(c%3-1)
		}
		if r.Float64() < logistic(z) {
			y[i] = 1
		}
	}
	return x, y
}

func surveySpec(learner string) Spec {
	spec := Spec{Learner: learner, Task: assay.Binary, Target: Target{Name: "y", Type: assay.TypeInteger, Classes: []string{"0", "1"}}}
	for j := range 14 {
		spec.Categorical = append(spec.Categorical, fmt.Sprintf("code%d", j))
	}
	return spec
}

func BenchmarkFitLogistic(b *testing.B) {
	x, y := survey(69_000)
	for b.Loop() {
		if _, err := Fit(context.Background(), surveySpec("logistic_regression"), Data{X: x, Labels: y}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkPredict(b *testing.B) {
	for _, learner := range []string{"logistic_regression", "gradient_boosting"} {
		x, y := survey(69_000)
		m, err := Fit(context.Background(), surveySpec(learner), Data{X: x, Labels: y})
		if err != nil {
			b.Fatal(err)
		}
		for _, n := range []int{1, 1000, 69_000} {
			rows := make([]int, n)
			for i := range rows {
				rows[i] = i
			}
			part := x.Take(rows)
			b.Run(fmt.Sprintf("%s/rows=%d", learner, n), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					if _, err := m.Predict(part); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
