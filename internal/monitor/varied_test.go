package monitor

import (
	"context"
	"math"
	"testing"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/table"
	"github.com/assay-ml/assay/learn"
	"github.com/assay-ml/assay/stat"
)

// answeredDays are held-out rows of days on each of which the answers are right with a probability of its own, and the answers.
func answeredDays(t testing.TB, e *table.Engine, days, rows int, sd float64, seed uint64) (*table.Table, *learn.Prediction) {
	t.Helper()
	r := stat.NewRand(seed)
	at, p := []float64{}, &learn.Prediction{Classes: []string{"no", "yes"}}
	var y []string
	for d := range days {
		right := math.Min(1, 0.8+sd*r.Normal())
		for i := range rows {
			at, p.Labels = append(at, 1_700_006_400+float64(d)*aDay+float64(i)), append(p.Labels, 1)
			if r.Float64() < right {
				y = append(y, "yes")
			} else {
				y = append(y, "no")
			}
		}
	}
	return tableOf(t, e, assay.Frame{{Name: "ts", Type: assay.TypeTimestamp, Floats: at}, column("y", y...)}), p
}

// How figures differ between days beyond chance is learned; days that do not differ show next to nothing, and without a time, or with few days, nothing is said.
func TestBetweenWindows(t *testing.T) {
	e, ctx := engine(t), context.Background()
	plan := func() *assay.Monitor {
		return &assay.Monitor{Windows: assay.WindowPlan{By: ByTime, LengthSeconds: day}, Budget: assay.AlarmBudget{WindowsPerYear: 365}, Performance: []assay.MetricPlan{{Name: "accuracy_score", Higher: true}}}
	}
	learnt := func(days, rows int, sd float64, time string) *assay.Between {
		t.Helper()
		held, answers := answeredDays(t, e, days, rows, sd, 5)
		p := plan()
		n := float64(held.Rows())
		p.Performance[0].Reference = stat.Proportion(0.8*n, n, 0.95, stat.Wilson)
		if err := Between(ctx, Subject{Held: held, Target: "y", Time: time, Answers: answers}, p, Outcomes{Classes: answers.Classes, Score: accuracy}); err != nil {
			t.Fatal(err)
		}
		return p.Performance[0].Between
	}
	if b := learnt(100, 100, 0, "ts"); b == nil || b.Stretches != 100 || float64(b.SD) > 0.025 {
		t.Errorf("days that do not differ: %+v", b)
	}
	if b := learnt(100, 100, 0.08, "ts"); b == nil || math.Abs(float64(b.SD)-0.08) > 0.02 || !(b.Error > 0) {
		t.Errorf("days that differ by 0.08: %+v", b)
	}
	if b := learnt(300, 20, 0.08, "ts"); b == nil || b.Stretches != 100 {
		t.Errorf("many days: %+v", b)
	}
	if a, b := learnt(100, 100, 0.08, ""), learnt(19, 100, 0.08, "ts"); a != nil || b != nil {
		t.Errorf("without a time %+v, of 19 days %+v", a, b)
	}
}

// Days that differ as held-out days do fail no more often than the level says, where rows taken for independent fail on many; a decay is found all the same.
func TestDaysThatDifferFailSeldom(t *testing.T) {
	e := engine(t)
	held, answers := answeredDays(t, e, 120, 100, 0.06, 11)
	p := &assay.Monitor{Windows: assay.WindowPlan{By: ByTime, LengthSeconds: day}, Budget: assay.AlarmBudget{WindowsPerYear: 365}, Performance: []assay.MetricPlan{{Name: "accuracy_score", Higher: true}}}
	ev, err := accuracy(context.Background(), *answers, labelCodes(t, held), nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	m := &p.Performance[0]
	m.Reference = ev.Metrics[0].Estimate
	if err := Between(context.Background(), Subject{Held: held, Target: "y", Time: "ts", Answers: answers}, p, Outcomes{Classes: answers.Classes, Score: accuracy}); err != nil {
		t.Fatal(err)
	}
	const level, days, rows = 0.005, 4000, 600
	r := stat.NewRand(13)
	fails := func(x assay.MetricPlan, mean float64) (n float64) {
		for range days {
			at, right := math.Min(1, mean+0.06*r.Normal()), 0.0
			for range rows {
				if r.Float64() < at {
					right++
				}
			}
			one := realised(x, stat.Proportion(right, rows, 0.95, stat.Wilson), proxy{}, rows, spread(x.Between))
			if float64(notWorse(&one)) <= level {
				n++
			}
		}
		return n
	}
	mean := m.Reference.Value
	if c := stat.Proportion(fails(*m, mean), days, 0.999, stat.Wilson); c.Lo > level {
		t.Errorf("days of the same making fail in %s, the level is %v", c, level)
	}
	if n := fails(*m, mean-0.35); n < 0.9*days {
		t.Errorf("a decay by 0.35 is found on %v of %d days", n, days)
	}
	alone := *m
	alone.Between = nil
	if n := fails(alone, mean); n < 0.05*days {
		t.Errorf("with rows taken for independent %v of %d days fail: the simulation tells nothing", n, days)
	}
}

func labelCodes(t testing.TB, x *table.Table) []int32 {
	t.Helper()
	f, err := x.Frame(context.Background(), []string{"y"}, "")
	if err != nil {
		t.Fatal(err)
	}
	out := make([]int32, f.Rows())
	for i, c := range f[0].Codes {
		if f[0].Levels[c] == "yes" {
			out[i] = 1
		}
	}
	return out
}

// bySlice is the accuracy, also of the rows of each level of the first column.
func bySlice(ctx context.Context, a learn.Prediction, label []int32, value []float64, columns assay.Frame) (assay.Evaluation, error) {
	e, err := accuracy(ctx, a, label, value, nil)
	if err != nil {
		return e, err
	}
	for c, level := range columns[0].Levels {
		n, right := 0.0, 0.0
		for i, code := range columns[0].Codes {
			if int(code) == c {
				if n++; a.Labels[i] == label[i] {
					right++
				}
			}
		}
		if n > 0 {
			e.Slices = append(e.Slices, assay.Slice{Name: level, Count: int64(n), Metrics: []assay.SliceMetric{{Name: "accuracy_score", Estimate: stat.Proportion(right, n, 0.95, stat.Wilson)}}})
		}
	}
	return e, nil
}

// slicedDays are held-out rows of days on which the answers on each slice are right with a probability of its own, and a plan that has learned of them. Ten days
// have rows of the slice rare.
func slicedDays(t *testing.T, days, rows int, sd float64, seed uint64) (*assay.Monitor, Outcomes) {
	t.Helper()
	ctx, r := context.Background(), stat.NewRand(seed)
	at, y, part, answers := []float64{}, []string{}, []string{}, &learn.Prediction{Classes: []string{"no", "yes"}}
	for d := range days {
		for _, name := range []string{"a", "b", "c", "rare"} {
			if name == "rare" && d >= 10 {
				continue
			}
			right := math.Min(1, 0.75+sd*r.Normal())
			for range rows {
				at, part, answers.Labels = append(at, 1_700_006_400+float64(d)*aDay), append(part, name), append(answers.Labels, 1)
				if r.Float64() < right {
					y = append(y, "yes")
				} else {
					y = append(y, "no")
				}
			}
		}
	}
	held := tableOf(t, engine(t), assay.Frame{{Name: "ts", Type: assay.TypeTimestamp, Floats: at}, column("y", y...), column("part", part...)})
	f, err := held.Frame(ctx, []string{"part"}, "")
	if err != nil {
		t.Fatal(err)
	}
	e, err := bySlice(ctx, *answers, labelCodes(t, held), nil, f)
	if err != nil {
		t.Fatal(err)
	}
	p := &assay.Monitor{Windows: assay.WindowPlan{By: ByTime, LengthSeconds: day}, Budget: assay.AlarmBudget{WindowsPerYear: 365}, Slices: []string{"a", "b", "rare"}, Performance: []assay.MetricPlan{{Name: "accuracy_score", Higher: true, Reference: e.Metrics[0].Estimate}}}
	o := Outcomes{Classes: answers.Classes, Columns: []string{"part"}, References: map[string]map[string]assay.Estimate{}, Score: bySlice}
	for _, s := range e.Slices {
		o.References[s.Name] = map[string]assay.Estimate{"accuracy_score": s.Metrics[0].Estimate}
	}
	if err := Between(ctx, Subject{Held: held, Target: "y", Time: "ts", Answers: answers}, p, o); err != nil {
		t.Fatal(err)
	}
	return p, o
}

// Slices that differ between days each by themselves are judged by their own differences, which cancel in the figure of all rows: windows of the same making
// fail no more often than the level says, over plans that each know the differences from 120 days. A slice that few days have is judged by the most that it can
// differ by.
func TestSlicesDifferMoreThanAllRows(t *testing.T) {
	const sd, level, windows, plans = 0.07, 0.005, 2000, 8
	r := stat.NewRand(17)
	fails := func(x assay.MetricPlan, differ float64) (n float64) {
		for range windows {
			right, now := math.Min(1, x.Reference.Value+sd*r.Normal()), 0.0
			for range 400 {
				if r.Float64() < right {
					now++
				}
			}
			one := realised(x, stat.Proportion(now, 400, 0.95, stat.Wilson), proxy{}, 400, differ)
			if float64(notWorse(&one)) <= level {
				n++
			}
		}
		return n
	}
	own, whole, variance, square := 0.0, 0.0, 0.0, 0.0
	for k := range uint64(plans) {
		p, o := slicedDays(t, 120, 60, sd, 100+k)
		m := p.Performance[0]
		by := map[string]assay.SliceBetween{}
		for _, s := range p.SliceBetween {
			by[s.Slice] = s
		}
		if m.Between == nil || len(by) != 3 || by["a"].Between == nil || by["b"].Between == nil {
			t.Fatalf("all rows differ by %+v, slices by %+v", m.Between, p.SliceBetween)
		}
		variance += float64(m.Between.SD*m.Between.SD) / plans
		square += float64(by["a"].Between.SD*by["a"].Between.SD+by["b"].Between.SD*by["b"].Between.SD) / (2 * plans)
		if x := by["rare"]; x.Between != nil || math.Abs(x.Share-10.0/370) > 1e-9 || spreadOfSlice(p, "rare", m) != spread(m.Between)/(x.Share*x.Share) {
			t.Errorf("a slice of ten days: %+v, its spread is %v", x, spreadOfSlice(p, "rare", m))
		}
		x := m
		x.Reference = o.References["a"]["accuracy_score"]
		own, whole = own+fails(x, spreadOfSlice(p, "a", m)), whole+fails(x, spread(m.Between))
	}
	// The standard errors of these means are 4 % and 3 % of what they should be.
	if math.Abs(square/(sd*sd)-1) > 0.15 || math.Abs(3*variance/(sd*sd)-1) > 0.2 {
		t.Errorf("slices differ by a variance of %.5f, all rows by %.5f, want %.5f and a third of it", square, variance, sd*sd)
	}
	if c := stat.Proportion(own, plans*windows, 0.999, stat.Wilson); c.Lo > level {
		t.Errorf("windows of the same making fail in %s, the level is %v", c, level)
	}
	if c := stat.Proportion(whole, plans*windows, 0.999, stat.Wilson); c.Lo < 4*level {
		t.Errorf("judged by how all rows differ, windows fail in %s: the simulation tells nothing", c)
	}
}
