package serve

import (
	"math"
	"slices"
	"sort"
	"testing"

	"pgregory.net/rapid"
)

// TestGuide: a guide finds what a search does, for values on, beside and far from those it was made of, whatever range it was told.
func TestGuide(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		value := rapid.OneOf(rapid.Float64(), rapid.Float64Range(0, 1), rapid.SampledFrom([]float64{0, math.Inf(1), math.Inf(-1), math.MaxFloat64, 5e-324}))
		values := rapid.SliceOfN(value, 0, 300).Draw(t, "values")
		slices.Sort(values)
		g := newGuide(values, value.Draw(t, "low"), value.Draw(t, "high"))
		for _, v := range append(slices.Clone(values), value.Draw(t, "v"), math.NaN()) {
			for _, v := range []float64{v, math.Nextafter(v, math.Inf(1)), math.Nextafter(v, math.Inf(-1))} {
				want := sort.SearchFloat64s(values, v)
				if v != v {
					want = 0
				}
				if got := g.find(values, v); got != want {
					t.Fatalf("%v: %d are below, want %d", v, got, want)
				}
			}
		}
	})
}
