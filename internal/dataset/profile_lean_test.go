package dataset

import (
	"fmt"
	"math"
	"path/filepath"
	"testing"

	"pgregory.net/rapid"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/assaytest"
)

// A profile that lets go of columns as they pass says what one says that keeps them all.
func TestLeanProfileEqualsFull(t *testing.T) {
	assaytest.Draws(t, 40)
	e := engine(t)
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 40).Draw(t, "rows")
		cols := assay.Frame(drawnColumns(t, n))
		o := ProfileOptions{Target: rapid.SampledFrom([]string{"", "label", "wild", "code"}).Draw(t, "target")}
		a := plain(t, profileFrame(t, e, o, cols...))
		o.lean = 1
		if b := plain(t, profileFrame(t, e, o, cols...)); a != b {
			t.Fatalf("%s\n%s", a, b)
		}
	})
	path := filepath.Join(assaytest.Root(), "examples", "employment", "train_2015.parquet")
	for _, target := range []string{"employed", "AGEP"} {
		a, b := plain(t, profileOf(t, path, ProfileOptions{Target: target})), plain(t, profileOf(t, path, ProfileOptions{Target: target, lean: 1}))
		if a != b {
			t.Errorf("target %q: the profiles differ", target)
		}
	}
}

// Of 1,500 columns those most related to the target are compared with each other, whatever its kind, and the report says so.
func TestProfileOfVeryManyColumns(t *testing.T) {
	e := engine(t)
	columns := assaytest.Size(600, 1500)
	rows := assaytest.Size(45, 80)
	for _, task := range []assay.Task{assay.Binary, assay.Regression} {
		y := assay.Column{Name: "y", Type: assay.TypeNumber, Floats: make([]float64, rows)}
		for r := range rows {
			y.Floats[r] = math.Mod(float64(r*r)*0.618, 7)
			if task == assay.Binary {
				y.Floats[r] = float64(r * r % 7 % 2)
			}
		}
		cols := []assay.Column{}
		for c := range columns {
			x := make([]float64, rows)
			for r := range rows {
				x[r] = math.Mod(float64((r+3)*(c+7)*(r+c))*0.7548, 1)
				if c >= columns-4 {
					x[r] = y.Floats[r]*10 + x[r]*float64(columns-c)
				}
				if c%50 == 0 && r%(3+c%11) == 0 {
					x[r] = math.NaN()
				}
				if r == rows-1 {
					x[r] = x[0] // two equal rows
				}
			}
			cols = append(cols, assay.Column{Name: fmt.Sprintf("x%d", c), Type: assay.TypeNumber, Floats: x})
		}
		y.Floats[rows-1] = y.Floats[0]
		r := profileFrame(t, e, ProfileOptions{Target: "y", Task: task}, append(cols, y)...)
		if r.Duplicates.Rows != 1 {
			t.Errorf("%s: %d rows repeat, want 1", task, r.Duplicates.Rows)
		}
		if len(r.Variables) != columns+1 || len(r.Pairs) != PairColumns*(PairColumns-1)/2 {
			t.Errorf("%s: %d variables and %d pairs", task, len(r.Variables), len(r.Pairs))
		}
		want := fmt.Sprintf("%d of %d columns are compared with each other: those most related to the target, then the first", PairColumns, columns+1)
		if len(r.Limits) != 1 || r.Limits[0] != want {
			t.Errorf("%s: limits %q, want %q", task, r.Limits, want)
		}
		compared := map[string]bool{}
		weakest := math.Inf(1)
		for _, q := range r.Pairs {
			compared[q.A], compared[q.B] = true, true
		}
		for _, v := range r.Variables {
			if compared[v.Name] && v.Relation != nil {
				weakest = math.Min(weakest, float64(v.Relation.Strength))
			}
		}
		for _, v := range r.Variables {
			if !compared[v.Name] && float64(v.Relation.Strength) > weakest {
				t.Errorf("%s: %s with strength %v is left out, the weakest that is compared has %v", task, v.Name, v.Relation.Strength, weakest)
			}
		}
		if !compared["y"] || !compared[fmt.Sprintf("x%d", columns-1)] {
			t.Errorf("%s: the target or its best column is not compared", task)
		}
	}
}
