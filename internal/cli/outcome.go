package cli

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/eval"
	"github.com/assay-ml/assay/internal/monitor"
	"github.com/assay-ml/assay/internal/registry"
	"github.com/assay-ml/assay/internal/store"
	"github.com/assay-ml/assay/internal/table"
	"github.com/assay-ml/assay/learn"
)

// An outcomeWindow is what the labels say of one window, as --json has it.
type outcomeWindow struct {
	Label    string        `json:"label"`              // when it was, for people
	Evidence assay.Digest  `json:"evidence,omitempty"` // id of the outcome; absent when it was not recorded
	Outcome  assay.Outcome `json:"outcome"`
	Overdue  string        `json:"overdue,omitempty"` // that all labels should have come, and too few did; absent where it is not so
}

// verdict is that on the labels as they are now: those that are overdue are a no.
func (x outcomeWindow) verdict() assay.Verdict {
	if x.Overdue != "" {
		return assay.Fail
	}
	return x.Outcome.Verdict
}

// outcomeSums says in how many windows a figure is certainly worse, and of how many labels are overdue.
func outcomeSums(windows []outcomeWindow) string {
	worse, overdue := 0, 0
	for _, x := range windows {
		switch {
		case x.Outcome.Verdict == assay.Fail:
			worse++
		case x.Overdue != "":
			overdue++
		}
	}
	text := ""
	if worse > 0 {
		text += fmt.Sprintf(", %d failed by their labels", worse)
	}
	if overdue > 0 {
		text += fmt.Sprintf(", labels of %d overdue", overdue)
	}
	return text
}

// knownOutcome is what is on record about the labels of one window.
type knownOutcome struct {
	newest  registry.Fact[assay.Outcome]
	history []assay.Outcome // that were restated, oldest first
}

// outcomesOf are the outcomes of a plan by the number of their window.
func (s *session) outcomesOf(ctx context.Context, v store.Version, plan assay.Digest) (map[int64]*knownOutcome, error) {
	all, err := s.st.Find(ctx, store.Query{Kind: assay.KindOutcome, Subject: v.Model, Parent: plan})
	if err != nil {
		return nil, err
	}
	out := map[int64]*knownOutcome{}
	for _, r := range slices.Backward(all) { // the oldest first
		o, err := assay.Decode[assay.Outcome](r.Evidence)
		if err != nil {
			return nil, err
		}
		k := out[o.Window.Number]
		if k == nil {
			k = &knownOutcome{}
			out[o.Window.Number] = k
		} else {
			k.history = append(k.history, k.newest.Value)
		}
		k.newest = registry.Fact[assay.Outcome]{ID: r.ID, Value: o}
	}
	return out, nil
}

func sortedNumbers[V any](m map[int64]V) []int64 {
	out := make([]int64, 0, len(m))
	for n := range m {
		out = append(out, n)
	}
	slices.Sort(out)
	return out
}

// outcomes joins labels to the windows of a traffic, judges them and writes the evidence.
func (s *session) outcomes(ctx context.Context, v store.Version, m assay.Model, id assay.Digest, w *monitor.Watch, x monitor.Traffic, seen *monitor.Replay, o monitor.Outcomes, record bool) ([]outcomeWindow, int64, error) {
	p := w.Plan()
	known, err := s.outcomesOf(ctx, v, id)
	if err != nil {
		return nil, 0, err
	}
	if record {
		o.Before = func(win assay.Window) (assay.Digest, *assay.Outcome) {
			if k := known[win.Number]; k != nil {
				return k.newest.ID, &k.newest.Value
			}
			return "", nil
		}
	}
	if o.References, err = s.sliceReferences(ctx, id); err != nil {
		return nil, 0, err
	}
	options := s.plannedOptions(p)
	o.Classes, o.Threshold, o.Columns = m.Classes, options.Threshold, slicingColumns(x.Table, options.Slices)
	o.Score = s.labelScorer(p, m)
	if b := options.Business; b != nil {
		if o.Counts, err = b.OfCounts(m.Task); err != nil {
			return nil, 0, err
		}
	}
	if len(x.Since) > 0 {
		for _, n := range slices.Backward(sortedNumbers(known)) {
			if n <= x.Since[0].Window.Number {
				o.Since = append(o.Since, known[n].newest.Value)
			}
		}
	}
	judged, err := w.Outcomes(ctx, x, seen, o)
	if err != nil {
		return nil, 0, err
	}
	out := []outcomeWindow{}
	for _, j := range judged.Windows {
		j.Outcome.Monitor = id
		y := outcomeWindow{Label: j.Label, Evidence: j.Same, Outcome: j.Outcome, Overdue: monitor.LabelsOverdue(p, j.Outcome, s.Now())}
		if record && j.Same == "" && !j.Passing {
			if _, err := s.keepBytes(ctx, j.Document); err != nil {
				return nil, 0, err
			}
			parents := []assay.Digest{id}
			if j.Outcome.Restates != "" {
				parents = append(parents, j.Outcome.Restates)
			}
			r, err := s.write(ctx, assay.KindOutcome, v.Model, parents, j.Outcome)
			if err != nil {
				return nil, 0, err
			}
			y.Evidence = r.ID
		}
		out = append(out, y)
	}
	return out, judged.Orphans, nil
}

// slicingColumns are the columns of a table that slices are made of.
func slicingColumns(t *table.Table, defs []string) (out []string) {
	for _, f := range t.Fields() {
		if slices.ContainsFunc(defs, func(def string) bool { return strings.Contains(def, f.Name) }) {
			out = append(out, f.Name)
		}
	}
	return out
}

// plannedOptions say how the figures of a plan are computed: as they were when it was made, whatever assay.yaml says now. What plans of earlier releases do
// not state is as the settings have it.
func (s *session) plannedOptions(p assay.Monitor) eval.Options {
	o := s.evalOptions()
	o.Metrics, o.Business = nil, nil
	if b := p.Business; b != nil {
		o.Business = eval.BusinessOf(b.Name, b.Definition, b.Higher)
	}
	if len(p.Slicing) > 0 || len(p.Slices) == 0 {
		o.Slices = p.Slicing
	}
	if p.Threshold > 0 {
		o.Threshold = float64(p.Threshold)
	}
	return o
}

// sliceReferences are the figures of slices on held-out rows, of the evaluation that a plan was made of.
func (s *session) sliceReferences(ctx context.Context, plan assay.Digest) (map[string]map[string]assay.Estimate, error) {
	out := map[string]map[string]assay.Estimate{}
	r, err := s.st.Get(ctx, plan)
	if err != nil {
		return nil, err
	}
	for _, id := range r.Evidence.Parents {
		parent, err := s.st.Get(ctx, id)
		if err != nil {
			return nil, err
		}
		if parent.Evidence.Kind != assay.KindEvaluation {
			continue
		}
		e, err := assay.Decode[assay.Evaluation](parent.Evidence)
		if err != nil {
			return nil, err
		}
		addSliceReferences(out, e)
	}
	return out, nil
}

func addSliceReferences(to map[string]map[string]assay.Estimate, e assay.Evaluation) {
	for _, sl := range e.Slices {
		by := map[string]assay.Estimate{}
		for _, x := range sl.Metrics {
			by[x.Name] = x.Estimate
		}
		to[sl.Name] = by
	}
}

// labelScorer computes the figures of a plan as an evaluation does: the same definitions, intervals, slices and business metric.
func (s *session) labelScorer(p assay.Monitor, m assay.Model) monitor.Scorer {
	return s.labelScorerOf(p, m, 0)
}

// labelScorerOf computes them with so many replicates of the bootstrap; 0: as many as the settings say.
func (s *session) labelScorerOf(p assay.Monitor, m assay.Model, replicates int) monitor.Scorer {
	return func(ctx context.Context, answers learn.Prediction, label []int32, value []float64, columns assay.Frame) (assay.Evaluation, error) {
		o := s.plannedOptions(p)
		if replicates > 0 {
			o.Replicates = replicates
		}
		for _, x := range p.Performance {
			o.Metrics = append(o.Metrics, x.Name)
		}
		o.Primary, o.Sensitive = o.Metrics[0], nil
		o.Slices = slices.DeleteFunc(slices.Clone(o.Slices), func(def string) bool {
			for _, term := range strings.Split(def, "&") {
				name, _, _ := strings.Cut(term, ":")
				if columns.Column(strings.TrimSpace(name)) == nil {
					return true
				}
			}
			return false
		})
		_, positive, err := s.positive(m.Classes)
		if err != nil {
			return assay.Evaluation{}, err
		}
		t := &eval.Truth{Task: m.Task, Classes: m.Classes, Positive: positive, Class: label, Value: value, Columns: columns}
		scores := &eval.Scores{Name: m.Learner, Proba: answers.Proba, Value: answers.Values}
		if answers.Proba == nil {
			scores.Label = answers.Labels
		}
		return eval.Realised(ctx, t, scores, o)
	}
}

// printOutcomes tells what the labels say.
func printOutcomes(w io.Writer, plan *assay.LabelPlan, windows []outcomeWindow, orphans int64) {
	for _, x := range windows {
		o := x.Outcome
		fmt.Fprintf(w, "%s %s: ", x.verdict().Glyph(), x.Label)
		switch l := o.Labels; {
		case l.Labelled == 0 && l.Ambiguous == 0 && x.Overdue != "":
			fmt.Fprint(w, x.Overdue)
		case l.Labelled == 0 && l.Ambiguous == 0:
			fmt.Fprint(w, "no label has come")
		default:
			fmt.Fprintf(w, "%s labels, %s of the predictions", assay.FormatCount(l.Labelled), shareText(l.Coverage))
			if d := delayText(l.DelayP50); d != "unknown" {
				fmt.Fprintf(w, ", half within %s", d)
			}
			for _, n := range []struct {
				n    int64
				what string
			}{{l.Duplicates, "said the same again"}, {l.Conflicts, "disagree"}, {l.Ambiguous, "of keys with several predictions"}, {l.Unknown, "of no known class"}, {l.Early, "before their prediction"}, {l.Overdue, "overdue"}} {
				if n.n > 0 {
					fmt.Fprintf(w, ", %s %s", assay.FormatCount(n.n), n.what)
				}
			}
		}
		if o.Restates != "" {
			fmt.Fprintf(w, "; restated (%d)", o.Look-1)
		}
		if x.Overdue != "" && o.Labels.Labelled+o.Labels.Ambiguous > 0 {
			fmt.Fprintf(w, "; %s", x.Overdue)
		}
		if monitor.Foreknown(o.Labels) {
			fmt.Fprint(w, "; not judged, for most labels came before their prediction: a clock is wrong, or they were known then")
		}
		fmt.Fprintln(w)
		metrics := o.Performance
		if o.Business != nil {
			metrics = append(slices.Clone(metrics), *o.Business)
		}
		for _, m := range metrics {
			printFigure(w, m)
		}
		for _, sl := range o.Slices {
			for _, m := range sl.Performance {
				if m.Verdict == assay.Fail {
					fmt.Fprintf(w, "  ✕ %s: %s %s, was %s\n", one(sl.Name), m.Name, m.Realised, m.Reference)
				}
			}
		}
		for _, d := range o.Drift {
			if d.Verdict == assay.Fail {
				fmt.Fprintf(w, "  ✕ labels: %s\n", one(d.Message))
			}
		}
	}
	var assumptions []string
	for _, x := range windows {
		for _, m := range x.Outcome.Performance {
			if m.Assumption != "" && !slices.Contains(assumptions, m.Assumption) {
				assumptions = append(assumptions, m.Assumption)
			}
		}
	}
	for _, a := range assumptions {
		fmt.Fprintf(w, "◐ estimates: %s\n", a)
	}
	refused := int64(0)
	for _, x := range windows {
		refused += x.Outcome.Labels.Ambiguous
	}
	if refused > 0 && plan != nil && monitor.Refusing(plan) {
		fmt.Fprintf(w, "◐ the labels of %s predictions count for none, for their key has several predictions. Try: monitor.labels.join with more columns in assay.yaml, such as [id, date], or [request_id, row]; monitor.labels.repeats takes the last one or all\n", assay.FormatCount(refused))
	}
	if orphans > 0 {
		fmt.Fprintf(w, "◐ %s labels are of no prediction here\n", assay.FormatCount(orphans))
	}
}

func printFigure(w io.Writer, m assay.RealisedMetric) {
	switch {
	case m.Realised.Defined() && m.Proxy.Defined():
		fmt.Fprintf(w, "  %s %s: %s (estimated without labels %s), was %s on held-out rows\n", m.Verdict.Glyph(), m.Name, m.Realised, m.Proxy, m.Reference)
	case m.Realised.Defined():
		fmt.Fprintf(w, "  %s %s: %s, was %s on held-out rows\n", m.Verdict.Glyph(), m.Name, m.Realised, m.Reference)
	case m.Proxy.Defined():
		fmt.Fprintf(w, "  %s %s: estimated %s, was %s on held-out rows\n", m.Verdict.Glyph(), m.Name, m.Proxy, m.Reference)
	}
}
