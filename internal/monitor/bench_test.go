package monitor_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/monitor"
	"github.com/assay-ml/assay/internal/table"
	"github.com/assay-ml/assay/stat"
)

// made is a table of so many rows: four columns of five are normal, the fifth has twenty categories.
func made(b *testing.B, e *table.Engine, rows, columns int, seed uint64) (*table.Table, []string) {
	b.Helper()
	var f assay.Frame
	var names []string
	for j := range columns {
		g := stat.NewRand(seed, uint64(j))
		c := assay.Column{Name: fmt.Sprintf("c%02d", j), Type: assay.TypeNumber}
		if j%5 == 4 {
			c.Type = assay.TypeString
			for i := range 20 {
				c.Levels = append(c.Levels, fmt.Sprintf("level %02d", i))
			}
			for range rows {
				c.Codes = append(c.Codes, int32(20*g.Float64()*g.Float64()))
			}
		} else {
			c.Floats = make([]float64, rows)
			for i := range c.Floats {
				c.Floats[i] = g.Normal()
			}
		}
		f, names = append(f, c), append(names, c.Name)
	}
	x, err := e.FromFrame(context.Background(), f)
	if err != nil {
		b.Fatal(err)
	}
	return x, names
}

// BenchmarkWindowMillion judges one window of a million rows and 50 columns against a frozen reference of 100,000 rows, without a model: counting,
// the digest of the rows, calibration, tests.
func BenchmarkWindowMillion(b *testing.B) {
	e, err := table.Open(context.Background(), table.Options{MemoryBytes: 700 << 20})
	if err != nil {
		b.Fatal(err)
	}
	defer e.Close()
	reference, names := made(b, e, 100_000, 50, 1)
	d, _, err := monitor.Freeze(context.Background(), reference, names, nil)
	if err != nil {
		b.Fatal(err)
	}
	w := watchOf(b, d)
	window, _ := made(b, e, 1_000_000, 50, 2)
	for b.Loop() {
		w.Forget()
		seen, err := w.Run(context.Background(), monitor.Traffic{Table: window, Whole: true})
		if err != nil || seen.Windows[0].Drift.Verdict != assay.Pass {
			b.Fatal(seen, err)
		}
	}
}

// BenchmarkReplayYear judges the 68,785 rows of 2015 with a logistic regression, against themselves.
func BenchmarkReplayYear(b *testing.B) {
	e, err := table.Open(context.Background(), table.Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer e.Close()
	all := employment(b, e)
	model := logistic(b, all)
	x := tableOf(b, e, all)
	w := planOf(b, x, model, monitor.Settings{Windows: window(b, "1y")})
	for b.Loop() {
		w.Forget()
		if _, err := w.Run(context.Background(), monitor.Traffic{Table: x, Whole: true, Model: &model}); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkTogether judges 5,000 rows of 2015 against the rest of the year, each column by itself, then with the tests of all columns together, then with
// detectors of changes too.
func BenchmarkTogether(b *testing.B) {
	e, err := table.Open(context.Background(), table.Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer e.Close()
	all := employment(b, e)
	model := logistic(b, all)
	order := stat.NewRand(1)
	rows := order.Perm(all.Rows())
	x, live := tableOf(b, e, all.Take(rows[5000:])), tableOf(b, e, all.Take(rows[:5000]))
	for _, c := range []struct {
		name string
		set  monitor.Settings
	}{{"alone", monitor.Settings{Joint: []string{}}}, {"together", monitor.Settings{}}, {"events", monitor.Settings{Events: monitor.EventTests(), EventColumns: []string{"AGEP", "SCHL"}}}} {
		c.set.Windows = window(b, "1y")
		w := planOf(b, x, model, c.set)
		b.Run(c.name, func(b *testing.B) {
			for b.Loop() {
				if _, err := w.Run(context.Background(), monitor.Traffic{Table: live, Whole: true, Model: &model}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
