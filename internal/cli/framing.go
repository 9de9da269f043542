package cli

import (
	"context"
	"net"
	"net/http"
	"sync/atomic"
)

// A framed listener's connections note whether anybody has spoken of Content-Length on them. net/http takes that header away from a request that
// has a Transfer-Encoding as well, so that no handler sees both; and where a proxy in front believes the one and this server the other, what the
// body holds would be served as a request of somebody else's.
type framed struct{ net.Listener }

// Accept implements net.Listener.
func (f framed) Accept() (net.Conn, error) {
	c, err := f.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &sized{Conn: c}, nil
}

// sized is a connection of a framed listener.
type sized struct {
	net.Conn
	at   int // bytes of contentLength that were read last
	seen atomic.Bool
}

const contentLength = "content-length"

// Read implements net.Conn.
func (s *sized) Read(p []byte) (int, error) {
	n, err := s.Conn.Read(p)
	if s.seen.Load() {
		return n, err
	}
	for _, c := range p[:n] {
		if c >= 'A' && c <= 'Z' {
			c |= 0x20
		}
		switch {
		case c == contentLength[s.at]:
			s.at++
		case c == contentLength[0]: // which is nowhere else in it
			s.at = 1
		default:
			s.at = 0
		}
		if s.at == len(contentLength) {
			s.seen.Store(true)
			break
		}
	}
	return n, err
}

type sizedKey struct{}

// onConnection lets the requests of a connection find it.
func onConnection(ctx context.Context, c net.Conn) context.Context {
	return context.WithValue(ctx, sizedKey{}, c)
}

// oneFraming ends the connection of a request with a Transfer-Encoding after it is answered where Content-Length was spoken of as well, as RFC 9112
// asks for (section 6.1): nothing that follows is served. Who always sends the one or the other keeps his connection. One of HTTP/1.0 ends with each
// request: that protocol has no chunks, and net/http takes a Transfer-Encoding away from it unseen, so that nobody can tell where its body ends.
func oneFraming(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !r.ProtoAtLeast(1, 1) {
			w.Header().Set("Connection", "close")
		}
		if len(r.TransferEncoding) > 0 {
			if c, ok := r.Context().Value(sizedKey{}).(*sized); ok && c.seen.Load() {
				w.Header().Set("Connection", "close")
			}
		}
		h.ServeHTTP(w, r)
	})
}
