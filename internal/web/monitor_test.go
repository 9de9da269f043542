package web

import (
	"bytes"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

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
		s := assay.SignalPlan{Scope: "input", Kind: "distribution", Column: f.Name, Test: "jensen_shannon", Floor: 0.1, Weight: 1 / float64(i+1), Persist: 1}
		p.Signals = append(p.Signals, s)
		for _, s.Kind = range []string{"missing", "range"} {
			p.Signals = append(p.Signals, s)
		}
	}
	p.Signals = append(p.Signals, assay.SignalPlan{Scope: "label", Kind: "distribution", Column: "outcome", Test: "jensen_shannon", Floor: 0.1, Weight: 1, Persist: 1},
		assay.SignalPlan{Scope: "traffic", Kind: "volume", Test: "count", Threshold: 1}, assay.SignalPlan{Scope: "traffic", Kind: "lost", Test: "count", Threshold: 0.02})
	var out []MonitorWindow
	for n := range windows {
		w := MonitorWindow{Label: fmt.Sprintf("2026-01-%02d", n+1), Counts: func() (*monitor.WindowDocument, error) { return counts, nil }, Drift: assay.Drift{Window: assay.Window{Number: int64(n + 1), Rows: int64(1000 * n), Refused: int64(n), Failed: 2, Lost: int64(10 * n), Sampled: 0.5}, Verdict: assay.Pass}}
		if n == 0 {
			w.Drift.Verdict = assay.Undetermined
		}
		for i, s := range p.Signals {
			g := assay.Signal{Scope: s.Scope, Kind: s.Kind, Column: s.Column, Test: s.Test, PValue: assay.Number(math.NaN()), Floor: s.Floor, Effect: assay.Undefined("too few rows", 0), Verdict: assay.Undetermined}
			switch {
			case s.Scope == "label":
				continue
			case s.Scope == "traffic":
				g.Statistic, g.Verdict = assay.Number(0.01*float64(n)), assay.Pass
				if s.Kind == "lost" && n > 2 {
					g.Verdict = assay.Fail
				}
			case s.Kind == "missing": // never moves
				g.Effect, g.Statistic, g.Verdict = assay.Estimate{Value: 0, Lo: 0, Hi: 0.01, Level: 0.95, Method: "delta", N: 1000}, 0, assay.Pass
			case n > 0:
				g.Statistic = 0.125
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
		Name: "roc_auc_score " + name, Higher: true, Realised: e(0.9 - 0.03*float64(n)), Proxy: e(0.89), Assumption: "taken for granted: " + name, Reference: e(0.9), Margin: 0.05, Change: e(-0.03 * float64(n)), PValue: 0.01, Verdict: assay.Pass,
	}
	if n > 2 {
		m.Verdict = assay.Fail
	}
	now := assay.Outcome{
		Look: 2, Performance: []assay.RealisedMetric{m}, Verdict: m.Verdict,
		Labels: assay.LabelJoin{Labelled: 900, Coverage: assay.Estimate{Value: 0.9, Lo: 0.88, Hi: 0.92, Level: 0.95, Method: "wilson", N: 1000}, Duplicates: 3, Conflicts: 2, DelayP50: 86400},
		Drift: []assay.Signal{{
			Scope: "label", Kind: "distribution", Column: "outcome", Test: "jensen_shannon", PValue: 0.2, Floor: 0.1, Verdict: assay.Pass,
			Effect: assay.Estimate{Value: 0.02 * float64(n), Lo: 0.01 * float64(n), Hi: 0.03 * float64(n), Level: 0.95, Method: "delta", N: 900},
		}},
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
	for _, want := range []string{
		"2 of 4 windows moved, the first of them 2026-01-03. 1 could not be judged.", "age 0 changed", "was restated as labels came", "taken for granted: age", "Slices that are certainly worse",
		"In all windows: 6 rows refused, 8 rows failed, 60 rows lost (1.0 %), 50.0 % of the answered rows were to be logged.", "Never moved: missing.", "age 0: Other effects in Cohen&#39;s w by window; dashed the floor",
		"lost: share of rows by window; dashed what is tolerated, 2 %", "outcome: Effect in Cohen&#39;s w by window", "roc_auc_score age: Change from held-out rows with its interval, worse below 0; dashed in red the margin. An alarm is a change that is certainly beyond it", "p, adjusted", `stroke:var(--fail);stroke-dasharray`,
	} {
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

// The page of years of windows is within the limit, counts all of them and says which it does not show one by one; a single window that moved shows in the drawings.
func TestMonitorReportOfManyWindows(t *testing.T) {
	began := time.Now()
	page := monitored(t, "column", 50, 2000)
	if took := time.Since(began); took > 20*time.Second {
		t.Errorf("it took %v", took)
	}
	if len(page) > MaxReportBytes*3/4 {
		t.Errorf("%d bytes", len(page))
	}
	for _, want := range []string{"1998 of 2000 windows moved", "The newest 120 windows one by one; 1880 earlier ones are summed up below them.", "the least and the greatest of every 25 windows", "Tables of a column are of its newest"} {
		if !strings.Contains(page, want) {
			t.Errorf("the page does not say %q", want)
		}
	}
	long := monitored(t, strings.Repeat("a very long name ", 60), 60, 500)
	if !strings.Contains(long, "498 of 500 windows moved") {
		t.Error("names that are long leave no page")
	}
}

// What is not judged is counted over all windows, those too that are not shown one by one.
func TestMonitorReportCountsAll(t *testing.T) {
	p, w, r := watched(t, "age", 2, 700)
	for i := range w {
		w[i].Drift.Verdict, w[i].Drift.Ranking = assay.Undetermined, nil
	}
	var b bytes.Buffer
	if err := MonitorReport(&b, "churn:1", p, w, r, Footer{}); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(b.String(), "Nothing moved in 0 windows. 700 could not be judged.") {
		t.Error(b.String()[strings.Index(b.String(), "<h1>"):][:300])
	}
}

// A place of a trend holds the least and the greatest value of its windows, and that one of them failed.
func TestBands(t *testing.T) {
	points := make([]trendPoint, 1000)
	for i := range points {
		points[i] = trendPoint{float64(i % 10), i >= 104, i == 555}
	}
	got := bands(points, trendGroups)
	failed := 0
	for i, b := range got {
		if b.known != (b.at > 104) || b.known && (b.lo != 0 || b.hi != 9) {
			t.Errorf("place %d: %+v", i, b)
		}
		if b.fail {
			failed++
		}
	}
	if len(got) > trendGroups || failed != 1 {
		t.Errorf("%d places, %d failed", len(got), failed)
	}
}
