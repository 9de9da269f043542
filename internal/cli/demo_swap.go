package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/assay-ml/assay"
)

const (
	demoClients = 4                      // that send requests while versions change
	demoRows    = 500                    // different rows that they send, one a request
	demoQuiet   = 500 * time.Millisecond // without an answer by a version: it is gone
)

// A demoLoad is clients that send one request after the other until they are stopped.
type demoLoad struct {
	stop chan struct{}
	done sync.WaitGroup
	mu   sync.Mutex
	sent int
	by   map[string]int       // answers by version
	last map[string]time.Time // the last of them
	bad  []string             // what was not answered
}

// load starts the clients.
func (d *demoRun) load(ctx context.Context) error {
	x, err := d.live(ctx)
	if err != nil {
		return err
	}
	bodies := make([][]byte, 0, demoRows)
	for i := range demoRows {
		b, err := json.Marshal(map[string]any{"dataframe_records": []map[string]any{record(x, i)}})
		if err != nil {
			return assay.Errorf(assay.Internal, "a request cannot be written: %w", err)
		}
		bodies = append(bodies, b)
	}
	l := &demoLoad{stop: make(chan struct{}), by: map[string]int{}, last: map[string]time.Time{}}
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: demoClients}}
	for k := range demoClients {
		l.done.Add(1)
		go func() {
			defer l.done.Done()
			for i := k; ; i += demoClients {
				select {
				case <-l.stop:
					return
				case <-ctx.Done():
					return
				default:
				}
				a, err := askWith(ctx, client, d.server.url, "", bodies[i%len(bodies)])
				l.note(d.Now(), a, err)
			}
		}()
	}
	d.clients = l
	return d.answersFrom(ctx, demoLive)
}

func (l *demoLoad) note(at time.Time, a demoAnswer, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sent++
	switch {
	case err != nil:
		l.bad = append(l.bad, err.Error())
	case a.code != http.StatusOK:
		l.bad = append(l.bad, strconv.Itoa(a.code)+" "+a.message)
	default:
		l.by[a.version]++
		l.last[a.version] = at
	}
}

// answersFrom waits until only that version has answered for a while, and says how long after the last command another one did.
func (d *demoRun) answersFrom(ctx context.Context, version string) error {
	l := d.clients
	deadline := d.Now().Add(demoWait)
	for {
		l.mu.Lock()
		now := d.Now()
		seen, other := l.last[version], time.Time{}
		for v, at := range l.last {
			if v != version && at.After(other) {
				other = at
			}
		}
		l.mu.Unlock()
		if seen.After(other) && now.Sub(other) > demoQuiet && now.Sub(seen) < demoQuiet {
			if !other.IsZero() {
				fmt.Fprintf(d.out, "all requests are answered by version %s from %d ms after the command\n", version, max(0, other.Sub(d.ended).Milliseconds()))
			}
			return nil
		}
		if now.After(deadline) {
			return assay.Errorf(assay.Internal, "version %s does not answer %v after the command", version, demoWait)
		}
		select {
		case <-time.After(10 * time.Millisecond):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// unload stops the clients and says what became of their requests.
func (d *demoRun) unload(context.Context) error {
	l := d.clients
	close(l.stop)
	l.done.Wait()
	d.clients = nil
	fmt.Fprintf(d.out, "%s requests of %d clients since the promotion: %s answered by version %s, %s by version %s, %d failed\n", assay.FormatCount(int64(l.sent)), demoClients,
		assay.FormatCount(int64(l.by[demoLive])), demoLive, assay.FormatCount(int64(l.by[demoNext])), demoNext, len(l.bad))
	if len(l.bad) > 0 || l.by[demoNext] == 0 || l.by[demoLive]+l.by[demoNext] != l.sent {
		return assay.Errorf(assay.Internal, "answers by version %v; failed: %q", l.by, l.bad)
	}
	return nil
}
