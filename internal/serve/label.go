package serve

import (
	"strconv"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/schema"
)

// Labels are the classes of a version as values of the target column's type: the class 1 of integers is 1 and not "1". At most one of
// the slices is set; none is set for strings, and where a class is not a value of the type.
type Labels struct {
	Ints   []int64
	Floats []float64
	Bools  []bool
}

func labelsOf(classes []string, t assay.Type) Labels {
	var l Labels
	for _, c := range classes {
		switch t {
		case assay.TypeInteger:
			x, err := strconv.ParseInt(c, 10, 64)
			if err != nil {
				return Labels{}
			}
			l.Ints = append(l.Ints, x)
		case assay.TypeNumber:
			x, err := strconv.ParseFloat(c, 64)
			if err != nil || x-x != 0 {
				return Labels{}
			}
			l.Floats = append(l.Floats, x)
		case assay.TypeBoolean:
			x, err := strconv.ParseBool(c)
			if err != nil {
				return Labels{}
			}
			l.Bools = append(l.Bools, x)
		}
	}
	return l
}

// Labels returns the classes as typed values. The slices are not to be changed.
func (b *Bound) Labels() *Labels { return &b.labels }

// AppendLabel appends a class as JSON, of the type that Labels says.
func (b *Bound) AppendLabel(dst []byte, label int32) []byte {
	switch l := &b.labels; {
	case l.Ints != nil:
		return strconv.AppendInt(dst, l.Ints[label], 10)
	case l.Floats != nil:
		return AppendNumber(dst, l.Floats[label])
	case l.Bools != nil:
		return strconv.AppendBool(dst, l.Bools[label])
	}
	return schema.AppendJSONString(dst, b.classBytes[label])
}

// Class returns the name of a class as bytes, which are not to be changed.
func (b *Bound) Class(label int32) []byte { return b.classBytes[label] }

// AppendNumber appends a finite number as JSON, in the shortest form that reads back as the same float64.
func AppendNumber(dst []byte, x float64) []byte { return strconv.AppendFloat(dst, x, 'g', -1, 64) }
