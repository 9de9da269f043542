package serve

import (
	"math"
	"strconv"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/schema"
)

// Output is what a model says about the rows of a request. Slices are kept from request to request.
type Output struct {
	Labels  []int32   // of a classifier: the predicted class of each row, an index into the version's classes
	Proba   []float64 // of a classifier that gives probabilities: row-major, rows × classes
	Clipped []int     // which of Proba float32 rounding had put outside 0 to 1, so that the bound stands there; ascending
	Values  []float64 // of a regressor
}

func (o *Output) reset() {
	o.Labels, o.Proba, o.Clipped, o.Values = o.Labels[:0], o.Proba[:0], o.Clipped[:0], o.Values[:0]
}

// ProbabilityField is the name of the output field that holds the probability of a class.
func ProbabilityField(class string) string { return "probability_" + class }

// PredictionField is the name of the output field that holds the predicted class or value.
const PredictionField = "prediction"

// OutputSchema returns what every answer of a model must fit: a class of the model's and probabilities within 0 and 1, or a finite
// value. A person may narrow it.
func OutputSchema(name string, classes []string, probabilities bool) *schema.Schema {
	s := schema.New(name)
	s.Closed = true
	if len(classes) == 0 {
		s.Columns = []schema.Column{{Name: PredictionField, Type: assay.TypeNumber, NotNull: &schema.NotNull{}, Finite: &schema.Finite{}}}
		return s
	}
	set := &schema.Set{}
	for _, c := range classes {
		set.Values = append(set.Values, schema.Text(c))
	}
	s.Columns = []schema.Column{{Name: PredictionField, Type: assay.TypeString, NotNull: &schema.NotNull{}, Set: set}}
	if probabilities {
		zero, one := schema.Number(0), schema.Number(1)
		for _, c := range classes {
			s.Columns = append(s.Columns, schema.Column{
				Name: ProbabilityField(c), Type: assay.TypeNumber,
				NotNull: &schema.NotNull{}, Finite: &schema.Finite{}, Range: &schema.Range{Min: &zero, Max: &one},
			})
		}
	}
	return s
}

// sumTolerance is how far the probabilities of a row may be from 1 in all: models give them in float32.
const sumTolerance = 1e-4

// check holds what the engine answered against the output schema, and returns what is wrong with it in words, or "".
func (b *Bound) check(o *Output, rows int) string {
	k := len(b.Classes)
	switch {
	case k == 0 && len(o.Values) != rows:
		return "answered " + strconv.Itoa(len(o.Values)) + " values for " + strconv.Itoa(rows) + " rows"
	case k > 0 && len(o.Labels) != rows:
		return "answered " + strconv.Itoa(len(o.Labels)) + " labels for " + strconv.Itoa(rows) + " rows"
	case k > 0 && len(o.Proba) != 0 && len(o.Proba) != rows*k:
		return "answered " + strconv.Itoa(len(o.Proba)) + " probabilities for " + strconv.Itoa(rows) + " rows of " + strconv.Itoa(k) + " classes"
	}
	if b.plain.takes(o, k) {
		return ""
	}
	out := b.out.NewBatch()
	defer out.Release()
	out.Add(rows)
	for row := range rows {
		if k == 0 {
			out.SetFloat(row, 0, o.Values[row])
			continue
		}
		label := o.Labels[row]
		if label < 0 || int(label) >= k {
			return "row " + strconv.Itoa(row) + ": answered a class that is none of the model's"
		}
		out.SetText(row, 0, b.classBytes[label])
		if len(o.Proba) == 0 || b.out.Fields() == 1 {
			continue
		}
		sum := 0.0
		for j, p := range o.Proba[row*k : (row+1)*k] {
			out.SetFloat(row, 1+j, p)
			sum += p
		}
		if !(math.Abs(sum-1) <= sumTolerance) {
			return "row " + strconv.Itoa(row) + ": the probabilities do not sum to 1"
		}
	}
	for _, v := range out.Check(nil) {
		if v.Severity == schema.Error && !v.Tolerated {
			return "row " + strconv.Itoa(v.Row) + ": " + v.Field + " " + v.Detail
		}
	}
	return ""
}

// A plainOutput is what an output schema asks of answers, where it is simple enough to be looked at without putting them into a batch:
// which classes it has, and from where to where values or probabilities may lie. nil takes nothing: the schema itself decides then.
type plainOutput struct {
	classes []bool
	lo, hi  []float64 // of the value, or of each class's probability
}

// plainly returns nil where the schema asks for more.
func (b *Bound) plainly() *plainOutput {
	p, k := &plainOutput{}, len(b.Classes)
	for i := min(1, k); i < b.out.Fields(); i++ {
		lo, hi, ok := b.out.Span(i)
		if !ok {
			return nil
		}
		p.lo, p.hi = append(p.lo, lo), append(p.hi, hi)
	}
	if k > 0 && len(p.lo) != k { // labels alone are soon looked at
		return nil
	}
	for i := range k {
		row := b.out.NewBatch()
		row.Add(1)
		row.SetText(0, 0, b.classBytes[i])
		fits := true
		for _, v := range row.Check(nil) {
			fits = fits && v.Field != PredictionField
		}
		row.Release()
		p.classes = append(p.classes, fits)
	}
	return p
}

// takes reports whether the answers, of which there are as many as there should be, fit. What it does not take may fit all the same.
func (p *plainOutput) takes(o *Output, k int) bool {
	if p == nil || k > 0 && len(o.Proba) == 0 {
		return false
	}
	if k == 0 {
		for _, x := range o.Values {
			if !(x >= p.lo[0] && x <= p.hi[0]) {
				return false
			}
		}
		return true
	}
	for _, label := range o.Labels {
		if uint(label) >= uint(k) || !p.classes[label] {
			return false
		}
	}
	for from := 0; from < len(o.Proba); from += k {
		sum := 0.0
		for j, x := range o.Proba[from : from+k] {
			if !(x >= p.lo[j] && x <= p.hi[j]) {
				return false
			}
			sum += x
		}
		if !(math.Abs(sum-1) <= sumTolerance) {
			return false
		}
	}
	return true
}
