package cli

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/monitor"
	"github.com/assay-ml/assay/internal/store"
)

// What a server does for the watch of what it serves, at most. It must not slow predictions.
const (
	watcherMemory  = 512 << 20        // of the table engine, which is closed after each look
	watcherThreads = 1                //
	watcherRest    = 19               // times as long as a look took nothing is looked at: 5 % of the time
	alertsAtLeast  = time.Minute      // alerts are brought up to date that often, and at once when something was recorded
	minLook        = time.Minute      // between two looks at a log whose windows are not by time
	maxLook        = time.Hour        //
	windowsBefore  = 64               // judged windows that are read to go on from
	watchTimeout   = 10 * time.Minute // of one look
)

// A watcher judges the windows of what a server serves as they end, and keeps the alerts of the project up to date while the server runs.
type watcher struct {
	app    *app
	served func() []string // the versions that answer, NAME:NUMBER
	live   func() []string // those of them that requests reach which name no version; nil: all
	say    func(format string, args ...any)
	looks  map[assay.Digest]*looked // by model
	mark   store.Mark
	told   time.Time
	wrong  string // what was said of the last tick: it is not said again
}

// A looked is when a model was looked at.
type looked struct {
	first  time.Time // served since
	live   time.Time // requests that name no version reach it since; zero: they do not
	due    time.Time // the next window ends
	rest   time.Time // labels that come are looked at not before
	labels string    // mark of those that were there
}

// run works until the context ends.
func (w *watcher) run(ctx context.Context) {
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	for {
		wrong := ""
		if err := w.tick(ctx); err != nil && ctx.Err() == nil {
			if wrong = err.Error(); wrong != w.wrong {
				w.say("the watch is not up to date: %v", err)
			}
		}
		w.wrong = wrong
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// tick does what is due. Each look has a session of its own, so that it holds nothing while it waits.
func (w *watcher) tick(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, watchTimeout)
	defer cancel()
	s, err := w.app.open(ctx, "serve")
	if err != nil {
		return err
	}
	defer s.Close()
	var errs []error
	for _, ref := range w.served() {
		v, err := s.version(ctx, ref)
		if err == nil {
			err = w.look(ctx, s, v)
		}
		errs = append(errs, err)
	}
	errs = append(errs, w.alerts(ctx, s))
	return errors.Join(errs...)
}

// look judges the windows of a version that have ended since it was looked at last, if one may have.
func (w *watcher) look(ctx context.Context, s *session, v store.Version) error {
	began := s.Now()
	at := w.looks[v.Model]
	if at == nil {
		at = &looked{first: began}
		w.looks[v.Model] = at
	}
	switch live := w.live == nil || slices.Contains(w.live(), versionName(v)); {
	case !live:
		at.live = time.Time{}
	case at.live.IsZero():
		at.live = began
	}
	mark, err := s.labelMark(v.Name)
	if err != nil {
		return err
	}
	came := mark != at.labels && !began.Before(at.rest)
	if began.Before(at.due) && !came {
		return nil
	}
	_, m, err := s.modelOf(ctx, v)
	if err != nil {
		return err
	}
	id, p, err := s.monitorOf(ctx, v, m)
	if assay.CodeOf(err) == assay.NotFound { // nobody asked for it
		at.due, at.labels = began.Add(minLook), mark
		return nil
	}
	if err != nil {
		return err
	}
	came = came && p.Labels != nil
	next := began.Add(maxLook)
	grace := time.Duration(p.Windows.GraceSeconds) * time.Second
	end, timed := monitor.EndOf(p.Windows, began.Add(-grace))
	if timed {
		next = end.Add(grace)
	} else if n := p.Budget.WindowsPerYear; n > 0 {
		next = began.Add(min(max(time.Duration(float64(365*24*time.Hour)/n/4), minLook), maxLook))
	}
	last := int64(0)
	if timed {
		since, err := s.judgedBy(ctx, v, id, p)
		if err != nil {
			return err
		}
		if len(since) > 0 {
			last = since[0].Window.Number
			if end, err := since[0].Window.End.Time(); err == nil && !came {
				if over, _ := monitor.EndOf(p.Windows, end); over.After(began.Add(-grace)) {
					if at.due = next; p.Labels == nil {
						at.labels = mark
					}
					return nil // no window has ended since
				}
			}
		}
	}
	seen, err := s.lookBeside(ctx, lookRequest{Version: versionName(v), Labels: came, From: at.first, Here: &role{at.live}})
	now := s.Now()
	rest := now.Add(watcherRest * now.Sub(began))
	if rest.After(next) {
		next = rest
	}
	at.rest = later(rest, began.Add(minLook))
	switch {
	case assay.CodeOf(err) == assay.NotFound: // no log yet
		at.due = began.Add(minLook)
		return nil
	case err != nil: // not at once again
		at.due = at.rest
		return err
	}
	if at.due = next; came || p.Labels == nil {
		at.labels = mark
	}
	for _, j := range seen {
		if j.Verdict != assay.Pass && j.Number > last {
			w.say("%s, window %s: %s", versionName(v), j.Label, j.Verdict)
		}
	}
	return nil
}

// judgedBy are the windows that were judged by a plan whose windows are by time, the newest first, for a look to go on from.
func (s *session) judgedBy(ctx context.Context, v store.Version, id assay.Digest, p assay.Monitor) ([]assay.Drift, error) {
	if _, timed := monitor.EndOf(p.Windows, s.Now()); !timed {
		return nil, nil
	}
	rs, err := s.st.Find(ctx, store.Query{Kind: assay.KindDrift, Subject: v.Model, Parent: id, Windows: true, Limit: windowsBefore})
	if err != nil {
		return nil, err
	}
	since, err := monitor.NewestWindows(rs)
	if err != nil {
		return nil, err
	}
	plan, err := s.st.Get(ctx, id)
	if err != nil {
		return nil, err
	}
	return watchedSince(since, plan.Entry.At)
}

// watchedSince is windows, the newest first, unless all of them were over before there was a plan to watch by: then they are of a table
// of the past, and that no traffic came between them and the first prediction is no alarm.
func watchedSince(windows []assay.Drift, planned time.Time) ([]assay.Drift, error) {
	if len(windows) == 0 {
		return nil, nil
	}
	end, err := windows[0].Window.End.Time()
	if err != nil || !end.After(planned) {
		return nil, err
	}
	return windows, nil
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// alerts brings the alerts up to date when something was recorded, when a message waits, and once a minute, for steps and mutes that fall due.
func (w *watcher) alerts(ctx context.Context, s *session) error {
	mark, err := s.st.Changes(ctx)
	if err != nil {
		return err
	}
	d, err := s.desk(ctx)
	if err != nil {
		return err
	}
	waiting, _, err := d.outbox.List("queue")
	if err != nil {
		return err
	}
	if now := s.Now(); mark == w.mark && len(waiting) == 0 && now.Sub(w.told) < alertsAtLeast {
		return nil
	}
	look, err := s.alertTick(ctx)
	for _, key := range look.changed {
		w.say("incident %s changed", key)
	}
	for _, a := range look.acted {
		w.say("%s", a.line())
	}
	for _, x := range look.damaged {
		w.say("%s", damageLine(x))
	}
	if err != nil {
		return err
	}
	w.told = s.Now()
	w.mark, err = s.st.Changes(ctx)
	return err
}
