package learn

import (
	"context"
	"math"
	"testing"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/assaytest"
)

// matrixOf is the frame of a matrix of float32.
func matrixOf(a assaytest.Array) assay.Frame {
	out := make(assay.Frame, a.Shape[1])
	for j := range out {
		out[j] = assay.Column{Name: string(rune('a' + j)), Type: assay.TypeNumber}
		for i := range a.Shape[0] {
			out[j].Floats = append(out[j].Floats, a.Floats[i*a.Shape[1]+j])
		}
	}
	return out
}

// TestClipForest: the shares of a forest, added in float32, go beyond 1. They are put at the bound and counted, and a row sums to 1.
func TestClipForest(t *testing.T) {
	c := assaytest.Model(t, "oracle/onnx", "skl_forest_rounded")
	given, outside := c.Outputs["probabilities"], 0
	for _, v := range given.Floats {
		if v < 0 || v > 1 {
			outside++
		}
	}
	if outside == 0 {
		t.Fatal("the oracle's probabilities all lie within 0 and 1: it shows nothing")
	}
	p, err := LoadONNX(c.Model)
	if err != nil {
		t.Fatal(err)
	}
	for _, workers := range []int{1, 2} {
		got, err := p.Predictor().PredictParallel(t.Context(), matrixOf(c.Inputs["X"]), workers)
		if err != nil {
			t.Fatal(err)
		}
		if got.Clipped != outside {
			t.Errorf("%d clipped, ONNX Runtime has %d outside 0 to 1", got.Clipped, outside)
		}
		for i, v := range got.Proba {
			if !(v >= 0 && v <= 1) || math.Abs(v-given.Floats[i]) > Float32Tolerance {
				t.Errorf("probability %d is %v, ONNX Runtime says %v", i, v, given.Floats[i])
			}
		}
		for i := 0; i < len(got.Proba); i += 2 {
			if got.Proba[i]+got.Proba[i+1] != 1 {
				t.Errorf("row %d sums to %v", i/2, got.Proba[i]+got.Proba[i+1])
			}
		}
	}
}

// TestClipLeavesTheRest: what is further out than rounding goes, and what a float64 output says, stays for the caller to refuse.
func TestClipLeavesTheRest(t *testing.T) {
	nan := math.NaN()
	for _, c := range []struct {
		name    string
		typ     ElementType
		give    []float64
		want    []float64
		clipped int
	}{
		{"rounding", Float32, []float64{-1.1920929e-7, 1.0000001, -9e-7, 1 + 9e-7}, []float64{0, 1, 0, 1}, 4},
		{"bounds", Float32, []float64{0, 1, 1, 0}, []float64{0, 1, 1, 0}, 0},
		{"beyond", Float32, []float64{-0.1, 1.2, -2e-6, 1 + 2e-6}, []float64{-0.1, 1.2, -2e-6, 1 + 2e-6}, 0},
		{"no number", Float32, []float64{nan, nan, 0.5, 0.5}, []float64{nan, nan, 0.5, 0.5}, 0},
		{"float64", Float64, []float64{-1.1920929e-7, 1.00000011920929, 0.5, 0.5}, []float64{-1.1920929e-7, 1.00000011920929, 0.5, 0.5}, 0},
	} {
		b := newGraphBuilder("identity")
		b.graph.inputs = []valueInfo{{name: "X", elem: c.typ, hasShape: true, dims: []dim{{name: "rows"}, {size: 2}}}}
		b.nodeTo("probabilities", "", "Identity", []string{"X"})
		b.output("probabilities", "probabilities", c.typ, dim{size: 2})
		p, err := LoadONNX((&onnxModel{ir: irVersion, opsets: map[string]int64{"": opsetMain}, graph: &b.graph}).encode())
		if err != nil {
			t.Fatal(err)
		}
		p.Predictor().SetClasses([]string{"no", "yes"})
		x := matrixOf(assaytest.Array{Shape: []int{2, 2}, Floats: c.give})
		got, err := p.Predict(x)
		if err != nil {
			t.Fatal(err)
		}
		labels, err := p.Predictor().PredictLabels(context.Background(), x, []string{"no", "yes"}, 1)
		if err != nil {
			t.Fatal(err)
		}
		for name, p := range map[string]Prediction{"classes": got, "labels": labels} {
			if p.Clipped != c.clipped {
				t.Errorf("%s, %s: %d clipped, want %d", c.name, name, p.Clipped, c.clipped)
			}
			for i, v := range p.Proba {
				if !(math.Abs(v-c.want[i]) < 1e-7) && !math.IsNaN(c.want[i]) || (v < 0 || v > 1) != (c.want[i] < 0 || c.want[i] > 1) {
					t.Errorf("%s, %s: probability %d is %v, want %v", c.name, name, i, v, c.want[i])
				}
			}
		}
	}
}
