package eval

import (
	"context"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/stat"
)

// harder draws a task in which age is the strongest feature: whoever is older is likelier positive. The model knows the law; within a
// band of ages the rows are alike, so that its area under the ROC curve is lower there by nature, in every band. The prior knows nothing.
func harder(n int) (*Truth, *Scores, *Scores) {
	r := stat.NewRand(21)
	age := assay.Column{Name: "age", Type: assay.TypeInteger, Floats: make([]float64, n)}
	t := &Truth{Task: assay.Binary, Classes: []string{"no", "yes"}, Positive: 1, Columns: assay.Frame{age}}
	model, prior := &Scores{Name: "model"}, &Scores{Name: "prior"}
	for i := range n {
		age.Floats[i] = float64(20 + r.Intn(60))
		x := r.Normal()
		p := 1 / (1 + math.Exp(-(0.15*(age.Floats[i]-50) + 0.8*x)))
		var y int32
		if r.Float64() < p {
			y = 1
		}
		t.Class = append(t.Class, y)
		model.Proba, prior.Proba = append(model.Proba, 1-p, p), append(prior.Proba, 0.5, 0.5)
	}
	return t, model, prior
}

func verdictsOf(e assay.Evaluation) map[string]assay.Verdict {
	out := map[string]assay.Verdict{}
	for _, s := range e.Slices {
		out[s.Name] = s.Verdict
	}
	return out
}

// A band that is harder by nature passes: the model is the best there is. The gap is there to be read, and does not decide unless
// somebody says so.
func TestHarderSlicePasses(t *testing.T) {
	truth, model, prior := harder(6000)
	o := Options{Metrics: []string{"roc_auc_score", "log_loss"}, Slices: []string{"age: 20-34, 35-49, 50-64, 65+"}}
	e, err := Evaluate(context.Background(), truth, model, prior, o)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range e.Slices {
		if s.Verdict != assay.Pass || s.Reason != "" {
			t.Errorf("%s is %s (%s)", s.Name, s.Verdict, s.Reason)
		}
		if gap := s.Metrics[0].Gap; !(gap.Hi < 0) || !(s.Metrics[0].PValue < 0.05) {
			t.Errorf("the gap of %s is %v, p %v: the band is no harder, and the test shows nothing", s.Name, gap, s.Metrics[0].PValue)
		}
		if !(s.Gain.Lo > 0) || s.Reference.Value != 0.5 {
			t.Errorf("%s gains %v over %v", s.Name, *s.Gain, *s.Reference)
		}
	}
	if e.SliceRule != "baseline" {
		t.Errorf("the rule is %q", e.SliceRule)
	}
	o.SliceRule, o.SliceMargin = AgainstRest, 0.01
	if e, err = Evaluate(context.Background(), truth, model, prior, o); err != nil {
		t.Fatal(err)
	}
	for name, v := range verdictsOf(e) {
		if v != assay.Fail {
			t.Errorf("against the rest %s is %s", name, v)
		}
	}
}

// A slice in which the answers are the wrong way round is worse than the baseline and worse than the model in production, and fails
// against either; the other slices do not.
func TestBadSliceFails(t *testing.T) {
	truth, model, prior := harder(15000)
	production := &Scores{Name: "production", Proba: slices.Clone(model.Proba)}
	for i, age := range truth.Columns[0].Floats {
		if age >= 65 {
			model.Proba[2*i], model.Proba[2*i+1] = model.Proba[2*i+1], model.Proba[2*i]
		}
	}
	for _, primary := range []string{"roc_auc_score", "log_loss", "f1_score", "average_precision_score", "accuracy_score"} {
		o := Options{Metrics: []string{primary}, Slices: []string{"age: 20-34, 35-49, 50-64, 65+"}, Replicates: 300, Correction: stat.BH, SliceMargin: 0.01}
		e, err := Evaluate(context.Background(), truth, model, prior, o)
		if err != nil {
			t.Fatal(err)
		}
		got := verdictsOf(e)
		if got["age 65+"] != assay.Fail {
			t.Errorf("%s: against the baseline the bad slice is %s", primary, got["age 65+"])
		}
		if primary != "f1_score" && got["age 50-64"] != assay.Pass {
			t.Errorf("%s: against the baseline a good slice is %s", primary, got["age 50-64"])
		}
		c, err := Compare(context.Background(), truth, model, production, 0, o)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range c.Slices {
			want, reason := assay.Pass, "" // identical answers: not worse
			if s.Name == "age 65+" {
				want, reason = assay.Fail, "worse than the other model on the same rows"
			}
			if s.Verdict != want || s.Reason != reason {
				t.Errorf("%s: against production %s is %s (%s), difference %v", primary, s.Name, s.Verdict, s.Reason, s.Difference)
			}
		}
	}
}

// A slice can be better than the baseline and still too bad: that is what a limit is for. Its direction is the metric's.
func TestSliceLimit(t *testing.T) {
	truth, model, prior := harder(6000)
	for _, x := range []struct {
		metric string
		limit  float64
		want   assay.Verdict
	}{{"roc_auc_score", 0.6, assay.Pass}, {"roc_auc_score", 0.85, assay.Fail}, {"log_loss", 0.69, assay.Pass}, {"log_loss", 0.3, assay.Fail}} {
		e, err := Evaluate(context.Background(), truth, model, prior, Options{Metrics: []string{x.metric}, Slices: []string{"age: 35-49"}, SliceLimit: &x.limit})
		if err != nil {
			t.Fatal(err)
		}
		s := e.Slices[0]
		if s.Verdict != x.want || x.want == assay.Fail != strings.Contains(s.Reason, "than the limit") {
			t.Errorf("%s %v within %v is %s (%s)", x.metric, s.Metrics[0].Estimate, x.limit, s.Verdict, s.Reason)
		}
	}
}

// Few rows, a class that hardly occurs and a gain that could be anything are undetermined, each with its reason.
func TestUndeterminedSlices(t *testing.T) {
	truth, a, b := simulated(assay.Binary, 400, 2, 8)
	for i, g := range truth.Columns.Column("group").Codes {
		if g == 1 {
			a.Proba[2*i], a.Proba[2*i+1] = b.Proba[2*i+1], b.Proba[2*i]
		}
		if g == 2 && i > 40 {
			truth.Class[i] = 0
		}
	}
	e, err := Evaluate(context.Background(), truth, a, b, Options{Metrics: []string{"roc_auc_score"}, Slices: []string{"group", "age: 18-20"}, SliceMargin: 0.02})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string][2]string{
		"group = y": {"fail", "worse than the baseline on the same rows"}, "group = z": {"undetermined", "fewer than 5 rows of a class"},
		"age 18-20": {"undetermined", "fewer than 30 rows"},
	}
	for _, s := range e.Slices {
		if w, ok := want[s.Name]; ok && (string(s.Verdict) != w[0] || s.Reason != w[1]) {
			t.Errorf("%s is %s (%s); want %v", s.Name, s.Verdict, s.Reason, w)
		}
	}
	_, err = Evaluate(context.Background(), truth, a, b, Options{Metrics: []string{"roc_auc_score"}, Slices: []string{"group"}, SliceRule: AgainstRest})
	if err == nil || !strings.Contains(err.Error(), "without a margin") {
		t.Errorf("%v", err)
	}
}

// With many slices of nothing but chance, at most about 2.5 % of the evaluations hold any failing slice: neither against a baseline
// that is as good, nor against the rest.
func TestSliceVerdictsAreNotNoise(t *testing.T) {
	wrong, worse := 0, 0
	const sets = 200
	for seed := range uint64(sets) {
		truth, a, b := simulated(assay.Binary, 600, 2, 1000+2*seed)
		o := Options{Metrics: []string{"log_loss"}, Slices: []string{"group", "age: 18-29, 30-44, 45-59, 60+"}, SliceRule: AgainstRest, SliceMargin: 1e-9}
		fails := func() int {
			e, err := Evaluate(context.Background(), truth, a, b, o)
			if err != nil {
				t.Fatal(err)
			}
			if slices.ContainsFunc(e.Slices, func(s assay.Slice) bool { return s.Verdict == assay.Fail }) {
				return 1
			}
			return 0
		}
		worse += fails()
		r := stat.NewRand(seed)
		for i := range truth.Class { // which of the two answers is whose is decided by a coin
			if r.Float64() < 0.5 {
				a.Proba[2*i], b.Proba[2*i] = b.Proba[2*i], a.Proba[2*i]
				a.Proba[2*i+1], b.Proba[2*i+1] = b.Proba[2*i+1], a.Proba[2*i+1]
			}
		}
		o.SliceRule, o.SliceMargin = AgainstReference, 0
		wrong += fails()
	}
	// Two-sided tests at 5 % of which only one side fails: 2.5 % of 200 is 5; 13 is four standard deviations above.
	if wrong > 13 || worse > 13 {
		t.Errorf("of %d evaluations without any difference %d and %d name a failing slice", sets, wrong, worse)
	}
}

// The p-value of a limit by an interval agrees with the interval.
func TestAtLeast(t *testing.T) {
	e := assay.Estimate{Value: -0.1, Lo: -0.3, Hi: 0, Level: 0.95, Method: "x"}
	if p := atLeast(e, 0); math.Abs(p-0.05) > 1e-12 {
		t.Errorf("at the upper end p is %v", p)
	}
	if p := atLeast(e, -0.3); math.Abs(p-0.05) > 1e-12 {
		t.Errorf("at the lower end p is %v", p)
	}
	if p := atLeast(e, -0.1); p != 1 {
		t.Errorf("at the value p is %v", p)
	}
	if p := atLeast(assay.Point(1, "none", 3), 0); !math.IsNaN(p) {
		t.Errorf("without an interval p is %v", p)
	}
	if p := atLeast(assay.Estimate{Level: 0.95}, 0); p != 1 {
		t.Errorf("of nothing but zeros p is %v", p)
	}
}
