package table

import (
	"fmt"
	"math"
	"path/filepath"
	"testing"

	"github.com/assay-ml/assay"
)

// TestWriteKeepsOrder writes rows that another relation names, of a table of several row groups: they come in their order.
func TestWriteKeepsOrder(t *testing.T) {
	e, ctx := open(t), t.Context()
	const n = 600_000
	id := assay.Column{Name: "id", Type: assay.TypeString}
	number, part := make([]float64, n), make([]float64, n)
	for i := range n {
		id.Codes, id.Levels = append(id.Codes, int32(i)), append(id.Levels, fmt.Sprintf("k%08x", i*7919%n))
		number[i], part[i] = float64(i), float64(i*31%5)
	}
	f := assay.Frame{id, {Name: "x", Type: assay.TypeNumber, Floats: number}, {Name: "z", Type: assay.TypeNumber, Floats: part}}
	tb, err := e.FromFrame(ctx, f)
	if err != nil {
		t.Fatal(err)
	}
	parts, err := e.FromFrame(ctx, assay.Frame{{Name: "row_number", Type: assay.TypeInteger, Floats: number}, {Name: "part", Type: assay.TypeInteger, Floats: part}})
	if err != nil {
		t.Fatal(err)
	}
	for p := range 3 {
		cond := fmt.Sprintf("_row IN (SELECT CAST(row_number AS BIGINT) FROM %s WHERE part >= %d)", parts.Relation(), p)
		path := filepath.Join(t.TempDir(), "part.parquet")
		if err := tb.Write(ctx, path, nil, cond); err != nil {
			t.Fatal(err)
		}
		back, err := e.Read(ctx, path, ReadOptions{})
		if err != nil {
			t.Fatal(err)
		}
		got, err := back.Frame(ctx, []string{"x"}, "")
		if err != nil {
			t.Fatal(err)
		}
		last := math.Inf(-1)
		for i, x := range got[0].Floats {
			if x <= last {
				t.Fatalf("part %d: row %d of the file is row %v, after row %v", p, i, x, last)
			}
			last = x
		}
	}
}
