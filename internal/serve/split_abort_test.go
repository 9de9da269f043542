package serve_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/schema"
	"github.com/assay-ml/assay/internal/serve"
	"github.com/assay-ml/assay/stat"
)

var errBad = errors.New("bad luck")

// notAborted holds that few enough of runs with equal versions were aborted.
func notAborted(t *testing.T, aborted, runs int, level float64) {
	t.Helper()
	t.Logf("%d of %d runs were aborted", aborted, runs)
	if n := float64(runs); float64(aborted) > level*n+3*math.Sqrt(n*level*(1-level)) {
		t.Errorf("%d of %d runs were aborted, at most a share of %v should be", aborted, runs, level)
	}
}

// TestRetriesDoNotAbort: equal versions fail for the same requests, and clients send these again up to ten times under the same id, or
// under the same value that sticks.
func TestRetriesDoNotAbort(t *testing.T) {
	const runs, length, level = 100, 30, 0.1
	for _, sticky := range []string{"", "X-User"} {
		for _, percent := range []float64{5, 50} {
			t.Run(fmt.Sprintf("%v percent %s", percent, sticky), func(t *testing.T) {
				aborted := 0
				for run := range runs {
					fails := func(context.Context, *schema.Batch, *serve.Output) error { return errBad }
					s, split := splitting(t, fails, fails, func(o *serve.SplitOptions, other *serve.Bound) {
						o.Canary, o.Percent, o.FalseAbort, o.Sticky = other, percent, level, sticky
					})
					for i := range length {
						who := fmt.Sprintf("%d of run %d", i, run)
						for try := range 10 {
							id := who
							if sticky != "" {
								id = fmt.Sprint(who, " ", try)
							}
							_, _ = answered(t, s, id, "", map[string]string{sticky: who}, int64(i))
						}
					}
					if split.Tripped() != "" {
						aborted++
					}
				}
				notAborted(t, aborted, runs, level)
			})
		}
	}
}

// TestLoadDoesNotAbort: both versions fail while much is asked of what they run on. The live version evaluates the canary's requests when it
// is quiet again, and fails in none of them.
func TestLoadDoesNotAbort(t *testing.T) {
	const runs, bursts, clients, level = 20, 8, 8, 0.1
	aborted, failed := 0, int64(0)
	for run := range runs {
		var flying atomic.Int64
		busy := func(ctx context.Context, rows *schema.Batch, out *serve.Output) error {
			defer flying.Add(-1)
			flying.Add(1)
			time.Sleep(500 * time.Microsecond)
			if flying.Load() >= 4 {
				return errBad
			}
			return constant(1, 0)(ctx, rows, out)
		}
		s, split := splitting(t, busy, busy, func(o *serve.SplitOptions, other *serve.Bound) {
			o.Canary, o.Percent, o.FalseAbort = other, 50, level
		})
		for i := range bursts {
			var wg sync.WaitGroup
			for j := range clients {
				wg.Add(1)
				go func() {
					defer wg.Done()
					_, _ = answered(t, s, fmt.Sprint(run, " ", i, " ", j), "", nil, int64(i*clients+j))
				}()
			}
			wg.Wait()
			quiet(t, split)
		}
		if split.Tripped() != "" {
			aborted++
		}
		failed += split.Canary().Compared().Failed
	}
	if failed < runs*bursts {
		t.Errorf("only %d requests failed: the load does nothing", failed)
	}
	notAborted(t, aborted, runs, level)
}

// quiet waits until nothing is to be compared any more.
func quiet(t *testing.T, split *serve.Split) {
	t.Helper()
	for range 5000 {
		if c := split.Canary().Compared(); c.Pairs+c.Dropped >= c.Answered {
			return
		}
		time.Sleep(100 * time.Microsecond)
	}
	t.Fatalf("not compared: %+v", split.Canary().Compared())
}

// TestWorseCanaryAborts: whatever way a canary has not to answer, it is aborted, soon, and what it did is counted.
func TestWorseCanaryAborts(t *testing.T) {
	busy := func(context.Context, *schema.Batch, *serve.Output) error {
		return assay.Errorf(assay.Unavailable, "no worker is up")
	}
	hangs := func(ctx context.Context, _ *schema.Batch, _ *serve.Output) error { <-ctx.Done(); return ctx.Err() }
	narrow := schema.New("in")
	lo, hi := schema.Int(0), schema.Int(0)
	narrow.Columns = []schema.Column{{Name: "age", Type: assay.TypeInteger, NotNull: &schema.NotNull{}, Range: &schema.Range{Min: &lo, Max: &hi}}}
	for _, x := range []struct {
		name    string
		predict answers
		input   *schema.Schema
		set     serve.SplitOptions
		most    int64 // requests to the canary until it is gone
		says    string
	}{
		{name: "is busy", predict: busy, set: serve.SplitOptions{Percent: 5}, most: 5, says: "it failed in"},
		{name: "is busy, for all", predict: busy, set: serve.SplitOptions{Percent: 100}, most: 40, says: "it failed in"},
		{name: "is busy, by header", predict: busy, set: serve.SplitOptions{Percent: 1, Header: "X-Canary"}, most: 40, says: "rows that one alone did not answer"},
		{name: "hangs", predict: hangs, set: serve.SplitOptions{Percent: 20}, most: 8, says: "it failed in"},
		{name: "hangs, sticky", predict: hangs, set: serve.SplitOptions{Percent: 20, Sticky: "X-User"}, most: 8, says: "it failed in"},
		{name: "hangs, sticky column", predict: hangs, set: serve.SplitOptions{Percent: 20, StickyColumn: "age"}, most: 8, says: "it failed in"},
		{name: "refuses", predict: constant(1, 0), input: narrow, set: serve.SplitOptions{Percent: 5}, most: 6, says: "it refused"},
		{name: "refuses, sticky", predict: constant(1, 0), input: narrow, set: serve.SplitOptions{Percent: 20, Sticky: "X-User"}, most: 10, says: "it refused"},
		{name: "refuses, for all", predict: constant(1, 0), input: narrow, set: serve.SplitOptions{Percent: 100}, most: 40, says: "it refused 9 of 9 requests, version 1 0 of 0; of 9 rows"},
	} {
		t.Run(x.name, func(t *testing.T) {
			t.Parallel()
			s := serve.New(serve.Options{Clock: time.Now, Nonce: "test", Timeout: 10 * time.Millisecond})
			one := bind(t, s, binding(1, &engine{predict: constant(1, 0)}))
			b := binding(2, &engine{predict: x.predict})
			if x.input != nil {
				b.Input = x.input
			}
			two := bind(t, s, b)
			x.set.Live, x.set.Canary = one, two
			split, err := serve.NewSplit(x.set)
			if err != nil {
				t.Fatal(err)
			}
			s.Route("m", serve.Route{Live: one, Versions: []*serve.Bound{one, two}, Split: split})
			sent := 0
			for ; sent < 3000 && split.Tripped() == ""; sent++ {
				header := map[string]string{"X-User": fmt.Sprint(sent)}
				if x.set.Header != "" {
					header["X-Canary"] = "true"
				}
				_, _ = answered(t, s, fmt.Sprint("request ", sent), "", header, int64(1+sent%110))
				if x.set.Percent == 100 || x.set.Header != "" {
					quiet(t, split)
				}
			}
			c := split.Canary().Compared()
			t.Logf("gone after %d requests, %d of them the canary's: %s", sent, c.Answered, split.Tripped())
			if split.Tripped() == "" || c.Answered > x.most || !strings.Contains(split.Tripped(), x.says) {
				t.Errorf("after %d requests, %d of them the canary's: %q", sent, c.Answered, split.Tripped())
			}
			if c.Failed+c.Refused != c.Answered || c.LiveFailed+c.LiveRefused != 0 {
				t.Errorf("counted %+v", c)
			}
			if err := s.Close(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestClientsThatGoAway: who is gone when the version would have answered had no answer from it.
func TestClientsThatGoAway(t *testing.T) {
	hangs := func(ctx context.Context, _ *schema.Batch, _ *serve.Output) error { <-ctx.Done(); return ctx.Err() }
	s, split := splitting(t, constant(1, 0), hangs, canary(10))
	for i := 0; i < 500 && split.Tripped() == ""; i++ {
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		c, err := s.BeginWith("test", "m", "", fmt.Sprint(i), nil)
		if err != nil {
			t.Fatal(err)
		}
		c.Rows.Add(1)
		c.Rows.SetInt(0, 0, 1)
		_ = c.Predict(ctx)
		c.End()
		cancel()
	}
	if got := split.Tripped(); !strings.Contains(got, "it failed in") {
		t.Errorf("aborted for %q", got)
	}
}

// TestRefusedRowsDoNotAbort: rows that neither version takes, sent again and again, and text where both want a number, say nothing.
func TestRefusedRowsDoNotAbort(t *testing.T) {
	const runs, level = 60, 0.1
	aborted := 0
	for run := range runs {
		s, split := splitting(t, constant(1, 0), constant(1, 0), func(o *serve.SplitOptions, other *serve.Bound) {
			o.Canary, o.Percent, o.FalseAbort = other, 20, level
		})
		for i := range 100 {
			for range 3 {
				c, err := s.BeginWith("test", "m", "", fmt.Sprint(run, " ", i), nil)
				if err != nil {
					t.Fatal(err)
				}
				c.Rows.Add(1)
				if i%2 == 0 {
					c.Rows.SetInt(0, 0, 500)
				} else {
					c.Rows.SetText(0, 0, []byte("old"))
				}
				_ = c.Predict(t.Context())
				c.End()
			}
		}
		if split.Tripped() != "" {
			aborted++
		}
	}
	notAborted(t, aborted, runs, level)
}

// TestTwiceTheFailures: a canary that fails twice as often is found, and one that fails as often hardly ever, in the same traffic.
func TestTwiceTheFailures(t *testing.T) {
	const runs, length, level, rate = 20, 4000, 0.01, 0.05
	for _, times := range []float64{1, 2, 4} {
		var gone []int
		for run := range runs {
			r := stat.NewRand(7, uint64(run), uint64(times))
			var lock sync.Mutex
			failing := func(rate float64) answers {
				return func(ctx context.Context, rows *schema.Batch, out *serve.Output) error {
					lock.Lock()
					defer lock.Unlock()
					if r.Float64() < rate {
						return errBad
					}
					return constant(1, 0)(ctx, rows, out)
				}
			}
			s, split := splitting(t, failing(rate), failing(times*rate), func(o *serve.SplitOptions, other *serve.Bound) {
				o.Canary, o.Percent, o.FalseAbort = other, 50, level
			})
			for i := range length {
				_, _ = answered(t, s, fmt.Sprint(run, " ", i), "", nil, int64(i%110))
				if split.Tripped() != "" {
					gone = append(gone, i+1)
					break
				}
			}
		}
		slices.Sort(gone)
		if times == 1 {
			notAborted(t, len(gone), runs, level)
			continue
		}
		if len(gone) < runs*9/10 {
			t.Fatalf("%v times the failures: %d of %d runs were aborted", times, len(gone), runs)
		}
		t.Logf("%v times the failures: after %d requests in the median", times, gone[len(gone)/2])
	}
}
