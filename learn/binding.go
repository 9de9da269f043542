package learn

import (
	"fmt"
	"math"
	"strings"

	"github.com/assay-ml/assay"
)

// A binding says which columns of a frame fill which input of a model.
type binding struct {
	inputs [][]source
	flat   []bool // the input is a vector, not a matrix
}

// A source fills one column of a matrix. Codes, where set, are those of the model for the frame's levels, and numbers has those for its
// numbers; NaN is a value that the model does not know, which counts as missing.
type source struct {
	column  *assay.Column
	codes   []float64
	numbers *Categories
}

// bind finds the columns of every input, or reports every one that is absent or does not fit.
func (p *Predictor) bind(x assay.Frame) (*binding, error) {
	b := &binding{}
	var problems assay.Problems
	find := func(name string) *assay.Column {
		c := x.Column(name)
		if c == nil {
			names := make([]string, len(x))
			for i := range x {
				names[i] = x[i].Name
			}
			problems.Add("column %q is missing%s", name, didYouMean(name, names))
		}
		return c
	}
	for i := range p.in {
		in := &p.in[i]
		var columns []source
		switch {
		case len(in.Columns) > 0:
			for j := range in.Columns {
				if c := find(in.Columns[j].Name); c != nil {
					s, err := in.Columns[j].source(c, in.Type)
					refuseColumn(&problems, c, err)
					columns = append(columns, s)
				}
			}
		case len(p.in) == 1 && len(in.Shape) == 2 && (in.Shape[1] > 1 || x.Column(in.Name) == nil):
			if n := in.Shape[1]; n > 0 && n != len(x) {
				problems.Add("input %q takes %d columns, the table has %d", in.Name, n, len(x))
				continue
			}
			for j := range x {
				s, err := Feature{}.source(&x[j], in.Type)
				refuseColumn(&problems, &x[j], err)
				columns = append(columns, s)
			}
		default:
			if c := find(in.Name); c != nil {
				s, err := Feature{}.source(c, in.Type)
				refuseColumn(&problems, c, err)
				columns = append(columns, s)
			}
		}
		b.inputs, b.flat = append(b.inputs, columns), append(b.flat, len(in.Shape) != 2)
	}
	return b, problems.Err(assay.Invalid, "the table does not fit the model")
}

func refuseColumn(problems *assay.Problems, c *assay.Column, err error) {
	if err != nil {
		problems.Add("column %q %v", c.Name, err)
	}
}

// source checks that a column can fill the feature.
func (f Feature) source(c *assay.Column, typ ElementType) (source, error) {
	s := source{column: c}
	switch {
	case f.Categories != nil:
		return f.Categories.source(c)
	case (c.Codes != nil) != (typ == String):
		kind := "numbers"
		if c.Codes != nil {
			kind = "strings"
		}
		return s, fmt.Errorf("holds %s, the model takes %s", kind, typ)
	case typ.integral():
		return s, fitsWhole(c, typ)
	}
	return s, nil
}

// fitsWhole reports the values that a tensor of whole numbers cannot hold, each as it is.
func fitsWhole(c *assay.Column, typ ElementType) error {
	const exact = 1 << 53
	least, most := typ.Bounds()
	missing, broken, beyond, rounded := 0, 0, 0, 0
	for i, v := range c.Floats {
		switch {
		case v != v:
			missing++
		case v != math.Trunc(v):
			broken++
		case c.Ints != nil:
			if x := c.Ints[i]; x < least || x > most {
				beyond++
			}
		case v < float64(least) || v >= float64(most)+1: // the most of 64 bits has no float64, the number after it has
			beyond++
		case c.Type == assay.TypeInteger && math.Abs(v) > exact:
			rounded++
		}
	}
	var why []string
	for _, x := range []struct {
		n    int
		what string
	}{{missing, "missing"}, {broken, "not whole"}, {beyond, "beyond what it can hold"}, {rounded, "beyond 2^53 and there as rounded numbers alone"}} {
		if x.n > 0 {
			why = append(why, fmt.Sprintf("%d that are %s", x.n, x.what))
		}
	}
	if why == nil {
		return nil
	}
	return fmt.Errorf("has values that the model, which takes %s, cannot be given: %s", typ, strings.Join(why, ", "))
}

// source checks that a column can be turned into codes.
func (k *Categories) source(c *assay.Column) (source, error) {
	s, unknown := source{column: c}, 0
	switch {
	case k.Text() && c.Codes == nil:
		return s, fmt.Errorf("holds numbers, the model's categories are strings")
	case !k.Text() && c.Codes != nil:
		return s, fmt.Errorf("holds strings, the model's categories are numbers")
	case k.Text():
		s.codes = make([]float64, len(c.Levels))
		for i, level := range c.Levels {
			s.codes[i] = k.OfText([]byte(level))
		}
		for _, code := range c.Codes {
			if code >= 0 && math.IsNaN(s.codes[code]) {
				unknown++
			}
		}
	default:
		s.numbers = k
		for _, v := range c.Floats {
			if v == v && math.IsNaN(k.OfNumber(v)) {
				unknown++
			}
		}
	}
	if unknown > 0 && k.closed {
		return s, fmt.Errorf("has %d values that are no category of the model, which refuses them", unknown)
	}
	return s, nil
}

// fill puts the rows from lo up to hi into the inputs of a session.
func (b *binding) fill(s *Session, lo, hi int) error {
	n := hi - lo
	for i, columns := range b.inputs {
		k := len(columns)
		var t *Tensor
		var err error
		if b.flat[i] {
			t, err = s.Input(i, n)
		} else {
			t, err = s.Input(i, n, k)
		}
		if err != nil {
			return err
		}
		for j := range columns {
			columns[j].put(t, j, k, lo, hi)
		}
	}
	return nil
}

// put writes rows of the column into column j of a matrix of k columns.
func (s *source) put(t *Tensor, j, k, lo, hi int) {
	c := s.column
	set := func(i int, v float64) {
		if t.Type == Float32 {
			t.Floats[i*k+j] = float32(v)
		} else {
			t.Doubles[i*k+j] = v
		}
	}
	switch {
	case s.codes != nil:
		for i, code := range c.Codes[lo:hi] {
			v := math.NaN()
			if code >= 0 {
				v = s.codes[code]
			}
			set(i, v)
		}
	case s.numbers != nil:
		for i, v := range c.Floats[lo:hi] {
			set(i, s.numbers.OfNumber(v))
		}
	case t.Type == String:
		for i, code := range c.Codes[lo:hi] {
			t.Strings[i*k+j] = ""
			if code >= 0 {
				t.Strings[i*k+j] = c.Levels[code]
			}
		}
	case t.Type == Float32:
		for i, v := range c.Floats[lo:hi] {
			t.Floats[i*k+j] = float32(v)
		}
	case t.Type == Float64:
		for i, v := range c.Floats[lo:hi] {
			t.Doubles[i*k+j] = v
		}
	case c.Ints != nil:
		for i, v := range c.Ints[lo:hi] {
			t.Ints[i*k+j] = v
		}
	default:
		for i, v := range c.Floats[lo:hi] {
			t.Ints[i*k+j] = int64(v)
		}
	}
}
