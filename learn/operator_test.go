package learn

import (
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
		for _, domain := range []string{"ai.onnx", "ai.onnx.ml"} {
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
