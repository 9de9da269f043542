package monitor

import (
	"slices"
	"strings"
	"time"

	"github.com/assay-ml/assay"
)

// dueStep is the step that an alert has reached which fired then: at least the first, as far as there is one.
func dueStep(alert assay.AlertPlan, fired, now time.Time) int {
	due := min(1, len(alert.Steps))
	for i, s := range alert.Steps {
		if now.Sub(fired) >= time.Duration(s.AfterSeconds)*time.Second {
			due = max(due, i+1)
		}
	}
	return due
}

// NextStep returns when the next step of a firing case falls due; false when there is none.
func NextStep(alert assay.AlertPlan, c *Case) (time.Time, bool) {
	if c.Incident.State != assay.AlertFiring || c.Incident.Step >= len(alert.Steps) {
		return time.Time{}, false
	}
	return c.Fired.Add(time.Duration(alert.Steps[c.Incident.Step].AfterSeconds) * time.Second), true
}

// An incident that is being changed.
type change struct{ assay.Incident }

// next is a copy of a case's incident that names it as the state before.
func (c *Case) next() *change {
	in := c.Incident
	in.Previous = c.ID
	in.Evidence, in.Causes = slices.Clone(in.Evidence), slices.Clone(in.Causes)
	in.Deliveries, in.Actions, in.Undone = slices.Clone(in.Deliveries), slices.Clone(in.Actions), slices.Clone(in.Undone)
	return &change{in}
}

// move changes the state; what belongs to the one before is left out.
func (in *change) move(state string) {
	in.State, in.By, in.Reason, in.Until, in.Deliveries = state, "", "", "", []assay.Delivery{}
}

func (in *change) take(c Condition) {
	in.Last, in.Evidence, in.Causes, in.CausesTotal = c.Last, c.Evidence, c.Causes, c.Total
	if c.Newest != "" {
		in.Evidence = append(slices.Clone(c.Evidence), c.Newest)
	}
}

func (in *change) fire(alert assay.AlertPlan, fired, now time.Time) {
	in.move(assay.AlertFiring)
	in.Step = max(in.Step, dueStep(alert, fired, now))
}

// A Note is what a person says to an incident.
type Note struct {
	By     string
	Reason string
}

// MinReason is how many characters a reason has at least.
const MinReason = 10

func (n Note) check(bad *assay.Problems) {
	if strings.TrimSpace(n.By) == "" {
		bad.Add("--by is empty: who says so?")
	}
	if len(strings.TrimSpace(n.Reason)) < MinReason {
		bad.Add("--reason is shorter than %d characters", MinReason)
	}
}

func (in *change) say(n Note) assay.Incident {
	in.By, in.Reason = strings.TrimSpace(n.By), strings.TrimSpace(n.Reason)
	return in.Incident
}

// Acknowledge takes an incident over: it takes no further step. It returns Refused for one that is resolved or that nobody was told of, and
// Exists for one that somebody has already.
func Acknowledge(c *Case, n Note) (assay.Incident, error) {
	if err := c.may(n, "acknowledged"); err != nil {
		return assay.Incident{}, err
	}
	if c.Incident.State == assay.AlertAcknowledged {
		return assay.Incident{}, assay.Errorf(assay.Exists, "incident %s was acknowledged by %s", c.Incident.Key, oneText(c.Incident.By, maxAnswerText)).Try("assay alert show %s", c.Incident.Key)
	}
	if c.Incident.State == assay.AlertPending {
		return assay.Incident{}, assay.Errorf(assay.Refused, "incident %s does not fire yet: nobody was told", c.Incident.Key).Try("assay alert mute %s --for 1d --by NAME --reason TEXT", c.Incident.Key)
	}
	in := c.next()
	in.move(assay.AlertAcknowledged)
	return in.say(n), nil
}

// Mute keeps an incident quiet until then. It returns Refused for one that is resolved, and Invalid for a time that has passed or is more than a
// year away.
func Mute(c *Case, n Note, until, now time.Time) (assay.Incident, error) {
	if err := c.may(n, "muted"); err != nil {
		return assay.Incident{}, err
	}
	if !until.After(now) || until.Sub(now) > 366*24*time.Hour {
		return assay.Incident{}, assay.Errorf(assay.Invalid, "a mute ends after now and within a year").Try("assay alert mute %s --for 1d --by NAME --reason TEXT", c.Incident.Key)
	}
	in := c.next()
	in.move(assay.AlertMuted)
	in.Until = assay.InstantOf(until)
	return in.say(n), nil
}

// Resolve ends an incident. It holds again only for windows that are found after that.
func Resolve(c *Case, n Note) (assay.Incident, error) {
	if err := c.may(n, "resolved"); err != nil {
		return assay.Incident{}, err
	}
	in := c.next()
	in.move(assay.AlertResolved)
	return in.say(n), nil
}

// Supersede ends an incident whose plan was replaced.
func Supersede(c *Case, plan assay.Digest) assay.Incident {
	in := c.next()
	in.move(assay.AlertResolved)
	return in.say(Note{By: "assay", Reason: "the plan was replaced by " + plan.Short()})
}

// Quieted reports of each change whether its incident was muted after it: what it would have told is told no more. When the mute ends, the incident fires
// anew and tells that.
func Quieted(changes []Change) []bool {
	out := make([]bool, len(changes))
	muted := map[string]bool{}
	for i, c := range slices.Backward(changes) {
		out[i] = muted[c.Incident.Key] && c.Incident.State == assay.AlertFiring
		muted[c.Incident.Key] = muted[c.Incident.Key] || c.Incident.State == assay.AlertMuted
	}
	return out
}

// Past reports of each change whether it is told no more, since its incident was over when it was found: of those that one look found, the end of the last one
// tells of all, see Incident.Past.
func Past(changes []Change) []bool {
	out := make([]bool, len(changes))
	over, next := map[string]bool{}, map[string]int{}
	for i, c := range slices.Backward(changes) {
		in := c.Incident
		alert := string(in.Monitor) + "\n" + in.Alert
		switch {
		case over[in.Key]:
			out[i] = true
		case in.State == assay.AlertResolved && in.Past > 0 && !(c.Before != nil && c.Before.State == in.State): // what follows it in its state tells nothing
			over[in.Key] = true
			out[i] = next[alert] == in.Past+1
			next[alert] = in.Past
		}
	}
	return out
}

func (c *Case) may(n Note, what string) error {
	var bad assay.Problems
	n.check(&bad)
	if err := bad.Err(assay.Invalid, "incident "+c.Incident.Key+" cannot be "+what); err != nil {
		return err
	}
	if !c.Open() {
		return assay.Errorf(assay.Refused, "incident %s is resolved", c.Incident.Key).Try("assay alert list")
	}
	return nil
}

// Deliver adds deliveries that came of messages about the incident.
func Deliver(c *Case, deliveries []assay.Delivery) assay.Incident {
	in := c.next()
	in.Deliveries = append(in.Deliveries, deliveries...)
	return in.Incident
}
