package serve

import (
	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/schema"
)

// A Layout says which field each column of a request fills; -1 is a column that the schema does not have, whose name is then in Names.
type Layout struct {
	Fields []int
	Names  [][]byte // one for each field where the request has names
}

// MaxColumns is how many columns a request may have, beside those of the model.
const MaxColumns = 1 << 16

// Add adds the column of that name. The error is Invalid.
func (l *Layout) Add(c *Call, name []byte) error {
	if len(l.Fields) == MaxColumns+c.Version().Inputs().Fields() {
		return assay.Errorf(assay.Invalid, "the request has more than %d columns", len(l.Fields))
	}
	i, ok := c.Version().Inputs().Index(name)
	if !ok {
		i = -1
	}
	l.Fields, l.Names = append(l.Fields, i), append(l.Names, name)
	return nil
}

// InOrder is the layout of rows without names: the fields in their order.
func InOrder(c *Call) Layout {
	var l Layout
	for i := range c.Version().Inputs().Fields() {
		l.Fields = append(l.Fields, i)
	}
	return l
}

// Twice is an error that names a column that the request has two times.
func (l *Layout) Twice(c *Call) error {
	seen, keys := map[int]bool{}, map[string]bool{}
	for i, f := range l.Fields {
		if f < 0 {
			if name := l.Names[i]; c.Rows.IsKey(name) {
				if keys[string(name)] {
					return assay.Errorf(assay.Invalid, "column %q is there twice", name)
				}
				keys[string(name)] = true
			}
			continue
		}
		if seen[f] {
			return assay.Errorf(assay.Invalid, "column %q is there twice", c.Version().Inputs().Field(f).Name)
		}
		seen[f] = true
	}
	return nil
}

// ReadRow reads a JSON list as a row. Errors are Invalid; what is wrong with the text itself is found in the reader.
func (c *Call) ReadRow(r *schema.Reader, l *Layout) error {
	if r.Kind() != schema.JSONArray {
		r.Skip()
		return assay.Errorf(assay.Invalid, "row %d is not a list", c.Rows.Rows())
	}
	row, err := c.NewRow()
	if err != nil {
		return err
	}
	j := 0
	for more := r.Enter(); more; more = r.More() {
		if j == len(l.Fields) {
			return assay.Errorf(assay.Invalid, "row %d has more than the %d values of its columns", row, len(l.Fields))
		}
		if f := l.Fields[j]; f < 0 {
			c.Found, _ = c.Rows.Extra(r, row, l.Names[j], c.Found)
		} else if !c.Rows.JSON(r, row, f) {
			return nil
		}
		j++
	}
	if r.Err() == nil && j < len(l.Fields) {
		return assay.Errorf(assay.Invalid, "row %d has %d values for %d columns", row, j, len(l.Fields))
	}
	return nil
}

// ReadInstances reads a JSON list of objects, of lists or of single values, one for each row. Errors are as those of ReadRow.
func (c *Call) ReadInstances(r *schema.Reader) error {
	if r.Kind() != schema.JSONArray {
		r.Skip()
		return assay.Errorf(assay.Invalid, "instances must be a list")
	}
	l := Layout{}
	for more := r.Enter(); more; more = r.More() {
		switch r.Kind() {
		case schema.JSONObject:
			if err := c.Fits(c.Rows.Rows() + 1); err != nil {
				return err
			}
			var ok bool
			if c.Found, ok = c.Rows.Object(r, c.Found); !ok {
				return nil
			}
		case schema.JSONArray:
			if l.Fields == nil {
				l = InOrder(c)
			}
			if err := c.ReadRow(r, &l); err != nil {
				return err
			}
		default:
			if c.Version().Inputs().Fields() != 1 {
				r.Skip()
				return assay.Errorf(assay.Invalid, "row %d is a single value, the model takes %d", c.Rows.Rows(), c.Version().Inputs().Fields())
			}
			row, err := c.NewRow()
			if err != nil {
				return err
			}
			if !c.Rows.JSON(r, row, 0) {
				return nil
			}
		}
	}
	return nil
}
