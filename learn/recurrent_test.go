package learn

import (
	"math"
	"slices"
	"strings"
	"testing"
)

// TestRefusedForms: attributes and inputs of layers, scattering, padding and norms that mean nothing, or nothing that is certain.
func TestRefusedForms(t *testing.T) {
	floats := func(shape ...int) *Tensor { return newTensor(Float32, shape...) }
	longs := func(v ...int64) *Tensor { return intTensor([]int{len(v)}, v) }
	lengths := func(v ...int64) *Tensor { return &Tensor{Type: Int32, Shape: []int{len(v)}, Ints: v} }
	layer := func(gates int, more ...*Tensor) []*Tensor {
		return append([]*Tensor{floats(4, 2, 3), floats(1, gates*5, 3), floats(1, gates*5, 5)}, more...)
	}
	hidden := func(more ...*attribute) []*attribute { return append(more, intAttr("hidden_size", 5)) }
	named := func(names ...string) *attribute { return stringsAttr("activations", names) }
	reduction := func(s string) []*attribute { return []*attribute{stringAttr("reduction", s)} }
	words := []*Tensor{newTensor(String, 2)}
	token := func(expression string, least int64) []*attribute {
		return []*attribute{stringAttr("tokenexp", expression), intAttr("mark", 0), intAttr("mincharnum", least), stringAttr("pad_value", "#")}
	}
	mode := func(s string) []*attribute { return []*attribute{stringAttr("mode", s)} }
	for _, c := range []struct {
		op      string
		version int64
		in      []*Tensor
		attrs   []*attribute
		want    string
	}{
		{"LpNormalization", 18, []*Tensor{floats(2, 3)}, []*attribute{intAttr("p", 3)}, "p is 3, it can be 1 or 2"},
		{"LpNormalization", 18, []*Tensor{floats(2, 3)}, []*attribute{intAttr("axis", 2)}, "axis 2 of a tensor with 2 dimensions"},
		{"LpNormalization", 18, []*Tensor{longs(2, 3)}, nil, "int64 tensor where floats are needed"},
		{"LpNormalization", 18, []*Tensor{floats()}, nil, "axis -1 of a tensor with 0 dimensions"},
		{"LSTM", 18, layer(4), hidden(floatAttr("clip", 0)), "clip is 0"},
		{"GRU", 18, layer(3), hidden(floatAttr("clip", -1)), "clip is -1"},
		{"RNN", 18, layer(1), hidden(floatAttr("clip", float32(math.NaN()))), "clip is NaN"},
		{"LSTM", 18, layer(4), hidden(named("Sigmoid")), "1 activations, 1 directions need 3"},
		{"GRU", 18, layer(3), hidden(named("Sigmoid", "Tanh"), stringAttr("direction", "bidirectional")), "2 activations, 2 directions need 4"},
		{"RNN", 18, layer(1), hidden(named()), "0 activations, 1 directions need 1"},
		{"RNN", 18, layer(1), hidden(named("Gelu")), `activation "Gelu" is not known`},
		{"RNN", 18, layer(1), hidden(named("Affine")), `activation "Affine" has no`},
		{"RNN", 18, layer(1), hidden(named("ScaledTanh"), floatsAttr("activation_alpha", []float32{1})), `activation "ScaledTanh" has no beta`},
		{"GRU", 18, layer(3), hidden(named("ThresholdedRelu", "Tanh")), `activation "ThresholdedRelu" has no alpha`},
		{"GRU", 18, layer(3), hidden(intAttr("input_forget", 1)), `attribute "input_forget" is not supported`},
		{"RNN", 18, layer(1), hidden(stringAttr("direction", "sideways")), `direction "sideways" is not known`},
		{"RNN", 18, layer(1), nil, "hidden_size is 0"},
		{"RNN", 18, layer(1), []*attribute{intAttr("hidden_size", math.MaxInt64)}, "hidden_size is 9223372036854775807"},
		{"RNN", 18, layer(1), []*attribute{intAttr("hidden_size", 1<<20)}, "input 1 is a float tensor of shape [1,5,3], it is to be float of shape [1,1048576,3]"},
		{"LSTM", 18, layer(4, nil, lengths(5, 1)), hidden(), "a sequence of 5 steps of 4"},
		{"GRU", 18, layer(3, nil, lengths(-1, 1)), hidden(), "a sequence of -1 steps of 4"},
		{"RNN", 18, layer(1, nil, lengths(1)), hidden(), "input 4 is a int32 tensor of shape [1]"},
		{"RNN", 18, layer(1, nil, longs(1, 1)), hidden(), "input 4 is a int64 tensor"},
		{"LSTM", 18, layer(4, nil, nil, nil, nil, floats(1, 5)), hidden(), "input 7 is a float tensor of shape [1,5], it is to be float of shape [1,15]"},
		{"LSTM", 18, layer(4, nil, nil, floats(1, 2, 5)), hidden(intAttr("layout", 1)), "input 5 is a float tensor of shape [1,2,5], it is to be float of shape [4,1,5]"},
		{"LSTM", 18, []*Tensor{floats(4, 2), floats(1, 20, 3), floats(1, 20, 5)}, hidden(), "input of shape [4,2] is not [steps, rows, features]"},
		{"ScatterElements", 18, []*Tensor{floats(3), longs(0), floats(1)}, reduction("mean"), `reduction "mean" is not supported`},
		{"ScatterElements", 13, []*Tensor{floats(3), longs(0), floats(1)}, reduction("add"), `reduction "add" came with version 16, the model is of version 13`},
		{"ScatterND", 13, []*Tensor{floats(3), intTensor([]int{1, 1}, []int64{0}), floats(1)}, reduction("mul"), `reduction "mul" came with version 16`},
		{"ScatterElements", 18, []*Tensor{newTensor(Bool, 3), longs(0), newTensor(Bool, 1)}, reduction("max"), "of a bool tensor"},
		{"ScatterElements", 18, []*Tensor{newTensor(String, 3), longs(0), newTensor(String, 1)}, reduction("mul"), "of a string tensor"},
		{"ScatterElements", 18, []*Tensor{floats(3), longs(-4), floats(1)}, nil, "index -1 of an axis of size 3"},
		{"ScatterElements", 18, []*Tensor{floats(1, 3), intTensor([]int{2, 1}, []int64{0, 0}), floats(2, 1)}, []*attribute{intAttr("axis", 1)}, "index of shape [2,1] for a tensor of shape [1,3]"},
		{"ScatterElements", 18, []*Tensor{floats(3), longs(0, 1), floats(1)}, nil, "float updates of shape [1] for indices of shape [2]"},
		{"Scatter", 11, []*Tensor{floats(3), longs(0), floats(1)}, nil, "operator is called ScatterElements from version 11"},
		{"Pad", 18, []*Tensor{floats(2, 3), longs(-2, 0, -1, 0)}, nil, "pads -2 and -1 of an axis of 2 in mode constant"},
		{"Pad", 18, []*Tensor{floats(2), longs(math.MinInt64, math.MinInt64)}, nil, "pads -9223372036854775808 and -9223372036854775808 of an axis of 2"},
		{"Pad", 18, []*Tensor{floats(2), longs(math.MaxInt64, 0)}, nil, "pads 9223372036854775807 and 0"},
		{"Pad", 18, []*Tensor{floats(2), longs(math.MaxInt32, math.MaxInt32)}, nil, "too many elements"},
		{"Pad", 19, []*Tensor{floats(2), longs(-2, 0)}, mode("wrap"), "pads -2 and 0 of an axis of 2 in mode wrap"},
		{"Pad", 19, []*Tensor{floats(0), longs(1, 0)}, mode("edge"), "pads 1 and 0 of an axis of 0 in mode edge"},
		{"Pad", 19, []*Tensor{floats(3), longs(2, -1)}, mode("reflect"), "pads 2 and -1 of an axis of 3 in mode reflect"},
		{"Pad", 19, []*Tensor{floats(3), longs(2, 1)}, mode("symmetric"), `mode "symmetric" is not supported`},
		{"Pad", 19, []*Tensor{floats(3), longs(2, 1, 0)}, nil, "3 pads for 1 axes"},
		{"Pad", 19, []*Tensor{floats(3), longs(2, 1), newTensor(Float64, 1)}, nil, "the value is not one element of float"},
		{"Pad", 19, []*Tensor{floats(2, 3), longs(1, 1, 0, 0), nil, longs(1, -1)}, nil, "axis 1 is named twice"},
		{"Pad", 19, []*Tensor{floats(2, 3), longs(1, 0), nil, longs(2)}, nil, "axis 2 of a tensor with 2 dimensions"},
		{"Pad", 19, []*Tensor{floats(2), longs(1, 1, 0, 0), nil, longs(0, 0)}, nil, "2 axes of type int64 of a tensor with 1 dimensions"},
		{domainMicrosoft + ".Tokenizer", 18, words, token("(", 1), `tokenexp "(" is no expression`},
		{domainMicrosoft + ".Tokenizer", 18, words, token("", 1), `tokenexp "" is no expression`},
		{domainMicrosoft + ".Tokenizer", 18, words, token("((((a{999}){999}){999}){999})", 1), "is no expression"},
		{domainMicrosoft + ".Tokenizer", 18, words, token("a", 0), "mincharnum is 0"},
		{domainMicrosoft + ".Tokenizer", 18, words, token("a", 1)[1:], `attribute "tokenexp" is missing`},
		{domainMicrosoft + ".Tokenizer", 18, words, append(token("a", 1), stringsAttr("separators", []string{" "})), `attribute "separators" is not supported`},
		{domainMicrosoft + ".Tokenizer", 18, []*Tensor{floats(2)}, token("a", 1), "float tensor of shape [2] is not a list or a table of texts"},
		{domainMicrosoft + ".Tokenizer", 18, []*Tensor{newTensor(String, 1, 1, 1)}, token("a", 1), "string tensor of shape [1,1,1]"},
		{domainMicrosoft + ".Tokenizer", 18, []*Tensor{stringTensor([]int{1}, []string{"a\xff"})}, token("a", 1), "a text is not valid UTF-8"},
	} {
		_, err := runNode(c.op, c.version, c.in, c.attrs...)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v does not say %q", c.op, err, c.want)
		}
	}
}

// TestScatterUnsigned: numbers of 64 bits without a sign are compared without one.
func TestScatterUnsigned(t *testing.T) {
	great := uint64(1<<63 + 5)
	unsigned := func(v ...uint64) *Tensor {
		out := newTensor(Uint64, len(v))
		for i, x := range v {
			out.Ints[i] = int64(x)
		}
		return out
	}
	for reduction, want := range map[string]*Tensor{"max": unsigned(great, great), "min": unsigned(1, 7), "add": unsigned(great+1, great+7), "mul": unsigned(great, great*7)} {
		got, err := runNode("ScatterElements", 18, []*Tensor{unsigned(1, great), intTensor([]int{2}, []int64{0, 1}), unsigned(great, 7)}, stringAttr("reduction", reduction))
		if err != nil || !slices.Equal(got.Ints, want.Ints) {
			t.Errorf("%s: %v, want %v, %v", reduction, got, want.Ints, err)
		}
	}
}

// TestScatterTextsAreBounded: a text that grows by every update counts against the memory of a run.
func TestScatterTextsAreBounded(t *testing.T) {
	updates := newTensor(String, 2000)
	for i := range updates.Strings {
		updates.Strings[i] = strings.Repeat("x", 1000)
	}
	m := &memory{limit: 1 << 20}
	c := &nodeContext{node: &onnxNode{op: "ScatterElements", attrs: []*attribute{stringAttr("reduction", "add")}}, opsets: map[string]int64{"": 18}, used: map[string]bool{}}
	run, err := compileScatterElements(c)
	if err != nil {
		t.Fatal(err)
	}
	_, err = run(m, []*Tensor{newTensor(String, 1), intTensor([]int{2000}, make([]int64, 2000)), updates})
	if err == nil || !strings.Contains(err.Error(), "need more than 1048576 bytes") {
		t.Error(err)
	}
}

// TestLayerStartsFromItsState: where there is no step the states are those that it starts from; of a sequence without one in a batch that has
// steps they are 0, as in ONNX Runtime.
func TestLayerStartsFromItsState(t *testing.T) {
	start := floatTensor([]int{1, 1, 2}, []float32{0.5, -0.25})
	c := &nodeContext{node: &onnxNode{op: "GRU", attrs: []*attribute{intAttr("hidden_size", 2)}}, used: map[string]bool{}}
	run, err := compileRecurrent(c, 3)
	if err != nil {
		t.Fatal(err)
	}
	out, err := run(nil, []*Tensor{newTensor(Float32, 0, 1, 3), newTensor(Float32, 1, 6, 3), newTensor(Float32, 1, 6, 2), nil, nil, start})
	if err != nil || len(out[0].Floats) != 0 || !slices.Equal(out[1].Floats, start.Floats) {
		t.Errorf("%v, %v", out, err)
	}
}
