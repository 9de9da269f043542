package cli

import (
	"net"
	"sync"
	"sync/atomic"
)

// maxConnections is how many connections one address has at once: twice as many as requests may wait.
const maxConnections = 2048

// A bounded listener closes a connection beyond so many at once, instead of leaving it to wait for the others to end.
type bounded struct {
	net.Listener
	most int64
	open atomic.Int64
}

func listenWithin(address string) (net.Listener, error) {
	ln, err := net.Listen("tcp", address)
	if err != nil {
		return nil, err
	}
	return &bounded{Listener: ln, most: maxConnections}, nil
}

// Accept implements net.Listener.
func (b *bounded) Accept() (net.Conn, error) {
	for {
		c, err := b.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if b.open.Add(1) <= b.most {
			return &counted{Conn: c, of: b}, nil
		}
		b.open.Add(-1)
		_ = c.Close()
	}
}

// counted is a connection of a bounded listener.
type counted struct {
	net.Conn
	of   *bounded
	once sync.Once
}

// Close implements net.Conn.
func (c *counted) Close() error {
	c.once.Do(func() { c.of.open.Add(-1) })
	return c.Conn.Close()
}
