package learn

import (
	"fmt"
	"math"
)

func linearOperators() []operator {
	return []operator{
		{name: "MatMul", least: 2, most: 2, rowwise: true, compile: func(*nodeContext) (kernel, error) {
			return func(in []*Tensor) ([]*Tensor, error) { return one(matMul(in[0], in[1])) }, nil
		}},
		{name: "Gemm", least: 2, most: 3, rowwise: true, compile: compileGemm},
		{domain: domainML, name: "LinearClassifier", least: 1, most: 1, rowwise: true, compile: compileLinearClassifier},
		{domain: domainML, name: "LinearRegressor", least: 1, most: 1, rowwise: true, compile: compileLinearRegressor},
	}
}

// matMul multiplies matrices; of more than two dimensions, the second must be a matrix and is applied to all of the first.
func matMul(a, b *Tensor) (*Tensor, error) {
	if a.Type != b.Type || a.Type != Float32 && a.Type != Float64 {
		return nil, fmt.Errorf("inputs are %s and %s", a.Type, b.Type)
	}
	if len(a.Shape) < 2 || len(b.Shape) != 2 || a.Shape[len(a.Shape)-1] != b.Shape[0] {
		return nil, fmt.Errorf("shapes %s and %s cannot be multiplied", shapeString(a.Shape), shapeString(b.Shape))
	}
	k, m := b.Shape[0], b.Shape[1]
	shape := append(append([]int(nil), a.Shape[:len(a.Shape)-1]...), m)
	if err := sizeFits(shape); err != nil {
		return nil, err
	}
	out := newTensor(a.Type, shape...)
	if a.Type == Float64 {
		product(out.Doubles, a.Doubles, b.Doubles, k, m)
	} else {
		product(out.Floats, a.Floats, b.Floats, k, m)
	}
	return out, nil
}

// product adds a·b to out row by row; zeros of a, which one-hot columns mostly are, cost nothing unless b is not finite.
func product[T float32 | float64](out, a, b []T, k, m int) {
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
	return func(in []*Tensor) ([]*Tensor, error) {
		a, b := in[0], in[1]
		if len(a.Shape) != 2 || len(b.Shape) != 2 {
			return nil, fmt.Errorf("shapes %s and %s are not matrices", shapeString(a.Shape), shapeString(b.Shape))
		}
		if transA {
			a = transposed(a)
		}
		if transB {
			b = transposed(b)
		}
		out, err := matMul(a, b)
		if err != nil {
			return nil, err
		}
		scale(out, alpha)
		if len(in) < 3 || in[2] == nil {
			return []*Tensor{out}, nil
		}
		shape, err := broadcastShape(out.Shape, in[2].Shape)
		if err != nil || !sameShape(shape, out.Shape) {
			return nil, fmt.Errorf("shape %s of the third input does not fit %s", shapeString(in[2].Shape), shapeString(out.Shape))
		}
		bias := in[2]
		if beta != 1 {
			bias = &Tensor{Type: bias.Type, Shape: bias.Shape, Floats: append([]float32(nil), bias.Floats...), Doubles: append([]float64(nil), bias.Doubles...)}
			scale(bias, beta)
		}
		return one(combine(out, bias, add[float32], add[float64], add[int64]))
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

func transposed(t *Tensor) *Tensor {
	rows, cols := t.Shape[0], t.Shape[1]
	out := newTensor(t.Type, cols, rows)
	for i := range rows {
		for j := range cols {
			out.copyElement(j*rows+i, t, i*cols+j)
		}
	}
	return out
}

// linearScores returns the scores [rows][k] of a linear model whose coefficients are k rows of features.
func linearScores(t *Tensor, coef, intercept []float32, k int) (scores []float32, rows int, err error) {
	x, err := t.float32s()
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
	scores = make([]float32, rows*k)
	for i := range rows {
		for c := range k {
			s := float32(0)
			for j, v := range x[i*cols : (i+1)*cols] {
				s += v * coef[c*cols+j]
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
	transform, err := postTransform(c)
	if err != nil {
		return nil, err
	}
	return unary(func(t *Tensor) (*Tensor, error) {
		scores, rows, err := linearScores(t, coef, intercept, k)
		if err != nil {
			return nil, err
		}
		transform(scores, k)
		return floatTensor([]int{rows, k}, scores), nil
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
	return func(in []*Tensor) ([]*Tensor, error) {
		scores, rows, err := linearScores(in[0], coef, intercept, k)
		if err != nil {
			return nil, err
		}
		label := newTensor(labels.Type, rows)
		for i := range rows {
			best := argmax(scores[i*k : (i+1)*k])
			if k == 1 && labels.Len() == 2 && scores[i] > 0 {
				best = 1
			}
			if best >= labels.Len() {
				return nil, fmt.Errorf("score %d has no class label", best)
			}
			label.copyElement(i, labels, best)
		}
		if k == 1 && labels.Len() == 2 {
			scores, k := secondClass(scores, transform), 2
			return []*Tensor{label, floatTensor([]int{rows, k}, scores)}, nil
		}
		transform(scores, k)
		return []*Tensor{label, floatTensor([]int{rows, k}, scores)}, nil
	}, nil
}

// secondClass turns one score a row into the probabilities of two classes.
func secondClass(scores []float32, transform func([]float32, int)) []float32 {
	transform(scores, 1)
	out := make([]float32, 2*len(scores))
	for i, s := range scores {
		out[2*i], out[2*i+1] = 1-s, s
	}
	return out
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
	switch name := c.string("post_transform", "NONE"); name {
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
	default:
		return nil, fmt.Errorf("post_transform %q is not supported", name)
	}
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
