package learn

import (
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/assay-ml/assay/internal/assaytest"
)

// named adds the operators of a graph and of those inside its nodes.
func (g *onnxGraph) named(into map[string]bool) {
	for _, n := range g.nodes {
		domain := n.domain
		if domain == "ai.onnx" {
			domain = ""
		}
		into[domain+"."+n.op] = true
		for _, a := range n.attrs {
			if a.graph != nil {
				a.graph.named(into)
			}
		}
	}
}

// TestEveryOperator: there is a model with the answers of ONNX Runtime for each operator that is evaluated, and the documentation lists exactly
// those. DictVectorizer has a test of its own, because ONNX Runtime does not take the sequences of maps that it is evaluated for.
func TestEveryOperator(t *testing.T) {
	held := map[string]bool{"ai.onnx.ml.DictVectorizer": true}
	for _, c := range assaytest.Models(t, "oracle/onnx") {
		m, err := decodeModel(c.Model, Limits{}.orDefault())
		if err != nil {
			t.Fatalf("%s: %v", c.Name, err)
		}
		m.graph.named(held)
	}
	text, err := os.ReadFile(filepath.Join(assaytest.Root(), "docs", "serving.md"))
	if err != nil {
		t.Fatal(err)
	}
	lists := map[string][]string{}
	for line := range strings.Lines(string(text)) {
		for _, domain := range []string{"ai.onnx", "ai.onnx.ml", "com.microsoft"} {
			if rest, ok := strings.CutPrefix(line, "| `"+domain+"` | "); ok {
				lists[domain] = strings.Split(strings.TrimSuffix(strings.TrimSpace(rest), " |"), ", ")
			}
		}
	}
	want := map[string][]string{}
	for _, op := range operators() {
		if !held[op.domain+"."+op.name] {
			t.Errorf("no model has %s.%s", op.domain, op.name)
		}
		domain := op.domain
		if domain == "" {
			domain = "ai.onnx"
		}
		want[domain] = append(want[domain], op.name)
	}
	for domain, names := range want {
		slices.Sort(names)
		if !slices.Equal(names, lists[domain]) {
			t.Errorf("docs/serving.md does not list exactly these of %s: %s", domain, strings.Join(names, ", "))
		}
	}
}

// TestDictVectorizer: the values stand in the order of the vocabulary, 0 for a word that a map does not have, and what the vocabulary does not
// have is left out: the example of the specification ({"a": 4, "c": 8} with the vocabulary a, c, b, z is 4, 8, 0, 0), and keys that are numbers.
func TestDictVectorizer(t *testing.T) {
	for _, c := range []struct{ keys, vocabulary *attribute }{
		{stringsAttr("classlabels_strings", []string{"a", "q", "c"}), stringsAttr("string_vocabulary", []string{"a", "c", "b", "z"})},
		{intsAttr("classlabels_int64s", []int64{7, 1, -2}), intsAttr("int64_vocabulary", []int64{7, -2, 3, 70})},
	} {
		b := newGraphBuilder("dict")
		b.graph.inputs = []valueInfo{{name: "x", elem: Float32, hasShape: true, dims: []dim{{name: "rows"}, {size: 3}}}}
		maps := b.node("maps", domainML, "ZipMap", []string{"x"}, c.keys)
		b.nodeTo("y", domainML, "DictVectorizer", []string{maps}, c.vocabulary)
		b.output("y", "y", Float32, dim{size: 4})
		p, err := LoadONNX((&onnxModel{ir: irVersion, opsets: map[string]int64{"": opsetMain, domainML: opsetML}, graph: &b.graph}).encode())
		if err != nil {
			t.Fatal(err)
		}
		got, err := p.Run(map[string]*Tensor{"x": {Type: Float32, Shape: []int{2, 3}, Floats: []float32{4, 5, 8, -1, 0, 2.5}}})
		if err != nil {
			t.Fatal(err)
		}
		if y := got["y"]; !slices.Equal(y.Floats, []float32{4, 8, 0, 0, -1, 2.5, 0, 0}) || !slices.Equal(y.Shape, []int{2, 4}) {
			t.Errorf("%v of shape %v", y.Floats, y.Shape)
		}
	}
}

// TestCautions: where ONNX Runtime does not do what ONNX specifies, the node says so.
func TestCautions(t *testing.T) {
	for name, want := range map[string]string{
		"op_tree5_exchanged_float32_1": `node "node" (ai.onnx.ml.TreeEnsemble): post_transform 1 is a softmax, as ONNX specifies; to ONNX Runtime it is a logistic`,
		"op_tree5_exchanged_float64_2": `node "node" (ai.onnx.ml.TreeEnsemble): post_transform 2 is a logistic, as ONNX specifies; to ONNX Runtime it is a softmax`,
		"op_tree5_float32_two_1_0":     "",
	} {
		p, err := Open(assaytest.Model(t, "oracle/onnx", name).Model, Limits{})
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(p.Cautions(), "\n"); got != want {
			t.Errorf("%s: %s", name, got)
		}
	}
}

// TestOneTargetIsTransformed: the logistic of a single target, which ONNX Runtime leaves out, is applied and said.
func TestOneTargetIsTransformed(t *testing.T) {
	b := newGraphBuilder("one")
	b.graph.inputs = []valueInfo{{name: "x", elem: Float32, hasShape: true, dims: []dim{{name: "rows"}, {size: 1}}}}
	b.nodeTo("y", domainML, "LinearRegressor", []string{"x"}, floatsAttr("coefficients", []float32{1}), stringAttr("post_transform", "LOGISTIC"))
	b.graph.nodes[0].name = ""
	b.output("y", "y", Float32, dim{size: 1})
	p, err := LoadONNX((&onnxModel{ir: irVersion, opsets: map[string]int64{"": opsetMain, domainML: opsetML}, graph: &b.graph}).encode())
	if err != nil {
		t.Fatal(err)
	}
	got, err := p.Run(map[string]*Tensor{"x": {Type: Float32, Shape: []int{2, 1}, Floats: []float32{0, 1}}})
	if err != nil || !slices.Equal(got["y"].Floats, []float32{0.5, logistic32(1)}) {
		t.Error(got["y"], err)
	}
	if want := `the node of "y" (ai.onnx.ml.LinearRegressor): post_transform LOGISTIC of its one target is applied, as ONNX specifies; ONNX Runtime leaves it out`; strings.Join(p.Predictor().Cautions(), "") != want {
		t.Error(p.Predictor().Cautions())
	}
}

// TestCastToNoType: an input that declares no type gives CastLike none to cast to.
func TestCastToNoType(t *testing.T) {
	for _, from := range []ElementType{Float32, Float64, Int64, String} {
		if got, err := cast(nil, newTensor(from, 1), 0); err == nil || !strings.Contains(err.Error(), "to type 0 is not supported") {
			t.Errorf("from %s: %v, %v", from, got, err)
		}
	}
}

// oneClass is a tree of one leaf that weighs one class of two.
func oneClass(class int64, more ...*attribute) []*attribute {
	zero := []int64{0}
	return append(more, intsAttr("nodes_treeids", zero), intsAttr("nodes_nodeids", zero), intsAttr("nodes_featureids", zero), floatsAttr("nodes_values", []float32{0}),
		stringsAttr("nodes_modes", []string{"LEAF"}), intsAttr("nodes_truenodeids", zero), intsAttr("nodes_falsenodeids", zero), intsAttr("class_treeids", zero),
		intsAttr("class_nodeids", zero), intsAttr("class_ids", []int64{class}), floatsAttr("class_weights", []float32{0.5}), intsAttr("classlabels_int64s", []int64{3, 5}))
}

// TestRefusedOperators: what an operator is not evaluated for is refused when the model is loaded or, where only the rows tell, by the run.
func TestRefusedOperators(t *testing.T) {
	floats := func(shape ...int) *Tensor { return newTensor(Float32, shape...) }
	longs := func(v ...int64) *Tensor { return intTensor([]int{len(v), 1}, v) }
	equation := func(s string) []*attribute { return []*attribute{stringAttr("equation", s)} }
	for _, c := range []struct {
		op    string
		in    []*Tensor
		attrs []*attribute
		want  string
	}{
		{"Einsum", []*Tensor{floats(2, 3)}, equation("ij->"), `node "node" (Einsum): equation "ij->" of 1 inputs is not supported`},
		{"Einsum", []*Tensor{floats(2, 3), floats(3)}, equation("...j,j->..."), `equation "...j,j->..." of 2 inputs is not supported`},
		{"Einsum", []*Tensor{floats(2), floats(2), floats(2)}, equation("i,i,i->i"), "of 3 inputs is not supported"},
		{"Einsum", []*Tensor{floats(2), floats(2)}, equation("i,j->k"), "does not follow from its inputs"},
		{"Einsum", []*Tensor{floats(2), floats(2)}, equation("i,j->ii"), "does not follow from its inputs"},
		{"Einsum", []*Tensor{floats(2), floats(2)}, equation("i,B"), "has a capital"},
		{"Einsum", []*Tensor{floats(2), floats(2)}, equation("i,1->i"), "not one of letters"},
		{"Einsum", []*Tensor{floats(2), floats(2)}, equation(strings.Repeat("i", 200) + ",j->"), "equation of 202 letters"},
		{"Einsum", []*Tensor{floats(2, 3), floats(2)}, equation("ij,j->i"), `axis "j" has the sizes 3 and 2`},
		{"Einsum", []*Tensor{floats(2, 3), floats(2)}, equation("ii,j->i"), `axis "i" has the sizes 2 and 3`},
		{"Einsum", []*Tensor{floats(2, 3), floats(2)}, equation("i,j->i"), `shape [2,3] for the axes "i"`},
		{"Einsum", []*Tensor{newTensor(Uint8, 2), newTensor(Uint8, 2)}, equation("i,i->i"), "inputs are uint8 and uint8"},
		{"Div", []*Tensor{longs(1, 2), longs(0)}, nil, `node "node" (Div): a whole number is divided by 0`},
		{"Div", []*Tensor{longs(math.MinInt64, 2), longs(-1)}, nil, "the least int64 is divided by -1, and int64 does not hold the quotient"},
		{"Mod", []*Tensor{longs(1, 2), longs(3, 0)}, nil, "a whole number is divided by 0"},
		{"Mod", []*Tensor{longs(1, 2), longs(0)}, []*attribute{intAttr("fmod", 1)}, "a whole number is divided by 0"},
		{"Sqrt", []*Tensor{longs(4)}, nil, "int64 tensor where floats are needed"},
		{"Pow", []*Tensor{newTensor(Uint8, 1), newTensor(Uint8, 1)}, nil, "inputs are uint8 and uint8"},
		{"Gemm", []*Tensor{longs(4), longs(4)}, []*attribute{floatAttr("alpha", 0.5)}, "alpha 0.5 and beta 1 of int64 matrices are not supported"},
		{"ReduceSum", []*Tensor{newTensor(Uint8, 2)}, nil, "uint8 tensors are not supported"},
		{"ReduceLogSumExp", []*Tensor{longs(2)}, nil, "int64 tensors are not supported"},
		{"ReduceMax", []*Tensor{newTensor(Uint64, 2)}, nil, "uint64 tensors are not supported"},
		{"ArgMax", []*Tensor{newTensor(Uint64, 2)}, nil, "uint64 tensors are not supported"},
		{"TopK", []*Tensor{newTensor(Bool, 2), longs(1)}, nil, "bool tensor where numbers are needed"},
		{"Add", []*Tensor{newTensor(Bool, 2), newTensor(Bool, 2)}, nil, "bool tensors where numbers are needed"},
		{"Range", []*Tensor{newTensor(Int64), newTensor(Int64), newTensor(Int64)}, nil, "a range by 0"},
		{"Range", []*Tensor{{Type: Int64, Ints: []int64{math.MinInt64}}, {Type: Int64, Ints: []int64{math.MaxInt64}}, {Type: Int64, Ints: []int64{1}}}, nil, "a range of more than 2147483647 numbers"},
		{"Cast", []*Tensor{stringTensor([]int{1}, []string{"1_0"})}, []*attribute{intAttr("to", int64(Float32))}, "a string is not a number that a float holds"},
		{"Cast", []*Tensor{stringTensor([]int{1}, []string{"1e400"})}, []*attribute{intAttr("to", int64(Float64))}, "a string is not a number that a float holds"},
		{"Cast", []*Tensor{stringTensor([]int{1}, []string{"0.5"})}, []*attribute{intAttr("to", int64(Bool))}, "a string is not a whole number"},
		{"Hardmax", []*Tensor{longs(1, 2)}, nil, "int64 tensor where floats are needed"},
		{"Hardmax", []*Tensor{floats(2)}, []*attribute{intAttr("axis", 1)}, "axis 1 of a tensor with 1 dimensions"},
		{"EyeLike", []*Tensor{floats(2)}, nil, "is no matrix"},
		{"EyeLike", []*Tensor{floats(2, 2)}, []*attribute{intAttr("dtype", int64(String))}, "dtype string is not supported"},
		{"Compress", []*Tensor{floats(2, 2), floats(2)}, nil, "the condition is a float tensor"},
		{"Compress", []*Tensor{floats(2, 2), newTensor(Bool, 2)}, []*attribute{intAttr("axis", 2)}, "axis 2"},
		{"ScatterND", []*Tensor{floats(3), longs(3), floats(1)}, nil, "index 3 of an axis of size 3"},
		{"ScatterND", []*Tensor{floats(3), longs(0), floats(2)}, nil, "updates of shape"},
		{"ScatterND", []*Tensor{floats(3), intTensor([]int{1, 2}, []int64{0, 0}), floats(1)}, nil, "index of shape"},
		{"ScatterND", []*Tensor{floats(3), longs(0), floats(1)}, []*attribute{stringAttr("reduction", "mean")}, `reduction "mean" is not supported`},
		{"ScatterND", []*Tensor{newTensor(String, 3), longs(0), newTensor(String, 1)}, []*attribute{stringAttr("reduction", "mul")}, "string updates"},
		{"StringSplit", []*Tensor{floats(2)}, nil, "float tensor where strings are needed"},
		{domainML + ".LinearClassifier", []*Tensor{floats(2, 1)}, []*attribute{
			floatsAttr("coefficients", []float32{1}), floatsAttr("intercepts", []float32{0}), intsAttr("classlabels_ints", []int64{3, 5}), stringAttr("post_transform", "PROBIT"),
		}, "post_transform PROBIT of two classes with one score is not supported"},
		{domainML + ".TreeEnsembleClassifier", []*Tensor{floats(2, 1)}, oneClass(0, floatsAttr("base_values", []float32{0.1, 0.2})), "2 base values are not supported where the leaves weigh one class of two, the one at 0"},
		{domainML + ".TreeEnsembleClassifier", []*Tensor{floats(2, 1)}, oneClass(1, floatsAttr("base_values", []float32{0.1})), "1 base values are not supported where the leaves weigh one class of two, the one at 1"},
		{domainML + ".TreeEnsembleClassifier", []*Tensor{floats(2, 1)}, oneClass(0, stringAttr("post_transform", "PROBIT")), "post_transform PROBIT is not supported where the leaves weigh one class of two"},
	} {
		_, err := runNode(c.op, 20, c.in, c.attrs...)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v does not say %q", c.op, err, c.want)
		}
	}
}

// runNode loads a model of one node of the given version and runs it. An input that is nil is left out.
func runNode(op string, version int64, in []*Tensor, attrs ...*attribute) (*Tensor, error) {
	b := newGraphBuilder("one")
	inputs, names := map[string]*Tensor{}, []string{}
	for i, x := range in {
		name := string(rune('a' + i))
		if x == nil {
			names = append(names, "")
			continue
		}
		names, inputs[name] = append(names, name), x
		b.graph.inputs = append(b.graph.inputs, valueInfo{name: name, elem: x.Type})
	}
	domain := ""
	for _, d := range []string{domainML, domainMicrosoft} {
		if short, is := strings.CutPrefix(op, d+"."); is {
			domain, op = d, short
		}
	}
	b.nodeTo("y", domain, op, names, attrs...)
	b.graph.nodes[0].name = "node"
	b.output("y", "y", 0)
	p, err := LoadONNX((&onnxModel{ir: irVersion, opsets: map[string]int64{"": version, domainML: 3, domainMicrosoft: 1}, graph: &b.graph}).encode())
	if err != nil {
		return nil, err
	}
	out, err := p.Run(inputs)
	return out["y"], err
}

// TestUnsigned64: numbers of 64 bits without a sign beyond those with one are in Tensor.Ints by their bits, and count as what they are. ONNX
// Runtime 1.32 answered so.
func TestUnsigned64(t *testing.T) {
	const big = -2 // 2^64 - 2
	wide := func(v ...int64) *Tensor { return &Tensor{Type: Uint64, Shape: []int{len(v)}, Ints: v} }
	for _, c := range []struct {
		op   string
		in   []*Tensor
		want []int64
	}{
		{"Less", []*Tensor{wide(big, 1), wide(1, big)}, []int64{0, 1}},
		{"GreaterOrEqual", []*Tensor{wide(big, 1), wide(1, big)}, []int64{1, 0}},
		{"Max", []*Tensor{wide(big, 1), wide(1, 5)}, []int64{big, 5}},
		{"Min", []*Tensor{wide(big, 1), wide(1, 5)}, []int64{1, 1}},
		{"Div", []*Tensor{wide(big, 7), wide(2, big)}, []int64{math.MaxInt64, 0}},
		{"Mod", []*Tensor{wide(big, 7), wide(7, big)}, []int64{0, 7}},
		{"Sign", []*Tensor{wide(big, 0)}, []int64{1, 0}},
		{"Abs", []*Tensor{wide(big, 3)}, []int64{big, 3}},
		{"Clip", []*Tensor{wide(big, 3, 0), {Type: Uint64, Ints: []int64{1}}, {Type: Uint64, Ints: []int64{math.MinInt64}}}, []int64{math.MinInt64, 3, 1}},
	} {
		b := newGraphBuilder("wide")
		inputs, names := map[string]*Tensor{}, []string{}
		for i, x := range c.in {
			name := string(rune('a' + i))
			names, inputs[name] = append(names, name), x
			b.graph.inputs = append(b.graph.inputs, valueInfo{name: name, elem: x.Type})
		}
		b.nodeTo("y", "", c.op, names)
		b.output("y", "y", Uint64)
		p, err := LoadONNX((&onnxModel{ir: irVersion, opsets: map[string]int64{"": 20}, graph: &b.graph}).encode())
		if err != nil {
			t.Fatal(err)
		}
		got, err := p.Run(inputs)
		if err != nil || !slices.Equal(got["y"].Ints, c.want) {
			t.Errorf("%s: %v, %v", c.op, got["y"], err)
		}
	}
	for to, want := range map[ElementType]*Tensor{
		Float32: {Floats: []float32{1 << 64, 3}}, Float64: {Doubles: []float64{1 << 64, 3}}, String: {Strings: []string{"18446744073709551614", "3"}},
	} {
		got, err := cast(nil, wide(big, 3), to)
		if err != nil || !slices.Equal(got.Floats, want.Floats) || !slices.Equal(got.Doubles, want.Doubles) || !slices.Equal(got.Strings, want.Strings) {
			t.Errorf("to %s: %v, %v", to, got, err)
		}
	}
	if got, err := cast(nil, &Tensor{Type: Float64, Shape: []int{3}, Doubles: []float64{1.8e19, -1, math.NaN()}}, Uint64); err != nil || !slices.Equal(got.Ints, []int64{1.8e19 - 1<<64, -1, math.MinInt64}) {
		t.Errorf("%v, %v", got, err)
	}
}
