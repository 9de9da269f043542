package learn

import (
	"fmt"
	"math"
)

func svmOperators() []operator {
	return []operator{
		{domain: domainML, name: "SVMClassifier", least: 1, most: 1, compile: compileSVMClassifier},
		{domain: domainML, name: "SVMRegressor", least: 1, most: 1, compile: compileSVMRegressor},
	}
}

// A svm holds support vectors, or the coefficients of a linear machine where there are none.
type svm struct {
	kernel          string
	gamma, coef0    float64
	degree          float64
	vectors         []float32 // [count][features]
	coefficients    []float32
	rho             []float32
	count, features int
	transform       func([]float32, int)
	post            string
	allWeight       bool // no coefficient is negative
}

func readSVM(c *nodeContext) (*svm, error) {
	s := &svm{
		kernel: c.string("kernel_type", "LINEAR"), vectors: c.floats("support_vectors"), coefficients: c.floats("coefficients"), rho: c.floats("rho"),
		degree: 3, post: c.string("post_transform", "NONE"), allWeight: true,
	}
	switch s.kernel {
	case "LINEAR", "POLY", "RBF", "SIGMOID":
	default:
		return nil, fmt.Errorf("kernel %q is not known", s.kernel)
	}
	if p := c.floats("kernel_params"); len(p) == 3 {
		s.gamma, s.coef0, s.degree = float64(p[0]), float64(p[1]), float64(p[2])
	} else if len(p) != 0 {
		return nil, fmt.Errorf("%d kernel parameters instead of 3", len(p))
	}
	for _, v := range s.coefficients {
		s.allWeight = s.allWeight && v >= 0
	}
	if len(s.rho) == 0 || len(s.coefficients) == 0 {
		return nil, fmt.Errorf("no coefficients or no rho")
	}
	var err error
	s.transform, err = postTransform(c)
	return s, err
}

// setCount divides the support vectors into that many.
func (s *svm) setCount(count int64) error {
	if count < 1 || count > int64(len(s.vectors)) || int64(len(s.vectors))%count != 0 {
		return fmt.Errorf("%d numbers for %d support vectors", len(s.vectors), count)
	}
	s.count = int(count)
	s.features = len(s.vectors) / s.count
	return nil
}

// dot is the kernel of two vectors.
func (s *svm) dot(x, y []float32) float64 {
	sum := 0.0
	if s.kernel == "RBF" {
		for i, v := range x {
			d := float64(v - y[i])
			sum += d * d
		}
		return float64(float32(math.Exp(-s.gamma * sum)))
	}
	for i, v := range x {
		sum += float64(v) * float64(y[i])
	}
	switch s.kernel {
	case "POLY":
		sum = math.Pow(s.gamma*sum+s.coef0, s.degree)
	case "SIGMOID":
		sum = math.Tanh(s.gamma*sum + s.coef0)
	}
	return float64(float32(sum))
}

// input returns the rows of features.
func (s *svm) input(m *memory, t *Tensor) (x []float32, rows int, err error) {
	x, err = t.float32s(m)
	if err != nil {
		return nil, 0, err
	}
	rows, cols, err := t.matrix()
	if err == nil && cols != s.features {
		err = fmt.Errorf("%d features where the support vectors have %d", cols, s.features)
	}
	return x, rows, err
}

func compileSVMRegressor(c *nodeContext) (kernel, error) {
	s, err := readSVM(c)
	if err != nil {
		return nil, err
	}
	oneClass := c.int("one_class", 0) != 0
	if n := c.int("n_supports", 0); n > 0 {
		if err := s.setCount(n); err != nil {
			return nil, err
		}
		if len(s.coefficients) != s.count {
			return nil, fmt.Errorf("%d coefficients for %d support vectors", len(s.coefficients), s.count)
		}
	} else {
		s.features, s.kernel = len(s.coefficients), "LINEAR"
	}
	return unary(func(m *memory, t *Tensor) (*Tensor, error) {
		x, rows, err := s.input(m, t)
		if err != nil {
			return nil, err
		}
		out, err := m.tensor(Float32, rows, 1)
		if err != nil {
			return nil, err
		}
		for i := range rows {
			row, sum := x[i*s.features:(i+1)*s.features], 0.0
			if s.count == 0 {
				sum = s.dot(row, s.coefficients)
			}
			for k := range s.count {
				sum += float64(s.coefficients[k]) * s.dot(row, s.vectors[k*s.features:(k+1)*s.features])
			}
			v := float32(sum + float64(s.rho[0]))
			if oneClass {
				if v > 0 {
					v = 1
				} else {
					v = -1
				}
			}
			out.Floats[i] = v
		}
		s.transform(out.Floats, 1)
		return out, nil
	}), nil
}

// A svmClassifier decides between each pair of classes, or has one linear score a class.
type svmClassifier struct {
	svm
	labels       *Tensor
	classes      int
	starts       []int // of the vectors of each class, and their end
	probA, probB []float32
}

func compileSVMClassifier(c *nodeContext) (kernel, error) {
	base, err := readSVM(c)
	if err != nil {
		return nil, err
	}
	s := &svmClassifier{svm: *base, probA: c.floats("prob_a"), probB: c.floats("prob_b"), starts: []int{0}}
	if s.labels, err = classLabels(c); err != nil {
		return nil, err
	}
	per := c.ints("vectors_per_class")
	total := int64(0)
	for _, n := range per {
		if n < 0 || n > int64(len(s.vectors)) {
			return nil, fmt.Errorf("%d vectors of a class", n)
		}
		total += n
		s.starts = append(s.starts, int(total))
	}
	if s.classes = s.labels.Len(); total == 0 {
		if len(s.coefficients)%s.classes != 0 {
			return nil, fmt.Errorf("%d coefficients for %d classes", len(s.coefficients), s.classes)
		}
		s.features, s.kernel = len(s.coefficients)/s.classes, "LINEAR"
		return s.run, nil
	}
	if len(per) != s.classes || s.classes < 2 || s.classes > 1<<12 {
		return nil, fmt.Errorf("%d counts of vectors for %d classes", len(per), s.classes)
	}
	pairs := s.classes * (s.classes - 1) / 2
	if err := s.setCount(total); err != nil {
		return nil, err
	}
	if len(s.coefficients) != s.count*(s.classes-1) || len(s.rho) < pairs || len(s.probA) != len(s.probB) || len(s.probA) != 0 && len(s.probA) < pairs {
		return nil, fmt.Errorf("%d coefficients and %d rho for %d classes of %d vectors", len(s.coefficients), len(s.rho), s.classes, s.count)
	}
	return s.run, nil
}

func (s *svmClassifier) run(m *memory, in []*Tensor) ([]*Tensor, error) {
	x, rows, err := s.input(m, in[0])
	if err != nil {
		return nil, err
	}
	k := s.classes * (s.classes - 1) / 2
	if s.count == 0 || len(s.probA) != 0 {
		k = s.classes
	}
	wide := k
	if k == 1 && s.classes == 2 {
		wide = 2
	}
	label, err := m.tensor(s.labels.Type, rows)
	if err != nil {
		return nil, err
	}
	out, err := m.tensor(Float32, rows, wide)
	if err != nil {
		return nil, err
	}
	work, err := m.scratch(s.count + s.classes + s.classes*(s.classes-1)/2 + 2*s.classes*s.classes + s.classes)
	if err != nil {
		return nil, err
	}
	for i := range rows {
		row, scores := x[i*s.features:(i+1)*s.features], out.Floats[i*wide:(i+1)*wide]
		best := s.row(row, scores[:k], work)
		label.copyElement(i, s.labels, best)
		if k == 1 && wide == 2 {
			switch v := scores[0]; s.post {
			case "NONE":
				scores[0], scores[1] = -v, v
			case "LOGISTIC":
				scores[0], scores[1] = logistic32(-v), logistic32(v)
			default:
				scores[0], scores[1] = 1-v, v
			}
		}
	}
	if wide == k {
		s.transform(out.Floats, k)
	}
	return m.list(label, out), nil
}

// row fills the scores of one row and returns its class.
func (s *svmClassifier) row(x, scores []float32, work []float64) int {
	n := s.classes
	if s.count == 0 {
		for c := range n {
			scores[c] = float32(s.dot(x, s.coefficients[c*s.features:(c+1)*s.features]) + float64(s.rho[0]))
		}
		best := argmax(scores)
		if n == 2 && len(s.rho) == 1 && (s.allWeight && scores[best] >= 0.5 || !s.allWeight && scores[best] > 0) {
			best = 1
		}
		return best
	}
	kernels, votes, pairs := work[:s.count], work[s.count:s.count+n], work[s.count+n:]
	for k := range kernels {
		kernels[k] = s.dot(x, s.vectors[k*s.features:(k+1)*s.features])
	}
	clear(votes)
	at := 0
	for i := range n {
		for j := i + 1; j < n; j++ {
			sum := 0.0
			for v := s.starts[i]; v < s.starts[i+1]; v++ {
				sum += float64(s.coefficients[(j-1)*s.count+v]) * kernels[v]
			}
			for v := s.starts[j]; v < s.starts[j+1]; v++ {
				sum += float64(s.coefficients[i*s.count+v]) * kernels[v]
			}
			sum += float64(s.rho[at])
			pairs[at] = sum
			if sum > 0 {
				votes[i]++
			} else {
				votes[j]++
			}
			at++
		}
	}
	if len(s.probA) != 0 { // the probabilities have no say in the class, as in LIBSVM
		s.couple(pairs, scores)
	} else {
		for i := range scores {
			scores[i] = float32(pairs[i])
		}
	}
	best := 0
	for i, v := range votes {
		if v > votes[best] {
			best = i
		}
	}
	return best
}

// couple turns the scores of pairs into probabilities of classes by the second method of Wu, Lin and Weng (2004), as LIBSVM does.
// The numbers before the matrices in pairs are the scores; what follows is room for two matrices and a vector.
func (s *svmClassifier) couple(pairs []float64, p []float32) {
	n := s.classes
	count := n * (n - 1) / 2
	r, q, qp := pairs[count:count+n*n], pairs[count+n*n:count+2*n*n], pairs[count+2*n*n:count+2*n*n+n]
	at := 0
	for i := range n {
		for j := i + 1; j < n; j++ {
			v := 1 - float64(logistic32(float32(pairs[at])*s.probA[at]+s.probB[at]))
			v = min(max(v, 1e-7), 1-1e-7)
			r[i*n+j], r[j*n+i] = v, 1-v
			at++
		}
	}
	prob := make([]float64, n)
	for t := range n {
		prob[t] = 1 / float64(n)
		q[t*n+t] = 0
		for j := range n {
			if j == t {
				continue
			}
			if q[t*n+t] += r[j*n+t] * r[j*n+t]; j < t {
				q[t*n+j] = q[j*n+t]
			} else {
				q[t*n+j] = -r[j*n+t] * r[t*n+j]
			}
		}
	}
	for range max(100, n) {
		pqp := 0.0
		for t := range n {
			qp[t] = 0
			for j := range n {
				qp[t] += q[t*n+j] * prob[j]
			}
			pqp += prob[t] * qp[t]
		}
		worst := 0.0
		for t := range n {
			worst = max(worst, math.Abs(qp[t]-pqp))
		}
		if worst < 0.005/float64(n) {
			break
		}
		for t := range n {
			diff := (-qp[t] + pqp) / q[t*n+t]
			prob[t] += diff
			pqp = (pqp + diff*(diff*q[t*n+t]+2*qp[t])) / (1 + diff) / (1 + diff)
			for j := range n {
				qp[j] = (qp[j] + diff*q[t*n+j]) / (1 + diff)
				prob[j] /= 1 + diff
			}
		}
	}
	for t := range n {
		p[t] = float32(prob[t])
	}
}
