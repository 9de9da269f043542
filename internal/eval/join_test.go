package eval

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/assay-ml/assay"
)

func numbers(name string, v ...float64) assay.Column {
	return assay.Column{Name: name, Type: assay.TypeNumber, Floats: v}
}

func texts(name string, v ...string) assay.Column {
	c := assay.Column{Name: name, Type: assay.TypeString, Levels: slices.Compact(slices.Sorted(slices.Values(v)))}
	for _, x := range v {
		at, _ := slices.BinarySearch(c.Levels, x)
		c.Codes = append(c.Codes, int32(at))
	}
	return c
}

func binaryTruth() *Truth {
	return &Truth{Task: assay.Binary, Classes: []string{"0", "1"}, Positive: 1}
}

func TestJoin(t *testing.T) {
	keys := []string{"a", "b", "c"}
	for name, x := range map[string]struct {
		columns assay.Frame
		proba   []float64
		label   []int32
	}{
		"both classes":      {assay.Frame{numbers("probability_1", .3, .1, .2), numbers("probability_0", .7, .9, .8)}, []float64{.9, .1, .8, .2, .7, .3}, nil},
		"one column":        {assay.Frame{numbers("probability", .25, .5, 0)}, []float64{.5, .5, 1, 0, .75, .25}, nil},
		"the other class":   {assay.Frame{numbers("probability_0", .25, .5, 0)}, []float64{.5, .5, 0, 1, .25, .75}, nil},
		"labels as numbers": {assay.Frame{numbers("prediction", 1, 0, 1)}, nil, []int32{0, 1, 1}},
		"labels as text":    {assay.Frame{texts("prediction", "1", "0", "1")}, nil, []int32{0, 1, 1}},
		"labels and more":   {assay.Frame{texts("prediction", "1", "0", "1"), numbers("probability", .25, .5, 0)}, []float64{.5, .5, 1, 0, .75, .25}, []int32{0, 1, 1}},
	} {
		s, err := Join(binaryTruth(), keys, Predictions{Name: "p", Keys: []string{"c", "a", "b"}, Columns: x.columns})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if !slices.Equal(s.Proba, x.proba) || !slices.Equal(s.Label, x.label) {
			t.Errorf("%s gives %v and %v; want %v and %v", name, s.Proba, s.Label, x.proba, x.label)
		}
	}
}

func TestJoinReportsEverything(t *testing.T) {
	nan := math.NaN()
	_, err := Join(&Truth{Task: assay.Multiclass, Classes: []string{"A", "B"}}, []string{"1", "2", "3", "4"}, Predictions{Name: "p.csv", Keys: []string{"1", "9", "2", "2", "8"}, Columns: assay.Frame{
		numbers("probability_A", .5, nan, 2, .5, .1), numbers("probability_B", .5, .5, .5, .1, .9), texts("prediction", "A", "C", "B", "C", "A"), numbers("probability_D", 0, 0, 0, 0, 0),
	}})
	want := []string{
		"keys that are no row of the part in 2 rows, the first is row 2",
		"keys that occurred before in 1 rows, the first is row 4",
		"2 of 4 rows have no prediction, the first is row 3",
		`column "probability_D" is of no class; the classes are A, B`,
		"probabilities missing or NaN in 1 rows, the first is row 2",
		"probabilities outside 0 to 1 in 1 rows, the first is row 3",
		"probabilities that do not sum to 1 in 1 rows, the first is row 4",
		`column "prediction" is none of the classes A, B in 2 rows, the first is row 2`,
	}
	if assay.CodeOf(err) != assay.Rejected {
		t.Fatalf("the error is %v", err)
	}
	for _, w := range want {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("%q does not say %q", err, w)
		}
	}
	for name, x := range map[string]struct {
		truth   *Truth
		columns assay.Frame
		want    string
	}{
		"nothing":       {binaryTruth(), assay.Frame{numbers("score", 1)}, "no column probability_0, probability_1 and no column prediction"},
		"both forms":    {binaryTruth(), assay.Frame{numbers("probability", 1), numbers("probability_1", 1)}, "is not said"},
		"half":          {&Truth{Task: assay.Multiclass, Classes: []string{"A", "B"}}, assay.Frame{numbers("probability_A", 1)}, `no column "probability_B"`},
		"alone":         {&Truth{Task: assay.Multiclass, Classes: []string{"A", "B"}}, assay.Frame{numbers("probability", 1)}, "says no class"},
		"text":          {binaryTruth(), assay.Frame{texts("probability", "x")}, "is text"},
		"no regression": {&Truth{Task: assay.Regression}, assay.Frame{numbers("probability", 1)}, `no column "prediction"`},
		"infinite":      {&Truth{Task: assay.Regression}, assay.Frame{numbers("prediction", math.Inf(1))}, "no finite number in 1 rows"},
	} {
		_, err := Join(x.truth, []string{"1"}, Predictions{Name: "p", Keys: []string{"1"}, Columns: x.columns})
		if err == nil || !strings.Contains(err.Error(), x.want) {
			t.Errorf("%s gives %v; want %q", name, err, x.want)
		}
	}
	if _, err := Join(binaryTruth(), []string{"1"}, Predictions{Name: "p"}); assay.CodeOf(err) != assay.Rejected {
		t.Errorf("an empty file gives %v", err)
	}
	if _, err := Join(binaryTruth(), []string{"1", "1"}, Predictions{Name: "p", Keys: []string{"1"}, Columns: assay.Frame{numbers("probability", 1)}}); err == nil || !strings.Contains(err.Error(), "not unique") {
		t.Errorf("a part with a repeated key gives %v", err)
	}
}

// The order of a file's rows does not matter.
func TestJoinUndoesAnyOrder(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		n := rapid.IntRange(1, 30).Draw(r, "n")
		order := rapid.Permutation(sequence(n)).Draw(r, "order")
		keys := make([]string, n)
		p := Predictions{Name: "p", Keys: make([]string, n)}
		values := make([]float64, n)
		for i := range n {
			keys[i] = fmt.Sprint(i)
		}
		for i, o := range order {
			p.Keys[i], values[i] = keys[o], float64(o)
		}
		p.Columns = assay.Frame{numbers("prediction", values...)}
		s, err := Join(&Truth{Task: assay.Regression}, keys, p)
		if err != nil {
			r.Fatal(err)
		}
		for i, v := range s.Value {
			if v != float64(i) {
				r.Fatalf("row %d has the prediction of row %v", i, v)
			}
		}
	})
}

// Whatever is in a file, what comes through is fit to be evaluated.
func FuzzJoin(f *testing.F) {
	f.Add("probability_0", "probability_1", "a,b,c", uint64(1))
	f.Add("probability", "prediction", "a,a,z", uint64(2))
	f.Add("prediction", "x", "", uint64(3))
	f.Fuzz(func(t *testing.T, one, two, keys string, bits uint64) {
		p := Predictions{Name: "p", Keys: strings.Split(keys, ",")}
		for i, name := range []string{one, two} {
			v := make([]float64, len(p.Keys))
			for j := range v {
				v[j] = []float64{0, 1, 0.5, 0.25, 0.75, -1, math.NaN(), math.Inf(1)}[bits>>((3*(i*len(v)+j))%61)&7]
			}
			p.Columns = append(p.Columns, numbers(name, v...))
		}
		for _, truth := range []*Truth{binaryTruth(), {Task: assay.Multiclass, Classes: []string{"0", "1"}}, {Task: assay.Regression}} {
			rows := []string{"a", "b", "c"}
			s, err := Join(truth, rows, p)
			if err != nil {
				if strings.Contains(err.Error(), "BUG") {
					t.Fatal(err)
				}
				continue
			}
			whole := *truth
			if whole.Task.Classifies() {
				whole.Class = []int32{0, 1, 1}
			} else {
				whole.Value = []float64{1, 2, 3}
			}
			var bad assay.Problems
			s.check(&whole, &bad)
			if len(bad) > 0 {
				t.Fatalf("joined predictions are not fit: %v", bad)
			}
		}
	})
}

func FuzzSlices(f *testing.F) {
	for _, s := range []string{"group", "age: 18-29, 30+", "group & age: <40, 40-1e3", "age: -5-5", "age:", "age: -", "&", "group: a", "age: 1-2, 2-3", "age: NaN-NaN", "age: 1e400+"} {
		f.Add(s)
	}
	truth, _, _ := simulated(assay.Binary, 50, 2, 1)
	f.Fuzz(func(t *testing.T, def string) {
		got, err := parseSlices([]string{def}, truth.Columns)
		if err != nil {
			return
		}
		seen := map[int32]int{}
		for _, s := range got {
			if len(s.rows) == 0 && !strings.Contains(def, ":") {
				t.Errorf("%q gives the empty slice %q", def, s.name)
			}
			if !slices.IsSorted(s.rows) {
				t.Errorf("the rows of %q are not in order", s.name)
			}
			for _, i := range s.rows {
				if seen[i]++; seen[i] > 1 {
					t.Fatalf("%q puts row %d into two slices", def, i)
				}
			}
		}
		if len(seen) != 50 {
			t.Errorf("%q leaves out %d rows", def, 50-len(seen))
		}
	})
}
