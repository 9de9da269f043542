package cli

import (
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// TestOneFraming: of a request that says twice how long it is nothing that follows is served, however the bytes come; chunks alone, and lengths alone,
// keep their connection.
func TestOneFraming(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	hs := &http.Server{ReadHeaderTimeout: time.Minute, ConnContext: onConnection, Handler: oneFraming(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		_, _ = io.WriteString(w, r.URL.Path+":"+string(b)+";")
	}))}
	go func() { _ = hs.Serve(framed{ln}) }()
	t.Cleanup(func() { _ = hs.Close() })
	const (
		last    = "GET /last HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
		chunked = "POST /chunks HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n"
		length  = "POST /length HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nab"
		old     = "POST /old HTTP/1.0\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n24\r\nGET /hidden HTTP/1.1\r\nHost: x\r\n\r\n\r\n0\r\n\r\n"
		both    = "POST /both HTTP/1.1\r\nHost: x\r\nCONTENT-length: 5\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n"
	)
	for _, c := range []struct{ send, want string }{
		{chunked + chunked + last, "/chunks:ab; /chunks:ab; /last:;"},
		{length + length + last, "/length:ab; /length:ab; /last:;"},
		{both + last, "/both:ab;"},
		{old + last, "/old:;"},
		{strings.Replace(old, "Transfer-Encoding: chunked", "Content-Length: 2", 1) + last, "/old:24;"},
		{strings.Replace(both, "CONTENT-length: 5\r\nTransfer-Encoding: chunked", "Transfer-Encoding: chunked\r\nX-A: ccontent-lc\r\ncontent-Length: 5", 1) + last, "/both:ab;"},
	} {
		for _, step := range []int{1, 7, len(c.send)} {
			conn, err := net.Dial("tcp", ln.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			go func() {
				for at := 0; at < len(c.send); at += step {
					if _, err := io.WriteString(conn, c.send[at:min(at+step, len(c.send))]); err != nil {
						return // the server has closed it
					}
				}
			}()
			answer, _ := io.ReadAll(conn)
			_ = conn.Close()
			var got []string
			for part := range strings.SplitSeq(string(answer), "\r\n\r\n") {
				if path, _, ok := strings.Cut(part, ";"); ok && strings.HasPrefix(path, "/") {
					got = append(got, path+";")
				}
			}
			if strings.Join(got, " ") != c.want {
				t.Errorf("%q in steps of %d: %q, want %q", c.send, step, answer, c.want)
			}
		}
	}
}
