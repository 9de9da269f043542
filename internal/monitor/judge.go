package monitor

import (
	"cmp"
	"context"
	"fmt"
	"hash/fnv"
	"math"
	"math/bits"
	"slices"
	"strconv"
	"strings"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/stat"
)

// A Watch holds windows against the references of a plan. It is for one goroutine at a time.
type Watch struct {
	plan     assay.Monitor
	sides    map[string]*Document // by scope
	levels   stat.Levels
	nulls    map[nullKey]map[stat.DriftScore]*stat.Null
	features map[string]*Feature // by scope and column
	spans    map[string]*spans   // by scope: stretches of time of the reference; nil: rows are independent
	varies   map[string]*variation

	joint     *together  // nil: no test looks at all columns together
	estimator *Estimator // nil: performance is not estimated before labels come
}

type nullKey struct {
	scope, column string
	rows          int64
}

// Open makes a watch of a plan; document returns the bytes of a reference.
func Open(plan assay.Monitor, document func(assay.Digest) ([]byte, error)) (*Watch, error) {
	w := &Watch{
		plan: plan, sides: map[string]*Document{}, nulls: map[nullKey]map[stat.DriftScore]*stat.Null{}, features: map[string]*Feature{},
		spans: map[string]*spans{}, varies: map[string]*variation{},
	}
	scopes := map[string]string{ReferenceFeatures: ScopeInput, ReferencePredictions: ScopePrediction, ReferenceLabels: ScopeLabel}
	var sample []byte
	for _, r := range plan.References {
		b, err := document(r.Document)
		if err != nil {
			return nil, err
		}
		if r.Name == ReferenceEstimator {
			if w.estimator, err = readEstimator(b); err != nil {
				return nil, err
			}
			continue
		}
		if r.Name == ReferenceSample {
			sample = b
			continue
		}
		d, err := ReadDocument(b)
		if err != nil {
			return nil, err
		}
		scope := scopes[r.Name]
		d.before(plan.Budget.BlockSeconds)
		w.sides[scope], w.spans[scope] = d, d.spans(length(plan))
		for i := range d.Features {
			w.features[scope+"/"+d.Features[i].Name] = &d.Features[i]
		}
	}
	if w.sides[ScopeInput] == nil {
		return nil, assay.Errorf(assay.Invalid, "the plan has no reference of the features").Try("assay monitor plan")
	}
	w.levels = stat.Levels{Windows: plan.Budget.WindowsPerYear, Window: plan.Budget.Level, Test: plan.Budget.Level / float64(max(1, tests(plan.Signals)))}
	if sample != nil {
		var err error
		if w.joint, err = openSample(sample, w.sides[ScopeInput], plan, w.levels.Test); err != nil {
			return nil, err
		}
	}
	return w, nil
}

// tests is how many signals of a plan have a p-value in every window.
func tests(signals []assay.SignalPlan) (n int) {
	for _, s := range signals {
		if s.Scope != ScopeLabel && s.Scope != ScopeTraffic {
			n++
		}
	}
	return n
}

// InputsOnly leaves of a plan what Traffic.InputsOnly judges.
func InputsOnly(p assay.Monitor) assay.Monitor {
	p.Signals = slices.DeleteFunc(slices.Clone(p.Signals), func(s assay.SignalPlan) bool { return s.Scope != ScopeInput && s.Scope != ScopeTraffic })
	return p
}

// Plan is what the watch follows.
func (w *Watch) Plan() assay.Monitor { return w.plan }

// Reference returns the frozen reference of a scope, or nil.
func (w *Watch) Reference(scope string) *Document { return w.sides[scope] }

// A held window is what was counted of it, by scope.
type held struct {
	rows    int64
	counts  map[string]Counts // by scope and column
	log     *outcomes         // nil: the window is not of a log
	silence silence           // what it means that there are no rows
	skew    *assay.Skew       // training rows that came back; nil: none was looked for
	events  func(ctx context.Context, s assay.SignalPlan, x assay.Signal) (assay.Signal, error)
	joint   func(ctx context.Context, s assay.SignalPlan, x assay.Signal) (assay.Signal, error)

	inputsOnly bool
}

// streaks remember how many windows in a row each signal of a plan moved.
type streaks []int

// judge holds a window against the references: all signals of the plan in its order but those of labels, what moved by contribution, and the verdict. unjudged are
// how many windows in a row each signal could not be judged: one is passed over, and more end a streak, for what lies so far apart is not in a row.
func (w *Watch) judge(ctx context.Context, h held, before streaks, unjudged []int) (signals []assay.Signal, ranking []assay.Cause, verdict assay.Verdict, err error) {
	var p []float64
	var at []int
	for i, s := range w.plan.Signals {
		if s.Scope == ScopeLabel || s.Scope == ScopeTraffic && s.Kind != KindVolume && h.log == nil { // what became of requests only their log knows
			continue
		}
		if h.inputsOnly && s.Scope != ScopeInput && s.Scope != ScopeTraffic {
			continue
		}
		x, err := w.signal(ctx, i, h)
		if err != nil {
			return nil, nil, "", err
		}
		signals, p, at = append(signals, x), append(p, float64(x.PValue)), append(at, i)
	}
	adjusted := stat.Adjust(p, stat.Correction(corrections[w.plan.Budget.Correction]))
	alarm, judged := false, false
	for i := range signals {
		x, s := &signals[i], w.plan.Signals[at[i]]
		x.Adjusted = assay.Number(adjusted[i])
		if x.Verdict == "" {
			x.Verdict = assay.Pass
			switch trifle := !(x.Effect.Value >= float64(s.Floor)) && !math.IsNaN(float64(s.Floor)); {
			case adjusted[i] > w.plan.Budget.Level || math.IsNaN(adjusted[i]):
			case trifle:
				x.Message = small
			default:
				x.Verdict = assay.Fail
			}
			if (x.Scope == ScopeTraffic || (x.Scope == ScopeJoint || x.Kind == KindChange || x.Kind == KindSkew) && x.Message != small) && x.Verdict == assay.Pass {
				x.Message = "" // it says what would be an alarm
			}
		}
		if x.Verdict != assay.Undetermined {
			unjudged[at[i]] = 0
		} else if unjudged[at[i]]++; unjudged[at[i]] > 1 {
			before[at[i]] = 0
		}
		switch x.Verdict {
		case assay.Fail:
			before[at[i]]++
			x.Streak = before[at[i]]
			alarm = alarm || x.Streak >= s.Persist
			if x.Streak < s.Persist && x.Scope != ScopeTraffic {
				waits := fmt.Sprintf("moved in %d of the %d windows in a row that make an alarm", x.Streak, s.Persist)
				if x.Message != "" {
					waits = x.Message + "; " + waits
				}
				x.Message = waits
			}
		case assay.Pass:
			before[at[i]] = 0
		}
		f := w.features[x.Scope+"/"+x.Column]
		if (x.Kind == KindDistribution || f != nil && (f.Type == assay.TypeJSON || f.empty())) && x.Verdict != assay.Undetermined { // nested columns have no distribution, nor have those without a value in training
			judged = true
		}
	}
	switch {
	case alarm:
		verdict = assay.Fail
	case judged:
		verdict = assay.Pass
	default:
		verdict = assay.Undetermined
	}
	return signals, w.rank(signals, at), verdict, nil
}

// small is what is said of a change that is certain and no alarm.
const small = "certain, and smaller than the floor"

// corrections are the names of evidence for those of stat.
var corrections = map[string]string{"benjamini_hochberg": string(stat.BH), "benjamini_yekutieli": string(stat.BY), "holm": string(stat.Holm), "bonferroni": string(stat.Bonferroni)}

// signal runs one test on a window. The verdict is left open where the p-value of all signals decides.
func (w *Watch) signal(ctx context.Context, i int, h held) (assay.Signal, error) {
	s := w.plan.Signals[i]
	nan := assay.Number(math.NaN())
	x := assay.Signal{
		Scope: s.Scope, Kind: s.Kind, Column: s.Column, Test: s.Test, Statistic: nan, PValue: nan, Adjusted: nan, Threshold: s.Threshold, N: h.rows, Floor: s.Floor,
		Effect: assay.Undefined("not an effect", h.rows),
	}
	switch s.Scope {
	case ScopeTraffic:
		if s.Kind != KindVolume {
			return unanswered(x, s, h), nil
		}
		x.Statistic, x.Verdict = assay.Number(h.rows), assay.Pass
		x.Effect = assay.Undefined("a count of rows", h.rows)
		if float64(h.rows) < float64(s.Threshold) {
			if x.Message = h.silence.why; h.silence.alarm {
				x.Verdict = assay.Fail
			}
		}
		return x, nil
	case ScopeJoint:
		if h.rows < s.MinRows {
			return few(x, s), nil
		}
		if h.joint == nil {
			x.Verdict, x.Message = assay.Undetermined, "needs the rows of the window"
			return x, nil
		}
		return h.joint(ctx, s, x)
	}
	if s.Kind == KindSkew {
		return skewSignal(x, s, h.skew), nil
	}
	if s.Kind == KindChange {
		switch {
		case h.rows < s.MinRows:
			return few(x, s), nil
		case h.events == nil:
			x.Verdict, x.Message = assay.Undetermined, "needs the rows of the window in their order"
			return x, nil
		}
		return h.events(ctx, s, x)
	}
	f := w.features[s.Scope+"/"+s.Column]
	c, ok := h.counts[s.Scope+"/"+s.Column]
	if f == nil || !ok {
		x.Verdict, x.Message = assay.Undetermined, "was not counted"
		return x, nil
	}
	if s.Kind == KindDistribution {
		return w.distribution(ctx, s, f, c, x)
	}
	return w.share(s, f, c, x)
}

// few says that a signal has too few rows, or requests, to be judged; one it needs whatever the plan says.
func few(x assay.Signal, s assay.SignalPlan) assay.Signal {
	x.Verdict = assay.Undetermined
	x.Message = fmt.Sprintf("%s rows; at least %s are needed", assay.FormatCount(x.N), assay.FormatCount(max(1, s.MinRows)))
	x.Effect = assay.Undefined("too few rows", x.N)
	return x
}

// distribution compares the values that rows had, where they had one.
func (w *Watch) distribution(ctx context.Context, s assay.SignalPlan, f *Feature, c Counts, x assay.Signal) (assay.Signal, error) {
	x.N, x.Reference = c.Values(), f.Counts.Values()
	if x.N < max(1, s.MinRows) {
		return few(x, s), nil
	}
	reference, window := floats(f.Counts.Cells), floats(c.Cells)
	score := scoreOf(s)
	nulls, err := w.null(ctx, s, f, x.N)
	if err != nil {
		return x, err
	}
	v := score.Of(reference, window, f.Edges)
	x.Statistic, x.PValue = assay.Number(v), assay.Number(nulls[score].P(v))
	x.Threshold = assay.Number(nulls[score].Threshold(w.levels.Test))
	mean, sd := nulls[stat.DriftJS].Evidence()
	if math.IsNaN(mean) {
		mean, sd = chance(2, float64(x.Reference), float64(x.N))
	}
	x.Effect = effect(reference, window, mean, sd)
	return x, nil
}

// scoreOf is the score that a test of a distribution computes.
func scoreOf(s assay.SignalPlan) stat.DriftScore {
	return stat.DriftScore(strings.ReplaceAll(s.Test, "_", "-"))
}

// null is the distribution of each score of a column, and that of the Jensen-Shannon distance, in windows of so many rows without drift: all tests of a
// column look at the same drawn windows. The number of rows is rounded down by less than 2 percent, on the safe side, so that windows of about
// one size share it.
func (w *Watch) null(ctx context.Context, s assay.SignalPlan, f *Feature, rows int64) (map[stat.DriftScore]*stat.Null, error) {
	if shift := bits.Len64(uint64(rows)) - 7; shift > 0 {
		rows = rows >> shift << shift
	}
	key := nullKey{s.Scope, s.Column, rows}
	if n, ok := w.nulls[key]; ok {
		return n, nil
	}
	b := w.plan.Budget
	name := fnv.New64a()
	fmt.Fprintf(name, "%s/%s/%s", s.Scope, s.Kind, s.Column)
	spec := stat.NullSpec{
		Reference: floats(f.Counts.Cells), Rows: rows, Edges: f.Edges, Scores: []stat.DriftScore{stat.DriftJS},
		Seed: b.Seed, Stream: []uint64{name.Sum64()}, Draws: b.Replicates,
	}
	for _, o := range w.plan.Signals {
		if o.Scope == s.Scope && o.Column == s.Column && o.Kind == KindDistribution && !slices.Contains(spec.Scores, scoreOf(o)) {
			spec.Scores = append(spec.Scores, scoreOf(o))
		}
	}
	v, err := w.variation(s.Scope, f)
	if err != nil {
		return nil, err
	}
	if spec.Window = f.withUnseen(f.onceShare()); v != nil {
		spec.Stretches, spec.Parts, spec.Window = v.cells, v.spans.parts, v.window
	}
	drawn, err := stat.NewNulls(ctx, spec)
	if err != nil {
		return nil, err
	}
	out := map[stat.DriftScore]*stat.Null{}
	for _, n := range drawn {
		out[n.Score] = n
	}
	w.nulls[key] = out
	return out, nil
}

// variation is by how much a column of a reference differs between stretches of time; nil where rows are independent.
func (w *Watch) variation(scope string, f *Feature) (*variation, error) {
	name := scope + "/" + f.Name
	v, ok := w.varies[name]
	if !ok {
		var err error
		if v, err = f.variation(w.spans[scope]); err != nil {
			return nil, err
		}
		w.varies[name] = v
	}
	return v, nil
}

// share compares how many rows have a property: chance is exact where rows are independent, as the beta-binomial distribution given the reference, or by
// Fisher's test. With the former one row more counts against each reference, so that a first such row is as surprising as it should be and no more. Where
// stretches of time differ, the rows of the reference count as the fewer that would let the share differ as much: with the former the share of a window has a
// beta distribution of that variance.
func (w *Watch) share(s assay.SignalPlan, f *Feature, c Counts, x assay.Signal) (assay.Signal, error) {
	with, n := property(s.Kind, f, c)
	refWith, refN := property(s.Kind, f, f.Counts)
	v, err := w.variation(s.Scope, f)
	if err != nil {
		return x, err
	}
	if s.Kind == KindUnseen {
		window := f.withUnseen(f.onceShare())
		if v != nil {
			window = v.window
		}
		if window != nil {
			refWith = int64(math.Round(window[f.Categories.Unseen()]))
		}
	}
	x.N, x.Reference = n, refN
	if n < max(1, s.MinRows) {
		return few(x, s), nil
	}
	scale := 1.0
	if v != nil {
		scale = v.scale(s.Kind, f)
	}
	a, b := float64(refWith)*scale, float64(refN-refWith)*scale
	var p float64
	switch both := s.Kind == KindMissing; { // fewer is a change too
	case s.Test == TestFisher:
		side := stat.Greater
		if both {
			side = stat.TwoSided
		}
		p = fisher(float64(with), float64(n-with), a, b, scale, side)
	default:
		p = stat.BetaBinomialTail(with, n, a+1, math.Max(b, 0.5))
		if both {
			p = math.Min(1, 2*math.Min(p, stat.BetaBinomialTail(n-with, n, b+1, math.Max(a, 0.5))))
		}
	}
	x.Statistic, x.PValue = assay.Number(float64(with)/float64(n)), assay.Number(p)
	mean, sd := chance(2, a+b, float64(n))
	x.Effect = effect([]float64{b, a}, []float64{float64(n - with), float64(with)}, mean, sd)
	if f.empty() {
		x.Message = "no row of the reference has a value: nothing else of the column can be judged"
	}
	return x, nil
}

// fisher is Fisher's test of a window against a reference whose rows count as fewer; a window of stretches that differ counts as no more rows than those.
func fisher(with, without, a, b, scale float64, side stat.Alternative) float64 {
	if part := (a + b) / (with + without); scale < 1 && part < 1 {
		with, without = with*part, without*part
	}
	whole := func(v float64) int64 { return int64(math.Round(v)) }
	return stat.Fisher(whole(with), whole(without), whole(a), whole(b), side).P
}

// property counts the rows that have what a kind of signal looks for, and those that could.
func property(kind string, f *Feature, c Counts) (with, n int64) {
	switch kind {
	case KindMissing:
		return c.Missing + c.NaN, c.Rows()
	case KindType:
		return c.TypeErrors, c.Rows()
	case KindUnseen:
		return c.Cells[f.Categories.Unseen()], c.Values()
	case KindRange:
		return c.Cells[0] + c.Cells[len(c.Cells)-1] + c.PosInf + c.NegInf, c.Values() + c.PosInf + c.NegInf
	}
	return 0, 0
}

// rank orders what moved by its contribution: the square of the effect, weighed by what the column is to the model. Squared distances of columns add up where they
// have nothing to do with each other; so all columns together contribute what is beyond the columns that moved by themselves.
func (w *Watch) rank(signals []assay.Signal, at []int) []assay.Cause {
	out := []assay.Cause{}
	total, alone := 0.0, 0.0
	for i, x := range signals {
		if x.Verdict == assay.Fail && x.Scope == ScopeInput && x.Kind == KindDistribution && !(i > 0 && again(signals[i-1], x)) {
			alone += x.Effect.Value * x.Effect.Value
		}
	}
	for i, x := range signals {
		if x.Verdict != assay.Fail || i > 0 && again(signals[i-1], x) {
			continue
		}
		size := 1.0
		if x.Scope == ScopeJoint {
			size = math.Max(0, x.Effect.Value*x.Effect.Value-alone)
		} else if x.Effect.Defined() {
			size = w.plan.Signals[at[i]].Weight * x.Effect.Value * x.Effect.Value
		}
		total += size
		message := say(x)
		if f := w.features[x.Scope+"/"+x.Column]; f != nil && f.empty() {
			message += "; in the reference in all of them"
		}
		out = append(out, assay.Cause{Scope: x.Scope, Kind: x.Kind, Column: x.Column, Contribution: size, Message: message})
	}
	for i := range out {
		if total > 0 {
			out[i].Contribution /= total
		} else {
			out[i].Contribution = 1 / float64(len(out))
		}
	}
	slices.SortStableFunc(out, func(a, b assay.Cause) int { return cmp.Compare(b.Contribution, a.Contribution) })
	return out
}

// again reports whether a signal that moved says of another test what the signal before it, which moved too, has said.
func again(before, x assay.Signal) bool {
	return before.Verdict == assay.Fail && before.Scope == x.Scope && before.Kind == x.Kind && before.Column == x.Column && x.Column != ""
}

// say tells a signal in words.
func say(x assay.Signal) string {
	what := map[string]string{
		KindDistribution: "how often each value comes", KindMissing: "missing values", KindType: "values of another type", KindUnseen: "values never seen before", KindRange: "values outside the range of the reference",
	}[x.Kind]
	switch {
	case x.Scope == ScopeTraffic, x.Kind == KindSkew:
		return x.Message
	case x.Scope == ScopeJoint:
		return "all columns together: " + x.Message
	case x.Kind == KindChange:
		what := "the mean"
		if x.Test == TestKSWIN {
			what = "how often each value comes"
		}
		out := fmt.Sprintf("%s: %s changes within the window by %s (Cohen's w), p %s", x.Column, what, x.Effect, chanceOf(float64(x.PValue)))
		if x.Message != "" {
			out += "; " + x.Message
		}
		return out
	case x.Kind == KindDistribution:
		return fmt.Sprintf("%s: %s changed by %s (Cohen's w), p %s", x.Column, what, x.Effect, chanceOf(float64(x.PValue)))
	}
	return fmt.Sprintf("%s: %s in %s of rows, p %s", x.Column, what, roughly(float64(x.Statistic)), chanceOf(float64(x.PValue)))
}

// roughly is a share in percent, to two digits; one near to all of them to a tenth of a percent.
func roughly(share float64) string {
	v := 100 * share
	if v < 99.5 {
		return strconv.FormatFloat(v, 'g', 2, 64) + " %"
	}
	return strings.TrimSuffix(strconv.FormatFloat(v, 'f', 1, 64), ".0") + " %"
}

func chanceOf(p float64) string {
	if p < 0.0001 {
		return "< 0.0001"
	}
	return "= " + assay.FormatNumber(p, math.NaN())
}

// Forget drops the calibrations that windows share, as a new watch of the plan would have none.
func (w *Watch) Forget() {
	clear(w.nulls)
	clear(w.varies)
	if w.joint != nil {
		clear(w.joint.nulls)
		clear(w.joint.parts)
	}
}
