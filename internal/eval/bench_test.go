package eval

import (
	"context"
	"math"
	"testing"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/stat"
)

// census is a binary task of the size of the American Community Survey's Massachusetts file, four years, with 20 slices of it.
func census(n int) (*Truth, *Scores, *Scores, Options) {
	r := stat.NewRand(1)
	t := &Truth{Task: assay.Binary, Classes: []string{"0", "1"}, Positive: 1}
	a, b := &Scores{Name: "model"}, &Scores{Name: "prior"}
	column := func(name string, levels int) []float64 {
		c := assay.Column{Name: name, Type: assay.TypeInteger, Floats: make([]float64, n)}
		for i := range c.Floats {
			c.Floats[i] = float64(r.Intn(levels))
		}
		t.Columns = append(t.Columns, c)
		return c.Floats
	}
	column("sex", 2)
	column("race", 9)
	column("age", 90)
	column("region", 3)
	for range n {
		y := 0.0
		if r.Float64() < 0.49 {
			y = 1
		}
		p := 1 / (1 + math.Exp(-(2.6*y-1.3)-1.3*r.Normal()))
		t.Class = append(t.Class, int32(y))
		a.Proba, b.Proba = append(a.Proba, 1-p, p), append(b.Proba, 0.51, 0.49)
	}
	return t, a, b, Options{
		Metrics:  []string{"roc_auc_score", "average_precision_score", "log_loss", "brier_score_loss", "accuracy_score", "f1_score", "balanced_accuracy_score", "matthews_corrcoef"},
		Slices:   []string{"sex", "race", "age: 0-15, 16-24, 25-34, 35-49, 50-64, 65+", "region"},
		Business: &Business{Name: "cost", Expr: "1000.0 * (fp * 1.0 + fn * 5.0) / n"},
		Seed:     7,
	}
}

func BenchmarkEvaluate277k(b *testing.B) {
	t, m, base, o := census(277_677)
	b.ReportAllocs()
	for b.Loop() {
		e, err := Evaluate(context.Background(), t, m, base, o)
		if err != nil {
			b.Fatal(err)
		}
		if len(e.Slices) != 20 || len(e.Metrics) != 8 {
			b.Fatalf("%d slices of %d metrics", len(e.Slices), len(e.Metrics))
		}
	}
}

func BenchmarkCompare277k(b *testing.B) {
	t, m, base, o := census(277_677)
	for b.Loop() {
		if _, err := Compare(context.Background(), t, m, base, 0, o); err != nil {
			b.Fatal(err)
		}
	}
}
