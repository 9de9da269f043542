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

// Add adds the column of that name.
func (l *Layout) Add(c *Call, name []byte) {
	i, ok := c.Version().Inputs().Index(name)
	if !ok {
		i = -1
	}
	l.Fields, l.Names = append(l.Fields, i), append(l.Names, name)
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
	seen := map[int]bool{}
	for _, f := range l.Fields {
		if f >= 0 && seen[f] {
			return assay.Errorf(assay.Invalid, "column %q is there twice", c.Version().Inputs().Field(f).Name)
		}
		seen[f] = true
	}
	return nil
}

// ReadRow reads a JSON list as a row. Errors are Invalid; what is wrong with the text itself is found in the reader.
func (c *Call) ReadRow(r *schema.Reader, l *Layout) error {
	row := c.Rows.Rows()
	if r.Kind() != schema.JSONArray {
		r.Skip()
		return assay.Errorf(assay.Invalid, "row %d is not a list", row)
	}
	c.Rows.Add(1)
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
			row := c.Rows.Rows()
			c.Rows.Add(1)
			if !c.Rows.JSON(r, row, 0) {
				return nil
			}
		}
	}
	return nil
}
