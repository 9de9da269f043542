package stat_test

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/assay-ml/assay/stat"
)

// A reference is frozen once; each window is counted over its edges, scored, and judged against windows without drift of its size.
func ExampleNewNulls() {
	reference, window := normals(5000, 0, 1), normals(800, 0.3, 2)
	edges, err := stat.FreezeEdges(reference, stat.EdgeOptions{})
	if err != nil {
		panic(err)
	}
	counts := edges.Count(reference)
	h := stat.NewHistogram(edges)
	for _, v := range window {
		h.Add(v)
	}
	scores := []stat.DriftScore{stat.DriftJS, stat.DriftKS, stat.DriftW1}
	nulls, err := stat.NewNulls(context.Background(), stat.NullSpec{Reference: counts, Rows: h.Values(), Edges: edges, Scores: scores, Seed: 1})
	if err != nil {
		panic(err)
	}
	for i, s := range scores {
		v := s.Of(counts, h.Counts(), edges)
		fmt.Printf("%s %.3f, without drift %.3f on average, alarm from %.3f: %v\n", s, v, nulls[i].Mean(), nulls[i].Threshold(0.001), nulls[i].P(v) <= 0.001)
	}
	// Output:
	// jensen-shannon 0.154, without drift 0.088 on average, alarm from 0.129: true
	// ks 0.134, without drift 0.029 on average, alarm from 0.068: true
	// wasserstein 0.294, without drift 0.050 on average, alarm from 0.128: true
}

// One false alarm a year over 50 columns and hourly windows: far more can be seen when two of three windows have to agree.
func ExampleAlarmBudget_Levels() {
	b := stat.AlarmBudget{PerYear: 1, Window: time.Hour, Columns: 50}
	one, err := b.Levels()
	if err != nil {
		panic(err)
	}
	b.Persistence = stat.Persistence{K: 2, M: 3}
	two, err := b.Levels()
	if err != nil {
		panic(err)
	}
	b.Correction = stat.Holm
	holm, err := b.Levels()
	if err != nil {
		panic(err)
	}
	fmt.Printf("each window: %.2g a test\n2 of 3: %.2g a test\n2 of 3, Holm: %.2g a window, %.2g in the hardest step\n", one.Test, two.Test, holm.Window, holm.Test)
	// Output:
	// each window: 2.3e-06 a test
	// 2 of 3: 0.0011 a test
	// 2 of 3, Holm: 0.0076 a window, 0.00015 in the hardest step
}

func ExampleHistogram() {
	edges, err := stat.FreezeEdges([]float64{1, 2, 2, 3}, stat.EdgeOptions{})
	if err != nil {
		panic(err)
	}
	h := stat.NewHistogram(edges)
	for _, v := range []float64{2, 3, 2.5, 99} {
		h.Add(v)
	}
	h.AddMissing()
	raw, err := json.Marshal(h)
	if err != nil {
		panic(err)
	}
	fmt.Println(string(raw))
	// Output:
	// {"cells":[0,0,0,1,1,1,1],"presence":{"value":4,"missing":1,"nan":0,"pos_inf":0,"neg_inf":0,"type_error":0},"min":2,"max":99}
}

func ExampleCategories() {
	c, err := stat.FreezeCategories(map[string]int64{"red": 60, "blue": 30, "mauve": 1}, 2)
	if err != nil {
		panic(err)
	}
	k := stat.NewCategoryCounts(c)
	for _, v := range []string{"red", "blue", "mauve", "plaid", "red"} {
		k.Add(v)
	}
	fmt.Println(c.Values, "other", "unseen", k.Counts())
	// Output:
	// [red blue] other unseen [2 1 1 1]
}

// A category that the reference never had is evidence of finite weight.
func ExampleNewHomogeneity() {
	h, err := stat.NewHomogeneity([]float64{900, 100, 0}, []float64{88, 10, 2}, 0)
	if err != nil {
		panic(err)
	}
	fmt.Printf("chi-squared %.2f, p-value %.1e, smallest expected count %.2f\n", h.ChiSquared.Statistic, h.ChiSquared.P, h.MinExpected)
	// Output:
	// chi-squared 20.04, p-value 4.4e-05, smallest expected count 0.18
}

// Four labels have arrived and two predictions still wait, one of them made only a day ago.
func ExampleDelayCurve() {
	c, err := stat.NewDelayCurve([]float64{1, 2, 2, 5, 1, 6}, []bool{true, true, true, true, false, false})
	if err != nil {
		panic(err)
	}
	fmt.Println("labelled after 2 days:", c.Coverage(2, 0.95))
	fmt.Println("half are labelled after", c.Age(0.5), "days")
	// Output:
	// labelled after 2 days: 0.58 [0.23, 0.94]
	// half are labelled after 2 days
}

func ExampleReconstruction() {
	r, err := stat.NewReconstruction([]float64{1, 1, 2, 2, 3, 3, 4, 4}, 2, 0)
	if err != nil {
		panic(err)
	}
	e, err := r.Errors([]float64{2, 2, 1, 4})
	if err != nil {
		panic(err)
	}
	fmt.Printf("%d component; together as before %.2f, apart %.2f\n", r.Components(), e[0], e[1])
	// Output:
	// 1 component; together as before 0.00, apart 1.90
}

func ExamplePageHinkley() {
	p, err := stat.NewPageHinkley(stat.PageHinkleyOptions{Threshold: 20, Alternative: stat.Greater})
	if err != nil {
		panic(err)
	}
	for i, v := range append(normals(500, 0, 5), normals(500, 1, 6)...) {
		if p.Add(v) {
			fmt.Println("the mean rose, seen at value", i)
			break
		}
	}
	// Output:
	// the mean rose, seen at value 518
}

func ExampleDomainAUC() {
	score := append(normals(200, 0, 9), normals(100, 0.4, 10)...)
	window := make([]bool, len(score))
	for i := 200; i < len(window); i++ {
		window[i] = true
	}
	e, t, err := stat.DomainAUC(window, score, nil, stat.DomainOptions{Seed: 1})
	if err != nil {
		panic(err)
	}
	fmt.Println("area", e, "p-value", t.P)
	// Output:
	// area 0.66 [0.60, 0.72] p-value 0.001
}
