package mlflow_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/assay-ml/assay/internal/serve"
)

// TestSlowUploads: bodies that come slowly and take all the memory for bodies turn away the next large one, not a small one; what was only
// announced takes nothing; whoever gives up while it sends is counted as gone, and its memory is there again.
func TestSlowUploads(t *testing.T) {
	const limit = 1 << 20
	s, address, _ := listening(t, serve.Options{MaxBodyBytes: limit})
	upload := func(sent int) net.Conn {
		c, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		if _, err := fmt.Fprintf(c, "POST /invocations HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", limit, strings.Repeat(" ", sent)); err != nil {
			t.Fatal(err)
		}
		return c
	}
	large := func() *http.Response {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+address+"/invocations", strings.NewReader(strings.Repeat(" ", limit-100)+`{"dataframe_records": [{"x": 1}]}`))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/json")
		a, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer a.Body.Close()
		_, _ = io.Copy(io.Discard, a.Body)
		return a
	}
	for range 50 {
		upload(1)
	}
	if a := large(); a.StatusCode != http.StatusOK {
		t.Errorf("beside bodies that are announced: %s", a.Status)
	}
	var slow []net.Conn
	for range 4 {
		slow = append(slow, upload(limit*3/4))
	}
	eventually(t, "the bodies take their memory", func() bool { return s.BodyBytes() > 3*limit })
	if a := large(); a.StatusCode != http.StatusTooManyRequests || a.Header.Get("Retry-After") == "" {
		t.Errorf("beside bodies that take all memory: %s", a.Status)
	}
	if a, body := postTo(t, address, 1); a.StatusCode != http.StatusOK {
		t.Errorf("a small one: %s %s", a.Status, body)
	}
	for _, c := range slow {
		_ = c.Close()
	}
	eventually(t, "the memory is given back", func() bool { return s.BodyBytes() == 0 })
	if a := large(); a.StatusCode != http.StatusOK {
		t.Errorf("afterwards: %s", a.Status)
	}
	if n := requests(s)["cancelled"]; n < 4 {
		t.Errorf("%d counted as gone", n)
	}
	if n := requests(s)["shed"]; n != 1 {
		t.Errorf("%d counted as turned away", n)
	}
}

func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !is(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("in vain: %s", what)
		}
	}
}
