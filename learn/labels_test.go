package learn

import (
	"context"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/assaytest"
)

// One output of four columns and four outputs of one say the same, whatever the number of goroutines; what is neither is refused.
func TestPredictLabels(t *testing.T) {
	labels := []string{"news", "sport", "tech", "arts"}
	var x assay.Frame
	for c := range 6 {
		col := assay.Column{Name: "x", Type: assay.TypeNumber, Floats: make([]float64, 2500)}
		for i := range col.Floats {
			col.Floats[i] = math.Sin(float64(i * (c + 1)))
		}
		x = append(x, col)
	}
	var first []float64
	for _, name := range []string{"one", "four"} {
		b, err := os.ReadFile(filepath.Join(assaytest.Root(), "testdata", "oracle", "task", "articles_"+name+".onnx"))
		if err != nil {
			t.Fatal(err)
		}
		p, err := Open(b, Limits{})
		if err != nil {
			t.Fatal(err)
		}
		for _, workers := range []int{1, 3} {
			got, err := p.PredictLabels(context.Background(), x, labels, workers)
			if err != nil || got.Rows() != 2500 || len(got.Proba) != 10000 {
				t.Fatalf("%s: %d rows, %v", name, got.Rows(), err)
			}
			if first == nil {
				first = got.Proba
			}
			for i, v := range got.Proba {
				if v != first[i] || !(v > 0 && v < 1) {
					t.Fatalf("%s with %d workers: cell %d is %v, not %v", name, workers, i, v, first[i])
				}
			}
		}
		for _, wrong := range [][]string{labels[:3], {"news", "sport", "tech", "cooking", "travel"}} {
			if _, err := p.LabelOutputs(wrong); name == "one" && (assay.CodeOf(err) != assay.Invalid || !strings.Contains(err.Error(), "none of the model's outputs (probabilities [?,4])")) {
				t.Errorf("%v: %v", wrong, err)
			}
		}
	}
	// Named outputs are found by their names: another order of the labels is another order of the columns.
	b, err := os.ReadFile(filepath.Join(assaytest.Root(), "testdata", "oracle", "task", "articles_four.onnx"))
	if err != nil {
		t.Fatal(err)
	}
	p, err := Open(b, Limits{})
	if err != nil {
		t.Fatal(err)
	}
	got, err := p.PredictLabels(context.Background(), x, []string{"arts", "news"}, 1)
	if err != nil || got.Proba[0] != first[3] || got.Proba[1] != first[0] {
		t.Errorf("%v, %v", got.Proba[:2], err)
	}
}
