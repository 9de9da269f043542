package stat_test

import (
	"fmt"
	"math"
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

// A window is a day: without what days add the null is far too low, with it the level holds whatever the traffic is, where days do not differ too.
func TestNullOfStretches(t *testing.T) {
	const perDay = 180
	for _, days := range []int{30, 140} {
		for _, sd := range []float64{0, 0.1, 0.3} {
			for _, rows := range []int{90, 300, 1200} {
				t.Run(fmt.Sprintf("%d days, sd %v, %d rows", days, sd, rows), func(t *testing.T) {
					scores := []stat.DriftScore{stat.DriftAD, stat.DriftJS}
					over, n := map[stat.DriftScore]map[float64]float64{}, 0.0
					plain := 0.0
					day := func(n int, stream ...uint64) []float64 {
						r := stat.NewRand(3, stream...)
						return normals(n, sd*r.Normal(), stream...)
					}
					for ref := range uint64(assaytest.Size(8, 100)) {
						var all []float64
						parts := make([][]float64, days)
						for d := range parts {
							parts[d] = day(perDay, ref, uint64(d), uint64(days))
							all = append(all, parts[d]...)
						}
						e := freeze(t, all, stat.EdgeOptions{})
						counts := make([][]float64, days)
						for d, x := range parts {
							counts[d] = e.Count(x)
						}
						spec := stat.NullSpec{Reference: e.Count(all), Rows: int64(rows), Edges: e, Scores: scores, Seed: ref}
						without := nulls(t, spec)
						spec.Stretches = stretches(t, counts, float64(days))
						with := nulls(t, spec)
						for w := range uint64(40) {
							n++
							live := e.Count(day(rows, ref, 1000+w))
							for i, s := range scores {
								p := with[i].P(s.Of(spec.Reference, live, e))
								if over[s] == nil {
									over[s] = map[float64]float64{}
								}
								for _, level := range []float64{0.05, 0.01, 0.001} {
									if p <= level {
										over[s][level]++
									}
								}
								if without[i].P(s.Of(spec.Reference, live, e)) <= 0.05 && i == 0 {
									plain++
								}
							}
						}
					}
					for _, s := range scores {
						for level, most := range map[float64]float64{0.05: 1.6, 0.01: 2.5, 0.001: 8} { // by how much the fitted tail of few days is too short
							est := stat.Proportion(over[s][level], n, 0.999, stat.ClopperPearson)
							t.Logf("%s: level %v realised %s; with independent rows %.3f at 0.05", s, level, est, plain/n)
							if est.Lo > most*level || math.IsNaN(est.Value) {
								t.Errorf("%s: level %v realised %s", s, level, est)
							}
						}
					}
				})
			}
		}
	}
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
