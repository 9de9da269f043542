package table

import (
	"context"
	"os"
	"path/filepath"
	"sync"
	"testing"
)

// Writing what a file holds already leaves the file alone, also when many write it at once: a reader is not told that it changed.
func TestWriteAgainLeavesTheFile(t *testing.T) {
	e := open(t)
	ctx := context.Background()
	tab := read(t, e, example("train_2015.parquet"), ReadOptions{})
	path := filepath.Join(t.TempDir(), "part.parquet")
	write := func(cond string) os.FileInfo {
		t.Helper()
		if err := tab.Write(ctx, path, nil, cond); err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		return info
	}
	first := write("_row < 1000")
	back := read(t, e, path, ReadOptions{})
	if again := write("_row < 1000"); !os.SameFile(first, again) || !first.ModTime().Equal(again.ModTime()) {
		t.Error("the same rows replaced the file")
	}
	if err := back.Unchanged(); err != nil {
		t.Error(err)
	}
	if other := write("_row < 999"); os.SameFile(first, other) {
		t.Error("other rows did not replace the file")
	}
	if left, err := filepath.Glob(filepath.Join(filepath.Dir(path), ".*")); err != nil || len(left) > 0 {
		t.Errorf("temporary files %v are left (%v)", left, err)
	}

	// Several at once, where nothing is yet: one file comes to be.
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	const writers = 6
	seen := make([]os.FileInfo, writers)
	var wait sync.WaitGroup
	for i := range writers {
		wait.Add(1)
		go func() {
			defer wait.Done()
			if err := tab.Write(ctx, path, nil, "_row < 1000"); err != nil {
				t.Error(err)
				return
			}
			info, err := os.Stat(path)
			if err != nil {
				t.Error(err)
			}
			seen[i] = info
		}()
	}
	wait.Wait()
	for _, info := range seen[1:] {
		if info == nil || !os.SameFile(seen[0], info) {
			t.Fatal("a writer replaced what another had written")
		}
	}
}
