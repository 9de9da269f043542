package dataset

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/assay-ml/assay"
)

// A file that other processes give further names while it is read, as table engines do, has not changed.
func TestDigestsOfAFileThatGetsFurtherNames(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "a.csv")
	content := bytes.Repeat([]byte("1,2\n"), 1<<20)
	if err := os.WriteFile(path, content, 0o644); err != nil {
		t.Fatal(err)
	}
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			link := filepath.Join(dir, "l"+strconv.Itoa(i))
			if os.Link(path, link) == nil {
				os.Remove(link)
			}
		}
	}()
	defer func() { close(stop); <-done }()
	for range 5 {
		d, err := OpenSums(filepath.Join(t.TempDir(), "files.json")).one(context.Background(), path)
		if err != nil || d != assay.DigestOf(content) {
			t.Fatal(d, err)
		}
	}
}
