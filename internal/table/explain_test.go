package table

import (
	"context"
	"slices"
	"testing"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/assaytest"
)

// TestExplain: of each statement that reads it is told how it will run, and joins by pairs of rows are told from those by hashes. A side of one row is no pair.
func TestExplain(t *testing.T) {
	ctx := context.Background()
	e, err := Open(ctx, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	const n = 2000
	keys, others := make([]float64, n), make([]float64, n)
	for i := range n {
		keys[i], others[i] = float64(i), float64(i%7)
	}
	x, err := e.FromFrame(ctx, assay.Frame{{Name: "k", Type: assay.TypeInteger, Floats: keys}, {Name: "o", Type: assay.TypeInteger, Floats: others}})
	if err != nil {
		t.Fatal(err)
	}
	of := x.Relation()
	var seen []string
	joins := 0
	e.Explain(func(_, plan string) {
		slow, all, err := assaytest.SlowJoins(plan)
		if err != nil {
			t.Error(err)
		}
		seen, joins = append(seen, slow...), joins+all
	})
	for _, c := range []struct {
		sql   string
		slow  []string
		joins int
	}{
		{"SELECT count(*) AS n FROM " + of + " a LEFT JOIN " + of + " b ON a.k = b.k", nil, 1},
		{"SELECT count(*) AS n FROM " + of + " a LEFT JOIN " + of + " b ON a.k = b.k OR a.o = b.k", []string{"BLOCKWISE_NL_JOIN"}, 1},
		{"SELECT count(*) AS n FROM " + of + " a, " + of + " b", []string{"CROSS_PRODUCT"}, 1},
		{"SELECT count(*) AS n FROM " + of + " a JOIN " + of + " b ON a.k < b.k AND a.o > b.o", []string{"IE_JOIN"}, 1},
		{"SELECT sum(k * n)::BIGINT AS n FROM " + of + ", (SELECT count(*) AS n FROM " + of + ")", nil, 1},
	} {
		for name, run := range map[string]func() error{
			"query":  func() error { return e.queryRow(ctx, c.sql, new(int64)) },
			"answer": func() error { _, err := x.Answer(ctx, c.sql); return err },
		} {
			seen, joins = nil, 0
			before := e.Statements()
			if err := run(); err != nil {
				t.Error(name, err)
			}
			if !slices.Equal(slices.Compact(seen), c.slow) || joins < c.joins {
				t.Errorf("%s of %s: %v of %d joins, want %v", name, c.sql, seen, joins, c.slow)
			}
			if n := e.Statements() - before; name == "query" && n != 1 {
				t.Errorf("%d statements for one that is explained", n)
			}
		}
	}
}
