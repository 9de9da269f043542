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

// keyText gives a row the key that is an element of BYTES; none where that is not the base64 that it should be.
func (t *tensor) keyText(c *serve.Call, row int, b []byte) {
	if t.base64 {
		plain, err := base64.StdEncoding.AppendDecode(nil, b)
		if err != nil {
			return
		}
		b = plain
	}
	c.Rows.SetKey(row, t.name, b)
}

// keyJSON reads one element as the key of a row.
func (t *tensor) keyJSON(c *serve.Call, r *schema.Reader, row int) {
	if key, ok := r.Scalar(); ok && key != nil {
		t.keyText(c, row, key)
	}
}

func (t *tensor) keyInt(c *serve.Call, row int, x int64) {
	c.Rows.SetKey(row, t.name, strconv.AppendInt(nil, x, 10))
}

func (t *tensor) keyUint(c *serve.Call, row int, x uint64) {
	c.Rows.SetKey(row, t.name, strconv.AppendUint(nil, x, 10))
}

func (t *tensor) keyFloat(c *serve.Call, row int, x float64) {
	if !math.IsNaN(x) && !math.IsInf(x, 0) {
		c.Rows.SetKey(row, t.name, schema.AppendKeyNumber(nil, x))
	}
}

func (t *tensor) keyBool(c *serve.Call, row int, x bool) {
	c.Rows.SetKey(row, t.name, strconv.AppendBool(nil, x))
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
		case t.typ == typeBool:
			t.keyBool(c, row, x != 0)
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
	for row, x := range in.GetIntContents() {
		t.keyInt(c, row, int64(x))
	}
	for row, x := range in.GetInt64Contents() {
		t.keyInt(c, row, x)
	}
	for row, x := range in.GetUintContents() {
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
