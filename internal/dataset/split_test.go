package dataset

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"strings"
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

type fataler interface{ Fatal(...any) }

func frame(t fataler, e *table.Engine, columns ...assay.Column) *table.Table {
	out, err := e.FromFrame(context.Background(), columns)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func numbers(name string, values ...float64) assay.Column {
	return assay.Column{Name: name, Type: assay.TypeNumber, Floats: values}
}

// texts makes a column of text; "" is missing.
func texts(name string, values ...string) assay.Column {
	c := assay.Column{Name: name, Type: assay.TypeString}
	c.Levels = slices.DeleteFunc(slices.Compact(slices.Sorted(slices.Values(values))), func(s string) bool { return s == "" })
	for _, v := range values {
		c.Codes = append(c.Codes, int32(slices.Index(c.Levels, v)))
	}
	return c
}

// drawn is a column of n draws.
func drawn(name string, n int, seed uint64, draw func(r *stat.Rand) float64) assay.Column {
	r := stat.NewRand(seed, uint64(len(name)))
	out := make([]float64, n)
	for i := range out {
		out[i] = draw(&r)
	}
	return numbers(name, out...)
}

func normal(r *stat.Rand) float64 { return r.Normal() }

func below(k int) func(r *stat.Rand) float64 {
	return func(r *stat.Rand) float64 { return float64(r.Intn(k)) }
}

func divide(t testing.TB, tb *table.Table, o SplitOptions) *Division {
	t.Helper()
	if o.Validation == 0 && o.By != "predefined" {
		o.Validation, o.Test = 0.2, 0.2
	}
	d, err := Divide(context.Background(), tb, o)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestDivideAsScikitLearn(t *testing.T) {
	var file struct {
		Cases []struct {
			ID       string
			Splitter string
			Params   map[string]any
			N        int
			Y        []json.RawMessage
			Error    any
			Splits   []struct{ Test []int }
		}
	}
	assaytest.OracleInto(t, "data/sklearn_splits.json", &file)
	e := engine(t)
	ran := 0
	for _, c := range file.Cases {
		share, _ := c.Params["test_size"].(float64)
		seed, seeded := c.Params["random_state"].(float64)
		if c.Splitter != "train_test_split" || share <= 0 || share >= 1 || c.Params["train_size"] != nil || c.Params["shuffle"] == false || !seeded || c.Error != nil || c.N < 12 {
			continue
		}
		row, y := make([]float64, c.N), make([]string, c.N)
		for i := range row {
			row[i], y[i] = float64(i), fmt.Sprint(i%2)
			if c.Params["stratify"] != nil {
				y[i] = string(c.Y[i])
			}
		}
		o := SplitOptions{By: "random", Target: "y", Task: assay.Multiclass, Seed: uint64(seed), Test: share, Validation: (1 - share) / 3}
		if c.Params["stratify"] != nil {
			o.By = "stratified"
		}
		if share*float64(c.N) < 2 {
			continue
		}
		d, err := Divide(context.Background(), frame(t, e, numbers("x", row...), texts("y", y...)), o)
		if err != nil {
			if o.By == "stratified" && strings.Contains(err.Error(), "cannot stratify") {
				continue // a third part that scikit-learn could not stratify either
			}
			t.Errorf("%s: %v", c.ID, err)
			continue
		}
		ran++
		if want := slices.Sorted(slices.Values(c.Splits[0].Test)); !slices.Equal(d.Rows(assay.Test), want) {
			t.Errorf("%s: test rows %v, want %v", c.ID, d.Rows(assay.Test), want)
		}
		// The second call of train_test_split sees the training rows of the first in its order.
		opt := stat.TrainTestOptions{Sizes: stat.Sizes{Test: share}, Seed: uint32(seed)}
		codes, _ := stat.Encode(y)
		if o.By == "stratified" {
			opt.Stratify = codes
		}
		first, err := stat.TrainTestSplit(c.N, opt)
		if err != nil {
			t.Fatal(err)
		}
		opt.Test = o.Validation / (1 - share)
		if o.By == "stratified" {
			opt.Stratify = take(codes, first.Train)
		}
		second, err := stat.TrainTestSplit(len(first.Train), opt)
		if err != nil {
			t.Fatal(err)
		}
		if want := slices.Sorted(slices.Values(take(first.Train, second.Test))); !slices.Equal(d.Rows(assay.Valid), want) {
			t.Errorf("%s: validation rows %v, want %v", c.ID, d.Rows(assay.Valid), want)
		}
	}
	if ran < 40 {
		t.Fatalf("%d cases ran", ran)
	}
	t.Logf("%d cases", ran)
}

func TestHashKeepsAssignments(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		keys := rapid.SliceOfNDistinct(rapid.Int64(), 30, 120, rapid.ID[int64]).Draw(r, "keys")
		old := rapid.IntRange(3, len(keys)-1).Draw(r, "old")
		seed := rapid.Uint64().Draw(r, "seed")
		prints := make([][16]byte, len(keys))
		for i, k := range keys {
			copy(prints[i][:], fmt.Sprint(k))
		}
		s := shares{0.2, 0.3}
		if !slices.Equal(assignHash(prints, s, seed)[:old], assignHash(prints[:old], s, seed)) {
			r.Fatal("a grown table changed old assignments")
		}
	})
}

func TestHashShares(t *testing.T) {
	prints := make([][16]byte, 20000)
	for i := range prints {
		copy(prints[i][:], fmt.Sprint(i))
	}
	var n [3]float64
	for _, p := range assignHash(prints, shares{0.1, 0.3}, 7) {
		n[p]++
	}
	for p, want := range []float64{0.6, 0.1, 0.3} {
		if sd := math.Sqrt(20000 * want * (1 - want)); math.Abs(n[p]-20000*want) > 4*sd {
			t.Errorf("part %d has %v of 20000 rows, want %v", p, n[p], want)
		}
	}
}

func TestGroupsStayTogether(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		n := rapid.IntRange(20, 200).Draw(r, "rows")
		groups := rapid.SliceOfN(rapid.IntRange(0, 12), n, n).Draw(r, "groups")
		strata := rapid.SliceOfN(rapid.IntRange(0, 2), n, n).Draw(r, "strata")
		if len(slices.Compact(slices.Sorted(slices.Values(groups)))) < 5 {
			r.Skip()
		}
		for _, s := range [][]int{nil, strata} {
			parts, err := assignGroups(groups, s, shares{0.2, 0.2}, 7)
			if err != nil {
				r.Fatal(err)
			}
			side := map[int]uint8{}
			for i, g := range groups {
				if p, ok := side[g]; ok && p != parts[i] {
					r.Fatalf("group %d is on two sides", g)
				}
				side[g] = parts[i]
			}
			for p := range 3 {
				if !slices.Contains(parts, uint8(p)) {
					r.Fatalf("part %d is empty", p)
				}
			}
		}
	})
}

func TestStratifiedGroupsKeepShares(t *testing.T) {
	rnd := stat.NewRand(1)
	var groups, strata []int
	for g := range 400 {
		positive := rnd.Float64()
		for range 1 + rnd.Intn(9) {
			groups = append(groups, g)
			strata = append(strata, map[bool]int{true: 1}[rnd.Float64() < positive])
		}
	}
	parts := dealGroups(groups, strata, shares{0.2, 0.2}, 7)
	var rows, ones [3]float64
	for i, p := range parts {
		rows[p]++
		ones[p] += float64(strata[i])
	}
	all := float64(len(parts))
	total := ones[0] + ones[1] + ones[2]
	for p, want := range []float64{0.6, 0.2, 0.2} {
		if math.Abs(rows[p]/all-want) > 0.01 || math.Abs(ones[p]/total-want) > 0.01 {
			t.Errorf("part %d holds %.3f of the rows and %.3f of the ones, want %v", p, rows[p]/all, ones[p]/total, want)
		}
	}
}

func TestSplitByTime(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		n := rapid.IntRange(10, 150).Draw(r, "rows")
		raw := rapid.SliceOfN(rapid.IntRange(0, 30), n, n).Draw(r, "times")
		purge := float64(rapid.IntRange(0, 2).Draw(r, "purge"))
		embargo := float64(rapid.IntRange(0, 2).Draw(r, "embargo"))
		times := make([]float64, n)
		for i, x := range raw {
			times[i] = float64(x)
		}
		parts, err := assignTime(times, shares{0.2, 0.2}, purge, embargo)
		if err != nil {
			if assay.CodeOf(err) != assay.Rejected {
				r.Fatal(err)
			}
			return
		}
		least := [3]float64{math.Inf(1), math.Inf(1), math.Inf(1)}
		most := [3]float64{math.Inf(-1), math.Inf(-1), math.Inf(-1)}
		for i, p := range parts {
			if p < 3 {
				least[p], most[p] = min(least[p], times[i]), max(most[p], times[i])
			}
		}
		if most[0] >= least[1] || most[1] >= least[2] || most[0] >= least[2] {
			r.Fatalf("the parts overlap in time: %v %v", least, most)
		}
		if gap := least[2] - most[1]; purge+embargo > 0 && gap < max(purge, embargo) {
			r.Fatalf("gap %v with purge %v and embargo %v", gap, purge, embargo)
		}
	})
}

// A purge is as long whatever a numeric column of times counts in.
func TestPurgeInTheUnitOfTheColumn(t *testing.T) {
	e := engine(t)
	const n, hour = 200, 3600.0
	var want []uint8
	for _, ticks := range []float64{0, 1, 1e3, 1e6} {
		at, x, y := assay.Column{Name: "at", Type: assay.TypeTimestamp}, numbers("x", make([]float64, n)...), texts("y", strings.Split(strings.Repeat("ab", n/2), "")...)
		if ticks > 0 {
			at.Type = assay.TypeInteger
		}
		for i := range n {
			at.Floats, x.Floats[i] = append(at.Floats, (1.7e9+hour*float64(i))*max(1, ticks)), float64(i)
		}
		d, err := Divide(context.Background(), frame(t, e, at, x, y), SplitOptions{By: "time", Time: "at", Target: "y", Task: assay.Binary, Validation: 0.2, Test: 0.2, Purge: 24 * hour})
		if err != nil {
			t.Fatal(err)
		}
		if want == nil {
			want = d.Part
		}
		if left := len(slices.DeleteFunc(slices.Clone(d.Part), func(p uint8) bool { return p < 3 })); !slices.Equal(d.Part, want) || left < 40 {
			t.Errorf("%g a second: %d rows are left out", ticks, left)
		}
	}
}

// Another name, format or order of the rows gives the same split where the split follows from the content.
func TestSplitFollowsContent(t *testing.T) {
	e := engine(t)
	n := 300
	group := drawn("g", n, 3, below(40))
	a := drawn("aa", n, 1, normal)
	when := drawn("when", n, 2, below(200))
	y := drawn("target", n, 4, below(2))
	id := make([]float64, n)
	for i := range id {
		id[i] = float64(i)
	}
	f := assay.Frame{group, a, when, y, numbers("id", id...)}
	rnd := stat.NewRand(9)
	tb := frame(t, e, f...)
	path := filepath.Join(t.TempDir(), "other.csv")
	if err := frame(t, e, f.Take(rnd.Perm(n))...).Write(context.Background(), path, nil, ""); err != nil {
		t.Fatal(err)
	}
	other, err := e.Read(context.Background(), path, table.ReadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range []SplitOptions{
		{By: "group", Entity: "g"},
		{By: "stratified_group", Entity: "g", Key: []string{"id"}},
		{By: "time", Time: "when"},
		{By: "hash"},
		{By: "hash", Key: []string{"id"}},
	} {
		o.Target, o.Task, o.Seed = "target", assay.Binary, 7
		x, z := divide(t, tb, o), divide(t, other, o)
		if x.Record.Assignment != z.Record.Assignment || x.Record.Sketch != z.Record.Sketch || x.Record.Options != z.Record.Options {
			t.Errorf("%s: another split of the same content", o.By)
		}
	}
	// A stratified split follows the order of the rows; a stored assignment brings the same rows to the same sides.
	o := SplitOptions{By: "stratified", Target: "target", Task: assay.Binary, Seed: 7}
	x, z := divide(t, tb, o), divide(t, other, o)
	if x.Record.Assignment == z.Record.Assignment {
		t.Error("the order of the rows made no difference")
	}
	if err := z.Keep(context.Background(), x.Assignment()); err != nil {
		t.Fatal(err)
	}
	if x.Record.Assignment != z.Record.Assignment || x.Record.Parts[2].IDs != z.Record.Parts[2].IDs {
		t.Error("the stored assignment was not kept")
	}
}

func TestDivideRefuses(t *testing.T) {
	e := engine(t)
	seq := func(n int) []float64 {
		out := make([]float64, n)
		for i := range out {
			out[i] = float64(i)
		}
		return out
	}
	labels := func(n int, f func(i int) string) assay.Column {
		out := make([]string, n)
		for i := range out {
			out[i] = f(i)
		}
		return texts("y", out...)
	}
	half := labels(20, func(i int) string { return []string{"a", "b"}[i%2] })
	x := numbers("x", seq(20)...)
	repeat := numbers("id", append(seq(17), 3, 3, 4)...)
	counted := numbers("s", seq(20)...)
	for i := range counted.Floats {
		counted.Floats[i] += 1.7e9
	}
	holes := numbers("id", append(seq(18), math.NaN(), math.NaN())...)
	for name, c := range map[string]struct {
		frame assay.Frame
		o     SplitOptions
		code  assay.Code
		want  string
	}{
		"no rows":         {assay.Frame{numbers("x"), texts("y")}, SplitOptions{}, assay.Rejected, "0 rows cannot be divided"},
		"one row":         {assay.Frame{numbers("x", 1), texts("y", "a")}, SplitOptions{}, assay.Rejected, "1 rows cannot be divided"},
		"one class":       {assay.Frame{x, labels(20, func(int) string { return "a" })}, SplitOptions{}, assay.Rejected, "one class only"},
		"no label":        {assay.Frame{x, labels(20, func(int) string { return "" })}, SplitOptions{}, assay.Rejected, `column "y" has no value in 20 rows`},
		"a label missing": {assay.Frame{x, labels(20, func(i int) string { return []string{"a", "b", "", "a"}[i%4] })}, SplitOptions{}, assay.Rejected, `column "y" has no value in 5 rows, the first is row 3`},
		"rare class": {assay.Frame{x, labels(20, func(i int) string {
			if i == 0 {
				return "c"
			}
			return []string{"a", "b"}[i%2]
		})}, SplitOptions{}, assay.Rejected, "have a single row"},
		"key repeats":     {assay.Frame{x, half, repeat}, SplitOptions{Key: []string{"id"}}, assay.Rejected, "2 keys repeat, in 5 of 20 rows; the most frequent occurs 3 times"},
		"key missing":     {assay.Frame{x, half, holes}, SplitOptions{Key: []string{"id"}}, assay.Rejected, "2 of 20 rows have no key"},
		"no column":       {assay.Frame{x, half}, SplitOptions{Key: []string{"nope"}, Entity: "neither"}, assay.Invalid, `key column "nope" is not in the table`},
		"nothing left":    {assay.Frame{x, half}, SplitOptions{Exclude: []string{"x"}}, assay.Rejected, "no column is left to learn from"},
		"shares":          {assay.Frame{x, half}, SplitOptions{Validation: 0.5, Test: 0.5}, assay.Invalid, "together below 1"},
		"NaN share":       {assay.Frame{x, half}, SplitOptions{Validation: math.NaN(), Test: 0.5}, assay.Invalid, "together below 1"},
		"tiny shares":     {assay.Frame{x, half, repeat}, SplitOptions{By: "time", Time: "x", Validation: 1e-9, Test: 1e-9}, assay.Rejected, "too few different values"},
		"seed":            {assay.Frame{x, half}, SplitOptions{Seed: 1 << 40}, assay.Invalid, "4294967295"},
		"unknown":         {assay.Frame{x, half}, SplitOptions{By: "magic"}, assay.Invalid, `"magic" is none of`},
		"no time":         {assay.Frame{x, half, holes}, SplitOptions{By: "time", Time: "id"}, assay.Rejected, "2 of 20 rows have no time"},
		"one time":        {assay.Frame{x, half, numbers("t", make([]float64, 20)...)}, SplitOptions{By: "time", Time: "t"}, assay.Rejected, "too few different values"},
		"text as time":    {assay.Frame{x, half, texts("t", strings.Split(strings.Repeat("b", 20), "")...)}, SplitOptions{By: "time", Time: "t"}, assay.Rejected, "is a string"},
		"two entities":    {assay.Frame{x, half, numbers("e", append(make([]float64, 19), 1)...)}, SplitOptions{By: "group", Entity: "e"}, assay.Rejected, "2 entities cannot be divided"},
		"entity missing":  {assay.Frame{x, half, holes}, SplitOptions{By: "group", Entity: "id"}, assay.Rejected, `"id" has no value in 2 rows`},
		"no test rows":    {assay.Frame{x, half, renamed(labels(20, func(i int) string { return []string{"train", "dev"}[i%2] }), "part")}, SplitOptions{By: "predefined", Column: "part"}, assay.Rejected, "the test part is empty"},
		"a fourth part":   {assay.Frame{x, half, renamed(labels(20, func(i int) string { return []string{"train", "dev", "test", "rest"}[i%4] }), "part")}, SplitOptions{By: "predefined", Column: "part"}, assay.Rejected, "names a part other than"},
		"regression":      {assay.Frame{x, half}, SplitOptions{By: "random", Task: assay.Regression}, assay.Rejected, `target "y" is a string`},
		"strata of none":  {assay.Frame{x, half}, SplitOptions{Target: "x", Task: assay.Regression}, assay.Invalid, "needs classes"},
		"number missing":  {assay.Frame{x, half, holes}, SplitOptions{By: "random", Target: "id", Task: assay.Regression}, assay.Rejected, "no finite value in 2 of 20 rows"},
		"target in key":   {assay.Frame{x, half}, SplitOptions{Key: []string{"y"}}, assay.Invalid, "cannot be part of the key"},
		"backward purge":  {assay.Frame{x, half}, SplitOptions{By: "time", Time: "x", Purge: -1}, assay.Invalid, "want none below 0"},
		"all in the gaps": {assay.Frame{x, half, counted}, SplitOptions{By: "time", Time: "s", Purge: 1000}, assay.Rejected, "part is empty"},
		"gaps of no unit": {assay.Frame{x, half, repeat}, SplitOptions{By: "time", Time: "x", Purge: 1000}, assay.Rejected, "holds numbers of no known unit"},
	} {
		o := c.o
		if o.By == "" {
			o.By = "stratified"
		}
		if o.Target == "" {
			o.Target = "y"
		}
		if o.Task == "" {
			o.Task = assay.Binary
		}
		if o.Validation == 0 && o.By != "predefined" {
			o.Validation, o.Test = 0.2, 0.2
		}
		_, err := Divide(context.Background(), frame(t, e, c.frame...), o)
		if assay.CodeOf(err) != c.code || !strings.Contains(fmt.Sprint(err), c.want) {
			t.Errorf("%s: %v (%s), want %q (%s)", name, err, assay.CodeOf(err), c.want, c.code)
		}
		if c.code == assay.Rejected && assay.HintOf(err) == "" {
			t.Errorf("%s: no hint", name)
		}
	}
}

func TestManyClasses(t *testing.T) {
	e := engine(t)
	n := 60_000
	y := make([]float64, n)
	x := make([]float64, n)
	for i := range y {
		y[i], x[i] = float64(i%10_000), float64(i*7919%n)
	}
	d := divide(t, frame(t, e, numbers("x", x...), numbers("y", y...)), SplitOptions{By: "stratified", Target: "y", Task: assay.Multiclass, Seed: 1, Validation: 0.2, Test: 0.2})
	if got := d.Record.Parts[2].Rows; got != 12_000 {
		t.Errorf("%d test rows", got)
	}
	if len(d.Record.Parts[2].Labels) != 10_000 {
		t.Errorf("%d classes in test", len(d.Record.Parts[2].Labels))
	}
}

func renamed(c assay.Column, name string) assay.Column {
	c.Name = name
	return c
}
