package learn

import (
	"fmt"
	"sort"
	"strings"
)

// An operator is one entry of the evaluator's table.
type operator struct {
	domain      string
	name        string
	least, most int // number of inputs
	compile     func(*nodeContext) (kernel, error)
}

// operators returns the table of what the evaluator runs: one function a family.
func operators() []operator {
	var all []operator
	for _, family := range [][]operator{
		arithmeticOperators(), shapeOperators(), reduceOperators(), encoderOperators(), scalingOperators(), linearOperators(), treeOperators(),
		svmOperators(), controlOperators(), networkOperators(), recurrentOperators(), selectOperators(), padOperators(), scatterOperators(), einsumOperators(), textOperators(), tokenOperators(),
	} {
		all = append(all, family...)
	}
	return all
}

// operatorTable indexes the operators by domain.name.
func operatorTable() map[string]operator {
	table := map[string]operator{}
	for _, op := range operators() {
		table[op.domain+"."+op.name] = op
	}
	return table
}

// Operators returns the names of the ONNX operators that the evaluator runs, sorted; those of ai.onnx.ml carry that prefix.
func Operators() []string {
	var names []string
	for _, op := range operators() {
		names = append(names, strings.TrimPrefix(op.domain+"."+op.name, "."))
	}
	sort.Strings(names)
	return names
}

// A nodeContext is what an operator sees of its node while it is being prepared. Its accessors remember which attributes were read,
// because one that nobody reads could change the meaning of the node.
type nodeContext struct {
	table     map[string]operator // by domain.name
	node      *onnxNode
	opsets    map[string]int64
	limits    Limits
	constants []*Tensor // value of each input that is constant, nil otherwise
	used      map[string]bool
	errs      []string
	cautions  []string // where the node is evaluated otherwise than by ONNX Runtime
}

// caution notes that ONNX Runtime evaluates the node otherwise than its specification says, which is what this evaluator follows.
func (c *nodeContext) caution(format string, args ...any) {
	c.cautions = append(c.cautions, fmt.Sprintf(format, args...))
}

func (c *nodeContext) compile(run *kernel) error {
	version, ok := c.opsets[c.node.domain]
	if !ok {
		return fmt.Errorf("operator is of domain %q, for which the model imports no version", c.node.domain)
	}
	if op, ok := c.table[c.node.domain+"."+c.node.op]; ok {
		return c.prepare(op, run)
	}
	if c.node.domain == "" || c.node.domain == domainML {
		return fmt.Errorf("operator is not supported (version %d)", version)
	}
	return fmt.Errorf("operators of domain %q are not supported", c.node.domain)
}

func (c *nodeContext) prepare(op operator, run *kernel) error {
	if err := c.arity(op.least, op.most); err != nil {
		return err
	}
	k, err := op.compile(c)
	if err == nil && len(c.errs) > 0 {
		err = fmt.Errorf("%s", strings.Join(c.errs, "; "))
	}
	if err != nil {
		return err
	}
	for _, a := range c.node.attrs {
		if !c.used[a.name] {
			return fmt.Errorf("attribute %q is not supported", a.name)
		}
	}
	*run = k
	return nil
}

func (c *nodeContext) version() int64 { return c.opsets[c.node.domain] }

// attr returns the attribute of that name if it is of that kind; of another kind it is an error of the node.
func (c *nodeContext) attr(name string, kind int32) *attribute {
	c.used[name] = true
	for _, a := range c.node.attrs {
		if a.name != name {
			continue
		}
		if a.kind != kind {
			c.errs = append(c.errs, fmt.Sprintf("attribute %q is of kind %d instead of %d", name, a.kind, kind))
			return nil
		}
		return a
	}
	return nil
}

// given reports whether the node has the attribute.
func (c *nodeContext) given(name string) bool {
	for _, a := range c.node.attrs {
		if a.name == name {
			return true
		}
	}
	return false
}

func (c *nodeContext) int(name string, def int64) int64 {
	if a := c.attr(name, attrInt); a != nil {
		return a.i
	}
	return def
}

func (c *nodeContext) float(name string, def float32) float32 {
	if a := c.attr(name, attrFloat); a != nil {
		return a.f
	}
	return def
}

func (c *nodeContext) string(name, def string) string {
	if a := c.attr(name, attrString); a != nil {
		return a.s
	}
	return def
}

func (c *nodeContext) floats(name string) []float32 {
	if a := c.attr(name, attrFloats); a != nil {
		return a.floats
	}
	return nil
}

func (c *nodeContext) ints(name string) []int64 {
	if a := c.attr(name, attrInts); a != nil {
		return a.ints
	}
	return nil
}

func (c *nodeContext) strings(name string) []string {
	if a := c.attr(name, attrStrings); a != nil {
		return a.strings
	}
	return nil
}

func (c *nodeContext) tensor(name string) *Tensor {
	if a := c.attr(name, attrTensor); a != nil {
		return a.tensor
	}
	return nil
}

// anyNumber is the most inputs of an operator that takes any number of them; none may be left out.
const anyNumber = 1 << 16

// arity reports a number of inputs out of bounds; an input left out counts as absent only at the end.
func (c *nodeContext) arity(least, most int) error {
	n := len(c.node.inputs)
	if n < least || n > most {
		return fmt.Errorf("operator has %d inputs, it takes %d to %d", n, least, most)
	}
	given := least
	if most >= anyNumber {
		given = n
	}
	for i := range given {
		if c.node.inputs[i] == "" {
			return fmt.Errorf("input %d is left out", i)
		}
	}
	return nil
}

// unary adapts a function of one tensor.
func unary(f func(*memory, *Tensor) (*Tensor, error)) kernel {
	return func(m *memory, in []*Tensor) ([]*Tensor, error) { return m.one(f(m, in[0])) }
}
