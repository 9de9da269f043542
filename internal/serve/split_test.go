package serve_test

import (
	"context"
	"errors"
	"fmt"
	"math"
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

type answers func(context.Context, *schema.Batch, *serve.Output) error

// splitting serves version 1 with version 2 beside it.
func splitting(t testing.TB, live, other answers, change func(o *serve.SplitOptions, other *serve.Bound)) (*serve.Server, *serve.Split) {
	t.Helper()
	s := server(serve.Options{})
	one, two := bind(t, s, binding(1, &engine{predict: live})), bind(t, s, binding(2, &engine{predict: other}))
	o := serve.SplitOptions{Live: one}
	change(&o, two)
	split, err := serve.NewSplit(o)
	if err != nil {
		t.Fatal(err)
	}
	s.Route("m", serve.Route{Live: one, Versions: []*serve.Bound{one, two}, Split: split})
	t.Cleanup(func() {
		if err := s.Close(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
	return s, split
}

func canary(percent float64) func(*serve.SplitOptions, *serve.Bound) {
	return func(o *serve.SplitOptions, other *serve.Bound) { o.Canary, o.Percent = other, percent }
}

// answered sends one request and returns the number of the version that answered.
func answered(t testing.TB, s *serve.Server, id, version string, header map[string]string, age int64) (int, error) {
	t.Helper()
	c, err := s.BeginWith("test", "m", version, id, func(name string) string { return header[name] })
	if err != nil {
		t.Fatal(err)
	}
	defer c.End()
	c.Rows.Add(1)
	c.Rows.SetInt(0, 0, age)
	err = c.Predict(t.Context())
	return c.Version().Number, err
}

func TestCanaryShare(t *testing.T) {
	const n = 40_000
	for _, percent := range []float64{0, 5, 50, 100} {
		s, _ := splitting(t, constant(1, 0), constant(1, 0), canary(percent))
		got := 0
		for range n {
			if v, err := answered(t, s, "", "", nil, 1); err != nil {
				t.Fatal(err)
			} else if v == 2 {
				got++
			}
		}
		p := percent / 100
		if limit := 4*math.Sqrt(n*p*(1-p)) + 0.5; math.Abs(float64(got)-n*p) > limit {
			t.Errorf("%v percent: %d of %d requests", percent, got, n)
		}
		if v, _ := answered(t, s, "", "1", nil, 1); v != 1 {
			t.Errorf("version 1 was asked for, %d answered", v)
		}
	}
}

// TestCanarySticks: a key keeps its version, on every server, and a larger share takes none away from the canary.
func TestCanarySticks(t *testing.T) {
	sticky := func(percent float64) *serve.Server {
		s, _ := splitting(t, constant(1, 0), constant(1, 0), func(o *serve.SplitOptions, other *serve.Bound) {
			o.Canary, o.Percent, o.Sticky, o.Header = other, percent, "X-User", "X-Canary"
		})
		return s
	}
	a, b, c := sticky(20), sticky(20), sticky(40)
	count := 0
	for i := range 2000 {
		user := map[string]string{"X-User": fmt.Sprintf("user %d", i)}
		x, _ := answered(t, a, "", "", user, 1)
		y, _ := answered(t, b, "", "", user, 2)
		z, _ := answered(t, c, "", "", user, 3)
		if x != y || x > z {
			t.Fatalf("user %d: versions %d, %d, %d", i, x, y, z)
		}
		count += x - 1
	}
	if math.Abs(float64(count)-400) > 4*math.Sqrt(2000*.2*.8) {
		t.Errorf("%d of 2000 users", count)
	}
	for _, x := range []struct {
		value string
		want  int
	}{{"true", 2}, {"never", 1}} {
		for i := range 50 {
			if v, _ := answered(t, a, "", "", map[string]string{"X-User": fmt.Sprint(i), "X-Canary": x.value}, 1); v != x.want {
				t.Fatalf("X-Canary %s: version %d", x.value, v)
			}
		}
	}
}

func TestCanarySticksToColumn(t *testing.T) {
	s, _ := splitting(t, constant(1, 0), constant(1, 0), func(o *serve.SplitOptions, other *serve.Bound) {
		o.Canary, o.Percent, o.StickyColumn = other, 50, "age"
	})
	seen := map[int]int{}
	for age := range int64(120) {
		first, err := answered(t, s, "", "", nil, age)
		if err != nil {
			t.Fatal(err)
		}
		seen[first]++
		for range 5 {
			if v, _ := answered(t, s, "", "", nil, age); v != first {
				t.Fatalf("age %d: version %d, then %d", age, first, v)
			}
		}
	}
	if seen[1] < 35 || seen[2] < 35 {
		t.Errorf("answered by version: %v", seen)
	}
}

func TestNewSplitRefuses(t *testing.T) {
	s := server(serve.Options{})
	one := bind(t, s, binding(1, &engine{predict: constant(1, 0)}))
	x := binding(2, &engine{predict: constant(1, 0)})
	x.Input = schema.New("in")
	x.Input.Columns = []schema.Column{{Name: "age", Type: assay.TypeNumber}}
	two := bind(t, s, x)
	_, err := serve.NewSplit(serve.SplitOptions{Live: one, Canary: two, Shadow: one, Percent: 101, StickyColumn: "age", Sticky: "X-User"})
	for _, says := range []string{"101 percent of the requests", "m:1 is live itself", "a header and a column to stick to; want one", "the input schemas of m:1 and m:2 differ: only a header can be stuck to"} {
		if assay.CodeOf(err) != assay.Invalid || !strings.Contains(err.Error(), says) {
			t.Errorf("%v does not say %q", err, says)
		}
	}
}

// byAge answers the probability age/200 of yes, plus what is added.
func byAge(add float64) answers {
	return func(_ context.Context, rows *schema.Batch, out *serve.Output) error {
		for i := range rows.Rows() {
			p := rows.Float(i, 0)/200 + add
			out.Proba = append(out.Proba, 1-p, p)
			label := int32(0)
			if p >= 0.5 {
				label = 1
			}
			out.Labels = append(out.Labels, label)
		}
		return nil
	}
}

// settled waits until a comparison has seen so many requests.
func settled(t *testing.T, c *serve.Comparison, requests int64) serve.Compared {
	t.Helper()
	for range 5000 {
		if x := c.Compared(); x.Pairs+x.Dropped >= requests {
			return x
		}
		time.Sleep(time.Millisecond)
	}
	t.Fatalf("%d requests were not compared: %+v", requests, c.Compared())
	return serve.Compared{}
}

// TestShadow: the shadow answers nobody and is compared row by row.
func TestShadow(t *testing.T) {
	s, split := splitting(t, byAge(0), byAge(0.1), func(o *serve.SplitOptions, other *serve.Bound) { o.Shadow = other })
	for age := range int64(120) {
		if v, err := answered(t, s, "", "", nil, age); v != 1 || err != nil {
			t.Fatalf("version %d: %v", v, err)
		}
		for split.Shadow().Compared().Pairs < age+1 { // so that none is dropped
			time.Sleep(50 * time.Microsecond)
		}
	}
	got := settled(t, split.Shadow(), 120)
	// Yes from 100 on without, from 80 on with a tenth more.
	if got.Pairs != 120 || got.Rows != 120 || got.Candidate != 2 || got.Live != 1 || math.Abs(got.Agreement.Value-100.0/120) > 1e-12 {
		t.Errorf("compared %+v", got)
	}
	if math.Abs(got.Difference.Value-0.1) > 1e-12 || !(got.Difference.Lo <= 0.1 && got.Difference.Hi >= 0.1) || math.Abs(got.PositiveRate.Value-20.0/120) > 1e-12 {
		t.Errorf("difference %+v, positives %+v", got.Difference, got.PositiveRate)
	}
	for _, tally := range s.Tallies() {
		if tally.Version == "2" && tally.Requests["answered"] != 0 {
			t.Error("requests to the shadow are counted as answered")
		}
	}
}

// TestShadowOfAnotherSchema gives the shadow its own columns, and counts rows that do not fit it as failures of the shadow alone.
func TestShadowOfAnotherSchema(t *testing.T) {
	s := server(serve.Options{})
	one := bind(t, s, binding(1, &engine{predict: byAge(0)}))
	x := binding(2, &engine{predict: func(_ context.Context, rows *schema.Batch, out *serve.Output) error {
		if rows.Float(0, 1) != 30 || !rows.Missing(0, 0) {
			return errors.New("the columns are mixed up")
		}
		out.Labels, out.Proba = append(out.Labels, 0), append(out.Proba, 0.85, 0.15)
		return nil
	}})
	most := schema.Int(50)
	x.Input = schema.New("other")
	x.Input.Columns = []schema.Column{{Name: "height", Type: assay.TypeNumber, Optional: true}, {Name: "age", Type: assay.TypeNumber, Range: &schema.Range{Max: &most}}}
	two := bind(t, s, x)
	split, err := serve.NewSplit(serve.SplitOptions{Live: one, Shadow: two})
	if err != nil {
		t.Fatal(err)
	}
	s.Route("m", serve.Route{Live: one, Versions: []*serve.Bound{one, two}, Split: split})
	for _, age := range []int64{30, 60} {
		if _, err := answered(t, s, "", "", nil, age); err != nil {
			t.Fatal(err)
		}
	}
	if got := settled(t, split.Shadow(), 2); got.OnlyCandidate != 1 || got.Rows != 1 || got.Agreement.Value != 1 {
		t.Errorf("compared %+v", got)
	}
	if err := s.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// TestShadowNeverSlows: a shadow that hangs takes no request with it; what it cannot take is dropped and counted.
func TestShadowNeverSlows(t *testing.T) {
	hang := make(chan struct{})
	s, split := splitting(t, constant(1, 0), func(context.Context, *schema.Batch, *serve.Output) error { <-hang; return nil }, func(o *serve.SplitOptions, other *serve.Bound) { o.Shadow = other })
	const n = 2000
	began := time.Now()
	for range n {
		if _, err := answered(t, s, "", "", nil, 1); err != nil {
			t.Fatal(err)
		}
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("%d requests took %v beside a shadow that hangs", n, took)
	}
	if got := split.Shadow().Compared(); got.Dropped < n-300 || got.Pairs != 0 {
		t.Errorf("compared %+v", got)
	}
	close(hang)
}

// TestCanaryAborts: one that fails is taken out of the traffic after a few requests, whichever of its answers is wrong.
func TestCanaryAborts(t *testing.T) {
	for name, bad := range map[string]answers{
		"fails":        func(context.Context, *schema.Batch, *serve.Output) error { return errors.New("broken") },
		"answers junk": constant(math.NaN(), 0.5),
	} {
		t.Run(name, func(t *testing.T) {
			s, split := splitting(t, constant(1, 0), bad, canary(10))
			failed := 0
			for i := 0; i < 20_000 && split.Tripped() == ""; i++ {
				if v, err := answered(t, s, "", "", nil, 1); err != nil {
					if v != 2 {
						t.Fatalf("version %d: %v", v, err)
					}
					failed++
				}
			}
			why := split.Tripped()
			t.Logf("after %d failures: %s", failed, why)
			if failed == 0 || failed > 20 || !strings.Contains(why, "it failed in") {
				t.Errorf("aborted after %d failed requests: %q", failed, why)
			}
			for range 500 {
				if v, err := answered(t, s, "", "", nil, 1); v != 1 || err != nil {
					t.Fatalf("after the abort version %d answered: %v", v, err)
				}
			}
		})
	}
}

// TestCanaryIsNotAbortedForNothing: versions that fail equally often, at times both, at times in bursts, are told apart in at most the
// stated share of the runs, though the rule looks after every request.
func TestCanaryIsNotAbortedForNothing(t *testing.T) {
	const runs, length, level = 300, 400, 0.1
	aborted := 0
	for run := range runs {
		r := stat.NewRand(5, uint64(run))
		var lock sync.Mutex
		fails := func(_ context.Context, rows *schema.Batch, out *serve.Output) error {
			lock.Lock()
			defer lock.Unlock()
			rate := 0.05
			if rows.Float(0, 0) > 100 {
				rate = 0.6
			}
			if r.Float64() < rate {
				return errors.New("bad luck")
			}
			return constant(1, 0)(t.Context(), rows, out)
		}
		s, split := splitting(t, fails, fails, func(o *serve.SplitOptions, other *serve.Bound) {
			o.Canary, o.Percent, o.FalseAbort = other, 30, level
		})
		for i := range length {
			_, _ = answered(t, s, "", "", nil, int64(i*7%120))
		}
		if split.Tripped() != "" {
			aborted++
		}
	}
	t.Logf("%d of %d runs were aborted", aborted, runs)
	if limit := level*runs + 3*math.Sqrt(runs*level*(1-level)); float64(aborted) > limit {
		t.Errorf("%d of %d runs were aborted, at most %v should be", aborted, runs, level*runs)
	}
}

// TestSplitUnderLoad swaps splits and versions under concurrent requests: none fails, and every version that left is closed.
func TestSplitUnderLoad(t *testing.T) {
	s := server(serve.Options{})
	make2 := func(n int) (*serve.Bound, *engine) {
		e := &engine{predict: byAge(0)}
		return bind(t, s, binding(n, e)), e
	}
	var engines []*engine
	live, e := make2(1)
	engines = append(engines, e)
	s.Set("m", live, live)
	var failed, sent atomic.Int64
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for range 4 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for {
				select {
				case <-stop:
					return
				default:
				}
				c, err := ask(context.Background(), s, 1, 50, 119)
				if err != nil {
					failed.Add(1)
				}
				c.End()
				sent.Add(1)
			}
		}()
	}
	for n := 2; n < 60; n++ {
		other, e := make2(n)
		engines = append(engines, e)
		split, err := serve.NewSplit(serve.SplitOptions{Live: live, Canary: other, Percent: 50})
		if err != nil {
			t.Fatal(err)
		}
		if n%2 == 0 {
			split, err = serve.NewSplit(serve.SplitOptions{Live: live, Shadow: other})
		}
		if err != nil {
			t.Fatal(err)
		}
		s.Route("m", serve.Route{Live: live, Versions: []*serve.Bound{live, other}, Split: split})
		time.Sleep(time.Millisecond)
		s.Set("m", other, other)
		live = other
	}
	close(stop)
	wg.Wait()
	if err := s.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if failed.Load() > 0 {
		t.Errorf("%d of %d requests failed", failed.Load(), sent.Load())
	}
	for i, e := range engines {
		if !e.closed.Load() {
			t.Errorf("version %d is not closed", i+1)
		}
	}
}
