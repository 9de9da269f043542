package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/assaytest"
	"github.com/assay-ml/assay/internal/monitor"
	"github.com/assay-ml/assay/internal/store"
)

// A watchedProject is a project with a registered version, a plan with alerts, and receivers.
type watchedProject struct {
	t       *testing.T
	dir     string
	env     map[string]string
	lock    sync.Mutex
	now     time.Time
	version store.Version
	plan    assay.Digest
}

func (p *watchedProject) world(out, errs io.Writer) World {
	m := &stageManager{clock: func() time.Time {
		p.lock.Lock()
		defer p.lock.Unlock()
		p.now = p.now.Add(time.Millisecond)
		return p.now
	}}
	return m.world(p.dir, func(k string) string { return p.env[k] }, strings.NewReader(""), out, errs)
}

func (p *watchedProject) run(want int, args ...string) string {
	p.t.Helper()
	var out, errs bytes.Buffer
	if got := Main(p.t.Context(), args, p.world(&out, &errs)); got != want {
		p.t.Fatalf("assay %s: exit %d, want %d\n%s%s", strings.Join(args, " "), got, want, out.String(), errs.String())
	}
	return out.String() + errs.String()
}

func (p *watchedProject) forward(d time.Duration) {
	p.lock.Lock()
	defer p.lock.Unlock()
	p.now = p.now.Add(d)
}

func (p *watchedProject) session() *session {
	p.t.Helper()
	a := &app{World: p.world(io.Discard, io.Discard)}
	s, err := a.open(context.Background(), "test")
	if err != nil {
		p.t.Fatal(err)
	}
	return s
}

// put writes evidence as a monitor would.
func (p *watchedProject) put(kind assay.Kind, payload any, parents ...assay.Digest) assay.Record {
	p.t.Helper()
	s := p.session()
	defer s.Close()
	r, err := s.write(p.t.Context(), kind, p.version.Model, parents, payload)
	if err != nil {
		p.t.Fatal(err)
	}
	return r
}

// window writes the drift of one window.
func (p *watchedProject) window(number int64, v assay.Verdict) {
	p.t.Helper()
	w := assay.Window{Number: number, Rows: 500, Start: assay.InstantOf(assaytest.Clock()().Add(time.Duration(number-1) * 24 * time.Hour)), End: assay.InstantOf(assaytest.Clock()().Add(time.Duration(number) * 24 * time.Hour)), Content: assay.DigestOf([]byte{byte(number)})}
	sig := assay.Signal{Scope: "input", Kind: "distribution", Column: "age", Test: "jensen_shannon", Verdict: v, Message: "age moved by 0.31", Effect: assay.Estimate{Value: 0.31, Lo: 0.2, Hi: 0.4, Level: 0.95, Method: "delta", N: 500}}
	d := assay.Drift{Monitor: p.plan, Window: w, Signals: []assay.Signal{sig}, Ranking: []assay.Cause{}, Report: p.blob("{}"), Verdict: v}
	if v == assay.Fail {
		d.Signals[0].Streak = 1
		d.Ranking = []assay.Cause{{Scope: "input", Kind: "distribution", Column: "age", Contribution: 1, Message: "age moved by 0.31"}}
	}
	p.put(assay.KindDrift, d, p.plan)
}

func (p *watchedProject) blob(text string) assay.Digest {
	p.t.Helper()
	s := p.session()
	defer s.Close()
	d, _, err := s.st.Blobs().Put(p.t.Context(), strings.NewReader(text))
	if err != nil {
		p.t.Fatal(err)
	}
	return d
}

// watchProject makes one with these channels and this environment; channels is YAML.
func watchProject(t *testing.T, channels string, env map[string]string, alerts ...assay.AlertPlan) *watchedProject {
	t.Helper()
	_, dir := registered(t)
	return watchProjectIn(t, dir, channels, env, alerts...)
}

func watchProjectIn(t *testing.T, dir, channels string, env map[string]string, alerts ...assay.AlertPlan) *watchedProject {
	t.Helper()
	p := &watchedProject{t: t, dir: dir, env: env, now: assaytest.Clock()().Add(24 * time.Hour)}
	f, err := os.OpenFile(filepath.Join(dir, ProjectFile), os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString("monitor:\n  channels:\n" + channels); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	s := p.session()
	defer s.Close()
	if p.version, err = s.version(t.Context(), ""); err != nil {
		t.Fatal(err)
	}
	_, model, err := s.modelOf(t.Context(), p.version)
	if err != nil {
		t.Fatal(err)
	}
	plan := assay.Monitor{
		Data: model.Data, Split: model.Split, Settings: assay.DigestOf(nil), Windows: assay.WindowPlan{By: "time", LengthSeconds: 86400}, References: []assay.Reference{}, Performance: []assay.MetricPlan{}, Slices: []string{},
		Signals: []assay.SignalPlan{{Scope: "input", Kind: "distribution", Column: "age", Test: "jensen_shannon", Persist: 1}}, Alerts: alerts,
	}
	if plan.Channels, err = s.planChannels(t.Context()); err != nil {
		t.Fatal(err)
	}
	r, err := s.write(t.Context(), assay.KindMonitor, p.version.Model, []assay.Digest{p.version.Evidence}, plan)
	if err != nil {
		t.Fatal(err)
	}
	p.plan = r.ID
	return p
}

// holds holds a document against the form that is documented.
func (p *watchedProject) holds(name, text string) {
	p.t.Helper()
	var doc map[string]json.RawMessage
	if err := json.Unmarshal([]byte(text), &doc); err != nil {
		p.t.Fatal(err)
	}
	if got := string(doc["schema"]); got != `"`+name+`"` {
		p.t.Fatalf("schema %s", got)
	}
	delete(doc, "schema")
	body, err := json.Marshal(doc)
	if err != nil {
		p.t.Fatal(err)
	}
	for _, d := range jsonDocuments() {
		if d.name == name {
			dec := json.NewDecoder(bytes.NewReader(body))
			dec.DisallowUnknownFields()
			if err := dec.Decode(reflect.New(reflect.TypeOf(d.form)).Interface()); err != nil {
				p.t.Errorf("%s is not as documented: %v", name, err)
			}
			return
		}
	}
	p.t.Errorf("%s is not documented", name)
}

// A hook keeps the bodies that it gets, and answers with a status.
type hook struct {
	*httptest.Server
	lock   sync.Mutex
	status int
	answer string
	bodies [][]byte
	header []http.Header
}

func newHook(t *testing.T, status int, answer string) *hook {
	h := &hook{status: status, answer: answer}
	h.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		h.lock.Lock()
		defer h.lock.Unlock()
		if h.status < 300 {
			h.bodies, h.header = append(h.bodies, b), append(h.header, r.Header)
		}
		w.WriteHeader(h.status)
		_, _ = io.WriteString(w, h.answer)
	}))
	t.Cleanup(h.Close)
	return h
}

func (h *hook) set(status int, answer string) {
	h.lock.Lock()
	defer h.lock.Unlock()
	h.status, h.answer = status, answer
}

// told are the notices that a webhook got, as "event state step".
func (h *hook) told(t *testing.T) []string {
	t.Helper()
	h.lock.Lock()
	defer h.lock.Unlock()
	var out []string
	for _, b := range h.bodies {
		var n monitor.Notice
		if err := json.Unmarshal(b, &n); err != nil {
			t.Fatal(err)
		}
		out = append(out, n.Event+" "+n.State+" "+string('0'+rune(n.Step)))
	}
	h.bodies = nil
	return out
}

const twoChannels = `    ops: {type: webhook, address: "env:OPS", secret: "env:OPS_KEY"}
    duty: {type: pagerduty, address: "env:DUTY", secret: "env:DUTY_KEY"}
`

var escalating = assay.AlertPlan{Name: "drift", When: []string{"input"}, Severity: "error", Persist: 1, Steps: []assay.Escalation{{To: []string{"ops"}}, {AfterSeconds: 1800, To: []string{"duty"}}}, Actions: []string{"stale_card", "rollback"}}

// TestAlertLife: an alert reaches its first channel, then the next one as nobody acknowledges; the receiver of the second is down for an hour; somebody
// takes it over, and the window after it ends it. Everything is in evidence, and no address or key is anywhere in the store.
func TestAlertLife(t *testing.T) {
	t.Parallel()
	ops, duty := newHook(t, 200, ""), newHook(t, 503, "down")
	p := watchProject(t, twoChannels, map[string]string{"OPS": ops.URL + "/private-path", "OPS_KEY": "key-of-the-hook", "DUTY": duty.URL, "DUTY_KEY": "routing-key-0001"}, escalating)
	p.window(1, assay.Pass)
	if got := p.run(0, "alert", "send"); got != "outbox: 0 waiting, 0 sent, 0 given up in the last 30 days\n" {
		t.Errorf("a quiet window: %s", got)
	}
	p.run(0, "card")
	p.run(0, "card", "check")
	p.window(2, assay.Fail)
	p.run(0, "alert", "send")
	if got := ops.told(t); strings.Join(got, ",") != "trigger firing 1" {
		t.Errorf("the webhook was told %v", got)
	}
	if got := p.run(3, "card", "check"); !strings.Contains(got, "it does not know incident") {
		t.Errorf("the card after an alert that makes it stale: %s", got)
	}
	p.run(0, "card")
	p.run(0, "alert", "send")
	p.forward(30 * time.Minute)
	if got := p.run(3, "alert", "send"); !strings.Contains(got, "step 2, duty: not accepted, 503 down, again at ") {
		t.Errorf("a receiver that is down: %s", got)
	}
	for range 60 { // an hour
		p.forward(time.Minute)
		var out, errs bytes.Buffer
		Main(t.Context(), []string{"alert", "send"}, p.world(&out, &errs))
	}
	duty.set(202, `{"status":"success","message":"Event processed"}`)
	p.forward(monitor.MaxBackoff)
	p.run(0, "alert", "send")
	if got := ops.told(t); len(got) != 0 {
		t.Errorf("the webhook was told again: %v", got)
	}
	list := p.run(0, "alert", "list")
	key, _, _ := strings.Cut(strings.Split(list, "\n")[1], " ")
	if !strings.HasPrefix(key, "drift-2026-01-03-") || !strings.Contains(list, "outbox: 0 waiting, 2 sent, 0 given up") {
		t.Fatalf("%s", list)
	}
	p.run(2, "alert", "ack", key)
	p.run(2, "alert", "ack", key, "--by", "Ada", "--reason", "short")
	p.run(0, "alert", "ack", key, "--by", "Ada Lovelace", "--reason", "it is the new season")
	since := regexp.MustCompile(`2026-01-\d\dT\S+`)
	if began, now := since.FindString(list), since.FindString(p.run(0, "alert", "list")); began == "" || now != began || !strings.Contains(list, " 2026-01-03 ") {
		t.Errorf("since %q, and %q once it is acknowledged:\n%s", began, now, list)
	}
	p.run(1, "alert", "ack", key, "--by", "Grace", "--reason", "it is the new season")
	p.run(0, "alert", "mute", key, "--for", "1h", "--by", "Eve\x1b[31m", "--reason", "it is known\n2026-01-01T00:00:00Z resolved, by Ada: all is well\x07")
	if got := p.run(0, "alert", "show", key); !strings.Contains(got, ", by Eve·[31m: it is known 2026-01-01T00:00:00Z resolved, by Ada: all is well·") || strings.ContainsAny(got, "\x1b\x07") {
		t.Errorf("what a person said reaches the terminal: %q", got)
	}
	p.run(0, "alert", "ack", key, "--by", "Ada Lovelace", "--reason", "it is the new season")
	ops.lock.Lock()
	ops.bodies = ops.bodies[:1]
	ops.lock.Unlock()
	duty.lock.Lock()
	duty.bodies = duty.bodies[:2]
	duty.lock.Unlock()
	p.forward(48 * time.Hour)
	p.run(0, "alert", "send")
	p.window(3, assay.Pass)
	p.run(0, "alert", "send")
	if got := strings.Join(ops.told(t), ","); got != "acknowledge acknowledged 1,resolve resolved 1" {
		t.Errorf("the webhook was told %v", got)
	}
	var actions []string
	for _, b := range duty.bodies {
		var ev struct {
			Action string `json:"event_action"`
			Dedup  string `json:"dedup_key"`
			Key    string `json:"routing_key"`
		}
		if err := json.Unmarshal(b, &ev); err != nil {
			t.Fatal(err)
		}
		if actions = append(actions, ev.Action); ev.Dedup != "assay/people:1/"+key || ev.Key != "routing-key-0001" {
			t.Errorf("%s", b)
		}
	}
	if strings.Join(actions, ",") != "trigger,acknowledge,resolve" {
		t.Errorf("PagerDuty was told %v", actions)
	}
	show := p.run(0, "alert", "show", key[:9])
	for _, want := range []string{"is resolved, since 2026-01-0", "acknowledged, by Ada Lovelace: it is the new season", "step 2, duty: accepted, 202", "done: stale_card"} {
		if !strings.Contains(show, want) {
			t.Errorf("%q is not in\n%s", want, show)
		}
	}
	p.holds("assay.alert/1", p.run(0, "--json", "alert", "show", key))
	p.run(3, "alert", "resolve", key, "--by", "Ada", "--reason", "it is over already")
	p.run(1, "alert", "show", "nothing")
	if got := p.run(0, "alert", "list"); !strings.HasPrefix(got, "no incident is open\n") {
		t.Errorf("%s", got)
	}
	p.run(0, "card", "check")
	p.run(0, "fsck")
	secrets := []string{"private-path", "key-of-the-hook", "routing-key-0001", strings.TrimPrefix(ops.URL, "http://")}
	err := filepath.WalkDir(filepath.Join(p.dir, ".assay"), func(path string, e os.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		b, err := os.ReadFile(path)
		for _, x := range secrets {
			if bytes.Contains(b, []byte(x)) {
				t.Errorf("%s holds %s", path, x)
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestMuteWithdraws: a message that still waits when its incident is muted is not delivered during the mute, and no other process puts it there again; when
// the mute ends, the incident is told once, as it is then.
func TestMuteWithdraws(t *testing.T) {
	t.Parallel()
	ops, duty := newHook(t, 503, "down"), newHook(t, 202, "{}")
	p := watchProject(t, twoChannels, map[string]string{"OPS": ops.URL, "OPS_KEY": "key", "DUTY": duty.URL, "DUTY_KEY": "routing-key-0001"}, escalating)
	p.window(1, assay.Fail)
	p.run(3, "alert", "send")
	list := p.run(0, "alert", "list")
	key, _, _ := strings.Cut(strings.Split(list, "\n")[1], " ")
	p.run(0, "alert", "mute", key, "--for", "1h", "--by", "Ada Lovelace", "--reason", "it is known, and mended")
	ops.set(200, "")
	for range 5 {
		p.forward(10 * time.Minute)
		p.run(0, "alert", "send")
	}
	if a, b := ops.told(t), duty.told(t); len(a)+len(b) != 0 {
		t.Errorf("during the mute the receivers were told %v, %v", a, b)
	}
	if got := p.run(0, "alert", "list"); !strings.Contains(got, "outbox: 0 waiting, 0 sent, 0 given up") {
		t.Errorf("%s", got)
	}
	p.forward(time.Hour)
	p.run(0, "alert", "send")
	p.run(0, "alert", "send")
	if got := strings.Join(ops.told(t), ","); got != "trigger firing 1" {
		t.Errorf("after the mute the receiver was told %q", got)
	}
}

// TestMuteEndsThere: receivers that go on telling people of an alert hear that it is over when it is muted, and of it again when the mute is; others hear nothing.
func TestMuteEndsThere(t *testing.T) {
	t.Parallel()
	ops, duty, am := newHook(t, 200, ""), newHook(t, 202, `{"status":"success"}`), newHook(t, 200, "")
	alert := escalating
	alert.Steps = []assay.Escalation{{To: []string{"am", "duty", "ops"}}}
	p := watchProject(t, twoChannels+"    am: {type: alertmanager, address: \"env:AM\"}\n", map[string]string{"OPS": ops.URL, "OPS_KEY": "key", "DUTY": duty.URL, "DUTY_KEY": "routing-key-0001", "AM": am.URL}, alert)
	pages := func() string {
		t.Helper()
		duty.lock.Lock()
		defer duty.lock.Unlock()
		var out []string
		for _, b := range duty.bodies {
			var x struct {
				Action string `json:"event_action"`
			}
			if err := json.Unmarshal(b, &x); err != nil {
				t.Fatal(err)
			}
			out = append(out, x.Action)
		}
		duty.bodies = nil
		return strings.Join(out, ",")
	}
	lives := func() string {
		t.Helper()
		am.lock.Lock()
		defer am.lock.Unlock()
		var out []string
		for _, b := range am.bodies {
			var x []struct {
				EndsAt      assay.Instant
				Annotations map[string]string
			}
			if err := json.Unmarshal(b, &x); err != nil {
				t.Fatal(err)
			}
			end, err := x[0].EndsAt.Time()
			if err != nil {
				t.Fatal(err)
			}
			out = append(out, x[0].Annotations["state"]+map[bool]string{true: " lives", false: " is over"}[end.After(p.now)])
		}
		am.bodies = nil
		return strings.Join(out, ",")
	}
	expect := func(when, o, d, a string) {
		t.Helper()
		if x, y, z := strings.Join(ops.told(t), ","), pages(), lives(); x != o || y != d || z != a {
			t.Errorf("%s: the webhook was told %q, PagerDuty %q, Alertmanager %q", when, x, y, z)
		}
	}
	p.window(1, assay.Fail)
	p.run(0, "alert", "send")
	key, _, _ := strings.Cut(strings.Split(p.run(0, "alert", "list"), "\n")[1], " ")
	am.lock.Lock()
	am.bodies = am.bodies[:1] // it is kept alive at once
	am.lock.Unlock()
	expect("firing", "trigger firing 1", "trigger", "firing lives")
	p.run(0, "alert", "mute", key, "--for", "1h", "--by", "Ada Lovelace", "--reason", "it is known, and mended")
	expect("muted", "", "resolve", "muted is over")
	for range 5 {
		p.forward(10 * time.Minute)
		p.run(0, "alert", "send")
	}
	expect("while it is muted", "", "", "")
	p.forward(time.Hour)
	p.run(0, "alert", "send")
	am.lock.Lock()
	am.bodies = am.bodies[:1]
	am.lock.Unlock()
	expect("after the mute", "trigger firing 1", "trigger", "firing lives")
}

// TestDamagedOutbox: a file of the outbox that holds no message keeps no other from being sent. It is set aside and named, and what it told is written anew from what is
// on record; where nothing says what it was, that is an error, once.
func TestDamagedOutbox(t *testing.T) {
	t.Parallel()
	ops, duty := newHook(t, 503, "down"), newHook(t, 200, "")
	alert := escalating
	alert.Steps = []assay.Escalation{{To: []string{"am", "ops"}}}
	p := watchProject(t, twoChannels+"    am: {type: alertmanager, address: \"env:AM\"}\n", map[string]string{"OPS": ops.URL, "OPS_KEY": "key", "DUTY": duty.URL, "DUTY_KEY": "routing-key-0001", "AM": duty.URL}, alert)
	p.window(1, assay.Fail)
	p.run(3, "alert", "send")
	queue := filepath.Join(p.dir, ".assay", "outbox", "queue")
	overwrite := func(folder, text string) string {
		t.Helper()
		files, err := filepath.Glob(filepath.Join(folder, "*.json"))
		if err != nil || len(files) != 1 {
			t.Fatalf("%v, %v", files, err)
		}
		if err := os.WriteFile(files[0], []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return filepath.Base(files[0])
	}
	name := overwrite(queue, "trunc")
	if got := p.run(3, "fsck"); !strings.Contains(got, "✕ unreadable message: outbox/queue/"+name+" holds no message: assay alert send sets it aside") {
		t.Errorf("%s", got)
	}
	ops.set(200, "")
	p.forward(2 * time.Minute)
	alive := len(duty.bodies)
	if got := p.run(0, "alert", "send"); !strings.Contains(got, "◐ outbox/damaged/"+name+" held no message: it was written anew\n") || !strings.Contains(got, "0 waiting, 2 sent") {
		t.Errorf("%s", got)
	}
	if got := strings.Join(ops.told(t), ","); got != "trigger firing 1" || len(duty.bodies) != alive+1 {
		t.Errorf("the webhook was told %q, Alertmanager %d times", got, len(duty.bodies)-alive)
	}
	if got := p.run(0, "fsck"); !strings.Contains(got, "◐ unreadable message: outbox/damaged/"+name+" holds no message: it was written anew, and this file may be removed") {
		t.Errorf("%s", got)
	}
	for _, x := range []string{"garbage", "0123.json"} {
		if err := os.WriteFile(filepath.Join(queue, x), []byte("trunc"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(queue, "folder"), 0o700); err != nil {
		t.Fatal(err)
	}
	p.window(2, assay.Pass)
	if got := p.run(1, "alert", "send"); !strings.Contains(got, "outbox/damaged/0123.json holds no message, and nothing on record says what it was") {
		t.Errorf("%s", got)
	}
	if got := strings.Join(ops.told(t), ","); got != "resolve resolved 1" {
		t.Errorf("the webhook was told %q", got)
	}
	p.run(0, "alert", "send")
	list := p.run(0, "alert", "list")
	for _, x := range []string{"✕ outbox/damaged/garbage holds", "✕ outbox/damaged/0123.json holds", "✕ outbox/damaged/folder holds", "◐ outbox/damaged/" + name} {
		if !strings.Contains(list, x) {
			t.Errorf("%q is not in\n%s", x, list)
		}
	}
	p.holds("assay.alerts/1", p.run(0, "--json", "alert", "list"))
	p.holds("assay.alert.send/1", p.run(0, "--json", "alert", "send"))
	s := p.session()
	defer s.Close()
	d, err := s.desk(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if tally, err := d.outbox.Tally(); err != nil || tally.Broken != 3 {
		t.Errorf("%+v, %v", tally, err)
	}
	p.run(3, "fsck")
	// What was delivered is not told again, whatever becomes of its file.
	sent := filepath.Join(p.dir, ".assay", "outbox", "sent")
	files, err := filepath.Glob(filepath.Join(sent, "*.json"))
	if err != nil || len(files) != 4 {
		t.Fatalf("%v, %v", files, err)
	}
	for _, f := range files {
		if err := os.WriteFile(f, []byte("{"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	p.run(0, "alert", "send")
	if got := ops.told(t); len(got) != 0 {
		t.Errorf("the webhook was told again: %v", got)
	}
}

// TestPastIsToldOnce: days of the past that alternate, judged in one look, make one message a channel, which calls nobody; what holds at their end is told as ever.
func TestPastIsToldOnce(t *testing.T) {
	t.Parallel()
	ops, duty := newHook(t, 200, ""), newHook(t, 202, `{"status":"success"}`)
	first, second := escalating, escalating
	first.Steps, first.Actions = []assay.Escalation{{To: []string{"duty", "ops"}}}, []string{"stale_card"}
	second.Name, second.Steps = "second", first.Steps
	p := watchProject(t, twoChannels, map[string]string{"OPS": ops.URL, "OPS_KEY": "key", "DUTY": duty.URL, "DUTY_KEY": "routing-key-0001"}, first, second)
	told := func() (out []monitor.Notice) {
		t.Helper()
		ops.lock.Lock()
		defer ops.lock.Unlock()
		for _, b := range ops.bodies {
			var n monitor.Notice
			if err := json.Unmarshal(b, &n); err != nil {
				t.Fatal(err)
			}
			out = append(out, n)
		}
		ops.bodies = nil
		return out
	}
	for i := range 24 {
		p.window(int64(i+1), map[bool]assay.Verdict{true: assay.Fail, false: assay.Pass}[i%2 == 0])
	}
	for range 3 {
		p.run(0, "alert", "send")
		p.forward(time.Minute)
	}
	got := told()
	if len(got) != 1 || len(got[0].Alerts) != 2 || got[0].Event != monitor.EventResolve || got[0].Past != 12 || !strings.Contains(got[0].Summary, "it was over when it was found, as were 11 before it") || len(duty.bodies) != 0 {
		t.Errorf("%d calls, and %d messages: %+v", len(duty.bodies), len(got), got)
	}
	if list := p.run(0, "alert", "list", "--all"); strings.Count(list, "drift-2026-") != 12 || strings.Count(list, "second-2026-") != 12 {
		t.Errorf("%s", list)
	}
	p.window(25, assay.Fail)
	p.window(26, assay.Pass)
	p.window(27, assay.Fail)
	p.run(0, "alert", "send")
	p.run(0, "alert", "send")
	var events []string
	for _, n := range told() {
		events = append(events, n.Event)
	}
	slices.Sort(events)
	if strings.Join(events, ",") != "resolve,trigger" || len(duty.bodies) != 2 {
		t.Errorf("the webhook was told %v, and PagerDuty %d times", events, len(duty.bodies))
	}
	p.window(28, assay.Pass) // what was told is over for everybody
	p.run(0, "alert", "send")
	if got := told(); len(got) != 1 || got[0].Past != 0 || got[0].Event != monitor.EventResolve || len(duty.bodies) != 4 {
		t.Errorf("PagerDuty was told %d times, and the webhook %+v", len(duty.bodies), got)
	}
}

// TestAlertKilledBetween: a process that was killed after it wrote the incident and before it stored the message loses no message: the next one stores it.
func TestAlertKilledBetween(t *testing.T) {
	ops := newHook(t, 200, "")
	p := watchProject(t, twoChannels, map[string]string{"OPS": ops.URL, "OPS_KEY": "key", "DUTY_KEY": "routing", "DUTY": ops.URL}, escalating)
	p.window(1, assay.Fail)
	s := p.session()
	w, err := s.onWatch(t.Context(), p.version)
	if err != nil {
		t.Fatal(err)
	}
	found, err := s.findings(t.Context(), w)
	if err != nil {
		t.Fatal(err)
	}
	in, moved := monitor.Advance(w.planID, escalating, nil, monitor.Judge(w.plans[w.planID], escalating, found, 0, s.Now()), s.Now())
	if !moved {
		t.Fatal("nothing fires")
	}
	if _, err := s.write(t.Context(), assay.KindAlert, p.version.Model, append([]assay.Digest{w.planID}, in.Evidence...), in); err != nil {
		t.Fatal(err)
	}
	s.Close()
	p.run(0, "alert", "send")
	if got := ops.told(t); strings.Join(got, ",") != "trigger firing 1" {
		t.Errorf("the webhook was told %v", got)
	}
}

// TestAlertRollsBack: an alert that asks for it gives production back to the version before, when it fires and its own version holds production then. What was
// not done at the firing is not done later either, whoever has the incident then; why is on record once, and everybody is told.
func TestAlertRollsBack(t *testing.T) {
	t.Parallel()
	m, dir := registered(t)
	production := func(version string) {
		for _, rule := range []string{"serving", "monitoring"} {
			do(t, m, dir, 0, "waive", rule, version, "--to", "production", "--by", "Ada Lovelace", "--reason", "a pilot of two weeks")
		}
		do(t, m, dir, 0, "card", version)
		do(t, m, dir, 0, "promote", version, "--to", "production")
	}
	production("1")
	candidate(t, m, dir, "gradient_boosting")
	ops := newHook(t, 200, "")
	alert := escalating
	alert.Actions = []string{"stale_card", "rollback", "abort_canary"}
	p := watchProjectIn(t, dir, twoChannels, map[string]string{"OPS": ops.URL, "OPS_KEY": "key", "DUTY_KEY": "routing", "DUTY": ops.URL}, alert)
	s := p.session()
	defer s.Close()
	holder := func(want int) {
		t.Helper()
		if h, err := s.st.Holder(t.Context(), "people", assay.StageProduction); err != nil || h.Number != want {
			t.Errorf("production holds %d, want %d; %v", h.Number, want, err)
		}
	}
	actions := func() (out []monitor.Action) {
		t.Helper()
		ops.lock.Lock()
		defer ops.lock.Unlock()
		if len(ops.bodies) != 1 {
			t.Fatalf("%d messages", len(ops.bodies))
		}
		var n monitor.Notice
		if err := json.Unmarshal(ops.bodies[0], &n); err != nil {
			t.Fatal(err)
		}
		ops.bodies = nil
		return n.Actions
	}
	key := func() string {
		t.Helper()
		key, _, _ := strings.Cut(strings.Split(p.run(0, "alert", "list"), "\n")[1], " ")
		return key
	}
	p.window(1, assay.Fail)
	if got := p.run(0, "alert", "send"); !strings.Contains(got, "✕ rollback of incident drift-2026-01-02-") || !strings.Contains(got, " is not done: people:2 does not hold production\n") {
		t.Errorf("%s", got)
	}
	want := []monitor.Action{{Name: "stale_card", Done: true}, {Name: "rollback", Why: "people:2 does not hold production"}, {Name: "abort_canary", Why: "people has no canary"}}
	if got := actions(); !reflect.DeepEqual(got, want) {
		t.Errorf("the receiver was told %+v", got)
	}
	first := key()
	p.run(0, "alert", "ack", first, "--by", "Ada Lovelace", "--reason", "it is known, and looked at")
	m.clock = s.Now
	production("2")
	do(t, m, dir, 0, "model", "alias", "people", "canary", "1")
	for range 3 {
		p.run(0, "alert", "send")
		p.forward(time.Minute)
	}
	holder(2)
	if _, err := s.st.Alias(t.Context(), "people", canaryAlias); err != nil {
		t.Errorf("the canary is gone long after the alert: %v", err)
	}
	show := p.run(0, "alert", "show", first)
	for _, x := range []string{"done: stale_card\n", "not done: rollback: people:2 does not hold production\n", "not done: abort_canary: people has no canary\n"} {
		if strings.Count(show, x) != 1 {
			t.Errorf("%q is not once in\n%s", x, show)
		}
	}
	ops.told(t)
	p.window(2, assay.Pass)
	p.run(0, "alert", "send")
	ops.told(t)
	p.window(3, assay.Fail) // another firing, while it holds production
	p.run(0, "alert", "send")
	p.run(0, "alert", "send")
	holder(1)
	if got := actions(); len(got) != 3 || !got[0].Done || !got[1].Done || !got[2].Done {
		t.Errorf("the receiver was told %+v", got)
	}
	if got := p.run(0, "alert", "show", key()); !strings.Contains(got, "done: stale_card, rollback, abort_canary") {
		t.Errorf("%s", got)
	}
	if _, err := s.st.Alias(t.Context(), "people", canaryAlias); assay.CodeOf(err) != assay.NotFound {
		t.Errorf("the canary is still there: %v", err)
	}
	p.run(0, "fsck")
}

// TestTestFire: every step of every alert reaches its channels, with a new challenge every time; a step that reaches nobody is an answer of no.
func TestTestFire(t *testing.T) {
	ops, duty := newHook(t, 200, ""), newHook(t, 202, `{"status":"success"}`)
	p := watchProject(t, twoChannels, map[string]string{"OPS": ops.URL, "OPS_KEY": "key", "DUTY": duty.URL, "DUTY_KEY": "routing"}, escalating)
	fire := func(want int) assay.TestFire {
		t.Helper()
		var doc struct {
			TestFire assay.TestFire `json:"test_fire"`
		}
		text := p.run(want, "--json", "monitor", "test-fire")
		p.holds("assay.monitor.test_fire/1", text)
		if err := json.Unmarshal([]byte(text), &doc); err != nil {
			t.Fatal(err)
		}
		return doc.TestFire
	}
	for _, format := range []string{"prometheus", "grafana"} {
		p.holds("assay.monitor.export/1", p.run(0, "--json", "monitor", "export", format))
	}
	a, b := fire(0), fire(0)
	if a.Challenge == b.Challenge || len(a.Deliveries) != 2 || a.Monitor != p.plan || a.Verdict != assay.Pass || len(a.Unproven) != 0 {
		t.Errorf("%+v", a)
	}
	if got := strings.Join(ops.told(t), ","); got != "test firing 1,test firing 1" {
		t.Errorf("the webhook was told %s", got)
	}
	if n := len(duty.bodies); n != 4 { // each with its end
		t.Errorf("PagerDuty was told %d times", n)
	}
	duty.set(500, "")
	c := fire(3)
	if c.Verdict != assay.Fail || strings.Join(c.Unproven, ",") != "step 2 of drift" || c.Deliveries[1].Attempts != testAttempts {
		t.Errorf("%+v", c)
	}
	p.env["OPS"] = ops.URL + "/elsewhere"
	if c := fire(3); len(c.Unproven) != 2 || !strings.Contains(c.Deliveries[0].Answer, "leads elsewhere") {
		t.Errorf("%+v", c)
	}
	delete(p.env, "OPS")
	if c := fire(3); !strings.Contains(c.Deliveries[0].Answer, "the environment has no OPS") {
		t.Errorf("%+v", c)
	}
}
