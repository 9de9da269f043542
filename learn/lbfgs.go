package learn

import (
	"context"
	"math"
)

// minimise is L-BFGS (Nocedal and Wright, Numerical Optimization, algorithm 7.5) with a backtracking search: it needs two arrays a
// remembered step and no second derivatives. value returns the function and fills the gradient.
func minimise(ctx context.Context, x []float64, maxIterations int, value func(x, grad []float64) float64) (converged bool, err error) {
	const memory = 10
	n := len(x)
	grad, next, nextGrad, step := make([]float64, n), make([]float64, n), make([]float64, n), make([]float64, n)
	var s, y [][]float64
	f := value(x, grad)
	for iteration := range maxIterations {
		if err := ctx.Err(); err != nil {
			return false, err
		}
		direction(grad, step, s, y)
		slope := innerProduct(grad, step)
		if !(slope < 0) {
			s, y = nil, nil
			for i, g := range grad {
				step[i] = -g
			}
			slope = -innerProduct(grad, grad)
		}
		if -slope <= 1e-14*(1+math.Abs(f)) {
			return true, nil
		}
		t := 1.0
		if iteration == 0 {
			t = 1 / math.Sqrt(-slope)
		}
		f1 := 0.0
		for {
			for i := range x {
				next[i] = x[i] + t*step[i]
			}
			if f1 = value(next, nextGrad); f1 <= f+1e-4*t*slope {
				break
			}
			if t /= 2; t < 1e-12 {
				return -slope <= 1e-9*(1+math.Abs(f)), nil
			}
		}
		ds, dy := make([]float64, n), make([]float64, n)
		for i := range x {
			ds[i], dy[i] = next[i]-x[i], nextGrad[i]-grad[i]
		}
		if innerProduct(ds, dy) > 1e-12*innerProduct(dy, dy) {
			s, y = append(s, ds), append(y, dy)
			if len(s) > memory {
				s, y = s[1:], y[1:]
			}
		}
		copy(x, next)
		copy(grad, nextGrad)
		f = f1
	}
	return false, nil
}

// direction applies the remembered approximation of the inverse second derivatives to the negative gradient.
func direction(grad, out []float64, s, y [][]float64) {
	for i, g := range grad {
		out[i] = -g
	}
	alpha := make([]float64, len(s))
	for k := len(s) - 1; k >= 0; k-- {
		alpha[k] = innerProduct(s[k], out) / innerProduct(s[k], y[k])
		for i := range out {
			out[i] -= alpha[k] * y[k][i]
		}
	}
	if k := len(s) - 1; k >= 0 {
		scale := innerProduct(s[k], y[k]) / innerProduct(y[k], y[k])
		for i := range out {
			out[i] *= scale
		}
	}
	for k := range s {
		beta := innerProduct(y[k], out) / innerProduct(s[k], y[k])
		for i := range out {
			out[i] += s[k][i] * (alpha[k] - beta)
		}
	}
}

func innerProduct(a, b []float64) float64 {
	s := 0.0
	for i, v := range a {
		s += v * b[i]
	}
	return s
}

func (p *logisticProblem) solveLBFGS(ctx context.Context, maxIterations int) ([]float64, bool, error) {
	prob := make([][]float64, p.scores)
	for k := range prob {
		prob[k] = make([]float64, p.x.rows)
	}
	beta := make([]float64, p.scores*p.x.size)
	converged, err := minimise(ctx, beta, maxIterations, func(x, grad []float64) float64 {
		f := p.loss(x, prob)
		p.gradient(x, prob, grad)
		return f
	})
	return beta, converged, err
}
