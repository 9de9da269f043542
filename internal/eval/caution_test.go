package eval

import (
	"context"
	"strings"
	"testing"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/stat"
)

// A gain whose interval was measured to be too short with so few rows opens no gate, however far above zero it lies; with more rows it does.
func TestCautionLeavesOpen(t *testing.T) {
	p := population{task: assay.Binary, share: 0.2}
	for _, x := range []struct {
		n       int
		metric  string
		caution string
	}{
		{100, "f1_score", "the interval is not known to hold below 25 rows of each class; the interval of the gain is not known to hold below 40 rows of each class"},
		{800, "f1_score", ""},
		{800, "average_precision_score", "the interval of the gain is not known to hold below 1,000 rows"},
		{4000, "average_precision_score", ""},
		{4000, "expected_calibration_error", "the interval is not known to hold at any number of rows; the interval of the gain is not known to hold at any number of rows"},
		{100, "log_loss", "the interval is not known to hold below 40 rows of each class; the interval of the gain is not known to hold below 25 rows of each class"},
		{150, "log_loss", "the interval is not known to hold below 40 rows of each class"},
		{100, "roc_auc_score", ""},
		{100, "accuracy_score", ""},
	} {
		r := stat.NewRand(3)
		truth, good, _ := p.draw(x.n, &r)
		for i, y := range truth.Class { // a model that is nearly always right
			v := 0.98*float64(y) + 0.01 + 0.001*good.Proba[2*i+1]
			if i%23 == 0 {
				v = 0.5
			}
			good.Proba[2*i], good.Proba[2*i+1] = 1-v, v
		}
		bad := &Scores{Name: "bad"}
		for range truth.Class {
			v := r.Float64()
			bad.Proba = append(bad.Proba, 1-v, v)
		}
		o := Options{Metrics: []string{x.metric}, Replicates: 200}
		e, err := Evaluate(context.Background(), truth, good, bad, o)
		if err != nil {
			t.Fatal(err)
		}
		m := e.Metrics[0]
		if m.Caution != x.caution {
			t.Errorf("%s of %d rows says %q; want %q", x.metric, x.n, m.Caution, x.caution)
		}
		want := assay.Pass
		if strings.Contains(x.caution, "of the gain") {
			want = assay.Undetermined
		}
		if m.Verdict != want || m.Gain.Above(0) != assay.Pass {
			t.Errorf("%s of %d rows is %s, its gain %v", x.metric, x.n, m.Verdict, m.Gain)
		}
		c, err := Compare(context.Background(), truth, good, bad, 0, o)
		if err != nil {
			t.Fatal(err)
		}
		if c.Verdict != want || c.Better != want || (c.Metrics[0].Caution != "") != (want == assay.Undetermined) {
			t.Errorf("%s of %d rows compares as %s, better %s (%s)", x.metric, x.n, c.Verdict, c.Better, c.Metrics[0].Caution)
		}
	}
}

// Models that answer alike are not worse, whatever their interval.
func TestCautionSparesIdenticalModels(t *testing.T) {
	truth, a, _ := simulated(assay.Binary, 60, 2, 4)
	b := &Scores{Name: "b", Proba: a.Proba}
	c, err := Compare(context.Background(), truth, a, b, 0, Options{Metrics: []string{"f1_score"}, Replicates: 100})
	if err != nil || c.Verdict != assay.Pass || c.Metrics[0].Caution != "" {
		t.Errorf("%s (%s), %v", c.Verdict, c.Metrics[0].Caution, err)
	}
}

// A mean over queries rests on those that are not answered perfectly, a gain on those that two models answer differently: with few of them
// there is a caution, however many queries there are, and the verdict on a gain is open.
func TestCautionOfMeansOverQueries(t *testing.T) {
	for _, x := range []struct {
		wrong, better int
		caution       string
		verdict       assay.Verdict
	}{
		{wrong: 30, better: 60, verdict: assay.Pass},
		{wrong: 8, better: 60, caution: "the interval is not known to hold below 20 queries away from the metric's bound, and about 8 are", verdict: assay.Pass},
		{
			wrong: 30, better: 12, caution: "the interval of the gain is not known to hold below 15 queries in which the models differ, and about 12 do",
			verdict: assay.Undetermined,
		},
	} {
		truth := &Truth{Task: assay.Ranking, Queried: "query"}
		a, b := &Scores{Name: "a"}, &Scores{Name: "b"}
		for q := range 300 {
			truth.Value = append(truth.Value, 1, 0)
			truth.Query = append(truth.Query, int32(q), int32(q))
			score := func(wrong bool) []float64 {
				if wrong {
					return []float64{0, 1}
				}
				return []float64{1, 0}
			}
			a.Value = append(a.Value, score(q < x.wrong)...)
			b.Value = append(b.Value, score(q < x.wrong+x.better)...)
		}
		o := Options{Metrics: []string{"mean_reciprocal_rank"}}
		e, err := Evaluate(context.Background(), truth, a, b, o)
		if err != nil {
			t.Fatal(err)
		}
		if m := e.Metrics[0]; m.Caution != x.caution || m.Verdict != x.verdict || m.Estimate.Method != "wilson mean" {
			t.Errorf("%d wrong, %d better: %s, %q, %v", x.wrong, x.better, m.Verdict, m.Caution, m.Estimate)
		}
		c, err := Compare(context.Background(), truth, a, b, 0, o)
		if err != nil || c.Better != x.verdict {
			t.Errorf("%d better compares as %s, %v", x.better, c.Better, err)
		}
		// An entity with all queries in which the models differ is one of them.
		truth.Entity, truth.Name = make([]int32, len(truth.Query)), "person"
		for i, q := range truth.Query {
			truth.Entity[i] = max(q, int32(x.wrong+x.better)-1)
		}
		if e, err = Evaluate(context.Background(), truth, a, b, o); err != nil {
			t.Fatal(err)
		}
		if m := e.Metrics[0]; m.Verdict == assay.Pass || !strings.Contains(m.Caution, "below 15 entities in which the models differ, and about 1 do") {
			t.Errorf("one person: %s, %q", m.Verdict, m.Caution)
		}
	}
}

// Two orders that are worth the same in every query are not one: their difference is not certainly nothing.
func TestEqualValuesAreNoIdentity(t *testing.T) {
	truth := &Truth{Task: assay.Ranking, Queried: "query"}
	a, b := &Scores{Name: "a"}, &Scores{Name: "b"}
	for q := range 40 {
		truth.Value = append(truth.Value, 1, 0, 0)
		truth.Query = append(truth.Query, int32(q), int32(q), int32(q))
		a.Value, b.Value = append(a.Value, 3, 2, 1), append(b.Value, 3, 1, 2)
	}
	o := Options{Metrics: []string{"mean_reciprocal_rank"}}
	for _, x := range []struct {
		other    *Scores
		interval bool
		verdict  assay.Verdict
	}{{b, false, assay.Undetermined}, {&Scores{Name: "b", Value: a.Value}, true, assay.Pass}} {
		c, err := Compare(context.Background(), truth, a, x.other, 0, o)
		if err != nil {
			t.Fatal(err)
		}
		if d := c.Metrics[0].Difference; d.Value != 0 || d.HasInterval() != x.interval || c.Verdict != x.verdict {
			t.Errorf("%v is %s; want an interval: %v, %s", d, c.Verdict, x.interval, x.verdict)
		}
	}
}

// Areas and average precision of all cells, and average precision label by label, were measured not to hold with few rows of a label.
func TestCautionOfFewRowsOfALabel(t *testing.T) {
	for _, n := range []int{50, 1000} {
		r := stat.NewRand(3)
		truth, a, b := population{task: assay.Multilabel, share: 0.2}.draw(n, &r)
		e, err := Evaluate(context.Background(), truth, a, b, Options{Metrics: []string{"average_precision_score_macro", "average_precision_score_micro", "roc_auc_score_micro"}, Replicates: 200})
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range e.Metrics {
			if got := strings.HasPrefix(m.Caution, "the interval is not known to hold below 25 rows of each class"); got != (n == 50) {
				t.Errorf("%s of %d rows says %q", m.Name, n, m.Caution)
			}
		}
	}
}
