package cli

import (
	"os"
	"path/filepath"
	"sync"
	"testing"
)

// Several processes keep the memory of make, the current model and the digests at once: each write is whole and none fails.
func TestReplaceFileByMany(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "make.json")
	var wait sync.WaitGroup
	for range 8 {
		wait.Add(1)
		go func() {
			defer wait.Done()
			for range 50 {
				if err := replaceFile(path, []byte("{}\n")); err != nil {
					t.Error(err)
				}
				if b, err := os.ReadFile(path); err != nil || string(b) != "{}\n" {
					t.Errorf("%q, %v", b, err)
				}
			}
		}()
	}
	wait.Wait()
	if left, err := os.ReadDir(filepath.Dir(path)); err != nil || len(left) != 1 {
		t.Errorf("%v are left (%v)", left, err)
	}
}
