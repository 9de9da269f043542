package metric

import (
	"math"
	"strings"
	"testing"

	"github.com/assay-ml/assay"
)

// The range is what the sentence about the metric says.
func TestRangeIsDocumented(t *testing.T) {
	for _, d := range All() {
		for _, task := range d.Tasks {
			lo, hi := d.Range(task)
			said := map[string][2]float64{
				"In [0,1]": {0, 1}, "In (0,1]": {0, 1}, "In [-1,1]": {-1, 1}, "At most 1": {math.Inf(-1), 1}, "At least 0": {0, math.Inf(1)},
			}
			if d.Name == "brier_score_loss" {
				said = map[string][2]float64{"In [0,1]": {0, 1}}
				if task == assay.Multiclass {
					said = map[string][2]float64{"in [0,2]": {0, 2}}
				}
			}
			found := false
			for text, want := range said {
				if strings.Contains(d.Doc, text) {
					found = true
					if want != [2]float64{lo, hi} {
						t.Errorf("%s says %q and has the range %v, %v", d.Name, text, lo, hi)
					}
				}
			}
			if !found && (lo != 0 || !math.IsInf(hi, 1)) {
				t.Errorf("%s has the range %v, %v, which it does not say", d.Name, lo, hi)
			}
		}
	}
}

func TestCut(t *testing.T) {
	d, _ := Lookup("roc_auc_score")
	if e := d.Cut(assay.Binary, assay.Estimate{Value: 0.98, Lo: 0.9, Hi: 1.06}); e.Lo != 0.9 || e.Hi != 1 {
		t.Errorf("%v", e)
	}
	if e := d.Cut(assay.Binary, assay.Point(0.98, "none", 3)); e.HasInterval() {
		t.Errorf("%v", e)
	}
	d, _ = Lookup("log_loss")
	if e := d.Cut(assay.Binary, assay.Estimate{Value: 0.2, Lo: -0.1, Hi: 1.5}); e.Lo != 0 || e.Hi != 1.5 {
		t.Errorf("%v", e)
	}
}

func TestCutDifference(t *testing.T) {
	for _, c := range []struct {
		name     string
		task     assay.Task
		lo, hi   float64
		wantLo   float64
		wantHigh float64
	}{
		{"roc_auc_score", assay.Binary, -1.4, 1.2, -1, 1},
		{"roc_auc_score", assay.Binary, -0.4, 0.2, -0.4, 0.2},
		{"matthews_corrcoef", assay.Binary, -3, 2.5, -2, 2},
		{"brier_score_loss", assay.Multiclass, -3, 3, -2, 2},
		{"log_loss", assay.Binary, -30, 40, -30, 40},
		{"r2_score", assay.Regression, -30, 40, -30, 40},
	} {
		d, err := Find(c.name)
		if err != nil {
			t.Fatal(err)
		}
		got := d.CutDifference(c.task, assay.Estimate{Lo: c.lo, Hi: c.hi})
		if got.Lo != c.wantLo || got.Hi != c.wantHigh {
			t.Errorf("%s: [%v, %v]; want [%v, %v]", c.name, got.Lo, got.Hi, c.wantLo, c.wantHigh)
		}
	}
	d, _ := Find("accuracy_score")
	if got := d.CutDifference(assay.Binary, assay.Estimate{Lo: math.NaN(), Hi: math.NaN()}); !math.IsNaN(got.Lo) || !math.IsNaN(got.Hi) {
		t.Errorf("what has no interval became [%v, %v]", got.Lo, got.Hi)
	}
}
