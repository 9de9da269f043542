package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/assaytest"
	"github.com/assay-ml/assay/internal/serve"
)

// lastDays are n whole days before this one, the oldest first, as rows of a log have them.
func lastDays(n int) (days []string) {
	for i := n; i > 0; i-- {
		days = append(days, time.Now().UTC().AddDate(0, 0, -i).Format(time.DateOnly))
	}
	return days
}

// lookedAt is a project with a log of whole days up to yesterday, of which one moved, by the clock of the machine.
func lookedAt(t *testing.T, settings string) (*watchedProject, []string) {
	t.Helper()
	p, _ := heldProject(t, settings)
	p.now = time.Now()
	days := lastDays(4)
	moved := map[string]string{}
	for _, d := range days {
		moved[d] = ""
	}
	moved[days[2]] = "south"
	logDays(t, p.dir, days[3]+"T12", moved)
	return p, days
}

// beside is a session on the project that starts processes of its own.
func (p *watchedProject) beside() *session {
	p.t.Helper()
	self, err := os.Executable()
	if err != nil {
		p.t.Fatal(err)
	}
	s := p.session()
	s.Self = self
	p.t.Cleanup(func() { _ = s.Close() })
	return s
}

// looks are the processes below pid that look at a log.
func looks(t *testing.T, pid int) (found []int) {
	for _, c := range children(t, pid) {
		if b, _ := os.ReadFile("/proc/" + strconv.Itoa(c) + "/cmdline"); strings.Contains(string(b), "monitor\x00look") {
			found = append(found, c)
		}
	}
	return found
}

const labelledAlert = "    - {name: worse, when: performance, severity: critical, to: ops}\n  labels: {join: [request_id, row], within: 2d}\n  margin: 0.01\n"

// TestLookBeside: the process that looks at a log records the very evidence that a look in the server does, gives way, and a look that is killed at any
// moment leaves nothing that the next one does not complete.
func TestLookBeside(t *testing.T) {
	t.Setenv(asProcess, "1")
	p, days := lookedAt(t, labelledAlert)
	p.labelled(0, 400, days[1])
	p.entered("the people of the table as traffic")
	q := lookRequest{Version: "people:1", Labels: true, From: p.now}
	inside := &watchedProject{t: t, dir: t.TempDir(), env: p.env, now: p.now}
	if err := os.CopyFS(inside.dir, os.DirFS(p.dir)); err != nil {
		t.Fatal(err)
	}
	s := inside.session()
	want, err := s.lookAt(t.Context(), q)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err != nil || len(want) != 4 || want[2].Verdict != assay.Fail {
		t.Fatalf("%+v, %v", want, err)
	}
	record := inside.onRecord()

	beside := p.beside()
	kills := 6
	if assaytest.Full() {
		kills = 40
	}
	killed := 0
	for i := range kills {
		done := make(chan error, 1)
		go func() { _, err := beside.lookBeside(t.Context(), q); done <- err }()
		var child []int
		until(t, "at its look", func() bool {
			child = looks(t, os.Getpid())
			return len(child) > 0 || len(done) > 0
		})
		time.Sleep(time.Duration(i) * 600 * time.Millisecond / time.Duration(kills))
		for _, pid := range child {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
		if err := <-done; err != nil {
			killed++
			if !strings.Contains(err.Error(), "the look at the log of people:1 did not end: signal: killed") {
				t.Errorf("killed: %v", err)
			}
		}
		for _, id := range p.onRecord() {
			if !slices.Contains(record, id) {
				t.Fatalf("after %d kills something else is on record: %s", i+1, id)
			}
		}
	}
	t.Logf("%d of %d looks were killed", killed, kills)
	if killed == 0 {
		t.Error("no look was killed")
	}
	got, err := beside.lookBeside(t.Context(), q)
	if err != nil {
		t.Fatal(err)
	}
	if now := p.onRecord(); !slices.Equal(now, record) {
		t.Errorf("after %d kills %d things are on record, want %d", killed, len(now), len(record))
	}
	if len(got) > 0 && !slices.Equal(got, want[len(want)-len(got):]) {
		t.Errorf("%+v, want the end of %+v", got, want)
	}
	p.run(0, "fsck")
	if _, err := beside.lookBeside(t.Context(), lookRequest{Version: "people:7"}); assay.CodeOf(err) != assay.NotFound {
		t.Errorf("an unknown version: %v", err)
	}
}

// TestLookEnds: a look gives way while it runs, and ends with the server that asked for it, whether that is told to stop or is gone.
func TestLookEnds(t *testing.T) {
	t.Setenv(asProcess, "1")
	p, _ := lookedAt(t, twoAlerts)
	// Who reads an empty pipe waits for the one who has it open to write: the look stays where it begins to read.
	segment := filepath.Join(serve.LogDir(filepath.Join(p.dir, ".assay", "log"), "people"), "2026-01-01T00-x-0.seg")
	if err := syscall.Mkfifo(segment, 0o600); err != nil {
		t.Fatal(err)
	}
	beside := p.beside()
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { _, err := beside.lookBeside(ctx, lookRequest{Version: "people:1"}); done <- err }()
	var w *os.File
	until(t, "waiting for the segment", func() bool {
		var err error
		w, err = os.OpenFile(segment, os.O_WRONLY|syscall.O_NONBLOCK, 0) // fails while nobody has it open to read
		return err == nil
	})
	defer w.Close()
	pid := looks(t, os.Getpid())
	if len(pid) != 1 {
		t.Fatalf("%d looks", len(pid))
	}
	if own, its := threadNices(t, os.Getpid()), threadNices(t, pid[0]); own[0] < lowPriority {
		for _, n := range its {
			if n != lowPriority {
				t.Errorf("the threads of the look have the priorities %v", its)
				break
			}
		}
	}
	began := time.Now()
	stop()
	if err := <-done; err == nil {
		t.Error("a look that was stopped has an answer")
	}
	if took := time.Since(began); took > 4*lookEnds {
		t.Errorf("it took %v to stop", took)
	}
	if left := looks(t, os.Getpid()); len(left) > 0 {
		t.Errorf("%v still looks", left)
	}
	if err := os.Remove(segment); err != nil {
		t.Fatal(err)
	}

	c := process(t, p.dir, "monitor", "look")
	in, err := c.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	var said bytes.Buffer
	c.Stderr = &said
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	ask, _ := json.Marshal(lookRequest{Version: "people:1"})
	_, err = in.Write(ask)
	if err := in.Close(); err != nil { // the server is gone
		t.Fatal(err)
	}
	if werr := c.Wait(); err != nil || werr == nil || c.ProcessState.ExitCode() != 1 || !strings.Contains(said.String(), "who asked for the look is gone") {
		t.Errorf("a look that nobody waits for ended with %v: %s", werr, said.String())
	}
}

// TestServerLooksBeside: a server that watches starts its look beside it and says what came of it; a termination ends both.
func TestServerLooksBeside(t *testing.T) {
	p, _ := lookedAt(t, twoAlerts)
	p.run(0, "serve", "check", "people:1")
	server, _ := serving(t, p.dir, "--model", "people:1")
	until(t, "judged", func() bool { return len(p.onRecord()) >= 4 })
	if err := server.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	_ = server.Wait()
	if got := server.ProcessState.ExitCode(); got != 128+int(syscall.SIGTERM) {
		t.Errorf("exit status %d", got)
	}
	p.run(0, "fsck")
}

// TestLookMemory measures what a server holds, and how long requests take, while 350,000 logged rows are looked at: ASSAY_TEST_MEMORY=1. It is
// not run by itself: a timing needs a quiet machine.
func TestLookMemory(t *testing.T) {
	if os.Getenv("ASSAY_TEST_MEMORY") == "" {
		t.Skip("set ASSAY_TEST_MEMORY=1")
	}
	const days, rows, most = 7, 50_000, 150 // MiB
	p, _ := heldProject(t, twoAlerts)
	p.now = time.Now()
	p.run(0, "serve", "check", "people:1")
	folder := serve.LogDir(filepath.Join(p.dir, ".assay", "log"), "people")
	for _, day := range lastDays(days) {
		l := newPeopleLog(t)
		for i := range rows {
			l.line(day, "answered", i, func(map[string]any) {})
		}
		segment := filepath.Join(folder, day+"T12-x-0.jsonl")
		l.write(p.dir, day+"T12")
		fields, err := serve.LogFieldsOf(folder)
		if err != nil {
			t.Fatal(err)
		}
		if err := compactSegment(t.Context(), segment, serve.ParquetPath(segment), fields); err != nil {
			t.Fatal(err)
		}
		if err := os.Remove(segment); err != nil {
			t.Fatal(err)
		}
	}
	if kept := os.Getenv("ASSAY_TEST_KEEP"); kept != "" {
		if err := os.CopyFS(kept, os.DirFS(p.dir)); err != nil {
			t.Fatal(err)
		}
	}
	server, url := serving(t, p.dir, "--model", "people:1")
	peak := watchMemory(t, server.Process.Pid)
	var took []time.Duration
	for began := time.Now(); time.Since(began) < 60*time.Second && len(p.onRecord()) < days; {
		for range 200 {
			at := time.Now()
			if status, body := asked(t, url+"/invocations", "application/json", person); status != 200 {
				t.Fatalf("%d %s", status, body)
			}
			took = append(took, time.Since(at))
		}
	}
	slices.Sort(took)
	held := peak()
	t.Logf("at most %d MiB were held; %d requests one after the other, p50 %v, p99 %v", held, len(took), took[len(took)/2], took[len(took)*99/100])
	if held > most {
		t.Errorf("%d MiB were held, more than %d", held, most)
	}
	if n := len(p.onRecord()); n != days {
		t.Errorf("%d windows were judged, want %d", n, days)
	}
}
