package monitor

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"testing"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/assaytest"
	"github.com/assay-ml/assay/internal/table"
	"github.com/assay-ml/assay/stat"
)

// full is how often something is repeated: more often in the full test command, which does so once without the race detector.
func full(short, long int) int {
	if os.Getenv("ASSAY_TEST_FULL") != "" && !assaytest.Race {
		return long
	}
	return short
}

// jointWatch watches all columns of a table, together and each by itself.
func jointWatch(t testing.TB, x *table.Table, at string, o Settings) (*Watch, *Plan) {
	t.Helper()
	ctx := context.Background()
	var names []string
	for _, f := range x.Fields() {
		if f.Name != at {
			names = append(names, f.Name)
		}
	}
	d, _, err := Freeze(ctx, x, names, nil)
	if err != nil {
		t.Fatal(err)
	}
	if o.Windows, err = ParseWindow("1d"); err != nil {
		t.Fatal(err)
	}
	if err := o.check(); err != nil {
		t.Fatal(err)
	}
	subject := Subject{Train: x, Held: x, Time: at}
	if err := subject.clocks(ctx); err != nil {
		t.Fatal(err)
	}
	if err := o.stretches(ctx, d, x, subject.trainAt, "", day, day); err != nil {
		t.Fatal(err)
	}
	p, err := PlanOf(d, o)
	if err != nil {
		t.Fatal(err)
	}
	sample, rows, err := o.joint(ctx, subject, d, map[string]float64{}, &p.Monitor)
	if err != nil {
		t.Fatal(err)
	}
	if sample != nil {
		p.Documents = append(p.Documents, sample)
		p.Monitor.References = append(p.Monitor.References, assay.Reference{Name: ReferenceSample, Rows: rows, Document: assay.DigestOf(sample)})
	}
	sortSignals(p.Monitor.Signals)
	if err := o.budget(&p.Monitor, 0); err != nil {
		t.Fatal(err)
	}
	w, err := Open(p.Monitor, func(d assay.Digest) ([]byte, error) {
		for i, r := range p.Monitor.References {
			if r.Document == d {
				return p.Documents[i], nil
			}
		}
		return nil, fmt.Errorf("no document %s", d)
	})
	if err != nil {
		t.Fatal(err)
	}
	return w, p
}

func judgeAll(t testing.TB, w *Watch, x *table.Table) assay.Drift {
	t.Helper()
	seen, err := w.Run(context.Background(), Traffic{Table: x, Whole: true})
	if err != nil {
		t.Fatal(err)
	}
	return seen.Windows[0].Drift
}

// butterfly is columns of which the first two are correlated, and the third and the fourth, which are categories, go together where with is positive and
// not where it is negative; every column by itself is the same whatever with is.
func butterfly(rows int, with float64, stream ...uint64) assay.Frame {
	g := stat.NewRand(23, stream...)
	f := assay.Frame{
		{Name: "a", Type: assay.TypeNumber},
		{Name: "b", Type: assay.TypeNumber},
		{Name: "c", Type: assay.TypeNumber},
		{Name: "d", Type: assay.TypeString, Levels: []string{"no", "yes"}},
		{Name: "e", Type: assay.TypeString, Levels: []string{"no", "yes"}},
	}
	for range rows {
		a, e := g.Normal(), g.Normal()
		f[0].Floats = append(f[0].Floats, a)
		f[1].Floats = append(f[1].Floats, with*a+math.Sqrt(1-with*with)*e)
		f[2].Floats = append(f[2].Floats, g.Normal())
		d := int32(g.Intn(2))
		f[3].Codes = append(f[3].Codes, d)
		if g.Float64() < (1-with)/2 {
			d = 1 - d
		}
		f[4].Codes = append(f[4].Codes, d)
	}
	return f
}

// TestButterfly: where columns by themselves are as before and what they have to do with each other has changed, no test of one column finds it, and
// both tests of all of them do. The same plan has the same bytes.
func TestButterfly(t *testing.T) {
	e := engine(t)
	x := tableOf(t, e, butterfly(3000, 0.7, 1))
	w, p := jointWatch(t, x, "", Settings{Persistence: 1, MinRows: 100})
	_, again := jointWatch(t, x, "", Settings{Persistence: 1, MinRows: 100})
	if fmt.Sprint(p.Monitor) != fmt.Sprint(again.Monitor) {
		t.Error("the same rows make another plan")
	}
	for name, c := range map[string]struct {
		with float64
		want assay.Verdict
	}{"the same": {0.7, assay.Pass}, "flipped": {-0.7, assay.Fail}, "independent": {0, assay.Fail}} {
		d := judgeAll(t, w, tableOf(t, e, butterfly(1000, c.with, 2)))
		joint := 0
		for _, s := range d.Signals {
			want := assay.Pass
			if s.Scope == ScopeJoint {
				joint++
				want = c.want
			}
			if s.Verdict != want {
				t.Errorf("%s: %s %s %s is %s, want %s: %+v", name, s.Scope, s.Column, s.Test, s.Verdict, want, s)
			}
			if s.Scope == ScopeJoint {
				t.Logf("%s: %s %v, p %.3g, effect %s: %s", name, s.Test, s.Statistic, s.PValue, s.Effect, s.Message)
			}
		}
		if joint != 2 {
			t.Errorf("%s: %d tests of all columns together, want 2", name, joint)
		}
	}
}

// TestJointWithoutDrift: the p-values of both tests are those of chance, with independent rows and with rows of a day that are alike.
func TestJointWithoutDrift(t *testing.T) {
	reps := full(3, 200)
	e := engine(t)
	const days, perDay = 60, 100
	daily := func(n int, stream ...uint64) assay.Frame {
		g := stat.NewRand(29, stream...)
		f := assay.Frame{{Name: "a", Type: assay.TypeNumber}, {Name: "b", Type: assay.TypeNumber}, {Name: "c", Type: assay.TypeNumber}, {Name: "at", Type: assay.TypeDate}}
		for d := range n {
			x, y := 0.4*g.Normal(), 0.4*g.Normal()
			for range perDay {
				a := g.Normal()
				f[0].Floats = append(f[0].Floats, a+x)
				f[1].Floats = append(f[1].Floats, (0.6+y)*a+g.Normal())
				f[2].Floats = append(f[2].Floats, g.Normal())
				f[3].Floats = append(f[3].Floats, float64(d)*day)
			}
		}
		return f
	}
	for _, c := range []struct {
		name string
		at   string
		of   func(rows int, stream ...uint64) assay.Frame
		ref  int
		live int
	}{
		{"independent rows", "", func(n int, s ...uint64) assay.Frame { return butterfly(n, 0.7, s...) }, 1000, 500},
		{"days", "at", daily, days, 1},
	} {
		rejected := map[string]float64{}
		for rep := range uint64(reps) {
			ref := tableOf(t, e, c.of(c.ref, 1, rep))
			live := tableOf(t, e, c.of(c.live, 2, rep))
			w, _ := jointWatch(t, ref, c.at, Settings{Persistence: 1, MinRows: 50, Seed: rep})
			for _, s := range judgeAll(t, w, live).Signals {
				if s.Scope == ScopeJoint && s.PValue <= 0.1 {
					rejected[s.Test]++
				}
			}
			ref.Drop(context.Background())
			live.Drop(context.Background())
		}
		for _, test := range JointTests() {
			share := stat.Proportion(rejected[test], float64(reps), 0.999, stat.ClopperPearson)
			t.Logf("%s, %s: %s of windows without drift have p ≤ 0.1", c.name, test, share)
			if share.Lo > 0.1 {
				t.Errorf("%s, %s: %s of windows without drift have p ≤ 0.1", c.name, test, share)
			}
		}
	}
}

// What a sample keeps is numbers of cells: no column that is redacted, none beyond the bounds.
func TestSampleIsBounded(t *testing.T) {
	e := engine(t)
	f := butterfly(12_000, 0.5, 7)
	_, p := jointWatch(t, tableOf(t, e, f), "", Settings{Redacted: []string{"c"}})
	s, err := ReadSample(p.Documents[len(p.Documents)-1])
	if err != nil {
		t.Fatal(err)
	}
	if s.Rows != sampleRows || len(s.Columns) != 4 {
		t.Errorf("%d rows and %d columns", s.Rows, len(s.Columns))
	}
	for _, c := range s.Columns {
		if c.Name == "c" {
			t.Error("a redacted column is kept")
		}
	}
	if n := len(p.Documents[len(p.Documents)-1]); n > 4*sampleRows*4/3+1000 {
		t.Errorf("%d bytes", n)
	}
	if _, p := jointWatch(t, tableOf(t, e, butterfly(minSampleRows-1, 0.5, 7)), "", Settings{}); len(p.Documents) != 1 {
		t.Error("a sample of too few rows is kept")
	}
}

// FuzzReadSample: a sample is read or refused, and what was read is written as it was.
func FuzzReadSample(f *testing.F) {
	for _, s := range []string{
		`{"format":"assay.monitor.sample/1","rows":2,"columns":[{"name":"a","cells":"AAE="},{"name":"b","cells":"AP8="}],"block_rows":0}`,
		`{"format":"assay.monitor.sample/1","rows":2,"columns":[{"name":"a","cells":"AAE="},{"name":"b","cells":"AP8="}],"blocks":[1,1],"block_rows":1.5}`,
		`{"format":"assay.monitor.sample/1","rows":2,"columns":[{"name":"a","cells":"AA=="}],"blocks":[-1,3],"block_rows":-1}`,
		`{"format":"x"}`, `[]`, ``,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := ReadSample(b)
		if err != nil {
			return
		}
		again, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := ReadSample(again); err != nil {
			t.Fatal(err)
		}
	})
}
