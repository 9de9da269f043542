package upstream

import (
	"slices"

	"github.com/assay-ml/assay/internal/schema"
	"github.com/assay-ml/assay/internal/serve"
)

// A tensor is an output of the Open Inference Protocol.
type tensor struct {
	name  string
	typ   string
	shape []int64
	data  int // place in the text; -1 without data
}

// matrix reports whether the tensor has width values for each of rows; one value a row may come without its own dimension.
func (t *tensor) matrix(rows, width int) bool {
	if len(t.shape) == 0 || t.shape[0] != int64(rows) {
		return false
	}
	rest := int64(1)
	for _, d := range t.shape[1:] {
		if d < 0 || d > int64(width) {
			return false
		}
		rest *= d
	}
	return rest == int64(width)
}

// Tensors reads an answer of the Open Inference Protocol: an output with a value for each row, and one with the probabilities. Data may
// be nested or flat.
func (a *Answer) Tensors(body []byte, rows int, out *serve.Output) error {
	reset(out)
	var r schema.Reader
	r.Reset(body, 0)
	r.AllowNaN() // MLServer writes it; a missing number is refused where it is read
	if r.Kind() != schema.JSONObject {
		return wrong(`not an object with "outputs"`)
	}
	var all []tensor
	found := false
	for more := r.Enter(); more; more = r.More() {
		key, ok := r.Key()
		if !ok {
			return r.Err()
		}
		if string(key) != "outputs" {
			r.Skip()
			continue
		}
		if found || r.Kind() != schema.JSONArray {
			return wrong("outputs must be a list, and there once")
		}
		found = true
		for more := r.Enter(); more; more = r.More() {
			t, err := readTensor(&r)
			if err != nil {
				return err
			}
			if all = append(all, t); len(all) > maxOutputs {
				return wrong("more than %d outputs", maxOutputs)
			}
		}
	}
	if !r.End() {
		return r.Err()
	}
	if !found {
		return wrong(`it has no "outputs"`)
	}
	label, proba, err := a.choose(all, rows)
	if err != nil {
		return err
	}
	for _, t := range []*tensor{label, proba} {
		if t == nil {
			continue
		}
		width := 1
		if t == proba && a.Single != SingleProbability {
			width = len(a.Classes)
		}
		r.Seek(t.data)
		n := 0
		if err := a.elements(&r, t, t == proba, &n, rows*width, out); err != nil {
			return err
		}
		if r.Err() != nil {
			return r.Err()
		}
		if n != rows*width {
			return wrong("output %q has %d elements, its shape says %d", clip(t.name), n, rows*width)
		}
	}
	return a.finish(rows, out)
}

func readTensor(r *schema.Reader) (tensor, error) {
	t := tensor{data: -1}
	if r.Kind() != schema.JSONObject {
		return t, wrong("an output is not an object")
	}
	seen := map[string]bool{}
	for more := r.Enter(); more; more = r.More() {
		key, ok := r.Key()
		if !ok {
			return t, r.Err()
		}
		name := string(key)
		switch name {
		case "name", "datatype", "shape", "data":
			if seen[name] {
				return t, wrong("an output has %s twice", name)
			}
			seen[name] = true
		}
		switch name {
		case "name", "datatype":
			text, ok := r.Text()
			if !ok {
				return t, r.Err()
			}
			if name == "name" {
				t.name = string(text)
			} else {
				t.typ = string(text)
			}
		case "shape":
			if r.Kind() != schema.JSONArray {
				return t, wrong("the shape of an output is not a list")
			}
			for more := r.Enter(); more; more = r.More() {
				d, ok := r.Int()
				if !ok || len(t.shape) == 8 {
					return t, wrong("the shape of an output is not a list of a few whole numbers")
				}
				t.shape = append(t.shape, d)
			}
		case "data":
			if r.Kind() != schema.JSONArray {
				return t, wrong("the data of an output is not a list")
			}
			t.data = r.Pos()
			r.Skip()
		default:
			r.Skip()
		}
	}
	if r.Err() != nil {
		return t, r.Err()
	}
	if t.name == "" || t.typ == "" || t.data < 0 {
		return t, wrong("an output without name, datatype or data")
	}
	return t, nil
}

// choose finds the outputs with the class or value and with the probabilities.
func (a *Answer) choose(all []tensor, rows int) (label, proba *tensor, err error) {
	k := len(a.Classes)
	find := func(name string, usual []string, fits func(t *tensor) bool) (*tensor, error) {
		var some []*tensor
		for i := range all {
			t := &all[i]
			if name != "" && t.name == name {
				if !fits(t) {
					return nil, wrong("output %q does not have the type and shape that %d rows need", name, rows)
				}
				return t, nil
			}
			if fits(t) {
				some = append(some, t)
			}
		}
		if name != "" {
			return nil, wrong("it has no output %q", name)
		}
		for _, u := range usual {
			for _, t := range some {
				if t.name == u {
					return t, nil
				}
			}
		}
		if len(some) > 1 {
			return nil, wrong("%d outputs could be it, such as %q and %q: name the one that is meant", len(some), clip(some[0].name), clip(some[1].name))
		}
		return slices.Concat(some, []*tensor{nil})[0], nil
	}
	numeric := func(t *tensor) bool { return floatType(t.typ) || wholeType(t.typ) }
	switch {
	case k == 0:
		if label, err = find(a.Label, labelNames, func(t *tensor) bool { return numeric(t) && t.matrix(rows, 1) }); err == nil && label == nil {
			err = wrong("it has no output of numbers with the shape of %d rows", rows)
		}
		return label, nil, err
	case a.Single == SingleProbability:
		if proba, err = find(a.Probabilities, probabilityNames, func(t *tensor) bool { return floatType(t.typ) && t.matrix(rows, 1) }); err == nil && proba == nil {
			err = wrong("it has no output of probabilities with the shape of %d rows", rows)
		}
		return nil, proba, err
	}
	if proba, err = find(a.Probabilities, probabilityNames, func(t *tensor) bool { return floatType(t.typ) && t.matrix(rows, k) }); err != nil {
		return nil, nil, err
	}
	label, err = find(a.Label, labelNames, func(t *tensor) bool { return (t.typ == "BYTES" || t.typ == "BOOL" || numeric(t)) && t.matrix(rows, 1) })
	if err == nil && label == nil && proba == nil {
		err = wrong("it has no output with the shape of %d rows and %d classes", rows, k)
	}
	return label, proba, err
}

// elements reads data, nested or flat, of at most limit values.
func (a *Answer) elements(r *schema.Reader, t *tensor, proba bool, n *int, limit int, out *serve.Output) error {
	for more := r.Enter(); more; more = r.More() {
		if r.Kind() == schema.JSONArray {
			if err := a.elements(r, t, proba, n, limit, out); err != nil {
				return err
			}
			continue
		}
		if *n == limit {
			return wrong("output %q has more than the %d elements that its shape says", clip(t.name), limit)
		}
		row := *n
		*n++
		kind := r.Kind()
		if !proba {
			if t.typ == "BYTES" && kind != schema.JSONString || t.typ == "BOOL" && kind != schema.JSONBool || t.typ != "BYTES" && t.typ != "BOOL" && kind != schema.JSONNumber {
				return wrong("element %d of output %q is not of type %s", row, clip(t.name), clip(t.typ))
			}
			if err := a.value(r, row, out); err != nil {
				return err
			}
			continue
		}
		x, ok := numberOf(r)
		if !ok {
			return wrong("element %d of output %q is not a number", row, clip(t.name))
		}
		if a.Single == SingleProbability {
			a.pair(x, out)
		} else {
			out.Proba = append(out.Proba, x)
		}
	}
	return nil
}
