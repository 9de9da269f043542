package cli

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"time"
)

// A docServer is an `assay serve … &` of a page, run in this process on ports of its own, which the page sees as 8400 and 8401.
type docServer struct {
	lock   sync.Mutex
	said   bytes.Buffer
	stop   context.CancelFunc
	ended  chan struct{}
	http   string
	hidden *strings.Replacer // what the page shows for what is real
}

// Write takes what the server says.
func (d *docServer) Write(b []byte) (int, error) {
	d.lock.Lock()
	defer d.lock.Unlock()
	return d.said.Write(b)
}

func (d *docServer) text() string {
	d.lock.Lock()
	defer d.lock.Unlock()
	return d.said.String()
}

var listening = regexp.MustCompile(`on http://(\S+) and grpc://(\S+)\n`)

// startServer runs the server until it says where it listens, and returns what it said.
func startServer(m *stageManager, dir string, args []string) (*docServer, string, error) {
	ctx, stop := context.WithCancel(context.Background())
	d := &docServer{stop: stop, ended: make(chan struct{})}
	args = append(args, "--listen", "127.0.0.1:0")
	go func() {
		defer close(d.ended)
		Main(ctx, args, m.world(dir, func(k string) string { return m.env[k] }, strings.NewReader(""), io.Discard, d))
	}()
	for deadline := time.After(time.Minute); ; {
		if found := listening.FindStringSubmatch(d.text()); found != nil {
			d.http = found[1]
			d.hidden = strings.NewReplacer(found[1], "127.0.0.1:8400", found[2], "127.0.0.1:8401")
			return d, d.hidden.Replace(d.text()), nil
		}
		select {
		case <-d.ended:
			return nil, "", fmt.Errorf("the server ended: %s", d.text())
		case <-deadline:
			d.close()
			return nil, "", fmt.Errorf("the server does not listen: %s", d.text())
		case <-time.After(10 * time.Millisecond):
		}
	}
}

func (d *docServer) close() {
	d.stop()
	<-d.ended
}

// curl does what the page's curl would do, of which it knows -s, -H and -d, and returns the body of the answer.
func (d *docServer) curl(args []string) (string, error) {
	var url, body string
	header := http.Header{}
	method := http.MethodGet
	for i := 0; i < len(args); i++ {
		switch a := args[i]; {
		case a == "-s":
		case (a == "-H" || a == "-d") && i+1 < len(args):
			i++
			if a == "-d" {
				method, body = http.MethodPost, args[i]
				continue
			}
			key, value, _ := strings.Cut(args[i], ":")
			header.Set(key, strings.TrimSpace(value))
		case strings.HasPrefix(a, "-") || url != "":
			return "", fmt.Errorf("curl %s is more than the pages' curl knows", a)
		default:
			url = a
		}
	}
	path, ok := strings.CutPrefix(strings.TrimPrefix(url, "http://"), "127.0.0.1:8400")
	if !ok {
		return "", fmt.Errorf("%s is not the server of the page", url)
	}
	r, err := http.NewRequestWithContext(context.Background(), method, "http://"+d.http+path, strings.NewReader(body))
	if err != nil {
		return "", err
	}
	r.Header = header
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return "", err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	return d.hidden.Replace(string(text)), err
}
