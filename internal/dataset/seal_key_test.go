package dataset

import (
	"fmt"
	"testing"

	"github.com/assay-ml/assay"
)

// TestSeeFewColumns looks for sealed rows in tables that keep some of the columns.
func TestSeeFewColumns(t *testing.T) {
	ctx, e := t.Context(), engine(t)
	const n = 1500
	table := func(seed uint64, word string) assay.Frame {
		f := assay.Frame{{Name: "id", Type: assay.TypeString}}
		for i := range n {
			f[0].Codes, f[0].Levels = append(f[0].Codes, int32(i)), append(f[0].Levels, fmt.Sprintf(word, i+1, mix(uint64(i)+seed*n)))
		}
		f = append(f, drawn("age", n, seed, below(60)), drawn("income", n, seed+1, normal), drawn("score", n, seed+2, normal), drawn("city", n, seed+3, below(5)))
		return append(f, drawn("y", n, seed+4, below(2)))
	}
	look := func(f assay.Frame) *Look {
		l, err := NewLook(ctx, frame(t, e, f...), []string{"id"}, "y")
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	for name, word := range map[string]string{"consecutive": "p%05[1]d", "distinctive": "%016[2]x"} {
		f := table(1, word)
		sealed := look(f)
		s, err := ParseSketch(sealed.sketch(sealed.All()[:300], nil, true))
		if err != nil {
			t.Fatal(err)
		}
		if got := see(t, sealed, s, sealed.All()[300:]); got.Seen() {
			t.Errorf("%s: the other rows: %+v", name, got)
		}
		// Every choice of half of the columns or more, the label among them, in which rows are distinctive.
		for choice := range 1 << 5 {
			var g assay.Frame
			for j := range 5 {
				if choice>>j&1 == 1 {
					g = append(g, f[j])
				}
			}
			key, real := choice&1 == 1, choice&0b1100 != 0
			g = append(g, f[5])
			l := look(g)
			got := see(t, l, s, l.All())
			want := len(g) >= 3 && (key || real) || key && name == "distinctive"
			if want && !got.Seen() {
				t.Errorf("%s, columns %05b and the label: %+v", name, choice, got)
			}
			if want && got.Excess() < 0.95 {
				t.Errorf("%s, columns %05b and the label: only %v of the rows", name, choice, got.Excess())
			}
		}
		// Another table of the same columns, whose keys are its own.
		for _, columns := range [][]int{{0, 1, 2, 3, 4, 5}, {0, 1, 5}, {0, 2, 5}, {0, 5}} {
			other := table(100, word)
			var g assay.Frame
			for _, j := range columns {
				g = append(g, other[j])
			}
			l := look(g)
			if got := see(t, l, s, l.All()); got.Seen() {
				t.Errorf("%s, another table, columns %v: %+v", name, columns, got)
			}
		}
	}
}

// TestSeeSomeRows looks for sealed rows in a table that has only some of them, under new keys, beside rows of the same population.
func TestSeeSomeRows(t *testing.T) {
	ctx, e := t.Context(), engine(t)
	const n, sealed = 3000, 600
	table := func(seed uint64) assay.Frame {
		f := assay.Frame{{Name: "id", Type: assay.TypeString}}
		for i := range n {
			f[0].Codes, f[0].Levels = append(f[0].Codes, int32(i)), append(f[0].Levels, fmt.Sprintf("%016x", mix(uint64(i)+seed*n)))
		}
		return append(f, drawn("age", n, seed, below(60)), drawn("income", n, seed+1, normal), drawn("city", n, seed+2, below(5)), drawn("score", n, seed+3, normal), drawn("y", n, seed+4, below(2)))
	}
	look := func(f assay.Frame) *Look {
		l, err := NewLook(ctx, frame(t, e, f...), []string{"id"}, "y")
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	f := table(1)
	all := look(f)
	s, err := ParseSketch(all.sketch(all.All()[:sealed], nil, true))
	if err != nil {
		t.Fatal(err)
	}
	for _, some := range []int{0, 30, 120, 280, 400} {
		rows := append(seq(n)[:some], seq(n)[sealed:]...)
		for _, renamed := range []bool{false, true} {
			g := append(assay.Frame(nil), f.Take(rows)...)
			g[0] = table(50).Take(rows)[0]
			if renamed {
				if some < 120 {
					continue // a twentieth of the rows is too few to know a column of another name by
				}
				g[2].Name, g[4].Name = "a", "b"
			}
			l := look(g)
			got := see(t, l, s, l.All())
			if got.Seen() != (some > 0) || got.Found != some && some > 0 {
				t.Errorf("%d of the sealed rows, renamed %v: %+v", some, renamed, got)
			}
		}
	}
	for seed := range uint64(10) { // other rows of the same population
		l := look(table(100 + 10*seed))
		if got := see(t, l, s, l.All()); got.Seen() {
			t.Errorf("other rows: %+v", got)
		}
	}
}

func see(t *testing.T, l *Look, s *Sketch, rows []int) Sighting {
	t.Helper()
	got, err := l.See(t.Context(), s, rows)
	if err != nil {
		t.Fatal(err)
	}
	return got
}
