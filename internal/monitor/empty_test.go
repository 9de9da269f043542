package monitor

import (
	"context"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/assay-ml/assay"
)

// TestColumnWithoutAValueIsWatched: of a column that has no value in training a plan watches whether that stays so, whatever its type is and whatever comes later.
func TestColumnWithoutAValueIsWatched(t *testing.T) {
	e := engine(t)
	ctx := context.Background()
	const rows = 1000
	number := func(every int) assay.Column {
		c := assay.Column{Name: "e", Type: assay.TypeNumber}
		for i := range rows {
			v := math.NaN()
			if every > 0 && i%every == 0 {
				v = float64(i)
			}
			c.Floats = append(c.Floats, v)
		}
		return c
	}
	text := func(every int) assay.Column {
		c := assay.Column{Name: "e", Type: assay.TypeString, Levels: []string{"came"}}
		for i := range rows {
			code := int32(-1)
			if every > 0 && i%every == 0 {
				code = 0
			}
			c.Codes = append(c.Codes, code)
		}
		return c
	}
	full := assay.Column{Name: "x", Type: assay.TypeNumber}
	for i := range rows {
		full.Floats = append(full.Floats, float64(i%37))
	}
	for name, none := range map[string]assay.Column{"numbers": number(0), "text": text(0)} {
		d, out, err := freeze(ctx, tableOf(t, e, assay.Frame{none, full}), []string{"e", "x"}, nil)
		if err != nil || len(out) > 0 || len(d.Features) != 2 {
			t.Fatalf("%s: %v %v", name, out, err)
		}
		p, err := PlanOf(d, Settings{Windows: assay.WindowPlan{By: ByTime, LengthSeconds: day}, MinRows: 100, Persistence: 1})
		if err != nil {
			t.Fatal(err)
		}
		var kinds []string
		for _, s := range p.Monitor.Signals {
			if s.Column == "e" {
				kinds = append(kinds, s.Kind)
			}
		}
		if !slices.Equal(kinds, []string{KindMissing}) {
			t.Fatalf("%s: %v are watched", name, kinds)
		}
		w, err := Open(p.Monitor, func(assay.Digest) ([]byte, error) { return p.Documents[0], nil }) // which reads the reference
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range []struct {
			name string
			live assay.Column
			want assay.Verdict
		}{{"still none", none, assay.Pass}, {"text comes", text(4), assay.Fail}, {"numbers come", number(4), assay.Fail}} {
			seen, err := w.Run(ctx, Traffic{Table: tableOf(t, e, assay.Frame{c.live, full}), Whole: true})
			if err != nil {
				t.Fatal(err)
			}
			got := seen.Windows[0].Drift
			i := slices.IndexFunc(got.Signals, func(s assay.Signal) bool { return s.Column == "e" })
			if s := got.Signals[i]; got.Verdict != c.want || s.Verdict != c.want || !strings.HasPrefix(s.Message, "no row of the reference has a value") {
				t.Errorf("%s, %s: %s: %+v", name, c.name, got.Verdict, s)
			}
			if c.want == assay.Fail && (len(got.Ranking) != 1 || !strings.Contains(got.Ranking[0].Message, "e: missing values in 75 % of rows")) {
				t.Errorf("%s, %s: %+v", name, c.name, got.Ranking)
			}
		}
	}
	if _, _, err := Freeze(ctx, tableOf(t, e, assay.Frame{number(0)}), []string{"e"}, nil); err == nil {
		t.Error("answers without any value")
	}
}
