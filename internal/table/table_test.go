package table

import (
	"context"
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/assaytest"
)

// open starts an engine for a test.
func open(t testing.TB, o ...Options) *Engine {
	t.Helper()
	opt := Options{TempDir: t.TempDir()}
	if len(o) > 0 {
		opt = o[0]
		opt.TempDir = t.TempDir()
	}
	e, err := Open(context.Background(), opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
	return e
}

// file writes content to a temporary file of that name.
func file(t testing.TB, name, content string) string {
	t.Helper()
	p := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(p, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return p
}

func read(t testing.TB, e *Engine, uri string, o ReadOptions) *Table {
	t.Helper()
	tab, err := e.Read(context.Background(), uri, o)
	if err != nil {
		t.Fatal(err)
	}
	return tab
}

func example(name string) string {
	return filepath.Join(assaytest.Root(), "examples", "employment", name)
}

// sameFloats compares values one by one, NaN with NaN; the reflection of package cmp takes seconds for a million.
func sameFloats(a, b []float64) bool {
	return slices.EqualFunc(a, b, func(x, y float64) bool { return x == y || math.IsNaN(x) && math.IsNaN(y) })
}

func TestReadEmployment(t *testing.T) {
	t.Parallel()
	e := open(t)
	ctx := context.Background()
	var frames []assay.Frame
	for _, name := range []string{"train_2015.parquet", "train_2015.csv.gz"} {
		tab := read(t, e, example(name), ReadOptions{})
		if tab.Rows() != 68785 || len(tab.Fields()) != 19 {
			t.Errorf("%s: %d rows, %d columns", name, tab.Rows(), len(tab.Fields()))
		}
		f, err := tab.Frame(ctx, nil, "")
		if err != nil {
			t.Fatal(err)
		}
		frames = append(frames, f)
	}
	if d := cmp.Diff(frames[0], frames[1], cmp.Comparer(sameFloats)); d != "" {
		t.Errorf("Parquet and CSV differ: %s", d)
	}
}
