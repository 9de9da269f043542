package monitor

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/learn"
)

// TestTimesAsNumbers: seconds, milliseconds, microseconds and nanoseconds since 1970 say when rows came as timestamps do, in a plan and in a traffic; what says it in
// another way is named, and refused where it must be said.
func TestTimesAsNumbers(t *testing.T) {
	e := engine(t)
	ctx := context.Background()
	const days, perDay = 30, 40
	begin := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	rows := func(at func(moment time.Time) float64, typ assay.Type) assay.Frame {
		f := assay.Frame{{Name: "at", Type: typ}, {Name: "x", Type: assay.TypeNumber}, {Name: "y", Type: assay.TypeString, Levels: []string{"no", "yes"}}}
		for i := range days * perDay {
			f[0].Floats = append(f[0].Floats, at(begin.Add(time.Duration(i)*24*time.Hour/perDay)))
			f[1].Floats, f[2].Codes = append(f[1].Floats, float64(i%17)), append(f[2].Codes, int32(i%2))
		}
		return f
	}
	text := rows(func(time.Time) float64 { return 0 }, assay.TypeNumber)
	text[0] = assay.Column{Name: "at", Type: assay.TypeString}
	for d := range days {
		text[0].Levels = append(text[0].Levels, begin.AddDate(0, 0, d).Format("02/01/2006"))
	}
	slices.Sort(text[0].Levels)
	for i := range days * perDay {
		code, _ := slices.BinarySearch(text[0].Levels, begin.AddDate(0, 0, i/perDay).Format("02/01/2006"))
		text[0].Codes = append(text[0].Codes, int32(code))
	}
	number := rows(func(m time.Time) float64 { return float64(m.YearDay()) }, assay.TypeInteger)
	mixed := rows(func(m time.Time) float64 { return float64(m.Unix()) }, assay.TypeInteger)
	mixed[0].Floats[7] *= 1000
	daily := assay.WindowPlan{By: ByTime, LengthSeconds: day}
	want, wantUnits := "", ""
	for _, c := range []struct {
		name  string
		frame assay.Frame
		reads bool
	}{
		{"timestamps", rows(func(m time.Time) float64 { return float64(m.Unix()) }, assay.TypeTimestamp), true},
		{"seconds", rows(func(m time.Time) float64 { return float64(m.Unix()) }, assay.TypeInteger), true},
		{"seconds with decimals", rows(func(m time.Time) float64 { return float64(m.Unix()) + 0.25 }, assay.TypeNumber), true},
		{"milliseconds", rows(func(m time.Time) float64 { return float64(m.UnixMilli()) }, assay.TypeInteger), true},
		{"microseconds", rows(func(m time.Time) float64 { return float64(m.UnixMicro()) }, assay.TypeInteger), true},
		{"days of text", text, false},
		{"numbers of days", number, false},
		{"seconds, and milliseconds once", mixed, false},
	} {
		x := tableOf(t, e, c.frame)
		answers := learn.Prediction{Classes: []string{"no", "yes"}, Labels: c.frame[2].Codes}
		p, err := NewPlan(ctx, Subject{Train: x, Held: x, Columns: []string{"x"}, Target: "y", Time: "at", Model: Model{Inputs: []string{"x"}, Task: assay.Binary, Positive: "yes"}, Answers: &answers},
			Settings{Windows: daily, MinRows: 20, Persistence: 1, Joint: []string{}})
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		w, err := Open(p.Monitor, func(d assay.Digest) ([]byte, error) {
			return p.Documents[slices.IndexFunc(p.Monitor.References, func(r assay.Reference) bool { return r.Document == d })], nil
		})
		if err != nil {
			t.Fatal(err)
		}
		units := fmt.Sprint(w.Reference(ScopeInput).Units, w.Reference(ScopeLabel).Units, p.Monitor.Budget.BlockSeconds)
		said := slices.ContainsFunc(p.Cautions, func(s string) bool {
			return strings.Contains(s, `column "at" is of type `+string(c.frame[0].Type)+" and does not say when they came")
		})
		seen, err := w.Run(ctx, Traffic{Table: x, By: "at", Timed: true, InputsOnly: true})
		if !c.reads {
			if !said || len(w.Reference(ScopeInput).Units) > 0 {
				t.Errorf("%s: the plan says %q", c.name, p.Cautions)
			}
			if err == nil || assay.CodeOf(err) != assay.Rejected || !strings.Contains(err.Error(), `column "at" is of type `+string(c.frame[0].Type)) || assay.HintOf(err) == "" {
				t.Errorf("%s: %v", c.name, err)
			}
			continue
		}
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		var windows []string
		for _, j := range seen.Windows {
			windows = append(windows, fmt.Sprint(j.Drift.Window.Number, j.Drift.Window.Start, j.Label, j.Drift.Window.Rows, j.Drift.Verdict))
		}
		if want == "" {
			want, wantUnits = fmt.Sprint(windows), units
		}
		if got := fmt.Sprint(windows); got != want || len(windows) != days || units != wantUnits || said {
			t.Errorf("%s: %v\nwant %v; units %s, want %s; %q", c.name, got, want, units, wantUnits, p.Cautions)
		}
	}
	d, _, err := Freeze(ctx, tableOf(t, e, number), []string{"x"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	p, err := PlanOf(d, Settings{Windows: daily, MinRows: 20})
	if err != nil {
		t.Fatal(err)
	}
	w, err := Open(p.Monitor, func(assay.Digest) ([]byte, error) { return p.Documents[0], nil })
	if err != nil {
		t.Fatal(err)
	}
	if seen, err := w.Run(ctx, Traffic{Table: tableOf(t, e, number), By: "at"}); err != nil || len(seen.Windows) != days || seen.Planned() {
		t.Errorf("each value of a column that need not say it is a window: %v", err)
	}
	if _, err := w.Run(ctx, Traffic{Table: tableOf(t, e, text), By: "at"}); assay.CodeOf(err) != assay.Rejected {
		t.Errorf("texts that look like dates: %v", err)
	}
}
