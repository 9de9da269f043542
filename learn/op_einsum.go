package learn

import (
	"fmt"
	"slices"
	"strings"
)

func einsumOperators() []operator {
	return []operator{{name: "Einsum", least: 1, most: anyNumber, compile: compileEinsum}}
}

// maxLetters is how long an equation may be.
const maxLetters = 128

// An einsum is an equation of two operands: the letter of each of their axes, and of the result's.
type einsum struct {
	in  [2]string
	out string
}

// compileEinsum takes the equations that products of two tensors are written in. ONNX Runtime refuses capitals in a result that the
// equation leaves to be understood, and so does this.
func compileEinsum(c *nodeContext) (kernel, error) {
	equation := c.string("equation", "")
	left, out, given := strings.Cut(strings.ReplaceAll(equation, " ", ""), "->")
	terms := strings.Split(left, ",")
	if len(terms) != 2 || len(c.node.inputs) != 2 || strings.Contains(equation, ".") {
		return nil, fmt.Errorf("equation %q of %d inputs is not supported: two without an ellipsis are", equation, len(c.node.inputs))
	}
	letters := left + out
	if len(letters) > maxLetters {
		return nil, fmt.Errorf("equation of %d letters", len(letters))
	}
	for i := range len(letters) {
		if l := letters[i]; l != ',' && (l < 'a' || l > 'z') && (l < 'A' || l > 'Z') {
			return nil, fmt.Errorf("equation %q is not one of letters", equation)
		}
	}
	if !given {
		var once []byte
		for i := range len(left) {
			if l := left[i]; l != ',' && strings.Count(left, string(l)) == 1 {
				if l < 'a' {
					return nil, fmt.Errorf("equation %q has a capital in a result that it does not name", equation)
				}
				once = append(once, l)
			}
		}
		slices.Sort(once)
		out = string(once)
	}
	for i := range len(out) {
		if l := out[i]; l == ',' || strings.IndexByte(left, l) < 0 || strings.IndexByte(out, l) != i {
			return nil, fmt.Errorf("equation %q has a result that does not follow from its inputs", equation)
		}
	}
	e := &einsum{in: [2]string{terms[0], terms[1]}, out: out}
	return e.run, nil
}

func (e *einsum) run(m *memory, in []*Tensor) ([]*Tensor, error) {
	a, b := in[0], in[1]
	if a.Type != b.Type || a.Type != Float32 && a.Type != Float64 && a.Type != Int32 && a.Type != Int64 {
		return nil, fmt.Errorf("inputs are %s and %s", a.Type, b.Type)
	}
	a, left, err := gathered(m, a, e.in[0], e.in[1]+e.out)
	if err != nil {
		return nil, err
	}
	b, right, err := gathered(m, b, e.in[1], e.in[0]+e.out)
	if err != nil {
		return nil, err
	}
	sizes := [128]int{}
	shared := "" // by both and not of the result: summed over
	for i, l := range []byte(left) {
		sizes[l] = a.Shape[i]
		if strings.IndexByte(e.out, l) < 0 {
			shared += string(l)
		}
	}
	for i, l := range []byte(right) {
		switch n := b.Shape[i]; {
		case strings.IndexByte(left, l) < 0 || sizes[l] == 1:
			sizes[l] = n
		case n != 1 && n != sizes[l]:
			return nil, fmt.Errorf("axis %q has the sizes %d and %d", string(l), sizes[l], n)
		}
	}
	shape := m.zeros(len(e.out))
	for i, l := range []byte(e.out) {
		shape[i] = sizes[l]
	}
	out, err := m.tensor(a.Type, shape...)
	if err != nil {
		return nil, err
	}
	sum := m.zeros(len(shared))
	for i, l := range []byte(shared) {
		sum[i] = sizes[l]
	}
	as, err := offsets(m, a.Shape, left, sum, shared)
	if err != nil {
		return nil, err
	}
	bs, err := offsets(m, b.Shape, right, sum, shared)
	if err != nil {
		return nil, err
	}
	sa, sb := stepsOf(m, a.Shape, left, e.out), stepsOf(m, b.Shape, right, e.out)
	if len(as) == 0 { // sums of nothing
		return m.list(out), nil
	}
	for i := range out.Len() {
		at, bt := dot(shape, sa, i), dot(shape, sb, i)
		switch a.Type {
		case Float32:
			out.Floats[i] = inner(a.Floats[at:], b.Floats[bt:], as, bs)
		case Float64:
			out.Doubles[i] = inner(a.Doubles[at:], b.Doubles[bt:], as, bs)
		default:
			out.Ints[i] = wrap(a.Type, inner(a.Ints[at:], b.Ints[bt:], as, bs))
		}
	}
	return m.list(out), nil
}

// inner sums the products of the elements that stand at these places of a and b.
func inner[T float32 | float64 | int64](a, b []T, as, bs []int64) (sum T) {
	for k, at := range as {
		sum += a[at] * b[bs[k]]
	}
	return sum
}

// stepsOf returns how far apart in a tensor with an axis for each letter those elements are that follow each other along the axes of
// another list of letters: 0 along one that the tensor does not have, or of size 1.
func stepsOf(m *memory, shape []int, letters, along string) []int {
	own, out := broadcastStrides(m, shape, shape), m.zeros(len(along))
	for i := range len(along) {
		if at := strings.IndexByte(letters, along[i]); at >= 0 {
			out[i] = own[at]
		}
	}
	return out
}

// offsets returns where the elements of a tensor stand that the letters to sum over run through, in their row-major order.
func offsets(m *memory, shape []int, letters string, sum []int, along string) ([]int64, error) {
	t, err := m.tensor(Int64, sum...)
	if err != nil {
		return nil, err
	}
	steps := stepsOf(m, shape, letters, along)
	for i := range t.Ints {
		t.Ints[i] = int64(dot(sum, steps, i))
	}
	return t.Ints, nil
}

// gathered returns a tensor with one axis for each letter that others name, and which letters these are: of a letter that stands there twice
// the diagonal is taken, and over one that nobody else names is summed.
func gathered(m *memory, t *Tensor, letters, others string) (*Tensor, string, error) {
	if len(letters) != len(t.Shape) {
		return nil, "", fmt.Errorf("an input of shape %s for the axes %q", shapeString(t.Shape), letters)
	}
	kept, summed := "", ""
	shape, sum := m.shape(), m.shape()
	for i := range len(letters) {
		l := letters[i]
		switch first := strings.IndexByte(letters, l); {
		case first != i && t.Shape[first] != t.Shape[i]:
			return nil, "", fmt.Errorf("axis %q has the sizes %d and %d", string(l), t.Shape[first], t.Shape[i])
		case first != i:
		case strings.IndexByte(others, l) >= 0:
			kept, shape = kept+string(l), append(shape, t.Shape[i])
		default:
			summed, sum = summed+string(l), append(sum, t.Shape[i])
		}
	}
	if kept == letters {
		return t, letters, nil
	}
	own := contiguous(m, t.Shape)
	steps := func(along string) []int {
		out := m.zeros(len(along))
		for i := range len(along) {
			for j := range len(letters) {
				if letters[j] == along[i] {
					out[i] += own[j]
				}
			}
		}
		return out
	}
	out, err := m.tensor(t.Type, shape...)
	if err != nil {
		return nil, "", err
	}
	one, over, count := steps(kept), steps(summed), 1
	for _, d := range sum {
		count *= d
	}
	for i := range out.Len() {
		at, whole, total := dot(shape, one, i), int64(0), 0.0
		for k := range count {
			if from := at + dot(sum, over, k); t.Type.integral() {
				whole += t.Ints[from]
			} else {
				total += t.number(from)
			}
		}
		out.setSum(i, total, whole)
	}
	return out, kept, nil
}
