package metric

import (
	"encoding/json"
	"math"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/assaytest"
)

// registryCase is one data set of testdata/registry.json or orders.json, with the peer's value of each metric.
type registryCase struct {
	Task     assay.Task
	Positive int
	Classes  int
	Weights  []float64
	Truth    []int32
	Labels   []int32
	Proba    []float64
	Target   []float64
	Values   []float64
	Groups   []int32
	Want     map[string]float64
}

func (c registryCase) input() Input {
	return Input{
		Task: c.Task, Classes: []string{"a", "b", "c", "d"}[:c.Classes], Positive: c.Positive, Truth: c.Truth, Labels: c.Labels,
		Proba: c.Proba, Target: c.Target, Values: c.Values, Groups: c.Groups, Weights: c.Weights,
	}
}

func registryCases(t testing.TB) ([]registryCase, assaytest.Tolerance) {
	t.Helper()
	var file struct {
		Header struct{ Tolerance assaytest.Tolerance }
		Cases  []registryCase
	}
	var all []registryCase
	for _, name := range []string{"registry.json", "orders.json"} {
		b, err := os.ReadFile("testdata/" + name)
		if err != nil {
			t.Fatal(err)
		}
		file.Cases = nil
		if err := json.Unmarshal(b, &file); err != nil {
			t.Fatal(err)
		}
		all = append(all, file.Cases...)
	}
	return all, file.Header.Tolerance
}

// TestScoreIsThePeers holds every metric of the registry, but the group metrics and the calibration errors that have no peer, against
// scikit-learn on one data set a task.
func TestScoreIsThePeers(t *testing.T) {
	cases, tol := registryCases(t)
	checked := map[string]bool{}
	for _, c := range cases {
		for name, want := range c.Want {
			got, err := Score(name, c.input())
			// The peer warns of samples without a positive, and of as many places as classes, too.
			if err != nil || !tol.Near(got.Value, want) || got.Defined() == (strings.HasSuffix(name, "_samples") || name == "top_k_accuracy_score_5") {
				t.Errorf("%s of %s (positive %d, weights %v): got %v, %v, want %v", name, c.Task, c.Positive, c.Weights != nil, got, err, want)
			}
			checked[string(c.Task)+" "+name] = true
		}
	}
	for _, d := range All() {
		for _, task := range d.Tasks {
			if !checked[string(task)+" "+d.Name] && d.Input != NeedGroups && !strings.Contains(d.Name, "calibration_error") {
				t.Errorf("%s of a %s task is held against nothing", d.Name, task)
			}
		}
	}
}

func TestOneColumnIsTheProbabilityOfThePositiveClass(t *testing.T) {
	cases, tol := registryCases(t)
	for _, c := range cases {
		if c.Task != assay.Binary {
			continue
		}
		in := c.input()
		in.Proba = nil
		for i := range c.Truth {
			in.Proba = append(in.Proba, c.Proba[2*i+c.Positive])
		}
		for _, name := range []string{"roc_auc_score", "average_precision_score", "log_loss", "brier_score_loss", "d2_brier_score"} {
			if got, err := Score(name, in); err != nil || !tol.Near(got.Value, c.Want[name]) {
				t.Errorf("%s (positive %d): got %v, %v, want %v", name, c.Positive, got, err, c.Want[name])
			}
		}
	}
}

func TestRegistry(t *testing.T) {
	seen := map[string]bool{}
	for _, d := range All() {
		if seen[d.Name] || seen[d.ID] {
			t.Errorf("%s or %s is there twice", d.Name, d.ID)
		}
		seen[d.Name], seen[d.ID] = true, true
		if got, ok := Lookup(d.Name); !ok || got.ID != d.ID {
			t.Errorf("Lookup(%q) = %v, %v", d.Name, got.ID, ok)
		}
		base := strings.TrimSuffix(strings.TrimSuffix(strings.TrimSuffix(strings.TrimSuffix(d.Name, "_macro"), "_micro"), "_weighted"), "_samples")
		switch {
		case strings.HasSuffix(base, "_score") && !d.Higher, (strings.HasSuffix(base, "_loss") || strings.HasSuffix(base, "_error") || strings.HasSuffix(base, "_deviance")) && d.Higher:
			t.Errorf("%s: the name and the direction disagree", d.Name)
		case d.Name == "" || !strings.Contains(d.ID, "@") || len(d.Tasks) == 0 || d.Doc == "" || d.compute.score == nil:
			t.Errorf("%+v is incomplete", d)
		}
	}
	if len(seen) < 2*70 {
		t.Errorf("the registry holds %d names and ids", len(seen))
	}
}

func TestNearest(t *testing.T) {
	for typo, want := range map[string]string{
		"f1": "f1_score", "roc_auc": "roc_auc_score", "auc": "roc_auc_score", "roc_auc_scor": "roc_auc_score", "rmse": "root_mean_squared_error",
		"neg_log_loss": "log_loss", "brier": "brier_score_loss", "acuracy_score": "accuracy_score", "ROC-AUC": "roc_auc_score", "ECE": "expected_calibration_error",
		"precision_recall_auc": "average_precision_score", "accuracy": "accuracy_score", "f1_macro": "f1_score_macro",
	} {
		if got := Nearest(typo); len(got) == 0 || got[0] != want {
			t.Errorf("Nearest(%q) = %q, want %s first", typo, got, want)
		}
	}
	if got := Nearest("zzzzzzzzzz"); len(got) != 0 {
		t.Errorf("nothing is like zzzzzzzzzz, but %q", got)
	}
	_, err := Score("f1_scor", Input{})
	if assay.CodeOf(err) != assay.NotFound || !strings.Contains(assay.HintOf(err), "did you mean f1_score") {
		t.Errorf("%v, hint %q", err, assay.HintOf(err))
	}
}

func TestScoreRefuses(t *testing.T) {
	two := []string{"no", "yes"}
	good := Input{Task: assay.Binary, Classes: two, Positive: 1, Truth: []int32{0, 1, 1}, Labels: []int32{0, 1, 0}, Proba: []float64{0.1, 0.8, 0.4}, Groups: []int32{0, 0, 1}}
	with := func(f func(*Input)) Input { in := good; f(&in); return in }
	for _, c := range []struct {
		name string
		in   Input
		says string
	}{
		{"f1_score", with(func(in *Input) { in.Task = assay.Multiclass; in.Classes = []string{"a", "b", "c"} }), "f1_score_macro"},
		{"r2_score", good, "not defined for a binary task"},
		{"f1_score", Input{Task: assay.Regression}, "mean_squared_error"},
		{"f1_score", Input{Task: "guessing"}, "none of binary"},
		{"f1_score", with(func(in *Input) { in.Labels = nil }), "labels is missing"},
		{"log_loss", with(func(in *Input) { in.Proba = nil }), "probabilities is missing"},
		{"f1_score", with(func(in *Input) { in.Classes = nil }), "2 classes"},
		{"f1_score", with(func(in *Input) { in.Positive = 2 }), "positive class 2"},
		{"f1_score", with(func(in *Input) { in.Labels = []int32{0, 1} }), "prediction 2"},
		{"f1_score", with(func(in *Input) { in.Labels = []int32{0, 1, 2} }), "class 2 of 2"},
		{"f1_score", with(func(in *Input) { in.Labels = []int32{0, -1, 1} }), "class -1 of 2"},
		{"f1_score", with(func(in *Input) { in.Weights = []float64{1, -1, 1} }), "weight of row 1"},
		{"f1_score", with(func(in *Input) { in.Weights = []float64{1, math.NaN(), 1} }), "weight of row 1"},
		{"f1_score", with(func(in *Input) { in.Weights = []float64{0, 0, 0} }), "all weights are 0"},
		{"f1_score", with(func(in *Input) { in.Weights = []float64{1} }), "weights 1"},
		{"log_loss", with(func(in *Input) { in.Proba = []float64{0.1, 1.5, 0.2} }), "outside [0,1]"},
		{"log_loss", with(func(in *Input) { in.Proba = []float64{0.1, math.NaN(), 0.2} }), "outside [0,1]"},
		{"log_loss", with(func(in *Input) { in.Proba = []float64{0.1} }), "1 cells"},
		{"roc_auc_score", with(func(in *Input) { in.Proba = []float64{0.1, math.Inf(1), 0.2} }), "+Inf"},
		{"roc_auc_score", with(func(in *Input) { in.Truth = nil }), "truth is missing"},
		{"demographic_parity_difference", with(func(in *Input) { in.Groups = []int32{0, -1, 0} }), "has no group"},
		{"demographic_parity_difference", with(func(in *Input) { in.Groups = nil }), "group of each row is missing"},
		{"r2_score", Input{Task: assay.Regression, Target: []float64{1, math.NaN()}, Values: []float64{1, 2}}, "NaN"},
		{"r2_score", Input{Task: assay.Regression, Target: []float64{1, 2}, Values: []float64{1}}, "prediction 1"},
		{"r2_score", Input{Task: assay.Regression}, "predicted values"},
	} {
		v, err := Score(c.name, c.in)
		if err == nil || !strings.Contains(err.Error(), c.says) || assay.CodeOf(err) != assay.Invalid {
			t.Errorf("%s: got %v and error %q (%s), which does not say %q", c.name, v, err, assay.CodeOf(err), c.says)
		}
	}
}

func TestOneClassIsMarked(t *testing.T) {
	in := Input{Task: assay.Binary, Classes: []string{"no", "yes"}, Positive: 1, Truth: []int32{0, 0, 0}, Labels: []int32{0, 0, 0}, Proba: []float64{0.1, 0.2, 0.3}}
	for name, want := range map[string]float64{
		"roc_auc_score": math.NaN(), "average_precision_score": 0, "f1_score": 0, "recall_score": 0, "precision_score": 0, "matthews_corrcoef": 0,
		"cohen_kappa_score": math.NaN(), "positive_likelihood_ratio": math.NaN(), "d2_log_loss_score": math.NaN(), "false_negative_rate": 0,
	} {
		v, err := Score(name, in)
		if err != nil || v.Defined() || !(assaytest.Tolerance{}).Near(v.Value, want) {
			t.Errorf("%s of one class is %v, %v; want %v, marked", name, v, err, want)
		}
	}
}

func TestDefinitionsFit(t *testing.T) {
	for _, task := range []assay.Task{assay.Binary, assay.Multiclass, assay.Multilabel, assay.Regression} {
		defs := For(task)
		if len(defs) < 10 {
			t.Errorf("%s has %d metrics", task, len(defs))
		}
		if slices.ContainsFunc(defs, func(d Definition) bool { return !d.Fits(task) }) {
			t.Errorf("For(%s) holds a metric of another task", task)
		}
	}
}
