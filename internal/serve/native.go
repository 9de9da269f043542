package serve

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strconv"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/schema"
	"github.com/assay-ml/assay/learn"
)

// native evaluates a model file in this process.
type native struct {
	model   *learn.Predictor
	ports   []nativePort
	classes []string
	number  bool // labels are the numbers of the classes, not their names
	unnamed bool // the model does not say which class a probability is of: the keys of its maps do
	label   int  // output ports; -1 without one
	proba   int
	value   int
}

// A nativePort says which fields fill an input of the model.
type nativePort struct {
	fields     []int
	categories []*learn.Categories // of each field; nil: the value itself is what the model takes
	typ        learn.ElementType
	least      int64 // of whole numbers
	most       int64
	holds      string // in words
	flat       bool   // a vector, not a matrix
}

// Native makes an engine of a model that was opened, for rows that have the given fields in this order. A model with an input for each
// column finds them by name; one with a single matrix takes the columns that it names, or all fields in their order. classes are those
// of the version, in the order of its probabilities. Errors are Invalid and name every input that no field fits.
func Native(m *learn.Predictor, fields []assay.Field, classes []string) (Engine, error) {
	n := &native{model: m, classes: classes, label: -1, proba: -1, value: -1}
	n.number = m.Format() != learn.FormatONNX && len(m.Classes()) == len(classes)
	at := map[string]int{}
	for i, f := range fields {
		at[f.Name] = i
	}
	var bad assay.Problems
	use := func(p *nativePort, name string, categories *learn.Categories) {
		i, ok := at[name]
		if !ok {
			bad.Add("input %q is not a field of the schema", name)
			return
		}
		if t := fields[i].Type; t == assay.TypeJSON || t == assay.TypeBinary {
			bad.Add("column %q is of type %s, which only a model in Python workers can take", name, t)
		} else if text := t == assay.TypeString; text != (p.typ == learn.String || categories.Text()) {
			takes := fmt.Sprint(p.typ)
			if categories != nil {
				takes = "categories that are numbers"
				if categories.Text() {
					takes = "categories that are texts"
				}
			}
			bad.Add("input %q takes %s, its field is of type %s", name, takes, fields[i].Type)
		}
		p.fields, p.categories = append(p.fields, i), append(p.categories, categories)
	}
	for _, in := range m.Inputs() {
		p := nativePort{typ: in.Type, flat: len(in.Shape) == 1}
		_, single := at[in.Name]
		switch {
		case len(in.Columns) > 0 && in.Columns[0].Name != "":
			for _, c := range in.Columns {
				use(&p, c.Name, c.Categories)
			}
		case single:
			use(&p, in.Name, nil)
		case len(in.Shape) == 2 && len(m.Inputs()) == 1 && (in.Shape[1] < 0 || in.Shape[1] == len(fields)):
			for _, f := range fields {
				use(&p, f.Name, nil)
			}
		default:
			use(&p, in.Name, nil)
		}
		p.least, p.most = p.typ.Bounds()
		p.holds = wholeNumbers(p.typ)
		n.ports = append(n.ports, p)
	}
	for i, out := range m.Outputs() {
		switch {
		case out.Role == learn.RoleLabel && n.label < 0:
			n.label = i
		case out.Role == learn.RoleProbability && n.proba < 0:
			n.proba, n.unnamed = i, out.Keys && len(out.Classes) == 0
		case out.Role == learn.RoleValue && n.value < 0:
			n.value = i
		}
	}
	if len(classes) == 0 && n.value < 0 {
		bad.Add("no output of the model is a value")
	}
	if len(classes) > 0 && n.label < 0 && n.proba < 0 {
		bad.Add("no output of the model is a label or a probability")
	}
	if err := bad.Err(assay.Invalid, "the model cannot be served"); err != nil {
		return nil, err
	}
	return n, nil
}

func (n *native) Close() error { return n.model.Close() }

func (n *native) Predict(ctx context.Context, rows *schema.Batch, out *Output) error {
	s := n.model.Session()
	defer s.Close()
	count := rows.Rows()
	for i := range n.ports {
		if err := n.ports[i].fill(s, i, rows, count); err != nil {
			return err
		}
	}
	if err := s.RunContext(ctx); err != nil {
		return assay.Errorf(assay.Internal, "%w", err)
	}
	out.reset()
	if len(n.classes) == 0 {
		out.Values = appendDoubles(out.Values, s.Output(n.value))
		return nil
	}
	k := len(n.classes)
	if n.proba >= 0 {
		scores := s.Output(n.proba)
		if n.unnamed && !keyed(scores, n.classes) {
			return assay.Errorf(assay.Internal, "the keys of the model's maps are not the classes in their order")
		}
		out.Proba = appendDoubles(out.Proba, scores)
		if scores.Type == learn.Float32 && learn.Clip(out.Proba) > 0 {
			for i, v := range scores.Floats {
				if float64(v) != out.Proba[i] && !math.IsNaN(out.Proba[i]) {
					out.Clipped = append(out.Clipped, i)
				}
			}
		}
		for row := range len(out.Proba) / k {
			learn.Normalise(out.Proba[row*k : (row+1)*k])
		}
	}
	if n.label < 0 {
		for row := range count {
			best := 0
			for j := 1; j < k; j++ {
				if out.Proba[row*k+j] > out.Proba[row*k+best] {
					best = j
				}
			}
			out.Labels = append(out.Labels, int32(best))
		}
		return nil
	}
	return n.labels(s.Output(n.label), out)
}

// keyed reports whether the keys of a sequence of maps are the classes in their order.
func keyed(t *learn.Tensor, classes []string) bool {
	if t.Keys == nil || t.Keys.Len() != len(classes) {
		return false
	}
	for i, c := range classes {
		if t.Keys.Type == learn.String && t.Keys.Strings[i] != c || t.Keys.Type != learn.String && strconv.FormatInt(t.Keys.Ints[i], 10) != c {
			return false
		}
	}
	return true
}

// labels finds the class of every predicted label; one that is none of the model's is -1, which the output check refuses.
func (n *native) labels(t *learn.Tensor, out *Output) error {
	if t.Type == learn.String {
		for _, name := range t.Strings {
			label := int32(-1)
			for i := range n.classes {
				if n.classes[i] == name {
					label = int32(i)
					break
				}
			}
			out.Labels = append(out.Labels, label)
		}
		return nil
	}
	var digits [20]byte
	for _, v := range t.Ints {
		if n.number {
			out.Labels = append(out.Labels, int32(max(-1, min(v, int64(len(n.classes)))))) // beyond them is refused, too
			continue
		}
		name := strconv.AppendInt(digits[:0], v, 10)
		label := int32(-1)
		for i := range n.classes {
			if n.classes[i] == string(name) {
				label = int32(i)
				break
			}
		}
		out.Labels = append(out.Labels, label)
	}
	return nil
}

// fill copies the port's fields of all rows into an input of the session.
func (p *nativePort) fill(s *learn.Session, i int, rows *schema.Batch, count int) error {
	var t *learn.Tensor
	var err error
	width := len(p.fields)
	if p.flat {
		t, err = s.Input(i, count)
	} else {
		t, err = s.Input(i, count, width)
	}
	if err != nil {
		return err
	}
	if p.typ == learn.Float32 {
		return p.fillFloats(t.Floats, rows, count)
	}
	for row := range count {
		for j, f := range p.fields {
			to := row*width + j
			if c := p.categories[j]; c != nil {
				if t.Doubles[to], err = category(c, rows, row, f); err != nil {
					return err
				}
				continue
			}
			switch p.typ {
			case learn.Float64:
				t.Doubles[to] = rows.Float(row, f)
			case learn.String:
				b, _ := rows.Text(row, f)
				t.Strings[to] = string(b)
			default:
				x, ok := rows.Int(row, f)
				if ok && (x < p.least || x > p.most) || !ok && !rows.Missing(row, f) {
					return assay.Errorf(assay.Rejected, "row %d: %s is beyond what the model can hold (%s)", row, rows.Validator().Field(f).Name, p.holds)
				}
				if !ok {
					return assay.Errorf(assay.Rejected, "row %d: %s is missing, and the model takes whole numbers only", row, rows.Validator().Field(f).Name)
				}
				t.Ints[to] = x
			}
		}
	}
	return nil
}

// category returns the code of a value as a number; NaN is missing.
func category(c *learn.Categories, rows *schema.Batch, row, f int) (float64, error) {
	if rows.Missing(row, f) {
		return math.NaN(), nil
	}
	var code float64
	if c.Text() {
		b, _ := rows.Text(row, f)
		code = c.OfText(b)
	} else {
		code = c.OfNumber(rows.Float(row, f))
	}
	if c.Closed() && code != code {
		return code, assay.Errorf(assay.Rejected, "row %d: %s is no category of the model, which refuses it", row, rows.Validator().Field(f).Name)
	}
	return code, nil
}

// wholeNumbers says in words what a type of whole numbers holds.
func wholeNumbers(t learn.ElementType) string {
	switch t {
	case learn.Bool:
		return "truth values"
	case learn.Int8:
		return "8-bit integers"
	case learn.Int16:
		return "16-bit integers"
	case learn.Int32:
		return "32-bit integers"
	case learn.Uint8:
		return "8-bit integers without a sign"
	case learn.Uint16:
		return "16-bit integers without a sign"
	case learn.Uint32:
		return "32-bit integers without a sign"
	case learn.Uint64:
		return "63-bit integers without a sign"
	}
	return "64-bit integers"
}

// Element returns the type in which the version's model takes a field; false where that is not known, or it takes it in several.
func (b *Bound) Element(field int) (t learn.ElementType, ok bool) {
	n, native := b.Engine.(*native)
	if !native {
		return 0, false
	}
	for _, p := range n.ports {
		if slices.Contains(p.fields, field) {
			if ok && t != p.typ {
				return 0, false
			}
			t, ok = p.typ, true
		}
	}
	return t, ok
}

// fillFloats copies the fields into a matrix of 32-bit floats, a column after the other.
func (p *nativePort) fillFloats(to []float32, rows *schema.Batch, count int) error {
	var block [128]float64
	width := len(p.fields)
	for j, f := range p.fields {
		if c := p.categories[j]; c != nil {
			for row := range count {
				x, err := category(c, rows, row, f)
				if err != nil {
					return err
				}
				to[row*width+j] = float32(x)
			}
			continue
		}
		for from := 0; from < count; from += len(block) {
			values := block[:min(len(block), count-from)]
			rows.Floats(from, f, values)
			for i, x := range values {
				y := float32(x)
				if y-y != 0 && math.IsInf(float64(y), 0) && !math.IsInf(x, 0) {
					return assay.Errorf(assay.Rejected, "row %d: %s is beyond what the model can hold (32-bit floats)", from+i, rows.Validator().Field(f).Name)
				}
				to[(from+i)*width+j] = y
			}
		}
	}
	return nil
}

func appendDoubles(dst []float64, t *learn.Tensor) []float64 {
	if t.Type == learn.Float64 {
		return append(dst, t.Doubles...)
	}
	for _, x := range t.Floats {
		dst = append(dst, float64(x))
	}
	return dst
}
