package monitor_test

import (
	"context"
	"fmt"
	"math"
	"testing"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/assaytest"
	"github.com/assay-ml/assay/internal/monitor"
	"github.com/assay-ml/assay/internal/table"
	"github.com/assay-ml/assay/learn"
	"github.com/assay-ml/assay/stat"
)

// A world makes rows that came together alike: value is what is added to x, which varies by a standard deviation of 1, in that hour of that day.
type world struct {
	name    string
	window  string
	traffic float64 // of live days, by that of the training data
	value   func(day, hour int, days []float64) float64
	missing bool // a share of s is missing, which every day has of its own
	text    bool // of t no value comes twice
	shift   float64
	persist float64 // of the days: how much of one is left on the next
}

const worldDay = 300 // rows that came in one day of the training data, a fifth of them held out and three fifths to learn from

// rows are those of so many days.
func (w world) rows(days int, traffic, shift float64, stream ...uint64) assay.Frame {
	g := stat.NewRand(41, stream...)
	f := assay.Frame{
		{Name: "x", Type: assay.TypeNumber},
		{Name: "w", Type: assay.TypeNumber},
		{Name: "s", Type: assay.TypeNumber},
		{Name: "at", Type: assay.TypeNumber},
		{Name: "y", Type: assay.TypeString, Levels: []string{"no", "yes"}},
		{Name: "t", Type: assay.TypeString},
	}
	effects := make([]float64, days)
	for d := range effects {
		if effects[d] = g.Normal(); d > 0 {
			effects[d] = w.persist*effects[d-1] + math.Sqrt(1-w.persist*w.persist)*effects[d]
		}
	}
	for d := range days {
		a, b := g.Gamma(2), g.Gamma(38)
		n := int(worldDay * traffic)
		for i := range n {
			hour := 24 * i / n
			x := g.Normal() + shift
			if w.value != nil {
				x += w.value(d, hour, effects)
			}
			s := g.Normal()
			if w.missing && g.Float64() < a/(a+b) {
				s = math.NaN()
			}
			v := g.Normal()
			f[0].Floats, f[1].Floats, f[2].Floats = append(f[0].Floats, x), append(f[1].Floats, v), append(f[2].Floats, s)
			f[3].Floats = append(f[3].Floats, float64(86400*d)+86400*float64(i)/float64(n))
			y := int32(0)
			if g.Float64() < 1/(1+math.Exp(-1.2*v-x/2)) {
				y = 1
			}
			f[4].Codes = append(f[4].Codes, y)
			f[5].Codes = append(f[5].Codes, int32(len(f[5].Levels)))
			if w.text {
				f[5].Levels = append(f[5].Levels, fmt.Sprintf("u%016x", g.Uint64()))
			} else if len(f[5].Levels) == 0 {
				f[5].Levels = []string{"a", "b"}
			}
			if !w.text {
				f[5].Codes[len(f[5].Codes)-1] = int32(g.Intn(2))
			}
		}
	}
	return f
}

// timestamped is a frame as a table in which at is a timestamp, from a Monday on.
func timestamped(t testing.TB, e *table.Engine, f assay.Frame) *table.Table {
	t.Helper()
	x := tableOf(t, e, f)
	fields := x.Fields()
	for i := range fields {
		if fields[i].Name == "at" {
			fields[i].Type = assay.TypeTimestamp
		}
	}
	y, err := x.Select(context.Background(), "SELECT * REPLACE (make_timestamp(CAST((\"at\" + 1704067200) * 1000000 AS BIGINT)) AS \"at\") FROM "+x.Relation(), fields)
	if err != nil {
		t.Fatal(err)
	}
	return y
}

// part is every k-th row of the frame from some on, and of five.
func part(f assay.Frame, of ...int) assay.Frame {
	var rows []int
	for i := range f.Rows() {
		for _, k := range of {
			if i%5 == k {
				rows = append(rows, i)
			}
		}
	}
	return f.Take(rows)
}

// TestWorldsWithoutDrift: where rows that came together are alike, and nothing has changed since training, the alarms a year are those that the plan allows,
// whatever the traffic is; a change beyond what days differ by is found. The table in docs/performance.d/drift.md is what this logs.
func TestWorldsWithoutDrift(t *testing.T) {
	e, err := table.Open(context.Background(), table.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	assaytest.NoSlowJoins(t, e.Explain)
	ctx := context.Background()
	daily := func(d, _ int, days []float64) float64 { return 0.2 * days[d] }
	worlds := []world{
		{name: "days differ, four times the traffic", window: "1d", traffic: 4, value: daily, shift: 1},
		{name: "weekends", window: "1d", traffic: 1, shift: 2, value: func(d, _ int, _ []float64) float64 {
			if d%7 >= 5 {
				return 1
			}
			return 0
		}},
		{name: "days differ", window: "1d", traffic: 1, value: daily, shift: 1},
		{name: "hours", window: "6h", traffic: 4, shift: 2, value: func(_, h int, _ []float64) float64 { return 0.8 * math.Sin(2*math.Pi*float64(h)/24) }},
		{name: "days like the day before", window: "1d", traffic: 1, value: daily, persist: 0.7, shift: 1.2},
		{name: "weeks of days like the day before", window: "1w", traffic: 1, value: daily, persist: 0.7, shift: 1},
		{name: "missing values by day", window: "1d", traffic: 1, missing: true, shift: 0.7},
		{name: "text that never comes twice", window: "1d", traffic: 1, text: true, shift: 0.7},
		{name: "independent rows", window: "1d", traffic: 1, shift: 0.7},
	}
	learned, live, of := 140, 28, worlds[:2]
	if assaytest.Full() && !assaytest.Race {
		learned, live, of = 210, 364, worlds
	}
	for i, w := range of {
		t.Run(w.name, func(t *testing.T) {
			all := w.rows(learned, 1, 0, 1, uint64(i))
			train, held := part(all, 0, 1, 2), part(all, 3)
			m, err := learn.Fit(ctx, learn.Spec{Learner: "logistic_regression", Task: assay.Binary, Target: learn.Target{Name: "y", Type: assay.TypeString, Classes: []string{"no", "yes"}, Positive: "yes"}},
				learn.Data{X: train[:2], Labels: train[4].Codes})
			if err != nil {
				t.Fatal(err)
			}
			b, err := m.ONNX()
			if err != nil {
				t.Fatal(err)
			}
			predictor, err := learn.Open(b, learn.Limits{})
			if err != nil {
				t.Fatal(err)
			}
			model := monitor.Model{Predictor: predictor, Inputs: []string{"x", "w"}, Task: assay.Binary, Positive: "yes", Threads: 2}
			p, err := monitor.NewPlan(ctx, monitor.Subject{
				Train: timestamped(t, e, train), Held: timestamped(t, e, held), Columns: []string{"x", "w", "s", "t"}, Target: "y", Time: "at", Rows: int64(all.Rows()), Model: model,
			}, monitor.Settings{Windows: window(t, w.window), MinRows: 100, Seed: 3, Replicates: 1000})
			if err != nil {
				t.Fatal(err)
			}
			watch := openPlan(t, p)
			count := func(days int, shift float64, stream uint64) (alarms, windows int) {
				f := w.rows(days, w.traffic, shift, stream, uint64(i))
				x := timestamped(t, e, f)
				defer x.Drop(ctx)
				seen, err := watch.Run(ctx, monitor.Traffic{Table: x, By: "at", Model: &model})
				if err != nil {
					t.Fatal(err)
				}
				for _, j := range seen.Windows {
					if j.Drift.Verdict == assay.Fail {
						alarms++
					}
				}
				return alarms, len(seen.Windows)
			}
			k, n := count(live, 0, 2)
			allowed := p.Monitor.Budget.FalseAlarmsPerYear
			yearly := p.Monitor.Budget.WindowsPerYear
			share := stat.Proportion(float64(k), float64(n), 0.95, stat.ClopperPearson)
			found, of := count(28, w.shift, 3)
			t.Logf("| %s | %s | %d of %d | %.1f [%.1f, %.1f] | %+.1f: %d of %d |", w.name, w.window, k, n, share.Value*yearly, share.Lo*yearly, share.Hi*yearly, w.shift, found, of)
			if share.Lo*yearly > allowed {
				t.Errorf("%s alarms of windows without a change; %v a year are allowed", share, allowed)
			}
			if persist := p.Monitor.Signals[0].Persist; float64(found) < 0.8*float64(of-persist+1) {
				t.Errorf("a change by %v is an alarm in %d of %d windows", w.shift, found, of)
			}
		})
	}
}

// TestTrafficOfAllParts: how many windows by count come in a year follows from the rows of all parts, where they came in the same time.
func TestTrafficOfAllParts(t *testing.T) {
	e, err := table.Open(context.Background(), table.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	assaytest.NoSlowJoins(t, e.Explain)
	all := world{}.rows(30, 1, 0, 1)
	model := monitor.Model{Inputs: []string{"x", "w"}, Task: assay.Binary, Positive: "yes"}
	yearly := func(train, held assay.Frame) float64 {
		answers := learn.Prediction{Classes: []string{"no", "yes"}, Labels: make([]int32, held.Rows())}
		p, err := monitor.NewPlan(context.Background(), monitor.Subject{
			Train: timestamped(t, e, train), Held: timestamped(t, e, held), Columns: []string{"x"}, Target: "y", Time: "at", Rows: int64(all.Rows()), Model: model, Answers: &answers,
		}, monitor.Settings{Windows: window(t, fmt.Sprintf("%d rows", worldDay)), Joint: []string{}})
		if err != nil {
			t.Fatal(err)
		}
		return p.Monitor.Budget.WindowsPerYear
	}
	for name, got := range map[string]float64{
		"parts of every day":       yearly(part(all, 0, 1, 2), part(all, 3)),
		"one part after the other": yearly(all.Take(upTo(0, 18*worldDay)), all.Take(upTo(18*worldDay, 24*worldDay))),
	} {
		if math.Abs(got-365.2) > 4 {
			t.Errorf("%s: %v windows a year", name, got)
		}
	}
}

func upTo(from, to int) (out []int) {
	for i := from; i < to; i++ {
		out = append(out, i)
	}
	return out
}
