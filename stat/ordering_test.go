package stat_test

import (
	"math"
	"slices"
	"testing"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/stat"
	"pgregory.net/rapid"
)

func TestOrderingQuantile(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		xs := rapid.SliceOfN(rapid.Map(rapid.IntRange(-9, 9), func(i int) float64 { return float64(i) / 4 }), 1, 40).Draw(rt, "xs")
		counts := rapid.SliceOfN(rapid.Uint8Range(0, 3), len(xs), len(xs)).Draw(rt, "counts")
		p := rapid.Float64Range(0, 1).Draw(rt, "p")
		o, err := stat.NewOrdering(xs)
		if err != nil {
			rt.Fatal(err)
		}
		var repeated []float64
		for i, c := range counts {
			for range c {
				repeated = append(repeated, xs[i])
			}
		}
		slices.Sort(repeated)
		if got, want := o.Quantile(counts, p), stat.Quantile(repeated, p); !same(got, want) {
			rt.Fatalf("%v, of repeated rows %v", got, want)
		}
		all := slices.Clone(xs)
		slices.Sort(all)
		if got, want := o.Quantile(nil, p), stat.Quantile(all, p); got != want {
			rt.Fatalf("%v, of all rows %v", got, want)
		}
	})
	if _, err := stat.NewOrdering([]float64{1, math.NaN()}); assay.CodeOf(err) != assay.Invalid {
		t.Errorf("undefined value: %v", err)
	}
}
