package dataset

import (
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

// labelled adds a label that is 1 with the probability of the logistic function of a score.
func labelled(f assay.Frame, seed uint64, score func(i int) float64) assay.Frame {
	r, y := stat.NewRand(seed, 7), make([]float64, f.Rows())
	for i := range y {
		if r.Float64() < 1/(1+math.Exp(-score(i))) {
			y[i] = 1
		}
	}
	return append(f, numbers("y", y...))
}

// fine is a table of distinctive rows, coarse one whose rows repeat by nature; other seeds draw other rows of the same population.
func fine(n int, seed uint64) assay.Frame {
	f := assay.Frame{drawn("income", n, seed, func(r *stat.Rand) float64 { return math.Exp(10 + r.Normal()/2) }), drawn("score", n, seed, normal), drawn("balance", n, seed, func(r *stat.Rand) float64 { return 3000 * r.Normal() }), drawn("age", n, seed, below(63)), drawn("city", n, seed, below(5))}
	return labelled(f, seed, func(i int) float64 { return f[1].Floats[i] + 0.02*(f[3].Floats[i]-31) })
}

func coarse(n int, seed uint64) assay.Frame {
	f := assay.Frame{drawn("age", n, seed, below(63)), drawn("city", n, seed, below(5))}
	return labelled(f, seed, func(i int) float64 { return 0.05 * (f[0].Floats[i] - 31) })
}

func rounded(f assay.Frame) assay.Frame {
	out := slices.Clone(f)
	for j, c := range out {
		out[j].Floats = slices.Clone(c.Floats)
		for i, v := range c.Floats {
			out[j].Floats[i] = roundTo(v, math.Abs(v), 3)
		}
	}
	return out
}

func othernames(f assay.Frame) assay.Frame {
	out := slices.Clone(f)
	for j := range len(out) - 1 {
		out[j].Name = fmt.Sprint("z", 9-j)
	}
	slices.Reverse(out[:len(out)-1])
	return out
}

func shuffled(f assay.Frame, share float64, seed uint64) assay.Frame {
	r := stat.NewRand(seed, 3)
	rows := r.Perm(f.Rows())
	return f.Take(rows[:int(share*float64(len(rows)))])
}

// A sealedTable is a table that was split at random.
type sealedTable struct {
	t      *testing.T
	e      *table.Engine
	frame  assay.Frame
	key    []string
	split  *Division
	sketch *Sketch
}

func seal(t *testing.T, e *table.Engine, f assay.Frame, key ...string) sealedTable {
	t.Helper()
	d := divide(t, frame(t, e, f...), SplitOptions{By: "stratified", Target: f[len(f)-1].Name, Task: assay.Binary, Key: key, Seed: 7})
	s, err := ParseSketch(d.Sketch())
	if err != nil {
		t.Fatal(err)
	}
	return sealedTable{t, e, f, key, d, s}
}

// in looks for the sealed rows in a table, as the store's commands do: row by row, and then by counts.
func (s sealedTable) in(f assay.Frame, rows ...int) Sighting {
	s.t.Helper()
	key := slices.DeleteFunc(slices.Clone(s.key), func(k string) bool { return f.Column(k) == nil })
	l, err := NewLook(s.t.Context(), frame(s.t, s.e, f...), key, f[len(f)-1].Name)
	if err != nil {
		s.t.Fatal(err)
	}
	if len(rows) == 0 {
		rows = l.All()
	}
	if got := see(s.t, l, s.sketch, rows); got.Seen() {
		return got
	}
	return s.alike(f, rows...)
}

// alike looks by counts and by the order alone.
func (s sealedTable) alike(f assay.Frame, rows ...int) Sighting {
	s.t.Helper()
	l, err := NewLook(s.t.Context(), frame(s.t, s.e, f...), nil, f[len(f)-1].Name)
	if err != nil {
		s.t.Fatal(err)
	}
	if len(rows) == 0 {
		rows = l.All()
	}
	got, err := l.Alike(s.t.Context(), s.sketch, rows)
	if err != nil {
		s.t.Fatal(err)
	}
	return got
}

// TestAlike looks for sealed rows in tables that have them in a form whose cells say nothing: numbers rounded, rows that repeat by nature.
func TestAlike(t *testing.T) {
	e := engine(t)
	for name, make := range map[string]func(int, uint64) assay.Frame{"fine": fine, "coarse": coarse} {
		for _, n := range []int{1000, 5000, 20000}[:assaytest.Size(2, 3)] {
			s := seal(t, e, make(n, 1))
			test := s.split.Rows(assay.Test)
			for form, f := range map[string]assay.Frame{
				"rounded":                        rounded(s.frame),
				"rounded, in another order":      shuffled(rounded(s.frame), 1, 2),
				"rounded, a twentieth gone":      shuffled(rounded(s.frame), 0.95, 3),
				"rounded, renamed, moved":        shuffled(othernames(rounded(s.frame)), 1, 4),
				"the first column gone, ordered": rounded(s.frame)[1:],
				"one column left, ordered":       rounded(s.frame)[len(s.frame)-2:],
			} {
				got := s.in(f)
				if !got.Seen() || got.Excess() < 0.7 {
					t.Errorf("%s, %d rows, %s: %+v", name, n, form, got)
				}
				// The rows that were sealed, and the others.
				if f.Rows() == n && !strings.Contains(form, "order,") && strings.HasSuffix(form, "ordered") {
					if got := s.in(f, test...); !got.Seen() || got.Excess() < 0.9 {
						t.Errorf("%s, %d rows, %s, the sealed ones: %+v", name, n, form, got)
					}
				}
			}
			rest := slices.Concat(s.split.Rows(assay.Train), s.split.Rows(assay.Valid))
			for _, f := range []assay.Frame{rounded(s.frame), rounded(s.frame).Take(rest), shuffled(rounded(s.frame).Take(rest), 0.9, 5), shuffled(rounded(s.frame).Take(rest), 0.5, 6)} {
				rows := seq(f.Rows())
				if len(rows) == n {
					rows = rest
				}
				if got := s.in(f, rows...); got.Seen() {
					t.Errorf("%s, %d rows: sealed rows among those that are not: %+v", name, n, got)
				}
			}
			// The rows to train on, with as many new ones as were sealed: what is asked for where rows may not be sealed again.
			other := append(assay.Frame{}, rounded(s.frame).Take(rest)...)
			for j, c := range make(n, 99).Take(seq(len(test))) {
				other[j].Floats = append(slices.Clone(other[j].Floats), c.Floats...)
			}
			if got := s.in(other); got.Seen() {
				t.Errorf("%s, %d rows: new rows for the sealed ones: %+v", name, n, got)
			}
		}
	}
}

// TestAlikeNever looks for sealed rows in tables that do not have them.
func TestAlikeNever(t *testing.T) {
	e := engine(t)
	never := func(name string, s sealedTable, f assay.Frame) {
		t.Helper()
		look := s.in
		if strings.Contains(name, "grid") || name == "persons" { // rows with equal values in every column are recognised as such
			look = s.alike
		}
		if got := look(f); got.Seen() {
			t.Errorf("%s: %+v", name, got)
		}
	}
	// A grid of hours, where the hour says most of the label; the sorted; persons who come again with new labels.
	grid := func(n int, seed uint64) assay.Frame {
		var f assay.Frame
		for j, of := range []func(i int) int{func(i int) int { return i % 24 }, func(i int) int { return i / 24 % 7 }, func(i int) int { return i / 168 }} {
			c := numbers([]string{"hour", "weekday", "week"}[j])
			for i := range n {
				c.Floats = append(c.Floats, float64(of(i)))
			}
			f = append(f, c)
		}
		return labelled(f, seed, func(i int) float64 { return 3 * math.Sin(2*math.Pi*float64(i%24)/24) })
	}
	sorted := func(n int, seed uint64) assay.Frame {
		f := coarse(n, seed)
		rows := seq(n)
		slices.SortStableFunc(rows, func(a, b int) int { return int(f[2].Floats[a] - f[2].Floats[b]) })
		return f.Take(rows)
	}
	persons := func(n int, seed uint64) assay.Frame {
		f := fine(n, 1)[:5]
		return labelled(f, seed, func(i int) float64 { return f[1].Floats[i] + 0.02*(f[3].Floats[i]-31) })
	}
	numbered := func(make func(int, uint64) assay.Frame) func(int, uint64) assay.Frame {
		return func(n int, seed uint64) assay.Frame {
			id := numbers("id")
			for i := range n {
				id.Floats = append(id.Floats, float64(i+1))
			}
			return append(assay.Frame{id}, make(n, seed)...)
		}
	}
	for name, make := range map[string]func(int, uint64) assay.Frame{
		"fine": fine, "coarse": coarse, "grid": grid, "sorted": sorted,
		"numbered fine": numbered(fine), "numbered coarse": numbered(coarse), "numbered grid": numbered(grid), "numbered sorted": numbered(sorted),
	} {
		for _, n := range []int{1008, 5040}[:assaytest.Size(1, 2)] {
			var key []string
			if strings.HasPrefix(name, "numbered") {
				key = []string{"id"}
			}
			s := seal(t, e, make(n, 1), key...)
			for seed := range uint64(8) {
				never(fmt.Sprint(name, n), s, make(n, 100+seed))
			}
		}
	}
	never("persons", seal(t, e, persons(3000, 1)), persons(3000, 2))
}

// TestAlikeYears looks for the sealed rows of a survey in the years after, and of one half of a list of passengers in the other.
func TestAlikeYears(t *testing.T) {
	e := engine(t)
	read := func(path string) assay.Frame {
		t.Helper()
		tb, err := e.Read(t.Context(), path, table.ReadOptions{})
		if err != nil {
			t.Fatal(err)
		}
		f, err := tb.Frame(t.Context(), names(tb.Fields()), "")
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	year := func(y int) assay.Frame {
		f := read(fmt.Sprintf("../../examples/employment/live_%d.parquet", y))
		labels := read(fmt.Sprintf("../../examples/employment/labels_%d.parquet", y))
		at := map[float64]float64{}
		for i, id := range labels.Column("id").Floats {
			at[id] = labels.Column("employed").Floats[i]
		}
		c := numbers("employed")
		for _, id := range f.Column("id").Floats {
			c.Floats = append(c.Floats, at[id])
		}
		return append(f, c)
	}
	without := func(f assay.Frame, some ...string) assay.Frame {
		return slices.DeleteFunc(slices.Clone(f), func(c assay.Column) bool { return slices.Contains(some, c.Name) })
	}
	first := read("../../examples/employment/train_2015.parquet")
	keyed, bare := seal(t, e, first, "id"), seal(t, e, without(first, "id", "year"))
	coarse := seal(t, e, without(first, "id", "year")[len(first)-5:])
	for _, y := range []int{2016, 2017, 2018}[:assaytest.Size(1, 3)] {
		f := year(y)
		for name, got := range map[string]Sighting{
			"keyed": keyed.in(f), "without keys": bare.in(without(f, "id", "year")), "the last columns": coarse.in(without(f, "id", "year")[len(first)-5:]),
			"half of a year": bare.in(shuffled(without(f, "id", "year"), 0.5, 1)),
		} {
			if got.Seen() {
				t.Errorf("%d, %s: %+v", y, name, got)
			}
		}
	}
	if got := bare.in(shuffled(rounded(without(first, "id", "year")), 0.9, 1)); !got.Seen() {
		t.Errorf("2015 in another order, a tenth gone: %+v", got)
	}
	f := read(filepath.FromSlash("../../testdata/oracle/data/tables/titanic.csv"))
	half := shuffled(f, 1, 3)
	n := f.Rows() / 2
	titanic := seal(t, e, half.Take(seq(n)))
	if got := titanic.in(half.Take(seq(f.Rows())[n:])); got.Seen() {
		t.Errorf("the other passengers: %+v", got)
	}
	if got := titanic.in(half); !got.Seen() {
		t.Errorf("all passengers: %+v", got)
	}
}
