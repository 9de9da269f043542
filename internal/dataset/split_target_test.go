package dataset

import (
	"context"
	"math"
	"strings"
	"testing"

	"github.com/assay-ml/assay"
)

func TestMultilabelSplit(t *testing.T) {
	e := engine(t)
	n := 60
	x, news, sport := make([]float64, n), make([]float64, n), make([]float64, n)
	for i := range n {
		x[i], news[i], sport[i] = float64(i*37%61), float64(i%2), float64(i/3%2)
	}
	gives := make([]float64, n) // the label news, rewritten
	for i := range n {
		gives[i] = 5 - 2*news[i]
	}
	o := SplitOptions{By: "random", Labels: []string{"news", "sport"}, Task: assay.Multilabel, Validation: 0.2, Test: 0.2, Seed: 1}
	d := divide(t, frame(t, e, numbers("x", x...), numbers("gives", gives...), numbers("news", news...), numbers("sport", sport...)), o)
	for _, p := range d.Record.Parts {
		if sealed := p.Name == assay.Test; (p.Labels == nil) != sealed || !sealed && len(p.Labels) != 2 {
			t.Errorf("%s counts the labels %v", p.Name, p.Labels)
		}
	}
	found := 0
	for _, f := range d.Record.Findings {
		if f.Check == "target" && f.Verdict == assay.Fail {
			found++
			if !strings.Contains(f.Message, "gives alone orders the label news with AUC") {
				t.Error(f.Message)
			}
		}
		for _, c := range f.Columns {
			if c == "news" || c == "sport" {
				t.Errorf("a label is a feature of %s", f.Check)
			}
		}
	}
	if found != 1 {
		t.Errorf("%d columns give a label away, not 1", found)
	}
	for what, c := range map[string]assay.Column{
		`label "sport" has no value in 1 of 60 rows, the first is row 1`:       numbers("sport", append([]float64{math.NaN()}, sport[1:]...)...),
		`label "sport" is neither 0 nor 1 in 2 of 60 rows, the first is row 1`: numbers("sport", append([]float64{2, 0.5}, sport[2:]...)...),
		`label "sport" is 1 in every row`:                                      numbers("sport", ones(n)...),
		`label "sport" is a string, not 0 or 1`:                                texts("sport", strings.Split(strings.Repeat("b", n), "")...),
	} {
		_, err := Divide(context.Background(), frame(t, e, numbers("x", x...), numbers("news", news...), c), o)
		if assay.CodeOf(err) != assay.Rejected || !strings.Contains(err.Error(), what) {
			t.Errorf("got %v, want %s", err, what)
		}
	}
	o.By = "stratified"
	if _, err := Divide(context.Background(), frame(t, e, numbers("x", x...), numbers("news", news...), numbers("sport", sport...)), o); assay.CodeOf(err) != assay.Invalid || assay.HintOf(err) != "split.by: random" {
		t.Errorf("stratified by several labels: %v", err)
	}
}

func ones(n int) []float64 {
	out := make([]float64, n)
	for i := range out {
		out[i] = 1
	}
	return out
}
