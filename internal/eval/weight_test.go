package eval

import (
	"bytes"
	"context"
	"encoding/json"
	"math"
	"os"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/metric"
	"github.com/assay-ml/assay/stat"
)

// weighable are the metrics of a task that take weights.
func weighable(task assay.Task) []string {
	var out []string
	for _, name := range Metrics(task) {
		if !unweightable(name) {
			out = append(out, name)
		}
	}
	return out
}

// The tables of testdata/weights.json are scikit-learn's, with sample_weight.
func TestWeightsOracle(t *testing.T) {
	b, err := os.ReadFile("testdata/weights.json")
	if err != nil {
		t.Fatal(err)
	}
	type table struct {
		Truth   []float64
		Proba   []float64
		Value   []float64
		Weight  []float64
		Metrics map[string]float64
	}
	var all struct {
		Tolerance  float64
		Binary     table
		Multiclass table
		Regression table
	}
	if err := json.Unmarshal(b, &all); err != nil {
		t.Fatal(err)
	}
	checked := 0
	for task, of := range map[assay.Task]table{assay.Binary: all.Binary, assay.Multiclass: all.Multiclass, assay.Regression: all.Regression} {
		truth, s := &Truth{Task: task, Weight: of.Weight, Weighted: "w"}, &Scores{Name: "a", Proba: of.Proba}
		switch task {
		case assay.Regression:
			truth.Value, s.Value = of.Truth, of.Value
		case assay.Binary:
			truth.Classes, truth.Positive, s.Proba = []string{"0", "1"}, 1, nil
			for _, p := range of.Proba {
				s.Proba = append(s.Proba, 1-p, p)
			}
		default:
			truth.Classes = []string{"0", "1", "2"}
		}
		if task != assay.Regression {
			for _, y := range of.Truth {
				truth.Class = append(truth.Class, int32(y))
			}
		}
		o := Options{Replicates: 200}
		for name := range of.Metrics {
			o.Metrics = append(o.Metrics, name)
		}
		e, err := Evaluate(context.Background(), truth, s, s, o)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range e.Metrics {
			want := of.Metrics[m.Name]
			if d := math.Abs(m.Estimate.Value - want); !(d <= all.Tolerance*math.Max(1, math.Abs(want))) {
				t.Errorf("%s %s is %v; scikit-learn says %v", task, m.Name, m.Estimate.Value, want)
			}
			if !m.Estimate.HasInterval() || !strings.HasPrefix(m.Estimate.Method, methodWeighted) {
				t.Errorf("%s %s has the interval %v by %q", task, m.Name, m.Estimate, m.Estimate.Method)
			}
			checked++
		}
	}
	if checked != 27 {
		t.Errorf("%d figures checked, not 27", checked)
	}
}

// repeated writes each row as often as its weight says.
func repeated(truth *Truth, weight []float64, scores ...*Scores) (*Truth, []*Scores) {
	var rows []int
	for i, w := range weight {
		for range int(w) {
			rows = append(rows, i)
		}
	}
	if truth.Task == assay.Ranking {
		return repeatedQueries(truth, rows, scores...)
	}
	wide, k := 1, max(len(truth.Classes), 1)
	if truth.Task == assay.Multilabel {
		wide = k
	}
	t := *truth
	t.Weight, t.Weighted, t.Columns = nil, "", truth.Columns.Take(rows)
	t.Class, t.Value = pick(truth.Class, rows, wide), pick(truth.Value, rows, 1)
	var out []*Scores
	for _, s := range scores {
		out = append(out, &Scores{Name: s.Name, Proba: pick(s.Proba, rows, k), Value: pick(s.Value, rows, 1)})
	}
	return &t, out
}

// repeatedQueries makes a query of its own of each repetition.
func repeatedQueries(truth *Truth, rows []int, scores ...*Scores) (*Truth, []*Scores) {
	t := &Truth{Task: truth.Task, Queried: truth.Queried}
	out := make([]*Scores, len(scores))
	for m := range scores {
		out[m] = &Scores{Name: scores[m].Name}
	}
	var from []int
	for q, row := range rows {
		for _, i := range truth.folded.lists[row] {
			t.Query, t.Value, from = append(t.Query, int32(q)), append(t.Value, truth.Value[i]), append(from, row)
			for m, s := range scores {
				out[m].Value = append(out[m].Value, s.Value[i])
			}
		}
	}
	t.Columns = truth.Columns.Take(from)
	return t.fold(), out
}

func pick[T any](column []T, rows []int, width int) []T {
	if column == nil {
		return nil
	}
	var out []T
	for _, i := range rows {
		out = append(out, column[i*width:(i+1)*width]...)
	}
	return out
}

func closeTo(a, b float64) bool {
	return math.IsNaN(a) && math.IsNaN(b) || math.Abs(a-b) <= 1e-9*math.Max(1, math.Abs(b))
}

// A whole weight stands for that many rows: every value and every replicate is that of the rows written out. (A weight of 0 is left to
// the next test: a class of such rows alone still counts in scikit-learn's plain means over the classes.)
func TestWeightsAreRepeatedRows(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		task := rapid.SampledFrom(tasks).Draw(r, "task")
		n := rapid.IntRange(12, 50).Draw(r, "rows")
		truth, a, _ := simulated(task, n, 3, rapid.Uint64Range(0, 50).Draw(r, "seed"))
		weight := make([]float64, n)
		counts := make([]uint8, n)
		for i := range weight {
			weight[i] = float64(rapid.IntRange(1, 3).Draw(r, "weight"))
			counts[i] = uint8(rapid.IntRange(0, 2).Draw(r, "count"))
		}
		counts[0] = 1
		truth.Weight = weight
		drawn := make([]float64, n)
		for i := range drawn {
			drawn[i] = weight[i] * float64(counts[i])
		}
		p := prepare(truth, a, 0.5)
		s := newSample(truth, nil)
		value := func(d metric.Definition, w []float64) (float64, bool) {
			rt, rs := repeated(truth, w, a)
			m, err := newSample(rt, nil).measure(d, prepare(rt, rs[0], 0.5), false)
			if err != nil {
				return 0, false // some metrics refuse rows with one class
			}
			return m.value, m.why == ""
		}
		for _, name := range weighable(task) {
			d, err := metric.Find(name)
			if err != nil {
				r.Fatal(err)
			}
			m, err := s.measure(d, p, false)
			if err != nil {
				continue
			}
			if want, ok := value(d, weight); ok && !closeTo(m.value, want) && !byRows(name) {
				r.Fatalf("%s of weighted rows is %v, of repeated rows %v", name, m.value, want)
			}
			if m.weigh == nil || byRows(name) {
				continue
			}
			got := m.weigh()(counts, counts)
			if want, ok := value(d, drawn); ok && !math.IsNaN(got) && !closeTo(got, want) {
				r.Fatalf("a replicate of %s of weighted rows is %v, of repeated rows %v", name, got, want)
			}
		}
	})
}

// byRows is a metric whose definition reads rows whatever their weights.
func byRows(name string) bool { return name == "max_error" }

// Slices, groups, the calibration curve, the curves and the business metric follow the weights too.
func TestWeightsEverywhere(t *testing.T) {
	for _, task := range tasks {
		truth, a, b := simulated(task, 300, 3, 8)
		weight := make([]float64, 300)
		r := stat.NewRand(4)
		for i := range weight {
			weight[i] = float64(r.Intn(4))
		}
		rt, rs := repeated(truth, weight, a, b)
		truth.Weight, truth.Weighted = weight, "w"
		o := Options{Metrics: weighable(task), Replicates: 50, Slices: []string{"group", "age: 18-40, 41+"}, Business: business(task), Seed: 3}
		if task == assay.Binary {
			o.Sensitive = []string{"group"}
		}
		got, err := Evaluate(context.Background(), truth, a, b, o)
		if err != nil {
			t.Fatal(err)
		}
		want, err := Evaluate(context.Background(), rt, rs[0], rs[1], o)
		if err != nil {
			t.Fatal(err)
		}
		if got.Weight != "w" || !closeTo(got.Effective, stat.EffectiveN(weight)) || want.Weight != "" || want.Effective != 0 {
			t.Errorf("%s: weight %q, effective %v", task, got.Weight, got.Effective)
		}
		same := func(what string, g, w assay.Estimate) {
			t.Helper()
			if !closeTo(g.Value, w.Value) {
				t.Errorf("%s %s: weighted %v, repeated %v", task, what, g.Value, w.Value)
			}
			if g.HasInterval() && !strings.Contains(g.Method, "weighted") && !strings.HasSuffix(g.Method, methodKish) && g.Method != methodSame {
				t.Errorf("%s %s: weighted rows have an interval by %q", task, what, g.Method)
			}
		}
		rows := append([]assay.Metric{}, got.Metrics...)
		wantRows := append([]assay.Metric{}, want.Metrics...)
		if got.Business != nil {
			rows, wantRows = append(rows, *got.Business), append(wantRows, *want.Business)
		}
		for i, m := range rows {
			same(m.Name, m.Estimate, wantRows[i].Estimate)
			same(m.Name+" of the baseline", m.Baseline, wantRows[i].Baseline)
			same(m.Name+" gain", m.Gain, wantRows[i].Gain)
		}
		if len(got.Slices) != len(want.Slices) {
			t.Fatalf("%s: %d slices, of repeated rows %d", task, len(got.Slices), len(want.Slices))
		}
		for i, s := range got.Slices {
			for k, m := range s.Metrics {
				if len(want.Slices[i].Metrics) > 0 && !byRows(m.Name) {
					same(s.Name+" "+m.Name, m.Estimate, want.Slices[i].Metrics[k].Estimate)
				}
			}
		}
		for i, d := range got.Fairness {
			same(d.Name, d.Estimate, want.Fairness[i].Estimate)
		}
		for i, c := range got.Calibration {
			same("calibration", c.Fraction, want.Calibration[i].Fraction)
		}
		if task != assay.Binary {
			continue
		}
		cg, err := Curves(truth, a, b, o)
		if err != nil {
			t.Fatal(err)
		}
		cw, err := Curves(rt, rs[0], rs[1], o)
		if err != nil {
			t.Fatal(err)
		}
		gm, _ := json.Marshal(cg.Models)
		wm, _ := json.Marshal(cw.Models)
		if !bytes.Equal(gm, wm) {
			t.Error("the curves of weighted rows are not those of repeated rows")
		}
		for i, row := range cg.Thresholds {
			same("precision", row.Precision, cw.Thresholds[i].Precision)
			same("recall", row.Recall, cw.Thresholds[i].Recall)
		}
		c, err := Compare(context.Background(), truth, a, b, 0.01, o)
		if err != nil {
			t.Fatal(err)
		}
		for i, m := range c.Metrics {
			same(m.Name+" difference", m.Difference, want.Metrics[i].Gain)
		}
		if c.Weight != "w" || c.Effective != got.Effective {
			t.Errorf("the comparison says weight %q, effective %v", c.Weight, c.Effective)
		}
		if Comparable(got, want) == nil {
			t.Error("evaluations with and without weights are comparable")
		}
	}
}

func TestWeightsThreadsDoNotMatter(t *testing.T) {
	run := func(threads int) []byte {
		return evaluated(t, assay.Binary, 200, func(truth *Truth, o *Options) {
			o.Threads, truth.Weighted = threads, "w"
			for i := range truth.N() {
				truth.Weight = append(truth.Weight, 0.5+float64(i%7))
			}
		})
	}
	if !bytes.Equal(run(1), run(7)) {
		t.Error("7 threads give another result than 1")
	}
}

func TestWeightsRefused(t *testing.T) {
	truth, a, b := simulated(assay.Multiclass, 40, 3, 8)
	nan := math.NaN()
	for name, c := range map[string]struct {
		change func(w []float64)
		metric string
		want   string
	}{
		"negative": {func(w []float64) { w[3], w[9] = -1234.5, -2 }, "log_loss", "the weight is negative in 2 rows, the first is row 4"},
		"missing":  {func(w []float64) { w[7] = nan }, "log_loss", "the weight is missing or NaN in 1 rows, the first is row 8"},
		"infinite": {func(w []float64) { w[0] = math.Inf(1) }, "log_loss", "the weight is infinite in 1 rows, the first is row 1"},
		"zero":     {func(w []float64) { clear(w) }, "log_loss", "the weights of all 40 rows are 0"},
		"huge":     {func(w []float64) { w[0], w[1] = math.MaxFloat64, math.MaxFloat64 }, "log_loss", "the weights of 40 rows sum to more than a number holds"},
		"pairs":    {func([]float64) {}, "roc_auc_score_ovo", `metric "roc_auc_score_ovo" takes no weights`},
	} {
		truth.Weight = make([]float64, 40)
		for i := range truth.Weight {
			truth.Weight[i] = 1
		}
		c.change(truth.Weight)
		o := Options{Metrics: []string{c.metric}}
		_, err := Evaluate(context.Background(), truth, a, b, o)
		if err == nil || assay.CodeOf(err) != assay.Rejected || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "1234") {
			t.Errorf("%s: %v", name, err)
		}
		if err := Ready(truth, o, a, b); err == nil {
			t.Errorf("%s: an evaluation that must fail is ready", name)
		}
	}
}

// A slice whose weight lies on few rows says so instead of giving figures.
func TestWeightsOfSlices(t *testing.T) {
	truth, a, b := simulated(assay.Binary, 400, 2, 8)
	truth.Weight = make([]float64, 400)
	for i := range truth.Weight {
		truth.Weight[i] = 1
		if truth.Columns[0].Codes[i] == 0 {
			truth.Weight[i] = 1e-6
		}
		if truth.Columns[0].Codes[i] == 1 {
			truth.Weight[i] = 0
		}
	}
	for i := range truth.Weight {
		if truth.Weight[i] == 1e-6 {
			truth.Weight[i] = 1000
			break
		}
	}
	e, err := Evaluate(context.Background(), truth, a, b, Options{Metrics: []string{"accuracy_score"}, Slices: []string{"group"}, Replicates: 200})
	if err != nil {
		t.Fatal(err)
	}
	const want = "an effective number of rows below 30"
	if e.Slices[0].Reason != want || e.Slices[1].Reason != want || e.Slices[2].Reason == want {
		t.Errorf("slices say %q, %q, %q", e.Slices[0].Reason, e.Slices[1].Reason, e.Slices[2].Reason)
	}
}
