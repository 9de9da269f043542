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
	"github.com/assay-ml/assay/internal/assaytest"
	"github.com/assay-ml/assay/internal/schema"
	"github.com/assay-ml/assay/internal/serve"
)

// engine answers what a test says.
type engine struct {
	predict func(ctx context.Context, rows *schema.Batch, out *serve.Output) error
	closed  atomic.Bool
}

func (e *engine) Predict(ctx context.Context, rows *schema.Batch, out *serve.Output) error {
	if e.closed.Load() {
		return errors.New("evaluated after it was closed")
	}
	return e.predict(ctx, rows, out)
}
func (e *engine) Close() error { e.closed.Store(true); return nil }

// constant answers the same probabilities for every row.
func constant(p ...float64) func(context.Context, *schema.Batch, *serve.Output) error {
	return func(_ context.Context, rows *schema.Batch, out *serve.Output) error {
		for range rows.Rows() {
			out.Labels, out.Proba = append(out.Labels, 0), append(out.Proba, p...)
		}
		return nil
	}
}

func server(o serve.Options) *serve.Server {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	o.Clock, o.Nonce = func() time.Time { return at }, "test"
	s := serve.New(o)
	s.SetReady(true)
	return s
}

func binding(number int, e serve.Engine) serve.Binding {
	in := schema.New("in")
	lo, hi := schema.Int(0), schema.Int(120)
	in.Columns = []schema.Column{{Name: "age", Type: assay.TypeInteger, NotNull: &schema.NotNull{}, Range: &schema.Range{Min: &lo, Max: &hi}}}
	classes := []string{"no", "yes"}
	return serve.Binding{Name: "m", Number: number, Task: assay.Binary, Classes: classes, Input: in, Output: serve.OutputSchema("out", classes, true), Engine: e}
}

func bind(t testing.TB, s *serve.Server, b serve.Binding) *serve.Bound {
	t.Helper()
	v, err := s.Bind(b)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// ask sends ages through the default version.
func ask(ctx context.Context, s *serve.Server, ages ...int64) (*serve.Call, error) {
	c, err := s.Begin("test", "m", "", "")
	if err != nil {
		return nil, err
	}
	c.Rows.Add(len(ages))
	for i, a := range ages {
		c.Rows.SetInt(i, 0, a)
	}
	return c, c.Predict(ctx)
}

func TestPredict(t *testing.T) {
	s := server(serve.Options{MaxRows: 3})
	b := bind(t, s, binding(1, &engine{predict: constant(0.25, 0.75)}))
	s.Set("m", b, b)
	for _, c := range []struct {
		name string
		ages []int64
		code assay.Code
		says string
	}{
		{"fits", []int64{1, 2}, "", ""},
		{"no rows", nil, assay.Invalid, "the request has no rows"},
		{"too many rows", []int64{1, 2, 3, 4}, assay.Invalid, "the request has 4 rows, more than the 3 that are allowed"},
		{"a row out of range", []int64{1, 500}, assay.Rejected, "the rows do not fit the input schema: row 1: age must be between 0 and 120"},
	} {
		t.Run(c.name, func(t *testing.T) {
			call, err := ask(t.Context(), s, c.ages...)
			defer call.End()
			if assay.CodeOf(err) != c.code || err != nil && err.Error() != c.says {
				t.Fatalf("%s: %v", assay.CodeOf(err), err)
			}
			if err == nil && (len(call.Output.Labels) != len(c.ages) || call.Output.Proba[1] != 0.75) {
				t.Errorf("answered %+v", call.Output)
			}
		})
	}
	tally := s.Tallies()[0]
	if tally.Requests["answered"] != 1 || tally.Requests["malformed"] != 2 || tally.Requests["refused"] != 1 || tally.Rows["refused"] != 2 {
		t.Errorf("counted %+v", tally)
	}
}

// TestOutputIsChecked lets an engine answer all that it must not.
func TestOutputIsChecked(t *testing.T) {
	nan := math.NaN()
	for name, predict := range map[string]func(context.Context, *schema.Batch, *serve.Output) error{
		"NaN":      constant(nan, nan),
		"infinite": constant(math.Inf(1), 0),
		"negative": constant(-0.5, 1.5),
		"sum":      constant(0.5, 0.6),
		"too few": func(_ context.Context, _ *schema.Batch, o *serve.Output) error {
			o.Labels = append(o.Labels, 0)
			return nil
		},
		"unknown class": func(_ context.Context, r *schema.Batch, o *serve.Output) error { o.Labels = []int32{-1, 7}; return nil },
		"half the columns": func(_ context.Context, r *schema.Batch, o *serve.Output) error {
			o.Labels = []int32{0, 0}
			o.Proba = []float64{1, 0, 1}
			return nil
		},
		"an error": func(context.Context, *schema.Batch, *serve.Output) error {
			return errors.New("disk on fire at /secret/path")
		},
		"nothing whatever":  func(context.Context, *schema.Batch, *serve.Output) error { return nil },
		"probability a NaN": constant(1, nan),
	} {
		t.Run(name, func(t *testing.T) {
			s := server(serve.Options{})
			b := bind(t, s, binding(1, &engine{predict: predict}))
			s.Set("m", b, b)
			c, err := ask(t.Context(), s, 1, 2)
			defer c.End()
			if assay.CodeOf(err) != assay.Internal || c.Incident == "" || !strings.Contains(err.Error(), c.Incident) || strings.Contains(err.Error(), "secret") {
				t.Fatalf("%v, incident %q", err, c.Incident)
			}
			if c.Outcome != serve.Failed || c.Err == nil {
				t.Errorf("the log would not say why: %v", c.Err)
			}
		})
	}
}

// TestFallbackIsChecked: a fallback that could not be answered is refused at binding, with all that is wrong.
func TestFallbackIsChecked(t *testing.T) {
	s := server(serve.Options{})
	for _, x := range []struct {
		policy serve.Policy
		says   string
	}{
		{serve.Policy{OnInvalid: "fallback"}, "rows that do not fit get the fallback, and there is none"},
		{serve.Policy{OnOutlier: "fallback"}, "rows out of distribution get the fallback, and there is none"},
		{serve.Policy{Fallback: &serve.Fallback{Label: "perhaps", Proba: []float64{1}}}, `the fallback's label "perhaps" is none of the classes [no yes]`},
		{serve.Policy{Fallback: &serve.Fallback{Label: "perhaps", Proba: []float64{1}}}, "the fallback has 1 probabilities, the model's answers have 2"},
		{serve.Policy{Fallback: &serve.Fallback{Label: "no", Proba: []float64{0.5, 0.6}}}, "the fallback: row 0: the probabilities do not sum to 1"},
		{serve.Policy{Fallback: &serve.Fallback{Label: "no", Proba: []float64{0.5, math.NaN()}}}, "the fallback: row 0"},
	} {
		b := binding(1, &engine{predict: constant(1, 0)})
		b.Policy = x.policy
		if _, err := s.Bind(b); assay.CodeOf(err) != assay.Invalid || !strings.Contains(err.Error(), x.says) {
			t.Errorf("%+v: %v", x.policy, err)
		}
	}
}

// TestFallbackRule: a rule answers where it has a value, the constant where it has none; an engine that fails is replaced, too.
func TestFallbackRule(t *testing.T) {
	s := server(serve.Options{})
	x := binding(1, &engine{predict: func(context.Context, *schema.Batch, *serve.Output) error { return errors.New("broken") }})
	x.Positive = "yes"
	x.Policy = serve.Policy{Fallback: &serve.Fallback{Label: "no", Proba: []float64{0.9, 0.1}, Eval: func(rows *schema.Batch, row int) (float64, bool) {
		return rows.Float(row, 0) / 100, rows.Float(row, 0) <= 100
	}}}
	b := bind(t, s, x)
	s.Set("m", b, b)
	c, err := ask(t.Context(), s, 80, 20, 110)
	if err != nil || !c.Fallback || c.Outcome != serve.Answered {
		t.Fatalf("%v, fallback %v", err, c.Fallback)
	}
	if got := fmt.Sprint(c.Output.Labels, c.Output.Proba); got != "[1 0 0] [0.19999999999999996 0.8 0.8 0.2 0.9 0.1]" {
		t.Errorf("answered %s", got)
	}
	c.End()
	if n := s.Tallies()[0]; n.Withheld != 1 || n.Fallback != 1 {
		t.Errorf("counted %+v", n)
	}
}

// TestFallback answers what was declared where the request does not fit, and where the answer does not.
func TestFallback(t *testing.T) {
	s := server(serve.Options{})
	x := binding(1, &engine{predict: constant(math.NaN(), 0)})
	x.Policy = serve.Policy{OnInvalid: "fallback", Fallback: &serve.Fallback{Label: "yes", Proba: []float64{0.4, 0.6}}}
	b := bind(t, s, x)
	s.Set("m", b, b)
	for _, age := range []int64{1, 500} {
		c, err := ask(t.Context(), s, age)
		if err != nil || !c.Fallback || c.Output.Labels[0] != 1 || c.Output.Proba[1] != 0.6 {
			t.Errorf("age %d: %v, %+v", age, err, c.Output)
		}
		c.End()
	}
	if n := s.Tallies()[0].Fallback; n != 2 {
		t.Errorf("%d fallbacks counted", n)
	}
}

// TestSwapLosesNothing changes the version under load: every request is answered by one of the two, and a version is closed only
// after its last request.
func TestSwapLosesNothing(t *testing.T) {
	s := server(serve.Options{})
	var engines []*engine
	next := func(n int) *serve.Bound {
		e := &engine{predict: constant(0.5, 0.5)}
		engines = append(engines, e)
		return bind(t, s, binding(n, e))
	}
	b := next(1)
	s.Set("m", b, b)
	var stop atomic.Bool
	var wg sync.WaitGroup
	var asked atomic.Int64
	for range 4 {
		wg.Go(func() {
			for !stop.Load() {
				c, err := ask(context.Background(), s, 3)
				if err != nil {
					t.Errorf("a request failed: %v, %v", err, c)
					return
				}
				asked.Add(1)
				c.End()
			}
		})
	}
	for n := 2; n < 200; n++ {
		b := next(n)
		s.Set("m", b, b)
	}
	for asked.Load() == 0 {
		time.Sleep(time.Millisecond)
	}
	stop.Store(true)
	wg.Wait()
	if err := s.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	for i, e := range engines {
		if !e.closed.Load() {
			t.Errorf("version %d was never closed", i+1)
		}
	}
	if _, err := ask(t.Context(), s, 1); assay.CodeOf(err) != assay.NotFound {
		t.Errorf("a closed server answered: %v", err)
	}
}

// blocking binds a version whose engine says when it was entered and ends when it is let go.
func blocking(t *testing.T, s *serve.Server) (enter, leave chan bool) {
	enter, leave = make(chan bool, 8), make(chan bool)
	b := bind(t, s, binding(1, &engine{predict: func(ctx context.Context, r *schema.Batch, o *serve.Output) error {
		enter <- true
		<-leave
		return constant(1, 0)(ctx, r, o)
	}}))
	s.Set("m", b, b)
	return enter, leave
}

// later sends one request on its own and gives its error.
func later(s *serve.Server) chan error {
	result := make(chan error, 1)
	go func() {
		c, err := ask(context.Background(), s, 1)
		c.End()
		result <- err
	}()
	return result
}

// TestShedding fills the server: what has no room is turned away at once, and what waited gets its turn.
func TestShedding(t *testing.T) {
	s := server(serve.Options{Concurrent: 1, MaxQueue: 1})
	enter, leave := blocking(t, s)
	first := later(s)
	<-enter
	second := later(s)
	for s.Waiting() == 0 {
		time.Sleep(time.Millisecond)
	}
	c, err := ask(t.Context(), s, 1)
	c.End()
	if !serve.Busy(err) || assay.CodeOf(err) != assay.Unavailable {
		t.Errorf("a third request was not turned away: %v", err)
	}
	close(leave)
	if err := errors.Join(<-first, <-second); err != nil {
		t.Error(err)
	}
}

// TestTimeout lets requests run and wait for longer than they may.
func TestTimeout(t *testing.T) {
	s := server(serve.Options{Concurrent: 1, Timeout: 50 * time.Millisecond})
	enter := make(chan bool)
	waited := make(chan error)
	b := bind(t, s, binding(1, &engine{predict: func(ctx context.Context, r *schema.Batch, o *serve.Output) error {
		enter <- true
		<-ctx.Done() // it has run too long, and answers all the same
		waited <- <-later(s)
		return constant(1, 0)(ctx, r, o)
	}}))
	s.Set("m", b, b)
	runs := later(s)
	<-enter
	if err := <-waited; assay.CodeOf(err) != assay.Unavailable || serve.Busy(err) {
		t.Errorf("a request that waited too long: %v", err)
	}
	if err := <-runs; assay.CodeOf(err) != assay.Unavailable || serve.Busy(err) {
		t.Errorf("a request that ran too long was answered: %v", err)
	}
}

// TestUnknownNames asks for what is not served.
func TestUnknownNames(t *testing.T) {
	s := server(serve.Options{})
	if _, err := s.Begin("test", "", "", ""); assay.CodeOf(err) != assay.Unavailable {
		t.Errorf("no model: %v", err)
	}
	b := bind(t, s, binding(3, &engine{predict: constant(1, 0)}))
	s.Set("m", b, b)
	s.Set("other", nil, bind(t, s, binding(1, &engine{predict: constant(1, 0)})))
	for _, c := range []struct{ name, version, says string }{
		{"", "", "2 models are served: the request must name one"},
		{strings.Repeat("x", 300), "", `model "` + strings.Repeat("x", 100) + `…" is not served`},
		{"m", "4", `version 4 of model "m" is not served`},
		{"m", "latest", `"latest" is not a version of model "m": versions are numbers`},
		{"other", "", `no version of model "other" is in production`},
	} {
		if _, err := s.Begin("test", c.name, c.version, ""); err == nil || err.Error() != c.says {
			t.Errorf("%v", err)
		}
	}
	if c, err := s.Begin("test", "m", "3", "mine"); err != nil || c.ID != "mine" || fmt.Sprint(c.Version()) != "m:3" {
		t.Errorf("%v", err)
	}
}

// TestPredictAllocations guards the path of a request without violations.
func TestPredictAllocations(t *testing.T) {
	if assaytest.Race {
		t.Skip("the race detector makes pools forget")
	}
	s := server(serve.Options{})
	b := bind(t, s, binding(1, &engine{predict: constant(0.5, 0.5)}))
	s.Set("m", b, b)
	ctx := t.Context()
	one := func() {
		c, err := s.Begin("test", "m", "", "id")
		if err != nil {
			t.Fatal(err)
		}
		c.Rows.Add(1)
		c.Rows.SetInt(0, 0, 3)
		if err := c.Predict(ctx); err != nil {
			t.Fatal(err)
		}
		c.End()
	}
	if n := testing.AllocsPerRun(200, one); n > 4 { // a context with its deadline
		t.Errorf("%v allocations", n)
	}
}

// A threshold decides the class of every row, whatever the model itself says; classes without probabilities are no answer then.
func TestThreshold(t *testing.T) {
	ctx := context.Background()
	s := server(serve.Options{})
	b := binding(1, &engine{predict: func(_ context.Context, rows *schema.Batch, out *serve.Output) error {
		for row := range rows.Rows() {
			age, _ := rows.Int(row, 0)
			p := float64(age) / 100
			out.Labels, out.Proba = append(out.Labels, int32(row%2)), append(out.Proba, p, 1-p)
		}
		return nil
	}})
	b.Threshold = 0.2
	if _, err := s.Bind(b); assay.CodeOf(err) != assay.Invalid {
		t.Errorf("a threshold without a positive class: %v", err)
	}
	b.Positive = "no" // the first class
	v := bind(t, s, b)
	if err := v.WarmUp(ctx); err != nil {
		t.Fatal(err)
	}
	s.Set("m", v, v)
	c, err := ask(ctx, s, 0, 19, 20, 21, 50, 100)
	if err != nil || fmt.Sprint(c.Output.Labels) != "[1 1 0 0 0 0]" {
		t.Errorf("%v, %v", c.Output.Labels, err)
	}
	c.End()
	b.Number, b.Engine = 2, &engine{predict: func(_ context.Context, rows *schema.Batch, out *serve.Output) error {
		out.Labels = append(out.Labels, make([]int32, rows.Rows())...)
		return nil
	}}
	b.Output = serve.OutputSchema("out", b.Classes, false)
	v = bind(t, s, b)
	s.Set("m", v, v)
	c, err = ask(ctx, s, 1)
	if assay.CodeOf(err) != assay.Internal || !strings.Contains(c.Err.Error(), "answers classes without probabilities, and a row is no from a probability of 0.2 on") {
		t.Errorf("classes alone: %v", c.Err)
	}
	c.End()
}
