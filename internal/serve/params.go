package serve

import (
	"bytes"
	"context"
	"encoding/json"
	"slices"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/schema"
)

// Parametric is an Engine that takes parameters of a prediction, a JSON object of those that the request named.
type Parametric interface {
	PredictWith(ctx context.Context, rows *schema.Batch, params []byte, out *Output) error
}

// A Param is a parameter that a request may name.
type Param struct {
	Name    string
	Type    string // as MLflow's signatures have it: boolean, integer, long, float, double, string, datetime, object
	List    bool   // the value is a list of values of the type
	Default json.RawMessage
	// Typed appends a JSON value as the model is to read it, or says why it is none, in words that follow its name and never repeat the value.
	Typed func(dst, text []byte) (out []byte, why string)
}

// Param returns the parameter of that name, or nil.
func (b *Bound) Param(name []byte) *Param {
	for i := range b.Params {
		if b.Params[i].Name == string(name) {
			return &b.Params[i]
		}
	}
	return nil
}

// TakesParams reports whether what evaluates the model takes parameters. An engine that is Parametric does, unless its TakesParams says otherwise.
func (b *Bound) TakesParams() bool {
	if e, ok := b.Engine.(interface{ TakesParams() bool }); ok {
		return e.TakesParams()
	}
	_, ok := b.Engine.(Parametric)
	return ok
}

// maxParamsTold is how many problems with parameters an answer lists.
const maxParamsTold = 20

// maxOthers is how many parameters that are none of the model's may be there.
const maxOthers = 256

// Given are the parameters of one request on their way into its call.
type Given struct {
	c      *Call
	loose  bool
	seen   []*Param
	others [][]byte // names that are ignored, which may not come twice either
	bad    assay.Problems
}

// Given begins to take the parameters of the request. One of the name of a column of the key tells rows apart: a value the only row, a list each row. What
// is neither that nor the model's is refused; where the model declares none, another server answered, or loose is set, it is ignored.
func (c *Call) Given(loose bool) *Given {
	return &Given{c: c, loose: loose || c.observed || len(c.bound.Params) == 0}
}

// A givenKey is what a parameter says of the keys of the rows.
type givenKey struct{ name, text []byte }

// Read takes the next value of r, which has the given name.
func (g *Given) Read(r *schema.Reader, name []byte) {
	if text, ok := r.Skip(); ok {
		g.Take(name, text)
	}
}

// Take takes a parameter whose value is a JSON text.
func (g *Given) Take(name, text []byte) {
	p := g.c.bound.Param(name)
	switch {
	case p == nil && g.c.Rows.IsKey(name):
		if slices.ContainsFunc(g.c.keys, func(k givenKey) bool { return bytes.Equal(k.name, name) }) {
			g.tell("%q is there twice", clip(string(name)))
			return
		}
		g.c.keys = append(g.c.keys, givenKey{name, text})
	case p == nil && g.loose:
		switch {
		case slices.ContainsFunc(g.others, func(x []byte) bool { return bytes.Equal(x, name) }):
			g.tell("%q is there twice", clip(string(name)))
		case len(g.others) == maxOthers:
			g.tell("%q is one too many: the model has none of them", clip(string(name)))
		default:
			g.others = append(g.others, name)
		}
	case p == nil:
		g.tell("%q is none of the model's", clip(string(name)))
	case slices.Contains(g.seen, p):
		g.tell("%q is there twice", p.Name)
	default:
		g.seen = append(g.seen, p)
		between := byte(',')
		if len(g.c.Params) == 0 {
			between = '{'
		}
		out, why := p.Typed(append(schema.AppendJSONString(append(g.c.Params, between), name), ':'), text)
		if why != "" {
			g.tell("%q %s", p.Name, why)
			return
		}
		g.c.Params = out
	}
}

func (g *Given) tell(format string, args ...any) {
	if len(g.bad) < maxParamsTold {
		g.bad.Add(format, args...)
	}
}

// End gives the call its parameters. The error is Invalid and names all that do not fit, never a value.
func (g *Given) End() error {
	if len(g.c.Params) > 0 {
		g.c.Params = append(g.c.Params, '}')
	}
	return g.bad.Err(assay.Invalid, "the parameters do not fit")
}

// ReadParams reads an object of parameters, or null.
func (c *Call) ReadParams(r *schema.Reader) error {
	if r.Kind() == schema.JSONNull {
		r.Null()
		return nil
	}
	if r.Kind() != schema.JSONObject {
		r.Skip()
		return assay.Errorf(assay.Invalid, "the parameters must be an object")
	}
	given := c.Given(false)
	for more := r.Enter(); more; more = r.More() {
		key, ok := r.Key()
		if !ok {
			break
		}
		given.Read(r, key)
	}
	return given.End()
}

// giveKeys gives the rows the keys that parameters had for them. The error is Invalid.
func (c *Call) giveKeys() error {
	rows := c.Rows.Rows()
	for _, k := range c.keys {
		var r schema.Reader
		r.Reset(k.text, 0)
		give := func(row int) bool {
			if c.Rows.HasKey(row, k.name) {
				return false
			}
			var ok bool
			c.Found, ok = c.Rows.ReadKey(&r, row, k.name, c.Found)
			return ok
		}
		n, ok := 0, true
		if r.Kind() == schema.JSONArray {
			for more := r.Enter(); ok && more; more = r.More() {
				ok = n < rows && give(n)
				n++
			}
		} else {
			n, ok = 1, give(0)
		}
		if !ok || n != rows {
			return assay.Errorf(assay.Invalid, "the parameter %q is no key of each row: it must be a list of one for each of the %d rows, and nothing else of that name may be there", clip(string(k.name)), rows)
		}
	}
	return nil
}
