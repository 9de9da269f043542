package learn

// The parts of ONNX's protobuf messages that a classical model uses, as read and as written.

const (
	domainML  = "ai.onnx.ml"
	opsetMain = 17 // of ai.onnx, as written
	opsetML   = 3  // of ai.onnx.ml, as written
	irVersion = 8  // as written
)

type onnxModel struct {
	ir       int64
	producer string
	version  string // of the producer
	opsets   map[string]int64
	metadata []keyValue
	graph    *onnxGraph
}

type keyValue struct{ key, value string }

type onnxGraph struct {
	name         string
	nodes        []*onnxNode
	initializers []namedTensor
	inputs       []valueInfo
	outputs      []valueInfo
}

type namedTensor struct {
	name   string
	tensor *Tensor
}

// A valueInfo declares a tensor, or (sequence of) maps with keys of keyType.
type valueInfo struct {
	name     string
	elem     ElementType // 0 when the file does not say
	dims     []dim
	hasShape bool
	sequence bool
	keyType  ElementType // of a map; 0 otherwise
}

// A dim is one axis: a name for a size that may vary, or a size.
type dim struct {
	name string
	size int64
}

type onnxNode struct {
	name, op, domain string
	inputs, outputs  []string
	attrs            []*attribute
}

// Kinds of attribute, with the numbers of ONNX's AttributeProto.AttributeType.
const (
	attrFloat   = 1
	attrInt     = 2
	attrString  = 3
	attrTensor  = 4
	attrGraph   = 5
	attrFloats  = 6
	attrInts    = 7
	attrStrings = 8
)

type attribute struct {
	name    string
	kind    int32
	f       float32
	i       int64
	s       string
	tensor  *Tensor
	graph   *onnxGraph
	floats  []float32
	ints    []int64
	strings []string
}
