package serve_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/assay-ml/assay/internal/serve"
)

// TestFolderIsRemoved: where the folder of the log is removed under the running server, every request is answered, what was in it is counted and told, and
// what comes then is in a folder that is made again.
func TestFolderIsRemoved(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "log")
	s, l := logged(t, serve.LogOptions{Dir: dir, Flush: time.Millisecond, Sync: 5 * time.Millisecond}, &engine{predict: constant(1, 0)})
	send := func(n int) {
		t.Helper()
		for range n {
			c, err := ask(t.Context(), s, 1, 2)
			if err != nil {
				t.Fatal(err)
			}
			c.End()
		}
	}
	written := func(want int64) {
		t.Helper()
		for range 2000 {
			if rows, _, _ := l.Written(); rows == want {
				return
			}
			time.Sleep(time.Millisecond)
		}
		rows, failures, problem := l.Written()
		t.Fatalf("%d rows were written, want %d; %d failures: %s", rows, want, failures, problem)
	}
	send(10)
	written(20)
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	send(1) // which the writer notices with
	written(0)
	if _, failures, problem := l.Written(); failures == 0 || !strings.Contains(problem, "is gone, as its folder was removed or moved; 22 rows were in it") || strings.Contains(problem, dir) {
		t.Errorf("%d failures: %s", failures, problem)
	}
	if lost := s.Tallies()[0].Lost; lost != 22 {
		t.Errorf("the server counts %d lost rows", lost)
	}
	send(5)
	written(10)
	if err := l.Close(); err == nil {
		t.Error("the failure is not told at the end")
	}
	rows, lost := 0, 0.0
	for _, line := range lines(t, dir) {
		if line["_outcome"] == "lost" {
			lost += line["_lost"].(float64)
		} else {
			rows++
		}
	}
	if rows != 10 || lost != 22 {
		t.Errorf("the log has %d rows, and %v that are lost", rows, lost)
	}
}

// TestClockJumps: a clock that goes back an hour and forward a day loses no row, and each is in a segment of the hour that the clock showed when it was written.
func TestClockJumps(t *testing.T) {
	dir := t.TempDir()
	var now atomic.Int64
	at := time.Date(2026, 5, 1, 10, 30, 0, 0, time.UTC)
	set := func(x time.Time) { now.Store(x.UnixMicro()) }
	set(at)
	s, l := loggedWith(t, serve.LogOptions{Dir: dir, Flush: time.Millisecond, Sync: time.Millisecond, Clock: func() time.Time { return time.UnixMicro(now.Load()).UTC() }},
		serve.Options{}, &engine{predict: constant(1, 0)})
	sent := int64(0)
	for _, jump := range []time.Duration{0, -time.Hour, 24 * time.Hour, -23 * time.Hour, 0} {
		at = at.Add(jump)
		set(at)
		for range 3 {
			c, err := ask(t.Context(), s, 1)
			if err != nil {
				t.Fatal(err)
			}
			c.End()
			sent++
		}
		for range 2000 {
			if rows, _, _ := l.Written(); rows == sent {
				break
			}
			time.Sleep(time.Millisecond)
		}
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	rows := 0
	for _, line := range lines(t, dir) {
		if line["_outcome"] != "answered" {
			t.Errorf("%v", line)
		}
		rows++
	}
	closed, open, err := serve.Segments(serve.LogDir(dir, "m"))
	if err != nil {
		t.Fatal(err)
	}
	var hours []string
	for _, path := range append(closed, open...) {
		hours = append(hours, filepath.Base(path)[:len("2026-05-01T10")])
	}
	slices.Sort(hours)
	if want := []string{"2026-05-01T09", "2026-05-01T10", "2026-05-01T10", "2026-05-02T09"}; rows != 15 || !slices.Equal(hours, want) {
		t.Errorf("%d rows in segments of the hours %v, want 15 in %v", rows, hours, want)
	}
}
