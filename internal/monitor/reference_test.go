package monitor

import (
	"context"
	"math"
	"slices"
	"strconv"
	"testing"

	"pgregory.net/rapid"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/assaytest"
	"github.com/assay-ml/assay/internal/table"
	"github.com/assay-ml/assay/stat"
)

func engine(t testing.TB) *table.Engine {
	t.Helper()
	e, err := table.Open(context.Background(), table.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Close() })
	assaytest.NoSlowJoins(t, e.Explain) // of whatever a test of this package runs
	return e
}

func tableOf(t testing.TB, e *table.Engine, f assay.Frame) *table.Table {
	t.Helper()
	x, err := e.FromFrame(context.Background(), f)
	if err != nil {
		t.Fatal(err)
	}
	return x
}

// firstRows is a log whose rows are each the first of a request.
func firstRows(f assay.Frame) assay.Frame {
	return append(f, assay.Column{Name: "_index", Type: assay.TypeInteger, Floats: make([]float64, len(f[0].Floats))})
}

// What the engine freezes and counts is what stat freezes and counts row by row.
func TestFreezeIsThatOfTheRows(t *testing.T) {
	assaytest.Draws(t, 40)
	e := engine(t)
	rapid.Check(t, func(rt *rapid.T) {
		value := rapid.OneOf(rapid.Float64Range(-5, 5), rapid.SampledFrom([]float64{0, math.Copysign(0, -1), 1, 2, 2, 2, 1e300, -1e300, 5e-324}))
		x := rapid.SliceOfN(value, 1, 400).Draw(rt, "x")
		w := rapid.SliceOfN(value, 1, 50).Draw(rt, "window")
		ref := tableOf(t, e, assay.Frame{{Name: "x", Type: assay.TypeNumber, Floats: x}})
		defer ref.Drop(context.Background())
		d, out, err := Freeze(context.Background(), ref, []string{"x"}, nil)
		if err != nil || len(out) > 0 {
			rt.Fatal(out, err)
		}
		want, err := stat.FreezeEdges(x, stat.EdgeOptions{})
		if err != nil {
			rt.Fatal(err)
		}
		got := d.Features[0].Edges
		if !slices.Equal(got.Upper, want.Upper) || !slices.Equal(got.Atoms, want.Atoms) || got.Rows != want.Rows {
			rt.Fatalf("edges\n%v %v\nwant\n%v %v", got.Upper, got.Atoms, want.Upper, want.Atoms)
		}
		if math.Abs(got.Scale-want.Scale) > 1e-9*want.Scale && want.Scale != 1 {
			rt.Fatalf("scale %v, want %v", got.Scale, want.Scale)
		}
		if !slices.Equal(floats(d.Features[0].Counts.Cells), want.Count(x)) {
			rt.Fatalf("counts %v, want %v", d.Features[0].Counts.Cells, want.Count(x))
		}
		live := tableOf(t, e, assay.Frame{{Name: "x", Type: assay.TypeNumber, Floats: w}})
		defer live.Drop(context.Background())
		got2, err := count(context.Background(), live, d.Features, "0::BIGINT")
		if err != nil {
			rt.Fatal(err)
		}
		if !slices.Equal(floats(got2[0].columns[0].Cells), want.Count(w)) {
			rt.Fatalf("window %v, want %v", got2[0].columns[0].Cells, want.Count(w))
		}
	})
}

// Every row of a window is counted once, whatever it holds and whatever type its column came as.
func TestEveryRowIsCountedOnce(t *testing.T) {
	e := engine(t)
	nan, inf := math.NaN(), math.Inf(1)
	text := func(v ...string) assay.Column {
		c := assay.Column{Type: assay.TypeString, Levels: slices.Compact(slices.Sorted(slices.Values(v)))}
		for _, s := range v {
			i, _ := slices.BinarySearch(c.Levels, s)
			c.Codes = append(c.Codes, int32(i))
		}
		return c
	}
	nested := func(v ...string) assay.Column {
		c := text(v...)
		c.Type = assay.TypeJSON
		return c
	}
	number := func(typ assay.Type, v ...float64) assay.Column { return assay.Column{Type: typ, Floats: v} }
	for name, c := range map[string]struct {
		reference, live assay.Column
		categorical     bool
		want            Counts
	}{
		"a number":                 {number(assay.TypeNumber, 1, 2), number(assay.TypeNumber, 1, 3, nan, inf, -inf), false, Counts{Cells: []int64{0, 1, 0, 0, 1}, Missing: 1, PosInf: 1, NegInf: 1}},
		"a number with infinities": {number(assay.TypeNumber, 1, 2), text("1", "3", "nan", "nan", "inf", "-inf", "inf"), false, Counts{Cells: []int64{0, 1, 0, 0, 1}, NaN: 2, PosInf: 2, NegInf: 1}},
		"a number as text":         {number(assay.TypeNumber, 1, 2), text("1", "2.0", "two", "nan"), false, Counts{Cells: []int64{0, 1, 0, 1, 0}, NaN: 1, TypeErrors: 1}},
		"an integer as a number":   {number(assay.TypeInteger, 1, 2), number(assay.TypeNumber, 1, 1.5), false, Counts{Cells: []int64{0, 1, 1, 0, 0}}},
		"text":                     {text("a", "b", "b"), text("a", "c", ""), false, Counts{Cells: []int64{0, 1, 0, 2}}},
		"a code as a number":       {number(assay.TypeInteger, 1, 2, 2), number(assay.TypeNumber, 2, 1, 2.5, nan), true, Counts{Cells: []int64{1, 1, 0, 1}, Missing: 1}},
		"a code as text":           {number(assay.TypeInteger, 1, 2, 2), text("2", "1.0", "x"), true, Counts{Cells: []int64{1, 1, 0, 0}, TypeErrors: 1}},
		"a code as a boolean":      {number(assay.TypeInteger, 1, 0, 0), number(assay.TypeBoolean, 1, 0, nan), true, Counts{Cells: []int64{1, 1, 0, 0}, Missing: 1}},
		"a boolean as text":        {number(assay.TypeBoolean, 1, 0, 0), text("true", "0", "maybe"), false, Counts{Cells: []int64{1, 1, 0, 0}, TypeErrors: 1}},
		"a boolean as a number":    {number(assay.TypeBoolean, 1, 0, 0), number(assay.TypeInteger, 1, 2), false, Counts{Cells: []int64{0, 1, 0, 0}, TypeErrors: 1}},
		"a date":                   {number(assay.TypeDate, 0, 86400), number(assay.TypeDate, 86400, nan), false, Counts{Cells: []int64{0, 0, 0, 1, 0}, Missing: 1}},
		"a date as a number":       {number(assay.TypeDate, 0, 86400), number(assay.TypeInteger, 1, nan), false, Counts{Cells: []int64{0, 0, 0, 0, 0}, Missing: 1, TypeErrors: 1}},
		"a date as text":           {number(assay.TypeDate, 0, 86400), text("1970-01-02", "soon"), false, Counts{Cells: []int64{0, 0, 0, 1, 0}, TypeErrors: 1}},
		"nested values":            {nested(`[1]`, `[2]`, `{}`), nested(`[]`, `{"a": 1}`, `null`, `5`, `"x"`), false, Counts{Cells: []int64{1, 1, 0, 2}, Missing: 1}},
		"nested values of a log":   {nested(`[1]`, `[2]`, `{}`), text(`[]`, `{"a": [null]}`, `{"a"`, ``), false, Counts{Cells: []int64{1, 1, 0, 0}, TypeErrors: 2}},
		"nested as a number":       {nested(`1`, `"a"`, `true`), number(assay.TypeNumber, 1.5, nan, 2), false, Counts{Cells: []int64{2, 0, 0, 0, 0}, Missing: 1}},
		"nested as a boolean":      {nested(`1`, `"a"`, `true`), number(assay.TypeBoolean, 1, 0), false, Counts{Cells: []int64{0, 0, 2, 0, 0}}},
		"nested that is gone":      {nested(`1`), assay.Column{}, false, Counts{Cells: make([]int64, 3), Missing: 3}},
		"a number that is gone":    {number(assay.TypeNumber, 1, 2), assay.Column{}, false, Counts{Cells: make([]int64, 5), Missing: 3}},
		"a category that is gone":  {text("a"), assay.Column{}, false, Counts{Cells: make([]int64, 3), Missing: 3}},
	} {
		t.Run(name, func(t *testing.T) {
			c.reference.Name, c.live.Name = "x", "x"
			var categorical []string
			if c.categorical {
				categorical = []string{"x"}
			}
			d, _, err := Freeze(context.Background(), tableOf(t, e, assay.Frame{c.reference}), []string{"x"}, categorical)
			if err != nil {
				t.Fatal(err)
			}
			if c.live.Type == "" {
				c.live = assay.Column{Name: "y", Type: assay.TypeNumber, Floats: []float64{1, 2, 3}}
			}
			got, err := count(context.Background(), tableOf(t, e, assay.Frame{c.live}), d.Features, "0::BIGINT")
			if err != nil {
				t.Fatal(err)
			}
			g := got[0].columns[0]
			if !slices.Equal(g.Cells, c.want.Cells) || g.Missing != c.want.Missing || g.NaN != c.want.NaN || g.PosInf != c.want.PosInf || g.NegInf != c.want.NegInf || g.TypeErrors != c.want.TypeErrors {
				t.Errorf("counted %+v\nwant %+v of %v", g, c.want, d.Features[0].Categories)
			}
			if g.Rows() != int64(c.live.Len()) {
				t.Errorf("%d of %d rows are counted", g.Rows(), c.live.Len())
			}
		})
	}
}

func TestFreezeLeavesOutWhatHasNoValue(t *testing.T) {
	e := engine(t)
	x := tableOf(t, e, assay.Frame{
		{Name: "n", Type: assay.TypeNumber, Floats: []float64{math.NaN(), math.Inf(1)}},
		{Name: "c", Type: assay.TypeString, Codes: []int32{-1, -1}},
		{Name: "k", Type: assay.TypeInteger, Floats: []float64{1, 2}},
	})
	d, out, err := Freeze(context.Background(), x, []string{"n", "c", "k"}, nil)
	if err != nil || !slices.Equal(out, []string{"n", "c"}) || len(d.Features) != 1 {
		t.Fatalf("%v, %v, %v", d, out, err)
	}
	if _, _, err := Freeze(context.Background(), x, []string{"n"}, nil); assay.CodeOf(err) != assay.Rejected {
		t.Errorf("nothing to watch: %v", err)
	}
	if d, out, err := freeze(context.Background(), x, []string{"n", "c"}, nil); err != nil || len(d.Features) != 2 || len(out) > 0 || !d.Features[0].empty() || !d.Features[1].empty() {
		t.Errorf("no feature need have a value: %v, %v, %v", d, out, err)
	}
	if _, _, err := Freeze(context.Background(), x, []string{"z"}, nil); assay.CodeOf(err) != assay.NotFound {
		t.Errorf("no such column: %v", err)
	}
}

// Many categories stay in the engine, and the memory of a reference is bounded.
func TestFreezeManyCategories(t *testing.T) {
	e := engine(t)
	c := assay.Column{Name: "x", Type: assay.TypeString}
	for i := range keptCategories + 10 {
		c.Levels = append(c.Levels, strconv.Itoa(i))
	}
	slices.Sort(c.Levels)
	for i := range c.Levels {
		c.Codes = append(c.Codes, int32(i))
	}
	c.Codes = append(c.Codes, 5, 5)
	d, _, err := Freeze(context.Background(), tableOf(t, e, assay.Frame{c}), []string{"x"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	f := d.Features[0]
	if !f.Categories.Open || f.Categories.Rows != int64(len(c.Codes)) || f.Categories.Once != int64(len(c.Levels))-1 || f.Categories.Values[0] != c.Levels[5] || f.Counts.Rows() != int64(len(c.Codes)) {
		t.Errorf("open %v, %d rows, %d once, first %q, %d counted", f.Categories.Open, f.Categories.Rows, f.Categories.Once, f.Categories.Values[0], f.Counts.Rows())
	}
}
