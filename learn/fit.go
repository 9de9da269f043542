package learn

import (
	"context"
	"fmt"
	"math"
	"runtime"
	"slices"
	"sort"

	"github.com/assay-ml/assay"
)

// A Model is what Fit made. It is immutable and safe for use by several goroutines.
type Model struct {
	spec     Spec
	bytes    []byte
	program  *Program
	baseline *Baseline
	notes    []string
}

// ONNX returns the model file. A baseline whose answer depends on a row's position or on chance has none: a server sees rows one by
// one, so the error is Unimplemented.
func (m *Model) ONNX() ([]byte, error) {
	if m.bytes == nil {
		return nil, assay.Errorf(assay.Unimplemented, "%s cannot be written as onnx: its answer depends on a row's position, not on the row", m.spec.Learner)
	}
	return append([]byte(nil), m.bytes...), nil
}

// Predict runs the model on the rows of a frame, as Program.Predict does.
func (m *Model) Predict(x assay.Frame) (Prediction, error) {
	if m.baseline != nil {
		return m.baseline.Predict(x.Rows())
	}
	return m.program.Predict(x)
}

// Spec returns what was fitted.
func (m *Model) Spec() Spec { return m.spec }

// Notes returns what a user should know about the fit: an optimiser that did not converge, columns without information.
func (m *Model) Notes() []string { return append([]string(nil), m.notes...) }

// A job is one checked request to fit.
type job struct {
	ctx     context.Context
	spec    Spec
	data    Data
	params  params
	weights []float64 // with the class weights; nil when all are 1
	threads int
	notes   []string
}

// Fit fits the learner that the specification names. Errors list every problem: Invalid ones an unknown learner or parameter, a value
// out of range, labels or weights of the wrong length or value, a class without a row; Rejected ones, alone, features that nothing can be
// learned from, such as infinite ones. Cancelling the context stops it.
func Fit(ctx context.Context, spec Spec, data Data) (*Model, error) {
	l, ok := LookupLearner(spec.Learner)
	if !ok {
		return nil, assay.Errorf(assay.Invalid, "%s", unknownLearner(spec.Learner))
	}
	var problems assay.Problems
	j := &job{ctx: ctx, spec: spec, data: data, threads: spec.Threads}
	if j.threads <= 0 {
		j.threads = runtime.GOMAXPROCS(0)
	}
	j.params = l.resolve(spec.Params, &problems)
	j.check(l, &problems)
	if err := problems.Err(assay.Invalid, "cannot fit "+spec.Learner); err != nil {
		return nil, err
	}
	j.weights = j.rowWeights()
	if l.Baseline() {
		return j.fitBaseline()
	}
	m, err := l.fit(j)
	if err != nil {
		return nil, err
	}
	m.spec, m.notes = spec, j.notes
	return m, ctx.Err()
}

// Check adds what is wrong with the learner, its task and its parameters, whatever the data are; Fit reports the same.
func (s Spec) Check(problems *assay.Problems) {
	l, ok := LookupLearner(s.Learner)
	if !ok {
		problems.Add("%s", unknownLearner(s.Learner))
		return
	}
	l.resolve(s.Params, problems)
	l.fits(s.Task, problems)
}

func unknownLearner(name string) string {
	var names []string
	for _, l := range Learners() {
		names = append(names, l.Name)
	}
	return fmt.Sprintf("learner %q does not exist%s", name, didYouMean(name, names))
}

func (l Learner) fits(task assay.Task, problems *assay.Problems) {
	if !slices.Contains(l.Tasks, task) {
		problems.Add("%s does not do task %q", l.Name, task)
	}
}

// finish encodes a graph and loads it back: a model predicts with what was written, not with what was meant.
func (j *job) finish(b *graphBuilder) (*Model, error) {
	m, err := b.model(j.spec)
	if err != nil {
		return nil, err
	}
	bytes := m.encode()
	program, err := LoadONNX(bytes)
	if err != nil {
		return nil, assay.Errorf(assay.Internal, "the model that was written does not load: %w", err)
	}
	return &Model{bytes: bytes, program: program}, nil
}

func (j *job) check(l Learner, problems *assay.Problems) {
	s := j.spec
	l.fits(s.Task, problems)
	checkPrepare(s.Prepare, problems)
	if s.Calibrate != "" && (!contains([]string{"sigmoid", "isotonic"}, s.Calibrate) || s.Task != assay.Binary || l.Baseline()) {
		problems.Add("calibrate is %q; it must be sigmoid or isotonic, and is for binary learners only", s.Calibrate)
	}
	n := j.data.X.Rows()
	if n == 0 {
		n = max(len(j.data.Labels), len(j.data.Values))
	}
	if n == 0 {
		problems.Add("there are no rows")
		return
	}
	if len(j.data.X) == 0 && !l.Baseline() {
		problems.Add("there are no columns")
	}
	seen := map[string]bool{}
	for i := range j.data.X {
		c := &j.data.X[i]
		if c.Len() != n {
			problems.Add("column %q has %d rows of %d", c.Name, c.Len(), n)
		}
		if c.Name == s.Target.Name {
			problems.Add("column %q is the target and cannot be a feature", c.Name)
		}
		if seen[c.Name] || c.Name == "" {
			problems.Add("column name %q is empty or occurs twice", c.Name)
		}
		seen[c.Name] = true
	}
	j.checkTarget(n, problems)
	checkWeights(j.data.Weights, n, problems)
}

func checkPrepare(p Prepare, problems *assay.Problems) {
	for _, o := range []struct {
		name, value string
		choices     []string
	}{
		{"impute", p.Impute, []string{"", "median", "mean", "most_frequent", "zero"}}, {"unknown", p.Unknown, []string{"", "ignore", "rare", "error"}},
	} {
		if !contains(o.choices, o.value) {
			problems.Add("%s is %q, it must be one of %q%s", o.name, o.value, o.choices[1:], didYouMean(o.value, o.choices[1:]))
		}
	}
	if p.RareBelow < 0 || p.MaxLevels < 0 {
		problems.Add("rare_below is %d and max_levels is %d, neither may be negative", p.RareBelow, p.MaxLevels)
	}
}

func (j *job) checkTarget(n int, problems *assay.Problems) {
	s := j.spec
	if !s.Task.Classifies() {
		if len(j.data.Values) != n {
			problems.Add("there are %d target values for %d rows", len(j.data.Values), n)
		}
		bad := 0
		for _, v := range j.data.Values {
			if v != v || math.IsInf(v, 0) {
				bad++
			}
		}
		if bad > 0 {
			problems.Add("target %q is missing or infinite in %d rows", s.Target.Name, bad)
		}
		return
	}
	k := len(s.Target.Classes)
	if s.Task == assay.Binary && k != 2 || k < 2 {
		problems.Add("task %s has %d classes %q", s.Task, k, s.Target.Classes)
	}
	if s.Target.Positive != "" && !contains(s.Target.Classes, s.Target.Positive) {
		problems.Add("positive class %q is none of the classes %q", s.Target.Positive, s.Target.Classes)
	}
	if len(j.data.Labels) != n {
		problems.Add("there are %d labels for %d rows", len(j.data.Labels), n)
	}
	count, bad := make([]int, k), 0
	for _, y := range j.data.Labels {
		if y < 0 || int(y) >= k {
			bad++
			continue
		}
		count[y]++
	}
	if bad > 0 {
		problems.Add("target %q is missing or none of the classes in %d rows", s.Target.Name, bad)
	}
	l, _ := LookupLearner(s.Learner)
	for i, c := range count {
		if c == 0 && !l.Baseline() {
			problems.Add("no training row has class %q of target %q", s.Target.Classes[i], s.Target.Name)
		}
	}
	names := make([]string, 0, len(s.ClassWeight.By))
	for name := range s.ClassWeight.By {
		names = append(names, name)
	}
	sort.Strings(names)
	for _, name := range names {
		if w := s.ClassWeight.By[name]; !contains(s.Target.Classes, name) || !(w >= 0) || math.IsInf(w, 0) {
			problems.Add("class weight %v of %q: not a class, or not a non-negative number%s", w, name, didYouMean(name, s.Target.Classes))
		}
	}
}

func checkWeights(w []float64, n int, problems *assay.Problems) {
	if w == nil {
		return
	}
	if len(w) != n {
		problems.Add("there are %d weights for %d rows", len(w), n)
	}
	bad, sum := 0, 0.0
	for _, v := range w {
		if !(v >= 0) || math.IsInf(v, 0) {
			bad++
		}
		sum += v
	}
	if bad > 0 {
		problems.Add("%d weights are negative, missing or infinite", bad)
	} else if sum == 0 {
		problems.Add("the weights are all 0")
	}
}

// rowWeights multiplies row weights by class weights. Balanced weights count rows, whatever their weight, as scikit-learn does.
func (j *job) rowWeights() []float64 {
	cw := j.spec.ClassWeight
	if !j.spec.Task.Classifies() || !cw.Balanced && len(cw.By) == 0 {
		return j.data.Weights
	}
	k := len(j.spec.Target.Classes)
	count := make([]float64, k)
	for _, y := range j.data.Labels {
		count[y]++
	}
	by := make([]float64, k)
	for c := range by {
		by[c] = 1
		if w, ok := cw.By[j.spec.Target.Classes[c]]; ok {
			by[c] = w
		}
		if cw.Balanced && count[c] > 0 {
			by[c] *= float64(len(j.data.Labels)) / (float64(k) * count[c])
		}
	}
	out := make([]float64, len(j.data.Labels))
	for i, y := range j.data.Labels {
		out[i] = by[y]
		if j.data.Weights != nil {
			out[i] *= j.data.Weights[i]
		}
	}
	return out
}
