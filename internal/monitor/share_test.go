package monitor

import (
	"math"
	"testing"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/stat"
)

// TestShareTests: a plan has the test that settings choose for what it counts of rows, with the p-values of that test; and none that there is not.
func TestShareTests(t *testing.T) {
	edges, err := stat.FreezeEdges([]float64{1, 2, 3, 4}, stat.EdgeOptions{Cells: 2})
	if err != nil {
		t.Fatal(err)
	}
	f := Feature{Name: "x", Type: assay.TypeNumber, Edges: edges, Counts: Counts{Cells: make([]int64, edges.Cells()), Missing: 8, TypeErrors: 3}}
	f.Counts.Cells[1] = 192
	c := Counts{Cells: make([]int64, edges.Cells()), Missing: 9, TypeErrors: 6}
	c.Cells[1] = 91
	floor := 0.1
	p := map[string]assay.Number{}
	for _, name := range ShareTests() {
		o := Settings{EffectFloor: &floor, Shares: name}
		if err := o.check(); err != nil {
			t.Fatal(err)
		}
		for _, s := range o.signals(ScopeInput, f, map[string]float64{"x": 1}) {
			if s.Kind == KindDistribution {
				continue
			}
			if s.Test != name {
				t.Errorf("%s: the plan has %q", name, s.Test)
			}
			x, err := (&Watch{varies: map[string]*variation{}}).share(s, &f, c, assay.Signal{})
			if err != nil {
				t.Fatal(err)
			}
			p[name+" "+s.Kind] = x.PValue
		}
	}
	if want := stat.Fisher(9, 97, 8, 195, stat.TwoSided).P; math.Abs(float64(p["fisher_exact missing"])-want) > 1e-12 || !(want > 0.05 && want < 0.2) || p["fisher_exact missing"] == p["beta_binomial missing"] {
		t.Errorf("missing: %v, want %v", p, want)
	}
	if a, b := float64(p["fisher_exact type"]), float64(p["beta_binomial type"]); math.Abs(a-b) > 1e-9 || !(a > 0.01 && a < 0.1) {
		t.Errorf("of what only more is a change both have the same p-value: %v", p)
	}
	if p["fisher_exact range"] != 1 {
		t.Errorf("none in either: %v", p)
	}
	if err := (&Settings{Shares: "t_test"}).check(); err == nil {
		t.Error("a test that there is not")
	}
}
