package mlflow_test

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/mlflow"
	"github.com/assay-ml/assay/internal/schema"
	"github.com/assay-ml/assay/internal/serve"
)

// patient is an engine that evaluates for as long as its context lets it, when it is told to wait.
type patient struct{ wait chan struct{} }

func (p *patient) Predict(ctx context.Context, rows *schema.Batch, out *serve.Output) error {
	if rows.Float(0, 0) == 99 {
		select {
		case <-p.wait:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	for range rows.Rows() {
		out.Values = append(out.Values, 1)
	}
	return nil
}
func (p *patient) Close() error { return nil }

// listening serves a patient engine.
func listening(t *testing.T, o serve.Options) (s *serve.Server, address string, e *patient) {
	t.Helper()
	e = &patient{wait: make(chan struct{})}
	s, address = listeningTo(t, o, e)
	return s, address, e
}

// listeningTo serves a regression on a real listener with the limits of a connection.
func listeningTo(t *testing.T, o serve.Options, e serve.Engine) (s *serve.Server, address string) {
	t.Helper()
	o.Clock, o.Nonce = time.Now, "test"
	s = serve.New(o)
	in := schema.New("in")
	in.Columns = []schema.Column{{Name: "x", Type: assay.TypeNumber}}
	b, err := s.Bind(serve.Binding{Name: "m", Number: 1, Task: assay.Regression, Input: in, Output: serve.OutputSchema("out", nil, false), Engine: e})
	if err != nil {
		t.Fatal(err)
	}
	s.Set("m", b, b)
	s.SetReady(true)
	mux := http.NewServeMux()
	(&mlflow.Scoring{Server: s}).Routes(mux)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	hs := &http.Server{Handler: mux, ReadHeaderTimeout: 300 * time.Millisecond, ReadTimeout: 600 * time.Millisecond}
	go func() { _ = hs.Serve(ln) }()
	t.Cleanup(func() { _ = hs.Close() })
	return s, ln.Addr().String()
}

func postTo(t *testing.T, address string, x int, header ...string) (*http.Response, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+address+"/invocations", strings.NewReader(fmt.Sprintf(`{"dataframe_records": [{"x": %d}]}`, x)))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	a, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Body.Close()
	body, _ := io.ReadAll(a.Body)
	return a, string(body)
}

func requests(s *serve.Server) map[string]int64 { return s.Tallies()[0].Requests }

// TestTimeLimit: the caller's limit ends an evaluation that takes longer, with 503 and Retry-After; nonsense is no limit.
func TestTimeLimit(t *testing.T) {
	s, address, _ := listening(t, serve.Options{})
	for _, limit := range []string{"0.05", "50ms"} {
		began := time.Now()
		a, body := postTo(t, address, 99, serve.TimeoutHeader, limit)
		if a.StatusCode != http.StatusServiceUnavailable || a.Header.Get("Retry-After") != "1" || !strings.Contains(body, "took longer than it may") {
			t.Errorf("%s: %s, Retry-After %q, %s", limit, a.Status, a.Header.Get("Retry-After"), body)
		}
		if took := time.Since(began); took > 5*time.Second {
			t.Errorf("%s: answered after %v", limit, took)
		}
	}
	for _, limit := range []string{"soon", "-1", ""} {
		if a, body := postTo(t, address, 1, serve.TimeoutHeader, limit); a.StatusCode != http.StatusOK {
			t.Errorf("%q: %s %s", limit, a.Status, body)
		}
	}
	if n := requests(s)["shed"]; n != 2 {
		t.Errorf("%d requests were shed", n)
	}
}

// TestBusy: what finds neither a turn nor a place in the queue is turned away at once with 429, and a turn that ends lets the next in.
func TestBusy(t *testing.T) {
	s, address, e := listening(t, serve.Options{Concurrent: 1, MaxQueue: 1})
	var wg sync.WaitGroup
	for range 2 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			if a, body := postTo(t, address, 99); a.StatusCode != http.StatusOK {
				t.Errorf("%s %s", a.Status, body)
			}
		}()
	}
	for s.Waiting() == 0 {
		time.Sleep(time.Millisecond)
	}
	a, body := postTo(t, address, 1)
	if a.StatusCode != http.StatusTooManyRequests || a.Header.Get("Retry-After") != "1" || !strings.Contains(body, "too many requests wait") {
		t.Errorf("%s, Retry-After %q, %s", a.Status, a.Header.Get("Retry-After"), body)
	}
	close(e.wait)
	wg.Wait()
	if n := requests(s); n["answered"] != 2 || n["shed"] != 1 {
		t.Errorf("counted %v", n)
	}
}

// TestClientGoesAway: a request whose client is gone stops being evaluated, and is counted as such.
func TestClientGoesAway(t *testing.T) {
	s, address, _ := listening(t, serve.Options{})
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	body := `{"dataframe_records": [{"x": 99}]}`
	fmt.Fprintf(c, "POST /invocations HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
	time.Sleep(50 * time.Millisecond)
	_ = c.Close()
	for began := time.Now(); requests(s)["cancelled"] == 0; time.Sleep(time.Millisecond) {
		if time.Since(began) > 20*time.Second {
			t.Fatalf("counted %v", requests(s))
		}
	}
	// Half a body is no request to answer either.
	if c, err = net.Dial("tcp", address); err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(c, "POST /invocations HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n%s", body)
	_ = c.Close()
	for began := time.Now(); requests(s)["cancelled"]+requests(s)["malformed"] < 2; time.Sleep(time.Millisecond) {
		if time.Since(began) > 20*time.Second {
			t.Fatalf("counted %v", requests(s))
		}
	}
}

// TestSlowClients: connections that send a byte at a time are ended by the limits, and hold no turn meanwhile.
func TestSlowClients(t *testing.T) {
	_, address, _ := listening(t, serve.Options{Concurrent: 1, MaxQueue: 1})
	var slow []net.Conn
	for i := range 40 {
		c, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		head := "POST /invocations HTTP/1.1\r\nHost: x\r\n"
		if i%2 == 0 {
			head += "Content-Type: application/json\r\nContent-Length: 100000\r\n\r\n{"
		}
		fmt.Fprint(c, head)
		slow = append(slow, c)
	}
	if a, body := postTo(t, address, 1); a.StatusCode != http.StatusOK {
		t.Errorf("beside slow clients: %s %s", a.Status, body)
	}
	for i, c := range slow {
		_ = c.SetReadDeadline(time.Now().Add(20 * time.Second))
		answer, err := io.ReadAll(bufio.NewReader(c))
		if err, ok := err.(net.Error); ok && err.Timeout() {
			t.Fatalf("connection %d is still open", i)
		}
		if strings.Contains(string(answer), "200 OK") {
			t.Errorf("connection %d was answered: %s", i, answer)
		}
	}
}

// TestBombs: a small body that unpacks to far more than the limit is refused without being unpacked.
func TestBombs(t *testing.T) {
	s, address, _ := listening(t, serve.Options{MaxBodyBytes: 1 << 16})
	const size = 16 << 20
	for encoding, pack := range map[string]func(io.Writer) io.WriteCloser{
		"gzip":    func(w io.Writer) io.WriteCloser { return gzip.NewWriter(w) },
		"deflate": func(w io.Writer) io.WriteCloser { return zlib.NewWriter(w) },
	} {
		var body bytes.Buffer
		w := pack(&body)
		spaces := bytes.Repeat([]byte(" "), 1<<20)
		for range size / len(spaces) {
			if _, err := w.Write(spaces); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+address+"/invocations", bytes.NewReader(body.Bytes()))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Content-Encoding", encoding)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		a, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		a.Body.Close()
		runtime.ReadMemStats(&after)
		if a.StatusCode != http.StatusRequestEntityTooLarge {
			t.Errorf("%s: %s", encoding, a.Status)
		}
		if grown := after.TotalAlloc - before.TotalAlloc; grown > 2<<20 {
			t.Errorf("%s: %d bytes were allocated for a body of at most %d", encoding, grown, 1<<16)
		}
	}
	if got := requests(s)["malformed"]; got != 2 {
		t.Errorf("%d counted as malformed", got)
	}
	if a, body := postTo(t, address, 1); a.StatusCode != http.StatusOK {
		t.Errorf("afterwards: %s %s", a.Status, body)
	}
}
