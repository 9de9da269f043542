package learn

import (
	"math"
	"strings"
	"testing"
)

func TestEnsembleScore(t *testing.T) {
	e := Ensemble{
		Outputs: 1, Base: []float64{0.5}, Link: LinkLogit, Inputs: 2,
		Trees: []Tree{
			{Nodes: []Node{{Feature: 0, Threshold: 1, Left: 1, Right: 2, MissingLeft: true}, {Left: -1, Value: 1}, {Left: -1, Value: 2}}},
			{Nodes: []Node{{Feature: 1, Categories: []uint32{1 << 3}, Left: 1, Right: 2}, {Left: -1, Value: 10}, {Left: -1, Value: 20}}},
		},
	}
	if err := e.Check(); err != nil {
		t.Fatal(err)
	}
	nan := math.NaN()
	for _, c := range []struct{ x0, x1, want float64 }{
		{1, 3, 11.5},
		{1.5, 3, 12.5},
		{nan, 3, 11.5},
		{1, nan, 21.5},
		{1, -1, 21.5},
		{1, 400, 21.5},
		{1, 3.5, 21.5},
		{1, 2, 21.5},
		{math.Inf(-1), 3, 11.5},
		{math.Inf(1), math.Inf(1), 22.5},
	} {
		out := []float64{0}
		e.Score([]float64{c.x0, c.x1}, out)
		if out[0] != c.want {
			t.Errorf("score of (%v, %v) is %v, want %v", c.x0, c.x1, out[0], c.want)
		}
	}
}

func TestEnsembleCheckNamesEveryFault(t *testing.T) {
	e := Ensemble{
		Outputs: 2, Base: []float64{0}, Link: "logit", Inputs: 1,
		Trees: []Tree{
			{Output: 5},
			{Nodes: []Node{{Feature: 3, Left: 0, Right: 9, Threshold: math.NaN()}, {Left: -1, Value: math.Inf(1)}}},
		},
	}
	err := e.Check()
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{"2 outputs with 1 base", "takes one output", "tree 0: output 5", "tree 0: no node", "children 0 and 9", "feature 3 of 1", "threshold NaN", "leaf value +Inf"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("error does not say %q:\n%v", want, err)
		}
	}
}
