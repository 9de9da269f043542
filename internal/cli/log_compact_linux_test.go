package cli

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/assay-ml/assay/internal/serve"
)

// threadNices are the priorities of the threads of a process.
func threadNices(t *testing.T, pid int) (all []int) {
	t.Helper()
	stats, err := filepath.Glob("/proc/" + strconv.Itoa(pid) + "/task/*/stat")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range stats {
		b, err := os.ReadFile(path)
		if err != nil {
			continue // the thread has ended
		}
		fields := strings.Fields(string(b)[strings.LastIndexByte(string(b), ')')+1:])
		n, err := strconv.Atoi(fields[16]) // the 19th of proc(5), from the third on here
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, n)
	}
	return all
}

// TestCompactGivesWay: every thread of the process that makes Parquet beside the server has a low priority before it reads the segment, those of its
// engine as well; the server's own are as they were.
func TestCompactGivesWay(t *testing.T) {
	before := threadNices(t, os.Getpid())[0]
	if before >= lowPriority {
		t.Skipf("the test itself has the priority %d: nothing can be seen", before)
	}
	dir := t.TempDir()
	segment := filepath.Join(dir, "2026-01-02T03-n-0.seg")
	fields, err := json.Marshal(serve.LogFields())
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "fields.json"), fields, 0o600); err != nil {
		t.Fatal(err)
	}
	// Who reads an empty pipe waits for the one who has it open to write: the process stays where it begins to read.
	if err := syscall.Mkfifo(segment, 0o600); err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv(asProcess, "1")
	a := &app{World: World{Dir: dir, Self: self}}
	done := make(chan error, 1)
	go func() { done <- a.compact(t.Context(), segment, serve.ParquetPath(segment), serve.LogFields()) }()
	var w *os.File
	until(t, "waiting for its segment", func() bool {
		w, err = os.OpenFile(segment, os.O_WRONLY|syscall.O_NONBLOCK, 0) // fails while nobody has it open to read
		return err == nil
	})
	pid := 0
	for _, p := range children(t, os.Getpid()) {
		if b, _ := os.ReadFile("/proc/" + strconv.Itoa(p) + "/cmdline"); strings.Contains(string(b), segment) {
			pid = p
		}
	}
	threads := threadNices(t, pid)
	for _, n := range threads {
		if n != lowPriority {
			t.Errorf("the %d threads have the priorities %v, want %d", len(threads), threads, lowPriority)
			break
		}
	}
	if len(threads) < 2 {
		t.Errorf("%d threads", len(threads))
	}
	for _, n := range threadNices(t, os.Getpid()) {
		if n != before {
			t.Errorf("the server has the priority %d", n)
		}
	}
	if _, err := w.WriteString("no segment"); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err == nil || !strings.Contains(err.Error(), "is no segment of the prediction log") {
		t.Errorf("the process read its segment: %v", err)
	}
}
