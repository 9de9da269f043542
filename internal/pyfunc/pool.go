// Package pyfunc runs models that only Python can load, MLflow's python_function, in supervised worker processes.
//
// A Pool has a few workers, each a Python process with a private environment (Environment) and no more of this process's environment
// variables than were declared. Requests that wait are answered together (micro-batches). A worker that dies, hangs, grows beyond its
// memory or sends what is no answer is killed with all its processes and started again, later each time; only the requests that it had are
// lost, as Unavailable. Nothing of a worker outlives the pool, nor this process, even when that is killed.
//
// The package does not say what an answer means beyond Interpret, checks no schema, and is not a sandbox: a model's code runs with the
// rights of this process.
package pyfunc

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/assay-ml/assay"
)

// Defaults of Options.
const (
	DefaultWorkers      = 2
	DefaultBatchRows    = 1024
	DefaultTimeout      = 30 * time.Second
	DefaultStartTimeout = 120 * time.Second
	DefaultMemoryBytes  = 2 << 30
	firstBackOff        = 100 * time.Millisecond
	lastBackOff         = 30 * time.Second
	healthyAfter        = time.Minute // a worker that lived as long starts again at once
	queueLength         = 4096
)

// Options say what to run and within which limits.
type Options struct {
	Python       string   // the interpreter; required
	Dir          string   // of the model; required
	Own          bool     // Dir is removed with the pool
	Columns      []Column // what a request has, in this order; required
	Tensor       bool     // the model takes an array, not a table
	Workers      int
	BatchRows    int           // a worker gets no more rows at once, but for a request that has more
	BatchWait    time.Duration // how long a request waits for others; 0: only those that wait already go together
	Timeout      time.Duration // a worker that takes longer for a batch is killed
	StartTimeout time.Duration // to load the model
	MemoryBytes  int64         // a worker whose processes hold more is killed
	Env          []string      // NAME=VALUE that workers get beside what Python itself needs
	Clock        func() time.Time
	Say          func(format string, args ...any) // tells the operator of workers that ended; nil: nobody
}

// A Pool answers requests by its workers. It is safe for use by several goroutines.
type Pool struct {
	o      Options
	jobs   chan *job
	stop   chan struct{}
	ended  sync.WaitGroup
	up     atomic.Int64
	closed sync.Once
	ids    atomic.Uint64
	first  chan error // of the first start of each worker
	last   atomic.Pointer[string]

	requests, batches, restarts, lost, failed atomic.Int64
}

// A job is one request on its way.
type job struct {
	ctx     context.Context
	rows    int
	params  []byte
	columns [][]byte
	done    chan result // of length 1
}

type result struct {
	answer *Answer
	err    error
}

// Start starts the workers and returns when all of them have loaded the model. Errors are Unavailable, with what Python said of why.
func Start(ctx context.Context, o Options) (*Pool, error) {
	if o.Clock == nil || len(o.Columns) == 0 {
		panic("BUG: pyfunc.Start without a clock or columns")
	}
	def := func(v *int, d int) {
		if *v <= 0 {
			*v = d
		}
	}
	def(&o.Workers, DefaultWorkers)
	def(&o.BatchRows, DefaultBatchRows)
	if o.Timeout <= 0 {
		o.Timeout = DefaultTimeout
	}
	if o.StartTimeout <= 0 {
		o.StartTimeout = DefaultStartTimeout
	}
	if o.MemoryBytes <= 0 {
		o.MemoryBytes = DefaultMemoryBytes
	}
	if o.Say == nil {
		o.Say = func(string, ...any) {}
	}
	p := &Pool{o: o, jobs: make(chan *job, queueLength), stop: make(chan struct{}), first: make(chan error, o.Workers)}
	for range o.Workers {
		p.ended.Go(p.slot)
	}
	for range o.Workers {
		var err error
		select {
		case err = <-p.first:
		case <-ctx.Done():
			err = assay.Errorf(assay.Unavailable, "the Python workers had not started yet: %w", ctx.Err())
		}
		if err != nil {
			p.Close()
			return nil, err
		}
	}
	return p, nil
}

// Close ends the workers. Requests that wait are Unavailable.
func (p *Pool) Close() error {
	p.closed.Do(func() { close(p.stop) })
	p.ended.Wait()
	if p.o.Own {
		return os.RemoveAll(p.o.Dir)
	}
	return nil
}

// Predict asks the model about rows; column i of the options is field fields[i] of the rows. params is a JSON object of parameters of the
// prediction, or nil for none; a request with parameters goes to a worker with none that has others. Errors are Rejected for a value that its
// column cannot hold, Unavailable when the worker was lost, there is none or the time is over, Internal when the model failed.
func (p *Pool) Predict(ctx context.Context, x Rows, fields []int, params []byte) (*Answer, error) {
	j := &job{ctx: ctx, rows: x.Rows(), columns: make([][]byte, len(p.o.Columns)), done: make(chan result, 1)}
	j.params = bytes.Clone(params) // the caller may be gone before they are sent
	for i, c := range p.o.Columns {
		var err error
		if j.columns[i], err = encode(nil, c, x, fields[i]); err != nil {
			return nil, err
		}
	}
	p.requests.Add(1)
	if p.up.Load() == 0 {
		p.lost.Add(1)
		return nil, p.none()
	}
	select {
	case p.jobs <- j:
	default:
		p.lost.Add(1)
		return nil, assay.Errorf(assay.Unavailable, "%d requests wait for the Python workers already", queueLength)
	}
	select {
	case r := <-j.done:
		return r.answer, r.err
	case <-ctx.Done():
		return nil, assay.Errorf(assay.Unavailable, "the model took too long: %w", ctx.Err())
	case <-p.stop:
		return nil, assay.Errorf(assay.Unavailable, "the Python workers are ending")
	}
}

// none is the error where no worker is up.
func (p *Pool) none() error {
	why := ""
	if last := p.last.Load(); last != nil {
		why = ": " + *last
	}
	return assay.Errorf(assay.Unavailable, "no Python worker is up%s", why)
}

// slot keeps one worker running.
func (p *Pool) slot() {
	wait := firstBackOff
	for started := false; ; {
		began := p.o.Clock()
		w, err := p.launch()
		if err == nil {
			p.up.Add(1) // before anybody may ask
		}
		if !started {
			started = true
			p.first <- err
			if err != nil {
				return
			}
		}
		if err == nil {
			err = p.work(w)
			p.up.Add(-1)
			w.end()
		}
		if p.stopped() {
			return
		}
		text := err.Error()
		p.last.Store(&text)
		p.restarts.Add(1)
		p.o.Say("a Python worker ended and is started again: %s", text)
		if p.up.Load() == 0 {
			p.drain()
		}
		if p.o.Clock().Sub(began) >= healthyAfter {
			wait = firstBackOff
		}
		select {
		case <-time.After(wait):
		case <-p.stop:
			return
		}
		wait = min(2*wait, lastBackOff)
	}
}

func (p *Pool) stopped() bool {
	select {
	case <-p.stop:
		return true
	default:
		return false
	}
}

// drain tells those who wait for a worker that there is none.
func (p *Pool) drain() {
	for {
		select {
		case j := <-p.jobs:
			p.lost.Add(1)
			j.done <- result{err: p.none()}
		default:
			return
		}
	}
}

// work gives batches to a worker until it is lost; the error says how.
func (p *Pool) work(w *worker) error {
	var next *job // was taken from the queue and could not go along with the last batch
	for {
		if j := next; j != nil {
			if p.stopped() {
				p.forget(j)
				return nil
			}
			var batch []*job
			batch, next = p.gather(j)
			if err := p.serve(w, batch); err != nil {
				p.forget(next)
				return err
			}
			continue
		}
		select {
		case <-p.stop:
			return nil
		case <-w.gone:
			return w.why(errors.New("it ended by itself"))
		case j := <-p.jobs:
			if j.ctx.Err() != nil {
				continue // nobody waits for it any more
			}
			next = j
		}
	}
}

// forget tells the one who waits for a request that was not sent yet that its worker is lost.
func (p *Pool) forget(j *job) {
	if j != nil {
		p.lost.Add(1)
		j.done <- result{err: assay.Errorf(assay.Unavailable, "the Python worker that had the request is lost")}
	}
}

// gather takes along what waits beside a request and has the same parameters; next is what was taken and has others.
func (p *Pool) gather(j *job) (batch []*job, next *job) {
	batch, rows := []*job{j}, j.rows
	var late <-chan time.Time
	if p.o.BatchWait > 0 {
		t := time.NewTimer(p.o.BatchWait)
		defer t.Stop()
		late = t.C
	}
	for rows < p.o.BatchRows {
		if late == nil {
			select {
			case next = <-p.jobs:
			default:
				return batch, nil
			}
		} else {
			select {
			case next = <-p.jobs:
			case <-late:
				return batch, nil
			case <-p.stop:
				return batch, nil
			}
		}
		if next.ctx.Err() != nil {
			continue // nobody waits for it any more
		}
		if !bytes.Equal(next.params, j.params) {
			return batch, next
		}
		batch, rows = append(batch, next), rows+next.rows
	}
	return batch, nil
}

// serve answers a batch. When the model fails, or answers another number of rows, each request is asked alone, so that only the one that
// it cannot answer fails. The error is about the worker.
func (p *Pool) serve(w *worker, batch []*job) error {
	a, err := p.ask(w, batch)
	var failed *errModel
	if err != nil && !errors.As(err, &failed) {
		for _, j := range batch {
			p.forget(j)
		}
		return err
	}
	if len(batch) == 1 {
		if err != nil {
			p.failed.Add(1)
			err = assay.Errorf(assay.Internal, "%w", err)
		}
		batch[0].done <- result{a, err}
		return nil
	}
	rows := 0
	for _, j := range batch {
		rows += j.rows
	}
	if err != nil || a.Rows != rows {
		for i, j := range batch {
			if err := p.serve(w, []*job{j}); err != nil {
				for _, left := range batch[i+1:] {
					p.forget(left)
				}
				return err
			}
		}
		return nil
	}
	at := 0
	for _, j := range batch {
		j.done <- result{answer: a.rows(at, at+j.rows)}
		at += j.rows
	}
	return nil
}

// ask sends a batch and reads the answer.
func (p *Pool) ask(w *worker, batch []*job) (*Answer, error) {
	id, rows := p.ids.Add(1), 0
	for _, j := range batch {
		rows += j.rows
	}
	le := binary.LittleEndian
	b := append(w.frame[:0], 0, 0, 0, 0, 'P')
	b = le.AppendUint32(le.AppendUint64(b, id), uint32(rows))
	b = append(le.AppendUint32(b, uint32(len(batch[0].params))), batch[0].params...)
	for i := range p.o.Columns {
		n := 0
		for _, j := range batch {
			n += len(j.columns[i])
		}
		b = le.AppendUint32(b, uint32(n))
		for _, j := range batch {
			b = append(b, j.columns[i]...)
		}
	}
	if len(b) > maxFrame {
		return nil, &errModel{"the rows are larger than a frame may be"}
	}
	le.PutUint32(b, uint32(len(b)-4))
	w.frame = b
	p.batches.Add(1)
	reply, err := w.exchange(b, p.o.Timeout)
	if err != nil {
		return nil, err
	}
	return decodeAnswer(reply, id)
}

// Counts are what happened since the start.
type Counts struct {
	Up, Workers                               int64
	Requests, Batches, Restarts, Lost, Failed int64
}

// Counts returns how many workers are up, of how many; requests and the batches that they went in; workers that were started again;
// requests that were lost with a worker or for want of one; and those that the model failed.
func (p *Pool) Counts() Counts {
	return Counts{p.up.Load(), int64(p.o.Workers), p.requests.Load(), p.batches.Load(), p.restarts.Load(), p.lost.Load(), p.failed.Load()}
}
