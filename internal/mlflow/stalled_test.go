package mlflow_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/assay-ml/assay/internal/serve"
)

// ends notes how calls ended.
type ends chan string

func (e ends) Offer(c *serve.Call) bool {
	e <- fmt.Sprint(c.Outcome, " ", serve.Status(c.Err))
	return false
}

// TestStalledBody: a body that does not come is waited for as long as its caller says, else as long as the server reads; the answer says so, and
// the log says the same, and neither names an address.
func TestStalledBody(t *testing.T) {
	log := make(ends, 10)
	s, address, _ := listening(t, serve.Options{Log: log})
	for _, c := range []struct {
		header string
		least  time.Duration
		most   time.Duration
	}{
		{serve.TimeoutHeader + ": 0.1\r\n", 90 * time.Millisecond, 500 * time.Millisecond},
		{serve.TimeoutHeader + ": 100ms\r\nContent-Encoding: gzip\r\n", 90 * time.Millisecond, 500 * time.Millisecond},
		{"", 500 * time.Millisecond, 5 * time.Second},
	} {
		conn, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		if _, err := fmt.Fprintf(conn, "POST /invocations HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n%sContent-Length: 100\r\n\r\n\x1f\x8b", c.header); err != nil {
			t.Fatal(err)
		}
		a, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatal(err)
		}
		took := time.Since(began)
		body, _ := io.ReadAll(a.Body)
		if a.StatusCode != http.StatusServiceUnavailable || !strings.Contains(string(body), "took longer than it may") || strings.Contains(string(body), "127.0.0.1") {
			t.Errorf("%q: %s %s", c.header, a.Status, body)
		}
		if took < c.least || took > c.most {
			t.Errorf("%q: answered after %v", c.header, took)
		}
		if got := <-log; got != "shed 503" {
			t.Errorf("%q: the log says %s", c.header, got)
		}
		_ = conn.Close()
	}
	// A body that is there in time is answered, and the connection is there for the next one.
	for range 3 {
		if a, body := postTo(t, address, 1, serve.TimeoutHeader, "5"); a.StatusCode != http.StatusOK {
			t.Errorf("%s %s", a.Status, body)
		}
		if got := <-log; !strings.HasPrefix(got, "answered") {
			t.Error(got)
		}
	}
	// Who goes away while it sends gets no answer, and is no malformed request.
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := fmt.Fprint(conn, "POST /invocations HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{"); err != nil {
		t.Fatal(err)
	}
	_ = conn.Close()
	if got := <-log; got != "cancelled 499" {
		t.Error(got)
	}
	if n := requests(s); n["shed"] != 3 || n["cancelled"] != 1 || n["malformed"] != 0 {
		t.Error(n)
	}
}
