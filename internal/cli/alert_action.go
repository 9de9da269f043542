package cli

import (
	"context"
	"errors"
	"fmt"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/monitor"
	"github.com/assay-ml/assay/internal/store"
)

// An actedOn is what came of an action that an alert asks for when it fires.
type actedOn struct {
	Incident string        `json:"incident"` // its key
	Action   string        `json:"action"`   // abort_canary, rollback, stale_card
	Done     bool          `json:"done"`
	Why      string        `json:"why"`   // it was not done; empty for one that was
	Until    assay.Instant `json:"until"` // it is tried again until then; empty for one that is settled
}

// line is what a person is told of it.
func (a actedOn) line() string {
	switch {
	case a.Done:
		return fmt.Sprintf("● %s of incident %s is done", a.Action, a.Incident)
	case a.Until != "":
		return fmt.Sprintf("◐ %s of incident %s is not done yet, and tried again until %s: %s", a.Action, a.Incident, a.Until, a.Why)
	}
	return fmt.Sprintf("✕ %s of incident %s is not done: %s", a.Action, a.Incident, a.Why)
}

// act does what an alert asks for of the incident that fires now, and records what came of it.
func (d *desk) act(ctx context.Context, w *watchedVersion, alert assay.AlertPlan) error {
	c, _ := monitor.Newest(w.cases, w.planID, alert.Name)
	if len(monitor.DueActions(alert, c)) == 0 {
		return nil
	}
	key := c.Incident.Key
	in, changed := monitor.Act(alert, c, d.Now(), func(action string) monitor.Try { return d.action(ctx, action, w.version, key) })
	if err := ctx.Err(); err != nil {
		return err // what was stopped is no fault of the action
	}
	if !changed {
		return nil
	}
	known := map[string]bool{}
	for _, a := range monitor.Actions(c.Incident) {
		known[fmt.Sprint(a)] = true
	}
	if err := d.record(ctx, w, in); err != nil {
		return err
	}
	for _, a := range monitor.Actions(in) {
		if !known[fmt.Sprint(a)] {
			d.acted = append(d.acted, actedOn{key, a.Name, a.Done, a.Why, a.Until})
		}
	}
	return nil
}

// action does one thing.
func (d *desk) action(ctx context.Context, name string, v store.Version, key string) monitor.Try {
	done, why, err := false, "", error(nil)
	reason := "alert " + key + " fires"
	switch name {
	case "stale_card": // the record that it was done is what makes the card stale
		done = true
	case "abort_canary": // whichever version it is: an alert on any of them says that this is no time to try one
		why = v.Name + " has no canary"
		if done, err = d.abortCanary(ctx, v.Name, reason, nil); done && err != nil {
			d.say("%s of incident %s: %v", name, key, err) // the traffic has moved
			err = nil
		}
	case "rollback":
		done, why, err = d.giveBack(ctx, v, reason)
	default:
		why = "this version of assay does not know it"
	}
	if err == nil && !done {
		done, err = d.didBefore(ctx, v.Name, reason, map[string]string{"abort_canary": "unalias", "rollback": "rollback"}[name])
	}
	if err != nil {
		return monitor.Try{Why: err.Error(), Again: passes(err)}
	}
	return monitor.Try{Done: done, Why: why}
}

// passes reports whether what kept an action from being done may be over soon: something was out of reach.
func passes(err error) bool {
	for e := err; e != nil; e = errors.Unwrap(e) {
		if assay.CodeOf(e) == assay.Unavailable {
			return true
		}
	}
	return assay.CodeOf(err) == assay.Internal
}

// giveBack gives production back to the version before, if v holds it.
func (d *desk) giveBack(ctx context.Context, v store.Version, reason string) (done bool, why string, err error) {
	why = versionName(v) + " does not hold production"
	held, err := d.held(ctx, v.Name, assay.StageProduction)
	if err != nil || held != v.Number {
		return false, why, err
	}
	with := d.circumstances()
	with["reason"] = reason
	if _, err = d.st.Rollback(ctx, store.Back{Name: v.Name, Stage: assay.StageProduction, Expect: &held, Context: with}); err == nil {
		return true, "", nil
	}
	if now, e := d.held(ctx, v.Name, assay.StageProduction); e == nil && now != v.Number { // another process was faster
		return false, why, nil
	}
	return false, "", err
}

// didBefore reports whether the history of a model has that already, done for that reason: by another process, or by one that was killed before it could
// record what it did.
func (d *desk) didBefore(ctx context.Context, model, reason, action string) (bool, error) {
	if action == "" {
		return false, nil
	}
	events, err := d.st.History(ctx, model, recentEvents)
	for _, e := range events {
		if e.Action == action && e.Entry.Context["reason"] == reason {
			return true, nil
		}
	}
	return false, err
}

// recentEvents is how far back the history of a model is looked at for what was done within monitor.ActWithin.
const recentEvents = 100
