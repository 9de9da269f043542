package eval

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/assay-ml/assay"
)

// Names of the columns of a table of predictions.
const (
	probabilityPrefix = "probability_" // one column for each class: probability_<class>
	probabilityColumn = "probability"  // of the positive class of a binary task, alone
	predictionColumn  = "prediction"   // the predicted class or number; of a ranking the score
	labelPrefix       = "prediction_"  // of a multilabel task, one column for each label: 0 or 1
)

// Predictions are a table of predictions before it is joined to the rows that it is about.
type Predictions struct {
	Name    string
	Keys    []string // of each row: what identifies it, as one text
	Others  bool     // rows of another part may be among them, and are skipped
	Columns assay.Frame
}

// Join brings predictions into the order of the rows whose keys are given; of the truth it reads task, classes and positive class only.
//
// The class of a probability is in its column's name: probability_<class> for every class, or, of a binary task, one column
// "probability" (or that of either class alone) for the positive class. Labels come from a column "prediction" and need no
// probabilities; with both, the labels are as given and not made by threshold. A multilabel task has probability_<label> for every label,
// whose sum says nothing, prediction_<label> of 0 and 1, or both. A regression has "prediction", and so has a ranking: the score.
//
// Everything that is wrong is reported at once, with counts and the first row of the file (counted from 1 without the header), never
// with a value: keys that are no row, rows without a prediction, keys that occur twice, classes that do not exist, NaN, infinite and
// missing numbers, probabilities outside 0 to 1 or that do not sum to 1.
func Join(t *Truth, keys []string, p Predictions) (*Scores, error) {
	var bad assay.Problems
	n := len(p.Keys)
	if len(p.Columns) > 0 && p.Columns.Rows() != n {
		return nil, assay.Errorf(assay.Internal, "%d keys for %d rows of predictions", n, p.Columns.Rows())
	}
	if n == 0 {
		return nil, assay.Errorf(assay.Rejected, "%s has no rows", p.Name)
	}
	row := make(map[string]int32, len(keys))
	for i, k := range keys {
		if _, ok := row[k]; ok {
			return nil, assay.Errorf(assay.Rejected, "the key is not unique: row %d of the part repeats an earlier one", i+1).Try("data.key: a column that identifies a row")
		}
		row[k] = int32(i)
	}
	from := make([]int32, len(keys)) // the prediction of each row; −1: none
	for i := range from {
		from[i] = -1
	}
	var stray, twice, missing place
	for i, k := range p.Keys {
		at, ok := row[k]
		switch {
		case !ok && !p.Others:
			stray.add(i)
		case !ok:
		case from[at] >= 0:
			twice.add(i)
		default:
			from[at] = int32(i)
		}
	}
	for i, f := range from {
		if f < 0 {
			missing.add(i)
		}
	}
	addPlaces(&bad, "keys that are no row of the part", stray)
	addPlaces(&bad, "keys that occurred before", twice)
	if missing.count > 0 {
		bad.Add("%d of %d rows have no prediction, the first is row %d", missing.count, len(keys), missing.first+1)
	}
	s := &Scores{Name: p.Name}
	if t.Task.Classifies() {
		p.probabilities(t, s, &bad)
		p.labels(t, s, &bad)
		if s.Proba == nil && s.Label == nil && len(bad) == 0 {
			hard := predictionColumn
			if t.Task == assay.Multilabel {
				hard = columnsOf(labelPrefix, t)
			}
			bad.Add("no column %s and no column %s", columnsOf(probabilityPrefix, t), hard)
		}
	} else if c := p.Columns.Column(predictionColumn); c == nil {
		bad.Add("no column %q", predictionColumn)
	} else if c.Floats == nil {
		bad.Add("column %q is text, not numbers", predictionColumn)
	} else {
		addPlaces(&bad, fmt.Sprintf("column %q is no finite number", predictionColumn), notFinite(c.Floats))
		s.Value = c.Floats
	}
	if err := bad.Err(assay.Rejected, p.Name); err != nil {
		return nil, err
	}
	k := len(t.Classes)
	s.Proba, s.Label, s.Value = reorder(s.Proba, from, k), reorder(s.Label, from, t.wide()), reorder(s.Value, from, 1)
	return s, nil
}

func reorder[T any](column []T, from []int32, width int) []T {
	if column == nil {
		return nil
	}
	out := make([]T, 0, len(from)*width)
	for _, i := range from {
		out = append(out, column[int(i)*width:(int(i)+1)*width]...)
	}
	return out
}

func columnsOf(prefix string, t *Truth) string {
	names := make([]string, len(t.Classes))
	for i, c := range t.Classes {
		names[i] = prefix + c
	}
	return strings.Join(names, ", ")
}

// probabilities reads the columns of probabilities, in the order of the file.
func (p Predictions) probabilities(t *Truth, s *Scores, bad *assay.Problems) {
	k, n := len(t.Classes), len(p.Keys)
	columns := make([][]float64, k)
	found := 0
	numbers := func(c *assay.Column) []float64 {
		found++
		if c.Floats == nil {
			bad.Add("column %q is text, not numbers", c.Name)
		}
		return c.Floats
	}
	for i := range p.Columns {
		c := &p.Columns[i]
		class, ok := strings.CutPrefix(c.Name, probabilityPrefix)
		if !ok {
			continue
		}
		if at := slices.Index(t.Classes, class); at >= 0 {
			columns[at] = numbers(c)
		} else {
			what, all := "class", "classes"
			if t.Task == assay.Multilabel {
				what, all = "label", "labels"
			}
			bad.Add("column %q is of no %s; the %s are %s", c.Name, what, all, strings.Join(t.Classes, ", "))
		}
	}
	alone := p.Columns.Column(probabilityColumn)
	switch {
	case alone != nil && found > 0:
		bad.Add("both %q and %s…: which holds the probabilities is not said", probabilityColumn, probabilityPrefix)
		return
	case alone != nil && t.Task != assay.Binary:
		bad.Add("column %q says no class; a %s task needs %s", probabilityColumn, t.Task, columnsOf(probabilityPrefix, t))
		return
	case alone != nil:
		columns[t.Positive] = numbers(alone)
	case found == 0:
		return
	}
	if found < k && (t.Task != assay.Binary || found != 1) {
		for i, c := range columns {
			if c == nil {
				bad.Add("no column %q", probabilityPrefix+t.Classes[i])
			}
		}
	}
	if t.Task == assay.Binary && found == 1 {
		for i, c := range columns {
			if c != nil {
				other := make([]float64, n)
				for j, v := range c {
					other[j] = 1 - v
				}
				columns[1-i] = other
				break
			}
		}
	}
	if slices.ContainsFunc(columns, func(c []float64) bool { return c == nil }) {
		return
	}
	s.Proba = make([]float64, n*k)
	var absent, outside, unsummed place
	for i := range n {
		var sum float64
		nan, off := false, false
		for c := range k {
			v := columns[c][i]
			s.Proba[i*k+c] = v
			sum += v
			nan = nan || math.IsNaN(v)
			off = off || v < 0 || v > 1
		}
		switch {
		case nan:
			absent.add(i)
		case off:
			outside.add(i)
		case t.Task != assay.Multilabel && math.Abs(sum-1) > sumTolerance:
			unsummed.add(i)
		}
	}
	addPlaces(bad, "probabilities missing or NaN", absent)
	addPlaces(bad, "probabilities outside 0 to 1", outside)
	addPlaces(bad, "probabilities that do not sum to 1", unsummed)
}

// labels reads the predicted classes, in the order of the file.
func (p Predictions) labels(t *Truth, s *Scores, bad *assay.Problems) {
	if t.Task == assay.Multilabel {
		p.hardLabels(t, s, bad)
		return
	}
	c := p.Columns.Column(predictionColumn)
	if c == nil {
		return
	}
	class := map[string]int32{}
	for i, name := range t.Classes {
		class[name] = int32(i)
	}
	var levels []int32
	for _, l := range c.Levels {
		at, ok := class[l]
		if !ok {
			at = -1
		}
		levels = append(levels, at)
	}
	s.Label = make([]int32, c.Len())
	var unknown, absent place
	for i := range s.Label {
		at := int32(-1)
		switch {
		case c.Missing(i):
			absent.add(i)
			continue
		case c.Codes != nil:
			at = levels[c.Codes[i]]
		default:
			if v, ok := class[numberText(c, c.Floats[i])]; ok {
				at = v
			}
		}
		if at < 0 {
			unknown.add(i)
		}
		s.Label[i] = at
	}
	addPlaces(bad, fmt.Sprintf("column %q is missing", predictionColumn), absent)
	addPlaces(bad, fmt.Sprintf("column %q is none of the classes %s", predictionColumn, strings.Join(t.Classes, ", ")), unknown)
}

// PredictionColumns are the columns that a file of predictions has besides the key: a number, or a probability of each class or label.
func PredictionColumns(task assay.Task, classes []string) []string {
	if !task.Classifies() {
		return []string{predictionColumn}
	}
	out := make([]string, len(classes))
	for i, c := range classes {
		out[i] = probabilityPrefix + c
	}
	return out
}
