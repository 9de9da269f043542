package cli

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/assay-ml/assay/internal/assaytest"
)

// resident is what a process holds in memory, in MiB.
func resident(t *testing.T, pid int) int {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Error(err)
		return 0
	}
	kib := 0
	for line := range strings.Lines(string(text)) {
		_, _ = fmt.Sscanf(line, "VmRSS: %d kB", &kib)
	}
	return kib >> 10
}

// TestManyLargeBodies: forty small gzip bodies at once, each of which unpacks to 15 MiB, never take the server beyond 500 MiB, small requests
// are answered meanwhile, and the memory is given back.
func TestManyLargeBodies(t *testing.T) {
	if assaytest.Race {
		t.Skip("the race detector takes several times the memory: scripts/test.sh runs this without it")
	}
	t.Parallel()
	const most, kept = 500, 250 // MiB
	m, dir := registered(t)
	do(t, m, dir, 0, "serve", "check", "people:1")
	server, url := serving(t, dir, "--model", "people:1")
	var packed bytes.Buffer
	w, _ := gzip.NewWriterLevel(&packed, gzip.BestSpeed)
	_, _ = io.Copy(w, io.LimitReader(blanks{}, 15<<20))
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	peak, ended := 0, make(chan struct{})
	var watching, asking sync.WaitGroup
	watching.Go(func() {
		for {
			peak = max(peak, resident(t, server.Process.Pid))
			select {
			case <-ended:
				return
			case <-time.After(5 * time.Millisecond):
			}
		}
	})
	var read, turnedAway atomic.Int64
	for range 40 {
		asking.Go(func() {
			r, _ := http.NewRequestWithContext(t.Context(), http.MethodPost, url+"/invocations", bytes.NewReader(packed.Bytes()))
			r.Header.Set("Content-Type", "application/json")
			r.Header.Set("Content-Encoding", "gzip")
			a, err := http.DefaultClient.Do(r)
			if err != nil {
				t.Error(err)
				return
			}
			a.Body.Close()
			switch {
			case a.StatusCode == http.StatusBadRequest:
				read.Add(1)
			case a.StatusCode == http.StatusTooManyRequests && a.Header.Get("Retry-After") != "":
				turnedAway.Add(1)
			default:
				t.Errorf("a large body: %s", a.Status)
			}
		})
	}
	for range 20 {
		if status, body := asked(t, url+"/invocations", "application/json", person); status != http.StatusOK {
			t.Errorf("a small request meanwhile: %d %s", status, body)
		}
	}
	asking.Wait()
	close(ended)
	watching.Wait()
	t.Logf("%d read, %d turned away, at most %d MiB", read.Load(), turnedAway.Load(), peak)
	if peak > most {
		t.Errorf("%d MiB were held, more than %d", peak, most)
	}
	if read.Load() == 0 {
		t.Error("no large body was read")
	}
	left := 0
	for range 100 {
		if left = resident(t, server.Process.Pid); left < kept {
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
	t.Errorf("%d MiB are held ten seconds later", left)
}

// blanks never ends.
type blanks struct{}

func (blanks) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = ' '
	}
	return len(p), nil
}

// TestConnections: a connection beyond the limit is closed at once, and there is room again when one has ended.
func TestConnections(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b := &bounded{Listener: ln, most: 2}
	defer b.Close()
	accepted := make(chan net.Conn, 10)
	go func() {
		for {
			c, err := b.Accept()
			if err != nil {
				return
			}
			accepted <- c
		}
	}()
	dial := func() net.Conn {
		c, err := net.Dial("tcp", ln.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		return c
	}
	dial()
	dial()
	one := <-accepted
	<-accepted
	third := dial()
	_ = third.SetReadDeadline(time.Now().Add(10 * time.Second))
	if _, err := third.Read(make([]byte, 1)); err == nil || os.IsTimeout(err) {
		t.Errorf("the third: %v", err)
	}
	_ = one.Close()
	_ = one.Close()
	dial()
	select {
	case <-accepted:
	case <-time.After(10 * time.Second):
		t.Error("no room after one has ended")
	}
	if n := b.open.Load(); n != 2 {
		t.Errorf("%d are open", n)
	}
}
