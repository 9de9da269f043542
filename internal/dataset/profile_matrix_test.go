package dataset

import (
	"math"
	"reflect"
	"testing"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/table"
)

// Missing values are counted where they are: a column that ends half-way shows it.
func TestNullity(t *testing.T) {
	e := engine(t)
	const n = 150
	half, third, full := make([]float64, n), make([]float64, n), make([]float64, n)
	for i := range n {
		full[i], half[i], third[i] = float64(i), float64(i), float64(i)
		if i >= 75 {
			half[i] = math.NaN()
		}
		if i%3 == 0 {
			third[i] = math.NaN()
		}
	}
	num := func(name string, x []float64) assay.Column {
		return assay.Column{Name: name, Type: assay.TypeNumber, Floats: x}
	}
	r := profileFrame(t, e, ProfileOptions{}, num("full", full), num("half", half), num("third", third))
	m := r.Nullity
	if m == nil || !reflect.DeepEqual(m.Columns, []string{"half", "third"}) || m.Blocks != NullityBlocks {
		t.Fatalf("%+v", m)
	}
	for b := range m.Blocks {
		from, to := b*n/m.Blocks, (b+1)*n/m.Blocks
		var a, c int64
		for i := from; i < to; i++ {
			if i >= 75 {
				a++
			}
			if i%3 == 0 {
				c++
			}
		}
		if m.Counts[0][b] != a || m.Counts[1][b] != c {
			t.Errorf("block %d: %d and %d, want %d and %d", b, m.Counts[0][b], m.Counts[1][b], a, c)
		}
	}
}

// The bands of columns of few and of very many distinct values are those of the sorted rows.
func TestBands(t *testing.T) {
	e := engine(t)
	for _, n := range []int{100, 3 * table.MaxCodes / 2} {
		x, y := make([]float64, n), make([]float64, n)
		for i := range n {
			at := i * 7919 % n
			x[i], y[i] = float64(at), 1e9+float64(at*at%97)
		}
		r := profileFrame(t, e, ProfileOptions{Target: "y", Task: assay.Regression}, assay.Column{Name: "x", Type: assay.TypeNumber, Floats: x}, assay.Column{Name: "y", Type: assay.TypeNumber, Floats: y})
		bands := r.Variables[0].Bands
		if len(bands) != 6 || bands[0].Low != 0 || bands[5].High != assay.Number(n-1) || r.Variables[1].Bands != nil {
			t.Fatalf("%d rows: %+v", n, bands)
		}
		var rows int64
		for _, b := range bands {
			rows += b.Count
			var sum, square, count float64
			for at := range n { // the value is its rank less one
				if rank := float64(at) + 1; rank > b.From*float64(n) && rank <= b.To*float64(n) {
					v := float64(at * at % 97)
					sum, square, count = sum+v, square+v*v, count+1
				}
			}
			mean, std := 1e9+sum/count, math.Sqrt((square-sum*sum/count)/(count-1))
			if float64(b.Count) != count || math.Abs(float64(b.Mean)-mean) > 1e-6 || math.Abs(float64(b.Std)-std) > 1e-6 {
				t.Errorf("%d rows, %v to %v: %+v, want %v rows, mean %v, std %v", n, b.From, b.To, b, count, mean, std)
			}
		}
		if rows != int64(n) {
			t.Errorf("%d rows in bands of %d", rows, n)
		}
	}
}
