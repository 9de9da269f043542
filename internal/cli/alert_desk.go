package cli

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/monitor"
	"github.com/assay-ml/assay/internal/registry"
	"github.com/assay-ml/assay/internal/store"
)

// retold is how far back alerts are looked at for messages that were never put into the outbox, because the process that should have was
// killed. It is shorter than the outbox remembers what it sent.
const retold = monitor.KeepSettled / 4

const maxSecretFile = 16 << 10

// secretAt reads what env:NAME or file:PATH holds.
func (s *session) secretAt(key, ref string) (string, error) {
	kind, what, _ := strings.Cut(ref, ":")
	switch kind {
	case "":
		return "", nil
	case "env":
		if v := s.Env(what); v != "" {
			return v, nil
		}
		return "", assay.Errorf(assay.NotFound, "%s: the environment has no %s", key, what).Try("export %s=…", what)
	case "file":
		f, err := os.Open(s.p.Path(what))
		if err != nil {
			return "", assay.Errorf(assay.NotFound, "%s: file %s cannot be read: %w", key, what, bare(err))
		}
		defer f.Close()
		b, err := io.ReadAll(io.LimitReader(f, maxSecretFile))
		if err != nil {
			return "", assay.Errorf(assay.Unavailable, "%s: file %s cannot be read: %w", key, what, bare(err))
		}
		return strings.TrimSpace(string(b)), nil
	}
	return "", assay.Errorf(assay.Invalid, "%s is not env:NAME or file:PATH", key)
}

// endpoint is where a channel leads now, with its secret.
func (s *session) endpoint(name string, c ChannelConfig) (monitor.Endpoint, error) {
	e, err := s.addressed(name, c)
	if err != nil {
		return e, err
	}
	if e.Secret, err = s.secretAt("monitor.channels."+name+".secret", c.Secret); err != nil {
		return e, err
	}
	return e, e.Check()
}

// addressed is where a channel leads now.
func (s *session) addressed(name string, c ChannelConfig) (monitor.Endpoint, error) {
	e := monitor.Endpoint{Name: name, Type: c.Type}
	var err error
	if e.Address, err = s.secretAt("monitor.channels."+name+".address", c.Address); err == nil && e.Address == "" && e.Type == monitor.TypePagerDuty {
		e.Address = monitor.PagerDutyAddress
	}
	return e, err
}

// planChannels are the channels of the project as a plan states them. A plan may be made where the addresses are not known; such a channel reaches nobody
// until the plan is made where they are.
func (s *session) planChannels(ctx context.Context) ([]assay.Channel, error) {
	out := []assay.Channel{}
	for _, name := range sortedKeys(s.p.Monitor.Channels) {
		key, err := s.st.Secret(ctx, "channels")
		if err != nil {
			return nil, err
		}
		c := s.p.Monitor.Channels[name]
		e, err := s.addressed(name, c)
		switch {
		case assay.CodeOf(err) == assay.NotFound:
			s.say("%v: the plan is made without knowing where channel %s leads", err, name)
			e, key = monitor.Endpoint{Type: c.Type, Address: c.Address}, nil // the place that should hold it is no secret
		case err != nil:
			return nil, err
		}
		out = append(out, assay.Channel{Name: name, Type: e.Type, Target: e.Target(key)})
	}
	return out, nil
}

// A desk is where alerts of a project are handled: it reads and writes incidents, and has the outbox.
type desk struct {
	*session
	outbox   *monitor.Outbox
	courier  *monitor.Courier
	channels map[string]ChannelConfig
	key      []byte
	acted    []actedOn // by this desk
}

func (s *session) desk(ctx context.Context) (*desk, error) {
	key, err := s.st.Secret(ctx, "channels")
	if err != nil {
		return nil, err
	}
	o, err := monitor.OpenOutbox(filepath.Join(s.p.Path(s.p.Store), "outbox"), s.Now)
	if err != nil {
		return nil, err
	}
	return &desk{session: s, outbox: o, courier: &monitor.Courier{Clock: s.Now}, channels: s.p.Monitor.Channels, key: key}, nil
}

// checkOutbox adds to what fsck found the files of the outbox that hold no message.
func (s *session) checkOutbox(report *store.Report) error {
	dir := filepath.Join(s.p.Path(s.p.Store), "outbox")
	if _, err := os.Stat(dir); err != nil {
		return nil // nothing was ever told
	}
	o, err := monitor.OpenOutbox(dir, s.Now)
	if err != nil {
		return err
	}
	damaged, err := o.Damaged()
	for _, x := range damaged {
		p := store.Problem{Code: "unreadable", What: "message", Detail: "outbox/" + x.File + " holds no message"}
		switch {
		case x.Rebuilt:
			p.Detail += ": it was written anew, and this file may be removed"
			report.Orphans = append(report.Orphans, p)
			continue
		case strings.HasPrefix(x.File, "queue/"):
			p.Detail += ": assay alert send sets it aside, and writes it anew if what it told is on record"
		default:
			p.Detail += ": look at it, and remove it"
		}
		report.Problems = append(report.Problems, p)
	}
	return err
}

// send makes one attempt to deliver a notice to the channel as the project has it now. A channel that leads elsewhere than the plan says is not told.
func (d *desk) send(ctx context.Context, n monitor.Notice, plan assay.Monitor) monitor.Answer {
	c, ok := d.channels[n.Channel]
	if !ok {
		return monitor.Answer{Text: "assay.yaml has no channel " + n.Channel}
	}
	e, err := d.endpoint(n.Channel, c)
	if err != nil {
		return monitor.Answer{Text: err.Error()}
	}
	i := slices.IndexFunc(plan.Channels, func(p assay.Channel) bool { return p.Name == n.Channel })
	if i < 0 || plan.Channels[i].Target != e.Target(d.key) {
		return monitor.Answer{Text: "the channel leads elsewhere than when the plan was made: assay monitor plan"}
	}
	return d.courier.Send(ctx, e, n)
}

// A watchedVersion is one with a plan, and what is on record about it.
type watchedVersion struct {
	version store.Version
	planID  assay.Digest // the newest plan; empty without one
	plans   map[assay.Digest]assay.Monitor
	changes []monitor.Change
	cases   []monitor.Case
}

func (w *watchedVersion) alert(c *monitor.Case) (assay.Monitor, assay.AlertPlan) {
	p := w.plans[c.Incident.Monitor]
	i := slices.IndexFunc(p.Alerts, func(a assay.AlertPlan) bool { return a.Name == c.Incident.Alert })
	if i < 0 {
		return p, assay.AlertPlan{}
	}
	return p, p.Alerts[i]
}

// began is when the first state of an incident was recorded.
func (w *watchedVersion) began(key string) time.Time {
	for _, c := range w.changes {
		if c.Incident.Key == key {
			return c.At
		}
	}
	return time.Time{}
}

// window names a window of the plan that an incident is of.
func (w *watchedVersion) window(in assay.Incident, x assay.Window) string {
	return monitor.WindowLabel(w.plans[in.Monitor].Windows, x)
}

// onWatch reads what is on record about the alerts of a version.
func (s *session) onWatch(ctx context.Context, v store.Version) (*watchedVersion, error) {
	w := &watchedVersion{version: v, plans: map[assay.Digest]assay.Monitor{}}
	plans, err := s.st.Find(ctx, store.Query{Kind: assay.KindMonitor, Subject: v.Model})
	if err != nil {
		return nil, err
	}
	for i, r := range plans {
		p, err := assay.Decode[assay.Monitor](r.Evidence)
		if err != nil {
			return nil, err
		}
		if w.plans[r.ID] = p; i == 0 {
			w.planID = r.ID
		}
	}
	rs, err := s.st.Find(ctx, store.Query{Kind: assay.KindAlert, Subject: v.Model})
	if err != nil {
		return nil, err
	}
	slices.Reverse(rs)
	if w.changes, err = monitor.Changes(rs); err != nil {
		return nil, err
	}
	w.cases = monitor.Cases(w.changes)
	return w, nil
}

// findings are the judged windows under the newest plan.
func (s *session) findings(ctx context.Context, w *watchedVersion) ([]monitor.Finding, error) {
	var out []monitor.Finding
	for _, kind := range []assay.Kind{assay.KindDrift, assay.KindOutcome} {
		rs, err := s.st.Find(ctx, store.Query{Kind: kind, Subject: w.version.Model, Parent: w.planID})
		if err != nil {
			return nil, err
		}
		for _, r := range rs {
			f := monitor.Finding{Seq: r.Entry.Seq, ID: r.ID}
			if kind == assay.KindDrift {
				x, err := assay.Decode[assay.Drift](r.Evidence)
				if err != nil {
					return nil, err
				}
				f.Drift = &x
			} else {
				x, err := assay.Decode[assay.Outcome](r.Evidence)
				if err != nil {
					return nil, err
				}
				f.Outcome = &x
			}
			out = append(out, f)
		}
	}
	monitor.Chronicle(out)
	return out, nil
}

// record writes a state of an incident and reads again what is on record; it returns Refused when another process was faster.
func (d *desk) record(ctx context.Context, w *watchedVersion, in assay.Incident) error {
	for i := range w.cases {
		if c := &w.cases[i]; c.Incident.Key == in.Key {
			_, alert := w.alert(c)
			in = monitor.EndActions(alert, c.Incident.State, in)
		}
	}
	parents := append([]assay.Digest{in.Monitor}, in.Evidence...)
	if in.Previous != "" {
		parents = append(parents, in.Previous)
	}
	r, err := d.write(ctx, assay.KindAlert, w.version.Model, parents, in)
	if err != nil {
		return err
	}
	now, err := d.onWatch(ctx, w.version)
	if err != nil {
		return err
	}
	*w = *now
	if !slices.ContainsFunc(w.changes, func(c monitor.Change) bool { return c.ID == r.ID }) {
		return assay.Errorf(assay.Refused, "incident %s was changed by another process at the same time", in.Key).Try("assay alert show %s", in.Key)
	}
	return nil
}

// advance brings the alerts of a version up to what was found and to the time that it is, and returns the incidents that changed.
func (d *desk) advance(ctx context.Context, w *watchedVersion) ([]string, error) {
	var changed []string
	for i := range w.cases { // of plans that were replaced
		if c := &w.cases[i]; c.Open() && c.Incident.Monitor != w.planID && w.planID != "" {
			if err := d.record(ctx, w, monitor.Supersede(c, w.planID)); err != nil {
				return changed, err
			}
			changed = append(changed, c.Incident.Key)
		}
	}
	found, err := d.findings(ctx, w)
	if err != nil {
		return changed, err
	}
	plan := w.plans[w.planID]
	for _, alert := range plan.Alerts {
		last, _ := monitor.Newest(w.cases, w.planID, alert.Name)
		fired, past := map[string]bool{}, 0
		for _, n := range monitor.Moments(plan, alert, found, last, d.Now()) {
			for { // one state after the other; the rules settle
				last, ended := monitor.Newest(w.cases, w.planID, alert.Name)
				in, moved := monitor.Advance(w.planID, alert, last, monitor.Judge(plan, alert, found[:n], monitor.Dealt(ended, found), d.Now()), d.Now())
				if !moved {
					break
				}
				if fired[in.Key] = fired[in.Key] || in.State == assay.AlertFiring && (!last.Open() || last.Fired.IsZero()); in.State == assay.AlertResolved && fired[in.Key] {
					past++
					in.Past = past
				}
				if err := d.record(ctx, w, in); err != nil {
					return changed, err
				}
				changed = append(changed, in.Key)
			}
		}
		if err := d.act(ctx, w, alert); err != nil {
			return changed, err
		}
	}
	return sortedUnique(changed), d.tell(w)
}

// tell puts into the outbox what the changes of the last days ask for and is not there yet.
func (d *desk) tell(w *watchedVersion) error {
	quiet, past := monitor.Quieted(w.changes), monitor.Past(w.changes)
	for i, c := range w.changes {
		if quiet[i] || d.Now().Sub(c.At) > retold {
			continue
		}
		changes := w.changes
		if past[i] || c.Incident.Past > 0 {
			told, err := d.toldOf(w, c.Incident.Key)
			if err != nil {
				return err
			}
			if past[i] && !told {
				continue
			}
			if told { // another process told of its firing before it was known to be over: everybody hears of its end
				changes = slices.Clone(changes)
				changes[i].Incident.Past = 0
			}
		}
		plan, alert := w.alert(&c.Case)
		for _, n := range monitor.Notices(plan, alert, changes, i, w.version.Model, versionName(w.version)) {
			if _, err := d.outbox.Put(n, c.Seq); err != nil {
				return err
			}
		}
	}
	return nil
}

// toldOf reports whether the outbox knows of a firing of an incident.
func (d *desk) toldOf(w *watchedVersion, key string) (bool, error) {
	for i, c := range w.changes {
		if c.Incident.Key != key || c.Incident.State != assay.AlertFiring {
			continue
		}
		plan, alert := w.alert(&c.Case)
		for _, n := range monitor.Notices(plan, alert, w.changes, i, w.version.Model, versionName(w.version)) {
			if _, sub, err := d.outbox.Find(n.ID); err != nil || sub != "" {
				return sub != "", err
			}
		}
	}
	return false, nil
}

// drain sends what is due, keeps alive what Alertmanagers must hear again, and returns the messages that were tried. What goes wrong with one of them keeps
// nobody else from being told.
func (d *desk) drain(ctx context.Context, all []*watchedVersion) ([]monitor.Message, error) {
	plans := map[assay.Digest]assay.Monitor{}
	for _, w := range all {
		for id, p := range w.plans {
			plans[id] = p
		}
	}
	var errs []error
	for _, w := range all {
		errs = append(errs, d.withdraw(w))
	}
	together := func(n monitor.Notice) string { return monitor.Together(plans[n.Monitor], n) }
	tried, err := d.outbox.Drain(ctx, together, func(ctx context.Context, n monitor.Notice) monitor.Answer { return d.send(ctx, n, plans[n.Monitor]) })
	errs = append(errs, err)
	for _, w := range all {
		if ctx.Err() != nil {
			break
		}
		errs = append(errs, d.keepAlive(ctx, w), d.settle(ctx, w))
	}
	return tried, errors.Join(append(errs, d.outbox.Prune())...)
}

// keepAlive tells Alertmanagers again of what lasts.
func (d *desk) keepAlive(ctx context.Context, w *watchedVersion) error {
	for _, c := range w.cases {
		plan, alert := w.alert(&c)
		for _, n := range monitor.AliveNotices(plan, alert, c, w.version.Model, versionName(w.version)) {
			due, err := d.outbox.Alive(n.ID, monitor.KeepAliveEvery-time.Second)
			if err != nil {
				return err
			}
			if due {
				d.send(ctx, n, plan) // again in a minute, whatever the answer is
			}
		}
	}
	return nil
}

// withdraw takes back what waits to be told of incidents that were muted since.
func (d *desk) withdraw(w *watchedVersion) error {
	var ids []string
	for i, quiet := range monitor.Quieted(w.changes) {
		if c := w.changes[i]; quiet {
			plan, alert := w.alert(&c.Case)
			for _, n := range monitor.Notices(plan, alert, w.changes, i, w.version.Model, versionName(w.version)) {
				ids = append(ids, n.ID)
			}
		}
	}
	_, err := d.outbox.Withdraw(ids)
	return err
}

// settle records what came of the messages about the incidents of a version.
func (d *desk) settle(ctx context.Context, w *watchedVersion) error {
	for _, c := range slices.Clone(w.cases) {
		if d.Now().Sub(c.At) > monitor.KeepSettled/2 {
			continue
		}
		known := map[assay.Digest]bool{}
		var out []assay.Delivery
		plan, alert := w.alert(&c)
		var notices []monitor.Notice
		for i, x := range w.changes {
			if x.Incident.Key != c.Incident.Key {
				continue
			}
			for _, v := range x.Incident.Deliveries {
				known[v.Message] = true
			}
			notices = append(notices, monitor.Notices(plan, alert, w.changes, i, w.version.Model, versionName(w.version))...)
		}
		for _, n := range notices {
			m, sub, err := d.outbox.Find(n.ID)
			if err != nil {
				return err
			}
			if sub != "sent" && sub != "dead" || m.ID == "" || known[m.Notice.Digest()] {
				continue // what came of a message whose file is damaged cannot be said
			}
			out = append(out, delivery(plan, m.Notice, m.Attempts, m.Last))
		}
		if len(out) > 0 {
			if err := d.record(ctx, w, monitor.Deliver(&c, out)); err != nil {
				return err
			}
		}
	}
	return nil
}

// delivery is what evidence says of a message.
func delivery(plan assay.Monitor, n monitor.Notice, attempts int, a monitor.Answer) assay.Delivery {
	out := assay.Delivery{Alert: n.Alert, Step: n.Step, Channel: n.Channel, Message: n.Digest(), Attempts: attempts, Status: a.Status, Answer: a.Text, Accepted: a.Accepted}
	for _, c := range plan.Channels {
		if c.Name == n.Channel {
			out.Type, out.Target = c.Type, c.Target
		}
	}
	return out
}

// watchedVersions are all versions that have a plan.
func (s *session) watchedVersions(ctx context.Context) ([]*watchedVersion, error) {
	models, err := s.st.Models(ctx)
	if err != nil {
		return nil, err
	}
	var out []*watchedVersion
	for _, m := range models {
		vs, err := s.st.Versions(ctx, m.Name)
		if err != nil {
			return nil, err
		}
		for _, v := range vs {
			w, err := s.onWatch(ctx, v)
			if err != nil {
				return nil, err
			}
			if w.planID != "" {
				out = append(out, w)
			}
		}
	}
	return out, nil
}

// advanceTries is how often alerts are brought up to date again because another process was faster.
const advanceTries = 5

// tellOf brings the alerts up to windows that were judged just now, and tells who must be told. What goes wrong there is said and loses nothing: the
// windows are on record, and the next one to look goes on.
func (s *session) tellOf(ctx context.Context) {
	look, err := s.alertTick(ctx)
	for _, key := range look.changed {
		s.say("incident %s changed. Try: assay alert show %s", key, key)
	}
	for _, a := range look.acted {
		s.say("%s", a.line())
	}
	for _, x := range look.damaged {
		s.say("%s", damageLine(x))
	}
	waiting := 0
	for _, m := range look.tried {
		if !m.Last.Accepted {
			waiting++
		}
	}
	if waiting > 0 {
		s.say("%d messages were not accepted. Try: assay alert send", waiting)
	}
	if err != nil {
		s.say("not every alert is up to date: %v", err)
	}
}

// An alertLook is what was done in one look at all alerts.
type alertLook struct {
	changed []string          // keys of the incidents that did
	acted   []actedOn         // what was done or could not be
	tried   []monitor.Message // to be delivered
	damaged []monitor.Damage  // files of the outbox that were found so and set aside
}

// alertTick brings every alert up to date and sends what is due. What goes wrong with one version keeps no other from being told.
func (s *session) alertTick(ctx context.Context) (look alertLook, err error) {
	d, err := s.desk(ctx)
	if err != nil {
		return look, err
	}
	all, err := s.watchedVersions(ctx)
	if err != nil {
		return look, err
	}
	aside, err := d.outbox.SetAside()
	errs := []error{err}
	for _, w := range all {
		var err error
		for range advanceTries { // another process may bring the same alerts up to date at the same time
			var c []string
			c, err = d.advance(ctx, w)
			look.changed = append(look.changed, c...)
			if assay.CodeOf(err) != assay.Refused {
				break
			}
		}
		errs = append(errs, err)
	}
	look.tried, err = d.drain(ctx, all)
	look.acted = d.acted
	if len(aside) > 0 {
		found, e := d.outbox.Damaged()
		look.damaged = slices.DeleteFunc(found, func(x monitor.Damage) bool { return !slices.Contains(aside, x.File) })
		err = errors.Join(err, e)
	}
	return look, errors.Join(append(errs, err)...)
}

// staleIncident is the newest incident that made the card of a model stale, in the state in which it did; nil for none.
func (s *session) staleIncident(ctx context.Context, model assay.Digest) (*registry.Fact[assay.Incident], error) {
	const action = "stale_card"
	rs, err := s.st.Find(ctx, store.Query{Kind: assay.KindAlert, Subject: model})
	if err != nil || len(rs) == 0 {
		return nil, err
	}
	slices.Reverse(rs)
	changes, err := monitor.Changes(rs)
	if err != nil {
		return nil, err
	}
	var out *registry.Fact[assay.Incident]
	for _, c := range changes {
		if slices.Contains(c.Incident.Actions, action) && (c.Before == nil || !slices.Contains(c.Before.Actions, action)) {
			out = &registry.Fact[assay.Incident]{ID: c.ID, Value: c.Incident}
		}
	}
	return out, nil
}
