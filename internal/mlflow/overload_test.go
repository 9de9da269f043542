package mlflow_test

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/assay-ml/assay/internal/schema"
	"github.com/assay-ml/assay/internal/serve"
)

// slow is an engine that takes its time.
type slow time.Duration

func (d slow) Predict(_ context.Context, rows *schema.Batch, out *serve.Output) error {
	time.Sleep(time.Duration(d))
	for range rows.Rows() {
		out.Values = append(out.Values, 1)
	}
	return nil
}
func (slow) Close() error { return nil }

// TestOverload asks over 64 connections for more than a server can do: it answers as much as it can, nobody waits for longer than the
// queue is long or than MaxWait says, and everybody else is told at once to come back. Did all of them wait, an answer would take 1.3 s.
func TestOverload(t *testing.T) {
	const connections, each, lasts = 64, 20 * time.Millisecond, 1500 * time.Millisecond
	const slack = 600 * time.Millisecond // of a busy machine
	for name, x := range map[string]struct {
		o    serve.Options
		wait time.Duration // in the queue, at most
	}{
		"a short queue": {serve.Options{Concurrent: 1, MaxQueue: 4}, 5 * each},
		"a long queue":  {serve.Options{Concurrent: 1, MaxWait: 5 * each}, 5 * each},
	} {
		t.Run(name, func(t *testing.T) {
			s, address := listeningTo(t, x.o, slow(each))
			var all []*asker
			for range connections {
				all = append(all, dial(t, address, "/invocations", []byte(`{"dataframe_records": [{"x": 1}]}`)))
			}
			l := ask(t, all, lasts)
			answered, refused := l.took[http.StatusOK], l.took[http.StatusTooManyRequests]
			t.Logf("%d answered, p99 %v; %d turned away, p99 %v", len(answered), at(answered, .99), len(refused), at(refused, .99))
			if len(l.took) != 2 || l.rude > 0 {
				t.Errorf("statuses other than 200 and 429, or %d refusals without Retry-After: %d kinds", l.rude, len(l.took))
			}
			if could := int(l.elapsed/each) * x.o.Concurrent; len(answered) < could/5 || len(answered) > could+connections {
				t.Errorf("%d answered, where %d could be", len(answered), could)
			}
			if p99 := at(answered, .99); p99 > x.wait+each+slack {
				t.Errorf("99 of 100 answers came within %v, which is more than %v in the queue, %v in the model and %v", p99, x.wait, each, slack)
			}
			if p99 := at(refused, .99); p99 > x.o.MaxWait+slack {
				t.Errorf("99 of 100 refusals came within %v, more than %v after MaxWait", p99, slack)
			}
			if got := requests(s); got["answered"] != int64(len(answered)) || got["shed"] != int64(len(refused)) || s.Waiting() != 0 {
				t.Errorf("counted %v, and %d still wait; seen %d and %d", got, s.Waiting(), len(answered), len(refused))
			}
		})
	}
}
