package stat_test

import (
	"context"
	"math"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/assay-ml/assay/stat"
	"pgregory.net/rapid"
)

func nulls(t testing.TB, s stat.NullSpec) []*stat.Null {
	t.Helper()
	out, err := stat.NewNulls(context.Background(), s)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestNullIsAFunctionOfItsSeed(t *testing.T) {
	x := normals(3000, 0)
	e := freeze(t, x, stat.EdgeOptions{})
	blocks := make([][]float64, 30)
	for b := range blocks {
		blocks[b] = e.Count(normals(100, 0.3*float64(b%5), uint64(b)))
	}
	for name, spec := range map[string]stat.NullSpec{
		"rows":      {Reference: e.Count(x), Rows: 400, Edges: e, Scores: stat.DriftScores(), Seed: 4, Stream: []uint64{7}, Draws: 300},
		"stretches": {Reference: e.Count(x), Stretches: stretches(t, blocks, 30), Rows: 250, Edges: e, Scores: stat.DriftScores(), Seed: 4, Draws: 300},
	} {
		one, many, other := spec, spec, spec
		one.Threads, many.Threads, other.Seed = 1, 5, 5
		a, b, c := nulls(t, one), nulls(t, many), nulls(t, other)
		for i := range a {
			for _, p := range []float64{0, 0.3, 0.5, 0.99, 1} {
				if a[i].Quantile(p) != b[i].Quantile(p) {
					t.Errorf("%s, %s: quantile %v depends on the threads", name, a[i].Score, p)
				}
			}
			if a[i].Threshold(1e-4) != b[i].Threshold(1e-4) || a[i].Mean() != b[i].Mean() || a[i].Mean() == c[i].Mean() {
				t.Errorf("%s, %s: not a function of the seed", name, a[i].Score)
			}
		}
	}
}

func TestNullProperties(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		x := rapid.SliceOfN(rapid.Float64Range(-1, 1), 1, 80).Draw(rt, "reference")
		e, err := stat.FreezeEdges(x, stat.EdgeOptions{Cells: rapid.IntRange(2, 9).Draw(rt, "cells")})
		if err != nil {
			rt.Fatal(err)
		}
		scores := stat.DriftScores()
		all, err := stat.NewNulls(context.Background(), stat.NullSpec{
			Reference: e.Count(x), Rows: rapid.Int64Range(1, 500).Draw(rt, "rows"), Edges: e, Scores: scores, Draws: 100, Seed: rapid.Uint64().Draw(rt, "seed"),
		})
		if err != nil {
			rt.Fatal(err)
		}
		for _, n := range all {
			before := 1.0
			top := n.Quantile(1)
			for _, f := range []float64{-1, 0, 0.2, 0.5, 0.9, 1, 1.01, 2, 5, 40} {
				p := n.P(top * f)
				if f >= 0 && p > before+1e-12 || !(p > 0 && p <= 1) {
					rt.Fatalf("%s: P(%v) = %v after %v", n.Score, top*f, p, before)
				}
				before = min(before, p)
			}
			last := math.Inf(1)
			for _, alpha := range []float64{1e-9, 1e-4, 0.003, 0.02, 0.05, 0.3, 0.9} {
				at := n.Threshold(alpha)
				if !math.IsInf(at, 1) && !(n.P(at) <= alpha*(1+1e-9)) || at > last {
					rt.Fatalf("%s: threshold %v of level %v, with P %v; before %v", n.Score, at, alpha, n.P(at), last)
				}
				last = at
			}
		}
	})
}

func TestNullRefuses(t *testing.T) {
	ok := stat.NullSpec{Reference: []float64{5, 5}, Rows: 10, Scores: []stat.DriftScore{stat.DriftJS}}
	for name, change := range map[string]func(*stat.NullSpec){
		"nothing":   func(s *stat.NullSpec) { s.Reference = nil },
		"window":    func(s *stat.NullSpec) { s.Window = []float64{1, 2, 3} },
		"stretches": func(s *stat.NullSpec) { s.Stretches = stretches(t, [][]float64{{1, 2, 3}, {4, 5, 6}}, 2) },
		"parts":     func(s *stat.NullSpec) { s.Parts = []float64{0.5, 0.4} },
		"no rows":   func(s *stat.NullSpec) { s.Rows = 0 },
		"empty":     func(s *stat.NullSpec) { s.Reference = []float64{0, 0} },
		"few draws": func(s *stat.NullSpec) { s.Draws = 50 },
		"unknown":   func(s *stat.NullSpec) { s.Scores = []stat.DriftScore{"x"} },
		"no edges":  func(s *stat.NullSpec) { s.Scores = []stat.DriftScore{stat.DriftW1} },
		"negative":  func(s *stat.NullSpec) { s.Empty = -1 },
	} {
		s := ok
		change(&s)
		if _, err := stat.NewNulls(context.Background(), s); err == nil {
			t.Errorf("%s: calibrated", name)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := stat.NewNulls(ctx, ok); err == nil {
		t.Error("calibrated after the end")
	}
}

// The share of windows without drift that exceed the threshold of a level, over many references, is that level. In the continuous
// population the null is exact but for the number of draws; levels beyond the reach of the draws are within half and twice. In the
// other a third of the rows are the least value, below which nothing ever lies: there a null that expects the occasional value outside
// the reference is on the safe side.
func TestNullLevels(t *testing.T) {
	references, windows := 40, 250
	levels := []float64{0.05, 0.01, 0.001}
	if os.Getenv("ASSAY_TEST_PROOF") != "" {
		references, windows = 400, 2000
		levels = append(levels, 1e-4)
	}
	scores := []stat.DriftScore{
		stat.DriftPSI, stat.DriftJS, stat.DriftTV, stat.DriftLInfinity, stat.DriftG, stat.DriftKS, stat.DriftCliff, stat.DriftCvM, stat.DriftAD, stat.DriftW1, stat.DriftEnergy, stat.DriftMMD,
	}
	const rows, size = 1500, 400
	for _, spike := range []bool{false, true} {
		sample := func(n int, stream ...uint64) []float64 {
			x := normals(n, 0, stream...)
			for i := range x {
				if spike && x[i] < -0.43 {
					x[i] = -1
				}
			}
			return x
		}
		over := make([][4]float64, len(scores))
		for ref := range uint64(references) {
			x := sample(rows, 1, ref)
			e := freeze(t, x, stat.EdgeOptions{Cells: 15})
			counts := e.Count(x)
			ns := nulls(t, stat.NullSpec{Reference: counts, Rows: size, Edges: e, Scores: scores, Seed: 1, Stream: []uint64{ref}, Draws: 1000})
			for w := range uint64(windows) {
				c := e.Count(sample(size, 2, ref, w))
				for i, s := range scores {
					p := ns[i].P(s.Of(counts, c, e))
					for l, level := range levels {
						if p <= level {
							over[i][l]++
						}
					}
				}
			}
		}
		n := float64(references * windows)
		for i, s := range scores {
			for l, level := range levels {
				// Windows of one reference go together: take a tenth of them as independent.
				est := stat.Proportion(over[i][l]/10, n/10, 0.99, stat.Wilson)
				above, below := 1.1, 1.1
				if level < 0.05 {
					above, below = 2, 2
				}
				if s == stat.DriftLInfinity { // it takes few values: the level that is reached lies below the one that is asked for
					below = math.Max(below, 1.5)
				}
				if spike {
					below = 3
				}
				t.Logf("spike %v, %s: level %v realised %s", spike, s, level, est)
				if est.Lo > level*above || est.Hi < level/below {
					t.Errorf("spike %v, %s: level %v realised %s", spike, s, level, est)
				}
			}
		}
	}
}

// One value far out neither hides a shift of one standard deviation nor makes one, whichever bounded score is used (the peers' default
// bins, which stretch to the largest value, and their Wasserstein distance over the plain standard deviation do both).
func TestOneOutlierNeitherHidesNorFakesDrift(t *testing.T) {
	const n = 5000
	reference := normals(n, 0, 1)
	outlying := func(x []float64) []float64 {
		x = slices.Clone(x)
		x[17] = 1e4
		return x
	}
	effects := map[stat.DriftScore]float64{ // floors below which a significant difference is not worth an alarm
		stat.DriftJS: 0.1, stat.DriftHellinger: 0.1, stat.DriftTV: 0.1, stat.DriftKS: 0.1, stat.DriftCliff: 0.1, stat.DriftW1: 0.1, stat.DriftEnergy: 0.1, stat.DriftMMD: 0.1,
		stat.DriftPSI: 0.1,
	}
	var scores []stat.DriftScore
	for s := range effects {
		scores = append(scores, s)
	}
	slices.Sort(scores)
	for name, ref := range map[string][]float64{"clean reference": reference, "outlier in the reference": outlying(reference)} {
		e := freeze(t, ref, stat.EdgeOptions{})
		counts := e.Count(ref)
		for i, null := range nulls(t, stat.NullSpec{Reference: counts, Rows: n, Edges: e, Scores: scores, Seed: 9}) {
			s := scores[i]
			alarm := func(window []float64) (bool, float64, float64) {
				v := s.Of(counts, e.Count(window), e)
				p := null.P(v)
				return p <= 0.001 && v >= effects[s], v, p
			}
			shifted, same := normals(n, 1, 2), normals(n, 0, 3)
			for what, c := range map[string]struct {
				window []float64
				drift  bool
			}{
				"shift": {shifted, true}, "shift and outlier": {outlying(shifted), true}, "same": {same, false}, "outlier alone": {outlying(same), false},
			} {
				if got, v, p := alarm(c.window); got != c.drift {
					t.Errorf("%s, %s, %s: alarm %v at %v (p-value %v)", name, what, s, got, v, p)
				}
			}
			_, clean, _ := alarm(same)
			if _, dirty, _ := alarm(outlying(same)); math.Abs(dirty-clean) > 0.02 {
				t.Errorf("%s, %s: one value moved the score from %v to %v", name, s, clean, dirty)
			}
		}
	}
}

func TestPersistence(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		m := rapid.IntRange(1, 6).Draw(rt, "m")
		p := stat.Persistence{K: rapid.IntRange(1, m).Draw(rt, "k"), M: m}
		flags := rapid.SliceOf(rapid.Bool()).Draw(rt, "flags")
		for i, got := range p.Alarms(flags) {
			on := 0
			for j := max(0, i-m+1); j <= i; j++ {
				if flags[j] {
					on++
				}
			}
			if got != (on >= p.K) {
				rt.Fatalf("window %d: %v with %d of %+v", i, got, on, p)
			}
		}
		rate := rapid.Float64Range(1e-12, 0.5).Draw(rt, "rate")
		if a := p.Level(rate); p.OnsetRate(a) > rate*(1+1e-9) || a < float64(p.K)/float64(p.M+1) && math.Abs(p.OnsetRate(a)/rate-1) > 1e-6 {
			rt.Fatalf("level %v begins alarms at %v, want %v", a, p.OnsetRate(a), rate)
		}
	})
}

// The alarms that begin in simulated years without drift are as many as the budget says.
func TestAlarmBudgetIsKept(t *testing.T) {
	const years = 40
	for _, b := range []stat.AlarmBudget{
		{PerYear: 4, Columns: 20},
		{PerYear: 4, Columns: 20, Persistence: stat.Persistence{K: 2, M: 3}},
		{PerYear: 6, Columns: 8, Persistence: stat.Persistence{K: 3, M: 3}},
		{PerYear: 4, Columns: 20, Correction: stat.BH, Persistence: stat.Persistence{K: 2, M: 4}},
		{PerYear: 4, Columns: 20, Correction: stat.Holm},
	} {
		b.Window = 6 * time.Hour
		l, err := b.Levels()
		if err != nil {
			t.Fatal(err)
		}
		windows := int(l.Windows * years)
		exceeded := make([][]bool, b.Columns)
		anywhere := make([]bool, windows)
		for c := range exceeded {
			exceeded[c] = make([]bool, windows)
		}
		p := make([]float64, b.Columns)
		r := stat.NewRand(21, uint64(b.Columns), uint64(b.Persistence.K))
		for w := range windows {
			common := r.Normal()
			for c := range p {
				p[c] = stat.NormalSF(0.6*common + 0.8*r.Normal()) // correlated columns
			}
			if b.Correction == "" {
				for c := range p {
					exceeded[c][w] = p[c] <= l.Test
				}
				continue
			}
			anywhere[w] = slices.Min(stat.Adjust(p, b.Correction)) <= l.Window
		}
		if b.Correction != "" {
			exceeded = [][]bool{anywhere}
		}
		var began float64
		for _, flags := range exceeded {
			on := false
			for _, a := range b.Persistence.Alarms(flags) {
				if a && !on {
					began++
				}
				on = a
			}
		}
		// A Poisson interval of the number of alarms.
		lo, hi := stat.ChiSquaredQuantile(0.0005, 2*began)/2/years, stat.ChiSquaredQuantile(0.9995, 2*began+2)/2/years
		t.Logf("%+v: level %.3g a test, %.3g a window; %.3g alarms a year [%.3g, %.3g]", b, l.Test, l.Window, began/years, lo, hi)
		if lo > b.PerYear || b.Correction == "" && hi < b.PerYear {
			t.Errorf("%+v: %v alarms a year [%v, %v], want %v", b, began/years, lo, hi, b.PerYear)
		}
	}
	for _, bad := range []stat.AlarmBudget{
		{},
		{PerYear: 1, Window: time.Hour},
		{PerYear: 1, Columns: 1},
		{Window: time.Hour, Columns: 1},
		{PerYear: 1, Window: time.Hour, Columns: 1, Correction: stat.Hommel},
		{PerYear: 1, Window: time.Hour, Columns: 1, Persistence: stat.Persistence{K: 3, M: 2}},
	} {
		if _, err := bad.Levels(); err == nil {
			t.Errorf("%+v: levels", bad)
		}
	}
}

// Calibration of a drift report: 50 columns, 30 cells, 1000 windows drawn a column.
func BenchmarkNulls50Columns(b *testing.B) {
	x := normals(20_000, 0)
	e := freeze(b, x, stat.EdgeOptions{})
	counts := e.Count(x)
	scores := []stat.DriftScore{stat.DriftJS, stat.DriftPSI, stat.DriftKS, stat.DriftW1}
	for b.Loop() {
		for c := range uint64(50) {
			ns := nulls(b, stat.NullSpec{Reference: counts, Rows: 5000, Edges: e, Scores: scores, Seed: 1, Stream: []uint64{c}})
			for i, s := range scores {
				ns[i].P(s.Of(counts, counts, e))
			}
		}
	}
}
