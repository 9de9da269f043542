package serve_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/schema"
	"github.com/assay-ml/assay/internal/serve"
	"github.com/assay-ml/assay/internal/table"
)

// logged starts a server with a log in dir.
func logged(t testing.TB, o serve.LogOptions, e serve.Engine) (*serve.Server, *serve.Log) {
	t.Helper()
	return loggedWith(t, o, serve.Options{}, e)
}

func loggedWith(t testing.TB, o serve.LogOptions, so serve.Options, e serve.Engine) (*serve.Server, *serve.Log) {
	t.Helper()
	if o.Clock == nil {
		o.Clock = time.Now
	}
	if o.Nonce == "" {
		o.Nonce = "n"
	}
	l, err := serve.OpenLog(o)
	if err != nil {
		t.Fatal(err)
	}
	so.Log = l
	s := server(so)
	b := bind(t, s, binding(1, e))
	s.Set("m", b, b)
	return s, l
}

// lines reads every line of the model's log.
func lines(t testing.TB, dir string) []map[string]any {
	t.Helper()
	closed, open, err := serve.Segments(serve.LogDir(dir, "m"))
	if err != nil || len(closed) > 0 {
		t.Fatal(closed, err)
	}
	var out []map[string]any
	for _, path := range open {
		var b bytes.Buffer
		if err := serve.Lines(path, &b); err != nil {
			t.Fatal(err)
		}
		for _, line := range strings.Split(strings.TrimSuffix(b.String(), "\n"), "\n") {
			var row map[string]any
			if err := json.Unmarshal([]byte(line), &row); err != nil {
				t.Fatalf("line %q: %v", line, err)
			}
			out = append(out, row)
		}
	}
	return out
}

// pieces are segments as package table reads them.
func pieces(paths ...string) (out []table.Piece) {
	for _, path := range paths {
		out = append(out, table.Piece{
			Name: filepath.Base(path), WriteLines: func(w io.Writer) error { return serve.Lines(path, w) },
			Lost: func(line []byte) []byte { return serve.LostLine(path, line) },
		})
	}
	return out
}

func TestLogLines(t *testing.T) {
	dir := t.TempDir()
	s, l := logged(t, serve.LogOptions{Dir: dir}, &engine{predict: constant(0.25, 0.75)})
	c, err := s.Begin("test", "m", "", "r1")
	if err != nil {
		t.Fatal(err)
	}
	c.Trace = "4bf92f3577b34da6a3ce929d0e0e4736"
	c.Rows.Add(2)
	c.Rows.SetInt(0, 0, 30)
	c.Rows.SetInt(1, 0, 31)
	c.Rows.KeyedBy([]string{"key"})
	c.Found = c.Rows.SetKey(0, []byte("key"), []byte("anna"), c.Found)
	c.Found = c.Rows.SetKey(1, []byte("key"), []byte(`b"ob`), c.Found)
	if err := c.Predict(t.Context()); err != nil {
		t.Fatal(err)
	}
	c.End()
	if c, err = ask(t.Context(), s, 20, 500); err == nil {
		t.Fatal("an age of 500 was answered")
	}
	c.End()
	if c, err = s.Begin("test", "m", "", "r3"); err != nil {
		t.Fatal(err)
	}
	_ = c.Malform(assay.Errorf(assay.Invalid, "no JSON"))
	c.End()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	got := lines(t, dir)
	if len(got) != 5 {
		t.Fatalf("%d lines: %v", len(got), got)
	}
	for i, want := range []string{
		`map[_at:2026-01-02T03:04:05.000000 _edge:test _index:0 _key:anna _micros:0 _outcome:answered _request:r1 _sampled:1 _status:200 _trace:4bf92f3577b34da6a3ce929d0e0e4736 _version:1 age:30 prediction:no probability_no:0.25 probability_yes:0.75]`,
		`map[_at:2026-01-02T03:04:05.000000 _edge:test _index:1 _key:b"ob _micros:0 _outcome:answered _request:r1 _sampled:1 _status:200 _trace:4bf92f3577b34da6a3ce929d0e0e4736 _version:1 age:31 prediction:no probability_no:0.25 probability_yes:0.75]`,
		`map[_at:2026-01-02T03:04:05.000000 _edge:test _index:0 _micros:0 _outcome:refused _reason:invalid _request:test-1 _sampled:1 _status:400 _version:1 age:20]`,
		`map[_at:2026-01-02T03:04:05.000000 _edge:test _index:1 _micros:0 _outcome:refused _reason:invalid _request:test-1 _sampled:1 _status:400 _version:1 _violations:age range age:500]`,
		`map[_at:2026-01-02T03:04:05.000000 _edge:test _index:-1 _micros:0 _outcome:malformed _reason:protocol _request:r3 _sampled:1 _status:400 _version:1]`,
	} {
		if s := fmt.Sprint(got[i]); s != want {
			t.Errorf("line %d is %s", i, s)
		}
	}
}

// TestLogCountsLosses fills the queue while the writer is held up by a disk that does not write.
func TestLogCountsLosses(t *testing.T) {
	dir := t.TempDir()
	s, l := logged(t, serve.LogOptions{Dir: dir, Queue: 4, Flush: time.Hour}, &engine{predict: constant(1, 0)})
	const n = 100
	for range n {
		c, err := ask(t.Context(), s, 1, 2)
		if err != nil {
			t.Fatal(err)
		}
		c.End()
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	rows, lost := 0, 0.0
	for _, line := range lines(t, dir) {
		if line["_outcome"] == "lost" {
			lost += line["_lost"].(float64)
		} else {
			rows++
		}
	}
	if rows+int(lost) != 2*n || lost == 0 {
		t.Errorf("%d rows and %v lost, of %d", rows, lost, 2*n)
	}
	if got := s.Tallies()[0].Lost; got != int64(lost) {
		t.Errorf("the server counts %d lost, the log %v", got, lost)
	}
}

// TestLogUnderLoad loses nothing while versions change and goroutines race.
func TestLogUnderLoad(t *testing.T) {
	dir := t.TempDir()
	s, l := logged(t, serve.LogOptions{Dir: dir, Queue: 1 << 14}, &engine{predict: constant(1, 0)})
	var wg sync.WaitGroup
	const each, writers = 500, 4
	for range writers {
		wg.Go(func() {
			for range each {
				c, err := ask(context.Background(), s, 1)
				if err != nil {
					t.Error(err)
					return
				}
				c.End()
			}
		})
	}
	for n := 2; n < 20; n++ {
		b := bind(t, s, binding(n, &engine{predict: constant(0, 1)}))
		s.Set("m", b, b)
		time.Sleep(time.Millisecond)
	}
	wg.Wait()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	seen := map[any]bool{}
	for _, line := range lines(t, dir) {
		seen[line["_request"]] = true
	}
	if len(seen) != each*writers || s.Tallies()[0].Lost != 0 {
		t.Errorf("%d requests in the log, want %d", len(seen), each*writers)
	}
}

// TestLogRotates makes Parquet of the hours that are over, keeps what may be kept, and reads all of it as one table.
func TestLogRotates(t *testing.T) {
	dir := t.TempDir()
	var hour atomic.Int64
	start := time.Date(2026, 5, 1, 10, 30, 0, 0, time.UTC)
	var compacted atomic.Int64
	o := serve.LogOptions{
		Dir: dir, Clock: func() time.Time { return start.Add(time.Duration(hour.Load()) * time.Hour) }, Flush: time.Millisecond, Sync: time.Millisecond, Keep: 2 * time.Hour,
		Compact: func(ctx context.Context, lines, parquet string, fields []assay.Field) error {
			e, err := table.Open(ctx, table.Options{Threads: 1})
			if err != nil {
				return err
			}
			defer e.Close()
			tb, err := e.ReadSegments(ctx, nil, pieces(lines), fields)
			if err != nil {
				return err
			}
			compacted.Add(1)
			return tb.Write(ctx, parquet, nil, "")
		},
	}
	s, l := logged(t, o, &engine{predict: constant(1, 0)})
	for range 5 {
		c, err := ask(t.Context(), s, 7)
		if err != nil {
			t.Fatal(err)
		}
		c.End()
		want, _, _ := l.Written()
		for want <= hour.Load() { // until the writer has it
			time.Sleep(time.Millisecond)
			want, _, _ = l.Written()
		}
		hour.Add(1)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	model := serve.LogDir(dir, "m")
	closed, open, err := serve.Segments(model)
	if err != nil || len(open) != 0 || compacted.Load() != 5 {
		t.Fatalf("%v open, %d compacted, %v", open, compacted.Load(), err)
	}
	if len(closed) != 2 || !strings.Contains(closed[0], "2026-05-01T13") { // at 15:30 the hour from 12:00 ended two and a half hours ago
		t.Errorf("kept %v", closed)
	}
	e, err := table.Open(t.Context(), table.Options{Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	fields, err := serve.LogFieldsOf(model)
	if err != nil {
		t.Fatal(err)
	}
	tb, err := e.ReadSegments(t.Context(), closed, pieces(open...), fields)
	if err != nil || tb.Rows() != int64(len(closed)) {
		t.Fatalf("%v rows, %v", tb, err)
	}
}

// TestLogEndsInTime: a segment whose Parquet takes too long is left as it is when the log ends, without an error, and the next one reads it.
func TestLogEndsInTime(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s, l := logged(t, serve.LogOptions{Dir: dir, Compact: func(ctx context.Context, _, _ string, _ []assay.Field) error {
		<-ctx.Done()
		return ctx.Err()
	}}, &engine{predict: constant(1, 0)})
	c, err := ask(t.Context(), s, 7)
	if err != nil {
		t.Fatal(err)
	}
	c.End()
	began := time.Now()
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	if took := time.Since(began); took > 30*time.Second {
		t.Errorf("the log took %v to end", took)
	}
	if closed, open, err := serve.Segments(serve.LogDir(dir, "m")); err != nil || len(closed) != 0 || len(open) != 1 {
		t.Errorf("%v: Parquet %v, segments %v", err, closed, open)
	}
	if n := len(lines(t, dir)); n != 1 {
		t.Errorf("%d lines in the log", n)
	}
}

// TestLogRecovers finds a segment of a process that was killed in the middle of a line.
func TestLogRecovers(t *testing.T) {
	dir := t.TempDir()
	s, l := logged(t, serve.LogOptions{Dir: dir}, &engine{predict: constant(1, 0)})
	c, err := ask(t.Context(), s, 7)
	if err != nil {
		t.Fatal(err)
	}
	c.End()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	_, open, err := serve.Segments(serve.LogDir(dir, "m"))
	if err != nil || len(open) != 1 {
		t.Fatal(open, err)
	}
	b, err := os.ReadFile(open[0])
	if err != nil {
		t.Fatal(err)
	}
	torn := strings.TrimSuffix(open[0], ".seg") + "x.open.seg"
	if err := os.WriteFile(torn, append(b, b[11:len(b)-1]...), 0o600); err != nil {
		t.Fatal(err)
	}
	old := strings.TrimSuffix(open[0], ".seg") + "y.open.jsonl" // of an earlier version of assay
	if err := os.WriteFile(old, []byte(`{"_at":"2026-01-02T03:04:05.000000","_request":"old","_index":0,"_outcome":"answered","age":7}
{"_at":"2026-01-02T03:04:05`), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, l = logged(t, serve.LogOptions{Dir: dir, Nonce: "next"}, &engine{predict: constant(1, 0)}); l.Close() != nil {
		t.Fatal("not closed")
	}
	for _, path := range []string{torn, old} {
		if _, err := os.Stat(path); !os.IsNotExist(err) {
			t.Errorf("the segment is still open: %v", err)
		}
	}
	got := lines(t, dir)
	if len(got) != 4 || got[3]["_request"] != "old" {
		t.Fatalf("%v", got)
	}
	if got[2]["_outcome"] != "lost" || got[2]["_lost"] != 0.0 {
		t.Errorf("that it ended without being closed is told as %v", got[2])
	}
}

// TestLogRedactsAndSamples leaves a column out and keeps a part of what was answered, and all that was not.
func TestLogRedactsAndSamples(t *testing.T) {
	dir := t.TempDir()
	s, l := logged(t, serve.LogOptions{Dir: dir, Redact: []string{"age"}, Sample: 0.25}, &engine{predict: constant(1, 0)})
	for range 400 {
		c, err := ask(t.Context(), s, 7)
		if err != nil {
			t.Fatal(err)
		}
		c.End()
		c, _ = ask(t.Context(), s, 999)
		c.End()
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	count := map[any]int{}
	for _, line := range lines(t, dir) {
		count[line["_outcome"]]++
		if _, there := line["age"]; there || line["_sampled"] != 0.25 {
			t.Fatalf("%v", line)
		}
	}
	if count["refused"] != 400 || count["answered"] < 60 || count["answered"] > 140 {
		t.Errorf("%v", count)
	}
}

// TestLogKeepsTypes gives a column another type in a later version: no value of one type is read as another.
func TestLogKeepsTypes(t *testing.T) {
	dir := t.TempDir()
	s, l := logged(t, serve.LogOptions{Dir: dir}, &engine{predict: constant(1, 0)})
	c, _ := ask(t.Context(), s, 7)
	c.End()
	x := binding(2, &engine{predict: constant(1, 0)})
	x.Input = schema.New("in")
	x.Input.Columns = []schema.Column{{Name: "age", Type: assay.TypeString}}
	b := bind(t, s, x)
	s.Set("m", b, b)
	c, err := s.Begin("test", "m", "", "")
	if err != nil {
		t.Fatal(err)
	}
	c.Rows.Add(1)
	c.Rows.SetText(0, 0, []byte("old"))
	if err := c.Predict(t.Context()); err != nil {
		t.Fatal(err)
	}
	c.End()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	got := lines(t, dir)
	if got[0]["age"] != 7.0 || got[1]["age__string"] != "old" {
		t.Errorf("%v", got)
	}
	if _, err := os.Stat(filepath.Join(serve.LogDir(dir, "m"), "fields.json")); err != nil {
		t.Error(err)
	}
}

func BenchmarkOffer(b *testing.B) {
	s, l := logged(b, serve.LogOptions{Dir: b.TempDir(), Queue: 1 << 16}, &engine{predict: constant(1, 0)})
	ctx := b.Context()
	b.ReportAllocs()
	for b.Loop() {
		c, err := ask(ctx, s, 7)
		if err != nil {
			b.Fatal(err)
		}
		c.End()
	}
	b.StopTimer()
	if err := l.Close(); err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(s.Tallies()[0].Lost)/float64(b.N), "lost/op")
}
