package stat_test

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/assay-ml/assay/stat"
	"pgregory.net/rapid"
)

// normals are draws from N(shift, 1).
func normals(n int, shift float64, stream ...uint64) []float64 {
	r := stat.NewRand(77, stream...)
	out := make([]float64, n)
	for i := range out {
		out[i] = shift + r.Normal()
	}
	return out
}

func freeze(t testing.TB, reference []float64, o stat.EdgeOptions) *stat.Edges {
	t.Helper()
	e, err := stat.FreezeEdges(reference, o)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func TestFreezeEdges(t *testing.T) {
	x := normals(6000, 0)
	e := freeze(t, append([]float64{math.NaN(), math.Inf(1)}, x...), stat.EdgeOptions{})
	counts := e.Count(x)
	if e.Cells() != 32 || counts[0] != 0 || counts[31] != 0 || e.Rows != 6000 {
		t.Fatalf("%d cells, %v outside, %d rows", e.Cells(), []float64{counts[0], counts[31]}, e.Rows)
	}
	for i, c := range counts[1:31] {
		if c < 199 || c > 201 {
			t.Errorf("cell %d has %v rows of 6000/30", i+1, c)
		}
	}
	if math.Abs(e.Scale-1) > 0.05 || math.Abs(e.Centre) > 0.05 {
		t.Errorf("centre %v, scale %v of N(0,1)", e.Centre, e.Scale)
	}
	// A spike has a cell of its own, and its neighbours another.
	spike := slices.Concat(x[:500], make([]float64, 500))
	e = freeze(t, spike, stat.EdgeOptions{Cells: 10})
	if len(e.Atoms) != 1 || e.Upper[e.Atoms[0]] != 0 || e.Cell(0) != e.Atoms[0] || e.Cell(math.Copysign(0, -1)) != e.Atoms[0] ||
		e.Cell(1e-300) == e.Atoms[0] || e.Cell(-1e-300) == e.Atoms[0] {
		t.Errorf("atoms %v of %v", e.Atoms, e.Upper)
	}
	// Few values: each is a cell, and what lies between them is not.
	e = freeze(t, []float64{1, 2, 2, 3}, stat.EdgeOptions{})
	if len(e.Atoms) != 3 || slices.Contains(e.Atoms, e.Cell(1.5)) || e.Cell(3.5) != e.Cells()-1 || e.Cell(0.5) != 0 {
		t.Errorf("atoms %v of %v", e.Atoms, e.Upper)
	}
	for _, ref := range [][]float64{{4}, {math.MaxFloat64, -math.MaxFloat64}, {0, 5e-324}} {
		e = freeze(t, ref, stat.EdgeOptions{})
		if c := e.Count(ref); slices.Max(c) < 1 || !(e.Scale > 0) {
			t.Errorf("%v: counts %v, scale %v", ref, c, e.Scale)
		}
		if err := e.Check(); err != nil {
			t.Errorf("%v: %v", ref, err)
		}
	}
	for name, o := range map[string]stat.EdgeOptions{"one cell": {Cells: 1}, "too many": {Cells: 5000}, "atom": {Atom: -1}} {
		if _, err := stat.FreezeEdges(x, o); err == nil {
			t.Errorf("%s: made", name)
		}
	}
	if _, err := stat.FreezeEdges([]float64{math.NaN()}, stat.EdgeOptions{}); err == nil {
		t.Error("edges of nothing")
	}
}

func TestEdgesRefuseWhatIsUnusable(t *testing.T) {
	for _, s := range []string{
		`{}`, `{"upper":[2,1],"atoms":[],"centre":0,"scale":1,"rows":2}`, `{"upper":[1,1],"atoms":[],"centre":0,"scale":1,"rows":2}`,
		`{"upper":[1,2],"atoms":[],"centre":0,"scale":0,"rows":2}`, `{"upper":[1,2],"atoms":[2],"centre":0,"scale":1,"rows":2}`,
		`{"upper":[1,2],"atoms":[],"centre":0,"scale":1,"rows":2,"more":1}`, `[]`,
	} {
		if err := json.Unmarshal([]byte(s), new(stat.Edges)); err == nil {
			t.Errorf("read %s", s)
		}
	}
}

var someFloat = rapid.OneOf(rapid.Float64Range(-3, 3), rapid.SampledFrom([]float64{0, 1, 1, 1e9, math.NaN(), math.Inf(1), math.Inf(-1)}))

func TestHistogramProperties(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		reference := rapid.SliceOfN(rapid.Float64Range(-2, 2), 1, 50).Draw(rt, "reference")
		e, err := stat.FreezeEdges(reference, stat.EdgeOptions{Cells: rapid.IntRange(2, 9).Draw(rt, "cells")})
		if err != nil {
			rt.Fatal(err)
		}
		text := func(h *stat.Histogram) string {
			b, err := json.Marshal(h)
			if err != nil {
				rt.Fatal(err)
			}
			return string(b)
		}
		part := func(name string) (*stat.Histogram, []float64) {
			h := stat.NewHistogram(e)
			vs := rapid.SliceOfN(someFloat, 0, 30).Draw(rt, name)
			for _, v := range vs {
				h.Add(v)
			}
			for range rapid.IntRange(0, 3).Draw(rt, name+" missing") {
				h.AddMissing()
				h.AddTypeError()
			}
			return h, vs
		}
		sum := func(hs ...*stat.Histogram) *stat.Histogram {
			out := stat.NewHistogram(e)
			for _, h := range hs {
				if err := out.Merge(h); err != nil {
					rt.Fatal(err)
				}
			}
			return out
		}
		a, va := part("a")
		b, vb := part("b")
		c, _ := part("c")
		whole := text(sum(a, b, c))
		if text(sum(c, a, b)) != whole || text(sum(sum(a, b), c)) != whole || text(sum(a, sum(b, c))) != whole {
			rt.Fatal("merging depends on the order")
		}
		one := stat.NewHistogram(e)
		for _, v := range slices.Concat(vb, va) {
			one.Add(v)
		}
		ab := sum(a, b)
		if !slices.Equal(one.Counts(), ab.Counts()) || one.Values() != ab.Values() {
			rt.Fatal("merged counts differ from those of all rows")
		}
		// Against the definition, cell by cell.
		for i, n := range one.Counts() {
			var want float64
			for _, v := range slices.Concat(va, vb) {
				if !math.IsNaN(v) && !math.IsInf(v, 0) && (i == 0 || v > e.Upper[i-1]) && (i == len(e.Upper) || v <= e.Upper[i]) {
					want++
				}
			}
			if n != want {
				rt.Fatalf("cell %d has %v rows, want %v", i, n, want)
			}
		}
		// Written and read it is the same, over edges that were written and read.
		raw, err := json.Marshal(e)
		if err != nil {
			rt.Fatal(err)
		}
		var again stat.Edges
		if err := json.Unmarshal(raw, &again); err != nil {
			rt.Fatal(err)
		}
		back, err := stat.ReadHistogram(&again, []byte(whole))
		if err != nil {
			rt.Fatal(err)
		}
		if text(back) != whole || back.Merge(a) != nil {
			rt.Fatal("reading changed the histogram")
		}
		if lo, hi := ab.Range(); ab.Values() > 0 && !(ab.Quantile(0) == lo && ab.Quantile(1) == hi && ab.Quantile(0.5) >= lo && ab.Quantile(0.5) <= hi) {
			rt.Fatalf("quantiles %v, %v, %v of range %v to %v", ab.Quantile(0), ab.Quantile(0.5), ab.Quantile(1), lo, hi)
		}
	})
}

func TestHistogramRefuses(t *testing.T) {
	e := freeze(t, []float64{1, 2, 3}, stat.EdgeOptions{})
	h := stat.NewHistogram(e)
	h.Add(2)
	good, err := json.Marshal(h)
	if err != nil {
		t.Fatal(err)
	}
	if want := `{"cells":[0,0,0,1,0,0,0],"presence":{"value":1,"missing":0,"nan":0,"pos_inf":0,"neg_inf":0,"type_error":0},"min":2,"max":2}`; string(good) != want {
		t.Errorf("%s, want %s", good, want)
	}
	for _, change := range [][2]string{
		{`[0,0,0,1,0,0,0]`, `[0,0,0,1,0,0]`},
		{`[0,0,0,1,0,0,0]`, `[0,0,0,2,0,0,0]`},
		{`[0,0,0,1,0,0,0]`, `[0,0,-1,2,0,0,0]`},
		{`[0,0,0,1,0,0,0]`, `[1,0,0,0,0,0,0]`},
		{`"missing":0`, `"missing":-1`},
		{`"min":2`, `"min":3`},
		{`"min":2`, `"min":null`},
		{`"max":2`, `"max":2,"x":1`},
		{`"max":2}`, `"max":2}{}`},
	} {
		if _, err := stat.ReadHistogram(e, []byte(strings.Replace(string(good), change[0], change[1], 1))); err == nil {
			t.Errorf("read with %s for %s", change[1], change[0])
		}
	}
	if err := h.Merge(stat.NewHistogram(freeze(t, []float64{1, 2}, stat.EdgeOptions{}))); err == nil {
		t.Error("merged over other edges")
	}
	h.Reset()
	if lo, _ := h.Range(); h.Rows() != 0 || !math.IsNaN(lo) || !math.IsNaN(h.Quantile(0.5)) {
		t.Error("not empty after Reset")
	}
}

func FuzzReadHistogram(f *testing.F) {
	e := freeze(f, []float64{1, 2, 3}, stat.EdgeOptions{})
	f.Add([]byte(`{"cells":[0,0,0,1,0,0,0],"presence":{"value":1,"missing":0,"nan":0,"pos_inf":0,"neg_inf":0,"type_error":0},"min":2,"max":2}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		h, err := stat.ReadHistogram(e, data)
		if err != nil {
			return
		}
		b, err := json.Marshal(h)
		if err != nil {
			t.Fatal(err)
		}
		again, err := stat.ReadHistogram(e, b)
		if err != nil {
			t.Fatalf("wrote what it refuses: %v", err)
		}
		if c, _ := json.Marshal(again); string(c) != string(b) {
			t.Fatalf("%s became %s", b, c)
		}
	})
}

func FuzzReadEdges(f *testing.F) {
	f.Add([]byte(`{"upper":[1,2],"atoms":[1],"centre":0,"scale":1,"rows":2}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		var e stat.Edges
		if json.Unmarshal(data, &e) != nil {
			return
		}
		h := stat.NewHistogram(&e)
		for _, v := range []float64{-1e300, 0, 1, 1.5, 1e300, math.NaN()} {
			h.Add(v)
		}
		stat.DriftW1.Of(h.Counts(), h.Counts(), &e)
	})
}

func TestCategories(t *testing.T) {
	c, err := stat.FreezeCategories(map[string]int64{"a": 10, "b": 10, "c": 3, "d": 1, "e": 1}, 2)
	if err != nil {
		t.Fatal(err)
	}
	for v, want := range map[string]int{"a": 0, "b": 1, "c": c.Other(), "e": c.Other(), "z": c.Unseen(), "": c.Unseen()} {
		if c.Cell(v) != want || c.CellBytes([]byte(v)) != want {
			t.Errorf("%q is in cell %d and %d, want %d", v, c.Cell(v), c.CellBytes([]byte(v)), want)
		}
	}
	if c.Once != 2 || c.Rows != 25 || c.Cells() != 4 {
		t.Errorf("%+v", c)
	}
	raw, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(raw), `"c"`) {
		t.Errorf("a rare value is in the profile: %s", raw)
	}
	var back stat.Categories
	if err := json.Unmarshal(raw, &back); err != nil {
		t.Fatal(err)
	}
	if again, _ := json.Marshal(&back); string(again) != string(raw) || back.Cell("d") != back.Other() {
		t.Errorf("%s became %s", raw, again)
	}
	many := map[string]int64{}
	for i := range stat.MaxTailCategories + 100 {
		many[fmt.Sprint(i)] = 1
	}
	open, err := stat.FreezeCategories(many, 3)
	if err != nil {
		t.Fatal(err)
	}
	if !open.Open || open.Cell("never") != open.Other() || !slices.Equal(open.Values, []string{"0", "1", "10"}) {
		t.Errorf("open %v, values %q", open.Open, open.Values)
	}
	if _, err := stat.FreezeCategories(map[string]int64{"a": 0}, 0); err == nil {
		t.Error("froze a count of 0")
	}
	none, err := stat.FreezeCategories(nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	raw, err = json.Marshal(none)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(raw, none); err != nil || none.Cells() != 2 || none.Cell("a") != none.Unseen() {
		t.Errorf("without a value: %s, %v", raw, err)
	}
	for _, s := range []string{`{"values":[],"tail":[],"open":false,"rows":1,"once":0}`, `{"values":["a","a"],"tail":[],"open":false,"rows":1,"once":0}`, `{"values":["a"],"tail":[2,1],"open":false,"rows":1,"once":0}`} {
		if err := json.Unmarshal([]byte(s), new(stat.Categories)); err == nil {
			t.Errorf("read %s", s)
		}
	}
}

func TestCategoryCountsMerge(t *testing.T) {
	c, err := stat.FreezeCategories(map[string]int64{"a": 9, "b": 5, "c": 3, "d": 2}, 2)
	if err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(rt *rapid.T) {
		whole := stat.NewCategoryCounts(c)
		var parts []*stat.CategoryCounts
		for range rapid.IntRange(1, 4).Draw(rt, "parts") {
			p := stat.NewCategoryCounts(c)
			for _, v := range rapid.SliceOf(rapid.SampledFrom([]string{"a", "b", "c", "d", "e", "", "-"})).Draw(rt, "rows") {
				if v == "-" {
					p.AddMissing()
					whole.AddMissing()
					continue
				}
				p.Add(v)
				whole.AddBytes([]byte(v))
			}
			parts = append(parts, p)
		}
		slices.Reverse(parts)
		sum := stat.NewCategoryCounts(c)
		for _, p := range parts {
			if err := sum.Merge(p); err != nil {
				rt.Fatal(err)
			}
		}
		a, _ := json.Marshal(whole)
		b, _ := json.Marshal(sum)
		back, err := stat.ReadCategoryCounts(c, a)
		if err != nil {
			rt.Fatal(err)
		}
		d, _ := json.Marshal(back)
		if string(a) != string(b) || string(a) != string(d) {
			rt.Fatalf("%s, %s, %s", a, b, d)
		}
	})
}

func TestUpdatesDoNotAllocate(t *testing.T) {
	h := stat.NewHistogram(freeze(t, normals(1000, 0), stat.EdgeOptions{}))
	c, err := stat.FreezeCategories(map[string]int64{"a": 9, "b": 5, "c": 3}, 2)
	if err != nil {
		t.Fatal(err)
	}
	k := stat.NewCategoryCounts(c)
	unseen := []byte("a value that was never there, and is long")
	if n := testing.AllocsPerRun(100, func() {
		h.Add(0.3)
		h.Add(math.NaN())
		h.AddMissing()
		k.AddBytes(unseen)
		k.Add("a")
	}); n != 0 {
		t.Errorf("%v allocations a row", n)
	}
}

// A row of 20 columns, 15 of them numbers.
func BenchmarkHistogramRow(b *testing.B) {
	var hs []*stat.Histogram
	for i := range 15 {
		hs = append(hs, stat.NewHistogram(freeze(b, normals(20_000, 0, uint64(i)), stat.EdgeOptions{})))
	}
	counts := map[string]int64{}
	for i := range 40 {
		counts[fmt.Sprintf("category %d", i)] = int64(i + 1)
	}
	c, err := stat.FreezeCategories(counts, 0)
	if err != nil {
		b.Fatal(err)
	}
	var ks []*stat.CategoryCounts
	for range 5 {
		ks = append(ks, stat.NewCategoryCounts(c))
	}
	rows := normals(4096*15, 0, 99)
	names := make([]string, 4096)
	for i := range names {
		names[i] = fmt.Sprintf("category %d", i*7%41)
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		row := rows[i%4096*15:][:15]
		for j, h := range hs {
			h.Add(row[j])
		}
		for j, k := range ks {
			k.Add(names[(i+j)%4096])
		}
	}
}
