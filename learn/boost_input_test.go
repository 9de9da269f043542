package learn

import (
	"context"
	"errors"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/assay-ml/assay"
)

func TestBoostingRefuses(t *testing.T) {
	nan, inf := math.NaN(), math.Inf(1)
	x := func(v ...float64) assay.Frame { return assay.Frame{{Name: "x", Type: assay.TypeNumber, Floats: v}} }
	two := BoostData{Features: x(1, 2), Target: []float64{0, 1}}
	binary := BoostParams{Objective: ObjectiveBinary}
	squared := BoostParams{Objective: ObjectiveSquared}
	with := func(p BoostParams, change func(*BoostParams)) BoostParams {
		change(&p)
		return p
	}
	for _, c := range []struct {
		name string
		d    BoostData
		p    BoostParams
		want []string
	}{
		{"nothing", BoostData{}, BoostParams{}, []string{`objective "" is not one of`, "no feature"}},
		{"no row", BoostData{Features: x()}, squared, []string{"no row"}},
		{"lengths", BoostData{Features: x(1, 2), Target: []float64{1}}, squared, []string{"target has 1 rows, the features have 2"}},
		{"ragged", BoostData{Features: append(x(1, 2), x(1)...), Target: []float64{1, 2}}, squared, []string{`column "x" has 1 rows, the first has 2`}},
		{"one class", BoostData{Features: x(1, 2), Target: []float64{1, 1}}, binary, []string{"class 0 of 2 has no row"}},
		{"class of weight 0", BoostData{Features: x(1, 2), Target: []float64{0, 1}, Weights: []float64{1, 0}}, binary, []string{"class 1 of 2 has no row"}},
		{"not a class", BoostData{Features: x(1, 2, 3, 4), Target: []float64{0, 1, 0.5, nan}}, binary, []string{"2 rows are not a class index 0 to 1"}},
		{"missing target", BoostData{Features: x(1, 2), Target: []float64{0, nan}}, squared, []string{"1 rows are not a number"}},
		{"infinite target", BoostData{Features: x(1, 2), Target: []float64{0, inf}}, squared, []string{"1 rows are not a number"}},
		{"infinite feature", BoostData{Features: x(1, inf, -inf, 1e39), Target: []float64{0, 1, 2, 3}}, squared, []string{`column "x": 3 values are infinite or beyond float32`}},
		{"negative count", BoostData{Features: x(1, 2), Target: []float64{0, -1}}, BoostParams{Objective: ObjectivePoisson}, []string{"1 rows are negative or not finite"}},
		{"no count", BoostData{Features: x(1, 2), Target: []float64{0, 0}}, BoostParams{Objective: ObjectivePoisson}, []string{"every row is 0"}},
		{"weights", BoostData{Features: x(1, 2), Target: []float64{0, 1}, Weights: []float64{-1, nan}}, squared, []string{"weights: 2 are negative or not finite"}},
		{"no weight", BoostData{Features: x(1, 2), Target: []float64{0, 1}, Weights: []float64{0, 0}}, squared, []string{"weights sum to 0"}},
		{"code", BoostData{Features: assay.Frame{{Name: "c", Codes: []int32{0, 2}, Levels: []string{"a", "b"}}}, Target: []float64{0, 1}}, squared, []string{`column "c": 1 codes outside -1 to 1`}},
		{"classes", two, with(squared, func(p *BoostParams) { p.Classes = 2; p.ClassWeights = []float64{1, 1} }), []string{"classes is 2 for objective squared", "class weights are set"}},
		{"class weights", two, with(binary, func(p *BoostParams) { p.ClassWeights = []float64{1, 0, 2} }), []string{"3 class weights for 2 classes", "the weight of class 1 is 0"}},
		{"quantile", two, BoostParams{Objective: ObjectiveQuantile, Quantile: 1}, []string{"quantile is 1"}},
		{"stray quantile", two, with(squared, func(p *BoostParams) { p.Quantile = 0.5 }), []string{"quantile is 0.5 for objective squared"}},
		{"every number", two, BoostParams{
			Objective: ObjectiveSquared, Trees: -1, LearningRate: nan, MaxLeafNodes: 1, MaxDepth: -1, MinSamplesLeaf: -1, MinChildHessian: -1,
			L2: inf, MinGain: nan, MaxBins: 256, RowFraction: 1.5, FeatureFraction: -1, Patience: -1, Threads: -1, Monotone: []int{2, 0},
		}, []string{
			"15 problems", "trees is -1", "learning_rate is NaN", "max_leaf_nodes is 1", "max_depth is -1", "min_samples_leaf is -1", "min_child_hessian is -1",
			"l2 is +Inf", "min_gain is NaN", "max_bins is 256", "row_fraction is 1.5", "feature_fraction is -1", "patience is -1", "threads is -1",
			"2 monotone constraints for 1 features", "feature 0 is 2",
		}},
		{
			"monotone category",
			BoostData{Features: assay.Frame{{Name: "c", Codes: []int32{0, 1}}}, Target: []float64{0, 1}},
			with(squared, func(p *BoostParams) { p.Monotone = []int{1} }),
			[]string{`column "c" is categorical and cannot`},
		},
		{"monotone classes", two, BoostParams{Objective: ObjectiveMulticlass, Classes: 2, Monotone: []int{1}}, []string{"do not apply to objective multiclass"}},
		{"patience", two, with(squared, func(p *BoostParams) { p.Patience = 3 }), []string{"no validation data"}},
		{"other columns", BoostData{Features: x(1, 2), Target: []float64{0, 1}, Validation: &BoostData{
			Features: assay.Frame{{Name: "z", Floats: []float64{1}}}, Target: []float64{inf},
		}}, squared, []string{`feature 0 is "x" in the training data and "z"`, "validation target: 1 rows"}},
	} {
		_, _, err := FitBoosting(context.Background(), c.d, c.p)
		if assay.CodeOf(err) != assay.Invalid {
			t.Errorf("%s: error %v, want one of code invalid", c.name, err)
			continue
		}
		for _, w := range c.want {
			if !strings.Contains(err.Error(), w) {
				t.Errorf("%s: error %q does not say %q", c.name, err, w)
			}
		}
	}
}

// Data that allow no split give the base score and nothing else.
func TestBoostingWithoutSplit(t *testing.T) {
	nan := math.NaN()
	many := make([]float64, 100)
	for i := range many {
		many[i] = float64(i)
	}
	same := slices.Repeat([]float64{7}, 100)
	for name, d := range map[string]BoostData{
		"one row":          {Features: assay.Frame{{Floats: []float64{3}}}, Target: []float64{7}},
		"constant target":  {Features: assay.Frame{{Floats: many}}, Target: same},
		"constant feature": {Features: assay.Frame{{Floats: same}}, Target: many},
		"all missing":      {Features: assay.Frame{{Floats: slices.Repeat([]float64{nan}, 100)}, {Codes: slices.Repeat([]int32{-1}, 100)}}, Target: many},
		"few rows":         {Features: assay.Frame{{Floats: many[:39]}}, Target: many[:39]},
	} {
		e, r := mustFit(t, d, BoostParams{Objective: ObjectiveSquared})
		if r.Stopped != "no split" || r.Iterations != 0 || len(e.Trees) != 1 || len(e.Trees[0].Nodes) != 1 || e.Trees[0].Nodes[0].Value != 0 {
			t.Errorf("%s: stopped by %q with %d trees", name, r.Stopped, len(e.Trees))
		}
		mean := 0.0
		for _, y := range d.Target {
			mean += y / float64(len(d.Target))
		}
		if math.Abs(e.Base[0]-mean) > 1e-12*mean {
			t.Errorf("%s: base %v, the mean is %v", name, e.Base[0], mean)
		}
	}
}

// Missing values that tell the target apart must be a split of their own, and a column of nothing else must not matter.
func TestBoostingMissing(t *testing.T) {
	n := 200
	d := BoostData{Features: assay.Frame{{Floats: make([]float64, n)}, {Floats: slices.Repeat([]float64{math.NaN()}, n)}}, Target: make([]float64, n)}
	for i := range n {
		d.Features[0].Floats[i] = float64(i % 10)
		if i%3 == 0 {
			d.Features[0].Floats[i], d.Target[i] = math.NaN(), 1
		}
	}
	e, _ := mustFit(t, d, BoostParams{Objective: ObjectiveSquared, Trees: 1, LearningRate: 1, MaxLeafNodes: 2})
	for i, s := range rawScores(e, d.Features) {
		if math.Abs(s-d.Target[i]) > 1e-9 {
			t.Fatalf("row %d: %v, want %v", i, s, d.Target[i])
		}
	}
}

// Two interleaved sets of categories must be told apart by one split, at any number of them, with the rare and the unseen to the right.
func TestBoostingCategories(t *testing.T) {
	for _, levels := range []int{2, 5, 100, 254, 255, 256, 1000, 1 << 20} {
		rows := min(levels, 1000) * 40
		d := BoostData{Features: assay.Frame{{Codes: make([]int32, rows)}}, Target: make([]float64, rows)}
		for i := range rows {
			c := i / 40 * (levels / min(levels, 1000))
			d.Features[0].Codes[i] = int32(c)
			d.Target[i] = float64(c / (levels / min(levels, 1000)) % 2)
		}
		e, _ := mustFit(t, d, BoostParams{Objective: ObjectiveSquared, Trees: 1, LearningRate: 1, MaxLeafNodes: 2})
		wrong := 0
		for i, s := range rawScores(e, d.Features) {
			if math.Abs(s-d.Target[i]) > 0.5 {
				wrong++
			}
		}
		// Beyond 255 categories those without a bin are one, of which a half is on the wrong side.
		if levels <= 255 && wrong > 0 || wrong > rows/2 {
			t.Errorf("%d categories: %d of %d rows are on the wrong side", levels, wrong, rows)
		}
		if e.Trees[0].Nodes[0].goesLeft(float64(levels + 5)) {
			t.Errorf("%d categories: an unseen one goes left", levels)
		}
	}
}

// Ten thousand columns, of which one matters.
func TestBoostingWide(t *testing.T) {
	d := BoostData{Target: make([]float64, 60)}
	for j := range 10_000 {
		c := assay.Column{Floats: make([]float64, 60)}
		for i := range c.Floats {
			c.Floats[i] = float64(i * (j + 7) % 61)
		}
		d.Features = append(d.Features, c)
	}
	for i := range d.Target {
		d.Target[i] = math.Min(1, math.Floor(d.Features[4321].Floats[i]/30))
	}
	e, _ := mustFit(t, d, BoostParams{Objective: ObjectiveSquared, Trees: 3, LearningRate: 1})
	for i, s := range rawScores(e, d.Features) {
		if math.Abs(s-d.Target[i]) > 0.5 {
			t.Fatalf("row %d: %v, want %v", i, s, d.Target[i])
		}
	}
}

func TestBoostingLimits(t *testing.T) {
	d, p := made(8, 5000, 3, 0.1).as(ObjectiveBinary)
	p.Trees, p.MaxDepth, p.MaxLeafNodes, p.MinSamplesLeaf = 5, 3, 7, 300
	e, r := mustFit(t, d, p)
	splits := 0
	for _, tree := range e.Trees {
		depth, rows := make([]int, len(tree.Nodes)), make([]int, len(tree.Nodes))
		leaves := 0
		for i, n := range tree.Nodes {
			if n.Left < 0 {
				leaves++
				continue
			}
			splits++
			depth[n.Left], depth[n.Right] = depth[i]+1, depth[i]+1
		}
		row := make([]float64, len(d.Features))
		for i := range d.Target {
			for j := range d.Features {
				row[j] = boostValue(&d.Features[j], i)
			}
			k := int32(0)
			for tree.Nodes[k].Left >= 0 {
				if n := &tree.Nodes[k]; n.goesLeft(row[n.Feature]) {
					k = n.Left
				} else {
					k = n.Right
				}
			}
			rows[k]++
		}
		for i, n := range tree.Nodes {
			if n.Left < 0 && rows[i] < 300 {
				t.Errorf("a leaf has %d rows, want at least 300", rows[i])
			}
		}
		if leaves > 7 || slices.Max(depth) > 3 {
			t.Errorf("%d leaves at depth %d, want at most 7 and 3", leaves, slices.Max(depth))
		}
	}
	counted := 0
	for _, n := range r.Splits {
		counted += n
	}
	if counted != splits {
		t.Errorf("the report counts %d splits, the trees have %d", counted, splits)
	}
}

// Class weights are row weights.
func TestBoostingClassWeights(t *testing.T) {
	d, p := made(9, 1000, 2, 0).as(ObjectiveBinary)
	p.Trees, p.ClassWeights = 5, []float64{1, 3}
	a, _ := mustFit(t, d, p)
	p.ClassWeights = nil
	d.Weights = make([]float64, 1000)
	for i, y := range d.Target {
		d.Weights[i] = 1 + 2*y
	}
	b, _ := mustFit(t, d, p)
	if !slices.Equal(rawScores(a, d.Features), rawScores(b, d.Features)) {
		t.Error("class weights 1 and 3 differ from row weights 1 and 3")
	}
}

func TestBoostingCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	d, p := made(9, 1000, 2, 0).as(ObjectiveBinary)
	if _, _, err := FitBoosting(ctx, d, p); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want the context's", err)
	}
}

// One tree of one split by hand: gradients ±1/2 around the mean, values by the mean of each side.
func TestBoostingByHand(t *testing.T) {
	d := BoostData{Features: assay.Frame{{Name: "x", Floats: []float64{1, 2, 3, 4}}}, Target: []float64{0, 0, 4, 4}}
	e, r := mustFit(t, d, BoostParams{Objective: ObjectiveSquared, Trees: 1, LearningRate: 0.5, MinSamplesLeaf: 1, MaxLeafNodes: 2, L2: 2})
	n := e.Trees[0].Nodes
	// Left: sum of gradients 4 over 2 rows + L2 2 is a step of -1; half of it by the learning rate. Gain: 16/4 + 16/4 - 0.
	if e.Base[0] != 2 || n[0].Threshold != 2.5 || n[1].Value != -0.5 || n[2].Value != 0.5 || r.Gain[0] != 8 || r.TrainingLoss != 1.125 {
		t.Errorf("base %v, nodes %+v, gain %v, loss %v", e.Base, n, r.Gain, r.TrainingLoss)
	}
}
