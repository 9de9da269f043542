package web

import (
	"bytes"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/assaytest"
	"github.com/assay-ml/assay/internal/monitor"
	"github.com/assay-ml/assay/stat"
)

// watched is a plan of some columns and windows that moved, did not, and could not be judged.
func watched(t testing.TB, name string, columns, windows int) (assay.Monitor, []MonitorWindow, map[string]*monitor.Document) {
	t.Helper()
	edges, err := stat.FreezeEdges([]float64{0, 0, 0, 1, 2, 3, 4, 5, 6, 7}, stat.EdgeOptions{Cells: 4})
	if err != nil {
		t.Fatal(err)
	}
	categories, err := stat.FreezeCategories(map[string]int64{name: 6, "b": 4}, 0)
	if err != nil {
		t.Fatal(err)
	}
	p := assay.Monitor{Budget: assay.AlarmBudget{FalseAlarmsPerYear: 4, Level: 0.011, Correction: "benjamini_hochberg", Null: "dirichlet_multinomial", Replicates: 1000}, Windows: assay.WindowPlan{By: "time", LengthSeconds: 86400, MinRows: 100}}
	d := &monitor.Document{Rows: 10}
	counts := &monitor.WindowDocument{}
	for i := range columns {
		f := monitor.Feature{Name: fmt.Sprintf("%s %d", name, i), Type: assay.TypeNumber, Edges: edges, Counts: monitor.Counts{Cells: make([]int64, edges.Cells())}}
		if i%2 == 1 {
			f = monitor.Feature{Name: fmt.Sprintf("%s %d", name, i), Type: assay.TypeString, Categories: categories, Counts: monitor.Counts{Cells: []int64{6, 4, 0, 0}}}
		}
		for k := range f.Counts.Cells {
			f.Counts.Cells[k] += int64(k)
		}
		d.Features = append(d.Features, f)
		w := monitor.Counts{Cells: append([]int64{}, f.Counts.Cells...)}
		w.Cells[1] += 5
		counts.Features = append(counts.Features, w)
		p.Signals = append(p.Signals, assay.SignalPlan{Scope: "input", Kind: "distribution", Column: f.Name, Test: "jensen_shannon", Floor: 0.1, Weight: 1 / float64(i+1), Persist: 1})
	}
	var out []MonitorWindow
	for n := range windows {
		w := MonitorWindow{Label: fmt.Sprintf("2026-01-%02d", n+1), Counts: counts, Drift: assay.Drift{Window: assay.Window{Number: int64(n + 1), Rows: int64(1000 * n)}, Verdict: assay.Pass}}
		if n == 0 {
			w.Drift.Verdict = assay.Undetermined
		}
		for i, s := range p.Signals {
			g := assay.Signal{Scope: s.Scope, Kind: s.Kind, Column: s.Column, Test: s.Test, PValue: assay.Number(math.NaN()), Floor: s.Floor, Effect: assay.Undefined("too few rows", 0), Verdict: assay.Undetermined}
			if n > 0 {
				g.Effect, g.PValue, g.Verdict = assay.Estimate{Value: 0.05 * float64(n), Lo: 0.04 * float64(n), Hi: 0.06 * float64(n), Level: 0.95, Method: "delta", N: 1000}, 0.3, assay.Pass
			}
			if n >= 2 && i == 0 {
				g.PValue, g.Verdict, w.Drift.Verdict = 1e-9, assay.Fail, assay.Fail
				w.Drift.Ranking = []assay.Cause{{Scope: "input", Kind: "distribution", Column: s.Column, Contribution: 1, Message: s.Column + " changed"}}
			}
			w.Drift.Signals = append(w.Drift.Signals, g)
		}
		w.Outcome, w.Restated = labelled(name, n)
		out = append(out, w)
	}
	return p, out, map[string]*monitor.Document{"input": d}
}

// labelled is what labels say of the n-th window: nothing of the first, then ever more of it, restated once.
func labelled(name string, n int) (*assay.Outcome, []assay.Outcome) {
	if n == 0 {
		return nil, nil
	}
	e := func(v float64) assay.Estimate {
		return assay.Estimate{Value: v, Lo: v - 0.02, Hi: v + 0.02, Level: 0.95, Method: "delong", N: 900}
	}
	m := assay.RealisedMetric{
		Name: "roc_auc_score " + name, Higher: true, Realised: e(0.9 - 0.03*float64(n)), Proxy: e(0.89), Assumption: "taken for granted: " + name, Reference: e(0.9), Change: e(-0.03 * float64(n)), PValue: 0.01, Verdict: assay.Pass,
	}
	if n > 2 {
		m.Verdict = assay.Fail
	}
	now := assay.Outcome{
		Look: 2, Performance: []assay.RealisedMetric{m}, Verdict: m.Verdict,
		Labels: assay.LabelJoin{Labelled: 900, Coverage: assay.Estimate{Value: 0.9, Lo: 0.88, Hi: 0.92, Level: 0.95, Method: "wilson", N: 1000}, Duplicates: 3, Conflicts: 2, DelayP50: 86400},
		Slices: []assay.RealisedSlice{{Name: name + " = 1", Labelled: 400, Performance: []assay.RealisedMetric{m}}},
	}
	then := now
	then.Look, then.Labels.Labelled = 1, 100
	return &now, []assay.Outcome{then}
}

func monitored(t testing.TB, name string, columns, windows int) string {
	t.Helper()
	p, w, r := watched(t, name, columns, windows)
	var b bytes.Buffer
	if err := MonitorReport(&b, "churn:1", p, w, r, Footer{Version: "0.1", Evidence: assay.DigestOf([]byte("e")), Data: assay.DigestOf([]byte("d")), At: "2026-01-02T03:04:05Z"}); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestGoldenMonitorReport(t *testing.T) {
	page := monitored(t, "age", 3, 4)
	assaytest.Golden(t, "monitor.html", []byte(page))
	for _, want := range []string{"2 of 4 windows moved, the first of them 2026-01-03. 1 could not be judged.", "age 0 changed", "was restated as labels came", "taken for granted: age", "Slices that are certainly worse"} {
		if !strings.Contains(page, want) {
			t.Errorf("the page does not say %q", want)
		}
	}
	for _, bad := range []string{"<script", "http://", "https://", "<link", "url(", "NaN", "%!", "ZgotmplZ"} {
		if strings.Contains(page, bad) {
			t.Errorf("the page holds %q", bad)
		}
	}
}

// Names and values come from data: they are text, never markup.
func TestMonitorReportEscapes(t *testing.T) {
	if page := monitored(t, `<img src=x onerror=alert(1)>"&`, 2, 3); strings.Contains(page, "<img") || strings.Contains(page, `alert(1)>"&`) {
		t.Error("a name from the data became markup")
	}
}

// The page of 16 columns is below half a megabyte, and that of very many columns and windows below the limit of reports.
func TestMonitorReportIsSmall(t *testing.T) {
	if n := len(monitored(t, "a rather long name of a column", 16, 36)); n > 512<<10 {
		t.Errorf("16 columns over 36 windows make %d bytes", n)
	}
	if n := len(monitored(t, "column", 300, 30)); n > MaxReportBytes {
		t.Errorf("300 columns over 30 windows make %d bytes", n)
	}
}
