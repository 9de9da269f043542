package dataset

import (
	"cmp"
	"math"
	"slices"
	"testing"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/stat"
)

func TestSortUints(t *testing.T) {
	r := stat.NewRand(3, 1)
	for _, n := range []int{0, 1, radixLeast - 1, radixLeast, 20_000} {
		for _, draw := range []func() uint64{r.Uint64, func() uint64 { return 7 }, func() uint64 { return uint64(r.Intn(5)) << 60 }, func() uint64 { return uint64(r.Intn(1 << 20)) }} {
			a := make([]uint64, n)
			for i := range a {
				a[i] = draw()
			}
			want := slices.Sorted(slices.Values(a))
			if got := sortUints(a, make([]uint64, n)); !slices.Equal(got, want) {
				t.Errorf("%d numbers are not sorted", n)
			}
		}
	}
}

func TestOrderedBits(t *testing.T) {
	values := []float64{math.Inf(-1), -math.MaxFloat64, -1, -math.SmallestNonzeroFloat64, math.Copysign(0, -1), 0, math.SmallestNonzeroFloat64, 1, math.MaxFloat64, math.Inf(1)}
	for _, a := range values {
		for _, b := range values {
			if got, want := cmp.Compare(orderedBits(a), orderedBits(b)), cmp.Compare(a, b); got != want {
				t.Errorf("%v and %v compare as %d, want %d", a, b, got, want)
			}
		}
	}
}

// TestBins: bins are contiguous in the value, equal values share one, and each but the last holds least rows or more.
func TestBins(t *testing.T) {
	r := stat.NewRand(5, 2)
	for _, draw := range []func() float64{r.Normal, func() float64 { return float64(r.Intn(200) - 100) }, func() float64 { return math.Round(100 * r.Normal()) }} {
		c := assay.Column{Floats: make([]float64, 9000)}
		rows := make([]int, 0, len(c.Floats))
		for i := range c.Floats {
			if c.Floats[i] = draw(); i%50 == 0 {
				c.Floats[i] = math.NaN()
			}
			if i%9 > 0 {
				rows = append(rows, i)
			}
		}
		got := bins(&c, rows)
		order := make([]int, 0, len(rows))
		for i, r := range rows {
			if math.IsNaN(c.Floats[r]) {
				if got[i] != -1 {
					t.Fatalf("missing is in bin %d", got[i])
				}
				continue
			}
			order = append(order, i)
		}
		at := func(i int) float64 { return c.Floats[rows[i]] }
		slices.SortFunc(order, func(a, b int) int { return cmp.Compare(at(a), at(b)) })
		distinct := 1
		for i := 1; i < len(order); i++ {
			if at(order[i]) != at(order[i-1]) {
				distinct++
			}
		}
		least := 1
		if distinct > maxBins {
			least = len(order) / maxBins
		}
		bin, size := int32(0), 0
		for i, o := range order {
			if i > 0 && at(o) != at(order[i-1]) && size >= least {
				bin, size = bin+1, 0
			}
			if size++; got[o] != bin {
				t.Fatalf("%v is in bin %d, want %d", at(o), got[o], bin)
			}
		}
	}
}
