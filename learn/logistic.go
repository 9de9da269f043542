package learn

import (
	"context"
	"math"

	"github.com/assay-ml/assay"
)

// A logisticProblem is penalised logistic regression: minimise sum_i w_i·loss_i + lambda/2·|coefficients|², the intercept free. It has
// one score a row for two classes (the log odds of the second) and one a class otherwise, in the symmetric parametrisation.
type logisticProblem struct {
	x         *features
	y         []int32
	w         []float64 // nil: 1 each
	scores    int
	lambda    float64
	intercept bool
}

// penalty returns lambda for a coefficient and 0 for the intercept.
func (p *logisticProblem) penalty(j int) float64 {
	if p.intercept && j == p.x.size-1 {
		return 0
	}
	return p.lambda
}

// loss returns the objective at beta ([scores][size]) and leaves in prob ([scores][rows]) the probabilities of the classes.
func (p *logisticProblem) loss(beta []float64, prob [][]float64) float64 {
	for k := range prob {
		p.x.scores(beta[k*p.x.size:(k+1)*p.x.size], prob[k])
	}
	count, size := blocks(p.x.rows, 1<<20)
	sums := make([]float64, count)
	parallel(p.x.threads, count, func(b int) {
		lo, hi := b*size, min((b+1)*size, p.x.rows)
		s := 0.0
		for i := lo; i < hi; i++ {
			w := 1.0
			if p.w != nil {
				w = p.w[i]
			}
			s += w * p.rowLoss(prob, i)
		}
		sums[b] = s
	})
	total := sumOf(sums)
	for i, v := range beta {
		total += p.penalty(i%p.x.size) / 2 * v * v
	}
	return total
}

// rowLoss turns the scores of row i into probabilities and returns its log loss.
func (p *logisticProblem) rowLoss(prob [][]float64, i int) float64 {
	if p.scores == 1 {
		z := prob[0][i]
		prob[0][i] = logistic(z)
		if p.y[i] == 1 {
			z = -z
		}
		return max(z, 0) + math.Log1p(math.Exp(-math.Abs(z)))
	}
	top := math.Inf(-1)
	for k := range prob {
		top = max(top, prob[k][i])
	}
	sum := 0.0
	for k := range prob {
		sum += math.Exp(prob[k][i] - top)
	}
	norm := top + math.Log(sum)
	loss := norm - prob[p.y[i]][i]
	for k := range prob {
		prob[k][i] = math.Exp(prob[k][i] - norm)
	}
	return loss
}

// gradient writes the gradient at beta from the probabilities there.
func (p *logisticProblem) gradient(beta []float64, prob [][]float64, out []float64) {
	r := make([]float64, p.x.rows)
	for k := range prob {
		target := int32(k)
		if p.scores == 1 {
			target = 1
		}
		for i, q := range prob[k] {
			if p.y[i] == target {
				q--
			}
			if p.w != nil {
				q *= p.w[i]
			}
			r[i] = q
		}
		g := out[k*p.x.size : (k+1)*p.x.size]
		p.x.times(r, g)
		for j := range g {
			g[j] += p.penalty(j) * beta[k*p.x.size+j]
		}
	}
}

// hessian returns the lower triangle of the second derivatives. In the symmetric parametrisation a common shift of all classes leaves
// an unpenalised coefficient's loss as it is; adding the outer product of that direction makes the matrix regular and the Newton step
// the one of zero shift.
func (p *logisticProblem) hessian(prob [][]float64) []float64 {
	size := p.x.size
	n := p.scores * size
	h := make([]float64, n*n)
	d := make([]float64, p.x.rows)
	for k := range prob {
		for l := 0; l <= k; l++ {
			for i, q := range prob[k] {
				if d[i] = -q * prob[l][i]; k == l {
					d[i] = q * (1 - q)
				}
				if p.w != nil {
					d[i] *= p.w[i]
				}
			}
			g := p.x.gram(d)
			for a := range size {
				for b := 0; b <= a; b++ {
					v := g[a*size+b]
					h[(k*size+a)*n+l*size+b] += v
					if a != b && k != l {
						h[(k*size+b)*n+l*size+a] += v
					}
				}
				if k == l {
					h[(k*size+a)*n+k*size+a] += p.penalty(a)
				}
				if p.scores > 1 && p.penalty(a) == 0 {
					h[(k*size+a)*n+l*size+a]++
				}
			}
		}
	}
	return h
}

// solve finds the minimum by Newton's method with step halving, or by L-BFGS where the second derivatives would not fit.
func (p *logisticProblem) solve(ctx context.Context, maxIterations int) (beta []float64, converged bool, err error) {
	n := p.scores * p.x.size
	prob := make([][]float64, p.scores)
	for k := range prob {
		prob[k] = make([]float64, p.x.rows)
	}
	if n > maxNewtonSize {
		return p.solveLBFGS(ctx, maxIterations*10)
	}
	beta = make([]float64, n)
	grad, step, next := make([]float64, n), make([]float64, n), make([]float64, n)
	f := p.loss(beta, prob)
	for range maxIterations {
		p.gradient(beta, prob, grad)
		if err := p.newtonStep(ctx, prob, grad, step); err != nil {
			return nil, false, err
		}
		slope := 0.0
		for i, g := range grad {
			slope -= g * step[i]
		}
		if -slope <= 1e-13*(1+math.Abs(f)) {
			for i := range beta { // the last step costs nothing and squares the error
				beta[i] -= step[i]
			}
			return beta, true, nil
		}
		t, f1 := 1.0, 0.0
		for {
			for i := range beta {
				next[i] = beta[i] - t*step[i]
			}
			if f1 = p.loss(next, prob); f1 <= f+1e-4*t*slope {
				break
			}
			if t /= 2; t < 1e-10 {
				p.loss(beta, prob)
				return beta, -slope <= 1e-9*(1+math.Abs(f)), nil
			}
		}
		beta, next, f = next, beta, f1
	}
	return beta, false, nil
}

const maxNewtonSize = 1500

// newtonStep solves hessian·step = grad, with as much of a ridge as the factorisation needs.
func (p *logisticProblem) newtonStep(ctx context.Context, prob [][]float64, grad, step []float64) error {
	n := len(grad)
	h := p.hessian(prob)
	trace := 0.0
	for i := range n {
		trace += h[i*n+i]
	}
	a := make([]float64, n*n)
	for ridge := 0.0; ; ridge = max(10*ridge, 1e-12*(trace/float64(n)+1e-300)) {
		copy(a, h)
		for i := range n {
			a[i*n+i] += ridge
		}
		if cholesky(ctx, a, n, p.x.threads) {
			break
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if ridge > trace+1 {
			return assay.Errorf(assay.Internal, "logistic regression: the second derivatives are not finite")
		}
	}
	copy(step, grad)
	choleskySolve(a, n, step)
	return nil
}

// A scaling brings dense columns to mean 0 and standard deviation 1.
type scaling struct{ mean, scale []float64 }

// standardise scales the columns in place, with the weights; a constant column keeps scale 1 and becomes 0.
func standardise(dense [][]float64, w []float64) scaling {
	s := scaling{mean: make([]float64, len(dense)), scale: make([]float64, len(dense))}
	for j, col := range dense {
		sum, total := 0.0, 0.0
		for i, v := range col {
			wi := 1.0
			if w != nil {
				wi = w[i]
			}
			sum += wi * v
			total += wi
		}
		mean := sum / total
		square, top := 0.0, 0.0
		for i, v := range col {
			wi := 1.0
			if w != nil {
				wi = w[i]
			}
			square += wi * (v - mean) * (v - mean)
			top = max(top, math.Abs(v))
		}
		sd := math.Sqrt(square / total)
		if !(sd > 1e-7*top && sd > 1e-30) { // float32 cannot tell such values apart, or cannot hold 1/sd
			sd = 1
			for i := range col {
				col[i] = mean
			}
		}
		for i := range col {
			col[i] = (col[i] - mean) / sd
		}
		s.mean[j], s.scale[j] = mean, sd
	}
	return s
}

// A linearInput is the preprocessing that linear models share, fitted, and its result on the training rows.
type linearInput struct {
	prep       *preparation
	scaling    scaling
	indicators []int // numeric columns with a missing indicator
	x          *features
}

func (j *job) linearInput(intercept bool) (*linearInput, error) {
	prep, err := fitPreparation(j.data.X, j.spec)
	if err != nil {
		return nil, err
	}
	d, err := prep.encode(j.data.X)
	if err != nil {
		return nil, err
	}
	in := &linearInput{prep: prep}
	for i, c := range prep.numeric {
		if c.gaps && j.spec.Prepare.Indicator {
			in.indicators = append(in.indicators, i)
		}
	}
	dense := append([][]float64(nil), d.numeric...)
	for _, i := range in.indicators {
		flag := make([]float64, d.rows)
		for r, v := range d.numeric[i] {
			if v != v {
				flag[r] = 1
			}
		}
		dense = append(dense, flag)
	}
	for i, col := range d.numeric {
		for r, v := range col {
			if v != v {
				col[r] = prep.numeric[i].fill
			}
		}
	}
	if j.params.bool("standardize") {
		in.scaling = standardise(dense[:len(d.numeric)], j.weights)
	}
	in.x = newFeatures(d.rows, dense, d.categorical, d.levels, intercept, j.threads)
	return in, nil
}

// emitScores writes the preprocessing and X·coef + intercept, with coef as [scores][features] and the intercept last in each.
func (in *linearInput) emitScores(b *graphBuilder, beta []float64, scores int, intercept bool) string {
	in.prep.declare(b)
	var parts []string
	if raw := in.prep.emitNumeric(b); raw != "" {
		numbers := in.prep.emitImputed(b, raw)
		if in.scaling.mean != nil {
			offset, scale := make([]float32, len(in.scaling.mean)), make([]float32, len(in.scaling.mean))
			for i := range offset {
				offset[i], scale[i] = float32(in.scaling.mean[i]), float32(1/in.scaling.scale[i])
			}
			numbers = b.node("scaled", domainML, "Scaler", []string{numbers}, floatsAttr("offset", offset), floatsAttr("scale", scale))
		}
		parts = append(parts, numbers)
		if len(in.indicators) > 0 {
			index := make([]int64, len(in.indicators))
			for i, c := range in.indicators {
				index[i] = int64(c)
			}
			which := b.constant("with_gaps", intTensor([]int{len(index)}, index))
			gaps := b.node("gaps", "", "IsNaN", []string{b.node("gappy", "", "Gather", []string{raw, which}, intAttr("axis", 1))})
			parts = append(parts, b.node("indicators", "", "Cast", []string{gaps}, intAttr("to", int64(Float32))))
		}
	}
	if hot := in.prep.emitOneHot(b); hot != "" {
		parts = append(parts, hot)
	}
	p := in.x.size
	width := p
	if intercept {
		width--
	}
	weights, bias := newTensor(Float32, width, scores), newTensor(Float32, scores)
	for k := range scores {
		for j := range width {
			weights.Floats[j*scores+k] = float32(beta[k*p+j])
		}
		if intercept {
			bias.Floats[k] = float32(beta[k*p+width])
		}
	}
	return b.node("scores", "", "Gemm", []string{b.concat("features", parts), b.constant("coefficients", weights), b.constant("intercept", bias)})
}

func fitLogistic(j *job) (*Model, error) {
	const intercept = true
	in, err := j.linearInput(intercept)
	if err != nil {
		return nil, err
	}
	classes := len(j.spec.Target.Classes)
	p := &logisticProblem{x: in.x, y: j.data.Labels, w: j.weights, scores: classes, lambda: 1 / j.params.float("c"), intercept: intercept}
	if classes == 2 {
		p.scores = 1
	}
	beta, converged, err := p.solve(j.ctx, j.params.int("max_iterations"))
	if err != nil {
		return nil, err
	}
	if !converged {
		j.notes = append(j.notes, "logistic regression stopped before it converged; raise max_iterations or lower c")
	}
	if classes == 2 { // scores of 0 and s give softmax the probabilities without loss in the tails
		beta = append(make([]float64, in.x.size), beta...)
	}
	c, err := j.fitCalibrator()
	if err != nil {
		return nil, err
	}
	b := newGraphBuilder("logistic_regression")
	scores := in.emitScores(b, beta, classes, intercept)
	b.classOutputs(j.spec.Target, func(out string) { c.emit(b, scores, out) })
	return j.finish(b)
}
