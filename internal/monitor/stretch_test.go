package monitor

import (
	"context"
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/stat"
)

// datedColumn is values of a column t, in their order so many a day.
func datedColumn(values []string, perDay int) assay.Frame {
	levels := slices.Compact(slices.Sorted(slices.Values(values)))
	f := assay.Frame{{Name: "t", Type: assay.TypeString, Levels: levels}, {Name: "on", Type: assay.TypeDate}}
	for i, v := range values {
		at, _ := slices.BinarySearch(levels, v)
		f[0].Codes, f[1].Floats = append(f[0].Codes, int32(at)), append(f[1].Floats, float64(i/perDay)*day)
	}
	return f
}

// TestValuesOfOneStretchAreUnseen: of each stretch of a reference, what its rows hold that no row of another stretch does counts as never seen before: as
// leaving it out and freezing the categories of the others would say.
func TestValuesOfOneStretchAreUnseen(t *testing.T) {
	e := engine(t)
	ctx := context.Background()
	const days, perDay = 42, 40
	for _, week := range []int{1, 7} { // days of a window
		g := stat.NewRand(5, uint64(week))
		var values []string
		for i := range days * perDay {
			switch u := g.Float64(); {
			case u < 0.5:
				values = append(values, fmt.Sprintf("often %d", g.Intn(40)))
			case u < 0.7: // of one day alone, more often than the rarest with a cell of its own
				values = append(values, fmt.Sprintf("day %d", i/perDay))
			case u < 0.8: // of two days that follow each other
				values = append(values, fmt.Sprintf("days %d", i/perDay/2))
			default:
				values = append(values, fmt.Sprintf("rare %d", g.Intn(400)))
			}
		}
		x := tableOf(t, e, datedColumn(values, perDay))
		d, _, err := Freeze(ctx, x, []string{"t"}, nil)
		if err != nil {
			t.Fatal(err)
		}
		window := float64(week * day)
		if err := d.stretches(ctx, x, unitSQL(day, `CAST("on" AS TIMESTAMP)`), day, window); err != nil {
			t.Fatal(err)
		}
		f, s := &d.Features[0], d.spans(window)
		if week == 7 { // 6 weeks are too few: two days are the longest of which there are 20
			if s.units != 2 || len(s.parts) != 4 || math.Abs(s.parts[3]-1.0/7) > 1e-12 {
				t.Fatalf("%+v", s)
			}
		}
		in := map[string]map[int64]bool{}
		of := func(i int) int64 { return floorDiv(d.Units[i/perDay], s.units) }
		for i, v := range values {
			if in[v] == nil {
				in[v] = map[int64]bool{}
			}
			in[v][of(i)] = true
		}
		want := make([]int64, days)
		for i, v := range values {
			if len(in[v]) == 1 {
				want[i/perDay]++
			}
		}
		for i := range want {
			if got := f.Stretches[i][f.Categories.Unseen()]; got != want[i] {
				t.Errorf("windows of %d days, day %d: %d values of one stretch alone, want %d", week, i, got, want[i])
			}
			sum := int64(0)
			for _, n := range f.Stretches[i] {
				sum += n
			}
			if sum != perDay {
				t.Errorf("day %d has %d rows", i, sum)
			}
		}
	}
}

// TestPlansOfBefore: a reference with blocks of cells alone is read as stretches, one after the other.
func TestPlansOfBefore(t *testing.T) {
	c, err := stat.FreezeCategories(map[string]int64{"a": 300, "b": 300}, 0)
	if err != nil {
		t.Fatal(err)
	}
	d := &Document{Format: referenceFormat, Rows: 600, Features: []Feature{{Name: "t", Type: assay.TypeString, Categories: c, Counts: Counts{Cells: []int64{300, 300, 0, 0}}}}}
	for i := range int64(30) {
		d.Features[0].Blocks = append(d.Features[0].Blocks, []int64{i % 20, 20 - i%20, 0, 0})
	}
	d.before(day)
	s := d.spans(day)
	v, err := d.Features[0].variation(s)
	if err != nil || s.effective != 30 || !v.cells.Vary() || v.scale(KindMissing, &d.Features[0]) != 1 {
		t.Errorf("%v %+v", err, s)
	}
}

// TestInARow: a window that could not be judged is passed over where moves are counted in a row, and two end the row, whether they are judged at once or later.
func TestInARow(t *testing.T) {
	e := engine(t)
	ctx := context.Background()
	rows := func(of ...string) []string { // a day each
		var out []string
		for _, v := range of {
			for i := range 200 {
				if v == "usual" {
					out = append(out, []string{"a", "b"}[i%2])
				} else {
					out = append(out, v)
				}
			}
		}
		return out
	}
	d, _, err := Freeze(ctx, tableOf(t, e, datedColumn(rows("usual", "usual", "usual"), 200)), []string{"t"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	w, err := ParseWindow("1d")
	if err != nil {
		t.Fatal(err)
	}
	p, err := PlanOf(d, Settings{Windows: w, MinRows: 100, Persistence: 2})
	if err != nil {
		t.Fatal(err)
	}
	watch, err := Open(p.Monitor, func(assay.Digest) ([]byte, error) { return p.Documents[0], nil })
	if err != nil {
		t.Fatal(err)
	}
	for silent, want := range []int{2, 2, 1, 1} {
		f := datedColumn(rows("a", "a"), 200)
		for i := 200; i < 400; i++ {
			f[1].Floats[i] += float64(silent) * day
		}
		x := tableOf(t, e, f)
		streak := func(w Judged) int {
			for _, s := range w.Drift.Signals {
				if s.Kind == KindDistribution {
					return s.Streak
				}
			}
			return -1
		}
		seen, err := watch.Run(ctx, Traffic{Table: x, By: "on"})
		if err != nil {
			t.Fatal(err)
		}
		if got := streak(seen.Windows[len(seen.Windows)-1]); got != want || len(seen.Windows) != silent+2 {
			t.Errorf("%d windows without rows between two that moved: %d in a row, want %d", silent, got, want)
		}
		var since []assay.Drift
		for _, j := range slices.Backward(seen.Windows[:len(seen.Windows)-1]) {
			since = append(since, j.Drift)
		}
		rest, err := x.Select(ctx, "SELECT * FROM "+x.Relation()+" WHERE _row >= 200", x.Fields())
		if err != nil {
			t.Fatal(err)
		}
		later, err := watch.Run(ctx, Traffic{Table: rest, By: "on", Since: since})
		if err != nil {
			t.Fatal(err)
		}
		if got := streak(later.Windows[len(later.Windows)-1]); got != want {
			t.Errorf("%d windows without rows, judged later: %d in a row, want %d", silent, got, want)
		}
	}
}
