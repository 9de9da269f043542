package learn

import (
	"context"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/assay-ml/assay"
)

// LabelOutputs finds what an ONNX model says of each of several labels that may be true together: one output of floating-point numbers
// with a column for each label, in their order; or one such output for each label, of its name (or label, then _probability), with one
// column. It refuses, with the outputs that the model has, any other model.
func (p *Predictor) LabelOutputs(labels []string) ([]int, error) {
	if p.format != FormatONNX {
		return nil, assay.Errorf(assay.Unimplemented, "a %s model gives no probability of several labels", p.format).Try("export the model as ONNX, or give its predictions as .csv or .parquet")
	}
	width := func(o *Port) int { // of a row; 0: the model does not say
		switch {
		case o.Keys || o.Type != Float32 && o.Type != Float64 || o.Role == RoleMargin || len(o.Shape) > 2:
			return -1
		case len(o.Shape) == 1:
			return 1
		case len(o.Shape) == 2 && o.Shape[1] > 0:
			return o.Shape[1]
		}
		return 0
	}
	var whole, each []int
	for i := range p.out {
		if w := width(&p.out[i]); w == len(labels) || w == 0 {
			whole = append(whole, i)
		}
	}
	for _, l := range labels {
		at := slices.IndexFunc(p.out, func(o Port) bool { return o.Name == l || o.Name == l+"_probability" })
		if at >= 0 && (width(&p.out[at]) == 1 || width(&p.out[at]) == 0) {
			each = append(each, at)
		}
	}
	switch {
	case len(each) == len(labels):
		return each, nil
	case len(whole) == 1:
		return whole, nil
	}
	var have []string
	for i := range p.out {
		have = append(have, p.out[i].Name+" "+portShape(p.out[i].Shape))
	}
	return nil, assay.Errorf(assay.Invalid, "none of the model's outputs (%s) is the probabilities of the labels %s: one output of %d columns in this order, or one of each name", strings.Join(have, ", "), strings.Join(labels, ", "), len(labels)).
		Try("export one output of shape [rows, labels], or give the predictions as .csv or .parquet")
}

// PredictLabels is PredictParallel for a model that gives the probability of each label on its own, as LabelOutputs finds them: Proba is
// row-major, rows by labels, and Labels is empty. A number of a float32 output is clipped as Clip
// does; one that is further outside 0 to 1 is the caller's to refuse.
func (p *Predictor) PredictLabels(ctx context.Context, x assay.Frame, labels []string, workers int) (Prediction, error) {
	outputs, err := p.LabelOutputs(labels)
	if err != nil {
		return Prediction{}, err
	}
	n, k := x.Rows(), len(labels)
	out := Prediction{Classes: labels, Proba: make([]float64, n*k)}
	if n == 0 {
		return out, nil
	}
	var clipped atomic.Int64
	err = p.eachBlock(ctx, x, workers, func(_ int, s *Session, lo, hi int) error {
		for c, o := range outputs {
			values, err := s.out[o].asDoubles(nil)
			if err != nil {
				return err
			}
			if s.out[o].Type == Float32 {
				clipped.Add(int64(Clip(values)))
			}
			wide := k / len(outputs)
			if len(values) != (hi-lo)*wide {
				return assay.Errorf(assay.Invalid, "output %q has %d numbers for %d rows of %d labels", p.out[o].Name, len(values), hi-lo, k)
			}
			for j, v := range values {
				out.Proba[(lo+j/wide)*k+c+j%wide] = v
			}
		}
		return nil
	})
	out.Clipped = int(clipped.Load())
	return out, err
}
