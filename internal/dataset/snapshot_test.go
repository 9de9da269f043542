package dataset

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/blob"
)

func TestSumsReadOnce(t *testing.T) {
	ctx := context.Background()
	dir := t.TempDir()
	file := filepath.Join(dir, "a")
	write := func(s string) {
		if err := os.WriteFile(file, []byte(s), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("one")
	s := OpenSums(filepath.Join(dir, "cache", "files.json"))
	first, err := s.Digest(ctx, []string{file})
	if err != nil || first[0] != assay.DigestOf([]byte("one")) {
		t.Fatal(first, err)
	}
	if err := s.Save(); err != nil {
		t.Fatal(err)
	}
	s = OpenSums(filepath.Join(dir, "cache", "files.json"))
	if len(s.known) != 1 {
		t.Fatal("the digest was not remembered")
	}
	// Equal size and a modification time that was set back do not hide a change.
	info, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	time.Sleep(10 * time.Millisecond)
	write("two")
	if err := os.Chtimes(file, info.ModTime(), info.ModTime()); err != nil {
		t.Fatal(err)
	}
	second, err := s.Digest(ctx, []string{file})
	if err != nil || second[0] != assay.DigestOf([]byte("two")) {
		t.Errorf("%v %v: the change was not seen", second, err)
	}
	if _, err := s.Digest(ctx, []string{filepath.Join(dir, "none")}); assay.CodeOf(err) != assay.NotFound {
		t.Errorf("a missing file: %v", err)
	}
	var none *Sums
	if got, err := none.Digest(ctx, []string{file}); err != nil || got[0] != second[0] {
		t.Errorf("without a memory: %v %v", got, err)
	}
}

func TestRestoreRefuses(t *testing.T) {
	ctx := context.Background()
	store, err := blob.OpenDir(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	digest, err := blob.PutBytes(ctx, store, []byte("bytes"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"", ".", "..", "../x", "a/../../x", "/etc/x", `..\x`, `c:\x`, "a//b", "a/", "./a", "a\x00b"} {
		dir := t.TempDir()
		err := Restore(ctx, store, assay.Snapshot{Stored: true, Files: []assay.File{{Name: "good", Digest: digest}, {Name: name, Digest: digest}}}, dir)
		if assay.CodeOf(err) != assay.Refused {
			t.Errorf("%q: %v", name, err)
		}
		if left, _ := os.ReadDir(dir); len(left) != 0 {
			t.Errorf("%q: something was written", name)
		}
	}
	// A link inside the folder is not followed.
	dir, outside := t.TempDir(), t.TempDir()
	if err := os.Symlink(outside, filepath.Join(dir, "sub")); err != nil {
		t.Skip(err)
	}
	if err := Restore(ctx, store, assay.Snapshot{Stored: true, Files: []assay.File{{Name: "sub/x", Digest: digest}}}, dir); err == nil {
		t.Error("a link was followed")
	}
	if left, _ := os.ReadDir(outside); len(left) != 0 {
		t.Error("a file was written outside")
	}
	dir = t.TempDir()
	if err := Restore(ctx, store, assay.Snapshot{Stored: true, Files: []assay.File{{Name: "deep/er/x", Digest: digest}}}, dir); err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(filepath.Join(dir, "deep", "er", "x")); err != nil || string(b) != "bytes" {
		t.Errorf("%q %v", b, err)
	}
}

func TestDatasheet(t *testing.T) {
	doc := map[string]string{"sources": "a survey", "time_range": "2015", "population": "adults", "known_gaps": "none", "exclusions": "none", "imputations": "none", "licence": "CC0"}
	if got := Datasheet(doc); !got.Complete {
		t.Errorf("missing %v", got.Missing)
	}
	for field, value := range map[string]string{"sources": "TODO", "licence": "", "population": "tbd", "exclusions": "some rows", "imputations": "5"} {
		bad := map[string]string{}
		for k, v := range doc {
			bad[k] = v
		}
		bad[field] = value
		got := Datasheet(bad)
		if got.Complete || len(got.Missing) != 1 || !strings.HasPrefix(got.Missing[0], field) {
			t.Errorf("%s %q: missing %v", field, value, got.Missing)
		}
	}
}

func BenchmarkDigest(b *testing.B) {
	for _, c := range []struct{ files, mib int }{{1, 512}, {64, 8}} {
		dir := b.TempDir()
		var paths []string
		for i := range c.files {
			p := filepath.Join(dir, fmt.Sprint(i))
			if err := os.WriteFile(p, make([]byte, c.mib<<20), 0o644); err != nil {
				b.Fatal(err)
			}
			paths = append(paths, p)
		}
		b.Run(fmt.Sprintf("%dx%dMiB", c.files, c.mib), func(b *testing.B) {
			b.SetBytes(int64(c.files * c.mib << 20))
			var s *Sums
			for b.Loop() {
				if _, err := s.Digest(b.Context(), paths); err != nil {
					b.Fatal(err)
				}
			}
		})
		known := OpenSums(filepath.Join(dir, "cache"))
		if _, err := known.Digest(b.Context(), paths); err != nil {
			b.Fatal(err)
		}
		b.Run(fmt.Sprintf("%dx%dMiB unchanged", c.files, c.mib), func(b *testing.B) {
			for b.Loop() {
				if _, err := known.Digest(b.Context(), paths); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
