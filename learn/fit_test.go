package learn

import (
	"context"
	"math"
	"strings"
	"testing"

	"github.com/assay-ml/assay"
)

// mustSay fails unless the error has the code and says every one of the phrases.
func mustSay(t *testing.T, err error, code assay.Code, phrases ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error; it should say %q", phrases)
	}
	if got := assay.CodeOf(err); got != code {
		t.Errorf("code %s, want %s: %v", got, code, err)
	}
	for _, p := range phrases {
		if !strings.Contains(err.Error(), p) {
			t.Errorf("error does not say %q:\n%v", p, err)
		}
	}
}

func numeric(name string, v ...float64) assay.Column {
	return assay.Column{Name: name, Type: assay.TypeNumber, Floats: v}
}

func TestFitNamesEveryProblem(t *testing.T) {
	target := Target{Name: "y", Classes: []string{"a", "b"}, Positive: "c"}
	spec := Spec{
		Learner: "logistic_regression", Task: assay.Binary, Target: target, Params: map[string]any{"c": -1, "standardise": true, "max_iterations": 1.5},
		Prepare: Prepare{Impute: "meen", Unknown: "x", RareBelow: -1}, ClassWeight: ClassWeight{By: map[string]float64{"A": 2, "b": -1}},
	}
	x := assay.Frame{numeric("y", 1, 2, 3), numeric("x", 1, 2), numeric("x", 1, 2, 3)}
	_, err := Fit(context.Background(), spec, Data{X: x, Labels: []int32{0, 0, 7, -1}, Weights: []float64{1, -1, math.NaN()}})
	mustSay(t, err, assay.Invalid,
		"c is -1, it must be a number in (0, 1e+30)", `no parameter "standardise", did you mean "standardize"?`, "max_iterations is 1.5, it must be an integer",
		`impute is "meen"`, `did you mean "mean"?`, `unknown is "x"`, "rare_below is -1", `column "y" is the target`, `column "x" has 2 rows of 3`,
		`"x" is empty or occurs twice`, `positive class "c"`, "4 labels for 3 rows", "none of the classes in 2 rows", `no training row has class "b"`,
		`class weight 2 of "A"`, `class weight -1 of "b"`, "2 weights are negative")

	_, err = Fit(context.Background(), Spec{Learner: "logistic_regresion"}, Data{})
	mustSay(t, err, assay.Invalid, `did you mean "logistic_regression"?`)
	_, err = Fit(context.Background(), Spec{Learner: "ridge", Task: assay.Binary}, Data{})
	mustSay(t, err, assay.Invalid, `does not do task "binary"`, "no rows")
	inf := assay.Frame{numeric("x", 1, math.Inf(1), 1e300), numeric("z", 1, 2, 3)}
	_, err = Fit(context.Background(), Spec{Learner: "ridge", Task: assay.Regression, Categorical: []string{"w"}}, Data{X: inf, Values: []float64{1, 2, 3}})
	mustSay(t, err, assay.Invalid, `column "x" has 2 values that are infinite`, `categorical column "w" does not exist`)
	_, err = Fit(context.Background(), Spec{Learner: "ridge", Task: assay.Regression}, Data{X: inf, Values: []float64{1, 2, 3}})
	mustSay(t, err, assay.Rejected, `column "x" has 2 values that are infinite`)
	_, err = Fit(context.Background(), Spec{Learner: "ridge", Task: assay.Regression}, Data{X: inf[1:], Values: []float64{1, math.NaN(), 3}})
	mustSay(t, err, assay.Invalid, "missing or infinite in 1 rows")
}

// TestFitOnPoorTables fits every learner on tables that hold little: the answer is defined, finite, and the same again.
func TestFitOnPoorTables(t *testing.T) {
	nan := math.NaN()
	gone := assay.Column{Name: "gone", Type: assay.TypeString, Codes: []int32{-1, -1}}
	tables := map[string]assay.Frame{
		"constant":    {numeric("x", 5, 5)},
		"all missing": {numeric("x", nan, nan), gone},
		"huge":        {numeric("x", 3e38, -3e38)},
		"tiny":        {numeric("x", 1e-40, 2e-40)},
		"separable":   {numeric("x", 0, 1)},
	}
	for name, x := range tables {
		for _, l := range Learners() {
			for _, task := range l.Tasks {
				spec := Spec{Learner: l.Name, Task: task, Target: Target{Name: "y", Classes: []string{"a", "b"}}, Params: map[string]any{}}
				if task == assay.Multiclass {
					continue // needs three classes, the tables have two rows
				}
				if l.Name == "constant" {
					spec.Params["class"] = "b"
				}
				m, err := Fit(context.Background(), spec, Data{X: x, Labels: []int32{0, 1}, Values: []float64{1, 2}})
				if err != nil {
					t.Errorf("%s on %s: %v", l.Name, name, err)
					continue
				}
				p, err := m.Predict(x)
				if err != nil {
					t.Errorf("%s on %s: %v", l.Name, name, err)
					continue
				}
				for _, v := range append(p.Proba, p.Values...) {
					if math.IsNaN(v) || math.IsInf(v, 0) {
						t.Errorf("%s on %s predicts %v", l.Name, name, append(p.Proba, p.Values...))
						break
					}
				}
			}
		}
	}
}

func TestOneRow(t *testing.T) {
	for _, l := range Learners() {
		if l.Tasks[0] != assay.Regression {
			continue
		}
		spec := Spec{Learner: l.Name, Task: assay.Regression, Params: map[string]any{}}
		m, err := Fit(context.Background(), spec, Data{X: assay.Frame{numeric("x", 2)}, Values: []float64{7}})
		if err != nil {
			t.Fatal(l.Name, err)
		}
		p, err := m.Predict(assay.Frame{numeric("x", 100)})
		if err != nil || len(p.Values) != 1 || p.Values[0] != 7 {
			t.Errorf("%s fitted on one row of 7 predicts %v, %v", l.Name, p.Values, err)
		}
	}
}

func TestPredictNamesWhatDoesNotFit(t *testing.T) {
	x, y, _ := mixed(300)
	m, err := Fit(context.Background(), Spec{Learner: "logistic_regression", Task: assay.Binary, Target: Target{Classes: []string{"a", "b"}}, Prepare: Prepare{Unknown: "error"}}, Data{X: x, Labels: y})
	if err != nil {
		t.Fatal(err)
	}
	wrong := assay.Frame{numeric("amuont", 1), numeric("colour", 1), {Name: "stamp", Type: assay.TypeString, Codes: []int32{0}, Levels: []string{"x"}}}
	_, err = m.Predict(wrong)
	mustSay(t, err, assay.Invalid, `column "amount" is missing, did you mean "amuont"?`, `column "colour" holds numbers`, `column "stamp" holds strings`, `column "code" is missing`)
	_, err = m.Predict(unseen(20))
	mustSay(t, err, assay.Invalid, "was not seen in training", "OneHotEncoder")
	if p, err := m.Predict(x.Take(nil)); err != nil || p.Rows() != 0 {
		t.Errorf("no rows: %v, %v", p, err)
	}
}

func TestBaselinesOverTime(t *testing.T) {
	data := Data{Values: []float64{1, 2, 3, 4, 5}}
	for learner, want := range map[string][]float64{"last_value": {5, 5, 5}, "seasonal_naive": {4, 5, 4}} {
		spec := Spec{Learner: learner, Task: assay.Regression}
		if learner == "seasonal_naive" {
			spec.Params = map[string]any{"period": 2}
		}
		m, err := Fit(context.Background(), spec, data)
		if err != nil {
			t.Fatal(err)
		}
		p, err := m.baseline.Predict(3)
		if err != nil {
			t.Fatal(err)
		}
		for i, v := range want {
			if p.Values[i] != v {
				t.Errorf("%s predicts %v, want %v", learner, p.Values, want)
				break
			}
		}
	}
	_, err := Fit(context.Background(), Spec{Learner: "seasonal_naive", Task: assay.Regression, Params: map[string]any{"period": 6}}, data)
	mustSay(t, err, assay.Invalid, "a period of 6 rows is longer than the 5")
}

func TestStratifiedDraws(t *testing.T) {
	y := make([]int32, 1000)
	for i := range 300 {
		y[i] = 1
	}
	spec := Spec{Learner: "stratified", Task: assay.Binary, Target: Target{Classes: []string{"a", "b"}}, Seed: 3}
	m, err := Fit(context.Background(), spec, Data{Labels: y})
	if err != nil {
		t.Fatal(err)
	}
	long, err := m.baseline.Predict(20000)
	if err != nil {
		t.Fatal(err)
	}
	short, err := m.baseline.Predict(10)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for i, v := range long.Labels {
		n += int(v)
		if i < 10 && short.Labels[i] != v {
			t.Error("the first rows depend on how many follow")
		}
	}
	if n < 5700 || n > 6300 { // 4.6 standard deviations
		t.Errorf("%d of 20000 draws are the class of share 0.3", n)
	}
	if _, err := m.ONNX(); assay.CodeOf(err) != assay.Unimplemented {
		t.Errorf("a random baseline as onnx: %v", err)
	}
}
