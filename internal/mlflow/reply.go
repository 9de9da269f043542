package mlflow

import (
	"strconv"

	"github.com/assay-ml/assay"
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

type reply struct{ method method }

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
			dst = appendNumber(dst, o.Values[row])
		case f.method == labelsOnly || len(o.Proba) == 0:
			dst = appendLabel(dst, b, o.Labels[row])
		case f.method == probabilities:
			dst = append(dst, '[')
			for j, p := range o.Proba[row*k : (row+1)*k] {
				if j > 0 {
					dst = append(dst, ", "...)
				}
				dst = appendNumber(dst, p)
			}
			dst = append(dst, ']')
		default:
			dst = append(dst, `{"prediction": `...)
			dst = appendLabel(dst, b, o.Labels[row])
			for j, p := range o.Proba[row*k : (row+1)*k] {
				dst = append(dst, ", "...)
				dst = append(dst, b.ProbabilityKey(j)...)
				dst = append(dst, ": "...)
				dst = appendNumber(dst, p)
			}
			dst = append(dst, '}')
		}
	}
	return append(dst, "]}"...)
}

func appendNumber(dst []byte, x float64) []byte { return strconv.AppendFloat(dst, x, 'g', -1, 64) }

// appendLabel writes a class as the type of the target column has it: the class 1 of integers is 1 and not "1".
func appendLabel(dst []byte, b *serve.Bound, label int32) []byte {
	name := b.Classes[label]
	switch b.LabelType {
	case assay.TypeInteger, assay.TypeBoolean, assay.TypeNumber:
		return append(dst, name...)
	}
	return schema.AppendJSONString(dst, []byte(name))
}
