package mlflow

import (
	"github.com/assay-ml/assay/internal/schema"
	"github.com/assay-ml/assay/internal/serve"
)

// A method says what is answered of each row.
type method uint8

const (
	everything    method = iota // a record: the prediction, and probabilities where there are any
	labelsOnly                  // the prediction
	probabilities               // a list of probabilities
)

type reply struct {
	method method
	from   schema.Construction // what MLflow would have made of the rows of the request
}

// append writes {"predictions": […]}.
func (f reply) append(dst []byte, c *serve.Call) []byte {
	b, o := c.Version(), &c.Output
	k := len(b.Classes)
	dst = append(dst, `{"predictions": [`...)
	for row := range c.Rows.Rows() {
		if row > 0 {
			dst = append(dst, ", "...)
		}
		switch {
		case k == 0:
			dst = serve.AppendNumber(dst, o.Values[row])
		case f.method == labelsOnly || len(o.Proba) == 0:
			dst = b.AppendLabel(dst, o.Labels[row])
		case f.method == probabilities:
			dst = append(dst, '[')
			for j, p := range o.Proba[row*k : (row+1)*k] {
				if j > 0 {
					dst = append(dst, ", "...)
				}
				dst = serve.AppendNumber(dst, p)
			}
			dst = append(dst, ']')
		default:
			dst = append(dst, `{"prediction": `...)
			dst = b.AppendLabel(dst, o.Labels[row])
			for j, p := range o.Proba[row*k : (row+1)*k] {
				dst = append(dst, ", "...)
				dst = append(dst, b.ProbabilityKey(j)...)
				dst = append(dst, ": "...)
				dst = serve.AppendNumber(dst, p)
			}
			dst = append(dst, '}')
		}
	}
	return append(dst, "]}"...)
}
