package cli

import (
	"context"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"time"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/blob"
	"github.com/assay-ml/assay/internal/monitor"
	"github.com/assay-ml/assay/internal/store"
	"github.com/assay-ml/assay/internal/web"
)

// A replayRequest is what the command line asks of a replay.
type replayRequest struct {
	data, model, by, window, out     string
	predictions                      string
	inputsOnly                       bool
	labels, label, came, delay, asOf string
	reason                           string
}

// A replayedWindow is one window of a replay, as --json has it.
type replayedWindow struct {
	Label    string       `json:"label"`              // when it was, for people
	Evidence assay.Digest `json:"evidence,omitempty"` // id of the drift evidence; absent when it was not recorded
	Drift    assay.Drift  `json:"drift"`
}

// monitorOf is the plan of a version: of the newest settings where there are several.
func (s *session) monitorOf(ctx context.Context, v store.Version, m assay.Model) (assay.Digest, assay.Monitor, error) {
	settings := section(s.p.Monitor)
	p, err := pick(ctx, s, assay.KindMonitor, v.Model, func(x assay.Monitor) bool { return x.Data == m.Data }, func(x assay.Monitor) bool { return x.Settings == settings })
	if err != nil {
		return "", assay.Monitor{}, err
	}
	if p == nil {
		return "", assay.Monitor{}, assay.Errorf(assay.NotFound, "%s has no plan to be watched by", versionName(v)).Try("assay monitor plan %s", versionName(v))
	}
	if p.Value.Settings != settings {
		s.say("the plan of %s is of other settings than monitor in assay.yaml has now. Try: assay monitor plan %s", versionName(v), versionName(v))
	}
	if p.Value.Budget.Null == "block_bootstrap" {
		s.say("the plan of %s was made before stretches of time were compared for predictions and shares of rows too: what days have in common may be an alarm. Try: assay monitor plan %s", versionName(v), versionName(v))
	}
	return p.ID, p.Value, nil
}

// watch opens a plan with its references.
func (s *session) watch(ctx context.Context, p assay.Monitor) (*monitor.Watch, error) {
	return monitor.Open(p, func(d assay.Digest) ([]byte, error) { return blob.ReadAll(ctx, s.st.Blobs(), d, maxReferenceBytes) })
}

func (s *session) replay(ctx context.Context, q replayRequest) error {
	v, err := s.version(ctx, q.model)
	if err != nil {
		return err
	}
	_, m, err := s.modelOf(ctx, v)
	if err != nil {
		return err
	}
	id, p, err := s.monitorOf(ctx, v, m)
	if err != nil {
		return err
	}
	unrecorded := ""
	if q.inputsOnly {
		unrecorded = "for only inputs were judged"
		p = monitor.InputsOnly(p)
	}
	if q.window != "" {
		unrecorded = "for these are not the plan's windows"
		o, err := s.p.Monitor.settings()
		if err != nil {
			return err
		}
		if o.Windows, err = monitor.ParseWindow(q.window); err != nil {
			return err
		}
		planned := p
		if p, err = o.Rewindow(p); err != nil {
			return err
		}
		if n := planned.Budget.BlockSeconds; n > p.Windows.LengthSeconds && p.Windows.LengthSeconds > 0 {
			s.say("the plan knows how stretches of %s differ and no shorter ones: windows of %s are held against those. A plan with monitor.window: %s has its own.", monitor.FormatSpan(n), q.window, q.window)
		}
	}
	w, err := s.watch(ctx, p)
	if err != nil {
		return err
	}
	if q.inputsOnly && s.engine == nil { // a handful of statements is less than loading the file
		if s.engine, err = s.inPlaceEngine(ctx); err != nil {
			return err
		}
	}
	e, err := s.tables(ctx)
	if err != nil {
		return err
	}
	t, err := e.Read(ctx, s.path(q.data), s.reading())
	if err != nil {
		return err
	}
	x := monitor.Traffic{Table: t, By: q.by, InputsOnly: q.inputsOnly}
	for _, c := range []string{s.p.Monitor.Time, s.p.Data.Time} {
		if x.By == "" && p.Windows.By != monitor.ByCount {
			x.By = c
		}
	}
	x.Timed = x.By != "" && (x.By == s.p.Monitor.Time || x.By == s.p.Data.Time)
	if q.predictions != "" && !onlyPredictions(m) {
		return assay.Errorf(assay.Invalid, "%s is a model that answers itself: --predictions is for those that are known by a file of predictions", versionName(v)).Try("assay monitor replay %s", q.data)
	}
	if onlyPredictions(m) && !q.inputsOnly {
		if x.Table, err = s.answeredTable(ctx, v, m, t, q); err != nil {
			return err
		}
		if p.Skew != nil {
			if x.Train, err = s.part(ctx, m.Split, assay.Train); err != nil {
				return err
			}
		}
	} else if !q.inputsOnly {
		model, done, err := s.watchedModel(ctx, v, m)
		if err != nil {
			return err
		}
		defer done()
		x.Model = &model
		if p.Skew != nil {
			if x.Train, err = s.part(ctx, m.Split, assay.Train); err != nil {
				return err
			}
		}
	}
	engine := ""
	if x.Model != nil {
		if engine, err = s.besidesOwn(m); err != nil {
			return err
		}
	}
	seen, err := w.Run(ctx, x)
	if err = t.ReadError(ctx, err); err != nil {
		return err
	}
	if q.by != "" && q.by != s.p.Monitor.Time && q.by != s.p.Data.Time && !seen.Planned() && unrecorded == "" {
		unrecorded = "for these are not the plan's windows"
	}
	recorded := unrecorded == ""
	windows, verdict, err := s.recordWindows(ctx, v, id, seen, func(assay.Window) string { return engine }, recorded)
	if err != nil {
		return err
	}
	outcomes, orphans := []outcomeWindow{}, int64(0)
	if p.Labels != nil && !q.inputsOnly {
		o, err := s.replayLabels(ctx, v, q)
		if err != nil {
			return err
		}
		if o.Labels != nil {
			if err := s.enterSealedRows(ctx, v, id, p, t, q.reason, false); err != nil {
				return err
			}
		}
		if outcomes, orphans, err = s.outcomes(ctx, v, m, id, w, x, seen, o, recorded); err != nil {
			return err
		}
		verdict = withOutcomes(verdict, outcomes)
	} else if q.labels != "" {
		return assay.Errorf(assay.Refused, "the plan of %s does not say how labels find their predictions", versionName(v)).Try("set monitor.labels in assay.yaml, then assay monitor plan %s", versionName(v))
	}
	if recorded {
		s.tellOf(ctx)
	}
	if q.out != "" {
		if err := s.replayPage(v, m, id, w, seen, windows, outcomes, q.out); err != nil {
			return err
		}
	}
	out := map[string]any{"monitor": id, "windows": windows, "outcomes": outcomes, "orphans": orphans, "untimed": seen.Untimed, "strays": seen.Strays, "absent": seen.Absent, "verdict": verdict}
	if err := s.print("assay.monitor.replay/1", out, func(w io.Writer) {
		printReplay(w, v, seen, windows, outcomes, unrecorded, verdict)
		printOutcomes(w, p.Labels, outcomes, orphans)
	}); err != nil {
		return err
	}
	return answer(verdict)
}

// replayPage writes the windows of a replay as a page.
func (s *session) replayPage(v store.Version, m assay.Model, id assay.Digest, w *monitor.Watch, seen *monitor.Replay, windows []replayedWindow, outcomes []outcomeWindow, out string) error {
	var shown []web.MonitorWindow
	for i, x := range windows {
		one := web.MonitorWindow{Label: x.Label, Drift: x.Drift, Counts: func() (*monitor.WindowDocument, error) { return monitor.ReadWindow(seen.Windows[i].Document) }}
		if i < len(outcomes) {
			one.Outcome, one.Overdue = &outcomes[i].Outcome, outcomes[i].Overdue
		}
		shown = append(shown, one)
	}
	page, err := s.monitorPage(v, m, id, w, shown, "")
	if err != nil {
		return err
	}
	if err := os.WriteFile(out, page, 0o644); err != nil {
		return unwritable(filepath.Base(out), err)
	}
	return nil
}

// replayLabels are the labels that a replay is told of, or those that have come for the model.
func (s *session) replayLabels(ctx context.Context, v store.Version, q replayRequest) (monitor.Outcomes, error) {
	var o monitor.Outcomes
	var err error
	if q.asOf != "" {
		if o.Until, err = moment("as-of", q.asOf); err != nil {
			return o, err
		}
	}
	if q.delay != "" {
		n, err := monitor.ParseSpan(q.delay)
		if err != nil {
			return o, err
		}
		o.Delay = time.Duration(n) * time.Second
	}
	if q.labels == "" {
		o.Labels, err = s.knownLabels(ctx, v.Name)
		return o, err
	}
	t, err := s.labelsOf(ctx, q.labels, "")
	if err != nil {
		return o, err
	}
	o.Labels, _, err = s.labelTable(q.label, q.came).Labels(ctx, t)
	return o, err
}

// withOutcomes adds what the labels say to a verdict on the traffic. That labels have not come yet takes nothing from it, unless they are overdue.
func withOutcomes(v assay.Verdict, outcomes []outcomeWindow) assay.Verdict {
	for _, x := range outcomes {
		if x.verdict() == assay.Fail {
			return assay.Fail
		}
	}
	return v
}

// recordWindows writes the evidence of every window, and says what they come to: one that moved is a no, one that could not be judged a doubt.
func (s *session) recordWindows(ctx context.Context, v store.Version, plan assay.Digest, seen *monitor.Replay, engine func(assay.Window) string, record bool) ([]replayedWindow, assay.Verdict, error) {
	out := []replayedWindow{}
	verdict := assay.Pass
	for _, j := range seen.Windows {
		j.Drift.Monitor, j.Drift.Engine = plan, engine(j.Drift.Window)
		x := replayedWindow{Label: j.Label, Drift: j.Drift}
		if record {
			if _, err := s.keepBytes(ctx, j.Document); err != nil {
				return nil, "", err
			}
			r, err := s.write(ctx, assay.KindDrift, v.Model, []assay.Digest{plan}, j.Drift)
			if err != nil {
				return nil, "", err
			}
			x.Evidence = r.ID
		}
		out = append(out, x)
		verdict = verdict.And(j.Drift.Verdict)
	}
	return out, verdict, nil
}

// shownCauses is how many causes of a window a person is shown.
const shownCauses = 5

func printReplay(w io.Writer, v store.Version, seen *monitor.Replay, windows []replayedWindow, outcomes []outcomeWindow, unrecorded string, verdict assay.Verdict) {
	pending := 0
	for _, x := range windows {
		d := x.Drift
		fmt.Fprintf(w, "%s %s: %s rows", d.Verdict.Glyph(), x.Label, assay.FormatCount(d.Window.Rows))
		unjudged := 0
		for _, g := range d.Signals {
			if g.Verdict == assay.Undetermined {
				unjudged++
			}
		}
		switch {
		case len(d.Ranking) > 0:
			fmt.Fprintf(w, ", %d of %d signals moved", len(d.Ranking), len(d.Signals))
			if d.Verdict != assay.Fail {
				pending++
				fmt.Fprintf(w, ", not yet for %d windows in a row", seen.Persist)
			}
		case d.Verdict == assay.Pass:
			fmt.Fprint(w, ", nothing moved")
		default:
			fmt.Fprint(w, ", too few to judge")
		}
		if unjudged > 0 && d.Verdict != assay.Undetermined {
			fmt.Fprintf(w, ", %d not judged", unjudged)
		}
		for _, g := range d.Signals {
			if g.Kind == monitor.KindVolume && g.Verdict == assay.Pass && g.Message != "" {
				fmt.Fprint(w, ", "+one(g.Message))
			}
		}
		if lost := monitor.Losses(d.Window); lost != "" {
			fmt.Fprint(w, "; "+lost)
		}
		fmt.Fprintln(w)
		for i, c := range d.Ranking {
			if i == shownCauses {
				fmt.Fprintf(w, "         and %d more\n", len(d.Ranking)-i)
				break
			}
			fmt.Fprintf(w, "  %3.0f %%  %s\n", 100*c.Contribution, one(c.Message))
		}
	}
	if seen.Untimed > 0 {
		fmt.Fprintf(w, "◐ %s rows have no time and are in no window\n", assay.FormatCount(seen.Untimed))
	}
	if seen.Refused > 0 {
		fmt.Fprintf(w, "◐ %s rows were not predicted, for a value is of another type or missing where the model needs one%s\n", assay.FormatCount(seen.Refused), mistyped(windows))
	}
	for _, x := range seen.Strays {
		when := x.First
		if x.Last != x.First {
			when += " to " + x.Last
		}
		fmt.Fprintf(w, "◐ time out of place: %s rows of %s lie far from all others and are in no window\n", assay.FormatCount(x.Rows), when)
	}
	if len(seen.Absent) > 0 {
		fmt.Fprintf(w, "◐ columns that the data does not have, missing in every row: %s\n", some(seen.Absent))
	}
	moved := 0
	for _, x := range windows {
		if x.Drift.Verdict == assay.Fail {
			moved++
		}
	}
	fmt.Fprintf(w, "%s %s: %d of %d windows moved%s", verdict.Glyph(), versionName(v), moved, len(windows), outcomeSums(outcomes))
	if pending > 0 {
		fmt.Fprintf(w, "; in %d more something moved that had not for %d in a row", pending, seen.Persist)
	}
	if unrecorded != "" {
		fmt.Fprintf(w, "; not recorded, %s", unrecorded)
	}
	fmt.Fprintln(w)
}

// mistyped names the columns that have values of another type.
func mistyped(windows []replayedWindow) string {
	var names []string
	for _, x := range windows {
		for _, g := range x.Drift.Signals {
			if g.Kind == monitor.KindType && float64(g.Statistic) > 0 && !slices.Contains(names, g.Column) {
				names = append(names, g.Column)
			}
		}
	}
	if len(names) == 0 {
		return ""
	}
	return ": " + some(names)
}

// workers is how many goroutines work side by side.
func (a *app) workers() int {
	if a.threads > 0 {
		return a.threads
	}
	return runtime.GOMAXPROCS(0)
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
