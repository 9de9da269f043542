package serve_test

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/assay-ml/assay/internal/serve"
)

// copied is the folder of a log as it is at this moment: the journals first, for what is crossed out of one is in a segment by then.
func copied(t *testing.T, dir string) string {
	t.Helper()
	to := t.TempDir()
	take := func(pattern string) (all bool) {
		paths, err := filepath.Glob(filepath.Join(dir, pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range paths {
			b, err := os.ReadFile(path)
			if os.IsNotExist(err) {
				return false // it was closed meanwhile, and has another name
			}
			if err != nil {
				t.Fatal(err)
			}
			rel, err := filepath.Rel(dir, path)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.MkdirAll(filepath.Dir(filepath.Join(to, rel)), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(to, rel), b, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		return true
	}
	take("*.journal")
	for !take("m/*") {
		if err := os.RemoveAll(filepath.Join(to, "m")); err != nil {
			t.Fatal(err)
		}
	}
	return to
}

// TestJournal: at any moment the log of a process that is killed then has every call that was taken before, once, and nothing in it says that more
// may be missing.
func TestJournal(t *testing.T) {
	for _, flush := range []time.Duration{time.Millisecond, 50 * time.Millisecond} {
		t.Run(fmt.Sprint(flush), func(t *testing.T) {
			dir := t.TempDir()
			s, l := logged(t, serve.LogOptions{Dir: dir, Flush: flush, SegmentBytes: 512 << 10}, &engine{predict: constant(1, 0)})
			var taken sync.Map
			var n atomic.Int64
			ctx, stop := context.WithCancel(t.Context())
			var clients sync.WaitGroup
			for range 4 {
				clients.Go(func() {
					for range 300 {
						c, err := ask(ctx, s, 7, 8)
						if err != nil {
							return
						}
						id := c.ID
						c.End()
						taken.Store(id, n.Add(1))
						time.Sleep(time.Millisecond)
					}
				})
			}
			for range 8 {
				time.Sleep(7 * time.Millisecond)
				before := n.Load()
				dead := copied(t, dir)
				for range 2 { // the second time there is nothing left to do
					if err := serve.Recover(dead, time.Now); err != nil {
						t.Fatal(err)
					}
				}
				times := map[string]int{}
				for _, line := range lines(t, dead) {
					if line["_outcome"] != "answered" {
						t.Fatalf("%v", line)
					}
					times[fmt.Sprint(line["_request"], "/", line["_index"])]++
				}
				for at, k := range times {
					if k > 1 {
						t.Errorf("%s is there %d times", at, k)
					}
				}
				taken.Range(func(id, number any) bool {
					if number.(int64) <= before && (times[id.(string)+"/0"] == 0 || times[id.(string)+"/1"] == 0) {
						t.Errorf("call %d of %d, which was taken, is not there", number, before)
					}
					return !t.Failed()
				})
				if left, err := filepath.Glob(filepath.Join(dead, "*")); err != nil || len(left) != 1 {
					t.Errorf("%v are left", left)
				}
			}
			stop()
			clients.Wait()
			if err := l.Close(); err != nil {
				t.Fatal(err)
			}
			if got := lines(t, dir); int64(len(got)) != 2*n.Load() {
				t.Errorf("%d rows of %d calls", len(got), n.Load())
			}
			if left, err := filepath.Glob(filepath.Join(dir, "*.journal*")); err != nil || len(left) > 0 {
				t.Errorf("%v are left", left)
			}
		})
	}
}

// TestJournalOverflow: where more waits than the journal holds, as behind a disk that does not answer, the segment says that rows may be missing.
func TestJournalOverflow(t *testing.T) {
	dir := t.TempDir()
	var stuck sync.Mutex
	clock := func() time.Time { // the writer looks at it in each round
		stuck.Lock()
		defer stuck.Unlock()
		return time.Now()
	}
	s, l := logged(t, serve.LogOptions{Dir: dir, Clock: clock, Flush: time.Millisecond}, &engine{predict: constant(1, 0)})
	offer := func(rows ...int64) {
		t.Helper()
		c, err := ask(t.Context(), s, rows...)
		if err != nil {
			t.Fatal(err)
		}
		c.End()
	}
	offer(1)
	for rows, _, _ := l.Written(); rows == 0; rows, _, _ = l.Written() {
		time.Sleep(time.Millisecond)
	}
	stuck.Lock()
	many := make([]int64, 10_000)
	for range 40 {
		offer(many...)
	}
	dead := copied(t, dir)
	stuck.Unlock()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if rows, _, _ := l.Written(); rows != 400_001 {
		t.Errorf("%d rows in the log of the process that went on", rows)
	}
	next, err := serve.OpenLog(serve.LogOptions{Dir: dead, Clock: time.Now, Nonce: "next"})
	if err != nil {
		t.Fatal(err)
	}
	if err := next.Close(); err != nil {
		t.Fatal(err)
	}
	_, open, err := serve.Segments(serve.LogDir(dead, "m"))
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	for _, path := range open {
		if err := serve.Lines(path, &out); err != nil {
			t.Fatal(err)
		}
	}
	rows, told := bytes.Count(out.Bytes(), []byte{'\n'}), bytes.Contains(out.Bytes(), []byte(" unclosed"))
	if !told || rows < 100_000 || rows > 400_000 {
		t.Errorf("%d rows, and it is %v that some may be missing", rows, told)
	}
}

// TestJournalDamaged: a journal with any bytes changed neither stops the log nor brings calls into it that nobody made.
func TestJournalDamaged(t *testing.T) {
	dir := t.TempDir()
	s, l := logged(t, serve.LogOptions{Dir: dir, Flush: time.Hour}, &engine{predict: constant(1, 0)})
	for i := range 20 {
		c, err := ask(t.Context(), s, int64(i))
		if err != nil {
			t.Fatal(err)
		}
		c.End()
	}
	dead := copied(t, dir)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dead, "n.journal")
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var used []int
	for at := 0; at < len(whole); at++ {
		if whole[at] != 0 {
			used = append(used, at)
		}
	}
	r := rand.New(rand.NewPCG(1, 1))
	for range 30 {
		b := append([]byte(nil), whole...)
		for range 1 + r.IntN(8) {
			b[used[r.IntN(len(used))]] = byte(r.IntN(256))
		}
		if err := os.RemoveAll(dead); err != nil {
			t.Fatal(err)
		}
		if err := os.MkdirAll(dead, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := serve.Recover(dead, time.Now); err != nil {
			t.Fatal(err)
		}
		if left, err := filepath.Glob(path); err != nil || len(left) > 0 {
			t.Fatalf("%v are left", left)
		}
		if _, err := os.Stat(filepath.Join(dead, "m")); err != nil {
			continue // nothing could be read
		}
		if got := lines(t, dead); len(got) > 20 {
			t.Fatalf("%d rows of 20", len(got))
		}
	}
}

// TestJournalLosses: rows that were lost while no segment of their model could be made are told in the log as soon as one can, by the same process or
// by the next.
func TestJournalLosses(t *testing.T) {
	for _, again := range []bool{false, true} {
		t.Run(fmt.Sprint("next process ", again), func(t *testing.T) {
			dir := t.TempDir()
			block := serve.LogDir(dir, "m")
			if err := os.WriteFile(block, nil, 0o600); err != nil { // where the folder should be
				t.Fatal(err)
			}
			s, l := logged(t, serve.LogOptions{Dir: dir, Flush: time.Millisecond, Sync: 10 * time.Millisecond}, &engine{predict: constant(1, 0)})
			for range 50 {
				c, err := ask(t.Context(), s, 1, 2)
				if err != nil {
					t.Fatal(err)
				}
				c.End()
			}
			for end := time.Now().Add(20 * time.Second); s.Tallies()[0].Lost < 100; time.Sleep(time.Millisecond) {
				if time.Now().After(end) {
					t.Fatalf("%d are counted", s.Tallies()[0].Lost)
				}
			}
			if !again {
				if err := os.Remove(block); err != nil {
					t.Fatal(err)
				}
			}
			err := l.Close()
			if told := err != nil && strings.Contains(err.Error(), "100 rows are missing in it that it does not tell of"); told != again {
				t.Errorf("the end says %v", err)
			}
			if again {
				if err := os.Remove(block); err != nil {
					t.Fatal(err)
				}
				if err := serve.Recover(dir, time.Now); err != nil {
					t.Fatal(err)
				}
			}
			if got := lines(t, dir); len(got) != 1 || got[0]["_outcome"] != "lost" || got[0]["_lost"] != 100.0 {
				t.Errorf("%v", got)
			}
		})
	}
}
