package store

import (
	"errors"
	"os"
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

// scratch returns a directory in memory where there is one, for tests that make many stores; the full test uses the disk.
func scratch(t testing.TB) string {
	t.Helper()
	const memory = "/dev/shm"
	if _, err := os.Stat(memory); err != nil || os.Getenv(fullTest) != "" {
		return t.TempDir()
	}
	dir := must(os.MkdirTemp(memory, "assay-test-"))(t)
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// brief opens a new store for one round of a property.
func brief(t testing.TB, dir string) (*SQLite, func()) {
	t.Helper()
	dir = must(os.MkdirTemp(dir, "round-"))(t)
	s := must(OpenSQLite(t.Context(), Options{Dir: dir, Clock: assaytest.Clock(), Producer: "assay test"}))(t)
	return s, func() {
		if err := errors.Join(s.Close(), os.RemoveAll(dir)); err != nil {
			t.Error(err)
		}
	}
}

func TestSQLite(t *testing.T) {
	dir := scratch(t)
	conformance(t, func(t testing.TB, name string) Store { return openDir(t, filepath.Join(dir, name)) })
}
