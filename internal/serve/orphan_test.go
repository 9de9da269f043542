package serve_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/assay-ml/assay/internal/serve"
)

// orphan is the bytes of a closed segment of so many calls, one written by itself after the other, and where each record of them begins.
func orphan(t *testing.T, calls int) (dir, path string, segment []byte, begins []int) {
	t.Helper()
	dir = t.TempDir()
	s, l := logged(t, serve.LogOptions{Dir: dir}, &engine{predict: constant(1, 0)})
	for range calls {
		c, err := ask(t.Context(), s, 7)
		if err != nil {
			t.Fatal(err)
		}
		c.End()
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	_, open, err := serve.Segments(serve.LogDir(dir, "m"))
	if err != nil || len(open) != 1 {
		t.Fatal(open, err)
	}
	if segment, err = os.ReadFile(open[0]); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(open[0]); err != nil {
		t.Fatal(err)
	}
	for at := bytes.IndexByte(segment, '\n') + 1; at < len(segment); {
		begins = append(begins, at)
		at += 8 + int(segment[at]) + int(segment[at+1])<<8
	}
	if len(begins) != 1+calls {
		t.Fatalf("%d records", len(begins))
	}
	return dir, strings.TrimSuffix(open[0], ".seg") + ".open.seg", segment, begins
}

// TestLogMendsDamage: of a segment whose process was killed and whose middle is damaged, all calls that are whole are kept, and what is not is
// counted in rows and bytes under the name of the segment.
func TestLogMendsDamage(t *testing.T) {
	dir, path, whole, at := orphan(t, 6)
	name := strings.TrimSuffix(path[strings.LastIndexByte(path, '/')+1:], ".open.seg")
	one := at[3] - at[2]
	for _, x := range []struct {
		name    string
		damage  func(b []byte) []byte
		calls   int
		missing []serve.Missing
	}{
		{"nothing", func(b []byte) []byte { return b }, 6, []serve.Missing{{Segment: name, What: serve.Unclosed}}},
		{"torn", func(b []byte) []byte { return b[:len(b)-5] }, 5, []serve.Missing{{Segment: name, What: serve.Unclosed, Bytes: int64(one - 5)}}},
		{"a byte of a call", func(b []byte) []byte { b[at[3]+20] ^= 1; return b }, 5, []serve.Missing{{Segment: name, What: serve.Damaged, Rows: 1, Bytes: int64(one)}, {Segment: name, What: serve.Unclosed}}},
		{"the length of a call", func(b []byte) []byte { b[at[3]+1] ^= 64; return b }, 5, []serve.Missing{{Segment: name, What: serve.Damaged, Rows: 1, Bytes: int64(one)}, {Segment: name, What: serve.Unclosed}}},
		{"zeros over two calls", func(b []byte) []byte { clear(b[at[3]:at[5]]); return b }, 4, []serve.Missing{{Segment: name, What: serve.Damaged, Rows: 1, Bytes: int64(2 * one)}, {Segment: name, What: serve.Unclosed}}},
		{"two places", func(b []byte) []byte { b[at[2]+20] ^= 1; b[at[4]+20] ^= 1; return b }, 4, []serve.Missing{{Segment: name, What: serve.Damaged, Rows: 2, Bytes: int64(2 * one)}, {Segment: name, What: serve.Unclosed}}},
		{"the last call", func(b []byte) []byte { b[at[6]+20] ^= 1; return b }, 5, []serve.Missing{{Segment: name, What: serve.Damaged, Rows: 1, Bytes: int64(one)}, {Segment: name, What: serve.Unclosed}}},
		{"the head", func(b []byte) []byte { b[0] = 'A'; return b }, 6, []serve.Missing{{Segment: name, What: serve.Damaged, Rows: 1, Bytes: int64(at[0])}, {Segment: name, What: serve.Unclosed}}},
		{"the layout", func(b []byte) []byte { b[at[0]+9] ^= 1; return b }, 0, []serve.Missing{{Segment: name, What: serve.Damaged, Rows: 7, Bytes: int64(len(whole) - at[0])}, {Segment: name, What: serve.Unclosed}}},
	} {
		t.Run(x.name, func(t *testing.T) {
			if err := os.WriteFile(path, x.damage(bytes.Clone(whole)), 0o600); err != nil {
				t.Fatal(err)
			}
			_, l := logged(t, serve.LogOptions{Dir: dir, Nonce: "next"}, &engine{predict: constant(1, 0)})
			if err := l.Close(); err != nil {
				t.Fatal(err)
			}
			calls := 0
			var missing []serve.Missing
			for _, line := range lines(t, dir) {
				if line["_outcome"] != "lost" {
					calls++
					continue
				}
				m, ok := serve.ParseMissing(fmt.Sprint(line["_violations"]))
				if !ok {
					t.Errorf("%v does not say what is missing", line)
				}
				m.Rows = int64(line["_lost"].(float64))
				missing = append(missing, m)
			}
			if calls != x.calls || fmt.Sprint(missing) != fmt.Sprint(x.missing) {
				t.Errorf("%d calls, want %d; missing %+v, want %+v", calls, x.calls, missing, x.missing)
			}
			if left, err := filepath.Glob(filepath.Join(serve.LogDir(dir, "m"), "*.next")); err != nil || len(left) > 0 {
				t.Errorf("left %v, %v", left, err)
			}
			_, open, err := serve.Segments(serve.LogDir(dir, "m"))
			if err != nil || len(open) != 1 {
				t.Fatal(open, err)
			}
			if err := os.Remove(open[0]); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// TestLogLeavesLaterVersions: a segment that a later version of Assay left open is not touched.
func TestLogLeavesLaterVersions(t *testing.T) {
	dir, path, whole, _ := orphan(t, 1)
	whole[bytes.IndexByte(whole, '1')] = '9'
	if err := os.WriteFile(path, whole, 0o600); err != nil {
		t.Fatal(err)
	}
	_, l := logged(t, serve.LogOptions{Dir: dir, Nonce: "next"}, &engine{predict: constant(1, 0)})
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(path); err != nil || !bytes.Equal(b, whole) {
		t.Errorf("%v; %d bytes, want %d", err, len(b), len(whole))
	}
}
