package serve_test

import (
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/assay-ml/assay/internal/serve"
)

// fullDisk is set in the process in which no file may grow beyond a limit.
const fullDisk = "ASSAY_TEST_FULL_DISK"

// TestFullDisk logs to a disk that is full for a while, in a process of its own, because the limit is one of the process. Every request
// is answered; what could not be written is counted and told in the log once there is room; nothing of the segment is torn.
func TestFullDisk(t *testing.T) {
	if os.Getenv(fullDisk) == "" {
		c := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestFullDisk$", "-test.v") //nolint:gosec // this test again
		c.Env = append(os.Environ(), fullDisk+"=1")
		if out, err := c.CombinedOutput(); err != nil || !strings.Contains(string(out), "--- PASS: TestFullDisk") {
			t.Fatalf("%v\n%s", err, out)
		}
		return
	}
	signal.Ignore(syscall.SIGXFSZ)
	var all syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &all); err != nil {
		t.Fatal(err)
	}
	room := func(bytes uint64) {
		if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: bytes, Max: all.Max}); err != nil {
			t.Fatal(err)
		}
	}
	dir := t.TempDir()
	s, l := logged(t, serve.LogOptions{Dir: dir, Flush: time.Millisecond, Sync: time.Millisecond}, &engine{predict: constant(1, 0)})
	sent := 0
	send := func(until func(rows, failures int64) bool) {
		for end := time.Now().Add(20 * time.Second); time.Now().Before(end); {
			c, err := ask(t.Context(), s, 1, 2)
			if err != nil {
				t.Fatal(err)
			}
			c.End()
			sent += 2
			if rows, failures, _ := l.Written(); until(rows, failures) {
				return
			}
			time.Sleep(50 * time.Microsecond)
		}
		t.Fatal("it took too long")
	}
	room(16 << 10)
	send(func(_, failures int64) bool { return failures >= 3 })
	if _, _, problem := l.Written(); !strings.Contains(problem, "file too large") || strings.Contains(problem, dir) {
		t.Errorf("the problem is told as %q", problem)
	}
	full, _, _ := l.Written()
	room(all.Cur)
	send(func(rows, _ int64) bool { return rows > full+20 })
	if err := l.Close(); err == nil {
		t.Error("the failures are not told at the end")
	}
	rows, lost := 0, 0.0
	for _, line := range lines(t, dir) {
		if line["_outcome"] == "lost" {
			lost += line["_lost"].(float64)
		} else {
			rows++
		}
	}
	if rows+int(lost) != sent || lost == 0 || rows < int(full) {
		t.Errorf("%d rows and %v lost of %d", rows, lost, sent)
	}
	if counted := s.Tallies()[0].Lost; counted != int64(lost) {
		t.Errorf("the server counts %d lost, the log %v", counted, lost)
	}
}
