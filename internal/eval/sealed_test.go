package eval

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/assaytest"
)

// sealedTask is a task whose rows have a number, and a feature of few values.
func sealedTask(n int) (*Truth, *Scores, *Scores) {
	truth, model, prior := harder(n)
	id := assay.Column{Name: "id", Type: assay.TypeInteger, Floats: make([]float64, n)}
	for i := range id.Floats {
		id.Floats[i] = float64(1000 + i)
	}
	truth.Columns = append(truth.Columns, id)
	return truth, model, prior
}

// rareAges gives one row an age of its own.
func rareAges(truth *Truth, n int) {
	for i := range n {
		truth.Columns[0].Floats[i] = 200
	}
}

// What identifies a row makes no slices of sealed rows: by its name in the settings, or because every row has another value.
func TestSealedSlicesByKey(t *testing.T) {
	truth, model, prior := sealedTask(600)
	repeated := *truth
	repeated.Columns = slices.Clone(truth.Columns)
	repeated.Columns[1].Floats = slices.Clone(truth.Columns[1].Floats)
	repeated.Columns[1].Floats[0] = repeated.Columns[1].Floats[1]
	for _, x := range []struct {
		of    *Truth
		def   string
		key   []string
		wrong string
	}{
		{truth, "id: 1003-1003, 1007-1007", []string{"id"}, "data.key"},
		{truth, "id", nil, "another value in every row"},
		{truth, "age & id: 1000-1300, 1301+", nil, "another value in every row"},
		{&repeated, "id: 1000-1300", []string{"id"}, "data.key"},
		{&repeated, "id: 1000-1300, 1301+", nil, ""},
		{truth, "age", []string{"id"}, ""},
	} {
		o := Options{Metrics: []string{"roc_auc_score"}, Slices: []string{x.def}, Key: x.key, Sealed: true, Level: 0.95, Replicates: 10, Threshold: 0.5}
		for what, err := range map[string]error{
			"ready": Ready(x.of, o.withDefaults(), model, prior),
			"evaluate": func() error {
				_, err := Evaluate(context.Background(), x.of, model, prior, o)
				return err
			}(),
			"compare": func() error {
				_, err := Compare(context.Background(), x.of, model, prior, 0, o)
				return err
			}(),
		} {
			if (err != nil) != (x.wrong != "") || err != nil && !strings.Contains(err.Error(), x.wrong) {
				t.Errorf("%s by %q with key %v: %v, want %q", what, x.def, x.key, err, x.wrong)
			}
		}
		o.Sealed = false
		if err := Ready(x.of, o.withDefaults(), model, prior); err != nil {
			t.Errorf("unsealed rows have any slices: %v", err)
		}
	}
}

// A slice of sealed rows that is too small tells its rows and nothing of their labels, whatever the settings ask for; nor does a slice
// that would tell of it by a difference.
func TestSealedSlicesTooSmall(t *testing.T) {
	for _, x := range []struct {
		rare     int
		slices   []string
		least    int64
		withheld []string
	}{
		{1, []string{"age: 20-49, 50-80, 200-200"}, 1, []string{"age 200-200", "age 50-80"}}, // the two larger bands would leave that row over
		{9, []string{"age: 20-49, 50-80, 200-200"}, 1, []string{"age 200-200", "age 50-80"}},
		{25, []string{"age: 20-49, 50-80, 200-200"}, 1, nil},
		{25, []string{"age: 20-49, 50-80, 200-200"}, 0, []string{"age 200-200"}}, // fewer than the default of 30, and enough to be left over
		{1, []string{"age: 200-200"}, 1, []string{"age 200-200", "age outside the bands"}},
		{1, []string{"age: 20-60", "age: 20-60, 200-200"}, 1, []string{"age 200-200", "age outside the bands"}},
		{1, []string{"age: 20-100", "age: 20-300"}, 1, []string{"age 20-100", "age outside the bands"}},
	} {
		truth, model, prior := sealedTask(600)
		rareAges(truth, x.rare)
		for i := range x.rare { // both classes, that it is not for the classes
			truth.Class[i] = int32(i % 2)
		}
		o := Options{Metrics: []string{"roc_auc_score"}, Slices: x.slices, MinRows: x.least, Replicates: 10, Sealed: true}
		e, err := Evaluate(context.Background(), truth, model, prior, o)
		if err != nil {
			t.Fatal(err)
		}
		c, err := Compare(context.Background(), truth, model, prior, 0, o)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for i, s := range e.Slices {
			told := s.Positives != nil || len(s.Metrics) > 0 || s.Gain != nil || s.Reference != nil || s.PValue != nil
			if s.Positives == nil {
				got = append(got, s.Name)
				if told || s.Reason == "" || s.Count == 0 || s.Verdict != assay.Undetermined {
					t.Errorf("%v: %+v", x, s)
				}
			}
			if d := c.Slices[i]; (d.Positives == nil) != (s.Positives == nil) || s.Positives == nil && (d.Candidate.Defined() || d.Reference.Defined() || d.Difference.Defined() || !math.IsNaN(float64(d.PValue))) {
				t.Errorf("%v: compared %+v", x, d)
			}
		}
		slices.Sort(got)
		slices.Sort(x.withheld)
		if !slices.Equal(got, x.withheld) {
			t.Errorf("of %d rare rows, slices %v, at least %d: withheld %q, want %q", x.rare, x.slices, x.least, got, x.withheld)
		}
		o.Sealed = false
		if e, err = Evaluate(context.Background(), truth, model, prior, o); err != nil {
			t.Fatal(err)
		}
		for _, s := range e.Slices {
			if s.Positives == nil {
				t.Errorf("%s of unsealed rows is withheld", s.Name)
			}
		}
	}
	truth, model, prior := sealedTask(600)
	if _, err := Evaluate(context.Background(), truth, model, prior, Options{Metrics: []string{"roc_auc_score"}, MinRows: -1, Sealed: true}); err == nil {
		t.Error("a slice of at least -1 rows")
	}
}

// TestSealedSlicesProperty: whatever the slices are, no two of those that are told, nor one and all rows, differ by fewer than
// MinSealedRows rows, and the rest of each definition is none or enough.
func TestSealedSlicesProperty(t *testing.T) {
	assaytest.Draws(t, 100)
	rapid.Check(t, func(rt *rapid.T) {
		n := rapid.IntRange(20, 120).Draw(rt, "rows")
		var parsed []sliceRows
		for def := range rapid.IntRange(1, 4).Draw(rt, "definitions") {
			kinds := rapid.IntRange(1, 6).Draw(rt, "slices")
			parts := make([]sliceRows, kinds)
			for i := range n {
				k := min(rapid.IntRange(0, 2*kinds).Draw(rt, "slice"), kinds-1)
				parts[k].rows = append(parts[k].rows, int32(i))
			}
			for k := range parts {
				parts[k].def = def
			}
			parsed = append(parsed, parts...)
		}
		out := make([]assay.Slice, len(parsed))
		for i, p := range parsed {
			positives := int64(0)
			out[i] = assay.Slice{Name: fmt.Sprint(i), Count: int64(len(p.rows)), Positives: &positives}
			if len(p.rows) < MinSealedRows {
				out[i].Reason = "too few"
			}
		}
		withhold(parsed, out, n)
		rest := map[int]int{}
		for i, p := range parsed {
			if _, ok := rest[p.def]; !ok {
				rest[p.def] = n
			}
			if (out[i].Positives == nil) != (out[i].Reason != "") {
				rt.Fatalf("%+v", out[i])
			}
			if out[i].Positives == nil {
				continue
			}
			rest[p.def] -= len(p.rows)
			if left := n - len(p.rows); left > 0 && left < MinSealedRows {
				rt.Fatalf("all rows but %d are told of", left)
			}
			for j := range i {
				if d := apart(p.rows, parsed[j].rows, n); out[j].Positives != nil && d > 0 && d < MinSealedRows {
					rt.Fatalf("slices %d and %d differ by %d rows", j, i, d)
				}
			}
		}
		for def, left := range rest {
			if left > 0 && left < MinSealedRows {
				rt.Fatalf("definition %d leaves %d rows over", def, left)
			}
		}
	})
}

// The curves, the table of thresholds, the histograms and the calibration of sealed rows have no step of a few rows, and the row of the
// threshold is what the confusion matrix says.
func TestSealedCurves(t *testing.T) {
	truth, model, prior := sealedTask(600)
	o := Options{Metrics: []string{"roc_auc_score"}, Replicates: 10, Sealed: true, Threshold: 0.37}
	e, err := Evaluate(context.Background(), truth, model, prior, o)
	if err != nil {
		t.Fatal(err)
	}
	c, err := Curves(truth, model, prior, o)
	if err != nil {
		t.Fatal(err)
	}
	var positives float64
	for _, y := range truth.Class {
		positives += float64(y)
	}
	last := 0.0
	for i, p := range c.Models[0].ROC {
		rows := math.Round(p[0]*(600-positives) + p[1]*positives)
		if i > 0 && rows-last < MinSealedRows {
			t.Errorf("a step of %v rows", rows-last)
		}
		last = rows
	}
	if n := len(c.Models[0].ROC); n < 30 {
		t.Errorf("%d points are no curve", n)
	}
	for i := range c.Scores.Positive {
		if n := c.Scores.Positive[i] + c.Scores.Negative[i]; n > 0 && n < MinSealedRows {
			t.Errorf("a bin of %d rows", n)
		}
	}
	selected := float64(e.Confusion[0][1]+e.Confusion[1][1]) / 600
	if !slices.ContainsFunc(c.Thresholds, func(r assay.ThresholdRow) bool {
		return r.Threshold == 0.37 && r.Selected == selected && math.Round(r.Recall.Value*positives) == float64(e.Confusion[1][1])
	}) {
		t.Errorf("no row of the threshold that selects %v: %+v", selected, c.Thresholds)
	}
	model.Proba[0], model.Proba[1] = 0.5, 0.5 // all but a few rows are in one bin
	for i := range 600 {
		p := 0.55
		if i < 5 {
			p = 0.95
		}
		model.Proba[2*i], model.Proba[2*i+1] = 1-p, p
	}
	if e, err = Evaluate(context.Background(), truth, model, prior, o); err != nil {
		t.Fatal(err)
	}
	for _, b := range e.Calibration {
		if b.Fraction.Defined() {
			t.Errorf("the bin from %v tells %v", b.Lower, b.Fraction)
		}
	}
}
