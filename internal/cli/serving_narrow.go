package cli

import (
	"context"
	"fmt"
	"math"
	"strconv"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/schema"
	"github.com/assay-ml/assay/internal/serve"
	"github.com/assay-ml/assay/learn"
)

// wholeFloat32 is up to where float32 holds every whole number.
const wholeFloat32 = 1 << 24

// narrowed tells which columns of whole numbers an ONNX model takes in float32, although those that it learned from reach beyond what float32 tells
// apart: what trained the model may have had them in more digits.
func (s *session) narrowed(ctx context.Context, m assay.Model, in *schema.Schema, b *serve.Bound) ([]string, error) {
	if !isONNX(m) {
		return nil, nil
	}
	var names []string
	for i, c := range in.Columns {
		if t, ok := b.Element(i); ok && t == learn.Float32 && c.Type == assay.TypeInteger {
			names = append(names, c.Name)
		}
	}
	if len(names) == 0 {
		return nil, nil
	}
	train, err := s.part(ctx, m.Split, assay.Train)
	if err != nil {
		return nil, err
	}
	var notes []string
	err = train.EachColumn(ctx, names, func(c *assay.Column) error {
		least, most := math.Inf(1), math.Inf(-1)
		for _, v := range c.Floats {
			if v == v {
				least, most = min(least, v), max(most, v)
			}
		}
		if most >= wholeFloat32 || least <= -wholeFloat32 {
			notes = append(notes, fmt.Sprintf("the model takes %q in float32, which rounds whole numbers beyond 16777216, and in training they reach from %s to %s: some become equal, as what trained the model may not have had them",
				c.Name, strconv.FormatFloat(least, 'f', 0, 64), strconv.FormatFloat(most, 'f', 0, 64)))
		}
		return nil
	})
	return notes, err
}
