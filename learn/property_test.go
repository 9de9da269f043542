package learn

import (
	"context"
	"math"
	"testing"

	"github.com/assay-ml/assay"
)

// TestLBFGSFindsNewtonsMinimum holds the solver for many coefficients against the one for few.
func TestLBFGSFindsNewtonsMinimum(t *testing.T) {
	x, y, _ := mixed(500)
	for _, classes := range []int{2, 3} {
		spec := Spec{Target: Target{Classes: make([]string, classes)}, Categorical: []string{"code"}}
		j := &job{ctx: context.Background(), spec: spec, data: Data{X: x}, threads: 2, params: params{"standardize": true}}
		in, err := j.linearInput(true)
		if err != nil {
			t.Fatal(err)
		}
		p := &logisticProblem{x: in.x, y: labelsFor(spec, y), scores: classes, lambda: 1, intercept: true}
		if classes == 2 {
			p.scores = 1
		}
		newton, converged, err := p.solve(context.Background(), 100)
		if err != nil || !converged {
			t.Fatal(converged, err)
		}
		other, converged, err := p.solveLBFGS(context.Background(), 2000)
		if err != nil || !converged {
			t.Fatal(converged, err)
		}
		for i := range newton {
			if math.Abs(newton[i]-other[i]) > 1e-4 {
				t.Errorf("%d classes: coefficient %d is %v by Newton's method and %v by L-BFGS", classes, i, newton[i], other[i])
			}
		}
	}
}

// TestElasticNetIsOptimal checks the conditions that the minimum, and nothing else, fulfils.
func TestElasticNetIsOptimal(t *testing.T) {
	x, _, v := mixed(400)
	j := &job{ctx: context.Background(), spec: Spec{Categorical: []string{"code"}}, data: Data{X: x}, threads: 2, params: params{"standardize": true}}
	in, err := j.linearInput(true)
	if err != nil {
		t.Fatal(err)
	}
	p := newLinearProblem(in.x, v, nil, true)
	for _, alpha := range []float64{0.001, 0.1, 10} {
		for _, ratio := range []float64{0, 0.5, 1} {
			beta, converged, err := p.elasticNet(context.Background(), alpha, ratio, 100000)
			if err != nil || !converged {
				t.Fatal(converged, err)
			}
			for k := range p.size {
				slope := p.xy[k]
				for i := range p.size {
					slope -= p.gram[k*p.size+i] * beta[i]
				}
				slope = slope/p.total - alpha*(1-ratio)*beta[k]
				switch limit := alpha * ratio; {
				case beta[k] == 0 && math.Abs(slope) > limit+1e-6, beta[k] > 0 && math.Abs(slope-limit) > 1e-6, beta[k] < 0 && math.Abs(slope+limit) > 1e-6:
					t.Errorf("alpha %v, ratio %v: coefficient %d is %v where the slope is %v", alpha, ratio, k, beta[k], slope)
				}
			}
		}
	}
}

// TestSameBytesAtAnyThreadCount covers every learner that writes a file.
func TestSameBytesAtAnyThreadCount(t *testing.T) {
	x, y, v := mixed(1500)
	for name, spec := range equalityCases() {
		var first string
		for _, threads := range []int{1, 2, 8} {
			spec.Threads = threads
			m, err := Fit(context.Background(), spec, Data{X: x, Labels: labelsFor(spec, y), Values: v})
			if err != nil {
				t.Fatal(name, err)
			}
			b, err := m.ONNX()
			if err != nil {
				t.Fatal(name, err)
			}
			if threads == 1 {
				first = string(b)
			} else if string(b) != first {
				t.Errorf("%s: the file differs at %d threads", name, threads)
			}
		}
	}
}

func TestLearnersTable(t *testing.T) {
	seen := map[string]bool{}
	for _, l := range Learners() {
		if seen[l.Name] || l.Doc == "" || len(l.Tasks) == 0 {
			t.Errorf("learner %q: twice, or without a sentence or a task", l.Name)
		}
		seen[l.Name] = true
		for _, p := range l.Params {
			if got, ok := p.accept(p.Default); !ok || got != p.Default || p.Doc == "" {
				t.Errorf("%s: parameter %s does not accept its own default %v, or has no sentence", l.Name, p.Name, p.Default)
			}
		}
	}
	if _, ok := LookupLearner("prior"); !ok || len(Operators()) < 60 {
		t.Errorf("%d operators", len(Operators()))
	}
	var problems assay.Problems
	l, _ := LookupLearner("ridge")
	l.resolve(map[string]any{"alpha": "1"}, &problems)
	mustSay(t, problems.Err(assay.Invalid, "x"), assay.Invalid, "alpha is 1, it must be a number")
}
