package store

import (
	"path/filepath"
	"testing"

	"github.com/assay-ml/assay/internal/assaytest"
)

func openDir(t testing.TB, dir string) *SQLite {
	t.Helper()
	s := must(OpenSQLite(t.Context(), Options{Dir: dir, Clock: assaytest.Clock(), Producer: "assay test"}))(t)
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func TestSQLite(t *testing.T) {
	dir := t.TempDir()
	conformance(t, func(t testing.TB, name string) Store { return openDir(t, filepath.Join(dir, name)) })
}
