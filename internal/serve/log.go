package serve

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"sync"
	"sync/atomic"
	"time"

	"github.com/assay-ml/assay"
)

// Defaults of LogOptions.
const (
	DefaultLogQueue        = 1 << 16
	DefaultLogSegmentBytes = 64 << 20
	DefaultLogFlush        = 20 * time.Millisecond
	DefaultLogSync         = time.Second

	// maxLogWaiting bounds the bytes that wait for the writer, flushWaiting is how many make it write at once.
	maxLogWaiting = 128 << 20
	flushWaiting  = 1 << 20

	expireEvery = 10 * time.Minute // how often segments are looked for that are too old, whether or not one is closed

	maxRest   = time.Minute // between two segments that become Parquet
	maxEnding = 5 * time.Second
)

// LogOptions say where predictions are logged and for how long they are kept.
type LogOptions struct {
	Dir          string           // one folder for each model is made in it; required
	Clock        func() time.Time // required
	Nonce        string           // tells this process's segments from those of others; required
	Queue        int              // calls that may wait for the writer; the next one is lost, and counted
	SegmentBytes int64            // a segment is closed when it is larger, or when its hour is over
	Flush        time.Duration    // how long a call may wait before it is written
	Sync         time.Duration    // how long what is written may wait before it is on the disk
	Keep         time.Duration    // closed segments that are older are removed; 0: never
	KeepBytes    int64            // of each model; the oldest segments are removed; 0: no limit
	Redact       []string         // input columns and parameters that are not written; _params is all parameters
	Sample       float64          // share of answered requests that are written, 0–1; 0 means all. What went wrong is always written
	// Compact turns a closed segment, which Lines reads, into Parquet; nil leaves it as it is.
	Compact func(ctx context.Context, segment, parquet string, fields []assay.Field) error
}

// A Log writes finished calls to segments: a folder a model, a file an hour. Offer encodes a call where it ends, by column, and a writer
// appends what waits to the segment of the running hour in batches (see logMagic); when the hour is over the segment becomes Parquet. A
// call that Offer has taken is written within Flush; what is written survives the end of the process, and within Sync that of the
// machine. What could not be written is counted and written as a record of its own, so that whoever uses the rows sees what is missing.
type Log struct {
	o       LogOptions
	ring    *ring
	journal *journal      // nil where there can be none
	wake    chan struct{} // something waits
	full    chan struct{} // more than flushWaiting bytes do
	waiting atomic.Int64  // bytes
	syncing atomic.Bool
	stop    chan struct{}
	done    chan struct{}
	stopped atomic.Bool
	ended   atomic.Pointer[time.Time] // when Close was called
	lost    sync.Map                  // by model name: *atomic.Int64, rows that were not written
	models  map[string]*segment
	reopen  time.Time // when report tries again to make a segment
	redact  map[string]bool
	errors  atomic.Int64
	written atomic.Int64 // rows
	problem atomic.Pointer[string]
	closing sync.WaitGroup
	compact sync.Mutex // one segment at a time is turned into Parquet
}

// OpenLog starts the writer. Segments that a process left open when it was killed are closed, without a last line that is torn.
func OpenLog(o LogOptions) (*Log, error) {
	if o.Clock == nil || o.Nonce == "" || o.Dir == "" {
		panic("BUG: serve.OpenLog without a folder, a clock or a nonce")
	}
	o.Queue = orDefault(o.Queue, DefaultLogQueue)
	o.SegmentBytes = orDefault(o.SegmentBytes, DefaultLogSegmentBytes)
	o.Flush = orDefault(o.Flush, DefaultLogFlush)
	o.Sync = orDefault(o.Sync, DefaultLogSync)
	if o.Sample < 0 || o.Sample > 1 {
		return nil, assay.Errorf(assay.Invalid, "a share of %v of the requests cannot be logged: it must be within 0 and 1", o.Sample)
	}
	l := &Log{o: o, ring: newRing(o.Queue), wake: make(chan struct{}, 1), full: make(chan struct{}, 1), stop: make(chan struct{}), done: make(chan struct{}), models: map[string]*segment{}, redact: map[string]bool{}}
	for _, c := range o.Redact {
		l.redact[c] = true
	}
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return nil, assay.Errorf(assay.Unavailable, "the folder of the prediction log cannot be made: %w", err)
	}
	later, err := recoverJournals(o.Dir, o.Clock)
	if err != nil {
		return nil, err
	}
	if err := l.recover(later); err != nil {
		return nil, err
	}
	l.journal = openJournal(o.Dir, o.Nonce, l.redact)
	go l.run()
	return l, nil
}

// Offer implements Recorder. It neither waits nor allocates, once buffers have grown.
func (l *Log) Offer(c *Call) bool {
	if c.Outcome == Answered && !c.Fallback && l.o.Sample > 0 && l.o.Sample < 1 && shareOf(c.ID) >= l.o.Sample {
		c.Release()
		return true
	}
	rows := max(1, c.Rows.Rows())
	if l.stopped.Load() || l.waiting.Load() > maxLogWaiting || rows > maxRecordRows {
		l.lose(c.bound.Name, rows)
		return false
	}
	sample := l.o.Sample
	if sample == 0 {
		sample = 1
	}
	if c.Kept > 0 {
		sample *= c.Kept
	}
	e := entries.Get().(*entry)
	e.bound, e.rows = c.bound, rows
	plan := c.bound.logPlan(l.redact)
	e.buf = appendCall(slices.Grow(e.buf[:0], plan.room(rows, len(c.bound.Classes))), c, plan, sample)
	n := int64(len(e.buf))
	if n > maxRecord || !l.put(e) {
		e.release()
		l.lose(c.bound.Name, rows)
		return false
	}
	c.Release()
	select {
	case l.wake <- struct{}{}:
	default:
	}
	if was := l.waiting.Add(n) - n; was < flushWaiting && was+n >= flushWaiting {
		select {
		case l.full <- struct{}{}:
		default:
		}
	}
	return true
}

// put hands an entry to the writer, and writes it into the journal before; false when there is no room.
func (l *Log) put(e *entry) bool {
	j := l.journal
	if j == nil {
		return l.ring.put(e)
	}
	h := j.enter()
	if h < 0 {
		return l.ring.put(e)
	}
	defer j.leave(h)
	j.keep(h, e)
	frame := e.frame
	if l.ring.put(e) {
		return true
	}
	j.cross(frame)
	return false
}

func (l *Log) lose(model string, rows int) {
	n, _ := l.lost.LoadOrStore(model, new(atomic.Int64))
	n.(*atomic.Int64).Add(int64(rows))
}

// Written returns how many rows were written, and the newest problem with writing, or "".
func (l *Log) Written() (rows, failures int64, problem string) {
	if p := l.problem.Load(); p != nil {
		problem = *p
	}
	return l.written.Load(), l.errors.Load(), problem
}

// Close writes what was taken, closes the segments and makes them Parquet; of many that wait for it, the rest is left to the next OpenLog.
func (l *Log) Close() error {
	if l.stopped.Swap(true) {
		return nil
	}
	now := l.o.Clock()
	l.ended.Store(&now)
	close(l.stop)
	<-l.done
	l.closing.Wait()
	if l.journal != nil {
		l.journal.lost(l.untold())
		l.journal.close()
	}
	_, failures, problem := l.Written()
	if failures == 0 {
		return nil
	}
	var untold int64
	for _, n := range l.untold() {
		untold += n
	}
	if untold == 0 {
		return assay.Errorf(assay.Unavailable, "the prediction log: %s", problem)
	}
	return assay.Errorf(assay.Unavailable, "the prediction log: %s; %s rows are missing in it that it does not tell of", problem, assay.FormatCount(untold))
}

// run is the writer.
func (l *Log) run() {
	defer close(l.done)
	synced := l.o.Clock()
	var expired time.Time
	for stopping := false; ; {
		half := l.turn()
		n := l.drain()
		now := l.o.Clock()
		l.report(now, false)
		for _, s := range l.models {
			l.write(s)
		}
		l.settle(half)
		if now.Sub(synced) >= l.o.Sync {
			l.miss()
		}
		if now.Sub(synced) >= l.o.Sync && l.sync() {
			synced = now
		}
		if stopping && n == 0 {
			l.report(now, true)
			for _, s := range l.models {
				l.write(s)
			}
			l.rotate(now, true)
			l.settle(-1)
			return
		}
		l.rotate(now, false)
		if l.o.Keep > 0 && now.Sub(expired) >= expireEvery {
			expired = now
			l.closing.Go(func() { l.expireAll(now) })
		}
		if stopping || n > len(l.ring.slot)/4 {
			continue
		}
		wait := time.NewTimer(l.o.Sync)
		select {
		case <-l.wake:
			// Calls that follow soon are written together with this one.
			pause := time.NewTimer(l.o.Flush)
			select {
			case <-pause.C:
			case <-l.full:
			case <-l.stop:
				stopping = true
			}
			pause.Stop()
		case <-wait.C:
		case <-l.stop:
			stopping = true
		}
		wait.Stop()
	}
}

// drain takes what waits, at most one ring of it.
func (l *Log) drain() int {
	for n := 0; ; n++ {
		if n > len(l.ring.slot) {
			return n
		}
		e := l.ring.take()
		if e == nil {
			return n
		}
		l.waiting.Add(-int64(len(e.buf)))
		l.add(e)
		e.release()
	}
}

func (l *Log) add(e *entry) {
	s, err := l.segment(e.bound)
	if err != nil {
		l.fail(err)
		e.bound.counters.lost.Add(int64(e.rows))
		l.lose(e.bound.Name, e.rows)
		l.cross(e.frame)
		return
	}
	s.append(e)
	if len(s.buf) >= maxBatch {
		l.write(s)
	}
}

// shareOf places an id between 0 and 1 (FNV-1a, spread once more), the same place each time.
func shareOf(id string) float64 {
	h := uint64(14695981039346656037)
	for i := range len(id) {
		h = (h ^ uint64(id[i])) * 1099511628211
	}
	h ^= h >> 33
	h *= 0xff51afd7ed558ccd
	h ^= h >> 33
	return float64(h>>11) / (1 << 53)
}

// report writes what was lost since it last looked. Where no segment could be made, it tries again after a while, and at the end.
func (l *Log) report(now time.Time, ending bool) {
	l.lost.Range(func(name, n any) bool {
		if n.(*atomic.Int64).Load() == 0 {
			return true
		}
		s := l.models[name.(string)]
		if s == nil {
			if now.Before(l.reopen) && !ending {
				return true
			}
			var err error
			if s, err = l.open(name.(string)); err == nil {
				err = s.saveFields(false)
			}
			if err != nil {
				l.fail(err)
				l.reopen = now.Add(l.o.Sync)
				return true // the count stays
			}
			l.models[s.model] = s
		}
		s.appendLoss(now, n.(*atomic.Int64).Swap(0))
		return true
	})
}

// write appends a segment's batch to its file. A batch that cannot be written is lost as a whole, so that no line is torn.
func (l *Log) write(s *segment) {
	if len(s.buf) == 0 {
		return
	}
	rows, missing := s.pending, s.missing
	frames := s.frames
	err := s.write()
	if err != nil {
		l.fail(err)
		l.lose(s.model, rows+int(missing))
	} else {
		l.written.Add(int64(rows))
	}
	for _, frame := range frames {
		l.cross(frame)
	}
}

// turn begins a round of the journal, and settle ends it: what waited in that half is written, or counted as lost.
func (l *Log) turn() int {
	if l.journal == nil {
		return -1
	}
	return l.journal.turn()
}

func (l *Log) settle(half int) {
	if l.journal == nil {
		return
	}
	l.journal.lost(l.untold())
	l.journal.clear(half)
}

func (l *Log) cross(frame int) {
	if l.journal != nil {
		l.journal.cross(frame)
	}
}

// untold is how many rows of each model were lost and are not told in a segment.
func (l *Log) untold() map[string]int64 {
	out := map[string]int64{}
	l.lost.Range(func(name, n any) bool {
		if k := n.(*atomic.Int64).Load(); k > 0 {
			out[name.(string)] = k
		}
		return true
	})
	return out
}

func (l *Log) fail(err error) {
	l.errors.Add(1)
	text := err.Error()
	l.problem.Store(&text)
}

// sync brings what was written to the disk, beside the writer, which a slow disk must not hold up. It does nothing, and returns false, while
// the last time is not over.
func (l *Log) sync() bool {
	if l.syncing.Swap(true) {
		return false
	}
	var files []*os.File
	for _, s := range l.models {
		if s.dirty {
			s.dirty = false
			files = append(files, s.file)
		}
	}
	if len(files) == 0 {
		l.syncing.Store(false)
		return true
	}
	l.closing.Go(func() {
		defer l.syncing.Store(false)
		for _, f := range files {
			// A segment that was closed meanwhile was brought to the disk before that.
			if err := f.Sync(); err != nil && !errors.Is(err, os.ErrClosed) {
				l.fail(assay.Errorf(assay.Unavailable, "the prediction log cannot be brought to the disk: %w", bare(err)))
			}
		}
	})
	return true
}

// rotate closes segments whose hour is over or that are large; all of them at the end.
func (l *Log) rotate(now time.Time, all bool) {
	for _, s := range l.models {
		if all || s.size >= l.o.SegmentBytes || !now.UTC().Truncate(time.Hour).Equal(s.hour) {
			l.end(s)
		}
	}
}

// end writes what waits in a segment and closes it, beside the writer.
func (l *Log) end(s *segment) {
	l.write(s)
	if !s.there() {
		l.drop(s)
		return
	}
	delete(l.models, s.model)
	fields := s.fields.list()
	l.closing.Go(func() {
		path, err := s.close()
		if err != nil {
			l.fail(err)
			return
		}
		l.finish(s.dir, path, fields)
	})
}

// finish turns a closed segment into Parquet and removes what is too old.
func (l *Log) finish(dir, segment string, fields []assay.Field) {
	l.compact.Lock()
	defer l.compact.Unlock()
	if ended := l.ended.Load(); ended != nil && l.o.Clock().Sub(*ended) > maxEnding {
		return // the next process goes on
	}
	if l.o.Compact != nil {
		began := l.o.Clock()
		defer func() { l.rest(3 * l.o.Clock().Sub(began)) }()
		ctx, cancel := l.untilEnded()
		defer cancel()
		if err := l.o.Compact(ctx, segment, ParquetPath(segment), fields); err != nil {
			if ctx.Err() != nil {
				return // the next process begins it again
			}
			l.fail(err)
		} else if err := os.Remove(segment); err != nil {
			l.fail(err)
		}
	}
	if err := l.expire(dir, l.o.Clock()); err != nil {
		l.fail(err)
	}
}

// untilEnded is a context that ends maxEnding after Close was called: a server that ends does not wait for longer.
func (l *Log) untilEnded() (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		select {
		case <-ctx.Done():
			return
		case <-l.stop:
		}
		t := time.NewTimer(maxEnding)
		defer t.Stop()
		select {
		case <-ctx.Done():
		case <-t.C:
			cancel()
		}
	}()
	return ctx, cancel
}

// rest waits, so that making Parquet takes a quarter of one processor at most while the server answers; not when it ends.
func (l *Log) rest(d time.Duration) {
	t := time.NewTimer(min(d, maxRest))
	defer t.Stop()
	select {
	case <-t.C:
	case <-l.stop:
	}
}

// ParquetPath is what a closed segment is called once it is Parquet.
func ParquetPath(segment string) string {
	return segment[:len(segment)-len(filepath.Ext(segment))] + ".parquet"
}

// expireAll removes what is too old of the logs of all models.
func (l *Log) expireAll(now time.Time) {
	l.compact.Lock()
	defer l.compact.Unlock()
	entries, err := os.ReadDir(l.o.Dir)
	for _, e := range entries {
		if e.IsDir() && err == nil {
			err = l.expire(filepath.Join(l.o.Dir, e.Name()), now)
		}
	}
	if err != nil {
		l.fail(err)
	}
}

// expire removes the oldest closed segments that are more than may be kept.
func (l *Log) expire(dir string, now time.Time) error {
	closed, _, err := Segments(dir)
	if err != nil {
		return err
	}
	var total int64
	sizes := make([]int64, len(closed))
	for i, path := range closed {
		if st, err := os.Stat(path); err == nil {
			sizes[i] = st.Size()
			total += sizes[i]
		}
	}
	for i, path := range closed {
		hour, ok := hourOf(path)
		old := ok && l.o.Keep > 0 && now.Sub(hour) > l.o.Keep+time.Hour
		if !old && (l.o.KeepBytes <= 0 || total <= l.o.KeepBytes) {
			break
		}
		if err := os.Remove(path); err != nil {
			return assay.Errorf(assay.Unavailable, "a segment of the prediction log cannot be removed: %w", err)
		}
		total -= sizes[i]
	}
	return nil
}

// Segments lists the pieces of one model's log by time: closed ones, which are Parquet, and those that Lines reads: open ones and those
// that are not Parquet yet.
func Segments(dir string) (closed, open []string, err error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil, nil
	}
	if err != nil {
		return nil, nil, assay.Errorf(assay.Unavailable, "the prediction log cannot be listed: %w", err)
	}
	have := map[string]bool{}
	for _, e := range entries {
		have[e.Name()] = true
	}
	for _, e := range entries {
		name := e.Name()
		path := filepath.Join(dir, name)
		switch ext := filepath.Ext(name); {
		case ext == ".parquet":
			closed = append(closed, path)
		case ext != closedSuffix && ext != linesSuffix:
		case openSegment(name), !have[ParquetPath(name)]:
			open = append(open, path)
		}
	}
	sort.Strings(closed)
	sort.Strings(open)
	return closed, open, nil
}

// FirstHour is when the oldest hour began of which there are rows in the log of one model; zero where there are none.
func FirstHour(dir string) (time.Time, error) {
	closed, open, err := Segments(dir)
	var first time.Time
	for _, path := range append(closed, open...) {
		if hour, ok := hourOf(path); ok && (first.IsZero() || hour.Before(first)) {
			first = hour
		}
	}
	return first, err
}

// LogFieldsOf reads which columns the log of one model has, of all versions.
func LogFieldsOf(dir string) ([]assay.Field, error) {
	b, err := os.ReadFile(filepath.Join(dir, fieldsFile))
	if errors.Is(err, os.ErrNotExist) {
		return nil, assay.Errorf(assay.NotFound, "no prediction of this model was logged").Try("assay serve")
	}
	if err != nil {
		return nil, assay.Errorf(assay.Unavailable, "the columns of the prediction log cannot be read: %w", err)
	}
	var out []assay.Field
	if err := json.Unmarshal(b, &out); err != nil {
		return nil, assay.Errorf(assay.Unavailable, "the columns of the prediction log are damaged: %w", err)
	}
	return out, nil
}
