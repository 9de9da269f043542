package oip_test

import (
	"bytes"
	"context"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/encoding/gzip"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/status"

	"github.com/assay-ml/assay/internal/oip"
	"github.com/assay-ml/assay/internal/oip/wire"
	"github.com/assay-ml/assay/internal/serve"
)

// asIs sends bytes as a message and keeps none of the answer.
type asIs struct{}

func (asIs) Marshal(v any) (mem.BufferSlice, error) {
	return mem.BufferSlice{mem.SliceBuffer(v.([]byte))}, nil
}
func (asIs) Unmarshal(mem.BufferSlice, any) error { return nil }
func (asIs) Name() string                         { return "proto" }

// sentBytes counts what a client sends.
type sentBytes struct {
	net.Conn
	n *atomic.Int64
}

func (s sentBytes) Write(p []byte) (int, error) {
	n, err := s.Conn.Write(p)
	s.n.Add(int64(n))
	return n, err
}

// dialCounted serves s over gRPC on a real socket; sent counts what the client sends.
func dialCounted(t *testing.T, s *serve.Server) (conn *grpc.ClientConn, sent *atomic.Int64) {
	t.Helper()
	address := serveGRPC(t, s)
	sent = &atomic.Int64{}
	conn, err := grpc.NewClient("passthrough:///"+address, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, address string) (net.Conn, error) {
			c, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
			return sentBytes{c, sent}, err
		}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn, sent
}

// serveGRPC serves s over gRPC and returns the address.
func serveGRPC(t *testing.T, s *serve.Server) string {
	t.Helper()
	g := (&oip.Inference{Server: s, Version: "0.1.0"}).GRPC()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- g.Serve(ln) }()
	t.Cleanup(func() {
		g.Stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return ln.Addr().String()
}

var whole = &grpc.StreamDesc{ClientStreams: true}

// begin sends a message and leaves the call open: its bytes are held until end.
func begin(t *testing.T, conn *grpc.ClientConn, message []byte) (call grpc.ClientStream, end func()) {
	t.Helper()
	ctx, end := context.WithCancel(t.Context())
	call, err := conn.NewStream(ctx, whole, wire.GRPCInferenceService_ModelInfer_FullMethodName, grpc.ForceCodecV2(asIs{}))
	if err == nil {
		err = call.SendMsg(message)
	}
	if err != nil {
		t.Fatal(err)
	}
	return call, end
}

// held waits until the bodies take n bytes.
func held(t *testing.T, s *serve.Server, holds func(int64) bool) {
	t.Helper()
	for range 1000 {
		if holds(s.BodyBytes()) {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	t.Fatalf("%d bytes are held", s.BodyBytes())
}

// rawText is a message whose one tensor has n bytes.
func rawText(n int) []byte {
	name := []byte("\x0a\x01m\x3a")
	for size := n; ; size >>= 7 {
		if size < 0x80 {
			name = append(name, byte(size))
			break
		}
		name = append(name, byte(size)|0x80)
	}
	return append(name, bytes.Repeat([]byte{' '}, n)...)
}

// TestGRPCBudget: messages take part in the memory for all bodies. A call that finds none left is told so before its message was sent,
// small calls are answered meanwhile, and the memory comes back with the end of the calls.
func TestGRPCBudget(t *testing.T) {
	const (
		limit       = 2 << 20
		unasked     = 32 << 10 // what each request has without asking
		decodedMore = 170      // a message that is decoded takes at least so much more than its bytes
	)
	s := serverWithin(t, serve.Options{MaxBodyBytes: limit})
	conn, sent := dialCounted(t, s)
	large := rawText(limit - 100)
	var ends []func()
	for i := range int64(3) {
		_, end := begin(t, conn, large)
		ends = append(ends, end)
		// It is in the server, decoded: while it was read it took a little less, while it was decoded twice as much. The next may not meet it then.
		least := (i + 1) * int64(len(large)+decodedMore-unasked)
		held(t, s, func(n int64) bool { return n >= least && n < least+limit/2 })
	}
	before := sent.Load()
	err := conn.Invoke(t.Context(), wire.GRPCInferenceService_ModelInfer_FullMethodName, large, nil, grpc.ForceCodecV2(asIs{}))
	if status.Code(err) != codes.ResourceExhausted || !strings.Contains(err.Error(), "the requests that it reads take all the memory that they may") {
		t.Errorf("a large call beyond the memory: %v", err)
	}
	if n := sent.Load() - before; n > limit/4 {
		t.Errorf("%d bytes of it were taken in", n)
	}
	if _, err := wire.NewGRPCInferenceServiceClient(conn).ModelInfer(t.Context(), message(t, twoRowsMessage)); err != nil {
		t.Errorf("a small call meanwhile: %v", err)
	}
	if n := turnedAway(t, s); n != 1 {
		t.Errorf("%v calls are counted as turned away", n)
	}
	for _, end := range ends {
		end()
	}
	held(t, s, func(n int64) bool { return n == 0 })
	if err := conn.Invoke(t.Context(), wire.GRPCInferenceService_ModelInfer_FullMethodName, large, nil, grpc.ForceCodecV2(asIs{})); status.Code(err) != codes.InvalidArgument {
		t.Errorf("a large call afterwards: %v", err)
	}
	held(t, s, func(n int64) bool { return n == 0 })
}

// turnedAway is how many calls the server counts as turned away before they were read.
func turnedAway(t *testing.T, s *serve.Server) float64 {
	t.Helper()
	r := prometheus.NewRegistry()
	r.MustRegister(s)
	all, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range all {
		if m.GetName() == "assay_unread_requests_total" {
			return m.GetMetric()[0].GetCounter().GetValue()
		}
	}
	t.Fatal("assay_unread_requests_total is not there")
	return 0
}

// TestGRPCSlow: who announces a message and does not send it holds little of the memory, and not for longer than a request may take.
func TestGRPCSlow(t *testing.T) {
	const limit, patience = 2 << 20, 300 * time.Millisecond
	s := serverWithin(t, serve.Options{MaxBodyBytes: limit, Timeout: patience})
	address := serveGRPC(t, s)
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	h := &slowClient{t: t, Conn: c, framer: http2.NewFramer(c, c)}
	h.open(1, "/inference.GRPCInferenceService/ModelInfer")
	const announced = limit - 100
	h.data(1, append([]byte{0, announced >> 24, announced >> 16 & 0xff, announced >> 8 & 0xff, announced & 0xff}, make([]byte, 16000)...))
	began := time.Now()
	for range 20 {
		if n := s.BodyBytes(); n > 64<<10 {
			t.Fatalf("%d bytes are held for a message of which 16,000 came", n)
		}
		time.Sleep(time.Millisecond)
	}
	code, text := h.status(1)
	if code != "4" || !strings.Contains(text, "the message was not there after") {
		t.Errorf("%s %s", code, text)
	}
	if took := time.Since(began); took > 20*patience {
		t.Errorf("after %v", took)
	}
	held(t, s, func(n int64) bool { return n == 0 })
}

// A slowClient speaks HTTP/2 by hand.
type slowClient struct {
	t *testing.T
	net.Conn
	framer *http2.Framer
}

func (c *slowClient) open(stream uint32, path string) {
	c.t.Helper()
	var block bytes.Buffer
	e := hpack.NewEncoder(&block)
	for _, f := range [][2]string{{":method", "POST"}, {":scheme", "http"}, {":path", path}, {":authority", "here"}, {"content-type", "application/grpc"}, {"te", "trailers"}} {
		_ = e.WriteField(hpack.HeaderField{Name: f[0], Value: f[1]})
	}
	_, err := c.Write([]byte(http2.ClientPreface))
	if err == nil {
		err = c.framer.WriteSettings()
	}
	if err == nil {
		err = c.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: block.Bytes(), EndHeaders: true})
	}
	if err != nil {
		c.t.Fatal(err)
	}
}

func (c *slowClient) data(stream uint32, b []byte) {
	c.t.Helper()
	if err := c.framer.WriteData(stream, false, b); err != nil {
		c.t.Fatal(err)
	}
}

// status waits for the answer's status.
func (c *slowClient) status(stream uint32) (code, text string) {
	c.t.Helper()
	c.framer.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	_ = c.SetReadDeadline(time.Now().Add(20 * time.Second))
	for {
		f, err := c.framer.ReadFrame()
		if err != nil {
			c.t.Fatal(err)
		}
		if m, ok := f.(*http2.MetaHeadersFrame); ok && m.StreamID == stream {
			for _, x := range m.Fields {
				switch x.Name {
				case "grpc-status":
					code = x.Value
				case "grpc-message":
					text = x.Value
				}
			}
			if code != "" {
				return code, text
			}
		}
	}
}

// unread is how many requests were refused before it was known what they are for.
func unread(t *testing.T, s *serve.Server) float64 {
	t.Helper()
	reg := prometheus.NewRegistry()
	reg.MustRegister(s)
	all, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range all {
		if m.GetName() == "assay_unread_requests_total" {
			return m.GetMetric()[0].GetCounter().GetValue()
		}
	}
	t.Fatal("nothing is counted")
	return 0
}

// TestGRPCDecoded: a message that takes a hundred times its own length when it is decoded is refused, and one that is bad in any other way
// is an error of its call alone.
func TestGRPCDecoded(t *testing.T) {
	const limit = 2 << 20
	s := serverWithin(t, serve.Options{MaxBodyBytes: limit})
	conn, _ := dialCounted(t, s)
	method := wire.GRPCInferenceService_ModelInfer_FullMethodName
	tensors := bytes.Repeat([]byte{0x2a, 0}, limit/2) // each two bytes are a tensor without anything
	for _, c := range []struct {
		name, method string
		message      []byte
		code         codes.Code
		says         string
	}{
		{"tensors", method, tensors, codes.ResourceExhausted, "bytes when it is decoded, more than the"},
		{"parameters", method, bytes.Repeat([]byte{0x22, 0}, limit/2), codes.ResourceExhausted, "bytes when it is decoded, more than the"},
		{"another method", "/inference.GRPCInferenceService/RepositoryIndex", make([]byte, limit+1), codes.ResourceExhausted, "larger than max"},
		{"too large", method, make([]byte, limit+1), codes.ResourceExhausted, "larger than max"},
		{"no message of protobuf", method, bytes.Repeat([]byte{0xff}, 4000), codes.InvalidArgument, "the message cannot be decoded"},
	} {
		for _, packed := range []bool{false, true} {
			options := []grpc.CallOption{grpc.ForceCodecV2(asIs{})}
			if packed {
				options = append(options, grpc.UseCompressor(gzip.Name))
			}
			if err := conn.Invoke(t.Context(), c.method, c.message, nil, options...); status.Code(err) != c.code || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%s: %v", c.name, err)
			}
		}
	}
	if n := unread(t, s); n != 10 {
		t.Errorf("%v are counted", n)
	}
	call, end := begin(t, conn, rawText(10))
	defer end()
	if err := call.SendMsg(rawText(10)); err != nil {
		t.Fatal(err)
	}
	if err := call.RecvMsg(nil); status.Code(err) != codes.Internal || !strings.Contains(err.Error(), "more than one message") {
		t.Errorf("two messages: %v", err)
	}
	held(t, s, func(n int64) bool { return n == 0 })
}
