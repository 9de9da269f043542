package metric

import (
	"math"

	"github.com/assay-ml/assay"
)

// An OutputAverage says how the scores of several outputs become one. The zero value is their plain mean.
type OutputAverage uint8

const (
	UniformAverage   OutputAverage = iota
	VarianceWeighted               // weighted by the variance of the truth; r2_score and explained_variance_score only
)

// ValueOptions are the options of the regression scores. Truth and prediction are n numbers, or row-major n×Outputs.
type ValueOptions struct {
	Weights  []float64 // one a row, finite, at least 0; nil means 1 each
	Outputs  int       // columns; 0 means 1
	Average  OutputAverage
	Unforced bool // a constant truth gives NaN or −∞, not 1 or 0 (force_finite=False); r2_score and explained_variance_score only
}

func (o ValueOptions) check(name string, truth, pred []float64) (n, k int, err error) {
	var p assay.Problems
	k = max(1, o.Outputs)
	n = len(truth) / k
	if n == 0 {
		p.Add("the truth holds no row")
	}
	if len(truth)%k != 0 {
		p.Add("%d cells are no rows of %d outputs", len(truth), k)
	}
	if len(truth) != len(pred) {
		p.Add("the truth holds %d values and the prediction %d", len(truth), len(pred))
	}
	checkFinite(&p, "the truth of row", truth)
	checkFinite(&p, "the prediction of row", pred)
	checkWeights(&p, n, o.Weights)
	return n, k, p.Err(assay.Invalid, name)
}

// outputs calls f with each column.
func (o ValueOptions) outputs(name string, truth, pred []float64, f func(y, p []float64) Value) ([]Value, error) {
	n, k, err := o.check(name, truth, pred)
	if err != nil {
		return nil, err
	}
	if k == 1 {
		return []Value{f(truth, pred)}, nil
	}
	out := make([]Value, k)
	y, p := make([]float64, n), make([]float64, n)
	for c := range k {
		for i := range n {
			y[i], p[i] = truth[i*k+c], pred[i*k+c]
		}
		out[c] = f(y, p)
	}
	return out, nil
}

// loss is the mean over outputs of the weighted mean of a loss a row (nil: the squared error), after a last step.
func (o ValueOptions) loss(name string, truth, pred []float64, row func(y, p float64) float64, last func(float64) float64) (Value, error) {
	vs, err := o.outputs(name, truth, pred, func(y, p []float64) Value {
		num := 0.0
		if row == nil {
			num = squaredLoss(y, p, o.Weights)
		} else {
			num = lossSum(y, p, o.Weights, row)
		}
		m := num / weightSum(len(y), o.Weights)
		if last != nil {
			m = last(m)
		}
		return settled(m)
	})
	if err != nil {
		return Value{}, err
	}
	return averageOf(vs, func(int) float64 { return 1 }, false), nil
}

// lossSum is the weighted sum of a loss a row.
func lossSum(y, p, w []float64, row func(y, p float64) float64) float64 {
	return blockSum(len(y), func(from, to int) float64 {
		var s float64
		if w == nil {
			for i, v := range y[from:to] {
				s += row(v, p[from+i])
			}
			return s
		}
		for i, v := range y[from:to] {
			s += row(v, p[from+i]) * w[from+i]
		}
		return s
	})
}

// settled marks a number that left the range of a float64.
func settled(v float64) Value {
	if v-v != 0 {
		return Value{v, "the values are too large for a float64"}
	}
	return defined(v)
}

// PerOutput is a score of each output on its own: multioutput="raw_values".
func PerOutput(f func(truth, pred []float64, o ValueOptions) (Value, error), truth, pred []float64, o ValueOptions) ([]Value, error) {
	var failed error
	single := o
	single.Outputs = 1
	vs, err := o.outputs("outputs", truth, pred, func(y, p []float64) Value {
		v, err := f(y, p, single)
		if err != nil && failed == nil {
			failed = err
		}
		return v
	})
	if err == nil {
		err = failed
	}
	return vs, err
}

// MeanSquaredError is the mean of (truth−prediction)², in the squared unit of the truth; lower is better.
func MeanSquaredError(truth, pred []float64, o ValueOptions) (Value, error) {
	return o.loss("mean squared error", truth, pred, nil, nil)
}

// RootMeanSquaredError is the root of the mean of (truth−prediction)², in the unit of the truth; lower is better. Of several outputs
// the root is taken before the mean.
func RootMeanSquaredError(truth, pred []float64, o ValueOptions) (Value, error) {
	return o.loss("root mean squared error", truth, pred, nil, math.Sqrt)
}

// MeanAbsoluteError is the mean of |truth−prediction|, in the unit of the truth; lower is better.
func MeanAbsoluteError(truth, pred []float64, o ValueOptions) (Value, error) {
	return o.loss("mean absolute error", truth, pred, absolute, nil)
}

// MeanAbsolutePercentageError is the mean of |truth−prediction| / max(|truth|, 2⁻⁵²), a fraction; lower is better. One zero in the
// truth makes it about 1e15.
func MeanAbsolutePercentageError(truth, pred []float64, o ValueOptions) (Value, error) {
	return o.loss("mean absolute percentage error", truth, pred, percentage, nil)
}

// MeanSquaredLogError is the mean of (ln(1+truth)−ln(1+prediction))²; lower is better. Values must be above −1.
func MeanSquaredLogError(truth, pred []float64, o ValueOptions) (Value, error) {
	return squaredLog("mean squared logarithmic error", truth, pred, o, nil)
}

// RootMeanSquaredLogError is the root of MeanSquaredLogError; lower is better. Values must be above −1.
func RootMeanSquaredLogError(truth, pred []float64, o ValueOptions) (Value, error) {
	return squaredLog("root mean squared logarithmic error", truth, pred, o, math.Sqrt)
}

func squaredLog(name string, truth, pred []float64, o ValueOptions, last func(float64) float64) (Value, error) {
	var p assay.Problems
	checkAbove(&p, "the truth of row", truth, -1, false)
	checkAbove(&p, "the prediction of row", pred, -1, false)
	if err := p.Err(assay.Invalid, name); err != nil {
		return Value{}, err
	}
	return o.loss(name, truth, pred, squaredLogs, last)
}

// checkAbove adds a problem for the first value that is not above a limit (or at least it, with orEqual).
func checkAbove(p *assay.Problems, name string, v []float64, limit float64, orEqual bool) {
	for i, x := range v {
		if x < limit || x == limit && !orEqual {
			word := "above"
			if orEqual {
				word = "at least"
			}
			p.Add("%s %d is %v, not %s %v", name, i, x, word, limit)
			return
		}
	}
}

func squared(y, p float64) float64     { return (y - p) * (y - p) }
func absolute(y, p float64) float64    { return math.Abs(y - p) }
func percentage(y, p float64) float64  { return math.Abs(y-p) / max(math.Abs(y), epsilon) }
func squaredLogs(y, p float64) float64 { return squared(math.Log1p(y), math.Log1p(p)) }

// MedianAbsoluteError is the median of |truth−prediction|, in the unit of the truth; lower is better. With weights it is the averaged
// inverted distribution function (Hyndman and Fan, 1996, type 2).
func MedianAbsoluteError(truth, pred []float64, o ValueOptions) (Value, error) {
	vs, err := o.outputs("median absolute error", truth, pred, func(y, p []float64) Value {
		d := make([]float64, len(y))
		for i := range y {
			d[i] = math.Abs(y[i] - p[i])
		}
		if o.Weights == nil {
			return settled(median(d))
		}
		return settled(quantile(d, o.Weights, 0.5))
	})
	if err != nil {
		return Value{}, err
	}
	return averageOf(vs, func(int) float64 { return 1 }, false), nil
}

// MaxError is the greatest |truth−prediction|, in the unit of the truth; lower is better. One output; weights do not count.
func MaxError(truth, pred []float64, o ValueOptions) (Value, error) {
	if o.Outputs > 1 {
		return Value{}, invalid("the greatest error is defined for one output, not %d", o.Outputs)
	}
	if _, _, err := o.check("max error", truth, pred); err != nil {
		return Value{}, err
	}
	var worst float64
	for i, y := range truth {
		worst = max(worst, math.Abs(y-pred[i]))
	}
	return settled(worst), nil
}

// MeanPinballLoss is the mean of alpha·(truth−prediction) where that is positive and (alpha−1)·(truth−prediction) elsewhere: the loss
// whose best constant is the alpha-quantile. alpha is in [0,1]; lower is better.
func MeanPinballLoss(truth, pred []float64, alpha float64, o ValueOptions) (Value, error) {
	if !(alpha >= 0 && alpha <= 1) {
		return Value{}, invalid("alpha is %v; it lies in [0,1]", alpha)
	}
	return o.loss("mean pinball loss", truth, pred, pinball(alpha), nil)
}

func pinball(alpha float64) func(y, p float64) float64 {
	return func(y, p float64) float64 {
		if d := y - p; d >= 0 {
			return alpha * d
		} else {
			return (alpha - 1) * d
		}
	}
}

// MeanTweedieDeviance is the mean unit deviance of the Tweedie family; lower is better. power 0 is the squared error, 1 Poisson, 2
// gamma, 3 inverse Gaussian; powers between 0 and 1 do not exist. Predictions must be positive unless power is 0; the truth must be
// at least 0 for powers in [1,2) and positive from 2 on. One output.
func MeanTweedieDeviance(truth, pred []float64, power float64, o ValueOptions) (Value, error) {
	if err := checkTweedie(truth, pred, power, o); err != nil {
		return Value{}, err
	}
	return o.loss("mean Tweedie deviance", truth, pred, tweedie(power), nil)
}

// MeanPoissonDeviance is MeanTweedieDeviance of power 1; lower is better.
func MeanPoissonDeviance(truth, pred []float64, o ValueOptions) (Value, error) {
	return MeanTweedieDeviance(truth, pred, 1, o)
}

// MeanGammaDeviance is MeanTweedieDeviance of power 2; lower is better.
func MeanGammaDeviance(truth, pred []float64, o ValueOptions) (Value, error) {
	return MeanTweedieDeviance(truth, pred, 2, o)
}

func checkTweedie(truth, pred []float64, power float64, o ValueOptions) error {
	var p assay.Problems
	switch {
	case math.IsNaN(power) || math.IsInf(power, 0) || power > 0 && power < 1:
		p.Add("there is no power %v", power)
	case power != 0:
		checkAbove(&p, "the prediction of row", pred, 0, false)
	}
	if power >= 1 {
		checkAbove(&p, "the truth of row", truth, 0, power < 2)
	}
	if o.Outputs > 1 {
		p.Add("it is defined for one output, not %d", o.Outputs)
	}
	return p.Err(assay.Invalid, "mean Tweedie deviance")
}

func tweedie(power float64) func(y, p float64) float64 {
	switch power {
	case 0:
		return squared
	case 1:
		return func(y, p float64) float64 {
			if y == 0 {
				return 2 * p
			}
			return 2 * (y*math.Log(y/p) - y + p)
		}
	case 2:
		return func(y, p float64) float64 { return 2 * (math.Log(p/y) + y/p - 1) }
	}
	a, b := 1-power, 2-power
	return func(y, p float64) float64 {
		return 2 * (math.Pow(max(y, 0), b)/(a*b) - y*math.Pow(p, a)/a + math.Pow(p, b)/b)
	}
}
