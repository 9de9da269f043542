package eval

import (
	"bytes"
	"context"
	"encoding/json"
	"math"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/assaytest"
	"github.com/assay-ml/assay/metric"
)

func business(task assay.Task) *Business {
	switch task {
	case assay.Binary:
		return &Business{Name: "cost_per_1000", Expr: "1000.0 * (fp * 1.0 + fn * 5.0) / n"}
	case assay.Multiclass:
		return &Business{Name: "cost", Expr: `(2.0 * fn["A"] + confusion["B"]["C"]) / n`}
	case assay.Multilabel:
		return &Business{Name: "cost", Expr: `(2.0 * fn["A"] + fp["B"]) / n`}
	case assay.Ranking:
		return &Business{Name: "sales", Expr: "0.3 * dcg_score + 0.1 * mean_reciprocal_rank", Higher: true}
	case assay.Regression:
		return &Business{Name: "pain", Expr: "absolute_error + 0.5 * squared_error + math.abs(error)"}
	}
	return nil
}

func evaluated(t testing.TB, task assay.Task, n int, change func(*Truth, *Options)) []byte {
	t.Helper()
	truth, a, b := simulated(task, n, 3, 7)
	o := Options{Metrics: Metrics(task), Replicates: 200, Slices: []string{"group", "age: 18-29, 30-59, 60+"}, Business: business(task), Seed: 3}
	if task == assay.Binary {
		o.Sensitive = []string{"group"}
	}
	if change != nil {
		change(truth, &o)
	}
	e, err := Evaluate(context.Background(), truth, a, b, o)
	if err != nil {
		t.Fatal(err)
	}
	j, err := json.MarshalIndent(e, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	return append(j, '\n')
}

func TestGoldenEvaluation(t *testing.T) {
	for _, task := range tasks {
		assaytest.Golden(t, string(task)+".json", evaluated(t, task, 240, func(_ *Truth, o *Options) {
			if task == assay.Multilabel {
				o.Metrics = []string{"accuracy_score", "f1_score_macro", "roc_auc_score_macro", "hamming_loss"}
			}
		}))
	}
}

func TestThreadsDoNotMatter(t *testing.T) {
	for _, task := range tasks {
		for _, entity := range []bool{false, true} {
			run := func(threads int) []byte {
				return evaluated(t, task, 150, func(truth *Truth, o *Options) {
					o.Threads, o.Replicates = threads, 60
					if entity {
						truth.Name, truth.Entity = "person", make([]int32, truth.N())
						for i := range truth.Entity {
							truth.Entity[i] = int32(i / 3)
						}
					}
				})
			}
			want := run(1)
			for _, threads := range []int{2, 8} {
				if !bytes.Equal(want, run(threads)) {
					t.Errorf("%s, entities %v: %d threads give another result than 1", task, entity, threads)
				}
			}
		}
	}
}

// Closed forms and cell bootstraps do not see the order of the rows, and what they give for it is the same to rounding.
func TestOrderOfRowsDoesNotMatter(t *testing.T) {
	names := []string{"roc_auc_score", "log_loss", "accuracy_score", "f1_score", "matthews_corrcoef", "recall_score", "brier_score_loss"}
	truth, a, b := simulated(assay.Binary, 200, 2, 5)
	o := Options{Metrics: names, Replicates: 100, Slices: []string{"group & age: 18-40, 41+"}, MinRows: 20}
	want, err := Evaluate(context.Background(), truth, a, b, o)
	if err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(r *rapid.T) {
		order := rapid.Permutation(sequence(200)).Draw(r, "order")
		pt := &Truth{Task: truth.Task, Classes: truth.Classes, Positive: truth.Positive, Columns: truth.Columns.Take(order)}
		pa, pb := &Scores{Name: "a"}, &Scores{Name: "b"}
		for _, i := range order {
			pt.Class = append(pt.Class, truth.Class[i])
			pa.Proba, pb.Proba = append(pa.Proba, a.Proba[2*i:2*i+2]...), append(pb.Proba, b.Proba[2*i:2*i+2]...)
		}
		got, err := Evaluate(context.Background(), pt, pa, pb, o)
		if err != nil {
			r.Fatal(err)
		}
		for i, m := range got.Metrics {
			sameEstimate(r, m.Name, m.Estimate, want.Metrics[i].Estimate)
			sameEstimate(r, m.Name+" gain", m.Gain, want.Metrics[i].Gain)
		}
		for i, s := range got.Slices {
			if s.Name != want.Slices[i].Name || s.Verdict != want.Slices[i].Verdict {
				r.Fatalf("slice %d is %s %s; want %s %s", i, s.Name, s.Verdict, want.Slices[i].Name, want.Slices[i].Verdict)
			}
			for k, m := range s.Metrics {
				sameEstimate(r, s.Name+" "+m.Name, m.Gap, want.Slices[i].Metrics[k].Gap)
			}
		}
	})
}

func sequence(n int) []int {
	out := make([]int, n)
	for i := range out {
		out[i] = i
	}
	return out
}

type fataler interface{ Fatalf(string, ...any) }

func sameEstimate(t fataler, what string, a, b assay.Estimate) {
	same := func(x, y float64) bool { return math.IsNaN(x) && math.IsNaN(y) || math.Abs(x-y) < 1e-9 }
	if !same(a.Value, b.Value) || !same(a.Lo, b.Lo) || !same(a.Hi, b.Hi) || a.Method != b.Method {
		t.Fatalf("%s is %v %s; want %v %s", what, a, a.Method, b, b.Method)
	}
}

// Swapping the two models turns every difference round.
func TestCompareIsSymmetric(t *testing.T) {
	for _, task := range tasks {
		truth, a, b := simulated(task, 200, 3, 9)
		o := Options{Metrics: Metrics(task), Replicates: 300}
		if task == assay.Multilabel {
			o.Metrics = []string{"accuracy_score", "hamming_loss", "f1_score_macro"}
		}
		x, err := Compare(context.Background(), truth, a, b, 0, o)
		if err != nil {
			t.Fatal(err)
		}
		y, err := Compare(context.Background(), truth, b, a, 0, o)
		if err != nil {
			t.Fatal(err)
		}
		for i, m := range x.Metrics {
			w := y.Metrics[i]
			near(t, m.Name+" difference", m.Difference.Value, -w.Difference.Value, 1e-12)
			near(t, m.Name+" p-value", float64(m.PValue), float64(w.PValue), 1e-9)
			// Quantiles of replicates are cut at shares that are rounded on either side.
			near(t, m.Name+" lower end", m.Difference.Lo, -w.Difference.Hi, 1e-9)
			near(t, m.Name+" upper end", m.Difference.Hi, -w.Difference.Lo, 1e-9)
		}
	}
}

func TestCompareWithItself(t *testing.T) {
	for _, task := range tasks {
		truth, a, _ := simulated(task, 100, 3, 2)
		c, err := Compare(context.Background(), truth, a, a, 0, Options{Metrics: Metrics(task), Replicates: 50})
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range c.Metrics {
			if m.Difference.Value != 0 {
				t.Errorf("%s %s differs from itself by %v", task, m.Name, m.Difference)
			}
			if m.Difference.HasInterval() && (m.Difference.Lo > 0 || m.Difference.Hi < 0) {
				t.Errorf("%s %s: the interval %v of no difference leaves out 0", task, m.Name, m.Difference)
			}
			if m.Verdict == assay.Fail {
				t.Errorf("%s %s is worse than itself", task, m.Name)
			}
		}
		if c.Better == assay.Pass {
			t.Errorf("%s: a model is better than itself", task)
		}
	}
}

func TestCompareVerdicts(t *testing.T) {
	truth, a, b := simulated(assay.Binary, 2000, 2, 4)
	o := Options{Metrics: []string{"roc_auc_score", "log_loss", "accuracy_score"}, Replicates: 50}
	for _, x := range []struct {
		first, second  *Scores
		margin         float64
		verdict, above assay.Verdict
	}{
		{a, b, 0, assay.Pass, assay.Pass},
		{b, a, 0, assay.Fail, assay.Fail},
		{b, a, 0.5, assay.Pass, assay.Fail},
	} {
		c, err := Compare(context.Background(), truth, x.first, x.second, x.margin, o)
		if err != nil {
			t.Fatal(err)
		}
		if c.Verdict != x.verdict || c.Better != x.above {
			t.Errorf("%s against %s within %v is %s and better %s; want %s and %s", x.first.Name, x.second.Name, x.margin, c.Verdict, c.Better, x.verdict, x.above)
		}
	}
	if _, err := Compare(context.Background(), truth, a, b, math.NaN(), o); assay.CodeOf(err) != assay.Invalid {
		t.Errorf("a margin of NaN gives %v", err)
	}
}

func TestComparable(t *testing.T) {
	a := assay.Evaluation{Rows: "sha256:aa", Count: 3, Task: assay.Binary, Positive: "1", Metrics: []assay.Metric{{Name: "f1_score", Definition: "f1_score@sklearn>=1.8"}}}
	if err := Comparable(a, a); err != nil {
		t.Errorf("an evaluation is not comparable with itself: %v", err)
	}
	b := a
	b.Rows, b.Positive, b.Metrics = "sha256:bb", "0", []assay.Metric{{Name: "f1_score", Definition: "f1_score@other"}}
	err := Comparable(a, b)
	if assay.CodeOf(err) != assay.Refused {
		t.Fatalf("other rows and definitions give %v", err)
	}
	for _, want := range []string{"different rows", "positive class", "f1_score@other"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q does not say %q", err, want)
		}
	}
}

// More slices change the corrected p-values of the others and nothing else; a slice of all rows has nothing to be held against but the
// baseline, over which it gains what the model gains.
func TestConstantSliceChangesNothing(t *testing.T) {
	with := func(slices ...string) assay.Evaluation {
		truth, a, b := simulated(assay.Binary, 300, 2, 6)
		truth.Columns = append(truth.Columns, assay.Column{Name: "one", Type: assay.TypeInteger, Floats: make([]float64, 300)})
		e, err := Evaluate(context.Background(), truth, a, b, Options{Metrics: []string{"average_precision_score", "f1_score", "log_loss"}, Slices: slices, Replicates: 100})
		if err != nil {
			t.Fatal(err)
		}
		return e
	}
	plain, more := with("group"), with("group", "one")
	last := more.Slices[len(more.Slices)-1]
	more.Slices = more.Slices[:len(more.Slices)-1]
	for i := range plain.Slices {
		plain.Slices[i].PValue, more.Slices[i].PValue = nil, nil
	}
	x, _ := json.Marshal(plain)
	y, _ := json.Marshal(more)
	if !bytes.Equal(x, y) {
		t.Error("a constant column of slices changes the evaluation")
	}
	if last.Count != 300 || last.Metrics[0].Gap.Defined() || *last.Gain != more.Metrics[0].Gain {
		t.Errorf("the slice of all rows has %d rows, the gap %v and gains %v, not %v", last.Count, last.Metrics[0].Gap, *last.Gain, more.Metrics[0].Gain)
	}
}

// The group figures are those of package metric, which agrees with fairlearn.
func TestFairnessIsThatOfPackageMetric(t *testing.T) {
	truth, a, b := simulated(assay.Binary, 400, 2, 12)
	e, err := Evaluate(context.Background(), truth, a, b, Options{Metrics: []string{"accuracy_score"}, Sensitive: []string{"group"}, MinRows: 1, MinPositives: 1})
	if err != nil {
		t.Fatal(err)
	}
	in := prepare(truth, a, DefaultThreshold).input
	in.Groups = make([]int32, truth.N())
	for i, c := range truth.Columns.Column("group").Codes {
		in.Groups[i] = c
		if c < 0 {
			in.Groups[i] = 3
		}
	}
	names := 0
	for _, d := range e.Fairness {
		if _, ok := metric.Lookup(d.Name); !ok {
			t.Errorf("%s is no metric", d.Name)
			continue
		}
		want, err := metric.Score(d.Name, in)
		if err != nil {
			t.Fatal(err)
		}
		near(t, d.Name, d.Estimate.Value, want.Value, 1e-12)
		if !d.Estimate.HasInterval() || d.Estimate.Lo > d.Estimate.Value || d.Estimate.Hi < d.Estimate.Value {
			t.Errorf("%s is %v with the interval %v to %v", d.Name, d.Estimate.Value, d.Estimate.Lo, d.Estimate.Hi)
		}
		names++
	}
	if names != 6 {
		t.Errorf("%d figures of fairness; want 6", names)
	}
}

// Entities widen the intervals when their rows agree.
func TestEntitiesWiden(t *testing.T) {
	truth, a, b := simulated(assay.Binary, 200, 2, 14)
	const copies = 5
	many := &Truth{Task: truth.Task, Classes: truth.Classes, Positive: truth.Positive, Name: "person"}
	ma, mb := &Scores{Name: "a"}, &Scores{Name: "b"}
	for i := range truth.N() {
		for range copies {
			many.Class = append(many.Class, truth.Class[i])
			many.Entity = append(many.Entity, int32(i))
			ma.Proba, mb.Proba = append(ma.Proba, a.Proba[2*i:2*i+2]...), append(mb.Proba, b.Proba[2*i:2*i+2]...)
		}
	}
	o := Options{Metrics: []string{"roc_auc_score", "average_precision_score", "log_loss", "accuracy_score", "f1_score"}, Replicates: 2000}
	one, err := Evaluate(context.Background(), truth, a, b, o)
	if err != nil {
		t.Fatal(err)
	}
	rows := *many
	rows.Entity = nil
	naive, err := Evaluate(context.Background(), &rows, ma, mb, o)
	if err != nil {
		t.Fatal(err)
	}
	clustered, err := Evaluate(context.Background(), many, ma, mb, o)
	if err != nil {
		t.Fatal(err)
	}
	for i, m := range clustered.Metrics {
		width := func(e assay.Estimate) float64 { return e.Hi - e.Lo }
		got, want := width(m.Estimate), width(one.Metrics[i].Estimate)
		if !(got > 0.75*want && got < 1.35*want) {
			t.Errorf("%s of five copies of each row has an interval of width %v; of one copy it is %v", m.Name, got, want)
		}
		if w := width(naive.Metrics[i].Estimate); !(w < 0.7*got) {
			t.Errorf("%s without entities has width %v, with them %v", m.Name, w, got)
		}
		if m.Estimate.N != 200 || !strings.HasPrefix(m.Estimate.Method, "cluster ") {
			t.Errorf("%s by entity says %d units, method %s", m.Name, m.Estimate.N, m.Estimate.Method)
		}
	}
}

func TestBusiness(t *testing.T) {
	truth, a, b := simulated(assay.Binary, 300, 2, 15)
	e, err := Evaluate(context.Background(), truth, a, b, Options{Metrics: []string{"accuracy_score"}, Business: business(assay.Binary)})
	if err != nil {
		t.Fatal(err)
	}
	var fp, fn float64
	for i, y := range truth.Class {
		switch p := prepare(truth, a, 0.5).input.Labels[i]; {
		case int(p) == truth.Positive && p != y:
			fp++
		case p != y:
			fn++
		}
	}
	near(t, "the cost", e.Business.Estimate.Value, 1000*(fp+5*fn)/300, 1e-12)
	if e.Business.Gain.Value != e.Business.Baseline.Value-e.Business.Estimate.Value || !e.Business.Gain.HasInterval() {
		t.Errorf("lower cost is a gain of %v", e.Business.Gain)
	}
	for expr, want := range map[string]string{
		"fp + fn +":                          "business metric b: syntax error at character 10: it ends too early",
		"fp + 1":                             "business metric b: + at character 4 does not take (double, int)",
		"tp > 1.0":                           "not a double",
		"nonsense":                           `there is no "nonsense" at character 1`,
		"fp / 0.0":                           "",
		strings.Repeat("tp + ", 2000) + "tp": "business metric b: the expression is 10,002 bytes long, more than the 8,192 that are allowed",
		strings.Repeat("(", 100) + "tp" + strings.Repeat(")", 100): "recursion",
		"[1.0][int(n)]": "index",
	} {
		e, err := Evaluate(context.Background(), truth, a, b, Options{Metrics: []string{"accuracy_score"}, Business: &Business{Name: "b", Expr: expr}})
		if want == "" {
			if err != nil || e.Business.Verdict != assay.Undetermined || e.Business.Estimate.Defined() {
				t.Errorf("%q gives %v and %v", expr, e.Business, err)
			}
			continue
		}
		if assay.CodeOf(err) != assay.Invalid || !strings.Contains(err.Error(), want) {
			t.Errorf("%q gives %v; want an error with %q", expr, err, want)
		}
	}
}

func TestBadInput(t *testing.T) {
	nan := math.NaN()
	good := func() (*Truth, *Scores, Options) {
		tr, a, _ := simulated(assay.Binary, 20, 2, 1)
		return tr, a, Options{Metrics: []string{"roc_auc_score"}}
	}
	for name, x := range map[string]struct {
		spoil func(*Truth, *Scores, *Options)
		want  []string
	}{
		"no rows":       {func(t *Truth, s *Scores, _ *Options) { t.Class, s.Proba, t.Columns = nil, nil, nil }, []string{"no rows"}},
		"NaN":           {func(_ *Truth, s *Scores, _ *Options) { s.Proba[2], s.Proba[9] = nan, nan }, []string{"outside 0 to 1 or NaN in 2 rows, the first is row 2"}},
		"outside":       {func(_ *Truth, s *Scores, _ *Options) { s.Proba[0] = 1.5 }, []string{"outside 0 to 1"}},
		"sum":           {func(_ *Truth, s *Scores, _ *Options) { s.Proba[0], s.Proba[1] = 0.1, 0.1 }, []string{"do not sum to 1 in 1 rows"}},
		"length":        {func(_ *Truth, s *Scores, _ *Options) { s.Proba = s.Proba[2:] }, []string{"38 probabilities for 20 rows"}},
		"unseen class":  {func(t *Truth, _ *Scores, _ *Options) { t.Class[3] = 2 }, []string{"none of the 2 classes in 1 rows, the first is row 4"}},
		"unknown":       {func(_ *Truth, _ *Scores, o *Options) { o.Metrics = []string{"rocauc", "roc_auc_score", "r2_score"} }, []string{"unknown metric", "does not fit a binary task", "the primary"}},
		"labels only":   {func(t *Truth, s *Scores, _ *Options) { s.Proba, s.Label = nil, t.Class }, []string{"needs probabilities"}},
		"groups":        {func(_ *Truth, _ *Scores, o *Options) { o.Metrics = append(o.Metrics, "equalized_odds_ratio") }, []string{"data.sensitive"}},
		"level":         {func(_ *Truth, _ *Scores, o *Options) { o.Level, o.Threshold, o.Replicates = 95, 2, -1 }, []string{"level 95", "threshold 2", "-1 bootstrap"}},
		"slice":         {func(_ *Truth, _ *Scores, o *Options) { o.Slices = []string{"nowhere", "group: 1-2"} }, []string{"no column", "has no bands"}},
		"sensitive":     {func(_ *Truth, _ *Scores, o *Options) { o.Sensitive = []string{"nowhere"} }, []string{`"nowhere"`}},
		"entity":        {func(t *Truth, _ *Scores, _ *Options) { t.Entity = []int32{1} }, []string{"1 entity codes for 20 rows"}},
		"several":       {func(t *Truth, s *Scores, o *Options) { t.Class[0], s.Proba[0], o.Level = 7, nan, 2 }, []string{"none of the 2", "NaN", "level 2"}},
		"twice":         {func(_ *Truth, _ *Scores, o *Options) { o.Metrics = []string{"log_loss", "log_loss"} }, []string{"twice"}},
		"no metric":     {func(_ *Truth, _ *Scores, o *Options) { o.Metrics = nil }, []string{"no metric"}},
		"wrong columns": {func(t *Truth, _ *Scores, _ *Options) { t.Columns[0].Codes = t.Columns[0].Codes[1:] }, []string{"19 rows of columns"}},
	} {
		truth, s, o := good()
		x.spoil(truth, s, &o)
		if name == "unknown" {
			o.Primary = "f1_score"
		}
		_, err := Evaluate(context.Background(), truth, s, s, o)
		if err == nil {
			t.Errorf("%s: no error", name)
			continue
		}
		for _, w := range x.want {
			if !strings.Contains(err.Error(), w) {
				t.Errorf("%s: %q does not say %q", name, err, w)
			}
		}
	}
}

// One class, a constant target, one row: figures that cannot be had are undefined with their reason, and no verdict is pass.
func TestDegenerate(t *testing.T) {
	for _, task := range tasks {
		for _, n := range []int{1, 2, 40} {
			truth, a, b := simulated(task, n, 3, 3)
			for i := range truth.Class {
				truth.Class[i] = 0
			}
			for i := range truth.Value {
				truth.Value[i] = 1
			}
			o := Options{Metrics: Metrics(task), Replicates: 30, Slices: []string{"group"}, MinRows: 1, MinPositives: 1, Business: business(task)}
			e, err := Evaluate(context.Background(), truth, a, b, o)
			if err != nil {
				t.Errorf("%s, %d rows: %v", task, n, err)
				continue
			}
			for _, m := range e.Metrics {
				if !m.Gain.HasInterval() && m.Verdict != assay.Undetermined {
					t.Errorf("%s %s of %d rows has no interval and the verdict %s", task, m.Name, n, m.Verdict)
				}
				if math.IsNaN(m.Estimate.Value) && m.Estimate.Method == "undefined: " {
					t.Errorf("%s %s of %d rows does not say why it is undefined", task, m.Name, n)
				}
			}
		}
	}
}

// A perfect model is not certain.
func TestPerfectModel(t *testing.T) {
	truth, a, _ := simulated(assay.Binary, 40, 2, 3)
	prior := &Scores{Name: "prior", Proba: make([]float64, 80)}
	for i, y := range truth.Class {
		a.Proba[2*i], a.Proba[2*i+1] = 1-float64(y), float64(y)
		prior.Proba[2*i], prior.Proba[2*i+1] = 0.5, 0.5
	}
	e, err := Evaluate(context.Background(), truth, a, prior, Options{Metrics: []string{"roc_auc_score", "accuracy_score", "f1_score", "average_precision_score"}})
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range e.Metrics {
		if m.Estimate.Value != 1 {
			t.Errorf("%s of a perfect model is %v", m.Name, m.Estimate.Value)
		}
		if m.Estimate.HasInterval() && !(m.Estimate.Lo < 0.95) || m.Gain.HasInterval() && m.Gain.Lo == m.Gain.Hi {
			t.Errorf("%s of a perfect model on 40 rows is certain: %v, gain %v", m.Name, m.Estimate, m.Gain)
		}
	}
}

func TestCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	truth, a, b := simulated(assay.Binary, 100, 2, 1)
	if _, err := Evaluate(ctx, truth, a, b, Options{Metrics: []string{"f1_score", "average_precision_score"}}); assay.CodeOf(err) != assay.Unavailable {
		t.Errorf("a cancelled evaluation gives %v", err)
	}
}

// TestIntervalsArePossible holds every interval of small evaluations, of values, gains and gaps, against what the metric can be: a value
// within its range, a difference within the width of it, and a gain over a model with one answer for all rows, whose area is 0.5
// whatever the rows are, within what is left of the range. It is also held that some were cut at all, and that none lost its value.
func TestIntervalsArePossible(t *testing.T) {
	cut := map[string]int{}
	inside := func(what string, e assay.Estimate, least, greatest float64) {
		t.Helper()
		if !e.HasInterval() {
			return
		}
		if e.Lo < least-1e-12 || e.Hi > greatest+1e-12 {
			t.Errorf("%s: %v in [%v, %v], which cannot be: it is within [%v, %v]", what, e.Value, e.Lo, e.Hi, least, greatest)
		}
		if e.Hi == greatest || e.Lo == least {
			cut[strings.Fields(what)[0]]++
		}
	}
	for _, task := range tasks {
		for seed := range uint64(12) {
			truth, a, b := simulated(task, 24, 3, seed)
			constant := seed%2 == 0 && task.Classifies()
			if constant {
				k := len(b.Proba) / truth.N()
				for i := k; i < len(b.Proba); i++ {
					b.Proba[i] = b.Proba[i%k]
				}
				b.Label = nil
			}
			if task == assay.Binary { // nearly as good as can be
				for i, c := range truth.Class {
					p := 0.9 - 0.02*float64(i%20)
					if int(c) != truth.Positive {
						p = 1 - p
					}
					a.Proba[2*i+truth.Positive], a.Proba[2*i+1-truth.Positive] = p, 1-p
				}
				a.Label = nil
			}
			e, err := Evaluate(context.Background(), truth, a, b, Options{Metrics: Metrics(task), Replicates: 200, Slices: []string{"group"}, MinRows: 5, MinPositives: 1, Seed: seed})
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range e.Metrics {
				d, _ := metric.Lookup(m.Name)
				least, greatest := d.Range(task)
				inside("value of "+m.Name, m.Estimate, least, greatest)
				inside("value of "+m.Name, m.Baseline, least, greatest)
				lo, hi := least-greatest, greatest-least
				if constant && strings.HasPrefix(m.Name, "roc_auc_score") && !strings.HasSuffix(m.Name, "_micro") && m.Baseline.Value == 0.5 {
					lo, hi = -0.5, 0.5
				}
				inside("gain in "+m.Name, m.Gain, lo, hi)
			}
			for _, s := range e.Slices {
				for _, m := range s.Metrics {
					d, _ := metric.Lookup(m.Name)
					least, greatest := d.Range(task)
					inside("value of "+m.Name+" in "+s.Name, m.Estimate, least, greatest)
					inside("gap of "+m.Name+" in "+s.Name, m.Gap, least-greatest, greatest-least)
				}
			}
		}
	}
	if cut["value"] == 0 || cut["gain"] == 0 {
		t.Errorf("nothing reaches the bounds: %v", cut)
	}
}
