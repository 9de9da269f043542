package oip

import (
	"encoding/base64"
	"encoding/binary"
	"math"
	"strconv"

	"github.com/assay-ml/assay/internal/oip/wire"
	"github.com/assay-ml/assay/internal/schema"
	"github.com/assay-ml/assay/internal/serve"
)

// A tensor of the name of a column of the key is no input of the model: its elements tell the rows apart, and the log has them.

// keyText gives a row the key that is an element of BYTES.
func (t *tensor) keyText(c *serve.Call, row int, b []byte) {
	if t.base64 {
		plain, err := base64.StdEncoding.AppendDecode(nil, b)
		if err != nil {
			t.refuseKey(c, row, "must be base64, as its content_type says")
			return
		}
		b = plain
	}
	t.setKey(c, row, b)
}

func (t *tensor) setKey(c *serve.Call, row int, key []byte) {
	c.Found = c.Rows.SetKey(row, t.name, key, c.Found)
}

func (t *tensor) refuseKey(c *serve.Call, row int, must string) {
	c.Found = c.Rows.RefuseKey(row, t.name, must, c.Found)
}

// keyJSON reads one element, which must be one of the tensor's datatype, as the key of a row; null is none.
func (t *tensor) keyJSON(c *serve.Call, r *schema.Reader, row int) {
	number := t.typ != typeBytes && t.typ != typeBool
	switch kind := r.Kind(); {
	case kind == schema.JSONNull:
		r.Null()
		return
	case kind == schema.JSONEnd:
		r.Fail("no value")
		return
	case t.typ == typeBytes && kind == schema.JSONString:
		if key, ok := r.Text(); ok {
			t.keyText(c, row, key)
		}
		return
	case t.typ == typeBool && kind == schema.JSONBool, number && kind == schema.JSONNumber:
		from := r.Pos()
		s, ok := r.Skip()
		if !ok {
			return
		}
		if !number || t.typ.holds(s) {
			r.Seek(from)
			c.Found, _ = c.Rows.ReadKey(r, row, t.name, c.Found)
			return
		}
	default:
		r.Skip()
	}
	t.refuseKey(c, row, datatypes[t.typ].must)
}

func (t *tensor) keyInt(c *serve.Call, row int, x int64) {
	t.setKey(c, row, strconv.AppendInt(nil, x, 10))
}

func (t *tensor) keyUint(c *serve.Call, row int, x uint64) {
	t.setKey(c, row, strconv.AppendUint(nil, x, 10))
}

func (t *tensor) keyFloat(c *serve.Call, row int, x float64) {
	switch {
	case math.IsNaN(x):
	case math.IsInf(x, 0):
		t.refuseKey(c, row, "must be finite, because it is a key")
	default:
		t.setKey(c, row, schema.AppendKeyNumber(nil, x))
	}
}

func (t *tensor) keyBool(c *serve.Call, row int, x bool) {
	t.setKey(c, row, strconv.AppendBool(nil, x))
}

// keysRaw reads little-endian elements as keys. bound has been asked before.
func (t *tensor) keysRaw(c *serve.Call) {
	rest, w := t.raw, datatypes[t.typ].width
	for row := range t.n {
		if w == 0 {
			n := int(binary.LittleEndian.Uint32(rest))
			t.keyText(c, row, rest[4:4+n:4+n])
			rest = rest[4+n:]
			continue
		}
		var word [8]byte
		copy(word[:], rest[:w])
		x := binary.LittleEndian.Uint64(word[:])
		rest = rest[w:]
		_, signed := t.typ.signed()
		_, unsigned := t.typ.unsigned()
		switch shift := 64 - 8*w; {
		case signed:
			t.keyInt(c, row, int64(x<<shift)>>shift)
		case unsigned:
			t.keyUint(c, row, x)
		case t.typ == typeBool && x > 1:
			t.refuseKey(c, row, datatypes[t.typ].must)
		case t.typ == typeBool:
			t.keyBool(c, row, x == 1)
		case t.typ == typeFP16:
			t.keyFloat(c, row, half(uint16(x)))
		case t.typ == typeBF16:
			t.keyFloat(c, row, float64(math.Float32frombits(uint32(x)<<16)))
		case t.typ == typeFP32:
			t.keyFloat(c, row, float64(math.Float32frombits(uint32(x))))
		default:
			t.keyFloat(c, row, math.Float64frombits(x))
		}
	}
}

// keysTyped reads the contents of a message as keys; all fields but that of the datatype are empty.
func (t *tensor) keysTyped(c *serve.Call, in *wire.InferTensorContents) {
	for row, x := range in.GetBoolContents() {
		t.keyBool(c, row, x)
	}
	width, _ := t.typ.signed()
	for row, x := range in.GetIntContents() {
		if limit := int64(1) << (width - 1); int64(x) < -limit || int64(x) >= limit {
			t.refuseKey(c, row, datatypes[t.typ].must)
			continue
		}
		t.keyInt(c, row, int64(x))
	}
	for row, x := range in.GetInt64Contents() {
		t.keyInt(c, row, x)
	}
	width, _ = t.typ.unsigned()
	for row, x := range in.GetUintContents() {
		if int64(x) >= int64(1)<<width {
			t.refuseKey(c, row, datatypes[t.typ].must)
			continue
		}
		t.keyUint(c, row, uint64(x))
	}
	for row, x := range in.GetUint64Contents() {
		t.keyUint(c, row, x)
	}
	for row, x := range in.GetFp32Contents() {
		t.keyFloat(c, row, float64(x))
	}
	for row, x := range in.GetFp64Contents() {
		t.keyFloat(c, row, x)
	}
	for row, x := range in.GetBytesContents() {
		t.keyText(c, row, x)
	}
}
