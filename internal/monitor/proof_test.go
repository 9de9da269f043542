package monitor_test

import (
	"cmp"
	"context"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/examples"
	"github.com/assay-ml/assay/internal/assaytest"
	"github.com/assay-ml/assay/internal/monitor"
	"github.com/assay-ml/assay/internal/table"
	"github.com/assay-ml/assay/learn"
	"github.com/assay-ml/assay/stat"
)

// columns of the MA employment example, and those of them that are codes.
var (
	features = []string{"AGEP", "SCHL", "MAR", "RELP", "DIS", "ESP", "CIT", "MIG", "MIL", "ANC", "NATIVITY", "DEAR", "DEYE", "DREM", "SEX", "RAC1P"}
	codes    = []string{"MAR", "RELP", "DIS", "ESP", "CIT", "MIG", "MIL", "ANC", "NATIVITY", "DEAR", "DEYE", "DREM", "SEX", "RAC1P"}
)

// employment is the example of 2015 in memory.
func employment(t testing.TB, e *table.Engine) assay.Frame {
	t.Helper()
	b, err := examples.Employment.ReadFile("employment/train_2015.parquet")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "train.parquet")
	if err := os.WriteFile(path, b, 0o644); err != nil {
		t.Fatal(err)
	}
	x, err := e.Read(context.Background(), path, table.ReadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	f, err := x.Frame(context.Background(), append(append([]string{}, features...), "employed"), "")
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// logistic is a model of the example, fitted on some of its rows.
func logistic(t testing.TB, f assay.Frame) monitor.Model {
	t.Helper()
	rows := make([]int, 4000)
	for i := range rows {
		rows[i] = i * 7
	}
	f = f.Take(rows)
	x := f[:len(f)-1]
	labels := make([]int32, len(rows))
	for i, y := range f[len(f)-1].Floats {
		labels[i] = int32(y)
	}
	m, err := learn.Fit(context.Background(), learn.Spec{
		Learner: "logistic_regression", Task: assay.Binary, Categorical: codes,
		Target: learn.Target{Name: "employed", Type: assay.TypeInteger, Classes: []string{"0", "1"}, Positive: "1"},
	}, learn.Data{X: x, Labels: labels})
	if err != nil {
		t.Fatal(err)
	}
	b, err := m.ONNX()
	if err != nil {
		t.Fatal(err)
	}
	p, err := learn.Open(b, learn.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	return monitor.Model{Predictor: p, Inputs: features, Task: assay.Binary, Positive: "1", Threads: 2}
}

func tableOf(t testing.TB, e *table.Engine, f assay.Frame) *table.Table {
	t.Helper()
	x, err := e.FromFrame(context.Background(), f)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { x.Drop(context.Background()) })
	return x
}

// planOf plans on one sample, and watch opens the plan.
func planOf(t testing.TB, x *table.Table, m monitor.Model, o monitor.Settings) *monitor.Watch {
	t.Helper()
	p, err := monitor.NewPlan(context.Background(), monitor.Subject{Train: x, Held: x, Columns: features, Categorical: codes, Target: "employed", Model: m}, o)
	if err != nil {
		t.Fatal(err)
	}
	w := openPlan(t, p)
	return w
}

func window(t testing.TB, spec string) assay.WindowPlan {
	t.Helper()
	w, err := monitor.ParseWindow(spec)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// alarms counts windows that would be an alarm in three ways, and by which test.
type alarms struct {
	windows, plan, bare, five int64
	by                        map[string]int64 // by the plan
}

func (a *alarms) add(d assay.Drift, level float64) {
	var plan, bare, five bool
	if a.by == nil {
		a.by = map[string]int64{}
	}
	moved := map[string]bool{}
	for _, s := range d.Signals {
		if s.Verdict == assay.Fail {
			moved[s.Scope+" "+s.Test] = true
		}
		p := float64(s.Adjusted)
		bare = bare || p <= level
		five = five || p <= 0.05
		plan = plan || s.Verdict == assay.Fail
	}
	a.windows++
	for test := range moved {
		a.by[test]++
	}
	for _, x := range []struct {
		to *int64
		is bool
	}{{&a.plan, plan}, {&a.bare, bare}, {&a.five, five}} {
		if x.is {
			*x.to++
		}
	}
}

// On data without change, two disjoint random samples of one year, the share of windows with an alarm is within the budget; a real shift, where
// people of 65 and older come half as often again, is found. All tests are on: columns one by one, together, and detectors of changes. The peers on the same protocol are in docs/performance.d/monitor.md.
func TestAlarmsKeepTheBudget(t *testing.T) {
	e, err := table.Open(context.Background(), table.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	assaytest.NoSlowJoins(t, e.Explain)
	all := employment(t, e)
	model := logistic(t, all)
	full := os.Getenv("ASSAY_TEST_PROOF") != "" // half an hour and more: not a part of the full test command
	for _, size := range []int{500, 5000}[:assaytest.Size(1, 2)] {
		t.Run(strconv.Itoa(size), func(t *testing.T) { proveBudget(t, e, all, model, size, full) })
	}
}

// proveBudget judges windows of so many rows, with and without a change, each against a reference of its own.
func proveBudget(t *testing.T, e *table.Engine, all assay.Frame, model monitor.Model, size int, full bool) {
	reps, shifted := assaytest.Size(2, 8), assaytest.Size(1, 2)
	if size == 5000 {
		reps = assaytest.Size(1, 2)
	}
	if full {
		reps, shifted = 500, 500
		if n, err := strconv.Atoi(os.Getenv("ASSAY_TEST_PROOF")); err == nil && n > 1 { // a shorter proof, with wider intervals
			reps, shifted = n, n
		}
	}
	var same, moved, fresh alarms
	var level float64
	for rep := range max(reps, shifted) {
		g := stat.NewRand(11, uint64(size), uint64(rep))
		order := g.Perm(all.Rows())
		reference := tableOf(t, e, all.Take(order[:size]))
		w := planOf(t, reference, model, monitor.Settings{Windows: window(t, "1d"), Persistence: 1, MinRows: 100, Seed: uint64(rep), Events: monitor.EventTests(), EventColumns: []string{"AGEP", "SCHL"}})
		level = w.Plan().Budget.Level
		run := func(rows []int) assay.Drift {
			live := tableOf(t, e, all.Take(rows)[:len(features)])
			seen, err := w.Run(context.Background(), monitor.Traffic{Table: live, By: "", Model: &model, Whole: true})
			if err != nil {
				t.Fatal(err)
			}
			live.Drop(context.Background())
			return seen.Windows[0].Drift
		}
		if rep < reps {
			same.add(run(order[size:2*size]), level)
		}
		if rep < shifted && size == 5000 {
			moved.add(run(weighted(all, "AGEP", 65, order[size:], size, &g)), level)
			fresh.add(run(weighted(all, "SCHL", 21, order[size:], size, &g)), level)
		}
		reference.Drop(context.Background())
		if full && (rep+1)%25 == 0 {
			t.Logf("n = %d, after %d repetitions: no change %+v; AGEP %+v; SCHL %+v", size, rep+1, same, moved, fresh)
		}
	}
	for _, c := range []struct {
		name  string
		k     int64
		level float64
	}{{"plan (floor, budget)", same.plan, level}, {"budget without floor", same.bare, level}, {"level 0.05 without floor", same.five, 0.05}} {
		share := stat.Proportion(float64(c.k), float64(same.windows), 0.95, stat.Wilson)
		t.Logf("n = %d, no change, %s: %d of %d windows alarm, %s; allowed %.4f", size, c.name, c.k, same.windows, share, c.level)
		if tail := stat.Proportion(float64(c.k), float64(same.windows), 0.998, stat.ClopperPearson); tail.Lo > c.level {
			t.Errorf("n = %d, %s: %s of windows without change alarm, and %.4f are allowed", size, c.name, share, c.level)
		}
	}
	t.Logf("n = %d, no change, windows by test: %v", size, same.by)
	if size == 5000 {
		t.Logf("n = %d, weight 1.5 on AGEP ≥ 65, windows by test: %v", size, moved.by)
		share := stat.Proportion(float64(moved.plan), float64(moved.windows), 0.95, stat.Wilson)
		t.Logf("n = %d, weight 1.5 on AGEP ≥ 65: %d of %d windows alarm, %s", size, moved.plan, moved.windows, share)
		if share.Value < 0.95 {
			t.Errorf("the shift is found in %s of windows; want 0.95", share)
		}
		// Of a shift by which nothing was chosen, neither tests nor floor: it is measured, not demanded.
		share = stat.Proportion(float64(fresh.plan), float64(fresh.windows), 0.95, stat.Wilson)
		t.Logf("n = %d, weight 1.5 on SCHL ≥ 21: %d of %d windows alarm, %s", size, fresh.plan, fresh.windows, share)
	}
}

// weighted draws rows without replacement, with weight 1.5 where a column is at least so much (Efraimidis and Spirakis, 2006).
func weighted(f assay.Frame, column string, least float64, from []int, n int, g *stat.Rand) []int {
	x := f.Column(column).Floats
	keys := make([]float64, len(from))
	for i, r := range from {
		w := 1.0
		if x[r] >= least {
			w = 1.5
		}
		keys[i] = math.Log(g.Float64()) / w
	}
	order := make([]int, len(from))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int { return cmp.Compare(keys[b], keys[a]) })
	out := make([]int, n)
	for i := range out {
		out[i] = from[order[i]]
	}
	return out
}

// watchOf watches the columns of a reference alone.
func watchOf(t testing.TB, d *monitor.Document) *monitor.Watch {
	t.Helper()
	p, err := monitor.PlanOf(d, monitor.Settings{Windows: window(t, "1d"), MinRows: 100})
	if err != nil {
		t.Fatal(err)
	}
	w, err := monitor.Open(p.Monitor, func(assay.Digest) ([]byte, error) { return p.Documents[0], nil })
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// One bad row neither hides a real change nor fakes one.
func TestOneBadRow(t *testing.T) {
	e, err := table.Open(context.Background(), table.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	assaytest.NoSlowJoins(t, e.Explain)
	sample := func(n int, shift float64, stream uint64) []float64 {
		g := stat.NewRand(5, stream)
		x := make([]float64, n)
		for i := range x {
			x[i] = g.Normal() + shift
		}
		return x
	}
	column := func(x []float64) *table.Table {
		return tableOf(t, e, assay.Frame{{Name: "x", Type: assay.TypeNumber, Floats: x}})
	}
	d, _, err := monitor.Freeze(context.Background(), column(sample(5000, 0, 1)), []string{"x"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		shift, bad float64
		want       assay.Verdict
	}{
		"no change":                 {0, 0.1, assay.Pass},
		"no change, one bad row":    {0, 1e4, assay.Pass},
		"no change, one absurd row": {0, -1e300, assay.Pass},
		"no change, one infinity":   {0, math.Inf(1), assay.Pass},
		"no change, one missing":    {0, math.NaN(), assay.Pass},
		"a change":                  {1, 0.1, assay.Fail},
		"a change, one bad row":     {1, 1e4, assay.Fail},
		"a change, one absurd row":  {1, 1e300, assay.Fail},
		"a small change, one row":   {0.2, 1e4, assay.Fail},
		"a trifle, one bad row":     {0.02, 1e4, assay.Pass},
		"a trifle, one infinity":    {0.02, math.Inf(-1), assay.Pass},
	} {
		x := sample(5000, c.shift, 2)
		x[17] = c.bad
		seen, err := watchOf(t, d).Run(context.Background(), monitor.Traffic{Table: column(x), Whole: true})
		if err != nil {
			t.Fatal(err)
		}
		got := seen.Windows[0].Drift
		moved := assay.Pass
		for _, s := range got.Signals {
			if s.Verdict == assay.Fail {
				moved = assay.Fail
			}
		}
		if moved != c.want {
			t.Errorf("%s: %s, want %s: %+v", name, moved, c.want, got.Signals)
		}
	}
}

// openPlan opens a plan with its own documents.
func openPlan(t testing.TB, p *monitor.Plan) *monitor.Watch {
	t.Helper()
	w, err := monitor.Open(p.Monitor, func(d assay.Digest) ([]byte, error) {
		for i, r := range p.Monitor.References {
			if r.Document == d {
				return p.Documents[i], nil
			}
		}
		return nil, assay.Errorf(assay.NotFound, "no document %s", d)
	})
	if err != nil {
		t.Fatal(err)
	}
	return w
}
