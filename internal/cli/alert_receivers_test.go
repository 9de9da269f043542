package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/monitor"
)

// needs skips a test outside the full command, and fails it there when a program is missing.
func needs(t *testing.T, programs ...string) {
	t.Helper()
	if os.Getenv("ASSAY_TEST_FULL") != "1" {
		t.Skip("only in the full test command")
	}
	for _, p := range programs {
		if _, err := exec.LookPath(p); err != nil {
			t.Fatalf("%s is missing: scripts/deps.sh installs it", p)
		}
	}
}

// port is one that is free now.
func port(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return ln.Addr().String()
}

// daemon runs a program until the test ends.
func daemon(t *testing.T, ready func() bool, program string, args ...string) {
	t.Helper()
	var out bytes.Buffer
	c := exec.Command(program, args...)
	c.Stdout, c.Stderr = &out, &out
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	gone := make(chan error, 1)
	go func() { gone <- c.Wait() }()
	t.Cleanup(func() {
		_ = c.Process.Kill()
		<-gone
	})
	for range 300 {
		if ready() {
			return
		}
		select {
		case err := <-gone:
			gone <- err
			t.Fatalf("%s ended: %v\n%s", program, err, out.String())
		case <-time.After(100 * time.Millisecond):
		}
	}
	t.Fatalf("%s is not ready\n%s", program, out.String())
}

func get(address string) (string, int) {
	r, err := http.Get(address)
	if err != nil {
		return "", 0
	}
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		return "", 0
	}
	return string(b), r.StatusCode
}

func eventually(t *testing.T, what string, f func() bool) {
	t.Helper()
	for range 300 {
		if f() {
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
	t.Fatalf("not within 30 s: %s", what)
}

// TestAlertmanager: Debian's Alertmanager accepts a test, an alert, its keeping alive and its end, under labels that stay the same; what it routes comes
// back over its webhook.
func TestAlertmanager(t *testing.T) {
	needs(t, "prometheus-alertmanager")
	back := newHook(t, 200, "")
	dir, at := t.TempDir(), port(t)
	config := fmt.Sprintf("route: {receiver: back, group_by: [alertname], group_wait: 2s, group_interval: 1s, repeat_interval: 1h}\nreceivers: [{name: back, webhook_configs: [{url: '%s', send_resolved: true}]}]\n", back.URL)
	if err := os.WriteFile(filepath.Join(dir, "am.yml"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	daemon(t, func() bool { _, s := get("http://" + at + "/-/ready"); return s == 200 }, "prometheus-alertmanager", "--config.file="+filepath.Join(dir, "am.yml"), "--storage.path="+filepath.Join(dir, "data"), "--web.listen-address="+at, "--cluster.listen-address=")
	alert := assay.AlertPlan{Name: "drift", When: []string{"input"}, Severity: "error", Persist: 1, Steps: []assay.Escalation{{To: []string{"am"}}}, Actions: []string{}}
	p := watchProject(t, "    am: {type: alertmanager, address: \"env:AM\"}\n", map[string]string{"AM": "http://" + at}, alert)
	p.now = time.Now() // the receiver has the real time
	type posted struct {
		Status string `json:"status"`
		Alerts []struct {
			Status      string            `json:"status"`
			Labels      map[string]string `json:"labels"`
			Annotations map[string]string `json:"annotations"`
			Fingerprint string            `json:"fingerprint"`
		} `json:"alerts"`
	}
	seen := func(name, status string) (out posted) {
		t.Helper()
		eventually(t, name+" comes back as "+status, func() bool {
			back.lock.Lock()
			defer back.lock.Unlock()
			for _, b := range back.bodies {
				var x posted
				if err := json.Unmarshal(b, &x); err != nil {
					t.Error(err)
				}
				if len(x.Alerts) > 0 && x.Alerts[0].Labels["alertname"] == name && x.Status == status {
					out = x
					return true
				}
			}
			return false
		})
		return out
	}
	if got := p.run(0, "monitor", "test-fire"); !strings.Contains(got, "am (alertmanager): accepted, 200") {
		t.Errorf("%s", got)
	}
	// The receiver waits before it tells of a group, as real ones do: a test that were over by then would reach nobody.
	if x := seen("assay_test", "firing"); len(x.Alerts[0].Annotations["challenge"]) != 16 || x.Alerts[0].Labels["challenge"] != x.Alerts[0].Annotations["challenge"] {
		t.Errorf("%+v", x)
	}
	p.window(1, assay.Fail)
	p.now = time.Now()
	p.run(0, "alert", "send")
	first := seen("assay_drift", "firing")
	if a := first.Alerts[0]; a.Labels["model"] != "people" || a.Labels["version"] != "1" || a.Labels["severity"] != "error" || len(a.Labels) != 4 || !strings.Contains(a.Annotations["summary"], "age moved by 0.31") {
		t.Errorf("%+v", a)
	}
	ends := func() string {
		body, _ := get("http://" + at + "/api/v2/alerts")
		var as []struct {
			EndsAt string            `json:"endsAt"`
			Labels map[string]string `json:"labels"`
		}
		if err := json.Unmarshal([]byte(body), &as); err != nil {
			t.Fatal(err)
		}
		for _, a := range as {
			if a.Labels["alertname"] == "assay_drift" {
				return a.EndsAt
			}
		}
		return ""
	}
	before := ends()
	p.forward(61 * time.Second) // it is sent again, and lives on for longer
	p.run(0, "alert", "send")
	if after := ends(); before == "" || after <= before {
		t.Errorf("kept alive until %s, before until %s", after, before)
	}
	p.window(2, assay.Fail) // another window of the same alert is not another alert
	p.run(0, "alert", "send")
	if body, _ := get("http://" + at + "/api/v2/alerts"); strings.Count(body, `"assay_drift"`) != 1 {
		t.Errorf("%s", body)
	}
	p.window(3, assay.Pass)
	p.now = time.Now()
	p.run(0, "alert", "send")
	if last := seen("assay_drift", "resolved"); last.Alerts[0].Fingerprint != first.Alerts[0].Fingerprint {
		t.Error("the end is that of another alert")
	}
	p.window(4, assay.Fail)
	p.run(0, "alert", "send")
	if ends() == "" {
		t.Error("another incident is not there")
	}
	key, _, _ := strings.Cut(strings.Split(p.run(0, "alert", "list"), "\n")[1], " ")
	p.run(0, "alert", "mute", key, "--for", "1h", "--by", "Ada Lovelace", "--reason", "it is known, and mended")
	eventually(t, "a muted incident is over there", func() bool { return ends() == "" })
	for range 3 {
		p.forward(61 * time.Second)
		p.run(0, "alert", "send")
		if at := ends(); at != "" {
			t.Errorf("a muted incident is kept alive until %s", at)
		}
	}
	p.forward(time.Hour)
	p.run(0, "alert", "send")
	if ends() == "" {
		t.Error("the mute is over, and the incident is not there")
	}
}

// TestOneAlertOverTwoPaths: an alert that Assay sends to an Alertmanager and a rule of a real Prometheus too is one alert there.
func TestOneAlertOverTwoPaths(t *testing.T) {
	needs(t, "prometheus", "prometheus-alertmanager")
	dir, am, prom := t.TempDir(), port(t), port(t)
	p := watchProject(t, "    am: {type: alertmanager, address: \"env:AM\"}\n", map[string]string{"AM": "http://" + am}, assay.AlertPlan{Name: "dr-ift", When: []string{"input"}, Severity: "error", Persist: 1, Steps: []assay.Escalation{{To: []string{"am"}}}, Actions: []string{}})
	p.now = time.Now()
	s := p.session()
	defer s.Close()
	reg := prometheus.NewRegistry()
	reg.MustRegister(&alertGauges{s: s})
	metrics := httptest.NewServer(promhttp.HandlerFor(reg, promhttp.HandlerOpts{}))
	defer metrics.Close()
	for name, text := range map[string]string{
		"am.yml": "route: {receiver: nobody}\nreceivers: [{name: nobody}]\n", "rules.yml": p.run(0, "monitor", "export", "prometheus"),
		"prometheus.yml": fmt.Sprintf("global: {scrape_interval: 1s, evaluation_interval: 1s}\nrule_files: ['%s']\nalerting: {alertmanagers: [{static_configs: [{targets: ['%s']}]}]}\nscrape_configs: [{job_name: assay, metrics_path: /, static_configs: [{targets: ['%s']}]}]\n", filepath.Join(dir, "rules.yml"), am, strings.TrimPrefix(metrics.URL, "http://")),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	daemon(t, func() bool { _, s := get("http://" + am + "/-/ready"); return s == 200 }, "prometheus-alertmanager", "--config.file="+filepath.Join(dir, "am.yml"), "--storage.path="+filepath.Join(dir, "data"), "--web.listen-address="+am, "--cluster.listen-address=")
	p.window(1, assay.Fail)
	p.now = time.Now()
	p.run(0, "alert", "send")
	fingerprints := map[string]bool{}
	seen := func(annotation string) bool {
		body, _ := get("http://" + am + "/api/v2/alerts")
		var as []struct {
			Labels, Annotations map[string]string
			Fingerprint         string
		}
		if err := json.Unmarshal([]byte(body), &as); err != nil {
			t.Fatal(err)
		}
		found := false
		for _, a := range as {
			if a.Labels["alertname"] != "assay_dr-ift" {
				continue // the rules of the server itself
			}
			fingerprints[a.Fingerprint] = true
			found = found || a.Annotations[annotation] != ""
		}
		return found
	}
	eventually(t, "Assay tells of it", func() bool { return seen("incident") })
	daemon(t, func() bool { _, s := get("http://" + prom + "/-/ready"); return s == 200 }, "prometheus", "--config.file="+filepath.Join(dir, "prometheus.yml"), "--storage.tsdb.path="+filepath.Join(dir, "tsdb"), "--web.listen-address="+prom)
	eventually(t, "Prometheus tells of it", func() bool { return seen("description") })
	if len(fingerprints) != 1 {
		t.Errorf("%d alerts", len(fingerprints))
	}
}

// TestPrometheus: Debian's Prometheus takes the exported rules, scrapes /metrics, and an alert that fires there is the one of the plan.
func TestPrometheus(t *testing.T) {
	needs(t, "prometheus", "promtool")
	ops := newHook(t, 200, "")
	p := watchProject(t, twoChannels, map[string]string{"OPS": ops.URL, "OPS_KEY": "key", "DUTY_KEY": "routing", "DUTY": ops.URL}, escalating)
	dir := t.TempDir()
	rules := filepath.Join(dir, "assay.rules.yml")
	if err := os.WriteFile(rules, []byte(p.run(0, "monitor", "export", "prometheus")), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("promtool", "check", "rules", rules).CombinedOutput(); err != nil || !strings.Contains(string(out), "SUCCESS: 8 rules found") {
		t.Fatalf("%v\n%s", err, out)
	}
	p.window(1, assay.Fail)
	p.run(0, "alert", "send")
	s := p.session()
	defer s.Close()
	reg := prometheus.NewRegistry()
	reg.MustRegister(&alertGauges{s: s})
	metrics := httptest.NewServer(promhttp.HandlerFor(reg, promhttp.HandlerOpts{}))
	defer metrics.Close()
	at := port(t)
	config := fmt.Sprintf("global: {scrape_interval: 1s, evaluation_interval: 1s}\nrule_files: ['%s']\nscrape_configs: [{job_name: assay, metrics_path: /, static_configs: [{targets: ['%s']}]}]\n", rules, strings.TrimPrefix(metrics.URL, "http://"))
	if err := os.WriteFile(filepath.Join(dir, "prometheus.yml"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	daemon(t, func() bool { _, s := get("http://" + at + "/-/ready"); return s == 200 }, "prometheus", "--config.file="+filepath.Join(dir, "prometheus.yml"), "--storage.tsdb.path="+filepath.Join(dir, "tsdb"), "--web.listen-address="+at)
	eventually(t, "the drift score is scraped", func() bool {
		body, _ := get("http://" + at + "/api/v1/query?query=assay_drift_score%7Bcolumn%3D%22age%22%2Cmodel%3D%22people%22%7D")
		return strings.Contains(body, `"0.31"`)
	})
	eventually(t, "the alert of the plan fires", func() bool {
		body, _ := get("http://" + at + "/api/v1/alerts")
		return strings.Contains(body, `"assay_drift"`) && strings.Contains(body, `"firing"`)
	})
	body, _ := get("http://" + at + "/api/v1/rules")
	if strings.Contains(body, `"health":"err"`) {
		t.Errorf("a rule cannot be evaluated: %s", body)
	}
	var board struct {
		Panels []struct {
			Title   string
			Targets []struct{ Expr string }
		}
	}
	if err := json.Unmarshal([]byte(p.run(0, "monitor", "export", "grafana")), &board); err != nil || len(board.Panels) < 8 {
		t.Fatalf("%d panels, %v", len(board.Panels), err)
	}
	for _, panel := range board.Panels { // Prometheus understands every query of the dashboard
		for _, q := range panel.Targets {
			expr := strings.NewReplacer("$model", "people", "$version", ".*").Replace(q.Expr)
			req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+at+"/api/v1/query", nil)
			if err != nil {
				t.Fatal(err)
			}
			req.URL.RawQuery = "query=" + strings.NewReplacer("+", "%2B", " ", "+", "&", "%26").Replace(expr)
			r, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			if r.Body.Close(); r.StatusCode != 200 {
				t.Errorf("%s: %s: status %d", panel.Title, expr, r.StatusCode)
			}
		}
	}
}

// TestPrometheusJudgesRules: Debian's promtool runs the exported rules over series: each of those that must fire does, at its time and with its words, and none of
// those that must not.
func TestPrometheusJudgesRules(t *testing.T) {
	needs(t, "promtool")
	dir := t.TempDir()
	plan := assay.Monitor{
		Windows: assay.WindowPlan{By: monitor.ByTime, LengthSeconds: 86400, GraceSeconds: 3600}, Labels: &assay.LabelPlan{MinCoverage: 0.5, WithinSeconds: 30 * 86400},
		Alerts: []assay.AlertPlan{{Name: "drift", When: []string{"input"}, Severity: "error"}, {Name: "dr-ift", When: []string{"input"}, Severity: "error"}, {Name: "dr_ift", When: []string{"input"}, Severity: "error"}, {Name: "Drift", When: []string{"input"}, Severity: "error"}},
	}
	// Version 1 has too few labels, 2 has enough, 3 has too few for less than a day, and 4 has none that are due; the other model is nobody's business here.
	test := `
rule_files: [assay.rules.yml]
evaluation_interval: 10m
tests:
  - interval: 10m
    input_series:
      - {series: 'assay_label_coverage_due{model="people",version="1"}', values: '0.2x300'}
      - {series: 'assay_label_coverage_due{model="people",version="2"}', values: '0.5x300'}
      - {series: 'assay_label_coverage_due{model="people",version="3"}', values: '0.4x100 0.6x200'}
      - {series: 'assay_label_coverage{model="people",version="4"}', values: '0x300'}
      - {series: 'assay_label_coverage_due{model="other",version="1"}', values: '0x300'}
    alert_rule_test:
      - {eval_time: 0m, alertname: AssayLabelsMissing}
      - {eval_time: 23h, alertname: AssayLabelsMissing}
      - eval_time: 25h
        alertname: AssayLabelsMissing
        exp_alerts:
          - exp_labels: {severity: warning, model: people, version: "1"}
            exp_annotations:
              summary: only 20% of the predictions of people have a label
              description: 'Labels of that window should all have come by now: its performance cannot be judged.'
  - interval: 10m
    name: nothing is wrong
    input_series:
      - {series: 'assay_label_coverage_due{model="people",version="1"}', values: '0.9x300'}
      - {series: 'assay_requests_total{model="people",version="1",outcome="answered"}', values: '0+60x300'}
      - {series: 'assay_requests_total{model="people",version="2",outcome="answered"}', values: '7x300'}
      - {series: 'assay_rows_total{model="people",version="1",outcome="answered"}', values: '0+600x300'}
      - {series: 'assay_log_lost_rows_total{model="people",version="1"}', values: '0+3x300'}
      - {series: 'assay_monitor_window_end_seconds{model="people",version="1"}', values: '0+600x300'}
      - {series: 'assay_model_version{model="people",version="1",live="true"}', values: '1x300'}
      - {series: 'assay_outbox_messages{state="dead"}', values: '0x300'}
      - {series: 'assay_alert_firing{model="people",version="1",alert="drift",severity="error"}', values: '0x300'}
    alert_rule_test:
` + each(`      - {eval_time: 26h, alertname: %s}`, "AssayLabelsMissing", "AssayServerGone", "AssayNoTraffic", "AssayRefusals", "AssayFailures", "AssayLogLoses", "AssayMonitorStopped", "AssayOutboxStuck", "assay_drift") + `
  - interval: 10m
    name: all is wrong
    input_series:
      - {series: 'assay_requests_total{model="people",version="1",outcome="answered"}', values: '60x300'}
      - {series: 'assay_alert_firing{model="people",version="1",alert="drift",severity="error"}', values: '0x10 1x290'}
      - {series: 'assay_monitor_window_end_seconds{model="people",version="1"}', values: '0x600'}
      - {series: 'assay_outbox_messages{state="dead"}', values: '0x10 2x290'}
    alert_rule_test:
      - {eval_time: 10m, alertname: AssayNoTraffic}
      - {eval_time: 23h, alertname: AssayNoTraffic}
      - eval_time: 26h
        alertname: AssayNoTraffic
        exp_alerts:
          - {exp_labels: {severity: error, model: people}, exp_annotations: {summary: people got no request in 1d, description: No traffic is not the same as no drift.}}
      - eval_time: 26h
        alertname: assay_drift
        exp_alerts:
          - {exp_labels: {severity: error, model: people, version: "1"}, exp_annotations: {summary: 'people:1: alert drift fires', description: 'It is about input. Look at it with: assay alert list'}}
      - eval_time: 26h
        alertname: AssayOutboxStuck
        exp_alerts:
          - {exp_labels: {severity: error}, exp_annotations: {summary: 2 alert messages reached nobody, description: 'Look at them with: assay alert list'}}
      - {eval_time: 72h, alertname: AssayMonitorStopped}
      - eval_time: 74h
        alertname: AssayMonitorStopped
        exp_alerts:
          - {exp_labels: {severity: error, model: people}, exp_annotations: {summary: no window of people was judged for 3d 2h 0m 0s, description: 'Nobody watches the model: run assay monitor run.'}}
  - interval: 1h
    name: no window was ever judged, though rows are logged since the beginning, or a day, or of a version that nobody serves
    input_series:
      - {series: 'assay_model_version{model="people",version="1",live="true"}', values: '1x200'}
      - {series: 'assay_model_version{model="people",version="2",live="false"}', values: '1x200'}
      - {series: 'assay_monitor_unjudged_seconds{model="people",version="1"}', values: '3600x120'}
      - {series: 'assay_monitor_unjudged_seconds{model="people",version="2"}', values: '86400x120'}
      - {series: 'assay_monitor_unjudged_seconds{model="people",version="3"}', values: '-864000x120'}
      - {series: 'assay_monitor_unjudged_seconds{model="other",version="1"}', values: '0x120'}
      - {series: 'assay_monitor_window_end_seconds{model="people",version="1"}', values: '_x120 432000+3600x80'}
    alert_rule_test:
      - {eval_time: 74h, alertname: AssayMonitorStopped}
      - eval_time: 75h
        alertname: AssayMonitorStopped
        exp_alerts:
          - {exp_labels: {severity: error, model: people}, exp_annotations: {summary: no window of people was judged for 3d 2h 0m 0s, description: 'Nobody watches the model: run assay monitor run.'}}
      - {eval_time: 122h, alertname: AssayMonitorStopped}
  - interval: 1m
    name: the server is gone after half an hour, and a new one comes after four hours
    input_series:
      - {series: 'assay_model_version{model="people",version="1",live="true"}', values: '1x30 stale _x210 1x60'}
      - {series: 'assay_model_version{model="other",version="1",live="true"}', values: '1x300'}
      - {series: 'assay_requests_total{model="people",version="1",outcome="answered"}', values: '0+60x30 stale _x210 0+60x60'}
      - {series: 'assay_monitor_window_end_seconds{model="people",version="1"}', values: '-300000x30 stale'}
    alert_rule_test:
      - {eval_time: 30m, alertname: AssayServerGone}
      - {eval_time: 34m, alertname: AssayServerGone}
      - eval_time: 2h
        alertname: AssayServerGone
        exp_alerts:
          - {exp_labels: {severity: critical, model: people}, exp_annotations: {summary: no server says that it answers for people, description: 'It has ended, Prometheus cannot reach it, or it serves no version of the model: all other rules are blind.'}}
      - {eval_time: 270m, alertname: AssayServerGone}
      - eval_time: 20m
        alertname: AssayMonitorStopped
        exp_alerts:
          - {exp_labels: {severity: error, model: people}, exp_annotations: {summary: no window of people was judged for 3d 11h 40m 0s, description: 'Nobody watches the model: run assay monitor run.'}}
      - eval_time: 2h
        alertname: AssayMonitorStopped
        exp_alerts:
          - {exp_labels: {severity: error, model: people}, exp_annotations: {summary: no window of people was judged for 3d 13h 20m 0s, description: 'Nobody watches the model: run assay monitor run.'}}
  - interval: 1m
    name: Prometheus has looked for an hour, and nobody asked yet
    input_series:
      - {series: 'assay_requests_total{model="people",version="1",outcome="answered"}', values: '0x60'}
    alert_rule_test:
` + each(`      - {eval_time: %s, alertname: AssayNoTraffic}`, "0m", "1m", "2m", "15m", "60m") + `
  - interval: 1m
    name: refused, failed and lost
    input_series:
      - {series: 'assay_requests_total{model="people",version="1",outcome="answered"}', values: '0+90x100'}
      - {series: 'assay_requests_total{model="people",version="1",outcome="refused"}', values: '0+8x100'}
      - {series: 'assay_requests_total{model="people",version="1",outcome="failed"}', values: '0+2x100'}
      - {series: 'assay_rows_total{model="people",version="1"}', values: '0+100x100'}
      - {series: 'assay_log_lost_rows_total{model="people",version="1"}', values: '0+4x100'}
    alert_rule_test:
      - eval_time: 60m
        alertname: AssayRefusals
        exp_alerts:
          - {exp_labels: {severity: warning, model: people}, exp_annotations: {summary: people refuses 8% of its requests, description: Requests do not fit the input schema.}}
      - eval_time: 60m
        alertname: AssayFailures
        exp_alerts:
          - {exp_labels: {severity: error, model: people}, exp_annotations: {summary: people fails 2% of its requests, description: 'The model gave no answer, or one that does not fit the output schema, or there was no room for the request.'}}
      - eval_time: 60m
        alertname: AssayLogLoses
        exp_alerts:
          - {exp_labels: {severity: error, model: people, version: "1"}, exp_annotations: {summary: the prediction log of people lost 4% of the rows, description: What is not in the log is not watched.}}
`
	for name, b := range map[string][]byte{"assay.rules.yml": monitor.Rules("people:1", plan), "test.yml": []byte(test)} {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if out, err := exec.Command("promtool", "check", "rules", filepath.Join(dir, "assay.rules.yml")).CombinedOutput(); err != nil || !strings.Contains(string(out), "SUCCESS: 12 rules found") {
		t.Errorf("%v\n%s", err, out)
	}
	out, err := exec.Command("promtool", "test", "rules", filepath.Join(dir, "test.yml")).CombinedOutput()
	if err != nil || !strings.Contains(string(out), "SUCCESS") {
		t.Errorf("%v\n%s", err, out)
	}
}

// each is a line for each name.
func each(format string, names ...string) string {
	var lines []string
	for _, n := range names {
		lines = append(lines, fmt.Sprintf(format, n))
	}
	return strings.Join(lines, "\n")
}

const smtpServer = `
import sys, ssl, asyncio
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult
class Keep:
    n = 0
    async def handle_DATA(self, server, session, envelope):
        if envelope.rcpt_tos[0].startswith("slow"):
            await asyncio.sleep(4)
        Keep.n += 1
        with open(sys.argv[2] + "/%d.eml" % Keep.n, "wb") as f:
            f.write(("X-Rcpt: %s\r\nX-Tls: %s\r\nX-Auth: %s\r\n" % (",".join(envelope.rcpt_tos), session.ssl is not None, session.authenticated)).encode() + envelope.content)
        return "250 kept"
    async def handle_RCPT(self, server, session, envelope, address, options):
        if address.startswith("nobody@"):
            return "550 no such mailbox"
        if address.startswith("slow"):
            await asyncio.sleep(4)
        envelope.rcpt_tos.append(address)
        return "250 OK"
def auth(server, session, envelope, mechanism, data):
    return AuthResult(success=data.login == b"assay" and data.password == b"mail-password", handled=False)
context = None
if sys.argv[3] != "":
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(sys.argv[3], sys.argv[4])
host, port = sys.argv[1].rsplit(":", 1)
Controller(Keep(), hostname=host, port=int(port), authenticator=auth, auth_require_tls=context is not None, tls_context=context, auth_required=False).start()
asyncio.new_event_loop().run_forever()
`

// TestMail: a real SMTP server takes the mail, with STARTTLS when it offers it and a certificate that is trusted, with a password and without.
func TestMail(t *testing.T) {
	needs(t, "python3")
	python := "/usr/bin/python3" // Debian's, whose aiosmtpd is a package
	if err := exec.Command(python, "-c", "import aiosmtpd").Run(); err != nil {
		t.Fatal("aiosmtpd is missing: scripts/deps.sh installs it")
	}
	listening := func(at string) func() bool {
		return func() bool {
			c, err := net.Dial("tcp", at)
			if err != nil {
				return false
			}
			return c.Close() == nil
		}
	}
	alert := assay.AlertPlan{Name: "drift", When: []string{"input"}, Severity: "error", Persist: 1, Steps: []assay.Escalation{{To: []string{"mail"}}}, Actions: []string{}}
	for _, x := range []struct {
		name, host, to string
		tls            bool
		exit           int
		want           string
	}{
		{"plain", "127.0.0.1", "ada@example.test,grace@example.test", false, 0, "accepted, 250"},
		{"slow", "127.0.0.1", "slow1@example.test,slow2@example.test", false, 0, "accepted, 250"},
		{"refused", "127.0.0.1", "nobody@example.test", false, 3, "not accepted, 550 no such mailbox"},
		{"untrusted", "127.0.0.1", "ada@example.test", true, 3, "not accepted the certificate is not trusted"},
	} {
		at, dir := port(t), t.TempDir()
		cert, key := "", ""
		if x.tls {
			cert, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
			if out, err := exec.Command("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", cert).CombinedOutput(); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
		}
		daemon(t, listening(at), python, "-c", smtpServer, at, dir, cert, key)
		p := watchProject(t, "    mail: {type: email, address: \"env:MAIL\", secret: \"env:MAIL_SECRET\"}\n", map[string]string{"MAIL": "smtp://" + at + "?from=Assay+<assay@example.test>&to=" + x.to, "MAIL_SECRET": "assay:mail-password"}, alert)
		if got := p.run(x.exit, "monitor", "test-fire"); !strings.Contains(got, x.want) {
			t.Errorf("%s: %s", x.name, got)
		}
		kept, err := os.ReadFile(filepath.Join(dir, "1.eml"))
		if (err == nil) != (x.exit == 0) {
			t.Fatalf("%s: %v", x.name, err)
		}
		if err == nil {
			for _, want := range []string{"X-Rcpt: " + x.to, "X-Auth: True", "Subject: [test] people:1: alert drift, step 1", "challenge "} {
				if !strings.Contains(string(kept), want) {
					t.Errorf("%s: %q is not in\n%s", x.name, want, kept)
				}
			}
		}
	}
}
