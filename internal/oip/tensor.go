package oip

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"math"
	"math/bits"
	"strconv"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/schema"
	"github.com/assay-ml/assay/internal/serve"
)

// A datatype is the type of a tensor's elements.
type datatype uint8

const (
	noType datatype = iota
	typeBool
	typeUint8
	typeUint16
	typeUint32
	typeUint64
	typeInt8
	typeInt16
	typeInt32
	typeInt64
	typeFP16
	typeFP32
	typeFP64
	typeBF16
	typeBytes
)

var datatypes = [...]struct {
	name  string
	width int // bytes of an element; 0: each has a length before it
	must  string
}{
	{"", 0, ""},
	{"BOOL", 1, "must be a BOOL, as its tensor says"},
	{"UINT8", 1, "must be a UINT8, as its tensor says"},
	{"UINT16", 2, "must be a UINT16, as its tensor says"},
	{"UINT32", 4, "must be a UINT32, as its tensor says"},
	{"UINT64", 8, "must be a UINT64, as its tensor says"},
	{"INT8", 1, "must be an INT8, as its tensor says"},
	{"INT16", 2, "must be an INT16, as its tensor says"},
	{"INT32", 4, "must be an INT32, as its tensor says"},
	{"INT64", 8, "must be an INT64, as its tensor says"},
	{"FP16", 2, "must be an FP16, as its tensor says"},
	{"FP32", 4, "must be an FP32, as its tensor says"},
	{"FP64", 8, "must be an FP64, as its tensor says"},
	{"BF16", 2, "must be a BF16, as its tensor says"},
	{"BYTES", 0, "must be a string, as its tensor says"},
}

func (d datatype) String() string { return datatypes[d].name }

// signed reports whether the type is one of integers with a sign, and of how many bits; unsigned the same without.
func (d datatype) signed() (width int, ok bool) {
	return 8 * datatypes[d].width, d >= typeInt8 && d <= typeInt64
}

func (d datatype) unsigned() (width int, ok bool) {
	return 8 * datatypes[d].width, d >= typeUint8 && d <= typeUint64
}

func datatypeOf(name []byte) datatype {
	for d := typeBool; int(d) < len(datatypes); d++ {
		if datatypes[d].name == string(name) {
			return d
		}
	}
	return noType
}

// maxDims is how many dimensions a shape may have.
const maxDims = 8

// A tensor is one input as the request describes it; its elements are where one of data, raw and typed says.
type tensor struct {
	name   []byte
	typ    datatype
	shape  [maxDims]int
	dims   int
	n      int // elements
	base64 bool

	fields []int // of the schema, one a column; nil: the schema does not have it
	key    bool  // it is no column, and tells rows apart
	data   int   // place of the JSON array in the text; 0: not there
	simple bool  // the array is flat, and its numbers are those of the request from the one place to the other
	from   int
	to     int
	size   int // binary_data_size; -1: not there
	raw    []byte
}

// elements is the product of the shape; Invalid when it is beyond what any body could hold.
func (t *tensor) elements() error {
	if t.dims == 0 {
		return assay.Errorf(assay.Invalid, "input %q has no shape", clip(t.name))
	}
	n := uint64(1)
	for _, d := range t.shape[:t.dims] {
		if d < 0 {
			return assay.Errorf(assay.Invalid, "input %q: a dimension of a request is not negative", clip(t.name))
		}
		hi, lo := bits.Mul64(n, uint64(d))
		if hi != 0 || lo > math.MaxInt32 {
			return assay.Errorf(assay.Invalid, "input %q: its shape has more elements than a request can hold", clip(t.name))
		}
		n = lo
	}
	t.n = int(n)
	return nil
}

// bound checks that raw holds exactly the elements that the shape tells of.
func (t *tensor) bound() error {
	if w := datatypes[t.typ].width; w > 0 {
		if len(t.raw) != t.n*w {
			return assay.Errorf(assay.Invalid, "input %q has %d bytes, its shape and %s want %d", clip(t.name), len(t.raw), t.typ, t.n*w)
		}
		return nil
	}
	rest := t.raw
	for range t.n {
		if len(rest) < 4 || uint64(binary.LittleEndian.Uint32(rest)) > uint64(len(rest)-4) {
			return assay.Errorf(assay.Invalid, "input %q ends within an element", clip(t.name))
		}
		rest = rest[4+binary.LittleEndian.Uint32(rest):]
	}
	if len(rest) > 0 {
		return assay.Errorf(assay.Invalid, "input %q has %d bytes after its last element", clip(t.name), len(rest))
	}
	return nil
}

// clip shortens a name of the request before it is repeated.
func clip(s []byte) string {
	if len(s) > 100 {
		return string(s[:100]) + "…"
	}
	return string(s)
}

// assign says which fields the tensors of a request fill, and adds the rows. A tensor of the name of a column is that column; a single
// one of another name, with a row for each request row and a column for each field, is all of them in their order.
func assign(c *serve.Call, in []tensor) error {
	v := c.Version().Inputs()
	if len(in) == 0 {
		return assay.Errorf(assay.Invalid, "the request has no inputs")
	}
	rows, columns := in[0].shape[0], len(in)
	for i := range in {
		if t := &in[i]; t.n == rows && c.Rows.IsKey(t.name) {
			t.key = true
			columns--
		}
	}
	for i := range in {
		t := &in[i]
		f, known := v.Index(t.name)
		switch {
		case t.shape[0] != rows:
			return assay.Errorf(assay.Invalid, "input %q has %d rows, input %q has %d", clip(t.name), t.shape[0], clip(in[0].name), rows)
		case t.key:
			t.fields = t.fields[:0]
			for j := range in[:i] {
				if in[j].key && bytes.Equal(in[j].name, t.name) {
					return assay.Errorf(assay.Invalid, "input %q is there twice", clip(t.name))
				}
			}
			continue
		case known && t.n == rows:
			t.fields = append(t.fields[:0], f)
		case !known && columns == 1 && t.dims == 2 && t.shape[1] == v.Fields():
			t.fields = t.fields[:0]
			for j := range v.Fields() {
				t.fields = append(t.fields, j)
			}
		case known:
			return assay.Errorf(assay.Invalid, "input %q is a column: its shape must be [%d] or [%d,1]", clip(t.name), rows, rows)
		case columns == 1:
			return assay.Errorf(assay.Invalid, "input %q is no column of the model, and no matrix of all of them: that has the shape [rows,%d]", clip(t.name), v.Fields())
		default:
			t.fields = t.fields[:0]
			continue
		}
		for j := range in[:i] {
			if len(in[j].fields) > 0 && in[j].fields[0] == t.fields[0] {
				return assay.Errorf(assay.Invalid, "input %q is there twice", clip(t.name))
			}
		}
	}
	if err := c.Room(rows); err != nil {
		return err
	}
	for i := range in {
		if len(in[i].fields) == 0 && !in[i].key && rows > 0 {
			c.Found = c.Rows.Missed(0, in[i].name, c.Found)
		}
	}
	return nil
}

// fillRaw puts little-endian elements into the rows. bound has been asked before.
func (t *tensor) fillRaw(c *serve.Call) {
	if t.key {
		t.keysRaw(c)
	}
	if len(t.fields) == 0 {
		return
	}
	rest, w, k, must := t.raw, datatypes[t.typ].width, len(t.fields), datatypes[t.typ].must
	for i := range t.n {
		row, f := i/k, t.fields[i%k]
		b := rest
		if w == 0 {
			n := int(binary.LittleEndian.Uint32(rest))
			b, rest = rest[4:4+n:4+n], rest[4+n:]
			t.text(c, row, f, b)
			continue
		}
		rest = rest[w:]
		switch t.typ {
		case typeBool:
			if b[0] > 1 {
				c.Found = c.Rows.Refuse(row, f, must, c.Found)
				continue
			}
			c.Rows.SetBool(row, f, b[0] == 1)
		case typeUint8:
			c.Rows.SetInt(row, f, int64(b[0]))
		case typeUint16:
			c.Rows.SetInt(row, f, int64(binary.LittleEndian.Uint16(b)))
		case typeUint32:
			c.Rows.SetInt(row, f, int64(binary.LittleEndian.Uint32(b)))
		case typeUint64:
			c.Rows.SetUint(row, f, binary.LittleEndian.Uint64(b))
		case typeInt8:
			c.Rows.SetInt(row, f, int64(int8(b[0])))
		case typeInt16:
			c.Rows.SetInt(row, f, int64(int16(binary.LittleEndian.Uint16(b))))
		case typeInt32:
			c.Rows.SetInt(row, f, int64(int32(binary.LittleEndian.Uint32(b))))
		case typeInt64:
			c.Rows.SetInt(row, f, int64(binary.LittleEndian.Uint64(b)))
		case typeFP16:
			c.Rows.SetFloat(row, f, half(binary.LittleEndian.Uint16(b)))
		case typeBF16:
			c.Rows.SetFloat(row, f, float64(math.Float32frombits(uint32(binary.LittleEndian.Uint16(b))<<16)))
		case typeFP32:
			c.Rows.SetFloat(row, f, float64(math.Float32frombits(binary.LittleEndian.Uint32(b))))
		case typeFP64:
			c.Rows.SetFloat(row, f, math.Float64frombits(binary.LittleEndian.Uint64(b)))
		}
	}
}

// text puts an element of BYTES into a row.
func (t *tensor) text(c *serve.Call, row, f int, b []byte) {
	if t.base64 && c.Version().Inputs().Field(f).Type != assay.TypeBinary {
		plain := make([]byte, base64.StdEncoding.DecodedLen(len(b)))
		n, err := base64.StdEncoding.Decode(plain, b)
		if err != nil {
			c.Found = c.Rows.Refuse(row, f, "must be base64, as its content_type says", c.Found)
			return
		}
		b = plain[:n]
	}
	if c.Version().Inputs().Field(f).Type == assay.TypeJSON { // a nested value has no tensor: it is the text of its JSON
		c.Rows.SetJSON(row, f, b)
		return
	}
	c.Rows.SetText(row, f, b)
}

// half returns the value of a 16-bit float (IEEE 754 binary16).
func half(h uint16) float64 {
	sign, exp, frac := 1.0, int(h>>10&0x1f), float64(h&0x3ff)
	if h>>15 == 1 {
		sign = -1
	}
	switch exp {
	case 0:
		return sign * math.Ldexp(frac, -24)
	case 0x1f:
		if frac != 0 {
			return math.NaN()
		}
		return sign * math.Inf(1)
	}
	return sign * math.Ldexp(1024+frac, exp-25)
}

// fillJSON reads the tensor's array, flat or nested as the shape is, into the rows.
func (t *tensor) fillJSON(c *serve.Call, r *schema.Reader) error {
	r.Seek(t.data)
	if r.Kind() != schema.JSONArray {
		return assay.Errorf(assay.Invalid, "input %q: data must be a list", clip(t.name))
	}
	at, flat := 0, true
	more := r.Enter()
	if more {
		flat = r.Kind() != schema.JSONArray
	}
	for ; more; more = r.More() {
		var err error
		if flat {
			err = t.element(c, r, at)
			at++
		} else {
			err = t.nested(c, r, 1, &at)
		}
		if err != nil {
			return err
		}
		if r.Err() != nil {
			return nil
		}
	}
	if r.Err() == nil && at != t.n {
		return t.tooFew(at)
	}
	return nil
}

// round makes numbers those of the type, and reports whether it could.
func (t *tensor) round(xs []float64) (ok bool) {
	for i, x := range xs {
		if xs[i], ok = t.typ.simple(x); !ok {
			return false
		}
	}
	return true
}

// fillNumbers puts the numbers of a flat array into the rows.
func (t *tensor) fillNumbers(c *serve.Call, xs []float64) error {
	switch {
	case len(xs) > t.n:
		return t.tooMany()
	case len(xs) < t.n:
		return t.tooFew(len(xs))
	case len(t.fields) > 0:
		c.Rows.SetFloats(t.fields, xs)
	}
	return nil
}

func (t *tensor) tooMany() error {
	return assay.Errorf(assay.Invalid, "input %q has more than the %d elements of its shape", clip(t.name), t.n)
}

func (t *tensor) tooFew(n int) error {
	return assay.Errorf(assay.Invalid, "input %q has %d elements, its shape wants %d", clip(t.name), n, t.n)
}

// nested reads one list of dimension dim; lists must be as long as the shape says, or elements would land in other rows.
func (t *tensor) nested(c *serve.Call, r *schema.Reader, dim int, at *int) error {
	if dim >= t.dims || r.Kind() != schema.JSONArray {
		r.Skip()
		return assay.Errorf(assay.Invalid, "input %q: data is nested otherwise than its shape", clip(t.name))
	}
	n := 0
	for more := r.Enter(); more; more = r.More() {
		n++
		if dim+1 == t.dims && r.Kind() != schema.JSONArray {
			if err := t.element(c, r, *at); err != nil {
				return err
			}
			*at++
		} else if err := t.nested(c, r, dim+1, at); err != nil {
			return err
		}
		if r.Err() != nil {
			return nil
		}
	}
	if r.Err() == nil && n != t.shape[dim] {
		return assay.Errorf(assay.Invalid, "input %q: a list of %d where the shape has %d", clip(t.name), n, t.shape[dim])
	}
	return nil
}

// element reads one value. null is a missing value of any type.
func (t *tensor) element(c *serve.Call, r *schema.Reader, at int) error {
	if at >= t.n {
		return t.tooMany()
	}
	if t.key {
		t.keyJSON(c, r, at)
		return nil
	}
	if len(t.fields) == 0 {
		r.Skip()
		return nil
	}
	row, f := at/len(t.fields), t.fields[at%len(t.fields)]
	float := t.typ == typeFP64 || t.typ == typeFP32
	raw := c.Rows.Validator().Nested(f) // which keeps what the request says
	if float && !raw {
		from := r.Pos()
		if x, ok := r.Simple(); ok {
			if x, ok = t.typ.simple(x); ok {
				c.Rows.SetFloat(row, f, x)
				return nil
			}
			r.Seek(from)
		}
	}
	kind := r.Kind()
	switch {
	case kind == schema.JSONNull:
		r.Null()
		c.Rows.SetNull(row, f)
		return nil
	case kind == schema.JSONEnd:
		r.Fail("no value")
		return nil
	case t.typ == typeBytes && kind == schema.JSONString:
		if s, ok := r.Text(); ok {
			t.text(c, row, f, s)
		}
		return nil
	case t.typ == typeBool && kind == schema.JSONBool:
		c.Rows.JSON(r, row, f)
		return nil
	case t.typ != typeBytes && t.typ != typeBool && kind == schema.JSONNumber:
		from := r.Pos()
		s, ok := r.Number()
		if !ok {
			return nil
		}
		switch {
		case !t.typ.holds(s):
		case raw:
			r.Seek(from)
			c.Rows.JSON(r, row, f)
			return nil
		case float:
			c.Rows.SetFloat(row, f, t.typ.float(s))
			return nil
		default:
			x, negative, _ := schema.Whole(s)
			if negative {
				c.Rows.SetInt(row, f, -int64(x))
			} else {
				c.Rows.SetUint(row, f, x)
			}
			return nil
		}
	default:
		r.Skip()
	}
	c.Found = c.Rows.Refuse(row, f, datatypes[t.typ].must, c.Found)
	return nil
}

// holds reports whether a JSON number is one of the type. A whole number may be written with a fraction or exponent where the type is one of
// integers; a float rounds what is written so, and must hold what is written without both.
func (d datatype) holds(s []byte) bool {
	if d == typeFP64 || d == typeFP32 {
		x, err := strconv.ParseFloat(string(s), 64)
		y := d.float(s)
		return err == nil && !math.IsInf(y, 0) && !(digits(s) && (x != y || !schema.Exactly(s, x)))
	}
	x, negative, ok := schema.Whole(s)
	if w, signed := d.signed(); signed {
		if negative {
			return ok && x <= 1<<(w-1)
		}
		return ok && x < 1<<(w-1)
	}
	w, _ := d.unsigned()
	return ok && !negative && x <= math.MaxUint64>>(64-w)
}

// float is a JSON number rounded to the type.
func (d datatype) float(s []byte) float64 {
	x, _ := strconv.ParseFloat(string(s), 64)
	if d == typeFP32 {
		return float64(float32(x))
	}
	return x
}

// simple is a number that float64 holds as it stands, rounded to the type; ok is false where it may be a whole number that the type does not hold,
// which only its text tells.
func (d datatype) simple(x float64) (y float64, ok bool) {
	if d == typeFP64 {
		return x, true
	}
	y = float64(float32(x))
	return y, y == x || x > -1<<24 && x < 1<<24
}

// digits reports whether a number has neither a fraction nor an exponent.
func digits(s []byte) bool {
	for _, c := range s {
		if c == '.' || c == 'e' || c == 'E' {
			return false
		}
	}
	return true
}
