package dataset

import (
	"context"
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/assaytest"
	"github.com/assay-ml/assay/internal/table"
	"github.com/assay-ml/assay/stat"
)

func leak(t testing.TB, d *Division, check string) assay.Leakage {
	t.Helper()
	for _, f := range d.Record.Findings {
		if f.Check == check {
			return f
		}
	}
	t.Fatalf("no finding %s", check)
	return assay.Leakage{}
}

// clean is a table without any leak: three numbers, two codes, and a target that depends on them with noise.
func clean(n int, seed uint64) assay.Frame {
	f := assay.Frame{drawn("a", n, seed, normal), drawn("bb", n, seed, normal), drawn("ccc", n, seed, normal), drawn("dddd", n, seed, below(4)), drawn("eeeee", n, seed, below(9))}
	r := stat.NewRand(seed, 99)
	y := make([]float64, n)
	for i := range y {
		if f[0].Floats[i]+r.Normal() > 0 {
			y[i] = 1
		}
	}
	return append(f, numbers("y", y...))
}

func TestNoFalseAlarms(t *testing.T) {
	e := engine(t)
	for seed := range uint64(30) {
		n := []int{60, 400, 3000}[seed%3]
		f := clean(n, seed+1)
		if seed%2 == 1 { // few coarse columns, which repeat by nature
			for j := range 3 {
				f[j] = drawn(f[j].Name, n, seed, below(4))
			}
		}
		o := SplitOptions{By: "stratified", Target: "y", Task: assay.Binary, Seed: seed}
		if seed%5 == 4 {
			o.By, o.Task, o.Target = "random", assay.Regression, "y"
			f[5] = drawn("y", n, seed+500, normal)
		}
		d := divide(t, frame(t, e, f...), o)
		for _, l := range d.Record.Findings {
			if l.Verdict != assay.Pass {
				t.Errorf("seed %d, %d rows: %s is %s: %s", seed, n, l.Check, l.Verdict, l.Message)
			}
		}
	}
}

// TestLoneNumbersAreNoCopies is of tables in which every number comes near another by nature: those of one column, those of dates of one
// month, and those of codes far from 0.
func TestLoneNumbersAreNoCopies(t *testing.T) {
	e := engine(t)
	for name, others := range map[string]func(i int) []float64{
		"a number alone": func(int) []float64 { return nil },
		"within a month": func(i int) []float64 { return []float64{1.7e9 + 4000*float64(i)} },
		"far codes":      func(i int) []float64 { return []float64{1<<53 + float64(2*(i%37))} },
	} {
		const n = 600
		f := clean(n, 5)
		rows := assay.Frame{f[0], f[5]}
		if len(others(0)) > 0 {
			more := make([]float64, n)
			for i := range more {
				more[i] = others(i)[0]
			}
			rows = append(rows, numbers("more", more...))
		}
		d := divide(t, frame(t, e, rows...), SplitOptions{By: "stratified", Target: "y", Task: assay.Binary, Seed: 3})
		if l := leak(t, d, "near_duplicates"); l.Verdict != assay.Pass {
			t.Errorf("%s: %s: %s", name, l.Verdict, l.Message)
		}
	}
}

// TestLoneTextsAreNoCopies is of tables of one column of text: one that repeats by nature, in several spellings, says nothing about copies; one
// whose texts are each their own does.
func TestLoneTextsAreNoCopies(t *testing.T) {
	e := engine(t)
	const n = 1000
	for _, c := range []struct {
		word    func(i int, r *stat.Rand) string
		verdict assay.Verdict
		why     string
	}{
		{func(_ int, r *stat.Rand) string {
			return []string{"red", "Red", "blue ", "blue"}[r.Intn(4)] + fmt.Sprint(r.Intn(n/2))
		}, assay.Pass, "repeats by nature"},
		{func(i int, _ *stat.Rand) string {
			return fmt.Sprintf("%s number %d", []string{"the text", "The Text"}[i/(n/2)], i%(n/2))
		}, assay.Fail, "but for spelling"},
	} {
		r := stat.NewRand(11, 0)
		levels, at := []string{}, map[string]int32{}
		x := assay.Column{Name: "x", Type: assay.TypeString}
		for i := range n {
			w := c.word(i, &r)
			if _, ok := at[w]; !ok {
				at[w], levels = int32(len(levels)), append(levels, w)
			}
			x.Codes = append(x.Codes, at[w])
		}
		x.Levels = levels
		d := divide(t, frame(t, e, x, clean(n, 5)[5]), SplitOptions{By: "stratified", Target: "y", Task: assay.Binary, Seed: 3})
		if l := leak(t, d, "near_duplicates"); l.Verdict != c.verdict || !strings.Contains(l.Message, c.why) {
			t.Errorf("%s: %s, want %s, %s", l.Verdict, l.Message, c.verdict, c.why)
		}
	}
}

// TestClassesAreApart holds that a target whose classes cannot be told apart, or be on every side, is refused where the split is made, and
// where a project is written.
func TestClassesAreApart(t *testing.T) {
	e := engine(t)
	const n = 60
	f := clean(n, 5)
	for want, levels := range map[string][]string{
		"1 of them differ from another only in case": {"No", "Yes", "yes"},
		"1 of 3 classes have a single row":           {"a", "b", "c"},
	} {
		y := assay.Column{Name: "y", Type: assay.TypeString, Codes: make([]int32, n), Levels: levels}
		for i := range y.Codes {
			y.Codes[i] = int32(i % 2)
		}
		y.Codes[7] = 2
		_, err := Divide(context.Background(), frame(t, e, f[0], y), SplitOptions{By: "stratified", Target: "y", Task: assay.Binary, Validation: 0.2, Test: 0.2})
		for _, err := range []error{err, Stratifies(&y, 0.2, 0.2, 0)} {
			if assay.CodeOf(err) != assay.Rejected || !strings.Contains(err.Error(), want) {
				t.Errorf("%v, want %q", err, want)
			}
		}
	}
}

func TestSeededLeaks(t *testing.T) {
	e := engine(t)
	const n = 1000
	copyRows := func(f assay.Frame, change func(f assay.Frame, row int)) assay.Frame {
		rows := make([]int, n+100)
		for i := range rows {
			rows[i] = i % n
		}
		out := f.Take(rows)
		for i := n; i < n+100; i++ {
			if change != nil {
				change(out, i)
			}
		}
		return out
	}
	y := func(f assay.Frame) []float64 { return f[5].Floats }
	for name, c := range map[string]struct {
		make    func(assay.Frame) assay.Frame
		task    assay.Task
		by      string
		check   string
		verdict assay.Verdict
		column  string
	}{
		"copies are gathered":  {func(f assay.Frame) assay.Frame { return copyRows(f, nil) }, "", "", "duplicates", assay.Pass, ""},
		"copies across a hash": {func(f assay.Frame) assay.Frame { return withID(copyRows(f, nil)) }, "", "hash", "duplicates", assay.Fail, ""},
		"rounded copies": {func(f assay.Frame) assay.Frame {
			return copyRows(f, func(f assay.Frame, i int) { f[1].Floats[i] *= 1 + 1e-9 })
		}, "", "", "near_duplicates", assay.Fail, ""},
		"copies but for a column": {func(f assay.Frame) assay.Frame {
			return copyRows(f, func(f assay.Frame, i int) { f[1].Floats[i] += 5 })
		}, "", "", "near_duplicates", assay.Fail, "bb"},
		"relabelled copies": {func(f assay.Frame) assay.Frame {
			return copyRows(f, func(f assay.Frame, i int) { y(f)[i] = 1 - y(f)[i] })
		}, "", "", "conflicts", assay.Undetermined, ""},
		"the target again":  {func(f assay.Frame) assay.Frame { f[2].Floats = append([]float64{}, y(f)...); return f }, "", "", "target", assay.Fail, "ccc"},
		"the target turned": {func(f assay.Frame) assay.Frame { return mapped(f, 2, func(v float64) float64 { return 7 - 3*v }) }, "", "", "target", assay.Fail, "ccc"},
		"both ends are ones": {func(f assay.Frame) assay.Frame {
			for i, v := range y(f) {
				f[2].Floats[i] = (1 + float64(i%97)/97) * (1 + 10*v) * float64(1-2*(i%2))
			}
			return f
		}, "", "", "target", assay.Fail, "ccc"},
		"five classes": {func(f assay.Frame) assay.Frame {
			f[5] = drawn("y", n, 77, below(5))
			return mapped(f, 2, func(v float64) float64 { return float64(int(v*3) % 5) })
		}, assay.Multiclass, "", "target", assay.Fail, "ccc"},
		"a number": {func(f assay.Frame) assay.Frame {
			f[5] = drawn("y", n, 77, normal)
			return mapped(f, 2, func(v float64) float64 { return 2*v + 1 })
		}, assay.Regression, "random", "target", assay.Fail, "ccc"},
		"a number bent": {func(f assay.Frame) assay.Frame {
			f[5] = drawn("y", n, 77, normal)
			for i := range f[5].Floats {
				f[5].Floats[i] = f[2].Floats[i] * f[2].Floats[i]
			}
			return f
		}, assay.Regression, "random", "target", assay.Fail, "ccc"},
		"sorted by the target": {func(f assay.Frame) assay.Frame {
			for i := range y(f) {
				y(f)[i] = float64(2 * i / n)
			}
			return f
		}, "", "", "index", assay.Undetermined, ""},
		"sorted, with a row number": {func(f assay.Frame) assay.Frame {
			for i := range y(f) {
				y(f)[i], f[2].Floats[i] = float64(2*i/n), float64(i)
			}
			return f
		}, "", "", "index", assay.Fail, "ccc"},
	} {
		o := SplitOptions{By: c.by, Target: "y", Task: c.task, Seed: 7}
		if o.By == "" {
			o.By = "stratified"
		}
		if o.Task == "" {
			o.Task = assay.Binary
		}
		f := c.make(clean(n, 5))
		if f.Column("id") != nil {
			o.Key = []string{"id"}
		}
		l := leak(t, divide(t, frame(t, e, f...), o), c.check)
		if l.Verdict != c.verdict || c.column != "" && !strings.Contains(fmt.Sprint(l.Columns), c.column) {
			t.Errorf("%s: %s is %s %v: %s", name, c.check, l.Verdict, l.Columns, l.Message)
		}
	}
}

func withID(f assay.Frame) assay.Frame {
	id := make([]float64, f.Rows())
	for i := range id {
		id[i] = float64(i)
	}
	return append(f, numbers("id", id...))
}

func mapped(f assay.Frame, to int, fn func(float64) float64) assay.Frame {
	for i, v := range f[5].Floats {
		f[to].Floats[i] = fn(v)
	}
	return f
}

func TestCoincidenceOfEmployment(t *testing.T) {
	e := engine(t)
	tb, err := e.Read(context.Background(), filepath.Join(assaytest.Root(), "examples", "employment", "train_2015.parquet"), table.ReadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	var cols []string
	for _, c := range names(tb.Fields()) {
		if c != "id" && c != "year" && c != "employed" {
			cols = append(cols, c)
		}
	}
	c, err := hashCells(context.Background(), tb, cols, nil)
	if err != nil {
		t.Fatal(err)
	}
	got := coincide(c)
	if got.pairs < 1e5 || got.natural < 0.8*got.pairs || got.natural > 1.25*got.pairs {
		t.Errorf("%v equal pairs, %v by nature", got.pairs, got.natural)
	}
	if findTwins(c).distinctive {
		t.Error("rows of a few coarse columns are called distinctive")
	}
}

func TestSightings(t *testing.T) {
	e := engine(t)
	ctx := context.Background()
	look := func(f assay.Frame) *Look {
		l, err := NewLook(ctx, frame(t, e, f...), nil, "y")
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	for _, coarse := range []bool{false, true} {
		population := func(seed uint64) assay.Frame {
			f := clean(2000, seed)
			if coarse {
				for j := range 3 {
					f[j] = drawn(f[j].Name, 2000, seed, below(5))
				}
			}
			return f
		}
		f := population(1)
		sealed := look(f)
		s, err := ParseSketch(sealed.sketch(sealed.All()[:500], nil, true))
		if err != nil {
			t.Fatal(err)
		}
		rest := sealed.All()[500:]
		if got := see(t, sealed, s, rest); got.Seen() {
			t.Errorf("coarse %v: other rows of the table: %+v", coarse, got)
		}
		if got := see(t, sealed, s, sealed.All()[300:]); !got.Seen() {
			t.Errorf("coarse %v: 200 sealed rows: %+v", coarse, got)
		}
		if got := look(population(2)); see(t, got, s, got.All()).Seen() {
			t.Errorf("coarse %v: another sample: %+v", coarse, see(t, got, s, got.All()))
		}
		if !coarse {
			g := append(assay.Frame{}, f[1:]...)
			for i := range g {
				g[i].Name = fmt.Sprint("z", 9-i)
			}
			if got := look(g); !see(t, got, s, got.All()).Seen() {
				t.Errorf("renamed and one dropped: %+v", see(t, got, s, got.All()))
			}
		}
	}
}

func FuzzParseSketch(f *testing.F) {
	l := &Look{cells: &cells{names: []string{"a", "y"}, hash: [][]uint64{{1, 2, 3}, {4, 5, 6}}}, target: []string{"y"}}
	f.Add(l.sketch([]int{0, 2}, nil, true))
	f.Add([]byte(sketchMagic))
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := ParseSketch(b)
		if err != nil {
			return
		}
		l := &Look{cells: &cells{names: []string{"a"}, hash: [][]uint64{{1, 2}}}, tally: make([]map[uint32]int, 1)}
		if got := see(t, l, s, []int{0, 1}); got.Found > got.Looked {
			t.Fatal("more found than looked for")
		}
	})
}

func BenchmarkDivide(b *testing.B) {
	e := engine(b)
	const n = 1_000_000
	var f assay.Frame
	for j := range 16 {
		draw := normal
		if j%2 == 0 {
			draw = below(10 * (j + 1))
		}
		c := drawn(fmt.Sprint("c", j), n, uint64(j), draw)
		f = append(f, c)
	}
	f = append(f, drawn("y", n, 99, below(2)))
	tb := frame(b, e, f...)
	for b.Loop() {
		divide(b, tb, SplitOptions{By: "stratified", Target: "y", Task: assay.Binary, Seed: 7})
	}
}

// leaky is a table whose columns hold the target among noise, and honest ones beside them. classes 0: the target is a number.
func leaky(n, classes int, seed uint64) assay.Frame {
	r := stat.NewRand(seed, 7)
	y, band, curve, honest := make([]float64, n), make([]float64, n), make([]float64, n), make([]float64, n)
	text := assay.Column{Name: "text", Type: assay.TypeString, Codes: make([]int32, n)}
	ticket := assay.Column{Name: "ticket", Type: assay.TypeString, Codes: make([]int32, n)}
	word := func(c *assay.Column, i int, s string) {
		c.Codes[i] = int32(len(c.Levels))
		c.Levels = append(c.Levels, s)
	}
	for i := range y {
		if classes > 0 {
			y[i] = float64(r.Intn(classes))
			band[i] = 10*y[i] + 9*r.Float64()
			curve[i] = math.Abs(y[i]-float64(classes/2)) + 0.4*r.Float64()
			if y[i] > float64(classes/2) {
				curve[i] = -10 - curve[i]
			}
			honest[i] = y[i] + 0.5*r.Normal()
			word(&text, i, fmt.Sprintf("%c%06d", 'a'+int(y[i]), r.Intn(1e6)))
		} else {
			curve[i] = 6*r.Float64() - 3
			y[i] = math.Sin(3 * curve[i])
			band[i] = math.Exp(3 * y[i])
			honest[i] = y[i] + 0.2*r.Normal()
			word(&text, i, fmt.Sprintf("v%.6f", y[i]))
		}
		word(&ticket, i, fmt.Sprintf("PC %06d", r.Intn(1e6)))
	}
	for _, c := range []*assay.Column{&text, &ticket} {
		order := make([]int, n)
		for i := range order {
			order[i] = i
		}
		slices.SortFunc(order, func(a, b int) int { return strings.Compare(c.Levels[a], c.Levels[b]) })
		levels := make([]string, n)
		for at, i := range order {
			levels[at], c.Codes[i] = c.Levels[i], int32(at)
		}
		c.Levels = levels
	}
	return assay.Frame{numbers("band", band...), numbers("curve", curve...), text, numbers("honest", honest...), ticket, drawn("noise", n, seed, normal), numbers("y", y...)}
}

// TestGiveaways holds that the split and the profile name the columns that give a target away by themselves, whatever their form, and no
// others, in small and large tables.
func TestGiveaways(t *testing.T) {
	e := engine(t)
	ctx := context.Background()
	for _, n := range []int{250, 700, 12_000} {
		for _, task := range []assay.Task{assay.Binary, assay.Multiclass, assay.Regression} {
			classes := map[assay.Task]int{assay.Binary: 2, assay.Multiclass: 3}[task]
			tb := frame(t, e, leaky(n, classes, uint64(n))...)
			o := SplitOptions{By: "random", Target: "y", Task: task, Validation: 0.2, Test: 0.2, Seed: 1}
			d, err := Divide(ctx, tb, o)
			if err != nil {
				t.Fatal(err)
			}
			want := "[band curve text]"
			var split, profile []string
			for _, l := range d.Record.Findings {
				if l.Check == "target" && l.Verdict == assay.Fail {
					split = append(split, l.Columns...)
				}
			}
			r, err := Profile(ctx, tb, ProfileOptions{Target: "y", Task: task})
			if err != nil {
				t.Fatal(err)
			}
			for _, a := range r.Alerts {
				if a.Code == "leakage" {
					profile = append(profile, a.Columns...)
				}
			}
			slices.Sort(split)
			slices.Sort(profile)
			if fmt.Sprint(split) != want || fmt.Sprint(profile) != want {
				t.Errorf("%s, %d rows: the split names %v, the profile %v, want %s", task, n, split, profile, want)
			}
		}
	}
}

// TestHonestFeatures holds that features which tell much of a target, and not all, are no leaks.
func TestHonestFeatures(t *testing.T) {
	root := assaytest.Root()
	for path, targets := range map[string][]string{
		filepath.Join(root, "testdata", "oracle", "data", "tables", "titanic.csv"): {"Pclass", "Fare", "SibSp", "Sex", "Embarked"},
		filepath.Join(root, "examples", "employment", "train_2015.parquet"):        {"employed", "SCHL", "MAR", "AGEP"},
	} {
		for _, target := range targets {
			for _, a := range profileOf(t, path, ProfileOptions{Target: target}).Alerts {
				if a.Code == "leakage" {
					t.Errorf("%s of %s: %s", target, filepath.Base(path), a.Message)
				}
			}
		}
	}
}
