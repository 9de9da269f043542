package monitor

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/stat"
)

// TestSkew: training rows that come back are compared with themselves, column by column, by a key of one column or of two; keys that are not of one training row
// say nothing, and what is told names columns and no value.
func TestSkew(t *testing.T) {
	e := engine(t)
	ctx := context.Background()
	const n = 1000
	table := func(first int, served bool) assay.Frame {
		f := assay.Frame{{Name: "id", Type: assay.TypeInteger}, {Name: "part", Type: assay.TypeString, Levels: []string{"secret-a", "secret-b"}}, {Name: "x", Type: assay.TypeNumber}, {Name: "y", Type: assay.TypeNumber}, {Name: "c", Type: assay.TypeString, Levels: []string{"hidden-1", "hidden-2"}}}
		for i := first; i < first+n; i++ {
			g := stat.NewRand(3, uint64(i))
			x, y, c := g.Normal(), g.Normal(), int32(g.Intn(2))
			if served {
				x = float64(float32(x)) // what a model is given
				if i%10 == 0 {
					y = 7777 + y
				}
				if i%20 == 0 {
					c = 1 - c
				}
			}
			f[0].Floats, f[1].Codes = append(f[0].Floats, float64(i)), append(f[1].Codes, int32(i%2))
			f[2].Floats, f[3].Floats, f[4].Codes = append(f[2].Floats, x), append(f[3].Floats, y), append(f[4].Codes, c)
		}
		return f
	}
	train := table(0, false)
	for i := range train { // two rows of one key say nothing
		if train[i].Codes != nil {
			train[i].Codes = append(train[i].Codes, train[i].Codes[990])
		} else {
			train[i].Floats = append(train[i].Floats, train[i].Floats[990])
		}
	}
	x := tableOf(t, e, train)
	d, _, err := Freeze(ctx, x, []string{"x", "y", "c"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		join      []string
		tolerated float64
		served    bool
		from      int
		matched   int64
		want      assay.Verdict
	}{
		{[]string{"id"}, 0.01, true, 500, 499, assay.Fail},
		{[]string{"part", "id"}, 0.01, true, 500, 499, assay.Fail},
		{[]string{"id"}, 0.1, true, 500, 499, assay.Pass},
		{[]string{"id"}, 0, false, 500, 499, assay.Pass},
		{[]string{"id"}, 0.01, true, 985, 14, assay.Undetermined},
		{[]string{"id"}, 0.01, true, 5000, 0, assay.Undetermined},
	} {
		w, err := ParseWindow("1d")
		if err != nil {
			t.Fatal(err)
		}
		o := Settings{Windows: w, MinRows: 100, Persistence: 1, SkewKey: c.join, ToleratedSkew: &c.tolerated}
		p, err := PlanOf(d, o)
		if err != nil {
			t.Fatal(err)
		}
		if err := o.check(); err != nil {
			t.Fatal(err)
		}
		if err := o.skewed(Subject{Train: x}, &p.Monitor); err != nil {
			t.Fatal(err)
		}
		if err := o.budget(&p.Monitor, 0); err != nil {
			t.Fatal(err)
		}
		watch, err := Open(p.Monitor, func(assay.Digest) ([]byte, error) { return p.Documents[0], nil })
		if err != nil {
			t.Fatal(err)
		}
		seen, err := watch.Run(ctx, Traffic{Table: tableOf(t, e, table(c.from, c.served)), Train: x, Whole: true})
		if err != nil {
			t.Fatal(err)
		}
		got := seen.Windows[0].Drift
		var s assay.Signal
		for _, y := range got.Signals {
			if y.Kind == KindSkew {
				s = y
			}
		}
		if s.Verdict != c.want {
			t.Errorf("%+v: %+v", c, s)
		}
		k := got.Skew
		if c.matched == 0 {
			if k == nil || k.Matched != 0 {
				t.Errorf("%+v: %+v", c, k)
			}
			continue
		}
		if k == nil || k.Matched != c.matched {
			t.Fatalf("%+v: %+v", c, k)
		}
		if c.served && c.matched == 499 {
			if k.Differing != 49 || len(k.Columns) != 2 || k.Columns[0].Column != "y" || k.Columns[0].Differing != 49 || k.Columns[1].Column != "c" || k.Columns[1].Differing != 25 {
				t.Errorf("%+v: %+v", c, k)
			}
			if c.want == assay.Fail && (!strings.Contains(say(s), "y (") || !strings.Contains(say(s), "49 of 499")) {
				t.Errorf("it says %q", say(s))
			}
		} else if !c.served && (k.Differing != 0 || len(k.Columns) != 0) {
			t.Errorf("%+v: %+v", c, k)
		}
		if told := fmt.Sprintf("%+v %+v", s, k); strings.Contains(told, "777") || strings.Contains(told, "hidden") || strings.Contains(told, "secret") {
			t.Errorf("a value is told: %s", told)
		}
	}
	if err := (&Settings{SkewKey: []string{"nothing"}}).skewed(Subject{Train: x}, &assay.Monitor{}); err == nil {
		t.Error("a key that the training part has not is planned")
	}
}

// TestSkewOfALog: in a log the key is the one that the caller gave each row; rows that were not answered are left out, and a column that the log does not hold is not
// one that differs.
func TestSkewOfALog(t *testing.T) {
	e := engine(t)
	ctx := context.Background()
	train := assay.Frame{{Name: "id", Type: assay.TypeInteger}, {Name: "x", Type: assay.TypeNumber}, {Name: "redacted", Type: assay.TypeNumber}}
	log := assay.Frame{
		{Name: "x", Type: assay.TypeNumber},
		{Name: "_key", Type: assay.TypeString},
		{Name: "_request", Type: assay.TypeNumber},
		{Name: "_lost", Type: assay.TypeNumber},
		{Name: "_sampled", Type: assay.TypeNumber},
		{Name: "_outcome", Type: assay.TypeString, Levels: []string{"answered", "refused"}},
	}
	for i := range 300 {
		v := float64(i)
		train[0].Floats, train[1].Floats, train[2].Floats = append(train[0].Floats, v), append(train[1].Floats, v/7), append(train[2].Floats, v)
		outcome, x := int32(0), v/7
		if i%3 == 0 {
			outcome, x = 1, -1 // a refused row has whatever it has
		}
		if i%30 == 1 {
			x++
		}
		log[0].Floats, log[1].Codes, log[1].Levels = append(log[0].Floats, x), append(log[1].Codes, int32(i)), append(log[1].Levels, fmt.Sprint(i))
		log[2].Floats, log[3].Floats, log[4].Floats, log[5].Codes = append(log[2].Floats, v), append(log[3].Floats, 0), append(log[4].Floats, 1), append(log[5].Codes, outcome)
	}
	x := tableOf(t, e, train)
	d, _, err := Freeze(ctx, x, []string{"x", "redacted"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	w, err := ParseWindow("1000 rows")
	if err != nil {
		t.Fatal(err)
	}
	o := Settings{Windows: w, MinRows: 100, Persistence: 1, RowsPerDay: 1000, SkewKey: []string{"id"}}
	p, err := PlanOf(d, Settings{})
	if err != nil {
		t.Fatal(err)
	}
	if err := o.skewed(Subject{Train: x}, &p.Monitor); err != nil {
		t.Fatal(err)
	}
	if err := o.check(); err != nil {
		t.Fatal(err)
	}
	p.Monitor.Windows = o.Windows
	if err := o.budget(&p.Monitor, 0); err != nil {
		t.Fatal(err)
	}
	watch, err := Open(p.Monitor, func(assay.Digest) ([]byte, error) { return p.Documents[0], nil })
	if err != nil {
		t.Fatal(err)
	}
	rows := tableOf(t, e, firstRows(log))
	seen, err := watch.Run(ctx, Traffic{Table: rows, Log: rows, Train: x})
	if err != nil {
		t.Fatal(err)
	}
	k := seen.Windows[0].Drift.Skew
	if k == nil || k.Matched != 200 || k.Differing != 10 || len(k.Columns) != 1 || k.Columns[0].Column != "x" {
		t.Errorf("%+v", k)
	}
}
