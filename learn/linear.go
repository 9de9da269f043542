package learn

import (
	"context"
	"math"

	"gonum.org/v1/gonum/mat"

	"github.com/assay-ml/assay"
)

// A linearProblem is weighted least squares through its normal equations, centred where there is an intercept, so that the intercept
// is never penalised.
type linearProblem struct {
	gram      []float64 // size × size, symmetric: Xᵀ·W·X
	xy        []float64 // Xᵀ·W·y
	mean      []float64 // of the columns; zero without intercept
	yMean     float64
	size      int
	total     float64 // sum of the weights
	intercept bool
}

func newLinearProblem(x *features, y, w []float64, intercept bool) *linearProblem {
	ones := w
	if ones == nil {
		ones = make([]float64, x.rows)
		for i := range ones {
			ones[i] = 1
		}
	}
	full := x.size
	g := x.gram(ones)
	wy := make([]float64, x.rows)
	sum := 0.0
	for i, v := range y {
		wy[i] = ones[i] * v
		sum += wy[i]
	}
	xy := make([]float64, full)
	p := &linearProblem{size: full, intercept: intercept, total: sumOf(ones)}
	if intercept {
		p.size--
		p.yMean = sum / p.total
		for i, v := range y {
			wy[i] = ones[i] * (v - p.yMean)
		}
	}
	x.times(wy, xy)
	p.xy, p.mean = xy[:p.size], make([]float64, p.size)
	if intercept {
		for j := range p.mean {
			p.mean[j] = g[p.size*full+j] / p.total
		}
	}
	p.gram = make([]float64, p.size*p.size)
	for j := range p.size {
		for k := 0; k <= j; k++ {
			v := g[j*full+k] - p.total*p.mean[j]*p.mean[k]
			p.gram[j*p.size+k], p.gram[k*p.size+j] = v, v
		}
	}
	return p
}

// withIntercept appends the intercept that goes with centred coefficients.
func (p *linearProblem) withIntercept(beta []float64) []float64 {
	if !p.intercept {
		return beta
	}
	b := p.yMean
	for j, v := range beta {
		b -= v * p.mean[j]
	}
	return append(beta, b)
}

// ridge minimises |y - X·b|²_W + alpha·|b|²; alpha must be positive.
func (p *linearProblem) ridge(ctx context.Context, alpha float64, threads int) ([]float64, error) {
	a := append([]float64(nil), p.gram...)
	for j := range p.size {
		a[j*p.size+j] += alpha
	}
	if !cholesky(ctx, a, p.size, threads) {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return p.leastSquares(alpha)
	}
	beta := append([]float64(nil), p.xy...)
	choleskySolve(a, p.size, beta)
	return p.withIntercept(beta), nil
}

const maxEigenSize = 2000

// leastSquares is the solution of smallest norm, from the eigenvectors of the normal equations with alpha added to their values;
// directions in which the columns carry no information are left out.
func (p *linearProblem) leastSquares(alpha float64) ([]float64, error) {
	if p.size > maxEigenSize {
		return nil, assay.Errorf(assay.Unimplemented, "linear regression: %d features are too many for an exact solution, at most %d", p.size, maxEigenSize).Try("the learner ridge")
	}
	if p.size == 0 {
		return p.withIntercept(nil), nil
	}
	var eigen mat.EigenSym
	if !eigen.Factorize(mat.NewSymDense(p.size, p.gram), true) {
		return nil, assay.Errorf(assay.Internal, "linear regression: the normal equations could not be solved")
	}
	values := eigen.Values(nil)
	var vectors mat.Dense
	eigen.VectorsTo(&vectors)
	least := values[p.size-1] * float64(p.size) * 1e-14
	beta := make([]float64, p.size)
	for k, v := range values {
		if !(v > least) {
			continue
		}
		s := 0.0
		for j := range p.size {
			s += vectors.At(j, k) * p.xy[j]
		}
		s /= v + alpha
		for j := range beta {
			beta[j] += s * vectors.At(j, k)
		}
	}
	return p.withIntercept(beta), nil
}

// elasticNet minimises |y - X·b|²_W/(2·total) + alpha·ratio·|b|₁ + alpha·(1-ratio)/2·|b|² by cyclic coordinate descent on the normal
// equations (Friedman, Hastie and Tibshirani 2010), until no coefficient moves by more than 1e-9 of the largest.
func (p *linearProblem) elasticNet(ctx context.Context, alpha, ratio float64, maxIterations int) (beta []float64, converged bool, err error) {
	beta = make([]float64, p.size)
	rest := append([]float64(nil), p.xy...) // Xᵀ·W·(y - X·beta)
	l1, l2 := alpha*ratio*p.total, alpha*(1-ratio)*p.total
	for range maxIterations {
		if err := ctx.Err(); err != nil {
			return nil, false, err
		}
		moved, top := 0.0, 0.0
		for j := range beta {
			d := p.gram[j*p.size+j]
			if !(d > 0) {
				continue
			}
			to := shrink(rest[j]+d*beta[j], l1) / (d + l2)
			if step := to - beta[j]; step != 0 {
				for k, v := range p.gram[j*p.size : (j+1)*p.size] {
					rest[k] -= step * v
				}
				beta[j] = to
				moved = max(moved, math.Abs(step))
			}
			top = max(top, math.Abs(to))
		}
		if moved <= 1e-9*top {
			return p.withIntercept(beta), true, nil
		}
	}
	return p.withIntercept(beta), false, nil
}

// shrink moves v towards 0 by l and stops there.
func shrink(v, l float64) float64 {
	switch {
	case v > l:
		return v - l
	case v < -l:
		return v + l
	}
	return 0
}

func fitLinear(j *job) (*Model, error) {
	const intercept = true
	in, err := j.linearInput(intercept)
	if err != nil {
		return nil, err
	}
	if in.x.size > maxNormalSize {
		return nil, assay.Errorf(assay.Unimplemented, "%s takes at most %d features, there are %d", j.spec.Learner, maxNormalSize, in.x.size).Try("max_levels or rare_below")
	}
	p := newLinearProblem(in.x, j.data.Values, j.weights, intercept)
	var beta []float64
	converged := true
	switch j.spec.Learner {
	case "linear_regression":
		beta, err = p.leastSquares(0)
	case "ridge":
		beta, err = p.ridge(j.ctx, j.params.float("alpha"), j.threads)
	default:
		beta, converged, err = p.elasticNet(j.ctx, j.params.float("alpha"), j.params.float("l1_ratio"), j.params.int("max_iterations"))
	}
	if err != nil {
		return nil, err
	}
	if !converged {
		j.notes = append(j.notes, "elastic net stopped before it converged; raise max_iterations or alpha")
	}
	b := newGraphBuilder(j.spec.Learner)
	scores := in.emitScores(b, beta, 1, intercept)
	b.nodeTo(b.valueOutput(), "", "Identity", []string{scores})
	return j.finish(b)
}

const maxNormalSize = 5000
