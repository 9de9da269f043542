package pyfunc

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/assay-ml/assay"
)

// answerOf builds the frame of an answer.
func answerOf(id uint64, kind byte, dims []uint32, data []byte) []byte {
	le := binary.LittleEndian
	b := append(le.AppendUint64([]byte{'A'}, id), kind, byte(len(dims)))
	for _, d := range dims {
		b = le.AppendUint32(b, d)
	}
	return append(le.AppendUint32(b, 0), data...)
}

func TestAnswers(t *testing.T) {
	le := binary.LittleEndian
	two := le.AppendUint64(le.AppendUint64(nil, math.Float64bits(0.25)), math.Float64bits(0.75))
	a, err := decodeAnswer(answerOf(7, 'f', []uint32{1, 2}, two), 7)
	if err != nil || a.Rows != 1 || a.Width != 2 || a.Floats[1] != 0.75 {
		t.Fatal(a, err)
	}
	for name, b := range map[string][]byte{
		"nothing":        nil,
		"other id":       answerOf(8, 'f', []uint32{1, 2}, two),
		"other kind":     answerOf(7, 'x', []uint32{1, 2}, two),
		"short":          answerOf(7, 'f', []uint32{1, 3}, two),
		"long":           answerOf(7, 'f', []uint32{1}, two),
		"overflow":       answerOf(7, 'f', []uint32{math.MaxUint32, math.MaxUint32}, two),
		"no rows":        answerOf(7, 'f', []uint32{4, 0}, nil),
		"three axes":     answerOf(7, 'f', []uint32{1, 1, 2}, two),
		"table of texts": answerOf(7, 's', []uint32{1, 1}, []byte{1, 0, 0, 0, 'x'}),
		"text too long":  answerOf(7, 's', []uint32{1}, []byte{2, 0, 0, 0, 'x'}),
		"many texts":     answerOf(7, 's', []uint32{math.MaxUint32}, []byte{1, 0, 0, 0, 'x'}),
	} {
		if _, err := decodeAnswer(b, 7); !errors.Is(err, errFrame) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := readFrame(bytes.NewReader([]byte{0, 0, 0, 255}), maxFrame); !errors.Is(err, errFrame) {
		t.Error("a frame beyond the limit:", err)
	}
	if _, err := readFrame(bytes.NewReader([]byte{255, 255, 255, 0, 1}), maxFrame); err == nil {
		t.Error("a frame that ends early")
	}
}

func TestInterpret(t *testing.T) {
	classes := []string{"no", "yes"}
	named := &Answer{Rows: 2, Width: 2, Names: []string{"probability_yes", "probability_no"}, Floats: []float64{.9, .1, .2, .8}}
	labels, proba, _, err := Interpret(named, classes)
	if err != nil || labels[0] != 1 || labels[1] != 0 || proba[0] != .1 || proba[3] != .2 {
		t.Error(labels, proba, err)
	}
	labels, proba, _, err = Interpret(&Answer{Rows: 3, Texts: []string{"yes", "no", "maybe"}}, classes)
	if err != nil || len(proba) != 0 || labels[0] != 1 || labels[1] != 0 || labels[2] != -1 {
		t.Error(labels, proba, err)
	}
	if labels, _, _, err := Interpret(&Answer{Rows: 2, Ints: []int64{1, 0}}, []string{"0", "1"}); err != nil || labels[0] != 1 {
		t.Error(labels, err)
	}
	if _, _, values, err := Interpret(&Answer{Rows: 2, Width: 1, Ints: []int64{3, 4}}, nil); err != nil || values[1] != 4 {
		t.Error(values, err)
	}
	for name, a := range map[string]*Answer{
		"widths":  {Rows: 1, Width: 3, Floats: []float64{1, 2, 3}},
		"a class": {Rows: 1, Width: 2, Names: []string{"yes", "other"}, Floats: []float64{1, 0}},
		"texts":   {Rows: 1, Width: 2, Bools: []bool{true, false}},
	} {
		if _, _, _, err := Interpret(a, classes); assay.CodeOf(err) != assay.Internal {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, _, _, err := Interpret(&Answer{Rows: 1, Texts: []string{"x"}}, nil); assay.CodeOf(err) != assay.Internal {
		t.Error(err)
	}
}

// row is one row of a test.
type row []any

type rows []row

func (r rows) Rows() int             { return len(r) }
func (r rows) Missing(i, j int) bool { return r[i][j] == nil }
func (r rows) Text(i, j int) ([]byte, bool) {
	s, ok := r[i][j].(string)
	return []byte(s), ok
}

func (r rows) Raw(i, j int) ([]byte, bool) {
	b, ok := r[i][j].([]byte)
	return b, ok
}

func (r rows) Int(i, j int) (int64, bool) {
	n, ok := r[i][j].(int)
	return int64(n), ok
}

func (r rows) Float(i, j int) float64 {
	switch v := r[i][j].(type) {
	case int:
		return float64(v)
	case float64:
		return v
	}
	return math.NaN()
}

func TestEncodeRefusesWhatItCannotHold(t *testing.T) {
	for kind, bad := range map[string]any{
		"int32": math.MaxInt32 + 1, "uint8": -1, "int64": nil, "bool": 2, "float32": 1e300, "float64": 1<<53 + 1, "string": 3, "int16": 1.5,
	} {
		_, err := encode(nil, Column{Name: "x", Kind: kind}, rows{{bad}}, 0)
		if assay.CodeOf(err) != assay.Rejected || !strings.Contains(err.Error(), "row 0: x ") {
			t.Errorf("%s: %v", kind, err)
		}
	}
	b, err := encode(nil, Column{Name: "x", Kind: "string"}, rows{{"ä"}, {nil}, {""}}, 0)
	if err != nil || !bytes.Equal(b, []byte{2, 0, 0, 0, 0xc3, 0xa4, 255, 255, 255, 255, 0, 0, 0, 0}) {
		t.Error(b, err)
	}
}

func TestEncodeBytesAndNested(t *testing.T) {
	b, err := encode(nil, Column{Name: "x", Kind: "bytes"}, rows{{[]byte("aGk=")}, {nil}}, 0)
	if err != nil || !bytes.Equal(b, []byte{2, 0, 0, 0, 'h', 'i', 255, 255, 255, 255}) {
		t.Error(b, err)
	}
	b, err = encode(nil, Column{Name: "x", Kind: "json"}, rows{{[]byte("[1]")}, {nil}}, 0)
	if err != nil || !bytes.Equal(b, []byte{3, 0, 0, 0, '[', '1', ']', 255, 255, 255, 255}) {
		t.Error(b, err)
	}
	twice := func(dst, text []byte) ([]byte, string) { return append(append(dst, text...), text...), "" }
	b, err = encode([]byte{9}, Column{Name: "x", Kind: "json", Typed: twice}, rows{{[]byte("7")}, {nil}, {[]byte("8")}}, 0)
	if err != nil || !bytes.Equal(b, []byte{9, 2, 0, 0, 0, '7', '7', 255, 255, 255, 255, 2, 0, 0, 0, '8', '8'}) {
		t.Error(b, err)
	}
	wrong := func(dst, _ []byte) ([]byte, string) { return dst, "must be a list" }
	for _, c := range []struct {
		column Column
		value  any
	}{{Column{Name: "x", Kind: "bytes"}, []byte("@@@")}, {Column{Name: "x", Kind: "bytes"}, 3}, {Column{Name: "x", Kind: "json"}, "text"}, {Column{Name: "x", Kind: "json", Typed: wrong}, []byte("{}")}} {
		if _, err := encode(nil, c.column, rows{{c.value}}, 0); assay.CodeOf(err) != assay.Rejected || !strings.Contains(err.Error(), "row 0: x ") {
			t.Errorf("%v: %v", c, err)
		}
	}
}

func FuzzAnswer(f *testing.F) {
	f.Add(answerOf(7, 'f', []uint32{1, 1}, make([]byte, 8)))
	f.Add(answerOf(7, 's', []uint32{1}, []byte{1, 0, 0, 0, 'x'}))
	f.Add(append(binary.LittleEndian.AppendUint64([]byte{'E'}, 7), "ValueError"...))
	f.Fuzz(func(t *testing.T, b []byte) {
		a, err := decodeAnswer(b, 7)
		if err != nil {
			return
		}
		for i := range min(a.Rows, 3) {
			_ = a.text(i)
		}
		_, _, _, _ = Interpret(a, []string{"a", "b"})
		_, _, _, _ = Interpret(a, nil)
		_ = a.rows(0, min(a.Rows, 1))
	})
}

func FuzzFrame(f *testing.F) {
	f.Add([]byte{1, 0, 0, 0, 'R'})
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := readFrame(bytes.NewReader(b), 1<<16)
		if err == nil && len(got) > len(b)-4 {
			t.Errorf("%d bytes of %d", len(got), len(b))
		}
	})
}
