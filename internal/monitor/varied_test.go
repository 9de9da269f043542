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
		if err := Between(ctx, Subject{Held: held, Target: "y", Time: time, Answers: answers}, p, answers.Classes, accuracy); err != nil {
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
	if err := Between(context.Background(), Subject{Held: held, Target: "y", Time: "ts", Answers: answers}, p, answers.Classes, accuracy); err != nil {
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
			one := realised(x, stat.Proportion(right, rows, 0.95, stat.Wilson), proxy{}, rows)
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
