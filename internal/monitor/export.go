package monitor

import (
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/assay-ml/assay"
)

// Names of the gauges that exports stand on, beside the counters of package serve.
const (
	MetricDrift     = "assay_drift_score"                // model, version, scope, kind, column: effect size in the newest judged window
	MetricFiring    = "assay_alert_firing"               // model, version, alert, severity: 1 while it fires or somebody has it, else 0
	MetricCoverage  = "assay_label_coverage"             // model, version: share of labelled rows of the newest window with an outcome
	MetricDue       = "assay_label_coverage_due"         // model, version: the same of the newest window whose labels should all have come
	MetricWindowEnd = "assay_monitor_window_end_seconds" // model, version: end of the newest judged window, Unix time
	MetricUnjudged  = "assay_monitor_unjudged_seconds"   // model, version: since when rows are logged of which no window was judged yet, Unix time; absent once one was
	MetricRealised  = "assay_performance"                // model, version, metric: figure of the newest window with labels
	MetricOutbox    = "assay_outbox_messages"            // state: waiting, dead, broken
	MetricRequests  = "assay_requests_total"             // of package serve: model, version, outcome
	MetricLatency   = "assay_request_duration_seconds"   // of package serve
	MetricLost      = "assay_log_lost_rows_total"        // of package serve
	MetricOutliers  = "assay_out_of_distribution_rows_total"
	MetricRows      = "assay_rows_total"
	MetricServed    = "assay_model_version" // of package serve: model, version, live: 1 for every version that is served
)

// goneAfter is how long no server may say that it has a model.
const goneAfter = "5m"

// longestLook bounds how far back a rule looks, in seconds: Prometheus keeps 15 days where nothing else is said.
const longestLook = 7 * day

// A rule of Prometheus.
type promRule struct{ name, expr, wait, severity, summary, description string }

// Rules writes the alerts of a plan as a rules file of Prometheus, which scrapes /metrics of the server: those of the plan, which Assay judges, and those
// of the server, which Prometheus judges. version is NAME:NUMBER; the rules are about the model whatever its version.
func Rules(version string, plan assay.Monitor) []byte {
	model, _, _ := strings.Cut(version, ":")
	is := "model=" + strconv.Quote(model)
	window := plan.Windows.LengthSeconds
	if window == 0 {
		window = 86400
	}
	var rules []promRule
	for _, a := range plan.Alerts {
		rules = append(rules, promRule{
			name: alertName(a.Name), severity: a.Severity, expr: fmt.Sprintf("max by (model, version) (%s{%s,alert=%s}) == 1", MetricFiring, is, strconv.Quote(a.Name)),
			summary: "{{ $labels.model }}:{{ $labels.version }}: alert " + a.Name + " fires", description: "It is about " + strings.Join(a.When, ", ") + ". Look at it with: assay alert list",
		})
	}
	span := promSpan(min(window, longestLook))
	tolerated := func(kind string, usual float64) string {
		for _, s := range plan.Signals {
			if s.Scope == ScopeTraffic && s.Kind == kind && !math.IsNaN(float64(s.Threshold)) {
				usual = float64(s.Threshold)
			}
		}
		return number64(usual)
	}
	rules = append(rules,
		promRule{"AssayServerGone", fmt.Sprintf("absent(%s{%s})", MetricServed, is), goneAfter, "critical", "no server says that it answers for {{ $labels.model }}", "It has ended, Prometheus cannot reach it, or it serves no version of the model: all other rules are blind."},
		// Only what was counted a whole span ago can have been silent for one: Prometheus, too, must have looked for so long.
		promRule{"AssayNoTraffic", fmt.Sprintf("sum by (model) (increase(%s{%s}[%s])) == 0 and on (model) sum by (model) (present_over_time(%s{%s}[%s] offset %s))", MetricRequests, is, span, MetricRequests, is, span, span), "0s", "error", "{{ $labels.model }} got no request in " + span, "No traffic is not the same as no drift."},
		promRule{"AssayRefusals", fmt.Sprintf("sum by (model) (rate(%s{%s,outcome=~\"refused|malformed\"}[15m])) / sum by (model) (rate(%s{%s}[15m])) > %s", MetricRequests, is, MetricRequests, is, tolerated(KindRefused, ToleratedRefused)), "15m", "warning", "{{ $labels.model }} refuses {{ $value | humanizePercentage }} of its requests", "Requests do not fit the input schema."},
		promRule{"AssayFailures", fmt.Sprintf("sum by (model) (rate(%s{%s,outcome=~\"failed|shed\"}[5m])) / sum by (model) (rate(%s{%s}[5m])) > %s", MetricRequests, is, MetricRequests, is, tolerated(KindFailed, ToleratedFailed)), "5m", "error", "{{ $labels.model }} fails {{ $value | humanizePercentage }} of its requests", "The model gave no answer, or one that does not fit the output schema, or there was no room for the request."},
		promRule{"AssayLogLoses", fmt.Sprintf("sum by (model, version) (increase(%s{%s}[10m])) / sum by (model, version) (increase(%s{%s}[10m])) > %s", MetricLost, is, MetricRows, is, tolerated(KindLost, ToleratedLost)), "0s", "error", "the prediction log of {{ $labels.model }} lost {{ $value | humanizePercentage }} of the rows", "What is not in the log is not watched."},
		// A model of which no window was ever judged has no end of one: what counts is for how long rows of a version that is served have been logged.
		promRule{"AssayMonitorStopped", fmt.Sprintf("time() - max by (model) (last_over_time(%[1]s{%[2]s}[%[3]s])) > %[4]d or (time() - min by (model) (%[5]s{%[2]s} and on (model, version) %[6]s{%[2]s}) > %[4]d unless on (model) last_over_time(%[1]s{%[2]s}[%[3]s]))", MetricWindowEnd, is, promSpan(longestLook), 3*window+plan.Windows.GraceSeconds, MetricUnjudged, MetricServed), "0s", "error", "no window of {{ $labels.model }} was judged for {{ $value | humanizeDuration }}", "Nobody watches the model: run assay monitor run."},
		promRule{"AssayOutboxStuck", fmt.Sprintf("max(%s{state=~\"dead|broken\"}) > 0", MetricOutbox), "0s", "error", "{{ $value }} alert messages reached nobody", "Look at them with: assay alert list"},
	)
	if plan.Labels != nil && plan.Labels.MinCoverage > 0 {
		rules = append(rules, promRule{"AssayLabelsMissing", fmt.Sprintf("min by (model, version) (%s{%s}) < %s", MetricDue, is, number64(plan.Labels.MinCoverage)), span, "warning", "only {{ $value | humanizePercentage }} of the predictions of {{ $labels.model }} have a label", "Labels of that window should all have come by now: its performance cannot be judged."})
	}
	var b strings.Builder
	fmt.Fprintf(&b, "# Rules of %s, written by Assay from its monitoring plan.\ngroups:\n  - name: %s\n    rules:\n", version, strconv.Quote("assay_"+model))
	for _, r := range rules {
		fmt.Fprintf(&b, "      - alert: %s\n        expr: %s\n", r.name, quoted(r.expr))
		if r.wait != "" && r.wait != "0s" {
			fmt.Fprintf(&b, "        for: %s\n", r.wait)
		}
		fmt.Fprintf(&b, "        labels:\n          severity: %s\n        annotations:\n          summary: %s\n          description: %s\n", r.severity, quoted(r.summary), quoted(r.description))
	}
	return []byte(b.String())
}

// quoted writes a string as YAML has it between single quotes.
func quoted(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }

func number64(v float64) string { return strconv.FormatFloat(v, 'g', -1, 64) }

// promSpan writes whole seconds as a duration of Prometheus.
func promSpan(seconds int64) string {
	for _, u := range []struct {
		seconds int64
		name    string
	}{{86400, "d"}, {3600, "h"}, {60, "m"}} {
		if seconds >= u.seconds && seconds%u.seconds == 0 {
			return strconv.FormatInt(seconds/u.seconds, 10) + u.name
		}
	}
	return strconv.FormatInt(max(seconds, 1), 10) + "s"
}

// Dashboard writes a dashboard of Grafana for a model: traffic, latency, what was refused, drift by column, performance, labels, alerts. It stands on a
// Prometheus data source that the importer chooses.
func Dashboard(version string, plan assay.Monitor) []byte {
	model, _, _ := strings.Cut(version, ":")
	is := `model=~"$model",version=~"$version"`
	source := map[string]any{"type": "prometheus", "uid": "${DS_PROMETHEUS}"}
	var panels []map[string]any
	x, y := 0, 0
	panel := func(title, kind, unit, description string, width int, queries ...[2]string) {
		var targets []map[string]any
		for i, q := range queries {
			targets = append(targets, map[string]any{"refId": string(rune('A' + i)), "expr": q[0], "legendFormat": q[1], "datasource": source})
		}
		if x+width > 24 {
			x, y = 0, y+8
		}
		panels = append(panels, map[string]any{
			"id": len(panels) + 1, "title": title, "type": kind, "description": description, "datasource": source, "targets": targets,
			"gridPos":     map[string]any{"x": x, "y": y, "w": width, "h": 8},
			"fieldConfig": map[string]any{"defaults": map[string]any{"unit": unit, "custom": map[string]any{}}, "overrides": []any{}},
			"options":     map[string]any{},
		})
		x += width
	}
	panel("Requests by outcome", "timeseries", "reqps", "Predictions that were asked for.", 12, [2]string{fmt.Sprintf("sum by (outcome) (rate(%s{%s}[5m]))", MetricRequests, is), "{{outcome}}"})
	panel("Latency", "timeseries", "s", "From the first byte of a request's handling to the end of its answer.", 12,
		[2]string{fmt.Sprintf("histogram_quantile(0.5, sum by (le) (rate(%s_bucket{%s}[5m])))", MetricLatency, is), "p50"},
		[2]string{fmt.Sprintf("histogram_quantile(0.99, sum by (le) (rate(%s_bucket{%s}[5m])))", MetricLatency, is), "p99"})
	panel("Alerts", "state-timeline", "short", "1 while an alert fires or somebody has taken it over.", 12, [2]string{fmt.Sprintf("max by (alert, severity) (%s{%s})", MetricFiring, is), "{{alert}} ({{severity}})"})
	panel("Alert messages that wait or reached nobody", "timeseries", "short", "The outbox.", 12, [2]string{fmt.Sprintf("max by (state) (%s)", MetricOutbox), "{{state}}"})
	panel("Drift of the inputs, the ten largest", "timeseries", "short", "Effect size of the newest judged window, in Cohen's w: 0.1 is small, 0.3 medium, 0.5 large.", 12, [2]string{fmt.Sprintf("topk(10, max by (column, kind) (%s{%s,scope=\"input\"}))", MetricDrift, is), "{{column}} {{kind}}"})
	panel("Drift of the predictions and of the whole", "timeseries", "short", "Effect size of the newest judged window.", 12, [2]string{fmt.Sprintf("max by (scope, column, kind) (%s{%s,scope!=\"input\"})", MetricDrift, is), "{{scope}} {{column}} {{kind}}"})
	for _, m := range plan.Performance {
		panel(m.Name, "timeseries", "short", "On the rows with a label; "+m.Reference.String()+" on held-out rows.", 12,
			[2]string{fmt.Sprintf("max by (version) (%s{%s,metric=%s})", MetricRealised, is, strconv.Quote(m.Name)), "{{version}}"},
			[2]string{"vector(" + finite(float64(m.Reference.Value)) + ")", "held out"})
	}
	panel("Label coverage", "timeseries", "percentunit", "Share of the predictions of the newest window with labels that have one.", 12, [2]string{fmt.Sprintf("min by (version) (%s{%s})", MetricCoverage, is), "{{version}}"})
	panel("Rows unlike the training data", "timeseries", "percentunit", "Share of the answered rows.", 12, [2]string{fmt.Sprintf("sum(rate(%s{%s}[15m])) / sum(rate(%s{%s,outcome=\"answered\"}[15m]))", MetricOutliers, is, MetricRows, is), "out of distribution"})
	panel("Rows that the log lost", "timeseries", "short", "What is not in the log is not watched.", 12, [2]string{fmt.Sprintf("sum by (version) (increase(%s{%s}[15m]))", MetricLost, is), "{{version}}"})
	variable := func(name, query, value string) map[string]any {
		return map[string]any{"name": name, "label": name, "type": "query", "datasource": source, "query": query, "refresh": 2, "includeAll": true, "multi": true, "current": map[string]any{"text": value, "value": value}}
	}
	doc := map[string]any{
		"title": "Assay: " + model, "uid": "assay-" + assay.DigestOf([]byte(model)).Hex()[:12], "schemaVersion": 39, "version": 1, "editable": true, "tags": []string{"assay"}, "refresh": "1m",
		"time":     map[string]any{"from": "now-7d", "to": "now"},
		"__inputs": []any{map[string]any{"name": "DS_PROMETHEUS", "label": "Prometheus", "type": "datasource", "pluginId": "prometheus", "pluginName": "Prometheus"}},
		"templating": map[string]any{"list": []any{
			variable("model", "label_values("+MetricRequests+", model)", model), variable("version", "label_values("+MetricRequests+"{model=~\"$model\"}, version)", "$__all"),
		}},
		"annotations": map[string]any{"list": []any{}}, "panels": panels,
	}
	b, err := json.MarshalIndent(doc, "", "  ")
	if err != nil {
		panic("BUG: a dashboard cannot be written: " + err.Error())
	}
	return append(b, '\n')
}

func finite(v float64) string {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return "0"
	}
	return number64(v)
}
