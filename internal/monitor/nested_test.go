package monitor

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/assay-ml/assay"
)

// TestNestedColumnIsWatchedFromOutside: of a column of nested values a plan watches how many are missing and of what kind they are, in a table and in a
// log, which has their text; whatever is inside them is no drift.
func TestNestedColumnIsWatchedFromOutside(t *testing.T) {
	e := engine(t)
	ctx := context.Background()
	const rows = 1000
	column := func(typ assay.Type, value func(i int) string) assay.Column {
		c := assay.Column{Name: "o", Type: typ}
		var all []string
		for i := range rows {
			all = append(all, value(i))
		}
		c.Levels = slices.Compact(slices.Sorted(slices.Values(all)))
		for _, s := range all {
			at, _ := slices.BinarySearch(c.Levels, s)
			if s == "" {
				at = -1
			} else if c.Levels[0] == "" {
				at--
			}
			c.Codes = append(c.Codes, int32(at))
		}
		if c.Levels[0] == "" {
			c.Levels = c.Levels[1:]
		}
		return c
	}
	object := func(from int) func(int) string {
		return func(i int) string { return fmt.Sprintf(`{"n": %d}`, from+i) }
	}
	d, _, err := Freeze(ctx, tableOf(t, e, assay.Frame{column(assay.TypeJSON, object(0))}), []string{"o"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	w, err := ParseWindow("1d")
	if err != nil {
		t.Fatal(err)
	}
	p, err := PlanOf(d, Settings{Windows: w, MinRows: 100, Persistence: 1})
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range p.Monitor.Signals {
		if s.Kind == KindDistribution {
			t.Errorf("%+v", s)
		}
	}
	watch, err := Open(p.Monitor, func(assay.Digest) ([]byte, error) { return p.Documents[0], nil })
	if err != nil {
		t.Fatal(err)
	}
	every := func(n int, other string) func(int) string {
		return func(i int) string {
			if i%n == 0 {
				return other
			}
			return object(0)(i)
		}
	}
	for _, c := range []struct {
		name, moved string
		live        assay.Column
	}{
		{"other values", "", column(assay.TypeJSON, object(1_000_000))},
		{"the text of a log", "", column(assay.TypeString, object(7))},
		{"missing ones", KindMissing, column(assay.TypeString, every(4, ""))},
		{"another kind", KindUnseen, column(assay.TypeJSON, every(4, "[]"))},
		{"no JSON", KindType, column(assay.TypeString, every(4, "{"))},
	} {
		seen, err := watch.Run(ctx, Traffic{Table: tableOf(t, e, assay.Frame{c.live}), Whole: true})
		if err != nil {
			t.Fatal(err)
		}
		want := assay.Pass
		if c.moved != "" {
			want = assay.Fail
		}
		if got := seen.Windows[0].Drift.Verdict; got != want {
			t.Errorf("%s: %s, want %s", c.name, got, want)
		}
		var moved []string
		for _, s := range seen.Windows[0].Drift.Signals {
			if s.Verdict != assay.Pass {
				moved = append(moved, s.Kind)
			}
		}
		if got := strings.Join(moved, " "); got != c.moved {
			t.Errorf("%s: moved %q, want %q", c.name, got, c.moved)
		}
	}
}
