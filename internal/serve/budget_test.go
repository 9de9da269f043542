package serve

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/assaytest"
	"github.com/assay-ml/assay/internal/schema"
	"github.com/assay-ml/assay/stat"
)

// twenty serves a model of 14 numbers and 6 texts, each with a range or a set, and returns a row of them as JSON.
func twenty(t testing.TB) (*Server, *Bound, []byte) {
	t.Helper()
	lo, hi := schema.Number(-1000), schema.Number(1000)
	in := schema.New("in")
	in.Closed = true
	var row []string
	for i := range 20 {
		c := schema.Column{Name: fmt.Sprintf("feature_%02d", i), Type: assay.TypeNumber, NotNull: &schema.NotNull{}, Range: &schema.Range{Min: &lo, Max: &hi}}
		value := fmt.Sprint(float64(i*7919%1000) / 100)
		if i%3 == 2 {
			c.Type, c.Range, c.Set = assay.TypeString, nil, &schema.Set{Values: []schema.Value{schema.Text("north"), schema.Text("south"), schema.Text("east")}}
			value = `"south"`
		}
		in.Columns = append(in.Columns, c)
		row = append(row, fmt.Sprintf("%q: %s", c.Name, value))
	}
	s := New(Options{Clock: assaytest.Clock(), Nonce: "s"})
	classes := []string{"no", "yes"}
	b, err := s.Bind(Binding{Name: "m", Number: 1, Task: assay.Binary, Classes: classes, Input: in, Output: OutputSchema("out", classes, true), Engine: fixed{}})
	if err != nil {
		t.Fatal(err)
	}
	s.Set("m", b, b)
	return s, b, []byte("{" + strings.Join(row, ", ") + "}")
}

// rowJobs are what is done to each row of a request beside the evaluation: reading and validation, logging (encoding, the hand-over and the
// writer's part without the disk), and the counts of a monitor's window over frozen edges.
func rowJobs(t testing.TB) map[string]func() {
	s, b, text := twenty(t)
	c, err := s.Begin("test", "m", "", "")
	if err != nil {
		t.Fatal(err)
	}
	c.Reader.Reset(text, 0)
	if _, ok := c.Rows.Object(&c.Reader, nil); !ok {
		t.Fatal(c.Reader.Err())
	}
	c.Output = Output{Labels: []int32{1}, Proba: []float64{0.25, 0.75}}
	c.Scores = append(c.Scores, 0.5)
	var histograms [20]*stat.Histogram
	var counts [20]*stat.CategoryCounts
	var reference []float64
	for i := range 2000 {
		reference = append(reference, float64(i%1000)/7)
	}
	for i := range 20 {
		edges, err := stat.FreezeEdges(reference, stat.EdgeOptions{})
		if err != nil {
			t.Fatal(err)
		}
		categories, err := stat.FreezeCategories(map[string]int64{"north": 5, "south": 6, "east": 2}, 16)
		if err != nil {
			t.Fatal(err)
		}
		histograms[i], counts[i] = stat.NewHistogram(edges), stat.NewCategoryCounts(categories)
	}
	r := newRing(16)
	g := segment{}
	plan := b.logPlan(nil)
	var reader schema.Reader
	return map[string]func(){
		"validation": func() {
			rows := b.in.NewBatch()
			reader.Reset(text, 0)
			if found, ok := rows.Object(&reader, nil); !ok || len(rows.Check(found)) > 0 {
				t.Fatal("the row is not valid")
			}
			rows.Release()
		},
		"logging": func() {
			e := entries.Get().(*entry)
			e.bound, e.rows = b, 1
			e.buf = appendCall(e.buf[:0], c, plan, 1)
			r.put(e)
			e = r.take()
			if g.append(e); len(g.buf) > maxBatch {
				g.buf = g.buf[:0]
			}
			e.release()
		},
		"sketch update": func() {
			for i := range 20 {
				if text, ok := c.Rows.Text(0, i); ok {
					counts[i].AddBytes(text)
				} else {
					histograms[i].Add(c.Rows.Float(0, i))
				}
			}
		},
	}
}

// TestRowBudgets holds what each row costs against the goals: time on the best of many short tries, as the machine may be busy, and no
// allocation.
func TestRowBudgets(t *testing.T) {
	if assaytest.Race {
		t.Skip("the race detector takes its own time")
	}
	jobs := rowJobs(t)
	for name, goal := range map[string]time.Duration{"validation": 5 * time.Microsecond, "logging": 3 * time.Microsecond, "sketch update": 2 * time.Microsecond} {
		job := jobs[name]
		if n := testing.AllocsPerRun(100, job); n > 0 {
			t.Errorf("%s of a row of 20 columns: %v allocations", name, n)
		}
		const tries, each = 200, 50
		best := time.Hour
		for range tries {
			began := time.Now()
			for range each {
				job()
			}
			best = min(best, time.Since(began)/each)
		}
		t.Logf("%s of a row of 20 columns: %v", name, best)
		if best > goal {
			t.Errorf("%s of a row of 20 columns takes %v, more than %v", name, best, goal)
		}
	}
}

func BenchmarkRow(b *testing.B) {
	for name, job := range rowJobs(b) {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				job()
			}
		})
	}
}
