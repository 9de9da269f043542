package eval

import (
	"context"
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/metric"
	"github.com/assay-ml/assay/stat"
)

var tasks = []assay.Task{assay.Binary, assay.Multiclass, assay.Multilabel, assay.Regression, assay.Ranking}

// spread gives each document the value of its query.
func spread[T any](of []T, query []int32) []T {
	out := make([]T, len(query))
	for i, q := range query {
		out[i] = of[q]
	}
	return out
}

// simulated rows of a task, with two models of which the first is better. Scores are rounded so that they tie.
func simulated(task assay.Task, n, k int, seed uint64) (*Truth, *Scores, *Scores) {
	r := stat.NewRand(seed)
	t := &Truth{Task: task}
	a, b := &Scores{Name: "a"}, &Scores{Name: "b"}
	group := assay.Column{Name: "group", Type: assay.TypeString, Levels: []string{"x", "y", "z"}, Codes: make([]int32, n)}
	age := assay.Column{Name: "age", Type: assay.TypeInteger, Floats: make([]float64, n)}
	for i := range n {
		group.Codes[i] = int32(r.Intn(4)) - 1
		age.Floats[i] = float64(18 + r.Intn(60))
	}
	t.Columns = assay.Frame{group, age}
	if task == assay.Ranking { // n queries, whose documents do not lie side by side
		sizes, most := make([]int, n), 0
		for q := range sizes {
			sizes[q] = 2 + r.Intn(8)
			most = max(most, sizes[q])
		}
		var columns []int32
		for d := range most {
			for q := range n {
				if d < sizes[q] {
					y := float64(r.Intn(2))
					t.Query, t.Value, columns = append(t.Query, int32(q)), append(t.Value, y), append(columns, int32(q))
					a.Value = append(a.Value, math.Round(4*(y+0.6*r.Normal())))
					b.Value = append(b.Value, math.Round(4*(y+1.5*r.Normal())))
				}
			}
		}
		group.Codes, age.Floats = spread(group.Codes, columns), spread(age.Floats, columns)
		t.Columns, t.Queried = assay.Frame{group, age}, "query"
		return t.fold(), a, b
	}
	if task == assay.Regression {
		for range n {
			y := math.Exp(r.Normal())
			t.Value = append(t.Value, y)
			a.Value = append(a.Value, math.Abs(y+0.3*r.Normal())+0.01)
			b.Value = append(b.Value, math.Abs(y+0.9*r.Normal())+0.01)
		}
		return t, a, b
	}
	if task == assay.Binary {
		k, t.Positive = 2, int(seed%2)
	}
	for c := range k {
		t.Classes = append(t.Classes, string(rune('A'+c)))
	}
	for range n {
		if task == assay.Multilabel {
			for range k {
				y := int32(r.Intn(2))
				t.Class = append(t.Class, y)
				for m, s := range []*Scores{a, b} {
					v := 1 / (1 + math.Exp(-(2*float64(y)-1)*(1.5-float64(m))-1.5*r.Normal()))
					s.Proba = append(s.Proba, math.Round(v*50)/50)
				}
			}
			continue
		}
		y := r.Intn(k)
		t.Class = append(t.Class, int32(y))
		for m, s := range []*Scores{a, b} {
			row, sum := make([]float64, k), 0.0
			for c := range k {
				v := 1.2 * r.Normal()
				if c == y {
					v += 1.6 - float64(m)
				}
				row[c] = math.Round(math.Exp(v)*4+1) / 4
				sum += row[c]
			}
			for c := range k {
				s.Proba = append(s.Proba, row[c]/sum)
			}
		}
	}
	return t, a, b
}

// near compares to rounding.
func near(t *testing.T, what string, got, want, tolerance float64) {
	t.Helper()
	if math.IsNaN(got) && math.IsNaN(want) {
		return
	}
	if !(math.Abs(got-want) <= tolerance*math.Max(1, math.Abs(want))) {
		t.Errorf("%s is %v; want %v", what, got, want)
	}
}

// Every metric of the registry has the value of metric.Score, on the whole and on a slice.
func TestValuesAreThoseOfPackageMetric(t *testing.T) {
	for _, task := range tasks {
		for seed := range uint64(4) {
			truth, a, b := simulated(task, 150, 3, seed)
			o := Options{Metrics: Metrics(task), Replicates: 20, Slices: []string{"group"}, MinRows: 10}
			e, err := Evaluate(context.Background(), truth, a, b, o)
			if err != nil {
				t.Fatal(err)
			}
			pa, pb := prepare(truth, a, DefaultThreshold), prepare(truth, b, DefaultThreshold)
			for _, m := range e.Metrics {
				for _, x := range []struct {
					p *prepared
					e assay.Estimate
				}{{pa, m.Estimate}, {pb, m.Baseline}} {
					want, err := metric.Score(m.Name, x.p.input)
					if err != nil {
						t.Fatal(err)
					}
					if want.Value != x.e.Value && !(math.IsNaN(want.Value) && math.IsNaN(x.e.Value)) {
						t.Errorf("%s %s is %v; metric.Score gives %v", task, m.Name, x.e.Value, want.Value)
					}
				}
			}
			rows := levels("group", truth.Columns.Column("group"))
			for i, sl := range e.Slices {
				s := newSample(truth, rows[i].rows)
				for _, m := range sl.Metrics {
					want, err := metric.Score(m.Name, s.input(pa))
					if err != nil {
						t.Fatal(err)
					}
					if want.Value != m.Estimate.Value && !(math.IsNaN(want.Value) && math.IsNaN(m.Estimate.Value)) {
						t.Errorf("%s %s on %s is %v; metric.Score gives %v", task, m.Name, sl.Name, m.Estimate.Value, want.Value)
					}
				}
			}
		}
	}
}

// The value that a measure computes from weights is that of the metric under those weights, as repetition of rows.
func TestWeightsRepeatRows(t *testing.T) {
	for _, task := range tasks {
		truth, a, _ := simulated(task, 120, 3, 11)
		p := prepare(truth, a, DefaultThreshold)
		var odd []int32
		for i := int32(1); int(i) < truth.N(); i += 2 {
			odd = append(odd, i)
		}
		counts, err := stat.Resampler{Seed: 5}.Counts(truth.N(), 3)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range []*sample{newSample(truth, nil), newSample(truth, odd)} {
			var rows []int32
			local := make([]uint8, s.n)
			for j := range s.n {
				local[j] = counts[s.at(j)]
				for range local[j] {
					rows = append(rows, int32(s.at(j)))
				}
			}
			repeated := &sample{t: truth, rows: rows, n: len(rows)}
			for _, d := range metric.For(task) {
				if d.Input == metric.NeedGroups {
					continue
				}
				m, err := s.measure(d, p, false)
				if err != nil {
					t.Fatal(err)
				}
				if m.still != "" {
					continue
				}
				want, err := d.Score(repeated.input(p))
				if err != nil {
					t.Fatal(err)
				}
				if !want.Defined() {
					want.Value = math.NaN()
				}
				near(t, fmt.Sprintf("%s %s of %d weighted rows", task, d.Name, s.n), m.weigh()(counts, local), want.Value, 1e-11)
				fast, err := s.measure(d, p, true)
				if err != nil {
					t.Fatal(err)
				}
				near(t, fmt.Sprintf("%s %s the fast way", task, d.Name), fast.value, m.value, 1e-11)
			}
		}
	}
}

// The values without a row are those of the metric on the remaining rows.
func TestLeaveOneOut(t *testing.T) {
	for _, task := range tasks {
		truth, a, _ := simulated(task, 60, 3, 23)
		p := prepare(truth, a, DefaultThreshold)
		rows := make([]int32, 0, 40)
		for i := int32(0); i < 60; i++ {
			if i%3 != 1 {
				rows = append(rows, i)
			}
		}
		s := newSample(truth, rows)
		for _, d := range metric.For(task) {
			if d.Input == metric.NeedGroups {
				continue
			}
			m, err := s.measure(d, p, false)
			if err != nil {
				t.Fatal(err)
			}
			if m.leave == nil {
				continue
			}
			got := m.leave()
			for j := range rows {
				less := append(append([]int32{}, rows[:j]...), rows[j+1:]...)
				want, err := d.Score((&sample{t: truth, rows: less, n: len(less)}).input(p))
				if err != nil {
					t.Fatal(err)
				}
				near(t, fmt.Sprintf("%s %s without row %d", task, d.Name, j), got[j], want.Value, 1e-11)
			}
		}
	}
}

// The jackknife's pseudo-influence agrees with the derivative of the value by the weight of a row.
func TestLeaveOneOutAgreesWithDerivatives(t *testing.T) {
	for _, task := range []assay.Task{assay.Binary, assay.Regression} {
		truth, a, _ := simulated(task, 4000, 2, 31)
		p := prepare(truth, a, DefaultThreshold)
		s := newSample(truth, nil)
		for _, d := range metric.For(task) {
			if d.Input == metric.NeedGroups || d.Name == "median_absolute_error" {
				continue
			}
			m, err := s.measure(d, p, false)
			if err != nil {
				t.Fatal(err)
			}
			if m.leave == nil || m.why != "" {
				continue
			}
			jack := m.leave()
			in := s.input(p)
			in.Weights = make([]float64, s.n)
			for j := range in.Weights {
				in.Weights[j] = 1
			}
			var top float64
			for _, v := range jack {
				top = math.Max(top, math.Abs(v-m.value))
			}
			for _, j := range []int{0, 17, 999, 3999} {
				const h = 1e-3
				in.Weights[j] = 1 + h
				up, err := d.Score(in)
				if err != nil {
					t.Fatal(err)
				}
				in.Weights[j] = 1 - h
				down, err := d.Score(in)
				if err != nil {
					t.Fatal(err)
				}
				in.Weights[j] = 1
				near(t, fmt.Sprintf("%s %s effect of row %d, relative to the greatest", task, d.Name, j), (m.value-jack[j])/top, (up.Value-down.Value)/(2*h)/top, 0.01)
			}
		}
	}
}

// Where rows are too many to leave each out, the values without a row of a ranking of all cells are those of the first order.
func TestLeaveOneOutOfMany(t *testing.T) {
	truth, a, _ := simulated(assay.Multilabel, 3200, 3, 5)
	p := prepare(truth, a, DefaultThreshold)
	s := newSample(truth, nil)
	for _, name := range []string{"roc_auc_score_micro", "average_precision_score_micro"} {
		d, _ := metric.Lookup(name)
		m, err := s.measure(d, p, false)
		if err != nil {
			t.Fatal(err)
		}
		got := m.leave()
		for j := 0; j < s.n; j += 100 {
			less := slices.Delete(everyRow(s.n), j, j+1)
			want, err := d.Score((&sample{t: truth, rows: less, n: len(less)}).input(p))
			if err != nil {
				t.Fatal(err)
			}
			near(t, fmt.Sprintf("%s without row %d", name, j), got[j]-m.value, want.Value-m.value, 1e-6)
		}
	}
}

func everyRow(n int) []int32 {
	out := make([]int32, n)
	for i := range out {
		out[i] = int32(i)
	}
	return out
}
