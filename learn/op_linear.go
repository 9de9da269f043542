package learn

import (
	"fmt"
	"math"
)

func linearOperators() []operator {
	return []operator{
		{name: "MatMul", least: 2, most: 2, compile: func(*nodeContext) (kernel, error) {
			return func(m *memory, in []*Tensor) ([]*Tensor, error) { return m.one(matMul(m, in[0], in[1])) }, nil
		}},
		{name: "Gemm", least: 2, most: 3, compile: compileGemm},
		{domain: domainML, name: "LinearClassifier", least: 1, most: 1, compile: compileLinearClassifier},
		{domain: domainML, name: "LinearRegressor", least: 1, most: 1, compile: compileLinearRegressor},
	}
}

// matMul multiplies matrices by NumPy's rule: a vector is a row on the left and a column on the right, and the axes before the last
// two are broadcast.
func matMul(m *memory, a, b *Tensor) (*Tensor, error) {
	if a.Type != b.Type {
		return nil, fmt.Errorf("inputs are %s and %s", a.Type, b.Type)
	}
	as, bs := a.Shape, b.Shape
	if len(as) == 1 {
		as = m.shape(1, as[0])
	}
	if len(bs) == 1 {
		bs = m.shape(bs[0], 1)
	}
	if len(as) < 2 || len(bs) < 2 || as[len(as)-1] != bs[len(bs)-2] {
		return nil, fmt.Errorf("shapes %s and %s cannot be multiplied", shapeString(a.Shape), shapeString(b.Shape))
	}
	rows, inner, cols := as[len(as)-2], bs[len(bs)-2], bs[len(bs)-1]
	outer, err := broadcastShape(m, as[:len(as)-2], bs[:len(bs)-2])
	if err != nil {
		return nil, err
	}
	shape := m.shape(outer...)
	if len(a.Shape) != 1 {
		shape = append(shape, rows)
	}
	if len(b.Shape) != 1 {
		shape = append(shape, cols)
	}
	out, err := m.tensor(a.Type, shape...)
	if err != nil || out.Len() == 0 {
		return out, err
	}
	if len(bs) == 2 { // one right side for all of the left
		rows, outer, as = out.Len()/cols, nil, as[len(as)-2:]
	}
	sa, sb := broadcastStrides(m, as[:len(as)-2], outer), broadcastStrides(m, bs[:len(bs)-2], outer)
	for i := range out.Len() / (rows * cols) {
		at, bt := dot(outer, sa, i)*rows*inner, dot(outer, sb, i)*inner*cols
		switch {
		case a.Type == Float64:
			product(out.Doubles[i*rows*cols:][:rows*cols], a.Doubles[at:][:rows*inner], b.Doubles[bt:][:inner*cols], inner, cols)
		case a.Type == Float32:
			product(out.Floats[i*rows*cols:][:rows*cols], a.Floats[at:][:rows*inner], b.Floats[bt:][:inner*cols], inner, cols)
		case a.Type == Int32 || a.Type == Int64 || a.Type == Uint32 || a.Type == Uint64:
			product(out.Ints[i*rows*cols:][:rows*cols], a.Ints[at:][:rows*inner], b.Ints[bt:][:inner*cols], inner, cols)
		default:
			return nil, fmt.Errorf("inputs are %s and %s", a.Type, b.Type)
		}
	}
	wrapAll(out.Type, out.Ints)
	return out, nil
}

// product adds a·b to out row by row; zeros of a, which one-hot columns mostly are, cost nothing unless b is not finite.
func product[T float32 | float64 | int64](out, a, b []T, k, m int) {
	skip := true
	for _, v := range b {
		if v-v != 0 {
			skip = false
		}
	}
	for i := 0; m > 0 && i < len(out)/m; i++ {
		row := out[i*m : (i+1)*m]
		for j, v := range a[i*k : (i+1)*k] {
			if v == 0 && skip {
				continue
			}
			for c, w := range b[j*m : (j+1)*m] {
				row[c] += v * w
			}
		}
	}
}

func compileGemm(c *nodeContext) (kernel, error) {
	alpha, beta := c.float("alpha", 1), c.float("beta", 1)
	transA, transB := c.int("transA", 0) != 0, c.int("transB", 0) != 0
	if c.version() < 7 {
		c.int("broadcast", 0)
	}
	var right *Tensor // the second input, turned once where it is constant
	if w := c.constants[1]; transB && w != nil && len(w.Shape) == 2 {
		var err error
		if right, err = transposed(nil, w); err != nil {
			return nil, err
		}
	}
	return func(m *memory, in []*Tensor) ([]*Tensor, error) {
		a, b := in[0], in[1]
		if len(a.Shape) != 2 || len(b.Shape) != 2 {
			return nil, fmt.Errorf("shapes %s and %s are not matrices", shapeString(a.Shape), shapeString(b.Shape))
		}
		var err error
		if transA {
			if a, err = transposed(m, a); err != nil {
				return nil, err
			}
		}
		if right != nil {
			b = right
		} else if transB {
			if b, err = transposed(m, b); err != nil {
				return nil, err
			}
		}
		out, err := matMul(m, a, b)
		if err != nil {
			return nil, err
		}
		if out.Type != Float32 && out.Type != Float64 && (alpha != 1 || beta != 1) {
			return nil, fmt.Errorf("alpha %v and beta %v of %s matrices are not supported", alpha, beta, out.Type)
		}
		scale(out, alpha)
		if len(in) < 3 || in[2] == nil || beta == 0 {
			return m.list(out), nil
		}
		bias := in[2]
		shape, err := broadcastShape(m, out.Shape, bias.Shape)
		if err != nil || !sameShape(shape, out.Shape) || bias.Type != out.Type {
			return nil, fmt.Errorf("%s tensor of shape %s as third input does not fit %s", bias.Type, shapeString(bias.Shape), shapeString(out.Shape))
		}
		strides := broadcastStrides(m, bias.Shape, shape)
		for i := range out.Shape[0] {
			for j := range out.Shape[1] {
				at, to := i*strides[0]+j*strides[1], i*out.Shape[1]+j
				switch {
				case out.Type == Float32:
					out.Floats[to] += float32(beta * bias.Floats[at])
				case out.Type == Float64:
					out.Doubles[to] += float64(beta) * bias.Doubles[at]
				default:
					out.Ints[to] = wrap(out.Type, out.Ints[to]+bias.Ints[at])
				}
			}
		}
		return m.list(out), nil
	}, nil
}

func sameShape(a, b []int) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}

func scale(t *Tensor, by float32) {
	if by == 1 {
		return
	}
	for i := range t.Floats {
		t.Floats[i] *= by
	}
	for i := range t.Doubles {
		t.Doubles[i] *= float64(by)
	}
}

func transposed(m *memory, t *Tensor) (*Tensor, error) {
	rows, cols := t.Shape[0], t.Shape[1]
	out, err := m.tensor(t.Type, cols, rows)
	if err != nil {
		return nil, err
	}
	for i := range rows {
		for j := range cols {
			out.copyElement(j*rows+i, t, i*cols+j)
		}
	}
	return out, nil
}

// linearScores returns the scores [rows][k] of a linear model whose coefficients are k rows of features.
func linearScores(m *memory, t *Tensor, coef, intercept []float32, k int) (scores []float32, rows int, err error) {
	x, err := t.float32s(m)
	if err != nil {
		return nil, 0, err
	}
	rows, cols, err := t.matrix()
	if err != nil {
		return nil, 0, err
	}
	if k == 0 || cols*k != len(coef) || len(intercept) != 0 && len(intercept) != k {
		return nil, 0, fmt.Errorf("%d coefficients and %d intercepts for %d scores of %d features", len(coef), len(intercept), k, cols)
	}
	out, err := m.tensor(Float32, rows, k)
	if err != nil {
		return nil, 0, err
	}
	scores = out.Floats
	for i := range rows {
		row := x[i*cols : (i+1)*cols]
		for c := range k {
			s := float32(0)
			w := coef[c*cols : (c+1)*cols]
			for j, v := range row {
				s += v * w[j]
			}
			if len(intercept) != 0 {
				s += intercept[c]
			}
			scores[i*k+c] = s
		}
	}
	return scores, rows, nil
}

func compileLinearRegressor(c *nodeContext) (kernel, error) {
	coef, intercept := c.floats("coefficients"), c.floats("intercepts")
	k := int(c.int("targets", 1))
	c.cautionOne(k, c.string("post_transform", "NONE"))
	transform, err := postTransform(c)
	if err != nil {
		return nil, err
	}
	return unary(func(m *memory, t *Tensor) (*Tensor, error) {
		scores, rows, err := linearScores(m, t, coef, intercept, k)
		if err != nil {
			return nil, err
		}
		transform(scores, k)
		return m.floatTensor(scores, rows, k), nil
	}), nil
}

func compileLinearClassifier(c *nodeContext) (kernel, error) {
	coef, intercept := c.floats("coefficients"), c.floats("intercepts")
	c.int("multi_class", 0) // has no effect in the reference implementation either
	transform, err := postTransform(c)
	if err != nil {
		return nil, err
	}
	labels, err := classLabels(c)
	if err != nil {
		return nil, err
	}
	k := len(intercept)
	if one := k == 1 && labels.Len() == 2; one {
		switch post := c.string("post_transform", "NONE"); post {
		case "SOFTMAX", "SOFTMAX_ZERO": // of one score alone would be 1
			if transform, err = transformNamed("NONE"); err != nil {
				return nil, err
			}
		case "PROBIT":
			return nil, refuse("post_transform %s of two classes with one score is not supported: it makes no probabilities of them", post)
		}
	}
	return func(m *memory, in []*Tensor) ([]*Tensor, error) {
		scores, rows, err := linearScores(m, in[0], coef, intercept, k)
		if err != nil {
			return nil, err
		}
		label, err := m.tensor(labels.Type, rows)
		if err != nil {
			return nil, err
		}
		for i := range rows {
			best := argmax(scores[i*k : (i+1)*k])
			if k == 1 && labels.Len() == 2 {
				if best = 0; scores[i] > 0 {
					best = 1
				}
			}
			if best >= labels.Len() {
				return nil, fmt.Errorf("score %d has no class label", best)
			}
			label.copyElement(i, labels, best)
		}
		if k == 1 && labels.Len() == 2 {
			both, err := secondClass(m, scores, transform)
			return m.list(label, both), err
		}
		transform(scores, k)
		return m.list(label, m.floatTensor(scores, rows, k)), nil
	}, nil
}

// cautionOne notes that ONNX Runtime leaves out most transforms of a single target.
func (c *nodeContext) cautionOne(targets int, post string) {
	if targets == 1 && post != "NONE" && post != "PROBIT" {
		c.caution("post_transform %s of its one target is applied, as ONNX specifies; ONNX Runtime leaves it out", post)
	}
}

// secondClass turns one score a row into the probabilities of two classes.
func secondClass(m *memory, scores []float32, transform func([]float32, int)) (*Tensor, error) {
	transform(scores, 1)
	out, err := m.tensor(Float32, len(scores), 2)
	if err != nil {
		return nil, err
	}
	for i, s := range scores {
		out.Floats[2*i], out.Floats[2*i+1] = 1-s, s
	}
	return out, nil
}

func argmax(x []float32) int {
	best := 0
	for i, v := range x {
		if v > x[best] {
			best = i
		}
	}
	return best
}

// classLabels reads the labels of a classifier, strings or integers.
func classLabels(c *nodeContext) (*Tensor, error) {
	text, whole := c.strings("classlabels_strings"), c.ints("classlabels_ints")
	if v := c.ints("classlabels_int64s"); v != nil {
		whole = v
	}
	switch {
	case len(text) > 0 && len(whole) > 0:
		return nil, fmt.Errorf("class labels are given both as strings and as integers")
	case len(text) > 0:
		return stringTensor([]int{len(text)}, text), nil
	case len(whole) > 0:
		return intTensor([]int{len(whole)}, whole), nil
	}
	return nil, fmt.Errorf("no class labels")
}

// postTransform returns the function that turns the scores of each row, k of them, into what the node answers.
func postTransform(c *nodeContext) (func(scores []float32, k int), error) {
	return transformNamed(c.string("post_transform", "NONE"))
}

func transformNamed(name string) (func(scores []float32, k int), error) {
	switch name {
	case "NONE":
		return func([]float32, int) {}, nil
	case "LOGISTIC":
		return func(scores []float32, _ int) {
			for i, s := range scores {
				scores[i] = logistic32(s)
			}
		}, nil
	case "SOFTMAX", "SOFTMAX_ZERO":
		return func(scores []float32, k int) {
			for i := 0; i+k <= len(scores); i += k {
				softmax32(scores[i:i+k], name == "SOFTMAX_ZERO")
			}
		}, nil
	case "PROBIT":
		return func(scores []float32, _ int) {
			for i, s := range scores {
				scores[i] = math.Sqrt2 * roughErfinv(2*s-1)
			}
		}, nil
	}
	return nil, fmt.Errorf("post_transform %q is not supported", name)
}

// roughErfinv is the approximation of the inverse error function by Winitzki (2008) with a = 0.147, in float32 as in ONNX Runtime.
func roughErfinv(x float32) float32 {
	const a = float32(0.147)
	l := float32(math.Log(float64((1 - x) * (1 + x))))
	v := float32(2/(float32(3.14159)*a)) + float32(0.5*l)
	root := float32(math.Sqrt(float64(float32(v*v) - float32(1/a*l))))
	return float32(math.Copysign(math.Sqrt(float64(root-v)), float64(x)))
}

// logistic32 rounds where ONNX Runtime does: a negative score gives 1 minus the float32 of the positive one.
func logistic32(x float32) float32 {
	v := float32(1 / (1 + math.Exp(-math.Abs(float64(x)))))
	if x < 0 {
		return 1 - v
	}
	return v
}

// softmax32 normalises a row; with keepZero, scores of (nearly) 0 take no part and stay.
func softmax32(row []float32, keepZero bool) {
	top := row[argmax(row)]
	sum := float32(0)
	for i, v := range row {
		if keepZero && v > -1e-7 && v < 1e-7 {
			row[i] *= float32(math.Exp(float64(-top)))
			continue
		}
		row[i] = float32(math.Exp(float64(v - top)))
		sum += row[i]
	}
	if sum == 0 {
		return
	}
	for i := range row {
		row[i] /= sum
	}
}
