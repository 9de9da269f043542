package monitor

import (
	"fmt"
	"slices"
	"time"

	"github.com/assay-ml/assay"
)

// ActWithin is how long after an alert fired its actions may still be done: what could not be done at once, for a reason that passes, is tried again so
// long. Later it would be about another time than the alert is.
const ActWithin = 15 * time.Minute

// DueActions are the actions of an alert that are still to be done for a case: it fires, nobody has answered, and they are neither done nor given up.
func DueActions(alert assay.AlertPlan, c *Case) []string {
	if !c.Open() || c.Incident.State != assay.AlertFiring {
		return nil
	}
	return openActions(alert, c.Incident)
}

// openActions are those of which nothing is on record, or that they are tried again.
func openActions(alert assay.AlertPlan, in assay.Incident) []string {
	var out []string
	for _, a := range alert.Actions {
		if i := undone(in, a); !slices.Contains(in.Actions, a) && (i < 0 || in.Undone[i].Until != "") {
			out = append(out, a)
		}
	}
	return out
}

func undone(in assay.Incident, action string) int {
	return slices.IndexFunc(in.Undone, func(u assay.Undone) bool { return u.Action == action })
}

// A Try is what came of doing an action once.
type Try struct {
	Done  bool
	Why   string // it was not done
	Again bool   // why may pass
}

// Act does what an alert asks for of a case that fires, and returns the state of the incident that has it on record; false when there is nothing new to
// record. What is not done for a reason that passes is on record once, and once more when it is done or given up, which is ActWithin after the alert
// fired.
func Act(alert assay.AlertPlan, c *Case, now time.Time, do func(action string) Try) (assay.Incident, bool) {
	in := c.next()
	changed := false
	end := c.Fired.Add(ActWithin)
	for _, a := range DueActions(alert, c) {
		i := undone(in.Incident, a)
		var t Try
		if now.After(end) {
			t.Why = "nothing looked at it within " + span(ActWithin) + " of its firing"
			if i >= 0 {
				t.Why = "not within " + span(ActWithin) + " of its firing: " + in.Undone[i].Why
			}
		} else if t = do(a); !t.Done && t.Again && i >= 0 {
			continue // that it is tried again is on record
		}
		changed = true
		if i >= 0 {
			in.Undone = slices.Delete(in.Undone, i, i+1)
		}
		if t.Done {
			in.Actions = append(in.Actions, a)
			continue
		}
		u := assay.Undone{Action: a, Why: oneText(t.Why, maxAnswerText)}
		if t.Again {
			u.Until = assay.InstantOf(end)
		}
		in.Undone = append(in.Undone, u)
	}
	return in.Incident, changed
}

// EndActions gives up what an alert still asks for when its incident goes from firing to another state: in is the new one, was the one before.
func EndActions(alert assay.AlertPlan, was string, in assay.Incident) assay.Incident {
	if was != assay.AlertFiring || in.State == was {
		return in
	}
	for _, a := range openActions(alert, in) {
		why := "the incident was " + in.State + " first"
		if i := undone(in, a); i >= 0 {
			why += "; " + in.Undone[i].Why
			in.Undone = slices.Delete(slices.Clone(in.Undone), i, i+1)
		}
		in.Undone = append(in.Undone, assay.Undone{Action: a, Why: oneText(why, maxAnswerText)})
	}
	return in
}

// acted is the state of the incident of a change that says first what came of all that its alert asks for when it fires; else the newest one.
func acted(alert assay.AlertPlan, changes []Change, i int) assay.Incident {
	out := changes[i].Incident
	for _, c := range changes[i:] {
		if c.Incident.Key != out.Key {
			continue
		}
		if out = c.Incident; len(out.Actions)+len(out.Undone) >= len(alert.Actions) {
			break
		}
	}
	return out
}

// settledAfter are the actions of which was says that they are tried again, and in what came of them.
func settledAfter(was, in assay.Incident) []Action {
	return slices.DeleteFunc(Actions(in), func(a Action) bool {
		i := undone(was, a.Name)
		return i < 0 || was.Undone[i].Until == "" || a.Until != ""
	})
}

// An Action is one that an alert asks for, and what came of it.
type Action struct {
	Name  string        `json:"name"` // abort_canary, rollback, stale_card
	Done  bool          `json:"done"`
	Why   string        `json:"why,omitempty"`   // it was not done
	Until assay.Instant `json:"until,omitempty"` // it is tried again until then
}

// Actions are those of an incident, and what came of them.
func Actions(in assay.Incident) []Action {
	var out []Action
	for _, a := range in.Actions {
		out = append(out, Action{Name: a, Done: true})
	}
	for _, u := range in.Undone {
		out = append(out, Action{Name: u.Action, Why: u.Why, Until: u.Until})
	}
	return out
}

func actionLines(as []Action) []string {
	var out []string
	for _, a := range as {
		switch {
		case a.Done:
			out = append(out, a.Name+": done")
		case a.Until != "":
			out = append(out, fmt.Sprintf("%s: not done yet, and tried again until %s: %s", a.Name, a.Until, a.Why))
		default:
			out = append(out, fmt.Sprintf("%s: not done: %s", a.Name, a.Why))
		}
	}
	return out
}

// span writes whole minutes or seconds as people do.
func span(d time.Duration) string {
	if d >= time.Minute && d%time.Minute == 0 {
		return fmt.Sprintf("%d minutes", d/time.Minute)
	}
	return d.String()
}
