package oip

import (
	"encoding/binary"
	"math"
	"strconv"

	"github.com/assay-ml/assay/internal/schema"
	"github.com/assay-ml/assay/internal/serve"
)

// predictionType is the datatype of the prediction: the target column's, where the classes are values of it.
func predictionType(b *serve.Bound) datatype {
	l := b.Labels()
	switch {
	case len(b.Classes) == 0, l.Floats != nil:
		return typeFP64
	case l.Ints != nil:
		return typeInt64
	case l.Bools != nil:
		return typeBool
	}
	return typeBytes
}

// answered are the outputs that the request wants, everything when it names none.
func (q *request) answered(c *serve.Call) []wanted {
	if len(q.outputs) > 0 {
		return q.outputs
	}
	q.outputs = append(q.outputs, wanted{name: serve.PredictionField})
	if hasProbabilities(c.Version()) && len(c.Output.Proba) > 0 {
		q.outputs = append(q.outputs, wanted{name: probabilitiesName, proba: true})
	}
	return q.outputs
}

// appendReply writes the answer as JSON, and after it the tensors that are wanted in binary; head is the length of the JSON, all of it
// when there are none.
func (q *request) appendReply(dst []byte, c *serve.Call) (reply []byte, head int) {
	b := c.Version()
	rows := c.Rows.Rows()
	dst = append(dst, `{"model_name":`...)
	dst = schema.AppendJSONString(dst, []byte(b.Name))
	dst = append(dst, `,"model_version":"`...)
	dst = strconv.AppendInt(dst, int64(b.Number), 10)
	dst = append(dst, `","id":`...)
	dst = schema.AppendJSONString(dst, []byte(c.ID))
	if c.Fallback || len(c.Unusual) > 0 {
		dst = append(dst, `,"parameters":{`...)
		if c.Fallback {
			dst = append(dst, `"fallback":true`...)
		}
		if len(c.Unusual) > 0 {
			if c.Fallback {
				dst = append(dst, ',')
			}
			dst = append(dst, `"out_of_distribution":`...)
			dst = schema.AppendJSONString(dst, []byte(c.UnusualRows()))
		}
		dst = append(dst, '}')
	}
	dst = append(dst, `,"outputs":[`...)
	out, binaries := q.answered(c), false
	for i := range out {
		w := &out[i]
		typ := typeFP64
		if !w.proba {
			typ = predictionType(b)
		}
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(dst, `{"name":"`...)
		dst = append(dst, w.name...) // one of four
		dst = append(dst, `","datatype":"`...)
		dst = append(dst, datatypes[typ].name...)
		dst = append(dst, `","shape":[`...)
		dst = strconv.AppendInt(dst, int64(rows), 10)
		if w.proba {
			dst = append(dst, ',')
			dst = strconv.AppendInt(dst, int64(len(b.Classes)), 10)
		}
		dst = append(dst, `],"parameters":{"content_type":"`...)
		dst = append(dst, contentType(typ)...)
		dst = append(dst, '"')
		if w.proba {
			dst = append(dst, `,"classes":`...)
			dst = schema.AppendJSONString(dst, []byte(classList(b)))
		}
		if !w.said {
			w.binary = q.binary
		}
		if w.binary {
			binaries = true
			dst = append(dst, `,"binary_data_size":`...)
			dst = strconv.AppendInt(dst, int64(binarySize(c, w.proba)), 10)
			dst = append(dst, "}}"...)
			continue
		}
		dst = append(dst, `},"data":[`...)
		dst = appendData(dst, c, w.proba)
		dst = append(dst, "]}"...)
	}
	dst = append(dst, "]}"...)
	head = len(dst)
	if binaries {
		for _, w := range out {
			if w.binary {
				dst = appendRaw(dst, c, w.proba)
			}
		}
	}
	return dst, head
}

// contentType is the codec by which MLServer's clients read an output.
func contentType(t datatype) string {
	if t == typeBytes {
		return "str"
	}
	return "np"
}

// classList is a JSON list of the class names, in the order of the probabilities.
func classList(b *serve.Bound) string {
	out := []byte{'['}
	for i, name := range b.Classes {
		if i > 0 {
			out = append(out, ',')
		}
		out = schema.AppendJSONString(out, []byte(name))
	}
	return string(append(out, ']'))
}

func appendData(dst []byte, c *serve.Call, proba bool) []byte {
	numbers := c.Output.Proba
	if !proba {
		if len(c.Version().Classes) > 0 {
			for i, label := range c.Output.Labels {
				if i > 0 {
					dst = append(dst, ',')
				}
				dst = c.Version().AppendLabel(dst, label)
			}
			return dst
		}
		numbers = c.Output.Values
	}
	for i, x := range numbers {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = serve.AppendNumber(dst, x)
	}
	return dst
}

// binarySize is how many bytes appendRaw appends.
func binarySize(c *serve.Call, proba bool) int {
	switch {
	case proba:
		return 8 * len(c.Output.Proba)
	case len(c.Version().Classes) == 0:
		return 8 * len(c.Output.Values)
	}
	typ := predictionType(c.Version())
	if typ != typeBytes {
		return datatypes[typ].width * len(c.Output.Labels)
	}
	n := 0
	for _, label := range c.Output.Labels {
		n += 4 + len(c.Version().Class(label))
	}
	return n
}

// appendRaw appends an output as little-endian elements.
func appendRaw(dst []byte, c *serve.Call, proba bool) []byte {
	b, numbers := c.Version(), c.Output.Proba
	if !proba {
		if len(b.Classes) > 0 {
			l := b.Labels()
			for _, label := range c.Output.Labels {
				switch {
				case l.Ints != nil:
					dst = binary.LittleEndian.AppendUint64(dst, uint64(l.Ints[label]))
				case l.Floats != nil:
					dst = binary.LittleEndian.AppendUint64(dst, math.Float64bits(l.Floats[label]))
				case l.Bools != nil:
					x := byte(0)
					if l.Bools[label] {
						x = 1
					}
					dst = append(dst, x)
				default:
					dst = binary.LittleEndian.AppendUint32(dst, uint32(len(b.Class(label))))
					dst = append(dst, b.Class(label)...)
				}
			}
			return dst
		}
		numbers = c.Output.Values
	}
	for _, x := range numbers {
		dst = binary.LittleEndian.AppendUint64(dst, math.Float64bits(x))
	}
	return dst
}
