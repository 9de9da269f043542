package cli

import (
	"context"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/assaytest"
	"github.com/assay-ml/assay/internal/monitor"
	"github.com/assay-ml/assay/internal/serve"
	"github.com/assay-ml/assay/internal/web"
)

// TestCoverageThatIsDue: labels of the newest window that have not come yet are no gap; those of the newest window whose time is over are.
func TestCoverageThatIsDue(t *testing.T) {
	t.Parallel()
	p := watchProject(t, twoChannels, map[string]string{"OPS": "http://127.0.0.1:1", "OPS_KEY": "key", "DUTY": "http://127.0.0.1:1", "DUTY_KEY": "routing"}, escalating)
	s := p.session()
	defer s.Close()
	r, err := s.st.Get(t.Context(), p.plan)
	if err != nil {
		t.Fatal(err)
	}
	plan, err := assay.Decode[assay.Monitor](r.Evidence)
	if err != nil {
		t.Fatal(err)
	}
	plan.Labels = &assay.LabelPlan{Join: []string{"id"}, MinCoverage: 0.5, WithinSeconds: 10 * 86400, Conflicts: monitor.ConflictRefuse}
	p.plan = p.put(assay.KindMonitor, plan, p.version.Evidence).ID
	began := assaytest.Clock()()
	p.forward(4 * 24 * time.Hour) // the windows are over
	report := p.blob("{}")
	put := func(n, look int, coverage float64) {
		t.Helper()
		w := assay.Window{Number: int64(n + 1), Rows: 500, Start: assay.InstantOf(began.AddDate(0, 0, n)), End: assay.InstantOf(began.AddDate(0, 0, n+1)), Content: assay.DigestOf([]byte{byte(n)})}
		none := assay.Number(0)
		if _, err := s.write(t.Context(), assay.KindOutcome, p.version.Model, []assay.Digest{p.plan}, assay.Outcome{
			Monitor: p.plan, Window: w, Look: look, Level: 0.01, Performance: []assay.RealisedMetric{}, Slices: []assay.RealisedSlice{}, Drift: []assay.Signal{}, Report: report, Verdict: assay.Pass,
			Labels: assay.LabelJoin{Content: w.Content, Coverage: assay.Estimate{Value: coverage, Lo: coverage, Hi: coverage, Level: 0.95, Method: "wilson", N: 500}, DelayP50: none, DelayP90: none, DelayMax: none},
		}); err != nil {
			t.Fatal(err)
		}
	}
	for n, coverage := range []float64{0.25, 0.9, 0.01} { // their labels are due 11, 12 and 13 days after the clock's beginning
		put(n, 1, coverage)
	}
	for look := range duePage + 100 { // labels of the newest window come, a few at a time
		put(2, 2+look, 0.01)
	}
	kept := &alertGauges{s: s} // goes on from look to look, as that of a server does
	for _, x := range []struct {
		day  int
		want string
	}{{10, ""}, {11, "0.25"}, {12, "0.9"}, {14, "0.01"}} {
		p.lock.Lock()
		p.now = began.AddDate(0, 0, x.day).Add(time.Hour)
		p.lock.Unlock()
		if newest, due := gaugeValue(t, s, monitor.MetricCoverage), gaugeValue(t, s, monitor.MetricDue); newest != "0.01" || due != x.want {
			t.Errorf("on day %d the newest window has %q and the newest that is due %q, want %q", x.day, newest, due, x.want)
		}
		if due := gaugeOf(t, kept, monitor.MetricDue); due != x.want {
			t.Errorf("on day %d, looked at before: %q, want %q", x.day, due, x.want)
		}
		if x.day == 12 { // overdue labels restate the window
			put(1, 2, 0.95)
			p.forward(2 * gaugesEvery)
			if due := gaugeOf(t, kept, monitor.MetricDue); due != "0.95" {
				t.Errorf("restated on day %d: %q", x.day, due)
			}
		}
	}
	if rules := p.run(0, "monitor", "export", "prometheus"); !strings.Contains(rules, "assay_label_coverage_due") {
		t.Errorf("%s", rules)
	}
}

// TestUnjudgedSince: a version whose log has rows, and of which no window was judged, says since when; one that nobody asked, or that is watched, says nothing.
func TestUnjudgedSince(t *testing.T) {
	t.Parallel()
	p, _ := heldProject(t, "    - {name: moved, when: input, severity: error, to: ops}\n")
	s := p.session()
	defer s.Close()
	if got := gaugeValue(t, s, monitor.MetricUnjudged); got != "" {
		t.Errorf("nothing is logged, and something is not judged since %s", got)
	}
	logDays(t, p.dir, "2026-01-05T12", map[string]string{"2026-01-05": ""})
	want := time.Date(2026, 1, 5, 13, 0, 0, 0, time.UTC)
	if got := gaugeValue(t, s, monitor.MetricUnjudged); got != strconv.FormatFloat(float64(want.Unix()), 'g', -1, 64) {
		t.Errorf("rows are not judged since %q, want %d", got, want.Unix())
	}
	p.forward(10 * 24 * time.Hour)
	p.run(3, "monitor", "run")
	if got, end := gaugeValue(t, s, monitor.MetricUnjudged), gaugeValue(t, s, monitor.MetricWindowEnd); got != "" || end == "" {
		t.Errorf("windows were judged, the newest ends at %q, and rows are not since %q", end, got)
	}
}

// gaugeValue is what a gauge says, "" where it says nothing.
func gaugeValue(t *testing.T, s *session, name string) string {
	t.Helper()
	return gaugeOf(t, &alertGauges{s: s}, name)
}

func gaugeOf(t *testing.T, g *alertGauges, name string) string {
	t.Helper()
	reg := prometheus.NewRegistry()
	reg.MustRegister(g)
	all, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range all {
		if f.GetName() == name {
			return strconv.FormatFloat(f.GetMetric()[0].GetGauge().GetValue(), 'g', -1, 64)
		}
	}
	return ""
}

// TestNewestWindow: the newest window is the one that began last, though hundreds before it are judged later: gauges, pages and the watcher go on from it.
func TestNewestWindow(t *testing.T) {
	t.Parallel()
	p := watchProject(t, twoChannels, map[string]string{"OPS": "http://127.0.0.1:1", "OPS_KEY": "key", "DUTY": "http://127.0.0.1:1", "DUTY_KEY": "routing"}, escalating)
	p.window(400, assay.Fail)
	s := p.session()
	defer s.Close()
	r, err := s.st.Get(t.Context(), p.plan)
	if err != nil {
		t.Fatal(err)
	}
	plan, err := assay.Decode[assay.Monitor](r.Evidence)
	if err != nil {
		t.Fatal(err)
	}
	report := p.blob("{}")
	for n := range 300 { // a table of the past
		at := assaytest.Clock()().AddDate(0, 0, n-1)
		d := assay.Drift{Monitor: p.plan, Window: assay.Window{Number: int64(n), Rows: 500, Start: assay.InstantOf(at), End: assay.InstantOf(at.AddDate(0, 0, 1))}, Signals: []assay.Signal{}, Ranking: []assay.Cause{}, Report: report, Verdict: assay.Pass}
		if _, err := s.write(t.Context(), assay.KindDrift, p.version.Model, []assay.Digest{p.plan}, d); err != nil {
			t.Fatal(err)
		}
	}
	if got := gaugeValue(t, s, monitor.MetricDrift); got != "0.31" {
		t.Errorf("the drift score is %q", got)
	}
	end := strconv.FormatFloat(float64(assaytest.Clock()().AddDate(0, 0, 400).Unix()), 'g', -1, 64)
	if got := gaugeValue(t, s, monitor.MetricWindowEnd); got != end {
		t.Errorf("the newest window ended at %s, want %s", got, end)
	}
	if since, err := s.judgedBy(t.Context(), p.version, p.plan, plan); err != nil || len(since) != windowsBefore || since[0].Window.Number != 400 {
		t.Errorf("%d windows to go on from, %v", len(since), err)
	}
	g := &pages{s: s, server: serve.New(serve.Options{Clock: s.Now, Nonce: "n"})}
	for name, page := range map[string]func(context.Context, *http.Request) (web.SitePage, error){"monitors": g.monitors, "home": g.home} {
		x, err := page(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		var b strings.Builder
		if err := web.Site(&b, x, g.footer()); err != nil || !strings.Contains(b.String(), "age moved by 0.31") || strings.Contains(b.String(), "nothing moved") {
			t.Errorf("%s: %v\n%s", name, err, b.String())
		}
	}
}
