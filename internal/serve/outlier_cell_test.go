package serve

import (
	"math"
	"testing"

	"pgregory.net/rapid"

	"github.com/assay-ml/assay"
)

// TestCellOf: the guide finds the cell that Edges.Cell does, for values on, beside and far from the edges.
func TestCellOf(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		values := rapid.SliceOfN(rapid.OneOf(rapid.Float64(), rapid.Map(rapid.IntRange(-9, 9), func(i int) float64 { return float64(i) }),
			rapid.SampledFrom([]float64{0, math.MaxFloat64, -math.MaxFloat64, 1e300, 5e-324})), 1, 300).Draw(t, "values")
		c, err := learnColumn(&assay.Column{Name: "x", Type: assay.TypeNumber, Floats: values}, rapid.Bool().Draw(t, "codes"))
		if err != nil || c == nil {
			return
		}
		x := c.scored(0)
		ask := append(values, math.NaN(), math.Inf(1), math.Inf(-1))
		for _, u := range c.Edges.Upper {
			ask = append(ask, u, math.Nextafter(u, math.Inf(1)), math.Nextafter(u, math.Inf(-1)))
		}
		for _, v := range ask {
			if got, want := x.cellOf(v), c.Edges.Cell(v); got != want {
				t.Fatalf("%v is in cell %d, want %d", v, got, want)
			}
		}
	})
}
