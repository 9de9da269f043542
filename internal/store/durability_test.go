//go:build linux

package store

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/assaytest"
	"github.com/assay-ml/assay/internal/blob"
)

// The tests of this file start the test binary again as another process; these variables say what it does there.
const (
	childRole  = "ASSAY_TEST_CHILD" // write, read, promote, full, readonly
	childDir   = "ASSAY_TEST_DIR"
	childName  = "ASSAY_TEST_NAME" // makes what the child writes different from what others write
	childStep  = "ASSAY_TEST_STEP" // die at the step of this number, from 1
	childCount = "ASSAY_TEST_COUNT"
	childFills = "ASSAY_TEST_FILLS" // a file on a small disk: removing it makes room
)

func TestMain(m *testing.M) {
	role := os.Getenv(childRole)
	if role == "" {
		os.Exit(m.Run())
	}
	err := map[string]func() error{"write": childWrite, "read": childRead, "promote": childPromote, "full": childFull, "readonly": childReadonly}[role]()
	if err != nil {
		fmt.Printf("error %s: %s\n", assay.CodeOf(err), err)
		os.Exit(1)
	}
	os.Exit(0)
}

func child(t testing.TB, role, dir string, env ...string) *exec.Cmd {
	t.Helper()
	exe := must(os.Executable())(t)
	c := exec.Command(exe)
	c.Env = append(os.Environ(), append(env, childRole+"="+role, childDir+"="+dir)...)
	return c
}

// childWrite goes through the life of models again and again, and says of each thing, once the store has acknowledged it, what it is.
func childWrite() error {
	ctx := context.Background()
	die, _ := strconv.Atoi(os.Getenv(childStep))
	count, _ := strconv.Atoi(os.Getenv(childCount))
	steps := 0
	step := func(string) {
		if steps++; steps == die {
			syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {}
		}
	}
	s, err := OpenSQLite(ctx, Options{Dir: os.Getenv(childDir), Clock: assaytest.Clock(), Producer: "assay test"})
	if err != nil {
		return err
	}
	s.blobs.Trace(step)
	s.step = step
	name := os.Getenv(childName)
	for i := 0; count == 0 || i < count; i++ {
		if err := life(ctx, s, fmt.Sprintf("%s-%d", name, i)); err != nil {
			return err
		}
	}
	fmt.Printf("steps %d\n", steps)
	return s.Close()
}

func life(ctx context.Context, s *SQLite, name string) error {
	ack := func(what string, args ...any) { fmt.Printf("ack "+what+"\n", args...) }
	d, _, err := s.Blobs().Put(ctx, strings.NewReader("model "+name))
	if err != nil {
		return err
	}
	ack("blob %s", d)
	m, err := Evidence(assay.KindModel, d, nil, assay.Model{Learner: name, File: assay.File{Name: "m", Digest: d}})
	if err != nil {
		return err
	}
	j, err := Evidence(assay.KindVerdict, d, nil, assay.Judgement{Policy: digest("p"), Stage: assay.StageProduction, Verdict: assay.Pass, Name: name})
	if err != nil {
		return err
	}
	rs, err := s.Append(ctx, map[string]string{"host": "child"}, m, j)
	if err != nil {
		return err
	}
	ack("evidence %s", rs[0].ID)
	ack("evidence %s", rs[1].ID)
	v, _, err := s.Register(ctx, Registration{Name: "pay", Evidence: rs[0].ID, Tags: map[string]string{"a": "b"}})
	if err != nil {
		return err
	}
	ack("version %d", v.Number)
	p, err := s.Promote(ctx, Move{Name: "pay", Number: v.Number, Stage: assay.StageProduction, Verdict: rs[1].ID, Policy: digest("p")})
	if err != nil {
		return err
	}
	ack("evidence %s", p.ID)
	if err := s.SetAlias(ctx, AliasMove{Name: "pay", Alias: "a" + name, Number: v.Number}); err != nil {
		return err
	}
	ack("alias a%s %d", name, v.Number)
	r := SealRecord{Data: digest("data " + name), Rows: digest("rows " + name), Count: 20}
	sp, err := Evidence(assay.KindSplit, r.Data, nil, assay.Split{Sealed: assay.Test, Parts: []assay.Part{{Name: assay.Test, Rows: r.Count, IDs: r.Rows}}})
	if err != nil {
		return err
	}
	if rs, err = s.Append(ctx, nil, sp); err != nil {
		return err
	}
	r.Split = rs[0].ID
	var b bytes.Buffer
	for i := range 20 {
		f := assay.DigestOf([]byte(name)).Hex()
		fmt.Fprintf(&b, "%s%04d", f[:12], i)
	}
	if r.Fingerprints, err = blob.PutBytes(ctx, s.Blobs(), b.Bytes()); err != nil {
		return err
	}
	if r.Labels, err = blob.PutBytes(ctx, s.Blobs(), []byte("labels "+name)); err != nil {
		return err
	}
	if err := s.Seal(ctx, r); err != nil {
		return err
	}
	ack("seal %s", r.Split)
	dis, _, err := s.Disclose(ctx, DisclosureRequest{Model: d, Split: r.Split, Rows: r.Rows, Metrics: []string{"f1_score"}, Configuration: digest("settings")})
	if err != nil {
		return err
	}
	ack("evidence %s", dis.ID)
	ack("ledger %s", r.Split)
	return nil
}

// verifyAcks reads what a child acknowledged and looks for all of it; then fsck must find nothing.
func verifyAcks(t testing.TB, dir string, out []byte) int {
	t.Helper()
	ctx := context.Background()
	s := must(OpenSQLite(ctx, Options{Dir: dir, Clock: assaytest.Clock(), Producer: "assay test"}))(t)
	defer s.Close()
	n := 0
	lines := bufio.NewScanner(bytes.NewReader(out))
	for lines.Scan() {
		w := strings.Fields(lines.Text())
		if w[0] == "error" {
			t.Errorf("the child failed: %s", lines.Text())
		}
		if w[0] != "ack" {
			continue
		}
		n++
		var err error
		switch w[1] {
		case "blob":
			_, err = blob.ReadAll(ctx, s.Blobs(), assay.Digest(w[2]), 1<<20)
		case "evidence":
			_, err = s.Get(ctx, assay.Digest(w[2]))
		case "version":
			number, _ := strconv.Atoi(w[2])
			_, err = s.Version(ctx, "pay", number)
		case "alias":
			_, err = s.Alias(ctx, "pay", w[2])
		case "seal":
			_, err = sealOf(ctx, s.reads, assay.Digest(w[2]))
		case "ledger":
			var ds []assay.Record
			if ds, err = s.Disclosures(ctx, assay.Digest(w[2])); err == nil && len(ds) != 1 {
				err = fmt.Errorf("%d lines in the ledger", len(ds))
			}
		}
		if err != nil {
			t.Errorf("lost, though acknowledged: %s: %v", lines.Text(), err)
		}
	}
	checkClean(t, s)
	return n
}

// killed reports whether the process ended by SIGKILL.
func killed(err error) bool {
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		return false
	}
	ws, ok := exit.Sys().(syscall.WaitStatus)
	return ok && ws.Signaled() && ws.Signal() == syscall.SIGKILL
}

// TestKillAtCommitPoints kills a writer at every step of one life: each step of each blob, before and after each commit.
func TestKillAtCommitPoints(t *testing.T) {
	t.Parallel()
	out, err := child(t, "write", scratch(t), childCount+"=1", childName+"=dry").Output()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	_, after, _ := strings.Cut(string(out), "steps ")
	steps, err := strconv.Atoi(strings.TrimSpace(after))
	if err != nil || steps < 30 {
		t.Fatalf("%v: %s", err, out)
	}
	dir, acked := scratch(t), 0
	for n := 1; n <= steps; n++ {
		out, err := child(t, "write", dir, childCount+"=1", childName+"="+strconv.Itoa(n), childStep+"="+strconv.Itoa(n)).Output()
		if !killed(err) {
			t.Fatalf("step %d: %v: %s", n, err, out)
		}
		acked += verifyAcks(t, dir, out)
	}
	t.Logf("%d kills at commit points, %d acknowledged", steps, acked)
}

// TestKillAtRandom kills writers at any instant, opening and migrating the store included.
func TestKillAtRandom(t *testing.T) {
	t.Parallel()
	kills := 15
	if os.Getenv(fullTest) != "" {
		kills = 250
	}
	random := rand.New(rand.NewSource(1))
	acked, dir := 0, ""
	for n := range kills {
		if n%10 == 0 {
			dir = filepath.Join(scratch(t), strconv.Itoa(n))
		}
		var out bytes.Buffer
		c := child(t, "write", dir, childName+"="+strconv.Itoa(n))
		c.Stdout = &out
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Duration(random.Int63n(int64(120 * time.Millisecond))))
		if err := c.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		if err := c.Wait(); !killed(err) {
			t.Fatalf("%v: %s", err, out.Bytes())
		}
		acked += verifyAcks(t, dir, out.Bytes())
	}
	t.Logf("%d kills at random instants, %d acknowledged", kills, acked)
}

// TestManyProcesses: several processes write to one new store at once, and two of them are killed meanwhile.
func TestManyProcesses(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(scratch(t), "store")
	var wg sync.WaitGroup
	outs := make([]bytes.Buffer, 5)
	for i := range outs {
		c := child(t, "write", dir, childName+"="+strconv.Itoa(i), childCount+"=6")
		if i < 2 {
			c.Env = append(c.Env, childStep+"="+strconv.Itoa(70+50*i))
		}
		c.Stdout = &outs[i]
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		wg.Go(func() {
			if err := c.Wait(); err != nil && (i >= 2 || !killed(err)) {
				t.Errorf("process %d: %v: %s", i, err, outs[i].Bytes())
			}
		})
	}
	wg.Wait()
	for i := range outs {
		if n := verifyAcks(t, dir, outs[i].Bytes()); n < 5 {
			t.Errorf("process %d acknowledged %d things", i, n)
		}
	}
}

// childFull writes until there is no room, under a limit on the size of files or on a small disk, then once more with room.
func childFull() error {
	ctx := context.Background()
	signal.Ignore(syscall.SIGXFSZ)
	s, err := OpenSQLite(ctx, Options{Dir: os.Getenv(childDir), Clock: assaytest.Clock(), Producer: "assay test"})
	if err != nil {
		return err
	}
	makeRoom := func() error { return os.Remove(os.Getenv(childFills)) }
	if os.Getenv(childFills) == "" {
		var before syscall.Rlimit
		if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &before); err != nil {
			return err
		}
		if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: 1 << 20, Max: before.Max}); err != nil {
			return err
		}
		makeRoom = func() error { return syscall.Setrlimit(syscall.RLIMIT_FSIZE, &before) }
	}
	failed := 0
	for i := 0; i < 2000 && failed < 3; i++ {
		e, err := Evidence(assay.KindDatasheet, digest("d"), nil, assay.Datasheet{Missing: []string{fmt.Sprint(i), strings.Repeat("x", 5000)}})
		if err != nil {
			return err
		}
		rs, err := s.Append(ctx, nil, e)
		if err != nil {
			failed++
			fmt.Printf("failed %s: %s\n", assay.CodeOf(err), err)
			continue
		}
		fmt.Printf("ack evidence %s\n", rs[0].ID)
	}
	_, _, err = s.Blobs().Put(ctx, io.LimitReader(zeros{}, 4<<20))
	fmt.Printf("failed %s: %s\n", assay.CodeOf(err), err)
	if err := makeRoom(); err != nil {
		return err
	}
	r, err := s.Fsck(ctx)
	if err != nil || !r.Clean() {
		return fmt.Errorf("after the failure: %v %+v", err, r)
	}
	e, err := Evidence(assay.KindDatasheet, digest("again"), nil, assay.Datasheet{})
	if err != nil {
		return err
	}
	rs, err := s.Append(ctx, nil, e)
	if err != nil {
		return err
	}
	fmt.Printf("ack evidence %s\n", rs[0].ID)
	return s.Close()
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return len(p), nil }

// TestDiskFull: a write that finds no room fails clearly, leaves nothing behind, and the store goes on once there is room.
func TestDiskFull(t *testing.T) {
	check := func(t *testing.T, dir string, why string, env ...string) {
		out, err := child(t, "full", dir, env...).Output()
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		var failures []string
		for line := range strings.Lines(string(out)) {
			if strings.HasPrefix(line, "failed") {
				failures = append(failures, line)
			}
		}
		if len(failures) != 4 {
			t.Fatalf("%q", failures)
		}
		for i, want := range []string{"evidence cannot be stored", "evidence cannot be stored", "evidence cannot be stored", "a blob cannot be written: " + why} {
			if !strings.HasPrefix(failures[i], "failed unavailable: "+want) || strings.Contains(failures[i], dir) {
				t.Errorf("%s", failures[i])
			}
		}
		if n := verifyAcks(t, dir, out); n < 10 {
			t.Errorf("only %d acknowledged", n)
		}
	}
	t.Run("limit on the size of files", func(t *testing.T) {
		check(t, t.TempDir(), "it exceeds the limit")
	})
	t.Run("small disk", func(t *testing.T) {
		disk := t.TempDir()
		if err := syscall.Mount("none", disk, "tmpfs", 0, "size=3m"); err != nil {
			if os.Geteuid() == 0 && os.Getenv(fullTest) != "" {
				t.Fatalf("the full test needs a disk that can be filled: %v", err)
			}
			t.Skipf("a small disk cannot be mounted: %v", err)
		}
		defer syscall.Unmount(disk, 0)
		filler := filepath.Join(disk, "filler")
		if err := os.WriteFile(filler, make([]byte, 1<<20), 0o644); err != nil {
			t.Fatal(err)
		}
		check(t, filepath.Join(disk, "store"), "no space is left", childFills+"="+filler)
	})
}

// childReadonly opens a store as somebody who may read it and not write it, and then one where nothing may be made.
func childReadonly() error {
	if os.Getuid() == 0 {
		const nobody = 65534
		if err := errors.Join(syscall.Setgroups(nil), syscall.Setgid(nobody), syscall.Setuid(nobody)); err != nil {
			return err
		}
	}
	for _, dir := range []string{os.Getenv(childDir), filepath.Join(os.Getenv(childDir), "new")} {
		s, err := OpenSQLite(context.Background(), Options{Dir: dir, Clock: assaytest.Clock(), Producer: "assay test"})
		if err == nil {
			return errors.Join(fmt.Errorf("a read-only store opens"), s.Close())
		}
		fmt.Printf("failed %s: %s (%s)\n", assay.CodeOf(err), err, assay.HintOf(err))
	}
	return nil
}

// TestReadonly: a directory that cannot be written is said to be so, and stays as it is.
func TestReadonly(t *testing.T) {
	dir := t.TempDir()
	s := must(OpenSQLite(t.Context(), Options{Dir: dir, Clock: assaytest.Clock(), Producer: "assay test"}))(t)
	populate(t, s)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	listing := func() (out []string) {
		err := filepath.WalkDir(dir, func(p string, _ os.DirEntry, err error) error {
			out = append(out, p)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	before := listing()
	for p := dir; p != os.TempDir() && len(p) > 1; p = filepath.Dir(p) { // the child may be another user, who has to get here
		if err := os.Chmod(p, 0o555); err != nil {
			t.Fatal(err)
		}
		defer os.Chmod(p, 0o755)
	}
	for _, p := range before {
		if fi := must(os.Stat(p))(t); fi.IsDir() {
			os.Chmod(p, 0o555)
			defer os.Chmod(p, 0o755)
		} else {
			os.Chmod(p, 0o444)
		}
	}
	out, err := child(t, "readonly", dir).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	if len(lines) != 2 {
		t.Fatalf("%s", out)
	}
	for _, l := range lines {
		if !strings.HasPrefix(l, "failed unavailable: ") || strings.Contains(l, dir) || !strings.Contains(l, "check who owns") {
			t.Error(l)
		}
	}
	if after := listing(); !slices.Equal(before, after) {
		t.Errorf("%v became %v", before, after)
	}
}
