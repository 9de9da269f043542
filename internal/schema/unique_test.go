package schema

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/assaytest"
)

// What repeats is counted and named exactly, whatever the values: texts that are nearly equal, missing ones, numbers far apart, both zeros.
func TestUniqueIsExact(t *testing.T) {
	assaytest.Draws(t, 40)
	e := engine(t)
	s := New("generated")
	s.Columns = []Column{{Name: "s", Type: assay.TypeString, Unique: &Unique{}}, {Name: "n", Type: assay.TypeInteger, Unique: &Unique{}}, {Name: "x", Type: assay.TypeNumber, Unique: &Unique{}}}
	s.Keys = []Key{{Columns: []string{"s", "n"}}}
	held, broken := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.OneOf(rapid.SampledFrom([]string{"", " ", "a", "A", "a ", "twelve bytes", "twelve bytes ", "twelve byteS"}), rapid.StringMatching("(prefix){3}[ab]{1,6}"))
		spread := rapid.SampledFrom([]float64{1, 1 << 40}).Draw(t, "spread")
		rows := rapid.IntRange(1, 8).Draw(t, "rows")
		apart := rapid.Bool().Draw(t, "apart") // no row repeats another, by as little as can be
		f := assay.Frame{{Name: "s", Type: assay.TypeString}, {Name: "n", Type: assay.TypeInteger}, {Name: "x", Type: assay.TypeNumber}}
		f[0].Codes = []int32{}
		want := map[string][]int64{}
		note := func(name string, key func(r int) (any, bool), missing bool) {
			by := map[any]int{}
			for r := range rows {
				if k, ok := key(r); ok {
					by[k]++
				}
			}
			for r := range rows {
				if k, ok := key(r); ok && by[k] > 1 || !ok && missing {
					want[name] = append(want[name], int64(r+1))
				}
			}
		}
		for r := range rows {
			if apart {
				f[0].Levels, f[0].Codes = append(f[0].Levels, "twelve bytes"+strings.Repeat(" ", r)), append(f[0].Codes, int32(r))
				f[1].Floats, f[2].Floats = append(f[1].Floats, float64(r)*spread), append(f[2].Floats, 1+float64(r)*0x1p-52)
				continue
			}
			code := int32(-1)
			if rapid.IntRange(0, 6).Draw(t, "missing") > 0 {
				v := text.Draw(t, "s")
				i := slices.Index(f[0].Levels, v)
				if i < 0 {
					i = len(f[0].Levels)
					f[0].Levels = append(f[0].Levels, v)
				}
				code = int32(i)
			}
			f[0].Codes = append(f[0].Codes, code)
			f[1].Floats = append(f[1].Floats, rapid.OneOf(rapid.Just(math.NaN()), rapid.Map(rapid.IntRange(0, 40), func(i int) float64 { return float64(i) * spread }),
				rapid.Map(rapid.IntRange(0, 40), func(i int) float64 { return float64(i) * spread })).Draw(t, "n"))
			f[2].Floats = append(f[2].Floats, rapid.OneOf(rapid.SampledFrom([]float64{0, math.Copysign(0, -1), 1, 1 + 0x1p-52, math.Inf(1), math.NaN()}), rapid.Float64()).Draw(t, "x"))
		}
		value := func(c int) func(r int) (any, bool) {
			return func(r int) (any, bool) {
				if c == 0 {
					return f[0].Codes[r], f[0].Codes[r] >= 0
				}
				return f[c].Floats[r], !math.IsNaN(f[c].Floats[r])
			}
		}
		note("s unique", value(0), false)
		note("n unique", value(1), false)
		note("x unique", value(2), false)
		note(" key", func(r int) (any, bool) {
			return fmt.Sprint(f[0].Codes[r], f[1].Floats[r]), f[0].Codes[r] >= 0 && !math.IsNaN(f[1].Floats[r])
		}, true)
		tab, err := e.FromFrame(context.Background(), f)
		if err != nil {
			t.Fatal(err)
		}
		defer tab.Drop(context.Background())
		v, err := s.Check(context.Background(), tab, CheckOptions{FirstRows: 100})
		if err != nil {
			t.Fatal(err)
		}
		got := map[string][]int64{}
		for _, b := range v.Violations {
			got[b.Column+" "+b.Rule] = b.Rows
			if b.Count != int64(len(b.Rows)) {
				t.Fatalf("%s: %d rows counted, %v named", b.Rule, b.Count, b.Rows)
			}
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Fatalf("%v, want %v\n%v", got, want, f)
		}
		if len(want) == 0 {
			held++
		} else {
			broken++
		}
	})
	if held < 5 || broken < 5 {
		t.Errorf("%d tables hold, %d do not", held, broken)
	}
}
