package cli

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/table"
)

// A demoRun is what the steps of the demo share beside the folder: the receiver of alerts and the server of predictions.
type demoRun struct {
	*app
	dir      string
	out      io.Writer
	receiver *demoReceiver
	server   *demoServer
	rows     assay.Frame // that live read
	clients  *demoLoad
	ended    time.Time     // of the last command
	ahead    time.Duration // of the clock of all commands
}

// Variables of the environment that the demo's assay.yaml names: where its alerts go, and the key that signs them.
const (
	demoOncall = "ASSAY_DEMO_ONCALL"
	demoLead   = "ASSAY_DEMO_LEAD"
	demoKey    = "ASSAY_DEMO_KEY"
)

// environment answers the demo's own variables and passes on all others.
func (d *demoRun) environment(name string) string {
	switch name {
	case demoOncall, demoLead:
		if d.receiver == nil {
			return ""
		}
		return d.receiver.url + "/" + strings.ToLower(strings.TrimPrefix(name, "ASSAY_DEMO_"))
	case demoKey:
		return "the-demo-signs-with-this"
	}
	return d.Env(name)
}

func (d *demoRun) close() {
	if d.clients != nil {
		close(d.clients.stop)
		d.clients.done.Wait()
	}
	if d.server != nil {
		d.server.stop()
	}
	if d.receiver != nil {
		d.receiver.http.Close()
	}
}

// A demoReceiver stands for the people who are told: it keeps what is posted to it.
type demoReceiver struct {
	url      string
	http     *http.Server
	mu       sync.Mutex
	messages []string // path and size
}

func (d *demoRun) receive(context.Context) error {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return assay.Errorf(assay.Unavailable, "the demo's receiver cannot listen: %w", err)
	}
	r := &demoReceiver{url: "http://" + ln.Addr().String()}
	r.http = &http.Server{ReadHeaderTimeout: headerTimeout, Handler: http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		b, err := io.ReadAll(io.LimitReader(q.Body, 1<<20))
		if err != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		r.mu.Lock()
		r.messages = append(r.messages, fmt.Sprintf("%s: %d bytes", strings.TrimPrefix(q.URL.Path, "/"), len(b)))
		r.mu.Unlock()
		w.WriteHeader(http.StatusOK)
	})}
	go func() { _ = r.http.Serve(ln) }()
	d.receiver = r
	return nil
}

// told prints what the receiver got since it was asked last.
func (d *demoRun) told(context.Context) error {
	d.receiver.mu.Lock()
	defer d.receiver.mu.Unlock()
	if len(d.receiver.messages) == 0 {
		return assay.Errorf(assay.Internal, "nobody was told")
	}
	count := map[string]int{}
	for _, m := range d.receiver.messages {
		to, _, _ := strings.Cut(m, ":")
		count[to]++
	}
	for _, to := range []string{"oncall", "lead"} {
		if count[to] > 0 {
			fmt.Fprintf(d.out, "%s received %d message(s)\n", to, count[to])
		}
	}
	d.receiver.messages = nil
	return nil
}

// half sets the clock forward by what the alert waits for somebody to take it over, and a minute.
func (d *demoRun) half(context.Context) error {
	d.ahead = 31 * time.Minute
	return nil
}

// escalated prints what the receiver got, the lead among it.
func (d *demoRun) escalated(ctx context.Context) error {
	d.receiver.mu.Lock()
	lead := slices.ContainsFunc(d.receiver.messages, func(m string) bool { return strings.HasPrefix(m, "lead:") })
	d.receiver.mu.Unlock()
	if !lead {
		return assay.Errorf(assay.Internal, "the lead was not told")
	}
	return d.told(ctx)
}

// acknowledge takes over what fires.
func (d *demoRun) acknowledge(ctx context.Context) error {
	w := d.World
	w.Dir, w.Env, w.Stdout, w.Stderr = d.dir, d.environment, io.Discard, io.Discard
	s, err := (&app{World: w}).open(ctx, "demo")
	if err != nil {
		return err
	}
	all, err := s.watchedVersions(ctx)
	s.Close()
	if err != nil {
		return err
	}
	for _, v := range all {
		for _, c := range v.cases {
			if c.Open() && c.Incident.State == assay.AlertFiring {
				st := demoStep{args: []string{"alert", "ack", c.Incident.Key, "--by", "lead", "--reason", "looking at what changed since 2015"}}
				fmt.Fprintf(d.out, "$ assay %s\n", shellLine(st.args))
				return d.step(ctx, st)
			}
		}
	}
	return assay.Errorf(assay.Internal, "nothing fires")
}

// A demoServer is assay serve on a port of this machine.
type demoServer struct {
	url    string
	cancel context.CancelFunc
	done   chan error
}

func (s *demoServer) stop() {
	if s.cancel == nil {
		return
	}
	s.cancel()
	<-s.done
	s.cancel = nil
}

// serve starts the server and waits until it says where it is.
func (d *demoRun) serve(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	said, say := io.Pipe()
	w := d.World
	w.Dir, w.Stdout, w.Stderr, w.Env = d.dir, io.Discard, say, d.environment
	child := &app{World: w}
	root := child.root()
	root.SetArgs([]string{"serve", "--listen", "127.0.0.1:0"})
	s := &demoServer{cancel: cancel, done: make(chan error, 1)}
	go func() {
		err := root.ExecuteContext(ctx)
		say.CloseWithError(io.EOF)
		s.done <- err
	}()
	lines := bufio.NewScanner(said)
	for s.url == "" && lines.Scan() {
		if _, url, ok := strings.Cut(lines.Text(), " on http://"); ok {
			s.url = "http://" + strings.Fields(url)[0] // what follows is the address of the other protocols
		}
	}
	go func() { _, _ = io.Copy(io.Discard, said) }()
	if s.url == "" {
		cancel()
		return fmt.Errorf("assay serve: %w", <-s.done)
	}
	d.server = s
	return nil
}

func (d *demoRun) unserve(context.Context) error {
	d.server.stop()
	return nil
}

// live are the rows of the three years after, in the order of their files.
func (d *demoRun) live(ctx context.Context) (assay.Frame, error) {
	if d.rows != nil {
		return d.rows, nil
	}
	e, err := table.Open(ctx, table.Options{})
	if err != nil {
		return nil, err
	}
	defer e.Close()
	t, err := e.Read(ctx, filepath.Join(d.dir, "live_*.parquet"), table.ReadOptions{})
	if err != nil {
		return nil, err
	}
	var names []string
	for _, f := range t.Fields() {
		names = append(names, f.Name)
	}
	d.rows, err = t.Frame(ctx, names, "")
	return d.rows, err
}

// demoBatch is how many rows a request of the demo has.
const demoBatch = 500

// traffic sends the rows of the three years after as requests and says what became of them.
func (d *demoRun) traffic(ctx context.Context) error {
	x, err := d.live(ctx)
	if err != nil {
		return err
	}
	began := d.Now()
	status := map[int]int{}
	rows := x.Rows()
	for from := 0; from < rows; from += demoBatch {
		batch := make([]map[string]any, 0, demoBatch)
		for i := from; i < min(from+demoBatch, rows); i++ {
			batch = append(batch, record(x, i))
		}
		for len(batch) > 0 {
			a, err := d.ask(ctx, "", batch)
			if err != nil {
				return err
			}
			if a.code == http.StatusOK {
				status[a.code] += len(batch)
				break
			}
			// One row that does not fit refuses its request, and is named: the others are sent again without it.
			named := namedRows(a.message)
			if a.code != http.StatusBadRequest || len(named) == 0 {
				return assay.Errorf(assay.Internal, "a request was answered with status %d: %s", a.code, a.message)
			}
			kept := batch[:0]
			for i, row := range batch {
				if !named[i] {
					kept = append(kept, row)
				}
			}
			status[a.code] += len(batch) - len(kept)
			batch = kept
		}
	}
	fmt.Fprintf(d.out, "%s rows in %.1f s: %s answered, %s refused because a value does not fit the schema\n", assay.FormatCount(int64(rows)), d.Now().Sub(began).Seconds(),
		assay.FormatCount(int64(status[http.StatusOK])), assay.FormatCount(int64(status[http.StatusBadRequest])))
	if status[http.StatusOK]+status[http.StatusBadRequest] != rows {
		return assay.Errorf(assay.Internal, "of %d rows, answers by status: %v", rows, status)
	}
	return nil
}

// namedRows are the rows that an error names.
func namedRows(message string) map[int]bool {
	out := map[int]bool{}
	for _, m := range rowNumber.FindAllStringSubmatch(message, -1) {
		n, err := strconv.Atoi(m[1])
		if err == nil {
			out[n] = true
		}
	}
	return out
}

var rowNumber = regexp.MustCompile(`row (\d+):`)
