//go:build linux

package store

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/assaytest"
)

// childPromote promotes version ASSAY_TEST_COUNT when standard input says so: once as if nothing held the stage, and, when it lost,
// again and again with whoever holds it now, until it is its turn.
func childPromote() error {
	ctx := context.Background()
	number, err := strconv.Atoi(os.Getenv(childCount))
	if err != nil {
		return err
	}
	s, err := OpenSQLite(ctx, Options{Dir: os.Getenv(childDir), Clock: assaytest.Clock(), Producer: "assay test"})
	if err != nil {
		return err
	}
	move := Move{Name: "pay", Number: number, Stage: assay.StageProduction, Policy: digest("p"), Verdict: assay.Digest(os.Getenv(childName)), Expect: ptr(0)}
	fmt.Println("ready")
	if _, err := bufio.NewReader(os.Stdin).ReadString('\n'); err != nil {
		return err
	}
	_, err = s.Promote(ctx, move)
	for assay.CodeOf(err) == assay.Refused {
		fmt.Println("refused", *move.Expect, err)
		held, herr := s.Holder(ctx, "pay", assay.StageProduction)
		if herr != nil {
			return herr
		}
		move.Expect = ptr(held.Number)
		_, err = s.Promote(ctx, move)
	}
	if err != nil {
		return err
	}
	fmt.Println("won", *move.Expect)
	return s.Close()
}

// TestPromotionsOfProcesses: of processes that promote at once and expect an empty stage, one wins. The others are refused and then take
// their turn, each on top of the version that it saw; the history is that order.
func TestPromotionsOfProcesses(t *testing.T) {
	t.Parallel()
	const n = 6
	dir := scratch(t)
	s := openDir(t, dir)
	type process struct {
		*exec.Cmd
		in  io.WriteCloser
		out *bufio.Scanner
	}
	ps := make([]process, n)
	for i := range ps {
		m := model(t, s, fmt.Sprint(i))
		v, _, err := s.Register(t.Context(), Registration{Name: "pay", Evidence: m.ID})
		if err != nil || v.Number != i+1 {
			t.Fatal(v, err)
		}
		pass := verdict(t, s, m.Subject, assay.Judgement{Policy: digest("p"), Stage: assay.StageProduction, Verdict: assay.Pass})
		c := child(t, "promote", dir, childCount+"="+strconv.Itoa(v.Number), childName+"="+string(pass))
		in, out := must(c.StdinPipe())(t), must(c.StdoutPipe())(t)
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		ps[i] = process{c, in, bufio.NewScanner(out)}
		if !ps[i].out.Scan() || ps[i].out.Text() != "ready" {
			t.Fatalf("process %d says %q", i, ps[i].out.Text())
		}
	}
	for _, p := range ps {
		if _, err := io.WriteString(p.in, "go\n"); err != nil {
			t.Fatal(err)
		}
	}
	onTopOf := map[int]int{} // the version that each saw when it won
	first, refused := 0, 0
	for i, p := range ps {
		lost := false
		for p.out.Scan() {
			w := strings.Fields(p.out.Text())
			switch {
			case w[0] == "refused" && w[1] == "0":
				lost = true
			case w[0] == "refused":
			case w[0] == "won":
				onTopOf[i+1], _ = strconv.Atoi(w[1])
			default:
				t.Errorf("process %d: %s", i, p.out.Text())
			}
		}
		if err := p.Wait(); err != nil {
			t.Errorf("process %d: %v", i, err)
		}
		if lost {
			refused++
		} else {
			first++
		}
	}
	if first != 1 || refused != n-1 || len(onTopOf) != n {
		t.Fatalf("%d expected an empty stage and got it, %d were refused, %d won in the end", first, refused, len(onTopOf))
	}
	held, moves := 0, 0
	events := must(s.History(t.Context(), "pay", 0))(t)
	for i := len(events) - 1; i >= 0; i-- {
		e := events[i]
		if e.Action != "promote" {
			continue
		}
		moves++
		if e.Previous != held || onTopOf[e.Number] != held {
			t.Errorf("version %d took the place of %d, expected %d, and %d held the stage", e.Number, e.Previous, onTopOf[e.Number], held)
		}
		held = e.Number
	}
	if v := must(s.Holder(t.Context(), "pay", assay.StageProduction))(t); moves != n || v.Number != held {
		t.Errorf("%d promotions in the history; version %d holds the stage, and the last one was of %d", moves, v.Number, held)
	}
	checkClean(t, s)
}

// childRead reads everything again and again until its standard input ends. What it has seen once stays, and the journal is whole at any
// instant.
func childRead() error {
	ctx := context.Background()
	stop := make(chan struct{})
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		close(stop)
	}()
	s, err := OpenSQLite(ctx, Options{Dir: os.Getenv(childDir), Clock: assaytest.Clock(), Producer: "assay test"})
	if err != nil {
		return err
	}
	var last Mark
	var seen []assay.Entry
	for rounds := 1; ; rounds++ {
		m, err := s.Changes(ctx)
		if err != nil {
			return err
		}
		if m.Journal < last.Journal || m.Registry < last.Registry {
			return fmt.Errorf("%+v became %+v", last, m)
		}
		es, err := s.Journal(ctx, 0, 0)
		if err != nil {
			return err
		}
		if ps := VerifyJournal("", es); len(ps) > 0 || int64(len(es)) < m.Journal || len(es) < len(seen) {
			return fmt.Errorf("%d entries after %d, with the head at %d: %v", len(es), len(seen), m.Journal, ps)
		}
		if n := len(seen); n > 0 && es[n-1].Hash != seen[n-1].Hash {
			return fmt.Errorf("entry %d changed", n)
		}
		for _, e := range es[len(seen):] {
			if _, err := s.Get(ctx, e.Evidence); err != nil {
				return err
			}
		}
		vs, err := s.Versions(ctx, "pay")
		if err != nil && (assay.CodeOf(err) != assay.NotFound || last.Registry > 0) {
			return err
		}
		for i, v := range vs {
			if v.Number != len(vs)-i {
				return fmt.Errorf("version %d is number %d from the top of %d", v.Number, i, len(vs))
			}
		}
		last, seen = m, es
		select {
		case <-stop:
			fmt.Println("read", rounds, len(es))
			return s.Close()
		default:
		}
	}
}

// TestReadersAndWriters: several processes write and several read one store at once; a writer and a reader are killed meanwhile. No
// reader ever sees half of a change or an error, and nothing that was acknowledged is lost.
func TestReadersAndWriters(t *testing.T) {
	t.Parallel()
	dir := scratch(t)
	const readers, writers = 3, 3
	reads, outs := make([]*exec.Cmd, readers), make([]bytes.Buffer, readers)
	ends := make([]io.WriteCloser, readers)
	for i := range reads {
		reads[i] = child(t, "read", dir)
		reads[i].Stdout = &outs[i]
		ends[i] = must(reads[i].StdinPipe())(t)
		if err := reads[i].Start(); err != nil {
			t.Fatal(err)
		}
	}
	var wg sync.WaitGroup
	wrote := make([]bytes.Buffer, writers)
	for i := range wrote {
		c := child(t, "write", dir, childName+"="+strconv.Itoa(i), childCount+"=5")
		if i == 0 {
			c.Env = append(c.Env, childStep+"=90")
		}
		c.Stdout = &wrote[i]
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		wg.Go(func() {
			if err := c.Wait(); err != nil && (i != 0 || !killed(err)) {
				t.Errorf("writer %d: %v: %s", i, err, wrote[i].Bytes())
			}
			if i == 0 {
				if err := reads[0].Process.Signal(syscall.SIGKILL); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	for i := range reads {
		ends[i].Close()
		if err := reads[i].Wait(); (i == 0) != killed(err) {
			t.Errorf("reader %d: %v: %s", i, err, outs[i].Bytes())
		}
		if i > 0 && !strings.HasPrefix(outs[i].String(), "read ") {
			t.Errorf("reader %d: %s", i, outs[i].Bytes())
		}
	}
	for i := range wrote {
		if n := verifyAcks(t, dir, wrote[i].Bytes()); n < 5 {
			t.Errorf("writer %d acknowledged %d things", i, n)
		}
	}
}
