package serve

import (
	"math"
	"slices"
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

// ruleSum and ruleCount are what the log says of answers that break no rule of the schema: the probabilities of a row do not sum to 1, and there are
// not as many as rows.
const (
	ruleSum   = "sum"
	ruleCount = "count"
)

// check holds what the engine answered against the output schema. It returns what is wrong with it first in words, or "", and appends to out which
// rule each output of each row breaks.
func (b *Bound) check(o *Output, rows int, out []schema.RowViolation) (string, []schema.RowViolation) {
	k := len(b.Classes)
	count := func(n int, what, of string) (string, []schema.RowViolation) {
		out = append(out, broken(0, PredictionField, ruleCount, ""))
		return "answered " + strconv.Itoa(n) + " " + what + " for " + strconv.Itoa(rows) + " rows" + of, out
	}
	switch {
	case k == 0 && len(o.Values) != rows:
		return count(len(o.Values), "values", "")
	case k > 0 && len(o.Labels) != rows:
		return count(len(o.Labels), "labels", "")
	case k > 0 && len(o.Proba) != 0 && len(o.Proba) != rows*k:
		return count(len(o.Proba), "probabilities", " of "+strconv.Itoa(k)+" classes")
	}
	if b.plain.takes(o, k) {
		return "", out
	}
	from := len(out)
	answers := b.out.NewBatch()
	defer answers.Release()
	answers.Add(rows)
	for row := range rows {
		if k == 0 {
			answers.SetFloat(row, 0, o.Values[row])
			continue
		}
		if label := o.Labels[row]; label >= 0 && int(label) < k {
			answers.SetText(row, 0, b.classBytes[label])
		} else {
			_ = answers.Refuse(row, 0, "", nil)
			out = append(out, broken(row, PredictionField, schema.RuleSet, "is none of the model's classes"))
		}
		if len(o.Proba) == 0 || b.out.Fields() == 1 {
			continue
		}
		sum := 0.0
		for j, p := range o.Proba[row*k : (row+1)*k] {
			answers.SetFloat(row, 1+j, p)
			sum += p
		}
		if !(math.Abs(sum-1) <= sumTolerance) {
			out = append(out, broken(row, "probabilities", ruleSum, ""))
		}
	}
	out = answers.Check(out)
	out = append(out[:from], slices.DeleteFunc(out[from:], func(v schema.RowViolation) bool { return !refusing(v) })...)
	if len(out) == from {
		return "", out
	}
	v := out[from]
	if v.Rule == ruleSum {
		return "row " + strconv.Itoa(v.Row) + ": the probabilities do not sum to 1", out
	}
	return "row " + strconv.Itoa(v.Row) + ": " + v.Field + " " + v.Detail, out
}

// wrong is check where nobody asks for the rules.
func (b *Bound) wrong(o *Output, rows int) string {
	text, _ := b.check(o, rows, nil)
	return text
}

func broken(row int, output, rule, detail string) schema.RowViolation {
	return schema.RowViolation{Row: row, FieldViolation: schema.FieldViolation{Field: output, Rule: rule, Detail: detail, Severity: schema.Error}}
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
