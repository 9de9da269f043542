package metric

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/assay-ml/assay"
	"pgregory.net/rapid"
)

func near(a, b float64) bool {
	return math.IsNaN(a) && math.IsNaN(b) || a == b || math.Abs(a-b) <= 1e-9*(1+math.Abs(a)+math.Abs(b))
}

// drawInput draws rows of a task, with ties and missing classes.
func drawInput(t *rapid.T, task assay.Task) Input {
	n := rapid.IntRange(1, 40).Draw(t, "rows")
	k := map[assay.Task]int{assay.Binary: 2, assay.Multiclass: 4, assay.Multilabel: 3, assay.Regression: 0}[task]
	in := Input{Task: task, Classes: []string{"a", "b", "c", "d"}[:k]}
	class := rapid.Int32Range(0, int32(max(1, k-1)))
	cell := rapid.Float64Range(0, 1)
	if rapid.Bool().Draw(t, "ties") {
		cell = rapid.Map(rapid.IntRange(0, 8), func(i int) float64 { return float64(i) / 8 })
	}
	switch task {
	case assay.Regression:
		value := rapid.Float64Range(0.25, 100)
		in.Target, in.Values = rapid.SliceOfN(value, n, n).Draw(t, "target"), rapid.SliceOfN(value, n, n).Draw(t, "values")
		return in
	case assay.Multilabel:
		bit := rapid.Int32Range(0, 1)
		in.Truth, in.Labels = rapid.SliceOfN(bit, n*k, n*k).Draw(t, "truth"), rapid.SliceOfN(bit, n*k, n*k).Draw(t, "labels")
		in.Proba = rapid.SliceOfN(cell, n*k, n*k).Draw(t, "proba")
		return in
	}
	in.Truth, in.Labels = rapid.SliceOfN(class, n, n).Draw(t, "truth"), rapid.SliceOfN(class, n, n).Draw(t, "labels")
	in.Positive = rapid.IntRange(0, 1).Draw(t, "positive")
	in.Groups = rapid.SliceOfN(rapid.Int32Range(0, 2), n, n).Draw(t, "groups")
	if task == assay.Binary {
		in.Proba = rapid.SliceOfN(cell, n, n).Draw(t, "proba")
		return in
	}
	for range n {
		row := rapid.SliceOfN(rapid.Map(rapid.IntRange(1, 8), func(i int) float64 { return float64(i) }), k, k).Draw(t, "row")
		s := sum(row)
		for _, v := range row {
			in.Proba = append(in.Proba, v/s)
		}
	}
	return in
}

func drawTask(t *rapid.T) assay.Task {
	return rapid.SampledFrom([]assay.Task{assay.Binary, assay.Multiclass, assay.Multilabel, assay.Regression}).Draw(t, "task")
}

// pick is the input of the given rows, which may repeat.
func (in Input) pick(rows []int) Input {
	out := in
	out.Truth, out.Labels, out.Groups = picked(in.Truth, in.rows(), rows), picked(in.Labels, in.rows(), rows), picked(in.Groups, in.rows(), rows)
	out.Proba, out.Target, out.Values, out.Weights = picked(in.Proba, in.rows(), rows), picked(in.Target, in.rows(), rows), picked(in.Values, in.rows(), rows), picked(in.Weights, in.rows(), rows)
	return out
}

func picked[T any](v []T, n int, rows []int) []T {
	if v == nil {
		return nil
	}
	k := len(v) / n
	out := make([]T, 0, len(rows)*k)
	for _, r := range rows {
		out = append(out, v[r*k:(r+1)*k]...)
	}
	return out
}

func (in Input) rows() int {
	switch in.Task {
	case assay.Regression:
		return len(in.Target)
	case assay.Multilabel:
		return len(in.Truth) / len(in.Classes)
	}
	return len(in.Truth)
}

// TestBoundsOfEveryMetric also holds that NaN is never a measurement and that the bounds of the documentation are true.
func TestBoundsOfEveryMetric(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := drawInput(t, drawTask(t))
		if rapid.Bool().Draw(t, "weighted") {
			in.Weights = rapid.SliceOfN(rapid.Float64Range(0.125, 4), in.rows(), in.rows()).Draw(t, "weights")
		}
		for _, d := range For(in.Task) {
			v, err := d.Score(in)
			if err != nil {
				if strings.Contains(d.Name, "_ovo") && in.Weights != nil {
					continue
				}
				t.Fatalf("%s: %v", d.Name, err)
			}
			low, high := math.Inf(-1), math.Inf(1)
			switch {
			case d.Name == "brier_score_loss" && in.Task != assay.Binary:
				low, high = 0, 2
			case strings.Contains(d.Doc, "In [0,1]") || strings.Contains(d.Doc, "In (0,1]"):
				low, high = 0, 1
			case strings.Contains(d.Doc, "In [-1,1]"):
				low, high = -1, 1
			case strings.Contains(d.Doc, "At most 1"):
				high = 1
			case strings.Contains(d.Doc, "At least 0") || d.Input == NeedValues:
				low = 0
			}
			const slack = 1e-12
			if math.IsNaN(v.Value) == v.Defined() && math.IsNaN(v.Value) || v.Value < low-slack || v.Value > high+slack {
				t.Fatalf("%s is %v, outside [%v,%v]", d.Name, v, low, high)
			}
		}
	})
}

func TestOrderOfRowsDoesNotMatter(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := drawInput(t, drawTask(t))
		rows := make([]int, in.rows())
		for i := range rows {
			rows[i] = i
		}
		other := in.pick(rapid.Permutation(rows).Draw(t, "order"))
		for _, d := range For(in.Task) {
			a, errA := d.Score(in)
			b, errB := d.Score(other)
			if (errA == nil) != (errB == nil) || !near(a.Value, b.Value) || a.Defined() != b.Defined() {
				t.Fatalf("%s: %v, %v and in another order %v, %v", d.Name, a, errA, b, errB)
			}
		}
	})
}

// TestWeightsRepeat: a row of weight m is m rows, and a row of weight 0 is none, but where scikit-learn lets it name a class or count
// a place.
func TestWeightsRepeat(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := drawInput(t, drawTask(t))
		var rows []int
		for i := range in.rows() {
			m := rapid.IntRange(1, 3).Draw(t, "times")
			in.Weights = append(in.Weights, float64(m))
			rows = append(rows, slices.Repeat([]int{i}, m)...)
		}
		repeated := in.pick(rows)
		repeated.Weights = nil
		if in.rows() == 1 {
			t.Skip("one row of any weight is one row")
		}
		for _, d := range For(in.Task) {
			if strings.Contains(d.Name, "_ovo") {
				continue
			}
			a, errA := d.Score(in)
			b, errB := d.Score(repeated)
			if (errA == nil) != (errB == nil) || !near(a.Value, b.Value) || a.Defined() != b.Defined() {
				t.Fatalf("%s: weighted %v, %v and repeated %v, %v", d.Name, a, errA, b, errB)
			}
		}
	})
}

func TestNamesOfClassesDoNotMatter(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := drawInput(t, assay.Multiclass)
		order := rapid.Permutation([]int32{0, 1, 2, 3}).Draw(t, "classes")
		other := in
		other.Truth, other.Labels, other.Proba = slices.Clone(in.Truth), slices.Clone(in.Labels), slices.Clone(in.Proba)
		for i := range in.Truth {
			other.Truth[i], other.Labels[i] = order[in.Truth[i]], order[in.Labels[i]]
			for c, to := range order {
				other.Proba[4*i+int(to)] = in.Proba[4*i+c]
			}
		}
		for _, d := range For(in.Task) {
			if strings.HasPrefix(d.Name, "cohen_kappa_score_") || strings.HasPrefix(d.Name, "top_k") {
				continue // the order of the classes, or that of tied ones, enters
			}
			a, errA := d.Score(in)
			b, errB := d.Score(other)
			if (errA == nil) != (errB == nil) || !near(a.Value, b.Value) || a.Defined() != b.Defined() {
				t.Fatalf("%s: %v, %v and with other names %v, %v", d.Name, a, errA, b, errB)
			}
		}
	})
}

func TestRankingScoresSeeOnlyTheOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := drawInput(t, assay.Binary)
		other := in
		other.Proba = nil
		for _, p := range in.Proba {
			other.Proba = append(other.Proba, math.Ldexp(p, -3)+0.125)
		}
		if len(slices.Compact(slices.Sorted(slices.Values(in.Proba)))) != len(slices.Compact(slices.Sorted(slices.Values(other.Proba)))) {
			t.Skip("rounding made a tie")
		}
		for _, d := range For(in.Task) {
			if d.Input != NeedScores {
				continue
			}
			a, _ := d.Score(in)
			b, err := d.Score(other)
			if err != nil || !near(a.Value, b.Value) {
				t.Fatalf("%s: %v and transformed %v, %v", d.Name, a, b, err)
			}
		}
		flipped := slices.Clone(in.Truth)
		for i := range flipped {
			flipped[i] = 1 - flipped[i]
		}
		a, _ := RocAucScore(in.Truth, in.Proba, RankOptions{})
		b, _ := RocAucScore(flipped, in.Proba, RankOptions{})
		if !near(a.Value, 1-b.Value) {
			t.Fatalf("AUC %v, of the other class %v", a, b)
		}
	})
}

// TestRankingAgrees holds the passes over a ranking against the functions that sort each time.
func TestRankingAgrees(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := drawInput(t, assay.Binary)
		n := in.rows()
		w := rapid.SliceOfN(rapid.SampledFrom([]float64{0, 0.5, 1, 2, 3}), n, n).Draw(t, "weights")
		if sum(w) == 0 {
			w[0] = 1
		}
		r, err := Rank(in.Truth, in.Proba)
		if err != nil {
			t.Fatal(err)
		}
		ranked := make([]float64, n)
		r.Gather(ranked, w)
		for i, row := range r.Rows() {
			if r.Scores()[i] != in.Proba[row] || i > 0 && r.Scores()[i] > r.Scores()[i-1] {
				t.Fatalf("row %d of the ranking scores %v", i, r.Scores()[i])
			}
		}
		for _, weights := range [][]float64{nil, w} {
			given := weights
			if weights != nil {
				given = ranked
			}
			a, _ := RocAucScore(in.Truth, in.Proba, RankOptions{Weights: weights})
			b := r.RocAucScore(given)
			c, _ := AveragePrecisionScore(in.Truth, in.Proba, RankOptions{Weights: weights})
			d := r.AveragePrecisionScore(given)
			if !near(a.Value, b.Value) || a.Defined() != b.Defined() || !near(c.Value, d.Value) || c.Defined() != d.Defined() {
				t.Fatalf("AUC %v and %v, average precision %v and %v", a, b, c, d)
			}
		}
		curve, err := RocCurve(in.Truth, in.Proba, nil, true)
		if err != nil {
			t.Fatal(err)
		}
		if auc, _ := RocAucScore(in.Truth, in.Proba, RankOptions{}); auc.Defined() {
			area, err := Auc(curve.X, curve.Y)
			if err != nil || !near(area, auc.Value) {
				t.Fatalf("area %v, %v and AUC %v", area, err, auc)
			}
		}
	})
}

// TestSortsAgree: the radix sort, which only long inputs meet, against the comparison sort.
func TestSortsAgree(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := smallSort + rapid.IntRange(0, 2000).Draw(t, "more")
		state := rapid.Uint64().Draw(t, "state")
		kind := rapid.IntRange(0, 3).Draw(t, "kind")
		v := make([]float64, n)
		for i := range v {
			state = state*6364136223846793005 + 1442695040888963407
			switch kind {
			case 0:
				v[i] = float64(state>>11) / (1 << 53)
			case 1:
				v[i] = float64(int64(state)>>60) / 4
			case 2:
				v[i] = math.Float64frombits(state)
				if v[i]-v[i] != 0 {
					v[i] = math.Copysign(0, v[i])
				}
			case 3:
				v[i] = 7
			}
		}
		want := slices.Clone(v)
		slices.Sort(want)
		keys, pairs := make([]uint64, n), make([]keyed[int], n)
		for i, x := range v {
			keys[i], pairs[i] = sortKey(x), keyed[int]{sortKey(x), i}
		}
		keys, pairs = sortKeys(keys), sortKeyed(pairs)
		for i := range want {
			if keyScore(keys[i]) != want[i] || pairs[i].key != keys[i] || i > 0 && pairs[i].key == pairs[i-1].key && pairs[i].val < pairs[i-1].val {
				t.Fatalf("place %d: %v and %v, want %v", i, keyScore(keys[i]), keyScore(pairs[i].key), want[i])
			}
		}
		middle := (want[(n-1)/2] + want[n/2]) / 2
		if got := median(v); !near(got, middle) {
			t.Fatalf("median %v, want %v", got, middle)
		}
	})
}

func TestManyRowsAgreeWithFew(t *testing.T) {
	truth, pred, scores, weights := sample(20_000, true)
	for _, w := range [][]float64{nil, weights} {
		r, err := Rank(truth, scores)
		if err != nil {
			t.Fatal(err)
		}
		ranked := w
		if w != nil {
			ranked = make([]float64, len(w))
			r.Gather(ranked, w)
		}
		a, _ := RocAucScore(truth, scores, RankOptions{Weights: w})
		b, _ := AveragePrecisionScore(truth, scores, RankOptions{Weights: w})
		if c, d := r.RocAucScore(ranked), r.AveragePrecisionScore(ranked); !near(a.Value, c.Value) || !near(b.Value, d.Value) {
			t.Errorf("AUC %v and %v, average precision %v and %v", a, c, b, d)
		}
		f, err := F1Score(truth, pred, LabelOptions{Weights: w})
		c, errC := ConfusionMatrix(truth, pred, LabelOptions{Weights: w})
		n, errN := c.Class(1)
		if err != nil || errC != nil || errN != nil || !near(f.Value, 2*n.TP/(2*n.TP+n.FP+n.FN)) {
			t.Errorf("F1 %v of %+v: %v %v %v", f, n, err, errC, errN)
		}
	}
}

// TestAllocations guards what the hot paths allocate, whatever the number of rows.
func TestAllocations(t *testing.T) {
	truth, pred, scores, weights := sample(30_000, false)
	r, err := Rank(truth, scores)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		most float64
		f    func() (Value, error)
	}{
		{"roc_auc_score", 10, func() (Value, error) { return RocAucScore(truth, scores, RankOptions{}) }},
		{"average_precision_score", 10, func() (Value, error) { return AveragePrecisionScore(truth, scores, RankOptions{}) }},
		{"log_loss", 4, func() (Value, error) { return LogLoss(truth, scores, ProbaOptions{}) }},
		{"brier_score_loss", 4, func() (Value, error) { return BrierScoreLoss(truth, scores, BrierAuto, ProbaOptions{}) }},
		{"f1_score", 12, func() (Value, error) { return F1Score(truth, pred, LabelOptions{}) }},
		{"accuracy_score", 8, func() (Value, error) { return AccuracyScore(truth, pred, LabelOptions{Weights: weights}) }},
		{"ranking AUC", 0, func() (Value, error) { return r.RocAucScore(weights), nil }},
		{"ranking average precision", 0, func() (Value, error) { return r.AveragePrecisionScore(weights), nil }},
	} {
		if got := testing.AllocsPerRun(5, func() { _, _ = c.f() }); got > c.most {
			t.Errorf("%s allocates %v times, more than %v", c.name, got, c.most)
		}
	}
}

// TestResamplesAgree: a metric from the confusion matrix, and the weighted mean of its numbers a row, are what Score gives.
func TestResamplesAgree(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := drawInput(t, drawTask(t))
		if rapid.Bool().Draw(t, "weighted") {
			in.Weights = rapid.SliceOfN(rapid.Float64Range(0.125, 4), in.rows(), in.rows()).Draw(t, "weights")
		}
		counted, tabled, means := 0, 0, 0
		for _, d := range For(in.Task) {
			want, err := d.Score(in)
			if err != nil {
				continue
			}
			if d.IsCounted() && in.Task != assay.Multilabel {
				c, err := ConfusionMatrix(in.Truth, in.Labels, LabelOptions{Classes: len(in.Classes), Weights: in.Weights})
				if err != nil {
					t.Fatal(err)
				}
				bare := Confusion{Classes: c.Classes, Counts: c.Counts}
				for _, m := range []Confusion{c, bare} {
					got, err := d.FromConfusion(m, in.Positive)
					if err != nil || !near(got.Value, want.Value) || got.Defined() != want.Defined() {
						t.Fatalf("%s: %v, from the matrix %v, %v", d.Name, want, got, err)
					}
				}
				counted++
			}
			if d.IsTabled() && in.Task == assay.Multilabel {
				o := LabelOptions{Classes: len(in.Classes), Average: Macro, Multilabel: true, Weights: in.Weights}
				tables, err := countColumns(in.Truth, in.Labels, o)
				if err != nil {
					t.Fatal(err)
				}
				if got, err := d.FromTables(tables.counts); err != nil || !near(got.Value, want.Value) || got.Defined() != want.Defined() {
					t.Fatalf("%s: %v, from the tables %v, %v", d.Name, want, got, err)
				}
				tabled++
			}
			if d.IsMean() {
				rows, err := d.PerRow(in)
				if err != nil || len(rows) != in.rows() || !near(mean(rows, in.Weights), want.Value) {
					t.Fatalf("%s: %v, from the rows %v, %v", d.Name, want, rows, err)
				}
				means++
			}
		}
		if want := map[assay.Task][2]int{assay.Binary: {35, 5}, assay.Multiclass: {26, 5}, assay.Multilabel: {0, 20}, assay.Regression: {0, 10}}[in.Task]; counted != want[0] || means != want[1] {
			t.Fatalf("%s: %d metrics from the matrix, %d means", in.Task, counted, means)
		}
		if want := map[assay.Task]int{assay.Multilabel: 18}[in.Task]; tabled != want {
			t.Fatalf("%s: %d metrics from the tables, not %d", in.Task, tabled, want)
		}
	})
}

func TestFromConfusionRefuses(t *testing.T) {
	d, _ := Lookup("f1_score")
	for name, c := range map[string]Confusion{
		"empty": {Classes: 2, Counts: make([]float64, 4)}, "ragged": {Classes: 2, Counts: make([]float64, 3)}, "no class": {},
		"negative": {Classes: 2, Counts: []float64{1, -1, 1, 1}}, "NaN": {Classes: 2, Counts: []float64{1, math.NaN(), 1, 1}}, "three classes": {Classes: 3, Counts: make([]float64, 9)},
		"marks": {Classes: 2, Counts: []float64{1, 1, 1, 1}, Rows: []bool{true}},
	} {
		if v, err := d.FromConfusion(c, 1); assay.CodeOf(err) != assay.Invalid {
			t.Errorf("%s: got %v, %v", name, v, err)
		}
	}
	auc, _ := Lookup("roc_auc_score")
	if _, err := auc.FromConfusion(Confusion{Classes: 2, Counts: []float64{1, 1, 1, 1}}, 1); assay.CodeOf(err) != assay.Invalid {
		t.Errorf("the ROC AUC has no confusion matrix: %v", err)
	}
	if _, err := auc.PerRow(Input{}); assay.CodeOf(err) != assay.Invalid {
		t.Errorf("the ROC AUC is no mean: %v", err)
	}
}

func FuzzScore(f *testing.F) {
	f.Add(uint8(0), uint8(3), []byte{0, 1, 1, 0, 200, 13, 7, 255, 90})
	f.Add(uint8(31), uint8(1), []byte{})
	f.Add(uint8(50), uint8(2), []byte("\xff\xfe\x80\x81\x00\x01"))
	defs := All()
	f.Fuzz(func(t *testing.T, which, rows uint8, data []byte) {
		d := defs[int(which)%len(defs)]
		at := 0
		next := func() byte {
			if len(data) == 0 {
				return 0
			}
			at++
			return data[at%len(data)]
		}
		number := func() float64 {
			special := []float64{math.NaN(), math.Inf(1), math.Inf(-1), math.MaxFloat64, -math.MaxFloat64, 5e-324, math.Copysign(0, -1)}
			b := next()
			if int(b) >= 256-len(special) {
				return special[256-1-int(b)]
			}
			return float64(b) / 128
		}
		numbers := func(n int) (out []float64) {
			for range n {
				out = append(out, number())
			}
			return out
		}
		indices := func(n int) (out []int32) {
			for range n {
				b := int32(next())
				if b > 250 {
					b = -b << 20
				} else if b < 240 {
					b %= 4
				}
				out = append(out, b)
			}
			return out
		}
		in := Input{Task: d.Tasks[int(next())%len(d.Tasks)], Positive: int(next()%4) - 1}
		k := int(next() % 5)
		in.Classes = make([]string, k)
		n := int(rows % 20)
		size := func() int { return max(0, n*(1+int(next())%max(1, k))+int(next()%9)/8) }
		in.Truth, in.Labels, in.Proba = indices(size()), indices(size()), numbers(size())
		in.Target, in.Values, in.Groups = numbers(n), numbers(n), indices(n)
		if next()%2 == 0 {
			in.Weights = numbers(n)
		}
		before := fmt.Sprint(in)
		v, err := d.Score(in)
		if err != nil && assay.CodeOf(err) != assay.Invalid {
			t.Fatalf("%s: %v has the code %s", d.Name, err, assay.CodeOf(err))
		}
		if err == nil && (math.IsNaN(v.Value) || math.IsInf(v.Value, 0)) && v.Defined() {
			t.Fatalf("%s of %+v is %v and not marked", d.Name, in, v)
		}
		if fmt.Sprint(in) != before {
			t.Fatalf("%s changes its input", d.Name)
		}
	})
}
