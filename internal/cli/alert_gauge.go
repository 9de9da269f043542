package cli

import (
	"context"
	"io"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/cobra"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/monitor"
	"github.com/assay-ml/assay/internal/serve"
	"github.com/assay-ml/assay/internal/store"
)

// gaugesEvery is how often a server looks at the store for what /metrics says of monitoring, at most.
const gaugesEvery = 10 * time.Second

// alertGauges say on /metrics what the store knows of the newest windows and alerts of the versions that are watched.
type alertGauges struct {
	s    *session
	lock sync.Mutex
	at   time.Time
	last []prometheus.Metric
	due  map[assay.Digest]*dueScan // by plan
}

var (
	gaugeDrift    = prometheus.NewDesc(monitor.MetricDrift, "Effect size of a signal in the newest judged window.", []string{"model", "version", "scope", "kind", "column"}, nil)
	gaugeFiring   = prometheus.NewDesc(monitor.MetricFiring, "1 while an alert fires or somebody has taken it over.", []string{"model", "version", "alert", "severity"}, nil)
	gaugeCoverage = prometheus.NewDesc(monitor.MetricCoverage, "Share of the predictions of the newest window with labels that have one.", []string{"model", "version"}, nil)
	gaugeDue      = prometheus.NewDesc(monitor.MetricDue, "Share of the predictions of the newest window whose labels should all have come that have one.", []string{"model", "version"}, nil)
	gaugeWindow   = prometheus.NewDesc(monitor.MetricWindowEnd, "End of the newest judged window, Unix time.", []string{"model", "version"}, nil)
	gaugeUnjudged = prometheus.NewDesc(monitor.MetricUnjudged, "Since when predictions are logged of which no window was judged yet, Unix time; absent once one was.", []string{"model", "version"}, nil)
	gaugeRealised = prometheus.NewDesc(monitor.MetricRealised, "Figure of the newest window with labels.", []string{"model", "version", "metric"}, nil)
	gaugeOutbox   = prometheus.NewDesc(monitor.MetricOutbox, "Alert messages by what became of them.", []string{"state"}, nil)
)

// Describe implements prometheus.Collector.
func (g *alertGauges) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{gaugeDrift, gaugeFiring, gaugeCoverage, gaugeDue, gaugeWindow, gaugeUnjudged, gaugeRealised, gaugeOutbox} {
		ch <- d
	}
}

// Collect implements prometheus.Collector. When the store cannot be read the gauges are left out, which Prometheus sees as absent.
func (g *alertGauges) Collect(ch chan<- prometheus.Metric) {
	g.lock.Lock()
	defer g.lock.Unlock()
	if now := g.s.Now(); g.at.IsZero() || now.Sub(g.at) >= gaugesEvery {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		var err error
		if g.due == nil {
			g.due = map[assay.Digest]*dueScan{}
		}
		if g.last, err = g.s.gauges(ctx, g.due); err != nil {
			g.s.say("the gauges of monitoring are left out: %v", err)
		}
		g.at = now
	}
	for _, m := range g.last {
		ch <- m
	}
}

func (s *session) gauges(ctx context.Context, due map[assay.Digest]*dueScan) ([]prometheus.Metric, error) {
	var out []prometheus.Metric
	set := func(d *prometheus.Desc, v float64, labels ...string) {
		out = append(out, prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...))
	}
	all, err := s.watchedVersions(ctx)
	if err != nil {
		return nil, err
	}
	for _, w := range all {
		name, number := w.version.Name, strconv.Itoa(w.version.Number)
		for _, a := range w.plans[w.planID].Alerts {
			c, _ := monitor.Newest(w.cases, w.planID, a.Name)
			firing := 0.0
			if c.Open() && c.Incident.Step > 0 && c.Incident.State != assay.AlertMuted {
				firing = 1
			}
			set(gaugeFiring, firing, name, number, a.Name, a.Severity)
		}
		if d, err := newestWindow[assay.Drift](ctx, s, assay.KindDrift, w); err != nil {
			return nil, err
		} else if d != nil {
			most := map[[3]string]float64{}
			for _, x := range d.Signals {
				k := [3]string{x.Scope, x.Kind, x.Column}
				if v := float64(x.Effect.Value); v == v && v >= most[k] {
					most[k] = v
				}
			}
			for k, v := range most {
				set(gaugeDrift, v, name, number, k[0], k[1], k[2])
			}
			if end, err := d.Window.End.Time(); err == nil {
				set(gaugeWindow, float64(end.UnixMilli())/1000, name, number)
			}
		} else if since, err := s.unjudgedSince(ctx, w); err != nil {
			return nil, err
		} else if !since.IsZero() {
			set(gaugeUnjudged, float64(since.Unix()), name, number)
		}
		if o, err := newestWindow[assay.Outcome](ctx, s, assay.KindOutcome, w); err != nil {
			return nil, err
		} else if o != nil {
			set(gaugeCoverage, float64(o.Labels.Coverage.Value), name, number)
			for _, m := range o.Performance {
				set(gaugeRealised, float64(m.Realised.Value), name, number, m.Name)
			}
		}
		if l := w.plans[w.planID].Labels; l != nil {
			if o, err := dueOf(due, w.planID).look(ctx, s, w, l); err != nil {
				return nil, err
			} else if o != nil {
				set(gaugeDue, float64(o.labels.Coverage.Value), name, number)
			}
		}
	}
	o, err := monitor.OpenOutbox(filepath.Join(s.p.Path(s.p.Store), "outbox"), s.Now)
	if err != nil {
		return nil, err
	}
	t, err := o.Tally()
	if err != nil {
		return nil, err
	}
	set(gaugeOutbox, float64(t.Waiting), "waiting")
	set(gaugeOutbox, float64(t.Dead), "dead")
	set(gaugeOutbox, float64(t.Broken), "broken")
	return out, nil
}

// unjudgedSince is since when windows of a version that has none could be judged: since its plan was made, and the hour of the first row that the log of the
// model has is over. Zero where the log has none.
func (s *session) unjudgedSince(ctx context.Context, w *watchedVersion) (time.Time, error) {
	first, err := serve.FirstHour(serve.LogDir(s.logDir(), w.version.Name))
	if err != nil || first.IsZero() {
		return first, err
	}
	plan, err := s.st.Get(ctx, w.planID)
	return later(first.Add(time.Hour), plan.Entry.At), err
}

// newestWindow is the evidence about the newest window of a plan, as it was restated last; nil for none.
func newestWindow[T any](ctx context.Context, s *session, kind assay.Kind, w *watchedVersion) (*T, error) {
	rs, err := s.st.Find(ctx, store.Query{Kind: kind, Subject: w.version.Model, Parent: w.planID, Windows: true, Limit: 1})
	if err != nil || len(rs) == 0 {
		return nil, err
	}
	x, err := assay.Decode[T](rs[0].Evidence)
	return &x, err
}

// monitorExportCommand is a part of the monitor command.
func (a *app) monitorExportCommand() *cobra.Command {
	c := &cobra.Command{Use: "export", Short: "Write the plan for other tools: prometheus, grafana"}
	export := func(format, short string, write func(version string, plan assay.Monitor) []byte) *cobra.Command {
		return &cobra.Command{
			Use: format + " [VERSION]", Short: short, Args: cobra.MaximumNArgs(1),
			RunE: a.with("monitor export "+format, func(ctx context.Context, s *session, args []string) error {
				v, err := s.version(ctx, first(args))
				if err != nil {
					return err
				}
				w, err := s.onWatch(ctx, v)
				if err != nil {
					return err
				}
				if w.planID == "" {
					return assay.Errorf(assay.NotFound, "%s has no plan by which it is watched", versionName(v)).Try("assay monitor plan %s", versionName(v))
				}
				b := write(versionName(v), w.plans[w.planID])
				return s.print("assay.monitor.export/1", map[string]any{"format": format, "content": string(b)}, func(w io.Writer) { _, _ = w.Write(b) })
			}),
		}
	}
	c.AddCommand(export("prometheus", "Write a rules file of Prometheus", monitor.Rules), export("grafana", "Write a dashboard of Grafana", monitor.Dashboard))
	return c
}
