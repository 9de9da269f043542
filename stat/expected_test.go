package stat_test

import (
	"fmt"
	"math"
	"testing"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/assaytest"
	"github.com/assay-ml/assay/stat"
)

func TestExpectedOracle(t *testing.T) {
	cases, tol := assaytest.Oracle(t, "stat/expected.json")
	for _, c := range cases {
		t.Run(c.ID, func(t *testing.T) {
			var predicted []bool
			into(t, c.Args["predicted"], &predicted)
			e, err := stat.NewExpected([][]float64{assaytest.Floats(t, c.Args["p"])}, predicted, assaytest.Floats(t, c.Args["score"]), stat.ExpectedOptions{Draws: 20})
			if err != nil {
				t.Fatal(err)
			}
			got := map[string]assay.Estimate{"accuracy": e.Accuracy, "precision": e.Precision, "recall": e.Recall, "specificity": e.Specificity, "f1": e.F1, "auc": e.AUC}
			want := fields(t, c.Value)
			for name := range want.raw {
				if !tol.Near(got[name].Value, want.float(name)) {
					t.Errorf("%s %v, want %v", name, got[name].Value, want.float(name))
				}
			}
		})
	}
}

// A scored population: the calibrated probability is a logistic function of a normal score.
func scored(n int, slope float64, stream ...uint64) (score, p []float64, predicted, label []bool) {
	r := stat.NewRand(51, stream...)
	for range n {
		s := r.Normal()
		q := 1 / (1 + math.Exp(0.8-slope*s))
		score, p = append(score, s), append(p, q)
		predicted, label = append(predicted, q > 0.4), append(label, r.Float64() < q)
	}
	return
}

func realised(t *testing.T, score []float64, predicted, label []bool) [4]float64 {
	t.Helper()
	var tp, fp, fn, right float64
	for i, y := range label {
		switch {
		case y && predicted[i]:
			tp++
			right++
		case y:
			fn++
		case predicted[i]:
			fp++
		default:
			right++
		}
	}
	d, err := stat.NewDeLong(label, score)
	if err != nil {
		t.Fatal(err)
	}
	return [4]float64{right / float64(len(label)), tp / (tp + fp), 2 * tp / (2*tp + fp + fn), d.AUC(0)}
}

// The interval holds what the labels show later.
func TestExpectedCovers(t *testing.T) {
	names := [4]string{"accuracy", "precision", "F1", "AUC"}
	for _, n := range []int{60, 300} {
		var covered [4]float64
		const sets = 250
		for set := range uint64(sets) {
			score, p, predicted, label := scored(n, 1.2, uint64(n), set)
			e, err := stat.NewExpected([][]float64{p}, predicted, score, stat.ExpectedOptions{Draws: 200, Seed: set})
			if err != nil {
				t.Fatal(err)
			}
			for i, v := range realised(t, score, predicted, label) {
				if est := [4]assay.Estimate{e.Accuracy, e.Precision, e.F1, e.AUC}[i]; est.Lo <= v && v <= est.Hi {
					covered[i]++
				}
			}
		}
		for i, k := range covered {
			if e := stat.Proportion(k, sets, 0.999, stat.Wilson); e.Lo > 0.97 || e.Hi < 0.94 {
				t.Errorf("%d rows: the interval of %s covers %s", n, names[i], e)
			}
		}
	}
}

// With a calibration from few rows its uncertainty has to be in the interval: refits on bootstrap replicates bring it there.
func TestExpectedHoldsTheUncertaintyOfTheCalibration(t *testing.T) {
	const sets, reference, window, bins = 120, 200, 500, 8
	bin := func(s float64) int { return min(bins-1, int(stat.NormalCDF(s)*bins)) }
	calibrate := func(score []float64, label []bool, rows func(int) int) (at [bins]float64) {
		var n, y [bins]float64
		for i := range score {
			k := rows(i)
			n[bin(score[k])]++
			if label[k] {
				y[bin(score[k])]++
			}
		}
		for b := range at {
			at[b] = (y[b] + 0.5) / (n[b] + 1)
		}
		return at
	}
	var without, with float64
	for set := range uint64(sets) {
		refScore, _, _, refLabel := scored(reference, 1.2, 1, set)
		score, _, predicted, label := scored(window, 1.2, 2, set)
		versions := [][]float64{}
		r := stat.NewRand(52, set)
		for b := range 40 {
			at := calibrate(refScore, refLabel, func(i int) int {
				if b == 0 {
					return i
				}
				return r.Intn(reference)
			})
			p := make([]float64, window)
			for i, s := range score {
				p[i] = at[bin(s)]
			}
			versions = append(versions, p)
		}
		truth := realised(t, score, predicted, label)[0]
		for _, c := range []struct {
			versions [][]float64
			covered  *float64
		}{{versions[:1], &without}, {versions, &with}} {
			e, err := stat.NewExpected(c.versions, predicted, nil, stat.ExpectedOptions{Draws: 200, Seed: set})
			if err != nil {
				t.Fatal(err)
			}
			if e.Accuracy.Lo <= truth && truth <= e.Accuracy.Hi {
				*c.covered++
			}
			if e.AUC.Defined() {
				t.Fatal("an area without scores")
			}
		}
	}
	if without/sets > 0.85 || with/sets < 0.9 {
		t.Errorf("covers %.3f without and %.3f with refitted calibrations", without/sets, with/sets)
	}
}

func TestExpectedRefuses(t *testing.T) {
	for name, err := range map[string]error{
		"no rows":     refused(stat.NewExpected([][]float64{{}}, nil, nil, stat.ExpectedOptions{})),
		"no versions": refused(stat.NewExpected(nil, []bool{true}, nil, stat.ExpectedOptions{})),
		"lengths":     refused(stat.NewExpected([][]float64{{0.5}}, []bool{true, false}, nil, stat.ExpectedOptions{})),
		"outside":     refused(stat.NewExpected([][]float64{{1.5}}, []bool{true}, nil, stat.ExpectedOptions{})),
		"NaN":         refused(stat.NewExpected([][]float64{{math.NaN()}}, []bool{true}, nil, stat.ExpectedOptions{})),
		"score":       refused(stat.NewExpected([][]float64{{0.5}}, []bool{true}, []float64{math.NaN()}, stat.ExpectedOptions{})),
		"draws":       refused(stat.NewExpected([][]float64{{0.5}}, []bool{true}, nil, stat.ExpectedOptions{Draws: 3})),
	} {
		if err == nil {
			t.Errorf("%s: estimated", name)
		}
	}
	e, err := stat.NewExpected([][]float64{{0.1, 0.2}}, []bool{false, false}, []float64{1, 2}, stat.ExpectedOptions{})
	if err != nil || e.Precision.Defined() || !e.Accuracy.Defined() || e.AUC.HasInterval() {
		t.Errorf("%+v, %v", e, err)
	}
}

func ExampleNewExpected() {
	score, p, predicted, _ := scored(1000, 1.2)
	e, err := stat.NewExpected([][]float64{p}, predicted, score, stat.ExpectedOptions{Seed: 1})
	if err != nil {
		panic(err)
	}
	fmt.Println("accuracy", e.Accuracy)
	fmt.Println("AUC", e.AUC)
	// Output:
	// accuracy 0.729 [0.705, 0.753]
	// AUC 0.785 [0.758, 0.811]
}

func BenchmarkExpected(b *testing.B) {
	score, p, predicted, _ := scored(10_000, 1.2)
	for b.Loop() {
		if _, err := stat.NewExpected([][]float64{p}, predicted, score, stat.ExpectedOptions{}); err != nil {
			b.Fatal(err)
		}
	}
}
