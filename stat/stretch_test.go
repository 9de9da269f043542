package stat_test

import (
	"fmt"
	"math"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/assay-ml/assay/internal/assaytest"
	"github.com/assay-ml/assay/stat"
)

func stretches(t testing.TB, counts [][]float64, effective float64) *stat.Stretches {
	t.Helper()
	var following [][2]int
	for i := range counts[1:] {
		following = append(following, [2]int{i, i + 1})
	}
	s, err := stat.NewStretches(counts, effective, true, following)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// A window is a day: without what days add the null is far too low, with it the level holds whatever the traffic is, where days do not differ too. Every window has a
// reference of its own, so that windows are independent and how many of them are at most a level has a binomial distribution: in one of a thousand tests at a level
// that holds there are more than is allowed. ASSAY_TEST_PROOF is how many references each case has, of which 2,000 are worth a while.
func TestNullOfStretches(t *testing.T) {
	const perDay = 180
	refs := assaytest.Size(60, 300)
	if n, err := strconv.Atoi(os.Getenv("ASSAY_TEST_PROOF")); err == nil && n > 1 {
		refs = n
	}
	scores, levels := []stat.DriftScore{stat.DriftAD, stat.DriftJS}, []float64{0.05, 0.01, 0.001}
	type count struct{ over [3]float64 }
	kept := func(t *testing.T, name string, c [2]count, n float64) {
		t.Helper()
		for i, s := range scores {
			for k, level := range levels {
				est := stat.Proportion(c[i].over[k], n, 0.998, stat.ClopperPearson)
				t.Logf("%s, %s: level %v realised %s", name, s, level, est)
				if est.Lo > level || math.IsNaN(est.Value) {
					t.Errorf("%s, %s: level %v realised %s", name, s, level, est)
				}
			}
		}
	}
	var all [2]count
	windows := 0.0
	for _, days := range []int{30, 140} {
		for _, sd := range []float64{0, 0.1, 0.3} {
			for _, rows := range []int{90, 300, 1200} {
				name := fmt.Sprintf("%d days, sd %v, %d rows", days, sd, rows)
				t.Run(name, func(t *testing.T) {
					var c [2]count
					plain, of := 0.0, 0.0
					for ref := range uint64(refs) {
						r := stat.NewRand(3, ref, uint64(days), uint64(rows), math.Float64bits(sd))
						day := func(n int) []float64 {
							x, mean := make([]float64, n), sd*r.Normal()
							for i := range x {
								x[i] = mean + r.Normal()
							}
							return x
						}
						var values []float64
						parts := make([][]float64, days)
						for d := range parts {
							parts[d] = day(perDay)
							values = append(values, parts[d]...)
						}
						e := freeze(t, values, stat.EdgeOptions{})
						counts := make([][]float64, days)
						for d, x := range parts {
							counts[d] = e.Count(x)
						}
						spec := stat.NullSpec{Reference: e.Count(values), Rows: int64(rows), Edges: e, Scores: scores, Seed: ref}
						live := e.Count(day(rows))
						if ref%10 == 0 {
							if of++; nulls(t, spec)[0].P(scores[0].Of(spec.Reference, live, e)) <= 0.05 {
								plain++
							}
						}
						spec.Stretches = stretches(t, counts, float64(days))
						for i, n := range nulls(t, spec) {
							p := n.P(scores[i].Of(spec.Reference, live, e))
							for k, level := range levels {
								if p <= level {
									c[i].over[k]++
									all[i].over[k]++
								}
							}
						}
						windows++
					}
					t.Logf("with independent rows %.3f at 0.05", plain/of)
					kept(t, name, c, float64(refs))
				})
			}
		}
	}
	kept(t, "all", all, windows)
}

// Columns that are today much as they were yesterday exceed twice in a row more often than independent ones: with their dependence the budget holds, without it not.
func TestAlarmBudgetOfDependentWindows(t *testing.T) {
	const columns, rho = 10, 0.8
	realised := func(dependence float64) float64 {
		l, err := stat.AlarmBudget{PerYear: 2, Window: 24 * time.Hour, Columns: columns, Correction: stat.Holm, Persistence: stat.Persistence{K: 2, M: 2}, Dependence: dependence}.Levels()
		if err != nil {
			t.Fatal(err)
		}
		l.Window = math.Min(l.Window, 0.05)
		line := -stat.NormalQuantile(l.Window / columns / 2)
		alarms, windows := 0.0, assaytest.Size(40_000, 400_000)
		for c := range uint64(columns) {
			g := stat.NewRand(77, c)
			x, in := g.Normal(), 0
			for range windows {
				x = rho*x + math.Sqrt(1-rho*rho)*g.Normal()
				if math.Abs(x) < line {
					in = 0
				} else if in++; in == 2 {
					alarms++
				}
			}
		}
		return alarms / float64(windows) * 365.2425
	}
	if with, without := realised(rho), realised(0); with > 2 || with < 0.5 || without < 2.5 {
		t.Errorf("%.2f alarms a year with dependence and %.2f without; 2 are allowed", with, without)
	}
	if _, err := (stat.AlarmBudget{PerYear: 2, Window: time.Hour, Columns: 1, Dependence: 1.5}).Levels(); err == nil {
		t.Error("a dependence of 1.5")
	}
}
