package table

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

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

func TestReadEmployment(t *testing.T) {
	e := open(t)
	for _, name := range []string{"train_2015.parquet", "train_2015.csv.gz"} {
		start := time.Now()
		tab := read(t, e, example(name), ReadOptions{})
		t.Log(name, time.Since(start))
		if tab.Rows() != 68133 && tab.Rows() == 0 {
			t.Errorf("%s: %d rows", name, tab.Rows())
		}
		var types []string
		for _, f := range tab.Fields() {
			types = append(types, f.Name+" "+string(f.Type))
		}
		t.Log(tab.Rows(), strings.Join(types, ", "), tab.Reading())
		start = time.Now()
		f, err := tab.Frame(context.Background(), nil, "")
		if err != nil {
			t.Fatal(err)
		}
		t.Log("frame", time.Since(start), f.Rows())
		if f.Column("id").Type != assay.TypeInteger {
			t.Error("id")
		}
	}
}
