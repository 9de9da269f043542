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

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	gzipped "google.golang.org/grpc/encoding/gzip"
	"google.golang.org/grpc/mem"
	grpcstatus "google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protowire"

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
	peak := watchMemory(t, server.Process.Pid)
	var asking sync.WaitGroup
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
	held := peak()
	t.Logf("%d read, %d turned away, at most %d MiB", read.Load(), turnedAway.Load(), held)
	if held > most {
		t.Errorf("%d MiB were held, more than %d", held, most)
	}
	if read.Load() == 0 {
		t.Error("no large body was read")
	}
	givenBack(t, server.Process.Pid, kept)
}

// watchMemory looks at what a process holds until peak is called, which returns the most, in MiB.
func watchMemory(t *testing.T, pid int) (peak func() int) {
	most, ended := 0, make(chan struct{})
	var watching sync.WaitGroup
	watching.Go(func() {
		for {
			most = max(most, resident(t, pid))
			select {
			case <-ended:
				return
			case <-time.After(5 * time.Millisecond):
			}
		}
	})
	return func() int {
		close(ended)
		watching.Wait()
		return most
	}
}

// givenBack waits until a process holds less than kept MiB.
func givenBack(t *testing.T, pid, kept int) {
	t.Helper()
	left := 0
	for range 100 {
		if left = resident(t, pid); left < kept {
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
	t.Errorf("%d MiB are held ten seconds later", left)
}

// rawMessage sends bytes as a gRPC message, and keeps none of the answer.
type rawMessage struct{}

func (rawMessage) Marshal(v any) (mem.BufferSlice, error) {
	return mem.BufferSlice{mem.SliceBuffer(v.([]byte))}, nil
}
func (rawMessage) Unmarshal(mem.BufferSlice, any) error { return nil }
func (rawMessage) Name() string                         { return "proto" }

// TestManyLargeMessages is TestManyLargeBodies over gRPC: 120 calls at once on six connections, each with a message of 15 MiB as it is, of
// the same one compressed to nothing, or of one that is a hundred times as large when it is decoded.
func TestManyLargeMessages(t *testing.T) {
	if assaytest.Race {
		t.Skip("the race detector takes several times the memory: scripts/test.sh runs this without it")
	}
	t.Parallel()
	const most, kept, size = 500, 250, 15 << 20 // MiB, MiB, bytes
	m, dir := registered(t)
	do(t, m, dir, 0, "serve", "check", "people:1")
	server, url, address := servingBoth(t, dir, "--model", "people:1")
	text := protowire.AppendTag([]byte("\x0a\x06people"), 7, protowire.BytesType) // raw_input_contents
	text = protowire.AppendBytes(text, make([]byte, size))
	tensors := bytes.Repeat([]byte{0x2a, 0}, size/2) // each of two bytes is an input without anything
	peak := watchMemory(t, server.Process.Pid)
	var asking sync.WaitGroup
	var read, turnedAway, tooMany atomic.Int64
	for i := range 6 {
		conn, err := grpc.NewClient("passthrough:///"+address, grpc.WithTransportCredentials(insecure.NewCredentials()))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		for range 20 {
			message, options := text, []grpc.CallOption{grpc.ForceCodecV2(rawMessage{})}
			switch i % 3 {
			case 1:
				options = append(options, grpc.UseCompressor(gzipped.Name))
			case 2:
				message = tensors
			}
			asking.Go(func() {
				err := conn.Invoke(t.Context(), "/inference.GRPCInferenceService/ModelInfer", message, nil, options...)
				switch code, says := grpcstatus.Code(err), err.Error(); {
				case code == codes.InvalidArgument:
					read.Add(1)
				case code == codes.ResourceExhausted && strings.Contains(says, "take all the memory that they may"):
					turnedAway.Add(1)
				case code == codes.ResourceExhausted && strings.Contains(says, "when it is decoded"):
					tooMany.Add(1)
				default:
					t.Errorf("a large message: %v", err)
				}
			})
		}
	}
	for range 20 {
		if status, body := asked(t, url+"/invocations", "application/json", person); status != http.StatusOK {
			t.Errorf("a small request meanwhile: %d %s", status, body)
		}
	}
	asking.Wait()
	held := peak()
	t.Logf("%d read, %d turned away, %d too large when decoded, at most %d MiB", read.Load(), turnedAway.Load(), tooMany.Load(), held)
	if held > most {
		t.Errorf("%d MiB were held, more than %d", held, most)
	}
	conn, err := grpc.NewClient("passthrough:///"+address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	for name, message := range map[string][]byte{"as it is": text, "decoded": tensors} {
		want := map[string]codes.Code{"as it is": codes.InvalidArgument, "decoded": codes.ResourceExhausted}[name]
		err := conn.Invoke(t.Context(), "/inference.GRPCInferenceService/ModelInfer", message, nil, grpc.ForceCodecV2(rawMessage{}))
		if grpcstatus.Code(err) != want || strings.Contains(err.Error(), "take all the memory") {
			t.Errorf("a large message afterwards, %s: %v", name, err)
		}
	}
	givenBack(t, server.Process.Pid, kept)
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
