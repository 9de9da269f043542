package blob

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"pgregory.net/rapid"

	"github.com/assay-ml/assay"
)

// conformance is what every implementation of Store must pass. open returns an empty store.
func conformance(t *testing.T, open func(t testing.TB) Store) {
	ctx := context.Background()

	t.Run("put and read", func(t *testing.T) {
		s := open(t)
		for _, b := range [][]byte{{}, {0}, []byte("hello"), bytes.Repeat([]byte("x"), 3<<20)} {
			want := assay.DigestOf(b)
			d, n, err := s.Put(ctx, iotest.OneByteReader(bytes.NewReader(b[:min(len(b), 100)])))
			if err != nil || d != assay.DigestOf(b[:min(len(b), 100)]) || n != int64(min(len(b), 100)) {
				t.Fatalf("%s %d %v", d, n, err)
			}
			for range 2 {
				if d, err := PutBytes(ctx, s, b); err != nil || d != want {
					t.Fatalf("%s %v", d, err)
				}
			}
			if n, err := s.Stat(ctx, want); err != nil || n != int64(len(b)) {
				t.Errorf("%d %v", n, err)
			}
			if got, err := ReadAll(ctx, s, want, int64(len(b))); err != nil || !bytes.Equal(got, b) {
				t.Errorf("%d bytes, %v", len(got), err)
			}
			if len(b) > 0 {
				if _, err := ReadAll(ctx, s, want, int64(len(b)-1)); assay.CodeOf(err) != assay.Invalid {
					t.Errorf("beyond the limit: %v", err)
				}
			}
		}
	})

	t.Run("absent and hostile digests", func(t *testing.T) {
		s := open(t)
		absent := assay.DigestOf([]byte("absent"))
		_, err := s.Open(ctx, absent)
		if assay.CodeOf(err) != assay.NotFound {
			t.Errorf("%v", err)
		}
		if _, err := s.Stat(ctx, absent); assay.CodeOf(err) != assay.NotFound {
			t.Errorf("%v", err)
		}
		for _, d := range []assay.Digest{
			"", "sha256:", "sha256:../../../etc/passwd", assay.Digest("sha256:" + strings.Repeat("../", 21) + "x"),
			assay.Digest("md5:" + absent.Hex()), assay.Digest(absent.Hex()), assay.Digest("sha256:" + strings.ToUpper(absent.Hex())),
			absent + "\x00", absent + "/..", assay.Digest(strings.Replace(string(absent), "sha256:", "sha256:/", 1)),
		} {
			if _, err := s.Open(ctx, d); assay.CodeOf(err) != assay.Invalid {
				t.Errorf("Open(%q): %v", d, err)
			}
			if _, err := s.Stat(ctx, d); assay.CodeOf(err) != assay.Invalid {
				t.Errorf("Stat(%q): %v", d, err)
			}
		}
	})

	t.Run("an interrupted write leaves nothing", func(t *testing.T) {
		s := open(t)
		broken := errors.New("the line was cut")
		_, _, err := s.Put(ctx, io.MultiReader(strings.NewReader("half"), iotest.ErrReader(broken)))
		if !errors.Is(err, broken) {
			t.Errorf("%v", err)
		}
		stopped, cancel := context.WithCancel(ctx)
		cancel()
		if _, _, err := s.Put(stopped, strings.NewReader("all")); !errors.Is(err, context.Canceled) {
			t.Errorf("%v", err)
		}
		if err := s.Each(ctx, func(d assay.Digest, _ int64) error { t.Errorf("%s is there", d); return nil }); err != nil {
			t.Error(err)
		}
	})

	t.Run("each, in order", func(t *testing.T) {
		s := open(t)
		var want []assay.Digest
		for i := range 300 {
			d, err := PutBytes(ctx, s, []byte(fmt.Sprint(i)))
			if err != nil {
				t.Fatal(err)
			}
			want = append(want, d)
		}
		slices.Sort(want)
		var got []assay.Digest
		if err := s.Each(ctx, func(d assay.Digest, n int64) error { got = append(got, d); return nil }); err != nil || !slices.Equal(got, want) {
			t.Errorf("%v: %d of %d", err, len(got), len(want))
		}
		stop := errors.New("enough")
		if err := s.Each(ctx, func(assay.Digest, int64) error { return stop }); !errors.Is(err, stop) {
			t.Errorf("%v", err)
		}
	})

	t.Run("many writers of the same and of other bytes", func(t *testing.T) {
		s := open(t)
		var wg sync.WaitGroup
		for w := range 8 {
			wg.Go(func() {
				for i := range 20 {
					b := fmt.Appendf(nil, "%d", (i*7+w)%30)
					d, _, err := s.Put(ctx, bytes.NewReader(b))
					if err != nil {
						t.Error(err)
						return
					}
					if got, err := ReadAll(ctx, s, d, 10); err != nil || !bytes.Equal(got, b) {
						t.Errorf("%q %v", got, err)
					}
				}
			})
		}
		wg.Wait()
	})
}

func openDir(t testing.TB) *Dir {
	t.Helper()
	d, err := OpenDir(filepath.Join(t.TempDir(), "blobs"))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestDir(t *testing.T) { conformance(t, func(t testing.TB) Store { return openDir(t) }) }

func TestDirLayout(t *testing.T) {
	d := openDir(t)
	if _, err := PutBytes(t.Context(), d, []byte("hello")); err != nil {
		t.Fatal(err)
	}
	sum := fmt.Sprintf("%x", sha256.Sum256([]byte("hello")))
	fi, err := os.Stat(filepath.Join(d.root, "sha256", sum[:2], sum[2:]))
	if err != nil || fi.Mode().Perm() != 0o444 {
		t.Errorf("%v %v", fi, err)
	}
	if strays, err := d.Strays(t.Context()); err != nil || len(strays) != 0 {
		t.Errorf("%v %v", strays, err)
	}
}

// TestDamage: whatever is done to a file, a reader that reads to the end notices, and writing the bytes again heals it.
func TestDamage(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		d := openDir(t)
		b := rapid.SliceOfN(rapid.Byte(), 1, 5000).Draw(rt, "bytes")
		id, err := PutBytes(t.Context(), d, b)
		if err != nil {
			rt.Fatal(err)
		}
		bad := bytes.Clone(b)
		switch rapid.IntRange(0, 2).Draw(rt, "damage") {
		case 0:
			bad[rapid.IntRange(0, len(bad)-1).Draw(rt, "at")] ^= rapid.ByteRange(1, 255).Draw(rt, "change")
		case 1:
			bad = bad[:rapid.IntRange(0, len(bad)-1).Draw(rt, "cut")]
		case 2:
			bad = append(bad, rapid.SliceOfN(rapid.Byte(), 1, 10).Draw(rt, "more")...)
		}
		p, err := d.path(id)
		if err != nil {
			rt.Fatal(err)
		}
		if err := errors.Join(os.Chmod(p, 0o644), os.WriteFile(p, bad, 0o644)); err != nil {
			rt.Fatal(err)
		}
		if _, err := ReadAll(t.Context(), d, id, 1<<20); assay.CodeOf(err) != assay.Unavailable || !strings.Contains(err.Error(), "is damaged") {
			rt.Fatalf("%v", err)
		}
		if _, err := PutBytes(t.Context(), d, b); err != nil {
			rt.Fatal(err)
		}
		if got, err := ReadAll(t.Context(), d, id, 1<<20); err != nil || !bytes.Equal(got, b) {
			rt.Fatalf("not healed: %v", err)
		}
	})
}

func TestNoFiles(t *testing.T) {
	d := openDir(t)
	id := assay.DigestOf([]byte("x"))
	p, err := d.path(id)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(p, 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Stat(t.Context(), id); assay.CodeOf(err) != assay.Unavailable {
		t.Errorf("a directory in place of a blob: %v", err)
	}
	if _, err := PutBytes(t.Context(), d, []byte("x")); assay.CodeOf(err) != assay.Unavailable || strings.Contains(err.Error(), d.root) {
		t.Errorf("a directory in place of a blob: %v", err)
	}
}

func TestStraysAndSweep(t *testing.T) {
	d := openDir(t)
	if _, err := PutBytes(t.Context(), d, []byte("x")); err != nil {
		t.Fatal(err)
	}
	old := time.Date(2020, 1, 2, 3, 4, 5, 0, time.UTC)
	for _, name := range []string{"tmp/put-old", "tmp/put-new", "sha256/README", "sha256/ab/cd"} {
		p := filepath.Join(d.root, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(p), 0o755), os.WriteFile(p, []byte("?"), 0o644)); err != nil {
			t.Fatal(err)
		}
		if name == "tmp/put-old" || name == "sha256/ab/cd" {
			if err := os.Chtimes(p, old, old); err != nil {
				t.Fatal(err)
			}
		}
	}
	strays, err := d.Strays(t.Context())
	if err != nil || len(strays) != 4 || strays[0].Name != "sha256/README" || strays[0].Temporary || !strays[2].Temporary {
		t.Fatalf("%+v %v", strays, err)
	}
	clock := func() time.Time { return old.Add(25 * time.Hour) }
	for _, want := range []int{1, 0} {
		if n, err := d.Sweep(24*time.Hour, clock); err != nil || n != want {
			t.Errorf("%d %v", n, err)
		}
	}
	if strays, err := d.Strays(t.Context()); err != nil || len(strays) != 3 {
		t.Errorf("%+v %v", strays, err)
	}
}

func FuzzPath(f *testing.F) {
	d, err := OpenDir(f.TempDir())
	if err != nil {
		f.Fatal(err)
	}
	f.Add("sha256:" + strings.Repeat("0", 64))
	f.Add("sha256:../" + strings.Repeat("0", 61))
	f.Fuzz(func(t *testing.T, s string) {
		p, err := d.path(assay.Digest(s))
		if err != nil {
			return
		}
		rel, err := filepath.Rel(filepath.Join(d.root, algorithmDir), p)
		if err != nil || len(rel) != 65 || strings.Contains(rel, "..") || filepath.Dir(filepath.Dir(rel)) != "." {
			t.Fatalf("%q lies at %s", s, p)
		}
	})
}
