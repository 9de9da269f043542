package serve

import (
	"slices"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/schema"
)

// InputSchema returns what a request to a model must fit: the columns that the model takes, with what the project's schema says of
// them, and the conditions that speak of these columns alone. What only a table can be held against (keys, uniqueness, the number of
// rows) is left out, and so is the column that a request need not have. Where the project has no schema or no such column, the type
// alone is left. closed makes a name that the schema does not have a violation.
func InputSchema(project *schema.Schema, name string, fields []assay.Field, closed bool) (*schema.Schema, error) {
	out := schema.New(name)
	out.Closed = closed
	for _, f := range fields {
		c := schema.Column{Name: f.Name, Type: f.Type}
		if project != nil {
			if have := project.Column(f.Name); have != nil {
				c = *have
				c.Unique = nil
				if c.Type == "" {
					c.Type = f.Type
				}
			}
		}
		out.Columns = append(out.Columns, c)
	}
	if project == nil {
		return out, nil
	}
	for _, c := range project.Conditions {
		with := *out
		with.Conditions = append(slices.Clone(out.Conditions), c)
		if _, err := with.Compile(); err == nil {
			out.Conditions = with.Conditions
		}
	}
	_, err := out.Compile()
	return out, err
}
