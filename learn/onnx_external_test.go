package learn

import (
	"bytes"
	"encoding/binary"
	"math"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/assaytest"
)

// message appends a message or string to a message.
func message(b []byte, num protowire.Number, value []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(b, num, protowire.BytesType), value)
}

// varint appends a number to a message.
func varint(b []byte, num protowire.Number, v uint64) []byte {
	return protowire.AppendVarint(protowire.AppendTag(b, num, protowire.VarintType), v)
}

// beside is a tensor "w" of two floats whose data is where the pairs of key and value say.
func beside(dims []uint64, pairs ...string) []byte {
	var t []byte
	for _, d := range dims {
		t = varint(t, 1, d)
	}
	t = message(varint(t, 2, uint64(Float32)), 8, []byte("w"))
	for i := 0; i < len(pairs); i += 2 {
		t = message(t, 13, message(message(nil, 1, []byte(pairs[i])), 2, []byte(pairs[i+1])))
	}
	return varint(t, 14, 1)
}

// shifted is a model that adds the constant w, a tensor, to its input; deep puts the tensor into that many branches of If.
func shifted(tensor []byte, deep int) []byte {
	info := func(name string, shape ...uint64) []byte {
		var dims []byte
		for _, d := range shape {
			dims = message(dims, 1, varint(nil, 1, d))
		}
		return message(message(nil, 1, []byte(name)), 2, message(nil, 1, message(varint(nil, 1, uint64(Float32)), 2, dims)))
	}
	node := message(message(message(message(nil, 1, []byte("x")), 1, []byte("w")), 2, []byte("y")), 4, []byte("Add"))
	graph := message(message(nil, 1, node), 5, tensor)
	for range deep {
		attribute := varint(message(message(nil, 1, []byte("then_branch")), 6, graph), 20, attrGraph)
		graph = message(nil, 1, message(message(message(nil, 1, []byte("x")), 4, []byte("If")), 5, attribute))
	}
	graph = message(message(graph, 11, info("x", 2)), 12, info("y", 2))
	return message(message(varint(nil, 1, 8), 8, varint(nil, 2, 17)), 7, graph)
}

// TestInline takes what tensors keep in files beside the model into it, and refuses what leads out of the folder or does not fit.
func TestInline(t *testing.T) {
	data := make([]byte, 12)
	binary.LittleEndian.PutUint32(data[4:], math.Float32bits(1.5))
	binary.LittleEndian.PutUint32(data[8:], math.Float32bits(-2))
	file := func(name string) ([]byte, bool) { return data, name == "w.data" || name == "sub/w.data" }
	two := []uint64{2}
	for _, pairs := range [][]string{
		{"location", "w.data", "offset", "4", "length", "8"}, {"location", "./w.data", "offset", "4"}, {"location", "sub/../w.data", "offset", "4"}, {"location", "sub/w.data", "offset", "4", "checksum", "x"},
	} {
		b, err := Inline(shifted(beside(two, pairs...), 0), Limits{}, file)
		if err != nil {
			t.Errorf("%q: %v", pairs, err)
			continue
		}
		p, err := LoadONNX(b)
		if err != nil {
			t.Fatal(err)
		}
		got, err := p.Run(map[string]*Tensor{"x": {Type: Float32, Shape: []int{2}, Floats: []float32{1, 1}}})
		if err != nil || got["y"].Floats[0] != 2.5 || got["y"].Floats[1] != -1 {
			t.Errorf("%q: %v %v", pairs, got["y"], err)
		}
	}
	outside := "which is no file within the folder of the model"
	for _, c := range []struct {
		dims  []uint64
		pairs []string
		want  string
	}{
		{two, []string{"location", "../w.data"}, outside},
		{two, []string{"location", "sub/../../w.data"}, outside},
		{two, []string{"location", "/etc/passwd"}, outside},
		{two, []string{"location", `..\w.data`}, outside},
		{two, []string{"location", "C:w.data"}, outside},
		{two, []string{"location", "w.data\x00"}, outside},
		{two, []string{"location", "."}, outside},
		{two, []string{"location", ""}, outside},
		{two, []string{"offset", "0"}, outside},
		{two, nil, outside},
		{two, []string{"location", "other"}, `its data is in "other", which is not in the folder of the model`},
		{two, []string{"location", "w.data", "offset", "-4"}, `offset "-4" of "w.data", which has 12 bytes`},
		{two, []string{"location", "w.data", "offset", "13"}, `offset "13" of "w.data"`},
		{two, []string{"location", "w.data", "offset", "99999999999999999999"}, `offset "99999999999999999999"`},
		{two, []string{"location", "w.data", "offset", "x"}, `offset "x"`},
		{two, []string{"location", "w.data", "offset", "4", "length", "9"}, `"9" bytes from 4 of "w.data", which has 12`},
		{two, []string{"location", "w.data", "length", "-1"}, `"-1" bytes from 0`},
		{two, []string{"location", "w.data"}, `12 bytes of "w.data" are no float tensor of its shape`},
		{two, []string{"location", "w.data", "length", "4"}, `4 bytes of "w.data" are no float tensor of its shape`},
		{[]uint64{1 << 62, 1 << 62, 4}, []string{"location", "w.data"}, "are no float tensor of its shape"},
		{[]uint64{math.MaxUint64}, []string{"location", "w.data"}, "are no float tensor of its shape"},
	} {
		for _, deep := range []int{0, 1, 3} {
			_, err := Inline(shifted(beside(c.dims, c.pairs...), deep), Limits{}, file)
			if assay.CodeOf(err) != assay.Invalid || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%q: %v, want %s", c.pairs, err, c.want)
			}
		}
	}
	good := beside(two, "location", "w.data", "offset", "4")
	if _, err := Inline(shifted(good, 40), Limits{}, file); err == nil || !strings.Contains(err.Error(), "graphs are nested more than 8 deep") {
		t.Error(err)
	}
	model := shifted(good, 0)
	if _, err := Inline(model, Limits{FileBytes: int64(len(model)) + 7}, file); err == nil || !strings.Contains(err.Error(), "with the data beside it has more than") {
		t.Error(err)
	}
	// The same bytes may be used again and again, but not beyond the limit.
	many := model
	for range 8 {
		many = append(many, model...)
	}
	if _, err := Inline(many, Limits{FileBytes: int64(len(many)) + 71}, file); err == nil || !strings.Contains(err.Error(), "with the data beside it has more than") {
		t.Error(err)
	}
}

// TestSingleFilesKeepTheirData: the data of a model that is a single file is in it, for whoever evaluates it, and the refusal names the way out.
func TestSingleFilesKeepTheirData(t *testing.T) {
	for _, deep := range []int{0, 2} {
		b := shifted(beside([]uint64{2}, "location", "w.data"), deep)
		_, own := Open(b, Limits{})
		_, other := OpenWith(b, Limits{}, func(in, out []Port) (Evaluator, error) {
			t.Error("the evaluator was asked")
			return nil, nil
		})
		for _, err := range []error{own, other} {
			if assay.CodeOf(err) != assay.Unimplemented || !strings.Contains(err.Error(), "tensor w keeps its data in another file") || !strings.Contains(assay.HintOf(err), "save_as_external_data=False") {
				t.Errorf("%v (%s)", err, assay.HintOf(err))
			}
		}
	}
	for _, c := range assaytest.Models(t, "oracle/onnx") {
		if b, err := Inline(c.Model, Limits{}, nil); err != nil || !bytes.Equal(b, c.Model) {
			t.Errorf("%s: %v", c.Name, err)
		}
	}
}

// FuzzInline: whatever comes in, what comes out keeps its data itself.
func FuzzInline(f *testing.F) {
	for deep := range 3 {
		f.Add(shifted(beside([]uint64{2}, "location", "w.data", "offset", "4"), deep))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		out, err := Inline(b, Limits{FileBytes: 1 << 16}, func(string) ([]byte, bool) { return make([]byte, 12), true })
		if err != nil {
			return
		}
		if again, err := Inline(out, Limits{}, nil); err != nil || !bytes.Equal(again, out) {
			t.Errorf("it is changed again: %v", err)
		}
	})
}
