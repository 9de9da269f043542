package cli

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/monitor"
	"github.com/assay-ml/assay/internal/store"
)

// An alertAnswer is one state of one incident.
type alertAnswer struct {
	Evidence assay.Digest   `json:"evidence"` // id of the state
	At       time.Time      `json:"at"`       // when it was recorded
	Began    time.Time      `json:"began"`    // when the first state of the incident was recorded
	Version  string         `json:"version"`  // NAME:NUMBER
	Incident assay.Incident `json:"incident"`
}

func (a *app) alertCommand() *cobra.Command {
	c := &cobra.Command{Use: "alert", Short: "Look at alerts and answer them: list, show, ack, mute, resolve, send"}
	var all bool
	list := &cobra.Command{
		Use: "list", Short: "List the incidents that are open, and what waits in the outbox",
		Args: cobra.NoArgs,
		RunE: a.with("alert list", func(ctx context.Context, s *session, _ []string) error { return s.alertList(ctx, all) }),
	}
	list.Flags().BoolVar(&all, "all", false, "those that are resolved too")
	show := &cobra.Command{
		Use: "show INCIDENT", Short: "Show the life of one incident: its states, its causes, who was told and what they answered",
		Args: cobra.ExactArgs(1),
		RunE: a.with("alert show", func(ctx context.Context, s *session, args []string) error {
			w, key, err := s.incident(ctx, args[0])
			if err != nil {
				return err
			}
			return s.printIncident(w, key)
		}),
	}
	var note monitor.Note
	var span string
	answers := func(use, short string, change func(c *monitor.Case, now time.Time) (assay.Incident, error)) *cobra.Command {
		name, _, _ := strings.Cut(use, " ")
		cmd := &cobra.Command{
			Use: use, Short: short, Args: cobra.ExactArgs(1),
			RunE: a.with("alert "+name, func(ctx context.Context, s *session, args []string) error {
				w, key, err := s.incident(ctx, args[0])
				if err != nil {
					return err
				}
				return s.answerIncident(ctx, w, key, change)
			}),
		}
		cmd.Flags().StringVar(&note.By, "by", "", "`name` of the person who says so")
		cmd.Flags().StringVar(&note.Reason, "reason", "", "why, in at least 10 characters")
		return cmd
	}
	ack := answers("ack INCIDENT", "Take an incident over: nobody else is told of it any more", func(c *monitor.Case, _ time.Time) (assay.Incident, error) { return monitor.Acknowledge(c, note) })
	mute := answers("mute INCIDENT", "Keep an incident quiet for a while", func(c *monitor.Case, now time.Time) (assay.Incident, error) {
		if span == "" {
			return assay.Incident{}, assay.Errorf(assay.Invalid, "--for is missing: for how long?").Try("assay alert mute %s --for 1d --by NAME --reason TEXT", c.Incident.Key)
		}
		n, err := seconds("--for", span)
		if err != nil {
			return assay.Incident{}, err
		}
		return monitor.Mute(c, note, now.Add(time.Duration(n)*time.Second), now)
	})
	mute.Flags().StringVar(&span, "for", "", "`time`, such as 2h or 7d")
	resolve := answers("resolve INCIDENT", "End an incident; windows that are judged later may begin another", func(c *monitor.Case, _ time.Time) (assay.Incident, error) { return monitor.Resolve(c, note) })
	var watch bool
	send := &cobra.Command{
		Use: "send", Short: "Bring alerts up to date and send what waits in the outbox, once",
		Long: `Bring every alert up to the windows that were judged and to the time: steps of escalation that are due are taken, mutes that expired end. Then
send what waits in the outbox. A message that was not accepted is tried again after a while, for a day. Run it every minute, or with --watch
until it is stopped. The exit status is 3 when a message that was tried was not accepted.`,
		Args: cobra.NoArgs,
		RunE: a.with("alert send", func(ctx context.Context, s *session, _ []string) error {
			if !watch {
				return s.alertSend(ctx)
			}
			return s.alertWatch(ctx)
		}),
	}
	send.Flags().BoolVar(&watch, "watch", false, "go on until it is stopped")
	c.AddCommand(list, show, ack, mute, resolve, send)
	return c
}

func (s *session) alertList(ctx context.Context, all bool) error {
	vs, err := s.watchedVersions(ctx)
	if err != nil {
		return err
	}
	d, err := s.desk(ctx)
	if err != nil {
		return err
	}
	tally, err := d.outbox.Tally()
	if err != nil {
		return err
	}
	out, windows := []alertAnswer{}, []string{}
	for _, w := range vs {
		for _, c := range w.cases {
			if all || c.Open() {
				out = append(out, alertAnswer{c.ID, c.At, w.began(c.Incident.Key), versionName(w.version), c.Incident})
				windows = append(windows, w.window(c.Incident, c.Incident.Last))
			}
		}
	}
	damaged, err := d.outbox.Damaged()
	if err != nil {
		return err
	}
	return s.print("assay.alerts/1", map[string]any{"alerts": out, "outbox": tally, "damaged": damaged}, func(w io.Writer) {
		if len(out) == 0 {
			fmt.Fprintln(w, "no incident is open")
		} else {
			grid(w, func(tw *tabwriter.Writer) {
				fmt.Fprintln(tw, "incident\tversion\tseverity\tstate\tstep\tnewest window\tsince\tfirst cause")
				for i, x := range out {
					fmt.Fprintf(tw, "%s\t%s\t%s\t%s\t%d\t%s\t%s\t%s\n", x.Incident.Key, x.Version, x.Incident.Severity, stateText(x.Incident), x.Incident.Step, windows[i], x.Began.UTC().Format(time.RFC3339), firstCause(x.Incident))
				}
			})
		}
		printTally(w, tally)
		for _, x := range damaged {
			fmt.Fprintln(w, damageLine(x))
		}
	})
}

// damageLine says what became of a file of the outbox that holds no message.
func damageLine(x monitor.Damage) string {
	if x.Rebuilt {
		return fmt.Sprintf("◐ outbox/%s held no message: it was written anew", x.File)
	}
	return fmt.Sprintf("✕ outbox/%s holds no message", x.File)
}

// shownText is how many characters of a name or of what a person or a receiver wrote are shown on a terminal.
const shownText = 1000

// one is a name, or what somebody wrote, in one line that is fit to be shown.
func one(s string) string { return assay.ShownLine(s, shownText) }

func firstCause(in assay.Incident) string {
	if len(in.Causes) == 0 {
		return ""
	}
	return one(in.Causes[0].Message)
}

func stateText(in assay.Incident) string {
	if in.State == assay.AlertMuted {
		return "muted until " + string(in.Until)
	}
	return in.State
}

func printTally(w io.Writer, t monitor.Tally) {
	fmt.Fprintf(w, "outbox: %d waiting, %d sent, %d given up in the last 30 days\n", t.Waiting, t.Sent, t.Dead)
}

// incident finds an incident by its key or the beginning of it.
func (s *session) incident(ctx context.Context, ref string) (*watchedVersion, string, error) {
	vs, err := s.watchedVersions(ctx)
	if err != nil {
		return nil, "", err
	}
	var found *watchedVersion
	var keys []string
	for _, w := range vs {
		for _, c := range w.cases {
			if c.Incident.Key == ref {
				return w, ref, nil
			}
			if ref != "" && strings.HasPrefix(c.Incident.Key, ref) {
				found = w
				keys = append(keys, c.Incident.Key)
			}
		}
	}
	switch len(keys) {
	case 1:
		return found, keys[0], nil
	case 0:
		return nil, "", assay.Errorf(assay.NotFound, "no incident %q", ref).Try("assay alert list --all")
	}
	return nil, "", assay.Errorf(assay.Invalid, "%d incidents begin with %q: %s", len(keys), ref, some(keys)).Try("assay alert list --all")
}

func (s *session) printIncident(w *watchedVersion, key string) error {
	var life []alertAnswer
	for _, c := range w.changes {
		if c.Incident.Key == key {
			life = append(life, alertAnswer{c.ID, c.At, w.began(key), versionName(w.version), c.Incident})
		}
	}
	return s.print("assay.alert/1", map[string]any{"key": key, "version": versionName(w.version), "states": life}, func(out io.Writer) {
		last := life[len(life)-1]
		in := last.Incident
		fmt.Fprintf(out, "%s: %s of %s is %s, since %s\n", key, in.Severity, last.Version, stateText(in), w.window(in, in.Since))
		for _, c := range in.Causes {
			fmt.Fprintf(out, "  %3.0f %% %s\n", 100*c.Contribution, one(c.Message))
		}
		if more := in.CausesTotal - len(in.Causes); more > 0 {
			fmt.Fprintf(out, "        and %d more\n", more)
		}
		for i, x := range life {
			in := x.Incident
			line := fmt.Sprintf("%s %s", x.At.UTC().Format(time.RFC3339), stateText(in))
			switch {
			case i > 0 && life[i-1].Incident.State == in.State && life[i-1].Incident.Step == in.Step && len(in.Deliveries) > len(life[i-1].Incident.Deliveries):
				for _, d := range in.Deliveries[len(life[i-1].Incident.Deliveries):] {
					line += fmt.Sprintf("\n  step %d, %s: %s", d.Step, d.Channel, receiverSaid(d))
				}
			case in.By != "":
				line += fmt.Sprintf(", by %s: %s", one(in.By), one(in.Reason))
			case in.Step > 0 && in.State == assay.AlertFiring:
				line += fmt.Sprintf(", step %d", in.Step)
			}
			fmt.Fprintf(out, "%s, %s, evidence %s\n", line, w.window(in, in.Last), x.Evidence.Short())
		}
		if len(in.Actions) > 0 {
			fmt.Fprintf(out, "done: %s\n", strings.Join(in.Actions, ", "))
		}
		for _, u := range in.Undone {
			if u.Until != "" {
				fmt.Fprintf(out, "not done yet: %s, tried again until %s: %s\n", u.Action, u.Until, u.Why)
			} else {
				fmt.Fprintf(out, "not done: %s: %s\n", u.Action, u.Why)
			}
		}
	})
}

func receiverSaid(d assay.Delivery) string {
	text := "not accepted"
	if d.Accepted {
		text = "accepted"
	}
	if d.Status > 0 {
		text += fmt.Sprintf(", %d", d.Status)
	}
	if d.Answer != "" {
		text += " " + one(d.Answer)
	}
	if d.Attempts > 1 {
		text += fmt.Sprintf(" (%d attempts)", d.Attempts)
	}
	return text
}

func (s *session) answerIncident(ctx context.Context, w *watchedVersion, key string, change func(*monitor.Case, time.Time) (assay.Incident, error)) error {
	d, err := s.desk(ctx)
	if err != nil {
		return err
	}
	var c *monitor.Case
	for i := range w.cases {
		if w.cases[i].Incident.Key == key {
			c = &w.cases[i]
		}
	}
	in, err := change(c, s.Now())
	if err != nil {
		return err
	}
	if err := d.record(ctx, w, in); err != nil {
		return err
	}
	if err := d.tell(w); err != nil {
		return err
	}
	if _, err := d.drain(ctx, []*watchedVersion{w}); err != nil { // the answer is on record already; the outbox goes on
		s.say("not everybody was told yet: %v", err)
	}
	return s.printIncident(w, key)
}

// A sentMessage is a message that was tried.
type sentMessage struct {
	Incident string         `json:"incident"` // its key
	Event    string         `json:"event"`    // trigger, acknowledge, resolve
	Delivery assay.Delivery `json:"delivery"`
	NextAt   *time.Time     `json:"next_at"` // when it is tried again; null when it is settled
}

func (s *session) alertSend(ctx context.Context) error {
	look, err := s.alertTick(ctx)
	if err != nil {
		return err
	}
	d, err := s.desk(ctx)
	if err != nil {
		return err
	}
	tally, err := d.outbox.Tally()
	if err != nil {
		return err
	}
	sent := []sentMessage{}
	verdict := assay.Pass
	for _, m := range look.tried {
		r, err := s.st.Get(ctx, m.Notice.Monitor)
		if err != nil {
			return err
		}
		plan, err := assay.Decode[assay.Monitor](r.Evidence)
		if err != nil {
			return err
		}
		x := sentMessage{Incident: m.Notice.Key, Event: m.Notice.Event, Delivery: delivery(plan, m.Notice, m.Attempts, m.Last)}
		if m.SettledAt.IsZero() {
			x.NextAt = &m.NextAt
		}
		if !m.Last.Accepted {
			verdict = assay.Fail
		}
		sent = append(sent, x)
	}
	changed, acted := append([]string{}, look.changed...), append([]actedOn{}, look.acted...)
	if err := s.print("assay.alert.send/1", map[string]any{"changed": changed, "actions": acted, "messages": sent, "outbox": tally, "damaged": append([]monitor.Damage{}, look.damaged...)}, func(w io.Writer) {
		for _, a := range acted {
			fmt.Fprintln(w, a.line())
		}
		for _, x := range sent {
			again := ""
			if x.NextAt != nil {
				again = ", again at " + x.NextAt.UTC().Format(time.RFC3339)
			} else if !x.Delivery.Accepted {
				again = ", given up"
			}
			mark := map[bool]string{true: "●", false: "✕"}[x.Delivery.Accepted]
			fmt.Fprintf(w, "%s %s %s, step %d, %s: %s%s\n", mark, x.Event, x.Incident, x.Delivery.Step, x.Delivery.Channel, receiverSaid(x.Delivery), again)
		}
		printTally(w, tally)
		for _, x := range look.damaged {
			fmt.Fprintln(w, damageLine(x))
		}
	}); err != nil {
		return err
	}
	for _, x := range look.damaged {
		if !x.Rebuilt {
			return assay.Errorf(assay.Unavailable, "outbox/%s holds no message, and nothing on record says what it was", x.File).Try("look at it and remove it; assay alert list --all names all incidents")
		}
	}
	return answer(verdict)
}

// watchEvery is how often alerts are looked at.
const watchEvery = 5 * time.Second

func (s *session) alertWatch(ctx context.Context) error {
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	for {
		look, err := s.alertTick(ctx)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			s.say("alerts are not up to date: %v", err)
		}
		for _, key := range look.changed {
			s.say("incident %s changed", key)
		}
		for _, a := range look.acted {
			s.say("%s", a.line())
		}
		for _, x := range look.damaged {
			s.say("%s", damageLine(x))
		}
		for _, m := range look.tried {
			s.say("%s to %s: accepted %v", one(m.Notice.Summary), m.Channel, m.Last.Accepted)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// monitorTestFireCommand is a part of the monitor command.
func (a *app) monitorTestFireCommand() *cobra.Command {
	return &cobra.Command{
		Use: "test-fire [VERSION]", Short: "Send every step of every alert of the plan to its channels, and record what they answer",
		Long: `Send a test message for every step of every alert of a version's plan to the channels of that step, and record what the receivers answered. The
messages say that nothing is wrong. The exit status is 3 when a step reached nobody: the gate asks for the proof that every step does.`,
		Args: cobra.MaximumNArgs(1),
		RunE: a.with("monitor test-fire", func(ctx context.Context, s *session, args []string) error {
			v, err := s.version(ctx, first(args))
			if err != nil {
				return err
			}
			r, p, err := s.testFire(ctx, v)
			if err != nil {
				return err
			}
			if err := s.print("assay.monitor.test_fire/1", map[string]any{"evidence": r.ID, "test_fire": p}, func(w io.Writer) {
				fmt.Fprintf(w, "%s %s: challenge %s\n", p.Verdict.Glyph(), versionName(v), p.Challenge)
				for _, d := range p.Deliveries {
					fmt.Fprintf(w, "  %s alert %s, step %d, %s (%s): %s\n", map[bool]string{true: "●", false: "✕"}[d.Accepted], d.Alert, d.Step, d.Channel, d.Type, receiverSaid(d))
				}
				for _, u := range p.Unproven {
					fmt.Fprintf(w, "  ✕ %s reached nobody\n", u)
				}
				fmt.Fprintf(w, "evidence %s\n", r.ID.Short())
			}); err != nil {
				return err
			}
			return answer(p.Verdict)
		}),
	}
}

// testAttempts is how often a test message is tried.
const testAttempts = 2

func (s *session) testFire(ctx context.Context, v store.Version) (assay.Record, assay.TestFire, error) {
	d, err := s.desk(ctx)
	if err != nil {
		return assay.Record{}, assay.TestFire{}, err
	}
	w, err := s.onWatch(ctx, v)
	if err != nil {
		return assay.Record{}, assay.TestFire{}, err
	}
	plan := w.plans[w.planID]
	switch {
	case w.planID == "":
		return assay.Record{}, assay.TestFire{}, assay.Errorf(assay.NotFound, "%s has no plan by which it is watched", versionName(v)).Try("assay monitor plan %s", versionName(v))
	case len(plan.Alerts) == 0:
		return assay.Record{}, assay.TestFire{}, assay.Errorf(assay.Refused, "the plan of %s has no alerts: nobody is told", versionName(v)).Try("fill monitor.channels and monitor.alerts in assay.yaml, then assay monitor plan %s", versionName(v))
	}
	nonce := make([]byte, 8)
	if _, err := rand.Read(nonce); err != nil {
		return assay.Record{}, assay.TestFire{}, assay.Errorf(assay.Unavailable, "the system gives no random numbers: %w", err)
	}
	p := assay.TestFire{Monitor: w.planID, Challenge: hex.EncodeToString(nonce), Deliveries: []assay.Delivery{}, Verdict: assay.Pass}
	for _, n := range monitor.TestNotices(plan, w.planID, v.Model, versionName(v), p.Challenge, s.Now()) {
		var a monitor.Answer
		attempts := 0
		for !a.Accepted && attempts < testAttempts && !a.Permanent && ctx.Err() == nil {
			attempts++
			a = d.send(ctx, n, plan)
		}
		if ctx.Err() != nil {
			return assay.Record{}, p, ctx.Err()
		}
		p.Deliveries = append(p.Deliveries, delivery(plan, n, attempts, a))
		if t := delivery(plan, n, 0, a).Type; a.Accepted && t == monitor.TypePagerDuty {
			n.Event, n.State, n.At = monitor.EventResolve, assay.AlertResolved, assay.InstantOf(s.Now())
			d.send(ctx, n, plan) // a test that stays open would be taken for an incident; its own end proves nothing
		}
	}
	if p.Unproven = monitor.Unproven(plan, p.Deliveries); len(p.Unproven) > 0 {
		p.Verdict = assay.Fail
	}
	r, err := s.write(ctx, assay.KindTestFire, v.Model, []assay.Digest{w.planID}, p)
	return r, p, err
}
