package learn

import (
	"context"
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/assaytest"
	"github.com/assay-ml/assay/stat"
)

// made is a random table: numeric features (some with missing values), one categorical, and a target that depends on them.
func made(seed uint64, n, numeric int, missing float64) BoostData {
	r := stat.NewRand(seed, 99)
	d := BoostData{Target: make([]float64, n)}
	for j := range numeric {
		c := assay.Column{Name: fmt.Sprintf("x%d", j), Type: assay.TypeNumber, Floats: make([]float64, n)}
		for i := range c.Floats {
			v := r.Normal()
			d.Target[i] += math.Sin(v*float64(j+1)) * float64(numeric-j)
			if c.Floats[i] = v; r.Float64() < missing {
				c.Floats[i] = math.NaN()
				d.Target[i] += 0.5
			}
		}
		d.Features = append(d.Features, c)
	}
	c := assay.Column{Name: "category", Type: assay.TypeString, Codes: make([]int32, n)}
	for i := range c.Codes {
		c.Codes[i] = int32(r.Intn(41)) - 1
		d.Target[i] += float64(c.Codes[i] * 7 % 5)
	}
	d.Features = append(d.Features, c)
	for i := range d.Target {
		d.Target[i] += 0.3 * r.Normal()
	}
	return d
}

// as turns made's target into one of the objective.
func (d BoostData) as(objective string) (BoostData, BoostParams) {
	p := BoostParams{Objective: objective}
	y := make([]float64, len(d.Target))
	sorted := slices.Sorted(slices.Values(d.Target))
	for i, v := range d.Target {
		switch objective {
		case ObjectiveBinary:
			if v > sorted[len(sorted)/2] {
				y[i] = 1
			}
		case ObjectiveMulticlass:
			p.Classes = 3
			for k := 1; k < 3; k++ {
				if v > sorted[k*len(sorted)/3] {
					y[i] = float64(k)
				}
			}
		case ObjectivePoisson:
			y[i] = math.Floor(math.Abs(v))
		default:
			y[i] = v
		}
	}
	if objective == ObjectiveQuantile {
		p.Quantile = 0.8
	}
	d.Target = y
	return d, p
}

var objectives = []string{ObjectiveBinary, ObjectiveMulticlass, ObjectiveSquared, ObjectiveAbsolute, ObjectiveQuantile, ObjectivePoisson}

// The table is large enough that work is split between threads, in columns and in rows.
func TestBoostingThreads(t *testing.T) {
	for _, objective := range objectives {
		for _, numeric := range []int{3, 20} {
			d, p := made(1, 20_000, numeric, 0.1).as(objective)
			p.Trees, p.RowFraction, p.FeatureFraction, p.Seed = 4, 0.9, 0.8, 5
			v, _ := made(2, 3000, numeric, 0.1).as(objective)
			d.Validation = &v
			d.Weights = make([]float64, len(d.Target))
			for i := range d.Weights {
				d.Weights[i] = 0.5 + float64(i%7)/3
			}
			var first *Ensemble
			var report BoostReport
			for _, threads := range []int{1, 2, 3, 8}[:assaytest.Size(3, 4)] {
				p.Threads = threads
				e, r := mustFit(t, d, p)
				if first == nil {
					first, report = e, r
					continue
				}
				if diff := cmp.Diff(first, e); diff != "" {
					t.Fatalf("%s, %d features: %d threads differ from 1:\n%.2000s", objective, numeric, threads, diff)
				}
				if diff := cmp.Diff(report, r); diff != "" {
					t.Fatalf("%s, %d features: report of %d threads differs from that of 1:\n%s", objective, numeric, threads, diff)
				}
			}
		}
	}
}

// Every objective must beat its best constant by a wide margin, and every training loss must fall with more trees.
func TestBoostingLearns(t *testing.T) {
	for _, objective := range objectives {
		d, p := made(3, 4000, 3, 0.1).as(objective)
		v, _ := made(4, 4000, 3, 0.1).as(objective)
		d.Validation = &v
		p.Trees = 60
		_, r := mustFit(t, d, p)
		last := r.ValidationLoss[len(r.ValidationLoss)-1]
		t.Logf("%s: base %.4f, validation %.4f, training %.4f", objective, r.BaseLoss, last, r.TrainingLoss)
		if last > 0.6*r.BaseLoss {
			t.Errorf("%s: validation loss %.4f after %d trees, the base alone %.4f", objective, last, r.Grown, r.BaseLoss)
		}
		p.Trees = 20
		if _, few := mustFit(t, d, p); few.TrainingLoss <= r.TrainingLoss {
			t.Errorf("%s: training loss %.4f with 20 trees, %.4f with 60", objective, few.TrainingLoss, r.TrainingLoss)
		}
	}
}

// About the stated share of rows must lie below a quantile prediction.
func TestBoostingQuantileCoverage(t *testing.T) {
	noisy := func(seed uint64) BoostData {
		d := made(seed, 8000, 1, 0)
		r := stat.NewRand(seed, 3)
		for i, x := range d.Features[0].Floats {
			d.Target[i] = 2*x + (1+math.Abs(x))*r.Normal()
		}
		return d
	}
	for _, q := range []float64{0.1, 0.5, 0.9} {
		d, v := noisy(6), noisy(7)
		e, _ := mustFit(t, d, BoostParams{Objective: ObjectiveQuantile, Quantile: q, MaxLeafNodes: 4})
		below := 0.0
		for i, s := range rawScores(e, v.Features) {
			if v.Target[i] <= s {
				below++
			}
		}
		t.Logf("quantile %v: %.3f of new rows", q, below/8000)
		if got := below / 8000; math.Abs(got-q) > 0.02 {
			t.Errorf("quantile %v: %.3f of new rows are below the prediction", q, got)
		}
	}
}

func TestBoostingMonotone(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		objective := rapid.SampledFrom([]string{ObjectiveBinary, ObjectiveSquared, ObjectiveAbsolute, ObjectiveQuantile, ObjectivePoisson}).Draw(t, "objective")
		seed := rapid.Uint64().Draw(t, "seed")
		d, p := made(seed, 400, 3, 0.05).as(objective)
		sign := rapid.SampledFrom([]int{-1, 1}).Draw(t, "sign")
		p.Monotone = []int{sign, 0, -sign, 0}
		p.Trees, p.MinSamplesLeaf, p.LearningRate = 8, 5, 0.5
		p.L2 = rapid.SampledFrom([]float64{0, 1}).Draw(t, "l2")
		e, _, err := FitBoosting(context.Background(), d, p)
		if err != nil {
			t.Fatal(err)
		}
		row, out := make([]float64, 4), make([]float64, 1)
		for i := 0; i < 400; i += 20 {
			for _, j := range []int{0, 2} {
				for k := range row {
					row[k] = boostValue(&d.Features[k], i)
				}
				last := math.Inf(-p.Monotone[j])
				for x := -3.0; x <= 3; x += 0.05 {
					row[j] = x
					e.Score(row, out)
					if (out[0]-last)*float64(p.Monotone[j]) < 0 {
						t.Fatalf("feature %d, constraint %d: score %v after %v at %v", j, p.Monotone[j], out[0], last, x)
					}
					last = out[0]
				}
			}
		}
	})
}

// A permutation of the columns permutes the features of the splits and changes nothing else, where no two splits tie.
func TestBoostingColumnOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		seed := rapid.Uint64().Draw(t, "seed")
		d := made(seed, 600, 4, 0.1)
		p := BoostParams{Objective: ObjectiveSquared, Trees: 5}
		order := rapid.Permutation([]int{0, 1, 2, 3, 4}).Draw(t, "order")
		a, _, err := FitBoosting(context.Background(), d, p)
		if err != nil {
			t.Fatal(err)
		}
		shuffled := d
		shuffled.Features = nil
		for _, j := range order {
			shuffled.Features = append(shuffled.Features, d.Features[j])
		}
		b, _, err := FitBoosting(context.Background(), shuffled, p)
		if err != nil {
			t.Fatal(err)
		}
		for i := range b.Trees {
			for k := range b.Trees[i].Nodes {
				if n := &b.Trees[i].Nodes[k]; n.Left >= 0 {
					n.Feature = int32(order[n.Feature])
				}
			}
		}
		if diff := cmp.Diff(a, b); diff != "" {
			t.Fatalf("order %v: %.1000s", order, diff)
		}
	})
}

// Rows repeated k times and rows of k times the weight give the same ensemble where nothing counts rows. Every row has a weight of
// its own too, so that no two splits tie.
func TestBoostingWeightsRepeat(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		seed := rapid.Uint64().Draw(t, "seed")
		objective := rapid.SampledFrom(objectives).Draw(t, "objective")
		d, p := made(seed, 150, 2, 0.1).as(objective)
		d.Features = d.Features[:2] // sets of categories count rows
		p.Trees, p.MinSamplesLeaf, p.MinChildHessian = 5, 1, 4
		r := stat.NewRand(seed, 7)
		d.Weights = make([]float64, 150)
		each := make([]float64, 150)
		var rows []int
		for i := range d.Weights {
			k := r.Intn(4)
			each[i] = 0.5 + r.Float64()
			d.Weights[i] = float64(k) * each[i]
			for range k {
				rows = append(rows, i)
			}
		}
		repeated := BoostData{Features: d.Features.Take(rows)}
		for _, i := range rows {
			repeated.Target = append(repeated.Target, d.Target[i])
			repeated.Weights = append(repeated.Weights, each[i])
		}
		a, _, err := FitBoosting(context.Background(), d, p)
		if err != nil {
			t.Fatal(err)
		}
		b, _, err := FitBoosting(context.Background(), repeated, p)
		if err != nil {
			t.Fatal(err)
		}
		x, y := rawScores(a, d.Features), rawScores(b, d.Features)
		for i := range x {
			if d.Weights[i/a.Outputs] > 0 && math.Abs(x[i]-y[i]) > 1e-4*(1+math.Abs(x[i])) {
				t.Fatalf("row %d: score %v with weights, %v with repeated rows", i, x[i], y[i])
			}
		}
	})
}

func TestBoostingEarlyStopping(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		seed := rapid.Uint64().Draw(t, "seed")
		d := made(seed, 300, 2, 0)
		v := made(seed+1, 200, 2, 0)
		d.Validation = &v
		p := BoostParams{Objective: ObjectiveSquared, Trees: 60, LearningRate: 0.5, MinSamplesLeaf: 3, Patience: rapid.IntRange(1, 8).Draw(t, "patience")}
		e, r, err := FitBoosting(context.Background(), d, p)
		if err != nil {
			t.Fatal(err)
		}
		best := r.BaseLoss
		at := 0
		for i, l := range r.ValidationLoss {
			if l < best {
				best, at = l, i+1
			}
		}
		if r.Iterations != at {
			t.Fatalf("%d iterations kept, the best was %d", r.Iterations, at)
		}
		if r.Stopped == "patience" && r.Grown != at+p.Patience {
			t.Fatalf("stopped after %d iterations with the best at %d and patience %d", r.Grown, at, p.Patience)
		}
		kept := newBoostLoss(&p, v.Target, nil).mean([][]float64{rawScores(e, v.Features)})
		if math.Abs(kept-best) > 1e-9*(1+best) {
			t.Fatalf("the ensemble has loss %v, its best iteration had %v", kept, best)
		}
		training := newBoostLoss(&p, d.Target, nil).mean([][]float64{rawScores(e, d.Features)})
		if math.Abs(training-r.TrainingLoss) > 1e-9*(1+training) {
			t.Fatalf("reported training loss %v, it is %v", r.TrainingLoss, training)
		}
	})
}

// Neighbouring float32 values, and float64 values that round to them, must go the same way in both precisions.
func TestThreshold(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := rapid.Float32Range(-math.MaxFloat32, math.MaxFloat32/2).Draw(t, "a")
		b := math.Nextafter32(a, math.MaxFloat32)
		for range rapid.IntRange(0, 3).Draw(t, "steps") {
			b = math.Nextafter32(b, math.MaxFloat32)
		}
		if rapid.Bool().Draw(t, "far") {
			b = a + (math.MaxFloat32/2-a)/float32(rapid.IntRange(1, 1000).Draw(t, "divisor"))
		}
		if a == 0 {
			a = 0
		}
		if !(a < b) || math.IsInf(float64(b), 0) { // the far step can overflow, and infinite features are refused
			t.Skip("equal, or not finite")
		}
		cut := threshold(a, b)
		half := rapid.Float64Range(-0.5, 0.5).Draw(t, "half")
		for _, v := range []float32{a, b} {
			ulp := float64(math.Nextafter32(v, math.MaxFloat32)) - float64(v)
			for _, x := range []float64{float64(v), float64(v) + half*ulp, float64(v) + ulp/2, math.Nextafter(float64(v)+ulp/2, -math.MaxFloat64), float64(v) - ulp/2} {
				if float32(x) != a && float32(x) != b {
					continue
				}
				left := float32(x) == a
				if (x <= cut) != left || (float32(x) <= float32(cut)) != left {
					t.Fatalf("between %v and %v: %v goes left %v in float64, %v in float32, want %v (threshold %v)",
						a, b, x, x <= cut, float32(x) <= float32(cut), left, cut)
				}
			}
		}
	})
}

// The scores kept while fitting went through bins; those of the ensemble go through thresholds and sets. They must agree, in float64
// and with every feature and threshold rounded to float32.
func TestBoostingBinsAgreeWithRules(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		seed := rapid.Uint64().Draw(t, "seed")
		d, p := made(seed, 500, 3, 0.1).as(ObjectiveSquared)
		scale := rapid.SampledFrom([]float64{1, 1e-7, 1e30, 1e-44}).Draw(t, "scale")
		shift := rapid.SampledFrom([]float64{0, 1, 16777216}).Draw(t, "shift")
		for j := range 3 {
			for i := range d.Features[j].Floats {
				d.Features[j].Floats[i] = d.Features[j].Floats[i]*scale + shift
			}
		}
		p.Trees, p.RowFraction, p.MaxBins = 4, 0.7, rapid.IntRange(2, 255).Draw(t, "bins")
		p.MinSamplesLeaf = 2
		e, r, err := FitBoosting(context.Background(), d, p)
		if err != nil {
			t.Fatal(err)
		}
		scores := rawScores(e, d.Features)
		loss := newBoostLoss(&p, d.Target, nil).mean([][]float64{scores})
		if math.Abs(loss-r.TrainingLoss) > 1e-12*(1+loss) {
			t.Fatalf("training loss %v by the rules, %v by the bins", loss, r.TrainingLoss)
		}
		for j := range 3 {
			for i, x := range d.Features[j].Floats {
				d.Features[j].Floats[i] = float64(float32(x))
			}
		}
		for i := range e.Trees {
			for k := range e.Trees[i].Nodes {
				n := &e.Trees[i].Nodes[k]
				n.Threshold = float64(float32(n.Threshold))
			}
		}
		if rounded := rawScores(e, d.Features); !slices.Equal(rounded, scores) {
			t.Fatal("float32 evaluation takes a training row another way")
		}
	})
}

func TestExpTable(t *testing.T) {
	table := newExpTable()
	for x := -690.0; x <= 690; x += 0.01037 {
		if got, want := table.of(x), math.Exp(x); math.Abs(got-want) > 5e-11*want {
			t.Fatalf("exp(%v) = %v, want %v", x, got, want)
		}
	}
	if table.of(-1e300) > 1e-299 || table.of(1e300) < 1e299 || table.of(0) != 1 {
		t.Error("outside the range, or at 0")
	}
}
