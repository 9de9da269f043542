package serve

import (
	"encoding/json"
	"math"
	"slices"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/schema"
)

// A Fallback is what is answered instead of a prediction: a constant, or a rule where it has a value and the constant where it has none.
type Fallback struct {
	Label string    `json:"label,omitempty"`         // of a classifier
	Proba []float64 `json:"probabilities,omitempty"` // of a classifier, in the order of its classes
	Value float64   `json:"value,omitempty"`         // of a regressor
	Rule  string    `json:"rule,omitempty"`          // the text of the rule
	// Eval evaluates the rule on one row: the probability of the positive class, or the value. It is safe for use by several goroutines.
	Eval func(rows *schema.Batch, row int) (x float64, ok bool) `json:"-"`
}

// ReadFallback reads what Document wrote. Eval is left out. Errors are Invalid.
func ReadFallback(doc string) (*Fallback, error) {
	f := &Fallback{}
	if err := json.Unmarshal([]byte(doc), f); err != nil {
		return nil, assay.Errorf(assay.Invalid, "the fallback cannot be read: %w", err)
	}
	return f, nil
}

// Document is the fallback as evidence has it.
func (f *Fallback) Document() (string, error) {
	b, err := json.Marshal(f)
	if err != nil {
		return "", assay.Errorf(assay.Invalid, "the fallback cannot be written: %w", err)
	}
	return string(b), nil
}

// checkPolicy finds out at binding what would else fail in the middle of a request.
func (b *Bound) checkPolicy() error {
	var p assay.Problems
	f := b.Policy.Fallback
	if f == nil {
		if b.Policy.OnInvalid == "fallback" {
			p.Add("rows that do not fit get the fallback, and there is none")
		}
		if b.Policy.OnOutlier == "fallback" {
			p.Add("rows out of distribution get the fallback, and there is none")
		}
		return p.Err(assay.Invalid, b.String()+" cannot be served")
	}
	if len(b.Classes) > 0 && !slices.Contains(b.Classes, f.Label) {
		p.Add("the fallback's label %q is none of the classes %v", clip(f.Label), b.Classes)
	}
	if want := b.out.Fields() - 1; len(b.Classes) > 0 && len(f.Proba) != want {
		p.Add("the fallback has %d probabilities, the model's answers have %d", len(f.Proba), want)
	}
	if f.Eval != nil && len(b.Classes) > 0 && !slices.Contains(b.Classes, b.Positive) {
		p.Add("a rule answers for the positive class, and the model has none")
	}
	if p == nil {
		var o Output
		b.answerFallback(nil, 1, &o)
		if wrong := b.wrong(&o, 1); wrong != "" {
			p.Add("the fallback: %s", wrong)
		}
	}
	return p.Err(assay.Invalid, b.String()+" cannot be served")
}

// fallBack gives the declared answer for every row.
func (c *Call) fallBack() error {
	if c.bound.Policy.Fallback == nil {
		return assay.Errorf(assay.Internal, "%s has no fallback", c.bound)
	}
	c.Fallback = true
	c.bound.answerFallback(c.Rows, c.Rows.Rows(), &c.Output)
	return nil
}

// answerFallback fills out; without rows the rule is not asked.
func (b *Bound) answerFallback(rows *schema.Batch, n int, out *Output) {
	f := b.Policy.Fallback
	out.reset()
	label, positive := int32(slices.Index(b.Classes, f.Label)), slices.Index(b.Classes, b.Positive)
	for row := range n {
		x, ok := 0.0, false
		if rows != nil && f.Eval != nil {
			x, ok = f.Eval(rows, row)
		}
		switch {
		case len(b.Classes) == 0 && ok && !math.IsNaN(x) && !math.IsInf(x, 0):
			out.Values = append(out.Values, x)
		case len(b.Classes) == 0:
			out.Values = append(out.Values, f.Value)
		case ok && len(b.Classes) == 2 && x >= 0 && x <= 1:
			is := positive
			if x < 0.5 {
				is = 1 - positive
			}
			out.Labels = append(out.Labels, int32(is))
			if len(f.Proba) == 2 {
				out.Proba = append(out.Proba, 1-x, x)
				if positive == 0 {
					k := len(out.Proba)
					out.Proba[k-2], out.Proba[k-1] = x, 1-x
				}
			}
		default:
			out.Labels = append(out.Labels, label)
			out.Proba = append(out.Proba, f.Proba...)
		}
	}
}
